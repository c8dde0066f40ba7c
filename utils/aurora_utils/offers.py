"""What a new cluster needs around it, as AWS describes it in one region: groups, engine versions, classes, keys.

Each method is one call. Reading answers None for what does not exist; everything else unexpected is raised.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, TypeVar

from botocore.exceptions import ClientError
from msgspec import Struct

from utils.aurora_utils.client import ENGINE
from utils.aws import client
from utils.aws_errors import error_code, none_when
from utils.changes import asked_once

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import IpPermissionOutputTypeDef
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_kms.type_defs import DescribeKeyResponseTypeDef
    from mypy_boto3_rds import RDSClient


Answer = TypeVar("Answer")
ParameterGroup = Literal["db_cluster_parameter_group", "db_parameter_group"]


class SubnetGroup(Struct, frozen=True, kw_only=True):
    """A subnet group. `network_types` is empty where RDS does not say."""

    vpc_id: str
    zones: list[str]
    network_types: list[str] = []


class SecurityGroup(Struct, frozen=True, kw_only=True):
    """A security group. `egress`: its rules for what goes out, as EC2 describes them."""

    vpc_id: str
    egress: list[IpPermissionOutputTypeDef] = []


class EngineVersion(Struct, frozen=True, kw_only=True):
    """A version of the engine. `is_offered`: clusters can be created with it.

    One that is not offered may still be a snapshot's, and be upgraded. `capacities`: the least and the most that its
    serverless instances take, `log_types` what it exports, as far as RDS says; `certificates`: the CA certificates that
    its instances can have.
    """

    is_offered: bool
    upgrade_targets: list[str]
    capacities: tuple[float, float] | None = None
    log_types: list[str] = []
    certificates: list[str] = []


class Support(Struct, frozen=True, kw_only=True):
    """Until when AWS supports a major version: for nothing, and for a price (RDS Extended Support)."""

    standard_ends: dt.datetime | None
    extended_ends: dt.datetime | None


class InstanceOffer(Struct, frozen=True, kw_only=True):
    """What instances of one class can do with one version. Empty or None where RDS does not say."""

    storage_types: list[str]
    zones: list[str]
    network_types: list[str]
    insights: bool | None
    data_api: bool | None
    iam_authentication: bool | None


class EncryptionKey(Struct, frozen=True, kw_only=True):
    """A KMS key. `is_customers`: not one that AWS manages for a service."""

    key_id: str
    arn: str
    state: str
    is_customers: bool
    is_symmetric: bool


class Surroundings:
    """What is around the clusters in one region."""

    def __init__(self, region: str) -> None:
        self.region = region
        self._rds: RDSClient = client("rds", region)
        self._versions: dict[str, EngineVersion | None] = {}

    def subnet_group(self, name: str) -> SubnetGroup | None:
        """Return the subnet group of this name, or None."""
        answer = none_when(
            "DBSubnetGroupNotFoundFault", lambda: self._rds.describe_db_subnet_groups(DBSubnetGroupName=name)
        )
        if answer is None:
            return None
        (found,) = answer["DBSubnetGroups"]
        zones = {subnet.get("SubnetAvailabilityZone", {}).get("Name", "") for subnet in found.get("Subnets", [])}
        return SubnetGroup(
            vpc_id=found.get("VpcId", ""),
            zones=sorted(zones),
            network_types=found.get("SupportedNetworkTypes", []),
        )

    def security_groups(self, security_group_ids: list[str]) -> dict[str, SecurityGroup]:
        """Return the security groups that exist, by their ids.

        A filter, unlike a list of ids, answers with those that exist.
        """
        answer = client("ec2", self.region).describe_security_groups(
            Filters=[{"Name": "group-id", "Values": security_group_ids}]
        )
        return {
            group["GroupId"]: SecurityGroup(vpc_id=group.get("VpcId", ""), egress=group.get("IpPermissionsEgress", []))
            for group in answer["SecurityGroups"]
        }

    def parameter_group_family(self, kind: ParameterGroup, name: str) -> str | None:
        """Return which versions a group is for."""
        if kind == "db_cluster_parameter_group":
            of_cluster = _none_without_group(
                lambda: self._rds.describe_db_cluster_parameter_groups(DBClusterParameterGroupName=name)
            )
            return of_cluster["DBClusterParameterGroups"][0].get("DBParameterGroupFamily", "") if of_cluster else None
        answer = _none_without_group(lambda: self._rds.describe_db_parameter_groups(DBParameterGroupName=name))
        return answer["DBParameterGroups"][0].get("DBParameterGroupFamily", "") if answer else None

    def parameters(self, kind: ParameterGroup, name: str) -> dict[str, str | None] | None:
        """Return all that a group has, by name; None for a value that RDS leaves to the engine."""
        found: dict[str, str | None] = {}
        of_cluster = self._rds.get_paginator("describe_db_cluster_parameters")
        of_instance = self._rds.get_paginator("describe_db_parameters")
        pages = _none_without_group(
            lambda: list(
                of_cluster.paginate(DBClusterParameterGroupName=name)
                if kind == "db_cluster_parameter_group"
                else of_instance.paginate(DBParameterGroupName=name)
            )
        )
        for page in pages or ():
            found |= {each.get("ParameterName", ""): each.get("ParameterValue") for each in page["Parameters"]}
        return None if pages is None else found

    def engine_version(self, version: str) -> EngineVersion | None:
        """Return the engine version, even if it is no longer offered, for the sake of its upgrade targets.

        Each is requested once.
        """
        if version not in self._versions:
            self._versions[version] = self._engine_version(version)
        return self._versions[version]

    def _engine_version(self, version: str) -> EngineVersion | None:
        answer = self._rds.describe_db_engine_versions(Engine=ENGINE, EngineVersion=version, IncludeAll=True)
        for found in answer["DBEngineVersions"]:
            if found.get("EngineVersion") == version:
                limits = found.get("ServerlessV2FeaturesSupport") or {}
                capacities = (limits.get("MinCapacity", 0.0), limits.get("MaxCapacity", 256.0)) if limits else None
                return EngineVersion(
                    capacities=capacities,
                    log_types=found.get("ExportableLogTypes", []),
                    certificates=found.get("SupportedCACertificateIdentifiers", []),
                    is_offered=found.get("Status", "available") == "available",
                    upgrade_targets=[each.get("EngineVersion", "") for each in found.get("ValidUpgradeTarget", [])],
                )
        return None

    def support(self, version: str) -> Support | None:
        """Return until when a version's major is supported; None where RDS has no dates for it."""
        major = version.partition(".")[0]
        answer = self._rds.describe_db_major_engine_versions(Engine=ENGINE, MajorEngineVersion=major)
        for found in answer["DBMajorEngineVersions"]:
            if found.get("MajorEngineVersion") == major:
                ends = {
                    each["LifecycleSupportName"]: each["LifecycleSupportEndDate"]
                    for each in found.get("SupportedEngineLifecycles", [])
                }
                return Support(
                    standard_ends=ends.get("open-source-rds-standard-support"),
                    extended_ends=ends.get("open-source-rds-extended-support"),
                )
        return None

    def offer(self, instance_class: str, version: str) -> InstanceOffer | None:
        """Return what instances of this class can do with this version, which must be one that is offered.

        None means that RDS does not offer the class with the version.
        """
        try:
            answer = self._rds.describe_orderable_db_instance_options(
                Engine=ENGINE, EngineVersion=version, DBInstanceClass=instance_class
            )
        except ClientError as error:
            if error_code(error) == "InvalidParameterValue":
                return None
            raise
        options = answer["OrderableDBInstanceOptions"]
        if not options:
            return None
        zones = {zone.get("Name", "") for each in options for zone in each.get("AvailabilityZones", [])}
        return InstanceOffer(
            storage_types=sorted({each["StorageType"] for each in options if each.get("StorageType")}),
            zones=sorted(zones),
            network_types=sorted({name for each in options for name in each.get("SupportedNetworkTypes", [])}),
            insights=_any([each.get("SupportsPerformanceInsights") for each in options]),
            data_api=_any([each.get("SupportsHttpEndpoint") for each in options]),
            iam_authentication=_any([each.get("SupportsIAMDatabaseAuthentication") for each in options]),
        )


