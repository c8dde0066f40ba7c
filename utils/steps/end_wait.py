"""An event of RDS ends a wait: the execution that waits for its cluster looks at once.

While an execution waits, an item of the state table has the token by which its wait can be ended, under the name of the
cluster that it waits for (`Wait for Restore` and its like in infrastructure/state_machine.yaml). RDS sends its events
as well as it can: they may be missing, late, repeated or out of order (Aurora User Guide, "Monitoring Amazon Aurora
events"). So an event decides nothing. It ends a pause, after which a look at RDS decides as ever, and where none comes
the pause ends by itself.
"""

from __future__ import annotations

import datetime as dt
import json
import re

from botocore.exceptions import ClientError

from utils import environment
from utils.aws import client, error_code
from utils.contracts.payloads import RdsEvent, WaitEnded
from utils.foreign_text import one_line
from utils.state.items import read_item

# What RDS calls an instance's events (Aurora User Guide, "Amazon RDS event categories and event messages for Aurora").
INSTANCE = "DB_INSTANCE"
# As `instance_name` in utils/names.py makes them. A cluster's name that is shortened there is not found again: its
# instances' events end no wait.
_OWN_INSTANCE = re.compile(r"(?P<cluster>.+)-[0-9a-f]{12}-\d+")
# The wait has ended already: its time is up, another event was quicker, or its execution has ended (API reference,
# SendTaskSuccess).
_IS_OVER = ("TaskDoesNotExist", "TaskTimedOut", "InvalidToken")


def cluster_of(event: RdsEvent) -> str:
    """Return the name of the cluster that the event is about: its own, or the one that its instance's name begins with.

    An instance that is none of the pipeline's stands for itself: nobody waits for a cluster of that name.
    """
    name = event.detail.source_identifier
    found = _OWN_INSTANCE.fullmatch(name) if event.detail.source_type == INSTANCE else None
    return found["cluster"] if found else name


def waiting_key(cluster_identifier: str) -> str:
    """Return the key of the item that has a wait's token. No operation's id has a # in it."""
    return f"waiting#{cluster_identifier}"


def end_wait(event: RdsEvent) -> WaitEnded:
    """End the wait for the event's cluster, if there is one."""
    cluster = cluster_of(event)
    item = read_item(environment.text("STATE_TABLE"), waiting_key(cluster))
    token = item.get("task_token", {}).get("S") if item else None
    was_waiting = token is not None and _return_token(token, event)
    return WaitEnded(cluster_identifier=one_line(cluster), was_waiting=was_waiting)


def _return_token(token: str, event: RdsEvent) -> bool:
    date = event.detail.date
    at = date if date.tzinfo else date.replace(tzinfo=dt.UTC)  # RDS's times are in UTC, whether or not they say so
    output = json.dumps({"at": at.isoformat(), "event": event.detail.event_id})
    try:
        client("stepfunctions").send_task_success(taskToken=token, output=output)
    except ClientError as error:
        if error_code(error) in _IS_OVER:
            return False
        raise
    return True
