"""Lambda functions, each run in execution environments of its own (environment.py) that see what Lambda would show.

That is the function's code, its layers, AWS's environment variables and its role's credentials. None of our own
packages can be imported, so a dependency that was not packaged fails here as it would fail there.

Deviations from Lambda, all on the generous side: this machine's Python runs the code of every `Runtime`, memory
and /tmp are not limited, and time limits are stretched by SLOWNESS. An invocation is timed in real time even if the
clock jumps. Asynchronous invocations are retried twice, one and two minutes later, as on AWS.

A function that nobody has called for two weeks is inactive: the call that wakes it fails, and so does every other until
it is back (https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html; what it says is from
https://github.com/boto/boto3/issues/3788, how long it takes from
https://github.com/aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws/issues/801).
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import os
import pathlib
import socket
import sys
import threading
import time
import uuid
import zipfile
from typing import Any, ClassVar
from urllib.parse import urlsplit

import moto.awslambda.models as moto_lambda
import moto.awslambda.urls as moto_lambda_urls
from moto.awslambda.exceptions import UnknownFunctionException
from moto.ec2.models import ec2_backends
from moto.logs.models import logs_backends
from moto.utilities.utils import get_partition

from scripts.local_aws.core.arns import unqualified
from scripts.local_aws.core.clock import Clock
from scripts.local_aws.core.errors import AwsError, NotImplementedByLocalAws
from scripts.local_aws.core.faults import Faults
from scripts.local_aws.core.json_text import loads
from scripts.local_aws.core.logs import append
from scripts.local_aws.iam.gate import NotAuthorized, Permissions
from scripts.local_aws.lambda_runtime.environment import Environment, Outcome, Request, failure
from scripts.local_aws.postgres.gateway import Connection, Place

SLOWNESS = 4
"""How many times longer than on AWS something may take here before it counts as timed out."""

MOST_IDLE = 32
"""Execution environments that are kept without work, in all: those of two stacks. Each holds about 60 MB."""

IDLE_SECONDS = 14 * 86_400
"""After so long without a call a function is inactive. The guide says so of functions in a VPC; of others people do."""

WAKING_SECONDS = 106
"""How long an inactive function's calls fail, from the first on."""

_ASYNCHRONOUS_RETRIES = 2
_LAMBDA = "lambda.amazonaws.com"
_NETWORK_ACTIONS = ("CreateNetworkInterface", "DescribeNetworkInterfaces", "DeleteNetworkInterface")
_BEING_INITIALISED = (
    "CodeArtifactUserPendingException",
    "Lambda is initializing your function. It will be ready to invoke shortly.",
)
_NO_NETWORK = (
    "ResourceNotReadyException",
    "The function is inactive and its VPC connection is no longer available. "
    "Wait for the VPC connection to reestablish and try again.",
)


@dataclasses.dataclass(frozen=True)
class Invocation:
    """One finished invocation, for the record."""

    function: str
    cold: bool
    milliseconds: float
    error: str | None
    peak_mib: float | None = None
    """The most memory that the function's process has had so far; None where the system does not report it."""


def _as_linux_says(place: Place) -> str:
    """Return a place as /proc/net/tcp has it (proc_net_tcp in the kernel's documentation)."""
    return f"{int.from_bytes(socket.inet_aton(place.address), sys.byteorder):08X}:{place.port:04X}"


