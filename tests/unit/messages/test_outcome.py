"""What people are told: all that they need at three in the morning, and within what SNS takes."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.fakes.rds import FakeRds, in_groups
from tests.unit.support import (
    ACCOUNT,
    DOOR,
    EXECUTION,
    MACHINE,
    NOW,
    OPERATION,
    OWN_TAGS,
    REGION,
    SECURITY_GROUP,
    SOURCE_REGION,
    TARGET,
    a_cluster_plan,
    a_copy,
    a_deletion,
    a_plan,
    a_record,
    nothing_archived,
    some_instances,
    some_users,
)
from utils.aurora_utils import Aurora
from utils.contracts.payloads import Archived, ExecutionError
from utils.contracts.plan import ComparedSource, MaskingPlan, Plan, VerificationPlan
from utils.contracts.route import RouteStep
from utils.messages import outcome
from utils.messages.failure import cause_lines
from utils.messages.message import Message
from utils.messages.prices import NOT_COUNTED
from utils.messages.remains import Remains
from utils.messages.units import age, duration
from utils.state.timeline import phase_seconds

END = NOW + dt.timedelta(minutes=52, seconds=30)
STEP_TIMES = {
    "snapshot-check": "2026-03-10T03:00:00.000Z",
    "copy-snapshot": "2026-03-10T03:00:10.000Z",
    "check-copy-status": "2026-03-10T03:02:00.000Z",
    "restore-snapshot": "2026-03-10T03:10:10.000Z",
    "check-restore-status": "2026-03-10T03:14:00.000Z",
    "setup-db-users": "2026-03-10T03:50:10.000Z",
    "archive-snapshot": "2026-03-10T03:52:00.000Z",
}


def success(plan: Plan | None = None, archive: Archived | None = None, **users: Any) -> Message:
    record = a_record(
        cluster_resource_id="cluster-OURS",
        step_times=STEP_TIMES,
        door_opening_at="2026-03-10T03:50:00.000Z",
        door_open_at="2026-03-10T03:51:00.000Z",
    )
    return outcome.succeeded(
        plan or a_plan(), some_users(**users), archive or nothing_archived(), record, EXECUTION, END
    )


def test_what_differs_from_what_was_asked_for_and_where_rds_keeps_the_login_is_told() -> None:
    record = a_record(
        step_times=STEP_TIMES,
        differences=["backup_retention_days: asked for 1, RDS reports 7"],
        master_secret_arn="arn:aws:secretsmanager:us-east-1:123456789012:secret:rds!cluster-5a1e",
    )
    body = outcome.succeeded(a_plan(), some_users(), nothing_archived(), record, EXECUTION, END).body
    assert "Differs    backup_retention_days: asked for 1, RDS reports 7" in body
    assert "Login      RDS keeps the master login in arn:aws:secretsmanager" in body


def test_a_door_that_somebody_opened_by_hand_is_said_to_be_so() -> None:
    """As the message of a failure tells how; then the operation was resumed."""
    record = a_record(step_times=STEP_TIMES, door_open_at="2026-03-10T03:51:00.000Z")
    body = outcome.succeeded(a_plan(), some_users(), nothing_archived(), record, EXECUTION, END).body
    assert f"Door       shut until it was opened by hand: only the pipeline got into {DOOR}\n" in body


def failure(
    error: str = "StepFailed",
    cause: str = "The copy is gone.",
    request: Any = None,
    remains: Remains | None = None,
    clean_up: dict[str, Any] | None = None,
    **record: Any,
) -> Message:
    return outcome.failed(
        ExecutionError(error=error, cause=cause),
        a_record(**record),
        request if request is not None else {},
        remains or Remains(),
        clean_up or {},
        EXECUTION,
    )


# Subjects, as SNS takes them

subject_texts = st.text(max_size=200)


@given(subject_texts, subject_texts)
def test_a_subject_is_always_below_100_printable_ascii_characters(target: str, error: str) -> None:
    messages = [
        outcome.planned(a_plan(target_cluster_id=target), EXECUTION, {}),
        success(a_plan(cluster=a_cluster_plan(identifier=target))),
        failure(error=error, plan={"target_cluster_id": target}),
    ]
    for message in messages:
        assert 0 < len(message.subject) < 100
        assert all(" " <= character <= "~" for character in message.subject)


def test_subjects_say_how_it_ended_and_for_which_cluster() -> None:
    assert success().subject == (
        "[aurora-restore] SUCCEEDED: staging-orders restored from prod-orders, data 3.9 hours old"
    )
    assert failure().subject == "[aurora-restore] FAILED: staging-orders at restore-snapshot: StepFailed"
    assert outcome.planned(a_plan(), EXECUTION, {}).subject == (
        "[aurora-restore] PLANNED: staging-orders from prod-orders-tuesday"
    )


def test_a_message_fits_into_sns() -> None:
    body = failure(cause="x" * 1_000_000, request={"tags": {"k": "v" * 300_000}}).body
    assert len(body.encode()) <= 256 * 1024


def test_a_message_of_wide_characters_fits_into_sns_too() -> None:
    assert len(success(warnings=["語" * 300_000]).body.encode()) <= 256 * 1024


def test_however_long_the_cause_is_the_next_command_is_told() -> None:
    assert "aws stepfunctions start-execution" in failure(cause="x" * 1_000_000).body


# Success


def test_success_says_what_from_where_how_old_how_long_and_what_was_deleted() -> None:
    body = success().body
    for line in (
        "Restored   staging-orders (cluster-OURS)",
        f"Endpoint   staging-orders.cluster-c0ffee.{REGION}.rds.amazonaws.com:5432",
        f"Door       shut until 2026-03-10T03:50:00.000Z: only the pipeline got into {DOOR}",
        f"           open since 2026-03-10T03:51:00.000Z: {SECURITY_GROUP}",
        "From       prod-orders-tuesday, named in the request, of prod-orders",
        "Data of    2026-03-10 00:00 UTC, 3.9 hours old",
        "Roles      orders_app (read and write), orders_report (read only)",
        "Databases  orders, postgres",
        "Took       52 min 30 s",
        "Costs      while it exists, it costs about 0.52 USD an hour (estimate: 2 x db.r6g.large, AWS's public "
        f"on-demand price in {REGION} as of 2026-03-18; {NOT_COUNTED})",
        "Deleted    no cluster",
        "Copy       nothing deleted: the snapshot was restored directly, there is no copy",
        f"Operation  {OPERATION}",
    ):
        assert line in body.splitlines()


def test_success_says_how_long_each_phase_took_waiting_included() -> None:
    lines = [line.split() for line in success().body.splitlines() if line.startswith("             ")]
    assert lines == [
        ["check", "and", "plan", "10", "s"],
        ["copy", "10", "min", "0", "s"],
        ["restore", "40", "min", "0", "s"],
        ["users", "1", "min", "50", "s"],
        ["archive", "30", "s"],
    ]


@pytest.mark.parametrize(
    ("final", "said"),
    [("prod-final", "final snapshot prod-final"), (None, "without a final snapshot, as asked")],
)
def test_success_names_the_cluster_that_was_deleted(final: str | None, said: str) -> None:
    deletion = a_deletion(final_snapshot_identifier=final)
    body = success(a_plan(delete_source=True, source_deletion=deletion)).body
    assert f"Deleted    prod-orders (cluster-PROD) in {REGION}, {said}, automated backups kept" in body.splitlines()


def test_success_names_the_copy_that_was_deleted() -> None:
    body = success(archive=Archived(deleted_snapshot_arn=a_copy().arn, why="the copy had served its purpose")).body
    assert f"Copy       {a_copy().arn}: the copy had served its purpose" in body.splitlines()


def test_success_warns_of_productions_logins_and_of_missing_privileges() -> None:
    body = success(inherited_logins=["alice", "etl"], warnings=["orders: no privileges on audit.log"]).body
    assert "Warning    logins that came with the data still work: alice, etl" in body.splitlines()
    assert "Warning    orders: no privileges on audit.log" in body.splitlines()


def test_success_says_so_where_productions_logins_were_left_open_on_purpose() -> None:
    body = success(a_plan(inherited_logins="report"), inherited_logins=["alice"]).body
    assert (
        "Warning    logins that came with the data still work, as asked (inherited_logins: report): alice"
        in body.splitlines()
    )


@pytest.mark.parametrize(
    ("choice", "words"),
    [("lock", ", lock production's own logins,"), ("report", ", LEAVE OPEN, as asked, production's own logins,")],
)
def test_a_plan_says_what_becomes_of_productions_logins(choice: Any, words: str) -> None:
    assert words in outcome.planned(a_plan(inherited_logins=choice), EXECUTION, {}).body


def test_success_lists_further_roles_locked_logins_and_what_doesnt_run_any_more() -> None:
    body = success(
        roles=["orders_app (read and write)", "orders_report (read only)", "etl (owner, schemas sales)"],
        locked_logins=["alice", "bob"],
        disabled=["postgres: pg_cron job 1 of 'etl' in 'postgres'"],
    ).body
    for line in (
        "Roles      orders_app (read and write), orders_report (read only)",
        "           etl (owner, schemas sales)",
        "Locked     logins that came with the data: alice, bob",
        "Disabled   postgres: pg_cron job 1 of 'etl' in 'postgres'",
    ):
        assert line in body.splitlines()


# Plan


def test_a_dry_run_says_what_a_real_run_would_do() -> None:
    plan = a_plan(
        copy=a_copy(kms_key_id="alias/staging"), copy_needed=True, source_deletion=a_deletion(), delete_source=True
    )
    body = outcome.planned(plan, EXECUTION, {}).body
    assert body.startswith("This was a dry run: nothing was created, changed or deleted.")
    for part in (
        "1. use snapshot prod-orders-tuesday of prod-orders (named in the request; 2026-03-10 00:00 UTC, 3.0",
        f"2. copy it from {SOURCE_REGION} as prod-orders-copy-0123456789ab under key alias/staging",
        "3. create cluster staging-orders with\n",
        "4. before it has an instance: set a new master password and keep it in the target's admin secret",
        f"5. create the writer {some_instances(1)[0].identifier}, db.r6g.large, promotion tier 1",
        f"6. create 1 reader: {some_instances(2)[1].identifier}, db.r6g.large, promotion tier 1",
        "7. prove a login with the new master password",
        f"8. open its door: security groups {SECURITY_GROUP} [default] instead of {DOOR}",
        "9. DELETE the source cluster prod-orders (cluster-PROD) in us-east-1 with all its instances, after a final "
        "snapshot prod-orders-final-0123456789ab",
        "10. delete the copy prod-orders-copy-0123456789ab",
    ):
        assert part in body


def test_a_dry_run_says_how_long_it_would_take_and_how_that_is_known() -> None:
    def line(**known: Any) -> str:
        plan = a_plan(phases=["create-cluster", "open-door"], expected_minutes=[9, 150], **known)
        (found,) = [each for each in outcome.planned(plan, EXECUTION, {}).body.splitlines() if "Expected" in each]
        return found

    assert line() == "Expected   9 min to 2 h 30 min, by public figures, as nothing was seen yet"
    known = {"open-door": 40.0, "export": 500.0}
    assert line(expected_seconds=known) == "Expected   9 min to 2 h 30 min, as seen before of open-door"


def test_a_dry_run_shouts_when_no_final_snapshot_would_be_taken() -> None:
    plan = a_plan(source_deletion=a_deletion(final_snapshot_identifier=None), delete_source=True)
    assert "WITHOUT a final snapshot" in outcome.planned(plan, EXECUTION, {}).body


def test_a_dry_run_says_what_the_new_cluster_costs() -> None:
    expected = "Costs      The new cluster costs about 0.52 USD an hour (estimate: 2 x db.r6g.large, "
    assert expected in outcome.planned(a_plan(), EXECUTION, {}).body


# Failure: what is left costs money


@pytest.mark.parametrize(
    ("of_cluster", "of_instance", "said"),
    [
        ({}, {"DBInstanceClass": "db.r6g.xlarge"}, "it costs about 0.52 USD an hour (estimate: 1 x db.r6g.xlarge, "),
        ({}, {"DBInstanceClass": "db.r4.large"}, "it costs money, but no public price of 1 x db.r4.large in us-east-1"),
        (
            {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 4.0}},
            {"DBInstanceClass": "db.serverless"},
            "it costs about 0.06 to 0.48 USD an hour (estimate: 1 x db.serverless, ",
        ),
        (
            {},
            {"DBInstanceClass": "db.r6g.large", "DBInstanceStatus": "stopped"},
            "its storage and its instances cost money: 1 x db.r6g.large.",
        ),
    ],
)
def test_a_cluster_that_is_kept_has_its_cost(
    rds: FakeRds, of_cluster: dict[str, Any], of_instance: dict[str, Any], said: str
) -> None:
    rds.add_cluster(TARGET, TagList=OWN_TAGS, **of_cluster)
    rds.add_instance("staging-orders-1", TARGET, **of_instance)
    aurora = Aurora(REGION)
    body = failure(remains=Remains(cluster=aurora.cluster(TARGET), members=aurora.instances_of(TARGET))).body
    assert f"While it exists, {said}" in body


# Failure: the door


def remaining(rds: FakeRds, groups: list[str], status: str = "available") -> Remains:
    rds.add_cluster(TARGET, Status=status, TagList=OWN_TAGS, VpcSecurityGroups=in_groups(groups))
    rds.add_instance("staging-orders-1", TARGET)
    aurora = Aurora(REGION)
    return Remains(cluster=aurora.cluster(TARGET), members=aurora.instances_of(TARGET))


DOOR_PLAN = {
    "target_cluster_id": TARGET,
    "cluster": {"door_security_group_id": DOOR, "vpc_security_group_ids": [SECURITY_GROUP, "sg-2"]},
}
OPEN_COMMAND = (
    f"aws rds modify-db-cluster --db-cluster-identifier {TARGET} --vpc-security-group-ids {SECURITY_GROUP} sg-2 "
    f"--apply-immediately --region {REGION}"
)
USERS_READY = "2026-03-10T03:51:00.000Z"


def test_a_shut_door_is_told_with_the_command_that_opens_it(rds: FakeRds) -> None:
    body = failure(remains=remaining(rds, [DOOR]), plan=DOOR_PLAN, users_ready_at=USERS_READY).body
    assert f"Its door is shut: its one security group, {DOOR}, admits only the pipeline." in body
    assert "Its users can log in once you open its door:" in body
    assert OPEN_COMMAND in [line.strip() for line in body.splitlines()]


def test_before_the_users_are_ready_whoever_opens_the_door_is_warned(rds: FakeRds) -> None:
    body = failure(remains=remaining(rds, [DOOR]), plan=DOOR_PLAN).body
    assert "Its door can be opened by hand. Then anybody who knows one of production's passwords may get in" in body
    assert OPEN_COMMAND in [line.strip() for line in body.splitlines()]
    assert "Its users can log in" not in body


def test_a_busy_cluster_isnt_opened_by_hand_since_rds_would_refuse(rds: FakeRds) -> None:
    body = failure(remains=remaining(rds, [DOOR], "modifying"), plan=DOOR_PLAN, users_ready_at=USERS_READY).body
    assert "Its door is shut" in body
    assert "--vpc-security-group-ids" not in body


@pytest.mark.parametrize("groups", [[DOOR, SECURITY_GROUP], [SECURITY_GROUP]])
def test_a_door_that_is_opening_isnt_called_shut(rds: FakeRds, groups: list[str]) -> None:
    known: dict[str, Any] = {"users_ready_at": USERS_READY, "door_opening_at": USERS_READY}
    body = failure(remains=remaining(rds, groups), plan=DOOR_PLAN, **known).body
    assert "Its door is no longer shut" in body
    assert "--vpc-security-group-ids" not in body
    assert "Or use the cluster as it is: its users can log in." in body


def test_of_an_open_door_nothing_is_told(rds: FakeRds) -> None:
    known: dict[str, Any] = {
        "users_ready_at": USERS_READY,
        "door_opening_at": USERS_READY,
        "door_open_at": USERS_READY,
    }
    assert "door" not in failure(remains=remaining(rds, [SECURITY_GROUP]), plan=DOOR_PLAN, **known).body


# Masking

MASKING = MaskingPlan(policy="staging", bucket="policies", key="staging.yaml", version_id="3HL4", sha256="0" * 64)
MASKED_PLAN = DOOR_PLAN | {"masking": msgspec.to_builtins(MASKING)}
HALF_WAY = {"tables": 12, "tables_done": 5, "rows": 1000, "database": "orders"}


def test_success_says_by_which_policy_the_data_were_masked_and_what_still_holds_them() -> None:
    record = a_record(
        step_times=STEP_TIMES,
        door_open_at="2026-03-10T03:51:00.000Z",
        masked_at="2026-03-10T03:49:00.000Z",
        masking={
            "tables": 12, "rows": 40_000, "databases": ["orders", "billing"], "passed_checks": ["orders: no_real_mail"],
            "findings": ["orders: not classified, and left as it is: app.users.note"],
        },
    )  # fmt: skip
    plan = a_plan(masking=MASKING, cluster=a_cluster_plan(backup_retention_days=7))
    body = outcome.succeeded(plan, some_users(), nothing_archived(), record, EXECUTION, END).body
    assert "Masked     by policy staging, version 3HL4, at 2026-03-10T03:49:00.000Z" in body
    assert "           40000 rows in 12 tables of orders, billing" in body
    assert "           checks that found nothing unmasked: orders: no_real_mail" in body
    assert (
        "Unmasked   the cluster's automated backups of before that time, which expire by 2026-03-17 03:49 UTC" in body
    )
    assert "Warning    orders: not classified, and left as it is: app.users.note" in body
    assert "Masked" not in success().body


def test_a_dry_run_says_that_masking_comes_before_anybody_gets_in() -> None:
    lines = outcome.planned(a_plan(masking=MASKING), EXECUTION, {}).body.splitlines()
    (masks,) = [number for number, line in enumerate(lines) if "mask every database by policy staging" in line]
    (proves,) = [number for number, line in enumerate(lines) if "prove a login" in line]
    assert masks < proves


def test_an_unmasked_cluster_is_never_offered_for_use(rds: FakeRds) -> None:
    body = failure(
        error="MaskingGateFailed", remains=remaining(rds, [DOOR]), plan=MASKED_PLAN, masking=HALF_WAY,
        state="transform-data",
    ).body  # fmt: skip
    assert body.splitlines()[0].endswith(
        f"Cluster {TARGET} is not masked. Its door is shut: only the pipeline can reach it."
    )
    assert "by masking policy staging, 5 of 12 tables are masked, and its gate is not passed" in body
    assert "--vpc-security-group-ids" not in body
    assert "Leave its door shut: it is not masked." in body
    assert "set the stack's MaskingPolicies to\n" in body


def test_an_unmasked_cluster_whose_door_somebody_opened_is_told_first(rds: FakeRds) -> None:
    body = failure(remains=remaining(rds, [SECURITY_GROUP]), plan=MASKED_PLAN).body
    assert "is not masked, and its door is not shut" in body.splitlines()[0]


# Verification

CHECKS = VerificationPlan(policy="nightly", location="s3://policies/nightly.yaml?versionId=3HL4", sha256="0" * 64)


COMPARED = ComparedSource(
    cluster_arn="arn:prod", cluster_resource_id="cluster-1", host="prod", port=5432, secret_arn="arn:reader"
)


def test_success_says_with_which_source_the_copy_was_compared() -> None:
    record = a_record(
        step_times=STEP_TIMES,
        door_open_at="2026-03-10T03:51:00.000Z",
        verified_at="2026-03-10T03:49:00.000Z",
        verification={"held": 41, "compared_with_source": "prod-orders"},
    )
    body = outcome.succeeded(a_plan(verification=CHECKS), some_users(), nothing_archived(), record, EXECUTION, END).body
    assert "compared with prod-orders itself, as it was then" in body


def test_success_says_how_many_checks_held_and_warns_of_each_that_did_not() -> None:
    finding = "sequences (sequences) of orders: expected every sequence beyond its column's values, found 1 behind"
    record = a_record(
        step_times=STEP_TIMES,
        door_open_at="2026-03-10T03:51:00.000Z",
        verified_at="2026-03-10T03:49:00.000Z",
        verification={"held": 41, "failed": 1, "not_run": 0, "findings": [finding]},
    )
    body = outcome.succeeded(a_plan(verification=CHECKS), some_users(), nothing_archived(), record, EXECUTION, END).body
    assert "Verified   by policy nightly, at 2026-03-10T03:49:00.000Z: 41 checks held" in body
    assert "1 did not hold and 0 could not be run: the warnings below say which" in body
    assert "compared with" not in body
    assert f"Warning    {finding}" in body
    assert "Verified" not in success().body


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        (CHECKS, f"by policy nightly ({CHECKS.location}), before anybody is let in; what does not hold FAILS the"),
        (VerificationPlan(policy="basic", on_findings="report"), "by the built-in checks, before anybody is let in;"),
        (
            VerificationPlan(policy="basic", source=COMPARED),
            "by the built-in checks, compare it with arn:prod itself by the login in arn:reader, before anybody",
        ),
    ],
)
def test_a_dry_run_says_that_the_checks_come_before_the_door(checks: VerificationPlan, said: str) -> None:
    lines = outcome.planned(a_plan(verification=checks), EXECUTION, {}).body.splitlines()
    (looks,) = [number for number, line in enumerate(lines) if f"check every database {said}" in line]
    (proves,) = [number for number, line in enumerate(lines) if "prove a login" in line]
    assert proves < looks


def test_what_failed_before_the_masking_says_nothing_of_its_policy(rds: FakeRds) -> None:
    assert "MaskingPolicies" not in failure(remains=remaining(rds, [DOOR]), plan=MASKED_PLAN).body


# Failure: rule 7


def test_rule_7_a_failure_says_step_cause_remains_and_the_next_command() -> None:
    body = failure(cause="The copy is gone.\nLook for it.", request={"operation_id": "x", "port": 5433}).body
    assert "Step       restore-snapshot" in body
    assert "Error      StepFailed\n           The copy is gone.\n           Look for it." in body
    assert "Nothing of this operation exists: no cluster and no copied snapshot." in body
    machine = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{MACHINE}"
    given = json.dumps({"operation_id": OPERATION, "port": 5433, "resume": True})
    assert f"aws stepfunctions start-execution --state-machine-arn {machine} --input '{given}'" in body
    assert "then resume this operation: it continues with what it has created." in body


def test_rule_7_what_exists_is_named_with_the_commands_that_delete_it(rds: FakeRds) -> None:
    rds.add_cluster(TARGET, Status="failed", TagList=OWN_TAGS)
    rds.add_instance("staging-orders-1", TARGET)
    rds.add_snapshot("prod-orders-copy", TagList=OWN_TAGS)
    remains = Remains(cluster=Aurora(REGION).cluster(TARGET), copy=Aurora(REGION).snapshot("prod-orders-copy"))
    body = failure(remains=remains).body
    assert f"Cluster staging-orders ({rds.clusters[TARGET]['DbClusterResourceId']}), failed." in body
    assert f"Copied snapshot arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:prod-orders-copy, available." in body
    commands = [line.strip() for line in body.splitlines() if line.strip().startswith("aws rds delete")]
    assert commands == [
        "aws rds delete-db-instance --db-instance-identifier staging-orders-1 --region us-east-1",
        "aws rds delete-db-cluster --db-cluster-identifier staging-orders --skip-final-snapshot --region us-east-1",
        "aws rds delete-db-cluster-snapshot --db-cluster-snapshot-identifier prod-orders-copy --region us-east-1",
    ]


def test_rule_7_no_command_deletes_an_instance_that_is_being_deleted_already(rds: FakeRds) -> None:
    """RDS refuses that."""
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    rds.add_instance("going", TARGET, DBInstanceStatus="deleting")
    rds.add_instance("staying", TARGET)
    aurora = Aurora(REGION)
    body = failure(remains=Remains(cluster=aurora.cluster(TARGET), members=aurora.instances_of(TARGET))).body
    assert "delete-db-instance --db-instance-identifier staying" in body
    assert "delete-db-instance --db-instance-identifier going" not in body


def test_rule_9_a_cluster_that_productions_password_may_open_is_told_as_such(rds: FakeRds) -> None:
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    remains = Remains(cluster=Aurora(REGION).cluster(TARGET))
    warning = "No login with a new master password has worked yet: the source's password may still open it."
    assert warning in failure(remains=remains).body
    assert warning not in failure(remains=remains, login_proven_at="2026-03-10T03:40:00.000Z").body


def test_a_copy_that_is_left_comes_with_the_command_that_deletes_it(rds: FakeRds) -> None:
    rds.add_snapshot("prod-orders-copy", TagList=OWN_TAGS)
    body = failure(remains=Remains(copy=Aurora(REGION).snapshot("prod-orders-copy"))).body
    assert "aws rds delete-db-cluster-snapshot --db-cluster-snapshot-identifier prod-orders-copy" in body


def test_no_command_is_left_to_the_readers_own_region(rds: FakeRds) -> None:
    """The source may bear the target's name in another region: a command without a region could hit production."""
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    remains = Remains(cluster=Aurora(REGION).cluster(TARGET))
    for body in (failure(remains=remains).body, failure(remains=remains, source_deletion_at="2026-03-10T03:50Z").body):
        commands = [line for line in body.splitlines() if line.startswith("  aws ")]
        assert commands
        assert all(line.endswith(f" --region {REGION}") for line in commands)


