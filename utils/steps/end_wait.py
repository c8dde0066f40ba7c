"""An event of RDS ends a wait: the execution that waits for its cluster looks at once.

While an execution waits, an item of the state table has the token by which its wait can be ended (`Wait for Restore`
and its like in infrastructure/state_machine.yaml), under a key that the event's name leads to
(utils/steps/wait_keys.py). RDS sends its events as well as it can: they may be missing, late, repeated or out of order
(Aurora User Guide, "Monitoring Amazon Aurora events"). So an event decides nothing. It ends a pause, after which a look
at RDS decides as ever, and where none comes the pause ends by itself.
"""

from __future__ import annotations

import datetime as dt
import json

from botocore.exceptions import ClientError

from utils import environment
from utils.aws import client
from utils.aws_errors import error_code
from utils.contracts.payloads import RdsEvent, WaitEnded
from utils.foreign_text import one_line
from utils.state.items import read_item
from utils.steps.wait_keys import wait_key

# The `SourceType` of an instance's events (Aurora User Guide, "Monitoring Amazon Aurora events", its examples).
INSTANCE = "DB_INSTANCE"
# More than any identifier of RDS has. What a wait ends with becomes a part of the execution's data.
LONGEST_NAME = 255
# The wait has ended already: its time is up, another event was quicker, or its execution has ended (API reference,
# SendTaskSuccess).
_IS_OVER = ("TaskDoesNotExist", "TaskTimedOut", "InvalidToken")


def waiting_for(event: RdsEvent) -> str:
    """Return under which key a wait for what the event is about has its token."""
    detail = event.detail
    return wait_key(event.region, detail.source_identifier, is_instance=detail.source_type == INSTANCE)


def end_wait(event: RdsEvent) -> WaitEnded:
    """End the wait for what the event is about, if there is one."""
    item = read_item(environment.text("STATE_TABLE"), waiting_for(event))
    token = item.get("task_token", {}).get("S") if item else None
    was_waiting = token is not None and _return_token(token, event)
    return WaitEnded(source_identifier=one_line(event.detail.source_identifier), was_waiting=was_waiting)


def _return_token(token: str, event: RdsEvent) -> bool:
    date = event.detail.date
    at = date if date.tzinfo else date.replace(tzinfo=dt.UTC)  # RDS's times are in UTC, whether or not they say so
    event_id, source = (each[:LONGEST_NAME] for each in (event.detail.event_id, event.detail.source_identifier))
    output = json.dumps({"at": at.isoformat(), "event": event_id, "source": source})
    try:
        client("stepfunctions").send_task_success(taskToken=token, output=output)
    except ClientError as error:
        if error_code(error) in _IS_OVER:
            return False
        raise
    return True
