"""A swap of two clusters: what is recorded of it, and what is observed of both at one moment.

`old` had the live name when the operation began, `new` is the restored cluster that is to have it. Names move between
clusters and the RDS API addresses clusters by name, so each cluster is recognised by its resource id.
"""

from __future__ import annotations

import datetime as dt
from typing import Literal

from msgspec import Struct

Side = Literal["old", "new"]
# Forward: new is to have the live name. Back: old is.
End = Literal["forward", "back"]
# Deleted: not seen, and RDS has reported the deletion (RDS-EVENT-0171, "DB cluster deleted": Amazon Aurora User Guide,
# "Amazon RDS event categories and event messages for Aurora").
Presence = Literal["seen", "unseen", "deleted"]
# Of the cluster and all its members together. Passing: backing-up, modifying, rebooting, starting, stopping, deleting
# and what else ends by itself. Member-busy: only members are, and the cluster itself is available. Broken: what does
# not end.
Status = Literal["available", "renaming", "passing", "member-busy", "stopped", "broken"]
# Shut: exactly the door's group, and that is `active` on the cluster and on every member. Shutting and opening: the
# wanted groups were requested and are not `active` everywhere.
Door = Literal["open", "opening", "shutting", "shut"]
# How a cluster's members were last restarted since it has the name that it has.
Restart = Literal["none", "rebooted", "stopped-and-started"]
# The tag `aurora-restore:role`. Previous: the expiry may delete it. Swapping: a swap is giving it the live name.
Role = Literal["live", "previous", "failed", "swapping", "none"]
# Whose version of the target's admin secret has AWSCURRENT. Other: a person has put a version since.
VersionOwner = Literal["old", "new", "other"]


class ObservedCluster(Struct, frozen=True, kw_only=True):
    """One of the two clusters, looked for by its resource id and under every name that is known."""

    presence: Presence = "seen"
    identifier: str
    status: Status = "available"
    door: Door = "shut"
    security_group_ids: tuple[str, ...] = ()
    # Until it is proved that no client's session is left on any member.
    sessions_left: bool = False
    # Whether a login of ours opens it, which ends sessions without a restart.
    has_login: bool = True
    data_api: bool = False
    # Whether the certificate of every member has the live name.
    certificate_has_live_name: bool = True
    restarted: Restart = "none"
    role: Role = "none"
    # What it has to have as the live cluster and does not have yet, such as the Data API or scaling.
    missing_settings: tuple[str, ...] = ()

    @property
    def is_seen(self) -> bool:
        """Return whether RDS has described the cluster at this look."""
        return self.presence == "seen"

    @property
    def is_fenced(self) -> bool:
        """Return whether nobody can write to the cluster: there is no way in, and nobody is left inside."""
        return self.door == "shut" and not self.sessions_left and not self.data_api


class SwapObserved(Struct, frozen=True, kw_only=True):
    """Both clusters at one moment, and who has the names that the swap uses."""

    old: ObservedCluster
    new: ObservedCluster
    # The resource id of the cluster that RDS describes under a name. A name that is free is absent.
    holders: dict[str, str]
    current_version: VersionOwner = "old"

    def of(self, side: Side) -> ObservedCluster:
        """Return one of the two."""
        return self.old if side == "old" else self.new


class FirstLook(Struct, frozen=True):
    """What one look has shown, and has to be seen a second time before it counts."""

    shown: tuple[str, ...]
    at: dt.datetime


class RecordedCluster(Struct, frozen=True, kw_only=True):
    """One of the two clusters, as recorded before the first call."""

    resource_id: str
    # The names that it is given where the other one has the live name: the first that is free.
    other_names: tuple[str, ...]
    # The groups that its door opens with. Old's are written once, with the fence: a later look would show the door's.
    security_group_ids: tuple[str, ...] = ()
    # What it is tagged where the other one has the live name.
    role_beside: Role = "previous"


class SwapRecord(Struct, frozen=True, kw_only=True):
    """What a swap has decided and requested. It is written before the call that it is about.

    It replaces only the record that was read, and only by the execution that the operation belongs to. So a swap is
    either turned back or committed, and a function that continues late neither decides nor forgets anything.
    """

    live_name: str
    old: RecordedCluster
    new: RecordedCluster
    began_at: dt.datetime
    end: End = "forward"
    # From then on new's door may be open, so that new may hold writes that exist nowhere else.
    committed_at: dt.datetime | None = None
    fenced_at: dt.datetime | None = None
    turned_at: dt.datetime | None = None
    # When a person had the operation finished after it had failed.
    resumed_at: dt.datetime | None = None
    first_look: FirstLook | None = None
    # Those that were certainly deleted.
    gone: tuple[Side, ...] = ()
    # Which one has been reached through the live name, and how often that has failed.
    proven: Side | None = None
    failed_proofs: int = 0
    # The actions that AWS refuses for good, and the settings that it does not restore.
    refused: tuple[str, ...] = ()
    # The restart that renewed a certificate the last time, which is tried first.
    restart_that_renews: Restart = "rebooted"

    def of(self, side: Side) -> RecordedCluster:
        """Return one of the two."""
        return self.old if side == "old" else self.new
