"""IAM's policy language, by the rules of the IAM user guide."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.local_aws.iam.policy import Context, Policy, PolicyError, Request, Verdict, arn_matches, evaluate

CLUSTER = "arn:aws:rds:us-east-1:123456789012:cluster:staging"


def verdict(
    *statements: dict[str, Any], action: str = "rds:ModifyDBCluster", context: Context | None = None
) -> Verdict:
    policy = Policy.parse("p", {"Version": "2012-10-17", "Statement": list(statements)})
    return evaluate([policy], Request(action, CLUSTER, context or {}))


def allow(**elements: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": "rds:*", "Resource": "*", **elements}


def conditioned(operator: str, key: str, *values: str, actual: str | tuple[str, ...] | None = None) -> bool:
    """Whether a condition holds for a request in which the key has this actual value, or is absent."""
    context = {} if actual is None else {key.lower(): actual}
    return verdict(allow(Condition={operator: {key: list(values)}}), context=context).allowed


def test_what_nothing_allows_is_denied() -> None:
    assert not verdict(allow(Action="rds:DescribeDBClusters")).allowed
    assert not verdict(allow(Resource=CLUSTER + "-2")).allowed


def test_a_deny_wins_whatever_comes_first() -> None:
    deny = allow(Effect="Deny", Sid="Never", Action="rds:Modify*")
    for statements in ((allow(), deny), (deny, allow())):
        answer = verdict(*statements)
        assert answer.explicitly_denied
        assert answer.statement is not None
        assert answer.statement.label == "p#Never"


def test_a_statement_is_alone_where_no_other_decides_the_same() -> None:
    deny = allow(Effect="Deny", Sid="Never", Action="rds:Modify*")
    elsewhere = allow(Action="rds:DescribeDBClusters")
    assert verdict(allow(), elsewhere).alone
    assert not verdict(allow(), allow(Sid="Again")).alone
    assert verdict(allow(), allow(Sid="Again"), deny).alone
    assert not verdict(elsewhere).alone


def test_actions_ignore_case_and_resources_do_not() -> None:
    assert verdict(allow(Action="RDS:modifydb*")).allowed
    assert not verdict(allow(Resource=CLUSTER.upper())).allowed


def test_not_action_and_not_resource_turn_the_match_round() -> None:
    everything_else = {"Effect": "Allow", "NotAction": "rds:Delete*", "NotResource": "*:cluster:production"}
    assert verdict(everything_else).allowed
    assert not verdict(everything_else, action="rds:DeleteDBCluster").allowed


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("arn:aws:rds:us-east-1:123456789012:cluster:*", True),
        ("arn:aws:rds:*:*:cluster:stag?ng", True),
        ("arn:aws:rds:*", True),
        ("*", True),
        ("arn:aws:rds:*:cluster:staging", False),
        ("arn:aws:rds:us-west-?:*:cluster:*", False),
    ],
)
def test_wildcards_stay_within_a_segment_of_an_arn_except_the_last(pattern: str, matches: bool) -> None:
    assert arn_matches(pattern, CLUSTER) is matches


@pytest.mark.parametrize(
    ("operator", "value", "met", "met_without_the_key"),
    [
        ("StringEquals", "eu", True, False),
        ("StringEquals", "us", False, False),
        ("StringLike", "e?", True, False),
        ("StringNotEquals", "eu", False, True),
        ("StringNotLike", "u*", True, True),
        ("StringEqualsIfExists", "us", False, True),
        ("StringEqualsIgnoreCase", "EU", True, False),
    ],
)
def test_string_operators(operator: str, value: str, met: bool, met_without_the_key: bool) -> None:
    assert conditioned(operator, "aws:RequestedRegion", value, actual="eu") is met
    assert conditioned(operator, "aws:RequestedRegion", value) is met_without_the_key


def test_several_values_are_alternatives_and_negated_ones_all_must_differ() -> None:
    assert conditioned("StringEquals", "aws:RequestedRegion", "us", "eu", actual="eu")
    assert not conditioned("StringNotEquals", "aws:RequestedRegion", "us", "eu", actual="eu")


def test_null_asks_whether_a_key_is_there() -> None:
    assert conditioned("Null", "aws:RequestTag/owner", "true")
    assert not conditioned("Null", "aws:RequestTag/owner", "false")


def test_multivalued_keys_need_a_set_operator() -> None:
    both = ("owner", "cost")
    assert conditioned("ForAllValues:StringEquals", "aws:TagKeys", "owner", "cost", "team", actual=both)
    assert not conditioned("ForAllValues:StringEquals", "aws:TagKeys", "owner", actual=both)
    assert conditioned("ForAnyValue:StringEquals", "aws:TagKeys", "owner", actual=both)
    assert not conditioned("ForAnyValue:StringEquals", "aws:TagKeys", "owner")
    assert conditioned("ForAllValues:StringEquals", "aws:TagKeys", "owner")
    with pytest.raises(PolicyError, match="several values"):
        conditioned("StringEquals", "aws:TagKeys", "owner", actual=both)


def test_booleans_and_arns_are_compared_as_such() -> None:
    assert conditioned("Bool", "aws:SecureTransport", "True", actual="true")
    assert conditioned("ArnLike", "aws:PrincipalArn", "arn:aws:iam::*:role/r*", actual="arn:aws:iam::1:role/r")
    assert conditioned("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::2:*", actual="arn:aws:iam::1:role/r")


def test_policy_variables_are_filled_in_and_an_unknown_one_matches_nothing() -> None:
    own = allow(Resource="arn:aws:rds:*:*:cluster:${aws:PrincipalTag/cluster}")
    assert verdict(own, context={"aws:principaltag/cluster": "staging"}).allowed
    assert not verdict(own).allowed


@pytest.mark.parametrize(
    "statement",
    [
        allow(Condition={"DateLessThan": {"aws:RequestedRegion": "x"}}),
        allow(Condition={"StringEquals": {"rds:Vpc": "x"}}),
        allow(NotPrincipal="*"),
        {"Effect": "Allow", "Action": "rds:*"},
        {"Effect": "allow", "Action": "rds:*", "Resource": "*"},
        {"Effect": "Allow", "Resource": "*"},
    ],
)
def test_what_cannot_be_evaluated_is_an_error_and_not_a_guess(statement: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        verdict(statement)
