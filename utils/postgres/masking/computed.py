"""What PostgreSQL computes of the rows at work for indexes and statistics, remembered before these are dropped."""

from __future__ import annotations

from typing import NamedTuple

from psycopg2 import sql

from utils.postgres.masking.at_work import asked
from utils.postgres.masking.sessions import Place
from utils.postgres.session import Session

# What is computed of the rows at work for indexes that are dropped and for statistics: expressions, where a condition
# is true. PostgreSQL writes several expressions with commas between them, as num_nulls() takes them.
_COMPUTED = sql.SQL("""
    SELECT p.top, format('index %s of %s', i.indexrelid::regclass, i.indrelid::regclass),
           pg_get_expr(i.indexprs, i.indrelid), pg_get_expr(i.indpred, i.indrelid)
      FROM parts p JOIN pg_index i ON i.indrelid = p.rel JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
     WHERE p.rel IN (SELECT rel FROM masked) AND i.indisvalid AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)
""")
# Of expressions since 14 (PostgreSQL's documentation, CREATE STATISTICS).
_EXPRESSIONS_SINCE = 140000
_COMPUTED_STATISTICS = sql.SQL("""
    UNION ALL
    SELECT p.top, format('statistics %I.%I', n.nspname, s.stxname), pg_get_expr(s.stxexprs, s.stxrelid), NULL
      FROM parts p JOIN pg_statistic_ext s ON s.stxrelid = p.rel JOIN pg_namespace n ON n.oid = s.stxnamespace
     WHERE p.rel IN (SELECT rel FROM masked) AND s.stxexprs IS NOT NULL
""")


class Computed(NamedTuple):
    """The expressions that PostgreSQL computes of a table's rows for an index or statistics."""

    rel: int
    name: str
    expressions: str | None
    condition: str | None


def computed(opened: Session, place: Place) -> list[Computed]:
    """Return what was computed of the tables at work before it was dropped."""
    found = opened.rows(sql.SQL("SELECT rel, name, expressions, condition FROM {}").format(place.state("computed")))
    return [Computed(*row) for row in found]


def remember_computed(opened: Session, place: Place) -> None:
    """Record what is computed of the tables at work, before it is dropped."""
    of_statistics = _COMPUTED_STATISTICS if opened.version >= _EXPRESSIONS_SINCE else sql.SQL("")
    question = _COMPUTED + of_statistics
    opened.run(sql.SQL("INSERT INTO {} {}").format(place.state("computed"), asked(question, place)))
