"""How a step runs: under the lock, with errors that the state machine knows, and with everything written down."""

from __future__ import annotations

import contextlib
import datetime as dt
import inspect
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from msgspec import Struct

from tests.unit.conftest import LogLines
from tests.unit.fakes.rds import FakeRds
from tests.unit.support import (
    APP_SECRET,
    AUDIT_TABLE,
    EXECUTION,
    NOW,
    OPERATION,
    OTHER_EXECUTION,
    STATE_TABLE,
    TARGET,
    Context,
    a_plan,
    a_run,
)
from utils import errors
from utils.aws import client
from utils.changes import proving
from utils.common import Work, always, edge_step, step
from utils.contracts.payloads import ExecutionError, StepRun
from utils.errors import RequestRefused, StepFailed, TemporaryFailure
from utils.messages.failure import cause_lines
from utils.state.lock import LOCK_SECONDS, TargetLock
from utils.state.operation import OperationState

pytestmark = pytest.mark.usefixtures("account")

THROTTLED = ClientError({"Error": {"Code": "Throttling", "Message": "Rate exceeded"}}, "DescribeDBClusters")
DENIED = ClientError({"Error": {"Code": "AccessDenied", "Message": "No."}}, "DeleteDBCluster")
CUT_OFF = EndpointConnectionError(endpoint_url="https://rds.us-east-1.amazonaws.com/")


class Task(Struct, frozen=True, kw_only=True):
    run: StepRun
    name: str = ""


class Result(Struct, frozen=True, kw_only=True):
    answer: str
    at: dt.datetime = NOW


def event(**changes: Any) -> dict[str, Any]:
    answer: dict[str, Any] = msgspec.to_builtins(Task(run=a_run(**changes)))
    return answer


def run(do: Any, given: dict[str, Any] | None = None) -> Any:
    return step("check-copy-status", Task)(do)(given or event(), Context())  # type: ignore[arg-type] # only its id is read


def failing(error: Exception) -> Any:
    def do(task: Task, work: Work) -> Result:
        raise error

    return do


def waiting(task: Task, work: Work) -> Result:
    return Result(answer="wait")


def look(do: Any, given: dict[str, Any] | None = None) -> Any:
    return step("open-cluster", Task, looks=True, is_timed=always)(do)(given or event(), Context())  # type: ignore[arg-type] # only its id is read


@contextlib.contextmanager
def calls() -> Iterator[list[str]]:
    """The calls to DynamoDB within the block."""
    made: list[str] = []
    events = client("dynamodb").meta.events

    def note(model: Any, **_: Any) -> None:
        made.append(model.name)

    events.register("before-parameter-build.dynamodb", note)
    try:
        yield made
    finally:
        events.unregister("before-parameter-build.dynamodb", note)


@pytest.fixture(autouse=True)
def operation(account: None) -> OperationState:
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, a_plan(), "running")
    return state


def trail() -> list[tuple[str, str, dict[str, Any]]]:
    items = client("dynamodb").scan(TableName=AUDIT_TABLE)["Items"]
    return [
        (each["event_type"]["S"], each["status"]["S"], {k: v.get("S") for k, v in each["event_details"]["M"].items()})
        for each in items
    ]


# What a step leaves behind


def test_a_steps_result_goes_back_as_plain_json_and_into_the_audit() -> None:
    answer = run(waiting)
    assert answer == {"answer": "wait", "at": "2026-03-10T03:00:00Z"}
    ((kind, status, details),) = trail()
    assert (kind, status) == ("check-copy-status", "waiting")
    assert details["at"] == "2026-03-10T03:00:00Z"


class Answer(Struct, frozen=True, kw_only=True):
    answer: str


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (Result(answer="done"), "done"),
        (Result(answer="wait"), "waiting"),
        (Answer(answer="wait"), "waiting"),
        (Answer(answer="advance"), "done"),
        (Answer(answer="done"), "done"),
    ],
)
def test_the_audit_tells_waiting_from_done(result: Struct, status: str) -> None:
    run(lambda task, work: result)
    ((_, audited, _),) = trail()
    assert audited == status


