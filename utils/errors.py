"""The ways a step can end badly. The state machine matches these names exactly, so each has one meaning."""

from __future__ import annotations


class RequestRefused(Exception):
    """The request can't be carried out as it stands; nothing was created, changed or deleted."""


class DuplicateRefused(Exception):
    """The same start has come twice, as a schedule's events may. The first run goes on; this one did nothing at all."""


class StepFailed(Exception):
    """Trying again won't help: a person has to act on what the message says."""


class CapacityShortage(Exception):
    """AWS had no room for the cluster or its instances until the deadline; what exists is kept for a resume."""


class MasterLoginRefused(Exception):
    """The new master password doesn't open the restored cluster; RDS is asked once more to set it."""


class TemporaryFailure(Exception):
    """The same call is expected to succeed soon; the state machine tries it again with growing pauses."""
