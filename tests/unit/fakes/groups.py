"""What a new cluster needs around it: RDS's groups and offers, security groups, keys. One of each is there already."""

from __future__ import annotations

import datetime as dt
from typing import Any, ClassVar

from tests.unit.fakes.service import FakeService, Refusal, Thing
from tests.unit.support import ACCOUNT, DOOR, KEY_ID, SECURITY_GROUP

VPC = "vpc-0aaaaaaaaaaaaaaa1"
VERSIONS = ("11.9", "15.7", "16.4", "16.6", "17.5")


class FakeGroups(FakeService):
    """RDS, as far as it is about groups, versions and classes."""

    service: ClassVar[str] = "rds"

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.subnet_groups = {"databases": a_subnet_group("databases", "a", "b")}
        # RDS's default groups are made with the first cluster of their family.
        self.cluster_parameter_groups: dict[str, str] = {}
        self.parameter_groups: dict[str, str] = {}
        self.parameters: dict[str, dict[str, str | None]] = {}
        self.versions: dict[str, Thing] = {
            version: {
                "Engine": "aurora-postgresql",
                "EngineVersion": version,
                "Status": "available",
                "ValidUpgradeTarget": [{"EngineVersion": later} for later in VERSIONS[number + 1 :]],
            }
            for number, version in enumerate(VERSIONS)
        }
        # Until when each major version is supported: for nothing, and for a price.
        self.support = {
            version.partition(".")[0]: (
                dt.datetime(2030, 2, 28, tzinfo=dt.UTC),
                dt.datetime(2033, 2, 28, tzinfo=dt.UTC),
            )
            for version in VERSIONS
        }
        self.quotas = {"DBClusters": (3, 40), "DBInstances": (7, 40)}
        self.offers: dict[str, Thing] = {}
        self.classes = {"db.r6g.large", "db.r6g.xlarge", "db.serverless"}

    def _describe_db_subnet_groups(self, given: Thing) -> Thing:
        if given["DBSubnetGroupName"] not in self.subnet_groups:
            raise Refusal("DBSubnetGroupNotFoundFault", status=404)
        return {"DBSubnetGroups": [self.subnet_groups[given["DBSubnetGroupName"]]]}

    def _describe_db_cluster_parameter_groups(self, given: Thing) -> Thing:
        return {
            "DBClusterParameterGroups": [_group(self.cluster_parameter_groups, given["DBClusterParameterGroupName"])]
        }

    def _describe_db_parameter_groups(self, given: Thing) -> Thing:
        return {"DBParameterGroups": [_group(self.parameter_groups, given["DBParameterGroupName"])]}

    def _describe_db_cluster_parameters(self, given: Thing) -> Thing:
        return self._parameters(self.cluster_parameter_groups, given["DBClusterParameterGroupName"], given)

    def _describe_db_parameters(self, given: Thing) -> Thing:
        return self._parameters(self.parameter_groups, given["DBParameterGroupName"], given)

    def _parameters(self, groups: dict[str, str], name: str, given: Thing) -> Thing:
        """One parameter on each page: hundreds of them fill several."""
        _group(groups, name)
        named = sorted(self.parameters.get(name, {}).items())
        number = int(given.get("Marker", 0))
        page = [
            {"ParameterName": key, **({} if value is None else {"ParameterValue": value})}
            for key, value in named[number : number + 1]
        ]
        return {"Parameters": page, **({"Marker": str(number + 1)} if number + 1 < len(named) else {})}

    def group_for(self, groups: dict[str, str], version: str, named: str | None = None) -> str:
        """RDS makes its default group of a family when none is named; one that is named has to be there."""
        if named is not None:
            _group(groups, named)
            return named
        family = f"aurora-postgresql{version.partition('.')[0]}"
        groups.setdefault(f"default.{family}", family)
        return f"default.{family}"

    def _describe_db_major_engine_versions(self, given: Thing) -> Thing:
        assert given["Engine"] == "aurora-postgresql"
        found = self.support.get(given["MajorEngineVersion"])
        if found is None:
            return {"DBMajorEngineVersions": []}
        names = ("open-source-rds-standard-support", "open-source-rds-extended-support")
        lifecycles = [
            {"LifecycleSupportName": name, "LifecycleSupportStartDate": dt.datetime(2020, 1, 1, tzinfo=dt.UTC)}
            | {"LifecycleSupportEndDate": end}
            for name, end in zip(names, found, strict=True)
        ]
        major = {"Engine": given["Engine"], "MajorEngineVersion": given["MajorEngineVersion"]}
        return {"DBMajorEngineVersions": [{**major, "SupportedEngineLifecycles": lifecycles}]}

    def _describe_db_engine_versions(self, given: Thing) -> Thing:
        """A part of a version finds all that begin so; those that are no longer offered must be asked for."""
        assert given["Engine"] == "aurora-postgresql"
        found = [each for version, each in self.versions.items() if version.startswith(given["EngineVersion"])]
        return {
            "DBEngineVersions": [each for each in found if given.get("IncludeAll") or each["Status"] == "available"]
        }

    def _describe_orderable_db_instance_options(self, given: Thing) -> Thing:
        found = self.classes & {given["DBInstanceClass"]} if given["EngineVersion"] in self.versions else set()
        offers = [{"DBInstanceClass": each, **self.offers.get(each, {})} for each in found]
        return {"OrderableDBInstanceOptions": offers}


