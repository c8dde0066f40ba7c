"""From a request to a plan: the right snapshot, nothing left to RDS's defaults, and no deletion by mistake."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import (
    ACCOUNT,
    DEFAULTS,
    EXECUTION,
    KEY_ID,
    LIMITS,
    NOW,
    OPERATION,
    OWN_TAGS,
    REGION,
    SOURCE_REGION,
    an_execution,
)
from utils.aurora_utils import Aurora
from utils.aurora_utils.source_account import Source
from utils.contracts.plan import Plan
from utils.errors import RequestRefused
from utils.names import instance_name
from utils.planning.restore import plan_restore
from utils.planning.snapshot_place import place_problems, source_region
from utils.request.reading import read_request
from utils.request.rules import OWN_TAG_PREFIX

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{KEY_ID}"
FOREIGN_KEY = f"arn:aws:kms:{SOURCE_REGION}:{ACCOUNT}:key/{KEY_ID}"


pytestmark = pytest.mark.usefixtures("surroundings")


def plan_of(limits: Any = LIMITS, **raw: Any) -> Plan:
    request = read_request(raw, DEFAULTS)
    source = Source(ACCOUNT, source_region(request, REGION))
    return plan_restore(request, OPERATION, an_execution(), source, Aurora(REGION), limits)


def refusal_of(limits: Any = LIMITS, **raw: Any) -> str:
    with pytest.raises(RequestRefused) as refused:
        plan_of(limits, **raw)
    return str(refused.value)


@pytest.fixture(autouse=True)
def nothing_changes(rds: FakeRds, source_rds: FakeRds) -> Any:
    """Rule 10: everything is checked before the first side effect. A plan only reads."""
    yield
    assert rds.changes() == []
    assert source_rds.changes() == []


# Which snapshot


def test_without_name_or_date_the_latest_available_snapshot_is_taken(rds: FakeRds) -> None:
    rds.add_snapshot("older", hours_old=30)
    rds.add_snapshot("rds:prod-orders-newest", hours_old=1)
    rds.add_snapshot("old", hours_old=20)
    rds.add_snapshot("of-another", cluster="prod-billing", hours_old=0.5)
    plan = plan_of()
    assert plan.snapshot.identifier == "rds:prod-orders-newest"
    assert plan.snapshot.why == "the latest of 3 available"
    assert plan.snapshot.others == ["old, 20.0 hours old", "older, 30.0 hours old"]
    assert plan.snapshot.age_hours == 1.0


def test_a_snapshot_still_being_made_is_passed_over(rds: FakeRds) -> None:
    rds.add_snapshot("ready", hours_old=5)
    rds.add_snapshot("in-the-making", Status="creating", SnapshotCreateTime=None)
    rds.add_snapshot("failed", hours_old=1, Status="failed")
    assert plan_of().snapshot.identifier == "ready"


def test_the_latest_is_found_behind_many_pages(rds: FakeRds) -> None:
    rds.page_size = 20
    for number in range(45):
        rds.add_snapshot(f"nightly-{number}", hours_old=100 - number)
    assert plan_of().snapshot.identifier == "nightly-44"
    assert rds.operations().count("DescribeDBClusterSnapshots") == 3


def test_a_date_means_the_last_snapshot_of_that_day_in_utc(rds: FakeRds) -> None:
    def taken(day: int, hour: int, minute: int) -> dt.datetime:
        return dt.datetime(2026, 3, day, hour, minute, tzinfo=dt.UTC)

    rds.add_snapshot("last-second-before", SnapshotCreateTime=taken(7, 23, 59))
    rds.add_snapshot("midnight", SnapshotCreateTime=taken(8, 0, 0))
    rds.add_snapshot("evening", SnapshotCreateTime=taken(8, 23, 59).astimezone(dt.timezone(dt.timedelta(hours=9))))
    rds.add_snapshot("next-midnight", SnapshotCreateTime=taken(9, 0, 0))
    plan = plan_of(snapshot_date="2026-03-08")
    assert plan.snapshot.identifier == "evening"
    assert plan.snapshot.why == "the last of 2 available on 2026-03-08"


def test_a_date_without_a_snapshot_is_refused_with_the_newest_and_a_command(rds: FakeRds) -> None:
    rds.add_snapshot("monday", hours_old=24)
    message = refusal_of(snapshot_date="2026-03-01")
    assert message.startswith("snapshot_date: '2026-03-01' has no available snapshot of prod-orders")
    assert "is of 2026-03-09" in message
    assert "aws rds describe-db-cluster-snapshots --region us-east-1 --db-cluster-identifier prod-orders" in message


def test_a_cluster_without_snapshots_is_refused(rds: FakeRds) -> None:
    message = refusal_of(source_cluster_id="prod-ordres")
    assert message.startswith("source_cluster_id: 'prod-ordres' has no available snapshot in us-east-1")
    assert "correct the name or source_region" in message


@pytest.mark.parametrize("name", ["tuesday", "Tuesday", "rds:prod-orders-2026-03-10"])
def test_a_snapshot_is_found_by_its_name(rds: FakeRds, name: str) -> None:
    rds.add_snapshot(name.lower(), hours_old=2)
    rds.add_snapshot("newer", hours_old=1)
    plan = plan_of(snapshot_identifier=name)
    assert plan.snapshot.identifier == name.lower()
    assert plan.snapshot.why == "named in the request"


def test_a_snapshot_is_found_by_its_arn_in_the_region_that_the_arn_says(source_rds: FakeRds) -> None:
    arn = source_rds.add_snapshot("rds:prod-orders-2026-03-10")["DBClusterSnapshotArn"]
    plan = plan_of(snapshot_identifier=arn)
    assert plan.snapshot.arn == arn
    assert plan.copy_needed


def test_no_such_snapshot_is_refused_with_a_command_that_lists_what_exists() -> None:
    message = refusal_of(snapshot_identifier="wednesday")
    assert message.startswith("snapshot_identifier: 'wednesday' does not exist in us-east-1")
    assert "aws rds describe-db-cluster-snapshots --region us-east-1" in message


@pytest.mark.parametrize("status", ["creating", "copying", "deleting", "failed"])
def test_a_named_snapshot_that_isnt_available_is_refused(rds: FakeRds, status: str) -> None:
    rds.add_snapshot("tuesday", Status=status)
    message = refusal_of(snapshot_identifier="tuesday")
    assert message.startswith(f"snapshot_identifier: 'tuesday' is {status}, not available.")


def test_a_snapshot_of_another_cluster_is_refused(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday", cluster="prod-billing")
    message = refusal_of(snapshot_identifier="tuesday")
    assert "'tuesday' is a snapshot of prod-billing, not of prod-orders" in message
    assert '"source_cluster_id": "prod-billing"' in message


def test_a_snapshot_of_another_engine_is_refused(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday", Engine="aurora-mysql")
    assert "is of aurora-mysql; this pipeline restores aurora-postgresql only" in refusal_of()


def test_a_snapshot_older_than_allowed_is_refused_with_both_ages(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday", hours_old=30.25)
    message = refusal_of(max_snapshot_age_hours=30)
    assert message.startswith(
        "max_snapshot_age_hours: 'tuesday' in us-east-1 is 30.2 hours old, more than the 30 allowed"
    )
    assert "Take a fresh snapshot, or raise the limit" in message


def test_a_snapshot_of_just_the_allowed_age_is_taken(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday", hours_old=30)
    assert plan_of(max_snapshot_age_hours=30).snapshot.identifier == "tuesday"


# Where from


def test_an_arn_that_contradicts_the_request_is_refused() -> None:
    arn = f"arn:aws:rds:{SOURCE_REGION}:{ACCOUNT}:cluster-snapshot:prod-tuesday"
    message = refusal_of(snapshot_identifier=arn, source_region=REGION, source_account_id="999999999999")
    assert "source_account_id: '999999999999' is not the account in snapshot_identifier's ARN" in message
    assert "source_region: 'us-east-1' is not the region in snapshot_identifier's ARN (us-west-2)" in message


def test_the_stacks_own_account_may_be_said_aloud(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    assert plan_of(source_account_id=ACCOUNT).snapshot.identifier == "tuesday"


# Copy or not, and which key


def test_within_a_region_nothing_is_copied(rds: FakeRds) -> None:
    snapshot = rds.add_snapshot("tuesday")
    plan = plan_of()
    assert not plan.copy_needed
    assert plan.copy is None
    assert plan.cluster.snapshot_arn == snapshot["DBClusterSnapshotArn"]


def test_across_regions_an_own_copy_is_restored(source_rds: FakeRds) -> None:
    snapshot = source_rds.add_snapshot("rds:prod-orders-2026-03-10")
    plan = plan_of(source_region=SOURCE_REGION, tags={"team": "orders"})
    assert plan.copy_needed
    assert plan.copy is not None
    assert plan.copy.final.source_arn == snapshot["DBClusterSnapshotArn"]
    assert plan.copy.arn == f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster-snapshot:{plan.copy.identifier}"
    assert plan.copy.tags == {"team": "orders", "aurora-restore:operation-id": OPERATION}
    assert plan.cluster.snapshot_arn == plan.copy.arn


ENCRYPTIONS: dict[str, dict[str, Any]] = {
    "none": {"StorageEncryptionType": "none", "StorageEncrypted": False},
    # Under an AWS-owned key, the default since 2026, StorageEncrypted says false.
    "sse-rds": {"StorageEncryptionType": "sse-rds", "StorageEncrypted": False},
    "sse-kms": {"StorageEncryptionType": "sse-kms", "StorageEncrypted": True, "KmsKeyId": FOREIGN_KEY},
}
BEFORE_2026: dict[str, dict[str, Any]] = {
    "none": {"StorageEncryptionType": None, "StorageEncrypted": False},
    "sse-kms": {"StorageEncryptionType": None, "StorageEncrypted": True, "KmsKeyId": FOREIGN_KEY},
}


@pytest.mark.parametrize(
    ("encryption", "described"), [*ENCRYPTIONS.items(), *BEFORE_2026.items()], ids=lambda value: str(value)[:40]
)
def test_each_kind_of_encryption_is_understood(rds: FakeRds, encryption: str, described: dict[str, Any]) -> None:
    rds.add_snapshot("tuesday", **described)
    plan = plan_of()
    assert plan.snapshot.encryption == encryption
    assert plan.snapshot.kms_key_id == described.get("KmsKeyId")


def test_a_snapshot_under_a_customer_key_is_copied_under_a_key_of_the_target_region(source_rds: FakeRds) -> None:
    source_rds.add_snapshot("tuesday", **ENCRYPTIONS["sse-kms"])
    plan = plan_of(source_region=SOURCE_REGION, kms_key_id=KEY)
    assert plan.copy is not None
    assert plan.copy.final.kms_key_id == KEY
    assert plan.cluster.kms_key_id == KEY


@pytest.mark.parametrize("encryption", ["none", "sse-rds"])
def test_a_snapshot_without_a_customer_key_is_copied_without_one_and_encrypted_at_the_restore(
    source_rds: FakeRds, encryption: str
) -> None:
    source_rds.add_snapshot("tuesday", **ENCRYPTIONS[encryption])
    plan = plan_of(source_region=SOURCE_REGION, kms_key_id=KEY)
    assert plan.copy is not None
    assert plan.copy.final.kms_key_id is None
    assert plan.cluster.kms_key_id == KEY


def test_an_encrypted_snapshot_of_another_region_without_a_key_is_refused(source_rds: FakeRds) -> None:
    source_rds.add_snapshot("tuesday", **ENCRYPTIONS["sse-kms"])
    message = refusal_of(source_region=SOURCE_REGION)
    assert message.startswith("kms_key_id: missing. 'tuesday' is encrypted with a key of us-west-2")
    assert "Give a key of us-east-1 for the copy, or set the stack's KmsKeyId" in message


def test_a_key_of_another_region_is_refused(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    message = refusal_of(kms_key_id=FOREIGN_KEY)
    assert message.startswith(f"kms_key_id: {FOREIGN_KEY!r} is a key of us-west-2; the new cluster is in us-east-1")


def test_within_a_region_an_encrypted_snapshot_needs_no_key(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday", **ENCRYPTIONS["sse-kms"])
    assert plan_of().cluster.kms_key_id is None


# The target


def test_the_date_in_the_targets_name_is_the_start_in_utc(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    assert plan_of(target_cluster_id="Drill-{date}").target_cluster_id == "drill-20260310"


def test_rule_4_an_existing_cluster_is_never_overwritten_or_adopted(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    rds.add_cluster("staging-orders", TagList=[{"Key": "aurora-restore:operation-id", "Value": "another"}])
    message = refusal_of()
    assert message.startswith("target_cluster_id: a cluster 'staging-orders' exists in us-east-1")
    assert "It was left alone. Choose another name, or give replace_target to replace it, or delete that" in message


def test_rule_4_a_cluster_of_an_earlier_operation_of_the_same_name_is_never_adopted(rds: FakeRds) -> None:
    """An execution's name is free again after 90 days; the cluster with its tag holds the data of then."""
    rds.add_snapshot("tuesday")
    rds.add_cluster("staging-orders", TagList=OWN_TAGS)
    assert refusal_of().startswith("target_cluster_id: a cluster 'staging-orders' exists in us-east-1")
    del rds.clusters["staging-orders"]
    name = instance_name("staging-orders", 1, OPERATION)
    rds.add_instance(name, "staging-orders", TagList=OWN_TAGS)
    assert refusal_of().startswith(f"target_cluster_id: an instance {name!r} exists in us-east-1")


