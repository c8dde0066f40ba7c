"""The end of the secrets of a target whose cluster has expired."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from utils import environment
from utils.aurora_utils import AuroraReader
from utils.logins.secret_store import look_at_secret, remove_secret
from utils.state.operation import OperationRecord


def remove_secrets_of_expired(record: OperationRecord, aurora: AuroraReader, *, is_free: bool) -> Iterator[str]:
    """Delete the secrets of a target whose cluster has expired and is gone; yield what became of them.

    The caller holds the target's lock. `is_free`: an earlier look has found no cluster of its name either. They are
    deleted at once, so that the next operation for the target can create new ones. The stack's own two stay.
    """
    names: Mapping[str, Any] = record.plan.get("target_secrets") or {}
    target = str(record.plan["target_cluster_id"])
    if not names:
        yield "The stack's own two secrets stay. What they hold of the deleted cluster opens nothing."
    elif not is_free or aurora.cluster(target) is not None:
        yield f"The secrets of {target} were not changed, because there is a new cluster of that name."
    else:
        yield from _remove_of_expired([name for name in names.values() if name], target)


def _remove_of_expired(names: list[str], target: str) -> Iterator[str]:
    for name in names:
        found = look_at_secret(name)
        if found is not None and not found.is_of_target(environment.text("NAME_PREFIX"), target):
            yield f"Secret {name} was not changed, because it is not tagged as this stack's for {target}."
            continue
        if found is not None and found.deleted_at is None:
            remove_secret(found.arn, at_once=True)
        yield f"Secret {name} is deleted with its cluster."
