"""Decide what is due with a cluster that expires. Calls nothing; what exists and what is recorded decide alone.

A cluster is deleted only where everything says so: the register and what the operation has recorded, by the resource
id, its tags, its name, and the clock. What somebody has changed since is taken as a wish to keep it, which is
reported. A cluster that another one has replaced is proved by that swap instead of by the operation that restored it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from enum import Enum

from msgspec import Struct

from utils.aurora_utils.door import is_door_shut
from utils.aurora_utils.ownership import was_made_by, why_not_own_cluster, why_protected
from utils.aurora_utils.replication import global_membership, replicas_fed
from utils.aurora_utils.resources import (
    EXPIRY_TAG,
    OPERATION_TAG,
    REPLACEABLE_TAG,
    ROLE_TAG,
    Cluster,
    Instance,
)
from utils.contracts.expiry import KeptKind, WhyKept
from utils.contracts.plan import ReplacedDeletion
from utils.contracts.swap import SwapRecord
from utils.foreign_text import MAX_TAG_SHOWN, one_line
from utils.preflight.deletion import why_stopped
from utils.state.expiry import ExpiringCluster, expiry_text
from utils.state.maker import has_given_protection
from utils.state.operation import OperationRecord

# A warning comes so long before, or a quarter of the cluster's time where that is less.
LONGEST_NOTICE = dt.timedelta(hours=24)
PART_OF_ITS_TIME = 4
# A deletion that was asked for and has begun is carried on with for so long, should a call of it fail.
ASKED_LATELY = dt.timedelta(hours=24)
# How much of the notice there has to be between a warning that came late and the deletion.
LEAST_PART_OF_NOTICE = 2
_NO_LONGER_ALLOWED = WhyKept("was not created by this stack, whose AllowDeletionOfReplaced is false now")


class ExpiryAction(Enum):
    """What can be due with a cluster. What changes something in RDS or its secrets needs the target's lock."""

    NOTHING = "nothing"
    WARN = "warn"
    KEEP = "keep"
    FORGET = "forget"
    SWITCH_PROTECTION_OFF = "switch-protection-off"
    DELETE = "delete"
    WAIT = "wait"
    FINISH = "finish"

    @property
    def needs_lock(self) -> bool:
        """Return whether it changes what exists of the target."""
        return self in (ExpiryAction.SWITCH_PROTECTION_OFF, ExpiryAction.DELETE, ExpiryAction.WAIT, ExpiryAction.FINISH)


class ExpiryDue(Struct, frozen=True, kw_only=True):
    """Which action is due, why a cluster is kept, and when it expires as far as that is known."""

    action: ExpiryAction
    reason: WhyKept | None = None
    expires_at: str = ""

    @property
    def why(self) -> str:
        """Return why the cluster is kept, as a clause about it; nothing where it is not."""
        return self.reason.clause if self.reason is not None else ""


