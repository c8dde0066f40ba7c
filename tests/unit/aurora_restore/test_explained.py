"""The first screen: did it work, how old is the data, what exists, what now."""

from __future__ import annotations

import datetime as dt
import json
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from msgspec.structs import replace

from scripts.aurora_restore import explained
from scripts.aurora_restore.answers import ClusterNow, EndedDrill, Shown, Status
from scripts.aurora_restore.executions import Execution
from scripts.aurora_restore.explained import (
    drilled_sources,
    exit_code_of,
    kept_cluster,
    next_commands,
    status_of,
    summary_of,
)
from scripts.aurora_restore.explained_text import drilled_lines, first_screen, listing_lines
from scripts.aurora_restore.plan_text import plan_lines
from scripts.aurora_restore.published import (
    Checks,
    Plan,
    Record,
    Replaced,
    ReplacedDeletion,
    Sealed,
    Snapshot,
    SourceDeletion,
)
from scripts.aurora_restore.stack import Stack
from scripts.aurora_restore.starting import resuming_request
from tests.unit.support import a_plan
from utils.aurora_utils import resources
from utils.request.corrections import KEEP_BACKUPS
from utils.state.operation import OperationRecord
from utils.state.values import plain, unstored

BEGAN = dt.datetime(2026, 11, 27, 2, 13, tzinfo=dt.UTC)
ARN = "arn:aws:states:us-east-1:123456789012:execution:aurora-restore:one"
PLAN: dict[str, Any] = unstored(plain(a_plan()))


def execution(status: str, error: str | None = None, cause: str | None = None, arn: str = ARN) -> Execution:
    return Execution(arn=arn, status=status, started_at=BEGAN, error=error, cause=cause)


def record(status: str, plan: dict[str, Any] = PLAN) -> Record:
    return Record(
        operation_id="one",
        execution_id=ARN,
        state="setup-db-users",
        status=status,
        started_at=BEGAN,
        last_updated=BEGAN + dt.timedelta(minutes=38),
        raw_plan=plan,
    )


@pytest.mark.parametrize(
    ("recorded", "plan", "found", "status"),
    [
        ("running", PLAN, execution("RUNNING"), "RUNNING"),
        ("running", PLAN, execution("PENDING_REDRIVE"), "RUNNING"),
        ("running", PLAN, execution("ABORTED"), "STOPPED"),
        ("running", PLAN, execution("TIMED_OUT"), "TIMED_OUT"),
        ("running", PLAN, None, "UNKNOWN"),
        ("succeeded", PLAN, execution("ABORTED"), "SUCCEEDED"),
        ("planned", PLAN, execution("SUCCEEDED"), "PLANNED"),
        ("failed", PLAN, execution("FAILED", "StepFailed"), "FAILED"),
        ("failed", PLAN, execution("FAILED", "RequestRefused"), "REFUSED"),
        ("failed", PLAN, None, "FAILED"),
        ("failed", {}, None, "REFUSED"),
        ("failed", PLAN, execution("RUNNING", arn="another one's"), "FAILED"),
    ],
)
def test_the_execution_decides_what_the_record_cannot_know(
    recorded: str, plan: dict[str, Any], found: Execution | None, status: Status
) -> None:
    assert status_of(record(recorded, plan), found) == status


def shown(status: str, found: Execution | None, cluster: ClusterNow | None = None, **more: Any) -> Shown:
    summary = summary_of(record(status), found)
    values: dict[str, Any] = {
        "worked": {"SUCCEEDED": True, "FAILED": False}.get(summary.status),
        "sentence": "Why.",
        "data_age_now_seconds": 3 * 3600,
        "cluster": cluster,
        "kept": None,
        "application_secret": "aurora-restore/application",
        "differences": [],
        "expected_end": [],
        "reasons": ["Why.", "And why else."],
        "error": None,
        "earlier_executions": [],
        "started_by": {},
        "step_times": {},
        "masked_at": None,
        "events": [],
        "evidence": None,
        "parameters": {},
        "plan": PLAN,
    }
    return Shown(operation=summary, **(values | more))


def test_evidence_is_named_with_the_command_that_shows_it() -> None:
    sealed = Sealed(sequence=42, sha256="3f9a1c77" + "0" * 56, bucket="b", folder="evidence/one")
    lines = list(first_screen(shown("succeeded", None, evidence=sealed)))
    assert "Evidence      #42 3f9a1c77  aurora-restore report one --open" in lines
    assert not [each for each in first_screen(shown("succeeded", None)) if each.startswith("Evidence")]


