"""EventBridge: what happens to executions and in RDS, and what callers put on a bus, reaches the rules' targets.

Targets: Lambda functions (by the function's own policy), SNS topics (by the topic's policy) and state machines (by
the target's role). Any other target is refused when it is put. What cannot be delivered goes to the target's
dead-letter queue and is remembered in `undelivered`. A rule with a schedule does not fire here, so one that is enabled
is refused; a disabled one is kept. EventBridge Scheduler's schedules fire: schedules.py.
See https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event.html and
https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html.
"""

from __future__ import annotations

import datetime
import re
import uuid
from typing import Any, ClassVar

import moto.awslambda.models as moto_lambda
import moto.events.models as moto_events
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.stepfunctions.models import stepfunctions_backends

from scripts.local_aws.core.arns import Arn
from scripts.local_aws.core.clock import Clock
from scripts.local_aws.core.deliveries import Deliveries
from scripts.local_aws.core.errors import NotImplementedByLocalAws
from scripts.local_aws.core.json_text import dumps
from scripts.local_aws.events.trail import Trail
from scripts.local_aws.iam.gate import NotAuthorized, Permissions
from scripts.local_aws.step_functions.execution import Execution
from scripts.local_aws.step_functions.language import Scope

EVENTS = "events.amazonaws.com"

_TARGET = re.compile(r"arn:aws[a-z-]*:(lambda:.*:function|sns|states:.*:stateMachine):.+")
_VARIABLE = re.compile(r"<([^<>]+)>")
_TARGET_FIELDS = {"Id", "Arn", "RoleArn", "Input", "InputPath", "InputTransformer", "DeadLetterConfig", "RetryPolicy"}
_NO_SCHEDULES = "A rule's schedule does not fire locally. Use EventBridge Scheduler's, or create the rule DISABLED."


class Events:
    """The way from something that happened to those who subscribed to it."""

    def __init__(self, clock: Clock, permissions: Permissions, trail: Trail) -> None:
        self.undelivered: list[dict[str, Any]] = []
        self._clock = clock
        self._permissions = permissions
        self._trail = trail
        self._deliveries = Deliveries(clock)

    def install(self) -> None:
        """Let rules that moto creates deliver through us from now on."""
        DeliveringRule.events = self
        moto_events.Rule = DeliveringRule  # type: ignore[misc]

    def settle(self) -> None:
        """Wait until everything that has happened so far has been delivered."""
        self._deliveries.settle()

    def execution_status_changed(self, execution: Execution) -> None:
        """Report an execution's status to the default bus of its region, as Step Functions does for every status."""
        region, account = Arn.parse(execution.execution_arn).place
        # As recorded on AWS: LocalStack's validated snapshots, base/test_base.py test_event_bridge_events_base.
        detail = {name: _milliseconds(value) for name, value in execution.described().items()}
        kind = "Step Functions Execution Status Change"
        self._happened(account, region, "aws.states", kind, execution.execution_arn, detail)

    def happened_in_rds(self, account: str, region: str, kind: str, detail: dict[str, Any]) -> None:
        """Report an event of RDS to the default bus of its region (Aurora guide, "Examples of Amazon RDS events")."""
        self._happened(account, region, "aws.rds", kind, detail["SourceArn"], detail)

    def _happened(
        self, account: str, region: str, source: str, kind: str, resource: str, detail: dict[str, Any]
    ) -> None:
        event: Any = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": kind,
            "source": source,
            "account": account,
            "time": f"{self._clock.now():%Y-%m-%dT%H:%M:%SZ}",
            "region": region,
            "resources": [resource],
            "detail": detail,
        }
        for rule in list(moto_events.events_backends[account][region].event_buses["default"].rules.values()):
            rule.send_to_targets(event)

    def deliver(self, rule: DeliveringRule, event: dict[str, Any]) -> None:
        """Send the event to each of the rule's targets, on threads of their own."""
        for target in rule.targets:
            self._deliveries.start(self._deliver, rule, target, event, name=f"event to {target['Id']}")

    def _deliver(self, rule: DeliveringRule, target: dict[str, Any], event: dict[str, Any]) -> None:
        try:
            self._send(rule, target, shape(target, event))
        except Exception as error:  # noqa: BLE001 with any error of the target's service the event is lost
            failure = {"rule": rule.arn, "target": target["Arn"], "event": event, "error": str(error)}
            self.undelivered.append(failure)
            queue = target.get("DeadLetterConfig", {}).get("Arn")
            if queue:
                to = Arn.parse(queue)
                sqs_backends[to.account_id][to.region].send_message(to.resource, dumps(event))

    def _send(self, rule: DeliveringRule, target: dict[str, Any], text: str) -> None:
        arn = target["Arn"]
        service = Arn.parse(arn).service
        region, account = Arn.parse(arn).place
        if service == "states":
            role = target["RoleArn"]
            session = self._permissions.assume(role, service=EVENTS, session_name="EventBridge", region=region)
            self._permissions.require(role, "states:StartExecution", arn, session_name="EventBridge", region=region)
            started = stepfunctions_backends[account][region].start_execution(arn, "", text)
            self._trail.record(
                "states",
                "StartExecution",
                region,
                session.access_key_id,
                {"stateMachineArn": arn, "name": started.name, "input": text},
                {"executionArn": started.execution_arn},
                invoked_by=EVENTS,
            )
            return
        action = {"lambda": "lambda:InvokeFunction", "sns": "sns:Publish"}[service]
        if not self._permissions.service_may(EVENTS, action, arn, source_arn=rule.arn):
            raise NotAuthorized("AccessDenied", f"The policy of {arn} does not let {EVENTS} do {action}", 403)
        if service == "sns":
            sns_backends[account][region].publish(text, arn=arn)
        else:
            function = moto_lambda.lambda_backends[account][region].get_function(arn)
            function.invoke(text, {}, {})


