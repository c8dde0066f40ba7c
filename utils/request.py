"""What a person asks for: the execution's input, its defaults from the stack, and every check without AWS."""

from __future__ import annotations

import datetime as dt
import difflib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from utils.errors import RequestRefused
from utils.identifiers import (
    MAX_INSTANCES,
    MAX_TARGET_IDENTIFIER,
    is_operation_id,
    parse_snapshot_arn,
    why_not_rds_name,
    why_not_snapshot_name,
)
from utils.redaction import without_secrets

OWN_TAG_PREFIX = "aurora-restore:"
# What deletes production's cluster is said by each request itself; no setting of the stack can say it for all of them.
NEVER_BY_DEFAULT = frozenset({"delete_source", "confirm_delete_source", "final_snapshot"})
# A refusal is read by people, and Step Functions takes no cause beyond 32,768 characters.
MAX_PROBLEMS = 15
MAX_PROBLEM_LENGTH = 1000
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-\d+", re.ASCII)
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_VERSION = re.compile(r"\d+(\.\d+)*", re.ASCII)
_SECURITY_GROUP = re.compile(r"sg-[0-9a-f]{8,17}", re.ASCII)
_INSTANCE_CLASS = re.compile(r"db\.[a-z0-9-]+(\.[a-z0-9]+)?", re.ASCII)
_GROUP_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,254}", re.ASCII)
_KEY = re.compile(r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:(key|alias)/)?[A-Za-z0-9/_-]{1,256}", re.ASCII)


class RestoreRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The execution's input. What is left out comes from the stack's parameters, then from the snapshot."""

    operation_id: Annotated[
        str | None,
        Meta(description="Name of this operation in tags, state and audit. Default: the execution's name."),
    ] = None
    source_cluster_id: Annotated[
        str | None, Meta(description="Cluster whose snapshot is wanted. Default: the stack's SourceClusterId.")
    ] = None
    source_region: Annotated[
        str | None, Meta(description="Region of the snapshot. Default: the stack's SourceRegion, else its own region.")
    ] = None
    source_account_id: Annotated[
        str | None, Meta(description="Account of the snapshot. Only the stack's own account works so far.")
    ] = None
    snapshot_identifier: Annotated[
        str | None, Meta(description="Name or ARN of one snapshot. Without it and snapshot_date: the latest available.")
    ] = None
    snapshot_date: Annotated[
        str | None, Meta(description="Day in UTC, YYYY-MM-DD: the last available snapshot of that day.")
    ] = None
    max_snapshot_age_hours: Annotated[
        float | None, Meta(description="Refuse a snapshot that is older than this many hours.")
    ] = None
    target_cluster_id: Annotated[
        str | None, Meta(description="Name of the cluster to create. {date} in it becomes the start's UTC day.")
    ] = None
    kms_key_id: Annotated[
        str | None,
        Meta(description="Key (id, ARN or alias) in the target region. Needed to copy an encrypted snapshot there."),
    ] = None
    engine_version: Annotated[str | None, Meta(description="Default: the snapshot's own version.")] = None
    db_instance_class: Annotated[
        str | None, Meta(description="Class of every instance, such as db.r6g.large or db.serverless.")
    ] = None
    instance_count: Annotated[int | None, Meta(description="Writer and readers together, 1 to 16.")] = None
    serverless_v2_min_capacity: Annotated[
        float | None, Meta(description="ACUs, in half steps. Goes with db.serverless.")
    ] = None
    serverless_v2_max_capacity: Annotated[
        float | None, Meta(description="ACUs, in half steps. Goes with db.serverless.")
    ] = None
    db_subnet_group_name: Annotated[str | None, Meta(description="Subnet group of the new cluster.")] = None
    vpc_security_group_ids: Annotated[
        list[str] | None, Meta(description="Security groups of the new cluster; one must let the pipeline in.")
    ] = None
    db_cluster_parameter_group_name: Annotated[
        str | None, Meta(description="Default: default.aurora-postgresql<major version>.")
    ] = None
    db_parameter_group_name: Annotated[
        str | None, Meta(description="For the instances. Default: default.aurora-postgresql<major version>.")
    ] = None
    port: Annotated[int | None, Meta(description="1150 to 65535. Default: the snapshot's port.")] = None
    deletion_protection: Annotated[bool | None, Meta(description="Of the new cluster.")] = None
    backup_retention_days: Annotated[int | None, Meta(description="Of the new cluster, 1 to 35.")] = None
    iam_database_authentication: Annotated[bool | None, Meta(description="Of the new cluster.")] = None
    tags: Annotated[
        dict[str, str] | None, Meta(description="Added to everything the operation makes, beside its own tags.")
    ] = None
    delete_source: Annotated[
        bool | None, Meta(description="Delete the source cluster once the new one has proved itself.")
    ] = None
    confirm_delete_source: Annotated[
        str | None, Meta(description="The source cluster's name once more. Nothing is deleted without it.")
    ] = None
    final_snapshot: Annotated[
        bool | None, Meta(description="Take a final snapshot before the source cluster is deleted.")
    ] = None
    archive_snapshot: Annotated[
        Literal["delete", "keep"] | None,
        Meta(description="What becomes of the copy that this operation made. Found snapshots are never deleted."),
    ] = None
    on_failure: Annotated[
        Literal["clean_up", "keep"] | None,
        Meta(description="What becomes of a cluster that this operation made but could not finish."),
    ] = None
    dry_run: Annotated[bool | None, Meta(description="Only check and plan: create, change and delete nothing.")] = None


FIELDS = {field.name: field for field in msgspec.structs.fields(RestoreRequest)}


def read_request(raw: object, environment: Mapping[str, str] = os.environ) -> RestoreRequest:
    """The request with the stack's defaults in it. Every problem is reported at once, each with its remedy."""
    if not isinstance(raw, dict):
        raise RequestRefused(
            f"The execution's input must be a JSON object, not {type(raw).__name__}. "
            "Give {} to run with the stack's parameters."
        )
    problems = list(_unknown_fields(raw))
    unreadable: list[str] = []
    given = {name: value for name, value in raw.items() if value is not None}
    values = _stack_defaults(environment)
    if str(given.get("snapshot_identifier", "")).startswith("arn:"):
        # An ARN says its region itself; only the request's own source_region can contradict it.
        values.pop("source_region", None)
    for name, field in FIELDS.items():
        if name in given:
            try:
                values[name] = msgspec.convert(given[name], field.type)
            except msgspec.ValidationError as error:
                problems.append(_wrong_type(name, given[name], str(error)))
                unreadable.append(name)
    request = RestoreRequest(**values)
    refuse_if_any([*problems, *(each for each in _problems(request) if each.split(":")[0] not in unreadable)])
    return request


