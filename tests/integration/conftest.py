"""One embedded AWS, with the clock that jumps, for every test that needs one: a process can have only one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.aurora import Quotas
from scripts.local_aws.server import LocalAws


@pytest.fixture(scope="session")
def aws() -> Iterator[LocalAws]:
    """So many tests share it, and leave behind what they made, that they would meet its quotas."""
    with LocalAws() as running:
        running.aurora.quotas = Quotas(
            clusters=10_000, instances=10_000, manual_cluster_snapshots=10_000, copies_in_progress=10_000
        )
        yield running


@pytest.fixture(autouse=True)
def _no_faults_are_left_over(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "aws" in request.fixturenames:
        request.getfixturevalue("aws").faults.clear()