def test_the_commands_words_for_tags_are_the_pipelines() -> None:
    assert (explained.ROLE_TAG, explained.EXPIRY_TAG) == (resources.ROLE_TAG, resources.EXPIRY_TAG)


REPLACING = PLAN | {"replaces": {"resource_id": "cluster-OLD", "is_ours": True}}


@pytest.mark.parametrize(
    ("role", "swap_end", "plan", "lines"),
    [
        ("previous", "forward", REPLACING, ["until 2026-11-28T02:00:00Z; it costs money, too"]),
        (
            "previous",
            "forward",
            PLAN | {"replaces": {"resource_id": "cluster-OLD"}},
            ["until somebody deletes it; it costs money, too"],
        ),
        ("live", "forward", REPLACING, []),
        ("previous", "back", REPLACING, []),
        (None, "forward", REPLACING, []),
        ("previous", None, PLAN, []),
    ],
)
def test_the_cluster_of_before_is_shown_as_long_as_it_is_kept(
    role: str | None, swap_end: str | None, plan: dict[str, Any], lines: list[str]
) -> None:
    tags = [{"Key": "aurora-restore:expires-at", "Value": "2026-11-28T02:00:00Z"}]
    tags += [{"Key": "aurora-restore:role", "Value": role}] if role else []
    described = {"DBClusterIdentifier": "staging-old-1", "Status": "available", "TagList": tags}
    rds = SimpleNamespace(describe_db_clusters=lambda **_: {"DBClusters": [described]})
    stack = cast(Stack, SimpleNamespace(client=lambda name: rds))
    kept = kept_cluster(stack, replace(record("succeeded", plan), swap_end=swap_end))
    summary = [each.strip() for each in first_screen(shown("succeeded", None, kept=kept)) if "kept as" in each]
    assert summary == [f"the cluster of before is kept as staging-old-1 (available) {each}" for each in lines]


def drill(
    number: int, source: str, outcome: str | None, *, is_sealed: bool = True, status: str = "succeeded"
) -> Record:
    plan = {"drill": True, "snapshot": {"cluster_identifier": source}}
    sealed = Sealed(sequence=number, sha256="0" * 64, bucket="b", folder="evidence/one") if is_sealed else None
    ended_at = NOW - dt.timedelta(days=10 - number)
    found = replace(record(status, plan), operation_id=f"drill-{number}", last_updated=ended_at)
    return replace(found, outcome=outcome, evidence=sealed)


def test_the_last_good_drill_of_each_source_is_told_those_without_one_first() -> None:
    restored = replace(record("succeeded"), outcome="passed")
    found = drilled_sources(
        [
            restored,
            drill(8, "orders", "findings"),
            drill(7, "orders", "passed"),
            drill(6, "orders", "passed"),
            drill(5, "users", "failed", status="failed"),
            drill(4, "users", "passed", is_sealed=False),
            drill(3, "billing", "passed"),
            drill(9, "billing", None, is_sealed=False, status="running"),
            drill(9, "new", None, is_sealed=False, status="running"),
        ],
        NOW,
    )
    assert list(drilled_lines(found)) == [
        "No good drill of users: 2 drills have ended.",
        "Last good drill of billing: 7.0 days ago, drill-3",
        "Last good drill of orders: 3.0 days ago, drill-7",
    ]
    assert [(each.source, each.drills, each.operation_id) for each in found] == [
        ("users", 2, None),
        ("billing", 1, "drill-3"),
        ("orders", 3, "drill-7"),
    ]


CLUSTER = ClusterNow(
    resource_id="cluster-ABC",
    exists=True,
    identifier="staging-orders",
    status="available",
    door="shut",
    endpoint="staging.example",
    port=5432,
    expires_at=None,
)


def test_nobody_is_sent_to_a_cluster_that_was_replaced_since() -> None:
    lines = list(first_screen(shown("succeeded", None, cluster=replace(CLUSTER, identifier="staging-orders-old-1"))))
    assert f"Do now        Nothing. Its cluster no longer has the name {PLAN['target_cluster_id']}." in lines
    assert not [each for each in lines if "Connect" in each]


