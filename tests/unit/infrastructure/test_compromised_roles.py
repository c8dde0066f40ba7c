"""What somebody could do who controls one function: each role tried with each attack, as IAM would decide.

An attack is a chain of requests that all have to be allowed. What IAM can't refuse stands in
documentation/architecture/security.md, each with the functions that can do it; what is refused to all stands there too.
Neither list may have more or less than what is found here under the policies of the template.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.checks.expansion import translated
from scripts.checks.policies import as_list
from tests.unit.infrastructure.test_template_denies import (
    ADMIN,
    APPLICATION,
    BUS,
    CHECKS_FILE,
    EXPIRES,
    EXPIRY_SET,
    GIVEN,
    HERE,
    LINK,
    MARKED,
    MEMBER,
    NOT_MADE_YET,
    OF_FUNCTIONS,
    OTHER_SECRET,
    OTHERS_ADMIN,
    OTHERS_APPLICATION,
    OURS,
    OWN,
    OWNER,
    POLICY_FILE,
    PREVIOUS,
    PROTECTED,
    RDS_SECRET,
    REPLACEABLE,
    REPLACED,
    ROLES_SET,
    SALT,
    SOURCE,
    STRANGER,
    TARGETS_ADMIN,
    TARGETS_APPLICATION,
    THERE,
    Asked,
    announced,
    asked_of,
    cluster,
    each,
    function,
    iam_role,
    instance,
    kept_by_rds,
    key,
    log_stream,
    passed_to,
    rds,
    secret,
    signed,
    snapshot,
    statements,
    table,
    tagged,
    via,
)

PAGE = Path(__file__).parents[3] / "documentation" / "architecture" / "security.md"

FOREIGN, OTHER_TARGET = "billing", "staging-billing"
MACHINE = f"arn:aws:states:{HERE}:{OWN}:stateMachine:aurora-restore-pipeline"
RUN = f"arn:aws:states:{HERE}:{OWN}:execution:aurora-restore-pipeline:op-1"
TOPIC = f"arn:aws:sns:{HERE}:{OWN}:Topic"
THEIR_COPY = snapshot("billing-copy-0123456789ab")
# As somebody may name a snapshot or an instance of theirs: a pattern takes any twelve characters for a fingerprint.
NAMED_LIKE_A_COPY = snapshot("billing-copy-before-merge")
NAMED_LIKE_A_MEMBER = instance("app-prod-cluster-1")
OF_BACKUP = snapshot("awsbackup:job-0d1f3c5e")
FINAL = snapshot("billing-final-0123456789ab")


def item(key_of_item: str, action: str, name: str = "StateTable") -> list[Asked]:
    return [(f"dynamodb:{action}", table(name), {"dynamodb:leadingkeys": (key_of_item,)})]


def through(service: str, actions: str, name: str, region: str = HERE) -> list[Asked]:
    return each(actions, key(name, region=region), via(service, region))


ATTACKS: dict[str, list[Asked]] = {
    # Clusters and instances
    "delete a cluster that the pipeline did not create": each("rds:DeleteDBCluster", cluster(FOREIGN)),
    "delete an instance that the pipeline did not create": each("rds:DeleteDBInstance", instance(f"{FOREIGN}-1")),
    "delete a cluster that carries `aurora-restore:protected`": each(
        "rds:DeleteDBCluster", cluster("retired-1"), OURS | PROTECTED
    ),
    "delete an instance that carries `aurora-restore:protected`": each(
        "rds:DeleteDBInstance", instance("staging-orders-0123456789ab-1"), OURS | PROTECTED
    ),
    "delete the source, which `DeletableClusterPattern` does not match": each("rds:DeleteDBCluster", cluster(SOURCE)),
    "delete a foreign cluster that somebody has marked as ours": each("rds:DeleteDBCluster", cluster(FOREIGN), OURS),
    "delete what `DeletableClusterPattern` matches": each("rds:DeleteDBCluster", cluster("retired-1")),
    "reset the master password of what `DeletableClusterPattern` matches": each(
        "rds:ModifyDBCluster", cluster("retired-1")
    ),
    "delete a cluster that another run restored": each("rds:DeleteDBCluster", cluster("staging-orders"), OURS),
    "delete a cluster that another run restored and that expires": each(
        "rds:DeleteDBCluster", cluster("staging-orders"), OURS | EXPIRES
    ),
    "change a cluster that another run restored and that expires": each(
        "rds:ModifyDBCluster", cluster("staging-orders"), OURS | EXPIRES
    ),
    "give a cluster that another run restored another moment of expiry": each(
        "rds:AddTagsToResource", cluster("staging-orders"), OURS | EXPIRY_SET
    ),
    "mark a foreign cluster as ours, then reset its master password": [
        *each("rds:AddTagsToResource", cluster(FOREIGN), MARKED),
        *each("rds:ModifyDBCluster", cluster(FOREIGN), OURS),
    ],
    "mark a foreign cluster as ours, then add an instance, also a public one": [
        *each("rds:AddTagsToResource", cluster(FOREIGN), MARKED),
        *each("rds:CreateDBInstance", cluster(FOREIGN), OURS),
        *each("rds:CreateDBInstance", instance("billing-2"), MARKED),
    ],
    "mark a foreign cluster as ours, then open the Data API": [
        *each("rds:AddTagsToResource", cluster(FOREIGN), MARKED),
        *each("rds:EnableHttpEndpoint", cluster(FOREIGN), OURS),
    ],
    "open the Data API of a foreign cluster that somebody has marked as ours": each(
        "rds:EnableHttpEndpoint", cluster(FOREIGN), OURS
    ),
    "change a foreign cluster that somebody has marked as ours": each("rds:ModifyDBCluster", cluster(FOREIGN), OURS),
    "mark the source as ours, then reset its master password": [
        *each("rds:AddTagsToResource", cluster(SOURCE), MARKED),
        *each("rds:ModifyDBCluster", cluster(SOURCE), OURS),
    ],
    "mark a foreign cluster as ours, then delete it": [
        *each("rds:AddTagsToResource", cluster(FOREIGN), MARKED),
        *each("rds:DeleteDBCluster", cluster(FOREIGN), OURS),
    ],
    "mark a foreign instance as ours": each("rds:AddTagsToResource", instance(f"{FOREIGN}-1"), MARKED),
    "mark an instance that is only named like the pipeline's": each(
        "rds:AddTagsToResource", NAMED_LIKE_A_MEMBER, MARKED
    ),
    "delete a marked instance that is only named like the pipeline's": each(
        "rds:DeleteDBInstance", NAMED_LIKE_A_MEMBER, OURS
    ),
    "mark what `TargetClusterPattern` matches as ours, then reset its master password": [
        *each("rds:AddTagsToResource", cluster("staging-orders"), MARKED),
        *each("rds:ModifyDBCluster", cluster("staging-orders"), OURS),
    ],
    "take our mark or a protection away": each("rds:RemoveTagsFromResource", cluster("staging-orders"), OURS),
    "change a cluster that another run restored": each("rds:ModifyDBCluster", cluster("staging-orders"), OURS),
    "add an instance, also a public one, to a cluster that another run restored": [
        *each("rds:CreateDBInstance", cluster("staging-orders"), OURS),
        *each("rds:CreateDBInstance AddTagsToResource", instance("staging-orders-0123456789ab-9"), MARKED),
    ],
    "open the Data API of a cluster that another run restored": each(
        "rds:EnableHttpEndpoint", cluster("staging-orders"), OURS
    ),
    "restore any snapshot of the account under the target's name": [
        *each("rds:RestoreDBClusterFromSnapshot", snapshot("payroll-monthly")),
        *each("rds:RestoreDBClusterFromSnapshot AddTagsToResource", cluster("staging-orders"), MARKED),
    ],
    "restore any snapshot of the account under a foreign name": [
        *each("rds:RestoreDBClusterFromSnapshot", snapshot("payroll-monthly")),
        *each("rds:RestoreDBClusterFromSnapshot AddTagsToResource", cluster(FOREIGN), MARKED),
    ],
    "reset the master password of what `TargetClusterPattern` matches, also what the pipeline did not create": each(
        "rds:ModifyDBCluster", cluster("staging-orders")
    ),
    "stop, start or restart a cluster that another run restored, or shut its Data API": [
        *each("rds:DisableHttpEndpoint StartDBCluster StopDBCluster", cluster("staging-orders"), OURS),
        *each("rds:RebootDBInstance", MEMBER, OURS),
    ],
    "stop or restart a foreign cluster": [
        *each("rds:StopDBCluster", cluster(FOREIGN), OURS),
        *each("rds:RebootDBInstance", instance(f"{FOREIGN}-1")),
    ],
    "say that a cluster of another run is live, or was replaced and expires": each(
        "rds:AddTagsToResource", cluster("staging-orders"), OURS | ROLES_SET
    ),
    "delete a replaced cluster whose owner lets it be replaced": each(
        "rds:DeleteDBCluster", cluster(PREVIOUS), REPLACEABLE | EXPIRES | REPLACED
    ),
    "delete a live cluster whose owner lets it be replaced": each(
        "rds:DeleteDBCluster", cluster("staging-orders"), REPLACEABLE
    ),
    "delete an instance whose owner lets it be replaced": each(
        "rds:DeleteDBInstance", instance(f"{FOREIGN}-1"), REPLACEABLE
    ),
    # Snapshots
    "share a snapshot of the account, or make it public": each(
        "rds:ModifyDBClusterSnapshotAttribute", snapshot("orders-monthly"), OURS
    ),
    "delete a snapshot that is no copy": each("rds:DeleteDBClusterSnapshot", snapshot("orders-monthly"), OURS),
    "delete another run's copy": each("rds:DeleteDBClusterSnapshot", THEIR_COPY, OURS),
    "delete a copy that carries `aurora-restore:protected`": each(
        "rds:DeleteDBClusterSnapshot", THEIR_COPY, OURS | PROTECTED
    ),
    "mark a snapshot that is only named like a copy, then delete it": [
        *each("rds:AddTagsToResource", NAMED_LIKE_A_COPY, MARKED),
        *each("rds:DeleteDBClusterSnapshot", NAMED_LIKE_A_COPY, OURS),
    ],
    "restore what AWS Backup has of any cluster under the target's name": [
        *each("rds:RestoreDBClusterFromSnapshot", OF_BACKUP),
        *each("rds:RestoreDBClusterFromSnapshot AddTagsToResource", cluster("staging-orders"), MARKED),
    ],
    "copy what AWS Backup has of any cluster": [
        *each("rds:CopyDBClusterSnapshot", OF_BACKUP),
        *each("rds:CopyDBClusterSnapshot", snapshot("x-copy-0123456789ab", region=THERE)),
    ],
    "export what AWS Backup has of any cluster": each("rds:StartExportTask", OF_BACKUP),
    "restore an automated snapshot of a cluster that `RestorableClusterPattern` does not match": each(
        "rds:RestoreDBClusterFromSnapshot", snapshot("rds:billing-2026-11-27-02-00")
    ),
    "copy any snapshot of the account": [
        *each("rds:CopyDBClusterSnapshot", snapshot("payroll-monthly")),
        *each("rds:CopyDBClusterSnapshot", snapshot("x-copy-0123456789ab", region=THERE)),
    ],
    "export any snapshot of the account to the stack's bucket": [
        *each("rds:StartExportTask", snapshot("payroll-monthly")),
        *each("iam:PassRole", GIVEN["ExportRoleArn"], passed_to("export.rds")),
    ],
    "cancel any export of the region": each("rds:CancelExportTask", "*"),
    "mark a final snapshot of anybody's": each("rds:AddTagsToResource", FINAL, MARKED),
    "copy a snapshot that another account shares": each("rds:CopyDBClusterSnapshot", snapshot("shared", OWNER, THERE)),
    "copy a snapshot of an account that is not the stack's source": each(
        "rds:CopyDBClusterSnapshot", snapshot("shared", STRANGER)
    ),
    # Secrets
    "read a secret that is not the stack's": each("secretsmanager:GetSecretValue", OTHER_SECRET),
    "read another stack's secret": each("secretsmanager:GetSecretValue", secret("other-restore/admin")),
    "read the restored cluster's master login": each("secretsmanager:GetSecretValue", ADMIN),
    "stage another master login": each("secretsmanager:PutSecretValue", ADMIN),
    "read the applications' passwords": each("secretsmanager:GetSecretValue", APPLICATION),
    "set the applications' passwords": each("secretsmanager:PutSecretValue", APPLICATION),
    "read the login of a source that the stack names": each("secretsmanager:GetSecretValue", secret("readers/1")),
    "read the master login of another target of the stack": each("secretsmanager:GetSecretValue", TARGETS_ADMIN),
    "stage another master login for another target": each("secretsmanager:PutSecretValue", TARGETS_ADMIN),
    "read the applications' passwords of another target": each("secretsmanager:GetSecretValue", TARGETS_APPLICATION),
    "set the applications' passwords of another target": each("secretsmanager:PutSecretValue", TARGETS_APPLICATION),
    "move a master login's label to another version": each("secretsmanager:UpdateSecretVersionStage", ADMIN),
    "create secrets for another target": each("secretsmanager:CreateSecret", NOT_MADE_YET, tagged("requesttag")),
    "delete the secrets of another target": each("secretsmanager:DeleteSecret", TARGETS_ADMIN, tagged("resourcetag")),
    "read the secrets of another stack's target": each("secretsmanager:GetSecretValue", OTHERS_ADMIN),
    "write to the secrets of another stack's target": each("secretsmanager:PutSecretValue", OTHERS_APPLICATION),
    "delete the secrets of another stack's target": each(
        "secretsmanager:DeleteSecret", OTHERS_ADMIN, tagged("resourcetag")
    ),
    "read the master login that RDS keeps of a foreign cluster": each(
        "secretsmanager:GetSecretValue", RDS_SECRET, kept_by_rds(cluster(FOREIGN))
    ),
    "read the master login that RDS keeps of what `TargetClusterPattern` matches": each(
        "secretsmanager:GetSecretValue", RDS_SECRET, kept_by_rds(cluster("staging-orders"))
    ),
    "read the master login that RDS keeps of the source": each(
        "secretsmanager:GetSecretValue", RDS_SECRET, kept_by_rds(cluster(SOURCE))
    ),
    "create a secret named like those that RDS keeps": each("secretsmanager:CreateSecret", RDS_SECRET),
    "delete the secrets of the stack's own target": each("secretsmanager:DeleteSecret", ADMIN),
    "read the salt of a masking that is under way": each("secretsmanager:GetSecretValue", SALT, tagged("resourcetag")),
    "delete the salt of a masking that is under way": each("secretsmanager:DeleteSecret", SALT, tagged("resourcetag")),
    "write a salt of its own": each("secretsmanager:PutSecretValue", SALT, tagged("resourcetag")),
    # Masking policies
    "read the stack's masking policies": each("s3:GetObjectVersion", POLICY_FILE, {"s3:versionid": "v1"}),
    "read another object of the masking policies' bucket, or another version": each(
        "s3:GetObjectVersion", POLICY_FILE, {"s3:versionid": "another"}
    ),
    # Verification policies
    "read the stack's verification policies": each("s3:GetObjectVersion", CHECKS_FILE, {"s3:versionid": "c1"}),
    "write a verification policy": each("s3:PutObject", CHECKS_FILE),
    "write a masking policy": each("s3:PutObject", POLICY_FILE),
    # Keys
    "decrypt with any key itself": each("kms:Decrypt", key("another")),
    "use any key of the account through RDS": through("rds", "kms:Decrypt CreateGrant", "another"),
    "use a key of an account that is not the stack's source": each("kms:Decrypt", key("another", STRANGER), via("rds")),
    "change a key's policy": each("kms:PutKeyPolicy", key("Key")),
    # State, locks, audit
    "read and rewrite the state of other runs": [
        *item("another-run", "GetItem"),
        *item("another-run", "BatchGetItem"),
        *item("another-run", "PutItem"),
    ],
    "delete the state of other runs": item("another-run", "DeleteItem"),
    "take another target's lock, or free it": [
        *item(f"lock#{OTHER_TARGET}", "PutItem"),
        *item(f"lock#{OTHER_TARGET}", "UpdateItem"),
    ],
    "delete another target's lock": item(f"lock#{OTHER_TARGET}", "DeleteItem"),
    "write a false audit item, or write over one": item("another-run", "PutItem", "AuditTable"),
    "change an audit item in part": item("another-run", "UpdateItem", "AuditTable"),
    "delete an audit item": item("another-run", "DeleteItem", "AuditTable"),
    "read the audit": item("another-run", "GetItem", "AuditTable"),
    # Evidence
    "add a false link to the chain of evidence, or write over one": [
        *item("evidence#chain", "PutItem", "AuditTable"),
        *each("kms:Sign", key("EvidenceKey"), signed()),
    ],
    "read the chain of evidence": item("evidence#chain", "Query", "AuditTable"),
    "sign anything with the evidence's key by another algorithm, or a hash alone": each(
        "kms:Sign", key("EvidenceKey"), signed(message_type="DIGEST")
    ),
    "write evidence, or write over its index": each("s3:PutObject", LINK),
    "read evidence": each("s3:GetObject", LINK),
    "delete evidence": each("s3:DeleteObjectVersion", LINK),
    "announce the end of an operation that did not end": each("events:PutEvents", BUS, announced()),
    "announce anything else, or on another bus": each("events:PutEvents", BUS, announced("payroll")),
    "disable or delete the key of the evidence": each("kms:ScheduleKeyDeletion", key("EvidenceKey")),
    "write to a table that is not the stack's": item("another-run", "PutItem", "payroll"),
    "retag the secrets of another target": each("secretsmanager:TagResource", TARGETS_ADMIN, tagged("requesttag")),
    "fail over a cluster that another run restored": each("rds:FailoverDBCluster", cluster("staging-orders"), OURS),
    "take a snapshot of what `DeletableClusterPattern` matches, named as a final one": each(
        "rds:CreateDBClusterSnapshot", cluster("retired-1")
    ),
    "switch off a table's point-in-time recovery": each("dynamodb:UpdateContinuousBackups", table("AuditTable")),
    # Executions, functions, roles
    "start a run": each("states:StartExecution", MACHINE),
    "stop a run": each("states:StopExecution", RUN),
    "read the input of runs": each("states:DescribeExecution", RUN),
    "have a run that waits look at once": each("states:SendTaskSuccess", MACHINE),
    "have a run that waits fail": each("states:SendTaskFailure", MACHINE),
    "call another function": each("lambda:InvokeFunction", f"{function('DeleteRdsFunction')}:live"),
    "change a function's code": each("lambda:UpdateFunctionCode", function("DeleteRdsFunction")),
    "edit the schedule": each("scheduler:UpdateSchedule", f"arn:aws:scheduler:{HERE}:{OWN}:schedule/default/nightly"),
    "pass RDS a role that the stack does not name": each("iam:PassRole", iam_role("admin"), passed_to("export.rds")),
    "pass a service other than RDS the stack's roles": each(
        "iam:PassRole", GIVEN["ExportRoleArn"], passed_to("lambda")
    ),
    "change a role's policy": each("iam:PutRolePolicy", iam_role("DeleteRdsRole")),
    "become the role in the source's account": each("sts:AssumeRole", iam_role("aurora-restore-source", OWNER)),
    "become any other role": each("sts:AssumeRole", iam_role("admin", OWNER)),
    # Looking around
    "list the clusters and instances of the account": [
        *each("rds:DescribeDBClusters", cluster(FOREIGN)),
        *each("rds:DescribeDBInstances", instance(f"{FOREIGN}-1")),
    ],
    "list the snapshots of the account": each("rds:DescribeDBClusterSnapshots", snapshot("payroll-monthly")),
    "look at parameters, groups, quotas and roles of the account": [
        *each("rds:DescribeDBClusterParameters", rds("cluster-pg", "any")),
        *each("ec2:DescribeSecurityGroups", "*"),
        *each("iam:GetRole", GIVEN["ExportRoleArn"]),
    ],
    "look at what any key is": each("kms:DescribeKey", key("another"), via("rds")),
    "read RDS's events": each("rds:DescribeEvents", "*"),
    "read who called what in the account": each("cloudtrail:LookupEvents", "*"),
    "look at any role": each("iam:GetRole", iam_role("admin")),
    # Messages, logs, network
    "write a message to the topic": each("sns:Publish", TOPIC),
    "subscribe to the topic": each("sns:Subscribe", TOPIC),
    "write to another topic": each("sns:Publish", f"{TOPIC}-payroll"),
    "write into another function's log": each("logs:PutLogEvents", log_stream("DeleteRdsLogs-other")),
    "delete logs": each("logs:DeleteLogGroup", log_stream("SnapshotCheckLogs")),
    "delete a network interface, or create one": each("ec2:DeleteNetworkInterface", "*"),
    "change a security group": each("ec2:AuthorizeSecurityGroupIngress", "*"),
    "stop CloudTrail": each("cloudtrail:StopLogging", f"arn:aws:cloudtrail:{HERE}:{OWN}:trail/main"),
    "send false traces": each("xray:PutTraceSegments", "*"),
}


# What the roles allow and no attack asks for, because it is a part of what one does, or tells nothing.
PARTS = {
    "ec2:": "refused to the function's own code",
    "kms:": "through RDS, or the stack's key through its services: it comes with the calls",
    "logs:": "the function's own log",
    "rds:Describe": "as the listings above",
    "secretsmanager:DescribeSecret": "no value, and of the stack's secrets alone",
    "application-autoscaling:Describe": "a number of readers",
    "ram:GetResourceShareAssociations": "names of shares and what is in them",
    "s3:GetBucketLocation": "of the bucket for exports",
    "xray:": "as false traces",
}


def test_no_right_of_a_function_is_forgotten() -> None:
    """A statement that is added to a role needs an attack that uses it, or its reason above."""
    asked = {action for chain in ATTACKS.values() for action, _, _ in chain}
    allowed = {
        action
        for role in OF_FUNCTIONS
        for statement in [*statements(role), *statements("StatePolicy")]
        if statement["Effect"] == "Allow"
        for action in as_list(statement["Action"])
    }
    assert sorted(action for action in allowed - asked if not action.startswith(tuple(PARTS))) == []


def name_of(role: str) -> str:
    """CopySnapshotRole is the role of copy-snapshot."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", role.removesuffix("Role")).lower()


