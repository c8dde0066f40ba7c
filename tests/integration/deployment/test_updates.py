"""Each parameter of the stack is changed once, one update after the other, and nothing is lost on the way.

The updates that have gone wrong for somebody run always. `scripts/test.sh series` changes every parameter.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.checks.expansion import TEMPLATE
from scripts.local_aws.cloudformation.template import LOCAL_BUCKET, read
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import wait_until
from tests.setting_values import as_text
from utils.contracts.settings import SETTINGS

REGION = "eu-west-2"
NAME = "updates"
Changes = dict[str, str]
numbers = itertools.count(1)

APP = {
    "app_username": "orders_app", "app_password": "of the people's own choice", "readonly_user": "orders_report",
    "readonly_pwd": "another", "roles": [{"name": "etl", "profile": "read_write", "password": "a third"}],
}  # fmt: skip
ADMIN = {"username": "boss", "password": "the restored cluster's", "host": "h", "port": 5432, "engine": "postgres"}


def document() -> dict[str, Any]:
    """The template with its code where it lies on this machine, as `aws cloudformation package` would upload it."""
    found = read(TEMPLATE.read_text())
    for resource in found["Resources"].values():
        for name in ("CodeUri", "ContentUri", "DefinitionUri"):
            if name in resource.get("Properties", {}):
                path = (TEMPLATE.parent / resource["Properties"][name]).resolve()
                resource["Properties"][name] = {"Bucket": LOCAL_BUCKET, "Key": str(path)}
    return found


class Deployed:
    """The stack, deployed and changed by CloudFormation's own API."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws, self.cloudformation = aws, aws.client("cloudformation", REGION)
        self.parameters: Changes = {}
        s3 = aws.client("s3", REGION)
        s3.create_bucket(Bucket=NAME, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=NAME, Key="template", Body=json.dumps(document()).encode())

    def deploy(self, changes: Changes) -> str:
        """Return the status in which the deployment ends."""
        kind, name = ("UPDATE" if self.parameters else "CREATE"), f"c{next(numbers)}"
        wanted = self.parameters | changes
        self.cloudformation.create_change_set(
            StackName=NAME,
            ChangeSetName=name,
            ChangeSetType=kind,
            TemplateURL=f"{self.aws.endpoint_url}/{NAME}/template",
            Capabilities=["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in wanted.items()],
        )
        change_set = self.cloudformation.describe_change_set(StackName=NAME, ChangeSetName=name)
        if "didn't contain changes" in change_set.get("StatusReason", ""):
            return "NOTHING_TO_CHANGE"
        assert change_set["Status"] == "CREATE_COMPLETE", change_set["StatusReason"]
        self.cloudformation.execute_change_set(StackName=NAME, ChangeSetName=name)

        def ended() -> str:
            status = str(self.cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]["StackStatus"])
            return "" if status.endswith("_IN_PROGRESS") else status

        status = str(wait_until(ended, f"the deployment of {changes}", seconds=300))
        if status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            self.parameters = wanted
        return status

    def why(self) -> list[str]:
        """Return what has failed, newest first."""
        events = self.cloudformation.describe_stack_events(StackName=NAME)["StackEvents"]
        return [each.get("ResourceStatusReason", "") for each in events if each["ResourceStatus"].endswith("FAILED")]

    def outputs(self) -> dict[str, str]:
        found = self.cloudformation.describe_stacks(StackName=NAME)["Stacks"][0]["Outputs"]
        return {each["OutputKey"]: each["OutputValue"] for each in found}

    def secrets(self) -> dict[str, Any]:
        """Return the current value of both secrets, by ARN."""
        client, outputs = self.aws.client("secretsmanager", REGION), self.outputs()
        arns = [outputs["AppSecretArn"], outputs["AdminSecretArn"]]
        return {arn: json.loads(client.get_secret_value(SecretId=arn)["SecretString"]) for arn in arns}

    def write_secrets(self) -> None:
        """Write what people and runs write."""
        client, outputs = self.aws.client("secretsmanager", REGION), self.outputs()
        for key, value in (("AppSecretArn", APP), ("AdminSecretArn", ADMIN)):
            client.put_secret_value(SecretId=outputs[key], SecretString=json.dumps(value))

    def live(self) -> str:
        """Return the version of the state machine that the alias leads to."""
        states = self.aws.client("stepfunctions", REGION)
        alias = states.describe_state_machine_alias(stateMachineAliasArn=self.outputs()["StateMachineAliasArn"])
        (route,) = alias["routingConfiguration"]
        assert route["weight"] == 100
        return str(route["stateMachineVersionArn"])

    def called(self, machine: str) -> set[str]:
        """Return the functions that a state machine, or a version of it, calls."""
        described = self.aws.client("stepfunctions", REGION).describe_state_machine(stateMachineArn=machine)
        states = json.loads(described["definition"])["States"].values()
        return {each["Resource"] for each in states if ":function:" in each.get("Resource", "")}

    def stale(self) -> list[str]:
        """Return the versions that new executions call although the function is another by now."""
        client, found = self.aws.client("lambda", REGION), []
        for arn in sorted(self.called(self.live()) | self.called(self.outputs()["ExpiryMachineArn"])):
            name, _, version = arn.split(":function:")[1].partition(":")
            if version:
                one, other = (client.get_function_configuration(FunctionName=each) for each in (arn, name))
                found += [arn for key in READ if one.get(key) != other.get(key)]
        return found