@pytest.mark.parametrize(
    ("checks", "code", "line"),
    [
        (Checks(held=41), 0, "Checks        all 41 held"),
        (Checks(held=40, failed=1), 5, "Checks        1 did NOT hold, 0 were not run, 40 held: the report says which"),
        (Checks(not_run=1), 5, "Checks        0 did NOT hold, 1 were not run, 0 held: the report says which"),
    ],
)
def test_data_that_did_not_pass_are_told_apart_from_a_failure(checks: Checks, code: int, line: str) -> None:
    found = shown("succeeded", None, CLUSTER)
    found = replace(found, operation=replace(found.operation, checks=checks))
    assert line in list(first_screen(found))
    assert exit_code_of(found) == code


def test_a_drills_checks_and_kind_are_known_after_its_cluster_is_gone() -> None:
    removed = {"resource_id": "cluster-GONE", "verification": {"held": 41, "failed": 0, "not_run": 0, "findings": []}}
    drilled = replace(record("succeeded", PLAN | {"drill": True}), removed=removed)
    assert drilled.checks == Checks(held=41)
    assert summary_of(drilled, None).kind == "drill"


STOPPED_DRILL = {"execution_id": ARN, "redrive_count": 0, "status": "ABORTED", "step": "verify-data"}


@pytest.mark.parametrize(
    ("facts", "is_ended", "finisher"),
    [
        ({}, False, None),
        ({"drill_ended_by": STOPPED_DRILL}, True, None),
        ({"drill_ended_by": STOPPED_DRILL, "finished_by": "finish-1"}, True, ARN.replace(":one", ":finish-1")),
        ({"drill_ended_by": STOPPED_DRILL, "finished_by": "finish-1", "redrive_count": 1}, False, None),
        ({"finished_by": "finish-1"}, False, None),
    ],
)
def test_a_drill_is_ended_as_its_own_steps_take_it(facts: dict[str, Any], is_ended: bool, finisher: str | None) -> None:
    found = record("failed", PLAN | {"drill": True})
    found = msgspec.structs.replace(found, **facts)
    assert (found.is_drill_ended, found.finisher) == (is_ended, finisher)
    theirs = {"operation_id": "one", "execution_id": ARN, "state": "", "status": "failed"}
    times: dict[str, Any] = {"started_at": "", "last_updated": ""}
    assert OperationRecord(**{**theirs, **times, **facts}).is_drill_ended is is_ended


@pytest.mark.parametrize(
    ("more", "line", "commands"),
    [
        (
            {"finished_by": "arn:finish-1"},
            "Do now        Nothing. This execution deletes what the drill has left, and its message says how that has ",
            ["aurora-restore show one"],
        ),
        (
            {},
            "Do now        Fix the cause, and resume it. That deletes what the drill has left, and does nothing else:",
            ["aurora-restore resume one"],
        ),
        (
            {"is_cleaned_up": True},
            "Do now        Nothing: what the drill had left is deleted. To drill again, start a new operation.",
            [],
        ),
    ],
    ids=["at work", "left to a person", "cleaned up"],
)
def test_a_stopped_drill_is_not_to_be_continued(more: dict[str, Any], line: str, commands: list[str]) -> None:
    known: dict[str, Any] = {"finished_by": None, "is_cleaned_up": False} | more
    drill = EndedDrill(execution_arn=ARN, status="ABORTED", step="verify-data", **known)
    found = shown("failed", execution("ABORTED"), CLUSTER, ended_drill=drill)
    assert next_commands(found) == commands
    lines = list(first_screen(found))
    assert [each for each in lines if each.startswith(line)]
    assert not [each for each in lines if "To give it up" in each]
    assert exit_code_of(found) == 4


@pytest.mark.parametrize(
    ("facts", "left"),
    [
        ({}, False),
        ({"cluster_resource_id": "cluster-ABC"}, True),
        ({"cluster_asked_at": "2026-11-27T02:13:00.000Z"}, True),
        ({"made_snapshots": {"copy": "arn"}}, True),
    ],
)
def test_what_a_drill_has_asked_for_is_left_until_it_is_forgotten(facts: dict[str, Any], left: bool) -> None:
    assert msgspec.structs.replace(record("failed"), **facts).has_left_something is left


def test_a_failure_says_why_what_exists_and_what_to_type() -> None:
    lines = list(first_screen(shown("failed", execution("FAILED", "StepFailed"), CLUSTER)))
    assert lines[0].startswith("FAILED    restore of staging-orders, started 2026-11-27 02:13 UTC, took 38 min")
    assert lines[1] == "Did it work?  No. Why."
    assert lines[2] == "              And why else."
    assert lines[3].startswith("Data          3.0 h old: as of 2026-03-")
    assert lines[4] == "Exists now    cluster staging-orders (available), door shut; it costs money"
    assert lines[6] == "              aurora-restore resume one"
    assert lines[-1] == "Operation     one"


