"""The ways in which a step can fail. The state machine matches these names exactly, so each has one meaning."""

from __future__ import annotations


class RequestRefused(Exception):
    """The request cannot be carried out as it stands; nothing was created, changed or deleted."""


class DuplicateRefused(Exception):
    """The same start came twice, as a schedule's events may. The first one is not affected; this one did nothing."""


class StepFailed(Exception):
    """A retry would not help: a person has to act on what the message says."""


class CapacityShortage(Exception):
    """AWS had no capacity for the cluster or its instances until the deadline; what exists is kept for a resume."""


class MasterLoginRefused(Exception):
    """The new master password does not open the restored cluster; RDS is asked to set it once again."""


class MaskingGateFailed(Exception):
    """The restored data are not masked as the policy requires. The cluster never opens."""


class ChecksFailed(Exception):
    """Checks of the restored cluster did not hold, or could not be run. The cluster does not open."""


class TemporaryFailure(Exception):
    """The same call is expected to succeed soon; the state machine retries it with growing pauses."""


# Their texts are our own, line by line; what others say has passed `foreign_text` before it stands in one.
OWN_ERRORS = (
    CapacityShortage,
    ChecksFailed,
    DuplicateRefused,
    MaskingGateFailed,
    MasterLoginRefused,
    RequestRefused,
    StepFailed,
    TemporaryFailure,
)
