"""Subnet groups and parameter groups."""

from __future__ import annotations

from functools import partial
from typing import Any

from moto.iam.models import iam_backends

from scripts.local_aws.aurora import offers, rules
from scripts.local_aws.aurora.region import PARAMETER_GROUPS, AuroraBackend, operation

_PAGE = "Filters MaxRecords Marker"


@operation("CreateDBSubnetGroup", "DBSubnetGroupName DBSubnetGroupDescription SubnetIds Tags")
def create_db_subnet_group(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    name = parameters["DBSubnetGroupName"].lower()
    if name == "default":
        rules.refuse_value("The DB subnet group name must not be default.")
    if name in region.groups["subgrp"]:
        rules.refuse("DBSubnetGroupAlreadyExists", f"The DB subnet group '{name}' already exists.")
    tags = rules.tags(parameters)
    _require_service_linked_role(region)
    group = region.subnet_group_of(name, parameters["DBSubnetGroupDescription"], parameters["SubnetIds"])
    region.groups["subgrp"][name] = group
    region.group_tags[group["DBSubnetGroupArn"]] = tags
    return {"DBSubnetGroup": group}


def _require_service_linked_role(region: AuroraBackend) -> None:
    """Refuse where RDS's own role is missing, as in a fresh account.

    The text is AWS's (terraform-aws-modules/terraform-aws-rds#364, crossplane-contrib/provider-aws#479).
    """
    roles = iam_backends[region.account_id][region.partition].get_roles()
    if "AWSServiceRoleForRDS" not in {role.name for role in roles}:
        rules.refuse_value(
            "Missing necessary credentials. Please check "
            "http://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAM.ServiceLinkedRoles.html",
        )


@operation("ModifyDBSubnetGroup", "DBSubnetGroupName DBSubnetGroupDescription SubnetIds")
def modify_db_subnet_group(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Replace the subnets by others of the same VPC (the refusal: hashicorp/terraform-provider-aws#27459)."""
    name = parameters["DBSubnetGroupName"].lower()
    before = region.subnet_group(name)
    description = parameters.get("DBSubnetGroupDescription", before["DBSubnetGroupDescription"])
    after = region.subnet_group_of(name, description, parameters["SubnetIds"])
    if after["VpcId"] != before["VpcId"]:
        rules.refuse_value("The new Subnets are not in the same Vpc as the existing subnet group")
    region.groups["subgrp"][name] = after
    return {"DBSubnetGroup": after}


@operation("DeleteDBSubnetGroup", "DBSubnetGroupName")
def delete_db_subnet_group(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    group = region.subnet_group(parameters["DBSubnetGroupName"].lower())
    name = group["DBSubnetGroupName"]
    if any(cluster.attributes["DBSubnetGroup"] == name for cluster in region.clusters.values()):
        rules.refuse(
            "InvalidDBSubnetGroupStateFault",
            f"Cannot delete the subnet group '{name}' because at least one database cluster is still using it.",
        )
    del region.groups["subgrp"][name]
    return {}


@operation("DescribeDBSubnetGroups", "DBSubnetGroupName", _PAGE)
def describe_db_subnet_groups(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    name = parameters.get("DBSubnetGroupName")
    region.subnet_group("default")
    groups = [region.subnet_group(name)] if name else [each for _, each in sorted(region.groups["subgrp"].items())]
    return rules.listing("DBSubnetGroups", groups, parameters)


def _create(kind: str, shape: str, region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    name = parameters[f"{shape}Name"].lower()
    if not name[:1].isalpha() or name.startswith("default."):
        rules.refuse_value(f"The parameter {shape}Name is not a valid identifier: {name}")
    if name in region.groups[kind]:
        rules.refuse("DBParameterGroupAlreadyExists", f"Parameter group {name} already exists")
    family, tags = parameters["DBParameterGroupFamily"], rules.tags(parameters)
    if family not in offers.FAMILIES:
        rules.refuse_value(f"ParameterGroupFamily {family} is not a valid parameter group family")
    group = _group(region, kind, shape, name, family, parameters["Description"])
    region.group_tags[group[f"{shape}Arn"]] = tags
    region.groups[kind][name] = group
    return {shape: group}


def _describe(kind: str, shape: str, region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    groups = {
        f"default.{each}": _group(region, kind, shape, f"default.{each}", each, f"Default parameter group for {each}")
        for each in region.default_groups[kind]
    } | region.groups[kind]
    name = parameters.get(f"{shape}Name")
    if name and name.lower() not in groups:
        rules.refuse("DBParameterGroupNotFound", f"{shape} not found: {name}")
    listed = [groups[name.lower()]] if name else [each for _, each in sorted(groups.items())]
    return rules.listing(f"{shape}s", listed, parameters)


def _group(region: AuroraBackend, kind: str, shape: str, name: str, family: str, description: str) -> dict[str, Any]:
    return {
        f"{shape}Name": name,
        f"{shape}Arn": region.arn(kind, name),
        "DBParameterGroupFamily": family,
        "Description": description,
    }


for _kind, _shape in PARAMETER_GROUPS.items():
    operation(f"Create{_shape}", f"{_shape}Name DBParameterGroupFamily Description Tags")(
        partial(_create, _kind, _shape)
    )
    operation(f"Describe{_shape}s", f"{_shape}Name", _PAGE)(partial(_describe, _kind, _shape))