MASKS = PLAN | {"masking": {"policy": "staging", "version_id": "3HL4kqtJlcpXroDTDmJ"}}


@pytest.mark.parametrize("ended", [execution("FAILED", "StepFailed"), execution("ABORTED"), execution("TIMED_OUT")])
def test_before_its_gate_a_masking_run_says_by_what_a_resume_masks_and_that_another_policy_needs_another_operation(
    ended: Execution,
) -> None:
    lines = list(first_screen(shown("running", ended, CLUSTER, plan=MASKS)))
    resume = lines.index("              aurora-restore resume one")
    assert lines[resume + 1].endswith(
        "A resume masks by the version of policy staging that was planned: 3HL4kqtJlcpXroDTDmJ."
    )
    assert "start a new operation" in lines[resume + 2]
    assert lines[resume + 3] == "              aurora-restore start"
    assert "until you delete it" in lines[resume + 4]
    gone = list(first_screen(shown("running", ended, replace(CLUSTER, exists=False), plan=MASKS)))
    assert not [each for each in gone if "until you delete it" in each]


@pytest.mark.parametrize(
    ("status", "found", "more"),
    [
        ("failed", execution("FAILED", "StepFailed"), {}),
        ("failed", execution("FAILED", "StepFailed"), {"plan": MASKS, "masked_at": "2026-11-27T02:40:00Z"}),
        ("failed", execution("FAILED", "RequestRefused"), {"plan": MASKS}),
        ("running", execution("RUNNING"), {"plan": MASKS}),
        ("succeeded", None, {"plan": MASKS}),
    ],
    ids=["masks nothing", "is masked", "refused", "running", "succeeded"],
)
def test_no_policy_is_spoken_of_where_a_resume_masks_nothing(
    status: str, found: Execution | None, more: dict[str, Any]
) -> None:
    assert "policy" not in "\n".join(first_screen(shown(status, found, CLUSTER, **more)))


def test_a_success_says_where_to_connect() -> None:
    lines = list(first_screen(shown("succeeded", None, CLUSTER, reasons=[])))
    assert "Do now        Connect: staging.example:5432" in lines
    assert "              The logins are in secret aurora-restore/application" in lines


@pytest.mark.parametrize(
    ("status", "found", "code"),
    [
        ("succeeded", None, 0),
        ("planned", None, 0),
        ("failed", execution("FAILED", "StepFailed"), 4),
        ("failed", execution("FAILED", "RequestRefused"), 3),
        ("running", execution("ABORTED"), 4),
        ("running", execution("RUNNING"), 8),
    ],
)
def test_the_exit_code_is_the_operations(status: str, found: Execution | None, code: int) -> None:
    assert exit_code_of(shown(status, found)) == code


def test_a_cause_is_read_without_its_stack_trace_and_without_what_a_terminal_would_act_on() -> None:
    cause = json.dumps({"errorMessage": "one\ntwo \x1b[31mred", "stackTrace": ["x"]})
    assert execution("FAILED", "StepFailed", cause).reasons == ["one", "two  [31mred"]


def test_a_list_cuts_no_id() -> None:
    long = summary_of(record("failed"), execution("FAILED"))
    header, line = listing_lines([long])
    assert header.split()[-1] == "OPERATION"
    assert line.endswith("  one")
    assert "38 min 0 s" in line
    assert " 40/41  one" in list(listing_lines([replace(long, checks=Checks(held=40, failed=1))]))[1]


NOW = dt.datetime(2026, 11, 27, 3, 0, tzinfo=dt.UTC)
FOUND = Snapshot(
    identifier="nightly", cluster_identifier="prod-orders", created_at=NOW - dt.timedelta(minutes=54), why="the latest"
)


def test_a_plan_that_destroys_nothing_says_so_in_its_second_line() -> None:
    lines = list(
        plan_lines(Plan(operation_id="one", target_cluster_id="staging-orders", snapshot=FOUND), "7c1e04b9", NOW)
    )
    assert lines[1] == "Nothing that exists is changed or deleted."
    assert "54 min old" in lines[2]


