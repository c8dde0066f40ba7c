"""Why a cluster that is registered to expire is not deleted at a look, as the decision hands it to the message."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class KeptKind(Enum):
    """What kind of reason it is: what a person can do about a cluster of the stack's own follows from it."""

    EXTENDED = "extended"
    # Its tag is gone, or says no moment.
    NO_MOMENT = "no-moment"
    STOPPED = "stopped"
    # It has deletion protection that the pipeline did not give it.
    DELETION_PROTECTION = "deletion-protection"
    OTHER = "other"


class WhyKept(Struct, frozen=True):
    """Why it stays, as a clause about the cluster, which is for people: nothing is decided by its words."""

    clause: str
    kind: KeptKind = KeptKind.OTHER
