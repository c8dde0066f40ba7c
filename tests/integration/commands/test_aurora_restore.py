"""The command aurora-restore against a deployed stack, typed as its page has it, by somebody who may do no more."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from scripts.aurora_restore import answers, calling
from scripts.aurora_restore.commands import cli
from scripts.checks.documentation import GUIDE
from scripts.local_aws.server import LocalAws
from scripts.local_run import stage
from scripts.local_run.production import make_production
from scripts.local_run.stage import PROJECT, REGION
from tests.integration.pipeline.support import distant_windows, until

PAGE = GUIDE / "command.md"
PREFIX = "command"
SOURCE, TARGET = "prod-shop", "staging-shop"
TRANSCRIPT = re.compile(r"<!-- transcript: aurora-restore -->\n```console\n(.*?)```\n<!-- /transcript -->", re.DOTALL)
WRITES = "WRITE_TRANSCRIPTS"
"""Set it in the environment to write what the commands print into the page, instead of comparing them."""


@dataclass
class Terminal:
    """Where the command is typed: with a stack, and with the credentials of a user who has the documented rights."""

    aws: LocalAws
    place: stage.Stage
    environment: dict[str, str]

    def type(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command as the page has it, in a process of its own, with both outputs in one."""
        program = f"aurora-restore() {{ '{sys.executable}' -m scripts.aurora_restore \"$@\"; }}"
        return subprocess.run(
            ["bash", "-c", f"{program}\n{command}"],
            cwd=PROJECT,
            env={"PATH": os.environ["PATH"], **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
            check=False,
        )

    def run(self, *arguments: str) -> Result:
        """Run a command in this process, looking often."""
        every = [] if arguments[0] in ("list", "show", "stop") else ["--every", "0.2"]
        return CliRunner().invoke(cli, [*arguments, *every], env={**self.environment, "AWS_PROFILE": None})

    def answer(self, *arguments: str) -> tuple[Any, int]:
        """Return what `--json` prints as what the schema says it is, and the exit code. Unknown fields fail."""
        result = self.run(*arguments, "--json")
        *news, last = result.stdout.splitlines()
        kind = answers.BY_COMMAND[arguments[0]]
        for line in (*news, last):
            decoded = msgspec.json.decode(line, type=kind)
            assert json.loads(msgspec.json.encode(decoded)) == json.loads(line)
        found: Any = msgspec.json.decode(last, type=kind)
        envelope = found.answer if isinstance(found, answers.Ended) else found
        assert envelope.exit_code == result.exit_code
        return envelope, result.exit_code


@pytest.fixture(scope="module")
def terminal(aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    make_production(aws, REGION, cluster=SOURCE)
    names = {"NamePrefix": PREFIX, "SourceClusterId": SOURCE, "TargetClusterId": TARGET, "InstanceCount": "1"}
    # A sweep each hour would be one more for each hour over which the clock jumps.
    allowed = {"TargetClusterPattern": f"{TARGET}*", "ExpirySchedule": "rate(24 hours)"}
    place = stage.deploy(aws, cross_region=False, overrides=names | allowed, stack_name=f"{PREFIX}-stack")
    iam = aws.client("iam")
    iam.create_user(UserName=PREFIX)
    iam.put_user_policy(UserName=PREFIX, PolicyName="command", PolicyDocument=json.dumps(documented_policy()))
    key = iam.create_access_key(UserName=PREFIX)["AccessKey"]
    environment = {
        "AWS_ENDPOINT_URL": aws.endpoint_url,
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_DEFAULT_REGION": REGION,
        "AURORA_RESTORE_STACK": place.stack.name,
        "XDG_STATE_HOME": str(tmp_path_factory.mktemp("state")),
    }
    yield Terminal(aws, place, environment)
    aws.client("scheduler").delete_schedule(Name=place.stack.resources["ExpirySweeps"])


def documented_policy() -> dict[str, Any]:
    """Return the rights that the page names, and no others."""
    section = PAGE.read_text().split("## What it needs to be allowed to do")[1]
    actions = re.findall(r"`(\w+:\w+)`", section)
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}


def shape(text: str) -> list[str]:
    """Return what a transcript says without ids, times and the widths of columns, which differ from run to run."""
    text = re.sub(r"(sg|cluster)-[0-9a-zA-Z]{8,}", r"\1-ID", text)
    text = re.sub(r"-[0-9a-f]{12}-(\d)", r"-ID-\1", text)
    text = re.sub(r"(\bPlan|--plan) [0-9a-f]{8}\b", r"\1 DIGEST", text)
    text = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"#\d+ [0-9a-f]{8} ", "#N HASH ", text)
    text = re.sub(r"/(admin|application)-\w{6}\b", r"/\1-ID", text)
    text = re.sub(
        r"\d+ (h|min|days)( \d+ (min|s))?|\d+(\.\d+)? s\b", "TIME", re.sub(r"\d+\.\d+ (h|days)", "TIME", text)
    )
    text = re.sub(r"\d+", "N", text).replace("waits", "wait").replace(", N wait", "")
    return [" ".join(line.split()) for line in text.splitlines()]


