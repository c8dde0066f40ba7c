"""Evidence in the embedded AWS, in the template's own bucket and chain, by the template's own role and key."""

from __future__ import annotations

import concurrent.futures
import datetime as dt
import json
import pathlib
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from scripts.checks.expansion import source
from scripts.local_aws.cloudformation.deploy import Stack
from scripts.local_aws.server import LocalAws
from tests.unit.evidence.seal_support import ATTEMPT, a_page, an_evidence, verify_chain
from utils import aws as product
from utils.contracts.evidence import Sealed
from utils.evidence import chain, store
from utils.evidence.seal import seal

REGION = "us-east-1"
# What these name comes along, each thing with all that it names itself.
WANTED = ("EvidenceBucketPolicy", "EvidenceKeyAlias", "SnsNotificationRole")
LOCKED_DAYS = 7


def part_of_the_template(wanted: tuple[str, ...]) -> dict[str, Any]:
    """Return the template with these resources and all on which they depend, and no others."""
    template = source()
    resources, needed, new = template["Resources"], set[str](), list(wanted)
    while new:
        name = new.pop()
        if name not in needed:
            needed.add(name)
            new += set(re.findall(r"\w+", json.dumps(resources[name], default=str))) & set(resources)
    kept = {name: each for name, each in resources.items() if name in needed}
    for name in ("VpcId", "SubnetIds"):  # which have to exist, and which nothing of this names
        del template["Parameters"][name]
    given = ("AWSTemplateFormatVersion", "Parameters", "Conditions", "Mappings")
    return {**{name: template[name] for name in given}, "Resources": kept}


def deployed(aws: LocalAws, place: pathlib.Path, **parameters: str) -> Stack:
    prefix = f"ev{uuid.uuid4().hex[:8]}"
    path = place / f"{prefix}.json"
    path.write_text(json.dumps(part_of_the_template(WANTED), default=str))
    given = {"NamePrefix": prefix, "SourceClusterId": "prod-orders", "TargetClusterId": "staging-orders"}
    return aws.deploy(path, stack_name=prefix, region=REGION, parameters=given | parameters)


