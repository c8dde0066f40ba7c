"""The end of an operation's secrets: no label stays on the login of a cluster that is gone.

Where the cluster of a failed operation or a drill is gone, or was never created, its labels are moved back and the
secrets that it created are deleted, the salt of its masking among them. Where its cluster is kept, they hold its
logins, and the salt waits for the operation to be resumed. The secrets of a source cluster that was deleted are deleted
with it. What was done here is reported, and a second attempt reports the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from utils import environment
from utils.aurora_utils import AuroraReader
from utils.aurora_utils.ownership import owns_cluster
from utils.aws_errors import as_step_error, error_code
from utils.errors import StepFailed
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.logins.masking_salt import salt_secret_name
from utils.logins.master import REPLACED, AdminSecret
from utils.logins.secret_store import (
    CURRENT,
    PENDING,
    PREVIOUS,
    SecretSeen,
    keep_command,
    labels_of,
    look_at_secret,
    move_label,
    remove_secret,
)
from utils.messages.outcome import NOT_SETTLED
from utils.state.lock import LockHolder, TargetLock
from utils.state.operation import OperationRecord, OperationState
from utils.state.unseen import is_gone, name_of_cluster


def settle_secrets(record: OperationRecord, state: OperationState, lock: TargetLock, *, ended: bool) -> list[str]:
    """Return what became of the secrets, a sentence each. `ended`: the operation's cluster may be gone.

    No error is raised from here: the operation's own error, and the message on it, matter more.
    """
    said: list[str] = []
    try:
        said += _without_cluster(record, state, lock) if ended else _of_another_current(record)
        said += _of_deleted_source(record, state)
    except (BotoCoreError, ClientError, StepFailed) as error:
        why = error if isinstance(error, StepFailed) else as_step_error(error)
        said.append(f"{NOT_SETTLED}: {one_line(why, MAX_SENTENCE)}")
        said += _commands(record)
    return said


def _without_cluster(record: OperationRecord, state: OperationState, lock: TargetLock) -> Iterator[str]:
    aurora = AuroraReader(environment.region())
    gone = _is_gone(record, aurora, state.now)
    if gone is None:
        yield from _settle_salt(record, state) if record.salt_secret_arn else ()
        yield from _unsure(record)
        return
    if not gone:
        yield from _settle_salt(record, state) if record.salt_secret_arn else ()
        if record.application_secret_arn:
            arns = (record.admin_secret_arn, record.application_secret_arn)
            yield f"The logins of the cluster are in {', '.join(arn for arn in arns if arn)}."
        return
    yield from _remove_salt(record, state)
    made = [each for each in _named(record) if each.was_made_by(record.operation_id) and each.deleted_at is None]
    admin = _admin_secret(record)
    labelled = look_at_secret(admin) if admin and admin not in [each.arn for each in made] else None
    is_ours = labelled is not None and record.staged_version_id in labelled.labels.values()
    if (made or is_ours) and (holder := lock.hold(state.now)) is not None:
        yield from _left_alone(holder, record, state)
        return
    yield from _remove_made(made, record, state)
    if labelled is not None and labelled.deleted_at is None:
        _move_labels_back(labelled, record)
        yield from _whose_is_current(labelled, record, aurora)


def _of_another_current(record: OperationRecord) -> Iterator[str]:
    """Yield that the secret of a replaced target does not lead to its cluster, and how to change that.

    A swap leaves a version alone that a person has made the current one.
    """
    undone: Mapping[str, Any] | None = record.plan.get("rolls_back")
    ours, admin = record.staged_version_id, _admin_secret(record)
    if undone:
        ours, admin = undone["login_version_id"], record.admin_secret_arn or environment.text("ADMIN_SECRET_ARN")
    found = look_at_secret(admin) if record.temporary_name is not None and ours and admin else None
    current = found.labels.get(CURRENT) if found is not None else None
    if found is None or ours is None or current in (None, ours):
        return
    yield (
        f"The current version of secret {found.name} is not the login of {record.plan['target_cluster_id']}: somebody "
        f"has put version {current}, which was left alone. To make the login, version {ours}, the current one: aws "
        f"secretsmanager update-secret-version-stage --secret-id {found.name} --version-stage {CURRENT} "
        f"--move-to-version-id {ours} --remove-from-version-id {current} --region {environment.region()}"
    )


def _remove_salt(record: OperationRecord, state: OperationState) -> Iterator[str]:
    """Delete the salt, found by its name: an attempt that died may have created it without recording its ARN.

    It is this operation's alone, also while another execution holds the target's lock.
    """
    found = look_at_secret(salt_secret_name(record.operation_id)) if record.has_masking else None
    if found is None or not found.was_made_by(record.operation_id):
        return
    if found.deleted_at is None:
        remove_secret(found.arn, at_once=True)
    if record.salt_secret_arn is not None:
        state.remember_at_end(salt_secret_arn=None)
    yield f"Deleted: the salt of the masking, {found.name}."


def _settle_salt(record: OperationRecord, state: OperationState) -> Iterator[str]:
    """Keep the salt while the kept cluster is masked in part: what a resume masks has to match that."""
    if record.masked_at is not None:
        yield from _remove_salt(record, state)
        return
    name = salt_secret_name(record.operation_id)
    yield f"The salt of the masking stays in {name}, for a resume. If you delete the cluster, delete it too:"
    yield (
        f"aws secretsmanager delete-secret --secret-id {name} --force-delete-without-recovery "
        f"--region {environment.region()}"
    )


def _left_alone(holder: LockHolder, record: OperationRecord, state: OperationState) -> Iterator[str]:
    """Report secrets that were kept: a lock that was released stays closed to us, because another may take it."""
    given_back = holder.execution_id == state.execution_id
    why = "its lock was released before" if given_back else f"{holder.execution_id} is working on its target now"
    yield f"The operation's secrets were not changed, because {why}."
    if given_back:
        yield from _commands(record)


def _remove_made(made: list[SecretSeen], record: OperationRecord, state: OperationState) -> Iterator[str]:
    names = [each.name for each in made]
    for each in made:
        remove_secret(each.arn, at_once=True)
    if made:
        state.remember_at_end(admin_secret_arn=None, application_secret_arn=None, secrets_removed=names)
    if names or record.secrets_removed:
        removed = ", ".join(names or record.secrets_removed)
        yield f"Deleted: the secrets that this operation had created for that cluster: {removed}."


def _is_gone(record: OperationRecord, aurora: AuroraReader, now: dt.datetime) -> bool | None:
    """Return whether the operation's cluster was never created, is gone, or is being deleted; None: that is unknown.

    That one look does not show it proves nothing. An earlier one may have missed it as well.
    """
    known, target = record.cluster_resource_id, str(record.plan["target_cluster_id"])
    if known is None and record.cluster_asked_at is None:
        return True
    found = aurora.cluster_with_id(known) if known else aurora.cluster(record.named(target))
    if found is None:
        return True if is_gone(record, name_of_cluster(record, target), now) else None
    # The one with the recorded id is ours even if its tag was removed: its logins stay.
    return not (known is not None or owns_cluster(found, record)) or found.is_being_deleted


def _unsure(record: OperationRecord) -> Iterator[str]:
    """Yield that the secrets of a cluster stay that RDS does not show, with the commands that end them."""
    if not (record.admin_secret_arn or record.application_secret_arn or record.staged_version_id):
        return
    name = record.named(str(record.plan["target_cluster_id"]))
    yield (
        f"RDS did not show cluster {name} ({record.cluster_resource_id or 'its resource id is not known'}). That one "
        "look did not show it does not prove that it is gone, so the secrets with its logins were not changed."
    )
    yield from _commands(record)


def _named(record: OperationRecord) -> Iterator[SecretSeen]:
    """Yield the planned secrets, found by name: an attempt that died may have created one without recording its ARN."""
    names: Mapping[str, Any] = record.plan.get("target_secrets") or {}
    for name in names.values():
        if name and (found := look_at_secret(name)) is not None:
            yield found


def _admin_secret(record: OperationRecord) -> str | None:
    """Return where this operation has stored a master login; None where it has not, or where RDS keeps it."""
    if record.staged_version_id is None:
        return None
    if record.plan.get("target_secrets"):
        return record.admin_secret_arn
    return environment.text("ADMIN_SECRET_ARN")


def _move_labels_back(secret: SecretSeen, record: OperationRecord) -> None:
    """Move the labels to where they were, except those that another execution has moved since."""
    ours, before = record.staged_version_id, record.labels_before
    if ours is None:
        return
    # A swap that was turned back late has kept it as the login of the one that did not stay.
    for label in (PENDING, REPLACED):
        if secret.labels.get(label) == ours:
            move_label(secret.arn, label, where=ours, to=None)
    if secret.labels.get(CURRENT) == ours and before.get(CURRENT):
        move_label(secret.arn, CURRENT, where=ours, to=before[CURRENT])
    if labels_of(secret.arn).get(PREVIOUS) != ours:
        return
    # It follows AWSCURRENT by itself, to the version that this was taken from (API, UpdateSecretVersionStage).
    try:
        move_label(secret.arn, PREVIOUS, where=ours, to=before.get(PREVIOUS))
    except ClientError as error:
        # A version without labels may have been deleted meanwhile.
        if error_code(error) not in ("InvalidParameterException", "ResourceNotFoundException"):
            raise
        move_label(secret.arn, PREVIOUS, where=ours, to=None)


def _whose_is_current(secret: SecretSeen, record: OperationRecord, aurora: AuroraReader) -> Iterator[str]:
    """Report whose login is current now. Its version's id says so, without reading the secret."""
    current = labels_of(secret.arn).get(CURRENT)
    if current is not None and current == record.staged_version_id:
        yield f"The current version of secret {secret.name} is the login of the deleted cluster: it opens nothing."
    elif current is not None and current == record.labels_before.get(CURRENT):
        clusters = {AdminSecret.version_for(each.resource_id): each.identifier for each in aurora.clusters()}
        of_none = "of a cluster that does not exist either, or of none: it opens nothing"
        whose = f"the login of cluster {clusters[current]}" if current in clusters else of_none
        yield f"The current version of secret {secret.name} is again the one from before this operation, {whose}."


