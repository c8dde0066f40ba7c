"""The route of a snapshot into the target's account and region, as a list of calls: decided here, from facts alone.

The cases are a table of documentation/architecture/routes.md, which the tests read. All that a call creates, shares or
removes is in the list; nothing else on the route changes anything.
"""

from __future__ import annotations

from msgspec import Struct

from utils.arns import Arn, snapshot_arn
from utils.contracts.plan import Access
from utils.contracts.route import RouteStep
from utils.names import OWN_DEFAULT_KEY


class RouteFacts(Struct, frozen=True, kw_only=True):
    """All that decides a route. `closed_key`: AWS manages the snapshot's key, or its policy does not admit our account.

    `kms_key_id` is the target's key. `source_key_arn` is the owner's, for a copy that can be shared where the snapshot
    itself cannot.
    """

    snapshot_arn: str
    is_manual: bool
    is_encrypted: bool
    access: Access
    target_account: str
    target_region: str
    copy_name: str
    kms_key_id: str | None = None
    closed_key: bool = False
    source_key_arn: str | None = None
    already_shared: bool = False
    two_steps: bool = False


def needs_copy_at_owner(facts: RouteFacts) -> bool:
    """Return whether the owner has to copy it first.

    Only manual snapshots can be shared, and only under a key that the other account may use.
    """
    return facts.access == "role" and (not facts.is_manual or facts.closed_key)


def plan_route(facts: RouteFacts) -> list[RouteStep]:
    """Return the calls in their order; none where the snapshot can be restored from where it is."""
    region, account = Arn.parse(facts.snapshot_arn).place
    crosses_account, crosses_region = account != facts.target_account, region != facts.target_region
    if not crosses_account and not crosses_region:
        return []
    to_share, steps = facts.snapshot_arn, []
    if needs_copy_at_owner(facts):
        to_share = _copied(facts, region, account)
        key = facts.source_key_arn if facts.closed_key else None
        steps.append(
            RouteStep(name="copy_at_owner", snapshot_arn=to_share, source_arn=facts.snapshot_arn, kms_key_id=key)
        )
    shares = facts.access == "role" and not (facts.already_shared and to_share == facts.snapshot_arn)
    if shares:
        steps.append(RouteStep(name="share", snapshot_arn=to_share, shared_with=facts.target_account))
    source = to_share
    through_account = crosses_account and crosses_region and facts.two_steps
    if through_account:
        source = _copied(facts, region, facts.target_account)
        key = OWN_DEFAULT_KEY if facts.is_encrypted else None
        steps.append(RouteStep(name="copy_into_account", snapshot_arn=source, source_arn=to_share, kms_key_id=key))
    last = RouteStep(
        name="copy",
        snapshot_arn=_copied(facts, facts.target_region, facts.target_account),
        source_arn=source,
        # RDS refuses a key for a snapshot that no customer key encrypts; such data is encrypted at the restore.
        kms_key_id=facts.kms_key_id if facts.is_encrypted else None,
    )
    # What was opened is closed as soon as the first copy of ours is there, before the long way to another region.
    closing = [RouteStep(name="unshare", snapshot_arn=to_share, shared_with=facts.target_account)] if shares else []
    if to_share != facts.snapshot_arn:
        closing.append(RouteStep(name="remove_at_owner", snapshot_arn=to_share))
    if through_account:
        return [*steps, *closing, last, RouteStep(name="remove_in_account", snapshot_arn=source)]
    return [*steps, last, *closing]


def _copied(facts: RouteFacts, region: str, account: str) -> str:
    """Return the ARN of a copy. All copies of one operation have one name, and no two are in one place."""
    return snapshot_arn(Arn.parse(facts.snapshot_arn).partition, region, account, facts.copy_name)
