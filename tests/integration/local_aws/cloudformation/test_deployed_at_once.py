"""A stack that tests and run_local.sh deploy at once is one that the CloudFormation API knows."""

from __future__ import annotations

import json
import pathlib

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.cloudformation.test_stacks import Stack, group


def test_it_is_described_changed_and_deleted_like_any_other(aws: LocalAws, tmp_path: pathlib.Path) -> None:
    stack = Stack(aws)
    name = f"/at-once-{stack.name}"
    template = tmp_path / "template.json"
    parameters = {"Parameters": {"Days": {"Type": "Number"}}}
    resources = {"Logs": {**group(name), "Properties": {"LogGroupName": name, "RetentionInDays": {"Ref": "Days"}}}}
    outputs = {"Outputs": {"Name": {"Value": {"Ref": "Logs"}}}}
    template.write_text(json.dumps({**parameters, "Resources": resources, **outputs}))
    aws.deploy(template, stack_name=stack.name, region="us-east-1", parameters={"Days": "7"})
    described = stack.describe()
    assert described["StackStatus"] == "CREATE_COMPLETE"
    assert [(each["OutputKey"], each["OutputValue"]) for each in described["Outputs"]] == [("Name", name)]
    assert described["Parameters"] == [{"ParameterKey": "Days", "ParameterValue": "7"}]
    broken = {"Logs": group(name, 14), "Broken": group(f"{name}/broken", 8, DependsOn="Logs")}
    assert stack.go(broken) == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.groups(name) == {name: 7}
    summary = stack.client.get_template_summary(StackName=stack.name)
    assert [each["ParameterKey"] for each in summary["Parameters"]] == ["Days"]
    assert stack.go({"Logs": group(name, 14)}) == "UPDATE_COMPLETE"
    assert stack.groups(name) == {name: 14}
    assert stack.delete() == "DELETE_COMPLETE"
    assert stack.groups(name) == {}
