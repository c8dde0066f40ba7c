"""The settings of a restored cluster: one row each, from which every package takes what it needs to know of a setting.

A row names the setting as the request and the plan do, and says where its value comes from when nobody gives one, which
parameter of which of RDS's calls carries it, where RDS reports it, and how a person reads it. What a row is unable to
say (two settings that depend on each other) is a function of its own in the package that needs it, under the setting's
name.

The sources, parameter by parameter: "CFN" is AWS's own CloudFormation handler (aws-cloudformation/
aws-cloudformation-resource-providers-rds at 5a410e84: Translator.java of aws-rds-dbcluster and aws-rds-dbinstance),
"TF" is HashiCorp's provider (hashicorp/terraform-provider-aws, internal/service/rds/cluster.go at 0168cf6 and
cluster_instance.go at 0160692), "API" is RDS's model in botocore 1.44. Which calls and parameters exist beside the
settings stands in tests/unit/aurora_utils/test_rds_calls.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from utils.names import MAX_INSTANCES
from utils.plurals import counted
from utils.versions import default_group_of

if TYPE_CHECKING:
    from utils.contracts.plan import ClusterPlan

# Whether a new cluster takes a setting from its source where request and stack are silent. `required`: somebody has to
# say it, so that a source which is unreadable is an obstacle. `optional`: RDS's own default is harmless.
FromSource = Literal["required", "optional", "never"]
Call = Literal["RestoreDBClusterFromSnapshot", "ModifyDBCluster", "CreateDBInstance"]


class Sent(Struct, frozen=True):
    """A parameter of a call, with the source for sending it there. A dot stands before the member of a structure.

    The plan's value is sent as it is, or what `value` makes of the plan. None is omitted.
    """

    parameter: str
    source: str
    value: Callable[[ClusterPlan], Any] | None = None

    @property
    def path(self) -> list[str]:
        """Return the parameter's name, and after it the names of the members that lead to the value."""
        return self.parameter.split(".")


