"""Keys that cannot be dropped while their tables are masked, as views or functions lean on them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from psycopg2 import sql

from utils.errors import StepFailed
from utils.foreign_text import listed, one_line
from utils.postgres.masking.at_work import TREES, asked
from utils.postgres.masking.sessions import Place
from utils.postgres.session import Session

# Masked columns of such keys, with whether a masked value has a form by which it differs from an original one.
_LEANED_ON = sql.SQL("""
    , touched(oid) AS (
        SELECT DISTINCT i.indexrelid FROM pg_index i JOIN masked m ON m.rel = i.indrelid
         WHERE i.indisunique AND m.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1])
    ), {trees}
    SELECT p.top, m.name::text, m.has_form,
           quote_literal(k.conname) || ' of ' || k.conrelid::regclass::text,
           CASE l.classid WHEN 'pg_rewrite'::regclass
                THEN pg_describe_object('pg_class'::regclass, (SELECT ev_class FROM pg_rewrite WHERE oid = l.objid), 0)
                ELSE pg_describe_object(l.classid, l.objid, 0) END
      FROM leaning l JOIN pg_constraint k ON k.oid = l.con
      JOIN trees t ON t.top = l.top JOIN pg_index i ON i.indexrelid = t.oid
      JOIN masked m ON m.rel = i.indrelid AND m.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1])
      JOIN parts p ON p.rel = m.rel
     ORDER BY 4, 5, 2, 1
""").format(trees=TREES)


class KeptKey(NamedTuple):
    """A masked column of a key that cannot be dropped, as views or functions lean on it.

    Its index is asked about each row as it is masked, while others have their original values.
    """

    rel: int
    """The table as the plan has it: a partitioned one stands for its partitions where rows move between these."""
    column: str
    has_form: bool
    """Whether masked values have a form by which they differ from original ones."""
    constraint: str
    leaning: str


def kept_keys(opened: Session, place: Place) -> list[KeptKey]:
    """Return the masked columns of keys that stay while their tables are masked."""
    return [KeptKey(*row) for row in opened.rows(asked(_LEANED_ON, place))]


def key_refusal(place: Place, why: str, keys: Collection[KeptKey]) -> StepFailed:
    """Return the refusal of keys with which masked values could meet original ones."""
    named = listed(dict.fromkeys(f"{each.leaning} leans on {each.constraint}" for each in keys))
    return StepFailed(
        f"Masking has not begun in database {one_line(place.database)!r}: {why}, and a key that stays while its rows "
        f"are masked could have one value twice. PostgreSQL keeps it as long as what leans on it: {named}. Write all "
        "columns that it selects into its GROUP BY in the source, or give the key's columns an action whose masked "
        "form no value has, then start a new operation."
    )


def refuse_keys_that_stay(opened: Session, place: Place) -> None:
    """Raise StepFailed where masked values of such a key have no form of their own."""
    keys = [each for each in kept_keys(opened, place) if not each.has_form]
    if keys:
        columns = listed(dict.fromkeys(one_line(each.column) for each in keys))
        raise key_refusal(place, f"masked values of {columns} look like original ones", keys)
