"""What a new cluster needs around it: RDS's groups and offers, security groups, keys. One of each is there already."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.unit.fake_service import FakeService, Refusal, Thing
from tests.unit.support import ACCOUNT, KEY_ID, SECURITY_GROUP

VPC = "vpc-0aaaaaaaaaaaaaaa1"
VERSIONS = ("11.9", "15.7", "16.4", "16.6", "17.5")


class FakeGroups(FakeService):
    """RDS, as far as it is about groups, versions and classes."""

    service: ClassVar[str] = "rds"

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.subnet_groups = {"databases": a_subnet_group("databases", "a", "b")}
        families = {f"aurora-postgresql{version.split('.')[0]}" for version in VERSIONS}
        self.cluster_parameter_groups = {f"default.{family}": family for family in families}
        self.parameter_groups = dict(self.cluster_parameter_groups)
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
        self.groups = {SECURITY_GROUP: VPC}

    def _describe_security_groups(self, given: Thing) -> Thing:
        (wanted,) = given["Filters"]
        assert wanted["Name"] == "group-id"
        found = [each for each in self.groups if each in wanted["Values"]]
        return {"SecurityGroups": [{"GroupId": each, "VpcId": self.groups[each]} for each in found]}


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
