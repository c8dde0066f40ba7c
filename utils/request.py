"""What a person asks for: the execution's input, with the stack's defaults in it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from utils.aurora_shapes import OPERATION_TAG
from utils.errors import RequestRefused
from utils.redaction import without_secrets
from utils.request_checks import request_problems

# What deletes production's cluster is said by each request itself; no setting of the stack can say it for all of them.
NEVER_BY_DEFAULT = frozenset({"delete_source", "confirm_delete_source", "final_snapshot"})
# A refusal is read by people, and Step Functions takes no cause beyond 32,768 characters.
MAX_PROBLEMS = 15
MAX_PROBLEM_LENGTH = 1000


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
    refuse_if_any([*problems, *(each for each in request_problems(request) if each.split(":")[0] not in unreadable)])
    return request


def refuse_if_any(problems: list[str] | Iterator[str]) -> None:
    """One refusal that names everything there is to mend, within what a person can read."""
    found = [_readable(problem) for problem in problems]
    if len(found) > MAX_PROBLEMS:
        found[MAX_PROBLEMS:] = [f"And {len(found) - MAX_PROBLEMS} more problems of this kind."]
    if found:
        raise RequestRefused("\n".join(found))


def own_tags(request: RestoreRequest, operation_id: str) -> dict[str, str]:
    """What everything that the operation makes carries: the user's tags, and the one that says whose it is."""
    return {**(request.tags or {}), OPERATION_TAG: operation_id}


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
