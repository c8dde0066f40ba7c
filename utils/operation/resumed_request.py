"""Whether a request to resume asks for what its operation was asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from utils.contracts.plan import Plan
from utils.request.corrections import START_ANEW
from utils.request.fields import FIELDS, NEVER_BY_DEFAULT, OF_REPLACED, RestoreRequest
from utils.state.operation import OperationRecord
from utils.state.values import plain, unstored

# They say which operation it is, not what it does.
_NAMING = {"operation_id", "resume", "rollback", "scheduled_at"}

# Defaults of the fields that no plan shows, or that each request to resume has to repeat.
_DEFAULTS = {
    "delete_source": False,
    "confirm_delete_source": None,
    "final_snapshot": True,
    "delete_automated_backups": False,
    "override_deletion_protection": False,
    "like_source": False,
    "cross_account_copy": "one_step",
}


def other_wishes(
    request: RestoreRequest, given: Mapping[str, Any], record: OperationRecord, plan: Plan
) -> Iterator[str]:
    """Yield where the request asks for something else than the operation does.

    An omitted field is the operation's; but each request has to repeat what deletes the source. What the request gives
    must be what the operation was asked for, or what its plan has where the request did not say.
    """
    planned = _planned(plan)
    for name in FIELDS:
        is_given = given.get(name) is not None
        if name in _NAMING or not (is_given or (name in NEVER_BY_DEFAULT and name not in OF_REPLACED)):
            continue
        asked = unstored(plain(getattr(request, name))) if is_given else None
        recorded = record.parameters.get(name)
        if name == "delete_automated_backups" and plan.source_deletion is not None:
            recorded = plan.source_deletion.delete_automated_backups  # an earlier resume may have kept them
        if name in _DEFAULTS:
            same = _with_default(name, asked) == _with_default(name, recorded)
            # A resume may delete less than was planned: AWS Backup may have taken over the backups meanwhile.
            same = same or (name == "delete_automated_backups" and not asked)
        else:
            same = asked in (recorded, planned.get(name, recorded))
        if not same:
            had = recorded if recorded is not None else planned.get(name)
            yield (
                f"{name}: {asked!r} is not what operation {record.operation_id} was asked for ({had!r}), and it is "
                f"resumed as it was planned. Ask for the same. {START_ANEW}"
            )


def _with_default(name: str, value: Any) -> Any:
    """Treat an omitted field as its default, so that a resume may repeat the default explicitly."""
    return _DEFAULTS[name] if value is None else value


def _planned(plan: Plan) -> dict[str, Any]:
    """Return the plan's own value of each field of a request that is in it."""
    cluster: dict[str, Any] = unstored(plain(plan.cluster))
    replaced = plan.replaces or plan.replaced
    instances, without = plan.cluster.instances, ("tags", "kms_key_id")
    found = {name: value for name, value in cluster.items() if name in FIELDS and name not in without}
    return found | {
        "target_cluster_id": plan.target_cluster_id,
        "source_cluster_id": plan.snapshot.cluster_identifier,
        "snapshot_identifier": plan.snapshot.identifier,
        "instance_count": len(instances),
        "db_instance_class": instances[0].db_instance_class if instances else None,
        "quarantine": plan.quarantine,
        "masking_policy": plan.masking.policy if plan.masking else "",
        "verification": plan.verification.policy if plan.verification else "",
        "on_findings": plan.verification.on_findings if plan.verification else None,
        "inherited_logins": plan.inherited_logins,
        "archive_snapshot": plan.archive_snapshot,
        "on_failure": plan.on_failure,
        "replace_target": plan.replaces is not None,
        "keep_previous_hours": plan.replaces.keep_hours if plan.replaces else None,
        "delete_replaced": replaced is not None and replaced.deletion is not None,
        "expires_after_hours": plan.expires_after_hours or 0,
        "drill": plan.drill,
        "dry_run": plan.dry_run,
    }
