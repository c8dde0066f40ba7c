"""The secrets of targets other than the stack's own: their names, what may stand in their way, and making them.

The stack's own target (TargetClusterId) keeps the two secrets that came with the stack. Every other one gets two of its
own, so that runs for different targets never meet. They are made once, by the first step, and belong to the target:
a later operation for it uses them as they are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import msgspec
from botocore.exceptions import ClientError

from utils import environment
from utils.aurora_utils.resources import OPERATION_TAG
from utils.aws import client, error_code
from utils.contracts.payloads import Execution
from utils.contracts.plan import Plan, TargetSecrets
from utils.errors import StepFailed, TemporaryFailure
from utils.logins.master import being_deleted
from utils.logins.secret_store import APPLICATION_TAG, TARGET_TAG, SecretSeen, keep_command, look_at_secret, make_secret
from utils.names import dated
from utils.state.operation import OperationState

# A secret that is removed by force is gone "after a short delay" (API reference, DeleteSecret). What was deleted longer
# ago, or goes later, has a recovery window of at least seven days.
JUST_REMOVED = dt.timedelta(minutes=15)
_ADMIN_TEXT = "Master login of the restored cluster {}. The pipeline writes it; before the first run it opens nothing."
_APPLICATION_TEXT = "Roles of the application in {}. A password that is missing is made at the first run."
_NAMES = ("app_username", "readonly_user")


def plan_secrets(target_cluster_id: str, execution: Execution, master_login: str) -> TargetSecrets | None:
    """Name the target's secrets. None: it is the stack's own target, and uses the stack's."""
    own = environment.optional("DEFAULT_TARGET_CLUSTER_ID")
    if own and dated(own, execution.started_at) == target_cluster_id:
        return None
    return TargetSecrets(
        admin=_name(target_cluster_id, "admin") if master_login == "pipeline" else None,
        application=_name(target_cluster_id, "application"),
    )


def target_secret_problems(secrets: TargetSecrets, target_cluster_id: str, now: dt.datetime) -> Iterator[str]:
    """What of the names is taken by secrets that aren't this stack's for this target, or are going."""
    for field, name in (("admin_secret", secrets.admin), ("application_secret", secrets.application)):
        found = look_at_secret(name) if name else None
        if found is not None and (why := _why_unusable(found, target_cluster_id, now)) is not None:
            yield f"{field}: {name!r} {why}"


def secret_with_roles(secrets: TargetSecrets, target_cluster_id: str) -> str:
    """Which secret says what roles the target gets: its own where it has one, else the stack's, whose list it takes."""
    found = look_at_secret(secrets.application)
    is_own = found is not None and found.deleted_at is None and _is_ours(found, target_cluster_id)
    return found.arn if found is not None and is_own else environment.text("APP_SECRET_ARN")


def secrets_of_source(cluster_identifier: str) -> list[str]:
    """Name the secrets that this stack has made for a cluster, which is about to be deleted."""
    names = (_name(cluster_identifier, kind) for kind in ("admin", "application"))
    found = (look_at_secret(name) for name in names)
    return [each.name for each in found if each is not None and _is_ours(each, cluster_identifier)]


def make_secrets(plan: Plan, state: OperationState) -> None:
    """Make what the target lacks, and record what it uses. Called again, it finds what an attempt that died has made.

    The list of roles is the stack's; the passwords are made when the roles are set up.
    """
    wanted = plan.target_secrets
    if wanted is None:
        return
    roles = _roles_without_passwords()
    arns = {"application_secret_arn": _ensure(wanted.application, _APPLICATION_TEXT, roles, plan, state)}
    if wanted.admin is not None:
        arns["admin_secret_arn"] = _ensure(wanted.admin, _ADMIN_TEXT, None, plan, state)
    state.remember(**arns, secrets_removed=[])


def _ensure(name: str, description: str, content: str | None, plan: Plan, state: OperationState) -> str:
    target = plan.target_cluster_id
    found = look_at_secret(name)
    if found is None:
        tags = {
            APPLICATION_TAG: environment.text("NAME_PREFIX"),
            OPERATION_TAG: plan.operation_id,
            TARGET_TAG: target,
        }
        try:
            arn = make_secret(name, description.format(target), environment.text("MASTER_SECRET_KEY"), tags, content)
        except ClientError as error:
            raise _not_made(name, error) from error
        state.audit("secret", "made", {"secret": arn, "target": target})
        return arn
    if found.deleted_at is not None and _is_just_removed(found.deleted_at, state.now):
        raise _still_going(name)
    if (why := _why_unusable(found, target, state.now)) is not None:
        raise StepFailed(f"Secret {name} {why}")
    return found.arn


def _not_made(name: str, error: ClientError) -> Exception:
    """Secrets Manager takes no name that is going (API reference, InvalidRequestException), nor one that is there."""
    code = error_code(error)
    if code == "InvalidRequestException":
        return _still_going(name)
    if code == "ResourceExistsException":
        return TemporaryFailure(f"Secret {name} was made a moment ago; it is looked at again.")
    return error


def _still_going(name: str) -> TemporaryFailure:
    return TemporaryFailure(
        f"Secret {name} was removed a moment ago, and its name isn't free yet. If it was deleted with a recovery "
        f"window instead, keep it: {keep_command(name)}"
    )


def _why_unusable(found: SecretSeen, target_cluster_id: str, now: dt.datetime) -> str | None:
    if found.deleted_at is not None:
        return None if _is_just_removed(found.deleted_at, now) else being_deleted(found.name)
    if _is_ours(found, target_cluster_id):
        return None
    return (
        f"exists, and isn't this stack's for {target_cluster_id}: it lacks the tags {APPLICATION_TAG}="
        f"{environment.text('NAME_PREFIX')}, {TARGET_TAG}={target_cluster_id} or {OPERATION_TAG}. It was left alone. "
        "Choose another target_cluster_id. Whose it is: aws secretsmanager describe-secret "
        f"--secret-id {found.name} --region {environment.region()}"
    )


def _is_just_removed(deleted_at: dt.datetime, now: dt.datetime) -> bool:
    """Whether it may have been removed by force. AWS describes the moment both as that of the deletion's request and as
    that for which it is scheduled (API reference, SecretListEntry and DescribeSecret): with a window, neither is now
    for long.
    """
    return abs(deleted_at - now) <= JUST_REMOVED


def _is_ours(found: SecretSeen, target_cluster_id: str) -> bool:
    return found.is_of_target(environment.text("NAME_PREFIX"), target_cluster_id)


def _name(target_cluster_id: str, kind: str) -> str:
    return f"{environment.text('NAME_PREFIX')}/targets/{target_cluster_id}/{kind}"


def _roles_without_passwords() -> str:
    """The roles of the stack's application secret. Whatever else somebody keeps in it stays there alone."""
    answer = client("secretsmanager").get_secret_value(SecretId=environment.text("APP_SECRET_ARN"))
    content = msgspec.json.decode(answer.get("SecretString", "{}"))
    named = {key: content[key] for key in _NAMES if key in content}
    roles = [{key: value for key, value in role.items() if key != "password"} for role in content.get("roles", [])]
    return msgspec.json.encode({**named, "app_password": "", "readonly_pwd": "", "roles": roles}).decode()
