"""Close the operation and report to people how it ended: planned, succeeded or failed."""

from utils.common import edge_step
from utils.contracts.payloads import NotificationTask, Notified
from utils.messages import outcome
from utils.messages.message import Message
from utils.messages.remains import Remains
from utils.operation.close import OperationEnd, end_of_execution
from utils.operation.counting import count_duplicate, learn
from utils.operation.delivery import send
from utils.operation.end_evidence import seal_evidence
from utils.operation.end_task import read_task
from utils.operation.starter import find_starter, starter_lines


@edge_step("sns-notification", read_task, lambda task: task.execution.execution_name)
def lambda_handler(task: NotificationTask) -> Notified:
    """Close lock and state first, then send the message: a topic that fails must not block the next execution."""
    end = end_of_execution(task)
    if end.is_duplicate:
        count_duplicate(end.state.operation_id)
    if end.is_reported:
        end.have_it_finished()
        return Notified(message_id=None, subject="")
    end.close()
    learn(end.record, task.execution)
    starter = find_starter(task.execution)
    left = end.remains() if task.outcome == "failed" else Remains()
    witness = seal_evidence(end, starter, left)
    about = starter_lines(starter, task.execution, task.request)
    message = compose(task, end, left, f"{about}\n{witness.lines}" if witness else about)
    message_id = send(message)
    end.record_report(message.subject, starter, witness)
    # Last: once it has taken the operation over, nothing can be written here.
    end.have_it_finished()
    return Notified(message_id=message_id, subject=message.subject)


def compose(task: NotificationTask, end: OperationEnd, left: Remains, started_by: str) -> Message:
    """Return the message of this outcome. `left` is what a failure has left; `started_by`, who began it, and proof."""
    execution_id, now = task.execution.execution_id, task.execution.now
    if task.outcome == "planned" and task.plan:
        return outcome.planned(task.plan, execution_id, task.request, started_by)
    if task.outcome == "succeeded" and task.plan and end.record:
        about = (end.corrects, end.about_secrets, started_by, end.replaced())
        if task.plan.rolls_back:
            return outcome.rolled_back(task.plan, end.record, execution_id, now, *about)
        if task.plan.drill and task.users and task.archive:
            known = (task.plan, task.users, task.archive, end.record)
            return outcome.drilled(*known, execution_id, now, end.corrects, end.about_secrets, started_by)
        if task.users and task.archive:
            known = (task.plan, task.users, task.archive, end.record)
            return outcome.succeeded(*known, execution_id, now, *about)
    failure = (end.error, end.record, task.request, left, end.clean_up)
    return outcome.failed(*failure, execution_id, end.asked_before, started_by)