def with_digest(command: str, printed: str) -> str:
    """Return a command with the digest that was printed, as a person would take it from there."""
    found = re.search(r"--plan ([0-9a-f]{8})$", printed, re.MULTILINE)
    return re.sub(r"--plan [0-9a-f]{8}\b", f"--plan {found[1]}", command) if found else command


def test_the_commands_of_the_page_print_what_the_page_shows(terminal: Terminal) -> None:
    page = PAGE.read_text()
    shown = TRANSCRIPT.search(page)
    assert shown is not None
    printed = ""
    faults = terminal.aws.faults
    for typed in re.findall(r"^\$ (.*)$", shown[1], re.MULTILINE):
        command = with_digest(typed, printed)
        if "--name tuesday" in command:
            faults.add(operation="rds:CreateDBInstance", answer="held")
        elif "stop tuesday" in command:
            until(lambda: faults.held, "that the restore has come to its first instance")
        elif "resume tuesday" in command:
            # The page lists the resumed operation while it runs: its clock jumps, so its password waits for the list.
            faults.add(operation="rds:ModifyDBCluster", answer="held")
        done = terminal.type(command)
        assert done.returncode == 0, done.stdout
        printed += f"$ {command}\n" + done.stdout.replace(terminal.place.stack.name, "aurora-restore").replace(
            f"{PREFIX}/", "aurora-restore/"
        )
        if "stop tuesday" in command:
            faults.clear()
            until(lambda: terminal.answer("show", "tuesday")[0].data.operation.status == "STOPPED", "that it is closed")
    faults.clear()
    if os.environ.get(WRITES):
        PAGE.write_text(page.replace(shown[1], printed))
    else:
        assert shape(printed) == shape(shown[1]), f"run it with {WRITES}=1 to have the page written"
    answer, code = terminal.answer("watch", "tuesday")
    assert (code, answer.data.worked, answer.data.cluster.identifier) == (0, True, f"{TARGET}-2")
    assert answer.data.operation.execution_arn not in answer.data.earlier_executions != []
    assert terminal.run("resume", "tuesday").exit_code == 3
    assert terminal.run("stop", "tuesday").exit_code == 3
    listed, _ = terminal.answer("list", "--target", f"{TARGET}-2")
    assert [each.operation_id for each in listed.data.operations] == ["tuesday"]
    assert listed.data.last_good.operation_id == "tuesday"


def test_a_refused_request_touches_nothing_and_says_everything_that_is_wrong(terminal: Terminal) -> None:
    for command in ("plan", "start"):
        answer, code = terminal.answer(command, "--set", "db_subnet_group_name=gone", "--set", "snapshot_date=someday")
        assert code == 3
        assert {each.field for each in answer.error.problems} >= {"snapshot_date"}
    listed, _ = terminal.answer("list")
    assert listed.data.operations[0].status == "REFUSED"


