"""CloudTrail's event history: who called what. Its only operation here is LookupEvents.

Sources: CloudTrail API Reference, LookupEvents (what it takes, refuses and answers; two calls a second in an account
and region; 90 days; botocore's model); CloudTrail User Guide, "CloudTrail userIdentity element" and "CloudTrail record
contents"; Step Functions Developer Guide, "Recording Step Functions API calls with AWS CloudTrail", with the event of a
StartExecution. Data events (items of tables, invocations, messages, objects) are not in the history, as on AWS.

Simpler than AWS: an event appears five minutes after its call, never sooner or later, where AWS says about five minutes
on average and promises nothing; only Step Functions' calls have their responseElements; no event has resources, so
nothing is found by ResourceName or ResourceType.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.responses import ActionResult

from scripts.local_aws.core.clock import Clock
from scripts.local_aws.core.errors import AwsError
from scripts.local_aws.iam.identities import session_of, user_of

DELAY_SECONDS = 300.0
OPERATIONS = frozenset({"LookupEvents"})

_MOST_EVENTS = 10_000
_MOST_RESULTS = 50
_MOST_CALLS_A_SECOND = 2
_HISTORY = datetime.timedelta(days=90)
_READING = ("Describe", "Get", "List", "Lookup", "Simulate", "Validate", "Head", "Decrypt")
_NO_MANAGEMENT = frozenset({"s3", "sqs"})
_DATA_EVENTS = frozenset({
    "dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:PutItem",
    "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem", "lambda:Invoke", "logs:PutLogEvents", "sns:Publish",
    "cloudwatch:PutMetricData",
})  # fmt: skip
_FOUND_BY: dict[str, Callable[[_Event], str | None]] = {
    "EventId": lambda event: event.event_id,
    "EventName": lambda event: event.operation,
    "EventSource": lambda event: event.source,
    "ReadOnly": lambda event: event.read_only,
    "Username": lambda event: event.user_name,
    "AccessKeyId": lambda event: event.access_key,
    "ResourceName": lambda event: None,
    "ResourceType": lambda event: None,
}


@dataclasses.dataclass(frozen=True)
class _Event:
    moment: datetime.datetime
    account: str
    region: str
    service: str
    operation: str
    access_key: str
    identity: Mapping[str, Any]
    parameters: Mapping[str, Any]
    response: Mapping[str, Any] | None
    error: str | None
    address: str
    event_id: str

    @property
    def source(self) -> str:
        return f"{self.service}.amazonaws.com"

    @property
    def read_only(self) -> str:
        return "true" if self.operation.startswith(_READING) else "false"

    @property
    def user_name(self) -> str:
        name = self.identity.get("userName") or self.identity["arn"].rpartition("/")[2]
        return str(name)

    def answered(self) -> dict[str, Any]:
        return {
            "EventId": self.event_id,
            "EventName": self.operation,
            "ReadOnly": self.read_only,
            "AccessKeyId": self.access_key,
            "EventTime": self.moment.timestamp(),
            "EventSource": self.source,
            "Username": self.user_name,
            "Resources": [],
            "CloudTrailEvent": json.dumps(self._record()),
        }

    def _record(self) -> dict[str, Any]:
        return {
            "eventVersion": "1.08",
            "userIdentity": self.identity,
            "eventTime": f"{self.moment:%Y-%m-%dT%H:%M:%SZ}",
            "eventSource": self.source,
            "eventName": self.operation,
            "awsRegion": self.region,
            "sourceIPAddress": self.address,
            "requestParameters": self.parameters,
            "responseElements": self.response,
            **({"errorCode": self.error} if self.error else {}),
            "requestID": self.event_id,
            "eventID": self.event_id,
            "readOnly": self.read_only == "true",
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": self.account,
            "eventCategory": "Management",
        }


class Trail:
    """Every account's and region's events."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._events: collections.deque[_Event] = collections.deque(maxlen=_MOST_EVENTS)
        self._lookups: dict[tuple[str, str], list[float]] = {}
        self._tokens: dict[str, tuple[str, int]] = {}

    def install(self) -> None:
        """Have moto's CloudTrail answer LookupEvents from here from now on."""
        AnsweringTrail.trail = self
        CloudTrailResponse.lookup_events = AnsweringTrail.lookup_events  # type: ignore[attr-defined]

    def record(
        self,
        service: str,
        operation: str,
        region: str,
        access_key: str,
        parameters: Mapping[str, Any],
        response: Mapping[str, Any] | None = None,
        error: str | None = None,
        invoked_by: str = "",
    ) -> None:
        """Note a call. `invoked_by`: the service that made it with the credentials of a role."""
        identity = None if _is_no_management(service, operation) else _identity(access_key)
        if identity is None:
            return
        event = _Event(
            moment=self._clock.now().replace(microsecond=0),
            account=identity["accountId"],
            region=region,
            service=service,
            operation=operation,
            access_key=access_key,
            identity={**identity, "invokedBy": invoked_by} if invoked_by else identity,
            parameters=parameters,
            response=response,
            error=error,
            address=invoked_by or "127.0.0.1",
            event_id=str(uuid.uuid4()),
        )
        with self._lock:
            self._events.append(event)

    def lookup(self, account: str, region: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of events, the newest first."""
        self._refuse_too_many(account, region)
        most = _most_results(asked)
        now = self._clock.now()
        found = [event.answered() for event in self._found(account, region, asked, now)]
        offset = self._offset(asked)
        page: dict[str, Any] = {"Events": found[offset : offset + most]}
        if offset + most < len(found):
            page["NextToken"] = self._token(asked, offset + most)
        return page

    def _found(self, account: str, region: str, asked: Mapping[str, Any], now: datetime.datetime) -> list[_Event]:
        wanted, value = _attribute(asked)
        start, end = _time_range(asked, now)
        latest = now - datetime.timedelta(seconds=DELAY_SECONDS)
        with self._lock:
            events = list(self._events)
        return [
            event
            for event in reversed(events)
            if (event.account, event.region) == (account, region)
            and max(start, now - _HISTORY) <= event.moment <= min(end, latest)
            and (wanted is None or wanted(event) == value)
        ]

    def _refuse_too_many(self, account: str, region: str) -> None:
        now = self._clock.time()
        with self._lock:
            recent = [each for each in self._lookups.get((account, region), []) if now - each < 1]
            if len(recent) >= _MOST_CALLS_A_SECOND:
                raise AwsError("ThrottlingException", "Rate exceeded")
            self._lookups[account, region] = [*recent, now]

    def _offset(self, asked: Mapping[str, Any]) -> int:
        token = asked.get("NextToken")
        if token is None:
            return 0
        question, offset = self._tokens.get(token, ("", 0))
        if question != _question(asked):
            raise AwsError("InvalidNextTokenException", "The token is invalid or was used with different parameters.")
        return offset

    def _token(self, asked: Mapping[str, Any], offset: int) -> str:
        token = uuid.uuid4().hex
        self._tokens[token] = (_question(asked), offset)
        return token


class AnsweringTrail(CloudTrailResponse):
    """moto's CloudTrail with an event history."""

    trail: ClassVar[Trail]

    def lookup_events(self) -> ActionResult:
        asked = json.loads(self.body or "{}")
        return ActionResult(AnsweringTrail.trail.lookup(self.current_account, self.region, asked))


def _is_no_management(service: str, operation: str) -> bool:
    return service in _NO_MANAGEMENT or f"{service}:{operation}" in _DATA_EVENTS


def _identity(access_key: str) -> dict[str, Any] | None:
    """Return who signed a call, in the record's words; None for credentials of nobody."""
    session = session_of(access_key)
    if session is not None:
        role_id, _, _ = session.user_id.partition(":")
        account, name = session.role_arn.split(":")[4], session.role_arn.rpartition("/")[2]
        issuer = {
            "type": "Role",
            "principalId": role_id,
            "arn": session.role_arn,
            "accountId": account,
            "userName": name,
        }
        return {
            "type": "AssumedRole",
            "principalId": session.user_id,
            "arn": session.arn,
            "accountId": account,
            "accessKeyId": access_key,
            "sessionContext": {"sessionIssuer": issuer, "attributes": {"mfaAuthenticated": "false"}},
        }
    user = user_of(access_key)
    if user is None:
        return None
    return {
        "type": "IAMUser",
        "principalId": user.id,
        "arn": user.arn,
        "accountId": user.arn.split(":")[4],
        "accessKeyId": access_key,
        "userName": user.name,
    }


def _most_results(asked: Mapping[str, Any]) -> int:
    most = asked.get("MaxResults", _MOST_RESULTS)
    if not 1 <= most <= _MOST_RESULTS:
        raise AwsError("InvalidMaxResultsException", f"MaxResults must be between 1 and {_MOST_RESULTS}.")
    return int(most)


def _attribute(asked: Mapping[str, Any]) -> tuple[Callable[[_Event], str | None] | None, str]:
    attributes = asked.get("LookupAttributes") or []
    if asked.get("EventCategory", "insight") != "insight":
        raise AwsError("InvalidEventCategoryException", "The event category is not valid.")
    if not attributes:
        return None, ""
    if len(attributes) > 1 or attributes[0].get("AttributeKey") not in _FOUND_BY:
        raise AwsError("InvalidLookupAttributesException", "One lookup attribute of those that are known, please.")
    return _FOUND_BY[attributes[0]["AttributeKey"]], attributes[0]["AttributeValue"]


def _time_range(asked: Mapping[str, Any], now: datetime.datetime) -> tuple[datetime.datetime, datetime.datetime]:
    start = _moment(asked["StartTime"]) if "StartTime" in asked else now - _HISTORY
    end = _moment(asked["EndTime"]) if "EndTime" in asked else now
    if start > end:
        raise AwsError("InvalidTimeRangeException", "The start time is after the end time.")
    return start, end


def _moment(given: Any) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(float(given), datetime.UTC)


def _question(asked: Mapping[str, Any]) -> str:
    return json.dumps({name: asked[name] for name in sorted(asked) if name not in ("NextToken", "MaxResults")})
