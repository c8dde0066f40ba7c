"""Secrets per target, end to end: whose are used, what becomes of them when a run fails or a cluster goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local_run.databases import database_session
from scripts.local_run.proof import Server
from tests.integration.pipeline.support import Pipeline, Run, deletion_of, many_at_once, numbers, settle


def names_of(target: str) -> tuple[str, str]:
    return f"aurora-restore/targets/{target}/admin", f"aurora-restore/targets/{target}/application"


def described(pipeline: Pipeline, name: str) -> dict[str, Any] | None:
    secrets = pipeline.aws.client("secretsmanager")
    try:
        return dict(secrets.describe_secret(SecretId=name))
    except secrets.exceptions.ResourceNotFoundException:
        return None


def is_there(pipeline: Pipeline, name: str) -> bool:
    found = described(pipeline, name)
    return found is not None and "DeletedDate" not in found


def labels(pipeline: Pipeline, name: str) -> dict[str, str]:
    stages = (described(pipeline, name) or {}).get("VersionIdsToStages", {})
    return {label: version for version, attached in stages.items() for label in attached}


def master_opens(pipeline: Pipeline, run: Run, secret: str) -> bool:
    answer = pipeline.aws.client("secretsmanager").get_secret_value(SecretId=secret)
    login = json.loads(answer["SecretString"])
    server = Server(run.output["users"]["endpoint"], run.output["users"]["port"])
    try:
        with database_session(pipeline.aws, server, "postgres", login["username"], login["password"]):
            return True
    except Exception as error:  # noqa: BLE001 - whatever else it is, the test that asks says so
        assert "password authentication failed" in str(error)  # noqa: PT017
        return False


@pytest.fixture
def own_target(pipeline: Pipeline) -> Iterator[str]:
    """The stack's own target."""
    yield "target-orders"
    pipeline.aws.faults.clear()
    pipeline.remove("target-orders")


@pytest.fixture
def made_for_deletion(pipeline: Pipeline) -> Iterator[str]:
    """A cluster that the pipeline has made, with its secrets and a snapshot, and that may be deleted as a source."""
    name = f"prod-target-{next(numbers)}"
    assert pipeline.run({"target_cluster_id": name}).status == "SUCCEEDED"
    pipeline.rds().create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier=f"{name}-snapshot")
    settle(pipeline)
    yield name
    pipeline.remove(name)


@pytest.mark.full
def test_the_stacks_own_target_uses_the_stacks_secrets(pipeline: Pipeline, own_target: str) -> None:
    run = pipeline.run({})
    assert run.status == "SUCCEEDED", run.reason
    outputs = pipeline.place.stack.outputs
    assert run.output["users"]["master_secret"] == outputs["AdminSecretArn"]
    assert run.output["users"]["application_secret"] == outputs["AppSecretArn"]
    assert master_opens(pipeline, run, outputs["AdminSecretArn"])
    assert not any(is_there(pipeline, name) for name in names_of(own_target))


@pytest.mark.full
def test_labels_that_a_failed_run_moved_go_back(pipeline: Pipeline, own_target: str) -> None:
    """The stack's own secret is shared by all runs of its target, one after the other."""
    admin = pipeline.place.stack.outputs["AdminSecretArn"]
    before = labels(pipeline, admin)
    pipeline.aws.faults.add(lifecycle="reset-master-password")
    run = pipeline.run({})
    assert run.status == "FAILED"
    assert pipeline.cluster(own_target) is None
    assert labels(pipeline, admin) == before


def test_another_target_gets_two_of_its_own_and_another_run_for_it_uses_them(pipeline: Pipeline, target: str) -> None:
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    admin, application = names_of(target)
    assert f":secret:{admin}-" in run.output["users"]["master_secret"]
    assert f":secret:{application}-" in run.output["users"]["application_secret"]
    assert labels(pipeline, admin).keys() == {"AWSCURRENT"}
    (message,) = run.messages
    for secret in (run.output["users"]["master_secret"], run.output["users"]["application_secret"]):
        assert secret in message["message"]

    pipeline.remove(target)
    again = pipeline.run({"target_cluster_id": target})
    assert again.status == "SUCCEEDED", again.reason
    assert again.output["users"]["master_secret"] == run.output["users"]["master_secret"]
    assert master_opens(pipeline, again, admin)
    current = labels(pipeline, admin)

    pipeline.remove(target)
    pipeline.aws.faults.add(lifecycle="reset-master-password")
    failed = pipeline.run({"target_cluster_id": target})
    assert failed.status == "FAILED"
    assert labels(pipeline, admin) == current, "they belong to the target, and another operation made them"


def test_a_dry_run_and_a_refused_request_make_none(pipeline: Pipeline, target: str) -> None:
    planned = pipeline.run({"target_cluster_id": target, "dry_run": True})
    assert planned.status == "SUCCEEDED", planned.reason
    (message,) = planned.messages
    assert f"create the secrets {' and '.join(names_of(target))}" in message["message"]
    refused = pipeline.run({"target_cluster_id": target, "db_subnet_group_name": "nowhere"})
    assert refused.followed.error == "RequestRefused"
    assert not any(is_there(pipeline, name) for name in names_of(target))