def test_no_failure_ever_suggests_to_delete_production(rds: FakeRds) -> None:
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    body = failure(
        remains=Remains(cluster=Aurora(REGION).cluster(TARGET)), source_deletion_at="2026-03-10T03:50:00.000Z"
    ).body
    assert "The deletion of the source cluster has begun. Keep the restored cluster" in body
    assert "aws rds delete" not in body, "the restored cluster may be the only one left"


def test_a_refused_request_says_that_nothing_happened() -> None:
    body = failure(error="RequestRefused", cause="port: 80 is out of range.").body
    assert body.startswith("Nothing was created, changed or deleted by this execution.")


def test_rule_7_a_failed_clean_up_is_told_beside_the_first_error() -> None:
    cause = json.dumps({"errorMessage": "It can't be deleted yet.", "errorType": "TemporaryFailure"})
    body = failure(clean_up={"error": {"Error": "TemporaryFailure", "Cause": cause}}).body
    assert "The copy is gone." in body
    assert "The clean-up failed as well: It can't be deleted yet." in body


def test_a_resumption_leaves_out_what_may_not_be_shown() -> None:
    body = failure(request={"port": 5433, "tags": {"token-owner": "orders"}}).body
    (start,) = [line for line in body.splitlines() if "start-execution" in line]
    assert "tags" not in start
    assert '"port": 5433' in start


