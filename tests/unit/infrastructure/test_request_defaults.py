"""From the stack's parameters to the first step's defaults: what CloudFormation makes of the template is read back."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.checks.expansion import source
from scripts.local_aws.cloudformation.functions import check_variables
from scripts.local_aws.cloudformation.intrinsics import Created, Evaluator
from scripts.local_aws.cloudformation.template import check_parameter
from tests.setting_values import TEMPLATE_DEFAULTS
from utils import environment
from utils.request.reading import read_request

TEMPLATE = source()
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
ACCOUNT = "123456789012"
REGION = "us-gov-west-1"
GROUP = "sg-0123456789abcdef0"
KEY = f"arn:aws-us-gov:kms:{REGION}:{ACCOUNT}:key/mrk-0123456789abcdef0123456789abcdef"
SECRET = f"arn:aws-us-gov:secretsmanager:{REGION}:{ACCOUNT}:secret:{'p' * 27}/application-a1b2c3"
PSEUDO = {"AWS::Region": REGION, "AWS::AccountId": ACCOUNT, "AWS::Partition": "aws-us-gov"}
NEEDED = {
    "SourceClusterId": "prod-orders",
    "TargetClusterId": "staging-{date}",
    "VpcId": "vpc-1",
    "SubnetIds": "s-1,s-2",
}


def variables(**given: str) -> dict[str, str]:
    """Return the first step's environment in a stack with these parameters."""
    values = {name: str(each.get("Default", "")) for name, each in TEMPLATE["Parameters"].items()} | NEEDED | given
    for name, value in given.items():
        check_parameter(name, "String", value, TEMPLATE["Parameters"][name])
    evaluator = Evaluator(TEMPLATE, values, PSEUDO)
    for name, each in RESOURCES.items():
        ref = SECRET if each["Type"] == "AWS::SecretsManager::Secret" else "n" * 40
        evaluator.created[name] = Created(each["Type"], ref, {"Arn": KEY, "GroupId": GROUP})
    shared = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    own = RESOURCES["SnapshotCheckFunction"]["Properties"]["Environment"]["Variables"]
    return dict(evaluator.value(shared | own))


def defaults(monkeypatch: pytest.MonkeyPatch, **given: str) -> dict[str, str]:
    monkeypatch.setenv("REQUEST_DEFAULTS", variables(**given)["REQUEST_DEFAULTS"])
    return environment.request_defaults()


def test_a_stack_that_says_nothing_has_the_templates_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    found = defaults(monkeypatch, VpcSecurityGroupIds="sg-0,sg-1", DbSubnetGroupName="databases")
    assert found == TEMPLATE_DEFAULTS | {
        "source_cluster_id": "prod-orders",
        "source_region": REGION,
        "cross_account_copy": "one_step",
        "target_cluster_id": "staging-{date}",
        "like_source": "true",
        "db_subnet_group_name": "databases",
        "vpc_security_group_ids": "sg-0,sg-1",
        "inherited_logins": "lock",
        "quarantine": "false",
        "archive_snapshot": "delete",
        "on_findings": "fail",
        "on_failure": "clean_up",
        "replace_target": "false",
        "keep_previous_hours": "24",
        "drill": "false",
        "expires_after_hours": "0",
    }


@pytest.mark.parametrize(
    "tags",
    ["Team=data", "Owner=O'Neill & Söhne,Path=${AWS::Region}", "a=b c,d={e}:[f]", "Empty=,Emoji=\N{HAMMER}\u2028x"],
)
def test_tags_arrive_as_the_parameter_has_them(monkeypatch: pytest.MonkeyPatch, tags: str) -> None:
    assert defaults(monkeypatch, CostTags=tags)["tags"] == tags


def test_what_the_stack_says_is_what_a_request_means(monkeypatch: pytest.MonkeyPatch) -> None:
    given = defaults(
        monkeypatch, CostTags="Team=data", Port="5433", EnabledCloudwatchLogsExports="none", LikeSource="true"
    )
    request = read_request({})
    assert (request.tags, request.port, request.enabled_cloudwatch_logs_exports) == ({"Team": "data"}, 5433, [])
    assert read_request({}, given) == request


# As long as they come in practice: keys by ARN, five security groups, sixteen zones, nine long tags.
LONG = {
    "NamePrefix": "a" * 27,
    "StateTableName": "t" * 40,
    "AuditTableName": "t" * 40,
    "SourceClusterId": "s" * 63,
    "TargetClusterId": "t" * 63,
    "SourceRegion": "ap-southeast-1",
    "SourceAccountId": ACCOUNT,
    "SourceRoleName": "r" * 64,
    "SourceExternalId": "e" * 36,
    "SourceKmsKeyId": KEY,
    "KmsKeyId": KEY,
    "PerformanceInsightsKmsKeyId": KEY,
    "EncryptionKeyArn": KEY,
    "ExportKmsKeyId": KEY,
    "ExportBucketName": "b" * 63,
    "ExportRoleArn": f"arn:aws-us-gov:iam::{ACCOUNT}:role/{'r' * 64}",
    "MonitoringRoleArn": f"arn:aws-us-gov:iam::{ACCOUNT}:role/{'r' * 64}",
    "DeletableClusterPattern": "d" * 30,
    "DeletableInstancePattern": "d" * 30,
    "VpcSecurityGroupIds": ",".join([GROUP] * 5),
    "FunctionSecurityGroupId": GROUP,
    "DbSubnetGroupName": "g" * 63,
    "DbClusterParameterGroupName": "g" * 63,
    "DbParameterGroupName": "g" * 63,
    "AvailabilityZones": ",".join(["us-gov-west-1a"] * 4),
    "AlternativeInstanceClasses": ",".join(["db.r6gd.24xlarge"] * 4),
    "DbInstanceClass": "db.r6gd.24xlarge",
    "ReaderInstanceClass": "db.r6gd.24xlarge",
    "EnabledCloudwatchLogsExports": "postgresql,instance,iam-db-auth-error",
    "PreferredBackupWindow": "02:00-02:30",
    "PreferredMaintenanceWindow": "sun:05:00-sun:05:30",
    "CaCertificateIdentifier": "rds-ca-rsa2048-g1",
    "CostTags": ",".join(f"company:key-{n}=a-longer-value" for n in range(9)),
}  # fmt: skip


def test_long_parameters_fit_what_lambda_takes_of_variables() -> None:
    """Lambda measures all of a function's variables together, as JSON, of which they may be 4 KB."""
    check_variables({"Environment": {"Variables": variables(**LONG)}})
