"""The keys: the one that was given for the copy of the snapshot and the new cluster, and the snapshot's own."""

from __future__ import annotations

from collections.abc import Iterator

from utils.arns import Arn, resource_of
from utils.aurora_utils.offers import EncryptionKey, encryption_key
from utils.aurora_utils.resources import Snapshot
from utils.contracts.route import SnapshotCopy


def is_managed_alias(key: str) -> bool:
    """Return whether a key, given by its id, alias or ARN, is named by an alias of AWS's own."""
    return resource_of(key).startswith("alias/aws/")


def key_problems(key: str | None, copy: SnapshotCopy | None, snapshot: Snapshot, region: str) -> Iterator[str]:
    """Yield what is wrong with the target's key, and with the snapshot's own where that is this account's."""
    copied_under_key = copy is not None and snapshot.encryption == "sse-kms"
    own = snapshot.kms_key_id
    foreign = copy is not None and Arn.parse(copy.arn).account_id != Arn.parse(snapshot.arn).account_id
    if key is not None:
        yield from given_key_problems(key, copied_under_key, region)
    elif copy is not None and copied_under_key:
        where = f"account {Arn.parse(snapshot.arn).account_id}" if foreign else Arn.parse(snapshot.arn).region
        yield (
            f"kms_key_id: missing. {snapshot.identifier!r} is encrypted with a key of {where}, which "
            f"works only there. Give a key of {region} for the copy, or set the stack's KmsKeyId."
        )
    if own is not None and own != key and not foreign:
        arn = Arn.parse_or_none(own)
        there = arn.region if arn else Arn.parse(snapshot.arn).region
        found = encryption_key(own, there)
        if found is None:
            yield (
                f"snapshot_identifier: the key of {snapshot.identifier!r} ({own}) no longer exists, so its data is "
                "lost. Choose another snapshot."
            )
        elif found.state != "Enabled":
            yield f"snapshot_identifier: the key of {snapshot.identifier!r} ({own}) is {how_to_enable(found, there)}"


def given_key_problems(key: str, copied_under_it: bool, region: str) -> Iterator[str]:
    """Yield what is wrong with the key that was given."""
    arn = Arn.parse_or_none(key)
    if arn is not None and arn.region != region:
        yield f"kms_key_id: {key!r} is a key of {arn.region}; the new cluster is in {region}. Give a key of {region}."
        return
    managed = f"kms_key_id: {key!r} is a key that AWS manages, and a copy under it could never be shared or moved."
    customers = f"Give a customer managed key: aws kms list-aliases --region {region}"
    if is_managed_alias(key):
        if resource_of(key) != "alias/aws/rds":
            yield f"kms_key_id: {key!r} belongs to another service of AWS's. {customers}"
        elif copied_under_it:
            yield f"{managed} {customers}"
        return
    found = encryption_key(key, region)
    if found is None:
        yield f"kms_key_id: {key!r} does not exist in {region}. {customers}"
    elif found.state != "Enabled":
        yield f"kms_key_id: {key!r} is {how_to_enable(found, region)}"
    elif not found.is_symmetric:
        yield f"kms_key_id: {key!r} is not a symmetric key for encryption, as RDS needs. {customers}"
    elif copied_under_it and not found.is_customers:
        yield f"{managed} {customers}"


def insights_key_problems(key: str | None, whose: str, region: str) -> Iterator[str]:
    """Yield what is wrong with Performance Insights' key. Without one, RDS uses its own of the region."""
    if key is None:
        return
    field, listing = "performance_insights_kms_key_id", f"aws kms list-keys --region {region}"
    there = Arn.parse(key).region
    if there != region:
        yield f"{field}: {key!r}{whose} is a key of {there}. Give one of {region}: {listing}"
        return
    found = encryption_key(key, region)
    if found is None:
        yield f"{field}: {key!r}{whose} does not exist in {region}. Give one that does: {listing}"
    elif found.state != "Enabled":
        yield f"{field}: {key!r}{whose} is {how_to_enable(found, region)}"


def how_to_enable(key: EncryptionKey, region: str) -> str:
    """Return the key's state, and the command that enables it."""
    enable = f"aws kms enable-key --key-id {key.key_id} --region {region}"
    cancel = f"aws kms cancel-key-deletion --key-id {key.key_id} --region {region}"
    remedy = {
        "Disabled": f"Enable it: {enable}",
        "PendingDeletion": f"Keep and enable it: {cancel} && {enable}",
    }.get(key.state, f"Check it in the KMS console of {region}, and start again when it is Enabled.")
    return f"{key.state}, not Enabled. {remedy}"
