"""The stack's door, in front of the new cluster: its security group, and the function's way through it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from utils import environment
from utils.aurora_utils.offers import SecurityGroup, SubnetGroup, Surroundings
from utils.contracts.plan import ClusterPlan

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import IpPermissionOutputTypeDef

# What RDS allows a cluster's port to be (API reference, CreateDBCluster).
LOWEST_PORT, HIGHEST_PORT = 1150, 65535


def groups_of_the_door(cluster: ClusterPlan) -> list[str]:
    """Return the door's group and, if it is the user's own, the function's: what the checks below have to see."""
    return [cluster.door_security_group_id, *([_function_group()] if _function_group() else [])]


def door_problems(
    cluster: ClusterPlan, groups: Mapping[str, SecurityGroup], subnet_group: SubnetGroup | None, region: str
) -> Iterator[str]:
    """Yield what is wrong with the door. `subnet_group` is None where that is reported already."""
    door = cluster.door_security_group_id
    if door in cluster.vpc_security_group_ids:
        yield (
            f"vpc_security_group_ids: {door!r} is the stack's door, which admits only the pipeline. Give the "
            "groups that the cluster is to have once it is open."
        )
    if door not in groups:
        yield (
            f"door: the stack's security group {door!r}, in which the new cluster is until its users are set up, "
            f"does not exist in {region}. Deploy the stack again, which creates one; tables and secrets stay."
        )
    elif subnet_group is not None and groups[door].vpc_id != subnet_group.vpc_id:
        yield (
            f"db_subnet_group_name: {cluster.db_subnet_group_name!r} is in {subnet_group.vpc_id}, but the security "
            f"group in which the new cluster is until its users are set up, {door!r}, is in {groups[door].vpc_id}, the "
            f"stack's VpcId. Give a subnet group of that VPC: aws rds describe-db-subnet-groups --region {region}"
        )
    if own := _function_group():
        yield from _function_problems(own, cluster, groups, region)


def door_warnings(cluster: ClusterPlan, around: Surroundings) -> Iterator[str]:
    """Yield what the rules of a function's group of the user's own do not show."""
    if not (own := _function_group()):
        return
    group = around.security_groups([own]).get(own)
    if group is not None and reaches(group.egress, cluster.door_security_group_id, cluster.port) is None:
        yield (
            f"The rules of the function's security group {own} (FunctionSecurityGroupId) do not show whether it may "
            f"reach {_at(cluster)}: they name address ranges, prefix lists or other ports. If not, the operation "
            "fails at Setup DB Users."
        )


def _function_problems(
    own: str, cluster: ClusterPlan, groups: Mapping[str, SecurityGroup], region: str
) -> Iterator[str]:
    if own not in groups:
        yield f"function: the stack's FunctionSecurityGroupId {own!r} does not exist in {region}. Give one that does."
    elif reaches(groups[own].egress, cluster.door_security_group_id, cluster.port) is False:
        port = f"{LOWEST_PORT}-{HIGHEST_PORT}" if cluster.port is None else cluster.port
        pair = f"UserIdGroupPairs=[{{GroupId={cluster.door_security_group_id}}}]"
        ports = f"FromPort={str(port).split('-')[0]},ToPort={str(port).split('-')[-1]}"
        yield (
            f"function: its security group {own!r} (FunctionSecurityGroupId) does not allow it to reach {_at(cluster)}"
            ", so users could not be set up. Allow it: aws ec2 authorize-security-group-egress --group-id "
            f"{own} --ip-permissions 'IpProtocol=tcp,{ports},{pair}' --region {region}"
        )


def _at(cluster: ClusterPlan) -> str:
    port = "the cluster's port" if cluster.port is None else f"port {cluster.port}"
    return f"{port} of the door's group {cluster.door_security_group_id}"


def _function_group() -> str:
    """Return the function's group where it is the user's own; the stack's own reaches the door."""
    return environment.optional("FUNCTION_SECURITY_GROUP_ID")


def reaches(egress: list[IpPermissionOutputTypeDef], group: str, port: int | None) -> bool | None:
    """Return whether rules allow traffic to a group on a port; None where that is unclear. No port: any of RDS's."""
    answers = [_lets_out(rule, group, port) for rule in egress]
    if True in answers:
        return True
    return None if None in answers else False


def _lets_out(rule: IpPermissionOutputTypeDef, group: str, port: int | None) -> bool | None:
    """Return that for one rule. A rule for all protocols names no ports (EC2 API reference, IpPermission)."""
    low, high = rule.get("FromPort", 0), rule.get("ToPort", HIGHEST_PORT)
    wanted = (port, port) if port is not None else (LOWEST_PORT, HIGHEST_PORT)
    if rule.get("IpProtocol") not in ("-1", "tcp", "6") or high < wanted[0] or low > wanted[1]:
        return False
    to_group = group in (pair.get("GroupId") for pair in rule.get("UserIdGroupPairs", []))
    to_everywhere = "0.0.0.0/0" in (each.get("CidrIp") for each in rule.get("IpRanges", []))
    if to_group or to_everywhere:
        return True if low <= wanted[0] and high >= wanted[1] else None
    ranges = rule.get("IpRanges") or rule.get("Ipv6Ranges") or rule.get("PrefixListIds")
    return None if ranges else False
