"""What a database's catalogue says of its tables and columns, as far as masking needs it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from msgspec import Struct, field

# As PostgreSQL's pg_class.relkind: ordinary and partitioned tables, views, materialized views, foreign tables.
RelationKind = Literal["r", "p", "v", "m", "f"]


class ColumnKey(NamedTuple):
    """A column by its names, exactly as the catalogue has them."""

    schema: str
    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}.{self.column}"


class Column(Struct, frozen=True, kw_only=True):
    """One column. Of a partitioned table's, what holds in any of its partitions holds."""

    name: str
    type: str
    """The type as PostgreSQL writes and quotes it where only pg_catalog is on the path.

    Of a domain, and of an array of one, that is the type which it is made of in the end.
    """
    base: str
    """The name in pg_type of what a domain is made of in the end; of an array, of its elements'."""
    trusted: bool = True
    """Whether that type is PostgreSQL's own, or a base type, which only superusers create: nobody else makes casts."""
    array: bool = False
    labels: list[str] | None = None
    """The labels of an enum."""
    length: int | None = None
    """The characters that fit into varchar(n) and char(n)."""
    precision: int | None = None
    scale: int | None = None
    deterministic: bool = True
    """Whether its collation takes only equal bytes for equal."""
    not_null: bool = False
    unique: bool = False
    """Whether it belongs to a unique index."""
    excluded: bool = False
    """Whether it belongs to an exclusion constraint."""
    generated: bool = False
    identity_always: bool = False
    partition_strategies: str = ""
    """How tables are partitioned by it: `r` by range, `l` by list, `h` by hash."""


class Relation(Struct, frozen=True, kw_only=True):
    """One table or view."""

    oid: int
    schema: str
    name: str
    kind: RelationKind
    owner: str
    root: int
    """The topmost partitioned table that it is a part of, or itself."""
    parents: list[int] = field(default_factory=list)
    """The tables that it inherits from otherwise."""
    of_extension: bool = False
    pages: int = 0
    columns: list[Column] = field(default_factory=list)

    @property
    def is_partition(self) -> bool:
        """Return whether the relation is a part of a partitioned table."""
        return self.root != self.oid


class ForeignKey(Struct, frozen=True, kw_only=True):
    """Columns of one table, each of which refers to one of another."""

    name: str
    table: int
    columns: list[str]
    referenced: int
    referenced_columns: list[str]


class Catalogue(Struct, frozen=True, kw_only=True):
    """The tables of one database."""

    database: str
    relations: list[Relation] = field(default_factory=list)
    foreign_keys: list[ForeignKey] = field(default_factory=list)
    foreign_servers: list[str] = field(default_factory=list)
    large_objects: bool = False
