"""A real PostgreSQL for every Aurora cluster: one volume (data directory), one server, one address of its own.

Clients reach it through the endpoints of the cluster and its members (gateway.py).
As on Aurora the superuser is `rdsadmin`, whose password only this process knows; the master user is a member of
`rds_superuser`; and nothing but TLS is accepted. The server's version is this machine's, not RDS's. Deviations from
Aurora: readers share the writer's server; `rds_superuser` can read password hashes; since PostgreSQL 16 only `rdsadmin`
can grant `rds_iam` here, which does not shut out passwords; before 15 nobody can silence event triggers.
"""

from __future__ import annotations

import contextlib
import itertools
import pathlib
import random
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO

import psycopg2
import psycopg2.extensions

from scripts.local_aws.core.certificates import Authority
from scripts.local_aws.postgres.binaries import PostgresBinaries
from scripts.local_aws.postgres.gateway import Gateway, Place
from scripts.local_aws.postgres.setup import MEMBERS, SCRAM_ITERATIONS, Setup, quoted, scram_verifier
from scripts.local_aws.postgres.volumes import Volume, copy_files, copy_volume

_START_SECONDS = 30
_STOP_SECONDS = 20
_POLL_SECONDS = 0.01

# Most connections of tests are the superuser's, and made on this machine: without TLS they take half the time.
_ACCESS_RULES = "hostssl all all all scram-sha-256\nhostnossl all rdsadmin 127.0.0.0/8 scram-sha-256\n"
# On Aurora PAM asks a member for a token, and refuses a password (AWS's documentation, "IAM database authentication").
# Since 16 the creator of a role counts as its member here, though without its rights; so would the master user.
_TOKEN_RULES, _TOKEN_RULES_UNTIL = "hostssl all +rds_iam all reject\n", 15

_SETTINGS = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "log_line_prefix": "%t:%r:%u@%d:[%p]:",
    "log_statement": "ddl",
    "max_connections": "60",
    "max_logical_replication_workers": "0",
    "max_wal_senders": "0",
    "max_wal_size": "64MB",
    "min_wal_size": "32MB",
    "password_encryption": "scram-sha-256",
    "shared_buffers": "16MB",
    "ssl": "on",
    "synchronous_commit": "off",
    "unix_socket_directories": "",
    "wal_keep_size": "64MB",  # a volume is copied while its server writes
    "wal_level": "replica",
}


