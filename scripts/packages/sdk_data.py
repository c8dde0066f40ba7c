"""botocore's data cut to what the code calls: 440 services are 20 MB and much of a cold start, ours some hundred KB.

Of a service its newest API is kept: the operations called with every shape that these reach, unchanged but for the
documentation; their paginators; the endpoint rules whole. The old table of endpoints keeps every partition and region
for the services kept. Files lie unpacked: the layer's zip compresses them anyway, and a cold start needn't.
"""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from scripts.packages.sdk_calls import Mentioned, method_name

Model = dict[str, Any]
DATA = PurePosixPath("botocore/data")
_WHOLE = ("_retry", "partitions", "sdk-default-configuration")


class MissingFromSdk(Exception):
    """The code calls what this SDK doesn't have."""


def called(wheel: zipfile.ZipFile, code: Mentioned) -> dict[str, list[str]]:
    """The operations that the code calls, by service."""
    found = {}
    for service in sorted(code.services):
        operations = _read(wheel, _newest_api(wheel, service) / "service-2")["operations"]
        found[service] = sorted(name for name in operations if method_name(name) in code.words)
        if not found[service]:
            raise MissingFromSdk(f"A client of {service} is made, but none of its operations is called.")
    return found


def trim(wheel: zipfile.ZipFile, into: Path, kept: Mapping[str, list[str]]) -> None:
    """Write botocore/data under `into`, from botocore's wheel."""
    prefixes = set(kept)
    for service, operations in kept.items():
        api = _newest_api(wheel, service)
        whole = _read(wheel, api / "service-2")
        prefixes.add(whole["metadata"]["endpointPrefix"])
        model = service_model(whole, operations)
        pages = _read(wheel, api / "paginators-1").get("pagination", {})
        _write(into / api / "service-2.json", model)
        _write(into / api / "endpoint-rule-set-1.json", _read(wheel, api / "endpoint-rule-set-1"))
        _write(into / api / "paginators-1.json", {"pagination": _chosen(pages, operations)})
        for extras in ("service-2.sdk-extras", "paginators-1.sdk-extras"):
            if _packed(wheel, api / extras):
                # botocore's loader merges these in, so they are cut like what they are merged to.
                added = _read(wheel, api / extras)
                added["merge"] = {
                    part: _chosen(value, model["shapes"] if part == "shapes" else operations)
                    for part, value in added["merge"].items()
                }
                _write(into / api / f"{extras}.json", added)
    for name in _WHOLE:
        _write(into / DATA / f"{name}.json", _read(wheel, DATA / name))
    _write(into / DATA / "endpoints.json", endpoints(_read(wheel, DATA / "endpoints"), prefixes))


def service_model(model: Model, operations: Iterable[str]) -> Model:
    """The model with these operations alone, and all that they, their errors and their parameters are made of."""
    chosen = _chosen(model["operations"], sorted(operations))
    shapes = model["shapes"]
    reached, new = set[str](), set(_shapes_of(chosen))
    while new:
        reached |= new
        new = {name for each in new for name in _shapes_of(shapes[each])} - reached
    parts = {"operations": chosen, "shapes": _chosen(shapes, sorted(reached))}
    # botocore reads the texts of these, S3's, whenever it makes a client.
    whole = {key: model[key] for key in ("clientContextParams",) if key in model}
    rest = {key: _undocumented(parts.get(key, value)) for key, value in model.items() if key != "documentation"}
    return rest | whole


def endpoints(table: Model, prefixes: Iterable[str]) -> Model:
    """The table with every partition and its regions, and of the services these alone."""
    partitions = [{**each, "services": _chosen(each["services"], sorted(prefixes))} for each in table["partitions"]]
    return {**table, "partitions": partitions}


def _chosen(values: Mapping[str, Any], names: Iterable[str]) -> Model:
    return {name: values[name] for name in names if name in values}


def _shapes_of(node: Any) -> Iterator[str]:
    """Names of the shapes that a part of a model refers to."""
    if isinstance(node, Mapping):
        if isinstance(node.get("shape"), str):
            yield node["shape"]
        for value in node.values():
            yield from _shapes_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from _shapes_of(value)


def _undocumented(node: Any) -> Any:
    """Without the texts. A member may be named documentation as well: then it's no text but a reference."""
    if isinstance(node, Mapping):
        return {
            key: _undocumented(value)
            for key, value in node.items()
            if key != "documentation" or not isinstance(value, str)
        }
    return [_undocumented(each) for each in node] if isinstance(node, list) else node


def _newest_api(wheel: zipfile.ZipFile, service: str) -> PurePosixPath:
    folder = DATA / service
    versions = {PurePosixPath(name).parent for name in wheel.namelist() if PurePosixPath(name).parent.parent == folder}
    if not versions:
        raise MissingFromSdk(f"botocore has no service {service!r}. Correct the name where its client is made.")
    return max(versions)


def _packed(wheel: zipfile.ZipFile, path: PurePosixPath) -> str | None:
    names = (f"{path}.json", f"{path}.json.gz")
    return next((name for name in names if name in wheel.NameToInfo), None)


def _read(wheel: zipfile.ZipFile, path: PurePosixPath) -> Model:
    name = _packed(wheel, path)
    if name is None:
        raise MissingFromSdk(f"botocore's wheel has no {path}. Its layout has changed: correct {__file__}.")
    content = wheel.read(name)
    model: Model = json.loads(gzip.decompress(content) if name.endswith(".gz") else content)
    return model


def _write(path: Path, content: Model) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, separators=(",", ":")))
