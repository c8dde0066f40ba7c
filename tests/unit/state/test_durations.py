"""Durations of phases: what is expected of a source from what was observed, and how it is kept."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from tests.unit.support import (
    ACCOUNT,
    EXECUTION,
    NOW,
    OPERATION,
    REGION,
    SOURCE,
    STATE_TABLE,
    a_snapshot_found,
)
from utils.aws import client
from utils.changes import asking_once
from utils.state.durations import KEPT, Observation, SourceDurations, durations_key, expectations, with_new
from utils.state.operation import OperationState

KEY = {"operation_id": {"S": f"durations#{ACCOUNT}:{REGION}:{SOURCE}"}}
TOOK = {"create-cluster": 1200.04, "open-door": 40.0}


def seen(seconds: float, gib: int = 100, at: int = 0) -> Observation:
    return Observation(seconds=seconds, gib=gib, at=at)


def stored() -> Any:
    return client("dynamodb").get_item(TableName=STATE_TABLE, Key=KEY).get("Item")


def store(phases: Any) -> None:
    client("dynamodb").put_item(TableName=STATE_TABLE, Item={**KEY, "phases": phases})


def add(took: dict[str, float], days: int = 0, gib: int = 100) -> None:
    at = NOW + dt.timedelta(days=days)
    SourceDurations(a_snapshot_found(allocated_gib=gib)).add(took, at, at)


def expected(gib: int = 100) -> dict[str, float]:
    return SourceDurations(a_snapshot_found(allocated_gib=gib)).expected()


# How it is read


def test_what_was_read_beside_an_operations_record_is_not_read_again(account: None) -> None:
    add(TOOK)
    asked: list[str] = []
    tables = client("dynamodb")
    tables.meta.events.register("before-call.dynamodb", lambda model, **_: asked.append(model.name), unique_id="asked")
    key = durations_key((REGION, ACCOUNT), SOURCE)
    with asking_once():
        assert OperationState(OPERATION, EXECUTION, NOW).recall(key) is None
        assert expected() == {"create-cluster": 1200.0, "open-door": 40.0}
    tables.meta.events.unregister("before-call.dynamodb", unique_id="asked")
    assert asked == ["BatchGetItem"]


# What is expected


def test_the_median_is_expected_so_that_one_odd_run_changes_little() -> None:
    assert expectations({"open-door": [seen(40), seen(9000), seen(50)]}, 100) == {"open-door": 50}


def test_what_depends_on_the_data_is_expected_of_sizes_within_a_factor_of_two() -> None:
    observed = {"create-cluster": [seen(600, gib=100), seen(3000, gib=1000)], "open-door": [seen(40, gib=1000)]}
    assert expectations(observed, 200) == {"create-cluster": 600, "open-door": 40}
    assert expectations(observed, 500) == {"create-cluster": 3000, "open-door": 40}
    assert expectations(observed, 300) == {"open-door": 40}


@pytest.mark.parametrize("unknown", [0, 1])
def test_a_size_that_rds_does_not_report_is_like_any(unknown: int) -> None:
    assert expectations({"create-cluster": [seen(600, gib=unknown)]}, 500) == {"create-cluster": 600}
    assert expectations({"create-cluster": [seen(600, gib=500)]}, unknown) == {"create-cluster": 600}


def test_only_the_last_observations_are_kept() -> None:
    observed: dict[str, list[Observation]] = {}
    for number in range(KEPT + 3):
        observed = with_new(observed, {"open-door": 40 + number}, 100, number)
    assert [each.seconds for each in observed["open-door"]] == [43, 44, 45, 46, 47]


def test_what_is_no_phase_or_no_duration_is_not_learned() -> None:
    assert with_new({"somebody-elses": [seen(1)]}, {"none": 5, "open-door": 0}, 100, 1) == {}


# How it is kept


@pytest.mark.usefixtures("account")
def test_what_was_observed_is_expected_of_the_next_operation_of_the_source() -> None:
    assert expected() == {}
    add(TOOK)
    assert expected() == {"create-cluster": 1200, "open-door": 40}
    add({"create-cluster": 1400.0, "export": 1800.0}, days=1)
    assert expected() == {"create-cluster": 1300, "open-door": 40, "export": 1800}
    assert float(stored()["expires_at"]["N"]) > (NOW + dt.timedelta(days=400)).timestamp()


@pytest.mark.usefixtures("account")
def test_rule_5_adding_twice_has_the_effect_of_one() -> None:
    add(TOOK)
    before = stored()
    add(TOOK)
    assert stored() == before


@pytest.mark.usefixtures("account")
def test_each_source_has_its_own() -> None:
    add(TOOK)
    elsewhere = a_snapshot_found(arn=f"arn:aws:rds:eu-west-1:{ACCOUNT}:cluster-snapshot:prod-orders-tuesday")
    assert SourceDurations(elsewhere).expected() == {}
    assert SourceDurations(a_snapshot_found(cluster_identifier="prod-users")).expected() == {}


@pytest.mark.usefixtures("account")
@pytest.mark.parametrize(
    "phases",
    [
        {"S": "nonsense"},
        {"M": {"open-door": {"L": [{"L": [{"N": "-5"}, {"N": "1"}, {"N": "0"}]}]}}},
        {"M": {"open-door": {"L": [{"L": [{"N": "1E+20"}, {"N": "1"}, {"N": "0"}]}]}}},
        {"M": {"open-door": {"L": [{"M": {"seconds": {"N": "40"}}}]}}},
    ],
)
def test_what_cannot_be_a_duration_is_learned_anew(phases: Any) -> None:
    store(phases)
    assert expected() == {}
    add(TOOK)
    assert expected() == {"create-cluster": 1200, "open-door": 40}


# Which ends an event has announced


def test_an_end_is_announced_where_it_was_when_it_was_last_seen(account: None) -> None:
    durations, later = SourceDurations(a_snapshot_found()), NOW + dt.timedelta(days=1)
    assert durations.announced() == []
    durations.add(TOOK, NOW, NOW, ["create-cluster"])
    assert SourceDurations(a_snapshot_found()).announced() == ["create-cluster"]
    durations.add(TOOK, later, later)
    assert SourceDurations(a_snapshot_found()).announced() == []


def test_what_a_version_before_has_kept_was_not_announced(account: None) -> None:
    store({"M": {"create-cluster": {"L": [{"L": [{"N": "1200"}, {"N": "100"}, {"N": "1"}]}]}}})
    assert expected() == {"create-cluster": 1200}
    assert SourceDurations(a_snapshot_found()).announced() == []
