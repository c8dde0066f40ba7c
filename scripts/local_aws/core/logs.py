"""Lines for CloudWatch Logs, dated by our clock."""

from __future__ import annotations

from collections.abc import Iterable

from moto.logs.models import LogsBackend


def append(backend: LogsBackend, group: str, stream: str, lines: Iterable[str], seconds: float) -> None:
    """Append to a stream, made if need be. Not through the API, which refuses times that are hours ahead of ours."""
    backend.ensure_log_group(group)
    log_group = backend.groups[group]
    if stream not in log_group.streams:
        log_group.create_log_stream(stream)
    log_group.put_log_events(stream, [{"timestamp": int(seconds * 1000), "message": line} for line in lines])
