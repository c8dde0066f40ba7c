"""Numbers that are exchanged for each other, so that different ones stay different: a Feistel network of four rounds.

A number is cut in two halves; each round adds to one half what a keyed hash makes of the other one. That can be undone
for any hash, so no two numbers give the same. `OFFSET 0` keeps the planner from writing each round's expression out
into the next one's, which would compute it eight times over.
"""

from __future__ import annotations

from psycopg2 import sql

from utils.masking.policy import Phone
from utils.postgres.masking.keyed_hash import hexadecimal, sixty_bits

_ROUNDS = 4


def unique_integer(value: sql.Composable, bits: int, group: str) -> sql.Composable:
    """Return another integer of so many bits beside the sign, which it keeps."""
    right = bits // 2 + bits % 2
    start = sql.SQL(
        "SELECT positive >> {right}, positive & {low}, sign"
        " FROM (SELECT given # (given >> 63), given >> 63 FROM (SELECT CAST({value} AS bigint) OFFSET 0) given(given)"
        " OFFSET 0) start(positive, sign)"
    ).format(right=sql.Literal(right), low=sql.Literal(2**right - 1), value=value)
    mixed = _mixed(start, 2 ** (bits - right), 2**right, group)
    return sql.SQL("(SELECT ((high << {}) | low) # sign FROM ({}) mixed(high, low, sign))").format(
        sql.Literal(right), mixed
    )


def unique_phone(text: sql.Composable, action: Phone, group: str) -> sql.Composable:
    """Return a telephone number whose digits are those of the original's, exchanged."""
    high = action.digits // 2
    low = action.digits - high
    start = sql.SQL(
        "SELECT CAST(left(digits, {high}) AS bigint), CAST(right(digits, {low}) AS bigint), 0"
        " FROM (SELECT {digits} OFFSET 0) given(digits)"
    ).format(high=sql.Literal(high), low=sql.Literal(low), digits=phone_digits(text, action.digits))
    mixed = _mixed(start, 10**high, 10**low, group)
    return sql.SQL(
        "(SELECT {} || lpad(CAST(high AS text), {}, '0') || lpad(CAST(low AS text), {}, '0')"
        " FROM ({}) mixed(high, low, sign))"
    ).format(sql.Literal(action.prefix), sql.Literal(high), sql.Literal(low), mixed)


def phone_digits(text: sql.Composable, digits: int) -> sql.Composable:
    """Return the last digits of a telephone number, however it is written."""
    return sql.SQL("right(repeat('0', {digits}) || regexp_replace({text}, '[^0-9]+', '', 'g'), {digits})").format(
        digits=sql.Literal(digits), text=text
    )


def _mixed(start: sql.Composable, highs: int, lows: int, group: str) -> sql.Composable:
    """Return a query of the halves after all rounds. There are so many different high and low ones."""
    query = start
    for number in range(_ROUNDS):
        form = (
            "SELECT mod(high + {}, {}), low, sign FROM ({}) half(high, low, sign) OFFSET 0",
            "SELECT high, mod(low + {}, {}), sign FROM ({}) half(high, low, sign) OFFSET 0",
        )[number % 2]
        other, limit = (("low", highs), ("high", lows))[number % 2]
        text = sql.SQL("{} || CAST({} AS text)").format(sql.Literal(f"round {number} "), sql.Identifier(other))
        query = sql.SQL(form).format(sixty_bits(hexadecimal(text, group)), sql.Literal(limit), query)
    return query
