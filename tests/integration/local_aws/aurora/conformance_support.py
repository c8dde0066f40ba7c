"""RDS as a test of both our imitations sees it: a client, what it needs to begin with, and time that passes."""

from __future__ import annotations

import datetime as dt
from typing import Any, Protocol

import boto3

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import name, new_cluster, take_snapshot
from tests.unit.fakes.rds import Clock, FakeRds
from tests.unit.support import ACCOUNT, OWNER

REGION = "us-east-1"
VERSION = "16.6"
OPERATIONS = (
    "CopyDBClusterSnapshot", "CreateDBInstance", "DeleteDBCluster", "DeleteDBInstance", "EnableHttpEndpoint",
    "FailoverDBCluster", "ModifyDBCluster", "RebootDBInstance", "RestoreDBClusterFromSnapshot", "TakeFinalSnapshot",
)  # fmt: skip


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

    def settle(self) -> None:
        """Let everything that has begun be finished."""


class Embedded:
    """The embedded AWS's Aurora."""

    def __init__(self, aws: LocalAws) -> None:
        self._aws = aws
        self.client, self.account = aws.client("rds", REGION), aws.account_id
        groups = aws.client("ec2", REGION).describe_security_groups()["SecurityGroups"]
        self.security_group = str(groups[0]["GroupId"])

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

    def settle(self) -> None:
        self._aws.clock.sleep(3 * 3600)


class Faked:
    """The unit tests' RDS."""

    def __init__(self) -> None:
        self._clock, self._world = Clock(), dict[tuple[str, str], FakeRds]()
        self.client, self._rds = self._connected(ACCOUNT)
        self.account, self.security_group = ACCOUNT, "sg-0123456789abcdef0"

    def _connected(self, account: str) -> tuple[Any, FakeRds]:
        client = boto3.session.Session().client("rds", REGION)
        fake = FakeRds(REGION, self._clock, account, self._world)
        fake.seconds = dict.fromkeys(OPERATIONS, 60.0)
        fake.page_size = 20
        fake.connect(client)
        return client, fake

    def cluster(self) -> str:
        return str(self._rds.add_cluster(name("conform"), EngineVersion=VERSION)["DBClusterIdentifier"])

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
