"""What exists is this operation's own only where its tag and what was recorded say so together."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import OPERATION, OWN_TAGS, REGION, TARGET, a_copy, a_record
from utils.aurora_utils import Aurora, Snapshot
from utils.aurora_utils.ownership import owns_recorded_copy, owns_snapshot, prove_own_snapshot, why_not_own_cluster
from utils.errors import StepFailed

COPY = a_copy()
OTHERS = [{"Key": "aurora-restore:operation-id", "Value": "another"}]


def the_copy(rds: FakeRds, tags: list[dict[str, str]]) -> Snapshot:
    rds.add_snapshot(COPY.identifier, TagList=tags)
    found = Aurora(REGION).snapshot(COPY.identifier)
    assert found is not None
    return found


@pytest.mark.parametrize("recorded", [{}, {"copy": COPY.arn}])
def test_a_copy_is_ours_by_tag_and_record(rds: FakeRds, recorded: dict[str, str]) -> None:
    """The record is missing only where the step died before it could write it down."""
    found = the_copy(rds, OWN_TAGS)
    assert owns_snapshot(found, COPY.final, a_record(made_snapshots=recorded))
    assert owns_recorded_copy(found, a_record(made_snapshots=recorded)) is bool(recorded)


@pytest.mark.parametrize(
    ("tags", "recorded"),
    [([], {"copy": COPY.arn}), (OTHERS, {"copy": COPY.arn}), (OWN_TAGS, {"copy": COPY.arn + "-of-others"})],
)
def test_one_of_the_two_alone_proves_nothing(
    rds: FakeRds, tags: list[dict[str, str]], recorded: dict[str, str]
) -> None:
    found, record = the_copy(rds, tags), a_record(made_snapshots=recorded)
    assert not owns_recorded_copy(found, record)
    with pytest.raises(StepFailed, match=f"is not the copy that operation {OPERATION} made .*It was left alone"):
        prove_own_snapshot(found, COPY.final, record)


def test_nor_does_our_tag_on_a_snapshot_of_another_name(rds: FakeRds) -> None:
    found = the_copy(rds, OWN_TAGS)
    assert not owns_snapshot(found, a_copy("prod-orders-copy-of-others").final, a_record())


@pytest.mark.parametrize(
    ("tags", "facts", "why"),
    [
        (OWN_TAGS, {"cluster_resource_id": "cluster-OURS"}, None),
        (OWN_TAGS, {"cluster_resource_id": None, "cluster_asked_at": "2026-03-10T03:00:00Z"}, None),
        (OWN_TAGS, {"cluster_resource_id": None, "cluster_asked_at": None}, "this operation made none"),
        (OWN_TAGS, {"cluster_resource_id": "cluster-THEIRS"}, "this operation made cluster-THEIRS"),
        (OTHERS, {"cluster_resource_id": "cluster-OURS"}, "is not tagged as this operation's"),
    ],
)
def test_a_cluster_is_ours_by_tag_and_resource_id(
    rds: FakeRds, tags: list[dict[str, str]], facts: dict[str, str | None], why: str | None
) -> None:
    rds.add_cluster(TARGET, DbClusterResourceId="cluster-OURS", TagList=tags)
    found = Aurora(REGION).cluster(TARGET)
    assert found is not None
    said = why_not_own_cluster(found, a_record(**facts))
    assert said is None if why is None else why in str(said)


def test_one_module_alone_asks_for_the_tag() -> None:
    asking = {str(path) for path in Path("utils").rglob("*.py") if ".belongs_to(" in path.read_text()}
    asking |= {str(path) for path in Path("lambda_functions").rglob("*.py") if ".belongs_to(" in path.read_text()}
    assert asking == {"utils/aurora_utils/ownership.py"}


WRITERS = {"Aurora", "OwnersAurora", "through_role"}
READERS = {"AuroraReader", "Source", "Surroundings", "what_is_left_of_source", "open_source", "client"}


@functools.cache
def imported_names() -> dict[Path, set[str]]:
    """Return the names that each module imports from another. All are read once for all tests."""
    paths = [*Path("utils").rglob("*.py"), *Path("lambda_functions").rglob("*.py")]
    trees = ((path, ast.parse(path.read_text())) for path in paths)
    return {
        path: {each.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for each in node.names}
        for path, tree in trees
    }


def holders(names: set[str]) -> set[str]:
    """Return the packages, and the modules beside them, that import one of the names."""
    return {"/".join(path.parts[:2]) for path, imported in imported_names().items() if imported & names}


def test_only_what_carries_out_steps_holds_what_can_change_aurora() -> None:
    """Whoever plans, checks beforehand, closes or resumes is given readers: a change through one is a type error."""
    assert holders(WRITERS) == {"utils/aurora_utils", "utils/common.py", "utils/expiry", "utils/steps"}


def test_messages_are_worded_of_what_others_have_looked_at() -> None:
    looking = {name: holders({name}) for name in READERS}
    assert all(looking.values()), "each name is one that somebody imports"
    assert "utils/messages" not in set().union(*looking.values(), holders(WRITERS))
