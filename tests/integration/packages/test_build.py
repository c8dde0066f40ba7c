"""What scripts/build_lambda_packages.sh and `sam build` make: complete, for both architectures, the same every time."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.checks.handlers import FOLDERS
from scripts.packages import layer
from scripts.packages.__main__ import build
from scripts.packages.layer import FUNCTIONS, ROOT, UTILS

# The deployments of the commit's tier are made of what SAM builds.
pytestmark = pytest.mark.full

ELF_MACHINES = {"aarch64": 183, "x86_64": 62}
"""ELF's e_machine (its specification, and <elf.h>: EM_AARCH64, EM_X86_64)."""


@pytest.fixture(autouse=True, scope="module")
def _without_a_network() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PIP_NO_INDEX", "1")
        environment.setenv("PIP_FIND_LINKS", str(layer.WHEELS))
        yield


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("built")
    build(output)
    return output


@pytest.fixture(scope="module")
def by_make(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer, built as SAM's makefile builder does: in a copy of its code (aws-lambda-builders, custom_make)."""
    return made("Layer", UTILS, tmp_path_factory.mktemp("sam"))


def made(logical_id: str, code: Path, work: Path, **environment: str) -> Path:
    shutil.copytree(code, work / "scratch")
    (work / "artifacts").mkdir()
    subprocess.run(
        ["make", "--makefile", str(ROOT / "scripts" / "packages" / "Makefile"), f"build-{logical_id}"],
        cwd=work / "scratch",
        env={"PYTHON": sys.executable, **os.environ, **environment, "ARTIFACTS_DIR": str(work / "artifacts")},
        check=True,
        capture_output=True,
    )
    return work / "artifacts"


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


@pytest.mark.full
def test_the_same_source_gives_the_same_bytes(built: Path, elsewhere: Path) -> None:
    build(elsewhere)
    assert sums(elsewhere) == sums(built)


@pytest.mark.full
def test_the_sums_are_those_of_all_that_was_built(built: Path) -> None:
    made = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in built.iterdir()}
    made.pop("SHA256SUMS")
    assert set(made) == {"layer.zip", "layer.cdx.json", *(f"{folder}.zip" for folder in FOLDERS)}
    assert sums(built) == made


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_functions_zip_holds_its_own_code_alone(built: Path, folder: str) -> None:
    with zipfile.ZipFile(built / f"{folder}.zip") as packed:
        assert packed.namelist() == ["lambda_function.py"]
        assert packed.read("lambda_function.py") == (FUNCTIONS / folder / "lambda_function.py").read_bytes()


def test_what_sam_builds_is_what_is_zipped_and_all_of_one_time_and_mode(built: Path, by_make: Path) -> None:
    files = {path.relative_to(by_make).as_posix(): path for path in by_make.rglob("*") if path.is_file()}
    with zipfile.ZipFile(built / "layer.zip") as packed:
        assert packed.namelist() == sorted(files)
        assert {entry.date_time for entry in packed.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.external_attr >> 16 for entry in packed.infolist()} == {0o100644}
        for name, path in files.items():
            assert packed.read(name) == path.read_bytes(), name
    assert {(path.stat().st_mode & 0o777, path.stat().st_mtime) for path in files.values()} == {(0o644, 315532800)}


def test_sam_builds_a_function_without_this_machines_bytecode(tmp_path: Path) -> None:
    code = tmp_path / "code"
    (code / "__pycache__").mkdir(parents=True)
    (code / "__pycache__" / "lambda_function.cpython-311.pyc").touch()
    shutil.copy(FUNCTIONS / "aurora-restore-snapshot-check" / "lambda_function.py", code)
    artifacts = made("SnapshotCheckFunction", code, tmp_path)
    assert [path.name for path in artifacts.rglob("*")] == ["lambda_function.py"]


def test_the_layer_holds_utils_and_the_pinned_packages_and_nothing_else(by_make: Path) -> None:
    python = by_make / "python"
    assert [path.name for path in by_make.iterdir()] == ["python"]
    shipped = {path.name.split("-")[0].replace("_", "-").lower() for path in python.glob("*.dist-info")}
    pinned = {line.split("==")[0] for line in layer.REQUIREMENTS.read_text().splitlines() if "==" in line}
    assert shipped == pinned
    own = {path.relative_to(UTILS) for path in UTILS.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {path.relative_to(python / "utils") for path in (python / "utils").rglob("*") if path.is_file()} == own
    assert not {"bin", "moto", "pip", "scripts", "tests"} & {path.name for path in python.iterdir()}
    assert not [*python.rglob("__pycache__"), *python.rglob("Makefile")]


def test_every_compiled_module_is_there_for_each_architecture_and_for_lambdas_python(by_make: Path) -> None:
    """So the layer fits whichever `Architecture` the stack has."""
    modules = {path.relative_to(by_make).as_posix(): path for path in by_make.rglob("*.so") if "cpython" in path.name}
    found = {machine: set[str]() for machine in ELF_MACHINES}
    for name, path in modules.items():
        stem, _, tag = name.partition(".cpython-313-")
        machine = tag.removesuffix("-linux-gnu.so")
        found[machine].add(stem)
        assert elf_machine(path) == ELF_MACHINES[machine], name
    assert found["aarch64"] == found["x86_64"]
    assert {"python/msgspec/_core", "python/psycopg2/_psycopg"} <= found["aarch64"]


def test_each_architecture_has_the_libraries_that_psycopg2_brings(by_make: Path) -> None:
    libraries = [path for path in (by_make / "python" / "psycopg2_binary.libs").iterdir() if "libpq" in path.name]
    assert sorted(map(elf_machine, libraries)) == sorted(ELF_MACHINES.values())


def test_the_bill_of_materials_has_every_package_under_a_licence_that_was_read(built: Path) -> None:
    """Read whether a new licence allows shipping before you admit it here."""
    bill = json.loads((built / "layer.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    pins = re.findall(r"^([a-z0-9-]+==[^ \\\n]+)", layer.REQUIREMENTS.read_text(), re.MULTILINE)
    packages = {
        f"{each['name'].replace('_', '-').lower()}=={each['version']}": each["licenses"] for each in bill["components"]
    }
    assert sorted(packages) == sorted(pins)
    licences = [each["license"] for found in packages.values() for each in found]
    assert {each.get("id") or each["name"].removeprefix("License :: OSI Approved :: ") for each in licences} == {
        "Apache Software License",
        "Apache-2.0",
        "BSD License",
        "BSD-3-Clause",
        "GNU Library or Lesser General Public License (LGPL)",
        "MIT",
        "MIT-0",
        "PSF-2.0",
    }


def elf_machine(path: Path) -> int:
    (machine,) = struct.unpack_from("<H", path.read_bytes(), 18)
    return int(machine)


def test_a_layer_for_this_machine_works_with_its_python(tmp_path: Path) -> None:
    """As deployments into the embedded AWS have it built."""
    artifacts = made("Layer", UTILS, tmp_path, LAYER_OPTIONS="--here")
    code = "import msgspec, psycopg2, utils.common; print(msgspec.__file__, utils.common.__file__)"
    run = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(artifacts / "python"), "STATE_TABLE": "state"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert run.stdout.count(str(artifacts)) == 2
