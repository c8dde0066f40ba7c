"""Whatever isn't as it should be after a run, a line of the proof misses it, and no other line is disturbed."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable
from typing import Any

import pytest

from scripts.local_aws.front import ApiCall
from scripts.local_aws.server import LocalAws
from scripts.local_run.following import Followed
from scripts.local_run.production import MASTER, Production, make_production
from scripts.local_run.proof import PlanProof, Proof
from scripts.local_run.stage import OTHER_REGION, Stage
from tests.integration.pipeline.support import Pipeline, Run, numbers, request_for
from tests.integration.tiers import one_and_the_rest


@dataclasses.dataclass
class Ended:
    """A run that has ended and whose proof holds, for others to spoil."""

    place: Stage
    source: Production
    run: Run

    @property
    def target(self) -> str:
        return str(self.plan["cluster"]["identifier"])

    @property
    def plan(self) -> dict[str, Any]:
        return dict(self.run.output["plan"])

    @property
    def users(self) -> dict[str, Any]:
        return dict(self.run.output["users"])

    def superuser(self, statement: str, database: str = "orders") -> None:
        connection = self.place.aws.aurora.cluster(self.target).postgres.connect(database)
        with contextlib.closing(connection), connection.cursor() as cursor:
            cursor.execute(statement)

    def failing(self, **changed: Any) -> set[str]:
        """The lines of the proof that don't hold, with another plan, other messages or other calls if given."""
        output = self.run.output | {"plan": self.plan | changed.pop("plan", {})}
        followed: Followed = dataclasses.replace(self.run.followed, output=output, **changed.pop("followed", {}))
        messages: list[dict[str, str]] = changed.pop("messages", self.run.messages)
        calls: list[ApiCall] = changed.pop("calls", self.run.calls)
        checks = Proof(self.place, self.source, followed, messages, calls).checks()
        return {name for name, held in checks.items() if not held}


@pytest.fixture(scope="module")
def ended(place: Stage, aws: LocalAws, key: str) -> Ended:
    """The request asks for a copy that is exported, so that every line has something to look at."""
    source = make_production(aws, OTHER_REGION, cluster=f"prod-{next(numbers)}")
    pipeline = Pipeline(place)
    run = pipeline.run(request_for(source, f"target-{next(numbers)}", key, "export"))
    assert run.status == "SUCCEEDED", run.reason
    found = Ended(place, source, run)
    assert found.failing() == set()
    return found


# What is done to the restored cluster, which lines miss it, and how it is undone.
SPOILED: dict[str, tuple[set[str], str, str]] = {
    "a row is lost": (
        {"row_counts_equal"},
        "DELETE FROM public.settings WHERE key = 'tax'",
        "INSERT INTO public.settings VALUES ('tax', '19')",
    ),
    "the application can't write": (
        {"application_role_can_write"},
        "REVOKE INSERT ON sales.customers FROM app_user",
        "GRANT INSERT ON sales.customers TO app_user",
    ),
    "the read-only role can't read": (
        {"read_only_role_can_read"},
        'REVOKE SELECT ON "Reporting"."Daily Totals" FROM app_readonly',
        'GRANT SELECT ON "Reporting"."Daily Totals" TO app_readonly',
    ),
    "the read-only role can write": (
        {"read_only_role_cannot_write"},
        "GRANT DELETE ON public.settings TO app_readonly",
        "REVOKE DELETE ON public.settings FROM app_readonly",
    ),
    "tables made later are closed": (
        {"later_tables_are_covered"},
        "ALTER DEFAULT PRIVILEGES FOR ROLE orders_owner REVOKE SELECT ON TABLES FROM app_readonly",
        "ALTER DEFAULT PRIVILEGES FOR ROLE orders_owner GRANT SELECT ON TABLES TO app_readonly",
    ),
}


