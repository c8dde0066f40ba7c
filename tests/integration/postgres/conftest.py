"""A cluster with production's data and everything that can hang on them, made once for each module that masks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.postgres.servers import Servers
from scripts.local_aws.postgres.volumes import Volume
from tests.integration.postgres.cluster_support import Cluster, kept, started
from tests.integration.postgres.masking_support import produce


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
