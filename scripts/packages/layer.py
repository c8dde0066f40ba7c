"""What a layer holds: the pinned packages with the SDK's data cut to what the code calls, and utils.

Lambda's layer and the one that functions on this machine see are laid out by the same lines; they differ in the wheels
and in the Python that compiles them.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from scripts.packages import interpreters, sdk_calls, sdk_data, wheels
from scripts.packages.interpreters import Interpreter
from scripts.packages.wheels import HOST, ROOT, Target

FUNCTIONS = ROOT / "lambda_functions"
UTILS = ROOT / "utils"
DEPLOYED = "/opt/python"
NEVER_SHIPPED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


def code() -> sdk_calls.Mentioned:
    """What all deployed code says."""
    return sdk_calls.mentioned([*sorted(UTILS.glob("**/*.py")), *sorted(FUNCTIONS.glob("*/*.py"))])


def lay_packages(found: Iterable[Path], into: Path) -> None:
    """Unpack the wheels; of botocore's data only what the code calls."""
    for wheel in found:
        if wheel.name.startswith("botocore-"):
            wheels.unpack(wheel, into, lambda name: not name.startswith(f"{sdk_data.DATA}/"))
            with zipfile.ZipFile(wheel) as archive:
                sdk_data.trim(archive, into, sdk_data.called(archive, code()))
        else:
            wheels.unpack(wheel, into)


def operations(found: Iterable[Path]) -> dict[str, list[str]]:
    (botocore,) = (wheel for wheel in found if wheel.name.startswith("botocore-"))
    with zipfile.ZipFile(botocore) as archive:
        return sdk_data.called(archive, code())


def compile_here(directory: Path, deployed: str, interpreter: Interpreter | None = None) -> None:
    """Bytecode beside every module of a directory."""
    finish(directory.parent, [(directory, deployed)], [], interpreter or interpreters.host())


def finish(
    job: Path, trees: list[tuple[Path, str]], archives: list[tuple[Path, Path]], interpreter: Interpreter
) -> str:
    """Compile trees and pack archives that all lie under `job`. The answer is the version of the Python that did it."""
    wanted = {
        "compile": [{"root": os.path.relpath(root, job), "deployed": deployed} for root, deployed in trees],
        "pack": [
            {"root": os.path.relpath(root, job), "archive": os.path.relpath(archive, job)} for root, archive in archives
        ],
    }
    (job / "job.json").write_text(json.dumps(wanted))
    interpreter.run(job)
    version = (job / "interpreter").read_text()
    for name in ("job.json", "interpreter"):
        (job / name).unlink()
    return version


@functools.cache
def host_packages() -> Path:
    """The layer's packages for this machine, compiled; made once for each set of pins and of operations called."""
    found = wheels.fetched(HOST)
    made = wheels.CACHE / "packages" / _fingerprint(found)
    if not made.is_dir():
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".packages-", dir=made.parent) as work:
            built = Path(work, "python")
            lay_packages(found, built)
            compile_here(built, DEPLOYED)
            # Another process may have been quicker.
            if not made.is_dir():
                built.rename(made)
    return made


def lay_utils(into: Path) -> Path:
    return Path(shutil.copytree(UTILS, into / "utils", ignore=NEVER_SHIPPED))


def host_utils(into: Path) -> None:
    """utils as the layer has it, compiled for this machine."""
    lay_utils(into)
    compile_here(into, DEPLOYED)


def lay_functions(into: Path) -> list[Path]:
    return [
        Path(shutil.copytree(path.parent, into / path.parent.name, ignore=NEVER_SHIPPED))
        for path in sorted(FUNCTIONS.glob("*/lambda_function.py"))
    ]


def lay_layer(target: Target, into: Path) -> list[Path]:
    """All but the bytecode. The answer is the wheels that are in it."""
    found = wheels.fetched(target)
    lay_packages(found, into / "python")
    lay_utils(into / "python")
    return found


def _fingerprint(found: Iterable[Path]) -> str:
    parts = [json.dumps(operations(found)), *(wheel.name for wheel in found)]
    parts += [path.read_text() for path in sorted(Path(__file__).parent.glob("*.py"))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
