"""Keep what depends on a cluster itself: proxies, blue/green deployments, zero-ETL integrations, activity streams.

They are records: nothing connects through a proxy, no deployment copies its source, no integration reads and no stream
has events. Each follows its cluster when that is renamed; whether it does on AWS is not documented. Maintenance is on
offer where a test has it so (`Aurora.offer_maintenance`), and is done when somebody asks for it at once.

Members are those of the API reference (DBProxy, DBProxyTarget, BlueGreenDeployment, Integration,
ResourcePendingMaintenanceActions), codes those of botocore's model.
"""

from __future__ import annotations

import uuid
from typing import Any

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.records import Cluster
from scripts.local_aws.aurora.region import AuroraBackend, operation
from scripts.local_aws.aurora.world import Dependents


def _all(region: AuroraBackend) -> Dependents:
    """Return what there is in this account and region."""
    return region.world.dependents[region.account_id, region.region_name]


@operation("CreateDBProxy", "DBProxyName EngineFamily Auth RoleArn VpcSubnetIds")
def create_db_proxy(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    name = rules.identifier(parameters, "DBProxyName")
    if name in _all(region).proxies:
        rules.refuse("DBProxyAlreadyExistsFault", f"DB Proxy {name} already exists.")
    family = parameters["EngineFamily"]
    _all(region).proxies[name] = (family, [])
    return {"DBProxy": _proxy(region, name)}


@operation("RegisterDBProxyTargets", "DBProxyName DBClusterIdentifiers")
def register_db_proxy_targets(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Register a cluster: a target group has one at most (API reference, DBProxyTargetGroup)."""
    targets = _targets(region, parameters["DBProxyName"])
    clusters = [region.cluster(each) for each in parameters["DBClusterIdentifiers"]]
    if targets or len(clusters) > 1:
        rules.refuse("DBProxyTargetAlreadyRegisteredFault", "The proxy has a target already.")
    targets += clusters
    return {"DBProxyTargets": [_target(each) for each in clusters]}


@operation("DeregisterDBProxyTargets", "DBProxyName DBClusterIdentifiers")
def deregister_db_proxy_targets(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    targets = _targets(region, parameters["DBProxyName"])
    for each in parameters["DBClusterIdentifiers"]:
        cluster = region.cluster(each)
        if cluster not in targets:
            rules.refuse("DBProxyTargetNotFoundFault", f"{each} is no target of the proxy.")
        targets.remove(cluster)
    return {}


@operation("DescribeDBProxies", "DBProxyName MaxRecords Marker")
def describe_db_proxies(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    if name := parameters.get("DBProxyName"):
        _targets(region, name)
    names = [name] if name else sorted(_all(region).proxies)
    return rules.listing("DBProxies", [_proxy(region, each) for each in names], parameters)


@operation("DescribeDBProxyTargets", "DBProxyName MaxRecords Marker")
def describe_db_proxy_targets(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Describe a target that is a cluster, and each of its instances."""
    described = []
    for cluster in _targets(region, parameters["DBProxyName"]):
        described.append(_target(cluster))
        described += [
            {
                "TrackedClusterId": cluster.identifier,
                "RdsResourceId": member.identifier,
                "Type": "RDS_INSTANCE",
                "Port": member.place.port,
                "Role": "READ_WRITE" if member is cluster.writer else "READ_ONLY",
            }
            for member in cluster.members
        ]
    return rules.listing("Targets", described, parameters)


def _targets(region: AuroraBackend, proxy: str) -> list[Cluster]:
    """Return the targets of a proxy that are still there."""
    if proxy not in _all(region).proxies:
        rules.refuse("DBProxyNotFoundFault", f"DB Proxy {proxy} not found.")
    _, targets = _all(region).proxies[proxy]
    targets[:] = [each for each in targets if each in region.clusters.values()]
    return targets


def _proxy(region: AuroraBackend, name: str) -> dict[str, Any]:
    family, _ = _all(region).proxies[name]
    return {
        "DBProxyName": name,
        "DBProxyArn": region.arn("db-proxy", f"prx-{name}"),
        "EngineFamily": family,
        "Status": "available",
    }


def _target(cluster: Cluster) -> dict[str, Any]:
    return {"RdsResourceId": cluster.identifier, "Type": "TRACKED_CLUSTER", "Port": 0}


@operation("CreateBlueGreenDeployment", "BlueGreenDeploymentName Source")
def create_blue_green_deployment(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Create a deployment that never has a green environment."""
    source = region.cluster(parameters["Source"])
    identifier = f"bgd-{uuid.uuid4().hex[:16]}"
    _all(region).deployments[identifier] = (parameters["BlueGreenDeploymentName"], source)
    return {"BlueGreenDeployment": _deployment(region, identifier)}


@operation("DescribeBlueGreenDeployments", "BlueGreenDeploymentIdentifier MaxRecords Marker")
def describe_blue_green_deployments(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    found = [_deployment(region, each) for each in _all(region).deployments]
    return rules.listing("BlueGreenDeployments", found, parameters)


@operation("DeleteBlueGreenDeployment", "BlueGreenDeploymentIdentifier")
def delete_blue_green_deployment(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    identifier = parameters["BlueGreenDeploymentIdentifier"]
    if identifier not in _all(region).deployments:
        message = f"Blue Green Deployment {identifier} could not be found."
        rules.refuse("BlueGreenDeploymentNotFoundFault", message)
    described = _deployment(region, identifier)
    del _all(region).deployments[identifier]
    return {"BlueGreenDeployment": {**described, "Status": "DELETING"}}


def _deployment(region: AuroraBackend, identifier: str) -> dict[str, Any]:
    name, source = _all(region).deployments[identifier]
    return {
        "BlueGreenDeploymentIdentifier": identifier,
        "BlueGreenDeploymentName": name,
        "Source": source.arn,
        "SwitchoverDetails": [{"SourceMember": source.arn, "Status": "PROVISIONING"}],
        "Status": "PROVISIONING",
    }


@operation("CreateIntegration", "SourceArn TargetArn IntegrationName")
def create_integration(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    source, name = region.cluster(parameters["SourceArn"]), parameters["IntegrationName"]
    arn = region.arn("integration", str(uuid.uuid4()))
    _all(region).integrations[arn] = (name, source, parameters["TargetArn"])
    return _integration(region, arn)


@operation("DescribeIntegrations", "MaxRecords Marker")
def describe_integrations(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    return rules.listing("Integrations", [_integration(region, arn) for arn in _all(region).integrations], parameters)


@operation("DeleteIntegration", "IntegrationIdentifier")
def delete_integration(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    arn = parameters["IntegrationIdentifier"]
    if arn not in _all(region).integrations:
        rules.refuse("IntegrationNotFoundFault", f"Integration {arn} not found.")
    described = _integration(region, arn)
    del _all(region).integrations[arn]
    return {**described, "Status": "deleting"}


def _integration(region: AuroraBackend, arn: str) -> dict[str, Any]:
    name, source, target = _all(region).integrations[arn]
    return {
        "IntegrationArn": arn,
        "IntegrationName": name,
        "SourceArn": source.arn,
        "TargetArn": target,
        "Status": "active",
    }


@operation("StartActivityStream", "ResourceArn Mode KmsKeyId ApplyImmediately")
def start_activity_stream(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    return _switch_stream(region, parameters, "started")


@operation("StopActivityStream", "ResourceArn ApplyImmediately")
def stop_activity_stream(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    return _switch_stream(region, parameters, "stopped")


def _switch_stream(region: AuroraBackend, parameters: rules.Parameters, status: str) -> dict[str, Any]:
    """Start a stream at once, or end it: a change in the maintenance window alone is not modelled."""
    if not parameters.get("ApplyImmediately"):
        rules.refuse_combination("Without ApplyImmediately an activity stream is not modelled by the local Aurora.")
    region.cluster(parameters["ResourceArn"]).attributes["ActivityStreamStatus"] = status
    return {"Status": status}


@operation("DescribePendingMaintenanceActions", "ResourceIdentifier MaxRecords Marker")
def describe_pending_maintenance_actions(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    wanted = parameters.get("ResourceIdentifier")
    found = [
        {"ResourceIdentifier": resource.arn, "PendingMaintenanceActionDetails": list(actions.values())}
        for resource, actions in _all(region).maintenance.items()
        if actions and wanted in (None, resource.arn)
    ]
    return rules.listing("PendingMaintenanceActions", found, parameters)


@operation("ApplyPendingMaintenanceAction", "ResourceIdentifier ApplyAction OptInType")
def apply_pending_maintenance_action(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Do what is on offer, at once. Nothing of it is modelled but that it is done."""
    arn, action = parameters["ResourceIdentifier"], parameters["ApplyAction"]
    if parameters["OptInType"] != "immediate":
        rules.refuse_value("Another OptInType than immediate is not modelled by the local Aurora.")
    planned = [each for resource, each in _all(region).maintenance.items() if resource.arn == arn and action in each]
    if not planned:
        rules.refuse("ResourceNotFoundFault", f"The specified resource {arn} has no such action pending.")
    del planned[0][action]
    return {"ResourcePendingMaintenanceActions": {"ResourceIdentifier": arn}}
