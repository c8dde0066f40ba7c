"""What a message tells people to type works when it is typed: each command is taken out of it and run by AWS's CLI."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
import subprocess
import sys
import time
from typing import Any

import pytest

from scripts.local_run.production import CLUSTER
from scripts.local_run.stage import REGION
from tests.integration.pipeline.support import Pipeline, Run, deletion_of, settle

CLI = pathlib.Path(sys.executable).parent


def commands(message: str, wanted: str = "") -> list[str]:
    """The commands of a message, in its order."""
    return [
        line.strip()
        for line in message.splitlines()
        if line.strip().startswith("aws ") and re.search(wanted, line) is not None
    ]


class Reader:
    """Somebody with the rights of an administrator who has read the message and types what it says."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def type(self, command: str) -> str:
        """Run one command in a shell, as it stands. Fails where the command does."""
        place = self._pipeline.aws
        typed = subprocess.run(
            [
                "bash",
                "-c",
                f'set -euo pipefail\naws() {{ command aws --endpoint-url {place.endpoint_url} "$@"; }}\n{command}',
            ],
            env=place.operator.environment()
            | {
                "PATH": f"{CLI}:{os.environ['PATH']}",
                "AWS_PAGER": "",
                "AWS_EC2_METADATA_DISABLED": "true",
                "HOME": "/nonexistent",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert typed.returncode == 0, f"{command}\n{typed.stderr}"
        return typed.stdout

    def start(self, command: str) -> Run:
        """Type a command that starts an execution, and wait for its end."""
        mark = self._pipeline.last_call()
        (arn,) = re.findall(r'"executionArn": "([^"]+)"', self.type(command))
        return self._pipeline.end(arn, mark)


@pytest.fixture
def reader(pipeline: Pipeline) -> Reader:
    return Reader(pipeline)


def message_of(run: Run, status: str = "FAILED") -> str:
    assert run.status == status, run.reason
    (message,) = run.messages
    return message["message"]


def members(pipeline: Pipeline, cluster: str) -> dict[str, str]:
    found = pipeline.rds().describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [cluster]}])
    return {each["DBInstanceIdentifier"]: each["DBInstanceStatus"] for each in found["DBInstances"]}


# The source's deletion stopped half way


def half_deleted(pipeline: Pipeline, doomed: str, target: str) -> str:
    """RDS refuses the cluster's deletion after its instances', against all that it had said."""
    pipeline.aws.faults.add(operation="rds:DeleteDBCluster", code="SnapshotQuotaExceeded", message="No.")
    message = message_of(pipeline.run(deletion_of(doomed, target)))
    settle(pipeline)
    return message


def test_a_half_deleted_source_comes_first_in_the_message_and_is_brought_back_by_it(
    pipeline: Pipeline, reader: Reader, doomed: str, target: str
) -> None:
    before = {
        each["DBInstanceIdentifier"]: (each["DBInstanceClass"], each["PromotionTier"])
        for each in pipeline.rds().describe_db_instances()["DBInstances"]
        if each["DBClusterIdentifier"] == doomed
    }
    message = half_deleted(pipeline, doomed, target)
    first = message.splitlines()[0]
    assert first.startswith(f"Source cluster {doomed} stands WITHOUT INSTANCES")
    assert "Nothing of its data is lost" in first
    assert members(pipeline, doomed) == {}
    for command in commands(message, f"db-instance-deleted|create-db-instance .* {doomed} "):
        reader.type(command)
    settle(pipeline)
    after = pipeline.rds().describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [doomed]}])
    assert before == {
        each["DBInstanceIdentifier"]: (each["DBInstanceClass"], each["PromotionTier"]) for each in after["DBInstances"]
    }
    found = pipeline.cluster(doomed)
    assert found is not None
    (writer,) = [each["DBInstanceIdentifier"] for each in found["DBClusterMembers"] if each["IsClusterWriter"]]
    assert writer == f"{doomed}-1"


def test_a_half_deleted_source_is_deleted_by_the_messages_command(
    pipeline: Pipeline, reader: Reader, doomed: str, target: str
) -> None:
    (resume, *_) = commands(half_deleted(pipeline, doomed, target), "start-execution")
    second = reader.start(resume)
    assert second.status == "SUCCEEDED", second.reason
    assert pipeline.cluster(doomed) is None


