"""What an ARN says is read in one place, and what is no ARN is refused by its own text."""

from __future__ import annotations

import re

import pytest

from utils.arns import (
    Arn,
    execution_name,
    is_meant_as_arn,
    parse_snapshot_arn,
    resource_of,
    snapshot_arn,
    snapshot_name,
    state_machine_of,
)

SNAPSHOT = "arn:aws-us-gov:rds:us-gov-west-1:123456789012:cluster-snapshot:rds:prod-2026"
EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:aurora-restore:nightly"


def test_an_arn_is_read_in_its_parts() -> None:
    arn = Arn.parse(SNAPSHOT)
    assert (arn.partition, arn.service) == ("aws-us-gov", "rds")
    assert (arn.region, arn.account_id) == arn.place == ("us-gov-west-1", "123456789012")
    assert arn.resource == "cluster-snapshot:rds:prod-2026"
    assert arn.name == "rds:prod-2026"


@pytest.mark.parametrize("text", [SNAPSHOT, EXECUTION, "arn:aws:iam::123456789012:role/reader", "arn:aws:s3:::bucket"])
def test_an_arn_is_written_as_it_was_read(text: str) -> None:
    assert str(Arn.parse(text)) == text


@pytest.mark.parametrize("text", ["", "prod-tuesday", "alias/aws/rds", "arn:aws:rds", "urn:aws:rds:us-east-1:1:x"])
def test_what_is_no_arn_is_named_in_the_refusal(text: str) -> None:
    assert Arn.parse_or_none(text) is None
    with pytest.raises(ValueError, match=re.escape(f"{text!r} is not an ARN")):
        Arn.parse(text)


@pytest.mark.parametrize("name", ["alias/aws/rds", "key-id", "arn:aws:kms", ""])
def test_a_text_that_is_no_arn_is_a_resource_itself(name: str) -> None:
    assert resource_of(name) == name
    assert resource_of("arn:aws:kms:us-east-1:123456789012:alias/aws/rds") == "alias/aws/rds"
    assert is_meant_as_arn(name) is name.startswith("arn:")


def test_a_snapshots_arn_is_known_by_its_kind() -> None:
    assert parse_snapshot_arn(SNAPSHOT) == Arn.parse(SNAPSHOT)
    assert snapshot_name(SNAPSHOT) == snapshot_name("rds:prod-2026") == "rds:prod-2026"
    assert snapshot_arn("aws-us-gov", "us-gov-west-1", "123456789012", "rds:prod-2026") == SNAPSHOT


@pytest.mark.parametrize(
    "arn",
    [
        "prod-tuesday",
        "arn:aws:rds:us-east-1:123456789012:snapshot:instance-snapshot",
        "arn:aws:rds:us-east-1:123456789012:cluster:prod",
        "arn:aws:rds:us-east-1::cluster-snapshot:prod",
        "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:",
    ],
)
def test_another_arn_is_no_snapshots(arn: str) -> None:
    assert parse_snapshot_arn(arn) is None


def test_an_execution_names_itself_and_its_state_machine() -> None:
    assert execution_name(EXECUTION) == "nightly"
    assert str(state_machine_of(EXECUTION)) == "arn:aws:states:us-east-1:123456789012:stateMachine:aurora-restore"
