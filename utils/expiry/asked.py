"""The input of a sweep that a person has started to have one cluster deleted before its time.

Anybody who may start the machine writes it, so nothing of it is trusted: it has to name an operation and the cluster of
it that is registered to expire, and every proof of its deletion stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from utils.errors import RequestRefused
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.names import MAX_IDENTIFIER
from utils.state.expiry import ExpiringCluster

FIELD = "expire"
_FORM = f'Give {{"{FIELD}": {{"operation_id": "...", "cluster": "..."}}}}, or start without an input.'


class AskedExpiry(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cluster that is to be deleted now: its name, and the operation under which it is registered."""

    operation_id: str
    cluster: str


class _Input(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    expire: AskedExpiry


def read_asked(given: object) -> AskedExpiry | None:
    """Return which cluster the input of a sweep names; None where it does not ask for any.

    Raise RequestRefused where it asks for one and cannot be understood: then nothing at all is done.
    """
    if not isinstance(given, dict) or FIELD not in given:
        return None
    try:
        return msgspec.convert(given, _Input).expire
    except msgspec.ValidationError as error:
        raise RequestRefused(f"{FIELD}: {one_line(error, MAX_SENTENCE)}. Nothing was deleted. {_FORM}") from None


def registered(asked: AskedExpiry, entries: Sequence[ExpiringCluster]) -> ExpiringCluster | None:
    """Return the entry of the cluster that was named; None where no such cluster is registered to expire."""
    for entry in entries:
        if (entry.operation_id, entry.cluster_identifier) == (asked.operation_id, asked.cluster):
            return entry
    return None


def refused(asked: AskedExpiry, why: str) -> RequestRefused:
    """Return the refusal that names the cluster and says, as a clause about it, why it is not deleted now."""
    cluster, operation = one_line(asked.cluster, MAX_IDENTIFIER), one_line(asked.operation_id)
    return RequestRefused(f"{FIELD}: cluster {cluster!r} of operation {operation!r} {why}. Nothing was deleted.")