def refuse_if_any(problems: list[str] | Iterator[str]) -> None:
    """One refusal that names everything there is to mend, within what a person can read."""
    found = [_readable(problem) for problem in problems]
    if len(found) > MAX_PROBLEMS:
        found[MAX_PROBLEMS:] = [f"And {len(found) - MAX_PROBLEMS} more problems of this kind."]
    if found:
        raise RequestRefused("\n".join(found))


def _readable(problem: str) -> str:
    """Values may be as long as a payload: field and remedy, at the two ends of the sentence, are what has to stay."""
    if len(problem) <= MAX_PROBLEM_LENGTH:
        return problem
    return f"{problem[:200]} … {problem[-(MAX_PROBLEM_LENGTH - 203) :]}"


def _stack_defaults(environment: Mapping[str, str]) -> dict[str, Any]:
    """DEFAULT_<FIELD> of the function's environment; an empty value means that the stack has no default."""
    defaults: dict[str, Any] = {}
    for name, field in FIELDS.items():
        text = environment.get(f"DEFAULT_{name.upper()}", "")
        if text and name not in NEVER_BY_DEFAULT:
            value: object = text.split(",") if name == "vpc_security_group_ids" else text
            try:
                defaults[name] = msgspec.convert(value, field.type, strict=False)
            except msgspec.ValidationError as error:
                raise RequestRefused(
                    f"The stack's default for {name} is {text!r}: {error}. Correct the stack's parameter."
                ) from None
    return defaults


def _unknown_fields(raw: Mapping[str, object]) -> Iterator[str]:
    for name in raw:
        if name not in FIELDS:
            close = difflib.get_close_matches(str(name)[:100], FIELDS, n=1)
            remedy = f"Did you mean {close[0]}?" if close else f"Known fields: {', '.join(FIELDS)}."
            yield f"{name}: unknown field (value {without_secrets(raw)[name]!r}). {remedy}"


def _wrong_type(name: str, value: object, complaint: str) -> str:
    wanted = complaint.split(" - at ")[0].replace("`", "").replace(" | null", "").replace("Expected", "expected")
    return f"{name}: {value!r} doesn't fit, {wanted[0].lower()}{wanted[1:]}. {FIELD_HELP[name]}"


def _help(name: str) -> str:
    metadata = next(m for m in FIELDS[name].type.__metadata__ if isinstance(m, Meta))
    return metadata.description or ""


FIELD_HELP = {name: _help(name) for name in FIELDS}


def _problems(request: RestoreRequest) -> Iterator[str]:
    yield from _naming_problems(request)
    yield from _snapshot_choice_problems(request)
    yield from _setting_problems(request)
    yield from _tag_problems(request.tags or {})
    yield from _deletion_problems(request)


