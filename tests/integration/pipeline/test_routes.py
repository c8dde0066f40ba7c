"""Each row of the documented table of routes, run: production's data arrives, and nothing is left open behind it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.local_aws.aurora.records import Resource
from scripts.local_aws.server import LocalAws
from scripts.local_run import stage
from scripts.local_run.production import Production
from scripts.local_run.proof import Proof
from scripts.local_run.routes import EXTERNAL_ID, OTHER_ACCOUNT, deploy_role, make_request, make_source, place_of
from scripts.local_run.routes_table import Case, read_cases
from scripts.local_run.stage import Stage
from tests.integration.pipeline.reader import Reader, inline, reading
from tests.integration.pipeline.support import Pipeline, Run, numbers, settle
from tests.integration.tiers import one_of_each_kind

CASES = read_cases()
ARCHIVES = ("keep", "export", "delete")
ROLE, PREFIX = "aurora-restore-source", "routes"


@pytest.fixture(scope="module")
def place(aws: LocalAws) -> Stage:
    """A stack of its own, that knows the other account."""
    names = {"NamePrefix": PREFIX, "StateTableName": "RoutesState", "AuditTableName": "RoutesAudit"}
    other = {"SourceAccountId": OTHER_ACCOUNT, "SourceExternalId": EXTERNAL_ID, "InstanceCount": "1"}
    limits = {
        "RestorableClusterPattern": "prod-*",
        "RestorableSnapshotPattern": "*-nightly",
        "RestorableRegionPattern": stage.OTHER_REGION,
        "TargetClusterPattern": "target-*",
        "AllowedKmsKeyPattern": "*",
    }
    return stage.deploy(aws, cross_region=False, overrides=names | other | limits, stack_name=PREFIX)


@pytest.fixture
def pipeline(place: Stage) -> Pipeline:
    return Pipeline(place)


@pytest.fixture
def reader(pipeline: Pipeline, request: pytest.FixtureRequest) -> Iterator[Reader]:
    yield from reading(pipeline, request)


@pytest.fixture(scope="module")
def role(aws: LocalAws) -> None:
    """What production itself made may be copied and shared by its name; so what is ours needs rights of its own."""
    deploy_role(aws, PREFIX, ShareableSnapshotPattern="*-nightly", RestorableClusterPattern="prod-*")


@pytest.fixture(scope="module")
def sources() -> dict[tuple[str, ...], Production]:
    """One production cluster for each place and encryption."""
    return {}


@pytest.fixture
def source(case: Case, aws: LocalAws, sources: dict[tuple[str, ...], Production], kept: set[Resource]) -> Production:
    kind = (*place_of(case, aws), case.encryption)
    if kind not in sources:
        sources[kind] = make_source(aws, case, f"prod-{next(numbers)}")
        kept |= aws.aurora.existing()
    return sources[kind]


@pytest.fixture
def without_role_where_shared(case: Case, aws: LocalAws, role: None) -> Iterator[None]:
    """The owner trusts nobody for a while."""
    iam = aws.client("iam", account=OTHER_ACCOUNT)
    trust = iam.get_role(RoleName=ROLE)["Role"]["AssumeRolePolicyDocument"]
    nobody = {**trust, "Statement": [{**each, "Effect": "Deny"} for each in trust["Statement"]]}
    if case.is_shared_by_hand:
        iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=json.dumps(nobody))
    yield
    iam.update_assume_role_policy(RoleName=ROLE, PolicyDocument=json.dumps(trust))


@pytest.mark.usefixtures("without_role_where_shared")
@pytest.mark.parametrize(
    "case", one_of_each_kind(CASES, lambda case: ("no role" in case.place, *case.calls)), ids=lambda case: case.name
)
def test_the_data_arrives(case: Case, pipeline: Pipeline, source: Production, target: str) -> None:
    """What becomes of the copy has no say in the route: each in turn, so that every kind of route has met all three."""
    request = make_request(pipeline.aws, case, source) | {"archive_snapshot": ARCHIVES[CASES.index(case) % 3]}
    run = pipeline.run({"target_cluster_id": target, **request})
    assert run.status == "SUCCEEDED", run.reason
    proof = Proof(pipeline.place, source, run.followed, run.messages, run.calls)
    checks = proof.checks()
    assert all(checks.values()), (proof.failures, checks)
    copy = run.output["plan"]["copy"]
    assert ([step["name"] for step in copy["steps"]] if copy else []) == case.calls[:-1]
    # The evidence names each copy that was made and each that was deleted again.
    steps = copy["steps"] if copy else []
    made = {each["snapshot_arn"] for each in steps if each["name"].startswith("copy")}
    gone = {each["snapshot_arn"] for each in steps if each["name"].startswith("remove")}
    gone |= {run.output["archive"].get("deleted_snapshot_arn")} - {None}
    changes = {(each.what, each.on) for each in pipeline.evidence(run.operation_id).changes}
    assert {on for what, on in changes if what == "created"} == {*made, target}
    assert {on for what, on in changes if what == "deleted"} == gone
    # What could not be taken back on the way is tried once more at the end, and must not hide in that.
    assert "failed" not in {status for _, status in pipeline.audit(run.operation_id)}
    assert run.output["archive"].get("warnings", []) == []
    # Refused, this look at the source would only be told.
    assert not [each for each in run.output["plan"]["not_taken_over"] if "is not known" in each]
    if "kms_key_id" in request:
        cluster = pipeline.cluster(target)
        assert cluster is not None
        assert cluster["KmsKeyId"] == request["kms_key_id"]


ACROSS = next(case for case in CASES if case.name == "cross-account-automated")


@pytest.mark.full
@pytest.mark.parametrize("case", [ACROSS], ids=lambda case: case.name)
@pytest.mark.usefixtures("role")
def test_a_failed_run_is_resumed_across_accounts(
    case: Case, pipeline: Pipeline, source: Production, target: str
) -> None:
    """Its clean-up has taken back the share and removed every copy, in both accounts: all of it is made anew."""
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network")
    request = make_request(pipeline.aws, case, source)
    first = pipeline.run({"target_cluster_id": target, **request})
    assert first.status == "FAILED"
    assert pipeline.cluster(target) is None
    again = pipeline.run({"operation_id": first.operation_id})
    assert again.status == "SUCCEEDED", again.reason
    for run in (first, again):
        assert run.changes.count("CopyDBClusterSnapshot") == 2
        assert run.changes.count("ModifyDBClusterSnapshotAttribute") == 2, "shared, and no longer"
    proof = Proof(pipeline.place, source, again.followed, again.messages, again.calls)
    # The audit trail tells of the first run's clean-up as well.
    assert [name for name, held in proof.checks().items() if not held] == [], proof.failures


@pytest.mark.full
def test_a_snapshot_that_was_shared_for_a_copy_that_failed_is_shared_no_longer(
    aws: LocalAws, pipeline: Pipeline, role: None, target: str
) -> None:
    """Its source is its own: one that was shared by hand before would stay so."""
    (case,) = [each for each in CASES if each.name == "cross-account"]
    source = make_source(aws, case, f"prod-{next(numbers)}")
    aws.faults.add(lifecycle="copy-snapshot", status="failed", at_percent=40)
    run = pipeline.run({"target_cluster_id": target, **make_request(aws, case, source)})
    assert run.status == "FAILED"
    assert "failed and will not become available" in run.reason
    rds = aws.client("rds", source.region, source.account)
    answer = rds.describe_db_cluster_snapshot_attributes(DBClusterSnapshotIdentifier=source.snapshot)
    (restore,) = answer["DBClusterSnapshotAttributesResult"]["DBClusterSnapshotAttributes"]
    assert restore["AttributeValues"] == []
    assert ("unshare-snapshot", "done") in pipeline.audit(run.operation_id)


# What the messages say


@pytest.mark.full
def test_what_was_opened_is_taken_back_as_the_message_says(
    aws: LocalAws, pipeline: Pipeline, reader: Reader, role: None, target: str
) -> None:
    """The copy into this account fails, and what was made and shared for it is kept for a resume."""
    (case,) = [each for each in CASES if each.name == "cross-account-automated"]
    source = make_source(aws, case, f"prod-{next(numbers)}")
    aws.faults.add(
        operation="rds:CopyDBClusterSnapshot",
        parameters={"SourceDBClusterSnapshotIdentifier": f"arn:*:{OTHER_ACCOUNT}:cluster-snapshot:*-copy-*"},
        code="InvalidParameterValue",
        message="No.",
    )
    run = pipeline.run({"target_cluster_id": target, "on_failure": "keep", **make_request(aws, case, source)})
    assert run.status == "FAILED"
    (message,) = [each["message"] for each in run.messages]
    back = [line.strip() for line in message.splitlines() if f"In account {OTHER_ACCOUNT}: aws " in line]
    for line in back:
        reader.type(line.partition(": ")[2], account=OTHER_ACCOUNT)
    settle(pipeline)
    left = aws.client("rds", source.region, source.account).describe_db_cluster_snapshots(SnapshotType="manual")
    assert not [each for each in left["DBClusterSnapshots"] if run.operation_id in json.dumps(each.get("TagList", []))]


@pytest.mark.full
def test_a_copy_on_the_way_that_failed_is_deleted_as_the_refusal_says_and_made_again(
    aws: LocalAws, pipeline: Pipeline, reader: Reader, role: None, target: str
) -> None:
    """It is in the owner's account. Kept for a resume, it would fail each one."""
    (case,) = [each for each in CASES if each.name == "cross-account-automated"]
    source = make_source(aws, case, f"prod-{next(numbers)}")
    aws.faults.add(lifecycle="copy-snapshot", status="failed", at_percent=40)
    first = pipeline.run({"target_cluster_id": target, "on_failure": "keep", **make_request(aws, case, source)})
    assert f":{OTHER_ACCOUNT}:" in first.reason
    assert "failed and will not become available" in first.reason
    refusal = message_of(pipeline.run({"operation_id": first.operation_id, "resume": True}))
    reader.type(inline(refusal, "aws rds delete-db-cluster-snapshot"), account=OTHER_ACCOUNT)
    settle(pipeline)
    last = reader.start(refusal.splitlines()[-1].strip())
    assert last.status == "SUCCEEDED", last.reason
    assert last.changes.count("CopyDBClusterSnapshot") == 2
    proof = Proof(pipeline.place, source, last.followed, last.messages, last.calls)
    assert [name for name, held in proof.checks().items() if not held] == [], proof.failures


