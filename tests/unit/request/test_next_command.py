"""The command that comes next, as it can be typed: with the words that the reader has to replace, and no others."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from tests.unit.support import EXECUTION
from utils.request.corrections import START_ANEW, corrected, correction_lines
from utils.request.next_command import start_command


def given(request: dict[str, Any], *problems: str) -> str:
    """The input that the command of a refused request has."""
    (command,) = start_command(EXECUTION, corrected(request, problems).request)
    words = shlex.split(command)
    return words[words.index("--input") + 1]


@pytest.mark.parametrize(
    ("request_given", "problem", "typed"),
    [
        ({"port": 80}, "port: 80 is out of range. Give one from 1150 to 65535.", '{"port": PORT}'),
        (
            {"db_instance_class": "r6g"},
            "db_instance_class: 'r6g' is no class. Give one.",
            '{"db_instance_class": "DB_INSTANCE_CLASS"}',
        ),
        (
            {"availability_zones": ["moon"]},
            "availability_zones: 'moon' isn't covered. Give zones of it, or leave it out.",
            '{"availability_zones": AVAILABILITY_ZONES}',
        ),
        (
            {"archive_snapshot": "burn"},
            "archive_snapshot: 'burn' does not fit. One of them.",
            '{"archive_snapshot": "ARCHIVE_SNAPSHOT"}',
        ),
        ({}, "target_cluster_id: missing. Name it.", '{"target_cluster_id": "TARGET_CLUSTER_ID"}'),
        ({"resume": True}, "operation_id: missing. Give it.", '{"resume": true, "operation_id": "OPERATION_ID"}'),
        ({}, "kms_key_id: 'alias/x' (the stack's) doesn't exist. Give another.", "{}"),
        ({}, "admin_secret: 'arn' doesn't exist. Deploy the stack.", "{}"),
        (
            {"kms_key_id": "k"},
            "kms_key_id: 'k' is Disabled. Enable it: aws kms enable-key --key-id k",
            '{"kms_key_id": "k"}',
        ),
        (
            {"snapshot_identifier": "s"},
            "snapshot_identifier: 's' is creating. Wait until it is.",
            '{"snapshot_identifier": "s"}',
        ),
        (
            {"kms_key_id": "k"},
            "kms_key_id: 'k' doesn't exist. Give one: aws kms list-aliases",
            '{"kms_key_id": "KMS_KEY_ID"}',
        ),
        (
            {"snapshot_date": "d", "snapshot_identifier": "s"},
            "snapshot_date: 'd' is given, too. Drop one.",
            '{"snapshot_identifier": "s"}',
        ),
        (
            {"delete_source": True, "confirm_delete_source": "p", "final_snapshot": False, "port": 5433},
            "delete_source: 'p' is protected. Drop delete_source, or ask.",
            '{"port": 5433}',
        ),
        ({"prot": 1}, "prot: unknown field (value 1). Did you mean port?", '{"port": 1}'),
        ({"prot": 1, "port": 2}, "prot: unknown field (value 1). Did you mean port?", '{"port": 2}'),
        ({"zzz": 1}, "zzz: unknown field (value 1). Known fields: port.", "{}"),
        (
            {"port": 80, "operation_id": "x"},
            f"port: 80 is not what operation x was asked for. Ask for the same. {START_ANEW}",
            '{"port": 80, "operation_id": "x"}',
        ),
        (
            {"replace_target": True},
            "replace_target: 't' belongs to the global database g. Remove it from there first.",
            '{"replace_target": true}',
        ),
        (
            {"archive_snapshot": "export"},
            "archive_snapshot: 'export' needs the stack's ExportBucketName. Set it, or give delete or keep.",
            '{"archive_snapshot": "export"}',
        ),
        (
            {"masking_policy": "staging"},
            "masking_policy: s3://b/p has faults. Upload a corrected file, and have MaskingPolicies name its version.",
            '{"masking_policy": "staging"}',
        ),
        ({"replace_target": "often"}, "replace_target: 'often' is no bool.", '{"replace_target": REPLACE_TARGET}'),
        (
            {"quarantine": True},
            "quarantine: 'default' lets jobs start. Make one, and give it as db_cluster_parameter_group_name: aws rds "
            "create-db-cluster-parameter-group",
            '{"quarantine": true, "db_cluster_parameter_group_name": "DB_CLUSTER_PARAMETER_GROUP_NAME"}',
        ),
    ],
)
def test_a_refused_request_has_a_word_where_only_the_reader_knows_the_value(
    request_given: dict[str, Any], problem: str, typed: str
) -> None:
    assert given(request_given, problem) == typed


def test_the_sentence_names_every_word_and_what_was_left_out() -> None:
    request = {"port": 80, "zzz": 1, "prot": 2, "kms_key_id": "k"}
    problems = ["port: 80 is out of range.", "zzz: unknown field (value 1). Known fields: port."]
    lines = list(correction_lines(corrected(request, problems)))
    assert lines == [
        "The command is without zzz, prot.",
        "Put your own value in place of PORT, as said above. Then start again:",
    ]
    renamed = corrected({"prot": 1}, ["prot: unknown field (value 1). Did you mean port?"])
    assert "The command has port in place of prot." in list(correction_lines(renamed))
    assert not [line for line in correction_lines(renamed) if "place of PORT" in line]


def test_a_word_for_a_number_starts_nothing_when_it_is_typed_as_it_stands() -> None:
    with pytest.raises(json.JSONDecodeError):
        json.loads(given({"port": 80}, "port: 80 is out of range."))


def test_whatever_stands_in_a_request_stays_one_word_of_the_shell() -> None:
    request = {"target_cluster_id": "it's; rm -rf / #", "tags": {"a": "$(x) `y`"}}
    assert json.loads(given(request)) == request
