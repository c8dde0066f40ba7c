"""Stacks are made, changed and deleted as CloudFormation does it: by change sets, keeping what is to be kept."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import subprocess
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import wait_until

AWS = pathlib.Path(__file__).parents[4] / ".venv" / "bin" / "aws"
numbers = itertools.count(1)
Resources = dict[str, Any]


def topic(name: str, **more: Any) -> dict[str, Any]:
    return {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": name}, **more}


def group(name: str, days: int = 7, **more: Any) -> dict[str, Any]:
    return {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": name, "RetentionInDays": days}, **more}


class Stack:
    """A stack of its own for each test."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws, self.client = aws, aws.client("cloudformation")
        self.name = f"stack-{next(numbers)}"

    def plan(self, resources: Resources, kind: str = "UPDATE", **more: Any) -> dict[str, Any]:
        body = json.dumps({"Resources": resources, **more.pop("sections", {})})
        name = f"c{next(numbers)}"
        given = {"StackName": self.name, "ChangeSetName": name, "ChangeSetType": kind, "TemplateBody": body, **more}
        self.client.create_change_set(**given)
        return dict(self.client.describe_change_set(StackName=self.name, ChangeSetName=name))

    def go(self, resources: Resources, kind: str = "UPDATE", **more: Any) -> str:
        """Change set and all; the status that the stack ends in."""
        change_set = self.plan(resources, kind, **more)
        self.client.execute_change_set(StackName=self.name, ChangeSetName=change_set["ChangeSetName"])
        return self.settled()

    def settled(self) -> str:
        identifier = self.describe()["StackId"]

        def status() -> str:
            found = str(self.client.describe_stacks(StackName=identifier)["Stacks"][0]["StackStatus"])
            return "" if found.endswith("_IN_PROGRESS") else found

        return str(wait_until(status, self.name))

    def describe(self) -> dict[str, Any]:
        return dict(self.client.describe_stacks(StackName=self.name)["Stacks"][0])

    def why(self) -> str:
        """What has failed last."""
        events = self.client.describe_stack_events(StackName=self.name)["StackEvents"]
        failed = [each for each in events if each["ResourceStatus"].endswith("_FAILED")]
        return str(failed[0]["ResourceStatusReason"]) if failed else ""

    def delete(self) -> str:
        identifier = self.describe()["StackId"]
        self.client.delete_stack(StackName=self.name)
        return str(
            wait_until(
                lambda: next(
                    (s["StackStatus"] for s in self.client.describe_stacks(StackName=identifier)["Stacks"]
                     if not s["StackStatus"].endswith("_IN_PROGRESS")), ""
                ),
                self.name,
            )
        )  # fmt: skip

    def groups(self, prefix: str) -> dict[str, int]:
        found = self.aws.client("logs").describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]
        return {each["logGroupName"]: each.get("retentionInDays", 0) for each in found}


@pytest.fixture
def stack(aws: LocalAws) -> Stack:
    return Stack(aws)


def changes(change_set: dict[str, Any]) -> dict[str, tuple[str, str]]:
    found = [each["ResourceChange"] for each in change_set["Changes"]]
    return {each["LogicalResourceId"]: (each["Action"], each.get("Replacement", "")) for each in found}


def test_a_change_set_says_what_an_update_adds_changes_replaces_and_removes(stack: Stack) -> None:
    n = stack.name
    before = {"A": group(f"/{n}/a"), "B": group(f"/{n}/b"), "C": group(f"/{n}/c"), "Same": group(f"/{n}/same")}
    assert changes(stack.plan(before, "CREATE")) == dict.fromkeys(before, ("Add", ""))
    assert stack.go(before, "CREATE") == "CREATE_COMPLETE"
    filters = {"LogGroupName": {"Ref": "B"}, "FilterPattern": "x", "MetricTransformations": []}
    after = {
        "A": group(f"/{n}/a", 14),
        "B": group(f"/{n}/other"),
        "Same": group(f"/{n}/same"),
        "New": {"Type": "AWS::Logs::MetricFilter", "Properties": filters},
    }
    planned = stack.plan(after)
    assert changes(planned) == {
        "A": ("Modify", "False"), "B": ("Modify", "True"), "New": ("Add", ""), "C": ("Remove", ""),
    }  # fmt: skip
    assert stack.groups(f"/{n}/") == {f"/{n}/{each}": 7 for each in ("a", "b", "c", "same")}


