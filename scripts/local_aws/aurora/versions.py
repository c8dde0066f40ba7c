"""Engine versions: which are offered, which were, and where each can be upgraded to; and the instance classes."""

from __future__ import annotations

from typing import Any

from scripts.local_aws.aurora import offers, rules
from scripts.local_aws.aurora.region import AuroraBackend, operation


@operation(
    "DescribeDBEngineVersions",
    "Engine EngineVersion DBParameterGroupFamily DefaultOnly IncludeAll Filters MaxRecords Marker",
)
def describe_db_engine_versions(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Describe the versions that are offered; on request also those that no cluster can be created with."""
    retired = offers.RETIRED_VERSIONS | region.world.retired_versions
    listed = offers.RELEASES if parameters.get("IncludeAll") else set(offers.RELEASES) - retired
    versions = [
        offers.described_version(version, retired)
        for version in sorted(listed, key=offers.parsed_version)
        if parameters.get("Engine", offers.ENGINE) == offers.ENGINE
        and offers.begins_with(version, parameters.get("EngineVersion", ""))
        and parameters.get("DBParameterGroupFamily", offers.family(version)) == offers.family(version)
        and (not parameters.get("DefaultOnly") or version == offers.DEFAULT_ENGINE_VERSION)
    ]
    statuses = {"status": lambda each: (each["Status"],)}
    return rules.listing("DBEngineVersions", versions, parameters, statuses)


@operation("DescribeDBMajorEngineVersions", "Engine MajorEngineVersion MaxRecords Marker")
def describe_db_major_engine_versions(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    majors = [
        offers.described_major(major, *ends)
        for major, ends in offers.SUPPORT_ENDS.items()
        if parameters.get("Engine", offers.ENGINE) == offers.ENGINE
        and parameters.get("MajorEngineVersion", major) == major
    ]
    return rules.listing("DBMajorEngineVersions", majors, parameters)


@operation("DescribeOrderableDBInstanceOptions", "Engine EngineVersion DBInstanceClass Vpc MaxRecords Marker")
def describe_orderable_db_instance_options(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Describe every class with every version: which of them AWS sells together changes from region to region."""
    options = [
        each
        for version in offers.ENGINE_VERSIONS
        if version not in region.world.retired_versions
        for instance_class in offers.INSTANCE_CLASSES
        if parameters["Engine"] == offers.ENGINE
        and version == parameters.get("EngineVersion", version)
        and instance_class == parameters.get("DBInstanceClass", instance_class)
        for each in offers.described_options(version, instance_class)
    ]
    return rules.listing("OrderableDBInstanceOptions", options, parameters)
