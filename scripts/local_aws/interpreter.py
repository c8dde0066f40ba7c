"""One execution of a Standard state machine, from its first event to its last.

Written against the ASL specification and the Step Functions developer guide (concepts-error-handling,
input-output-contextobject). What matters to a restore and is easily got wrong:

* States.Runtime and States.DataLimitExceeded are never retried and never caught, not even by States.ALL;
* a function's error is named after its exception class, and its cause is Lambda's error document as JSON text. A
  process that died is `Runtime.ExitError` and one that ran out of time `Sandbox.Timedout`, as current runtimes report
  them; `Lambda.Unknown` remains for an error document without a type. Match all three;
* a machine's role that may not invoke the function gets `Lambda.AWSLambdaException`, a connection that breaks
  `Lambda.SdkClientException`;
* a machine's own TimeoutSeconds ends it TIMED_OUT, past every Catch.

A task's TimeoutSeconds is stretched like a function's; everything else passes on the clock.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import random
import threading
from collections.abc import Callable
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from scripts.local_aws.asl import RUNTIME, Scope, StatesError, dumps, holds, put, timestamp
from scripts.local_aws.clock import Clock
from scripts.local_aws.definition import is_lambda_invoke
from scripts.local_aws.errors import AwsError
from scripts.local_aws.functions import SLOWNESS

Status = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
Event = dict[str, Any]
Output = tuple[str | None, Any]
"""Where to go next (None: this is the end), and with what."""

MOST_EVENTS = 25_000
MOST_BYTES = 262_144
REDRIVABLE = datetime.timedelta(days=14)

_DATA_LIMIT = "States.DataLimitExceeded"
_TIMEOUT = "States.Timeout"
_UNCATCHABLE = {RUNTIME, _DATA_LIMIT}
_ENDINGS: dict[Status, str] = {
    "SUCCEEDED": "ExecutionSucceeded",
    "FAILED": "ExecutionFailed",
    "TIMED_OUT": "ExecutionTimedOut",
    "ABORTED": "ExecutionAborted",
}


class _Over(Exception):
    """The execution has ended while its thread was busy; there is nothing left to do."""


@dataclasses.dataclass(frozen=True)
class Services:
    """What an execution needs of the world around it. `invoke` calls Lambda as the machine's role."""

    clock: Clock
    invoke: Callable[[dict[str, Any]], dict[str, Any]]
    log: Callable[[Execution, Event], None]
    status_changed: Callable[[Execution], None]


