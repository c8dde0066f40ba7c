"""Before anything is made, all that the new cluster needs is looked at, and what is wrong comes with its remedy."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from tests.unit.fakes.groups import VPC, FakeKeys, FakeNetwork, a_subnet_group
from tests.unit.fakes.rds import FakeRds
from tests.unit.fakes.service import FakeService
from tests.unit.support import (
    ACCOUNT,
    ADMIN_SECRET,
    APP_SECRET,
    DOOR,
    KEY_ID,
    NOW,
    REGION,
    SECURITY_GROUP,
    SOURCE_REGION,
    a_cluster_plan,
    a_copy,
    some_instances,
)
from utils.aurora_utils import Aurora
from utils.aurora_utils.offers import Surroundings
from utils.aws import client
from utils.aws_errors import as_step_error
from utils.contracts.route import SnapshotCopy
from utils.errors import StepFailed
from utils.preflight.creation import creation_problems
from utils.preflight.door import door_warnings
from utils.preflight.secrets import secret_problems

pytestmark = pytest.mark.usefixtures("surroundings")

OTHER_GROUP = "sg-0fedcba9876543210"
SOURCE_KEY = f"arn:aws:kms:{SOURCE_REGION}:{ACCOUNT}:key/{KEY_ID}"
UNDER_CUSTOMERS_KEY = {"StorageEncryptionType": "sse-kms", "StorageEncrypted": True, "KmsKeyId": SOURCE_KEY}
TUNED = {"db_cluster_parameter_group_name": "tuned", "db_parameter_group_name": "tuned"}
DEFAULT_GROUPS = {
    "db_cluster_parameter_group_name": "default.aurora-postgresql{}",
    "db_parameter_group_name": "default.aurora-postgresql{}",
}


@pytest.fixture(autouse=True)
def snapshot(rds: FakeRds) -> dict[str, Any]:
    return rds.add_snapshot("tuesday")


def problems(copy: SnapshotCopy | None = None, /, **changes: Any) -> list[str]:
    found = Aurora(REGION).snapshot("tuesday")
    assert found is not None
    if version := changes.get("engine_version"):
        major = version.split(".")[0]
        changes = {name: group.format(major) for name, group in DEFAULT_GROUPS.items()} | changes
    if (instance_class := changes.pop("db_instance_class", None)) is not None:
        changes["instances"] = some_instances(2, instance_class)
    cluster = a_cluster_plan(**changes)
    secrets = secret_problems(found.master_username, cluster, None, NOW)
    return [*creation_problems(cluster, copy, found, REGION), *secrets]


def the_problem(copy: SnapshotCopy | None = None, /, **changes: Any) -> str:
    (found,) = problems(copy, **changes)
    return found


def put_app_secret(content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    client("secretsmanager").put_secret_value(SecretId=APP_SECRET, SecretString=text)


def test_where_everything_is_there_nothing_is_wrong_and_each_thing_was_asked_for_once(
    rds: FakeRds, network: FakeNetwork, keys: FakeKeys
) -> None:
    rds.calls.clear()
    rds.cluster_parameter_groups["tuned"] = rds.parameter_groups["tuned"] = "aurora-postgresql16"
    assert problems(kms_key_id=KEY_ID, **TUNED) == []
    asked = rds.operations() + network.operations() + keys.operations()
    assert sorted(asked) == [
        "DescribeAccountAttributes",
        "DescribeDBClusterParameterGroups",
        "DescribeDBClusterSnapshots",
        "DescribeDBEngineVersions",
        "DescribeDBParameterGroups",
        "DescribeDBSubnetGroups",
        "DescribeKey",
        "DescribeOrderableDBInstanceOptions",
        "DescribeSecurityGroups",
    ]


def test_settings_that_are_missing_are_no_reason_to_ask_for_them(rds: FakeRds, network: FakeNetwork) -> None:
    assert problems(db_subnet_group_name="", vpc_security_group_ids=[], db_instance_class="") == []
    assert "DescribeDBSubnetGroups" not in rds.operations()
    assert "DescribeOrderableDBInstanceOptions" not in rds.operations()
    assert [call for call in network.calls if SECURITY_GROUP in str(call)] == []


# The door

OWN_GROUP = "sg-0000000000000f00d"


def rule(protocol: str = "tcp", ports: tuple[int, int] | None = (5432, 5432), **peers: Any) -> dict[str, Any]:
    return {"IpProtocol": protocol, **({"FromPort": ports[0], "ToPort": ports[1]} if ports else {}), **peers}


TO_DOOR: dict[str, Any] = {"UserIdGroupPairs": [{"GroupId": DOOR}]}
ANYWHERE: dict[str, Any] = {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
RANGE: dict[str, Any] = {"IpRanges": [{"CidrIp": "10.0.0.0/16"}]}
PREFIXES: dict[str, Any] = {"PrefixListIds": [{"PrefixListId": "pl-1"}]}


@pytest.mark.parametrize(
    ("egress", "port", "reaches"),
    [
        ([], 5432, False),
        ([rule(**TO_DOOR)], 5432, True),
        ([rule(**TO_DOOR)], 5433, False),
        ([rule(ports=(1150, 65535), **TO_DOOR)], 5433, True),
        ([rule("udp", **TO_DOOR)], 5432, False),
        ([rule("-1", None, **ANYWHERE)], 5432, True),
        ([rule("-1", None, **ANYWHERE)], None, True),
        ([rule(**ANYWHERE)], 5432, True),
        ([rule(**ANYWHERE)], None, None),
        ([rule(ports=(1150, 65535), **TO_DOOR)], None, True),
        ([rule(UserIdGroupPairs=[{"GroupId": OTHER_GROUP}])], 5432, False),
        ([rule(ports=(443, 443), **ANYWHERE)], 5432, False),
        ([rule(ports=(443, 443), **ANYWHERE)], None, False),
        ([rule(**RANGE)], 5432, None),
        ([rule(**PREFIXES)], 5432, None),
        ([rule(Ipv6Ranges=[{"CidrIpv6": "::/0"}])], 5432, None),
        ([rule(**RANGE), rule(**TO_DOOR)], 5432, True),
        ([rule(ports=(443, 443), **RANGE)], 5432, False),
    ],
)
def test_a_functions_group_of_the_users_own_has_to_let_it_out_to_the_door(
    network: FakeNetwork,
    monkeypatch: pytest.MonkeyPatch,
    egress: list[dict[str, Any]],
    port: int | None,
    reaches: bool | None,
) -> None:
    monkeypatch.setenv("FUNCTION_SECURITY_GROUP_ID", OWN_GROUP)
    network.groups[OWN_GROUP] = VPC
    network.egress[OWN_GROUP] = egress
    cluster = a_cluster_plan(port=port)
    found = [each for each in problems(port=port) if each.startswith("function:")]
    warned = list(door_warnings(cluster, Surroundings(REGION)))
    assert (bool(found), bool(warned)) == (reaches is False, reaches is None)
    for each in found:
        assert "aws ec2 authorize-security-group-egress --group-id sg-0000000000000f00d --ip-permissions" in each


def test_the_stacks_own_group_of_the_function_isnt_looked_at(network: FakeNetwork) -> None:
    assert problems() == []
    assert list(door_warnings(a_cluster_plan(), Surroundings(REGION))) == []


def test_a_functions_group_that_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNCTION_SECURITY_GROUP_ID", OWN_GROUP)
    assert the_problem().startswith(f"function: the stack's FunctionSecurityGroupId '{OWN_GROUP}' does not exist")


def test_the_door_has_to_exist_in_the_vpc_of_the_cluster(network: FakeNetwork) -> None:
    network.groups[DOOR] = "vpc-0bbbbbbbbbbbbbbb2"
    message = the_problem()
    assert message.startswith(f"db_subnet_group_name: 'databases' is in {VPC}, but the security group in which")
    assert "vpc-0bbbbbbbbbbbbbbb2, the stack's VpcId" in message
    del network.groups[DOOR]
    assert the_problem().startswith(f"door: the stack's security group '{DOOR}'")


def test_the_door_is_no_group_to_ask_for() -> None:
    message = the_problem(vpc_security_group_ids=[SECURITY_GROUP, DOOR])
    assert message.startswith(f"vpc_security_group_ids: '{DOOR}' is the stack's door")


# Subnets and security groups


def test_a_subnet_group_has_to_exist() -> None:
    message = the_problem(db_subnet_group_name="databses")
    assert message.startswith(f"db_subnet_group_name: 'databses' does not exist in {REGION}.")
    assert message.endswith(f"aws rds describe-db-subnet-groups --region {REGION}")


@pytest.mark.parametrize(("zones", "named"), [(["a"], "us-east-1a"), (["a", "a"], "us-east-1a"), ([], "no zone")])
def test_a_subnet_group_has_to_cover_two_zones(rds: FakeRds, zones: list[str], named: str) -> None:
    rds.subnet_groups["databases"] = a_subnet_group("databases", *zones)
    message = the_problem()
    assert message.startswith(f"db_subnet_group_name: 'databases' covers only {named}, and Aurora needs two zones.")
    assert "aws rds modify-db-subnet-group --db-subnet-group-name databases" in message


def test_a_security_group_has_to_exist() -> None:
    message = the_problem(vpc_security_group_ids=[OTHER_GROUP, SECURITY_GROUP, OTHER_GROUP])
    assert message.startswith(f"vpc_security_group_ids: '{OTHER_GROUP}' does not exist in {REGION}.")
    assert message.endswith(f"aws ec2 describe-security-groups --region {REGION} --filters Name=vpc-id,Values={VPC}")


def test_a_security_group_has_to_be_in_the_subnet_groups_vpc(network: FakeNetwork) -> None:
    network.groups[OTHER_GROUP] = "vpc-elsewhere"
    message = the_problem(vpc_security_group_ids=[SECURITY_GROUP, OTHER_GROUP])
    assert message.startswith(f"vpc_security_group_ids: '{OTHER_GROUP}' is in vpc-elsewhere, but the subnet group")
    assert f"'databases' is in {VPC}" in message


def test_every_security_group_that_is_wrong_is_named_also_without_a_subnet_group(network: FakeNetwork) -> None:
    found = problems(db_subnet_group_name="databses", vpc_security_group_ids=[OTHER_GROUP, "sg-00000000"])
    assert [each.split(" ")[1] for each in found] == ["'databses'", f"'{OTHER_GROUP}'", "'sg-00000000'"]
    assert len(network.calls) == 1


# Version, parameter groups, class


@pytest.mark.parametrize("version", ["16.4", "16.6", "17.5"])
def test_the_snapshots_version_and_those_that_it_can_be_upgraded_to_are_restored(version: str) -> None:
    assert problems(engine_version=version) == []


def test_a_lower_version_than_the_snapshots_is_refused() -> None:
    message = the_problem(engine_version="15.10")
    assert message.startswith(
        "engine_version: '15.10' is lower than the snapshot's 16.4, and a restore cannot lower it"
    )
    assert "16.4 to restore it as it is" in message


@pytest.mark.parametrize("version", ["16.40", "18.1", "17", "16"])
def test_a_version_that_isnt_an_upgrade_target_is_refused_with_those_that_are(version: str) -> None:
    message = the_problem(engine_version=version)
    assert message.startswith(f"engine_version: a snapshot of 16.4 cannot be restored to '{version}' in {REGION}.")
    assert "Give one of 16.6, 16.8, 16.9, 17.4, 17.5, or 16.4 to restore it as it is" in message


def test_numbers_are_compared_as_numbers(rds: FakeRds, snapshot: dict[str, Any]) -> None:
    snapshot["EngineVersion"] = "16.10"
    rds.versions["16.10"] = {**rds.versions["16.9"], "EngineVersion": "16.10"}
    assert the_problem(engine_version="16.9").startswith("engine_version: '16.9' is lower than the snapshot's 16.10")


def test_a_version_that_is_no_longer_offered_must_be_upgraded(snapshot: dict[str, Any]) -> None:
    snapshot["EngineVersion"] = "15.2"
    message = the_problem(engine_version="15.2")
    assert message.startswith(f"engine_version: '15.2', the snapshot's own, is no longer offered in {REGION}.")
    assert message.endswith("Give one of 15.10, 15.12, 16.4, 16.6, 16.8, 16.9, 17.4, 17.5.")
    assert problems(engine_version="16.4") == []


def test_a_version_that_nobody_knows_any_more_cant_be_restored(snapshot: dict[str, Any]) -> None:
    snapshot["EngineVersion"] = "9.6.3"
    assert the_problem(engine_version="9.6.3").endswith("This snapshot cannot be upgraded: choose another one.")
    assert "or omit it" not in the_problem(engine_version="16.4")


def test_a_version_is_not_mistaken_for_another_that_begins_like_it(rds: FakeRds, snapshot: dict[str, Any]) -> None:
    snapshot["EngineVersion"] = "16.1"
    rds.versions = {"16.10": {**rds.versions["16.6"], "EngineVersion": "16.10"}}
    assert "is no longer offered" in the_problem(engine_version="16.1")


@pytest.mark.parametrize("kind", ["db_cluster_parameter_group", "db_parameter_group"])
def test_a_parameter_group_has_to_exist(kind: str) -> None:
    message = the_problem(**{f"{kind}_name": "tuned"})
    assert message.startswith(f"{kind}_name: 'tuned' does not exist in {REGION}. Give one that does, or create one:")
    command = kind.replace("_", "-")
    assert f"aws rds create-{command} --{command}-name tuned --db-parameter-group-family aurora-postgresql16" in message


@pytest.mark.parametrize("kind", ["db_cluster_parameter_group", "db_parameter_group"])
def test_a_default_group_is_rdss_to_make_and_isnt_looked_for(rds: FakeRds, kind: str) -> None:
    """In a region that has never had such a cluster there is none yet."""
    assert rds.cluster_parameter_groups == rds.parameter_groups == {}
    assert problems(**{f"{kind}_name": "default.aurora-postgresql16"}) == []
    assert "DescribeDBClusterParameterGroups" not in rds.operations()
    assert "DescribeDBParameterGroups" not in rds.operations()


def test_a_missing_group_of_a_cluster_may_be_told_by_either_code(rds: FakeRds) -> None:
    for code in ("DBParameterGroupNotFound", "DBClusterParameterGroupNotFound"):
        rds.refuse("DescribeDBClusterParameterGroups", code, "Not found.", 404)
        message = the_problem(db_cluster_parameter_group_name="tuned")
        assert message.startswith(f"db_cluster_parameter_group_name: 'tuned' does not exist in {REGION}.")


@pytest.mark.parametrize("kind", ["db_cluster_parameter_group", "db_parameter_group"])
@pytest.mark.parametrize("name", ["tuned", "default.aurora-postgresql15"])
def test_a_parameter_group_has_to_fit_the_version(rds: FakeRds, kind: str, name: str) -> None:
    rds.parameter_groups["tuned"] = rds.cluster_parameter_groups["tuned"] = "aurora-postgresql15"
    message = the_problem(**{f"{kind}_name": name})
    assert message.startswith(f"{kind}_name: '{name}' is of family aurora-postgresql15, and the restored version needs")
    assert message.endswith("such as default.aurora-postgresql16.")


def test_with_a_wrong_version_the_groups_that_were_named_are_still_looked_for(rds: FakeRds) -> None:
    rds.parameter_groups["tuned"] = "aurora-postgresql15"
    found = problems(
        engine_version="18.1", db_cluster_parameter_group_name="forgotten", db_parameter_group_name="tuned"
    )
    assert [each.split(":")[0] for each in found] == ["engine_version", "db_cluster_parameter_group_name"]
    assert "DescribeOrderableDBInstanceOptions" not in rds.operations()


def test_a_class_that_the_version_cant_have_is_refused(rds: FakeRds) -> None:
    message = the_problem(db_instance_class="db.r9z.large")
    assert message.startswith(
        f"db_instance_class: 'db.r9z.large' is not available with aurora-postgresql 16.4 in {REGION}"
    )
    assert "aws rds describe-orderable-db-instance-options --engine aurora-postgresql --engine-version 16.4" in message
    rds.refuse("DescribeOrderableDBInstanceOptions", "InvalidParameterValue", "Invalid DB Instance class")
    assert the_problem(db_instance_class="db.r6g.large").startswith(
        "db_instance_class: 'db.r6g.large' is not available"
    )


def test_of_another_engine_no_version_is_asked_for(rds: FakeRds, snapshot: dict[str, Any]) -> None:
    snapshot["Engine"] = "aurora-mysql"
    assert problems() == []
    assert "DescribeDBEngineVersions" not in rds.operations()


# Keys


def test_a_key_may_be_given_in_every_way(keys: FakeKeys) -> None:
    keys.aliases["alias/staging"] = KEY_ID
    arn = f"arn:aws:kms:{REGION}:{ACCOUNT}"
    for key in (KEY_ID, "alias/staging", f"{arn}:key/{KEY_ID}", f"{arn}:alias/staging", "alias/aws/rds"):
        assert problems(kms_key_id=key) == []


@pytest.mark.parametrize("key", ["alias/forgotten", "0d1f3c5e-ffff-4000-8000-000000000000"])
def test_a_key_has_to_exist(key: str) -> None:
    message = the_problem(kms_key_id=key)
    assert message.startswith(f"kms_key_id: '{key}' does not exist in {REGION}. Give a customer managed key:")
    assert message.endswith(f"aws kms list-aliases --region {REGION}")


@pytest.mark.parametrize(
    ("state", "remedy"),
    [
        ("Disabled", f"Enable it: aws kms enable-key --key-id {KEY_ID} --region {REGION}"),
        (
            "PendingDeletion",
            f"Keep and enable it: aws kms cancel-key-deletion --key-id {KEY_ID} --region {REGION} && aws kms enable",
        ),
        ("PendingImport", f"Check it in the KMS console of {REGION}"),
    ],
)
def test_a_key_has_to_be_enabled(keys: FakeKeys, state: str, remedy: str) -> None:
    keys.add(KEY_ID, KeyState=state)
    message = the_problem(kms_key_id=KEY_ID)
    assert message.startswith(f"kms_key_id: '{KEY_ID}' is {state}, not Enabled. {remedy}")


def test_a_key_has_to_be_symmetric(keys: FakeKeys) -> None:
    keys.add(KEY_ID, KeySpec="RSA_2048")
    assert "is not a symmetric key for encryption" in the_problem(kms_key_id=KEY_ID)


def test_a_copy_under_a_key_needs_a_customers_key(keys: FakeKeys, snapshot: dict[str, Any]) -> None:
    snapshot.update(UNDER_CUSTOMERS_KEY)
    keys.add("managed", KeyManager="AWS")
    for key in ("managed", "alias/aws/rds"):
        message = the_problem(a_copy(kms_key_id=key), kms_key_id=key)
        assert message.startswith(f"kms_key_id: '{key}' is a key that AWS manages, and a copy under it could never")
        assert "Give a customer managed key" in message


@pytest.mark.parametrize("encryption", ["none", "sse-rds"])
def test_a_copy_that_gets_no_key_may_be_restored_under_rdss_own(
    keys: FakeKeys, snapshot: dict[str, Any], encryption: str
) -> None:
    snapshot["StorageEncryptionType"] = encryption
    keys.add("managed", KeyManager="AWS")
    for key in ("managed", "alias/aws/rds", KEY_ID):
        assert problems(a_copy(), kms_key_id=key) == []


def test_a_key_that_aws_manages_for_another_service_is_of_no_use() -> None:
    assert "belongs to another service of AWS's" in the_problem(kms_key_id="alias/aws/ebs")


def test_the_snapshots_own_key_has_to_be_enabled_where_it_is(source_keys: FakeKeys, snapshot: dict[str, Any]) -> None:
    snapshot.update(UNDER_CUSTOMERS_KEY)
    copy = a_copy(kms_key_id=KEY_ID)
    assert problems(copy, kms_key_id=KEY_ID) == []
    source_keys.add(KEY_ID, KeyState="Disabled")
    message = the_problem(copy, kms_key_id=KEY_ID)
    assert message.startswith(f"snapshot_identifier: the key of 'tuesday' ({SOURCE_KEY}) is Disabled, not Enabled.")
    assert message.endswith(f"aws kms enable-key --key-id {KEY_ID} --region {SOURCE_REGION}")
    del source_keys.keys[KEY_ID]
    assert "no longer exists, so its data is lost" in the_problem(copy, kms_key_id=KEY_ID)


def test_a_key_that_is_the_snapshots_own_is_asked_for_once(keys: FakeKeys, snapshot: dict[str, Any]) -> None:
    own = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"
    snapshot.update(UNDER_CUSTOMERS_KEY, KmsKeyId=own)
    assert problems(kms_key_id=own) == []
    assert keys.operations() == ["DescribeKey"]


# Secrets


def test_both_secrets_have_to_exist() -> None:
    for name in (ADMIN_SECRET, APP_SECRET):
        client("secretsmanager").delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    admin, application = problems()
    assert admin.startswith(f"admin_secret: '{ADMIN_SECRET}' does not exist. Deploy the stack under another NamePrefix")
    assert application.startswith(f"application_secret: '{APP_SECRET}' has no value")
    assert "If it is gone: Deploy the stack under another NamePrefix" in application


def test_a_secret_that_is_about_to_be_deleted_can_still_be_kept() -> None:
    for name in (ADMIN_SECRET, APP_SECRET):
        client("secretsmanager").delete_secret(SecretId=name, RecoveryWindowInDays=7)
    for found, name in zip(problems(), (ADMIN_SECRET, APP_SECRET), strict=True):
        assert f"is scheduled for deletion. Keep it: aws secretsmanager restore-secret --secret-id {name}" in found


@pytest.mark.parametrize(
    "content",
    [
        "p4ssw0rd",
        {"app_username": "p4ssw0rd"},
        {"app_username": "app", "app_password": 4444, "readonly_user": "report"},
    ],
)
def test_rule_9_the_applications_secret_has_to_have_its_keys_and_isnt_shown(content: object) -> None:
    put_app_secret(content)
    message = the_problem()
    assert message.startswith(f"application_secret: '{APP_SECRET}' is not a JSON object with the texts app_username")
    assert f"aws secretsmanager put-secret-value --secret-id {APP_SECRET}" in message
    assert "p4ssw0rd" not in message
    assert "4444" not in message


def test_a_secret_in_binary_has_no_keys() -> None:
    client("secretsmanager").put_secret_value(SecretId=APP_SECRET, SecretBinary=b"{}")
    assert "is not a JSON object" in the_problem()


def test_passwords_may_be_missing_and_none_is_made_yet() -> None:
    put_app_secret({"app_username": "app", "readonly_user": "report"})
    assert problems() == []
    value = client("secretsmanager").get_secret_value(SecretId=APP_SECRET)["SecretString"]
    assert json.loads(value) == {"app_username": "app", "readonly_user": "report"}


def test_roles_have_to_have_names_of_their_own() -> None:
    put_app_secret({"app_username": "postgres", "readonly_user": "postgres"})
    wrong = [each.split("is not valid: ")[1] for each in problems()]
    assert wrong[0].startswith("app_username is 'postgres', which cannot be a role of the application's")
    assert wrong[1].startswith("readonly_user is 'postgres', which cannot be a role of the application's")
    assert wrong[2].startswith("readonly_user is 'postgres', as is its app_username; each needs a name of its own.")


# Answers that are none


@pytest.mark.parametrize(
    ("where", "operation", "code"),
    [
        ("rds", "DescribeDBSubnetGroups", "AccessDenied"),
        ("rds", "DescribeDBClusterParameterGroups", "AccessDenied"),
        ("rds", "DescribeDBParameterGroups", "AccessDenied"),
        ("rds", "DescribeDBEngineVersions", "AccessDenied"),
        ("rds", "DescribeOrderableDBInstanceOptions", "AccessDenied"),
        ("network", "DescribeSecurityGroups", "UnauthorizedOperation"),
        ("keys", "DescribeKey", "AccessDeniedException"),
    ],
)
def test_a_missing_permission_is_no_answer(
    request: pytest.FixtureRequest, where: str, operation: str, code: str
) -> None:
    service: FakeService = request.getfixturevalue(where)
    service.refuse(operation, code, f"not authorized to perform: {service.service}:{operation}", 403)
    with pytest.raises(ClientError) as denied:
        problems(kms_key_id=KEY_ID, **TUNED)
    failure = as_step_error(denied.value)
    assert isinstance(failure, StepFailed)
    assert str(failure).startswith(f"{operation} is not allowed: not authorized to perform: {service.service}:")


def test_all_that_is_wrong_is_found_at_once(rds: FakeRds, keys: FakeKeys) -> None:
    keys.add(KEY_ID, KeyState="Disabled")
    put_app_secret("nothing")
    found = problems(
        db_subnet_group_name="databses",
        vpc_security_group_ids=[OTHER_GROUP],
        db_cluster_parameter_group_name="tuned",
        db_instance_class="db.r9z.large",
        kms_key_id=KEY_ID,
    )
    assert [each.split(":")[0] for each in found] == [
        "db_subnet_group_name",
        "vpc_security_group_ids",
        "db_cluster_parameter_group_name",
        "db_instance_class",
        "kms_key_id",
        "application_secret",
    ]
    assert rds.changes() == []


# What RDS says of versions, classes and the account


def offering(rds: FakeRds, **says: Any) -> None:
    rds.offers = {"db.r6g.large": says}


@pytest.mark.parametrize(
    ("says", "wanted", "told"),
    [
        (
            {"StorageType": "aurora"},
            {"storage_type": "aurora-iopt1"},
            "storage_type: 'aurora-iopt1' is not available with",
        ),
        (
            {"SupportedNetworkTypes": ["IPV4"]},
            {"network_type": "DUAL"},
            "network_type: 'DUAL' is not available with db.r6g.large",
        ),
        (
            {"SupportsPerformanceInsights": False},
            {},
            "performance_insights_retention_days: 7 days are not available with",
        ),
        ({"SupportsHttpEndpoint": False}, {"data_api": True}, "data_api: not available with db.r6g.large"),
        (
            {"SupportsIAMDatabaseAuthentication": False},
            {"iam_database_authentication": True},
            "iam_database_authentication: not available with",
        ),
    ],
)
def test_what_a_class_cant_do_is_refused(rds: FakeRds, says: dict[str, Any], wanted: dict[str, Any], told: str) -> None:
    offering(rds, **says)
    assert the_problem(**wanted).startswith(told)
    offering(rds)
    assert problems(**wanted) == [], "what RDS doesn't say is no refusal"


def test_a_zone_that_the_class_isnt_offered_in_is_refused(rds: FakeRds) -> None:
    offering(rds, AvailabilityZones=[{"Name": "us-east-1a"}])
    instances = [replace(each, availability_zone="us-east-1b") for each in some_instances(1)]
    assert the_problem(instances=instances).startswith(
        f"availability_zones: {some_instances(1)[0].identifier} cannot be created in 'us-east-1b' with db.r6g.large"
    )


def test_an_alternative_class_that_isnt_offered_is_refused_like_the_wanted_one(rds: FakeRds) -> None:
    offering(rds)
    assert problems(alternative_instance_classes=["db.r6g.large"]) == []
    assert the_problem(alternative_instance_classes=["db.r9z.large"]).startswith(
        "alternative_instance_classes: 'db.r9z.large' is not available with aurora-postgresql 16.4 in us-east-1"
    )


def test_each_class_is_asked_for_once_and_told_by_the_field_that_gives_it(rds: FakeRds) -> None:
    writer, first, second = some_instances(3)
    readers = [replace(each, db_instance_class="db.r9z.large") for each in (first, second)]
    rds.calls.clear()
    message = the_problem(instances=[writer, *readers])
    assert message.startswith("reader_instance_class: 'db.r9z.large' is not available")
    assert rds.operations().count("DescribeOrderableDBInstanceOptions") == 2


@pytest.mark.parametrize(("low", "high"), [(0.0, 8.0), (0.5, 256.0)])
def test_a_capacity_that_the_version_cant_have_is_refused(rds: FakeRds, low: float, high: float) -> None:
    rds.versions["16.4"]["ServerlessV2FeaturesSupport"] = {"MinCapacity": 0.5, "MaxCapacity": 128.0}
    message = the_problem(serverless_v2_min_capacity=low, serverless_v2_max_capacity=high)
    assert "is not available with aurora-postgresql 16.4, which takes 0.5 to 128 ACUs" in message


def test_a_log_that_the_version_doesnt_export_is_refused(rds: FakeRds) -> None:
    rds.versions["16.4"]["ExportableLogTypes"] = ["postgresql"]
    message = the_problem(enabled_cloudwatch_logs_exports=["instance", "postgresql"])
    assert message.startswith("enabled_cloudwatch_logs_exports: 'instance' is not exported by aurora-postgresql 16.4")


def test_a_subnet_group_has_to_support_the_network_type(rds: FakeRds) -> None:
    rds.subnet_groups["databases"]["SupportedNetworkTypes"] = ["IPV4"]
    assert "is not supported by the subnet group 'databases' (IPV4)" in the_problem(network_type="DUAL")


@pytest.mark.parametrize(
    ("quota", "most", "told"),
    [
        ("DBClusters", 1, "needs 1 cluster, and the account may create 0 more in us-east-1 (1 of 1 exist)"),
        ("DBInstances", 2, "needs 2 instances, and the account may create 1 more in us-east-1 (1 of 2 exist)"),
    ],
)
def test_an_account_that_is_full_is_told_before_anything_is_made(
    rds: FakeRds, quota: str, most: int, told: str
) -> None:
    rds.add_cluster("another")
    rds.add_instance("another-1", "another")
    rds.quotas[quota] = most
    assert told in the_problem()


def test_where_rds_keeps_the_login_the_stacks_secret_doesnt_matter() -> None:
    client("secretsmanager").delete_secret(SecretId=ADMIN_SECRET, ForceDeleteWithoutRecovery=True)
    assert problems(master_login="rds_managed") == []
    assert the_problem().startswith("admin_secret: ")
