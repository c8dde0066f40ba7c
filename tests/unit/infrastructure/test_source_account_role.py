"""The role in the source's account means what its statements say: asked request by request, as IAM would decide.

Each statement allows something that the pipeline needs, each condition and each name in a resource refuses something
that it must not do; and whatever is loosened shows here.
"""

from __future__ import annotations

import copy
import functools
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.checks.expansion import INFRASTRUCTURE
from scripts.checks.policies import as_list
from scripts.local_aws.cloudformation.template import Template
from scripts.local_aws.iam.policy import Policy, Request, evaluate

OWNER, PIPELINE, STRANGER = "210987654321", "123456789012", "999999999999"
EXTERNAL_ID = "an-external-id"
PSEUDO = {
    "AWS::AccountId": OWNER,
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::URLSuffix": "amazonaws.com",
}
GIVEN = {
    "PipelineAccountId": PIPELINE,
    "ExternalId": EXTERNAL_ID,
    "RestorableClusterPattern": "prod-orders*",
    "ShareableSnapshotPattern": "monthly-*",
}
MARKED = {"aws:requesttag/aurora-restore:operation-id": "op-1"}
OURS = {"aws:resourcetag/aurora-restore:operation-id": "op-1"}
READER = {"aws:userid": "AROAEXAMPLE:snapshot-check-op-1"}
OBSERVER = {"aws:userid": "AROAEXAMPLE:check-copy-status-op-1"}
COPIER = {"aws:userid": "AROAEXAMPLE:copy-snapshot-op-1"}
ARCHIVER = {"aws:userid": "AROAEXAMPLE:archive-snapshot-op-1"}
BY_RDS = {"kms:viaservice": "rds.eu-west-1.amazonaws.com"}


@functools.cache
def role(path: str = "/") -> dict[str, Any]:
    """The role's properties, for a stack under the path."""
    given = GIVEN | {"PipelineRolePath": path}
    template = Template.load(INFRASTRUCTURE / "source-account-role.yaml", given, PSEUDO)
    properties: dict[str, Any] = template.evaluator.value(template.resources["Role"]["Properties"])
    return properties


def policy() -> dict[str, Any]:
    (found,) = role()["Policies"]
    document: dict[str, Any] = found["PolicyDocument"]
    return document


def snapshot(name: str, account: str = OWNER) -> str:
    return f"arn:aws:rds:eu-west-1:{account}:cluster-snapshot:{name}"


CLUSTER = f"arn:aws:rds:eu-west-1:{OWNER}:cluster:prod-orders"
INSTANCE = f"arn:aws:rds:eu-west-1:{OWNER}:db:prod-orders-1"
KEY = f"arn:aws:kms:eu-west-1:{OWNER}:key/1234"
THEIR_KEY = f"arn:aws:kms:eu-west-1:{STRANGER}:key/1234"
COPY = snapshot("prod-orders-copy-0123456789ab")
AUTOMATED = snapshot("rds:prod-orders-2026-11-27-02-00")
OF_BACKUP = snapshot("awsbackup:job-0d1f3c5e-1111-4000-8000-000000000000")
MANUAL = snapshot("monthly-orders")

Asked = tuple[str, str, dict[str, str]]

COPYING: list[Asked] = [
    *(("rds:CopyDBClusterSnapshot", source, MARKED) for source in (AUTOMATED, OF_BACKUP, MANUAL)),
    ("rds:CopyDBClusterSnapshot", COPY, MARKED),
    ("rds:AddTagsToResource", COPY, MARKED),
]
SHARING_AND_TAKING_BACK: list[Asked] = [
    ("rds:ModifyDBClusterSnapshotAttribute", MANUAL, {}),
    ("rds:ModifyDBClusterSnapshotAttribute", COPY, OURS),
    ("rds:DeleteDBClusterSnapshot", COPY, OURS),
]


def under(names: list[dict[str, str]], asked: list[Asked]) -> list[Asked]:
    """The same requests in sessions of these names."""
    return [(action, resource, context | name) for name in names for action, resource, context in asked]