class Execution:
    """A running or finished execution. Its thread counts as busy for the clock except while it waits."""

    def __init__(
        self,
        *,
        arn: str,
        name: str,
        machine_arn: str,
        role_arn: str,
        definition: dict[str, Any],
        execution_input: str,
        services: Services,
    ) -> None:
        self.execution_arn = arn
        self.name = name
        self.state_machine_arn = machine_arn
        self.state_machine_version_arn: str | None = None
        self.state_machine_alias_arn: str | None = None
        self.role_arn = role_arn
        self.execution_input = execution_input
        self.status: Status = "RUNNING"
        self.start_date = services.clock.now()
        self.stop_date: datetime.datetime | None = None
        self.output: str | None = None
        self.error: str | None = None
        self.cause: str | None = None
        self.events: list[Event] = []
        self.redrive_count = 0
        self.redrive_date: datetime.datetime | None = None
        self._definition = definition
        self._services = services
        self._clock = services.clock
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._random = random.Random(arn)
        self._threads: list[threading.Thread] = []
        self._deadline: float | None = None
        self._position: tuple[str, Any] = (definition["StartAt"], json.loads(execution_input))

    def start(self) -> None:
        details = {"input": self.execution_input, "inputDetails": {"truncated": False}, "roleArn": self.role_arn}
        self._go("ExecutionStarted", {"executionStartedEventDetails": details})

    def redrive(self) -> None:
        """Go on from the state that didn't succeed, with the input it had; a time limit of the machine starts anew."""
        if self.status in ("FAILED", "TIMED_OUT", "ABORTED"):
            self.join()
        with self._changed:
            too_old = self.stop_date is None or self._clock.now() - self.stop_date > REDRIVABLE
            if self.status in ("RUNNING", "SUCCEEDED") or too_old or len(self.events) >= MOST_EVENTS - 1:
                why = f"Execution is not redrivable: {self.status}, {len(self.events)} events, ended {self.stop_date}"
                raise AwsError("ExecutionNotRedrivable", why)
            self.status, self.stop_date, self.error, self.cause = "RUNNING", None, None, None
            self.redrive_count += 1
            self.redrive_date = self._clock.now()
            self._ended.clear()
        self._go("ExecutionRedriven", {"executionRedrivenEventDetails": {"redriveCount": self.redrive_count}})

    def _go(self, kind: str, details: dict[str, Any]) -> None:
        seconds = self._definition.get("TimeoutSeconds")
        self._deadline = None if seconds is None else self._clock.time() + seconds
        with self._changed:
            self._append(kind, details)
        self._services.status_changed(self)
        self._threads.append(self._clock.start_thread(self._run, name=f"execution {self.name}"))

    def stop(self, error: str | None, cause: str | None) -> None:
        """Abort, unless it is over. What a function is doing goes on, as on AWS; its answer is dropped."""
        self._finish("ABORTED", error=error, cause=cause)

    def join(self) -> None:
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
            kind = _ENDINGS[status]
            known = {key: value for key, value in details.items() if value is not None}
            self._append(kind, {f"{kind[0].lower()}{kind[1:]}EventDetails": known})
            self.output, self.error, self.cause = output, error, cause
            self.stop_date = self._clock.now()
            self.status = status
            self._ended.set()
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
        event |= {"previousEventId": number - 1 if number > 2 else 0, **details}
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
        context = self._context(name)
        run = {
            "Task": self._task,
            "Pass": self._pass,
            "Choice": self._choice,
            "Wait": self._wait,
            "Succeed": self._succeed,
            "Fail": self._fail,
        }[kind]
        try:
            following, output = run(name, state, document, context)
            _check_size(name, output)
        except StatesError as failure:
            if failure.error == RUNTIME:
                place = f"An error occurred while executing the state '{name}' (entered at the event id #{entered}). "
                raise StatesError(RUNTIME, place + failure.cause) from failure
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
            "State": {"EnteredTime": _iso(self._clock.now()), "Name": state, "RetryCount": 0},
            "StateMachine": {"Id": self.state_machine_arn, "Name": self.state_machine_arn.rsplit(":", 1)[1]},
        }

    def _pass(self, name: str, state: dict[str, Any], document: Any, context: dict[str, Any]) -> Output:
        effective = _effective_input(state, document, context)
        result = state.get("Result", effective)
        return _following(state), _effective_output(state, document, result, context)

    def _succeed(self, name: str, state: dict[str, Any], document: Any, context: dict[str, Any]) -> Output:
        effective = _effective_input(state, document, context)
        return None, _select(state, "OutputPath", effective, context)

    def _fail(self, name: str, state: dict[str, Any], document: Any, context: dict[str, Any]) -> Output:
        scope = Scope(document, context)
        texts = []
        for field in ("Error", "Cause"):
            path = state.get(f"{field}Path")
            text = state.get(field, "") if path is None else scope.evaluate(path, f"{field}Path")
            if not isinstance(text, str):
                raise StatesError(RUNTIME, f"The {field}Path '{path}' doesn't point to a string")
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
            except ValueError as error:
                raise StatesError(RUNTIME, f"The TimestampPath parameter is {error}") from None
        else:
            seconds = state["Seconds"] if "Seconds" in state else scope.read(state["SecondsPath"], "SecondsPath")
            _check_seconds(seconds, 0, "SecondsPath")
        self._sleep(seconds)
        return _following(state), _select(state, "OutputPath", effective, context)

    def _sleep(self, seconds: float) -> None:
        remaining = None if self._deadline is None else self._deadline - self._clock.time()
        if remaining is not None and remaining <= seconds:
            if not self._clock.sleep(remaining, self._ended):
                self._time_out()
            raise _Over
        if self._clock.sleep(seconds, self._ended):
            raise _Over

    def _time_out(self) -> None:
        self._finish("TIMED_OUT")
        raise _Over

    def _task(self, name: str, state: dict[str, Any], document: Any, context: dict[str, Any]) -> Output:
        attempts = [0] * len(state.get("Retry", []))
        while True:
            try:
                return _following(state), self._attempt(name, state, document, context)
            except StatesError as failure:
                if failure.error in _UNCATCHABLE:
                    raise
                delay = self._retry_delay(state.get("Retry", []), attempts, failure.error)
                if delay is None:
                    return _catch(state, document, failure)
            context["State"]["RetryCount"] += 1
            self._sleep(delay)

    def _retry_delay(self, retriers: list[dict[str, Any]], attempts: list[int], error: str) -> float | None:
        """Seconds until the next attempt, or None if there is none. The first retrier that knows the error decides."""
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
        parameters = _effective_input(state, document, context)
        seconds = state.get("TimeoutSeconds", 99_999_999)
        if "TimeoutSecondsPath" in state:
            seconds = Scope(document, context).read(state["TimeoutSecondsPath"], "TimeoutSecondsPath")
            _check_seconds(seconds, 1, "TimeoutSecondsPath")
        direct = not is_lambda_invoke(state["Resource"])
        if direct:
            request = {"FunctionName": state["Resource"], "Payload": parameters}
            scheduled = {"resource": state["Resource"], "input": dumps(parameters), "timeoutInSeconds": seconds}
        else:
            request = parameters
            region = self.execution_arn.split(":")[3]
            scheduled = {"region": region, "parameters": dumps(parameters), "timeoutInSeconds": seconds}
        self._task_event(direct, "Scheduled", scheduled)
        self._task_event(direct, "Started", {})
        try:
            result = self._call(request, seconds)
            if direct:
                result = result["Payload"]
            _check_size(name, result)
        except StatesError as failure:
            step = "TimedOut" if failure.error == _TIMEOUT else "Failed"
            self._task_event(direct, step, {"error": failure.error, "cause": failure.cause})
            raise
        self._task_event(direct, "Succeeded", {"output": dumps(result), "outputDetails": {"truncated": False}})
        if "ResultSelector" in state:
            result = Scope(result, context).fill(state["ResultSelector"])
        return _effective_output(state, document, result, context)

    def _task_event(self, direct: bool, step: str, details: dict[str, Any]) -> None:
        """A function named by its ARN leaves other events than one called through `lambda:invoke`."""
        if direct:
            self._record(f"LambdaFunction{step}", **({f"lambdaFunction{step}EventDetails": details} if details else {}))
        else:
            details = {"resourceType": "lambda", "resource": "invoke", **details}
            self._record(f"Task{step}", **{f"task{step}EventDetails": details})

    def _call(self, request: dict[str, Any], seconds: float) -> Any:
        """Invoke the function on a thread of its own, so that a timeout or StopExecution needn't wait for it."""
        answers: list[Any] = []

        def call() -> None:
            try:
                answer: Any = _invoke(self._services.invoke, request)
            except Exception as failure:  # noqa: BLE001 whoever waits must hear of it, whatever it is
                answer = failure
            with self._changed:
                answers.append(answer)
                self._changed.notify_all()

        self._clock.start_thread(call, name=f"task of {self.name}")
        remaining = float("inf") if self._deadline is None else self._deadline - self._clock.time()
        patience = min(seconds * SLOWNESS, remaining, threading.TIMEOUT_MAX)
        with self._changed:
            answered = self._changed.wait_for(lambda: answers or self.status != "RUNNING", max(0.0, patience))
        if self.status != "RUNNING":
            raise _Over
        if not answered and remaining <= seconds * SLOWNESS:
            self._time_out()
        if not answered:
            raise StatesError(_TIMEOUT, "")
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]


