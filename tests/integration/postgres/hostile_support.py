"""Traps for whoever names something without its schema, set by an ordinary login of production's."""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg2

from tests.integration.postgres.cluster_support import Cluster

ROOT = pathlib.Path(__file__).parents[3]
ATTACKER, ATTACKER_PASSWORD = "shop_app", "shop-pass-1"
SPRUNG = "a trap was sprung"
# As the values that our SQL is given, and the catalog's columns, are typed. A call's types are seldom exactly those of
# PostgreSQL's own function: a shadow that fits better wins although pg_catalog is searched first.
CALLED_WITH = ("text", "name", "oid", '"char"', "boolean", "integer", "bigint", "jsonb", "text[]", "name[]", "oid[]")
CALLED_WITH_THREE = ("text", "name", "oid")
AT_ONCE = 400


def body(what: str, result: str = "null") -> str:
    """What a trap does: it says who runs it, in the server's log, from where no rollback takes it back."""
    return (
        f"$trap$begin raise log '{SPRUNG} by %', current_user using detail = $d${what}$d$; return {result}; end$trap$"
    )


def sprung(cluster: Cluster) -> list[str]:
    """Every trap that was sprung by somebody else than who set it."""
    lines = cluster.postgres.log.read_text(errors="replace").splitlines()
    return [line for line in lines if f"LOG:  {SPRUNG} by" in line and not line.endswith(f"by {ATTACKER}")]


def our_sql() -> Iterator[str]:
    """Every text of the modules that talk SQL: a new statement is among them by itself."""
    talking = [path for path in sorted((ROOT / "utils").rglob("*.py")) if "psycopg2" in path.read_text()]
    assert talking != [], "no module of utils talks SQL"
    for path in talking:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def named_in_our_sql(cursor: Any) -> dict[str, list[str]]:
    """The functions, operators, types and relations of pg_catalog that our SQL uses by name."""
    text = "\n".join(our_sql())
    words = sorted(set(re.findall(r"[a-z_][a-z0-9_]*", text)))
    signs = sorted(set(re.findall(r"[<>=!~|+*/@#&-]+", text)))
    questions = {
        "functions": (
            "select distinct proname::text from pg_proc where pronamespace = 11 and proname = any(%s)",
            words,
        ),
        "operators": (
            "select distinct oprname::text from pg_operator where oprnamespace = 11 and oprname = any(%s)",
            signs,
        ),
        "types": (
            "select typname::text from pg_type where typnamespace = 11 and typtype = 'b' and typname = any(%s)",
            words,
        ),
        "relations": (
            "select relname::text from pg_class where relnamespace = 11 and relkind in ('r','v') and relname = any(%s)",
            words,
        ),
    }
    found = {}
    for kind, (question, names) in questions.items():
        cursor.execute(question, (names,))
        found[kind] = sorted(name for (name,) in cursor.fetchall())
    return found


def plant(cluster: Cluster) -> dict[str, int]:
    """Shadow in public what our SQL names. Answers how many of each kind there are."""
    with closing(
        psycopg2.connect(
            host=cluster.server.host,
            port=cluster.server.port,
            dbname="orders",
            user=ATTACKER,
            password=ATTACKER_PASSWORD,
        )
    ) as connected:
        connected.autocommit = True
        with connected.cursor() as cursor:
            named = named_in_our_sql(cursor)
            _at_once(cursor, [*_functions(cursor, named["functions"]), *_operators(named["operators"])])
            _types_and_relations(cursor, named)
            cursor.execute(
                "select (select count(*) from pg_proc where pronamespace = 'public'::regnamespace),"
                " (select count(*) from pg_operator where oprnamespace = 'public'::regnamespace),"
                " (select count(*) from pg_type where typnamespace = 'public'::regnamespace and typtype = 'd'),"
                " (select count(*) from pg_class where relnamespace = 'public'::regnamespace and relkind = 'v')"
            )
            (counted,) = cursor.fetchall()
    return dict(zip(("functions", "operators", "types", "relations"), counted, strict=True))


def _functions(cursor: Any, names: list[str]) -> Iterator[str]:
    """With every signature that PostgreSQL's own have, and with those that a call of ours may fit better."""
    cursor.execute(
        "select proname::text, pg_get_function_identity_arguments(oid), format_type(prorettype, null), proretset"
        " from pg_proc where pronamespace = 11 and prokind = 'f' and proname = any(%(names)s)"
        " union select proname::text, arguments, format_type(prorettype, null), proretset from pg_proc, ("
        "  select a from unnest(%(two)s) a union all select a || ', ' || b from unnest(%(two)s) a, unnest(%(two)s) b"
        "  union all select a || ', ' || b || ', ' || c"
        "  from unnest(%(three)s) a, unnest(%(three)s) b, unnest(%(three)s) c"
        " ) signatures (arguments) where pronamespace = 11 and prokind in ('f', 'a') and proname = any(%(names)s)"
        " order by 1, 2",
        {"names": names, "two": list(CALLED_WITH), "three": list(CALLED_WITH_THREE)},
    )
    for name, arguments, result, several in cursor.fetchall():
        yield (
            f'create function public."{name}"({arguments}) returns {"setof " if several else ""}{result}'
            f" language plpgsql as {body(name, 'next null' if several else 'null')}"
        )


def _operators(signs: list[str]) -> Iterator[str]:
    for sign in signs:
        for left in CALLED_WITH:
            for right in CALLED_WITH:
                function = 'public."' + f"trap {sign} {left} {right}".replace('"', "") + '"'
                yield f"create function {function}({left}, {right}) returns boolean language plpgsql as {body(sign)}"
                yield f"create operator public.{sign} (function = {function}, leftarg = {left}, rightarg = {right})"


def _at_once(cursor: Any, statements: list[str]) -> None:
    """What can't be made (a signature twice, a pseudo-type) is left out."""
    for start in range(0, len(statements), AT_ONCE):
        tried = "\n".join(
            f"begin execute $statement${each}$statement$; exception when others then null; end;"
            for each in statements[start : start + AT_ONCE]
        )
        cursor.execute(f"do $do$ begin {tried} end $do$")


def _types_and_relations(cursor: Any, named: dict[str, list[str]]) -> None:
    cursor.execute(f"create function public.of_a_type(text) returns boolean language plpgsql as {body('a type')}")
    cursor.execute(f"create function public.of_a_relation() returns boolean language plpgsql as {body('a relation')}")
    for name in named["types"]:
        with suppress(psycopg2.Error):
            cursor.execute(
                f'create domain public."{name}" as pg_catalog."{name}" check (public.of_a_type(value::pg_catalog.text))'
            )
    for name in named["relations"]:
        with suppress(psycopg2.Error):
            cursor.execute(
                f'create view public."{name}" as select * from pg_catalog."{name}" where public.of_a_relation()'
            )
            cursor.execute(f'grant select on public."{name}" to public')
