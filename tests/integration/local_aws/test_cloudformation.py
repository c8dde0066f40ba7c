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

AWS = pathlib.Path(__file__).parents[3] / ".venv" / "bin" / "aws"
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
        ({"A": topic("t")}, {"Tags": [{"Key": "a", "Value": "b"}]}, "Tags isn't known locally"),
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
    with pytest.raises(ClientError, match="can't update DisplayName of AWS::SNS::Topic"):
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
