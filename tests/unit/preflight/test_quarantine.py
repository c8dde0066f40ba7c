"""In quarantine nothing may start before it can be disabled: the cluster's parameter groups have to see to that."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import REGION, a_cluster_plan
from utils.preflight.quarantine import quarantine_problems
from utils.request.corrections import corrected

CUSTOM, FAMILY = "quiet", "aurora-postgresql16"
SAFE = {"max_logical_replication_workers": "0", "shared_preload_libraries": "pg_stat_statements"}


def problems(**changes: Any) -> list[str]:
    return list(quarantine_problems(a_cluster_plan(**({"db_cluster_parameter_group_name": CUSTOM} | changes)), REGION))


@pytest.fixture(autouse=True)
def group(rds: FakeRds) -> dict[str, str | None]:
    rds.cluster_parameter_groups[CUSTOM] = FAMILY
    values: dict[str, str | None] = dict(SAFE)
    rds.parameters[CUSTOM] = values
    return values


def test_a_group_that_lets_nothing_start_is_fine() -> None:
    assert problems() == []


@pytest.mark.parametrize("libraries", ["pg_stat_statements,pg_cron", "pg_cron", " pg_cron , auto_explain"])
def test_pg_cron_may_not_be_preloaded(group: dict[str, str | None], libraries: str) -> None:
    group["shared_preload_libraries"] = libraries
    (problem,) = problems()
    assert problem.startswith(
        f"quarantine: the cluster parameter group 'quiet' lets pg_cron (shared_preload_libraries is {libraries!r}) st"
    )


def test_no_number_of_running_jobs_keeps_pg_cron_from_running_one(group: dict[str, str | None]) -> None:
    """pg_cron's launcher takes 0 for 1."""
    group |= {"shared_preload_libraries": "pg_cron", "cron.max_running_jobs": "0"}
    assert len(problems()) == 1


@pytest.mark.parametrize("libraries", ["pglogical", "rdsutils,pglogical"])
def test_pglogical_may_not_be_preloaded(group: dict[str, str | None], libraries: str) -> None:
    """Its workers are no logical replication workers of PostgreSQL's, so that no number of those prevents them."""
    group |= {"shared_preload_libraries": libraries, "max_logical_replication_workers": "0"}
    (problem,) = problems()
    assert f"lets pglogical's subscriptions (shared_preload_libraries is {libraries!r}) start" in problem


@pytest.mark.parametrize(("launch", "fine"), [("off", True), ("0", True), ("on", False), ("1", False), (None, False)])
def test_pg_cron_may_be_preloaded_when_it_launches_nothing(
    group: dict[str, str | None], launch: str | None, fine: bool
) -> None:
    group |= {"shared_preload_libraries": "pg_cron", "cron.launch_active_jobs": launch}
    assert (problems() == []) is fine


@pytest.mark.parametrize("workers", [None, "4"])
def test_subscriptions_may_have_no_workers(group: dict[str, str | None], workers: str | None) -> None:
    group["max_logical_replication_workers"] = workers
    (problem,) = problems()
    assert "lets subscriptions (max_logical_replication_workers is " in problem


def test_another_group_is_made_from_the_one_that_wont_do(group: dict[str, str | None]) -> None:
    group |= {
        "shared_preload_libraries": "auto_explain,pg_cron,pglogical,pgaudit",
        "max_logical_replication_workers": "4",
    }
    (problem,) = problems()
    assert problem.endswith(
        "aws rds copy-db-cluster-parameter-group --source-db-cluster-parameter-group-identifier quiet "
        "--target-db-cluster-parameter-group-identifier quiet-quarantine "
        f"--target-db-cluster-parameter-group-description quarantine --region {REGION} && "
        "aws rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name quiet-quarantine --parameters "
        '"ParameterName=max_logical_replication_workers,ParameterValue=0,ApplyMethod=pending-reboot" '
        "\"ParameterName=shared_preload_libraries,ParameterValue='auto_explain,pgaudit',ApplyMethod=pending-reboot\" "
        f"--region {REGION}"
    )


def test_a_default_group_which_rds_never_copies_is_made_anew() -> None:
    (problem,) = problems(db_cluster_parameter_group_name=f"default.{FAMILY}")
    assert (
        f"aws rds create-db-cluster-parameter-group --db-cluster-parameter-group-name quarantine-{FAMILY} "
        f"--db-parameter-group-family {FAMILY} --description quarantine --region {REGION} && " in problem
    )


def test_what_an_instances_group_sets_counts_for_more(rds: FakeRds) -> None:
    rds.parameter_groups["tuned"] = FAMILY
    assert problems(db_parameter_group_name="tuned") == []
    rds.parameters["tuned"] = {"shared_preload_libraries": "pg_cron"}
    (problem,) = problems(db_parameter_group_name="tuned")
    assert problem.startswith("quarantine: the instance parameter group 'tuned' lets pg_cron")
    assert f"or omit that field for default.{FAMILY}" in problem
    # The command that the refusal leads to is never one without the quarantine.
    assert corrected({"quarantine": True, "db_parameter_group_name": "tuned"}, [problem]).left_out == []


def test_a_group_that_doesnt_exist_is_told_elsewhere() -> None:
    assert problems(db_cluster_parameter_group_name="gone") == []


def test_a_missing_permission_is_no_answer(rds: FakeRds) -> None:
    rds.refuse("DescribeDBClusterParameters", "AccessDenied", status=403)
    with pytest.raises(ClientError, match="AccessDenied"):
        problems()
