"""One execution of a Standard state machine, from its first event to its last.

Written against the ASL specification and the Step Functions developer guide (concepts-error-handling,
input-output-contextobject). What matters to a restore and is easily got wrong:

* States.Runtime is never retried and never caught, not even by States.ALL;
* a task's result that is too large is States.DataLimitExceeded, which its own name and States.ALL catch (recorded on
  AWS: LocalStack's validated snapshots, error_handling/test_states_errors.py); what exceeds the limit afterwards, as a
  state's output, ends the execution past every Catch (github.com/cdklabs/construct-hub/pull/1885);
* a function's error is named after its exception class, and its cause is Lambda's error document as JSON text. A
  process that died is `Runtime.ExitError` and one that ran out of time `Sandbox.Timedout`, as current runtimes report
  them; `Lambda.Unknown` remains for an error document without a type. Match all three;
* a machine's role that may not invoke the function gets `Lambda.AWSLambdaException`, a connection that breaks
  `Lambda.SdkClientException`;
* a machine's own TimeoutSeconds ends it TIMED_OUT, past every Catch.

The TimeoutSeconds of a task that invokes a function is stretched like the function's; everything else passes on the
clock, that of a task which waits for its token as well. Where a file and a test are
named as a source, they are among the snapshots in LocalStack's repository, under tests/aws/services/stepfunctions/v2.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from scripts.local_aws.core.arns import Arn
from scripts.local_aws.core.clock import Clock
from scripts.local_aws.core.errors import AwsError
from scripts.local_aws.core.json_text import dumps, loads
from scripts.local_aws.lambda_runtime.functions import SLOWNESS
from scripts.local_aws.step_functions.callbacks import Callback, put_item
from scripts.local_aws.step_functions.definition import is_lambda_invoke, waits_for_token
from scripts.local_aws.step_functions.language import RUNTIME, Scope, StatesError, holds, put, timestamp
from scripts.local_aws.step_functions.requests import MOST_BYTES

Status = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
Event = dict[str, Any]
Output = tuple[str | None, Any]
"""Where to go next (None: this is the end), and with what."""

MOST_EVENTS = 25_000
REDRIVABLE = datetime.timedelta(days=14)

_NO_TIMEOUT_SECONDS = 99_999_999
_SERVICE = "lambda"
"""What a result that is too large is said to come from after `lambda:invoke`; otherwise it is the function's ARN."""
# What the events of a task say of its resource; those of a function named by its ARN say nothing.
_INVOKE = {"resourceType": "lambda", "resource": "invoke"}
_PUT_ITEM_AND_WAIT = {"resourceType": "aws-sdk:dynamodb", "resource": "putItem.waitForTaskToken"}
_DATA_LIMIT = "States.DataLimitExceeded"
_TIMEOUT = "States.Timeout"


class _Over(Exception):
    """The execution has ended while its thread was busy; there is nothing left to do."""


@dataclasses.dataclass(frozen=True)
class Services:
    """Give an execution what it needs of the world. `invoke` and `put_item` call AWS as the machine's role."""

    clock: Clock
    invoke: Callable[[dict[str, Any]], dict[str, Any]]
    put_item: Callable[[dict[str, Any]], dict[str, Any]]
    log: Callable[[Execution, Event], None]
    status_changed: Callable[[Execution], None]


