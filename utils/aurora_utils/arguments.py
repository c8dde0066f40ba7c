"""What a plan says of its cluster, in the words of RDS's calls: all of it, so that RDS decides nothing by itself.

Which call carries which setting stands in the table of settings, with its source. RestoreDBClusterFromSnapshot takes
only a part, although its model declares more; the rest follows in one ModifyDBCluster while there is no instance, and
in the instances. Here is what those calls need beside the settings, and what is composed of several.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from utils.aurora_utils.reported_settings import default_group_of, lifecycle
from utils.contracts.settings import SETTINGS, Call

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import TagTypeDef

    from utils.contracts.plan import ClusterPlan, PlannedInstance


def restore_arguments(plan: ClusterPlan) -> dict[str, Any]:
    """Return those of RestoreDBClusterFromSnapshot, which creates the cluster's volume and no instance."""
    return {
        "DBClusterIdentifier": plan.identifier,
        "SnapshotIdentifier": plan.snapshot_arn,
        # Behind the door: the wanted groups follow in a change of their own, once the users are set up.
        "VpcSecurityGroupIds": [plan.door_security_group_id],
        "CopyTagsToSnapshot": True,
        "EngineLifecycleSupport": lifecycle(plan.extended_support),
        "Tags": tag_list(plan.tags),
        **_settings(plan, "RestoreDBClusterFromSnapshot"),
        **_group(plan, "DBClusterParameterGroupName", plan.db_cluster_parameter_group_name),
        **_scaling(plan),
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
        **_group(plan, "DBParameterGroupName", plan.db_parameter_group_name),
        **_monitoring_role(plan),
        **_insights(plan),
    }


def tag_list(tags: Mapping[str, str]) -> list[TagTypeDef]:
    """Return the tags as the calls expect them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _settings(plan: ClusterPlan, call: Call) -> dict[str, Any]:
    """Return what a call carries of the settings as the plan has them."""
    carried = [(sent, getattr(plan, each.name)) for each in SETTINGS if (sent := each.sent_in(call)) is not None]
    return {sent.parameter: value for sent, value in carried if not sent.composed and value is not sent.unless}


def _scaling(plan: ClusterPlan) -> dict[str, Any]:
    scaling = {
        "MinCapacity": plan.serverless_v2_min_capacity,
        "MaxCapacity": plan.serverless_v2_max_capacity,
        "SecondsUntilAutoPause": plan.serverless_v2_seconds_until_auto_pause,
    }
    if plan.serverless_v2_max_capacity is None:
        return {}
    return {"ServerlessV2ScalingConfiguration": {name: value for name, value in scaling.items() if value is not None}}


def _insights_of_cluster(plan: ClusterPlan) -> dict[str, Any]:
    """Return the advanced mode with all that it needs, which has to come in the same call; else nothing.

    RDS refuses the mode by itself even where the cluster has the rest already (hashicorp/terraform-provider-aws#43919).
    In the standard mode, too, RDS takes Performance Insights of a cluster (ansible-collections/amazon.aws#2543); here
    each instance brings it along.
    """
    if plan.database_insights_mode != "advanced":
        return {}
    return {"DatabaseInsightsMode": "advanced", **_insights(plan)}


def _insights(plan: ClusterPlan) -> dict[str, Any]:
    days = plan.performance_insights_retention_days
    if not days:
        return {"EnablePerformanceInsights": False}
    key = plan.performance_insights_kms_key_id
    return {
        "EnablePerformanceInsights": True,
        "PerformanceInsightsRetentionPeriod": days,
        **({"PerformanceInsightsKMSKeyId": key} if key else {}),
    }


def _monitoring_role(plan: ClusterPlan) -> dict[str, str]:
    """Return the role where there is an interval: RDS takes neither alone (CreateDBInstance, API reference)."""
    role = plan.monitoring_role_arn
    return {"MonitoringRoleArn": role} if role and plan.monitoring_interval_seconds else {}


def _group(plan: ClusterPlan, name: str, group: str) -> dict[str, str]:
    """Return the parameter group, or nothing for the default group of the version's family, which stays unnamed.

    RDS uses its own where none is named, and creates it with the first such cluster of a region, where the name alone
    would be refused (DBClusterParameterGroupNotFound, as in aws/aws-cdk#719).
    """
    return {} if group == default_group_of(plan.engine_version) else {name: group}
