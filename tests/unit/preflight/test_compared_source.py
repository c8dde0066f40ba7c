"""A comparison with the source is planned with its address and its login, or refused where it cannot be made."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import ACCOUNT, LIMITS, REGION, SOURCE
from utils.aurora_utils.source_account import Source, SourceSharedByHand
from utils.aws import client
from utils.contracts.plan import ComparedSource, VerificationPlan
from utils.contracts.stack_limits import StackLimits
from utils.preflight.compared_source import plan_comparison
from utils.preflight.verification import plan_verification

pytestmark = pytest.mark.usefixtures("account")

BUCKET, KEY = "policies", "checks/nightly.yaml"
CLUSTER = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:{SOURCE}"
NAME, LOGIN = "prod/reader", '{"username": "copy_reader", "password": "not-shown", "host": "elsewhere.example.com"}'


@pytest.fixture(autouse=True)
def _source(account: None, rds: FakeRds) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    client("secretsmanager").create_secret(Name=NAME, SecretString=LOGIN)
    rds.add_cluster(SOURCE, ReaderEndpoint="readers.of.prod", Port=6000)
    rds.add_instance("writer", SOURCE)
    rds.add_snapshot("nightly", DbClusterResourceId=rds.clusters[SOURCE]["DbClusterResourceId"])


def stored() -> str:
    return str(client("secretsmanager").describe_secret(SecretId=NAME)["ARN"])


def limits(secret: str | None = None, text: str = "version: 1\nsource: {}\n") -> StackLimits:
    secret = stored() if secret is None else secret
    version = client("s3").put_object(Bucket=BUCKET, Key=KEY, Body=text.encode())["VersionId"]
    policies = f"nightly=s3://{BUCKET}/{KEY}?versionId={version}"
    return replace(
        LIMITS, verification_policies=policies, source_reader_secrets=f"{CLUSTER}={secret}" if secret else ""
    )


def planned(stack: StackLimits, source: Source | None = None) -> tuple[VerificationPlan | None, list[str]]:
    checks, problems = plan_verification("nightly", "fail", stack)
    assert problems == []
    ours = Source(ACCOUNT, REGION)
    snapshot = ours.snapshot("nightly")
    assert snapshot is not None
    looked_at = source or ours
    return plan_comparison(checks, snapshot, looked_at.cluster(SOURCE), looked_at, stack)


def test_the_address_is_the_one_of_the_readers_that_rds_describes(rds: FakeRds) -> None:
    plan, problems = planned(limits())
    assert (problems, plan is not None) == ([], True)
    assert plan is not None
    assert plan.source == ComparedSource(
        cluster_arn=CLUSTER,
        cluster_resource_id=rds.clusters[SOURCE]["DbClusterResourceId"],
        host="readers.of.prod",
        port=6000,
        secret_arn=stored(),
    )
    assert plan.source.identifier == SOURCE


def test_a_policy_that_does_not_ask_for_it_needs_no_source(rds: FakeRds) -> None:
    del rds.clusters[SOURCE]
    plan, problems = planned(limits(secret="", text="version: 1\n"))
    assert problems == []
    assert plan is not None
    assert plan.source is None


def test_a_source_that_the_stack_has_no_login_to_is_refused_with_the_parameter() -> None:
    _, (problem,) = planned(limits(secret=""))
    assert problem.startswith(
        "verification: 'nightly' compares with the source itself, and this stack has no login to "
    )
    assert f"SourceReaderSecrets names none. Have the stack's owner add {CLUSTER}=" in problem


def test_a_secret_that_the_functions_cannot_reach_is_refused() -> None:
    _, (problem,) = planned(limits(stored().replace(REGION, "ap-south-1")))
    assert f"is in another region than the stack, {REGION}" in problem


@pytest.mark.parametrize(
    "text", ["hunter2", '{"username": "hunter2"}', '{"user": "hunter2", "password": "hunter2"}', '["hunter2"]']
)
def test_a_secret_without_a_login_is_refused_without_its_content(text: str) -> None:
    client("secretsmanager").put_secret_value(SecretId=NAME, SecretString=text)
    _, (problem,) = planned(limits())
    assert f"and the secret {stored()} is no JSON with a username and a password. Store the login" in problem
    assert problem.endswith(f"It is what the stack's SourceReaderSecrets names for {CLUSTER}.")
    assert "hunter2" not in problem


def test_a_secret_that_is_being_deleted_or_has_gone_is_refused() -> None:
    stack = limits()
    client("secretsmanager").delete_secret(SecretId=NAME)
    _, (problem,) = planned(stack)
    assert "cannot be read: InvalidRequestException. Check that it exists, and that its policy and its key's" in problem
    client("secretsmanager").delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)
    _, (problem,) = planned(stack)
    assert "cannot be read: ResourceNotFoundException" in problem


def test_a_secret_is_not_read_where_the_policy_does_not_ask_for_the_source() -> None:
    stack = limits(text="version: 1\n")
    client("secretsmanager").delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)
    assert planned(stack)[1] == []


@pytest.mark.parametrize(
    ("version", "least"), [("13.6", "13.7"), ("12.9", "12.11"), ("14.3", None), ("13.7", None), ("17.5", None)]
)
def test_a_version_in_which_no_session_can_prove_its_cluster_is_refused(
    rds: FakeRds, version: str, least: str | None
) -> None:
    rds.clusters[SOURCE]["EngineVersion"] = version
    _, problems = planned(limits())
    assert [f"Upgrade it to {least} or higher" in each for each in problems] == ([True] if least else [])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Status": "stopped"}, "is stopped, so that nobody can log in to it"),
        ({"DbClusterResourceId": "cluster-ANOTHER"}, "is another cluster now (cluster-ANOTHER), not that of nightly"),
    ],
)
def test_a_cluster_that_is_not_the_source_or_admits_nobody_is_refused(
    rds: FakeRds, changed: dict[str, object], said: str
) -> None:
    rds.clusters[SOURCE].update(changed)
    _, (problem,) = planned(limits())
    assert said in problem
    assert "policy without `source`" in problem


def test_a_source_without_instances_is_refused(rds: FakeRds) -> None:
    del rds.instances["writer"]
    _, (problem,) = planned(limits())
    assert "is without instances, so that nobody can log in to it" in problem


def test_a_source_that_is_gone_or_out_of_sight_is_refused(rds: FakeRds) -> None:
    shared = SourceSharedByHand("aws", "999999999999", REGION, "the stack's SourceRoleName is empty")
    _, (problem,) = planned(limits(), shared)
    assert (
        "of account 999999999999 cannot be looked at: the stack's SourceRoleName is empty. Choose a policy" in problem
    )
    del rds.clusters[SOURCE]
    _, (problem,) = planned(limits())
    assert f"no cluster {SOURCE!r} was found in {REGION}. Choose a policy" in problem
