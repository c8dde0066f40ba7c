"""Where the stack's policies are: each by its name, and exactly one version of one object in S3.

The template's parameters MaskingPolicies and VerificationPolicies list them, separated by commas:
name=s3://bucket/key?versionId=version. A version of an object never changes, so the owner of the stack decides what a
policy says, and nobody who may only write to the bucket does (S3 User Guide, "How S3 Versioning works").
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

# The names that the parameters give; the template's AllowedPattern has the same.
POLICY_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
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

    @classmethod
    def parse(cls, text: str) -> PolicyLocation:
        """Return the location that this class has written."""
        bucket, _, rest = text.removeprefix("s3://").partition("/")
        key, _, version_id = rest.partition("?versionId=")
        return cls(bucket=bucket, key=key, version_id=version_id)


def locations_in(parameter: str) -> dict[str, PolicyLocation]:
    """Return the policies that a parameter lists, by name. What the template's pattern does not allow is none."""
    matched = (_ENTRY.fullmatch(entry) for entry in parameter.split(","))
    return {
        each["name"]: PolicyLocation(bucket=each["bucket"], key=each["key"], version_id=each["version_id"])
        for each in matched
        if each is not None
    }


def replaceable_problem(field: str, name: str, location: PolicyLocation, parameter: str) -> str:
    """Return why a version that S3 calls null is none."""
    return (
        f"{field}: {name!r} is {location}, which the next upload replaces. Have versioning enabled on the bucket, "
        f"upload the policy once more, and have the stack's owner set {parameter} to that version."
    )


def names_of(known: Mapping[str, PolicyLocation], parameter: str) -> str:
    """Return the names of the policies that there are, for a message."""
    return ", ".join(known) or f"it has none ({parameter} is empty)"