def test_a_plan_names_every_cluster_that_it_deletes_or_replaces_in_its_second_line() -> None:
    plan = Plan(
        target_cluster_id="staging-orders",
        snapshot=FOUND,
        source_deletion=SourceDeletion(cluster_identifier="prod-orders"),
        replaces=Replaced(other_names=["staging-orders-before"], keep_hours=24, is_ours=True),
    )
    lines = list(plan_lines(plan, "7c1e04b9", NOW))
    assert lines[1] == "DESTROYS OR REPLACES prod-orders, staging-orders"
    assert any("WITHOUT a final snapshot" in line for line in lines)
    assert any("kept for 24 h, then DELETED" in line for line in lines)


def test_a_plan_says_what_becomes_of_a_replaced_cluster_of_others() -> None:
    deletion = ReplacedDeletion(final_snapshot_identifier="orders-final-1")
    for kept, end in (
        (Replaced(keep_hours=24, deletion=deletion), "for 24 h, then DELETED after the final snapshot orders-final-1"),
        (Replaced(keep_hours=24), "kept for 24 h, and not deleted then"),
    ):
        plan = Plan(target_cluster_id="staging-orders", snapshot=FOUND, replaces=kept)
        assert any(line.endswith(end) for line in plan_lines(plan, "7c1e04b9", NOW))


def test_the_plan_of_a_drill_opens_nothing_and_deletes_what_it_makes() -> None:
    plan = msgspec.convert(unstored(plain(a_plan(drill=True))), Plan)
    lines = list(plan_lines(plan, "3f9a1c77", BEGAN))
    assert "DRILL of" in lines[0]
    assert not [each for each in lines if each.strip().startswith("OPEN")]
    assert [each.split()[:3] for each in lines if "nobody is let in" in each] == [
        ["DELETE", "cluster", plan.cluster.identifier]
    ]


def test_who_starts_again_asks_for_the_same_and_not_for_the_stacks_defaults() -> None:
    asked = {"target_cluster_id": "dev-x", "masking_policy": "gdpr", "operation_id": "one", "snapshot_date": None}
    lines = list(first_screen(shown("failed", execution("FAILED", "StepFailed"), plan=MASKS, parameters=asked)))
    again = 'aurora-restore start --input \'{"target_cluster_id": "dev-x", "masking_policy": "gdpr"}\''
    assert any(line.endswith(again) for line in lines)
    assert not any(line.endswith("aurora-restore start") for line in lines)


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        ({"operation_id": "night-1", "resume": True}, "aurora-restore resume night-1"),
        ({"target_cluster_id": "dev-x"}, 'aurora-restore start --input \'{"target_cluster_id": "dev-x"}\''),
    ],
)
def test_an_operation_that_never_had_a_plan_cannot_be_resumed(asked: dict[str, Any], command: str) -> None:
    without = shown("failed", execution("FAILED", "StepFailed"), plan={}, parameters={"request": json.dumps(asked)})
    assert next_commands(without) == [command]
    assert any("Nothing was created. Fix the cause, and start it again:" in line for line in first_screen(without))


@pytest.mark.parametrize("text", ['{"target_cluster_id": "a request that was c', "[1]"])
def test_a_request_that_cannot_be_read_leaves_no_command(text: str) -> None:
    without = shown("failed", execution("FAILED", "StepFailed"), plan={}, parameters={"request": text})
    assert next_commands(without) == []


def test_backups_that_rds_keeps_are_left_by_the_resume() -> None:
    assert KEEP_BACKUPS.startswith(explained.KEEP_BACKUPS)
    kept = shown("failed", execution("FAILED", "StepFailed"), reasons=[f"AWS Backup has them. {KEEP_BACKUPS}"])
    assert next_commands(kept) == ["aurora-restore resume one --keep-backups"]
    asked = replace(record("failed"), parameters={"delete_source": True, "delete_automated_backups": True})
    assert resuming_request(asked)["delete_automated_backups"] is True
    assert "delete_automated_backups" not in resuming_request(asked, keep_backups=True)


def test_a_swap_that_another_execution_finishes_is_left_to_it() -> None:
    left = replace(record("failed"), swap_began_at="2026-11-27T02:13:00.000Z", finished_by="finish-0123-4567")
    assert left.swap_finisher == ARN.replace(":one", ":finish-0123-4567")
    assert replace(left, swap_end="back").swap_finisher is None
    found = shown("running", execution("ABORTED"), CLUSTER, swap_finished_by=left.swap_finisher)
    assert next_commands(found) == ["aurora-restore show one"]
    lines = list(first_screen(found))
    assert any("Change neither of the two clusters." in line for line in lines)
    assert not any("resume" in line for line in lines)
