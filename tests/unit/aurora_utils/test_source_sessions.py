"""A step's session in the source's account may do what this step does with this operation's snapshots, and no more.

Asked request by request, as IAM decides: the role's own policies of infrastructure/source-account-role.yaml and the
session's must both allow.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.local_aws.iam.policy import Policy, Request, evaluate
from tests.unit.infrastructure.test_source_account_role import (
    AUTOMATED,
    BY_RDS,
    CLUSTER,
    INSTANCE,
    KEY,
    MANUAL,
    MARKED,
    OURS,
    OWNER,
    PIPELINE,
    policy,
    snapshot,
)
from utils.aurora_utils.source_sessions import SourceSession, StepOfRoute, planning_session, route_session
from utils.contracts.route import SnapshotCopy
from utils.names import MAX_SNAPSHOT_IDENTIFIER
from utils.planning.route import RouteFacts, plan_route

OPERATION = "nightly-2026-11-27"
COPY_NAME = "prod-orders-copy-0123456789ab"
THEIR_COPY = snapshot(COPY_NAME)
OTHER_COPY = snapshot("prod-orders-copy-ba9876543210")
# Of these the role itself may do as much as of this operation's.
OTHER_AUTOMATED = snapshot("rds:prod-orders-old-2026-11-27-02-00")
OTHER_MANUAL = snapshot("monthly-billing")
LONGEST_POLICY = 2048
"""STS API reference, AssumeRole: characters of inline and managed session policies together."""

COPYING = [("rds:CopyDBClusterSnapshot", MARKED), ("rds:AddTagsToResource", MARKED)]
SHARING = ("rds:ModifyDBClusterSnapshotAttribute", OURS)
REMOVING = ("rds:DeleteDBClusterSnapshot", OURS)
CHANGES = [*COPYING, SHARING, REMOVING]


def a_route(arn: str = AUTOMATED, *, is_manual: bool = False, copy_name: str = COPY_NAME) -> SnapshotCopy:
    """Through a copy in the owner's account where the snapshot is an automated one, which nobody can share."""
    facts = RouteFacts(
        snapshot_arn=arn,
        is_manual=is_manual,
        is_encrypted=True,
        access="role",
        target_account=PIPELINE,
        target_region="eu-central-1",
        copy_name=copy_name,
        kms_key_id="alias/staging",
    )
    return SnapshotCopy(steps=plan_route(facts), tags={})


def session_of(step: StepOfRoute, copy: SnapshotCopy) -> SourceSession:
    return route_session(step, OPERATION, copy, OWNER)


def may(session: SourceSession, action: str, resource: str, context: dict[str, str]) -> bool:
    asked = Request(action, resource, context | {"aws:userid": f"AROAEXAMPLE:{session.name}"})
    documents = {"role": policy(), "session": json.loads(session.policy)}
    return all(evaluate([Policy.parse(name, document)], asked).allowed for name, document in documents.items())


def changes_of(session: SourceSession, arn: str) -> set[str]:
    return {action.partition(":")[2] for action, context in CHANGES if may(session, action, arn, context)}


LOOKS: list[tuple[str, str]] = [
    ("rds:DescribeDBClusterSnapshots", CLUSTER),
    ("rds:DescribeDBClusterSnapshots", AUTOMATED),
    ("rds:DescribeDBClusterSnapshotAttributes", MANUAL),
    ("rds:DescribeDBClusters", CLUSTER),
    ("rds:DescribeDBInstances", INSTANCE),
    ("rds:DescribeAccountAttributes", "*"),
    ("application-autoscaling:DescribeScalableTargets", "*"),
    ("kms:DescribeKey", KEY),
]


@pytest.mark.parametrize(("action", "resource"), LOOKS)
def test_planning_looks(action: str, resource: str) -> None:
    assert may(planning_session(OPERATION), action, resource, {})


