"""Versions of Aurora PostgreSQL, as RDS writes them, and the parameter groups that belong to them."""

from __future__ import annotations

import re


def is_lower_version(version: str, than: str) -> bool:
    """Return whether a version is lower, as far as it says: 17 is not lower than 17.5."""
    numbers, others = ([int(number) for number in re.findall(r"\d+", each)] for each in (version, than))
    return numbers < others[: len(numbers)]


def family_of(version: str) -> str:
    """Return the parameter groups' family that a version needs, such as aurora-postgresql17."""
    return f"aurora-postgresql{version.split('.')[0]}"


def default_group_of(version: str) -> str:
    """Return the name of RDS's own parameter groups for a version, a cluster's and an instance's alike."""
    return f"default.{family_of(version)}"
