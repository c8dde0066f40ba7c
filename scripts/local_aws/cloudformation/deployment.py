"""How a template's resources become real: by calls to the services' own APIs, each checked before it is made.

A creator (resources.py and its siblings) declares every property it uses; a property that it doesn't know, at any
depth, fails the deployment and names the resource. CloudFormation's loose values ("30", "true", a policy as an
object) are turned into what the API's own model asks for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from botocore.exceptions import ClientError, ParamValidationError
from moto.utilities.utils import get_partition

from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text
from scripts.local_aws.cloudformation.template import Template
from scripts.local_aws.iam.gate import Permissions

Properties = dict[str, Any]
Creator = Callable[["Deployment", str, Properties], Created]

_creators: dict[str, tuple[frozenset[str], Creator]] = {}


class Cloud(Protocol):
    """What a deployment needs of the embedded AWS."""

    @property
    def account_id(self) -> str: ...

    @property
    def permissions(self) -> Permissions: ...

    @property
    def layers(self) -> dict[str, list[pathlib.Path]]:
        """Directories that stand for a layer version's content, by its ARN."""
        ...

    @property
    def scratch(self) -> pathlib.Path:
        """A directory of ours that is removed when the embedded AWS closes."""
        ...

    def client(self, service: str, region: str = ...) -> Any: ...


@dataclass(frozen=True)
class Stack:
    """A deployed template: its outputs, and the physical id of each resource by logical id."""

    name: str
    region: str
    outputs: dict[str, str] = field(default_factory=dict)
    resources: dict[str, str] = field(default_factory=dict)


def creates(resource_type: str, *properties: str) -> Callable[[Creator], Creator]:
    """Register the creator of a resource type, with the properties that it honours."""

    def register(creator: Creator) -> Creator:
        _creators[resource_type] = frozenset(properties), creator
        return creator

    return register


class Deployment:
    """One stack being created in one region."""

    def __init__(self, cloud: Cloud, stack_name: str, region: str) -> None:
        self.cloud = cloud
        self.stack_name = stack_name
        self.region = region
        self.names: dict[str, str] = {}
        """Names that aren't made up as usual, by logical id: of what exists already, or of what replaces it."""

    def create(self, template: Template) -> Stack:
        """Everything, in order. The first error ends it; what was made before stays, as nothing here is kept anyway."""
        order = self.checked_order(template)
        evaluator = template.evaluator
        for logical_id in order:
            resource = template.resources[logical_id]
            with named(logical_id, resource["Type"]):
                properties = evaluator.value(resource.get("Properties") or {})
                evaluator.created[logical_id] = self.create_one(logical_id, resource["Type"], properties)
        made = {logical_id: made.ref for logical_id, made in evaluator.created.items()}
        return Stack(self.stack_name, self.region, template.outputs(), made)

    def checked_order(self, template: Template) -> list[str]:
        """The order in which the resources are created, once their types and the parameters are known to be right."""
        self._check_ec2_parameters(template)
        order = template.creation_order()
        unknown = sorted({template.resources[name]["Type"] for name in order} - set(_creators))
        if unknown:
            raise TemplateError(f"Resource types not known to the embedded AWS: {', '.join(unknown)}")
        return order

    def create_one(self, logical_id: str, resource_type: str, properties: Properties) -> Created:
        """One resource, by the creator of its type."""
        known, creator = _creators[resource_type]
        if unknown := set(properties) - known:
            raise TemplateError(f"property {', '.join(sorted(unknown))} is not known to the embedded AWS")
        return creator(self, logical_id, properties)

    def _check_ec2_parameters(self, template: Template) -> None:
        calls = {
            "AWS::EC2::VPC::Id": ("describe_vpcs", "VpcIds"),
            "AWS::EC2::Subnet::Id": ("describe_subnets", "SubnetIds"),
            "AWS::EC2::SecurityGroup::Id": ("describe_security_groups", "GroupIds"),
        }
        for name, ec2_type, values in template.ec2_parameters:
            operation, parameter = calls[ec2_type]
            try:
                getattr(self.cloud.client("ec2", self.region), operation)(**{parameter: values})
            except ClientError as error:
                message = f"Parameter validation failed: parameter value {values} for parameter name {name} "
                raise TemplateError(message + "does not exist") from error

    def name(self, logical_id: str, longest: int = 255, separator: str = "-") -> str:
        """A name as CloudFormation makes it up; the same for the same stack, so that runs are comparable."""
        if logical_id in self.names:
            return self.names[logical_id][:longest]
        unique = hashlib.sha256(f"{self.stack_name}/{self.region}/{logical_id}".encode()).hexdigest()[:12].upper()
        prefix = f"{self.stack_name}{separator}{logical_id}"[: longest - 13]
        return f"{prefix}{separator}{unique}"

    def arn(self, service: str, rest: str) -> str:
        return f"arn:{get_partition(self.region)}:{service}:{self.region}:{self.cloud.account_id}:{rest}"

    def call(self, service: str, operation: str, properties: Mapping[str, Any], **renamed: Any) -> Any:
        """Call the API with properties of the same names (its own capitals) and others given by name."""
        client = self.cloud.client(service, self.region)
        shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation]).input_shape
        given = {**properties, **{name: value for name, value in renamed.items() if value is not None}}
        return getattr(client, operation)(**_shaped(given, shape, ""))


