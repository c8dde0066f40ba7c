"""The interpreter that makes bytecode and zips for Lambda: one pinned build of CPython 3.13, or this machine's own.

Bytecode changes even between patches of 3.13, and compressed bytes between builds of zlib. So that a build has the same
hash everywhere, both come from the same machine code: CPython 3.13 for WebAssembly as Pyodide releases it, run by Node
and pinned by hash. A CPython 3.13 of this machine makes packages as good, with hashes that its like alone repeats.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from scripts.packages.wheels import CACHE, CannotBuild

PYODIDE = "0.29.5"
# As the npm registry gives it for this version (npm view pyodide@0.29.5 dist.integrity).
PYODIDE_SHA512 = "TkYrUv9m8QmfImADKRmpwZulL48E0uUaBSO+dvRQKyAJc0qh9gu7jn8btyHPh3NZm1r2IH2YrJhIr7Q2B9urAw=="
RUNTIME = (3, 13)

_FINISH = Path(__file__).with_name("finish.py")
_IN_PYODIDE = """
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
const [, pyodide, folder, script] = process.argv;
const { loadPyodide } = await import(pathToFileURL(pyodide));
const python = await loadPyodide();
python.FS.mkdirTree("/job");
python.FS.mount(python.FS.filesystems.NODEFS, { root: folder }, "/job");
python.runPython("import sys; sys.argv = ['finish.py', '/job/job.json']");
python.runPython(readFileSync(script, "utf8"));
"""


class Interpreter(NamedTuple):
    """Runs finish.py on the folder of a job."""

    name: str
    run: Callable[[Path], None]


def host() -> Interpreter:
    """This very Python, for functions that run on this machine."""
    return _python(sys.executable)


def chosen(python: str | None) -> Interpreter:
    """The one that was asked for, else the pinned one, else a CPython 3.13 that is found."""
    if python:
        if _version(python) != RUNTIME:
            raise CannotBuild(f"{python} is no Python 3.13, which Lambda runs: name another with --python.")
        return _python(python)
    node = shutil.which("node")
    if node and (package := _pyodide()):
        return Interpreter(f"Pyodide {PYODIDE}", lambda job: _run_pyodide(node, package, job))
    found = shutil.which("python3.13")
    if found and _version(found) == RUNTIME:
        return _python(found)
    raise CannotBuild(
        "Lambda's bytecode needs Python 3.13, and there is none here. Install Node.js 18 or newer with npm (a pinned "
        "Python 3.13 is then fetched once), or name a Python: --python /path/to/python3.13. With --without-bytecode "
        "there is none in the layer, and cold starts take twice as long."
    )


def _python(python: str) -> Interpreter:
    # -I -S: nothing of this machine's packages and settings takes part.
    return Interpreter("CPython", lambda job: _run([python, "-I", "-S", str(_FINISH), str(job / "job.json")]))


def _version(python: str) -> tuple[int, ...] | None:
    code = "import sys; print(*sys.version_info[:2])"
    try:
        run = subprocess.run([python, "-I", "-S", "-c", code], check=False, capture_output=True, text=True)
    except OSError:
        return None
    return tuple(map(int, run.stdout.split())) if run.returncode == 0 else None


def _run_pyodide(node: str, package: Path, job: Path) -> None:
    command = [node, "--input-type=module", "--eval", _IN_PYODIDE, "--"]
    _run([*command, str(package / "pyodide.mjs"), str(job), str(_FINISH)])


def _run(command: list[str]) -> None:
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    if run.returncode:
        raise CannotBuild(f"Bytecode and zips could not be made by {command[0]}:\n{run.stderr.strip()}")


def _pyodide() -> Path | None:
    """Where Pyodide lies; fetched the first time. None where npm is missing or its registry can't be reached."""
    directory = CACHE / f"pyodide-{PYODIDE}"
    npm = shutil.which("npm")
    if directory.is_dir() or npm is None:
        return directory if directory.is_dir() else None
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pyodide-", dir=directory.parent) as work:
        command = [npm, "pack", "--silent", f"pyodide@{PYODIDE}", "--pack-destination", work]
        if subprocess.run(command, check=False, capture_output=True, cwd=work).returncode:
            return None
        archive = Path(work, f"pyodide-{PYODIDE}.tgz")
        if base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() != PYODIDE_SHA512:
            raise CannotBuild(f"pyodide@{PYODIDE} isn't the package that was reviewed: its hash differs. Don't use it.")
        with tarfile.open(archive) as packed:
            packed.extractall(work, filter="data")
        if not directory.is_dir():
            Path(work, "package").rename(directory)
    return directory
