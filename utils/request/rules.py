"""What can be wrong with a request before AWS is called."""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from utils.arns import is_meant_as_arn, parse_snapshot_arn
from utils.contracts.policy_locations import POLICY_NAME
from utils.names import MAX_IDENTIFIER, is_operation_id, why_not_rds_name, why_not_snapshot_name
from utils.request.setting_rules import setting_problems
from utils.schedules import scheduled_operation_id

if TYPE_CHECKING:
    from utils.request.fields import RestoreRequest

OWN_TAG_PREFIX = "aurora-restore:"
# A year: what proves that the cluster is the pipeline's is kept for 400 days (utils/state/operation.py).
MAX_EXPIRES_AFTER_HOURS = 365 * 24
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+", re.ASCII)
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_GROUP_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,254}", re.ASCII)
_KEY = re.compile(r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/)?[A-Za-z0-9/_-]{1,256}", re.ASCII)


def request_problems(request: RestoreRequest) -> Iterator[str]:
    """Yield all that is wrong with the request in itself: for each problem the field, the value and the remedy."""
    if request.rollback:
        # Everything else is the operation's that is undone.
        yield from _rollback_problems(request)
        yield from _keeping_problems(request.keep_previous_hours)
        return
    yield from _naming_problems(request)
    yield from _snapshot_choice_problems(request)
    yield from setting_problems(request)
    yield from _tag_problems(request.tags or {})
    yield from _masking_problems(request)
    yield from _verification_problems(request)
    yield from _deletion_problems(request)
    yield from _replaced_deletion_problems(request)
    yield from _keeping_problems(request.keep_previous_hours)
    hours = request.expires_after_hours
    if hours is not None and not 0 <= hours <= MAX_EXPIRES_AFTER_HOURS:
        yield (
            f"expires_after_hours: {hours} is not between 0 and {MAX_EXPIRES_AFTER_HOURS}. Give a whole number of "
            "hours; 0 means that the cluster never expires."
        )


def _keeping_problems(hours: int | None) -> Iterator[str]:
    if hours is not None and not 1 <= hours <= MAX_EXPIRES_AFTER_HOURS:
        yield (
            f"keep_previous_hours: {hours} is not between 1 and {MAX_EXPIRES_AFTER_HOURS}. Give a whole number of "
            "hours."
        )


def _rollback_problems(request: RestoreRequest) -> Iterator[str]:
    if request.operation_id is None:
        yield (
            "operation_id: missing, and rollback is true. Give the operation_id of the replacement that is to be "
            "undone, as its message names it."
        )
    elif not is_operation_id(request.operation_id):
        yield f"operation_id: {request.operation_id!r} cannot name an operation. Copy it from the message of one."
    if request.resume:
        yield "resume: true is given with rollback. A rollback that failed is resumed by its own operation_id alone."


def _naming_problems(request: RestoreRequest) -> Iterator[str]:
    if request.operation_id is not None and not is_operation_id(request.operation_id):
        yield (
            f"operation_id: {request.operation_id!r} cannot name an operation. "
            "Use 1 to 80 letters, digits, hyphens and underscores, or omit it to use the execution's name."
        )
    if request.resume and request.operation_id is None:
        yield (
            "operation_id: missing, and resume is true. Give the operation_id of the operation that is to be "
            "resumed, as its message names it."
        )
    if request.scheduled_at is not None and scheduled_operation_id(request.scheduled_at) is None:
        yield (
            f"scheduled_at: {request.scheduled_at!r} is no moment. Let the schedule fill it in, as "
            "<aws.scheduler.scheduled-time>, or omit it when you start a run yourself."
        )
    elif request.scheduled_at is not None and request.operation_id is not None:
        yield (
            f"operation_id: {request.operation_id!r} is given with scheduled_at, which names the operation itself. "
            "Drop one of them; a run that was scheduled is resumed by its operation_id alone."
        )
    if request.source_cluster_id is not None and (why := why_not_rds_name(request.source_cluster_id)):
        yield f"source_cluster_id: {request.source_cluster_id!r} {why}. Give the source cluster's name as RDS shows it."
    if request.target_cluster_id is None:
        yield "target_cluster_id: missing. Name the cluster to create, or set the stack's TargetClusterId."
    elif why := why_not_rds_name(request.target_cluster_id.replace("{date}", "20260101"), MAX_IDENTIFIER):
        yield f"target_cluster_id: {request.target_cluster_id!r} {why}. Choose another name for the new cluster."
    if request.source_region is not None and not _REGION.fullmatch(request.source_region):
        yield f"source_region: {request.source_region!r} is no region's name. Give one such as us-east-1."
    if request.source_account_id is not None and not _ACCOUNT.fullmatch(request.source_account_id):
        yield f"source_account_id: {request.source_account_id!r} is no account id. Give its 12 digits."
    for name in ("kms_key_id", "source_kms_key_id"):
        value = getattr(request, name)
        if value is not None and not _KEY.fullmatch(value):
            yield f"{name}: {value!r} is no key. Give a key's id or ARN, or alias/<name>."
    for name in ("db_subnet_group_name", "db_cluster_parameter_group_name", "db_parameter_group_name"):
        value = getattr(request, name)
        if value is not None and not _GROUP_NAME.fullmatch(value):
            yield f"{name}: {value!r} is no group's name. Give the name of a group that exists in the target region."


