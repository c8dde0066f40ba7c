"""The table of routes in the documentation, to which the tests hold the plans and the runs."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct

PAGE = Path(__file__).parents[2] / "documentation" / "architecture" / "routes.md"


class Case(Struct, frozen=True, kw_only=True):
    """One row of the table."""

    name: str
    place: str
    kind: str
    encryption: str
    given: list[str]
    calls: list[str]

    @property
    def in_another_account(self) -> bool:
        """Return whether the source is in another account than the stack."""
        return "another account" in self.place

    @property
    def in_another_region(self) -> bool:
        """Return whether the source is in another region than the stack."""
        return "region" in self.place

    @property
    def is_shared_by_hand(self) -> bool:
        """Return whether people share the snapshot, since the other account grants no role."""
        return "no role" in self.place


def read_cases() -> list[Case]:
    """Return every row of the page's table."""
    table = PAGE.read_text().split("<!-- routes -->")[1].split("<!-- /routes -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:]]
    return [
        Case(
            name=name.strip("`"),
            place=place,
            kind=kind,
            encryption=encryption.strip("`"),
            given=re.findall(r"`(\w+)`", given),
            calls=calls.split(", "),
        )
        for name, place, kind, encryption, given, calls in rows
    ]
