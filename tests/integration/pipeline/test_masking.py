"""Masked clusters: nobody gets in before the masking has passed its gate, and every end leaves no salt behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.local_aws.server import LocalAws
from scripts.local_run import stage
from scripts.local_run.calls import changes_of_run, not_as_planned
from scripts.local_run.databases import database_session
from scripts.local_run.production import DATABASES, Production
from scripts.local_run.stage import Stage
from tests.integration.pipeline.reader import Reader, commands, inline, reading
from tests.integration.pipeline.support import Pipeline, Run, settle
from tests.integration.tiers import one_and_the_rest

PREFIX, BUCKET = "masked", "masking-policies"
WHOLE = """
version: 1
types:
  {bigint: keep, integer: keep, numeric: keep, timestamptz: keep, enum: keep}
databases:
  orders:
    columns:
      sales.customers.name: name
      sales.customers.email: {email: {group: person_mail}}
      "sales.*.select": {text: {length: 16}}
      "sales.events*.at": keep
      "odd*.*.Größe": {hash: {length: 24}}
      "public.settings.*": keep
    checks:
      no_customer_is_called_as_before: "SELECT 1 FROM sales.customers WHERE name LIKE 'Customer %'"
  "Billing*":
    columns:
      Ledger.Entries.booked_on: {date_shift: {days: 20}}