READ = ("Environment", "VpcConfig", "Architectures", "CodeSha256", "Role", "Timeout")


class Place:
    """What the account has beside the stack, for parameters that name something."""

    def __init__(self, aws: LocalAws) -> None:
        ec2, self.aws = aws.client("ec2", REGION), aws
        self.vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        found = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [self.vpc]}])["Subnets"]
        self.subnets = [each["SubnetId"] for each in sorted(found, key=lambda each: each["AvailabilityZone"])]
        self.other_vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        self.other_subnets = [
            ec2.create_subnet(VpcId=self.other_vpc, CidrBlock=f"10.9.{n}.0/24", AvailabilityZone=f"{REGION}{zone}")[
                "Subnet"
            ]["SubnetId"]
            for n, zone in enumerate("ab")
        ]
        self.route_tables = ec2.describe_route_tables()["RouteTables"][0]["RouteTableId"]
        rds = aws.client("rds", REGION)
        for group, subnets in (("own-group", self.subnets), ("other-group", self.other_subnets)):
            rds.create_db_subnet_group(DBSubnetGroupName=group, DBSubnetGroupDescription="x", SubnetIds=subnets)
        everybody = [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:*", "Resource": "*"}]
        services = [
            {
                "Effect": "Allow",
                "Principal": {"Service": f"logs.{REGION}.amazonaws.com"},
                "Action": "kms:*",
                "Resource": "*",
            }
        ]
        key_policy = json.dumps({"Version": "2012-10-17", "Statement": everybody + services})
        self.key = aws.client("kms", REGION).create_key(Policy=key_policy)["KeyMetadata"]["Arn"]
        self.topic = aws.client("sns", REGION).create_topic(Name="our-own")["TopicArn"]
        allowed = json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
        )
        iam = aws.client("iam", REGION)
        self.boundary = iam.create_policy(PolicyName="bounds-updates", PolicyDocument=allowed)["Policy"]["Arn"]

    def group(self, vpc: str = "") -> str:
        ec2 = self.aws.client("ec2", REGION)
        name = f"updates-{next(numbers)}"
        return str(ec2.create_security_group(GroupName=name, Description="x", VpcId=vpc or self.vpc)["GroupId"])


