"""What we ask of Aurora: find, copy, restore, reset, delete.

No RDS call has an idempotency token. So each call that creates something checks, after an "already exists", whether
what exists is this operation's own; each call that deletes takes "already gone" for success. Error codes are those on
the wire, which differ from the shapes' names (DBInstanceNotFound, but DBClusterNotFoundFault).
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from utils.arns import Arn, snapshot_name
from utils.aurora_utils.arguments import (
    first_modify_arguments,
    instance_arguments,
    restore_arguments,
    security_group_arguments,
    tag_list,
)
from utils.aurora_utils.ownership import own_existing_cluster, own_existing_snapshot, prove_own_existing_instance
from utils.aurora_utils.quotas import Quota, read_quotas
from utils.aurora_utils.resources import (
    EXPIRY_TAG,
    ROLE_TAG,
    Cluster,
    Instance,
    Snapshot,
    newest_first,
    read_cluster,
    read_instance,
    read_snapshot,
)
from utils.aws import client
from utils.aws_errors import error_code, is_capacity_shortage, none_when
from utils.changes import asked_once
from utils.errors import TemporaryFailure

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_rds.type_defs import EventTypeDef

    from utils.contracts.plan import ClusterPlan, PlannedInstance
    from utils.contracts.route import RouteStep

ENGINE = "aurora-postgresql"
# What CloudFormation's handlers take for the failure of a change that RDS had accepted: an event is its only trace
# (aws-cloudformation-resource-providers-rds, BaseHandlerStd of DBCluster and DBInstance).
FAILURES_IN_EVENTS = (
    "database cluster is in a state that cannot be upgraded",
    "cluster failover failed",
    "cluster reboot failed",
    "amazon rds can't access the kms encryption key",
    "failed to join",
    "amazon rds isn't able to associate the iam role",
    "could not be removed from global cluster",
    "unable to upgrade db cluster",
    "unable to perform a major version upgrade",
    "unable to patch the primary db cluster",
    "insufficient instance capacity",
    "unable to modify the db instance class",
    "you can't create the db instance",
    "the storage volume limitation was exceeded",
    "the db engine version upgrade failed",
    "instance is in a state that cannot be upgraded",
)


BUSY_CODES = frozenset({"InvalidDBClusterStateFault", "InvalidDBInstanceState", "InvalidResourceStateFault"})


class ClusterBusy(Exception):
    """RDS refuses this call while the cluster is at work on something else. It accepts it afterwards."""


class NoRoom(Exception):
    """AWS has no capacity for this now, in the zone and class that were asked for."""


class AuroraReader:
    """Look at Aurora in one region. None stands for what does not exist; everything else unexpected is raised."""

    def __init__(self, region: str, rds: RDSClient | None = None) -> None:
        self.region = region
        self._rds = rds or client("rds", region)

    def snapshot(self, identifier: str) -> Snapshot | None:
        """Return the snapshot with this name or, in this region, ARN.

        Automated snapshots must be requested as such. RDS's documentation does not say whether AWS Backup's must be,
        too: they are looked for both ways.
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
        """Return a cluster's manual and automated snapshots, newest first.

        Those that are still being created may have no time, and come last then.
        """
        pages = self._rds.get_paginator("describe_db_cluster_snapshots").paginate(
            DBClusterIdentifier=cluster_identifier
        )
        return newest_first(read_snapshot(each) for page in pages for each in page["DBClusterSnapshots"])

    def copies_under_way(self) -> int:
        """Return how many snapshots are being copied into this region."""
        pages = self._rds.get_paginator("describe_db_cluster_snapshots").paginate(SnapshotType="manual")
        return sum(each["Status"].lower() == "copying" for page in pages for each in page["DBClusterSnapshots"])

    def quotas(self) -> dict[str, Quota]:
        """Return the account's quotas in this region, by RDS's names."""
        answer = asked_once(lambda: self._rds.describe_account_attributes(), self._rds, "DescribeAccountAttributes")
        return read_quotas(answer.get("AccountQuotas", []))

    def room_for_snapshots(self) -> int | None:
        """Return how many more manual snapshots the quota allows; None where RDS does not say."""
        quota = self.quotas().get("ManualClusterSnapshots")
        return quota.left if quota else None

    def room_for_retained_backups(self) -> int | None:
        """Return how many more deleted clusters' automated backups may be retained; None where RDS does not say.

        Their quota is the clusters' own (botocore's model, DBClusterAutomatedBackupQuotaExceededFault).
        """
        quota = self.quotas().get("DBClusters")
        if quota is None:
            return None
        pages = self._rds.get_paginator("describe_db_cluster_automated_backups").paginate(
            Filters=[{"Name": "status", "Values": ["retained"]}]
        )
        return quota.most - sum(len(page["DBClusterAutomatedBackups"]) for page in pages)

    def cluster(self, identifier: str) -> Cluster | None:
        """Return the cluster of this name, or None."""
        return asked_once(lambda: self._cluster(identifier), self._rds, "DescribeDBClusters", identifier)

    def _cluster(self, identifier: str) -> Cluster | None:
        answer = none_when(
            "DBClusterNotFoundFault", lambda: self._rds.describe_db_clusters(DBClusterIdentifier=identifier)
        )
        return read_cluster(answer["DBClusters"][0]) if answer else None

    def look_at_clusters(self, identifiers: Sequence[str]) -> None:
        """Ask for several clusters, by names as RDS stores them, in one call, whose answers `cluster` then has.

        A filter answers with those that exist. Where the call fails, each is asked for alone when it is needed.
        """
        pages = self._rds.get_paginator("describe_db_clusters").paginate(
            Filters=[{"Name": "db-cluster-id", "Values": list(dict.fromkeys(identifiers))}]
        )
        try:
            found = {each["DBClusterIdentifier"]: read_cluster(each) for page in pages for each in page["DBClusters"]}
        except (ClientError, BotoCoreError):
            return
        for identifier in identifiers:
            asked_once(functools.partial(found.get, identifier), self._rds, "DescribeDBClusters", identifier)

    def clusters(self) -> list[Cluster]:
        """Return all clusters of the region."""
        pages = self._rds.get_paginator("describe_db_clusters").paginate()
        return [read_cluster(each) for page in pages for each in page["DBClusters"]]

    def cluster_with_id(self, resource_id: str) -> Cluster | None:
        """Return the cluster with this resource id, which it keeps when it is renamed; or None.

        A filter answers with those that exist.
        """
        answer = self._rds.describe_db_clusters(Filters=[{"Name": "db-cluster-resource-id", "Values": [resource_id]}])
        return read_cluster(answer["DBClusters"][0]) if answer["DBClusters"] else None

    def instance(self, identifier: str) -> Instance | None:
        """Return the instance of this name, or None."""
        answer = none_when(
            "DBInstanceNotFound", lambda: self._rds.describe_db_instances(DBInstanceIdentifier=identifier)
        )
        return read_instance(answer["DBInstances"][0]) if answer else None

    def instances_of(self, cluster_identifier: str) -> list[Instance]:
        """Return all instances of a cluster."""
        about = (self._rds, "DescribeDBInstances", cluster_identifier)
        return list(asked_once(lambda: self._instances("db-cluster-id", [cluster_identifier]), *about))

    def instances_named(self, identifiers: Sequence[str]) -> list[Instance]:
        """Return those of the instances that exist.

        A filter leaves out what is not there: botocore's waiter DBInstanceDeleted takes an empty list for the end.
        """
        return self._instances("db-instance-id", identifiers)

    def _instances(self, filtered_by: str, values: Sequence[str]) -> list[Instance]:
        pages = self._rds.get_paginator("describe_db_instances").paginate(
            Filters=[{"Name": filtered_by, "Values": values}]
        )
        return [read_instance(each) for page in pages for each in page["DBInstances"]]

    def reported_failures(self, cluster: Cluster, since: dt.datetime) -> list[str]:
        """Return what RDS's events say of changes that failed, of the cluster and its members; each once.

        A change can fail although its call succeeded and the cluster is available. Unreadable events are no failure of
        the restore: there is nothing to report then.
        """
        sources = [("db-cluster", cluster.identifier), *(("db-instance", each) for each in cluster.member_identifiers)]
        found = [
            f"{event.get('SourceIdentifier', '')}: {event.get('Message', '')}"
            for event in self._events_of(sources, since)
            if "failure" in event.get("EventCategories", [])
            or any(each in event.get("Message", "").lower() for each in FAILURES_IN_EVENTS)
        ]
        return list(dict.fromkeys(found))

    def restarted_since(self, members: Sequence[str], since: dt.datetime) -> bool:
        """Return whether RDS reports of every instance that it was restarted after a moment (RDS-EVENT-0006).

        Source: Amazon Aurora User Guide, "Amazon RDS event categories and event messages": category availability, "DB
        instance restarted". Whether an unreadable event hides a restart is unknown: then there was none.
        """
        return all(
            any("restarted" in event.get("Message", "").lower() for event in self._events(since, "db-instance", each))
            for each in members
        )

    def deletion_reported(self, cluster_identifier: str, since: dt.datetime) -> bool:
        """Return whether RDS reports that the cluster which had this name was deleted after a moment (RDS-EVENT-0171).

        Source: Amazon Aurora User Guide, "Amazon RDS event categories and event messages": category deletion, "DB
        cluster deleted". Whether events can be asked for by the name of what is gone is not documented, so all
        clusters' are read.
        """
        return any(
            event.get("SourceIdentifier") == cluster_identifier
            and "cluster deleted" in event.get("Message", "").lower()
            for event in self._events(since, "db-cluster")
        )

    def _events_of(self, sources: Sequence[tuple[str, str]], since: dt.datetime) -> list[EventTypeDef]:
        """Return the events of several sources, in their order: of the whole region's where one answer holds them all.

        Where it does not, those of each are asked for: a region may have any number of others.
        """
        try:
            answer = self._rds.describe_events(StartTime=since)
        except (ClientError, BotoCoreError):
            return []
        if answer.get("Marker"):
            return [event for kind, identifier in sources for event in self._events(since, kind, identifier)]
        return [
            event
            for source in sources
            for event in answer["Events"]
            if (event.get("SourceType"), event.get("SourceIdentifier")) == source
        ]

    def _events(self, since: dt.datetime, kind: Any, identifier: str | None = None) -> list[EventTypeDef]:
        of_one: dict[str, Any] = {} if identifier is None else {"SourceIdentifier": identifier}
        pages = self._rds.get_paginator("describe_events").paginate(SourceType=kind, StartTime=since, **of_one)
        try:
            return [event for page in pages for event in page["Events"]]
        except (ClientError, BotoCoreError):
            return []


