"""An execution of the pipeline, and what people, tables and RDS know of it afterwards."""

from __future__ import annotations

import contextlib
import itertools
import json
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from scripts.local_run.following import Followed, follow
from scripts.local_run.stage import REGION, Stage

READING = ("Describe", "Get", "List")
numbers = itertools.count(1)


@dataclass
class Run:
    """An execution that has ended, and what people and tables know of it."""

    operation_id: str
    execution_arn: str
    followed: Followed
    messages: list[dict[str, str]]
    changes: list[str] = field(default_factory=list)

    @property
    def status(self) -> str:
        return self.followed.status

    @property
    def reason(self) -> str:
        return self.followed.reason() or ""

    @property
    def output(self) -> Any:
        return self.followed.output

    def states(self) -> list[str]:
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in self.followed.history
            if "stateEnteredEventDetails" in event
        ]


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
        calls_before = len(self.aws.stats.calls)
        return self.end(self.start(given, name), calls_before)

    def end(self, execution_arn: str, calls_before: int = 0) -> Run:
        """Wait for the execution's end, and for EventBridge's last word."""
        followed = follow(self.aws, execution_arn, Console(quiet=True))
        self.aws.events.settle()
        return Run(
            operation_id=execution_arn.rsplit(":", 1)[-1],
            execution_arn=execution_arn,
            followed=followed,
            messages=self.place.received_messages(),
            changes=[
                call.operation
                for call in self.aws.stats.calls[calls_before:]
                if call.service == "rds" and not call.operation.startswith(READING)
            ],
        )

    def rds(self, region: str = REGION) -> Any:
        return self.aws.client("rds", region)

    def cluster(self, identifier: str, region: str = REGION) -> dict[str, Any] | None:
        rds = self.rds(region)
        with contextlib.suppress(rds.exceptions.DBClusterNotFoundFault):
            return dict(rds.describe_db_clusters(DBClusterIdentifier=identifier)["DBClusters"][0])
        return None

    def snapshots(self, region: str = REGION) -> set[str]:
        found = self.rds(region).describe_db_cluster_snapshots()["DBClusterSnapshots"]
        return {each["DBClusterSnapshotIdentifier"] for each in found}

    def automated_snapshots(self) -> set[str]:
        found = self.rds().describe_db_cluster_snapshots(SnapshotType="automated")["DBClusterSnapshots"]
        return {each["DBClusterSnapshotIdentifier"] for each in found}

    def state(self, key: str) -> dict[str, Any] | None:
        """An item of the state table as DynamoDB gives it; a lock's key is lock#<target>."""
        table = self.place.stack.outputs["StateTableName"]
        answer = self.aws.client("dynamodb").get_item(TableName=table, Key={"operation_id": {"S": key}})
        return dict(answer["Item"]) if "Item" in answer else None

    def audit(self, operation_id: str) -> list[tuple[str, str]]:
        answer = self.aws.client("dynamodb").query(
            TableName=self.place.stack.outputs["AuditTableName"],
            KeyConditionExpression="operation_id = :id",
            ExpressionAttributeValues={":id": {"S": operation_id}},
        )
        return [(item["event_type"]["S"], item["status"]["S"]) for item in answer["Items"]]

    def remove(self, identifier: str) -> None:
        """Delete a cluster that a test has made, and wait until its name is free."""
        rds = self.rds()
        for member in (self.cluster(identifier) or {"DBClusterMembers": []})["DBClusterMembers"]:
            rds.delete_db_instance(DBInstanceIdentifier=member["DBInstanceIdentifier"], SkipFinalSnapshot=True)
        if self.cluster(identifier):
            rds.delete_db_cluster(DBClusterIdentifier=identifier, SkipFinalSnapshot=True)
        while self.cluster(identifier):
            self.aws.clock.sleep(60)