class Postgres:
    """The server of one cluster. Every method may be called from any thread, one at a time takes effect."""

    def __init__(self, servers: Servers, directory: pathlib.Path, address: str, port: int) -> None:
        self.address = address
        self.port = port
        self.ca_bundle = servers.authority.bundle
        self.log = directory / "server.log"
        self._servers = servers
        self._directory = directory
        self._volume = directory / "volume"
        self._certified: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        directory.mkdir()
        directory.chmod(0o711)

    @property
    def is_running(self) -> bool:
        """Return whether the server has been started."""
        return self._process is not None

    def create(self, master_username: str, master_password: str, database: str | None) -> None:
        """Create an empty volume with a master user who owns it all, as far as Aurora allows it."""
        with self._lock:
            self._servers.setup.create(self._volume, master_username, master_password, database)

    def create_from(self, volume: Volume) -> None:
        """Take a snapshot's volume as it is: its data, its roles and their passwords."""
        with self._lock, volume.lock:
            copy_volume(volume.path, self._volume)

    def copy_to(self, volume: Volume) -> None:
        """Copy the volume as it is at this moment, whether or not the server is writing to it."""
        with self._lock, volume.lock:
            if not self._process:
                copy_volume(self._volume, volume.path)
            else:
                self._copy_live(volume.path)

    def _copy_live(self, target: pathlib.Path) -> None:
        """Copy the volume beside its server's work, and of the log only what was written meanwhile.

        PostgreSQL's manual, "Making a Base Backup Using the Low Level API".
        """
        modern = self._servers.binaries.version >= 15
        start = "pg_backup_start('copy', true)" if modern else "pg_start_backup('copy', true, false)"
        stop = "pg_backup_stop(false)" if modern else "pg_stop_backup(false, false)"
        log, log_copy, label_file = self._volume / "pg_wal", target / "pg_wal", target / "backup_label"
        left_out = {log, self._volume / "postmaster.pid"}
        for directory in (target, log_copy):
            directory.mkdir(mode=0o700)
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(f"select pg_walfile_name({start})")
            (first,) = cursor.fetchone() or ("",)
            copy_files(sorted(set(self._volume.iterdir()) - left_out), target, live=True)
            cursor.execute(f"select pg_walfile_name(lsn), labelfile from {stop}")
            last, label = cursor.fetchone() or ("", "")
        copy_files([each for each in log.iterdir() if first <= each.name <= last], log_copy)
        label_file.write_text(label)
        self._servers.binaries.give(target, log_copy, label_file)

    def start(self) -> None:
        """Start the server unless it runs, and return once it answers."""
        with self._lock:
            if self._process:
                return
            certificate, key = self._directory / "server.crt", self._directory / "server.key"
            if not key.exists():
                self._issue()
            settings = _SETTINGS | {
                "hba_file": str(self._servers.access_rules),
                "listen_addresses": self.address,
                "port": str(self.port),
                "ssl_cert_file": str(certificate),
                "ssl_key_file": str(key),
            }
            if self._servers.binaries.version >= 16:
                settings["scram_iterations"] = str(SCRAM_ITERATIONS)  # of the passwords that clients set
            arguments = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
            with self.log.open("ab") as log:
                self._process = self._servers.spawn(["-D", str(self._volume), *arguments], log)
            self._wait_until_it_answers(self._process)

    def certify(self, addresses: Sequence[str]) -> None:
        """Present a certificate for these addresses to every client that connects from now on."""
        with self._lock:
            if self._certified != list(addresses):
                self._certified = list(addresses)
                self._issue()
                if self._process:
                    self._reload(self._process)

    def _issue(self) -> None:
        certificate, key = self._directory / "server.crt", self._directory / "server.key"
        self._servers.authority.issue(certificate, key, [self.address, *self._certified])
        self._servers.binaries.give(certificate, key)

    def _reload(self, process: subprocess.Popen[bytes]) -> None:
        def loaded() -> object:
            with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
                cursor.execute("select pg_conf_load_time()")
                return cursor.fetchone()

        before = loaded()
        process.send_signal(signal.SIGHUP)
        while loaded() == before:
            time.sleep(_POLL_SECONDS)

    def name_member(self, member: Place, identifier: str) -> None:
        """Let sessions that come from a member's address know its name: `aurora_db_instance_identifier()`."""
        directory = self._volume / MEMBERS
        directory.mkdir(mode=0o700, exist_ok=True)
        file = directory / member.address
        file.write_text(identifier)
        self._servers.binaries.give(directory, file)

    def end_sessions(self, member: Place) -> None:
        """End the sessions of a member, as its restart would: transactions are rolled back."""
        with self._lock:
            if not self._process:
                return
            of_member = "from pg_stat_activity where client_addr = %s::inet and usename is distinct from 'rdsadmin'"
            with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
                while True:
                    cursor.execute(f"select pg_terminate_backend(pid) {of_member}", [member.address])
                    if not cursor.rowcount:
                        break
                    time.sleep(_POLL_SECONDS)
        self._servers.gateway.cut(member)

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the server: connections are cut, transactions rolled back. `at_once` skips the final checkpoint."""
        with self._lock:
            process, self._process = self._process, None
            if not process:
                return
            process.send_signal(signal.SIGQUIT if at_once else signal.SIGINT)
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def interrupt(self) -> None:
        """Interrupt the server at once, and do not wait: so many of them stop side by side."""
        with self._lock:
            if self._process:
                self._process.send_signal(signal.SIGQUIT)

    def destroy(self) -> None:
        """Stop the server and delete the volume and everything else that was the cluster's."""
        with self._lock:
            self.stop(at_once=True)
            self._servers.forget(self)
            shutil.rmtree(self._directory, ignore_errors=True)

    def set_password(self, role: str, password: str) -> None:
        """Set a password. Only its verifier travels, so it is in no log, not even if the statement fails.

        A server that nobody has started yet is started for it alone.
        """
        with self._lock:
            was_running = self.is_running
            self.start()
            try:
                with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
                    cursor.execute(f"alter role {quoted(role)} password '{scram_verifier(password)}'")
            finally:
                if not was_running:
                    self.stop()

    def connect(self, database: str = "postgres") -> psycopg2.extensions.connection:
        """Connect as the superuser that Aurora's customers never are. For this package, and for proofs."""
        connection = psycopg2.connect(
            host=self.address,
            port=self.port,
            dbname=database,
            user="rdsadmin",
            password=self._servers.password,
            sslmode="disable",
            connect_timeout=10,
        )
        connection.autocommit = True
        return connection

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                return self.connect().close()
            except psycopg2.OperationalError as error:
                if process.poll() is not None or time.monotonic() > deadline:
                    self.stop(at_once=True)
                    last_words = self.log.read_text(errors="replace")[-1000:]
                    raise RuntimeError(f"PostgreSQL did not start: {last_words}") from error
            time.sleep(_POLL_SECONDS)


