"""The life of a stack: made, deployed again, changed under a running execution, refused, deleted. In this order."""

from __future__ import annotations

import json
import pathlib
import shutil
from typing import Any

import pytest
from rich.console import Console

from scripts.local_aws.server import LocalAws
from scripts.local_run.following import follow
from scripts.local_run.production import Production
from tests.integration.deployment.conftest import REGION, STACK, Deploy, pack, typed, values, write

BUCKET = f"aurora-restore-deploy-123456789012-{REGION}"


def stack(aws: LocalAws) -> dict[str, Any]:
    return dict(aws.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0])


def machine(aws: LocalAws) -> str:
    return str(next(each["OutputValue"] for each in stack(aws)["Outputs"] if each["OutputKey"] == "StateMachineArn"))


@pytest.fixture(scope="module", autouse=True)
def deployed(deploy: Deploy) -> str:
    """What the first deployment said."""
    (try_it,), (make_it,) = typed("deployment.md", "deploy"), typed("deployment.md", "deploy for good")
    dry = deploy(*try_it)
    assert dry.status == 0, dry.errors
    assert "Nothing was made or changed" in dry.output
    asked = deploy()
    assert (asked.status, "Say so with --yes" in asked.errors) == (1, True), asked.errors
    done = deploy(*make_it)
    assert done.status == 0, done.output + done.errors
    return done.output


def test_the_first_deployment_makes_the_bucket_and_the_stack_and_says_what_comes_next(
    aws: LocalAws, deployed: str
) -> None:
    assert stack(aws)["StackStatus"] == "CREATE_COMPLETE"
    assert f"Bucket    {BUCKET} is made" in deployed
    assert "added" in deployed
    assert machine(aws) in deployed
    assert "stepfunctions start-execution" in deployed
    for each in stack(aws)["Outputs"]:
        assert each["OutputValue"] in deployed, each
    s3 = aws.client("s3")
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    (refused,) = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"]
    assert (refused["Effect"], refused["Principal"], refused["Action"]) == ("Deny", "*", "s3:*")
    assert refused["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert refused["Resource"] == [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"]
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert (rule["Status"], rule["NoncurrentVersionExpiration"]) == ("Enabled", {"NoncurrentDays": 90})
    assert "Expiration" not in rule
    blocked = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True}


def test_the_same_again_changes_nothing(deploy: Deploy) -> None:
    done = deploy("--yes")
    assert done.status == 0, done.errors
    assert "No changes" in done.output


def test_a_running_execution_keeps_the_code_it_began_with_and_the_next_has_the_new(
    aws: LocalAws, deploy: Deploy, packages: pathlib.Path, production: Production, tmp_path: pathlib.Path
) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(packages, changed)
    code = (
        pathlib.Path(__file__).parents[3]
        / "lambda_functions"
        / "aurora-restore-archive-snapshot"
        / "lambda_function.py"
    )
    pack(changed / f"{code.parent.name}.zip", {"lambda_function.py": code.read_text() + '\nprint("the second code")\n'})
    states = aws.client("stepfunctions")
    with aws.clock.busy():  # time stands still, so the execution waits where it waits
        began = states.start_execution(stateMachineArn=machine(aws), name="began-before")["executionArn"]
        done = deploy("--yes", packages=changed)
        assert done.status == 0, done.output + done.errors
        assert states.describe_execution(executionArn=began)["status"] == "RUNNING"
    assert follow(aws, began, Console(quiet=True)).status == "SUCCEEDED"
    assert "the second code" not in logged(aws, code.parent.name)
    given = json.dumps({"target_cluster_id": "another"})
    alias = f"{machine(aws)}:live"
    after = states.start_execution(stateMachineArn=alias, name="began-after", input=given)["executionArn"]
    assert follow(aws, after, Console(quiet=True)).status == "SUCCEEDED"
    assert "the second code" in logged(aws, code.parent.name)


def logged(aws: LocalAws, function: str) -> str:
    group = f"/aws/lambda/{function.replace('aurora-restore', STACK, 1)}"
    events = aws.client("logs").filter_log_events(logGroupName=group)["events"]
    return "\n".join(each["message"] for each in events)


