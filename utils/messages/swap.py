"""What people read about a swap: what it does, where both clusters are when it did not end well, and who has to act."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from utils.aurora_utils.door import is_door_shut
from utils.aurora_utils.resources import ROLE_TAG, Cluster, Instance
from utils.contracts.plan import ReplacedCluster
from utils.contracts.swap import SwapRecord
from utils.messages.expiry import spoken
from utils.state.expiry import expiry_text


class ReplacedNow(Struct, frozen=True):
    """The cluster that was replaced, as RDS has it after the swap: the name that it has, None where it is gone.

    `costs`: what it costs in an hour, as a predicate, where RDS has reported its instances. `is_previous`: it is tagged
    as what the expiry may delete. `undone`: what AWS has refused, and the swap has ended without. `in_doubt`: how many
    clients were at work when their session was ended. `prepared_transactions`: how many it had then.
    """

    identifier: str | None
    costs: str = ""
    is_previous: bool = True
    undone: tuple[str, ...] = ()
    in_doubt: int = 0
    prepared_transactions: int = 0


class TargetNow(Struct, frozen=True, kw_only=True):
    """Who has the target's name, and both clusters of its swap, as RDS describes them; None where it shows none.

    `restored` is the cluster that is to have the name: that of a rollback was kept. `door_group` lets only the pipeline
    in. `committed_at` is when the door of the restored one was opened, and `because` why the swap was turned back, if
    that has happened.
    """

    holder: Cluster | None
    replaced_id: str
    restored_id: str
    replaced: Cluster | None
    restored: Cluster | None
    replaced_members: list[Instance]
    door_group: str
    committed_at: dt.datetime | None = None
    because: str = ""
    undone: tuple[str, ...] = ()


def where_both_are(target: str, now: TargetNow) -> Iterator[str]:
    """Yield which cluster the name leads to and whether it is open, then the same of the two that have not the name."""
    of_operation = {
        now.replaced_id: "the cluster that it led to before this operation",
        now.restored_id: "the cluster that this operation gives the name to",
    }
    if now.holder is None:
        yield f"No cluster is called {target} now."
    elif now.holder.resource_id in of_operation:
        yield f"{target} leads to {of_operation[now.holder.resource_id]}: {_as_it_is(now.holder, now)}."
    else:
        yield f"{target} is now the name of another cluster, which was left alone: {now.holder.resource_id}."
    for resource_id, cluster in ((now.replaced_id, now.replaced), (now.restored_id, now.restored)):
        if cluster is None:
            yield f"Cluster {resource_id}, {of_operation[resource_id]}, is gone."
        elif now.holder is None or now.holder.resource_id != resource_id:
            yield f"{cluster.identifier} is {of_operation[resource_id]}: {_as_it_is(cluster, now)}."


def what_is_lost(end: str | None, now: TargetNow) -> Iterator[str]:
    """Yield how a swap has ended, and whether anything is lost that clients have written; nothing before its end."""
    opened = f"{now.committed_at:%Y-%m-%d %H:%M} UTC" if now.committed_at is not None else ""
    if end == "forward" and opened:
        yield f"The swap was finished forward: from {opened} on, clients may have written to the cluster with the name."
    elif end == "back" and now.replaced is not None:
        yield f"The swap was turned back: {now.because or 'one of its steps has failed, or its execution was stopped'}."
        if opened:
            yield f"Clients may have written to {now.restored_id} from {opened} on: that data is gone with the cluster."
        else:
            yield f"Nobody but the pipeline was let into {now.restored_id}: nothing that clients have written is lost."

    if end is not None:
        yield from undone_sentences(now)


def _as_it_is(cluster: Cluster, now: TargetNow) -> str:
    is_shut = is_door_shut(cluster, now.door_group)
    door = "its door is shut" if is_shut else f"its door is open ({', '.join(cluster.security_groups.ids)})"
    return f"{cluster.resource_id}, {cluster.status}, {door}"


def fence_line(target: str, replaced: ReplacedCluster) -> str:
    """Return the line of a plan that takes the clients out of the cluster which has the target's name at present."""
    ended = "end every session" if replaced.login_version_id else "restart every instance, which ends every session,"
    return (
        f"shut the door of the present {target} ({replaced.resource_id}), {ended}, and prove that nobody is left in "
        "it. From here on its clients are locked out for some minutes"
    )


