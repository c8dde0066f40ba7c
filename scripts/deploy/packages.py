"""What the template names on this machine, as files in a directory that is uploaded: each named by its content.

The template's local paths become addresses in S3. A file that hasn't changed keeps its name, so a deployment without
changes has none, and only what is new is uploaded.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from scripts.deploy.aws_cli import PROJECT, Refused

TEMPLATE = PROJECT / "infrastructure" / "aurora-restore-pipeline.yaml"
_LOCAL = re.compile(r"^(?P<indent> +)(?P<key>CodeUri|ContentUri|DefinitionUri): (?P<path>[^\s{]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Packages:
    """A directory to upload, and the template that names what is in it."""

    directory: Path
    template: Path
    megabytes: float


def build(output: Path) -> None:
    """By the project's own script."""
    done = subprocess.run(
        [str(PROJECT / "scripts" / "build_lambda_packages.sh"), "--output", str(output)],
        cwd=PROJECT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Refused("The packages could not be built: see above.")


def gather(built: Path, staged: Path, address: str) -> Packages:
    """Everything under the name of its content in `staged`; `address` is where it will be in S3."""
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)

    def uploaded(found: re.Match[str]) -> str:
        source = (TEMPLATE.parent / found["path"]).resolve()
        content = _content(found["key"], source, built)
        suffix = ".json" if found["key"] == "DefinitionUri" else ".zip"
        name = f"{source.stem}-{hashlib.sha256(content).hexdigest()[:32]}{suffix}"
        (staged / name).write_bytes(content)
        return f"{found['indent']}{found['key']}: {address}/{name}"

    text = _LOCAL.sub(uploaded, TEMPLATE.read_text())
    template = staged / f"template-{hashlib.sha256(text.encode()).hexdigest()[:32]}.yaml"
    template.write_text(text)
    return Packages(staged, template, sum(each.stat().st_size for each in staged.iterdir()) / 1_000_000)


def _content(key: str, source: Path, built: Path) -> bytes:
    if key == "DefinitionUri":
        return source.read_bytes()
    archive = built / ("layer.zip" if key == "ContentUri" else f"{source.name}.zip")
    if not archive.is_file():
        raise Refused(f"{archive} doesn't exist. Build it: ./scripts/build_lambda_packages.sh --output {built}")
    return archive.read_bytes()
