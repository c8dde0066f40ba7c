"""What a message tells people to type works when it is typed: each command is taken out of it and run by AWS's CLI."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local_run.production import CLUSTER
from scripts.local_run.stage import OTHER_REGION, REGION
from tests.integration.pipeline.reader import Reader, commands, inline, reading
from tests.integration.pipeline.support import Pipeline, Run, deletion_of, numbers, settle, until


@pytest.fixture
def reader(pipeline: Pipeline, request: pytest.FixtureRequest) -> Iterator[Reader]:
    yield from reading(pipeline, request)


def message_of(run: Run, status: str = "FAILED") -> str:
    assert run.status == status, run.reason
    (message,) = run.messages
    return message["message"]


def members(pipeline: Pipeline, cluster: str) -> dict[str, str]:
    found = pipeline.rds().describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [cluster]}])
    return {each["DBInstanceIdentifier"]: each["DBInstanceStatus"] for each in found["DBInstances"]}


# The source's deletion stopped half way


def half_deleted(pipeline: Pipeline, doomed: str, target: str, **more: Any) -> str:
    """RDS refuses the cluster's deletion after its instances', against all that it had said."""
    pipeline.aws.faults.add(operation="rds:DeleteDBCluster", code="SnapshotQuotaExceeded", message="No.")
    message = message_of(pipeline.run(deletion_of(doomed, target, **more)))
    settle(pipeline)
    return message


@pytest.mark.full
def test_a_half_deleted_source_comes_first_in_the_message_and_is_brought_back_by_it(
    pipeline: Pipeline, reader: Reader, doomed: str, target: str
) -> None:
    before = {
        each["DBInstanceIdentifier"]: (each["DBInstanceClass"], each["PromotionTier"])
        for each in pipeline.rds().describe_db_instances()["DBInstances"]
        if each["DBClusterIdentifier"] == doomed
    }
    pipeline.rds().modify_db_cluster(DBClusterIdentifier=doomed, DeletionProtection=True, ApplyImmediately=True)
    settle(pipeline)
    message = half_deleted(pipeline, doomed, target, override_deletion_protection=True)
    first = message.splitlines()[0]
    assert first.startswith(f"Source cluster {doomed} is WITHOUT INSTANCES")
    assert "None of its data is lost" in first
    assert members(pipeline, doomed) == {}
    for command in commands(message[message.index("Or keep source cluster") :]):
        reader.type(command)
    settle(pipeline)
    after = pipeline.rds().describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [doomed]}])
    assert before == {
        each["DBInstanceIdentifier"]: (each["DBInstanceClass"], each["PromotionTier"]) for each in after["DBInstances"]
    }
    found = pipeline.cluster(doomed)
    assert found is not None
    assert found["DeletionProtection"] is True
    (writer,) = [each["DBInstanceIdentifier"] for each in found["DBClusterMembers"] if each["IsClusterWriter"]]
    assert writer == f"{doomed}-1"


@pytest.mark.full
def test_a_half_deleted_source_is_deleted_by_the_messages_command(
    pipeline: Pipeline, reader: Reader, doomed: str, target: str
) -> None:
    (resume, *_) = commands(half_deleted(pipeline, doomed, target), "start-execution")
    second = reader.start(resume)
    assert second.status == "SUCCEEDED", second.reason
    assert pipeline.cluster(doomed) is None


@pytest.mark.full
def test_what_rds_would_refuse_half_way_leaves_production_whole(
    pipeline: Pipeline, reader: Reader, doomed: str, target: str
) -> None:
    """The final snapshot's name, its room and that of retained backups are taken after the plan was made."""
    quotas, rds, mark = pipeline.aws.aurora.quotas, pipeline.rds(), pipeline.last_call()
    arn = pipeline.start(deletion_of(doomed, target))
    state = until(lambda: pipeline.state(arn.rsplit(":", 1)[-1]), "that the run has a state")
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
        assert cause[0] == f"Source cluster {doomed} exists with all its instances: nothing of it was deleted."
        assert not {"DeleteDBInstance", "DeleteDBCluster"} & set(first.changes)
        assert set(members(pipeline, doomed).values()) == {"available"}
        looks = re.findall(r"aws rds describe-[^\n`]*--region [a-z0-9-]+", "\n".join(cause[:4]))
        assert len(looks) == 3
        for command in looks:
            reader.type(command)
        reader.type(inline(message, "aws rds delete-db-cluster-automated-backup"), ID=others.popitem()[0])
    finally:
        pipeline.aws.aurora.quotas = quotas
        for each in others:
            retained.pop(each, None)
    settle(pipeline)
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=final)
    second = reader.start(commands(message, "start-execution")[0])
    assert second.status == "SUCCEEDED", second.reason
    assert pipeline.cluster(doomed) is None


