"""No text of somebody else's forges a line of ours, hides what it is, or is too long to be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.foreign_text import listed, one_line, own_lines


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("orders", "orders"),
        ("größe 表 ñ", "größe 表 ñ"),
        ("a\nDeleted    prod-orders", "a\\nDeleted    prod-orders"),
        ("a\r\x0b\x0c\x85\u2028\u2029b", "a\\r\\x0b\\x0c\\x85\\u2028\\u2029b"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("safe\u202egpj.exe", "safe\\u202egpj.exe"),
        ("zero\u200bwidth\ufeff", "zero\\u200bwidth\\ufeff"),
        ("half \ud800", "half \\ud800"),
        ("no-break\xa0space", "no-break\\xa0space"),
        (None, "None"),
    ],
)
def test_what_isnt_printable_is_shown_escaped(text: object, shown: str) -> None:
    assert one_line(text) == shown


@given(st.text(alphabet=st.characters()), st.integers(0, 100))
def test_whatever_the_text_is_it_becomes_one_bounded_printable_line(text: str, most: int) -> None:
    shown = one_line(text, most)
    assert shown.isprintable()
    assert len(shown.splitlines()) <= 1
    # An escape is ten characters at most, as in \U000e0001.
    assert len(shown) <= 10 * most + len(f"… ({len(text)} characters)")


@given(st.text(alphabet=st.characters(), max_size=300))
def test_done_twice_it_escapes_nothing_twice(text: str) -> None:
    shown = one_line(text, 10_000)
    assert one_line(shown, 10_000) == shown


def test_megabytes_are_cut_and_their_length_is_said() -> None:
    assert one_line("x" * 5_000_000, 3) == "xxx… (5000000 characters)"


def test_lines_of_our_own_stay_lines_and_are_bounded_together() -> None:
    assert own_lines("one\ntwo\x1b\u2028three", 100) == ["one", "two\\x1b\\u2028three"]
    assert own_lines("one\n" * 1_000_000, 8) == ["one", "one", "", "… (4000000 characters)"]


def test_many_names_are_counted() -> None:
    assert listed(["a", "b\n"]) == "a, b\\n"
    assert listed(range(60), most=2) == "0, 1 and 58 more"
