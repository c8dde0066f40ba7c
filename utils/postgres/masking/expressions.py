"""What an action means as SQL: the value that replaces another, and how a value that was not replaced is known.

Set-based, and of PostgreSQL's own functions alone: nothing of the database is called, and no cast to or from a type
that a user created is looked up. `search_path` has to be pg_catalog, where functions and operators are found, and
standard_conforming_strings on. All is deterministic: one salt, one group and one value give one result. A hash of a
hash is another one, so a row must be masked once only.
"""

from __future__ import annotations

from psycopg2 import sql

from utils.masking.columns import Column
from utils.masking.fitting import ADDRESSES, TEXTS, WHOLE_NUMBERS, element_of
from utils.masking.policy import (
    Action,
    Constant,
    DateShift,
    Each,
    Email,
    Expression,
    Hash,
    Json,
    Number,
    Phone,
    SetNull,
)
from utils.postgres.masking.json_documents import as_jsonb, document_not_masked, document_refused, masked_document
from utils.postgres.masking.keyed_hash import hexadecimal, sixty_bits
from utils.postgres.masking.permutation import phone_digits, unique_integer
from utils.postgres.masking.texts import masked_text, text_not_masked

# Of an array (PostgreSQL's source, MAXDIM).
MAX_DIMENSIONS = 6
DAY_SECONDS = 86_400
# What marks a masked value of bytes, and a masked address: one of those for documentation (RFC 3849).
_MASKED_BYTES = sql.SQL("convert_to('masked:', 'UTF8')")
_MASKED_BYTES_LENGTH = 39
_ADDRESSES = sql.SQL("CAST('2001:db8::/32' AS inet)")
# Version 8, which is for own kinds (RFC 9562): no database generates such ones. All other of its text is as PostgreSQL
# writes each.
_MASKED_UUID = f"{'_' * 14}8{'_' * 4}8{'_' * 16}"
_BOUND, _ELEMENT = sql.SQL("bound.value"), sql.SQL("element.value")


def masked_value(column: Column, action: Action, group: str) -> sql.Composable:
    """Return what replaces the column's value, in the type that its own is made of. NULL stays NULL.

    `group` is whose values are masked alike, unless the action names its own. An expression of the policy is not cast:
    PostgreSQL then refuses what does not fit, where a cast would cut it off.
    """
    if isinstance(action, Expression):
        given = sql.Identifier(column.name)
        return sql.SQL("CASE WHEN {} IS NULL THEN NULL ELSE ({}) END").format(given, sql.SQL(action.sql))
    # No domain is left, whose CHECK would run where a branch of an expression became one again.
    value = _cast(sql.Identifier(column.name), column)
    if isinstance(action, Each | Json):
        return _bound(value, _cast(_masked(_BOUND, column, action, group), column))
    return _cast(_masked(value, column, action, group), column)


def not_masked(column: Column, action: Action) -> sql.Composable | None:
    """Return a condition that is true for a value without the masked form; None where there is no such form."""
    if isinstance(action, Each | Json):
        return _bound_condition(column, _not_masked(_BOUND, column, action))
    return _not_masked(sql.Identifier(column.name), column, action)


def refused(column: Column, action: Action) -> sql.Composable | None:
    """Return a condition that is true for an original value which the action refuses; None if it refuses none."""
    return _bound_condition(column, _refused(_BOUND, column, action))


def distinct_by(column: Column, action: Action) -> sql.Composable | None:
    """Return what the masked value depends on if that is less than the value, else None."""
    value = sql.Identifier(column.name)
    match action:
        case Hash(lower=True) | Email(lower=True) if column.base in TEXTS - {"citext"}:
            return _text_of(value, column, lower=True)
        case Phone(unique=True):
            return phone_digits(_text_of(value, column), action.digits)
    return None


def _bound(value: sql.Composable, expression: sql.Composable) -> sql.Composable:
    """Return the expression over `bound.value`: within a subquery, a column's bare name could be another one's."""
    return sql.SQL("(SELECT {} FROM (SELECT {} OFFSET 0) bound(value))").format(expression, value)


def _bound_condition(column: Column, condition: sql.Composable | None) -> sql.Composable | None:
    return None if condition is None else _bound(sql.Identifier(column.name), condition)


