"""The clusters, instances and snapshots of the local Aurora, and how they change with time.

What takes minutes on AWS takes them here on the clock: a resource has a status until its time has come, and real work
(a PostgreSQL that starts, a volume that is copied) must have been done by then.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from scripts.local_aws.aurora import rules
from scripts.local_aws.core.clock import Timer
from scripts.local_aws.postgres.gateway import Place
from scripts.local_aws.postgres.servers import Postgres
from scripts.local_aws.postgres.volumes import Volume

if TYPE_CHECKING:
    from scripts.local_aws.aurora.region import AuroraBackend

logger = logging.getLogger(__name__)


class Resource:
    """Something with a name, an ARN, tags, and a status that lasts until its time has come."""

    kind: ClassVar[str]

    def __init__(self, region: AuroraBackend, identifier: str, attributes: dict[str, Any], tags: dict[str, str]):
        """Keep the resource. `attributes` are members of its shape in the API, and are described as they are."""
        self.region = region
        self.identifier = identifier
        self.attributes = attributes
        self.tags = tags
        self.arn = region.arn(self.kind, identifier)
        self.created_at = region.world.clock.now()
        self.status = "available"
        self.since = self.due = 0.0
        # What it becomes when the time of its status is over. Another change of the status takes its place.
        self._plan = object()
        self._timer: Timer | None = None

    def enter(
        self, status: str, seconds: float, then: Callable[[], object], work: Callable[[], object] | None = None
    ) -> None:
        """Keep `status` for so long, and until `work` is done, which starts now. If that fails, end as `failed`."""
        world = self.region.world
        self.rest(status)
        self.since = world.clock.time()
        self.due = due = self.since + seconds
        plan = self._plan

        def finish(ended: Callable[[], object]) -> None:
            with world.lock:
                if self._plan is plan:
                    ended()

        def schedule(ended: Callable[[], object]) -> None:
            with world.lock:
                if self._plan is plan:
                    self._timer = world.clock.call_at(due, lambda: finish(ended))

        def run(task: Callable[[], object]) -> None:
            try:
                task()
            except Exception:  # waiting for it must end in any case: RDS would say failed as well
                logger.exception("%s failed while %s", self.arn, status)
                schedule(lambda: self.rest("failed"))
            else:
                schedule(then)

        if work:
            world.tasks.start(lambda: run(work), name=f"{status} {self.identifier}")
        else:
            schedule(then)

    def rest(self, status: str = "available") -> None:
        """Keep `status` until somebody changes it."""
        self.status = status
        self._plan = object()
        if self._timer:
            self._timer.cancel()

    @property
    def elapsed(self) -> float:
        """Return the part of the current status that is over, from 0 to 1."""
        if self.due <= self.since:
            return 1
        return min(1, (self.region.world.clock.time() - self.since) / (self.due - self.since))


def _without_standard_storage(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return what describes a cluster or a snapshot: without the standard storage type, which instances do report.

    Source: CreateDBCluster in the API reference, "The storage type is not returned when you set it to aurora."; and
    all of Cloud Custodian's recordings of clusters.
    """
    return {name: value for name, value in attributes.items() if (name, value) != ("StorageType", "aurora")}


class Snapshot(Resource):
    """A cluster snapshot. `port`: the cluster's, which a restore keeps and no description shows."""

    kind = "cluster-snapshot"
    volume: Volume
    port: int
    shared_with: frozenset[str] = frozenset()
    reaches_percent = 100

    @property
    def kms_key_id(self) -> str | None:
        """Return the key's ARN. Permissions are checked against it."""
        return self.attributes.get("KmsKeyId")

    def discard(self) -> None:
        """Delete the snapshot, and the volume if no copy needs it."""
        del self.region.cluster_snapshots[self.identifier]
        self.rest("deleting")
        self.region.world.tasks.start(self.volume.discard, name=f"discard {self.identifier}")

    def describe(self) -> dict[str, Any]:
        """Describe the snapshot. A fault can have its progress end early."""
        return {
            **_without_standard_storage(self.attributes),
            "DBClusterSnapshotIdentifier": self.identifier,
            "DBClusterSnapshotArn": self.arn,
            "Status": self.status,
            "PercentProgress": int(self.elapsed * self.reaches_percent),
            "SnapshotCreateTime": self.created_at,
            "TagList": rules.tag_list(self.tags),
        }


_INHERITED = (
    "Engine EngineVersion MasterUsername StorageType StorageEncrypted StorageEncryptionType KmsKeyId "
    "BackupRetentionPeriod PreferredBackupWindow NetworkType IAMDatabaseAuthenticationEnabled "
    "EnabledCloudwatchLogsExports CopyTagsToSnapshot DeletionProtection EngineLifecycleSupport DatabaseInsightsMode"
).split()
"""The members of an instance's description that are its cluster's."""


