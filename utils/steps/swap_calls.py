"""The calls of a swap, each under the name that its cluster has at this moment. RDS's answer says whom it has found."""

from __future__ import annotations

import datetime as dt
from contextlib import suppress

from msgspec.structs import replace

from utils.aurora_utils import Aurora, Cluster
from utils.aurora_utils.client import ClusterBusy
from utils.aurora_utils.resources import EXPIRY_TAG
from utils.contracts.plan import ReplacedCluster
from utils.contracts.swap import Side
from utils.logins.master import AdminSecret
from utils.state.expiry import ExpiringCluster, ExpiryRegister, Replaced, expiry_text
from utils.state.operation import OperationState
from utils.state.swap import StoredSwap, Within
from utils.state.values import iso
from utils.steps.swap import OTHER, SwapAction, SwapDue
from utils.steps.swap_observed import DATA_API, Seen, View

# In place of the moment at which it was to expire: a function that may take tags away could lift a protection.
NEVER = "never"
_RESTARTING = frozenset({SwapAction.REBOOT_MEMBERS, SwapAction.START})


def before_call(swap: StoredSwap, found: SwapDue, now: dt.datetime) -> StoredSwap:
    """Return what is written down before the call: the record, and what the call makes untrue or begins."""
    swap = replace(swap, record=found.record)
    side = found.side
    if side is None or found.action not in {*_RESTARTING, SwapAction.RENAME}:
        return swap
    # A certificate has the names of the last restart, and is looked at again after a rename as well.
    within = replace(swap.within.get(side, Within()), has_live_name=None, certificates_of=[])
    swap = replace(swap, within={**swap.within, side: within})
    if found.action is SwapAction.RENAME:
        since = {each: moment for each, moment in swap.restarting_since.items() if each != side}
        return replace(swap, restarted={**swap.restarted, side: "none"}, restarting_since=since)
    kind = "rebooted" if found.action is SwapAction.REBOOT_MEMBERS else "stopped-and-started"
    return replace(
        swap,
        restarted={**swap.restarted, side: kind},
        restarting_since={**swap.restarting_since, side: now},
    )


class Calls:
    """What a swap changes in AWS."""

    def __init__(
        self, aurora: Aurora, admin: AdminSecret, state: OperationState, replaces: ReplacedCluster, door_group: str
    ) -> None:
        self._aurora, self._admin, self._state = aurora, admin, state
        self._replaces, self._door = replaces, door_group

    def make(self, found: SwapDue, swap: StoredSwap, view: View) -> None:
        """Make the call of an action on one of the clusters. Raises ClusterBusy, and what AWS answers."""
        side = found.side
        cluster = view.of(side).cluster if side is not None else None
        if side is None or cluster is None:
            return
        answered = self._make(found, side, view.of(side), cluster, swap, view)
        if answered is not None and answered != cluster.resource_id:
            # The name has gone to another cluster since it was looked up. The next look finds out.
            self._state.audit(
                "swap", "misdirected", {"action": found.action.value, "meant": cluster.resource_id, "found": answered}
            )

    def _make(
        self, found: SwapDue, side: Side, seen: Seen, cluster: Cluster, swap: StoredSwap, view: View
    ) -> str | None:
        aurora, recorded = self._aurora, swap.record.of(side)
        answered: str | None = None
        if found.action is SwapAction.RENAME:
            answered = aurora.rename(found.name, found.new_name)
        elif found.action is SwapAction.SHUT_DOOR:
            answered = aurora.put_into_groups(found.name, [self._door])
        elif found.action is SwapAction.OPEN_DOOR:
            answered = aurora.put_into_groups(found.name, recorded.security_group_ids)
        elif found.action is SwapAction.REBOOT_MEMBERS:
            for member in seen.members:
                # All were available a moment ago: a busy one is being restarted by a call whose answer was lost.
                with suppress(ClusterBusy):
                    aurora.reboot_instance(member)
        elif found.action is SwapAction.STOP:
            answered = aurora.stop_cluster(found.name)
        elif found.action is SwapAction.START:
            answered = aurora.start_cluster(found.name)
        elif found.action is SwapAction.DISABLE_DATA_API:
            aurora.disable_data_api(cluster)
        elif found.action is SwapAction.TAG_AS_SWAPPING:
            aurora.mark_role(cluster, "swapping")
        elif found.action is SwapAction.MOVE_LABEL:
            self._move_label(cluster, view.of(OTHER[side]).cluster, side)
        elif found.action is SwapAction.SET_ROLES:
            self._set_roles(cluster, view.of(OTHER[side]).cluster, swap, side)
        elif found.action is SwapAction.RESTORE_SETTING and found.setting == DATA_API:
            aurora.enable_data_api(cluster)
        return answered

    def _move_label(self, winner: Cluster, loser: Cluster | None, winning: Side) -> None:
        """Make the winner's login the current one. The other's keeps a label, without which AWS may delete it.

        Where the labels were before the swap is recorded on its way forward alone: back, they have moved already.

        Where the winner was replaced before, the label of the replaced is its own until it has the other one.
        AWSPREVIOUS is moved by the next PutSecretValue (API reference, UpdateSecretVersionStage), and versions without
        labels "are deprecated and can be deleted" (DescribeSecret).
        """
        gets_current = AdminSecret.version_for(winner.resource_id)
        gives_label = self._admin.is_kept(gets_current)
        if loser is not None and not gives_label:
            self._admin.keep(AdminSecret.version_for(loser.resource_id))
        self._admin.promote(
            gets_current,
            lambda labels: self._state.remember(labels_before=dict(labels)) if winning == "new" else None,
        )
        if loser is not None and gives_label:
            self._admin.keep(AdminSecret.version_for(loser.resource_id))

    def _set_roles(self, winner: Cluster, loser: Cluster | None, swap: StoredSwap, winning: Side) -> None:
        """Tag both. The one that was replaced is registered first: without the entry it would stay for ever.

        Where old has kept its name after all, its expiry is as it was: the sweep keeps it by its role, and says so.
        """
        if EXPIRY_TAG in winner.tags and not (winning == "old" and swap.record.committed_at is None):
            # It was replaced before. Its role alone keeps it from being deleted, also where the register still has it.
            self._aurora.mark_role(winner, "live", NEVER)
            ExpiryRegister().remove(winner.resource_id)
        else:
            self._aurora.mark_role(winner, "live")
        if loser is None:
            return
        recorded = swap.record.of(OTHER[winning])
        if recorded.role_beside != "previous" or swap.record.committed_at is None:
            self._aurora.mark_role(loser, recorded.role_beside)
            return
        self._admin.keep(AdminSecret.version_for(loser.resource_id))
        hours = self._replaces.keep_hours
        expires = expiry_text(swap.record.committed_at + dt.timedelta(hours=hours))
        register = ExpiryRegister()
        register.supersede(swap.record.live_name, but=loser.resource_id, at=iso(self._state.now))
        register.add(
            ExpiringCluster(
                resource_id=loser.resource_id,
                cluster_identifier=loser.identifier,
                operation_id=self._state.operation_id,
                hours=hours,
                replaced=Replaced(
                    target_cluster_id=swap.record.live_name,
                    expires_at=expires,
                    is_ours=self._replaces.is_ours,
                    deletion_protection=self._replaces.protection_is_ours,
                    deletion=self._replaces.deletion,
                ),
            )
        )
        self._aurora.mark_role(loser, "previous", expires)
