"""What a stack may touch, past the first step: with a role's own credentials, IAM refuses what its statements can say.

Each call is refused for the one thing that is wrong with it: with that put right, IAM has nothing against it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.local_run.production import SNAPSHOT, Production
from tests.integration.pipeline.support import Pipeline

MARK = {"Key": "aurora-restore:operation-id", "Value": "op-1"}
RESTORE: dict[str, Any] = {
    "DBClusterIdentifier": "target-never",
    "SnapshotIdentifier": SNAPSHOT,
    "Engine": "aurora-postgresql",
    "EngineVersion": "17.5",
    "DBSubnetGroupName": "other-missing",
    "Tags": [MARK, {"Key": "team", "Value": "orders"}],
}
MEMBER: dict[str, Any] = {
    "DBInstanceIdentifier": "target-never-0123456789ab-1",
    "DBInstanceClass": "db.r6g.large",
    "Engine": "aurora-postgresql",
    "DBSubnetGroupName": "other-missing",
    "Tags": [MARK],
}
COPY: dict[str, Any] = {
    "SourceDBClusterSnapshotIdentifier": SNAPSHOT,
    "TargetDBClusterSnapshotIdentifier": "prod-orders-copy-0123456789ab",
    "KmsKeyId": "alias/missing",
    "Tags": [MARK],
}


def answer(rds: Any, call: str, given: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(rds.exceptions.ClientError) as refused:
        getattr(rds, call)(**given)
    return refused.value.response["Error"]["Code"], refused.value.response["Error"]["Message"]


@pytest.mark.parametrize(
    ("role", "call", "right", "wrong", "resource"),
    [
        (
            "RestoreSnapshotRole",
            "restore_db_cluster_from_snapshot",
            RESTORE,
            {"DBClusterIdentifier": "billing"},
            ":cluster:billing",
        ),
        (
            "RestoreSnapshotRole",
            "restore_db_cluster_from_snapshot",
            RESTORE,
            {"DBSubnetGroupName": "default"},
            ":subgrp:default",
        ),
        (
            "RestoreSnapshotRole",
            "restore_db_cluster_from_snapshot",
            RESTORE,
            {"Tags": [MARK, {"Key": "access", "Value": "all"}]},
            ":cluster:target-never",
        ),
        ("RestoreSnapshotRole", "create_db_instance", MEMBER, {"DBInstanceIdentifier": "billing-1"}, ":db:billing-1"),
        (
            "CopySnapshotRole",
            "copy_db_cluster_snapshot",
            COPY,
            {"Tags": [MARK, {"Key": "access", "Value": "all"}]},
            "snapshot:",
        ),
        (
            "CopySnapshotRole",
            "copy_db_cluster_snapshot",
            COPY,
            {"TargetDBClusterSnapshotIdentifier": "prod-orders-copy-mine"},
            ":cluster-snapshot:prod-orders-copy-mine",
        ),
    ],
    ids=["target", "subnet group", "tag", "instance", "tag of a copy", "name of a copy"],
)
def test_iam_refuses_what_no_pattern_allows(
    pipeline: Pipeline,
    production: Production,
    role: str,
    call: str,
    right: dict[str, Any],
    wrong: dict[str, Any],
    resource: str,
) -> None:
    rds = pipeline.as_role(role, "rds")
    code, message = answer(rds, call, right | wrong)
    assert code == "AccessDenied"
    assert resource in message
    assert answer(rds, call, right)[0] != "AccessDenied"


def test_a_cluster_of_another_name_isnt_changed_although_it_bears_our_tag(pipeline: Pipeline, doomed: str) -> None:
    """Whoever may tag clusters could else have this role set production's master password."""
    arn = pipeline.cluster(doomed)["DBClusterArn"]  # type: ignore[index]  # the fixture has made it
    pipeline.rds().add_tags_to_resource(ResourceName=arn, Tags=[MARK])
    rds = pipeline.as_role("RestoreSnapshotRole", "rds")
    for call, given in (
        ("modify_db_cluster", {"MasterUserPassword": "not-a-secret-2"}),
        ("failover_db_cluster", {}),
    ):
        code, message = answer(rds, call, {"DBClusterIdentifier": doomed, **given})
        assert (code, doomed in message) == ("AccessDenied", True)
    rds = pipeline.as_role("DeleteRdsRole", "rds")
    code, _ = answer(rds, "delete_db_instance", {"DBInstanceIdentifier": "billing-1", "SkipFinalSnapshot": True})
    assert code == "AccessDenied"


@pytest.mark.full
def test_a_secret_of_rdss_is_out_of_reach_where_the_pipeline_keeps_the_login(pipeline: Pipeline, doomed: str) -> None:
    pipeline.rds().modify_db_cluster(DBClusterIdentifier=doomed, ManageMasterUserPassword=True, ApplyImmediately=True)
    pipeline.aws.clock.sleep(1200)
    secret = (pipeline.cluster(doomed) or {})["MasterUserSecret"]["SecretArn"]
    secrets = pipeline.as_role("SetupDbUsersRole", "secretsmanager")
    with pytest.raises(secrets.exceptions.ClientError) as refused:
        secrets.get_secret_value(SecretId=secret)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"


@pytest.mark.full
def test_a_request_may_choose_another_subnet_group_that_the_pattern_allows(pipeline: Pipeline, target: str) -> None:
    subnets = [each["SubnetId"] for each in pipeline.aws.client("ec2").describe_subnets()["Subnets"]]
    pipeline.rds().create_db_subnet_group(
        DBSubnetGroupName="other-team", DBSubnetGroupDescription="another", SubnetIds=subnets
    )
    run = pipeline.run({"target_cluster_id": target, "db_subnet_group_name": "Other-Team"})
    assert run.status == "SUCCEEDED", run.reason
    assert (pipeline.cluster(target) or {})["DBSubnetGroup"] == "other-team"


def test_no_input_says_what_a_stack_may_touch(pipeline: Pipeline) -> None:
    """The limits are the state machine's; what an execution is given is the request and nothing else."""
    run = pipeline.run(json.dumps({"target_cluster_id": "billing", "limits": {"targets": "*"}}))
    assert run.followed.error == "RequestRefused"
    assert "limits: unknown field" in run.reason
    run = pipeline.run({"target_cluster_id": "billing"})
    assert "target_cluster_id: 'billing' is not among the clusters that this stack may create" in run.reason
    assert "TargetClusterPattern is '*target-*'" in run.reason
    assert run.changes == []
