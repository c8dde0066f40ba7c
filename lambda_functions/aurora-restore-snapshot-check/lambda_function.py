"""Find the snapshot, check all that can be checked, take the target's lock, write the operation's first state."""

from functools import partial

from msgspec import convert

from utils import settings
from utils.aurora_utils import Aurora
from utils.common import edge_step
from utils.errors import RequestRefused
from utils.finding import source_account, source_region
from utils.lock import TargetLock
from utils.payloads import SnapshotCheckTask
from utils.planning import plan_restore
from utils.plans import Plan
from utils.request import read_request
from utils.source_account import open_source
from utils.state import OperationState, iso


@edge_step("snapshot-check", partial(convert, type=SnapshotCheckTask), lambda task: task.run.execution_name)
def lambda_handler(task: SnapshotCheckTask) -> Plan:
    """The plan of the whole operation. A refused request has changed nothing but this operation's own state."""
    request = read_request(task.request)
    operation_id = request.operation_id or task.run.execution_name
    target = Aurora(settings.region())
    account = source_account(request, task.run.execution_id.split(":")[4])
    region = source_region(request, target.region)
    source = open_source(account, region, task.run.execution_id, operation_id, task.run.now)
    plan = plan_restore(request, operation_id, task.run, source, target)

    state = OperationState(operation_id, task.run.execution_id, task.run.now)
    state.open("snapshot-check", request, plan, "planned" if plan.dry_run else "running")
    if not plan.dry_run:
        holder = TargetLock(plan.target_cluster_id, operation_id, task.run.execution_id).hold(task.run.now)
        if holder is not None:
            raise RequestRefused(
                f"target_cluster_id: another run works on {plan.target_cluster_id!r}: {holder.execution_id} "
                f"(operation {holder.operation_id}). Wait until it ends; its lock expires at {iso(holder.expires_at)}."
            )
    state.audit("snapshot-check", "done", {"snapshot": plan.snapshot, "copy_needed": plan.copy_needed})
    return plan
