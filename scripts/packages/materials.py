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
# What psycopg2-binary brings compiled, by the file's name: whose it is, and under which licence.
_LIBRARIES = {
    "libcom_err": ("e2fsprogs", "MIT"),
    "libcrypt": ("libxcrypt, glibc", "LGPL-2.1-or-later"),
    "libcrypto": ("OpenSSL", "Apache-2.0 OR OpenSSL"),
    "libgssapi_krb5": ("MIT Kerberos", "MIT"),
    "libk5crypto": ("MIT Kerberos", "MIT"),
    "libkeyutils": ("keyutils", "LGPL-2.1-or-later"),
    "libkrb5": ("MIT Kerberos", "MIT"),
    "libkrb5support": ("MIT Kerberos", "MIT"),
    "liblber": ("OpenLDAP", "OLDAP-2.8"),
    "libldap": ("OpenLDAP", "OLDAP-2.8"),
    "libpcre": ("PCRE", "BSD-3-Clause"),
    "libpcre2-8": ("PCRE", "BSD-3-Clause"),
    "libpq": ("PostgreSQL", "PostgreSQL"),
    "libsasl2": ("Cyrus SASL", "BSD-4-Clause"),
    "libselinux": ("libselinux", "libselinux-1.0"),
    "libssl": ("OpenSSL", "Apache-2.0 OR OpenSSL"),
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


def libraries(wheel: Path) -> dict[str, tuple[str, str]]:
    """The compiled libraries that a wheel brings for itself: by the file's name its project and licence."""
    with zipfile.ZipFile(wheel) as archive:
        files = sorted(name for name in archive.namelist() if name.split("/")[0].endswith(".libs"))
    return {name: _LIBRARIES[name.split("/")[1].split(".so")[0].rpartition("-")[0]] for name in files if ".so" in name}


def licences_table(wheels: Iterable[Path]) -> str:
    """For the documentation: every package and library that is shipped. The wheels may be for several architectures."""
    packages, brought = {}, set[tuple[str, str, str]]()
    for wheel in wheels:
        metadata = metadata_of(wheel)
        name = str(metadata["Name"]).replace("_", "-")
        packages[name] = f"| {name} {metadata['Version']} | {licence(metadata)} |"
        brought |= {(project, spdx, name) for project, spdx in libraries(wheel).values()}
    rows = [packages[name] for name in sorted(packages)]
    rows += [f"| {project}, compiled into {name} | {spdx} |" for project, spdx, name in sorted(brought)]
    return "\n".join(["| Package | Licence |", "|---|---|", *rows]) + "\n"


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
    for file, (project, spdx) in libraries(wheel).items():
        yield {
            "type": "file",
            "bom-ref": f"{reference}#{file}",
            "name": file,
            "licenses": [{"expression": spdx}],
            "properties": [{"name": "aurora-restore:project", "value": project}],
        }
