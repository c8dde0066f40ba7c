"""RDS as a test of both our imitations sees it: a client, what it needs to begin with, and time that passes."""

from __future__ import annotations

import ast
import datetime as dt
import inspect
import pathlib
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import boto3
from botocore import xform_name

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import name, new_cluster, take_snapshot
from tests.integration.local_aws.iam.test_gate import Caller, allow
from tests.unit.fakes.groups import a_subnet_group
from tests.unit.fakes.rds import Clock, FakeRds, in_groups
from tests.unit.fakes.service import FakeService, Refusal, Thing
from tests.unit.support import ACCOUNT, OWNER

REGION = "us-east-1"
VERSION = "16.6"
FAMILY = "aurora-postgresql16"
OPERATIONS = (
    "CancelExportTask", "CopyDBClusterSnapshot", "CreateDBInstance", "DeleteDBCluster", "DeleteDBInstance",
    "DisableHttpEndpoint", "EnableHttpEndpoint", "FailoverDBCluster", "ModifyDBCluster", "RebootDBInstance",
    "RestoreDBClusterFromSnapshot", "StartDBCluster", "StopDBCluster", "TakeFinalSnapshot",
)  # fmt: skip
EXPORT_ACTIONS = ["s3:PutObject", "s3:GetObject", "s3:DeleteObject", "s3:ListBucket", "s3:GetBucketLocation"]


class Rds(Protocol):
    """One region in which there is nothing but what a test makes."""

    client: Any
    account: str
    security_group: str

    def cluster(self) -> str:
        """Return the name of an available cluster without instances."""

    def snapshot(self) -> str:
        """Return the name of an available manual snapshot."""

    def automated_snapshot(self) -> str:
        """Return the name of an available automated snapshot."""

    def of_another_account(self) -> tuple[Any, str]:
        """Return another account's client, and the name of an available snapshot there."""

    def now(self) -> dt.datetime:
        """Return what the time is there."""

    def settle(self) -> None:
        """Let everything that has begun be finished."""

    # What stands around clusters

    def another_security_group(self) -> str:
        """Return a group beside `security_group`, of the same VPC."""

    def subnet_group(self) -> str:
        """Return the name of a subnet group."""

    def cluster_parameter_group(self, **parameters: str) -> str:
        """Return the name of a cluster parameter group of FAMILY in which these are set."""

    def parameter_group(self) -> str:
        """Return the name of an instances' parameter group of FAMILY."""

    def export_of(self, snapshot_arn: str) -> dict[str, Any]:
        """Return what an export is asked for with, under a name of its own."""

    # What depends on a cluster

    def proxy_for(self, cluster: str) -> str:
        """Return the name of a proxy whose target the cluster is."""

    def depended_on(self, cluster: str) -> None:
        """Have the cluster be the source of a blue/green deployment, and of an integration."""

    def planned_for(self, cluster: str) -> None:
        """Have RDS plan a system-update for the cluster."""

    def close(self) -> None:
        """Remove what would be there for other tests."""


