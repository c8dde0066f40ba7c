"""Who would stay with a cluster that is replaced, because AWS ties them to the cluster itself; and AWS's own plans.

A look that is refused refuses as well: what nobody could see may be there.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Iterable, Iterator

from botocore.exceptions import ClientError
from msgspec import Struct

from utils.arns import Arn
from utils.aurora_utils import Cluster
from utils.aurora_utils.dependents import (
    PendingMaintenance,
    blue_green_deployments_of,
    integrations_of,
    pending_maintenance_of,
    proxies_of,
    shares_of,
)
from utils.aurora_utils.resources import Instance
from utils.aurora_utils.windows import minutes_until
from utils.aws import as_step_error, error_code
from utils.error_codes import DENIED_CODES
from utils.foreign_text import one_line

# A name that somebody else has given: a share's may have any characters.
MAX_NAME_SHOWN = 100
# A restore, its masking and its swap take hours, and a swap that meets maintenance waits, with two clusters.
PLANNED_AHEAD = dt.timedelta(hours=4)


class DueMaintenance(Struct, frozen=True, kw_only=True):
    """Maintenance that AWS may do soon. `sentence`: which and when, as the rest of a sentence."""

    resource_arn: str
    action: str
    sentence: str


def dependent_refusals(replaced: Cluster, region: str) -> Iterator[str]:
    """Yield, as predicates, who depends on the cluster in any of its states, each with what ends that."""
    looks: tuple[tuple[str, Callable[[Cluster, str], Iterable[str]]], ...] = (
        ("be the target of an RDS Proxy", _proxies),
        ("be part of a blue/green deployment", _deployments),
        ("be shared by AWS RAM", _shares),
        ("be the source of a zero-ETL integration", _integrations),
    )
    for what, look in looks:
        yield from _looked_at(what, functools.partial(look, replaced, region))
    if replaced.has_activity_stream:
        yield (
            "has a database activity stream, which stays with the old cluster. Stop it: aws rds stop-activity-stream "
            f"--resource-arn {replaced.arn} --apply-immediately --region {region}"
        )


def _looked_at(what: str, look: Callable[[], Iterable[str]]) -> list[str]:
    """Return what a look finds. One that is not allowed finds that it is not."""
    try:
        return list(look())
    except ClientError as error:
        if error_code(error) not in DENIED_CODES:
            raise
        # AWS's own text does not always name the action. IAM has an operation's under the service's prefix.
        service = "ram" if error.operation_name == "GetResourceShareAssociations" else "rds"
        return [
            f"may {what}, which nobody could look for: {as_step_error(error)} The function's role needs "
            f"{service}:{error.operation_name}."
        ]


def _proxies(replaced: Cluster, region: str) -> Iterator[str]:
    """Yield the proxies. Which cluster they reach after a rename, by name or by resource ID, is not documented."""
    for name in proxies_of(replaced, region):
        yield (
            f"is the target of RDS Proxy {name}, and no document says which cluster a proxy reaches after a rename. "
            f"Have its clients use the cluster's own endpoints, then: aws rds deregister-db-proxy-targets "
            f"--db-proxy-name {name} --db-cluster-identifiers {replaced.identifier} --region {region}"
        )


def _deployments(replaced: Cluster, region: str) -> Iterator[str]:
    """Yield the deployments: they track clusters by resource ID, and theirs cannot be stopped and started.

    Source: Amazon Aurora User Guide, "Limitations and considerations for Amazon Aurora blue/green deployments". One
    that was switched over exists until it is deleted; deleting it without its target leaves both clusters.
    """
    for each in blue_green_deployments_of(replaced, region):
        yield (
            f"is part of blue/green deployment {one_line(each.name, MAX_NAME_SHOWN)} ({each.identifier}), which "
            "follows the cluster and not its name. Delete the deployment, which leaves both clusters: "
            f"aws rds delete-blue-green-deployment --blue-green-deployment-identifier {each.identifier} "
            f"--region {region}"
        )


def _shares(replaced: Cluster, region: str) -> Iterator[str]:
    """Yield the shares: a cluster that is shared by AWS RAM cannot be renamed.

    Source: Amazon Aurora User Guide, "Cross-account cloning with AWS RAM and Amazon Aurora", limitations.
    """
    for each in shares_of(replaced, region):
        yield (
            f"is shared by resource share {one_line(each.name, MAX_NAME_SHOWN)} of AWS RAM, and RDS renames no shared "
            "cluster. Take it out: aws ram disassociate-resource-share "
            f"--resource-share-arn {each.identifier} --resource-arns {replaced.arn} --region {region}"
        )


def _integrations(replaced: Cluster, region: str) -> Iterator[str]:
    """Yield the integrations: each has one source, given when it is created (API reference, CreateIntegration)."""
    for each in integrations_of(replaced, region):
        yield (
            f"is the source of zero-ETL integration {one_line(each.name, MAX_NAME_SHOWN)}, which stays with the old "
            f"cluster. Delete it: aws rds delete-integration --integration-identifier {each.identifier} "
            f"--region {region}"
        )


def maintenance_refusals(replaced: Cluster, members: Iterable[Instance], now: dt.datetime, region: str) -> list[str]:
    """Return, as predicates, which maintenance AWS may do while the new cluster is restored and swapped."""

    def found() -> Iterator[str]:
        for each in due_maintenance(replaced, members, PLANNED_AHEAD, now, region):
            yield (
                f"has {each.sentence}, and RDS renames no cluster meanwhile. Start once it is done. To do it now: "
                f"aws rds apply-pending-maintenance-action --resource-identifier {each.resource_arn} "
                f"--apply-action {each.action} --opt-in-type immediate --region {region}"
            )

    return _looked_at("have maintenance pending", found)


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
