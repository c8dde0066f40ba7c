"""The execution's input: every mistake is refused with its field, its value and its remedy."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.setting_values import UNUSUAL
from tests.unit.support import set_defaults
from utils.errors import RequestRefused
from utils.request.fields import FIELDS, RestoreRequest
from utils.request.reading import read_request

DEFAULTS = {"source_cluster_id": "prod-orders", "target_cluster_id": "staging-orders"}


def refusal_of(raw: object, stack: dict[str, str] = DEFAULTS) -> str:
    with pytest.raises(RequestRefused) as refused:
        read_request(raw, stack)
    return str(refused.value)


def test_an_empty_request_runs_the_stacks_configured_refresh() -> None:
    request = read_request({}, DEFAULTS)
    assert request == RestoreRequest(source_cluster_id="prod-orders", target_cluster_id="staging-orders")


def test_every_field_can_be_given() -> None:
    raw = {
        "operation_id": "drill-7",
        "resume": True,
        "rollback": False,
        "source_cluster_id": "prod-orders",
        "source_region": "eu-west-1",
        "source_account_id": "123456789012",
        "snapshot_date": "2026-02-28",
        "max_snapshot_age_hours": 26,
        "cross_account_copy": "two_steps",
        "source_kms_key_id": "alias/shareable",
        "target_cluster_id": "drill-{date}",
        "like_source": True,
        "inherited_logins": "lock",
        "quarantine": True,
        "masking_policy": "",  # with one, no source is deleted
        "verification": "nightly",
        "on_findings": "report",
        "tags": {"team": "orders"},
        "delete_source": True,
        "confirm_delete_source": "prod-orders",
        "final_snapshot": True,
        "delete_automated_backups": True,
        "override_deletion_protection": True,
        "archive_snapshot": "delete",
        "on_failure": "keep",
        "replace_target": True,
        "keep_previous_hours": 48,
        "delete_replaced": True,
        "confirm_delete_replaced": "staging-orders",
        "expires_after_hours": 72,
        "drill": False,
        "dry_run": True,
        **UNUSUAL,
    }
    assert set(raw) == set(FIELDS) - {"scheduled_at", "snapshot_identifier"}, (
        "a new field needs a value here, a setting in tests/setting_values.py"
    )
    request = read_request(raw, {})
    assert {name: getattr(request, name) for name in raw} == raw


@pytest.mark.parametrize("raw", [None, [], "prod-orders", 7, True])
def test_an_input_that_is_no_object_is_refused(raw: object) -> None:
    message = refusal_of(raw)
    assert "must be a JSON object" in message
    assert type(raw).__name__ in message
    assert "Give {}" in message


def test_an_unknown_field_is_refused_with_the_field_that_was_probably_meant() -> None:
    message = refusal_of({"delete_sorce": True})
    assert "delete_sorce: unknown field (value True)" in message
    assert "Did you mean delete_source?" in message


def test_the_beginning_of_a_fields_name_means_that_field_rather_than_one_of_like_letters() -> None:
    assert "Did you mean target_cluster_id?" in refusal_of({"target": "staging"})
    assert "Did you mean snapshot_identifier?" in refusal_of({"snapshot": "monday"})


def test_an_unknown_field_like_no_other_is_refused_with_a_list_of_the_known_ones() -> None:
    message = refusal_of({"zzz": 1})
    assert "zzz: unknown field (value 1)" in message
    assert all(name in message for name in FIELDS)


def test_an_unknown_field_is_refused_even_without_a_value() -> None:
    assert "delete_sorce" in refusal_of({"delete_sorce": None})


def test_a_field_that_is_null_counts_as_left_out() -> None:
    assert read_request({"snapshot_date": None, "target_cluster_id": None}, DEFAULTS) == read_request({}, DEFAULTS)


# field, value, part of the remedy
MISTAKES: list[tuple[str, Any, str]] = [
    ("operation_id", "night run", "letters, digits, hyphens and underscores"),
    ("operation_id", "", "omit it"),
    ("operation_id", "x" * 81, "1 to 80"),
    ("source_cluster_id", "prod_orders", "as RDS shows it"),
    ("source_cluster_id", "x" * 64, "64 characters where 63 fit"),
    ("target_cluster_id", "9staging", "Choose another name"),
    ("target_cluster_id", "staging--orders", "Choose another name"),
    ("target_cluster_id", "staging-", "Choose another name"),
    ("target_cluster_id", "", "Choose another name"),
    ("target_cluster_id", "staging orders", "Choose another name"),
    ("target_cluster_id", "stäging", "Choose another name"),
    ("target_cluster_id", "staging\n", "Choose another name"),
    ("target_cluster_id", "s" * 64, "64 characters where 63 fit"),
    ("target_cluster_id", "s" * 55 + "-{date}-xx", "characters where 63 fit"),
    ("target_cluster_id", "staging-{day}", "Choose another name"),
    ("source_region", "us-east", "such as us-east-1"),
    ("source_region", "US-EAST-1", "such as us-east-1"),
    ("source_account_id", "12345", "12 digits"),
    ("kms_key_id", "arn:aws:s3:::bucket", "id or ARN, or alias"),
    ("kms_key_id", "", "id or ARN, or alias"),
    ("db_subnet_group_name", "", "a group that exists"),
    ("db_cluster_parameter_group_name", "1st", "a group that exists"),
    ("db_parameter_group_name", "a b", "a group that exists"),
    ("snapshot_identifier", "", "name or ARN"),
    ("snapshot_identifier", "prod orders", "name or ARN"),
    ("snapshot_identifier", "s3:backup", "name or ARN"),
    ("snapshot_identifier", "x" * 256, "256 characters where 255 fit"),
    ("snapshot_identifier", "arn:aws:rds:us-east-1:123456789012:snapshot:instance-one", "RDS console"),
    ("snapshot_date", "2026-02-30", "YYYY-MM-DD"),
    ("snapshot_date", "28.02.2026", "YYYY-MM-DD"),
    ("snapshot_date", "20260228", "YYYY-MM-DD"),
    ("snapshot_date", "2026-W09-6", "YYYY-MM-DD"),
    ("snapshot_date", "2026-02-28T00:00", "YYYY-MM-DD"),
    ("snapshot_date", "yesterday", "YYYY-MM-DD"),
    ("max_snapshot_age_hours", 0, "above 0"),
    ("max_snapshot_age_hours", -1.5, "above 0"),
    ("engine_version", "16.4; drop", "such as 17.5"),
    ("instance_count", 0, "from 1 to 16"),
    ("instance_count", 17, "from 1 to 16"),
    ("port", 80, "from 1150 to 65535"),
    ("port", 65536, "from 1150 to 65535"),
    ("backup_retention_days", 0, "from 1 to 35"),
    ("backup_retention_days", 36, "from 1 to 35"),
    ("db_instance_class", "r6g.large", "such as db.r6g.large"),
    ("vpc_security_group_ids", ["default"], "sg-0123456789abcdef0"),
]


@pytest.mark.parametrize(("field", "value", "remedy"), MISTAKES)
def test_a_bad_value_is_refused_with_its_field_its_value_and_its_remedy(field: str, value: Any, remedy: str) -> None:
    (line,) = refusal_of({field: value}).splitlines()
    assert line.startswith(f"{field}: ")
    shown = value[0] if isinstance(value, list) else value
    assert repr(shown)[:30] in line or f"{shown}" in line
    assert remedy in line


WRONG_TYPES: list[tuple[str, Any]] = [
    ("operation_id", 7),
    ("target_cluster_id", ["staging"]),
    ("max_snapshot_age_hours", "24"),
    ("instance_count", "2"),
    ("instance_count", 2.5),
    ("instance_count", True),
    ("vpc_security_group_ids", "sg-0123456789abcdef0"),
    ("tags", ["team"]),
    ("tags", {"team": 7}),
    ("delete_source", "yes"),
    ("delete_source", "true"),
    ("delete_source", 1),
    ("final_snapshot", "false"),
    ("archive_snapshot", "burn"),
    ("on_failure", "cleanup"),
    ("dry_run", 1),
]


@pytest.mark.parametrize(("field", "value"), WRONG_TYPES)
def test_a_value_of_the_wrong_type_is_refused_and_never_interpreted(field: str, value: Any) -> None:
    (line,) = refusal_of({field: value}).splitlines()
    assert line.startswith(f"{field}: {value!r} does not fit, ")
    assert "null" not in line
    assert "`" not in line
    assert line.endswith("."), "the field's description says what it is for"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("instance_count", "two", "expected a whole number, got a text."),
        ("tags", ["team"], "expected an object, got a list."),
        ("delete_source", "yes", "expected true or false, got a text."),
        ("archive_snapshot", "burn", "expected delete, keep or export."),
        ("archive_snapshot", 1, "expected delete, keep or export."),
    ],
)
def test_a_value_that_does_not_fit_is_told_in_words_what_would(field: str, value: Any, words: str) -> None:
    assert f"{value!r} does not fit, {words} " in refusal_of({field: value})


def test_a_name_and_a_date_together_are_refused() -> None:
    message = refusal_of({"snapshot_identifier": "prod-tuesday", "snapshot_date": "2026-02-28"})
    assert "snapshot_date: '2026-02-28' is given, and snapshot_identifier is 'prod-tuesday'." in message
    assert "Drop one of them" in message


def test_a_request_without_any_source_is_refused() -> None:
    message = refusal_of({}, {"target_cluster_id": "staging-orders"})
    assert message.startswith("source_cluster_id: missing.")
    assert "SourceClusterId" in message


def test_a_request_without_a_target_is_refused() -> None:
    message = refusal_of({}, {"source_cluster_id": "prod-orders"})
    assert message.startswith("target_cluster_id: missing.")
    assert "TargetClusterId" in message


def test_a_named_snapshot_needs_no_source_cluster() -> None:
    request = read_request({"snapshot_identifier": "prod-tuesday", "target_cluster_id": "staging"}, {})
    assert request.source_cluster_id is None


@pytest.mark.parametrize(
    "identifier",
    [
        "prod-tuesday",
        "rds:prod-orders-2026-03-10-02-00",
        "awsbackup:job-0c1d2e3f",
        "arn:aws:rds:us-east-1:123456789012:cluster-snapshot:rds:prod-orders-2026-03-10-02-00",
        "arn:aws-cn:rds:cn-north-1:123456789012:cluster-snapshot:prod-tuesday",
    ],
)
def test_a_snapshot_may_be_named_as_rds_names_it(identifier: str) -> None:
    assert read_request({"snapshot_identifier": identifier}, DEFAULTS).snapshot_identifier == identifier


# Deletion: asked for twice, or not at all


def test_deletion_without_its_confirmation_is_refused() -> None:
    message = refusal_of({"delete_source": True})
    assert message.startswith("confirm_delete_source: missing")
    assert "drop delete_source" in message


@pytest.mark.parametrize("delete_source", [False, None])
def test_a_confirmation_without_deletion_is_refused(delete_source: bool | None) -> None:
    message = refusal_of({"delete_source": delete_source, "confirm_delete_source": "prod-orders"})
    assert message.startswith("confirm_delete_source: 'prod-orders' is given, but delete_source is not true.")


def test_the_stacks_parameters_can_never_ask_for_a_deletion() -> None:
    stack = DEFAULTS | {
        "delete_source": "true",
        "confirm_delete_source": "prod-orders",
        "final_snapshot": "false",
    }
    request = read_request({}, stack)
    assert (request.delete_source, request.confirm_delete_source, request.final_snapshot) == (None, None, None)


# Capacity


@pytest.mark.parametrize("value", [-0.5, 0.3, 256.5, 1e300])
@pytest.mark.parametrize("field", ["serverless_v2_min_capacity", "serverless_v2_max_capacity"])
def test_a_capacity_that_aurora_doesnt_have_is_refused(field: str, value: float) -> None:
    both = {"serverless_v2_min_capacity": 1, "serverless_v2_max_capacity": 4}
    (line,) = refusal_of(both | {field: value}).splitlines()
    assert line.startswith(f"{field}: {value}")
    assert "steps of 0.5" in line


@pytest.mark.parametrize("field", ["serverless_v2_min_capacity", "serverless_v2_max_capacity"])
def test_one_capacity_alone_is_refused(field: str) -> None:
    assert "Give both or neither" in refusal_of({field: 1})


@pytest.mark.parametrize(("low", "high"), [(4, 2), (0, 0.5)])
def test_a_maximum_that_doesnt_go_with_the_minimum_is_refused(low: float, high: float) -> None:
    message = refusal_of({"serverless_v2_min_capacity": low, "serverless_v2_max_capacity": high})
    assert message.startswith(f"serverless_v2_max_capacity: {float(high)} does not go with a minimum of {float(low)}")


def test_a_serverless_class_without_capacity_is_refused() -> None:
    message = refusal_of({"db_instance_class": "db.serverless"})
    assert "serverless_v2_min_capacity and serverless_v2_max_capacity" in message


# Tags


@pytest.mark.parametrize("key", ["aws:created-by", "RDS:thing", "aurora-restore:operation-id"])
def test_a_tag_that_could_pass_for_a_systems_is_refused(key: str) -> None:
    message = refusal_of({"tags": {key: "x"}})
    assert message.startswith(f"tags: {key!r} starts with a reserved prefix.")


@pytest.mark.parametrize(
    "tags", [{"": "x"}, {"k" * 129: "x"}, {"k": "v" * 257}, {"k!": "x"}, {"k": "a,b"}, {"k": "a\tb"}]
)
def test_a_tag_that_rds_doesnt_take_is_refused(tags: dict[str, str]) -> None:
    message = refusal_of({"tags": tags})
    assert message.startswith("tags: ")
    assert "1 to 128 characters" in message


@pytest.mark.parametrize("value", ["aws:backup", "rds:prod-orders-2026-03-10", "RDS:x"])
def test_a_value_that_begins_as_aws_own_is_refused(value: str) -> None:
    message = refusal_of({"tags": {"snapshot": value}})
    assert message.startswith(f"tags: the value {value!r} of 'snapshot' starts with a prefix that RDS reserves.")


def test_too_many_tags_are_refused() -> None:
    message = refusal_of({"tags": {f"tag{number}": "x" for number in range(41)}})
    assert message.startswith("tags: 41 tags are too many. Give at most 40")


# Several problems, and large ones


def test_all_problems_are_reported_together() -> None:
    lines = refusal_of({"port": 1, "snapshot_date": "soon", "delete_source": True, "tags": {"aws:x": "y"}}).splitlines()
    assert [line.split(":")[0] for line in lines] == ["snapshot_date", "port", "tags", "confirm_delete_source"]


def test_wrong_types_and_unknown_fields_are_reported_together() -> None:
    lines = refusal_of({"prot": 1, "port": "x", "dry_run": "no"}).splitlines()
    assert [line.split(":")[0] for line in lines] == ["prot", "port", "dry_run"]


def test_a_refusal_stays_readable_however_large_the_request_is() -> None:
    """The message travels through Step Functions, where a cause has 32,768 characters and a payload 256 KiB."""
    raw: dict[str, Any] = {f"field{number}": "v" * 5000 for number in range(40)}
    raw |= {"tags": {f"k{number}!": "x" * 5000 for number in range(40)}, "port": "p" * 50_000}
    assert len(refusal_of(raw)) < 16_000
    assert len(refusal_of({"target_cluster_id": "x" * 200_000})) < 16_000
    assert len(refusal_of({"tags": {f"{number}!" * 30: "x" * 5000 for number in range(1000)}})) < 16_000


# The stack's defaults


def test_what_the_request_leaves_out_comes_from_the_stacks_parameters() -> None:
    stack = DEFAULTS | {
        "instance_count": "2",
        "max_snapshot_age_hours": "26.5",
        "deletion_protection": "true",
        "vpc_security_group_ids": "sg-0123456789abcdef0,sg-0123456789abcdef1",
        "on_failure": "keep",
        "kms_key_id": "",
    }
    request = read_request({"instance_count": 3}, stack)
    assert request.instance_count == 3
    assert request.max_snapshot_age_hours == 26.5
    assert request.deletion_protection is True
    assert request.vpc_security_group_ids == ["sg-0123456789abcdef0", "sg-0123456789abcdef1"]
    assert request.on_failure == "keep"
    assert request.kms_key_id is None


def test_the_environment_of_the_function_is_where_defaults_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    set_defaults(monkeypatch, port="6543")
    assert read_request({}).port == 6543


def test_a_default_of_the_wrong_type_names_the_stacks_parameter() -> None:
    message = refusal_of({}, DEFAULTS | {"instance_count": "two"})
    assert "The stack's default for instance_count is 'two'" in message
    assert "Correct the stack's parameter" in message


def test_a_default_is_checked_like_a_given_value() -> None:
    assert refusal_of({}, DEFAULTS | {"port": "80"}).startswith("port: 80 is out of range")


def test_an_arn_says_its_region_itself_whatever_the_stacks_default_is() -> None:
    arn = "arn:aws:rds:eu-west-1:123456789012:cluster-snapshot:prod-tuesday"
    stack = DEFAULTS | {"source_region": "us-east-1"}
    assert read_request({"snapshot_identifier": arn}, stack).source_region is None
    assert read_request({"snapshot_identifier": arn, "source_region": "us-east-1"}, stack).source_region == "us-east-1"


# Whatever people type

texts = st.text(max_size=300)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(FIELDS)) | texts, anything, max_size=8))
def test_any_object_is_either_read_or_refused_line_by_line(raw: dict[str, object]) -> None:
    try:
        read_request(raw, DEFAULTS)
        refusal = "none"
    except RequestRefused as refused:
        refusal = str(refused)
    assert 0 < len(refusal) < 16_000


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["delete_source", "confirm_delete_source"]), anything))
def test_no_request_is_read_as_a_deletion_unless_both_fields_say_so(raw: dict[str, object]) -> None:
    try:
        request = read_request(raw, DEFAULTS)
    except RequestRefused:
        return
    if request.delete_source:
        assert raw["delete_source"] is True
        assert isinstance(raw["confirm_delete_source"], str)


@pytest.mark.parametrize("archive", ["keep", "export"])
def test_what_keeps_data_unmasked_contradicts_a_masking_policy(archive: str) -> None:
    asked = {"masking_policy": "staging", "archive_snapshot": archive}
    said = f"archive_snapshot: {archive!r} keeps data that are not masked, and masking_policy is 'staging'"
    assert said in refusal_of(asked)
    # Also where the stack says either.
    assert said in refusal_of({"archive_snapshot": archive}, DEFAULTS | {"masking_policy": "staging"})
    assert read_request(asked | {"masking_policy": ""}, DEFAULTS).masking_policy == ""


def test_the_data_as_they_are_are_not_deleted_for_masked_ones() -> None:
    asked = {"delete_source": True, "confirm_delete_source": "prod-orders"}
    said = "true would delete the data as they are, and the restored cluster has them masked by 'staging'"
    assert said in refusal_of({**asked, "masking_policy": "staging"})
    assert said in refusal_of(asked, DEFAULTS | {"masking_policy": "staging"})
    assert read_request(asked | {"masking_policy": ""}, DEFAULTS | {"masking_policy": "staging"}).delete_source


def test_a_masking_policy_has_a_name_as_the_stack_gives_it() -> None:
    assert "is no name of a masking policy" in refusal_of({"masking_policy": "s3://bucket/key"})
