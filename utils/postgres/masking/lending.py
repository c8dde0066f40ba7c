"""Tables and views belong to the masking role while it works on them, and to their owners before and after.

What PostgreSQL runs for a table (CHECKs, generated columns, expressions of indexes and statistics), it runs as the
role that updates the table or owns it. With the owner's rights that would be the rights of the master user, to which
most tables belong, or of an administrator; a membership in the owner would be no less. Owning the tables is all that
the masking role needs, and all that the data's code gets from it: those of one owner at a time, so that this code
reaches nothing that its table's owner does not own anyway. The old owners keep their privileges meanwhile, so that
what runs as them, such as a view, still works. FORCE ROW LEVEL SECURITY is lifted for the time: under it the owner of
a table sees, and updates, only what its policies show, without an error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from psycopg2 import sql

from utils.errors import StepFailed
from utils.foreign_text import listed, one_line
from utils.postgres.borrowed_owners import borrowed_owners
from utils.postgres.event_triggers import refuse_dangerous_triggers
from utils.postgres.masking.attached import refuse_what_was_added
from utils.postgres.masking.sessions import Place
from utils.postgres.session import Session
from utils.postgres.slice_clock import SliceClock

# Each lock takes a place in a table of the server's, so a transaction takes at most so many tables.
BATCH = 100

_TO_LEND = sql.SQL("""
    SELECT c.oid, n.nspname, c.relname, pg_get_userbyid(c.relowner), pg_get_userbyid(n.nspowner),
           CASE WHEN c.relacl IS NULL THEN ARRAY['ALL']
                ELSE ARRAY(SELECT a.privilege_type FROM aclexplode(c.relacl) a WHERE a.grantee = c.relowner) END,
           c.relforcerowsecurity, c.relkind IN ('m', 'p') OR EXISTS (SELECT FROM {work} w WHERE w.rel = c.oid)
           OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND n.nspname <> {schema} AND pg_get_userbyid(c.relowner) <> {masker}
       AND ({everyone} OR pg_get_userbyid(c.relowner) = ANY({owners}))
       AND (EXISTS (SELECT FROM {work} w WHERE w.rel = c.oid)
            OR NOT EXISTS (SELECT FROM pg_depend d
                            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
     ORDER BY c.oid
""")
_TO_RETURN = sql.SQL("""
    SELECT c.oid, n.nspname, c.relname, l.owner, pg_get_userbyid(n.nspowner), ARRAY[]::text[], l.forced, true
      FROM {lent} l JOIN pg_class c ON c.oid = l.rel JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE NOT ({everyone} OR l.owner = ANY({owners})) ORDER BY c.oid
""")


class _Relation(NamedTuple):
    oid: int
    schema: str
    name: str
    owner: str
    schema_owner: str
    privileges: list[str]
    forced: bool
    """Whether its policies hide rows from its owner as well."""
    needed: bool
    """Whether it holds what is to be masked, or statistics of that."""

    @property
    def named(self) -> sql.Identifier:
        return sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return f"{one_line(self.schema)}.{one_line(self.name)} of {one_line(self.owner)!r}"


def lend_only(place: Place, clock: SliceClock, owners: Collection[str] | None) -> None:
    """Make the masking role the owner of what belongs to these owners, or to anybody (None), and of nothing else.

    Raises StepFailed for what holds rows to mask and cannot be lent.
    """
    scope = {"everyone": sql.Literal(owners is None), "owners": _array(owners or ())}
    with place.as_master() as opened:
        back = opened.rows(_TO_RETURN.format(lent=place.state("lent"), **scope))
        lend = opened.rows(
            _TO_LEND.format(
                schema=sql.Literal(place.schema),
                masker=sql.Literal(place.masker.name),
                work=place.state("work"),
                **scope,
            )
        )
    _batch_by_batch(place, clock, [_Relation(*row) for row in back], _return)
    with place.as_master() as opened:
        close_schemas(opened, place.masker.name, but={place.schema, *_schemas_in_use(opened, place)})
    _batch_by_batch(place, clock, [_Relation(*row) for row in lend], _lend)


def owners_of(opened: Session, place: Place, rels: Collection[int]) -> set[str]:
    """Return who owns these tables and all of their partitions, when none of them is lent."""
    found = opened.rows(
        sql.SQL(
            "WITH RECURSIVE parts(rel) AS (SELECT unnest({}::oid[])"
            " UNION SELECT inhrelid FROM parts JOIN pg_inherits ON inhparent = parts.rel)"
            " SELECT DISTINCT coalesce(l.owner, pg_get_userbyid(c.relowner)::text)"
            " FROM parts JOIN pg_class c ON c.oid = parts.rel LEFT JOIN {} l ON l.rel = c.oid"
        ).format(sql.Literal(sorted(rels)), place.state("lent"))
    )
    return {owner for (owner,) in found}


def _schemas_in_use(opened: Session, place: Place) -> set[str]:
    found = opened.rows(
        sql.SQL(
            "SELECT n.nspname FROM {lent} l JOIN pg_class c ON c.oid = l.rel"
            " JOIN pg_namespace n ON n.oid = c.relnamespace"
            " UNION SELECT n.nspname FROM {lent} l JOIN {called} d ON d.rel = l.rel JOIN pg_proc p ON p.oid = d.routine"
            " JOIN pg_namespace n ON n.oid = p.pronamespace"
        ).format(lent=place.state("lent"), called=place.state("called"))
    )
    return {schema for (schema,) in found}


def return_relations(place: Place, clock: SliceClock) -> None:
    """Give everything back to its owner."""
    lend_only(place, clock, ())


def _batch_by_batch(
    place: Place, clock: SliceClock, found: list[_Relation], work: Callable[[Session, Place, Sequence[_Relation]], None]
) -> None:
    for start in range(0, len(found), BATCH):
        clock.remaining()
        with place.as_master() as opened:
            refuse_dangerous_triggers(opened)
            work(opened, place, found[start : start + BATCH])


def _lend(opened: Session, place: Place, tables: Sequence[_Relation]) -> None:
    masker = place.masker.name
    with borrowed_owners(opened, _owners(opened, tables) | {masker}) as unreachable:
        lendable = [table for table in tables if table.owner not in unreachable]
        closed = {
            schema
            for schema in sorted({table.schema for table in lendable})
            if not opened.try_run(_on_schema("GRANT USAGE, CREATE ON SCHEMA {} TO {}", schema, masker))
            or not _may_create(opened, masker, schema)
        }
        lendable = [table for table in lendable if table.schema not in closed]
        _open_routines(opened, place, lendable)
        for table in lendable:
            opened.run(sql.SQL("ALTER TABLE {} OWNER TO {}").format(table.named, sql.Identifier(masker)))
            if table.forced:
                opened.run(sql.SQL("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY").format(table.named))
            if table.privileges:
                opened.run(
                    sql.SQL("GRANT {} ON TABLE {} TO {}").format(
                        sql.SQL(", ").join(map(sql.SQL, table.privileges)), table.named, sql.Identifier(table.owner)
                    )
                )
            opened.run(
                sql.SQL("INSERT INTO {} VALUES (%s, %s, %s)").format(place.state("lent")),
                (table.oid, table.owner, table.forced),
            )
    left = [str(table) for table in tables if table not in lendable and table.needed]
    if left:
        raise StepFailed(
            f"Database {one_line(place.database)!r} cannot be masked: the master user cannot act for the owners of "
            f"{listed(left)}, or of their schemas. GRANT those roles to the master user in the source (WITH ADMIN "
            "OPTION since PostgreSQL 16), then start a new operation."
        )


def _open_routines(opened: Session, place: Place, tables: Sequence[_Relation]) -> None:
    """Let the masking role call what the owners of these tables call when they update them, as far as that is possible.

    A routine may name others of its schema. One that runs with its owner's rights, and is closed, stays closed.
    """
    routines = opened.rows(
        sql.SQL(
            "SELECT DISTINCT p.oid::regprocedure::text, n.nspname, pg_get_userbyid(p.proowner),"
            " pg_get_userbyid(n.nspowner), NOT p.prosecdef AND NOT has_function_privilege({role}, p.oid, 'EXECUTE')"
            " FROM {called} c JOIN pg_proc p ON p.oid = c.routine JOIN pg_namespace n ON n.oid = p.pronamespace"
            " WHERE c.rel = ANY({rels}::oid[]) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
        ).format(
            role=sql.Literal(place.masker.name),
            called=place.state("called"),
            rels=sql.Literal([table.oid for table in tables]),
        )
    )
    role = sql.Identifier(place.masker.name)
    owners = {owner for *_, owner, schema_owner, _ in routines for owner in (owner, schema_owner)}
    with borrowed_owners(opened, _joinable(opened, owners)):
        for schema in sorted({schema for _, schema, *_ in routines}):
            opened.try_run(_on_schema("GRANT USAGE ON SCHEMA {} TO {}", schema, place.masker.name))
        for signature, *_, closed in routines:
            if closed:
                opened.try_run(sql.SQL("GRANT EXECUTE ON ROUTINE {} TO {}").format(sql.SQL(signature), role))


def close_schemas(opened: Session, role: str, but: Collection[str] = ()) -> None:
    """Take back what the masking role was granted on schemas and routines, but for these schemas.

    Only their owners can, so DROP OWNED would not.
    """
    granted = opened.rows(
        sql.SQL(
            "SELECT nspname, pg_get_userbyid(nspowner) FROM pg_namespace n, aclexplode(nspacl) a"
            " WHERE a.grantee = (SELECT oid FROM pg_roles WHERE rolname = %s) AND nspname <> ALL(%s) GROUP BY 1, 2"
        ),
        (role, list(but)),
    )
    routines = opened.rows(
        sql.SQL(
            "SELECT p.oid::regprocedure::text, pg_get_userbyid(proowner) FROM pg_proc p, aclexplode(proacl) a"
            " WHERE a.grantee = (SELECT oid FROM pg_roles WHERE rolname = %s) AND p.proowner <> a.grantee"
            " AND pronamespace <> ALL(SELECT oid FROM pg_namespace WHERE nspname = ANY(%s))"
        ),
        (role, list(but)),
    )
    owners = {owner for _, owner in [*granted, *routines]}
    with borrowed_owners(opened, _joinable(opened, owners)):
        for schema, _ in granted:
            opened.run(_on_schema("REVOKE ALL ON SCHEMA {} FROM {}", schema, role))
        for signature, _ in routines:
            opened.run(sql.SQL("REVOKE ALL ON ROUTINE {} FROM {}").format(sql.SQL(signature), sql.Identifier(role)))


def _return(opened: Session, place: Place, tables: Sequence[_Relation]) -> None:
    refuse_what_was_added(opened, place, [table.oid for table in tables])
    with borrowed_owners(opened, _owners(opened, tables) | {place.masker.name}):
        opened_for: list[tuple[str, str]] = []
        for owner, schema in sorted({(table.owner, table.schema) for table in tables}):
            # Who owns a table need not be able to create one; who receives it must.
            if not _may_create(opened, owner, schema):
                opened.run(_on_schema("GRANT CREATE ON SCHEMA {} TO {}", schema, owner))
                opened_for.append((owner, schema))
        for table in tables:
            if table.forced:
                opened.run(sql.SQL("ALTER TABLE {} FORCE ROW LEVEL SECURITY").format(table.named))
            opened.run(sql.SQL("ALTER TABLE {} OWNER TO {}").format(table.named, sql.Identifier(table.owner)))
            opened.run(sql.SQL("DELETE FROM {} WHERE rel = %s").format(place.state("lent")), (table.oid,))
        for owner, schema in opened_for:
            opened.run(_on_schema("REVOKE CREATE ON SCHEMA {} FROM {}", schema, owner))


def _array(names: Collection[str]) -> sql.Composed:
    return sql.SQL("{}::text[]").format(sql.Literal(sorted(names)))


def _owners(opened: Session, tables: Sequence[_Relation]) -> set[str]:
    return _joinable(opened, {owner for table in tables for owner in (table.owner, table.schema_owner)})


def _joinable(opened: Session, owners: set[str]) -> set[str]:
    return (owners | database_owner(opened)) - {"pg_database_owner"}


def database_owner(opened: Session) -> set[str]:
    """Return who owns the database: pgdatabase_owner has that role as its member, and nobody can join it."""
    found = opened.rows(sql.SQL("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"))
    return {owner for (owner,) in found}


def _may_create(opened: Session, role: str, schema: str) -> bool:
    return bool(opened.rows(sql.SQL("SELECT 1 WHERE has_schema_privilege(%s, %s, 'CREATE')"), (role, schema)))


def _on_schema(form: str, schema: str, role: str) -> sql.Composed:
    return sql.SQL(form).format(sql.Identifier(schema), sql.Identifier(role))