def test_rule_4_a_copy_of_an_earlier_operation_of_the_same_name_is_never_restored(
    rds: FakeRds, source_rds: FakeRds
) -> None:
    source_rds.add_snapshot("tuesday")
    plan = plan_of(source_region=SOURCE_REGION)
    assert plan.copy is not None
    rds.add_snapshot(plan.copy.identifier, hours_old=2400, TagList=OWN_TAGS)
    message = refusal_of(source_region=SOURCE_REGION)
    assert message.startswith(f"operation_id: {OPERATION!r} was used before: its snapshot {plan.copy.identifier!r}")
    assert "Start the execution under another name" in message


def test_a_final_snapshot_whose_name_is_taken_is_found_before_anything_is_deleted(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    rds.add_cluster("prod-orders")
    asked = {"delete_source": True, "confirm_delete_source": "prod-orders"}
    deletion = plan_of(**asked).source_deletion
    assert deletion is not None
    assert deletion.final_snapshot_identifier is not None
    rds.add_snapshot(deletion.final_snapshot_identifier, cluster="another")
    assert f"its snapshot {deletion.final_snapshot_identifier!r} exists in us-east-1" in refusal_of(**asked)
    assert plan_of(**asked, final_snapshot=False).delete_source


@pytest.mark.parametrize(
    "name", ["staging-orders", *(instance_name("staging-orders", number, OPERATION) for number in (1, 3))]
)
def test_a_foreign_instance_of_a_name_that_the_cluster_needs_is_an_obstacle(rds: FakeRds, name: str) -> None:
    rds.add_snapshot("tuesday")
    rds.add_instance(name, "another-cluster")
    message = refusal_of(instance_count=3)
    assert message.startswith(f"target_cluster_id: an instance {name!r} exists in us-east-1")


def test_an_instance_of_a_name_that_nobody_needs_is_no_obstacle(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    rds.add_instance(instance_name("staging-orders", 4, OPERATION), "another-cluster")
    assert len(plan_of(instance_count=3).cluster.instances) == 3
    rds.add_instance(instance_name("staging-orders", 2, OPERATION), "another-cluster")
    assert len(plan_of().cluster.instances) == 1


@pytest.mark.parametrize("name", ["prod-orders", "Prod-Orders"])
def test_source_and_target_may_not_be_one(rds: FakeRds, name: str) -> None:
    rds.add_snapshot("tuesday")
    rds.add_cluster("prod-orders")
    message = refusal_of(target_cluster_id=name)
    assert message.startswith("target_cluster_id: 'prod-orders' is the source cluster itself.")
    assert "Choose another name" in message


def test_in_another_region_the_target_may_bear_the_sources_name(source_rds: FakeRds) -> None:
    source_rds.add_snapshot("tuesday")
    source_rds.add_cluster("prod-orders")
    plan = plan_of(source_region=SOURCE_REGION, target_cluster_id="prod-orders")
    assert plan.target_cluster_id == "prod-orders"


# Rule 8: settings are explicit


def test_rule_8_what_the_request_leaves_open_comes_from_the_snapshot_and_not_from_rdss_defaults(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday", EngineVersion="15.10", Port=6543, StorageType="aurora-iopt1", MasterUsername="boss")
    plan = plan_of()
    cluster = plan.cluster
    assert cluster.engine_version == "15.10"
    assert cluster.port == 6543
    assert cluster.storage_type == "aurora-iopt1"
    assert plan.snapshot.master_username == "boss"
    assert cluster.db_cluster_parameter_group_name == "default.aurora-postgresql15"
    assert cluster.db_parameter_group_name == "default.aurora-postgresql15"
    assert cluster.vpc_security_group_ids == ["sg-0123456789abcdef0"]
    assert cluster.db_subnet_group_name == "databases"
    assert cluster.backup_retention_days == 1


def test_rule_8_the_default_parameter_groups_follow_the_version_that_is_restored(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday", EngineVersion="15.10")
    assert plan_of(engine_version="17.5").cluster.db_parameter_group_name == "default.aurora-postgresql17"


@pytest.mark.parametrize("field", ["db_subnet_group_name", "vpc_security_group_ids", "db_instance_class"])
def test_rule_8_a_setting_without_a_sensible_default_must_be_given(rds: FakeRds, field: str) -> None:
    rds.add_snapshot("tuesday")
    stack = {name: value for name, value in DEFAULTS.items() if name != field}
    with pytest.raises(RequestRefused, match=f"^{field}: missing. RDS's own default is never used"):
        plan_restore(
            read_request({}, stack), OPERATION, an_execution(), Source(ACCOUNT, REGION), Aurora(REGION), LIMITS
        )


def test_what_the_request_says_is_what_is_planned(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    plan = plan_of(
        instance_count=3,
        db_instance_class="db.r6g.xlarge",
        port=6543,
        deletion_protection=True,
        backup_retention_days=7,
        iam_database_authentication=True,
        archive_snapshot="keep",
        on_failure="keep",
    )
    cluster = plan.cluster
    assert [each.db_instance_class for each in cluster.instances] == ["db.r6g.xlarge"] * 3
    assert cluster.port == 6543
    assert cluster.deletion_protection is True
    assert cluster.iam_database_authentication is True
    assert cluster.backup_retention_days == 7
    assert (plan.archive_snapshot, plan.on_failure) == ("keep", "keep")


def test_where_nothing_is_said_one_unprotected_instance_is_made_and_everything_of_ours_taken_away_again(
    rds: FakeRds,
) -> None:
    rds.add_snapshot("tuesday")
    plan = plan_of()
    assert [each.db_instance_class for each in plan.cluster.instances] == ["db.r6g.large"]
    assert plan.cluster.deletion_protection is False
    assert plan.cluster.iam_database_authentication is False
    assert (plan.archive_snapshot, plan.on_failure) == ("delete", "clean_up")


def test_a_tag_of_the_request_cant_take_the_place_of_ours(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    plan = plan_of(tags={"team": "orders"})
    assert plan.cluster.tags == {"team": "orders", f"{OWN_TAG_PREFIX}operation-id": OPERATION}


# Deletion: rule 3


@pytest.fixture
def production(rds: FakeRds) -> dict[str, Any]:
    rds.add_snapshot("tuesday")
    return rds.add_cluster("prod-orders")


def test_rule_3_a_deletion_asked_for_twice_is_planned_by_resource_id_and_with_a_final_snapshot(
    production: dict[str, Any],
) -> None:
    plan = plan_of(delete_source=True, confirm_delete_source="prod-orders")
    assert plan.delete_source
    assert plan.source_deletion is not None
    assert plan.source_deletion.cluster_identifier == "prod-orders"
    assert plan.source_deletion.cluster_resource_id == production["DbClusterResourceId"]
    assert plan.source_deletion.region == REGION
    assert (plan.source_deletion.final_snapshot_identifier or "").startswith("prod-orders-final-")


def test_rule_3_only_an_explicit_no_drops_the_final_snapshot(production: dict[str, Any]) -> None:
    plan = plan_of(delete_source=True, confirm_delete_source="prod-orders", final_snapshot=False)
    assert plan.source_deletion is not None
    assert plan.source_deletion.final_snapshot_identifier is None


@pytest.mark.parametrize("confirmation", ["Prod-Orders", "prod-order", "staging-orders", "yes", ""])
def test_rule_3_a_confirmation_must_be_the_sources_name_exactly(production: dict[str, Any], confirmation: str) -> None:
    message = refusal_of(delete_source=True, confirm_delete_source=confirmation)
    assert message.startswith(f"confirm_delete_source: {confirmation!r} is not the source cluster's name (prod-orders)")
    assert "else drop delete_source" in message


def test_a_source_that_is_gone_cant_be_deleted(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday")
    message = refusal_of(delete_source=True, confirm_delete_source="prod-orders")
    assert message.startswith("delete_source: the source cluster 'prod-orders' no longer exists")


def test_a_source_isnt_deleted_for_the_sake_of_an_earlier_cluster_of_its_name(
    rds: FakeRds, production: dict[str, Any]
) -> None:
    asked = {"delete_source": True, "confirm_delete_source": "prod-orders"}
    rds.snapshots["tuesday"]["DbClusterResourceId"] = "cluster-EARLIER"
    message = refusal_of(snapshot_identifier="tuesday", **asked)
    assert message.startswith("delete_source: 'tuesday' is not of today's 'prod-orders'")
    assert "another cluster of that name (cluster-EARLIER)" in message
    rds.snapshots["tuesday"]["DbClusterResourceId"] = production["DbClusterResourceId"]
    assert plan_of(**asked).delete_source
    del rds.snapshots["tuesday"]["DbClusterResourceId"]  # as a copy's description
    assert plan_of(snapshot_identifier="tuesday", **asked).delete_source
    rds.snapshots["tuesday"]["ClusterCreateTime"] = dt.datetime(2024, 5, 6, 7, 8, tzinfo=dt.UTC)
    message = refusal_of(snapshot_identifier="tuesday", **asked)
    assert (
        "but of another cluster of that name (created 2024-05-06 07:08 UTC), so the restored cluster would" in message
    )
    assert "would not have today's data. Drop delete_source." in message


def test_deletion_protection_is_switched_off_only_when_that_is_asked_for(production: dict[str, Any]) -> None:
    asked = {"delete_source": True, "confirm_delete_source": "prod-orders", "override_deletion_protection": True}
    deletion = plan_of(**asked).source_deletion
    assert deletion is not None
    assert deletion.switches_protection_off is False, "there is none to switch off"
    production["DeletionProtection"] = True
    deletion = plan_of(**asked).source_deletion
    assert deletion is not None
    assert deletion.switches_protection_off is True


def test_rule_2_the_automated_snapshot_that_is_restored_isnt_deleted_with_the_others(
    rds: FakeRds, production: dict[str, Any]
) -> None:
    rds.add_snapshot("manual")
    asked = {"delete_source": True, "confirm_delete_source": "prod-orders", "delete_automated_backups": True}
    deletion = plan_of(**asked).source_deletion
    assert deletion is not None
    assert deletion.delete_automated_backups is True
    rds.add_snapshot("rds:prod-orders-newest", hours_old=0.1)
    message = refusal_of(**asked)
    assert message.startswith(
        "delete_automated_backups: the snapshot that is restored, 'rds:prod-orders-newest', is one"
    )


@pytest.mark.parametrize("name", ["delete_automated_backups", "override_deletion_protection"])
def test_what_belongs_to_a_deletion_without_one_is_refused(name: str) -> None:
    assert refusal_of(**{name: True}).startswith(f"{name}: True is given, but delete_source is not true")


def test_deletion_protection_is_never_switched_off_otherwise(production: dict[str, Any]) -> None:
    production["DeletionProtection"] = True
    message = refusal_of(delete_source=True, confirm_delete_source="prod-orders")
    assert message.startswith("delete_source: 'prod-orders' has deletion protection")
    assert "aws rds modify-db-cluster --db-cluster-identifier prod-orders --no-deletion-protection" in message
    assert message.endswith(f"--region {REGION}"), "in another region, the name may be another cluster's"


def test_a_source_that_isnt_available_is_not_deleted(production: dict[str, Any]) -> None:
    production["Status"] = "stopped"
    assert "delete_source: 'prod-orders' is stopped" in refusal_of(
        delete_source=True, confirm_delete_source="prod-orders"
    )


def test_all_that_keeps_a_source_is_reported_together(production: dict[str, Any]) -> None:
    production |= {"DeletionProtection": True, "Status": "stopped", "GlobalClusterIdentifier": "worldwide"}
    message = refusal_of(delete_source=True, confirm_delete_source="prod-orders")
    for why in ("has deletion protection", "is stopped", "belongs to the global database worldwide"):
        assert f"delete_source: 'prod-orders' {why}" in message


def test_all_that_is_wrong_is_reported_together(rds: FakeRds) -> None:
    rds.add_snapshot("tuesday", hours_old=50, Status="copying")
    rds.add_cluster("staging-orders")
    lines = refusal_of(
        snapshot_identifier="tuesday",
        max_snapshot_age_hours=1,
        kms_key_id=FOREIGN_KEY,
        delete_source=True,
        confirm_delete_source="staging-orders",
    ).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "snapshot_identifier",
        "max_snapshot_age_hours",
        "target_cluster_id",
        "kms_key_id",
        "confirm_delete_source",
        "delete_source",
    ]


names = st.sampled_from(["prod-orders"] * 3 + ["prod-billing", "staging-orders", "Prod-Orders", "copy-of-prod", "yes"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "delete_source": st.sampled_from([True, False, None]),
            "confirm_delete_source": names,
            "source_cluster_id": names,
            "target_cluster_id": names,
            "source_region": st.sampled_from([REGION, SOURCE_REGION]),
            "snapshot_identifier": st.sampled_from(["tuesday", "billing", "rds:prod-orders"]),
            "snapshot_date": st.sampled_from([f"{NOW:%Y-%m-%d}"]),
            "final_snapshot": st.booleans(),
            "archive_snapshot": st.sampled_from(["delete", "keep"]),
            "dry_run": st.booleans(),
        },
    )
)
def test_rule_1_no_request_leads_to_the_deletion_of_anything_that_it_didnt_name_twice(
    rds: FakeRds, source_rds: FakeRds, raw: dict[str, Any]
) -> None:
    for region in (rds, source_rds):
        region.add_snapshot("tuesday")
        region.add_snapshot("rds:prod-orders")
        region.add_snapshot("billing", cluster="prod-billing")
        for cluster in ("prod-orders", "prod-billing", "copy-of-prod"):
            region.add_cluster(cluster)
    try:
        plan = plan_of(**raw)
    except RequestRefused:
        return
    if plan.source_deletion is None:
        assert not plan.delete_source
        return
    deleted = plan.source_deletion.cluster_identifier
    assert raw["delete_source"] is True
    assert raw["confirm_delete_source"] == deleted == plan.snapshot.cluster_identifier
    assert (deleted, plan.source_deletion.region) != (plan.target_cluster_id, REGION)
    assert plan.source_deletion.final_snapshot_identifier or raw["final_snapshot"] is False


@pytest.mark.parametrize("region", ["us-east-11", "cn-north-1"])
def test_a_region_that_cant_be_reached_is_refused_before_it_is_called(region: str) -> None:
    assert f"source_region: RDS has no region '{region}'" in refusal_of(source_region=region)


# Without a snapshot, all else that can be known is told with it


def test_what_is_wrong_whichever_snapshot_is_meant_is_told_at_once(rds: FakeRds) -> None:
    rds.add_cluster("staging-orders")
    lines = refusal_of(
        snapshot_identifier="wednesday",
        target_cluster_id="staging-orders",
        db_subnet_group_name="databses",
        db_cluster_parameter_group_name="our-group",
        kms_key_id="alias/no-such-key",
        engine_version="17.99",
    ).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "snapshot_identifier",
        "target_cluster_id",
        "db_subnet_group_name",
        "db_cluster_parameter_group_name",
        "engine_version",
        "kms_key_id",
    ]


def test_a_version_that_the_request_names_is_asked_for_its_classes(rds: FakeRds) -> None:
    message = refusal_of(snapshot_identifier="wednesday", engine_version="16.4", db_instance_class="db.r5.tiny")
    assert [line.split(":")[0] for line in message.splitlines()] == ["snapshot_identifier", "db_instance_class"]
    message = refusal_of(snapshot_identifier="wednesday", engine_version="16.4")
    assert [line.split(":")[0] for line in message.splitlines()] == ["snapshot_identifier"]


def test_where_an_export_would_go_is_looked_at_too(rds: FakeRds) -> None:
    message = refusal_of(snapshot_identifier="wednesday", archive_snapshot="export")
    assert [line.split(":")[0] for line in message.splitlines()] == ["snapshot_identifier", "archive_snapshot"]


def test_what_the_source_would_have_said_is_nobodys_mistake(rds: FakeRds) -> None:
    message = refusal_of(source_cluster_id="prod-ordres", db_instance_class=None, like_source=True)
    assert [line.split(":")[0] for line in message.splitlines()] == ["source_cluster_id"]


def test_a_region_that_isnt_there_is_told_with_the_rest(rds: FakeRds) -> None:
    message = refusal_of(source_region="us-east-11", db_subnet_group_name="databses")
    assert [line.split(":")[0] for line in message.splitlines()] == ["source_region", "db_subnet_group_name"]


def test_no_snapshot_leaves_or_reaches_a_region_in_china() -> None:
    execution = EXECUTION.replace("arn:aws:", "arn:aws-cn:").replace(REGION, "cn-north-1")
    begun = an_execution(execution_id=execution)
    request = read_request({"source_region": "cn-northwest-1"}, DEFAULTS)
    (told,) = place_problems(request, Source(ACCOUNT, "cn-northwest-1"), begun)
    assert told.startswith("source_region: 'cn-northwest-1' is not cn-north-1")
    assert list(place_problems(read_request({}, DEFAULTS), Source(ACCOUNT, "cn-north-1"), begun)) == []
