"""The embedded AWS: one endpoint on this machine behind which a deployed template really runs.

    with LocalAws() as aws:
        stack = aws.deploy(template, stack_name="restore", region="us-east-1", parameters={})
        aws.client("stepfunctions").start_execution(stateMachineArn=stack.outputs["StateMachineArn"])

moto keeps the simple services and speaks every protocol; Aurora, Lambda, Step Functions, EventBridge delivery and
IAM are ours. moto's state belongs to the process, so there is at most one LocalAws in a process at a time.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import itertools
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any, NoReturn, Self

import msgspec
from moto.core.base_backend import BackendDict
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server

from scripts.local_aws.aurora.service import OPERATIONS, Aurora, Durations
from scripts.local_aws.cloudformation.accounts import Account, Accounts
from scripts.local_aws.cloudformation.api import CloudFormationApi
from scripts.local_aws.cloudformation.deploy import Stack
from scripts.local_aws.cloudformation.stacks import Stacks
from scripts.local_aws.core.clock import Clock
from scripts.local_aws.core.errors import CannotStart
from scripts.local_aws.core.faults import Faults
from scripts.local_aws.events import put_events
from scripts.local_aws.events.bus import Events
from scripts.local_aws.events.schedules import Schedules
from scripts.local_aws.events.trail import Trail
from scripts.local_aws.front import ApiCall, Front
from scripts.local_aws.iam import bucket_policies
from scripts.local_aws.iam.gate import Permissions
from scripts.local_aws.lambda_runtime.functions import Functions, Invocation
from scripts.local_aws.moto_fixes import (
    foreign_keys,
    given_names,
    item_values,
    keys,
    known_hosts,
    limits,
    missing_operations,
    object_locks,
    resource_shares,
    response_keys,
    secret_deletions,
    secret_versions,
)
from scripts.local_aws.step_functions.api import StateMachines

_RUNTIME = pathlib.Path(__file__).parents[2] / ".venv" / "lambda" / "runtime"

# They come before the accounts, whose service-linked role gets its name from one of them.
_FIXES = (
    secret_versions,
    foreign_keys,
    bucket_policies,
    response_keys,
    item_values,
    known_hosts,
    object_locks,
    resource_shares,
    keys,
    limits,
    missing_operations,
    given_names,
)
_CLOSING_SECONDS = 20
_REMOVAL_SECONDS = 5
_HEIR = str(pathlib.Path(__file__).with_name("heir.py"))

_only_one = threading.Lock()


@dataclasses.dataclass(frozen=True)
class Stats:
    """What has happened so far: invocations of functions, and the latest API calls."""

    invocations: Sequence[Invocation]
    calls: Sequence[ApiCall]

    @property
    def last_call(self) -> ApiCall | None:
        """Return a mark in the log of API calls, which forgets its oldest ones."""
        return self.calls[-1] if self.calls else None

    def calls_since(self, mark: ApiCall | None) -> list[ApiCall]:
        """Return the calls after a mark, or all that are remembered."""
        return list(itertools.takewhile(lambda call: call is not mark, reversed(self.calls)))[::-1]


LONGEST_TEMPORARY_PATH = 66
"""The path of the certificates in it has to fit into the template's RdsCaBundlePath, which takes 100 characters."""


