"""The parameters that RDS keeps as they are given: what a description calls each, and which calls take it.

The tests' RDS in memory (tests/unit/fakes/rds.py) reads the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Kept(NamedTuple):
    """A parameter of a cluster or an instance.

    `described` is empty where a description has it under the parameter's own name, and `words` where it has the value
    itself; `default` is what is described where nothing is given, None where nothing is.
    """

    parameter: str
    described: str = ""
    default: Any = None
    at_restore: bool = True
    by_modify: bool = True
    words: Mapping[Any, str] | None = None

    @property
    def member(self) -> str:
        """Return the name that a description has for it."""
        return self.described or self.parameter


LIFECYCLE_SUPPORT = ("open-source-rds-extended-support", "open-source-rds-extended-support-disabled")

OF_CLUSTERS = (
    Kept("AutoMinorVersionUpgrade", default=True, at_restore=False),
    Kept("BackupRetentionPeriod", default=1),
    Kept("CopyTagsToSnapshot", default=False),
    Kept("DatabaseInsightsMode", default="standard", at_restore=False),
    Kept("DeletionProtection", default=False),
    Kept("EnableCloudwatchLogsExports", "EnabledCloudwatchLogsExports", by_modify=False),
    Kept("EnableIAMDatabaseAuthentication", "IAMDatabaseAuthenticationEnabled", default=False),
    # Deviation: it is enabled at once. AWS passes through requested and enabling.
    Kept(
        "EnableLocalWriteForwarding",
        "LocalWriteForwardingStatus",
        default="disabled",
        at_restore=False,
        words={True: "enabled", False: "disabled"},
    ),
    Kept("EnablePerformanceInsights", "PerformanceInsightsEnabled"),
    Kept("EngineLifecycleSupport", default=LIFECYCLE_SUPPORT[0], by_modify=False),
    Kept("MonitoringInterval"),
    Kept("MonitoringRoleArn"),
    Kept("NetworkType", default="IPV4", by_modify=False),
    Kept("PerformanceInsightsKMSKeyId"),
    Kept("PerformanceInsightsRetentionPeriod"),
    Kept("PreferredBackupWindow", default="07:00-07:30"),
    Kept("PreferredMaintenanceWindow", default="sun:05:00-sun:05:30", at_restore=False),
    Kept("ServerlessV2ScalingConfiguration"),
    Kept("StorageType", default="aurora", by_modify=False),
)
OF_INSTANCES = (
    Kept("AutoMinorVersionUpgrade", default=True),
    Kept("CACertificateIdentifier", default="rds-ca-rsa2048-g1"),
    Kept("EnablePerformanceInsights", "PerformanceInsightsEnabled", default=False),
    Kept("MonitoringInterval", default=0),
    Kept("MonitoringRoleArn"),
    Kept("PerformanceInsightsKMSKeyId"),
    Kept("PerformanceInsightsRetentionPeriod"),
    Kept("PreferredMaintenanceWindow", default="sun:05:00-sun:05:30"),
    Kept("PromotionTier", default=1),
    Kept("PubliclyAccessible", default=False),
)
MONITORING = ("MonitoringInterval", "MonitoringRoleArn")
# What a restore's shape has, and only an Aurora Limitless cluster takes.
OF_LIMITLESS = (
    *("EnablePerformanceInsights", "PerformanceInsightsKMSKeyId", "PerformanceInsightsRetentionPeriod"),
    *MONITORING,
)


def members(table: tuple[Kept, ...]) -> dict[str, str]:
    """Return what a description calls each parameter."""
    return {each.parameter: each.member for each in table}


def described(table: tuple[Kept, ...], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is described of the parameters of a call that are kept."""
    given = [(each, parameters[each.parameter]) for each in table if each.parameter in parameters]
    return {each.member: each.words[value] if each.words else value for each, value in given}


def defaults(table: tuple[Kept, ...]) -> dict[str, Any]:
    """Return what a description has where nothing was given."""
    return {each.member: each.default for each in table if each.default is not None}
