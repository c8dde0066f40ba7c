"""Step Functions' API: what it refuses, what it remembers, and that nothing is half known."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import Answer, MakeFunction, MakeRole, Run, finished, history, wait_until

MakeMachine = Callable[..., str]
END: Answer = {"Type": "Pass", "End": True}
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
TASK: Answer = {"Type": "Task", "Resource": FUNCTION, "End": True}


FLAKY = """
n = 0

def handler(event, context):
    global n
    n += 1
    return {"n": n, **event, "x": 1 / (n - 1)}
"""


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call()
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


# A state with a value of another type than its field has, and the type that it has.
WRONG_TYPES: list[tuple[Any, str]] = [
    ("END", "Object"),
    ({**TASK, "TimeoutSeconds": "90"}, "Integer"),
    ({**TASK, "TimeoutSeconds": True}, "Integer"),
    ({**TASK, "Retry": {}}, "Array"),
    ({**TASK, "Retry": ["X"]}, "Object"),
    ({**TASK, "Catch": 5}, "Array"),
    ({**TASK, "Parameters": "$.x"}, "Object"),
    ({"Type": "Pass", "Next": ["A"]}, "String"),
    ({"Type": "Pass", "End": "true"}, "Boolean"),
    ({"Type": "Wait", "Seconds": "5", "End": True}, "Integer"),
    ({"Type": "Choice", "Choices": [5], "Default": "A"}, "Object"),
    ({"Type": "Choice", "Choices": [{"And": 5, "Next": "A"}]}, "Array"),
    ({"Type": "Choice", "Choices": [{"Not": "x", "Next": "A"}]}, "Object"),
]


@pytest.mark.parametrize(
    ("states", "problem"),
    [
        ({"A": {"Type": "Pass", "Next": "Nowhere"}}, "Nowhere"),
        ({"A": {"Type": "Pass"}}, "'Next' or an 'End'"),
        ({"A": {"Type": "Pass", "Next": "A", "End": True}}, "'Next' or an 'End'"),
        ({"A": END, "B": END}, 'State "B" is not reachable'),
        ({"A": {"Type": "Pas", "End": True}}, "Type"),
        ({"A": {**END, "Nxt": "B"}}, "Nxt"),
        ({"A": {**TASK, "TimeoutSeconds": 0}}, "TimeoutSeconds"),
        ({"A": {**TASK, "Retry": [{"ErrorEquals": ["States.ALL", "X"]}]}}, "States.ALL"),
        ({"A": {**TASK, "Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["X"]}]}}, "States.ALL"),
        ({"A": {**TASK, "Retry": [{"ErrorEquals": ["X"], "BackoffRate": 0.5}]}}, "BackoffRate"),
        ({"A": {**TASK, "Catch": [{"ErrorEquals": ["X"], "Next": "Nowhere"}]}}, "Nowhere"),
        ({"A": {**TASK, "ResultPath": "result"}}, "result"),
        ({"A": {**TASK, "Parameters": {"x.$": "y"}}}, "y"),
        ({"A": {"Type": "Wait", "End": True}}, "Seconds"),
        ({"A": {"Type": "Wait", "Seconds": 1, "SecondsPath": "$.s", "End": True}}, "Seconds"),
        ({"A": {"Type": "Choice", "Choices": [], "Default": "A"}}, "Choices"),
        ({"A": {"Type": "Choice", "Choices": [{"Variable": "$.x", "StringEqual": "a", "Next": "A"}]}}, "comparison"),
        ({"A": {"Type": "Fail", "Error": "E", "ErrorPath": "$.e"}}, "ErrorPath"),
        *(({"A": wrong}, f"Expected value of type {kind}") for wrong, kind in WRONG_TYPES),
    ],
)
def test_a_definition_that_can_t_be_right_is_refused_when_it_is_created(
    make_machine: MakeMachine, states: Answer, problem: str
) -> None:
    code, message = refusal(lambda: make_machine(states))
    assert code == "InvalidDefinition"
    assert problem in message


def test_a_machine_that_starts_nowhere_is_refused(make_machine: MakeMachine) -> None:
    assert refusal(lambda: make_machine({"A": END}, StartAt="B"))[0] == "InvalidDefinition"


@pytest.mark.parametrize(
    "states",
    [
        {"A": {"Type": "Parallel", "Branches": [], "End": True}},
        {"A": {"Type": "Pass", "QueryLanguage": "JSONata", "End": True}},
        {"A": {**END, "Assign": {"x": 1}}},
        {"A": {**TASK, "Resource": "arn:aws:states:::aws-sdk:rds:describeDBClusters"}},
        {"A": {**END, "Parameters": {"x.$": "$.list[*]"}}},
    ],
)
def test_what_the_language_has_and_we_don_t_is_refused_by_name(make_machine: MakeMachine, states: Answer) -> None:
    assert refusal(lambda: make_machine(states))[0] == "NotImplementedByLocalAws"


def test_a_role_that_step_functions_can_t_assume_is_refused(make_machine: MakeMachine, function_role: str) -> None:
    assert refusal(lambda: make_machine({"A": END}, roleArn=function_role))[0] == "AccessDeniedException"


def test_a_state_machine_s_name_is_taken_once(make_machine: MakeMachine) -> None:
    arn = make_machine({"A": END}, name="taken")
    assert make_machine({"A": END}, name="taken") == arn
    assert refusal(lambda: make_machine({"B": END}, name="taken"))[0] == "StateMachineAlreadyExists"


def test_an_updated_machine_runs_its_new_definition(aws: LocalAws, make_machine: MakeMachine) -> None:
    client = aws.client("stepfunctions")
    arn = make_machine({"A": {**END, "Result": 1}})
    definition = json.dumps({"StartAt": "A", "States": {"A": {**END, "Result": 2}}})
    client.update_state_machine(stateMachineArn=arn, definition=definition)
    assert finished(aws, client.start_execution(stateMachineArn=arn)["executionArn"])["output"] == 2
    assert client.describe_state_machine(stateMachineArn=arn)["definition"] == definition


@pytest.mark.parametrize("name", ["a b", "a/b", "a:b", "a*", "x" * 81, "a\u0007"])
def test_an_execution_s_name_has_aws_s_limits(aws: LocalAws, make_machine: MakeMachine, name: str) -> None:
    arn = make_machine({"A": END})
    client = aws.client("stepfunctions")
    code, _ = refusal(lambda: client.start_execution(stateMachineArn=arn, name=name))
    assert code == ("ValidationException" if len(name) > 80 else "InvalidName")


def test_starting_twice_is_one_execution_only_while_it_runs_with_the_same_input(
    aws: LocalAws, make_machine: MakeMachine, make_function: MakeFunction
) -> None:
    """aws-facts, Operations: idempotent only for the same name and input, and names are used up."""
    slow = make_function("import time\ndef handler(event, context): time.sleep(1)", Timeout=10)
    arn = make_machine({"A": {**TASK, "Resource": slow}})
    client = aws.client("stepfunctions")
    first = client.start_execution(stateMachineArn=arn, name="once", input="{}")
    second = client.start_execution(stateMachineArn=arn, name="once", input="{}")
    assert second["executionArn"] == first["executionArn"]
    other_input = lambda: client.start_execution(stateMachineArn=arn, name="once", input='{"a":1}')  # noqa: E731
    assert refusal(other_input)[0] == "ExecutionAlreadyExists"
    finished(aws, first["executionArn"])
    again = lambda: client.start_execution(stateMachineArn=arn, name="once", input="{}")  # noqa: E731
    assert refusal(again)[0] == "ExecutionAlreadyExists"


def test_input_must_be_json_and_not_too_long(aws: LocalAws, make_machine: MakeMachine) -> None:
    client = aws.client("stepfunctions")
    arn = make_machine({"A": END})
    assert refusal(lambda: client.start_execution(stateMachineArn=arn, input="{"))[0] == "InvalidExecutionInput"
    big = json.dumps("x" * 262_144)
    assert refusal(lambda: client.start_execution(stateMachineArn=arn, input=big))[0] == "ValidationException"


def test_a_stopped_execution_keeps_error_and_cause_and_drops_the_function_s_answer(
    aws: LocalAws, make_machine: MakeMachine, make_function: MakeFunction
) -> None:
    slow = make_function("import time\ndef handler(event, context): time.sleep(1)", Timeout=10)
    arn = make_machine({"A": {**TASK, "Resource": slow}})
    client = aws.client("stepfunctions")
    execution = client.start_execution(stateMachineArn=arn)["executionArn"]
    wait_until(lambda: len(history(aws, execution)) == 4, "the function to be called")
    client.stop_execution(executionArn=execution, error="Changed", cause="my mind")
    ended = client.describe_execution(executionArn=execution)
    assert (ended["status"], ended["error"], ended["cause"]) == ("ABORTED", "Changed", "my mind")
    assert ended["stopDate"] >= ended["startDate"]
    last = history(aws, execution)[-1]
    assert last["type"] == "ExecutionAborted"
    assert last["previousEventId"] == 0  # recorded: LocalStack, test_sfn_api.py test_stop_execution


def test_a_wait_in_real_time_is_cut_short_by_a_stop(aws: LocalAws, make_machine: MakeMachine) -> None:
    """The clock can't jump while somebody works, so a wait can be watched."""
    client = aws.client("stepfunctions")
    with aws.clock.busy():
        arn = make_machine({"A": {"Type": "Wait", "Seconds": 3600, "End": True}})
        execution = client.start_execution(stateMachineArn=arn)["executionArn"]
        wait_until(lambda: len(history(aws, execution)) == 2, "the wait to begin")
        client.stop_execution(executionArn=execution)
        assert client.describe_execution(executionArn=execution)["status"] == "ABORTED"


