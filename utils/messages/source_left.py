"""What a message says first of a source cluster whose deletion has begun, and the commands that bring it back."""

from __future__ import annotations

from collections.abc import Iterator

from utils.aurora_utils import ENGINE
from utils.aurora_utils.source_left import SourceLeft
from utils.contracts.plan import SourceDeletion, SourceInstance
from utils.foreign_text import listed


def state_of_source(left: SourceLeft) -> str:
    """Return the state of production, the first thing that somebody who is woken has to know."""
    name = left.cluster_identifier
    if left.status is None:
        return f"Source cluster {name} is deleted."
    if left.is_being_deleted:
        return f"Source cluster {name} is being deleted by RDS, and nothing can stop that."
    if left.is_whole:
        return f"Source cluster {name} exists with all its instances: nothing of it was deleted."
    if left.is_without_instances:
        return (
            f"Source cluster {name} is WITHOUT INSTANCES, so nobody can connect to it. None of its data is lost: the "
            f"cluster's volume exists. {_what_went(left)}."
        )
    return (
        f"Source cluster {name} is PARTLY deleted. {_what_went(left)}. Still there: "
        f"{listed([*left.there, *left.others])}. None of its data is lost: the cluster's volume exists."
    )


def bring_back_lines(left: SourceLeft, deletion: SourceDeletion) -> Iterator[str]:
    """Yield the commands that restore the source cluster's instances and protection."""
    if left.status is None or left.is_being_deleted:
        return
    here = f"--region {left.region}"
    name = left.cluster_identifier
    for each in left.going:
        yield f"aws rds wait db-instance-deleted --db-instance-identifier {each} {here}"
    # The writer was the last to be deleted, and the first one created becomes the writer.
    for instance in reversed(deletion.instances):
        if instance.identifier in (*left.going, *left.gone):
            yield _creation(instance, name, here)
    if deletion.switches_protection_off and not left.deletion_protection:
        yield (
            f"aws rds modify-db-cluster --db-cluster-identifier {name} --deletion-protection --apply-immediately {here}"
        )


def _what_went(left: SourceLeft) -> str:
    parts = [("deleted", left.gone), ("being deleted", left.going)]
    return "Instances " + "; ".join(f"{what}: {listed(names)}" for what, names in parts if names)


def _creation(instance: SourceInstance, cluster: str, here: str) -> str:
    options = {
        "--db-instance-class": instance.db_instance_class,
        "--db-parameter-group-name": instance.db_parameter_group_name,
        "--availability-zone": instance.availability_zone,
        "--promotion-tier": instance.promotion_tier,
    }
    given = " ".join(f"{option} {value}" for option, value in options.items() if value is not None)
    return (
        f"aws rds create-db-instance --db-instance-identifier {instance.identifier} --db-cluster-identifier {cluster} "
        f"--engine {ENGINE} {given} {here}"
    )
