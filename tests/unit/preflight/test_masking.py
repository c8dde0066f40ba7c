"""The masking policy is read before anything is created, in exactly the stack's version; what is wrong with it, too."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from tests.unit.support import LIMITS, OPERATION, a_plan
from utils.aws import client
from utils.contracts.stack_limits import StackLimits
from utils.errors import StepFailed
from utils.policies.fields import MAX_BYTES
from utils.preflight.masking import plan_masking, planned_text, resumed_masking_problems
from utils.state.policy_text import policy_hash

pytestmark = pytest.mark.usefixtures("account")

BUCKET, KEY = "policies", "masking/staging.yaml"
POLICY = "version: 1\ndatabases:\n  orders:\n    columns: {}\n"


@pytest.fixture(autouse=True)
def _bucket(account: None) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})


def uploaded(content: bytes) -> StackLimits:
    """The limits of a stack that names what was uploaded now."""
    version = client("s3").put_object(Bucket=BUCKET, Key=KEY, Body=content)["VersionId"]
    return replace(LIMITS, masking_policies=f"staging=s3://{BUCKET}/{KEY}?versionId={version}")


def test_the_named_version_is_planned_whatever_was_uploaded_since() -> None:
    limits = uploaded(POLICY.encode())
    uploaded(b"version: 1\ndatabases: {}\n")
    planned, problems = plan_masking("staging", limits)
    assert problems == []
    assert planned is not None
    assert (planned.policy, planned.sha256) == ("staging", policy_hash(POLICY))
    assert planned_text(planned) == POLICY


def test_without_a_policy_nothing_is_read_or_planned() -> None:
    assert plan_masking("", LIMITS) == (None, [])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"version: 1\ndatabases:\n  orders:\n    colums: {}\n", "has no field 'colums'"),
        (b"version: 1\ndatabases: {}\nunclassified: perhaps\nversion: 2\n", "version"),
        ("version: ü".encode("latin-1"), "is not text in UTF-8"),
        (b"#" * (MAX_BYTES + 100), "It may have 262144."),
        ("ü".encode() * MAX_BYTES, "It may have 262144."),
    ],
)
def test_a_policy_with_faults_is_refused_with_each_of_them(content: bytes, said: str) -> None:
    planned, problems = plan_masking("staging", uploaded(content))
    assert planned is None
    assert problems
    assert all(each.startswith(f"masking_policy: 'staging' (s3://{BUCKET}/{KEY}?versionId=") for each in problems)
    assert said in " ".join(problems)


def test_a_version_that_is_gone_is_refused_with_a_command_that_shows_what_there_is() -> None:
    limits = uploaded(POLICY.encode())
    version = limits.masking_policies.rpartition("=")[2]
    client("s3").delete_object(Bucket=BUCKET, Key=KEY, VersionId=version)
    _, (problem,) = plan_masking("staging", limits)
    assert "cannot be read: S3 answered " in problem
    assert f"aws s3api list-object-versions --bucket {BUCKET} --prefix {KEY} --region us-east-1" in problem


def test_what_passes_by_itself_is_no_fault_of_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = uploaded(POLICY.encode())
    slow = ClientError({"Error": {"Code": "SlowDown", "Message": "Please reduce your request rate."}}, "GetObject")

    def refuse(**_: object) -> None:
        raise slow

    monkeypatch.setattr(client("s3"), "get_object", refuse)
    with pytest.raises(ClientError):
        plan_masking("staging", limits)


def test_a_text_that_is_not_the_planned_one_is_never_kept() -> None:
    planned, _ = plan_masking("staging", uploaded(POLICY.encode()))
    assert planned is not None
    with pytest.raises(StepFailed, match="another text of masking policy"):
        planned_text(replace(planned, sha256=policy_hash("another")))


def test_an_operation_is_resumed_with_the_version_that_the_stack_still_names() -> None:
    limits = uploaded(POLICY.encode())
    planned, _ = plan_masking("staging", limits)
    plan = a_plan(masking=planned)
    assert list(resumed_masking_problems(plan, limits)) == []
    (problem,) = resumed_masking_problems(plan, uploaded(POLICY.encode()))
    assert problem.startswith(f"operation_id: '{OPERATION}' was planned with version ")
    assert list(resumed_masking_problems(plan, LIMITS))
    # An operation without masking is not resumed where masking has become required.
    assert list(resumed_masking_problems(a_plan(), LIMITS)) == []
    assert list(resumed_masking_problems(a_plan(), replace(limits, require_masking="true")))
