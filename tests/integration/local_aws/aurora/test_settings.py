"""What a cluster and its instances can be set to, when they are made and afterwards."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora_support import (
    PASSWORD,
    add_instance,
    cluster,
    create,
    instance_status,
    log_in,
    name,
    new_cluster,
    refused,
    restore,
    running_cluster,
    take_snapshot,
)
from tests.integration.local_aws.iam.test_gate import Caller, allow, denied

ADVANCED = {
    "DatabaseInsightsMode": "advanced",
    "EnablePerformanceInsights": True,
    "PerformanceInsightsRetentionPeriod": 465,
}


@pytest.fixture(scope="module")
def plain(aws: LocalAws) -> str:
    """A cluster to be refused things."""
    identifier: str = new_cluster(aws, name("plain"))["DBClusterIdentifier"]
    return identifier


def modify(aws: LocalAws, identifier: str, **settings: Any) -> dict[str, Any]:
    answer: dict[str, Any] = aws.client("rds").modify_db_cluster(
        DBClusterIdentifier=identifier, ApplyImmediately=True, **settings
    )["DBCluster"]
    return answer


def instance(aws: LocalAws, identifier: str) -> dict[str, Any]:
    found: dict[str, Any] = aws.client("rds").describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"][0]
    return found


# Settings


@pytest.mark.parametrize(
    ("settings", "code", "text"),
    [
        ({"PreferredBackupWindow": "25:00-25:30"}, "InvalidParameterValue", "hh24:mi"),
        ({"PreferredBackupWindow": "02:00-02:10"}, "InvalidParameterValue", "30 minutes"),
        ({"PreferredMaintenanceWindow": "someday"}, "InvalidParameterValue", "ddd:hh24:mi"),
        (
            {"PreferredBackupWindow": "05:15-06:00", "PreferredMaintenanceWindow": "sun:05:00-sun:06:00"},
            "InvalidParameterValue",
            "must not overlap",
        ),
        ({"DatabaseInsightsMode": "advanced"}, "InvalidParameterCombination", "at least 465 days"),
        ({**ADVANCED, "PerformanceInsightsRetentionPeriod": 434}, "InvalidParameterCombination", "at least 465 days"),
        ({"PerformanceInsightsRetentionPeriod": 7}, "InvalidParameterCombination", "needs EnablePerformanceInsights"),
        ({"MonitoringInterval": 60}, "InvalidParameterCombination", "for its DB instances"),
        (
            {**ADVANCED, "PerformanceInsightsRetentionPeriod": 94},
            "InvalidParameterValue",
            "94",
        ),
        (
            {"ServerlessV2ScalingConfiguration": {"MinCapacity": 1, "MaxCapacity": 2, "SecondsUntilAutoPause": 300}},
            "InvalidParameterValue",
            "can only be specified when minimum capacity is 0",
        ),
        (
            {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0, "MaxCapacity": 2, "SecondsUntilAutoPause": 299}},
            "InvalidParameterValue",
            "299",
        ),
    ],
)
def test_a_change_that_can_not_be_is_refused(
    aws: LocalAws, plain: str, settings: dict[str, Any], code: str, text: str
) -> None:
    before = cluster(aws, plain)
    with refused(code, text):
        modify(aws, plain, **settings)
    after = cluster(aws, plain)
    assert after | {"LatestRestorableTime": None} == before | {"LatestRestorableTime": None}


@pytest.mark.parametrize("setting", [{"EngineLifecycleSupport": "open-source-rds-extended-support-disabled"}])
def test_what_a_modification_does_not_model_is_refused_by_name(
    aws: LocalAws, plain: str, setting: dict[str, Any]
) -> None:
    with refused("NotImplementedByLocalAws", next(iter(setting))):
        modify(aws, plain, **setting)


@pytest.mark.parametrize(
    ("settings", "code", "text"),
    [
        ({"AvailabilityZones": ["us-east-1z"]}, "InvalidParameterCombination", "us-east-1z"),
        ({"AvailabilityZones": list("abcd")}, "InvalidParameterCombination", "at most 3"),
        ({"NetworkType": "DUAL"}, "NetworkTypeNotSupported", "DUAL"),
        ({"NetworkType": "IPV6"}, "InvalidParameterValue", "IPV6"),
        ({"PerformanceInsightsRetentionPeriod": 31}, "InvalidParameterCombination", "source Aurora Limitless"),
        ({"EngineVersion": "16.4"}, "InvalidParameterCombination", "(16.4) is earlier than the engine version of the"),
    ],
)
def test_a_restore_that_can_not_be_is_refused(
    aws: LocalAws, monday: str, settings: dict[str, Any], code: str, text: str
) -> None:
    with refused(code, text):
        restore(aws, monday, **settings)


@pytest.fixture(scope="module")
def monday(aws: LocalAws, plain: str) -> str:
    return take_snapshot(aws, plain)


def test_a_restored_cluster_is_described_with_everything_that_was_asked_for(aws: LocalAws, monday: str) -> None:
    restored = restore(
        aws,
        monday,
        EngineVersion="16.6",
        AvailabilityZones=["us-east-1b", "us-east-1c"],
        ServerlessV2ScalingConfiguration={"MinCapacity": 0, "MaxCapacity": 4, "SecondsUntilAutoPause": 900},
        PreferredBackupWindow="02:00-02:30",
        EnableCloudwatchLogsExports=["postgresql", "iam-db-auth-error"],
        NetworkType="IPV4",
    )
    assert {"us-east-1b", "us-east-1c"} < set(restored["AvailabilityZones"])
    assert len(restored["AvailabilityZones"]) == 3
    assert restored["ServerlessV2ScalingConfiguration"] == {
        "MinCapacity": 0,
        "MaxCapacity": 4,
        "SecondsUntilAutoPause": 900,
    }
    assert restored["PreferredBackupWindow"] == "02:00-02:30"
    assert restored["EnabledCloudwatchLogsExports"] == ["postgresql", "iam-db-auth-error"]
    assert (restored["NetworkType"], restored["DatabaseInsightsMode"]) == ("IPV4", "standard")


def test_without_a_wish_insights_are_off_and_a_pause_comes_after_five_minutes(aws: LocalAws, monday: str) -> None:
    restored = restore(aws, monday, ServerlessV2ScalingConfiguration={"MinCapacity": 0, "MaxCapacity": 1})
    assert restored["ServerlessV2ScalingConfiguration"]["SecondsUntilAutoPause"] == 300
    assert not {"PerformanceInsightsEnabled", "PerformanceInsightsRetentionPeriod"} & set(restored)


def test_local_write_forwarding_needs_a_version_that_has_it(aws: LocalAws) -> None:
    with refused("InvalidParameterCombination", "Local write forwarding"):
        new_cluster(aws, name("forwards-not"), EngineVersion="13.20", EnableLocalWriteForwarding=True)
    made = new_cluster(aws, name("forwards"), EngineVersion="16.6", EnableLocalWriteForwarding=True)
    assert made["LocalWriteForwardingStatus"] == "enabled"


def test_two_network_types_need_subnets_with_both(aws: LocalAws, monday: str) -> None:
    ec2, rds, group = aws.client("ec2"), aws.client("rds"), name("dual")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    prefix = ec2.describe_vpcs(VpcIds=[vpc["VpcId"]])["Vpcs"][0]["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    subnets = [
        ec2.create_subnet(
            VpcId=vpc["VpcId"],
            CidrBlock=f"10.9.{number}.0/24",
            Ipv6CidrBlock=prefix.replace("00::/56", f"0{number}::/64"),
            AvailabilityZone=f"us-east-1{zone}",
        )["Subnet"]["SubnetId"]
        for number, zone in enumerate("ab")
    ]
    rds.create_db_subnet_group(DBSubnetGroupName=group, DBSubnetGroupDescription="both", SubnetIds=subnets)
    restored = restore(aws, monday, DBSubnetGroupName=group, NetworkType="DUAL")
    assert (restored["NetworkType"], restored["AvailabilityZones"]) == ("DUAL", ["us-east-1a", "us-east-1b"])


@pytest.mark.parametrize(
    ("settings", "code", "status"),
    [
        ({"PromotionTier": 16}, "InvalidParameterValue", 400),
        ({"CACertificateIdentifier": "rds-ca-2019"}, "CertificateNotFound", 404),
        ({"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 8}, "InvalidParameterValue", 400),
        ({"PerformanceInsightsRetentionPeriod": 7}, "InvalidParameterCombination", 400),
        ({"DatabaseInsightsMode": "advanced"}, "InvalidParameterCombination", 400),
        ({"PreferredMaintenanceWindow": "sun:05:00-sun:05:10"}, "InvalidParameterValue", 400),
        ({"NetworkType": "DUAL"}, "NotImplementedByLocalAws", 400),
    ],
)
def test_an_instance_that_can_not_be_is_refused(
    aws: LocalAws, plain: str, settings: dict[str, Any], code: str, status: int
) -> None:
    with refused(code, status=status):
        add_instance(aws, plain, **settings)


@pytest.mark.parametrize(
    ("interval", "trusted", "code", "text"),
    [
        (20, "monitoring.rds.amazonaws.com", "InvalidParameterValue", "0, 1, 5, 10, 15, 30, 60"),
        (30, None, "InvalidParameterCombination", "A MonitoringRoleARN value is required"),
        (0, "monitoring.rds.amazonaws.com", "InvalidParameterCombination", "You must specify a MonitoringInterval"),
        (None, "monitoring.rds.amazonaws.com", "InvalidParameterCombination", "You must specify a MonitoringInterval"),
        (30, "rds.amazonaws.com", "InvalidParameterValue", "required permissions for: ENHANCED_MONITORING"),
        (30, "nobody", "InvalidParameterValue", "required permissions for: ENHANCED_MONITORING"),
    ],
)
def test_enhanced_monitoring_needs_an_interval_that_rds_has_and_a_role_that_it_may_assume(
    aws: LocalAws, plain: str, interval: int | None, trusted: str | None, code: str, text: str
) -> None:
    """hashicorp/terraform#5455, azavea/terraform-aws-postgresql-rds#31 and the API reference, CreateDBInstance."""
    settings: dict[str, Any] = {} if interval is None else {"MonitoringInterval": interval}
    if trusted == "nobody":
        settings["MonitoringRoleArn"] = f"arn:aws:iam::{aws.account_id}:role/nobody"
    elif trusted is not None:
        settings["MonitoringRoleArn"] = Caller(aws, trust=trusted).arn
    with refused(code, text):
        add_instance(aws, plain, **settings)
    with refused(code, text):
        new_cluster(aws, name("monitored"), **settings)


