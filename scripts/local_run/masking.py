"""A masking policy for the production of local runs, in a bucket with versions, and the stack's parameters for it."""

from __future__ import annotations

from scripts.local_aws.server import LocalAws

BUCKET, KEY, NAME = "masking-policies", "staging.yaml", "staging"
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


def masking_parameters(aws: LocalAws) -> dict[str, str]:
    """Put the policy into a bucket, and return the parameters of a stack that restores nothing unmasked."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=BUCKET, Key=KEY, Body=POLICY.encode())["VersionId"]
    return {
        "MaskingPolicies": f"{NAME}=s3://{BUCKET}/{KEY}?versionId={version}",
        "MaskingPolicy": NAME,
        "RequireMasking": "true",
    }
