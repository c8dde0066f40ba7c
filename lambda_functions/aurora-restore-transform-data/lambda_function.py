"""Mask the restored cluster by the planned policy, before any login of the application exists: a slice in each call."""

from utils.common import Work, step
from utils.contracts.payloads import TransformProgress, TransformTask
from utils.steps.login_proof import master_login, prove, server_for
from utils.steps.masking import mask_cluster


@step("transform-data", TransformTask)
def lambda_handler(task: TransformTask, work: Work) -> TransformProgress:
    """Mask for some minutes, and say whether the masking has passed its gate. A slice that died is repeated."""
    record = work.record()
    master = master_login(record)
    server = server_for(master, record)
    prove(server, master, record, work.state)
    return mask_cluster(task, server, master, record, work.state, work.pace(record))