def _naming_problems(request: RestoreRequest) -> Iterator[str]:
    if request.operation_id is not None and not is_operation_id(request.operation_id):
        yield (
            f"operation_id: {request.operation_id!r} can't name an operation. "
            "Use 1 to 80 letters, digits, hyphens and underscores, or leave it out to use the execution's name."
        )
    if request.source_cluster_id is not None and (why := why_not_rds_name(request.source_cluster_id)):
        yield f"source_cluster_id: {request.source_cluster_id!r} {why}. Give the source cluster's name as RDS shows it."
    if request.target_cluster_id is None:
        yield "target_cluster_id: missing. Name the cluster to create, or set the stack's TargetClusterId."
    elif why := why_not_rds_name(request.target_cluster_id.replace("{date}", "20260101"), MAX_TARGET_IDENTIFIER):
        yield f"target_cluster_id: {request.target_cluster_id!r} {why}. Choose another name for the new cluster."
    if request.source_region is not None and not _REGION.fullmatch(request.source_region):
        yield f"source_region: {request.source_region!r} is no region's name. Give one such as us-east-1."
    if request.source_account_id is not None and not _ACCOUNT.fullmatch(request.source_account_id):
        yield f"source_account_id: {request.source_account_id!r} is no account id. Give its 12 digits."
    if request.kms_key_id is not None and not _KEY.fullmatch(request.kms_key_id):
        yield f"kms_key_id: {request.kms_key_id!r} is no key. Give a key's id or ARN, or alias/<name>."
    for name in ("db_subnet_group_name", "db_cluster_parameter_group_name", "db_parameter_group_name"):
        value = getattr(request, name)
        if value is not None and not _GROUP_NAME.fullmatch(value):
            yield f"{name}: {value!r} is no group's name. Give the name of a group that exists in the target region."


def _snapshot_choice_problems(request: RestoreRequest) -> Iterator[str]:
    named, day = request.snapshot_identifier, request.snapshot_date
    if named is not None and day is not None:
        yield (
            f"snapshot_identifier {named!r} and snapshot_date {day!r} are both given. "
            "Keep one of them, or neither for the latest snapshot."
        )
    if named is not None and named.startswith("arn:"):
        if parse_snapshot_arn(named) is None:
            yield f"snapshot_identifier: {named!r} isn't the ARN of a cluster snapshot. Copy it from the RDS console."
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


def _setting_problems(request: RestoreRequest) -> Iterator[str]:
    if request.engine_version is not None and not _VERSION.fullmatch(request.engine_version):
        yield f"engine_version: {request.engine_version!r} is no version. Give one such as 17.5, or leave it out."
    for name, lowest, highest in (
        ("instance_count", 1, MAX_INSTANCES),
        ("port", 1150, 65535),
        ("backup_retention_days", 1, 35),
    ):
        value = getattr(request, name)
        if value is not None and not lowest <= value <= highest:
            yield f"{name}: {value} is out of range. Give a whole number from {lowest} to {highest}."
    if request.db_instance_class is not None and not _INSTANCE_CLASS.fullmatch(request.db_instance_class):
        yield (
            f"db_instance_class: {request.db_instance_class!r} is no instance class. "
            "Give one such as db.r6g.large or db.serverless."
        )
    yield from _capacity_problems(request)
    for group in request.vpc_security_group_ids or ():
        if not _SECURITY_GROUP.fullmatch(group):
            yield f"vpc_security_group_ids: {group!r} is no security group's id. Give ids such as sg-0123456789abcdef0."


def _capacity_problems(request: RestoreRequest) -> Iterator[str]:
    low, high = request.serverless_v2_min_capacity, request.serverless_v2_max_capacity
    for name, value in (("serverless_v2_min_capacity", low), ("serverless_v2_max_capacity", high)):
        if value is not None and not (0 <= value <= 256 and value * 2 == int(value * 2)):
            yield f"{name}: {value} is no capacity. Give 0 to 256 ACUs in steps of 0.5."
            return
    if (low is None) != (high is None):
        yield "serverless_v2_min_capacity and serverless_v2_max_capacity go together. Give both or neither."
    elif low is not None and high is not None and (low > high or high < 1):
        yield (
            f"serverless_v2_max_capacity: {high} doesn't go with a minimum of {low}. "
            "Give a maximum of at least 1 that isn't below the minimum."
        )
    elif low is None and request.db_instance_class == "db.serverless":
        yield (
            "db_instance_class: db.serverless needs its capacity. "
            "Give serverless_v2_min_capacity and serverless_v2_max_capacity."
        )


def _tag_problems(tags: Mapping[str, str]) -> Iterator[str]:
    if len(tags) > 40:
        yield f"tags: {len(tags)} tags are too many. Give at most 40, RDS takes 50 and the pipeline adds its own."
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256 or not re.fullmatch(r"[\w\s.:/=+@-]*", key + value):
            yield (
                f"tags: {key!r} = {value!r} is no tag. Keys have 1 to 128 characters, values up to 256: "
                "letters, digits, spaces and . : / = + @ - _"
            )
        elif key.lower().startswith(("aws:", "rds:", OWN_TAG_PREFIX)):
            yield f"tags: {key!r} starts with a reserved prefix. Choose a key without aws:, rds: and {OWN_TAG_PREFIX}"


def _deletion_problems(request: RestoreRequest) -> Iterator[str]:
    if not request.delete_source:
        if request.confirm_delete_source is not None:
            yield (
                f"confirm_delete_source: {request.confirm_delete_source!r} is given, but delete_source isn't true. "
                "Give both to delete the source cluster, or neither to keep it."
            )
    elif request.confirm_delete_source is None:
        yield (
            "confirm_delete_source: missing, and delete_source is true. "
            "Repeat the source cluster's name there to have it deleted, or drop delete_source to keep it."
        )