@pytest.mark.full
def test_a_reader_that_appears_while_the_source_is_going_is_reported_with_what_is_gone(
    pipeline: Pipeline, reader: Reader, doomed: str, target: str
) -> None:
    pipeline.aws.faults.add(operation="rds:DeleteDBCluster", code="InvalidDBClusterStateFault", times=3)
    arn = pipeline.start(deletion_of(doomed, target))
    until(
        lambda: members(pipeline, doomed).get(f"{doomed}-2", "deleting") == "deleting",
        "that the second member is going",
    )
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
    reader.type(inline(message, "aws rds delete-db-instance"))
    settle(pipeline)
    second = reader.start(commands(message, "start-execution")[0])
    assert second.status == "SUCCEEDED", second.reason
    assert pipeline.cluster(doomed) is None


@pytest.mark.full
def test_whatever_keeps_the_source_is_taken_away_as_each_message_says(
    pipeline: Pipeline, reader: Reader, doomed: str, target: str
) -> None:
    """One obstacle after another, each found by the run that the message before it has resumed."""
    rds = pipeline.rds()
    arn = pipeline.start(deletion_of(doomed, target, delete_automated_backups=True))
    until(lambda: pipeline.state(arn.rsplit(":", 1)[-1]), "the run's state")
    rds.modify_db_cluster(DBClusterIdentifier=doomed, DeletionProtection=True, ApplyImmediately=True)
    message = message_of(pipeline.end(arn))
    assert f"The source cluster was not changed. Cluster {target} is complete" in message.splitlines()[0]
    reader.type(inline(message, "aws rds modify-db-cluster .*--no-deletion-protection"))
    settle(pipeline)

    # AWS Backup has taken the backups over since the plan: RDS deletes none of those.
    pipeline.aws.aurora.back_up_continuously(doomed)
    message = message_of(reader.start(commands(message, "start-execution")[0]))
    assert "The automated backups are kept if you resume this operation" in message
    last = reader.start(commands(message, "start-execution")[0])
    assert last.status == "SUCCEEDED", last.reason
    assert pipeline.cluster(doomed) is None
    assert "automated backups kept" in message_of(last, "SUCCEEDED")


# The snapshot is gone


@pytest.mark.full
def test_where_the_snapshot_is_gone_the_message_starts_anew_with_another(
    pipeline: Pipeline, reader: Reader, target: str
) -> None:
    rds = pipeline.rds()
    rds.create_db_cluster_snapshot(DBClusterIdentifier=CLUSTER, DBClusterSnapshotIdentifier="monday")
    settle(pipeline)
    pipeline.aws.faults.add(operation="rds:RestoreDBClusterFromSnapshot", code="TooBusy", times=1)
    arn = pipeline.start({"target_cluster_id": target, "snapshot_identifier": "monday"})
    until(lambda: pipeline.state(arn.rsplit(":", 1)[-1]), "that the run has a state")
    rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier="monday")
    message = message_of(pipeline.end(arn))
    assert "no longer exists, so this operation cannot be resumed." in message
    assert "resume this operation" not in message
    for command in commands(message, "describe-"):
        reader.type(command)
    second = reader.start(commands(message, "start-execution")[-1])
    assert second.status == "SUCCEEDED", second.reason
    assert second.output["plan"]["snapshot"]["cluster_identifier"] == CLUSTER


@pytest.mark.full
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


