"""Texts: what replaces one, and the form that what replaced it has."""

from __future__ import annotations

import re

from psycopg2 import sql

from utils.masking.actions import decimals, how_many
from utils.masking.fitting import EMAIL_AFTER, EMAIL_BEFORE, MASK, PERSON, PERSON_DIGITS
from utils.masking.policy import Action, Constant, Email, Hash, Name, Number, Phone, Text
from utils.postgres.masking.keyed_hash import hexadecimal, sixty_bits
from utils.postgres.masking.permutation import unique_phone

# A hash begins with a letter that is no hexadecimal digit: numbers, and hashes of the data's own, do not look masked.
HASHED = "m"
_SHA256_DIGITS = 64
_HEXADECIMAL, _DECIMAL = "[0-9a-f]", "[0-9]"


def masked_text(text: sql.Composable, action: Action, group: str) -> sql.Composable:
    """Return what replaces a text; for `number`, what replaces the number that it shows. NULL stays NULL."""
    hashed = hexadecimal(text, group)
    match action:
        case Constant():
            return sql.SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(text, sql.Literal(action.value))
        case Hash():
            return _prefixed(HASHED, hashed, action.length - len(HASHED))
        case Email():
            return sql.SQL("{} || {}").format(_prefixed(EMAIL_BEFORE, hashed, action.length), sql.Literal(EMAIL_AFTER))
        case Name():
            return _prefixed(PERSON, hashed, PERSON_DIGITS)
        case Text():
            length = action.length - len(MASK)
            times = sql.Literal(-(-length // _SHA256_DIGITS))
            return _prefixed(MASK, sql.SQL("repeat({}, {})").format(hashed, times), length)
        case Phone(unique=True):
            return unique_phone(text, action, group)
        case Phone():
            digits = sql.SQL("CAST(mod({}, {}) AS text)").format(sixty_bits(hashed), sql.Literal(10**action.digits))
            return sql.SQL("{} || lpad({}, {}, '0')").format(
                sql.Literal(action.prefix), digits, sql.Literal(action.digits)
            )
        case Number():
            return sql.SQL("CAST({} AS numeric) + mod({}, {}) * CAST({} AS numeric)").format(
                sql.Literal(action.least),
                sixty_bits(hashed),
                sql.Literal(how_many(action)),
                sql.Literal(f"1e-{decimals(action)}"),
            )
    raise TypeError(type(action).__name__)


def _prefixed(prefix: str, digits: sql.Composable, length: int) -> sql.Composable:
    return sql.SQL("({} || left({}, {}))").format(sql.Literal(prefix), digits, sql.Literal(length))


def text_not_masked(text: sql.Composable, action: Action) -> sql.Composable | None:
    """Return a condition that is true for a text without the masked form."""
    match action:
        case Constant():
            return sql.SQL("{} <> {}").format(text, sql.Literal(action.value))
        case Hash():
            return _unlike(text, HASHED, _HEXADECIMAL, action.length - len(HASHED))
        case Email():
            return _unlike(text, EMAIL_BEFORE, _HEXADECIMAL, action.length, EMAIL_AFTER)
        case Name():
            return _unlike(text, PERSON, _HEXADECIMAL, PERSON_DIGITS)
        case Text():
            return _unlike(text, MASK, _HEXADECIMAL, action.length - len(MASK))
        case Phone():
            return _unlike(text, action.prefix, _DECIMAL, action.digits)
        case _:
            return None


def _unlike(text: sql.Composable, before: str, digits: str, count: int, after: str = "") -> sql.Composable:
    """Return a condition that is true for a text that is not so many digits between two given texts.

    A regular expression of all of it would cost as much as masking: PostgreSQL computes the states of its automaton for
    each text again, and each repetition that is counted has its own (PostgreSQL's source, regexec.c, newdfa). It
    repeats nothing more than 255 times either.
    """
    like = sql.Literal(f"{_escaped(before)}%{_escaped(after)}")
    return sql.SQL(
        "({text} NOT LIKE {like} OR length({text}) <> {length} OR substr({text}, {start}, {count}) !~ {digits})"
    ).format(
        text=text,
        like=like,
        length=sql.Literal(len(before) + count + len(after)),
        start=sql.Literal(len(before) + 1),
        count=sql.Literal(count),
        digits=sql.Literal(f"^{digits}*$"),
    )


def _escaped(text: str) -> str:
    """Return the pattern of LIKE for this very text."""
    return re.sub(r"([%_\\])", r"\\\1", text)
