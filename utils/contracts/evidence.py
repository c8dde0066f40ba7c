"""The evidence of an operation: what is written down of its end, signed, for people who were not there.

Its JSON has no value of the data and no secret, and is all integers, texts, truth values and times, so that there is
one way to write it: keys sorted, UTF-8, one line feed at the end. Times are in UTC; durations and ages are whole
seconds; `None` is what is unknown or does not apply. Its JSON Schema: `documentation/operations/evidence.schema.json`.
Fields may be added within a version of `SCHEMA`; none changes its meaning.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from utils.contracts.verification import CheckResult

SCHEMA = "aurora-restore.evidence/1"
LINK_SCHEMA = "aurora-restore.link/1"
INDEX_SCHEMA = "aurora-restore.index/1"
# What the first link of a chain names as the one before it.
NO_LINK = "0" * 64
SIGNING_ALGORITHM: Final = "ECDSA_SHA_256"

# A time without its zone could be any of 24.
Moment = Annotated[dt.datetime, Meta(tz=True)]
EvidenceKind = Literal["restore", "refresh", "drill", "rollback"]
# `findings`: it came to its end, and not every check held. `stopped`: by hand, or it timed out.
EvidenceOutcome = Literal["passed", "findings", "failed", "stopped", "refused"]


class Summary(Struct, frozen=True, kw_only=True):
    """What a reader sees first: whether it worked, in one sentence why or how, and what to do now."""

    worked: bool
    sentence: str
    next: list[str]


class Requested(Struct, frozen=True, kw_only=True):
    """Who asked for what. `by_source` says where `by` is from: CloudTrail, or only the request's own claim.

    `request` is the input as JSON without secrets, `plan_sha256` the hash of the plan that was followed.
    """

    by: str
    by_source: Literal["cloudtrail", "claimed", "unknown"]
    event_id: str | None
    plan_sha256: str | None
    request: str


class EvidenceSnapshot(Struct, frozen=True, kw_only=True):
    """What was restored, and the cluster that it is of. RDS reports the size of few snapshots of Aurora."""

    arn: str
    identifier: str
    created_at: Moment
    encryption: str
    kms_key_id: str | None
    cluster_identifier: str
    region: str
    account: str
    copied_to: str | None
    engine_version: str
    allocated_gib: int | None


class EvidenceTarget(Struct, frozen=True, kw_only=True):
    """The cluster that was created. `exists`: whether it did when the evidence was written, as far as RDS could say.

    `settings`: whether RDS reported them as they were planned. Where they differ, the findings say how.
    """

    identifier: str
    resource_id: str | None
    region: str
    account: str
    endpoint: str | None
    instances: list[str]
    settings: Literal["as_planned", "differ", "not_compared"]
    exists: bool | None


class Isolation(Struct, frozen=True, kw_only=True):
    """How users were kept out of the restored cluster.

    The door is the network: until it opens, only the pipeline is admitted. `security_groups` are those that admit its
    users once it is open, which a drill's never is.
    """

    door: Literal["never", "opened", "unknown"]
    door_security_group: str | None
    opened_at: Moment | None
    security_groups: list[str]
    inherited_logins: str | None
    locked_logins: int
    masking_policy: str | None
    masked_at: Moment | None


class Objective(Struct, frozen=True, kw_only=True):
    """A time against its target, both in seconds. `held` is None where one of them is unknown."""

    target: int | None
    actual: int | None

    @property
    def held(self) -> bool | None:
        """Return whether the target was kept."""
        return None if self.target is None or self.actual is None else self.actual <= self.target


class Objectives(Struct, frozen=True, kw_only=True):
    """How old the data was when the operation began (`rpo_seconds`), and how long it took until usable (`rto_seconds`).

    `rpo_from` says from what the age was counted: the newest row that was found, or the snapshot's time.
    """

    rpo_seconds: Objective
    rpo_from: Literal["newest_row", "snapshot"] | None
    rto_seconds: Objective


class TimelineEntry(Struct, frozen=True, kw_only=True):
    """A phase of the operation. `ended_at` is None for the one in which it ended without coming to its end."""

    phase: str
    began_at: Moment
    ended_at: Moment | None
    outcome: Literal["done", "failed"]


class Checked(Struct, frozen=True, kw_only=True):
    """What the verification found: the checks, those that did not hold first, and how many were held but not listed.

    `compared_with_source` is the source cluster with which the restored one was compared, as the source was then.
    """

    policy: str
    held: int
    failed: int
    not_run: int
    not_listed: int
    tables: int
    tables_counted: int
    rows: int
    fingerprint: str
    newest_row_at: Moment | None
    compared_with: str | None
    compared_with_source: str | None = None
    results: list[CheckResult]


class Change(Struct, frozen=True, kw_only=True):
    """Something that the operation deleted, shared, masked or otherwise changed. `proof` says how that is known."""

    what: Literal[
        "created",
        "deleted",
        "deletion begun",
        "found gone",
        "shared",
        "unshared",
        "export begun",
        "exported",
        "masked",
        "replaced",
        "locked",
        "protection off",
    ]
    on: str
    resource_id: str | None
    at: Moment | None
    proof: str


class EvidenceExecution(Struct, frozen=True, kw_only=True):
    """The execution that ended, and the earlier ones of the same operation."""

    arn: str
    redrive_count: int
    earlier: list[str]


class Software(Struct, frozen=True, kw_only=True):
    """Which code ran: the function's version, and the hash of the package that Lambda runs."""

    name: str
    function_version: str
    code_sha256: str | None