def _of_deleted_source(record: OperationRecord, state: OperationState) -> Iterator[str]:
    deletion: Mapping[str, Any] = record.plan.get("source_deletion") or {}
    names, cluster = deletion.get("secrets") or [], str(deletion.get("cluster_identifier"))
    if not names or record.source_deletion_at is None:
        return
    aurora, resource_id = AuroraReader(str(deletion["region"])), str(deletion["cluster_resource_id"])
    if aurora.cluster_with_id(resource_id) is not None:
        return
    if record.source_gone_at is None and not is_gone(record, resource_id, state.now):
        yield (
            f"The secrets of {cluster} were not changed: RDS did not show the cluster, and one look does not prove "
            "that it is gone. Once it is, delete them:"
        )
        yield from (_deletion_command(name) for name in names)
        return
    lock = TargetLock(cluster, record.operation_id, state.execution_id, state.redrive_count)
    if lock.take(state.now) is not None:
        yield f"The secrets of {cluster} were not changed: an execution is working on a new cluster of that name."
        return
    try:
        if aurora.cluster(cluster) is not None:
            yield f"The secrets of {cluster} were not changed, because there is a new cluster of that name."
            return
        for name in names:
            yield from _remove_of_source(name, cluster)
    finally:
        lock.give_back(state.now)


