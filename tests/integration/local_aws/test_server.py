"""One endpoint: it knows what it is asked, refuses what it doesn't know, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.core.errors import CannotStart
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import MakeFunction, wait_until
from tests.integration.tiers import one_and_the_rest

PROJECT = pathlib.Path(__file__).parents[3]


def control(aws: LocalAws, name: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(f"{aws.endpoint_url}/_local/{name}", data) as answer:  # noqa: S310 our own endpoint
        return json.loads(answer.read())


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [("ssm", "get_parameter", {"Name": "x"}), ("cloudformation", "list_stacks", {}), ("glue", "get_databases", {})],
)
def test_a_service_that_we_don_t_stand_behind_is_refused_by_name(
    aws: LocalAws, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(aws.client(service), operation)(**arguments)
    assert refused.value.response["Error"]["Code"] == "NotImplementedByLocalAws"
    assert service in refused.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("rds", "backtrack_db_cluster", {"DBClusterIdentifier": "c", "BacktrackTo": "2026-01-01T00:00:00Z"}),
        ("lambda", "list_function_url_configs", {"FunctionName": "f"}),
    ],
)
def test_an_operation_that_we_don_t_have_is_refused_by_name(
    aws: LocalAws, service: str, operation: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(aws.client(service), operation)(**arguments)
    assert refused.value.response["Error"]["Code"] == "NotImplementedByLocalAws"
    assert operation.replace("_", "") in refused.value.response["Error"]["Message"].lower()


def test_the_operator_is_a_user_and_strangers_are_refused(aws: LocalAws) -> None:
    assert aws.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::123456789012:user/operator"
    session: Any = boto3.session.Session()
    keys = {"aws_access_key_id": "AKIAUNKNOWN", "aws_secret_access_key": "x"}
    stranger = session.client("sns", region_name="us-east-1", endpoint_url=aws.endpoint_url, **keys)
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        stranger.list_topics()


def test_calls_are_remembered_with_who_made_them_but_never_with_a_secret(
    aws: LocalAws, make_function: MakeFunction
) -> None:
    aws.client("secretsmanager").create_secret(Name="kept", SecretString="hunter2", Description="d")
    call = aws.stats.calls[-1]
    assert (call.service, call.operation, call.region) == ("secretsmanager", "CreateSecret", "us-east-1")
    assert (call.principal, call.parameters["Description"], call.error) == ("operator", "d", None)
    with pytest.raises(ClientError):
        aws.client("secretsmanager", "us-west-2").get_secret_value(SecretId="kept")
    assert (aws.stats.calls[-1].region, aws.stats.calls[-1].error) == ("us-west-2", "ResourceNotFoundException")
    assert not any("hunter2" in str(call) for call in aws.stats.calls)
    assert "hunter2" not in json.dumps(control(aws, "stats"))


def test_the_control_api_tells_the_time_takes_faults_and_durations_and_nothing_else(aws: LocalAws) -> None:
    clock = control(aws, "clock")
    assert clock["real_time"] is False
    assert clock["skipped_seconds"] >= 0
    control(aws, "faults", {"operation": "sns:ListTopics", "code": "Throttling", "times": 3})
    assert control(aws, "stats")["faults"][0]["operation"] == "sns:ListTopics"
    before = aws.aurora.durations
    assert control(aws, "durations", {"copy_snapshot": 7})["copy_snapshot"] == 7
    assert aws.aurora.durations.copy_snapshot == 7
    aws.aurora.durations = before
    for name, body, status in [("faults", {"x": 1}, 400), ("durations", {"x": 1}, 400), ("else", None, 404)]:
        with pytest.raises(urllib.error.HTTPError) as refused:
            control(aws, name, body)
        assert refused.value.code == status


def test_a_second_one_in_the_same_process_is_refused(aws: LocalAws) -> None:
    with pytest.raises(CannotStart, match="already running"):
        LocalAws()
    assert aws.client("sts").get_caller_identity()["Account"] == aws.account_id


RUN = """
import json, signal, sys, time
from scripts.local_aws.core.errors import CannotStart
from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import zipped

try:
    aws = LocalAws(port=int(sys.argv[1]))
except CannotStart as why:
    sys.exit(f"cannot start: {why}")

services = ["lambda.amazonaws.com", "states.amazonaws.com"]
trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
policies = [{"Version": "2012-10-17", "Statement": statement}
            for statement in (trust, {"Effect": "Allow", "Action": "lambda:*", "Resource": "*"})]
iam = aws.client("iam")
role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(policies[0]))["Role"]["Arn"]
iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(policies[1]))