class Instance(Resource):
    """A member of a cluster."""

    kind = "db"
    cluster: Cluster
    place: Place
    # It can be reached.
    is_up = False
    # The cluster's address that its certificate has had since it was last started.
    certified: str | None = None

    def describe(self) -> dict[str, Any]:
        """Describe the instance, much of which is its cluster's."""
        cluster = self.cluster
        described = {
            **{name: cluster.attributes[name] for name in _INHERITED if name in cluster.attributes},
            **self.attributes,
            "DBInstanceIdentifier": self.identifier,
            "DBInstanceArn": self.arn,
            "DBInstanceStatus": self.status,
            "DBClusterIdentifier": cluster.identifier,
            "DBName": cluster.attributes.get("DatabaseName"),
            "DBSubnetGroup": self.region.subnet_group(cluster.attributes["DBSubnetGroup"]),
            "PendingModifiedValues": {},
            "CertificateDetails": {"CAIdentifier": self.attributes["CACertificateIdentifier"]},
            "TagList": rules.tag_list(self.tags),
        }
        if self.status == "creating":
            return described
        endpoint = {"Address": self.place.address, "Port": self.place.port, "HostedZoneId": "Z0LOCAL"}
        return described | {"Endpoint": endpoint, "InstanceCreateTime": self.created_at}


class Cluster(Resource):
    """A cluster: a volume, and a server as long as it has members."""

    kind = "cluster"
    postgres: Postgres
    place: Place
    # The name that it is being given, which nobody else can have.
    becoming: str | None = None
    data_api_is_stale = False
    pending_password: str | None = None
    manages_password = False
    global_cluster: str | None = None
    password_reset_begun = False
    writer: Instance | None = None
    # What the last change of its security groups asked for.
    wanted_groups: Sequence[str] = ()
    # All of what it was created from is there, so that it can be backed up itself.
    is_restorable = True

    def __init__(self, region: AuroraBackend, identifier: str, attributes: dict[str, Any], tags: dict[str, str]):
        """Keep the cluster. Modifications in `pending` wait for its maintenance window, which never comes by itself."""
        super().__init__(region, identifier, attributes, tags)
        self.pending: dict[str, Any] = {}
        # Its description before its status last changed; None as long as it did not exist.
        self.previously: dict[str, Any] | None = None

    def rest(self, status: str = "available") -> None:
        """Keep `status` until somebody changes it, and remember what was before."""
        if status != self.status:
            self.previously = self.describe() if hasattr(self, "place") else None
        super().rest(status)

    @property
    def data_api_answers(self) -> bool:
        """Return whether the Data API is usable: after a rename not until it has been switched off and on."""
        return bool(self.attributes["HttpEndpointEnabled"]) and not self.data_api_is_stale

    @property
    def members(self) -> list[Instance]:
        """Return the cluster's instances, the oldest first."""
        return [each for each in list(self.region.instances.values()) if each.cluster is self]

    def refuse(self, why: str) -> NoReturn:
        """Refuse a call that does not go together with the cluster's state."""
        rules.refuse("InvalidDBClusterStateFault", f"DB cluster {self.identifier} {why}")

    def require_status(self, *accepted: str) -> None:
        """Refuse a call that RDS takes only while the cluster has one of these statuses, `available` the first."""
        if self.status not in accepted:
            self.refuse(f"is not in available state: it is {self.status}.")

    def elect_writer(self) -> None:
        """Keep the writer, or have the first available member become it.

        Which one becomes the first writer is not documented; it is whichever is ready first, not by its promotion
        tier (hashicorp/terraform-provider-aws#11324, terraform-aws-modules/terraform-aws-rds-aurora#333).
        """
        if self.writer not in self.members:
            self.writer = next((each for each in self.members if each.status == "available"), None)

    def describe(self) -> dict[str, Any]:
        """Describe the cluster. Both endpoints are one, which answers once an instance is available."""
        pending = {**self.pending, **({"MasterUserPassword": "****"} if self.pending_password else {})}
        restorable = {"EarliestRestorableTime": self.created_at, "LatestRestorableTime": self.region.world.clock.now()}
        return {
            **_without_standard_storage(self.attributes),
            **({"PendingModifiedValues": pending} if pending else {}),
            **({"GlobalClusterIdentifier": self.global_cluster} if self.global_cluster else {}),
            **(restorable if self.is_restorable and self.status != "creating" else {}),
            "DBClusterIdentifier": self.identifier,
            "DBClusterArn": self.arn,
            "Status": self.status,
            "Endpoint": self.place.address,
            "ReaderEndpoint": self.place.address,
            "Port": self.place.port,
            "MultiAZ": len(self.members) > 1,
            "ClusterCreateTime": self.created_at,
            "TagList": rules.tag_list(self.tags),
            "DBClusterMembers": [
                {
                    "DBInstanceIdentifier": member.identifier,
                    "IsClusterWriter": member is self.writer,
                    "DBClusterParameterGroupStatus": "in-sync",
                    "PromotionTier": member.attributes["PromotionTier"],
                }
                for member in self.members
            ],
        }


@dataclasses.dataclass
class GlobalCluster:
    """A global database: of an account, in no region. Its first member is the primary."""

    identifier: str
    attributes: dict[str, Any]
    members: list[Cluster] = dataclasses.field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        """Describe the global database. Its first member is the writer."""
        primary = self.members[0] if self.members else None
        return {
            **self.attributes,
            "GlobalClusterIdentifier": self.identifier,
            "Status": "available",
            "GlobalClusterMembers": [
                {
                    "DBClusterArn": member.arn,
                    "IsWriter": member is primary,
                    "Readers": [other.arn for other in self.members[1:]] if member is primary else [],
                    "GlobalWriteForwardingStatus": "disabled",
                }
                for member in self.members
            ],
        }
