"""What plan, success and failure say of a replacement that is undone: which writes are lost, and where they are."""

from __future__ import annotations

import datetime as dt
from typing import Any

from msgspec import to_builtins
from msgspec.structs import replace

from tests.unit.messages.test_replacement import REPLACED
from tests.unit.support import EXECUTION, NOW, OPERATION, TARGET, a_cluster_plan, a_plan, a_record
from utils.contracts.payloads import ExecutionError
from utils.contracts.plan import RolledBack
from utils.messages import outcome
from utils.messages.remains import Remains
from utils.messages.swap import ReplacedNow

KEPT = f"{TARGET}-old-fedcba987654"
UNDONE = RolledBack(
    operation_id="the-night",
    resource_id="cluster-KEPT",
    other_names=[KEPT],
    replaced_at=dt.datetime(2026, 3, 10, 1, 30, tzinfo=dt.UTC),
    login_version_id="version-2",
    admin_secret_arn="arn:aws:secretsmanager:us-east-1:123456789012:secret:admin",
)
PLAN = a_plan(
    cluster=a_cluster_plan(identifier=KEPT, live_identifier=TARGET, vpc_security_group_ids=["sg-of-it"]),
    replaces=REPLACED,
    rolls_back=UNDONE,
    on_failure="keep",
)


def a_failure(**facts: Any) -> str:
    record = a_record(plan=to_builtins(PLAN), temporary_name=KEPT, cluster_resource_id="cluster-KEPT", **facts)
    error = ExecutionError(error="StepFailed", cause="AWS has refused one of its calls for good.")
    return outcome.failed(error, record, {"operation_id": "the-night", "rollback": True}, Remains(), {}, EXECUTION).body


def test_the_plan_says_from_when_on_writes_are_lost_and_where_they_stay() -> None:
    message = outcome.planned(PLAN, EXECUTION, {"operation_id": "the-night", "rollback": True, "dry_run": True})
    assert message.subject == f"[aurora-restore] PLANNED: {TARGET} back to {KEPT}"
    assert f"LOSE for {TARGET} what was written to it since 2026-03-10 01:30 UTC" in message.body
    assert f"It stays in {REPLACED.other_names[0]}, which is kept for 24 hours" in message.body
    assert "Costs" not in message.body, "nothing is created"
    assert """--input '{"operation_id": "the-night", "rollback": true}'""" in message.body


def test_a_success_says_which_cluster_it_is_and_where_the_lost_writes_are() -> None:
    record = a_record(door_open_at="2026-03-10T03:00:00.000Z")
    message = outcome.rolled_back(PLAN, record, EXECUTION, NOW, replaced=ReplacedNow("renamed-by-a-person"))
    assert message.subject == f"[aurora-restore] SUCCEEDED: {TARGET} rolled back to cluster-KEPT"
    assert "Leads to   cluster-KEPT again, which operation the-night had replaced" in message.body
    assert "from 2026-03-10 01:30 UTC until this rollback" in message.body
    assert "it is in cluster-OLD, which is kept as renamed-by-a-person behind the stack's door" in message.body
    assert "deleted after 2026-03-11 03:00 UTC" in message.body
    gone = outcome.rolled_back(PLAN, record, EXECUTION, NOW, replaced=ReplacedNow(None)).body
    assert "cluster-OLD, in which it was, was deleted by somebody else" in gone


def test_one_of_others_is_never_deleted() -> None:
    plan = replace(PLAN, replaces=replace(REPLACED, is_ours=False))
    record = a_record(door_open_at="2026-03-10T03:00:00.000Z")
    assert (
        "behind the stack's door, and is not deleted by the pipeline, because this stack did"
        in outcome.rolled_back(plan, record, EXECUTION, NOW).body
    )


def test_a_failure_says_where_the_name_leads_and_never_how_to_delete_a_cluster() -> None:
    text = a_failure(swap_end="back", swap_began_at="2026-03-10T03:00:00.000Z")
    assert text.startswith(f"{TARGET} was not rolled back: it leads to cluster cluster-OLD, as before.")
    assert f"""--input '{{"operation_id": "{OPERATION}", "resume": true}}'""" in text
    assert "delete" not in text.replace("Nothing was deleted", "")


def test_one_that_is_complete_leaves_nothing_to_do() -> None:
    text = a_failure(swap_end="forward", swap_began_at="2026-03-10T03:00:00.000Z")
    assert f"{TARGET} was rolled back: it leads to cluster cluster-KEPT." in text
    assert "Nothing: the rollback is complete, only its report failed." in text
    assert "resume" not in text


def test_one_that_is_between_two_clusters_is_finished_first() -> None:
    text = a_failure(swap_began_at="2026-03-10T03:00:00.000Z")
    assert f"The swap of {TARGET} has not ended: clients may be locked out until it has." in text
    assert "change nothing else of the two clusters" in text
