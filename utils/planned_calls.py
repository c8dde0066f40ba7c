"""Every call that an operation is going to make that changes something, in its order: what a dry run shows.

Derived from the plan alone, so that whoever approves the plan has approved these calls and no others. Left out are the
operation's own books (state, audit, lock), its message, and what is read. SQL in the restored cluster is no call of AWS's.
"""

from __future__ import annotations

from collections.abc import Iterator

from utils.plans import Plan, PlannedCall, RouteStep
from utils.routes import COPIES

_OF_A_ROUTE = {"share": "rds:ModifyDBClusterSnapshotAttribute", "unshare": "rds:ModifyDBClusterSnapshotAttribute"}
_SNAPSHOT = ":cluster-snapshot:"


def planned_calls(plan: Plan, region: str, account: str) -> list[PlannedCall]:
    """`region` and `account` are the stack's own, where the new cluster is made."""
    return [PlannedCall(call=call, on=on, region=where, account=owner) for call, on, where, owner in _calls(plan, region, account)]


def _calls(plan: Plan, region: str, account: str) -> Iterator[tuple[str, str, str, str]]:
    if plan.copy:
        yield from map(_route_call, plan.copy.steps)
    cluster = plan.cluster
    yield "rds:RestoreDBClusterFromSnapshot", cluster.identifier, region, account
    for instance in cluster.instances:
        yield "rds:CreateDBInstance", instance.identifier, region, account
    yield from ((call, cluster.identifier, region, account) for call in _login_and_settings(plan))
