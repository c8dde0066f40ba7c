"""Which values Secrets Manager, SNS and CloudWatch refuse, where moto takes any or counts otherwise.

Sources: the services' models. Secrets Manager: the bounds of a secret, and what a name is made of (CreateSecret, Name;
the text is AWS's, smithy-lang/smithy-typescript#1546, and names an exclamation mark as well, which the model does not).
SNS: Publish, Subject and Message; the texts are AWS's (getmoto/moto#1503, which saw a subject of exactly 100 characters
taken; wellcomecollection/platform#1107 and #1460; LocalStack's services/sns for an empty message). CloudWatch:
PutMetricAlarm, Period; the text about a week is as pasted into the comments of several stacks that it failed, the one
about a day is like it, and the one about a period's length is our own.
"""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Callable
from typing import Any

from moto.cloudwatch.responses import CloudWatchResponse
from moto.secretsmanager.responses import SecretsManagerResponse
from moto.sns.responses import SNSResponse

from scripts.local_aws.core import model_bounds
from scripts.local_aws.core.errors import AwsError

MOST_SUBJECT, MOST_MESSAGE_BYTES = 99, 262_144
_HOUR, _DAY, _WEEK = 3_600, 86_400, 604_800
_NAME = re.compile(r"[A-Za-z0-9/_+=.@-]+", re.ASCII)
_create_secret, _update_secret = SecretsManagerResponse.create_secret, SecretsManagerResponse.update_secret
_put_secret_value = SecretsManagerResponse.put_secret_value
_publish, _put_metric_alarm = SNSResponse.publish, CloudWatchResponse.put_metric_alarm


def install() -> None:
    """Put the refusals before moto's answers for this process, once and for all."""
    SecretsManagerResponse.create_secret = _checked(_create_secret, _check_secret)  # type: ignore[method-assign,assignment]
    SecretsManagerResponse.update_secret = _checked(_update_secret, _check_secret)  # type: ignore[method-assign,assignment]
    SecretsManagerResponse.put_secret_value = _checked(_put_secret_value, _check_secret)  # type: ignore[method-assign,assignment]
    SNSResponse.publish = _checked(_publish, _check_message)  # type: ignore[method-assign,assignment]
    CloudWatchResponse.put_metric_alarm = _checked(_put_metric_alarm, _check_alarm)  # type: ignore[method-assign,assignment]


def _checked(answer: Callable[[Any], Any], check: Callable[[Any], None]) -> Callable[[Any], Any]:
    def checked(response: Any) -> Any:
        check(response)
        return answer(response)

    return checked


def _check_secret(response: Any) -> None:
    given = json.loads(response.body or "{}")
    if "SecretBinary" in given:
        given["SecretBinary"] = base64.b64decode(given["SecretBinary"])
    model_bounds.check("secretsmanager", response._get_action(), given)
    if not _NAME.fullmatch(given.get("Name", "name")):
        raise AwsError(
            "ValidationException",
            "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
        )


def _check_message(response: Any) -> None:
    message, subject = response._get_param("Message") or "", response._get_param("Subject")
    if not message:
        _refuse("Empty message")
    if len(message.encode()) > MOST_MESSAGE_BYTES:
        _refuse("Message too long")
    if subject is not None and (not 1 <= len(subject) <= MOST_SUBJECT or any(map(_is_control, subject))):
        _refuse("Subject")


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Zl", "Zp")


def _refuse(what: str) -> None:
    raise AwsError("InvalidParameter", f"Invalid parameter: {what}")


def _check_alarm(response: Any) -> None:
    period, periods = int(response._get_param("Period") or 0), int(response._get_param("EvaluationPeriods") or 0)
    if period and period not in (10, 20, 30) and period % 60:
        raise AwsError("ValidationError", f"Invalid period {period}: 10, 20, 30 or a multiple of 60.")
    longest, what, which = (_DAY, "a day", "<") if period < _HOUR else (_WEEK, "a week", ">=")
    if period * periods > longest:
        raise AwsError(
            "ValidationError",
            f"Metrics cannot be checked across more than {what} (EvaluationPeriods * Period must be <= {longest}) for "
            f"alarms using period {which} {_HOUR}",
        )