def dangerous(place: Place) -> dict[str, list[Changes]]:
    """Updates that have gone wrong for somebody, or whose like have."""
    return {
        # Said or left out, it is the same: a version of what hasn't changed would be refused.
        "StateTableName": [{"StateTableName": f"{NAME}-state"}],
        "AuditTableName": [{"AuditTableName": f"{NAME}-audit"}],
        "DeletableInstancePattern": [
            {"DeletableClusterPattern": "staging-*", "DeletableInstancePattern": "staging-**"},
            {"DeletableInstancePattern": ""},
            {"DeletableInstancePattern": "i" * 63},
        ],
        # What people have written into the secrets stays there.
        "ApplicationUsername": [{"ApplicationUsername": "another_app"}],
        "ReadOnlyUsername": [{"ReadOnlyUsername": "another_report"}],
        # As long as they can be.
        "SourceExternalId": [
            {"SourceAccountId": "210987654321", "SourceRoleName": "p/" + "r" * 62, "SourceExternalId": "e" * 80}
        ],
        "RdsCaBundlePath": [{"RdsCaBundlePath": "/opt/" + "p" * 95}],
        "SubnetIds": [{"SubnetIds": ",".join(reversed(place.subnets))}],
        "CreateVpcEndpoints": [{"CreateVpcEndpoints": each} for each in ("true", "false", "true")],
        "SourceCidr": [{"SourceCidr": each} for each in ("10.20.0.0/16", "10.21.0.0/16", "")],
        "FunctionSecurityGroupId": [{"FunctionSecurityGroupId": place.group()}],
        "EncryptionKeyArn": [{"EncryptionKeyArn": place.key}],
        "NotificationTopicArn": [{"NotificationTopicArn": place.topic}],
        "PermissionsBoundaryArn": [{"PermissionsBoundaryArn": each} for each in (place.boundary, "")],
        "StateMachineLogGroupName": [{"StateMachineLogGroupName": f"/aws/vendedlogs/states/{NAME}"}],
        "Architecture": [{"Architecture": "x86_64"}],
        "PollSeconds": [{"PollSeconds": "30"}],
        # With its role it goes, and comes back; the register's clusters stay registered meanwhile.
        "ExpirySchedule": [{"ExpirySchedule": each} for each in ("", "cron(0 2 1 1 ? 2199)")],
        # With a time of day that doesn't come while the other updates are made.
        "ScheduleState": [
            {"ScheduleState": "ENABLED", "ScheduleExpression": "cron(0 2 1 1 ? 2199)"},
            {"ScheduleState": "DISABLED", "ScheduleExpression": "cron(0 2 * * ? *)"},
        ],
    }


# A subnet group and security groups have to be there; they stand below.
PLAIN: Changes = {
    each.parameter_of_the_stack: as_text(each.name)
    for each in SETTINGS
    if each.name not in ("db_subnet_group_name", "vpc_security_group_ids")
} | {
    "SourceClusterId": "prod-billing",
    "SourceRegion": "eu-west-1",
    "SourceAccountId": "210987654322",
    "SourceRoleName": "another-source",
    "SourceKmsKeyId": "alias/theirs",
    "CrossAccountCopy": "two_steps",
    "TargetClusterId": "staging-billing-{date}",
    "RestorableClusterPattern": "prod-*",
    "RestorableSnapshotPattern": "weekly-*",
    "RestorableRegionPattern": "eu-*",
    "TargetClusterPattern": "staging-*",
    "AllowedSecurityGroupPattern": "sg-0*",
    "AllowedSubnetGroupPattern": "team-*",
    "AllowedKmsKeyPattern": "mrk-*",
    "AllowedTagKeyPattern": "team:*",
    "AllowDeletionWithoutFinalSnapshot": "true",
    "AllowDeletionOfReplaced": "true",
    "MaxSnapshotAgeHours": "48",
    "LikeSource": "false",
    "MonitoringRoleArn": "arn:aws:iam::123456789012:role/rds-monitoring",
    "CostTags": "Team=data",
    "InheritedLogins": "report",
    "Quarantine": "true",
    "MaskingPolicies": "one=s3://policies/one.yaml?versionId=v1,two=s3://policies/two.yaml?versionId=v2",
    "RequireMasking": "true",
    "VerificationPolicies": "one=s3://policies/checks.yaml?versionId=v1",
    "SourceReaderSecrets": "arn:aws:rds:eu-west-2:123456789012:cluster:prod="
    "arn:aws:secretsmanager:eu-west-2:123456789012:secret:prod-a1b2c3",
    "OnFindings": "report",
    "NotificationEmail": "team@example.com",
    "ScheduleExpression": "rate(1 day)",
    "ScheduleTimezone": "Europe/Berlin",
    "ArchiveSnapshot": "keep",
    "OnFailure": "keep",
    "DeletableClusterPattern": "test-*",
    "ExportBucketName": "exports",
    "ExportRoleArn": "arn:aws:iam::123456789012:role/export",
    "ExportKmsKeyId": "arn:aws:kms:eu-west-2:123456789012:key/k",
    "CopyDeadlineHours": "61",
    "RestoreDeadlineHours": "25",
    "DeleteDeadlineHours": "7",
    "ExportDeadlineHours": "13",
    "FreshnessHours": "24",
    "ReplaceTarget": "true",
    "KeepPreviousHours": "48",
    "ExpiresAfterHours": "72",
    "Drill": "true",
    "RpoTargetMinutes": "60",
    "RtoTargetMinutes": "120",
    "EvidenceRetentionDays": "30",
    "EvidenceLockMode": "COMPLIANCE",
    "LogRetentionDays": "30",
}


