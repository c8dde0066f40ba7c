"""EventBridge Scheduler: an enabled schedule starts its state machine when the clock comes to its moment.

The schedule's role makes the call, as any caller's of the API, so that its permissions and faults count. A call that is
refused is made again, with growing pauses, for as often and as long as the RetryPolicy says, and then goes to the
dead-letter queue, by the same role. A schedule is no reason for the clock to move: it fires when somebody waits past
its moment. Targets are state machines; flexible windows are refused.

Sources: EventBridge Scheduler's User Guide, "Managing targets", "Adding context attributes", "Configuring a schedule's
dead-letter queue", "Setting up the execution role"; its API reference, "RetryPolicy". Not documented, and so our own:
the pauses between attempts, whether a lack of permissions is tried again, whether an update restarts a rate, and the
body of a dead letter of a state machine's.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
import uuid
from typing import Any, ClassVar

import moto.scheduler.models as moto_scheduler
from botocore.exceptions import BotoCoreError, ClientError
from moto.scheduler.models import scheduler_backends

from scripts.local_aws.core.arns import Arn
from scripts.local_aws.core.clock import Clock, Timer
from scripts.local_aws.core.credentials import aws_client
from scripts.local_aws.core.deliveries import Deliveries
from scripts.local_aws.core.errors import AwsError, NotImplementedByLocalAws
from scripts.local_aws.core.faults import Faults
from scripts.local_aws.core.json_text import dumps
from scripts.local_aws.events.schedule_expressions import Next, schedule_of
from scripts.local_aws.iam.gate import NotAuthorized, Permissions

SCHEDULER = "scheduler.amazonaws.com"
FIRST_PAUSE_SECONDS = 10
_SECOND = dt.timedelta(seconds=1)

_MACHINE = re.compile(r"arn:aws[a-z-]*:states:[^:]+:\d{12}:stateMachine:.+")
_TARGET_FIELDS = {"Arn", "RoleArn", "Input", "RetryPolicy", "DeadLetterConfig"}


@dataclasses.dataclass(frozen=True)
class Delivery:
    """One moment of a schedule on its way to the target, as the schedule was at that moment."""

    schedule_arn: str
    target: dict[str, Any]
    moment: dt.datetime
    attempt: int = 1
    execution_id: str = ""

    @property
    def scheduled_time(self) -> str:
        """Return the moment as Scheduler writes it."""
        return f"{self.moment:%Y-%m-%dT%H:%M:%SZ}"

    def text(self) -> str:
        """Return the target's input, with what Scheduler fills in."""
        found: str = self.target["Input"]
        for name, value in {
            "schedule-arn": self.schedule_arn,
            "scheduled-time": self.scheduled_time,
            "execution-id": self.execution_id,
            "attempt-number": str(self.attempt),
        }.items():
            found = found.replace(f"<aws.scheduler.{name}>", value)
        return found


class Schedules:
    """Every schedule's next moment, and what is on its way."""

    def __init__(self, clock: Clock, faults: Faults, permissions: Permissions, endpoint_url: str) -> None:
        self.undelivered: list[dict[str, Any]] = []
        self.clock = clock
        self.permissions = permissions
        self._faults = faults
        self._endpoint_url = endpoint_url
        self._deliveries = Deliveries(clock)

    def install(self) -> None:
        """Let schedules that moto keeps fire through us from now on."""
        FiringSchedule.schedules = self
        moto_scheduler.Schedule = FiringSchedule  # type: ignore[misc,assignment]
        moto_scheduler.ScheduleGroup = FiringGroup  # type: ignore[misc]

    def settle(self) -> None:
        """Wait until what is due has been tried."""
        self._deliveries.settle()

    def fire(self, name: str, delivery: Delivery) -> None:
        """Deliver, and once more if a fault says so."""
        self._send(delivery)
        if (fault := self._faults.schedule(name)) is not None:
            # Delivered at least once, says AWS: each time it is a delivery of its own.
            self.clock.call_at(self.clock.time() + fault.seconds, lambda: self._send(delivery))

    def _send(self, delivery: Delivery) -> None:
        self._deliveries.start(self._attempt, delivery, name="schedule")

    def _attempt(self, delivery: Delivery) -> None:
        delivery = dataclasses.replace(delivery, execution_id=uuid.uuid4().hex[:16])
        try:
            client = self._client("stepfunctions", delivery)
            client.start_execution(stateMachineArn=delivery.target["Arn"], input=delivery.text())
        except NotAuthorized as error:
            self._again(delivery, error.code, error.message)
        except ClientError as error:
            self._again(delivery, error.response["Error"]["Code"], error.response["Error"].get("Message", ""))
        except BotoCoreError as error:
            self._again(delivery, type(error).__name__, str(error))

    def _again(self, delivery: Delivery, code: str, message: str) -> None:
        policy = delivery.target["RetryPolicy"]
        due = self.clock.time() + FIRST_PAUSE_SECONDS * 2 ** (delivery.attempt - 1)
        if delivery.attempt > policy.get("MaximumRetryAttempts", 185):
            self._give_up(delivery, code, message, "MaximumRetryAttempts")
        elif due - delivery.moment.timestamp() > policy.get("MaximumEventAgeInSeconds", 86_400):
            self._give_up(delivery, code, message, "MaximumEventAgeInSeconds")
        else:
            following = dataclasses.replace(delivery, attempt=delivery.attempt + 1)
            self.clock.call_at(due, lambda: self._send(following))

    def _give_up(self, delivery: Delivery, code: str, message: str, exhausted: str) -> None:
        target = delivery.target
        body = dumps({"StateMachineArn": target["Arn"], "Input": delivery.text()})
        failure = {"schedule": delivery.schedule_arn, "target": target["Arn"], "event": body, "error": message}
        queue = target.get("DeadLetterConfig", {}).get("Arn")
        if queue is None:
            self.undelivered.append(failure)
            return
        attributes = {
            "ERROR_CODE": code,
            "ERROR_MESSAGE": message,
            "EXECUTION_ID": delivery.execution_id,
            "EXHAUSTED_RETRY_CONDITION": exhausted,
            "IS_PAYLOAD_TRUNCATED": "false",
            "RETRY_ATTEMPTS": str(delivery.attempt - 1),
            "SCHEDULED_TIME": delivery.scheduled_time,
            "SCHEDULE_ARN": delivery.schedule_arn,
            "TARGET_ARN": target["Arn"],
        }
        to = Arn.parse(queue)
        try:
            self._client("sqs", delivery).send_message(
                QueueUrl=f"{self._endpoint_url}/{to.account_id}/{to.resource}",
                MessageBody=body,
                MessageAttributes={
                    key: {"DataType": "String", "StringValue": value or "-"} for key, value in attributes.items()
                },
            )
        except (NotAuthorized, ClientError, BotoCoreError) as error:
            self.undelivered.append({**failure, "queue": queue, "queue_error": str(error)})

    def _client(self, service: str, delivery: Delivery) -> Any:
        region, role = Arn.parse(delivery.schedule_arn).region, delivery.target["RoleArn"]
        session = self.permissions.assume(role, service=SCHEDULER, session_name=delivery.execution_id, region=region)
        return aws_client(service, region, self._endpoint_url, session, attempts=1)


