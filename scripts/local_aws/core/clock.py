"""One clock for everything that takes time here: real, or jumping over every moment in which nothing happens.

The jumping clock is a discrete-event clock. It runs with real time, and when nothing is in flight and somebody
sleeps, it skips to what comes first: a sleeper's deadline or a timer. Two kinds of future meet in it:

* a sleeper (`sleep`) needs time to pass, so it makes the clock jump;
* a timer (`call_at`) only happens when time passes, so it never makes the clock jump by itself.

A cluster that is `creating` is a timer: it stays `creating` until somebody waits for it.
"""

from __future__ import annotations

import contextlib
import datetime
import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

_EPSILON = 1e-4  # floating point: a jump to a deadline lands on its far side
_WAKE_POLL_SECONDS = 0.02  # how late a sleeper notices its wake event (one thread awaits one event)

logger = logging.getLogger(__name__)


class Timer:
    """A call that is due at a moment of the clock. A cancelled timer never calls."""

    def __init__(self, callback: Callable[[], object], recurring: bool = False) -> None:
        self.callback: Callable[[], object] | None = callback
        self.recurring = recurring

    def cancel(self) -> None:
        """Cancel the call."""
        self.callback = None


class _Sleeper:
    def __init__(self, holds: int) -> None:
        self.holds = holds
        self.woken = False


class _Holds(threading.local):
    """How often the current thread keeps the clock from jumping."""

    count = 0


class Clock:
    """Virtual time as epoch seconds. Safe to use from every thread."""

    def __init__(self, real_time: bool, quiet_seconds: float = 0.015) -> None:
        """Start the clock.

        `quiet_seconds` of real time without any activity precede a jump: threads hand work to each other unseen.
        """
        self.real_time = real_time
        self.skipped_seconds = 0.0
        self._quiet_seconds = quiet_seconds
        self._changed = threading.Condition()
        self._holds = _Holds()
        self._busy = 0
        self._last_activity = time.monotonic()
        self._sequence = itertools.count()
        self._sleepers: list[tuple[float, int, _Sleeper]] = []
        self._timers: list[tuple[float, int, Timer]] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)
        self._thread.start()

    def time(self) -> float:
        """Return the time in epoch seconds."""
        return time.time() + self.skipped_seconds

    def now(self) -> datetime.datetime:
        """Return the time, aware and in UTC."""
        return datetime.datetime.fromtimestamp(self.time(), datetime.UTC)

    @contextlib.contextmanager
    def busy(self) -> Iterator[None]:
        """Keep the clock from jumping, unless the holding thread itself sleeps on this clock."""
        with self._changed:
            self._busy += 1
        self._holds.count += 1
        try:
            yield
        finally:
            self._holds.count -= 1
            self._release(1)

    @contextlib.contextmanager
    def idle(self) -> Iterator[None]:
        """Let the clock jump although this thread is busy: it only waits for another, which is counted itself."""
        holds, self._holds.count = self._holds.count, 0
        self._release(holds)
        try:
            yield
        finally:
            with self._changed:
                self._busy += holds
            self._holds.count = holds

    def start_thread(self, target: Callable[..., object], *args: Any, name: str) -> threading.Thread:
        """Start a daemon thread that counts as busy from this call until it ends."""
        with self._changed:
            self._busy += 1

        def run() -> None:
            self._holds.count = 1
            try:
                target(*args)
            finally:
                self._release(1)

        thread = threading.Thread(target=run, name=name, daemon=True)
        thread.start()
        return thread

    def sleep(self, seconds: float, wake: threading.Event | None = None) -> bool:
        """Sleep until the time has passed. Return True if `wake` was set, or the clock was closed, before that."""
        sleeper = _Sleeper(self._holds.count)

        def ends_early() -> bool:
            return self._closed or (wake is not None and wake.is_set())

        with self._changed:
            if ends_early():
                return True
            self._push(self._sleepers, self.time() + max(0.0, seconds), sleeper)
            self._busy -= sleeper.holds
            while not (sleeper.woken or ends_early()):
                self._changed.wait(None if wake is None else _WAKE_POLL_SECONDS)
            if sleeper.woken:
                return False
            self._busy += sleeper.holds
            self._sleepers = [entry for entry in self._sleepers if entry[2] is not sleeper]
            heapq.heapify(self._sleepers)
            return True

    def call_at(self, when: float, callback: Callable[[], object], *, recurring: bool = False) -> Timer:
        """Call back on the clock's own thread when time has come; what takes long belongs in `start_thread`.

        `recurring`: it comes again and again, so that a clock that moves from one timer to the next would never rest.
        """
        timer = Timer(callback, recurring)
        with self._changed:
            self._push(self._timers, when, timer)
        return timer

    def keep_moving(self, stop: threading.Event, pause_seconds: float = 0.2) -> None:
        """Let timers come due by themselves, a moment apart, until `stop` is set: somebody outside is watching them.

        Those that recur wait until time has come for them otherwise: nights would pass within seconds.
        """
        while not stop.wait(pause_seconds):
            with self._changed:
                awaited = [when for when, _, timer in self._timers if timer.callback and not timer.recurring]
            due = min(awaited, default=None)
            if due is not None:
                self.sleep(due - self.time(), stop)

    def close(self) -> None:
        """Wake every sleeper and forget every timer. A closed clock still shows the time."""
        with self._changed:
            self._closed = True
            self._timers.clear()
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _release(self, holds: int) -> None:
        with self._changed:
            self._busy -= holds
            self._last_activity = time.monotonic()
            if not self._busy and self._sleepers:
                self._changed.notify_all()

    def _push(self, heap: list[Any], when: float, item: object) -> None:
        heapq.heappush(heap, (when, next(self._sequence), item))
        self._last_activity = time.monotonic()
        self._changed.notify_all()

    def _run(self) -> None:
        with self._changed:
            while not self._closed:
                if timer := self._due(self._timers):
                    self._call(timer)
                elif sleeper := self._due(self._sleepers):
                    self._busy += sleeper.holds
                    sleeper.woken = True
                    self._last_activity = time.monotonic()
                    self._changed.notify_all()
                elif (pause := self._pause()) is None:
                    self._jump()
                else:
                    self._changed.wait(pause)

    def _due(self, heap: list[tuple[float, int, Any]]) -> Any:
        if heap and heap[0][0] <= self.time():
            return heapq.heappop(heap)[2]
        return None

    def _call(self, timer: Timer) -> None:
        callback, timer.callback = timer.callback, None
        if callback is None:
            return
        self._busy += 1
        self._changed.release()
        try:
            callback()
        except Exception:  # the clock continues for everybody else; the log has the error
            logger.exception("a timer's callback failed")
        finally:
            self._changed.acquire()
            self._busy -= 1
            self._last_activity = time.monotonic()

    def _pause(self) -> float | None:
        """Return the real seconds to wait for the next deadline or for quiet, None if the clock may jump now."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        until_next = min((heap[0][0] for heap in (self._sleepers, self._timers) if heap), default=None)
        if until_next is None:
            return threading.TIMEOUT_MAX
        until_next -= self.time()
        if self.real_time or not self._sleepers or self._busy:
            return min(max(until_next, 0.0), threading.TIMEOUT_MAX)
        quiet_in = self._last_activity + self._quiet_seconds - time.monotonic()
        return min(quiet_in, max(until_next, 0.0)) if quiet_in > 0 else None

    def _jump(self) -> None:
        target = min(heap[0][0] for heap in (self._sleepers, self._timers) if heap)
        self.skipped_seconds += max(0.0, target - self.time()) + _EPSILON
