"""State machines run as the States Language and the Step Functions guide say."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import Answer, MakeFunction, MakeRole, Run, history

FUNCTION = """
import os

class TargetExists(Exception):
    pass

tries = {}

def handler(event, context):
    if "fail" in event:
        raise TargetExists(event["fail"])
    if "flaky" in event:
        tries[event["flaky"]] = tries.get(event["flaky"], 0) + 1
        if tries[event["flaky"]] <= event["failures"]:
            raise TargetExists("not yet")
        return {"tries": tries[event["flaky"]]}
    if "big" in event:
        return "x" * event["big"]
    return event.get("answer", event)
"""


@pytest.fixture(scope="module")
def function(make_function: MakeFunction) -> str:
    return make_function(FUNCTION)


def task(function: str, **fields: Any) -> Answer:
    return {"Type": "Task", "Resource": function, **({} if "Next" in fields else {"End": True}), **fields}


def passing(**fields: Any) -> Answer:
    return {"Type": "Pass", **({} if "Next" in fields else {"End": True}), **fields}


DATA = {"a": {"b": [{"c": 7}]}, "a-b": {"c": 1}, "list": [1, 2, 2], "text": "x-y", "null": None}


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (passing(), DATA),
        (passing(Result=5), 5),
        (passing(Result=5, ResultPath="$.x.y"), {**DATA, "x": {"y": 5}}),
        (passing(Result=5, ResultPath=None), DATA),
        (passing(InputPath=None), {}),
        (passing(OutputPath=None), {}),
        (passing(InputPath="$.a.b[0]"), {"c": 7}),
        (passing(Parameters={"p.$": "$.a.b[0].c", "q": {"r.$": "$['a-b'].c"}, "s": [{"t.$": "$.a-b.c"}]}),
         {"p": 7, "q": {"r": 1}, "s": [{"t": 1}]}),
        (passing(Parameters={"x.$": "$.null"}), {"x": None}),
    ],
)  # fmt: skip
def test_data_flows_through_paths_and_templates(run: Run, state: Answer, expected: Any) -> None:
    assert run({"A": state}, DATA)["output"] == expected


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("States.Format('{} has {}', $.text, $.list)", "x-y has [1, 2, 2]"),
        (r"States.Format('it\'s \{\} {}', 1)", "it's {} 1"),
        ("States.JsonToString($.a)", '{"b":[{"c":7}]}'),
        ("States.StringToJson('{\"q\": [1]}')", {"q": [1]}),
        ("States.Array(1, 'two', $.null, true)", [1, "two", None, True]),
        ("States.ArrayContains($.list, 2)", True),
        ("States.ArrayLength($.list)", 3),
        ("States.ArrayGetItem($.list, 1)", 2),
        ("States.ArrayUnique($.list)", [1, 2]),
        ("States.ArrayPartition($.list, 2)", [[1, 2], [2]]),
        ("States.ArrayRange(1, 7, 3)", [1, 4, 7]),
        ("States.MathAdd($.list[0], -3)", -2),
        ("States.StringSplit($.text, '-')", ["x", "y"]),
        ("States.JsonMerge($.a, $['a-b'], false)", {"b": [{"c": 7}], "c": 1}),
        ("States.Base64Decode(States.Base64Encode($.text))", "x-y"),
        ("States.Hash('a', 'SHA-256')", "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"),
    ],
)
def test_intrinsic_functions_answer_as_documented(run: Run, call: str, expected: Any) -> None:
    assert run({"A": passing(Parameters={"x.$": call})}, DATA)["output"] == {"x": expected}


def test_an_intrinsic_function_that_fails_fails_the_execution(run: Run) -> None:
    assert (
        run({"A": passing(Parameters={"x.$": "States.MathAdd($.text, 1)"})}, DATA)["error"] == "States.IntrinsicFailure"
    )


def test_the_context_object_tells_who_and_when_on_the_clock(aws: LocalAws, run: Run) -> None:
    wanted = {"x.$": "$$.Execution.StartTime", "y.$": "$$.State.EnteredTime", "z.$": "$$.Execution"}
    wanted |= {"machine.$": "$$.StateMachine.Id", "state.$": "$$.State.Name"}
    ended = run({"Wait": {"Type": "Wait", "Seconds": 7200, "Next": "A"}, "A": passing(Parameters=wanted)}, {"in": 1})
    output = ended["output"]
    start, entered = (datetime.datetime.fromisoformat(output[key]) for key in "xy")
    assert output["x"].endswith("Z")
    assert datetime.timedelta(hours=2) <= entered - start < datetime.timedelta(hours=2, seconds=5)
    assert abs(start - ended["startDate"]) < datetime.timedelta(seconds=1)
    assert output["z"]["Id"] == ended["executionArn"]
    assert output["z"]["Name"] == ended["name"]
    assert output["z"]["Input"] == {"in": 1}
    assert output["machine"] == ended["stateMachineArn"]
    assert output["state"] == "A"


def choose(*rules: Answer, default: bool = True) -> Answer:
    choices = [{**rule, "Next": "Yes"} for rule in rules]
    choice = {"Type": "Choice", "Choices": choices, **({"Default": "No"} if default else {})}
    return {"A": choice, "Yes": passing(Result="yes"), **({"No": passing(Result="no")} if default else {})}


VALUES = {"n": 1, "m": 2, "s": "abc", "t": True, "null": None, "when": "2026-01-01T00:00:00Z", "star": "a*c"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"Variable": "$.n", "NumericLessThanPath": "$.m"}, "yes"),
        ({"Variable": "$.s", "NumericGreaterThan": 0}, "no"),
        ({"Variable": "$.t", "NumericEquals": 1}, "no"),
        ({"Variable": "$.n", "BooleanEquals": True}, "no"),
        ({"Variable": "$.s", "StringMatches": "a*"}, "yes"),
        ({"Variable": "$.s", "StringMatches": "b*"}, "no"),
        ({"Variable": "$.star", "StringMatches": r"a\*c"}, "yes"),
        ({"Variable": "$.s", "StringMatches": r"a\*c"}, "no"),
        ({"Variable": "$.when", "TimestampEquals": "2026-01-01T01:00:00+01:00"}, "yes"),
        ({"Variable": "$.when", "TimestampLessThan": "2025-12-31T23:59:59Z"}, "no"),
        ({"Variable": "$.null", "IsNull": True}, "yes"),
        ({"Variable": "$.nowhere", "IsPresent": False}, "yes"),
        ({"Variable": "$.null", "IsPresent": True}, "yes"),
        ({"Variable": "$.when", "IsTimestamp": True}, "yes"),
        ({"Variable": "$.t", "IsNumeric": False}, "yes"),
        ({"Not": {"Variable": "$.t", "BooleanEquals": False}}, "yes"),
        ({"And": [{"Variable": "$.nowhere", "IsPresent": True}, {"Variable": "$.nowhere", "NumericEquals": 1}]}, "no"),
        ({"Or": [{"Variable": "$.n", "NumericEquals": 2}, {"Variable": "$.s", "StringEquals": "abc"}]}, "yes"),
    ],
)  # fmt: skip
def test_choice_rules_compare_values_of_their_own_type_only(run: Run, rule: Answer, expected: str) -> None:
    assert run(choose(rule), VALUES)["output"] == expected


def test_a_choice_on_an_absent_field_is_a_runtime_error_although_there_is_a_default(run: Run) -> None:
    assert run(choose({"Variable": "$.nowhere", "NumericEquals": 1}), VALUES)["error"] == "States.Runtime"


def test_a_choice_without_match_and_default_fails(run: Run) -> None:
    ended = run(choose({"Variable": "$.n", "NumericEquals": 9}, default=False), VALUES)
    assert ended["error"] == "States.NoChoiceMatched"


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [
        ({"Seconds": 86_400}, 86_400),
        ({"SecondsPath": "$.seconds"}, 90),
        ({"TimestampPath": "$.past"}, 0),
    ],
)
def test_a_wait_passes_on_the_clock_and_not_on_the_wall(run: Run, wait: Answer, seconds: int) -> None:
    ended = run({"A": {"Type": "Wait", **wait, "End": True}}, {"seconds": 90, "past": "2020-01-01T00:00:00Z"})
    assert seconds <= (ended["stopDate"] - ended["startDate"]).total_seconds() < seconds + 5


@pytest.mark.parametrize("seconds", ["90", -1, 1.5, None])
def test_a_wait_for_something_that_is_no_number_of_seconds_is_a_runtime_error(run: Run, seconds: Any) -> None:
    wait = {"Type": "Wait", "SecondsPath": "$.seconds", "End": True}
    assert run({"A": wait}, {"seconds": seconds})["error"] == "States.Runtime"


def test_fail_takes_its_error_and_cause_from_the_input(run: Run) -> None:
    fail = {"Type": "Fail", "ErrorPath": "$.error.Error", "CausePath": "States.Format('because {}', $.error.Cause)"}
    ended = run({"A": fail}, {"error": {"Error": "CopyFailed", "Cause": "of reasons"}})
    assert (ended["status"], ended["error"], ended["cause"]) == ("FAILED", "CopyFailed", "because of reasons")


def test_an_uncaught_function_error_names_the_execution_s_error(run: Run, function: str) -> None:
    """aws-facts: the error is the exception's class name, the cause Lambda's error document as text."""
    ended = run({"A": task(function)}, {"fail": "target exists"})
    assert (ended["status"], ended["error"]) == ("FAILED", "TargetExists")
    assert '"errorMessage": "target exists"' in ended["cause"]
    assert '"stackTrace"' in ended["cause"]


@pytest.mark.parametrize("errors", [["TargetExists"], ["States.TaskFailed"], ["States.ALL"], ["Other", "TargetExists"]])
def test_a_catcher_keeps_the_input_and_adds_the_error(run: Run, function: str, errors: list[str]) -> None:
    catch = [{"ErrorEquals": errors, "ResultPath": "$.error", "Next": "B"}]
    ended = run({"A": task(function, Catch=catch, ResultPath="$.r", OutputPath="$.r"), "B": passing()}, {"fail": "no"})
    assert ended["output"]["fail"] == "no"
    assert ended["output"]["error"]["Error"] == "TargetExists"


def test_a_catcher_without_result_path_replaces_the_input(run: Run, function: str) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    ended = run({"A": task(function, Catch=catch), "B": passing()}, {"fail": "no"})
    assert set(ended["output"]) == {"Error", "Cause"}


@pytest.mark.parametrize("broken", [{"Parameters": {"x.$": "$.nowhere"}}, {"ResultSelector": {"x.$": "$.nowhere"}}])
def test_states_all_never_catches_a_runtime_error(run: Run, function: str, broken: Answer) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    ended = run({"A": task(function, Catch=catch, **broken), "B": passing()}, {})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")
    assert "$.nowhere" in ended["cause"]


def test_a_payload_over_256_kib_is_an_error_that_can_be_caught(run: Run, function: str) -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    assert run({"A": task(function)}, {"big": 262_144})["error"] == "States.DataLimitExceeded"
    caught = run({"A": task(function, Catch=catch), "B": passing()}, {"big": 262_144})
    assert caught["output"]["Error"] == "States.DataLimitExceeded"


def test_retries_back_off_on_the_clock_up_to_their_cap(run: Run, function: str) -> None:
    retry = [
        {
            "ErrorEquals": ["TargetExists"],
            "IntervalSeconds": 10,
            "BackoffRate": 3,
            "MaxDelaySeconds": 50,
            "MaxAttempts": 3,
        }
    ]
    ended = run({"A": task(function, Retry=retry)}, {"flaky": "capped", "failures": 3})
    assert ended["output"] == {"tries": 4}
    assert 90 <= (ended["stopDate"] - ended["startDate"]).total_seconds() < 95


def test_full_jitter_waits_at_most_the_delay(run: Run, function: str) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 600, "MaxAttempts": 1, "JitterStrategy": "FULL"}]
    ended = run({"A": task(function, Retry=retry)}, {"flaky": "jitter", "failures": 1})
    assert (ended["stopDate"] - ended["startDate"]).total_seconds() < 600


def test_retries_run_out_and_then_the_catcher_has_its_turn(run: Run, function: str) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2}]
    catch = [{"ErrorEquals": ["TargetExists"], "ResultPath": None, "Next": "B"}]
    event = {"flaky": "exhausted", "failures": 9}
    assert run({"A": task(function, Retry=retry, Catch=catch), "B": passing()}, event)["output"] == event


def test_each_retrier_counts_for_itself_and_zero_attempts_means_never(run: Run, function: str) -> None:
    retry = [{"ErrorEquals": ["TargetExists"], "MaxAttempts": 0}, {"ErrorEquals": ["States.ALL"], "MaxAttempts": 5}]
    assert run({"A": task(function, Retry=retry)}, {"flaky": "never", "failures": 1})["error"] == "TargetExists"


def test_lambda_invoke_wraps_the_answer_and_the_bare_arn_doesn_t(run: Run, function: str) -> None:
    invoke = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": function, "Payload.$": "$"},
        "ResultPath": "$.wrapped",
        "Next": "B",
    }
    ended = run({"A": invoke, "B": task(function, ResultPath="$.bare")}, {"answer": [1]})
    assert ended["output"]["wrapped"]["Payload"] == [1]
    assert ended["output"]["wrapped"]["StatusCode"] == 200
    assert ended["output"]["bare"] == [1]


def test_a_role_that_may_not_invoke_the_function_is_an_error_of_lambda_s(
    run: Run, function: str, make_role: MakeRole
) -> None:
    ended = run({"A": task(function)}, {}, roleArn=make_role("states"))
    assert ended["error"] == "Lambda.AWSLambdaException"
    assert "is not authorized to perform: lambda:InvokeFunction" in ended["cause"]


def test_a_function_that_doesn_t_exist_is_not_found(run: Run, function: str) -> None:
    assert run({"A": task(f"{function}-not")}, {})["error"] == "Lambda.ResourceNotFoundException"


def test_service_errors_of_lambda_can_be_retried(aws: LocalAws, run: Run, function: str) -> None:
    aws.faults.add(operation="lambda:Invoke", code="TooManyRequestsException", http_status=429, times=1)
    aws.faults.add(operation="lambda:Invoke", code="ServiceException", http_status=500, times=1)
    retry = [{"ErrorEquals": ["Lambda.TooManyRequestsException"]}, {"ErrorEquals": ["Lambda.ServiceException"]}]
    ended = run({"A": task(function, Retry=retry)}, {"answer": 1})
    assert ended.get("output") == 1, ended.get("cause")


@pytest.mark.parametrize("die", ["before", "after"])
def test_a_process_that_dies_is_an_exit_error(aws: LocalAws, run: Run, function: str, die: str) -> None:
    """aws-facts, error names: Lambda.Unknown, or the names that newer runtimes report; ours are the newer."""
    aws.faults.add(function=function.rsplit(":", 1)[1], die=die)
    assert run({"A": task(function)}, {})["error"] == "Runtime.ExitError"


@pytest.fixture
def sleepy(make_function: MakeFunction, monkeypatch: pytest.MonkeyPatch) -> str:
    """A function that takes longer than a second is made to last."""
    monkeypatch.setattr("scripts.local_aws.step_functions.execution.SLOWNESS", 0.1)
    return make_function("import time\ndef handler(event, context): time.sleep(0.5)", Timeout=60)


def test_a_task_s_timeout_can_be_caught(run: Run, sleepy: str) -> None:
    catch = [{"ErrorEquals": ["States.Timeout"], "ResultPath": "$.error", "Next": "B"}]
    ended = run({"A": task(sleepy, TimeoutSecondsPath="$.s", Catch=catch), "B": passing()}, {"s": 1})
    assert ended["output"]["error"]["Error"] == "States.Timeout"


def test_states_task_failed_doesn_t_match_a_timeout(run: Run, sleepy: str) -> None:
    catch = [{"ErrorEquals": ["States.TaskFailed"], "Next": "B"}]
    ended = run({"A": task(sleepy, TimeoutSecondsPath="$.s", Catch=catch), "B": passing()}, {"s": 1})
    assert ended["error"] == "States.Timeout"


def test_the_machine_s_timeout_ends_it_past_every_catcher(run: Run) -> None:
    ended = run({"A": {"Type": "Wait", "Seconds": 7200, "End": True}}, {}, TimeoutSeconds=3600)
    assert ended["status"] == "TIMED_OUT"
    assert 3600 <= (ended["stopDate"] - ended["startDate"]).total_seconds() < 3605


def test_the_history_tells_every_step_in_order(aws: LocalAws, run: Run, function: str) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}]
    states = {
        "A": task(function, Retry=retry, Next="W"),
        "W": {"Type": "Wait", "Seconds": 1, "Next": "S"},
        "S": {"Type": "Succeed"},
    }
    ended = run(states, {"flaky": "history", "failures": 1})
    events = history(aws, ended["executionArn"])
    assert [event["type"] for event in events] == [
        "ExecutionStarted",
        "TaskStateEntered",
        "LambdaFunctionScheduled",
        "LambdaFunctionStarted",
        "LambdaFunctionFailed",
        "LambdaFunctionScheduled",
        "LambdaFunctionStarted",
        "LambdaFunctionSucceeded",
        "TaskStateExited",
        "WaitStateEntered",
        "WaitStateExited",
        "SucceedStateEntered",
        "SucceedStateExited",
        "ExecutionSucceeded",
    ]
    assert [event["id"] for event in events] == list(range(1, 15))
    assert events[4]["lambdaFunctionFailedEventDetails"]["error"] == "TargetExists"


def test_a_loop_that_never_ends_reaches_the_history_s_limit(aws: LocalAws, run: Run) -> None:
    ended = run({"A": {"Type": "Pass", "Next": "B"}, "B": choose_forever()}, {})
    assert ended["status"] == "FAILED"
    assert "maximum number of history events (25000)" in ended["cause"]


def choose_forever() -> Answer:
    return {"Type": "Choice", "Choices": [{"Variable": "$.x", "IsPresent": False, "Next": "A"}], "Default": "A"}


def test_what_happens_is_logged_when_the_machine_asks_for_it(
    aws: LocalAws, run: Run, function: str, make_role: MakeRole, make_machine: Callable[..., str]
) -> None:
    logs = aws.client("logs")
    logs.create_log_group(logGroupName="/aws/states/logged")
    group = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/states/logged:*"
    configuration = {
        "level": "ALL",
        "includeExecutionData": False,
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}}],
    }
    with pytest.raises(
        aws.client("stepfunctions").exceptions.ClientError, match="not authorized to access the Log Destination"
    ):
        make_machine({"A": passing()}, loggingConfiguration=configuration)
    role = make_role("states", {"Effect": "Allow", "Action": ["logs:*", "lambda:InvokeFunction"], "Resource": "*"})
    missing = {"cloudWatchLogsLogGroup": {"logGroupArn": group.replace("logged", "missing")}}
    nowhere = {**configuration, "destinations": [missing]}
    with pytest.raises(
        aws.client("stepfunctions").exceptions.ClientError, match=r"InvalidLoggingConfiguration.*Destination not found"
    ):
        make_machine({"A": passing()}, loggingConfiguration=nowhere, roleArn=role)
    run({"A": task(function)}, {"answer": "confidential"}, loggingConfiguration=configuration, roleArn=role)
    lines = [event["message"] for event in logs.filter_log_events(logGroupName="/aws/states/logged")["events"]]
    assert any('"LambdaFunctionSucceeded"' in line for line in lines)
    assert not any("confidential" in line for line in lines)


@pytest.mark.parametrize("answer", ["b'not JSON'", "b'\\xff\\xfe'", "float('nan')"])
def test_an_answer_that_is_no_json_fails_the_execution(make_function: MakeFunction, run: Run, answer: str) -> None:
    """It must not leave the execution running for ever: Python's runtime hands bytes on as they are."""
    arn = make_function(f"def handler(event, context): return {answer}")
    catching = {"Retry": [{"ErrorEquals": ["States.ALL"]}], "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B"}]}
    ended = run({"A": task(arn, **catching), "B": passing()}, {})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")
    assert "is not JSON" in ended["cause"]


def test_bytes_that_are_json_are_handed_on(make_function: MakeFunction, run: Run) -> None:
    """As recorded of AWS: a function that returns b'"HelloWorld!"' has the output "HelloWorld!"."""
    arn = make_function("def handler(event, context): return b'\"HelloWorld!\"'")
    assert run({"A": task(arn)}, {})["output"] == "HelloWorld!"
