"""What no linter says about the state machine: it is whole, fails as it should, and waits no longer than it may."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from awslambdaric.lambda_runtime_exception import FaultException  # type: ignore[import-untyped]  # no types

from scripts.checks.expansion import definition, source
from scripts.checks.invocation_errors import INVOCATION_ERRORS, SLOWEST_WAKING_SECONDS, UNDECLARED, names
from utils import errors
from utils.aws import AssumedRole
from utils.pauses import LONGEST_ANNOUNCED_SECONDS, LONGEST_PAUSE_SECONDS
from utils.state.lock import LOCK_SECONDS, SPARE_SECONDS
from utils.steps.open import DEADLINE as OPENING_DEADLINE
from utils.steps.slices import DEADLINE as SLICES_DEADLINE
from utils.steps.swap import PATIENCE
from utils.steps.swap_begin import WINDOW_PATIENCE

ASL = definition()
STATES: dict[str, dict[str, Any]] = ASL["States"]
KEEPS_TOKEN = "${KeepTokenAndWait}"
# Those that call a function, and those that wait until an event or their time ends them.
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task" and state["Resource"] != KEEPS_TOKEN}
TOKEN_WAITS = {name: state for name, state in STATES.items() if state.get("Resource") == KEEPS_TOKEN}
ENDS = {"Succeed", "Fail"}

OWN_ERRORS = {name for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, Exception)}
PASSING, DIED, STAYING = (set(names(kind)) for kind in ("passes", "died", "stays"))


def caught(state: dict[str, Any]) -> list[str]:
    return [catcher["Next"] for catcher in state.get("Catch", [])]


def following(state: dict[str, Any]) -> list[str]:
    """Where a state goes when nothing goes wrong."""
    named = [state[key] for key in ("Next", "Default") if key in state]
    return named + [choice["Next"] for choice in state.get("Choices", [])]


def pauses(rule: dict[str, Any]) -> list[float]:
    """The pauses before the attempts of a retry rule, in seconds."""
    grown = [rule["IntervalSeconds"] * rule["BackoffRate"] ** number for number in range(rule["MaxAttempts"])]
    return [float(min(pause, rule["MaxDelaySeconds"])) for pause in grown]


def reachable(start: str) -> set[str]:
    found, new = set[str](), [start]
    while new:
        name = new.pop()
        if name not in found:
            found.add(name)
            new += following(STATES[name]) + caught(STATES[name])
    return found


def test_every_state_that_is_named_exists() -> None:
    named = {name for state in STATES.values() for name in following(state) + caught(state)} | {ASL["StartAt"]}
    assert named <= set(STATES)


def test_every_state_can_be_reached() -> None:
    assert reachable(ASL["StartAt"]) == set(STATES)


def test_every_state_but_the_last_ones_goes_on() -> None:
    assert {name for name, state in STATES.items() if not following(state)} == {
        name for name, state in STATES.items() if state["Type"] in ENDS
    }


def test_every_choice_has_a_default_so_that_no_value_stops_the_machine() -> None:
    assert [name for name, state in STATES.items() if state["Type"] == "Choice" and "Default" not in state] == []


@pytest.mark.parametrize("name", TASKS)
def test_every_caught_path_ends_in_fail(name: str) -> None:
    for catcher in TASKS[name]["Catch"]:
        if catcher["ErrorEquals"] == ["MasterLoginRefused"]:
            continue  # leads back to where the password is set
        target = catcher["Next"]
        assert {STATES[end]["Type"] for end in reachable(target) if STATES[end]["Type"] in ENDS} == {"Fail"}


@pytest.mark.parametrize("name", TASKS)
def test_every_task_catches_everything_and_has_a_time_limit(name: str) -> None:
    task = TASKS[name]
    assert task["TimeoutSeconds"] > 0
    assert task["Retry"]
    assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"]
    assert all("States.ALL" not in catcher["ErrorEquals"] for catcher in task["Catch"][:-1])


@pytest.mark.parametrize("name", TOKEN_WAITS)
def test_a_wait_for_an_event_goes_on_by_time_whatever_happens(name: str) -> None:
    """Its time being up is no failure; and where its token is not kept, the same time passes in another state."""
    wait = TOKEN_WAITS[name]
    timed, others = wait["Catch"]
    assert timed == {"ErrorEquals": ["States.Timeout"], "ResultPath": "$.woken", "Next": wait["Next"]}
    assert others == {"ErrorEquals": ["States.ALL"], "ResultPath": "$.woken", "Next": f"{name} by Time"}
    by_time = {"Type": "Wait", "SecondsPath": wait["TimeoutSecondsPath"], "Next": wait["Next"]}
    assert {key: value for key, value in STATES[f"{name} by Time"].items() if key != "Comment"} == by_time
    assert "Retry" not in wait


def test_a_refused_master_password_alone_leads_back_to_where_it_is_set() -> None:
    back = [
        (name, each) for name, task in TASKS.items() for each in task["Catch"] if each["Next"] == "Restore Snapshot"
    ]
    assert [(name, each["ErrorEquals"]) for name, each in back] == [
        ("Transform Data", ["MasterLoginRefused"]),
        ("Setup DB Users", ["MasterLoginRefused"]),
        ("Verify Data", ["MasterLoginRefused"]),
    ]


@pytest.mark.parametrize("name", ["Restore Snapshot", "Check Restore Status", "Check Instances"])
def test_a_lack_of_capacity_cleans_nothing_up(name: str) -> None:
    (edge,) = [each for each in TASKS[name]["Catch"] if "CapacityShortage" in each["ErrorEquals"]]
    assert edge["ErrorEquals"] == ["CapacityShortage"]
    assert edge["Next"] == "Send Failure Notification"
    assert not {each for each in reachable(edge["Next"]) if "Clean" in each}


@pytest.mark.parametrize("name", TASKS)
def test_a_caught_error_never_overwrites_what_the_task_was_given(name: str) -> None:
    for catcher in TASKS[name]["Catch"]:
        assert catcher["ResultPath"] in ("$.error", "$.clean_up.error", "$.notification_error", "$.login")


@pytest.mark.parametrize("name", TASKS)
def test_errors_are_caught_by_names_that_exist(name: str) -> None:
    assert {error for rule in TASKS[name]["Catch"] for error in rule["ErrorEquals"]} <= OWN_ERRORS | {"States.ALL"}


@pytest.mark.parametrize("name", TASKS)
def test_what_may_pass_is_retried_and_what_stays_never_is(name: str) -> None:
    """Neither is left to a wildcard: States.ALL and States.TaskFailed would also retry what a person has to act on."""
    passing, died = TASKS[name]["Retry"]
    assert set(passing["ErrorEquals"]) == PASSING
    assert set(died["ErrorEquals"]) == DIED


@pytest.mark.parametrize("name", TASKS)
def test_no_chance_shortens_the_time_that_a_task_is_retried(name: str) -> None:
    """JitterStrategy FULL draws each pause between nothing and its length, so that all of them may be nothing."""
    for rule in TASKS[name]["Retry"]:
        assert rule["JitterStrategy"] == "NONE"
        assert rule["BackoffRate"] >= 1.5
        assert 0 < rule["IntervalSeconds"] <= rule["MaxDelaySeconds"] <= 120
        assert rule["MaxAttempts"] <= 12


@pytest.mark.parametrize("name", TASKS)
def test_what_passes_is_retried_for_a_quarter_of_an_hour_and_soon_after_it_has_passed(name: str) -> None:
    """An idle function is back after two minutes at most; a database or a throttled API may need longer."""
    attempts = list(itertools.accumulate(pauses(TASKS[name]["Retry"][0]), initial=0.0))
    assert attempts[-1] > 900 > SLOWEST_WAKING_SECONDS
    woken = next(moment for moment in attempts if moment >= SLOWEST_WAKING_SECONDS)
    assert woken < 2 * SLOWEST_WAKING_SECONDS


@pytest.mark.parametrize("name", TASKS)
def test_a_function_that_died_is_called_again_for_a_minute(name: str) -> None:
    assert sum(pauses(TASKS[name]["Retry"][1])) >= 60


def declared_by_invoke() -> set[str]:
    invoke = botocore.session.get_session().get_service_model("lambda").operation_model("Invoke")
    return {f"Lambda.{shape.metadata.get('error', {}).get('code', shape.name)}" for shape in invoke.error_shapes}


def test_every_error_that_invoke_declares_has_its_line_and_no_line_is_invented() -> None:
    known = {row.name for row in INVOCATION_ERRORS}
    assert declared_by_invoke() <= known, "classify what Lambda has declared anew in scripts/checks/invocation_errors"
    assert {name for name in known if name.startswith("Lambda.")} == declared_by_invoke() | UNDECLARED


def test_every_error_of_the_runtime_and_of_the_pipeline_has_its_line() -> None:
    known = {row.name for row in INVOCATION_ERRORS}
    runtime = {value for key, value in vars(FaultException).items() if key.isupper()}
    assert runtime
    assert runtime <= STAYING
    assert known >= OWN_ERRORS
    assert {"TemporaryFailure"} == OWN_ERRORS & PASSING


def test_each_error_stands_in_the_table_once_with_a_source() -> None:
    listed = [row.name for row in INVOCATION_ERRORS]
    assert len(listed) == len(set(listed))
    assert all(row.why and row.source.startswith(("https://", "utils/")) for row in INVOCATION_ERRORS)


# What the guides and people's reports say of single errors, so that a mistake in the table shows.
@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        ("Lambda.CodeArtifactUserPendingException", PASSING),
        ("Lambda.ENINotReadyException", PASSING),
        ("Lambda.ResourceNotReadyException", PASSING),
        ("Lambda.ResourceConflictException", PASSING),
        ("Lambda.EC2ThrottledException", PASSING),
        ("Lambda.TooManyRequestsException", PASSING),
        ("Lambda.ClientExecutionTimeoutException", PASSING),
        ("Lambda.ServiceException", PASSING),
        ("Lambda.AWSLambdaException", PASSING),
        ("Lambda.SdkClientException", PASSING),
        ("TemporaryFailure", PASSING),
        ("Lambda.Unknown", DIED),
        ("Sandbox.Timedout", DIED),
        ("States.Timeout", DIED),
        ("Lambda.CodeArtifactUserFailedException", STAYING),
        ("Lambda.ResourceNotFoundException", STAYING),
        ("Lambda.KMSDisabledException", STAYING),
        ("RequestRefused", STAYING),
        ("DuplicateRefused", STAYING),
        ("StepFailed", STAYING),
    ],
)
def test_single_errors_are_classified_as_their_sources_say(error: str, becomes: set[str]) -> None:
    assert error in becomes


def test_every_loop_waits() -> None:
    """A loop without a Wait would call Lambda as fast as it can until the execution's 25,000 events are used up."""
    seen = set[str]()

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"{' -> '.join(way)} -> {name} goes round without waiting"
        if name not in seen and STATES[name]["Type"] != "Wait" and name not in TOKEN_WAITS:
            for each in following(STATES[name]) + caught(STATES[name]):
                walk(each, (*way, name))
            seen.add(name)

    for name in STATES:
        walk(name, ())