def test_an_update_changes_replaces_and_removes(stack: Stack) -> None:
    n = stack.name
    stack.go({"A": group(f"/{n}/a"), "B": group(f"/{n}/b"), "C": group(f"/{n}/c")}, "CREATE")
    outputs = {"Outputs": {"Name": {"Value": {"Ref": "B"}}}}
    assert stack.go({"A": group(f"/{n}/a", 14), "B": group(f"/{n}/other")}, sections=outputs) == "UPDATE_COMPLETE"
    assert stack.groups(f"/{n}/") == {f"/{n}/a": 14, f"/{n}/other": 7}
    assert [each["OutputValue"] for each in stack.describe()["Outputs"]] == [f"/{n}/other"]


def test_a_change_set_without_changes_fails_and_says_so(stack: Stack) -> None:
    resources = {"A": group(f"/{stack.name}/a")}
    stack.go(resources, "CREATE")
    planned = stack.plan(resources)
    assert (planned["Status"], planned["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert "didn't contain changes" in planned["StatusReason"]


def test_a_stack_that_fails_is_taken_away_but_for_what_is_to_be_kept(stack: Stack) -> None:
    n = stack.name
    broken = {
        "Type": "AWS::Logs::LogGroup",
        "DependsOn": ["A", "Kept", "OnceMade"],
        "Properties": {"RetentionInDays": 8},
    }
    resources = {
        "A": group(f"/{n}/a"),
        "Kept": group(f"/{n}/kept", DeletionPolicy="Retain"),
        "OnceMade": group(f"/{n}/once", DeletionPolicy="RetainExceptOnCreate"),
        "Broken": broken,
    }
    assert stack.go(resources, "CREATE") == "ROLLBACK_COMPLETE"
    assert set(stack.groups(f"/{n}/")) == {f"/{n}/kept"}
    events = stack.client.describe_stack_events(StackName=n)["StackEvents"]
    (failed,) = [each for each in events if each["ResourceStatus"] == "CREATE_FAILED"]
    assert failed["LogicalResourceId"] == "Broken"
    assert "RetentionInDays" in failed["ResourceStatusReason"]
    with pytest.raises(ClientError, match="is in ROLLBACK_COMPLETE state and can not be updated"):
        stack.plan(resources)


def test_an_update_that_fails_goes_back_to_what_was(stack: Stack) -> None:
    n = stack.name
    stack.go({"A": group(f"/{n}/a"), "B": group(f"/{n}/b")}, "CREATE")
    broken = group(f"/{n}/new", 8, DependsOn=["A", "B"])
    assert stack.go({"A": group(f"/{n}/a", 14), "B": group(f"/{n}/c"), "New": broken}) == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.groups(f"/{n}/") == {f"/{n}/a": 7, f"/{n}/b": 7}


def test_a_deleted_stack_leaves_what_is_to_be_kept_and_its_name_is_free(stack: Stack) -> None:
    n = stack.name
    kept = {name: group(f"/{n}/{name}", DeletionPolicy=name) for name in ("Retain", "RetainExceptOnCreate")}
    stack.go({"A": group(f"/{n}/a"), "Topic": topic(n), **kept}, "CREATE")
    assert stack.delete() == "DELETE_COMPLETE"
    assert set(stack.groups(f"/{n}/")) == {f"/{n}/Retain", f"/{n}/RetainExceptOnCreate"}
    with pytest.raises(ClientError, match="does not exist"):
        stack.describe()
    assert stack.go({"A": group(f"/{n}/a")}, "CREATE") == "CREATE_COMPLETE"


@pytest.mark.parametrize(
    ("resources", "more", "message"),
    [
        ({"A": {"Type": "AWS::EC2::Instance"}}, {}, "not known to the embedded AWS: AWS::EC2::Instance"),
        ({"A": topic("t")}, {"RoleARN": "arn:aws:iam::123456789012:role/deployer"}, "RoleARN is not known locally"),
        ({"A": topic("t")}, {"TemplateURL": "https://x.s3.amazonaws.com/y"}, "Either Template URL or Template Body"),
        (
            {"R": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": "r", "AssumeRolePolicyDocument": {}}}},
            {"Capabilities": ["CAPABILITY_IAM"]},
            "CAPABILITY_NAMED_IAM",
        ),
    ],
)
def test_what_is_wrong_or_unknown_is_refused_by_name(
    stack: Stack, resources: Resources, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        stack.plan(resources, "CREATE", **more)


def test_a_change_that_the_embedded_aws_cannot_make_is_refused_by_name(stack: Stack) -> None:
    stack.go({"A": topic(stack.name)}, "CREATE")
    changed = topic(stack.name)
    changed["Properties"]["DisplayName"] = "x"
    with pytest.raises(ClientError, match="cannot update DisplayName of AWS::SNS::Topic"):
        stack.plan({"A": changed})


def test_the_stock_cli_packages_and_deploys_a_sam_template(aws: LocalAws, tmp_path: pathlib.Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "app.py").write_text("def handler(event, context):\n    return 'packaged'\n")
    template = {
        "Transform": "AWS::Serverless-2016-10-31",
        "Parameters": {"Seconds": {"Type": "Number", "Default": 3}},
        "Resources": {
            "F": {
                "Type": "AWS::Serverless::Function",
                "Properties": {
                    "FunctionName": "packaged", "Handler": "app.handler", "Runtime": "python3.13", "CodeUri": "code",
                    "Timeout": {"Ref": "Seconds"}, "AutoPublishAlias": "live", "Policies": [],
                },
            }
        },
    }  # fmt: skip
    (tmp_path / "template.json").write_text(json.dumps(template))
    aws.client("s3").create_bucket(Bucket="packages")
    operator = {
        "AWS_ACCESS_KEY_ID": aws.operator.access_key_id,
        "AWS_SECRET_ACCESS_KEY": aws.operator.secret_access_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": aws.endpoint_url,
        "AWS_PAGER": "",
    }

    def run(*words: str) -> str:
        command = [str(AWS), "cloudformation", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=os.environ | operator, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("package", "--template-file", "template.json", "--s3-bucket", "packages", "--output-template-file", "out.yaml")
    deploy = ("deploy", "--template-file", "out.yaml", "--stack-name", "cli", "--capabilities", "CAPABILITY_IAM")
    run(*deploy)
    answer = aws.client("lambda").invoke(FunctionName="packaged", Qualifier="live", Payload=b"{}")
    assert json.load(answer["Payload"]) == "packaged"
    run(*deploy, "--parameter-overrides", "Seconds=5")
    assert aws.client("lambda").get_function_configuration(FunctionName="packaged")["Timeout"] == 5
    assert "No changes to deploy" in run(*deploy, "--no-fail-on-empty-changeset")


def a_secret(name: str, template: str, **more: Any) -> dict[str, Any]:
    generated = {"SecretStringTemplate": template, "GenerateStringKey": "password"}
    return {
        "Type": "AWS::SecretsManager::Secret",
        "Properties": {"Name": name, "GenerateSecretString": generated, **more},
    }


def test_a_change_of_how_a_secret_is_generated_writes_all_of_it_anew(stack: Stack) -> None:
    """Also one of the template alone: aws-cloudformation/cloudformation-coverage-roadmap#1161 and #2210."""
    secrets, name = stack.aws.client("secretsmanager"), f"{stack.name}/secret"
    stack.go({"S": a_secret(name, '{"username": "one"}')}, "CREATE")
    secrets.put_secret_value(SecretId=name, SecretString='{"username": "one", "password": "of people"}')
    assert stack.go({"S": a_secret(name, '{"username": "one"}', Description="else")}) == "UPDATE_COMPLETE"
    assert json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])["password"] == "of people"
    assert stack.go({"S": a_secret(name, '{"username": "two"}')}) == "UPDATE_COMPLETE"
    value = json.loads(secrets.get_secret_value(SecretId=name)["SecretString"])
    assert value["username"] == "two"
    assert value["password"] != "of people"
    before = secrets.get_secret_value(SecretId=name, VersionStage="AWSPREVIOUS")["SecretString"]
    assert json.loads(before)["password"] == "of people"


def a_role(name: str, path: str) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [trust]}
    properties = {"RoleName": name, "Path": path, "AssumeRolePolicyDocument": document}
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def test_what_has_to_be_replaced_but_keeps_its_name_is_refused(stack: Stack) -> None:
    named: dict[str, Any] = {"Capabilities": ["CAPABILITY_NAMED_IAM"]}
    stack.go({"R": a_role(stack.name, "/")}, "CREATE", **named)
    assert stack.go({"R": a_role(stack.name, "/a/")}, **named) == "UPDATE_ROLLBACK_COMPLETE"
    events = stack.client.describe_stack_events(StackName=stack.name)["StackEvents"]
    (failed,) = [each for each in events if each["ResourceStatus"] == "UPDATE_FAILED"]
    assert "cannot update a stack when a custom-named resource requires replacing" in failed["ResourceStatusReason"]
    assert f"Rename {stack.name} and update the stack again" in failed["ResourceStatusReason"]
    assert stack.go({"R": a_role(f"{stack.name}-2", "/a/")}, **named) == "UPDATE_COMPLETE"


def a_function(role: str, description: str, seconds: int = 3) -> Resources:
    function = {
        "FunctionName": role.rpartition("/")[2], "Handler": "index.handler", "Runtime": "python3.13", "Role": role,
        "Timeout": seconds, "Code": {"ZipFile": "def handler(event, context):\n    return 1\n"},
    }  # fmt: skip
    version = {"FunctionName": {"Ref": "F"}, "Description": description}
    return {
        "F": {"Type": "AWS::Lambda::Function", "Properties": function},
        "V": {"Type": "AWS::Lambda::Version", "Properties": version},
    }


def test_a_version_of_a_function_that_has_not_changed_is_refused(stack: Stack, function_role: str) -> None:
    """Whatever it is described as: aws/serverless-application-model#1375 and #3281, aws/aws-cdk#28252."""
    assert stack.go(a_function(function_role, "one"), "CREATE") == "CREATE_COMPLETE", stack.why()
    assert stack.go(a_function(function_role, "two")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "A version for this Lambda function exists ( 1 ). Modify the function" in stack.why()
    assert stack.go(a_function(function_role, "three", seconds=4)) == "UPDATE_COMPLETE", stack.why()
    assert stack.go(a_function(function_role, "d" * 257, seconds=5)) == "UPDATE_ROLLBACK_COMPLETE"
    assert "Description must be between 0 and 256" in stack.why()


def test_a_fresh_account_lacks_the_role_of_rds(stack: Stack) -> None:
    iam, ec2 = stack.aws.client("iam"), stack.aws.client("ec2")
    subnets = [
        each["SubnetId"]
        for each in ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    ]
    group = {"DBSubnetGroupDescription": "x", "SubnetIds": subnets}
    resources = {"G": {"Type": "AWS::RDS::DBSubnetGroup", "Properties": group}, "T": topic(stack.name)}
    iam.delete_service_linked_role(RoleName="AWSServiceRoleForRDS")
    try:
        assert stack.go(resources, "CREATE") == "ROLLBACK_COMPLETE"
        assert "InvalidParameterValue: Missing necessary credentials" in stack.why()
        stack.delete()
    finally:
        iam.create_service_linked_role(AWSServiceName="rds.amazonaws.com")
    assert stack.go(resources, "CREATE") == "CREATE_COMPLETE"


def test_a_subnet_group_takes_other_subnets_of_its_vpc_alone(stack: Stack) -> None:
    ec2 = stack.aws.client("ec2")
    own = [
        each["SubnetId"]
        for each in ec2.describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    ]
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    others = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.8.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for n, zone in enumerate("ab")
    ]

    def group(subnets: list[str]) -> Resources:
        given = {"DBSubnetGroupDescription": "x", "SubnetIds": subnets}
        return {"G": {"Type": "AWS::RDS::DBSubnetGroup", "Properties": given}}

    stack.go(group(own), "CREATE")
    assert stack.go(group(own[:2])) == "UPDATE_COMPLETE", stack.why()
    assert stack.go(group(others)) == "UPDATE_ROLLBACK_COMPLETE"
    assert "The new Subnets are not in the same Vpc as the existing subnet group" in stack.why()
    assert stack.delete() == "DELETE_COMPLETE", stack.why()


def test_an_interface_endpoint_has_one_subnet_in_a_zone_and_one_owner_of_the_services_name(stack: Stack) -> None:
    ec2 = stack.aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.7.0.0/16")["Vpc"]["VpcId"]
    zones = {"1": "a", "2": "a", "3": "b"}
    subnets = {
        n: ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.7.{n}.0/24", AvailabilityZone=f"us-east-1{zone}")["Subnet"][
            "SubnetId"
        ]
        for n, zone in zones.items()
    }

    def endpoint(*numbers: str, private_dns: bool = False) -> dict[str, Any]:
        given = {
            "VpcId": vpc, "VpcEndpointType": "Interface", "ServiceName": "com.amazonaws.us-east-1.secretsmanager",
            "SubnetIds": [subnets[n] for n in numbers], "PrivateDnsEnabled": private_dns,
        }  # fmt: skip
        return {"Type": "AWS::EC2::VPCEndpoint", "Properties": given}

    assert stack.go({"E": endpoint("1", "2")}, "CREATE") == "ROLLBACK_COMPLETE"
    assert "DuplicateSubnetsInSameZone: Found another VPC endpoint subnet in the availability zone" in stack.why()
    stack.delete()
    outputs = {"Outputs": {"Host": {"Value": {"Fn::Select": [0, {"Fn::GetAtt": ["E", "DnsEntries"]}]}}}}
    assert stack.go({"E": endpoint("1", private_dns=True)}, "CREATE", sections=outputs) == "CREATE_COMPLETE"
    host = stack.describe()["Outputs"][0]["OutputValue"].partition(":")[2]
    assert host.startswith("vpce-")
    assert host.endswith(".secretsmanager.us-east-1.vpce.amazonaws.com")
    assert stack.go({"E": endpoint("1", "3", private_dns=True)}, sections=outputs) == "UPDATE_COMPLETE", stack.why()
    both = {"E": endpoint("1", "3", private_dns=True), "Other": endpoint("1", private_dns=True)}
    assert stack.go(both, sections=outputs) == "UPDATE_ROLLBACK_COMPLETE"
    assert "private-dns-enabled cannot be set because there is already a conflicting DNS domain" in stack.why()
    both["Other"] = endpoint("1")
    assert stack.go(both, sections=outputs) == "UPDATE_COMPLETE", stack.why()


def test_a_key_of_logs_can_be_another_one_that_admits_logs(stack: Stack) -> None:
    def a_key(service: str) -> str:
        allowed = [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "kms:*", "Resource": "*"}]
        document = json.dumps({"Version": "2012-10-17", "Statement": allowed})
        return str(stack.aws.client("kms").create_key(Policy=document)["KeyMetadata"]["Arn"])

    def encrypted(key: str) -> Resources:
        properties = {"LogGroupName": f"/{stack.name}", "KmsKeyId": key}
        return {"L": {"Type": "AWS::Logs::LogGroup", "Properties": properties}}

    first, second = (a_key("logs.us-east-1.amazonaws.com") for _ in range(2))
    stack.go(encrypted(first), "CREATE")
    assert stack.go(encrypted(second)) == "UPDATE_COMPLETE", stack.why()
    found = stack.aws.client("logs").describe_log_groups(logGroupNamePrefix=f"/{stack.name}")["logGroups"]
    assert found[0]["kmsKeyId"] == second
    assert stack.go(encrypted(a_key("sns.amazonaws.com"))) == "UPDATE_ROLLBACK_COMPLETE"
    assert "is not allowed to be used with" in stack.why()


