"""End the wait for a cluster early when RDS has reported something of it."""

from functools import partial

from msgspec import convert

from utils.common import edge_step
from utils.contracts.payloads import RdsEvent, WaitEnded
from utils.steps.end_wait import end_wait, waiting_for

read = partial(convert, type=RdsEvent)


@edge_step("end-wait", read, waiting_for, counts_success=False)
def lambda_handler(event: RdsEvent) -> WaitEnded:
    """Have the execution that waits for the event's cluster look at once. What is the case only its look decides."""
    return end_wait(event)
