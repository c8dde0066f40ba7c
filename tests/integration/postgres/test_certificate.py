"""A member's certificate says by which names clients may call the cluster, and only a genuine one counts."""

from __future__ import annotations

import pathlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scripts.local_aws.core.certificates import Authority
from scripts.local_aws.postgres.servers import Postgres, Servers
from tests.integration.postgres.cluster_support import MASTER, MASTER_PASSWORD
from utils.errors import StepFailed, TemporaryFailure
from utils.postgres.certificate import names_in_certificate


def a_server(servers: Servers, *, certified: str | None = None) -> Postgres:
    """One that is not started; its certificate is for another address where one is given."""
    postgres = servers.new(5432)
    postgres.create(MASTER, MASTER_PASSWORD, "orders")
    certificate, key = (postgres.log.parent / f"server.{kind}" for kind in ("crt", "key"))
    servers.authority.issue(certificate, key, [certified or postgres.address])
    servers.binaries.give(certificate, key)
    return postgres


@pytest.fixture(scope="module")
def member(servers: Servers) -> Iterator[Postgres]:
    postgres = a_server(servers)
    postgres.start()
    yield postgres
    postgres.destroy()


def test_the_names_of_a_member_are_read_without_a_login(member: Postgres, servers: Servers) -> None:
    """The authority issues for `localhost` beside the address."""
    found = names_in_certificate(member.address, member.port, str(servers.authority.bundle))
    assert found == ("localhost", member.address)
    assert "password" not in member.log.read_text()


def test_another_authoritys_certificate_is_refused(member: Postgres, tmp_path: pathlib.Path) -> None:
    stranger = Authority(tmp_path / "stranger.pem")
    with pytest.raises(StepFailed, match="is not valid"):
        names_in_certificate(member.address, member.port, str(stranger.bundle))


def test_another_servers_certificate_is_refused(servers: Servers) -> None:
    """The address leads to a server that has another one's certificate."""
    postgres = a_server(servers, certified="127.255.255.254")
    postgres.start()
    try:
        with pytest.raises(StepFailed, match="IP address mismatch"):
            names_in_certificate(postgres.address, postgres.port, str(servers.authority.bundle))
    finally:
        postgres.destroy()


def test_a_server_that_is_down_may_be_up_soon(servers: Servers) -> None:
    postgres = a_server(servers)
    with pytest.raises(TemporaryFailure, match="No TLS with"):
        names_in_certificate(postgres.address, postgres.port, str(servers.authority.bundle))


@contextmanager
def answering(answer: bytes) -> Iterator[tuple[str, int]]:
    """A server that answers one request with these bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connected, _ = listening.accept()
            with connected:
                connected.recv(8)
                connected.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[:2]
        thread.join()


@pytest.mark.parametrize("answer", [b"N", b"", b"Snonsense"])
def test_a_server_without_tls_gets_no_further(answer: bytes, servers: Servers) -> None:
    with answering(answer) as (host, port), pytest.raises(TemporaryFailure):
        names_in_certificate(host, port, str(servers.authority.bundle))
