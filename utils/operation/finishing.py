"""The execution that finishes a swap or a drill whose own was stopped, has timed out, or died without a Catch.

In a swap, names are between two clusters then, and clients may be locked out. Of a drill, a cluster is left that nobody
is ever going to use. Its name is the same at every attempt, and Step Functions starts none of a name twice (API
reference, StartExecution: ExecutionAlreadyExists, for 90 days).
"""

from __future__ import annotations

import hashlib
import json

from botocore.exceptions import ClientError
from msgspec.structs import replace

from utils.arns import execution_name, state_machine_of
from utils.aws import client
from utils.aws_errors import error_code
from utils.contracts.payloads import Execution
from utils.names import fingerprint

_PREFIX = "finish-"


def finishing_name(operation_id: str, execution: Execution) -> str:
    """Return the name of the execution that finishes what this attempt of an execution has left."""
    attempt = f"{execution.execution_id} {execution.redrive_count}"
    return f"{_PREFIX}{fingerprint(operation_id)}-{hashlib.sha256(attempt.encode()).hexdigest()[:8]}"


def is_finishing(execution_id: str) -> bool:
    """Return whether an execution, by the name in its ARN, is one that finishes what another has left."""
    return execution_name(execution_id).startswith(_PREFIX)


def finishing_arn(operation_id: str, execution: Execution) -> str:
    """Return its ARN, which people look it up by."""
    machine = state_machine_of(execution.execution_id)
    name = finishing_name(operation_id, execution)
    return str(replace(machine, resource=f"execution:{machine.name}:{name}"))


def start_finishing(operation_id: str, execution: Execution) -> None:
    """Start it, unless it was started before. It resumes the operation, which is ended by that, and nothing else."""
    try:
        client("stepfunctions").start_execution(
            stateMachineArn=str(state_machine_of(execution.execution_id)),
            name=finishing_name(operation_id, execution),
            input=json.dumps({"operation_id": operation_id, "resume": True}),
        )
    except ClientError as error:
        if error_code(error) != "ExecutionAlreadyExists":
            raise
