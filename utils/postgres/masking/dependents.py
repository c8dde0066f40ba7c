"""What hangs on the tables at work and is taken away until they are masked, each with the statement that restores it.

Foreign keys, indexes and constraints on masked columns, and other indexes whose upkeep costs more than creating them
again; CHECKs that older rows need not fulfil; triggers and rules, which would copy rows or change further ones;
extended statistics, indexes of expressions, whose statistics are their own, and columns that ANALYZE passes over, which
would keep the values that they had. Both statements are PostgreSQL's own writing, with every name qualified and quoted.
"""

from __future__ import annotations

from typing import NamedTuple

from psycopg2 import sql

from utils.errors import StepFailed
from utils.foreign_text import listed, one_line
from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.catalog import AWS_ROLES
from utils.postgres.event_triggers import refuse_dangerous_triggers
from utils.postgres.masking.at_work import TREES, asked
from utils.postgres.masking.computed import remember_computed
from utils.postgres.masking.kept_keys import refuse_keys_that_stay
from utils.postgres.masking.lending import owners_of
from utils.postgres.masking.replication import disable_subscriptions, drop_publications
from utils.postgres.masking.sessions import Place, lock
from utils.postgres.masking.state import BARED, is_past, pass_stage, record, seal
from utils.postgres.session import Session

# Whether an index or statistics depend on a type whose values, written as constants, run the CHECK of a domain when
# they are read: an array's, a composite type's or a range's (PostgreSQL's source, domain_in), while the statement is
# parsed, so before its rights are reduced to those of the table's owner (transformIndexStmt, transformStatsStmt).
_READS_CONSTANTS = sql.SQL("""
    EXISTS (SELECT FROM pg_depend d JOIN pg_type y ON y.oid = d.refobjid
              LEFT JOIN pg_type e ON e.oid = y.typelem AND y.typcategory = 'A'
             WHERE d.classid = {catalogue}::regclass AND d.objid = {object} AND d.refclassid = 'pg_type'::regclass
               AND coalesce(e.typtype, y.typtype) IN ('d', 'c', 'r', 'm'))
""")
# The turns in which things are restored: indexes, then what joins those of partitions, what they carry and CHECKs,
# foreign keys and comments; in the end, when the policy's statements have run, what fires, and what ANALYZE is to pass
# over.
INDEXES, ATTACHED, CARRIED, FOREIGN_KEYS, COMMENTED, IN_THE_END, AFTER_THE_GATE = range(7)

