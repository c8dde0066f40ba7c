"""moto asks of every attribute of an item under which of ten names its value stands, and of everything in it again.

A DynamoDB item holds a hundred of them, so that took a third of all the time that DynamoDB's answers take. moto keeps
them as they are sent, but for bytes: what holds none is sent as it stands.
"""

from __future__ import annotations

from typing import Any

from moto.core.serialize import BaseJSONSerializer

_serialize_member_by_member = BaseJSONSerializer._serialize_type_structure


def install() -> None:
    """Replace moto's way for this process, once and for all."""
    BaseJSONSerializer._serialize_type_structure = _serialize  # type: ignore[method-assign,assignment]


def _serialize(serializer: BaseJSONSerializer, serialized: Any, value: Any, shape: Any, key: str) -> None:
    if shape.name == "AttributeValue" and key and _is_as_sent(value):
        serializer._default_serialize(serialized, value, shape, key)
    else:
        _serialize_member_by_member(serializer, serialized, value, shape, key)


def _is_as_sent(value: Any) -> bool:
    """Return whether a value is plain JSON."""
    if isinstance(value, dict):
        return all(map(_is_as_sent, value.values()))
    if isinstance(value, list):
        return all(map(_is_as_sent, value))
    return isinstance(value, (str, bool))
