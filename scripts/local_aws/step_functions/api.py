"""The Step Functions API: moto keeps state machines and speaks the protocol, our interpreter runs them.

Standard workflows only. Activities, Map runs and heartbeats are refused by name. See
https://docs.aws.amazon.com/step-functions/latest/apireference/ for names, limits and idempotency. Answers and refusals
are worded as recorded on AWS; a file and a test named as a source are among the snapshots in LocalStack's repository,
under tests/aws/services/stepfunctions/v2.
"""

from __future__ import annotations

import contextlib
import functools
import json
import threading
import types
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from moto.core.exceptions import InvalidToken
from moto.core.responses import ActionResult
from moto.logs.models import LogsBackend, logs_backends
from moto.stepfunctions.exceptions import ExecutionAlreadyExists, ResourceNotFound
from moto.stepfunctions.models import (
    StateMachine,
    StateMachineAlias,
    StateMachineVersion,
    StepFunctionBackend,
    stepfunctions_backends,
)
from moto.stepfunctions.responses import StepFunctionResponse
from moto.stepfunctions.utils import PAGINATION_MODEL
from moto.utilities.paginator import paginate

from scripts.local_aws.core import logs
from scripts.local_aws.core.arns import Arn, unqualified
from scripts.local_aws.core.clock import Clock
from scripts.local_aws.core.credentials import aws_client
from scripts.local_aws.core.errors import AwsError, NotImplementedByLocalAws
from scripts.local_aws.iam.gate import Permissions
from scripts.local_aws.step_functions import definition as asl_definition
from scripts.local_aws.step_functions import log_delivery, requests, versions
from scripts.local_aws.step_functions.execution import Event, Execution, Services
from scripts.local_aws.step_functions.language import StatesError

OPERATIONS = frozenset(
    "CreateStateMachine CreateStateMachineAlias DeleteStateMachine DeleteStateMachineAlias DeleteStateMachineVersion "
    "DescribeExecution DescribeStateMachine DescribeStateMachineAlias DescribeStateMachineForExecution "
    "GetExecutionHistory ListExecutions ListStateMachineAliases ListStateMachineVersions ListStateMachines "
    "ListTagsForResource PublishStateMachineVersion RedriveExecution SendTaskFailure SendTaskSuccess StartExecution "
    "StopExecution TagResource UntagResource UpdateStateMachine UpdateStateMachineAlias".split()
)

_PAGINATION_MODEL = {
    **PAGINATION_MODEL,
    "list_state_machine_versions": {**PAGINATION_MODEL["list_state_machine_aliases"], "unique_attribute": ["arn"]},
}
_STATES = "states.amazonaws.com"
_FATAL = ("ExecutionAborted", "ExecutionFailed", "ExecutionTimedOut")
_ERRORS = (*_FATAL, "TaskFailed", "TaskTimedOut", "LambdaFunctionFailed", "LambdaFunctionTimedOut", "FailStateEntered")
_LOGGED = {"ALL": ("",), "ERROR": _ERRORS, "FATAL": _FATAL, "OFF": ()}
_EXECUTION_DATA = {"input", "output", "parameters", "inputDetails", "outputDetails"}