def test_a_changed_parameter_reaches_the_functions_that_read_it(
    aws: LocalAws, deploy: Deploy, packages: pathlib.Path, parameters: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    other = tmp_path / "parameters.json"
    write(other, values(parameters) | {"PollSeconds": "30", "LogRetentionDays": "14"})
    before = definition(aws)
    try_it, make_it = typed("upgrade.md", "upgrade")
    dry = deploy(*try_it, parameters=other)
    assert dry.status == 0, dry.errors
    assert "modified" in dry.output
    assert "SnsNotificationFunctionAliaslive" in dry.output  # nobody's terminal, and no name cut to a terminal's width
    assert definition(aws) == before
    assert aws.client("s3").list_objects_v2(Bucket=BUCKET, Prefix="dry-run/")["KeyCount"] == 0
    done = deploy(*make_it, parameters=other)
    assert done.status == 0, done.output + done.errors
    resource = next(
        each["Resource"] for each in definition(aws).values() if "copy-snapshot" in each.get("Resource", "")
    )
    configuration = aws.client("lambda").get_function_configuration(FunctionName=resource)
    assert configuration["Environment"]["Variables"]["POLL_SECONDS"] == "30"
    assert configuration["Version"] != "$LATEST"


def definition(aws: LocalAws) -> dict[str, Any]:
    described = aws.client("stepfunctions").describe_state_machine(stateMachineArn=machine(aws))
    return dict(json.loads(described["definition"])["States"])


def test_another_architecture_takes_the_same_packages(
    aws: LocalAws, deploy: Deploy, packages: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """And a bucket of one's own is taken as it is."""
    refused = deploy("--arch", "arm64", "--yes", packages=tmp_path)
    assert refused.status == 1
    assert "layer.zip doesn't exist" in refused.errors
    assert f"build_lambda_packages.sh --output {tmp_path}" in refused.errors
    aws.client("s3").create_bucket(Bucket="ones-own")
    dry = deploy("--arch", "arm64", "--bucket", "ones-own", "--dry-run", packages=packages)
    assert dry.status == 0, dry.errors
    assert f"s3://ones-own/{STACK}/arm64" in dry.output
    assert "Architectures" in dry.output


def test_all_that_is_wrong_with_the_parameters_is_told_at_once(
    deploy: Deploy, parameters: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    wrong = tmp_path / "parameters.json"
    write(wrong, values(parameters) | {"NoSuch": "1", "LogRetentionDays": "8", "TargetClusterId": "Bad Name"})
    done = deploy("--yes", parameters=wrong)
    assert done.status == 1
    for words in ("NoSuch is no parameter", "'LogRetentionDays' must be one of AllowedValues", "'Bad Name'"):
        assert words in done.errors


def test_a_vpc_or_a_subnet_that_is_not_there_is_told_before_anything_is_built(
    aws: LocalAws, deploy: Deploy, parameters: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    wrong = tmp_path / "parameters.json"
    write(wrong, values(parameters) | {"VpcId": "vpc-00000000000000001"})
    done = deploy("--yes", parameters=wrong)
    assert done.status == 1
    assert "vpc-00000000000000001" in done.errors
    one = values(parameters)["SubnetIds"].split(",")[0]
    write(wrong, values(parameters) | {"SubnetIds": one})
    done = deploy("--yes", parameters=wrong)
    assert done.status == 1
    assert "two zones" in done.errors
    described = aws.client("ec2").describe_subnets(SubnetIds=values(parameters)["SubnetIds"].split(","))["Subnets"]
    twin = aws.client("ec2").create_subnet(
        VpcId=described[0]["VpcId"], CidrBlock="172.31.240.0/24", AvailabilityZone=described[0]["AvailabilityZone"]
    )["Subnet"]["SubnetId"]
    alike = [described[0]["SubnetId"], twin, described[1]["SubnetId"]]
    write(wrong, values(parameters) | {"SubnetIds": ",".join(alike)})
    done = deploy("--yes", parameters=wrong)
    assert done.status == 1
    assert "Put two of different zones first" in done.errors


def test_what_a_fresh_or_a_crowded_account_lacks_is_told_before_anything_is_made(
    aws: LocalAws, deploy: Deploy, parameters: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    other = tmp_path / "parameters.json"
    write(other, values(parameters) | {"NamePrefix": "fresh"})
    iam, logs = aws.client("iam"), aws.client("logs")
    iam.delete_service_linked_role(RoleName="AWSServiceRoleForRDS")
    crowd = json.dumps({"Version": "2012-10-17", "Statement": [{"Resource": "x" * 5_000}]})
    logs.put_resource_policy(policyName="AWSLogDeliveryWrite20150319", policyDocument=crowd)
    try:
        done = deploy("--stack-name", "fresh", "--yes", parameters=other)
    finally:
        logs.delete_resource_policy(policyName="AWSLogDeliveryWrite20150319")
        iam.create_service_linked_role(AWSServiceName="rds.amazonaws.com")
    assert done.status == 1
    assert "iam create-service-linked-role --aws-service-name rds.amazonaws.com" in done.errors
    assert "StateMachineLogGroupName=/aws/vendedlogs/states/fresh" in done.errors


def test_nothing_is_deleted_while_an_execution_runs(aws: LocalAws, deploy: Deploy, production: Production) -> None:
    states = aws.client("stepfunctions")
    with aws.clock.busy():
        given = json.dumps({"target_cluster_id": "third"})
        running = states.start_execution(stateMachineArn=machine(aws), name="still-running", input=given)[
            "executionArn"
        ]
        done = deploy("--delete", "--yes")
        states.stop_execution(executionArn=running)
    assert done.status == 1
    assert "Running: still-running." in done.errors
    assert stack(aws)["StackStatus"] == "UPDATE_COMPLETE"
    follow(aws, running, Console(quiet=True))
    aws.events.settle()


def test_a_deleted_stack_leaves_what_holds_data_and_says_how_to_be_rid_of_it(aws: LocalAws, deploy: Deploy) -> None:
    try_it, do_it = typed("removal.md", "removal")
    dry = deploy(*try_it)
    assert (dry.status, "Nothing was deleted" in dry.output) == (0, True), dry.errors
    done = deploy(*do_it)
    assert done.status == 0, done.output + done.errors
    assert f"{STACK}-state" in done.output
    assert f"dynamodb delete-table --table-name {STACK}-state" in done.output
    assert f"{STACK}-state" in aws.client("dynamodb").list_tables()["TableNames"]
    again = deploy("--delete", "--yes")
    assert (again.status, "Nothing to delete" in again.output) == (0, True)
    anew = deploy("--yes")
    assert anew.status == 1
    assert f"{STACK}-state exists already, from an earlier stack" in anew.errors
