"""List the calls by which an operation is going to change something, in their order, as a dry run shows them.

The list is derived from the plan alone, so that a person who approves the plan approves these calls and no others. It
omits the operation's own records (state, lock, audit), its message, and every call that only reads. SQL is not a call
to AWS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from utils.contracts.plan import Plan, PlannedCall, ReplacedCluster, SourceDeletion
from utils.contracts.route import RouteStep
from utils.logins.masking_salt import salt_secret_name

_CREATE = "secretsmanager:CreateSecret"
_DELETE = "secretsmanager:DeleteSecret"
_STORE = "secretsmanager:PutSecretValue"
_MOVE_LABEL = "secretsmanager:UpdateSecretVersionStage"
ADMIN, APPLICATION = "admin secret", "application secret"
IF_REFUSED = "where the new password is refused"
IF_ANOTHER_LEADS = "where another instance is ready first"
IF_NOT_THERE = "where the target has none yet"
IF_ANOTHER_IS_CURRENT = "where an earlier version is current"
IF_STALE = "where its certificate lacks the target's name"
IF_STILL_STALE = "where a certificate still lacks the target's name"
IF_MISSING = "where the secret lacks a password"


def planned_calls(plan: Plan, account: str, region: str) -> list[PlannedCall]:
    """Return the calls. `account` and `region` are the stack's own, where the new cluster is created."""

    def here(call: str, on: str, only: str | None = None) -> PlannedCall:
        return PlannedCall(call=call, on=on, region=region, account=account, only=only)

    def calls() -> Iterator[PlannedCall]:
        own = plan.target_secrets
        admin, application = (own.admin or ADMIN, own.application) if own else (ADMIN, APPLICATION)
        if plan.rolls_back and plan.replaces:
            yield from _of_the_swap(plan, plan.replaces, admin, here)
            if plan.cluster.data_api:
                yield here("rds:EnableHttpEndpoint", plan.target_cluster_id)
            return
        if plan.target_secrets:
            yield here(_CREATE, plan.target_secrets.application, IF_NOT_THERE)
            if plan.target_secrets.admin:
                yield here(_CREATE, plan.target_secrets.admin, IF_NOT_THERE)
        if plan.masking:
            yield here(_CREATE, salt_secret_name(plan.operation_id))
        if plan.copy:
            yield from map(_on_the_route, plan.copy.steps)
        if plan.export:
            yield here("rds:StartExportTask", plan.export.identifier)
        cluster = plan.cluster
        managed = cluster.master_login == "rds_managed"
        yield here("rds:RestoreDBClusterFromSnapshot", cluster.identifier)
        if not managed:
            yield here(_STORE, admin)
        yield here("rds:ModifyDBCluster", cluster.identifier)
        yield from (here("rds:CreateDBInstance", instance.identifier) for instance in cluster.instances)
        if not managed:
            yield here("rds:ModifyDBCluster", cluster.identifier, IF_REFUSED)
        if cluster.has_unlike_instances:
            yield here("rds:FailoverDBCluster", cluster.identifier, IF_ANOTHER_LEADS)
        if plan.masking:
            yield here(_DELETE, salt_secret_name(plan.operation_id))
        if plan.replaces:
            yield here(_STORE, application, IF_MISSING)
            yield from _of_the_swap(plan, plan.replaces, admin, here)
        elif not managed and not plan.drill:
            # It becomes the current version, unless it is the secret's first, and is no longer pending.
            yield from (here(_MOVE_LABEL, admin), here(_MOVE_LABEL, admin, IF_ANOTHER_IS_CURRENT if own else None))
        if not plan.replaces:
            yield here(_STORE, application, IF_MISSING)
        if plan.drill:
            # What proved the login is no longer pending.
            yield from () if managed or own else (here(_MOVE_LABEL, admin),)
            yield from (here("rds:DeleteDBInstance", instance.identifier) for instance in cluster.instances)
            yield here("rds:DeleteDBCluster", cluster.identifier)
        elif not plan.replaces:
            # The door opens.
            yield here("rds:ModifyDBCluster", cluster.identifier)
        if plan.expires_after_hours:
            yield here("rds:AddTagsToResource", cluster.identifier)
        if cluster.data_api:
            yield here("rds:EnableHttpEndpoint", cluster.target_identifier)
        if plan.source_deletion:
            yield from _of_the_source(plan.source_deletion, account)
        if plan.copy and plan.archive_snapshot == "delete":
            yield here("rds:DeleteDBClusterSnapshot", plan.copy.identifier)
        if plan.source_deletion:
            yield from (here(_DELETE, name) for name in plan.source_deletion.secrets)
        if plan.drill and own:
            yield from (here(_DELETE, name) for name in (own.admin, own.application) if name)

    return list(calls())


def _of_the_swap(
    plan: Plan, replaced: ReplacedCluster, admin: str, here: Callable[..., PlannedCall]
) -> Iterator[PlannedCall]:
    """Yield the calls by which the restored cluster gets the other one's name. The other is fenced before it moves."""
    target, old = plan.target_cluster_id, replaced.other_names[0]
    if replaced.data_api:
        yield here("rds:DisableHttpEndpoint", target)
    yield here("rds:ModifyDBCluster", target)
    if replaced.login_version_id is None:
        yield here("rds:RebootDBInstance", f"the instances of {target}")
    yield here("rds:ModifyDBCluster", target)
    yield here("rds:ModifyDBCluster", plan.cluster.identifier)
    members = [each.identifier for each in plan.cluster.instances] or [f"the instances of {plan.cluster.identifier}"]
    yield from (here("rds:RebootDBInstance", each, IF_STALE) for each in members)
    yield from (here(call, target, IF_STILL_STALE) for call in ("rds:StopDBCluster", "rds:StartDBCluster"))
    if plan.rolls_back is None or plan.rolls_back.login_version_id is not None:
        yield from (here(_MOVE_LABEL, admin) for _ in range(2 if plan.rolls_back else 3))
    yield here("rds:ModifyDBCluster", target)
    yield from (here("rds:AddTagsToResource", each) for each in (target, old))


def call_lines(calls: list[PlannedCall], account: str) -> Iterator[str]:
    """Yield the calls as a person reads them. The account is named only where it is not the stack's own."""
    widest = max((len(each.call) for each in calls), default=0)
    for each in calls:
        where = each.region if each.account == account else f"{each.region} of account {each.account}"
        only = f" ({each.only})" if each.only else ""
        yield f"{each.call:{widest}}  {where}  {each.on}{only}"


def _on_the_route(step: RouteStep) -> PlannedCall:
    region, account = step.place
    return PlannedCall(call=step.api_call, on=step.snapshot_name, region=region, account=account)


def _of_the_source(deletion: SourceDeletion, account: str) -> Iterator[PlannedCall]:
    """Yield the calls that delete the source, its writer last. An instance beyond these prevents the deletion."""

    def there(call: str, on: str) -> PlannedCall:
        return PlannedCall(call=call, on=on, region=deletion.region, account=account)

    if deletion.switches_protection_off:
        yield there("rds:ModifyDBCluster", deletion.cluster_identifier)
    yield from (there("rds:DeleteDBInstance", name) for name in deletion.instance_identifiers or [])
    yield there("rds:DeleteDBCluster", deletion.cluster_identifier)
    if deletion.final_snapshot_identifier:
        yield there("rds:AddTagsToResource", deletion.final_snapshot_identifier)
