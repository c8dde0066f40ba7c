"""What AWS's Step Functions was recorded to answer, and the embedded AWS answers too.

Each test names its source: a file and a test among the AWS-validated snapshots in LocalStack's public repository
(localstack/localstack), under tests/aws/services/stepfunctions/v2.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.conftest import Answer, MakeFunction, MakeRole, Run, finished, history

MakeMachine = Callable[..., str]
MOST_BYTES = 262_144
END: Answer = {"Type": "Pass", "End": True}
INVOKE: Answer = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}
CATCH_ALL: Answer = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]}
CAUGHT: Answer = {"Caught": {"Type": "Pass", "End": True}}
ECHO = """
def handler(event, context):
    if isinstance(event, dict) and "bytes" in event:
        return b"a" * event["bytes"]
    if isinstance(event, dict) and "sleep" in event:
        __import__("time").sleep(event["sleep"])
    return event
"""


@pytest.fixture(scope="module")
def function(make_function: MakeFunction) -> str:
    return make_function(ECHO, Timeout=30)


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call()
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


def details(aws: LocalAws, execution: Answer, kind: str) -> Answer:
    """Return the details of the execution's only event of this kind."""
    [event] = [each for each in history(aws, execution["executionArn"]) if each["type"] == kind]
    [found] = [value for key, value in event.items() if key.endswith("EventDetails")]
    answer: Answer = found
    return answer


@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("errors", [["States.ALL"], ["States.DataLimitExceeded"]])
def test_a_task_s_result_that_is_too_large_is_caught(run: Run, function: str, direct: bool, errors: list[str]) -> None:
    """error_handling/test_states_errors.py: four recordings; it is measured before it is read as JSON."""
    event = {"bytes": MOST_BYTES + 1}
    task = {"Type": "Task", "Resource": function} if direct else {**INVOKE, "Parameters": invocation(function, event)}
    ended = run({"A": {**task, "Catch": [{"ErrorEquals": errors, "Next": "Caught"}], "End": True}, **CAUGHT}, event)
    named = function if direct else "lambda"
    size = "returned a result with a size exceeding the maximum number of bytes service limit."
    assert ended["output"] == {"Error": "States.DataLimitExceeded", "Cause": f"The state/task '{named}' {size}"}


def invocation(function: str, payload: Any) -> Answer:
    return {"FunctionName": function, "Payload": payload}


