"""What a refusal says of its remedy, read back from its words: the request that the next command sends.

A refusal begins with its field; its first remedy decides what becomes of that field. The sentences on which the next
command depends as a whole are constants here.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from msgspec import Struct

from utils.foreign_text import listed
from utils.request.fields import FIELDS, NEVER_BY_DEFAULT, OF_REPLACED

# A refusal to resume says this. Then the next command starts a new operation.
START_ANEW = "To start a new operation instead, leave operation_id out."
# A refusal says this if the snapshot is gone. Then the next command names no snapshot.
TAKE_ANOTHER = "Start a new operation from another snapshot."
# Said of a schedule's second event if the first one's run has not succeeded. Then the next command resumes that run.
RESUME_THE_EARLIER = "Resume that operation, or start a new one without scheduled_at."
# Said where RDS would refuse to delete the backups with their cluster. Then the next command keeps the backups.
KEEP_BACKUPS = "Leave delete_automated_backups out, so that they are kept."

_FIELD = re.compile(r"(\w+): ")
_CLOSE = re.compile(r": unknown field \(value .*\)\. Did you mean (\w+)\?$")
# What cures a refusal without another value: a command that changes something, waiting, or what somebody does with
# something else than the request.
_CURED_ELSEWHERE = re.compile(
    r"aws [a-z0-9-]+ (?!describe-|list-|wait )[a-z-]+|[Ww]ait until|(?:again|it) once |again when |"
    r"\. (?:Add|Cancel|Delete|Enable|Have|Remove|Set|Upload) "
)
_GIVE_AS = re.compile(r"give it as (\w+): ")
_FIRST_REMEDY_DROPS = re.compile(r"\. (?:Drop|Leave|Omit) ")


class Placeholder(Struct, frozen=True):
    """A word in capitals, for a value that only the reader knows."""

    word: str
    is_text: bool


class Correction(Struct, frozen=True, kw_only=True):
    """A refused request as it can be typed. `words` are to be replaced, `left_out` is no longer in it."""

    request: dict[str, Any]
    words: list[str]
    left_out: list[str]
    renamed: dict[str, str]


def corrected(request: Mapping[str, Any], problems: Iterable[str]) -> Correction:
    """Return the request with every change that its refusal suggests, as far as the program can know it.

    A problem begins with its field. One that can be cured without another value leaves the request as it is.
    """
    values, left_out, renamed = dict(request), [], {}
    said = list(problems)
    for name in [each for each in values if each not in FIELDS]:
        close = _closest(name, said)
        if close is not None and close not in values:
            values[close] = values[name]
            renamed[name] = close
        else:
            left_out.append(name)
        del values[name]
    for problem in said:
        found = _FIELD.match(problem)
        field = found.group(1) if found else ""
        is_missing = f"{field}: missing" in problem
        if (other := _GIVE_AS.search(problem)) and other[1] in FIELDS:
            values[other[1]] = Placeholder(other[1].upper(), _is_text(other[1]))
        if field not in FIELDS or START_ANEW in problem or TAKE_ANOTHER in problem:
            continue
        if not is_missing and (values.get(field) is None or _CURED_ELSEWHERE.search(problem)):
            continue
        if not is_missing and _FIRST_REMEDY_DROPS.search(problem):
            gone = [each for each in _dropped_with(field) if each in values]
            left_out += sorted(gone, key=list(values).index)
            values = {name: value for name, value in values.items() if name not in gone}
        elif not isinstance(values.get(field), bool):
            # A switch has no other value than off, which asks for something else: then the world has to change.
            values[field] = Placeholder(field.upper(), _is_text(field))
    words = [each.word for each in values.values() if isinstance(each, Placeholder)]
    return Correction(request=values, words=words, left_out=left_out, renamed=renamed)


def correction_lines(correction: Correction) -> Iterator[str]:
    """Yield what the reader has to know before typing the command."""
    for wrong, right in correction.renamed.items():
        yield f"The command has {right} in place of {listed([wrong])}."
    if correction.left_out:
        yield f"The command is without {listed(correction.left_out)}."
    if correction.words:
        yield f"Put your own value in place of {listed(correction.words)}, as said above. Then start again:"
    else:
        yield "Do what is said above, unless the command has it already. Then start again:"


def _dropped_with(field: str) -> Collection[str]:
    """Return the field and what would be refused without it: all else about the same deletion."""
    if field == "delete_source":
        return NEVER_BY_DEFAULT - set(OF_REPLACED)
    return OF_REPLACED if field == "delete_replaced" else [field]


def _closest(name: str, problems: Sequence[str]) -> str | None:
    """Return the field that the refusal suggests in place of an unknown one."""
    for problem in problems:
        found = _CLOSE.search(problem)
        if found and problem.startswith(f"{name}: "):
            return found.group(1)
    return None


def _is_text(field: str) -> bool:
    """Return whether a field takes text. Fields are `Annotated[<type> | None, ...]`."""
    wanted = get_args(get_args(FIELDS[field].type)[0])
    return any(each is str or get_origin(each) is Literal for each in wanted)
