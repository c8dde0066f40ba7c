"""The plan of an operation that has not begun: a restore, a drill, or the rollback of an earlier replacement."""

from __future__ import annotations

from utils import environment
from utils.aurora_utils import AuroraReader
from utils.contracts.payloads import SnapshotCheckTask
from utils.contracts.plan import Plan
from utils.planning.drill import as_drill, drill_problems
from utils.planning.restore import plan_restore
from utils.planning.rollback import plan_rollback
from utils.planning.snapshot_place import source_of
from utils.planning.timing import timed
from utils.request.fields import RestoreRequest
from utils.request.reading import refuse_if_any
from utils.state.operation import OperationState


def plan_new(task: SnapshotCheckTask, request: RestoreRequest, operation_id: str) -> Plan:
    """Return the plan, or raise RequestRefused with everything that prevents it. Only reads."""
    execution, limits = task.execution, task.limits
    if request.rollback:
        undone = OperationState(request.operation_id or "", execution.execution_id, execution.now).recall()
        return plan_rollback(request, task.request, undone, operation_id, execution, limits)
    if request.drill:
        refuse_if_any(drill_problems(request))
        request = as_drill(request)
    target = AuroraReader(environment.region())
    source = source_of(request, execution, operation_id, target.region)
    return timed(plan_restore(request, operation_id, execution, source, target, limits))
