"""What may stand in an SQL expression of a policy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.masking.expressions import expression_fault, names_in


@pytest.mark.parametrize(
    "expression",
    [
        "'Ticket ' || id",
        "NULL",
        "id::text || '; -- $$ \\ \" ( app.users.x'",
        "'it''s ' || \"Odd;\"\" Name\"",
        "CASE WHEN kind = 'a' THEN 1.5e3 ELSE round(amount, -2) END",
        "pg_catalog.upper(left(name, 1)) || '.'",
        "(values[1])::numeric(5, 2)",
        "make_date(extract(year from birth)::int, 1, 1)",
        "date '2000-01-01' + 1",
        "1.",
        "(ARRAY['x', 'y'])[1 + id % 2]",
        "coalesce(title, 'e')",
    ],
)
def test_an_expression_over_the_row_is_taken(expression: str) -> None:
    assert expression_fault(expression) is None


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        (" \n", "is empty"),
        ("1; DROP TABLE app.users", "has a semicolon"),
        ("1 -- x", "has a comment"),
        ("1 /* x */", "has a comment"),
        ("'a", "has a quote that is not closed"),
        ('"a', "has a quote that is not closed"),
        ("$$a$$", "has a dollar sign"),
        ("$1", "has a dollar sign"),
        ("E'a\\'' || 'b'", "has a quote that is not closed"),
        ("e'a'", "has a string with escapes"),
        ("U&'\\0061'", "has a string with escapes"),
        ('u&"a"', "has a string with escapes"),
        ("1)", "has a ) that nothing opens"),
        ("(1]", "has a ] that nothing opens"),
        ("1 WHERE true), x = (2", "has a ) that nothing opens"),
        ("(1", "has a bracket that no ) closes"),
        ("app.mask(name)", "names app.mask"),
        ("app . mask(name)", "names app.mask"),
        ('"app"."mask"(name)', 'names "app"."mask"'),
        ("(SELECT name FROM app.people LIMIT 1)", "names app.people"),
        ("name::app.label", "names app.label"),
        ("name OPERATOR(app.+) 'x'", "names app.+"),
        ("users.*", "names users.*"),
        ("1 \\ 2", "has a backslash"),
    ],
)
def test_what_would_leave_the_row_or_the_expression_is_refused(expression: str, fault: str) -> None:
    found = expression_fault(expression)
    assert found is not None
    assert found.startswith(fault)


@given(st.text(alphabet=st.sampled_from("a.'\"$;()[]-/*\\ \ne&u1\x85é"), max_size=20))
def test_what_is_taken_ends_where_it_ends(expression: str) -> None:
    """Nothing that is taken leaves a quote, a comment or a bracket open for what follows it in the statement."""
    if expression_fault(expression) is None:
        assert expression_fault(f"({expression})") is None
        assert expression_fault(f"'x' || ({expression}) || 'y'") is None


def test_names_are_read_as_postgresql_reads_them() -> None:
    assert names_in('Upper(Name) || "Odd ""X" || \'name2\'') == {"upper", "name", 'Odd "X'}
