"""DynamoDB's notation: ours says what boto3's says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from hypothesis import given
from hypothesis import strategies as st

from utils.attributes import attribute, value_of

NUMBERS = st.integers(-(10**37), 10**37) | st.decimals(-(10**9), 10**9, places=4)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.text() | NUMBERS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1), inner),
    max_leaves=20,
)


@given(VALUES)
def test_a_value_is_written_as_boto3_writes_it(value: Any) -> None:
    assert attribute(value) == TypeSerializer().serialize(value)


@given(VALUES)
def test_a_stored_value_is_read_as_boto3_reads_it(value: Any) -> None:
    stored = TypeSerializer().serialize(value)
    assert value_of(stored) == TypeDeserializer().deserialize(stored) == value


def test_numbers_come_back_as_decimals() -> None:
    assert isinstance(value_of({"N": "0.1"}), Decimal)


@pytest.mark.parametrize("value", [0.1, b"bytes", {1, 2}, object()])
def test_what_the_pipeline_never_stores_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="has no attribute"):
        attribute(value)


def test_an_attribute_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="type SS was never written"):
        value_of({"SS": ["a"]})
