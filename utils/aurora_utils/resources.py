"""Snapshots, clusters and instances as RDS describes them at one moment, and what each status means.

Sources: Aurora User Guide, "Viewing DB cluster status" and "Viewing DB instance status"; the API's DBCluster,
DBInstance and DBClusterSnapshot shapes. A status that is neither good nor broken is one to wait through.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from utils.arns import Arn
from utils.aurora_utils import source_attributes
from utils.aurora_utils.reported_settings import (
    IN_SYNC,
    ClusterSettings,
    InstanceSettings,
    MasterSecret,
    SecurityGroups,
    read_cluster_settings,
    read_instance_settings,
    read_master_secret,
    read_security_groups,
)
from utils.foreign_text import MAX_TAG_SHOWN, one_line

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import DBClusterSnapshotTypeDef, DBClusterTypeDef, DBInstanceTypeDef, TagTypeDef

OPERATION_TAG = "aurora-restore:operation-id"
PROTECTED_TAG = "aurora-restore:protected"
EXPIRY_TAG = "aurora-restore:expires-at"
# Which part a cluster plays where another one has been, or is being, given its name (utils/contracts/swap.py, Role).
ROLE_TAG = "aurora-restore:role"
# By it the owner of a cluster that the pipeline did not create lets it be replaced.
REPLACEABLE_TAG = "aurora-restore:replaceable"

BROKEN_CLUSTER = frozenset(
    {
        "cloning-failed",
        "deleted",
        "deleting",
        "failed",
        "inaccessible-encryption-credentials",
        "inaccessible-encryption-credentials-recoverable",
        "incompatible-network",
        "incompatible-parameters",
        "incompatible-restore",
        "migration-failed",
        "restore-failed",
        "stopped",
        "stopping",
        "upgrade-failed",
        "upgrade_failed",
    }
)
BROKEN_INSTANCE = BROKEN_CLUSTER | {
    "incompatible-create",
    "incompatible-credentials",
    "incompatible-option-group",
    "insufficient-capacity",
    "modify-failed",
    "restore-error",
    "storage-full",
}
# What of these ends by itself, or by a call.
STOPPED = frozenset({"stopped", "stopping"})
PASSING = STOPPED | {"deleting"}
CREATING_CLUSTER = frozenset({"creating", "migrating", "preparing-data-migration"})
# Pending changes of a cluster that its usability hangs on: those that CloudFormation's handler waits for
# (BaseHandlerStd of AWS::RDS::DBCluster, isNoPendingChanges). What else is pending shows as a difference at the end.
AWAITED_CHANGES = (
    "MasterUserPassword",
    "IAMDatabaseAuthenticationEnabled",
    "EngineVersion",
    "StorageType",
    "AllocatedStorage",
    "Iops",
)
SETTLING_INSTANCE = frozenset(
    {
        "backing-up",
        "configuring-enhanced-monitoring",
        "configuring-iam-database-auth",
        "configuring-log-exports",
        "storage-optimization",
    }
)
BROKEN_SNAPSHOT = frozenset({"deleted", "deleting", "failed", "incompatible-parameters", "incompatible-restore"})

Encryption = Literal["none", "sse-rds", "sse-kms"]


class Tagged(Struct, frozen=True, kw_only=True):
    """Something that RDS keeps under a name and that carries tags."""

    identifier: str
    status: str
    tags: dict[str, str]

    @property
    def is_available(self) -> bool:
        """Return whether RDS reports it as available."""
        return self.status == "available"

    @property
    def is_being_deleted(self) -> bool:
        """Return whether its deletion has begun."""
        return self.status in ("deleting", "deleted")

    @property
    def was_stopped(self) -> bool:
        """Return whether somebody has stopped it, also while that is still under way."""
        return self.status in STOPPED

    @property
    def is_protected(self) -> bool:
        """Return whether its tag says that nothing may delete it. The role's policy compares as exactly."""
        return self.tags.get(PROTECTED_TAG) == "true"

    def belongs_to(self, operation_id: str) -> bool:
        """Return whether it carries the tag that this operation gives to what it creates.

        That is half of the proof of ownership.
        """
        return self.tags.get(OPERATION_TAG) == operation_id


