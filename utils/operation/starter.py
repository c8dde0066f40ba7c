"""The identity that started an execution, as CloudTrail has it: never as the request says, which anybody may write.

The event history holds a region's management events of the last 90 days, without any trail, and it takes minutes until
an event is in it (CloudTrail API Reference, LookupEvents; Step Functions Developer Guide, "Recording Step Functions API
calls with AWS CloudTrail", with an example of StartExecution). StartExecution answers a second call of the same name
and input with the execution that runs already, so the earliest call is the one that started it.

Nothing of this is needed for the operation, so an error here is only reported.
"""

from __future__ import annotations

import datetime as dt
import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct

from utils.arns import Arn
from utils.aws import client
from utils.aws_errors import error_code
from utils.contracts.payloads import Execution
from utils.foreign_text import one_line

# The event's time is the call's, to the second; the execution's is Step Functions' own.
MARGIN = dt.timedelta(seconds=30)
# LookupEvents has two calls a second for everybody in the account and region, and at most 50 events a page.
MOST_PAGES = 2


class Starter(Struct, frozen=True, kw_only=True):
    """`who` names it for people. CloudTrail does not say what is empty; `unknown` says why the starter is not known.

    The names are the identity's own: who assumes a role chooses the session's name.
    """

    known_from: Literal["cloudtrail", ""] = ""
    who: str = ""
    identity_type: str = ""
    arn: str = ""
    role_arn: str = ""
    session_name: str = ""
    invoked_by: str = ""
    source_ip: str = ""
    event_id: str = ""
    unknown: str = ""


def find_starter(execution: Execution) -> Starter:
    """Return who called StartExecution for this execution, or why that is unknown. Never raises for AWS's answers."""
    try:
        events = list(_starts(execution))
    except ClientError as error:
        return Starter(unknown=f"CloudTrail could not be read ({error.operation_name}: {error_code(error)})")
    except BotoCoreError as error:
        return Starter(unknown=f"CloudTrail could not be reached ({type(error).__name__})")
    if not events:
        minutes = round((execution.now - execution.started_at).total_seconds() / 60)
        return Starter(unknown=f"CloudTrail had no event of it {minutes} min after the start; some events arrive later")
    return _starter(min(events, key=lambda event: _text(event, "eventTime")))


def starter_lines(starter: Starter, execution: Execution, request: Any) -> str:
    """Return what the message says of who started the execution, and the command to look it up where it is unknown."""
    if not starter.unknown:
        return f"Started by {starter.who}"
    moment = request.get("scheduled_at") if isinstance(request, Mapping) else None
    claimed = (
        f" The input claims to be the schedule's of {one_line(moment)}, which anybody can write." if moment else ""
    )
    return f"Started by unknown: {starter.unknown}.{claimed} Look it up later:\n  {look_up(execution)}"


def look_up(execution: Execution) -> str:
    """Return the command that shows the events in question."""
    earliest, latest = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in _window(execution))
    # An execution's name may have a ' or a ! in it, and neither " nor ` (API reference, StartExecution).
    query = f'Events[?contains(CloudTrailEvent, `"{execution.execution_name}"`)].CloudTrailEvent'
    return (
        "aws cloudtrail lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=StartExecution "
        f"--start-time {earliest} --end-time {latest} --region {_region(execution)} --output text "
        f"--query {shlex.quote(query)}"
    )


def _starts(execution: Execution) -> Iterator[Mapping[str, Any]]:
    """Yield the calls of StartExecution that answered with this execution. The newest events come first."""
    start, end = _window(execution)
    more: dict[str, str] = {}
    for _ in range(MOST_PAGES):
        answer = client("cloudtrail").lookup_events(
            LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": "StartExecution"}],
            StartTime=start,
            EndTime=end,
            **more,
        )
        for each in answer["Events"]:
            event = _parsed(each.get("CloudTrailEvent", ""))
            if _text(event, "responseElements", "executionArn") == execution.execution_id:
                yield event
        if not answer.get("NextToken"):
            return
        more = {"NextToken": answer["NextToken"]}


def _window(execution: Execution) -> tuple[dt.datetime, dt.datetime]:
    return execution.started_at - MARGIN, execution.started_at + MARGIN


def _region(execution: Execution) -> str:
    return Arn.parse(execution.execution_id).region


def _parsed(text: str) -> Mapping[str, Any]:
    try:
        event = json.loads(text)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def _starter(event: Mapping[str, Any]) -> Starter:
    """Return what the event says (CloudTrail User Guide, "CloudTrail userIdentity element"), on printable lines."""
    identity = event.get("userIdentity")
    arn, kind = _text(identity, "arn"), _text(identity, "type")
    role = _text(identity, "sessionContext", "sessionIssuer", "arn")
    session = arn.rpartition("/")[2] if kind == "AssumedRole" else ""
    invoked_by, source = _text(identity, "invokedBy"), _text(event, "sourceIPAddress")
    of_its_own = (_text(identity, *path) for path in (["userName"], ["onBehalfOf", "userId"], ["principalId"]))
    name = arn or next((each for each in of_its_own if each), "")
    who = f"{role}, session {session}" if role and session else name or invoked_by or "an identity without a name"
    via = f", invoked by {invoked_by}" if invoked_by and invoked_by != who else ""
    place = f", from {source}" if source and source != invoked_by else ""
    return Starter(
        known_from="cloudtrail",
        who=f"{who}{f' ({kind})' if kind else ''}{via}{place}",
        identity_type=kind,
        arn=arn,
        role_arn=role,
        session_name=session,
        invoked_by=invoked_by,
        source_ip=source,
        event_id=_text(event, "eventID"),
    )


def _text(found: Any, *path: str) -> str:
    """Return the text at the end of a path through an event, made printable; "" where there is none."""
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return one_line(found) if isinstance(found, str) else ""