class StateMachines:
    """Every region's executions, and what they need to run."""

    def __init__(self, clock: Clock, permissions: Permissions, status_changed: Callable[[Execution], None]) -> None:
        self.endpoint_url = ""
        self.permissions = permissions
        self._clock = clock
        self._status_changed = status_changed
        self._lock = threading.Lock()
        self._executions: list[Execution] = []
        self._clients: dict[tuple[str, str, str], Any] = {}

    def install(self) -> None:
        """Replace moto's Step Functions backends by ours from now on."""
        StateMachinesBackend.machines = self
        stepfunctions_backends.backend = StateMachinesBackend

    def start(self, chosen: versions.Chosen, name: str, execution_input: str) -> Execution:
        """Start an execution of what was chosen."""
        machine, revision = chosen.machine, chosen.revision
        client = functools.partial(self._client, revision.roleArn, Arn.parse(machine.arn).region)
        execution = Execution(
            execution_arn=f"{machine.arn.replace(':stateMachine:', ':execution:')}:{name}",
            name=name,
            state_machine_arn=machine.arn,
            state_machine_version_arn=chosen.version_arn,
            state_machine_alias_arn=chosen.alias_arn,
            role_arn=revision.roleArn,
            execution_input=execution_input,
            revision={**versions.described(revision), "stateMachineArn": machine.arn},
            definition=asl_definition.parse(revision.definition),
            services=Services(
                clock=self._clock,
                invoke=lambda request: client("lambda").invoke(**request),
                put_item=lambda request: client("dynamodb").put_item(**request),
                log=functools.partial(self._log, dict(revision.loggingConfiguration)),
                status_changed=self._status_changed,
            ),
        )
        with self._lock:
            self._executions.append(execution)
        execution.start()
        return execution

    def wait_for(self, execution_arn: str, seconds: float) -> None:
        """Wait until an execution has ended, without reading its history again and again."""
        with self._lock:
            found = [each for each in self._executions if each.execution_arn == execution_arn]
        for execution in found:
            execution.wait(seconds)

    def close(self) -> None:
        """Abort what runs and wait for its threads. Functions must be closed before, so that no answer is awaited."""
        with self._lock:
            executions = list(self._executions)
        for execution in executions:
            execution.stop("LocalAws.Closed", "The embedded AWS was closed")
        for execution in executions:
            execution.join()

    def waiting_for(self, token: str, account: str, region: str) -> Execution | None:
        """Return the execution in which a task waits or has waited for this token, in this account and region."""
        with self._lock:
            found = [each for each in self._executions if token in each.callbacks]
        return next((each for each in found if Arn.parse(each.execution_arn).place == (region, account)), None)

    def _client(self, role_arn: str, region: str, service: str) -> Any:
        """Return a client of the machine's role."""
        with self._lock:
            client = self._clients.get((role_arn, region, service))
            if client is None:
                role = self.permissions.assume(role_arn, service=_STATES, session_name="StepFunctions", region=region)
                client = aws_client(service, region, self.endpoint_url, role, attempts=1)
                self._clients[role_arn, region, service] = client
        return client

    def _log(self, configuration: dict[str, Any], execution: Execution, event: Event) -> None:
        level = configuration.get("level", "OFF")
        if not event["type"].startswith(_LOGGED[level]):
            return
        with_data = configuration.get("includeExecutionData", False)
        details: dict[str, Any] = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
        line = {
            "id": str(event["id"]),
            "type": event["type"],
            "details": {key: value for key, value in details.items() if with_data or key not in _EXECUTION_DATA},
            "previous_event_id": str(event["previousEventId"]),
            "event_timestamp": str(int(event["timestamp"].timestamp() * 1000)),
            "execution_arn": execution.execution_arn,
            "redrive_count": str(execution.redrive_count),
        }
        region, account = Arn.parse(execution.execution_arn).place
        machine = Arn.parse(execution.state_machine_arn).name
        # Executions of a machine that start within a minute share a stream: logs/test_logs.py.
        unique = uuid.uuid5(uuid.NAMESPACE_URL, execution.state_machine_arn).hex[:8]
        logs.append(
            logs_backends[account][region],
            log_delivery.log_group(configuration),
            f"states/{machine}/{execution.start_date:%Y-%m-%d-%H-%M}/{unique}",
            [json.dumps(line)],
            event["timestamp"].timestamp(),
        )


def _paged(method: Callable[..., list[Any]]) -> Callable[..., tuple[list[Any], str | None]]:
    """Return moto's pages with AWS's refusal (test_list_state_machine_aliases_pagination_invalid_next_token)."""
    pages = paginate(pagination_model=_PAGINATION_MODEL)(method)

    @functools.wraps(method)
    def page(*arguments: Any, **named: Any) -> tuple[list[Any], str | None]:
        try:
            return pages(*arguments, **named)
        except InvalidToken:
            raise AwsError("InvalidToken", "Invalid Token: 'Invalid token'") from None

    return page


