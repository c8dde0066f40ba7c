"""Become one of PostgreSQL's programs: not as root, and not for longer than the process that started us.

    python -I -S postgres/launcher.py myself|namespace|<user id> program [argument ...]

A program of its own because code between fork and exec, in a process with threads, can deadlock. Linux only.
"""

import ctypes
import os
import signal
import sys

_CLONE_NEWUSER = 0x10000000
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Change the identity and execute the program."""
    identity, program = sys.argv[1:3]
    libc = ctypes.CDLL(None, use_errno=True)
    if identity == "namespace":
        if libc.unshare(_CLONE_NEWUSER):
            sys.exit("the kernel refuses user namespaces")
        _write("setgroups", "deny")
        _write("uid_map", "1000 0 1")
        _write("gid_map", "1000 0 1")
    elif identity != "myself":
        os.setgroups([])
        os.setgid(int(identity))
        os.setuid(int(identity))
    # After the change of identity, which would take it back. It comes when the thread that started us ends.
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
    os.execv(program, sys.argv[2:])  # noqa: S606 the program is the caller's choice


def _write(name: str, text: str) -> None:
    with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 pathlib takes longer to import than all of this
        file.write(text)


if __name__ == "__main__":
    main()
