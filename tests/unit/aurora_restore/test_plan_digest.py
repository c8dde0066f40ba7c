"""A plan by its digest: the same for the same plan, kept for its user, started only as long as it says the same."""

from __future__ import annotations

import copy
import datetime as dt
import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from botocore.session import Session
from click.testing import CliRunner, Result

from scripts.aurora_restore import calling, commands, kept_plans, starting
from scripts.aurora_restore.executions import Execution
from scripts.aurora_restore.exits import CommandError
from scripts.aurora_restore.operations import Operations
from scripts.aurora_restore.plan_digest import differing_lines, digest_of, fingerprint, lasting_lines
from scripts.aurora_restore.published import Record
from scripts.aurora_restore.stack import Stack
from tests.unit.support import a_plan
from utils import names
from utils.contracts.plan import Plan

BEGAN = dt.datetime(2026, 11, 28, 2, 0, tzinfo=dt.UTC)
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:aurora-restore"


def planned_by(operation_id: str, **changes: Any) -> dict[str, Any]:
    """A plan as another operation makes it: with its own id in the tags, and its own names."""
    plan = json.loads(msgspec.json.encode(a_plan()))
    text = json.dumps(plan | changes)
    first = plan["operation_id"]
    for old, new in ((first, operation_id), (names.fingerprint(first), names.fingerprint(operation_id))):
        text = text.replace(old, new)
    found: dict[str, Any] = json.loads(text)
    return found


def a_stack(name: str = "aurora-restore") -> Stack:
    return Stack(name, Session(), {"StateMachineArn": MACHINE}, {}, BEGAN)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "aurora-restore" / "plans"


# The digest.


def test_the_fingerprint_of_an_operation_is_the_pipelines() -> None:
    assert fingerprint("nightly-2026-03-10") == names.fingerprint("nightly-2026-03-10")


def test_the_same_plan_of_another_operation_has_the_same_digest() -> None:
    assert lasting_lines(planned_by("one")) == lasting_lines(planned_by("another-one"))


@pytest.mark.parametrize("change", [
    lambda plan: plan["snapshot"].update(age_hours=4.5, why="the latest of 9 available", notes=["a"], others=["b"]),
    lambda plan: plan.update(expected_minutes=[1, 2], expected_seconds={"a": 1.5}, phases=["a"]),
])  # fmt: skip
def test_what_only_passes_does_not_count(change: Callable[[dict[str, Any]], None]) -> None:
    before = planned_by("one")
    now = copy.deepcopy(before)
    change(now)
    assert lasting_lines(now) == lasting_lines(before)


@pytest.mark.parametrize("change", [
    lambda plan: plan["snapshot"].update(arn="arn:aws:rds:us-east-1:1:cluster-snapshot:newer"),
    lambda plan: plan["cluster"]["instances"].pop(),
    lambda plan: plan["cluster"]["instances"][0].update(db_instance_class="db.r6g.xlarge"),
    lambda plan: plan["cluster"]["tags"].update(team="data"),
    lambda plan: plan.update(warnings=["PostgreSQL 13 has been past its standard support."]),
    lambda plan: plan.update(delete_source=True),
    lambda plan: plan.update(added_later=[]),
    lambda plan: plan.update(calls=[{"call": "rds:DeleteDBCluster", "on": "prod"}]),
])  # fmt: skip
def test_everything_else_does(change: Callable[[dict[str, Any]], None]) -> None:
    before = planned_by("one")
    now = copy.deepcopy(before)
    change(now)
    assert digest_of(lasting_lines(now)) != digest_of(lasting_lines(before))


def test_no_field_of_a_plan_is_taken_out_but_those_that_only_pass() -> None:
    """A field whose name begins as that of one which is taken out still counts."""
    taken = {"operation_id", "phases", "expected_seconds", "expected_minutes", "announced"}
    paths = {line.partition(":")[0].partition(".")[0].partition("[")[0] for line in lasting_lines(planned_by("one"))}
    assert paths == {each.name for each in msgspec.structs.fields(Plan)} - taken
    assert lasting_lines({"phases_of_moon": 1, "snapshot": {"whys": 2}}) == ["phases_of_moon: 1", "snapshot.whys: 2"]


