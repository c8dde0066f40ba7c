"""The proof that a restored cluster is what it should be: asked of the databases and of AWS, not of the pipeline."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg2

from scripts.local_aws.front import ApiCall
from scripts.local_run.calls import changes_of_run, not_as_planned
from scripts.local_run.databases import count_rows, database_session
from scripts.local_run.following import Followed
from scripts.local_run.production import MASTER, Production
from scripts.local_run.stage import Stage
from utils.arns import Arn, snapshot_name
from utils.contracts.route import FINAL
from utils.masking.classification import rules_for
from utils.masking.reading import read_policy


@dataclass
class Server:
    """The restored cluster's writer, as a client addresses it."""

    host: str
    port: int


class Proof:
    """The checks of a run that restored. Each method called _check_NAME is one; they are made in their order here."""

    def __init__(
        self,
        stage: Stage,
        production: Production,
        run: Followed,
        messages: list[dict[str, str]],
        calls: Iterable[ApiCall],
    ) -> None:
        """Take what a run has left. `calls` may hold those of others that only looked on."""
        self.stage, self.production, self.run, self.messages = stage, production, run, messages
        self.plan: dict[str, Any] = run.output["plan"]
        self.calls = changes_of_run(calls)
        self.admin = self._master_login()
        users = run.output["users"]
        names = {"app_username": users["application_role"], "readonly_user": users["read_only_role"]}
        self.app = {**stage.secret(users["application_secret"]), **names}
        self.server = Server(users["endpoint"], users["port"])
        self.rows: dict[str, int] = {}
        self.changed_by_policy = self._changed_by_policy()
        self.failures: list[str] = []

    def _master_login(self) -> dict[str, Any]:
        """Read the login where the request wanted it kept: in a secret of the pipeline's, or in RDS's own."""
        if self.plan["cluster"]["master_login"] == "pipeline":
            return self.stage.secret(self.run.output["users"]["master_secret"])
        return self.stage.secret(self._cluster()["MasterUserSecret"]["SecretArn"])

    def _cluster(self) -> dict[str, Any]:
        rds, name = self.stage.aws.client("rds"), self.plan["cluster"]["identifier"]
        return dict(rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0])

    def checks(self) -> dict[str, bool]:
        """Return by name whether each check held. One that cannot be made has not."""
        results: dict[str, bool] = {}
        for method in filter(lambda name: name.startswith("_check_"), vars(Proof)):
            name = method.removeprefix("_check_")
            try:
                results[name] = getattr(self, method)()
            except Exception as error:  # noqa: BLE001 - a check that cannot be made has not held
                self.failures.append(f"{name}: {type(error).__name__}: {error}".strip())
                results[name] = False
        return results

    def _open(self, database: str, user: str, password: str) -> Any:
        return database_session(self.stage.aws, self.server, database, user, password)

    def _opens(self, user: str, password: str) -> bool:
        with self._open("postgres", user, password):
            return True

    def _as_read_only(self, database: str) -> Any:
        return self._open(database, self.app["readonly_user"], self.app["readonly_pwd"])

    def _databases(self) -> list[str]:
        return sorted({name.split(".")[0] for name in self.production.rows})

    def _check_row_counts_equal(self) -> bool:
        for database in self._databases():
            with self._as_read_only(database) as connection:
                self.rows |= count_rows(connection, database)
        return self.rows.keys() == self.production.rows.keys() and all(
            rows == self.production.rows[name] or name.split(".")[0] in self.changed_by_policy
            for name, rows in self.rows.items()
        )

    def _changed_by_policy(self) -> set[str]:
        """Return the databases in which the masking policy empties tables, or runs SQL of its own.

        How many rows are left there, nobody but the policy knows.
        """
        if (masking := self.plan["masking"]) is None:
            return set()
        answer = self.stage.aws.client("s3").get_object(
            Bucket=masking["bucket"], Key=masking["key"], VersionId=masking["version_id"]
        )
        policy = read_policy(answer["Body"].read().decode())
        rules = {name: rules_for(policy, name)[0] for name in self._databases()}
        return {name for name, each in rules.items() if each is not None and (each.tables or each.sql)}

    def _check_application_role_can_write(self) -> bool:
        application = self._open("orders", self.app["app_username"], self.app["app_password"])
        with application as connection, connection.cursor() as cursor:
            cursor.execute("INSERT INTO sales.customers (name) VALUES ('proof') RETURNING id")
            (customer,) = cursor.fetchone()
            cursor.execute("UPDATE sales.orders SET customer_id = %s WHERE id = 1", (customer,))
            cursor.execute('DELETE FROM sales."Order Lines" WHERE "Order" = 1')
            cursor.execute("SELECT nextval('sales.invoice_numbers'), sales.order_total(2)")
            connection.rollback()
        return True

    def _check_read_only_role_can_read(self) -> bool:
        with self._as_read_only("orders") as connection, connection.cursor() as cursor:
            cursor.execute('SELECT count(*) FROM "Reporting"."Daily Totals"')
            return bool(cursor.fetchone()[0]) or "orders" in self.changed_by_policy

    def _check_read_only_role_cannot_write(self) -> bool:
        statements = (
            "INSERT INTO sales.customers (name) VALUES ('x')",
            "UPDATE sales.orders SET total = 0 WHERE id = 1",
            "DELETE FROM public.settings",
            "SELECT nextval('sales.invoice_numbers')",
            "CREATE TABLE sales.own (id int)",
        )
        return all(self._refused(statement) for statement in statements)

    def _refused(self, statement: str) -> bool:
        with self._as_read_only("orders") as connection, connection.cursor() as cursor:
            try:
                cursor.execute(statement)
            except psycopg2.errors.InsufficientPrivilege:
                return True
        return False

    def _check_later_tables_are_covered(self) -> bool:
        """Check that what production's own owner creates from now on is open to both roles."""
        with self._open("orders", self.admin["username"], self.admin["password"]) as connection:
            with connection.cursor() as cursor:
                cursor.execute("GRANT orders_owner TO CURRENT_USER; SET ROLE orders_owner")
                cursor.execute("CREATE TABLE sales.made_later (id int)")
                cursor.execute(
                    "SELECT has_table_privilege(%s, 'sales.made_later', 'INSERT'),"
                    " has_table_privilege(%s, 'sales.made_later', 'SELECT')",
                    (self.app["app_username"], self.app["readonly_user"]),
                )
                held = cursor.fetchone()
            connection.rollback()
        return bool(held == (True, True))

    def _check_production_master_password_refused(self) -> bool:
        try:
            self._opens(MASTER, self.production.master_password)
        except psycopg2.OperationalError as error:
            return "password authentication failed" in str(error)
        return False

    def _check_master_secret_opens(self) -> bool:
        return self._opens(self.admin["username"], self.admin["password"])

    def _check_settings_as_planned(self) -> bool:
        plan, cluster = self.plan["cluster"], self._cluster()
        instances = [each["DBInstanceIdentifier"] for each in cluster["DBClusterMembers"]]
        tags = {tag["Key"]: tag["Value"] for tag in cluster["TagList"]}
        seen = {
            "engine_version": cluster["EngineVersion"],
            "port": cluster["Port"],
            "db_subnet_group_name": cluster["DBSubnetGroup"],
            "vpc_security_group_ids": [each["VpcSecurityGroupId"] for each in cluster["VpcSecurityGroups"]],
            "db_cluster_parameter_group_name": cluster["DBClusterParameterGroup"],
            "storage_type": cluster.get("StorageType", "aurora"),
            "network_type": cluster["NetworkType"],
            "enabled_cloudwatch_logs_exports": sorted(cluster.get("EnabledCloudwatchLogsExports", [])),
            "deletion_protection": cluster["DeletionProtection"],
            "backup_retention_days": cluster["BackupRetentionPeriod"],
            "iam_database_authentication": cluster["IAMDatabaseAuthenticationEnabled"],
            "data_api": cluster["HttpEndpointEnabled"],
            "instances": sorted(instances),
        }
        wanted = plan | {"instances": sorted(each["identifier"] for each in plan["instances"])}
        if plan["port"] is None:  # RDS keeps the source's
            del seen["port"]
        wrong = {name: value for name, value in seen.items() if wanted[name] != value}
        if wrong:
            self.failures.append(f"settings_as_planned: {wrong}")
        return not wrong and plan["tags"].items() <= tags.items()

    def _check_calls_as_planned(self) -> bool:
        """Check that the run changed in AWS what stood in its plan, all of it, nothing else, and in this order."""
        wrong = not_as_planned(self.plan["calls"], self.calls, resumed=bool(self.plan.get("resumed")))
        self.failures += [f"calls_as_planned: {each}" for each in wrong]
        return not wrong

    def _check_source_as_asked(self) -> bool:
        place = self.production.region, self.production.account
        rds = self.stage.aws.client("rds", *place)
        clusters = [each["DBClusterIdentifier"] for each in rds.describe_db_clusters()["DBClusters"]]
        deletion = self.plan["source_deletion"]
        if deletion is None:
            return self.plan["snapshot"]["cluster_identifier"] in clusters
        final = deletion["final_snapshot_identifier"]
        kept = final is None or self._snapshot_exists(final, *place)
        return deletion["cluster_identifier"] not in clusters and kept

    def _check_found_snapshot_still_there(self) -> bool:
        source = self.production
        return self._snapshot_exists(self.plan["snapshot"]["identifier"], source.region, source.account)

    def _check_copy_as_asked(self) -> bool:
        copy = self.plan["copy"]
        if copy is None:
            return True
        name = snapshot_name(self.plan["cluster"]["snapshot_arn"])
        exists = self._snapshot_exists(name, self.stage.stack.region, self.stage.aws.account_id)
        # An export cannot be restored, so the copy that it was made of stays (utils/steps/export.py).
        wanted: bool = self.plan["archive_snapshot"] in ("keep", "export")
        return exists == wanted and self._nothing_left_on_the_way(copy)

    def _check_export_as_asked(self) -> bool:
        """Check that no export is planned unless requested, or it is complete and every database has tables in S3."""
        rds, s3 = self.stage.aws.client("rds", self.stage.stack.region), self.stage.aws.client("s3")
        export = self.plan["export"]
        if export is None:
            return bool(self.plan["archive_snapshot"] != "export")
        (task,) = rds.describe_export_tasks(ExportTaskIdentifier=export["identifier"])["ExportTasks"]
        folder = "/".join(part for part in (task.get("S3Prefix", ""), export["identifier"]) if part)
        objects = s3.list_objects_v2(Bucket=export["bucket"], Prefix=f"{folder}/").get("Contents", [])
        files = [each["Key"].removeprefix(f"{folder}/") for each in objects if each["Key"].endswith(".parquet")]
        arrived: bool = {name.split("/")[0] for name in files} == set(self._databases())
        return arrived and bool(task["Status"] == "COMPLETE")

    def _nothing_left_on_the_way(self, copy: dict[str, Any]) -> bool:
        """Return whether neither a copy in between nor a share is left anywhere."""
        for step in copy["steps"]:
            arn = Arn.parse(step["snapshot_arn"])
            rds = self.stage.aws.client("rds", *arn.place)
            if step["name"].startswith("remove_") and self._snapshot_exists(arn.name, *arn.place):
                return False
            if step["name"] == "unshare" and self._snapshot_exists(arn.name, *arn.place):
                answer = rds.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier=arn.name)
                attributes = answer["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]
                if any(step["shared_with"] in each["AttributeValues"] for each in attributes):
                    return False
        return True

    def _snapshot_exists(self, identifier: str, region: str, account: str) -> bool:
        rds = self.stage.aws.client("rds", region, account)
        found = rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]
        return identifier in [each["DBClusterSnapshotIdentifier"] for each in found]

    def _check_notification_received(self) -> bool:
        return len(self.messages) == 1 and "SUCCEEDED" in self.messages[0]["subject"]

    def audit_trail(self) -> list[dict[str, str]]:
        """Return the operation's events in order: timestamp, event_type, status."""
        answer = self.stage.aws.client("dynamodb").query(
            TableName=self.stage.stack.outputs["AuditTableName"],
            KeyConditionExpression="operation_id = :id",
            ExpressionAttributeValues={":id": {"S": self.plan["operation_id"]}},
        )
        names = ("timestamp", "event_type", "status")
        return [{name: item[name]["S"] for name in names} for item in answer["Items"]]

    def _check_audit_trail_complete(self) -> bool:
        """Check that the plan's steps are there and no others; a resumed operation has its earlier runs' too."""
        seen = {event["event_type"] for event in self.audit_trail()}
        wanted = _events_of(self.plan)
        missing, unasked = wanted - seen, seen - wanted
        if self.plan["target_secrets"]:
            unasked -= {"secret"}  # made where the target had none yet
        if self.plan["resumed"]:
            unasked = set()
        if missing or unasked:
            self.failures.append(f"audit_trail_complete: missing {sorted(missing)}, not asked for {sorted(unasked)}")
        return not missing and not unasked

    def _check_no_password_anywhere(self) -> bool:
        own = [self.admin["password"], self.app["app_password"], self.app["readonly_pwd"]]
        secrets = [*self.production.passwords, *own]
        found = [place for place, text in self._texts() if any(secret in text for secret in secrets)]
        if found:
            self.failures.append(f"no_password_anywhere: {found}")
        return not found

    def _texts(self) -> Iterator[tuple[str, str]]:
        """Yield everything that the run has left behind for people to read."""
        aws = self.stage.aws
        yield "execution history", json.dumps(self.run.history, default=str)
        yield "notification", json.dumps(self.messages)
        tables = aws.client("dynamodb")
        for output in ("StateTableName", "AuditTableName"):
            yield output, json.dumps(tables.scan(TableName=self.stage.stack.outputs[output])["Items"], default=_text_of)
        logs = aws.client("logs")
        pages = logs.get_paginator("filter_log_events")
        for group in logs.describe_log_groups()["logGroups"]:
            found = pages.paginate(logGroupName=group["logGroupName"])
            yield group["logGroupName"], "\n".join(event["message"] for page in found for event in page["events"])
        restored = aws.aurora.cluster(self.plan["cluster"]["identifier"]).postgres
        yield "PostgreSQL's log", restored.log.read_text(errors="replace")