class Embedded:
    """The embedded AWS's Aurora."""

    def __init__(self, aws: LocalAws) -> None:
        self._aws = aws
        self.client, self.account = aws.client("rds", REGION), aws.account_id
        groups = aws.client("ec2", REGION).describe_security_groups()["SecurityGroups"]
        self.security_group, self._vpc = str(groups[0]["GroupId"]), str(groups[0]["VpcId"])
        self._ends: list[Callable[[], object]] = []

    def cluster(self) -> str:
        return str(new_cluster(self._aws, name("conform"), EngineVersion=VERSION)["DBClusterIdentifier"])

    def snapshot(self) -> str:
        return take_snapshot(self._aws, self.cluster())

    def automated_snapshot(self) -> str:
        return self._aws.aurora.take_automated_snapshot(self.cluster())

    def of_another_account(self) -> tuple[Any, str]:
        other = "210987654321"
        cluster = new_cluster(self._aws, name("theirs"), account=other, EngineVersion=VERSION)
        taken = take_snapshot(self._aws, cluster["DBClusterIdentifier"], account=other)
        return self._aws.client("rds", REGION, other), taken

    def now(self) -> dt.datetime:
        return self._aws.clock.now()

    def settle(self) -> None:
        self._aws.clock.sleep(3 * 3600)

    def another_security_group(self) -> str:
        ec2 = self._aws.client("ec2", REGION)
        return str(ec2.create_security_group(GroupName=name("group"), Description="any", VpcId=self._vpc)["GroupId"])

    def subnet_group(self) -> str:
        subnets = self._aws.client("ec2", REGION).describe_subnets()["Subnets"]
        ids = [each["SubnetId"] for each in subnets if each["VpcId"] == self._vpc]
        given = {"DBSubnetGroupName": name("subnets"), "DBSubnetGroupDescription": "any", "SubnetIds": ids}
        return str(self.client.create_db_subnet_group(**given)["DBSubnetGroup"]["DBSubnetGroupName"])

    def cluster_parameter_group(self, **parameters: str) -> str:
        group = {"DBClusterParameterGroupName": name("tuned")}
        self.client.create_db_cluster_parameter_group(**group, DBParameterGroupFamily=FAMILY, Description="any")
        if parameters:
            changes = [
                {"ParameterName": key, "ParameterValue": value, "ApplyMethod": "pending-reboot"}
                for key, value in parameters.items()
            ]
            self.client.modify_db_cluster_parameter_group(**group, Parameters=changes)
        return group["DBClusterParameterGroupName"]

    def parameter_group(self) -> str:
        given = {"DBParameterGroupName": name("tuned"), "DBParameterGroupFamily": FAMILY, "Description": "any"}
        return str(self.client.create_db_parameter_group(**given)["DBParameterGroup"]["DBParameterGroupName"])

    def export_of(self, snapshot_arn: str) -> dict[str, Any]:
        bucket = name("exports")
        self._aws.client("s3", REGION).create_bucket(Bucket=bucket)
        role = Caller(self._aws, allow(EXPORT_ACTIONS), trust="export.rds.amazonaws.com").arn
        key = self._aws.client("kms", REGION).create_key()["KeyMetadata"]["Arn"]
        return an_export(snapshot_arn, bucket, role, key)

    def proxy_for(self, cluster: str) -> str:
        proxy, secret = name("proxy"), "arn:aws:secretsmanager:us-east-1:123456789012:secret:any"
        self.client.create_db_proxy(
            DBProxyName=proxy,
            EngineFamily="POSTGRESQL",
            Auth=[{"AuthScheme": "SECRETS", "SecretArn": secret}],
            RoleArn="arn:aws:iam::123456789012:role/proxies",
            VpcSubnetIds=["subnet-1", "subnet-2"],
        )
        self.client.register_db_proxy_targets(DBProxyName=proxy, DBClusterIdentifiers=[cluster])
        return proxy

    def depended_on(self, cluster: str) -> None:
        source = self.client.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]["DBClusterArn"]
        made = self.client.create_blue_green_deployment(BlueGreenDeploymentName="upgrade", Source=source)
        deployment = made["BlueGreenDeployment"]["BlueGreenDeploymentIdentifier"]
        warehouse = "arn:aws:redshift-serverless:us-east-1:123456789012:namespace/any"
        integration = self.client.create_integration(SourceArn=source, TargetArn=warehouse, IntegrationName="etl")
        self._ends += [
            lambda: self.client.delete_blue_green_deployment(BlueGreenDeploymentIdentifier=deployment),
            lambda: self.client.delete_integration(IntegrationIdentifier=integration["IntegrationArn"]),
        ]

    def planned_for(self, cluster: str) -> None:
        self._aws.aurora.offer_maintenance(self._aws.aurora.cluster(cluster), "system-update")

    def close(self) -> None:
        for end in self._ends:
            end()


def an_export(snapshot_arn: str, bucket: str, role: str, key: str) -> dict[str, Any]:
    return {
        "ExportTaskIdentifier": name("export"),
        "SourceArn": snapshot_arn,
        "S3BucketName": bucket,
        "S3Prefix": "nightly",
        "IamRoleArn": role,
        "KmsKeyId": key,
    }


Answer = tuple[str, str]
"""An operation, and what it was answered: ANSWERED, or where in the fake the refusal stands."""
ANSWERED = "an answer"


class Overheard(FakeRds):
    """The unit tests' RDS, and what it has answered."""

    heard: set[Answer]

    def _work(self, operation: str, parameters: Thing) -> Thing:
        try:
            answer = super()._work(operation, parameters)
        except Refusal as refusal:
            there = traceback.extract_tb(refusal.__traceback__)[-1]
            self.heard.add((operation, _place(pathlib.Path(there.filename), there.lineno or 0)))
            raise
        self.heard.add((operation, ANSWERED))
        return answer


def _place(file: pathlib.Path, line: int) -> str:
    return f"{file.name}:{line} {file.read_text().splitlines()[line - 1].strip()}"


