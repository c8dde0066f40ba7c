"""Whether the source that is compared is still the planned cluster, and which instances RDS lists for it.

Its address is made of its name, which another cluster may have taken since the plan. RDS alone knows resource ids, and
is out of reach from within the VPC: so this is asked before each slice of a verification and after the last one, and
each session there is proved by the instance that it is with (utils/postgres/verification/source.py).
"""

from __future__ import annotations

from utils.arns import Arn
from utils.aurora_utils.source_account import open_source
from utils.contracts.payloads import LookAtSourceTask, SourceSeen

_REMEDY = "Start a new operation, which plans the comparison again, or choose a policy without `source`"


def look_at_source(task: LookAtSourceTask) -> SourceSeen:
    """Return the instances of the planned cluster, or why there is no such cluster under its name. Only reads."""
    planned, run = task.source, task.run
    arn = Arn.parse(planned.cluster_arn)
    source = open_source(arn.account_id, arn.region, run.execution_id, run.operation_id, run.now)
    name = planned.identifier
    is_unseen = False
    if source.access == "shared":
        why = f"{planned.cluster_arn} cannot be looked at: {source.why_no_role}"
    elif (living := source.cluster(name)) is None:
        why, is_unseen = f"there is no cluster {name!r} in {arn.region}", True
    elif living.resource_id != planned.cluster_resource_id:
        why = f"{name!r} is now {living.resource_id}, and not {planned.cluster_resource_id}, which was planned"
    else:
        return SourceSeen(at=run.now, members=sorted(living.member_identifiers))
    return SourceSeen(at=run.now, why=f"{why}. {_REMEDY}", is_unseen=is_unseen)
