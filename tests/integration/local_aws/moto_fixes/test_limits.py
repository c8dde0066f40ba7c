"""Values that AWS's models do not allow, where moto takes any."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import name, refused

LONG_VALUE = "s" * 65_536


@pytest.fixture
def topic(aws: LocalAws) -> str:
    return str(aws.client("sns").create_topic(Name=name("topic"))["TopicArn"])


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"SecretString": LONG_VALUE + "s"}, "Value at 'secretString' failed to satisfy constraint: Member must have"),
        ({"SecretBinary": b"s" * 65_537}, "Value at 'secretBinary' failed to satisfy constraint: Member must have"),
        ({"Name": "n" * 513}, "at 'name' failed to satisfy constraint: Member must have length less than or equal to"),
        ({"Name": "orders!app"}, "Invalid name"),
        ({"Name": "orders app"}, "Invalid name"),
        ({"Name": "bestellungen-für"}, "Invalid name"),
    ],
)
def test_a_secret_has_a_name_and_a_value_within_the_model(aws: LocalAws, given: dict[str, Any], text: str) -> None:
    secrets = aws.client("secretsmanager")
    with refused("ValidationException", text):
        secrets.create_secret(**{"Name": name("secret"), **given})


def test_a_secret_of_64_kib_is_taken_and_not_made_longer(aws: LocalAws) -> None:
    secrets = aws.client("secretsmanager")
    secret = secrets.create_secret(Name=name("a/Z_0+=.@"), SecretString=LONG_VALUE)["ARN"]
    secrets.put_secret_value(SecretId=secret, SecretBinary=b"s" * 65_536)
    for change in (secrets.put_secret_value, secrets.update_secret):
        with refused("ValidationException", "less than or equal to 65536"):
            change(SecretId=secret, SecretString=LONG_VALUE + "s")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"Message": ""}, "Empty message"),
        ({"Message": "ä" * 131_072 + "a"}, "Message too long"),
        ({"Subject": ""}, "Subject"),
        ({"Subject": "s" * 100}, "Subject"),
        ({"Subject": "two\nlines"}, "Subject"),
        ({"Subject": "a bell \a"}, "Subject"),
    ],
)
def test_a_message_is_within_what_sns_sends(aws: LocalAws, topic: str, given: dict[str, str], text: str) -> None:
    with refused("InvalidParameter", f"Invalid parameter: {text}"):
        aws.client("sns").publish(**{"TopicArn": topic, "Message": "m", **given})


def test_the_longest_message_is_sent(aws: LocalAws, topic: str) -> None:
    aws.client("sns").publish(TopicArn=topic, Subject="s" * 99, Message="ä" * 131_072)


@pytest.mark.parametrize(
    ("period", "periods", "text"),
    [
        (3600, 169, "more than a week (EvaluationPeriods * Period must be <= 604800)"),
        (3540, 25, "more than a day (EvaluationPeriods * Period must be <= 86400)"),
        (3600, 168, None),
        (60, 1440, None),
        (90, 1, "multiple of 60"),
    ],
)
def test_an_alarm_looks_back_a_week_and_with_short_periods_a_day(
    aws: LocalAws, period: int, periods: int, text: str | None
) -> None:
    cloudwatch = aws.client("cloudwatch")
    alarm: dict[str, Any] = {
        "AlarmName": name("alarm"),
        "Namespace": "n",
        "MetricName": "m",
        "Statistic": "Sum",
        "Threshold": 1,
        "ComparisonOperator": "LessThanThreshold",
        "Period": period,
        "EvaluationPeriods": periods,
    }
    if text is None:
        cloudwatch.put_metric_alarm(**alarm)
    else:
        with refused("ValidationError", text):
            cloudwatch.put_metric_alarm(**alarm)
