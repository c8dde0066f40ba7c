"""What RDS offers for Aurora PostgreSQL: versions, for how long and with what each can be had, and instance classes.

The tests' RDS in memory (tests/unit/fakes/groups.py) answers from the same tables.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from typing import Any

ENGINE = "aurora-postgresql"
_RELEASED = ("13.9 14.6 15.2", "16.4", "13.18 14.15 15.10 16.6", "13.20 14.17 15.12 16.8 17.4", "16.9 17.5")
RELEASES = {version: number for number, versions in enumerate(_RELEASED) for version in versions.split()}
"""Every version, and with which of AWS's releases it came: an upgrade never leads to what is older than itself."""

RETIRED_VERSIONS = frozenset({"13.9", "14.6", "15.2"})
"""Described as deprecated to those who ask for all; nothing can be made with them."""

ENGINE_VERSIONS = tuple(version for version in RELEASES if version not in RETIRED_VERSIONS)
DEFAULT_ENGINE_VERSION = "17.4"
"""What RDS takes when a call names no version, also when the snapshot has another one."""

SUPPORT_ENDS = {
    "13": (dt.date(2026, 2, 28), dt.date(2029, 2, 28)),
    "14": (dt.date(2027, 2, 28), dt.date(2030, 2, 28)),
    "15": (dt.date(2028, 2, 29), dt.date(2031, 2, 28)),
    "16": (dt.date(2029, 2, 28), dt.date(2032, 2, 29)),
    "17": (dt.date(2030, 2, 28), dt.date(2033, 2, 28)),
}
"""The last days of each major version's standard support, and of its paid Extended Support.

The answer's form, and the days of 17, are those of AWS's example in the CLI's reference
(describe-db-major-engine-versions); the days of the others, a year before each, are those of the release calendar in
the Release Notes for Aurora PostgreSQL.
"""

_FAMILIES = "r5 r6g r6i r6gd r6id r7g r7i r8g x2g t3 t4g".split()
_SIZES = "medium large xlarge 2xlarge 4xlarge 8xlarge 12xlarge 16xlarge 24xlarge 32xlarge 48xlarge".split()
INSTANCE_CLASSES = ("db.serverless", *(f"db.{family}.{size}" for family in _FAMILIES for size in _SIZES))
LOG_TYPES = frozenset({"postgresql", "instance", "iam-db-auth-error"})
STORAGE_TYPES = frozenset({"aurora", "aurora-iopt1"})
CERTIFICATE_AUTHORITIES = frozenset({"rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1"})


def parsed_version(version: str) -> tuple[int, ...]:
    """Return the version's numbers, which compare as versions do."""
    return tuple(int(part) for part in version.split("."))


def begins_with(version: str, part: str) -> bool:
    """Return whether a version is meant by a part of it, or by all: 16 means 16.4, and 16.1 does not mean 16.10."""
    return f"{version}.".startswith(f"{part}." if part else "")


def upgrade_targets(version: str) -> list[str]:
    """Return the later minor versions of the same major one, and those of later major ones that are no older."""
    own = parsed_version(version)
    found = [
        other
        for other in ENGINE_VERSIONS
        if parsed_version(other) > own and (parsed_version(other)[0] == own[0] or RELEASES[other] >= RELEASES[version])
    ]
    return sorted(found, key=parsed_version)


def family(version: str) -> str:
    """Return the parameter group family of a version."""
    return ENGINE + version.partition(".")[0]


FAMILIES = frozenset(family(version) for version in ENGINE_VERSIONS)


def described_version(version: str, retired: Collection[str]) -> dict[str, Any]:
    """Describe a version. None that is retired is among its upgrade targets."""
    return {
        "Engine": ENGINE,
        "EngineVersion": version,
        "MajorEngineVersion": version.partition(".")[0],
        "DBParameterGroupFamily": family(version),
        "DBEngineDescription": "Aurora PostgreSQL",
        "DBEngineVersionDescription": f"Aurora PostgreSQL (compatible with PostgreSQL {version})",
        "Status": "deprecated" if version in retired else "available",
        "SupportedEngineModes": ["provisioned"],
        "ExportableLogTypes": sorted(LOG_TYPES),
        "SupportsLogExportsToCloudwatchLogs": True,
        "SupportsGlobalDatabases": True,
        "SupportedCACertificateIdentifiers": sorted(CERTIFICATE_AUTHORITIES),
        "ValidUpgradeTarget": [
            {
                "Engine": ENGINE,
                "EngineVersion": later,
                "Description": f"Aurora PostgreSQL (compatible with PostgreSQL {later})",
                "AutoUpgrade": False,
                "IsMajorVersionUpgrade": family(later) != family(version),
                "SupportedEngineModes": ["provisioned"],
            }
            for later in upgrade_targets(version)
            if later not in retired
        ],
    }


def described_major(major: str, standard: dt.date, extended: dt.date) -> dict[str, Any]:
    """Describe a major version, with the last days of its standard and its Extended Support."""
    return {
        "Engine": ENGINE,
        "MajorEngineVersion": major,
        "SupportedEngineLifecycles": [
            _lifecycle("open-source-rds-standard-support", standard),
            _lifecycle("open-source-rds-extended-support", extended, standard + dt.timedelta(days=1)),
        ],
    }


def _lifecycle(name: str, last: dt.date, first: dt.date | None = None) -> dict[str, Any]:
    """Return one period of a version's support. Unlike AWS, it omits when standard support began."""
    ends = {"LifecycleSupportEndDate": dt.datetime.combine(last, dt.time(23, 59, 59, 999_000), dt.UTC)}
    begins = {"LifecycleSupportStartDate": dt.datetime.combine(first, dt.time(), dt.UTC)} if first else {}
    return {"LifecycleSupportName": name, **begins, **ends}


def described_options(version: str, instance_class: str) -> list[dict[str, Any]]:
    """Describe with what a class can be had with a version: every one with all of them, once with each storage."""
    return [
        {
            "Engine": ENGINE,
            "EngineVersion": version,
            "DBInstanceClass": instance_class,
            "LicenseModel": "postgresql-license",
            "StorageType": storage,
            "Vpc": True,
            "SupportsClusters": True,
        }
        for storage in sorted(STORAGE_TYPES)
    ]