def test_executions_are_listed_by_status_and_page_by_page(aws: LocalAws, make_machine: MakeMachine) -> None:
    client = aws.client("stepfunctions")
    arn = make_machine({"A": {"Type": "Choice", "Choices": [{"Variable": "$.ok", "IsPresent": True, "Next": "B"}], "Default": "C"}, "B": END, "C": {"Type": "Fail"}})  # fmt: skip  # noqa: E501
    inputs = ['{"ok":1}', "{}", '{"ok":2}']
    arns = [client.start_execution(stateMachineArn=arn, input=given)["executionArn"] for given in inputs]
    for execution in arns:
        finished(aws, execution)
    pages = client.get_paginator("list_executions").paginate(stateMachineArn=arn, PaginationConfig={"PageSize": 2})
    assert sorted(e["executionArn"] for page in pages for e in page["executions"]) == sorted(arns)
    failed = client.list_executions(stateMachineArn=arn, statusFilter="FAILED")["executions"]
    assert [execution["executionArn"] for execution in failed] == [arns[1]]
    assert all("stopDate" in execution for execution in failed)


def test_a_history_comes_in_pages_and_backwards_too(aws: LocalAws, run: Run) -> None:
    execution = run({"A": {"Type": "Pass", "Next": "B"}, "B": END})["executionArn"]
    client = aws.client("stepfunctions")
    pages = client.get_paginator("get_execution_history").paginate(
        executionArn=execution, reverseOrder=True, PaginationConfig={"PageSize": 4}
    )
    sizes, numbers = [], []
    for page in pages:
        sizes.append(len(page["events"]))
        numbers += [event["id"] for event in page["events"]]
    assert sizes == [4, 2]
    assert numbers == [6, 5, 4, 3, 2, 1]


