"""A snapshot's way into the target's account and region: its steps, and all that is known of each kind of step.

Planning, pre-flight, the source's session, the steps, the messages and an operation's end all ask what a step does,
where, and in which words it is read. Only the contracts lie below all of them, so it is answered here and nowhere else.
Which steps a snapshot needs is decided in `utils.planning.route`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from msgspec import Struct

from utils.arns import Arn, snapshot_name

StepName = Literal[
    "copy_at_owner", "share", "copy_into_account", "copy", "unshare", "remove_at_owner", "remove_in_account"
]
# What a step does to its snapshot. The last two take back what the first two have left on the way.
Effect = Literal["copy", "share", "unshare", "remove"]


class Kind(Struct, frozen=True):
    """One kind of step: what it does, how a plan words it, and how a progress words that it is waited for."""

    effect: Effect
    planned: str
    awaited: str


KINDS: dict[StepName, Kind] = {
    "copy_at_owner": Kind(
        effect="copy",
        planned="copy it within {region} of account {account} as {name}{key}",
        awaited="the copy in the owner's account",
    ),
    "share": Kind(
        effect="share",
        planned="share {name} in {region} of account {account} with account {shared_with}",
        awaited="sharing",
    ),
    "copy_into_account": Kind(
        effect="copy",
        planned="copy it into account {account}, still in {region}, as {name}{key}",
        awaited="the copy into this account",
    ),
    "copy": Kind(effect="copy", planned="copy it from {source_region} as {name}{key}", awaited="the copy"),
    "unshare": Kind(
        effect="unshare",
        planned="stop sharing {name} in {region} of account {account} with account {shared_with}",
        awaited="un-sharing",
    ),
    "remove_at_owner": Kind(
        effect="remove",
        planned="delete that copy {name} in {region} of account {account}",
        awaited="the removal of the copy in the owner's account",
    ),
    "remove_in_account": Kind(
        effect="remove",
        planned="delete that copy {name} in {region} of account {account}",
        awaited="the removal of the copy in between",
    ),
}
# The step that makes what is restored.
FINAL: StepName = "copy"
_API_CALLS: dict[Effect, str] = {
    "copy": "rds:CopyDBClusterSnapshot",
    "share": "rds:ModifyDBClusterSnapshotAttribute",
    "unshare": "rds:ModifyDBClusterSnapshotAttribute",
    "remove": "rds:DeleteDBClusterSnapshot",
}
# What a step has done, in the word of the evidence.
Done = Literal["created", "shared", "unshared", "deleted"]
_DONE: dict[Effect, Done] = {"copy": "created", "share": "shared", "unshare": "unshared", "remove": "deleted"}


class RouteStep(Struct, frozen=True, kw_only=True):
    """One call on the snapshot's way. `snapshot_arn` is what it makes, shares or removes, and so says where it is made.

    `source_arn` and `kms_key_id` belong to a copy, `shared_with` to sharing and un-sharing.
    """

    name: StepName
    snapshot_arn: str
    source_arn: str | None = None
    kms_key_id: str | None = None
    shared_with: str | None = None

    @property
    def effect(self) -> Effect:
        """Return what the step does to its snapshot."""
        return KINDS[self.name].effect

    @property
    def is_copy(self) -> bool:
        """Return whether the step creates a snapshot."""
        return self.effect == "copy"

    @property
    def is_in_between(self) -> bool:
        """Return whether the step creates a snapshot that the way only leads through."""
        return self.is_copy and self.name != FINAL

    @property
    def takes_back(self) -> bool:
        """Return whether the step takes back what an earlier one opened or created. Nothing on the way waits for it."""
        return self.effect in ("unshare", "remove")

    @property
    def place(self) -> tuple[str, str]:
        """Return the region and the account in which the call is made."""
        return Arn.parse(self.snapshot_arn).place

    @property
    def snapshot_name(self) -> str:
        """Return the name of the snapshot that the step makes, shares or removes."""
        return snapshot_name(self.snapshot_arn)

    @property
    def api_call(self) -> str:
        """Return the call to RDS that the step makes, named as IAM names its permission."""
        return _API_CALLS[self.effect]

    @property
    def done(self) -> Done:
        """Return what the step does to its snapshot, as the evidence has it afterwards."""
        return _DONE[self.effect]

    @property
    def planned(self) -> str:
        """Return what the step is going to do, as a plan says it."""
        region, account = self.place
        return KINDS[self.name].planned.format(
            region=region,
            account=account,
            name=self.snapshot_name,
            key=f" under key {self.kms_key_id}" if self.kms_key_id else "",
            source_region=Arn.parse(self.source_arn).region if self.source_arn else "",
            shared_with=self.shared_with,
        )

    @property
    def awaited(self) -> str:
        """Return what is waited for while the step is due or under way."""
        region, account = self.place
        return f"{KINDS[self.name].awaited} in {region} of {account}"

    @property
    def begun(self) -> str:
        """Return the name under which the record has when the step was begun."""
        return f"{self.name}_begun"

    @property
    def made(self) -> str:
        """Return the name under which the record has when the copy was made. That it is there, RDS alone says."""
        return f"{self.name}_made"

    @property
    def deleted(self) -> str:
        """Return the name under which the record has when the copy was deleted, at the end of its operation."""
        return f"{self.name}_deleted"

    @property
    def names(self) -> frozenset[str]:
        """Return all names under which the record has times of the step."""
        return frozenset((self.name, self.begun, self.made, self.deleted, self.gave_up))

    @property
    def gave_up(self) -> str:
        """Return the name under which the record has when the step was given up until the operation's end."""
        return f"{self.name}_failed"

    @property
    def still_there(self) -> str:
        """Return what stands as long as the step, which takes something back, has not been done."""
        owner = Arn.parse(self.snapshot_arn).account_id
        if self.effect == "unshare":
            return f"Snapshot {self.snapshot_arn} of account {owner} is still shared with {self.shared_with}."
        return f"Snapshot {self.snapshot_arn}, made on the way, is still in account {owner}."

    @property
    def command(self) -> str:
        """Return the command that does by hand what the step takes back; of a copying step, the one that deletes it."""
        region, name = Arn.parse(self.snapshot_arn).region, self.snapshot_name
        if self.effect == "unshare":
            return (
                f"aws rds modify-db-cluster-snapshot-attribute --region {region} "
                f"--db-cluster-snapshot-identifier {name} --attribute-name restore "
                f"--values-to-remove {self.shared_with}"
            )
        return f"aws rds delete-db-cluster-snapshot --region {region} --db-cluster-snapshot-identifier {name}"