class Evidence(Struct, frozen=True, kw_only=True):
    """All of it. `limits` are sentences on what this does not show."""

    schema: str = SCHEMA
    operation_id: str
    kind: EvidenceKind
    outcome: EvidenceOutcome
    started_at: Moment
    ended_at: Moment
    summary: Summary
    error: str | None
    requested: Requested
    snapshot: EvidenceSnapshot | None
    target: EvidenceTarget | None
    isolation: Isolation | None
    objectives: Objectives
    timeline: list[TimelineEntry]
    checks: Checked | None
    findings: list[str]
    changes: list[Change]
    execution: EvidenceExecution
    software: Software
    limits: list[str]


class Digest(Struct, frozen=True, kw_only=True):
    """A file by its bytes: their hash and number."""

    sha256: str
    bytes: int


class PreviousLink(Struct, frozen=True, kw_only=True):
    """The link before: `sha256` is of its bytes, `NO_LINK` where there is none."""

    operation_id: str | None
    sha256: str


class SigningKey(Struct, frozen=True, kw_only=True):
    """The key that signs: `sha256` is of its public key in DER, as KMS's GetPublicKey returns it."""

    arn: str
    sha256: str


class Link(Struct, frozen=True, kw_only=True):
    """A link of the chain: which files belong to the operation, and which link came before.

    What is signed are exactly the bytes of this, at most 4,096 (KMS API Reference, Sign, Message).
    """

    schema: str = LINK_SCHEMA
    sequence: int
    previous: PreviousLink
    operation_id: str
    execution_id: str
    closed_at: Moment
    evidence: Digest
    report: Digest
    key: SigningKey
    algorithm: str = SIGNING_ALGORITHM


def written(struct: Struct) -> bytes:
    """Return the one way in which evidence and links are written. Who verifies hashes the bytes and writes nothing."""
    return msgspec.json.encode(struct, order="sorted") + b"\n"


class Sealed(Struct, frozen=True, kw_only=True):
    """Where an operation's evidence is: the number and the hash of its link, and the folder of its files in S3."""

    sequence: int
    sha256: str
    bucket: str
    folder: str


class IndexEntry(Struct, frozen=True, kw_only=True):
    """An operation as the index page lists it. `folder` is relative to the bucket; seconds as in `Objectives`."""

    sequence: int
    operation_id: str
    kind: EvidenceKind
    outcome: EvidenceOutcome
    source: str | None
    target: str | None
    started_at: Moment
    ended_at: Moment
    rpo_seconds: int | None
    rpo_target: int | None
    rto_seconds: int | None
    rto_target: int | None
    checks_held: int
    checks: int
    folder: str


class Index(Struct, frozen=True, kw_only=True):
    """The index over a stack's operations, the newest first. `omitted` are older ones that it does not list."""

    schema: str = INDEX_SCHEMA
    stack: str
    written_at: Moment
    entries: list[IndexEntry]
    omitted: int


def index_entry(evidence: Evidence, sequence: int, folder: str) -> IndexEntry:
    """Return what the index says of an operation."""
    checks, aims = evidence.checks, evidence.objectives
    return IndexEntry(
        sequence=sequence,
        operation_id=evidence.operation_id,
        kind=evidence.kind,
        outcome=evidence.outcome,
        source=evidence.snapshot.cluster_identifier if evidence.snapshot else None,
        target=evidence.target.identifier if evidence.target else None,
        started_at=evidence.started_at,
        ended_at=evidence.ended_at,
        rpo_seconds=aims.rpo_seconds.actual,
        rpo_target=aims.rpo_seconds.target,
        rto_seconds=aims.rto_seconds.actual,
        rto_target=aims.rto_seconds.target,
        checks_held=checks.held if checks else 0,
        checks=checks.held + checks.failed + checks.not_run if checks else 0,
        folder=folder,
    )
