"""What a person requests: the execution's input, with the stack's defaults in it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import msgspec

from utils import environment
from utils.arns import is_meant_as_arn
from utils.aurora_utils.resources import OPERATION_TAG
from utils.errors import RequestRefused
from utils.foreign_text import one_line
from utils.redaction import without_secrets
from utils.request.fields import FIELD_HELP, FIELDS, NEVER_BY_DEFAULT, RestoreRequest
from utils.request.rules import request_problems

# A refusal is read by people, and Step Functions takes no cause beyond 32,768 characters.
MAX_PROBLEMS = 10
MAX_PROBLEM_LENGTH = 1500
# How much is shown of an unknown field, and of a value of the wrong type.
MAX_FIELD = 60
MAX_VALUE = 300

# What JSON's types are called for the person who writes the request.
_WORDS = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "an object",
    "str": "a text",
}

# What the stack gives for a list that is to be empty; others it gives separated by commas.
EMPTY_LIST = "none"


def read_request(raw: object, defaults: Mapping[str, str] | None = None) -> RestoreRequest:
    """Return the request with the stack's defaults in it. Every problem is reported at once, each with its remedy."""
    if defaults is None:
        defaults = environment.request_defaults()
    if not isinstance(raw, dict):
        raise RequestRefused(
            f"The execution's input must be a JSON object, not {type(raw).__name__}. "
            "Give {} to run with the stack's parameters."
        )
    problems = list(_unknown_fields(raw))
    unreadable: list[str] = []
    given = {name: value for name, value in raw.items() if value is not None}
    values = _stack_defaults(defaults)
    if is_meant_as_arn(str(given.get("snapshot_identifier", ""))):
        # An ARN says its region and account itself; only the request's own fields can contradict it.
        values.pop("source_region", None)
        values.pop("source_account_id", None)
    for name, field in FIELDS.items():
        if name in given:
            try:
                values[name] = msgspec.convert(given[name], field.type)
            except msgspec.ValidationError as error:
                problems.append(_wrong_type(name, given[name], str(error)))
                unreadable.append(name)
    if "tags" in given and "tags" not in unreadable:
        # The stack's tags are for its costs, so a request adds to them.
        values["tags"] = {**(_stack_default("tags", defaults) or {}), **values["tags"]}
    request = RestoreRequest(**values)
    refuse_if_any([*problems, *(each for each in request_problems(request) if each.split(":")[0] not in unreadable)])
    return request


def refuse_if_any(problems: list[str] | Iterator[str]) -> None:
    """Raise RequestRefused with all the problems, if there are any."""
    if found := list(problems):
        raise refusal(found)


def refusal(problems: list[str]) -> RequestRefused:
    """Return one refusal that names everything to be fixed, as far as a person can read it."""
    said = [_readable(problem) for problem in problems]
    if len(said) > MAX_PROBLEMS:
        said[MAX_PROBLEMS:] = [f"And {len(said) - MAX_PROBLEMS} more problems of this kind."]
    return RequestRefused("\n".join(said))


def own_tags(request: RestoreRequest, operation_id: str) -> dict[str, str]:
    """Return the tags of all that the operation creates: the user's, and the one that names the operation."""
    return {**(request.tags or {}), OPERATION_TAG: operation_id}


def _readable(problem: str) -> str:
    """Return it on one line. A value may be as long as a payload, so the middle is cut; field and remedy stay."""
    if len(problem) > MAX_PROBLEM_LENGTH:
        problem = f"{problem[:200]} … {problem[-(MAX_PROBLEM_LENGTH - 203) :]}"
    return one_line(problem, MAX_PROBLEM_LENGTH)


def said_by(request: RestoreRequest, name: str) -> Literal["request", "stack"]:
    """Return who gave a field that has a value. A request that repeats the stack's value says nothing new."""
    return "stack" if getattr(request, name) == _stack_default(name, environment.request_defaults()) else "request"


def _stack_defaults(defaults: Mapping[str, str]) -> dict[str, Any]:
    found = {name: _stack_default(name, defaults) for name in FIELDS if name not in NEVER_BY_DEFAULT}
    return {name: value for name, value in found.items() if value is not None}


def _stack_default(name: str, defaults: Mapping[str, str]) -> Any:
    """Return the stack's value for a field in the field's type; None: it has none."""
    text = defaults.get(name, "")
    if not text:
        return None
    value: object = text
    if _is_list(FIELDS[name].type):
        value = [] if text == EMPTY_LIST else text.split(",")
    elif name == "tags":
        pairs = (each.partition("=") for each in text.split(","))
        value = {key.strip(): content.strip() for key, _, content in pairs}
    try:
        return msgspec.convert(value, FIELDS[name].type, strict=False)
    except msgspec.ValidationError as error:
        raise RequestRefused(
            f"The stack's default for {name} is {text!r}: {error}. Correct the stack's parameter."
        ) from None


def _is_list(annotated: Any) -> bool:
    """Return whether a field's type is a list's."""
    return any(get_origin(each) is list for each in _types(annotated))


def _types(annotated: Any) -> tuple[Any, ...]:
    """Return what a field's type, Annotated[list[...] | None, ...], consists of."""
    return get_args(get_args(annotated)[0])


def _unknown_fields(raw: Mapping[str, object]) -> Iterator[str]:
    for name in raw:
        if name not in FIELDS:
            # A person who gives `target` means target_cluster_id, though `tags` has more of its letters.
            close = [each for each in FIELDS if each.startswith(f"{name}_")]
            close = close or difflib.get_close_matches(str(name)[:100], FIELDS, n=1)
            remedy = f"Did you mean {close[0]}?" if close else f"Known fields: {', '.join(FIELDS)}."
            value = one_line(repr(without_secrets(raw)[name]), MAX_VALUE)
            yield f"{one_line(name, MAX_FIELD)}: unknown field (value {value}). {remedy}"


def _wrong_type(name: str, value: object, complaint: str) -> str:
    choices = [word for each in _types(FIELDS[name].type) if get_origin(each) is Literal for word in get_args(each)]
    if choices:
        wanted = f"expected {', '.join(choices[:-1])} or {choices[-1]}"
    else:
        wanted = re.sub(r"`([^`]+)`", _in_words, complaint.split(" - at ")[0])
    return (
        f"{name}: {one_line(repr(value), MAX_VALUE)} does not fit, {wanted[0].lower()}{wanted[1:]}. {FIELD_HELP[name]}"
    )


def _in_words(types: re.Match[str]) -> str:
    """Return the types that msgspec names in one pair of backticks, such as `int | null`, which need not be given."""
    return " or ".join(_WORDS.get(each, each) for each in types[1].split(" | ") if each != "null")