def test_an_export_that_goes_on_beside_what_failed_is_named_with_the_command_that_cancels_it() -> None:
    name = "prod-orders-20260310"
    begun: dict[str, Any] = {
        "export_begun": name,
        "plan": {"target_cluster_id": TARGET, "export": {"identifier": name}},
    }
    cancel = f"aws rds cancel-export-task --export-task-identifier prod-orders-20260310 --region {REGION}"
    assert cancel in failure(**begun, state="setup-db-users").body
    half_way = {"error": {"Error": "TemporaryFailure", "Cause": "It can't be deleted yet."}}
    assert cancel in failure(**begun, state="setup-db-users", clean_up=half_way).body
    assert cancel not in failure(**begun, state="archive-snapshot").body, "the error is the export's own"
    # It was complete when all was cleaned up: the tables are in the bucket.
    assert cancel in failure(**begun, state="setup-db-users", clean_up={"answer": "done"}).body
    cancelled = {**begun, "export_cancelled_at": "2026-03-10T03:50:00.000Z"}
    assert cancel not in failure(**cancelled, state="setup-db-users", clean_up={"answer": "done"}).body
    assert "cancel-export-task" not in failure(**{**begun, "export_begun": None}, state="setup-db-users").body
    of_before = {**begun, "export_begun": "prod-orders-20260309"}
    assert "cancel-export-task" not in failure(**of_before, state="setup-db-users").body


