"""Every kind of a route's step is described in one row, and what is said of a copy says its step."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from tests.unit.support import ACCOUNT, OWNER, REGION, SOURCE_REGION, a_copy
from utils.contracts.route import FINAL, KINDS, Effect, RouteStep, SnapshotCopy, StepName

AT_OWNER = f"arn:aws:rds:{SOURCE_REGION}:{OWNER}:cluster-snapshot:prod-copy"
HERE = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:prod-copy"


def a_step(name: StepName) -> RouteStep:
    return RouteStep(
        name=name, snapshot_arn=AT_OWNER, source_arn=AT_OWNER, kms_key_id="alias/staging", shared_with=ACCOUNT
    )


def test_every_step_has_its_row() -> None:
    assert set(KINDS) == set(get_args(StepName))
    assert {kind.effect for kind in KINDS.values()} == set(get_args(Effect))
    assert KINDS[FINAL].effect == "copy"


@pytest.mark.parametrize("name", KINDS)
def test_a_step_says_where_it_is_and_what_it_does(name: StepName) -> None:
    step = a_step(name)
    assert step.place == (SOURCE_REGION, OWNER)
    assert step.awaited.endswith(f" in {SOURCE_REGION} of {OWNER}")
    assert SOURCE_REGION in step.planned
    assert ("under key alias/staging" in step.planned) is step.is_copy
    assert not re.search(r"[{}]|None", step.planned)
    assert step.is_copy + (step.effect == "share") + step.takes_back == 1


@pytest.mark.parametrize("name", [name for name in KINDS if a_step(name).takes_back])
def test_what_takes_back_has_words_and_a_command_for_what_still_stands(name: StepName) -> None:
    step = a_step(name)
    assert AT_OWNER in step.still_there
    assert step.command.startswith("aws rds ")
    assert f"--region {SOURCE_REGION} --db-cluster-snapshot-identifier prod-copy" in step.command


def test_the_copy_is_what_its_last_step_makes() -> None:
    copy = a_copy("prod-copy", kms_key_id="alias/staging")
    assert (copy.arn, copy.identifier) == (copy.final.snapshot_arn, copy.final.snapshot_name) == (HERE, "prod-copy")
    assert copy.final.kms_key_id == "alias/staging"


def test_what_was_never_shared_isnt_outstanding() -> None:
    steps = [a_step("share"), a_step("copy_at_owner"), a_step("unshare"), a_step("remove_at_owner")]
    copy = SnapshotCopy(steps=steps, tags={})
    assert [step.name for step in copy.outstanding({})] == ["remove_at_owner"]
    assert [step.name for step in copy.outstanding({"share_begun": "now"})] == ["unshare", "remove_at_owner"]
    assert [step.name for step in copy.outstanding({"share_begun": "now", "unshare": "now"})] == ["remove_at_owner"]
    assert copy.undone_by(steps[3]) == steps[1]


def test_one_module_alone_names_the_steps() -> None:
    """Beside it, the route chooses among them."""
    naming = re.compile("|".join(f'"{name}"' for name in KINDS if "_" in name))
    found = {str(path) for path in Path("utils").rglob("*.py") if naming.search(path.read_text())}
    assert found == {"utils/contracts/route.py", "utils/planning/route.py"}