def test_the_state_says_which_step_is_at_work(operation: OperationState) -> None:
    def look(task: Task, work: Work) -> Result:
        assert work.record().state == "check-copy-status"
        return Result(answer="done")

    run(look)
    found = operation.recall()
    assert found is not None
    assert found.step_times["check-copy-status"] == "2026-03-10T03:00:00.000Z"


def test_cleaning_up_leaves_the_state_of_the_failed_step_alone(operation: OperationState) -> None:
    operation.enter("restore-snapshot")
    run(waiting, event(cleaning_up=True))
    found = operation.recall()
    assert found is not None
    assert found.state == "restore-snapshot"


# Errors: three names


@pytest.mark.parametrize(
    ("raised", "leaves"),
    [
        (StepFailed("No."), StepFailed),
        (RequestRefused("No."), RequestRefused),
        (TemporaryFailure("Soon."), TemporaryFailure),
        (THROTTLED, TemporaryFailure),
        (CUT_OFF, TemporaryFailure),
        (DENIED, StepFailed),
    ],
)
def test_an_error_leaves_under_one_of_three_names_and_is_audited_under_it(
    raised: Exception, leaves: type[Exception]
) -> None:
    """Step Functions matches a class's name exactly, whatever it inherits from."""
    with pytest.raises(leaves) as failed:
        run(failing(raised))
    assert type(failed.value) is leaves
    ((kind, status, details),) = trail()
    assert kind == "check-copy-status"
    assert status == ("retrying" if leaves is TemporaryFailure else "failed")
    assert details == {"error": leaves.__name__, "cause": str(failed.value)}


OWN_ERRORS = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)]


@pytest.mark.parametrize("kind", OWN_ERRORS)
def test_an_error_of_ours_keeps_its_lines(kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"^One\.\nTwo\.$"):
        run(failing(kind("One.\nTwo.")))
    assert trail()[0][2]["cause"] == "One.\nTwo."
    assert cause_lines(ExecutionError(error=kind.__name__, cause="One.\nTwo.")) == ["One.", "Two."]


def test_a_mistake_of_our_own_is_not_disguised() -> None:
    with pytest.raises(ZeroDivisionError):
        run(failing(ZeroDivisionError("division by zero")))
    assert trail() == [("check-copy-status", "failed", {"error": "ZeroDivisionError", "cause": "division by zero"})]


def test_rule_7_a_failing_audit_never_hides_the_error() -> None:
    client("dynamodb").delete_table(TableName=AUDIT_TABLE)
    with pytest.raises(StepFailed, match="The copy is gone"):
        run(failing(StepFailed("The copy is gone.")))


def test_a_failing_audit_of_a_success_is_tried_again() -> None:
    """The audit is evidence; a step without it hasn't succeeded."""
    client("dynamodb").delete_table(TableName=AUDIT_TABLE)
    with pytest.raises(StepFailed, match="PutItem answered ResourceNotFoundException"):
        run(waiting)


@pytest.mark.parametrize("given", [{}, {"run": {"operation_id": 7}}, {"run": None}, []])
def test_an_input_that_doesnt_fit_says_what_is_wrong_and_is_counted(
    given: Any, logs: LogLines, capsys: pytest.CaptureFixture[str]
) -> None:
    lambda_handler = step("check-copy-status", Task)(waiting)
    with pytest.raises(StepFailed, match="The input of check-copy-status is not valid"):
        lambda_handler(given, Context())  # type: ignore[arg-type] # only its id is read
    assert [entry["message"] for entry in logs.entries()] == ["step failed"]
    assert '"StepFailure"' in capsys.readouterr().out


# Rule 6: the lock


