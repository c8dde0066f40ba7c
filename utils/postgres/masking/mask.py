"""The masking of a restored cluster, in slices of some minutes, each of which continues where the last one ended.

All databases are looked at before the first row is changed. What has been done stands in the databases themselves, in
the same transactions that did it: a slice may be killed anywhere, and nothing is then masked twice or left out.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from utils.masking.policy import MaskingPolicy
from utils.postgres.databases import DatabaseCluster


class MaskingProgress(Struct, frozen=True, kw_only=True):
    """How far the masking is."""

    done: bool
    """Whether every database has passed the gate. Then `remove_masking_state` is due."""
    database: str = ""
    """The database at work."""
    tables: int = 0
    tables_done: int = 0
    rows: int = 0
    chunks: int = 0
    findings: list[str] = []
    databases: list[str] = []
    passed_checks: list[str] = []


def mask_slice(
    cluster: DatabaseCluster,
    policy: MaskingPolicy,
    salt: str,
    fingerprint: str,
    time_left: Callable[[], float],
) -> MaskingProgress:
    """Mask until everything is done or no time is left: call it again until the progress says `done`.

    `salt`: letters and digits, the same in every slice. `time_left`: the seconds until this slice must have ended.
    When all is done, a further call does nothing and says so again, until `remove_masking_state` was called.

    Raises MaskingGateFailed where the copy is not masked as the policy asks, StepFailed for what a person has to act
    on, which is found before the first row is changed wherever that is possible, and TemporaryFailure.
    """
    raise NotImplementedError


def remove_masking_state(cluster: DatabaseCluster, fingerprint: str) -> None:
    """Drop the state of the masking in all databases and its role, once the caller has recorded that it is done.

    Not before: it is what keeps a repeated `mask_slice` from masking everything a second time. Calling it twice has
    the effect of once.
    """
    raise NotImplementedError
