"""The layer's content: the packages of requirements.txt, each file checked by its hash, and utils.

Compiled modules carry the architecture in their names, so the layer for Lambda holds those for both: whichever
`Architecture` a stack has, its layer fits. What differs in anything but such a name is refused.
"""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
REQUIREMENTS = ROOT / "requirements.txt"
UTILS = ROOT / "utils"
FUNCTIONS = ROOT / "lambda_functions"
HOST_PACKAGES = ROOT / ".venv" / "lambda" / "packages"
"""The packages for this machine's Python; scripts/environment.sh puts them there."""
WHEELS = ROOT / ".venv" / "lambda" / "wheels"
"""What `download` keeps: with PIP_NO_INDEX and PIP_FIND_LINKS pip takes it from there, without a network."""

LAMBDA_MACHINES = {"arm64": "aarch64", "x86_64": "x86_64"}
"""What wheels call Lambda's architectures."""
# Lambda's Python 3.13 runs on Amazon Linux 2023, whose glibc is 2.34 (AWS Lambda developer guide, "Lambda runtimes";
# Amazon Linux 2023 user guide, "glibc"). A wheel says the oldest glibc it runs with (PEP 600), and pip takes each
# platform that it is given literally.
_GLIBC = ("manylinux2014", *(f"manylinux_2_{minor}" for minor in range(28, 35)))
_PYTHON = ("--implementation", "cp", "--python-version", "3.13")
_ALWAYS = ("--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "--only-binary", ":all:")
# What pip notes for its own use, and what a wheel says of one architecture alone.
_NOT_SHIPPED = ("bin", *(f"*.dist-info/{name}" for name in ("INSTALLER", "RECORD", "REQUESTED", "WHEEL", "sboms")))
_YEAR_1980 = 315532800  # before which zip knows no time


class CannotBuild(Exception):
    """The packages cannot be built here. The message says what to do."""


def lay_layer(into: Path, *, here: bool = False) -> None:
    """Write the layer's content, for Lambda or for this machine. The same source gives the same files every time."""
    shutil.rmtree(into / "python", ignore_errors=True)
    for options in [()] if here else map(_options_for, LAMBDA_MACHINES.values()):
        with tempfile.TemporaryDirectory() as work:
            install_packages(Path(work), (*options, "--no-compile"))
            _merge(Path(work), into / "python")
    _copy_utils(into / "python")
    # Every file has the same time and mode, so that zipping the directory gives the same bytes everywhere.
    for path in (into, *into.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (_YEAR_1980, _YEAR_1980))


def install_packages(into: Path, options: Iterable[str] = ()) -> None:
    """Install the packages, and only them, into a directory; without `options` for this machine's Python."""
    _pip("install", "--target", str(into), *options)
    for pattern in _NOT_SHIPPED:
        for path in into.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def download() -> None:
    """Fetch every wheel that a build needs, so that later ones need no network."""
    for options in ((), *map(_options_for, LAMBDA_MACHINES.values())):
        _pip("download", "--dest", str(WHEELS), *options)


def _copy_utils(into: Path) -> None:
    shutil.copytree(UTILS, into / "utils", ignore=shutil.ignore_patterns("__pycache__", "*.pyc", ".*"))


def utils_for_this_machine(into: Path) -> None:
    """Copy utils with its bytecode, which is made where it is missing: beside the source, where Python keeps it."""
    compileall.compile_dir(UTILS, quiet=2)
    shutil.copytree(UTILS, into / "utils", ignore=shutil.ignore_patterns(".*"))


def _options_for(machine: str) -> tuple[str, ...]:
    return (*_PYTHON, *(word for glibc in _GLIBC for word in ("--platform", f"{glibc}_{machine}")))


def _pip(command: str, *options: str) -> None:
    words = [sys.executable, "-m", "pip", command, *_ALWAYS, *options, "--requirement", str(REQUIREMENTS)]
    run = subprocess.run(words, check=False, capture_output=True, text=True)
    if run.returncode:
        raise CannotBuild(
            f"pip could not {command} the packages of requirements.txt. Check the network and the package index; where "
            f"pip itself is missing, install it (Debian and Ubuntu: apt-get install python3-pip):\n{run.stderr.strip()}"
        )


def _merge(installed: Path, into: Path) -> None:
    """Add one architecture's files to those of the other."""
    for source in sorted(path for path in installed.rglob("*") if path.is_file()):
        target = into / source.relative_to(installed)
        if target.exists() and target.read_bytes() != source.read_bytes():
            raise CannotBuild(
                f"{source.relative_to(installed)} differs between {' and '.join(LAMBDA_MACHINES)}, so one layer cannot "
                "serve both. Choose another version of the package in requirements.in."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
