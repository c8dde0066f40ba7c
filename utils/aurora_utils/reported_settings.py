"""The settings of clusters and instances as RDS reports them, under the names that a plan has for them.

None stands for what RDS does not report, which is no answer: it is neither taken over nor compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from utils.contracts.settings import SETTINGS, Setting

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import DBClusterTypeDef, DBInstanceTypeDef

IN_SYNC = "in-sync"


class ClusterSettings(Struct, frozen=True, kw_only=True):
    """What RDS reports of a cluster: `values` has each setting of the table that a cluster reports, by its name.

    Lists are sorted: RDS promises no order.
    """

    values: dict[str, Any]
    copy_tags_to_snapshot: bool | None

    def value(self, name: str) -> Any:
        """Return what is reported of a setting, or None. Raise KeyError for one that no cluster reports."""
        return self.values[name]


class InstanceSettings(Struct, frozen=True, kw_only=True):
    """What RDS reports of a member: `values` has each setting of the table that an instance reports, by its name.

    `waiting_parameters`: the groups whose static parameters wait for a reboot.
    """

    values: dict[str, Any]
    db_instance_class: str | None
    availability_zone: str | None
    promotion_tier: int | None
    publicly_accessible: bool | None
    monitoring_role_arn: str | None
    parameters_applying: bool
    waiting_parameters: list[str]

    def value(self, name: str) -> Any:
        """Return what is reported of a setting, or None. Raise KeyError for one that no instance reports."""
        return self.values[name]


# Of a cluster, and so of each of its instances; the quota is not adjustable (RDS User Guide, "Quotas and constraints":
# "Security groups (VPC) 5 No").
MOST_SECURITY_GROUPS = 5


class SecurityGroups(Struct, frozen=True, kw_only=True):
    """All that RDS has on record for a cluster or a member: each group's status by its id.

    The API's reference knows no other status than `active` (VpcSecurityGroupMembership); CloudFormation's handler waits
    for it on every group of an instance all the same (DBInstancePredicates.isVpcSecurityGroupsActive).
    """

    statuses: dict[str, str]

    @property
    def ids(self) -> list[str]:
        """Return the groups' ids, sorted, with those that are being added or removed."""
        return sorted(self.statuses)

    @property
    def unsettled(self) -> list[str]:
        """Return the groups that are not active, each with its status."""
        return [f"{group} ({status})" for group, status in sorted(self.statuses.items()) if status != "active"]

    @property
    def staying(self) -> list[str]:
        """Return the groups' ids, sorted, without those that are being removed."""
        return [group for group, status in sorted(self.statuses.items()) if status != "removing"]

    def are_to_be(self, wanted: Iterable[str]) -> bool:
        """Return whether a change to these groups has been accepted, or has taken effect."""
        return set(self.staying) == set(wanted)

    def are(self, wanted: Iterable[str]) -> bool:
        """Return whether it has these groups and no others, each of them active."""
        return set(self.statuses) == set(wanted) and not self.unsettled


class MasterSecret(Struct, frozen=True, kw_only=True):
    """The secret in which RDS keeps a master password. A restored cluster may report its source's for a while."""

    arn: str
    status: str

    @property
    def is_ready(self) -> bool:
        """Return whether the secret can be read."""
        return self.status in ("active", "rotating")

    @property
    def is_broken(self) -> bool:
        """Return whether RDS reports that it is unable to use the secret."""
        return self.status == "impaired"


def read_cluster_settings(raw: DBClusterTypeDef) -> ClusterSettings:
    """Return the settings that RDS reports of a cluster."""
    return ClusterSettings(
        values={each.name: _read(raw, each, each.of_cluster) for each in SETTINGS if each.of_cluster},
        copy_tags_to_snapshot=raw.get("CopyTagsToSnapshot"),
    )


def read_instance_settings(raw: DBInstanceTypeDef) -> InstanceSettings:
    """Return the settings that RDS reports of an instance."""
    groups = raw.get("DBParameterGroups", [])
    return InstanceSettings(
        values={each.name: _read(raw, each, each.of_instance) for each in SETTINGS if each.of_instance},
        db_instance_class=raw.get("DBInstanceClass"),
        availability_zone=raw.get("AvailabilityZone"),
        promotion_tier=raw.get("PromotionTier"),
        publicly_accessible=raw.get("PubliclyAccessible"),
        monitoring_role_arn=raw.get("MonitoringRoleArn"),
        parameters_applying=any(each.get("ParameterApplyStatus") == "applying" for each in groups),
        waiting_parameters=[
            each.get("DBParameterGroupName", "")
            for each in groups
            if each.get("ParameterApplyStatus", IN_SYNC) not in (IN_SYNC, "applying")
        ],
    )


def read_security_groups(raw: DBClusterTypeDef | DBInstanceTypeDef) -> SecurityGroups:
    """Return the security groups that RDS reports of a cluster or an instance."""
    found = raw.get("VpcSecurityGroups", [])
    return SecurityGroups(
        statuses={each.get("VpcSecurityGroupId", ""): each.get("Status", "no status") for each in found}
    )


def read_master_secret(raw: DBClusterTypeDef) -> MasterSecret | None:
    """Return the secret in which RDS keeps the master password; None where it keeps none."""
    secret = raw.get("MasterUserSecret") or {}
    if not secret.get("SecretArn"):
        return None
    return MasterSecret(arn=secret.get("SecretArn", ""), status=secret.get("SecretStatus", "").lower())


def _read(raw: Mapping[str, Any], setting: Setting, path: str) -> Any:
    """Return a setting's value in the words of the plan. Most are reported as they are planned."""
    value: Any = raw
    for member in path.split("."):
        value = (value or {}).get(member)
    return setting.as_planned(value, raw) if setting.as_planned is not None else value
