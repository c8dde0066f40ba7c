"""The life of a stack: made, deployed again, changed under a running execution, refused, deleted. In this order."""

from __future__ import annotations

import json
import pathlib
import shlex
import shutil
from typing import Any

import pytest
from rich.console import Console

from scripts.checks.documentation import commands
from scripts.local_aws.server import LocalAws
from scripts.local_run.following import follow
from scripts.local_run.production import Production
from tests.integration.deployment.conftest import CONFIG, PROJECT, STACK, Type, Values, typed, values, write

# Three deployments come first. integration/local_aws/cloudformation/test_stacks.py deploys what SAM sends, too.
pytestmark = pytest.mark.full
SAMS_OWN = "aws-sam-cli-managed-default"
NAMES = (f"{STACK}-state", f"{STACK}-audit", f"{STACK}/admin", f"{STACK}/application")


def stacks(aws: LocalAws) -> dict[str, dict[str, Any]]:
    return {each["StackName"]: dict(each) for each in aws.client("cloudformation").describe_stacks()["Stacks"]}


def outputs(aws: LocalAws, name: str = STACK) -> dict[str, str]:
    return {each["OutputKey"]: each["OutputValue"] for each in stacks(aws)[name]["Outputs"]}


def machine(aws: LocalAws) -> str:
    return outputs(aws)["StateMachineArn"]


def table(aws: LocalAws) -> str:
    return str(aws.client("dynamodb").describe_table(TableName=f"{STACK}-state")["Table"]["TableArn"])


@pytest.fixture(scope="module", autouse=True)
def deployed(aws: LocalAws, deploy: Type, sam_deploy: Type) -> str:
    """Return what the first deployment said: by the stock SAM CLI, as the pages lead with it."""
    before = set(stacks(aws))
    untouched = deploy(config=CONFIG)
    assert untouched.status == 1, untouched.output
    assert [each.split()[0] for each in untouched.output.splitlines() if "is still to be filled in: <" in each] == [
        "SourceClusterId", "SubnetIds", "TargetClusterId", "VpcId",
    ]  # fmt: skip
    assert set(stacks(aws)) == before
    ((script,),) = typed("deployment.md", "deploy")
    assert script == "./scripts/deploy.sh"
    declined = sam_deploy(answer="n")
    assert "Deploy this changeset?" in declined.output
    assert stacks(aws)[STACK]["StackStatus"] == "REVIEW_IN_PROGRESS"
    done = sam_deploy("--tags", "CostCenter=42", answer="y")
    assert done.status == 0, done.output
    return done.output


def test_the_first_deployment_makes_the_stack_and_shows_its_outputs(aws: LocalAws, deployed: str) -> None:
    assert stacks(aws)[STACK]["StackStatus"] == "CREATE_COMPLETE"
    assert "DryRunCommand" in deployed
    assert aws.client("dynamodb").list_tags_of_resource(ResourceArn=table(aws))["Tags"][-1]["Value"] == "42"
    refused = json.loads(aws.client("s3").get_bucket_policy(Bucket=outputs(aws, SAMS_OWN)["SourceBucket"])["Policy"])
    assert {"Bool": {"aws:SecureTransport": "false"}} in [each["Condition"] for each in refused["Statement"]]


@pytest.mark.parametrize("page", ["README.md", "documentation/tutorial.md"])
def test_the_state_machine_is_found_by_the_documented_command(aws: LocalAws, type_it: Type, page: str) -> None:
    (command,) = commands((PROJECT / page).read_text(), "state machine")
    ours = command.replace("--stack-name aurora-restore", f"--stack-name {STACK}")
    done = type_it("bash", "-c", f'{ours} && printf %s "$STATE_MACHINE_ARN"')
    assert (done.status, done.output) == (0, machine(aws))


def test_the_same_again_changes_nothing(deploy: Type) -> None:
    done = deploy()
    assert done.status == 0, done.output
    assert f"No changes to deploy. Stack {STACK} is up to date" in done.output


