"""Security groups and VPC endpoints. They are kept, not enforced: every port here is the machine's own."""

from __future__ import annotations

from moto.ec2.models import vpcs
from moto.ec2.utils import random_resource_id

from scripts.local_aws.cloudformation.deployment import Deployment, Properties, creates, only, refuse_unknown, tags
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text

_PEERS = ("CidrIp", "CidrIpv6", "SourceSecurityGroupId", "DestinationSecurityGroupId", "SourcePrefixListId")
_PORTS = ("IpProtocol", "FromPort", "ToPort")


def _names_of_an_endpoint(service_name: str, vpc_endpoint_id: str) -> dict[str, str]:
    """Return the name that EC2 gives: vpce-ID-XXXXXXXX.SERVICE.REGION.vpce.amazonaws.com (AWS PrivateLink's guide)."""
    region, service = service_name.split(".")[2:4]
    zone, unique = random_resource_id(13).upper(), random_resource_id(8)
    return {"dns_name": f"{vpc_endpoint_id}-{unique}.{service}.{region}.vpce.amazonaws.com", "hosted_zone_id": zone}


# moto makes up names of another form.
vpcs.create_dns_entries = _names_of_an_endpoint  # type: ignore[attr-defined]  # imported there


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
    check_endpoint(deployment, properties)
    given = {key: value for key, value in properties.items() if key != "Tags"}
    labels = _tag_specifications("vpc-endpoint", properties)
    endpoint = deployment.call("ec2", "create_vpc_endpoint", given, TagSpecifications=labels)["VpcEndpoint"]
    names = [f"{each['HostedZoneId']}:{each['DnsName']}" for each in endpoint.get("DnsEntries") or []]
    attributes = {"Id": endpoint["VpcEndpointId"], "DnsEntries": names}
    return Created("AWS::EC2::VPCEndpoint", endpoint["VpcEndpointId"], attributes)


def check_endpoint(deployment: Deployment, properties: Properties, own: str = "") -> None:
    """Refuse what EC2 refuses of an interface endpoint, and moto doesn't. `own` is the endpoint that is changed.

    Two subnets of one zone, as people report it (terraform-aws-modules/terraform-aws-vpc#451 and #583), and private DNS
    where another endpoint of the VPC has the service's host name already (hashicorp/terraform-provider-aws#17535).
    """
    zones: set[str] = set()
    if subnets := list(map(text, properties.get("SubnetIds") or [])):
        for each in deployment.call("ec2", "describe_subnets", {}, SubnetIds=subnets)["Subnets"]:
            if each["AvailabilityZone"] in zones:
                raise TemplateError(
                    "DuplicateSubnetsInSameZone: Found another VPC endpoint subnet in the availability zone of "
                    f"{each['SubnetId']}. VPC endpoint subnets should be in different availability zones supported by "
                    "the VPC endpoint service."
                )
            zones.add(each["AvailabilityZone"])
    if text(properties.get("PrivateDnsEnabled", "false")) == "true":
        vpc, service = text(properties["VpcId"]), text(properties["ServiceName"])
        for each in deployment.call("ec2", "describe_vpc_endpoints", {})["VpcEndpoints"]:
            alike = (each["VpcId"], each["ServiceName"], each.get("PrivateDnsEnabled")) == (vpc, service, True)
            if alike and each["VpcEndpointId"] != own and each["State"] == "available":
                domain = ".".join(reversed(service.split(".")))
                raise TemplateError(
                    "InvalidParameter: private-dns-enabled cannot be set because there is already a conflicting DNS "
                    f"domain for {domain} in the VPC {vpc}"
                )


def change_rule(deployment: Deployment, verb: str, direction: str, group: str, rule: Properties) -> None:
    """Authorize or revoke one rule of a group."""
    operation = f"{verb}_security_group_{direction.lower()}"
    deployment.call("ec2", operation, {}, GroupId=group, IpPermissions=[_permission(direction, rule)])


def _rule(deployment: Deployment, logical_id: str, direction: str, properties: Properties) -> Created:
    rule = {key: value for key, value in properties.items() if key != "GroupId"}
    _authorize(deployment, direction, text(properties["GroupId"]), rule)
    return Created(f"AWS::EC2::SecurityGroup{direction}", deployment.name(logical_id), {"Id": logical_id})


def _authorize(deployment: Deployment, direction: str, group: str, rule: Properties) -> None:
    change_rule(deployment, "authorize", direction, group, rule)


def _permission(direction: str, rule: Properties) -> Properties:
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
    return permission


def _tag_specifications(kind: str, properties: Properties) -> list[Properties] | None:
    labels = tags(properties)
    return [{"ResourceType": kind, "Tags": labels}] if labels else None
