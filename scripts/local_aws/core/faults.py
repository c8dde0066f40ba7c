"""Failures that a test or a user asks for, so that every bad day can be rehearsed.

A rule is one JSON object and one of five kinds:

* an API call is refused, or takes effect and its answer is lost: `{"operation": "rds:CopyDBClusterSnapshot",
  "code": "Throttling", "times": 2}`, `{"operation": "rds:DeleteDBCluster", "answer": "lost"}`; a `region` and
  `parameters` narrow it down, as in `"parameters": {"SourceDBClusterSnapshotIdentifier": "arn:*:210987654321:*"}`.
  With the answer `held` a call waits, and nothing passes the time, until the rules are cleared or `release` is called;
  then it is carried out: a function that is at work while its execution is stopped.
  DescribeDBClusters with the answer `stale` shows each cluster as it was before its last change, and with the answer
  `empty` none: AWS's reads are eventually consistent.
  With `seconds` every such call is refused for so long, from the first one on: `{"operation": "lambda:Invoke",
  "parameters": {"FunctionName": "*-snapshot-check*"}, "code": "ResourceNotReadyException", "seconds": 106}`;
* something long ends badly: `{"lifecycle": "copy-snapshot", "identifier": "nightly-*", "status": "failed",
  "at_percent": 40}`;
* a function's process dies: `{"function": "aurora-restore-copy-snapshot", "die": "after"}` (its effects stay);
* a schedule's event comes twice, the second time so many seconds after the first one: `{"schedule": "aurora-restore-*",
  "seconds": 30}`;
* a cluster's name leads elsewhere for so long, from when the cluster next has it, is restarted or is reachable again:
  `{"name": "shop", "seconds": 600}` nowhere, as where a resolver keeps that it does not exist (RFC 2308; Route 53
  Developer Guide, "SOA record": up to 900 s), and with `"leads": "shop-old"` to that cluster's writer, as where it
  keeps an address.

Names may hold `*` and `?`. A rule strikes `times` times (once unless said otherwise) and is then spent.
"""

from __future__ import annotations

import fnmatch
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Annotated, Any, Literal, TypeVar

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]


class ApiFault(msgspec.Struct, eq=False, forbid_unknown_fields=True):
    """An API call that fails. `operation` is named as in IAM, but by the API's own operation: `lambda:Invoke`.

    `region` and `parameters` (patterns by top-level name) narrow it down to some of the operation's calls. Without an
    `http_status` it is the one that the API's model has for the code, else 400. `seconds` replaces `times`.
    """

    operation: str
    region: str = "*"
    parameters: dict[str, str] = {}
    code: str = ""
    message: str = ""
    http_status: int | None = None
    answer: Literal["refused", "lost", "held", "stale", "empty"] = "refused"
    times: Count = 1
    seconds: Seconds = 0

    def __post_init__(self) -> None:
        if self.answer == "refused" and not self.code:
            raise ValueError("a refused operation needs the error's code, such as 'Throttling'")
        if self.answer in ("stale", "empty") and self.operation != "rds:DescribeDBClusters":
            raise ValueError(f"only rds:DescribeDBClusters can be {self.answer}, not {self.operation}")
        if self.seconds and self.times != 1:
            raise ValueError(f"a fault strikes `times` times or for `seconds`, not {self.times} and {self.seconds}")

    def strikes(self, operation: str, region: str, parameters: Mapping[str, str]) -> bool:
        """Return whether a call is one of those that fail."""
        return (
            fnmatch.fnmatchcase(operation, self.operation)
            and fnmatch.fnmatchcase(region, self.region)
            and all(fnmatch.fnmatchcase(parameters.get(name, ""), self.parameters[name]) for name in self.parameters)
        )


class LifecycleFault(msgspec.Struct, eq=False, forbid_unknown_fields=True):
    """A copy, restore, creation, export or password reset that ends in `status` instead of `available`.

    An export that ends as `complete` does so with a warning. A password reset has no status of its own to fail with:
    it stays pending for ever or, with the status `lost`, is called applied and is not. An instance that becomes
    `available` is only quicker or slower (up to 1000 percent). A rename that is struck ends under the old name, a
    restart leaves the certificate as it was, and the groups of a cluster or an instance stay as they are on the way.
    """

    lifecycle: Literal[
        "change-groups",
        "copy-snapshot",
        "create-instance",
        "export-snapshot",
        "rename-cluster",
        "renew-certificate",
        "reset-master-password",
        "restore-cluster",
    ]
    identifier: str = "*"
    status: str = "failed"
    at_percent: Annotated[int, msgspec.Meta(ge=0)] = 100
    times: Count = 1

    def __post_init__(self) -> None:
        most = 1000 if self.lifecycle == "create-instance" and self.status == "available" else 100
        if self.at_percent > most:
            raise ValueError(f"at_percent must be between 0 and {most}, not {self.at_percent}")


class FunctionFault(msgspec.Struct, eq=False, forbid_unknown_fields=True):
    """A function whose process dies before its handler runs, or after it ran and before its answer arrived."""

    function: str
    die: Literal["before", "after"] = "before"
    times: Count = 1


