"""Whether an action can be done to a column at all: what would fail, or do harm in silence, in the middle of a run."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from utils.foreign_text import listed, one_line
from utils.masking.actions import decimals, name_of
from utils.masking.columns import Column, ColumnKey
from utils.masking.policy import (
    Action,
    Constant,
    DateShift,
    Each,
    Email,
    Expression,
    Hash,
    Json,
    Keep,
    Name,
    Number,
    Phone,
    SetNull,
    Text,
)

TEXTS = frozenset({"text", "varchar", "bpchar", "citext"})
WHOLE_NUMBERS = {"int2": 15, "int4": 31, "int8": 63}
"""Each with the bits that it has beside its sign."""
ADDRESSES = frozenset({"inet", "cidr"})
FITTING: dict[type[Action], frozenset[str]] = {
    Hash: TEXTS | ADDRESSES | {"uuid", "bytea", *WHOLE_NUMBERS},
    Email: TEXTS,
    Name: TEXTS,
    Phone: TEXTS,
    Text: TEXTS,
    Number: frozenset({"numeric", "float4", "float8", *WHOLE_NUMBERS}),
    DateShift: frozenset({"date", "timestamp", "timestamptz"}),
    Json: frozenset({"json", "jsonb"}),
}
# With fewer than 16 hexadecimal digits, two of some million values become the same: 1,069 of 3,000,000 with eight.
UNIQUE_HASH, UNIQUE_EMAIL = 17, 16
MASK = "masked "
PERSON = "Person "
PERSON_DIGITS = 8
EMAIL_BEFORE, EMAIL_AFTER = "user-", "@example.com"
# One statement moves all rows of a table that is partitioned by what is masked: at most this many pages, a gibibyte.
MAX_MOVED_PAGES = 131_072


def column_faults(column: Column, action: Action, pages: int) -> Iterator[str]:
    """Yield why the column cannot be masked so. `pages` is the size of its table with all partitions."""
    if column.generated:
        yield "it is a generated column. Mask the columns that it is made of."
    if column.identity_always:
        yield "it is GENERATED ALWAYS AS IDENTITY, and cannot be updated. Keep it."
    if column.excluded:
        yield "it belongs to an exclusion constraint, which masked values could break. Keep it."
    yield from _partition_faults(column, pages)
    if fault := _type_fault(column, action):
        yield fault
        return
    yield from _value_faults(column, action)
    if isinstance(action, SetNull) and column.not_null:
        yield "`set_null` does not fit: it is NOT NULL."
    if column.unique and (fault := _unique_fault(column, action)):
        yield fault


def group_faults(connected: dict[ColumnKey, Column], action: Action) -> Iterator[str]:
    """Yield why columns that a foreign key or inheritance connects cannot be masked so."""
    names = listed(connected)
    if isinstance(action, Keep):
        return
    if isinstance(action, Expression):
        yield f"{names} are connected by a foreign key or inheritance. `sql` could give each another value: use `hash`."
    if len({_family(column) for column in connected.values()}) > 1:
        types = listed(sorted({column.type for column in connected.values()}))
        yield f"{names} are connected by a foreign key or inheritance, but are of different types: {types}. Keep them."
    for key, column in connected.items():
        if not column.deterministic and not isinstance(action, SetNull | Constant):
            yield (
                f"{one_line(key)} has a collation that takes different texts for equal. Masked, they would not be, and"
                " a foreign key or inheritance connects it with others. Keep it."
            )


def _family(column: Column) -> tuple[str, bool]:
    """Return what two types have in common if equal values have equal masked ones."""
    return ("text" if column.base in TEXTS - {"citext"} else column.base), column.array


def _partition_faults(column: Column, pages: int) -> Iterator[str]:
    if {*column.partition_strategies} & {"r", "l"}:
        yield "its table is partitioned by it, by range or list, where a masked value has no partition. Keep it."
    elif column.partition_strategies and pages > MAX_MOVED_PAGES:
        yield (
            f"its table is partitioned by it and has {pages} pages. Masking moves the rows among the partitions, in one"
            f" statement, which is done for up to {MAX_MOVED_PAGES} pages. Keep it."
        )


def _type_fault(column: Column, action: Action) -> str | None:
    """Return why the action and the column's type do not go together."""
    name = name_of(action)
    if isinstance(action, SetNull):
        return None
    if column.labels is not None and not (column.array and isinstance(action, Each)):
        if isinstance(action, Constant):
            return None
        return f"`{name}` does not fit the enum {one_line(column.type)}. Use `constant` with one of its labels."
    if not column.trusted and column.labels is None:
        return f"`{name}` does not fit the type {one_line(column.type)}, which is a user's. Use `keep` or `set_null`."
    if isinstance(action, Constant | Expression):
        return None
    if isinstance(action, Each):
        if not column.array:
            return f"`each` is for arrays, not for {one_line(column.type)}."
        if isinstance(action.action, Constant) and not element_of(column).type:
            return f"`each` with a constant does not fit {one_line(column.type)}, a domain. Use `constant`."
        return _type_fault(element_of(column), action.action)
    if column.array:
        return f"`{name}` does not fit the array {one_line(column.type)}. Use `each` for its elements."
    if column.base in FITTING[type(action)]:
        return None
    return f"`{name}` does not fit the type {one_line(column.type)}. It is for {listed(sorted(FITTING[type(action)]))}."


