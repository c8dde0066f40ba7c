"""Behind every cluster stands a PostgreSQL as Aurora sets it up."""

from __future__ import annotations

import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg2
import pytest

from scripts.local_aws.core.errors import CannotStart
from scripts.local_aws.postgres import binaries
from scripts.local_aws.postgres import servers as servers_module
from scripts.local_aws.postgres.gateway import Place
from scripts.local_aws.postgres.servers import Postgres, Servers
from scripts.local_aws.postgres.setup import scram_verifier

PASSWORD = "First-password1"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    servers = Servers(tmp_path_factory.mktemp("servers"))
    yield servers
    servers.close()


@pytest.fixture(scope="module")
def server(servers: Servers) -> Postgres:
    server = servers.new(5432)
    server.create("boss", PASSWORD, "app")
    server.start()
    return server


def log_in(server: Postgres, password: str = PASSWORD, **options: Any) -> psycopg2.extensions.connection:
    parameters = {
        "host": server.address,
        "port": server.port,
        "user": "boss",
        "password": password,
        "dbname": "app",
        "sslmode": "verify-full",
        "sslrootcert": str(server.ca_bundle),
        **options,
    }
    connection: psycopg2.extensions.connection = psycopg2.connect(**parameters)
    connection.autocommit = True
    return connection


def ask(connection: psycopg2.extensions.connection, statement: str) -> list[tuple[Any, ...]]:
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def test_the_server_answers_on_an_address_of_its_own_and_the_asked_port(server: Postgres, servers: Servers) -> None:
    assert server.address.startswith("127.")
    assert server.port == 5432
    assert servers.new(5432).address != server.address