def test_a_state_s_output_that_is_too_large_ends_the_execution_past_every_catcher(run: Run, function: str) -> None:
    """github.com/cdklabs/construct-hub/pull/1885: each part is small enough, together they aren't, no Catch fires."""
    text = "x" * (MOST_BYTES // 2)
    task = {"Type": "Task", "Resource": function, **CATCH_ALL, "ResultPath": "$.again", "End": True}
    ended = run({"A": task, **CAUGHT}, {"text": text})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.DataLimitExceeded")


@pytest.mark.parametrize("value", ["HelloWorld", 0.0, 0, True, {}, []])
def test_a_payload_that_is_a_text_is_sent_as_it_is(run: Run, function: str, value: Any) -> None:
    """services/test_lambda_task_service.py test_invoke_json_values: the function hears what the text stands for."""
    given = invocation(function, json.dumps(value))
    ended = run({"A": {**INVOKE, "Parameters": {"FunctionName.$": "$.FunctionName", "Payload.$": "$.Payload"},
                       "OutputPath": "$.Payload", "End": True}}, given)  # fmt: skip
    assert ended["output"] == value


def test_a_payload_of_null_is_an_empty_object(run: Run, function: str) -> None:
    """services/test_lambda_task_service.py test_invoke."""
    states = {"A": {**INVOKE, "Parameters": invocation(function, None), "OutputPath": "$.Payload", "End": True}}
    assert run(states)["output"] == {}


def test_a_payload_that_is_no_json_is_refused_by_lambda(run: Run, function: str) -> None:
    """tests/aws/services/lambda_, test_lambda_invoke_payload_encoding_error."""
    ended = run({"A": {**INVOKE, "Parameters": invocation(function, "no JSON"), "End": True}})
    assert ended["error"] == "Lambda.InvalidRequestContentException"
    assert ended["cause"].startswith("Could not parse request body into json: Could not parse payload into json: ")


def test_an_invocation_s_result_has_aws_s_members(run: Run, function: str) -> None:
    """services/test_lambda_task_service.py test_invoke_unsupported_param: LogType isn't unsupported."""
    parameters = {**invocation(function, {}), "LogType": "Tail"}
    output = run({"A": {**INVOKE, "Parameters": parameters, "End": True}})["output"]
    assert set(output) == {
        "ExecutedVersion", "LogResult", "Payload", "SdkHttpMetadata", "SdkResponseMetadata", "StatusCode",
    }  # fmt: skip
    headers = output["SdkHttpMetadata"]["HttpHeaders"]
    assert set(headers) == {
        "Connection", "Content-Length", "Content-Type", "Date", "X-Amz-Executed-Version", "X-Amz-Log-Result",
        "x-amzn-Remapped-Content-Length", "x-amzn-RequestId", "X-Amzn-Trace-Id",
    }  # fmt: skip
    assert output["SdkHttpMetadata"]["AllHttpHeaders"] == {name: [value] for name, value in headers.items()}
    assert headers["x-amzn-RequestId"] == output["SdkResponseMetadata"]["RequestId"] != ""
    assert headers["Content-Length"] == "2"


def test_a_function_that_doesn_t_exist_is_named_in_full(run: Run, function: str) -> None:
    """error_handling/test_task_service_lambda.py test_no_such_function."""
    ended = run({"A": {**INVOKE, "Parameters": invocation(f"{function}x", {}), "End": True}})
    assert ended["error"] == "Lambda.ResourceNotFoundException"
    start, _, end = ended["cause"].partition("Request ID: ")
    described = "Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException; "
    assert start == f"Function not found: {function}x:$LATEST ({described}"
    assert end.endswith("; Proxy: null)")


def test_a_stack_trace_names_files_where_lambda_has_them(run: Run, make_function: MakeFunction) -> None:
    """error_handling/test_task_lambda.py test_raise_exception: /var/task, as Lambda's guide says."""
    ended = run({"A": {"Type": "Task", "Resource": make_function("def handler(event, context): 1 / 0"), "End": True}})
    assert json.loads(ended["cause"])["stackTrace"][0].startswith('  File "/var/task/app.py", line 1, in handler\n')


def test_an_error_document_is_written_anew_by_lambda_invoke_alone(run: Run, make_function: MakeFunction) -> None:
    """error_handling/test_task_lambda.py and test_task_service_lambda.py, test_raise_custom_exception."""
    broken = make_function("def handler(event, context): 1 / 0")
    direct = run({"A": {"Type": "Task", "Resource": broken, "End": True}})
    invoked = run({"A": {**INVOKE, "Parameters": invocation(broken, {}), "End": True}})
    assert direct["cause"].startswith('{"errorMessage": "division by zero", "errorType": "ZeroDivisionError", ')
    assert invoked["cause"].startswith('{"errorMessage":"division by zero","errorType":"ZeroDivisionError",')


@pytest.mark.full
def test_a_timeout_has_no_cause(aws: LocalAws, run: Run, function: str) -> None:
    """timeouts/test_timeouts.py, and error_handling/test_task_service_lambda.py test_invoke_timeout for the catcher."""
    task = {"Type": "Task", "Resource": function, "TimeoutSeconds": 1, "End": True}
    ended = run({"A": task}, {"sleep": 6})
    assert (ended["error"], "cause" in ended) == ("States.Timeout", False)
    assert details(aws, ended, "LambdaFunctionTimedOut") == {"error": "States.Timeout"}
    assert details(aws, ended, "ExecutionFailed") == {"error": "States.Timeout"}
    assert run({"A": {**task, **CATCH_ALL}, **CAUGHT}, {"sleep": 6})["output"] == {
        "Error": "States.Timeout",
        "Cause": "",
    }


def test_a_task_s_event_has_a_timeout_only_if_the_state_has_one(aws: LocalAws, run: Run, function: str) -> None:
    """error_handling/test_task_lambda.py, timeouts/test_timeouts.py."""
    bare = details(aws, run({"A": {"Type": "Task", "Resource": function, "End": True}}), "LambdaFunctionScheduled")
    assert bare == {"resource": function, "input": "{}", "inputDetails": {"truncated": False}}
    limited = {**INVOKE, "Parameters": invocation(function, {}), "TimeoutSeconds": 9, "End": True}
    assert details(aws, run({"A": limited}), "TaskScheduled")["timeoutInSeconds"] == 9


def test_only_a_task_s_context_counts_retries(run: Run, function: str) -> None:
    """base/test_base.py test_query_context_object_values."""
    assert "RetryCount" not in run({"A": {**END, "Parameters": {"state.$": "$$.State"}}})["output"]["state"]
    task = {"Type": "Task", "Resource": function, "Parameters": {"state.$": "$$.State"}, "End": True}
    assert run({"A": task})["output"]["state"]["RetryCount"] == 0


def test_a_fail_state_that_says_nothing_leaves_error_and_cause_out(aws: LocalAws, run: Run) -> None:
    """base/test_base.py test_state_fail_empty."""
    ended = run({"A": {"Type": "Fail"}})
    assert (ended["status"], "error" in ended, "cause" in ended) == ("FAILED", False, False)
    assert details(aws, ended, "ExecutionFailed") == {}


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        # intrinsic_functions/test_generic.py test_format_2
        ("States.Format('{}', $.object)", "{Arg1=1, Arg2=[]}"),
        ("States.Format('{} {}', $.null, $.number)", "null 1.1"),
        # intrinsic_functions/test_json_manipulation.py test_string_to_json
        ("States.StringToJson($.blank)", None),
        ("States.StringToJson('-0')", 0),
        # intrinsic_functions/test_math_operations.py test_math_add, test_math_random
        ("States.MathAdd(1.5, 1.51)", 4),
        ("States.MathAdd(-1.49, -1.50)", -2),
        ("States.MathAdd(2.5, 0)", 3),
        ("States.MathAdd(-0.5, 0.5)", 1),
        ("States.MathRandom(12.5, 13.6)", 13),
    ],
)
def test_intrinsic_functions_answer_as_recorded(run: Run, call: str, expected: Any) -> None:
    given = {"object": {"Arg1": 1, "Arg2": []}, "null": None, "number": 1.1, "blank": " "}
    assert run({"A": {**END, "Parameters": {"x.$": call}}}, given)["output"] == {"x": expected}


