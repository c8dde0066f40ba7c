"""The verification policy is read before anything is created, in exactly the stack's version."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.unit.support import LIMITS
from utils.aws import client
from utils.contracts.plan import VerificationPlan
from utils.contracts.stack_limits import StackLimits
from utils.preflight.verification import plan_verification, planned_checks
from utils.state.policy_text import policy_hash

pytestmark = pytest.mark.usefixtures("account")

BUCKET, KEY = "policies", "checks/nightly.yaml"
POLICY = "version: 1\ncheck_seconds: 20\n"


@pytest.fixture(autouse=True)
def _bucket(account: None) -> None:
    s3 = client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})


def uploaded(content: bytes) -> StackLimits:
    """The limits of a stack that names what was uploaded now."""
    version = client("s3").put_object(Bucket=BUCKET, Key=KEY, Body=content)["VersionId"]
    return replace(LIMITS, verification_policies=f"nightly=s3://{BUCKET}/{KEY}?versionId={version}")


def test_the_named_version_is_planned_whatever_was_uploaded_since() -> None:
    limits = uploaded(POLICY.encode())
    uploaded(b"version: 1\n")
    planned, problems = plan_verification("nightly", "report", limits)
    assert problems == []
    assert planned is not None
    assert (planned.sha256, planned.on_findings) == (policy_hash(POLICY), "report")
    assert planned_checks(planned) == POLICY


def test_the_built_in_checks_need_no_file_and_nothing_is_checked_unless_it_is_asked_for() -> None:
    assert plan_verification("basic", "fail", LIMITS) == (VerificationPlan(policy="basic"), [])
    assert plan_verification("basic", None, LIMITS) == (VerificationPlan(policy="basic", on_findings="fail"), [])
    assert planned_checks(VerificationPlan(policy="basic")) is None
    assert plan_verification("", "fail", LIMITS) == (None, [])
    assert plan_verification(None, "fail", LIMITS) == (None, [])


def test_a_policy_with_faults_is_refused_with_each_of_them() -> None:
    planned, problems = plan_verification("nightly", "fail", uploaded(b"version: 2\ncheck_seconds: x\n"))
    assert planned is None
    assert len(problems) == 2
    assert all(each.startswith(f"verification: 'nightly' (s3://{BUCKET}/{KEY}?versionId=") for each in problems)
    assert all("have VerificationPolicies name its version" in each for each in problems)


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        ("", "it has none (VerificationPolicies is empty)"),
        ("weekly=s3://policies/w.yaml?versionId=v1", "verification policies: weekly."),
        ("nightly=s3://policies/n.yaml?versionId=null", "which the next upload replaces"),
    ],
)
def test_a_policy_that_the_stack_does_not_have_is_refused(policies: str, said: str) -> None:
    _, (problem,) = plan_verification("nightly", "fail", replace(LIMITS, verification_policies=policies))
    assert said in problem
