"""What the template names on this machine, as files in a directory that is uploaded: each named by its content.

The template's local paths become addresses in S3. A file that hasn't changed keeps its name, so a deployment without
changes has none, and only what is new is uploaded.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from scripts.deploy.aws_cli import PROJECT, Refused

TEMPLATE = PROJECT / "infrastructure" / "aurora-restore-pipeline.yaml"
_LOCAL = re.compile(r"^(?P<indent> +)(?P<key>CodeUri|ContentUri|DefinitionUri): (?P<path>[^\s{]+)$", re.MULTILINE)
_EPOCH = (1980, 1, 1, 0, 0, 0)
_NEVER = ("__pycache__", ".pyc")


@dataclass(frozen=True)
class Packages:
    """A directory to upload, and the template that names what is in it."""

    directory: Path
    template: Path
    megabytes: float


def build(architecture: str, output: Path) -> None:
    """By the project's own script."""
    done = subprocess.run(
        [str(PROJECT / "scripts" / "build_lambda_packages.sh"), architecture], cwd=PROJECT, text=True, check=False
    )
    if done.returncode:
        raise Refused("The packages could not be built: see above.")
    if not (output / "layer").is_dir():
        raise Refused(f"{output / 'layer'} was not built. Run ./scripts/build_lambda_packages.sh {architecture}.")


def gather(built: Path, architecture: str, staged: Path, address: str) -> Packages:
    """Everything under the name of its content in `staged`; `address` is where it will be in S3."""
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)

    def uploaded(found: re.Match[str]) -> str:
        source = (TEMPLATE.parent / found["path"]).resolve()
        content = _content(found["key"], source, built, architecture)
        suffix = ".json" if found["key"] == "DefinitionUri" else ".zip"
        name = f"{source.stem}-{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
        (staged / name).write_bytes(content)
        return f"{found['indent']}{found['key']}: {address}/{name}"

    text = _LOCAL.sub(uploaded, TEMPLATE.read_text())
    template = staged / f"template-{hashlib.sha256(text.encode()).hexdigest()[:32]}.yaml"
    template.write_text(text)
    return Packages(staged, template, sum(each.stat().st_size for each in staged.iterdir()) / 1_000_000)


def _content(key: str, source: Path, built: Path, architecture: str) -> bytes:
    if key == "DefinitionUri":
        return source.read_bytes()
    archive = built / (f"layer-{architecture}.zip" if key == "ContentUri" else f"{source.name}.zip")
    if archive.is_file():
        return archive.read_bytes()
    return _zipped(built / "layer" if key == "ContentUri" else source)


def _zipped(directory: Path) -> bytes:
    """The same bytes for the same files, whenever and wherever."""
    if not directory.is_dir():
        raise Refused(f"{directory} doesn't exist. Build the packages: ./scripts/build_lambda_packages.sh")
    archive = directory.parent / f".{directory.name}.deploy.zip"
    try:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as zipped:
            for path in sorted(directory.rglob("*")):
                own = directory.name != "layer" and any(part.endswith(_NEVER) for part in path.parts)
                if path.is_file() and not own:
                    entry = zipfile.ZipInfo(str(path.relative_to(directory)), _EPOCH)
                    entry.external_attr, entry.compress_type = 0o644 << 16, zipfile.ZIP_DEFLATED
                    zipped.writestr(entry, path.read_bytes())
        return archive.read_bytes()
    finally:
        archive.unlink(missing_ok=True)