def _milliseconds(value: Any) -> Any:
    return int(value.timestamp() * 1000) if isinstance(value, datetime.datetime) else value


def shape(target: dict[str, Any], event: dict[str, Any]) -> str:
    """Return what the target receives: the event, or what Input, InputPath or InputTransformer make of it."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return dumps(Scope(event, {}).read(target["InputPath"]))
    if "InputTransformer" not in target:
        return dumps(event)
    template: str = target["InputTransformer"]["InputTemplate"]
    paths = target["InputTransformer"].get("InputPathsMap", {})
    scope = Scope(event, {})
    values = {name: scope.read(path) if scope.has(path) else None for name, path in paths.items()}
    values["aws.events.event.json"] = event

    def fill(match: re.Match[str]) -> str:
        value = values.get(match[1])
        quoted = len(re.findall(r'(?<!\\)"', template[: match.start()])) % 2 == 1
        if not quoted:
            return dumps(value)
        return dumps(value if isinstance(value, str) else dumps(value))[1:-1]

    return _VARIABLE.sub(fill, template)


class DeliveringRule(moto_events.Rule):
    """moto's rule, delivered by us."""

    events: ClassVar[Events]

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.scheduled_expression and self.state == "ENABLED":
            raise NotImplementedByLocalAws(_NO_SCHEDULES)

    def enable(self) -> None:
        """Refuse to enable a rule with a schedule."""
        if self.scheduled_expression:
            raise NotImplementedByLocalAws(_NO_SCHEDULES)
        super().enable()

    def put_targets(self, targets: list[dict[str, Any]]) -> None:
        """Refuse what cannot be delivered here."""
        for target in targets:
            if not _TARGET.fullmatch(target["Arn"]):
                raise NotImplementedByLocalAws(f"Events cannot be delivered locally to {target['Arn']}")
            if unknown := set(target) - _TARGET_FIELDS:
                raise NotImplementedByLocalAws(f"A target's {min(unknown)} is not known locally")
        super().put_targets(targets)

    def send_to_targets(self, original_event: Any, transform_input: bool = True) -> None:
        """Deliver an event that matches the enabled rule."""
        if self.state == "ENABLED" and self.event_pattern.matches_event(original_event):
            self.events.deliver(self, original_event)