@pytest.mark.full
def test_a_cluster_that_cant_be_used_isnt_offered_for_use_and_is_given_up_as_the_message_says(
    pipeline: Pipeline, reader: Reader, target: str
) -> None:
    request = {"target_cluster_id": target, "on_failure": "keep", "deletion_protection": True}
    pipeline.aws.faults.add(lifecycle="create-instance", status="insufficient-capacity")
    message = message_of(pipeline.run(request))
    assert message.splitlines()[0] == (
        f"The source cluster was not changed. Cluster {target} is not ready for use: it is insufficient-capacity."
    )
    assert "While it exists, its storage and its instances cost money: 1 x db.r6g.large." in message
    reader.type(inline(message, "Delete the instance, then resume.*?: aws").partition(": ")[2])
    settle(pipeline)
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    message = message_of(reader.start(commands(message, "start-execution")[0]))
    reader.type(inline(message, "aws rds describe-events"))
    assert "Or use the cluster" not in message
    giving_up = message.index("Or delete it with its instances")
    for command in commands(message[giving_up:], "modify-db-cluster|delete-"):
        reader.type(command)
        settle(pipeline)
    (wait,) = commands(message[giving_up:], "aws rds wait")
    reader.type(wait)
    second = reader.start(commands(message[giving_up:], "start-execution")[0])
    assert second.status == "SUCCEEDED", second.reason


# A copy that can't be used


@pytest.mark.full
def test_a_broken_copy_is_deleted_as_each_message_says(
    pipeline: Pipeline, reader: Reader, distant_production: Any, key: str, target: str
) -> None:
    pipeline.aws.faults.add(lifecycle="copy-snapshot", status="failed", at_percent=40, times=2)
    request = {"target_cluster_id": target, "source_region": OTHER_REGION, "kms_key_id": key, "on_failure": "keep"}
    message = message_of(pipeline.run(request))
    reader.type(commands(message, "delete-db-cluster-snapshot")[0])
    settle(pipeline)
    second = reader.start(commands(message, "start-execution")[0])
    assert "will not become available" in second.reason, "it was copied anew"
    message = message_of(second)
    refusal = message_of(reader.start(commands(message, "start-execution")[0]))
    reader.type(inline(refusal, "aws rds delete-db-cluster-snapshot"))
    settle(pipeline)
    last = reader.start(refusal.splitlines()[-1].strip())
    assert last.status == "SUCCEEDED", last.reason


# It was stopped


@pytest.mark.full
def test_what_a_stopped_run_may_still_make_is_named_and_can_be_looked_for(
    pipeline: Pipeline, reader: Reader, target: str
) -> None:
    faults = pipeline.aws.faults
    # At its first wait, for as long as it takes to type.
    faults.add(operation="dynamodb:PutItem", parameters={"Item": "*task_token*"}, answer="held")
    arn = pipeline.start({"target_cluster_id": target})
    until(lambda: faults.held, "that the run waits")
    stop = f"aws stepfunctions stop-execution --execution-arn {arn} --region {REGION} --error Mine --cause mine"
    reader.type(stop)
    message = message_of(pipeline.end(arn), "ABORTED")
    faults.release()
    assert "may still be finishing, so these may appear within minutes: " in message
    assert target in message.split("within minutes: ")[1].splitlines()[0]
    for command in commands(message, "describe-"):
        reader.type(command)
    second = reader.start(commands(message, "start-execution")[0])
    assert second.status == "SUCCEEDED", second.reason


# It was refused


def refused(pipeline: Pipeline, **given: Any) -> str:
    """The message of a dry run that is refused."""
    run = pipeline.run({"dry_run": True, **given})
    assert run.followed.error == "RequestRefused", run.reason
    return message_of(run)


def told(run: Run, words: str) -> str:
    """The message with these words, of those that were sent while a run was followed."""
    found = [each["message"] for each in run.messages if words in each["message"]]
    assert found, (run.status, run.reason, run.messages)
    return found[0]


def planned(reader: Reader, message: str, **filled_in: str) -> str:
    """The message of the dry run that a refusal's last line starts."""
    start = message.splitlines()[-1].strip()
    return message_of(reader.start(start, **filled_in), "SUCCEEDED")


