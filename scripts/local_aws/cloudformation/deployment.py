"""How a template's resources become real: by calls to the services' own APIs, each checked before it is made.

A property that the API's own model does not know, at any depth, fails the deployment and names the resource.
CloudFormation's loose values ("30", "true", a policy as an object) are turned into what the model asks for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ParamValidationError
from moto.utilities.utils import get_partition

from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text

if TYPE_CHECKING:
    from scripts.local_aws.cloudformation.accounts import Account

Properties = dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """A resource of a stack as it was created or changed last."""

    made: Created
    properties: Properties
    on_delete: str
    on_replace: str


class Deployment:
    """One stack in one region, whose resources are being created or changed."""

    def __init__(self, account: Account, stack_name: str, region: str) -> None:
        self.account = account
        self.stack_name = stack_name
        self.region = region
        self.names: dict[str, str] = {}
        """Names that are not generated as usual, by logical id: of what exists already, or of what replaces it."""

    def name(self, logical_id: str, longest: int = 255, separator: str = "-") -> str:
        """Return a name such as CloudFormation generates; the same for the same stack, so that runs are comparable."""
        if logical_id in self.names:
            return self.names[logical_id][:longest]
        unique = hashlib.sha256(f"{self.stack_name}/{self.region}/{logical_id}".encode()).hexdigest()[:12].upper()
        prefix = f"{self.stack_name}{separator}{logical_id}"[: longest - 13]
        return f"{prefix}{separator}{unique}"

    def arn(self, service: str, rest: str) -> str:
        """Return the ARN of a resource of the stack's account and region."""
        return f"arn:{get_partition(self.region)}:{service}:{self.region}:{self.account.account_id}:{rest}"

    def call(self, service: str, operation: str, properties: Mapping[str, Any], **renamed: Any) -> Any:
        """Call the API with properties of the same names (its own capitals) and others given by name."""
        client = self.account.client(service, self.region)
        shape = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation]).input_shape
        given = {**properties, **{name: value for name, value in renamed.items() if value is not None}}
        return getattr(client, operation)(**_shaped(given, shape, ""))


@contextlib.contextmanager
def named(logical_id: str, resource_type: str) -> Iterator[None]:
    """Turn everything that goes wrong with a resource into a TemplateError that names it."""
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
    """Return the named ones of the properties, where they are given."""
    return {name: properties[name] for name in names if name in properties}


def without(properties: Properties, *names: str) -> Properties:
    """Return the properties but for the named ones."""
    return {name: value for name, value in properties.items() if name not in names}


def changed_properties(old: Properties, new: Properties) -> set[str]:
    """Return the names of the properties that differ."""
    return {name for name in {*old, *new} if old.get(name) != new.get(name)}


def policy(document: Any) -> str:
    """Return the document as text. AWS takes one without Version; moto does not."""
    if isinstance(document, str):
        return document
    return json.dumps({"Version": "2012-10-17", **document})


def refuse_unknown(value: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Refuse an object of the template that has a property of another name."""
    if unknown := set(value) - set(known):
        raise TemplateError(f"property {where}.{', '.join(sorted(unknown))} is not known to the embedded AWS")


def _shaped(value: Any, shape: Any, where: str) -> Any:
    if shape.type_name in ("structure", "map") and not isinstance(value, Mapping):
        raise TemplateError(f"property {where} must be an object")
    if shape.type_name == "structure":
        shaped = {}
        for name, item in value.items():
            member = next((m for m in (name, name[:1].lower() + name[1:]) if m in shape.members), None)
            if member is None:
                raise TemplateError(f"property {where}{'.' if where else ''}{name} does not exist")
            if member in ("Tags", "tags", "TagSet"):
                item = _tags(item, shape.members[member])
            shaped[member] = _shaped(item, shape.members[member], f"{where}.{name}".lstrip("."))
        return shaped
    if shape.type_name == "list":
        if not isinstance(value, list):
            raise TemplateError(f"property {where} must be a list")
        return [_shaped(item, shape.member, f"{where}[{index}]") for index, item in enumerate(value)]
    if shape.type_name == "map":
        return {text(key): _shaped(item, shape.value, f"{where}.{key}") for key, item in value.items()}
    scalar = _scalar(value, shape.type_name, where)
    _check_range(scalar, shape, where)
    return scalar


def _tags(tags: Iterable[Mapping[str, Any]], shape: Any) -> Properties | list[Properties]:
    """Return CloudFormation's tags, a list of Key and Value, as the API takes them. Refuse what AWS would refuse."""
    keys, values = [text(tag["Key"]) for tag in tags], [text(tag["Value"]) for tag in tags]
    if len(set(keys)) != len(keys):
        raise TemplateError("Duplicate tag keys")
    if any(key.lower().startswith("aws:") for key in keys):
        raise TemplateError("Tag keys cannot start with the reserved prefix aws:")
    if shape.type_name == "map":
        return dict(zip(keys, values, strict=True))
    prefix = "Tag" if "TagKey" in shape.member.members else ""
    return [{f"{prefix}Key": key, f"{prefix}Value": value} for key, value in zip(keys, values, strict=True)]


def _check_range(value: Any, shape: Any, where: str) -> None:
    """Refuse what breaks the constraints of the API's own model, which moto does not look at."""
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
