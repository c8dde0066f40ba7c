"""Lines for CloudWatch Logs, dated by our clock; and AssociateKmsKey, which moto lacks."""

from __future__ import annotations

from collections.abc import Iterable

from moto.logs.models import LogsBackend
from moto.logs.responses import LogsResponse


def append(backend: LogsBackend, group: str, stream: str, lines: Iterable[str], seconds: float) -> None:
    """Append to a stream, made if need be. Not through the API, which refuses times that are hours ahead of ours."""
    backend.ensure_log_group(group)
    log_group = backend.groups[group]
    if stream not in log_group.streams:
        log_group.create_log_stream(stream)
    log_group.put_log_events(stream, [{"timestamp": int(seconds * 1000), "message": line} for line in lines])


def _associate_kms_key(response: LogsResponse) -> str:
    """Encrypt what the group gets from now on with another key."""
    name = response._get_param("logGroupName")
    response.logs_backend.groups[name].kms_key_id = response._get_param("kmsKeyId")
    return ""


LogsResponse.associate_kms_key = _associate_kms_key  # type: ignore[attr-defined]  # added
