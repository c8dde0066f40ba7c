"""What exists after a failure, as its message and its evidence report it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from utils.aurora_utils.resources import Cluster, Instance, Snapshot
from utils.aurora_utils.source_left import SourceLeft
from utils.contracts.plan import SourceDeletion
from utils.contracts.route import RouteStep
from utils.messages.swap import TargetNow

# What an operation would have to be resumed from.
Lost = Literal["snapshot", "cluster"]


class Remains(Struct, frozen=True, kw_only=True):
    """What exists after a failure, as RDS describes it now.

    `may_appear`: the execution was stopped or timed out, and a step that was running may still create what is missing.
    """

    cluster: Cluster | None = None
    members: list[Instance] = []
    copy: Snapshot | None = None
    # The ARN of the copy that was made and that RDS did not show.
    unseen_copy: str | None = None
    unknown: str | None = None
    # Steps that would undo what was opened on the snapshot's route.
    on_the_way: list[RouteStep] = []
    # Of a source whose deletion, or the end of whose protection, has begun.
    deletion: SourceDeletion | None = None
    source: SourceLeft | None = None
    # What the operation would have to be resumed from and is gone: resuming it would be refused.
    lost: Lost | None = None
    # The target's name leads to another cluster than the one that was to be replaced: resuming would be refused.
    target_is_another: bool = False
    # Nothing was created yet, and the snapshot is another account's, which cannot be looked at from here.
    snapshot_is_out_of_sight: bool = False
    may_appear: bool = False
    # What became of the operation's secrets, a sentence or a command each.
    about_secrets: list[str] = []
    # The ARN of the execution that finishes the operation's swap or drill; None where none does, or none has to.
    finished_by: str | None = None
    # Of an operation whose swap has begun: who has the target's name now, and where both clusters are.
    target: TargetNow | None = None

    @property
    def is_usable(self) -> bool:
        """Return whether the restored cluster and all its instances can be used."""
        return (
            self.cluster is not None
            and self.cluster.is_available
            and bool(self.members)
            and all(each.is_up for each in self.members)
        )