def test_a_failing_notification_or_clean_up_never_hides_the_first_error() -> None:
    goes_on = {"MasterLoginRefused"}  # no failure yet: it leads back to where the password is set
    failing = [
        each["Next"] for task in TASKS.values() for each in task["Catch"] if not goes_on & {*each["ErrorEquals"]}
    ]
    after_failure = set().union(*map(reachable, failing))
    for name in after_failure:
        assert STATES[name].get("ResultPath") not in ("$", "$.error")
        assert STATES[name].get("OutputPath", "$") == "$"
        first_error_kept = [catcher["ResultPath"] != "$.error" for catcher in STATES[name].get("Catch", [])]
        assert all(first_error_kept), name


def longest_delay(rule: dict[str, Any]) -> float:
    """All pauses of a retry rule together."""
    return sum(pauses(rule))


def longest_task(task: dict[str, Any]) -> float:
    attempts = 1 + sum(rule["MaxAttempts"] for rule in task["Retry"])
    return float(attempts * task["TimeoutSeconds"]) + sum(map(longest_delay, task["Retry"]))


def largest(parameter: str) -> int:
    return int(source()["Parameters"][parameter]["MaxValue"])


def ways(name: str, way: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every way through the machine that goes round each loop once: a choice is come back to, a task isn't."""
    state = STATES[name]
    if way.count(name) > (state["Type"] == "Choice"):
        return
    if state["Type"] in ENDS:
        yield (*way, name)
    for each in dict.fromkeys(following(state) + caught(state)):
        yield from ways(each, (*way, name))


WINDOW_HOURS = round(WINDOW_PATIENCE.total_seconds() / 3600)
# It counts again from each of the five moments that a swap records (utils/steps/swap.py, `time_is_up`).
SWAP_HOURS = round(6 * PATIENCE.total_seconds() / 3600)


def test_the_machine_lives_longer_than_all_its_deadlines_together() -> None:
    """A machine that times out can't clean up. So every deadline of a step has to come first, on every way."""
    deadline_of = {
        "Check Copy Status": largest("CopyDeadlineHours"),
        "Check Restore Status": largest("RestoreDeadlineHours"),
        # From the same moment as the one before it: Restore Snapshot's.
        "Check Instances": 0,
        "Transform Data": round(SLICES_DEADLINE.total_seconds() / 3600),
        "Verify Data": round(SLICES_DEADLINE.total_seconds() / 3600),
        # Of a swap, and of its end after a failure; and what is waited for before that.
        "Swap Cluster": WINDOW_HOURS + SWAP_HOURS,
        "Roll Back": WINDOW_HOURS + SWAP_HOURS,
        "Finish Swap": SWAP_HOURS,
        "Name the Stopped Drill": 1,
        "Name the Stopped Swap": 1,
        "Open Cluster": round(OPENING_DEADLINE.total_seconds() / 3600),
        "Check Delete Status": largest("DeleteDeadlineHours"),
        "Check Clean-up Status": largest("DeleteDeadlineHours"),
        "Check End of Drill": largest("DeleteDeadlineHours"),
        "Archive Snapshot": largest("ExportDeadlineHours"),
    }
    waits = {name for name, state in STATES.items() if state["Type"] == "Wait" or name in TOKEN_WAITS}
    waits -= {f"{name} by Time" for name in TOKEN_WAITS}  # in its place
    assert len(deadline_of) == len(waits), "a new loop needs a deadline here"
    after_events = {state["Next"] for state in TOKEN_WAITS.values()}

    def late(name: str) -> int:
        return LONGEST_ANNOUNCED_SECONDS if name in after_events else LONGEST_PAUSE_SECONDS

    def longest(way: tuple[str, ...]) -> float:
        tasks = sum(longest_task(TASKS[name]) for name in way if name in TASKS)
        # A deadline is noticed at the first look after it: one wait late.
        return tasks + sum(deadline_of[name] * 3600 + late(name) for name in way if name in deadline_of)

    assert ASL["TimeoutSeconds"] > max(longest(way) for way in ways(ASL["StartAt"]))


def test_the_lock_outlives_every_pause_between_two_steps() -> None:
    """A lock that expired while its run waits would let another run in. It is held beyond the pause after each step."""
    slowest_retries = max(sum(map(longest_delay, task["Retry"])) + task["TimeoutSeconds"] for task in TASKS.values())
    assert slowest_retries < SPARE_SECONDS < LOCK_SECONDS


def test_credentials_of_another_account_outlive_a_step_that_is_retried_to_the_end() -> None:
    """They are measured against the time at which the state was entered, which no retry changes."""
    in_the_vpc = {"Transform Data", "Setup DB Users", "Verify Data"} | {
        *("Check Swap", "Check Rollback", "Check Swap to Finish")
    }
    calling_other_accounts = set(TASKS) - in_the_vpc
    longest = max(longest_task(TASKS[name]) for name in calling_other_accounts)
    assert AssumedRole.SPARE.total_seconds() > longest
