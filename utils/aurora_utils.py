"""What we ask of Aurora: find, copy, restore, reset, delete.

No RDS call has an idempotency token. So each call that makes something asks, after an "already exists", whether what
exists is this operation's own; each call that deletes takes "already gone" for success. Error codes are those on the
wire, which differ from the shapes' names (DBInstanceNotFound, but DBClusterNotFoundFault).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from utils.aurora_shapes import Cluster, Instance, Snapshot, read_cluster, read_instance, read_snapshot
from utils.aws import client, error_code, none_when
from utils.errors import StepFailed, TemporaryFailure
from utils.identifiers import snapshot_name
from utils.rds_arguments import (
    instance_arguments,
    later_arguments,
    managed_login_arguments,
    restore_arguments,
    tag_list,
)

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_rds.type_defs import AccountQuotaTypeDef

    from utils.plans import ClusterPlan, PlannedInstance, RouteStep

ENGINE = "aurora-postgresql"


class Aurora:
    """Aurora in one region. Reading answers None for what doesn't exist; everything else unexpected is raised."""

    def __init__(self, region: str, rds: RDSClient | None = None) -> None:
        self.region = region
        self._rds = rds or client("rds", region)

    # Reading

    def snapshot(self, identifier: str) -> Snapshot | None:
        """By name or, in this region, ARN. Automated snapshots must be asked for as such.

        Whether AWS Backup's must be, too, RDS's documentation doesn't say: they are looked for both ways.
        """
        name = snapshot_name(identifier)
        if name.startswith("awsbackup:"):
            typed = none_when("InvalidParameterValue", lambda: self._snapshot_of_kind(name, "awsbackup"))
            return typed or self._snapshot_of_kind(name, None)
        return self._snapshot_of_kind(name, "automated" if name.startswith("rds:") else None)

    def _snapshot_of_kind(self, name: str, kind: str | None) -> Snapshot | None:
        typed: dict[str, Any] = {"SnapshotType": kind} if kind else {}
        answer = none_when(
            "DBClusterSnapshotNotFoundFault",
            lambda: self._rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=name, **typed),
        )
        found = answer["DBClusterSnapshots"] if answer else []
        return read_snapshot(found[0]) if found else None

    def snapshots_of(self, cluster_identifier: str) -> list[Snapshot]:
        """Manual and automated ones, newest first; those still being created have no time and come last."""
        pages = self._rds.get_paginator("describe_db_cluster_snapshots").paginate(
            DBClusterIdentifier=cluster_identifier
        )
        found = [read_snapshot(each) for page in pages for each in page["DBClusterSnapshots"]]
        beginning = dt.datetime.min.replace(tzinfo=dt.UTC)
        return sorted(found, key=lambda snapshot: snapshot.created_at or beginning, reverse=True)

    def copies_under_way(self) -> int:
        """How many snapshots are being copied into this region."""
        pages = self._rds.get_paginator("describe_db_cluster_snapshots").paginate(SnapshotType="manual")
        return sum(each["Status"].lower() == "copying" for page in pages for each in page["DBClusterSnapshots"])

    def room_for_snapshots(self) -> int | None:
        """How many manual snapshots may still be made; None where RDS doesn't say."""
        quota = self._quota("ManualClusterSnapshots")
        return quota["Max"] - quota["Used"] if quota else None

    def room_for_retained_backups(self) -> int | None:
        """How many deleted clusters' automated backups may still be retained; None where RDS doesn't say.

        Their quota is the clusters' own (botocore's model, DBClusterAutomatedBackupQuotaExceededFault).
        """
        quota = self._quota("DBClusters")
        if quota is None:
            return None
        pages = self._rds.get_paginator("describe_db_cluster_automated_backups").paginate(
            Filters=[{"Name": "status", "Values": ["retained"]}]
        )
        return quota["Max"] - sum(len(page["DBClusterAutomatedBackups"]) for page in pages)

    def _quota(self, name: str) -> AccountQuotaTypeDef | None:
        quotas = self._rds.describe_account_attributes()["AccountQuotas"]
        return next((each for each in quotas if each.get("AccountQuotaName") == name), None)

    def cluster(self, identifier: str) -> Cluster | None:
        answer = none_when(
            "DBClusterNotFoundFault", lambda: self._rds.describe_db_clusters(DBClusterIdentifier=identifier)
        )
        return read_cluster(answer["DBClusters"][0]) if answer else None

    def cluster_with_id(self, resource_id: str) -> Cluster | None:
        """By the id that a cluster keeps whatever it is called. A filter answers with those that exist."""
        answer = self._rds.describe_db_clusters(Filters=[{"Name": "db-cluster-resource-id", "Values": [resource_id]}])
        return read_cluster(answer["DBClusters"][0]) if answer["DBClusters"] else None

    def instance(self, identifier: str) -> Instance | None:
        answer = none_when(
            "DBInstanceNotFound", lambda: self._rds.describe_db_instances(DBInstanceIdentifier=identifier)
        )
        return read_instance(answer["DBInstances"][0]) if answer else None

    def instances_of(self, cluster_identifier: str) -> list[Instance]:
        pages = self._rds.get_paginator("describe_db_instances").paginate(
            Filters=[{"Name": "db-cluster-id", "Values": [cluster_identifier]}]
        )
        return [read_instance(each) for page in pages for each in page["DBInstances"]]

    # Making: each call, repeated after its answer was lost, finds its own work and leaves it at that

    def copy_snapshot(self, step: RouteStep, tags: Mapping[str, str], operation_id: str) -> Snapshot:
        """Start the copy into this region. RDS goes on by itself; the answer's status is `copying`."""
        optional: dict[str, Any] = {"KmsKeyId": step.kms_key_id} if step.kms_key_id else {}
        name, source = snapshot_name(step.snapshot_arn), step.source_arn or ""
        from_here = source.split(":")[3:5] == step.snapshot_arn.split(":")[3:5]
        try:
            answer = self._rds.copy_db_cluster_snapshot(
                SourceDBClusterSnapshotIdentifier=snapshot_name(source) if from_here else source,
                TargetDBClusterSnapshotIdentifier=name,
                SourceRegion=source.split(":")[3],
                CopyTags=False,
                Tags=tag_list(tags),
                **optional,
            )
        except ClientError as error:
            if error_code(error) != "DBClusterSnapshotAlreadyExistsFault":
                raise
            existing = self.snapshot(name)
            if existing is None or not existing.belongs_to(operation_id):
                raise StepFailed(
                    f"A snapshot named {name} exists in {self.region} and isn't this operation's. "
                    "Look at it, delete it if it isn't needed, and start again."
                ) from error
            return existing
        return read_snapshot(answer["DBClusterSnapshot"])

    def restore_cluster(self, plan: ClusterPlan, operation_id: str) -> Cluster:
        """Create the cluster from its snapshot: the volume only, without any instance."""
        try:
            answer = self._rds.restore_db_cluster_from_snapshot(Engine=ENGINE, **restore_arguments(plan))
        except ClientError as error:
            if error_code(error) != "DBClusterAlreadyExistsFault":
                raise
            existing = self.cluster(plan.identifier)
            if existing is None or not existing.belongs_to(operation_id):
                raise StepFailed(
                    f"A cluster named {plan.identifier} exists in {self.region} and this operation didn't make it. "
                    "It was left alone. Choose another target_cluster_id."
                ) from error
            return existing
        return read_cluster(answer["DBCluster"])

    def create_instance(self, plan: ClusterPlan, planned: PlannedInstance, operation_id: str) -> None:
        """Create a member of the cluster; the first one created becomes the writer."""
        identifier = planned.identifier
        try:
            self._rds.create_db_instance(Engine=ENGINE, **instance_arguments(plan, planned))
        except ClientError as error:
            _ask_again_if_busy(plan.identifier, error)
            if error_code(error) != "DBInstanceAlreadyExists":
                raise
            existing = self.instance(identifier)
            if (
                existing is None
                or not existing.belongs_to(operation_id)
                or existing.cluster_identifier != plan.identifier
            ):
                raise StepFailed(
                    f"An instance named {identifier} exists in {self.region} and this operation didn't make it. "
                    "It was left alone. Choose another target_cluster_id."
                ) from error

    def reset_master_password(self, cluster_identifier: str, password: str) -> None:
        """Asynchronous: the status may read `available` for a while before it turns `resetting-master-credentials`."""
        arguments = {"MasterUserPassword": password, "ApplyImmediately": True}
        self._modify(cluster_identifier, {"DBClusterIdentifier": cluster_identifier, **arguments})

    def manage_master_password(self, plan: ClusterPlan) -> None:
        """Have RDS make a new master password and keep it in a secret of its own. Asynchronous as well."""
        self._modify(plan.identifier, managed_login_arguments(plan))

    def change_after_restore(self, plan: ClusterPlan) -> None:
        """What a restore doesn't take. Said twice it is as good as once."""
        self._modify(plan.identifier, later_arguments(plan))

    def enable_data_api(self, cluster: Cluster) -> None:
        """Already on is as good. (ModifyDBCluster's EnableHttpEndpoint is Serverless v1's only.)"""
        try:
            self._rds.enable_http_endpoint(ResourceArn=cluster.arn)
        except ClientError as error:
            _ask_again_if_busy(cluster.identifier, error)
            raise

    def _modify(self, cluster_identifier: str, arguments: dict[str, Any]) -> None:
        try:
            self._rds.modify_db_cluster(**arguments)
        except ClientError as error:
            _ask_again_if_busy(cluster_identifier, error)
            raise

    # Deleting: callers prove first that it is theirs to delete. A call that is repeated because its answer was lost may
    # be refused in many ways, also for lack of permission: what is gone has no tag that would permit it. So what counts
    # after an error is whether it is gone, or going.

    def delete_instance(self, identifier: str) -> None:
        """Start to delete a member. Already going or gone is as good."""
        try:
            self._rds.delete_db_instance(DBInstanceIdentifier=identifier, SkipFinalSnapshot=True)
        except ClientError as error:
            instance = self.instance(identifier)
            if error_code(error) != "InvalidDBInstanceState" and instance and not instance.is_being_deleted:
                raise

    def delete_cluster(self, identifier: str, final_snapshot: str | None, keep_backups: bool) -> None:
        """Start to delete a cluster whose instances are all being deleted; its final snapshot comes first.

        `keep_backups` leaves its automated snapshots to their own retention; RDS deletes them with the cluster else.
        Raises TemporaryFailure while the cluster is in a state, or has members, that RDS wants to see the end of.
        """
        arguments: dict[str, Any] = (
            {"SkipFinalSnapshot": False, "FinalDBSnapshotIdentifier": final_snapshot}
            if final_snapshot
            else {"SkipFinalSnapshot": True}
        )
        try:
            self._rds.delete_db_cluster(
                DBClusterIdentifier=identifier, DeleteAutomatedBackups=not keep_backups, **arguments
            )
        except ClientError as error:
            cluster = self.cluster(identifier)
            if cluster is None or cluster.is_being_deleted:
                return
            if error_code(error) != "InvalidDBClusterStateFault":
                raise
            raise TemporaryFailure(f"Cluster {identifier} can't be deleted yet: {error}") from error

    def delete_snapshot(self, identifier: str) -> None:
        """Gone already is as good."""
        try:
            self._rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=identifier)
        except ClientError:
            if self.snapshot(identifier) is not None:
                raise


def _ask_again_if_busy(cluster_identifier: str, error: ClientError) -> None:
    """A cluster that was available a moment ago may be at work on something else by now, such as a backup."""
    if error_code(error) in ("InvalidDBClusterStateFault", "InvalidResourceStateFault"):
        raise TemporaryFailure(f"Cluster {cluster_identifier} is busy: {error}") from error
