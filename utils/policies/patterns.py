"""Names with wildcards: `app.users.email`, `"app.*.email"`, `"app.events.{ip,agent}"`.

Names are those of the catalogue, exactly: nothing is folded to lower case. A part in double quotes stands for itself,
so that a name may hold a dot, a brace or a star; two double quotes in it are one.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator, Sequence

from msgspec import Struct

MAX_ALTERNATIVES = 1000
_PART = re.compile(r'"((?:[^"]|"")+)"|([^."{}]*(?:\{[^{}"]*\}[^."{}]*)*)')
_BRACES = re.compile(r"\{([^{}]*)\}")


class Pattern(Struct, frozen=True):
    """A name in parts, such as schema, table and column, in which * and ? may stand for others."""

    text: str
    parts: tuple[str, ...]
    """Regular expressions, one for each part of the name."""
    name: tuple[str, ...] | None
    """The one name that it means, unless it has wildcards."""

    @property
    def exact(self) -> bool:
        """Return whether the pattern means one name only."""
        return self.name is not None


class InvalidPattern(ValueError):
    """What is wrong with a pattern."""


def parse_patterns(text: str, parts: int) -> list[Pattern]:
    """Return one pattern for each combination of what stands in braces. Raises InvalidPattern."""
    found = [text] if parts == 1 else _split(text)
    if len(found) != parts or not all(found):
        raise InvalidPattern(
            f"is no name of {parts} parts between dots, such as {'.'.join(['app', 'users', 'email'][:parts])}"
        )
    choices = [list(_alternatives(part)) for part in found]
    combined = list(itertools.islice(itertools.product(*choices), MAX_ALTERNATIVES + 1))
    if len(combined) > MAX_ALTERNATIVES:
        raise InvalidPattern(f"stands for more than {MAX_ALTERNATIVES} names")
    return [_pattern(text, each) for each in combined]


def _pattern(text: str, alternatives: Sequence[tuple[str, str | None]]) -> Pattern:
    names = [name for _, name in alternatives if name is not None]
    return Pattern(
        text, tuple(regex for regex, _ in alternatives), tuple(names) if len(names) == len(alternatives) else None
    )


def matches(pattern: Pattern, name: Sequence[str]) -> bool:
    """Return whether each part of the name is one that the pattern means."""
    return all(_compiled(regex).fullmatch(part) for regex, part in zip(pattern.parts, name, strict=True))


@functools.cache
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex, re.DOTALL)


def _split(text: str) -> list[str]:
    found, position = [], 0
    while True:
        part = _PART.match(text, position)
        if part is None:
            return []
        found.append(part[0])
        position = part.end()
        if position == len(text):
            return found
        if text[position] != ".":
            raise InvalidPattern("has a quote or a brace that is not closed, or stands beside something in its part")
        position += 1


def _alternatives(part: str) -> Iterator[tuple[str, str | None]]:
    """Yield a regular expression for each alternative of a part, and the name that it means if it is one only."""
    if part.startswith('"') and part.endswith('"') and len(part) > 2:
        name = part[1:-1].replace('""', '"')
        yield re.escape(name), name
        return
    # Every second piece stood in braces.
    choices = [piece.split(",") if number % 2 else [piece] for number, piece in enumerate(_BRACES.split(part))]
    for each in itertools.islice(itertools.product(*choices), MAX_ALTERNATIVES + 1):
        name = "".join(each)
        if not name:
            raise InvalidPattern("has an empty alternative")
        yield _regex(name), None if "*" in name or "?" in name else name


def _regex(name: str) -> str:
    """Return the regular expression of a name with wildcards, which never looks back: as Python's fnmatch has it."""
    first, *rest = (re.escape(piece).replace(re.escape("?"), ".") for piece in name.split("*"))
    if not rest:
        return first
    return first + "".join(f"(?>.*?{piece})" for piece in rest[:-1]) + ".*" + rest[-1]
