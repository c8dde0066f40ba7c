"""The calls that a run made and that changed something, held against those that its plan had named before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from scripts.local_aws.front import ApiCall
from utils.arns import Arn

READING = ("Describe", "Get", "List")
# What a plan names: the operation's own books, its message and its logs are not in it.
SERVICES = ("rds", "secretsmanager")
_NAMED_BY = (
    "TargetDBClusterSnapshotIdentifier",
    "DBClusterSnapshotIdentifier",
    "DBInstanceIdentifier",
    "DBClusterIdentifier",
    "ExportTaskIdentifier",
    "ResourceArn",
    "ResourceName",
    "SecretId",
    "Name",
)


class Made(NamedTuple):
    """One call as it was made: which, on what, in whose region."""

    call: str
    on: str
    region: str
    account: str


def changes_of_run(calls: Iterable[ApiCall]) -> list[Made]:
    """Return what roles of the pipeline changed, without a person's own calls and those that were refused."""
    return [
        Made(f"{call.service}:{call.operation}", _name(call.parameters), call.region, role.account_id)
        for call in calls
        if call.service in SERVICES
        and (role := Arn.parse_or_none(call.principal))
        and call.error is None
        and not call.operation.startswith(READING)
    ]


def not_as_planned(planned: Sequence[dict[str, Any]], made: Sequence[Made], *, resumed: bool = False) -> list[str]:
    """Return what is missing, too much or out of its order. A resumed run need not repeat what was done."""
    wrong, rest = [], list(made)
    for each in planned:
        expected = Made(each["call"], each["on"], each["region"], each["account"])
        if rest and rest[0]._replace(on="") == expected._replace(on="") and _is_meant(rest[0].on, expected.on):
            rest.pop(0)
        elif not each.get("only") and not resumed:
            wrong.append(f"planned, but not made then: {' '.join(expected)}")
    return [*wrong, *(f"made, but not planned then: {' '.join(each)}" for each in rest)]


def _is_meant(made: str, planned: str) -> bool:
    """Return whether both mean the same. A plan calls the stack's secrets by what they are for, a target's by name."""
    of_stack = planned.endswith(" secret") and f"/{planned.removesuffix(' secret')}" in made
    return made == planned or f":secret:{planned}-" in made or of_stack


def _name(parameters: Any) -> str:
    found = next((str(parameters[name]) for name in _NAMED_BY if name in parameters), "")
    arn = Arn.parse_or_none(found)
    return arn.name if arn and arn.service == "rds" else found
