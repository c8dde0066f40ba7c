"""An object is written once where that is asked for, and a version that is locked stays."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import uuid
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import MakeRole, allow


@pytest.fixture
def bucket(aws: LocalAws) -> str:
    name = f"locks-{uuid.uuid4().hex[:12]}"
    aws.client("s3").create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def lock(aws: LocalAws, bucket: str, mode: str) -> None:
    rule = {"DefaultRetention": {"Mode": mode, "Days": 2}}
    aws.client("s3").put_object_lock_configuration(
        Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )


def refused(client: Any, operation: str, **given: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        getattr(client, operation)(**given)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def test_an_object_that_is_there_is_not_written_where_none_may_match(aws: LocalAws, bucket: str) -> None:
    s3, given = aws.client("s3"), {"Bucket": bucket, "Key": "once", "IfNoneMatch": "*"}
    s3.put_object(**given, Body=b"first")
    assert refused(s3, "put_object", **given, Body=b"second") == ("PreconditionFailed", 412)
    s3.delete_object(Bucket=bucket, Key="once")
    s3.put_object(**given, Body=b"after a marker")


def test_of_writers_at_once_one_succeeds(aws: LocalAws, bucket: str) -> None:
    s3 = aws.client("s3")

    def put(number: int) -> bool:
        try:
            s3.put_object(Bucket=bucket, Key="once", Body=str(number).encode(), IfNoneMatch="*")
        except ClientError as error:
            return error.response["Error"]["Code"] != "PreconditionFailed"
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        written = list(pool.map(put, range(8)))
    assert written.count(True) == 1
    assert int(s3.get_object(Bucket=bucket, Key="once")["Body"].read()) == written.index(True)


@pytest.mark.parametrize(("mode", "bypassed"), [("GOVERNANCE", True), ("COMPLIANCE", False)])
def test_a_locked_version_is_deleted_by_who_may_bypass_governance_alone(
    aws: LocalAws, bucket: str, mode: str, bypassed: bool, make_role: MakeRole
) -> None:
    lock(aws, bucket, mode)
    s3 = aws.client("s3")
    version = {"VersionId": s3.put_object(Bucket=bucket, Key="kept", Body=b"x")["VersionId"]}
    whole = {"Bucket": bucket, "Key": "kept", **version}
    assert refused(s3, "delete_object", **whole) == ("AccessDenied", 403)
    given = aws.permissions.assume(
        make_role("lambda", allow("s3:DeleteObjectVersion")),
        service="lambda.amazonaws.com",
        session_name="f",
        region="us-east-1",
    )
    session = boto3.Session(given.access_key_id, given.secret_access_key, given.session_token)
    role = session.client("s3", endpoint_url=aws.endpoint_url, region_name="us-east-1")
    assert refused(role, "delete_object", **whole, BypassGovernanceRetention=True) == ("AccessDenied", 403)
    if bypassed:
        s3.delete_object(**whole, BypassGovernanceRetention=True)
    else:
        assert refused(s3, "delete_object", **whole, BypassGovernanceRetention=True) == ("AccessDenied", 403)


def test_a_lock_is_extended_and_not_shortened(aws: LocalAws, bucket: str) -> None:
    lock(aws, bucket, "COMPLIANCE")
    s3 = aws.client("s3")
    whole = {"Bucket": bucket, "Key": "kept", "VersionId": s3.put_object(Bucket=bucket, Key="kept")["VersionId"]}
    now = dt.datetime.now(dt.UTC)

    def until(days: int, mode: str = "COMPLIANCE") -> dict[str, Any]:
        return {"Mode": mode, "RetainUntilDate": now + dt.timedelta(days=days)}

    s3.put_object_retention(**whole, Retention=until(5))
    assert refused(s3, "put_object_retention", **whole, Retention=until(1)) == ("AccessDenied", 403)
    assert refused(s3, "put_object_retention", **whole, Retention=until(9, "GOVERNANCE")) == ("AccessDenied", 403)


def test_a_bucket_with_objects_may_be_locked_and_keeps_its_versions(aws: LocalAws, bucket: str) -> None:
    s3 = aws.client("s3")
    s3.put_object(Bucket=bucket, Key="before", Body=b"x")
    lock(aws, bucket, "GOVERNANCE")
    found = s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    assert found["Rule"]["DefaultRetention"]["Mode"] == "GOVERNANCE"
    suspended = {"Status": "Suspended"}
    code, _ = refused(s3, "put_bucket_versioning", Bucket=bucket, VersioningConfiguration=suspended)
    assert code == "InvalidBucketState"
