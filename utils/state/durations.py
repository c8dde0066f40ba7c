"""How long each phase took for a source cluster before, kept in the state table between its operations.

There is one item for each source. No operation's id has a # in it, so its key is no operation's. It only ever decides
when to look and what is expected: nothing of it is trusted with more, and no run fails for lack of it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Mapping
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct

from utils import environment
from utils.arns import Arn
from utils.aws import attribute, client, value_of
from utils.contracts.phases import AWAITED_PHASES
from utils.contracts.plan import FoundSnapshot
from utils.state.items import read_once
from utils.state.operation import STATE_DAYS
from utils.state.values import epoch, iso, plain, unstored

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

KEPT = 5
# Sizes further apart than by this factor say nothing of each other.
ALIKE = 2
# RDS reports 0 GiB or 1 for most of Aurora's snapshots, which is not a size.
LARGEST_UNKNOWN_GIB = 1
Seconds = Annotated[float, Meta(gt=0, le=7 * 24 * 3600)]


class Observation(Struct, frozen=True, array_like=True):
    """One duration, the snapshot's size with it, and when its execution began, by which it is recognised.

    `announced`: an event of RDS has announced its end. It is stored without names, so that a source's item stays within
    a write unit or two.
    """

    seconds: Seconds
    gib: int
    at: int
    announced: bool = False


Observations = Mapping[str, list[Observation]]


def durations_key(place: tuple[str, str], cluster_identifier: str) -> str:
    """Return the key of a source's item, by its region and account and its name."""
    region, account = place
    return f"durations#{account}:{region}:{cluster_identifier}"


class SourceDurations:
    """What has been observed of one source cluster."""

    def __init__(self, snapshot: FoundSnapshot) -> None:
        self._gib = snapshot.allocated_gib
        self._key = durations_key(Arn.parse(snapshot.arn).place, snapshot.cluster_identifier)
        self._tables: DynamoDBClient = client("dynamodb")
        self._table = environment.text("STATE_TABLE")

    def expected(self) -> dict[str, float]:
        """Return how many seconds each known phase is expected to take with this snapshot."""
        return expectations(self._observed(), self._gib)

    def announced(self) -> list[str]:
        """Return the phases whose end an event of RDS has announced when they were last seen."""
        return [phase for phase, each in _known(self._observed()) if each and each[-1].announced]

    def add(
        self, took: Mapping[str, float], began: dt.datetime, now: dt.datetime, announced: Collection[str] = ()
    ) -> None:
        """Add what an execution, which began at `began`, has seen. Adding it twice has the effect of one.

        `announced`: the phases whose end an event has announced. Two operations that end at once may overwrite each
        other's: one observation less does no harm.
        """
        observed = with_new(self._observed(), took, self._gib, epoch(began), announced)
        item: dict[str, Any] = {
            "phases": attribute(plain(observed)),
            "last_updated": {"S": iso(now)},
            "expires_at": {"N": str(epoch(now + dt.timedelta(days=STATE_DAYS)))},
        }
        self._tables.put_item(TableName=self._table, Item={"operation_id": {"S": self._key}, **item})

    def _observed(self) -> Observations:
        item = read_once(self._table, self._key)
        stored = unstored(value_of(item["phases"])) if item and "phases" in item else {}
        try:
            return msgspec.convert(stored, dict[str, list[Observation]], strict=False)
        except msgspec.ValidationError:
            # Of another version, or changed by hand: it is learned again.
            return {}


def expectations(observed: Observations, gib: int) -> dict[str, float]:
    """Return the median by phase, of the sizes that are like this one where the size matters."""
    found = {phase: _alike(each, gib) if AWAITED_PHASES[phase].by_size else each for phase, each in _known(observed)}
    return {phase: round(median(each.seconds for each in alike), 1) for phase, alike in found.items() if alike}


def with_new(
    observed: Observations, took: Mapping[str, float], gib: int, at: int, announced: Collection[str] = ()
) -> dict[str, list[Observation]]:
    """Return the observations with an execution's new ones, of each phase only the last few."""
    kept = {
        phase: [each for each in before if each.at != at or phase not in took] for phase, before in _known(observed)
    }
    for phase, seconds in took.items():
        if phase in AWAITED_PHASES and seconds > 0:
            new = Observation(seconds=round(seconds, 1), gib=gib, at=at, announced=phase in announced)
            kept[phase] = [*kept.get(phase, []), new]
    return {phase: sorted(each, key=lambda observation: observation.at)[-KEPT:] for phase, each in kept.items()}


def _known(observed: Observations) -> Iterable[tuple[str, list[Observation]]]:
    return [(phase, each) for phase, each in observed.items() if phase in AWAITED_PHASES]


def _alike(observations: list[Observation], gib: int) -> list[Observation]:
    return [each for each in observations if _is_alike(each.gib, gib)]


def _is_alike(one: int, other: int) -> bool:
    smaller, larger = sorted((one, other))
    return smaller <= LARGEST_UNKNOWN_GIB or larger <= ALIKE * smaller
