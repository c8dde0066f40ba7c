"""Whose login is the target's current one, through a swap, its way back and what follows that."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.fakes.rds import FakeRds
from tests.unit.operation.test_finishing import REPLACES
from tests.unit.operation.test_secret_endings import labels, opened, settle
from tests.unit.support import ADMIN_SECRET, DOOR, NOW, OWN_TAGS, REGION, TARGET, a_plan
from utils.aurora_utils import Aurora
from utils.aws import client
from utils.contracts.swap import RecordedCluster, Side, SwapRecord
from utils.logins import master, secret_store
from utils.logins.master import REPLACED, AdminSecret
from utils.state.lock import TargetLock
from utils.state.operation import NO_CLUSTER, OperationState
from utils.state.swap import StoredSwap
from utils.steps.swap import SwapAction, SwapDue
from utils.steps.swap_calls import Calls
from utils.steps.swap_observed import look

pytestmark = pytest.mark.usefixtures("account")

OLD_ID, NEW_ID, EARLIER = "cluster-OLD", "cluster-NEW", "cluster-EARLIER"
OLD, NEW, BEFORE = (AdminSecret.version_for(each) for each in (OLD_ID, NEW_ID, EARLIER))
RECORD = SwapRecord(
    live_name=TARGET,
    old=RecordedCluster(resource_id=OLD_ID, other_names=("staging-orders-old",)),
    new=RecordedCluster(resource_id=NEW_ID, other_names=("staging-orders-new",)),
    began_at=NOW,
)
Move = Callable[[Side], None]


@pytest.fixture
def state(rds: FakeRds) -> OperationState:
    """Old has the current login, which a night before has put in the place of another one's; new's is pending."""
    rds.add_cluster(TARGET, DbClusterResourceId=OLD_ID)
    rds.add_cluster("staging-orders-new", DbClusterResourceId=NEW_ID, TagList=OWN_TAGS)
    found, admin = opened(a_plan()), AdminSecret(ADMIN_SECRET)
    assert TargetLock(TARGET, found.operation_id, found.execution_id).take(NOW) is None
    for version in (BEFORE, OLD):
        admin.stage(version, "postgres", "host", 5432, TARGET)
        admin.promote(version)
    admin.stage(NEW, "postgres", "host", 5432, TARGET)
    found.remember(staged_version_id=NEW, labels_before={}, cluster_resource_id=NEW_ID)
    return found


@pytest.fixture
def move(state: OperationState, rds: FakeRds) -> Move:
    """Have the label moved to the winner's version."""
    calls = Calls(Aurora(REGION), AdminSecret(ADMIN_SECRET), state, REPLACES, DOOR)
    swap = StoredSwap(record=RECORD)

    def to(side: Side) -> None:
        view = look(swap, Aurora(REGION))
        calls.make(SwapDue(action=SwapAction.MOVE_LABEL, side=side, record=RECORD), swap, view)

    return to


def test_it_is_the_new_ones_and_the_old_ones_keeps_a_label(move: Move) -> None:
    assert labels()["AWSCURRENT"] == OLD
    for _ in range(2):
        move("new")
        assert labels() == {"AWSCURRENT": NEW, "AWSPREVIOUS": OLD, REPLACED: OLD}


def test_on_the_way_back_it_is_the_old_ones_again_and_none_is_left_on_the_one_that_goes(
    move: Move, state: OperationState, rds: FakeRds
) -> None:
    before = labels()
    move("new")
    move("old")
    assert labels()["AWSCURRENT"] == OLD
    state.remember(**NO_CLUSTER)  # as the end of a clean-up does
    del rds.clusters["staging-orders-new"]
    settle()
    assert labels() == {label: version for label, version in before.items() if version != NEW}


def test_one_that_is_turned_back_before_it_was_moved_leaves_the_old_one(
    state: OperationState, move: Move, rds: FakeRds
) -> None:
    move("old")
    state.remember(**NO_CLUSTER)
    del rds.clusters["staging-orders-new"]
    settle()
    assert labels() == {"AWSCURRENT": OLD, "AWSPREVIOUS": BEFORE}


def test_a_cluster_that_gets_its_name_back_is_never_without_a_label(
    move: Move, state: OperationState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS may delete a version without labels: the label of the replaced goes on only after AWSCURRENT has come."""
    AdminSecret(ADMIN_SECRET).promote(NEW)
    AdminSecret(ADMIN_SECRET).keep(OLD)
    seen: list[bool] = []
    moved = secret_store.move_label

    def watched(arn: str, label: str, *, where: str | None, to: str | None) -> bool:
        done = moved(arn, label, where=where, to=to)
        seen.append(OLD in labels().values())
        return done

    monkeypatch.setattr(master, "move_label", watched)
    move("old")
    assert labels()["AWSCURRENT"] == OLD
    assert seen
    assert all(seen)


def test_a_version_that_a_person_has_made_current_is_reported_with_the_command_that_changes_it(
    state: OperationState,
) -> None:
    """The message says where the master login is, and the secret's current version is another."""
    secrets = client("secretsmanager")
    put = secrets.put_secret_value(SecretId=ADMIN_SECRET, SecretString="{}")["VersionId"]
    assert settle(failed=False) == []
    state.remember(temporary_name="staging-orders-new")
    (said,) = settle(failed=False)
    assert said.startswith(
        f"The current version of secret {ADMIN_SECRET} is not the login of {TARGET}: somebody has put"
    )
    command = said[said.index("aws secretsmanager") :]
    assert f"--move-to-version-id {NEW} --remove-from-version-id {put} --region {REGION}" in command
    secrets.update_secret_version_stage(
        SecretId=ADMIN_SECRET, VersionStage="AWSCURRENT", MoveToVersionId=NEW, RemoveFromVersionId=put
    )
    assert settle(failed=False) == []
