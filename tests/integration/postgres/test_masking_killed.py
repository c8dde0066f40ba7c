"""The masking is killed anywhere, again and again, and goes on: the end is that of a run that nothing disturbed."""

from __future__ import annotations

import os
import random
import re
import signal
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.postgres.cluster_support import Cluster
from tests.integration.postgres.masking_support import (
    POLICY,
    contents,
    expected_contents,
    finish,
    mask,
    one_slice,
    schema_of,
    traces,
)
from tests.integration.tiers import one_and_the_rest
from utils.postgres.masking import chunks
from utils.postgres.masking import mask as engine
from utils.postgres.session import Session

MOST_SLICES = 1000  # one that gets far is rare, and rarer still on a busy machine
WRITES = re.compile(
    r"\s*(WITH|UPDATE|INSERT|DELETE|ALTER|DROP|GRANT|REVOKE|CREATE|DO|TRUNCATE|VACUUM|ANALYZE|REFRESH|COPY)"
)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "FIRST_PAGES", 3)
    monkeypatch.setattr(chunks, "MOST_PAGES", 5)


def in_a_process(work: Callable[[], bool]) -> bool | None:
    """Whether it is done; None where it was killed."""
    with tempfile.TemporaryFile() as told:
        pid = os.fork()
        if pid == 0:
            try:
                os._exit(0 if work() else 1)
            except BaseException:  # noqa: BLE001 - the parent reports it
                os.write(told.fileno(), traceback.format_exc().encode())
                os._exit(2)
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            return None
        told.seek(0)
        assert os.WEXITSTATUS(status) in (0, 1), told.read().decode()
    return os.WEXITSTATUS(status) == 0


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_at(number: int, *, after: bool) -> None:
    """End this process before or after its nth statement that changes something."""
    count = 0

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Session, statement: Any, *values: Any) -> Any:
            nonlocal count
            writes = bool(WRITES.match(statement.as_string(self.connection)))
            count += writes
            if writes and count == number and not after:
                die()
            answer = method(self, statement, *values)
            if writes and count == number and after:
                die()
            return answer

        return call

    Session.run = counted(Session.run)  # type: ignore[method-assign]
    Session.rows = counted(Session.rows)  # type: ignore[method-assign]


def dying_after(seconds: float) -> None:
    def wait() -> None:
        time.sleep(seconds)
        die()

    threading.Thread(target=wait, daemon=True).start()


def disturbed(cluster: Cluster, policy: str, chance: random.Random) -> int:
    """Mask in processes that die. Answers how many did."""
    deaths = 0
    for _ in range(MOST_SLICES):
        kind, number, after = chance.random(), chance.choice([8, 8, 8, 8, 8, 8, 20, 80]), chance.random() < 0.5
        number = chance.randint(1, number)

        def work(kind: float = kind, number: int = number, after: bool = after) -> bool:
            if kind < 0.7:
                dying_at(number, after=after)
            else:
                dying_after(0.1 + number / 80)
            return one_slice(cluster, policy).done

        match in_a_process(work):
            case True:
                return deaths
            case None:
                deaths += 1
    raise AssertionError("it never comes to an end")


@pytest.mark.full
@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("seed", one_and_the_rest(range(4)))
def test_killed_anywhere_it_ends_as_if_nothing_had_been(production: Cluster, seed: int) -> None:
    before, expected = schema_of(production, "orders"), expected_contents(production, "orders", POLICY)
    assert disturbed(production, POLICY, random.Random(seed)) > 8
    progress = mask(production, POLICY)
    assert progress.chunks > 20
    finish(production)
    assert schema_of(production, "orders") == before
    assert contents(production, "orders") == expected
    assert traces(production, "orders") == []


@pytest.mark.full
@pytest.mark.usefixtures("small_chunks")
def test_short_slices_end_as_a_long_one(production: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MARGIN_SECONDS", 0.0)
    before, expected = schema_of(production, "orders"), expected_contents(production, "orders", POLICY)
    slices = 0
    while not one_slice(production, POLICY, questions=30).done:
        slices += 1
        assert slices < MOST_SLICES
    assert slices > 3
    finish(production)
    assert schema_of(production, "orders") == before
    assert contents(production, "orders") == expected
