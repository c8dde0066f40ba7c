"""The names that RDS, PostgreSQL and Step Functions accept, and those that the pipeline gives to what it creates.

Sources: the API shapes of RDS (CreateDBClusterMessage, CopyDBClusterSnapshotMessage) and Step Functions (quotas).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re

MAX_IDENTIFIER = 63
MAX_INSTANCES = 16
MAX_SNAPSHOT_IDENTIFIER = 255
MAX_ROLE_BYTES = 63
# RDS makes and keeps this key in every account and region. No such key can be shared; a copy between two of ours may
# be under it.
OWN_DEFAULT_KEY = "alias/aws/rds"

_RDS_NAME = re.compile(r"[A-Za-z](?:-?[A-Za-z0-9])*", re.ASCII)
_OPERATION_ID = re.compile(r"[A-Za-z0-9_-]{1,80}", re.ASCII)


def why_not_rds_name(name: str, longest: int = MAX_IDENTIFIER) -> str | None:
    """Return what is wrong with the name of a cluster, an instance or a snapshot, or None where RDS accepts it."""
    if len(name) > longest:
        return f"has {len(name)} characters where {longest} fit"
    if not _RDS_NAME.fullmatch(name):
        return "is not a name that RDS accepts (letters, digits and single hyphens; a letter first, no hyphen last)"
    return None


def why_not_snapshot_name(name: str) -> str | None:
    """Return what is wrong with a snapshot's name. Automated ones (`rds:`) and AWS Backup's have a prefix."""
    prefix, _, rest = name.rpartition(":")
    if prefix == "awsbackup:job" or prefix == "awsbackup":
        return None if rest else "is empty behind its prefix"
    if prefix not in ("", "rds") or name.startswith(":"):
        return f"has an unknown prefix {prefix!r}"
    return why_not_rds_name(rest, MAX_SNAPSHOT_IDENTIFIER)


def may_name_a_role(name: str, master: str) -> bool:
    """Return whether PostgreSQL accepts the name of a role, and it is neither the master's nor a system's."""
    taken = name == master or name.startswith(("pg_", "rds")) or name in ("public", "none", "current_user")
    return not taken and 1 <= len(name.encode()) <= MAX_ROLE_BYTES and "\0" not in name


def is_operation_id(name: str) -> bool:
    """Return whether it can be an execution's name, a tag's value and a table's key."""
    return _OPERATION_ID.fullmatch(name) is not None


def fingerprint(operation_id: str) -> str:
    """Return what stands for an operation in the names of what it creates: 12 hexadecimal digits."""
    return hashlib.sha256(operation_id.encode()).hexdigest()[:12]


def name_for(purpose: str | None, base: str, operation_id: str, end: str = "") -> str:
    """Return a name that only this operation gives to something it creates: the same at every retry.

    At most 63 characters; the base is shortened, the operation's fingerprint never.
    """
    tail = f"{f'-{purpose}' if purpose else ''}-{fingerprint(operation_id)}{end}"
    return base[: MAX_IDENTIFIER - len(tail)].rstrip("-") + tail


def instance_name(cluster_identifier: str, number: int, operation_id: str) -> str:
    """Return the name of a member: of its cluster, this operation and its number, counted from 1.

    Another operation that restores under the same name later cannot collide with it: a renamed cluster keeps the names
    of its instances. At most 63 characters; the cluster's name is shortened, the operation's fingerprint never.
    """
    return name_for(None, cluster_identifier, operation_id, f"-{number}")


def dated(name: str, moment: dt.datetime) -> str:
    """Return a cluster's name with `{date}` as a day in UTC, as RDS stores it."""
    return name.replace("{date}", moment.astimezone(dt.UTC).strftime("%Y%m%d")).lower()
