"""Every permission of every function, as a page for those who approve the stack: what, on what, if, and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from scripts.checks.expansion import source
from scripts.checks.grants import reasons
from scripts.checks.handlers import FOLDERS, folder_of
from scripts.checks.policies import as_list
from utils.arns import Arn

_SHARED = "StatePolicy"
# The template's conditions on single statements, as what they say of the stack.
_CONDITIONS = {
    "Exports": "names a bucket, a role and a key for exports",
    "HasSourceAccount": "has a SourceAccountId",
    "HasMaskingPolicies": "has MaskingPolicies",
    "HasVerificationPolicies": "has VerificationPolicies",
    "HasSourceReaders": "has SourceReaderSecrets",
    "HasSubnetGroupPattern": "has an AllowedSubnetGroupPattern",
    "RdsKeepsLogins": "has a MasterLogin of rds_managed",
    "Monitors": "has a MonitoringRoleArn",
    "LetsClustersGo": "has AllowDeletionOfReplaced true",
    "AssumesSourceRole": "has a SourceAccountId and a SourceRoleName",
}


def permissions_table() -> str:
    """Return a table for each role. What the functions of all steps share is in the first, once."""
    resources: dict[str, Any] = source()["Resources"]
    role_of = {
        folder_of(name): each["Properties"]["Role"]["Fn::GetAtt"][0]
        for name, each in resources.items()
        if each["Type"] == "AWS::Serverless::Function"
    }
    sharing = [each for each in FOLDERS if {"Ref": _SHARED} in _shared(resources[role_of[each]])]
    others = ", ".join(each for each in FOLDERS if each not in sharing)
    shared = _table(resources[_SHARED]["Properties"]["PolicyDocument"], _why_all(sharing))
    lines = [f"**All functions{' but ' * bool(others)}{others}**", "", *shared, ""]
    for folder in FOLDERS:
        lines += [f"**{folder}**", ""]
        for policy in resources[role_of[folder]]["Properties"]["Policies"]:
            lines += [*_table(policy["PolicyDocument"], reasons(folder)), ""]
    for name, each in resources.items():
        if each["Type"] == "AWS::IAM::Role" and name not in role_of.values():
            lines += [f"**{name}**", ""]
            for policy in each["Properties"]["Policies"]:
                lines += [*_table(policy["PolicyDocument"], {}), ""]
    return "\n".join(lines)


def _shared(role: dict[str, Any]) -> list[Any]:
    return list(role["Properties"].get("ManagedPolicyArns", []))


def _why_all(folders: list[str]) -> dict[str, list[str]]:
    """Return the functions' reasons for what the shared policy allows, each once."""
    found: dict[str, list[str]] = {}
    for folder in folders:
        for action, why in reasons(folder).items():
            found[action] = list(dict.fromkeys([*found.get(action, []), *why]))
    return found


def _table(document: dict[str, Any], why: dict[str, list[str]]) -> Iterator[str]:
    yield "| Statement | Actions | On | If | Needed by |"
    yield "|---|---|---|---|---|"
    for each in document["Statement"]:
        condition, statement, _ = each.get("Fn::If", ["", each, None])
        actions = as_list(statement["Action"])
        needed = list(dict.fromkeys(reason for action in actions for reason in why.get(action, [])))
        only = [f"the stack {_CONDITIONS[condition]}"] if condition else []
        refused = "**may never** " if statement["Effect"] == "Deny" else ""
        yield " | ".join(
            (
                f"| {statement['Sid']}",
                refused + ", ".join(f"`{action}`" for action in actions),
                ", ".join(dict.fromkeys(_named(each, _arn) for each in as_list(statement["Resource"]))),
                "; ".join([*only, *_conditions(statement.get("Condition", {}))]),
                f"{'' if refused else ', '.join(needed)} |",
            )
        )


def _conditions(conditions: dict[str, Any]) -> Iterator[str]:
    for operator, tests in conditions.items():
        for key, values in tests.items():
            wanted = ", ".join(dict.fromkeys(_named(value, _literal) for value in as_list(values)))
            yield f"{key} is given" if (operator, wanted) == ("Null", "false") else f"{key} {operator} {wanted}"


def _named(value: Any, written: Callable[[str], str]) -> str:
    """Return the stack's own resources and parameters by their names, and every other text as it is written."""
    match value:
        case {"Fn::GetAtt": [str(name), _]} | {"Ref": str(name)}:
            return name
        case {"Fn::If": [_, then, otherwise]}:
            return f"{_named(then, written)} or {_named(otherwise, written)}"
        case {"Fn::Select": _} if "${CostTags}" in str(value):
            return "the keys of CostTags"
        case {"Fn::Select": _} if "${SourceReaderSecrets}" in str(value):
            return "the secrets of SourceReaderSecrets"
        case {"Fn::Sub": _} if "${MaskingPolicies}" in str(value):
            return "the objects of MaskingPolicies"
        case {"Fn::Sub": _} if "${VerificationPolicies}" in str(value):
            return "the objects of VerificationPolicies"
        case {"Fn::Select": _} if "${MaskingPolicies}" in str(value):
            return "the versions of MaskingPolicies"
        case {"Fn::Select": _} if "${VerificationPolicies}" in str(value):
            return "the versions of VerificationPolicies"
        case {"Fn::Sub": [str(text), _]} | {"Fn::Sub": str(text)}:
            return written(text)
    return written(str(value))


def _arn(text: str) -> str:
    """Return service and name, with the region and account if they are not the stack's own."""
    arn = Arn.parse_or_none(re.sub(r"\$\{AWS::(\w+)\}", r"<\1>", text))
    if arn is None:
        return "everything" if text == "*" else f"`{text}`"
    region = {"*": " of any region", "<Region>": "", "": ""}.get(arn.region, f" of {arn.region}")
    account = {"<AccountId>": "", "": ""}.get(arn.account_id, f" of account {arn.account_id}")
    return f"`{arn.service} {arn.resource}`{region}{account}"


def _literal(text: str) -> str:
    return text if text in ("true", "false") else f"`{text}`"