class StateMachinesBackend(StepFunctionBackend):
    """One region's state machines."""

    machines: ClassVar[StateMachines]

    @property
    def _url_module(self) -> Any:
        return types.SimpleNamespace(
            url_bases=[r"https?://states\.(.+)\.amazonaws.com"], url_paths={"{0}/$": StateMachinesResponse.dispatch}
        )

    def create_state_machine(self, **parameters: Any) -> StateMachine:  # type: ignore[override]  # moto's own names
        asl_definition.parse(parameters["definition"])
        if parameters.get("sm_type") == "EXPRESS":
            raise NotImplementedByLocalAws("Only Standard state machines run locally.")
        publish, description = parameters.pop("publish", None), parameters.pop("version_description", None)
        parameters["loggingConfiguration"] = log_delivery.complete(parameters.get("loggingConfiguration"))
        self._check_role(parameters["roleArn"], parameters["loggingConfiguration"])
        wanted = parameters["definition"], parameters["roleArn"]
        for existing in self.state_machines:
            if existing.name == parameters["name"] and (existing.definition, existing.roleArn) != wanted:
                raise AwsError("StateMachineAlreadyExists", f"State Machine Already Exists: '{existing.arn}'")
        machine = super().create_state_machine(**parameters)
        log_delivery.leave_validation_stream(self._logs, dict(machine.loggingConfiguration))
        if publish:
            versions.publish(self, machine.arn, None, description)
        return machine

    def update_state_machine(self, arn: str, **parameters: Any) -> StateMachine:  # type: ignore[override]
        publish, description = parameters.pop("publish", None), parameters.pop("version_description", None)
        machine = self.describe_state_machine(arn)
        if machine not in self.state_machines:  # a version: test_sfn_api_versioning.py test_update_state_machine
            raise AwsError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
        if not any(parameters.values()) and not publish:
            what = "the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration"
            raise AwsError("MissingRequiredParameter", f"Either {what} must be specified")
        before = versions.settings(machine)
        if parameters.get("definition"):
            asl_definition.parse(parameters["definition"])
        if parameters.get("logging_configuration") is not None:
            parameters["logging_configuration"] = log_delivery.complete(parameters["logging_configuration"])
        configuration = parameters.get("logging_configuration") or dict(machine.loggingConfiguration)
        self._check_role(parameters.get("role_arn") or machine.roleArn, configuration)
        updated = super().update_state_machine(arn, **parameters)
        log_delivery.leave_validation_stream(self._logs, dict(updated.loggingConfiguration))
        if versions.settings(updated) != before:
            versions.revised(updated)
        if publish:
            versions.publish(self, arn, None, description)
        return updated

    def _check_role(self, role_arn: str, configuration: dict[str, Any]) -> None:
        permissions = self.machines.permissions
        if not permissions.trusts(role_arn, _STATES):
            message = f"Neither the global service principal {_STATES}, nor the regional one is authorized to assume "
            raise AwsError("AccessDeniedException", f"{message}the provided role.")
        log_delivery.check(self._logs, permissions, role_arn, configuration)

    @property
    def _logs(self) -> LogsBackend:
        return logs_backends[self.account_id][self.region_name]

    @_paged
    def list_state_machines(self) -> list[StateMachine]:
        """List the state machines by name (test_sfn_api.py test_list_sms_pagination)."""
        return sorted(self.state_machines, key=lambda machine: machine.name)

    def create_state_machine_alias(
        self, name: str, routing_configuration: list[dict[str, Any]], description: str | None
    ) -> StateMachineAlias:
        """Create the alias, unless it exists as asked for (test_error_create_alias_not_idempotent)."""
        machine = self.describe_state_machine(unqualified(routing_configuration[0]["stateMachineVersionArn"])[0])
        existing = machine.aliases.get(name)
        if existing is None:
            return super().create_state_machine_alias(name, routing_configuration, description)
        if (existing.routing_configuration, existing.description) != (routing_configuration, description):
            same = "an alias with the same name and a different routing configuration already exists."
            raise AwsError("ConflictException", f"Failed to create alias because {same}")
        return existing

    def update_state_machine_alias(self, arn: str, *arguments: Any, **named: Any) -> StateMachineAlias:
        try:
            return super().update_state_machine_alias(arn, *arguments, **named)
        except ResourceNotFound:  # test_sfn_api_aliasing.py test_update_no_such_alias_arn
            message = "Request references a resource that does not exist."
            raise AwsError("ResourceNotFound", message) from None

    def delete_state_machine_alias(self, arn: str) -> None:
        with contextlib.suppress(ResourceNotFound):  # deleted already: test_delete_no_such_alias_arn
            super().delete_state_machine_alias(arn)

    @_paged
    def list_executions(self, state_machine_arn: str, status_filter: str | None = None) -> list[Execution]:
        """List the newest first, of a machine or of what was started through this version or alias."""
        executions: Any = versions.choose(self, state_machine_arn).machine.executions
        wanted = [each for each in executions if status_filter in (None, each.status) and each.is_of(state_machine_arn)]
        return sorted(wanted, key=lambda execution: execution.start_date, reverse=True)

    @_paged
    def list_state_machine_aliases(self, arn: str) -> list[StateMachineAlias]:
        aliases = self.describe_state_machine(arn).aliases.values()
        return sorted(aliases, key=lambda alias: alias.creation_date)

    @_paged
    def list_state_machine_versions(self, arn: str) -> list[StateMachineVersion]:
        """List the newest first (test_list_state_machine_versions_pagination)."""
        versions_by_number = self.describe_state_machine(arn).versions
        return [versions_by_number[number] for number in sorted(versions_by_number, reverse=True)]

    def tag_resource(self, arn: str, tags: dict[str, str]) -> None:
        """Raise ResourceNotFound for what is not there, and for a version (test_tag_state_machine_version)."""
        if not any(machine.arn == arn for machine in self.state_machines):
            raise AwsError("ResourceNotFound", f"Resource not found: '{arn}'")
        super().tag_resource(arn, tags)

    def start_execution(self, state_machine_arn: str, name: str, execution_input: str) -> Execution:  # type: ignore[override]
        """Start an execution, unless one runs with the same name and input; names are used up for good."""
        chosen = versions.choose(self, state_machine_arn)
        machine = chosen.machine
        name = name or str(uuid.uuid4())
        self._validate_name(name)
        requests.check_execution_input(execution_input)
        requests.check_size("input", execution_input)
        executions: list[Execution] = machine.executions  # type: ignore[assignment]  # moto's list, our executions
        for execution in executions:
            if execution.name == name:
                if execution.status == "RUNNING" and execution.execution_input == execution_input:
                    return execution
                raise ExecutionAlreadyExists(f"Execution Already Exists: '{execution.execution_arn}'")
        started = self.machines.start(chosen, name, execution_input)
        executions.append(started)
        return started

    def machine_of_task(self, token: str) -> str | None:
        """Return the ARN of the state machine that a task token is of, which access to it is checked on."""
        execution = self.machines.waiting_for(token, self.account_id, self.region_name)
        return execution.state_machine_arn if execution else None

    def bring_back(self, token: str, outcome: list[Any] | StatesError) -> None:
        """End the task that waits for its token."""
        execution = self.machines.waiting_for(token, self.account_id, self.region_name)
        if execution is None:
            raise requests.no_such_token()
        execution.bring_back(token, outcome)