class LocalAws:
    """A running AWS. Close it, or use it as a context manager: nothing that it started or wrote outlives it."""

    def __init__(self, *, real_time: bool = False, port: int = 0, durations: Durations | None = None) -> None:
        """Start. `port` 0 takes any free one; `durations` are AWS's unless given. Raise CannotStart."""
        if not _only_one.acquire(blocking=False):
            raise CannotStart("An embedded AWS is already running in this process; close it first.")
        self._closing = contextlib.ExitStack()
        self._closing.callback(_only_one.release)
        try:
            self._start(real_time, port, durations or Durations())
        except BaseException:  # Ctrl-C as well: what has begun by then is ended
            self._closing.close()
            raise

    def _start(self, real_time: bool, port: int, durations: Durations) -> None:
        if not _RUNTIME.is_dir():
            raise CannotStart(f"{_RUNTIME} is missing. Run scripts/environment.sh, which creates it.")
        listener = self._closing.enter_context(_listen(port))
        self.endpoint_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self.scratch = self._closing.enter_context(_scratch_directory())
        self._closing.callback(BackendDict.reset)
        for fix in _FIXES:
            fix.install()
        self.accounts = Accounts()
        self.account_id = self.accounts.main
        self.operator = self.accounts.operator()
        # No quiet window: a thread that works here holds the clock, and a client's polling must not stop its jumps.
        self.clock = Clock(real_time, quiet_seconds=0.0)
        self.faults = Faults(self.clock.time)
        self.permissions = Permissions()
        self.permissions.install()
        self._closing.callback(self.permissions.uninstall)
        place = self.scratch / "aurora"
        self.aurora = Aurora(self.clock, self.faults, durations, place, self.account_id, self.permissions)
        self._closing.callback(self.aurora.close)
        self.rds_ca_bundle = self.aurora.servers.authority.bundle
        """What a client of a local cluster trusts with sslmode=verify-full."""
        secret_deletions.install(self.clock)
        self.trail = Trail(self.clock)
        self.trail.install()
        self.events = Events(self.clock, self.permissions, self.trail)
        self.events.install()
        put_events.install(self.clock)
        self.schedules = Schedules(self.clock, self.faults, self.permissions, self.endpoint_url)
        self.schedules.install()
        self.functions = Functions(self.clock, self.faults, self.permissions, self.scratch, _RUNTIME)
        self.functions.endpoint_url = self.endpoint_url
        self.functions.install()
        self.aurora.send_event = self.events.happened_in_rds
        self.aurora.is_function = self.functions.has_connection
        self.layers = self.functions.layers
        self.state_machines = StateMachines(self.clock, self.permissions, self.events.execution_status_changed)
        self.state_machines.endpoint_url = self.endpoint_url
        self.state_machines.install()
        self._front = Front(self.clock, self.faults, self.trail, self._control)
        self._front.operations["rds"] = frozenset(OPERATIONS)
        own_account = self.account(self.account_id)
        self.stacks = Stacks(own_account, self.clock.now, self.clock.start_thread)
        cloudformation = CloudFormationApi(self.stacks, own_account)
        self._front.operations["cloudformation"] = cloudformation.operations
        self._front.served["cloudformation"] = cloudformation.answer
        server = _serve(self._front, listener)
        # Last in, first out: answers must stop being awaited before those who wait are joined.
        self._closing.callback(server.server_close)
        self._closing.callback(server.shutdown)
        waits = (self.events.settle, self.schedules.settle, self.state_machines.close)
        for end in (*waits, self.functions.close, self.stacks.close, self.clock.close):
            self._closing.callback(end)
        self._closing.callback(_on_termination(self.close))
        atexit.register(self.close)
        self._closing.callback(atexit.unregister, self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything. A second call does nothing."""
        self._closing.close()

    @property
    def stats(self) -> Stats:
        """Return what has happened so far."""
        return Stats(list(self.functions.invocations), list(self._front.calls))

    def account(self, account_id: str) -> Account:
        """Return this AWS as another account's operator sees it. Raise ValueError for what is no account's number."""
        self.accounts.operator(account_id)
        return Account(account_id, self.endpoint_url, self.accounts, self.permissions, self.layers, self.scratch)

    def client(self, service: str, region: str = "us-east-1", account: str | None = None) -> Any:
        """Return a boto3 client of an operator's, who may do everything in the account."""
        return self.account(account or self.account_id).client(service, region)

    def deploy(self, template: pathlib.Path, *, stack_name: str, region: str, parameters: dict[str, str]) -> Stack:
        """Create everything in a SAM template. Raise TemplateError, in CloudFormation's words where they are known."""
        account = self.account(self.account_id)
        stack = account.deploy(template, stack_name=stack_name, region=region, parameters=parameters)
        self.stacks.add(stack)
        return stack

    def _control(self, method: str, name: str, body: Any) -> Any:
        """Answer what the AWS API does not know, under /_local/. Raise LookupError for anything else."""
        if (method, name) == ("GET", "stats"):
            # Copied at once: others continue to call while these are written out.
            stats = self.stats
            return {
                "invocations": [dataclasses.asdict(each) for each in stats.invocations],
                "calls": [dataclasses.asdict(each) for each in stats.calls],
                "faults": self.faults.pending(),
                "undelivered": [*self.events.undelivered, *self.schedules.undelivered],
            }
        if (method, name) == ("GET", "clock"):
            clock = self.clock
            return {"now": clock.now(), "skipped_seconds": clock.skipped_seconds, "real_time": clock.real_time}
        if (method, name) == ("POST", "faults"):
            return msgspec.structs.asdict(self.faults.add(**body))
        if method == "POST" and name in ("durations", "quotas"):
            changed = dataclasses.replace(getattr(self.aurora, name), **body)
            setattr(self.aurora, name, changed)
            return dataclasses.asdict(changed)
        raise LookupError(name)


@contextlib.contextmanager
def _listen(port: int) -> Any:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            raise CannotStart(f"Port {port} cannot be used ({error.strerror}). Use another, or 0 for any.") from error
        listener.listen(128)
        yield listener


class _Handler(MotoRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        if os.environ.get("LOCAL_AWS_VERBOSE"):
            super().log(type, message, *args)


def _serve(front: Front, listener: socket.socket) -> BaseWSGIServer:
    host, port = listener.getsockname()
    server = make_server(host, port, front, threaded=True, request_handler=_Handler, fd=listener.fileno())
    threading.Thread(target=server.serve_forever, name="local-aws", daemon=True).start()
    return server


@contextlib.contextmanager
def _scratch_directory() -> Iterator[pathlib.Path]:
    """Yield a directory that is removed at the end, by a process that outlives this one if this one is killed."""
    place = tempfile.gettempdir()
    if len(place) > LONGEST_TEMPORARY_PATH:
        raise CannotStart(
            f"The path of the temporary directory {place} has {len(place)} characters; {LONGEST_TEMPORARY_PATH} fit. "
            "Name a shorter one with TMPDIR."
        )
    try:
        directory = pathlib.Path(tempfile.mkdtemp(prefix="local-aws-"))
    except OSError as error:
        raise CannotStart(f"No temporary directory can be created ({error}). Name another with TMPDIR.") from error
    command = [sys.executable, "-I", "-S", _HEIR, str(directory)]
    heir = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, env={})
    try:
        yield directory
    finally:
        assert heir.stdin is not None
        heir.stdin.close()
        # Where freeing what has reached a disk is slow, it continues by itself.
        with contextlib.suppress(subprocess.TimeoutExpired):
            heir.wait(_REMOVAL_SECONDS)


def _on_termination(close: Callable[[], None]) -> Callable[[], None]:
    """Let SIGTERM close everything, and the process die of it; a second one at once. Returns how to undo this.

    It ends the main thread as Ctrl-C does, by an exception: a handler that waited for the closing would keep the locks
    that this thread holds at that moment, and the closing needs them. Only a main thread gets signals; where somebody
    has a handler already, closing is theirs.
    """
    on_main_thread = threading.current_thread() is threading.main_thread()
    if not on_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return lambda: None

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(number, signal.SIG_DFL)
        limit = threading.Timer(_CLOSING_SECONDS, os.kill, (os.getpid(), number))
        limit.daemon = True
        limit.start()
        atexit.register(end, number)
        raise SystemExit(128 + number)

    def end(number: int) -> None:
        close()
        os.kill(os.getpid(), number)

    def undo() -> None:
        if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is terminate:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, terminate)
    return undo
