"""What a new cluster needs around it: RDS's groups and offers, security groups, keys. One of each is there already."""

from __future__ import annotations

from typing import Any, ClassVar

from scripts.local_aws.aurora import offers
from tests.unit.fakes.service import FakeService, Refusal, Thing
from tests.unit.support import ACCOUNT, DOOR, KEY_ID, SECURITY_GROUP

VPC = "vpc-0aaaaaaaaaaaaaaa1"


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
        # What the embedded Aurora offers, until a test changes it.
        self.versions = {each: offers.described_version(each, offers.RETIRED_VERSIONS) for each in offers.RELEASES}
        self.support = dict(offers.SUPPORT_ENDS)
        self.quotas = {"DBClusters": 40, "DBInstances": 40, "ManualClusterSnapshots": 100}
        self.classes = set(offers.INSTANCE_CLASSES)
        # What a class can do and cannot, by its name, in place of or beside what the embedded Aurora says.
        self.offers: dict[str, Thing] = {}

    def _describe_db_subnet_groups(self, given: Thing) -> Thing:
        if given["DBSubnetGroupName"] not in self.subnet_groups:
            raise Refusal("DBSubnetGroupNotFoundFault", status=404)
        return {"DBSubnetGroups": [self.subnet_groups[given["DBSubnetGroupName"]]]}

    def _describe_db_cluster_parameter_groups(self, given: Thing) -> Thing:
        name = given["DBClusterParameterGroupName"]
        family = _family(self.cluster_parameter_groups, name)
        return {"DBClusterParameterGroups": [{"DBClusterParameterGroupName": name, "DBParameterGroupFamily": family}]}

    def _describe_db_parameter_groups(self, given: Thing) -> Thing:
        name = given["DBParameterGroupName"]
        family = _family(self.parameter_groups, name)
        return {"DBParameterGroups": [{"DBParameterGroupName": name, "DBParameterGroupFamily": family}]}

    def _describe_db_cluster_parameters(self, given: Thing) -> Thing:
        return self._parameters(self.cluster_parameter_groups, given["DBClusterParameterGroupName"], given)

    def _describe_db_parameters(self, given: Thing) -> Thing:
        return self._parameters(self.parameter_groups, given["DBParameterGroupName"], given)

    def _parameters(self, groups: dict[str, str], name: str, given: Thing) -> Thing:
        """One parameter on each page: hundreds of them fill several."""
        _family(groups, name)
        named = sorted(self.parameters.get(name, {}).items())
        number = int(given.get("Marker", 0))
        page = [
            {"ParameterName": key, **({} if value is None else {"ParameterValue": value})}
            for key, value in named[number : number + 1]
        ]
        return {"Parameters": page, **({"Marker": str(number + 1)} if number + 1 < len(named) else {})}

    def group_for(self, groups: dict[str, str], version: str, named: str | None, missing: str) -> str:
        """RDS makes its default group of a family when none is named; one that is named has to be there."""
        family = offers.family(version)
        if named is None:
            groups.setdefault(f"default.{family}", family)
        elif named not in groups:
            raise Refusal(missing, status=404)
        return named or f"default.{family}"

    def _describe_db_major_engine_versions(self, given: Thing) -> Thing:
        assert given["Engine"] == offers.ENGINE
        major = given["MajorEngineVersion"]
        found = [offers.described_major(major, *self.support[major])] if major in self.support else []
        return {"DBMajorEngineVersions": found}

    def _describe_db_engine_versions(self, given: Thing) -> Thing:
        """A part of a version finds all that begin so; those that are no longer offered must be asked for."""
        assert given["Engine"] == offers.ENGINE
        named = sorted(
            (each for each in self.versions if offers.begins_with(each, given["EngineVersion"])),
            key=offers.parsed_version,
        )
        found = [self.versions[each] for each in named]
        return {
            "DBEngineVersions": [each for each in found if given.get("IncludeAll") or each["Status"] == "available"]
        }

    def _describe_orderable_db_instance_options(self, given: Thing) -> Thing:
        wanted, version = given["DBInstanceClass"], self.versions.get(given["EngineVersion"], {})
        is_offered = wanted in self.classes and version.get("Status") == "available"
        found = offers.described_options(version["EngineVersion"], wanted) if is_offered else []
        return {"OrderableDBInstanceOptions": [{**each, **self.offers.get(wanted, {})} for each in found]}


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


def _family(groups: dict[str, str], name: str) -> str:
    if name not in groups:
        raise Refusal("DBParameterGroupNotFound", status=404)
    return groups[name]