class FiringSchedule(moto_scheduler.Schedule):
    """moto's schedule, which fires."""

    schedules: ClassVar[Schedules]

    def __init__(self, **named: Any) -> None:
        self._due = self._checked(named)
        self._timer: Timer | None = None
        super().__init__(**named)

    def update(self, **named: Any) -> None:  # type: ignore[override]  # moto names every argument
        """Give what the update leaves out its default (API reference, "UpdateSchedule"); moto forgets that of State."""
        self._due = self._checked(named)
        super().update(**{**named, "state": named["state"] or "ENABLED"})
        self.arm()

    def arm(self, after: dt.datetime | None = None) -> None:
        """Wait for the next moment of an enabled schedule, within its StartDate and EndDate."""
        if self._timer is not None:
            self._timer.cancel()
        begin = _date(self.start_date)
        now = after or self.schedules.clock.now()
        moment = self._due(now if begin is None else max(now, begin - _SECOND))
        end = _date(self.end_date)
        if self.state != "ENABLED" or moment is None or (end is not None and moment > end):
            return
        self._timer = self.schedules.clock.call_at(moment.timestamp(), lambda: self._fire(moment), recurring=True)

    def _fire(self, moment: dt.datetime) -> None:
        region, account = Arn.parse(self.arn).place
        kept = scheduler_backends[account][region].schedule_groups.get(self.group_name)
        if kept is None or kept.schedules.get(self.name) is not self:
            return  # deleted since, or its group was
        self.schedules.fire(self.name, Delivery(self.arn, dict(self.target), moment))
        self.arm(moment)

    def _checked(self, named: dict[str, Any]) -> Next:
        """Refuse what AWS refuses, and what cannot be fired here; return when the schedule is due."""
        # A rate without a StartDate begins at once: with the next whole second, since its moments are texts.
        first = _date(named["start_date"]) or self.schedules.clock.now().replace(microsecond=0) + _SECOND
        due = schedule_of(named["schedule_expression"], named["schedule_expression_timezone"] or "UTC", first)
        target, role = named["target"], named["target"]["RoleArn"]
        if not self.schedules.permissions.trusts(role, SCHEDULER):
            message = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."
            raise AwsError("ValidationException", message)
        if named["flexible_time_window"].get("Mode") != "OFF":
            raise NotImplementedByLocalAws("A flexible time window is not known locally")
        if named.get("action_after_completion") == "DELETE":
            raise NotImplementedByLocalAws("ActionAfterCompletion is not known locally")
        if not _MACHINE.fullmatch(target["Arn"]) or "Input" not in target:
            raise NotImplementedByLocalAws("A schedule starts state machines locally, with an Input")
        if unknown := set(target) - _TARGET_FIELDS:
            raise NotImplementedByLocalAws(f"A schedule's target's {min(unknown)} is not known locally")
        return due


class FiringGroup(moto_scheduler.ScheduleGroup):
    """moto's group, in which a schedule begins to wait for its moment once it is kept."""

    def add_schedule(self, schedule: moto_scheduler.Schedule) -> None:
        """Keep the schedule, and have it wait."""
        super().add_schedule(schedule)
        if isinstance(schedule, FiringSchedule):
            schedule.arm()


def _date(given: Any) -> dt.datetime | None:
    """Return a date of the API's, which comes as epoch seconds."""
    return None if given is None else dt.datetime.fromtimestamp(float(given), dt.UTC)
