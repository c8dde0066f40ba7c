"""The master's password is sent to the restored cluster alone: a certificate of another server's opens nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.local_aws.postgres.servers import Postgres, Servers
from tests.integration.postgres.cluster_support import MASTER, MASTER_PASSWORD
from utils.errors import TemporaryFailure
from utils.logins.master import MasterLogin
from utils.postgres.session import Server, can_log_in, session
from utils.postgres.setup import prove_login


@pytest.fixture
def another(servers: Servers) -> Iterator[Postgres]:
    """A server of the same authority, whose certificate is for another address than the one where it answers."""
    postgres = servers.new(5432)
    postgres.create(MASTER, MASTER_PASSWORD, "orders")
    certificate, key = (postgres.log.parent / f"server.{kind}" for kind in ("crt", "key"))
    servers.authority.issue(certificate, key, ["127.255.255.254"])
    servers.binaries.give(certificate, key)
    postgres.start()
    yield postgres
    postgres.destroy()


def test_a_server_with_another_ones_certificate_gets_no_password(another: Postgres, servers: Servers) -> None:
    """The authority is the right one; so only sslmode verify-full refuses, and neither require nor verify-ca does."""
    server = Server(host=another.address, port=another.port, ca_bundle=str(servers.authority.bundle))
    master = MasterLogin(username=MASTER, password=MASTER_PASSWORD, host=another.address, port=another.port)
    refused = "does not match host name"
    with pytest.raises(TemporaryFailure, match=refused):
        prove_login(server, master)
    with pytest.raises(TemporaryFailure, match=refused):
        can_log_in(server, "orders", MASTER, MASTER_PASSWORD)
    with pytest.raises(TemporaryFailure, match=refused), session(server, "orders", MASTER, MASTER_PASSWORD):
        pass
