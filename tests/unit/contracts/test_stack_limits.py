"""What a stack may touch: each limit's own answer, and a refusal that says value, pattern, parameter and way out."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.unit.support import REGION, SECURITY_GROUP, SOURCE, SOURCE_REGION, TARGET
from utils.contracts import stack_limits
from utils.contracts.stack_limits import StackLimits, matches

# What a stack has whose owner has set no parameter but the two that have no default.
OWN = StackLimits(
    restorable_clusters=SOURCE,
    restorable_snapshots="*",
    source_region=SOURCE_REGION,
    restorable_regions="",
    targets=TARGET,
    security_groups=f"{SECURITY_GROUP},sg-0fedcba9",
    allowed_security_groups="",
    subnet_group="databases",
    allowed_subnet_groups="",
    kms_key="",
    insights_kms_key="",
    source_kms_key="",
    allowed_kms_keys="",
    cost_tags="CostCenter=42,Team=data",
    allowed_tag_keys="",
    master_login="pipeline",
    deletion_without_final_snapshot="false",
    masking_policies="",
    require_masking="false",
)
Asking = Callable[[StackLimits], Iterator[str]]


def target(name: str) -> Asking:
    return lambda limits: stack_limits.target_problems(limits, name)


def source(name: str) -> Asking:
    return lambda limits: stack_limits.source_problems(limits, name)


def region(name: str) -> Asking:
    return lambda limits: stack_limits.region_problems(limits, name, REGION)


def snapshot(name: str) -> Asking:
    return lambda limits: stack_limits.snapshot_problems(limits, name)


def groups(*names: str) -> Asking:
    return lambda limits: stack_limits.security_group_problems(limits, names)


def subnet_group(name: str) -> Asking:
    return lambda limits: stack_limits.subnet_group_problems(limits, name)


def tags(**given: str) -> Asking:
    return lambda limits: stack_limits.tag_problems(limits, given)


def login(kind: str | None) -> Asking:
    return lambda limits: stack_limits.login_problems(limits, kind)


def final_snapshot(taken: bool) -> Asking:
    return lambda limits: stack_limits.final_snapshot_problems(limits, takes_one=taken)


@pytest.mark.parametrize(
    ("asked", "limits"),
    [
        (target(TARGET), OWN),
        (target("staging-20260310"), replace(OWN, targets="staging-????????")),
        (source(SOURCE), OWN),
        (source("prod-billing"), replace(OWN, restorable_clusters="prod-*")),
        (region(REGION), OWN),
        (region(SOURCE_REGION), OWN),
        (region("eu-west-1"), replace(OWN, restorable_regions="eu-*")),
        (snapshot("anything"), OWN),
        (snapshot("rds:prod-orders-2026-03-10-02-00"), replace(OWN, restorable_snapshots="weekly-*")),
        (snapshot("awsbackup:job-0d1f"), replace(OWN, restorable_snapshots="weekly-*")),
        (snapshot("weekly-7"), replace(OWN, restorable_snapshots="weekly-*")),
        (groups(SECURITY_GROUP, "sg-0fedcba9"), OWN),
        (groups("sg-0aaaaaaa"), replace(OWN, allowed_security_groups="sg-0a*")),
        (subnet_group("Databases"), OWN),
        (subnet_group("Team-Orders"), replace(OWN, allowed_subnet_groups="team-*")),
        (subnet_group(""), OWN),
        (tags(CostCenter="42", Team="data"), OWN),
        (tags(Team="other"), replace(OWN, allowed_tag_keys="Te?m")),
        (login("pipeline"), OWN),
        (login(None), OWN),
        (login("pipeline"), replace(OWN, master_login="rds_managed")),
        (login("rds_managed"), replace(OWN, master_login="rds_managed")),
        (final_snapshot(taken=True), OWN),
        (final_snapshot(taken=False), replace(OWN, deletion_without_final_snapshot="true")),
        (stack_limits.replaced_deletion_problems, replace(OWN, deletion_of_replaced="true")),
    ],
)
def test_the_stacks_own_and_what_its_patterns_allow_passes(asked: Asking, limits: StackLimits) -> None:
    assert list(asked(limits)) == []


# Value, pattern, parameter: each refusal says all three, and what to do.
REFUSED: list[tuple[Asking, tuple[str, ...]]] = [
    (target("billing"), ("target_cluster_id: 'billing'", "TargetClusterPattern is 'staging-orders'")),
    (source("billing"), ("source_cluster_id: 'billing'", "RestorableClusterPattern is 'prod-orders'")),
    (region("eu-west-1"), ("source_region: 'eu-west-1'", SOURCE_REGION, REGION, "RestorableRegionPattern is empty")),
    (groups(SECURITY_GROUP, "sg-0bad"), ("'sg-0bad'", SECURITY_GROUP, "AllowedSecurityGroupPattern is empty")),
    (subnet_group("public"), ("db_subnet_group_name: 'public'", "databases", "AllowedSubnetGroupPattern is empty")),
    (tags(access="all"), ("tags: 'access' = 'all'", "CostTags", "AllowedTagKeyPattern is empty")),
    (tags(Team="payroll"), ("tags: 'Team' = 'payroll'", "CostTags", "AllowedTagKeyPattern is empty")),
    (login("rds_managed"), ("master_login: 'rds_managed'", "MasterLogin is 'pipeline'")),
    (final_snapshot(taken=False), ("final_snapshot: False", "AllowDeletionWithoutFinalSnapshot is 'false'")),
    (stack_limits.replaced_deletion_problems, ("delete_replaced: True", "AllowDeletionOfReplaced is 'false'")),
]


@pytest.mark.parametrize(("asked", "words"), REFUSED)
def test_what_is_beyond_them_is_refused_with_value_pattern_parameter_and_way_out(
    asked: Asking, words: tuple[str, ...]
) -> None:
    (told,) = asked(OWN)
    for word in (*words, "owner"):
        assert word in told


@pytest.mark.parametrize("name", ["billing-7", "rds:billing-2026-03-10-02-00", "rds:prod-orders-2026-03-10"])
def test_a_snapshots_name_counts_where_the_pattern_says_more_than_everything(name: str) -> None:
    (told,) = snapshot(name)(replace(OWN, restorable_snapshots="weekly-*"))
    assert told.startswith(f"snapshot_identifier: {name!r}")
    assert "RestorableSnapshotPattern is 'weekly-*'" in told


def key_problem(limits: StackLimits, *names: str, own: str = "") -> str | None:
    return stack_limits.key_problem(limits, "kms_key_id", "alias/theirs", own, names)


def test_a_key_is_the_stacks_own_or_one_that_the_pattern_allows() -> None:
    assert key_problem(OWN, "alias/ours", own="alias/ours") is None
    told = key_problem(OWN, "0d1f", own="alias/ours")
    assert told is not None
    assert told.startswith("kms_key_id: 'alias/theirs' is neither the stack's own (alias/ours) nor")
    assert "AllowedKmsKeyPattern is empty" in told


def test_a_pattern_for_keys_counts_for_the_stacks_own_as_well() -> None:
    """The roles' policies, which name no alias, would refuse it an hour later."""
    limits = replace(OWN, allowed_kms_keys="mrk-*")
    assert key_problem(limits, "mrk-1") is None
    told = key_problem(limits, "alias/ours", "0d1f", own="alias/ours")
    assert told is not None
    assert "AllowedKmsKeyPattern is 'mrk-*'" in told


PATTERN = st.text(alphabet="ab-.*?", max_size=8)
TEXT = st.text(alphabet="abA-.:\n", max_size=10)


@given(PATTERN, TEXT)
def test_a_pattern_means_what_it_means_to_iam(pattern: str, text: str) -> None:
    """Without brackets, shell patterns have the same two signs, and both compare case by case."""
    assert matches(pattern, text) is fnmatch.fnmatchcase(text, pattern)


@pytest.mark.parametrize(("pattern", "text"), [("[a]", "a"), ("a.c", "abc"), ("", "a"), ("A", "a"), ("a", "a\n")])
def test_nothing_else_in_a_pattern_has_a_meaning(pattern: str, text: str) -> None:
    assert not matches(pattern, text)
