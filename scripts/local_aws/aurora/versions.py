"""Engine versions: which are offered, which were, and where each can be upgraded to; and the instance classes."""

from __future__ import annotations

import datetime as dt
from typing import Any

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.region import AuroraBackend, operation
from scripts.local_aws.aurora.setting_rules import CERTIFICATE_AUTHORITIES, LOG_TYPES, STORAGE_TYPES


@operation(
    "DescribeDBEngineVersions",
    "Engine EngineVersion DBParameterGroupFamily DefaultOnly IncludeAll Filters MaxRecords Marker",
)
def describe_db_engine_versions(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Describe the versions that are offered; on request also those that no cluster can be created with."""
    retired = rules.RETIRED_VERSIONS | region.world.retired_versions
    listed = rules.RELEASES if parameters.get("IncludeAll") else set(rules.RELEASES) - retired
    wanted = parameters.get("EngineVersion", "")
    versions = [
        _described(version, retired)
        for version in sorted(listed, key=rules.parsed_version)
        if parameters.get("Engine", rules.ENGINE) == rules.ENGINE
        and f"{version}.".startswith(f"{wanted}." if wanted else "")
        and parameters.get("DBParameterGroupFamily", rules.family(version)) == rules.family(version)
        and (not parameters.get("DefaultOnly") or version == rules.DEFAULT_ENGINE_VERSION)
    ]
    statuses = {"status": lambda each: (each["Status"],)}
    return rules.listing("DBEngineVersions", versions, parameters, statuses)


def _described(version: str, retired: set[str]) -> dict[str, Any]:
    return {
        "Engine": rules.ENGINE,
        "EngineVersion": version,
        "MajorEngineVersion": version.partition(".")[0],
        "DBParameterGroupFamily": rules.family(version),
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
                "Engine": rules.ENGINE,
                "EngineVersion": later,
                "Description": f"Aurora PostgreSQL (compatible with PostgreSQL {later})",
                "AutoUpgrade": False,
                "IsMajorVersionUpgrade": rules.family(later) != rules.family(version),
                "SupportedEngineModes": ["provisioned"],
            }
            for later in rules.upgrade_targets(version)
            if later not in retired
        ],
    }


# The last days of each major version's standard support, and of its paid Extended Support. The answer's form, and the
# days of 17, are those of AWS's example in the CLI's reference (describe-db-major-engine-versions); the days of the
# others, a year before each, are those of the release calendar in the Release Notes for Aurora PostgreSQL.
_SUPPORT_ENDS = {
    "13": (dt.date(2026, 2, 28), dt.date(2029, 2, 28)),
    "14": (dt.date(2027, 2, 28), dt.date(2030, 2, 28)),
    "15": (dt.date(2028, 2, 29), dt.date(2031, 2, 28)),
    "16": (dt.date(2029, 2, 28), dt.date(2032, 2, 29)),
    "17": (dt.date(2030, 2, 28), dt.date(2033, 2, 28)),
}


@operation("DescribeDBMajorEngineVersions", "Engine MajorEngineVersion MaxRecords Marker")
def describe_db_major_engine_versions(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    majors = [
        {
            "Engine": rules.ENGINE,
            "MajorEngineVersion": major,
            "SupportedEngineLifecycles": [
                _lifecycle("open-source-rds-standard-support", standard),
                _lifecycle("open-source-rds-extended-support", extended, standard + dt.timedelta(days=1)),
            ],
        }
        for major, (standard, extended) in _SUPPORT_ENDS.items()
        if parameters.get("Engine", rules.ENGINE) == rules.ENGINE
        and parameters.get("MajorEngineVersion", major) == major
    ]
    return rules.listing("DBMajorEngineVersions", majors, parameters)


def _lifecycle(name: str, last: dt.date, first: dt.date | None = None) -> dict[str, Any]:
    """Return one period of a version's support. Unlike AWS, it omits when standard support began."""
    ends = {"LifecycleSupportEndDate": dt.datetime.combine(last, dt.time(23, 59, 59, 999_000), dt.UTC)}
    begins = {"LifecycleSupportStartDate": dt.datetime.combine(first, dt.time(), dt.UTC)} if first else {}
    return {"LifecycleSupportName": name, **begins, **ends}


@operation("DescribeOrderableDBInstanceOptions", "Engine EngineVersion DBInstanceClass Vpc MaxRecords Marker")
def describe_orderable_db_instance_options(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Describe every class with every version: which of them AWS sells together changes from region to region."""
    options = [
        {
            "Engine": rules.ENGINE,
            "EngineVersion": version,
            "DBInstanceClass": instance_class,
            "LicenseModel": "postgresql-license",
            "StorageType": storage,
            "Vpc": True,
            "SupportsClusters": True,
        }
        for version in rules.ENGINE_VERSIONS
        if version not in region.world.retired_versions
        for instance_class in rules.INSTANCE_CLASSES
        for storage in sorted(STORAGE_TYPES)
        if parameters["Engine"] == rules.ENGINE
        and version == parameters.get("EngineVersion", version)
        and instance_class == parameters.get("DBInstanceClass", instance_class)
    ]
    return rules.listing("OrderableDBInstanceOptions", options, parameters)
