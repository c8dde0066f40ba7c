"""ARNs, taken apart by one type, so that no other module counts their colons.

Sources: IAM User Guide, "Identify AWS resources with Amazon Resource Names (ARNs)"; the Service Authorization
Reference's pages on Amazon RDS (`cluster-snapshot`) and AWS Step Functions (`execution`, `stateMachine`).
"""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

_SNAPSHOT = re.compile(r"arn:aws[a-z-]*:rds:[a-z0-9-]+:\d{12}:cluster-snapshot:.+", re.ASCII)


class Arn(Struct, frozen=True):
    """An ARN in its parts. Region and account are empty where a service has none; a resource may hold colons."""

    partition: str
    service: str
    region: str
    account_id: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> Arn:
        """Return the ARN that a text is. Raises ValueError, with the text, for every other one."""
        found = cls.parse_or_none(text)
        if found is None:
            raise ValueError(f"{text!r} is not an ARN (arn:partition:service:region:account:resource)")
        return found

    @classmethod
    def parse_or_none(cls, text: str) -> Arn | None:
        """Return None for a text that is no ARN, such as the plain name or id that AWS takes in an ARN's place."""
        scheme, *parts = text.split(":", 5)
        return cls(*parts) if scheme == "arn" and len(parts) == 5 else None

    @property
    def place(self) -> tuple[str, str]:
        """Return the region and the account: a name without an ARN means something in one place only."""
        return self.region, self.account_id

    @property
    def name(self) -> str:
        """Return what follows the resource's kind, as in `cluster:prod` or `cluster-snapshot:rds:prod-2026`."""
        return self.resource.partition(":")[2]

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account_id}:{self.resource}"


def is_meant_as_arn(text: str) -> bool:
    """Return whether a text begins as an ARN, so that half of one is refused as an ARN and not as a name."""
    return text.startswith("arn:")


def resource_of(name_or_arn: str) -> str:
    """Return an ARN's resource; of a text that is no ARN, such as a key's id or `alias/<name>`, the text itself."""
    arn = Arn.parse_or_none(name_or_arn)
    return arn.resource if arn else name_or_arn


def parse_snapshot_arn(text: str) -> Arn | None:
    """Return the ARN of a cluster snapshot; None for a name, and for the ARN of anything else."""
    return Arn.parse(text) if _SNAPSHOT.fullmatch(text) else None


def snapshot_name(name_or_arn: str) -> str:
    """Return a cluster snapshot's name, which may hold colons of its own."""
    return name_or_arn.split(":cluster-snapshot:")[-1]


def snapshot_arn(partition: str, region: str, account_id: str, name: str) -> str:
    """Return the ARN of a cluster snapshot."""
    return str(Arn(partition, "rds", region, account_id, f"cluster-snapshot:{name}"))


def execution_name(execution_arn: str) -> str:
    """Return the last part of an execution's ARN, whose resource is `execution:machine:name`."""
    return execution_arn.rpartition(":")[2]


def state_machine_of(execution_arn: str) -> Arn:
    """Return the ARN of the state machine that an execution is of."""
    execution = Arn.parse(execution_arn)
    _, machine, _ = execution.resource.split(":")
    return replace(execution, resource=f"stateMachine:{machine}")