def test_an_instance_is_monitored_with_an_interval_and_a_role(aws: LocalAws) -> None:
    role = Caller(aws, trust="monitoring.rds.amazonaws.com").arn
    monitored: dict[str, Any] = {"MonitoringInterval": 60, "MonitoringRoleArn": role}
    member = add_instance(aws, new_cluster(aws, name("monitored"))["DBClusterIdentifier"], **monitored)
    assert monitored.items() <= instance(aws, member).items()


def test_an_instance_is_described_with_its_own_settings_and_its_cluster_s(aws: LocalAws) -> None:
    identifier = new_cluster(aws, name("described"), EnableCloudwatchLogsExports=["postgresql"])["DBClusterIdentifier"]
    member = add_instance(
        aws,
        identifier,
        AvailabilityZone="us-east-1c",
        PromotionTier=3,
        EnablePerformanceInsights=True,
        PerformanceInsightsRetentionPeriod=465,
        CACertificateIdentifier="rds-ca-ecc384-g1",
        AutoMinorVersionUpgrade=False,
        PreferredMaintenanceWindow="tue:03:00-tue:04:00",
    )
    described = instance(aws, member)
    assert (described["AvailabilityZone"], described["PromotionTier"]) == ("us-east-1c", 3)
    assert (described["PerformanceInsightsEnabled"], described["PerformanceInsightsRetentionPeriod"]) == (True, 465)
    assert (described["CACertificateIdentifier"], described["AutoMinorVersionUpgrade"]) == ("rds-ca-ecc384-g1", False)
    assert described["PreferredMaintenanceWindow"] == "tue:03:00-tue:04:00"
    assert described["EnabledCloudwatchLogsExports"] == ["postgresql"]
    assert (described["DatabaseInsightsMode"], described["NetworkType"]) == ("standard", "IPV4")
    assert cluster(aws, identifier)["DBClusterMembers"][0]["PromotionTier"] == 3
    aws.clock.sleep(aws.aurora.durations.create_instance + 1)


