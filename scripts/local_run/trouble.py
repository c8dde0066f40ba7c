"""What stops a run before its end, in a sentence: what is missing on this machine, and what to do about it."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from scripts.local_aws.cloudformation.intrinsics import TemplateError
from scripts.local_aws.core.errors import CannotStart

NEEDED_MIB = 400
"""What a run's servers, snapshots and packages take of the temporary directory, with some room to spare."""

_LEFT_WHEN_FULL_MIB = 32
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def require_room() -> None:
    """Raise CannotStart where the temporary directory has not got the room that a run takes."""
    free = _free_mib()
    if free < NEEDED_MIB:
        raise CannotStart(
            f"{tempfile.gettempdir()} has {free} MiB free, and a run takes up to {NEEDED_MIB} MiB there. "
            f"{_what_to_do()}"
        )


def log_in_sentences() -> None:
    """Print what goes wrong inside the embedded AWS without the way there, which LOCAL_AWS_VERBOSE shows."""
    if not os.environ.get("LOCAL_AWS_VERBOSE"):
        handler = logging.StreamHandler()
        handler.setFormatter(_Sentences())
        handler.setLevel(logging.WARNING)
        logging.getLogger().addHandler(handler)


class _Sentences(logging.Formatter):
    def formatException(self, ei: Any) -> str:  # noqa: N802 logging's name
        return f"{ei[0].__name__}: {ei[1]}"


@contextlib.contextmanager
def room_watched() -> Iterator[None]:
    """Raise CannotStart instead of anything else that goes wrong in here while the temporary directory is full."""
    try:
        yield
    except Exception as error:
        free = _free_mib()
        if free < _LEFT_WHEN_FULL_MIB:
            raise CannotStart(f"{tempfile.gettempdir()} is full ({free} MiB free). {_what_to_do()}") from error
        raise


def sentence(error: Exception) -> str | None:
    """Return what to say about an error that a person can act on; None for any other, which is a fault."""
    if isinstance(error, (CannotStart, TemplateError)):
        return f"It cannot start: {error}"
    if isinstance(error, OSError) and error.errno in _FULL:
        return (
            f"Stopped: the output cannot be written ({error.strerror}). Make room where it goes, or send it elsewhere."
        )
    return None


def _free_mib() -> int:
    return shutil.disk_usage(pathlib.Path(tempfile.gettempdir())).free // 2**20


def _what_to_do() -> str:
    return "Make room there, or name another directory: TMPDIR=/path/to/it ./scripts/run_local.sh"