class Aurora(AuroraReader):
    """Change Aurora in one region. Each call, repeated after its answer was lost, finds its own work done."""

    def copy_snapshot(self, step: RouteStep, tags: Mapping[str, str], operation_id: str) -> Snapshot:
        """Start the copy into this region. RDS continues it by itself; the answer's status is `copying`."""
        optional: dict[str, Any] = {"KmsKeyId": step.kms_key_id} if step.kms_key_id else {}
        name, source = step.snapshot_name, step.source_arn or ""
        place, target_place = Arn.parse(source).place, step.place
        if place[0] != target_place[0]:
            # The SDK signs a URL wherever it is given a region. The API's reference says not to send one within a
            # region, and GovCloud refuses it.
            optional["SourceRegion"] = place[0]
        try:
            answer = self._rds.copy_db_cluster_snapshot(
                SourceDBClusterSnapshotIdentifier=snapshot_name(source) if place == target_place else source,
                TargetDBClusterSnapshotIdentifier=name,
                CopyTags=False,
                Tags=tag_list(tags),
                **optional,
            )
        except ClientError as error:
            if error_code(error) != "DBClusterSnapshotAlreadyExistsFault":
                raise
            return own_existing_snapshot(self.snapshot(name), name, self.region, operation_id)
        return read_snapshot(answer["DBClusterSnapshot"])

    def restore_cluster(self, plan: ClusterPlan, operation_id: str) -> Cluster:
        """Create the cluster from its snapshot: the volume only, without any instance. Raises ClusterBusy and NoRoom.

        Whether RDS restores a snapshot that it is exporting is not documented. If it does not, that is waited out.
        """
        try:
            answer = self._rds.restore_db_cluster_from_snapshot(Engine=ENGINE, **restore_arguments(plan))
        except ClientError as error:
            if error_code(error) == "InvalidDBClusterSnapshotStateFault":
                raise ClusterBusy(f"snapshot {plan.snapshot_arn}, which RDS does not restore now: {error}") from error
            _raise_if_no_room(error)
            if error_code(error) != "DBClusterAlreadyExistsFault":
                raise
            return own_existing_cluster(self.cluster(plan.identifier), plan.identifier, self.region, operation_id)
        return read_cluster(answer["DBCluster"])

    def create_instance(self, plan: ClusterPlan, planned: PlannedInstance, operation_id: str) -> None:
        """Create a member of the cluster. Raises ClusterBusy and NoRoom."""
        identifier = planned.identifier
        try:
            with _refusals_of_busy(plan.identifier):
                self._rds.create_db_instance(Engine=ENGINE, **instance_arguments(plan, planned))
        except ClientError as error:
            _raise_if_no_room(error)
            if error_code(error) != "DBInstanceAlreadyExists":
                raise
            prove_own_existing_instance(
                self.instance(identifier), identifier, plan.identifier, self.region, operation_id
            )

    def modify_restored_cluster(self, plan: ClusterPlan, password: str | None) -> None:
        """Set the master password and what else a restore does not accept; with None, RDS creates and keeps a password.

        Asynchronous: the status may read `available` for a while before it turns `resetting-master-credentials`.
        Calling it twice has the effect of calling it once. Raises ClusterBusy.
        """
        with _refusals_of_busy(plan.identifier):
            self._rds.modify_db_cluster(**first_modify_arguments(plan, password))

    def change_security_groups(self, plan: ClusterPlan, groups: list[str]) -> None:
        """Put the cluster and its members in these groups and no others.

        Calling it twice has the effect of calling it once. Asynchronous: the members follow the cluster. Raises
        ClusterBusy.
        """
        with _refusals_of_busy(plan.identifier):
            self._rds.modify_db_cluster(**security_group_arguments(plan, groups))

    def change_writer(self, cluster: Cluster, instance_identifier: str) -> None:
        """Make another member the writer, which interrupts both for a moment. Raises ClusterBusy."""
        with _refusals_of_busy(cluster.identifier):
            self._rds.failover_db_cluster(
                DBClusterIdentifier=cluster.identifier, TargetDBInstanceIdentifier=instance_identifier
            )

    def enable_data_api(self, cluster: Cluster) -> None:
        """Switch the Data API on, unless it is on already. Raises ClusterBusy.

        ModifyDBCluster's EnableHttpEndpoint is Serverless v1's only.
        """
        with _refusals_of_busy(cluster.identifier):
            self._rds.enable_http_endpoint(ResourceArn=cluster.arn)

    def switch_deletion_protection_off(self, cluster_identifier: str) -> None:
        """Switch the deletion protection off, unless it is off already.

        It takes effect after seconds in which the cluster is `modifying`. Callers prove first that it is the cluster
        that the request means.
        """
        try:
            self._rds.modify_db_cluster(
                DBClusterIdentifier=cluster_identifier, DeletionProtection=False, ApplyImmediately=True
            )
        except ClientError as error:
            if error_code(error) != "InvalidDBClusterStateFault":
                raise
            raise TemporaryFailure(f"Cluster {cluster_identifier} is busy: {error}") from error

    # A swap calls clusters by the name that they have at this moment. RDS's answer says whom it has found there.

    def rename(self, name: str, new_name: str) -> str:
        """Start to rename a cluster, and return its resource id. Raises ClusterBusy.

        Without ApplyImmediately RDS would wait for the maintenance window.
        """
        return self._modified(name, NewDBClusterIdentifier=new_name)

    def put_into_groups(self, name: str, groups: Sequence[str]) -> str:
        """Put a cluster and its members into these groups and no others; return its resource id. Raises ClusterBusy."""
        return self._modified(name, VpcSecurityGroupIds=list(groups))

    def _modified(self, name: str, **change: Any) -> str:
        with _refusals_of_busy(name):
            answer = self._rds.modify_db_cluster(DBClusterIdentifier=name, ApplyImmediately=True, **change)
        return answer["DBCluster"]["DbClusterResourceId"]

    def reboot_instance(self, identifier: str) -> None:
        """Start to restart one member. Raises ClusterBusy, also while it is being restarted already."""
        with _refusals_of_busy(identifier):
            self._rds.reboot_db_instance(DBInstanceIdentifier=identifier)

    def stop_cluster(self, name: str) -> str:
        """Start to stop a cluster with all its members, and return its resource id. Raises ClusterBusy."""
        with _refusals_of_busy(name):
            return self._rds.stop_db_cluster(DBClusterIdentifier=name)["DBCluster"]["DbClusterResourceId"]

    def start_cluster(self, name: str) -> str:
        """Start a stopped cluster with all its members, and return its resource id. Raises ClusterBusy."""
        with _refusals_of_busy(name):
            return self._rds.start_db_cluster(DBClusterIdentifier=name)["DBCluster"]["DbClusterResourceId"]

    def disable_data_api(self, cluster: Cluster) -> None:
        """Switch the Data API off, unless it is off already. Raises ClusterBusy."""
        with _refusals_of_busy(cluster.identifier):
            self._rds.disable_http_endpoint(ResourceArn=cluster.arn)

    def mark_role(self, cluster: Cluster, role: str, expires_at: str | None = None) -> None:
        """Tag a cluster with the part that it plays, and one that is replaced with the moment at which it expires."""
        tags = {ROLE_TAG: role, **({EXPIRY_TAG: expires_at} if expires_at else {})}
        self._rds.add_tags_to_resource(ResourceName=cluster.arn, Tags=tag_list(tags))

    def tag_expiry(self, cluster: Cluster, expires_at: str) -> None:
        """Tag a cluster with the moment at which it expires. A tag of that key is overwritten."""
        self._rds.add_tags_to_resource(ResourceName=cluster.arn, Tags=tag_list({EXPIRY_TAG: expires_at}))

    def tag_final_snapshot(self, snapshot_arn: str, tags: Mapping[str, str]) -> None:
        """Tag what is left of a deleted source: DeleteDBCluster takes no tags for the final snapshot."""
        self._rds.add_tags_to_resource(ResourceName=snapshot_arn, Tags=tag_list(tags))

    # Deleting: callers prove first that it is theirs to delete. A call that is repeated because its answer was lost may
    # be refused in many ways, also for lack of permission: what is gone has no tag that would permit it. So what counts
    # after an error is whether it is gone, or going. That RDS does not show it proves nothing by itself, unless the
    # error says the same: a caller that is to look again gets a TemporaryFailure.

    def delete_instance(self, identifier: str) -> None:
        """Start to delete a member. One that is being deleted, or gone, counts as deleted."""
        try:
            self._rds.delete_db_instance(DBInstanceIdentifier=identifier, SkipFinalSnapshot=True)
        except ClientError as error:
            instance = self.instance(identifier)
            if error_code(error) != "InvalidDBInstanceState" and instance and not instance.is_being_deleted:
                raise

    def delete_cluster(self, identifier: str, final_snapshot: str | None, keep_backups: bool) -> None:
        """Start to delete a cluster whose instances are all being deleted; its final snapshot comes first.

        `keep_backups` leaves its automated snapshots to their own retention; otherwise RDS deletes them with the
        cluster. Raises TemporaryFailure while the cluster is in a state, or has members, that RDS requires to end
        first.
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
            if error_code(error) == "DBClusterNotFoundFault" or (cluster is not None and cluster.is_being_deleted):
                return
            if final_snapshot and error_code(error) == "DBClusterSnapshotAlreadyExistsFault":
                # While RDS takes the final snapshot it continues to call the cluster `available` (AWS CLI's
                # delete-db-cluster.rst). The name is the operation's own, so an earlier call has begun the deletion.
                # Whether the snapshot is of this cluster is looked at once the cluster is gone.
                return
            if error_code(error) != "InvalidDBClusterStateFault" and cluster is not None:
                raise
            raise TemporaryFailure(f"Cluster {identifier} cannot be deleted yet: {error}") from error

    def delete_snapshot(self, identifier: str) -> None:
        """Delete a snapshot. One that is gone already counts as deleted."""
        try:
            self._rds.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=identifier)
        except ClientError as error:
            if error_code(error) == "DBClusterSnapshotNotFoundFault":
                return
            if self.snapshot(identifier) is not None:
                raise
            raise TemporaryFailure(f"Snapshot {identifier} cannot be deleted yet: {error}") from error


@contextmanager
def _refusals_of_busy(cluster_identifier: str) -> Iterator[None]:
    """Raise ClusterBusy where RDS refuses a call because of the cluster's state.

    A cluster that was available a moment ago may be at work on something else since, such as a backup.
    """
    try:
        yield
    except ClientError as error:
        if error_code(error) not in BUSY_CODES:
            raise
        raise ClusterBusy(f"cluster {cluster_identifier}, which is busy: {error}") from error


def _raise_if_no_room(error: ClientError) -> None:
    if is_capacity_shortage(error):
        raise NoRoom(error.response.get("Error", {}).get("Message", "")) from error
