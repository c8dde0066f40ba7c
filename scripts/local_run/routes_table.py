"""The table of routes as the documentation has it. What it says is what the tests hold the planner and the runs to."""

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
        return "another account" in self.place

    @property
    def in_another_region(self) -> bool:
        return "region" in self.place

    @property
    def is_shared_by_hand(self) -> bool:
        return "no role" in self.place


def read_cases() -> list[Case]:
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