WAITING = {"Type": "Wait", "End": True}
NO_TIMESTAMP = "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string"


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        # scenarios/test_base_scenarios.py test_invalid_jsonpath, test_catch_states_runtime; test_state for the timeout
        ({**END, "InputPath": "$.No"}, "Invalid path '$.No' : No results for path: $['No']"),
        ({**END, "OutputPath": "$.No"}, "Invalid path '$.No' : No results for path: $['No']"),
        ({**END, "OutputPath": "$.no.such.path"}, "Invalid path '$.no.such.path' : Missing property in path $['no']"),
        ({**END, "OutputPath": "$.a.no.path"}, "Invalid path '$.a.no.path' : Missing property in path $['a']['no']"),
        ({**INVOKE, "Parameters": {"FunctionName": "f"}, "TimeoutSecondsPath": "$.No", "End": True},
         "Invalid path '$.No' : No results for path: $['No']"),
        ({"Type": "Fail", "ErrorPath": "$.ErrorX"},
         "The JSONPath '$.ErrorX' specified for the field 'ErrorPath' could not be found in the input"),
        # logs/test_logs.py test_base
        ({**WAITING, "SecondsPath": "$.No"}, "The SecondsPath parameter does not reference an input value: $.No"),
        # base/test_wait.py test_base_wait_seconds_path
        ({**WAITING, "SecondsPath": "$.less"}, "The SecondsPath parameter references a negative value: $.less == -1"),
        ({**WAITING, "SecondsPath": "$.part"},
         "The SecondsPath parameter cannot be parsed as a long value: $.part == 1.5"),
        # scenarios/test_base_scenarios.py test_wait_timestamp_path
        ({**WAITING, "TimestampPath": "$.month"}, f"{NO_TIMESTAMP}: $.month == 2016-13-05T21:29:29Z"),
        ({**WAITING, "TimestampPath": "$.space"}, f"{NO_TIMESTAMP}: $.space == 2016-12-05 21:29:29Z"),
    ],
)  # fmt: skip
def test_what_a_path_leads_to_is_worded_for_its_field(run: Run, state: Answer, cause: str) -> None:
    given = {"a": {}, "less": -1, "part": 1.5, "month": "2016-13-05T21:29:29Z", "space": "2016-12-05 21:29:29Z"}
    ended = run({"A": state}, given)
    assert ended["error"] == "States.Runtime"
    assert ended["cause"].startswith(
        f"An error occurred while executing the state 'A' (entered at the event id #2). {cause}"
    )