def test_a_taken_address_is_not_handed_out(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.77.77.77", 5432))
        monkeypatch.setattr(servers_module, "_loopback_addresses", lambda: iter(["127.77.77.77", "127.77.77.78"]))
        assert servers.new(5432).address == "127.77.77.78"


def test_without_addresses_of_its_own_it_takes_a_free_port(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers_module, "_loopback_addresses", lambda: iter(["192.0.2.1"]))
    server = servers.new(5432)
    assert server.address == "127.0.0.1"
    assert server.port != 5432


def test_its_certificate_stands_full_verification(server: Postgres) -> None:
    assert ask(log_in(server), "select ssl from pg_stat_ssl where pid = pg_backend_pid()") == [(True,)]


def test_another_authority_is_not_trusted(server: Postgres, tmp_path: pathlib.Path) -> None:
    other = Servers(tmp_path / "other")
    with pytest.raises(psycopg2.OperationalError, match="certificate verify failed"):
        log_in(server, sslrootcert=str(other.authority.bundle))


def test_a_connection_without_tls_is_refused(server: Postgres) -> None:
    with pytest.raises(psycopg2.OperationalError, match=r"no encryption|SSL off"):
        log_in(server, sslmode="disable")


def test_a_wrong_password_is_refused(server: Postgres) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        log_in(server, "wrong")


def test_the_master_user_is_what_she_is_on_aurora(server: Postgres) -> None:
    role = "select rolsuper, rolcreatedb, rolcreaterole from pg_roles where rolname = 'boss'"
    assert ask(log_in(server), role) == [(False, True, True)]
    assert ask(log_in(server), "select pg_has_role('rds_superuser', 'member')") == [(True,)]
    owners = "select datname, datdba::regrole::text from pg_database order by 1"
    assert ask(log_in(server), owners) == [
        ("app", "boss"),
        ("postgres", "boss"),
        ("rdsadmin", "rdsadmin"),
        ("template0", "rdsadmin"),
        ("template1", "boss"),
    ]


@pytest.mark.parametrize("template", ["template0", "template1"])
def test_every_login_learns_in_every_database_which_instance_it_is_with(server: Postgres, template: str) -> None:
    """The function is Aurora's own, and no extension's ("Aurora PostgreSQL functions reference")."""
    name = f"of_{template}"
    ask(log_in(server), f"create database {name} template {template}")
    ask(log_in(server), f"create role of_{name} login password 'Anybodys-password1'")
    ((address,),) = ask(log_in(server), "select host(inet_client_addr())")
    server.name_member(Place(address, server.port), "shop-1")
    with closing(log_in(server, "Anybodys-password1", user=f"of_{name}", dbname=name)) as opened:
        found = ask(opened, "select aurora_db_instance_identifier()")
    ask(log_in(server), f"drop database {name}")
    assert found == [("shop-1",)]


def test_rdsadmin_s_database_is_closed_to_customers(server: Postgres) -> None:
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        log_in(server, dbname="rdsadmin")


def test_the_master_user_makes_roles_and_reads_what_others_own(servers: Servers, server: Postgres) -> None:
    ask(log_in(server), "create role owner_of_things login password 'Owner-password1'")
    ask(log_in(server), "grant create on schema public to owner_of_things")
    ask(log_in(server, "Owner-password1", user="owner_of_things"), "create table things as select 1 as thing")
    if servers.binaries.version < 14:
        ask(log_in(server), "grant owner_of_things to boss")  # pg_read_all_data came with 14
    assert ask(log_in(server), "select thing from things") == [(1,)]


def test_a_copy_holds_what_was_committed_when_it_was_taken_and_nothing_later(
    server: Postgres, servers: Servers
) -> None:
    ask(log_in(server), "create table before_copy as select g from generate_series(1, 20000) g")
    volume = servers.new_volume()
    server.copy_to(volume)
    ask(log_in(server), "create table after_copy ()")
    copy = servers.new(5432)
    copy.create_from(volume)
    copy.start()
    assert ask(log_in(copy), "select count(*) from before_copy") == [(20000,)]
    assert ask(log_in(copy), "select to_regclass('after_copy')") == [(None,)]
    copy.destroy()
    assert not copy.log.exists()


def test_a_stopped_server_s_volume_can_be_copied_too(servers: Servers) -> None:
    server = servers.new(5432)
    server.create("boss", PASSWORD, None)
    volume = servers.new_volume()
    server.copy_to(volume)
    assert (volume.path / "PG_VERSION").exists()


def test_a_new_password_replaces_the_old_one_and_neither_reaches_the_log(server: Postgres, servers: Servers) -> None:
    volume = servers.new_volume()
    server.copy_to(volume)
    copy = servers.new(5432)
    copy.create_from(volume)
    copy.start()
    copy.set_password("boss", "Second-password2")
    log_in(copy, "Second-password2").close()
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        log_in(copy, PASSWORD)
    log_in(server, PASSWORD).close()
    ask(log_in(copy, "Second-password2"), "create table seen_in_the_log ()")
    text = copy.log.read_text()
    assert "seen_in_the_log" in text
    assert PASSWORD not in text
    assert "Second-password2" not in text


def test_the_verifier_is_the_one_that_postgresql_would_make(server: Postgres) -> None:
    ask(log_in(server), f"create role verified login password '{scram_verifier('Verified-pass3')}'")
    log_in(server, "Verified-pass3", user="verified").close()


def test_a_server_that_can_not_start_says_why(servers: Servers) -> None:
    server = servers.new(5432)
    with pytest.raises(RuntimeError, match="PostgreSQL did not start"):
        server.start()
    assert not server.is_running


def test_stopping_leaves_no_process(servers: Servers) -> None:
    server = servers.new(5432)
    server.create("boss", PASSWORD, None)
    server.start()
    pid = ask(server.connect(), "select pg_backend_pid()")[0][0]
    server.stop()
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


_KILLED = """
import os, pathlib, signal, sys
from scripts.local_aws.postgres.servers import Servers
servers = Servers(pathlib.Path(sys.argv[1]))
server = servers.new(5432)
server.create("boss", "Killed-password1", None)
server.start()
print((pathlib.Path(sys.argv[1]) / "cluster-1" / "volume" / "postmaster.pid").read_text().split()[0], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
def test_no_server_outlives_a_process_that_was_killed(tmp_path: pathlib.Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path / "servers")], capture_output=True, text=True, check=False
    )
    command_line, pause = pathlib.Path(f"/proc/{int(killed.stdout)}/cmdline"), threading.Event()
    for _ in range(500):
        with suppress(FileNotFoundError):
            if command_line.read_bytes():  # a zombie has none
                pause.wait(0.01)
                continue
        return
    pytest.fail(f"{command_line} is still there")


def test_a_named_directory_without_postgresql_is_an_error_that_names_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_AWS_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(CannotStart, match=str(tmp_path)):
        Servers(tmp_path / "servers")


def test_no_postgresql_at_all_is_an_error_that_says_what_to_install(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOCAL_AWS_POSTGRES_BIN", raising=False)
    monkeypatch.setattr(binaries, "_candidates", lambda: iter([]))
    with pytest.raises(CannotStart, match="apt-get install postgresql"):
        Servers(tmp_path / "servers")


def test_an_old_postgresql_is_an_error_that_names_its_version(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("postgres", "initdb"):
        script = tmp_path / program
        script.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 9.6.24'\n")
        script.chmod(0o755)
    monkeypatch.setenv("LOCAL_AWS_POSTGRES_BIN", str(tmp_path))
    with pytest.raises(CannotStart, match=r"is version 9\."):
        Servers(tmp_path / "servers")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_root_without_user_namespaces_runs_it_as_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = pathlib.Path(binaries.__file__).with_name("launcher.py").read_text()
    directory = pathlib.Path(tempfile.mkdtemp())
    refusing = directory / "launcher.py"
    refusing.write_text(launcher.replace("libc.unshare(_CLONE_NEWUSER)", "True"))
    monkeypatch.setattr(binaries, "_LAUNCHER", str(refusing))
    servers = Servers(directory / "servers")
    try:
        server = servers.new(5432)
        server.create("boss", PASSWORD, "app")
        server.start()
        volume = servers.new_volume()
        server.copy_to(volume)
        copy = servers.new(5432)
        copy.create_from(volume)
        copy.start()
        assert ask(log_in(copy), "select current_user::text") == [("boss",)]
        assert volume.path.stat().st_uid != 0
    finally:
        servers.close()
        shutil.rmtree(directory)


def test_awss_own_roles_and_their_memberships_are_those_of_rds(server: Postgres) -> None:
    """As pg_dumpall of a database on RDS 15.3 shows them; later versions have predefined roles beside them."""
    roles = ask(server.connect(), "select rolname, rolcanlogin from pg_roles where rolname ~ '^rds' order by 1")
    assert roles == [
        ("rds_ad", False),
        ("rds_extension", False),
        ("rds_iam", False),
        ("rds_password", False),
        ("rds_replication", False),
        ("rds_superuser", False),
        ("rdsadmin", True),
        ("rdsrepladmin", False),
        ("rdstopmgr", True),
    ]
    members = ask(
        server.connect(),
        "select roleid::regrole::text || ' to ' || member::regrole::text from pg_auth_members"
        " where admin_option and member = 'rds_superuser'::regrole or member = 'rdstopmgr'::regrole",
    )
    recorded = {"pg_monitor to rds_superuser", "rds_password to rds_superuser", "rds_replication to rds_superuser"}
    assert recorded | {"pg_monitor to rdstopmgr"} <= {member for (member,) in members}


def test_a_member_of_rds_superuser_silences_event_triggers_as_on_rds(servers: Servers, server: Postgres) -> None:
    since = {"session_replication_role = replica": 15, "event_triggers = off": 17}
    for setting, version in since.items():
        if servers.binaries.version >= version:
            ask(log_in(server, options=f"-c {setting.replace(' ', '')}"), "select 1")
    ask(server.connect(), "create role simple login; select 1")
    server.set_password("simple", PASSWORD)
    with pytest.raises(psycopg2.OperationalError, match="permission denied to set parameter"):
        log_in(server, user="simple", options="-c session_replication_role=replica")
