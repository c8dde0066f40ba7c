"""An execution of the pipeline, and what people, tables and RDS know of it afterwards."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import msgspec
from rich.console import Console

from scripts.local_aws.core.credentials import aws_client
from scripts.local_aws.front import ApiCall
from scripts.local_aws.server import LocalAws
from scripts.local_run.calls import READING
from scripts.local_run.following import Followed, follow
from scripts.local_run.production import Production
from scripts.local_run.stage import REGION, Stage
from utils.contracts.evidence import Evidence
from utils.names import name_for

numbers = itertools.count(1)
REMOVAL_ROUNDS = 100
"""Of ten minutes each: nothing that is being made or deleted takes so long."""
Found = TypeVar("Found")

# More than anything may take here, by the clock on the wall.
WAITING_SECONDS = 120


@dataclass
class Run:
    """An execution that has ended, and what people and tables know of it."""

    operation_id: str
    execution_arn: str
    followed: Followed
    messages: list[dict[str, str]]
    calls: list[ApiCall] = field(default_factory=list)

    @property
    def status(self) -> str:
        return self.followed.status

    @property
    def reason(self) -> str:
        return self.followed.reason() or ""

    @property
    def output(self) -> Any:
        return self.followed.output

    @property
    def changes(self) -> list[str]:
        """What was asked of RDS, also in vain, that isn't just reading."""
        return [
            call.operation for call in self.calls if call.service == "rds" and not call.operation.startswith(READING)
        ]

    @property
    def message(self) -> str:
        """The one message that people were sent."""
        (sent,) = self.messages
        return sent["message"]

    def states(self) -> list[str]:
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in self.followed.history
            if "stateEnteredEventDetails" in event
        ]


class Repeated(NamedTuple):
    """A source, its first run, and its second, whose plan has learned from the first."""

    source: str
    first: Run
    learned: Run


class Pipeline:
    """Starts executions and looks at what they did."""

    def __init__(self, place: Stage) -> None:
        self.place, self.aws = place, place.aws

    def start(self, given: Any, name: str | None = None) -> str:
        """The execution's ARN."""
        answer = self.aws.client("stepfunctions").start_execution(
            stateMachineArn=self.place.state_machine_arn,
            name=name or f"run-{next(numbers)}",
            input=given if isinstance(given, str) else json.dumps(given),
        )
        return str(answer["executionArn"])

    def run(self, given: Any, name: str | None = None) -> Run:
        self.place.received_messages()
        last = self.last_call()
        return self.end(self.start(given, name), last)

    def last_call(self) -> ApiCall | None:
        return self.aws.stats.last_call

    def calls_since(self, mark: ApiCall | None) -> list[ApiCall]:
        return self.aws.stats.calls_since(mark)

    def end(self, execution_arn: str, mark: ApiCall | None = None) -> Run:
        """Wait for the execution's end, and for EventBridge's last word."""
        self.aws.state_machines.wait_for(execution_arn, WAITING_SECONDS)
        followed = follow(self.aws, execution_arn, Console(quiet=True))
        messages = self._messages()
        return Run(
            operation_id=execution_arn.rsplit(":", 1)[-1],
            execution_arn=execution_arn,
            followed=followed,
            messages=messages,
            calls=self.calls_since(mark),
        )

    def _messages(self) -> list[dict[str, str]]:
        """Everything that people were told. EventBridge's word on the execution may come a moment after its end."""
        messages: list[dict[str, str]] = []
        for _ in range(60):
            messages += self.place.received_messages()
            if messages:
                break
            time.sleep(0.05)
        self.aws.events.settle()
        return messages + self.place.received_messages()

    def as_role(self, logical_id: str, service: str) -> Any:
        """A client with the credentials of one of the stack's roles."""
        role = self.place.stack.resources[logical_id]
        arn = f"arn:aws:iam::{self.aws.account_id}:role/{role}"
        session = self.aws.permissions.assume(arn, service="lambda.amazonaws.com", session_name="test", region=REGION)
        return aws_client(service, REGION, self.aws.endpoint_url, session, attempts=1)

    def rds(self, region: str = REGION) -> Any:
        return self.aws.client("rds", region)

    @staticmethod
    def key_of(aws: LocalAws, identifier: str) -> str:
        """The ARN of a cluster's key."""
        return str(aws.client("rds").describe_db_clusters(DBClusterIdentifier=identifier)["DBClusters"][0]["KmsKeyId"])

    def cluster(self, identifier: str, region: str = REGION) -> dict[str, Any] | None:
        rds = self.rds(region)
        with contextlib.suppress(rds.exceptions.DBClusterNotFoundFault):
            return dict(rds.describe_db_clusters(DBClusterIdentifier=identifier)["DBClusters"][0])
        return None

    def snapshots(self, region: str = REGION) -> set[str]:
        found = self.rds(region).describe_db_cluster_snapshots()["DBClusterSnapshots"]
        return {each["DBClusterSnapshotIdentifier"] for each in found}

    def copies_of(self, operation_id: str) -> list[str]:
        """The copies that an operation has made here; other operations may have been told to keep theirs."""
        ending = name_for("copy", "x", operation_id).removeprefix("x")
        return [name for name in self.snapshots() if name.endswith(ending)]

    def automated_snapshots(self) -> set[str]:
        found = self.rds().describe_db_cluster_snapshots(SnapshotType="automated")["DBClusterSnapshots"]
        return {each["DBClusterSnapshotIdentifier"] for each in found}

    def state(self, key: str) -> dict[str, Any] | None:
        """An item of the state table as DynamoDB gives it, with its plan; a lock's key is lock#<target>."""
        table = self.place.stack.outputs["StateTableName"]
        answer = self.aws.client("dynamodb").get_item(TableName=table, Key={"operation_id": {"S": key}})
        if "Item" not in answer:
            return None
        item = dict(answer["Item"])
        planned = self.state(item["plan_item"]["S"]) if "plan_item" in item else None
        return {name: planned[name] for name in ("plan", "parameters")} | item if planned else item

    def holder(self, target: str) -> str | None:
        """The execution that holds the lock on a target; None when nobody does."""
        item = self.state(f"lock#{target}")
        return None if item is None or "released_at" in item else str(item["execution_id"]["S"])

    def audit(self, operation_id: str) -> list[tuple[str, str]]:
        answer = self.aws.client("dynamodb").query(
            TableName=self.place.stack.outputs["AuditTableName"],
            KeyConditionExpression="operation_id = :id",
            ExpressionAttributeValues={":id": {"S": operation_id}},
        )
        return [(item["event_type"]["S"], item["status"]["S"]) for item in answer["Items"]]

    def evidence_files(self, folder: str = "") -> dict[str, bytes]:
        """The files of the evidence bucket, or those of one folder of it."""
        s3, bucket = self.aws.client("s3"), self.place.stack.outputs["EvidenceBucketName"]
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=folder)
        names = [each["Key"] for page in pages for each in page.get("Contents", [])]
        return {name: s3.get_object(Bucket=bucket, Key=name)["Body"].read() for name in names}

    def evidence(self, operation_id: str) -> Evidence:
        """The evidence of an operation's last end."""
        item = self.state(operation_id)
        assert item is not None
        folder = item["evidence"]["M"]["folder"]["S"]
        return msgspec.json.decode(self.evidence_files(folder)[f"{folder}/evidence.json"], type=Evidence)

    def remove(self, identifier: str) -> None:
        """Delete a cluster that a test has made, whatever state it is in, and wait until its name is free."""
        rds = self.rds()
        for _ in range(REMOVAL_ROUNDS):
            found = self.cluster(identifier)
            if not found:
                return
            if found["DeletionProtection"]:
                with contextlib.suppress(rds.exceptions.ClientError):
                    rds.modify_db_cluster(
                        DBClusterIdentifier=identifier, DeletionProtection=False, ApplyImmediately=True
                    )
            members = [each["DBInstanceIdentifier"] for each in found["DBClusterMembers"]]
            with contextlib.suppress(rds.exceptions.ClientError):
                for member in members:
                    rds.delete_db_instance(DBInstanceIdentifier=member, SkipFinalSnapshot=True)
            with contextlib.suppress(rds.exceptions.ClientError):
                rds.delete_db_cluster(DBClusterIdentifier=identifier, SkipFinalSnapshot=True)
            self.aws.clock.sleep(600)
        raise AssertionError(f"{identifier} is never gone")