def planned_end(kept: ReplacedCluster) -> str:
    """Return what becomes of a cluster once it was kept for as long as the plan says, as a clause."""
    if kept.why_it_stays:
        return f"and is not deleted then, because {kept.why_it_stays}"
    if kept.deletion is not None:
        final = kept.deletion.final_snapshot_identifier
        return f"then DELETED, although the pipeline did not create it, after a final snapshot {final}, as asked"
    also = "after its deletion protection is switched OFF, " if kept.protection_is_ours else ""
    return f"then DELETED {also}WITHOUT a final snapshot"


def end_of_kept(kept: ReplacedCluster, replaced_at: str, now: ReplacedNow | None) -> str:
    """Return until when a cluster is kept that was replaced at that moment, as a clause."""
    untagged = "" if now is None or now.is_previous else f"its tag {ROLE_TAG} is not previous"
    if why := kept.why_it_stays or untagged:
        return f"and is not deleted by the pipeline, because {why}"
    until = dt.datetime.fromisoformat(replaced_at) + dt.timedelta(hours=kept.keep_hours)
    final = f", with a final snapshot {kept.deletion.final_snapshot_identifier}" if kept.deletion is not None else ""
    return f"and is deleted after {spoken(expiry_text(until))}{final}"


# What a swap may end without, by its action or setting (utils/steps/swap.py, DISPENSABLE; swap_observed.py, DATA_API).
_UNDONE = {
    "move-label": "make the live cluster's login the current version of its admin secret: move its label AWSCURRENT "
    "by hand",
    "set-roles": f"set the tags {ROLE_TAG} of the two clusters: give the one that has the name the value live by hand",
    "data-api": "enable the Data API of the live cluster: enable it by hand",
}


def undone_sentences(now: ReplacedNow | TargetNow | None) -> Iterator[str]:
    """Yield what a swap has ended without, and what a person has to do."""
    for what in now.undone if now is not None else ():
        yield f"The swap has ended, but AWS has refused to {_UNDONE.get(what, what)}."


def fence_sentences(now: ReplacedNow | None) -> Iterator[str]:
    """Yield what the end of its clients' sessions has left open in the cluster that was replaced."""
    if now is None or now.identifier is None:
        return
    if now.in_doubt:
        yield (
            f"Sessions at work that were ended when the name was taken: {now.in_doubt}. Whether their last transaction "
            f"was committed can be seen only in {now.identifier}."
        )
    if now.prepared_transactions:
        yield (
            f"Prepared transactions in {now.identifier}: {now.prepared_transactions}. They hold their locks, also once "
            "it has its name back, until somebody commits them or rolls them back (pg_prepared_xacts)."
        )


# By the action of the decision table (utils/steps/swap.py, SwapAction) or the errand (swap_step.py, ErrandKind).
_DOINGS = {
    "look-again": "a second look at both clusters",
    "wait": "what AWS is doing with the clusters",
    "choose-end": "the record of how the swap is to end",
    "turn-back": "the record that the swap is turned back",
    "commit": "the record that the swap is only finished forward from now on",
    "start": "the start of {name}",
    "tag-as-swapping": "the tag that marks {name} as swapping",
    "disable-data-api": "the call that disables the Data API of {name}",
    "shut-door": "the change that shuts the door of {name}",
    "end-sessions": "the end of all client sessions on {name}",
    "reboot-members": "the restart of {name}'s instances",
    "rename": "the rename of {name} to {new_name}",
    "stop": "the stop of {name}",
    "prove": "the proof that the target's name leads to {name}",
    "look-at-certificates": "the reading of {name}'s certificates",
    "move-label": "the secret's current version, which has to be the login of {name}",
    "set-roles": "the tags that say which cluster is live",
    "open-door": "the change that opens the door of {name}",
    "restore-setting": "the settings that {name} had before",
}


