"""moto lists its own folders at every request, and matches the host against two hundred patterns.

Which service a host belongs to never changes, so it is found out once: that was a third of moto's part in an answer.
"""

from __future__ import annotations

import functools
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication

_find = DomainDispatcherApplication.get_backend_for_host


def install() -> None:
    """Replace moto's way for this process, once and for all."""
    DomainDispatcherApplication.get_backend_for_host = _remembered  # type: ignore[method-assign]


@functools.lru_cache(maxsize=1024)
def _remembered(application: DomainDispatcherApplication, host: str | None) -> Any:
    return _find(application, host)
