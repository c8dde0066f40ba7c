"""What is in the layer: a software bill of materials (CycloneDX 1.6), made of what the wheels say of themselves.

It names no time and no machine, so that the same layer always has the same bill.
"""

from __future__ import annotations

import email.message
import email.parser
import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

# How packages that only describe their licence are named by SPDX; checked against their licence files by eye.
_SPDX = {
    "Apache License 2.0": "Apache-2.0",
    "LGPL with exceptions": "LGPL-3.0-or-later WITH LGPL-3.0-linking-exception",
    "Dual License": "Apache-2.0 OR BSD-3-Clause",
}


def bill(wheels: Iterable[Path], *, architecture: str, layer_sha256: str, bytecode: str) -> dict[str, Any]:
    parts = [each for wheel in wheels for each in _components(wheel)]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "aurora-restore-layer",
                "name": f"aurora-restore-layer-{architecture}",
                "hashes": [{"alg": "SHA-256", "content": layer_sha256}],
                "properties": [{"name": "aurora-restore:bytecode", "value": bytecode}],
            }
        },
        "components": sorted(parts, key=lambda part: str(part["bom-ref"])),
    }


def licence(metadata: email.message.Message) -> str:
    """As an SPDX expression."""
    said = str(metadata["License-Expression"] or metadata["License"] or "")
    return _SPDX.get(said, said)


def metadata_of(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.parser.Parser().parsestr(archive.read(name).decode())


def bundled(wheel: Path) -> list[Mapping[str, Any]]:
    """The libraries that a wheel brings compiled, as its own bill of materials (PEP 770) names them."""
    with zipfile.ZipFile(wheel) as archive:
        bills = [json.loads(archive.read(name)) for name in archive.namelist() if name.endswith(".cdx.json")]
    own = metadata_of(wheel)["Name"].replace("-", "_")
    parts = {part["purl"]: part for each in bills for part in each["components"]}
    return [part for part in parts.values() if part["name"].replace("-", "_") != own]


def _components(wheel: Path) -> Iterable[dict[str, Any]]:
    metadata = metadata_of(wheel)
    name, version = str(metadata["Name"]).replace("_", "-"), str(metadata["Version"])
    reference = f"pkg:pypi/{name}@{version}"
    yield {
        "type": "library",
        "bom-ref": reference,
        "name": name,
        "version": version,
        "licenses": [{"expression": licence(metadata)}],
        "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(wheel.read_bytes()).hexdigest()}],
        "purl": reference,
        "properties": [{"name": "aurora-restore:wheel", "value": wheel.name}],
    }
    for part in bundled(wheel):
        yield {
            "type": "library",
            "bom-ref": f"{reference}#{part['name']}@{part['version']}",
            "name": part["name"],
            "version": part["version"],
            "purl": part["purl"],
            "properties": [{"name": "aurora-restore:bundled-in", "value": wheel.name}],
        }
