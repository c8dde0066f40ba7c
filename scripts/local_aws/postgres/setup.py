"""The preparation of a volume before any server runs on it: Aurora's own roles, and the cluster's master user."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
import pathlib
import secrets
import shutil
import subprocess
import tempfile
import threading

from scripts.local_aws.postgres.binaries import PostgresBinaries
from scripts.local_aws.postgres.volumes import copy_volume

# As pg_dumpall of a database on RDS shows them (15.3), and rds_extension of Aurora's documentation.
_AWS_ROLES = (
    "rds_superuser",
    "rds_ad",
    "rds_extension",
    "rds_iam",
    "rds_password",
    "rds_replication",
    "rdsrepladmin noinherit replication",
    "rdstopmgr login",
)
# What only superusers may set in PostgreSQL, and members of rds_superuser on RDS (github.com/dotCMS/core/issues/21065,
# github.com/neondatabase/neon/pull/10624), with the version since which it can be granted.
_PARAMETERS = {"session_replication_role": 15, "event_triggers": 17}
_PREDEFINED_ROLES = {
    13: "pg_monitor pg_signal_backend",
    14: "pg_read_all_data pg_write_all_data",
    15: "pg_checkpoint",
    16: "pg_create_subscription pg_use_reserved_connections",
    17: "pg_maintain",
}

SCRAM_ITERATIONS = 1
"""RFC 7677 asks for 4096 where a verifier may be stolen; here they took a third of the time of each login."""

MEMBERS = "aurora_members"
"""The directory in a volume with a file for each member of the cluster: its name, by the address of its sessions."""
# Aurora PostgreSQL functions reference: "Reports the name of the DB instance to which you're connected."
_INSTANCE_IDENTIFIER = (
    "create function pg_catalog.aurora_db_instance_identifier() returns text language sql stable security definer as "
    f"$$select pg_catalog.pg_read_file('{MEMBERS}/' || pg_catalog.host(pg_catalog.inet_client_addr()), 0, 63, true)$$"
)
# Aurora's own functions are the server's: every database has them, also one that was made from template0.
_HAVING_IT = ("template0", "template1", "postgres")

_INITDB = (
    *("-U", "rdsadmin", "-E", "UTF8", "--no-locale", "--wal-segsize=1"),
    *("--auth=trust", "--no-sync"),  # its own pg_hba.conf is never used
)
_KEPT = pathlib.Path(__file__).parents[3] / ".venv" / "postgres"


class Setup:
    """The maker of volumes as Aurora's customers find them."""

    def __init__(self, binaries: PostgresBinaries, directory: pathlib.Path, password: str) -> None:
        """Keep what all volumes share. `password` becomes that of the superuser `rdsadmin` in each of them."""
        self._binaries = binaries
        self._directory = directory
        self._password = password
        self._lock = threading.Lock()

    def create(self, volume: pathlib.Path, master_username: str, master_password: str, database: str | None) -> None:
        """Create an empty volume whose master user owns it all, as far as Aurora allows it."""
        copy_volume(self._template(), volume)
        master = quoted(master_username)
        statements = [
            f"alter role rdsadmin password '{scram_verifier(self._password)}'",
            f"create role {master} login createdb createrole password '{scram_verifier(master_password)}'",
            f"grant rds_superuser to {master} with admin option",
            f"alter database postgres owner to {master}",
            f"alter database template1 owner to {master}",
        ]
        if database and database != "postgres":
            # Since version 15 all of it would be written a second time, into the log.
            copied = " strategy file_copy" if self._binaries.version >= 15 else ""
            statements.append(f"create database {quoted(database)} owner {master}{copied}")
        self._run_alone(volume, statements)

    def _template(self) -> pathlib.Path:
        """Return an empty volume with Aurora's own roles; every new cluster starts as its copy, in later runs as well.

        It holds no password, and depends on nothing but the programs that made it, their arguments and their user.
        """
        user = f"{self._binaries.identity} {os.geteuid()}"
        in_each = [_INSTANCE_IDENTIFIER, *_HAVING_IT]
        made_of = [user, str(self._binaries.directory), *_INITDB, *in_each, *self._aurora_roles()]
        kept = _KEPT / hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16]
        own = self._directory / "template"
        with self._lock:
            if kept.exists():
                return kept
            if not own.exists():
                self._make_template(own)
                with contextlib.suppress(OSError):  # kept already by somebody else, or nothing can be written there
                    _keep(own, kept)
        return own

    def _make_template(self, template: pathlib.Path) -> None:
        draft = self._directory / "template-draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        self._binaries.give(draft)
        self._run("initdb", "-D", str(draft), *_INITDB)
        for database in _HAVING_IT:
            self._run_alone(draft, [_INSTANCE_IDENTIFIER], database)
        self._run_alone(draft, self._aurora_roles())
        draft.rename(template)

    def _run_alone(self, volume: pathlib.Path, statements: list[str], database: str = "postgres") -> None:
        """Run statements as the superuser on a volume that has no server, one per line."""
        arguments = [part for name in ("fsync", "full_page_writes") for part in ("-c", f"{name}=off")]
        self._run(
            "postgres",
            *("--single", "-D", str(volume), "-c", "exit_on_error=on", *arguments, database),
            script="\n".join(statements) + "\n",
        )

    def _aurora_roles(self) -> list[str]:
        version = self._binaries.version
        granted = [name for since, names in _PREDEFINED_ROLES.items() if since <= version for name in names.split()]
        granted += ["rds_password", "rds_replication"]
        return [
            *(f"create role {role}" for role in _AWS_ROLES),
            *(f"grant {name} to rds_superuser with admin option" for name in granted),
            *(
                f"grant set on parameter {name} to rds_superuser"
                for name, since in _PARAMETERS.items()
                if since <= version
            ),
            *(f"grant {name} to rdstopmgr" for name in ("pg_monitor", *(["pg_checkpoint"] if version >= 15 else []))),
            "alter role rdsadmin set log_statement = 'none'",
            "create database rdsadmin",
            "revoke all on database rdsadmin from public",
        ]

    def _run(self, program: str, *arguments: str, script: str = "") -> None:
        command = self._binaries.command(program, *arguments)
        done = subprocess.run(
            command, input=script, capture_output=True, text=True, check=False, **self._binaries.process_options
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr[-1000:] or done.stdout[-1000:]}")


def _keep(template: pathlib.Path, kept: pathlib.Path) -> None:
    """Copy a volume for later runs. It is complete under its name, or not there, as we may be killed meanwhile."""
    kept.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix="draft-") as beside:
        copy_volume(template, pathlib.Path(beside) / "volume")
        (pathlib.Path(beside) / "volume").rename(kept)


def scram_verifier(password: str) -> str:
    """Return what PostgreSQL stores instead of a password of ASCII characters (RFC 5803, RFC 7677)."""
    iterations, salt = SCRAM_ITERATIONS, secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def quoted(name: str) -> str:
    """Return the name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
