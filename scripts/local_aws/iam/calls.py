"""The words in which access is checked: a call, and the permissions that it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.utilities.utils import get_partition

from scripts.local_aws.iam.policy import Context


class UnknownAccess(Exception):
    """The rules do not state which permissions this operation needs."""


@dataclass(frozen=True)
class Call:
    """One API call as the service's model reads it. `service` is the IAM prefix (states, not stepfunctions)."""

    service: str
    operation: str
    parameters: Mapping[str, Any]
    region: str
    account: str

    @property
    def tables(self) -> list[str]:
        """Return the DynamoDB tables that the call names."""
        if name := self.parameters.get("TableName"):
            return [str(name).rpartition("/")[2]]
        written = [part["TableName"] for item in self.parameters.get("TransactItems") or [] for part in item.values()]
        return sorted({*(self.parameters.get("RequestItems") or {}), *written})

    @property
    def partition(self) -> str:
        """Return the partition of the call's region."""
        return get_partition(self.region)

    def arn(self, rest: str, service: str | None = None) -> str:
        """Return the ARN of a resource in the account and region of the call."""
        return f"arn:{self.partition}:{service or self.service}:{self.region}:{self.account}:{rest}"


@dataclass(frozen=True)
class Need:
    """One permission to check. `refusal` is the code and message by which the called service hides a KMS refusal."""

    action: str
    resource: str
    context: Context = field(default_factory=dict)
    refusal: tuple[str, str] | None = None