def test_a_clean_up_says_no_more_of_the_route_than_it_has_done() -> None:
    cleaned: dict[str, Any] = {
        "copy_clean_up_at": "2026-03-10T03:50:00.000Z",
        "plan": {"target_cluster_id": TARGET, "copy": {"identifier": "prod-orders-copy"}},
    }
    said = "Cleaned up: there is no copied snapshot, and what was opened on the snapshot's route was undone."
    assert said in failure(**cleaned).body
    unshare = RouteStep(name="unshare", snapshot_arn=a_copy().arn, shared_with="123456789012")
    still_shared = failure(**cleaned, remains=Remains(on_the_way=[unshare])).body
    assert "Cleaned up: there is no copied snapshot.\n" in still_shared
    assert unshare.still_there in still_shared


def test_an_export_that_began_beside_the_restore_is_a_phase_once_nothing_else_is_done() -> None:
    beside = {**STEP_TIMES, "archive-snapshot": "2026-03-10T03:10:05.000Z"}
    beside["open-cluster"] = "2026-03-10T03:51:00.000Z"
    del beside["copy-snapshot"]
    opened = "2026-03-10T03:51:10.000Z"
    took = phase_seconds(a_record(step_times=beside, door_open_at=opened), END)
    assert list(took) == ["check and plan", "restore", "users", "opening", "archive"]
    assert took["opening"] == 10
    assert all(each > 0 for each in took.values())
    # Before that, and until the source is gone that is deleted, it has none of its own.
    deleting = {**beside, "delete-rds": "2026-03-10T03:51:20.000Z"}
    for record in (a_record(step_times=beside), a_record(step_times=deleting, door_open_at=opened)):
        took = phase_seconds(record, END)
        assert "archive" not in took
        assert all(each > 0 for each in took.values())
    deleted = a_record(step_times=deleting, door_open_at=opened, source_gone_at="2026-03-10T03:51:30.000Z")
    took = phase_seconds(deleted, END)
    assert (list(took)[-2:], took["deletion"]) == (["deletion", "archive"], 10)
    assert took["archive"] > 0
    # An earlier execution has opened the door, or seen the source gone; a swap has opened it before the last look.
    yesterday = "2026-03-09T03:51:30.000Z"
    for times, known in (
        (beside, {"door_open_at": yesterday}),
        (beside, {"door_open_at": "2026-03-10T03:50:50.000Z"}),
        (deleting, {"door_open_at": yesterday, "source_gone_at": yesterday}),
    ):
        took = phase_seconds(a_record(step_times=times, **known), END)
        assert list(took)[-1] == "archive"
        assert all(each >= 0 for each in took.values())
        assert sum(took.values()) == (END - dt.datetime.fromisoformat(times["snapshot-check"])).total_seconds()
    # It has failed before it came so far.
    early = {name: at for name, at in beside.items() if name not in ("setup-db-users", "open-cluster")}
    assert list(phase_seconds(a_record(step_times=early, door_open_at=yesterday), END))[-1] == "restore"