def doing(action: str, name: str, new_name: str = "") -> str:
    """Return what a swap does or waits for, as a noun with its article. `name` is what the cluster is called now."""
    return _DOINGS.get(action, action).format(name=name or "the cluster", new_name=new_name)


# By the decision table's reason for turning back or failing (utils/steps/swap.py, Reason).
_WHY = {
    "stranger": "another cluster has taken the name",
    "no-free-name": "both names that were to be given to the other cluster are taken",
    "time-is-up": "it did not come to its end in time",
    "refused": "AWS has refused one of its calls for good",
    "broken": "a cluster is in a status from which it does not return",
    "stale-certificate": "a certificate still lacks the name after both kinds of restart",
    "not-proven": "the name did not lead to the restored cluster",
    "groups-unknown": "the security groups of the replaced cluster are not known",
    "new-deleted": "the restored cluster was deleted by somebody else",
}


def why(reason: str | None) -> str:
    """Return a reason of the decision table as a clause."""
    return _WHY.get(reason or "", "it failed")


def turned_back(record: SwapRecord, because: str, doubts: Sequence[str] = ()) -> str:
    """Return that the target is as it was before, and what clients may meet nevertheless."""
    reached = " ".join(doubts) or "Clients reach it as before."
    then = (
        "Start a new operation."
        if "new" in record.gone
        else "Fix the cause, then resume this operation, or start a new one."
    )
    lost = "Nothing that was written to it is lost."
    if record.committed_at is not None:
        lost += f" What was written to {record.new.resource_id} after {record.committed_at:%Y-%m-%d %H:%M} UTC is gone."
    return (
        f"{record.live_name} was not replaced: {because}. The cluster that it was ({record.old.resource_id}) has its "
        f"name again, and its door is open. {reached} {lost} {then}"
    )


def doubts_of_old(record: SwapRecord, *, certificate_has_name: bool | None, restarted: bool) -> Iterator[str]:
    """Yield what did not keep the door of the replaced cluster shut on the way back, and clients may notice."""
    if certificate_has_name is False:
        yield (
            "The certificates of its instances lack the name, also after both kinds of restart: clients with "
            "sslmode=verify-full are refused. Stop and start it once more, and ask AWS Support if that does not help."
        )
    elif restarted:
        yield "Its instances were restarted, which gave their certificates the name back."
    if record.proven != "old":
        yield f"That {record.live_name} leads to it was not proved: connect to it by that name."
    elif certificate_has_name is not False:
        yield "Clients reach it as before."


def failed(reason: str | None, record: SwapRecord, holders: Mapping[str, str]) -> str:
    """Return that the swap has stopped, with the names that both clusters have, and what to do."""
    names = {resource_id: name for name, resource_id in holders.items()}
    old, new = (
        f"is now called {names[each.resource_id]}" if each.resource_id in names else "no longer exists"
        for each in (record.old, record.new)
    )
    if reason == "nothing-left":
        return (
            f"The swap of {record.live_name} has ended without either cluster: both ({record.old.resource_id}, "
            f"{record.new.resource_id}) were deleted by somebody else. Find out by whom (CloudTrail, DeleteDBCluster). "
            "Then start a new operation without replace_target: the name is free."
        )
    committed = record.committed_at is not None
    state = (
        "Its data may have been written to since, so it is not turned back."
        if committed
        else "Nobody was let into the restored cluster."
    )
    return (
        f"The swap of {record.live_name} cannot be finished: {why(reason)}. The cluster that was replaced "
        f"({record.old.resource_id}) {old}, the restored one ({record.new.resource_id}) {new}. {state} "
        "Look at both in RDS and at the events of this operation in the audit table. Once the cause is fixed, resume "
        "the operation, which finishes the swap."
    )