def test_a_stacks_tags_are_its_resources_but_for_those_that_say_otherwise(stack: Stack) -> None:
    n, logs = stack.name, stack.aws.client("logs")
    own = group(f"/{n}/own", Metadata={})
    own["Properties"]["Tags"] = [{"Key": "team", "Value": "its own"}]
    resources = {"Plain": group(f"/{n}/plain"), "Own": own}
    tags = [{"Key": "team", "Value": "data"}, {"Key": "stage", "Value": "test"}]

    def tags_of(name: str) -> dict[str, str]:
        return dict(
            logs.list_tags_for_resource(resourceArn=f"arn:aws:logs:us-east-1:123456789012:log-group:{name}")["tags"]
        )

    assert stack.go(resources, "CREATE", Tags=tags) == "CREATE_COMPLETE"
    assert stack.describe()["Tags"] == tags
    assert tags_of(f"/{n}/plain") == {"team": "data", "stage": "test"}
    assert tags_of(f"/{n}/own") == {"team": "its own", "stage": "test"}
    assert "didn't contain changes" in stack.plan(resources)["StatusReason"], "tags that aren't named stay"
    planned = stack.plan(resources, Tags=[{"Key": "team", "Value": "other"}, {"Key": "stage", "Value": "test"}])
    assert changes(planned) == {"Plain": ("Modify", "False")}


