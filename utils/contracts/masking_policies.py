"""Which masking policies a stack has: each by its name, and exactly one version of one object in S3.

The template's parameter MaskingPolicies lists them, separated by commas: name=s3://bucket/key?versionId=version. A
version of an object never changes, so the owner of the stack decides what a policy says, and nobody who may only write
to the bucket does (S3 User Guide, "How S3 Versioning works").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from utils.contracts.stack_limits import StackLimits

# The names that MaskingPolicies gives; the template's AllowedPattern has the same.
POLICY_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
# Each has a place in the policy of the role that reads them.
MAX_POLICIES = 5
_ENTRY = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9-]{0,31})=s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/"
    r"(?P<key>[A-Za-z0-9!_.()/-]{1,200})\?versionId=(?P<version_id>[A-Za-z0-9._-]{1,64})"
)
# The version of an object that was written while its bucket had none, which the next such write replaces (S3 User
# Guide, "Working with objects in a versioning-suspended bucket").
NULL_VERSION = "null"


class PolicyLocation(Struct, frozen=True, kw_only=True):
    """One version of an object in S3."""

    bucket: str
    key: str
    version_id: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}?versionId={self.version_id}"


def policy_locations(limits: StackLimits) -> dict[str, PolicyLocation]:
    """Return the stack's masking policies by their names. What the template's pattern does not allow is none."""
    matched = (_ENTRY.fullmatch(entry) for entry in limits.masking_policies.split(","))
    return {
        each["name"]: PolicyLocation(bucket=each["bucket"], key=each["key"], version_id=each["version_id"])
        for each in matched
        if each is not None
    }


def policy_problems(limits: StackLimits, name: str | None) -> Iterator[str]:
    """Yield why a request may not have this masking policy, or none."""
    known = policy_locations(limits)
    if name and name not in known:
        yield (
            f"masking_policy: {name!r} is not one of this stack's masking policies: {_listed(known)}. Choose one of "
            "them, or have the stack's owner add it to MaskingPolicies."
        )
    elif name and known[name].version_id == NULL_VERSION:
        yield (
            f"masking_policy: {name!r} is {known[name]}, which the next upload replaces. Have versioning enabled on "
            "the bucket, upload the policy once more, and have the stack's owner set MaskingPolicies to that version."
        )
    elif not name and limits.require_masking == "true":
        yield (
            "masking_policy: missing, and this stack restores no cluster unmasked (RequireMasking is 'true'). "
            f"Choose one of its masking policies: {_listed(known)}. Or "
            "have the stack's owner set MaskingPolicy, the default."
        )


def _listed(known: Mapping[str, PolicyLocation]) -> str:
    return ", ".join(known) or "it has none (MaskingPolicies is empty)"
