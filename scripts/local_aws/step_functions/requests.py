"""What Step Functions refuses of a request before it looks at anything: values out of bounds, ARNs that are none.

The wording is as recorded on AWS: LocalStack's validated snapshots, tests/aws/services/stepfunctions/v2,
test_sfn_api.py (test_describe_invalid_arn_sm, test_invalid_start_execution_input) and
services/test_aws_sdk_task_service.py (test_sfn_send_task_outcome_with_no_such_token).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from scripts.local_aws.core import model_bounds
from scripts.local_aws.core.errors import AwsError
from scripts.local_aws.core.json_text import loads

MOST_BYTES = 262_144
_ARNS = ("stateMachineArn", "stateMachineVersionArn", "stateMachineAliasArn", "executionArn", "resourceArn")


def check(operation: str, parameters: Mapping[str, Any]) -> None:
    """Raise what AWS answers to these parameters, if it is an error in any case."""
    model_bounds.check("stepfunctions", operation, parameters)
    for name in _ARNS:
        arn = parameters.get(name)
        if arn is not None and not arn.startswith("arn:"):
            raise AwsError("InvalidArn", f"Invalid Arn: 'Invalid ARN prefix: {arn}'")


def check_execution_input(text: str) -> None:
    """Raise InvalidExecutionInput unless the text is JSON."""
    try:
        loads(text)
    except ValueError as error:
        problem = _json_problem(text, error)
        raise AwsError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{problem}'") from None


def check_size(name: str, text: str) -> None:
    """Raise ValidationException for what is too long in UTF-8, which the model's bounds do not count."""
    if len(text.encode()) > MOST_BYTES:
        constraint = f"Member must have length less than or equal to {MOST_BYTES}"
        problem = f"Value at '{name}' failed to satisfy constraint: {constraint}"
        raise AwsError("ValidationException", f"1 validation error detected: {problem}")


def task_output(text: str) -> Any:
    """Return the output that SendTaskSuccess has, as a document. Raise InvalidOutput unless it is JSON.

    API reference, SendTaskSuccess: "The provided JSON output data is not valid." AWS's message is not recorded.
    """
    check_size("output", text)
    try:
        return loads(text)
    except ValueError as error:
        raise AwsError("InvalidOutput", f"Invalid Output: '{_json_problem(text, error)}'") from None


def no_such_token() -> AwsError:
    """Return what is answered to a text that was never a token of this account in this region.

    Another account's tokens do not work (developer guide, "Wait for a Callback with Task Token"). TaskDoesNotExist,
    "The activity does not exist", is for activities, of which there are none here.
    """
    return AwsError("InvalidToken", "Invalid Token: 'Invalid token'")


def _json_problem(text: str, error: ValueError) -> str:
    if not text.strip():
        return "Invalid execution input."
    if not isinstance(error, json.JSONDecodeError):
        return str(error)
    word = re.compile(r"\w+").match(text, error.pos)
    if error.msg.startswith("Expecting value") and word:
        known = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
        return f"Unrecognized token '{word[0]}': was expecting {known}"
    if error.msg.startswith("Expecting property name") and error.pos < len(text):
        character = text[error.pos]
        expected = "was expecting double-quote to start field name"
        return f"Unexpected character ('{character}' (code {ord(character)})): {expected}"
    return str(error)
