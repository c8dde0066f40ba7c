"""Check the restored cluster's data by the planned policy, before its door opens: a slice in each call."""

from utils.common import Work, step
from utils.contracts.payloads import VerifyProgress, VerifyTask
from utils.steps.login_proof import master_login, prove, server_for
from utils.steps.verification import verify_cluster


@step("verify-data", VerifyTask)
def lambda_handler(task: VerifyTask, work: Work) -> VerifyProgress:
    """Check for some minutes, and say whether every check has come to its end. A slice that died is repeated."""
    record = work.record()
    master = master_login(record)
    server = server_for(master, record)
    prove(server, master, record, work.state)
    return verify_cluster(task, server, master, record, work.state, work.pace(record))
