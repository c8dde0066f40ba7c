"""RDS in one region, as far as the pipeline uses it.

What exists is plain dictionaries in RDS's own words; a test that needs a special situation changes them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from scripts.local_aws.aurora.settings_table import MONITORING, OF_CLUSTERS, OF_INSTANCES, OF_LIMITLESS, Kept, described
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
        self.most_snapshots = 100
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
        due = [happen for moment, happen in self._due if moment <= self.clock.now]
        self._due = [(moment, happen) for moment, happen in self._due if moment > self.clock.now]
        for happen in due:
            happen()

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
        name = given.get("DBClusterSnapshotIdentifier")
        kind = given.get("SnapshotType")
        if name is None:
            cluster = given.get("DBClusterIdentifier")
            known = self._shared_with_us() if kind == "shared" else list(self.snapshots.values())
            found = [each for each in known if cluster in (None, each["DBClusterIdentifier"])]
            if kind in ("manual", "automated"):
                found = [each for each in found if each["SnapshotType"] == kind]
            return self._page("DBClusterSnapshots", found, given)
        if name.startswith("arn:"):
            assert given.get("IncludeShared"), "what is shared must be asked for"
            found = [each for each in self._shared_with_us() if each["DBClusterSnapshotArn"] == name]
            if not found:
                raise Refusal("DBClusterSnapshotNotFoundFault", status=404)
            return self._page("DBClusterSnapshots", found, given)
        snapshot = self.snapshots.get(name)
        # Automated snapshots must be asked for as such.
        if snapshot is None or kind != (snapshot["SnapshotType"] if ":" in name else None):
            raise Refusal("DBClusterSnapshotNotFoundFault", status=404)
        return self._page("DBClusterSnapshots", [snapshot], given)

    def _shared_with_us(self) -> list[Thing]:
        return [
            snapshot
            for (account, region), other in self.world.items()
            if region == self.region and account != self.account
            for name, snapshot in other.snapshots.items()
            if self.account in other.shared_with.get(name, ())
        ]

    def _describe_db_cluster_snapshot_attributes(self, given: Thing) -> Thing:
        name = given["DBClusterSnapshotIdentifier"]
        if name not in self.snapshots:
            raise Refusal("DBClusterSnapshotNotFoundFault", status=404)
        restore = {"AttributeName": "restore", "AttributeValues": sorted(self.shared_with.get(name, ()))}
        return {"DBClusterSnapshotAttributesResult": {"DBClusterSnapshotAttributes": [restore]}}

    def _modify_db_cluster_snapshot_attribute(self, given: Thing) -> Thing:
        name, added = given["DBClusterSnapshotIdentifier"], set(given.get("ValuesToAdd", []))
        if name not in self.snapshots:
            raise Refusal("DBClusterSnapshotNotFoundFault", status=404)
        if added and (self.snapshots[name]["SnapshotType"] != "manual" or ":" in name):
            raise Refusal("InvalidDBClusterSnapshotStateFault", "Only manual snapshots can be shared")
        shared = self.shared_with.setdefault(name, set())
        shared |= added
        shared -= set(given.get("ValuesToRemove", []))
        return self._describe_db_cluster_snapshot_attributes(given)

    def _describe_account_attributes(self, given: Thing) -> Thing:
        made = sum(each["SnapshotType"] == "manual" for each in self.snapshots.values())
        quotas = {**self.quotas, "ManualClusterSnapshots": (made, self.most_snapshots)}
        return {
            "AccountQuotas": [
                {"AccountQuotaName": name, "Used": used, "Max": most} for name, (used, most) in quotas.items()
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
        with_members = [{**each, "DBClusterMembers": self._described_members(each)} for each in found]
        return self._page("DBClusters", with_members, given)

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
        name = given["TargetDBClusterSnapshotIdentifier"]
        if name in self.snapshots:
            raise Refusal("DBClusterSnapshotAlreadyExistsFault")
        self._refuse_what_isnt_shared(given["SourceDBClusterSnapshotIdentifier"])
        original = self._original(given["SourceDBClusterSnapshotIdentifier"])
        copy = self.add_snapshot(
            name,
            **{member: original[member] for member in KEPT_BY_COPIES if member in original},
            Status="copying",
            PercentProgress=0,
            SourceDBClusterSnapshotArn=given["SourceDBClusterSnapshotIdentifier"],
            KmsKeyId=given.get("KmsKeyId"),
            TagList=given["Tags"],
        )
        self._after("CopyDBClusterSnapshot", lambda: copy.update(Status="available", PercentProgress=100))
        return {"DBClusterSnapshot": dict(copy)}

    def _original(self, source: str) -> Thing:
        """What is copied, where a test has made it."""
        place, _, name = source.rpartition(":cluster-snapshot:")
        region, account = place.split(":")[3:5] if place else (self.region, self.account)
        there = self.world.get((account, region))
        return there.snapshots.get(name, {}) if there else {}

    def _refuse_what_isnt_shared(self, source: str) -> None:
        if not source.startswith("arn:"):
            assert source in self.snapshots
            return
        region, account, _, name = source.split(":", 6)[3:]
        other = self.world.get((account, region))
        if other is not None and account != self.account and self.account not in other.shared_with.get(name, ()):
            raise Refusal("DBClusterSnapshotNotFoundFault", status=404)

    def _restore_db_cluster_from_snapshot(self, given: Thing) -> Thing:
        name = given["DBClusterIdentifier"]
        snapshot = self.snapshots.get(given["SnapshotIdentifier"].split(":cluster-snapshot:")[-1])
        if name in self.clusters:
            raise Refusal("DBClusterAlreadyExistsFault")
        if snapshot is None:
            raise Refusal("DBClusterSnapshotNotFoundFault", status=404)
        if snapshot["Status"] != "available":
            raise Refusal("InvalidDBClusterSnapshotStateFault")
        if INSIGHTS & given.keys():
            raise Refusal("InvalidParameterCombination", "You can enable Performance Insights only when ... Limitless")
        named = given.get("DBClusterParameterGroupName")
        group = self.group_for(self.cluster_parameter_groups, given["EngineVersion"], named)
        cluster = self.add_cluster(
            name,
            Status="creating",
            MasterUsername=snapshot["MasterUsername"],
            TagList=given["Tags"],
            # What RDS chooses by itself.
            PreferredMaintenanceWindow="wed:06:00-wed:06:30",
            BackupRetentionPeriod=1,
            **(described(CLUSTER_SETTINGS, given) | {"DBClusterParameterGroup": group}),
            VpcSecurityGroups=in_groups(given["VpcSecurityGroupIds"]),
        )
        self._after("RestoreDBClusterFromSnapshot", lambda: cluster.update(Status="available"))
        return {"DBCluster": dict(cluster)}

    def _create_db_instance(self, given: Thing) -> Thing:
        name = given["DBInstanceIdentifier"]
        if name in self.instances:
            raise Refusal("DBInstanceAlreadyExists")
        cluster = self._existing_cluster(given["DBClusterIdentifier"])
        if cluster["Status"] != "available":
            raise Refusal("InvalidDBClusterStateFault")
        group = self.group_for(self.parameter_groups, cluster["EngineVersion"], given.get("DBParameterGroupName"))
        instance = self.add_instance(
            name,
            cluster["DBClusterIdentifier"],
            DBInstanceStatus="creating",
            TagList=given["Tags"],
            **described(INSTANCE_SETTINGS, given),
            DBParameterGroups=[{"DBParameterGroupName": group, "ParameterApplyStatus": "in-sync"}],
        )
        self._after("CreateDBInstance", lambda: instance.update(DBInstanceStatus="available"))
        self._activate_secret(cluster)
        return {"DBInstance": dict(instance)}

    def _modify_db_cluster(self, given: Thing) -> Thing:
        cluster = self._existing_cluster(given["DBClusterIdentifier"])
        assert given["ApplyImmediately"]
        assert given.get("ManageMasterUserPassword") is not False, "RDS refuses it for a cluster that isn't managed"
        if set(MONITORING) & given.keys():
            raise Refusal("InvalidParameterCombination", "An Aurora cluster's instances have it")
        days = given.get("PerformanceInsightsRetentionPeriod", 0) if given.get("EnablePerformanceInsights") else 0
        if given.get("DatabaseInsightsMode") == "advanced" and days < 465:
            raise Refusal("InvalidParameterCombination", "To enable the Advanced mode ... at least 465 days.")
        if cluster["Status"] != "available":
            raise Refusal("InvalidDBClusterStateFault", f"it is {cluster['Status']}")
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
        cluster["VpcSecurityGroups"] = in_groups(groups, "adding")

        def settle() -> None:
            for each in [cluster, *(self.instances[name] for name in self._members(cluster))]:
                each["VpcSecurityGroups"] = in_groups(groups)

        self._after("ModifyDBCluster", settle)

    def _begin_rename(self, cluster: Thing, name: str) -> None:
        """The old name is held until the end, the new one from the beginning; members and their cluster stay together.

        The sources stand in scripts/local_aws/aurora/renames.py.
        """
        if name in self.instances:
            raise Refusal("DBInstanceAlreadyExists")
        if name in self.clusters.keys() | self.becoming:
            raise Refusal("DBClusterAlreadyExistsFault")
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
        self._after("RebootDBInstance", lambda: instance.update(DBInstanceStatus="available"))
        return {"DBInstance": dict(instance)}

    def _activate_secret(self, cluster: Thing) -> None:
        """The secret that RDS keeps stays `creating` until the cluster has an instance."""
        secret = cluster.get("MasterUserSecret", {})
        if secret.get("SecretArn") == self.managed_secret and self._members(cluster):
            self._after("ModifyDBCluster", lambda: secret.update(SecretStatus="active"))

    def _failover_db_cluster(self, given: Thing) -> Thing:
        cluster = self._existing_cluster(given["DBClusterIdentifier"])
        target = given["TargetDBInstanceIdentifier"]
        if target not in self._members(cluster):
            raise Refusal("InvalidDBInstanceState")
        self._after("FailoverDBCluster", lambda: self.writers.update({given["DBClusterIdentifier"]: target}))
        return {"DBCluster": dict(cluster)}

    def _describe_events(self, given: Thing) -> Thing:
        def kind(event: Thing) -> str:
            return "db-instance" if event["SourceIdentifier"] in self.instances else "db-cluster"

        events = [{"SourceType": kind(each), **each} for each in self.events]
        asked = ("SourceIdentifier", "SourceType")
        found = [each for each in events if all(given.get(name) in (None, each[name]) for name in asked)]
        return self._page("Events", found, given)

    def _enable_http_endpoint(self, given: Thing) -> Thing:
        (cluster,) = [each for each in self.clusters.values() if each["DBClusterArn"] == given["ResourceArn"]]
        self._after("EnableHttpEndpoint", lambda: cluster.update(HttpEndpointEnabled=True))
        return {"ResourceArn": given["ResourceArn"], "HttpEndpointEnabled": True}

    def _disable_http_endpoint(self, given: Thing) -> Thing:
        (cluster,) = [each for each in self.clusters.values() if each["DBClusterArn"] == given["ResourceArn"]]
        self._after("DisableHttpEndpoint", lambda: cluster.update(HttpEndpointEnabled=False))
        return {"ResourceArn": given["ResourceArn"], "HttpEndpointEnabled": False}

    def _stop_db_cluster(self, given: Thing) -> Thing:
        cluster = self._existing_cluster(given["DBClusterIdentifier"])
        if cluster["Status"] != "available":
            raise Refusal("InvalidDBClusterStateFault")
        self._after("StopDBCluster", lambda: cluster.update(Status="stopped"))
        return {"DBCluster": dict(cluster)}

    def _start_db_cluster(self, given: Thing) -> Thing:
        cluster = self._existing_cluster(given["DBClusterIdentifier"])
        if cluster["Status"] != "stopped":
            raise Refusal("InvalidDBClusterStateFault")
        self._after("StartDBCluster", lambda: cluster.update(Status="available"))
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
        if any(self.instances[each]["DBInstanceStatus"] != "deleting" for each in self._members(cluster)):
            raise Refusal("InvalidDBClusterStateFault", "it still contains DB instances in non-deleting state")
        if cluster["DeletionProtection"]:
            raise Refusal("InvalidParameterCombination", "Cannot delete protected Cluster")
        if final_snapshot in self.snapshots:
            raise Refusal("DBClusterSnapshotAlreadyExistsFault")
        if final_snapshot:
            self.add_snapshot(final_snapshot, name, 0, DbClusterResourceId=cluster["DbClusterResourceId"])
        if given.get("DeleteAutomatedBackups", True):
            automated = [each for each, found in self.snapshots.items() if found["SnapshotType"] == "automated"]
            for each in automated:
                if self.snapshots[each]["DBClusterIdentifier"] == name:
                    del self.snapshots[each]
        before = dict(cluster)
        if final_snapshot:  # until it is taken, the cluster is called available
            self._after("TakeFinalSnapshot", lambda: cluster.update(Status="deleting"))
        else:
            cluster["Status"] = "deleting"
        self._after("DeleteDBCluster", lambda: self._forget(self.clusters, name))
        return {"DBCluster": before if final_snapshot else dict(cluster)}

    def _add_tags_to_resource(self, given: Thing) -> Thing:
        arns = {each["DBClusterSnapshotArn"]: each for each in self.snapshots.values()}
        arns |= {each["DBClusterArn"]: each for each in self.clusters.values()}
        tagged = arns[given["ResourceName"]]
        tagged["TagList"] = [*tagged["TagList"], *given["Tags"]]
        return {}

    def _start_export_task(self, given: Thing) -> Thing:
        name = given["ExportTaskIdentifier"]
        if name in self.exports:
            raise Refusal("ExportTaskAlreadyExists")
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
        found["Status"] = "CANCELED"
        return dict(found)

    def _describe_export_tasks(self, given: Thing) -> Thing:
        name = given["ExportTaskIdentifier"]
        if name not in self.exports:
            raise Refusal("ExportTaskNotFound", status=404)
        return {"ExportTasks": [dict(self.exports[name])]}

    def _delete_db_cluster_snapshot(self, given: Thing) -> Thing:
        snapshot = self.snapshots.pop(given["DBClusterSnapshotIdentifier"], None)
        if snapshot is None:
            raise Refusal("DBClusterSnapshotNotFoundFault", status=404)
        return {"DBClusterSnapshot": snapshot}

    def _existing_cluster(self, name: str) -> Thing:
        if name not in self.clusters:
            raise Refusal("DBClusterNotFoundFault", status=404)
        return self.clusters[name]

    def _existing_instance(self, name: str) -> Thing:
        if name not in self.instances:
            raise Refusal("DBInstanceNotFound", status=404)
        return self.instances[name]

    def _members(self, cluster: Thing) -> list[str]:
        name = cluster["DBClusterIdentifier"]
        return [each for each, instance in self.instances.items() if instance["DBClusterIdentifier"] == name]

    @staticmethod
    def _forget(things: dict[str, Thing], name: str) -> None:
        things.pop(name, None)

    def _page(self, key: str, found: list[Thing], given: Thing) -> Thing:
        start = int(given.get("Marker", 0))
        page: Thing = {key: [dict(each) for each in found[start : start + self.page_size]]}
        return page if start + self.page_size >= len(found) else page | {"Marker": str(start + self.page_size)}
