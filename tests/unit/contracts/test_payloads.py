"""Every task is handed exactly what its handler reads, from what the states before it have written, on every way there.

The execution's data is followed through the machine by type: each key of it is what a request, a result or a caught
error puts there. So a field that is renamed in one place fails here.
"""

from __future__ import annotations

import datetime as dt
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

import msgspec
import pytest
from msgspec import Struct

from scripts.checks.expansion import definition
from scripts.checks.handlers import folder_of, result_type, task_type
from utils.contracts.payloads import ExecutionError, Woken

STATES: dict[str, dict[str, Any]] = definition()["States"]
KEEPS_TOKEN = "${KeepTokenAndWait}"
TASKS = {name: state for name, state in STATES.items() if state["Type"] == "Task" and state["Resource"] != KEEPS_TOKEN}

# What Step Functions tells of an execution (Developer Guide, "Context object").
CONTEXT = {
    "$$.Execution.Id": str,
    "$$.Execution.Name": str,
    "$$.Execution.StartTime": dt.datetime,
    "$$.State.EnteredTime": dt.datetime,
    # 0 before the first redrive; of the fields about redrives only RedriveTime is missing then.
    "$$.Execution.RedriveCount": int,
}
# Fields that may be missing in the plan where the state machine goes to these states only if they aren't.
GUARDED = {("Copy Snapshot", "copy"), ("Check Copy Status", "copy"), ("Transform Data", "masking")} | {
    ("Verify Data", "verification"), ("Look at Source", "source"),
} | {
    (name, field)
    for name, field in [
        ("Swap Cluster", "replaces"), ("Finish Swap", "replaces"),
        ("Roll Back", "replaces"), ("Check Rollback", "errand"),
        ("Check Swap", "errand"), ("Check Swap to Finish", "errand"),
    ]
}  # fmt: skip
# What is there wherever the state machine goes to these states, so that a path may lead through it.
THROUGH = {("Compare with Source?", "$.plan.verification"), ("Look at Source", "$.plan.verification")}

Data = Mapping[str, frozenset[Any]]
"""For each top-level key of the execution's data: the types that it may have. A key that may be missing isn't there."""


