"""Exports of snapshots to S3: what they refuse, how long they take, what they leave behind."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import (
    PASSWORD,
    log_in,
    name,
    new_cluster,
    query,
    refused,
    running_cluster,
    snapshot,
    take_snapshot,
)
from tests.integration.local_aws.iam.test_gate import Caller, allow, denied

OBJECTS = ["s3:PutObject*", "s3:GetObject*", "s3:DeleteObject*"]
BUCKETS = ["s3:ListBucket", "s3:GetBucketLocation"]
Answer = dict[str, Any]
Request = Callable[..., Answer]


@pytest.fixture(scope="module")
def monday(aws: LocalAws) -> str:
    """The ARN of a snapshot with three tables in two databases."""
    described = running_cluster(aws, name("exported"))
    app = log_in(aws, described, PASSWORD)
    query(app, "create table customers as select generate_series(1, 7) as id")
    query(app, 'create schema "Billing"')
    query(app, 'create table "Billing"."Odd name" as select 1 as id')
    query(app, "create unlogged table scratch as select 1 as id")
    query(app, "create database other")
    query(log_in(aws, described, PASSWORD, "other"), "create table things (id int)")
    return arn_of(aws, take_snapshot(aws, described["DBClusterIdentifier"]))


@pytest.fixture(scope="module")
def empty(aws: LocalAws) -> str:
    """The ARN of a snapshot that costs nothing to export."""
    return arn_of(aws, take_snapshot(aws, new_cluster(aws, name("empty"))["DBClusterIdentifier"]))


def arn_of(aws: LocalAws, identifier: str) -> str:
    arn: str = snapshot(aws, identifier)["DBClusterSnapshotArn"]
    return arn


@pytest.fixture(scope="module")
def bucket(aws: LocalAws) -> str:
    found = f"exports-{uuid.uuid4().hex}"
    aws.client("s3").create_bucket(Bucket=found)
    return found


def export_role(aws: LocalAws, bucket: str, trust: str = "export.rds.amazonaws.com") -> str:
    statements = allow(OBJECTS, f"arn:aws:s3:::{bucket}/*"), allow(BUCKETS, f"arn:aws:s3:::{bucket}")
    return Caller(aws, *statements, trust=trust).arn


@pytest.fixture(scope="module")
def key(aws: LocalAws) -> str:
    arn: str = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    return arn


@pytest.fixture
def request_for(aws: LocalAws, bucket: str, key: str, empty: str) -> Request:
    """request_for(SourceArn=...): what StartExportTask needs, with an identifier of its own."""
    role = export_role(aws, bucket)

    def make(**parameters: Any) -> Answer:
        return {
            "ExportTaskIdentifier": name("export"),
            "SourceArn": empty,
            "S3BucketName": bucket,
            "IamRoleArn": role,
            "KmsKeyId": key,
            **parameters,
        }

    return make


@pytest.fixture(autouse=True)
def nothing_is_in_progress(aws: LocalAws) -> Iterator[None]:
    yield
    aws.clock.sleep(aws.aurora.durations.export_snapshot + 1)


def task(aws: LocalAws, identifier: str) -> Answer:
    found: Answer = aws.client("rds").describe_export_tasks(ExportTaskIdentifier=identifier)["ExportTasks"][0]
    return found


def contents(aws: LocalAws, bucket: str, prefix: str) -> dict[str, Any]:
    s3 = aws.client("s3")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", [])]
    return {
        each.removeprefix(prefix): json.loads(s3.get_object(Bucket=bucket, Key=each)["Body"].read()) for each in keys
    }


def test_an_export_starts_progresses_and_leaves_every_table_in_the_bucket(
    aws: LocalAws, monday: str, bucket: str, request_for: Request
) -> None:
    rds, seconds = aws.client("rds"), aws.aurora.durations.export_snapshot
    started = rds.start_export_task(**request_for(SourceArn=monday, S3Prefix="archive/"))
    identifier = started["ExportTaskIdentifier"]
    assert (started["Status"], started["PercentProgress"], started["S3Prefix"]) == ("STARTING", 0, "archive")
    aws.clock.sleep(seconds * 0.6)
    halfway = task(aws, identifier)
    assert halfway["Status"] == "IN_PROGRESS"
    assert 40 < halfway["PercentProgress"] < 60
    assert contents(aws, bucket, "archive/") == {}
    aws.clock.sleep(seconds * 0.5)
    done = task(aws, identifier)
    assert (done["Status"], done["PercentProgress"], done["TotalExtractedDataInGB"]) == ("COMPLETE", 100, 0)
    assert done["TaskEndTime"] > done["TaskStartTime"] > done["SnapshotTime"]
    found = contents(aws, bucket, f"archive/{identifier}/")
    rows = {path: content["rows"] for path, content in found.items() if path.endswith(".parquet")}
    assert rows == {
        "app/public.customers/1/part-00000-c000.gz.parquet": 7,
        "app/Billing.Odd name/1/part-00000-c000.gz.parquet": 1,
        "other/public.things/1/part-00000-c000.gz.parquet": 0,
    }
    assert found[f"export_info_{identifier}.json"]["Status"] == "COMPLETE"
    assert len(found[f"export_tables_info_{identifier}_from_1_to_3.json"]["perTableStatus"]) == 3


def test_only_what_is_asked_for_is_exported(aws: LocalAws, monday: str, bucket: str, request_for: Request) -> None:
    parts = ["app.Billing", "other.public.things"]
    started = aws.client("rds").start_export_task(**request_for(SourceArn=monday, ExportOnly=parts))
    aws.clock.sleep(aws.aurora.durations.export_snapshot + 1)
    found = contents(aws, bucket, f"{started['ExportTaskIdentifier']}/")
    tables = {path.rpartition("/1/")[0] for path in found if path.endswith(".parquet")}
    assert tables == {"app/Billing.Odd name", "other/public.things"}


def test_what_is_not_there_fails_the_export_later(aws: LocalAws, empty: str, request_for: Request) -> None:
    started = aws.client("rds").start_export_task(**request_for(ExportOnly=["app.nowhere"]))
    aws.clock.sleep(aws.aurora.durations.export_snapshot + 1)
    failed = task(aws, started["ExportTaskIdentifier"])
    assert failed["Status"] == "FAILED"
    assert "app.nowhere" in failed["FailureCause"]


def test_an_export_can_be_made_to_fail_or_to_warn(aws: LocalAws, bucket: str, request_for: Request) -> None:
    doomed, warned = request_for(), request_for()
    aws.faults.add(lifecycle="export-snapshot", identifier=doomed["ExportTaskIdentifier"], at_percent=40)
    aws.faults.add(lifecycle="export-snapshot", identifier=warned["ExportTaskIdentifier"], status="complete")
    aws.client("rds").start_export_task(**doomed)
    aws.clock.sleep(aws.aurora.durations.export_snapshot * 0.6)
    failed = task(aws, doomed["ExportTaskIdentifier"])
    assert failed["Status"] == "FAILED"
    assert failed["FailureCause"]
    assert contents(aws, bucket, f"{doomed['ExportTaskIdentifier']}/") == {}
    aws.client("rds").start_export_task(**warned)
    aws.clock.sleep(aws.aurora.durations.export_snapshot + 1)
    complete = task(aws, warned["ExportTaskIdentifier"])
    assert complete["Status"] == "COMPLETE"
    assert complete["WarningMessage"]


def test_an_export_can_be_cancelled_while_it_runs(aws: LocalAws, bucket: str, request_for: Request) -> None:
    rds = aws.client("rds")
    identifier = rds.start_export_task(**request_for())["ExportTaskIdentifier"]
    assert rds.cancel_export_task(ExportTaskIdentifier=identifier)["Status"] == "CANCELING"
    aws.clock.sleep(aws.aurora.durations.settle + 1)
    assert task(aws, identifier)["Status"] == "CANCELED"
    with refused("InvalidExportTaskStateFault", "CANCELED"):
        rds.cancel_export_task(ExportTaskIdentifier=identifier)
    with refused("ExportTaskNotFound", status=404):
        rds.cancel_export_task(ExportTaskIdentifier="nothing")
    assert contents(aws, bucket, f"{identifier}/") == {}


def test_exports_are_found_by_source_status_and_name(aws: LocalAws, empty: str, request_for: Request) -> None:
    rds = aws.client("rds")
    identifier = rds.start_export_task(**request_for())["ExportTaskIdentifier"]
    running = [{"Name": "status", "Values": ["starting"]}]
    found = rds.describe_export_tasks(SourceArn=empty, Filters=running)["ExportTasks"]
    assert [each["ExportTaskIdentifier"] for each in found] == [identifier]
    assert rds.describe_export_tasks(SourceType="CLUSTER")["ExportTasks"] == []
    with refused("ExportTaskNotFound", status=404):
        task(aws, "nothing")


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        ({"ExportTaskIdentifier": "1-no-identifier"}, "InvalidParameterValue", 400),
        ({"ExportTaskIdentifier": "e" * 61}, "InvalidParameterValue", 400),
        ({"S3Prefix": "p" * 60}, "InvalidParameterValue", 400),
        ({"S3Prefix": "a:b"}, "InvalidParameterValue", 400),
        ({"ExportOnly": ["a.b.c.d"]}, "InvalidExportOnly", 400),
        ({"S3BucketName": "nobodys-bucket"}, "InvalidS3BucketFault", 400),
        ({"IamRoleArn": "arn:aws:iam::123456789012:role/nobody"}, "IamRoleNotFound", 404),
        ({"KmsKeyId": "alias/nowhere"}, "KMSKeyNotAccessibleFault", 400),
        (
            {"SourceArn": "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:nothing"},
            "DBClusterSnapshotNotFoundFault",
            404,
        ),
        (
            {"SourceArn": "arn:aws:rds:us-east-1:999999999999:cluster-snapshot:theirs"},
            "AccessDenied",
            403,
        ),
        ({"SourceArn": "arn:aws:rds:us-east-1:123456789012:snapshot:nothing"}, "DBSnapshotNotFound", 404),
        ({"SourceArn": "arn:aws:rds:us-east-1:123456789012:cluster:orders"}, "InvalidParameterValue", 400),
    ],
)
def test_what_can_not_be_exported_is_refused(
    aws: LocalAws, request_for: Request, change: Answer, code: str, status: int
) -> None:
    with refused(code, status=status):
        aws.client("rds").start_export_task(**request_for(**change))


def test_the_bucket_must_be_in_the_snapshot_s_region(aws: LocalAws, request_for: Request) -> None:
    far = f"far-{uuid.uuid4().hex}"
    place = {"LocationConstraint": "eu-west-1"}
    aws.client("s3", "eu-west-1").create_bucket(Bucket=far, CreateBucketConfiguration=place)
    with refused("InvalidS3BucketFault", "eu-west-1"):
        aws.client("rds").start_export_task(**request_for(S3BucketName=far))


def test_the_role_must_trust_the_export_and_be_allowed_the_bucket(
    aws: LocalAws, bucket: str, request_for: Request
) -> None:
    rds = aws.client("rds")
    with refused("IamRoleMissingPermissions", "export.rds.amazonaws.com"):
        rds.start_export_task(**request_for(IamRoleArn=export_role(aws, bucket, trust="rds.amazonaws.com")))
    for missing in [*OBJECTS, *BUCKETS]:
        actions = [each for each in [*OBJECTS, *BUCKETS] if each != missing]
        role = Caller(aws, allow(actions), trust="export.rds.amazonaws.com").arn
        with refused("IamRoleMissingPermissions", missing.removesuffix("*")):
            rds.start_export_task(**request_for(IamRoleArn=role))


def test_one_export_of_a_snapshot_and_five_in_all_at_a_time(aws: LocalAws, empty: str, request_for: Request) -> None:
    rds, before = aws.client("rds"), aws.aurora.quotas
    first = request_for()
    rds.start_export_task(**first)
    with refused("ExportTaskAlreadyExists"):
        rds.start_export_task(**first)
    with refused("InvalidExportSourceState", "in progress already"):
        rds.start_export_task(**request_for())
    other = arn_of(aws, take_snapshot(aws, snapshot(aws, empty)["DBClusterIdentifier"]))
    aws.aurora.quotas = dataclasses.replace(before, export_tasks_in_progress=1)
    try:
        with refused("ExportTaskLimitReachedFault", "limit of 1"):
            rds.start_export_task(**request_for(SourceArn=other))
    finally:
        aws.aurora.quotas = before
    assert before.export_tasks_in_progress == 5


def test_an_unfinished_snapshot_is_not_exported(aws: LocalAws, empty: str, request_for: Request) -> None:
    rds, young = aws.client("rds"), name("young")
    home = snapshot(aws, empty)["DBClusterIdentifier"]
    rds.create_db_cluster_snapshot(DBClusterIdentifier=home, DBClusterSnapshotIdentifier=young)
    with refused("InvalidExportSourceState", "creating"):
        rds.start_export_task(**request_for(SourceArn=arn_of(aws, young)))


def test_the_caller_needs_the_snapshot_the_role_and_the_key(
    aws: LocalAws, empty: str, key: str, request_for: Request
) -> None:
    request = request_for()
    rights = [allow("rds:StartExportTask", empty)]
    assert denied(Caller(aws).client("rds").start_export_task, **request) == (
        f"rds:StartExportTask on resource: {empty}"
    )
    assert denied(Caller(aws, *rights).client("rds").start_export_task, **request) == (
        f"iam:PassRole on resource: {request['IamRoleArn']}"
    )
    to_exports = {"StringEquals": {"iam:PassedToService": "export.rds.amazonaws.com"}}
    rights.append(allow("iam:PassRole", request["IamRoleArn"], Condition=to_exports))
    with refused("KMSKeyNotAccessibleFault", key):
        Caller(aws, *rights).client("rds").start_export_task(**request)
    rights.append(allow(["kms:CreateGrant", "kms:DescribeKey"], key))
    started = Caller(aws, *rights).client("rds").start_export_task(**request)
    assert started["Status"] == "STARTING"
