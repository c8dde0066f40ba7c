"""When the restored cluster expires, and why a request for that cannot be granted."""

from __future__ import annotations

from collections.abc import Iterator

from utils import environment
from utils.request.fields import RestoreRequest
from utils.request.reading import said_by


def plan_expiry(request: RestoreRequest) -> int | None:
    """Return for how many hours the cluster exists after its door opened; None where it never expires.

    A cluster whose source is deleted never does: it is the only one left. Nor does one that replaces its target: what
    it has replaced does.
    """
    return None if request.delete_source or request.replace_target else request.expires_after_hours or None


def expiry_problems(request: RestoreRequest) -> Iterator[str]:
    """Yield why the cluster cannot expire as the request says."""
    hours = request.expires_after_hours
    if not hours:
        return
    if request.delete_source and said_by(request, "expires_after_hours") == "request":
        yield (
            f"expires_after_hours: {hours} is given, and delete_source is true: after both deletions nothing would be "
            "left of the data. Drop one of them."
        )
    elif plan_expiry(request) is not None and not environment.optional("EXPIRY_SCHEDULE"):
        yield (
            f"expires_after_hours: {hours} is given, and the stack's ExpirySchedule is empty, so nothing would delete "
            "the cluster. Set the stack's ExpirySchedule, or omit expires_after_hours and set ExpiresAfterHours to 0."
        )
