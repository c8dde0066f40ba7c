"""Aurora where the snapshot is: our own account's, another one's through a role there, or what was shared with us.

The role is the one of infrastructure/source-account-role.yaml. Without it only shared snapshots are seen, and nothing
of that account can be changed. `source_sessions` says what a step may do with it.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from utils import environment
from utils.arns import Arn, snapshot_arn, snapshot_name
from utils.aurora_utils.client import Aurora, AuroraReader
from utils.aurora_utils.offers import EncryptionKey, encryption_key
from utils.aurora_utils.reader_scaling import ReaderScaling, read_scaling, reader_scaling_of, readers_of
from utils.aurora_utils.resources import Cluster, Instance, Snapshot, newest_first, read_snapshot
from utils.aurora_utils.source_sessions import SourceSession, planning_session
from utils.aws import AssumedRole
from utils.aws_errors import error_code, none_when
from utils.contracts.plan import Access
from utils.error_codes import DENIED_CODES

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_rds import RDSClient


_Through = TypeVar("_Through", bound="SourceOfOtherAccount")


class Source(AuroraReader):
    """Look at Aurora in our own account, in any region. Nothing of a source can be changed through this."""

    access: Access = "own"
    why_no_role = ""

    def __init__(self, account_id: str, region: str, rds: RDSClient | None = None) -> None:
        super().__init__(region, rds)
        self.account_id = account_id

    def is_own_in(self, region: str) -> bool:
        """Return whether it is the stack's own account in this region."""
        return self.access == "own" and self.region == region

    def key(self, identifier: str) -> EncryptionKey | None:
        """Return the key as its own account sees it; None where it does not exist."""
        return encryption_key(identifier, self.region)

    def reader_scaling(self, cluster_identifier: str) -> ReaderScaling | None:
        """Return how the readers of a cluster are scaled; None where nothing adds to them.

        RDS itself does not report it. Source: Aurora User Guide, "Amazon Aurora Auto Scaling with Aurora Replicas".
        """
        return reader_scaling_of(cluster_identifier, self.region)


class SourceOfOtherAccount(Source):
    """Look at another account's Aurora through a role there. Nothing of it can be changed through this."""

    access: Access = "role"

    def __init__(
        self, account_id: str, region: str, rds: RDSClient, kms: KMSClient, scaling: Callable[[], Any]
    ) -> None:
        super().__init__(account_id, region, rds)
        self._keys = kms
        self._scaling = scaling

    def reader_scaling(self, cluster_identifier: str) -> ReaderScaling | None:
        """Return how the readers of a cluster are scaled; None where nothing adds to them.

        The client is created only here: most steps need none.
        """
        return read_scaling(self._scaling().describe_scalable_targets(**readers_of(cluster_identifier)))

    def key(self, identifier: str) -> EncryptionKey | None:
        """Return the key as its own account sees it; None where it does not exist."""
        return encryption_key(identifier, self.region, self._keys)

    def accounts_shared_with(self, identifier: str) -> set[str]:
        """Return the accounts that one of its manual snapshots is shared with.

        A public one is shared with `all`.
        """
        answer = self._rds.describe_db_cluster_snapshot_attributes(
            DBClusterSnapshotIdentifier=snapshot_name(identifier)
        )
        attributes = answer["DBClusterSnapshotAttributesResult"].get("DBClusterSnapshotAttributes", [])
        found = [each.get("AttributeValues", []) for each in attributes if each.get("AttributeName") == "restore"]
        return {account for accounts in found for account in accounts}


class OwnersAurora(SourceOfOtherAccount, Aurora):
    """Create, share and remove in another account, through a role there, what a route needs."""

    def share(self, identifier: str, account_id: str) -> None:
        """Share a snapshot with an account. Calling it twice has the effect of calling it once."""
        self._rds.modify_db_cluster_snapshot_attribute(
            DBClusterSnapshotIdentifier=snapshot_name(identifier), AttributeName="restore", ValuesToAdd=[account_id]
        )

    def unshare(self, identifier: str, account_id: str) -> None:
        """Stop sharing a snapshot with an account. A snapshot that is gone is shared with nobody."""
        none_when(
            "DBClusterSnapshotNotFoundFault",
            lambda: self._rds.modify_db_cluster_snapshot_attribute(
                DBClusterSnapshotIdentifier=snapshot_name(identifier),
                AttributeName="restore",
                ValuesToRemove=[account_id],
            ),
        )