def test_a_refused_request_has_words_for_what_the_reader_has_to_say(
    pipeline: Pipeline, reader: Reader, target: str
) -> None:
    message = refused(
        pipeline, target_cluster_id=target, port=80, db_instance_class="r6g", no_such_field=1, quarentine=False
    )
    assert message.splitlines()[0] == "Nothing was created, changed or deleted by this execution."
    assert "Put your own value in place of PORT, DB_INSTANCE_CLASS, as said above." in message
    start = message.splitlines()[-1].strip()
    with pytest.raises(AssertionError, match="InvalidExecutionInput"):
        reader.type(start)
    plan = planned(reader, message, PORT="5433", DB_INSTANCE_CLASS="db.r6g.large")
    assert "port 5433 [request]" in plan
    assert "To carry it out:" in plan


@pytest.mark.full
def test_groups_that_wont_do_are_made_as_the_refusal_says(pipeline: Pipeline, reader: Reader, target: str) -> None:
    default = [{"Name": "default-for-az", "Values": ["true"]}]
    found = pipeline.aws.client("ec2").describe_subnets(Filters=default)["Subnets"]
    subnets = [each["SubnetId"] for each in found]
    pipeline.rds().create_db_subnet_group(
        DBSubnetGroupName="other-one-zone", DBSubnetGroupDescription="one zone", SubnetIds=subnets
    )
    del pipeline.aws.aurora.region(REGION).subnet_group("other-one-zone")["Subnets"][1:]
    asked = {"target_cluster_id": target, "db_subnet_group_name": "other-one-zone"}
    message = refused(pipeline, **asked, db_cluster_parameter_group_name="made-as-said", quarantine=False)
    reader.type(inline(message, "aws rds modify-db-subnet-group"), IDS=" ".join(subnets))
    reader.type(inline(message, "aws rds create-db-cluster-parameter-group"), TEXT="tuned")
    planned(reader, message)
    message = refused(pipeline, **asked, quarantine=True)
    both = inline(message, "aws rds create-db-cluster-parameter-group")
    reader.type(both)
    name = re.findall(r"--db-cluster-parameter-group-name (\S+)", both)[0]
    planned(reader, message, DB_CLUSTER_PARAMETER_GROUP_NAME=name)
    del pipeline.aws.aurora.region(REGION).groups["cluster-pg"][name]  # the quarantine's own test makes it too


@pytest.mark.full
def test_a_key_that_isnt_enabled_is_enabled_as_the_refusal_says(
    pipeline: Pipeline, reader: Reader, target: str
) -> None:
    kms = pipeline.aws.client("kms")
    key = kms.create_key(Description="out of use")["KeyMetadata"]["KeyId"]
    kms.disable_key(KeyId=key)
    message = refused(pipeline, target_cluster_id=target, kms_key_id=key)
    reader.type(inline(message, "aws kms enable-key"))
    planned(reader, message)
    kms.schedule_key_deletion(KeyId=key)
    message = refused(pipeline, target_cluster_id=target, kms_key_id=key)
    reader.type(inline(message, "aws kms cancel-key-deletion"))
    planned(reader, message)


@pytest.mark.full
def test_secrets_that_cant_be_used_are_mended_as_the_refusal_says(
    pipeline: Pipeline, reader: Reader, tmp_path: pathlib.Path
) -> None:
    """Of the stack's own target: others have secrets of their own, which aren't there yet."""
    secrets, outputs = pipeline.aws.client("secretsmanager"), pipeline.place.stack.outputs
    arns = [outputs["AdminSecretArn"], outputs["AppSecretArn"]]
    good = secrets.get_secret_value(SecretId=arns[1])["SecretString"]
    for arn in arns:
        secrets.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    message = refused(pipeline)
    for arn in arns:
        reader.type(inline(message, f"aws secretsmanager restore-secret --secret-id {arn}"))
    planned(reader, message)
    secrets.put_secret_value(SecretId=arns[1], SecretString=json.dumps({"app_username": ["app"]}))
    message = refused(pipeline)
    value = tmp_path / "value.json"
    value.write_text(good)
    reader.type(inline(message, "aws secretsmanager put-secret-value"), FILE=str(value))
    planned(reader, message)


@pytest.mark.full
def test_a_bucket_that_is_missing_is_made_as_the_refusal_says(pipeline: Pipeline, reader: Reader, target: str) -> None:
    s3, bucket = pipeline.aws.client("s3"), "aurora-restore-exports"
    for each in s3.list_objects_v2(Bucket=bucket).get("Contents", []):
        s3.delete_object(Bucket=bucket, Key=each["Key"])
    s3.delete_bucket(Bucket=bucket)
    message = refused(pipeline, target_cluster_id=target, archive_snapshot="export")
    reader.type(inline(message, "aws s3 mb"))
    planned(reader, message)


