"""Every member that RDS reports of a cluster or an instance has its line: carried, decided, or left behind and said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from botocore.session import get_session

from utils.aurora_utils import source_attributes
from utils.aurora_utils.source_attributes import OF_CLUSTER, OF_INSTANCE, Left, Planned
from utils.contracts.plan import ClusterPlan, PlannedInstance

MODEL: Any = get_session().get_service_model("rds")
TABLES = (("DBCluster", OF_CLUSTER), ("DBInstance", OF_INSTANCE))


@pytest.mark.parametrize(("shape", "table"), TABLES, ids=[shape for shape, _ in TABLES])
def test_every_member_of_rdss_model_has_its_line_and_no_other(shape: str, table: Mapping[str, Any]) -> None:
    assert sorted(table) == sorted(MODEL.shape_for(shape).members)


@pytest.mark.parametrize(
    ("settings", "others"),
    [
        (source_attributes._CLUSTERS_SETTINGS, source_attributes._OF_CLUSTER),
        (source_attributes._INSTANCES_SETTINGS, source_attributes._OF_INSTANCE),
    ],
    ids=["cluster", "instance"],
)
def test_what_a_setting_carries_is_not_left_behind_as_well(
    settings: Mapping[str, Any], others: Mapping[str, Any]
) -> None:
    assert settings.keys() & others.keys() == set(), "the setting's row says it: remove the line of the member"


@pytest.mark.parametrize("table", [OF_CLUSTER, OF_INSTANCE], ids=["cluster", "instance"])
def test_what_the_plan_says_has_a_field_there(table: Mapping[str, Any]) -> None:
    fields = {*ClusterPlan.__struct_fields__, *PlannedInstance.__struct_fields__}
    assert {each.field for each in table.values() if isinstance(each, Planned)} <= fields


def a_value(member: Any, number: int = 1) -> Any:
    """A value of the member's type that is nobody's default."""
    if member.type_name == "structure":
        return {name: a_value(each) for name, each in member.members.items()}
    if member.type_name == "list":
        return [a_value(member.member)]
    return {"boolean": True, "string": "unusual", "timestamp": "2026-03-10"}.get(member.type_name, number)


# RDS says the opposite of its default here with False.
OPPOSITE = {"VPCNetworkingEnabled": False}


@pytest.mark.parametrize(
    ("shape", "name"),
    [(shape, name) for shape, table in TABLES for name, each in table.items() if isinstance(each, Left)],
)
def test_an_unusual_value_is_spoken_of_and_an_empty_one_isnt(shape: str, name: str) -> None:
    member = MODEL.shape_for(shape).members[name]
    speak: Any = source_attributes.of_cluster if shape == "DBCluster" else source_attributes.of_instance
    (sentence,) = speak({name: OPPOSITE.get(name, a_value(member))})
    assert sentence
    assert len(sentence) <= source_attributes.MAX_SENTENCE
    empty = {"structure": {}, "list": [], "string": "", "boolean": not OPPOSITE.get(name, True)}.get(
        member.type_name, 0
    )
    assert speak({name: empty}) == []


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("ActivityStreamStatus", "stopped"),
        ("ClusterScalabilityType", "standard"),
        ("DBClusterOptionGroupMemberships", [{"DBClusterOptionGroupName": "default:aurora-postgresql-16"}]),
        ("EngineMode", "provisioned"),
        ("GlobalWriteForwardingStatus", "disabled"),
        ("LimitlessDatabase", {"Status": "not-in-use"}),
        ("UpgradeRolloutOrder", "second"),
        ("VPCNetworkingEnabled", True),
    ],
)
def test_what_rds_gives_to_everybody_needs_no_sentence(name: str, default: Any) -> None:
    reported: Any = {name: default}
    assert source_attributes.of_cluster(reported) == []


def test_many_things_are_counted() -> None:
    reported: Any = {"ReadReplicaIdentifiers": [f"replica-{number}" for number in range(20)]}
    (sentence,) = source_attributes.of_cluster(reported)
    assert sentence.startswith("read replicas: replica-0, replica-1")
    assert sentence.endswith("replica-7 and 12 more")