def _remove_of_source(name: str, cluster: str) -> Iterator[str]:
    found = look_at_secret(name)
    if found is None or not found.is_of_target(environment.text("NAME_PREFIX"), cluster):
        return
    if found.deleted_at is None:
        remove_secret(found.arn, at_once=False)
    yield f"Secret {name} is deleted with its cluster {cluster}. It can be kept within 30 days: {keep_command(name)}"


def _deletion_command(name: str) -> str:
    return f"aws secretsmanager delete-secret --secret-id {name} --region {environment.region()}"


def _commands(record: OperationRecord) -> Iterator[str]:
    """Yield the commands that finish it by hand."""
    here = f"--region {environment.region()}"
    names: Mapping[str, Any] = record.plan.get("target_secrets") or {}
    if names:
        yield "Once nothing of its cluster is left, and nothing else uses them, delete the secrets of its target:"
        yield from (_deletion_command(name) for name in names.values() if name)
        return
    ours, before = record.staged_version_id, record.labels_before.get(CURRENT)
    if ours and before:
        yield "Once nothing of its cluster is left, give the admin secret its former current version back:"
        yield (
            f"aws secretsmanager update-secret-version-stage --secret-id {environment.text('ADMIN_SECRET_ARN')} "
            f"--version-stage {CURRENT} --remove-from-version-id {ours} --move-to-version-id {before} {here}"
        )