class StateMachinesResponse(StepFunctionResponse):
    """moto's answers, where they lack what AWS reports about an execution or a machine."""

    def call_action(self) -> Any:
        requests.check(self._get_action(), json.loads(self.body or "{}"))
        return super().call_action()

    def _validate_routing_configuration(self, routing_configuration: list[dict[str, Any]]) -> None:
        versions.check_routes(routing_configuration)
        super()._validate_routing_configuration(routing_configuration)

    def describe_execution(self) -> ActionResult:
        execution: Any = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        return ActionResult({key: value for key, value in execution.described().items() if value is not None})

    def describe_state_machine(self) -> ActionResult:
        machine = self.stepfunction_backend.describe_state_machine(self._get_param("stateMachineArn"))
        answer: dict[str, Any] = super().describe_state_machine().result  # type: ignore[assignment]
        return ActionResult({**answer, **versions.described(machine)})

    def describe_state_machine_for_execution(self) -> ActionResult:
        execution: Any = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        return ActionResult(execution.revision)

    def update_state_machine(self) -> ActionResult:
        answer: dict[str, Any] = super().update_state_machine().result  # type: ignore[assignment]
        machine = self.stepfunction_backend.describe_state_machine(self._get_param("stateMachineArn"))
        revision = versions.described(machine).get("revisionId")
        return ActionResult({**answer, **({"revisionId": revision} if revision else {})})

    def publish_state_machine_version(self) -> ActionResult:
        given = (self._get_param(name) for name in ("stateMachineArn", "revisionId", "description"))
        arn = versions.publish(self.stepfunction_backend, *given)
        machine = self.stepfunction_backend.describe_state_machine(arn)
        return ActionResult({"stateMachineVersionArn": arn, "creationDate": machine.creation_date})

    def delete_state_machine_version(self) -> ActionResult:
        versions.delete(self.stepfunction_backend, self._get_param("stateMachineVersionArn"))
        return ActionResult({})

    def list_state_machine_versions(self) -> ActionResult:
        backend: Any = self.stepfunction_backend
        versions_found, token = backend.list_state_machine_versions(
            arn=self._get_param("stateMachineArn"),
            max_results=self._get_int_param("maxResults"),
            next_token=self._get_param("nextToken"),
        )
        found = [{"stateMachineVersionArn": each.arn, "creationDate": each.creation_date} for each in versions_found]
        return ActionResult({"stateMachineVersions": found, "nextToken": token})

    def list_executions(self) -> ActionResult:
        backend: Any = self.stepfunction_backend
        executions, token = backend.list_executions(
            self._get_param("stateMachineArn"),
            status_filter=self._get_param("statusFilter"),
            max_results=self._get_int_param("maxResults"),
            next_token=self._get_param("nextToken"),
        )
        found = [{key: value for key, value in each.summary().items() if value is not None} for each in executions]
        return ActionResult({"executions": found, "nextToken": token})

    def stop_execution(self) -> ActionResult:
        execution: Any = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        execution.stop(self._get_param("error"), self._get_param("cause"))
        return ActionResult({"stopDate": execution.stop_date})

    def send_task_success(self) -> ActionResult:
        backend: Any = self.stepfunction_backend
        backend.bring_back(self._get_param("taskToken"), [requests.task_output(self._get_param("output"))])
        return ActionResult({})

    def send_task_failure(self) -> ActionResult:
        backend: Any = self.stepfunction_backend
        failure = StatesError(self._get_param("error"), self._get_param("cause"))
        backend.bring_back(self._get_param("taskToken"), failure)
        return ActionResult({})

    def redrive_execution(self) -> ActionResult:
        execution: Any = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        execution.redrive()
        return ActionResult({"redriveDate": execution.redrive_date})

    def get_execution_history(self) -> ActionResult:
        execution: Any = self.stepfunction_backend.describe_execution(self._get_param("executionArn"))
        events = execution.events[:]
        token, size = self._get_param("nextToken"), self._get_int_param("maxResults") or 1000
        # A token says where to continue counted from the first event: new events do not move it.
        if self._get_bool_param("reverseOrder", False):
            end = int(token or len(events))
            following = max(0, end - size)
            page, is_last = events[following:end][::-1], following == 0
        else:
            start = int(token or 0)
            following = start + size
            page, is_last = events[start:following], following >= len(events)
        return ActionResult({"events": page, **({} if is_last else {"nextToken": str(following)})})
