"""What the evidence says of each end of an operation, and that the message on the end never depends on it."""

from __future__ import annotations

import datetime as dt
import json
import pathlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tests.unit.evidence.seal_support import verify_chain
from tests.unit.fakes.rds import FakeRds
from tests.unit.operation.test_close import (
    END,
    FAILURE,
    Inbox,
    a_success,
    a_task,
    an_event,
    notify,
    record,
    redriven,
    started,
    state,
)
from tests.unit.operation.test_finishing import REPLACES
from tests.unit.support import (
    LIMITS,
    NOW,
    OPERATION,
    OWN_TAGS,
    SOURCE,
    TARGET,
    a_copy,
    a_deletion,
    a_plan,
    a_record,
    a_run,
    an_execution,
    calling,
    lost_answer,
    nothing_archived,
)
from utils.aws import client
from utils.contracts.evidence import Evidence, Index
from utils.contracts.payloads import Archived, ArchiveTask, CopyTask, ExecutionError
from utils.contracts.plan import Plan, ReplacedDeletion, SnapshotExport
from utils.contracts.route import RouteStep
from utils.errors import TemporaryFailure
from utils.evidence.wording import exists_now
from utils.operation import end_evidence
from utils.operation.evidence_changes import changes_of
from utils.operation.evidence_facts import _settings
from utils.state.lock import TargetLock
from utils.state.values import iso

BUCKET = "evidence-of-ours"
pytestmark = pytest.mark.usefixtures("account", "rds", "kept_evidence")


@pytest.fixture
def inbox(account: None, monkeypatch: pytest.MonkeyPatch) -> Inbox:
    topic = Inbox()
    monkeypatch.setenv("TOPIC_ARN", topic.arn)
    return topic


@pytest.fixture(autouse=True)
def kept_evidence(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack's bucket and key, and its targets for the age of the data and the time of a restore."""
    client("s3").create_bucket(Bucket=BUCKET)
    key = client("kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["Arn"]
    monkeypatch.setenv("EVIDENCE_BUCKET", BUCKET)
    monkeypatch.setenv("EVIDENCE_KEY_ARN", key)
    monkeypatch.setenv("RPO_TARGET_MINUTES", "60")
    monkeypatch.setenv("RTO_TARGET_MINUTES", "120")


@pytest.fixture
def events() -> Iterator[list[dict[str, Any]]]:
    """What is put on the bus."""
    made, seen = client("events"), list[dict[str, Any]]()

    def note(params: dict[str, Any], **_: Any) -> None:
        seen.extend(params["Entries"])

    made.meta.events.register("provide-client-params.events.PutEvents", note, unique_id="seen")
    yield seen
    made.meta.events.unregister("provide-client-params.events.PutEvents", unique_id="seen")


def files() -> dict[str, bytes]:
    s3 = client("s3")
    names = [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])]
    return {name: s3.get_object(Bucket=BUCKET, Key=name)["Body"].read() for name in names}


def all_evidence() -> list[Evidence]:
    found = files()
    return [msgspec.json.decode(found[name], type=Evidence) for name in found if name.endswith("/evidence.json")]


def the_evidence() -> Evidence:
    (found,) = all_evidence()
    return found


def restored(rds: FakeRds, plan: Plan | None = None) -> str:
    """An operation whose cluster exists and is open."""
    made = rds.add_cluster(TARGET, TagList=OWN_TAGS)
    started(plan).remember(
        cluster_resource_id=made["DbClusterResourceId"],
        endpoint=made["Endpoint"],
        users_ready_at="2026-03-10T03:30:00.000Z",
        door_opening_at="2026-03-10T03:31:00.000Z",
        door_open_at="2026-03-10T03:32:00.000Z",
        locked_logins=["orders_app", "alice"],
        locked_count=2,
    )
    return str(made["DbClusterResourceId"])


def test_a_restore_that_succeeded(
    rds: FakeRds, inbox: Inbox, events: list[dict[str, Any]], tmp_path: pathlib.Path
) -> None:
    resource_id = restored(rds)
    notify(a_success())
    found = the_evidence()
    assert (found.kind, found.outcome, found.summary.worked, found.error) == ("restore", "findings", True, None)
    assert found.findings == [
        "The data was older than its target when the operation began: 10800 seconds, and the target is 3600"
    ]
    assert found.target is not None
    assert (found.target.identifier, found.target.resource_id, found.target.exists) == (TARGET, resource_id, True)
    assert found.target.settings == "as_planned"
    assert found.isolation is not None
    assert (found.isolation.door, found.isolation.locked_logins) == ("opened", 2)
    # The snapshot is three hours older than the start, and the door was open after 32 minutes.
    assert (found.objectives.rpo_seconds.actual, found.objectives.rpo_seconds.held) == (3 * 3600, False)
    assert (found.objectives.rto_seconds.actual, found.objectives.rto_seconds.held) == (32 * 60, True)
    assert [(each.what, each.on) for each in found.changes] == [
        ("created", TARGET),
        ("locked", "2 logins that came with the data"),
    ]
    assert "No check looked at the data" in found.limits[0]
    (link,) = verify_chain(files(), tmp_path)
    sealed = record().evidence
    assert sealed is not None
    ((_, body),) = inbox.messages()
    assert f"Evidence   #1 findings, sha256 {sealed.sha256}" in body
    assert f"s3://{BUCKET}/{sealed.folder}/report.html" in body
    assert link.operation_id == OPERATION
    (event,) = events
    assert (event["Source"], event["DetailType"]) == ("aurora-restore", "OperationFinished")
    detail = json.loads(event["Detail"])
    assert detail["evidence"] == msgspec.to_builtins(sealed)
    assert (detail["outcome"], detail["rto_seconds"]) == ("findings", 1920)
    index = msgspec.json.decode(files()["index.json"], type=Index)
    assert [(each.sequence, each.outcome, each.folder) for each in index.entries] == [(1, "findings", sealed.folder)]
    assert OPERATION.encode() in files()["index.html"]


def test_a_failure_says_why_what_exists_and_what_to_do(rds: FakeRds, inbox: Inbox) -> None:
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    started()
    notify(a_task("failed", error=FAILURE, request={"password": "hunter2"}))
    found = the_evidence()
    assert (found.outcome, found.summary.worked) == ("failed", False)
    assert found.summary.sentence == found.error == "The copy is gone."
    assert any("aws stepfunctions start-execution" in line for line in found.summary.next)
    assert [(each.phase, each.outcome, each.ended_at) for each in found.timeline][-1] == ("restore", "failed", None)
    assert "hunter2" not in msgspec.json.encode(found).decode()
    assert found.objectives.rto_seconds.actual is None


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("RequestRefused", "refused"),
        ("ChecksFailed", "findings"),
        ("States.Timeout", "failed"),
        ("StepFailed", "failed"),
    ],
)
def test_a_failure_has_the_outcome_of_its_error(error: str, outcome: str) -> None:
    started()
    notify(a_task("failed", error=ExecutionError(error=error, cause="No."), request={}))
    assert the_evidence().outcome == outcome


@pytest.mark.parametrize(
    ("status", "outcome"), [("ABORTED", "stopped"), ("TIMED_OUT", "stopped"), ("FAILED", "failed")]
)
def test_an_end_that_only_eventbridge_has_seen(status: str, outcome: str) -> None:
    started()
    notify(an_event(status))
    assert the_evidence().outcome == outcome


def test_a_refused_request_has_evidence_without_a_plan() -> None:
    notify(a_task("failed", error=ExecutionError(error="RequestRefused", cause="No."), request={"drill": True}))
    found = the_evidence()
    assert (found.kind, found.outcome, found.snapshot, found.target) == ("drill", "refused", None, None)


