"""A target that is replaced night after night, clients at its name, and what became of each row that they wrote."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from scripts.local_aws.server import LocalAws
from scripts.local_run import stage
from scripts.local_run.client import Client
from scripts.local_run.stage import SOURCE, Stage
from tests.integration.pipeline.support import Pipeline, Run, distant_windows, settle, until
from utils.aurora_utils.resources import OPERATION_TAG, REPLACEABLE_TAG

MODIFY = "rds:ModifyDBCluster"


HOURLY = "rate(1 hour)"


@contextlib.contextmanager
def deployed(aws: LocalAws, prefix: str, **parameters: str) -> Iterator[Stage]:
    """A stack of its own, whose door is enforced, for targets of its prefix. Its sweeps end with it."""
    tables = {"StateTableName": f"{prefix.title()}State", "AuditTableName": f"{prefix.title()}Audit"}
    wanted = {"SourceClusterId": SOURCE, "TargetClusterId": f"{prefix}-own", "TargetClusterPattern": f"{prefix}-*"}
    overrides = {"NamePrefix": prefix, **tables, **wanted, "InstanceCount": "1", **parameters}
    made = stage.deploy(aws, cross_region=False, overrides=overrides, stack_name=prefix)
    made.shut_its_door()
    yield made
    if "ExpirySchedule" in parameters:
        aws.client("scheduler").delete_schedule(Name=made.stack.resources["ExpirySweeps"])


@contextlib.contextmanager
def refreshing(place: Stage, target: str) -> Iterator[Refreshing]:
    """A target that nobody has yet, and that is gone afterwards, with every cluster beside it."""
    made = Refreshing(place, target)
    yield made
    made.aws.faults.clear()
    for each in made.ours():
        made.pipeline.remove(each["DBClusterIdentifier"])


class Refreshing:
    """A target that is replaced, by a stack of its own."""

    def __init__(self, place: Stage, target: str) -> None:
        self.pipeline, self.place, self.aws, self.target = Pipeline(place), place, place.aws, target
        self.users: dict[str, Any] = {}

    def night(self, name: str | None = None, **request: Any) -> Run:
        """A night of which people expect nothing special."""
        run = self.pipeline.run({**self._replacing(), **request}, name)
        if run.status == "SUCCEEDED" and not request.get("dry_run"):
            self.users = run.output["users"]
        return run

    def start(self, **request: Any) -> str:
        return self.pipeline.start({**self._replacing(), **request})

    def _replacing(self) -> dict[str, Any]:
        return {"target_cluster_id": self.target, "replace_target": True, **distant_windows(self.aws)}

    def windows(self) -> dict[str, str]:
        """Return distant ones, as RDS's calls have them."""
        return {
            "".join(word.capitalize() for word in name.split("_")): window
            for name, window in distant_windows(self.aws).items()
        }

    def of_others(self, **changes: Any) -> dict[str, Any]:
        """The target, created by somebody else who has tagged it as replaceable."""
        rds, consent = self.pipeline.rds(), [{"Key": REPLACEABLE_TAG, "Value": "true"}]
        rds.create_db_cluster(
            DBClusterIdentifier=self.target,
            Engine="aurora-postgresql",
            EngineVersion="17.5",
            MasterUsername="owner",
            MasterUserPassword="their-own-secret-1",
            **self.windows(),
            Tags=consent,
            **changes,
        )
        settle(self.pipeline)
        rds.create_db_instance(
            DBInstanceIdentifier=f"{self.target}-of-others",
            DBClusterIdentifier=self.target,
            Engine="aurora-postgresql",
            DBInstanceClass="db.r6g.large",
            Tags=consent,
        )
        settle(self.pipeline)
        return self.live()

    def live(self) -> dict[str, Any]:
        found = self.pipeline.cluster(self.target)
        assert found is not None, f"nothing is called {self.target}"
        return found

    def by_id(self, resource_id: str) -> dict[str, Any] | None:
        wanted = [{"Name": "db-cluster-resource-id", "Values": [resource_id]}]
        found = self.pipeline.rds().describe_db_clusters(Filters=wanted)["DBClusters"]
        return dict(found[0]) if found else None

    def present(self, cluster: dict[str, Any]) -> dict[str, Any]:
        """The cluster as it is now, under whatever name."""
        found = self.by_id(cluster["DbClusterResourceId"])
        assert found is not None
        return found

    def restored_beside(self, old: dict[str, Any]) -> dict[str, Any]:
        """The cluster that is to replace another one, under whatever name it has."""
        (found,) = [
            each
            for each in self.ours()
            if each["DbClusterResourceId"] != old["DbClusterResourceId"]
            and tags_of(each).get("aurora-restore:role") != "previous"
        ]
        return found

    def delete(self, cluster: dict[str, Any]) -> None:
        """Delete a cluster as a person does it. It is gone some minutes later."""
        rds = self.pipeline.rds()
        for member in cluster["DBClusterMembers"]:
            rds.delete_db_instance(DBInstanceIdentifier=member["DBInstanceIdentifier"], SkipFinalSnapshot=True)
        rds.delete_db_cluster(DBClusterIdentifier=cluster["DBClusterIdentifier"], SkipFinalSnapshot=True)

    def ours(self) -> list[dict[str, Any]]:
        """Every cluster of the target's, under whatever name."""
        found = self.pipeline.rds().describe_db_clusters()["DBClusters"]
        return [each for each in found if each["DBClusterIdentifier"].startswith(self.target)]

    def client(self, *, pooled: bool = True) -> Client:
        """Somebody with the application's login, as the last night's success names it."""
        login, described = self.place.secret(self.users["application_secret"]), self.live()
        return Client(
            self.aws,
            described["Endpoint"],
            described["Port"],
            self.users["application_role"],
            login["app_password"],
            pooled,
        )

    def rows_in(self, identifier: str) -> set[str]:
        """The rows of clients in a cluster, read as its superuser whatever its door is."""
        with self.aws.aurora.cluster(identifier).postgres.connect("orders") as session, session.cursor() as cursor:
            cursor.execute("SELECT name FROM sales.customers WHERE name LIKE 'client-%'")
            return {name for (name,) in cursor.fetchall()}

    def swap_events(self, run: Run) -> list[tuple[float, str, dict[str, Any]]]:
        """Return what the audit trail has of the swap: when, what, and its details."""
        answer = self.aws.client("dynamodb").query(
            TableName=self.place.stack.outputs["AuditTableName"],
            KeyConditionExpression="operation_id = :id",
            ExpressionAttributeValues={":id": {"S": run.operation_id}},
        )
        read = TypeDeserializer().deserialize
        items = [{name: read(value) for name, value in item.items()} for item in answer["Items"]]
        return [
            (
                dt.datetime.fromisoformat(item["timestamp"].split("#")[0]).timestamp(),
                item["status"],
                item["event_details"],
            )
            for item in items
            if item["event_type"] == "swap"
        ]

    def fenced_at(self, run: Run) -> float:
        """From when on nobody is to have written to the cluster that was replaced."""
        events = [each for each in self.swap_events(run) if each[2].get("side") == "old"]
        return max(moment for moment, what, _ in events if what in ("fenced", "rename"))

    def door_is_shut(self, cluster: dict[str, Any]) -> bool:
        door = self.place.stack.outputs["DoorSecurityGroupId"]
        return [each["VpcSecurityGroupId"] for each in cluster["VpcSecurityGroups"]] == [door]

    def wait_until_running(self, execution_arn: str) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            status = self.aws.client("stepfunctions").describe_execution(executionArn=execution_arn)["status"]
            if status != "RUNNING":
                return
            time.sleep(0.01)


