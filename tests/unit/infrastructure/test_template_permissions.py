"""Each role may do what its function's code calls, and nothing else. The code is read, not run (scripts.checks.reach).

The linters know whether an action exists and fits its resource. Only we know whether anybody calls it.
"""

from __future__ import annotations

import ast
from typing import Any

import pytest

from scripts.checks.expansion import source, translated
from scripts.checks.grants import reasons
from scripts.checks.handlers import FOLDERS, folder_of
from scripts.checks.policies import as_list, gathered, identity_policies, resolved
from scripts.checks.reach import UTILS, Definition, _mentioned_in, _names, _service_of

PLAIN: dict[str, dict[str, Any]] = translated()["Resources"]
ROLE_OF = {
    folder_of(name): each["Properties"]["Role"]["Fn::GetAtt"][0]
    for name, each in PLAIN.items()
    if each["Type"] == "AWS::Lambda::Function"
}


def needed(folder: str) -> set[str]:
    return set(reasons(folder))


def actions(document: dict[str, Any]) -> set[str]:
    return {
        action
        for statement in document["Statement"]
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
    }


def own_actions(role: str) -> set[str]:
    policies = PLAIN[role]["Properties"]["Policies"]
    return set().union(*(actions(resolved(policy["PolicyDocument"])) for policy in policies))


@pytest.mark.parametrize(
    ("code", "is_mentioned"),
    [
        ("def f(): return helper()", True),
        ("def f(helper): return helper()", False),
        ("def f(a, *, helper): return helper(a)", False),
        # Its own name is another one's, or is looked up outside.
        ("def f(helper=helper): return helper()", True),
        ("@helper\ndef f(helper): pass", True),
        ("def f(a, key=lambda helper: 1): return helper(a)", True),
        ("def f(a):\n    def g(helper): pass\n    return helper(a)", True),
    ],
)
def test_what_a_parameter_of_a_function_shadows_is_not_its_reach(code: str, is_mentioned: bool) -> None:
    (function,) = ast.parse(code).body
    helper = Definition("module", "helper", function, is_method=False, is_property=False)
    assert _mentioned_in(function).includes(helper) is is_mentioned


def test_no_call_hides_behind_a_client_that_is_handed_over() -> None:
    """The reach of the code is read from `client("<service>")`: a call on a parameter would need no permission here."""
    hidden = {
        path.name: found for path in UTILS.rglob("*.py") if (found := functions_that_hide_calls(path.read_text()))
    }
    assert hidden == {}


def functions_that_hide_calls(code: str) -> list[str]:
    """Return the functions that are handed a client. What a class keeps of its `__init__` is known to `_clients`."""
    nodes = list(ast.walk(ast.parse(code)))
    stubs = [
        each for each in nodes if isinstance(each, ast.ImportFrom) and (each.module or "").startswith("mypy_boto3")
    ]
    clients = {alias.name for each in stubs for alias in each.names if alias.name.endswith("Client")}
    return [
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef) and node.name != "__init__" and not _service_of(node)
        for each in (*node.args.args, *node.args.kwonlyargs)
        if each.annotation is not None and clients & {name.id for name in _names(each.annotation)}
    ]


@pytest.mark.parametrize(
    ("code", "hides"),
    [
        ("def f(rds: RDSClient): pass", True),
        ("def f(a, *, rds: RDSClient | None = None): pass", True),
        ("def f(rds: RDSClient | None = None): return rds or client('rds')", False),
        ("def f(a: str, fence: FenceClient): pass", False),
    ],
)
def test_a_client_that_is_handed_over_is_found(code: str, hides: bool) -> None:
    found = functions_that_hide_calls(f"from mypy_boto3_rds import RDSClient\n{code}")
    assert found == (["f"] if hides else [])


def test_every_handler_has_a_role() -> None:
    assert sorted(ROLE_OF) == FOLDERS


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_role_allows_what_its_code_calls(folder: str) -> None:
    allowed = set().union(*(actions(document) for document in gathered(ROLE_OF[folder]).values()))
    assert needed(folder) - allowed == set()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_role_of_its_own_allows_nothing_that_its_code_does_not_call(folder: str) -> None:
    assert own_actions(ROLE_OF[folder]) - needed(folder) == set()


def test_what_all_roles_share_each_action_of_it_is_needed_by_some() -> None:
    shared = actions(identity_policies()["StatePolicy"])
    assert shared - set().union(*(needed(folder) for folder in FOLDERS)) == set()


