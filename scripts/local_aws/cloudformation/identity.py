"""Roles, policies and keys. A policy is parsed when it is made: what cannot be evaluated later is refused at once.

Sizes are those of IAM's user guide, "IAM and AWS STS quotas".
"""

from __future__ import annotations

import json
from typing import Any

from scripts.local_aws.cloudformation.deployment import (
    Deployment,
    Properties,
    changed_properties,
    only,
    policy,
    refuse_unknown,
    without,
)
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text
from scripts.local_aws.cloudformation.managed_policies import provide
from scripts.local_aws.cloudformation.resource_types import Made, ResourceType
from scripts.local_aws.iam.policy import Policy, PolicyError

_INLINE_LIMIT = 10_240
_MANAGED_LIMIT = 6_144
_MOST_VERSIONS = 5


class _Role(ResourceType):
    type = "AWS::IAM::Role"
    in_place = "AssumeRolePolicyDocument ManagedPolicyArns PermissionsBoundary Policies"
    replacing = "Path RoleName"
    fixed = "Description MaxSessionDuration Tags"
    name, longest_name = "RoleName", 64

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        trust = _checked(f"{name} trust", properties["AssumeRolePolicyDocument"])
        given = without(properties, "ManagedPolicyArns", "Policies") | {"AssumeRolePolicyDocument": trust}
        created = deployment.call("iam", "create_role", given, RoleName=name)["Role"]
        _give(deployment, name, properties)
        return name, {"Arn": created["Arn"], "RoleId": created["RoleId"]}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        changed, role = changed_properties(old, new), made.ref
        if "AssumeRolePolicyDocument" in changed:
            trust = policy(new["AssumeRolePolicyDocument"])
            deployment.call("iam", "update_assume_role_policy", {}, RoleName=role, PolicyDocument=trust)
        for name in _inline_names(old) - _inline_names(new):
            deployment.call("iam", "delete_role_policy", {}, RoleName=role, PolicyName=name)
        attached = set(map(text, new.get("ManagedPolicyArns") or []))
        for arn in set(map(text, old.get("ManagedPolicyArns") or [])) - attached:
            deployment.call("iam", "detach_role_policy", {}, RoleName=role, PolicyArn=arn)
        if "PermissionsBoundary" in changed:
            given = only(new, "PermissionsBoundary")
            verb = "put" if given else "delete"
            deployment.call("iam", f"{verb}_role_permissions_boundary", given, RoleName=role)
        _give(deployment, role, new)

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        client = deployment.account.client("iam", deployment.region)
        for each in client.list_attached_role_policies(RoleName=made.ref)["AttachedPolicies"]:
            client.detach_role_policy(RoleName=made.ref, PolicyArn=each["PolicyArn"])
        for name in client.list_role_policies(RoleName=made.ref)["PolicyNames"]:
            client.delete_role_policy(RoleName=made.ref, PolicyName=name)
        client.delete_role(RoleName=made.ref)


def _inline_names(properties: Properties) -> set[str]:
    return {text(each["PolicyName"]) for each in properties.get("Policies") or []}


def _give(deployment: Deployment, name: str, properties: Properties) -> None:
    """Give the role the policies that its properties name; those that it has of the same names are overwritten."""
    size = 0
    for inline in properties.get("Policies") or []:
        refuse_unknown(inline, ("PolicyName", "PolicyDocument"), "Policies")
        size += _size(inline["PolicyDocument"])
        document = _checked(text(inline["PolicyName"]), inline["PolicyDocument"])
        deployment.call("iam", "put_role_policy", {**inline, "PolicyDocument": document}, RoleName=name)
    if size > _INLINE_LIMIT:
        raise TemplateError(f"Maximum policy size of {_INLINE_LIMIT} bytes exceeded for role {name}")
    for arn in map(text, properties.get("ManagedPolicyArns") or []):
        if ":iam::aws:policy/" in arn:
            provide(arn, deployment.account.account_id)
        deployment.call("iam", "attach_role_policy", {}, RoleName=name, PolicyArn=arn)