def element_of(column: Column) -> Column:
    """Return an array's element as a column. Of a domain's, PostgreSQL does not say how the type is written: empty."""
    written = column.type.removesuffix("[]")
    return Column(
        name=column.name,
        type="" if written == column.type else written,
        base=column.base,
        trusted=column.trusted,
        labels=column.labels,
        length=column.length,
        precision=column.precision,
        scale=column.scale,
    )


def _value_faults(column: Column, action: Action) -> Iterator[str]:
    """Yield why masked values would not fit into the column."""
    if isinstance(action, Each):
        yield from _value_faults(element_of(column), action.action)
    elif isinstance(action, Number):
        yield from _number_faults(column, action)
    elif isinstance(action, Constant) and column.array:
        return
    elif isinstance(action, Constant) and column.labels is not None:
        if action.value not in column.labels:
            yield f"{one_line(action.value)!r} is none of the enum's labels {listed(column.labels)}."
    elif column.length is not None and (length := _result_length(action)) > column.length:
        yield f"`{name_of(action)}` gives {length} characters, and {one_line(column.type)} takes {column.length}."


def _result_length(action: Action) -> int:
    match action:
        case Hash() | Text():
            return action.length
        case Email():
            return len(EMAIL_BEFORE) + action.length + len(EMAIL_AFTER)
        case Name():
            return len(PERSON) + PERSON_DIGITS
        case Phone():
            return len(action.prefix) + action.digits
        case Constant():
            return len(action.value)
    return 0


def _number_faults(column: Column, action: Number) -> Iterator[str]:
    least, most = Decimal(action.least), Decimal(action.most)
    scale = 0 if column.base in WHOLE_NUMBERS else column.scale
    if scale is not None and (scale < 0 or decimals(action) > scale):
        yield f"`number` has {decimals(action)} decimals, and {one_line(column.type)} has {scale}."
    if column.base in WHOLE_NUMBERS:
        limit = Decimal(2 ** WHOLE_NUMBERS[column.base])
        if least < -limit or most >= limit:
            yield f"`number` has a range that does not fit into {one_line(column.type)}."
    elif column.precision is not None and max(abs(least), abs(most)) >= Decimal(10) ** (
        column.precision - (scale or 0)
    ):
        yield f"`number` has a range that does not fit into {one_line(column.type)}."


def _unique_fault(column: Column, action: Action) -> str | None:
    """Return why values of a unique column would not all stay different."""
    match action:
        case Hash() if column.base in TEXTS and action.length < UNIQUE_HASH:
            return f"it belongs to a unique index: `hash` needs a length of at least {UNIQUE_HASH} there."
        case Email() if action.length < UNIQUE_EMAIL:
            return f"it belongs to a unique index: `email` needs a length of at least {UNIQUE_EMAIL} there."
        case Phone() if not action.unique:
            return "it belongs to a unique index: `phone` needs `unique: true` there."
        case Each(action=inner):
            return _unique_fault(column, inner)
        case Hash() | Email() | Phone() | Expression():
            return None
    return (
        f"it belongs to a unique index, and `{name_of(action)}` can make values equal. Use `hash`, `email` or `phone`."
    )
