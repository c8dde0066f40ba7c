"""What the events of RDS say that end a wait: what has ended, or has failed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

import msgspec

from utils.contracts.payloads import Woken
from utils.contracts.phases import FAILURES, phase_named


def announcement(woken: Any, phase: str, since: dt.datetime, awaited: Collection[str] = ()) -> dt.datetime | None:
    """Return when RDS has reported the event that announces the end of a phase; None where it has not since then.

    `awaited`: the instances that are still waited for, if it is these. The event of another one is no news of them.
    """
    ended = _read(woken)
    is_new = ended.at is not None and ended.at > since and ended.event == phase_named(phase).announced_by
    return ended.at if is_new and (not awaited or ended.source in awaited) else None


def reported_failure(woken: Any, since: dt.datetime) -> dt.datetime | None:
    """Return when RDS has reported that something has failed; None where it has not since then."""
    ended = _read(woken)
    is_new = ended.at is not None and ended.at > since and ended.event in FAILURES
    return ended.at if is_new else None


def _read(woken: Any) -> Woken:
    """Return what a wait has ended with. Its caller chooses that, so it is trusted with nothing else."""
    try:
        return msgspec.convert(woken, Woken)
    except msgspec.ValidationError:
        return Woken()