class Functions:
    """Every function's execution environments.

    `layers` says which directories stand for a layer version instead of its zip file: 40 MB of packages need not be
    zipped and unzipped at every start. Modules are looked for in a directory's `python`, or in itself without one.
    """

    def __init__(
        self, clock: Clock, faults: Faults, permissions: Permissions, root: pathlib.Path, runtime: pathlib.Path
    ) -> None:
        self.endpoint_url = ""
        self.layers: dict[str, list[pathlib.Path]] = {}
        self.invocations: list[Invocation] = []
        self._clock = clock
        self._faults = faults
        self.permissions = permissions
        self._root = root
        self._runtime = runtime
        self._lock = threading.RLock()
        self._environments: set[Environment] = set()
        self._idle: list[tuple[object, Environment]] = []
        self._unpacked: dict[str, pathlib.Path] = {}
        self._closed = threading.Event()
        self._asynchronous: list[threading.Thread] = []

    def install(self) -> None:
        """Let every function that moto creates from now on run in processes of ours."""
        ProcessFunction.functions = self
        moto_lambda.LambdaFunction = ProcessFunction  # type: ignore[misc]
        moto_lambda.lambda_backends.backend = FunctionsBackend

    def wake(self, function: ProcessFunction) -> None:
        """Raise what Lambda answers while a function is inactive or on its way back; the first call sets it going."""
        now = self._clock.time()
        with self._lock:
            if function.awake_at is None and now - function.called_at > IDLE_SECONDS:
                function.awake_at = now + WAKING_SECONDS
            if function.awake_at is not None and now < function.awake_at:
                raise AwsError(*(_NO_NETWORK if function._is_in_a_vpc else _BEING_INITIALISED))
            function.awake_at = None
            function.called_at = now

    def called_now(self, function: ProcessFunction) -> None:
        """Note that the function is in use. An event waits in Lambda's queue until the function is awake."""
        with self._lock:
            function.awake_at = None
            function.called_at = self._clock.time()

    def is_idle(self, function: ProcessFunction) -> bool:
        """Return whether nobody has called the function for two weeks."""
        return self._clock.time() - function.called_at > IDLE_SECONDS

    def invoke(self, function: ProcessFunction, payload: bytes) -> tuple[Outcome, str]:
        """Run the function once and wait for its answer. Return the outcome and the invocation's log."""
        request_id = str(uuid.uuid4())
        fault = self._faults.function(function.function_name)
        with self._clock.busy():
            started = time.monotonic()
            environment = self._take(function)
            cold, environment.cold = environment.cold, False
            failed = environment.initialise(request_id) if cold else None
            called = time.monotonic()
            outcome = failed or failure(request_id, "Runtime.ExitError", "Runtime exited with error: signal: killed")
            if failed is None and (fault is None or fault.die == "after"):
                seconds = float(function.timeout)
                request = Request(request_id, payload, function.function_arn, seconds * SLOWNESS)
                answered = environment.invoke(request, seconds)
                outcome = answered if fault is None else outcome
            milliseconds = (time.monotonic() - called) * 1000
            report = f"REPORT RequestId: {request_id}\tDuration: {milliseconds:.2f} ms\t"
            report += f"Memory Size: {function.memory_size} MB"
            if (peak := environment.peak_mib()) is not None:
                report += f"\tMax Memory Used: {peak:.0f} MB"
            if cold:
                report += f"\tInit Duration: {(called - started) * 1000:.2f} ms"
            lines = [f"START RequestId: {request_id} Version: {function.version}", *environment.output()]
            lines += [f"END RequestId: {request_id}", report]
            self._write_log(function, environment.log_stream, lines)
            self._give_back(function, environment, outcome.reusable)
            elapsed = (time.monotonic() - started) * 1000
            self.invocations.append(Invocation(function.function_name, cold, elapsed, outcome.error_type, peak))
        if outcome.error_type is not None:
            outcome = dataclasses.replace(outcome, payload=self._as_on_lambda(function, outcome.payload))
        return outcome, "\n".join(lines)

    def _as_on_lambda(self, function: ProcessFunction, document: bytes) -> bytes:
        """Return an error document whose stack trace names files where Lambda has them."""
        layers = [
            (directory, "/opt/python") for arn in function._layer_arns for directory in self._layer(function, arn)
        ]
        for directory, place in [(self._unpack(function.code_sha_256, function.code_bytes), "/var/task"), *layers]:
            document = document.replace(f"{directory}/".encode(), f"{place}/".encode())
        return document

    def invoke_later(self, function: ProcessFunction, payload: bytes) -> None:
        """Invoke asynchronously. After its retries a failed event is dropped."""
        with self._lock:
            running = [thread for thread in self._asynchronous if thread.is_alive()]
            new = self._clock.start_thread(self._retried, function, payload, name="lambda-async")
            self._asynchronous = [*running, new]

    def _retried(self, function: ProcessFunction, payload: bytes) -> None:
        retries = function._asynchronous_retries
        for attempt in range(retries + 1):
            try:
                outcome, _ = self.invoke(function, payload)
            except NotImplementedByLocalAws:
                if self._closed.is_set():
                    return
                raise
            if outcome.error_type is None or attempt == retries:
                return
            if self._clock.sleep(60 * (attempt + 1), self._closed):
                return

    def has_connection(self, client: Connection) -> bool:
        """Return whether a connection is a function's. Linux only: elsewhere none is known."""
        ends = [_as_linux_says(each) for each in client]
        try:
            rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        except OSError:
            return False
        inode = next((row[9] for row in rows if row[1:3] == ends), None)
        with self._lock:
            environments = list(self._environments)
        return inode is not None and any(each.has_open(inode) for each in environments)

    def close(self) -> None:
        """End every process. What waits for an answer gets one: the runtime exited."""
        self._closed.set()
        with self._lock:
            environments, self._environments, self._idle = self._environments, set(), []
        for environment in environments:
            environment.close()
        for thread in self._asynchronous:
            thread.join()

    def _take(self, function: ProcessFunction) -> Environment:
        signature = function._signature()
        with self._lock:
            for position in reversed(range(len(self._idle))):
                if self._idle[position][0] == signature:
                    return self._idle.pop(position)[1]
        variables = self._variables(function)
        task = self._unpack(function.code_sha_256, function.code_bytes)
        log = self._root / f"{uuid.uuid4().hex}.log"
        with self._lock:
            if self._closed.is_set():
                raise NotImplementedByLocalAws("The embedded AWS is closing; it starts no function.")
            environment = Environment(variables, function.handler or "", task, log)
            self._environments.add(environment)
        return environment

    def _give_back(self, function: ProcessFunction, environment: Environment, reusable: bool) -> None:
        with self._lock:
            if environment not in self._environments:
                return
            surplus = [] if reusable else [environment]
            if reusable:
                self._idle.append((function._signature(), environment))
                while len(self._idle) > MOST_IDLE:
                    surplus.append(self._idle.pop(0)[1])
            self._environments.difference_update(surplus)
        for each in surplus:
            each.close()

    def _write_log(self, function: ProcessFunction, stream: str, lines: list[str]) -> None:
        """Write as the function's role, so a role that may not write logs leaves none, as on AWS."""
        partition = get_partition(function.region)
        group = f"arn:{partition}:logs:{function.region}:{function.account_id}:log-group:{function._log_group}"
        backend = logs_backends[function.account_id][function.region]
        needed = [("logs:CreateLogStream", f"{group}:*"), ("logs:PutLogEvents", f"{group}:log-stream:{stream}")]
        if function._log_group not in backend.groups:
            needed.insert(0, ("logs:CreateLogGroup", group))
        try:
            for action, resource in needed:
                session = function.function_name
                self.permissions.require(function.role, action, resource, session_name=session, region=function.region)
        except NotAuthorized:
            return
        append(backend, function._log_group, stream, lines, self._clock.time())

    def _variables(self, function: ProcessFunction) -> dict[str, str]:
        task = self._unpack(function.code_sha_256, function.code_bytes)
        layers = [directory for arn in function._layer_arns for directory in self._layer(function, arn)]
        role = self.permissions.assume(
            function.role,
            service=_LAMBDA,
            session_name=function.function_name,
            region=function.region,
            function_arn=unqualified(function.function_arn)[0],
        )
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "en_US.UTF-8",
            # Nobody's: else libraries would find the certificates and settings of the person who runs this.
            "HOME": "/dev/null",
            "TZ": ":UTC",
            "PYTHONPATH": os.pathsep.join(str(path) for path in [task, *layers, self._runtime]),
            "LAMBDA_TASK_ROOT": str(task),
            "_HANDLER": function.handler or "",
            "AWS_REGION": function.region,
            "AWS_DEFAULT_REGION": function.region,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.run_time}",
            "AWS_LAMBDA_FUNCTION_NAME": function.function_name,
            "AWS_LAMBDA_FUNCTION_VERSION": str(function.version),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_size),
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": function._log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": f"{self._clock.now():%Y/%m/%d}/[{function.version}]{uuid.uuid4().hex}",
            "AWS_LAMBDA_LOG_FORMAT": function.logging_config.get("LogFormat", "Text"),
            "AWS_LAMBDA_LOG_LEVEL": function.logging_config.get("ApplicationLogLevel", ""),
            "AWS_ENDPOINT_URL": self.endpoint_url,
            **role.environment(),
            **{
                name: self._reached(function, name, str(value))
                for name, value in (function.environment_vars or {}).items()
            },
        }

    def _reached(self, function: ProcessFunction, name: str, value: str) -> str:
        """Return where a service's own endpoint leads: a host name of a VPC endpoint that exists leads to this AWS."""
        if not name.startswith("AWS_ENDPOINT_URL_"):
            return value
        network = ec2_backends[function.account_id][function.region]
        endpoints = [each for each in network.vpc_end_points.values() if each.state != "deleted"]
        names = {entry["dns_name"] for each in endpoints for entry in each.dns_entries or []}
        return self.endpoint_url if urlsplit(value).hostname in names else value

    def _layer(self, function: ProcessFunction, arn: str) -> list[pathlib.Path]:
        directories = self.layers.get(arn)
        if directories is None:
            version = moto_lambda.lambda_backends[function.account_id][function.region].layers_versions_by_arn(arn)
            assert version is not None  # CreateFunction refuses a layer that does not exist.
            directories = [self._unpack(version.code_sha_256, version.code_bytes)]
        return [path / "python" if (path / "python").is_dir() else path for path in directories]

    def _unpack(self, digest: str, content: bytes) -> pathlib.Path:
        with self._lock:
            if digest not in self._unpacked:
                target = self._root / f"code-{len(self._unpacked)}"
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    archive.extractall(target)
                self._unpacked[digest] = target
            return self._unpacked[digest]


