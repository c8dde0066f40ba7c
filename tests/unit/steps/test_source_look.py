"""aurora-restore-snapshot-check during a verification: whether the source is still the planned cluster."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.fakes.rds import FakeRds
from tests.unit.fakes.sts import FakeSts
from tests.unit.support import ACCOUNT, NOW, OPERATION, OWNER, REGION, SOURCE, a_run, calling
from utils.contracts.payloads import LookAtSourceTask
from utils.contracts.plan import ComparedSource

pytestmark = pytest.mark.usefixtures("surroundings")

check = calling("snapshot-check")


@pytest.fixture
def task(rds: FakeRds) -> LookAtSourceTask:
    rds.add_cluster(SOURCE)
    for name in ("prod-2", "prod-1"):
        rds.add_instance(name, SOURCE)
    planned = ComparedSource(
        cluster_arn=f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:{SOURCE}",
        cluster_resource_id=rds.clusters[SOURCE]["DbClusterResourceId"],
        host="readers.of.prod",
        port=5432,
        secret_arn="",
    )
    return LookAtSourceTask(run=a_run(), source=planned)


def test_the_planned_cluster_is_there_with_the_instances_that_it_has_now(rds: FakeRds, task: LookAtSourceTask) -> None:
    seen = check(task)
    assert (seen["members"], seen["why"]) == (["prod-1", "prod-2"], None)
    assert seen["at"] == NOW.isoformat().replace("+00:00", "Z")
    rds.add_instance("added-by-auto-scaling", SOURCE)
    assert check(task)["members"] == ["added-by-auto-scaling", "prod-1", "prod-2"]
    assert rds.changes() == []


@pytest.mark.parametrize(
    ("id_now", "said"),
    [
        ("cluster-ANOTHER", f"'{SOURCE}' is now cluster-ANOTHER, and not "),
        (None, f"there is no cluster '{SOURCE}' in {REGION}. Start a new operation"),
    ],
)
def test_another_cluster_of_its_name_and_none_have_no_instances(
    rds: FakeRds, task: LookAtSourceTask, id_now: str | None, said: str
) -> None:
    if id_now is None:
        del rds.clusters[SOURCE]
    else:
        rds.clusters[SOURCE]["DbClusterResourceId"] = id_now
    seen: dict[str, Any] = check(task)
    assert seen["members"] == []
    assert said in seen["why"]
    assert seen["is_unseen"] is (id_now is None), "whether another look has to say the same"


def test_a_cluster_of_another_account_is_looked_at_through_the_role_as_while_planning(
    rds: FakeRds, their_rds: FakeRds, sts: FakeSts, task: LookAtSourceTask
) -> None:
    their_rds.add_cluster(SOURCE)
    their_rds.add_instance("theirs-1", SOURCE)
    theirs = replace(
        task.source,
        cluster_arn=task.source.cluster_arn.replace(ACCOUNT, OWNER),
        cluster_resource_id=their_rds.clusters[SOURCE]["DbClusterResourceId"],
    )
    assert check(replace(task, source=theirs))["members"] == ["theirs-1"]
    assert sts.calls[-1][1]["RoleSessionName"] == f"snapshot-check-{OPERATION}"
    sts.refuse("AssumeRole", "AccessDenied")
    ours_of_that_name = check(replace(task, source=theirs, run=a_run(operation_id="another")))
    assert "cannot be looked at: the role there cannot be assumed" in ours_of_that_name["why"]


def test_a_cluster_of_an_account_that_is_out_of_sight_is_not_taken_for_the_one_here(
    rds: FakeRds, task: LookAtSourceTask
) -> None:
    theirs = replace(task.source, cluster_arn=task.source.cluster_arn.replace(ACCOUNT, "999999999999"))
    seen = check(replace(task, source=theirs))
    assert seen["members"] == []
    assert "cannot be looked at: the stack's SourceRoleName is empty" in seen["why"]
