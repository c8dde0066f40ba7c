"""Values of the evidence's types, made by what msgspec says of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec
from hypothesis import strategies as st
from msgspec import Struct, inspect

Any_ = TypeVar("Any_", bound=Struct)
# Beyond it a number of JSON is not everywhere the same (RFC 8785, appendix D).
_EXACT = 2**53


def types_in(kind: inspect.Type) -> Iterator[inspect.Type]:
    """Yield a type and all that its values consist of."""
    yield kind
    for inner in _inner(kind):
        yield from types_in(inner)


def _inner(kind: inspect.Type) -> list[inspect.Type]:
    if isinstance(kind, inspect.StructType):
        return [field.type for field in kind.fields]
    if isinstance(kind, inspect.UnionType):
        return [*kind.types]
    return [kind.item_type] if isinstance(kind, inspect.ListType) else []


def structs(struct: type[Any_]) -> st.SearchStrategy[Any_]:
    """Return any value of a struct."""
    return _values(inspect.type_info(struct)).map(lambda made: msgspec.convert(made, struct))


def _values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    match kind:
        case inspect.StructType(fields=fields):
            return st.fixed_dictionaries({field.name: _values(field.type) for field in fields})
        case inspect.UnionType(types=types):
            return st.one_of([_values(each) for each in types])
        case inspect.ListType(item_type=item):
            return st.lists(_values(item), max_size=3)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.DateTimeType():
            return st.datetimes(dt.datetime(1971, 1, 2), dt.datetime(9998, 1, 1), timezones=_zones())  # noqa: DTZ001
        case inspect.IntType():
            return st.integers(-_EXACT, _EXACT)
        case inspect.StrType():
            return st.text(max_size=20)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
    raise AssertionError(f"evidence has no {kind}")


def _zones() -> st.SearchStrategy[dt.tzinfo]:
    return st.sampled_from([dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30))])


def with_texts(struct: Any_, text: Callable[[str], str]) -> Any_:
    """Return the struct with each free text in it replaced; what its type names one by one stays."""
    made = _replaced(msgspec.to_builtins(struct, builtin_types=[dt.datetime]), inspect.type_info(type(struct)), text)
    return msgspec.convert(made, type(struct))


def _replaced(value: Any, kind: inspect.Type, text: Callable[[str], str]) -> Any:
    match kind:
        case inspect.StructType(fields=fields):
            return {field.name: _replaced(value[field.name], field.type, text) for field in fields}
        case inspect.ListType(item_type=item):
            return [_replaced(each, item, text) for each in value]
        case inspect.UnionType(types=types) if value is not None:
            (only,) = [each for each in types if not isinstance(each, inspect.NoneType)]
            return _replaced(value, only, text)
        case inspect.StrType():
            return text(value)
    return value