@dataclasses.dataclass(eq=False)
class Execution:
    """A running or finished execution. Its thread counts as busy for the clock except while it waits."""

    execution_arn: str
    name: str
    state_machine_arn: str
    state_machine_version_arn: str | None
    state_machine_alias_arn: str | None
    role_arn: str
    execution_input: str
    revision: dict[str, Any]
    """What DescribeStateMachineForExecution answers: the machine as it was when the execution was started."""
    definition: dataclasses.InitVar[dict[str, Any]]
    services: dataclasses.InitVar[Services]
    status: Status = "RUNNING"
    stop_date: datetime.datetime | None = None
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    events: list[Event] = dataclasses.field(default_factory=list)
    redrive_count: int = 0
    redrive_date: datetime.datetime | None = None
    callbacks: dict[str, Callback] = dataclasses.field(default_factory=dict)
    """Every task that waits or has waited for its token, by the token."""

    def __post_init__(self, definition: dict[str, Any], services: Services) -> None:
        self.start_date = services.clock.now()
        self._definition = definition
        self._services = services
        self._clock = services.clock
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._waiting: Callback | None = None
        self._random = random.Random(self.execution_arn)
        self._threads: list[threading.Thread] = []
        self._deadline: float | None = None
        self._position: tuple[str, Any] = (definition["StartAt"], json.loads(self.execution_input))

    def start(self) -> None:
        """Start the execution with its first state."""
        details = {"input": self.execution_input, "inputDetails": {"truncated": False}, "roleArn": self.role_arn}
        self._go("ExecutionStarted", {"executionStartedEventDetails": details})

    def redrive(self) -> None:
        """Continue from the state that did not succeed, with the input it had; a time limit of the machine restarts."""
        if self.status in ("FAILED", "TIMED_OUT", "ABORTED"):
            self.join()
        with self._changed:
            if (reason := self._not_redrivable()) is not None:
                raise AwsError("ExecutionNotRedrivable", reason)
            self.status, self.stop_date, self.error, self.cause = "RUNNING", None, None, None
            self.redrive_count += 1
            self.redrive_date = self._clock.now()
            self._ended.clear()
        self._go("ExecutionRedriven", {"executionRedrivenEventDetails": {"redriveCount": self.redrive_count}})

    def summary(self) -> dict[str, Any]:
        """Return what a list has of the execution, in the API's words."""
        return {
            "executionArn": self.execution_arn,
            "stateMachineArn": self.state_machine_arn,
            "stateMachineVersionArn": self.state_machine_version_arn,
            "stateMachineAliasArn": self.state_machine_alias_arn,
            "name": self.name,
            "status": self.status,
            "startDate": self.start_date,
            "stopDate": self.stop_date,
            "redriveCount": self.redrive_count,
            "redriveDate": self.redrive_date,
        }

    def is_of(self, arn: str) -> bool:
        """Return whether the execution runs the machine of this ARN, or was started through that version or alias."""
        return arn in (self.state_machine_arn, self.state_machine_version_arn, self.state_machine_alias_arn)

    def described(self) -> dict[str, Any]:
        """Return what a description and an event have of the execution, None where it has no such thing."""
        reason = self._not_redrivable()
        return {
            **self.summary(),
            "input": self.execution_input,
            "inputDetails": {"included": True},
            "output": self.output,
            "outputDetails": None if self.output is None else {"included": True},
            "error": self.error,
            "cause": self.cause,
            "redriveStatus": "NOT_REDRIVABLE" if reason else "REDRIVABLE",
            "redriveStatusReason": reason,
        }

    def _not_redrivable(self) -> str | None:
        if self.status in ("RUNNING", "SUCCEEDED"):
            return f"Execution is {self.status} and cannot be redriven"
        if len(self.events) >= MOST_EVENTS - 1:
            return "Execution history event limit exceeded"
        too_old = self.stop_date is None or self._clock.now() - self.stop_date > REDRIVABLE
        return "Execution redrivable period exceeded" if too_old else None

    def _go(self, kind: str, details: dict[str, Any]) -> None:
        seconds = self._definition.get("TimeoutSeconds")
        self._deadline = None if seconds is None else self._clock.time() + seconds
        with self._changed:
            self._append(kind, details)
        self._services.status_changed(self)
        self._threads.append(self._clock.start_thread(self._run, name=f"execution {self.name}"))

    def stop(self, error: str | None, cause: str | None) -> None:
        """Abort, unless it is over. What a function is doing continues, as on AWS; its answer is dropped."""
        self._finish("ABORTED", error=error, cause=cause)

    def bring_back(self, token: str, outcome: list[Any] | StatesError) -> None:
        """End the task that waits for its token, and return once its thread is at work again. A token is good once."""
        callback = self.callbacks[token]
        with self._changed:
            callback.closed |= self.status != "RUNNING"
            callback.refuse_if_closed()
            callback.closed, callback.outcome = True, outcome
        callback.wake.set()
        callback.taken.wait()

    def wait(self, seconds: float) -> None:
        """Wait until the execution has ended, for so long at most by the clock on the wall."""
        self._ended.wait(seconds)

    def join(self) -> None:
        """Wait until the execution's threads have ended."""
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        try:
            self._finish("SUCCEEDED", output=dumps(self._run_states(*self._position)))
        except StatesError as failure:
            self._finish("FAILED", error=failure.error, cause=failure.cause)
        except _Over:
            return
        except Exception as error:
            self._finish("FAILED", error=RUNTIME, cause=f"The embedded AWS failed: {error!r}")
            raise

    def _finish(
        self, status: Status, *, output: str | None = None, error: str | None = None, cause: str | None = None
    ) -> None:
        with self._changed:
            if self.status != "RUNNING":
                return
            details: dict[str, Any] = {"error": error, "cause": cause}
            if status == "SUCCEEDED":
                details = {"output": output, "outputDetails": {"truncated": False}}
            kind = f"Execution{status.title().replace('_', '')}"  # ExecutionSucceeded, ExecutionTimedOut
            known = {key: value for key, value in details.items() if value}
            self._append(kind, {f"{kind[0].lower()}{kind[1:]}EventDetails": known})
            # An error or a cause without a text is omitted (base/test_base.py test_state_fail_empty).
            self.output, self.error, self.cause = output, error or None, cause or None
            self.stop_date = self._clock.now()
            self.status = status
            self._ended.set()
            if self._waiting:
                self._waiting.wake.set()
            self._changed.notify_all()
        self._services.status_changed(self)

    def _record(self, kind: str, **details: Any) -> int:
        """Add an event to the history and return its id."""
        with self._changed:
            if self.status != "RUNNING":
                raise _Over
            if len(self.events) + 1 >= MOST_EVENTS:
                limit = f"The execution reached the maximum number of history events ({MOST_EVENTS})."
                raise StatesError(RUNTIME, limit)
            return self._append(kind, details)

    def _append(self, kind: str, details: dict[str, Any]) -> int:
        number = len(self.events) + 1
        event = {"timestamp": self._clock.now(), "type": kind, "id": number}
        follows = number > 2 and kind != "ExecutionAborted"  # test_sfn_api.py test_stop_execution
        event |= {"previousEventId": number - 1 if follows else 0, **details}
        self.events.append(event)
        self._services.log(self, event)
        return number

    def _run_states(self, name: str | None, document: Any) -> Any:
        while name is not None:
            self._position = name, document
            name, document = self._run_state(name, self._definition["States"][name], document)
        return document

    def _run_state(self, name: str, state: dict[str, Any], document: Any) -> Output:
        kind = state["Type"]
        details = {"name": name, "input": dumps(document), "inputDetails": {"truncated": False}}
        entered = self._record(f"{kind}StateEntered", stateEnteredEventDetails=details)
        run = {"Task": self._task, "Choice": self._choice, "Wait": self._wait, "Fail": self._fail}.get(kind, self._pass)
        try:
            following, output = run(name, state, document, self._context(name))
            _check_size(name, dumps(output).encode())
        except StatesError as failure:
            if failure.error == RUNTIME:
                place = f"An error occurred while executing the state '{name}' (entered at the event id #{entered}). "
                raise StatesError(RUNTIME, f"{place}{failure.cause}") from failure
            raise
        details = {"name": name, "output": dumps(output), "outputDetails": {"truncated": False}}
        self._record(f"{kind}StateExited", stateExitedEventDetails=details)
        return following, output

    def _context(self, state: str) -> dict[str, Any]:
        return {
            "Execution": {
                "Id": self.execution_arn,
                "Input": json.loads(self.execution_input),
                "Name": self.name,
                "RoleArn": self.role_arn,
                "StartTime": _iso(self.start_date),
                "RedriveCount": self.redrive_count,
            },
            "State": {"EnteredTime": _iso(self._clock.now()), "Name": state},
            "StateMachine": {"Id": self.state_machine_arn, "Name": Arn.parse(self.state_machine_arn).name},
        }

    def _pass(self, name: str, state: dict[str, Any], document: Any, context: dict[str, Any]) -> Output:
        """Run a Pass or a Succeed state."""
        effective = _effective_input(state, document, context)
        result = state.get("Result", effective)
        return state.get("Next"), _effective_output(state, document, result, context)

    def _fail(self, name: str, state: dict[str, Any], document: Any, context: dict[str, Any]) -> Output:
        scope = Scope(document, context)
        texts = []
        for field in ("Error", "Cause"):
            path = state.get(f"{field}Path")
            text = state.get(field, "") if path is None else scope.evaluate(path, f"{field}Path")
            if not isinstance(text, str):
                raise StatesError(RUNTIME, f"The {field}Path '{path}' does not point to a string")
            texts.append(text)
        raise StatesError(*texts)

    def _choice(self, name: str, state: dict[str, Any], document: Any, context: dict[str, Any]) -> Output:
        effective = _effective_input(state, document, context)
        scope = Scope(effective, context)
        following = next((rule["Next"] for rule in state["Choices"] if holds(rule, scope)), state.get("Default"))
        if following is None:
            raise StatesError("States.NoChoiceMatched", f"No choice rule of '{name}' matched and it has no Default")
        return following, _select(state, "OutputPath", effective, context)

    def _wait(self, name: str, state: dict[str, Any], document: Any, context: dict[str, Any]) -> Output:
        effective = _effective_input(state, document, context)
        scope = Scope(effective, context)
        if "Timestamp" in state or "TimestampPath" in state:
            text = state.get("Timestamp") or scope.read(state["TimestampPath"], "TimestampPath")
            try:
                seconds = timestamp(text).timestamp() - self._clock.time()
            except ValueError:
                # scenarios/test_base_scenarios.py test_wait_timestamp_path
                problem = "does not reference a valid ISO-8601 extended offset date-time format string"
                path = state.get("TimestampPath")
                raise StatesError(RUNTIME, f"The TimestampPath parameter {problem}: {path} == {_bare(text)}") from None
        else:
            seconds = state["Seconds"] if "Seconds" in state else scope.read(state["SecondsPath"], "SecondsPath")
            _check_seconds(seconds, "SecondsPath", state.get("SecondsPath"))
        self._sleep(seconds)
        return state.get("Next"), _select(state, "OutputPath", effective, context)

    def _sleep(self, seconds: float) -> None:
        remaining = None if self._deadline is None else self._deadline - self._clock.time()
        if remaining is not None and remaining <= seconds:
            if not self._clock.sleep(remaining, self._ended):
                self._finish("TIMED_OUT")
            raise _Over
        if self._clock.sleep(seconds, self._ended):
            raise _Over

    def _task(self, name: str, state: dict[str, Any], document: Any, context: dict[str, Any]) -> Output:
        attempts = [0] * len(state.get("Retry", []))
        context["State"]["RetryCount"] = 0
        while True:
            try:
                return state.get("Next"), self._attempt(name, state, document, context)
            except StatesError as failure:
                if failure.error == RUNTIME:
                    raise
                delay = self._retry_delay(state.get("Retry", []), attempts, failure.error)
                if delay is None:
                    return _catch(state, document, failure)
            context["State"]["RetryCount"] += 1
            self._sleep(delay)

    def _retry_delay(self, retriers: list[dict[str, Any]], attempts: list[int], error: str | None) -> float | None:
        """Return the seconds until the next attempt, or None. The first retrier that knows the error decides."""
        for position, retrier in enumerate(retriers):
            if _knows(retrier, error):
                if attempts[position] >= retrier.get("MaxAttempts", 3):
                    return None
                backoff = float(retrier.get("BackoffRate", 2.0)) ** attempts[position]
                delay = min(retrier.get("IntervalSeconds", 1) * backoff, retrier.get("MaxDelaySeconds", 31_622_400))
                attempts[position] += 1
                return self._random.uniform(0, delay) if retrier.get("JitterStrategy") == "FULL" else delay
        return None

    def _attempt(self, name: str, state: dict[str, Any], document: Any, context: dict[str, Any]) -> Any:
        resource = state["Resource"]
        callback = Callback() if waits_for_token(resource) else None
        if callback:
            context["Task"] = {"Token": callback.token}
        parameters = _effective_input(state, document, context)
        seconds = state.get("TimeoutSeconds")
        if "TimeoutSecondsPath" in state:
            path = state["TimeoutSecondsPath"]
            seconds = Scope(document, context).read(path, "TimeoutSecondsPath")
            _check_seconds(seconds, "TimeoutSecondsPath", path, least=1)
        if callback:
            result = self._put_item_and_wait(callback, parameters, seconds)
        else:
            result = self._run_function(resource, parameters, seconds)
        if "ResultSelector" in state:
            result = Scope(result, context).fill(state["ResultSelector"])
        return _effective_output(state, document, result, context)

    def _run_function(self, resource: str, parameters: Any, seconds: int | None) -> Any:
        direct = not is_lambda_invoke(resource)
        of = {} if direct else _INVOKE
        if direct:
            named, request = resource, {"FunctionName": resource, "Payload": dumps(parameters).encode()}
            scheduled = {"resource": resource, "input": dumps(parameters), "inputDetails": {"truncated": False}}
        else:
            named, request = _SERVICE, _lambda_request(parameters)
            scheduled = {"region": Arn.parse(self.execution_arn).region, "parameters": dumps(parameters)}
        self._begin_task(of, scheduled, seconds)
        with self._failing_task(of):
            result = self._call(lambda: _invoke(self._services.invoke, named, request), seconds)
        if direct:
            result = result["Payload"]
        self._task_event(of, "Succeeded", {"output": dumps(result), "outputDetails": {"truncated": False}})
        return result

    def _put_item_and_wait(self, callback: Callback, parameters: dict[str, Any], seconds: int | None) -> Any:
        """Return the result that the token comes back with. Its time begins before the item is put."""
        of, due = _PUT_ITEM_AND_WAIT, None if seconds is None else self._clock.time() + seconds
        self.callbacks[callback.token] = self._waiting = callback
        try:
            scheduled = {"region": Arn.parse(self.execution_arn).region, "parameters": dumps(parameters)}
            self._begin_task(of, scheduled, seconds)
            with self._failing_task(of):
                answer = self._call(lambda: put_item(self._services.put_item, parameters), seconds)
            self._task_event(of, "Submitted", {"output": dumps(answer), "outputDetails": {"truncated": False}})
            with self._failing_task(of):
                result = self._await_token(callback, due)
        finally:
            with self._changed:
                callback.closed, self._waiting = True, None
            callback.taken.set()
        self._task_event(of, "Succeeded", {"output": dumps(result), "outputDetails": {"truncated": False}})
        return result

    def _await_token(self, callback: Callback, due: float | None) -> Any:
        ends = [moment for moment in (due, self._deadline) if moment is not None]
        if ends:
            woken = self._clock.sleep(min(ends) - self._clock.time(), callback.wake)
        else:
            with self._clock.idle():  # nothing comes by itself, so the clock has nowhere to jump
                woken = callback.wake.wait()
        with self._changed:
            callback.closed = True
            if self.status != "RUNNING" or (woken and callback.outcome is None):
                raise _Over
        if isinstance(callback.outcome, StatesError):
            raise callback.outcome
        if callback.outcome is not None:
            return callback.outcome[0]
        if self._deadline is not None and self._deadline == min(ends):
            self._finish("TIMED_OUT")
            raise _Over
        raise StatesError(_TIMEOUT, "")

    def _begin_task(self, of: dict[str, str], scheduled: dict[str, Any], seconds: int | None) -> None:
        limit = {} if seconds is None else {"timeoutInSeconds": seconds}
        self._task_event(of, "Scheduled", {**scheduled, **limit})
        self._task_event(of, "Started", {})

    @contextlib.contextmanager
    def _failing_task(self, of: dict[str, str]) -> Iterator[None]:
        """Record that the task has failed or timed out, where the body of the `with` statement does so."""
        try:
            yield
        except StatesError as failure:
            step = "TimedOut" if failure.error == _TIMEOUT else "Failed"
            details = {"error": failure.error, "cause": failure.cause}
            self._task_event(of, step, {key: text for key, text in details.items() if text})
            raise

    def _task_event(self, of: dict[str, str], step: str, details: dict[str, Any]) -> None:
        """Record an event. A function that is named by its ARN has other kinds of events than an integration."""
        kind, details = f"{'Task' if of else 'LambdaFunction'}{step}", {**of, **details}
        self._record(kind, **({f"{kind[0].lower()}{kind[1:]}EventDetails": details} if details else {}))

    def _call(self, service: Callable[[], Any], seconds: int | None) -> Any:
        """Call a service on a thread of its own, so that a timeout or StopExecution need not wait for it."""
        answers: list[Any] = []
        limit = (_NO_TIMEOUT_SECONDS if seconds is None else seconds) * SLOWNESS

        def call() -> None:
            try:
                answer: Any = service()
            except Exception as failure:  # noqa: BLE001 the waiting thread must see every failure
                answer = failure
            with self._changed:
                answers.append(answer)
                self._changed.notify_all()

        self._clock.start_thread(call, name=f"task of {self.name}")
        remaining = float("inf") if self._deadline is None else self._deadline - self._clock.time()
        patience = min(limit, remaining, threading.TIMEOUT_MAX)
        with self._changed:
            answered = self._changed.wait_for(lambda: answers or self.status != "RUNNING", max(0.0, patience))
        if not answered and remaining <= limit:
            self._finish("TIMED_OUT")
        if self.status != "RUNNING":
            raise _Over
        if not answered:
            raise StatesError(_TIMEOUT, "")
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]


