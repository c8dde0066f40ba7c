"""The account's quotas in a region, as RDS reports them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from mypy_boto3_rds.type_defs import AccountQuotaTypeDef


class Quota(Struct, frozen=True, kw_only=True):
    """A quota of the account, in this region."""

    used: int
    most: int

    @property
    def left(self) -> int:
        """Return how many more the quota allows."""
        return max(0, self.most - self.used)


def read_quotas(raw: Iterable[AccountQuotaTypeDef]) -> dict[str, Quota]:
    """Return the quotas by RDS's names, such as DBClusters, DBInstances and ManualClusterSnapshots."""
    return {each.get("AccountQuotaName", ""): Quota(used=each.get("Used", 0), most=each.get("Max", 0)) for each in raw}
