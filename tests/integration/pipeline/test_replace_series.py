"""Thirty nights in a row: one live cluster, at most one previous one, and no secret more than they need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.aurora.records import Resource
from scripts.local_aws.server import LocalAws
from scripts.local_run.production import Production
from scripts.local_run.stage import Stage
from tests.integration.pipeline.refreshing import HOURLY, Refreshing, deployed, tags_of
from tests.integration.pipeline.support import settle

pytestmark = pytest.mark.series

PREFIX, TARGET = "thirty", "thirty-orders"
NIGHTS = 30
DAY_SECONDS = 24 * 3600


@pytest.fixture(scope="module")
def place(aws: LocalAws) -> Iterator[Stage]:
    with deployed(aws, PREFIX, TargetClusterId=TARGET, ExpirySchedule=HOURLY) as made:
        yield made


class Nights(Refreshing):
    """The nights so far, and the clusters that they have made."""

    seen: set[str]


@pytest.fixture(scope="module")
def so_far(place: Stage, production: Production) -> Nights:
    made = Nights(place, TARGET)
    made.seen = set()
    return made


@pytest.mark.parametrize("number", range(NIGHTS))
def test_each_night_leaves_one_live_and_one_previous_cluster(so_far: Nights, kept: set[Resource], number: int) -> None:
    """By the defaults: the one before is kept for 24 hours, which the next night ends early."""
    nights, secrets = so_far, so_far.aws.client("secretsmanager")
    began = nights.aws.clock.time()
    run = nights.night(f"night-{number}")
    assert run.status == "SUCCEEDED", run.reason
    live = nights.live()
    assert live["DbClusterResourceId"] not in nights.seen
    nights.seen.add(live["DbClusterResourceId"])
    # Until shortly before the next night: the sweeps have announced and deleted what the night before has left.
    nights.aws.clock.sleep(began + DAY_SECONDS - 1800 - nights.aws.clock.time())
    nights.aws.schedules.settle()
    settle(nights.pipeline)
    roles = sorted(tags_of(each).get("aurora-restore:role", "live") for each in nights.ours())
    assert roles == (["live", "previous"] if number else ["live"])
    pages = secrets.get_paginator("list_secrets").paginate()
    names = [each["Name"] for page in pages for each in page["SecretList"]]
    own = [name for name in names if name.startswith(f"{PREFIX}/")]
    assert len(own) <= 2, own
    kept |= nights.aws.aurora.existing()
