"""The committed JSON Schema says what a request is, as the code reads it."""

from __future__ import annotations

import json
from typing import Any

from scripts.schemas import SCHEMA, schema
from utils.request.fields import FIELDS

COMMITTED: dict[str, Any] = json.loads(SCHEMA.read_text())


def test_the_committed_schema_is_what_the_code_says() -> None:
    assert SCHEMA.read_text() == schema(), "write it again: .venv/bin/python -m scripts.schemas"


def test_every_field_is_explained() -> None:
    properties = COMMITTED["$defs"]["RestoreRequest"]["properties"]
    assert set(properties) == set(FIELDS)
    assert all(each["description"] for each in properties.values())


def test_a_mistyped_field_is_refused_by_the_schema_as_by_the_code() -> None:
    assert COMMITTED["$defs"]["RestoreRequest"]["additionalProperties"] is False
    assert not COMMITTED["$defs"]["RestoreRequest"]["required"], "{} runs the configured restore"
