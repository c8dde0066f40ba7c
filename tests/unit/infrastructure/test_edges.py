"""Every edge of the state machine, written by hand: where each state goes, when, and what it hands on.

This table is what the machine is meant to be, and is never made from it: a changed edge is a changed promise, so both
are changed by a person. The promises behind the edges follow, each under its own name.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.checks.expansion import definition

ASL = definition()
STATES: dict[str, dict[str, Any]] = ASL["States"]

Edge = tuple[Any, ...]


def goes(target: str) -> Edge:
    return ("Next", target)


def when(variable: str, operator: str, value: object, target: str) -> Edge:
    # A number is no boolean here, although Python takes 1 and True for the same.
    return ("Choice", variable, operator, type(value), value, target)


def done_and(answer: str, variable: str, operator: str, value: object, target: str) -> Edge:
    """Return the rule that a step is done and the plan says something."""
    return ("Both", (answer, "StringEquals", str, "done"), (variable, operator, type(value), value), target)


def otherwise(target: str) -> Edge:
    return ("Default", target)


def catches(error: str, path: str, target: str) -> Edge:
    return ("Catch", (error,), path, target)


def fails_into(target: str, path: str = "$.error") -> Edge:
    return catches("States.ALL", path, target)


# In the order in which Step Functions asks them: of the rules of a Choice and of a Catch the first that fits is taken.
EDGES: dict[str, list[Edge]] = {
    "Receive Request": [goes("Check Snapshot Exists")],
    "Check Snapshot Exists": [
        goes("Copy Needed?"),
        catches("DuplicateRefused", "$.error", "Restore Failed"),
        fails_into("Send Failure Notification"),
    ],
    "Copy Needed?": [
        when("$.plan.dry_run", "BooleanEquals", True, "Send Plan Notification"),
        when("$.plan.finishes_swap", "BooleanEquals", True, "Name the Stopped Swap"),
        when("$.plan.finishes_drill", "BooleanEquals", True, "Name the Stopped Drill"),
        when("$.plan.rolls_back", "IsNull", False, "Roll Back"),
        when("$.plan.copy_needed", "BooleanEquals", True, "Copy Snapshot"),
        when("$.plan.archive_snapshot", "StringEquals", "export", "Begin Export"),
        otherwise("Restore Snapshot"),
    ],
    "Copy Snapshot": [goes("Copy Complete?"), fails_into("Clean Up?")],
    "Copy Complete?": [
        done_and("$.copy.answer", "$.plan.archive_snapshot", "StringEquals", "export", "Begin Export"),
        when("$.copy.answer", "StringEquals", "done", "Restore Snapshot"),
        otherwise("Wait for Copy"),
    ],
    "Wait for Copy": [goes("Check Copy Status")],
    "Check Copy Status": [goes("Copy Ready?"), fails_into("Clean Up?")],
    "Copy Ready?": [
        done_and("$.copy.answer", "$.plan.archive_snapshot", "StringEquals", "export", "Begin Export"),
        when("$.copy.answer", "StringEquals", "done", "Restore Snapshot"),
        when("$.copy.answer", "StringEquals", "advance", "Copy Snapshot"),
        otherwise("Wait for Copy"),
    ],
    "Begin Export": [goes("Restore Snapshot"), fails_into("Clean Up?")],
    "Restore Snapshot": [
        goes("Wait for Restore"),
        catches("CapacityShortage", "$.error", "Send Failure Notification"),
        fails_into("Clean Up?"),
    ],
    "Wait for Restore": [
        goes("Check Restore Status"),
        catches("States.Timeout", "$.woken", "Check Restore Status"),
        fails_into("Wait for Restore by Time", "$.woken"),
    ],
    "Wait for Restore by Time": [goes("Check Restore Status")],
    "Check Restore Status": [
        goes("Restore Done?"),
        catches("CapacityShortage", "$.error", "Send Failure Notification"),
        fails_into("Clean Up?"),
    ],
    "Restore Done?": [
        done_and("$.restore.answer", "$.plan.masking", "IsNull", True, "Setup DB Users"),
        when("$.restore.answer", "StringEquals", "done", "Transform Data"),
        when("$.restore.answer", "StringEquals", "advance", "Restore Snapshot"),
        otherwise("Wait for Restore"),
    ],
    "Transform Data": [
        goes("Data Masked?"),
        catches("MasterLoginRefused", "$.login", "Restore Snapshot"),
        fails_into("Clean Up?"),
    ],
    "Data Masked?": [
        when("$.masking.answer", "StringEquals", "done", "Setup DB Users"),
        otherwise("Wait for Masking"),
    ],
    "Wait for Masking": [goes("Transform Data")],
    "Setup DB Users": [
        goes("Verify Data?"),
        catches("MasterLoginRefused", "$.login", "Restore Snapshot"),
        fails_into("Clean Up?"),
    ],
    "Verify Data?": [
        when("$.plan.verification", "IsNull", False, "Compare with Source?"),
        when("$.plan.masking", "IsNull", False, "Check Instances"),
        when("$.plan.replaces", "IsNull", False, "Check Instances"),
        when("$.plan.delete_source", "BooleanEquals", True, "Check Instances"),
        when("$.plan.drill", "BooleanEquals", True, "Check Instances"),
        when("$.restore.all_up", "BooleanEquals", True, "Open Cluster"),
        otherwise("Check Instances"),
    ],
    "Compare with Source?": [
        when("$.plan.verification.source", "IsNull", False, "Look at Source"),
        otherwise("Verify Data"),
    ],
    "Look at Source": [goes("Verify Data"), fails_into("Clean Up?")],
    "Verify Data": [
        goes("Data Verified?"),
        catches("MasterLoginRefused", "$.login", "Restore Snapshot"),
        fails_into("Clean Up?"),
    ],
    "Data Verified?": [
        when("$.verification.answer", "StringEquals", "done", "Check Instances"),
        otherwise("Wait for Verification"),
    ],
    "Wait for Verification": [goes("Compare with Source?")],
    "Check Instances": [
        goes("Instances Ready?"),
        catches("CapacityShortage", "$.error", "Send Failure Notification"),
        fails_into("Clean Up?"),
    ],
    "Instances Ready?": [
        when("$.instances.answer", "StringEquals", "done", "Drill or Replacement?"),
        when("$.instances.answer", "StringEquals", "advance", "Restore Snapshot"),
        otherwise("Wait for Instances"),
    ],
    "Wait for Instances": [
        goes("Check Instances"),
        catches("States.Timeout", "$.woken", "Check Instances"),
        fails_into("Wait for Instances by Time", "$.woken"),
    ],
    "Wait for Instances by Time": [goes("Check Instances")],
    "Drill or Replacement?": [
        when("$.plan.drill", "BooleanEquals", True, "End Drill"),
        when("$.plan.replaces", "IsNull", True, "Open Cluster"),
        otherwise("Swap Cluster"),
    ],
    "End Drill": [goes("Wait for End of Drill"), fails_into("Send Failure Notification")],
    "Wait for End of Drill": [goes("Check End of Drill")],
    "Check End of Drill": [goes("Drill Ended?"), fails_into("Send Failure Notification")],
    "Drill Ended?": [
        when("$.clean_up.answer", "StringEquals", "done", "Remove Copy of Drill"),
        when("$.clean_up.answer", "StringEquals", "advance", "End Drill"),
        otherwise("Wait for End of Drill"),
    ],
    "Remove Copy of Drill": [goes("Send Success Notification"), fails_into("Send Failure Notification")],
    "Swap Cluster": [goes("Swapped?"), fails_into("Finish Swap")],
    "Swapped?": [
        when("$.swap.answer", "StringEquals", "done", "Open Cluster"),
        when("$.swap.answer", "StringEquals", "within", "Check Swap"),
        otherwise("Wait for Swap"),
    ],
    "Check Swap": [goes("Wait for Swap"), fails_into("Finish Swap")],
    "Wait for Swap": [goes("Swap Cluster")],
    "Roll Back": [goes("Rolled Back?"), fails_into("Finish Swap")],
    "Rolled Back?": [
        when("$.swap.answer", "StringEquals", "done", "Send Rollback Notification"),
        when("$.swap.answer", "StringEquals", "within", "Check Rollback"),
        otherwise("Wait for Rollback"),
    ],
    "Check Rollback": [goes("Wait for Rollback"), fails_into("Finish Swap")],
    "Wait for Rollback": [goes("Roll Back")],
    "Name the Stopped Drill": [goes("Wait for Stopped Drill")],
    "Wait for Stopped Drill": [goes("Clean Up Cluster")],
    "Name the Stopped Swap": [goes("Wait for Stopped Step")],
    "Wait for Stopped Step": [goes("Finish Swap")],
    "Finish Swap": [goes("Swap Finished?"), fails_into("Send Failure Notification", "$.clean_up.error")],
    "Swap Finished?": [
        when("$.swap.answer", "StringEquals", "done", "Clean Up?"),
        when("$.swap.answer", "StringEquals", "within", "Check Swap to Finish"),
        otherwise("Wait to Finish Swap"),
    ],
    "Check Swap to Finish": [goes("Wait to Finish Swap"), fails_into("Send Failure Notification", "$.clean_up.error")],
    "Wait to Finish Swap": [goes("Finish Swap")],
    "Open Cluster": [goes("Cluster Open?"), fails_into("Send Failure Notification")],
    "Cluster Open?": [
        done_and("$.opening.answer", "$.plan.delete_source", "BooleanEquals", True, "Delete RDS"),
        done_and("$.opening.answer", "$.plan.copy", "IsNull", False, "Archive Snapshot"),
        done_and("$.opening.answer", "$.plan.export", "IsNull", False, "Archive Snapshot"),
        when("$.opening.answer", "StringEquals", "done", "Send Success Notification"),
        otherwise("Wait for Opening"),
    ],
    "Wait for Opening": [goes("Open Cluster")],
    "Delete RDS": [goes("Wait for Deletion"), fails_into("Send Failure Notification")],
    "Wait for Deletion": [
        goes("Check Delete Status"),
        catches("States.Timeout", "$.woken", "Check Delete Status"),
        fails_into("Wait for Deletion by Time", "$.woken"),
    ],
    "Wait for Deletion by Time": [goes("Check Delete Status")],
    "Check Delete Status": [goes("Source Deleted?"), fails_into("Send Failure Notification")],
    "Source Deleted?": [
        when("$.deletion.answer", "StringEquals", "done", "Archive Snapshot"),
        when("$.deletion.answer", "StringEquals", "advance", "Delete RDS"),
        otherwise("Wait for Deletion"),
    ],
    "Archive Snapshot": [goes("Archive Done?"), fails_into("Send Failure Notification")],
    "Archive Done?": [
        when("$.archive.answer", "StringEquals", "done", "Send Success Notification"),
        otherwise("Wait for Archive"),
    ],
    "Wait for Archive": [goes("Archive Snapshot")],
    "Send Success Notification": [goes("Restored"), fails_into("Send Failure Notification")],
    "Send Rollback Notification": [goes("Restored"), fails_into("Send Failure Notification")],
    "Restored": [],
    "Send Plan Notification": [goes("Planned"), fails_into("Send Failure Notification")],
    "Planned": [],
    "Clean Up?": [
        when("$.plan.on_failure", "StringEquals", "clean_up", "Clean Up Cluster"),
        otherwise("Send Failure Notification"),
    ],
    "Clean Up Cluster": [goes("Cleaned Up?"), fails_into("Send Failure Notification", "$.clean_up.error")],
    "Cleaned Up?": [
        when("$.clean_up.answer", "StringEquals", "done", "Clean Up Snapshot"),
        otherwise("Wait for Clean-up"),
    ],
    "Wait for Clean-up": [goes("Check Clean-up Status")],
    "Clean-up Over?": [
        when("$.clean_up.answer", "StringEquals", "done", "Clean Up Snapshot"),
        when("$.clean_up.answer", "StringEquals", "advance", "Clean Up Cluster"),
        otherwise("Wait for Clean-up"),
    ],
    "Check Clean-up Status": [goes("Clean-up Over?"), fails_into("Send Failure Notification", "$.clean_up.error")],
    "Clean Up Snapshot": [
        goes("Send Failure Notification"),
        fails_into("Send Failure Notification", "$.clean_up.error"),
    ],
    "Send Failure Notification": [goes("Restore Failed"), fails_into("Restore Failed", "$.notification_error")],
    "Restore Failed": [],
}

STEP = {
    "run.operation_id.$": "$.plan.operation_id",
    "run.execution_id.$": "$$.Execution.Id",
    "run.target_cluster_id.$": "$.plan.target_cluster_id",
    "run.now.$": "$$.State.EnteredTime",
    "run.redrive_count.$": "$$.Execution.RedriveCount",
}
CLEANING_UP = STEP | {"run.cleaning_up": True}
EXECUTION = {
    "execution.execution_id.$": "$$.Execution.Id",
    "execution.execution_name.$": "$$.Execution.Name",
    "execution.started_at.$": "$$.Execution.StartTime",
    "execution.now.$": "$$.State.EnteredTime",
    "execution.redrive_count.$": "$$.Execution.RedriveCount",
    "request.$": "$.request",
}
ASKED = {"limits.$": "$.limits"}
SWAP = STEP | ASKED | {f"{name}.$": f"$.plan.{name}" for name in ("cluster", "replaces", "rolls_back")}
ERRAND = STEP | {"errand.$": "$.swap.errand"}
# For each function that is called: by which state, with what, and where its answer goes.
INPUTS: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "Check Snapshot Exists": ("SnapshotCheck", EXECUTION | ASKED, "$.plan"),
    "Copy Snapshot": ("CopySnapshot", STEP | ASKED | {"copy.$": "$.plan.copy"}, "$.copy"),
    "Check Copy Status": ("CheckCopyStatus", STEP | {"copy.$": "$.plan.copy", "progress.$": "$.copy"}, "$.copy"),
    "Restore Snapshot": (
        "RestoreSnapshot",
        STEP | ASKED | {"cluster.$": "$.plan.cluster", "after.$": "$.restore"},
        "$.restore",
    ),
    "Check Restore Status": (
        "CheckRestoreStatus",
        STEP | {"cluster.$": "$.plan.cluster", "progress.$": "$.restore", "woken.$": "$.woken"},
        "$.restore",
    ),
    "Check Instances": (
        "CheckRestoreStatus",
        STEP | {"cluster.$": "$.plan.cluster", "progress.$": "$.restore", "woken.$": "$.woken"},
        "$.instances",
    ),
    "Transform Data": ("TransformData", STEP | {"masking.$": "$.plan.masking"}, "$.masking"),
    "Look at Source": ("SnapshotCheck", STEP | {"source.$": "$.plan.verification.source"}, "$.source_seen"),
    "Verify Data": (
        "VerifyData",
        STEP
        | {
            "verification.$": "$.plan.verification",
            "snapshot.$": "$.plan.snapshot",
            "masking.$": "$.plan.masking",
            "limits.$": "$.limits",
            "source_seen.$": "$.source_seen",
        },
        "$.verification",
    ),
    "Setup DB Users": (
        "SetupDbUsers",
        STEP
        | {
            "application_role": "${ApplicationUsername}",
            "read_only_role": "${ReadOnlyUsername}",
            "inherited_logins.$": "$.plan.inherited_logins",
            "quarantine.$": "$.plan.quarantine",
            "after.$": "$.restore",
        },
        "$.users",
    ),
    "Swap Cluster": ("SwapCluster", SWAP, "$.swap"),
    "Check Swap": ("CheckSwap", ERRAND, "$.found"),
    "Roll Back": ("SwapCluster", SWAP, "$.swap"),
    "Check Rollback": ("CheckSwap", ERRAND, "$.found"),
    "Finish Swap": ("SwapCluster", SWAP | {"finishing": True}, "$.swap"),
    "Check Swap to Finish": ("CheckSwap", ERRAND, "$.found"),
    "Open Cluster": (
        "OpenCluster",
        STEP | ASKED | {"cluster.$": "$.plan.cluster", "expires_after_hours.$": "$.plan.expires_after_hours"},
        "$.opening",
    ),
    "Delete RDS": ("DeleteRds", STEP | ASKED | {"deletion.$": "$.plan.source_deletion"}, "$.deletion"),
    "Check Delete Status": (
        "CheckDeleteStatus",
        STEP | {"deletion.$": "$.plan.source_deletion", "progress.$": "$.deletion", "woken.$": "$.woken"},
        "$.deletion",
    ),
    "Begin Export": (
        "ArchiveSnapshot",
        STEP
        | ASKED
        | {"archive_snapshot.$": "$.plan.archive_snapshot", "copy.$": "$.plan.copy", "export.$": "$.plan.export"}
        | {"begins_export": True},
        "$.archive",
    ),
    "Archive Snapshot": (
        "ArchiveSnapshot",
        STEP
        | ASKED
        | {"archive_snapshot.$": "$.plan.archive_snapshot", "copy.$": "$.plan.copy", "export.$": "$.plan.export"},
        "$.archive",
    ),
    "Send Success Notification": (
        "SnsNotification",
        EXECUTION | {"outcome": "succeeded", "plan.$": "$.plan", "users.$": "$.users", "archive.$": "$.archive"},
        "$.notification",
    ),
    "Send Rollback Notification": (
        "SnsNotification",
        EXECUTION | {"outcome": "succeeded", "plan.$": "$.plan"},
        "$.notification",
    ),
    "Send Plan Notification": (
        "SnsNotification",
        EXECUTION | {"outcome": "planned", "plan.$": "$.plan"},
        "$.notification",
    ),
    "End Drill": ("DeleteRds", CLEANING_UP | ASKED | {"ends_drill": True}, "$.clean_up"),
    "Check End of Drill": ("CheckDeleteStatus", CLEANING_UP | {"progress.$": "$.clean_up"}, "$.clean_up"),
    "Remove Copy of Drill": (
        "ArchiveSnapshot",
        CLEANING_UP
        | ASKED
        | {"archive_snapshot.$": "$.plan.archive_snapshot", "copy.$": "$.plan.copy", "export.$": "$.plan.export"},
        "$.archive",
    ),
    "Clean Up Cluster": ("DeleteRds", CLEANING_UP | ASKED, "$.clean_up"),
    "Check Clean-up Status": ("CheckDeleteStatus", CLEANING_UP | {"progress.$": "$.clean_up"}, "$.clean_up"),
    "Clean Up Snapshot": (
        "ArchiveSnapshot",
        CLEANING_UP
        | ASKED
        | {"archive_snapshot.$": "$.plan.archive_snapshot", "copy.$": "$.plan.copy", "export.$": "$.plan.export"},
        None,
    ),
    "Send Failure Notification": (
        "SnsNotification",
        EXECUTION | {"outcome": "failed", "error.$": "$.error", "clean_up.$": "$.clean_up"},
        None,
    ),
}
# What the stack may touch is the template's to say, and reaches every step as it stands there.
LIMITS = {
    "restorable_clusters": "${RestorableClusterPattern}",
    "restorable_snapshots": "${RestorableSnapshotPattern}",
    "source_region": "${SourceRegion}",
    "restorable_regions": "${RestorableRegionPattern}",
    "targets": "${TargetClusterPattern}",
    "security_groups": "${VpcSecurityGroupIds}",
    "allowed_security_groups": "${AllowedSecurityGroupPattern}",
    "subnet_group": "${DbSubnetGroupName}",
    "allowed_subnet_groups": "${AllowedSubnetGroupPattern}",
    "kms_key": "${KmsKeyId}",
    "insights_kms_key": "${PerformanceInsightsKmsKeyId}",
    "source_kms_key": "${SourceKmsKeyId}",
    "allowed_kms_keys": "${AllowedKmsKeyPattern}",
    "cost_tags": "${CostTags}",
    "allowed_tag_keys": "${AllowedTagKeyPattern}",
    "master_login": "${MasterLogin}",
    "deletion_without_final_snapshot": "${AllowDeletionWithoutFinalSnapshot}",
    "masking_policies": "${MaskingPolicies}",
    "require_masking": "${RequireMasking}",
    "verification_policies": "${VerificationPolicies}",
    "source_reader_secrets": "${SourceReaderSecrets}",
    "deletion_of_replaced": "${AllowDeletionOfReplaced}",
}


def keeps_token(progress: str) -> dict[str, Any]:
    """Return what a wait holds that keeps its token where the step before it says."""
    return {
        "Type": "Task",
        "Resource": "${KeepTokenAndWait}",
        "Parameters": {
            "TableName": "${StateTable}",
            "Item.operation_id.S.$": f"{progress}.wait_key",
            "Item.expires_at.N.$": f"{progress}.wait_expires_at",
            "Item.task_token.S.$": "$$.Task.Token",
        },
        "ResultPath": "$.woken",
        "TimeoutSecondsPath": f"{progress}.wait_seconds",
    }


# What the other states hold beside their edges.
REST: dict[str, dict[str, Any]] = {
    "Receive Request": {
        "Type": "Pass",
        "Parameters": {"request.$": "$", "limits": LIMITS, "restore": None, "woken": None, "source_seen": None}
        | {"archive": {}, "clean_up": {}},
    },
    "Wait for Copy": {"Type": "Wait", "SecondsPath": "$.copy.wait_seconds"},
    "Wait for Restore": keeps_token("$.restore"),
    "Wait for Restore by Time": {"Type": "Wait", "SecondsPath": "$.restore.wait_seconds"},
    "Wait for Masking": {"Type": "Wait", "SecondsPath": "$.masking.wait_seconds"},
    "Wait for Verification": {"Type": "Wait", "SecondsPath": "$.verification.wait_seconds"},
    "Wait for Instances": keeps_token("$.instances"),
    "Wait for Instances by Time": {"Type": "Wait", "SecondsPath": "$.instances.wait_seconds"},
    "Wait for Swap": {"Type": "Wait", "SecondsPath": "$.swap.wait_seconds"},
    "Wait for Rollback": {"Type": "Wait", "SecondsPath": "$.swap.wait_seconds"},
    "Name the Stopped Drill": {
        "Type": "Pass",
        "Parameters": {
            "Error": "DrillStopped",
            "Cause": "An earlier execution of this drill was stopped, has timed out or died. This one was started to "
            "delete what the drill has left, and does nothing else.",
        },
        "ResultPath": "$.error",
    },
    # Longer than any function may run: 15 minutes (Lambda quotas, "Function timeout").
    "Wait for Stopped Drill": {"Type": "Wait", "Seconds": 930},
    "Name the Stopped Swap": {
        "Type": "Pass",
        "Parameters": {
            "Error": "SwapStopped",
            "Cause": "An earlier execution of this operation ended within its swap. This one was started to finish the "
            "swap, and does nothing else.",
        },
        "ResultPath": "$.error",
    },
    # As long as the functions of a swap run: stopping an execution stops none.
    "Wait for Stopped Step": {"Type": "Wait", "Seconds": 330},
    "Wait to Finish Swap": {"Type": "Wait", "SecondsPath": "$.swap.wait_seconds"},
    "Wait for Opening": {"Type": "Wait", "SecondsPath": "$.opening.wait_seconds"},
    "Wait for Deletion": keeps_token("$.deletion"),
    "Wait for Deletion by Time": {"Type": "Wait", "SecondsPath": "$.deletion.wait_seconds"},
    "Wait for Archive": {"Type": "Wait", "SecondsPath": "$.archive.wait_seconds"},
    "Wait for Clean-up": {"Type": "Wait", "SecondsPath": "$.clean_up.wait_seconds"},
    "Wait for End of Drill": {"Type": "Wait", "SecondsPath": "$.clean_up.wait_seconds"},
    "Restored": {"Type": "Succeed"},
    "Planned": {"Type": "Succeed", "OutputPath": "$.plan"},
    "Restore Failed": {"Type": "Fail", "ErrorPath": "$.error.Error", "CausePath": "$.error.Cause"},
}
CHOICE = {"Type": "Choice"}


Condition = tuple[str, str, type, object]


def comparison(rule: dict[str, Any], beside: set[str]) -> Condition:
    """Return what a rule compares with what. Raises ValueError for one that has more or less than one comparison."""
    compared = set(rule) - beside
    if len(compared) != 1:
        raise ValueError(f"{rule} isn't one comparison")
    (operator,) = compared
    return rule.get("Variable", ""), operator, type(rule[operator]), rule[operator]


def edges(state: dict[str, Any]) -> list[Edge]:
    """Return the state's edges as the definition has them. Raises ValueError for a rule that no row could show."""
    found = [goes(state["Next"])] if "Next" in state else []
    for rule in state.get("Choices", []):
        if "And" not in rule:
            found.append(("Choice", *comparison(rule, {"Variable", "Next"}), rule.get("Next", "")))
        elif set(rule) == {"And", "Next"}:
            found.append(("Both", *(comparison(each, {"Variable"}) for each in rule["And"]), rule["Next"]))
        else:
            raise ValueError(f"{rule} says more than that its conditions hold together")
    found += [otherwise(state["Default"])] if "Default" in state else []
    for catcher in state.get("Catch", []):
        if set(catcher) != {"ErrorEquals", "ResultPath", "Next"}:
            raise ValueError(f"{catcher} says something else than where an error goes")
        found.append(("Catch", tuple(catcher["ErrorEquals"]), catcher["ResultPath"], catcher["Next"]))
    return found


