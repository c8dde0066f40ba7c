"""What CreateStateMachine checks: a definition is refused here if AWS refuses it, or if it needs more than we run.

Known: Task through a function's ARN, `arn:aws:states:::lambda:invoke` or
`arn:aws:states:::aws-sdk:dynamodb:putItem.waitForTaskToken`, Pass, Choice, Wait, Succeed and Fail in JSONPath. A
construct that AWS knows and we do not raises NotImplementedByLocalAws, a wrong one InvalidDefinition, whose wording is
AWS's where it is recorded (LocalStack's validated snapshots, tests/aws/services/stepfunctions/v2: test_sfn_api.py
test_create_delete_invalid_sm, scenarios/test_base_scenarios.py test_wait_timestamp_invalid).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from moto.core.utils import get_service_model

from scripts.local_aws.core.errors import AwsError, NotImplementedByLocalAws
from scripts.local_aws.core.json_text import loads
from scripts.local_aws.step_functions import language

_LAMBDA_INVOKE = re.compile(r"arn:aws[a-z-]*:states:::lambda:invoke")
_PUT_ITEM_AND_WAIT = re.compile(r"arn:aws[a-z-]*:states:::aws-sdk:dynamodb:putItem\.waitForTaskToken")
_FUNCTION_ARN = re.compile(r"arn:aws[a-z-]*:lambda:[a-z0-9-]+:\d{12}:function:[\w-]+(:[\w$-]+)?")

_FIELDS = {
    kind: set(fields.split())
    for kind, fields in {
        "Task": "Next End InputPath OutputPath Resource Parameters ResultSelector ResultPath Retry Catch "
        "TimeoutSeconds TimeoutSecondsPath",
        "Pass": "Next End InputPath OutputPath Result Parameters ResultPath",
        "Wait": "Next End InputPath OutputPath Seconds SecondsPath Timestamp TimestampPath",
        "Choice": "InputPath OutputPath Choices Default",
        "Succeed": "InputPath OutputPath",
        "Fail": "Error Cause ErrorPath CausePath",
    }.items()
}
_NOT_OURS = {"Map", "Parallel"}
_NOT_OUR_FIELDS = set("Assign Arguments Output QueryLanguage Credentials HeartbeatSeconds HeartbeatSecondsPath".split())
_MACHINE_FIELDS = {"Comment", "StartAt", "States", "TimeoutSeconds", "Version", "QueryLanguage"}
_RETRIER_FIELDS = {
    "ErrorEquals", "IntervalSeconds", "MaxAttempts", "BackoffRate", "MaxDelaySeconds", "JitterStrategy", "Comment",
}  # fmt: skip
# What each field holds in JSON. AWS's wording is quoted from rules that public linters take from its refusals.
_TYPES: dict[type, tuple[str, set[str]]] = {
    str: ("String", set("StartAt Type Comment Next Default Resource Error Cause Variable JitterStrategy".split())),
    int: ("Integer", {"TimeoutSeconds", "Seconds", "IntervalSeconds", "MaxAttempts", "MaxDelaySeconds"}),
    bool: ("Boolean", {"End"}),
    list: ("Array", {"Retry", "Catch", "Choices", "ErrorEquals"}),
    dict: ("Object", {"States", "Parameters", "ResultSelector"}),
}
_WAITS = ("Seconds", "SecondsPath", "Timestamp", "TimestampPath")
_PATHS = ("InputPath", "OutputPath", "ResultPath", "SecondsPath", "TimestampPath", "TimeoutSecondsPath")


class InvalidDefinition(AwsError):
    """The definition breaks a rule of the language."""

    def __init__(self, problem: str, where: str, kind: str = "SCHEMA_VALIDATION_FAILED") -> None:
        super().__init__("InvalidDefinition", f"Invalid State Machine Definition: '{kind}: {problem} at {where}'")


def parse(text: str) -> dict[str, Any]:
    """Return the definition as a document. Refuse one in which something is wrong."""
    try:
        machine: dict[str, Any] = loads(text)
    except ValueError as error:
        raise InvalidDefinition(f"{error}", "/", "INVALID_JSON_DESCRIPTION") from None
    _object(machine, "/")
    if machine.get("QueryLanguage", "JSONPath") != "JSONPath":
        raise NotImplementedByLocalAws("Only JSONPath state machines run locally, not JSONata.")
    _known(machine, _MACHINE_FIELDS, "")
    missing = [field for field in ("States", "StartAt") if field not in machine]
    _require(not missing, f"These fields are required: [{', '.join(missing)}]", "/")
    states = machine["States"]
    _require(isinstance(states, dict) and states, "The field 'States' is an object with at least one state", "/")
    _positive(machine, "TimeoutSeconds", "")
    _target(states, machine.get("StartAt"), "/StartAt")
    for name, state in states.items():
        _require(len(name) <= 80, "A state's name has at most 80 characters", f"/States/{name}")
        _check_state(state, states, f"/States/{name}")
    reached = {machine["StartAt"]}
    while new := {target for name in reached for target in _targets(states[name])} - reached:
        reached |= new
    for name in states:
        unreachable = f'State "{name}" is not reachable.'
        _require(name in reached, unreachable, f"/States/{name}", "MISSING_TRANSITION_TARGET")
    return machine


def _require(holds: Any, problem: str, where: str, kind: str = "SCHEMA_VALIDATION_FAILED") -> None:
    if not holds:
        raise InvalidDefinition(problem, where, kind)


def _check_state(state: Any, states: dict[str, Any], where: str) -> None:
    _object(state, where)
    kind = str(state.get("Type"))
    if kind in _NOT_OURS:
        raise NotImplementedByLocalAws(f"{kind} states do not run locally ({where}).")
    _require(kind in _FIELDS, f"The state's Type is missing or unknown: {kind}", where)
    for field in sorted(_NOT_OUR_FIELDS & set(state)):
        raise NotImplementedByLocalAws(f"The field {field} is not known locally ({where}).")
    _known(state, _FIELDS[kind] | {"Type", "Comment"}, where)
    for rules in ("Retry", "Catch", "Choices"):
        for position, rule in enumerate(state.get(rules, [])):
            _object(rule, f"{where}/{rules}[{position}]")
    is_clear = "Next" not in _FIELDS[kind] or ("Next" in state) != (state.get("End") is True)
    _require(is_clear, "A state needs either a 'Next' or an 'End'", where)
    for target in _targets(state):
        _target(states, target, where)
    for field in _PATHS:
        if state.get(field) is not None:
            _path(state[field], f"{where}/{field}")
    for field in ("Parameters", "ResultSelector"):
        _template(state.get(field), f"{where}/{field}")
    if kind in _SPECIFIC:
        _SPECIFIC[kind](state, where)


def _check_task(state: dict[str, Any], where: str) -> None:
    resource = state.get("Resource")
    if is_lambda_invoke(resource):
        _require_parameters(state, ("FunctionName",), where)
    elif waits_for_token(resource):
        _require_parameters(state, ("TableName", "Item"), where)
        known = get_service_model("dynamodb").operation_model("PutItem").input_shape.members
        for name in state["Parameters"]:
            field = name.removesuffix(".$")  # in AWS's words: aws/aws-cdk#29968
            _require(field in known, f'The field "{field}" is not supported by Step Functions', f"{where}/Parameters")
    elif not _FUNCTION_ARN.fullmatch(str(resource)):
        known = "lambda:invoke, aws-sdk:dynamodb:putItem.waitForTaskToken and the ARNs of functions"
        raise NotImplementedByLocalAws(f"Only {known} run locally, not {resource!r} ({where}).")
    _positive(state, "TimeoutSeconds", where)
    _exclusive(state, "TimeoutSeconds", where)
    for kind in ("Retry", "Catch"):
        rules = state.get(kind, [])
        for position, rule in enumerate(rules):
            _check_error_rule(kind, rule, position == len(rules) - 1, f"{where}/{kind}[{position}]")


def _require_parameters(state: dict[str, Any], names: tuple[str, ...], where: str) -> None:
    given = set(state.get("Parameters") or {})
    for name in names:
        _require({name, f"{name}.$"} & given, f"The field '{name}' is required", f"{where}/Parameters")


def _check_error_rule(kind: str, rule: dict[str, Any], last: bool, where: str) -> None:
    _known(rule, _RETRIER_FIELDS if kind == "Retry" else {"ErrorEquals", "Next", "ResultPath", "Comment"}, where)
    errors: Any = rule.get("ErrorEquals")
    _require(errors and all(isinstance(each, str) for each in errors), "'ErrorEquals' is a list of names", where)
    _require(
        "States.ALL" not in errors or (errors == ["States.ALL"] and last),
        "'States.ALL' must stand alone and last",
        where,
    )
    _positive(rule, "IntervalSeconds", where)
    _positive(rule, "MaxDelaySeconds", where)
    rate = rule.get("BackoffRate", 1)
    _require(isinstance(rate, int | float) and rate >= 1, "'BackoffRate' is a number of at least 1", where)
    _require(0 <= rule.get("MaxAttempts", 0) <= 99_999_999, "'MaxAttempts' is between 0 and 99999999", where)
    _require(rule.get("JitterStrategy", "NONE") in ("FULL", "NONE"), "'JitterStrategy' is FULL or NONE", where)
    if rule.get("ResultPath") is not None:
        _path(rule["ResultPath"], f"{where}/ResultPath")


def _check_wait(state: dict[str, Any], where: str) -> None:
    given = sum(field in state for field in _WAITS)
    _require(given == 1, f"A Wait state needs exactly one of {', '.join(_WAITS)}", where)
    seconds = state.get("Seconds", 0)
    _require(isinstance(seconds, int) and seconds >= 0, "'Seconds' is a number that is not negative", where)
    if "Timestamp" in state:
        is_time = language.is_timestamp(state["Timestamp"])
        _require(is_time, "String does not match RFC3339 timestamp", f"{where}/Timestamp")


def _check_choice(state: dict[str, Any], where: str) -> None:
    _require(state.get("Choices"), "A Choice state needs 'Choices'", where)
    for position, rule in enumerate(state["Choices"]):
        _require("Next" in rule, "A choice needs a 'Next'", f"{where}/Choices[{position}]")
        rule = {key: value for key, value in rule.items() if key != "Next"}
        _check_choice_rule(rule, f"{where}/Choices[{position}]")


def _check_choice_rule(rule: dict[str, Any], where: str) -> None:
    _object(rule, where)
    rule = {key: value for key, value in rule.items() if key != "Comment"}
    if "Condition" in rule or "Assign" in rule:
        raise NotImplementedByLocalAws(f"Only JSONPath choices without variables are known locally ({where}).")
    combined = [key for key in ("And", "Or", "Not") if key in rule]
    if combined and len(rule) == 1:
        operand = rule[combined[0]]
        _require(combined[0] == "Not" or isinstance(operand, list), "Expected value of type Array", where)
        for each in [operand] if combined[0] == "Not" else operand:
            _check_choice_rule(each, where)
        return
    tests = [key for key in rule if language.is_comparison(key)]
    is_one = len(tests) == 1 and set(rule) == {"Variable", tests[0]}
    _require(is_one, f"A choice has a 'Variable' and one comparison, not {sorted(rule)}", where)
    _path(rule["Variable"], f"{where}/Variable")
    if tests[0].endswith("Path"):
        _path(rule[tests[0]], f"{where}/{tests[0]}")


def _check_fail(state: dict[str, Any], where: str) -> None:
    for field in ("Error", "Cause"):
        _exclusive(state, field, where)
        if f"{field}Path" in state:
            _expression(state[f"{field}Path"], f"{where}/{field}Path")


_SPECIFIC = {"Task": _check_task, "Wait": _check_wait, "Choice": _check_choice, "Fail": _check_fail}


def _targets(state: dict[str, Any]) -> Iterator[Any]:
    rules = [*state.get("Catch", []), *state.get("Choices", []), state]
    yield from (rule["Next"] for rule in rules if "Next" in rule)
    if "Default" in state:
        yield state["Default"]


def _target(states: dict[str, Any], target: Any, where: str) -> None:
    _require(target in states, f"Missing 'Next' target: {target}", where, "MISSING_TRANSITION_TARGET")


def _object(document: Any, where: str) -> None:
    _require(isinstance(document, dict), "Expected value of type Object", where)


def _known(document: dict[str, Any], fields: set[str], where: str) -> None:
    """Refuse a field that is not known, and a value of another type than its field's."""
    for field, value in document.items():
        _require(field in fields, f"Field is not supported: {field}", f"{where}/{field}")
        for kind, (called, of_kind) in _TYPES.items():
            is_right = isinstance(value, kind) and (kind is not int or not isinstance(value, bool))
            _require(field not in of_kind or is_right, f"Expected value of type {called}", f"{where}/{field}")