class _ManagedPolicy(ResourceType):
    type = "AWS::IAM::ManagedPolicy"
    in_place = "PolicyDocument"
    replacing = "Description ManagedPolicyName Path"
    name, longest_name = "ManagedPolicyName", 128

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        if _size(properties["PolicyDocument"]) > _MANAGED_LIMIT:
            raise TemplateError(f"Cannot exceed quota for PolicySize: {_MANAGED_LIMIT}")
        document, given = _checked(name, properties["PolicyDocument"]), only(properties, "Description", "Path")
        created = deployment.call("iam", "create_policy", given, PolicyName=name, PolicyDocument=document)
        return created["Policy"]["Arn"], {"PolicyArn": created["Policy"]["Arn"]}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        """Create a version. CloudFormation deletes the oldest one to make room for it."""
        client = deployment.account.client("iam", deployment.region)
        versions = client.list_policy_versions(PolicyArn=made.ref)["Versions"]
        if len(versions) == _MOST_VERSIONS:
            others = (each for each in versions if not each["IsDefaultVersion"])
            oldest = min(others, key=lambda each: each["CreateDate"])
            client.delete_policy_version(PolicyArn=made.ref, VersionId=oldest["VersionId"])
        document = policy(new["PolicyDocument"])
        client.create_policy_version(PolicyArn=made.ref, PolicyDocument=document, SetAsDefault=True)

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        client = deployment.account.client("iam", deployment.region)
        for role in client.list_entities_for_policy(PolicyArn=made.ref)["PolicyRoles"]:
            client.detach_role_policy(RoleName=role["RoleName"], PolicyArn=made.ref)
        for version in client.list_policy_versions(PolicyArn=made.ref)["Versions"]:
            if not version["IsDefaultVersion"]:
                client.delete_policy_version(PolicyArn=made.ref, VersionId=version["VersionId"])
        client.delete_policy(PolicyArn=made.ref)


class _Key(ResourceType):
    type = "AWS::KMS::Key"
    in_place = "Description KeyPolicy Tags"
    replacing = "KeySpec KeyUsage MultiRegion"
    fixed = "EnableKeyRotation PendingWindowInDays"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        given = only(properties, "Description", "KeySpec", "KeyUsage", "MultiRegion", "Tags")
        document = _checked(name, properties["KeyPolicy"]) if "KeyPolicy" in properties else None
        key = deployment.call("kms", "create_key", given, Policy=document)["KeyMetadata"]
        if text(properties.get("EnableKeyRotation", "false")) == "true":
            deployment.call("kms", "enable_key_rotation", {}, KeyId=key["KeyId"])
        return key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        changed = changed_properties(old, new)
        if "KeyPolicy" in changed:
            document = policy(new["KeyPolicy"])
            deployment.call("kms", "put_key_policy", {}, KeyId=made.ref, PolicyName="default", Policy=document)
        if "Description" in changed:
            deployment.call("kms", "update_key_description", {}, KeyId=made.ref, Description=text(new["Description"]))
        if "Tags" in changed:
            deployment.call("kms", "tag_resource", {}, KeyId=made.ref, Tags=new.get("Tags", []))

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        days = properties.get("PendingWindowInDays", 30)
        deployment.call("kms", "schedule_key_deletion", {}, KeyId=made.ref, PendingWindowInDays=days)


class _KeyAlias(ResourceType):
    type = "AWS::KMS::Alias"
    in_place = "TargetKeyId"
    replacing = "AliasName"
    deletion = "kms", "delete_alias", "AliasName"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        deployment.call("kms", "create_alias", properties)
        return text(properties["AliasName"]), {}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        deployment.call("kms", "update_alias", new)


def _checked(name: str, document: Any) -> str:
    """Return a policy as text. Refuse at once what could not be evaluated later."""
    content = policy(document)
    try:
        Policy.parse(name, content)
    except (PolicyError, KeyError, ValueError) as error:
        raise TemplateError(f"MalformedPolicyDocument: {error}") from None
    return content


def _size(document: Any) -> int:
    """Return a policy's length as AWS counts it, without white space."""
    return len(json.dumps(document, separators=(",", ":")))
