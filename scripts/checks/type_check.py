"""mypy over everything, the handlers included, in one call.

Each handler is a module named `lambda_function` in a folder whose hyphens make it no package. Given all of them, mypy
stops at "Duplicate module named lambda_function"; given one after the other, it takes ten times as long and they
overwrite each other's cache. So they are handed to it here under names of their own.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from mypy.fscache import FileSystemCache
from mypy.main import process_options, run_build
from mypy.modulefinder import BuildSource

HANDLERS = sorted(Path("lambda_functions").glob("*/lambda_function.py"))


def main() -> int:
    """Run mypy and return the exit status."""
    cache = FileSystemCache()
    sources, options = process_options([], fscache=cache)
    sources += [BuildSource(str(path), path.parent.name.replace("-", "_")) for path in HANDLERS]
    _, messages, _ = run_build(sources, options, cache, time.time(), sys.stdout, sys.stderr)
    errors = [message for message in messages if ": error:" in message]
    print(f"{len(errors)} errors in {len(sources)} files")
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main())
