"""What scripts/build_lambda_packages.sh makes: small, complete, for the right machine, and the same every time."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.checks.handlers import FOLDERS
from scripts.packages import layer, wheels
from scripts.packages.__main__ import build
from scripts.packages.wheels import ARM64, TARGETS

PYTHON_3_13 = (3571).to_bytes(2, "little") + b"\r\n"
"""How bytecode of Python 3.13 begins."""
UNCHECKED_HASH = 1


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("built")
    build(ARM64, output)
    return output


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A stricter user in another time zone."""
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    monkeypatch.setenv("PYTHONHASHSEED", "42")
    before = os.umask(0o077)
    yield tmp_path
    os.umask(before)


def sums(output: Path) -> dict[str, str]:
    return {
        name: digest for digest, name in (line.split() for line in (output / "SHA256SUMS").read_text().splitlines())
    }


def test_the_same_source_gives_the_same_bytes(built: Path, elsewhere: Path) -> None:
    build(ARM64, elsewhere)
    assert sums(elsewhere) == sums(built)


def test_the_sums_are_those_of_all_that_was_built(built: Path) -> None:
    made = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in built.iterdir() if path.is_file()}
    made.pop("SHA256SUMS")
    assert sums(built) == made


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_functions_zip_holds_its_own_code_alone(built: Path, folder: str) -> None:
    archive = built / f"{folder}.zip"
    with zipfile.ZipFile(archive) as packed:
        assert packed.namelist() == ["__pycache__/lambda_function.cpython-313.pyc", "lambda_function.py"]
        assert packed.read("lambda_function.py") == (layer.FUNCTIONS / folder / "lambda_function.py").read_bytes()
    assert archive.stat().st_size < 20_000


def test_the_layers_zip_is_small_and_holds_what_lies_in_build(built: Path) -> None:
    archive = built / "layer-arm64.zip"
    assert archive.stat().st_size < 12_000_000
    with zipfile.ZipFile(archive) as packed:
        unpacked = {
            path.relative_to(built / "layer").as_posix() for path in (built / "layer").rglob("*") if path.is_file()
        }
        assert set(packed.namelist()) == unpacked
        assert packed.namelist() == sorted(unpacked)
        assert {entry.date_time for entry in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in packed.infolist()} == {0o100644}


def test_the_layer_ships_utils_and_the_pinned_packages_and_nothing_of_development(built: Path) -> None:
    python = built / "layer" / "python"
    shipped = {path.name.split("-")[0].replace("_", "-").lower() for path in python.glob("*.dist-info")}
    assert shipped == set(wheels.pinned())
    assert {path.name for path in (python / "utils").iterdir()} == {
        path.name for path in layer.UTILS.iterdir() if path.name != "__pycache__"
    } | {"__pycache__"}
    assert not {"bin", "moto", "pip", "scripts", "tests"} & {path.name for path in python.iterdir()}


def test_every_module_has_bytecode_of_lambdas_python_that_is_taken_whatever_the_files_times(built: Path) -> None:
    sources = [*(built / "layer").rglob("*.py")]
    assert len(sources) > 400
    for source in sources:
        content = (source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc").read_bytes()
        assert content[:8] == PYTHON_3_13 + struct.pack("<I", UNCHECKED_HASH), source
        place = f"/opt/python/{source.relative_to(built / 'layer' / 'python').as_posix()}"
        assert place.encode() in content, "a traceback names the file where it lies on Lambda"
        assert str(built).encode() not in content


@pytest.mark.parametrize(("architecture", "machine"), [("arm64", 183), ("x86_64", 62)])
def test_what_is_compiled_is_for_the_architecture_and_for_lambdas_python(
    architecture: str, machine: int, tmp_path: Path
) -> None:
    """The numbers are ELF's."""
    layer.lay_packages(wheels.fetched(TARGETS[architecture]), tmp_path)
    libraries = [path for path in tmp_path.rglob("*") if ".so" in path.suffixes]
    assert len(libraries) > 10
    for library in libraries:
        assert struct.unpack_from("<H", library.read_bytes(), 18) == (machine,), library
        assert "cpython" not in library.name or "cpython-313" in library.name


def test_the_bill_of_materials_names_every_package_its_licence_and_what_it_brings_compiled(built: Path) -> None:
    bill = json.loads((built / "layer-arm64.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["hashes"][0]["content"] == sums(built)["layer-arm64.zip"]
    packages = {part["name"]: part for part in bill["components"] if part.get("purl", "").startswith("pkg:pypi/")}
    assert {name: part["version"] for name, part in packages.items()} == wheels.pinned()
    assert all(part["licenses"][0]["expression"] for part in packages.values())
    assert {"krb5-libs", "pcre2"} <= {part["name"] for part in bill["components"]}
    references = [part["bom-ref"] for part in bill["components"]]
    assert len(set(references)) == len(references)