def _invoke(invoke: Callable[[dict[str, Any]], dict[str, Any]], parameters: dict[str, Any]) -> dict[str, Any]:
    """The result of `lambda:invoke`, or the error that Step Functions makes of Lambda's."""
    request = dict(parameters)
    if "Payload" in request:
        request["Payload"] = dumps(request["Payload"]).encode()
    try:
        answer = invoke(request)
        body: bytes = answer["Payload"].read()
    except ClientError as error:
        raise _service_error(error) from error
    except BotoCoreError as error:
        raise StatesError("Lambda.SdkClientException", str(error)) from error
    payload = _parsed(body)
    if "FunctionError" in answer:
        name = payload.get("errorType") if isinstance(payload, dict) else None
        raise StatesError(name or "Lambda.Unknown", body.decode())
    metadata = answer["ResponseMetadata"]
    return {
        "ExecutedVersion": answer.get("ExecutedVersion", "$LATEST"),
        "Payload": payload,
        "SdkHttpMetadata": {"HttpHeaders": metadata["HTTPHeaders"], "HttpStatusCode": metadata["HTTPStatusCode"]},
        "SdkResponseMetadata": {"RequestId": metadata.get("RequestId", "")},
        "StatusCode": answer["StatusCode"],
    }


def _parsed(body: bytes) -> Any:
    """Return what a function answered as a document. Python's runtime hands bytes on as they are, JSON or not.

    JSON is RFC 8259's, so no NaN. How AWS words its refusal isn't published: the stricter reading is that nothing
    catches it.
    """
    try:
        return json.loads(body, parse_constant=_no_constant) if body else ""
    except ValueError as error:
        raise StatesError(RUNTIME, f"The function's answer is not JSON: {error}") from None


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