@pytest.mark.parametrize("what", one_and_the_rest(SPOILED))
def test_what_is_wrong_in_the_restored_database_is_missed(what: str, ended: Ended) -> None:
    lines, spoil, mend = SPOILED[what]
    ended.superuser(spoil)
    assert ended.failing() == lines
    ended.superuser(mend)
    assert ended.failing() == set()


def test_a_password_of_productions_that_still_opens_is_missed(ended: Ended) -> None:
    server = ended.place.aws.aurora.cluster(ended.target).postgres
    server.set_password(MASTER, ended.source.master_password)
    try:
        assert ended.failing() == {
            "production_master_password_refused",
            "master_secret_opens",
            "later_tables_are_covered",
        }
    finally:
        server.set_password(MASTER, ended.place.secret(ended.users["master_secret"])["password"])


@pytest.mark.full
def test_another_setting_another_source_and_a_copy_that_should_be_gone_are_missed(ended: Ended) -> None:
    cluster = ended.plan["cluster"]
    assert ended.failing(plan={"cluster": cluster | {"backup_retention_days": 34}}) == {"settings_as_planned"}
    assert ended.failing(plan={"cluster": cluster | {"tags": {"no": "such tag"}}}) == {"settings_as_planned"}
    assert "copy_as_asked" in ended.failing(plan={"archive_snapshot": "delete"})
    assert ended.failing(plan={"export": None}) == {"export_as_asked"}
    deletion = {"cluster_identifier": ended.source.cluster, "final_snapshot_identifier": None}
    assert ended.failing(plan={"source_deletion": deletion}) == {"source_as_asked", "audit_trail_complete"}
    snapshot = ended.plan["snapshot"]
    assert ended.failing(plan={"snapshot": snapshot | {"identifier": "gone"}}) == {"found_snapshot_still_there"}
    assert ended.failing(plan={"snapshot": snapshot | {"cluster_identifier": "gone"}}) == {"source_as_asked"}


def test_a_call_that_wasnt_planned_and_a_planned_one_that_wasnt_made_are_missed(ended: Ended) -> None:
    changing = [call for call in ended.run.calls if call.operation == "CreateDBInstance" and call.error is None]
    assert changing
    without = [call for call in ended.run.calls if call not in changing]
    assert ended.failing(calls=without) == {"calls_as_planned"}
    assert ended.failing(calls=[*ended.run.calls, *changing]) == {"calls_as_planned"}


def test_a_message_too_few_too_many_or_of_something_else_is_missed(ended: Ended) -> None:
    (message,) = ended.run.messages
    for messages in ([], [message, message], [message | {"subject": "FAILED"}]):
        assert ended.failing(messages=messages) == {"notification_received"}


@pytest.mark.parametrize("kind", one_and_the_rest(["setup-db-users", "check-copy-status", "sns-notification"]))
def test_an_event_that_the_audit_trail_lacks_is_missed(kind: str, ended: Ended) -> None:
    events, table = ended.place.aws.client("dynamodb"), ended.place.stack.outputs["AuditTableName"]
    items = events.query(
        TableName=table,
        KeyConditionExpression="operation_id = :id",
        ExpressionAttributeValues={":id": {"S": ended.run.operation_id}},
    )["Items"]
    of_kind = [item for item in items if item["event_type"]["S"] == kind]
    assert of_kind
    for item in of_kind:
        events.delete_item(TableName=table, Key={name: item[name] for name in ("operation_id", "timestamp")})
    assert ended.failing() == {"audit_trail_complete"}
    for item in of_kind:
        events.put_item(TableName=table, Item=item)
    more = of_kind[0] | {"timestamp": {"S": "2100-01-01#1"}, "event_type": {"S": "something-else"}}
    events.put_item(TableName=table, Item=more)
    assert ended.failing() == {"audit_trail_complete"}
    events.delete_item(TableName=table, Key={name: more[name] for name in ("operation_id", "timestamp")})