def _lambda_request(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return what `lambda:invoke` sends. A text is sent as it is, and null is an empty object.

    services/test_lambda_task_service.py test_invoke_json_values and test_invoke.
    """
    if "Payload" not in parameters:
        return parameters
    payload = parameters["Payload"]
    text = payload if isinstance(payload, str) else dumps({} if payload is None else payload)
    return {**parameters, "Payload": text.encode()}


def _invoke(invoke: Callable[[dict[str, Any]], dict[str, Any]], named: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return the result of `lambda:invoke`, or raise the error that Step Functions makes of Lambda's."""
    try:
        answer = invoke(request)
        body: bytes = answer["Payload"].read()
    except ClientError as error:
        raise _service_error(error) from error
    except BotoCoreError as error:
        raise StatesError("Lambda.SdkClientException", str(error)) from error
    if "FunctionError" not in answer:
        _check_size(named, body)  # before it is read as JSON: error_handling/test_states_errors.py
    payload = _parsed(body)
    if "FunctionError" in answer:
        name = payload.get("errorType") if isinstance(payload, dict) else None
        # lambda:invoke serializes the document, a function's own task hands it on: error_handling/test_task_lambda.py.
        raise StatesError(name or "Lambda.Unknown", dumps(payload) if named == _SERVICE else body.decode())
    return _invocation_result(answer, payload)


def _invocation_result(answer: dict[str, Any], payload: Any) -> dict[str, Any]:
    """Return an invocation's answer with the members and headers that AWS gives it (test_lambda_task_service.py)."""
    metadata = answer["ResponseMetadata"]
    received, request_id = metadata["HTTPHeaders"], metadata.get("RequestId", "")
    version = answer.get("ExecutedVersion", "$LATEST")
    log = {"X-Amz-Log-Result": answer["LogResult"]} if "LogResult" in answer else {}
    headers = {
        **log,
        "X-Amz-Executed-Version": version,
        "x-amzn-Remapped-Content-Length": "0",
        "Connection": "keep-alive",
        "x-amzn-RequestId": request_id,
        "Content-Length": received.get("content-length", "0"),
        "Date": received.get("date", ""),
        "X-Amzn-Trace-Id": "root=1-00000000-000000000000000000000000;parent=0000000000000000;sampled=0",
        "Content-Type": "application/json",
    }
    result = {
        "ExecutedVersion": version,
        "Payload": payload,
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers.items()},
            "HttpHeaders": headers,
            "HttpStatusCode": metadata["HTTPStatusCode"],
        },
        "SdkResponseMetadata": {"RequestId": request_id},
        "StatusCode": answer["StatusCode"],
    }
    return {**result, "LogResult": answer["LogResult"]} if log else result