class Snapshot(Tagged, frozen=True, kw_only=True):
    """A cluster snapshot.

    `created_at`: when its data was taken, so a copy has its original's time (recorded: Cloud Custodian's repository,
    tests/data/placebo/test_rds_cluster_snapshot_cross_account_everyone_only). It may be missing while a snapshot is
    being created. `port`: None where RDS does not report it, which is the rule with Aurora's (it reports 0), and a
    restore keeps the cluster's. `allocated_gib`: 0 where RDS does not report the size. `copied_from`: the ARN of what
    it is a copy of. `cluster_resource_id` is missing in copies, `cluster_created_at` is not. `vpc_id`: missing where
    the cluster was in none.
    """

    arn: str
    cluster_identifier: str
    cluster_resource_id: str | None
    kind: str
    percent: int
    engine: str
    engine_version: str
    encryption: Encryption
    kms_key_id: str | None
    master_username: str
    port: int | None
    storage_type: str
    allocated_gib: int
    created_at: dt.datetime | None
    cluster_created_at: dt.datetime | None = None
    copied_from: str | None = None
    vpc_id: str | None = None
    iam_authentication: bool = False

    @property
    def is_broken(self) -> bool:
        """Return whether it will never become available."""
        return self.status in BROKEN_SNAPSHOT

    @property
    def is_manual(self) -> bool:
        """Return whether it is neither RDS's own nor AWS Backup's.

        The names of those carry a prefix that no manual one's may have.
        """
        return self.kind not in ("automated", "awsbackup") and ":" not in self.identifier

    def age_hours(self, now: dt.datetime) -> float | None:
        """Return the age of its data, to a few seconds; None while RDS does not report when it was taken."""
        return None if self.created_at is None else round((now - self.created_at).total_seconds() / 3600, 3)

    def is_of(self, cluster: Cluster) -> bool | None:
        """Return whether it was taken of this very cluster, not of another one with its name; None if RDS does not say.

        A copy does not have its cluster's id, but the time when that cluster was created.
        """
        if self.cluster_resource_id is not None:
            return self.cluster_resource_id == cluster.resource_id
        if self.cluster_created_at is None or cluster.created_at is None:
            return None
        return abs(self.cluster_created_at - cluster.created_at) < dt.timedelta(seconds=1)


class Cluster(Tagged, frozen=True, kw_only=True):
    """A cluster. `unapplied_members`: those on which its static parameters wait for a reboot.

    `pending_changes`: what RDS has accepted and not applied yet, as far as it is waited for.
    `is_limitless`: it has a DB shard group instead of instances. `is_outside_vpc`: express configuration made it.
    `is_restorable`: RDS takes no backup of a cluster, not even a final snapshot, while it reports no time to which it
    could be restored (Aurora User Guide, "Backup storage and restore"). `backup_recovery_point` is AWS Backup's.
    """

    arn: str
    resource_id: str
    created_at: dt.datetime | None
    endpoint: str | None
    port: int
    engine: str
    engine_version: str
    master_username: str
    allocated_gib: int
    deletion_protection: bool
    pending_changes: list[str]
    availability_zones: list[str]
    master_secret: MasterSecret | None
    encrypted_under: str | None
    settings: ClusterSettings
    security_groups: SecurityGroups
    unapplied_members: list[str]
    member_identifiers: list[str]
    writer_identifier: str | None
    global_cluster: str | None
    replicas: list[str]
    replication_source: str | None
    is_limitless: bool
    is_outside_vpc: bool
    is_restorable: bool
    backup_recovery_point: str | None
    reader_endpoint: str | None = None
    custom_endpoints: list[str] = []
    # Of the request parameters' names: everything that RDS has accepted and not applied.
    waiting_changes: list[str] = []
    has_activity_stream: bool = False
    left_behind: list[str] = []

    def member_arn(self, instance_identifier: str) -> str:
        """Return the ARN of one of its instances, which are of its account and region."""
        return str(replace(Arn.parse(self.arn), resource=f"db:{instance_identifier}"))

    @property
    def is_stopped(self) -> bool:
        """Return whether somebody has stopped it: RDS deletes no stopped cluster."""
        return self.status == "stopped"

    @property
    def is_previous(self) -> bool:
        """Return whether its tag says that another cluster has replaced it."""
        return self.tags.get(ROLE_TAG) == "previous"

    @property
    def shown_role(self) -> str:
        """Return what its tag says of its part in a replacement, for a sentence: anybody may have written it."""
        role = self.tags.get(ROLE_TAG)
        return one_line(role, MAX_TAG_SHOWN) if role is not None else "not set"

    @property
    def is_being_renamed(self) -> bool:
        """Return whether RDS is at work on its new name."""
        return self.status == "renaming"

    @property
    def is_broken(self) -> bool:
        """Return whether it will not become available by itself: it has failed, is stopped, or is being deleted."""
        return self.status in BROKEN_CLUSTER

    @property
    def is_broken_for_good(self) -> bool:
        """Return whether no call makes it available again: it is neither stopped nor being stopped or deleted."""
        return self.status in BROKEN_CLUSTER - PASSING

    @property
    def is_busy(self) -> bool:
        """Return whether RDS is at work on it, so that it can be deleted only after that."""
        return not self.is_available and not self.is_broken

    @property
    def is_being_created(self) -> bool:
        """Return whether it has never been available yet, and accepts neither changes nor instances."""
        return self.status in CREATING_CLUSTER


