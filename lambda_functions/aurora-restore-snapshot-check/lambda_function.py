"""Find the snapshot, check all that can be checked, take the target's lock, write the operation's first state.

Later, look at the source with which the restored cluster is compared: no other function may, in each of its places.
"""

from msgspec import convert
from msgspec.structs import replace

from utils.common import Event, edge_step
from utils.contracts.payloads import LookAtSourceTask, SnapshotCheckTask, SourceSeen
from utils.contracts.plan import Plan
from utils.logins.target_secrets import make_secrets
from utils.operation.identity import operation_id_of, state_of
from utils.operation.resume import refuse_if_unknown, resume
from utils.operation.start import begin_operation, is_another_runs, refuse_if_repeated, refuse_if_reserved, take_over
from utils.planning.new_operation import plan_new
from utils.planning.timing import likely_durations, timed
from utils.request.fields import RestoreRequest
from utils.request.reading import read_request
from utils.state.operation import OperationRecord, OperationState
from utils.steps.source_look import look_at_source


def read_task(event: Event) -> SnapshotCheckTask | LookAtSourceTask:
    """Return the task. The later one alone belongs to an operation that has begun."""
    return convert(event, type=LookAtSourceTask) if "run" in event else convert(event, type=SnapshotCheckTask)


@edge_step("snapshot-check", read_task, lambda task: task.operation)
def lambda_handler(task: SnapshotCheckTask | LookAtSourceTask) -> Plan | SourceSeen:
    """Return the plan of the whole operation. A refused request changes nothing but this operation's own state."""
    if isinstance(task, LookAtSourceTask):
        return look_at_source(task)
    request = read_request(task.request)
    execution = task.execution
    state = state_of(operation_id_of(request, execution), execution)
    known = state.recall(*likely_durations(request, execution))
    if known is not None and is_another_runs(known, execution):
        refuse_if_repeated(request, known, execution)
        return go_on(task, request, state, known)
    if known is None:
        refuse_if_unknown(request, state.operation_id, execution)
        refuse_if_reserved(request, state.operation_id)
    plan = plan_new(task, request, state.operation_id)
    made = begin_operation(request, state, plan, execution)
    details = {"snapshot": plan.snapshot, "copy_needed": plan.copy_needed, "secrets_made": made}
    state.audit("snapshot-check", "done", details if plan.rolls_back is None else {"rolls_back": plan.rolls_back})
    return plan


def go_on(task: SnapshotCheckTask, request: RestoreRequest, state: OperationState, known: OperationRecord) -> Plan:
    """Resume the operation: the plan is its own, and the steps find what it has created."""
    resumption = resume(request, task.request, known, task.execution, task.limits)
    going_on = replace(known, **resumption.facts)
    plan = timed(resumption.plan, going_on)
    take_over(request, state, known, plan, resumption.facts)
    needs_logins = going_on.users_ready_at is None and plan.rolls_back is None and not plan.finishes_drill
    made = make_secrets(plan, state, is_masked=going_on.masked_at is not None) if needs_logins else []
    state.audit("snapshot-check", "resumed", {"from": known.execution_id, "done": plan.resumed, "secrets_made": made})
    return plan
