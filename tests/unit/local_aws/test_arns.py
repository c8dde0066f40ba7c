"""How the embedded AWS reads ARNs, and the texts that people write in their place."""

from __future__ import annotations

import pytest

from scripts.local_aws.core.arns import Arn, function_name, qualified, unqualified

RDS = "arn:aws:rds:us-east-1:123456789012"
MACHINE = "arn:aws-cn:states:cn-north-1:123456789012:stateMachine:restore"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:find"


def test_a_resource_may_hold_colons() -> None:
    arn = Arn.parse(f"{RDS}:cluster-snapshot:rds:prod-2026")
    assert (arn.kind, arn.name, arn.place) == ("cluster-snapshot", "rds:prod-2026", ("us-east-1", "123456789012"))
    assert str(arn) == f"{RDS}:cluster-snapshot:rds:prod-2026"


@pytest.mark.parametrize("text", ["", "prod", "*", "arn:aws:rds", RDS, "urn:aws:rds:us-east-1:1:x"])
def test_what_is_no_whole_arn_is_none(text: str) -> None:
    assert Arn.parse_or_none(text) is None
    assert unqualified(text) == (text, "")
    with pytest.raises(ValueError, match="is not an ARN"):
        Arn.parse(text)


@pytest.mark.parametrize("arn", [MACHINE, FUNCTION, "arn:aws:lambda:us-east-1:123456789012:layer:packages"])
def test_a_version_ends_the_arn_of_what_it_is_of(arn: str) -> None:
    assert unqualified(arn) == (arn, "")
    assert unqualified(f"{arn}:7") == (arn, "7")


def test_an_executions_name_is_no_version() -> None:
    execution = f"{MACHINE.replace('stateMachine', 'execution')}:nightly"
    assert unqualified(execution) == (execution, "")


@pytest.mark.parametrize("text", ["find:live", f"{FUNCTION}:live", "123456789012:function:find:live"])
def test_a_function_is_named_in_three_ways(text: str) -> None:
    assert qualified(function_name(text)) == ("find", "live")
