"""How long an operation is expected to take: which phases its plan goes through, and what is known of each."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.operation.test_finishing import REPLACES
from tests.unit.support import NOW, a_cluster_plan, a_copy, a_deletion, a_plan, a_record, a_snapshot_found
from utils.contracts.phases import AWAITED_PHASES
from utils.contracts.plan import Plan, SnapshotExport
from utils.planning.timing import planned_phases, timed
from utils.state.durations import SourceDurations

EXPORT = SnapshotExport(
    identifier="e", source_arn="", bucket="exports", prefix="p", role_arn="arn:aws:iam::1:role/r", kms_key_id="k"
)
RESTORE = ["create-cluster", "modify-cluster", "create-instances", "open-door"]


def phases(record: Any = None, **plan: Any) -> list[str]:
    return list(planned_phases(a_plan(**plan), record))


def test_a_plan_goes_through_what_it_asks_for_in_this_order() -> None:
    assert phases() == RESTORE
    assert phases(
        copy=a_copy(),
        copy_needed=True,
        cluster=a_cluster_plan(data_api=True),
        delete_source=True,
        source_deletion=a_deletion(switches_protection_off=True),
        export=EXPORT,
    ) == ["copy", *RESTORE, "enable-data-api", "switch-protection-off", "final-snapshot", "export"]
    assert phases(source_deletion=a_deletion(final_snapshot_identifier=None)) == [*RESTORE, "delete-cluster"]


def test_where_the_target_is_replaced_its_door_opens_in_the_swap() -> None:
    assert phases(replaces=REPLACES) == [*RESTORE[:-1], "swap"]
    # The plan of what was resumed after that has nothing to replace any longer.
    assert phases(a_record(door_open_at="x", cluster_resource_id="c", password_reset_at="x", users_ready_at="x")) == []


def test_every_phase_of_a_plan_is_known() -> None:
    everything = phases(copy=a_copy(), copy_needed=True, source_deletion=a_deletion(), export=EXPORT, replaces=REPLACES)
    assert set(everything) <= set(AWAITED_PHASES)


def test_a_resumed_operation_is_expected_to_do_what_is_left() -> None:
    done = a_record(cluster_resource_id="cluster-OURS", password_reset_at="x", users_ready_at="x")
    assert phases(done, copy=a_copy()) == ["open-door"]


@pytest.mark.usefixtures("account")
class TestExpectation:
    """What has been observed of the source narrows the range."""

    def test_of_nothing_known_the_public_figures_are_given(self) -> None:
        plan = timed(a_plan())
        assert (plan.phases, plan.expected_seconds) == (RESTORE, {})
        least, most = plan.expected_minutes
        assert least < 10
        assert most > 120

    def test_what_was_seen_is_expected_again_within_30_percent(self) -> None:
        plan = self.seen({"create-cluster": 1200, "modify-cluster": 180, "create-instances": 600, "open-door": 60})
        # 34 minutes, and the pipeline's own work of half a minute to five.
        assert plan.expected_minutes == [24, 50]

    def test_an_export_goes_on_beside_the_restore(self) -> None:
        known = {"create-cluster": 600.0, "modify-cluster": 60.0, "create-instances": 600.0, "open-door": 60.0}
        alone = self.seen(known).expected_minutes
        assert self.seen({**known, "export": 600}, export=EXPORT).expected_minutes == alone
        assert self.seen({**known, "export": 6000}, export=EXPORT).expected_minutes == [70, 135]

    def seen(self, took: dict[str, float], **plan: Any) -> Plan:
        SourceDurations(a_snapshot_found()).add(took, NOW, NOW)
        return timed(a_plan(**plan))