class Instance(Tagged, frozen=True, kw_only=True):
    """A member of a cluster."""

    cluster_identifier: str | None
    settings: InstanceSettings
    security_groups: SecurityGroups
    # Its own address, which follows no other instance's fate; None until it has one.
    endpoint: str | None = None
    left_behind: list[str] = []

    @property
    def is_usable(self) -> bool:
        """Return whether it answers, although it may still be settling."""
        return self.is_available or self.status in SETTLING_INSTANCE

    @property
    def is_being_created(self) -> bool:
        """Return whether RDS is still creating it."""
        return self.status == "creating"

    @property
    def is_up(self) -> bool:
        """Return whether it answers, although RDS may be changing it, as it does right after its creation."""
        return self.is_usable or self.status == "modifying"

    @property
    def lacks_capacity(self) -> bool:
        """Return whether AWS had no capacity to create it.

        Source: Aurora User Guide, "Viewing DB instance status".
        """
        return self.status == "insufficient-capacity"

    @property
    def is_settled(self) -> bool:
        """Return whether nothing is under way, neither in its status nor in its parameter groups."""
        return self.is_available and not self.settings.parameters_applying

    @property
    def is_broken(self) -> bool:
        """Return whether it will not become available by itself: it has failed, is stopped, or is being deleted."""
        return self.status in BROKEN_INSTANCE

    @property
    def is_broken_for_good(self) -> bool:
        """Return whether no call makes it available again: it is neither stopped nor being stopped or deleted."""
        return self.status in BROKEN_INSTANCE - PASSING


def in_order_of_deletion(cluster: Cluster, instances: Iterable[Instance]) -> list[Instance]:
    """Return readers first, then the writer.

    The last one to be deleted must not be a reader that RDS has just promoted.
    """
    return sorted(instances, key=lambda each: each.identifier == cluster.writer_identifier)


def newest_first(snapshots: Iterable[Snapshot]) -> list[Snapshot]:
    """Return the snapshots by the time of their data.

    A copy has its original's: the original comes first, and names decide the rest.
    """
    beginning = dt.datetime.min.replace(tzinfo=dt.UTC)
    return sorted(
        snapshots,
        key=lambda each: (each.created_at or beginning, each.copied_from is None, each.identifier),
        reverse=True,
    )


def read_snapshot(raw: DBClusterSnapshotTypeDef) -> Snapshot:
    """Return a snapshot as RDS describes it."""
    return Snapshot(
        arn=raw["DBClusterSnapshotArn"],
        identifier=raw["DBClusterSnapshotIdentifier"],
        cluster_identifier=raw.get("DBClusterIdentifier", ""),
        cluster_resource_id=raw.get("DbClusterResourceId") or None,
        kind=raw.get("SnapshotType", "manual"),
        status=raw["Status"].lower(),
        percent=raw.get("PercentProgress", 0),
        engine=raw["Engine"],
        engine_version=raw.get("EngineVersion", ""),
        encryption=_encryption(raw),
        kms_key_id=raw.get("KmsKeyId") or None,
        master_username=raw.get("MasterUsername", ""),
        port=raw.get("Port") or None,
        storage_type=raw.get("StorageType") or "aurora",
        allocated_gib=raw.get("AllocatedStorage", 0),
        created_at=raw.get("SnapshotCreateTime"),
        cluster_created_at=raw.get("ClusterCreateTime"),
        copied_from=raw.get("SourceDBClusterSnapshotArn") or None,
        vpc_id=raw.get("VpcId") or None,
        iam_authentication=raw.get("IAMDatabaseAuthenticationEnabled", False),
        tags=_tags(raw.get("TagList")),
    )


