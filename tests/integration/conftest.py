"""What tests share: one embedded AWS with the clock that jumps (a process can have only one); PostgreSQL servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.aurora.service import Quotas
from scripts.local_aws.postgres.binaries import installations
from scripts.local_aws.postgres.servers import Servers
from scripts.local_aws.server import LocalAws
from tests.integration.tiers import one_and_the_rest

A_DAY = 24 * 60 * 60
NOON = A_DAY // 2


@pytest.fixture(scope="session")
def aws() -> Iterator[LocalAws]:
    """So many tests share it, and leave behind what they made, that they would meet its quotas.

    Its clock starts at noon, so that no test depends on the hour in which it is run.
    """
    with LocalAws() as running:
        running.clock.sleep((NOON - running.clock.time()) % A_DAY)
        running.aurora.quotas = Quotas(
            clusters=10_000, instances=10_000, manual_cluster_snapshots=10_000, copies_in_progress=10_000
        )
        yield running


def leave_at_rest(aws: LocalAws) -> Iterator[None]:
    """Remove the schedules, and the clusters that were not there before, at the end of a fixture that yields from this.

    The clock jumps by months in other tests: a schedule fires all the while, and a cluster has a backup each day.
    """
    found = aws.aurora.existing()
    yield
    schedules = aws.client("scheduler")
    for each in schedules.list_schedules()["Schedules"]:
        schedules.delete_schedule(Name=each["Name"], GroupName=each["GroupName"])
    aws.schedules.settle()
    aws.aurora.remove_all_but(found)


@pytest.fixture(autouse=True)
def _no_faults_are_left_over(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "aws" in request.fixturenames:
        request.getfixturevalue("aws").faults.clear()


@pytest.fixture(
    scope="module", params=one_and_the_rest(installations()), ids=lambda path: f"PostgreSQL in {path.parent}"
)
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Those of each PostgreSQL that this machine has, one after the other; before a commit, of the first alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_AWS_POSTGRES_BIN", str(request.param))
        running = Servers(tmp_path_factory.mktemp("servers"))
        yield running
        running.close()
