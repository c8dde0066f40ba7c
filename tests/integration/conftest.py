"""One embedded AWS, with the clock that jumps, for every test that needs one: a process can have only one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.server import LocalAws


@pytest.fixture(scope="session")
def aws() -> Iterator[LocalAws]:
    with LocalAws() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_faults_are_left_over(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "aws" in request.fixturenames:
        request.getfixturevalue("aws").faults.clear()
