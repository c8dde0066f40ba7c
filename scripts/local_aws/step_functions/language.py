"""The Amazon States Language, as far as it is data: paths, intrinsic functions, payload templates, choice rules.

JSONPath only, and only its reference paths (`$.a['b'][0]`, `$$.Execution.Id`): a path with a wildcard, a slice or a
filter is refused when the state machine is created. See https://states-language.net/spec.html and
https://docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html. Values and wordings beyond those are as
recorded on AWS: LocalStack's validated snapshots, tests/aws/services/stepfunctions/v2, by file and test.
"""

from __future__ import annotations

import base64
import datetime
import functools
import hashlib
import json
import math
import operator
import random
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from scripts.local_aws.core.errors import NotImplementedByLocalAws
from scripts.local_aws.core.json_text import dumps, loads

RUNTIME = "States.Runtime"

_WAIT_PATHS = ("SecondsPath", "TimestampPath")
_JSON_PATHS = ("InputPath", "OutputPath", "TimeoutSecondsPath")
_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]'"*?@()\s,]+)|\['(?P<quoted>[^']*)'\]|\["(?P<double>[^"]*)"\]|\[(?P<index>\d+)\]"""
)
_FUNCTION = re.compile(r"(States\.\w+)\s*\(")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


class StatesError(Exception):
    """An error as a state machine knows it: a name that Retry and Catch look for, and a cause to read.

    SendTaskFailure can leave out either, and a Catch then finds null (callback/test_callback.py,
    test_sqs_failure_in_wait_for_task_tok_no_error_field).
    """

    def __init__(self, error: str | None, cause: str | None) -> None:
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


def steps(path: str) -> list[str | int]:
    """Return the keys and indexes of a reference path. Raise NotImplementedByLocalAws for anything more."""
    rest = path.removeprefix("$$").removeprefix("$")
    found: list[str | int] = []
    position = 0
    while position < len(rest):
        match = _STEP.match(rest, position)
        if match is None or not path.startswith("$"):
            raise NotImplementedByLocalAws(f"Only reference paths such as $.a.b[0] are known here, not '{path}'")
        name = match[str(match.lastgroup)]
        found.append(int(name) if match.lastgroup == "index" else name)
        position = match.end()
    return found


_NOWHERE = (KeyError, IndexError, TypeError)


def _child(value: Any, step: str | int) -> Any:
    if isinstance(step, int) != isinstance(value, list):
        raise KeyError(step)
    return value[step]


def _written(step: str | int) -> str:
    return f"[{step}]" if isinstance(step, int) else f"['{step}']"