def test_an_id_that_is_a_word_of_the_plan_changes_no_other_value() -> None:
    plan = {"operation_id": "prod", "cluster": {"identifier": "prod-orders"}, "tags": {"id": "prod"}}
    assert lasting_lines(plan) == ['cluster.identifier: "prod-orders"', 'tags.id: "OPERATION"']


def test_what_differs_is_said_line_by_line_and_forges_none() -> None:
    assert differing_lines(["a: 1", "b: 2"], ["a: 1", "b: 3\x1b[2J"]) == ["- b: 2", "+ b: 3 [2J"]


# What is kept.


def test_a_plan_is_kept_for_its_user_alone_and_found_by_the_first_digits(home: Path) -> None:
    kept = kept_plans.keep(a_stack(), {"quarantine": True}, ["a: 1"])
    [path] = home.iterdir()
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(home.stat().st_mode)) == (0o600, 0o700)
    assert kept_plans.find(a_stack(), kept.digest[:8]) == kept
    assert kept_plans.find(a_stack(), "0" * 8) is None


def test_a_plan_of_another_stack_is_not_started_here() -> None:
    kept = kept_plans.keep(a_stack("staging"), {}, ["a: 1"])
    with pytest.raises(CommandError, match="stack staging") as refused:
        kept_plans.find(a_stack(), kept.digest[:8])
    assert refused.value.exit_code == 7


@pytest.mark.parametrize("content", [b"", b"{}", b"[" * 100_000, b'{"lines":["b: 2"]}'])
def test_a_file_that_is_no_plan_or_was_changed_is_none(home: Path, content: bytes) -> None:
    kept = kept_plans.keep(a_stack(), {}, ["a: 1"])
    (home / f"{kept.digest}.json").write_bytes(content)
    assert kept_plans.find(a_stack(), kept.digest) is None


def test_a_request_that_was_put_under_another_plans_digest_does_not_count(home: Path) -> None:
    """The digest is that of the lines; the request is planned again, and its plan compared with them."""
    kept = kept_plans.keep(a_stack(), {}, ["a: 1"])
    changed = msgspec.structs.replace(kept, lines=["a: 2"])
    (home / f"{kept.digest}.json").write_bytes(msgspec.json.encode(changed))
    assert kept_plans.find(a_stack(), kept.digest) is None


def test_old_plans_are_forgotten(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_plans, "_MOST_KEPT", 3)
    for number in range(5):
        kept_plans.keep(a_stack(), {}, [f"a: {number}"])
    assert len([*home.iterdir()]) == 3


def test_a_relative_state_home_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", str(tmp_path))
    kept_plans.keep(a_stack(), {}, ["a: 1"])
    assert (tmp_path / ".local" / "state" / "aurora-restore" / "plans").is_dir()


@pytest.mark.parametrize("typed", ["7c1e04b9", "0" * 64])
def test_a_digest_is_told_from_an_operation(typed: str) -> None:
    assert kept_plans.is_digest(typed)
    for other in (typed[:7], typed.upper() + "g", f"plan-{typed}"):
        assert not kept_plans.is_digest(other)


# Planning, and planning once more before the start.