@pytest.mark.full
def test_a_source_that_cant_go_is_made_ready_as_the_refusal_says(
    pipeline: Pipeline, reader: Reader, doomed: str, target: str
) -> None:
    pipeline.rds().modify_db_cluster(DBClusterIdentifier=doomed, DeletionProtection=True, ApplyImmediately=True)
    settle(pipeline)
    message = refused(pipeline, **deletion_of(doomed, target))
    reader.type(inline(message, "aws rds modify-db-cluster"))
    settle(pipeline)
    assert f"DELETE the source cluster {doomed}" in planned(reader, message)
    pipeline.aws.aurora.back_up_continuously(doomed)
    message = refused(pipeline, **deletion_of(doomed, target, delete_automated_backups=True))
    assert "The command is without delete_automated_backups." in message
    assert "automated backups" not in planned(reader, message).split("DELETE the source")[1].splitlines()[0]


@pytest.mark.full
def test_todays_cluster_gets_a_snapshot_as_the_refusal_says(pipeline: Pipeline, reader: Reader, target: str) -> None:
    rds, name = pipeline.rds(), f"prod-twice-{next(numbers)}"
    cluster = {
        "DBClusterIdentifier": name,
        "Engine": "aurora-postgresql",
        "MasterUsername": "boss",
        "MasterUserPassword": "not-a-secret-1",
    }
    rds.create_db_cluster(**cluster)
    settle(pipeline)
    rds.create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier=f"{name}-old")
    settle(pipeline)
    pipeline.remove(name)
    rds.create_db_cluster(**cluster)
    settle(pipeline)
    try:
        request = {"source_cluster_id": name, "target_cluster_id": target, "db_instance_class": "db.r6g.large"}
        message = refused(pipeline, **request)
        reader.type(inline(message, "aws rds create-db-cluster-snapshot"), NAME=f"{name}-new")
        settle(pipeline)
        assert f"use snapshot {name}-new of {name}" in planned(reader, message)
    finally:
        pipeline.remove(name)


@pytest.mark.full
def test_a_run_in_the_way_is_stopped_as_each_refusal_says(pipeline: Pipeline, reader: Reader, target: str) -> None:
    faults = pipeline.aws.faults
    # Once its cluster is there, the second one is refused for that.
    faults.add(operation="rds:RestoreDBClusterFromSnapshot", answer="held")
    first = pipeline.start({"target_cluster_id": target})
    name = first.rsplit(":", 1)[-1]
    until(lambda: faults.held, "that the first run's call is held")
    in_the_way = pipeline.run({"target_cluster_id": target})
    faults.release()
    reader.type(inline(told(in_the_way, "another execution is working on"), "aws stepfunctions stop-execution"))
    stopped = pipeline.end(first)
    (resume, *_) = commands(message_of(stopped, "ABORTED"), "start-execution")
    # Its clock jumps: without that it would be over before it is stopped.
    faults.add(operation="rds:ModifyDBCluster", answer="held")
    (second,) = re.findall(r'"executionArn": "([^"]+)"', reader.type(resume))
    until(lambda: faults.held, "that the second run's call is held")
    message = told(pipeline.run({"operation_id": name, "resume": True}), "still running")
    reader.type(inline(message, "aws stepfunctions stop-execution"))
    faults.release()
    assert pipeline.end(second).status == "ABORTED"
    third = reader.start(message.splitlines()[-1].strip())
    assert third.status == "SUCCEEDED", third.reason
    assert third.output["plan"]["operation_id"] == name


def test_a_mistyped_operation_id_begins_nothing_and_the_message_lists_what_there_is(
    pipeline: Pipeline, reader: Reader, target: str
) -> None:
    run = pipeline.run({"target_cluster_id": target, "operation_id": "mistyped", "resume": True})
    message = message_of(run)
    assert run.changes == []
    (listing,) = re.findall(r"aws stepfunctions list-executions [^\n]*--region \S+", message)
    assert run.operation_id in reader.type(listing)
