"""Where the wanted snapshot is, which one it is, and whether it will do."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from utils.aurora_shapes import Snapshot
from utils.aurora_utils import ENGINE, Aurora
from utils.aws import knows_region
from utils.errors import RequestRefused
from utils.identifiers import parse_snapshot_arn
from utils.payloads import Execution
from utils.restore_request import RestoreRequest


def source_region(request: RestoreRequest, own_region: str) -> str:
    """An ARN says its region itself. Raises RequestRefused for one that isn't there: calls to it would never end."""
    parsed = parse_snapshot_arn(request.snapshot_identifier or "")
    region = parsed[1] if parsed else request.source_region or own_region
    if region != own_region and not knows_region(region, own_region):
        field = "snapshot_identifier" if parsed else "source_region"
        raise RequestRefused(
            f"{field}: RDS has no region {region!r} that can be reached from {own_region}. "
            "Correct it, such as us-east-1; regions of other partitions can't be reached."
        )
    return region


def find_snapshot(request: RestoreRequest, source: Aurora, now: dt.datetime) -> tuple[Snapshot, str]:
    """The snapshot that the request means, and why it is that one."""
    if request.snapshot_identifier is not None:
        name = request.snapshot_identifier.split(":cluster-snapshot:")[-1].lower()
        named = source.snapshot(name)
        if named is None:
            raise RequestRefused(
                f"snapshot_identifier: {request.snapshot_identifier!r} doesn't exist in {source.region}. List what "
                f"does: aws rds describe-db-cluster-snapshots --region {source.region}"
            )
        return named, "named in the request"
    return _newest(request, source, now)


def _newest(request: RestoreRequest, source: Aurora, now: dt.datetime) -> tuple[Snapshot, str]:
    cluster = (request.source_cluster_id or "").lower()
    candidates = [each for each in source.snapshots_of(cluster) if each.is_available and each.created_at]
    listing = f"aws rds describe-db-cluster-snapshots --region {source.region} --db-cluster-identifier {cluster}"
    if not candidates:
        raise RequestRefused(
            f"source_cluster_id: {cluster!r} has no available snapshot in {source.region}. "
            f"Take one, or correct the name or source_region. What exists: {listing}"
        )
    if request.snapshot_date is None:
        return candidates[0], f"the latest of {len(candidates)} available"
    day = dt.date.fromisoformat(request.snapshot_date)
    of_that_day = [each for each in candidates if each.created_at and each.created_at.astimezone(dt.UTC).date() == day]
    if not of_that_day:
        newest = candidates[0].created_at
        raise RequestRefused(
            f"snapshot_date: {request.snapshot_date!r} has no available snapshot of {cluster} (days are UTC; the "
            f"newest of {len(candidates)} is of {newest:%Y-%m-%d}). Choose a day of this list: {listing}"
        )
    return of_that_day[0], f"the last of {len(of_that_day)} available on {request.snapshot_date}"


def place_problems(request: RestoreRequest, account: str, source: Aurora) -> Iterator[str]:
    parsed = parse_snapshot_arn(request.snapshot_identifier or "")
    wanted = parsed[2] if parsed else request.source_account_id
    if parsed and request.source_account_id not in (None, parsed[2]):
        yield (
            f"source_account_id: {request.source_account_id!r} isn't the account in snapshot_identifier's ARN "
            f"({parsed[2]}). Drop source_account_id, the ARN says it."
        )
    elif wanted not in (None, account):
        field = "snapshot_identifier" if parsed else "source_account_id"
        yield (
            f"{field}: account {wanted} isn't the stack's own ({account}), and other accounts aren't supported yet. "
            f"Copy the snapshot into account {account} first, then name the copy."
        )
    if parsed and request.source_region not in (None, source.region):
        yield (
            f"source_region: {request.source_region!r} isn't the region in snapshot_identifier's ARN "
            f"({source.region}). Drop source_region, the ARN says it."
        )


def snapshot_problems(request: RestoreRequest, snapshot: Snapshot, source: Aurora, run: Execution) -> Iterator[str]:
    name = snapshot.identifier
    wanted = (request.source_cluster_id or "").lower()
    if wanted and snapshot.cluster_identifier != wanted:
        yield (
            f"snapshot_identifier: {name!r} is a snapshot of {snapshot.cluster_identifier}, not of {wanted}. "
            f'Give "source_cluster_id": "{snapshot.cluster_identifier}" with it, or choose another snapshot.'
        )
    if snapshot.engine != ENGINE:
        yield f"snapshot_identifier: {name!r} is of {snapshot.engine}; this pipeline restores {ENGINE} only."
    if not snapshot.is_available:
        yield (
            f"snapshot_identifier: {name!r} is {snapshot.status}, not available. "
            "Wait until it is available, or choose another snapshot."
        )
    limit = request.max_snapshot_age_hours
    if limit is not None and snapshot.created_at and (age := age_hours(snapshot.created_at, run.now)) > limit:
        yield (
            f"max_snapshot_age_hours: {name!r} in {source.region} is {age:.1f} hours old, more than the {limit:g} "
            "allowed. Take a fresh snapshot, or raise the limit if older data will do."
        )


def reused_name_problems(name: str, operation_id: str, where: Aurora) -> Iterator[str]:
    """An execution's name is free again after 90 days: what bears this operation's name then holds older data."""
    if where.snapshot(name) is not None:
        yield (
            f"operation_id: {operation_id!r} was used before: its snapshot {name!r} exists in {where.region}. "
            "It was left alone. Start the execution under another name, or give another operation_id."
        )


def age_hours(created_at: dt.datetime, now: dt.datetime) -> float:
    return round((now - created_at).total_seconds() / 3600, 3)


def account_of(run: Execution) -> str:
    """The stack's account: it is the execution's (arn:partition:states:region:account:execution:machine:name)."""
    return run.execution_id.split(":")[4]
