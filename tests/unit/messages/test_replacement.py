"""What plan and success say of a target that is replaced."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.unit.support import (
    EXECUTION,
    NOW,
    TARGET,
    a_cluster_plan,
    a_plan,
    a_record,
    nothing_archived,
    some_users,
)
from utils.contracts.plan import Plan, ReplacedCluster, ReplacedDeletion
from utils.messages import outcome
from utils.messages.swap import ReplacedNow

REPLACED = ReplacedCluster(
    resource_id="cluster-OLD",
    is_ours=True,
    login_version_id="version-1",
    other_names=[f"{TARGET}-old-0123456789ab", f"{TARGET}-old-0123456789ab-2"],
    endpoint=f"{TARGET}.cluster-abc.us-east-1.rds.amazonaws.com",
    port=5432,
    security_group_ids=["sg-old"],
    data_api=False,
    deletion_protection=False,
    keep_hours=24,
)
PLAN = a_plan(
    cluster=a_cluster_plan(identifier=f"{TARGET}-new-0123456789ab", live_identifier=TARGET), replaces=REPLACED
)


def test_a_success_names_the_target_and_what_became_of_the_one_before() -> None:
    times = dict.fromkeys(("snapshot-check", "swap-cluster", "open-cluster"), "2026-03-10T03:00:00.000Z")
    record = a_record(step_times=times, door_open_at="2026-03-10T03:00:00.000Z")
    message = outcome.succeeded(PLAN, some_users(), nothing_archived(), record, EXECUTION, NOW)
    assert message.subject.startswith(f"[aurora-restore] SUCCEEDED: {TARGET} restored from")
    assert "cluster-OLD, which is kept as staging-orders-old-0123456789ab behind the stack's door" in message.body
    assert "deleted after 2026-03-11 03:00 UTC" in message.body
    assert "while it exists, its instances cost what they did before" in message.body
    seen = ReplacedNow(f"{TARGET}-old-0123456789ab", "it costs about 0.26 USD an hour")
    assert "while it exists, it costs about 0.26 USD an hour" in a_success(seen)


def test_the_plan_says_who_is_locked_out_when_and_until_when_there_is_a_way_back() -> None:
    text = outcome.planned(PLAN, EXECUTION, {}).body
    shut = text.index(f"shut the door of the present {TARGET} (cluster-OLD)")
    assert shut < text.index(f"rename it to {TARGET}-old-0123456789ab") < text.index("open the door of the new")
    assert "any failure ends with the present one under its name" in text
    assert "then DELETED WITHOUT a final snapshot" in text


@pytest.mark.parametrize(
    ("kept", "why"),
    [
        ({"is_ours": False}, "this stack did not create it"),
        ({"deletion_protection": True}, "somebody has switched its deletion protection on"),
        ({"is_swept": False}, "the stack's ExpirySchedule is empty"),
    ],
)
def test_what_nothing_is_going_to_delete_is_not_said_to_be_deleted(kept: dict[str, bool], why: str) -> None:
    plan = replace(PLAN, replaces=replace(REPLACED, **kept))
    assert f"and is not deleted then, because {why}" in outcome.planned(plan, EXECUTION, {}).body
    body = a_success(ReplacedNow("x"), plan)
    assert f"and is not deleted by the pipeline, because {why}" in body
    assert "deleted after" not in body


def test_protection_that_goes_with_the_cluster_is_announced() -> None:
    plan = replace(PLAN, replaces=replace(REPLACED, deletion_protection=True, protection_is_ours=True))
    text = outcome.planned(plan, EXECUTION, {}).body
    assert "then DELETED after its deletion protection is switched OFF, WITHOUT a final snapshot" in text


HANDED = replace(
    REPLACED,
    is_ours=False,
    deletion=ReplacedDeletion(
        final_snapshot_identifier=f"{TARGET}-final-0123456789ab", instance_identifiers=["writer"], tags={}
    ),
)


def test_one_of_others_that_is_deleted_as_asked_is_said_to_be_with_its_final_snapshot() -> None:
    plan, final = replace(PLAN, replaces=HANDED), f"{TARGET}-final-0123456789ab"
    text = outcome.planned(plan, EXECUTION, {}).body
    assert f"then DELETED, although the pipeline did not create it, after a final snapshot {final}, as asked" in text
    body = a_success(ReplacedNow("x"), plan)
    assert f"and is deleted after 2026-03-11 03:00 UTC, with a final snapshot {final}" in body


def a_success(replaced: ReplacedNow | None, plan: Plan = PLAN) -> str:
    times = dict.fromkeys(("snapshot-check", "swap-cluster", "open-cluster"), "2026-03-10T03:00:00.000Z")
    record = a_record(step_times=times, door_open_at="2026-03-10T03:00:00.000Z")
    return outcome.succeeded(plan, some_users(), nothing_archived(), record, EXECUTION, NOW, replaced=replaced).body


def test_a_success_says_what_aws_has_refused_and_that_nothing_deletes_what_is_not_tagged() -> None:
    body = a_success(ReplacedNow(f"{TARGET}-old-0123456789ab", is_previous=False, undone=("set-roles",)))
    assert "is not deleted by the pipeline, because its tag aurora-restore:role is not previous" in body
    assert "The swap has ended, but AWS has refused to set the tags aurora-restore:role" in body


def test_a_success_has_the_name_that_the_replaced_cluster_has_now() -> None:
    """A person may have renamed it, or the planned name was taken."""
    assert f"cluster-OLD, which is kept as {TARGET}-by-hand behind" in a_success(ReplacedNow(f"{TARGET}-by-hand"))


def test_the_first_line_of_a_success_says_that_the_replaced_cluster_is_gone() -> None:
    body = a_success(ReplacedNow(None))
    assert body.splitlines()[0] == (
        f"Lost       cluster-OLD, which was {TARGET} before, was deleted by somebody else: there is no way back to it"
    )
    assert "is kept as" not in body


def test_a_success_says_what_the_end_of_its_clients_sessions_has_left_open() -> None:
    body = a_success(ReplacedNow("kept-orders", in_doubt=2, prepared_transactions=3))
    assert "Sessions at work that were ended when the name was taken: 2." in body
    assert "Prepared transactions in kept-orders: 3. They hold their locks" in body
    quiet = a_success(ReplacedNow("kept-orders"))
    assert "Sessions at work" not in quiet
    assert "Prepared transactions" not in quiet