class FakeNetwork(FakeService):
    """EC2, as far as it is about security groups, by their id."""

    service = "ec2"

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.groups = {SECURITY_GROUP: VPC, DOOR: VPC}
        # What they let out, by the group's id.
        self.egress: dict[str, list[Thing]] = {}

    def _describe_security_groups(self, given: Thing) -> Thing:
        (wanted,) = given["Filters"]
        assert wanted["Name"] == "group-id"
        found = [each for each in self.groups if each in wanted["Values"]]
        return {
            "SecurityGroups": [
                {"GroupId": each, "VpcId": self.groups[each], "IpPermissionsEgress": self.egress.get(each, [])}
                for each in found
            ]
        }


class FakeKeys(FakeService):
    """KMS: keys by their id, and aliases that lead to them."""

    service = "kms"

    def __init__(self, region: str, account: str = ACCOUNT) -> None:
        super().__init__(region)
        self.account = account
        self.keys: dict[str, Thing] = {}
        self.aliases: dict[str, str] = {}
        # Another account's, and which of them admit this one.
        self.foreign: FakeKeys | None = None
        self.admitted: set[str] = set()
        self.add(KEY_ID)

    def add(self, key_id: str, **changes: Any) -> Thing:
        self.keys[key_id] = {
            "KeyId": key_id,
            "Arn": f"arn:aws:kms:{self.region}:{self.account}:key/{key_id}",
            "KeyState": "Enabled",
            "KeyManager": "CUSTOMER",
            "KeySpec": "SYMMETRIC_DEFAULT",
            **changes,
        }
        return self.keys[key_id]

    def _describe_key(self, given: Thing) -> Thing:
        name = given["KeyId"]
        if name.startswith("arn:"):
            assert name.split(":")[3] == self.region, "KMS answers for its own region only"
            if self.foreign is not None and name.split(":")[4] == self.foreign.account:
                if name.split(":key/")[-1] not in self.admitted:
                    raise Refusal("AccessDeniedException")
                return self.foreign._describe_key(given)
            name = name.split(":")[5].removeprefix("key/")
        assert not name.startswith("alias/aws/"), "asking for it makes the key"
        key_id = self.aliases.get(name, name)
        if key_id not in self.keys:
            raise Refusal("NotFoundException")
        return {"KeyMetadata": dict(self.keys[key_id])}


def a_subnet_group(name: str, *zones: str, vpc_id: str = VPC) -> Thing:
    subnets = [{"SubnetAvailabilityZone": {"Name": f"us-east-1{zone}"}} for zone in zones]
    return {"DBSubnetGroupName": name, "VpcId": vpc_id, "Subnets": subnets}


def _group(groups: dict[str, str], name: str) -> Thing:
    if name not in groups:
        raise Refusal("DBParameterGroupNotFound", status=404)
    return {"DBParameterGroupFamily": groups[name]}