def test_an_export_that_isnt_there_is_missed(ended: Ended) -> None:
    s3, export = ended.place.aws.client("s3"), ended.plan["export"]
    for each in s3.list_objects_v2(Bucket=export["bucket"])["Contents"]:
        if export["identifier"] in each["Key"] and "/orders/" in each["Key"]:
            kept = s3.get_object(Bucket=export["bucket"], Key=each["Key"])["Body"].read()
            s3.delete_object(Bucket=export["bucket"], Key=each["Key"])
            s3.put_object(Bucket=export["bucket"], Key=f"elsewhere/{each['Key']}", Body=kept)
    assert ended.failing() == {"export_as_asked"}
    for each in s3.list_objects_v2(Bucket=export["bucket"], Prefix="elsewhere/")["Contents"]:
        kept = s3.get_object(Bucket=export["bucket"], Key=each["Key"])["Body"].read()
        s3.put_object(Bucket=export["bucket"], Key=each["Key"].removeprefix("elsewhere/"), Body=kept)


def _in_a_log(ended: Ended, text: str) -> None:
    logs = ended.place.aws.client("logs")
    logs.create_log_group(logGroupName="/aws/lambda/another")
    logs.create_log_stream(logGroupName="/aws/lambda/another", logStreamName="1")
    # CloudWatch Logs takes no event that is more than two hours ahead, as the clock that jumps soon is.
    now = int(time.time() * 1000)
    event = {"timestamp": now, "message": f"connecting with {text}"}
    logs.put_log_events(logGroupName="/aws/lambda/another", logStreamName="1", logEvents=[event])


def _in_the_state_table(ended: Ended, text: str) -> None:
    item = {"operation_id": {"S": "another"}, "note": {"S": text}}
    ended.place.aws.client("dynamodb").put_item(TableName=ended.place.stack.outputs["StateTableName"], Item=item)


def _in_postgresqls_log(ended: Ended, text: str) -> None:
    with ended.place.aws.aurora.cluster(ended.target).postgres.log.open("a") as log:
        log.write(f"statement: alter role x password '{text}'\n")


def _nowhere(ended: Ended) -> None:
    logs = ended.place.aws.client("logs")
    with contextlib.suppress(logs.exceptions.ResourceNotFoundException):
        logs.delete_log_group(logGroupName="/aws/lambda/another")
    table = ended.place.stack.outputs["StateTableName"]
    ended.place.aws.client("dynamodb").delete_item(TableName=table, Key={"operation_id": {"S": "another"}})
    log = ended.place.aws.aurora.cluster(ended.target).postgres.log
    log.write_text("".join(line for line in log.read_text().splitlines(True) if "alter role x" not in line))


@pytest.mark.parametrize("put", [_in_a_log, _in_the_state_table, _in_postgresqls_log])
@pytest.mark.parametrize("whose", one_and_the_rest(["production's", "the master's", "the application's"]))
def test_a_password_that_stands_somewhere_is_missed(
    whose: str, put: Callable[[Ended, str], None], ended: Ended
) -> None:
    password = {
        "production's": ended.source.reporting_password,
        "the master's": ended.place.secret(ended.users["master_secret"])["password"],
        "the application's": ended.place.secret(ended.users["application_secret"])["app_password"],
    }[whose]
    put(ended, password)
    try:
        assert ended.failing() == {"no_password_anywhere"}
    finally:
        _nowhere(ended)


def test_a_dry_run_that_changes_something_is_missed(ended: Ended) -> None:
    planned = dataclasses.replace(ended.run.followed, output=ended.plan | {"dry_run": True})
    message = {"subject": "[aurora-restore] PLANNED: x from y", "message": ""}
    assert PlanProof(planned, [message], []).checks() == {
        "planned_only": True,
        "nothing_changed": True,
        "notification_received": True,
    }
    assert not PlanProof(planned, [message], ended.run.calls).checks()["nothing_changed"]
    assert not PlanProof(planned, [], []).checks()["notification_received"]
    assert not PlanProof(dataclasses.replace(planned, output=ended.plan), [message], []).checks()["planned_only"]
