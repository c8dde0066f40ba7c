"""No statement is put together as text: every one is a literal, or psycopg2.sql's composition of literals and names."""

from __future__ import annotations

import ast
import functools
import pathlib

import pytest

from tests.unit.support import ROOT

SENDING = {"execute", "executemany", "run", "rows", "try_run", "why_not"}
# Helpers of ours that take a statement's text: what they are given has to be a literal as well.
TAKING_TEXT = {"query": 0, "_lacking": 0, "_in_batches": 1, "_in_lists": 1, "_on_schema": 0}
# Where sql.SQL is given something else than a literal, and why that is none of anybody's input.
OURS = {
    ("postgres/catalog.py", "text"): "query(): its callers' literals, held by TAKING_TEXT",
    ("postgres/ownership.py", "form"): "_in_batches() and _in_lists(): their callers' literals, held by TAKING_TEXT",
    ("postgres/ownership.py", "signature"): "a routine's signature, written and quoted by PostgreSQL (regprocedure)",
    ("postgres/grants.py", "each.objects"): "a list of names and signatures, written and quoted by PostgreSQL",
    ("postgres/grants.py", "PRIVILEGES[each.profile][each.kind]"): "from the table PRIVILEGES",
    ("postgres/grants.py", "'TABLE' if each.kind == 'FOREIGN' else each.kind"): "from the literals of the reading",
    ("postgres/missing_privileges.py", "text"): "_lacking(): its callers' literals, held by TAKING_TEXT",
    ("postgres/default_privileges.py", "privileges"): "from the table PRIVILEGES",
    ("postgres/default_privileges.py", "_TYPES[kind][1]"): "from the table _TYPES",
    ("postgres/missing_privileges.py", "_ASKING[kind]"): "from the table _ASKING",
    ("postgres/borrowed_owners.py", "options"): "one of two literals",
    ("postgres/masking/lending.py", "form"): "_on_schema(): its callers' literals, held by TAKING_TEXT",
    ("postgres/masking/lending.py", "signature"): "a routine's signature, written and quoted by PostgreSQL",
    ("postgres/masking/listed_values.py", "listing.expression"): "a column, or what PostgreSQL wrote (pg_get_indexdef)",
    ("postgres/masking/listed_values.py", "listing.condition"): "a condition that PostgreSQL wrote (pg_get_expr)",
    ("postgres/masking/listed_values.py", "listing.type"): "a type, written and quoted by PostgreSQL (format_type)",
    ("postgres/masking/listed_values.py", "listing.not_masked"): "what the policy was compiled to, kept in the state",
    ("postgres/masking/masked_values.py", "column.value"): "what the policy was compiled to, kept in the state",
    ("postgres/masking/trial.py", "column.not_masked"): "what the policy was compiled to, kept in the state",
    ("postgres/masking/trial.py", "column.refused"): "what the policy was compiled to, kept in the state",
    ("postgres/masking/trial.py", "column.distinct_by"): "what the policy was compiled to, kept in the state",
    ("postgres/masking/trial.py", "each.expressions or 'true'"): "expressions that PostgreSQL wrote (pg_get_expr)",
    ("postgres/masking/trial.py", "each.condition or 'true'"): "a condition that PostgreSQL wrote (pg_get_expr)",
    ("postgres/masking/emptying.py", "type_"): "a type, written and quoted by PostgreSQL (format_type)",
    ("postgres/masking/dependents.py", "each.drop"): "a statement that PostgreSQL wrote and quoted (format)",
    ("postgres/masking/restoring.py", "each.statement"): "a statement that PostgreSQL wrote and quoted (format)",
    ("postgres/masking/restoring.py", "each.still"): "a condition that PostgreSQL wrote and quoted (format)",
    ("postgres/masking/gate.py", "form"): "what the policy was compiled to, kept in the state",
    ("postgres/masking/gate.py", "text"): "a check of the policy's author, who may write any; it runs read-only",
    ("postgres/foreign_keys.py", "self.child"): "a name, written and quoted by PostgreSQL (regclass)",
    ("postgres/foreign_keys.py", "self.parent"): "a name, written and quoted by PostgreSQL (regclass)",
    ("postgres/foreign_keys.py", "self.same"): "a condition that PostgreSQL wrote and quoted (format)",
    ("postgres/foreign_keys.py", "self.given"): "a condition that PostgreSQL wrote and quoted (format)",
    ("postgres/masking/made_up_row.py", "declared"): "a type, written and quoted by PostgreSQL (format_type)",
    ("postgres/masking/transactions.py", "mark"): "a statement of ours, composed before and kept in the state",
    ("postgres/masking/own_sql.py", "entry.text"): "statements of the policy's author, who may write any",
    ("postgres/setup.py", "privileges"): "one of two literals",
    ("postgres/masking/expressions.py", "column.type"): "a type, written and quoted by PostgreSQL (format_type)",
    ("postgres/masking/expressions.py", "action.sql"): "an expression of the stack's policy (masking/expressions.py)",
    ("postgres/masking/permutation.py", "form"): "one of two literals",
}
UTILS = ROOT / "utils"
MODULES = sorted(UTILS.rglob("*.py"))


