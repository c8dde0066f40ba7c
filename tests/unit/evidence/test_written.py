"""The evidence as it is written: one way of bytes, and the schemas that say what is in them."""

from __future__ import annotations

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from msgspec import Struct, inspect

from scripts.schemas import EVIDENCE_SCHEMAS, evidence_schema, evidence_schema_path
from tests.evidence_samples import BY_OUTCOME, an_index
from tests.unit.evidence.struct_values import structs, types_in
from utils.contracts.evidence import Evidence, Index, Link, written

# Each of these is written in one way in JSON.
ALLOWED = (
    inspect.BoolType,
    inspect.DateTimeType,
    inspect.IntType,
    inspect.ListType,
    inspect.LiteralType,
    inspect.NoneType,
    inspect.StrType,
    inspect.StructType,
    inspect.UnionType,
)
STRUCTS = [Evidence, Link, Index]
SAMPLES = [*BY_OUTCOME.values(), an_index()]


@pytest.mark.parametrize("struct", STRUCTS)
def test_nothing_in_it_could_be_written_in_two_ways_such_as_a_fraction(struct: type[Struct]) -> None:
    assert [kind for kind in types_in(inspect.type_info(struct)) if not isinstance(kind, ALLOWED)] == []


@pytest.mark.parametrize("struct", STRUCTS)
def test_no_time_is_without_its_zone(struct: type[Struct]) -> None:
    times = [kind for kind in types_in(inspect.type_info(struct)) if isinstance(kind, inspect.DateTimeType)]
    assert times
    assert all(kind.tz for kind in times)


def holds(value: Any) -> None:
    once = written(value)
    assert written(msgspec.json.decode(once, type=type(value))) == once
    # As Python's own writer has it, which shares no code with msgspec.
    again = json.dumps(json.loads(once), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert f"{again}\n".encode() == once


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(structs(Evidence))
def test_evidence_that_is_read_and_written_again_has_the_same_bytes(evidence: Evidence) -> None:
    holds(evidence)


@settings(max_examples=60, deadline=None)
@given(structs(Link))
def test_a_link_that_is_read_and_written_again_has_the_same_bytes(link: Link) -> None:
    holds(link)


@settings(max_examples=60, deadline=None)
@given(structs(Index))
def test_an_index_that_is_read_and_written_again_has_the_same_bytes(index: Index) -> None:
    holds(index)


@pytest.mark.parametrize("name", EVIDENCE_SCHEMAS)
def test_the_committed_schemas_are_what_the_code_says(name: str) -> None:
    made = evidence_schema(EVIDENCE_SCHEMAS[name])
    assert evidence_schema_path(name).read_text() == made, "write it again: .venv/bin/python -m scripts.schemas"


def validator(struct: type[Struct]) -> Any:
    schema = json.loads(evidence_schema(struct))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: getattr(sample, "outcome", "index"))
def test_what_is_written_is_what_the_schema_says(sample: Struct) -> None:
    validator(type(sample)).validate(json.loads(written(sample)))


def test_the_schema_knows_every_field_and_no_other() -> None:
    valid = validator(Evidence).is_valid
    whole = json.loads(written(SAMPLES[0]))
    for part in (whole, whole["snapshot"], whole["checks"]["results"][0]):
        part["more"] = 1
        assert not valid(whole)
        del part["more"]
        name, value = part.popitem()
        assert not valid(whole)
        part[name] = value
    assert valid(whole)


def test_the_schema_calls_each_time_one() -> None:
    schema = json.loads(evidence_schema(Link))
    assert schema["$defs"]["Link"]["properties"]["closed_at"] == {"type": "string", "format": "date-time"}
