"""Tuesday's data, tonight, gone on Friday: clusters that expire, from their restore to their end."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from scripts.local_run import stage
from scripts.local_run.production import Production
from scripts.local_run.stage import SOURCE, Stage
from tests.integration.pipeline.reader import Reader, commands, inline, reading
from tests.integration.pipeline.support import Pipeline, Run, numbers, settle, until
from utils.aurora_utils.resources import EXPIRY_TAG, OPERATION_TAG

PREFIX = "fridays"
# A quarter of it is the notice.
HOURS = 8
HOUR = dt.timedelta(hours=1)


@pytest.fixture(scope="module")
def place(aws: LocalAws) -> Iterator[Stage]:
    """A stack of its own, with sweeps each hour."""
    names = {"NamePrefix": PREFIX, "StateTableName": "FridaysState", "AuditTableName": "FridaysAudit"}
    wanted = {"SourceClusterId": SOURCE, "TargetClusterId": "fridays-own", "TargetClusterPattern": "fridays-*"}
    overrides = {**names, **wanted, "InstanceCount": "1", "ExpirySchedule": "rate(1 hour)"}
    made = stage.deploy(aws, cross_region=False, overrides=overrides, stack_name=PREFIX)
    yield made
    aws.client("scheduler").delete_schedule(Name=made.stack.resources["ExpirySweeps"])


class Fridays:
    """Clusters that expire, and what people are told of them."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline, self.aws, self.rds = pipeline, pipeline.aws, pipeline.rds()
        self.targets: list[str] = []

    def restore(self, **request: Any) -> Run:
        """A cluster that expires after eight hours, unless the request says otherwise."""
        target = request.setdefault("target_cluster_id", f"fridays-{next(numbers)}")
        self.targets.append(target)
        run = self.pipeline.run({"expires_after_hours": HOURS, **request})
        assert run.status == "SUCCEEDED", run.reason
        return run

    def state(self, run: Run) -> dict[str, Any]:
        found = self.pipeline.state(run.operation_id)
        assert found is not None
        return found

    def expires(self, run: Run) -> dt.datetime:
        return dt.datetime.fromisoformat(self.state(run)["cluster_expires_at"]["S"])

    def wait_until(self, moment: dt.datetime) -> list[dict[str, str]]:
        """Pass the time, with all sweeps on the way, and return what people were told."""
        self.aws.clock.sleep(moment.timestamp() - self.aws.clock.time())
        self.aws.schedules.settle()
        settle(self.pipeline)
        return self.pipeline.place.received_messages()

    def statuses(self) -> set[str]:
        machine = self.pipeline.place.stack.outputs["ExpiryMachineArn"]
        pages = self.aws.client("stepfunctions").get_paginator("list_executions").paginate(stateMachineArn=machine)
        return {each["status"] for page in pages for each in page["executions"]}

    def ask(self, given: Any) -> dict[str, Any]:
        """Start a sweep as somebody does who asks for one cluster, and return how it has ended."""
        states = self.aws.client("stepfunctions")
        machine = self.pipeline.place.stack.outputs["ExpiryMachineArn"]
        arn = states.start_execution(stateMachineArn=machine, input=json.dumps(given))["executionArn"]

        def ended() -> dict[str, Any] | None:
            found: Any = states.describe_execution(executionArn=arn)
            return found if found["status"] != "RUNNING" else None

        return until(ended, "that the sweep has ended")

    def secrets(self, target: str) -> list[str]:
        pages = self.aws.client("secretsmanager").get_paginator("list_secrets").paginate()
        names = [each["Name"] for page in pages for each in page["SecretList"]]
        return [name for name in names if name.startswith(f"{PREFIX}/targets/{target}/")]


@pytest.fixture
def fridays(place: Stage, production: Production) -> Iterator[Fridays]:
    made = Fridays(Pipeline(place))
    place.received_messages()
    yield made
    made.aws.faults.clear()
    for target in made.targets:
        made.pipeline.remove(target)


@pytest.fixture
def reader(fridays: Fridays, request: pytest.FixtureRequest) -> Iterator[Reader]:
    yield from reading(fridays.pipeline, request)


def subjects(messages: list[dict[str, str]]) -> list[str]:
    return [each["subject"].removeprefix("[aurora-restore] ").split(":")[0] for each in messages]


def tag_of(cluster: dict[str, Any] | None) -> str | None:
    assert cluster is not None
    return {each["Key"]: each["Value"] for each in cluster["TagList"]}.get(EXPIRY_TAG)