"""
# As it was before production got the column email.
OLD = WHOLE.replace("      sales.customers.email: {email: {group: person_mail}}\n", "")
# Its author's own check finds what the rules have left.
STRICT = WHOLE.replace("LIKE 'Customer %'", "LIKE 'Person %'")
BROKEN = "version: 1\ndatabases:\n  orders:\n    colums: {}\n"
# Values of production's own. What masks them is of another form.
CANARIES = ("Customer 1999", "customer1999@example.com", "größe 7", "item 4999")
FILES = {"whole": WHOLE, "old": OLD, "strict": STRICT, "broken": BROKEN}


@pytest.fixture(scope="module")
def policies(aws: LocalAws) -> dict[str, str]:
    """The places of the policies by their names: in a bucket with versions, each uploaded once."""
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    places = {}
    for name, text in FILES.items():
        version = s3.put_object(Bucket=BUCKET, Key=f"{name}.yaml", Body=text.encode())["VersionId"]
        places[name] = f"s3://{BUCKET}/{name}.yaml?versionId={version}"
    # A newer version, which the stack does not name: nobody masks by it.
    s3.put_object(Bucket=BUCKET, Key="whole.yaml", Body=b"version: 1\ndatabases: {}\n")
    return places


@pytest.fixture(scope="module")
def place(aws: LocalAws, policies: dict[str, str]) -> Stage:
    """A stack of its own, that restores nothing unmasked."""
    names = {"NamePrefix": PREFIX, "StateTableName": "MaskedState", "AuditTableName": "MaskedAudit"}
    masking = {
        "MaskingPolicies": ",".join(f"{name}={where}" for name, where in policies.items()),
        "MaskingPolicy": "whole",
        "RequireMasking": "true",
    }
    limits = {"TargetClusterPattern": "target-*", "TargetClusterId": "target-masked", "InstanceCount": "1"}
    limits |= {"MasterLogin": "rds_managed"}
    return stage.deploy(aws, cross_region=False, overrides=names | masking | limits, stack_name=PREFIX)


@pytest.fixture(autouse=True)
def _no_salt_is_left(pipeline: Pipeline) -> Iterator[None]:
    yield
    assert salts(pipeline) == []


@pytest.fixture
def reader(pipeline: Pipeline, request: pytest.FixtureRequest) -> Iterator[Reader]:
    yield from reading(pipeline, request)


def salts(pipeline: Pipeline) -> list[str]:
    found = pipeline.aws.client("secretsmanager").list_secrets(Filters=[{"Key": "name", "Values": [PREFIX]}])
    return [each["Name"] for each in found["SecretList"] if each["Name"].startswith(f"{PREFIX}/masking/")]


def everything_said(pipeline: Pipeline, run: Run) -> str:
    """All that a person may read of a run: its log, its history, its messages, its state."""
    state = pipeline.state(run.operation_id)
    return "\n".join(
        [
            *pipeline.place.logged(),
            json.dumps([run.followed.history, run.messages, state], default=str, ensure_ascii=False),
        ]
    )


def read(pipeline: Pipeline, users: dict[str, Any], database: str, query: str) -> list[Any]:
    """Read as the application does, with the login that the run made."""
    logins = pipeline.place.secret(users["application_secret"])
    server = SimpleNamespace(host=users["endpoint"], port=users["port"])
    login = (logins.get("app_username", users["application_role"]), logins["app_password"])
    with database_session(pipeline.aws, server, database, *login) as connection, connection.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def test_logins_see_masked_data_and_the_message_says_by_what(
    pipeline: Pipeline, production: Production, policies: dict[str, str], target: str
) -> None:
    run = pipeline.run({"target_cluster_id": target, "master_login": "pipeline"})
    assert run.status == "SUCCEEDED", run.reason
    assert run.states().index("Transform Data") < run.states().index("Setup DB Users")
    assert not_as_planned(run.output["plan"]["calls"], changes_of_run(run.calls)) == []
    users = run.output["users"]
    # Joins survive, and every row is there.
    customers = read(pipeline, users, DATABASES[0], "SELECT name, email FROM sales.customers")
    assert len(customers) == production.rows["orders.sales.customers"]
    assert len({email for _, email in customers}) == len(customers)
    assert all(name.startswith("Person ") and email.endswith("@example.com") for name, email in customers)
    assert not {"Customer 1999", "customer1999@example.com"} & {text for row in customers for text in row}
    lines = read(pipeline, users, DATABASES[0], 'SELECT "select" FROM sales."Order Lines"')
    assert len(lines) == 5000
    assert not any(text.startswith("item ") for (text,) in lines)
    statistics = read(
        pipeline, users, DATABASES[0], "SELECT most_common_vals::text, histogram_bounds::text FROM pg_stats"
    )
    assert not [canary for canary in CANARIES if canary in json.dumps(statistics, ensure_ascii=False)]

    (message,) = run.messages
    version = policies["whole"].rpartition("=")[2]
    assert f"Masked     by policy whole, version {version}, at " in message["message"]
    assert "no_customer_is_called_as_before" in message["message"]
    assert "Unmasked   the cluster's automated backups of before that time, which expire by " in message["message"]
    assert ("masking-gate", "passed") in pipeline.audit(run.operation_id)
    state = pipeline.state(run.operation_id)
    assert state is not None
    assert "masked_at" in state
    said = everything_said(pipeline, run)
    assert not [canary for canary in CANARIES if canary in said]


def test_a_column_that_the_policy_does_not_classify_lets_nobody_in(pipeline: Pipeline, target: str) -> None:
    run = pipeline.run({"target_cluster_id": target, "masking_policy": "old"})
    assert (run.status, run.followed.error) == ("FAILED", "StepFailed")
    assert "sales.customers has columns without a rule: email" in run.reason
    # No login, no door, and nothing is left.
    assert "Setup DB Users" not in run.states()
    assert "Open Cluster" not in run.states()
    assert pipeline.cluster(target) is None
    (message,) = run.messages
    assert "sales.customers has columns without a rule: email" in message["message"]
    assert "start a new one:" in message["message"]
    said = everything_said(pipeline, run)
    assert not [canary for canary in CANARIES if canary in said]


@pytest.mark.full
def test_a_check_that_finds_something_names_itself_and_a_number(pipeline: Pipeline, target: str) -> None:
    run = pipeline.run({"target_cluster_id": target, "masking_policy": "strict"})
    assert (run.status, run.followed.error) == ("FAILED", "MaskingGateFailed")
    assert "no_customer_is_called_as_before" in run.reason
    assert "2000" in run.reason.replace(",", "")
    assert "Open Cluster" not in run.states()
    assert pipeline.cluster(target) is None
    said = everything_said(pipeline, run)
    assert not [canary for canary in CANARIES if canary in said]


@pytest.mark.full
def test_a_kept_cluster_stays_shut_and_its_salt_is_named_until_it_is_given_up(
    pipeline: Pipeline, reader: Reader, target: str
) -> None:
    request = {"target_cluster_id": target, "masking_policy": "strict", "on_failure": "keep"}
    first = pipeline.run(request)
    assert first.followed.error == "MaskingGateFailed"
    (message,) = first.messages
    (salt,) = salts(pipeline)
    assert salt in message["message"]
    assert f"Cluster {target} is not masked. Its door is shut" in message["message"]
    assert "--vpc-security-group-ids" not in message["message"]
    # A resumed run masks by the same version, and comes to the same end.
    second = pipeline.run({"operation_id": first.operation_id})
    assert second.followed.error == "MaskingGateFailed"
    assert second.changes == []
    # The reader gives it up, as the message says.
    (message,) = second.messages
    for command in commands(message["message"], "delete-secret|delete-db"):
        reader.type(command)
        settle(pipeline)
    assert pipeline.cluster(target) is None


def test_nothing_is_restored_unmasked_and_no_policy_with_faults_begins(pipeline: Pipeline, target: str) -> None:
    for asked, said in (
        ({"masking_policy": ""}, "RequireMasking is 'true'"),
        (
            {"masking_policy": "other"},
            "'other' is not one of this stack's masking policies: whole, old, strict, broken",
        ),
        ({"masking_policy": "broken"}, "colums"),
        ({"archive_snapshot": "keep"}, "archive_snapshot: 'keep' keeps data that are not masked"),
        (
            {"delete_source": True, "confirm_delete_source": "prod-orders"},
            "delete_source: true would delete the data as they are",
        ),
    ):
        run = pipeline.run({"target_cluster_id": target, **asked})
        assert run.followed.error == "RequestRefused", run.reason
        assert said in run.reason
        assert run.changes == []
    planned = pipeline.run({"target_cluster_id": target, "dry_run": True})
    assert planned.status == "SUCCEEDED", planned.reason
    assert planned.output["masking"]["policy"] == "whole"
    (message,) = planned.messages
    assert "mask every database by policy whole, version " in message["message"]


@pytest.mark.full
def test_a_policy_whose_version_is_gone_is_refused_with_a_command_that_shows_it(
    pipeline: Pipeline, policies: dict[str, str], reader: Reader, target: str
) -> None:
    s3, version = pipeline.aws.client("s3"), policies["broken"].rpartition("=")[2]
    s3.delete_object(Bucket=BUCKET, Key="broken.yaml", VersionId=version)
    run = pipeline.run({"target_cluster_id": target, "masking_policy": "broken"})
    assert run.followed.error == "RequestRefused"
    assert run.changes == []
    assert version not in reader.type(inline(run.reason, "aws s3api list-object-versions"))


@pytest.mark.parametrize("die", one_and_the_rest(["after", "before"]))
def test_a_masking_that_died_is_repeated_and_every_row_is_masked_once(
    pipeline: Pipeline, production: Production, target: str, die: str
) -> None:
    """Masked twice, a name would be the hash of a hash: two clusters masked with one salt would differ."""
    pipeline.aws.faults.add(function="aurora-restore-transform-data", die=die, times=2)
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    state = pipeline.state(run.operation_id)
    assert state is not None
    masked = state["masking"]["M"]
    expected = (
        sum(production.rows[f"orders.{table}"] for table in ("sales.customers", "sales.Order Lines"))
        + 10
        + production.rows["Billing & Tax.Ledger.Entries"]
    )
    assert int(masked["rows"]["N"]) == expected