def test_what_never_existed_isn_t_found(aws: LocalAws, make_machine: MakeMachine) -> None:
    client = aws.client("stepfunctions")
    arn = make_machine({"A": END})
    missing = arn.replace(":stateMachine:", ":execution:") + ":never"
    assert refusal(lambda: client.describe_execution(executionArn=missing))[0] == "ExecutionDoesNotExist"
    assert refusal(lambda: client.start_execution(stateMachineArn=f"{arn}x"))[0] == "StateMachineDoesNotExist"


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("validate_state_machine_definition", {"definition": "{}"}),
        ("create_activity", {"name": "a"}),
    ],
)
def test_operations_that_we_don_t_have_are_refused_by_name(aws: LocalAws, operation: str, arguments: Answer) -> None:
    code, message = refusal(lambda: getattr(aws.client("stepfunctions"), operation)(**arguments))
    assert code == "NotImplementedByLocalAws"
    assert operation.replace("_", "") in message.lower()


def test_a_redriven_execution_goes_on_from_the_state_that_failed(
    aws: LocalAws, make_machine: MakeMachine, make_function: MakeFunction
) -> None:
    """aws-facts, Operations: the same input from the failed state on; a finished one cannot be redriven."""
    flaky = make_function(FLAKY)
    first: Answer = {"Type": "Pass", "Result": {"from": "first"}, "Next": "B"}
    last: Answer = {
        "Type": "Pass",
        "Parameters": {"all.$": "$", "redriven.$": "$$.Execution.RedriveCount"},
        "End": True,
    }
    arn = make_machine({"A": first, "B": {"Type": "Task", "Resource": flaky, "Next": "C"}, "C": last})
    client = aws.client("stepfunctions")
    execution = client.start_execution(stateMachineArn=arn)["executionArn"]
    assert finished(aws, execution)["error"] == "ZeroDivisionError"
    client.redrive_execution(executionArn=execution)
    ended = finished(aws, execution)
    assert ended["output"] == {"all": {"n": 2, "from": "first", "x": 1}, "redriven": 1}
    assert (ended["redriveCount"], "error" in ended) == (1, False)
    kinds = [event["type"] for event in history(aws, execution)]
    assert kinds.count("PassStateEntered") == 2
    assert "ExecutionRedriven" in kinds
    assert refusal(lambda: client.redrive_execution(executionArn=execution))[0] == "ExecutionNotRedrivable"


def test_a_machine_s_time_limit_starts_anew_when_it_is_redriven(aws: LocalAws, make_machine: MakeMachine) -> None:
    arn = make_machine({"A": {"Type": "Wait", "SecondsPath": "$.s", "End": True}}, TimeoutSeconds=60)
    client = aws.client("stepfunctions")
    execution = client.start_execution(stateMachineArn=arn, input='{"s": 90}')["executionArn"]
    assert finished(aws, execution)["status"] == "TIMED_OUT"
    started = client.redrive_execution(executionArn=execution)["redriveDate"]
    ended = finished(aws, execution)
    assert ended["status"] == "TIMED_OUT"
    assert 60 <= (ended["stopDate"] - started).total_seconds() < 65


def test_tags_of_a_state_machine_can_be_read_back(
    aws: LocalAws, make_machine: MakeMachine, make_role: MakeRole
) -> None:
    arn = make_machine({"A": END}, tags=[{"key": "team", "value": "data"}])
    assert aws.client("stepfunctions").list_tags_for_resource(resourceArn=arn)["tags"] == [
        {"key": "team", "value": "data"}
    ]
