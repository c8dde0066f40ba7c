"""The command that starts the next execution, as a person can type it.

Typed as it stands, it does what the sentence before it says. A refused request needs other values: where nobody but the
reader knows them, a word in capitals stands in their place, and the sentence names it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from utils.arns import state_machine_of
from utils.request.corrections import Placeholder
from utils.request.fields import NEVER_BY_DEFAULT

# A longer input is taken from the execution itself, so that the command stays whole.
MAX_INPUT = 6_000


def anew(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request for a new operation that asks for the same. A rollback names the one that it undoes."""
    if request.get("rollback"):
        return dict(request)
    return {name: value for name, value in request.items() if name not in ("operation_id", "resume", "scheduled_at")}


def with_another_snapshot(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request without a named snapshot, so that the newest available one is taken."""
    named = ("snapshot_identifier", "snapshot_date")
    return {name: value for name, value in request.items() if name not in named}


def without_deletion(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request without all that deletes the source."""
    return {name: value for name, value in request.items() if name not in NEVER_BY_DEFAULT}


def resume_command(execution_id: str, request: Mapping[str, Any], operation_id: str) -> Iterator[str]:
    """Yield the command that resumes an operation.

    A field that it omits keeps the operation's value. Only what deletes the source has to be requested each time.
    """
    named = {"operation_id": operation_id, "resume": True}
    whole = {**request, **named}
    if len(json.dumps(whole)) > MAX_INPUT:
        whole = {name: value for name, value in request.items() if name in NEVER_BY_DEFAULT} | named
    yield from start_command(execution_id, whole)


def start_command(execution_id: str, request: Mapping[str, Any]) -> Iterator[str]:
    """Yield the command that starts an execution of the same state machine.

    A placeholder for something other than text has no quotes. Typed as it is, it makes the input invalid, and nothing
    starts.
    """
    machine = state_machine_of(execution_id)
    here = f"--region {machine.region}"
    start, given = f"aws stepfunctions start-execution --state-machine-arn {machine}", _as_json(request)
    if len(given) <= MAX_INPUT:
        yield f"{start} --input {shlex.quote(given)} {here}"
        return
    # The message would be cut within so long an input.
    execution = shlex.quote(execution_id)
    whole = f"aws stepfunctions describe-execution --execution-arn {execution} --query input --output text {here}"
    yield f"{whole} > request.json"
    yield f"{start} --input file://request.json {here}"


def _as_json(request: Mapping[str, Any]) -> str:
    parts = []
    for name, value in request.items():
        if isinstance(value, Placeholder):
            text = f'"{value.word}"' if value.is_text else value.word
        else:
            text = json.dumps(value)
        parts.append(f"{json.dumps(name)}: {text}")
    return "{" + ", ".join(parts) + "}"