def _encryption(raw: DBClusterSnapshotTypeDef) -> Encryption:
    """Return how a snapshot is encrypted.

    StorageEncrypted alone misleads: clusters under an AWS-owned key (the default since 2026) report it as false.
    """
    kind = raw.get("StorageEncryptionType")
    if kind in ("none", "sse-rds", "sse-kms"):
        return kind
    return "sse-kms" if raw.get("StorageEncrypted") else "none"


def read_cluster(raw: DBClusterTypeDef) -> Cluster:
    """Return a cluster as RDS describes it."""
    members = raw.get("DBClusterMembers", [])
    return Cluster(
        arn=raw["DBClusterArn"],
        identifier=raw["DBClusterIdentifier"],
        resource_id=raw["DbClusterResourceId"],
        created_at=raw.get("ClusterCreateTime"),
        status=raw["Status"].lower(),
        endpoint=raw.get("Endpoint"),
        reader_endpoint=raw.get("ReaderEndpoint"),
        port=raw.get("Port") or 5432,
        engine=raw["Engine"],
        engine_version=raw.get("EngineVersion", ""),
        master_username=raw.get("MasterUsername", ""),
        allocated_gib=raw.get("AllocatedStorage", 0),
        deletion_protection=raw.get("DeletionProtection", False),
        custom_endpoints=list(raw.get("CustomEndpoints", [])),
        waiting_changes=sorted(raw.get("PendingModifiedValues", {})),
        has_activity_stream=raw.get("ActivityStreamStatus", "stopped") not in ("stopped", "stopping"),
        pending_changes=[
            name for name in AWAITED_CHANGES if raw.get("PendingModifiedValues", {}).get(name) is not None
        ],
        availability_zones=sorted(raw.get("AvailabilityZones", [])),
        master_secret=read_master_secret(raw),
        encrypted_under=raw.get("KmsKeyId") if raw.get("StorageEncrypted") else None,
        settings=read_cluster_settings(raw),
        security_groups=read_security_groups(raw),
        unapplied_members=[
            member["DBInstanceIdentifier"]
            for member in members
            if member.get("DBClusterParameterGroupStatus", IN_SYNC) not in (IN_SYNC, "applying")
        ],
        member_identifiers=[member["DBInstanceIdentifier"] for member in members],
        writer_identifier=next((each["DBInstanceIdentifier"] for each in members if each.get("IsClusterWriter")), None),
        global_cluster=raw.get("GlobalClusterIdentifier") or None,
        replicas=raw.get("ReadReplicaIdentifiers", []),
        replication_source=raw.get("ReplicationSourceIdentifier") or None,
        left_behind=source_attributes.of_cluster(raw),
        is_limitless=raw.get("ClusterScalabilityType") == "limitless",
        is_outside_vpc=raw.get("VPCNetworkingEnabled") is False or raw.get("InternetAccessGatewayEnabled", False),
        is_restorable=bool(raw.get("EarliestRestorableTime") and raw.get("LatestRestorableTime")),
        backup_recovery_point=raw.get("AwsBackupRecoveryPointArn") or None,
        tags=_tags(raw.get("TagList")),
    )


def read_instance(raw: DBInstanceTypeDef) -> Instance:
    """Return an instance as RDS describes it."""
    return Instance(
        identifier=raw["DBInstanceIdentifier"],
        endpoint=raw.get("Endpoint", {}).get("Address"),
        status=raw["DBInstanceStatus"].lower(),
        cluster_identifier=raw.get("DBClusterIdentifier"),
        settings=read_instance_settings(raw),
        security_groups=read_security_groups(raw),
        left_behind=source_attributes.of_instance(raw),
        tags=_tags(raw.get("TagList")),
    )


def _tags(tag_list: Iterable[TagTypeDef] | None) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in tag_list or ()}
