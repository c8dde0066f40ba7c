"""The SQL expressions of a policy: what may stand in one.

An expression is evaluated with the rights of the table's owner, and stands in the middle of a statement. So it knows
the columns of its row and PostgreSQL's own functions: a function of the database could be anybody's, and another table
could be masked or not yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_TOKEN = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | \d+(?:\.\d*)?(?:[eE][+-]?\d+)? | [^\W\d][\w$]* | -- | /\* | \s+ | .""",
    re.VERBOSE | re.DOTALL,
)
_CLOSED_BY = {"(": ")", "[": "]"}
_REFUSED = {
    "'": "has a quote that is not closed",
    '"': "has a quote that is not closed",
    ";": "has a semicolon. It is one value, not a statement",
    "--": "has a comment",
    "/*": "has a comment",
    "$": "has a dollar sign outside of quotes. There are neither parameters nor dollar quotes here",
    "\\": "has a backslash outside of quotes",
}
_SCHEMA = "pg_catalog"


def expression_fault(text: str) -> str | None:
    """Return what is wrong with the expression, or None."""
    if not text.strip():
        return "is empty"
    return next(_faults(_TOKEN.findall(text)), None)


def names_in(expression: str) -> set[str]:
    """Return the names in an expression, as PostgreSQL reads them: without quotes they are in lower case."""
    return {
        token[1:-1].replace('""', '"') if token[0] == '"' else token.lower()
        for token in _TOKEN.findall(expression)
        if _is_name(token)
    }


def _faults(tokens: list[str]) -> Iterator[str]:
    yield from (_REFUSED[token] for token in tokens if token in _REFUSED)
    for before, token in pairwise(["", *tokens]):
        if token[0] in "'\"" and before.lower() in ("e", "&"):
            yield "has a string with escapes (E'…' or U&'…'). Write it as '…'"
    yield from _bracket_faults(tokens)
    written = [token for token in tokens if not token.isspace()]
    for first, dot, second in zip(written, written[1:], [*written[2:], ""], strict=False):
        if dot == "." and _is_name(first) and first.lower() != _SCHEMA:
            yield (
                f"names {first}.{second}. It may name the columns of its row, without their table's name, and"
                " PostgreSQL's own functions; only the statements under `sql` of a database may name more"
            )


def _bracket_faults(tokens: list[str]) -> Iterator[str]:
    expected: list[str] = []
    for token in tokens:
        if token in _CLOSED_BY:
            expected.append(_CLOSED_BY[token])
        elif token in _CLOSED_BY.values() and (not expected or expected.pop() != token):
            yield f"has a {token} that nothing opens"
            return
    if expected:
        yield f"has a bracket that no {expected[-1]} closes"


def _is_name(token: str) -> bool:
    return token[0] in '"_' or token[0].isalpha()
