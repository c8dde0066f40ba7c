"""Remove a directory once its maker has ended, however that was: also after a kill -9.

    python -I -S heir.py DIRECTORY     standard input: a pipe that ends when the maker closes it, or is gone

A program of its own, because nothing inside a process outlives it. It is in a session of its own and deaf to what a
terminal or `kill` sends to all of them, since its work begins when they end.
"""

import os
import shutil
import signal
import sys
import time

# What dies with the maker (servers, functions) may write for a moment longer; and some disks free space slowly.
_GIVING_UP_SECONDS = 600
_PAUSE_SECONDS = 0.1


def main() -> None:
    """Wait until the maker has ended, and remove its directory."""
    directory = sys.argv[1]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    sys.stdin.buffer.read()
    deadline = time.monotonic() + _GIVING_UP_SECONDS
    while os.path.lexists(directory) and time.monotonic() < deadline:
        _end_those_at_work_in(directory)
        shutil.rmtree(directory, ignore_errors=True)
        time.sleep(_PAUSE_SECONDS if os.path.lexists(directory) else 0)


def _end_those_at_work_in(directory: str) -> None:
    """End the functions' processes, which nothing else ends when their maker is killed.

    Linux only: elsewhere they end with the work that they have.
    """
    for process in os.listdir("/proc") if os.path.isdir("/proc") else []:  # noqa: PTH112, PTH208
        if process.isdigit():
            try:
                if os.readlink(f"/proc/{process}/cwd").startswith(directory + os.sep):  # noqa: PTH115
                    os.kill(int(process), signal.SIGKILL)
            except OSError:  # it has ended by itself, or belongs to another user
                continue


if __name__ == "__main__":
    main()