ALLOWED: list[Asked] = [
    ("rds:DescribeDBClusterSnapshots", AUTOMATED, {}),
    ("rds:DescribeDBClusterSnapshots", CLUSTER, {}),
    ("rds:DescribeDBClusterSnapshotAttributes", AUTOMATED, {}),
    ("rds:DescribeDBClusters", CLUSTER, {}),
    ("rds:DescribeDBInstances", INSTANCE, {}),
    ("rds:DescribeAccountAttributes", "*", {}),
    ("application-autoscaling:DescribeScalableTargets", "*", {}),
    *under([COPIER], COPYING),
    *under([COPIER, ARCHIVER], SHARING_AND_TAKING_BACK),
    ("kms:DescribeKey", KEY, {}),
    *((action, KEY, BY_RDS) for action in ("kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey")),
]

REFUSED_TO_THE_COPIER: list[Asked] = [
    # What isn't of this account.
    ("rds:DescribeDBClusterSnapshots", snapshot("x", STRANGER), {}),
    ("rds:DescribeDBClusterSnapshotAttributes", snapshot("x", STRANGER), {}),
    ("rds:DescribeDBClusters", CLUSTER.replace(OWNER, STRANGER), {}),
    ("rds:DescribeDBInstances", INSTANCE.replace(OWNER, STRANGER), {}),
    *(
        ("rds:CopyDBClusterSnapshot", each.replace(OWNER, STRANGER), MARKED)
        for each in (AUTOMATED, OF_BACKUP, MANUAL, COPY)
    ),
    ("rds:AddTagsToResource", snapshot("x-copy-0123456789ab", STRANGER), MARKED),
    ("rds:ModifyDBClusterSnapshotAttribute", snapshot("monthly-orders", STRANGER), {}),
    ("rds:ModifyDBClusterSnapshotAttribute", snapshot("x-copy-0123456789ab", STRANGER), OURS),
    ("rds:DeleteDBClusterSnapshot", snapshot("x-copy-0123456789ab", STRANGER), OURS),
    ("kms:DescribeKey", THEIR_KEY, {}),
    ("kms:CreateGrant", THEIR_KEY, BY_RDS),
    # A copy is marked at once, or not made.
    ("rds:CopyDBClusterSnapshot", AUTOMATED, {}),
    ("rds:CopyDBClusterSnapshot", CLUSTER, MARKED),
    # What is copied is named so, or automated of a cluster that is, or AWS Backup's; what is made of it, as a copy.
    ("rds:CopyDBClusterSnapshot", snapshot("billing-monthly"), MARKED),
    ("rds:CopyDBClusterSnapshot", snapshot("prod-orders-weekly"), MARKED),
    ("rds:CopyDBClusterSnapshot", snapshot("prod-orders-copy-1"), MARKED),
    ("rds:CopyDBClusterSnapshot", snapshot("rds:billing-2026-11-27-02-00"), MARKED),
    ("rds:CopyDBClusterSnapshot", snapshot("rds:monthly-orders-2026-11-27-02-00"), MARKED),
    # Nothing but copies is marked, and with the operation's id.
    ("rds:AddTagsToResource", COPY, {}),
    ("rds:AddTagsToResource", AUTOMATED, MARKED),
    ("rds:AddTagsToResource", snapshot("prod-orders-copy-1"), MARKED),
    ("rds:AddTagsToResource", MANUAL, MARKED),
    ("rds:AddTagsToResource", CLUSTER, MARKED),
    ("rds:AddTagsToResource", INSTANCE, MARKED),
    # What is shared is named so, or a copy of ours.
    ("rds:ModifyDBClusterSnapshotAttribute", snapshot("billing-monthly"), {}),
    ("rds:ModifyDBClusterSnapshotAttribute", snapshot("billing-monthly"), OURS),
    ("rds:ModifyDBClusterSnapshotAttribute", COPY, {}),
    # What is deleted is named as a copy, and one of ours.
    ("rds:DeleteDBClusterSnapshot", COPY, {}),
    ("rds:DeleteDBClusterSnapshot", MANUAL, OURS),
    ("rds:DeleteDBClusterSnapshot", snapshot("prod-orders-copy-1"), OURS),
    ("rds:ModifyDBClusterSnapshotAttribute", snapshot("billing-copy-1"), OURS),
    ("rds:DeleteDBClusterSnapshot", AUTOMATED, OURS),
    # Keys are used by RDS alone.
    *((action, KEY, {}) for action in ("kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey")),
    ("kms:Decrypt", KEY, {"kms:viaservice": "secretsmanager.eu-west-1.amazonaws.com"}),
    ("kms:Decrypt", KEY, {"kms:viaservice": "s3.eu-west-1.amazonaws.com"}),
    # And all that nobody has asked for.
    ("rds:DeleteDBCluster", CLUSTER, OURS),
    ("rds:DeleteDBInstance", INSTANCE, OURS),
    ("rds:ModifyDBCluster", CLUSTER, OURS),
    ("rds:RemoveTagsFromResource", COPY, OURS),
    ("rds:RestoreDBClusterFromSnapshot", AUTOMATED, MARKED),
    ("rds:StartExportTask", AUTOMATED, {}),
    ("kms:PutKeyPolicy", KEY, BY_RDS),
    ("kms:ScheduleKeyDeletion", KEY, BY_RDS),
    ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:eu-west-1:{OWNER}:secret:x-abcdef", {}),
    ("iam:PutRolePolicy", f"arn:aws:iam::{OWNER}:role/aurora-restore-source", {}),
    ("sts:AssumeRole", f"arn:aws:iam::{OWNER}:role/admin", {}),
]