def _exclusive(state: dict[str, Any], field: str, where: str) -> None:
    _require(not {field, f"{field}Path"} <= set(state), f"'{field}' and '{field}Path' exclude each other", where)


def _positive(document: dict[str, Any], field: str, where: str) -> None:
    value = document.get(field, 1)
    is_right = isinstance(value, int) and 0 < value <= 99_999_999
    _require(is_right, f"'{field}' is a whole number between 1 and 99999999", f"{where}/{field}")


def _path(path: Any, where: str) -> None:
    _require(isinstance(path, str) and path.startswith("$"), f"Value is not a Reference Path: {path!r}", where)
    language.steps(path)


def _expression(expression: Any, where: str) -> None:
    if not isinstance(expression, str) or not expression.startswith("States."):
        _path(expression, where)


def _template(template: Any, where: str) -> None:
    if isinstance(template, dict):
        for key, value in template.items():
            if key.endswith(".$"):
                _expression(value, f"{where}/{key}")
            else:
                _template(value, f"{where}/{key}")
    elif isinstance(template, list):
        for each in template:
            _template(each, where)


def is_lambda_invoke(resource: object) -> bool:
    """Return whether a task calls Lambda's Invoke, in any partition."""
    return _LAMBDA_INVOKE.fullmatch(str(resource)) is not None


def waits_for_token(resource: object) -> bool:
    """Return whether a task puts an item into DynamoDB and then waits for its task token, in any partition."""
    return _PUT_ITEM_AND_WAIT.fullmatch(str(resource)) is not None
