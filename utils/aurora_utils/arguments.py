"""What a plan says of its cluster, in the words of RDS's calls: all of it, so that RDS decides nothing by itself.

Which call carries which setting stands in the table of settings, with its source. RestoreDBClusterFromSnapshot takes
only a part, although its model declares more; the rest follows in one ModifyDBCluster while there is no instance, and
in the instances. Here is what those calls need beside the settings.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from utils.contracts.settings import SETTINGS, Call

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import TagTypeDef

    from utils.contracts.plan import ClusterPlan, PlannedInstance


def restore_arguments(plan: ClusterPlan) -> dict[str, Any]:
    """Return those of RestoreDBClusterFromSnapshot, which creates the cluster's volume and no instance."""
    return {
        "DBClusterIdentifier": plan.identifier,
        "SnapshotIdentifier": plan.snapshot_arn,
        "CopyTagsToSnapshot": True,
        "Tags": tag_list(plan.tags),
        **_settings(plan, "RestoreDBClusterFromSnapshot"),
    }


def first_modify_arguments(plan: ClusterPlan, password: str | None) -> dict[str, Any]:
    """Return those of the one ModifyDBCluster that follows the restore, while the cluster has no instance.

    `password` is the new master password; with None, RDS creates one and keeps it in a secret of its own. (Sending
    ManageMasterUserPassword=False for an unmanaged cluster is an error of its own.) Never an EngineVersion: without an
    instance RDS refuses it.
    """
    login: dict[str, Any] = {"ManageMasterUserPassword": True} if password is None else {"MasterUserPassword": password}
    if password is None and plan.master_secret_kms_key_id:
        login["MasterUserSecretKmsKeyId"] = plan.master_secret_kms_key_id
    return {
        "DBClusterIdentifier": plan.identifier,
        "ApplyImmediately": True,
        **_settings(plan, "ModifyDBCluster"),
        **_insights_of_cluster(plan),
        **login,
    }


def security_group_arguments(plan: ClusterPlan, groups: list[str]) -> dict[str, Any]:
    """Return those of the ModifyDBCluster that opens the door: the groups, and nothing else."""
    return {"DBClusterIdentifier": plan.identifier, "VpcSecurityGroupIds": groups, "ApplyImmediately": True}


def instance_arguments(plan: ClusterPlan, instance: PlannedInstance) -> dict[str, Any]:
    """Return those of CreateDBInstance, for a member of the cluster."""
    return {
        "DBInstanceIdentifier": instance.identifier,
        "DBClusterIdentifier": plan.identifier,
        "DBInstanceClass": instance.db_instance_class,
        **({"AvailabilityZone": instance.availability_zone} if instance.availability_zone else {}),
        "PromotionTier": instance.promotion_tier,
        "PubliclyAccessible": False,
        "Tags": tag_list(plan.tags),
        **_settings(plan, "CreateDBInstance"),
        **_monitoring_role(plan),
        "EnablePerformanceInsights": plan.performance_insights_retention_days > 0,
    }


def tag_list(tags: Mapping[str, str]) -> list[TagTypeDef]:
    """Return the tags as the calls expect them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _settings(plan: ClusterPlan, call: Call) -> dict[str, Any]:
    """Return what a call carries of the settings, members of one structure together."""
    arguments: dict[str, Any] = {}
    for setting in SETTINGS:
        sent, value = setting.sent_in(call), setting.argument(plan, call)
        if sent is not None and value is not None:
            *outer, member = sent.path
            structure = functools.reduce(lambda each, name: each.setdefault(name, {}), outer, arguments)
            structure[member] = value
    return arguments


def _insights_of_cluster(plan: ClusterPlan) -> dict[str, Any]:
    """Return what the advanced mode needs in the same call, beside its settings; nothing for the standard mode.

    RDS refuses the mode by itself even where the cluster has the rest already (hashicorp/terraform-provider-aws#43919).
    In the standard mode, too, RDS takes Performance Insights of a cluster (ansible-collections/amazon.aws#2543); here
    each instance brings it along.
    """
    return {"EnablePerformanceInsights": True} if plan.is_advanced else {}


def _monitoring_role(plan: ClusterPlan) -> dict[str, str]:
    """Return the role where there is an interval: RDS takes neither alone (CreateDBInstance, API reference)."""
    role = plan.monitoring_role_arn
    return {"MonitoringRoleArn": role} if role and plan.monitoring_interval_seconds else {}
