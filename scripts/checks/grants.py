"""The reasons for each role's permissions: each action with the code, or the rule of AWS's, that needs it."""

from __future__ import annotations

from scripts.checks.reach import reached

# What the stack's own key needs where tables, secrets and topic are encrypted with it.
_OWN_KEY = "tables, secrets and topic are encrypted with the stack's key"
_KEY_OF_SNAPSHOT = ("kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey")
_KEY_OF_OTHER_ACCOUNT = ("kms:Encrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo")
OF_EVERY_FUNCTION = {
    "logs:CreateLogStream": "Lambda writes the function's log",
    "logs:PutLogEvents": "Lambda writes the function's log",
    "kms:Decrypt": _OWN_KEY,
    "kms:GenerateDataKey": _OWN_KEY,
    # X-Ray Developer Guide, "AWS Lambda and X-Ray".
    "xray:PutTelemetryRecords": "Lambda sends the function's traces",
    "xray:PutTraceSegments": "Lambda sends the function's traces",
}
# Actions that a call needs beside its own (Service Authorization Reference, "Dependent actions"; Aurora User Guide on
# encrypted snapshots): tags with what is made, keys of what is encrypted, the final snapshot of what is deleted.
BROUGHT_ALONG = {
    "rds:CopyDBClusterSnapshot": ("rds:AddTagsToResource", *_KEY_OF_SNAPSHOT, *_KEY_OF_OTHER_ACCOUNT),
    "rds:CreateDBInstance": ("rds:AddTagsToResource", "iam:PassRole"),
    "rds:DeleteDBCluster": ("rds:CreateDBClusterSnapshot", "rds:AddTagsToResource"),
    # The secret of a master login that RDS keeps is made with the caller's rights.
    "rds:ModifyDBCluster": ("secretsmanager:CreateSecret", "secretsmanager:TagResource", *_KEY_OF_SNAPSHOT),
    # Its tags come with it (Secrets Manager API reference, CreateSecret).
    "secretsmanager:CreateSecret": ("secretsmanager:TagResource",),
    "rds:StartExportTask": ("iam:PassRole", "kms:CreateGrant", "kms:DescribeKey"),
    "rds:RestoreDBClusterFromSnapshot": ("rds:AddTagsToResource", *_KEY_OF_SNAPSHOT),
}
# They switch deletion protection off, change security groups or a name: no password, and so no secret and no key, comes
# along.
_ALONE = {
    ("aurora-restore-delete-rds", "rds:ModifyDBCluster"),
    ("aurora-restore-expire-clusters", "rds:ModifyDBCluster"),
    ("aurora-restore-open-cluster", "rds:ModifyDBCluster"),
    ("aurora-restore-swap-cluster", "rds:ModifyDBCluster"),
}
# Where IAM does not call a service as its SDK does.
_IAM_PREFIXES = {"stepfunctions": "states"}
# A call of another name than its action, by the module that makes it: there a version of an object is always named (S3
# API reference, GetObject).
_IAM_ACTIONS = {("s3:GetObject", "preflight.policy_files"): "s3:GetObjectVersion"}
# What Lambda does with the role of a function in a VPC (Lambda Developer Guide, "Configuring VPC access").
IN_A_VPC = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
FUNCTIONS_IN_THE_VPC = (
    "aurora-restore-setup-db-users",
    "aurora-restore-transform-data",
    "aurora-restore-verify-data",
    "aurora-restore-check-swap",
)


def reasons(folder: str) -> dict[str, list[str]]:
    """Return, by action, what needs it in this function: a module and function of `utils`, or AWS's own rule."""
    found: dict[str, list[str]] = {}
    for call, place in sorted(reached(folder).places):
        service, _, operation = call.partition(":")
        own_name = f"{_IAM_PREFIXES.get(service, service)}:{operation}"
        action = _IAM_ACTIONS.get((call, place.rpartition(".")[0]), own_name)
        found.setdefault(action, []).append(f"`{place}`")
        for other in () if (folder, action) in _ALONE else BROUGHT_ALONG.get(action, ()):
            found.setdefault(other, []).append(f"comes with {action}")
    for action, reason in OF_EVERY_FUNCTION.items():
        found.setdefault(action, []).append(reason)
    if folder in FUNCTIONS_IN_THE_VPC:
        for action in IN_A_VPC:
            found.setdefault(action, []).append("Lambda attaches the function to the VPC")
    return {action: list(dict.fromkeys(each)) for action, each in found.items()}
