"""What the errors of AWS's calls mean for a step: a retry, a wait for capacity, or what a person has to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NoConnection

from utils.denials import denial_advice, key_advice
from utils.error_codes import CAPACITY_CODES, advice_for, kind_of
from utils.errors import StepFailed, TemporaryFailure
from utils.foreign_text import MAX_SENTENCE, one_line

Answer = TypeVar("Answer")


def error_code(error: ClientError) -> str:
    """Return the code as it is on the wire; it differs from the exception's class name for many RDS errors."""
    return error.response.get("Error", {}).get("Code", "")


def none_when(code: str, call: Callable[[], Answer]) -> Answer | None:
    """Return the call's answer, or None where it is the error of this code: what was asked for does not exist."""
    try:
        return call()
    except ClientError as error:
        if error_code(error) == code:
            return None
        raise


def is_refused_at_once(error: ClientError) -> bool:
    """Return whether AWS has refused a call that reached it once alone, so that nothing came of it.

    botocore repeats a call whose answer was lost, and the refusal may be of the repetition alone.
    """
    about = error.response.get("ResponseMetadata", {})
    return about.get("RetryAttempts") == 0 and about.get("HTTPStatusCode", 500) < 500


def is_capacity_shortage(error: ClientError) -> bool:
    """Return whether AWS has no room at the moment, which may last for hours: for instances, clusters or storage."""
    return error_code(error) in CAPACITY_CODES


def as_step_error(error: ClientError | BotoCoreError) -> StepFailed | TemporaryFailure:
    """Return the same failure in the words the state machine knows, naming call, code and what to do."""
    if isinstance(error, (NoConnection, HTTPClientError, IncompleteReadError)):
        return TemporaryFailure(f"AWS could not be reached: {one_line(error, MAX_SENTENCE)}")
    if not isinstance(error, ClientError):
        return StepFailed(f"AWS could not be called: {error}. Check the stack's version and the function's role.")
    code, call = error_code(error), error.operation_name
    message = one_line(error.response.get("Error", {}).get("Message", ""), MAX_SENTENCE)
    about = error.response.get("ResponseMetadata", {})
    kind = kind_of(code, message, about.get("HTTPStatusCode", 400))
    if kind in ("temporary", "capacity"):
        return TemporaryFailure(f"{call} answered {code}: {message}")
    if kind == "denied":
        advice = denial_advice(call, message, about.get("RequestId", ""))
        return StepFailed(f"{call} is not allowed: {_sentence(message)} {advice}")
    advice = key_advice(message) if code == "KMSKeyNotAccessibleFault" else advice_for(code)
    return StepFailed(f"{call} answered {code}: {_sentence(message)} {advice}".rstrip())


def _sentence(message: str) -> str:
    """Return a message so that another sentence can follow it."""
    ended = message.rstrip() or "AWS gave no text"
    return ended if ended.endswith((".", "!", "?")) else f"{ended}."
