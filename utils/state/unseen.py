"""What RDS does not show at one look, and may exist all the same: its answers are eventually consistent.

So one look proves no absence. What a look misses is looked for again, and is gone where a second look, far enough after
the first, misses it as well. The record keeps since when a thing has not been shown, until a look shows it. A step that
cannot look again claims nothing, changes nothing, and says what a person has to look at.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from utils.state.operation import OperationRecord, OperationState
from utils.state.values import iso

# Between two looks that have to agree. RDS may describe a cluster late, and a call that was lost may still arrive.
APART = dt.timedelta(seconds=60)
PAUSE_SECONDS = round(APART.total_seconds())


def are_apart(first: dt.datetime, second: dt.datetime) -> bool:
    """Return whether two looks that agree are far enough apart to be believed."""
    return second - first >= APART


def is_gone(record: OperationRecord, what: str, now: dt.datetime) -> bool:
    """Return whether what a look misses now was missed before by another, long enough ago, and not shown since."""
    first = record.unseen.get(what)
    return first is not None and are_apart(dt.datetime.fromisoformat(first), now)


def note_looks(
    state: OperationState, record: OperationRecord, *, missed: Collection[str] = (), shown: Collection[str] = ()
) -> None:
    """Note for the step's next write what this look has missed, and forget what it has shown.

    Where nothing was missed lately there is nothing to write. One step may call it once.
    """
    unseen = {what: since for what, since in record.unseen.items() if what not in shown}
    unseen = dict.fromkeys(missed, iso(state.now)) | unseen
    if unseen != record.unseen:
        state.note(unseen=unseen)


def name_of_cluster(record: OperationRecord, target_cluster_id: str) -> str:
    """Return by what the operation's cluster is remembered: its resource id, and its name until that is known."""
    return record.cluster_resource_id or record.named(target_cluster_id)
