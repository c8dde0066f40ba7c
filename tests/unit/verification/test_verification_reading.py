"""A verification policy is read strictly, and all that is wrong with it is reported at once, with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.support import ROOT
from utils.policies.fields import MAX_BYTES, InvalidPolicy
from utils.verification.policy import SourceRules, VerificationPolicy
from utils.verification.reading import MAX_OWN_CHECKS, read_verification_policy

PAGE = Path(ROOT, "documentation/implementation_guide/verification.md").read_text()
EXAMPLE = PAGE.split("<!-- example -->\n```yaml\n")[1].split("```")[0]


def faults(text: str) -> list[str]:
    with pytest.raises(InvalidPolicy) as refused:
        read_verification_policy(text)
    return refused.value.faults


def test_the_pages_example_is_a_policy_that_shows_every_field() -> None:
    policy = read_verification_policy(EXAMPLE)
    (rules,) = policy.databases
    assert (policy.check_seconds, policy.count_below_mb, policy.max_loss_percent) == (300, 128, 50)
    assert [each.text for each in policy.leave_out] == ["scratch"]
    assert len(rules.count) == 2
    assert len(rules.foreign_keys) == 1
    assert [each.max_hours for each in rules.newest_rows] == [24, None]
    rows, number = rules.own
    assert not rows.is_number
    assert (number.is_number, number.least, number.most) == (True, "10000", "5000000")
    assert policy.source == SourceRules(max_difference_percent=5, max_hours_behind=26)


def test_what_a_policy_leaves_out_is_as_in_the_built_in_checks() -> None:
    assert read_verification_policy("version: 1") == VerificationPolicy()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("databases: {}", "the policy needs the field 'version'"),
        ("version: 2", "`version` is 1: no other is known."),
        ("version: 1\nchecks: {}", "the policy has no field 'checks'"),
        ("version: 1\ncheck_seconds: 481", "`check_seconds` is a whole number from 1 to 480."),
        ("version: 1\ncheck_seconds: 0", "`check_seconds` is a whole number"),
        ("version: 1\ncount_below_mb: much", "`count_below_mb` is a whole number"),
        ("version: 1\nmax_loss_percent: 101", "`max_loss_percent` is a whole number from 0 to 100."),
        ("version: 1\nschema_changes: ignore", "`schema_changes` is one of report, fail."),
        ("version: 1\nleave_out: scratch", "`leave_out` is a list"),
        ("version: 1\nsource: live", "`source` needs keys with values"),
        ("version: 1\nsource: {host: prod}", "`source` has no field 'host'"),
        (
            "version: 1\nsource: {max_difference_percent: 101}",
            "`max_difference_percent` is a whole number from 0 to 100.",
        ),
        ("version: 1\nsource: {max_hours_behind: any}", "`max_hours_behind` is a whole number from 1 to"),
        ("version: 1\ndatabases: {shop: {count: [orders]}}", "'orders' is no name of 2 parts"),
        ("version: 1\ndatabases: {shop: {counts: []}}", "database 'shop' has no field 'counts'"),
        ("version: 1\ndatabases: {shop: {newest_rows: {app.orders: 3}}}", "'app.orders' is no name of 3 parts"),
        ("version: 1\ndatabases: {shop: {newest_rows: {app.o.at: soon}}}", "`app.o.at` is a whole number from 1 to"),
        ('version: 1\ndatabases: {shop: {newest_rows: {"app.*.at": any}}}', "names its columns without wildcards."),
        ("version: 1\ndatabases: {shop: {checks: {one: ''}}}", "`checks` needs SQL as a text"),
        ("version: 1\ndatabases: {shop: {checks: {';': SELECT 1}}}", "';' is no name."),
        ("version: 1\ndatabases: {shop: {checks: {n: {number: SELECT 1}}}}", "needs `least`, `most`, or both."),
        ("version: 1\ndatabases: {shop: {checks: {n: {least: 1}}}}", "needs the field 'number'"),
        ("version: 1\ndatabases: {shop: {checks: {n: {number: SELECT 1, least: a}}}}", "`least` is a number, such as"),
        (
            "version: 1\ndatabases: {shop: {checks: {n: {number: SELECT 1, least: 9, most: 1}}}}",
            "no number is between them.",
        ),
        ("version: 1\nversion: 1", "stands here for the second time"),
        ("#" * (MAX_BYTES + 1), "It may have 262144."),
        (
            "version: 1\ndatabases:\n  shop:\n    checks:\n"
            + "".join(f"      c{n}: SELECT 1\n" for n in range(MAX_OWN_CHECKS + 1)),
            "`checks` has 201 entries. It may have 200.",
        ),
    ],
)
def test_what_is_wrong_is_refused_with_its_line(text: str, said: str) -> None:
    found = faults(text)
    assert said in " ".join(found)
    assert all(each.startswith("Line ") for each in found) or "bytes" in found[0]


def test_all_that_is_wrong_is_reported_at_once() -> None:
    text = "version: 1\ncheck_seconds: x\ndatabases:\n  shop: {count: [orders], checks: {one: ''}}\n"
    assert [each.split(":")[0] for each in faults(text)] == ["Line 2", "Line 4", "Line 4"]
