"""DynamoDB's notation of values: {"S": "text"}, {"N": "1"}, {"L": [...]}.

boto3 has this too, but importing boto3 for it costs every cold start 8 % more; the tests hold this against boto3's.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

Attribute = Mapping[str, Any]


def attribute(value: object) -> Any:
    """As DynamoDB takes it. Of numbers only whole ones and decimals: a float has no digits that could be trusted."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case str():
            return {"S": value}
        case int() | Decimal():
            return {"N": str(value)}
        case Mapping():
            return {"M": {name: attribute(each) for name, each in value.items()}}
        case list() | tuple():
            return {"L": [attribute(each) for each in value]}
    raise TypeError(f"DynamoDB has no attribute for a {type(value).__name__}")


def value_of(stored: Attribute) -> Any:
    """What an attribute stands for; numbers are decimals, as DynamoDB counts."""
    ((kind, content),) = stored.items()
    match kind:
        case "NULL":
            return None
        case "S" | "BOOL":
            return content
        case "N":
            return Decimal(content)
        case "M":
            return {name: value_of(each) for name, each in content.items()}
        case "L":
            return [value_of(each) for each in content]
    raise TypeError(f"An attribute of DynamoDB's type {kind} was never written by the pipeline")
