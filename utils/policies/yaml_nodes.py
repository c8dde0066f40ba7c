"""A YAML document with its lines: texts, lists and mappings, and nothing that YAML makes of a text by itself.

A policy is read from the parser's events, so no value has an implicit type: `no`, `null`, `+49`, `0123` and `12:30`
stay the texts that they are. What could hide something is refused: duplicate keys (YAML's loaders keep the last one),
anchors and aliases (a few lines can stand for gigabytes), tags, and a second document.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

import yaml  # type: ignore[import-untyped]  # PyYAML brings no types
from msgspec import Struct

from utils.foreign_text import MAX_SENTENCE, one_line

MAX_DEPTH = 20
# NUL, and half a surrogate pair: a quoted text of YAML can have them by their escapes.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


class Scalar(Struct, frozen=True):
    """A text."""

    line: int
    text: str


class Sequence(Struct, frozen=True):
    """A list."""

    line: int
    items: list[Node]


class Mapping(Struct, frozen=True):
    """Keys and their values, in the document's order."""

    line: int
    entries: list[tuple[Scalar, Node]]


Node: TypeAlias = Scalar | Sequence | Mapping


class Faults:
    """What is wrong with a document, in the order of its lines."""

    def __init__(self) -> None:
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, text: str) -> None:
        """Note a fault."""
        self._found.append((line, text))

    def sentences(self) -> list[str]:
        """Return all of them, each with its line."""
        return [f"Line {line}: {text}" for line, text in sorted(self._found, key=lambda found: found[0])]

    def __bool__(self) -> bool:
        return bool(self._found)


class _Unreadable(Exception):
    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def read_yaml(text: str, faults: Faults) -> Node | None:
    """Return the document, or None where it cannot be read at all. What is wrong with it is noted."""
    events = yaml.parse(text, Loader=yaml.BaseLoader)
    try:
        return _document(events, faults)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        faults.add(mark.line + 1 if mark else 1, f"this is not YAML: {one_line(error.problem, MAX_SENTENCE)}.")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        faults.add(line, f"the character U+{int(error.character):04X} does not belong into a YAML document.")
    except _Unreadable as error:
        faults.add(error.line, str(error))
    return None


def _document(events: Iterator[Any], faults: Faults) -> Node | None:
    next(events)  # the stream's beginning
    if isinstance(next(events), yaml.StreamEndEvent):
        faults.add(1, "the document is empty.")
        return None
    found = _node(next(events), events, faults, 0)
    next(events)  # the document's end
    following = next(events)
    if not isinstance(following, yaml.StreamEndEvent):
        raise _Unreadable(_line(following), "a second document begins here. A policy is one document.")
    return found


def _node(event: Any, events: Iterator[Any], faults: Faults, depth: int) -> Node:
    line = _line(event)
    if isinstance(event, yaml.AliasEvent):
        raise _Unreadable(line, f"the alias *{one_line(event.anchor)} is refused. Repeat what it stands for.")
    if event.anchor is not None:
        raise _Unreadable(line, f"the anchor &{one_line(event.anchor)} is refused. Nothing may refer to it.")
    if event.tag is not None:
        raise _Unreadable(line, f"the tag {one_line(event.tag)} is refused. Every value is a text. Quote it if needed.")
    if depth > MAX_DEPTH:
        raise _Unreadable(line, f"this stands deeper than {MAX_DEPTH} levels. No policy needs that.")
    if isinstance(event, yaml.ScalarEvent):
        if _NO_TEXT.search(event.value):
            raise _Unreadable(line, "this has an escape of a character that PostgreSQL takes in no text.")
        return Scalar(line, event.value)
    if isinstance(event, yaml.SequenceStartEvent):
        return Sequence(line, list(_items(events, faults, depth)))
    return Mapping(line, list(_entries(events, faults, depth)))


def _items(events: Iterator[Any], faults: Faults, depth: int) -> Iterator[Node]:
    while not isinstance(event := next(events), yaml.SequenceEndEvent):
        yield _node(event, events, faults, depth + 1)


def _entries(events: Iterator[Any], faults: Faults, depth: int) -> Iterator[tuple[Scalar, Node]]:
    lines: dict[str, int] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _node(event, events, faults, depth + 1)
        value = _node(next(events), events, faults, depth + 1)
        if not isinstance(key, Scalar):
            faults.add(key.line, "a key has to be a text.")
        elif key.text in lines:
            faults.add(
                key.line, f"{one_line(key.text)!r} stands here for the second time, after line {lines[key.text]}."
            )
        else:
            lines[key.text] = key.line
            yield key, value


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1