def test_rule_6_a_run_that_lost_its_lock_stops_before_it_touches_anything(operation: OperationState) -> None:
    later = NOW + dt.timedelta(hours=3)
    assert TargetLock(TARGET, "another", OTHER_EXECUTION).take(later) is None
    touched = []

    def touch(task: Task, work: Work) -> Result:
        touched.append(task)
        return Result(answer="done")

    with pytest.raises(StepFailed, match=f"no longer holds the lock on {TARGET}: {OTHER_EXECUTION} has taken it"):
        run(touch, event(now=later))
    assert touched == []
    found = operation.recall()
    assert found is not None
    assert found.state == "snapshot-check"


def test_each_step_renews_the_lock() -> None:
    run(waiting, event(now=NOW + dt.timedelta(hours=1)))
    assert expiry() == NOW + dt.timedelta(seconds=3600 + LOCK_SECONDS)


def test_a_step_without_a_record_of_its_operation_touches_nothing() -> None:
    def look(task: Task, work: Work) -> Result:
        return Result(answer="done" if work.record() is not None else "wait")

    with pytest.raises(StepFailed):
        run(look, event(operation_id="never-opened", target_cluster_id="another-target"))
    with pytest.raises(
        StepFailed, match=r"The state table has nothing on operation never-opened.*This step changed nothing"
    ):
        Work("check-copy-status", a_run(operation_id="never-opened")).record()


# A look that finds nothing new


def expiry() -> dt.datetime:
    """When the lock expires, as another execution sees it."""
    holder = TargetLock(TARGET, "another", OTHER_EXECUTION).take(NOW)
    assert holder is not None
    return holder.expires_at


@pytest.fixture
def looked(operation: OperationState) -> None:
    """The step has looked before, so that state and lock are as it leaves them."""
    look(waiting)


@pytest.mark.usefixtures("looked")
def test_a_look_that_finds_nothing_new_writes_nothing_and_reads_once() -> None:
    events = len(trail())
    with calls() as made:
        look(waiting, event(now=NOW + dt.timedelta(minutes=59)))
    assert made == ["BatchGetItem"]
    assert len(trail()) == events


def test_the_first_look_of_a_step_is_recorded_and_gives_the_record_as_it_is_then(operation: OperationState) -> None:
    def do(task: Task, work: Work) -> Result:
        assert work.record().entered("open-cluster") == NOW
        return Result(answer="done")

    look(do)
    found = operation.recall()
    assert found is not None
    assert (found.state, found.plan["target_cluster_id"]) == ("open-cluster", TARGET)


def observe(do: Any) -> Any:
    """A look whose deadline doesn't count from when it was first entered."""
    return step("check-copy-status", Task, looks=True)(do)(event(), Context())  # type: ignore[arg-type] # only its id is read


@pytest.mark.usefixtures("looked")
def test_the_first_look_of_a_loop_writes_nothing_either(operation: OperationState) -> None:
    with calls() as made:
        observe(waiting)
    assert made == ["BatchGetItem"]


@pytest.mark.usefixtures("looked")
@pytest.mark.parametrize("failure", [StepFailed("No."), TemporaryFailure("Soon.")])
def test_the_state_says_which_look_failed(operation: OperationState, failure: Exception) -> None:
    with pytest.raises(type(failure)):
        observe(failing(failure))
    found = operation.recall()
    assert found is not None
    assert found.state == "check-copy-status"
    assert trail()[-1][0] == "check-copy-status"


@pytest.mark.usefixtures("looked")
def test_the_end_of_a_loop_is_audited_and_leaves_the_state_to_the_step_after_it(operation: OperationState) -> None:
    before = operation.recall()
    observe(lambda task, work: Result(answer="done"))
    assert operation.recall() == before
    assert trail()[-1][:2] == ("check-copy-status", "done")


