"""Security groups and VPC endpoints. They are kept, not enforced: every port here is the machine's own."""

from __future__ import annotations

from scripts.local_aws.cloudformation.deployment import (
    Deployment,
    Properties,
    changed_properties,
    only,
    refuse_unknown,
    without,
)
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text
from scripts.local_aws.cloudformation.resource_types import Made, ResourceType

_PEERS = ("CidrIp", "CidrIpv6", "SourceSecurityGroupId", "DestinationSecurityGroupId", "SourcePrefixListId")
_PORTS = ("IpProtocol", "FromPort", "ToPort")


class _SecurityGroup(ResourceType):
    type = "AWS::EC2::SecurityGroup"
    in_place = "SecurityGroupEgress SecurityGroupIngress Tags"
    replacing = "GroupDescription GroupName VpcId"
    name, shares_name = "GroupName", True  # EC2 itself refuses a name twice in a VPC
    deletion = "ec2", "delete_security_group", "GroupId"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        """Create a group. One that states its egress loses the rule that lets everything out."""
        group = deployment.call(
            "ec2",
            "create_security_group",
            only(properties, "VpcId"),
            GroupName=name,
            Description=properties["GroupDescription"],
            TagSpecifications=_tag_specifications("security-group", properties),
        )["GroupId"]
        found = deployment.call("ec2", "describe_security_groups", {}, GroupIds=[group])["SecurityGroups"][0]
        if properties.get("SecurityGroupEgress"):
            everything = found["IpPermissionsEgress"]
            deployment.call("ec2", "revoke_security_group_egress", {}, GroupId=group, IpPermissions=everything)
        for direction in ("Ingress", "Egress"):
            for rule in properties.get(f"SecurityGroup{direction}") or []:
                _change_rule(deployment, "authorize", direction, group, rule)
        return group, {"GroupId": group, "VpcId": found["VpcId"]}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        for direction in ("Ingress", "Egress"):
            before, after = (each.get(f"SecurityGroup{direction}") or [] for each in (old, new))
            for verb, some, others in (("revoke", before, after), ("authorize", after, before)):
                for rule in some:
                    if rule not in others:
                        _change_rule(deployment, verb, direction, made.ref, rule)
        _tag(deployment, made, new)


class _SecurityGroupIngress(ResourceType):
    type = "AWS::EC2::SecurityGroupIngress"
    replacing = "CidrIp CidrIpv6 FromPort GroupId IpProtocol SourceSecurityGroupId ToPort"
    fixed = "Description DestinationSecurityGroupId SourcePrefixListId"
    direction = "Ingress"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        self._change(deployment, "authorize", properties)
        return name, {"Id": name}

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        self._change(deployment, "revoke", properties)

    def _change(self, deployment: Deployment, verb: str, properties: Properties) -> None:
        rule = without(properties, "GroupId")
        _change_rule(deployment, verb, self.direction, text(properties["GroupId"]), rule)


class _SecurityGroupEgress(_SecurityGroupIngress):
    type = "AWS::EC2::SecurityGroupEgress"
    replacing = "CidrIp CidrIpv6 DestinationSecurityGroupId FromPort GroupId IpProtocol ToPort"
    fixed = "Description SourcePrefixListId SourceSecurityGroupId"
    direction = "Egress"


class _VpcEndpoint(ResourceType):
    type = "AWS::EC2::VPCEndpoint"
    in_place = "PolicyDocument PrivateDnsEnabled RouteTableIds SecurityGroupIds SubnetIds Tags"
    replacing = "ServiceName VpcEndpointType VpcId"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        _check_endpoint(deployment, properties)
        given, labels = without(properties, "Tags"), _tag_specifications("vpc-endpoint", properties)
        endpoint = deployment.call("ec2", "create_vpc_endpoint", given, TagSpecifications=labels)["VpcEndpoint"]
        entries = [f"{each['HostedZoneId']}:{each['DnsName']}" for each in endpoint.get("DnsEntries") or []]
        return endpoint["VpcEndpointId"], {"Id": endpoint["VpcEndpointId"], "DnsEntries": entries}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        """Replace what is listed: what is new is added, what is gone is taken away."""
        _check_endpoint(deployment, new, made.ref)
        given: Properties = only(new, *({"PrivateDnsEnabled", "PolicyDocument"} & changed_properties(old, new)))
        for name in ("RouteTableIds", "SecurityGroupIds", "SubnetIds"):
            before, after = (list(map(text, each.get(name) or [])) for each in (old, new))
            for verb, some, others in (("Add", after, before), ("Remove", before, after)):
                if changed := [each for each in some if each not in others]:
                    given[f"{verb}{name}"] = changed
        if given:
            deployment.call("ec2", "modify_vpc_endpoint", given, VpcEndpointId=made.ref)
        _tag(deployment, made, new)

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        deployment.call("ec2", "delete_vpc_endpoints", {}, VpcEndpointIds=[made.ref])


def _check_endpoint(deployment: Deployment, properties: Properties, own: str = "") -> None:
    """Refuse what EC2 refuses of an interface endpoint, and moto does not. `own` is the endpoint that is changed.

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


def _change_rule(deployment: Deployment, verb: str, direction: str, group: str, rule: Properties) -> None:
    """Authorize or revoke one rule of a group."""
    operation = f"{verb}_security_group_{direction.lower()}"
    deployment.call("ec2", operation, {}, GroupId=group, IpPermissions=[_permission(direction, rule)])


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
    return [{"ResourceType": kind, **only(properties, "Tags")}] if properties.get("Tags") else None


def _tag(deployment: Deployment, made: Created, new: Properties) -> None:
    if new.get("Tags"):
        deployment.call("ec2", "create_tags", only(new, "Tags"), Resources=[made.ref])