def test_advanced_insights_and_log_exports_reach_the_members_which_settle_again(aws: LocalAws) -> None:
    described = running_cluster(aws, name("insights"))
    identifier, member = described["DBClusterIdentifier"], described["DBClusterMembers"][0]["DBInstanceIdentifier"]
    assert modify(aws, identifier, **ADVANCED)["Status"] == "modifying"
    assert instance_status(aws, member) == "modifying"
    aws.clock.sleep(aws.aurora.durations.modify_cluster + aws.aurora.durations.settle + 1)
    found = instance(aws, member)
    assert (found["DBInstanceStatus"], cluster(aws, identifier)["Status"]) == ("available", "available")
    assert (found["DatabaseInsightsMode"], found["PerformanceInsightsRetentionPeriod"]) == ("advanced", 465)
    modify(aws, identifier, CloudwatchLogsExportConfiguration={"EnableLogTypes": ["postgresql"]})
    assert instance_status(aws, member) == "configuring-log-exports"
    aws.clock.sleep(aws.aurora.durations.modify_cluster + aws.aurora.durations.settle + 1)
    assert instance_status(aws, member) == "available"
    assert instance(aws, member)["EnabledCloudwatchLogsExports"] == ["postgresql"]
    modify(aws, identifier, DatabaseInsightsMode="standard", EnablePerformanceInsights=False)
    assert "PerformanceInsightsRetentionPeriod" not in cluster(aws, identifier)
    assert instance(aws, member)["PerformanceInsightsEnabled"] is False