class SourceSharedByHand(Source):
    """What another account has shared with ours.

    Its clusters are out of sight; clusters of ours with the same names are not meant.
    """

    access: Access = "shared"

    def __init__(self, partition: str, account_id: str, region: str, why_no_role: str) -> None:
        super().__init__(account_id, region)
        self.why_no_role = why_no_role
        self._partition = partition

    def snapshot(self, identifier: str) -> Snapshot | None:
        """Return a shared snapshot, which RDS finds by its ARN alone; or None."""
        arn = snapshot_arn(self._partition, self.region, self.account_id, snapshot_name(identifier))
        answer = none_when(
            "DBClusterSnapshotNotFoundFault",
            lambda: self._rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=arn, IncludeShared=True),
        )
        found = answer["DBClusterSnapshots"] if answer else []
        return read_snapshot(found[0]) if found else None

    def snapshots_of(self, cluster_identifier: str) -> list[Snapshot]:
        """Return the shared snapshots of a cluster, newest first."""
        pages = self._rds.get_paginator("describe_db_cluster_snapshots").paginate(SnapshotType="shared")
        shared = [read_snapshot(each) for page in pages for each in page["DBClusterSnapshots"]]
        here = self.region, self.account_id
        return newest_first(
            each
            for each in shared
            if Arn.parse(each.arn).place == here and each.cluster_identifier == cluster_identifier
        )

    def cluster(self, identifier: str) -> Cluster | None:
        """Return None: a cluster is never shared."""
        return None

    def cluster_with_id(self, resource_id: str) -> Cluster | None:
        """Return None: a cluster is never shared."""
        return None

    def instance(self, identifier: str) -> Instance | None:
        """Return None: an instance is never shared."""
        return None

    def instances_of(self, cluster_identifier: str) -> list[Instance]:
        """Return nothing: an instance is never shared."""
        return []


def open_source(
    account_id: str,
    region: str,
    execution_id: str,
    operation_id: str,
    now: dt.datetime,
    session: SourceSession | None = None,
) -> Source:
    """Return all that can be seen of that account: through the role, or without it, what is shared.

    The role is not used where it cannot be assumed. `session`: the step's own; the first step's otherwise.
    """
    own = Arn.parse(execution_id)
    if account_id == own.account_id:
        return Source(account_id, region)
    if not environment.optional("SOURCE_ROLE_NAME"):
        return SourceSharedByHand(own.partition, account_id, region, "the stack's SourceRoleName is empty")
    try:
        given = session or planning_session(operation_id)
        return _through_role(SourceOfOtherAccount, account_id, region, own.partition, given, now)
    except ClientError as error:
        if error.operation_name != "AssumeRole" or error_code(error) not in DENIED_CODES:
            raise
        return SourceSharedByHand(own.partition, account_id, region, f"the role there cannot be assumed ({error})")


def through_role(
    account_id: str, region: str, partition: str, session: SourceSession, now: dt.datetime
) -> OwnersAurora:
    """Return Aurora there, for a step that changes something.

    Raises what STS answers when the role cannot be assumed.
    """
    return _through_role(OwnersAurora, account_id, region, partition, session, now)


def _through_role(
    kind: type[_Through], account_id: str, region: str, partition: str, session: SourceSession, now: dt.datetime
) -> _Through:
    arn = Arn(partition, "iam", "", account_id, f"role/{environment.optional('SOURCE_ROLE_NAME')}")
    role = _role(str(arn), environment.optional("SOURCE_EXTERNAL_ID"), session)
    rds, kms = role.client_of("rds", region, now), role.client_of("kms", region, now)
    return kind(account_id, region, rds, kms, lambda: role.client_of("application-autoscaling", region, now))


@functools.lru_cache(maxsize=4)
def _role(arn: str, external_id: str, session: SourceSession) -> AssumedRole:
    """Return the role, one for each step of an operation: both names stand in that account's CloudTrail."""
    return AssumedRole(arn, external_id, session.name, session.policy)


def admits_our_account(key_arn: str) -> bool:
    """Return whether another account's key lets ours use it, as far as a look at it shows.

    The functions' roles may look.
    """
    region = Arn.parse(key_arn).region
    try:
        return encryption_key(key_arn, region) is not None
    except ClientError as error:
        if error_code(error) in DENIED_CODES:
            return False
        raise