def test_a_drill_is_known_although_its_cluster_is_gone(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RPO_TARGET_MINUTES", "0")
    plan = a_plan(drill=True)
    started(plan).remember(
        users_ready_at=None,
        removed={
            "identifier": TARGET,
            "resource_id": "cluster-GONE",
            "created_at": "2026-03-10T03:01:00.000Z",
            "security_groups": ["sg-0d00d00d00d00d000"],
            "endpoint": "there.example",
            "ready_at": "2026-03-10T03:40:00.000Z",
            "users_ready_at": "2026-03-10T03:39:00.000Z",
            "login_proven_at": "2026-03-10T03:38:00.000Z",
            "masked_at": None,
            "locked_logins": 3,
            "began_at": "2026-03-10T03:40:00.000Z",
            "gone_at": "2026-03-10T03:48:00.000Z",
        },
    )
    notify(a_success(plan))
    found = the_evidence()
    assert (found.kind, found.outcome) == ("drill", "passed")
    assert found.target is not None
    assert (found.target.resource_id, found.target.exists) == ("cluster-GONE", False)
    assert found.isolation is not None
    assert (found.isolation.door, found.isolation.opened_at, found.isolation.locked_logins) == ("never", None, 3)
    assert found.objectives.rto_seconds.actual == 40 * 60
    assert [each.phase for each in found.timeline][-1] == "deletion"
    deleted = found.changes[-1]
    assert (deleted.what, deleted.resource_id, deleted.proof) == (
        "deleted",
        "cluster-GONE",
        "RDS reported no cluster of this id",
    )
    ((subject, body),) = inbox.messages()
    assert subject.startswith("[aurora-restore] SUCCEEDED: drill of prod-orders")
    assert "Door       never opened" in body


REMOVED: dict[str, Any] = {
    "identifier": TARGET,
    "resource_id": "cluster-GONE",
    "created_at": "2026-03-10T03:01:00.000Z",
    "security_groups": ["sg-0d00d00d00d00d000"],
    "endpoint": None,
    "ready_at": None,
    "users_ready_at": None,
    "login_proven_at": None,
    "masked_at": None,
    "verified_at": None,
    "verification": {},
    "locked_logins": 0,
    "began_at": "2026-03-10T03:20:00.000Z",
    "gone_at": "2026-03-10T03:25:00.000Z",
}


COMPARED: dict[str, Any] = {"settings_compared_at": "2026-03-10T03:19:00.000Z", "differences": []}


@pytest.mark.parametrize(
    ("more", "settings", "findings"),
    [
        ({}, "not_compared", []),
        (COMPARED, "as_planned", []),
        ({**COMPARED, "differences": ["port: asked for 5432, RDS reports 1"]}, "differ", ["port: asked for 5432"]),
    ],
)
def test_a_drills_settings_are_said_to_be_what_they_were_found_to_be(
    inbox: Inbox, more: dict[str, Any], settings: str, findings: list[str]
) -> None:
    plan = a_plan(drill=True)
    started(plan).remember(users_ready_at=None, removed={**REMOVED, "ready_at": "2026-03-10T03:20:00.000Z", **more})
    notify(a_success(plan))
    found = the_evidence()
    assert found.target is not None
    assert found.target.settings == settings
    assert [each[:20] for each in found.findings if each.startswith("port")] == findings
    assert any("were not compared with the plan" in each for each in found.limits) == (settings == "not_compared")
    ((_, body),) = inbox.messages()
    assert ("Differs    port: asked for 5432, RDS reports 1" in body) == (settings == "differ")


def test_what_the_masking_has_reported_stays_known_of_a_cluster_that_is_gone(inbox: Inbox) -> None:
    plan, said = a_plan(drill=True), "orders: public.people.note is of no listed class"
    removed = {**REMOVED, "ready_at": "2026-03-10T03:20:00.000Z", "masking_findings": [said]}
    started(plan).remember(users_ready_at=None, removed=removed)
    notify(a_success(plan))
    assert said in the_evidence().findings
    ((_, body),) = inbox.messages()
    assert f"Warning    {said}" in body


def test_a_cluster_that_somebody_else_has_deleted_was_not_deleted_by_the_operation(inbox: Inbox) -> None:
    started(a_plan(drill=True)).remember(cluster_asked_at=None, removed={**REMOVED, "began_at": None})
    notify(a_task("failed", error=FAILURE, request={}))
    found = the_evidence()
    assert [each.what for each in found.changes] == ["created", "found gone"]
    assert exists_now(found) == f"Cluster {TARGET} does not exist."


def test_a_committed_swap_that_has_ended_back_does_not_say_that_nobody_was_let_in(inbox: Inbox) -> None:
    """The restored cluster was deleted by somebody, after its door may have been open."""
    facts = {"cluster_resource_id": "cluster-NEW", "swap_began_at": iso(NOW), "swap_end": "back"}
    started().remember(**facts, door_opening_at=iso(NOW))
    notify(a_task("failed", error=FAILURE, request={}))
    isolation = the_evidence().isolation
    assert isolation is not None
    assert isolation.door == "unknown"


def test_a_drill_that_failed_and_was_cleaned_up_failed_where_it_did(inbox: Inbox) -> None:
    started(a_plan(drill=True)).remember(removed=REMOVED)
    notify(a_task("failed", error=FAILURE, request={}))
    found = the_evidence()
    assert [(each.phase, each.outcome) for each in found.timeline] == [
        ("check and plan", "done"),
        ("restore", "failed"),
    ]
    assert [(each.what, each.resource_id) for each in found.changes] == [
        ("created", "cluster-GONE"),
        ("deleted", "cluster-GONE"),
    ]


def test_what_an_earlier_execution_has_deleted_is_none_of_this_ones(inbox: Inbox) -> None:
    yesterday = "2026-03-09T03:20:00.000Z"
    started(a_plan(drill=True)).remember(removed={**REMOVED, "began_at": yesterday, "gone_at": yesterday})
    notify(a_task("failed", error=FAILURE, request={}))
    found = the_evidence()
    assert (found.target, found.changes) == (None, [])


def test_a_source_whose_deletion_was_only_begun_is_not_said_to_be_gone(rds: FakeRds) -> None:
    source = rds.add_cluster(SOURCE)
    plan = a_plan(delete_source=True, source_deletion=a_deletion(source["DbClusterResourceId"]))
    restored(rds, plan)
    state().remember(source_deletion_at="2026-03-10T03:33:00.000Z", protection_off_at="2026-03-10T03:32:30.000Z")
    notify(a_task("failed", error=FAILURE, request={}))
    ours = [each for each in the_evidence().changes if each.on == SOURCE]
    assert [each.what for each in ours] == ["protection off", "deletion begun"]
    assert "its end was not seen" in ours[-1].proof


def test_what_could_not_be_taken_back_is_a_finding(rds: FakeRds, inbox: Inbox) -> None:
    restored(rds)
    still_shared = replace(nothing_archived(), warnings=["Snapshot x is still shared with account 123456789012."])
    notify(replace(a_success(), archive=still_shared))
    found = the_evidence()
    assert (found.outcome, still_shared.warnings[0] in found.findings) == ("findings", True)


def test_what_a_failed_operation_has_left_open_is_a_finding_too(rds: FakeRds, inbox: Inbox) -> None:
    copy = a_copy()
    unshare = RouteStep(name="unshare", snapshot_arn=copy.final.source_arn or "", shared_with="123456789012")
    share = replace(unshare, name="share")
    started(a_plan(copy=replace(copy, steps=[share, *copy.steps, unshare]), copy_needed=True)).remember(
        route_times={"share_begun": "2026-03-10T03:05:00.000Z", "unshare_failed": "2026-03-10T03:30:00.000Z"}
    )
    notify(a_task("failed", error=FAILURE, request={}))
    found = the_evidence()
    assert (found.outcome, unshare.still_there in found.findings) == ("failed", True)


def test_a_copy_that_was_deleted_again_is_listed_with_its_time(rds: FakeRds, source_rds: FakeRds) -> None:
    source_rds.add_snapshot("prod-orders-tuesday")
    copy = a_copy()
    plan = a_plan(copy=copy, copy_needed=True, archive_snapshot="delete")
    restored(rds, plan)
    rds.add_instance(plan.cluster.instances[0].identifier, TARGET, TagList=OWN_TAGS)
    state().remember(login_proven_at="2026-03-10T03:29:00.000Z")
    calling("copy-snapshot")(CopyTask(limits=LIMITS, run=a_run(), copy=copy))
    later = a_run(now=NOW + dt.timedelta(minutes=40))
    calling("archive-snapshot")(ArchiveTask(run=later, archive_snapshot="delete", limits=LIMITS, copy=copy))
    # The message says what the step before it has answered, or that has been lost.
    for archive in (nothing_archived(), None):
        found = changes_of(plan, record(), archive, source_is_gone=False)
        assert [(each.what, each.on, each.at) for each in found if each.on == copy.arn] == [
            ("created", copy.arn, NOW),
            ("deleted", copy.arn, later.now),
        ]


def test_the_settings_of_a_cluster_that_came_back_were_not_compared() -> None:
    known: Any = SimpleNamespace(succeeded=True)
    opened = {"snapshot-check": NOW.isoformat(), "delete-rds": NOW.isoformat()}
    assert _settings(known, a_record()) == "as_planned"
    assert _settings(known, a_record(plan={"rolls_back": {"resource_id": "cluster-OLD"}})) == "not_compared"
    known.succeeded = False
    assert _settings(known, a_record()) == "not_compared"
    assert _settings(known, a_record(step_times=opened)) == "as_planned"


def test_a_dry_run_has_no_evidence(inbox: Inbox) -> None:
    plan = a_plan(dry_run=True)
    notify(a_task("planned", plan=plan))
    assert files() == {}
    ((_, body),) = inbox.messages()
    assert "Evidence" not in body


def test_a_step_that_is_repeated_seals_once(rds: FakeRds, tmp_path: pathlib.Path) -> None:
    restored(rds)
    with lost_answer(client("sns"), "sns", "Publish"), pytest.raises(TemporaryFailure):
        notify(a_success())
    notify(a_success())
    (link,) = verify_chain(files(), tmp_path)
    sealed = record().evidence
    assert sealed is not None
    assert sealed.sequence == link.sequence == 1


def test_each_end_of_an_operation_that_was_redriven_has_its_own(rds: FakeRds, tmp_path: pathlib.Path) -> None:
    restored(rds)
    notify(an_event("TIMED_OUT"))
    redriven().enter("restore-snapshot")
    assert TargetLock(TARGET, OPERATION, an_execution().execution_id, redrive_count=1).hold(END) is None
    notify(replace(a_success(), execution=an_execution(now=END + dt.timedelta(hours=1), redrive_count=1)))
    assert [link.sequence for link in verify_chain(files(), tmp_path)] == [1, 2]
    assert sorted(each.outcome for each in all_evidence()) == ["findings", "stopped"]


def test_a_success_that_was_reported_as_failed_before_has_its_own(rds: FakeRds, tmp_path: pathlib.Path) -> None:
    restored(rds)
    notify(an_event("ABORTED"))
    notify(a_success())
    assert [link.sequence for link in verify_chain(files(), tmp_path)] == [1, 2]


def test_evidence_that_cannot_be_written_is_reported_and_hides_nothing(
    rds: FakeRds, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, events: list[dict[str, Any]]
) -> None:
    restored(rds)
    monkeypatch.setenv("EVIDENCE_BUCKET", "nobodys")
    notify(a_success())
    ((subject, body),) = inbox.messages()
    assert "SUCCEEDED" in subject
    assert "Evidence   NOT WRITTEN: StepFailed: PutObject answered NoSuchBucket" in body
    assert record().evidence is None
    assert json.loads(events[0]["Detail"])["evidence"] is None


def test_nor_does_a_fault_of_ours(rds: FakeRds, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> Evidence:
        raise KeyError("created_at")

    restored(rds)
    monkeypatch.setattr(end_evidence, "evidence_of", broken)
    notify(a_success())
    ((subject, body),) = inbox.messages()
    assert "SUCCEEDED" in subject
    assert "NOT WRITTEN: KeyError: 'created_at'" in body


def test_what_was_done_on_the_snapshots_route_is_listed(rds: FakeRds, source_rds: FakeRds) -> None:
    source_rds.add_snapshot("prod-orders-tuesday")
    copy = a_copy()
    plan = a_plan(copy=copy, copy_needed=True)
    restored(rds, plan)
    calling("copy-snapshot")(CopyTask(limits=LIMITS, run=a_run(), copy=copy))
    notify(a_success(plan))
    found = the_evidence()
    assert (found.changes[0].what, found.changes[0].on, found.changes[0].at) == ("created", copy.arn, NOW)
    assert found.snapshot is not None
    assert found.snapshot.copied_to == copy.arn


EXPORT = SnapshotExport(
    identifier="orders-export-0123456789ab",
    source_arn=a_copy().arn,
    bucket="archive",
    prefix="orders",
    role_arn="arn:aws:iam::123456789012:role/export",
    kms_key_id="arn:aws:kms:us-east-1:123456789012:key/any",
)
WHERE = f"s3://archive/orders/{EXPORT.identifier}/"


@pytest.mark.parametrize(
    ("archive", "what", "end"),
    [
        (Archived(exported_to=WHERE), "exported", "RDS reported it complete"),
        # RDS continues by itself where the restore has failed.
        (None, "export begun", "its end was not seen"),
    ],
)
def test_that_the_snapshots_tables_went_to_a_bucket_is_listed(archive: Archived | None, what: str, end: str) -> None:
    plan, asked = a_plan(archive_snapshot="export", export=EXPORT), "2026-03-10T03:05:00.000Z"
    record = a_record(export_begun=EXPORT.identifier, step_times={"archive-snapshot": asked})
    (change,) = changes_of(plan, record, archive, source_is_gone=False)
    assert (change.what, change.on, change.at) == (what, WHERE, dt.datetime.fromisoformat(asked))
    assert change.proof == f"rds:StartExportTask of {EXPORT.source_arn}; {end}"
    cancelled = replace(record, export_cancelled_at="2026-03-10T03:40:00.000Z")
    (change,) = changes_of(plan, cancelled, None, source_is_gone=False)
    assert change.what == "export begun"
    assert change.proof.endswith("; cancelled at 2026-03-10T03:40:00.000Z; what it has written stays")
    # What an earlier execution has begun under another name is not this one's.
    assert changes_of(plan, replace(record, export_begun="another"), archive, source_is_gone=False) == []


def test_of_a_replaced_cluster_the_evidence_says_how_it_is_to_end() -> None:
    deletion = ReplacedDeletion(final_snapshot_identifier="orders-final-1", instance_identifiers=[], tags={})
    record = a_record(swap_end="forward", door_open_at="2026-03-10T03:00:00.000Z")
    for replaced, end in (
        (REPLACES, "under the next name that was free"),
        (
            replace(REPLACES, is_ours=False, deletion=deletion),
            f"deleted after {REPLACES.keep_hours} h, with a final snapshot orders-final-1, as asked for twice",
        ),
    ):
        found = changes_of(a_plan(replaces=replaced), record, None, source_is_gone=False)
        (change,) = [each for each in found if each.what == "replaced"]
        assert change.proof.endswith(end)