STEPS = {name_of(role): role for role in OF_FUNCTIONS}
EVERY = {"every function": set(STEPS), "every function but end-wait": set(STEPS) - {"end-wait"}}


# A stack whose owner has set neither, and as test_template_denies.py has them set.
AS_BY_DEFAULT = {"RestorableSnapshotPattern": "*", "AllowedKmsKeyPattern": ""}
NARROWED_BY = {
    "restore any snapshot of the account under the target's name": "RestorableSnapshotPattern",
    "restore an automated snapshot of a cluster that `RestorableClusterPattern` does not match": (
        "RestorableSnapshotPattern"
    ),
    "copy any snapshot of the account": "RestorableSnapshotPattern",
    "export any snapshot of the account to the stack's bucket": "RestorableSnapshotPattern",
    "copy a snapshot that another account shares": "RestorableSnapshotPattern",
    "use any key of the account through RDS": "AllowedKmsKeyPattern",
}


def can(role: str, attack: str, stack: dict[str, str] = AS_BY_DEFAULT) -> bool:
    """Whether the function's own code can, which Lambda marks with the function's ARN in each of its calls."""
    code = {"lambda:sourcefunctionarn": function(f"aurora-restore-{name_of(role)}")}
    chain = [(action, resource, {**context, **code}) for action, resource, context in ATTACKS[attack]]
    return all(asked_of(role, statements(role, **stack), asked).allowed for asked in chain)