# Of a partitioned table's only the topmost: its partitions' go and come with it.
_FOREIGN_KEYS = sql.SQL("""
    , keys AS (
        SELECT c.oid, c.conrelid::regclass::text AS rel, ARRAY[c.conrelid, c.confrelid] AS rels,
               quote_ident(c.conname) AS name,
               obj_description(c.oid, 'pg_constraint') AS said
          FROM pg_constraint c
         WHERE c.contype = 'f' AND c.conparentid = 0
           AND (c.conrelid IN (SELECT rel FROM above_emptied) OR c.confrelid IN (SELECT rel FROM above_emptied)
                OR EXISTS (SELECT FROM above WHERE rel = c.conrelid AND attnum = ANY(c.conkey))
                OR EXISTS (SELECT FROM above WHERE rel = c.confrelid AND attnum = ANY(c.confkey)))
    )
    SELECT 3, rels, true,
           format('ALTER TABLE %s DROP CONSTRAINT %s', rel, name),
           format('ALTER TABLE %s ADD CONSTRAINT %s %s', rel, name, pg_get_constraintdef(oid)) FROM keys
    UNION ALL
    SELECT 4, rels, false, NULL, format('COMMENT ON CONSTRAINT %s ON %s IS %L', name, rel, said)
      FROM keys WHERE said IS NOT NULL
""")
# Those on other columns because each row that is updated costs them an entry, which is more than creating them again
# costs. So not the unique ones, on which foreign keys and views lean, and with which a CHECK looks up rows; nor those
# that no definition describes completely, or that are partly invalid. An index of an expression has statistics, which
# stay where no row that ANALYZE finds is in the index (PostgreSQL's source, compute_index_stats), and go with it.
_INDEXES = sql.SQL("""
    , staying(top) AS (
        SELECT coalesce(pg_partition_root(c.oid)::oid, c.oid) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         WHERE i.indisunique OR i.indisexclusion OR NOT i.indisvalid OR c.reltablespace <> 0
            OR EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('e', 'x'))
    ), touched(oid) AS (
        SELECT i.indexrelid FROM pg_index i
         WHERE EXISTS (SELECT FROM masked m WHERE m.rel = i.indrelid)
           AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
                OR EXISTS (SELECT FROM masked m WHERE m.rel = i.indrelid AND m.attnum = ANY(i.indkey::int2[]))
                OR coalesce(pg_partition_root(i.indexrelid)::oid, i.indexrelid) NOT IN (SELECT top FROM staying))
        UNION SELECT i.indexrelid FROM pg_index i JOIN renewed r ON r.rel = i.indrelid WHERE i.indexprs IS NOT NULL
    ), {trees}, indexes AS (
        SELECT t.oid, {reads_constants} AS by_masker, t.oid = t.top AS is_top, t.oid::regclass::text AS index,
               quote_ident(c.relname) AS bare,
               ARRAY[i.indrelid] AS rels,
               i.indrelid::regclass::text AS rel,
               k.oid AS con, quote_ident(k.conname) AS conname, c.relkind = 'I' AS parted, i.indisvalid,
               i.indisclustered, i.indisreplident, c.reloptions, h.inhparent::regclass::text AS parent
          FROM trees t JOIN pg_index i ON i.indexrelid = t.oid JOIN pg_class c ON c.oid = t.oid
          LEFT JOIN pg_constraint k ON k.conindid = t.oid AND k.contype IN ('p', 'u', 'x')
          LEFT JOIN pg_inherits h ON h.inhrelid = t.oid
         WHERE t.top NOT IN (SELECT top FROM leaning)
    )
    SELECT 0, rels, by_masker,
                          CASE WHEN NOT is_top THEN NULL
                          WHEN con IS NULL THEN format('DROP INDEX %s', index)
                          ELSE format('ALTER TABLE %s DROP CONSTRAINT %s', rel, conname) END,
           CASE WHEN con IS NULL THEN pg_get_indexdef(oid)
                ELSE format('ALTER TABLE %s %s ADD CONSTRAINT %s %s', CASE WHEN parted THEN 'ONLY' ELSE '' END, rel,
                            conname, pg_get_constraintdef(con)) END
      FROM indexes WHERE indisvalid OR parted
    UNION ALL
    SELECT 0, rels, false, format('DROP INDEX %s', index), NULL
      FROM indexes WHERE NOT indisvalid AND NOT parted AND is_top
    UNION ALL
    SELECT 1, rels, false, NULL, format('ALTER INDEX %s ATTACH PARTITION %s', parent, index)
      FROM indexes WHERE parent IS NOT NULL
    UNION ALL
    SELECT 2, rels, false, NULL, format('COMMENT ON INDEX %s IS %L', index, obj_description(oid, 'pg_class'))
      FROM indexes WHERE obj_description(oid, 'pg_class') IS NOT NULL
    UNION ALL
    SELECT 2, rels, false, NULL, format('COMMENT ON CONSTRAINT %s ON %s IS %L', conname, rel,
                                  obj_description(con, 'pg_constraint'))
      FROM indexes WHERE obj_description(con, 'pg_constraint') IS NOT NULL
    UNION ALL
    SELECT 2, rels, false, NULL, format('ALTER INDEX %s SET (%s)', index, array_to_string(reloptions, ', '))
      FROM indexes WHERE con IS NOT NULL AND reloptions IS NOT NULL
    UNION ALL
    SELECT 2, rels, false, NULL, format('ALTER TABLE %s CLUSTER ON %s', rel, bare)
      FROM indexes WHERE indisclustered
    UNION ALL
    SELECT 2, rels, false, NULL, format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %s', rel, bare)
      FROM indexes WHERE indisreplident
    UNION ALL
    SELECT 2, rels, false, NULL,
           format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', index, a.attnum, a.attstattarget)
      FROM indexes JOIN pg_attribute a ON a.attrelid = indexes.oid AND a.attstattarget >= 0 AND NOT parted
""").format(
    trees=TREES,
    reads_constants=_READS_CONSTANTS.format(catalogue=sql.Literal("pg_class"), object=sql.SQL("t.oid")),
)
# CHECKs that are not valid may be false for older rows, and PostgreSQL holds every row to them that is updated
# (PostgreSQL's documentation, ALTER TABLE, "NOT VALID"). Added again in the same words, they read no row. They are
# dropped and added where they are a table's own, parents first: PostgreSQL merges what a child has of its own with
# what comes from its parents, in either order (PostgreSQL's source, MergeWithExistingConstraint). One that had been
# validated in a child alone is validated there again.
_CHECKS = sql.SQL("""
    , upward(oid) AS (
        SELECT oid FROM pg_constraint
         WHERE contype = 'c' AND NOT convalidated AND conrelid IN (SELECT rel FROM masked)
        UNION SELECT p.oid FROM upward u JOIN pg_constraint c ON c.oid = u.oid AND c.coninhcount > 0
                JOIN pg_inherits i ON i.inhrelid = c.conrelid
                JOIN pg_constraint p ON p.conrelid = i.inhparent AND p.conname = c.conname AND p.contype = 'c'
                 AND NOT p.connoinherit
    ), family(oid, root, depth) AS (
        SELECT c.oid, c.oid, 0 FROM upward u JOIN pg_constraint c ON c.oid = u.oid AND c.coninhcount = 0
        UNION SELECT k.oid, f.root, f.depth + 1 FROM family f
                JOIN pg_constraint c ON c.oid = f.oid AND NOT c.connoinherit
                JOIN pg_inherits i ON i.inhparent = c.conrelid
                JOIN pg_constraint k ON k.conrelid = i.inhrelid AND k.conname = c.conname AND k.contype = 'c'
                 AND k.coninhcount > 0
    ), checks AS (
        SELECT c.oid, c.conislocal, c.convalidated, c.conrelid::regclass::text AS rel, quote_ident(c.conname) AS name,
               {reads_constants} AS by_masker, obj_description(c.oid, 'pg_constraint') AS said,
               ARRAY(SELECT DISTINCT k.conrelid FROM family a JOIN family b ON b.root = a.root
                       JOIN pg_constraint k ON k.oid = b.oid WHERE a.oid = c.oid) AS rels
          FROM (SELECT oid, max(depth) AS depth FROM family GROUP BY oid) f JOIN pg_constraint c ON c.oid = f.oid
         ORDER BY f.depth, c.oid
    )
    SELECT CASE WHEN by_masker THEN 3 ELSE 2 END, rels, by_masker,
           format('ALTER TABLE %s DROP CONSTRAINT %s', rel, name),
           format('ALTER TABLE %s ADD CONSTRAINT %s %s', rel, name, pg_get_constraintdef(oid))
      FROM checks WHERE conislocal AND NOT convalidated
    UNION ALL
    SELECT 3, rels, true, NULL, format('ALTER TABLE %s VALIDATE CONSTRAINT %s', rel, name)
      FROM checks WHERE convalidated AND NOT conislocal
    UNION ALL
    SELECT 4, rels, false, NULL, format('COMMENT ON CONSTRAINT %s ON %s IS %L', name, rel, said)
      FROM checks WHERE said IS NOT NULL
""").format(reads_constants=_READS_CONSTANTS.format(catalogue=sql.Literal("pg_constraint"), object=sql.SQL("c.oid")))
# With statements of the policy's own, all tables': these are none of the application's writes.
_TRIGGERS = sql.SQL("""
    , firing(rel) AS (
        SELECT rel FROM parts
        UNION SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE EXISTS (SELECT FROM own) AND c.relkind IN ('r', 'p', 'v') AND n.nspname !~ '^pg_'
           AND n.nspname <> 'information_schema'
           AND NOT EXISTS (SELECT FROM pg_depend d
                            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    )
    SELECT 5, ARRAY[t.tgrelid], false,
           format('ALTER TABLE ONLY %s DISABLE TRIGGER %I', t.tgrelid::regclass, t.tgname),
           format('ALTER TABLE ONLY %s ENABLE %s TRIGGER %I', t.tgrelid::regclass,
                  CASE t.tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, t.tgname),
           format('EXISTS (SELECT FROM pg_trigger WHERE oid = %s)', t.oid)
      FROM pg_trigger t WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgrelid IN (SELECT rel FROM firing)
    UNION ALL
    SELECT 5, ARRAY[r.ev_class], false,
           format('ALTER TABLE %s DISABLE RULE %I', r.ev_class::regclass, r.rulename),
           format('ALTER TABLE %s ENABLE %s RULE %I', r.ev_class::regclass,
                  CASE r.ev_enabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, r.rulename),
           format('EXISTS (SELECT FROM pg_rewrite WHERE oid = %s)', r.oid)
      FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('r', 'p')
     WHERE r.ev_enabled <> 'D' AND r.ev_class IN (SELECT rel FROM firing)
""")
# Only sessions of the master user's silence them, and those of the masking role create tables, too. A superuser's own
# function is none of the data's code.
_EVENT_TRIGGERS = sql.SQL("""
    SELECT 6, ARRAY[]::oid[], false, format('ALTER EVENT TRIGGER %I DISABLE', evtname),
           format('ALTER EVENT TRIGGER %I ENABLE %s', evtname,
                  CASE evtenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END),
           format('EXISTS (SELECT FROM pg_event_trigger WHERE oid = %s)', e.oid)
      FROM pg_event_trigger e JOIN pg_roles o ON o.oid = e.evtowner WHERE evtenabled <> 'D' AND NOT o.rolsuper
""")
_EVENT_TRIGGERS_OF_SUPERUSERS = sql.SQL("""
    SELECT evtname, f.rolname FROM pg_event_trigger e JOIN pg_roles o ON o.oid = e.evtowner AND o.rolsuper
      JOIN pg_proc p ON p.oid = e.evtfoid JOIN pg_roles f ON f.oid = p.proowner
     WHERE evtenabled <> 'D' AND NOT f.rolsuper AND f.rolname <> current_user AND f.rolname <> ALL(%s)
     ORDER BY evtname
""")
# Dropped with what they show: of a table without rows, ANALYZE replaces nothing, and of a single row they keep it.
_STATISTICS = sql.SQL("""
    , named AS (
        SELECT s.oid, s.stxrelid, format('%I.%I', n.nspname, s.stxname) AS name, n.nspname AS schema,
               pg_get_userbyid(s.stxowner) AS owner, {reads_constants} AS by_masker,
               s.stxstattarget AS target, obj_description(s.oid, 'pg_statistic_ext') AS said
          FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
         WHERE s.stxrelid IN (SELECT rel FROM analyzed)
    )
    SELECT CASE WHEN by_masker THEN 0 ELSE 2 END, ARRAY[stxrelid],
           by_masker,
           format('DROP STATISTICS %s', name), pg_get_statisticsobjdef(oid) FROM named
    UNION ALL
    SELECT 2, ARRAY[stxrelid], false, NULL, format('ALTER STATISTICS %s SET STATISTICS %s', name, target)
      FROM named WHERE target >= 0
    UNION ALL
    SELECT 2, ARRAY[stxrelid], false, NULL, format('COMMENT ON STATISTICS %s IS %L', name, said)
      FROM named WHERE said IS NOT NULL
    UNION ALL
    SELECT 2, ARRAY[stxrelid], false, NULL,
           format(CASE WHEN has_schema_privilege(owner, schema, 'CREATE') THEN 'ALTER STATISTICS %1$s OWNER TO %3$I'
                       ELSE 'GRANT CREATE ON SCHEMA %2$I TO %3$I; ALTER STATISTICS %1$s OWNER TO %3$I;'
                            || ' REVOKE CREATE ON SCHEMA %2$I FROM %3$I' END, name, schema, owner)
      FROM named WHERE owner <> current_user OR by_masker
""").format(reads_constants=_READS_CONSTANTS.format(catalogue=sql.Literal("pg_statistic_ext"), object=sql.SQL("s.oid")))
# What ANALYZE passes over would keep the statistics that it had.
_UNANALYZED = sql.SQL("""
    SELECT 5, ARRAY[a.attrelid], false,
           format('ALTER TABLE ONLY %s ALTER COLUMN %I SET STATISTICS -1', a.attrelid::regclass, a.attname),
           format('ALTER TABLE ONLY %s ALTER COLUMN %I SET STATISTICS 0', a.attrelid::regclass, a.attname),
           format('EXISTS (SELECT FROM pg_attribute WHERE attrelid = %s AND attnum = %s AND NOT attisdropped)',
                  a.attrelid, a.attnum)
      FROM pg_attribute a
     WHERE a.attrelid IN (SELECT rel FROM analyzed)
       AND a.attstattarget = 0 AND a.attnum > 0 AND NOT a.attisdropped
""")


