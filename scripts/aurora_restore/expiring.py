"""The command that deletes a cluster before its time: by the machine that deletes what expires, with all its proofs."""

from __future__ import annotations

import time

import click

from .answers import Expired, ExpiringCluster
from .calling import Answer, Called
from .executions import Execution, describe, start
from .exits import CONFIRMATION_NEEDED, FAILED, INTERRUPTED, NOT_FOUND, STILL_RUNNING, USAGE, CommandError
from .operations import Operations
from .published import Expiring, Record
from .starting import raise_if_refused
from .words import one_line

# A function's time-out, and some retries of what passes.
BEGUN_WITHIN_SECONDS = 300


@click.option("--confirm", metavar="CLUSTER", help="The cluster's name, where there is no terminal to type it.")
@click.option("--cluster", metavar="CLUSTER", help="Which one, where several of the operation's expire.")
@click.option("--now", is_flag=True, help="Delete it now. Without this, only say what expires, and when.")
@click.option("--every", default=5.0, show_default=True, metavar="SECONDS", help="How often to look.")
@click.argument("operation")
def expire(called: Called, operation: str, every: float, now: bool, cluster: str | None, confirm: str | None) -> Answer:
    """Delete a cluster of OPERATION that expires, before its time; or say what expires, and when.

    All proofs apply: a cluster that was extended by its tag, is protected, was renamed, or is in use by another
    operation is not deleted, and the command says why.
    """
    operations = Operations(called.stack)
    record = operations.find(operation)
    found = operations.expiring(record.operation_id)
    if not found:
        raise CommandError(
            "NothingExpires",
            f"No cluster of operation {record.operation_id} is registered to expire. Only those that expire by "
            "themselves are deleted earlier.",
            NOT_FOUND,
            next_commands=[f"aurora-restore show {record.operation_id}"],
        )
    clusters = [_shown(each, record) for each in found]
    if not now:
        return _said(called, record, clusters)
    chosen = _chosen(found, cluster or (confirm if len(found) > 1 else None))
    _confirm(called, chosen, confirm, record)
    execution = _delete(called, chosen, every)
    return _begun(called, record, clusters, chosen, execution)


def _chosen(found: list[Expiring], named: str | None) -> Expiring:
    matching = [each for each in found if named in (None, each.cluster_identifier)]
    if len(matching) == 1:
        return matching[0]
    names = ", ".join(each.cluster_identifier for each in found)
    if not matching:
        raise CommandError("NoSuchCluster", f"{named!r} is none of the operation's that expire: {names}.", NOT_FOUND)
    raise CommandError("ClusterAmbiguous", f"These expire: {names}. Say which one by --cluster.", USAGE)


def _confirm(called: Called, chosen: Expiring, confirm: str | None, record: Record) -> None:
    """Require the cluster's name, typed or in `--confirm`, and compare it letter by letter."""
    name = chosen.cluster_identifier
    if confirm is not None:
        if confirm != name:
            message = f"--confirm {confirm!r} is not {name}. Nothing was done."
            raise CommandError("NotConfirmed", message, CONFIRMATION_NEEDED)
        return
    command = f"aurora-restore expire {record.operation_id} --now --confirm {name}"
    snapshot = (
        f"after a final snapshot {chosen.final_snapshot}" if chosen.final_snapshot else "without a final snapshot"
    )
    what = f"This deletes, with its data and {snapshot}, the cluster"
    called.confirm([name], what, yes=False, instead=command)


def _delete(called: Called, chosen: Expiring, every_seconds: float) -> Execution:
    """Start the machine, and return its execution once the deletion has begun or is over.

    Raise CommandError where it was refused, or has failed.
    """
    machine = called.stack.output("ExpiryMachineArn", "expire")
    asked = {"operation_id": chosen.operation_id, "cluster": chosen.cluster_identifier}
    arn = start(called.stack, {"expire": asked}, machine_arn=machine)
    try:
        return _followed(called, chosen, arn, every_seconds)
    except KeyboardInterrupt:
        message = f"Execution {arn} was started and continues. Whether the deletion has begun was not seen."
        raise CommandError("StartedUnseen", message, INTERRUPTED) from None


def _followed(called: Called, chosen: Expiring, arn: str, every_seconds: float) -> Execution:
    until = time.monotonic() + BEGUN_WITHIN_SECONDS
    while time.monotonic() < until:
        found = describe(called.stack, arn)
        if found is not None and not found.is_running:
            return _ended(found)
        entries = Operations(called.stack).expiring(chosen.operation_id)
        own = next((each for each in entries if each.resource_id == chosen.resource_id), None)
        if found is not None and (own is None or own.deletion_began_at is not None):
            return found
        time.sleep(min(1.0, every_seconds))
    raise CommandError(
        "NotBegunYet",
        f"Execution {arn} was started, and the deletion has not begun within {BEGUN_WITHIN_SECONDS} s.",
        STILL_RUNNING,
    )


def _ended(execution: Execution) -> Execution:
    raise_if_refused(execution)
    if execution.status != "SUCCEEDED":
        message = f"The deletion has failed: execution {execution.arn} is {execution.status}."
        raise CommandError(execution.error or execution.status, message, FAILED, problems=execution.reasons)
    return execution


def _said(called: Called, record: Record, clusters: list[ExpiringCluster]) -> Answer:
    follow_up = f"aurora-restore expire {record.operation_id} --now"
    lines = [
        f"{each.cluster} expires at {each.expires_at or 'an unknown time'}"
        + (", unless its tag has a later moment" if each.deletion_began_at is None else ": its deletion has begun")
        + (" (it was replaced, and is kept until then)" if each.was_replaced else "")
        + (f"; before its deletion, the final snapshot {each.final_snapshot} is taken" if each.final_snapshot else "")
        for each in clusters
    ]
    return Answer(
        Expired(operation_id=record.operation_id, clusters=clusters, deleting=None, execution_arn=None),
        lines,
        [called.stack.where, f"To delete it before: {follow_up}"],
        next=[follow_up],
    )


def _begun(
    called: Called, record: Record, clusters: list[ExpiringCluster], chosen: Expiring, execution: Execution
) -> Answer:
    name = chosen.cluster_identifier
    return Answer(
        Expired(operation_id=record.operation_id, clusters=clusters, deleting=name, execution_arn=execution.arn),
        [name],
        [called.stack.where, f"The deletion of {name} has begun. It continues if you close this terminal."],
        next=[f"aurora-restore show {record.operation_id}"],
    )


def _shown(entry: Expiring, record: Record) -> ExpiringCluster:
    recorded = record.cluster_expires_at if entry.replaced is None else entry.replaced.expires_at
    return ExpiringCluster(
        cluster=one_line(entry.cluster_identifier),
        resource_id=entry.resource_id,
        was_replaced=entry.replaced is not None,
        final_snapshot=entry.final_snapshot,
        expires_at=recorded or None,
        deletion_began_at=entry.deletion_began_at,
    )