def test_a_clean_up_that_kept_something_says_why() -> None:
    assert "No cluster was deleted: its users can log in." in failure(clean_up={"skipped": "its users can log in"}).body


def test_a_clean_up_says_what_it_took_away_also_where_it_kept_the_other() -> None:
    """Cluster and copy are two things."""
    copied = "Cleaned up: the copied snapshot was deleted"
    body = failure(
        clean_up={"skipped": "no cluster was created"},
        copy_clean_up_at="2026-03-10T03:50:00.000Z",
        route_times={"copy_made": "2026-03-10T03:05:00.000Z", "copy_deleted": "2026-03-10T03:50:00.000Z"},
        plan={"target_cluster_id": TARGET, "copy": {"identifier": "prod-orders-copy"}},
    ).body
    assert copied in body
    assert "No cluster was deleted: no cluster was created." in body
    done = {"cluster_identifier": TARGET, "cluster_resource_id": "cluster-OURS", "answer": "done"}
    assert f"Cleaned up: cluster {TARGET} (cluster-OURS) was deleted." in failure(clean_up=done).body
    assert copied not in failure(clean_up=done).body


def test_rule_7_what_cant_be_asked_is_said_to_be_unknown() -> None:
    body = failure(remains=Remains(unknown="DescribeDBClusters answered Throttling: Rate exceeded")).body
    assert (
        "RDS did not report what exists (DescribeDBClusters answered Throttling: Rate exceeded). Check it yourself."
        in body
    )
    assert "Nothing of this operation exists" not in body


