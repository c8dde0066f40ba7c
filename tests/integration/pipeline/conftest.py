"""The deployed pipeline in the embedded AWS, with a production cluster to restore from."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Iterator

import pytest

from scripts.local_aws.aurora.records import Resource
from scripts.local_aws.server import LocalAws
from scripts.local_run import stage
from scripts.local_run.production import Production, make_production
from scripts.local_run.stage import REGION, Stage
from tests.integration.pipeline import grants
from tests.integration.pipeline.support import Pipeline, Repeated, Run, for_monitoring, numbers, settle

# What these tests' requests choose beside the stack's own. Keys and security groups have no names to choose by.
LIMITS = {
    "RestorableClusterPattern": "prod-*",
    "RestorableRegionPattern": stage.OTHER_REGION,
    "TargetClusterId": "target-orders",
    "TargetClusterPattern": "*target-*",
    "AllowedSecurityGroupPattern": "sg-*",
    "AllowedSubnetGroupPattern": "other-*",
    "AllowedKmsKeyPattern": "*",
    "AllowedTagKeyPattern": "team",
    "AllowDeletionWithoutFinalSnapshot": "true",
}


@pytest.fixture(scope="session")
def place(aws: LocalAws) -> Stage:
    """What a run has made is beside what may be deleted by its name, so that each right to delete shows its need.

    A module may have a stack of its own instead.
    """
    overrides = {"InstanceCount": "1", "DeletableClusterPattern": "prod-*", **LIMITS, **for_monitoring(aws)}
    return stage.deploy(aws, cross_region=False, overrides=overrides)


_left_out: list[str] = []


def pytest_deselected(items: list[pytest.Item]) -> None:
    """Series only measure: what they use, others use."""
    ours = [item for item in items if item.path.parent == grants.HERE]
    _left_out.extend(item.nodeid for item in ours if item.get_closest_marker("series") is None)


@pytest.fixture(scope="session", autouse=True)
def _what_is_granted_and_used_is_recorded(request: pytest.FixtureRequest, aws: LocalAws) -> Iterator[None]:
    """Leave a record for grants.py, where the environment says where to."""
    yield
    directory = os.environ.get("GRANTS_USED")
    if directory:
        logs = aws.client("logs")
        pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix="/aws/lambda/")
        names = [group["logGroupName"] for page in pages for group in page["logGroups"]]
        grants.Record(
            ran=[item.nodeid for item in request.session.items if item.path.parent == grants.HERE],
            left_out=_left_out,
            relied_on=grants.relied_on(aws.permissions.used),
            logs=[name for name in names if logs.filter_log_events(logGroupName=name)["events"]],
        ).write(pathlib.Path(directory))


@pytest.fixture(scope="session")
def production(aws: LocalAws) -> Production:
    return make_production(aws, REGION)


@pytest.fixture(scope="session")
def repeated(aws: LocalAws, place: Stage) -> Repeated:
    """Two default runs of a source that nobody else has restored before them."""
    pipeline, source, runs = Pipeline(place), f"prod-repeated-{next(numbers)}", list[Run]()
    make_production(aws, REGION, cluster=source)
    for _ in range(2):
        target = f"target-{next(numbers)}"
        runs.append(pipeline.run({"source_cluster_id": source, "target_cluster_id": target, "instance_count": 2}))
        assert runs[-1].status == "SUCCEEDED", runs[-1].reason
        pipeline.remove(target)
    return Repeated(source, *runs)


@pytest.fixture(scope="session")
def distant_production(aws: LocalAws) -> Production:
    """The same in another region."""
    return make_production(aws, stage.OTHER_REGION)


@pytest.fixture(scope="session")
def key(aws: LocalAws) -> str:
    """A key of the target region."""
    return str(aws.client("kms").create_key(Description="the copy's")["KeyMetadata"]["Arn"])


@pytest.fixture(autouse=True)
def kept(aws: LocalAws) -> Iterator[set[Resource]]:
    """What there is before a test, such as what modules share: all else goes after it, with servers and volumes.

    A test that makes something for later ones adds it.
    """
    found = aws.aurora.existing()
    yield found
    aws.aurora.remove_all_but(found)


@pytest.fixture
def pipeline(place: Stage, production: Production) -> Pipeline:
    return Pipeline(place)


@pytest.fixture
def target(pipeline: Pipeline) -> Iterator[str]:
    """The name of a cluster that doesn't exist yet, and won't afterwards."""
    name = f"target-{next(numbers)}"
    yield name
    pipeline.aws.faults.clear()
    pipeline.remove(name)


@pytest.fixture
def doomed(pipeline: Pipeline, key: str) -> Iterator[str]:
    """A source cluster with data, a key and a snapshot that may be deleted."""
    name = f"prod-doomed-{next(numbers)}"
    rds = pipeline.rds()
    rds.create_db_cluster(
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        MasterUsername="boss",
        MasterUserPassword="not-a-secret-1",
        StorageEncrypted=True,
        KmsKeyId=key,
    )
    settle(pipeline)
    for number in (1, 2):
        rds.create_db_instance(
            DBInstanceIdentifier=f"{name}-{number}",
            DBClusterIdentifier=name,
            Engine="aurora-postgresql",
            DBInstanceClass="db.r6g.large",
        )
    settle(pipeline)
    rds.create_db_cluster_snapshot(DBClusterIdentifier=name, DBClusterSnapshotIdentifier=f"{name}-snapshot")
    settle(pipeline)
    yield name
    pipeline.aws.faults.clear()
    if pipeline.cluster(name):
        rds.modify_db_cluster(DBClusterIdentifier=name, DeletionProtection=False, ApplyImmediately=True)
        settle(pipeline)
    pipeline.remove(name)
