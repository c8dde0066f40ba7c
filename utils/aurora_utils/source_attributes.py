"""Which of a source cluster's attributes a new one gets, and which are left behind.

There is one line for every member of RDS's DBCluster and DBInstance shapes. The lines of the settings come from their
own table. A test holds both tables against botocore's model, so that a member which AWS adds is given its line before
it can be dropped in silence. What is left behind is worth a sentence only where it is not RDS's own default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from utils import foreign_text
from utils.contracts.settings import SETTINGS
from utils.foreign_text import one_line

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import DBClusterTypeDef, DBInstanceTypeDef

MAX_NAMES = 8
MAX_SENTENCE = 240


class Planned(Struct, frozen=True):
    """A field of the plan, which says what the new cluster gets: its source's value or another."""

    field: str


class Kept(Enum):
    """What needs no field of the plan."""

    WITH_THE_DATA = "comes with the snapshot"
    NO_SETTING = "a name, a time, a status or a measurement; or nothing that Aurora PostgreSQL has"
    TAGS = "compared with the plan's tags"
    ALWAYS_ON = "always on in the new cluster"


class Left(Struct, frozen=True):
    """Left behind. `words` speaks of a value, and says nothing of one that is RDS's default."""

    words: Callable[[Any], str]


def _said(text: str, *defaults: Any) -> Left:
    """Say `text` with the value in it, unless the value is empty or one of the defaults."""
    return Left(lambda value: "" if not value or value in defaults else text.format(value))


def _names(text: str, *keys: str, default_prefix: str | None = None) -> Left:
    """Say which things stand in a list: texts, or structures of which the first key that is there names each."""

    def words(value: Iterable[Any]) -> str:
        each = [one if isinstance(one, str) else _first(one, keys) for one in value or ()]
        kept = [name for name in each if name and not (default_prefix and name.startswith(default_prefix))]
        return f"{text}: {listed(kept)}" if kept else ""

    return Left(words)


def _first(structure: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next((str(structure[key]) for key in keys if structure.get(key)), "")


def listed(names: Iterable[str]) -> str:
    """Return the names, which are production's own, in one line; many are only counted."""
    return foreign_text.listed(names, MAX_NAMES)


def _roles(roles: Iterable[Mapping[str, str]]) -> str:
    named = [f"{each.get('RoleArn', '')} ({each.get('FeatureName') or 'no feature'})" for each in roles or ()]
    return f"associated roles: {listed(named)}" if named else ""


def _endpoints(addresses: Iterable[str]) -> str:
    """Name the custom endpoints.

    Describing a cluster names them all (Aurora User Guide, "Viewing the endpoints for an Aurora cluster").
    """
    named = [address.partition(".")[0] for address in addresses or ()]
    return f"custom endpoints: {listed(named)}" if named else ""


def _pending(values: Mapping[str, Any]) -> str:
    return f"changes that wait for its maintenance window: {listed(sorted(values))}" if values else ""


def _limitless(value: Mapping[str, Any]) -> str:
    return "Aurora Limitless Database" if (value or {}).get("Status", "disabled") not in _IDLE_LIMITLESS else ""


_IDLE_LIMITLESS = ("disabled", "disabling", "not-in-use")
_ACTIVITY_STREAM = _said("database activity stream ({})", "stopped", "stopping")
_DOMAINS = _names("membership in a directory's domain", "FQDN", "Domain")
_AWS_BACKUP = _said("continuous backups kept by AWS Backup ({})")
_ROLLOUT = _said("place in AWS's upgrade roll-outs ({})", "second")
_PUBLIC = _said("public accessibility: the new instances never are publicly accessible")
_REPLICATED_FROM = _said("replication from {}")

# Of the settings, whose table says where each is reported.
_CLUSTERS_SETTINGS = {each.of_cluster.split(".")[0]: Planned(each.name) for each in SETTINGS if each.of_cluster}
_INSTANCES_SETTINGS = {each.of_instance.split(".")[0]: Planned(each.name) for each in SETTINGS if each.of_instance}

_OF_CLUSTER: Mapping[str, Planned | Kept | Left] = {
    "AllocatedStorage": Kept.NO_SETTING,
    "AvailabilityZones": Planned("db_subnet_group_name"),
    "CharacterSetName": Kept.WITH_THE_DATA,
    "DatabaseName": Kept.WITH_THE_DATA,
    "DBClusterIdentifier": Kept.NO_SETTING,
    "Status": Kept.NO_SETTING,
    "PercentProgress": Kept.NO_SETTING,
    "EarliestRestorableTime": Kept.NO_SETTING,
    "Endpoint": Kept.NO_SETTING,
    "ReaderEndpoint": Kept.NO_SETTING,
    "CustomEndpoints": Left(_endpoints),
    "MultiAZ": Kept.NO_SETTING,
    "Engine": Kept.NO_SETTING,
    "LatestRestorableTime": Kept.NO_SETTING,
    "MasterUsername": Kept.WITH_THE_DATA,
    "DBClusterOptionGroupMemberships": _names("option groups", "DBClusterOptionGroupName", default_prefix="default"),
    "UpgradeRolloutOrder": _ROLLOUT,
    "ReplicationSourceIdentifier": _REPLICATED_FROM,
    "ReadReplicaIdentifiers": _names("read replicas"),
    "StatusInfos": Kept.NO_SETTING,
    "DBClusterMembers": Planned("instances"),
    "HostedZoneId": Kept.NO_SETTING,
    "StorageEncrypted": Planned("kms_key_id"),
    "StorageEncryptionType": Planned("kms_key_id"),
    "KmsKeyId": Planned("kms_key_id"),
    "DbClusterResourceId": Kept.NO_SETTING,
    "DBClusterArn": Kept.NO_SETTING,
    "AssociatedRoles": Left(_roles),
    "CloneGroupId": Kept.NO_SETTING,
    "ClusterCreateTime": Kept.NO_SETTING,
    "EarliestBacktrackTime": Kept.NO_SETTING,
    "BacktrackWindow": _said("backtracking over {} seconds"),
    "BacktrackConsumedChangeRecords": Kept.NO_SETTING,
    "Capacity": Kept.NO_SETTING,
    "PendingModifiedValues": Left(_pending),
    "EngineMode": _said("engine mode {}", "provisioned"),
    "ScalingConfigurationInfo": _said("scaling of Serverless v1"),
    "RdsCustomClusterConfiguration": _said("configuration of RDS Custom"),
    "DBClusterInstanceClass": _said("class of the whole cluster ({})"),
    "Iops": _said("{} provisioned IOPS"),
    "StorageThroughput": _said("storage throughput of {}"),
    "IOOptimizedNextAllowedModificationTime": Kept.NO_SETTING,
    "PubliclyAccessible": _PUBLIC,
    "AutoMinorVersionUpgrade": Planned("auto_minor_version_upgrade"),
    "ActivityStreamMode": Kept.NO_SETTING,
    "ActivityStreamStatus": _ACTIVITY_STREAM,
    "ActivityStreamKmsKeyId": Kept.NO_SETTING,
    "ActivityStreamKinesisStreamName": Kept.NO_SETTING,
    "CopyTagsToSnapshot": Kept.ALWAYS_ON,
    "CrossAccountClone": Kept.NO_SETTING,
    "DomainMemberships": _DOMAINS,
    "TagList": Kept.TAGS,
    "GlobalClusterIdentifier": _said("membership in the global database {}"),
    "GlobalWriteForwardingStatus": _said("write forwarding of a global database ({})", "disabled", "unknown"),
    "GlobalWriteForwardingRequested": Kept.NO_SETTING,
    "AutomaticRestartTime": Kept.NO_SETTING,
    "ServerlessV2PlatformVersion": Kept.NO_SETTING,
    "MonitoringInterval": Planned("monitoring_interval_seconds"),
    "MonitoringRoleArn": Planned("monitoring_role_arn"),
    "PerformanceInsightsEnabled": Planned("performance_insights_retention_days"),
    "PerformanceInsightsKMSKeyId": Planned("performance_insights_kms_key_id"),
    "DBSystemId": Kept.NO_SETTING,
    "MasterUserSecret": Planned("master_login"),
    "AwsBackupRecoveryPointArn": _AWS_BACKUP,
    "LimitlessDatabase": Left(_limitless),
    "ClusterScalabilityType": _said("scalability type {}", "standard"),
    "CertificateDetails": Planned("ca_certificate_identifier"),
    # Express configuration: everybody else's cluster is in a VPC, and RDS says True or nothing.
    "VPCNetworkingEnabled": Left(lambda value: "networking without a VPC" if value is False else ""),
    "InternetAccessGatewayEnabled": _said("the internet access gateway"),
}

_OF_INSTANCE: Mapping[str, Planned | Kept | Left] = {
    "DBInstanceIdentifier": Kept.NO_SETTING,
    "DBInstanceClass": Planned("db_instance_class"),
    "Engine": Kept.NO_SETTING,
    "DBInstanceStatus": Kept.NO_SETTING,
    "MasterUsername": Kept.WITH_THE_DATA,
    "DBName": Kept.WITH_THE_DATA,
    "Endpoint": Kept.NO_SETTING,
    "AllocatedStorage": Kept.NO_SETTING,
    "InstanceCreateTime": Kept.NO_SETTING,
    "PreferredBackupWindow": Planned("preferred_backup_window"),
    "BackupRetentionPeriod": Planned("backup_retention_days"),
    "DBSecurityGroups": Kept.NO_SETTING,
    "VpcSecurityGroups": Planned("vpc_security_group_ids"),
    "AvailabilityZone": Planned("availability_zone"),
    "DBSubnetGroup": Planned("db_subnet_group_name"),
    "UpgradeRolloutOrder": _ROLLOUT,
    "PendingModifiedValues": Left(_pending),
    "LatestRestorableTime": Kept.NO_SETTING,
    "MultiAZ": Kept.NO_SETTING,
    "EngineVersion": Planned("engine_version"),
    "ReadReplicaSourceDBInstanceIdentifier": _REPLICATED_FROM,
    "ReadReplicaDBInstanceIdentifiers": _names("read replicas"),
    "ReadReplicaDBClusterIdentifiers": _names("read replicas"),
    "ReplicaMode": Kept.NO_SETTING,
    "LicenseModel": Kept.WITH_THE_DATA,
    "Iops": _said("{} provisioned IOPS"),
    "StorageThroughput": _said("storage throughput of {}"),
    "OptionGroupMemberships": _names("option groups", "OptionGroupName", default_prefix="default"),
    "CharacterSetName": Kept.WITH_THE_DATA,
    "NcharCharacterSetName": Kept.WITH_THE_DATA,
    "SecondaryAvailabilityZone": Kept.NO_SETTING,
    "PubliclyAccessible": _PUBLIC,
    "StatusInfos": Kept.NO_SETTING,
    "StorageType": Planned("storage_type"),
    "StorageEncryptionType": Planned("kms_key_id"),
    "TdeCredentialArn": _said("transparent data encryption ({})"),
    "DbInstancePort": Kept.NO_SETTING,
    "DBClusterIdentifier": Kept.NO_SETTING,
    "StorageEncrypted": Planned("kms_key_id"),
    "KmsKeyId": Planned("kms_key_id"),
    "DbiResourceId": Kept.NO_SETTING,
    "DomainMemberships": _DOMAINS,
    "CopyTagsToSnapshot": Kept.ALWAYS_ON,
    "EnhancedMonitoringResourceArn": Kept.NO_SETTING,
    "MonitoringRoleArn": Planned("monitoring_role_arn"),
    "PromotionTier": Planned("promotion_tier"),
    "DBInstanceArn": Kept.NO_SETTING,
    "Timezone": Kept.NO_SETTING,
    "IAMDatabaseAuthenticationEnabled": Planned("iam_database_authentication"),
    "DatabaseInsightsMode": Planned("database_insights_mode"),
    "PerformanceInsightsEnabled": Planned("performance_insights_retention_days"),
    "EnabledCloudwatchLogsExports": Planned("enabled_cloudwatch_logs_exports"),
    "ProcessorFeatures": _names("processor features", "Name"),
    "DeletionProtection": Planned("deletion_protection"),
    "AssociatedRoles": Left(_roles),
    "ListenerEndpoint": Kept.NO_SETTING,
    "MaxAllocatedStorage": _said("storage that grows up to {} GiB"),
    "TagList": Kept.TAGS,
    "AutomationMode": Kept.NO_SETTING,
    "ResumeFullAutomationModeTime": Kept.NO_SETTING,
    "CustomerOwnedIpEnabled": _said("customer-owned IP addresses"),
    "NetworkType": Planned("network_type"),
    "ActivityStreamStatus": _ACTIVITY_STREAM,
    "ActivityStreamKmsKeyId": Kept.NO_SETTING,
    "ActivityStreamKinesisStreamName": Kept.NO_SETTING,
    "ActivityStreamMode": Kept.NO_SETTING,
    "ActivityStreamEngineNativeAuditFieldsIncluded": Kept.NO_SETTING,
    "AwsBackupRecoveryPointArn": _AWS_BACKUP,
    "DBInstanceAutomatedBackupsReplications": _names(
        "automated backups replicated to another region", "DBInstanceAutomatedBackupsArn"
    ),
    "BackupTarget": _said("backups kept in {}", "region"),
    "AutomaticRestartTime": Kept.NO_SETTING,
    "CustomIamInstanceProfile": _said("instance profile {}"),
    "ActivityStreamPolicyStatus": Kept.NO_SETTING,
    "CertificateDetails": Kept.NO_SETTING,
    "DBSystemId": Kept.NO_SETTING,
    "MasterUserSecret": Planned("master_login"),
    "ReadReplicaSourceDBClusterIdentifier": _REPLICATED_FROM,
    "PercentProgress": Kept.NO_SETTING,
    "MultiTenant": _said("the multi-tenant configuration"),
    "DedicatedLogVolume": _said("a dedicated log volume"),
    "IsStorageConfigUpgradeAvailable": Kept.NO_SETTING,
    "EngineLifecycleSupport": Planned("extended_support"),
    "AdditionalStorageVolumes": _names("additional storage volumes", "VolumeName"),
    "StorageVolumeStatus": Kept.NO_SETTING,
    "StorageOperationStatus": Kept.NO_SETTING,
    "StorageOperationPercentProgress": Kept.NO_SETTING,
    "DBCapacityReservationIdentifier": _said("capacity reservation {}"),
}


OF_CLUSTER: Mapping[str, Planned | Kept | Left] = {**_CLUSTERS_SETTINGS, **_OF_CLUSTER}
OF_INSTANCE: Mapping[str, Planned | Kept | Left] = {**_INSTANCES_SETTINGS, **_OF_INSTANCE}


def of_cluster(raw: DBClusterTypeDef) -> list[str]:
    """Return a sentence for everything that RDS reports of a cluster and no new one gets."""
    return _left(OF_CLUSTER, raw)


def of_instance(raw: DBInstanceTypeDef) -> list[str]:
    """Return the same for an instance."""
    return _left(OF_INSTANCE, raw)


def _left(table: Mapping[str, Planned | Kept | Left], raw: Mapping[str, Any]) -> list[str]:
    spoken = (each.words(raw[name]) for name, each in table.items() if isinstance(each, Left) and name in raw)
    return [shortened(text) for text in spoken if text]


def shortened(text: str) -> str:
    """Return a sentence that is fit for a message: a value may be anything."""
    return one_line(text if len(text) <= MAX_SENTENCE else f"{text[: MAX_SENTENCE - 2]} …", MAX_SENTENCE)
