"""What a plan says it will call is what a run may call, in that order, and nothing else."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from scripts.local_aws.front import ApiCall
from scripts.local_run.calls import Made, changes_of_run, not_as_planned
from tests.unit.support import (
    ACCOUNT,
    REGION,
    SOURCE,
    TARGET,
    a_cluster_plan,
    a_copy,
    a_deletion,
    a_plan,
    some_instances,
)
from utils.contracts.plan import Plan
from utils.planning.calls import call_lines, planned_calls

ROLE = f"arn:aws:iam::{ACCOUNT}:role/aurora-restore-restore-snapshot-{REGION}"


def calls_of(plan: Plan) -> list[str]:
    return [f"{each.call.split(':')[1]} {each.on}" for each in planned_calls(plan, ACCOUNT, REGION)]


def test_a_direct_restore_makes_the_cluster_its_instances_and_a_new_password() -> None:
    plan = a_plan(cluster=a_cluster_plan(instances=some_instances(2)))
    assert calls_of(plan) == [
        f"RestoreDBClusterFromSnapshot {TARGET}",
        "PutSecretValue admin secret",
        f"ModifyDBCluster {TARGET}",
        *(f"CreateDBInstance {each.identifier}" for each in some_instances(2)),
        f"ModifyDBCluster {TARGET}",
        "UpdateSecretVersionStage admin secret",
        "UpdateSecretVersionStage admin secret",
        "PutSecretValue application secret",
        # The door opens.
        f"ModifyDBCluster {TARGET}",
    ]


def test_what_is_asked_for_beyond_that_is_named_as_well() -> None:
    cluster = a_cluster_plan(
        instances=some_instances(1),
        master_login="rds_managed",
        data_api=True,
        preferred_maintenance_window="sun:05:00-sun:06:00",
    )
    assert calls_of(a_plan(cluster=cluster)) == [
        f"RestoreDBClusterFromSnapshot {TARGET}",
        f"ModifyDBCluster {TARGET}",
        f"CreateDBInstance {some_instances(1)[0].identifier}",
        "PutSecretValue application secret",
        f"ModifyDBCluster {TARGET}",
        f"EnableHttpEndpoint {TARGET}",
    ]


def test_another_writer_is_a_call_only_where_it_makes_a_difference() -> None:
    first, second = some_instances(2)
    unlike = a_plan(cluster=a_cluster_plan(instances=[replace(first, db_instance_class="db.r6g.4xlarge"), second]))
    (failover,) = [each for each in planned_calls(unlike, ACCOUNT, REGION) if each.call == "rds:FailoverDBCluster"]
    assert failover.only == "where another instance is ready first"
    assert not [each for each in calls_of(a_plan()) if each.startswith("Failover")]


def test_every_call_that_deletes_stands_in_the_plan_with_what_it_deletes() -> None:
    deletion = a_deletion(instance_identifiers=["prod-2", "prod-1"], switches_protection_off=True)
    plan = a_plan(copy=a_copy(), copy_needed=True, source_deletion=deletion, archive_snapshot="delete")
    assert calls_of(plan)[-6:] == [
        f"ModifyDBCluster {SOURCE}",
        "DeleteDBInstance prod-2",
        "DeleteDBInstance prod-1",
        f"DeleteDBCluster {SOURCE}",
        f"AddTagsToResource {deletion.final_snapshot_identifier}",
        f"DeleteDBClusterSnapshot {a_copy().identifier}",
    ]


def test_nothing_is_deleted_that_wasnt_asked_for() -> None:
    plan = a_plan(copy=a_copy(), copy_needed=True, archive_snapshot="keep")
    assert [each for each in calls_of(plan) if each.startswith("Delete")] == []


def test_a_person_is_told_the_account_only_where_it_is_another() -> None:
    calls = planned_calls(a_plan(), ACCOUNT, REGION)
    assert all(ACCOUNT not in line for line in call_lines(calls, ACCOUNT))
    assert all(f"{REGION} of account {ACCOUNT}" in line for line in call_lines(calls, "999999999999"))


# Holding a run against its plan

CREATE = {"call": "rds:CreateDBInstance", "on": "new-1", "region": REGION, "account": ACCOUNT, "only": None}
STORE = {"call": "secretsmanager:PutSecretValue", "on": "admin secret", "region": REGION, "account": ACCOUNT}


def made(call: str, on: str) -> Made:
    return Made(call, on, REGION, ACCOUNT)


def a_call(service: str, operation: str, principal: str = ROLE, error: str | None = None, **given: str) -> ApiCall:
    return ApiCall(service, operation, REGION, principal, given, error)


def test_a_run_that_does_what_was_planned_is_as_planned() -> None:
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:aurora-restore/admin-a1b2c3"
    did = [made("rds:CreateDBInstance", "new-1"), made("secretsmanager:PutSecretValue", secret)]
    assert not_as_planned([CREATE, STORE], did) == []


def test_a_call_too_much_too_few_or_out_of_order_is_found() -> None:
    create, store = made("rds:CreateDBInstance", "new-1"), made("secretsmanager:PutSecretValue", "x/admin-1")
    assert len(not_as_planned([CREATE], [create, create])) == 1
    assert len(not_as_planned([CREATE, STORE], [create])) == 1
    assert not_as_planned([CREATE, STORE], [store, create]) != []
    assert not_as_planned([CREATE], [made("rds:CreateDBInstance", "other-1")]) != []
    assert not_as_planned([CREATE], [create._replace(account="999999999999")]) != []


def test_what_is_needed_only_sometimes_may_be_left_out() -> None:
    optional: dict[str, Any] = {**CREATE, "only": "where RDS chose otherwise"}
    assert not_as_planned([optional], []) == []


def test_what_a_person_did_what_was_refused_and_what_only_reads_is_no_change_of_the_run() -> None:
    calls = [
        a_call("rds", "DeleteDBCluster", principal="operator", DBClusterIdentifier="x"),
        a_call("rds", "DeleteDBCluster", error="AccessDenied", DBClusterIdentifier="x"),
        a_call("rds", "DescribeDBClusters"),
        a_call("dynamodb", "PutItem"),
        a_call("rds", "AddTagsToResource", ResourceName=f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:x-final-1"),
    ]
    assert changes_of_run(calls) == [Made("rds:AddTagsToResource", "x-final-1", REGION, ACCOUNT)]
