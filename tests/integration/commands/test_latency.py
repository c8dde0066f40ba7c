"""The benchmark of a run's time: what it divides by, what it compares with, and what the documentation has of it."""

from __future__ import annotations

import dataclasses
import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scripts.local_aws.aurora.service import Durations
from scripts.local_aws.server import LocalAws
from tests.benchmarks import latency
from tests.benchmarks.latency import CASES, HEAD, Case, Work, by_rules_of_others, cdk, drawn, work_of
from tests.integration.local_aws.aurora_support import ENGINE, running_cluster, take_snapshot
from tests.integration.local_aws.aurora_support import name as new_name

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "documentation" / "operations" / "costs.md"
ROUND = Durations(
    restore_cluster=1000,
    copy_snapshot=400,
    export_snapshot=500,
    create_snapshot=200,
    create_instance=300,
    further_instance=10,
    reset_without_instances=250,
    modify_cluster=60,
    change_groups=40,
    delete_instance=100,
    delete_cluster=700,
)


def case(name: str) -> Case:
    return next(each for each in CASES if each.name == name)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("one instance", 1000 + 60 + 300 + 80),
        ("default", 1000 + 60 + 310 + 80),
        ("three readers", 1000 + 60 + 330 + 80),
        ("cross-region", 400 + 1000 + 60 + 310 + 80),
        ("two steps", 2 * 400 + 1000 + 60 + 310 + 80),
        ("delete", 1000 + 60 + 310 + 80 + 700),
        ("export", 1000 + 60 + 310 + 80),
        ("all together", 400 + 1000 + 60 + 330 + 80 + 60 + 700),
    ],
)
def test_the_longest_chain_is_that_of_the_architecture(name: str, seconds: float) -> None:
    assert work_of(case(name), ROUND).longest_chain() == seconds


@pytest.mark.full
def test_work_without_any_delay_takes_as_long_as_the_longest_chain(aws: LocalAws) -> None:
    """Somebody who looks every few seconds does all of it by hand: nothing is forced that could be left out."""
    rds, usual = aws.client("rds"), aws.aurora.durations
    running_cluster(aws, name := new_name("source"))
    snapshot = take_snapshot(aws, name)
    groups = [aws.client("ec2").create_security_group(GroupName=new_name("door"), Description="The door")["GroupId"]]
    target = {"DBClusterIdentifier": new_name("target")}
    members = [f"{target['DBClusterIdentifier']}-{number}" for number in (1, 2)]
    aws.aurora.durations, began = ROUND, aws.clock.time()
    try:
        rds.restore_db_cluster_from_snapshot(**target, SnapshotIdentifier=snapshot, Engine=ENGINE)
        _until(aws, lambda: _found(rds, target)["Status"] == "available")
        rds.modify_db_cluster(**target, MasterUserPassword="Another-one-1", BackupRetentionPeriod=3)
        for member in members:
            _until(aws, functools.partial(_is_created, rds, target, member))
        _until(aws, lambda: _found(rds, target)["Status"] == "available" and not _busy(rds, target))
        rds.modify_db_cluster(**target, VpcSecurityGroupIds=groups)
        _until(aws, lambda: _found(rds, target)["Status"] == "available" and _groups_of(rds, target) == groups)
        rds.enable_http_endpoint(ResourceArn=_found(rds, target)["DBClusterArn"])
        _until(aws, lambda: _found(rds, target)["HttpEndpointEnabled"])
        for member in _found(rds, {"DBClusterIdentifier": name})["DBClusterMembers"]:
            rds.delete_db_instance(DBInstanceIdentifier=member["DBInstanceIdentifier"])
        rds.delete_db_cluster(DBClusterIdentifier=name, FinalDBSnapshotIdentifier=new_name("final"))
        _until(aws, lambda: not _exists(rds, name))
    finally:
        aws.aurora.durations = usual
    chain = work_of(Case("all but the copy", "same-place", {"data_api": True}, deletes=True), ROUND).longest_chain()
    assert chain <= aws.clock.time() - began <= chain * 1.05


def _until(aws: LocalAws, arrived: Callable[[], bool]) -> None:
    deadline = aws.clock.time() + 10_000
    while not arrived():
        assert aws.clock.time() < deadline
        aws.clock.sleep(5)


def _found(rds: Any, cluster: dict[str, str]) -> Any:
    return rds.describe_db_clusters(**cluster)["DBClusters"][0]


def _is_created(rds: Any, cluster: dict[str, str], member: str) -> bool:
    try:
        rds.create_db_instance(**cluster, DBInstanceIdentifier=member, Engine=ENGINE, DBInstanceClass="db.r6g.large")
    except rds.exceptions.InvalidDBClusterStateFault:
        return False
    return True


