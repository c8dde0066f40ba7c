"""No parameter group of the restored cluster may let functions of the data run at logins and changes of passwords."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import REGION, a_cluster_plan
from utils.contracts.tle_hooks import TLE_HOOKS
from utils.preflight.tle_hooks import tle_hook_problems

CLUSTERS, INSTANCES, FAMILY = "tuned", "tuned-instances", "aurora-postgresql16"
LOADED = {"shared_preload_libraries": "pg_stat_statements,pg_tle"}


def problems(**changes: Any) -> list[str]:
    named = {"db_cluster_parameter_group_name": CLUSTERS, "db_parameter_group_name": INSTANCES}
    return list(tle_hook_problems(a_cluster_plan(**(named | changes)), REGION))


@pytest.fixture(autouse=True)
def groups(rds: FakeRds) -> FakeRds:
    rds.cluster_parameter_groups[CLUSTERS] = rds.parameter_groups[INSTANCES] = FAMILY
    rds.parameters[CLUSTERS], rds.parameters[INSTANCES] = dict(LOADED), {}
    return rds


def test_the_library_alone_runs_nothing() -> None:
    assert problems() == []


@pytest.mark.parametrize("value", ["on", "require"])
@pytest.mark.parametrize("hook", TLE_HOOKS)
def test_a_hook_is_refused(groups: FakeRds, hook: str, value: str) -> None:
    groups.parameters[CLUSTERS][hook] = value
    (problem,) = problems()
    assert problem.startswith(f"db_cluster_parameter_group_name: 'tuned' has {hook} = {value} with pg_tle")


@pytest.mark.parametrize(
    ("of_cluster", "of_instance", "refused"), [("on", "off", 0), ("off", "on", 1), (None, "on", 1)]
)
def test_what_an_instances_group_sets_counts_for_more(
    groups: FakeRds, of_cluster: str | None, of_instance: str, refused: int
) -> None:
    groups.parameters[CLUSTERS][TLE_HOOKS[0]] = of_cluster
    groups.parameters[INSTANCES][TLE_HOOKS[0]] = of_instance
    found = problems()
    assert len(found) == refused
    assert all(each.startswith("db_parameter_group_name: 'tuned-instances' has") for each in found)


def test_without_the_library_there_are_no_hooks(groups: FakeRds) -> None:
    groups.parameters[CLUSTERS] = {TLE_HOOKS[0]: "on"}
    assert problems() == []


def test_rdss_default_groups_are_not_asked(groups: FakeRds) -> None:
    groups.refuse("DescribeDBClusterParameters", "AccessDenied", status=403)
    groups.refuse("DescribeDBParameters", "AccessDenied", status=403)
    default = f"default.{FAMILY}"
    assert problems(db_cluster_parameter_group_name=default, db_parameter_group_name=default) == []