def _cast(value: sql.Composable, column: Column) -> sql.Composable:
    return sql.SQL("CAST({} AS {})").format(value, sql.SQL(column.type))


def _text_of(value: sql.Composable, column: Column, *, lower: bool = False) -> sql.Composable:
    """Return the value as the text that is hashed, which is the same one under all settings of a session."""
    if column.base == "citext" or (lower and column.base in TEXTS):
        # As citext compares: under the database's own collation (PostgreSQL's source, citextcmp).
        return sql.SQL('lower(CAST({} AS text) COLLATE "default") COLLATE "C"').format(value)
    if column.base in ("date", "timestamp", "timestamptz"):
        return sql.SQL("CAST(EXTRACT(epoch FROM {}) AS text)").format(value)
    if column.base == "bytea":
        return sql.SQL("encode({}, 'hex')").format(value)
    return sql.SQL('CAST({} AS text) COLLATE "C"').format(value)


def _shown(value: sql.Composable, column: Column) -> sql.Composable:
    """Return the value as a text, by its output function where a user could have created a cast."""
    if column.array:
        return sql.SQL("textin(array_out({}))").format(value)
    if column.labels is not None:
        return sql.SQL("textin(enum_out({}))").format(value)
    return sql.SQL('CAST({} AS text) COLLATE "C"').format(value)


def _masked(value: sql.Composable, column: Column, action: Action, group: str) -> sql.Composable:
    group = getattr(action, "group", None) or group
    text = _text_of(value, column, lower=getattr(action, "lower", False))
    match action:
        case SetNull():
            return sql.SQL("NULL")
        case Constant():
            constant = _cast(sql.Literal(action.value), column)
            return sql.SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(value, constant)
        case Each():
            return _each(value, element_of(column), action.action, group)
        case Json():
            document = as_jsonb(value) if column.base == "json" else value
            masked = _bound(document, masked_document(_BOUND, action, group))
            return sql.SQL("CASE WHEN {} IS NOT NULL THEN {} END").format(value, masked)
        case DateShift():
            return _shifted(value, column, action, sixty_bits(hexadecimal(text, group)))
        case Hash() if column.base in WHOLE_NUMBERS:
            return unique_integer(value, WHOLE_NUMBERS[column.base], group)
        case Hash() if column.base not in TEXTS:
            return _hashed(text, column, group)
    return masked_text(text, action, group)


def _hashed(text: sql.Composable, column: Column, group: str) -> sql.Composable:
    hashed = hexadecimal(text, group)
    if column.base == "uuid":
        version = sql.SQL("overlay(overlay(left({}, 32) PLACING '8' FROM 13) PLACING '8' FROM 17)").format(hashed)
        return sql.SQL("CAST({} AS uuid)").format(version)
    if column.base == "bytea":
        return sql.SQL("({} || decode({}, 'hex'))").format(_MASKED_BYTES, hashed)
    return sql.SQL("CAST('2001:db8' || regexp_replace(left({}, 24), '(....)', ':\\1', 'g') AS {})").format(
        hashed, sql.Identifier(column.base)
    )


def _shifted(value: sql.Composable, column: Column, action: DateShift, bits: sql.Composable) -> sql.Composable:
    """Return the date or time by 1 to `days` days, or as many seconds, earlier or later.

    Near the ends of the calendar it is shifted away from them, so that no value is out of range. Infinity stays.
    """
    if column.base == "date":
        units, by = action.days, sql.SQL("CAST({} AS integer)")
    else:
        units, by = action.days * DAY_SECONDS, sql.SQL("make_interval(secs => {})")
    return sql.SQL(
        "(SELECT CASE WHEN shift.given > CAST('9999-12-31' AS {base}) THEN shift.given - {towards}"
        " WHEN shift.given < CAST('0001-01-01' AS {base}) THEN shift.given + {towards}"
        " ELSE shift.given + {shift} END"
        " FROM (SELECT drawn.given, drawn.number - {units} + CASE WHEN drawn.number < {units} THEN 0 ELSE 1 END"
        " FROM (SELECT {value}, mod({bits}, {twice}) OFFSET 0) drawn(given, number) OFFSET 0)"
        " shift(given, units))"
    ).format(
        base=sql.Identifier(column.base),
        towards=by.format(sql.SQL("abs(shift.units)")),
        shift=by.format(sql.SQL("shift.units")),
        units=sql.Literal(units),
        value=value,
        bits=bits,
        twice=sql.Literal(2 * units),
    )


