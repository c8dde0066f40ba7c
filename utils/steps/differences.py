"""What RDS reports of the new cluster, held against what was asked for.

Differences are reported and do not fail the run, because they can be fixed afterwards. Two kinds do fail it until the
door is open: who can reach the cluster, and which key its data is under. The first may expose production's data, the
second can never be changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from utils.aurora_utils import AuroraReader
from utils.aurora_utils.reported_settings import InstanceSettings
from utils.aurora_utils.resources import Cluster, Instance
from utils.contracts.plan import ClusterPlan, DoorPhase, PlannedInstance
from utils.contracts.settings import SETTINGS
from utils.state.operation import OperationRecord

# As planned only once the door is open.
_BEHIND_THE_DOOR = ("vpc_security_group_ids", "data_api")


def differences(
    plan: ClusterPlan, cluster: Cluster, instances: Sequence[Instance], region: str, door: DoorPhase
) -> list[str]:
    """Return a sentence for each difference, the cluster's first."""
    return [*_of_cluster(plan, cluster, region, door), *_of_instances(plan, instances, region)]


def with_failures(told: list[str], cluster: Cluster, aurora: AuroraReader, record: OperationRecord) -> list[str]:
    """Return the differences, and after them which changes have failed that RDS had accepted, as its events say."""
    failures = aurora.reported_failures(cluster, record.entered("restore-snapshot"))
    return list(dict.fromkeys([*told, *(f"RDS reports a failure: {each}" for each in failures)]))


def unsafe_differences(
    plan: ClusterPlan, cluster: Cluster, instances: Sequence[Instance], door: DoorPhase
) -> list[str]:
    """Return those for which nobody may be let in. Of an open cluster, who has been let in is its owner's to say."""
    return [
        *(() if door == "open" else _door_differences(plan, cluster, instances, door)),
        *_key_difference(plan, cluster),
        *(
            f"instance {each.identifier} is publicly accessible"
            for each in instances
            if each.settings.publicly_accessible
        ),
    ]


def writer_differs(plan: ClusterPlan, cluster: Cluster) -> bool:
    """Return whether another instance than the first one planned is the writer, and that makes a difference.

    Instances of one class and one promotion tier are interchangeable.
    """
    first = plan.instances[0]
    writer = next((each for each in plan.instances if each.identifier == cluster.writer_identifier), first)
    return (writer.db_instance_class, writer.promotion_tier) != (first.db_instance_class, first.promotion_tier)


def _of_setting(plan: ClusterPlan, cluster: Cluster, name: str) -> Iterator[str]:
    yield from _difference(name, getattr(plan, name), cluster.settings.value(name))


def _of_cluster(plan: ClusterPlan, cluster: Cluster, region: str, door: DoorPhase) -> Iterator[str]:
    for setting in SETTINGS:
        if setting.of_cluster and (door == "open" or setting.name not in _BEHIND_THE_DOOR):
            yield from _of_setting(plan, cluster, setting.name)
    yield from _difference("copy_tags_to_snapshot", True, cluster.settings.copy_tags_to_snapshot)
    if plan.data_key_id is None and cluster.encrypted_under:
        yield f"kms_key_id: asked for no key of the account's, RDS reports {cluster.encrypted_under}"
    for key, value in plan.tags.items():
        yield from _difference(f"tag {key}", value, cluster.tags.get(key, "none"))
    if writer_differs(plan, cluster):
        yield from _difference("writer", plan.instances[0].identifier, cluster.writer_identifier)
    for member in cluster.unapplied_members:
        yield _waits_for_reboot(member, plan.db_cluster_parameter_group_name, region)


def _of_instances(plan: ClusterPlan, instances: Sequence[Instance], region: str) -> Iterator[str]:
    found = {each.identifier: each for each in instances}
    for planned in plan.instances:
        instance = found.pop(planned.identifier, None)
        if instance is None:
            yield f"instance {planned.identifier} was asked for, and RDS does not report it"
            continue
        for text in _of_instance(plan, planned, instance.settings):
            yield f"instance {planned.identifier}: {text}"
        for group in instance.settings.waiting_parameters:
            yield _waits_for_reboot(planned.identifier, group, region)
        for key, value in plan.tags.items():
            for text in _difference(f"tag {key}", value, instance.tags.get(key, "none")):
                yield f"instance {planned.identifier}: {text}"
    for name in found:
        yield f"instance {name} was not asked for"


def _of_instance(plan: ClusterPlan, planned: PlannedInstance, reported: InstanceSettings) -> Iterator[str]:
    yield from _difference("db_instance_class", planned.db_instance_class, reported.db_instance_class)
    yield from _difference("availability_zone", planned.availability_zone, reported.availability_zone)
    yield from _difference("promotion_tier", planned.promotion_tier, reported.promotion_tier)
    for setting in SETTINGS:
        if setting.of_instance:
            yield from _difference(setting.name, getattr(plan, setting.name), reported.value(setting.name))
    yield from _difference("monitoring_role_arn", plan.monitoring_role_arn, reported.monitoring_role_arn)


def _difference(name: str, wanted: Any, reported: Any) -> Iterator[str]:
    """Yield a sentence where the two differ. None is no answer of RDS's, and no wish of the plan's."""
    if isinstance(wanted, list):
        wanted = sorted(wanted)
    if name == "preferred_maintenance_window" and wanted is not None:
        wanted = wanted.lower()
    if wanted is not None and reported is not None and wanted != reported:
        yield f"{name}: asked for {_spoken(wanted)}, RDS reports {_spoken(reported)}"


def _spoken(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list):
        return ", ".join(value) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _waits_for_reboot(instance: str, group: str, region: str) -> str:
    return (
        f"instance {instance}: static parameters of {group} wait for a reboot: "
        f"aws rds reboot-db-instance --db-instance-identifier {instance} --region {region}"
    )


def _door_differences(
    plan: ClusterPlan, cluster: Cluster, instances: Sequence[Instance], door: DoorPhase
) -> Iterator[str]:
    """Yield who else can reach the cluster.

    While its door is shut it is in the door's group alone; while the door opens it may be in the wanted ones as well.
    """
    admitted = {plan.door_security_group_id} | (set() if door == "shut" else set(plan.vpc_security_group_ids))
    found: list[tuple[str, Cluster | Instance]] = [("cluster", cluster), *(("instance", each) for each in instances)]
    for kind, each in found:
        strangers = sorted(set(each.security_groups.ids) - admitted)
        if strangers or (door == "shut" and kind == "cluster" and not each.security_groups.ids):
            yield (
                f"{kind} {each.identifier} is to be in security group {', '.join(sorted(admitted))} alone, and RDS "
                f"reports {', '.join(each.security_groups.ids) or 'none'}"
            )


def _key_difference(plan: ClusterPlan, cluster: Cluster) -> Iterator[str]:
    """Yield that the data is under another key. An alias is only a name: it does not show which key it meant."""
    wanted, reported = plan.data_key_id, cluster.encrypted_under
    if wanted is None:
        return
    is_alias = "alias/" in wanted
    if reported is None or (not is_alias and wanted.rpartition("/")[2] != reported.rpartition("/")[2]):
        yield f"kms_key_id: asked for {wanted}, RDS reports {reported or 'no key of the account'}"
