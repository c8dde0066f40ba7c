"""What accompanies a call that changes something in AWS: a proof before it, and new questions after it.

utils/aws.py announces each call of each client here. A question that was answered in this run of the function is not
sent a second time, until something is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

# Calls that only look. Those of DynamoDB keep the operation's own books, and STS changes nothing.
_LOOKING = ("Describe", "Get", "List", "Lookup")
_NOTHING_CHANGED_IN = frozenset({"dynamodb", "sts"})

Answer = TypeVar("Answer")

_proofs: list[Callable[[], None]] = []
_answers: list[dict[Hashable, Any]] = []


def before_call(model: Any, **_: Any) -> None:
    """Prove that the call may be made, if it changes something, and forget what was answered before."""
    if model.service_model.service_name in _NOTHING_CHANGED_IN or model.name.startswith(_LOOKING):
        return
    for answers in _answers:
        answers.clear()
    for proof in list(_proofs):
        proof()


@contextmanager
def proving(proof: Callable[[], None]) -> Iterator[None]:
    """Call `proof` before every call within the block that changes something in AWS."""
    _proofs.append(proof)
    try:
        yield
    finally:
        _proofs.remove(proof)


@contextmanager
def asking_once() -> Iterator[None]:
    """Keep the answers to the questions of `asked_once` within the block, until something is changed."""
    _answers.append({})
    try:
        yield
    finally:
        _answers.pop()


def asked_once(question: Callable[[], Answer], *about: Hashable) -> Answer:
    """Return the answer to a question, which is sent once. `about` is service, operation and what is asked for.

    Callers must not change the answer. An error is none.
    """
    known = _answers[-1] if _answers else {}
    if about not in known:
        known[about] = question()
    found: Answer = known[about]
    return found