@pytest.mark.full
@pytest.mark.parametrize("case", [next(each for each in CASES if each.is_shared_by_hand)], ids=lambda case: case.name)
@pytest.mark.usefixtures("without_role_where_shared")
def test_a_snapshot_that_isnt_shared_is_shared_as_the_refusal_says(
    case: Case, aws: LocalAws, pipeline: Pipeline, reader: Reader, target: str
) -> None:
    """And one that is gone later can't be seen from here: the message has both commands, and the second works."""
    source = make_source(aws, case, f"prod-{next(numbers)}")
    owner = aws.client("rds", source.region, source.account)
    here: dict[str, Any] = {"AttributeName": "restore", "DBClusterSnapshotIdentifier": source.snapshot}
    request = {"target_cluster_id": target, **make_request(aws, case, source)}
    owner.modify_db_cluster_snapshot_attribute(**here, ValuesToRemove=[aws.account_id])
    refusal = message_of(pipeline.run({**request, "dry_run": True}))
    share = inline(refusal, "aws rds modify-db-cluster-snapshot-attribute")
    reader.type(share, account=OTHER_ACCOUNT, SNAPSHOT=source.snapshot, THIS_ACCOUNT=aws.account_id)
    plan = message_of(reader.start(refusal.splitlines()[-1].strip()))

    aws.faults.add(operation="rds:CopyDBClusterSnapshot", code="InvalidParameterValue", message="No.")
    failure = message_of(reader.start(plan.splitlines()[-1].strip()))
    assert "is gone, or no longer shared, resuming is refused" in failure
    owner.delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=source.snapshot)
    another = f"another-{source.snapshot}"
    owner.create_db_cluster_snapshot(DBClusterIdentifier=source.cluster, DBClusterSnapshotIdentifier=another)
    settle(pipeline)
    reader.type(share, account=OTHER_ACCOUNT, SNAPSHOT=another, THIS_ACCOUNT=aws.account_id)
    last = reader.start(failure.splitlines()[-1].strip())
    assert last.status == "SUCCEEDED", last.reason
    assert last.output["plan"]["snapshot"]["identifier"] == another


def message_of(run: Run) -> str:
    (message,) = run.messages
    return message["message"]