@pytest.fixture(scope="module")
def stack(aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    return deployed(aws, tmp_path_factory.mktemp("open"))


@pytest.fixture(scope="module")
def locked(aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    days = str(LOCKED_DAYS)
    return deployed(aws, tmp_path_factory.mktemp("locked"), EvidenceRetentionDays=days, EvidenceLockMode="COMPLIANCE")


def key_arn(stack: Stack) -> str:
    return f"arn:aws:kms:{REGION}:123456789012:key/{stack.resources['EvidenceKey']}"


def role_of(stack: Stack) -> str:
    return f"arn:aws:iam::123456789012:role/{stack.resources['SnsNotificationRole']}"


def session_of(aws: LocalAws, stack: Stack) -> Any:
    """Return a session with the function's credentials."""
    given = aws.permissions.assume(role_of(stack), service="lambda.amazonaws.com", session_name="f", region=REGION)
    return boto3.Session(given.access_key_id, given.secret_access_key, given.session_token, region_name=REGION)


@pytest.fixture
def function(aws: LocalAws, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from acting(aws, stack, monkeypatch)


def acting(aws: LocalAws, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process act as the function does."""
    session = session_of(aws, stack)
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    monkeypatch.setenv("EVIDENCE_BUCKET", stack.resources["EvidenceBucket"])
    monkeypatch.setenv("EVIDENCE_KEY_ARN", key_arn(stack))
    monkeypatch.setenv("AUDIT_TABLE", stack.resources["AuditTable"])
    monkeypatch.setattr(product, "_session", lambda: session)
    made: Any = product.client  # of whose overloads none has what functools gives it
    made.cache_clear()
    yield
    made.cache_clear()


def files(aws: LocalAws, stack: Stack) -> dict[str, bytes]:
    s3, bucket = aws.client("s3"), stack.resources["EvidenceBucket"]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    names = [each["Key"] for page in pages for each in page.get("Contents", [])]
    return {name: s3.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}


def close(operation_id: str) -> Sealed:
    return seal(an_evidence(operation_id), a_page, ATTEMPT, None, lambda number: None)


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    return str(caught.value.response["Error"]["Code"])


def test_ten_closers_at_once_keep_the_chain_whole(
    aws: LocalAws, stack: Stack, function: None, tmp_path: pathlib.Path
) -> None:
    names = [f"night-{uuid.uuid4().hex[:8]}" for _ in range(10)]
    before = chain.number_of(chain.newest())
    with concurrent.futures.ThreadPoolExecutor(len(names)) as pool:
        sealed = list(pool.map(close, names))
    links = verify_chain(files(aws, stack), tmp_path)
    assert sorted(each.sequence for each in sealed) == list(range(before + 1, before + 11))
    assert {link.operation_id for link in links} >= set(names)
    assert chain.number_of(chain.newest()) == before + 10 == len(links)


def test_two_closers_of_one_end_make_one_link(
    aws: LocalAws, stack: Stack, function: None, tmp_path: pathlib.Path
) -> None:
    name = f"twice-{uuid.uuid4().hex[:8]}"
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        first, second = pool.map(close, [name, name])
    close(f"later-{uuid.uuid4().hex[:8]}")
    assert first == second == close(name)
    links = verify_chain(files(aws, stack), tmp_path)
    assert [link.operation_id for link in links].count(name) == 1


def test_the_stack_lists_its_evidence_and_overwrites_its_index(aws: LocalAws, stack: Stack, function: None) -> None:
    sealed = close(f"listed-{uuid.uuid4().hex[:8]}")
    found, omitted = chain.entries(1)
    assert ([each.folder for each in found], omitted) == ([sealed.folder], sealed.sequence - 1)
    for number in range(2):
        store.put_index(json.dumps({"number": number}).encode(), b"<p>")
    assert files(aws, stack)["index.json"] == b'{"number": 1}'


def test_a_conflict_of_writes_is_met_by_another_try(
    aws: LocalAws, stack: Stack, function: None, tmp_path: pathlib.Path
) -> None:
    aws.faults.add(operation="s3:PutObject", code="ConditionalRequestConflict", http_status=409)
    close(f"conflict-{uuid.uuid4().hex[:8]}")
    verify_chain(files(aws, stack), tmp_path)


# What the bucket, the key and the role refuse


def test_nobody_but_the_function_writes_evidence_or_signs_it(aws: LocalAws, stack: Stack) -> None:
    s3, bucket = aws.client("s3"), stack.resources["EvidenceBucket"]
    assert refused(lambda: s3.put_object(Bucket=bucket, Key="evidence/forged.json", Body=b"{}")) == "AccessDenied"
    kms, arn = aws.client("kms"), key_arn(stack)
    forged = {"KeyId": arn, "Message": b"{}", "SigningAlgorithm": "ECDSA_SHA_256"}
    assert refused(lambda: kms.sign(**forged)) == "AccessDeniedException"
    assert kms.get_public_key(KeyId=arn)["SigningAlgorithms"] == ["ECDSA_SHA_256"]


@pytest.mark.parametrize(
    ("service", "operation", "given"),
    [
        ("s3", "put_object", {"Key": "elsewhere", "Body": b""}),
        ("s3", "get_object", {"Key": "index.json"}),
        ("s3", "delete_object", {"Key": "index.json"}),
        ("kms", "sign", {"Message": b"x", "MessageType": "DIGEST", "SigningAlgorithm": "ECDSA_SHA_256"}),
        ("kms", "sign", {"Message": b"x", "SigningAlgorithm": "ECDSA_SHA_384"}),
        ("kms", "schedule_key_deletion", {}),
        ("dynamodb", "query", {"ExpressionAttributeValues": {":key": {"S": "an-operation"}}}),
        ("events", "put_events", {"Entries": [{"Source": "payroll", "DetailType": "OperationFinished"}]}),
        ("events", "put_events", {"Entries": [{"Source": "{prefix}", "DetailType": "Paid"}]}),
    ],
)
def test_what_the_function_has_no_need_of_is_refused_to_it(
    aws: LocalAws, stack: Stack, service: str, operation: str, given: dict[str, Any]
) -> None:
    common: dict[str, Any] = {
        "s3": {"Bucket": stack.resources["EvidenceBucket"]},
        "kms": {"KeyId": key_arn(stack)},
        "dynamodb": {"TableName": stack.resources["AuditTable"], "KeyConditionExpression": "operation_id = :key"},
        "events": {},
    }[service]
    client = session_of(aws, stack).client(service, endpoint_url=aws.endpoint_url)
    for entry in given.get("Entries", []):
        entry.update(Detail="{}", Source=entry["Source"].format(prefix=stack.parameters["NamePrefix"]))
    assert refused(lambda: getattr(client, operation)(**common, **given)) in ("AccessDenied", "AccessDeniedException")


def test_each_grant_of_the_evidence_is_needed(aws: LocalAws, stack: Stack, function: None) -> None:
    iam, name = aws.client("iam"), stack.resources["SnsNotificationRole"]
    whole = iam.get_role_policy(RoleName=name, PolicyName="sns-notification")["PolicyDocument"]
    sids = ("WriteEvidence", "EncryptEvidence", "SignLinks", "ReadThePublicKey", "ExtendTheChain")

    def have(statements: list[dict[str, Any]]) -> None:
        document = json.dumps({**whole, "Statement": statements})
        iam.put_role_policy(RoleName=name, PolicyName="sns-notification", PolicyDocument=document)

    try:
        for sid in sids:
            have([each for each in whole["Statement"] if each["Sid"] != sid])
            code = refused(lambda: close(f"refused-{uuid.uuid4().hex[:8]}"))
            assert code in ("AccessDenied", "AccessDeniedException"), sid
        operation = f"read-again-{uuid.uuid4().hex[:8]}"
        have(whole["Statement"])
        store.write_once(f"evidence/prod-orders/2026/{operation}/{ATTEMPT}/evidence.json", b"{}")
        have([each for each in whole["Statement"] if each["Sid"] != "ReadWhatAnEarlierTryWrote"])
        assert refused(lambda: close(operation)) == "AccessDenied"
    finally:
        have(whole["Statement"])


def test_the_chain_is_extended_by_the_closing_function_alone(aws: LocalAws, stack: Stack) -> None:
    """Every other function has the shared policy, and with it the audit table, but not this partition."""
    iam, policy = aws.client("iam"), stack.resources["StatePolicy"]
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=f"step-{uuid.uuid4().hex[:8]}", AssumeRolePolicyDocument=document)["Role"]
    iam.attach_role_policy(RoleName=role["RoleName"], PolicyArn=policy)
    given = aws.permissions.assume(role["Arn"], service="lambda.amazonaws.com", session_name="f", region=REGION)
    session = boto3.Session(given.access_key_id, given.secret_access_key, given.session_token, region_name=REGION)
    tables = session.client("dynamodb", endpoint_url=aws.endpoint_url)

    def put(operation_id: str) -> None:
        item = {"operation_id": {"S": operation_id}, "timestamp": {"S": "000000999999"}}
        tables.put_item(TableName=stack.resources["AuditTable"], Item=item)

    put("an-operation")
    assert refused(lambda: put(chain.KEY)) == "AccessDeniedException"


# What is locked


def test_locked_evidence_is_neither_deleted_nor_overwritten(
    aws: LocalAws, locked: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    closing = acting(aws, locked, monkeypatch)
    next(closing)
    sealed = close("locked")
    list(closing)
    s3, bucket = aws.client("s3"), locked.resources["EvidenceBucket"]
    key = {"Bucket": bucket, "Key": f"{sealed.folder}/evidence.json"}
    found = s3.head_object(**key)
    assert found["ObjectLockMode"] == "COMPLIANCE"
    assert found["ServerSideEncryption"] == "aws:kms"
    until, version = found["ObjectLockRetainUntilDate"], {"VersionId": found["VersionId"]}
    assert until - dt.datetime.now(dt.UTC) > dt.timedelta(days=LOCKED_DAYS - 1)
    assert refused(lambda: s3.delete_object(**key, **version)) == "AccessDenied"
    bypass = {"BypassGovernanceRetention": True}
    assert refused(lambda: s3.delete_object(**key, **version, **bypass)) == "AccessDenied"
    shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": until - dt.timedelta(days=1)}
    assert refused(lambda: s3.put_object_retention(**key, **version, Retention=shorter, **bypass)) == "AccessDenied"
    suspended = {"Status": "Suspended"}
    assert refused(lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=suspended))
    s3.delete_object(**key)  # a marker, under which the version stays
    assert s3.get_object(**key, **version)["Body"].read()


def test_the_bucket_is_as_the_template_says(aws: LocalAws, stack: Stack, locked: Stack) -> None:
    s3, bucket = aws.client("s3"), stack.resources["EvidenceBucket"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    (rule,) = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rule == {"ObjectOwnership": "BucketOwnerEnforced"}
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    assert (rule["Filter"], rule["NoncurrentVersionExpiration"]) == ({"Prefix": "index."}, {"NoncurrentDays": 30})
    assert "Rule" not in s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"]
    lock = s3.get_object_lock_configuration(Bucket=locked.resources["EvidenceBucket"])["ObjectLockConfiguration"]
    assert lock["Rule"]["DefaultRetention"].items() >= {"Mode": "COMPLIANCE", "Days": LOCKED_DAYS}.items()
    alias = f"alias/{stack.parameters['NamePrefix']}-evidence"
    assert aws.client("kms").describe_key(KeyId=alias)["KeyMetadata"]["Arn"] == key_arn(stack)