def test_a_running_execution_keeps_the_code_it_began_with_and_the_next_has_the_new(
    aws: LocalAws, deploy: Type, built: pathlib.Path, production: Production
) -> None:
    # Beside the other: a built template names the state machine by a relative path.
    changed = shutil.copytree(built.parent, built.parent.with_name("changed"))
    code = changed / "OpenClusterFunction" / "lambda_function.py"
    code.write_text(code.read_text() + '\nprint("the second code")\n')
    states = aws.client("stepfunctions")
    with aws.clock.busy():  # time stands still, so the execution waits where it waits
        began = states.start_execution(stateMachineArn=machine(aws), name="began-before")["executionArn"]
        done = deploy(answer="y", built=changed / "template.yaml")
        assert done.status == 0, done.output
        assert outputs(aws)["DryRunCommand"] in done.output
        assert states.describe_execution(executionArn=began)["status"] == "RUNNING"
    assert follow(aws, began, Console(quiet=True)).status == "SUCCEEDED"
    assert "the second code" not in logged(aws, "open-cluster")
    given = json.dumps({"target_cluster_id": "another"})
    alias = f"{machine(aws)}:live"
    after = states.start_execution(stateMachineArn=alias, name="began-after", input=given)["executionArn"]
    assert follow(aws, after, Console(quiet=True)).status == "SUCCEEDED"
    assert "the second code" in logged(aws, "open-cluster")


def logged(aws: LocalAws, function: str) -> str:
    events = aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{STACK}-{function}")["events"]
    return "\n".join(each["message"] for each in events)


def test_sam_alone_deploys_a_changed_parameter_to_the_functions_that_read_it(
    aws: LocalAws, sam_deploy: Type, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    other = tmp_path / "samconfig.toml"
    write(other, values(config) | {"PollSeconds": "30", "LogRetentionDays": "14"})
    done = sam_deploy(answer="y", config=other)
    assert done.status == 0, done.output
    described = aws.client("stepfunctions").describe_state_machine(stateMachineArn=machine(aws))
    called = [each.get("Resource", "") for each in json.loads(described["definition"])["States"].values()]
    copying = next(each for each in called if "copy-snapshot" in each)
    configuration = aws.client("lambda").get_function_configuration(FunctionName=copying)
    assert configuration["Environment"]["Variables"]["POLL_SECONDS"] == "30"
    assert configuration["Version"] != "$LATEST"


def test_a_deployment_that_fails_is_taken_back_and_ends_red_with_the_reason(
    aws: LocalAws, deploy: Type, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    wrong = tmp_path / "samconfig.toml"
    write(wrong, values(config) | {"ScheduleState": "ENABLED", "ScheduleExpression": "cron(0 7 * * *)"})
    done = deploy(answer="y", config=wrong)
    assert done.status == 1
    assert "Invalid Schedule Expression cron(0 7 * * *)" in " ".join(done.output.split())
    assert stacks(aws)[STACK]["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"


def test_all_that_is_wrong_with_the_parameters_is_told_at_once(
    deploy: Type, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    wrong = tmp_path / "samconfig.toml"
    write(wrong, values(config) | {"NoSuch": "1", "LogRetentionDays": "8", "TargetClusterId": "Bad Name"})
    done = deploy(config=wrong)
    assert done.status == 1
    for words in ("NoSuch is no parameter", "'LogRetentionDays' must be one of AllowedValues", "'Bad Name'"):
        assert words in done.output


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"NamePrefix": "renamed"}, "renamed-audit, renamed-state, renamed/admin, renamed/application would be"),
        ({"AuditTableName": "another"}, f"another would be created empty, in place of {STACK}-audit"),
        ({"RolePath": "/teams/"}, "RolePath cannot be changed"),
    ],
)
def test_what_a_stack_keeps_is_told_before_anything_is_built(
    deploy: Type, config: pathlib.Path, tmp_path: pathlib.Path, change: Values, words: str
) -> None:
    other = tmp_path / "samconfig.toml"
    write(other, values(config) | change)
    done = deploy(config=other)
    assert (done.status, words in done.output) == (1, True), done.output


