"""What each step may do in the source's account: under which name it assumes the role there, and with which policy.

The role's own policies allow what all steps together need. A session may do what they and its session policy allow, and
a step's session policy allows what this step does with this operation's snapshots. A function that no longer does what
it was written for can omit its session policy; but not its name, which the role's own policies rely on.

Sources: STS API reference, "AssumeRole" (at most 2,048 characters of policy; no policy widens the role's own); IAM user
guide, "Session policies", and "IAM and AWS STS condition context keys" (sts:RoleSessionName, aws:userid).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct

from utils.contracts.route import RouteStep, SnapshotCopy

StepOfRoute = Literal["copy-snapshot", "check-copy-status", "archive-snapshot"]

MAX_SESSION_NAME = 64

_LOOKING_FOR_SNAPSHOTS = "rds:DescribeDBClusterSnapshots"
_PLANNING = (
    "application-autoscaling:DescribeScalableTargets",
    "kms:DescribeKey",
    "rds:DescribeAccountAttributes",
    "rds:DescribeDBClusterSnapshotAttributes",
    _LOOKING_FOR_SNAPSHOTS,
    "rds:DescribeDBClusters",
    "rds:DescribeDBInstances",
)
_THROUGH_RDS = ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey")


class SourceSession(Struct, frozen=True):
    """`name` begins with the step's: infrastructure/source-account-role.yaml lets no function have another's."""

    name: str
    policy: str


def planning_session(operation_id: str) -> SourceSession:
    """Return the session of Snapshot Check, which looks and changes nothing."""
    return _session("snapshot-check", operation_id, [_allow(_PLANNING, "*")])


def route_session(step: StepOfRoute, operation_id: str, copy: SnapshotCopy, owner: str) -> SourceSession:
    """Return the session of a step that takes or observes the calls of a snapshot's route in the owner's account."""
    taken = [each for each in copy.steps if each.place[1] == owner and _takes(step, each)]
    looking = [_LOOKING_FOR_SNAPSHOTS]
    changes: dict[str, set[str]] = {}
    for each in taken:
        for arn, action in _changes(each):
            changes.setdefault(arn, set()).add(action)
    statements = [_allow(sorted(actions), arn) for arn, actions in changes.items()]
    if any(each.is_copy for each in taken):
        looking.append("rds:DescribeAccountAttributes")  # whether the quota is why a copy was refused
        statements.append(_allow(_THROUGH_RDS, "*") | {"Condition": {"StringLike": {"kms:ViaService": "rds.*"}}})
    return _session(step, operation_id, [_allow(looking, "*"), *statements])


def _takes(step: StepOfRoute, each: RouteStep) -> bool:
    """Return whether a step makes a call of the route: one makes all, one observes, and one takes back at the end."""
    return step == "copy-snapshot" or (step == "archive-snapshot" and each.takes_back)


def _changes(step: RouteStep) -> Iterator[tuple[str, str]]:
    """Yield each snapshot that a call changes or reads for a copy, and the permission for it."""
    if step.is_copy:
        yield step.source_arn or "", step.api_call
        yield step.snapshot_arn, step.api_call
        yield step.snapshot_arn, "rds:AddTagsToResource"
    else:
        yield step.snapshot_arn, step.api_call


def _allow(actions: tuple[str, ...] | list[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource}


def _session(step: str, operation_id: str, statements: list[dict[str, Any]]) -> SourceSession:
    policy = {"Version": "2012-10-17", "Statement": statements}
    return SourceSession(f"{step}-{operation_id}"[:MAX_SESSION_NAME], json.dumps(policy, separators=(",", ":")))