# What a statement restores: names as PostgreSQL writes them, quoted where they have to be.
_QUESTIONS = (_FOREIGN_KEYS, _INDEXES, _CHECKS, _TRIGGERS, _EVENT_TRIGGERS, _STATISTICS, _UNANALYZED)


class _Dependent(NamedTuple):
    turn: int
    """When it is restored: INDEXES first, AFTER_THE_GATE last."""
    rels: list[int]
    """The tables that it belongs to."""
    by_masker: bool
    """Whether the masking role restores it, and not the master user: something of the data's runs meanwhile."""
    drop: str | None
    restore: str | None
    still: str = "true"
    """Whether it is still there to be restored: the policy's statements may drop it."""


def take_dependents_away(place: Place) -> None:
    """Drop or disable what hangs on the tables at work, and record how to restore it, all in one transaction.

    What replicates the data ends in it as well, and is not restored.
    """
    with place.as_master() as opened:
        lock(opened, place)
        if is_past(opened, place, BARED):
            return
        refuse_dangerous_triggers(opened)
        _refuse_event_triggers_that_stay(opened, place)
        refuse_keys_that_stay(opened, place)
        remember_computed(opened, place)
        found = [_Dependent(*row) for question in _QUESTIONS for row in opened.rows(asked(question, place))]
        replication = [*drop_publications(opened), *disable_subscriptions(opened)]
        # Statistics stay with their owner when their table gets another one.
        opened.run(
            sql.SQL(
                "INSERT INTO {} SELECT DISTINCT pg_get_userbyid(stxowner) FROM pg_statistic_ext"
                " WHERE stxrelid = ANY({}::oid[])"
            ).format(place.state("statistics_owner"), sql.Literal([rel for each in found for rel in each.rels]))
        )
        owners = owners_of(opened, place, {rel for each in found for rel in each.rels})
        owners |= statistics_owners(opened, place) | event_trigger_owners(opened)
        with borrowed_owners(opened, owners) as unreachable:
            if unreachable:
                raise StepFailed(
                    f"Masking has not begun in database {one_line(place.database)!r}: the master user cannot act for "
                    f"{listed(sorted(unreachable))}, who own tables to mask, or what refers to them. GRANT those roles "
                    "to the master user in the source (WITH ADMIN OPTION since PostgreSQL 16), then start a new "
                    "operation."
                )
            for each in found:
                if each.drop is not None:
                    opened.run(sql.SQL(each.drop))
        for each in found:
            if each.restore is not None:
                opened.run(
                    sql.SQL(
                        "INSERT INTO {} (turn, rels, by_masker, statement, still, seal)"
                        " VALUES (%s, %s::oid[], %s, %s, %s, %s)"
                    ).format(place.state("undo")),
                    (
                        *(each.turn, each.rels, each.by_masker, each.restore, each.still),
                        seal(place, "undo", each.turn, each.by_masker, each.restore, each.still),
                    ),
                )
            else:
                record(opened, place, [f"not restored, as it was not valid: {one_line(each.drop)}"])
        record(opened, place, replication)
        pass_stage(opened, place, BARED)


def _refuse_event_triggers_that_stay(opened: Session, place: Place) -> None:
    """Raise StepFailed where one runs code of the data in every session, and only a superuser could disable it."""
    staying = opened.rows(_EVENT_TRIGGERS_OF_SUPERUSERS, (list(AWS_ROLES),))
    if staying:
        told = listed(f"{one_line(name)!r} runs a function of {one_line(owner)!r}" for name, owner in staying)
        raise StepFailed(
            f"Masking has not begun in database {one_line(place.database)!r}: event trigger {told}, also where masked "
            "values are computed, and the master user cannot disable it. Disable it in the source, then start a new "
            "operation."
        )


def event_trigger_owners(opened: Session) -> set[str]:
    """Return the owners of event triggers that are no superusers."""
    found = opened.rows(
        sql.SQL("SELECT rolname::text FROM pg_event_trigger e JOIN pg_roles o ON o.oid = e.evtowner AND NOT o.rolsuper")
    )
    return {name for (name,) in found}


def statistics_owners(opened: Session, place: Place) -> set[str]:
    """Return the owners that statistics of the tables at work had before those were dropped."""
    found = opened.rows(sql.SQL("SELECT name FROM {}").format(place.state("statistics_owner")))
    return {name for (name,) in found}
