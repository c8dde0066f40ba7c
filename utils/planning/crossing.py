"""Ask AWS for what decides the snapshot's route, and report what prevents it, with who has to do what about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from utils.arns import Arn
from utils.aurora_utils import AuroraReader
from utils.aurora_utils.resources import Snapshot
from utils.aurora_utils.source_account import Source, SourceOfOtherAccount, admits_our_account
from utils.contracts.route import SnapshotCopy
from utils.names import name_for
from utils.planning.route import RouteFacts, needs_copy_at_owner, plan_route
from utils.preflight.keys import how_to_enable, is_managed_alias
from utils.preflight.taken_names import snapshot_name_problems
from utils.request.fields import RestoreRequest
from utils.request.reading import own_tags

MAX_SHARED_ACCOUNTS = 20
# Aurora User Guide, "Sharing encrypted snapshots": what the other account does with the key.
ADMITTING = ("CreateGrant", "Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey*", "ReEncrypt*")


class Crossing(Struct, frozen=True, kw_only=True):
    """`copy` is None where the snapshot is restored from where it is."""

    copy: SnapshotCopy | None
    problems: list[str]


def plan_crossing(
    request: RestoreRequest, snapshot: Snapshot, operation_id: str, account: str, source: Source, target: AuroraReader
) -> Crossing:
    """Return the copy that is needed, and what prevents it. Only reads. `account` is the stack's own."""
    facts = RouteFacts(
        snapshot_arn=snapshot.arn,
        is_manual=snapshot.is_manual,
        is_encrypted=snapshot.encryption == "sse-kms",
        access=source.access,
        target_account=account,
        target_region=target.region,
        copy_name=name_for("copy", snapshot.cluster_identifier, operation_id),
        kms_key_id=request.kms_key_id,
        two_steps=request.cross_account_copy == "two_steps",
    )
    crosser = _Crosser(request, snapshot, account, source)
    if source.account_id != account:
        facts = crosser.across_accounts(facts)
    steps = plan_route(facts)
    if not steps:
        return Crossing(copy=None, problems=crosser.problems)
    copy = SnapshotCopy(steps=steps, tags=own_tags(request, operation_id))
    for place in _places_of_copies(copy, account, source, target):
        crosser.problems.extend(snapshot_name_problems(facts.copy_name, operation_id, place))
    return Crossing(copy=copy, problems=crosser.problems)


