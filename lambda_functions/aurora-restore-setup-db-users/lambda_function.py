"""Prove a login with the new master password, make it current, and set up the application's roles."""

from msgspec import convert

from utils import settings
from utils.application_logins import RoleNames
from utils.application_secret import ApplicationSecret
from utils.common import Work, step
from utils.credentials import AdminSecret, ManagedSecret, MasterLogin
from utils.errors import MasterLoginRefused, StepFailed, TemporaryFailure
from utils.payloads import SetupUsersTask, UsersReady
from utils.postgres import Server
from utils.postgres_roles import prove_login, set_up_roles, shortened
from utils.sqlstates import refuses_the_password
from utils.state import OperationRecord, iso


@step("setup-db-users", SetupUsersTask)
def lambda_handler(task: SetupUsersTask, work: Work) -> UsersReady:
    """The only step in the VPC. A database that doesn't let us in yet raises TemporaryFailure and is asked again."""
    record = work.record()
    if record.users is not None:
        # An earlier run of this operation, or an attempt whose answer was lost: people may rely on the cluster by now.
        return convert(record.users, UsersReady, strict=False)
    admin = AdminSecret(settings.text("ADMIN_SECRET_ARN"))
    master = master_login(admin, record)
    server = Server(host=master.host, port=master.port, ca_bundle=settings.text("RDS_CA_BUNDLE"))

    prove_or_reset(server, master, record, work)
    if record.password_version_id is not None:
        admin.promote(record.password_version_id)
    work.state.remember(login_proven_at=iso(task.run.now))

    names = RoleNames(task.application_role, task.read_only_role)
    logins = ApplicationSecret(settings.text("APP_SECRET_ARN"), names).logins()
    report = set_up_roles(
        server,
        master,
        logins,
        lock=task.inherited_logins == "lock",
        quarantine=task.quarantine,
        locked_before=record.locked_logins,
        on_locked=lambda names: work.state.remember(locked_logins=shortened(names)),
    )
    users = UsersReady(
        endpoint=master.host,
        port=master.port,
        databases=shortened(report.databases),
        application_role=logins.app_username,
        read_only_role=logins.readonly_user,
        inherited_logins=shortened(report.inherited_logins),
        warnings=shortened(report.warnings),
        roles=shortened(report.roles),
        locked_logins=shortened(report.locked_logins),
        disabled=shortened(report.disabled),
        unfinished=shortened(report.unfinished),
    )
    work.state.remember(users_ready_at=iso(task.run.now), users=users)
    return users


def prove_or_reset(server: Server, master: MasterLogin, record: OperationRecord, work: Work) -> None:
    """Prove the login. Where the server refuses the password, have RDS asked once more to set it.

    RDS reports a change as applied that people have found not to be (aws/aws-cdk#20434).
    """
    try:
        prove_login(server, master)
    except TemporaryFailure as error:
        if not refuses_the_password(str(error)) or record.password_resets != 1:
            raise
        work.state.remember(password_reset_at=None)
        raise MasterLoginRefused(f"{error}. RDS is asked once more to set the master password.") from error


def master_login(admin: AdminSecret, record: OperationRecord) -> MasterLogin:
    """From the stack's secret or RDS's own. RDS can't be asked from within the VPC: the record says where."""
    if record.password_version_id is not None:
        return admin.staged(record.password_version_id)
    if record.master_secret_arn and record.cluster_arn and record.endpoint and record.port:
        return ManagedSecret(record.master_secret_arn).login(record.cluster_arn, record.endpoint, record.port)
    raise StepFailed("The master password wasn't reset. Nothing was set up. Look at the steps before this one.")
