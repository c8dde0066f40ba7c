"""A person's own policy is read before anything is started, and whatever is wrong with its file is told."""

from __future__ import annotations

import pathlib

import pytest

from scripts.local_run.policies import POLICY, NoPolicy, own_masking_policy, own_verification_policy
from utils.policies.fields import MAX_BYTES

CHECKS = "version: 1\nmax_loss_percent: 5\n"


def test_a_policy_is_its_files_text(tmp_path: pathlib.Path) -> None:
    (tmp_path / "mask.yaml").write_text(POLICY)
    (tmp_path / "checks.yaml").write_text(CHECKS)
    assert own_masking_policy(tmp_path / "mask.yaml") == POLICY
    assert own_verification_policy(tmp_path / "checks.yaml") == CHECKS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["is no masking policy", "Line 1: the document is empty."]),
        (b"version: 1\ndatabases: [a\n", ["Line 3: this is not YAML"]),
        (b"version: 2\nno_such: 1\n", ["Line 1: `version` is 1", "'databases'", "Line 2: the policy has no field"]),
        (CHECKS.encode(), ["documentation/implementation_guide/masking.md", "'max_loss_percent'"]),
        (b"\xff\xfe", ["is not text in UTF-8. Save it so."]),
        (b"# " + b"x" * MAX_BYTES, [f"It may have {MAX_BYTES}."]),
        (b"# " + "ä".encode() * MAX_BYTES, [f"It may have {MAX_BYTES}."]),
    ],
    ids=["empty", "no YAML", "all faults", "of the other kind", "bytes", "too long", "too long, cut in a character"],
)
def test_what_is_wrong_with_a_policy_is_told_with_its_file(
    content: bytes, words: list[str], tmp_path: pathlib.Path
) -> None:
    path = tmp_path / "mask.yaml"
    path.write_bytes(content)
    with pytest.raises(NoPolicy) as refused:
        own_masking_policy(path)
    assert str(refused.value).startswith(f"{path} ")
    assert [each for each in words if each not in str(refused.value)] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [("absent.yaml", "cannot be read: No such file or directory."), (".", "is no regular file.")],
)
def test_what_cannot_be_read_is_named(name: str, words: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(NoPolicy) as refused:
        own_verification_policy(tmp_path / name)
    assert words in str(refused.value)
    assert "Name a file with a verification policy." in str(refused.value)
