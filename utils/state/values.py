"""The values of a table's item: what DynamoDB takes of them and returns, and moments as texts and numbers."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec


def iso(moment: dt.datetime) -> str:
    """Return the time in UTC with milliseconds, always of one width, so that texts sort like times."""
    return moment.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch(moment: dt.datetime) -> int:
    """Return the time in whole seconds since 1970, as DynamoDB's TTL reads it."""
    return int(moment.timestamp())


def plain(value: object) -> Any:
    """Return the value as DynamoDB takes it: structs become maps, times texts, numbers decimals or texts."""
    return _storable(msgspec.to_builtins(value))


def unstored(value: Any) -> Any:
    """Return the value as it was before it was stored: DynamoDB returns every number as a decimal."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {name: unstored(each) for name, each in value.items()}
    return [unstored(each) for each in value] if isinstance(value, list) else value


def _storable(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _number(Decimal(str(value)))
    if isinstance(value, dict):
        return {str(key): _storable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_storable(each) for each in value]
    return value


def _number(value: Decimal) -> Decimal | str:
    """Return a text beyond DynamoDB's numbers, which have 38 digits and magnitudes from 1E-130 to 9.9E+125."""
    if value == 0 or (value.is_finite() and len(value.as_tuple().digits) <= 38 and -130 <= value.adjusted() <= 125):
        return value
    return str(value)
