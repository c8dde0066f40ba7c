"""The stack of `run_local.sh --serve`, deployed at once, is updated by deploy.sh as the page on local runs has it."""

from __future__ import annotations

import json
import pathlib
import re

import pytest
from rich.console import Console

from scripts.checks.documentation import LOCAL_RUN, commands
from scripts.local_aws.server import LocalAws
from scripts.local_run import stage
from scripts.local_run.following import follow
from scripts.local_run.production import Production
from tests.integration.deployment.conftest import Type

STACK = "served"
OVERRIDES = {
    # The page's stack has the template's names, which are those of other tests.
    "NamePrefix": STACK,
    "StateTableName": "ServedState",
    "AuditTableName": "ServedAudit",
    "TargetClusterId": "served-target",
}


@pytest.fixture(scope="module")
def place(aws: LocalAws, production: Production) -> stage.Stage:
    return stage.deploy(aws, cross_region=False, overrides=OVERRIDES, stack_name=STACK)


@pytest.fixture
def script(built: pathlib.Path, tmp_path: pathlib.Path) -> str:
    """Return what the page has a person type, with these tests' file, stack and build."""
    *written, deployed = commands(LOCAL_RUN.read_text(), "served")
    text = "\n".join(["set -e", *written, f"{deployed} --stack-name {STACK} --template-file {built}"])
    return re.sub(r"\bserved\.toml", str(tmp_path / "served.toml"), text)


@pytest.mark.full
def test_an_update_that_fails_goes_back_to_what_is_served(
    aws: LocalAws, type_it: Type, place: stage.Stage, script: str
) -> None:
    before = planned_instances(aws, place)
    wrong = script.replace('InstanceCount = "1"', 'ScheduleState = "ENABLED"\nScheduleExpression = "cron(0 7 * * *)"')
    assert wrong != script
    done = type_it("bash", "-c", wrong)
    assert done.status == 1, done.output
    assert status(aws) == "UPDATE_ROLLBACK_COMPLETE", done.output
    assert planned_instances(aws, place) == before


@pytest.mark.full
def test_it_is_updated_as_the_page_says(aws: LocalAws, type_it: Type, place: stage.Stage, script: str) -> None:
    assert planned_instances(aws, place) == 2
    done = type_it("bash", "-c", script)
    assert done.status == 0, done.output
    assert status(aws) == "UPDATE_COMPLETE"
    assert planned_instances(aws, place) == 1


def status(aws: LocalAws) -> str:
    (found,) = aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    return str(found["StackStatus"])


def planned_instances(aws: LocalAws, place: stage.Stage) -> int:
    """Return of how many instances the served functions plan a cluster."""
    states, request = aws.client("stepfunctions"), json.dumps({"dry_run": True})
    began = states.start_execution(stateMachineArn=place.state_machine_arn, input=request)
    followed = follow(aws, began["executionArn"], Console(quiet=True))
    assert followed.status == "SUCCEEDED", followed.reason()
    return len(followed.output["cluster"]["instances"])
