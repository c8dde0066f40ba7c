"""Verified clusters: the checks hold before the door opens, or the run fails, or the message says what did not hold."""

from __future__ import annotations

import json
import secrets
from dataclasses import replace
from typing import Any

import pytest
from psycopg2 import sql

from scripts.local_aws.server import LocalAws
from scripts.local_run import stage
from scripts.local_run.databases import database_session
from scripts.local_run.production import MASTER, Production
from scripts.local_run.stage import Stage
from tests.integration.pipeline.support import Pipeline, settle, until

PREFIX, BUCKET = "verified", "verification-policies"
POLICY = """
version: 1
check_seconds: 30
databases:
  orders:
    count: ["sales.*"]
    foreign_keys: ["sales.*"]
    checks:
      every_customer_has_a_name: SELECT 1 FROM sales.customers WHERE name IS NULL
      enough_customers: {number: SELECT count(*) FROM sales.customers, least: %s}
"""
# Production has 2,000 customers.
FILES = {
    "good": POLICY % 100,
    "greedy": POLICY % 1_000_000,
    "broken": "version: 1\ndatabases:\n  orders:\n    cheks: {}\n",
    "compared": POLICY % 100 + "source: {max_difference_percent: 1, schema_changes: fail}\n",
    "alone": "version: 1\nsource: {}\n",
}
READER, SECRET = "copy_reader", "prod-orders-reader"
TWIN, USURPER = "prod-twin", "prod-usurper"
# As production's owners make it, each for what they own.
MAY_READ = {
    "postgres": "CREATE ROLE copy_reader LOGIN PASSWORD {password}",
    "orders": """
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO copy_reader;
        SET ROLE orders_owner;
        GRANT USAGE ON SCHEMA sales, "Reporting", "odd schema; drop" TO copy_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA sales, "Reporting", "odd schema; drop" TO copy_reader
    """,
    "Billing & Tax": """
        SET ROLE "Billing Owner";
        GRANT USAGE ON SCHEMA "Ledger" TO copy_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA "Ledger" TO copy_reader
    """,
}

# A key's policy by which another account alone may use it.
NOBODYS = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::999999999999:root"}, "Action": "kms:*", "Resource": "*"}
    ],
}


def in_production(aws: LocalAws, production: Production, database: str, statement: sql.Composable) -> None:
    master = (MASTER, production.master_password)
    with database_session(aws, production, database, *master) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture(scope="module")
def reader_secret(aws: LocalAws, production: Production) -> str:
    """The secret of production's owners with a login that may only read there, under a key of their own."""
    password = secrets.token_urlsafe(18)
    for database, statement in MAY_READ.items():
        in_production(aws, production, database, sql.SQL(statement).format(password=sql.Literal(password)))
    made = aws.client("secretsmanager").create_secret(
        Name=SECRET,
        KmsKeyId=aws.client("kms").create_key(Description="Production's logins")["KeyMetadata"]["Arn"],
        SecretString=json.dumps({"username": READER, "password": password, "host": "elsewhere.example.com"}),
    )
    return str(made["ARN"])


