"""What a run costs on AWS, from what was counted here and AWS's public prices; and what the stack costs while it rests.

Counted are the state machine's transitions, the functions' calls and times, and the calls that they made. The
functions' times are this machine's, so their share is an estimate. Aurora itself (instances, storage, the copy's
transfer between regions) costs by size and time and is not in here.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from scripts.local_aws.front import ApiCall
from scripts.local_aws.functions import Invocation

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
_WRITES = ("PutItem", "UpdateItem", "DeleteItem")


class Cost(NamedTuple):
    """One line of the bill: how much of what, and US dollars for all of it."""

    what: str
    amount: float
    dollars: float


def run_costs(
    transitions: int, invocations: Iterable[Invocation], memory_mib: Mapping[str, int], calls: Iterable[ApiCall]
) -> list[Cost]:
    """The lines of one run. `memory_mib` is each function's memory."""
    counted: collections.Counter[str] = collections.Counter({"state transition": transitions})
    seconds = 0.0
    for each in invocations:
        counted["Lambda request"] += 1
        seconds += each.milliseconds / 1000 * memory_mib[each.function] / 1024
    for call in calls:
        if call.principal == "operator":
            continue
        if call.service == "dynamodb":
            counted[f"DynamoDB {'write' if call.operation in _WRITES else 'read'} request unit"] += 1
        elif call.service == "secretsmanager":
            counted["Secrets Manager call"] += 1
            # The secrets are encrypted with a key of the stack's.
            counted["KMS request"] += 1
        elif call.service == "sns":
            counted["SNS publish"] += 1
        elif call.service == "kms":
            counted["KMS request"] += 1
    lines = [Cost(what, amount, amount * PRICES[what]) for what, amount in counted.items()]
    lines.insert(2, Cost("Lambda GB-second, arm64", seconds, seconds * PRICES["Lambda GB-second, arm64"]))
    return lines


def idle_costs(resources: Mapping[str, Mapping[str, Any]]) -> list[Cost]:
    """What a stack with these resources costs in a month in which nothing runs."""
    counted = collections.Counter(each["Type"] for each in resources.values())
    lines = [Cost(kind, counted[kind], counted[kind] * price) for kind, price in PER_MONTH.items()]
    interfaces = sum(each.get("Properties", {}).get("VpcEndpointType") == "Interface" for each in resources.values())
    return [*lines, Cost("AWS::EC2::VPCEndpoint (interface, two zones)", interfaces, interfaces * ENDPOINT_PER_MONTH)]


def total(lines: Iterable[Cost]) -> float:
    return sum(line.dollars for line in lines)
