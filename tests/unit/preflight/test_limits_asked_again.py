"""What a stack may touch is asked twice: of the request in the first step, and of what whoever acts is about to use.

The second half begins where a compromised first step, or a mistake in it, would have let the request pass: with a plan
that says so. What IAM refuses besides is in test_template_denies.py and tests/integration/pipeline/test_limits.py.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.unit.contracts.test_stack_limits import OWN
from tests.unit.fakes.groups import FakeKeys
from tests.unit.fakes.machine import FakeMachine
from tests.unit.fakes.rds import FakeRds, in_groups
from tests.unit.support import (
    ACCOUNT,
    DOOR,
    EXECUTION,
    KEY_ID,
    NOW,
    OPERATION,
    OTHER_EXECUTION,
    OWN_TAGS,
    REGION,
    SECURITY_GROUP,
    SOURCE,
    SOURCE_REGION,
    TARGET,
    a_cluster_plan,
    a_copy,
    a_deletion,
    a_plan,
    a_run,
    calling,
    some_users,
)
from utils.aurora_utils.source_account import Source
from utils.contracts.payloads import ArchiveTask, CopyTask, DeleteTask, OpenTask, RestoreTask
from utils.contracts.plan import ClusterPlan, Plan, SnapshotExport
from utils.contracts.route import RouteStep, SnapshotCopy
from utils.contracts.stack_limits import StackLimits
from utils.errors import RequestRefused, StepFailed
from utils.preflight.limits import prove_copy_allowed
from utils.request.fields import RestoreRequest
from utils.state.operation import OperationState

pytestmark = pytest.mark.usefixtures("surroundings", "source_rds")

check, copy = calling("snapshot-check"), calling("copy-snapshot")
restore, delete = calling("restore-snapshot"), calling("delete-rds")
open_cluster, archive = calling("open-cluster"), calling("archive-snapshot")
LIMITS = replace(OWN, source_region=REGION, cost_tags="")
OTHER_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/0d1f3c5e-1111-4000-8000-000000000000"
OWN_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"


@pytest.fixture(autouse=True)
def world(rds: FakeRds, source_rds: FakeRds, keys: FakeKeys) -> None:
    """Production, somebody else's cluster, a snapshot of each in both regions, and two keys with an alias each."""
    for place in (rds, source_rds):
        place.add_snapshot("prod-orders-tuesday")
        place.add_snapshot("billing-tuesday", cluster="billing", hours_old=1)
    for name in (SOURCE, "billing"):
        rds.add_cluster(name)
    keys.add(OTHER_KEY.rpartition("/")[2])
    keys.aliases = {"alias/ours": KEY_ID, "alias/other": OTHER_KEY.rpartition("/")[2]}


@pytest.fixture
def operation(account: None) -> OperationState:
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, a_plan(), "running")
    return state


def asking(request: dict[str, Any], limits: StackLimits = LIMITS, execution_id: str = EXECUTION) -> dict[str, Any]:
    begun = {
        "execution_id": execution_id,
        "execution_name": execution_id.rsplit(":", 1)[-1],
        "started_at": NOW.isoformat(),
        "now": NOW.isoformat(),
    }
    return {"execution": begun, "request": request, "limits": msgspec.to_builtins(limits)}


def refusal(request: dict[str, Any], limits: StackLimits = LIMITS) -> str:
    with pytest.raises(RequestRefused) as refused:
        check(asking(request, limits))
    return str(refused.value)


def failure(step: Any, task: Any) -> str:
    with pytest.raises(StepFailed) as failed:
        step(task)
    return str(failed.value)


# The first step


def test_the_stacks_own_restore_is_what_a_stack_may_do_whose_owner_has_said_nothing() -> None:
    assert check(asking({}))["target_cluster_id"] == TARGET


DELETING = {"delete_source": True, "confirm_delete_source": SOURCE}


