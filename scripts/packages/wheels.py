"""The pinned packages as wheels, each with a hash that requirements.txt names, for whichever machine is to run them."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements.txt"
CACHE = ROOT / ".venv" / "lambda"
# Lambda's Python 3.13 runs on Amazon Linux 2023 with glibc 2.34.
_LAMBDA = "--implementation cp --python-version 3.13 --platform manylinux_2_28_{0} --platform manylinux2014_{0}"
# What only an installer needs, or what describes files that aren't shipped.
_LEFT_OUT = {"RECORD", "WHEEL", "zip-safe", "top_level.txt", "entry_points.txt"}


class CannotBuild(Exception):
    """The packages can't be built here. The message says what to do."""


class Target(NamedTuple):
    """Where the packages are to run: Lambda on one architecture, or this machine."""

    name: str
    pip_options: tuple[str, ...] = ()

    @property
    def is_host(self) -> bool:
        return not self.pip_options


ARM64 = Target("arm64", tuple(_LAMBDA.format("aarch64").split()))
X86_64 = Target("x86_64", tuple(_LAMBDA.format("x86_64").split()))
HOST = Target("host")
TARGETS = {each.name: each for each in (ARM64, X86_64)}


def fetched(target: Target) -> list[Path]:
    """The wheels, from the package index the first time and from .venv afterwards. Their hashes are checked anew."""
    directory = CACHE / "wheels" / f"{target.name}-{_fingerprint(target)}"
    if not directory.is_dir():
        _download(target, directory)
    wheels = sorted(directory.glob("*.whl"))
    allowed = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", REQUIREMENTS.read_text()))
    for wheel in wheels:
        if hashlib.sha256(wheel.read_bytes()).hexdigest() not in allowed:
            raise CannotBuild(f"{wheel} isn't what requirements.txt names. Delete {directory} and build again.")
    return wheels


def pinned() -> dict[str, str]:
    """Each package's version, by its normalised name."""
    return dict(re.findall(r"^([a-z0-9-]+)==([^ \\\n]+)", REQUIREMENTS.read_text(), re.MULTILINE))


def unpack(wheel: Path, into: Path, wanted: Callable[[str], bool] = lambda name: True) -> None:
    """What a wheel would install, without its commands: nobody starts any on Lambda."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            path = PurePosixPath(name)
            if name.endswith("/") or not wanted(name) or _for_installers(path):
                continue
            if path.parts[0].endswith(".data"):
                if path.parts[1] != "scripts":
                    raise CannotBuild(f"{wheel.name} has {name}, which this build can't place. Teach it: {__file__}.")
                continue
            target = into / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(name))


def _for_installers(path: PurePosixPath) -> bool:
    return path.parent.name.endswith(".dist-info") and path.name in _LEFT_OUT


def _fingerprint(target: Target) -> str:
    # Wheels for this machine are for this Python.
    python = sys.version if target.is_host else ""
    return hashlib.sha256(REQUIREMENTS.read_bytes() + python.encode()).hexdigest()[:16]


def _download(target: Target, directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=directory.parent))
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    command = [sys.executable, "-m", "pip", "download", *options, *target.pip_options, "--dest", str(work)]
    try:
        run = subprocess.run(
            [*command, "--requirement", str(REQUIREMENTS)], check=False, capture_output=True, text=True
        )
        if run.returncode:
            raise CannotBuild(
                f"The packages for {target.name} could not be downloaded. Check the network and the package index:\n"
                f"{run.stderr.strip()}"
            )
        if not directory.is_dir():
            work.rename(directory)
    finally:
        shutil.rmtree(work, ignore_errors=True)
