"""The logins that came with the data and were locked, as the operation's record has them."""

from __future__ import annotations

from utils.state.operation import OperationRecord, OperationState

# So many names fit into the operation's state beside everything else.
MAX_REMEMBERED = 500


def remember_locked(names: list[str], record: OperationRecord, state: OperationState) -> None:
    """Record which logins were locked, as far as there is room, and how many: those of an earlier attempt as well."""
    count = record.logins_locked + len(set(names).difference(record.locked_logins))
    state.remember(locked_logins=names[:MAX_REMEMBERED], locked_count=count)