class _Crosser:
    """Asks about another account, and collects what is wrong there."""

    def __init__(self, request: RestoreRequest, snapshot: Snapshot, account: str, source: Source) -> None:
        self.problems: list[str] = []
        self._request, self._snapshot, self._account, self._source = request, snapshot, account, source

    def across_accounts(self, facts: RouteFacts) -> RouteFacts:
        closed = self._why_key_is_closed() if self._snapshot.kms_key_id else None
        facts = replace(facts, closed_key=closed is not None)
        if closed is not None and self._source.access == "role":
            facts = replace(facts, source_key_arn=self._key_for_sharing(closed))
        elif closed is not None:
            self.problems.append(f"snapshot_identifier: the key of {self._snapshot.identifier!r} {closed}")
        if isinstance(self._source, SourceOfOtherAccount) and not needs_copy_at_owner(facts):
            shared = self._source.accounts_shared_with(self._snapshot.identifier)
            facts = replace(facts, already_shared=bool({self._account, "all"} & shared))
            if not facts.already_shared and len(shared) >= MAX_SHARED_ACCOUNTS:
                self.problems.append(self._shared_too_often(shared))
        return facts

    def _why_key_is_closed(self) -> str | None:
        """Return a clause about the key, with what would open it; None if the stack's account may use it."""
        own = self._snapshot.kms_key_id or ""
        if isinstance(self._source, SourceOfOtherAccount):
            found = self._source.key(own)
            if found is None:
                self.problems.append(
                    f"snapshot_identifier: the key of {self._snapshot.identifier!r} ({own}) no longer exists, "
                    "so its data is lost. Choose another snapshot."
                )
                return None
            if found.state != "Enabled":
                self.problems.append(
                    f"snapshot_identifier: the key of {self._snapshot.identifier!r} ({own}) is "
                    f"{how_to_enable(found, self._source.region)}"
                )
                return None
            if not found.is_customers:
                return f"({own}) is managed by AWS, and no snapshot under it can be shared."
        return None if admits_our_account(own) else f"({own}) {self._how_to_admit(own)}"

    def _how_to_admit(self, key: str) -> str:
        arn = Arn.parse(key)
        actions = ", ".join(f'"kms:{action}"' for action in ADMITTING)
        return (
            f"does not admit account {self._account}. Add to its policy, in account {arn.account_id}: "
            f'{{"Sid": "AccountThatRestores", "Effect": "Allow", "Principal": {{"AWS": "arn:{arn.partition}:iam::'
            f'{self._account}:root"}}, "Action": [{actions}], "Resource": "*"}}'
        )

    def _key_for_sharing(self, closed: str) -> str | None:
        """Return the owner's key under which the snapshot is copied first, because its own key is closed to us."""
        given, region, owner = self._request.source_kms_key_id, self._source.region, self._source.account_id
        customers = f"Give a customer managed key of {region} in account {owner}."
        if given is None:
            self.problems.append(
                f"source_kms_key_id: missing. The key of {self._snapshot.identifier!r} {closed} Or give a customer "
                f"managed key of {region} in account {owner} that admits account {self._account}: the snapshot is "
                "copied to it there first, and that copy is shared."
            )
            return None
        arn = Arn.parse_or_none(given)
        if arn is not None and arn.place != (region, owner):
            self.problems.append(f"source_kms_key_id: {given!r} is a key of another place. {customers}")
            return None
        if is_managed_alias(given):
            self.problems.append(f"source_kms_key_id: {given!r} is managed by AWS and cannot be shared. {customers}")
            return None
        found = self._source.key(given)
        if found is None:
            why = f"does not exist in {region} of account {owner}. {customers}"
        elif found.state != "Enabled":
            why = f"is {how_to_enable(found, region)}"
        elif not found.is_customers or not found.is_symmetric:
            why = f"is not a customer managed, symmetric key, which sharing requires. {customers}"
        elif not admits_our_account(found.arn):
            why = self._how_to_admit(found.arn)
        else:
            return found.arn
        self.problems.append(f"source_kms_key_id: {given!r} {why}")
        return None

    def _shared_too_often(self, shared: set[str]) -> str:
        return (
            f"snapshot_identifier: {self._snapshot.identifier!r} is shared with {len(shared)} accounts, and RDS allows "
            f"{MAX_SHARED_ACCOUNTS}. Remove one, in account {self._source.account_id}: aws rds "
            f"modify-db-cluster-snapshot-attribute --region {self._source.region} --db-cluster-snapshot-identifier "
            f"{self._snapshot.identifier} --attribute-name restore --values-to-remove ACCOUNT"
        )


def quota_problems(
    copy: SnapshotCopy | None, final_snapshot: bool, account: str, source: Source, target: AuroraReader
) -> Iterator[str]:
    """Yield each place whose quota of manual snapshots has no room for what is going to be created there."""
    needed: Counter[AuroraReader] = Counter(_places_of_copies(copy, account, source, target) if copy else [])
    if final_snapshot:
        needed[source] += 1
    for place, count in needed.items():
        room = place.room_for_snapshots()
        if room is not None and room < count:
            owner = source.account_id if place is source else account
            yield (
                f"snapshot_quota: {place.region} of account {owner} has room for {max(room, 0)} more manual snapshots, "
                f"and this run creates {count} there. Delete some that nobody needs, of these: `aws rds "
                f"describe-db-cluster-snapshots --snapshot-type manual --region {place.region}`. Or have the quota "
                "raised: aws service-quotas request-service-quota-increase --service-code rds "
                f"--quota-code L-9B510759 --desired-value NUMBER --region {place.region}"
            )


def _places_of_copies(copy: SnapshotCopy, account: str, source: Source, target: AuroraReader) -> list[AuroraReader]:
    places: list[AuroraReader] = []
    for step in copy.steps:
        if step.is_copy:
            region, owner = step.place
            if owner != account:
                places.append(source)
            else:
                places.append(target if region == target.region else AuroraReader(region))
    return places