def possible_answers() -> set[Answer]:
    """Return all that the unit tests' RDS can answer, as its source has it: each operation's, and each refusal."""
    refusals: dict[str, set[str]] = defaultdict(set)
    uses: dict[str, set[str]] = defaultdict(set)
    for file, function in _functions_of_the_fake():
        for node in ast.walk(function):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and _name(node.exc.func) == "Refusal":
                refusals[function.name].add(_place(file, node.lineno))
            elif isinstance(node, ast.Call):
                uses[function.name].add(_name(node.func))

    def reached(function: str, seen: set[str]) -> set[str]:
        if function in seen:
            return set()
        seen.add(function)
        return refusals[function].union(*(reached(each, seen) for each in uses[function]))

    functions = {function.name for _, function in _functions_of_the_fake()}
    operations = {
        f"_{xform_name(each)}": each for each in _SESSION.client("rds", REGION).meta.service_model.operation_names
    }
    return {
        (operations[method], answer)
        for method in functions & operations.keys()
        for answer in {ANSWERED, *reached(method, set())}
    }


def _functions_of_the_fake() -> Iterator[tuple[pathlib.Path, ast.FunctionDef]]:
    """Yield the methods of all its classes but FakeService, and what stands beside them in their modules."""
    for kind in FakeRds.__mro__[: FakeRds.__mro__.index(FakeService)]:
        file = pathlib.Path(inspect.getfile(kind))
        for node in ast.parse(file.read_text()).body:
            members = node.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__ else [node]
            yield from ((file, each) for each in members if isinstance(each, ast.FunctionDef))


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


_SESSION = boto3.session.Session()


class Faked:
    """The unit tests' RDS. What it answers is added to `heard`."""

    def __init__(self, heard: set[Answer] | None = None) -> None:
        self._clock, self._world = Clock(), dict[tuple[str, str], FakeRds]()
        self._heard: set[Answer] = set() if heard is None else heard
        self.client, self._rds = self._connected(ACCOUNT)
        self.account, self.security_group = ACCOUNT, "sg-0123456789abcdef0"

    def _connected(self, account: str) -> tuple[Any, FakeRds]:
        client = _SESSION.client("rds", REGION)
        fake = Overheard(REGION, self._clock, account, self._world)
        fake.heard = self._heard
        fake.seconds = dict.fromkeys(OPERATIONS, 60.0)
        fake.page_size = 20
        fake.connect(client)
        return client, fake

    def cluster(self) -> str:
        groups = in_groups([self.security_group])
        made = self._rds.add_cluster(name("conform"), EngineVersion=VERSION, VpcSecurityGroups=groups)
        return str(made["DBClusterIdentifier"])

    def snapshot(self) -> str:
        made = self._rds.add_snapshot(name("snapshot"), self.cluster(), EngineVersion=VERSION)
        return str(made["DBClusterSnapshotIdentifier"])

    def automated_snapshot(self) -> str:
        cluster = self.cluster()
        self._rds.add_snapshot(f"rds:{cluster}-2026-03-09-03-00", cluster, EngineVersion=VERSION)
        return f"rds:{cluster}-2026-03-09-03-00"

    def of_another_account(self) -> tuple[Any, str]:
        client, fake = self._connected(OWNER)
        return client, str(fake.add_snapshot(name("theirs"), EngineVersion=VERSION)["DBClusterSnapshotIdentifier"])

    def settle(self) -> None:
        self._clock.now += dt.timedelta(hours=3)

    def now(self) -> dt.datetime:
        return self._clock.now

    def another_security_group(self) -> str:
        return "sg-0fedcba9876543210"

    def subnet_group(self) -> str:
        made = name("subnets")
        self._rds.subnet_groups[made] = a_subnet_group(made, "a", "b")
        return made

    def cluster_parameter_group(self, **parameters: str) -> str:
        made = name("tuned")
        self._rds.cluster_parameter_groups[made], self._rds.parameters[made] = FAMILY, {**parameters}
        return made

    def parameter_group(self) -> str:
        made = name("tuned")
        self._rds.parameter_groups[made] = FAMILY
        return made

    def export_of(self, snapshot_arn: str) -> dict[str, Any]:
        key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/any"
        return an_export(snapshot_arn, "exports", f"arn:aws:iam::{ACCOUNT}:role/export", key)

    def proxy_for(self, cluster: str) -> str:
        proxy = name("proxy")
        self._rds.add_proxy(proxy, {"Type": "TRACKED_CLUSTER", "RdsResourceId": cluster})
        return proxy

    def depended_on(self, cluster: str) -> None:
        source = self._rds.clusters[cluster]["DBClusterArn"]
        self._rds.deployments.append({"BlueGreenDeploymentIdentifier": "bgd-1", "Source": source})
        self._rds.integrations.append({"IntegrationArn": "arn:integration", "SourceArn": source})

    def planned_for(self, cluster: str) -> None:
        self._rds.add_maintenance(self._rds.clusters[cluster]["DBClusterArn"])

    def close(self) -> None:
        """Leave everything: nobody else has it."""