def test_what_rds_would_refuse_half_way_leaves_production_whole(
    pipeline: Pipeline, reader: Reader, doomed: str, target: str
) -> None:
    """The final snapshot's name, its room and that of retained backups are taken after the plan was made."""
    quotas, rds, mark = pipeline.aws.aurora.quotas, pipeline.rds(), pipeline.last_call()
    arn = pipeline.start(deletion_of(doomed, target))
    while (state := pipeline.state(arn.rsplit(":", 1)[-1])) is None:
        time.sleep(0.01)
    final = state["plan"]["M"]["source_deletion"]["M"]["final_snapshot_identifier"]["S"]
    rds.create_db_cluster_snapshot(DBClusterIdentifier=CLUSTER, DBClusterSnapshotIdentifier=final)
    pipeline.aws.aurora.quotas = dataclasses.replace(quotas, manual_cluster_snapshots=0)
    retained = pipeline.aws.aurora.region(REGION).retained_backups
    others = {f"cluster-{number}": {"Status": "retained"} for number in range(quotas.clusters)}
    retained.update(others)
    try:
        first = pipeline.end(arn, mark)
        message = message_of(first)
        cause = message[message.index("Source cluster ") :].splitlines()
        assert cause[0] == f"Source cluster {doomed} is there with all its instances: nothing of it was deleted."
        assert not {"DeleteDBInstance", "DeleteDBCluster"} & set(first.changes)
        assert set(members(pipeline, doomed).values()) == {"available"}
        looks = re.findall(r"aws rds describe-[^\n]*--region \S+", "\n".join(cause[:4]))
        assert len(looks) == 3
        for command in looks:
            reader.type(command)
    finally:
        pipeline.aws.aurora.quotas = quotas
        for each in others:
            del retained[each]
    settle(pipeline)
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=final)
    second = reader.start(commands(message, "start-execution")[0])
    assert second.status == "SUCCEEDED", second.reason
    assert pipeline.cluster(doomed) is None


def test_a_reader_that_appears_while_the_source_is_going_is_reported_with_what_is_gone(
    pipeline: Pipeline, reader: Reader, doomed: str, target: str
) -> None:
    pipeline.aws.faults.add(operation="rds:DeleteDBCluster", code="InvalidDBClusterStateFault", times=3)
    arn = pipeline.start(deletion_of(doomed, target))
    while f"{doomed}-2" in (found := members(pipeline, doomed)) and found[f"{doomed}-2"] != "deleting":
        time.sleep(0.01)
    pipeline.rds().create_db_instance(
        DBInstanceIdentifier=f"{doomed}-9",
        DBClusterIdentifier=doomed,
        Engine="aurora-postgresql",
        DBInstanceClass="db.r6g.large",
    )
    message = message_of(pipeline.end(arn))
    assert message.splitlines()[0].startswith(f"Source cluster {doomed} is PARTLY deleted. Instances ")
    assert f"Still there: {doomed}-9" in message.splitlines()[0]
    assert "left alone" not in message
    settle(pipeline)
    (remove,) = set(
        re.findall(rf"aws rds delete-db-instance --db-instance-identifier {doomed}-9 --region \S+", message)
    )
    reader.type(remove)
    settle(pipeline)
    second = reader.start(commands(message, "start-execution")[0])
    assert second.status == "SUCCEEDED", second.reason
    assert pipeline.cluster(doomed) is None


# The snapshot is gone


def test_where_the_snapshot_is_gone_the_message_starts_anew_with_another(
    pipeline: Pipeline, reader: Reader, target: str
) -> None:
    rds = pipeline.rds()
    rds.create_db_cluster_snapshot(DBClusterIdentifier=CLUSTER, DBClusterSnapshotIdentifier="monday")
    settle(pipeline)
    pipeline.aws.faults.add(operation="rds:RestoreDBClusterFromSnapshot", code="TooBusy", times=1)
    arn = pipeline.start({"target_cluster_id": target, "snapshot_identifier": "monday"})
    while pipeline.state(arn.rsplit(":", 1)[-1]) is None:
        time.sleep(0.01)
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="monday")
    message = message_of(pipeline.end(arn))
    assert "doesn't exist any more, so this operation can't be resumed." in message
    assert "resume this operation" not in message
    for command in commands(message, "describe-"):
        reader.type(command)
    second = reader.start(commands(message, "start-execution")[-1])
    assert second.status == "SUCCEEDED", second.reason
    assert second.output["plan"]["snapshot"]["cluster_identifier"] == CLUSTER


