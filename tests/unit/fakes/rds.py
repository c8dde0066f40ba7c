"""RDS in one region, as far as the pipeline uses it.

What exists is plain dictionaries in RDS's own words; a test that needs a special situation changes them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from scripts.local_aws.aurora.rules import IDLE
from scripts.local_aws.aurora.setting_rules import ADVANCED_INSIGHTS_DAYS
from scripts.local_aws.aurora.settings_table import (
    MONITORING,
    OF_CLUSTERS,
    OF_INSTANCES,
    OF_LIMITLESS,
    Kept,
    defaults,
    described,
)
from tests.unit.fakes.dependents import FakeDependents
from tests.unit.fakes.service import Refusal, Thing
from tests.unit.support import ACCOUNT, DOOR, NOW

# What is kept as it is given, as the embedded Aurora has it and beside.
CLUSTER_SETTINGS = (
    *OF_CLUSTERS,
    Kept("DBClusterParameterGroupName", "DBClusterParameterGroup"),
    Kept("DBSubnetGroupName", "DBSubnetGroup"),
    Kept("EngineVersion"),
    Kept("Port"),
)
INSTANCE_SETTINGS = (*OF_INSTANCES, Kept("AvailabilityZone"), Kept("DBInstanceClass"))
# What a restore refuses unless the source is Limitless (boto/boto3#4634).
INSIGHTS = set(OF_LIMITLESS)


# As long ago as no snapshot of a test.
CLUSTERS_CREATED = NOW - dt.timedelta(days=400)
# Not the cluster's resource id.
KEPT_BY_COPIES = ("DBClusterIdentifier", "SnapshotCreateTime", "ClusterCreateTime", "EngineVersion", "MasterUsername")


def in_groups(groups: list[str], status: str = "active") -> list[Thing]:
    """As RDS says in which security groups a cluster or an instance is."""
    return [{"VpcSecurityGroupId": each, "Status": status} for each in groups]


class Clock:
    """The time for everybody in a test."""

    def __init__(self) -> None:
        self.now = NOW

    def pass_seconds(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


class FakeRds(FakeDependents):
    """Everything starts at once and is available after `seconds[operation]`, or at once where none are given.

    Those that are made with one `world` know each other: by account and region.
    """

    def __init__(
        self, region: str, clock: Clock, account: str = ACCOUNT, world: dict[tuple[str, str], FakeRds] | None = None
    ) -> None:
        super().__init__(region)
        self.clock = clock
        self.account = account
        self.world = {} if world is None else world
        self.world[account, region] = self
        self.shared_with: dict[str, set[str]] = {}
        self.snapshots: dict[str, Thing] = {}
        self.clusters: dict[str, Thing] = {}
        self.instances: dict[str, Thing] = {}
        self.exports: dict[str, Thing] = {}
        self.events: list[Thing] = []
        self.writers: dict[str, str] = {}
        self.retained_backups: list[Thing] = []
        self.passwords: dict[str, str] = {}
        self.becoming: set[str] = set()
        self.seconds: dict[str, float] = {}
        self.page_size = 100
        self.managed_secret = f"arn:aws:secretsmanager:{region}:{ACCOUNT}:secret:rds!cluster-5a1e-XXXXXX"
        self._due: list[tuple[dt.datetime, Callable[[], None]]] = []
        # When that happens which is being done belatedly.
        self._moment: dt.datetime | None = None
        self._made = 0

    # What a test arranges and asks

    def add_snapshot(self, name: str, cluster: str = "prod-orders", hours_old: float = 3.0, **changes: Any) -> Thing:
        """Add a snapshot as RDS describes Aurora's: port and size are 0, the standard storage type is not reported.

        The sources stand in scripts/local_aws/aurora/snapshots.py.
        """
        snapshot = {
            "DBClusterSnapshotIdentifier": name,
            "DBClusterSnapshotArn": self._arn("cluster-snapshot", name),
            "DBClusterIdentifier": cluster,
            "SnapshotType": "automated" if name.startswith("rds:") else "manual",
            "SnapshotCreateTime": self.clock.now - dt.timedelta(hours=hours_old),
            "ClusterCreateTime": CLUSTERS_CREATED,
            "Status": "available",
            "PercentProgress": 100,
            "Engine": "aurora-postgresql",
            "EngineVersion": "16.4",
            "StorageEncrypted": False,
            "StorageEncryptionType": "none",
            "MasterUsername": "postgres",
            "Port": 0,
            "AllocatedStorage": 0,
            "TagList": [],
            "VpcId": "vpc-0123456789abcdef0",
            **changes,
        }
        self.snapshots[name] = {key: value for key, value in snapshot.items() if value is not None}
        return self.snapshots[name]

    def add_cluster(self, name: str, **changes: Any) -> Thing:
        self._made += 1
        self.clusters[name] = {
            "DBClusterIdentifier": name,
            "DBClusterArn": self._arn("cluster", name),
            "ClusterCreateTime": CLUSTERS_CREATED,
            "DbClusterResourceId": f"cluster-{self.region.upper().replace('-', '')}{self._made:04}",
            "Status": "available",
            "Endpoint": f"{name}.cluster-c0ffee.{self.region}.rds.amazonaws.com",
            "Port": 5432,
            "Engine": "aurora-postgresql",
            "EngineVersion": "16.4",
            "MasterUsername": "postgres",
            "AllocatedStorage": 1,
            "DeletionProtection": False,
            "EarliestRestorableTime": self.clock.now - dt.timedelta(days=1),
            "LatestRestorableTime": self.clock.now,
            "DBClusterMembers": [],
            "VpcSecurityGroups": in_groups([DOOR]),
            "TagList": [],
            **changes,
        }
        return self.clusters[name]

    def add_instance(self, name: str, cluster: str, **changes: Any) -> Thing:
        self.instances[name] = {
            "DBInstanceIdentifier": name,
            "DBInstanceStatus": "available",
            "DBClusterIdentifier": cluster,
            "Engine": "aurora-postgresql",
            "VpcSecurityGroups": self.clusters.get(cluster, {}).get("VpcSecurityGroups", in_groups([DOOR])),
            "TagList": [],
            **changes,
        }
        return self.instances[name]

    def _let_time_pass(self) -> None:
        """What was due happens. Call it before looking at what exists."""
        due = [each for each in self._due if each[0] <= self.clock.now]
        self._due = [(moment, happen) for moment, happen in self._due if moment > self.clock.now]
        for moment, happen in due:
            self._moment = moment
            happen()
        self._moment = None

    def _after(self, operation: str, happen: Callable[[], None]) -> None:
        seconds = self.seconds.get(operation, 0)
        if seconds:
            self._due.append((self.clock.now + dt.timedelta(seconds=seconds), happen))
        else:
            happen()

    def _arn(self, kind: str, name: str) -> str:
        return f"arn:aws:rds:{self.region}:{self.account}:{kind}:{name}"

    # The operations

    def _describe_db_cluster_snapshots(self, given: Thing) -> Thing:
        name, kind = given.get("DBClusterSnapshotIdentifier"), given.get("SnapshotType")
        known = list(self.snapshots.values())
        if kind == "shared":
            known = self._shared_with_us()
        elif given.get("IncludeShared"):
            known += self._shared_with_us()
        if name is None:
            cluster = given.get("DBClusterIdentifier")
            found = [each for each in known if cluster in (None, each["DBClusterIdentifier"])]
        else:
            found = [
                each for each in known if name in (each["DBClusterSnapshotIdentifier"], each["DBClusterSnapshotArn"])
            ]
            # Automated snapshots and AWS Backup's must be asked for as such.
            if name.startswith(("rds:", "awsbackup:")) and kind is None:
                found = [each for each in found if each["SnapshotType"] not in ("automated", "awsbackup")]
        if kind in ("manual", "automated"):
            found = [each for each in found if each["SnapshotType"] == kind]
        if name is not None and not found:
            raise Refusal("DBClusterSnapshotNotFoundFault", status=404)
        return self._page("DBClusterSnapshots", found, given)

    def _shared_with_us(self) -> list[Thing]:
        """Only its owner sees a snapshot's tags."""
        return [
            {member: value for member, value in snapshot.items() if member != "TagList"}
            for (account, region), other in self.world.items()
            if region == self.region and account != self.account
            for name, snapshot in other.snapshots.items()
            if self.account in other.shared_with.get(name, ())
        ]

    def _describe_db_cluster_snapshot_attributes(self, given: Thing) -> Thing:
        name = given["DBClusterSnapshotIdentifier"]
        self._existing_snapshot(name)
        restore = {"AttributeName": "restore", "AttributeValues": sorted(self.shared_with.get(name, ()))}
        return {"DBClusterSnapshotAttributesResult": {"DBClusterSnapshotAttributes": [restore]}}

    def _modify_db_cluster_snapshot_attribute(self, given: Thing) -> Thing:
        name, added = given["DBClusterSnapshotIdentifier"], set(given.get("ValuesToAdd", []))
        snapshot = self._existing_snapshot(name)
        if added and (snapshot["SnapshotType"] != "manual" or snapshot["Status"] != "available"):
            raise Refusal("InvalidDBClusterSnapshotStateFault", "Only manual snapshots can be shared")
        shared = self.shared_with.setdefault(name, set())
        shared |= added
        shared -= set(given.get("ValuesToRemove", []))
        return self._describe_db_cluster_snapshot_attributes(given)

    def _describe_account_attributes(self, given: Thing) -> Thing:
        used = {
            "DBClusters": len(self.clusters),
            "DBInstances": len(self.instances),
            "ManualClusterSnapshots": sum(each["SnapshotType"] == "manual" for each in self.snapshots.values()),
        }
        return {
            "AccountQuotas": [
                {"AccountQuotaName": name, "Used": used[name], "Max": most} for name, most in self.quotas.items()
            ]
        }

    def _describe_db_cluster_automated_backups(self, given: Thing) -> Thing:
        assert given["Filters"] == [{"Name": "status", "Values": ["retained"]}]
        return self._page("DBClusterAutomatedBackups", self.retained_backups, given)

    def _describe_db_clusters(self, given: Thing) -> Thing:
        if "DBClusterIdentifier" in given:
            found = [self._existing_cluster(given["DBClusterIdentifier"])]
        elif "Filters" not in given:
            found = list(self.clusters.values())
        else:
            (wanted,) = given["Filters"]
            members = {"db-cluster-resource-id": "DbClusterResourceId", "db-cluster-id": "DBClusterIdentifier"}
            member = members[wanted["Name"]]
            found = [each for each in self.clusters.values() if each[member] in wanted["Values"]]
        return self._page("DBClusters", [self._described(each) for each in found], given)

    def _described(self, cluster: Thing) -> Thing:
        """The standard storage type is not reported: scripts/local_aws/aurora/records.py has the source."""
        told = {key: value for key, value in cluster.items() if (key, value) != ("StorageType", "aurora")}
        return {**told, "DBClusterMembers": self._described_members(cluster)}

    def _described_members(self, cluster: Thing) -> list[Thing]:
        members = self._members(cluster)
        writer = self.writers.get(cluster["DBClusterIdentifier"], members[0] if members else None)
        return [{"DBInstanceIdentifier": name, "IsClusterWriter": name == writer} for name in members]

    def _describe_db_instances(self, given: Thing) -> Thing:
        name = given.get("DBInstanceIdentifier")
        if name is not None:
            return self._page("DBInstances", [self._existing_instance(name)], given)
        (wanted,) = given["Filters"]
        member = {"db-cluster-id": "DBClusterIdentifier", "db-instance-id": "DBInstanceIdentifier"}[wanted["Name"]]
        found = [each for each in self.instances.values() if each[member] in wanted["Values"]]
        return self._page("DBInstances", found, given)

    def _copy_db_cluster_snapshot(self, given: Thing) -> Thing:
        name, original = given["TargetDBClusterSnapshotIdentifier"], self._source(given)
        if original["Status"] != "available":
            raise Refusal("InvalidDBClusterSnapshotStateFault")
        if name in self.snapshots:
            raise Refusal("DBClusterSnapshotAlreadyExistsFault")
        copy = self.add_snapshot(
            name,
            **{member: original[member] for member in KEPT_BY_COPIES if member in original},
            Status="copying",
            PercentProgress=0,
            SourceDBClusterSnapshotArn=original["DBClusterSnapshotArn"],
            KmsKeyId=given.get("KmsKeyId"),
            TagList=given["Tags"],
        )
        self._after("CopyDBClusterSnapshot", lambda: copy.update(Status="available", PercentProgress=100))
        return {"DBClusterSnapshot": dict(copy)}

    def _source(self, given: Thing) -> Thing:
        """Return what is copied: a snapshot of this region, or by its ARN one that may be seen from here."""
        source = given["SourceDBClusterSnapshotIdentifier"]
        place, _, name = source.rpartition(":cluster-snapshot:")
        region, account = place.split(":")[3:5] if place else (self.region, self.account)
        there = self.world.get((account, region))
        found = there.snapshots.get(name) if there else None
        if (
            there is None
            or found is None
            or (account != self.account and self.account not in there.shared_with.get(name, ()))
        ):
            raise Refusal("DBClusterSnapshotNotFoundFault", status=404)
        return found

    def _restore_db_cluster_from_snapshot(self, given: Thing) -> Thing:
        name = given["DBClusterIdentifier"]
        snapshot = self.snapshots.get(given["SnapshotIdentifier"].split(":cluster-snapshot:")[-1])
        if snapshot is None:
            raise Refusal("DBClusterSnapshotNotFoundFault", status=404)
        if INSIGHTS & given.keys():
            raise Refusal("InvalidParameterCombination", "You can enable Performance Insights only when ... Limitless")
        if snapshot["Status"] != "available":
            raise Refusal("InvalidDBClusterSnapshotStateFault")
        self._refuse_taken(name, "DBClusterAlreadyExistsFault")
        if given.get("DBSubnetGroupName", "default") not in {"default", *self.subnet_groups}:
            raise Refusal("DBSubnetGroupNotFoundFault", status=404)
        groups, named = self.cluster_parameter_groups, given.get("DBClusterParameterGroupName")
        group = self.group_for(groups, given["EngineVersion"], named, "DBClusterParameterGroupNotFound")
        cluster = self.add_cluster(
            name,
            Status="creating",
            MasterUsername=snapshot["MasterUsername"],
            TagList=given["Tags"],
            **(defaults(OF_CLUSTERS) | described(CLUSTER_SETTINGS, given) | {"DBClusterParameterGroup": group}),
            VpcSecurityGroups=in_groups(given["VpcSecurityGroupIds"]),
        )
        self._after("RestoreDBClusterFromSnapshot", lambda: cluster.update(Status="available"))
        return {"DBCluster": dict(cluster)}

    def _create_db_instance(self, given: Thing) -> Thing:
        name = given["DBInstanceIdentifier"]
        self._refuse_taken(name, "DBInstanceAlreadyExists")
        cluster = self._available_cluster(given["DBClusterIdentifier"])
        groups, named = self.parameter_groups, given.get("DBParameterGroupName")
        group = self.group_for(groups, cluster["EngineVersion"], named, "DBParameterGroupNotFound")
        instance = self.add_instance(
            name,
            cluster["DBClusterIdentifier"],
            DBInstanceStatus="creating",
            TagList=given["Tags"],
            **(defaults(OF_INSTANCES) | described(INSTANCE_SETTINGS, given)),
            DBParameterGroups=[{"DBParameterGroupName": group, "ParameterApplyStatus": "in-sync"}],
        )
        self._after("CreateDBInstance", lambda: instance.update(DBInstanceStatus="available"))
        self._activate_secret(cluster)
        return {"DBInstance": dict(instance)}

    def _modify_db_cluster(self, given: Thing) -> Thing:
        cluster = self._existing_cluster(given["DBClusterIdentifier"])
        assert given["ApplyImmediately"]
        if given.get("ManageMasterUserPassword") is False:
            raise Refusal("InvalidParameterCombination", "it is not managed")
        if set(MONITORING) & given.keys():
            raise Refusal("InvalidParameterCombination", "An Aurora cluster's instances have it")
        days = given.get("PerformanceInsightsRetentionPeriod", 0) if given.get("EnablePerformanceInsights") else 0
        if given.get("DatabaseInsightsMode") == "advanced" and days < ADVANCED_INSIGHTS_DAYS:
            raise Refusal("InvalidParameterCombination", "To enable the Advanced mode ... at least 465 days.")
        self._available_cluster(given["DBClusterIdentifier"])
        if "NewDBClusterIdentifier" in given:
            self._begin_rename(cluster, given["NewDBClusterIdentifier"])
            return {"DBCluster": dict(cluster)}
        if "VpcSecurityGroupIds" in given:
            self._change_groups(cluster, given["VpcSecurityGroupIds"])
        change = described(CLUSTER_SETTINGS, given)
        if "MasterUserPassword" in given:
            self.passwords[given["DBClusterIdentifier"]] = given["MasterUserPassword"]
            cluster["PendingModifiedValues"] = {"MasterUserPassword": "****"}
            change["PendingModifiedValues"] = {}
        elif "ManageMasterUserPassword" in given:
            cluster["MasterUserSecret"] = {"SecretArn": self.managed_secret, "SecretStatus": "creating"}
            self._activate_secret(cluster)
        self._after("ModifyDBCluster", lambda: cluster.update(change))
        return {"DBCluster": dict(cluster)}

    def _change_groups(self, cluster: Thing, groups: list[str]) -> None:
        """The members follow."""
        before = {each["VpcSecurityGroupId"]: each["Status"] for each in cluster["VpcSecurityGroups"]}
        begun = {each: "active" if before.get(each) == "active" else "adding" for each in groups}
        begun |= {each: "removing" for each in before if each not in groups}
        cluster["VpcSecurityGroups"] = [in_groups([each], status)[0] for each, status in begun.items()]

        def settle() -> None:
            for each in [cluster, *self._instances_of(cluster)]:
                each["VpcSecurityGroups"] = in_groups(groups)

        self._after("ModifyDBCluster", settle)

    def _refuse_taken(self, name: str, code: str) -> None:
        """Clusters and instances share their names, and one that a cluster is being given is taken."""
        if name in self.clusters.keys() | self.instances.keys() | self.becoming:
            raise Refusal(code)

    def _begin_rename(self, cluster: Thing, name: str) -> None:
        """The old name is held until the end, the new one from the beginning; members and their cluster stay together.

        The sources stand in scripts/local_aws/aurora/renames.py.
        """
        if name in self.instances:
            raise Refusal("DBInstanceAlreadyExists")
        self._refuse_taken(name, "DBClusterAlreadyExistsFault")
        old, members = cluster["DBClusterIdentifier"], self._members(cluster)
        cluster["Status"] = "renaming"
        self.becoming.add(name)

        def end() -> None:
            self.becoming.discard(name)
            self.clusters[name] = self.clusters.pop(old)
            for by_name in (self.passwords, self.writers):
                if old in by_name:
                    by_name[name] = by_name.pop(old)
            cluster.update(
                DBClusterIdentifier=name,
                DBClusterArn=self._arn("cluster", name),
                Status="available",
                Endpoint=f"{name}.cluster-c0ffee.{self.region}.rds.amazonaws.com",
            )
            for each in members:
                self.instances[each]["DBClusterIdentifier"] = name

        self._after("ModifyDBCluster", end)

    def _reboot_db_instance(self, given: Thing) -> Thing:
        instance = self._existing_instance(given["DBInstanceIdentifier"])
        if instance["DBInstanceStatus"] != "available":
            raise Refusal("InvalidDBInstanceState")
        instance["DBInstanceStatus"] = "rebooting"

        def restarted() -> None:
            instance["DBInstanceStatus"] = "available"
            self._report("db-instance", instance["DBInstanceIdentifier"], "DB instance restarted", "availability")

        self._after("RebootDBInstance", restarted)
        return {"DBInstance": dict(instance)}

    def _activate_secret(self, cluster: Thing) -> None:
        """The secret that RDS keeps stays `creating` until the cluster has an instance."""
        secret = cluster.get("MasterUserSecret", {})
        if secret.get("SecretArn") == self.managed_secret and self._members(cluster):
            self._after("ModifyDBCluster", lambda: secret.update(SecretStatus="active"))

    def _failover_db_cluster(self, given: Thing) -> Thing:
        name, target = given["DBClusterIdentifier"], given["TargetDBInstanceIdentifier"]
        cluster = self._available_cluster(name)
        readers = [
            each["DBInstanceIdentifier"] for each in self._described_members(cluster) if not each["IsClusterWriter"]
        ]
        available = [each for each in readers if self.instances[each]["DBInstanceStatus"] == "available"]
        if not available:
            raise Refusal("InvalidDBClusterStateFault", "it has no reader")
        if target not in available:
            raise Refusal("InvalidDBInstanceState")
        cluster["Status"] = "failing-over"

        def promoted() -> None:
            cluster["Status"] = "available"
            self.writers[name] = target

        self._after("FailoverDBCluster", promoted)
        return {"DBCluster": dict(cluster)}

    def _describe_events(self, given: Thing) -> Thing:
        if "SourceIdentifier" in given and "SourceType" not in given:
            raise Refusal("InvalidParameterCombination", "SourceType must be provided")

        def kind(event: Thing) -> str:
            return "db-instance" if event["SourceIdentifier"] in self.instances else "db-cluster"

        events = [{"SourceType": kind(each), **each} for each in self.events]
        asked = ("SourceIdentifier", "SourceType")
        found = [
            each
            for each in events
            if all(given.get(name) in (None, each[name]) for name in asked)
            and each.get("Date", self.clock.now) >= given["StartTime"]
        ]
        return self._page("Events", found, given)

    def _report(self, kind: str, name: str, message: str, category: str) -> None:
        """Have an event of what has just happened, of those that the pipeline looks for."""
        self.events.append(
            {
                "SourceIdentifier": name,
                "SourceType": kind,
                "Message": message,
                "EventCategories": [category],
                "Date": self._moment or self.clock.now,
            }
        )

    def _enable_http_endpoint(self, given: Thing) -> Thing:
        return self._switch_http_endpoint("EnableHttpEndpoint", given, is_on=True)

    def _disable_http_endpoint(self, given: Thing) -> Thing:
        return self._switch_http_endpoint("DisableHttpEndpoint", given, is_on=False)

    def _switch_http_endpoint(self, operation: str, given: Thing, *, is_on: bool) -> Thing:
        arn = given["ResourceArn"]
        cluster = next((each for each in self.clusters.values() if each["DBClusterArn"] == arn), None)
        if cluster is None:
            raise Refusal("ResourceNotFoundFault", status=404)
        if cluster["Status"] != "available":
            raise Refusal("InvalidResourceStateFault")
        if cluster.get("HttpEndpointEnabled", False) is not is_on:
            cluster["Status"] = "modifying"
            self._after(operation, lambda: cluster.update(HttpEndpointEnabled=is_on, Status="available"))
        return {"ResourceArn": arn, "HttpEndpointEnabled": is_on}

    def _stop_db_cluster(self, given: Thing) -> Thing:
        cluster = self._available_cluster(given["DBClusterIdentifier"])
        if any(each["DBInstanceStatus"] != "available" for each in self._instances_of(cluster)):
            raise Refusal("InvalidDBInstanceState")
        return self._pass_through("StopDBCluster", cluster, "stopping", "stopped")

    def _start_db_cluster(self, given: Thing) -> Thing:
        cluster = self._existing_cluster(given["DBClusterIdentifier"])
        if cluster["Status"] != "stopped":
            raise Refusal("InvalidDBClusterStateFault")
        return self._pass_through("StartDBCluster", cluster, "starting", "available")

    def _pass_through(self, operation: str, cluster: Thing, begun: str, ended: str) -> Thing:
        """Have a cluster and its members be in one status, and then in another."""

        def enter(status: str) -> None:
            cluster["Status"] = status
            for each in self._instances_of(cluster):
                each["DBInstanceStatus"] = status

        enter(begun)
        self._after(operation, lambda: enter(ended))
        return {"DBCluster": dict(cluster)}

    def _delete_db_instance(self, given: Thing) -> Thing:
        assert given["SkipFinalSnapshot"], "RDS takes no final snapshot of a cluster's member"
        instance = self._existing_instance(given["DBInstanceIdentifier"])
        if instance["DBInstanceStatus"] == "deleting":
            raise Refusal("InvalidDBInstanceState")
        instance["DBInstanceStatus"] = "deleting"
        self._after("DeleteDBInstance", lambda: self._forget(self.instances, given["DBInstanceIdentifier"]))
        return {"DBInstance": dict(instance)}

    def _delete_db_cluster(self, given: Thing) -> Thing:
        name, final_snapshot = given["DBClusterIdentifier"], given.get("FinalDBSnapshotIdentifier")
        assert given["SkipFinalSnapshot"] == (final_snapshot is None)
        cluster = self._existing_cluster(name)
        if cluster["DeletionProtection"]:
            raise Refusal("InvalidParameterCombination", "Cannot delete protected Cluster")
        if cluster["Status"] not in IDLE:
            raise Refusal("InvalidDBClusterStateFault", f"it is {cluster['Status']}")
        if any(each["DBInstanceStatus"] != "deleting" for each in self._instances_of(cluster)):
            raise Refusal("InvalidDBClusterStateFault", "it still contains DB instances in non-deleting state")
        if final_snapshot in self.snapshots:
            raise Refusal("DBClusterSnapshotAlreadyExistsFault")
        if final_snapshot:
            self.add_snapshot(final_snapshot, name, 0, DbClusterResourceId=cluster["DbClusterResourceId"])
        before = dict(cluster)
        if final_snapshot:  # until it is taken, the cluster is called available
            self._after("TakeFinalSnapshot", lambda: cluster.update(Status="deleting"))
        else:
            cluster["Status"] = "deleting"

        def gone() -> None:
            self._forget(self.clusters, name)
            self._report("db-cluster", name, "DB cluster deleted", "deletion")
            if given.get("DeleteAutomatedBackups", True):
                self._forget_automated_snapshots(name)
            else:
                members = ("DBClusterIdentifier", "DBClusterArn", "DbClusterResourceId")
                self.retained_backups.append({"Status": "retained", **{each: cluster[each] for each in members}})

        self._after("DeleteDBCluster", gone)
        return {"DBCluster": before if final_snapshot else dict(cluster)}

    def _forget_automated_snapshots(self, cluster: str) -> None:
        for name, found in list(self.snapshots.items()):
            if (found["SnapshotType"], found["DBClusterIdentifier"]) == ("automated", cluster):
                del self.snapshots[name]

    def _add_tags_to_resource(self, given: Thing) -> Thing:
        """A key that is there already gets the new value."""
        kind, name = given["ResourceName"].split(":", 6)[5:]
        if kind == "cluster":
            tagged = self._existing_cluster(name)
        else:
            assert kind == "cluster-snapshot", given
            tagged = self.snapshots[name]
        tags = {each["Key"]: each["Value"] for each in [*tagged["TagList"], *given["Tags"]]}
        tagged["TagList"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        return {}

    def _start_export_task(self, given: Thing) -> Thing:
        name = given["ExportTaskIdentifier"]
        if name in self.exports:
            raise Refusal("ExportTaskAlreadyExists")
        if self._existing_snapshot(given["SourceArn"].split(":", 6)[6])["Status"] != "available":
            raise Refusal("InvalidExportSourceState")
        self.exports[name] = {
            **{key: given[key] for key in ("ExportTaskIdentifier", "SourceArn", "S3Prefix", "IamRoleArn", "KmsKeyId")},
            "S3Bucket": given["S3BucketName"],
            "TaskStartTime": self.clock.now,
            "Status": "STARTING",
            "PercentProgress": 0,
        }
        return dict(self.exports[name])

    def _cancel_export_task(self, given: Thing) -> Thing:
        found = self.exports.get(given["ExportTaskIdentifier"])
        if found is None:
            raise Refusal("ExportTaskNotFound", status=404)
        if found["Status"] not in ("STARTING", "IN_PROGRESS"):
            raise Refusal("InvalidExportTaskStateFault")
        found["Status"] = "CANCELING"
        self._after("CancelExportTask", lambda: found.update(Status="CANCELED"))
        return {**found, "Status": "CANCELING"}

    def _describe_export_tasks(self, given: Thing) -> Thing:
        name = given["ExportTaskIdentifier"]
        if name not in self.exports:
            raise Refusal("ExportTaskNotFound", status=404)
        return {"ExportTasks": [dict(self.exports[name])]}

    def _delete_db_cluster_snapshot(self, given: Thing) -> Thing:
        snapshot = self._existing_snapshot(given["DBClusterSnapshotIdentifier"])
        if snapshot["SnapshotType"] != "manual":
            raise Refusal("InvalidDBClusterSnapshotStateFault")
        del self.snapshots[given["DBClusterSnapshotIdentifier"]]
        return {"DBClusterSnapshot": snapshot}

    def _existing_snapshot(self, name: str) -> Thing:
        if name not in self.snapshots:
            raise Refusal("DBClusterSnapshotNotFoundFault", status=404)
        return self.snapshots[name]

    def _existing_cluster(self, name: str) -> Thing:
        if name not in self.clusters:
            raise Refusal("DBClusterNotFoundFault", status=404)
        return self.clusters[name]

    def _available_cluster(self, name: str) -> Thing:
        cluster = self._existing_cluster(name)
        if cluster["Status"] != "available":
            raise Refusal("InvalidDBClusterStateFault", f"it is {cluster['Status']}")
        return cluster

    def _existing_instance(self, name: str) -> Thing:
        if name not in self.instances:
            raise Refusal("DBInstanceNotFound", status=404)
        return self.instances[name]

    def _members(self, cluster: Thing) -> list[str]:
        name = cluster["DBClusterIdentifier"]
        return [each for each, instance in self.instances.items() if instance["DBClusterIdentifier"] == name]

    def _instances_of(self, cluster: Thing) -> list[Thing]:
        return [self.instances[each] for each in self._members(cluster)]

    @staticmethod
    def _forget(things: dict[str, Thing], name: str) -> None:
        things.pop(name, None)

    def _page(self, key: str, found: list[Thing], given: Thing) -> Thing:
        start = int(given.get("Marker", 0))
        page: Thing = {key: [dict(each) for each in found[start : start + self.page_size]]}
        return page if start + self.page_size >= len(found) else page | {"Marker": str(start + self.page_size)}
