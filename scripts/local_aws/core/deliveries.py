"""What is done beside the calls, each in a thread of its own, so that one can wait until it has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from scripts.local_aws.core.clock import Clock


class Deliveries:
    """Threads that the clock counts as busy."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, deliver: Callable[..., object], *args: Any, name: str) -> None:
        """Call `deliver` in a thread, and forget those that have ended."""
        with self._lock:
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            self._threads.append(self._clock.start_thread(deliver, *args, name=name))

    def settle(self) -> None:
        """Wait until everything that was started so far has ended."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()