@contextlib.contextmanager
def named(logical_id: str, resource_type: str) -> Iterator[None]:
    """Whatever goes wrong with a resource becomes a TemplateError that names it."""
    where = f"{logical_id} ({resource_type})"
    try:
        yield
    except ClientError as error:
        details = error.response["Error"]
        raise TemplateError(f"{where}: {details.get('Code')}: {details.get('Message')}") from error
    except (ParamValidationError, TemplateError) as error:
        raise TemplateError(f"{where}: {error}") from error
    except KeyError as missing:
        raise TemplateError(f"{where}: property {missing} is needed") from missing


def only(properties: Properties, *names: str) -> Properties:
    """The named ones of the properties, where they are given."""
    return {name: properties[name] for name in names if name in properties}


def tags(properties: Properties) -> list[dict[str, str]]:
    """CloudFormation's tags, a list of Key and Value; one that AWS would refuse is refused."""
    found = [{"Key": text(tag["Key"]), "Value": text(tag["Value"])} for tag in properties.get("Tags") or []]
    keys = [tag["Key"] for tag in found]
    if len(set(keys)) != len(keys):
        raise TemplateError("Duplicate tag keys")
    if any(key.lower().startswith("aws:") for key in keys):
        raise TemplateError("Tag keys cannot start with the reserved prefix aws:")
    return found


def tagged(resource_type: str, properties: Properties, stack_tags: Mapping[str, str]) -> Properties:
    """The properties with the stack's tags, where the type has tags; the resource's own go before them.

    "CloudFormation also propagates these tags to resources in the stack" (API reference, CreateChangeSet, Tags).
    """
    if not stack_tags or "Tags" not in _creators[resource_type][0]:
        return properties
    own = list(properties.get("Tags") or [])
    named_already = {text(tag["Key"]) for tag in own}
    added = [{"Key": key, "Value": value} for key, value in stack_tags.items() if key not in named_already]
    return {**properties, "Tags": own + added}


def tag_map(properties: Properties) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags(properties)}


def policy(document: Any) -> str:
    """The document as text. AWS takes one without Version; moto doesn't."""
    if isinstance(document, str):
        return document
    return json.dumps({"Version": "2012-10-17", **document})


def refuse_unknown(value: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    if unknown := set(value) - set(known):
        raise TemplateError(f"property {where}.{', '.join(sorted(unknown))} is not known to the embedded AWS")


def _shaped(value: Any, shape: Any, where: str) -> Any:
    if shape.type_name == "structure":
        if not isinstance(value, Mapping):
            raise TemplateError(f"property {where} must be an object")
        shaped = {}
        for name, item in value.items():
            member = next((m for m in (name, name[:1].lower() + name[1:]) if m in shape.members), None)
            if member is None:
                raise TemplateError(f"property {where}{'.' if where else ''}{name} does not exist")
            shaped[member] = _shaped(item, shape.members[member], f"{where}.{name}".lstrip("."))
        return shaped
    if shape.type_name == "list":
        if not isinstance(value, list):
            raise TemplateError(f"property {where} must be a list")
        return [_shaped(item, shape.member, f"{where}[{index}]") for index, item in enumerate(value)]
    if shape.type_name == "map":
        if not isinstance(value, Mapping):
            raise TemplateError(f"property {where} must be an object")
        return {text(key): _shaped(item, shape.value, f"{where}.{key}") for key, item in value.items()}
    scalar = _scalar(value, shape.type_name, where)
    _check_range(scalar, shape, where)
    return scalar


def _check_range(value: Any, shape: Any, where: str) -> None:
    """The constraints of the API's own model, which moto doesn't look at."""
    if shape.type_name == "string" and (allowed := getattr(shape, "enum", None)) and value not in allowed:
        raise TemplateError(f"property {where} must be one of {', '.join(allowed)}, not {value!r}")
    measure = len(value) if shape.type_name in ("string", "blob") else value
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if not isinstance(measure, (int, float)) or isinstance(measure, bool):
        return
    if (least is not None and measure < least) or (most is not None and measure > most):
        raise TemplateError(f"property {where} must be between {least} and {most}, not {value!r}")


def _scalar(value: Any, kind: str, where: str) -> Any:
    if kind == "string":
        return json.dumps(value) if isinstance(value, (list, Mapping)) else text(value)
    try:
        if kind in ("integer", "long") and not isinstance(value, bool):
            return int(value)
        if kind in ("float", "double") and not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError):
        raise TemplateError(f"property {where} must be a number, not {value!r}") from None
    if kind == "boolean":
        if text(value) not in ("true", "false"):
            raise TemplateError(f"property {where} must be true or false, not {value!r}")
        return text(value) == "true"
    return value