def rows(marker: str) -> list[list[str]]:
    """The cells of a table of the page between two markers, without its head."""
    text = PAGE.read_text(encoding="utf-8").split(f"<!-- {marker} -->")[1].split(f"<!-- /{marker} -->")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def written() -> dict[str, set[str]]:
    """Which functions the page says can do what."""
    possible = {
        attack: EVERY.get(who) or {each.strip() for each in who.split(",")} for attack, who, *_ in rows("reach")
    }
    return possible | {attack: set() for row in rows("refused") for attack in row[:1]}


@pytest.mark.parametrize("step", sorted(STEPS))
def test_the_page_says_what_who_controls_a_function_can_do(step: str) -> None:
    found = {attack for attack in ATTACKS if can(STEPS[step], attack)}
    assert found == {attack for attack, who in written().items() if step in who}


def test_these_are_the_defaults() -> None:
    parameters = translated()["Parameters"]
    assert {name: parameters[name]["Default"] for name in AS_BY_DEFAULT} == AS_BY_DEFAULT


def test_a_pattern_refuses_what_the_page_says_it_refuses() -> None:
    for attack, parameter in NARROWED_BY.items():
        bound = next(row[2] for row in rows("reach") if row[0] == attack)
        assert f"`{parameter}`" in bound
        assert not any(can(role, attack, AS_BY_DEFAULT | {parameter: GIVEN[parameter]}) for role in STEPS.values())


def test_the_page_lists_every_attack_once() -> None:
    listed = [row[0] for marker in ("reach", "refused") for row in rows(marker)]
    assert sorted(listed) == sorted(ATTACKS)


def test_the_tests_that_the_page_names_exist() -> None:
    tests = Path(__file__).parents[2]
    named = set(re.findall(r"(?:integration/pipeline/)?test_\w+\.py", PAGE.read_text(encoding="utf-8")))
    assert named
    assert [name for name in sorted(named) if not list(tests.rglob(name))] == []


def test_everything_that_is_possible_says_what_bounds_it() -> None:
    assert [row[0] for row in rows("reach") if len(row) != 3 or len(row[2]) < 20] == []
