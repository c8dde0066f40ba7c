"""The cost of a cluster in an hour while it exists: an estimate of its instances, by AWS's public on-demand prices.

A price is here only where a public source with a date has it, as AWS's price list (service AmazonRDS) or its pricing
page gave it; documentation/operations/costs.md names them. No price is inferred from another one. All are those of the
standard storage: with I/O-Optimized, instances cost more. Amounts are integers of micro-dollars.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from msgspec import Struct

PAGE = "https://aws.amazon.com/rds/aurora/pricing/"
SERVERLESS = "db.serverless"
STANDARD_STORAGE = "aurora"
NOT_COUNTED = "storage, I/O, backups, extended support and discounts not counted"
_MICROS_OF_A_CENT = 10_000


class Price(Struct, frozen=True):
    """What an instance costs in an hour, or with db.serverless one ACU; and when AWS's price was that."""

    micro_dollars: int
    as_of: str


PRICES: Mapping[str, Mapping[str, Price]] = {
    "us-east-1": {
        # SKU 4U9P9G87PY8QVQH5, in the list published at that date.
        "db.r6g.large": Price(260_000, "2026-03-18"),
        "db.r6g.xlarge": Price(519_000, "2025"),
        "db.r7g.large": Price(276_000, "2025"),
        # SKU AVKW7ZJP8D72HNQC, effective from that date.
        SERVERLESS: Price(120_000, "2025-10-01"),
    },
    "us-west-2": {
        "db.r6g.large": Price(260_000, "2025"),
        "db.r6g.xlarge": Price(519_000, "2025"),
        "db.r7g.large": Price(276_000, "2025"),
    },
    # Usage type EUW2-Aurora:ServerlessV2Usage.
    "eu-west-2": {SERVERLESS: Price(140_000, "2026-10-06")},
    # "USD 0.2 per Aurora Capacity Unit hour running Aurora PostgreSQL Serverless v2".
    "ap-northeast-2": {SERVERLESS: Price(200_000, "2026-10-01")},
}


def hourly_cost(region: str, storage_type: str | None, classes: Sequence[str], capacity: Sequence[float | None]) -> str:
    """Return what instances of these classes cost in an hour, as a predicate: "costs about ...".

    `capacity`: the least and the most ACUs that one of class db.serverless may have.
    """
    counted, known = counted_classes(classes), PRICES.get(region, {})
    is_known = set(classes) <= set(known) and (storage_type or STANDARD_STORAGE) == STANDARD_STORAGE
    if not classes or not is_known or (SERVERLESS in classes and None in capacity):
        return f"costs money, but no public price of {counted} in {region} is known to the pipeline: see {PAGE}"
    least, most = (sum(_price(known[each], each, acus) for each in classes) for acus in capacity)
    amount = _dollars(least) if least == most else f"{_dollars(least)} to {_dollars(most)}"
    dates = " and ".join(sorted({known[each].as_of for each in classes}))
    return (
        f"costs about {amount} USD an hour (estimate: {counted}, AWS's public on-demand price in {region} as of "
        f"{dates}; {NOT_COUNTED})"
    )


def _price(price: Price, instance_class: str, acus: float | None) -> int:
    """Return the price of one instance in micro-dollars.

    Half an ACU is the smallest step of a capacity (API reference, ServerlessV2ScalingConfiguration).
    """
    return price.micro_dollars * round((acus or 0) * 2) // 2 if instance_class == SERVERLESS else price.micro_dollars


def counted_classes(classes: Sequence[str]) -> str:
    """Return the classes in a few words, such as 1 x db.r6g.large, 2 x db.serverless."""
    return ", ".join(f"{len(list(group))} x {name}" for name, group in groupby(classes)) or "no instance"


def _dollars(micro_dollars: int) -> str:
    cents = (micro_dollars + _MICROS_OF_A_CENT // 2) // _MICROS_OF_A_CENT
    return f"{cents // 100}.{cents % 100:02}"