@pytest.mark.full
def test_a_failed_run_removes_the_secrets_that_it_made_and_a_resumed_one_makes_them_anew(
    pipeline: Pipeline, target: str
) -> None:
    pipeline.aws.faults.add(lifecycle="reset-master-password")
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "FAILED"
    assert pipeline.cluster(target) is None
    assert not any(is_there(pipeline, name) for name in names_of(target))
    (message,) = run.messages
    assert f"created for that cluster: {', '.join(names_of(target))}." in message["message"]
    pipeline.aws.faults.clear()
    resumed = pipeline.run({"operation_id": run.operation_id, "resume": True})
    assert resumed.status == "SUCCEEDED", resumed.reason
    assert all(is_there(pipeline, name) for name in names_of(target))
    assert master_opens(pipeline, resumed, names_of(target)[0])


@pytest.mark.full
def test_a_run_that_is_stopped_before_it_has_a_cluster_leaves_no_secrets(pipeline: Pipeline, target: str) -> None:
    arn = pipeline.start({"target_cluster_id": target})
    while pipeline.state(f"lock#{target}") is None or not all(is_there(pipeline, name) for name in names_of(target)):
        pass
    pipeline.aws.client("stepfunctions").stop_execution(executionArn=arn, error="Stopped", cause="by a test")
    run = pipeline.end(arn)
    assert run.status == "ABORTED"
    if pipeline.cluster(target) is None:
        assert not any(is_there(pipeline, name) for name in names_of(target))


@pytest.mark.full
def test_a_failed_run_whose_cluster_is_kept_keeps_its_secrets(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(lifecycle="create-instance", status="insufficient-capacity")
    run = pipeline.run({"target_cluster_id": target, "on_failure": "keep"})
    assert run.status == "FAILED"
    assert all(is_there(pipeline, name) for name in names_of(target))
    (message,) = run.messages
    assert "The logins of the cluster are in arn:aws:secretsmanager:" in message["message"]


@pytest.mark.full
def test_a_foreign_secret_of_that_name_is_left_alone(pipeline: Pipeline, target: str) -> None:
    secrets, name = pipeline.aws.client("secretsmanager"), names_of(target)[0]
    secrets.create_secret(Name=name, SecretString="somebody's own")
    run = pipeline.run({"target_cluster_id": target})
    assert run.followed.error == "RequestRefused"
    assert f"admin_secret: '{name}' exists and is not this stack's for {target}" in run.reason
    assert secrets.get_secret_value(SecretId=name)["SecretString"] == "somebody's own"
    secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


@pytest.mark.full
def test_they_go_with_their_cluster_and_can_be_restored(
    pipeline: Pipeline, made_for_deletion: str, target: str
) -> None:
    run = pipeline.run(deletion_of(made_for_deletion, target))
    assert run.status == "SUCCEEDED", run.reason
    assert pipeline.cluster(made_for_deletion) is None
    (message,) = run.messages
    for name in names_of(made_for_deletion):
        assert not is_there(pipeline, name)
        assert f"Secret {name} is deleted with its cluster {made_for_deletion}." in message["message"]
        assert f"aws secretsmanager restore-secret --secret-id {name}" in message["message"]
    assert all(is_there(pipeline, name) for name in names_of(target))

    again = pipeline.run({"target_cluster_id": made_for_deletion})
    assert again.followed.error == "RequestRefused"
    assert f"restore-secret --secret-id {names_of(made_for_deletion)[0]}" in again.reason


def each_has_a_login_of_its_own(pipeline: Pipeline, runs: list[Run]) -> None:
    assert {run.status for run in runs} == {"SUCCEEDED"}, [run.reason for run in runs]
    admins = [run.output["users"]["master_secret"] for run in runs]
    assert len(set(admins)) == len({run.output["users"]["application_secret"] for run in runs}) == len(runs)
    secrets = pipeline.aws.client("secretsmanager")
    values = [json.loads(secrets.get_secret_value(SecretId=admin)["SecretString"]) for admin in admins]
    assert len({value["password"] for value in values}) == len(runs)
    for position, run in enumerate(runs):
        assert master_opens(pipeline, run, admins[position])
        assert not master_opens(pipeline, run, admins[position - 1])
        assert pipeline.holder(run.output["plan"]["target_cluster_id"]) is None


@pytest.mark.full
@pytest.mark.parametrize("number", [36, *(pytest.param(number, marks=pytest.mark.series) for number in (10, 20))])
def test_many_runs_at_once_all_succeed(pipeline: Pipeline, number: int) -> None:
    """What a fleet's first night would be: each target once, all in the same minute."""
    with many_at_once(pipeline, number) as runs:
        each_has_a_login_of_its_own(pipeline, runs)