REFUSED = [
    *under([COPIER], REFUSED_TO_THE_COPIER),
    # Who reads changes nothing, whatever its session policy says or whether there is one.
    *under([READER, OBSERVER, {}], COPYING + SHARING_AND_TAKING_BACK),
    # Who takes back copies nothing.
    *under([ARCHIVER], COPYING),
]


def allows(document: dict[str, Any], action: str, resource: str, context: dict[str, str]) -> bool:
    return evaluate([Policy.parse("source", document)], Request(action, resource, context)).allowed


@pytest.mark.parametrize(("action", "resource", "context"), ALLOWED)
def test_what_the_pipeline_does_is_allowed(action: str, resource: str, context: dict[str, str]) -> None:
    assert allows(policy(), action, resource, context)


@pytest.mark.parametrize(("action", "resource", "context"), REFUSED)
def test_what_it_must_not_do_is_refused(action: str, resource: str, context: dict[str, str]) -> None:
    assert not allows(policy(), action, resource, context)


def resources_of(statement: dict[str, Any]) -> list[str]:
    return as_list(statement["Resource"])


def loosened() -> Iterator[tuple[str, dict[str, Any]]]:
    """The policy with one thing less in it: a condition, or a resource's name."""
    for number, statement in enumerate(policy()["Statement"]):
        for operator in statement.get("Condition", {}):
            changed = copy.deepcopy(policy())
            del changed["Statement"][number]["Condition"][operator]
            yield f"{statement['Sid']} without {operator}", changed
        for place, resource in enumerate(resources_of(statement)):
            if resource == "*":
                continue
            changed = copy.deepcopy(policy())
            resources = resources_of(changed["Statement"][number])
            changed["Statement"][number]["Resource"] = [*resources[:place], "*", *resources[place + 1 :]]
            yield f"{statement['Sid']} for everything instead of {resource}", changed


@pytest.mark.parametrize(("what", "document"), list(loosened()), ids=lambda each: each if isinstance(each, str) else "")
def test_nothing_can_be_loosened_unnoticed(what: str, document: dict[str, Any]) -> None:
    assert any(allows(document, *request) for request in REFUSED), what


def lessened() -> Iterator[tuple[str, dict[str, Any]]]:
    """The policy without one of its actions, or without one of its resources."""
    for number, statement in enumerate(policy()["Statement"]):
        for resource in resources_of(statement):
            changed = copy.deepcopy(policy())
            others = [each for each in resources_of(statement) if each != resource]
            changed["Statement"][number]["Resource"] = others or "arn:none"
            yield f"{statement['Sid']} without {resource}", changed
        actions = as_list(statement["Action"])
        for action in actions:
            changed = copy.deepcopy(policy())
            changed["Statement"][number]["Action"] = [each for each in actions if each != action] or "none:None"
            yield f"{statement['Sid']} without {action}", changed