@pytest.mark.parametrize(
    ("request_given", "parameter"),
    [
        ({"target_cluster_id": "billing-copy"}, "TargetClusterPattern"),
        ({"source_cluster_id": "billing"}, "RestorableClusterPattern"),
        ({"source_cluster_id": "Billing"}, "RestorableClusterPattern"),
        ({"source_region": SOURCE_REGION}, "RestorableRegionPattern"),
        (
            {"snapshot_identifier": f"arn:aws:rds:{SOURCE_REGION}:{ACCOUNT}:cluster-snapshot:prod-orders-tuesday"},
            "RestorableRegionPattern",
        ),
        ({"source_account_id": "999999999999"}, "SourceAccountId"),
        (
            {"snapshot_identifier": f"arn:aws:rds:{REGION}:999999999999:cluster-snapshot:prod-orders-tuesday"},
            "SourceAccountId",
        ),
        ({"snapshot_identifier": "billing-tuesday"}, "RestorableClusterPattern"),
        ({"snapshot_identifier": "billing-tuesday", "source_cluster_id": "billing"}, "RestorableClusterPattern"),
        ({"vpc_security_group_ids": ["sg-0fedcba987654321"]}, "AllowedSecurityGroupPattern"),
        ({"db_subnet_group_name": "public"}, "AllowedSubnetGroupPattern"),
        ({"kms_key_id": OTHER_KEY}, "AllowedKmsKeyPattern"),
        ({"kms_key_id": "alias/other"}, "AllowedKmsKeyPattern"),
        ({"kms_key_id": "alias/aws/rds"}, "AllowedKmsKeyPattern"),
        ({"performance_insights_kms_key_id": OTHER_KEY}, "AllowedKmsKeyPattern"),
        ({"source_kms_key_id": OTHER_KEY}, "AllowedKmsKeyPattern"),
        ({"tags": {"access": "all"}}, "AllowedTagKeyPattern"),
        ({"master_login": "rds_managed"}, "MasterLogin"),
        ({**DELETING, "final_snapshot": False}, "AllowDeletionWithoutFinalSnapshot"),
    ],
)
def test_the_first_step_refuses_what_the_stack_may_not_touch(
    rds: FakeRds, request_given: dict[str, Any], parameter: str
) -> None:
    refused = refusal(request_given)
    assert parameter in refused.splitlines()[0]
    assert rds.changes() == []


def test_what_another_cluster_is_like_is_told_to_nobody(rds: FakeRds) -> None:
    refusal({"source_cluster_id": "billing", "dry_run": True})
    asked = [each.get("DBClusterIdentifier") for _, each in rds.calls if "DBClusterIdentifier" in each]
    assert "billing" not in asked


@pytest.mark.parametrize("spelling", ["alias/ours", OWN_KEY, KEY_ID])
@pytest.mark.parametrize("own", ["alias/ours", OWN_KEY, KEY_ID])
def test_the_stacks_own_key_is_its_own_however_it_is_called(own: str, spelling: str) -> None:
    assert check(asking({"kms_key_id": spelling}, replace(LIMITS, kms_key=own)))["cluster"]["kms_key_id"] == spelling


def test_the_snapshots_own_key_changes_nothing_unless_there_is_a_pattern(rds: FakeRds) -> None:
    encrypted: dict[str, Any] = {"StorageEncryptionType": "sse-kms", "StorageEncrypted": True, "KmsKeyId": OWN_KEY}
    rds.add_snapshot("encrypted", **encrypted)
    request = {"snapshot_identifier": "encrypted"}
    assert check(asking(request | {"kms_key_id": "alias/ours"}))["cluster"]["kms_key_id"] == "alias/ours"
    refused = refusal(request | {"operation_id": "again"}, replace(LIMITS, allowed_kms_keys="mrk-*"))
    assert refused.startswith(f"snapshot_identifier: {OWN_KEY!r} is not among the keys")


def test_rdss_own_key_admits_everybody_and_no_pattern_has_to(rds: FakeRds, keys: FakeKeys) -> None:
    keys.add(KEY_ID, KeyManager="AWS")
    rds.add_snapshot("default", StorageEncryptionType="sse-kms", StorageEncrypted=True, KmsKeyId=OWN_KEY)
    request = {"snapshot_identifier": "default"}
    assert check(asking(request, replace(LIMITS, allowed_kms_keys="mrk-*")))["snapshot"]["identifier"] == "default"


def ended(machine: FakeMachine, plan: Plan, **asked: Any) -> OperationState:
    state = OperationState(OPERATION, EXECUTION, NOW)
    request = RestoreRequest(target_cluster_id=TARGET, source_cluster_id=SOURCE, **asked)
    state.open("snapshot-check", request, plan, "running")
    state.close("failed")
    machine.statuses[EXECUTION] = "FAILED"
    return state


