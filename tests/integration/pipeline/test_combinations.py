"""Combinations of how the source goes, what becomes of the copy, and the region, held to its proof as run_local.sh is.

That it stays is proved for each of them by test_routes.py.

Its exit status is 0 exactly if the run did what the request says (test_proof.py: what isn't so is missed).
"""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from scripts.local_run.command import attempt
from scripts.local_run.production import Production, make_production
from scripts.local_run.stage import OTHER_REGION, REGION, Stage
from tests.integration.pipeline.support import deletion_of, numbers, request_for

# What is asked for of the source's end.
ENDS: dict[str, dict[str, Any]] = {
    "the source goes": {},
    "the source goes without a final snapshot": {"final_snapshot": False, "delete_automated_backups": True},
    "a protected source goes": {"override_deletion_protection": True},
}
CASES = [("the source goes", archive) for archive in ("delete", "keep", "export")]
# How a source goes and what becomes of the copy have nothing to do with each other beyond that.
CASES += [("the source goes without a final snapshot", "export"), ("a protected source goes", "keep")]


def run(place: Stage, source: Production, request: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    place.received_messages()
    return attempt(place, source, request, Console(quiet=True))


@pytest.mark.full
@pytest.mark.parametrize(
    ("end", "archive", "region"),
    [(*case, region) for case in CASES for region in (REGION, OTHER_REGION)],
)
def test_what_was_done_is_what_was_asked_for(
    end: str, archive: str, region: str, place: Stage, key: str, target: str
) -> None:
    source = make_production(place.aws, region, cluster=f"prod-doomed-{next(numbers)}")
    if end == "a protected source goes":
        place.aws.client("rds", region).modify_db_cluster(
            DBClusterIdentifier=source.cluster, DeletionProtection=True, ApplyImmediately=True
        )
        place.aws.clock.sleep(1200)
    request = request_for(source, target, key, archive) | deletion_of(source.cluster, target, **ENDS[end])
    planned, as_it_should = run(place, source, request | {"dry_run": True})
    assert as_it_should, planned
    assert set(planned["checks"]) == {"planned_only", "nothing_changed", "notification_received"}
    result, as_it_should = run(place, source, request)
    assert as_it_should, result["error"] or result["checks"]
    assert set(result["checks"]) >= {"copy_as_asked", "export_as_asked", "source_as_asked", "audit_trail_complete"}


def test_a_request_that_is_refused_is_not_as_it_should_be(place: Stage, production: Production) -> None:
    request = {"source_cluster_id": production.cluster, "delete_source": True}
    result, as_it_should = run(place, production, request)
    assert (result["status"], as_it_should) == ("FAILED", False)
