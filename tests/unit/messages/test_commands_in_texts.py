"""Every command in a text for people: AWS's own command line takes it, and a test types it where it changes something.

The commands are taken out of the source, so that a new one cannot be added without its line here.
"""

from __future__ import annotations

import ast
import re
import shlex

import pytest

from tests.commands_typed import BY_HAND, TYPED
from tests.unit.messages.commands_in_source import ROOT, Command, commands_in_source
from tests.unit.messages.typed_command import filled_in, placeholders, why_refused

ARN = "arn:aws:states:us-east-1:123456789012"
# What stands for the parts that the source fills in; whatever isn't named here is one word.
SAMPLES = {
    "ENGINE": "aurora-postgresql",
    "command": "db-cluster-parameter-group",
    "given": "--db-instance-class db.r6g.large --promotion-tier 1",
    "here": "--region us-east-1",
    "protection_off": "--no-deletion-protection --apply-immediately",
    "unprotected": "--no-deletion-protection --apply-immediately",
    "secret": "--secret-id aurora-restore/application --region us-east-1",
    "shlex.quote(given)": '\'{"target_cluster_id": "staging"}\'',
    "start": "aws stepfunctions start-execution --state-machine-arn sample",
    "whole": "aws stepfunctions describe-execution --execution-arn sample --query input --output text",
    "listed": '"ParameterName=max_logical_replication_workers,ParameterValue=0,ApplyMethod=pending-reboot"',
    "before": "6f1e4b0a-9c59-4a52-8d4f-2f8c4e1d7a31",
    "current": "6f1e4b0a-9c59-4a52-8d4f-2f8c4e1d7a32",
    "earliest": "2026-03-10T02:59:30Z",
    "kind": "cluster",
    "latest": "2026-03-10T03:00:30Z",
    "ours": "6f1e4b0a-9c59-4a52-8d4f-2f8c4e1d7a31",
    "pair": "UserIdGroupPairs=[{GroupId=sg-0123}]",
    "ports": "FromPort=5432,ToPort=5432",
    "machine.region": "us-east-1",
    "Arn.parse(execution_id).region": "us-east-1",
    "Arn.parse(record.execution_id).region": "us-east-1",
    "Arn.parse(state.execution_id).region": "us-east-1",
    "Arn.parse(found.arn).region": "us-east-1",
}
COMMANDS = commands_in_source(SAMPLES)
# Finished by other texts, in which their names stand for them.
UNFINISHED = {SAMPLES["start"], SAMPLES["whole"]}
# Any serves.
WITHOUT_REGION = ("aws sts ",)


def of_aws() -> list[Command]:
    """All but what logs a person in, which calls none of AWS's services."""
    return [each for each in COMMANDS if each.text.startswith("aws ") and each.operation != "aws sso login"]


def named(command: Command) -> str:
    return f"{command.module}:{command.line}: {command.text}"


def test_the_source_has_commands() -> None:
    assert len(of_aws()) > 60


def test_awss_own_command_line_takes_every_command() -> None:
    commands = of_aws()
    answers = why_refused([each.text for each in commands])
    wrong = [f"{named(each)}\n{said}" for each, said in zip(commands, answers, strict=True) if said is not None]
    assert wrong == []


def test_it_refuses_a_wrong_one() -> None:
    """Or the test above couldn't fail."""
    wrong = [
        "aws rds delete-db-cluser --db-cluster-identifier x",
        "aws rds delete-db-cluster --skip-final-snapshot",
        "aws rds delete-db-cluster --db-cluster-identifier x --skip-final-snapshots yes",
        "aws rds create-db-instance --db-instance-identifier x --db-instance-class y --engine z --promotion-tier first",
        "aws rds wait db-cluster-gone --db-cluster-identifier x",
        "aws rds describe-db-clusters --filters db-cluster-id=x",
        "aws kms enable-key --key-id ''",
    ]
    answers = why_refused([f"{command} --region us-east-1" for command in wrong])
    taken = [command for command, said in zip(wrong, answers, strict=True) if said is None]
    assert not taken, "\n".join(taken)


def test_a_command_names_its_region() -> None:
    """Elsewhere, a cluster of the same name may be production's."""
    nowhere = [
        named(each)
        for each in of_aws()
        if each.text not in UNFINISHED
        and not each.text.startswith(WITHOUT_REGION)
        and "--region" not in shlex.split(each.text)
    ]
    assert not nowhere, "\n".join(nowhere)


def test_a_command_can_be_told_from_the_text_around_it() -> None:
    """It is the last of its line, or in backticks."""
    run_on = [named(each) for each in of_aws() if each.behind != "" and not each.is_in_backticks]
    assert not run_on, "\n".join(run_on)


def test_what_is_to_be_filled_in_stands_in_capitals() -> None:
    wrong = [named(each) for each in of_aws() if "<" in each.text or placeholders(filled_in(each.text))]
    assert not wrong, "\n".join(wrong)


def changing() -> set[tuple[str, str]]:
    return {(each.module, each.operation) for each in COMMANDS if not each.only_looks}


def test_whatever_changes_something_is_typed_by_a_test_or_there_is_a_reason() -> None:
    assert changing() == TYPED.keys() | BY_HAND.keys()
    assert not TYPED.keys() & BY_HAND.keys()


@pytest.mark.parametrize(("file", "test"), sorted({place for places in TYPED.values() for place in places}))
def test_the_tests_that_type_are_there(file: str, test: str) -> None:
    path = ROOT / "tests" / file
    assert test in {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_a_script_and_its_options_exist() -> None:
    for command in COMMANDS:
        if command.text.startswith("./scripts/"):
            script = ROOT / command.operation
            assert script.exists()
            package = {"deploy": "deploy", "run_local": "local_run", "build_lambda_packages": "packages"}[script.stem]
            source = "".join(path.read_text() for path in (ROOT / "scripts" / package).rglob("*.py"))
            for option in re.findall(r"--[a-z-]+", command.text):
                assert f'"{option}"' in source