AGAIN = {"operation_id": OPERATION, "resume": True}


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"targets": "drill-*"}, r"TargetClusterPattern is 'drill-\*'"),
        ({"restorable_clusters": "billing"}, "RestorableClusterPattern is 'billing'"),
        ({"restorable_snapshots": "approved-*"}, r"RestorableSnapshotPattern is 'approved-\*'"),
        ({"security_groups": "sg-0fedcba9"}, "AllowedSecurityGroupPattern is empty"),
    ],
)
def test_a_resumed_operation_is_asked_whether_the_stack_still_may(
    machine: FakeMachine, changes: dict[str, Any], parameter: str
) -> None:
    ended(machine, a_plan())
    with pytest.raises(RequestRefused, match=parameter):
        check(asking(AGAIN, replace(LIMITS, **changes), OTHER_EXECUTION))
    assert check(asking(AGAIN, LIMITS, OTHER_EXECUTION))["operation_id"] == OPERATION


def test_a_resumed_operation_is_asked_where_its_snapshot_is(machine: FakeMachine, source_rds: FakeRds) -> None:
    there = replace(a_plan().snapshot, arn=arn_of("prod-orders-tuesday", SOURCE_REGION))
    ended(machine, a_plan(snapshot=there))
    with pytest.raises(RequestRefused, match="RestorableRegionPattern is empty"):
        check(asking(AGAIN, LIMITS, OTHER_EXECUTION))
    assert check(asking(AGAIN, replace(LIMITS, source_region=SOURCE_REGION), OTHER_EXECUTION))


def test_a_deletion_that_the_stack_no_longer_allows_is_refused_before_hours_of_restoring(machine: FakeMachine) -> None:
    """Once it has begun it is for the step that deletes to say, with what is left of the source."""
    asked = {"delete_source": True, "confirm_delete_source": SOURCE, "final_snapshot": False}
    plan = a_plan(delete_source=True, source_deletion=a_deletion(final_snapshot_identifier=None))
    state = ended(machine, plan, **asked)
    with pytest.raises(RequestRefused, match="AllowDeletionWithoutFinalSnapshot is 'false'"):
        check(asking({**AGAIN, **asked}, LIMITS, OTHER_EXECUTION))
    state.remember_at_end(source_deletion_at=NOW.isoformat())
    assert check(asking({**AGAIN, **asked}, LIMITS, OTHER_EXECUTION))["operation_id"] == OPERATION


# Restore Snapshot


def restoring(cluster: ClusterPlan) -> RestoreTask:
    return RestoreTask(run=a_run(), cluster=cluster, limits=LIMITS)


def arn_of(snapshot: str, region: str = REGION) -> str:
    return f"arn:aws:rds:{region}:{ACCOUNT}:cluster-snapshot:{snapshot}"


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"identifier": "billing-copy"}, "TargetClusterPattern"),
        ({"snapshot_arn": arn_of("billing-tuesday")}, "RestorableClusterPattern"),
        ({"vpc_security_group_ids": ["sg-0fedcba987654321"]}, "AllowedSecurityGroupPattern"),
        ({"db_subnet_group_name": "public"}, "AllowedSubnetGroupPattern"),
        ({"kms_key_id": "alias/other"}, "AllowedKmsKeyPattern"),
        ({"performance_insights_kms_key_id": OTHER_KEY}, "AllowedKmsKeyPattern"),
        # The plan says whose it is, and nobody believes it.
        (
            {
                "performance_insights_kms_key_id": OTHER_KEY,
                "origins": {"performance_insights_kms_key_id": "source"},
            },
            "AllowedKmsKeyPattern",
        ),
        ({"tags": {"aurora-restore:operation-id": OPERATION, "access": "all"}}, "AllowedTagKeyPattern"),
        ({"master_login": "rds_managed"}, "MasterLogin"),
    ],
)
@pytest.mark.usefixtures("operation")
def test_nothing_is_restored_that_a_plan_says_and_the_stack_doesnt(
    rds: FakeRds, changes: dict[str, Any], parameter: str
) -> None:
    told = failure(restore, restoring(a_cluster_plan(**changes)))
    assert f"{parameter} is " in told
    assert told.endswith("No cluster was created.")
    assert rds.changes() == []


