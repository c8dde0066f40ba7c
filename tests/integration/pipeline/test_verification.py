"""A verified copy: its checks hold before the door opens, or the run fails, or the message says what did not hold."""

from __future__ import annotations

import pytest

from scripts.local_aws.server import LocalAws
from scripts.local_run import stage
from scripts.local_run.production import Production
from scripts.local_run.stage import Stage
from tests.integration.pipeline.support import Pipeline

PREFIX, BUCKET = "verified", "verification-policies"
POLICY = """
version: 1
check_seconds: 30
databases:
  orders:
    count: ["sales.*"]
    foreign_keys: ["sales.*"]
    checks:
      every_customer_has_a_name: SELECT 1 FROM sales.customers WHERE name IS NULL
      enough_customers: {number: SELECT count(*) FROM sales.customers, least: %s}
"""
# Production has 2,000 customers.
FILES = {
    "good": POLICY % 100,
    "greedy": POLICY % 1_000_000,
    "broken": "version: 1\ndatabases:\n  orders:\n    cheks: {}\n",
}


@pytest.fixture(scope="module")
def place(aws: LocalAws) -> Stage:
    """A stack of its own, whose runs are verified by the built-in checks unless they ask for more."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    places = []
    for name, text in FILES.items():
        version = s3.put_object(Bucket=BUCKET, Key=f"{name}.yaml", Body=text.encode())["VersionId"]
        places.append(f"{name}=s3://{BUCKET}/{name}.yaml?versionId={version}")
    names = {"NamePrefix": PREFIX, "StateTableName": "VerifiedState", "AuditTableName": "VerifiedAudit"}
    checks = {"VerificationPolicies": ",".join(places), "Verification": "basic"}
    limits = {"TargetClusterPattern": "target-*", "TargetClusterId": "target-verified", "InstanceCount": "1"}
    return stage.deploy(aws, cross_region=False, overrides=names | checks | limits, stack_name=PREFIX)


def test_the_built_in_checks_hold_and_the_message_says_so(
    pipeline: Pipeline, production: Production, target: str
) -> None:
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    states = run.states()
    assert states.index("Setup DB Users") < states.index("Verify Data") < states.index("Open Cluster")
    (message,) = run.messages
    assert "Verified   by policy basic, at " in message["message"]
    assert "did not hold" not in message["message"]
    assert ("verification", "passed") in pipeline.audit(run.operation_id)
    state = pipeline.state(run.operation_id)
    assert state is not None
    assert state["verified_at"]


def test_a_finding_fails_the_run_cleans_up_and_says_which_check(pipeline: Pipeline, target: str) -> None:
    run = pipeline.run({"target_cluster_id": target, "verification": "greedy"})
    assert (run.status, run.followed.error) == ("FAILED", "ChecksFailed")
    finding = "enough_customers (own_number) of orders: expected at least 1000000, found 2000"
    assert finding in run.reason
    assert "Open Cluster" not in run.states()
    assert pipeline.cluster(target) is None
    (message,) = run.messages
    assert finding in message["message"]


@pytest.mark.full
def test_a_finding_that_is_only_reported_lets_the_run_succeed_with_a_warning(pipeline: Pipeline, target: str) -> None:
    run = pipeline.run({"target_cluster_id": target, "verification": "greedy", "on_findings": "report"})
    assert run.status == "SUCCEEDED", run.reason
    (message,) = run.messages
    assert "1 did not hold and 0 could not be run: the warnings below say which" in message["message"]
    finding = "enough_customers (own_number) of orders: expected at least 1000000, found 2000"
    assert f"Warning    {finding}" in message["message"]


def test_a_policy_with_faults_begins_nothing_and_a_dry_run_says_what_is_checked(
    pipeline: Pipeline, target: str
) -> None:
    run = pipeline.run({"target_cluster_id": target, "verification": "broken"})
    assert (run.status, run.followed.error) == ("FAILED", "RequestRefused")
    assert "has no field 'cheks'" in run.reason
    dry = pipeline.run({"target_cluster_id": target, "verification": "good", "dry_run": True})
    (message,) = dry.messages
    assert "check every database by policy good (s3://" in message["message"]
