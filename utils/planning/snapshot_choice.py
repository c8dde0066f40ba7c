"""Which snapshot is restored: the one that the request names, or the newest one of the cluster as it is today.

Where no cluster has the name today, or none can be read, it is the newest of any cluster that had the name, and the
plan says so.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import NamedTuple

from botocore.exceptions import ClientError

from utils.arns import snapshot_name
from utils.aurora_utils.resources import Cluster, Snapshot
from utils.aurora_utils.source_account import Source
from utils.aws_errors import error_code
from utils.error_codes import DENIED_CODES
from utils.errors import RequestRefused
from utils.request.fields import RestoreRequest

# How many of the other candidates a plan names.
OTHERS_SHOWN = 3


class ChosenSnapshot(NamedTuple):
    """The snapshot that the request means, why it was chosen, and the next candidates.

    `notes`: what was passed over, and of which cluster of that name it is. `living`: the cluster that has the name of
    the snapshot's cluster today, as far as it can be read.
    """

    snapshot: Snapshot
    why: str
    others: list[str]
    notes: list[str]
    living: Cluster | None


def find_snapshot(request: RestoreRequest, source: Source, now: dt.datetime) -> ChosenSnapshot:
    """Return the snapshot that the request means, or raise RequestRefused if there is none."""
    if request.snapshot_identifier is not None:
        named = source.snapshot(snapshot_name(request.snapshot_identifier).lower())
        if named is None and source.access == "shared":
            raise RequestRefused(f"snapshot_identifier: {request.snapshot_identifier!r} {_not_shared(source)}")
        if named is None:
            raise RequestRefused(
                f"snapshot_identifier: {request.snapshot_identifier!r} does not exist in {_place(source)}. List what "
                f"does: aws rds describe-db-cluster-snapshots --region {source.region}"
            )
        living = _living_cluster(source, named.cluster_identifier)
        notes = [_is_of_another(named, living)] if living and named.is_of(living) is False else []
        return ChosenSnapshot(named, "named in the request", [], notes, living)
    return _newest(request, source, now)


def _living_cluster(source: Source, identifier: str) -> Cluster | None:
    """Return the cluster that has this name today; None also for one that must not be read."""
    if not identifier:
        return None
    try:
        return source.cluster(identifier)
    except ClientError as error:
        if error_code(error) not in DENIED_CODES:
            raise
        return None


def other_cluster(snapshot: Snapshot) -> str:
    """Return which cluster of the same name a snapshot is of, as far as RDS says: a copy does not have the id."""
    if snapshot.cluster_resource_id is not None:
        return f"another cluster of that name ({snapshot.cluster_resource_id})"
    created = snapshot.cluster_created_at
    return f"another cluster of that name (created {created:%Y-%m-%d %H:%M} UTC)" if created else "another cluster"


def _is_of_another(snapshot: Snapshot, living: Cluster) -> str:
    return (
        f"{snapshot.identifier} is of {other_cluster(snapshot)}, not of today's {living.identifier} "
        f"({living.resource_id})"
    )


def _place(source: Source) -> str:
    return source.region if source.access == "own" else f"{source.region} of account {source.account_id}"


def _not_shared(source: Source) -> str:
    """Return the reason and two remedies: the role of that account, or a command for its owner."""
    return (
        f"is not shared with this account by {source.account_id} in {source.region}, and nothing more of that account "
        f"can be seen: {source.why_no_role}. Deploy infrastructure/source-account-role.yaml there with this stack's "
        "account, prefix and external id, and set SourceRoleName and SourceExternalId to it; or have the snapshot "
        f"shared: aws rds modify-db-cluster-snapshot-attribute --region {source.region} --attribute-name restore "
        "--db-cluster-snapshot-identifier SNAPSHOT --values-to-add THIS_ACCOUNT"
    )


def _newest(request: RestoreRequest, source: Source, now: dt.datetime) -> ChosenSnapshot:
    """Return the newest snapshot of the cluster that has the name today, and of no earlier one.

    Without such a cluster it is the newest of any that had the name.
    """
    cluster = (request.source_cluster_id or "").lower()
    listed = source.snapshots_of(cluster)
    candidates = [each for each in listed if each.is_available and each.created_at]
    listing = f"aws rds describe-db-cluster-snapshots --region {source.region} --db-cluster-identifier {cluster}"
    if not candidates and source.access == "shared":
        raise RequestRefused(f"source_cluster_id: a snapshot of {cluster!r} {_not_shared(source)}")
    if not candidates:
        under_way = "".join(f"{each.identifier} is still {each.status}. " for each in listed if _is_under_way(each))
        raise RequestRefused(
            f"source_cluster_id: {cluster!r} has no available snapshot in {_place(source)}. {under_way}"
            f"Take one, or correct the name or source_region. What exists: {listing}"
        )
    living = _living_cluster(source, cluster)
    others = [each for each in candidates if living and each.is_of(living) is False]
    candidates = [each for each in candidates if each not in others]
    if living and not candidates:
        raise RequestRefused(
            f"source_cluster_id: today's {cluster!r} ({living.resource_id}) has no available snapshot in "
            f"{_place(source)}. The newest that bears its name, {others[0].identifier!r}, is of "
            f"{other_cluster(others[0])}. To restore the other cluster's data, name its snapshot, "
            f'"snapshot_identifier": "{others[0].identifier}". Or take one of today\'s: aws rds '
            f"create-db-cluster-snapshot --region {source.region} --db-cluster-identifier {cluster} "
            "--db-cluster-snapshot-identifier NAME"
        )
    found = _of_day_or_latest(request, candidates, cluster, listing, now)
    return found._replace(notes=list(_notes(request, found.snapshot, listed, living)), living=living)


def _of_day_or_latest(
    request: RestoreRequest, candidates: list[Snapshot], cluster: str, listing: str, now: dt.datetime
) -> ChosenSnapshot:
    if request.snapshot_date is None:
        return _first(candidates, f"the latest of {len(candidates)} available", now)
    of_that_day = [each for each in candidates if _is_of_day(each, request.snapshot_date)]
    if not of_that_day:
        newest = candidates[0].created_at
        raise RequestRefused(
            f"snapshot_date: {request.snapshot_date!r} has no available snapshot of {cluster} (days are UTC; the "
            f"newest of {len(candidates)} is of {newest:%Y-%m-%d}). Choose a day of this list: {listing}"
        )
    return _first(of_that_day, f"the last of {len(of_that_day)} available on {request.snapshot_date}", now)


def _first(candidates: list[Snapshot], why: str, now: dt.datetime) -> ChosenSnapshot:
    others = [
        f"{each.identifier}, {age:.1f} hours old"
        for each in candidates[1 : 1 + OTHERS_SHOWN]
        if (age := each.age_hours(now)) is not None
    ]
    return ChosenSnapshot(candidates[0], why, others, [], None)


def _notes(request: RestoreRequest, chosen: Snapshot, listed: list[Snapshot], living: Cluster | None) -> Iterator[str]:
    """Yield what a person should know before this one is restored. With a date, only that day's are examined."""
    name = chosen.cluster_identifier
    for each in listed:
        if request.snapshot_date is not None and not _is_of_day(each, request.snapshot_date):
            continue
        is_newer = each.created_at is None or chosen.created_at is None or each.created_at > chosen.created_at
        is_living_ones = living is None or each.is_of(living) is not False
        if is_newer and _is_under_way(each) and is_living_ones:
            yield f"{each.identifier} is newer and still {each.status}: it is not waited for"
        elif is_newer and each.is_available and living and not is_living_ones:
            yield f"{_is_of_another(each, living)}: it is newer, and was passed over"
    if chosen.copied_from is not None:
        yield f"{chosen.identifier} is a copy of {chosen.copied_from}"
    if living is None:
        clusters = {each.cluster_created_at for each in listed if each.is_available and each.cluster_created_at}
        created = chosen.cluster_created_at
        if len(clusters) > 1 and created is not None:
            yield (
                f"these are snapshots of {len(clusters)} clusters that were all called {name}, and none "
                f"has that name today, as far as this stack can see: {chosen.identifier} is of the one created "
                f"{created:%Y-%m-%d %H:%M} UTC"
            )
    elif chosen.is_of(living) is None:
        yield f"RDS does not say whether {chosen.identifier} is of today's {name} ({living.resource_id})"


def _is_under_way(snapshot: Snapshot) -> bool:
    return not snapshot.is_available and not snapshot.is_broken


def _is_of_day(snapshot: Snapshot, day: str) -> bool:
    return snapshot.created_at is not None and snapshot.created_at.astimezone(dt.UTC).date().isoformat() == day