FIXED = {"NamePrefix": "renamed", "RolePath": "/other/"}
"""What a stack is made with and keeps: roles that keep their names, and an alias of another machine, are refused."""


def every(place: Place) -> dict[str, list[Changes]]:
    """Each parameter of the template, in the order of the updates."""
    found = {name: [{name: value}] for name, value in PLAIN.items()} | dangerous(place)
    # With it, ArchiveSnapshot can't be what it is last changed to.
    found["MaskingPolicy"] = [{"MaskingPolicy": each, "ArchiveSnapshot": "delete"} for each in ("one", "")]
    found["Verification"] = [{"Verification": each} for each in ("basic", "one", "")]
    found["RouteTableIds"] = [{"RouteTableIds": each} for each in (place.route_tables, "")]
    found["DbSubnetGroupName"] = [{"DbSubnetGroupName": "own-group"}]
    found["VpcSecurityGroupIds"] = [{"VpcSecurityGroupIds": place.group()}]
    # RDS moves no subnet group to another VPC, and a cluster's can't be changed: it has one of its own.
    moved = {"SubnetIds": ",".join(place.other_subnets), "DbSubnetGroupName": "other-group"}
    groups = {each: place.group(place.other_vpc) for each in ("FunctionSecurityGroupId", "VpcSecurityGroupIds")}
    found["VpcId"] = [{"VpcId": place.other_vpc} | moved | groups]
    return found


@pytest.fixture(scope="module")
def place(aws: LocalAws) -> Place:
    return Place(aws)


@pytest.fixture(scope="module")
def deployed(aws: LocalAws, place: Place) -> Iterator[Deployed]:
    stack = Deployed(aws)
    first = {
        "NamePrefix": NAME, "SourceClusterId": "prod-orders", "TargetClusterId": "staging-orders", "VpcId": place.vpc,
        "SubnetIds": ",".join(place.subnets),
    }  # fmt: skip
    assert stack.deploy(first) == "CREATE_COMPLETE", stack.why()
    stack.write_secrets()
    yield stack
    aws.events.settle()


def update(deployed: Deployed, name: str, changes: Changes) -> None:
    """Deploy the changes and look at all that an update may not lose."""
    values, version = deployed.secrets(), deployed.live()
    functions = deployed.called(version)
    assert deployed.deploy(changes) in ("UPDATE_COMPLETE", "NOTHING_TO_CHANGE"), (name, deployed.why()[:3])
    secrets = deployed.aws.client("secretsmanager", REGION)
    for arn, value in values.items():
        assert json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"]) == value, name
    assert set(deployed.secrets()) == set(values), name
    # A running execution of the version that was live goes on: the version is there, and what it calls.
    assert deployed.called(version) == functions, name
    for function in functions:
        deployed.aws.client("lambda", REGION).get_function_configuration(FunctionName=function)
    assert deployed.stale() == [], name