@pytest.mark.full
def test_tuesdays_data_is_there_until_friday_and_longer_if_somebody_says_so(fridays: Fridays, reader: Reader) -> None:
    pipeline = fridays.pipeline
    planned = pipeline.run({"target_cluster_id": "fridays-plan", "expires_after_hours": HOURS, "dry_run": True})
    (plan,) = planned.messages
    assert f"have the cluster expire {HOURS} hours after its door opened: DELETE it" in plan["message"]
    assert re.search(r"rds:AddTagsToResource +us-east-1 +fridays-plan", plan["message"])

    run = fridays.restore()
    target, expires = run.output["plan"]["target_cluster_id"], fridays.expires(run)
    opened = dt.datetime.fromisoformat(fridays.state(run)["door_open_at"]["S"])
    assert dt.timedelta(0) <= opened + HOURS * HOUR - expires < dt.timedelta(seconds=1)
    assert tag_of(pipeline.cluster(target)) == f"{expires:%Y-%m-%dT%H:%M:%SZ}"
    (message,) = run.messages
    assert f"{expires:%Y-%m-%d %H:%M} UTC: it is deleted then, without a final snapshot" in message["message"]
    assert len(fridays.secrets(target)) == 2

    assert fridays.wait_until(expires - 3 * HOUR) == []
    (warning,) = fridays.wait_until(expires - HOUR)
    assert subjects([warning]) == ["EXPIRES"]
    (extend, _) = commands(warning["message"])
    assert extend == inline(message["message"], "aws rds add-tags-to-resource")
    reader.type(extend)
    assert fridays.wait_until(expires + 3 * HOUR) == []
    assert pipeline.cluster(target) is not None

    later = expires + HOURS * HOUR
    assert tag_of(pipeline.cluster(target)) == f"{later:%Y-%m-%dT%H:%M:%SZ}"
    assert subjects(fridays.wait_until(later - HOUR / 2)) == ["EXPIRES"]
    assert pipeline.cluster(target) is not None
    (gone,) = fridays.wait_until(later + HOUR)
    assert subjects([gone]) == ["EXPIRED"]
    assert pipeline.cluster(target) is None
    assert fridays.secrets(target) == []
    assert not [name for name in pipeline.snapshots() | pipeline.automated_snapshots() if target in name]
    assert pipeline.holder(target) is None
    assert [status for kind, status in pipeline.audit(run.operation_id) if kind == "expiry"] == [
        "set", "warned", "warned", "deleting", "deleted",
    ]  # fmt: skip
    assert fridays.statuses() == {"SUCCEEDED"}
    again = fridays.restore(target_cluster_id=target)
    assert len(fridays.secrets(target)) == 2, "their names are free at once"
    assert again.status == "SUCCEEDED"


@pytest.mark.full
def test_a_cluster_whose_tag_is_taken_away_is_kept_and_one_that_gets_it_again_goes(
    fridays: Fridays, reader: Reader
) -> None:
    pipeline, run = fridays.pipeline, fridays.restore()
    target, expires = run.output["plan"]["target_cluster_id"], fridays.expires(run)
    (warning,) = fridays.wait_until(expires - HOUR)
    (_, keep) = commands(warning["message"])
    reader.type(keep)
    (kept,) = fridays.wait_until(expires + 5 * HOUR)
    assert subjects([kept]) == ["KEPT"]
    assert "no longer has a tag aurora-restore:expires-at" in kept["message"]
    assert pipeline.cluster(target) is not None

    (again,) = commands(kept["message"], "add-tags-to-resource")
    reader.type(again)
    moment = dt.datetime.fromisoformat(tag_of(pipeline.cluster(target)) or "")
    assert subjects(fridays.wait_until(moment + HOUR)) == ["EXPIRES", "EXPIRED"]
    assert pipeline.cluster(target) is None


@pytest.mark.full
def test_a_strangers_cluster_with_forged_tags_and_a_newer_one_of_the_name_survive(fridays: Fridays) -> None:
    """And what the plan protects goes all the same: the request that asked for it has asked for its end."""
    pipeline = fridays.pipeline
    protected, replaced = fridays.restore(deletion_protection=True), fridays.restore()
    target, reused = (run.output["plan"]["target_cluster_id"] for run in (protected, replaced))
    tags = {OPERATION_TAG: protected.operation_id, EXPIRY_TAG: f"{fridays.expires(protected):%Y-%m-%dT%H:%M:%SZ}"}
    fridays.rds.create_db_cluster(
        DBClusterIdentifier="fridays-stranger",
        Engine="aurora-postgresql",
        MasterUsername="boss",
        MasterUserPassword="not-a-secret-1",
        Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
    )
    fridays.targets.append("fridays-stranger")
    settle(pipeline)
    pipeline.remove(reused)
    newer = fridays.restore(target_cluster_id=reused, expires_after_hours=0)
    assert "cluster_expires_at" not in fridays.state(newer)

    messages = fridays.wait_until(fridays.expires(replaced) + 2 * HOUR)
    assert subjects(messages) == ["EXPIRES", "EXPIRED"]
    assert pipeline.cluster(target) is None
    assert pipeline.cluster("fridays-stranger") is not None
    left = pipeline.cluster(reused)
    assert left is not None
    assert left["DbClusterResourceId"] == fridays.state(newer)["cluster_resource_id"]["S"]
    assert len(fridays.secrets(reused)) == 2


