"""Build what the template deploys: scripts/build_lambda_packages.sh --help."""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from scripts.packages.layer import FUNCTIONS, HOST_PACKAGES, ROOT, CannotBuild, download, install_packages, lay_layer

_EPOCH = (1980, 1, 1, 0, 0, 0)


def build(output: Path) -> list[Path]:
    """Write the layer's zip and its bill of materials, a zip for each function, and the sums of all these."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".packages-", dir=output) as name:
        work = Path(name)
        lay_layer(work / "layer")
        files = [_pack(work / "layer", work / "layer.zip"), _list_packages(work / "layer", work / "layer.cdx.json")]
        for function in sorted(FUNCTIONS.glob("*/lambda_function.py")):
            files.append(_pack(function.parent, work / f"{function.parent.name}.zip"))
        sums = work / "SHA256SUMS"
        sums.write_text("".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files))
        return [file.replace(output / file.name) for file in (*files, sums)]


def _pack(root: Path, archive: Path) -> Path:
    """Zip a directory: sorted files of one time and one mode, without this machine's bytecode."""
    files = [path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(files, key=lambda path: path.relative_to(root).as_posix()):
            entry = zipfile.ZipInfo(path.relative_to(root).as_posix(), _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, path.read_bytes())
    return archive


def _list_packages(content: Path, bill: Path) -> Path:
    """Write the layer's bill of materials by CycloneDX's own tool, which lists what a Python finds on its path."""
    tool = [str(Path(sys.executable).with_name("cyclonedx-py")), "environment", "-S", "--output-reproducible"]
    made = subprocess.run(
        [*tool, "--output-file", str(bill), sys.executable],
        env=os.environ | {"PYTHONPATH": str(content / "python")},
        check=False,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        raise CannotBuild(f"The bill of materials could not be made:\n{made.stderr.strip()}")
    return bill


def main(arguments: list[str]) -> int:
    """Build what the options name and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/build_lambda_packages.sh",
        description="Build what the template deploys, the same bytes every time: the layer, which serves both "
        "architectures, its bill of materials, a zip for each function, and SHA256SUMS. `sam build` builds the same "
        "without zips.",
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build", help="default: build/")
    parser.add_argument("--layer", type=Path, metavar="DIRECTORY", help="write the layer's content there, and no zip")
    parser.add_argument("--here", action="store_true", help="with --layer: for this machine's Python, not for Lambda")
    parser.add_argument("--prepare", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    try:
        if given.prepare:  # scripts/environment.sh does, so that tests and the embedded AWS need no network
            download()
            shutil.rmtree(HOST_PACKAGES, ignore_errors=True)
            install_packages(HOST_PACKAGES)
        elif given.layer:
            lay_layer(given.layer, here=given.here)
        else:
            for file in build(given.output):
                print(f"{file.stat().st_size:12,}  {file}")
    except CannotBuild as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