def _snapshot_choice_problems(request: RestoreRequest) -> Iterator[str]:
    named, day = request.snapshot_identifier, request.snapshot_date
    if named is not None and day is not None:
        yield (
            f"snapshot_date: {day!r} is given, and snapshot_identifier is {named!r}. "
            "Drop one of them, or both for the latest snapshot."
        )
    if named is not None and is_meant_as_arn(named):
        if parse_snapshot_arn(named) is None:
            yield f"snapshot_identifier: {named!r} is not the ARN of a cluster snapshot. Copy it from the RDS console."
    elif named is not None and (why := why_not_snapshot_name(named)):
        yield f"snapshot_identifier: {named!r} {why}. Give the snapshot's name or ARN as RDS shows it."
    if day is not None and not _is_day(day):
        yield f"snapshot_date: {day!r} is no date. Write it as YYYY-MM-DD, such as 2026-02-28."
    if named is None and request.source_cluster_id is None:
        yield (
            "source_cluster_id: missing. Name the cluster whose snapshot is wanted, give a snapshot_identifier, "
            "or set the stack's SourceClusterId."
        )
    age = request.max_snapshot_age_hours
    if age is not None and not 0 < age < float("inf"):
        yield f"max_snapshot_age_hours: {age!r} is no age. Give a number of hours above 0."


def _is_day(text: str) -> bool:
    try:
        return dt.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _tag_problems(tags: Mapping[str, str]) -> Iterator[str]:
    if len(tags) > 40:
        yield f"tags: {len(tags)} tags are too many. Give at most 40, RDS takes 50 and the pipeline adds its own."
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256 or not _is_tag_text(key + value):
            yield (
                f"tags: {key!r} = {value!r} is no tag. Keys have 1 to 128 characters, values up to 256: "
                "letters, digits, spaces and . : / = + @ - _"
            )
        elif key.lower().startswith(("aws:", "rds:", OWN_TAG_PREFIX)):
            yield f"tags: {key!r} starts with a reserved prefix. Choose a key without aws:, rds: and {OWN_TAG_PREFIX}"
        elif value.lower().startswith(("aws:", "rds:")):
            yield f"tags: the value {value!r} of {key!r} starts with a prefix that RDS reserves. Give one without it."


def _is_tag_text(text: str) -> bool:
    """Return whether RDS takes the text in a tag.

    It takes Unicode's letters, numbers and separators beside some symbols (API reference, Tag): no tab, no line break.
    """
    return all(each in "_.:/=+-@" or unicodedata.category(each)[0] in "LNZ" for each in text)


def _masking_problems(request: RestoreRequest) -> Iterator[str]:
    """Yield what contradicts a masking policy: a kept or exported snapshot has the data as they were."""
    name = request.masking_policy
    if not name:
        return
    if not POLICY_NAME.fullmatch(name):
        yield (
            f"masking_policy: {name!r} is no name of a masking policy. Give one that the stack's MaskingPolicies lists."
        )
    if request.archive_snapshot in ("keep", "export"):
        yield (
            f"archive_snapshot: {request.archive_snapshot!r} keeps data that are not masked, and masking_policy is "
            f"{name!r}. Give 'delete', which deletes only the copy that this operation makes."
        )
    if request.delete_source:
        yield (
            f"delete_source: true would delete the data as they are, and the restored cluster has them masked by "
            f"{name!r}. Drop delete_source."
        )


def _verification_problems(request: RestoreRequest) -> Iterator[str]:
    name = request.verification
    if name and not POLICY_NAME.fullmatch(name):
        yield (
            f"verification: {name!r} is no name of a verification policy. Give 'basic', or one that the stack's "
            "VerificationPolicies lists."
        )


def _deletion_problems(request: RestoreRequest) -> Iterator[str]:
    if not request.delete_source:
        if request.confirm_delete_source is not None:
            yield (
                f"confirm_delete_source: {request.confirm_delete_source!r} is given, but delete_source is not true. "
                "Drop it to keep the source cluster, or give both to have that deleted."
            )
        for name in ("delete_automated_backups", "override_deletion_protection"):
            if getattr(request, name):
                yield f"{name}: True is given, but delete_source is not true. Drop it: nothing is deleted."
    elif request.confirm_delete_source is None:
        yield (
            "confirm_delete_source: missing, and delete_source is true. "
            "Repeat the source cluster's name there to have it deleted, or drop delete_source to keep it."
        )


def _replaced_deletion_problems(request: RestoreRequest) -> Iterator[str]:
    if not request.delete_replaced:
        if request.confirm_delete_replaced is not None:
            yield (
                f"confirm_delete_replaced: {request.confirm_delete_replaced!r} is given, but delete_replaced is not "
                "true. Drop it to have the replaced cluster kept, or give both to have that deleted."
            )
        return
    if request.confirm_delete_replaced is None:
        yield (
            "confirm_delete_replaced: missing, and delete_replaced is true. Repeat the target's name there to have the "
            "cluster that has it now deleted after its time, or drop delete_replaced to keep it."
        )
    if request.final_snapshot is False:
        yield (
            "final_snapshot: False is given with delete_replaced, and a cluster of others is never deleted without "
            "one. Drop it."
        )
