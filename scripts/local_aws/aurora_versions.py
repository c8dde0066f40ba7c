"""Engine versions: which are offered, which were, and where each can be upgraded to; and the instance classes."""

from __future__ import annotations

from typing import Any

from scripts.local_aws import aurora_rules as rules
from scripts.local_aws.aurora_region import AuroraBackend, operation
from scripts.local_aws.aurora_setting_rules import CERTIFICATE_AUTHORITIES, LOG_TYPES, STORAGE_TYPES


@operation(
    "DescribeDBEngineVersions",
    *("Engine", "EngineVersion", "DBParameterGroupFamily", "DefaultOnly", "IncludeAll"),
    *("Filters", "MaxRecords", "Marker"),
)
def describe_db_engine_versions(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Only what is offered, unless all are asked for; then also those that no cluster can be made with any more."""
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
    found, marker = rules.page(rules.filtered(versions, parameters, statuses), parameters)
    return {"DBEngineVersions": found, "Marker": marker}


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


@operation(
    "DescribeOrderableDBInstanceOptions", "Engine", "EngineVersion", "DBInstanceClass", "Vpc", "MaxRecords", "Marker"
)
def describe_orderable_db_instance_options(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Every class with every version: which of them AWS sells together changes from region to region."""
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
    found, marker = rules.page(options, parameters)
    return {"OrderableDBInstanceOptions": found, "Marker": marker}
