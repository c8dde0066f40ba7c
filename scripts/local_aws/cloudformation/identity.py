"""Roles, policies and keys."""

from __future__ import annotations

import json
from typing import Any

from scripts.local_aws.cloudformation.deployment import (
    Deployment,
    Properties,
    creates,
    only,
    policy,
    refuse_unknown,
    tags,
)
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text
from scripts.local_aws.cloudformation.managed_policies import provide
from scripts.local_aws.iam.policy import Policy, PolicyError

_INLINE_LIMIT = 10_240
_MANAGED_LIMIT = 6_144


@creates(
    "AWS::IAM::Role",
    "AssumeRolePolicyDocument", "Description", "ManagedPolicyArns", "MaxSessionDuration", "Path",
    "PermissionsBoundary", "Policies", "RoleName", "Tags",
)  # fmt: skip
def _role(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    name = properties.get("RoleName") or deployment.name(logical_id, 64)
    created = deployment.call(
        "iam",
        "create_role",
        only(properties, "Description", "MaxSessionDuration", "Path", "PermissionsBoundary"),
        RoleName=name,
        AssumeRolePolicyDocument=_checked(f"{name} trust", properties["AssumeRolePolicyDocument"]),
        Tags=tags(properties),
    )["Role"]
    give(deployment, name, properties)
    return Created("AWS::IAM::Role", name, {"Arn": created["Arn"], "RoleId": created["RoleId"]})


def give(deployment: Deployment, name: str, properties: Properties) -> None:
    """Give the role the policies that its properties name; those that it has of the same names are overwritten."""
    size = 0
    for inline in properties.get("Policies") or []:
        refuse_unknown(inline, ("PolicyName", "PolicyDocument"), "Policies")
        size += _size(inline["PolicyDocument"])
        _put_inline(deployment, name, text(inline["PolicyName"]), inline["PolicyDocument"])
    if size > _INLINE_LIMIT:
        raise TemplateError(f"Maximum policy size of {_INLINE_LIMIT} bytes exceeded for role {name}")
    for arn in properties.get("ManagedPolicyArns") or []:
        _attach(deployment, name, text(arn))


@creates("AWS::IAM::Policy", "PolicyDocument", "PolicyName", "Roles")
def _policy(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    for role in properties.get("Roles") or []:
        _put_inline(deployment, text(role), text(properties["PolicyName"]), properties["PolicyDocument"])
    return Created("AWS::IAM::Policy", deployment.name(logical_id), {"Id": deployment.name(logical_id)})


@creates("AWS::IAM::ManagedPolicy", "Description", "ManagedPolicyName", "Path", "PolicyDocument", "Roles")
def _managed_policy(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    name = properties.get("ManagedPolicyName") or deployment.name(logical_id, 128)
    if _size(properties["PolicyDocument"]) > _MANAGED_LIMIT:
        raise TemplateError(f"Cannot exceed quota for PolicySize: {_MANAGED_LIMIT}")
    created = deployment.call(
        "iam",
        "create_policy",
        only(properties, "Description", "Path"),
        PolicyName=name,
        PolicyDocument=_checked(name, properties["PolicyDocument"]),
    )["Policy"]
    for role in properties.get("Roles") or []:
        _attach(deployment, text(role), created["Arn"])
    return Created("AWS::IAM::ManagedPolicy", created["Arn"], {"PolicyArn": created["Arn"]})


@creates(
    "AWS::KMS::Key",
    "Description", "EnableKeyRotation", "Enabled", "KeyPolicy", "KeySpec", "KeyUsage", "MultiRegion",
    "PendingWindowInDays", "RotationPeriodInDays", "Tags",
)  # fmt: skip
def _key(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    """PendingWindowInDays only matters to a deletion, which doesn't happen here."""
    key = deployment.call(
        "kms",
        "create_key",
        only(properties, "Description", "KeySpec", "KeyUsage", "MultiRegion"),
        Policy=_checked(logical_id, properties["KeyPolicy"]) if "KeyPolicy" in properties else None,
        Tags=[{"TagKey": tag["Key"], "TagValue": tag["Value"]} for tag in tags(properties)],
    )["KeyMetadata"]
    if text(properties.get("EnableKeyRotation", "false")) == "true":
        rotation = only(properties, "RotationPeriodInDays")
        deployment.call("kms", "enable_key_rotation", rotation, KeyId=key["KeyId"])
    if text(properties.get("Enabled", "true")) == "false":
        deployment.call("kms", "disable_key", {}, KeyId=key["KeyId"])
    return Created("AWS::KMS::Key", key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]})


@creates("AWS::KMS::Alias", "AliasName", "TargetKeyId")
def _alias(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    deployment.call("kms", "create_alias", properties)
    return Created("AWS::KMS::Alias", text(properties["AliasName"]), {})


def _checked(name: str, document: Any) -> str:
    """Refuse at once what couldn't be evaluated later."""
    content = policy(document)
    try:
        Policy.parse(name, content)
    except (PolicyError, KeyError, ValueError) as error:
        raise TemplateError(f"MalformedPolicyDocument: {error}") from None
    return content


def _size(document: Any) -> int:
    """AWS doesn't count white space."""
    return len(json.dumps(document, separators=(",", ":")))


def _put_inline(deployment: Deployment, role: str, name: str, document: Any) -> None:
    content = _checked(name, document)
    deployment.call("iam", "put_role_policy", {}, RoleName=role, PolicyName=name, PolicyDocument=content)


def _attach(deployment: Deployment, role: str, arn: str) -> None:
    if ":iam::aws:policy/" in arn:
        provide(arn, deployment.cloud.account_id)
    deployment.call("iam", "attach_role_policy", {}, RoleName=role, PolicyArn=arn)