@pytest.mark.usefixtures("operation")
def test_what_the_stack_may_restore_is_restored(rds: FakeRds) -> None:
    restore(restoring(a_cluster_plan()))
    assert rds.changes() == ["RestoreDBClusterFromSnapshot"]


def test_the_sources_own_key_of_performance_insights_is_seen_on_its_instances_unless_there_is_a_pattern(
    rds: FakeRds, operation: OperationState
) -> None:
    rds.add_instance("prod-orders-1", SOURCE, PerformanceInsightsKMSKeyId=OTHER_KEY)
    cluster = a_cluster_plan(performance_insights_kms_key_id=OTHER_KEY)
    narrowed = RestoreTask(run=a_run(), cluster=cluster, limits=replace(LIMITS, allowed_kms_keys="mrk-*"))
    assert f"performance_insights_kms_key_id: {OTHER_KEY!r} is not among the keys" in failure(restore, narrowed)
    assert rds.changes() == []
    restore(restoring(cluster))
    assert rds.changes() == ["RestoreDBClusterFromSnapshot"]


@pytest.mark.usefixtures("operation")
def test_the_stacks_own_key_of_performance_insights_is_its_own(rds: FakeRds) -> None:
    cluster = a_cluster_plan(performance_insights_kms_key_id=OTHER_KEY)
    restore(RestoreTask(run=a_run(), cluster=cluster, limits=replace(LIMITS, insights_kms_key="alias/other")))
    assert rds.changes() == ["RestoreDBClusterFromSnapshot"]


# Open Cluster


@pytest.mark.parametrize(
    ("changes", "parameter"),
    [
        ({"identifier": "billing-copy"}, "TargetClusterPattern"),
        ({"vpc_security_group_ids": [SECURITY_GROUP, "sg-0fedcba987654321"]}, "AllowedSecurityGroupPattern"),
    ],
)
def test_no_door_is_opened_to_groups_that_a_plan_says_and_the_stack_doesnt(
    rds: FakeRds, operation: OperationState, changes: dict[str, Any], parameter: str
) -> None:
    operation.remember(users_ready_at=NOW.isoformat())
    told = failure(open_cluster, OpenTask(run=a_run(), cluster=a_cluster_plan(**changes), limits=LIMITS))
    assert f"{parameter} is " in told
    assert told.endswith("The cluster's security groups were not changed.")
    assert rds.changes() == []


def restored(rds: FakeRds, operation: OperationState, **facts: Any) -> None:
    cluster = rds.add_cluster(TARGET, TagList=OWN_TAGS, VpcSecurityGroups=in_groups([SECURITY_GROUP]))
    for each in a_cluster_plan().instances:
        rds.add_instance(each.identifier, TARGET, VpcSecurityGroups=in_groups([SECURITY_GROUP]))
    known: dict[str, Any] = {
        "cluster_resource_id": cluster["DbClusterResourceId"],
        "password_reset_at": NOW.isoformat(),
        "users_ready_at": NOW.isoformat(),
    }
    operation.remember(**known, **facts)


NARROWED = replace(LIMITS, security_groups="sg-0fedcba987654321")


def test_a_door_that_is_open_is_gone_on_behind_whatever_its_groups_are_limited_to_since(
    rds: FakeRds, operation: OperationState
) -> None:
    """A resumed run comes by here on its way to the source's deletion."""
    restored(rds, operation, users=some_users(), door_open_at=NOW.isoformat())
    operation.enter("restore-snapshot")
    answer = open_cluster(OpenTask(run=a_run(), cluster=a_cluster_plan(), limits=NARROWED))
    assert answer["answer"] == "done"
    assert rds.changes() == []


def test_letting_the_pipeline_in_again_lets_nobody_else_in_and_asks_for_nothing(
    rds: FakeRds, operation: OperationState
) -> None:
    restored(rds, operation, door_open_at=NOW.isoformat())
    restore(RestoreTask(run=a_run(), cluster=a_cluster_plan(), limits=NARROWED))
    ((_, changed),) = rds.calls_that_change()
    assert changed["VpcSecurityGroupIds"] == [SECURITY_GROUP, DOOR]


# Copy Snapshot


def copying(wanted: SnapshotCopy, limits: StackLimits = LIMITS) -> CopyTask:
    return CopyTask(run=a_run(), copy=wanted, limits=limits)