code = {"ZipFile": zipped({"app.py": "import time\\ndef handler(event, context): time.sleep(600)"})}
settings = {"Runtime": "python3.13", "Role": role, "Handler": "app.handler", "Timeout": 900}
function = aws.client("lambda").create_function(FunctionName="f", Code=code, **settings)["FunctionArn"]

rds = aws.client("rds")
engine = {"DBClusterIdentifier": "c", "Engine": "aurora-postgresql"}
rds.create_db_cluster(MasterUsername="master", MasterUserPassword="not-a-secret-1", **engine)
while rds.describe_db_clusters()["DBClusters"][0]["Status"] != "available":
    aws.clock.sleep(60)
rds.create_db_instance(DBInstanceIdentifier="i", DBInstanceClass="db.t4g.medium", **engine)
while rds.describe_db_instances()["DBInstances"][0]["DBInstanceStatus"] != "available":
    aws.clock.sleep(60)

definition = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": function, "End": True}}}
states = aws.client("stepfunctions")
machine = states.create_state_machine(name="m", definition=json.dumps(definition), roleArn=role)
states.start_execution(stateMachineArn=machine["stateMachineArn"])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs start with it ignored
print(aws.scratch)
print(aws.endpoint_url, flush=True)
if sys.argv[2] == "close":
    aws.close()
elif sys.argv[2] == "interrupt":
    with aws:
        signal.pause()
elif sys.argv[2] in ("terminate", "kill"):
    signal.pause()
elif sys.argv[2] == "terminate at work":
    until = time.monotonic() + 60
    while time.monotonic() < until:  # most of the time with the clock's lock in its hands
        with aws.clock.busy():
            pass
"""


@pytest.mark.parametrize(
    "how", one_and_the_rest(["close", "exit", "interrupt", "terminate", "terminate at work", "kill"])
)
def test_however_it_ends_no_process_file_or_port_is_left(how: str) -> None:
    run = [sys.executable, "-c", RUN, "0", how]
    with subprocess.Popen(run, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            scratch = process.stdout.readline().strip()
            endpoint = process.stdout.readline().strip()
            assert endpoint, process.stderr.read()
            began = time.monotonic()
            if how not in ("close", "exit"):
                wait_until(lambda: _running(scratch, "awslambdaric") and _running(scratch, "postgres"), "its processes")
                sent = {"interrupt": signal.SIGINT, "kill": signal.SIGKILL}.get(how, signal.SIGTERM)
                began = time.monotonic()  # from here on it ends
                process.send_signal(sent)
            process.wait(timeout=120)
            if how in ("close", "exit"):
                assert (process.returncode, process.stderr.read()) == (0, "")
            if how.startswith("terminate"):
                assert process.returncode == -signal.SIGTERM
                # Its own loop would hold it for a minute; a machine with other work takes its time as well.
                assert time.monotonic() - began < 45, "it waited for what it kept from happening itself"
        finally:
            process.kill()
    # What is removed behind a process that has ended takes a moment more, and on a slow disk minutes.
    wait_until(
        lambda: not pathlib.Path(scratch).exists() and not _processes_that_mention(scratch), "the end of it all", 300
    )
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(endpoint)  # noqa: S310 our own endpoint


def _running(directory: str, program: str) -> bool:
    return any(program in command for command in _processes_that_mention(directory).values())


def _processes_that_mention(directory: str) -> dict[int, str]:
    """Processes whose command line or environment names the directory, but for the one that made it."""
    found = {}
    for process in pathlib.Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (process / "environ").read_bytes().decode(errors="replace")
        except (OSError, NotADirectoryError):
            continue
        if directory in command + environment:
            found[int(process.name)] = command
    return found


def test_a_port_that_is_taken_is_named(aws: LocalAws) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        run = [sys.executable, "-c", RUN, port, "exit"]
        ended = subprocess.run(run, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=180)
    assert ended.returncode == 1
    assert f"cannot start: Port {port} cannot be used" in ended.stderr


def test_the_stock_command_line_works_against_it(aws: LocalAws) -> None:
    command = pathlib.Path(sys.executable).with_name("aws")
    environment = {**os.environ, **aws.operator.environment(), "AWS_DEFAULT_REGION": "us-east-1"}
    run = [str(command), "--endpoint-url", aws.endpoint_url, "stepfunctions", "list-state-machines"]
    ended = subprocess.run(run, env=environment, capture_output=True, text=True, check=False, timeout=180)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "stateMachines" in json.loads(ended.stdout)