def test_a_failure_before_there_was_an_operation_has_a_name_too() -> None:
    message = outcome.failed(
        ExecutionError(error="RequestRefused", cause="No."),
        None,
        {"target_cluster_id": "drill"},
        Remains(),
        {},
        EXECUTION,
    )
    assert message.subject == "[aurora-restore] FAILED: drill at snapshot-check: RequestRefused"
    assert f"Operation  {OPERATION}" in message.body


# Causes

a_lambda_error = {"errorMessage": "Line one.\nLine two.", "errorType": "StepFailed", "stackTrace": ["File x"]}


@pytest.mark.parametrize(
    ("cause", "lines"),
    [
        (json.dumps(a_lambda_error), ["Line one.", "Line two."]),
        ("The execution timed out.", ["The execution timed out."]),
        ("", ["(no cause was given)"]),
        ('{"cause": "not a function\'s"}', ['{"cause": "not a function\'s"}']),
        ('{"errorMessage": 7}', ['{"errorMessage": 7}']),
        ("[1, 2]", ["[1, 2]"]),
        ('{"broken', ['{"broken']),
    ],
)
def test_of_a_functions_cause_only_the_message_is_told(cause: str, lines: list[str]) -> None:
    assert cause_lines(ExecutionError(error="StepFailed", cause=cause)) == lines


