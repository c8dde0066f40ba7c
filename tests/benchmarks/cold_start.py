"""What each handler's cold start costs on the layer as it is built, beside boto3 and the same clients, nothing else.

A cold start is what a fresh process does before it can work: import the handler's module and make its clients. The
other side is plain boto3 of the same version with all of its data. Both have their bytecode and run on this machine's
Python; the start of the interpreter itself is taken off both. Where valgrind is installed instructions are counted,
which is repeatable to the digit; else CPU time is measured, interleaved. Exit status 1 when a handler is over LIMIT.

    .venv/bin/python tests/benchmarks/cold_start.py [HANDLER ...]
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from scripts.checks.handlers import FOLDERS  # noqa: E402 - needs the path that is set above
from scripts.checks.reach import reached  # noqa: E402
from scripts.packages import layer  # noqa: E402

LIMIT = 0.75
ROUNDS = 15

NOTHING = "pass"
PLAIN = "import boto3\nsession = boto3.Session()\nfor service in {services}: session.client(service)"
HANDLER = "import lambda_function\nfrom utils.aws import client\nfor service in {services}: client(service)"


def functions() -> dict[str, tuple[str, ...]]:
    """Every handler's folder, with the clients that it makes: those of the services that its code calls."""
    return {folder: tuple(sorted({call.split(":")[0] for call in reached(folder).calls})) for folder in FOLDERS}


class Bench:
    """Fresh processes that see what a function sees: the layer and one handler; or plain boto3 alone."""

    def __init__(self, work: Path) -> None:
        self._work = work
        layer.host_utils(work / "utils")
        self._layer = [work / "utils", layer.host_packages()]
        self._plain = [Path(sysconfig.get_path("purelib"))]
        self._valgrind = shutil.which("valgrind")
        self.unit = "million instructions" if self._valgrind else "ms of CPU time"

    def costs(self, programs: dict[str, tuple[str, str]]) -> dict[str, float]:
        """By name: what a program, started in a handler's folder, costs beyond the start of the interpreter."""
        every = {"": (NOTHING, ""), **programs}
        if self._valgrind:
            # Counting isn't disturbed by what else the machine does.
            with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
                counts = pool.map(lambda program: self._instructions(*program), every.values())
                found = dict(zip(every, counts, strict=True))
        else:
            samples: dict[str, list[float]] = {name: [] for name in every}
            for _ in range(ROUNDS):
                for name, program in every.items():
                    samples[name].append(self._cpu_milliseconds(*program))
            found = {name: statistics.median(values) for name, values in samples.items()}
        return {name: found[name] - found[""] for name in programs}

    def _instructions(self, code: str, folder: str) -> float:
        counter = [self._valgrind or "", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        run = self._run([*counter, *self._python(code)], folder)
        line = next(line for line in run.stderr.splitlines() if "refs:" in line)
        return int(line.split()[-1].replace(",", "")) / 1e6

    def _cpu_milliseconds(self, code: str, folder: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._run(self._python(code), folder)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    @staticmethod
    def _python(code: str) -> list[str]:
        # Without site: no .pth file of this machine may import anything beforehand.
        return [sys.executable, "-S", "-c", code]

    def _run(self, command: list[str], folder: str) -> subprocess.CompletedProcess[str]:
        path = [layer.FUNCTIONS / folder, *self._layer] if folder else self._plain
        environment = {
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_LAMBDA_FUNCTION_NAME": folder,
            "AWS_LAMBDA_RUNTIME_API": "none",
            "AWS_REGION": "eu-central-1",
            "AWS_SECRET_ACCESS_KEY": "none",
            "HOME": str(self._work),
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": os.pathsep.join(map(str, path)),
        }
        run = subprocess.run(command, env=environment, cwd=self._work, check=False, capture_output=True, text=True)
        if run.returncode:
            sys.exit(f"{folder or 'Plain boto3'} can't be measured:\n{run.stderr}")
        return run


def main(only: list[str]) -> int:
    wanted = {folder: services for folder, services in functions().items() if not only or folder in only}
    programs = {"+".join(services): (PLAIN.format(services=services), "") for services in wanted.values()}
    programs |= {folder: (HANDLER.format(services=services), folder) for folder, services in wanted.items()}
    with tempfile.TemporaryDirectory() as work:
        bench = Bench(Path(work))
        costs = bench.costs(programs)
    print(f"{'cold start in ' + bench.unit:44} {'handler':>9} {'boto3':>9} {'ratio':>6}  clients")
    over = []
    for folder, services in wanted.items():
        plain = costs["+".join(services)]
        ratio = costs[folder] / plain
        over += [folder] if ratio > LIMIT else []
        print(f"{folder:44} {costs[folder]:9.1f} {plain:9.1f} {ratio:6.3f}  {', '.join(services)}")
    if over:
        print(f"Over {LIMIT}: {', '.join(over)}")
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