class ScheduleFault(msgspec.Struct, eq=False, forbid_unknown_fields=True):
    """A schedule's event that is delivered a second time: EventBridge Scheduler promises at least one delivery."""

    schedule: str
    seconds: Seconds = 0
    times: Count = 1


class NameFault(msgspec.Struct, eq=False, forbid_unknown_fields=True):
    """A cluster's endpoint that leads nowhere, or to the writer of the cluster that `leads` names, for `seconds`."""

    name: str
    seconds: Annotated[float, msgspec.Meta(gt=0)]
    leads: str = ""


Striking = ApiFault | LifecycleFault | FunctionFault | ScheduleFault
Fault = Striking | NameFault
_F = TypeVar("_F", ApiFault, LifecycleFault, FunctionFault, ScheduleFault)
_KINDS: dict[str, type[Fault]] = {
    "operation": ApiFault,
    "lifecycle": LifecycleFault,
    "function": FunctionFault,
    "schedule": ScheduleFault,
    "name": NameFault,
}


class Faults:
    """The rules that have not been spent, oldest first. Safe to use from every thread.

    `now` gives the time in seconds, for rules that strike for so long.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._rules: list[Fault] = []
        self._now = now
        self._ends: dict[Fault, float] = {}
        self._released = threading.Condition()
        self.held = 0
        # How the call that this thread is answering sees what exists: as it is, `stale` or `empty`.
        self.view: ContextVar[str] = ContextVar("view", default="")

    def add(self, **rule: Any) -> Fault:
        """Add one rule. Raise ValueError that names what is wrong with it."""
        kind = next((_KINDS[key] for key in _KINDS if key in rule), None)
        if kind is None:
            raise ValueError(
                f"a fault names an 'operation', 'lifecycle', 'function', 'schedule' or 'name'; got {sorted(rule)}"
            )
        try:
            fault = msgspec.convert(rule, kind)
        except msgspec.ValidationError as error:
            raise ValueError(f"{error}, in {rule}. The fields: scripts/local_aws/core/faults.py") from error
        with self._lock:
            self._rules.append(fault)
        return fault

    def clear(self) -> None:
        """Forget all rules, and release the calls that are held."""
        with self._lock:
            self._rules.clear()
            self._ends.clear()
        self.release()

    def hold(self) -> None:
        """Wait until the calls that are held are released. `held` counts them."""
        with self._released:
            self.held += 1
            self._released.wait()

    def release(self) -> None:
        """Let the calls continue that are held."""
        with self._released:
            self.held = 0
            self._released.notify_all()

    def pending(self) -> list[dict[str, Any]]:
        """Return the rules that may still strike."""
        with self._lock:
            return [msgspec.structs.asdict(rule) for rule in self._rules]

    def api(self, operation: str, region: str, parameters: Mapping[str, str]) -> ApiFault | None:
        """Return the fault that strikes this call, which is spent by that."""
        return self._strike(ApiFault, lambda rule: rule.strikes(operation, region, parameters))

    def lifecycle(self, lifecycle: str, identifier: str) -> LifecycleFault | None:
        """Return the fault that strikes what is about to start, which is spent by that."""
        return self._strike(
            LifecycleFault,
            lambda rule: rule.lifecycle == lifecycle and fnmatch.fnmatchcase(identifier, rule.identifier),
        )

    def function(self, name: str) -> FunctionFault | None:
        """Return the fault that strikes this invocation, which is spent by that."""
        return self._strike(FunctionFault, lambda rule: fnmatch.fnmatchcase(name, rule.function))

    def schedule(self, name: str) -> ScheduleFault | None:
        """Return the fault that strikes this moment of a schedule, which is spent by that."""
        return self._strike(ScheduleFault, lambda rule: fnmatch.fnmatchcase(name, rule.schedule))

    def name(self, name: str) -> tuple[NameFault, float] | None:
        """Return where a cluster's name leads instead, and until when. It begins with the first look."""
        with self._lock:
            now = self._now()
            for rule in self._rules[:]:
                if isinstance(rule, NameFault) and fnmatch.fnmatchcase(name, rule.name):
                    ends = self._ends.setdefault(rule, now + rule.seconds)
                    if now < ends:
                        return rule, ends
                    self._rules.remove(rule)
        return None

    def _strike(self, kind: type[_F], strikes: Callable[[_F], bool]) -> _F | None:
        with self._lock:
            for rule in self._rules[:]:
                if isinstance(rule, kind) and strikes(rule) and self._take(rule):
                    return rule
        return None

    def _take(self, rule: Striking) -> bool:
        """Return whether the rule still strikes. One with `seconds` does until they are over, from its first strike."""
        if isinstance(rule, ApiFault) and rule.seconds:
            now = self._now()
            if now >= self._ends.setdefault(rule, now + rule.seconds):
                self._rules.remove(rule)
                return False
            return True
        rule.times -= 1
        if not rule.times:
            self._rules.remove(rule)
        return True