class SnapshotCopy(Struct, frozen=True, kw_only=True):
    """The route of the snapshot that was found, and the copy at its end. The last copying step describes that copy."""

    steps: list[RouteStep]
    # What every copy on the way is tagged with.
    tags: dict[str, str]

    @property
    def final(self) -> RouteStep:
        """Return the step that creates the copy that is restored."""
        (found,) = [step for step in self.steps if step.name == FINAL]
        return found

    @property
    def arn(self) -> str:
        """Return the ARN of the copy that is restored."""
        return self.final.snapshot_arn

    @property
    def identifier(self) -> str:
        """Return the name of the copy that is restored."""
        return self.final.snapshot_name

    def outstanding(self, times: Mapping[str, str]) -> Iterator[RouteStep]:
        """Yield what may still have to be taken back, as far as the record's times know.

        A copy may have been created by a call whose answer was lost: then only RDS knows. Sharing is always recorded
        first.
        """
        shared = any(step.begun in times for step in self.steps if step.effect == "share")
        for step in self.steps:
            may_stand = step.effect != "unshare" or shared
            if step.takes_back and step.name not in times and may_stand:
                yield step

    def undone_by(self, step: RouteStep) -> RouteStep:
        """Return the step that another one takes back: what was shared, or the copy that is removed."""
        if step.effect == "remove":
            (maker,) = [each for each in self.steps if each.is_copy and each.snapshot_arn == step.snapshot_arn]
            return maker
        (shared,) = [each for each in self.steps if (each.effect, each.snapshot_arn) == ("share", step.snapshot_arn)]
        return shared
