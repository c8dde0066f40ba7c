"""Failures that a test or a user asks for, so that every bad day can be rehearsed.

A rule is one JSON object and one of four kinds:

* an API call is refused, or takes effect and its answer is lost: `{"operation": "rds:CopyDBClusterSnapshot",
  "code": "Throttling", "times": 2}`, `{"operation": "rds:DeleteDBCluster", "answer": "lost"}`; a `region` and
  `parameters` narrow it down, as in `"parameters": {"SourceDBClusterSnapshotIdentifier": "arn:*:210987654321:*"}`.
  With the answer `held` a call waits, and nothing passes the time, until the rules are cleared or `release` is called;
  then it is carried out: a function that is at work while its execution is stopped.
  With `seconds` every such call is refused for so long, from the first one on: `{"operation": "lambda:Invoke",
  "parameters": {"FunctionName": "*-snapshot-check*"}, "code": "ResourceNotReadyException", "seconds": 106}`;
* something long ends badly: `{"lifecycle": "copy-snapshot", "identifier": "nightly-*", "status": "failed",
  "at_percent": 40}`;
* a function's process dies: `{"function": "aurora-restore-copy-snapshot", "die": "after"}` (its effects stay);
* a schedule's event comes twice, the second time so many seconds after the first one: `{"schedule": "aurora-restore-*",
  "seconds": 30}`.

Names may hold `*` and `?`. A rule strikes `times` times (once unless said otherwise) and is then spent.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

LIFECYCLES = ("copy-snapshot", "restore-cluster", "create-instance", "reset-master-password", "export-snapshot")


@dataclasses.dataclass(frozen=True)
class ApiFault:
    """An API call that fails. `operation` is named as in IAM, but by the API's own operation: `lambda:Invoke`.

    `region` and `parameters` (patterns by top-level name) narrow it down to some of the operation's calls. Without an
    `http_status` it is the one that the API's model has for the code, else 400. `seconds` replaces `times`.
    """

    operation: str
    region: str = "*"
    parameters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    code: str = ""
    message: str = ""
    http_status: int | None = None
    answer: Literal["refused", "lost", "held"] = "refused"
    times: int = 1
    seconds: float = 0

    def __post_init__(self) -> None:
        if self.answer not in ("refused", "lost", "held"):
            raise ValueError(f"answer must be 'refused', 'lost' or 'held', not {self.answer!r}")
        if self.answer == "refused" and not self.code:
            raise ValueError("a refused operation needs the error's code, such as 'Throttling'")
        if not isinstance(self.parameters, Mapping):
            raise TypeError(f"parameters must be patterns by name, not {self.parameters!r}")
        if self.seconds < 0 or (self.seconds and self.times != 1):
            raise ValueError(f"a fault strikes `times` times or for `seconds`, not {self.times} and {self.seconds}")

    def strikes(self, operation: str, region: str, parameters: Mapping[str, str]) -> bool:
        return (
            fnmatch.fnmatchcase(operation, self.operation)
            and fnmatch.fnmatchcase(region, self.region)
            and all(fnmatch.fnmatchcase(parameters.get(name, ""), self.parameters[name]) for name in self.parameters)
        )


@dataclasses.dataclass(frozen=True)
class LifecycleFault:
    """A copy, restore, creation, export or password reset that ends in `status` instead of `available`.

    An export that ends as `complete` does so with a warning. A password reset has no status of its own to fail with:
    it stays pending for ever or, with the status `lost`, is called applied and is not. An instance that becomes
    `available` is only quicker or slower (up to 1000 percent).
    """

    lifecycle: str
    identifier: str = "*"
    status: str = "failed"
    at_percent: int = 100
    times: int = 1

    def __post_init__(self) -> None:
        if self.lifecycle not in LIFECYCLES:
            raise ValueError(f"lifecycle must be one of {', '.join(LIFECYCLES)}, not {self.lifecycle!r}")
        most = 1000 if self.lifecycle == "create-instance" and self.status == "available" else 100
        if not 0 <= self.at_percent <= most:
            raise ValueError(f"at_percent must be between 0 and {most}, not {self.at_percent}")


@dataclasses.dataclass(frozen=True)
class FunctionFault:
    """A function whose process dies before its handler runs, or after it ran and before its answer arrived."""

    function: str
    die: Literal["before", "after"] = "before"
    times: int = 1

    def __post_init__(self) -> None:
        if self.die not in ("before", "after"):
            raise ValueError(f"die must be 'before' or 'after', not {self.die!r}")


@dataclasses.dataclass(frozen=True)
class ScheduleFault:
    """A schedule's event that is delivered a second time: EventBridge Scheduler promises at least one delivery."""

    schedule: str
    seconds: float = 0
    times: int = 1

    def __post_init__(self) -> None:
        if self.seconds < 0:
            raise ValueError(f"seconds must be 0 or more, not {self.seconds}")


