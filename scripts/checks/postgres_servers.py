"""Say on which PostgreSQL servers the role tests run: roles differ between versions, so one alone shows less."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping

from scripts.local_aws.postgres.binaries import installations


def sentence(versions: Mapping[pathlib.Path, int]) -> str:
    """Return the servers in a sentence."""
    found = [f"{version} ({directory})" for directory, version in versions.items()]
    if len(found) > 1:
        return f"The role tests run on PostgreSQL {', '.join(found)}."
    return (
        f"The role tests run on PostgreSQL {found[0] if found else '(none found)'} alone: no other was found. "
        "Debian's package adds one (apt-get install postgresql); LOCAL_AWS_MORE_POSTGRES_BINS names any."
    )


if __name__ == "__main__":
    print(sentence(installations()))
