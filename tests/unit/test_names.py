"""Names: ours are always ones that RDS takes, and never anybody else's."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from utils.names import (
    MAX_IDENTIFIER,
    MAX_INSTANCES,
    instance_name,
    is_operation_id,
    name_for,
    why_not_rds_name,
    why_not_snapshot_name,
)

# RDS's rule, written another way than in the code: at most 63 ASCII letters, digits and hyphens; a letter first; no
# hyphen last; no two hyphens in a row.
letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
rds_names = st.lists(st.text(letters + "0123456789", min_size=1, max_size=12), min_size=1, max_size=8).map("-".join)
valid_names = rds_names.filter(lambda name: name[0] in letters and len(name) <= MAX_IDENTIFIER)
operation_ids = st.from_regex(r"[A-Za-z0-9_-]{1,80}", fullmatch=True).filter(str.isascii)


@given(valid_names)
def test_a_name_after_rdss_rule_is_taken(name: str) -> None:
    assert why_not_rds_name(name) is None


@given(st.text(max_size=80))
def test_a_name_that_is_taken_is_one_after_rdss_rule(name: str) -> None:
    if why_not_rds_name(name) is None:
        assert 1 <= len(name) <= MAX_IDENTIFIER
        assert name.isascii()
        assert name[0].isalpha()
        assert name.replace("-", "").isalnum()
        assert "--" not in name
        assert not name.endswith("-")


def test_a_name_of_63_characters_fits_and_one_of_64_does_not() -> None:
    assert why_not_rds_name("a" * 63) is None
    assert why_not_rds_name("a" * 64) == "has 64 characters where 63 fit"


@pytest.mark.parametrize("name", ["", "1a", "-a", "a-", "a--b", "a_b", "a.b", "a b", "ä", "a\n"])
def test_a_name_against_rdss_rule_is_explained(name: str) -> None:
    assert "letters, digits and single hyphens" in (why_not_rds_name(name) or "")


@given(valid_names.filter(lambda name: len(name) <= MAX_IDENTIFIER), st.integers(1, MAX_INSTANCES), operation_ids)
def test_every_instance_of_a_target_gets_a_name_that_rds_takes(cluster: str, number: int, operation_id: str) -> None:
    name = instance_name(cluster, number, operation_id)
    assert why_not_rds_name(name) is None
    assert name != cluster
    assert re.search(rf"-[0-9a-f]{{12}}-{number}$", name)
    assert name == instance_name(cluster, number, operation_id)


@given(valid_names, st.integers(1, MAX_INSTANCES), operation_ids, operation_ids)
def test_instances_of_two_operations_never_meet(cluster: str, number: int, one: str, other: str) -> None:
    assume(one != other)
    assert instance_name(cluster, number, one) != instance_name(cluster, number, other)


@given(st.sampled_from(["copy", "final"]), valid_names, operation_ids)
def test_whatever_we_make_gets_a_name_that_rds_takes_and_every_retry_the_same(
    purpose: str, base: str, operation_id: str
) -> None:
    name = name_for(purpose, base, operation_id)
    assert why_not_rds_name(name) is None
    assert name == name_for(purpose, base, operation_id)
    assert re.search(rf"-{purpose}-[0-9a-f]{{12}}$", name)


@given(valid_names, operation_ids, operation_ids)
def test_two_operations_never_give_one_name(base: str, one: str, other: str) -> None:
    assert (name_for("copy", base, one) == name_for("copy", base, other)) == (one == other)


@given(valid_names, operation_ids)
def test_a_copy_is_never_mistaken_for_a_final_snapshot(base: str, operation_id: str) -> None:
    assert name_for("copy", base, operation_id) != name_for("final", base, operation_id)


@pytest.mark.parametrize(
    "name", ["prod-tuesday", "rds:prod-orders-2026-03-10-02-00", "awsbackup:job-0c1d", "awsbackup:job:0c1d", "a" * 255]
)
def test_snapshots_may_bear_the_prefixes_of_automated_ones(name: str) -> None:
    assert why_not_snapshot_name(name) is None


@pytest.mark.parametrize("name", ["", "rds:", "awsbackup:", "mine:prod", "rds:a b", "a" * 256, ":prod"])
def test_other_names_of_snapshots_are_explained(name: str) -> None:
    assert why_not_snapshot_name(name)


@given(st.text(max_size=100))
def test_an_operation_id_can_name_an_execution(name: str) -> None:
    """Step Functions takes 1 to 80 characters; CloudWatch needs ASCII; a lock's key has a # that no id can have."""
    if is_operation_id(name):
        assert 1 <= len(name) <= 80
        assert name.isascii()
        assert name.replace("-", "").replace("_", "").isalnum() or not name.strip("-_")
