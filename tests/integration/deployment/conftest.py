"""deploy.sh and the stock SAM CLI against the embedded AWS, as a user types them, with one build for the session."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from scripts.checks.documentation import commands
from scripts.local_aws.server import LocalAws
from scripts.local_run.production import Production, make_production
from tests.integration.conftest import leave_at_rest

PROJECT = pathlib.Path(__file__).parents[3]
CONFIG = PROJECT / "samconfig.toml"
SAM = PROJECT / ".venv-sam" / "bin"
REGION = "us-east-1"
STACK = "deployed"
_PARAMETERS = "[default.deploy.parameters.parameter_overrides]\n"
Values = dict[str, str | list[str]]
Type = Callable[..., "Done"]


@dataclass(frozen=True)
class Done:
    """What a command said, errors included, and how it ended."""

    status: int
    output: str


@pytest.fixture(scope="package", autouse=True)
def _nothing_goes_on_after_these_tests(aws: LocalAws) -> Iterator[None]:
    yield from leave_at_rest(aws)


@pytest.fixture(scope="session")
def production(aws: LocalAws) -> Production:
    return make_production(aws, REGION)


@pytest.fixture(scope="session")
def environment(aws: LocalAws) -> dict[str, str]:
    """Return what leads the commands to the embedded AWS, and the guide's `sam` to this project's."""
    return os.environ | {
        "AWS_ENDPOINT_URL": aws.endpoint_url,
        "AWS_ACCESS_KEY_ID": aws.operator.access_key_id,
        "AWS_SECRET_ACCESS_KEY": aws.operator.secret_access_key,
        "AWS_DEFAULT_REGION": REGION,
        "SAM_CLI_TELEMETRY": "0",
        "PATH": f"{SAM}:{PROJECT / '.venv' / 'bin'}:{os.environ['PATH']}",
        # The layer for the Python that runs the functions here.
        "LAYER_OPTIONS": "--here",
    }


@pytest.fixture(scope="session")
def type_it(environment: dict[str, str]) -> Type:
    """type_it("sam", "deploy", ..., answer="y"): what a person types, in the project or elsewhere, and answers."""

    def run(*words: str, answer: str = "", directory: pathlib.Path = PROJECT) -> Done:
        done = subprocess.run(
            words, cwd=directory, env=environment, input=answer and f"{answer}\n", stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=600, check=False,
        )  # fmt: skip
        return Done(done.returncode, done.stdout)

    return run


@pytest.fixture(scope="session")
def built(type_it: Type, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return the template that the guide's `sam build` makes, and everything it names beside it."""
    directory = tmp_path_factory.mktemp("build")
    environment = type_it("bash", "-c", "source scripts/environment.sh && make_sam_venv")
    assert environment.status == 0, environment.output
    build, _ = typed("deployment.md", "sam")
    done = type_it(*build, "--build-dir", str(directory))
    assert done.status == 0, done.output
    return directory / "template.yaml"


def typed(page: str, name: str) -> list[list[str]]:
    """Return the words of the guide's commands of that name."""
    text = (PROJECT / "documentation" / "implementation_guide" / page).read_text()
    return [shlex.split(command) for command in commands(text, name)]


def write(path: pathlib.Path, parameters: Values) -> None:
    """Write the project's samconfig.toml with these parameters, and the tests' stack name."""
    head, _, _ = CONFIG.read_text().partition(_PARAMETERS)
    lines = [f"{name} = {json.dumps(value)}\n" for name, value in parameters.items()]
    path.write_text(head.replace('"aurora-restore"', f'"{STACK}"') + _PARAMETERS + "".join(lines))


def values(path: pathlib.Path) -> Values:
    return dict(tomllib.loads(path.read_text())["default"]["deploy"]["parameters"]["parameter_overrides"])


@pytest.fixture(scope="session")
def config(aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Return samconfig.toml with all filled in that stands in angle brackets there, and what these tests need."""
    ec2 = aws.client("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    filled_in: Values = {
        "SourceClusterId": "prod-orders",
        "TargetClusterId": "staging-orders",
        "VpcId": vpc,
        "SubnetIds": sorted(each["SubnetId"] for each in subnets),
    }
    assert {name for name, value in values(CONFIG).items() if "<" in "".join(value)} == filled_in.keys()
    ours: Values = {
        "NamePrefix": STACK,
        # Names that these tests give to what their executions restore.
        "TargetClusterPattern": "*",
        "RdsCaBundlePath": str(aws.rds_ca_bundle),
    }
    path = tmp_path_factory.mktemp("config") / "samconfig.toml"
    write(path, values(CONFIG) | filled_in | ours)
    return path


@pytest.fixture(scope="session")
def sam_deploy(type_it: Type, built: pathlib.Path, config: pathlib.Path) -> Type:
    """sam_deploy(answer="y", config=...): the guide's `sam deploy` with the session's build and that file."""
    _, command = typed("deployment.md", "sam")

    def run(*options: str, answer: str = "", config: pathlib.Path = config) -> Done:
        return type_it(*command, "--config-file", str(config), "--template-file", str(built), *options, answer=answer)

    return run


@pytest.fixture(scope="session")
def deploy(type_it: Type, built: pathlib.Path, config: pathlib.Path) -> Type:
    """deploy("--delete", answer="y", config=..., built=...): deploy.sh with the session's build and that file."""

    def run(*options: str, answer: str = "", config: pathlib.Path = config, built: pathlib.Path = built) -> Done:
        chosen = ["--config-file", str(config), "--template-file", str(built)]
        return type_it("./scripts/deploy.sh", *chosen, *options, answer=answer)

    return run
