"""The local Aurora: moto's RDS replaced by one that behaves like Aurora, on real PostgreSQL servers.

moto keeps the protocol (requests, answers, errors); nothing of its RDS models is left. Every operation in OPERATIONS
takes what AWS takes, refuses what AWS refuses, and lasts as long as on AWS, on the given clock. Operations and
parameters beyond that are refused by name.

Deviations: engine versions are labels (one PostgreSQL runs them all); readers share the writer's server, and a
cluster's endpoints are one address instead of two names; maintenance windows and automated backups never come by
themselves (`take_automated_snapshot` takes one); parameter groups do not reach the servers; the Data API does not
answer.
"""

from __future__ import annotations

import pathlib
import uuid
from collections.abc import Callable
from typing import Any, cast

import moto.rds.urls
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import camelcase_to_underscores
from moto.rds.models import rds_backends

from scripts.local_aws.aurora import (  # noqa: F401 each of them registers its operations
    automated_backups,
    clusters,
    data_api,
    deletions,
    dependents,
    endpoints,
    events,
    exports,
    failover,
    global_databases,
    groups,
    instances,
    modifications,
    parameters,
    restarts,
    snapshot_copies,
    tags,
    versions,
)
from scripts.local_aws.aurora.clearing import existing, remove_all_but
from scripts.local_aws.aurora.modifications import rest
from scripts.local_aws.aurora.records import Cluster, Resource
from scripts.local_aws.aurora.region import OPERATIONS, AuroraBackend
from scripts.local_aws.aurora.snapshots import snapshot_of
from scripts.local_aws.aurora.world import Durations, EventDelivery, Quotas, World
from scripts.local_aws.core.clock import Clock
from scripts.local_aws.core.faults import Faults
from scripts.local_aws.iam.gate import Permissions
from scripts.local_aws.postgres.servers import Servers

__all__ = ["OPERATIONS", "Aurora", "Durations", "EventDelivery", "Quotas"]