# Links


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-central-1", "eu-central-1.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_the_link_leads_to_the_execution_in_its_partitions_console(partition: str, region: str, host: str) -> None:
    execution = f"arn:{partition}:states:{region}:{ACCOUNT}:execution:{MACHINE}:tonight"
    link = f"https://{host}/states/home?region={region}#/v2/executions/details/{execution}"
    assert outcome.console_link(execution) == link


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.6, "1 min 0 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (90_060, "25 h 1 min"),
    ],
)
def test_durations_are_told_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("hours", "text"), [(0.5, "0.5 hours"), (47.9, "47.9 hours"), (48, "2.0 days")])
def test_ages_are_told_as_people_say_them(hours: float, text: str) -> None:
    assert age(dt.timedelta(hours=hours)) == text


# Whatever was asked for

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


@given(
    json_values | st.dictionaries(st.sampled_from(["target_cluster_id", "operation_id", "tags"]), json_values),
    st.text(),
)
def test_a_failure_is_told_whatever_the_request_and_the_cause_are(request: Any, cause: str) -> None:
    error = ExecutionError(error="StepFailed", cause=cause)
    for record in (None, a_record(plan={})):
        assert outcome.failed(error, record, request, Remains(), {}, EXECUTION).body


def test_the_command_to_start_again_is_safe_to_paste() -> None:
    body = failure(request={"target_cluster_id": "x'; rm -rf / #"}).body
    (command,) = [line for line in body.splitlines() if "start-execution" in line]
    assert """--input '{"target_cluster_id": "x'"'"'; rm -rf / #", """ in command


