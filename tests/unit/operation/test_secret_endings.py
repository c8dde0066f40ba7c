"""What becomes of an operation's secrets at its end: no label stays on the login of a cluster that is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError
from msgspec.structs import replace

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import (
    ADMIN_SECRET,
    EXECUTION,
    NOW,
    OPERATION,
    OTHER_EXECUTION,
    OWN_TAGS,
    REGION,
    SOURCE,
    TARGET,
    a_deletion,
    a_plan,
    lost_answer,
)
from utils.aurora_utils.resources import OPERATION_TAG
from utils.aws import client
from utils.contracts.plan import MaskingPlan, Plan, TargetSecrets
from utils.logins.master import AdminSecret
from utils.logins.target_secrets import make_secrets
from utils.names import fingerprint
from utils.operation.secret_endings import settle_secrets
from utils.state.lock import TargetLock
from utils.state.operation import NO_CLUSTER, OperationRecord, OperationState
from utils.state.unseen import APART
from utils.state.values import iso

pytestmark = pytest.mark.usefixtures("account", "rds")

DRILL = "drill-orders"
NAMES = TargetSecrets(
    admin=f"aurora-restore/targets/{DRILL}/admin", application=f"aurora-restore/targets/{DRILL}/application"
)
ASKED = "2026-03-10T02:50:00.000Z"
MINE, EARLIER = "cluster-C0FFEE", "cluster-EARLIER"
OURS, BEFORE = AdminSecret.version_for(MINE), AdminSecret.version_for(EARLIER)
A_DRILL = a_plan(target_cluster_id=DRILL, target_secrets=NAMES)


def opened(plan: Plan) -> OperationState:
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, plan, "running")
    make_secrets(plan, state)
    return state


def record() -> OperationRecord:
    found = OperationState(OPERATION, EXECUTION, NOW).recall()
    assert found is not None
    return found


def settle(*, failed: bool = True) -> list[str]:
    found = record()
    lock = TargetLock(found.plan["target_cluster_id"], OPERATION, EXECUTION)
    return settle_secrets(found, OperationState(OPERATION, EXECUTION, NOW), lock, ended=failed)


def exists(name: str | None) -> bool:
    return name in {each["Name"] for each in client("secretsmanager").list_secrets()["SecretList"]}


def labels(name: str = ADMIN_SECRET) -> dict[str, str]:
    stages = client("secretsmanager").describe_secret(SecretId=name).get("VersionIdsToStages", {})
    return {label: version for version, attached in stages.items() for label in attached}


def promoted(state: OperationState, *versions: str, secret: str = ADMIN_SECRET) -> None:
    """Earlier runs' logins, and the operation's own as the last, as its steps store and promote it."""
    admin = AdminSecret(secret)
    for version in versions:
        admin.stage(version, "postgres", "host", 5432, TARGET)
        state.remember(staged_version_id=version, labels_before={}, password_version_id=version)
        admin.promote(version, lambda labels: state.remember(labels_before=dict(labels)))


def a_cluster(rds: FakeRds, name: str = TARGET, resource_id: str = MINE, **changes: Any) -> None:
    rds.add_cluster(name, **{"DbClusterResourceId": resource_id, "TagList": OWN_TAGS} | changes)


# The stack's own secret


def test_all_labels_go_back_to_where_they_were(rds: FakeRds) -> None:
    state = opened(a_plan())
    promoted(state, BEFORE)
    before = labels()
    promoted(state, OURS)
    assert labels() == {"AWSCURRENT": OURS, "AWSPREVIOUS": BEFORE}
    state.remember(**NO_CLUSTER)  # as the end of a clean-up does
    a_cluster(rds, "staging-yesterday", EARLIER, TagList=[])
    said = settle()
    assert labels() == before
    assert said == [
        f"The current version of secret {ADMIN_SECRET} is again the one from before this operation, the login of "
        "cluster staging-yesterday."
    ]
    assert settle() == said, "a second attempt finds it done and says the same"


def test_where_the_earlier_login_is_of_no_cluster_either_that_is_said() -> None:
    state = opened(a_plan())
    promoted(state, BEFORE, OURS)
    assert settle()[0].endswith("of a cluster that does not exist either, or of none: it opens nothing.")


def test_a_pending_label_is_taken_off_also_where_the_step_died_before_it_wrote_the_version_down() -> None:
    state = opened(a_plan())
    before = labels()
    state.remember(staged_version_id=OURS)
    AdminSecret(ADMIN_SECRET).stage(OURS, "postgres", "host", 5432, TARGET)
    assert settle() == []
    assert labels() == before


@pytest.mark.parametrize("call", [1, 2])
def test_rule_5_an_attempt_that_died_half_way_is_completed(call: int) -> None:
    state = opened(a_plan())
    promoted(state, BEFORE)
    before = labels()
    promoted(state, OURS)
    secrets = client("secretsmanager")
    if call == 2:
        secrets.update_secret_version_stage(
            SecretId=ADMIN_SECRET, VersionStage="AWSCURRENT", RemoveFromVersionId=OURS, MoveToVersionId=BEFORE
        )
    with lost_answer(secrets, "secrets-manager", "UpdateSecretVersionStage"):
        (problem, *commands) = settle()
    assert problem.startswith("Not all secrets of the operation were cleaned up: ")
    assert f"--remove-from-version-id {OURS} --move-to-version-id {BEFORE} --region us-east-1" in commands[-1]
    settle()
    assert labels() == before


def test_a_label_that_another_run_has_moved_since_is_that_runs() -> None:
    state = opened(a_plan())
    promoted(state, BEFORE, OURS)
    later = AdminSecret.version_for("cluster-LATER")
    admin = AdminSecret(ADMIN_SECRET)
    admin.stage(later, "postgres", "host", 5432, TARGET)
    admin.promote(later)
    settle()
    assert labels()["AWSCURRENT"] == later


@pytest.mark.parametrize("status", ["available", "modifying"])
def test_the_login_of_a_cluster_that_is_kept_stays(status: str, rds: FakeRds) -> None:
    state = opened(a_plan())
    promoted(state, BEFORE, OURS)
    a_cluster(rds, Status=status)
    state.remember(cluster_resource_id=MINE)
    before = labels()
    assert settle() == []
    assert labels() == before


def test_a_cluster_that_is_kept_under_another_name_is_kept(rds: FakeRds) -> None:
    state = opened(a_plan())
    promoted(state, BEFORE, OURS)
    a_cluster(rds, "renamed-since")
    state.remember(cluster_resource_id=MINE)
    settle()
    assert labels()["AWSCURRENT"] == OURS


def test_a_cluster_that_rds_is_deleting_is_gone(rds: FakeRds) -> None:
    """The clean-up of a run that was stopped goes on in RDS."""
    state = opened(a_plan())
    promoted(state, BEFORE, OURS)
    a_cluster(rds, Status="deleting")
    state.remember(cluster_resource_id=MINE)
    settle()
    assert labels()["AWSCURRENT"] == BEFORE


# Secrets of a target


def test_what_the_operation_made_is_removed_and_forgotten() -> None:
    opened(A_DRILL)
    said = settle()
    assert said == [
        f"Deleted: the secrets that this operation had created for that cluster: {NAMES.admin}, {NAMES.application}."
    ]
    assert not exists(NAMES.admin)
    assert not exists(NAMES.application)
    assert record().admin_secret_arn is record().application_secret_arn is None
    assert settle() == said


def test_also_one_whose_arn_was_never_written_down() -> None:
    opened(A_DRILL).remember(admin_secret_arn=None, application_secret_arn=None)
    settle()
    assert not exists(NAMES.admin)
    assert not exists(NAMES.application)


def test_of_a_cluster_that_is_kept_they_stay_and_are_named(rds: FakeRds) -> None:
    opened(A_DRILL).remember(cluster_asked_at="2026-03-10T03:00:05.000Z")
    a_cluster(rds, DRILL)
    arns = f"{record().admin_secret_arn}, {record().application_secret_arn}"
    assert settle() == [f"The logins of the cluster are in {arns}."]
    assert exists(NAMES.admin)


@pytest.mark.parametrize("known", [MINE, None])
def test_where_one_look_misses_the_cluster_they_stay_with_the_commands_that_delete_them(known: str | None) -> None:
    """RDS may not show at this moment what exists: its logins would be gone for ever."""
    state = opened(A_DRILL)
    promoted(state, OURS, secret=str(record().admin_secret_arn))
    state.remember(cluster_resource_id=known, cluster_asked_at=ASKED)
    before = labels(NAMES.admin or "")
    said, _, *commands = settle()
    assert said == (
        f"RDS did not show cluster {DRILL} ({known or 'its resource id is not known'}). That one look did not show it "
        "does not prove that it is gone, so the secrets with its logins were not changed."
    )
    names = (NAMES.admin, NAMES.application)
    assert commands == [f"aws secretsmanager delete-secret --secret-id {name} --region {REGION}" for name in names]
    assert labels(NAMES.admin or "") == before


def test_the_label_of_the_stacks_own_secret_stays_on_the_login_of_a_cluster_that_one_look_misses() -> None:
    state = opened(a_plan())
    promoted(state, BEFORE, OURS)
    state.remember(cluster_resource_id=MINE, cluster_asked_at=ASKED)
    *_, command = settle()
    assert labels()["AWSCURRENT"] == OURS
    assert f"--remove-from-version-id {OURS} --move-to-version-id {BEFORE}" in command


def test_those_of_a_cluster_that_two_looks_miss_go() -> None:
    state = opened(A_DRILL)
    state.remember(cluster_resource_id=MINE, cluster_asked_at=ASKED, unseen={MINE: iso(NOW - APART)})
    settle()
    assert not exists(NAMES.admin)
    assert not exists(NAMES.application)


def test_those_of_an_earlier_operation_stay_and_their_labels_go_back() -> None:
    tags = {"application": "aurora-restore", OPERATION_TAG: "last-week", "aurora-restore:target": DRILL}
    client("secretsmanager").create_secret(
        Name=NAMES.admin or "", SecretString="{}", Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
    )
    state = opened(A_DRILL)
    before = labels(NAMES.admin or "")
    promoted(state, OURS, secret=NAMES.admin or "")
    settle()
    assert labels(NAMES.admin or "") == before
    assert not exists(NAMES.application), "which this operation made"


def test_a_foreign_secret_of_that_name_stays() -> None:
    state = opened(a_plan(target_cluster_id=DRILL))
    plan = json.loads(
        json.dumps({"target_cluster_id": DRILL, "target_secrets": {"admin": NAMES.admin, "application": None}})
    )
    client("secretsmanager").create_secret(Name=NAMES.admin or "", SecretString="x")
    state.remember(plan_item=None, own_secrets=None, plan=plan)
    settle()
    assert exists(NAMES.admin)


def test_nothing_is_touched_while_another_run_works_on_the_target() -> None:
    opened(A_DRILL)
    assert TargetLock(DRILL, "the-next", OTHER_EXECUTION).take(NOW) is None
    (said,) = settle()
    assert f"were not changed, because {OTHER_EXECUTION} is working on its target" in said
    assert exists(NAMES.admin)


def test_once_the_lock_was_given_back_the_commands_finish_it() -> None:
    """A first attempt could not, and died before it had told anybody."""
    opened(A_DRILL)
    lock = TargetLock(DRILL, OPERATION, EXECUTION)
    lock.take(NOW)
    lock.release(NOW)
    said, _, *commands = settle()
    assert said.endswith("were not changed, because its lock was released before.")
    assert [each.split()[2] for each in commands] == ["delete-secret", "delete-secret"]
    assert exists(NAMES.admin)


@contextmanager
def denied(connected: Any, name: str) -> Iterator[None]:
    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, name.rpartition(".")[2])

    connected.meta.events.register(f"before-call.{name}", refuse)
    try:
        yield
    finally:
        connected.meta.events.unregister(f"before-call.{name}", refuse)


@pytest.mark.parametrize("name", ["rds.DescribeDBClusters", "secrets-manager.DeleteSecret"])
def test_what_fails_is_said_with_the_commands_that_finish_it(name: str) -> None:
    opened(A_DRILL).remember(cluster_asked_at=None if name.startswith("secrets") else ASKED)
    with denied(client("rds", REGION) if name.startswith("rds") else client("secretsmanager"), name):
        problem, _, *commands = settle()
    assert f"{name.rpartition('.')[2]} is not allowed" in problem
    assert commands == [
        f"aws secretsmanager delete-secret --secret-id {name} --region us-east-1"
        for name in (NAMES.admin, NAMES.application)
    ]


def test_a_success_leaves_them_alone() -> None:
    opened(A_DRILL)
    assert settle(failed=False) == []
    assert exists(NAMES.admin)


# Of a source that was deleted


@pytest.fixture
def of_source() -> list[str]:
    names = [f"aurora-restore/targets/{SOURCE}/{kind}" for kind in ("admin", "application")]
    tags = {"application": "aurora-restore", OPERATION_TAG: "last-week", "aurora-restore:target": SOURCE}
    for name in names:
        client("secretsmanager").create_secret(
            Name=name, SecretString="{}", Tags=[{"Key": key, "Value": value} for key, value in tags.items()]
        )
    state = opened(a_plan(source_deletion=replace(a_deletion(), secrets=names)))
    state.remember(source_deletion_at="2026-03-10T03:00:00.000Z", source_gone_at="2026-03-10T03:00:00.000Z")
    return names


def deleted(name: str) -> bool:
    return "DeletedDate" in client("secretsmanager").describe_secret(SecretId=name)


@pytest.mark.parametrize("failed", [True, False])
def test_they_go_with_their_cluster_and_can_be_restored(failed: bool, of_source: list[str]) -> None:
    said = settle(failed=failed)
    assert all(map(deleted, of_source))
    for name, line in zip(of_source, said, strict=True):
        assert line.startswith(f"Secret {name} is deleted with its cluster {SOURCE}. It can be kept within 30 days: ")
    assert settle(failed=failed) == said
    assert TargetLock(SOURCE, "the-next", OTHER_EXECUTION).take(NOW) is None, "the name is free"


def test_where_one_look_misses_the_source_they_stay_with_the_commands_that_delete_them(of_source: list[str]) -> None:
    OperationState(OPERATION, EXECUTION, NOW).remember(source_gone_at=None)
    said, *commands = settle()
    assert said.endswith("one look does not prove that it is gone. Once it is, delete them:")
    assert commands == [f"aws secretsmanager delete-secret --secret-id {name} --region {REGION}" for name in of_source]
    assert not any(map(deleted, of_source))


def test_while_the_source_is_there_they_stay(rds: FakeRds, of_source: list[str]) -> None:
    a_cluster(rds, SOURCE, "cluster-PROD", TagList=[])
    assert settle(failed=False) == []
    assert not any(map(deleted, of_source))


def test_a_new_cluster_of_that_name_keeps_them(rds: FakeRds, of_source: list[str]) -> None:
    a_cluster(rds, SOURCE, "cluster-ANOTHER", TagList=[])
    (said,) = settle(failed=False)
    assert "there is a new cluster of that name" in said
    assert not any(map(deleted, of_source))
    assert TargetLock(SOURCE, "the-next", OTHER_EXECUTION).take(NOW) is None


def test_so_does_a_run_for_one(of_source: list[str]) -> None:
    assert TargetLock(SOURCE, "the-next", OTHER_EXECUTION).take(NOW) is None
    (said,) = settle(failed=False)
    assert "an execution is working on a new cluster of that name" in said
    assert not any(map(deleted, of_source))


def test_one_that_isnt_this_stacks_any_more_stays(of_source: list[str]) -> None:
    client("secretsmanager").untag_resource(SecretId=of_source[0], TagKeys=["application"])
    settle(failed=False)
    assert [deleted(name) for name in of_source] == [False, True]


# The salt of a masking

MASKING = MaskingPlan(policy="staging", bucket="policies", key="staging.yaml", version_id="3HL4", sha256="0" * 64)
SALT = f"aurora-restore/masking/{fingerprint(OPERATION)}"
MASKED = a_plan(masking=MASKING)


def test_the_salt_goes_with_the_cluster_that_was_cleaned_up() -> None:
    state = opened(MASKED)
    assert exists(SALT)
    state.remember(**NO_CLUSTER)
    assert settle() == [f"Deleted: the salt of the masking, {SALT}."]
    assert not exists(SALT)
    assert record().salt_secret_arn is None
    assert settle() == []


def test_the_salt_goes_also_where_an_attempt_died_before_it_could_record_it() -> None:
    opened(MASKED).remember(salt_secret_arn=None)
    settle()
    assert not exists(SALT)


def test_the_salt_of_a_kept_cluster_stays_with_the_command_that_deletes_it(rds: FakeRds) -> None:
    opened(MASKED).remember(cluster_resource_id=MINE)
    a_cluster(rds)
    said = settle()
    assert exists(SALT)
    assert (
        said[0] == f"The salt of the masking stays in {SALT}, for a resume. If you delete the cluster, delete it too:"
    )
    assert said[1] == (
        f"aws secretsmanager delete-secret --secret-id {SALT} --force-delete-without-recovery --region {REGION}"
    )


def test_the_salt_of_a_cluster_that_is_masked_goes_whatever_failed_afterwards(rds: FakeRds) -> None:
    opened(MASKED).remember(cluster_resource_id=MINE, masked_at="2026-03-10T03:49:00.000Z")
    a_cluster(rds)
    settle()
    assert not exists(SALT)


def test_a_secret_of_that_name_that_is_another_operations_stays() -> None:
    state = opened(a_plan())
    tags: list[Any] = [{"Key": OPERATION_TAG, "Value": "another"}, {"Key": "aurora-restore:target", "Value": TARGET}]
    client("secretsmanager").create_secret(Name=SALT, SecretString="theirs", Tags=tags)
    state.open("snapshot-check", {}, MASKED, "running")
    assert settle() == []
    assert exists(SALT)


def test_a_resumed_operation_that_is_masked_gets_no_salt_again() -> None:
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, MASKED, "running")
    make_secrets(MASKED, state, is_masked=True)
    assert not exists(SALT)


def test_a_repeated_first_step_keeps_the_salt_that_it_made() -> None:
    state = opened(MASKED)
    before = client("secretsmanager").get_secret_value(SecretId=SALT)["SecretString"]
    make_secrets(MASKED, state)
    assert client("secretsmanager").get_secret_value(SecretId=SALT)["SecretString"] == before
    assert len(before) == 64
    assert before.isalnum()