@pytest.fixture(scope="module")
def place(aws: LocalAws, reader_secret: str) -> Stage:
    """A stack of its own, whose runs are verified by the built-in checks unless they ask for more."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    places = []
    for name, text in FILES.items():
        version = s3.put_object(Bucket=BUCKET, Key=f"{name}.yaml", Body=text.encode())["VersionId"]
        places.append(f"{name}=s3://{BUCKET}/{name}.yaml?versionId={version}")
    names = {"NamePrefix": PREFIX, "StateTableName": "VerifiedState", "AuditTableName": "VerifiedAudit"}
    checks = {"VerificationPolicies": ",".join(places), "Verification": "basic"}
    limits = {"TargetClusterPattern": "target-*", "TargetClusterId": "target-verified", "InstanceCount": "1"}
    sources = (f"arn:aws:rds:{stage.REGION}:{aws.account_id}:cluster:{name}" for name in (stage.SOURCE, TWIN))
    reaching = {
        "RestorableClusterPattern": "prod-*",
        "SourceReaderSecrets": ",".join(f"{source}={reader_secret}" for source in sources),
        "SourceCidr": "10.20.0.0/16",
    }
    return stage.deploy(aws, cross_region=False, overrides=names | checks | limits | reaching, stack_name=PREFIX)


@pytest.mark.full
def test_the_built_in_checks_hold_and_the_message_says_so(
    pipeline: Pipeline, production: Production, target: str
) -> None:
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    states = run.states()
    assert states.index("Setup DB Users") < states.index("Verify Data") < states.index("Open Cluster")
    (message,) = run.messages
    assert "Verified   by policy basic, at " in message["message"]
    assert "did not hold" not in message["message"]
    assert ("verification", "passed") in pipeline.audit(run.operation_id)
    state = pipeline.state(run.operation_id)
    assert state is not None
    assert state["verified_at"]


def test_a_finding_fails_the_run_cleans_up_and_says_which_check(pipeline: Pipeline, target: str) -> None:
    run = pipeline.run({"target_cluster_id": target, "verification": "greedy"})
    assert (run.status, run.followed.error) == ("FAILED", "ChecksFailed")
    finding = "enough_customers (own_number) of orders: expected at least 1000000, found 2000"
    assert finding in run.reason
    assert "Open Cluster" not in run.states()
    assert pipeline.cluster(target) is None
    (message,) = run.messages
    assert finding in message["message"]


@pytest.mark.full
def test_a_finding_that_is_only_reported_lets_the_run_succeed_with_a_warning(pipeline: Pipeline, target: str) -> None:
    run = pipeline.run({"target_cluster_id": target, "verification": "greedy", "on_findings": "report"})
    assert run.status == "SUCCEEDED", run.reason
    (message,) = run.messages
    assert "1 did not hold and 0 could not be run: the warnings below say which" in message["message"]
    finding = "enough_customers (own_number) of orders: expected at least 1000000, found 2000"
    assert f"Warning    {finding}" in message["message"]


def test_a_policy_with_faults_begins_nothing_and_a_dry_run_says_what_is_checked(
    pipeline: Pipeline, target: str
) -> None:
    run = pipeline.run({"target_cluster_id": target, "verification": "broken"})
    assert (run.status, run.followed.error) == ("FAILED", "RequestRefused")
    assert "has no field 'cheks'" in run.reason
    dry = pipeline.run({"target_cluster_id": target, "verification": "good", "dry_run": True})
    (message,) = dry.messages
    assert "check every database by policy good (s3://" in message["message"]


def test_a_copy_is_compared_with_the_source_itself_by_the_login_that_the_stack_names(
    pipeline: Pipeline, target: str, reader_secret: str
) -> None:
    run = pipeline.run({"target_cluster_id": target, "verification": "compared"})
    assert run.status == "SUCCEEDED", run.reason
    (message,) = run.messages
    assert "compared with prod-orders itself, as it was then" in message["message"]
    checks = pipeline.evidence(run.operation_id).checks
    assert checks is not None
    assert checks.compared_with_source == "prod-orders"
    compared = {(each.scope, each.name): each for each in checks.results if each.kind == "source"}
    assert all(each.held for each in compared.values())
    assert compared["orders", "schema as in the source"].actual == "the same"
    assert compared["orders", "rows as in the source"].actual == "6 tables compared"
    assert compared["Billing & Tax", "rows as in the source"].actual == "1 tables compared"
    password = pipeline.place.secret(reader_secret)["password"]
    assert password not in str([*pipeline.place.logged(), pipeline.state(run.operation_id), run.messages])


def test_a_source_that_the_stack_has_no_login_to_is_refused_before_anything_is_created(
    pipeline: Pipeline, target: str, doomed: str
) -> None:
    run = pipeline.run({"source_cluster_id": doomed, "target_cluster_id": target, "verification": "compared"})
    assert (run.status, run.followed.error) == ("FAILED", "RequestRefused")
    assert "compares with the source itself, and this stack has no login to " in run.reason
    assert pipeline.cluster(target) is None


def with_an_instance(pipeline: Pipeline, name: str) -> dict[str, Any]:
    """The cluster of that name, as it is once it has an instance."""
    settle(pipeline)
    pipeline.rds().create_db_instance(
        DBInstanceIdentifier=f"{name}-1", DBClusterIdentifier=name, Engine="aurora-postgresql",
        DBInstanceClass="db.r6g.large",
    )  # fmt: skip
    settle(pipeline)
    found = pipeline.cluster(name)
    assert found is not None
    return found


@pytest.fixture
def twin(pipeline: Pipeline, reader_secret: str) -> Production:
    """A small source of its own, and beside it another cluster with the same data and the same login."""
    rds, snapshot, made = pipeline.rds(), f"{TWIN}-snapshot", Production(stage.REGION, pipeline.aws.account_id, TWIN)
    rds.create_db_cluster(
        DBClusterIdentifier=TWIN, Engine="aurora-postgresql", EngineVersion="17.5", MasterUsername=MASTER,
        MasterUserPassword=made.master_password,
    )  # fmt: skip
    described = with_an_instance(pipeline, TWIN)
    made.host, made.port = described["Endpoint"], described["Port"]
    password = sql.Literal(pipeline.place.secret(reader_secret)["password"])
    in_production(pipeline.aws, made, "postgres", sql.SQL(MAY_READ["postgres"]).format(password=password))
    rds.create_db_cluster_snapshot(DBClusterIdentifier=TWIN, DBClusterSnapshotIdentifier=snapshot)
    settle(pipeline)
    rds.restore_db_cluster_from_snapshot(
        DBClusterIdentifier=USURPER, SnapshotIdentifier=snapshot, Engine="aurora-postgresql", EngineVersion="17.5"
    )
    with_an_instance(pipeline, USURPER)
    return made


def take_the_name(pipeline: Pipeline) -> None:
    """Rename the source away, and the other cluster in its place, as a switchover does."""
    aws, quick = pipeline.aws, pipeline.aws.aurora.durations
    aws.aurora.durations = replace(quick, rename_cluster=1)
    for old, new in ((TWIN, f"{TWIN}-old"), (USURPER, TWIN)):
        pipeline.rds().modify_db_cluster(DBClusterIdentifier=old, NewDBClusterIdentifier=new, ApplyImmediately=True)
        aws.clock.sleep(5)
    aws.aurora.durations = quick


@pytest.mark.full
@pytest.mark.parametrize(
    ("held", "parameters"),
    [
        # Between the plan and the checks, and between the checks and the look after them.
        ("rds:CreateDBInstance", {"DBClusterIdentifier": "target-*"}),
        ("lambda:Invoke", {"FunctionName": "*-snapshot-check"}),
    ],
)
def test_a_source_whose_name_another_cluster_takes_after_the_plan_was_not_compared(
    pipeline: Pipeline, target: str, twin: Production, held: str, parameters: dict[str, str]
) -> None:
    """The other one has the same data and the same login, so that every comparison would hold."""
    faults = pipeline.aws.faults
    arn = pipeline.start({"source_cluster_id": TWIN, "target_cluster_id": target, "verification": "alone"})
    until(lambda: pipeline.state(arn.rsplit(":", 1)[-1]), "the plan")
    faults.add(operation=held, parameters=parameters, answer="held")
    if held == "lambda:Invoke":
        # The look before the checks goes through.
        until(lambda: faults.held, "the first look")
        faults.add(operation=held, parameters=parameters, answer="held")
        faults.release()
    until(lambda: faults.held, held)
    take_the_name(pipeline)
    faults.release()
    run = pipeline.end(arn)
    assert (run.status, run.followed.error) == ("FAILED", "ChecksFailed")
    assert f"cluster (source) of {TWIN} was not run: '{TWIN}' is now cluster-" in run.reason
    assert "which was planned. Start a new operation" in run.reason
    checks = pipeline.evidence(run.operation_id).checks
    assert checks is not None
    assert checks.compared_with_source is None
    assert [each.held for each in checks.results if each.kind == "source"] == [None]
    assert pipeline.cluster(target) is None


@pytest.mark.full
def test_a_secret_without_a_login_or_under_a_key_that_admits_nobody_is_refused_before_anything_is_created(
    pipeline: Pipeline, target: str, reader_secret: str
) -> None:
    stored, kms = pipeline.aws.client("secretsmanager"), pipeline.aws.client("kms")
    known, request = pipeline.place.secret(reader_secret), {"target_cluster_id": target, "verification": "compared"}
    stored.put_secret_value(SecretId=reader_secret, SecretString=json.dumps({"user": READER, "password": "hunter2"}))
    run = pipeline.run(request)
    stored.put_secret_value(SecretId=reader_secret, SecretString=json.dumps(known))
    assert (run.status, run.followed.error) == ("FAILED", "RequestRefused")
    assert f"the secret {reader_secret} is no JSON with a username and a password" in run.reason
    assert "hunter2" not in str([*pipeline.place.logged(), pipeline.state(run.operation_id), run.messages])
    key = stored.describe_secret(SecretId=reader_secret)["KmsKeyId"]
    policy = kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"]
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=json.dumps(NOBODYS))
    run = pipeline.run(request)
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy)
    assert (run.status, run.followed.error) == ("FAILED", "RequestRefused")
    assert f"the secret {reader_secret} cannot be read: AccessDeniedException" in run.reason
    assert pipeline.cluster(target) is None


@pytest.mark.full
def test_a_source_that_refuses_the_login_fails_the_run_that_was_to_be_compared(
    pipeline: Pipeline, target: str, reader_secret: str
) -> None:
    stored, known = pipeline.aws.client("secretsmanager"), pipeline.place.secret(reader_secret)
    stored.put_secret_value(SecretId=reader_secret, SecretString=json.dumps({**known, "password": "another-1"}))
    run = pipeline.run({"target_cluster_id": target, "verification": "compared"})
    stored.put_secret_value(SecretId=reader_secret, SecretString=json.dumps(known))
    assert (run.status, run.followed.error) == ("FAILED", "ChecksFailed")
    assert "login (source) of prod-orders was not run: No login as 'copy_reader' to " in run.reason
    assert "password authentication failed" in run.reason
    assert pipeline.cluster(target) is None