def test_what_is_still_open_in_another_account_is_said_with_the_command_that_closes_it() -> None:
    arn = f"arn:aws:rds:{REGION}:999999999999:cluster-snapshot:tuesday"
    open_still = RouteStep(name="unshare", snapshot_arn=arn, shared_with=ACCOUNT)
    body = failure(remains=Remains(on_the_way=[open_still])).body
    assert f"Snapshot {arn} of account 999999999999 is still shared with {ACCOUNT}." in body
    assert (
        f"In account 999999999999: aws rds modify-db-cluster-snapshot-attribute --region {REGION} "
        f"--db-cluster-snapshot-identifier tuesday --attribute-name restore --values-to-remove {ACCOUNT}" in body
    )


def test_what_could_not_be_taken_back_stands_in_the_message_of_success() -> None:
    archive = Archived(deleted_snapshot_arn=None, why="kept", warnings=["Snapshot tuesday is still shared."])
    assert "Warning    Snapshot tuesday is still shared." in success(archive=archive).body.splitlines()


# What to do next is what the pipeline accepts then


def test_a_resume_that_failed_before_it_had_the_operation_is_repeated_and_nothing_else_is_started() -> None:
    """It would be a new operation by the stack's defaults: another refresh of the live target, perhaps."""
    asked = {"operation_id": "night-1", "resume": True}
    for error in ("StepFailed", "TemporaryFailure", "ExecutionAborted"):
        body = failure(error, request=asked, plan={}).body
        assert '--input \'{"operation_id": "night-1", "resume": true}\'' in body
        assert "--input '{}'" not in body


@pytest.mark.parametrize("is_kept", [True, False])
def test_checks_that_did_not_hold_lead_to_a_new_operation_and_to_a_resume_only_where_data_can_be_corrected(
    rds: FakeRds, is_kept: bool
) -> None:
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    remains = Remains(cluster=Aurora(REGION).cluster(TARGET)) if is_kept else Remains()
    body = failure(
        "ChecksFailed", "1 checks did not hold.", remains=remains, parameters={"target_cluster_id": TARGET}
    ).body
    assert "A resumed operation restores the same snapshot, and checks it by the same version" in body
    assert ('"resume": true' in body) is is_kept
    assert f'--input \'{{"target_cluster_id": "{TARGET}"}}\'' in body


def test_a_refresh_whose_target_is_another_cluster_by_now_is_not_said_to_be_resumed() -> None:
    plan = {"target_cluster_id": TARGET, "replaces": {"resource_id": "cluster-OLD"}}
    body = failure(remains=Remains(target_is_another=True), plan=plan, parameters={"replace_target": True}).body
    assert f"This operation cannot be resumed: {TARGET} no longer leads to the cluster that it was to replace." in body
    assert '"resume": true' not in body
    assert "--input '{\"replace_target\": true}'" in body