def _service_error(error: ClientError) -> StatesError:
    code = error.response["Error"]["Code"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    request = error.response["ResponseMetadata"].get("RequestId", "")
    message = error.response["Error"].get("Message", "")
    cause = f"{message} (Service: Lambda, Status Code: {status}, Request ID: {request})"
    if code in ("AccessDeniedException", "AccessDenied"):
        return StatesError("Lambda.AWSLambdaException", cause)
    if not code.endswith("Exception"):
        code = "ServiceException" if status >= 500 else "AWSLambdaException"
    return StatesError(f"Lambda.{code}", cause)


def _knows(rule: dict[str, Any], error: str) -> bool:
    names = rule["ErrorEquals"]
    return error in names or "States.ALL" in names or ("States.TaskFailed" in names and error != _TIMEOUT)


def _catch(state: dict[str, Any], document: Any, failure: StatesError) -> Output:
    """A caught error goes to the catcher's state with the state's own input; OutputPath has no part in it."""
    for catcher in state.get("Catch", []):
        if _knows(catcher, failure.error):
            path = catcher.get("ResultPath", "$")
            error = {"Error": failure.error, "Cause": failure.cause}
            return catcher["Next"], document if path is None else put(document, path, error)
    raise failure


def _following(state: dict[str, Any]) -> str | None:
    following: str | None = state.get("Next")
    return following


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


def _check_seconds(seconds: Any, least: int, field: str) -> None:
    if isinstance(seconds, bool) or not isinstance(seconds, int) or not least <= seconds <= 99_999_999:
        text = f"The {field} parameter does not reference a whole number of seconds: {dumps(seconds)}"
        raise StatesError(RUNTIME, text)


def _check_size(name: str, value: Any) -> None:
    if len(dumps(value).encode()) > MOST_BYTES:
        size = "a result with a size exceeding the maximum number of bytes service limit."
        raise StatesError(_DATA_LIMIT, f"The state/task '{name}' returned {size}")


def _iso(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
