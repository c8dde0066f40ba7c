"""A masking policy as data: what becomes of each column of each database."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct, field

from utils.policies.patterns import Pattern

OtherPaths = Literal["remove", "fail", "keep"]
Unclassified = Literal["fail", "list"]
LargeObjects = Literal["refuse", "empty"]

# By their names in a policy, with those in pg_type. Not texts, documents, dates, addresses, bytes or arrays: among them
# are names, birthdays and all that an application keeps, so that each such column needs a decision of its own.
KEEPABLE_TYPES = {
    "boolean": "bool",
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "numeric": "numeric",
    "real": "float4",
    "double precision": "float8",
    "money": "money",
    "uuid": "uuid",
    "time": "time",
    "timetz": "timetz",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    "interval": "interval",
    "enum": "enum",
}
EVERYTHING_BELOW = "**"
"""The last key of a JSON path that means a value with all that is below it."""


class Keep(Struct, frozen=True, tag="keep"):
    """Leave the values as they are."""


class SetNull(Struct, frozen=True, tag="set_null"):
    """Set every value to NULL."""


class Constant(Struct, frozen=True, tag="constant"):
    """Replace every value by one. As every action but `set_null`, it leaves NULL as it is."""

    value: str


class Hash(Struct, frozen=True, tag="hash"):
    """Replace a value by its keyed hash: equal values of one group stay equal, different ones different.

    `length` is that of the whole result of a text: the letter that marks it, and hexadecimal digits.
    """

    length: int = 32
    group: str | None = None
    lower: bool = False


class Email(Struct, frozen=True, tag="email"):
    """Replace an e-mail address by one of example.com, which takes no mail (RFC 2606).

    `length` is the number of hexadecimal digits in it.
    """

    length: int = 20
    group: str | None = None
    lower: bool = False


class Name(Struct, frozen=True, tag="name"):
    """Replace a name by `Person` and eight hexadecimal digits."""

    group: str | None = None


class Phone(Struct, frozen=True, tag="phone"):
    """Replace a telephone number by the prefix and so many digits.

    If `unique`, different numbers stay different, as far as their last digits differ.
    """

    prefix: str = "+999"
    digits: int = 10
    unique: bool = False
    group: str | None = None


class Text(Struct, frozen=True, tag="text"):
    """Replace a text by one of that length that begins with `masked `."""

    length: int = 24
    group: str | None = None


class Number(Struct, frozen=True, tag="number"):
    """Replace a number by one of the range. Both ends belong to it; the decimals of theirs are those of the result."""

    least: str
    most: str
    group: str | None = None


class DateShift(Struct, frozen=True, tag="date_shift"):
    """Shift a date by up to so many days to either side, never by none; a time by as many seconds."""

    days: int
    group: str | None = None


class Expression(Struct, frozen=True, tag="sql"):
    """Replace a value by what an SQL expression over its row says."""

    sql: str


class Each(Struct, frozen=True, tag="each"):
    """Do something to each element of an array."""

    action: Action


class JsonPath(Struct, frozen=True):
    """What becomes of the values at one path of a JSON document.

    A step is a key of an object, or None for all elements of an array.
    """

    text: str
    steps: tuple[str | None, ...]
    below: bool
    action: Action


class Json(Struct, frozen=True, tag="json"):
    """Do something to the values at some paths of a JSON document, and with all others what `other_paths` says."""

    paths: tuple[JsonPath, ...]
    other_paths: OtherPaths = "remove"


Action: TypeAlias = (
    Keep | SetNull | Constant | Hash | Email | Name | Phone | Text | Number | DateShift | Expression | Each | Json
)


class ColumnRule(Struct, frozen=True):
    """What becomes of the columns that a pattern matches."""

    pattern: Pattern
    action: Action
    line: int


class TableRule(Struct, frozen=True):
    """The tables whose rows are deleted, all of them."""

    pattern: Pattern
    line: int


class OwnSql(Struct, frozen=True):
    """Statements of the policy's author, run when the columns are masked."""

    name: str
    text: str
    owner: str | None = None
    """The role whose tables they work on. None where all tables of the database have one owner."""


class Check(Struct, frozen=True):
    """A query of the policy's author that has to find nothing in a masked database."""

    name: str
    text: str


class DatabaseRules(Struct, frozen=True, kw_only=True):
    """What becomes of the databases that one of the patterns matches."""

    patterns: list[Pattern]
    line: int
    columns: list[ColumnRule] = field(default_factory=list)
    tables: list[TableRule] = field(default_factory=list)
    large_objects: LargeObjects = "refuse"
    foreign_servers: list[str] = field(default_factory=list)
    sql: list[OwnSql] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    canaries: list[str] = field(default_factory=list)
    """Values of production that may stand nowhere in a masked database."""


class MaskingPolicy(Struct, frozen=True, kw_only=True):
    """What becomes of each column. What has no rule is kept if its type is among `kept_types`, else unclassified."""

    unclassified: Unclassified = "fail"
    kept_types: frozenset[str] = frozenset()
    databases: list[DatabaseRules] = field(default_factory=list)
