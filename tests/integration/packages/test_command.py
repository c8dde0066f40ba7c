"""The wheel of the command aurora-restore: installed alone, it works and brings nothing else of this repository."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

from scripts.packages.layer import ROOT

pytestmark = pytest.mark.full  # tests/integration/commands types the same command, as it is here

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

# Besides what pip asks for: the packages' own directories are shared with the fresh environment, which has no network.
OFFLINE = {**os.environ, "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "AWS_EC2_METADATA_DISABLED": "true"}


def run(*command: str | Path, cwd: Path | str = "/") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(each) for each in command], cwd=cwd, env=OFFLINE, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("wheel")
    built = run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", output, ROOT)
    assert built.returncode == 0, built.stderr
    (found,) = output.glob("aurora_restore-*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel. What it needs comes from this one's packages, by a path file."""
    place = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(place, with_pip=True)
    installed = run(place / "bin" / "python", "-m", "pip", "install", "--no-deps", wheel)
    assert installed.returncode == 0, installed.stderr
    here = next(path for path in sys.path if path.endswith("site-packages"))
    packages = next(place.glob("lib/python*/site-packages"))
    (packages / "needed.pth").write_text(f"{here}\n")
    return place / "bin" / "python"


def test_it_has_the_command_and_nothing_else_of_this_repository(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    modules = {path.name for path in (ROOT / "scripts" / "aurora_restore").glob("*.py")}
    assert {name.partition("/")[0] for name in names} == {"aurora_restore", f"aurora_restore-{VERSION}.dist-info"}
    assert {name.partition("/")[2] for name in names if name.startswith("aurora_restore/")} == modules


@pytest.mark.parametrize("name", ["utils", "scripts", "tests", "aurora_restore.utils"])
def test_installed_it_leaves_no_top_level_name_of_ours(python: Path, name: str) -> None:
    assert "ModuleNotFoundError" in run(python, "-c", f"import {name}").stderr


def test_the_installed_program_explains_itself_from_anywhere(python: Path) -> None:
    told = run(python.parent / "aurora-restore", "--help")
    assert told.returncode == 0, told.stderr
    assert "watch" in told.stdout


def test_the_installed_program_reaches_for_the_stack(python: Path) -> None:
    """Port 9 of this machine (discard) has nobody that answers."""
    asked = ["list", "--region", "us-east-1", "--json"]
    command: list[str | Path] = ["env", "AWS_ENDPOINT_URL=http://127.0.0.1:9", python.parent / "aurora-restore", *asked]
    answered = run(*command)
    assert answered.returncode == 1, answered.stderr
    assert '"code":"EndpointConnectionError"' in answered.stdout


def test_it_promises_every_package_that_it_imports(wheel: Path) -> None:
    metadata = zipfile.ZipFile(wheel).read(f"aurora_restore-{VERSION}.dist-info/METADATA").decode()
    needed = {
        line.split()[1].rstrip(",<>=0123456789.") for line in metadata.splitlines() if line.startswith("Requires-Dist")
    }
    assert needed == {"botocore", "click", "cryptography", "msgspec", "rich"}