class Aurora(World):
    """The world of all regions. Takes RDS's place in moto from construction on; there is one at a time."""

    def __init__(
        self,
        clock: Clock,
        faults: Faults,
        durations: Durations,
        directory: pathlib.Path,
        account_id: str,
        permissions: Permissions,
    ):
        """Raise CannotStart without PostgreSQL. `directory` holds the volumes; its owner deletes it after `close`."""
        super().__init__(clock, faults, durations, Servers(directory), permissions)
        self._account_id = account_id
        AuroraBackend.world = self
        self._replaced = rds_backends.backend, moto.rds.urls.url_paths
        rds_backends.clear()
        rds_backends.backend = AuroraBackend  # type: ignore[assignment]  # takes the place, not the type
        moto.rds.urls.url_paths = {"{0}/$": _AuroraResponse.dispatch}

    def region(self, name: str, account: str | None = None) -> AuroraBackend:
        """Return a region of the main account, or of the named one. Raise KeyError for a region that does not exist."""
        return cast("AuroraBackend", rds_backends[account or self._account_id][name])

    def cluster(self, name: str, region: str = "us-east-1", account: str | None = None) -> Cluster:
        """Return a cluster, with its server: that one's log, and a superuser's connection to prove things with."""
        return self.region(region, account).cluster(name)

    def keep_busy(
        self, name: str, status: str, seconds: float, region: str = "us-east-1", account: str | None = None
    ) -> None:
        """Give a cluster or an instance work that RDS has begun by itself, for so long.

        As `backing-up` in its backup window, or `maintenance`, `modifying` and `upgrading` in its maintenance window
        (Aurora User Guide, "Viewing DB cluster status" and "Viewing DB instance status").
        """
        with self.lock:
            place = self.region(region, account)
            found = place.instances.get(name) or place.cluster(name)
            found.enter(status, seconds, then=lambda: rest(found))

    def take_automated_snapshot(self, name: str, region: str = "us-east-1", account: str | None = None) -> str:
        """Begin what RDS does once a day by itself, and return the snapshot's `rds:` identifier."""
        with self.lock:
            cluster = self.cluster(name, region, account)
            moment = self.clock.now().strftime("%Y-%m-%d-%H-%M")
            return snapshot_of(cluster, f"rds:{cluster.identifier}-{moment}", "automated", {}).identifier

    def take_backup_snapshot(self, name: str, region: str = "us-east-1", account: str | None = None) -> str:
        """Begin what AWS Backup does by a plan, and return the snapshot's `awsbackup:` identifier."""
        with self.lock:
            cluster = self.cluster(name, region, account)
            source = {"aws:backup:source-resource": cluster.attributes["DbClusterResourceId"]}
            return snapshot_of(cluster, f"awsbackup:job-{uuid.uuid4()}", "awsbackup", source).identifier

    def back_up_continuously(self, name: str) -> str:
        """Let a rule of AWS Backup keep a cluster's continuous backup, and return the recovery point's ARN."""
        with self.lock:
            cluster = self.cluster(name)
            place = f"{cluster.region.partition}:backup:{cluster.region.region_name}:{cluster.region.account_id}"
            of_it = cluster.attributes["DbClusterResourceId"].lower()
            arn = f"arn:{place}:recovery-point:continuous:{of_it}-{uuid.uuid4().hex[:8]}"
            cluster.attributes["AwsBackupRecoveryPointArn"] = arn
            return arn

    def add_to_global_cluster(self, global_cluster: str, name: str, region: str) -> None:
        """Add a cluster as a secondary to a global database that exists."""
        with self.lock:
            there = self.region(region)
            global_databases.join(there.global_clusters[global_cluster], there.cluster(name))

    def replicate(self, source: tuple[str, str], replica: tuple[str, str]) -> None:
        """Let a cluster look like another's read replica; each is (identifier, region)."""
        with self.lock:
            original, copy = self.cluster(*source), self.cluster(*replica)
            copy.attributes["ReplicationSourceIdentifier"] = original.arn
            replicas = [*original.attributes.get("ReadReplicaIdentifiers", []), copy.arn]
            original.attributes["ReadReplicaIdentifiers"] = replicas

    def offer_maintenance(self, resource: Resource, action: str, **dates: Any) -> None:
        """Let AWS plan something for a cluster or an instance, with dates of the API's PendingMaintenanceAction."""
        with self.lock:
            region = resource.region
            planned = self.dependents[region.account_id, region.region_name].maintenance
            planned.setdefault(resource, {})[action] = {"Action": action, **dates}

    def make_unencrypted(self, name: str, region: str = "us-east-1", account: str | None = None) -> None:
        """Let a cluster without a key be one from before February 2026, when there was no default encryption."""
        with self.lock:
            cluster = self.cluster(name, region, account)
            if cluster.attributes["StorageEncrypted"]:
                raise ValueError(f"{cluster.identifier} has a key; only a cluster without one can be unencrypted")
            cluster.attributes["StorageEncryptionType"] = "none"

    def existing(self) -> set[Resource]:
        """Return every cluster and snapshot that there is now."""
        return existing(self)

    def remove_all_but(self, kept: set[Resource]) -> None:
        """Remove at once all clusters and snapshots but the kept ones, with servers and files. RDS has no such call."""
        remove_all_but(self, kept)

    def close(self) -> None:
        """Stop all servers and give moto its RDS back. The clock must be closed before, so that nothing new begins."""
        self.tasks.settle()
        self.servers.close()
        rds_backends.clear()
        rds_backends.backend, moto.rds.urls.url_paths = self._replaced


class _AuroraResponse(BaseResponse):
    """The way from moto's handling of the protocol to the operations."""

    def __init__(self) -> None:
        super().__init__(service_name="rds")
        self.automated_parameter_parsing = True


def _method(name: str) -> Callable[[_AuroraResponse], ActionResult]:
    def call(self: _AuroraResponse) -> ActionResult:
        region: Any = rds_backends[self.current_account][self.region]
        return ActionResult(OPERATIONS[name](region, self.params))

    return call


for _name in OPERATIONS:
    setattr(_AuroraResponse, camelcase_to_underscores(_name), _method(_name))