def test_windows_are_changed_together(aws: LocalAws) -> None:
    identifier = new_cluster(aws, name("windows"))["DBClusterIdentifier"]
    windows = {"PreferredBackupWindow": "05:00-06:00", "PreferredMaintenanceWindow": "mon:23:30-tue:00:30"}
    changed = modify(aws, identifier, **windows)
    assert windows.items() <= changed.items()


# A master password that RDS keeps


def secret_of(aws: LocalAws, described: dict[str, Any]) -> dict[str, str]:
    value = aws.client("secretsmanager").get_secret_value(SecretId=described["MasterUserSecret"]["SecretArn"])
    found: dict[str, str] = json.loads(value["SecretString"])
    return found


def test_rds_keeps_the_password_in_a_secret_of_its_own(aws: LocalAws) -> None:
    described = running_cluster(aws, name("managed"))
    identifier, secrets = described["DBClusterIdentifier"], aws.client("secretsmanager")
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    answer = modify(aws, identifier, ManageMasterUserPassword=True, MasterUserSecretKmsKeyId=key)
    assert (answer["MasterUserSecret"]["SecretStatus"], answer["MasterUserSecret"]["KmsKeyId"]) == ("creating", key)
    assert ":secret:rds!cluster-" in answer["MasterUserSecret"]["SecretArn"]
    log_in(aws, described, PASSWORD).close()
    aws.clock.sleep(aws.aurora.durations.reset_master_password + 1)
    done = cluster(aws, identifier)
    assert (done["MasterUserSecret"]["SecretStatus"], done["Status"]) == ("active", "available")
    assert "PendingModifiedValues" not in done
    kept = secret_of(aws, done)
    assert kept.keys() == {"username", "password"}
    log_in(aws, done, kept["password"], user=kept["username"]).close()
    with pytest.raises(Exception, match="password authentication failed"):
        log_in(aws, done, PASSWORD)
    secret = secrets.describe_secret(SecretId=done["MasterUserSecret"]["SecretArn"])
    assert (secret["OwningService"], secret["KmsKeyId"]) == ("rds", key)
    assert {"Key": "aws:rds:primaryDBClusterArn", "Value": done["DBClusterArn"]} in secret["Tags"]

    for settings, text in (
        ({"MasterUserPassword": "Some-password1"}, "managed in Secrets Manager"),
        ({"ManageMasterUserPassword": False}, "MasterUserPassword is required"),
        ({"ManageMasterUserPassword": True, "MasterUserSecretKmsKeyId": key}, "cannot be changed"),
    ):
        with refused("InvalidParameterCombination", text):
            modify(aws, identifier, **settings)

    copy = restore(aws, take_snapshot(aws, identifier), EngineVersion="16.6")
    assert copy["MasterUserSecret"] == done["MasterUserSecret"], "shown, although it is not the restored cluster's own"
    with refused("InvalidParameterCombination", "does not use it"):
        modify(aws, copy["DBClusterIdentifier"], ManageMasterUserPassword=False)

    modify(aws, identifier, ManageMasterUserPassword=False, MasterUserPassword="Kept-by-us-1")
    assert "MasterUserSecret" not in cluster(aws, identifier)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        secrets.describe_secret(SecretId=secret["ARN"])
    aws.clock.sleep(aws.aurora.durations.reset_master_password + 1)
    log_in(aws, done, "Kept-by-us-1").close()