def test_a_rule_within_a_rule_may_have_a_comment(run: Run) -> None:
    """comments/test_comments.py test_comments_as_per_docs."""
    inner = {"Variable": "$.x", "NumericEquals": 1, "Comment": "inner"}
    choices = [{"And": [inner], "Comment": "outer", "Next": "Yes"}]
    assert (
        run({"A": {"Type": "Choice", "Choices": choices}, "Yes": {"Type": "Succeed"}}, {"x": 1})["status"]
        == "SUCCEEDED"
    )


def test_a_definition_s_refusal_is_worded_as_aws_words_it(aws: LocalAws, machine_role: str) -> None:
    """test_sfn_api.py test_create_delete_invalid_sm, scenarios/test_base_scenarios.py test_wait_timestamp_invalid."""
    wait = {"Type": "Wait", "Timestamp": "2016-12-05 21:29:29Z", "End": True}
    client = aws.client("stepfunctions")
    for definition, problem in [
        ({"StartAt": "A"}, "These fields are required: [States] at /"),
        ({"StartAt": "A", "States": {"A": wait}}, "String does not match RFC3339 timestamp at /States/A/Timestamp"),
    ]:
        text = json.dumps(definition)
        create = lambda text=text: client.create_state_machine(name="x", definition=text, roleArn=machine_role)  # noqa: E731
        message = f"Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: {problem}'"
        assert refusal(create) == ("InvalidDefinition", message)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("not some JSON", "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token "
         "'null', 'true' or 'false')"),
        ("{'not': 'json'}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name"),
        ("", "Invalid execution input."),
        ('{"x": NaN}', "NaN is no JSON value"),
    ],
)  # fmt: skip
def test_an_input_s_refusal_says_what_is_wrong(
    aws: LocalAws, make_machine: MakeMachine, text: str, problem: str
) -> None:
    """The answers are from test_sfn_api.py, test_invalid_start_execution_input.

    Of NaN only RFC 8259 is known, not how AWS words it.
    """
    arn = make_machine({"A": END})
    start = lambda: aws.client("stepfunctions").start_execution(stateMachineArn=arn, input=text)  # noqa: E731
    assert refusal(start) == ("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{problem}'")


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("describe_state_machine", {"stateMachineArn": "no_arn"}),
        ("list_executions", {"stateMachineArn": "no_arn"}),
        ("describe_execution", {"executionArn": "no_arn"}),
        ("get_execution_history", {"executionArn": "no_arn"}),
        ("publish_state_machine_version", {"stateMachineArn": "no_arn"}),
    ],
)
def test_what_is_no_arn_is_refused_as_such(aws: LocalAws, operation: str, arguments: Answer) -> None:
    """test_sfn_api.py test_describe_invalid_arn_sm and its siblings, test_sfn_api_versioning.py."""
    call = getattr(aws.client("stepfunctions"), operation)
    assert refusal(lambda: call(**arguments)) == ("InvalidArn", "Invalid Arn: 'Invalid ARN prefix: no_arn'")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"maxResults": 1001}, "Value '1001' at 'maxResults' failed to satisfy constraint: "
         "Member must have value less than or equal to 1000"),
        ({"nextToken": "x" * 3097}, f"Value '{'x' * 3097}' at 'nextToken' failed to satisfy constraint: "
         "Member must have length less than or equal to 3096"),
        ({"statusFilter": "succeeded"}, "Value 'succeeded' at 'statusFilter' failed to satisfy constraint: "
         "Member must satisfy enum value set: [SUCCEEDED, TIMED_OUT, PENDING_REDRIVE, ABORTED, FAILED, RUNNING]"),
    ],
)  # fmt: skip
def test_a_parameter_out_of_bounds_is_refused(
    aws: LocalAws, make_machine: MakeMachine, arguments: Answer, problem: str
) -> None:
    """test_sfn_api.py test_list_executions_pagination, test_state_machine_status_filter."""
    arn = make_machine({"A": END})
    list_executions = aws.client("stepfunctions").list_executions
    code, message = refusal(lambda: list_executions(stateMachineArn=arn, **arguments))
    assert (code, message) == ("ValidationException", f"1 validation error detected: {problem}")


