"""What the evidence says is what happened: each figure is held against the embedded AWS's own records."""

from __future__ import annotations

import datetime as dt
import pathlib
from typing import Any

import pytest

from scripts.local_run.stage import Stage
from tests.integration.pipeline.support import Pipeline, Run, numbers
from tests.unit.evidence.seal_support import verify_chain
from utils.contracts.evidence import Evidence

pytestmark = pytest.mark.usefixtures("production")
# The state in which each phase begins.
BEGINS = {
    "check and plan": "Check Snapshot Exists",
    "restore": "Restore Snapshot",
    "users": "Setup DB Users",
    "verification": "Verify Data",
    "opening": "Open Cluster",
    "deletion": "End Drill",
}


@pytest.fixture
def pipeline(place: Stage) -> Pipeline:
    return Pipeline(place)


def entered(run: Run) -> dict[str, dt.datetime]:
    """When each state was first entered, by Step Functions."""
    found: dict[str, dt.datetime] = {}
    for event in run.followed.history:
        if "stateEnteredEventDetails" in event:
            found.setdefault(event["stateEnteredEventDetails"]["name"], event["timestamp"])
    return found


def events_of(pipeline: Pipeline, cluster: str) -> dict[str, dt.datetime]:
    """What happened to a cluster and when, by RDS."""
    found = pipeline.rds().describe_events(SourceIdentifier=cluster, SourceType="db-cluster", Duration=14 * 24 * 60)
    return {each["Message"]: each["Date"] for each in found["Events"]}


def assert_timeline(found: Evidence, run: Run) -> None:
    when = entered(run)
    for phase in found.timeline:
        assert abs((phase.began_at - when[BEGINS[phase.phase]]).total_seconds()) < 1, phase


def snapshot_of(pipeline: Pipeline, arn: str) -> dict[str, Any]:
    (found,) = pipeline.rds().describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=arn)["DBClusterSnapshots"]
    return dict(found)


def test_a_restore(pipeline: Pipeline, tmp_path: pathlib.Path) -> None:
    target = f"target-{next(numbers)}"
    run = pipeline.run({"target_cluster_id": target, "instance_count": 2})
    assert run.status == "SUCCEEDED", run.reason
    found, cluster = pipeline.evidence(run.operation_id), pipeline.cluster(target)
    assert cluster is not None
    assert found.snapshot is not None
    assert found.target is not None
    assert found.isolation is not None
    assert (found.kind, found.outcome) == ("restore", "passed")
    snapshot = snapshot_of(pipeline, found.snapshot.arn)
    assert abs(found.snapshot.created_at - snapshot["SnapshotCreateTime"]) < dt.timedelta(milliseconds=2)
    assert found.snapshot.kms_key_id == snapshot["KmsKeyId"]
    members = {each["DBInstanceIdentifier"] for each in cluster["DBClusterMembers"]}
    assert (found.target.resource_id, set(found.target.instances)) == (cluster["DbClusterResourceId"], members)
    assert (found.target.endpoint, found.target.exists) == (cluster["Endpoint"], True)
    groups = [each["VpcSecurityGroupId"] for each in cluster["VpcSecurityGroups"]]
    assert (found.isolation.door, found.isolation.security_groups) == ("opened", groups)
    when = entered(run)
    opened = found.isolation.opened_at
    assert opened is not None
    assert when["Open Cluster"] <= opened <= when["Send Success Notification"]
    begun = when["Check Snapshot Exists"]
    assert found.objectives.rto_seconds.actual == pytest.approx((opened - begun).total_seconds(), abs=1)
    age = (begun - snapshot["SnapshotCreateTime"]).total_seconds()
    assert found.objectives.rpo_seconds.actual == pytest.approx(age, abs=1)
    assert_timeline(found, run)
    assert found.requested.by_source == "cloudtrail"
    assert "user/operator" in found.requested.by
    assert [each.on for each in found.changes if each.what == "created"] == [target]
    links = verify_chain(pipeline.evidence_files(), tmp_path)
    assert links[-1].operation_id == run.operation_id
    assert f"Evidence   #{links[-1].sequence} passed, sha256 " in run.message
    pipeline.remove(target)


