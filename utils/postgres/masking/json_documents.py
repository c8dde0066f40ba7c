"""JSON documents: what replaces the values at a policy's paths, and what becomes of all others.

A document is taken apart and put together again along the paths. What has none of a container's children goes by
`other_paths`: the values of unknown keys, and a value that is no container where a path leads on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct, field
from psycopg2 import sql

from utils.masking.policy import Json, JsonPath, Keep, Number, OtherPaths, SetNull
from utils.postgres.masking.texts import masked_text, text_not_masked

_NULL = sql.SQL("CAST('null' AS jsonb)")
_TRUE, _FALSE = sql.SQL("true"), sql.SQL("false")
Condition: TypeAlias = Callable[[JsonPath, sql.Composable], sql.Composable]


class _Place(Struct):
    """A place in documents: what becomes of it, or of what is in it."""

    path: JsonPath | None = None
    keys: dict[str, _Place] = field(default_factory=dict)
    elements: _Place | None = None


def _tree(action: Json) -> _Place:
    root = _Place()
    for path in action.paths:
        place = root
        for step in path.steps:
            if step is None:
                place.elements = place.elements or _Place()
                place = place.elements
            else:
                place = place.keys.setdefault(step, _Place())
        place.path = path
    return root


def as_jsonb(document: sql.Composable) -> sql.Composable:
    r"""Return a `json` value as jsonb, which refuses what json takes: \u0000, and half a surrogate pair.

    Each becomes a question mark, so that no document fails in the middle of a run.
    """
    # An escape is one only after an even number of backslashes.
    unescaped = r"(?<!\\)((?:\\\\)*)"
    half = r"(?:0000|d[89ab][0-9a-f]{2}(?!\\ud[c-f][0-9a-f]{2})|(?<!\\ud[89ab][0-9a-f]{2}\\u)d[c-f][0-9a-f]{2})"
    return sql.SQL("CAST(regexp_replace(CAST({} AS text) COLLATE \"C\", {}, {}, 'gi') AS jsonb)").format(
        document, sql.Literal(rf"{unescaped}\\u{half}"), sql.Literal(r"\1?")
    )


def masked_document(document: sql.Composable, action: Json, group: str) -> sql.Composable:
    """Return what replaces a jsonb document."""
    return _masked(_tree(action), document, action.other_paths, group, 0)


def document_not_masked(document: sql.Composable, action: Json) -> sql.Composable:
    """Return a condition that is true where a value has not the masked form, or has no path."""
    return _of_value(document, _test(_tree(action), document, action.other_paths, _not_masked, 0))


def document_refused(document: sql.Composable, action: Json) -> sql.Composable | None:
    """Return a condition that is true for a document with paths that the action does not know, if it refuses them."""
    if action.other_paths != "fail":
        return None
    return _of_value(document, _test(_tree(action), document, action.other_paths, lambda path, value: _FALSE, 0))


def _of_value(document: sql.Composable, condition: sql.Composable) -> sql.Composable:
    return sql.SQL("({} IS NOT NULL AND {})").format(document, condition)


def _masked(place: _Place, value: sql.Composable, other: OtherPaths, group: str, depth: int) -> sql.Composable:
    elsewhere = _NULL if other == "remove" else value
    if place.path is not None:
        return _masked_leaf(place.path, value, elsewhere, group)
    key, child = _names("key", depth), _names("value", depth)
    branches: list[sql.Composable] = []
    if place.keys:
        cases = [
            sql.SQL("WHEN {} THEN {}").format(sql.Literal(name), _masked(each, child, other, group, depth + 1))
            for name, each in place.keys.items()
        ]
        known = sql.SQL("WHERE {} IN ({})").format(key, sql.SQL(", ").join(map(sql.Literal, place.keys)))
        branches.append(
            sql.SQL(
                "WHEN 'object' THEN (SELECT coalesce(jsonb_object_agg({key}, CASE {key} {cases} ELSE {child} END),"
                " '{{}}') FROM jsonb_each({value}) {alias}(key, value) {known})"
            ).format(
                key=key,
                child=child,
                cases=sql.SQL(" ").join(cases),
                value=value,
                alias=_alias(depth),
                known=known if other == "remove" else sql.SQL(""),
            )
        )
    if place.elements is not None:
        branches.append(
            sql.SQL(
                "WHEN 'array' THEN (SELECT coalesce(jsonb_agg({masked} ORDER BY {place}), '[]')"
                " FROM jsonb_array_elements({value}) WITH ORDINALITY {alias}(value, place))"
            ).format(
                masked=_masked(place.elements, child, other, group, depth + 1),
                place=_names("place", depth),
                value=value,
                alias=_alias(depth),
            )
        )
    return sql.SQL("CASE jsonb_typeof({}) {} ELSE {} END").format(value, sql.SQL(" ").join(branches), elsewhere)


def _masked_leaf(path: JsonPath, value: sql.Composable, elsewhere: sql.Composable, group: str) -> sql.Composable:
    if isinstance(path.action, Keep):
        if path.below:
            return value
        return sql.SQL(
            "CASE WHEN jsonb_typeof({value}) IN ('object', 'array') THEN {elsewhere} ELSE {value} END"
        ).format(value=value, elsewhere=elsewhere)
    if isinstance(path.action, SetNull):
        return _NULL
    own = getattr(path.action, "group", None) or f"{group} {path.text}"
    return sql.SQL("CASE jsonb_typeof({value}) WHEN 'null' THEN {value} ELSE to_jsonb({masked}) END").format(
        value=value, masked=masked_text(_text(value), path.action, own)
    )


def _text(value: sql.Composable) -> sql.Composable:
    """Return what a JSON value shows: a string without its quotes, anything else as it is written."""
    return sql.SQL("({} #>> '{{}}') COLLATE \"C\"").format(value)


def _test(place: _Place, value: sql.Composable, other: OtherPaths, leaf: Condition, depth: int) -> sql.Composable:
    """Return a condition that is true if it is for one of the values with a path, or if there is one without."""
    kept = other == "keep"
    if place.path is not None:
        if isinstance(place.path.action, Keep):
            if kept or place.path.below:
                return _FALSE
            return sql.SQL("jsonb_typeof({}) IN ('object', 'array')").format(value)
        return leaf(place.path, value)
    key, child = _names("key", depth), _names("value", depth)
    branches: list[sql.Composable] = []
    if place.keys:
        cases = [
            sql.SQL("WHEN {} THEN {}").format(sql.Literal(name), _test(each, child, other, leaf, depth + 1))
            for name, each in place.keys.items()
        ]
        branches.append(
            sql.SQL(
                "WHEN 'object' THEN EXISTS (SELECT FROM jsonb_each({}) {}(key, value) WHERE CASE {} {} ELSE {} END)"
            ).format(value, _alias(depth), key, sql.SQL(" ").join(cases), _FALSE if kept else _TRUE)
        )
    if place.elements is not None:
        branches.append(
            sql.SQL("WHEN 'array' THEN EXISTS (SELECT FROM jsonb_array_elements({}) {}(value) WHERE {})").format(
                value, _alias(depth), _test(place.elements, child, other, leaf, depth + 1)
            )
        )
    return sql.SQL("CASE jsonb_typeof({}) {} WHEN 'null' THEN false ELSE {} END").format(
        value, sql.SQL(" ").join(branches), _FALSE if kept else _TRUE
    )


def _not_masked(path: JsonPath, value: sql.Composable) -> sql.Composable:
    if isinstance(path.action, SetNull):
        return sql.SQL("jsonb_typeof({}) <> 'null'").format(value)
    if isinstance(path.action, Number):
        kind = "number"
        form: sql.Composable | None = sql.SQL("CAST({} AS numeric) NOT BETWEEN {} AND {}").format(
            _text(value), sql.Literal(path.action.least), sql.Literal(path.action.most)
        )
    else:
        kind = "string"
        form = text_not_masked(_text(value), path.action)
    return sql.SQL("CASE jsonb_typeof({}) WHEN 'null' THEN false WHEN {} THEN {} ELSE true END").format(
        value, sql.Literal(kind), form or _FALSE
    )


def _alias(depth: int) -> sql.Identifier:
    return sql.Identifier(f"inner{depth}")


def _names(name: str, depth: int) -> sql.Identifier:
    return sql.Identifier(f"inner{depth}", name)