def a_copy_of(snapshot: str, region: str = REGION, **changes: Any) -> SnapshotCopy:
    made = a_copy(**changes)
    (step,) = made.steps
    return replace(made, steps=[replace(step, source_arn=arn_of(snapshot, region))])


@pytest.mark.parametrize(
    ("wanted", "parameter"),
    [
        (a_copy_of("billing-tuesday"), "RestorableClusterPattern"),
        (a_copy_of("prod-orders-tuesday", SOURCE_REGION), "RestorableRegionPattern"),
        (a_copy_of("prod-orders-tuesday", kms_key_id="alias/other"), "AllowedKmsKeyPattern"),
        (a_copy_of("prod-orders-tuesday", tags={"access": "all"}), "AllowedTagKeyPattern"),
    ],
)
@pytest.mark.usefixtures("operation")
def test_nothing_is_copied_that_a_plan_says_and_the_stack_doesnt(
    rds: FakeRds, wanted: SnapshotCopy, parameter: str
) -> None:
    told = failure(copy, copying(wanted))
    assert f"{parameter} is " in told
    assert told.endswith("Nothing was copied or shared by this step.")
    assert rds.changes() == []


@pytest.mark.usefixtures("operation")
def test_what_the_stack_may_copy_is_copied(rds: FakeRds) -> None:
    copy(copying(a_copy_of("prod-orders-tuesday", kms_key_id="alias/ours"), replace(LIMITS, kms_key=OWN_KEY)))
    assert rds.changes() == ["CopyDBClusterSnapshot"]


def test_a_copy_in_between_is_under_rdss_own_key_and_no_other_copy_is() -> None:
    """Nobody chooses it: two steps lead through it."""
    (step,) = a_copy_of("prod-orders-tuesday", kms_key_id="alias/aws/rds").steps
    source = Source(ACCOUNT, REGION)
    prove_copy_allowed(replace(step, name="copy_into_account"), {}, source, ACCOUNT, LIMITS)
    with pytest.raises(StepFailed, match="'alias/aws/rds' is not among the keys"):
        prove_copy_allowed(step, {}, source, ACCOUNT, LIMITS)


@pytest.mark.usefixtures("operation")
def test_nothing_is_shared_with_another_account_whatever_a_plan_says(their_rds: FakeRds) -> None:
    their_rds.add_snapshot("prod-orders-tuesday")
    arn = their_rds.snapshots["prod-orders-tuesday"]["DBClusterSnapshotArn"]
    step = RouteStep(name="share", snapshot_arn=arn, shared_with="111111111111")
    told = failure(copy, copying(a_copy(steps=[step])))
    assert "would be shared with account 111111111111" in told
    assert their_rds.changes() == []


@pytest.mark.usefixtures("operation")
def test_another_clusters_snapshot_isnt_shared_even_with_us(their_rds: FakeRds) -> None:
    their_rds.add_snapshot("billing-tuesday", cluster="billing")
    arn = their_rds.snapshots["billing-tuesday"]["DBClusterSnapshotArn"]
    step = RouteStep(name="share", snapshot_arn=arn, shared_with=ACCOUNT)
    assert "RestorableClusterPattern is " in failure(copy, copying(a_copy(steps=[step])))
    assert their_rds.changes() == []


# Delete RDS


@pytest.fixture
def proved(rds: FakeRds, operation: OperationState) -> None:
    """The restored cluster, with which nothing stands in the way of what follows it."""
    restored(rds, operation, door_open_at=NOW.isoformat(), login_proven_at=(NOW - dt.timedelta(hours=1)).isoformat())


def deleting(rds: FakeRds, limits: StackLimits = LIMITS, **changes: Any) -> DeleteTask:
    deletion = a_deletion(rds.clusters[SOURCE]["DbClusterResourceId"], **changes)
    return DeleteTask(run=a_run(), deletion=deletion, limits=limits)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"final_snapshot_identifier": None}, "AllowDeletionWithoutFinalSnapshot is 'false'"),
        ({"tags": {"aurora-restore:operation-id": OPERATION, "access": "all"}}, "AllowedTagKeyPattern is empty"),
    ],
)
@pytest.mark.usefixtures("proved")
def test_no_source_goes_as_a_plan_says_and_the_stack_doesnt(rds: FakeRds, changes: dict[str, Any], said: str) -> None:
    told = failure(delete, deleting(rds, **changes))
    assert said in told
    assert told.endswith("Nothing was deleted by this step.")
    assert rds.changes() == []


