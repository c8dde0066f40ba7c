"""Steps that the tests of the local Aurora have in common."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.server import LocalAws

ENGINE = "aurora-postgresql"
PASSWORD = "Production-pass1"
Answer = dict[str, Any]


def name(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@contextmanager
def refused(code: str, text: str = "", status: int = 400) -> Iterator[None]:
    """What is done inside is refused with this wire code, HTTP status, and a message that holds the text."""
    with pytest.raises(ClientError) as caught:
        yield
    assert caught.value.response["Error"]["Code"] == code
    assert text in caught.value.response["Error"]["Message"]
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def new_cluster(
    aws: LocalAws, identifier: str, region: str = "us-east-1", account: str | None = None, **settings: Any
) -> Answer:
    """An available cluster without instances. No server runs for it, so it costs little."""
    create(aws, identifier, region, account, **settings)
    aws.clock.sleep(aws.aurora.durations.create_cluster + 1)
    return cluster(aws, identifier, region, account)


def create(
    aws: LocalAws, identifier: str, region: str = "us-east-1", account: str | None = None, **settings: Any
) -> Answer:
    parameters = {
        "DBClusterIdentifier": identifier,
        "Engine": ENGINE,
        "EngineVersion": "16.6",
        "MasterUsername": "postgres",
        "MasterUserPassword": PASSWORD,
        "DatabaseName": "app",
        **settings,
    }
    answer: Answer = aws.client("rds", region, account).create_db_cluster(**parameters)["DBCluster"]
    return answer


def add_instance(
    aws: LocalAws, identifier: str, region: str = "us-east-1", account: str | None = None, **settings: Any
) -> str:
    """Start to create a member of the cluster; its name."""
    member: str = settings.pop("DBInstanceIdentifier", name("member"))
    aws.client("rds", region, account).create_db_instance(
        DBInstanceIdentifier=member,
        DBClusterIdentifier=identifier,
        Engine=ENGINE,
        **{"DBInstanceClass": "db.r6g.large", **settings},
    )
    return member


def running_cluster(
    aws: LocalAws, identifier: str, region: str = "us-east-1", account: str | None = None, **settings: Any
) -> Answer:
    """A cluster with one settled instance, to which one can connect."""
    new_cluster(aws, identifier, region, account, **settings)
    add_instance(aws, identifier, region, account)
    aws.clock.sleep(aws.aurora.durations.create_instance + 3 * aws.aurora.durations.settle)
    return cluster(aws, identifier, region, account)


def take_snapshot(
    aws: LocalAws, cluster_identifier: str, region: str = "us-east-1", account: str | None = None, **settings: Any
) -> str:
    """An available manual snapshot; its name."""
    snapshot_identifier = name("snapshot")
    aws.client("rds", region, account).create_db_cluster_snapshot(
        DBClusterIdentifier=cluster_identifier, DBClusterSnapshotIdentifier=snapshot_identifier, **settings
    )
    aws.clock.sleep(aws.aurora.durations.create_snapshot + 1)
    assert snapshot(aws, snapshot_identifier, region, account)["Status"] == "available"
    return snapshot_identifier


def restore(
    aws: LocalAws, snapshot_identifier: str, region: str = "us-east-1", account: str | None = None, **settings: Any
) -> Answer:
    """Start to restore."""
    parameters = {"DBClusterIdentifier": name("restored"), "SnapshotIdentifier": snapshot_identifier, "Engine": ENGINE}
    client = aws.client("rds", region, account)
    answer: Answer = client.restore_db_cluster_from_snapshot(**{**parameters, **settings})["DBCluster"]
    return answer


def cluster(aws: LocalAws, identifier: str, region: str = "us-east-1", account: str | None = None) -> Answer:
    answer: Answer = aws.client("rds", region, account).describe_db_clusters(DBClusterIdentifier=identifier)[
        "DBClusters"
    ][0]
    return answer


def instance_status(aws: LocalAws, identifier: str, region: str = "us-east-1", account: str | None = None) -> str:
    answer = aws.client("rds", region, account).describe_db_instances(DBInstanceIdentifier=identifier)
    status: str = answer["DBInstances"][0]["DBInstanceStatus"]
    return status


def snapshot(aws: LocalAws, identifier: str, region: str = "us-east-1", account: str | None = None) -> Answer:
    client = aws.client("rds", region, account)
    answer: Answer = client.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=identifier)
    found: Answer = answer["DBClusterSnapshots"][0]
    return found


def log_in(
    aws: LocalAws, described: Answer, password: str, database: str = "app", **options: Any
) -> psycopg2.extensions.connection:
    """As the master user with full verification, exactly as RDS says where the cluster is."""
    parameters = {
        "host": described["Endpoint"],
        "port": described["Port"],
        "user": described["MasterUsername"],
        "password": password,
        "dbname": database,
        "sslmode": "verify-full",
        "sslrootcert": str(aws.rds_ca_bundle),
        **options,
    }
    connection: psycopg2.extensions.connection = psycopg2.connect(**parameters)
    connection.autocommit = True
    return connection


def query(connection: psycopg2.extensions.connection, statement: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []
