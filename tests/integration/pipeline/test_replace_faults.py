"""A replacement on bad nights: each fault ends as promised, and no row that a client was promised is lost.

F: the new cluster has the name and is open. K: the old one has it, and is open. One target is replaced night after
night: each begins with the cluster that the one before has left.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local_aws.aurora.records import Resource
from scripts.local_aws.server import LocalAws
from scripts.local_run.client import Client
from scripts.local_run.production import Production
from scripts.local_run.stage import Stage
from tests.integration.pipeline.reader import commands
from tests.integration.pipeline.refreshing import (
    MODIFY,
    Refreshing,
    deployed,
    meeting,
    meetings,
    operation_of,
    tags_of,
)
from tests.integration.pipeline.support import Run, settle, until
from utils.logins.master import AdminSecret
from utils.names import name_for

pytestmark = pytest.mark.series

PREFIX, TARGET = "faulty", "faulty-orders"
RENAMED_AWAY = {"DBClusterIdentifier": TARGET, "NewDBClusterIdentifier": f"{TARGET}-old-*"}
RENAMED_IN = {"DBClusterIdentifier": f"{TARGET}-new-*", "NewDBClusterIdentifier": TARGET}
RENAMED_BACK = {"DBClusterIdentifier": f"{TARGET}-old-*", "NewDBClusterIdentifier": TARGET}
# The first call on the old cluster, which is to shut its door.
FENCED = {"DBClusterIdentifier": TARGET, "VpcSecurityGroupIds": "*"}
Rule = dict[str, Any]


@pytest.fixture(scope="module")
def place(aws: LocalAws) -> Iterator[Stage]:
    with deployed(aws, PREFIX, TargetClusterId=TARGET, InstanceCount="2") as made:
        yield made


@pytest.fixture(scope="module")
def target(place: Stage, production: Production) -> Refreshing:
    made = Refreshing(place, TARGET)
    first = made.night()
    assert first.status == "SUCCEEDED", first.reason
    return made


@pytest.fixture
def nights(target: Refreshing, kept: set[Resource]) -> Iterator[Refreshing]:
    """The target with one cluster alone, whatever the last night has left."""
    if target.pipeline.cluster(TARGET) is None:
        first = target.night()
        assert first.status == "SUCCEEDED", first.reason
    # A night that ended with the old cluster, or took hours, has brought its windows near.
    target.pipeline.rds().modify_db_cluster(
        DBClusterIdentifier=TARGET,
        **target.windows(),
        ApplyImmediately=True,
    )
    settle(target.pipeline)
    yield target
    target.aws.faults.clear()
    settle(target.pipeline)
    for each in target.ours():
        if each["DBClusterIdentifier"] != TARGET:
            target.pipeline.remove(each["DBClusterIdentifier"])
    kept |= target.aws.aurora.existing()


def assert_ends(nights: Refreshing, old: dict[str, Any], run: Run, client: Client, end: str) -> None:
    """What a client was promised is in exactly one cluster, and the live name leads where it should."""
    live = nights.live()
    assert run.status == ("SUCCEEDED" if end == "F" else "FAILED"), run.reason
    assert (live["DbClusterResourceId"] == old["DbClusterResourceId"]) == (end == "K"), run.reason
    assert not nights.door_is_shut(live)
    assert all(nights.door_is_shut(each) for each in nights.ours() if each["DBClusterIdentifier"] != TARGET)
    kept = nights.by_id(old["DbClusterResourceId"])
    in_live = nights.rows_in(TARGET)
    in_old = nights.rows_in(kept["DBClusterIdentifier"]) if kept is not None and end == "F" else set()
    fenced_at = nights.fenced_at(run) if end == "F" else None
    for row in client.acknowledged:
        if kept is None and fenced_at is not None and row.sent_at < fenced_at:
            continue  # It went with the cluster that somebody has deleted.
        assert (row.key in in_live) != (row.key in in_old), row
    assert client.acknowledged[-1].key in in_live
    assert client.rows[-1].acknowledged_at is not None, client.rows[-1]
    if fenced_at is not None:
        late = {row.key for row in client.rows if row.sent_at > fenced_at}
        assert not late & in_old, "somebody has written to the old cluster behind its fence"


def a_night(nights: Refreshing, end: str, *rules: Rule, name: str | None = None) -> Run:
    old = nights.live()
    for rule in rules:
        nights.aws.faults.add(**rule)
    with nights.client(pooled=False) as fresh, nights.client() as pooled:
        run = nights.night(name)
        nights.aws.clock.sleep(60)
        for client in (fresh, pooled):
            until(lambda: client.acknowledged, "that a row is acknowledged")  # noqa: B023 called at once
            settled = len(client.rows)
            until(lambda: len(client.rows) > settled + 3, "that the client has tried again")  # noqa: B023
    for client in (fresh, pooled):
        assert_ends(nights, old, run, client, end)
    return run


def set_a_new_password(nights: Refreshing, cluster: dict[str, Any]) -> None:
    nights.pipeline.rds().modify_db_cluster(
        DBClusterIdentifier=cluster["DBClusterIdentifier"],
        MasterUserPassword="somebody-has-set-it-1",
        ApplyImmediately=True,
    )


def reboot(nights: Refreshing, cluster: dict[str, Any]) -> None:
    for member in cluster["DBClusterMembers"]:
        nights.pipeline.rds().reboot_db_instance(DBInstanceIdentifier=member["DBInstanceIdentifier"])


def reader_of(cluster: dict[str, Any]) -> str:
    (found,) = [each["DBInstanceIdentifier"] for each in cluster["DBClusterMembers"] if not each["IsClusterWriter"]]
    return str(found)


def a_stranger(nights: Refreshing, name: str) -> None:
    nights.pipeline.rds().create_db_cluster(
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        MasterUsername="boss",
        MasterUserPassword="not-a-secret-1",
    )


def dies(function: str, die: str) -> Rule:
    return {"function": f"{PREFIX}-{function}", "die": die, "times": 3}


def loses(operation: str, times: int) -> Rule:
    return {"operation": operation, "answer": "lost", "times": times}


NIGHTS: dict[str, tuple[str, list[Rule]]] = {
    "1 the step dies before its calls": ("F", [dies("swap-cluster", "before")]),
    "1 the step dies after its calls": ("F", [dies("swap-cluster", "after")]),
    "1 the errand dies before it is done": ("F", [dies("check-swap", "before")]),
    "1 the errand dies after it was done": ("F", [dies("check-swap", "after")]),
    "2 answers are lost": (
        "F",
        [
            {**loses(MODIFY, 1), "parameters": RENAMED_AWAY},
            {**loses(MODIFY, 1), "parameters": RENAMED_IN},
            loses("rds:RebootDBInstance", 2),
            loses("secretsmanager:UpdateSecretVersionStage", 2),
        ],
    ),
    "2 the answer of the fence is lost": ("F", [{**loses(MODIFY, 1), "parameters": {"DBClusterIdentifier": TARGET}}]),
    "3 renames are throttled": (
        "F",
        [
            {"operation": MODIFY, "code": "Throttling", "times": 9, "parameters": RENAMED_AWAY},
            {"operation": MODIFY, "code": "Throttling", "times": 9, "parameters": RENAMED_IN},
        ],
    ),
    "11 the name is not free yet": (
        "F",
        [{"operation": MODIFY, "code": "DBClusterAlreadyExistsFault", "times": 3, "parameters": RENAMED_IN}],
    ),
    "12 a rename ends under the old name": ("F", [{"lifecycle": "rename-cluster", "identifier": TARGET}]),
    "12 renames end under the old name for good": (
        "K",
        [{"lifecycle": "rename-cluster", "identifier": TARGET, "times": 99}],
    ),
    "13 the first rename is refused": (
        "K",
        [{"operation": MODIFY, "code": "AccessDenied", "times": 9, "parameters": RENAMED_AWAY}],
    ),
    "13 the second rename is refused": (
        "K",
        [{"operation": MODIFY, "code": "AccessDenied", "times": 9, "parameters": RENAMED_IN}],
    ),
}


@pytest.mark.parametrize("name", NIGHTS)
def test_a_fault_ends_as_promised(nights: Refreshing, name: str) -> None:
    end, rules = NIGHTS[name]
    a_night(nights, end, *rules)


@pytest.mark.parametrize("view", ["stale", "empty"])
def test_9_and_10_what_rds_shows_late_or_not_at_all_ends_with_the_new_cluster(nights: Refreshing, view: str) -> None:
    """From the fence on, so that it is the swap that is misled."""

    def mislead() -> None:
        nights.aws.faults.add(operation="rds:DescribeDBClusters", answer=view, times=1 if view == "empty" else 6)

    with meeting(nights, {"DBClusterIdentifier": TARGET}, mislead):
        a_night(nights, "F")


@pytest.mark.parametrize(("minutes", "end"), [(10, "F"), (40, "K")])
def test_14_a_backup_that_begins_after_the_fence_is_waited_for_until_time_is_up(
    nights: Refreshing, minutes: int, end: str
) -> None:
    def back_up() -> None:
        nights.aws.aurora.keep_busy(TARGET, "backing-up", minutes * 60)

    with meeting(nights, RENAMED_AWAY, back_up):
        run = a_night(nights, end)
    if end == "K":
        assert "it did not come to its end in time" in run.message
        assert "Clients reach it as before." in run.message


def test_15_a_member_whose_groups_never_settle_ends_with_the_door_open_again(nights: Refreshing) -> None:
    reader = reader_of(nights.live())
    run = a_night(nights, "K", {"lifecycle": "change-groups", "identifier": reader})
    assert "it did not come to its end in time" in run.message


def test_15_a_member_that_stays_modifying_ends_with_the_door_open_again(nights: Refreshing) -> None:
    """For hours: the way back does not wait for it either."""
    hours, member = 3, reader_of(nights.live())

    def stay() -> None:
        nights.aws.aurora.keep_busy(member, "modifying", hours * 3600)

    with meeting(nights, FENCED, stay):
        run = a_night(nights, "K")
    assert "it did not come to its end in time" in run.message
    (found,) = nights.pipeline.rds().describe_db_instances(DBInstanceIdentifier=member)["DBInstances"]
    assert found["DBInstanceStatus"] == "modifying"
    nights.aws.clock.sleep(hours * 3600)


def test_16_a_reader_that_is_added_behind_the_fence_is_fenced_as_well(nights: Refreshing) -> None:
    old = nights.live()

    def add() -> None:
        nights.pipeline.rds().create_db_instance(
            DBInstanceIdentifier=f"{TARGET}-added",
            DBClusterIdentifier=TARGET,
            Engine="aurora-postgresql",
            DBInstanceClass="db.r6g.large",
        )

    with meeting(nights, RENAMED_AWAY, add):
        run = a_night(nights, "F")
    fences = [details["members"] for _, what, details in nights.swap_events(run) if what == "fenced"]
    before = sorted(each["DBInstanceIdentifier"] for each in old["DBClusterMembers"])
    assert fences == [before, sorted([*before, f"{TARGET}-added"])]


def test_16_a_door_that_a_person_opens_again_is_shut_again(nights: Refreshing) -> None:
    """Rows that are written meanwhile are in the old cluster, before it was fenced the second time."""
    groups = [each["VpcSecurityGroupId"] for each in nights.live()["VpcSecurityGroups"]]

    def open_again() -> None:
        nights.pipeline.rds().modify_db_cluster(
            DBClusterIdentifier=TARGET, VpcSecurityGroupIds=groups, ApplyImmediately=True
        )

    with meeting(nights, RENAMED_AWAY, open_again):
        run = a_night(nights, "F")
    assert [what for _, what, _ in nights.swap_events(run)].count("shut-door") == 2


def test_16_sessions_of_an_untracked_rule_end_with_its_group_and_nobody_has_to_be_ended(nights: Refreshing) -> None:
    """They end before the pipeline looks, and their clients come again to a door that is shut."""
    untracked = nights.aws.aurora.untracked
    untracked |= {each["VpcSecurityGroupId"] for each in nights.live()["VpcSecurityGroups"]}
    try:
        run = a_night(nights, "F")
    finally:
        untracked.clear()
    fences = [details for _, what, details in nights.swap_events(run) if what == "fenced"]
    assert [int(each["ended"]) for each in fences] == [0]


def test_17_a_login_that_no_longer_opens_the_old_cluster_leads_to_restarts(nights: Refreshing) -> None:
    nights.pipeline.rds().modify_db_cluster(
        DBClusterIdentifier=TARGET, MasterUserPassword="somebody-has-set-it-1", ApplyImmediately=True
    )
    settle(nights.pipeline)
    a_night(nights, "F")


def test_18_a_failover_between_the_fence_and_the_rename_ends_with_the_new_cluster(nights: Refreshing) -> None:
    old = nights.live()

    def fail_over() -> None:
        nights.pipeline.rds().failover_db_cluster(DBClusterIdentifier=TARGET)

    with meeting(nights, RENAMED_AWAY, fail_over):
        a_night(nights, "F")
    assert reader_of(nights.present(old)) != reader_of(old)


def test_19_an_old_cluster_that_was_restarted_under_its_other_name_is_given_its_certificate_back(
    nights: Refreshing,
) -> None:
    old = nights.live()

    def restart_old_and_shut_us_out_of_new() -> None:
        reboot(nights, nights.present(old))
        set_a_new_password(nights, nights.restored_beside(old))

    with meeting(nights, RENAMED_IN, restart_old_and_shut_us_out_of_new):
        run = a_night(nights, "K")
    assert ("reboot-members", "old") in {(what, details.get("side")) for _, what, details in nights.swap_events(run)}
    assert "the name did not lead to the restored cluster" in run.message
    assert "Its instances were restarted, which gave their certificates the name back" in run.message


def test_19_a_certificate_that_no_restart_renews_is_reported_and_the_door_opens(nights: Refreshing) -> None:
    old = nights.live()

    def restart_old_and_shut_us_out_of_new() -> None:
        reboot(nights, nights.present(old))
        set_a_new_password(nights, nights.restored_beside(old))

    def spoil() -> None:
        nights.aws.faults.add(lifecycle="renew-certificate", times=99)

    both = [(MODIFY, RENAMED_IN, restart_old_and_shut_us_out_of_new), (MODIFY, RENAMED_BACK, spoil)]
    with meetings(nights, both):
        run = nights.night()
    assert run.status == "FAILED"
    live = nights.live()
    assert live["DbClusterResourceId"] == old["DbClusterResourceId"]
    assert not nights.door_is_shut(live)
    assert "Clients reach it as before" not in run.message
    assert "sslmode=verify-full" in run.message


def test_20_a_certificate_that_neither_restart_renews_ends_with_the_old_cluster(nights: Refreshing) -> None:
    """Nothing renews it. That stopping and starting does is in test_replace.py."""

    def spoil() -> None:
        nights.aws.faults.add(lifecycle="renew-certificate", times=4)

    with meeting(nights, RENAMED_IN, spoil):
        run = a_night(nights, "K")
    assert "a certificate still lacks the name after both kinds of restart" in run.message


@pytest.mark.parametrize(("minutes", "end"), [(10, "F"), (25, "K")])
def test_21_a_name_that_a_resolver_has_forgotten_is_tried_for_a_quarter_of_an_hour(
    nights: Refreshing, minutes: int, end: str
) -> None:
    def forget() -> None:
        nights.aws.faults.add(name=TARGET, seconds=minutes * 60)

    with meeting(nights, RENAMED_IN, forget):
        run = a_night(nights, end)
    if end == "K":
        assert "the name did not lead to the restored cluster" in run.message


def test_22_a_name_that_leads_to_another_cluster_with_the_same_login_ends_with_the_old_cluster(
    nights: Refreshing,
) -> None:
    old, before = nights.live(), name_for("old", TARGET, "night-22")

    def mislead() -> None:
        version = AdminSecret.version_for(nights.restored_beside(old)["DbClusterResourceId"])
        secret = nights.place.stack.resources["AdminSecret"]
        found = nights.aws.client("secretsmanager").get_secret_value(SecretId=secret, VersionId=version)
        login = json.loads(found["SecretString"])
        nights.aws.aurora.cluster(before).postgres.set_password(login["username"], login["password"])
        nights.aws.faults.add(name=TARGET, seconds=600, leads=before)

    with meeting(nights, RENAMED_IN, mislead):
        run = a_night(nights, "K", name="night-22")
    assert "the name did not lead to the restored cluster" in run.message
    whys = [str(details["why"]) for _, what, details in nights.swap_events(run) if what == "not-proved"]
    assert any("leads to instance" in each for each in whys), whys


def test_22_a_new_cluster_that_refuses_its_login_ends_with_the_old_one(nights: Refreshing) -> None:
    old = nights.live()
    with meeting(nights, RENAMED_IN, lambda: set_a_new_password(nights, nights.restored_beside(old))):
        run = a_night(nights, "K")
    assert "the name did not lead to the restored cluster" in run.message


def test_23_an_old_cluster_that_a_person_renames_keeps_that_name(nights: Refreshing) -> None:
    def rename() -> None:
        nights.pipeline.rds().modify_db_cluster(
            DBClusterIdentifier=TARGET, NewDBClusterIdentifier=f"{TARGET}-by-hand", ApplyImmediately=True
        )

    with meeting(nights, RENAMED_AWAY, rename):
        run = a_night(nights, "F")
    assert nights.pipeline.cluster(f"{TARGET}-by-hand") is not None
    assert f"which is kept as {TARGET}-by-hand" in run.message


@pytest.mark.parametrize("call", [RENAMED_AWAY, RENAMED_IN], ids=["before the rename", "between the renames"])
def test_24_an_old_cluster_that_a_person_deletes_leaves_the_new_one_and_the_first_line_says_so(
    nights: Refreshing, call: dict[str, str]
) -> None:
    old = nights.live()
    with meeting(nights, call, lambda: nights.delete(nights.present(old))):
        run = a_night(nights, "F")
    settle(nights.pipeline)
    assert nights.by_id(old["DbClusterResourceId"]) is None
    first = run.message.splitlines()[0]
    assert old["DbClusterResourceId"] in first
    assert "was deleted by somebody else" in first
    assert "is kept as" not in run.message


NEW_IS_DELETED = {
    "before the rename": (MODIFY, RENAMED_IN),
    "after the rename": ("secretsmanager:UpdateSecretVersionStage", {"VersionStage": "AWSCURRENT"}),
}


@pytest.mark.parametrize("when", NEW_IS_DELETED)
def test_25_a_new_cluster_that_a_person_deletes_leaves_the_old_one(nights: Refreshing, when: str) -> None:
    old = nights.live()
    operation, call = NEW_IS_DELETED[when]
    with meeting(nights, call, lambda: nights.delete(nights.restored_beside(old)), operation):
        run = a_night(nights, "K")
    assert "the restored cluster was deleted by somebody else" in run.message
    assert "so it cannot be resumed" in run.message
    assert "then resume this operation" not in run.message


def test_26_a_stranger_that_takes_the_name_is_left_alone_and_the_old_cluster_opens(nights: Refreshing) -> None:
    old = nights.live()
    with meeting(nights, RENAMED_IN, lambda: a_stranger(nights, TARGET)):
        run = nights.night()
    assert run.status == "FAILED"
    stranger, kept = nights.live(), nights.by_id(old["DbClusterResourceId"])
    try:
        assert "aurora-restore:role" not in {each["Key"] for each in stranger["TagList"]}
        assert not nights.door_is_shut(stranger)
        assert kept is not None
        assert not nights.door_is_shut(kept)
        assert "another cluster has taken the name" in run.reason + run.messages[-1]["message"]
    finally:
        nights.aws.faults.clear()
        settle(nights.pipeline)
        nights.pipeline.remove(TARGET)
    # Once the stranger is gone, the operation finishes its swap.
    nights.pipeline.run({"operation_id": run.operation_id, "resume": True})
    assert nights.live()["DbClusterResourceId"] == old["DbClusterResourceId"]


def test_26_a_stranger_that_takes_the_name_after_the_commit_is_left_alone_and_the_new_cluster_opens(
    nights: Refreshing,
) -> None:
    """Between the look that commits and the next one, a person renames new away, and another takes the name."""
    old, aws, by_hand = nights.live(), nights.aws, f"{TARGET}-by-hand"

    def take() -> None:
        quick = aws.aurora.durations
        aws.aurora.durations = dataclasses.replace(quick, rename_cluster=1)
        nights.pipeline.rds().modify_db_cluster(
            DBClusterIdentifier=TARGET, NewDBClusterIdentifier=by_hand, ApplyImmediately=True
        )
        aws.clock.sleep(5)
        aws.aurora.durations = quick
        a_stranger(nights, TARGET)

    def nothing() -> None:
        return

    move = ("secretsmanager:UpdateSecretVersionStage", {"VersionStage": "AWSCURRENT"}, nothing)
    look = "rds:DescribeDBClusters"
    with meetings(nights, [move, (look, {}, nothing), (look, {}, take)]):
        run = nights.night()
    assert run.status == "FAILED"
    assert [what for _, what, _ in nights.swap_events(run)].count("commit") == 1
    stranger, new = nights.live(), nights.pipeline.cluster(by_hand)
    try:
        assert "aurora-restore:role" not in tags_of(stranger)
        assert not nights.door_is_shut(stranger)
        assert new is not None
        assert operation_of(new) == run.operation_id
        assert not nights.door_is_shut(new)
        assert nights.door_is_shut(nights.present(old))
        message = run.messages[-1]["message"]
        assert f"{TARGET} is now the name of another cluster" in message
        assert f"{by_hand} is the cluster that this operation gives the name to" in message
        (command,) = commands(message, "start-execution")
    finally:
        aws.faults.clear()
        settle(nights.pipeline)
        nights.pipeline.remove(TARGET)
    # Once the stranger is gone, the command of the message finishes the swap, and forward.
    given = json.loads(shlex.split(command)[shlex.split(command).index("--input") + 1])
    nights.pipeline.run(given)
    assert nights.live()["DbClusterResourceId"] == new["DbClusterResourceId"]
    assert not nights.door_is_shut(nights.live())


def test_27_a_previous_name_that_is_taken_meanwhile_is_replaced_by_the_second(nights: Refreshing) -> None:
    """One that is taken before is refused by the plan."""
    taken = name_for("old", TARGET, "night-27")
    old = nights.live()
    with meeting(nights, FENCED, lambda: a_stranger(nights, taken)):
        run = nights.night("night-27")
    assert run.status == "SUCCEEDED", run.reason
    kept = nights.by_id(old["DbClusterResourceId"])
    assert kept is not None
    assert kept["DBClusterIdentifier"] == f"{taken}-2"


@pytest.mark.parametrize("name", [TARGET, f"{TARGET}-new-*"], ids=["old", "new"])
def test_28_a_cluster_that_a_person_stops_is_started(nights: Refreshing, name: str) -> None:
    def stop() -> None:
        (found,) = [
            each["DBClusterIdentifier"]
            for each in nights.ours()
            if each["DBClusterIdentifier"] == name or (name != TARGET and "-new-" in each["DBClusterIdentifier"])
        ]
        nights.pipeline.rds().stop_db_cluster(DBClusterIdentifier=found)

    with meeting(nights, FENCED, stop):
        a_night(nights, "F")


def test_29_a_label_that_a_person_has_moved_is_left_and_the_message_names_the_secret(nights: Refreshing) -> None:
    secrets, secret = nights.aws.client("secretsmanager"), nights.place.stack.resources["AdminSecret"]
    put: list[str] = []

    def put_another() -> None:
        put.append(secrets.put_secret_value(SecretId=secret, SecretString="{}")["VersionId"])

    with meeting(nights, RENAMED_IN, put_another):
        run = a_night(nights, "F")
    labels = secrets.describe_secret(SecretId=secret)["VersionIdsToStages"]
    assert "AWSCURRENT" in labels[put[0]]
    login = AdminSecret.version_for(nights.live()["DbClusterResourceId"])
    assert f"is not the login of {TARGET}" in run.message
    assert login in run.message
    assert secret.rsplit(":", 1)[-1][:-7] in run.message
    # As the message says it, so that the next night finds its login.
    secrets.update_secret_version_stage(
        SecretId=secret, VersionStage="AWSCURRENT", MoveToVersionId=login, RemoveFromVersionId=put[0]
    )


def test_29_a_label_that_may_not_be_moved_ends_with_the_old_cluster(nights: Refreshing) -> None:
    move = {"operation": "secretsmanager:UpdateSecretVersionStage", "parameters": {"VersionStage": "AWSCURRENT"}}
    run = a_night(nights, "K", {**move, "code": "AccessDeniedException", "times": 9})
    assert "AWS has refused the login of " in run.message
    assert "AccessDeniedException" in run.message


def test_30_a_second_night_while_one_runs_is_refused_and_touches_nothing(nights: Refreshing) -> None:
    refused: list[Run] = []
    with meeting(nights, RENAMED_AWAY, lambda: refused.append(nights.night())):
        a_night(nights, "F")
    (second,) = refused
    assert second.status == "FAILED"
    assert not second.changes
    assert "another execution is working on" in second.message
