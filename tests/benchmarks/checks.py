"""What the checks cost, in CPU seconds of all the processes that they start: by tier, or by test.

    .venv/bin/python tests/benchmarks/checks.py quick commit [--beside CHECKOUT]
    .venv/bin/python tests/benchmarks/checks.py --tests tests/unit -k routes

A tier is run by scripts/test.sh, here and in another checkout (`git worktree add`) in turn, if one is named. The second
form runs pytest, and lists what each file and the dearest tests have cost, set-up and collection included. CPU seconds
hardly depend on what else the machine does; the time by the clock does, and is told for information. Linux only.
"""

from __future__ import annotations

import collections
import ctypes
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")
DEAREST = 25


def measured(command: list[str], directory: Path) -> str:
    """Run a command to its end, and that of everything that it has left running; what it took, in a line."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    status = subprocess.run(command, cwd=directory, check=False).returncode
    while True:  # orphans come to this process (see main); the last one's end raises
        try:
            os.wait()
        except ChildProcessError:
            break
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"{cpu:8.1f} s of CPU {wall:8.1f} s by the clock   exit status {status}   {' '.join(command)} in {directory}"


def tiers(names: list[str], beside: Path | None) -> Iterator[str]:
    for name in names:
        for directory in (ROOT, *([beside] if beside else [])):
            yield measured(["scripts/test.sh", *([name] if name != "commit" else [])], directory)


class CpuOfTests:
    """A plugin of pytest: it adds up the CPU time of this process and all below it, for each test."""

    def __init__(self) -> None:
        self.seconds = collections.defaultdict[str, float](float)
        self._last = _cpu_of_the_tree()

    def _charge(self, name: str) -> None:
        began = time.thread_time()
        now = _cpu_of_the_tree()
        self.seconds[name] += now - self._last
        # Looking takes longer than many a unit test, and is charged to none.
        self._last = now + time.thread_time() - began

    @pytest.hookimpl(trylast=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._charge(f"{report.nodeid} (collected)")

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._charge(report.nodeid)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        files = collections.defaultdict[str, float](float)
        for name, seconds in self.seconds.items():
            files[name.partition("::")[0].removesuffix(" (collected)")] += seconds
        for title, found in (("files", files), ("tests", self.seconds)):
            terminalreporter.section(f"CPU seconds of the dearest {title}, of {sum(found.values()):.1f} in all")
            for name, seconds in sorted(found.items(), key=lambda each: -each[1])[:DEAREST]:
                terminalreporter.write_line(f"{seconds:8.2f}  {name}")


def _cpu_of_the_tree() -> float:
    """Return what this process, those below it, and those that have ended and been waited for have used."""
    children, used = collections.defaultdict[int, list[int]](list), dict[int, int]()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        children[int(fields[1])].append(int(folder.name))
        used[int(folder.name)] = sum(map(int, fields[11:15]))
    ticks, new = 0, [os.getpid()]
    while new:
        process = new.pop()
        ticks += used.get(process, 0)
        new += children[process]
    return ticks / TICKS


def main(arguments: list[str]) -> int:
    # Servers and functions whose parent ends are this process's from then on, and count when they end.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if arguments[:1] == ["--tests"]:
        return int(pytest.main(["-q", *arguments[1:]], plugins=[CpuOfTests()]))
    beside = Path(arguments[arguments.index("--beside") + 1]) if "--beside" in arguments else None
    names = arguments[: arguments.index("--beside")] if "--beside" in arguments else arguments
    for line in list(tiers(names or ["quick"], beside)):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
