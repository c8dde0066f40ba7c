"""A target is replaced night after night under its name: who reads what, what is kept, and what a failure leaves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from scripts.local_aws.server import LocalAws
from scripts.local_run.client import Client
from scripts.local_run.production import Production
from scripts.local_run.stage import Stage
from tests.integration.pipeline.reader import Reader, inline, reading
from tests.integration.pipeline.refreshing import (
    MODIFY,
    Refreshing,
    deployed,
    meeting,
    operation_of,
    refreshing,
    tags_of,
)
from tests.integration.pipeline.support import numbers, settle, until

pytestmark = pytest.mark.full

PREFIX = "refreshes"
OWNERS_PASSWORD = "their-own-secret-1"


@pytest.fixture(scope="module")
def place(aws: LocalAws) -> Iterator[Stage]:
    """A stack of its own, and a proxy that has no target yet."""
    with deployed(aws, PREFIX, InstanceCount="2") as made:
        a_proxy(aws, "proxy-of-others")
        yield made


def a_proxy(aws: LocalAws, name: str) -> None:
    """Create an RDS Proxy, which has no target yet."""
    role = f"arn:aws:iam::{aws.account_id}:role/proxies"
    auth = [{"AuthScheme": "SECRETS", "SecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:any"}]
    aws.client("rds").create_db_proxy(
        DBProxyName=name, EngineFamily="POSTGRESQL", Auth=auth, RoleArn=role, VpcSubnetIds=["subnet-1", "subnet-2"]
    )


@pytest.fixture
def nights(place: Stage, production: Production) -> Iterator[Refreshing]:
    with refreshing(place, f"refreshes-{next(numbers)}") as made:
        yield made


def test_the_second_night_takes_the_name_and_no_acknowledged_row_is_lost(nights: Refreshing) -> None:
    first = nights.night()
    assert first.status == "SUCCEEDED", first.reason
    old = nights.live()
    with nights.client() as pooled, nights.client(pooled=False) as fresh:
        second = nights.night()
        nights.aws.clock.sleep(60)
    assert second.status == "SUCCEEDED", second.reason

    new = nights.live()
    assert new["DbClusterResourceId"] != old["DbClusterResourceId"]
    assert operation_of(new) == second.operation_id
    assert new["Endpoint"] == old["Endpoint"]
    kept = nights.by_id(old["DbClusterResourceId"])
    assert kept is not None
    assert kept["DBClusterIdentifier"].startswith(f"{nights.target}-old-")
    assert nights.door_is_shut(kept)
    assert tags_of(kept)["aurora-restore:role"] == "previous"
    assert tags_of(new)["aurora-restore:role"] == "live"

    in_old, in_new = nights.rows_in(kept["DBClusterIdentifier"]), nights.rows_in(nights.target)
    for client in (pooled, fresh):
        for row in client.acknowledged:
            assert (row.key in in_old) != (row.key in in_new), row
        assert client.acknowledged[-1].key in in_new, "the client continues with the new cluster"
        assert any(row.key in in_old for row in client.acknowledged)
    assert len(nights.ours()) == 2
    # The next night is told how long the swap took.
    state = nights.pipeline.state(second.operation_id)
    assert state is not None
    assert "swap" in second.output["plan"]["phases"]
    assert float(state["took"]["M"]["swap"]["N"]) > 60


@pytest.fixture
def reader(nights: Refreshing, request: pytest.FixtureRequest) -> Iterator[Reader]:
    yield from reading(nights.pipeline, request)


def test_a_cluster_of_others_is_replaced_once_its_owner_has_tagged_it_and_nobody_reads_it(
    nights: Refreshing, reader: Reader
) -> None:
    """Its password is neither known nor reset: its instances are restarted, which ends every session."""
    rds, target = nights.pipeline.rds(), nights.target
    rds.create_db_cluster(
        DBClusterIdentifier=target,
        Engine="aurora-postgresql",
        EngineVersion="17.5",
        MasterUsername="owner",
        MasterUserPassword=OWNERS_PASSWORD,
        DatabaseName="orders",
        **nights.windows(),
    )
    settle(nights.pipeline)
    member = f"{target}-of-others"
    rds.create_db_instance(
        DBInstanceIdentifier=member,
        DBClusterIdentifier=target,
        Engine="aurora-postgresql",
        DBInstanceClass="db.r6g.large",
    )
    settle(nights.pipeline)
    nights.aws.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="rds",
        ResourceId=f"cluster:{target}",
        ScalableDimension="rds:cluster:ReadReplicaCount",
        MinCapacity=1,
        MaxCapacity=2,
    )
    old = nights.live()
    refused = nights.night()
    assert refused.status == "FAILED"
    for beginning in ("aws rds add-tags-to-resource", "aws application-autoscaling deregister"):
        reader.type(inline(refused.messages[0]["message"], beginning))
    owner = Client(nights.aws, old["Endpoint"], old["Port"], "owner", OWNERS_PASSWORD, statement="SELECT %s")
    with owner:
        run = nights.night()
        nights.aws.clock.sleep(60)
    assert run.status == "SUCCEEDED", run.reason
    assert nights.live()["DbClusterResourceId"] != old["DbClusterResourceId"]
    kept = nights.by_id(old["DbClusterResourceId"])
    assert kept is not None
    assert nights.door_is_shut(kept)
    assert not owner.rows[-1].acknowledged_at, "neither its session nor a new one reaches it"
    assert "rds:ResetMasterPassword" not in run.changes
    assert not [
        call
        for call in run.calls
        if call.operation == "ModifyDBCluster"
        and call.parameters.get("DBClusterIdentifier") in (target, kept["DBClusterIdentifier"])
        and "MasterUserPassword" in call.parameters
    ]

    back = nights.pipeline.run({"operation_id": run.operation_id, "rollback": True})
    assert back.status == "SUCCEEDED", back.reason
    assert nights.live()["DbClusterResourceId"] == old["DbClusterResourceId"]
    with Client(nights.aws, old["Endpoint"], old["Port"], "owner", OWNERS_PASSWORD, statement="SELECT %s") as again:
        until(lambda: again.acknowledged, "that its owner reads it by its name again")


def test_what_would_stay_with_the_old_cluster_is_ended_as_each_refusal_says(nights: Refreshing, reader: Reader) -> None:
    """A plan refuses everything at once, by name; nothing is created. A look that is not allowed refuses as well."""
    aws, rds, target = nights.aws, nights.pipeline.rds(), nights.target
    arn = rds.create_db_cluster(
        DBClusterIdentifier=target,
        Engine="aurora-postgresql",
        EngineVersion="17.5",
        MasterUsername="owner",
        MasterUserPassword=OWNERS_PASSWORD,
        **nights.windows(),
        Tags=[{"Key": "aurora-restore:replaceable", "Value": "true"}],
    )["DBCluster"]["DBClusterArn"]
    settle(nights.pipeline)
    a_proxy(aws, f"{target}-proxy")
    rds.register_db_proxy_targets(DBProxyName=f"{target}-proxy", DBClusterIdentifiers=[target])
    rds.create_blue_green_deployment(BlueGreenDeploymentName="to-version-18", Source=arn)
    warehouse = "arn:aws:redshift-serverless:us-east-1:123456789012:namespace/any"
    rds.create_integration(SourceArn=arn, TargetArn=warehouse, IntegrationName="to-redshift")
    rds.start_activity_stream(ResourceArn=arn, Mode="async", KmsKeyId="alias/any", ApplyImmediately=True)
    aws.client("ram").create_resource_share(name="with auditors", resourceArns=[arn])
    due = dt.datetime.fromtimestamp(aws.clock.time(), dt.UTC) + dt.timedelta(hours=2)
    aws.aurora.offer_maintenance(aws.aurora.cluster(target), "system-update", CurrentApplyDate=due)

    refused = nights.night(dry_run=True)
    assert refused.status == "FAILED"
    assert refused.changes == []
    message = refused.messages[0]["message"]
    for named in (
        f"{target}-proxy",
        "to-version-18",
        "to-redshift",
        "activity stream",
        "with auditors",
        "system-update",
    ):
        assert named in message
    for beginning in (
        "aws rds deregister-db-proxy-targets",
        "aws rds delete-blue-green-deployment",
        "aws rds delete-integration",
        "aws rds stop-activity-stream",
        "aws rds apply-pending-maintenance-action",
        "aws ram disassociate-resource-share",
    ):
        reader.type(inline(message, beginning))
    aws.faults.add(operation="ram:GetResourceShareAssociations", code="AccessDeniedException", http_status=403)
    unseen = nights.night(dry_run=True)
    assert unseen.status == "FAILED"
    assert "The function's role needs ram:GetResourceShareAssociations." in unseen.messages[0]["message"]
    planned = nights.night(dry_run=True)
    assert planned.status == "SUCCEEDED", planned.reason


def second_rename_refused(nights: Refreshing) -> None:
    rename = {"DBClusterIdentifier": f"{nights.target}-new-*", "NewDBClusterIdentifier": nights.target}
    nights.aws.faults.add(operation=MODIFY, parameters=rename, code="AccessDenied", times=9)


def test_what_fails_before_the_commit_ends_with_the_old_cluster_open_under_its_name(nights: Refreshing) -> None:
    """Its Data API, which was shut for the fence, is open again as well."""
    assert nights.night(data_api=True).status == "SUCCEEDED"
    old = nights.live()
    assert old["HttpEndpointEnabled"]
    second_rename_refused(nights)
    with nights.client() as client:
        run = nights.night(data_api=True)
        nights.aws.clock.sleep(60)
    assert run.status == "FAILED"
    assert "DisableHttpEndpoint" in run.changes
    live = nights.live()
    assert live["DbClusterResourceId"] == old["DbClusterResourceId"]
    assert live["HttpEndpointEnabled"]
    assert not nights.door_is_shut(live)
    in_old = nights.rows_in(nights.target)
    assert {row.key for row in client.acknowledged} <= in_old
    assert client.acknowledged[-1] is client.rows[-1], "clients are let in again"
    settle(nights.pipeline)
    assert [each["DBClusterIdentifier"] for each in nights.ours()] == [nights.target]


def test_a_cluster_of_others_that_is_stopped_meanwhile_is_started_and_given_back_as_it_was(nights: Refreshing) -> None:
    rds, old = nights.pipeline.rds(), nights.of_others()
    rds.enable_http_endpoint(ResourceArn=old["DBClusterArn"])
    settle(nights.pipeline)
    second_rename_refused(nights)

    def stop() -> None:
        rds.stop_db_cluster(DBClusterIdentifier=nights.target)

    with meeting(nights, {"DBClusterIdentifier": nights.target, "VpcSecurityGroupIds": "*"}, stop):
        run = nights.night()
    assert run.status == "FAILED"
    assert {"StartDBCluster", "DisableHttpEndpoint", "EnableHttpEndpoint"} <= set(run.changes)
    live = nights.live()
    assert (live["DbClusterResourceId"], live["Status"]) == (old["DbClusterResourceId"], "available")
    assert live["HttpEndpointEnabled"]
    assert not nights.door_is_shut(live)


def test_what_a_reboot_does_not_renew_a_stop_and_start_does(nights: Refreshing) -> None:
    assert nights.night().status == "SUCCEEDED"

    def spoil() -> None:
        nights.aws.faults.add(lifecycle="renew-certificate", times=2)

    rename = {"DBClusterIdentifier": f"{nights.target}-new-*", "NewDBClusterIdentifier": nights.target}
    with meeting(nights, rename, spoil):
        run = nights.night()
    assert run.status == "SUCCEEDED", run.reason
    assert {"StopDBCluster", "StartDBCluster"} <= set(run.changes)


def test_a_cluster_that_a_person_deletes_amid_its_replacement_is_missed_in_the_first_line(nights: Refreshing) -> None:
    assert nights.night().status == "SUCCEEDED"
    old = nights.live()
    rename = {"DBClusterIdentifier": f"{nights.target}-new-*", "NewDBClusterIdentifier": nights.target}
    with nights.client(pooled=False) as client:
        with meeting(nights, rename, lambda: nights.delete(nights.present(old))):
            run = nights.night()
        nights.aws.clock.sleep(60)
    assert run.status == "SUCCEEDED", run.reason
    first = run.message.splitlines()[0]
    assert old["DbClusterResourceId"] in first
    assert "was deleted by somebody else" in first
    assert "is kept as" not in run.message
    assert client.acknowledged[-1].key in nights.rows_in(nights.target)


def test_with_both_clusters_deleted_nothing_is_left_and_the_target_is_free(nights: Refreshing) -> None:
    """RDS's own events say so: what is not described may only have been missed."""
    assert nights.night().status == "SUCCEEDED"
    old = nights.live()
    rename = {"DBClusterIdentifier": f"{nights.target}-new-*", "NewDBClusterIdentifier": nights.target}

    def delete_both() -> None:
        for each in (nights.present(old), nights.restored_beside(old)):
            nights.delete(each)

    with meeting(nights, rename, delete_both):
        run = nights.night()
    assert run.status == "FAILED"
    assert "were deleted by somebody else" in run.message
    assert old["DbClusterResourceId"] in run.message
    assert nights.pipeline.holder(nights.target) is None
    assert nights.night().status == "SUCCEEDED"