class PlanProof:
    """The proof of a dry run: people got the plan, and nothing else happened."""

    def __init__(self, run: Followed, messages: list[dict[str, str]], calls: Iterable[ApiCall]) -> None:
        """Take what a run has left, as Proof does."""
        self.plan: dict[str, Any] = run.output
        self.messages, self.calls = messages, changes_of_run(calls)
        self.failures: list[str] = []

    def checks(self) -> dict[str, bool]:
        """Return by name whether each check held."""
        self.failures = [f"nothing_changed: {' '.join(call)}" for call in self.calls]
        return {
            "planned_only": self.plan.get("dry_run") is True,
            "nothing_changed": not self.calls,
            "notification_received": len(self.messages) == 1 and "PLANNED" in self.messages[0]["subject"],
        }


def _text_of(content: bytes) -> str:
    """Return what binary content of a table says, which may be compressed."""
    with contextlib.suppress(gzip.BadGzipFile):
        content = gzip.decompress(content)
    return content.decode("utf-8", "replace")


def _events_of(plan: dict[str, Any]) -> set[str]:
    """Return the audit trail's kinds of events of an operation that carries out its plan without trouble."""
    events = {"snapshot-check", "restore-snapshot", "check-restore-status", "setup-db-users"}
    events |= {"open-cluster", "door", "sns-notification"}
    if plan["expires_after_hours"]:
        events |= {"expiry"}
    if plan["masking"]:
        events |= {"transform-data", "masking-gate"}
    if plan["verification"]:
        events |= {"verify-data", "verification"}
    if plan["copy"] or plan["export"] or plan["source_deletion"]:
        events |= {"archive-snapshot"}
    if plan["copy"]:
        steps = [step["name"] for step in plan["copy"]["steps"]]
        # A route whose last call takes something back ends with that, and no look has to see its end.
        events |= {"copy-snapshot"} | ({"check-copy-status"} if steps[-1] == FINAL else set())
        events |= {f"{step}-snapshot" for step in {*steps} & {"share", "unshare"}}
    if deletion := plan["source_deletion"]:
        events |= {"delete-rds", "check-delete-status"}
        events |= {"final-snapshot"} if deletion["final_snapshot_identifier"] else set()
    return events
