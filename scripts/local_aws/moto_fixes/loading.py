"""moto and every session of boto3 read botocore's models for themselves, and moto every machine image of a region.

Reading them took a tenth of the embedded AWS's start. The models never change, so all sessions share one loader and
moto keeps its own, which adds to the models; and no image is needed where no machine is started. For each call moto
also lists all methods of the service's class, which are remembered here.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import botocore.loaders
import botocore.session
import moto.core.responses
import moto.core.utils
import msgspec
from moto.core.loaders import create_loader


def install() -> None:
    """Share the loaders in this process. Modules of moto read models while they are imported, so this comes first."""
    os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # moto's documentation, "EC2"
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    botocore.loaders.JSONFileLoader._load_file = _load_file  # type: ignore[attr-defined]  # not in its stubs
    moto.core.utils.create_loader = functools.cache(create_loader)  # type: ignore[attr-defined]  # it only imports it
    listed = functools.cache(moto.core.utils.method_names_from_class)
    moto.core.responses.method_names_from_class = listed  # type: ignore[attr-defined]  # it only imports it


def _load_file(_: object, path: str, opened: Callable[..., Any]) -> Any:
    """Return a file's content as botocore does, read by a faster parser, or None where there is no such file."""
    if not os.path.isfile(path):  # noqa: PTH113 asked for thousands of names
        return None
    with opened(path, "rb") as file:
        return msgspec.json.decode(file.read())
