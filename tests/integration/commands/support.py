"""The command as a person starts it, and what must not be left of it."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping

from scripts.checks.documentation import README

PROJECT = README.parent
RUN_LOCAL = [str(PROJECT / "scripts" / "run_local.sh")]


@contextlib.contextmanager
def running(
    tmp_path: pathlib.Path, *options: str, more: Mapping[str, str] = {}, stdout: int = subprocess.PIPE
) -> Iterator[subprocess.Popen[str]]:
    """The command in a session of its own, with a directory for temporary files that we can look into.

    `more` is added to the environment that it is started in.
    """
    # What has started the tests, such as nohup, may ignore it, and the command would inherit that.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        process = subprocess.Popen(
            [*RUN_LOCAL, *options],
            cwd="/",
            env={**os.environ, "TMPDIR": str(tmp_path), **more},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def until_ready(process: subprocess.Popen[str]) -> dict[str, str]:
    """What the command printed before READY."""
    printed: dict[str, str] = {}
    assert process.stdout is not None
    for line in process.stdout:
        if line == "READY\n":
            return printed
        name, equals, value = line.rstrip("\n").partition("=")
        if equals:
            printed[name] = value
    raise AssertionError("it ended before it was ready")


def until_it_prints(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"it ended before it printed {text!r}")


def until_it_listens(process: subprocess.Popen[str]) -> None:
    """Wait until the command would answer Ctrl-C: what starts it, a shell and Python, has ended by then."""
    deadline = time.monotonic() + 30
    status = pathlib.Path(f"/proc/{process.pid}")
    while time.monotonic() < deadline:
        caught = (status / "status").read_text().split("SigCgt:")[1].split()[0]
        if b"scripts.local_run" in (status / "cmdline").read_bytes() and int(caught, 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.01)
    raise AssertionError("it never listened to signals")


# Where a disk frees space slowly, that goes on for a while after the command has ended.
REMOVAL_SECONDS = 60


def assert_nothing_is_left(tmp_path: pathlib.Path) -> None:
    """No file, and no process that works in that directory."""
    deadline = time.monotonic() + REMOVAL_SECONDS
    while (left := _left(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def _left(tmp_path: pathlib.Path) -> list[str]:
    found = [str(each) for each in tmp_path.iterdir()]
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            command = (folder / "cmdline").read_text()
            if str(tmp_path) in command:
                found.append(command)
    return found
