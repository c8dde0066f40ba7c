"""A restored cluster is masked as the policy says: every row once, and nothing else of it is changed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.postgres.servers import Servers
from scripts.local_aws.postgres.volumes import Volume
from tests.integration.postgres.masking_support import POLICY, finish, mask, produce, schema_of
from tests.integration.postgres.test_roles import Cluster, started


@pytest.fixture(scope="module")
def produced(servers: Servers) -> Volume:
    cluster, volume = started(servers), servers.new_volume()
    produce(cluster)
    cluster.postgres.stop()
    cluster.postgres.copy_to(volume)
    cluster.postgres.destroy()
    return volume


@pytest.fixture
def production(servers: Servers, produced: Volume) -> Iterator[Cluster]:
    running = started(servers, produced)
    yield running
    running.postgres.destroy()


def test_everything_is_masked_and_the_schema_is_as_before(production: Cluster) -> None:
    before = schema_of(production, "orders")
    progress = mask(production, POLICY)
    assert progress.done
    finish(production)
    assert schema_of(production, "orders") == before
