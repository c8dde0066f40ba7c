"""What a run costs on AWS, from what was counted here and AWS's public prices; and what the stack costs while it rests.

The functions' times are this machine's, so their share is an estimate. Aurora itself (instances, storage, the copy's
transfer between regions) costs by size and time and is not included.
"""

from __future__ import annotations

import collections
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from scripts.local_aws.front import ApiCall
from scripts.local_aws.lambda_runtime.functions import Invocation
from scripts.local_aws.moto_fixes.table_units import WRITES

# US dollars in us-east-1, as published in November 2026, without free tiers and discounts.
PRICES = {
    "state transition": 0.025 / 1_000,
    "Lambda request": 0.20 / 1_000_000,
    "Lambda GB-second, arm64": 0.0000133334,
    "DynamoDB write request unit": 0.625 / 1_000_000,
    "DynamoDB read request unit": 0.125 / 1_000_000,
    "Secrets Manager call": 0.05 / 10_000,
    "SNS publish": 0.50 / 1_000_000,
    "KMS request": 0.03 / 10_000,
    "KMS signature": 0.15 / 10_000,
    "S3 write": 0.005 / 1_000,
    "S3 read": 0.0004 / 1_000,
    "log GB": 0.50,
    # 0.30 for a month of 730 hours; only the hours in which there is a data point are paid for.
    "custom metric's hour": 0.30 / 730,
    "X-Ray trace": 5.00 / 1_000_000,
}
PER_MONTH = {
    "AWS::KMS::Key": 1.00,
    "AWS::SecretsManager::Secret": 0.40,
    "AWS::CloudWatch::Alarm": 0.10,
    "AWS::CloudWatch::CompositeAlarm": 0.50,
    "AWS::CloudWatch::Dashboard": 3.00,
}
# An interface endpoint costs 0.01 an hour in each zone; two zones, 730 hours.
ENDPOINT_PER_MONTH = 0.01 * 730 * 2
# The secrets are encrypted with a key of the stack's.
_COUNTED_BY_SERVICE = {
    "secretsmanager": ("Secrets Manager call", "KMS request"),
    "sns": ("SNS publish",),
    "kms": ("KMS request",),
    "s3": ("S3 read",),
}
_COUNTED_BY_CALL = {("kms", "Sign"): ("KMS signature",), ("s3", "PutObject"): ("S3 write",)}


class Cost(NamedTuple):
    """One line of the bill: how much of what, and its price in US dollars."""

    what: str
    amount: float
    dollars: float


def run_costs(
    transitions: int,
    invocations: Iterable[Invocation],
    memory_mib: Mapping[str, int],
    calls: Iterable[ApiCall],
    logged: Iterable[str] = (),
) -> list[Cost]:
    """Return the lines of one run. `memory_mib` is each function's memory, `logged` what the functions logged."""
    counted: dict[str, float] = collections.defaultdict(float, {"state transition": transitions})
    for each in invocations:
        counted["Lambda request"] += 1
        counted["Lambda GB-second, arm64"] += each.milliseconds / 1000 * memory_mib[each.function] / 1024
    for call in calls:
        if call.principal == "operator":
            continue
        if call.service == "dynamodb":
            counted[f"DynamoDB {'write' if call.operation in WRITES else 'read'} request unit"] += call.units
        by_service = _COUNTED_BY_SERVICE.get(call.service, ())
        for what in _COUNTED_BY_CALL.get((call.service, call.operation), by_service):
            counted[what] += 1
    messages = list(logged)
    if messages:
        # CloudWatch Logs counts 26 bytes of its own with each event.
        counted["log GB"] = sum(len(each.encode()) + 26 for each in messages) / 1e9
        counted["custom metric's hour"] = len({each for message in messages for each in _metric_hours(message)})
        counted["X-Ray trace"] = 1
    return [Cost(what, amount, amount * PRICES[what]) for what, amount in counted.items()]


def _metric_hours(message: str) -> Iterator[tuple[Any, ...]]:
    """Yield each metric with a data point in the line (embedded metric format): its name, dimensions and hour."""
    if '"_aws"' not in message:
        return
    document = json.loads(message)
    hour = document["_aws"]["Timestamp"] // 3_600_000
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = tuple(sorted((name, document[name]) for name in names))
            yield from ((directive["Namespace"], each["Name"], dimensions, hour) for each in directive["Metrics"])


def idle_costs(resources: Mapping[str, Mapping[str, Any]]) -> list[Cost]:
    """Return what a stack with these resources costs in a month in which nothing runs."""
    counted = collections.Counter(each["Type"] for each in resources.values())
    lines = [Cost(kind, counted[kind], counted[kind] * price) for kind, price in PER_MONTH.items()]
    interfaces = sum(each.get("Properties", {}).get("VpcEndpointType") == "Interface" for each in resources.values())
    return [*lines, Cost("AWS::EC2::VPCEndpoint (interface, two zones)", interfaces, interfaces * ENDPOINT_PER_MONTH)]


def total(lines: Iterable[Cost]) -> float:
    """Return the sum in US dollars."""
    return sum(line.dollars for line in lines)
