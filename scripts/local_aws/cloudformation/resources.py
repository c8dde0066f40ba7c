"""A resource of a stack, of any type: created, changed in place, replaced or deleted.

Only what a template of ours can change can be changed here; anything else is refused by name when the change set is
made. See "Update behaviors of stack resources" in CloudFormation's user guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from scripts.local_aws.cloudformation import (  # noqa: F401 each of them registers its types
    data,
    events,
    functions,
    identity,
    monitoring,
    network,
    state_machines,
    storage,
)
from scripts.local_aws.cloudformation.deployment import Deployment, Properties, changed_properties
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text
from scripts.local_aws.cloudformation.resource_types import TYPES
from scripts.local_aws.cloudformation.template import Template

_GONE = (
    "ResourceNotFoundException", "NoSuchEntity", "StateMachineDoesNotExist", "ResourceNotFound", "NotFound",
    "NotFoundException", "DBSubnetGroupNotFoundFault", "InvalidGroup.NotFound", "InvalidPermission.NotFound",
    "NoSuchBucket",
)  # fmt: skip
_EC2_LOOKUPS = {
    "AWS::EC2::VPC::Id": ("describe_vpcs", "VpcIds"),
    "AWS::EC2::Subnet::Id": ("describe_subnets", "SubnetIds"),
    "AWS::EC2::SecurityGroup::Id": ("describe_security_groups", "GroupIds"),
}


def creation_order(deployment: Deployment, template: Template) -> list[str]:
    """Return the order in which resources are created, once their types and the parameters are known to be right."""
    for name, ec2_type, values in template.ec2_parameters:
        operation, parameter = _EC2_LOOKUPS[ec2_type]
        try:
            getattr(deployment.account.client("ec2", deployment.region), operation)(**{parameter: values})
        except ClientError as error:
            message = f"Parameter validation failed: parameter value {values} for parameter name {name} "
            raise TemplateError(message + "does not exist") from error
    order = template.creation_order()
    if unknown := sorted({template.resources[name]["Type"] for name in order} - set(TYPES)):
        raise TemplateError(f"Resource types not known to the embedded AWS: {', '.join(unknown)}")
    return order


def tagged(kind: str, properties: Properties, stack_tags: Mapping[str, str]) -> Properties:
    """Return the properties with the stack's tags, where the type has tags; the resource's own take precedence.

    "CloudFormation also propagates these tags to resources in the stack" (API reference, CreateChangeSet, Tags).
    """
    of = TYPES[kind]
    if not stack_tags or "Tags" not in f"{of.in_place} {of.fixed}".split():
        return properties
    own = list(properties.get("Tags") or [])
    named_already = {text(tag["Key"]) for tag in own}
    added = [{"Key": key, "Value": value} for key, value in stack_tags.items() if key not in named_already]
    return {**properties, "Tags": own + added}


def create(deployment: Deployment, logical_id: str, kind: str, properties: Properties) -> Created:
    """Make a resource. Refuse a property that its type does not know."""
    of = TYPES[kind]
    if unknown := set(properties) - set(f"{of.in_place} {of.replacing} {of.fixed}".split()):
        raise TemplateError(f"property {', '.join(sorted(unknown))} is not known to the embedded AWS")
    given = properties.get(of.name)
    name = text(given) if given else deployment.name(logical_id, of.longest_name)
    return Created(kind, *of.create(deployment, name, properties))


def replaces(kind: str, changed: set[str]) -> bool:
    """Return whether a change of these properties makes another resource. Refuse a change that cannot be made here."""
    of = TYPES[kind]
    if not of.in_place and not of.replacing:
        raise TemplateError(f"The embedded AWS cannot update {kind}")
    if changed & set(of.replacing.split()):
        return True
    if unknown := changed - set(of.in_place.split()):
        raise TemplateError(f"The embedded AWS cannot update {', '.join(sorted(unknown))} of {kind}")
    return False


def refuse_same_name(kind: str, old: Properties, new: Properties) -> None:
    """Refuse to replace what keeps the name that the template gives it: the old one still has it.

    See "Name type" in CloudFormation's user guide, and the answer that people report (aws/aws-cdk#5814).
    """
    of = TYPES[kind]
    if not of.shares_name and new.get(of.name) and old.get(of.name) == new[of.name]:
        raise TemplateError(
            "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
            f"Rename {text(new[of.name])} and update the stack again."
        )


def update(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    """Change in place what exists."""
    replaces(made.type, changed_properties(old, new))
    attributes = TYPES[made.type].update(deployment, made, old, new)
    return made if attributes is None else Created(made.type, made.ref, attributes)


def known_before(made: Created) -> dict[str, Any]:
    """Return the attributes that an update in place leaves as they are."""
    volatile = TYPES[made.type].volatile.split()
    return {name: value for name, value in made.attributes.items() if name not in volatile}


def delete(deployment: Deployment, made: Created, properties: Properties) -> None:
    """Delete a resource. What is gone already is deleted."""
    try:
        TYPES[made.type].delete(deployment, made, properties)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise
