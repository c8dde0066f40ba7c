"""ARNs, as the embedded AWS reads them: by itself, because what it shared with the pipeline could not find its faults.

Sources: IAM User Guide, "Identify AWS resources with Amazon Resource Names (ARNs)"; Lambda API reference, "Invoke"
(FunctionName); Step Functions developer guide, "State machine versions in Step Functions workflows".
"""

from __future__ import annotations

import dataclasses

_VERSIONED = ("function", "layer", "stateMachine")


@dataclasses.dataclass(frozen=True)
class Arn:
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
            raise ValueError(f"{text!r} is not an ARN")
        return found

    @classmethod
    def parse_or_none(cls, text: str) -> Arn | None:
        """Return None for a text that is no ARN, which is for the called service to refuse."""
        scheme, *parts = text.split(":", 5)
        return cls(*parts) if scheme == "arn" and len(parts) == 5 else None

    @property
    def place(self) -> tuple[str, str]:
        """Return the region and the account."""
        return self.region, self.account_id

    @property
    def kind(self) -> str:
        """Return the resource's kind, where a colon ends it; else all of the resource."""
        return self.resource.partition(":")[0]

    @property
    def name(self) -> str:
        """Return what follows the kind, with the colons that are in it: an automated snapshot's name has one."""
        return self.resource.partition(":")[2]

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account_id}:{self.resource}"


def function_name(name_or_arn: str) -> str:
    """Return a function's name and what qualifies it, of a name, an ARN or the part of one that Lambda takes."""
    return name_or_arn.split(":function:")[-1]


def qualified(name: str) -> tuple[str, str]:
    """Return the name of a function, a layer or a state machine, and its version or alias, else an empty text."""
    plain, _, qualifier = name.partition(":")
    return plain, qualifier


def unqualified(arn: str) -> tuple[str, str]:
    """Return an ARN without the version or alias at its end, and that, else an empty text."""
    found = Arn.parse_or_none(arn)
    qualifier = qualified(found.name)[1] if found and found.kind in _VERSIONED else ""
    return arn.removesuffix(f":{qualifier}") if qualifier else arn, qualifier
