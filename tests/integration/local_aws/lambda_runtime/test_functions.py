"""Functions run in processes of their own, as they would on Lambda."""

from __future__ import annotations

import base64
import itertools
import json
import pathlib
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.lambda_runtime.functions import MOST_IDLE
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import Answer, MakeFunction, MakeRole, allow, wait_until, zipped


def invoke(aws: LocalAws, function: str, event: Any = None, **how: Any) -> tuple[Answer, Any]:
    answer = aws.client("lambda").invoke(FunctionName=function, Payload=json.dumps(event or {}), **how)
    payload = answer["Payload"].read()
    return answer, json.loads(payload) if payload else None


def test_a_function_sees_lambda_s_environment_and_nothing_of_ours(
    aws: LocalAws, make_function: MakeFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUR_OWN", "secret")
    source = (
        "import os, sys\ndef handler(event, context): return [dict(os.environ), sys.path, context.invoked_function_arn]"
    )
    arn = make_function(source, Environment={"Variables": {"MINE": "yes"}}, MemorySize=256)
    _, (environment, path, invoked) = invoke(aws, arn)
    assert environment["MINE"] == "yes"
    assert environment["AWS_REGION"] == "us-east-1"
    assert environment["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert environment["AWS_ENDPOINT_URL"] == aws.endpoint_url
    assert environment["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert "OUR_OWN" not in environment
    assert not any("site-packages" in entry for entry in path)
    assert invoked == arn


@pytest.mark.parametrize("module", ["moto", "flask", "psycopg2", "boto3", "utils"])
def test_a_package_that_wasn_t_packaged_can_t_be_imported(
    aws: LocalAws, make_function: MakeFunction, module: str
) -> None:
    answer, payload = invoke(aws, make_function(f"import {module}\ndef handler(event, context): return 1"))
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert module in payload["errorMessage"]


def test_a_layer_s_modules_can_be_imported_from_its_zip_and_from_directories(
    aws: LocalAws, make_function: MakeFunction, tmp_path: pathlib.Path
) -> None:
    client = aws.client("lambda")
    versions = [
        client.publish_layer_version(LayerName=name, Content={"ZipFile": zipped({"python/zipped.py": "value = 1"})})
        for name in ("zipped", "directory")
    ]
    arns = [version["LayerVersionArn"] for version in versions]
    (tmp_path / "a" / "python").mkdir(parents=True)
    (tmp_path / "a" / "python" / "one.py").write_text("value = 2")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.py").write_text("value = 3")
    aws.layers[arns[1]] = [tmp_path / "a", tmp_path / "b"]
    source = "import zipped, one, two\ndef handler(event, context): return [zipped.value, one.value, two.value]"
    assert invoke(aws, make_function(source, Layers=arns))[1] == [1, 2, 3]


def test_an_environment_is_used_again_until_the_function_changes(aws: LocalAws, make_function: MakeFunction) -> None:
    arn = make_function(
        "import os\ncount = 0\ndef handler(event, context):\n    global count\n    count += 1\n    return count"
    )
    assert [invoke(aws, arn)[1] for _ in range(3)] == [1, 2, 3]
    name = arn.rsplit(":", 1)[1]
    aws.client("lambda").update_function_configuration(FunctionName=name, Environment={"Variables": {"NEW": "1"}})
    assert invoke(aws, arn)[1] == 1
    assert [each.cold for each in aws.stats.invocations if each.function == name] == [True, False, False, True]


def test_only_a_few_idle_environments_are_kept(aws: LocalAws, make_function: MakeFunction) -> None:
    source = "import os\ndef handler(event, context): return os.getpid()"
    processes = [invoke(aws, make_function(source))[1] for _ in range(MOST_IDLE + 2)]
    alive = [process for process in processes if pathlib.Path(f"/proc/{process}").exists()]
    assert alive == processes[2:]


def test_an_exception_is_answered_as_lambda_answers_it(aws: LocalAws, make_function: MakeFunction) -> None:
    source = "class TargetExists(Exception): pass\ndef handler(event, context): raise TargetExists('no')"
    answer, payload = invoke(aws, make_function(source))
    assert answer["StatusCode"] == 200
    assert answer["FunctionError"] == "Unhandled"
    assert (payload["errorType"], payload["errorMessage"]) == ("TargetExists", "no")
    assert "raise TargetExists" in payload["stackTrace"][-1]


def test_a_process_that_exits_is_an_exit_error_and_the_next_invocation_starts_anew(
    aws: LocalAws, make_function: MakeFunction
) -> None:
    arn = make_function(
        "import os\ndef handler(event, context):\n    if event.get('die'): os._exit(3)\n    return 'alive'"
    )
    _, payload = invoke(aws, arn, {"die": True})
    assert payload["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in payload["errorMessage"]
    assert invoke(aws, arn)[1] == "alive"


def test_a_function_that_takes_too_long_is_ended(
    aws: LocalAws, make_function: MakeFunction, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scripts.local_aws.lambda_runtime.functions.SLOWNESS", 0.2)
    arn = make_function("import time\ndef handler(event, context): time.sleep(60)", Timeout=1)
    _, payload = invoke(aws, arn)
    assert payload["errorType"] == "Sandbox.Timedout"
    assert "timed out after 1.00 seconds" in payload["errorMessage"]


@pytest.mark.parametrize(("die", "stored"), [("before", 0), ("after", 1)])
def test_a_death_after_the_handler_leaves_its_effects(
    aws: LocalAws, make_function: MakeFunction, tmp_path: pathlib.Path, die: str, stored: int
) -> None:
    arn = make_function(f"import uuid\ndef handler(event, context): open(f'{tmp_path}/{{uuid.uuid4()}}', 'w').close()")
    aws.faults.add(function=arn.rsplit(":", 1)[1], die=die)
    _, payload = invoke(aws, arn)
    assert payload["errorType"] == "Runtime.ExitError"
    assert len(list(tmp_path.iterdir())) == stored


def test_output_and_reports_reach_the_log_group_that_the_function_names(
    aws: LocalAws, make_function: MakeFunction
) -> None:
    arn = make_function(
        "def handler(event, context): print('hello from', context.aws_request_id)",
        LoggingConfig={"LogGroup": "/mine/alone"},
    )
    answer, _ = invoke(aws, arn, LogType="Tail")
    events = aws.client("logs").filter_log_events(logGroupName="/mine/alone")["events"]
    messages = [event["message"] for event in events]
    assert [message.split()[0] for message in messages] == ["START", "hello", "END", "REPORT"]
    assert messages[0].split()[2] == messages[1].split()[2]
    assert abs(events[0]["timestamp"] / 1000 - aws.clock.time()) < 60
    assert "hello from" in base64.b64decode(answer["LogResult"]).decode()


@pytest.mark.parametrize("is_there", [True, False])
def test_a_log_group_that_isnt_there_is_made_only_by_a_role_that_may(
    aws: LocalAws, make_function: MakeFunction, make_role: MakeRole, is_there: bool
) -> None:
    """As Lambda does it: streams and events alone are enough for a group that exists."""
    group = f"/mine/{uuid.uuid4()}"
    if is_there:
        aws.client("logs").create_log_group(logGroupName=group)
    writes = {"Effect": "Allow", "Action": ["logs:CreateLogStream", "logs:PutLogEvents"], "Resource": "*"}
    role, logging = make_role("lambda", writes), {"LogGroup": group}
    arn = make_function("def handler(event, context): return 1", Role=role, LoggingConfig=logging)
    assert invoke(aws, arn)[1] == 1
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert [each["logGroupName"] for each in groups] == ([group] if is_there else [])
    if is_there:
        assert aws.client("logs").filter_log_events(logGroupName=group)["events"]


def test_a_role_that_may_not_write_logs_leaves_none(
    aws: LocalAws, make_function: MakeFunction, make_role: MakeRole
) -> None:
    arn = make_function("def handler(event, context): return 1", Role=make_role("lambda"))
    assert invoke(aws, arn)[1] == 1
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{arn.rsplit(':', 1)[1]}")
    assert groups["logGroups"] == []


def test_a_role_that_lambda_can_t_assume_is_refused(make_function: MakeFunction, machine_role: str) -> None:
    with pytest.raises(ClientError, match="cannot be assumed by Lambda"):
        make_function("def handler(event, context): return 1", Role=machine_role)


def test_a_function_in_a_vpc_needs_a_role_that_may_make_interfaces(
    aws: LocalAws, make_function: MakeFunction, make_role: MakeRole
) -> None:
    subnets = aws.client("ec2").describe_subnets()["Subnets"]
    network = {"SubnetIds": [subnets[0]["SubnetId"]], "SecurityGroupIds": []}
    source = "def handler(event, context): return 1"
    with pytest.raises(ClientError, match="CreateNetworkInterface on EC2"):
        make_function(source, VpcConfig=network)
    role = make_role("lambda", allow("ec2:*"))
    assert invoke(aws, make_function(source, VpcConfig=network, Role=role))[1] == 1


def test_another_runtime_than_python_is_refused(make_function: MakeFunction) -> None:
    with pytest.raises(ClientError, match="NotImplementedByLocalAws"):
        make_function("", Runtime="nodejs22.x")


def test_an_asynchronous_invocation_is_retried_twice_a_minute_and_two_later(
    aws: LocalAws, make_function: MakeFunction
) -> None:
    arn = make_function("def handler(event, context): raise ValueError('always')")
    answer, payload = invoke(aws, arn, InvocationType="Event")
    assert (answer["StatusCode"], payload) == (202, None)
    name = arn.rsplit(":", 1)[1]
    wait_until(lambda: len([i for i in aws.stats.invocations if i.function == name]) == 3, "two retries")
    starts = [
        event["timestamp"]
        for event in aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        if event["message"].startswith("START")
    ]
    assert [round((later - first) / 60_000) for first, later in itertools.pairwise(starts)] == [1, 2]


@pytest.mark.full
@pytest.mark.parametrize(
    ("settings", "code", "status"),
    [
        ({}, "CodeArtifactUserPendingException", 409),
        ({"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}}, "ResourceNotReadyException", 502),
    ],
)
def test_a_function_that_nobody_called_for_weeks_fails_its_calls_until_it_is_back(
    aws: LocalAws, make_function: MakeFunction, make_role: MakeRole, settings: dict[str, Any], code: str, status: int
) -> None:
    client: Any = aws.client("lambda")
    role = make_role("lambda", allow("ec2:*"))
    arn = make_function("def handler(event, context): return 'awake'", Role=role, **settings)
    aws.clock.sleep(13 * 86_400)
    assert invoke(aws, arn)[1] == "awake"
    aws.clock.sleep(15 * 86_400)
    described = client.get_function_configuration(FunctionName=arn)
    assert (described["State"], described["StateReasonCode"]) == ("Inactive", "Idle")
    for _ in range(2):
        with pytest.raises(client.exceptions.from_code(code)) as refused:
            invoke(aws, arn)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
        aws.clock.sleep(50)
    aws.clock.sleep(10)
    assert invoke(aws, arn)[1] == "awake"
    assert client.get_function_configuration(FunctionName=arn)["State"] == "Active"


@pytest.mark.full
def test_an_event_for_a_function_that_is_asleep_is_not_lost(
    aws: LocalAws, make_function: MakeFunction, tmp_path: pathlib.Path
) -> None:
    arn = make_function(f"def handler(event, context): open('{tmp_path}/arrived', 'w').close()")
    aws.clock.sleep(15 * 86_400)
    aws.client("lambda").invoke(FunctionName=arn, InvocationType="Event")
    wait_until((tmp_path / "arrived").exists, "the event")


def test_functions_are_listed_and_described_as_they_were_made(aws: LocalAws, make_function: MakeFunction) -> None:
    arn = make_function("def handler(event, context): return 1", LoggingConfig={"LogGroup": "/my/group"}, Timeout=77)
    client = aws.client("lambda")
    configuration = client.get_function_configuration(FunctionName=arn)
    assert configuration["Timeout"] == 77
    assert configuration["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/my/group"}
    assert arn in [function["FunctionArn"] for function in client.list_functions()["Functions"]]


def test_a_services_own_endpoint_leads_here_if_there_is_one_of_that_name(
    aws: LocalAws, make_function: MakeFunction
) -> None:
    """Else it leads where its name says, which is nowhere."""
    ec2 = aws.client("ec2")
    vpc, subnet = (ec2.describe_subnets()["Subnets"][0][key] for key in ("VpcId", "SubnetId"))
    endpoint = ec2.create_vpc_endpoint(
        VpcId=vpc, VpcEndpointType="Interface", ServiceName="com.amazonaws.us-east-1.secretsmanager", SubnetIds=[subnet]
    )["VpcEndpoint"]
    source = "import os\ndef handler(event, context):\n    return os.environ['AWS_ENDPOINT_URL_SECRETS_MANAGER']\n"
    there, gone = f"https://{endpoint['DnsEntries'][0]['DnsName']}", "https://vpce-0.secretsmanager.example"
    for url, leads_to in ((there, aws.endpoint_url), (gone, gone)):
        arn = make_function(source, Environment={"Variables": {"AWS_ENDPOINT_URL_SECRETS_MANAGER": url}})
        assert json.load(aws.client("lambda").invoke(FunctionName=arn)["Payload"]) == leads_to
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint["VpcEndpointId"]])
