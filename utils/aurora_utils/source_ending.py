"""What is done to a source cluster beside its deletion: its protection is switched off before, and what is left of it,
the final snapshot, is tagged after.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from utils.aws import client, error_code
from utils.errors import TemporaryFailure

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient


class SourceEnding:
    """In the region of the source. Callers prove first that it is the cluster that the request meant."""

    def __init__(self, region: str) -> None:
        self._rds: RDSClient = client("rds", region)

    def switch_deletion_protection_off(self, cluster_identifier: str) -> None:
        """Done twice, it is as good as once. It takes effect after seconds in which the cluster is `modifying`."""
        try:
            self._rds.modify_db_cluster(
                DBClusterIdentifier=cluster_identifier, DeletionProtection=False, ApplyImmediately=True
            )
        except ClientError as error:
            if error_code(error) != "InvalidDBClusterStateFault":
                raise
            raise TemporaryFailure(f"Cluster {cluster_identifier} is busy: {error}") from error

    def tag(self, snapshot_arn: str, tags: Mapping[str, str]) -> None:
        """DeleteDBCluster takes no tags for the final snapshot that it makes."""
        self._rds.add_tags_to_resource(
            ResourceName=snapshot_arn, Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
        )
