"""Give the restored cluster the name of the one that it replaces: one action in each call, decided from what exists."""

from utils.common import Work, always, step
from utils.contracts.payloads import SwapProgress, SwapTask
from utils.preflight.limits import prove_opening_allowed
from utils.steps.swap_begin import until_windows_are_over
from utils.steps.swap_step import SwapStep, with_expected_end


@step("swap-cluster", SwapTask, looks=True, is_timed=always)
def lambda_handler(task: SwapTask, work: Work) -> SwapProgress:
    """Take the action that is due. It is repeated until the swap has ended; what exists decides."""
    record = work.record()
    aurora = work.aurora()
    if not task.finishing and not record.is_swapping:
        if task.rolls_back is None:
            # Else the groups are those that the cluster had before it was replaced.
            prove_opening_allowed(task.cluster, task.limits)
        if (waiting := until_windows_are_over(task, record, aurora, task.run.now)) is not None:
            return waiting
    progress = SwapStep(task, record, work.state, aurora, work.prove_at_work).advance()
    return with_expected_end(progress, record, work.pace(record), work.run.now)
