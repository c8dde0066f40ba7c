"""What a drill leaves no choice in, and what of it is refused."""

from __future__ import annotations

import pytest

from tests.unit.support import a_plan, set_defaults, some_instances
from utils.planning.calls import planned_calls
from utils.planning.drill import IN_A_DRILL, as_drill, drill_problems
from utils.planning.timing import planned_phases
from utils.request.reading import read_request

CONTRADICTIONS = {
    "replace_target": True,
    "archive_snapshot": "keep",
    "on_failure": "keep",
    "deletion_protection": True,
    "data_api": True,
    "expires_after_hours": 24,
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_request_cannot_ask_for_what_no_drill_can_be(name: str) -> None:
    (problem,) = drill_problems(read_request({"drill": True, name: CONTRADICTIONS[name]}))
    assert problem.startswith(f"{name}: {CONTRADICTIONS[name]!r} is given, and drill is true: ")


def test_nor_can_it_delete_its_source() -> None:
    deleting = {"delete_source": True, "confirm_delete_source": "prod-orders"}
    (problem,) = drill_problems(read_request({"drill": True, **deleting}))
    assert "deletes nothing but what it has created" in problem


def test_the_stacks_defaults_for_other_operations_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    set_defaults(
        monkeypatch,
        **{name: str(value).lower() for name, value in CONTRADICTIONS.items()},
    )
    request = read_request({"drill": True})
    assert list(drill_problems(request)) == []
    drill = as_drill(request)
    assert all(getattr(drill, name) == value for name, (value, _) in IN_A_DRILL.items())


def test_its_calls_open_nothing_and_delete_what_they_create() -> None:
    plan = a_plan(drill=True)
    calls = [(each.call, each.on) for each in planned_calls(plan, "111122223333", "eu-central-1")]
    names = [each.identifier for each in plan.cluster.instances] or [each.identifier for each in some_instances(0)]
    assert calls[-1] == ("rds:DeleteDBCluster", plan.cluster.identifier)
    assert [on for call, on in calls if call == "rds:DeleteDBInstance"] == names
    assert [call for call, _ in calls].count("rds:ModifyDBCluster") == 2, "the password, and once more where refused"
    assert "delete-cluster" in list(planned_phases(plan, None))
    assert "open-door" not in list(planned_phases(plan, None))