def tags_of(cluster: dict[str, Any]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in cluster["TagList"]}


def operation_of(cluster: dict[str, Any]) -> str:
    return tags_of(cluster)[OPERATION_TAG]


What = Callable[[], object]


@contextlib.contextmanager
def meeting(nights: Refreshing, call: dict[str, str], what: What, operation: str = MODIFY) -> Iterator[None]:
    """Have something happen while the call is under way: it is held until then, and carried out after it."""
    with meetings(nights, [(operation, call, what)]):
        yield


@contextlib.contextmanager
def meetings(nights: Refreshing, following: Sequence[tuple[str, dict[str, str], What]]) -> Iterator[None]:
    """The same for several calls, one after the other."""
    aws, failures, is_over = nights.aws, list[Exception](), threading.Event()

    def hold(number: int) -> None:
        for operation, call, _ in following[number : number + 1]:
            aws.faults.add(operation=operation, parameters=call, answer="held")

    def happen() -> None:
        for number, (operation, call, what) in enumerate(following, start=1):
            try:
                until(lambda: aws.faults.held, f"that {operation} is held: {call}")
                what()
                hold(number)
            except Exception as failure:  # noqa: BLE001 raised where the test sees it
                failures.append(failure)
                return
            finally:
                aws.faults.release()

    hold(0)
    waiting = threading.Thread(target=happen)
    waiting.start()
    try:
        yield
    finally:
        is_over.set()
        waiting.join()
    if failures:
        raise failures[0]
