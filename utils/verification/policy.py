"""A verification policy as data: what is checked in each database of a restored cluster."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from utils.policies.patterns import Pattern

SchemaChanges = Literal["report", "fail"]
MIB = 1024 * 1024


class OwnCheck(Struct, frozen=True, kw_only=True):
    """A query of the policy's author. It has to find no row, or else one number from `least` to `most`."""

    name: str
    text: str
    is_number: bool = False
    least: str | None = None
    most: str | None = None


class NewestRow(Struct, frozen=True, kw_only=True):
    """A column whose newest moment says how old the data is: at most so many hours before the snapshot, or any age."""

    column: Pattern
    max_hours: int | None


class DatabaseChecks(Struct, frozen=True, kw_only=True):
    """What is checked, beside what is checked everywhere, in the databases that one of the patterns matches."""

    patterns: list[Pattern]
    count: list[Pattern] = field(default_factory=list)
    foreign_keys: list[Pattern] = field(default_factory=list)
    newest_rows: list[NewestRow] = field(default_factory=list)
    own: list[OwnCheck] = field(default_factory=list)


class SourceRules(Struct, frozen=True, kw_only=True):
    """How far the restored data may be from the source's, which has changed since the snapshot.

    The rows of a table that was counted in both differ by at most so many percent of the larger number. The newest row
    of a column is at most `max_hours_behind` older than the source's; None: any age is only reported.
    """

    max_difference_percent: int = 10
    max_hours_behind: int | None = None
    schema_changes: SchemaChanges = "report"


class VerificationPolicy(Struct, frozen=True, kw_only=True):
    """All checks, and their bounds. Without any rule it is the built-in checks.

    Rows of tables up to `count_below_mb` are counted, those of others estimated unless a rule names them. What has lost
    more than `max_loss_percent` of its rows since the last good run is a finding. `source`: how the restored
    cluster is compared with its source; None where it is not.
    """

    check_seconds: int = 300
    count_below_mb: int = 128
    max_loss_percent: int = 50
    schema_changes: SchemaChanges = "report"
    leave_out: list[Pattern] = field(default_factory=list)
    databases: list[DatabaseChecks] = field(default_factory=list)
    source: SourceRules | None = None
