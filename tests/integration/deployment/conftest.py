"""deploy.sh against the embedded AWS, as a user types it, with the stock AWS CLI.

It is .venv's, version 1. AWS_CLI_DIRECTORY=/a/directory with an `aws` of version 2 in it, and nothing else, tries that.
"""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from scripts.checks.documentation import commands
from scripts.local_aws.server import LocalAws
from scripts.local_run.production import Production, make_production
from scripts.packages import layer

PROJECT = pathlib.Path(__file__).parents[3]
REGION = "us-east-1"
STACK = "deployed"
AWS_CLI = os.environ.get("AWS_CLI_DIRECTORY", str(PROJECT / ".venv" / "bin"))
Deploy = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    """What a command said, and how it ended."""

    status: int
    output: str
    errors: str


@pytest.fixture(scope="session")
def production(aws: LocalAws) -> Production:
    return make_production(aws, REGION)


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """What the build makes, without the build: the functions' folders, and a layer for this machine."""
    directory = tmp_path_factory.mktemp("packages")
    for folder in sorted((PROJECT / "lambda_functions").iterdir()):
        pack(directory / f"{folder.name}.zip", {"lambda_function.py": (folder / "lambda_function.py").read_text()})
    utils = tmp_path_factory.mktemp("layer") / "python"
    layer.utils_for_this_machine(utils)
    with zipfile.ZipFile(directory / "layer.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for root in (layer.HOST_PACKAGES, utils):
            inside = root / "python" if (root / "python").is_dir() else root
            for path in sorted(inside.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    archive.write(path, f"python/{path.relative_to(inside)}")
    return directory


def pack(archive: pathlib.Path, files: dict[str, str]) -> None:
    """The same bytes for the same files, so that what isn't changed is no change."""
    with zipfile.ZipFile(archive, "w") as zipped:
        for name, content in files.items():
            zipped.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), content)


@pytest.fixture(scope="session")
def parameters(aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    ec2 = aws.client("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    values = {
        "NamePrefix": STACK,
        "SourceClusterId": "prod-orders",
        "TargetClusterId": "staging-orders",
        # Names that these tests give to what their executions restore.
        "TargetClusterPattern": "*",
        "VpcId": vpc,
        "SubnetIds": ",".join(sorted(each["SubnetId"] for each in subnets)),
        "Architecture": "x86_64",
        "RdsCaBundlePath": str(aws.rds_ca_bundle),
    }
    path = tmp_path_factory.mktemp("parameters") / "parameters.json"
    write(path, values)
    return path


def typed(page: str, name: str) -> list[list[str]]:
    """The options of the guide's deploy commands, but for the parameter file, which is the reader's own."""
    text = (PROJECT / "documentation" / "implementation_guide" / page).read_text()
    found = []
    for command in commands(text, name):
        script, *options = shlex.split(command)
        assert script == "./scripts/deploy.sh"
        if "--parameters" in options:
            at = options.index("--parameters")
            del options[at : at + 2]
        found.append(options)
    return found


def write(path: pathlib.Path, values: dict[str, str]) -> None:
    entries = [{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()]
    path.write_text(json.dumps(entries, indent=1))


def values(path: pathlib.Path) -> dict[str, str]:
    return {each["ParameterKey"]: each["ParameterValue"] for each in json.loads(path.read_text())}


@pytest.fixture(scope="session")
def deploy(aws: LocalAws, packages: pathlib.Path, parameters: pathlib.Path) -> Deploy:
    """deploy("--yes", packages=..., parameters=...): the script's words, errors and exit status."""

    def run(*options: str, packages: pathlib.Path = packages, parameters: pathlib.Path = parameters) -> Done:
        command = [str(PROJECT / "scripts" / "deploy.sh"), "--stack-name", STACK, "--endpoint-url", aws.endpoint_url]
        command += ["--region", REGION, "--parameters", str(parameters), "--packages", str(packages), *options]
        credentials = {
            "AWS_ACCESS_KEY_ID": aws.operator.access_key_id,
            "AWS_SECRET_ACCESS_KEY": aws.operator.secret_access_key,
            "PATH": f"{AWS_CLI}:{os.environ['PATH']}",
        }
        done = subprocess.run(
            command, cwd="/", env=os.environ | credentials, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    return run
