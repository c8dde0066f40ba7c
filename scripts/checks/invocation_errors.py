"""The meaning of each error that a state machine can meet when it invokes a function: retry it, or stop.

This is the one table of it. Tests hold it against botocore's model of Lambda's Invoke, so that an error that Lambda
declares needs its line here, and hold the Retry blocks of the state machine against it.

When in doubt an error is retried: a retry in vain costs minutes, an error that is not retried may cost the restored
cluster. What stays as it is until a person changes it ends the task.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

Kind = Literal["passes", "died", "stays"]

INVOKE = "https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"
TRANSIENT = "https://docs.aws.amazon.com/step-functions/latest/dg/bp-lambda-serviceexception.html"
ERROR_NAMES = "https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html"
FUNCTION_STATES = "https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html"
RUNTIME_CLIENT = "https://github.com/aws/aws-lambda-python-runtime-interface-client"
WOKEN = "https://github.com/aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws/issues/801"

OUT_OF_MEMORY = "https://github.com/nasa-gcn/gcn.nasa.gov/pull/3628"
RUNTIME_ANSWERS = "https://github.com/floci-io/floci/issues/3314"
UNCERTAIN = "https://github.com/HumanCellAtlas/data-store/pull/1687"

SLOWEST_WAKING_SECONDS = 120
"""How long a task must be retried at least. An idle function was seen back after 40 to 106 seconds (WOKEN)."""


class InvocationError(NamedTuple):
    """One error name as `ErrorEquals` matches it, and what becomes of the task."""

    name: str
    kind: Kind
    why: str
    source: str


_PASSING = {
    # A function that nobody called for weeks is inactive. The first call wakes it, and fails: each function of the
    # state machine does so, each at its own step (also https://github.com/boto/boto3/issues/3788 and
    # https://github.com/keithrozario/Klayers/issues/210).
    "CodeArtifactUserPendingException": ("an idle function is being set up again", WOKEN),
    "CodeArtifactUserDeletedException": ("Lambda sets up what it had removed from an idle function", INVOKE),
    "ENINotReadyException": ("a function in a VPC waits for its network interface", INVOKE),
    "ResourceNotReadyException": ("an inactive function's network is being set up again", INVOKE),
    "ResourceConflictException": ("the function is being created, updated or woken", FUNCTION_STATES),
    "SnapStartNotReadyException": ("the function is being initialised", INVOKE),
    # Room that others take, and give back.
    "EC2ThrottledException": ("EC2 throttles Lambda while it sets the function up", INVOKE),
    "EC2UnexpectedException": ("EC2 had an unexpected error while the function was set up", INVOKE),
    "ENILimitReachedException": ("the VPC has no network interface left at the moment", INVOKE),
    "SubnetIPAddressLimitReachedException": ("a subnet has no address left at the moment", INVOKE),
    "TooManyRequestsException": ("the account's functions are called too often, or too many run", INVOKE),
    "EFSMountConnectivityException": ("the network to a file system failed (this stack mounts none)", INVOKE),
    "EFSMountTimeoutException": ("a file system answered too late (this stack mounts none)", INVOKE),
    "S3FilesMountConnectivityException": ("the network to S3 Files failed (this stack mounts none)", INVOKE),
    "S3FilesMountTimeoutException": ("S3 Files answered too late (this stack mounts none)", INVOKE),
    "SnapStartTimeoutException": ("restoring a SnapStart snapshot took too long (this stack has none)", INVOKE),
    "ServiceException": ("Lambda had an internal error", TRANSIENT),
}
_PASSING_UNDECLARED = {
    # What Step Functions itself says of a call to Lambda; Invoke declares none of them.
    "AWSLambdaException": ("Lambda failed otherwise, or refuses the state machine's role", TRANSIENT),
    "ClientExecutionTimeoutException": ("Lambda did not answer Step Functions in time", TRANSIENT),
    "SdkClientException": ("Step Functions did not reach Lambda", TRANSIENT),
}
_DIED = {
    "Lambda.Unknown": ("the function ended without an answer: out of memory, out of time, crashed", TRANSIENT),
    "Runtime.ExitError": ("the function's process ended", RUNTIME_ANSWERS),
    "Runtime.OutOfMemory": ("the function's process ran out of memory", OUT_OF_MEMORY),
    "Sandbox.Timedout": ("the function ran out of time", RUNTIME_ANSWERS),
    "States.Timeout": ("the task ran out of time", ERROR_NAMES),
}
_STAYING = {
    "CodeArtifactUserFailedException": ("the function has to be deployed again", INVOKE),
    "DurableExecutionAlreadyStartedException": ("no function of this stack is durable", INVOKE),
    "EC2AccessDeniedException": ("the function's role may not make network interfaces", INVOKE),
    "EFSIOException": ("this stack mounts no file system", INVOKE),
    "EFSMountFailureException": ("this stack mounts no file system", INVOKE),
    "InvalidParameterValueException": ("the call itself is wrong", INVOKE),
    "InvalidRequestContentException": ("the call itself is wrong", INVOKE),
    "InvalidRuntimeException": ("the function's runtime does not exist", INVOKE),
    "InvalidSecurityGroupIDException": ("a security group of the function was deleted", INVOKE),
    "InvalidSubnetIDException": ("a subnet of the function was deleted", INVOKE),
    "InvalidZipFileException": ("the function has to be deployed again", INVOKE),
    "KMSAccessDeniedException": ("the key of the environment variables refuses the function's role", INVOKE),
    "KMSDisabledException": ("the key of the environment variables is disabled", INVOKE),
    "KMSInvalidStateException": ("the key of the environment variables cannot be used", INVOKE),
    "KMSNotFoundException": ("the key of the environment variables does not exist", INVOKE),
    "ModeNotSupportedException": ("the function cannot be called and waited for", INVOKE),
    "NoPublishedVersionException": ("the function has no version", INVOKE),
    "RecursiveInvocationException": ("the function calls itself in a circle", INVOKE),
    "RequestTooLargeException": ("the task's input is too large", INVOKE),
    "ResourceNotFoundException": ("the function, or its version, was deleted", INVOKE),
    "RuntimeAliasDeletedException": ("the function has to be deployed again", INVOKE),
    "RuntimeVersionDeletedException": ("the function has to be deployed again", INVOKE),
    "S3FilesMountFailureException": ("this stack mounts no S3 Files", INVOKE),
    "SerializedRequestEntityTooLargeException": ("the task's input is too large", INVOKE),
    "ServiceQuotaExceededException": ("a quota of Lambda has to be raised", INVOKE),
    "SnapStartException": ("no function of this stack has SnapStart", INVOKE),
    "SnapStartRegenerationFailureException": ("no function of this stack has SnapStart", INVOKE),
    "UnsupportedMediaTypeException": ("the call itself is wrong", INVOKE),
}
_STAYING_OTHERWISE = {
    # The runtime's own names for a function that cannot begin or whose answer cannot be sent.
    "Runtime.AfterRestoreError": ("no function of this stack has SnapStart", RUNTIME_CLIENT),
    "Runtime.BeforeSnapshotError": ("no function of this stack has SnapStart", RUNTIME_CLIENT),
    "Runtime.BuiltInModuleConflict": ("the function's package is broken: deploy again", RUNTIME_CLIENT),
    "Runtime.HandlerNotFound": ("the function's package is broken: deploy again", RUNTIME_CLIENT),
    "Runtime.ImportModuleError": ("the function's package or its layer is broken: deploy again", RUNTIME_CLIENT),
    "Runtime.LambdaContextUnmarshalError": ("the runtime and Lambda do not understand each other", RUNTIME_CLIENT),
    "Runtime.LambdaRuntimeClientError": ("the runtime and Lambda do not understand each other", RUNTIME_CLIENT),
    "Runtime.MalformedHandlerName": ("the function's handler is misspelt: deploy again", RUNTIME_CLIENT),
    "Runtime.MarshalError": ("the function's answer is no JSON: a fault of the pipeline's", RUNTIME_CLIENT),
    "Runtime.UnmarshalError": ("the task's input is no JSON: a fault of the pipeline's", RUNTIME_CLIENT),
    "Runtime.UserCodeSyntaxError": ("the function's package is broken: deploy again", RUNTIME_CLIENT),
    "Function.ResponseSizeTooLarge": ("the function's answer is above 6 MB: a fault of the pipeline's", INVOKE),
    # Step Functions' own.
    "States.HeartbeatTimeout": ("no task of this state machine has a heartbeat", ERROR_NAMES),
    "States.TaskFailed": ("Lambda may or may not have run; retrying this name would retry every error", UNCERTAIN),
    "States.Permissions": ("the state machine's role lacks a permission", ERROR_NAMES),
    "States.DataLimitExceeded": ("data are above 256 KiB: a fault of the pipeline's", ERROR_NAMES),
    "States.Runtime": ("the definition and its data do not fit; nothing catches this", ERROR_NAMES),
    # utils.errors
    "CapacityShortage": ("AWS had no room until the restore's deadline; what exists is kept", "utils/errors.py"),
    "ChecksFailed": ("checks of the restored data did not hold, and a retry finds the same", "utils/errors.py"),
    "DuplicateRefused": ("the same start came twice; the first execution continues", "utils/errors.py"),
    "MaskingGateFailed": (
        "the data are not masked as the policy requires, and a retry masks no better",
        "utils/errors.py",
    ),
    "MasterLoginRefused": ("RDS is asked to set the master password again", "utils/errors.py"),
    "RequestRefused": ("the request cannot be carried out as it stands", "utils/errors.py"),
    "StepFailed": ("a person has to act on what the message says", "utils/errors.py"),
}


def _rows() -> Iterator[InvocationError]:
    own = ("the function asks to be called again: AWS or the database does not answer yet", "utils/errors.py")
    yield InvocationError("TemporaryFailure", "passes", *own)
    for name, (why, source) in {**_PASSING, **_PASSING_UNDECLARED}.items():
        yield InvocationError(f"Lambda.{name}", "passes", why, source)
    for name, (why, source) in _DIED.items():
        yield InvocationError(name, "died", why, source)
    for name, (why, source) in _STAYING.items():
        yield InvocationError(f"Lambda.{name}", "stays", why, source)
    for name, (why, source) in _STAYING_OTHERWISE.items():
        yield InvocationError(name, "stays", why, source)


INVOCATION_ERRORS = tuple(_rows())
UNDECLARED = frozenset(f"Lambda.{name}" for name in _PASSING_UNDECLARED) | {"Lambda.Unknown"}
"""The names after `Lambda.` that Step Functions makes up itself."""


def names(kind: Kind) -> list[str]:
    """Return the error names of one kind, in the table's order."""
    return [row.name for row in INVOCATION_ERRORS if row.kind == kind]


def invocation_errors_table() -> str:
    """Return the table as a page shows it."""
    becomes = {"passes": "retried until it passes", "died": "retried three times", "stays": "ends the task"}
    rows = ["| Error | Meaning | What becomes of the task |", "|---|---|---|"]
    rows += [f"| [`{row.name}`]({row.source}) | {row.why} | {becomes[row.kind]} |" for row in INVOCATION_ERRORS]
    return "\n".join(rows).replace("(utils/errors.py)", "(../../utils/errors.py)") + "\n"