def test_only_the_steps_that_delete_may_delete() -> None:
    deleting = {
        folder: {action for action in own_actions(role) if action.startswith("rds:Delete")}
        for folder, role in ROLE_OF.items()
    }
    assert {folder: found for folder, found in deleting.items() if found} == {
        "aurora-restore-archive-snapshot": {"rds:DeleteDBClusterSnapshot"},
        "aurora-restore-copy-snapshot": {"rds:DeleteDBClusterSnapshot"},
        "aurora-restore-delete-rds": {"rds:DeleteDBCluster", "rds:DeleteDBInstance"},
        "aurora-restore-expire-clusters": {"rds:DeleteDBCluster", "rds:DeleteDBInstance"},
    }


@pytest.mark.parametrize("role", ["ArchiveSnapshotRole", "CopySnapshotRole"])
def test_a_snapshot_may_be_deleted_only_if_it_is_a_copy_that_the_pipeline_made(role: str) -> None:
    """The policy asks for the tag as well as for the name; the code asks for the recorded ARN on top."""
    (statement,) = [
        each
        for each in resolved(PLAIN[role]["Properties"]["Policies"][0]["PolicyDocument"])["Statement"]
        if each["Action"] == "rds:DeleteDBClusterSnapshot"
    ]
    assert statement["Resource"].endswith(":cluster-snapshot:*-copy-????????????")
    assert statement["Condition"] == {"Null": {"aws:ResourceTag/aurora-restore:operation-id": "false"}}


def test_the_step_that_deletes_cant_change_the_tags_that_protect() -> None:
    tagging = [
        resolved(statement["Resource"])
        for statement in PLAIN["DeleteRdsRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow" and "rds:AddTagsToResource" in as_list(statement["Action"])
    ]
    assert tagging == ["arn:aws:rds:*:111122223333:cluster-snapshot:*-final-????????????"]


def test_what_carries_no_tag_of_ours_may_be_deleted_only_within_the_stacks_pattern() -> None:
    statements = PLAIN["DeleteRdsRole"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    for statement in statements:
        if statement["Effect"] == "Allow" and "rds:DeleteDBCluster" in as_list(statement["Action"]):
            clusters = [each for each in statement["Resource"] if ":cluster:" in each["Fn::Sub"]]
            narrowed = all(each["Fn::Sub"].endswith(":cluster:${DeletableClusterPattern}") for each in clusters)
            tagged = statement.get("Condition") == {"Null": {"aws:ResourceTag/aurora-restore:operation-id": "false"}}
            assert narrowed or tagged


@pytest.mark.parametrize("name", [name for name, each in PLAIN.items() if each["Type"] == "AWS::IAM::Role"])
def test_a_role_is_for_one_service_of_aws_alone(name: str) -> None:
    for statement in PLAIN[name]["Properties"]["AssumeRolePolicyDocument"]["Statement"]:
        assert list(statement["Principal"]) == ["Service"]
        assert statement["Action"] == "sts:AssumeRole"
        assert isinstance(statement["Principal"]["Service"], str)


def test_nothing_is_open_to_everybody() -> None:
    """Neither a key's or topic's own policy, nor a function's permission, nor a door into the database."""
    for name, each in source()["Resources"].items():
        properties = each.get("Properties", {})
        for policy in (properties.get("KeyPolicy"), properties.get("PolicyDocument"), properties.get("ResourcePolicy")):
            for statement in (policy or {}).get("Statement", []):
                if statement["Effect"] == "Allow":
                    assert statement.get("Principal", {}) not in ("*", {"AWS": "*"}), name
        own = [properties] if each["Type"] == "AWS::EC2::SecurityGroupIngress" else []
        for rule in properties.get("SecurityGroupIngress", own):
            assert "CidrIp" not in rule, name
            assert "CidrIpv6" not in rule, name
        for rule in properties.get("SecurityGroupEgress", []):
            to_nowhere = (rule["IpProtocol"], rule.get("CidrIp")) == ("-1", "127.0.0.1/32")
            assert to_nowhere or (rule["IpProtocol"] == "tcp" and rule["FromPort"] == rule["ToPort"]), name


@pytest.mark.parametrize("folder", FOLDERS)
def test_who_looks_for_snapshots_may_look_for_those_of_a_cluster_too(folder: str) -> None:
    """The Service Authorization Reference lists both types for it; which one RDS asks for depends on the call."""
    for policy in PLAIN[ROLE_OF[folder]]["Properties"]["Policies"]:
        for statement in policy["PolicyDocument"]["Statement"]:
            if statement.get("Action") == "rds:DescribeDBClusterSnapshots":  # with no condition of the stack's on it
                kinds = {each.split(":")[5] for each in as_list(resolved(statement["Resource"]))}
                assert kinds == {"cluster", "cluster-snapshot"}, statement["Sid"]