def decide(
    entry: ExpiringCluster,
    record: OperationRecord | None,
    cluster: Cluster | None,
    instances: Sequence[Instance],
    now: dt.datetime,
    swap: SwapRecord | None = None,
    *,
    asked: bool = False,
    lets_others_go: bool = False,
) -> ExpiryDue:
    """Return what is due with a registered cluster. `cluster` is the one with its resource id, under any name.

    `swap` is what the operation has recorded of its swap, where it has replaced the cluster. `asked`: a person asks for
    its deletion now. That takes the place of the clock and of the warning, and of nothing else: where somebody has
    extended the cluster's time, it stays. `lets_others_go`: the stack allows that a replaced cluster goes which it did
    not create.
    """
    if cluster is None:
        action = ExpiryAction.FORGET if entry.deletion_began_at is None else ExpiryAction.FINISH
        return ExpiryDue(action=action, reason=WhyKept("no longer exists"))
    if cluster.is_being_deleted:
        action = ExpiryAction.NOTHING if entry.deletion_began_at is None else ExpiryAction.WAIT
        return ExpiryDue(action=action, reason=WhyKept("is being deleted already"))
    if record is None:
        return _kept("no longer has a record of its operation in the stack's state table")
    if record.is_swapping or cluster.tags.get(ROLE_TAG) == "swapping":
        return ExpiryDue(action=ExpiryAction.NOTHING, reason=WhyKept("takes part in a swap at this moment"))
    if other := _why_not_restored(record, cluster) if entry.replaced is None else _why_not_replaced(swap, cluster):
        return _kept(other)
    recorded = record.cluster_expires_at if entry.replaced is None else entry.replaced.expires_at
    if recorded is None:
        return _kept("is not recorded to expire: its operation ended before it could record that")
    tagged = tagged_expiry(cluster)
    if tagged is None:
        return _kept(_about_tag(cluster), KeptKind.NO_MOMENT)
    notice = notice_of(entry.hours)
    expires = max(tagged, dt.datetime.fromisoformat(recorded))
    is_extended = tagged > dt.datetime.fromisoformat(recorded)
    if (asked or _was_asked(entry, now)) and is_extended:
        return _kept(f"has been extended by its tag {EXPIRY_TAG} until {expiry_text(tagged)}", KeptKind.EXTENDED)
    why = why_kept(entry, record, cluster, instances)
    if why is None and (deletion := entry.deletion_of_others) is not None:
        why = why_others_stay(deletion, record, cluster, instances) if lets_others_go else _NO_LONGER_ALLOWED
    if asked or _was_asked(entry, now):
        return _at_its_end(cluster, why, expiry_text(min(now, expires)))
    if entry.superseded_at is not None and not is_extended:
        # Nobody has asked for more time, and a newer one is kept: this one goes as soon as people were warned.
        expires = min(expires, dt.datetime.fromisoformat(entry.superseded_at) + notice / LEAST_PART_OF_NOTICE)
    text = expiry_text(expires)
    if now < expires - notice:
        return ExpiryDue(action=ExpiryAction.NOTHING, expires_at=text)
    if why is not None:
        return ExpiryDue(action=ExpiryAction.KEEP, reason=why, expires_at=text)
    if entry.warned_of != text or entry.warned_at is None:
        return ExpiryDue(action=ExpiryAction.WARN, expires_at=text)
    warned = dt.datetime.fromisoformat(entry.warned_at)
    if now < max(expires, warned + notice / LEAST_PART_OF_NOTICE):
        return ExpiryDue(action=ExpiryAction.NOTHING, expires_at=text)
    return _at_its_end(cluster, why, text)


def _at_its_end(cluster: Cluster, why: WhyKept | None, text: str) -> ExpiryDue:
    """Return what is due with a cluster whose time is over. `why`: it is kept all the same."""
    if why is not None:
        return ExpiryDue(action=ExpiryAction.KEEP, reason=why, expires_at=text)
    return ExpiryDue(
        action=ExpiryAction.SWITCH_PROTECTION_OFF if cluster.deletion_protection else ExpiryAction.DELETE,
        expires_at=text,
    )


def _was_asked(entry: ExpiringCluster, now: dt.datetime) -> bool:
    """Return whether a person has asked for the deletion, so lately that sweeps still carry on with it.

    A cluster that a sweep has found to be kept meanwhile, by a tag that was then removed, expires when it would have.
    """
    return entry.asked_at is not None and now - dt.datetime.fromisoformat(entry.asked_at) < ASKED_LATELY


def why_kept(
    entry: ExpiringCluster, record: OperationRecord, cluster: Cluster, instances: Sequence[Instance]
) -> WhyKept | None:
    """Return why a cluster is kept although it expires; None where it may be deleted."""
    maker = cluster.tags.get(OPERATION_TAG, "")
    strange = [each.identifier for each in instances if not was_made_by(each, maker)]
    if entry.is_left_to_its_owner:
        return WhyKept("is not recorded as created by this stack, which deletes nothing of others")
    if cluster.identifier != entry.cluster_identifier:
        return WhyKept(f"was renamed from {entry.cluster_identifier} to {cluster.identifier}")
    if (why := why_protected(cluster, instances)) is not None:
        return WhyKept(why)
    if cluster.deletion_protection and not _had_protection(entry, record):
        return WhyKept("has deletion protection, which the pipeline did not give it", KeptKind.DELETION_PROTECTION)
    if strange and entry.deletion_of_others is None:
        return WhyKept(f"has instances that the pipeline did not create: {', '.join(strange)}")
    if (tied := global_membership(cluster) or replicas_fed(cluster)) is not None:
        return WhyKept(tied)
    if (why := why_stopped(cluster)) is not None:
        return WhyKept(why, KeptKind.STOPPED)
    return None