def test_a_resumption_that_is_refused_for_its_snapshot_ends_in_a_new_start(
    pipeline: Pipeline, reader: Reader, target: str
) -> None:
    rds = pipeline.rds()
    rds.create_db_cluster_snapshot(DBClusterIdentifier=CLUSTER, DBClusterSnapshotIdentifier="tuesday")
    settle(pipeline)
    pipeline.aws.faults.add(
        operation="rds:RestoreDBClusterFromSnapshot", code="DBClusterSnapshotNotFoundFault", times=1
    )
    first = pipeline.run({"target_cluster_id": target, "snapshot_identifier": "tuesday"})
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="tuesday")
    refused = reader.start(commands(message_of(first), "start-execution")[0])
    message = message_of(refused)
    assert refused.followed.error == "RequestRefused"
    third = reader.start(commands(message, "start-execution")[-1])
    assert third.status == "SUCCEEDED", third.reason
    assert third.output["plan"]["target_cluster_id"] == target


# A cluster that can't be used


def test_a_cluster_that_cant_be_used_isnt_offered_for_use_and_is_given_up_as_the_message_says(
    pipeline: Pipeline, reader: Reader, target: str
) -> None:
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    message = message_of(pipeline.run({"target_cluster_id": target, "on_failure": "keep"}))
    assert "Or use the cluster" not in message
    giving_up = message.index("Or give it up")
    for command in commands(message[giving_up:], "modify-db-cluster|delete-"):
        reader.type(command)
    settle(pipeline)
    (wait,) = commands(message[giving_up:], "aws rds wait")
    reader.type(wait)
    second = reader.start(commands(message[giving_up:], "start-execution")[0])
    assert second.status == "SUCCEEDED", second.reason


# It was stopped


def test_what_a_stopped_run_may_still_make_is_named_and_can_be_looked_for(
    pipeline: Pipeline, reader: Reader, target: str
) -> None:
    arn = pipeline.start({"target_cluster_id": target})
    while pipeline.state(f"lock#{target}") is None:
        time.sleep(0.005)
    stop = f"aws stepfunctions stop-execution --execution-arn {arn} --region {REGION} --error Mine --cause mine"
    reader.type(stop)
    message = message_of(pipeline.end(arn), "ABORTED")
    assert "may still be finishing, so these may appear within minutes: " in message
    assert target in message.split("within minutes: ")[1].splitlines()[0]
    for command in commands(message, "describe-"):
        reader.type(command)
    second = reader.start(commands(message, "start-execution")[0])
    assert second.status == "SUCCEEDED", second.reason


@pytest.mark.parametrize(("field", "value"), [("port", 80), ("no_such_field", 1)])
def test_a_refused_request_is_started_again_as_the_message_says_once_it_is_corrected(
    pipeline: Pipeline, reader: Reader, target: str, field: str, value: Any
) -> None:
    message = message_of(pipeline.run({"target_cluster_id": target, "dry_run": True, field: value}))
    (start,) = commands(message, "start-execution")
    corrected = start.replace(f', "{field}": {value}', "")
    assert corrected != start
    assert reader.start(corrected).status == "SUCCEEDED"


def test_a_mistyped_operation_id_begins_nothing_and_the_message_lists_what_there_is(
    pipeline: Pipeline, reader: Reader, target: str
) -> None:
    run = pipeline.run({"target_cluster_id": target, "operation_id": "mistyped", "resume": True})
    message = message_of(run)
    assert run.changes == []
    (listing,) = re.findall(r"aws stepfunctions list-executions [^\n]*--region \S+", message)
    assert run.operation_id in reader.type(listing)
