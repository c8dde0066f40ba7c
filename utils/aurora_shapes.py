"""Snapshots, clusters and instances as RDS describes them at one moment, and what each status means.

Sources: Aurora User Guide, "Viewing DB cluster status" and "Viewing DB instance status"; the API's DBCluster,
DBInstance and DBClusterSnapshot shapes. A status that is neither good nor broken is one to wait through.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from utils import left_behind
from utils.aurora_settings import (
    IN_SYNC,
    ClusterSettings,
    InstanceSettings,
    MasterSecret,
    read_cluster_settings,
    read_instance_settings,
    read_master_secret,
)

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import DBClusterSnapshotTypeDef, DBClusterTypeDef, DBInstanceTypeDef, TagTypeDef

OPERATION_TAG = "aurora-restore:operation-id"
PROTECTED_TAG = "aurora-restore:protected"

BROKEN_CLUSTER = frozenset(
    {
        "cloning-failed",
        "deleted",
        "deleting",
        "failed",
        "inaccessible-encryption-credentials",
        "inaccessible-encryption-credentials-recoverable",
        "incompatible-parameters",
        "incompatible-restore",
        "migration-failed",
        "stopped",
        "stopping",
        "upgrade_failed",
    }
)
BROKEN_INSTANCE = BROKEN_CLUSTER | {
    "incompatible-create",
    "incompatible-network",
    "incompatible-option-group",
    "insufficient-capacity",
    "restore-error",
    "storage-full",
}
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
        return self.status == "available"

    @property
    def is_being_deleted(self) -> bool:
        return self.status in ("deleting", "deleted")

    @property
    def is_protected(self) -> bool:
        """Whether somebody said that nothing may delete it. The role's policy compares as exactly."""
        return self.tags.get(PROTECTED_TAG) == "true"

    def belongs_to(self, operation_id: str) -> bool:
        """Whether it carries the tag that this operation gives to what it makes. Half of the proof of ownership."""
        return self.tags.get(OPERATION_TAG) == operation_id


class Snapshot(Tagged, frozen=True, kw_only=True):
    """A cluster snapshot. `created_at` is missing while it is being created."""

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
    port: int
    storage_type: str
    allocated_gib: int
    created_at: dt.datetime | None

    @property
    def is_broken(self) -> bool:
        return self.status in BROKEN_SNAPSHOT

    @property
    def is_manual(self) -> bool:
        """Neither RDS's own nor AWS Backup's, whose names carry a prefix that no manual one's may have."""
        return self.kind not in ("automated", "awsbackup") and ":" not in self.identifier


class Cluster(Tagged, frozen=True, kw_only=True):
    """A cluster. `unapplied_members`: those on which its static parameters wait for a reboot."""

    arn: str
    resource_id: str
    endpoint: str | None
    port: int
    engine: str
    engine_version: str
    master_username: str
    allocated_gib: int
    deletion_protection: bool
    password_change_pending: bool
    master_secret: MasterSecret | None
    encrypted_under: str | None
    settings: ClusterSettings
    unapplied_members: list[str]
    member_identifiers: list[str]
    writer_identifier: str | None
    global_cluster: str | None
    replicas: list[str]
    replication_source: str | None
    left_behind: list[str] = []

    @property
    def is_broken(self) -> bool:
        return self.status in BROKEN_CLUSTER


class Instance(Tagged, frozen=True, kw_only=True):
    """A member of a cluster."""

    cluster_identifier: str | None
    settings: InstanceSettings
    left_behind: list[str] = []

    @property
    def is_usable(self) -> bool:
        """It answers, although it may still be settling."""
        return self.is_available or self.status in SETTLING_INSTANCE

    @property
    def is_broken(self) -> bool:
        return self.status in BROKEN_INSTANCE


def in_order_of_deletion(cluster: Cluster, instances: Iterable[Instance]) -> list[Instance]:
    """Readers first, then the writer: the last one to go can't be a reader that RDS has just promoted."""
    return sorted(instances, key=lambda each: each.identifier == cluster.writer_identifier)


def read_snapshot(raw: DBClusterSnapshotTypeDef) -> Snapshot:
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
        port=raw.get("Port") or 5432,
        storage_type=raw.get("StorageType") or "aurora",
        allocated_gib=raw.get("AllocatedStorage", 0),
        created_at=raw.get("SnapshotCreateTime"),
        tags=_tags(raw.get("TagList")),
    )


def _encryption(raw: DBClusterSnapshotTypeDef) -> Encryption:
    """StorageEncrypted alone misleads: clusters under an AWS-owned key (the default since 2026) report it as false."""
    kind = raw.get("StorageEncryptionType")
    if kind in ("none", "sse-rds", "sse-kms"):
        return kind
    return "sse-kms" if raw.get("StorageEncrypted") else "none"


def read_cluster(raw: DBClusterTypeDef) -> Cluster:
    members = raw.get("DBClusterMembers", [])
    return Cluster(
        arn=raw["DBClusterArn"],
        identifier=raw["DBClusterIdentifier"],
        resource_id=raw["DbClusterResourceId"],
        status=raw["Status"].lower(),
        endpoint=raw.get("Endpoint"),
        port=raw.get("Port") or 5432,
        engine=raw["Engine"],
        engine_version=raw.get("EngineVersion", ""),
        master_username=raw.get("MasterUsername", ""),
        allocated_gib=raw.get("AllocatedStorage", 0),
        deletion_protection=raw.get("DeletionProtection", False),
        password_change_pending=bool(raw.get("PendingModifiedValues", {}).get("MasterUserPassword")),
        master_secret=read_master_secret(raw),
        encrypted_under=raw.get("KmsKeyId") if raw.get("StorageEncrypted") else None,
        settings=read_cluster_settings(raw),
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
        left_behind=left_behind.of_cluster(raw),
        tags=_tags(raw.get("TagList")),
    )


def read_instance(raw: DBInstanceTypeDef) -> Instance:
    return Instance(
        identifier=raw["DBInstanceIdentifier"],
        status=raw["DBInstanceStatus"].lower(),
        cluster_identifier=raw.get("DBClusterIdentifier"),
        settings=read_instance_settings(raw),
        left_behind=left_behind.of_instance(raw),
        tags=_tags(raw.get("TagList")),
    )


def _tags(tag_list: Iterable[TagTypeDef] | None) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in tag_list or ()}