READERS = {
    "snapshot-check": planning_session(OPERATION),
    "check-copy-status": session_of("check-copy-status", a_route()),
    "check-copy-status of a shared snapshot": session_of("check-copy-status", a_route(MANUAL, is_manual=True)),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("arn", [MANUAL, AUTOMATED, THEIR_COPY, OTHER_COPY, CLUSTER])
def test_who_only_reads_can_neither_copy_nor_tag_nor_share_nor_delete(reader: SourceSession, arn: str) -> None:
    """Sharing is also how a snapshot is made public: no condition tells the two apart."""
    assert changes_of(reader, arn) == set()


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_who_only_reads_uses_no_key(reader: SourceSession) -> None:
    for action in ("kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey"):
        assert not may(reader, action, KEY, BY_RDS)


@pytest.mark.parametrize(("action", "resource"), LOOKS)
def test_who_observes_a_copy_sees_snapshots_alone(action: str, resource: str) -> None:
    observed = action == "rds:DescribeDBClusterSnapshots"
    assert may(session_of("check-copy-status", a_route()), action, resource, {}) is observed


def test_the_copier_copies_the_snapshot_that_was_found_and_changes_its_own_copy() -> None:
    session = session_of("copy-snapshot", a_route())
    assert changes_of(session, AUTOMATED) == {"CopyDBClusterSnapshot"}
    copied = {"CopyDBClusterSnapshot", "AddTagsToResource", "ModifyDBClusterSnapshotAttribute"}
    assert changes_of(session, THEIR_COPY) == copied | {"DeleteDBClusterSnapshot"}
    assert all(may(session, f"kms:{each}", KEY, BY_RDS) for each in ("CreateGrant", "Decrypt", "GenerateDataKey"))
    assert may(session, "kms:DescribeKey", KEY, BY_RDS)
    assert may(session, "rds:DescribeAccountAttributes", "*", {})


def test_keys_are_used_by_rds_alone() -> None:
    session = session_of("copy-snapshot", a_route())
    others = [{}, {"kms:viaservice": "s3.eu-west-1.amazonaws.com"}]
    assert not any(may(session, "kms:Decrypt", KEY, context) for context in others)


def test_where_a_snapshot_can_be_shared_it_is_shared_and_nothing_is_copied_there() -> None:
    session = session_of("copy-snapshot", a_route(MANUAL, is_manual=True))
    assert changes_of(session, MANUAL) == {"ModifyDBClusterSnapshotAttribute"}
    assert not may(session, "kms:Decrypt", KEY, BY_RDS)


def test_what_is_archived_is_only_taken_back() -> None:
    through_a_copy = session_of("archive-snapshot", a_route())
    assert changes_of(through_a_copy, THEIR_COPY) == {"ModifyDBClusterSnapshotAttribute", "DeleteDBClusterSnapshot"}
    assert changes_of(through_a_copy, AUTOMATED) == set()
    shared = session_of("archive-snapshot", a_route(MANUAL, is_manual=True))
    assert changes_of(shared, MANUAL) == {"ModifyDBClusterSnapshotAttribute"}
    assert not may(through_a_copy, "kms:Decrypt", KEY, BY_RDS)


@pytest.mark.parametrize("step", ["copy-snapshot", "archive-snapshot"])
@pytest.mark.parametrize("arn", [OTHER_COPY, OTHER_AUTOMATED, OTHER_MANUAL, CLUSTER])
def test_another_operations_copy_and_another_snapshot_are_left_alone(step: StepOfRoute, arn: str) -> None:
    for copy in (a_route(), a_route(MANUAL, is_manual=True)):
        assert changes_of(session_of(step, copy), arn) == set()


def test_calls_in_the_stacks_own_account_ask_nothing_of_the_owners() -> None:
    """They are made with the function's own role."""
    policies = session_of("copy-snapshot", a_route()).policy
    assert f":{OWNER}:" in policies
    assert PIPELINE not in policies


@pytest.mark.parametrize("step", ["copy-snapshot", "check-copy-status", "archive-snapshot"])
def test_the_longest_names_fit(step: StepOfRoute) -> None:
    """Each snapshot is named once, whatever is done with it."""
    longest = snapshot("rds:" + "s" * MAX_SNAPSHOT_IDENTIFIER).replace(":aws:", ":aws-us-gov:")
    copy = a_route(longest.replace("eu-west-1", "us-gov-west-1"), copy_name="c" * 63)
    assert len(session_of(step, copy).policy) <= LONGEST_POLICY


def test_a_session_says_which_step_it_is() -> None:
    names: list[Any] = [planning_session(OPERATION).name]
    names += [session_of(step, a_route()).name for step in ("copy-snapshot", "check-copy-status", "archive-snapshot")]
    steps = ["snapshot-check", "copy-snapshot", "check-copy-status", "archive-snapshot"]
    assert names == [f"{step}-{OPERATION}" for step in steps]
    assert planning_session("o" * 80).name == f"snapshot-check-{'o' * 49}"