def why_others_stay(
    deletion: ReplacedDeletion, record: OperationRecord, cluster: Cluster, instances: Sequence[Instance]
) -> WhyKept | None:
    """Return why a cluster that others created is kept although its deletion was asked for; None where it may go.

    Who may be in it cannot be seen from outside. So it has to be as the swap has left it, with nobody let in.
    """
    added = [each.identifier for each in instances if each.identifier not in deletion.instance_identifiers]
    if added:
        return WhyKept(f"has instances that were added since it was replaced: {', '.join(added)}")
    untagged = [each.identifier for each in (cluster, *instances) if each.tags.get(REPLACEABLE_TAG) != "true"]
    if untagged:
        return WhyKept(f"no longer has its owner's tag {REPLACEABLE_TAG} = true on {', '.join(untagged)}")
    if not is_door_shut(cluster, record.door_group_id):
        groups = ", ".join(cluster.security_groups.ids)
        return WhyKept(f"is in the security groups {groups}, not behind the stack's door alone: somebody may use it")
    if cluster.settings.value("data_api"):
        return WhyKept("has its Data API on, which its replacement had switched off: somebody may use it")
    return None


def _why_not_restored(record: OperationRecord, cluster: Cluster) -> str | None:
    """Return why a cluster is not the one that its operation has restored to expire, as a clause about it."""
    if (why := why_not_own_cluster(cluster, record)) is not None:
        return why
    if record.cluster_resource_id is None:
        return "is not recorded to expire: its operation ended before it could record that"
    return f"has the tag {ROLE_TAG} = {cluster.shown_role}" if ROLE_TAG in cluster.tags else None


def _why_not_replaced(swap: SwapRecord | None, cluster: Cluster) -> str | None:
    """Return why a cluster is not one that a swap has replaced, as a clause about it; None where it is."""
    if swap is None or swap.old.resource_id != cluster.resource_id:
        return "is not recorded as the one that its operation has replaced"
    if swap.end != "forward" or swap.committed_at is None:
        return "was not replaced after all: the swap was turned back"
    if not cluster.is_previous:
        return f"no longer has the tag {ROLE_TAG} = previous, which is {cluster.shown_role}"
    if cluster.identifier not in swap.old.other_names:
        return f"is called {cluster.identifier}, which the pipeline does not call a replaced cluster"
    return None


def _had_protection(entry: ExpiringCluster, record: OperationRecord) -> bool:
    """Return whether the deletion protection is the planned one, which its expiry may switch off."""
    if entry.replaced is not None:
        return entry.replaced.deletion_protection
    return has_given_protection(record)


def tagged_expiry(cluster: Cluster) -> dt.datetime | None:
    """Return the moment that the cluster's tag says; None where there is none, or it is not a moment with its zone."""
    try:
        moment = dt.datetime.fromisoformat(cluster.tags.get(EXPIRY_TAG, ""))
        return None if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None


def notice_of(hours: int) -> dt.timedelta:
    """Return how long before the end a warning comes, of a cluster that exists for so many hours."""
    return min(LONGEST_NOTICE, dt.timedelta(hours=hours) / PART_OF_ITS_TIME)


def _about_tag(cluster: Cluster) -> str:
    if EXPIRY_TAG not in cluster.tags:
        return f"no longer has a tag {EXPIRY_TAG}"
    shown = one_line(cluster.tags[EXPIRY_TAG], MAX_TAG_SHOWN)
    return f"has the tag {EXPIRY_TAG} = {shown!r}, which is no moment in UTC such as 2026-12-04T14:00:00Z"


def _kept(why: str, kind: KeptKind = KeptKind.OTHER) -> ExpiryDue:
    return ExpiryDue(action=ExpiryAction.KEEP, reason=WhyKept(why, kind))
