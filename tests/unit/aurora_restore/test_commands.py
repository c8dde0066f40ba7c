"""Requests and answers of the commands: what is read, what is asked, and what programs get."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from botocore.session import Session
from click.testing import CliRunner

from scripts.aurora_restore import __main__, answers, calling, stack
from scripts.aurora_restore.calling import Called
from scripts.aurora_restore.commands import cli
from scripts.aurora_restore.exits import READER_GONE, CommandError
from scripts.aurora_restore.published import Record
from scripts.aurora_restore.stack import Stack
from scripts.aurora_restore.starting import destroyed_by, problem_of, read_request, resuming_request
from scripts.schemas import COMMAND_SCHEMA

ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:aurora-restore"
UPDATED = dt.datetime(2026, 11, 27, tzinfo=dt.UTC)
COMMANDS = sorted(cli.commands)
OFFLINE = ("verify-report",)
OF_AN_OPERATION = ("watch", "show", "resume", "rollback", "stop", "expire")


def a_stack(**parameters: str) -> Stack:
    return Stack("aurora-restore", Session(), {"StateMachineArn": ARN}, parameters, UPDATED)


def test_what_is_set_comes_on_top_of_the_input_each_value_as_its_field_takes_it(tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text('{"quarantine": false, "instance_count": 1}')
    settings = ["quarantine=true", "source_account_id=123456789012", "snapshot_date=2026-11-24", 'tags={"a": "b"}']
    assert read_request(f"@{tmp_path / 'request.json'}", settings) == {
        "quarantine": True,
        "instance_count": 1,
        "source_account_id": "123456789012",
        "snapshot_date": "2026-11-24",
        "tags": {"a": "b"},
    }


@pytest.mark.parametrize(("given", "settings"), [("{", []), ("[]", []), ("@/nowhere", []), (None, ["dry_run"])])
def test_what_is_no_request_is_a_usage_error(given: str | None, settings: list[str]) -> None:
    with pytest.raises(CommandError) as refused:
        read_request(given, settings)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("request_", "parameters", "destroyed"),
    [
        ({}, {}, []),
        ({"delete_source": True}, {"SourceClusterId": "prod-orders"}, ["prod-orders"]),
        ({"delete_source": True, "source_cluster_id": "prod-two"}, {"SourceClusterId": "prod-orders"}, ["prod-two"]),
        ({"replace_target": True}, {"TargetClusterId": "staging"}, ["staging"]),
        ({}, {"TargetClusterId": "staging", "ReplaceTarget": "true"}, ["staging"]),
        ({"replace_target": False}, {"TargetClusterId": "staging", "ReplaceTarget": "true"}, []),
    ],
)
def test_what_a_request_destroys_is_what_it_or_the_stack_says(
    request_: dict[str, Any], parameters: dict[str, str], destroyed: list[str]
) -> None:
    assert destroyed_by(a_stack(**parameters), request_) == destroyed


def test_a_resume_repeats_what_deletes_and_leaves_the_rest_to_the_operation() -> None:
    parameters = {"delete_source": True, "confirm_delete_source": "prod", "target_cluster_id": "staging"}
    assert resuming_request(Record(operation_id="one", parameters=parameters)) == {
        "operation_id": "one",
        "resume": True,
        "delete_source": True,
        "confirm_delete_source": "prod",
    }


def test_a_reason_names_its_field_where_it_has_one() -> None:
    assert problem_of("kms_key_id: 'x' is gone").field == "kms_key_id"
    assert problem_of("Another execution is working").field is None


# Confirmations.


def typed(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """Have a person at the terminal who types these."""
    monkeypatch.setattr(calling, "at_terminal", lambda: True)
    answers_ = iter(words)
    monkeypatch.setattr(click.termui, "visible_prompt_func", lambda _: next(answers_))


def test_a_person_types_the_name_of_each_cluster_that_is_at_stake(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "prod-orders", "staging-orders")
    Called(a_stack(), as_json=False).confirm(["prod-orders", "staging-orders"], "This deletes", yes=False)


@pytest.mark.parametrize("word", ["y", "prod-order", "PROD-ORDERS"])
def test_another_word_is_no_confirmation(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    typed(monkeypatch, word)
    with pytest.raises(CommandError) as refused:
        Called(a_stack(), as_json=False).confirm(["prod-orders"], "This deletes", yes=False)
    assert refused.value.exit_code == 9


def test_without_a_terminal_nothing_is_asked_and_the_message_names_cluster_and_place() -> None:
    with pytest.raises(CommandError) as refused:
        Called(a_stack(), as_json=False).confirm(["prod-orders"], "This deletes", yes=False)
    assert (refused.value.code, refused.value.exit_code) == ("ConfirmationNeeded", 9)
    assert "prod-orders (Account 123456789012, us-east-1, stack aurora-restore)" in refused.value.message
    Called(a_stack(), as_json=False).confirm(["prod-orders"], "This deletes", yes=True)


def test_a_question_is_answered_no_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "")
    with pytest.raises(CommandError, match="Nothing was done"):
        Called(a_stack(), as_json=False).ask("Stop it?", yes=False)


# Answers.


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_json_the_stack_and_the_clis_own_options(name: str) -> None:
    told = CliRunner().invoke(cli, [name, "--help"])
    assert told.exit_code == 0
    assert "--json" in told.output
    for option in ("--stack", "--profile", "--region", "AURORA_RESTORE_STACK"):
        assert (option in told.output) == (name not in OFFLINE)


def test_the_committed_schema_is_that_of_what_the_commands_print() -> None:
    assert sorted(answers.BY_COMMAND) == COMMANDS
    assert COMMAND_SCHEMA.read_text() == answers.schema(), "run: python -m scripts.schemas"


@pytest.mark.parametrize("name", sorted({*COMMANDS} - {*OF_AN_OPERATION, *OFFLINE}))
def test_an_error_of_aws_is_one_object_with_its_exit_code(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def find(*_: Any) -> Stack:
        raise CommandError("StackNotFound", "There is none.", 7, next_commands=["aurora-restore list"])

    monkeypatch.setattr(calling, "find_stack", find)
    told = CliRunner().invoke(cli, [name, "--json"])
    assert told.exit_code == 7
    assert told.stderr == ""
    assert json.loads(told.stdout) == {
        "schema": "aurora-restore.cli/1",
        "command": name,
        "exit_code": 7,
        "data": None,
        "error": {"code": "StackNotFound", "message": "There is none.", "problems": []},
        "next": ["aurora-restore list"],
    }
    for_people = CliRunner().invoke(cli, [name])
    assert (for_people.exit_code, for_people.stdout) == (7, "")
    assert for_people.stderr == "Error (StackNotFound): There is none.\nNext: aurora-restore list\n"


@pytest.mark.parametrize("arguments", [["show", "--json"], ["start", "--json", "--plan", "one", "--set", "a=b"]])
def test_a_usage_error_is_one_object_too(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], arguments: list[str]
) -> None:
    monkeypatch.setattr(calling, "find_stack", lambda *_: a_stack())
    monkeypatch.setattr(sys, "argv", ["aurora-restore", *arguments])
    assert __main__.main() == 2
    printed = json.loads(capfdbinary.readouterr().out)
    assert (printed["exit_code"], printed["error"]["code"]) == (2, "UsageError")


def test_an_output_that_nobody_reads_is_no_unexpected_end() -> None:
    read, write = os.pipe()
    os.close(read)
    try:
        command = [sys.executable, "-m", "scripts.aurora_restore", "--help"]
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (READER_GONE, "")


def test_without_a_region_or_with_an_unknown_profile_the_message_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(CommandError, match="Give --region"):
        stack.find_stack("aurora-restore", None, None)
    with pytest.raises(CommandError, match="nobody"):
        stack.find_stack("aurora-restore", "nobody", None)