class Servers:
    """All servers of one run, below one directory."""

    def __init__(self, directory: pathlib.Path) -> None:
        """Raise CannotStart where PostgreSQL cannot run. Nothing is started yet."""
        self.directory = directory
        self.directory.mkdir(exist_ok=True)
        self.binaries = PostgresBinaries(directory)
        self.password = secrets.token_hex(16)
        self.setup = Setup(self.binaries, directory, self.password)
        self.authority = Authority(directory / "ca.pem")
        self.gateway = Gateway()
        self.access_rules = directory / "pg_hba.conf"
        refused = _TOKEN_RULES if self.binaries.version <= _TOKEN_RULES_UNTIL else ""
        self.access_rules.write_text(refused + _ACCESS_RULES)
        self._numbers = itertools.count(1)
        self._servers: set[Postgres] = set()
        self._spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="postgres")

    def new(self, port: int) -> Postgres:
        """Return a server with an address of its own on which `port` is free, or else with a port of its own."""
        address, port = _free_address(port)
        server = Postgres(self, self.directory / f"cluster-{next(self._numbers)}", address, port)
        self._servers.add(server)
        return server

    def new_place(self, port: int) -> Place:
        """Return a place for an endpoint, on which nobody listens yet."""
        return Place(*_free_address(port))

    def forget(self, server: Postgres) -> None:
        """Forget a server that is destroyed, and need not be stopped at the end."""
        self._servers.discard(server)

    def new_volume(self) -> Volume:
        """Return the place for a snapshot's volume; nothing is there yet."""
        return Volume(self.directory / f"snapshot-{next(self._numbers)}")

    def spawn(self, arguments: list[str], log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a server from a thread that lives as long as we do: the server ends with it, even after a kill -9."""

        def start() -> subprocess.Popen[bytes]:
            command = self.binaries.command("postgres", *arguments)
            options = self.binaries.process_options
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)

        return self._spawner.submit(start).result()

    def close(self) -> None:
        """Stop every server. The directory is for its owner to delete."""
        self.gateway.close()
        servers = list(self._servers)
        for server in servers:
            server.interrupt()
        for server in servers:
            server.stop(at_once=True)
        self._spawner.shutdown()


def _free_address(port: int) -> tuple[str, int]:
    """Return an address of 127.0.0.0/8 that nobody uses on this port. Linux answers on all, macOS on one only."""
    for address in itertools.islice(_loopback_addresses(), 20):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind((address, port))
            return address, port
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "127.0.0.1", int(probe.getsockname()[1])


def _loopback_addresses() -> Iterator[str]:
    while True:
        yield f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"
