"""Two masked nights under one name: clients write through it while its cluster is replaced, and lose nothing.

The first night restores. During the second one two clients write a row at a time: one keeps its session, the other
connects for each row. What they were promised is looked for in both clusters afterwards, as the superuser of each.
Then the second night is rolled back, and a day passes, and with it the cluster that was rolled back.
"""

from __future__ import annotations

import datetime as dt
import json
from types import SimpleNamespace
from typing import Any

from rich.console import Console
from rich.table import Table

from scripts.local_run import report
from scripts.local_run.client import Client
from scripts.local_run.databases import database_session
from scripts.local_run.following import Followed, follow
from scripts.local_run.policies import UNMASKED
from scripts.local_run.production import Production
from scripts.local_run.stage import TARGET, Stage
from utils.messages.units import duration

KEPT_HOURS = 20
_AFTERWARDS_SECONDS = 60
_FIRST_ROW_WITHIN_SECONDS = 30.0
_BAR_SECONDS = 10
_WIDEST_BAR = 60
_CLIENTS_ROWS = "SELECT name FROM sales.customers WHERE name LIKE 'client-%'"


class Refresh:
    """The nights, and what is proved of them."""

    def __init__(
        self, place: Stage, production: Production, console: Console, *, verbose: bool, by_demonstration: bool
    ) -> None:
        """Prepare two nights from the snapshot of `production`. `by_demonstration`: its own policy masks them.

        What another policy makes of production's customers is not known here.
        """
        self._by_demonstration = by_demonstration
        self._place, self._aws, self._production = place, place.aws, production
        self._console, self._verbose = console, verbose
        self._rds = place.aws.client("rds")
        self._users: dict[str, Any] = {}

    def run(self) -> tuple[dict[str, Any], bool]:
        """Run both nights and the day after them. Return the result, and whether every line of the proof held."""
        self._place.shut_its_door()
        first = self._night("The first night: nothing is called so yet")
        if first.status != "SUCCEEDED":
            return report.ended_early("the_first_night_succeeded", first, self._place, self._console)
        old = self._live()
        pooled, fresh = self._client(pooled=True), self._client(pooled=False)
        with pooled, fresh:
            second = self._night("The second night, while two clients write")
            self._aws.clock.sleep(_AFTERWARDS_SECONDS)
        new, kept = self._live(), self._by_id(old["DbClusterResourceId"])
        clients = {"keeps its session": pooled, "connects for each row": fresh}
        in_old = self._rows_in(kept["DBClusterIdentifier"]) if kept else set()
        in_new = self._rows_in(TARGET)
        acknowledged = [row.key for each in clients.values() for row in each.acknowledged]
        checks = {
            "both_nights_succeeded": (first.status, second.status) == ("SUCCEEDED", "SUCCEEDED"),
            "the_name_leads_to_a_new_cluster": new["DbClusterResourceId"] != old["DbClusterResourceId"],
            "at_the_same_address": new["Endpoint"] == old["Endpoint"],
            "each_acknowledged_row_is_in_exactly_one": all((key in in_old) != (key in in_new) for key in acknowledged),
            "both_clients_go_on_in_the_new_one": all(
                each.acknowledged[-1].key in in_new for each in clients.values() if each.acknowledged
            ),
            **({"nobody_reads_productions_customers_there": self._unmasked() == 0} if self._by_demonstration else {}),
            "the_old_one_is_kept_behind_the_door": kept is not None and self._is_shut(kept),
        }
        gaps = {name: _gap(each, in_old, in_new) for name, each in clients.items()}
        self._show_clients(clients, in_old, in_new, gaps)
        stages = self._stages(second)
        self._show_stages(stages)
        checks |= self._rolled_back(second, old["DbClusterResourceId"], new["DbClusterResourceId"])
        checks |= self._a_day_later(old["DbClusterResourceId"], new["DbClusterResourceId"])
        report.show_checks(checks, [], self._console)
        messages = self._place.received_messages()
        report.show_messages(messages, self._console)
        result = {
            "status": second.status,
            "error": first.reason() or second.reason(),
            "checks": checks,
            "gap_seconds": gaps,
            "stages": [{"stage": name, "seconds": seconds} for name, seconds in stages],
            "messages": messages,
        }
        return result, all(checks.values())

    def _night(self, title: str) -> Followed:
        self._console.print(f"\n[bold]{title}[/]")
        # No cluster is replaced shortly before one of its windows: they are half a day away.
        half_a_day = self._aws.clock.now() + dt.timedelta(hours=12)
        backup, maintenance = (half_a_day + dt.timedelta(hours=hours) for hours in (0, 1))
        half_an_hour = dt.timedelta(minutes=30)
        request = {
            "replace_target": True,
            "keep_previous_hours": KEPT_HOURS,
            "preferred_backup_window": f"{backup:%H:%M}-{backup + half_an_hour:%H:%M}",
            "preferred_maintenance_window": f"{maintenance:%a:%H:%M}-{maintenance + half_an_hour:%a:%H:%M}".lower(),
        }
        followed = self._followed(request)
        if followed.status == "SUCCEEDED":
            self._users = followed.output["users"]
        return followed

    def _followed(self, request: dict[str, Any]) -> Followed:
        states = self._aws.client("stepfunctions")
        arn = states.start_execution(stateMachineArn=self._place.state_machine_arn, input=json.dumps(request))
        return follow(self._aws, arn["executionArn"], self._console, verbose=self._verbose)

    def _client(self, *, pooled: bool) -> Client:
        login, live = self._place.secret(self._users["application_secret"]), self._live()
        role, password = self._users["application_role"], login["app_password"]
        return Client(self._aws, live["Endpoint"], live["Port"], role, password, pooled)

    def _live(self) -> dict[str, Any]:
        return dict(self._rds.describe_db_clusters(DBClusterIdentifier=TARGET)["DBClusters"][0])

    def _by_id(self, resource_id: str) -> dict[str, Any] | None:
        wanted = [{"Name": "db-cluster-resource-id", "Values": [resource_id]}]
        found = self._rds.describe_db_clusters(Filters=wanted)["DBClusters"]
        return dict(found[0]) if found else None

    def _is_shut(self, cluster: dict[str, Any]) -> bool:
        groups = [each["VpcSecurityGroupId"] for each in cluster["VpcSecurityGroups"]]
        return groups == [self._place.stack.outputs["DoorSecurityGroupId"]]

    def _unmasked(self) -> int:
        """Return how many of production's customers the application can read through the name."""
        login, live = self._place.secret(self._users["application_secret"]), self._live()
        server = SimpleNamespace(host=live["Endpoint"], port=live["Port"])
        role, password = self._users["application_role"], login["app_password"]
        with (
            database_session(self._aws, server, "orders", role, password) as session,
            session.cursor() as cursor,
        ):
            cursor.execute(UNMASKED)
            ((found,),) = cursor.fetchall()
        return int(found)

    def _rows_in(self, identifier: str) -> set[str]:
        """Return the rows of the clients, read as the superuser, for whom no door is shut."""
        with self._aws.aurora.cluster(identifier).postgres.connect("orders") as session, session.cursor() as cursor:
            cursor.execute(_CLIENTS_ROWS)
            return {name for (name,) in cursor.fetchall()}

    def _rolled_back(self, night: Followed, old: str, new: str) -> dict[str, bool]:
        """Undo the second night while its clients' rows are in the new cluster, and return what is proved of it."""
        self._console.print("\n[bold]The second night was a mistake, and is rolled back[/]")
        undone = night.output["plan"]["operation_id"] if night.status == "SUCCEEDED" else ""
        request = {"operation_id": undone, "rollback": True, "keep_previous_hours": KEPT_HOURS}
        back = self._followed(request)
        kept = self._by_id(new)
        with self._client(pooled=False) as client:
            client.wait_for_a_row(_FIRST_ROW_WITHIN_SECONDS)
        return {
            "the_rollback_succeeded": back.status == "SUCCEEDED",
            "the_name_leads_to_the_first_cluster_again": self._live()["DbClusterResourceId"] == old,
            "the_applications_login_opens_it": bool(client.acknowledged),
            "the_one_that_was_rolled_back_is_kept_behind_the_door": kept is not None and self._is_shut(kept),
        }

    def _a_day_later(self, old: str, new: str) -> dict[str, bool]:
        self._console.print("\nA day passes, with a sweep each hour ...", style="dim")
        self._aws.clock.sleep((KEPT_HOURS + 3) * 3600)
        self._aws.schedules.settle()
        self._aws.clock.sleep(_AFTERWARDS_SECONDS * 20)
        live = self._by_id(old)
        return {
            "the_one_that_was_rolled_back_is_gone_when_its_time_is_over": self._by_id(new) is None,
            "the_first_one_is_there": live is not None and live["DBClusterIdentifier"] == TARGET,
        }

    def _stages(self, second: Followed) -> list[tuple[str, float]]:
        """Return what the swap did, each with its seconds until the next, by the operation's audit trail."""
        answer = self._aws.client("dynamodb").query(
            TableName=self._place.stack.outputs["AuditTableName"],
            KeyConditionExpression="operation_id = :id",
            ExpressionAttributeValues={":id": {"S": second.output["plan"]["operation_id"]}},
        )
        found = [
            (dt.datetime.fromisoformat(item["timestamp"]["S"].partition("#")[0]), item["status"]["S"])
            for item in answer["Items"]
            if item["event_type"]["S"] == "swap"
        ]
        # Events of one moment have no order of their own.
        events = sorted(found, key=lambda each: (each[0], each[1] != "begun"))
        following = [moment for moment, _ in events[1:]]
        pairs = zip(events, following, strict=False)
        return [(name, (after - moment).total_seconds()) for (moment, name), after in pairs]

    def _show_clients(
        self, clients: dict[str, Client], in_old: set[str], in_new: set[str], gaps: dict[str, float | None]
    ) -> None:
        table = Table(title="What the clients saw", title_justify="left", box=None, padding=(0, 2, 0, 0))
        for column in ("Client", "Acknowledged", "In the old", "In the new", "Errors", "Gap"):
            table.add_column(column, no_wrap=True)
        for name, client in clients.items():
            keys = {row.key for row in client.acknowledged}
            errors = len(client.rows) - len(client.acknowledged)
            gap = gaps[name]
            spoken = duration(gap) if gap is not None else "none was written on both sides"
            counted = (len(keys), len(keys & in_old), len(keys & in_new), errors)
            table.add_row(name, *(f"{each:,}" for each in counted), spoken)
        self._console.print()
        self._console.print(table)

    def _show_stages(self, stages: list[tuple[str, float]]) -> None:
        self._console.print("\n[bold]The swap, stage by stage[/] (the embedded AWS's durations, not AWS's)")
        for name, seconds in stages:
            bar = "#" * min(_WIDEST_BAR, round(seconds / _BAR_SECONDS))
            self._console.print(f"  {name:18} {duration(seconds):>12}  {bar}", highlight=False)


def _gap(client: Client, in_old: set[str], in_new: set[str]) -> float | None:
    """Return the seconds between a client's last acknowledged row in the old cluster and its first in the new one."""
    before = [row.acknowledged_at for row in client.acknowledged if row.key in in_old]
    after = [row.acknowledged_at for row in client.acknowledged if row.key in in_new]
    last, first = max(filter(None, before), default=None), min(filter(None, after), default=None)
    return None if last is None or first is None else round(first - last, 1)