@contextlib.contextmanager
def many_at_once(pipeline: Pipeline, number: int) -> Iterator[list[Run]]:
    """Runs for different targets, begun together and ended. What they made is gone afterwards.

    People are told of all of them on one topic, so no run here has messages.
    """
    targets = [f"target-{next(numbers)}" for _ in range(number)]
    begun = [pipeline.start({"target_cluster_id": target}) for target in targets]
    ended = [follow(pipeline.aws, arn, Console(quiet=True)) for arn in begun]
    pipeline.aws.events.settle()
    pipeline.place.received_messages()
    try:
        yield [
            Run(operation_id=arn.rsplit(":", 1)[-1], execution_arn=arn, followed=each, messages=[])
            for arn, each in zip(begun, ended, strict=True)
        ]
    finally:
        for target in targets:
            pipeline.remove(target)


def until(found: Callable[[], Found | None], what: str) -> Found:
    """Look again and again until there is something, for so long as anything may take here."""
    deadline = time.monotonic() + WAITING_SECONDS
    while not (answer := found()):
        assert time.monotonic() < deadline, f"it never happened: {what}"
        time.sleep(0.01)
    return answer


def settle(pipeline: Pipeline) -> None:
    """Twenty minutes, in which everything that has been begun is finished."""
    pipeline.aws.clock.sleep(1200)


def distant_windows(aws: LocalAws) -> dict[str, str]:
    """Windows half a day from now, as a request has them: no cluster is replaced shortly before one of its own."""
    backup, maintenance = (aws.clock.now() + dt.timedelta(hours=hours) for hours in (12, 13))
    half_an_hour = dt.timedelta(minutes=30)
    return {
        "preferred_backup_window": f"{backup:%H:%M}-{backup + half_an_hour:%H:%M}",
        "preferred_maintenance_window": (f"{maintenance:%a:%H:%M}-{maintenance + half_an_hour:%a:%H:%M}".lower()),
    }


def deletion_of(name: str, target: str, **more: Any) -> dict[str, Any]:
    """A request that restores a cluster's snapshot and deletes the cluster."""
    return {
        "source_cluster_id": name,
        "target_cluster_id": target,
        "delete_source": True,
        "confirm_delete_source": name,
        **more,
    }


def for_monitoring(aws: LocalAws) -> dict[str, str]:
    """What a stack whose clusters have Enhanced Monitoring is given: the role that RDS assumes for it."""
    service = {"Effect": "Allow", "Principal": {"Service": "monitoring.rds.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = aws.client("iam").create_role(
        RoleName="rds-monitoring-role",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [service]}),
    )
    return {"MonitoringRoleArn": str(role["Role"]["Arn"])}


def request_for(source: Production, target: str, key: str, archive: str) -> dict[str, Any]:
    """A request for a restore of a source's snapshot, wherever in our account that is."""
    return {
        "source_cluster_id": source.cluster,
        "source_region": source.region,
        "target_cluster_id": target,
        "archive_snapshot": archive,
        **({"kms_key_id": key} if source.region != REGION else {}),
    }
