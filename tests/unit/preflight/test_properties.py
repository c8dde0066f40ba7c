"""Whatever is broken around a restore, by itself or with others, is found in the first step, before a side effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.fakes.groups import FakeKeys, FakeNetwork, a_subnet_group
from tests.unit.fakes.rds import FakeRds
from tests.unit.support import (
    ADMIN_SECRET,
    AUDIT_TABLE,
    EXECUTION,
    KEY_ID,
    NOW,
    OPERATION,
    STATE_TABLE,
    TARGET,
    calling,
)
from utils.aws import client
from utils.errors import RequestRefused
from utils.names import instance_name

pytestmark = pytest.mark.usefixtures("surroundings")

check = calling("snapshot-check")


class World:
    """Production and all that its restore needs, until somebody breaks something."""

    def __init__(self, rds: FakeRds, network: FakeNetwork, keys: FakeKeys) -> None:
        self.rds, self.network, self.keys = rds, network, keys
        fresh = FakeRds(rds.region, rds.clock)
        # RDS makes its default groups itself; one that is named has to be there.
        fresh.cluster_parameter_groups["tuned"] = fresh.parameter_groups["tuned"] = "aurora-postgresql16"
        self._whole = {
            name: getattr(fresh, name)
            for name in (
                "subnet_groups",
                "cluster_parameter_groups",
                "parameter_groups",
                "versions",
                "classes",
                "quotas",
            )
        }
        self._groups, self._key = dict(network.groups), dict(keys.keys[KEY_ID])

    def mend(self) -> None:
        for name, value in self._whole.items():
            setattr(self.rds, name, value.copy())
        self.network.groups = dict(self._groups)
        self.keys.keys[KEY_ID] = dict(self._key)
        self.rds.clusters.clear()
        self.rds.instances.clear()
        self.rds.add_cluster("prod-orders")
        self.rds.add_snapshot("rds:prod-orders-2026-03-10")
        secrets = client("secretsmanager")
        if "DeletedDate" in secrets.describe_secret(SecretId=ADMIN_SECRET):
            secrets.restore_secret(SecretId=ADMIN_SECRET)


def _one_zone(world: World) -> None:
    world.rds.subnet_groups["databases"] = a_subnet_group("databases", "a")


def _no_security_group(world: World) -> None:
    world.network.groups.clear()


def _no_cluster_group(world: World) -> None:
    world.rds.cluster_parameter_groups.clear()


def _no_instance_group(world: World) -> None:
    world.rds.parameter_groups.clear()


def _no_class(world: World) -> None:
    world.rds.classes.clear()


def _disabled_key(world: World) -> None:
    world.keys.keys[KEY_ID]["KeyState"] = "Disabled"


def _target_is_there(world: World) -> None:
    world.rds.add_cluster(TARGET)


def _name_of_an_instance_is_taken(world: World) -> None:
    world.rds.add_instance(instance_name(TARGET, 1, OPERATION), "somebody-elses")


def _secret_is_going(world: World) -> None:
    client("secretsmanager").delete_secret(SecretId=ADMIN_SECRET)


# What can be broken, and the word with which the refusal of it begins.
BROKEN: dict[Callable[[World], None], str] = {
    _one_zone: "db_subnet_group_name: 'databases' covers only",
    _no_security_group: "vpc_security_group_ids:",
    _no_cluster_group: "db_cluster_parameter_group_name:",
    _no_instance_group: "db_parameter_group_name:",
    _no_class: "db_instance_class:",
    _disabled_key: "kms_key_id:",
    _target_is_there: f"target_cluster_id: a cluster '{TARGET}' exists",
    _name_of_an_instance_is_taken: f"target_cluster_id: an instance {instance_name(TARGET, 1, OPERATION)!r} exists",
    _secret_is_going: "admin_secret:",
}


@pytest.fixture
def world(rds: FakeRds, network: FakeNetwork, keys: FakeKeys) -> World:
    return World(rds, network, keys)


def asked(request: dict[str, Any]) -> Any:
    begun = {
        "execution_id": EXECUTION,
        "execution_name": OPERATION,
        "started_at": NOW.isoformat(),
        "now": NOW.isoformat(),
    }
    groups = {"db_cluster_parameter_group_name": "tuned", "db_parameter_group_name": "tuned"}
    return check({"execution": begun, "request": groups | request})


def test_with_everything_in_place_there_is_a_plan(world: World) -> None:
    world.mend()
    assert asked({"kms_key_id": KEY_ID})["target_cluster_id"] == TARGET


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    broken=st.sets(st.sampled_from(list(BROKEN)), min_size=1),
    more=st.fixed_dictionaries(
        {},
        optional={
            "dry_run": st.booleans(),
            "archive_snapshot": st.sampled_from(["delete", "keep"]),
            "on_failure": st.sampled_from(["clean_up", "keep"]),
            "tags": st.just({"team": "orders"}),
        },
    ),
)
def test_rule_10_whatever_is_broken_is_named_and_nothing_is_touched(
    world: World, broken: set[Callable[[World], None]], more: dict[str, Any]
) -> None:
    world.mend()
    for spoil in broken:
        spoil(world)
    before = len(world.rds.changes())
    with pytest.raises(RequestRefused) as refused:
        asked({"kms_key_id": KEY_ID, **more})
    lines = str(refused.value).splitlines()
    for spoil in broken:
        assert any(line.startswith(BROKEN[spoil]) for line in lines), (BROKEN[spoil], lines)
    assert world.rds.changes()[before:] == []
    tables = client("dynamodb")
    assert [tables.scan(TableName=table)["Items"] for table in (STATE_TABLE, AUDIT_TABLE)] == [[], []]
