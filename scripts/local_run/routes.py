"""One row of the table of routes, made true: production where the row says, and the request that it needs."""

from __future__ import annotations

from typing import Any

from scripts.local_aws.server import LocalAws
from scripts.local_run.keys import create_key
from scripts.local_run.production import CLUSTER, Encryption, Production, make_production, wait_for_snapshot
from scripts.local_run.routes_table import Case
from scripts.local_run.stage import OTHER_REGION, PROJECT, REGION

OTHER_ACCOUNT = "210987654321"
EXTERNAL_ID = "an-example-of-an-external-id"
ROLE_TEMPLATE = PROJECT / "infrastructure" / "source-account-role.yaml"
_ENCRYPTIONS: dict[str, Encryption] = {
    "aws/rds": "the default key",
    "nothing": "nothing",
    "a key that AWS owns": "a key that AWS owns",
}


def place_of(case: Case, aws: LocalAws) -> tuple[str, str]:
    """Return region and account of the source."""
    return (
        OTHER_REGION if case.in_another_region else REGION,
        OTHER_ACCOUNT if case.in_another_account else aws.account_id,
    )


def stack_parameters(case: Case) -> dict[str, str]:
    """Return the parameters that say where the source is, and let a request name the row's keys."""
    found = {"SourceRegion": OTHER_REGION} if case.in_another_region else {}
    if {"kms_key_id", "source_kms_key_id"} & set(case.given):
        found["AllowedKmsKeyPattern"] = "*"
    if not case.in_another_account:
        return found
    role = {"SourceRoleName": ""} if case.is_shared_by_hand else {"SourceExternalId": EXTERNAL_ID}
    return {**found, "SourceAccountId": OTHER_ACCOUNT, **role}


def deploy_role(aws: LocalAws, name_prefix: str = "aurora-restore", **more: str) -> None:
    """Deploy the role as the owner of the other account does. `more`: further parameters of its template."""
    aws.account(OTHER_ACCOUNT).deploy(
        ROLE_TEMPLATE,
        stack_name="aurora-restore-source",
        region=REGION,
        parameters={
            "PipelineAccountId": aws.account_id,
            "PipelineNamePrefix": name_prefix,
            "ExternalId": EXTERNAL_ID,
            **more,
        },
    )


def make_source(aws: LocalAws, case: Case, cluster: str = CLUSTER) -> Production:
    """Create production in its account and region, encrypted as the row says."""
    region, account = place_of(case, aws)
    admitted = [aws.account_id] if case.in_another_account and case.encryption != "a key closed to us" else []
    encryption = _ENCRYPTIONS.get(case.encryption, "a customer's key")
    return make_production(aws, region, account, admitted, encryption, cluster)


def make_request(aws: LocalAws, case: Case, production: Production) -> dict[str, Any]:
    """Take the snapshot of the row's kind, create the keys that it names, and return the execution's input."""
    region, account = production.region, production.account
    snapshot = production.snapshot
    if case.kind == "automated":
        snapshot = aws.aurora.take_automated_snapshot(production.cluster, region, account)
    elif case.kind == "AWS Backup's":
        snapshot = aws.aurora.take_backup_snapshot(production.cluster, region, account)
    wait_for_snapshot(aws, production, snapshot)
    if case.is_shared_by_hand:
        aws.client("rds", region, account).modify_db_cluster_snapshot_attribute(
            DBClusterSnapshotIdentifier=snapshot, AttributeName="restore", ValuesToAdd=[aws.account_id]
        )
    request: dict[str, Any] = {
        "source_cluster_id": production.cluster,
        "source_region": region,
        "source_account_id": account,
        "snapshot_identifier": snapshot,
    }
    if case.is_shared_by_hand:
        # Nobody lets us look at the source cluster, so nothing can be like it.
        request |= {"like_source": False, "db_instance_class": "db.r6g.large"}
    if "kms_key_id" in case.given:
        request["kms_key_id"] = aws.client("kms").create_key(Description="Staging's data")["KeyMetadata"]["Arn"]
    if "source_kms_key_id" in case.given:
        request["source_kms_key_id"] = create_key(aws, region, account, "What production shares", [aws.account_id])
    if "cross_account_copy" in case.given:
        request["cross_account_copy"] = "two_steps"
    return request
