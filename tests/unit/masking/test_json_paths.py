"""Paths into documents."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.masking.json_paths import InvalidPath, conflict, parse_path


@pytest.mark.parametrize(
    ("text", "steps", "below"),
    [
        ("$", (), False),
        ("$.a", ("a",), False),
        ("$.a.b", ("a", "b"), False),
        ("$[*]", (None,), False),
        ("$.a[*].b[*]", ("a", None, "b", None), False),
        ("$.a.**", ("a",), True),
        ("$.**", (), True),
        ('$."a.b".c', ("a.b", "c"), False),
        ('$."q\\"$"', ('q"$',), False),
        ('$."\\u00e9"."".x', ("é", "", "x"), False),
        ("$.été.größe-1", ("été", "größe-1"), False),
    ],
)
def test_a_path_is_read_step_by_step(text: str, steps: tuple[str | None, ...], below: bool) -> None:
    assert parse_path(text) == (steps, below)


@pytest.mark.parametrize(
    "text",
    ["", "a", "$a", "$.", "$..a", "$.a[0]", "$.a[", "$.**.a", "$.*", "$.a b", '$."a', '$."\\x"', "$.a.$", "$ .a"],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(InvalidPath):
        parse_path(text)


@given(st.lists(st.text(), max_size=5))
def test_any_key_can_be_written_in_quotes(keys: list[str]) -> None:
    assert parse_path("$" + "".join(f".{json.dumps(key)}" for key in keys)) == (tuple(keys), False)


def test_a_path_contradicts_one_that_leads_through_it() -> None:
    assert conflict(("a",), ("a", "b"))
    assert conflict(("a", None), ("a", None))
    assert conflict((), ("a",))
    assert not conflict(("a", "b"), ("a", "c"))
    assert not conflict(("a", None), ("a", "b"))