@pytest.mark.usefixtures("looked")
def test_what_a_look_has_audited_itself_is_not_audited_again() -> None:
    def do(task: Task, work: Work) -> Result:
        work.state.audit("door", "opening", {})
        client("secretsmanager").put_secret_value(SecretId=APP_SECRET, SecretString="{}")
        return Result(answer="wait")

    look(do)
    assert [each[:2] for each in trail()] == [("door", "opening")]


@pytest.mark.usefixtures("looked")
def test_how_a_look_ends_is_audited_and_that_an_action_is_due_is_not() -> None:
    look(lambda task, work: Result(answer="advance"))
    assert trail() == []
    look(lambda task, work: Result(answer="done"))
    assert [each[:2] for each in trail()] == [("open-cluster", "done")]


@pytest.mark.usefixtures("looked")
@pytest.mark.parametrize(("minutes", "renewed"), [(59, False), (61, True)])
def test_a_look_renews_a_lock_that_has_less_than_an_hour_left(minutes: int, renewed: bool) -> None:
    before = expiry()
    look(waiting, event(now=NOW + dt.timedelta(minutes=minutes)))
    assert (expiry() > before) is renewed


class Long(Struct, frozen=True, kw_only=True):
    answer: str = "wait"
    wait_seconds: int = 4 * 3600


@pytest.mark.usefixtures("looked")
@pytest.mark.parametrize("work_of", [look, run])
def test_the_lock_lasts_beyond_the_pause_after_a_step(work_of: Any) -> None:
    work_of(lambda task, work: Long())
    assert expiry() == NOW + dt.timedelta(seconds=4 * 3600 + LOCK_SECONDS)


def another_takes_the_lock() -> None:
    client("dynamodb").delete_item(TableName=STATE_TABLE, Key={"operation_id": {"S": f"lock#{TARGET}"}})
    assert TargetLock(TARGET, "another", OTHER_EXECUTION).take(NOW) is None


def the_operation_is_closed() -> None:
    OperationState(OPERATION, EXECUTION, NOW).close("failed")


def the_lock_is_released() -> None:
    TargetLock(TARGET, OPERATION, EXECUTION).release(NOW)


def another_resumes_it() -> None:
    state = OperationState(OPERATION, OTHER_EXECUTION, NOW)
    known = state.recall()
    assert known is not None
    state.hand_over(known, a_plan(), {})


def the_execution_is_redriven() -> None:
    OperationState(OPERATION, EXECUTION, NOW, redrive_count=1).enter("open-cluster")


def the_lock_is_the_redriven_ones() -> None:
    TargetLock(TARGET, OPERATION, EXECUTION, redrive_count=1).hold(NOW)


def the_record_is_gone() -> None:
    client("dynamodb").delete_item(TableName=STATE_TABLE, Key={"operation_id": {"S": OPERATION}})


MEANWHILE = [
    another_takes_the_lock,
    the_operation_is_closed,
    the_lock_is_released,
    another_resumes_it,
    the_execution_is_redriven,
    the_lock_is_the_redriven_ones,
    the_record_is_gone,
]


@pytest.mark.usefixtures("looked")
@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_rule_6_a_look_is_refused_as_a_step_that_acts_is(meanwhile: Any) -> None:
    meanwhile()
    refusals = []
    for work_of in (look, observe, run):
        with pytest.raises(StepFailed) as refused:
            work_of(lambda task, work: pytest.fail("it was let in"))
        refusals.append(str(refused.value))
    assert len(set(refusals)) == 1


OF_THE_LOCK = [another_takes_the_lock, the_lock_is_released, the_lock_is_the_redriven_ones]