class Scope:
    """What paths are read from: the state's input (or result), and the context object behind `$$`."""

    def __init__(self, data: Any, context: Mapping[str, Any]) -> None:
        self.data, self.context = data, context

    def read(self, path: str, field: str = "") -> Any:
        """Return the value at a reference path. Raise States.Runtime, worded for the field, if there is none."""
        if not self.has(path):
            raise StatesError(RUNTIME, self._missing(path, field))
        return _copied(self._find(path))

    def _missing(self, path: str, field: str) -> str:
        """Return what AWS says of a path that leads nowhere; it depends on the field.

        logs/test_logs.py test_base (SecondsPath), scenarios/test_base_scenarios.py test_invalid_jsonpath (InputPath,
        OutputPath, ErrorPath) and test_catch_states_runtime (a step before the last), test_state (TimeoutSecondsPath).
        """
        if field in _WAIT_PATHS:
            return f"The {field} parameter does not reference an input value: {path}"
        if field in _JSON_PATHS:
            return f"Invalid path '{path}' : {self._first_gap(path)}"
        where = f" specified for the field '{field}'" if field else ""
        return f"The JSONPath '{path}'{where} could not be found in the input '{dumps(self.data)}'"

    def _first_gap(self, path: str) -> str:
        value, gone = self._root(path), "$"
        *before, _ = found = steps(path)
        for step in before:
            gone += _written(step)
            try:
                value = _child(value, step)
            except _NOWHERE:
                return f"Missing property in path {gone}"
        return f"No results for path: {gone}{_written(found[-1])}"

    def has(self, path: str) -> bool:
        """Return whether a reference path leads to a value."""
        try:
            self._find(path)
        except _NOWHERE:
            return False
        return True

    def _root(self, path: str) -> Any:
        return self.context if path.startswith("$$") else self.data

    def _find(self, path: str) -> Any:
        return functools.reduce(_child, steps(path), self._root(path))

    def evaluate(self, expression: str, field: str = "") -> Any:
        """Evaluate a path or a call of an intrinsic function."""
        if not expression.startswith("States."):
            return self.read(expression, field)
        value, rest = self._call(expression)
        if rest.strip():
            raise StatesError("States.IntrinsicFailure", f"Unexpected '{rest}' after the call in '{expression}'")
        return value

    def fill(self, template: Any) -> Any:
        """Return a payload template with every field whose name ends in `.$` replaced by what its value points to."""
        if isinstance(template, list):
            return [self.fill(item) for item in template]
        if not isinstance(template, dict):
            return template
        return {
            key.removesuffix(".$"): self.evaluate(value, key) if key.endswith(".$") else self.fill(value)
            for key, value in template.items()
        }

    def _call(self, text: str) -> tuple[Any, str]:
        match = _FUNCTION.match(text)
        function = _INTRINSICS.get(match[1]) if match else None
        if match is None or function is None:
            raise StatesError("States.IntrinsicFailure", f"Unknown intrinsic function in '{text}'")
        arguments = []
        rest = text[match.end() :].lstrip()
        while not rest.startswith(")"):
            value, rest = self._argument(rest)
            arguments.append(value)
            rest = rest.lstrip().removeprefix(",").lstrip()
        try:
            return function(*arguments), rest[1:]
        except (TypeError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise StatesError("States.IntrinsicFailure", f"{match[1]} failed: {error}") from error

    def _argument(self, text: str) -> tuple[Any, str]:
        if text.startswith("'"):
            quoted = re.match(r"'((?:[^'\\]|\\.)*)'", text)
            if quoted is None:
                raise StatesError("States.IntrinsicFailure", f"A string is not closed in '{text}'")
            return _Text(quoted[1]), text[quoted.end() :]
        if text.startswith("States."):
            return self._call(text)
        if text.startswith("$"):
            path = re.match(r"[^,)\s]+", text)
            assert path is not None
            return self.read(path[0]), text[path.end() :]
        for literal, value in (("true", True), ("false", False), ("null", None)):
            if text.startswith(literal):
                return value, text.removeprefix(literal)
        number = _NUMBER.match(text)
        if number is None:
            raise StatesError("States.IntrinsicFailure", f"Not an argument: '{text}'")
        return json.loads(number[0]), text[number.end() :]


class _Text(str):
    """A literal of an intrinsic call. It keeps its escapes for States.Format, where `\\{` is not a placeholder."""

    escaped: str

    def __new__(cls, escaped: str) -> Self:
        text = super().__new__(cls, re.sub(r"\\(.)", r"\1", escaped))
        text.escaped = escaped
        return text


def _format(template: str, *values: Any) -> str:
    escaped = template.escaped if isinstance(template, _Text) else template
    parts = re.split(r"(?<!\\)\{\}", escaped)
    if len(parts) != len(values) + 1:
        raise ValueError(f"{len(parts) - 1} placeholders and {len(values)} values")
    texts = [_java_text(value) for value in values]
    filled = [re.sub(r"\\(.)", r"\1", parts[0])]
    for text, part in zip(texts, parts[1:], strict=True):
        filled += [text, re.sub(r"\\(.)", r"\1", part)]
    return "".join(filled)


def _java_text(value: Any) -> str:
    """Return a value as States.Format writes it: as Java writes maps and lists, strings without quotes.

    intrinsic_functions/test_generic.py test_format_2: {"Arg1": 1, "Arg2": []} becomes {Arg1=1, Arg2=[]}.
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={_java_text(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_java_text(each) for each in value) + "]"
    return value if isinstance(value, str) else dumps(value)


def _whole(number: float) -> int:
    """Return the number rounded as Java rounds: a half upwards.

    intrinsic_functions/test_math_operations.py test_math_add: 1.5 becomes 2, 2.5 becomes 3, -1.5 becomes -1.
    """
    if not _is_number(number):
        raise ValueError(f"not a number: {dumps(number)}")
    return math.floor(number + 0.5)


def _merge(first: dict[str, Any], second: dict[str, Any], deep: bool) -> dict[str, Any]:
    if deep:
        raise ValueError("only shallow merging is supported")
    return {**first, **second}


def _get(values: Sequence[Any], index: int) -> Any:
    if index < 0:
        raise IndexError("index out of range")
    return values[index]


_INTRINSICS: dict[str, Callable[..., Any]] = {
    "States.Array": lambda *values: list(values),
    "States.ArrayContains": lambda values, value: value in values,
    "States.ArrayGetItem": _get,
    "States.ArrayLength": len,
    "States.ArrayPartition": lambda values, size: [values[i : i + size] for i in range(0, len(values), size)],
    "States.ArrayRange": lambda first, last, step: list(range(first, last + (1 if step > 0 else -1), step)),
    "States.ArrayUnique": lambda values: [value for i, value in enumerate(values) if value not in values[:i]],
    "States.Base64Decode": lambda text: base64.b64decode(text).decode(),
    "States.Base64Encode": lambda text: base64.b64encode(text.encode()).decode(),
    "States.Format": _format,
    "States.Hash": lambda text, name: hashlib.new(name.replace("-", ""), text.encode()).hexdigest(),
    "States.JsonMerge": _merge,
    "States.JsonToString": dumps,
    "States.MathAdd": lambda first, second: _whole(first) + _whole(second),
    "States.MathRandom": lambda first, end, *seed: random.Random(*seed).randrange(_whole(first), _whole(end)),
    "States.StringSplit": lambda text, characters: [
        part for part in re.split(f"[{re.escape(characters)}]", text) if part
    ],
    # A blank text stands for null (test_json_manipulation.py test_string_to_json).
    "States.StringToJson": lambda text: loads(text) if text.strip() else None,
    "States.UUID": lambda: str(uuid.uuid4()),
}


def _copied(document: Any) -> Any:
    """Return a copy of what consists of JSON: its text, read again, which is far quicker than copy.deepcopy."""
    return json.loads(json.dumps(document))


def put(document: Any, path: str, value: Any) -> Any:
    """Return the document with a value at a reference path, which is created if need be."""
    found = steps(path)
    if not found:
        return value
    result = _copied(document)
    place = result
    try:
        for step in found[:-1]:
            if isinstance(step, str) and not isinstance(place.get(step), (dict, list)):
                place[step] = {}
            place = place[step]
        place[found[-1]] = value
    except (AttributeError, KeyError, IndexError, TypeError):
        text = f"Unable to apply the path '{path}' to the input '{dumps(document)}'"
        raise StatesError("States.ResultPathMatchFailure", text) from None
    return result


def timestamp(text: Any) -> datetime.datetime:
    """Return an RFC 3339 time as ASL has it: with `T`, and `Z` or an offset. Raise ValueError otherwise."""
    if not isinstance(text, str) or not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text):
        raise ValueError(f"not a timestamp: {text!r}")
    return datetime.datetime.fromisoformat(text)


def is_timestamp(value: Any) -> bool:
    """Return whether a value is a time as ASL has it."""
    try:
        timestamp(value)
    except ValueError:
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _matches(text: str, pattern: str) -> bool:
    """Return whether StringMatches holds: `*` is the only wildcard and `\\*` a star."""
    parts = [re.escape(re.sub(r"\\(.)", r"\1", part)) for part in re.split(r"(?<!\\)\*", pattern)]
    return re.fullmatch(".*".join(parts), text, re.DOTALL) is not None


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "GreaterThan": operator.gt,
    "LessThanEquals": operator.le,
    "GreaterThanEquals": operator.ge,
}
_TYPES: dict[str, tuple[Callable[[Any], bool], Callable[[Any], Any]]] = {
    "String": (lambda value: isinstance(value, str), str),
    "Numeric": (_is_number, lambda value: value),
    "Boolean": (lambda value: isinstance(value, bool), bool),
    "Timestamp": (is_timestamp, timestamp),
}
_TESTS: dict[str, Callable[[Any], bool]] = {
    "IsNull": lambda value: value is None,
    **{f"Is{kind}": is_type for kind, (is_type, _) in _TYPES.items()},
}
_COMPARISON = re.compile(r"(String|Numeric|Boolean|Timestamp)((?:Less|Greater)Than(?:Equals)?|Equals)(Path)?")


def is_comparison(name: str) -> bool:
    """Return whether ASL has a data-test expression of this name."""
    found = _COMPARISON.fullmatch(name)
    ordered = found is not None and (found[1] != "Boolean" or found[2] == "Equals")
    return ordered or name in _TESTS or name in ("IsPresent", "StringMatches")


def holds(rule: Mapping[str, Any], scope: Scope) -> bool:
    """Return whether a choice rule is true. A path that leads nowhere is States.Runtime, except for IsPresent."""
    if "And" in rule:
        return all(holds(each, scope) for each in rule["And"])
    if "Or" in rule:
        return any(holds(each, scope) for each in rule["Or"])
    if "Not" in rule:
        return not holds(rule["Not"], scope)
    path = rule["Variable"]
    name, expected = next((key, value) for key, value in rule.items() if is_comparison(key))
    if name == "IsPresent":
        return scope.has(path) is expected
    if not scope.has(path):
        problem = "The choice state's condition path references an invalid value."
        raise StatesError(RUNTIME, f"Invalid path '{path}': {problem}")
    value = scope.read(path)
    if name in _TESTS:
        return _TESTS[name](value) is expected
    if name == "StringMatches":
        return isinstance(value, str) and _matches(value, expected)
    found = _COMPARISON.fullmatch(name)
    assert found is not None
    is_type, convert = _TYPES[found[1]]
    if found[3]:
        expected = scope.read(expected, name)
    return is_type(value) and is_type(expected) and _COMPARISONS[found[2]](convert(value), convert(expected))
