"""The SDK's data in the layer: smaller than botocore's, and for all that the code calls the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

from scripts.checks.handlers import FOLDERS
from scripts.checks.reach import reached
from scripts.packages import layer
from scripts.packages.sdk_calls import UnreadableCall, mentioned, method_name

WHOLE = Loader(include_default_search_paths=True)
SHIPPED = Loader(
    extra_search_paths=[str(layer.host_packages() / "botocore" / "data")], include_default_search_paths=False
)
SERVICES = sorted(layer.code().services)
CALLS = sorted({call for folder in FOLDERS for call in reached(folder).calls})


def model(loader: Loader, service: str) -> ServiceModel:
    return ServiceModel(loader.load_service_model(service, "service-2"), service)


def described(shape: Shape | None, seen: frozenset[str] = frozenset()) -> Any:
    """All of a shape that says what may be sent and what is answered."""
    if shape is None:
        return None
    if shape.name in seen:
        return shape.name
    seen |= {shape.name}
    parts = {name: described(member, seen) for name, member in getattr(shape, "members", {}).items()}
    inner = [described(getattr(shape, each), seen) for each in ("member", "key", "value") if hasattr(shape, each)]
    return shape.name, shape.type_name, shape.serialization, shape.metadata, getattr(shape, "enum", None), parts, inner


@pytest.mark.parametrize("call", CALLS)
def test_a_call_of_the_code_asks_and_is_answered_as_with_the_whole_sdk(call: str) -> None:
    service, name = call.split(":")
    whole, shipped = (model(loader, service).operation_model(name) for loader in (WHOLE, SHIPPED))
    for part in ("input_shape", "output_shape"):
        assert described(getattr(shipped, part)) == described(getattr(whole, part))
    assert [described(each) for each in shipped.error_shapes] == [described(each) for each in whole.error_shapes]
    assert (shipped.http, shipped.auth_type, shipped.endpoint) == (whole.http, whole.auth_type, whole.endpoint)
    pages = [loader.load_service_model(service, "paginators-1")["pagination"].get(name) for loader in (WHOLE, SHIPPED)]
    assert pages[0] == pages[1]


def test_the_two_readers_of_the_code_agree() -> None:
    """One follows each handler's calls, the other takes every word that is a method's name; it may find more."""
    kept = {f"{service}:{name}" for service in SERVICES for name in model(SHIPPED, service).operation_names}
    assert set(CALLS) <= kept
    assert {call.split(":")[0] for call in CALLS} == set(SERVICES)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_spoken_to_as_with_the_whole_sdk(service: str) -> None:
    assert model(SHIPPED, service).metadata == model(WHOLE, service).metadata
    rules = [loader.load_service_model(service, "endpoint-rule-set-1") for loader in (WHOLE, SHIPPED)]
    assert rules[0] == rules[1]


def test_every_partition_and_region_of_our_services_is_known() -> None:
    whole, shipped = (loader.load_data("endpoints")["partitions"] for loader in (WHOLE, SHIPPED))
    prefixes = {model(WHOLE, service).endpoint_prefix for service in SERVICES}
    for one, other in zip(whole, shipped, strict=True):
        assert {key: value for key, value in one.items() if key != "services"} == {
            key: value for key, value in other.items() if key != "services"
        }
        assert {name: value for name, value in one["services"].items() if name in prefixes} == other["services"]
    for name in ("partitions", "sdk-default-configuration", "_retry"):
        assert WHOLE.load_data(name) == SHIPPED.load_data(name)


@pytest.mark.parametrize("service", SERVICES)
def test_methods_are_named_as_botocore_names_them(service: str) -> None:
    for operation in model(WHOLE, service).operation_names:
        assert method_name(operation) == xform_name(operation)


def source(directory: Path, text: str) -> Iterator[Path]:
    path = directory / "module.py"
    path.write_text(text)
    yield path


def test_a_method_that_is_handed_on_and_a_paginator_count_as_called(tmp_path: Path) -> None:
    text = """
rds = client("rds")
answered(rds.describe_db_clusters)
rds.get_paginator("describe_db_snapshots")
"""
    found = mentioned(source(tmp_path, text))
    assert found.services == {"rds"}
    assert {"describe_db_clusters", "describe_db_snapshots"} <= found.words


@pytest.mark.parametrize(
    ("text", "reason"),
    [("client(name)", "name the service"), ('client("rds").get_waiter("db_cluster_available")', "ships no waiters")],
)
def test_what_cannot_be_read_from_the_source_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(UnreadableCall, match=reason):
        mentioned(source(tmp_path, text))
