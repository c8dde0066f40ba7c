"""Both clusters of a swap as they are at one moment: what RDS describes, and what was found from within the VPC."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import get_args

from msgspec import Struct, field
from msgspec.structs import replace

from utils.aurora_utils import AuroraReader
from utils.aurora_utils.door import door_of
from utils.aurora_utils.resources import ROLE_TAG, Cluster, Instance
from utils.contracts.payloads import SwapTask
from utils.contracts.swap import Door, ObservedCluster, Role, Side, Status, SwapObserved, VersionOwner
from utils.logins.master import AdminSecret
from utils.state.swap import NameSeen, StoredSwap, Within

SIDES: tuple[Side, Side] = ("old", "new")
DATA_API = "data-api"


class Seen(Struct, frozen=True):
    """One of the two clusters as RDS describes it, by its resource id; `cluster` is None where RDS shows none.

    Then `deletion_reported` is whether RDS has an event of its deletion, under the name that it had.
    """

    cluster: Cluster | None = None
    instances: list[Instance] = field(default_factory=list)
    deletion_reported: bool = False

    @property
    def members(self) -> list[str]:
        """Return the names of its members, sorted."""
        return sorted(self.cluster.member_identifiers) if self.cluster is not None else []

    @property
    def is_available(self) -> bool:
        """Return whether it and all its members can be used and changed."""
        return self.cluster is not None and _status(self.cluster, self.instances) == "available"


class View(Struct, frozen=True):
    """Both clusters, and who has which name of the region's."""

    seen: Mapping[Side, Seen]
    holders: dict[str, str]

    def of(self, side: Side) -> Seen:
        """Return one of the two."""
        return self.seen[side]


def look(swap: StoredSwap, aurora: AuroraReader) -> View:
    """Describe both clusters and the names, all clusters in one call: two calls could show two moments."""
    found = aurora.clusters()
    by_id = {each.resource_id: each for each in found}
    seen: dict[Side, Seen] = {}
    for side in SIDES:
        cluster = by_id.get(swap.record.of(side).resource_id)
        if cluster is not None:
            seen[side] = Seen(cluster, aurora.instances_of(cluster.identifier))
        else:
            named = swap.named.get(side)
            gone = named is not None and aurora.deletion_reported(named.name, named.since)
            seen[side] = Seen(deletion_reported=gone)
    return View(seen, {each.identifier: each.resource_id for each in found})


class Wanted(Struct, frozen=True):
    """What is known of one of the clusters by the plan: its login's version, and whether it is to have a Data API."""

    login_version_id: str | None
    data_api: bool


def wanted_by(task: SwapTask, restored_resource_id: str) -> Mapping[Side, Wanted]:
    """Return what the plan says of both. A restored cluster's Data API is left to the step that opens it."""
    replaces, rolls_back = task.replaces, task.rolls_back
    new = (
        Wanted(AdminSecret.version_for(restored_resource_id), data_api=False)
        if rolls_back is None
        else Wanted(rolls_back.login_version_id, data_api=task.cluster.data_api)
    )
    return {"old": Wanted(replaces.login_version_id, data_api=replaces.data_api), "new": new}


def observed(
    view: View, swap: StoredSwap, wanted: Mapping[Side, Wanted], door_group: str, current_version: VersionOwner
) -> SwapObserved:
    """Return what the decision table asks of both."""
    described = {side: _described(side, view.of(side), swap, wanted[side], door_group) for side in SIDES}
    return SwapObserved(
        old=described["old"], new=described["new"], holders=view.holders, current_version=current_version
    )


def with_names(swap: StoredSwap, view: View, now: dt.datetime) -> StoredSwap:
    """Return the swap with the names under which both clusters are seen: a deletion is reported by the last of them."""
    for side in SIDES:
        cluster, named = view.of(side).cluster, swap.named.get(side)
        if cluster is not None and (named is None or named.name != cluster.identifier):
            swap = replace(swap, named={**swap.named, side: NameSeen(cluster.identifier, now)})
    return swap


def without_outdated(swap: StoredSwap, view: View, door_group: str) -> StoredSwap:
    """Return the swap without what was found of members that have changed since, or behind a door that was open."""
    for side in SIDES:
        seen, within = view.of(side), swap.within.get(side, Within())
        if seen.cluster is None:
            continue
        is_shut = door_of(seen.cluster, seen.instances, door_group) == "shut"
        if side == "new" and not is_shut:
            swap = replace(swap, new_was_open=True)
        if within.sessions_ended is not None and (not is_shut or within.sessions_ended != seen.members):
            within = replace(within, sessions_ended=None)
        if within.has_live_name is not None and within.certificates_of != seen.members:
            within = replace(within, has_live_name=None, certificates_of=[])
        if side in swap.within:
            swap = replace(swap, within={**swap.within, side: within})
    return swap


def _described(side: Side, seen: Seen, swap: StoredSwap, wanted: Wanted, door: str) -> ObservedCluster:
    cluster, within = seen.cluster, swap.within.get(side, Within())
    if cluster is None:
        return ObservedCluster(presence="deleted" if seen.deletion_reported else "unseen", identifier="")
    state = door_of(cluster, seen.instances, door)
    role = cluster.tags.get(ROLE_TAG, "none")
    has_data_api = bool(cluster.settings.value("data_api"))
    return ObservedCluster(
        identifier=cluster.identifier,
        status=_status(cluster, seen.instances),
        door=state,
        security_group_ids=tuple(cluster.security_groups.staying),
        sessions_left=_may_have_sessions(side, seen, state, swap),
        has_login=wanted.login_version_id is not None and not (side == "old" and swap.no_login),
        data_api=has_data_api,
        certificate_has_live_name=within.has_live_name is not False,
        restarted=swap.restarted.get(side, "none"),
        role=role if role in get_args(Role) else "none",  # type: ignore[arg-type]
        missing_settings=(DATA_API,) if wanted.data_api and not has_data_api else (),
    )


def _may_have_sessions(side: Side, seen: Seen, door: Door, swap: StoredSwap) -> bool:
    """Return whether a client may be left inside: what was proved counts for the same members behind a shut door.

    Nobody but the pipeline was ever let into the new cluster before its door was open.
    """
    if side == "new" and swap.record.committed_at is None and not swap.new_was_open and door == "shut":
        return False
    return door != "shut" or swap.within.get(side, Within()).sessions_ended != seen.members


def _status(cluster: Cluster, instances: list[Instance]) -> Status:
    """Return the status of the cluster and all its members together."""
    if cluster.is_being_renamed:
        return "renaming"
    if cluster.is_stopped:
        return "stopped"
    if cluster.is_broken_for_good or any(each.is_broken_for_good for each in instances):
        return "broken"
    if not cluster.is_available:
        return "passing"
    complete = {each.identifier for each in instances} >= set(cluster.member_identifiers)
    return "available" if complete and all(each.is_usable for each in instances) else "member-busy"
