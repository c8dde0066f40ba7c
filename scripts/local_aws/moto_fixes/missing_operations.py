"""Operations that moto does not answer: AssociateKmsKey of CloudWatch Logs, and PutCompositeAlarm of CloudWatch."""

from __future__ import annotations

from moto.cloudwatch.responses import CloudWatchResponse
from moto.logs.responses import LogsResponse

# It serves composite alarms too ("to re-use this method"), it only is not reachable as such.
_put_metric_alarm = CloudWatchResponse.put_metric_alarm


def install() -> None:
    """Add the operations for this process, once and for all."""
    LogsResponse.associate_kms_key = _associate_kms_key  # type: ignore[attr-defined]  # added
    CloudWatchResponse.put_composite_alarm = _put_metric_alarm  # type: ignore[attr-defined]  # added


def _associate_kms_key(response: LogsResponse) -> str:
    """Encrypt what the group gets from now on with another key."""
    name = response._get_param("logGroupName")
    response.logs_backend.groups[name].kms_key_id = response._get_param("kmsKeyId")
    return ""