def place(path: pathlib.Path) -> str:
    return path.relative_to(UTILS).as_posix()


@functools.cache
def calls(path: pathlib.Path) -> list[tuple[str, ast.Call]]:
    """Return the calls in a module, each with the name of what is called. A module is read once for all tests."""
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return [(getattr(each.func, "attr", "") or getattr(each.func, "id", ""), each) for each in found]


def is_literal(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return is_literal(node.body) and is_literal(node.orelse)
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def is_pasted(node: ast.expr) -> bool:
    """An f-string, an addition or a % of texts, or a text's own format()."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.attr == "format" and is_literal(node.func.value)
    return isinstance(node, (ast.JoinedStr, ast.BinOp))


def test_the_modules_that_send_statements_are_among_those_that_are_looked_at() -> None:
    """Wherever below utils they are: a search that found none would hold nothing."""
    senders = [path for path in MODULES if "psycopg2" in path.read_text()]
    assert len(senders) >= 5
    assert sum(name in SENDING for path in senders for name, _ in calls(path)) >= 20


def shown(path: pathlib.Path, call: ast.Call) -> str:
    return f"{place(path)}:{call.lineno}: {ast.unparse(call)}"


def test_no_statement_that_is_sent_is_pasted_together() -> None:
    wrong = [
        shown(path, call)
        for path in MODULES
        for name, call in calls(path)
        if name in SENDING and call.args and isinstance(call.func, ast.Attribute) and is_pasted(call.args[0])
    ]
    assert not wrong, "\n".join(wrong)


def test_what_stands_in_sql_is_a_literal_or_a_value_of_ours() -> None:
    wrong = [
        shown(path, call)
        for path in MODULES
        for name, call in calls(path)
        if name == "SQL" and not is_literal(call.args[0]) and (place(path), ast.unparse(call.args[0])) not in OURS
    ]
    wrong += [
        shown(path, call)
        for path in MODULES
        for name, call in calls(path)
        if name in TAKING_TEXT
        and not is_literal(call.args[TAKING_TEXT[name]])
        and ast.unparse(call.args[TAKING_TEXT[name]]) not in ("text", "_FOUND")
    ]
    assert not wrong, "\n".join(wrong)


def test_each_exception_is_still_needed() -> None:
    used = {(place(path), ast.unparse(call.args[0])) for path in MODULES for name, call in calls(path) if name == "SQL"}
    assert set(OURS) <= used


@pytest.mark.parametrize(
    "statement",
    ['f"drop table {name}"', '"drop table " + name', '"drop table %s" % name', '"drop table {}".format(name)'],
)
def test_pasted_statements_are_seen(statement: str) -> None:
    assert is_pasted(ast.parse(statement, mode="eval").body)
