"""What goes into the layer: what was pinned and tested, and nothing that wasn't."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import pytest

from scripts.packages import layer
from scripts.packages.layer import REQUIREMENTS, CannotBuild


def test_what_is_tested_is_what_is_deployed() -> None:
    pinned = dict(re.findall(r"^([a-z0-9-]+)==([^ \\\n]+)", REQUIREMENTS.read_text(), re.MULTILINE))
    assert len(pinned) > 8
    for name, version in pinned.items():
        assert importlib.metadata.version(name) == version


def test_a_wheel_that_is_not_what_was_pinned_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pins = tmp_path / "requirements.txt"
    pins.write_text("six==1.17.0 --hash=sha256:" + "0" * 64)
    monkeypatch.setattr(layer, "REQUIREMENTS", pins)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(layer.WHEELS))
    with pytest.raises(CannotBuild, match="DO NOT MATCH THE HASHES"):
        layer.lay_layer(tmp_path / "layer")


def test_files_that_differ_between_the_architectures_are_refused(tmp_path: Path) -> None:
    """Else a layer would work on the one that came last."""
    for place, content in (("layer", "one"), ("other", "two")):
        (tmp_path / place / "package").mkdir(parents=True)
        (tmp_path / place / "package" / "module.so").write_text(content)
    with pytest.raises(CannotBuild, match=r"package/module\.so differs between arm64 and x86_64"):
        layer._merge(tmp_path / "other", tmp_path / "layer")


def test_where_pip_cannot_install_the_error_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(CannotBuild, match=r"pip could not install .*Check the network") as refused:
        layer.lay_layer(tmp_path / "layer")
    assert "No matching distribution found" in str(refused.value)
