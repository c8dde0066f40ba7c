"""Which attempt of an execution may write: a redrive begins another, and closing the operation ends the one at work.

StopExecution ends an execution and not the function that its last step is in: the function keeps running, and may ask
for the lock and write its state after both were closed. A redriven execution keeps its ARN, so the attempts are told
apart by the context object's RedriveCount, which is 0 before the first redrive (Step Functions Developer Guide,
"Accessing execution data from the Context object": only RedriveTime is missing then; DataDog/datadog-lambda-python,
tests/test_tracing.py, shows both counts).

The lock's and the operation's items hold the count of the attempt that wrote last, and of the one that was closed.
"""

from __future__ import annotations

from utils.errors import StepFailed

NONE_ENDED = -1
# The closing step may come again, and EventBridge may deliver twice, but neither closes what was redriven since.
OWN = "execution_id = :mine AND (attribute_not_exists(redrive_count) OR redrive_count <= :redrive)"
ATTEMPT_AT_WORK = f"{OWN} AND (attribute_not_exists(ended_redrive_count) OR ended_redrive_count < :redrive)"


def ended(operation_id: str, execution_id: str) -> StepFailed:
    """Return the error of a step that is still at work after its operation was closed."""
    return StepFailed(
        f"Operation {operation_id} was closed while this step was still running, because execution {execution_id} was "
        "stopped or has ended. The step stopped before it changed anything else. Resume the operation to continue it."
    )