@pytest.mark.usefixtures("proved")
def test_a_source_goes_as_the_stack_allows_it(rds: FakeRds) -> None:
    delete(deleting(rds, replace(LIMITS, allowed_tag_keys="team")))
    assert rds.changes() == ["DeleteDBCluster"]


@pytest.mark.usefixtures("proved")
def test_a_deletion_that_has_begun_is_gone_on_with_whatever_the_tags_are_limited_to_since(
    rds: FakeRds, operation: OperationState
) -> None:
    """Half deleted, production would be worse than gone."""
    operation.remember(source_deletion_at=NOW.isoformat())
    delete(deleting(rds))
    assert rds.changes() == ["DeleteDBCluster"]


# Archive Snapshot

OWN_COPY = a_copy()


def exporting(snapshot: str, limits: StackLimits = LIMITS, copied: SnapshotCopy | None = None) -> ArchiveTask:
    wanted = SnapshotExport(
        identifier="prod-orders-export-0123456789ab",
        source_arn=arn_of(snapshot),
        bucket="exports",
        prefix="aurora-restore",
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/export",
        kms_key_id=OWN_KEY,
    )
    return ArchiveTask(run=a_run(), archive_snapshot="export", limits=limits, copy=copied, export=wanted)


APPROVED_ALONE = replace(LIMITS, restorable_snapshots="approved-*")


@pytest.mark.parametrize(
    ("task", "parameter"),
    [
        (exporting("billing-tuesday"), "RestorableClusterPattern"),
        (exporting("prod-orders-tuesday", APPROVED_ALONE), "RestorableSnapshotPattern"),
        # Its name is planned, but it hasn't our tag.
        (exporting(OWN_COPY.identifier, APPROVED_ALONE, OWN_COPY), "RestorableSnapshotPattern"),
    ],
)
@pytest.mark.usefixtures("proved")
def test_nothing_is_exported_that_a_plan_says_and_the_stack_doesnt(
    rds: FakeRds, task: ArchiveTask, parameter: str
) -> None:
    rds.add_snapshot(OWN_COPY.identifier)
    told = failure(archive, task)
    assert f"{parameter} is " in told
    assert told.endswith("Nothing was exported.")
    assert rds.changes() == []


@pytest.mark.usefixtures("proved")
def test_what_the_stack_may_restore_is_exported_and_so_is_the_operations_own_copy(rds: FakeRds) -> None:
    rds.add_snapshot(OWN_COPY.identifier, TagList=OWN_TAGS)
    archive(exporting("prod-orders-tuesday"))
    rds.exports.clear()
    archive(exporting(OWN_COPY.identifier, APPROVED_ALONE, OWN_COPY))
    assert rds.changes() == ["StartExportTask", "StartExportTask"]


@pytest.mark.usefixtures("proved")
def test_our_mark_alone_makes_no_snapshot_the_operations_copy(rds: FakeRds) -> None:
    rds.snapshots["prod-orders-tuesday"]["TagList"] = OWN_TAGS
    for copied in (None, OWN_COPY):
        told = failure(archive, exporting("prod-orders-tuesday", APPROVED_ALONE, copied))
        assert "RestorableSnapshotPattern is " in told
    assert rds.changes() == []


@pytest.mark.usefixtures("proved")
def test_another_clusters_data_isnt_exported_through_a_copy_of_ours(rds: FakeRds) -> None:
    rds.add_snapshot(OWN_COPY.identifier, cluster="billing", TagList=OWN_TAGS)
    told = failure(archive, exporting(OWN_COPY.identifier, copied=OWN_COPY))
    assert "'billing' is not among the clusters" in told
    assert rds.changes() == []


@pytest.mark.usefixtures("proved")
def test_an_export_that_rds_is_at_work_on_is_followed_whatever_snapshots_are_limited_to_since(rds: FakeRds) -> None:
    archive(exporting("prod-orders-tuesday"))
    assert archive(exporting("prod-orders-tuesday", APPROVED_ALONE))["answer"] == "wait"
    assert rds.changes() == ["StartExportTask"]