def test_a_managed_secret_goes_with_its_cluster(aws: LocalAws) -> None:
    identifier = new_cluster(aws, name("managed"))["DBClusterIdentifier"]
    arn = modify(aws, identifier, ManageMasterUserPassword=True)["MasterUserSecret"]["SecretArn"]
    assert cluster(aws, identifier)["MasterUserSecret"]["SecretStatus"] == "creating", "no instance, no new password"
    aws.client("rds").delete_db_cluster(DBClusterIdentifier=identifier, SkipFinalSnapshot=True)
    aws.clock.sleep(aws.aurora.durations.delete_cluster + 1)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        aws.client("secretsmanager").describe_secret(SecretId=arn)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"ManageMasterUserPassword": True, "MasterUserPassword": "Some-password1"}, "InvalidParameterCombination"),
        ({"ManageMasterUserPassword": False}, "InvalidParameterCombination"),
        ({"MasterUserSecretKmsKeyId": "alias/aws/rds"}, "InvalidParameterCombination"),
        (
            {"ManageMasterUserPassword": True, "MasterUserSecretKmsKeyId": "alias/nowhere"},
            "KMSKeyNotAccessibleFault",
        ),
    ],
)
def test_a_managed_password_that_can_not_be_is_refused(
    aws: LocalAws, plain: str, settings: dict[str, Any], code: str
) -> None:
    with refused(code):
        modify(aws, plain, **settings)
    assert "MasterUserSecret" not in cluster(aws, plain)


def test_a_managed_password_needs_the_caller_s_right_to_make_the_secret(aws: LocalAws) -> None:
    identifier = create(aws, name("rights"))["DBClusterIdentifier"]
    request = {"DBClusterIdentifier": identifier, "ManageMasterUserPassword": True}
    secret = "arn:aws:secretsmanager:*:*:secret:rds!cluster-*"
    rights = [allow("rds:ModifyDBCluster")]
    for action in ("secretsmanager:CreateSecret", "secretsmanager:TagResource"):
        refusal = denied(Caller(aws, *rights).client("rds").modify_db_cluster, **request)
        assert str(refusal).startswith(f"{action} on resource: arn:aws:secretsmanager:us-east-1:")
        rights.append(allow(action, secret))
    assert denied(Caller(aws, *rights).client("rds").modify_db_cluster, **request) is None


def test_a_managed_password_needs_the_caller_s_right_to_the_key(aws: LocalAws, plain: str) -> None:
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    secret = allow(["secretsmanager:CreateSecret", "secretsmanager:TagResource"])
    caller = Caller(aws, allow("rds:ModifyDBCluster"), secret).client("rds")
    with refused("KMSKeyNotAccessibleFault", key):
        caller.modify_db_cluster(DBClusterIdentifier=plain, ManageMasterUserPassword=True, MasterUserSecretKmsKeyId=key)
