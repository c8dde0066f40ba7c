"""What the restore needs besides its snapshot, looked at before anything is made: each check yields what is wrong.

Every sentence names the field, its value, why it won't do and what to do about it. A permission that is missing is no
answer: it is raised. Nothing here changes anything, and no call is made whose answer can't matter any more.
"""

from __future__ import annotations

from collections.abc import Iterator

from utils import settings
from utils.aurora_shapes import Snapshot
from utils.aurora_utils import ENGINE
from utils.credentials import AdminSecret, ApplicationSecret
from utils.plans import ClusterPlan, SnapshotCopy
from utils.preflight_cluster import engine_problems, network_problems, quota_problems
from utils.surroundings import EncryptionKey, Surroundings, encryption_key

MANAGED_ALIAS = "alias/aws/"
RDS_MANAGED_ALIAS = "alias/aws/rds"


def preflight_problems(
    cluster: ClusterPlan, copy: SnapshotCopy | None, snapshot: Snapshot, region: str
) -> Iterator[str]:
    """What stands in the way of this cluster in its region. A setting that is missing is reported elsewhere."""
    around = Surroundings(region)
    yield from network_problems(cluster, around)
    if snapshot.engine == ENGINE:
        yield from engine_problems(cluster, snapshot, around)
    yield from quota_problems(cluster, around)
    yield from _key_problems(cluster.kms_key_id, copy, snapshot, region)
    yield from _secret_problems(snapshot.master_username, cluster.master_login)


def _key_problems(key: str | None, copy: SnapshotCopy | None, snapshot: Snapshot, region: str) -> Iterator[str]:
    copied_under_key = copy is not None and snapshot.encryption == "sse-kms"
    own = snapshot.kms_key_id
    if key is not None:
        yield from _given_key_problems(key, copied_under_key, region)
    elif copy is not None and copied_under_key:
        yield (
            f"kms_key_id: missing. {snapshot.identifier!r} is encrypted with a key of {copy.source_region}, which "
            f"works only there. Give a key of {region} for the copy, or set the stack's KmsKeyId."
        )
    if own is not None and own != key:
        there = own.split(":")[3] if own.startswith("arn:") else copy.source_region if copy else region
        found = encryption_key(own, there)
        if found is None:
            yield (
                f"snapshot_identifier: the key of {snapshot.identifier!r} ({own}) doesn't exist any more, and with it "
                "its data is lost. Choose another snapshot."
            )
        elif found.state != "Enabled":
            yield f"snapshot_identifier: the key of {snapshot.identifier!r} ({own}) is {_how_to_enable(found, there)}"


def _given_key_problems(key: str, copied_under_it: bool, region: str) -> Iterator[str]:
    if key.startswith("arn:") and key.split(":")[3] != region:
        yield (
            f"kms_key_id: {key!r} is a key of {key.split(':')[3]}; the new cluster is in {region}. "
            f"Give a key of {region}."
        )
        return
    managed = f"kms_key_id: {key!r} is a key that AWS manages, and no copy under it could ever be shared or moved."
    customers = f"Give a customer managed key: aws kms list-aliases --region {region}"
    alias = key.rpartition(":")[2]
    if alias.startswith(MANAGED_ALIAS):
        if alias != RDS_MANAGED_ALIAS:
            yield f"kms_key_id: {key!r} belongs to another service of AWS's. {customers}"
        elif copied_under_it:
            yield f"{managed} {customers}"
        return
    found = encryption_key(key, region)
    if found is None:
        yield f"kms_key_id: {key!r} doesn't exist in {region}. {customers}"
    elif found.state != "Enabled":
        yield f"kms_key_id: {key!r} is {_how_to_enable(found, region)}"
    elif not found.is_symmetric:
        yield f"kms_key_id: {key!r} isn't a symmetric key for encryption, as RDS needs. {customers}"
    elif copied_under_it and not found.is_customers:
        yield f"{managed} {customers}"


def _how_to_enable(key: EncryptionKey, region: str) -> str:
    enable = f"aws kms enable-key --key-id {key.key_id} --region {region}"
    cancel = f"aws kms cancel-key-deletion --key-id {key.key_id} --region {region}"
    remedy = {
        "Disabled": f"Enable it: {enable}",
        "PendingDeletion": f"Keep and enable it: {cancel} && {enable}",
    }.get(key.state, f"Look at it in the KMS console of {region}, and start again when it is Enabled.")
    return f"{key.state}, not Enabled. {remedy}"


def _secret_problems(master_username: str, master_login: str) -> Iterator[str]:
    """The admin secret isn't touched where RDS keeps the login."""
    admin = AdminSecret(settings.text("ADMIN_SECRET_ARN"))
    application = ApplicationSecret(settings.text("APP_SECRET_ARN"))
    if master_login == "pipeline" and (why := admin.why_unusable()) is not None:
        yield f"admin_secret: {admin.arn!r} {why}"
    for wrong in application.whats_wrong(master_username):
        yield f"application_secret: {application.arn!r} {wrong}"
