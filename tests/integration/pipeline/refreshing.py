"""A target that is replaced night after night, clients at its name, and what became of each row that they wrote."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import psycopg2

from scripts.local_aws.server import LocalAws
from scripts.local_run.stage import Stage
from tests.integration.pipeline.support import Pipeline, Run, numbers
from utils.aurora_utils.resources import OPERATION_TAG

_INSERT = "INSERT INTO sales.customers (name, email) VALUES (%s, 'a client''s')"
_PAUSE_SECONDS = 0.02


@dataclass
class Written:
    """One row that a client has sent: acknowledged, or in doubt; both times are the clock's."""

    key: str
    sent_at: float
    acknowledged_at: float | None = None
    error: str = ""


@dataclass
class Client:
    """Writes one row after another through the target's name, each with a COMMIT of its own.

    `pooled` keeps its session for as long as that lives; else each row comes by a new one.
    """

    aws: LocalAws
    host: str
    port: int
    user: str
    password: str = field(repr=False)
    pooled: bool = True
    statement: str = _INSERT
    rows: list[Written] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._name = f"client-{next(numbers)}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_on, name=self._name, daemon=True)

    def __enter__(self) -> Client:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def acknowledged(self) -> list[Written]:
        return [row for row in self.rows if row.acknowledged_at is not None]

    def _connect(self) -> Any:
        return psycopg2.connect(
            host=self.host,
            port=self.port,
            dbname="orders",
            user=self.user,
            password=self.password,
            sslmode="verify-full",
            sslrootcert=str(self.aws.rds_ca_bundle),
            connect_timeout=2,
        )

    def _write_on(self) -> None:
        session: Any = None
        for number in itertools.count():
            if self._stop.wait(_PAUSE_SECONDS):
                break
            row = Written(f"{self._name}-{number}", self.aws.clock.time())
            try:
                if session is None:
                    session = self._connect()
                row.sent_at = self.aws.clock.time()
                with session, session.cursor() as cursor:
                    cursor.execute(self.statement, (row.key,))
                row.acknowledged_at = self.aws.clock.time()
            except psycopg2.Error as error:
                row.error = f"{error.pgcode or ''} {str(error).strip()}"
                session = None
            self.rows.append(row)
            if session is not None and not self.pooled:
                session.close()
                session = None
        if session is not None:
            session.close()


class Refreshing:
    """A target that is replaced, by a stack of its own."""

    def __init__(self, place: Stage, target: str) -> None:
        self.pipeline, self.place, self.aws, self.target = Pipeline(place), place, place.aws, target
        self.users: dict[str, Any] = {}

    def night(self, name: str | None = None, **request: Any) -> Run:
        """A night of which people expect nothing special."""
        run = self.pipeline.run({"target_cluster_id": self.target, "replace_target": True, **request}, name)
        if run.status == "SUCCEEDED":
            self.users = run.output["users"]
        return run

    def start(self, **request: Any) -> str:
        return self.pipeline.start({"target_cluster_id": self.target, "replace_target": True, **request})

    def live(self) -> dict[str, Any]:
        found = self.pipeline.cluster(self.target)
        assert found is not None, f"nothing is called {self.target}"
        return found

    def by_id(self, resource_id: str) -> dict[str, Any] | None:
        wanted = [{"Name": "db-cluster-resource-id", "Values": [resource_id]}]
        found = self.pipeline.rds().describe_db_clusters(Filters=wanted)["DBClusters"]
        return dict(found[0]) if found else None

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
