"""Plans that were shown on this machine, by their digest: the request of each, and what its plan said.

They lie in `$XDG_STATE_HOME/aurora-restore/plans` (XDG Base Directory Specification; by default `~/.local/state`), for
their user alone. No request has a secret in it: it names the secrets that the stack reads.
"""

from __future__ import annotations

import datetime as dt
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from .exits import NOT_FOUND, CommandError
from .plan_digest import SHORT, digest_of
from .stack import Stack

_DIGEST = re.compile(rf"[0-9a-f]{{{SHORT},64}}")
_MOST_KEPT = 100
_MAX_BYTES = 8 << 20


class KeptPlan(Struct, frozen=True, kw_only=True):
    """A plan as it was shown. `lines` is what its digest is of."""

    schema: Literal["aurora-restore.plan/1"] = "aurora-restore.plan/1"
    account: str
    region: str
    stack: str
    planned_at: dt.datetime
    request: dict[str, Any]
    lines: list[str]

    @property
    def digest(self) -> str:
        """Return the digest of what the plan said."""
        return digest_of(self.lines)


def is_digest(typed: str) -> bool:
    """Return whether a text may be a digest, whole or its first digits."""
    return _DIGEST.fullmatch(typed) is not None


def keep(stack: Stack, request: dict[str, Any], lines: list[str]) -> KeptPlan:
    """Write a plan down for a later start. Raise OSError where nothing can be written there."""
    plan = KeptPlan(
        account=stack.account,
        region=stack.region,
        stack=stack.name,
        planned_at=dt.datetime.now(dt.UTC),
        request=request,
        lines=lines,
    )
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp creates the file for its user alone, and the rename replaces what is there in one moment.
    handle, temporary = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.encode(plan))
    Path(temporary).replace(folder / f"{plan.digest}.json")
    for old in _newest_first(folder)[_MOST_KEPT:]:
        with suppress(OSError):
            old.unlink()
    return plan


def find(stack: Stack, typed: str) -> KeptPlan | None:
    """Return the plan of this digest; None where none was shown on this machine.

    Raise CommandError where it is of another stack, or where several begin so.
    """
    read = (_read(path) for path in _folder().glob(f"{typed}*.json"))
    found = [plan for plan in read if plan is not None and plan.digest.startswith(typed)]
    if not found:
        return None
    if len(found) > 1:
        message = f"{typed!r} is the beginning of {len(found)} plans. Type more of the digest."
        raise CommandError("PlanAmbiguous", message, NOT_FOUND)
    plan = found[0]
    if (plan.account, plan.region, plan.stack) != (stack.account, stack.region, stack.name):
        raise CommandError(
            "PlanOfAnotherStack",
            f"Plan {typed} is of account {plan.account}, {plan.region}, stack {plan.stack}. Name that one with "
            "--stack, --region and --profile.",
            NOT_FOUND,
        )
    return plan


def _read(path: Path) -> KeptPlan | None:
    """Return a plan; None where the file is no plan, such as one of a later version."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return None
        return msgspec.json.decode(path.read_bytes(), type=KeptPlan)
    except (OSError, msgspec.MsgspecError, RecursionError):
        return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)


def _folder() -> Path:
    """Return the folder. The specification has relative paths ignored."""
    home = os.environ.get("XDG_STATE_HOME", "")
    base = Path(home) if home and Path(home).is_absolute() else Path.home() / ".local" / "state"
    return base / "aurora-restore" / "plans"