def test_machines_are_listed_by_name(aws: LocalAws, make_machine: MakeMachine) -> None:
    """test_sfn_api.py test_list_sms_pagination; maxResults=0 is the default."""
    made = [make_machine({"A": END}, name=f"listed_{name}") for name in ("9", "10", "1_")]
    listed = aws.client("stepfunctions").list_state_machines(maxResults=0)["stateMachines"]
    assert [each["stateMachineArn"] for each in listed if each["stateMachineArn"] in made] == [
        made[1],
        made[2],
        made[0],
    ]


def test_an_update_of_nothing_is_refused(aws: LocalAws, make_machine: MakeMachine) -> None:
    """test_sfn_api.py test_create_update_state_machine_base_update_none."""
    arn = make_machine({"A": END})
    code, message = refusal(lambda: aws.client("stepfunctions").update_state_machine(stateMachineArn=arn))
    assert code == "MissingRequiredParameter"
    assert message.startswith("Either the definition, the role ARN, the LoggingConfiguration, or the Tracing")


def test_a_machine_has_a_revision_once_it_was_updated(aws: LocalAws, make_machine: MakeMachine) -> None:
    """test_sfn_api.py test_create_update_state_machine_same_parameters."""
    client = aws.client("stepfunctions")
    arn = make_machine({"A": END})
    assert "revisionId" not in client.describe_state_machine(stateMachineArn=arn)
    changed = json.dumps({"StartAt": "B", "States": {"B": END}})
    first = client.update_state_machine(stateMachineArn=arn, definition=changed)
    assert first["revisionId"] == client.describe_state_machine(stateMachineArn=arn)["revisionId"]
    again = client.update_state_machine(stateMachineArn=arn, definition=changed)
    assert again["revisionId"] == first["revisionId"]


def test_an_execution_s_machine_is_described_as_it_was_started(aws: LocalAws, make_machine: MakeMachine) -> None:
    """From test_sfn_api.py and test_sfn_api_versioning.py: test_describe_state_machine_for_execution…."""
    client = aws.client("stepfunctions")
    arn = make_machine({"A": END})
    before = client.describe_state_machine(stateMachineArn=arn)["definition"]
    version = client.publish_state_machine_version(stateMachineArn=arn)["stateMachineVersionArn"]
    changed = json.dumps({"StartAt": "B", "States": {"B": END}})
    client.update_state_machine(stateMachineArn=arn, definition=changed)
    executions = [client.start_execution(stateMachineArn=each)["executionArn"] for each in (version, arn)]
    described = [client.describe_state_machine_for_execution(executionArn=each) for each in executions]
    assert [each["definition"] for each in described] == [before, changed]
    assert [each["stateMachineArn"] for each in described] == [arn, arn]
    assert ["revisionId" in each for each in described] == [False, True]
    assert all("updateDate" in each for each in described)