@pytest.mark.full
def test_sweeps_that_die_are_continued_by_the_next_one(fridays: Fridays) -> None:
    pipeline, run = fridays.pipeline, fridays.restore()
    target, expires = run.output["plan"]["target_cluster_id"], fridays.expires(run)
    assert subjects(fridays.wait_until(expires - HOUR)) == ["EXPIRES"]
    # It and its three retries, in each of two sweeps; what each has done stays.
    fridays.aws.faults.add(function=f"{PREFIX}-expire-clusters", die="after", times=8)
    assert subjects(fridays.wait_until(expires + 4 * HOUR)) == ["EXPIRED"]
    assert pipeline.cluster(target) is None
    assert fridays.secrets(target) == []
    assert "FAILED" in fridays.statuses()


@pytest.mark.full
def test_one_that_cannot_be_deleted_is_reported_and_the_other_goes(fridays: Fridays) -> None:
    pipeline, stuck, other = fridays.pipeline, fridays.restore(), fridays.restore()
    names = [run.output["plan"]["target_cluster_id"] for run in (stuck, other)]
    expires = fridays.expires(other)
    fridays.aws.faults.add(
        operation="rds:DeleteDBInstance",
        parameters={"DBInstanceIdentifier": f"{names[0]}-*"},
        code="AccessDenied",
        seconds=24 * 3600,
    )
    messages = fridays.wait_until(expires + 3 * HOUR)
    assert sorted(subjects(messages)) == ["EXPIRED", "EXPIRES", "EXPIRES", "FAILED"]
    assert [pipeline.cluster(name) is None for name in names] == [False, True]
    (failed,) = [each for each in messages if "FAILED" in each["subject"]]
    assert f"aws rds describe-db-clusters --db-cluster-identifier {names[0]}" in failed["message"]
    fridays.aws.faults.clear()
    assert subjects(fridays.wait_until(expires + 5 * HOUR)) == ["EXPIRED"]
    assert pipeline.cluster(names[0]) is None


def test_one_that_somebody_asks_for_goes_before_its_time_unless_somebody_else_keeps_it(fridays: Fridays) -> None:
    pipeline, run, other = fridays.pipeline, fridays.restore(), fridays.restore()
    target, kept = (each.output["plan"]["target_cluster_id"] for each in (run, other))
    fridays.pipeline.place.received_messages()
    arn = pipeline.cluster(kept)["DBClusterArn"]  # type: ignore[index]
    later = f"{fridays.expires(other) + HOUR:%Y-%m-%dT%H:%M:%SZ}"
    fridays.rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": EXPIRY_TAG, "Value": later}])
    for operation_id, cluster, why in (
        (run.operation_id, kept, "is not registered to expire"),
        (other.operation_id, target, "is not registered to expire"),
        (run.operation_id, SOURCE, "is not registered to expire"),
        (other.operation_id, kept, f"has been extended by its tag {EXPIRY_TAG} until {later}"),
    ):
        refused = fridays.ask({"expire": {"operation_id": operation_id, "cluster": cluster}})
        assert (refused["status"], refused["error"]) == ("FAILED", "RequestRefused")
        assert why in json.loads(refused["cause"])["errorMessage"]
    assert [pipeline.cluster(name) is None for name in (target, kept)] == [False, False]

    ended = fridays.ask({"expire": {"operation_id": run.operation_id, "cluster": target}})
    assert (ended["status"], json.loads(ended["output"])["deleted"]) == ("SUCCEEDED", [target])
    assert [pipeline.cluster(name) is None for name in (target, kept)] == [True, False]
    assert (fridays.secrets(target), len(fridays.secrets(kept))) == ([], 2)
    (gone,) = fridays.pipeline.place.received_messages()
    assert subjects([gone]) == ["EXPIRED"]
    assert "because somebody has asked for that" in gone["message"]
    assert pipeline.holder(target) is None
    assert [status for kind, status in pipeline.audit(run.operation_id) if kind == "expiry"] == [
        "set", "deleting", "deleted",
    ]  # fmt: skip


@pytest.mark.full
def test_a_sweep_that_cannot_be_started_leaves_a_letter_and_the_next_one_does_its_work(fridays: Fridays) -> None:
    pipeline, run = fridays.pipeline, fridays.restore()
    target, expires = run.output["plan"]["target_cluster_id"], fridays.expires(run)
    assert subjects(fridays.wait_until(expires - HOUR)) == ["EXPIRES"]
    fridays.aws.faults.add(operation="states:StartExecution", code="ThrottlingException", seconds=4 * 3600)
    assert fridays.wait_until(expires + 2 * HOUR) == []
    assert pipeline.cluster(target) is not None
    sqs = fridays.aws.client("sqs")
    url = sqs.get_queue_url(QueueName=f"{PREFIX}-dead-letters")["QueueUrl"]
    letters = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert {each["MessageAttributes"]["ERROR_CODE"]["StringValue"] for each in letters} == {"ThrottlingException"}
    assert subjects(fridays.wait_until(expires + 5 * HOUR)) == ["EXPIRED"]
    assert pipeline.cluster(target) is None