def _parsed(body: bytes) -> Any:
    """Return what a function answered as a document. Python's runtime hands bytes on as they are, JSON or not.

    JSON is RFC 8259's, so no NaN. How AWS words its refusal is not published: the stricter reading is that nothing
    catches it.
    """
    try:
        return loads(body) if body else ""
    except ValueError as error:
        raise StatesError(RUNTIME, f"The function's answer is not JSON: {error}") from None


def _service_error(error: ClientError) -> StatesError:
    code = error.response["Error"]["Code"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    request = error.response["ResponseMetadata"].get("RequestId", "")
    message = error.response["Error"].get("Message", "")
    # error_handling/test_task_service_lambda.py test_no_such_function
    details = f"Service: AWSLambda; Status Code: {status}; Error Code: {code}; Request ID: {request}; Proxy: null"
    cause = f"{message} ({details})"
    if code in ("AccessDeniedException", "AccessDenied"):
        return StatesError("Lambda.AWSLambdaException", cause)
    if not code.endswith("Exception"):
        code = "ServiceException" if status >= 500 else "AWSLambdaException"
    return StatesError(f"Lambda.{code}", cause)


def _knows(rule: dict[str, Any], error: str | None) -> bool:
    names = rule["ErrorEquals"]
    return error in names or "States.ALL" in names or ("States.TaskFailed" in names and error != _TIMEOUT)


def _catch(state: dict[str, Any], document: Any, failure: StatesError) -> Output:
    """Return the catcher's state, and the state's own input with the error in it; OutputPath has no part in it."""
    for catcher in state.get("Catch", []):
        if _knows(catcher, failure.error):
            path = catcher.get("ResultPath", "$")
            error = {"Error": failure.error, "Cause": failure.cause}
            return catcher["Next"], document if path is None else put(document, path, error)
    raise failure


def _select(state: dict[str, Any], field: str, document: Any, context: dict[str, Any]) -> Any:
    path = state.get(field, "$")
    return {} if path is None else Scope(document, context).read(path, field)


def _effective_input(state: dict[str, Any], document: Any, context: dict[str, Any]) -> Any:
    selected = _select(state, "InputPath", document, context)
    return Scope(selected, context).fill(state["Parameters"]) if "Parameters" in state else selected


def _effective_output(state: dict[str, Any], document: Any, result: Any, context: dict[str, Any]) -> Any:
    path = state.get("ResultPath", "$")
    combined = document if path is None else put(document, path, result)
    return _select(state, "OutputPath", combined, context)


def _check_seconds(seconds: Any, field: str, path: str | None, least: int = 0) -> None:
    """Raise States.Runtime unless it is a number of seconds (base/test_wait.py test_base_wait_seconds_path)."""
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        problem = "cannot be parsed as a long value"
    elif seconds < 0:
        problem = "references a negative value"
    elif not least <= seconds <= _NO_TIMEOUT_SECONDS:
        problem = f"references a value that is not between {least} and {_NO_TIMEOUT_SECONDS}"
    else:
        return
    raise StatesError(RUNTIME, f"The {field} parameter {problem}: {path} == {_bare(seconds)}")


def _bare(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)


def _check_size(name: str, result: bytes) -> None:
    if len(result) > MOST_BYTES:
        size = "a result with a size exceeding the maximum number of bytes service limit."
        raise StatesError(_DATA_LIMIT, f"The state/task '{name}' returned {size}")


def _iso(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
