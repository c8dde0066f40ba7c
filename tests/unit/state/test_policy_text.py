"""The text by which an operation masks is the one with which it was planned."""

from __future__ import annotations

import pytest

from tests.unit.support import EXECUTION, NOW, OPERATION, STATE_TABLE
from utils.aws import client
from utils.errors import StepFailed
from utils.policies.fields import MAX_BYTES
from utils.state.operation import OperationState
from utils.state.policy_text import keep_policy, kept_policy, policy_hash

pytestmark = pytest.mark.usefixtures("account")

POLICY = "version: 1\ndatabases:\n  größe: {}\n"


def keep(text: str) -> None:
    keep_policy(text, OperationState(OPERATION, EXECUTION, NOW))


def test_a_policy_is_read_as_it_was_kept() -> None:
    keep(POLICY)
    keep(POLICY)
    assert kept_policy(OPERATION, policy_hash(POLICY)) == POLICY
    assert client("dynamodb").scan(TableName=STATE_TABLE)["Count"] == 1


def test_another_policy_of_the_operation_takes_nobodys_place() -> None:
    keep(POLICY)
    keep("version: 1\n")
    assert kept_policy(OPERATION, policy_hash(POLICY)) == POLICY


def test_the_longest_policy_fits_into_an_item() -> None:
    """An item of DynamoDB's has at most 400 KB (Developer Guide, "Service, account, and table quotas")."""
    text = "".join(chr(33 + n * 7919 % 90) for n in range(MAX_BYTES))
    keep(text)
    assert kept_policy(OPERATION, policy_hash(text)) == text


def test_what_is_gone_or_was_changed_masks_nothing() -> None:
    with pytest.raises(StepFailed, match="no longer has the masking policy"):
        kept_policy(OPERATION, policy_hash(POLICY))
    keep(POLICY)
    (item,) = client("dynamodb").scan(TableName=STATE_TABLE)["Items"]
    keep("version: 1\n")
    (other,) = [each for each in client("dynamodb").scan(TableName=STATE_TABLE)["Items"] if each != item]
    client("dynamodb").put_item(TableName=STATE_TABLE, Item={**item, "policy": other["policy"]})
    with pytest.raises(StepFailed, match="no longer has the masking policy"):
        kept_policy(OPERATION, policy_hash(POLICY))
