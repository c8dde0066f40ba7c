"""The geometry of the pages' pictures, in whole units of their view boxes. Their texts are HTML beside them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from utils.contracts.evidence import Evidence, IndexEntry, Objective, TimelineEntry

WIDTH = 1_000
HEIGHT = 200
# Dots at the edges are not cut.
_MARGIN = 12
# A phase of a second is still seen beside one of hours.
_THINNEST = 4


class Bar(Struct, frozen=True, kw_only=True):
    """A phase of the timeline with its place in a picture that is `WIDTH` wide."""

    entry: TimelineEntry
    x: int
    width: int
    seconds: int


class Mark(Struct, frozen=True, kw_only=True):
    """A value's place in a plot. `held` is that of its objective: None where it has no target."""

    x: int
    y: int
    held: bool | None


class Plot(Struct, frozen=True, kw_only=True):
    """Values over time, a line for each target, and what the axes say beside the picture.

    `missed` of `aimed` values, which are those that have a target, are beyond it.
    """

    marks: list[Mark]
    lines: list[int]
    targets: list[int]
    top: int
    first: dt.datetime
    last: dt.datetime
    latest: int
    longest: int
    aimed: int
    missed: int


def bars(evidence: Evidence) -> list[Bar]:
    """Return the phases as bars on one scale, from the first beginning to the last end."""
    entries = evidence.timeline
    if not entries:
        return []
    start = min(entry.began_at for entry in entries)
    ends = [entry.ended_at or max(evidence.ended_at, entry.began_at) for entry in entries]
    whole = max((max(ends) - start).total_seconds(), 1)
    return [_bar(entry, end, start, whole) for entry, end in zip(entries, ends, strict=True)]


def _bar(entry: TimelineEntry, end: dt.datetime, start: dt.datetime, whole: float) -> Bar:
    seconds = max((end - entry.began_at).total_seconds(), 0)
    width = max(round(seconds / whole * WIDTH), _THINNEST)
    x = min(round((entry.began_at - start).total_seconds() / whole * WIDTH), WIDTH - width)
    return Bar(entry=entry, x=x, width=width, seconds=round(seconds))


def plot(entries: Iterable[IndexEntry], which: Literal["rpo", "rto"]) -> Plot | None:
    """Return the plot of one objective over the operations that have a value of it; None where none has."""
    points = [
        (entry.started_at, actual, Objective(target=target, actual=actual))
        for entry in sorted(entries, key=lambda entry: (entry.started_at, entry.sequence))
        for actual, target in [_measured(entry, which)]
        if actual is not None
    ]
    if not points:
        return None
    actuals = [actual for _, actual, _ in points]
    aims = [aim.target for _, _, aim in points if aim.target is not None]
    # A tenth above the highest, so that nothing touches the frame.
    top = max(*actuals, *aims, 1) * 11 // 10 + 1
    first, last = points[0][0], points[-1][0]
    return Plot(
        marks=[Mark(x=_across(at, first, last), y=_height(actual, top), held=aim.held) for at, actual, aim in points],
        lines=[_height(aim, top) for aim in sorted({*aims})],
        targets=sorted({*aims}),
        top=top,
        first=first,
        last=last,
        latest=actuals[-1],
        longest=max(actuals),
        aimed=len(aims),
        missed=sum(aim.held is False for _, _, aim in points),
    )


def _measured(entry: IndexEntry, which: Literal["rpo", "rto"]) -> tuple[int | None, int | None]:
    if which == "rpo":
        return entry.rpo_seconds, entry.rpo_target
    return entry.rto_seconds, entry.rto_target


def _across(at: dt.datetime, first: dt.datetime, last: dt.datetime) -> int:
    whole = (last - first).total_seconds()
    if not whole:
        return WIDTH // 2
    return _MARGIN + round((at - first).total_seconds() / whole * (WIDTH - 2 * _MARGIN))


def _height(seconds: int, top: int) -> int:
    return HEIGHT - round(max(seconds, 0) / top * HEIGHT)
