"""Prove a login with the new master password, make it current, and set up the application's roles."""

from msgspec import convert

from utils.common import Work, step
from utils.contracts.payloads import SetupUsersTask, UsersReady
from utils.logins.application import ApplicationSecret
from utils.logins.roles import RoleNames
from utils.logins.secret_choice import application_secret_of, with_secrets
from utils.postgres.bounded import shortened
from utils.postgres.setup import set_up_roles
from utils.state.values import iso
from utils.steps.locked_logins import remember_locked
from utils.steps.login_proof import master_login, prove_and_promote, server_for
from utils.steps.restore_progress import note_seen
from utils.steps.unmasked import refuse_unmasked


@step("setup-db-users", SetupUsersTask)
def lambda_handler(task: SetupUsersTask, work: Work) -> UsersReady:
    """Set up the users. A database that admits nobody yet raises TemporaryFailure, and the step is retried."""
    record = work.record()
    refuse_unmasked(record)
    if record.users is not None:
        # Done by an earlier execution or attempt whose answer was lost: people may rely on the cluster already.
        return with_secrets(convert(record.users, UsersReady, strict=False), record)
    note_seen(task.after, work.state, record)
    master = master_login(record)
    server = server_for(master, record)
    prove_and_promote(server, master, record, work.state)

    names = RoleNames(task.application_role, task.read_only_role)
    logins = ApplicationSecret(application_secret_of(record), names).logins()
    report = set_up_roles(
        server,
        master,
        logins,
        lock=task.inherited_logins == "lock",
        quarantine=task.quarantine,
        locked_before=record.locked_logins,
        on_locked=lambda names: remember_locked(names, record, work.state),
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
    return with_secrets(users, record)
