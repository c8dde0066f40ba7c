"""Do from within the VPC what a swap cannot do by RDS's API: end sessions, read certificates, prove the address."""

from utils import environment
from utils.common import Work, step
from utils.contracts.payloads import CheckSwapTask, SwapFindings
from utils.logins.master import AdminSecret
from utils.logins.secret_choice import admin_secret_of
from utils.steps.swap_within import Errands


@step("check-swap", CheckSwapTask)
def lambda_handler(task: CheckSwapTask, work: Work) -> SwapFindings:
    """Do the errand, and store what it has come to for the step that decides."""
    admin = AdminSecret(admin_secret_of(work.record()))
    return Errands(admin, work.state, environment.text("RDS_CA_BUNDLE")).do(task.errand)
