"""Which PostgreSQL servers of this machine the role tests are run on, and what is said where there is only one."""

from __future__ import annotations

import pathlib

import pytest

from scripts.checks.postgres_servers import sentence
from scripts.local_aws.postgres.binaries import installations


def installed(directory: pathlib.Path, answer: str) -> pathlib.Path:
    """A directory with programs that answer as PostgreSQL's do when asked for their version."""
    directory.mkdir()
    for name in ("postgres", "initdb"):
        (directory / name).write_text(f"#!/bin/sh\n{answer}\n")
        (directory / name).chmod(0o755)
    return directory


def test_the_one_that_everything_runs_on_comes_first() -> None:
    assert installations()


def test_one_on_the_path_is_found_and_those_that_cant_be_used_are_left_out(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usable = installed(tmp_path / "usable", "echo 'postgres (PostgreSQL) 14.2 (Debian 14.2-1)'")
    old = installed(tmp_path / "old", "echo 'postgres (PostgreSQL) 12.9'")
    broken = installed(tmp_path / "broken", "exit 1")
    before = installations()
    monkeypatch.setenv("PATH", f"{usable}:/usr/bin:/bin")
    monkeypatch.setenv("LOCAL_AWS_MORE_POSTGRES_BINS", f"{old}:{broken}:{tmp_path / 'missing'}")
    found = installations()
    assert found[usable] == 14
    assert found.keys() - before.keys() == {usable}
    assert next(iter(found)) == next(iter(before))


def test_another_is_tried_as_well_where_one_is_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = installed(tmp_path / "named", "echo 'postgres (PostgreSQL) 16.1'")
    others = installations()
    monkeypatch.setenv("LOCAL_AWS_POSTGRES_BIN", str(named))
    assert list(installations()) == [named, *others]


def test_that_there_is_only_one_is_said_and_how_to_add_another() -> None:
    one, other = pathlib.Path("/opt/17/bin"), pathlib.Path("/usr/lib/postgresql/15/bin")
    assert sentence({one: 17}).startswith(
        "The role tests run on PostgreSQL 17 (/opt/17/bin) alone: no other was found."
    )
    assert "apt-get install postgresql" in sentence({one: 17})
    assert sentence({one: 17, other: 15}).endswith("PostgreSQL 17 (/opt/17/bin), 15 (/usr/lib/postgresql/15/bin).")
