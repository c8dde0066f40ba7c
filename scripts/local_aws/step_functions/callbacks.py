"""A task that calls DynamoDB's PutItem and then waits until its task token comes back (`.waitForTaskToken`).

Step Functions developer guide, "Wait for a Callback with Task Token". The answers and names of errors are those that
were recorded on AWS: LocalStack's validated snapshots, tests/aws/services/stepfunctions/v2, callback/test_callback.py,
services/test_aws_sdk_task_service.py and error_handling/test_aws_sdk.py. A task whose Parameters have no token is
accepted there, and times out (test_sqs_wait_for_task_token_no_token_parameter).
"""

from __future__ import annotations

import base64
import secrets
import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from moto.core.utils import get_service_model

from scripts.local_aws.core.errors import AwsError
from scripts.local_aws.core.json_text import dumps
from scripts.local_aws.step_functions.language import RUNTIME, StatesError

# Tokens of AWS have 600 to 800 characters; 2048 are allowed (API reference, SendTaskSuccess).
_TOKEN_BYTES = 510


class Callback:
    """One attempt at a task, and the token that ends it. `wake` is set when there is something to see for its thread.

    Its execution's lock guards `closed` and `outcome`.
    """

    def __init__(self) -> None:
        self.token = base64.b64encode(secrets.token_bytes(_TOKEN_BYTES)).decode()
        self.wake = threading.Event()
        self.taken = threading.Event()
        """The thread that waited is at work again, so the clock does not jump between its wake and its next step."""
        self.closed = False
        self.outcome: list[Any] | StatesError | None = None
        """The result alone in a list, or the error that was sent; None as long as nobody has sent the token."""

    def refuse_if_closed(self) -> None:
        """Raise TaskTimedOut for a token that was sent before, or whose task is over.

        API reference, SendTaskSuccess: "The task token has either expired or the task associated with the token has
        already been closed." The message is AWS's, as callers have logged it.
        """
        if self.closed:
            raise AwsError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")


def put_item(call: Callable[[dict[str, Any]], dict[str, Any]], request: dict[str, Any]) -> dict[str, Any]:
    """Return what the task is submitted with, without metadata; or raise the error that is made of DynamoDB's."""
    try:
        answer = call(request)
    except ClientError as error:
        raise _service_error(error) from error
    except ParamValidationError as error:
        # How AWS words it is not verified; the stricter reading is that nothing catches it.
        problem = f"The Parameters '{dumps(request)}' could not be used to start the Task: [{error}]"
        raise StatesError(RUNTIME, problem) from error
    except BotoCoreError as error:
        raise StatesError("DynamoDb.SdkClientException", str(error)) from error
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def _service_error(error: ClientError) -> StatesError:
    """Return the error by the name of its class in the Java SDK, or of all of DynamoDB's where it has none.

    `DynamoDb.ResourceNotFoundException` is recorded (test_dynamodb_put_item_no_such_table), and
    `DynamoDb.DynamoDbException` of what the model does not declare (test_dynamodb_invalid_param). Of a role that lacks
    dynamodb:DescribeTable the latter was seen as well ("Execution 1" of a walk-through of error handling in Step
    Functions' SDK integrations on hashnode.com, February 2022).
    """
    code = error.response["Error"]["Code"]
    metadata = error.response["ResponseMetadata"]
    declared = {shape.name for shape in get_service_model("dynamodb").operation_model("PutItem").error_shapes}
    name = f"{code.removesuffix('Exception')}Exception" if code in declared else "DynamoDbException"
    details = f"Service: DynamoDb, Status Code: {metadata['HTTPStatusCode']}, Request ID: {metadata.get('RequestId')}"
    message = f"{error.response['Error'].get('Message', '')} ({details}) (SDK Attempt Count: 1)"
    return StatesError(f"DynamoDb.{name}", message)
