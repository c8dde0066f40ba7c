"""Waiting by the embedded AWS's clock, as a person at the console waits: look, and look again a little later."""

from __future__ import annotations

from collections.abc import Callable

from scripts.local_aws.server import LocalAws


def wait_until(aws: LocalAws, arrived: Callable[[], bool], awaited: str) -> None:
    """Let time pass until it is so. Raise TimeoutError, with what is awaited, after six hours of the cloud's time."""
    for _ in range(720):
        if arrived():
            return
        aws.clock.sleep(30 if not aws.clock.real_time else 0.2)
    raise TimeoutError(f"{awaited} did not become available within six hours")