def test_what_deletes_is_not_started_without_its_name_and_nothing_was_asked_of_the_pipeline(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = terminal.aws.stats.last_call
    request = ["--set", "delete_source=true", "--set", f"confirm_delete_source={SOURCE}"]
    answer, code = terminal.answer("start", *request)
    assert (code, answer.error.code) == (9, "ConfirmationNeeded")
    assert SOURCE in answer.error.message
    monkeypatch.setattr(calling, "at_terminal", lambda: True)
    assert CliRunner().invoke(cli, ["start", *request], input="yes\n", env=terminal.environment).exit_code == 9
    made = [call.operation for call in terminal.aws.stats.calls_since(mark)]
    assert "StartExecution" not in made


def test_watching_ends_when_its_time_is_up_and_the_operation_continues(
    terminal: Terminal,
) -> None:
    faults = terminal.aws.faults
    faults.add(operation="rds:CreateDBInstance", answer="held")
    started, _ = terminal.answer("start", "--set", f"target_cluster_id={TARGET}-3", "--name", "wednesday")
    assert started.data.operation_id == "wednesday"
    until(lambda: faults.held, "that the restore has come to its first instance")
    answer, code = terminal.answer("watch", "running", "--timeout", "0.1")
    assert (code, answer.data.operation.status, answer.data.worked) == (8, "RUNNING", None)
    assert answer.next == ["aurora-restore watch wednesday"]
    faults.clear()
    assert terminal.answer("watch", "wednesday")[1] == 0
    assert terminal.answer("show", "wednesday", "--exit-status", "--all")[1] == 0


def test_a_failure_is_one_in_the_exit_code_and_says_why(terminal: Terminal) -> None:
    terminal.aws.faults.add(operation="rds:CreateDBInstance", code="InvalidParameterCombination", message="Not so.")
    terminal.answer("start", "--set", f"target_cluster_id={TARGET}-4", "--name", "thursday")
    answer, code = terminal.answer("watch", "thursday")
    assert (code, answer.data.operation.status, answer.data.worked) == (4, "FAILED", False)
    assert "InvalidParameterCombination" in answer.data.sentence
    assert answer.data.cluster is None or not answer.data.cluster.exists
    assert terminal.answer("show", "last-failed")[0].data.operation.operation_id == "thursday"


def test_what_is_not_there_has_a_code_of_its_own(terminal: Terminal) -> None:
    assert terminal.answer("show", "no-such-operation")[1] == 7
    assert terminal.answer("list", "--stack", "no-such-stack")[1] == 7
    lines = terminal.run("watch", "no-such-operation", "--json").stdout.splitlines()
    assert json.loads(lines[-1])["event"] == "end"


@pytest.mark.full
def test_a_plan_by_its_digest_is_started_as_long_as_it_says_the_same_and_its_cluster_expires_by_hand(
    terminal: Terminal,
) -> None:
    rds = terminal.aws.client("rds")
    target = f"{TARGET}-6"
    request = ["--set", f"target_cluster_id={target}", "--set", "expires_after_hours=8"]
    planned, again = (terminal.answer("plan", *request)[0].data for _ in range(2))
    assert planned.digest == again.digest
    assert planned.operation_id != again.operation_id
    source = rds.describe_db_clusters(DBClusterIdentifier=SOURCE)["DBClusters"][0]["DBClusterArn"]
    rds.add_tags_to_resource(ResourceName=source, Tags=[{"Key": "team", "Value": "data"}])
    differs, code = terminal.answer("start", "--plan", planned.digest[:8])
    rds.remove_tags_from_resource(ResourceName=source, TagKeys=["team"])
    assert (code, differs.error.code) == (3, "PlanDiffers")
    assert [each.message[0] for each in differs.error.problems] == ["-", "+"]
    assert "team" in differs.error.problems[1].message
    assert terminal.answer("start", "--plan", planned.digest[:8], "--name", "sunday")[1] == 0
    assert terminal.answer("watch", "sunday")[1] == 0
    said, code = terminal.answer("expire", "sunday")
    assert (code, [each.cluster for each in said.data.clusters], said.data.deleting) == (0, [target], None)
    assert terminal.answer("expire", "sunday", "--now")[1] == 9
    gone, code = terminal.answer("expire", "sunday", "--now", "--confirm", target)
    assert (code, gone.data.deleting) == (0, target)
    until(lambda: terminal.answer("expire", "sunday")[1] == 7, "that nothing of it expires any longer")
    assert not terminal.answer("show", "sunday")[0].data.cluster.exists


@pytest.mark.full
def test_a_refresh_names_what_it_replaces_before_during_and_after(terminal: Terminal) -> None:
    target = f"{TARGET}-5"
    request = ["--set", f"target_cluster_id={target}"]
    windows = [part for name, window in distant_windows(terminal.aws).items() for part in ("--set", f"{name}={window}")]
    terminal.answer("start", *request, *windows, "--name", "friday")
    assert terminal.answer("watch", "friday")[1] == 0
    planned, code = terminal.answer("plan", *request, "--set", "replace_target=true", "--name", "plan-saturday")
    assert code == 0, planned
    assert planned.data.destroys == [target]
    for again in (["--plan", "plan-saturday"], [*request, "--set", "replace_target=true"]):
        assert terminal.answer("start", *again)[1] == 9
    assert terminal.answer("start", "--plan", "plan-saturday", "--name", "saturday", "--yes")[1] == 0
    watched, code = terminal.answer("watch", "saturday")
    assert (code, watched.data.operation.kind, watched.data.cluster.identifier) == (0, "refresh", target), watched
    friday, _ = terminal.answer("show", "friday")
    assert friday.data.cluster.exists
    assert friday.data.cluster.identifier != target
    assert terminal.answer("rollback", "saturday")[1] == 9
    started, code = terminal.answer("rollback", "saturday", "--yes")
    assert code == 0, started
    back, code = terminal.answer("watch", started.data.operation_id)
    assert (code, back.data.operation.kind, back.data.cluster.identifier) == (0, "rollback", target), back
    assert back.data.cluster.resource_id == friday.data.cluster.resource_id
    assert terminal.answer("rollback", "saturday", "--yes")[1] == 3
