"""The account's quotas in a region, as RDS reports them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from utils.changes import asked_once

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient


class Quota(Struct, frozen=True, kw_only=True):
    """A quota of the account, in this region."""

    used: int
    most: int

    @property
    def left(self) -> int:
        """Return how many more the quota allows."""
        return max(0, self.most - self.used)


def account_quotas(rds: RDSClient) -> dict[str, Quota]:
    """Return the quotas by RDS's names, such as DBClusters, DBInstances and ManualClusterSnapshots."""
    answer = asked_once(lambda: rds.describe_account_attributes(), rds, "DescribeAccountAttributes")
    return {
        each.get("AccountQuotaName", ""): Quota(used=each.get("Used", 0), most=each.get("Max", 0))
        for each in answer.get("AccountQuotas", [])
    }
