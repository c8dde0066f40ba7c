"""Delete the clusters that have expired, after a warning, and report what became of them."""

from functools import partial

from msgspec import convert

from utils.common import edge_step
from utils.contracts.payloads import ExpiryProgress, ExpiryTask
from utils.expiry.asked import read_asked
from utils.expiry.sweep import look_at_all

read = partial(convert, type=ExpiryTask)


@edge_step("expire-clusters", read, lambda task: task.execution.execution_name, counts_success=False)
def lambda_handler(task: ExpiryTask) -> ExpiryProgress:
    """Do what is due with every cluster that expires, or with the one that the input names.

    The step is repeated while a deletion is under way.
    """
    return look_at_all(task.execution, task.progress, read_asked(task.given))
