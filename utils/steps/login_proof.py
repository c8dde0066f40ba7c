"""The master login of the restored cluster, and the proof that it opens it."""

from __future__ import annotations

from utils import environment
from utils.errors import MasterLoginRefused, StepFailed, TemporaryFailure
from utils.logins.master import AdminSecret, ManagedSecret, MasterLogin
from utils.logins.secret_choice import admin_secret_of
from utils.postgres.session import Server
from utils.postgres.setup import prove_login
from utils.sqlstates import refuses_the_password
from utils.state.operation import OperationRecord, OperationState
from utils.state.values import iso


def master_login(record: OperationRecord) -> MasterLogin:
    """Return the login from the target's admin secret, or from RDS's own, beside which there may be no admin secret.

    RDS is out of reach from within the VPC: the record says where the cluster is.
    """
    if record.password_version_id is not None:
        return AdminSecret(admin_secret_of(record)).staged(record.password_version_id)
    if record.master_secret_arn and record.cluster_arn and record.endpoint and record.port:
        return ManagedSecret(record.master_secret_arn).login(record.cluster_arn, record.endpoint, record.port)
    raise StepFailed("The master password was not reset. Nothing was set up. Look at the steps before this one.")


def server_for(master: MasterLogin, record: OperationRecord) -> Server:
    """Return the server at the address that leads to the cluster now.

    That is the cluster's own, where the login states the one that it is to have after a swap.
    """
    ca_bundle = environment.text("RDS_CA_BUNDLE")
    return Server(host=record.endpoint or master.host, port=master.port, ca_bundle=ca_bundle)


def prove(server: Server, master: MasterLogin, record: OperationRecord, state: OperationState) -> None:
    """Prove the login, and record when it was first proved. It stays the secret's pending version."""
    _prove_or_request_reset(server, master, record, state)
    if record.login_proven_at is None:
        state.remember(login_proven_at=iso(state.now))


def prove_and_promote(server: Server, master: MasterLogin, record: OperationRecord, state: OperationState) -> None:
    """Prove the login and make it the secret's current version. Where the labels were before is recorded first.

    That it is proved is recorded with the caller's next fact. Until then it counts as not proved, and is proved again.
    Where the cluster replaces another one, the other's login stays the current one until the swap. A drill's cluster is
    deleted again, so that its login never becomes it.
    """
    if record.temporary_name is not None or record.is_drill:
        prove(server, master, record, state)
        return
    _prove_or_request_reset(server, master, record, state)
    if record.password_version_id is not None:
        admin = AdminSecret(admin_secret_of(record))
        if not admin.is_promoted(record.password_version_id):
            admin.promote(record.password_version_id, lambda labels: state.remember(labels_before=dict(labels)))
    state.note(login_proven_at=iso(state.now))


def _prove_or_request_reset(
    server: Server, master: MasterLogin, record: OperationRecord, state: OperationState
) -> None:
    """Prove the login. Where the server refuses the password, record that it is to be set once more, and raise.

    Raises MasterLoginRefused the first time: the state machine then goes back to the restore, which does the reset. A
    password that was set without an instance is in force according to CloudFormation's handler; an older report saw one
    that was not (aws/aws-cdk#20434), so it is set twice before the run fails. Raises TemporaryFailure while the server
    lets nobody in, or has refused the password after the second time as well.
    """
    try:
        prove_login(server, master)
    except TemporaryFailure as error:
        if not refuses_the_password(str(error)) or record.password_resets != 1:
            raise
        state.remember(password_reset_at=None)
        raise MasterLoginRefused(f"{error}. RDS sets the master password a second time.") from error