@pytest.mark.full
def test_updates_that_have_gone_wrong_for_somebody_go_well(deployed: Deployed, place: Place) -> None:
    for name, updates in dangerous(place).items():
        for changes in updates:
            update(deployed, name, changes)


@pytest.mark.full
def test_a_schedule_is_switched_on_moved_and_off_by_updates(deployed: Deployed) -> None:
    """It fires at the time that the last update said, and not while it is off."""
    clock, states = deployed.aws.clock, deployed.aws.client("stepfunctions", REGION)

    def hours_of_a_day() -> list[int]:
        """Return the hours, UTC, at which a day's executions were to start."""
        begin = clock.now()
        clock.sleep(86_400)
        deployed.aws.schedules.settle()
        machine = deployed.outputs()["StateMachineArn"]
        found = states.list_executions(stateMachineArn=machine)["executions"]
        arns = [each["executionArn"] for each in found if each["startDate"] >= begin]
        inputs = [json.loads(states.describe_execution(executionArn=arn)["input"]) for arn in arns]
        return [int(given["scheduled_at"][11:13]) for given in inputs]

    assert hours_of_a_day() == []
    at_four = {"ScheduleExpression": "cron(0 4 * * ? *)", "ScheduleTimezone": "Asia/Tokyo"}
    assert deployed.deploy({"ScheduleState": "ENABLED", **at_four}) == "UPDATE_COMPLETE", deployed.why()
    assert hours_of_a_day() == [19]
    assert deployed.deploy({"ScheduleExpression": "cron(0 7 * * ? *)"}) == "UPDATE_COMPLETE", deployed.why()
    assert hours_of_a_day() == [22]
    assert deployed.deploy({"ScheduleExpression": "cron(0 7 * * *)"}) == "UPDATE_ROLLBACK_COMPLETE"
    assert "Invalid Schedule Expression cron(0 7 * * *)." in " ".join(deployed.why())
    assert hours_of_a_day() == [22], "as before"
    off = {"ScheduleState": "DISABLED", "ScheduleTimezone": "UTC", "ScheduleExpression": "cron(0 2 * * ? *)"}
    assert deployed.deploy(off) == "UPDATE_COMPLETE", deployed.why()
    assert hours_of_a_day() == []


@pytest.mark.parametrize("name", FIXED)
def test_what_a_stack_keeps_is_refused_and_the_stack_goes_on(deployed: Deployed, name: str) -> None:
    before = deployed.secrets(), deployed.live()
    assert deployed.deploy({name: FIXED[name]}) == "UPDATE_ROLLBACK_COMPLETE"
    assert (deployed.secrets(), deployed.live()) == before
    assert deployed.called(before[1]) == deployed.called(deployed.outputs()["StateMachineArn"])
    if name == "RolePath":
        assert "when a custom-named resource requires replacing. Rename updates-" in " ".join(deployed.why())


def test_every_parameter_has_its_update(place: Place) -> None:
    """A new parameter needs an entry above."""
    assert set(every(place)) | set(FIXED) == set(document()["Parameters"])


# What takes the network away from under the others comes last.
LAST = ("VpcId",)


@pytest.fixture(scope="module")
def updates(place: Place) -> dict[str, list[Changes]]:
    return every(place)


@pytest.mark.series
@pytest.mark.parametrize("name", [*(each for each in document()["Parameters"] if each not in LAST), *LAST])
def test_every_parameter_can_be_changed(deployed: Deployed, updates: dict[str, list[Changes]], name: str) -> None:
    for changes in updates.get(name, []):
        if changes.items() - deployed.parameters.items():
            update(deployed, name, changes)
