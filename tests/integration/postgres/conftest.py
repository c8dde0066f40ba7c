"""A cluster with production's data and everything that can hang on them, made once for each module that masks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.postgres.servers import Servers
from scripts.local_aws.postgres.volumes import Volume
from tests.integration.postgres.masking_support import produce
from tests.integration.postgres.test_roles import Cluster, kept, started


@pytest.fixture(scope="module")
def produced(servers: Servers) -> Volume:
    cluster = started(servers)
    produce(cluster)
    return kept(cluster, servers)


@pytest.fixture
def production(servers: Servers, produced: Volume) -> Iterator[Cluster]:
    running = started(servers, produced)
    yield running
    running.postgres.destroy()
