"""A plan takes each snapshot the way that the documentation's table says."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scripts.local_run.routes_table import PAGE, Case, read_cases
from tests.unit.support import ACCOUNT, OWNER, REGION, SOURCE_REGION
from utils.arns import Arn
from utils.contracts.route import KINDS
from utils.names import OWN_DEFAULT_KEY
from utils.planning.route import RouteFacts, plan_route

CASES = read_cases()
KEY, SOURCE_KEY = "alias/staging", f"arn:aws:kms:{REGION}:{OWNER}:key/shareable"


def facts_of(case: Case, partition: str = "aws") -> RouteFacts:
    region = SOURCE_REGION if case.in_another_region else REGION
    account = OWNER if case.in_another_account else ACCOUNT
    name = {"manual": "tuesday", "automated": "rds:tuesday", "AWS Backup's": "awsbackup:job-tuesday"}[case.kind]
    return RouteFacts(
        snapshot_arn=f"arn:{partition}:rds:{region}:{account}:cluster-snapshot:{name}",
        is_manual=case.kind == "manual",
        is_encrypted=case.encryption not in ("nothing", "a key that AWS owns"),
        access="own" if account == ACCOUNT else "shared" if case.is_shared_by_hand else "role",
        target_account=ACCOUNT,
        target_region=REGION,
        copy_name="prod-copy-0123456789ab",
        kms_key_id=KEY if "kms_key_id" in case.given else None,
        closed_key=case.encryption in ("aws/rds", "a key closed to us"),
        source_key_arn=SOURCE_KEY if "source_kms_key_id" in case.given else None,
        two_steps="cross_account_copy" in case.given,
    )


def case_of(name: str) -> RouteFacts:
    return facts_of(next(case for case in CASES if case.name == name))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_route_is_as_documented(case: Case) -> None:
    assert [step.name for step in plan_route(facts_of(case))] == case.calls[:-1]
    assert case.calls[-1] == "restore"


def test_every_step_is_on_a_documented_route_and_has_its_row_among_the_calls() -> None:
    assert {name for case in CASES for name in case.calls} - {"restore"} == set(KINDS), f"give it a route in {PAGE}"
    calls = PAGE.read_text().split("## What each call is")[1]
    explained = {name for row in re.findall(r"^\| (`.*?) \|", calls, re.MULTILINE) for name in re.findall(r"\w+", row)}
    assert explained == set(KINDS), f"give it its row among the calls of {PAGE}"


@pytest.mark.parametrize("partition", ["aws", "aws-us-gov", "aws-cn"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_route_stays_in_its_partition(case: Case, partition: str) -> None:
    for step in plan_route(facts_of(case, partition)):
        assert Arn.parse(step.snapshot_arn).partition == partition


def test_a_route_that_crosses_account_and_region_in_two_steps_names_every_snapshot_and_key() -> None:
    at_owner, share, into_account, unshare, remove_at_owner, copy, remove = plan_route(case_of("two-steps-automated"))
    theirs = f"arn:aws:rds:{SOURCE_REGION}:{OWNER}:cluster-snapshot:prod-copy-0123456789ab"
    between = f"arn:aws:rds:{SOURCE_REGION}:{ACCOUNT}:cluster-snapshot:prod-copy-0123456789ab"
    ours = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:prod-copy-0123456789ab"
    assert at_owner.source_arn == f"arn:aws:rds:{SOURCE_REGION}:{OWNER}:cluster-snapshot:rds:tuesday"
    assert (at_owner.snapshot_arn, at_owner.kms_key_id) == (theirs, None), "a customer's key is kept"
    assert (share.snapshot_arn, share.shared_with) == (unshare.snapshot_arn, unshare.shared_with) == (theirs, ACCOUNT)
    assert (into_account.source_arn, into_account.snapshot_arn) == (theirs, between)
    assert into_account.kms_key_id == OWN_DEFAULT_KEY
    assert (copy.source_arn, copy.snapshot_arn, copy.kms_key_id) == (between, ours, KEY)
    assert (remove_at_owner.snapshot_arn, remove.snapshot_arn) == (theirs, between)


def test_a_snapshot_whose_key_is_closed_to_us_is_copied_to_the_key_that_was_given() -> None:
    assert plan_route(case_of("cross-account-default-key"))[0].kms_key_id == SOURCE_KEY


@pytest.mark.parametrize("name", ["cross-region-unencrypted", "cross-account-unencrypted"])
def test_data_without_a_customers_key_is_copied_without_one(name: str) -> None:
    assert {step.kms_key_id for step in plan_route(case_of(name))} == {None}


def test_what_somebody_else_has_shared_with_us_is_not_unshared() -> None:
    facts = replace(case_of("cross-account"), already_shared=True)
    assert [step.name for step in plan_route(facts)] == ["copy"]
    automated = replace(case_of("cross-account-automated"), already_shared=True)
    assert "unshare" in [step.name for step in plan_route(automated)], "it is our copy that is shared"


FACTS = st.builds(
    RouteFacts,
    snapshot_arn=st.builds(
        "arn:aws:rds:{}:{}:cluster-snapshot:tuesday".format,
        st.sampled_from([REGION, SOURCE_REGION]),
        st.sampled_from([ACCOUNT, OWNER]),
    ),
    is_manual=st.booleans(),
    is_encrypted=st.booleans(),
    access=st.sampled_from(["role", "shared"]),
    target_account=st.just(ACCOUNT),
    target_region=st.just(REGION),
    copy_name=st.just("prod-copy-0123456789ab"),
    kms_key_id=st.sampled_from([KEY, None]),
    closed_key=st.booleans(),
    source_key_arn=st.just(SOURCE_KEY),
    already_shared=st.booleans(),
    two_steps=st.booleans(),
)


@given(FACTS)
def test_every_route_ends_here_takes_back_what_it_opened_and_touches_nothing_else(facts: RouteFacts) -> None:
    region, account = Arn.parse(facts.snapshot_arn).place
    facts = facts if account == OWNER else replace(facts, access="own")
    steps = plan_route(facts)
    if (region, account) == (REGION, ACCOUNT):
        assert steps == []
        return
    made = [step.snapshot_arn for step in steps if step.is_copy]
    assert made[-1] == f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:prod-copy-0123456789ab"
    assert len(set(made)) == len(made)
    removed = [step.snapshot_arn for step in steps if step.name.startswith("remove")]
    assert sorted(removed) == sorted(made[:-1]), "every copy in between is removed, the last and the found one never"
    shared = [step.snapshot_arn for step in steps if step.name == "share"]
    assert [step.snapshot_arn for step in steps if step.name == "unshare"] == shared
    if facts.access != "role":
        assert all(Arn.parse(step.snapshot_arn).account_id == ACCOUNT for step in steps), "we can't act there"