def members(hint: Any) -> frozenset[Any]:
    """The parts of a union, Optional included."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return frozenset().union(*(members(each) for each in typing.get_args(hint)))
    return frozenset({hint})


def field_types(struct: type[Struct]) -> dict[str, Any]:
    """By the name that a field has in JSON."""
    return {field.encode_name: field.type for field in msgspec.structs.fields(struct)}


def lookup(data: Data, path: str, state: str = "") -> frozenset[Any]:
    """The types that a reference path may lead to. Fails when on some way there nothing is at its end."""
    if path in CONTEXT:
        return frozenset({CONTEXT[path]})
    if path == "$":
        return frozenset({Any})
    key, *rest = path.removeprefix("$.").split(".")
    assert key in data, f"{path}: nothing has written {key} on some way to here"
    found, passed = data[key], f"$.{key}"
    for name in rest:
        deeper: frozenset[Any] = frozenset()
        for each in found:
            if each is Any:
                deeper |= {Any}
                continue
            assert isinstance(each, type), f"{path}: {each} has no fields"
            assert issubclass(each, Struct), f"{path}: {each} has no fields"
            assert name in field_types(each), f"{path}: {each.__name__} has no {name}"
            deeper |= members(field_types(each)[name])
        passed += f".{name}"
        found = without_none(deeper) if (state, passed) in THROUGH else deeper
    return found


def fits(given: Any, wanted: frozenset[Any]) -> bool:
    """Whether a value of the one type is always one of the others."""
    if given is Any or Any in wanted or given in wanted:
        return True
    if typing.get_origin(given) is Literal:
        allowed = {value for each in wanted if typing.get_origin(each) is Literal for value in typing.get_args(each)}
        return str in wanted or set(typing.get_args(given)) <= allowed
    return False


def without_none(hints: frozenset[Any]) -> frozenset[Any]:
    return hints - {types.NoneType}


def after_task(name: str, data: Data) -> Data:
    state = STATES[name]
    if state["Type"] == "Pass":
        given = {key.removesuffix(".$"): value for key, value in state["Parameters"].items()}
        if state.get("ResultPath") == "$.error":
            assert set(given) == {"Error", "Cause"}
            return written(data, "$.error", ExecutionError)
        return {key: frozenset({types.NoneType if value is None else Any}) for key, value in given.items()}
    if state.get("Resource") == KEEPS_TOKEN:
        return written(data, state["ResultPath"], Woken)
    if state["Type"] == "Task" and state.get("ResultPath") is not None:
        return written(data, state["ResultPath"], result_type(function_of(state), state["Parameters"]))
    return data


def written(data: Data, path: str, value: type[Struct]) -> Data:
    key, *rest = path.removeprefix("$.").split(".")
    if rest:
        assert key in data, f"{path}: there is no {key} to write into"
        return data
    return {**data, key: frozenset({value})}


def function_of(state: dict[str, Any]) -> str:
    return folder_of(state["Resource"].removeprefix("${").removesuffix("Arn}"))


def edges(name: str, data: Data) -> list[tuple[str, Data]]:
    state = STATES[name]
    after = after_task(name, data)
    found = [(state[key], after) for key in ("Next", "Default") if key in state]
    found += [(choice["Next"], after) for choice in state.get("Choices", [])]
    # Of a wait whose time is up its look reads as much as of one that an event has ended.
    caught = Woken if state.get("Resource") == KEEPS_TOKEN else ExecutionError
    found += [(each["Next"], written(data, each["ResultPath"], caught)) for each in state.get("Catch", [])]
    return found


def data_at_every_state() -> dict[str, Data]:
    """What is certainly there when a state is entered, whichever way led to it."""
    start = definition()["StartAt"]
    known: dict[str, Data] = {start: {}}
    new = [start]
    while new:
        name = new.pop()
        for following, data in edges(name, known[name]):
            before = known.get(following)
            merged = data if before is None else {key: before[key] | data[key] for key in before.keys() & data.keys()}
            if merged != before:
                known[following] = merged
                new.append(following)
    return known


DATA = data_at_every_state()


def check_parameters(state: str, given: Mapping[str, Any], struct: type[Struct], where: str) -> None:
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    names = {key.removesuffix(".$") for key in given}
    assert names <= set(fields), f"{where}: {struct.__name__} knows no {names - set(fields)}"
    required = {name for name, field in fields.items() if field.required}
    assert required <= names, f"{where}: {struct.__name__} needs {required - names}"
    for key, value in given.items():
        name = key.removesuffix(".$")
        wanted = members(fields[name].type)
        if key.endswith(".$"):
            found = lookup(DATA[state], value, state)
            found = without_none(found) if (state, name) in GUARDED else found
            for each in found:
                assert fits(each, wanted), f"{where}.{name}: {value} may be {each}, the handler reads {wanted}"
        elif isinstance(value, dict):
            (nested,) = without_none(wanted)
            check_parameters(state, value, nested, f"{where}.{name}")
        else:
            msgspec.convert(value, fields[name].type)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_handed_what_its_handler_reads(name: str) -> None:
    folder = function_of(TASKS[name])
    check_parameters(name, TASKS[name]["Parameters"], task_type(folder, TASKS[name]["Parameters"]), name)


def test_how_a_wait_ends_is_read_whichever_way_it_does() -> None:
    by_event = {"at": "2026-11-27T08:00:00+00:00", "event": "RDS-EVENT-0170"}
    assert msgspec.convert(by_event, Woken).at == dt.datetime(2026, 11, 27, 8, tzinfo=dt.UTC)
    for error in ("States.Timeout", "DynamoDb.ProvisionedThroughputExceededException"):
        assert msgspec.convert({"Error": error, "Cause": "it is"}, Woken).at is None


@pytest.mark.parametrize("name", [name for name in STATES if STATES[name].get("Resource") == KEEPS_TOKEN])
def test_what_a_wait_keeps_is_there_on_every_way_to_it(name: str) -> None:
    item = STATES[name]["Parameters"]["Item"]
    for path in (item["operation_id"]["S.$"], item["expires_at"]["N.$"]):
        assert lookup(DATA[name], path) == {str}


def left_out(given: Mapping[str, Any], struct: type[Struct], where: str = "") -> set[str]:
    """The fields that a state doesn't hand on, so that the handler goes by their defaults."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(struct)}
    names = {key.removesuffix(".$"): value for key, value in given.items()}
    found = {f"{where}{name}" for name in fields.keys() - names.keys()}
    for name, value in names.items():
        if isinstance(value, dict):
            (nested,) = without_none(members(fields[name].type))
            found |= left_out(value, nested, f"{where}{name}.")
    return found


