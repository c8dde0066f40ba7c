"""A restored cluster is masked as the policy says: every row once, and nothing else of it is changed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.postgres.cluster_support import Cluster
from tests.integration.postgres.masking_support import (
    POLICY,
    contents,
    expected_contents,
    finish,
    mask,
    readable,
    schema_of,
    traces,
)
from utils.postgres.masking import chunks


def test_every_row_is_masked_once_and_the_schema_is_as_before(production: Cluster) -> None:
    before, expected = schema_of(production, "orders"), expected_contents(production, "orders", POLICY)
    progress = mask(production, POLICY)
    assert progress.done
    assert progress.databases == ["orders", "postgres", "template1"]
    assert progress.tables == progress.tables_done == 9
    assert progress.passed_checks == ["orders: canaries", "orders: no real mail"]
    assert mask(production, POLICY) == progress, "a repeated slice does nothing"
    finish(production)
    finish(production)
    assert schema_of(production, "orders") == before
    assert contents(production, "orders") == expected
    assert len(expected["app.users"]) == 2000
    for database in progress.databases:
        assert traces(production, database) == []
    assert production.superuser("postgres", "select rolname from pg_roles where rolname ~ 'aurora_restore'") == []


def test_no_original_value_can_be_read_anywhere(production: Cluster) -> None:
    assert readable(production, "orders", "real.org|Real Name|person[0-9]|49 170") != []
    mask(production, POLICY)
    finish(production)
    assert readable(production, "orders", "real.org|Real Name|person[0-9]|49 170") == []


def test_while_rows_are_masked_their_tables_have_only_indexes_that_something_leans_on(
    production: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    production.superuser(
        "orders",
        "create index users_trusted on app.users (at)",
        "alter index app.users_trusted depends on extension plpgsql",
        "create index events_id on app.events (id)",
    )
    before, there = schema_of(production, "orders"), set[str]()
    mask_chunk = chunks._mask_chunk

    def looking(*arguments: Any) -> Any:
        indexes = "select indexrelid::regclass::text from pg_index where indexrelid >= 16384"
        there.update(name for (name,) in production.superuser("orders", indexes))
        return mask_chunk(*arguments)

    monkeypatch.setattr(chunks, "_mask_chunk", looking)
    mask(production, POLICY)
    finish(production)
    assert {name for name in there if name.startswith(("app.users", "app.events"))} == {
        *("app.users_pkey", "app.users_trusted"),
        *("app.events_pkey", "app.events_1_pkey", "app.events_2_pkey"),
    }
    assert schema_of(production, "orders") == before
