"""Security groups and VPC endpoints. They are kept, not enforced: every port here is the machine's own."""

from __future__ import annotations

from scripts.local_aws.deployment import Deployment, Properties, creates, only, refuse_unknown, tags
from scripts.local_aws.intrinsics import Created, text

_PEERS = ("CidrIp", "CidrIpv6", "SourceSecurityGroupId", "DestinationSecurityGroupId", "SourcePrefixListId")
_PORTS = ("IpProtocol", "FromPort", "ToPort")


@creates(
    "AWS::EC2::SecurityGroup",
    "GroupDescription", "GroupName", "SecurityGroupEgress", "SecurityGroupIngress", "Tags", "VpcId",
)  # fmt: skip
def _security_group(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    """A group that states its egress loses the rule that lets everything out."""
    group = deployment.call(
        "ec2",
        "create_security_group",
        only(properties, "VpcId"),
        GroupName=properties.get("GroupName") or deployment.name(logical_id),
        Description=properties["GroupDescription"],
        TagSpecifications=_tag_specifications("security-group", properties),
    )["GroupId"]
    found = deployment.call("ec2", "describe_security_groups", {}, GroupIds=[group])["SecurityGroups"][0]
    if properties.get("SecurityGroupEgress"):
        everything = found["IpPermissionsEgress"]
        deployment.call("ec2", "revoke_security_group_egress", {}, GroupId=group, IpPermissions=everything)
    for direction in ("Ingress", "Egress"):
        for rule in properties.get(f"SecurityGroup{direction}") or []:
            _authorize(deployment, direction, group, rule)
    return Created("AWS::EC2::SecurityGroup", group, {"GroupId": group, "VpcId": found["VpcId"]})


@creates("AWS::EC2::SecurityGroupIngress", "Description", "GroupId", *_PORTS, *_PEERS)
def _ingress(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    return _rule(deployment, logical_id, "Ingress", properties)


@creates("AWS::EC2::SecurityGroupEgress", "Description", "GroupId", *_PORTS, *_PEERS)
def _egress(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    return _rule(deployment, logical_id, "Egress", properties)


@creates(
    "AWS::EC2::VPCEndpoint",
    "PolicyDocument", "PrivateDnsEnabled", "RouteTableIds", "SecurityGroupIds", "ServiceName", "SubnetIds", "Tags",
    "VpcEndpointType", "VpcId",
)  # fmt: skip
def _vpc_endpoint(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    given = {key: value for key, value in properties.items() if key != "Tags"}
    labels = _tag_specifications("vpc-endpoint", properties)
    endpoint = deployment.call("ec2", "create_vpc_endpoint", given, TagSpecifications=labels)["VpcEndpoint"]
    return Created("AWS::EC2::VPCEndpoint", endpoint["VpcEndpointId"], {"Id": endpoint["VpcEndpointId"]})


def _rule(deployment: Deployment, logical_id: str, direction: str, properties: Properties) -> Created:
    rule = {key: value for key, value in properties.items() if key != "GroupId"}
    _authorize(deployment, direction, text(properties["GroupId"]), rule)
    return Created(f"AWS::EC2::SecurityGroup{direction}", deployment.name(logical_id), {"Id": logical_id})


def _authorize(deployment: Deployment, direction: str, group: str, rule: Properties) -> None:
    refuse_unknown(rule, ("Description", *_PORTS, *_PEERS), f"SecurityGroup{direction}")
    note = only(rule, "Description")
    permission = only(rule, *_PORTS)
    if "CidrIp" in rule:
        permission["IpRanges"] = [{"CidrIp": rule["CidrIp"], **note}]
    if "CidrIpv6" in rule:
        permission["Ipv6Ranges"] = [{"CidrIpv6": rule["CidrIpv6"], **note}]
    if "SourcePrefixListId" in rule:
        permission["PrefixListIds"] = [{"PrefixListId": rule["SourcePrefixListId"], **note}]
    if other := rule.get("SourceSecurityGroupId") or rule.get("DestinationSecurityGroupId"):
        permission["UserIdGroupPairs"] = [{"GroupId": other, **note}]
    operation = f"authorize_security_group_{direction.lower()}"
    deployment.call("ec2", operation, {}, GroupId=group, IpPermissions=[permission])


def _tag_specifications(kind: str, properties: Properties) -> list[Properties] | None:
    labels = tags(properties)
    return [{"ResourceType": kind, "Tags": labels}] if labels else None