def _none_without_group(call: Callable[[], Answer]) -> Answer | None:
    """Return None where the parameter group does not exist.

    Either code may report a cluster's: its model has DBClusterParameterGroupNotFound, and describing an absent one
    answers DBParameterGroupNotFound (CloudFormation's handler of AWS::RDS::DBClusterParameterGroup, which catches
    both).
    """
    return none_when("DBClusterParameterGroupNotFound", lambda: none_when("DBParameterGroupNotFound", call))


def _any(answers: list[bool | None]) -> bool | None:
    """Return whether one says yes; None where none says anything."""
    said = [each for each in answers if each is not None]
    return any(said) if said else None


def encryption_key(identifier: str, region: str, keys: KMSClient | None = None) -> EncryptionKey | None:
    """Return the key with this id, ARN or alias, or None.

    Never look up an alias of AWS's own (alias/aws/...): the look-up makes KMS create its key. `keys` looks with another
    account's permissions.
    """

    def look() -> DescribeKeyResponseTypeDef:
        return keys.describe_key(KeyId=identifier) if keys else client("kms", region).describe_key(KeyId=identifier)

    asked = keys or client("kms", region)
    answer = asked_once(lambda: none_when("NotFoundException", look), asked, "DescribeKey", identifier)
    if answer is None:
        return None
    found = answer["KeyMetadata"]
    return EncryptionKey(
        key_id=found["KeyId"],
        arn=found.get("Arn", ""),
        state=found.get("KeyState", "Enabled"),
        is_customers=found.get("KeyManager", "CUSTOMER") == "CUSTOMER",
        is_symmetric=found.get("KeySpec", "SYMMETRIC_DEFAULT") == "SYMMETRIC_DEFAULT",
    )
