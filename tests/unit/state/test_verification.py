"""What a verification has found is read as it was kept, however many tables there are."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from tests.unit.support import EXECUTION, NOW, OPERATION, STATE_TABLE, a_plan
from utils.aws import client
from utils.contracts.verification import CheckResult, Verification
from utils.state.operation import OperationState
from utils.state.pieces import PIECE_BYTES, keep_pieces, kept_pieces
from utils.state.verification import keep_baseline, keep_verification, kept_baseline, kept_verification
from utils.verification.summary import MAX_LISTED

pytestmark = pytest.mark.usefixtures("account")

# Nothing compresses it.
LONG = b"".join(hashlib.sha256(str(number).encode()).digest() for number in range(40_000))
SNAPSHOT = a_plan().snapshot


def state() -> OperationState:
    return OperationState(OPERATION, EXECUTION, NOW)


def items() -> list[dict[str, Any]]:
    pages = client("dynamodb").get_paginator("scan").paginate(TableName=STATE_TABLE)
    return [dict(each) for page in pages for each in page["Items"]]


def a_verification(checks: int = 1) -> Verification:
    """With names, errors and numbers as long as they come."""
    return Verification(
        policy="nightly",
        checks=[
            CheckResult(
                name=f"{number}{'ä' * 250}", kind="own_rows", scope="ö" * 255, expected="x" * 100, actual="y" * 300,
                held=None, took_ms=number, limit_ms=9000, text_sha256=hashlib.sha256(str(number).encode()).hexdigest(),
                error=hashlib.sha512(str(number).encode()).hexdigest() * 10,
            )
            for number in range(checks)
        ],
        held=0,
        failed=0,
        not_run=checks,
        tables=0,
        tables_counted=0,
        rows=0,
        fingerprint="0" * 64,
        finished_at=NOW,
    )  # fmt: skip


@pytest.mark.parametrize("content", [b"", b"short", LONG])
def test_content_of_any_length_is_read_as_it_was_kept(content: bytes) -> None:
    pieces = keep_pieces("key#1", content, state())
    assert keep_pieces("key#1", content, state()) == pieces
    assert kept_pieces(pieces) == content
    assert len(items()) == pieces.count
    assert all(len(each["content"]["B"]) <= PIECE_BYTES for each in items())


def test_content_of_which_something_is_gone_or_was_changed_is_none() -> None:
    pieces = keep_pieces("key#1", LONG, state())
    assert pieces.count > 2
    first, *_ = items()
    client("dynamodb").put_item(TableName=STATE_TABLE, Item={**first, "content": {"B": b"another"}})
    assert kept_pieces(pieces) is None
    client("dynamodb").delete_item(TableName=STATE_TABLE, Key={"operation_id": first["operation_id"]})
    assert kept_pieces(pieces) is None


def test_what_was_found_is_read_as_it_was_kept_and_the_most_of_it_fits() -> None:
    assert kept_verification(OPERATION) is None
    keep_verification(a_verification(), state())
    keep_verification(a_verification(MAX_LISTED), state())
    assert kept_verification(OPERATION) == a_verification(MAX_LISTED)
    assert len(items()) == 1


def test_a_source_has_one_baseline_for_each_masking_policy() -> None:
    assert kept_baseline(SNAPSHOT, "") is None
    keep_baseline(b"first", SNAPSHOT, "", state())
    keep_baseline(b"second", SNAPSHOT, "", state())
    keep_baseline(b"masked", SNAPSHOT, "staging", state())
    assert kept_baseline(SNAPSHOT, "") == b"second"
    assert kept_baseline(SNAPSHOT, "staging") == b"masked"


def test_a_baseline_that_somebody_has_changed_is_learned_anew() -> None:
    keep_baseline(b"first", SNAPSHOT, "", state())
    (head,) = [each for each in items() if "baseline" in each]
    client("dynamodb").put_item(TableName=STATE_TABLE, Item={**head, "baseline": {"S": "{"}})
    assert kept_baseline(SNAPSHOT, "") is None