@pytest.mark.parametrize(("what", "document"), list(lessened()), ids=lambda each: each if isinstance(each, str) else "")
def test_nothing_is_allowed_that_nothing_needs(what: str, document: dict[str, Any]) -> None:
    assert not all(allows(document, *request) for request in ALLOWED), what


def may_assume(
    function: str,
    session: str = "snapshot-check-op-1",
    *,
    account: str = PIPELINE,
    external_id: str | None = EXTERNAL_ID,
    path: str = "/",
) -> bool:
    """Whether the role of that name may become this one. IAM asks the trust for the caller's account."""
    context = {"aws:principalarn": f"arn:aws:iam::{account}:role{path}{function}", "sts:rolesessionname": session}
    context |= {"sts:externalid": external_id} if external_id is not None else {}
    principals = frozenset({f"arn:aws:iam::{account}:root"})
    trust = Policy.parse("trust", role(path)["AssumeRolePolicyDocument"])
    request = Request("sts:AssumeRole", f"arn:aws:iam::{OWNER}:role/aurora-restore-source", context, principals)
    return evaluate([trust], request).allowed


STEPS = ["snapshot-check", "copy-snapshot", "check-copy-status", "archive-snapshot"]


@pytest.mark.parametrize(("step", "path"), list(itertools.product(STEPS, ["/", "/teams/data/"])))
def test_the_steps_that_need_it_may_assume_it_with_the_external_id_alone(step: str, path: str) -> None:
    name, session = f"aurora-restore-{step}-eu-central-1", f"{step}-op-1"
    assert may_assume(name, session, path=path)
    assert not may_assume(name, session, path=path, external_id=None)
    assert not may_assume(name, session, path=path, external_id="another")
    assert not may_assume(name, session, path=path, account=STRANGER)
    assert not may_assume(f"other-{name}", session, path=path)


@pytest.mark.parametrize(("step", "other"), [pair for pair in itertools.product(STEPS, STEPS) if len(set(pair)) == 2])
def test_no_function_takes_anothers_name(step: str, other: str) -> None:
    """The role's own policies go by the session's name: an attacker in one function stays what this function is."""
    assert not may_assume(f"aurora-restore-{step}-eu-central-1", f"{other}-op-1")
    assert not may_assume(f"aurora-restore-{step}-eu-central-1", "any")


def test_the_longest_trust_policy_fits() -> None:
    """IAM user guide, "IAM and AWS STS quotas": 2,048 characters of trust policy, spaces left out."""
    given = {
        "ExternalId": "e" * 80,
        "PipelineNamePrefix": "p" * 27,
        "PipelineRolePath": f"/{'t' * 62}/",
    }
    partition = PSEUDO | {"AWS::Partition": "aws-us-gov"}
    template = Template.load(INFRASTRUCTURE / "source-account-role.yaml", GIVEN | given, partition)
    trust = template.evaluator.value(template.resources["Role"]["Properties"]["AssumeRolePolicyDocument"])
    assert len(json.dumps(trust, separators=(",", ":"))) <= 2048


@pytest.mark.parametrize(
    "name",
    [
        "admin",
        "aurora-restore-delete-rds-eu-central-1",
        "aurora-restore-restore-snapshot-eu-central-1",
        "aurora-restore-setup-db-users-eu-central-1",
        "aurora-restore-sns-notification-eu-central-1",
        "aurora-restore-pipeline-eu-central-1",
        "elsewhere/aurora-restore-copy-snapshot-eu-central-1",
    ],
)
def test_nobody_else_of_the_pipelines_account_may(name: str) -> None:
    assert not any(may_assume(name, f"{step}-op-1") for step in STEPS)


def test_a_boundary_and_a_path_are_the_accounts_to_choose() -> None:
    assert "PermissionsBoundary" not in role()
    given = GIVEN | {"PermissionsBoundaryArn": f"arn:aws:iam::{OWNER}:policy/bounds", "RolePath": "/platform/"}
    template = Template.load(INFRASTRUCTURE / "source-account-role.yaml", given, PSEUDO)
    properties = template.evaluator.value(template.resources["Role"]["Properties"])
    assert properties["PermissionsBoundary"] == f"arn:aws:iam::{OWNER}:policy/bounds"
    assert properties["Path"] == "/platform/"