Fault = ApiFault | LifecycleFault | FunctionFault | ScheduleFault
_F = TypeVar("_F", ApiFault, LifecycleFault, FunctionFault, ScheduleFault)
_KINDS: dict[str, type[ApiFault] | type[LifecycleFault] | type[FunctionFault] | type[ScheduleFault]] = {
    "operation": ApiFault,
    "lifecycle": LifecycleFault,
    "function": FunctionFault,
    "schedule": ScheduleFault,
}


class Faults:
    """The rules that have not been spent, oldest first. Safe to use from every thread.

    `now` gives the time in seconds, for rules that strike for so long.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._rules: list[Fault] = []
        self._now = now
        self._ends: dict[int, float] = {}
        self._released = threading.Condition()
        self._held = 0

    def add(self, **rule: Any) -> Fault:
        """Add one rule. Raise ValueError that names what is wrong with it."""
        kind = next((_KINDS[key] for key in _KINDS if key in rule), None)
        if kind is None:
            raise ValueError(
                f"a fault names an 'operation', a 'lifecycle', a 'function' or a 'schedule'; got {sorted(rule)}"
            )
        unknown = sorted(set(rule) - {field.name for field in dataclasses.fields(kind)})
        if unknown:
            raise ValueError(f"unknown field {unknown[0]!r} in a fault on {next(k for k in _KINDS if k in rule)!r}")
        fault = kind(**rule)
        if fault.times < 1:
            raise ValueError(f"times must be at least 1, not {fault.times}")
        with self._lock:
            self._rules.append(fault)
        return fault

    def clear(self) -> None:
        with self._lock:
            self._rules.clear()
            self._ends.clear()
        self.release()

    @property
    def held(self) -> int:
        """Count the calls that are being held."""
        return self._held

    def hold(self) -> None:
        """Wait until the calls that are held are released."""
        with self._released:
            self._held += 1
            self._released.wait()

    def release(self) -> None:
        """Let the calls continue that are held."""
        with self._released:
            self._held = 0
            self._released.notify_all()

    def pending(self) -> list[dict[str, Any]]:
        """Return the rules that may still strike."""
        with self._lock:
            return [dataclasses.asdict(rule) for rule in self._rules]

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

    def _strike(self, kind: type[_F], strikes: Callable[[_F], bool]) -> _F | None:
        with self._lock:
            for rule in self._rules[:]:
                if isinstance(rule, kind) and strikes(rule) and self._take(rule):
                    return rule
        return None

    def _take(self, rule: Fault) -> bool:
        """Return whether the rule still strikes, which spends it unless it strikes for a time."""
        if isinstance(rule, ApiFault) and rule.seconds:
            return not self._is_over(rule)
        self._spend(rule)
        return True

    def _is_over(self, rule: ApiFault) -> bool:
        """Return whether a rule with an end has reached it, counted from its first strike. Then it is forgotten."""
        now = self._now()
        if now < self._ends.setdefault(id(rule), now + rule.seconds):
            return False
        # By identity: an equal rule may have been added for later.
        self._rules = [each for each in self._rules if each is not rule]
        del self._ends[id(rule)]
        return True

    def _spend(self, rule: Fault) -> None:
        position = self._rules.index(rule)
        if rule.times == 1:
            del self._rules[position]
        else:
            self._rules[position] = dataclasses.replace(rule, times=rule.times - 1)
