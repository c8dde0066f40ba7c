"""The evidence of an operation as the command reads it: the links of the chain, strictly, and what a person sees first.

What is signed are the bytes of a link, which name the hashes of its files and of the link before. A link that was not
written in the one way in which links are written is refused: msgspec takes the last of two equal keys, other readers
take the first. Fields that are not known here are ignored, since newer stacks may add some.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

EVIDENCE, REPORT, LINK, SIGNATURE = "evidence.json", "report.html", "link.json", "link.sig"
SCHEMA = "aurora-restore.evidence/1"
LINK_SCHEMA = "aurora-restore.link/1"
SIGNING_ALGORITHM = "ECDSA_SHA_256"
# What the first link of a chain names as the one before it.
NO_LINK = "0" * 64
# KMS signs no longer message (KMS API Reference, Sign, Message).
MAX_LINK_BYTES = 4_096

Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class NotALink(Exception):
    """The bytes are no link, or not written as links are. The message says why."""


class Digest(Struct, frozen=True, kw_only=True):
    """A file by its bytes: their hash and number."""

    sha256: Sha256
    bytes: Annotated[int, Meta(ge=0)]


class PreviousLink(Struct, frozen=True, kw_only=True):
    """The link before; its hash is `NO_LINK` where there is none."""

    operation_id: str | None
    sha256: Sha256


class SigningKey(Struct, frozen=True, kw_only=True):
    """The key that signs; the hash is of its public key in DER."""

    arn: str
    sha256: Sha256


class Link(Struct, frozen=True, kw_only=True):
    """A link of the chain of evidence: it names the operation's files by their hashes, and the link before."""

    schema: Literal["aurora-restore.link/1"]
    sequence: Annotated[int, Meta(ge=1)]
    previous: PreviousLink
    operation_id: str
    execution_id: str
    closed_at: dt.datetime
    evidence: Digest
    report: Digest
    key: SigningKey
    algorithm: Literal["ECDSA_SHA_256"]


class Summary(Struct, frozen=True, kw_only=True):
    """The answer in short: whether the operation worked, why or how in one sentence, and what to do now."""

    worked: bool
    sentence: str
    next: list[str]


class Objective(Struct, frozen=True, kw_only=True):
    """A time against its target, both in seconds."""

    target: int | None = None
    actual: int | None = None

    @property
    def verdict(self) -> str:
        """Return whether the target was kept, as the report has it."""
        if self.target is None or self.actual is None:
            return ""
        return "HELD" if self.actual <= self.target else "NOT HELD"


class Objectives(Struct, frozen=True, kw_only=True):
    """How old the data was when the operation began, and how long it took until usable."""

    rpo_seconds: Objective = Objective()
    rpo_from: str | None = None
    rto_seconds: Objective = Objective()


class Checked(Struct, frozen=True, kw_only=True):
    """How many checks held."""

    held: int
    failed: int
    not_run: int
    newest_row_at: dt.datetime | None = None


class Source(Struct, frozen=True, kw_only=True):
    """The cluster whose snapshot was restored."""

    cluster_identifier: str = ""
    created_at: dt.datetime | None = None


class Target(Struct, frozen=True, kw_only=True):
    """The cluster that was created."""

    identifier: str = ""


class Evidence(Struct, frozen=True, kw_only=True):
    """What the first screen needs of the evidence."""

    schema: Literal["aurora-restore.evidence/1"]
    operation_id: str
    kind: str
    outcome: str
    started_at: dt.datetime
    ended_at: dt.datetime
    summary: Summary
    objectives: Objectives = Objectives()
    checks: Checked | None = None
    snapshot: Source | None = None
    target: Target | None = None


def read_link(written: bytes) -> Link:
    """Return the link that was written. Raise NotALink where it is none, or is not in the form in which all are."""
    if len(written) > MAX_LINK_BYTES:
        raise NotALink(f"it has {len(written)} bytes, and no link has more than {MAX_LINK_BYTES}")
    try:
        found: Any = msgspec.json.decode(written)
        again = msgspec.json.encode(found, order="sorted") + b"\n"
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise NotALink(f"it cannot be read as JSON: {error}") from None
    if again != written:
        raise NotALink("it is not in canonical form: keys sorted and each once, no spaces, one line feed at the end")
    try:
        return msgspec.convert(found, Link)
    except msgspec.ValidationError as error:
        raise NotALink(f"it is no {LINK_SCHEMA}: {error}") from None


def read_evidence(written: bytes) -> Evidence:
    """Return the evidence that was written. Raise NotALink where it is none."""
    try:
        return msgspec.json.decode(written, type=Evidence)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise NotALink(f"it is no {SCHEMA}: {error}") from None
