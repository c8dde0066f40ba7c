"""Maintenance that AWS may do to a cluster while it is replaced: RDS renames no cluster meanwhile."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator

from msgspec import Struct

from utils.arns import Arn
from utils.aurora_utils import Cluster
from utils.aurora_utils.maintenance import PendingMaintenance, pending_maintenance_of
from utils.aurora_utils.resources import Instance
from utils.aurora_utils.windows import minutes_until
from utils.preflight.dependents import looked_at

# A restore, its masking and its swap take hours, and a swap that meets maintenance waits, with two clusters.
PLANNED_AHEAD = dt.timedelta(hours=4)


class DueMaintenance(Struct, frozen=True, kw_only=True):
    """Maintenance that AWS may do soon. `sentence`: which and when, as the rest of a sentence."""

    resource_arn: str
    action: str
    sentence: str


def maintenance_refusals(replaced: Cluster, members: Iterable[Instance], now: dt.datetime, region: str) -> list[str]:
    """Return, as predicates, which maintenance AWS may do while the new cluster is restored and swapped."""

    def found() -> Iterator[str]:
        for each in due_maintenance(replaced, members, PLANNED_AHEAD, now, region):
            yield (
                f"has {each.sentence}, and RDS renames no cluster meanwhile. Start once it is done. To do it now: "
                f"aws rds apply-pending-maintenance-action --resource-identifier {each.resource_arn} "
                f"--apply-action {each.action} --opt-in-type immediate --region {region}"
            )

    return looked_at("have maintenance pending", found)


def due_maintenance(
    cluster: Cluster, members: Iterable[Instance], ahead: dt.timedelta, now: dt.datetime, region: str
) -> Iterator[DueMaintenance]:
    """Yield what AWS may do to the cluster or a member from now on until so long ahead."""
    windows = {each.identifier: each.settings.value("preferred_maintenance_window") for each in members}
    of_all = {cluster.arn: cluster.settings.value("preferred_maintenance_window")}
    of_all |= {cluster.member_arn(name): window for name, window in windows.items()}
    for arn, window in of_all.items():
        for pending in pending_maintenance_of(arn, region):
            if (when := _when_due(pending, window, ahead, now)) is not None:
                yield DueMaintenance(
                    resource_arn=arn,
                    action=pending.action,
                    sentence=f"pending maintenance, {pending.action} of {Arn.parse(arn).name}, {when}",
                )


def _when_due(pending: PendingMaintenance, window: str | None, ahead: dt.timedelta, now: dt.datetime) -> str | None:
    """Return when it is due, as an apposition; None where that is later, or nobody has asked for it.

    Once its date has passed, an action that is not forced is applied in the next maintenance window of what it is
    about; a forced one at any time, and "there might be a delay of one or more days" (PendingMaintenanceAction).
    """
    latest = now + ahead
    if pending.is_opted_in:
        return "which somebody has asked for at once"
    if pending.forced_from is not None and pending.forced_from <= latest:
        return f"which is forced from {pending.forced_from:%Y-%m-%d %H:%M} UTC on"
    if pending.applies_from is None or pending.applies_from > latest:
        return None
    if pending.applies_from > now:
        return f"which is due from {pending.applies_from:%Y-%m-%d %H:%M} UTC on"
    if window is not None and minutes_until(window, now) > ahead.total_seconds() / 60:
        return None
    return f"which is due in its maintenance window, {window or 'unknown'} UTC"