# Why a default is meant: what a step is before the clean-up, what isn't known on this way, what a clean-up never does.
BEFORE_A_CLEAN_UP = {"run.cleaning_up"}
MEANT: dict[str, set[str]] = {
    "Check Snapshot Exists": set(),
    "Copy Snapshot": BEFORE_A_CLEAN_UP,
    "Check Copy Status": BEFORE_A_CLEAN_UP,
    "Begin Export": BEFORE_A_CLEAN_UP,
    "Restore Snapshot": BEFORE_A_CLEAN_UP,
    "Check Restore Status": BEFORE_A_CLEAN_UP,
    "Check Instances": BEFORE_A_CLEAN_UP,
    "Transform Data": BEFORE_A_CLEAN_UP,
    "Setup DB Users": BEFORE_A_CLEAN_UP,
    "Look at Source": BEFORE_A_CLEAN_UP,
    "Verify Data": BEFORE_A_CLEAN_UP,
    "Swap Cluster": BEFORE_A_CLEAN_UP | {"finishing"},
    "Check Swap": BEFORE_A_CLEAN_UP,
    "Roll Back": BEFORE_A_CLEAN_UP | {"finishing"},
    "Check Rollback": BEFORE_A_CLEAN_UP,
    "Finish Swap": BEFORE_A_CLEAN_UP,
    "Check Swap to Finish": BEFORE_A_CLEAN_UP,
    "Open Cluster": BEFORE_A_CLEAN_UP,
    "Delete RDS": BEFORE_A_CLEAN_UP | {"ends_drill"},
    "Check Delete Status": BEFORE_A_CLEAN_UP,
    "Archive Snapshot": BEFORE_A_CLEAN_UP | {"begins_export"},
    "Send Success Notification": {"error", "clean_up", "stopped", "died", "ended_as"},
    "Send Rollback Notification": {"users", "archive", "error", "clean_up", "stopped", "died", "ended_as"},
    "Send Plan Notification": {"users", "archive", "error", "clean_up", "stopped", "died", "ended_as"},
    "End Drill": {"deletion"},
    # No event ends the wait of a clean-up, which nobody is waiting for.
    "Check End of Drill": {"deletion", "woken"},
    "Remove Copy of Drill": {"begins_export"},
    "Clean Up Cluster": {"deletion", "ends_drill"},
    "Check Clean-up Status": {"deletion", "woken"},
    "Clean Up Snapshot": {"begins_export"},
    "Send Failure Notification": {"plan", "users", "archive", "stopped", "died", "ended_as"},
}


@pytest.mark.parametrize("name", TASKS)
def test_no_field_of_a_task_is_left_to_its_default_unless_that_is_meant(name: str) -> None:
    """Else what a request switches on (`quarantine`, `inherited_logins`, `export`) would be switched off silently."""
    reads = task_type(function_of(TASKS[name]), TASKS[name]["Parameters"])
    assert left_out(TASKS[name]["Parameters"], reads) == MEANT[name]


def test_a_field_that_is_no_longer_handed_on_is_seen() -> None:
    for name in TASKS:
        reads, given = task_type(function_of(TASKS[name]), TASKS[name]["Parameters"]), TASKS[name]["Parameters"]
        for key in given:
            without = {each: value for each, value in given.items() if each != key}
            assert left_out(without, reads) != MEANT[name], (name, key)


@pytest.mark.parametrize("name", [name for name, state in STATES.items() if state["Type"] == "Choice"])
def test_a_choice_compares_what_is_there_with_what_it_can_be(name: str) -> None:
    rules = [each for choice in STATES[name]["Choices"] for each in choice.get("And", [choice])]
    for choice in rules:
        comparison = next(key for key in choice if key not in ("Variable", "Next"))
        if comparison == "IsNull":
            # Of a path that leads nowhere it fails, as `lookup` does; and it decides only where there may be nothing.
            assert types.NoneType in lookup(DATA[name], choice["Variable"], name)
            continue
        wanted: frozenset[Any] = {
            "BooleanEquals": frozenset({bool}),
            "StringEquals": frozenset({str}),
        }[comparison]
        for found in lookup(DATA[name], choice["Variable"], name):
            assert fits(found, wanted)
            if typing.get_origin(found) is Literal:
                assert choice[comparison] in typing.get_args(found)


@pytest.mark.parametrize("name", [name for name, state in STATES.items() if state["Type"] == "Wait"])
def test_a_wait_is_told_a_number_of_seconds(name: str) -> None:
    if "Seconds" not in STATES[name]:
        assert lookup(DATA[name], STATES[name]["SecondsPath"]) == {int}


@pytest.mark.parametrize("name", [name for name, state in STATES.items() if state["Type"] == "Fail"])
def test_a_failed_execution_ends_with_the_first_error(name: str) -> None:
    assert STATES[name]["ErrorPath"] == "$.error.Error"
    assert STATES[name]["CausePath"] == "$.error.Cause"
    assert DATA[name]["error"] == {ExecutionError}


def test_each_result_is_written_where_nothing_else_is() -> None:
    """A step writes one key: its own, again at every turn of its loop."""
    writers: dict[str, set[type[Struct]]] = {}
    for state in TASKS.values():
        if state["ResultPath"] is not None:
            writers.setdefault(state["ResultPath"], set()).add(result_type(function_of(state), state["Parameters"]))
    assert all(len(results) == 1 for results in writers.values())


def test_what_the_checks_of_this_file_catch() -> None:
    """They are own code, so they are shown to fail."""
    task = TASKS["Check Copy Status"]
    reads = task_type(function_of(task), task["Parameters"])
    given: dict[str, Any] = task["Parameters"]
    for broken in (
        {key: value for key, value in given.items() if key != "progress.$"},
        {**given, "unheard_of": 1},
        {**given, "progress.$": "$.restore"},
        {**given, "progress.$": "$.plan.copy"},
        {**given, "copy.$": "$.plan.copyy"},
        {**given, "run": {key: value for key, value in given["run"].items() if key != "now.$"}},
        {**given, "run": {**given["run"], "now.$": "$$.Execution.Name"}},
    ):
        with pytest.raises(AssertionError):
            check_parameters("Check Copy Status", broken, reads, "broken")
