"""What the statuses of executions mean, and whether another execution of this state machine is still running.

DescribeExecution is what only the first step may call, and on this machine's executions alone.
"""

from __future__ import annotations

from utils.arns import state_machine_of
from utils.aws import client
from utils.aws_errors import none_when

# Of the statuses that an execution may have, those in which its steps may still run.
UNFINISHED = frozenset({"PENDING_REDRIVE", "RUNNING"})
# Ends at which a step may have been at work, which nobody waited for.
STOPPED = frozenset({"ABORTED", "TIMED_OUT"})


def are_of_one_machine(execution_id: str, other: str) -> bool:
    """Return whether two executions are of one state machine."""
    return state_machine_of(execution_id) == state_machine_of(other)


def has_ended(execution_id: str) -> bool:
    """Return whether no step of it can be running. Step Functions forgets executions 90 days after their end."""
    answer = none_when(
        "ExecutionDoesNotExist", lambda: client("stepfunctions").describe_execution(executionArn=execution_id)
    )
    return answer is None or answer["status"] not in UNFINISHED