def test_a_network_that_wont_do_is_told_before_anything_is_built(
    aws: LocalAws, deploy: Type, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    ec2, subnets, wrong = aws.client("ec2"), values(config)["SubnetIds"], tmp_path / "samconfig.toml"
    described = ec2.describe_subnets(SubnetIds=subnets)["Subnets"]
    zone_of = {each["SubnetId"]: each["AvailabilityZone"] for each in described}
    vpc = values(config)["VpcId"]
    twin = ec2.create_subnet(VpcId=vpc, CidrBlock="172.31.240.0/24", AvailabilityZone=zone_of[subnets[0]])
    alike = [subnets[0], twin["Subnet"]["SubnetId"], subnets[1]]
    changes: list[tuple[Values, str]] = [
        ({"VpcId": "vpc-00000000000000001"}, "vpc-00000000000000001"),
        ({"SubnetIds": list(subnets[:1])}, "two zones"),
        ({"SubnetIds": alike}, "Put two of different zones first"),
    ]
    for change, words in changes:
        write(wrong, values(config) | change)
        done = deploy(config=wrong)
        assert (done.status, words in done.output) == (1, True), done.output
    ec2.delete_subnet(SubnetId=twin["Subnet"]["SubnetId"])


def test_what_a_fresh_or_a_crowded_account_lacks_is_told_before_anything_is_made(
    aws: LocalAws, deploy: Type, type_it: Type, config: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    other = tmp_path / "samconfig.toml"
    write(other, values(config) | {"NamePrefix": "fresh"})
    iam, logs = aws.client("iam"), aws.client("logs")
    iam.delete_service_linked_role(RoleName="AWSServiceRoleForRDS")
    crowd = json.dumps({"Version": "2012-10-17", "Statement": [{"Resource": "x" * 5_000}]})
    logs.put_resource_policy(policyName="AWSLogDeliveryWrite20150319", policyDocument=crowd)
    try:
        done = deploy("--stack-name", "fresh", config=other)
    finally:
        logs.delete_resource_policy(policyName="AWSLogDeliveryWrite20150319")
    assert done.status == 1
    create = done.output.partition("RDS needs. Create it, once: ")[2].splitlines()[0]
    assert type_it(*shlex.split(create)).status == 0, create
    assert 'StateMachineLogGroupName = "/aws/vendedlogs/states/fresh"' in done.output


def test_nothing_is_deleted_while_an_execution_runs(aws: LocalAws, deploy: Type, production: Production) -> None:
    states = aws.client("stepfunctions")
    with aws.clock.busy():
        given = json.dumps({"target_cluster_id": "third"})
        started = states.start_execution(stateMachineArn=machine(aws), name="still-running", input=given)
        done = deploy("--delete", answer="y")
        states.stop_execution(executionArn=started["executionArn"])
    assert done.status == 1
    assert "Running: still-running." in done.output
    follow(aws, started["executionArn"], Console(quiet=True))
    aws.events.settle()
    assert STACK in stacks(aws)


def test_a_deleted_stack_leaves_what_holds_data_and_its_name_is_free_once_that_is_deleted_as_it_says(
    aws: LocalAws, deploy: Type, type_it: Type, tmp_path: pathlib.Path
) -> None:
    delete_clusters(aws, "staging-orders", "another", "third")
    ((_, *words),) = typed("removal.md", "removal")
    removed = deploy(*words, answer="y\ny")
    assert removed.status == 0, removed.output
    assert STACK not in stacks(aws)
    assert f"{STACK}-state" in aws.client("dynamodb").list_tables()["TableNames"]
    again = deploy("--delete")
    assert (again.status, "Nothing to delete" in again.output) == (0, True)
    aws.client("secretsmanager").delete_secret(SecretId=f"{STACK}/admin")  # as most would: for 30 days it isn't free
    refused = deploy()
    assert refused.status == 1
    for name in NAMES:
        assert f"{name} {'is scheduled for deletion' if name.endswith('admin') else 'exists already'}" in refused.output
    for command in removed.output.splitlines():
        if command.startswith("  aws "):
            # The AWS CLI 1.46 takes RDS's place from no AWS_ENDPOINT_URL.
            done = type_it("aws", "--endpoint-url", aws.endpoint_url, *shlex.split(command)[1:], directory=tmp_path)
            assert done.status == 0, command + done.output
    aws.clock.sleep(60)
    anew = deploy(answer="y")
    assert anew.status == 0, anew.output
    assert stacks(aws)[STACK]["StackStatus"] == "CREATE_COMPLETE"


def delete_clusters(aws: LocalAws, *clusters: str) -> None:
    """Delete what the executions have restored: as long as there is one, its groups can't go."""
    aws.clock.sleep(3_600)  # what is being made can't be deleted
    rds = aws.client("rds")
    found = [each for each in rds.describe_db_clusters()["DBClusters"] if each["DBClusterIdentifier"] in clusters]
    for cluster in found:
        for member in cluster["DBClusterMembers"]:
            rds.delete_db_instance(DBInstanceIdentifier=member["DBInstanceIdentifier"])
        rds.delete_db_cluster(DBClusterIdentifier=cluster["DBClusterIdentifier"], SkipFinalSnapshot=True)
    aws.clock.sleep(3_600)
