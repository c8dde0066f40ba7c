"""Names with wildcards."""

from __future__ import annotations

import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.policies.patterns import InvalidPattern, matches, parse_patterns

NAMES = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize(
    ("text", "name", "does"),
    [
        ("app.users.email", "app.users.email", True),
        ("app.users.email", "app.users.Email", False),
        ("app.*.email", "app.users.email", True),
        ("app.*.email", "app.a.b.email", False),
        ("*.*.*", "app.users.email", True),
        ("app.user?.e*", "app.users.email", True),
        ("app.user?.e*", "app.user.email", False),
        ("app.{users,people}.email", "app.people.email", True),
        ("app.{users,people}.email", "app.animals.email", False),
        ("app.old_{a,b*}.x", "app.old_bcd.x", True),
        ("app.{a,b}_{c,d}.x", "app.b_c.x", True),
        ("app.a+b.x", "app.aab.x", False),
        ("app.users.*", "app.users.two\nlines", True),
    ],
)
def test_a_pattern_matches_what_it_says(text: str, name: str, does: bool) -> None:
    assert any(matches(pattern, name.split(".", 2)) for pattern in parse_patterns(text, 3)) == does


@given(st.text("ab*?", min_size=1, max_size=6), st.text("ab", max_size=6))
def test_wildcards_mean_what_they_mean_everywhere(text: str, name: str) -> None:
    (pattern,) = parse_patterns(text, 1)
    assert matches(pattern, [name]) == fnmatch.fnmatchcase(name, text)


def test_a_pattern_of_many_wildcards_takes_no_longer() -> None:
    (pattern,) = parse_patterns("*a" * 40 + "b", 1)
    assert not matches(pattern, ["a" * 63])


def test_a_quoted_part_stands_for_itself() -> None:
    (pattern,) = parse_patterns('app."a.b*""{c}".x', 3)
    assert pattern.name == ("app", 'a.b*"{c}', "x")
    assert matches(pattern, ("app", 'a.b*"{c}', "x"))
    assert not matches(pattern, ("app", 'a.bb"{c}', "x"))


def test_names_in_braces_are_as_exact_as_written_one_by_one() -> None:
    assert [pattern.name for pattern in parse_patterns("app.t.{a,b}", 3)] == [("app", "t", "a"), ("app", "t", "b")]
    assert [pattern.exact for pattern in parse_patterns("app.t.{a,b*}", 3)] == [True, False]


def test_the_name_of_a_database_may_have_dots() -> None:
    assert [pattern.name for pattern in parse_patterns("shop.prod", 1)] == [("shop.prod",)]


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "a.b", "a.b.c.d", "a..c", ".b.c", "a.b.", 'a.b."c', 'a.b."c"d'),
        *(
            "a.b.{c",
            "a.b.c}",
            "a.b.{c{d}}",
            "a.b.{,c}",
            "{0,1,2,3,4,5,6,7,8,9}.{a,b,c,d,e}.{0,1,2,3,4,5,6,7,8,9}x{y,z,a}",
        ),
        "a.b.{" + "x," * 2000 + "y}",
    ],
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(InvalidPattern):
        parse_patterns(text, 3)


@given(NAMES, NAMES, NAMES)
def test_any_name_can_be_written_in_quotes(schema: str, table: str, column: str) -> None:
    (pattern,) = parse_patterns(".".join(map(quoted, (schema, table, column))), 3)
    assert pattern.name == (schema, table, column)
    assert matches(pattern, (schema, table, column))
