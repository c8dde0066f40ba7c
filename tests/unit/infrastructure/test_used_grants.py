"""What the whole runs have used is held against what is granted: each session of them leaves a record."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from scripts.checks.handlers import FOLDERS
from scripts.local_aws.iam.gate import Decision
from tests.integration.pipeline import grants
from tests.integration.pipeline.grants import Grant, Record


def a_record(left_out: Iterator[Grant] | tuple[Grant, ...] = ()) -> Record:
    """Return one of a session that ran everything and needed all grants but those left out."""
    names = {logical_id: f"aurora-restore-{grants.name_of(role)}" for logical_id, role in grants.roles().items()}
    needed = [each for each in grants.granted() if not grants.exceptions_for(each) and each not in left_out]
    return Record(
        ran=[f"tests/integration/pipeline/{path.name}::test" for path in grants.HERE.glob("test_*.py")],
        left_out=[],
        relied_on=[(names[role], label, action) for role, label, action in needed],
        logs=[f"/aws/lambda/{folder}" for folder in FOLDERS],
    )


WHOLE = a_record()


def test_runs_that_needed_every_grant_show_nothing_wrong() -> None:
    assert list(grants.findings([WHOLE])) == []


@pytest.mark.parametrize("grant", [("CopySnapshotRole", "rds:CopyDBClusterSnapshot")])
def test_a_grant_that_no_run_needed_is_named(grant: tuple[str, str]) -> None:
    unused = next(each for each in grants.granted() if (each[0], each[2]) == grant)
    (found,) = grants.findings([a_record(left_out=(unused,))])
    assert str(unused) in found


@pytest.mark.parametrize(("label", "action"), sorted(grants.NEEDED_BY_SOME))
def test_what_one_policy_grants_all_steps_some_role_has_to_need(label: str, action: str) -> None:
    first, *others = [each for each in grants.granted() if each[1:] == (label, action)]
    assert list(grants.findings([a_record(left_out=tuple(others))])) == []
    assert len(list(grants.findings([a_record(left_out=(first, *others))]))) == 1 + len(others)


def test_what_several_sessions_needed_is_taken_together() -> None:
    half = len(WHOLE.relied_on) // 2
    parts = [
        replace(WHOLE, ran=WHOLE.ran[:3], relied_on=WHOLE.relied_on[:half], logs=WHOLE.logs[:3]),
        replace(WHOLE, ran=WHOLE.ran[3:], relied_on=WHOLE.relied_on[half:], logs=WHOLE.logs[3:]),
    ]
    assert list(grants.findings(parts)) == []


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([], "test_rules.py"),
        ([replace(WHOLE, ran=WHOLE.ran[1:])], WHOLE.ran[0].partition("::")[0].rpartition("/")[2]),
        ([replace(WHOLE, left_out=["tests/integration/pipeline/test_door.py::test_left_out"])], "test_left_out"),
    ],
)
def test_a_part_of_the_runs_says_nothing_of_the_grants(records: list[Record], words: str) -> None:
    (found,) = grants.findings(records)
    assert "did not run" in found
    assert words in found


def test_an_exception_that_a_run_needed_after_all_is_named() -> None:
    name, action = "SwapClusterRole swap-cluster#SwapReplaceableClusters rds:StopDBCluster", "rds:StopDBCluster"
    exception = next(each for each in grants.granted() if each[0] == "SwapClusterRole" and " ".join(each) == name)
    also = ("aurora-restore-swap-cluster", exception[1], action)
    found = list(grants.findings([replace(WHOLE, relied_on=[*WHOLE.relied_on, also])]))
    assert any(name in each for each in found)


def test_a_function_without_a_log_is_named() -> None:
    (found,) = grants.findings([replace(WHOLE, logs=WHOLE.logs[1:])])
    assert WHOLE.logs[0].rpartition("/")[2] in found


def test_only_what_rests_on_one_grant_alone_counts_and_no_account_stands_in_a_record() -> None:
    role = "arn:aws:iam::123456789012:role/aurora-restore-copy-snapshot"
    alone = Decision(role, "rds:CopyDBClusterSnapshot", "*", "CopyPolicy#Copy", alone=True)
    assert grants.relied_on([alone, Decision(role, "rds:DescribeDBClusters", "*", "CopyPolicy#Look")]) == [
        ("aurora-restore-copy-snapshot", "CopyPolicy#Copy", "rds:CopyDBClusterSnapshot")
    ]


def test_a_record_is_read_as_it_was_written(tmp_path: pathlib.Path) -> None:
    WHOLE.write(tmp_path)
    assert grants.main(tmp_path) == 0
    assert grants.main(tmp_path / "nothing") == 1