@pytest.mark.full
def test_a_drill(pipeline: Pipeline) -> None:
    target = f"target-drilled-{next(numbers)}"
    run = pipeline.run({"drill": True, "target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    found, events = pipeline.evidence(run.operation_id), events_of(pipeline, target)
    assert (found.kind, found.outcome) == ("drill", "passed")
    assert found.target is not None
    assert found.isolation is not None
    assert (found.isolation.door, found.target.exists) == ("never", False)
    (deleted,) = [each for each in found.changes if each.what == "deleted"]
    (gone,) = [moment for message, moment in events.items() if "eleted" in message]
    assert deleted.resource_id == found.target.resource_id
    assert deleted.at is not None
    assert gone <= deleted.at < gone + dt.timedelta(minutes=3)
    assert_timeline(found, run)
    assert found.checks is not None
    assert (found.checks.failed, found.checks.not_run) == (0, 0)
    assert found.checks.held > 0


@pytest.mark.full
def test_a_failure(pipeline: Pipeline) -> None:
    target = f"target-{next(numbers)}"
    pipeline.aws.faults.add(operation="rds:CreateDBInstance", code="InvalidParameterCombination", times=1)
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "FAILED"
    found = pipeline.evidence(run.operation_id)
    assert (found.outcome, found.summary.worked) == ("failed", False)
    assert "InvalidParameterCombination" in (found.error or "")
    assert [each.what for each in found.changes] == ["created", "deleted"]
    assert found.target is not None
    assert found.target.exists is False
    assert found.objectives.rto_seconds.actual is None
    assert (found.timeline[-1].phase, found.timeline[-1].outcome) == ("restore", "failed")
    assert any("start-execution" in line for line in found.summary.next)
    assert_timeline(found, run)


def test_a_request_that_is_refused(pipeline: Pipeline) -> None:
    run = pipeline.run({"target_cluster_id": "not-among-them", "password": "hunter2"})
    assert run.status == "FAILED"
    files = pipeline.evidence_files(f"evidence/no-source/{pipeline.aws.clock.now():%Y}/{run.operation_id}/")
    (name,) = [each for each in files if each.endswith("evidence.json")]
    assert b'"outcome":"refused"' in files[name]
    assert not any(b"hunter2" in each for each in files.values())


@pytest.mark.full
def test_one_that_was_stopped_and_resumed(pipeline: Pipeline, tmp_path: pathlib.Path) -> None:
    target = f"target-{next(numbers)}"
    pipeline.aws.faults.add(operation="rds:CreateDBInstance", code="InvalidParameterCombination", times=1)
    asked = {"target_cluster_id": target, "operation_id": f"resumed-{target}", "on_failure": "keep"}
    first = pipeline.run(asked)
    assert first.status == "FAILED"
    before = pipeline.evidence(f"resumed-{target}")
    assert before.outcome == "failed"
    assert before.target is not None
    assert before.target.exists is True
    second = pipeline.run({"operation_id": f"resumed-{target}", "resume": True})
    assert second.status == "SUCCEEDED", second.reason
    found = pipeline.evidence(f"resumed-{target}")
    assert (found.outcome, found.execution.earlier) == ("passed", [first.execution_arn])
    assert found.started_at == before.started_at
    assert found.target is not None
    assert found.target.resource_id == before.target.resource_id
    assert any("earlier ones have evidence of their own" in each for each in found.limits)
    links = verify_chain(pipeline.evidence_files(), tmp_path)
    ours = [each for each in links if each.operation_id == found.operation_id]
    assert [each.execution_id for each in ours] == [first.execution_arn, second.execution_arn]
    pipeline.remove(target)
