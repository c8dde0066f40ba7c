"""Build the layer and the functions as Lambda takes them: scripts/build_lambda_packages.sh --help."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from scripts.packages import interpreters, layer, materials
from scripts.packages.wheels import HOST, ROOT, TARGETS, CannotBuild, Target, fetched


def build(target: Target, output: Path, python: str | None = None, *, bytecode: bool = True) -> list[Path]:
    """Everything into `output`, in place of an earlier build. The answer is what a deploy uploads."""
    interpreter = interpreters.chosen(python) if bytecode else interpreters.host()
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".packages-", dir=output) as name:
        work = Path(name)
        wheels = layer.lay_layer(target, work / "layer")
        functions = layer.lay_functions(work / "functions")
        trees = [(work / "layer" / "python", layer.DEPLOYED), *((each, "/var/task") for each in functions)]
        archives = [(work / "layer", work / f"layer-{target.name}.zip")]
        archives += [(each, work / f"{each.name}.zip") for each in functions]
        version = layer.finish(work, trees if bytecode else [], archives, interpreter)
        made_by = f"{interpreter.name} (CPython {version})" if bytecode else "none"
        bill = materials.bill(wheels, architecture=target.name, layer_sha256=_sha256(archives[0][1]), bytecode=made_by)
        described = work / f"layer-{target.name}.cdx.json"
        described.write_text(json.dumps(bill, indent=2) + "\n")
        files = [*(archive for _, archive in archives), described]
        (work / "SHA256SUMS").write_text("".join(f"{_sha256(file)}  {file.name}\n" for file in files))
        _without_times(work / "layer")
        for file in (*files, work / "SHA256SUMS"):
            file.chmod(0o644)
            file.replace(output / file.name)
        shutil.rmtree(output / "layer", ignore_errors=True)
        (work / "layer").rename(output / "layer")
    print(f"Bytecode: {made_by}\n")
    return [output / file.name for file in files]


def fetch() -> int:
    """Builds need no network afterwards. A machine without Node can still do all but build for Lambda."""
    for target in (HOST, *TARGETS.values()):
        fetched(target)
    with suppress(CannotBuild):
        interpreters.chosen(None)
    return 0


def _without_times(directory: Path) -> None:
    """The AWS CLI and SAM zip this directory by themselves: what they take into their zips is always the same."""
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (315532800, 315532800))  # 1980, before which zip knows no time


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/build_lambda_packages.sh",
        description="Build what the template deploys, the same bytes on any machine: a layer for one architecture, a "
        "zip for each function, a bill of materials and SHA256SUMS. OUTPUT/layer is the layer unpacked, where the "
        "template looks for it.",
    )
    parser.add_argument(
        "--arch", choices=sorted(TARGETS), default="arm64", help="as the stack's parameter Architecture"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build", help="default: build/, which the template names")
    parser.add_argument("--python", metavar="PATH", help="compile with this Python 3.13 instead of the pinned one")
    parser.add_argument("--without-bytecode", action="store_true", help="cold starts take twice as long")
    parser.add_argument("--fetch", action="store_true", help="only bring here all that builds need from outside")
    # The architecture alone is understood too.
    parser.add_argument("arch_alone", nargs="?", choices=[*TARGETS, None], help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    try:
        if given.fetch:
            return fetch()
        files = build(
            TARGETS[given.arch_alone or given.arch], given.output, given.python, bytecode=not given.without_bytecode
        )
    except CannotBuild as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{'in ' + os.path.relpath(given.output):46} {'bytes':>10}  SHA-256")
    for file in files:
        print(f"{file.name:46} {file.stat().st_size:10,}  {_sha256(file)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