def _members(rds: Any, cluster: dict[str, str]) -> Any:
    only = [{"Name": "db-cluster-id", "Values": [cluster["DBClusterIdentifier"]]}]
    return rds.describe_db_instances(Filters=only)["DBInstances"]


def _busy(rds: Any, cluster: dict[str, str]) -> bool:
    creating = any(each["DBInstanceStatus"] == "creating" for each in _members(rds, cluster))
    return creating or bool(_found(rds, cluster).get("PendingModifiedValues"))


def _groups_of(rds: Any, cluster: dict[str, str]) -> list[str]:
    """Return the groups that all of the cluster's members are in, once none is changing."""
    each = [member["VpcSecurityGroups"] for member in _members(rds, cluster)]
    if any(group["Status"] != "active" for groups in each for group in groups):
        return []
    return sorted({group["VpcSecurityGroupId"] for groups in each for group in groups})


def _exists(rds: Any, cluster: str) -> bool:
    try:
        return bool(rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"])
    except rds.exceptions.DBClusterNotFoundFault:
        return False


def test_what_runs_beside_the_rest_counts_where_it_is_longer() -> None:
    slow_export = dataclasses.replace(ROUND, export_snapshot=9000)
    assert work_of(case("all together"), slow_export).longest_chain() == 400 + 9000
    slow_password = dataclasses.replace(ROUND, reset_without_instances=900)
    assert work_of(case("default"), slow_password).longest_chain() == 1000 + 60 + 900 + 80


def test_others_wait_for_one_thing_after_another_by_their_own_rules() -> None:
    work = work_of(case("cross-region"), ROUND)
    assert list(work.one_after_another()) == [400, 1000, 310, 310, 80]
    assert by_rules_of_others(case("cross-region"), ROUND) == (
        420 + 1020 + 360 + 360 + 120,
        420 + 1020 + 360 + 360 + 120,
    )
    assert by_rules_of_others(case("cross-region"), dataclasses.replace(ROUND, copy_snapshot=370)) == (
        420 + 1020 + 360 + 360 + 120,
        390 + 1020 + 360 + 360 + 120,
    )


def test_cdks_construct_gives_up_after_five_hours() -> None:
    assert cdk(5 * 3600) == 5 * 3600
    assert cdk(5 * 3600 + 1) == latency.GAVE_UP


@pytest.mark.parametrize("each", CASES, ids=lambda each: each.name)
def test_a_seed_draws_the_same_everywhere_and_the_learned_run_is_near_the_first(each: Case) -> None:
    first, learned = drawn(7, each)
    assert drawn(7, each) == (first, learned)
    assert drawn(8, each) != (first, learned)
    for name, (least, most) in latency.RANGES.items():
        if name == "delete_cluster":  # it includes the final snapshot
            continue
        before, after = getattr(first, name), getattr(learned, name)
        assert least <= before <= most, name
        assert 0.7 * before <= after <= 1.3 * before, name
    assert first.delete_cluster > first.create_snapshot


def test_the_documented_table_is_that_of_the_first_seed() -> None:
    """What follows from the durations alone is in each of its rows as the command prints it."""
    head, *rows = PAGE.read_text().split("<!-- latency -->\n```text\n")[1].split("\n\n")[0].splitlines()
    assert head == HEAD
    assert [row[:23].rstrip() for row in rows] == [
        f"{each.name:14} {kind}" for each in CASES for kind in ("first", "learned")
    ]
    runs = [(each, durations) for each in CASES for durations in drawn(1, each)]
    for row, (each, durations) in zip(rows, runs, strict=True):
        chain = work_of(each, durations).longest_chain()
        others = [f"{seconds / chain:.3f}" for seconds in by_rules_of_others(each, durations)]
        minutes, _, _, *told = row[23:].replace("gave up", "inf").split()[:5]
        assert [minutes, *told] == [f"{chain / 60:.1f}", *others], row


def test_no_work_is_forgotten_by_those_who_wait_for_all_of_it() -> None:
    durations = drawn(1, case("all together"))[0]
    work = work_of(case("all together"), durations)
    assert all(getattr(work, each.name) for each in dataclasses.fields(Work))
    assert sum(work.one_after_another()) >= work.longest_chain()


@pytest.mark.full
def test_the_documented_command_prints_a_row_for_each_run() -> None:
    command = "tests/benchmarks/latency.py"
    assert f".venv/bin/python {command}" in PAGE.read_text()
    ran = subprocess.run(
        [sys.executable, command, "--case", "one instance"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    head, *rows = ran.stdout.split("\n\n")[0].splitlines()
    assert head == HEAD
    assert [row[:23].rstrip() for row in rows] == ["one instance   first", "one instance   learned"]
    assert all(float(row[23:].split()[2]) >= 1 for row in rows)
    assert "rds:RestoreDBClusterFromSnapshot" in ran.stdout
