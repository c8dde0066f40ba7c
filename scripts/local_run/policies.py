"""The policies of local runs, in a bucket with versions, and the stack's parameters for them.

A policy is the demonstration's, or that of a person's own file. The file is read before anything is started, by the
pipeline's own readers, so that all its faults are reported at once and in the pipeline's own words.
"""

from __future__ import annotations

import pathlib
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

from utils.masking.reading import read_policy
from utils.policies.fields import MAX_BYTES, InvalidPolicy
from utils.verification.reading import read_verification_policy

if TYPE_CHECKING:
    from scripts.local_aws.server import LocalAws

BUCKET = "policies"
# What a policy is called in the stack: the demonstration's, and one of a person's own file.
DEMONSTRATION, OWN = "staging", "own"
# Every column of production's that holds personal data is masked, and every other one is classified.
POLICY = """
version: 1
types:
  {bigint: keep, integer: keep, numeric: keep, timestamptz: keep, enum: keep}
databases:
  orders:
    columns:
      sales.customers.name: name
      sales.customers.email: {email: {group: person_mail}}
      "sales.*.select": {text: {length: 16}}
      "sales.events*.at": keep
      "odd*.*.Größe": {hash: {length: 24}}
      "public.settings.*": keep
    checks:
      no_customer_is_called_as_before: "SELECT 1 FROM sales.customers WHERE name LIKE 'Customer %'"
  "Billing*":
    columns:
      Ledger.Entries.booked_on: {date_shift: {days: 20}}
"""
# Of those whom production has, as the application reads them.
UNMASKED = """
SELECT count(*) FROM sales.customers WHERE name LIKE 'Customer %' OR email LIKE 'customer%@example.com'
"""


class NoPolicy(Exception):
    """A file is no policy. The message says why, a line for each fault."""


def own_masking_policy(path: pathlib.Path) -> str:
    """Return the text of a person's masking policy. Raises NoPolicy."""
    return _text(path, "masking", read_policy)


def own_verification_policy(path: pathlib.Path) -> str:
    """Return the text of a person's verification policy. Raises NoPolicy."""
    return _text(path, "verification", read_verification_policy)


def _text(path: pathlib.Path, kind: str, read: Callable[[str], object]) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise NoPolicy(f"{path} is no regular file. Name a file with a {kind} policy.")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 4)
        # Cut within a character, a text that is too long would be no text.
        text = content.decode(errors="ignore" if len(content) > MAX_BYTES else "strict")
        read(text)
    except OSError as error:
        raise NoPolicy(f"{path} cannot be read: {error.strerror}. Name a file with a {kind} policy.") from None
    except UnicodeDecodeError:
        raise NoPolicy(f"{path} is not text in UTF-8. Save it so.") from None
    except InvalidPolicy as error:
        faults = "".join(f"\n  {each}" for each in error.faults)
        page = f"documentation/implementation_guide/{kind}.md"
        raise NoPolicy(f"{path} is no {kind} policy ({page}):{faults}") from None
    return text


def policy_parameters(aws: LocalAws, *, masking: str | None, verification: str | None) -> dict[str, str]:
    """Put the texts of a person's own policies into a bucket, and return the parameters of a stack that uses them.

    With a masking policy, the stack restores nothing unmasked.
    """
    parameters: dict[str, str] = {}
    if masking is not None:
        parameters |= masking_parameters(aws, OWN, masking)
    if verification is not None:
        location = _put(aws, f"verification/{OWN}.yaml", verification)
        parameters |= {"VerificationPolicies": f"{OWN}={location}", "Verification": OWN}
    return parameters


def masking_parameters(aws: LocalAws, name: str = DEMONSTRATION, text: str = POLICY) -> dict[str, str]:
    """Put a masking policy into a bucket, and return the parameters of a stack that restores nothing unmasked."""
    location = _put(aws, f"masking/{name}.yaml", text)
    return {"MaskingPolicies": f"{name}={location}", "MaskingPolicy": name, "RequireMasking": "true"}


def _put(aws: LocalAws, key: str, text: str) -> str:
    """Return where the text is: the one version of one object."""
    s3 = aws.client("s3")
    if BUCKET not in [each["Name"] for each in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode())["VersionId"]
    return f"s3://{BUCKET}/{key}?versionId={version}"
