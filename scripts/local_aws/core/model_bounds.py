"""What a service refuses of a request before it looks at anything: values out of the bounds of the service's model.

The wording is as recorded on AWS: of Step Functions in LocalStack's validated snapshots, tests/aws/services/
stepfunctions/v2, test_sfn_api.py (test_list_executions_pagination, test_state_machine_status_filter) and
test_sfn_api_aliasing.py (test_error_create_alias_invalid_router_configs, test_error_create_alias_invalid_name); of
Secrets Manager in kubernetes-sigs/cluster-api-provider-aws#1531.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from moto.core.utils import get_service_model

from scripts.local_aws.core.errors import AwsError

_MEASURES = {"integer": "value", "long": "value", "string": "length", "blob": "length", "list": "length"}
_ENUM_ORDERS = {"ExecutionStatus": ["SUCCEEDED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "FAILED", "RUNNING"]}
"""AWS lists an enumeration in an order of its own; other than these are not recorded and come in the model's."""


def check(service: str, operation: str, parameters: Mapping[str, Any]) -> None:
    """Raise ValidationException for what the model does not allow. Blobs are bytes among these parameters."""
    shape = get_service_model(service).operation_model(operation).input_shape
    problems = list(_problems(shape, parameters, ""))
    if problems:
        plural = "s" if len(problems) > 1 else ""
        message = f"{len(problems)} validation error{plural} detected: {'; '.join(problems)}"
        raise AwsError("ValidationException", message)


def _problems(shape: Any, value: Any, where: str) -> Iterator[str]:
    for constraint in _broken(shape, value):
        shown = "Value" if shape.metadata.get("sensitive") else f"Value '{_java_text(shape, value)}'"
        yield f"{shown} at '{where}' failed to satisfy constraint: Member must {constraint}"
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if value.get(name) is not None:
                own = name[:1].lower() + name[1:]
                yield from _problems(member, value[name], f"{where}.{own}" if where else own)
    elif shape.type_name == "list":
        for number, each in enumerate(value, start=1):
            yield from _problems(shape.member, each, f"{where}.{number}.member")


def _broken(shape: Any, value: Any) -> Iterator[str]:
    bounds, measure = shape.metadata, _MEASURES.get(shape.type_name)
    if measure is not None:
        size = value if measure == "value" else len(value)
        if size > bounds.get("max", size):
            yield f"have {measure} less than or equal to {bounds['max']}"
        if size < bounds.get("min", size):
            yield f"have {measure} greater than or equal to {bounds['min']}"
    if "enum" in bounds and value not in bounds["enum"]:
        yield f"satisfy enum value set: [{', '.join(_ENUM_ORDERS.get(shape.name, bounds['enum']))}]"
    pattern = bounds.get("pattern")
    if pattern is not None and r"\p{" not in pattern and not re.search(pattern, value):
        yield f"satisfy regular expression pattern: {pattern}"


def _java_text(shape: Any, value: Any) -> str:
    """Return a value as AWS's servers write it into a refusal: a structure with its name, a list in brackets."""
    if shape.type_name == "list":
        return f"[{', '.join(_java_text(shape.member, each) for each in value)}]"
    if shape.type_name == "structure":
        members = (f"{name}={_java_text(member, value.get(name))}" for name, member in shape.members.items())
        return f"{shape.name}({', '.join(members)})"
    return str(value)