class World:
    """A pipeline whose plan of each dry run is the present one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.plan = planned_by("first")
        self.started: list[dict[str, Any]] = []
        self._stack = a_stack()
        monkeypatch.setattr(calling, "find_stack", lambda *_: self._stack)
        monkeypatch.setattr(starting, "start_checked", self.start)
        monkeypatch.setattr(commands, "start_checked", self.start)
        monkeypatch.setattr(starting, "describe", self.describe)
        monkeypatch.setattr(Operations, "find", self.find)

    def start(self, _: Stack, request: dict[str, Any], name: str | None, *__: Any, **___: Any) -> Execution:
        self.started.append(request)
        number = len(self.started)
        text = json.dumps(self.plan).replace("first", f"operation-{number}")
        output = text.replace(names.fingerprint("first"), names.fingerprint(f"operation-{number}"))
        return Execution(arn=f"arn:{number}", status="SUCCEEDED", started_at=BEGAN, output=output)

    def describe(self, _: Stack, arn: str) -> Execution:
        given = json.dumps(self.started[int(arn.removeprefix("arn:")) - 1])
        return Execution(arn=arn, status="SUCCEEDED", started_at=BEGAN + dt.timedelta(days=1), given=given)

    def find(self, operation_id: str) -> Record:
        if not operation_id.startswith("operation-"):
            raise CommandError("OperationNotFound", f"No operation is {operation_id}.", 7)
        number = operation_id.rpartition("-")[2]
        return Record(operation_id=operation_id, execution_id=f"arn:{number}", status="planned", raw_plan=self.plan)

    def type(self, *arguments: str) -> Result:
        return CliRunner().invoke(commands.cli, [*arguments])


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_a_plan_says_its_digest_and_the_same_one_each_time(world: World) -> None:
    first, second = (world.type("plan", "--set", "quarantine=true") for _ in range(2))
    digest = digest_of(lasting_lines(world.plan))[:8]
    assert first.stdout.splitlines()[0].startswith(f"Plan {digest} of operation-1: ")
    assert second.stdout.splitlines()[0].startswith(f"Plan {digest} of operation-2: ")
    assert first.stdout.splitlines()[-1] == f"Start exactly this: aurora-restore start --plan {digest}"


def test_the_start_of_a_digest_plans_once_more_and_starts_that_request(world: World) -> None:
    digest = json.loads(world.type("plan", "--set", "quarantine=true", "--json").stdout)["data"]["digest"]
    assert world.type("start", "--plan", digest[:8]).exit_code == 0
    planned, again, started = world.started
    assert planned == again == {"quarantine": True, "dry_run": True}
    assert started == {
        "quarantine": True,
        "snapshot_identifier": world.plan["snapshot"]["arn"],
        "target_cluster_id": world.plan["target_cluster_id"],
    }


def test_another_plan_is_refused_with_what_differs_and_nothing_is_started(world: World) -> None:
    digest = json.loads(world.type("plan", "--json").stdout)["data"]["digest"]
    world.plan["cluster"]["instances"][0]["db_instance_class"] = "db.r6g.4xlarge"
    told = world.type("start", "--plan", digest[:8], "--json")
    answer = json.loads(told.stdout)
    assert (told.exit_code, answer["error"]["code"], answer["next"]) == (3, "PlanDiffers", ["aurora-restore plan"])
    assert [each["message"] for each in answer["error"]["problems"]] == [
        '- cluster.instances[0].db_instance_class: "db.r6g.large"',
        '+ cluster.instances[0].db_instance_class: "db.r6g.4xlarge"',
    ]
    assert [each.get("dry_run") for each in world.started] == [True, True]


def test_an_id_of_the_plan_itself_is_not_used_for_what_follows(world: World) -> None:
    digest = json.loads(world.type("plan", "--set", "operation_id=mine", "--json").stdout)["data"]["digest"]
    assert world.type("start", "--plan", digest).exit_code == 0
    assert [each.get("operation_id") for each in world.started] == ["mine", None, None]


def test_what_destroys_is_confirmed_after_the_second_plan(world: World) -> None:
    world.plan["source_deletion"] = {"cluster_identifier": "prod-orders"}
    digest = json.loads(world.type("plan", "--json").stdout)["data"]["digest"]
    told = world.type("start", "--plan", digest[:8])
    assert told.exit_code == 9
    assert "prod-orders" in told.stderr
    assert world.type("start", "--plan", digest[:8], "--yes").exit_code == 0


def test_a_digest_that_was_not_planned_here_says_so(world: World) -> None:
    told = world.type("start", "--plan", "0" * 8)
    assert told.exit_code == 7
    assert "only to the user and on the machine that planned" in told.stderr


def test_a_plan_by_its_operation_is_started_as_before(world: World) -> None:
    world.type("plan")
    assert world.type("start", "--plan", "operation-1").exit_code == 0
    assert len(world.started) == 2


def test_where_nothing_can_be_kept_the_plan_is_shown_all_the_same(world: World, home: Path) -> None:
    home.parent.parent.mkdir()
    home.parent.write_text("in the way")
    told = world.type("plan")
    assert told.exit_code == 0
    assert told.stdout.splitlines()[-1] == "Start exactly this: aurora-restore start --plan operation-1"
    assert "could not be kept" in told.stderr
