"""The end of an operation as evidence: written, sealed, listed in the index, and announced on EventBridge.

What fails here is reported and hides nothing: the operation's own end, and the message on it, matter more. The numbers
of the chain have no gap, so evidence that could not be written is missed by its operation, and not by a number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from utils import environment, metrics
from utils.aws_errors import as_step_error
from utils.contracts.evidence import Evidence, Index, Sealed, written
from utils.errors import StepFailed
from utils.evidence import chain, store
from utils.evidence.chain import ChainedLink
from utils.evidence.page import index_page, report_page
from utils.evidence.seal import seal
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.operation.event import send_event
from utils.state.operation import OperationRecord

STEP = "evidence"
# The index is read by people. The chain has all of them.
MOST_IN_INDEX = 200
log = Logger(service=metrics.SERVICE, child=True)


class Witness(Struct, frozen=True, kw_only=True):
    """What the message and the event say of the evidence: where it is, or why there is none."""

    sealed: Sealed | None = None
    outcome: str = ""
    problem: str = ""

    @property
    def lines(self) -> str:
        """Return what the message says. The number and the hash stand here, so that a cut end of the chain shows."""
        if self.sealed is None:
            return f"Evidence   NOT WRITTEN: {self.problem}"
        where = f"s3://{self.sealed.bucket}/{self.sealed.folder}/report.html"
        return f"Evidence   #{self.sealed.sequence} {self.outcome}, sha256 {self.sealed.sha256}\n           {where}"


class ChainBegun(Struct, frozen=True, kw_only=True):
    """Which link the chain ends with before an end is added: as it is recorded, and that link where it was just read.

    Nothing is recorded where that could not be said.
    """

    recorded: dict[str, object] = {}
    head: list[ChainedLink] | None = None

    @property
    def after(self) -> int | None:
        """Return the link's number; None where that is not known."""
        number = self.recorded.get("after")
        return int(str(number)) if number is not None else None


def chain_begun(record: OperationRecord | None, attempt: str) -> ChainBegun:
    """Return which link the chain ends with before this end is added, as an earlier call has recorded it, or as it is.

    It is recorded with the operation's end, so that a call that is repeated finds the link of the one before.
    """
    if record is not None and record.evidence_begun.get("attempt") == attempt:
        return ChainBegun(recorded=record.evidence_begun)
    try:
        head = chain.newest()
    except (ClientError, BotoCoreError, StepFailed) as error:
        log.warning("chain not read", extra={"cause": one_line(error, MAX_SENTENCE)})
        return ChainBegun()
    return ChainBegun(recorded={"attempt": attempt, "after": chain.number_of(head)}, head=head)


def seal_end(
    collect: Callable[[], Evidence],
    operation_id: str,
    attempt: str,
    begun: ChainBegun,
    note: Callable[[dict[str, object]], None],
) -> Witness:
    """Write the evidence that `collect` returns, add it to the chain, renew the index, send the event. Never raises.

    If something goes wrong here, in the data or by a fault of ours, the operation's end is still reported to people.
    """
    sealed: Sealed | None = None
    evidence: Evidence | None = None
    problem = ""
    try:
        evidence = collect()
        sealed = seal(
            evidence,
            _page_of,
            attempt,
            begun.after,
            lambda number: note({"attempt": attempt, "after": number}),
            begun.head,
        )
    except Exception as error:
        failure = as_step_error(error) if isinstance(error, (ClientError, BotoCoreError)) else error
        metrics.count_failure(STEP, operation_id, type(failure).__name__)
        problem = one_line(f"{type(failure).__name__}: {failure}", MAX_SENTENCE)
        log.exception("evidence not written", extra={"cause": problem})
    if evidence is not None:
        if sealed is not None:
            _renew_index(evidence)
        send_event(evidence, sealed)
    return Witness(sealed=sealed, outcome=evidence.outcome if evidence is not None else "", problem=problem)


def _page_of(as_json: bytes, key_sha256: str) -> bytes:
    """Return the page of the evidence as it is in the bucket, where an earlier try may have written it."""
    evidence = msgspec.json.decode(as_json, type=Evidence)
    return report_page(evidence, sha256=hashlib.sha256(as_json).hexdigest(), key_sha256=key_sha256)


def _renew_index(evidence: Evidence) -> None:
    """Write the index again. Where that fails, the next end does it."""
    try:
        entries, omitted = chain.entries(MOST_IN_INDEX)
        stack = environment.text("NAME_PREFIX")
        index = Index(stack=stack, written_at=evidence.ended_at, entries=entries, omitted=omitted)
        store.put_index(written(index), index_page(index))
    except Exception as error:  # noqa: BLE001 as above
        log.warning("index not written", extra={"cause": one_line(error, MAX_SENTENCE)})