def _each(value: sql.Composable, element: Column, action: Action, group: str) -> sql.Composable:
    """Return the array with each element masked, in as many dimensions as it has."""
    masked = _masked(_ELEMENT, element, action, group)
    if element.type:
        masked = _cast(masked, element)
    flat = sql.SQL(
        "(SELECT array_agg({} ORDER BY element.place) FROM unnest({}) WITH ORDINALITY element(value, place))"
    ).format(masked, value)
    branches = [sql.SQL("WHEN 1 THEN {}").format(flat)] + [
        sql.SQL("WHEN {} THEN {}").format(sql.Literal(dimensions), _nested(value, masked, dimensions))
        for dimensions in range(2, MAX_DIMENSIONS + 1)
    ]
    # An empty array has no dimensions.
    return sql.SQL("CASE array_ndims({}) {} ELSE {} END").format(value, sql.SQL(" ").join(branches), value)


def _nested(value: sql.Composable, masked: sql.Composable, dimensions: int) -> sql.Composable:
    places = [sql.Identifier(f"place{number}", "at") for number in range(dimensions)]
    at = sql.SQL("").join(sql.SQL("[{}]").format(place) for place in places)
    query = sql.SQL("(SELECT {} FROM (SELECT ({}){}) element(value))").format(masked, value, at)
    for number in reversed(range(dimensions)):
        query = sql.SQL("(SELECT array_agg({} ORDER BY {}) FROM generate_subscripts({}, {}) {}(at))").format(
            query, places[number], value, sql.Literal(number + 1), sql.Identifier(f"place{number}")
        )
    return query


def _any_element(array: sql.Composable, condition: sql.Composable) -> sql.Composable:
    return sql.SQL("EXISTS (SELECT FROM unnest({}) element(value) WHERE {})").format(array, condition)


def _not_masked(value: sql.Composable, column: Column, action: Action) -> sql.Composable | None:
    match action:
        case SetNull():
            return sql.SQL("{} IS NOT NULL").format(value)
        case Constant():
            constant = _cast(sql.Literal(action.value), column)
            return sql.SQL("{} <> {}").format(_shown(value, column), _shown(constant, column))
        case Each():
            condition = _not_masked(_ELEMENT, element_of(column), action.action)
            return None if condition is None else _any_element(value, condition)
        case Json():
            return document_not_masked(as_jsonb(value) if column.base == "json" else value, action)
        case Number():
            # As the column has the ends of the range: a float's are not exact.
            return sql.SQL("{value} NOT BETWEEN CAST({} AS {base}) AND CAST({} AS {base})").format(
                sql.Literal(action.least), sql.Literal(action.most), value=value, base=sql.Identifier(column.base)
            )
        case Hash() if column.base == "uuid":
            return sql.SQL("CAST({} AS text) NOT LIKE {}").format(value, sql.Literal(_MASKED_UUID))
        case Hash() if column.base == "bytea":
            return sql.SQL("(octet_length({value}) <> {} OR position({} IN {value}) <> 1)").format(
                sql.Literal(_MASKED_BYTES_LENGTH), _MASKED_BYTES, value=value
            )
        case Hash() if column.base in ADDRESSES:
            return sql.SQL("NOT {} <<= {}").format(value, _ADDRESSES)
        case Hash() if column.base in WHOLE_NUMBERS:
            return None
        case DateShift() | Expression():
            return None
    return text_not_masked(sql.SQL('CAST({} AS text) COLLATE "C"').format(value), action)


def _refused(value: sql.Composable, column: Column, action: Action) -> sql.Composable | None:
    if isinstance(action, Json):
        return document_refused(as_jsonb(value) if column.base == "json" else value, action)
    if isinstance(action, Each):
        condition = _refused(_ELEMENT, column, action.action)
        return None if condition is None else _any_element(value, condition)
    return None
