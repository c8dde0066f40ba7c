"""What a message says that a cluster costs: by public prices alone, with their date, else no figure."""

from __future__ import annotations

import pathlib

import pytest

from utils.messages.prices import NOT_COUNTED, PAGE, PRICES, SERVERLESS, hourly_cost

COSTS = pathlib.Path(__file__).parents[3] / "documentation" / "operations" / "costs.md"
NONE = (None, None)


def test_instances_cost_the_sum_of_their_prices() -> None:
    assert hourly_cost("us-east-1", "aurora", ["db.r6g.large", "db.r6g.large"], NONE) == (
        "costs about 0.52 USD an hour (estimate: 2 x db.r6g.large, AWS's public on-demand price in us-east-1 as of "
        f"2026-03-18; {NOT_COUNTED})"
    )


def test_prices_of_several_dates_have_all_of_them() -> None:
    said = hourly_cost("us-east-1", None, ["db.r6g.xlarge", "db.r6g.large"], NONE)
    assert said.startswith("costs about 0.78 USD an hour (estimate: 1 x db.r6g.xlarge, 1 x db.r6g.large, ")
    assert "as of 2025 and 2026-03-18; " in said


@pytest.mark.parametrize(
    ("capacity", "amount"),
    [((0.5, 4.0), "0.06 to 0.48"), ((0.0, 1.5), "0.00 to 0.18"), ((2.0, 2.0), "0.24"), ((0.5, 256.0), "0.06 to 30.72")],
)
def test_serverless_costs_between_its_least_and_its_most_capacity(capacity: tuple[float, float], amount: str) -> None:
    assert hourly_cost("us-east-1", "aurora", [SERVERLESS], capacity).startswith(f"costs about {amount} USD an hour")


def test_serverless_and_provisioned_instances_are_added() -> None:
    said = hourly_cost("us-east-1", "aurora", ["db.r6g.large", SERVERLESS, SERVERLESS], (0.5, 1.0))
    assert said.startswith("costs about 0.38 to 0.50 USD an hour")


@pytest.mark.parametrize(
    ("region", "storage", "classes"),
    [
        ("eu-central-1", "aurora", ["db.r6g.large"]),
        ("us-east-1", "aurora", ["db.r6g.large", "db.x2g.large"]),
        ("us-east-1", "aurora-iopt1", ["db.r6g.large"]),
        ("us-west-2", "aurora", [SERVERLESS]),
        ("us-east-1", "aurora", []),
    ],
)
def test_without_a_price_there_is_no_figure(region: str, storage: str, classes: list[str]) -> None:
    said = hourly_cost(region, storage, classes, (0.5, 1.0))
    assert said.startswith("costs money, but no public price of ")
    assert said.endswith(f" in {region} is known to the pipeline: see {PAGE}")
    assert "USD" not in said


@pytest.mark.parametrize("capacity", [NONE, (None, 4.0), (0.5, None)])
def test_serverless_of_a_capacity_that_nobody_knows_has_no_figure(capacity: tuple[float | None, float | None]) -> None:
    assert "USD" not in hourly_cost("us-east-1", "aurora", [SERVERLESS], capacity)


def test_the_page_on_costs_has_every_price_and_its_date() -> None:
    rows = [
        f"| {region} | {name} | {price.micro_dollars / 1_000_000:g} | {price.as_of} |"
        for region, prices in PRICES.items()
        for name, price in prices.items()
    ]
    page = COSTS.read_text(encoding="utf-8")
    assert [row for row in rows if row not in page] == []


def test_amounts_are_whole_micro_dollars() -> None:
    assert all(type(each.micro_dollars) is int for prices in PRICES.values() for each in prices.values())