class Setting(Struct, frozen=True, kw_only=True):
    """What there is to know about one setting.

    `called` and `words` are for people: `words` with the value in place of {}, `unset` where there is none, both in the
    line of the plan that begins with `line` (None: the plan has it elsewhere). `limits` are the least and the greatest
    whole number that RDS takes. `restore`, `first_change` and `instance` are its parameters in
    RestoreDBClusterFromSnapshot, in the ModifyDBCluster that follows before there is an instance, and in
    CreateDBInstance. `of_cluster` and `of_instance` name the member of DBCluster and DBInstance that is compared with
    the plan, with a dot before a member's member.

    Two functions are for values that are not enough as they are: `as_planned` returns what a member reports in the
    plan's words, from the member and the whole resource, and `said` returns what a plan has, as a person reads it.
    """

    name: str
    called: str
    line: str | None = None
    words: str = ""
    unset: str = ""
    default: Any = None
    from_source: FromSource = "never"
    limits: tuple[int, int] | None = None
    restore: Sent | None = None
    first_change: Sent | None = None
    instance: Sent | None = None
    of_cluster: str | None = None
    of_instance: str | None = None
    as_planned: Callable[[Any, Mapping[str, Any]], Any] | None = None
    said: Callable[[ClusterPlan], str] | None = None

    @property
    def parameter_of_the_stack(self) -> str:
        """Return the name of the template's parameter that sets it for all requests."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    def sent_in(self, call: Call) -> Sent | None:
        """Return the parameter that carries it in a call, if one does."""
        return {
            "RestoreDBClusterFromSnapshot": self.restore,
            "ModifyDBCluster": self.first_change,
            "CreateDBInstance": self.instance,
        }[call]

    def argument(self, plan: ClusterPlan, call: Call) -> Any:
        """Return the value that a call carries of it, or None where the call says nothing of it."""
        sent = self.sent_in(call)
        if sent is None:
            return None
        return getattr(plan, self.name) if sent.value is None else sent.value(plan)


def _insights_days(days: int | None, resource: Mapping[str, Any]) -> int | None:
    enabled = resource.get("PerformanceInsightsEnabled")
    if enabled is None:
        return None
    return (7 if days is None else days) if enabled else 0


def _said_insights(plan: ClusterPlan) -> str:
    days = plan.performance_insights_retention_days
    return f"Performance Insights kept {counted(days, 'day')}" if days else "Performance Insights off"


def _said_monitoring(plan: ClusterPlan) -> str:
    interval = plan.monitoring_interval_seconds
    if not interval:
        return "Enhanced Monitoring off"
    return f"Enhanced Monitoring every {counted(interval, 'second')} with role {plan.monitoring_role_arn}"


EXTENDED_SUPPORT = "open-source-rds-extended-support"
NO_EXTENDED_SUPPORT = f"{EXTENDED_SUPPORT}-disabled"
# What AWS's CloudFormation handler takes for on (translateLocalWriteForwardingStatus of aws-rds-dbcluster), and what is
# about to be.
_FORWARDS = ("requested", "enabling", "enabled")
_AT_RESTORE = "CFN and TF: at restore"
_IN_THE_CHANGE = "CFN and TF: in the change, not at restore, although the model has it there"


def _own_group(group: str, version: str) -> str | None:
    """Return a parameter group, or None for the default group of the version's family, which stays unnamed.

    RDS uses its own where none is named, and creates it with the first such cluster of a region, where the name alone
    would be refused (DBClusterParameterGroupNotFound, as in aws/aws-cdk#719).
    """
    return None if group == default_group_of(version) else group


def _scaling(member: str) -> Sent:
    return Sent(f"ServerlessV2ScalingConfiguration.{member}", "CFN: at restore only, since its PR 428")


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="engine_version",
        called="engine version",
        line="version",
        words="PostgreSQL {}",
        from_source="required",
        restore=Sent(
            "EngineVersion", f"{_AT_RESTORE}. Without it RDS takes the region's default version, not the snapshot's"
        ),
        of_cluster="EngineVersion",
    ),
    # The instances: how many there are and of which classes stands in the plan's list of them.
    Setting(name="db_instance_class", called="instance class", default="", from_source="required"),
    Setting(name="reader_instance_class", called="class of the readers"),
    Setting(name="alternative_instance_classes", called="alternative classes", default=[]),
    Setting(
        name="instance_count",
        called="number of instances",
        default=1,
        from_source="required",
        limits=(1, MAX_INSTANCES),
    ),
    Setting(name="availability_zones", called="availability zones"),
    Setting(
        name="auto_minor_version_upgrade",
        called="automatic minor upgrades",
        line="version",
        default=True,
        from_source="required",
        instance=Sent(
            "AutoMinorVersionUpgrade",
            "CFN and TF: the instance's; on Aurora it does not apply to ModifyDBCluster",
        ),
        of_instance="AutoMinorVersionUpgrade",
    ),
    # It costs.
    Setting(
        name="extended_support",
        called="Extended Support",
        line="version",
        default=False,
        restore=Sent(
            "EngineLifecycleSupport",
            f"{_AT_RESTORE}; without it RDS enrols in paid Extended Support",
            lambda plan: EXTENDED_SUPPORT if plan.extended_support else NO_EXTENDED_SUPPORT,
        ),
        of_cluster="EngineLifecycleSupport",
        as_planned=lambda lifecycle, _: None if lifecycle is None else lifecycle == EXTENDED_SUPPORT,
    ),
    # Where the cluster is to be, who reaches it and under which key its data is: the source's may not even exist here.
    Setting(
        name="db_subnet_group_name",
        called="subnet group",
        line="network",
        default="",
        restore=Sent("DBSubnetGroupName", _AT_RESTORE),
        instance=Sent("DBSubnetGroupName", "CFN and TF: the cluster's"),
        of_cluster="DBSubnetGroup",
    ),
    Setting(
        name="vpc_security_group_ids",
        called="security groups",
        default=[],
        restore=Sent(
            "VpcSecurityGroupIds",
            f"{_AT_RESTORE}. Without it RDS takes the VPC's default group. Here: the door's",
            # The wanted groups follow in a change of their own, once the users are set up.
            lambda plan: [plan.door_security_group_id],
        ),
        of_cluster="VpcSecurityGroups",
        as_planned=lambda groups, _: sorted(each.get("VpcSecurityGroupId", "") for each in groups or []),
    ),
    Setting(
        name="kms_key_id",
        called="key",
        restore=Sent("KmsKeyId", f"{_AT_RESTORE}; it cannot be changed later"),
    ),
    Setting(
        name="storage_type",
        called="storage type",
        line="storage",
        words="{}",
        from_source="required",
        restore=Sent("StorageType", _AT_RESTORE),
        of_cluster="StorageType",
        as_planned=lambda storage, _: storage or "aurora",
    ),
    Setting(
        name="network_type",
        called="network type",
        line="network",
        words="{}",
        default="IPV4",
        from_source="required",
        restore=Sent("NetworkType", _AT_RESTORE),
        of_cluster="NetworkType",
    ),
    Setting(
        name="port",
        called="port",
        line="network",
        unset="the port that its source had",
        from_source="required",
        limits=(1150, 65535),
        restore=Sent("Port", _AT_RESTORE),
        of_cluster="Port",
    ),
    Setting(
        name="ca_certificate_identifier",
        called="CA certificate",
        line="network",
        words="CA {}",
        unset="CA as RDS chooses",
        from_source="optional",
        instance=Sent("CACertificateIdentifier", "CFN and TF: the instance's"),
        of_instance="CACertificateIdentifier",
    ),
    Setting(
        name="db_cluster_parameter_group_name",
        called="cluster's parameter group",
        line="parameters",
        words="cluster's {}",
        from_source="required",
        restore=Sent(
            "DBClusterParameterGroupName",
            "CFN: at restore since its PR 309, it was ignored before; TF: at restore",
            lambda plan: _own_group(plan.db_cluster_parameter_group_name, plan.engine_version),
        ),
        of_cluster="DBClusterParameterGroup",
    ),
    Setting(
        name="db_parameter_group_name",
        called="parameter group",
        line="parameters",
        words="instances' {}",
        from_source="required",
        instance=Sent(
            "DBParameterGroupName",
            "CFN and TF",
            lambda plan: _own_group(plan.db_parameter_group_name, plan.engine_version),
        ),
        of_instance="DBParameterGroups",
        as_planned=lambda groups, _: groups[0].get("DBParameterGroupName") if groups else None,
    ),
    Setting(
        name="serverless_v2_min_capacity",
        called="least capacity",
        line="capacity",
        words="at least {} ACUs",
        from_source="required",
        restore=_scaling("MinCapacity"),
        of_cluster="ServerlessV2ScalingConfiguration.MinCapacity",
    ),
    Setting(
        name="serverless_v2_max_capacity",
        called="greatest capacity",
        line="capacity",
        words="at most {}",
        from_source="required",
        restore=_scaling("MaxCapacity"),
        of_cluster="ServerlessV2ScalingConfiguration.MaxCapacity",
    ),
    Setting(
        name="serverless_v2_seconds_until_auto_pause",
        called="seconds until a pause",
        line="capacity",
        words="paused after {} seconds",
        default=300,
        from_source="required",
        limits=(300, 86400),
        restore=_scaling("SecondsUntilAutoPause"),
        of_cluster="ServerlessV2ScalingConfiguration.SecondsUntilAutoPause",
    ),
    Setting(
        name="iam_database_authentication",
        called="IAM authentication",
        line="access",
        default=False,
        from_source="required",
        restore=Sent(
            "EnableIAMDatabaseAuthentication",
            "CFN: at restore (and again in the change after it); TF: a known bug, never",
        ),
        of_cluster="IAMDatabaseAuthenticationEnabled",
    ),
    # It opens a door, and security groups do not hold it off: it is switched on by a call of its own, at the end.
    Setting(name="data_api", called="Data API", line="access", default=False, of_cluster="HttpEndpointEnabled"),
    # False is not sent: it is RDS's default, and whether every version accepts it is unknown.
    Setting(
        name="local_write_forwarding",
        called="local write forwarding",
        line="access",
        default=False,
        from_source="optional",
        first_change=Sent(
            "EnableLocalWriteForwarding",
            "CFN: in the change; RestoreDBClusterFromSnapshot does not have it",
            lambda plan: plan.local_write_forwarding or None,
        ),
        of_cluster="LocalWriteForwardingStatus",
        as_planned=lambda status, _: None if status is None else status in _FORWARDS,
    ),
    # Never the source's: with a protected source nobody could delete the restored clusters.
    Setting(
        name="deletion_protection",
        called="deletion protection",
        line="access",
        default=False,
        restore=Sent("DeletionProtection", _AT_RESTORE),
        of_cluster="DeletionProtection",
    ),
    Setting(
        name="master_login",
        called="keeper of the master password",
        default="pipeline",
    ),
    Setting(
        name="backup_retention_days",
        called="days of backups",
        line="backups",
        default=1,
        from_source="required",
        limits=(1, 35),
        first_change=Sent("BackupRetentionPeriod", _IN_THE_CHANGE),
        of_cluster="BackupRetentionPeriod",
        said=lambda plan: f"kept {counted(plan.backup_retention_days, 'day')}",
    ),
    Setting(
        name="preferred_backup_window",
        called="backup window",
        line="backups",
        words="at {}",
        unset="when RDS chooses",
        from_source="required",
        first_change=Sent("PreferredBackupWindow", _IN_THE_CHANGE),
        of_cluster="PreferredBackupWindow",
    ),
    Setting(
        name="preferred_maintenance_window",
        called="maintenance window",
        line="maintenance",
        words="{}",
        unset="when RDS chooses",
        from_source="required",
        first_change=Sent(
            "PreferredMaintenanceWindow",
            "CFN and TF: in the change; RestoreDBClusterFromSnapshot does not have it",
        ),
        instance=Sent("PreferredMaintenanceWindow", "CFN and TF"),
        of_cluster="PreferredMaintenanceWindow",
        of_instance="PreferredMaintenanceWindow",
        as_planned=lambda window, _: window.lower() if window else None,
    ),
    Setting(
        name="database_insights_mode",
        called="mode of Database Insights",
        line="insights",
        words="Database Insights {}",
        default="standard",
        from_source="required",
        first_change=Sent(
            "DatabaseInsightsMode",
            "CFN: in the change; RestoreDBClusterFromSnapshot does not have it",
            lambda plan: "advanced" if plan.is_advanced else None,
        ),
        of_cluster="DatabaseInsightsMode",
        as_planned=lambda mode, _: mode or "standard",
    ),
    Setting(
        name="performance_insights_retention_days",
        called="days of Performance Insights",
        line="insights",
        default=7,
        from_source="required",
        first_change=Sent(
            "PerformanceInsightsRetentionPeriod",
            "CFN: in the change, as EnablePerformanceInsights",
            lambda plan: plan.performance_insights_retention_days if plan.is_advanced else None,
        ),
        instance=Sent(
            "PerformanceInsightsRetentionPeriod",
            "CFN and TF: the instance's, with EnablePerformanceInsights",
            lambda plan: plan.performance_insights_retention_days or None,
        ),
        of_cluster="PerformanceInsightsRetentionPeriod",
        of_instance="PerformanceInsightsRetentionPeriod",
        as_planned=_insights_days,
        said=_said_insights,
    ),
    Setting(
        name="performance_insights_kms_key_id",
        called="key of Performance Insights",
        line="insights",
        words="under key {}",
        from_source="optional",
        first_change=Sent(
            "PerformanceInsightsKMSKeyId",
            "CFN: in the change, only with EnablePerformanceInsights=true",
            lambda plan: plan.performance_insights_kms_key_id if plan.is_advanced else None,
        ),
        instance=Sent(
            "PerformanceInsightsKMSKeyId",
            "CFN: the instance's, only with EnablePerformanceInsights=true",
            lambda plan: plan.performance_insights_kms_key_id if plan.performance_insights_retention_days else None,
        ),
        of_instance="PerformanceInsightsKMSKeyId",
    ),
    Setting(
        name="monitoring_interval_seconds",
        called="seconds between two measurements of Enhanced Monitoring",
        line="insights",
        default=0,
        from_source="optional",
        instance=Sent("MonitoringInterval", "CFN and TF: the instance's"),
        of_instance="MonitoringInterval",
        said=_said_monitoring,
    ),
    Setting(
        name="enabled_cloudwatch_logs_exports",
        called="logs",
        line="logs",
        words="{} to CloudWatch",
        unset="none to CloudWatch",
        default=["postgresql"],
        from_source="required",
        restore=Sent("EnableCloudwatchLogsExports", _AT_RESTORE),
        of_cluster="EnabledCloudwatchLogsExports",
        as_planned=lambda logs, _: sorted(logs or []),
    ),
)

BY_NAME = {each.name: each for each in SETTINGS}
# What a request says of the instances: the plan has a list of them, and no field of each name.
OF_THE_INSTANCES = frozenset({"availability_zones", "db_instance_class", "instance_count", "reader_instance_class"})
