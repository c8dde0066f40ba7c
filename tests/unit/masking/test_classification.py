"""Which action a column has, and all that is refused before a row is changed."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.masking.classification import Classified, classify, rules_for, unmatched_databases
from utils.masking.columns import Catalogue, Column, ColumnKey, ForeignKey, Relation
from utils.masking.fitting import MAX_MOVED_PAGES
from utils.masking.policy import Email, Hash, Keep, Name, SetNull
from utils.masking.reading import read_policy

TYPES = {"integer": "int4", "varchar(20)": "varchar", "char(5)": "bpchar", "numeric(6,2)": "numeric", "mood": "mood"}


def column(name: str, declared: str = "text", **given: Any) -> Column:
    kind = declared.removesuffix("[]")
    base = TYPES.get(kind, kind)
    length = int(kind[:-1].split("(")[1]) if base in ("varchar", "bpchar") and "(" in kind else None
    precision, scale = (6, 2) if kind == "numeric(6,2)" else (None, None)
    return Column(
        **{
            "name": name,
            "type": declared,
            "base": base,
            "array": declared.endswith("[]"),
            "length": length,
            "precision": precision,
            "scale": scale,
            **given,
        }
    )


def table(name: str, *columns: Column, **given: Any) -> Relation:
    oid = sum(map(ord, name)) * 1000 + len(name)
    return Relation(
        **{
            "oid": oid,
            "schema": "app",
            "name": name,
            "kind": "r",
            "owner": "o",
            "root": oid,
            "columns": [*columns],
            **given,
        }
    )


def foreign_key(one: Relation, other: Relation, *pairs: tuple[str, str]) -> ForeignKey:
    return ForeignKey(
        name="fk",
        table=one.oid,
        columns=[pair[0] for pair in pairs],
        referenced=other.oid,
        referenced_columns=[pair[1] for pair in pairs],
    )


def held_against(
    rules: str, *relations: Relation, keys: tuple[ForeignKey, ...] = (), head: str = "", tail: str = "", **given: Any
) -> Classified:
    """What rules, written `app.t.c: action; app.t.d: action`, mean for a catalogue."""
    lines = "".join(f"      {rule.strip()}\n" for rule in rules.split(";") if rule.strip())
    text = f"version: 1\n{head}\ndatabases:\n  shop:\n    columns:\n{lines or '      {}'}\n{tail}"
    policy = read_policy(text)
    catalogue = Catalogue(database="shop", relations=[*relations], foreign_keys=[*keys], **given)
    found, faults = rules_for(policy, "shop")
    assert faults == []
    return classify(policy, found, catalogue)


def actions(classified: Classified) -> dict[str, object]:
    assert classified.faults == []
    return {f"{key.table}.{key.column}": action for key, action in classified.actions.items()}


def only_fault(classified: Classified) -> str:
    (fault,) = classified.faults
    return fault


USERS = table("users", column("email"), column("login"))
PEOPLE = table("people", column("email"))


def test_an_exact_rule_takes_precedence_over_patterns_wherever_it_stands() -> None:
    for rules in ("app.users.email: hash; app.*.*: name", "app.*.*: name; app.users.email: hash"):
        assert actions(held_against(rules, USERS)) == {"users.email": Hash(), "users.login": Name()}
    assert actions(held_against('app.*.*: name; "app.users.{email,login}": hash', USERS)) == {
        "users.email": Hash(),
        "users.login": Hash(),
    }


def test_rules_of_equal_rank_may_say_the_same() -> None:
    assert actions(held_against("app.*.email: hash; app.users.*: hash", USERS)).keys() == {"users.email", "users.login"}


@pytest.mark.parametrize(
    "rules", ["app.*.email: hash; app.users.*: name", 'app.users.email: hash; "app.users.{email,login}": name']
)
def test_rules_of_equal_rank_with_different_actions_are_refused(rules: str) -> None:
    assert only_fault(held_against(rules, table("users", column("email")) if "*" in rules else USERS)) == (
        "app.users.email has rules of equal rank with different actions, in lines 6, 7."
        " Name it exactly in a rule of its own, or narrow the patterns."
    )


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        ("app.users.mail: hash", "Line 6: app.users.mail matches no column."),
        ("app.*.mail*: hash", "Line 6: app.*.mail* matches no column."),
        (
            "app.looking.email: hash",
            "Line 6: app.looking.email matches app.looking, a view: it has no rows of its own.",
        ),
        ("app.stored.email: hash", "matches app.stored, a materialized view"),
        ("app.far.email: hash", "matches app.far, a foreign table"),
        ("app.users_1.email: hash", "matches only partitions. Name their table app.users."),
        ("app.users.made: hash", "app.users.made is a generated column. Mask those that it is made of."),
    ],
)
def test_a_rule_that_matches_nothing_to_mask_is_refused(rules: str, fault: str) -> None:
    users = table("users", column("email"), column("made", generated=True), kind="p")
    classified = held_against(
        f"app.users.email: keep; {rules}".replace("; app.users.email: keep", ""),
        users,
        table("users_1", column("email"), root=users.oid),
        *(
            table(name, column("email"), kind=kind)
            for name, kind in {"looking": "v", "stored": "m", "far": "f"}.items()
        ),
    )
    assert fault.replace("Line 6", "Line 7") in only_fault(classified)


def test_a_pattern_passes_over_generated_columns() -> None:
    users = table("users", column("email"), column("made", generated=True))
    assert actions(held_against("app.users.*: hash", users)) == {"users.email": Hash()}


def test_a_column_without_a_rule_is_refused_by_its_table() -> None:
    classified = held_against("app.users.email: hash", USERS, PEOPLE)
    assert classified.faults == [
        "app.people has columns without a rule: email.",
        "app.users has columns without a rule: login.",
    ]
    assert classified.unclassified == [ColumnKey("app", "people", "email"), ColumnKey("app", "users", "login")]


def test_columns_without_a_rule_are_listed_where_the_policy_says_so() -> None:
    classified = held_against("app.users.email: hash", USERS, head="unclassified: list")
    assert (classified.faults, classified.unclassified) == ([], [ColumnKey("app", "users", "login")])


def test_a_column_is_kept_by_its_type_only_if_that_is_the_type_itself() -> None:
    mixed = table(
        "mixed",
        column("a", "integer"),
        column("b", "integer[]"),
        column("c", "mood", labels=["x"], trusted=False),
        column("d", "int4", trusted=False, type="app.int4"),
        column("e", "text"),
        column("f", "mood[]", labels=["x"], trusted=False),
    )
    classified = held_against("", mixed, head="types: {integer: keep, enum: keep}")
    assert only_fault(classified) == "app.mixed has columns without a rule: b, d, e, f."


def test_a_database_that_no_pattern_matches_is_refused_if_it_has_something_to_mask() -> None:
    policy = read_policy("version: 1\ntypes: {integer: keep}\ndatabases: {shop: {}}")
    rules, faults = rules_for(policy, "other")
    assert (rules, faults) == (None, [])
    assert classify(policy, rules, Catalogue(database="other", relations=[USERS])).faults == [
        "No pattern of `databases` matches 'other'.",
        "app.users has columns without a rule: email, login.",
    ]
    assert (
        classify(policy, rules, Catalogue(database="postgres", relations=[table("t", column("i", "integer"))])).faults
        == []
    )


def test_the_exact_name_of_a_database_takes_precedence() -> None:
    policy = read_policy('version: 1\ndatabases: {"shop*": {}, shop_de: {}, "*_fr": {}}')
    assert rules_for(policy, "shop_de")[0] is policy.databases[1]
    assert rules_for(policy, "shop_it")[0] is policy.databases[0]
    assert rules_for(policy, "shop_fr") == (
        None,
        ["Database 'shop_fr' matches several patterns of `databases`, of lines 2."],
    )


def test_a_pattern_of_databases_that_matches_none_is_reported() -> None:
    policy = read_policy('version: 1\ndatabases:\n  "shop*": {}\n  "{a,b}": {}')
    assert unmatched_databases(policy, ["shop_de", "a", "postgres"]) == [
        "Line 4: no database of the cluster is named '{a,b}'."
    ]


ORDERS = table("orders", column("email"), column("other"))


def keyed(rules: str, **given: Any) -> Classified:
    users = table("users", column("email", unique=True, not_null=True))
    return held_against(
        f"{rules}; app.orders.other: keep",
        users,
        ORDERS,
        table("lines", column("mail")),
        keys=(
            foreign_key(ORDERS, users, ("email", "email")),
            foreign_key(table("lines"), ORDERS, ("mail", "email")),
        ),
        **given,
    )


def test_a_rule_for_one_column_of_a_foreign_key_is_a_rule_for_all() -> None:
    for rules in ("app.users.email: email", "app.lines.mail: email", "app.users.email: email; app.orders.email: email"):
        classified = keyed(rules)
        assert {key: found for key, found in actions(classified).items() if found != Keep()} == dict.fromkeys(
            ("users.email", "orders.email", "lines.mail"), Email()
        )
        connected = {classified.groups[key] for key, found in classified.actions.items() if found != Keep()}
        assert connected == {"app.lines.mail"}


def test_different_actions_for_columns_of_a_foreign_key_are_refused() -> None:
    assert only_fault(keyed("app.users.email: email; app.lines.mail: hash")) == (
        "app.lines.mail and app.users.email have different actions, but a foreign key or inheritance connects them."
        " Give both the same, or remove one of the rules."
    )


def test_a_reference_may_be_set_to_null_alone() -> None:
    assert actions(keyed("app.users.email: email; app.orders.email: set_null; app.lines.mail: set_null")) == {
        "users.email": Email(),
        "orders.email": SetNull(),
        "orders.other": Keep(),
        "lines.mail": SetNull(),
    }


def test_an_expression_or_different_types_in_a_foreign_key_are_refused() -> None:
    assert keyed("""app.users.email: {sql: "'x'"}""").faults == [
        "app.lines.mail, app.orders.email, app.users.email are connected by a foreign key or inheritance."
        " `sql` could give each another value: use `hash`."
    ]
    one, other = table("one", column("a", "integer")), table("other", column("a", "int8", unique=True))
    classified = held_against("app.one.a: hash", one, other, keys=(foreign_key(one, other, ("a", "a")),))
    assert "of different types: int8, integer. Keep them." in only_fault(classified)
    blind = table("other", column("a", unique=True, deterministic=False))
    one = table("one", column("a"))
    classified = held_against("app.one.a: hash", one, blind, keys=(foreign_key(one, blind, ("a", "a")),))
    assert "app.other.a has a collation that takes different texts for equal." in only_fault(classified)
    assert actions(held_against("app.one.a: keep", one, blind, keys=(foreign_key(one, blind, ("a", "a")),)))


def test_a_foreign_key_of_a_partition_connects_its_tables_column() -> None:
    events = table("events", column("mail"), kind="p")
    part = table("events_1", column("mail"), root=events.oid)
    users = table("users", column("email", unique=True))
    classified = held_against(
        "app.users.email: email", events, part, users, keys=(foreign_key(part, users, ("mail", "email")),)
    )
    assert actions(classified) == {"events.mail": Email(), "users.email": Email()}


def test_an_inherited_column_has_the_action_of_where_it_comes_from() -> None:
    base = table("base", column("name"))
    heir = table("heir", column("name"), column("more"), parents=[base.oid])
    assert actions(held_against("app.base.name: name; app.heir.more: keep", base, heir)) == {
        "base.name": Name(),
        "heir.name": Name(),
        "heir.more": Keep(),
    }
    assert "have different actions" in only_fault(
        held_against("app.base.name: name; app.heir.name: hash; app.heir.more: keep", base, heir)
    )


def test_a_table_that_is_emptied_needs_no_rules_and_its_partitions_neither() -> None:
    log = table("log", column("text"), kind="p")
    classified = held_against(
        "app.users.*: keep",
        USERS,
        log,
        table("log_1", column("text"), root=log.oid),
        tail="    tables: {app.log*: empty}",
    )
    assert actions(classified) == {"users.email": Keep(), "users.login": Keep()}
    assert len(classified.emptied) == 2


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("app.logs", "Line 8: app.logs matches no table."),
        ("app.log_1", "Line 8: app.log_1 matches only partitions. Name their table app.log."),
        ("app.looking", "Line 8: app.looking matches app.looking, a view: it has no rows of its own."),
    ],
)
def test_emptying_what_is_no_table_is_refused(name: str, fault: str) -> None:
    log = table("log", column("text"), kind="p")
    others = table("log_1", column("text"), root=log.oid), table("looking", column("text"), kind="v")
    assert only_fault(held_against("app.log.text: keep", log, *others, tail=f"    tables: {{{name}: empty}}")) == fault


def test_references_to_an_emptied_table_are_refused_unless_they_are_set_to_null() -> None:
    emptied = "    tables: {app.users: empty}"
    assert keyed("app.orders.email: email", tail=emptied).faults == [
        "app.orders.email refers to a table that is emptied. Empty its own, too, or use set_null."
    ]
    assert keyed("app.orders.email: set_null; app.lines.mail: set_null", tail=emptied).faults == []


def test_foreign_servers_and_large_objects_need_a_decision() -> None:
    classified = held_against("app.users.*: keep", USERS, foreign_servers=["a", "b"], large_objects=True)
    assert classified.faults == [
        "The foreign servers a, b came with the data. Name them under `foreign_servers` if their data needs no masking:"
        " what they reach is not masked.",
        "There are large objects, which no rule masks. Write `large_objects: empty` to delete them.",
    ]
    tail = "    foreign_servers: [b, a]\n    large_objects: empty"
    assert (
        held_against("app.users.*: keep", USERS, foreign_servers=["a", "b"], large_objects=True, tail=tail).faults == []
    )


MOOD: dict[str, Any] = {"labels": ["good", "bad"], "trusted": False, "type": "app.mood"}


@pytest.mark.parametrize(
    ("kind", "given", "action", "fault"),
    [
        ("text", {"identity_always": True}, "hash", "it is GENERATED ALWAYS AS IDENTITY"),
        ("text", {"excluded": True}, "hash", "it belongs to an exclusion constraint"),
        ("text", {"partition_strategies": "r"}, "hash", "its table is partitioned by it, by range or list"),
        ("text", {"partition_strategies": "hl"}, "hash", "its table is partitioned by it, by range or list"),
        ("text", {"not_null": True}, "set_null", "`set_null` does not fit: it is NOT NULL."),
        ("varchar(20)", {}, "hash", "`hash` gives 32 characters, and varchar(20) takes 20."),
        ("varchar(20)", {}, "email", "`email` gives 37 characters"),
        ("varchar(20)", {}, "text", "`text` gives 24 characters"),
        ("varchar(20)", {}, "{phone: {digits: 15, prefix: '+99999'}}", "`phone` gives 21 characters"),
        ("varchar(20)", {}, "{constant: a text that is too long}", "`constant` gives 23 characters"),
        ("char(5)", {}, "name", "`name` gives 15 characters"),
        ("varchar(20)[]", {}, "{each: hash}", "`hash` gives 32 characters"),
        ("text", {"unique": True}, "name", "`name` can make values equal. Use `hash`, `email` or `phone`."),
        ("text", {"unique": True}, "text", "`text` can make values equal"),
        ("text", {"unique": True}, "{constant: x}", "`constant` can make values equal"),
        ("text", {"unique": True}, "set_null", "`set_null` can make values equal"),
        ("integer", {"unique": True}, "{number: {between: [1, 9]}}", "`number` can make values equal"),
        ("date", {"unique": True}, "{date_shift: {days: 1}}", "`date_shift` can make values equal"),
        ("jsonb", {"unique": True}, "{json: {$.a: text}}", "`json` can make values equal"),
        ("text[]", {"unique": True}, "{each: name}", "`name` can make values equal"),
        ("text", {"unique": True}, "phone", "`phone` needs `unique: true` there."),
        ("text", {"unique": True}, "{hash: {length: 16}}", "`hash` needs a length of at least 17 there."),
        ("text", {"unique": True}, "{email: {length: 15}}", "`email` needs a length of at least 16 there."),
        ("mood", MOOD, "{constant: fine}", "'fine' is none of the enum's labels good, bad."),
        ("mood", MOOD, "hash", "`hash` does not fit the enum app.mood."),
        ("mood", MOOD, "{sql: \"'good'\"}", "`sql` does not fit the enum app.mood."),
        ("mood[]", {**MOOD, "type": "app.mood[]"}, "{each: {constant: fine}}", "'fine' is none of the enum's labels"),
        ("mood[]", {**MOOD, "type": "app.moods"}, "{each: {constant: good}}", "a domain. Use `constant`."),
        ("pair", {"trusted": False}, "{constant: '(1,2)'}", "which is a user's. Use `keep` or `set_null`."),
        ("text", {"trusted": False, "type": "app.text"}, "hash", "`hash` does not fit the type app.text"),
        ("text[]", {}, "hash", "`hash` does not fit the array text[]. Use `each` for its elements."),
        ("text", {}, "{each: hash}", "`each` is for arrays, not for text."),
        ("integer", {}, "email", "`email` does not fit the type integer. It is for bpchar, citext, text, varchar."),
        ("integer[]", {}, "{each: email}", "`email` does not fit the type integer"),
        ("numeric", {}, "hash", "`hash` does not fit the type numeric"),
        ("text", {}, "{number: {between: [1, 2]}}", "`number` does not fit the type text"),
        ("interval", {}, "{date_shift: {days: 1}}", "`date_shift` does not fit the type interval"),
        ("text", {}, "{json: {$.a: text}}", "`json` does not fit the type text"),
        ("integer", {}, "{number: {between: [1, 2.5]}}", "`number` has 1 decimals, and integer has 0."),
        ("integer", {}, "{number: {between: [1, 2147483648]}}", "`number` has a range that does not fit into integer."),
        (
            "integer",
            {},
            "{number: {between: [-2147483649, 1]}}",
            "`number` has a range that does not fit into integer.",
        ),
        ("numeric(6,2)", {}, "{number: {between: [1, 2.555]}}", "`number` has 3 decimals, and numeric(6,2) has 2."),
        (
            "numeric(6,2)",
            {},
            "{number: {between: [-10000, 1]}}",
            "`number` has a range that does not fit into numeric(6,2).",
        ),
        ("numeric", {"precision": 3, "scale": -2}, "{number: {between: [1, 9]}}", "`number` has 0 decimals"),
    ],
)
def test_what_does_not_fit_a_column_is_refused(kind: str, given: dict[str, Any], action: str, fault: str) -> None:
    found = only_fault(held_against(f"app.t.c: {action}", table("t", column("c", kind, **given))))
    assert found.startswith("app.t.c: ")
    assert fault in found


def test_rows_that_change_their_partition_are_refused_where_there_are_many() -> None:
    log = table("log", column("key", partition_strategies="h"), kind="p")
    for pages, faults in ((MAX_MOVED_PAGES, 0), (MAX_MOVED_PAGES + 1, 1)):
        part = table("log_1", column("key"), root=log.oid, pages=pages)
        assert len(held_against("app.log.key: hash", log, part).faults) == faults


def test_what_holds_in_any_partition_holds_for_the_table() -> None:
    log = table("log", column("key"), kind="p")
    for one in ({"unique": True}, {"not_null": True}, {"excluded": True}, {"partition_strategies": "l"}):
        part = table("log_1", column("key", **one), root=log.oid)
        assert held_against("app.log.key: set_null", log, part).faults != []


def test_an_expression_that_names_a_users_type_is_refused() -> None:
    """PostgreSQL could run a cast that its owner has created."""
    odd = column("mood", "mood", **MOOD)
    for expression in ("'x' || mood", "row_to_json(t)::text", "Mood::text"):
        fault = only_fault(
            held_against(f'app.t.c: {{sql: "{expression}"}}; app.t.mood: keep', table("t", column("c"), odd))
        )
        assert "stand in no expression" in fault
    plain = table("t", column("c"), column("mood"))
    assert actions(held_against("""app.t.c: {sql: "'x' || mood || row_to_json(t)"}; app.t.mood: keep""", plain))


@given(st.integers())
def test_the_order_of_rules_and_tables_changes_nothing(seed: int) -> None:
    shuffle = random.Random(seed)
    rules = ["app.*.email: email", "app.users.login: hash", "app.lines.mail: email", "app.orders.other: keep"]
    users, lines = table("users", column("email", unique=True), column("login")), table("lines", column("mail"))
    relations = [users, ORDERS, lines]
    keys = [foreign_key(ORDERS, users, ("email", "email")), foreign_key(lines, ORDERS, ("mail", "email"))]
    expected = held_against("; ".join(rules), *relations, keys=tuple(keys))
    for each in (rules, relations, keys):
        shuffle.shuffle(each)
    found = held_against("; ".join(rules), *relations, keys=tuple(keys))
    assert (found.actions, found.groups, found.faults) == (expected.actions, expected.groups, [])