def test_an_execution_says_whether_it_can_be_redriven(run: Run) -> None:
    """logs/test_logs.py, scenarios/test_base_scenarios.py: DescribeExecution's redriveStatus."""
    succeeded, failed = run({"A": END}), run({"A": {"Type": "Fail", "Error": "E"}})
    assert (succeeded["redriveStatus"], failed["redriveStatus"]) == ("NOT_REDRIVABLE", "REDRIVABLE")
    assert succeeded["redriveStatusReason"] == "Execution is SUCCEEDED and cannot be redriven"
    assert "redriveStatusReason" not in failed


def test_a_logging_configuration_is_completed_or_refused(
    aws: LocalAws, make_machine: MakeMachine, make_role: MakeRole
) -> None:
    """test_sfn_api_logs.py: test_incomplete_…, test_invalid_…, test_multiple_destinations, test_deleted_log_group."""
    client = aws.client("stepfunctions")
    arn = make_machine({"A": END}, loggingConfiguration={"destinations": []})
    described = client.describe_state_machine(stateMachineArn=arn)["loggingConfiguration"]
    assert described == {"destinations": [], "includeExecutionData": False, "level": "OFF"}
    group = {"cloudWatchLogsLogGroup": {"logGroupArn": "arn:aws:logs:us-east-1:123456789012:log-group:never:*"}}
    role = make_role("states", {"Effect": "Allow", "Action": "logs:*", "Resource": "*"})
    for destinations, problem in [
        ({}, "Must specify exactly one Log Destination."),
        ({"destinations": [group, group]}, "Must specify exactly one Log Destination."),
        ({"destinations": [group]}, "Log Destination not found."),
    ]:
        configuration = {"level": "ALL", **destinations}
        create = lambda given=configuration: make_machine({"A": END}, roleArn=role, loggingConfiguration=given)  # noqa: E731
        assert refusal(create) == ("InvalidLoggingConfiguration", f"Invalid Logging Configuration: {problem}")


def test_executions_of_a_minute_share_a_log_stream(
    aws: LocalAws, make_machine: MakeMachine, make_role: MakeRole
) -> None:
    """logs/test_logs.py test_log_group_with_multiple_runs: beside the stream with which AWS tries the delivery."""
    group = "/aws/states/shared"
    aws.client("logs").create_log_group(logGroupName=group)
    arn = f"arn:aws:logs:us-east-1:123456789012:log-group:{group}:*"
    configuration = {"level": "ALL", "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}]}
    role = make_role("states", {"Effect": "Allow", "Action": "logs:*", "Resource": "*"})
    machine = make_machine({"A": END}, roleArn=role, loggingConfiguration=configuration)
    client = aws.client("stepfunctions")
    ended = [finished(aws, client.start_execution(stateMachineArn=machine)["executionArn"]) for _ in range(2)]
    streams = [
        each["logStreamName"] for each in aws.client("logs").describe_log_streams(logGroupName=group)["logStreams"]
    ]
    assert "log_stream_created_by_aws_to_validate_log_delivery_subscriptions" in streams
    minutes = {f"{each['startDate']:%H-%M}" for each in ended}
    assert len(streams) == 1 + len(minutes)


def test_a_version_can_t_be_tagged(aws: LocalAws, make_machine: MakeMachine) -> None:
    """test_sfn_api_tagging.py test_tag_state_machine_version."""
    client = aws.client("stepfunctions")
    version = client.publish_state_machine_version(stateMachineArn=make_machine({"A": END}))["stateMachineVersionArn"]
    tag = lambda: client.tag_resource(resourceArn=version, tags=[{"key": "k", "value": "v"}])  # noqa: E731
    assert refusal(tag) == ("ResourceNotFound", f"Resource not found: '{version}'")
