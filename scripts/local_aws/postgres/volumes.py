"""Volumes: PostgreSQL's data directories while no cluster's server is at work on them, and how to copy one."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable


class Volume:
    """A snapshot's data. Once made it never changes, so that a snapshot and its copies can share it."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self._holders = 1

    def share(self) -> Volume:
        """Return the volume to one more holder."""
        with self.lock:
            self._holders += 1
        return self

    def discard(self) -> None:
        """Give the volume up. The last holder to do so deletes it."""
        with self.lock:
            self._holders -= 1
            if not self._holders:
                shutil.rmtree(self.path, ignore_errors=True)


def copy_volume(source: pathlib.Path, target: pathlib.Path) -> None:
    """Copy a directory's content, as a clone where the file system can."""
    target.mkdir(mode=0o700, exist_ok=True)
    copy_files([f"{source}/."], target)
    (target / "postmaster.pid").unlink(missing_ok=True)


def copy_files(sources: Iterable[object], target: pathlib.Path, *, live: bool = False) -> None:
    """Copy files and directories into a directory. `live`: some may vanish while we copy."""
    options = ["-a", "--reflink=auto"] if sys.platform == "linux" else ["-a"]
    done = subprocess.run(
        ["cp", *options, *map(str, sources), str(target)],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
    )
    complaints = [line for line in done.stderr.splitlines() if not (live and "No such file" in line)]
    if done.returncode and complaints:
        raise RuntimeError(f"a volume could not be copied: {complaints[0]}")