@pytest.mark.usefixtures("looked")
@pytest.mark.parametrize(
    ("meanwhile", "cleaning_up"),
    # A clean-up leaves the state as it is: its lock alone proves that it may go on.
    [*((each, False) for each in MEANWHILE), *((each, True) for each in OF_THE_LOCK)],
)
def test_rule_6_what_happens_between_a_look_and_the_first_change_refuses_the_change(
    rds: FakeRds, meanwhile: Any, cleaning_up: bool
) -> None:
    """StopExecution doesn't end the function: a read at its beginning proves nothing any more."""

    def do(task: Task, work: Work) -> Result:
        meanwhile()
        work.aurora().delete_snapshot("x")
        return Result(answer="wait")

    with pytest.raises(StepFailed):
        look(do, event(cleaning_up=cleaning_up))
    assert rds.changes() == []


@pytest.mark.usefixtures("looked")
def test_before_whatever_changes_something_a_look_proves_once_that_it_may(rds: FakeRds) -> None:
    claimed: list[bool] = []

    def do(task: Task, work: Work) -> Result:
        work.aurora().cluster(TARGET)
        client("secretsmanager").get_secret_value(SecretId=APP_SECRET)
        claimed.append(work.has_proved)
        client("secretsmanager").put_secret_value(SecretId=APP_SECRET, SecretString="{}")
        claimed.append(work.has_proved)
        work.aurora().delete_snapshot("x")
        return Result(answer="wait")

    with calls() as made:
        look(do)
    assert claimed == [False, True]
    assert made == ["BatchGetItem", "PutItem", "UpdateItem", "PutItem"]
    assert trail()[-1][:2] == ("open-cluster", "waiting"), "what was done is audited, though it is waited for"


def test_what_is_changed_outside_a_step_needs_no_proof() -> None:
    with proving(lambda: pytest.fail("no step is at work")):
        pass
    client("secretsmanager").put_secret_value(SecretId=APP_SECRET, SecretString="{}")


# Logs and metrics


def test_every_line_of_the_log_bears_step_and_operation(logs: LogLines) -> None:
    run(waiting)
    (line,) = logs.entries()
    assert line["message"] == "step finished"
    assert line["outcome"] == "waiting"
    assert (line["step"], line["operation_id"]) == ("check-copy-status", OPERATION)
    assert line["function_request_id"] == Context.aws_request_id


def test_a_failure_is_logged_and_counted_under_the_name_that_the_state_machine_sees(
    logs: LogLines, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TemporaryFailure):
        run(failing(THROTTLED))
    (line,) = logs.entries()
    assert (line["level"], line["message"]) == ("ERROR", "step failed")
    assert line["error"] == "TemporaryFailure"
    assert line["cause"] == "DescribeDBClusters answered Throttling: Rate exceeded"
    (counted,) = (json.loads(each) for each in capsys.readouterr().out.splitlines())
    assert counted["StepFailure"] == [1.0]
    assert counted["error"] == "TemporaryFailure"


def test_a_success_is_counted_with_its_duration(capsys: pytest.CaptureFixture[str]) -> None:
    run(waiting)
    counted = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert [each["StepSuccess"] for each in counted if "StepSuccess" in each] == [[1.0]]
    assert [each["StepDuration"][0] >= 0 for each in counted if "StepDuration" in each] == [True]


def test_rule_9_neither_log_nor_metrics_show_the_event(logs: LogLines, capsys: pytest.CaptureFixture[str]) -> None:
    given = event() | {"name": "p4ssw0rd"}
    run(waiting, given)
    with pytest.raises(StepFailed):
        run(failing(StepFailed("No.")), given)
    assert "p4ssw0rd" not in logs.text.getvalue()
    assert "p4ssw0rd" not in capsys.readouterr().out


def test_a_step_at_the_edge_logs_under_its_own_operation_also_in_a_warm_function(logs: LogLines) -> None:
    run(waiting)
    do = edge_step("sns-notification", lambda raw: str(raw["name"]), lambda name: name)
    do(lambda name: Result(answer="done"))({"name": "tonight"}, Context())  # type: ignore[arg-type] # only its id is read
    assert [each["operation_id"] for each in logs.entries()] == [OPERATION, "tonight"]
