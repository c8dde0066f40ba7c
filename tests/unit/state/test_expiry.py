"""The register of clusters that expire."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.unit.support import NOW, OPERATION, TARGET
from utils.state.expiry import ExpiringCluster, ExpiryRegister, Replaced
from utils.state.values import iso

pytestmark = pytest.mark.usefixtures("account")

ENTRY = ExpiringCluster(resource_id="cluster-A", cluster_identifier=TARGET, operation_id=OPERATION, hours=72)
OTHER = replace(ENTRY, resource_id="cluster-B", operation_id="another", cluster_identifier="drill")


def test_what_is_added_is_found_once_and_gone_when_it_is_removed() -> None:
    register = ExpiryRegister()
    assert register.entries() == []
    for entry in (ENTRY, OTHER, ENTRY):
        register.add(entry)
    assert register.entries() == [OTHER, ENTRY]
    register.remove("cluster-B")
    register.remove("cluster-B")
    assert register.entries() == [ENTRY]


def test_adding_it_again_forgets_nothing_that_was_noted() -> None:
    register = ExpiryRegister()
    register.add(ENTRY)
    register.note("cluster-A", warned_of="2026-03-13T03:00:00Z", warned_at=iso(NOW))
    register.add(ENTRY)
    assert register.entry("cluster-A") == replace(ENTRY, warned_of="2026-03-13T03:00:00Z", warned_at=iso(NOW))


def test_the_entry_of_a_cluster_that_is_replaced_takes_the_place_of_the_one_that_it_was_restored_with() -> None:
    replaced = Replaced(
        target_cluster_id=TARGET, expires_at="2026-03-11T03:00:00Z", is_ours=True, deletion_protection=False
    )
    after = replace(ENTRY, operation_id="a-later-night", cluster_identifier=f"{TARGET}-old-1", replaced=replaced)
    register = ExpiryRegister()
    for entry in (ENTRY, after, after):
        register.add(entry)
    assert register.entries() == [after]
    assert (ENTRY.target_cluster_id, after.target_cluster_id) == (TARGET, TARGET)


def test_a_note_on_what_was_removed_brings_nothing_back() -> None:
    register = ExpiryRegister()
    register.add(ENTRY)
    register.remove("cluster-A")
    register.note("cluster-A", reported="x", reported_at=iso(NOW))
    assert register.entry("cluster-A") is None


def test_two_who_write_different_facts_keep_both() -> None:
    one, other = ExpiryRegister(), ExpiryRegister()
    one.add(ENTRY)
    one.note("cluster-A", warned_of="m", warned_at=iso(NOW))
    other.note("cluster-A", deletion_began_at=iso(NOW))
    found = one.entry("cluster-A")
    assert found is not None
    assert (found.warned_of, found.deletion_began_at) == ("m", iso(NOW))