def beside_edges(state: dict[str, Any]) -> dict[str, Any]:
    """Return the rest of a state: how often and how long it is tried is the business of another file."""
    elsewhere = {"Next", "Choices", "Default", "Catch", "Comment", "Retry", "TimeoutSeconds"}
    return {key: value for key, value in state.items() if key not in elsewhere}


def flat(given: dict[str, Any], where: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in given.items():
        found |= flat(value, f"{where}{key}.") if isinstance(value, dict) else {f"{where}{key}": value}
    return found


def wanted_beside(name: str) -> dict[str, Any]:
    if name not in INPUTS:
        return REST.get(name, CHOICE)
    function, given, result = INPUTS[name]
    return {"Type": "Task", "Resource": f"${{{function}FunctionArn}}", "Parameters": given, "ResultPath": result}


def as_meant(name: str, state: dict[str, Any]) -> bool:
    rest = beside_edges(state)
    if rest.get("Type") == "Task":
        rest["Parameters"] = flat(rest.get("Parameters", {}))
    try:
        # As JSON, in which true and 1 are two things.
        return edges(state) == EDGES[name] and json.dumps(rest, sort_keys=True) == json.dumps(
            wanted_beside(name), sort_keys=True
        )
    except ValueError:
        return False


def test_the_machine_has_these_states_and_begins_with_the_request() -> None:
    assert set(STATES) == set(EDGES)
    assert ASL["StartAt"] == "Receive Request"
    assert set(REST) | set(INPUTS) | {name for name in EDGES if name.endswith("?")} == set(EDGES)


@pytest.mark.parametrize("name", EDGES)
def test_a_state_goes_where_it_is_meant_to(name: str) -> None:
    assert edges(STATES[name]) == EDGES[name]


@pytest.mark.parametrize("name", EDGES)
def test_a_state_is_handed_and_leaves_what_it_is_meant_to(name: str) -> None:
    rest = beside_edges(STATES[name])
    if rest["Type"] == "Task":
        rest["Parameters"] = flat(rest["Parameters"])
    assert rest == wanted_beside(name)


def changed(value: Any) -> Iterator[Any]:
    """The value with one thing in it changed, or one thing less, at every place of it."""
    match value:
        case bool():
            yield not value
        case dict():
            for key, each in value.items():
                yield {name: kept for name, kept in value.items() if name != key}
                for other in changed(each):
                    yield value | {key: other}
        case list():
            for number, each in enumerate(value):
                yield value[:number] + value[number + 1 :]
                for other in changed(each):
                    yield [*value[:number], other, *value[number + 1 :]]
            if len(value) > 1:
                yield value[::-1]
        case None:
            yield "$"
        case int():
            yield value + 1
        case _:
            yield f"{value}?"


@pytest.mark.parametrize("name", EDGES)
def test_no_change_of_a_state_goes_unnoticed(name: str) -> None:
    """Every text, value and rule of it is changed, taken out and reordered in turn."""
    read = {key: value for key, value in STATES[name].items() if key not in ("Comment", "Retry", "TimeoutSeconds")}
    assert as_meant(name, read)
    tried = list(changed(copy.deepcopy(read)))
    assert tried
    for mistaken in tried:
        assert not as_meant(name, mistaken), mistaken
    for added in ({"InputPath": "$.plan"}, {"ResultSelector": {"ready": True}}, {"End": True}):
        assert not as_meant(name, read | added), added


# The promises. They are asked of the machine itself, so that a row that was changed in both places is still seen.

CLEAN_UP = {
    *("Clean Up?", "Clean Up Cluster", "Cleaned Up?", "Wait for Clean-up", "Check Clean-up Status", "Clean-up Over?"),
    "Clean Up Snapshot",
}
DRILL = {"End Drill", "Wait for End of Drill", "Check End of Drill", "Drill Ended?", "Remove Copy of Drill"}
FINISHING = {"Finish Swap", "Swap Finished?", "Check Swap to Finish", "Wait to Finish Swap"}
FAILING = CLEAN_UP | FINISHING | {"Send Failure Notification", "Restore Failed"}
# What ends a swap that an earlier execution has left: it brings an error of its own.
STOPPED = {"Name the Stopped Swap", "Wait for Stopped Step", "Name the Stopped Drill", "Wait for Stopped Drill"}
CHANGING_FUNCTIONS = {
    *("CopySnapshot", "RestoreSnapshot", "TransformData", "SetupDbUsers", "VerifyData"),
    *("OpenCluster", "SwapCluster", "CheckSwap", "DeleteRds", "ArchiveSnapshot"),
}


def function(name: str) -> str:
    resource: str = STATES[name].get("Resource", "")
    return resource.removeprefix("${").removesuffix("FunctionArn}")


CHANGING = {name for name in STATES if function(name) in CHANGING_FUNCTIONS}


def leads(name: str) -> Iterator[tuple[Edge, str]]:
    """Every edge of a state, with the state at its end."""
    for edge in edges(STATES[name]):
        yield edge, edge[-1]


def reached_from(start: str, *, without: str = "") -> set[str]:
    """All states that any value or error may lead to, if one state never let anything through."""
    found, new = set[str](), [start]
    while new:
        name = new.pop()
        if name not in found and name != without:
            found.add(name)
            new += [target for _, target in leads(name)]
    return found


def reached_by(plan: dict[str, Any], *, without: str = "") -> set[str]:
    """All states that an operation with such a plan may come to, if one state never let anything through.

    What the plan does not say may be anything.
    """
    found, new = set[str](), ["Receive Request"]
    while new:
        name = new.pop()
        if name not in found and name != without:
            found.add(name)
            new += [edge[-1] for edge in open_to(plan, edges(STATES[name]))]
    return found


def open_to(plan: dict[str, Any], ways: list[Edge]) -> Iterator[Edge]:
    """The edges that such a plan leaves open: of the rules, the first that fits hides all after it."""
    hidden = set[Condition]()
    for way in ways:
        if way[0] not in ("Choice", "Both"):
            yield way
            continue
        conditions = [way[1:-1]] if way[0] == "Choice" else way[1:-1]
        holding = [holds(each, plan) for each in conditions]
        undecided = [each for each, held in zip(conditions, holding, strict=True) if held is None]
        if False in holding or hidden & {*undecided}:
            continue
        yield way
        if not undecided:
            return
        if len(undecided) == 1:
            # A rule after this one that asks the same is asked only where it does not hold.
            hidden.add(undecided[0])


def holds(condition: Condition, plan: dict[str, Any]) -> bool | None:
    """Return whether a condition holds for such a plan; None where the plan does not say."""
    variable, operator, _, value = condition
    field = variable.removeprefix("$.plan.")
    if field not in plan:
        return None
    return bool((plan[field] is None if operator == "IsNull" else plan[field]) == value)


def into(target: str) -> list[tuple[str, Edge]]:
    return [(name, edge) for name in STATES for edge, end in leads(name) if end == target]


@pytest.mark.parametrize("start", ["Open Cluster", "Delete RDS", "Check Delete Status", "Archive Snapshot"])
def test_nothing_is_cleaned_up_once_people_may_rely_on_the_cluster(start: str) -> None:
    """It is open to them, or the source is going and the restored cluster may be the only one that is left."""
    assert not CLEAN_UP & reached_from(start)


def test_a_dry_run_reaches_no_state_that_changes_anything() -> None:
    first, target = next(leads("Copy Needed?"))
    assert first == when("$.plan.dry_run", "BooleanEquals", True, target)
    assert not CHANGING & reached_from(target)
    assert {function(name) for name in reached_from(target)} == {"", "SnsNotification"}


def test_nothing_is_changed_before_there_is_a_plan() -> None:
    assert not CHANGING & reached_from("Receive Request", without="Copy Needed?")


def test_only_delete_source_being_true_leads_to_the_deletion() -> None:
    waits = {"Wait for Deletion", "Wait for Deletion by Time"}
    loop = {"Delete RDS", "Check Delete Status", "Source Deleted?"} | waits
    doors = [(name, edge) for each in loop for name, edge in into(each) if name not in loop]
    asked = done_and("$.opening.answer", "$.plan.delete_source", "BooleanEquals", True, "Delete RDS")
    assert doors == [("Cluster Open?", asked)]
    # The same function cleans up, but what it deletes there is never the source: it isn't told of one.
    deleting = {name for name in STATES if function(name) == "DeleteRds"}
    assert deleting == {"Delete RDS", "Clean Up Cluster", "End Drill"}
    for name in ("Clean Up Cluster", "End Drill"):
        assert "deletion.$" not in STATES[name]["Parameters"]


@pytest.mark.parametrize("before", ["Setup DB Users", "Restore Done?", "Verify Data?"])
def test_nobody_is_let_in_before_users_and_locks_are_done(before: str) -> None:
    opening = {name for name in STATES if function(name) == "OpenCluster"}
    assert opening == {"Open Cluster"}
    assert not {"Open Cluster", "Swap Cluster"} & reached_from("Receive Request", without=before)
    assert {name for name, _ in into("Open Cluster")} == {
        *("Verify Data?", "Drill or Replacement?", "Swapped?", "Wait for Opening")
    }
    assert {name for name, _ in into("Swap Cluster")} == {"Drill or Replacement?", "Wait for Swap"}
    assert {name for name, _ in into("Drill or Replacement?")} == {"Instances Ready?"}


def test_only_a_drill_ends_with_its_cluster_deleted_and_it_lets_nobody_in() -> None:
    doors = [(name, edge) for each in DRILL for name, edge in into(each) if name not in DRILL]
    assert doors == [("Drill or Replacement?", when("$.plan.drill", "BooleanEquals", True, "End Drill"))]
    assert not {"Open Cluster", "Swap Cluster", "Delete RDS"} & reached_by({"drill": True, "rolls_back": None})
    for before in ("Setup DB Users", "Check Instances", "End Drill", "Drill Ended?", "Remove Copy of Drill"):
        assert "Restored" not in reached_by({"drill": True, "rolls_back": None}, without=before)
    assert not DRILL & reached_by({"drill": False})
    # Whatever fails before it, the clean-up deletes the cluster: that is asked of the plan, which has no choice.
    assert "Clean Up Cluster" in reached_by({"drill": True, "on_failure": "clean_up"})


@pytest.mark.parametrize(
    "plan", [{"masking": {}}, {"verification": {}}, {"replaces": {}}, {"delete_source": True}, {"drill": True}]
)
def test_instances_are_looked_at_again_after_a_masking_and_before_another_cluster_is_touched(
    plan: dict[str, Any],
) -> None:
    """Of any other plan it is enough that the last look has seen them up: the opening looks as well."""
    for before in ("Check Instances", "Instances Ready?"):
        assert not {"Open Cluster", "Swap Cluster"} & reached_by(plan, without=before)
    seen = when("$.restore.all_up", "BooleanEquals", True, "Open Cluster")
    assert [edge for name, edge in into("Open Cluster") if name == "Verify Data?"] == [seen]
    assert into("Verify Data?") == [("Setup DB Users", goes("Verify Data?"))]
    verified = when("$.verification.answer", "StringEquals", "done", "Check Instances")
    assert edges(STATES["Data Verified?"]) == [verified, otherwise("Wait for Verification")]


def test_a_swap_that_has_failed_or_was_stopped_is_finished_before_anything_is_cleaned_up() -> None:
    for name in ("Swap Cluster", "Check Swap", "Roll Back", "Check Rollback"):
        assert [end for edge, end in leads(name) if edge[0] == "Catch"] == ["Finish Swap"]
        assert not CLEAN_UP & reached_from(name, without="Finish Swap")
    assert not CLEAN_UP & reached_from("Name the Stopped Swap", without="Swap Finished?")
    assert into("Name the Stopped Swap") == [
        ("Copy Needed?", when("$.plan.finishes_swap", "BooleanEquals", True, "Name the Stopped Swap"))
    ]
    # Nothing but a wait stands between the decision and the end of the step that was stopped.
    assert edges(STATES["Name the Stopped Swap"]) == [goes("Wait for Stopped Step")]
    finishing = {name for name in STATES if STATES[name].get("Parameters", {}).get("finishing") is True}
    assert finishing == {"Finish Swap"}


def test_a_drill_that_was_stopped_is_only_cleaned_up_and_ends_red() -> None:
    assert into("Name the Stopped Drill") == [
        ("Copy Needed?", when("$.plan.finishes_drill", "BooleanEquals", True, "Name the Stopped Drill"))
    ]
    # Before anything that continues a drill, and after a dry run, which has nothing to end.
    ways = [edge[1] for edge in edges(STATES["Copy Needed?"]) if edge[0] == "Choice"]
    assert ways.index("$.plan.finishes_drill") < ways.index("$.plan.copy_needed")
    assert edges(STATES["Name the Stopped Drill"]) == [goes("Wait for Stopped Drill")]
    # No function runs longer (Lambda quotas, "Function timeout"): none of the stopped execution's is at work after it.
    assert STATES["Wait for Stopped Drill"]["Seconds"] > 900
    ends = reached_from("Name the Stopped Drill")
    assert ends <= CLEAN_UP | STOPPED | {"Send Failure Notification", "Restore Failed"}
    assert "Clean Up?" not in ends, "what it leaves is not asked of the plan"


def test_only_a_plan_that_rolls_back_leads_to_a_rollback_and_that_leads_to_nothing_else() -> None:
    assert {name for name, _ in into("Roll Back")} == {"Copy Needed?", "Wait for Rollback"}
    assert "Roll Back" not in reached_by({"rolls_back": None})
    assert "Roll Back" not in reached_by({"dry_run": True})
    ends = reached_from("Roll Back", without="Finish Swap")
    assert {function(name) for name in ends} == {"", "SwapCluster", "CheckSwap", "SnsNotification"}


@pytest.mark.parametrize(
    "before",
    [
        *("Check Snapshot Exists", "Check Restore Status", "Restore Done?", "Setup DB Users"),
        *("Check Instances", "Instances Ready?", "Drill or Replacement?", "Open Cluster", "Cluster Open?"),
    ],
)
def test_a_source_is_deleted_only_after_its_copy_was_proved_usable(before: str) -> None:
    assert "Delete RDS" in reached_by({"delete_source": True})
    assert "Delete RDS" not in reached_by({"delete_source": True}, without=before)
    assert "Delete RDS" not in reached_by({"delete_source": False})


def test_a_plan_with_a_masking_policy_reaches_users_and_the_door_only_through_the_masking_gate() -> None:
    """The one way around it is a plan that has none."""
    (around,) = [edge for edge, end in leads("Restore Done?") if end == "Setup DB Users"]
    assert around == done_and("$.restore.answer", "$.plan.masking", "IsNull", True, "Setup DB Users")
    for after in ("Setup DB Users", "Swap Cluster", "Open Cluster"):
        assert after in reached_by({"masking": {}})
        assert after not in reached_by({"masking": {}}, without="Data Masked?")
        assert after in reached_by({"masking": None}, without="Data Masked?")


def test_a_plan_with_checks_reaches_the_swap_and_the_door_only_when_they_have_come_to_their_end() -> None:
    """The one way around them is a plan that has none."""
    assert edges(STATES["Verify Data?"])[0] == when("$.plan.verification", "IsNull", False, "Compare with Source?")
    for after in ("Swap Cluster", "Open Cluster", "Check Instances"):
        assert after not in reached_by({"verification": {}}, without="Data Verified?")
        assert after in reached_by({"verification": None}, without="Data Verified?")
        assert after not in reached_from("Verify Data", without="Data Verified?") - reached_from("Restore Snapshot")
        assert after not in reached_from("Receive Request", without="Verify Data?")


def test_a_copy_is_compared_with_its_source_only_after_a_look_at_it_in_each_slice() -> None:
    """The one way around the look is a plan that compares with nothing."""
    (around,) = [edge for edge, end in leads("Compare with Source?") if end == "Verify Data"]
    assert around == otherwise("Verify Data")
    assert when("$.plan.verification.source", "IsNull", False, "Look at Source") in edges(
        STATES["Compare with Source?"]
    )
    assert {name for name, _ in into("Verify Data")} == {"Compare with Source?", "Look at Source"}
    assert "Verify Data" not in reached_from("Wait for Verification", without="Compare with Source?")


def test_nothing_that_failed_goes_on_to_delete_the_source() -> None:
    for name in STATES:
        for edge, target in leads(name):
            if edge[0] == "Catch" and edge[2] == "$.error":
                assert "Delete RDS" not in reached_from(target), (name, edge)


def test_a_step_is_over_only_when_it_says_that_it_is_done() -> None:
    """Whatever else it answers, also what nobody has thought of, is waited for and asked again."""
    assert into("Transform Data") == [
        ("Restore Done?", when("$.restore.answer", "StringEquals", "done", "Transform Data")),
        ("Wait for Masking", goes("Transform Data")),
    ]
    assert into("Setup DB Users") == [
        ("Restore Done?", done_and("$.restore.answer", "$.plan.masking", "IsNull", True, "Setup DB Users")),
        ("Data Masked?", when("$.masking.answer", "StringEquals", "done", "Setup DB Users")),
    ]
    for ready in ("Copy Complete?", "Copy Ready?"):
        over = [edge for edge, end in leads(ready) if end not in ("Wait for Copy", "Copy Snapshot")]
        assert over == [
            done_and("$.copy.answer", "$.plan.archive_snapshot", "StringEquals", "export", "Begin Export"),
            when("$.copy.answer", "StringEquals", "done", "Restore Snapshot"),
        ]
    assert into("Send Success Notification") == [
        # Of a drill.
        ("Remove Copy of Drill", goes("Send Success Notification")),
        # Without a copy and an export.
        ("Cluster Open?", when("$.opening.answer", "StringEquals", "done", "Send Success Notification")),
        ("Archive Done?", when("$.archive.answer", "StringEquals", "done", "Send Success Notification")),
    ]
    asking = {name for name, state in STATES.items() if state["Type"] == "Choice"}
    waits = {name for name in STATES if name.startswith("Wait ")}
    waiting = {name for name in asking if edges(STATES[name])[-1][-1] in waits}
    assert asking - waiting == {
        *("Copy Needed?", "Verify Data?", "Compare with Source?", "Drill or Replacement?", "Clean Up?"),
    }


def test_the_snapshot_is_put_away_only_after_the_deletion_is_over() -> None:
    """A copy that goes before, while the source is going too, would be the last one."""
    assert {name for name, _ in into("Archive Snapshot")} == {
        "Cluster Open?", "Source Deleted?", "Wait for Archive",
    }  # fmt: skip
    assert "Archive Snapshot" not in reached_by({"delete_source": True}, without="Source Deleted?")
    assert "Archive Snapshot" not in reached_from("Delete RDS", without="Source Deleted?")


def test_only_a_request_for_it_leads_to_a_clean_up() -> None:
    asked = when("$.plan.on_failure", "StringEquals", "clean_up", "Clean Up Cluster")
    doors = [(name, edge) for each in CLEAN_UP - {"Clean Up?"} for name, edge in into(each) if name not in CLEAN_UP]
    # A drill is asked for with its end.
    stopped = ("Wait for Stopped Drill", goes("Clean Up Cluster"))
    assert doors == [stopped]
    again = ("Clean-up Over?", when("$.clean_up.answer", "StringEquals", "advance", "Clean Up Cluster"))
    assert sorted(into("Clean Up Cluster")) == sorted([("Clean Up?", asked), stopped, again])
    assert not reached_by({"finishes_drill": False}, without="Clean Up?") & CLEAN_UP


def test_a_snapshot_is_cleaned_up_only_after_the_cluster_is_gone() -> None:
    over = when("$.clean_up.answer", "StringEquals", "done", "Clean Up Snapshot")
    assert into("Clean Up Snapshot") == [("Cleaned Up?", over), ("Clean-up Over?", over)]


def test_a_duplicate_neither_tells_anybody_nor_touches_the_run_that_it_repeats() -> None:
    (target,) = [end for edge, end in leads("Check Snapshot Exists") if edge[:2] == ("Catch", ("DuplicateRefused",))]
    assert reached_from(target) == {"Restore Failed"}


def test_what_fails_before_anything_was_made_cleans_nothing_up() -> None:
    for edge, target in leads("Check Snapshot Exists"):
        if edge[0] == "Catch":
            assert not CLEAN_UP & reached_from(target)


def test_the_steps_of_a_clean_up_are_told_so_and_nobody_else() -> None:
    told = {
        name: state["Parameters"]["run"]["cleaning_up"]
        for name, state in STATES.items()
        if "cleaning_up" in state.get("Parameters", {}).get("run", {})
    }
    assert {name for name in CLEAN_UP | DRILL if STATES[name]["Type"] == "Task"} == set(told)
    assert all(value is True for value in told.values())


@pytest.mark.parametrize(
    ("name", "key", "path"),
    [
        ("Transform Data", "masking", "$.plan.masking"),
        ("Verify Data", "verification", "$.plan.verification"),
        ("Setup DB Users", "quarantine", "$.plan.quarantine"),
        ("Setup DB Users", "inherited_logins", "$.plan.inherited_logins"),
        ("Delete RDS", "deletion", "$.plan.source_deletion"),
        ("Check Delete Status", "deletion", "$.plan.source_deletion"),
        ("Archive Snapshot", "export", "$.plan.export"),
    ],
)
def test_what_was_asked_for_comes_from_the_plan(name: str, key: str, path: str) -> None:
    """Not from the request, which nobody has checked, and not from what an earlier step answered."""
    assert STATES[name]["Parameters"][f"{key}.$"] == path


def test_every_way_into_failure_brings_its_error_and_nothing_after_it_replaces_that() -> None:
    for name in STATES:
        for edge, target in leads(name):
            if target in FAILING and name not in FAILING | STOPPED:
                assert edge[0] == "Catch", (name, edge)
                assert edge[2] == "$.error", (name, edge)
            if name in FAILING:
                assert target in FAILING, (name, edge)
                assert edge[0] != "Catch" or edge[2] != "$.error", (name, edge)
    assert {name for name in FAILING if STATES[name]["Type"] in ("Succeed", "Fail")} == {"Restore Failed"}


def test_a_run_that_succeeds_has_made_users_put_its_snapshot_away_and_told_it() -> None:
    for before in ("Setup DB Users", "Send Success Notification"):
        assert "Restored" not in reached_by({"rolls_back": None}, without=before)
    with_something: list[dict[str, Any]] = [{"copy": {}}, {"export": {}}]
    for plan in with_something:
        assert "Restored" not in reached_by(plan | {"rolls_back": None, "drill": False}, without="Archive Snapshot")
    assert "Archive Snapshot" not in reached_by({"copy": None, "export": None, "delete_source": False})


def test_every_failure_but_a_duplicates_is_told() -> None:
    silent = [(name, edge) for name, edge in into("Restore Failed") if name != "Send Failure Notification"]
    assert silent == [("Check Snapshot Exists", catches("DuplicateRefused", "$.error", "Restore Failed"))]
