"""What goes into the layer: what was pinned and tested, under licences that were read."""

from __future__ import annotations

import importlib.metadata
import zipfile
from pathlib import Path

import pytest

from scripts.packages import interpreters, materials, wheels
from scripts.packages.wheels import ARM64, CannotBuild


def test_what_is_tested_is_what_is_deployed() -> None:
    for name, version in wheels.pinned().items():
        assert importlib.metadata.version(name) == version


def test_a_wheel_that_is_not_what_was_pinned_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text("six==1.17.0 --hash=sha256:" + "0" * 64)
    monkeypatch.setattr(wheels, "REQUIREMENTS", pins)
    monkeypatch.setattr(wheels, "CACHE", tmp_path)
    cached = tmp_path / "wheels" / f"arm64-{wheels._fingerprint(ARM64)}"
    cached.mkdir(parents=True)
    (cached / "six-1.17.0-py2.py3-none-any.whl").write_bytes(b"something else")
    with pytest.raises(CannotBuild, match=r"isn't what requirements\.txt names"):
        wheels.fetched(ARM64)


def test_without_a_python_3_13_the_build_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(CannotBuild, match=r"Install Node\.js 18.*--python.*--without-bytecode"):
        interpreters.chosen(None)


def test_bytecode_of_another_python_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho 3 12\n")
    other.chmod(0o755)
    with pytest.raises(CannotBuild, match=r"is no Python 3\.13"):
        interpreters.chosen(str(other))


def test_every_licence_is_one_that_lets_the_layer_be_shipped() -> None:
    """Read before a new one is let in here."""
    known = {
        "Apache-2.0",
        "Apache-2.0 OR BSD-3-Clause",
        "BSD-3-Clause",
        "LGPL-3.0-or-later WITH LGPL-3.0-linking-exception",
        "MIT",
        "PSF-2.0",
    }
    assert {materials.licence(materials.metadata_of(wheel)) for wheel in wheels.fetched(ARM64)} <= known


def test_a_library_that_nobody_knows_the_licence_of_is_not_shipped(tmp_path: Path) -> None:
    wheel = tmp_path / "new-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("new.libs/libnew-0123abcd.so.1", b"")
    with pytest.raises(KeyError, match="libnew"):
        materials.libraries(wheel)
