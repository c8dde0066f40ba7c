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
from collections.abc import Mapping
from typing import Any

from moto.cloudtrail.responses import CloudTrailResponse
from moto.core.responses import ActionResult

from scripts.local_aws.core.arns import Arn
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
_FOUND_BY = frozenset({
    "AccessKeyId", "EventId", "EventName", "EventSource", "ReadOnly", "ResourceName", "ResourceType", "Username"
})  # fmt: skip


@dataclasses.dataclass(frozen=True)
class _Event:
    moment: datetime.datetime
    account: str
    region: str
    answer: Mapping[str, Any]


class Trail:
    """Every account's and region's events."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._events: collections.deque[_Event] = collections.deque(maxlen=_MOST_EVENTS)
        self._lookups: dict[tuple[str, str], list[float]] = {}
        self._tokens: dict[str, tuple[str, int]] = {}

    def install(self) -> None:
        """Let moto's CloudTrail answer LookupEvents from here from now on."""

        def lookup_events(response: CloudTrailResponse) -> ActionResult:
            asked = json.loads(response.body or "{}")
            return ActionResult(self._lookup(response.current_account, response.region, asked))

        CloudTrailResponse.lookup_events = lookup_events  # type: ignore[attr-defined]

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
        is_no_management = service in _NO_MANAGEMENT or f"{service}:{operation}" in _DATA_EVENTS
        identity = None if is_no_management else _identity(access_key)
        if identity is None:
            return
        moment = self._clock.now().replace(microsecond=0)
        event_id, source, is_reading = str(uuid.uuid4()), f"{service}.amazonaws.com", operation.startswith(_READING)
        record = {
            "eventVersion": "1.08",
            "userIdentity": {**identity, "invokedBy": invoked_by} if invoked_by else identity,
            "eventTime": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            "eventSource": source,
            "eventName": operation,
            "awsRegion": region,
            "sourceIPAddress": invoked_by or "127.0.0.1",
            "requestParameters": parameters,
            "responseElements": response,
            **({"errorCode": error} if error else {}),
            "requestID": event_id,
            "eventID": event_id,
            "readOnly": is_reading,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": identity["accountId"],
            "eventCategory": "Management",
        }
        answer = {
            "EventId": event_id,
            "EventName": operation,
            "ReadOnly": str(is_reading).lower(),
            "AccessKeyId": access_key,
            "EventTime": moment.timestamp(),
            "EventSource": source,
            "Username": identity.get("userName") or identity["arn"].rpartition("/")[2],
            "Resources": [],
            "CloudTrailEvent": json.dumps(record),
        }
        with self._lock:
            self._events.append(_Event(moment, identity["accountId"], region, answer))

    def _lookup(self, account: str, region: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return a page of events, the newest first."""
        self._refuse_too_many(account, region)
        most = asked.get("MaxResults", _MOST_RESULTS)
        if not 1 <= most <= _MOST_RESULTS:
            raise AwsError("InvalidMaxResultsException", f"MaxResults must be between 1 and {_MOST_RESULTS}.")
        found = self._found(account, region, asked)
        end = self._offset(asked) + most
        page: dict[str, Any] = {"Events": found[end - most : end]}
        if end < len(found):
            page["NextToken"] = uuid.uuid4().hex
            self._tokens[page["NextToken"]] = (_question(asked), end)
        return page

    def _found(self, account: str, region: str, asked: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        now = self._clock.now()
        key, value = _attribute(asked)
        start, end = _time_range(asked, now)
        latest = now - datetime.timedelta(seconds=DELAY_SECONDS)
        with self._lock:
            events = list(self._events)
        return [
            event.answer
            for event in reversed(events)
            if (event.account, event.region) == (account, region)
            and max(start, now - _HISTORY) <= event.moment <= min(end, latest)
            and (key is None or event.answer.get(key) == value)
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
        question, offset = (_question(asked), 0) if token is None else self._tokens.get(token, ("", 0))
        if question != _question(asked):
            raise AwsError("InvalidNextTokenException", "The token is invalid or was used with different parameters.")
        return offset


def _identity(access_key: str) -> dict[str, Any] | None:
    """Return who signed a call, in the record's words; None for credentials of nobody."""
    session = session_of(access_key)
    user: Any = user_of(access_key) if session is None else None
    if session is None and user is None:
        return None
    if session is None:
        named = {"type": "IAMUser", "principalId": user.id, "arn": user.arn, "userName": user.name}
    else:
        issuer = {
            "type": "Role",
            "principalId": session.user_id.partition(":")[0],
            "arn": session.role_arn,
            "accountId": Arn.parse(session.role_arn).account_id,
            "userName": session.role_arn.rpartition("/")[2],
        }
        context = {"sessionIssuer": issuer, "attributes": {"mfaAuthenticated": "false"}}
        named = {"type": "AssumedRole", "principalId": session.user_id, "arn": session.arn, "sessionContext": context}
    return {**named, "accountId": Arn.parse(named["arn"]).account_id, "accessKeyId": access_key}


def _attribute(asked: Mapping[str, Any]) -> tuple[str | None, str]:
    attributes = asked.get("LookupAttributes") or []
    if asked.get("EventCategory", "insight") != "insight":
        raise AwsError("InvalidEventCategoryException", "The event category is not valid.")
    if not attributes:
        return None, ""
    if len(attributes) > 1 or attributes[0].get("AttributeKey") not in _FOUND_BY:
        raise AwsError("InvalidLookupAttributesException", "Exactly one of the known lookup attributes is accepted.")
    return attributes[0]["AttributeKey"], attributes[0]["AttributeValue"]


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