class FunctionsBackend(moto_lambda.LambdaBackend):
    """One region's functions."""

    @property
    def _url_module(self) -> Any:
        return moto_lambda_urls

    def invoke(self, function_name: str, qualifier: str | None, *rest: Any) -> str | bytes | None:
        """Invoke a function. What is missing is called by its full name, version included, as recorded on AWS.

        LocalStack's validated snapshots, tests/aws/services/lambda_, test_function_name_and_qualifier_validation.
        """
        try:
            return super().invoke(function_name, qualifier, *rest)
        except UnknownFunctionException as error:
            arn = str(error.message).removeprefix("Function not found: ")
            qualified = arn if unqualified(arn)[1] else f"{arn}:{qualifier or '$LATEST'}"
            raise UnknownFunctionException(qualified) from None


class ProcessFunction(moto_lambda.LambdaFunction):
    """moto's function, run by us. Every invocation passes here: the API's, and SNS's and EventBridge's deliveries."""

    functions: ClassVar[Functions]

    def __init__(self, account_id: str, spec: dict[str, Any], region: str, version: str | int = 1) -> None:
        if not str(spec.get("Runtime")).startswith("python"):
            raise NotImplementedByLocalAws(f"Only Python functions run locally; {spec['FunctionName']} is none.")
        self._check_role(spec)
        super().__init__(account_id, spec, region, version)
        self.logging_config: dict[str, str] = spec.get("LoggingConfig") or {}
        self.called_at = 0.0
        self.awake_at: float | None = None
        self.functions.called_now(self)

    def _check_role(self, spec: dict[str, Any]) -> None:
        permissions = self.functions.permissions
        refused = "InvalidParameterValueException"
        if not permissions.trusts(spec["Role"], _LAMBDA):
            raise AwsError(refused, "The role defined for the function cannot be assumed by Lambda.")
        if (spec.get("VpcConfig") or {}).get("SubnetIds"):
            for action in _NETWORK_ACTIONS:
                try:
                    permissions.require(spec["Role"], f"ec2:{action}", "*")
                except NotAuthorized:
                    message = f"The provided execution role does not have permissions to call {action} on EC2"
                    raise AwsError(refused, message) from None

    @property
    def _is_in_a_vpc(self) -> bool:
        return bool((self.vpc_config or {}).get("SubnetIds"))

    @property
    def _log_group(self) -> str:
        return self.logging_config.get("LogGroup") or f"/aws/lambda/{self.function_name}"

    @property
    def _layer_arns(self) -> list[str]:
        return [str(layer["Arn"]) for layer in self.layers]

    @property
    def _asynchronous_retries(self) -> int:
        configured = [config.config.get("MaximumRetryAttempts") for config in self.event_invoke_config]
        return next((int(retries) for retries in configured if retries is not None), _ASYNCHRONOUS_RETRIES)

    def _signature(self) -> object:
        """Return what two invocations must have in common to share an execution environment."""
        variables = json.dumps(self.environment_vars, sort_keys=True, default=str)
        return self.function_arn, self.code_sha_256, self.handler, self.role, variables, *self._layer_arns

    def get_configuration(self, on_create: bool = False) -> dict[str, Any]:
        """Return the configuration with the two things that moto has no place for."""
        logging_config = {"LogFormat": "Text", **self.logging_config, "LogGroup": self._log_group}
        asleep = {"State": "Inactive", "StateReasonCode": "Idle"} if self.functions.is_idle(self) else {}
        return {**super().get_configuration(on_create), "LoggingConfig": logging_config, **asleep}

    def update_function_code(self, updated_spec: dict[str, Any]) -> dict[str, Any]:
        """Take the architecture too: it is changed with the code (API reference, UpdateFunctionCode), not in moto."""
        self.architectures = updated_spec.get("Architectures", self.architectures)
        return super().update_function_code(updated_spec)

    def update_configuration(self, config_updates: dict[str, Any]) -> dict[str, Any]:
        """Change the LoggingConfig as well, which moto ignores."""
        self.logging_config = config_updates.get("LoggingConfig", self.logging_config)
        return super().update_configuration(config_updates)

    def invoke(self, body: str, request_headers: Any, response_headers: Any) -> str | bytes:
        """Invoke the function. Deliveries by other services have no headers and are asynchronous, as on AWS."""
        payload = (body or "{}").encode()
        try:
            loads(payload)
        except ValueError as error:  # LocalStack's snapshots: test_lambda_invoke_payload_encoding_error
            message = f"Could not parse request body into json: Could not parse payload into json: {error}"
            raise AwsError("InvalidRequestContentException", message) from None
        kind = request_headers.get("X-Amz-Invocation-Type", "RequestResponse" if request_headers else "Event")
        if kind == "DryRun":
            return b""
        if kind == "Event":
            self.functions.called_now(self)
            self.functions.invoke_later(self, payload)
            return b""
        self.functions.wake(self)
        outcome, log = self.functions.invoke(self, payload)
        if outcome.error_type is not None:
            response_headers["x-amz-function-error"] = "Unhandled"
        response_headers["X-Amz-Executed-Version"] = str(self.version)
        response_headers["x-amz-log-result"] = base64.b64encode(log.encode()[-4096:]).decode()
        return outcome.payload
