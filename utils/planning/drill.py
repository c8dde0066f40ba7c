"""A drill: the cluster is restored to prove that it can be, and deleted again. Nobody is let in.

What a drill is leaves no choice in some fields: a request that says otherwise is refused, and the stack's defaults for
other operations do not count. Without a verification policy it has the built-in checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from utils.contracts.verification_policies import BASIC
from utils.request.fields import RestoreRequest
from utils.request.reading import said_by

# What each field is in a drill, and why it can be nothing else.
IN_A_DRILL: dict[str, tuple[Any, str]] = {
    "replace_target": (False, "a drill replaces nothing"),
    "delete_replaced": (False, "a drill replaces nothing"),
    "delete_source": (False, "a drill deletes nothing but what it has created"),
    "archive_snapshot": ("delete", "a drill leaves nothing behind"),
    "on_failure": ("clean_up", "a drill's cluster is deleted in any case"),
    "deletion_protection": (False, "a drill's cluster is deleted at its end"),
    "data_api": (False, "a drill lets nobody in"),
    "expires_after_hours": (0, "a drill's cluster is deleted at its end"),
}


def drill_problems(request: RestoreRequest) -> Iterator[str]:
    """Yield what a request asks for beside a drill that no drill can be."""
    for name, (value, why) in IN_A_DRILL.items():
        given = getattr(request, name)
        if given not in (None, value) and said_by(request, name) == "request":
            yield f"{name}: {given!r} is given, and drill is true: {why}. Drop one of them."


def as_drill(request: RestoreRequest) -> RestoreRequest:
    """Return the request of a drill with what follows from that. What it proves, checks of the data prove."""
    fixed = {name: value for name, (value, _) in IN_A_DRILL.items()}
    return replace(request, **fixed, verification=request.verification or BASIC)
