"""RDS in one region, as far as the pipeline uses it: a real boto3 client whose calls end here instead of in a socket.

So botocore checks every parameter against its model, and errors arrive as they do from AWS. What exists is plain
dictionaries in RDS's own words; a test that needs a special situation changes them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError

from tests.unit.support import ACCOUNT, NOW

Thing = dict[str, Any]


class Clock:
    """The time for everybody in a test."""

    def __init__(self) -> None:
        self.now = NOW

    def pass_seconds(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


class Refusal(Exception):
    """An answer of RDS that is an error, with its code as it stands on the wire."""

    def __init__(self, code: str, message: str = "no", status: int = 400) -> None:
        super().__init__(code)
        self.code, self.message, self.status = code, message, status


class FakeRds:
    """Everything starts at once and is available after `seconds[operation]`, or at once where none are given."""

    def __init__(self, region: str, clock: Clock) -> None:
        self.region = region
        self.clock = clock
        self.snapshots: dict[str, Thing] = {}
        self.clusters: dict[str, Thing] = {}
        self.instances: dict[str, Thing] = {}
        self.passwords: dict[str, str] = {}
        self.calls: list[tuple[str, Thing]] = []
        self.seconds: dict[str, float] = {}
        self.page_size = 100
        self._refusals: dict[str, list[Refusal]] = {}
        self._lost_answers: list[str] = []
        self._due: list[tuple[dt.datetime, Callable[[], None]]] = []
        self._made = 0

    # What a test arranges and asks

    def add_snapshot(self, name: str, cluster: str = "prod-orders", hours_old: float = 3.0, **changes: Any) -> Thing:
        snapshot = {
            "DBClusterSnapshotIdentifier": name,
            "DBClusterSnapshotArn": self._arn("cluster-snapshot", name),
            "DBClusterIdentifier": cluster,
            "SnapshotType": "automated" if name.startswith("rds:") else "manual",
            "SnapshotCreateTime": self.clock.now - dt.timedelta(hours=hours_old),
            "Status": "available",
            "PercentProgress": 100,
            "Engine": "aurora-postgresql",
            "EngineVersion": "16.4",
            "StorageEncrypted": False,
            "StorageEncryptionType": "none",
            "MasterUsername": "postgres",
            "Port": 5432,
            "StorageType": "aurora",
            "AllocatedStorage": 100,
            "TagList": [],
            **changes,
        }
        self.snapshots[name] = {key: value for key, value in snapshot.items() if value is not None}
        return self.snapshots[name]

    def add_cluster(self, name: str, **changes: Any) -> Thing:
        self._made += 1
        self.clusters[name] = {
            "DBClusterIdentifier": name,
            "DBClusterArn": self._arn("cluster", name),
            "DbClusterResourceId": f"cluster-{self.region.upper().replace('-', '')}{self._made:04}",
            "Status": "available",
            "Endpoint": f"{name}.cluster-c0ffee.{self.region}.rds.amazonaws.com",
            "Port": 5432,
            "Engine": "aurora-postgresql",
            "EngineVersion": "16.4",
            "MasterUsername": "postgres",
            "AllocatedStorage": 100,
            "DeletionProtection": False,
            "DBClusterMembers": [],
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
            "TagList": [],
            **changes,
        }
        return self.instances[name]

    def refuse(self, operation: str, code: str, message: str = "no", status: int = 400, times: int = 1) -> None:
        """The operation's next calls are answered with an error and have no effect."""
        self._refusals.setdefault(operation, []).extend([Refusal(code, message, status)] * times)

    def lose_answer(self, operation: str) -> None:
        """The operation's next call has its effect, but the caller never hears of it."""
        self._lost_answers.append(operation)

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.calls]

    def changes(self) -> list[str]:
        """The operations that were asked for and aren't mere questions."""
        return [operation for operation in self.operations() if not operation.startswith("Describe")]

    def asked(self, operation: str) -> Thing:
        """The parameters of the one call of an operation."""
        (parameters,) = [parameters for name, parameters in self.calls if name == operation]
        return parameters

    # Between botocore and the dictionaries

    def connect(self, rds: Any) -> None:
        rds.meta.events.register("before-parameter-build.rds", self._note_parameters, unique_id=f"note-{id(self)}")
        rds.meta.events.register("before-call.rds", self._answer, unique_id=f"answer-{id(self)}")

    def disconnect(self, rds: Any) -> None:
        rds.meta.events.unregister("before-parameter-build.rds", unique_id=f"note-{id(self)}")
        rds.meta.events.unregister("before-call.rds", unique_id=f"answer-{id(self)}")

    def _note_parameters(self, params: Thing, context: Thing, **_: Any) -> None:
        context["parameters"] = dict(params)

    def _answer(self, model: Any, context: Thing, **_: Any) -> tuple[AWSResponse, Thing]:
        operation, parameters = model.name, context["parameters"]
        self.calls.append((operation, parameters))
        self._let_time_pass()
        status = 200
        parsed: Thing
        try:
            if self._refusals.get(operation):
                raise self._refusals[operation].pop(0)
            parsed = getattr(self, f"_{xform_name(operation)}")(parameters)
        except Refusal as refusal:
            status = refusal.status
            parsed = {"Error": {"Code": refusal.code, "Message": refusal.message}}
        if operation in self._lost_answers:
            self._lost_answers.remove(operation)
            raise ReadTimeoutError(endpoint_url=f"https://rds.{self.region}.amazonaws.com/")
        parsed["ResponseMetadata"] = {"HTTPStatusCode": status}
        return AWSResponse("https://rds.test/", status, HTTPHeaders(), None), parsed

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
        return f"arn:aws:rds:{self.region}:{ACCOUNT}:{kind}:{name}"

    # The operations

    def _describe_db_cluster_snapshots(self, given: Thing) -> Thing:
        name = given.get("DBClusterSnapshotIdentifier")
        if name is None:
            cluster = given["DBClusterIdentifier"]
            found = [each for each in self.snapshots.values() if each["DBClusterIdentifier"] == cluster]
            return self._page("DBClusterSnapshots", found, given)
        snapshot = self.snapshots.get(name)
        # Automated snapshots must be asked for as such.
        asked_for_automated = given.get("SnapshotType") == "automated"
        if snapshot is None or (snapshot["SnapshotType"] == "automated") != asked_for_automated:
            raise Refusal("DBClusterSnapshotNotFoundFault", status=404)
        return self._page("DBClusterSnapshots", [snapshot], given)

    def _describe_db_clusters(self, given: Thing) -> Thing:
        cluster = self._existing_cluster(given["DBClusterIdentifier"])
        members = [{"DBInstanceIdentifier": each} for each in self._members(cluster)]
        return self._page("DBClusters", [{**cluster, "DBClusterMembers": members}], given)

    def _describe_db_instances(self, given: Thing) -> Thing:
        name = given.get("DBInstanceIdentifier")
        if name is not None:
            return self._page("DBInstances", [self._existing_instance(name)], given)
        (by_cluster,) = given["Filters"]
        assert by_cluster["Name"] == "db-cluster-id"
        found = [each for each in self.instances.values() if each["DBClusterIdentifier"] in by_cluster["Values"]]
        return self._page("DBInstances", found, given)

    def _copy_db_cluster_snapshot(self, given: Thing) -> Thing:
        name = given["TargetDBClusterSnapshotIdentifier"]
        if name in self.snapshots:
            raise Refusal("DBClusterSnapshotAlreadyExistsFault")
        copy = self.add_snapshot(
            name,
            Status="copying",
            PercentProgress=0,
            SourceDBClusterSnapshotArn=given["SourceDBClusterSnapshotIdentifier"],
            KmsKeyId=given.get("KmsKeyId"),
            TagList=given["Tags"],
        )
        self._after("CopyDBClusterSnapshot", lambda: copy.update(Status="available", PercentProgress=100))
        return {"DBClusterSnapshot": dict(copy)}

    def _restore_db_cluster_from_snapshot(self, given: Thing) -> Thing:
        name = given["DBClusterIdentifier"]
        snapshot = self.snapshots.get(given["SnapshotIdentifier"].split(":cluster-snapshot:")[-1])
        if name in self.clusters:
            raise Refusal("DBClusterAlreadyExistsFault")
        if snapshot is None:
            raise Refusal("DBClusterSnapshotNotFoundFault", status=404)
        if snapshot["Status"] != "available":
            raise Refusal("InvalidDBClusterSnapshotStateFault")
        cluster = self.add_cluster(
            name,
            Status="creating",
            Port=given["Port"],
            MasterUsername=snapshot["MasterUsername"],
            DeletionProtection=given["DeletionProtection"],
            TagList=given["Tags"],
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
        instance = self.add_instance(
            name, cluster["DBClusterIdentifier"], DBInstanceStatus="creating", TagList=given["Tags"]
        )
        self._after("CreateDBInstance", lambda: instance.update(DBInstanceStatus="available"))
        return {"DBInstance": dict(instance)}

    def _modify_db_cluster(self, given: Thing) -> Thing:
        cluster = self._existing_cluster(given["DBClusterIdentifier"])
        assert given["ApplyImmediately"]
        self.passwords[given["DBClusterIdentifier"]] = given["MasterUserPassword"]
        cluster["PendingModifiedValues"] = {"MasterUserPassword": "****"}
        self._after("ModifyDBCluster", lambda: cluster.update(PendingModifiedValues={}))
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
        if final_snapshot:
            self.add_snapshot(final_snapshot, name, 0)
        if given.get("DeleteAutomatedBackups", True):
            automated = [each for each, found in self.snapshots.items() if found["SnapshotType"] == "automated"]
            for each in automated:
                if self.snapshots[each]["DBClusterIdentifier"] == name:
                    del self.snapshots[each]
        cluster["Status"] = "deleting"
        self._after("DeleteDBCluster", lambda: self._forget(self.clusters, name))
        return {"DBCluster": dict(cluster)}

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
