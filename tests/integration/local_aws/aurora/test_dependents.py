"""Whatever depends on a cluster itself follows it, as far as the pipeline asks for it, and can be ended."""

from __future__ import annotations

import datetime as dt

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora.test_renames import renamed
from tests.integration.local_aws.aurora_support import cluster, name, new_cluster, refused

SUBNETS = ["subnet-1", "subnet-2"]
AUTH = [{"AuthScheme": "SECRETS", "SecretArn": "arn:aws:secretsmanager:us-east-1:123456789012:secret:any"}]
WAREHOUSE = "arn:aws:redshift-serverless:us-east-1:123456789012:namespace/any"
ROLE = "arn:aws:iam::123456789012:role/proxies"


def test_a_proxy_has_one_target_until_that_is_taken_away(aws: LocalAws) -> None:
    rds, identifier, proxy = aws.client("rds"), name("proxied"), name("proxy")
    new_cluster(aws, identifier)
    asked = {"DBProxyName": proxy, "EngineFamily": "POSTGRESQL", "Auth": AUTH, "RoleArn": ROLE}
    rds.create_db_proxy(**asked, VpcSubnetIds=SUBNETS)
    with refused("DBProxyAlreadyExistsFault"):
        rds.create_db_proxy(**asked, VpcSubnetIds=SUBNETS)
    assert rds.describe_db_proxies(DBProxyName=proxy)["DBProxies"][0]["EngineFamily"] == "POSTGRESQL"
    assert rds.describe_db_proxy_targets(DBProxyName=proxy)["Targets"] == []
    rds.register_db_proxy_targets(DBProxyName=proxy, DBClusterIdentifiers=[identifier])
    with refused("DBProxyTargetAlreadyRegisteredFault"):
        rds.register_db_proxy_targets(DBProxyName=proxy, DBClusterIdentifiers=[identifier])
    (target,) = rds.describe_db_proxy_targets(DBProxyName=proxy)["Targets"]
    assert (target["Type"], target["RdsResourceId"]) == ("TRACKED_CLUSTER", identifier)
    rds.deregister_db_proxy_targets(DBProxyName=proxy, DBClusterIdentifiers=[identifier])
    with refused("DBProxyTargetNotFoundFault", status=404):
        rds.deregister_db_proxy_targets(DBProxyName=proxy, DBClusterIdentifiers=[identifier])
    with refused("DBProxyNotFoundFault", status=404):
        rds.describe_db_proxy_targets(DBProxyName="nothing")


def test_deployments_and_integrations_follow_their_cluster_until_they_are_deleted(aws: LocalAws) -> None:
    rds, identifier = aws.client("rds"), name("depended-on")
    arn = new_cluster(aws, identifier)["DBClusterArn"]
    made = rds.create_blue_green_deployment(BlueGreenDeploymentName="upgrade", Source=arn)["BlueGreenDeployment"]
    integration = rds.create_integration(SourceArn=arn, TargetArn=WAREHOUSE, IntegrationName="etl")
    renamed(aws, identifier, new := name("renamed"))
    now = cluster(aws, new)["DBClusterArn"]
    assert [each["Source"] for each in rds.describe_blue_green_deployments()["BlueGreenDeployments"]] == [now]
    assert [each["SourceArn"] for each in rds.describe_integrations()["Integrations"]] == [now]
    identified = {"BlueGreenDeploymentIdentifier": made["BlueGreenDeploymentIdentifier"]}
    rds.delete_blue_green_deployment(**identified)
    rds.delete_integration(IntegrationIdentifier=integration["IntegrationArn"])
    assert rds.describe_blue_green_deployments()["BlueGreenDeployments"] == []
    assert rds.describe_integrations()["Integrations"] == []
    with refused("BlueGreenDeploymentNotFoundFault", status=404):
        rds.delete_blue_green_deployment(**identified)
    with refused("IntegrationNotFoundFault", status=404):
        rds.delete_integration(IntegrationIdentifier=integration["IntegrationArn"])


def test_an_activity_stream_is_described_until_it_is_stopped(aws: LocalAws) -> None:
    rds, identifier = aws.client("rds"), name("streaming")
    arn = new_cluster(aws, identifier)["DBClusterArn"]
    rds.start_activity_stream(ResourceArn=arn, Mode="async", KmsKeyId="alias/any", ApplyImmediately=True)
    assert cluster(aws, identifier)["ActivityStreamStatus"] == "started"
    rds.stop_activity_stream(ResourceArn=arn, ApplyImmediately=True)
    assert cluster(aws, identifier)["ActivityStreamStatus"] == "stopped"


def test_maintenance_is_on_offer_until_it_is_done(aws: LocalAws) -> None:
    rds, identifier = aws.client("rds"), name("maintained")
    arn = new_cluster(aws, identifier)["DBClusterArn"]
    due = dt.datetime(2026, 3, 10, 5, tzinfo=dt.UTC)
    aws.aurora.offer_maintenance(aws.aurora.cluster(identifier), "os-upgrade", CurrentApplyDate=due)
    asked = {"ResourceIdentifier": arn}
    (found,) = rds.describe_pending_maintenance_actions(**asked)["PendingMaintenanceActions"]
    (action,) = found["PendingMaintenanceActionDetails"]
    assert (found["ResourceIdentifier"], action["Action"], action["CurrentApplyDate"]) == (arn, "os-upgrade", due)
    rds.apply_pending_maintenance_action(**asked, ApplyAction="os-upgrade", OptInType="immediate")
    assert rds.describe_pending_maintenance_actions(**asked)["PendingMaintenanceActions"] == []
    with refused("ResourceNotFoundFault", status=404):
        rds.apply_pending_maintenance_action(**asked, ApplyAction="os-upgrade", OptInType="immediate")