def test_a_bucket_is_as_its_template_says_and_stays_while_something_is_in_it(stack: Stack) -> None:
    """With the properties of the one that the SAM CLI makes for itself."""
    default = {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    blocked = dict.fromkeys(
        ("BlockPublicPolicy", "BlockPublicAcls", "IgnorePublicAcls", "RestrictPublicBuckets"), "true"
    )
    tls = {
        "Effect": "Deny", "Action": ["s3:*"], "Principal": "*", "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        "Resource": {"Fn::Join": ["", ["arn:aws:s3:::", {"Ref": "Bucket"}, "/*"]]},
    }  # fmt: skip
    resources: Resources = {
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "PublicAccessBlockConfiguration": blocked,
                "BucketEncryption": {"ServerSideEncryptionConfiguration": [default]},
                "VersioningConfiguration": {"Status": "Enabled"},
            },
        },
        "Policy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": {"Statement": [tls]}},
        },
    }
    outputs = {"Outputs": {"Name": {"Value": {"Ref": "Bucket"}}}}
    assert stack.go(resources, "CREATE", sections=outputs, Tags=[{"Key": "a", "Value": "b"}]) == "CREATE_COMPLETE"
    name, s3 = stack.describe()["Outputs"][0]["OutputValue"], stack.aws.client("s3")
    assert name == name.lower()
    assert set(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values()) == {True}
    (rule,) = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"][0]["Effect"] == "Deny"
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == [{"Key": "a", "Value": "b"}]
    version = s3.put_object(Bucket=name, Key="k", Body=b"x")["VersionId"]
    assert stack.delete() == "DELETE_FAILED"
    events = stack.client.describe_stack_events(StackName=stack.name)["StackEvents"]
    assert "BucketNotEmpty" in next(e["ResourceStatusReason"] for e in events if e["LogicalResourceId"] == "Bucket")
    s3.delete_object(Bucket=name, Key="k", VersionId=version)
    assert stack.delete() == "DELETE_COMPLETE"
