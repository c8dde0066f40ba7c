"""What each action of a masking policy makes of each type, in a real PostgreSQL."""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec import Struct
from psycopg2 import sql

from scripts.local_aws.postgres.servers import Servers
from tests.integration.postgres.cluster_support import MASTER, MASTER_PASSWORD, Cluster, started
from tests.integration.tiers import one_and_the_rest, one_of_each_kind
from utils.masking.actions import read_action
from utils.masking.columns import Column
from utils.masking.fitting import column_faults
from utils.masking.policy import Action
from utils.policies.yaml_nodes import Faults, read_yaml
from utils.postgres.masking.catalogue import read_catalogue
from utils.postgres.masking.expressions import distinct_by, masked_value, not_masked, refused
from utils.postgres.session import Session, session

ODD_TEXTS = (
    "",
    " ",
    "  padded  ",
    "O'Hara",
    'a "quoted" name',
    "back\\slash\\",
    "\\x41",
    "\\000",
    "\\u0000",
    "%s %(name)s %% {} {0}",
    "$1 $$ $body$",
    "😀 e\u0301 Ünïcode 漢字",
    "two\nlines\tand a tab",
    "-- comment /* */ ; DROP",
    "null",
    "NaN",
    "user@example.com",
    "123456789012",
    "deadbeefdeadbeef",
    "x" * 10_000,
)
SHORT_TEXTS = tuple(text for text in ODD_TEXTS if len(text) <= 40)
UUIDS = ("00000000-0000-0000-0000-000000000000", "6f1a6b1e-7d43-4d58-9b6e-0a8a6f1d2c3b")
WHOLE = (0, 1, -1, 7, 32767, -32768)
DOCUMENTS: tuple[Any, ...] = (
    {},
    [],
    "a text",
    1.5,
    None,
    {"address": {"street": "Main Street 5", "city": "Berlin"}, "mail": "ann@shop.test"},
    {"address": "Main Street 5", "mail": {"deep": {"er": [1, {"mail": "ann@shop.test"}]}}},
    {"contacts": [{"value": "1"}, {"value": None}, {"other": "x"}, "loose", ["nested"]], "a.b": {'q"$': "secret"}},
    {"contacts": {"value": "no list"}, "prefs": {"theme": {"dark": True}, "note": "kept"}, "": "empty key"},
    {"mail": "", "age": 41, "a.b": {'q"$': ["secret"]}, "\\u0000": "not a NUL", "$": 1},
)
PATHS = {
    "$.address.street": "text",
    "$.mail": "email",
    "$.contacts[*].value": "hash",
    '$."a.b"."q\\"$"': "name",
    "$.prefs.**": "keep",
    "$.age": {"number": {"between": [18, 90]}},
}


class Case(Struct, frozen=True):
    """One action on a column of one type."""

    type: str
    action: Any
    values: Sequence[Any]
    unique: bool = False
    formless: bool = False
    """Whether nothing tells a masked value from another."""
    original_may_fit: bool = False
    """Whether an original value may have the masked form, such as a number within the range."""

    @property
    def name(self) -> str:
        """That of the action."""
        return str(self.action if isinstance(self.action, str) else next(iter(self.action)))

    def __str__(self) -> str:
        return f"{self.type}-{self.name}"


def texts(action: Any, *, unique: bool = False, only: Sequence[str] = SHORT_TEXTS) -> list[Case]:
    """The same action on every type of text."""
    kinds = ("text", "varchar(100)", "public.citext", "character(100)", "public.label")
    return [Case(kind, action, [*{value.rstrip(" "): value for value in only}.values()], unique) for kind in kinds]


CASES = [
    *texts("hash"),
    *texts({"hash": {"length": 17}}, unique=True),
    *texts("email", unique=True),
    *texts("name"),
    *texts("phone"),
    *texts({"phone": {"prefix": "", "digits": 4}}, only=[text for text in SHORT_TEXTS if not text.isdigit()]),
    *texts({"text": {"length": 60}}),
    *texts({"constant": "it's \\ % {x} 😀"}),
    *texts("set_null"),
    *texts({"phone": {"digits": 9, "unique": True}}, unique=True, only=[f"+49 (30) {n:07}" for n in range(300)]),
    Case("text", {"text": {"length": 9000}}, ODD_TEXTS),
    Case("text", {"hash": {"length": 64}}, ODD_TEXTS, unique=True),
    Case("text", {"sql": "'Ticket ' || id"}, ODD_TEXTS, unique=True, formless=True),
    Case("uuid", "hash", UUIDS, unique=True),
    Case("uuid", {"constant": "11111111-1111-1111-1111-111111111111"}, UUIDS),
    Case("bytea", "hash", (b"", b"\x00\xff\\", b"masked:", b"x" * 5000), unique=True),
    Case("inet", "hash", ("10.0.0.1", "10.0.0.0/8", "::1", "fe80::1/64"), unique=True),
    Case("inet", {"constant": "192.0.2.1"}, ("10.0.0.1", "::1")),
    Case("cidr", "hash", ("10.0.0.0/8", "fe80::/64"), unique=True),
    Case("smallint", "hash", [*range(-200, 200), *WHOLE[4:]], unique=True, formless=True),
    Case("integer", "hash", [*range(-200, 200), 2**31 - 1, -(2**31)], unique=True, formless=True),
    Case("bigint", "hash", [*range(-200, 200), 2**63 - 1, -(2**63)], unique=True, formless=True),
    Case("public.positive", "hash", range(1, 100), unique=True, formless=True),
    Case("smallint", {"number": {"between": [-5, 90]}}, (-32768, 32767, 95), original_may_fit=True),
    Case("integer", {"number": {"between": [18, 90]}}, (17, 91, 2**31 - 1, -(2**31))),
    Case("bigint", {"number": {"between": [0, 999999999]}}, (-1, 2**63 - 1, -(2**63))),
    Case("numeric", {"number": {"between": [0.5, 1.25]}}, ("0", "NaN", "1e100", "-1e-30", "1.250001")),
    Case("numeric(6,2)", {"number": {"between": [-10, 10.55]}}, ("9999.99", "-9999.99", "10.56")),
    Case("real", {"number": {"between": [0.1, 0.3]}}, ("0", "NaN", "Infinity", "-Infinity", "1e-30")),
    Case("double precision", {"number": {"between": [0.1, 0.3]}}, ("0", "NaN", "Infinity", "-Infinity", "1e-300")),
    Case("integer", {"constant": 7}, WHOLE[4:]),
    Case("boolean", {"constant": "false"}, ("true",)),
    Case("date", {"constant": "2000-01-01"}, ("1999-12-31", "infinity")),
    Case("public.color", {"constant": "red"}, ("green", "blue'\\")),
    Case("public.color[]", {"constant": "{red}"}, ("{green}", "{}", "{NULL}")),
    Case("public.color[]", {"each": {"constant": "red"}}, ("{green}", '{green,"blue\'\\\\"}')),
    Case("public.pair", "set_null", ("(1,x)",)),
    Case("int4range", {"constant": "[1,2)"}, ("[5,7)", "empty")),
    Case("xml", {"constant": "<x/>"}, ("<y/>",)),
    Case("jsonb", {"constant": "{}"}, ("[]", "null")),
    Case("json", {"constant": "{}"}, ("[]", '{"a": 1, "a": 2}')),
    *[
        Case(kind, {"date_shift": {"days": days}}, values, formless=True)
        for days in (1, 30, 36_500)
        for kind, values in {
            "date": ("2000-02-29", "0001-01-01", "9999-12-31", "4713-01-01 BC", "5874897-12-31"),
            "timestamp(3)": ("2000-02-29 12:30:45.123", "4713-01-01 00:00 BC", "294276-12-31 23:59:59.999"),
            "timestamptz": ("2000-02-29 12:30:45.123+05", "4713-01-02 00:00+00 BC", "294276-12-31 23:59:59+00"),
        }.items()
    ],
    Case("text[]", {"each": "hash"}, ("{}", '{a,NULL,""}', '{{a,b},{c,"d\\"\\\\"}}', "{{{a},{b}},{{c},{d}}}")),
    Case("text[]", {"each": {"hash": {"length": 20}}}, [[text] for text in ODD_TEXTS], unique=True),
    Case("varchar(40)[]", {"each": "email"}, ("{a@b.c}", "[0:1]={x,y}")),
    Case("integer[]", {"each": {"number": {"between": [1, 5]}}}, ("{9,8}", "{{7,8},{9,10}}", "{NULL,6}")),
    Case("integer[]", {"each": "hash"}, ("{9,8}", "{{7,8},{9,10}}", "{NULL,6}"), unique=True, formless=True),
    Case("uuid[]", {"each": "hash"}, [f"{{{each}}}" for each in UUIDS], unique=True),
    Case("bytea[]", {"each": "hash"}, ('{"\\\\x00"}',)),
    Case("date[]", {"each": {"date_shift": {"days": 3}}}, ("{2020-01-01,NULL}",), formless=True),
    Case("public.citext[]", {"each": "name"}, ("{a,B}",)),
    Case("public.label[]", {"each": "name"}, ("{a,B}",)),
    Case("public.tags", {"each": "name"}, ("{a,B}", "{}")),
    Case("public.tags", {"constant": "{x}"}, ("{a,B}", "{}")),
    Case("text[]", "set_null", ("{a}", "{}")),
    Case("integer[]", {"constant": "{1}"}, ("{2}", "{}")),
    *[
        Case(
            kind, {"json": PATHS, "other_paths": other}, [json.dumps(each) for each in DOCUMENTS], original_may_fit=True
        )
        for kind in ("jsonb", "json", "public.document")
        for other in ("remove", "keep", "fail")
    ],
    Case("jsonb[]", {"each": {"json": {"$.mail": "email"}}}, ('{"{\\"mail\\": \\"a\\", \\"x\\": 1}",NULL}',)),
]


def action_of(written: object) -> Action:
    faults = Faults()
    node = read_yaml(json.dumps(written, ensure_ascii=False), faults)
    assert node is not None
    action = read_action(node, faults)
    assert faults.sentences() == []
    assert action is not None
    return action


class Database:
    """One database of production's, in which everybody's types are made."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        cluster.superuser("orders", "create extension citext schema public", "grant create on schema public to public")
        cluster.as_master(
            "orders",
            "create domain public.label as varchar(120) check (length(value) < 110)",
            "create domain public.positive as integer check (value > 0)",
            "create type public.color as enum ('red', 'green', 'blue''\\')",
            "create type public.pair as (a int, b text)",
            "create domain public.tags as text[] check (cardinality(value) < 100)",
            "create domain public.json_object as jsonb",
            "create domain public.document as public.json_object check (length(value::text) > 1)",
        )
        self._number = 0

    @contextmanager
    def work(self, salt: str = "the salt of this run") -> Iterator[Session]:
        """A session as the masker's, with the salt."""
        with session(self.cluster.server, "orders", MASTER, MASTER_PASSWORD) as opened:
            opened.run(sql.SQL("CREATE TEMP TABLE aurora_restore_salt (salt text)"))
            with opened.connection.cursor() as cursor:
                cursor.copy_expert("COPY pg_temp.aurora_restore_salt FROM STDIN", io.StringIO(salt + "\n"))
            yield opened

    def table(self, *, kind: str, values: Sequence[Any], constraint: str = "") -> str:
        """A new table with these values, and NULL, in its column `value`."""
        self._number += 1
        name = f"t{self._number}"
        with session(self.cluster.server, "orders", MASTER, MASTER_PASSWORD) as opened:
            opened.run(sql.SQL(f"CREATE TABLE public.{name} (id serial primary key, value {kind} {constraint})"))
            for value in (*values, None):
                opened.run(sql.SQL(f"INSERT INTO public.{name} (value) VALUES (%s)"), (value,))
        return name

    def column(self, opened: Session, table: str) -> Column:
        (found,) = (
            column
            for relation in read_catalogue(opened).relations
            if relation.name == table
            for column in relation.columns
            if column.name == "value"
        )
        return found


@pytest.fixture(scope="module")
def database(servers: Servers) -> Iterator[Database]:
    cluster = started(servers)
    yield Database(cluster)
    cluster.postgres.destroy()


def one(opened: Session, question: str, *parts: sql.Composable) -> Any:
    ((found,),) = opened.rows(sql.SQL(question).format(*parts))
    return found


@pytest.mark.parametrize("case", one_of_each_kind(CASES, lambda case: case.name), ids=str)
def test_each_action_on_each_type_it_fits(database: Database, case: Case) -> None:
    values = list(case.values)
    table = database.table(kind=case.type, values=values)
    action, name = action_of(case.action), sql.Identifier("public", table)
    with database.work() as opened:
        column = database.column(opened, table)
        assert list(column_faults(column, action, 0)) == []
        value, unmasked = masked_value(column, action, "group"), not_masked(column, action)
        assert (unmasked is None) == case.formless
        before = one(opened, "SELECT count(*) FROM {} WHERE value IS NOT NULL", name)
        if unmasked is not None and not case.original_may_fit and "{}" not in values and "{NULL}" not in values:
            assert one(opened, "SELECT count(*) FROM {} WHERE {}", name, unmasked) == before
        # Twice the same, although the rows come in another order and one by one.
        agree = one(
            opened,
            "SELECT count(*) FROM (SELECT value::text, ({})::text AS masked FROM {} ORDER BY random() OFFSET 0) one"
            " JOIN (SELECT value::text, ({})::text AS masked FROM {}) other USING (value)"
            " WHERE one.masked IS DISTINCT FROM other.masked",
            value, name, value, name,
        )  # fmt: skip
        assert agree == 0
        originals = dict(opened.rows(sql.SQL("SELECT id, value::text FROM {}").format(name)))
        opened.run(sql.SQL("UPDATE ONLY {} SET value = {}").format(name, value))
        masked = dict(opened.rows(sql.SQL("SELECT id, value::text FROM {}").format(name)))
        if case.action != "set_null":
            assert {key for key, text in masked.items() if text is None} == {
                key for key, text in originals.items() if text is None
            }
        if unmasked is not None and (not isinstance(case.action, dict) or case.action.get("other_paths") != "fail"):
            assert one(opened, "SELECT count(*) FROM {} WHERE {}", name, unmasked) == 0
        if case.unique:
            assert len({*masked.values()}) == len({*originals.values()})
            assert distinct_by(column, action) is None or not isinstance(case.action, str)


@pytest.mark.parametrize(
    ("action", "form"),
    [
        ({"hash": {"length": 20}}, "m[0-9a-f]{19}"),
        ("email", r"user-[0-9a-f]{20}@example\.com"),
        ("name", "Person [0-9a-f]{8}"),
        ("text", "masked [0-9a-f]{17}"),
        ({"phone": {"prefix": "+49 (0) ", "digits": 6}}, r"\+49 \(0\) [0-9]{6}"),
    ],
)
def test_what_has_nearly_the_masked_form_does_not_have_it(database: Database, action: object, form: str) -> None:
    asked = action_of(action)
    first = database.table(kind="text", values=["ann"])
    with database.work() as opened:
        column = database.column(opened, first)
        good = one(opened, "SELECT max({}) FROM {}", masked_value(column, asked, "g"), sql.Identifier("public", first))
    cuts = range(len(good) + 1)
    values = {good, "", good + "\n", "\n" + good, good + good, f"{good}\n{good}", good.upper()}
    values.update(good[:at] + good[at + 1 :] for at in cuts)
    values.update(good[:at] + new + good[at + more :] for at in cuts for more in (0, 1) for new in "gA5_%\\ä \n")
    ordered = sorted(values)
    table = database.table(kind="text", values=ordered)
    with database.work() as opened:
        unmasked = not_masked(database.column(opened, table), asked)
        assert unmasked is not None
        found = opened.rows(sql.SQL("SELECT value FROM {} WHERE {}").format(sql.Identifier("public", table), unmasked))
    assert {value for (value,) in found} == {value for value in ordered if not re.fullmatch(form, value)}
    assert re.fullmatch(form, good)


def test_another_salt_or_group_gives_other_values(database: Database) -> None:
    table = database.table(kind="text", values=["ann"])
    found = set()
    for salt in ("one", "two"):
        with database.work(salt) as opened:
            column = database.column(opened, table)
            for group in ("g", "h"):
                for action in ("hash", {"hash": {"group": "own"}}):
                    value = masked_value(column, action_of(action), group)
                    found.add(
                        one(opened, "SELECT {} FROM {} WHERE value IS NOT NULL", value, sql.Identifier("public", table))
                    )
    assert len(found) == 6  # an action's own group takes precedence over the one that it is given


@pytest.mark.parametrize("digits", one_and_the_rest([4, 5]))
def test_unique_telephone_numbers_are_all_exchanged(database: Database, digits: int) -> None:
    """Every number of so many digits is the masked one of exactly one other."""
    table = database.table(kind="text", values=[])
    action = action_of({"phone": {"prefix": "0", "digits": digits, "unique": True}})
    with database.work() as opened:
        column = database.column(opened, table)
        numbers = sql.SQL("(SELECT lpad(n::text, {0}, '0') AS value FROM generate_series(0, {1}) n) numbers")
        count, least, most = opened.rows(
            sql.SQL(
                "SELECT count(DISTINCT masked), min(masked), max(masked) FROM (SELECT {} AS masked FROM {}) m"
            ).format(
                masked_value(column, action, "g"), numbers.format(sql.Literal(digits), sql.Literal(10**digits - 1))
            )
        )[0]
    assert (count, least, most) == (10**digits, "0" + "0" * digits, "0" + "9" * digits)


def test_every_small_integer_is_exchanged_and_keeps_its_sign(database: Database) -> None:
    table = database.table(kind="smallint", values=[])
    with database.work() as opened:
        value = masked_value(database.column(opened, table), action_of("hash"), "g")
        found = opened.rows(
            sql.SQL(
                "SELECT count(DISTINCT masked), bool_and((value < 0) = (masked < 0)), sum((value = masked)::int)"
                " FROM (SELECT value, {} AS masked FROM (SELECT n::smallint AS value"
                " FROM generate_series(-32768, 32767) n) numbers) m"
            ).format(value)
        )
    ((different, signs, same),) = found
    assert (different, signs) == (65536, True)
    assert same < 65536 / 100


def test_a_date_is_shifted_by_each_number_of_days_but_none(database: Database) -> None:
    table = database.table(kind="date", values=[])
    with database.work() as opened:
        value = masked_value(database.column(opened, table), action_of({"date_shift": {"days": 3}}), "g")
        shifts = opened.rows(
            sql.SQL(
                "SELECT DISTINCT {} - value AS shift FROM (SELECT date '2000-01-01' + n AS value"
                " FROM generate_series(1, 500) n) days ORDER BY 1"
            ).format(value)
        )
    assert [shift for (shift,) in shifts] == [-3, -2, -1, 1, 2, 3]


def test_infinity_stays_where_it_is(database: Database) -> None:
    for kind in ("date", "timestamp", "timestamptz"):
        table = database.table(kind=kind, values=["infinity", "-infinity"])
        with database.work() as opened:
            value = masked_value(database.column(opened, table), action_of({"date_shift": {"days": 3}}), "g")
            name = sql.Identifier("public", table)
            assert one(opened, "SELECT count(*) FROM {} WHERE {} <> value", name, value) == 0


def test_the_session_settings_change_no_masked_value(database: Database) -> None:
    table = database.table(kind="timestamptz", values=["2000-02-29 12:30:45.123+05"])
    found = set()
    for settings in (
        "SET timezone = 'UTC'; SET datestyle = 'ISO'",
        "SET timezone = 'Asia/Tokyo'; SET datestyle = 'SQL'",
    ):
        with database.work() as opened:
            value = masked_value(database.column(opened, table), action_of({"date_shift": {"days": 3}}), "g")
            opened.run(sql.SQL(settings))
            found.add(
                one(
                    opened, "SELECT EXTRACT(epoch FROM {}) FROM {} WHERE id = 1", value, sql.Identifier("public", table)
                )
            )
    assert len(found) == 1


def masked_documents(database: Database, other: str, kind: str, documents: Sequence[str]) -> list[Any]:
    table = database.table(kind=kind, values=documents)
    with database.work() as opened:
        value = masked_value(database.column(opened, table), action_of({"json": PATHS, "other_paths": other}), "g")
        rows = opened.rows(
            sql.SQL("SELECT CAST({} AS text) FROM {} WHERE value IS NOT NULL ORDER BY id").format(
                value, sql.Identifier("public", table)
            )
        )
    return [json.loads(text) for (text,) in rows]


def test_a_document_is_taken_apart_along_its_paths(database: Database) -> None:
    documents = [
        {
            "address": {"street": "Main Street 5", "city": "Berlin"},
            "mail": "ann@shop.test",
            "age": 41,
            "contacts": [{"value": "1", "x": "ann"}, {"value": None}, "loose", {"value": {"deep": "ann"}}],
            "a.b": {'q"$': "ann"},
            "prefs": {"theme": {"dark": True}},
            "new": "ann",
        }
    ]
    written = [json.dumps(each) for each in documents]
    (found,) = masked_documents(database, "remove", "jsonb", written)
    assert found.keys() == documents[0].keys() - {"new"}
    assert found["address"].keys() == {"street"}
    assert found["address"]["street"].startswith("masked ")
    assert found["mail"].endswith("@example.com")
    assert 18 <= found["age"] <= 90
    first, second, third, fourth = found["contacts"]
    assert first.keys() == {"value"}
    assert second == {"value": None}
    assert third is None
    assert isinstance(fourth["value"], str)
    assert found["a.b"]['q"$'].startswith("Person ")
    assert found["prefs"] == {"theme": {"dark": True}}
    assert "ann" not in json.dumps(found)
    (kept,) = masked_documents(database, "keep", "jsonb", written)
    assert (kept["new"], kept["address"]["city"], kept["contacts"][2]) == ("ann", "Berlin", "loose")
    assert {**kept, "new": 0}.keys() == documents[0].keys()


@pytest.mark.parametrize("other", ["remove", "keep", "fail"])
def test_a_json_document_with_what_jsonb_does_not_take_is_masked_all_the_same(database: Database, other: str) -> None:
    odd = [
        r'{"mail": "a\u0000\u0000b", "\u0000": 1}',
        r'{"mail": "\\u0000"}',
        r'{"mail": "\\\u0000"}',
        r'{"mail": "\ud83d x \ude00 \ud83d\ude00 \ud83d\ud83d\ude00"}',
        '{"mail": "a", "mail": "b"}',
        '{ "age" :\n 5 }',
    ]
    assert len(masked_documents(database, other, "json", odd)) == len(odd)


def test_unknown_paths_are_refused_before_and_found_by_the_gate(database: Database) -> None:
    documents = ['{"mail": "a"}', '{"mail": "a", "new": 1}', '{"address": "loose"}', '{"prefs": {"x": {"y": 1}}}', "[]"]
    table = database.table(kind="jsonb", values=documents)
    action = action_of({"json": PATHS, "other_paths": "fail"})
    name = sql.Identifier("public", table)
    with database.work() as opened:
        column = database.column(opened, table)
        condition = refused(column, action)
        unmasked = not_masked(column, action)
        assert condition is not None
        assert unmasked is not None
        wrong = [i for (i,) in opened.rows(sql.SQL("SELECT id FROM {} WHERE {} ORDER BY id").format(name, condition))]
        assert wrong == [2, 3, 5]
        opened.run(sql.SQL("UPDATE {} SET value = {}").format(name, masked_value(column, action, "g")))
        left = [i for (i,) in opened.rows(sql.SQL("SELECT id FROM {} WHERE {} ORDER BY id").format(name, unmasked))]
        assert left == wrong


def test_a_column_that_has_the_name_of_something_within_the_expression_is_masked(database: Database) -> None:
    names = (
        "value",
        "salt",
        "element",
        "place",
        "bound",
        "inner0",
        "high",
        "low",
        "sign",
        "given",
        "digits",
        "at",
        "key",
    )
    columns = ", ".join(f'"{name}" text[]' for name in names)
    with database.work() as opened:
        opened.run(sql.SQL(f"CREATE TABLE public.named ({columns})"))
        opened.run(sql.SQL(f"INSERT INTO public.named VALUES ({', '.join(['%s'] * len(names))})"), [[n] for n in names])
        action = action_of({"each": {"hash": {"group": "g"}}})
        (relation,) = (each for each in read_catalogue(opened).relations if each.name == "named")
        row = opened.rows(
            sql.SQL("SELECT {} FROM public.named").format(
                sql.SQL(", ").join(masked_value(column, action, "g") for column in relation.columns)
            )
        )[0]
        expected = opened.rows(
            sql.SQL(
                "SELECT 'm' || left(encode(sha256(convert_to(salt || 'g' || chr(31) || name, 'UTF8')), 'hex'), 31)"
                " FROM unnest(%s) WITH ORDINALITY names(name, place), pg_temp.aurora_restore_salt ORDER BY place"
            ),
            (list(names),),
        )
        opened.run(sql.SQL("DROP TABLE public.named"))
    assert [each[0] for each in row] == [text for (text,) in expected]


def test_equal_values_of_a_group_are_masked_alike_in_every_type_of_text(database: Database) -> None:
    """As a foreign key from one to another needs it."""
    found = set()
    for kind in ("text", "varchar(50)", "character(50)", "public.label"):
        table = database.table(kind=kind, values=["ann"])
        with database.work() as opened:
            value = masked_value(database.column(opened, table), action_of("hash"), "g")
            found.add(one(opened, "SELECT rtrim({}) FROM {} WHERE id = 1", value, sql.Identifier("public", table)))
    for text in ("ann", "Ann"):
        table = database.table(kind="public.citext", values=[text])
        with database.work() as opened:
            value = masked_value(database.column(opened, table), action_of("hash"), "g")
            found.add(one(opened, "SELECT {}::text FROM {} WHERE id = 1", value, sql.Identifier("public", table)))
    assert len(found) == 1


def test_a_users_casts_are_not_run(database: Database) -> None:
    """Who owns a type may say how it becomes a text, and a text it."""
    database.cluster.as_master(
        "orders",
        "create type public.mood as enum ('good', 'bad')",
        "create function public.evil_out(public.mood) returns text language plpgsql as"
        " $$begin raise 'a cast was run'; end$$",
        "create function public.evil_in(text) returns public.mood language plpgsql as"
        " $$begin raise 'a cast was run'; end$$",
        "create function public.evil_array(public.mood[]) returns text language plpgsql as"
        " $$begin raise 'a cast was run'; end$$",
        "create cast (public.mood as text) with function public.evil_out as implicit",
        "create cast (text as public.mood) with function public.evil_in as implicit",
        "create cast (public.mood[] as text) with function public.evil_array as implicit",
    )
    for kind, values, written in (
        ("public.mood", ("bad", "good"), {"constant": "good"}),
        ("public.mood[]", ("{bad}",), {"constant": "{good}"}),
        ("public.mood[]", ("{bad}",), {"each": {"constant": "good"}}),
    ):
        table = database.table(kind="public.color", values=[])
        name, action = sql.Identifier("public", table), action_of(written)
        with database.work() as opened:
            opened.run(sql.SQL(f"ALTER TABLE public.{table} DROP COLUMN value"))
            opened.run(sql.SQL(f"ALTER TABLE public.{table} ADD COLUMN value {kind}"))
            for value in values:
                opened.run(sql.SQL(f"INSERT INTO public.{table} (value) VALUES ('{value}')"))
            column = database.column(opened, table)
            unmasked = not_masked(column, action)
            assert unmasked is not None
            assert one(opened, "SELECT count(*) FROM {} WHERE {}", name, unmasked) == 1
            opened.run(sql.SQL("UPDATE {} SET value = {}").format(name, masked_value(column, action, "g")))
            assert one(opened, "SELECT count(*) FROM {} WHERE {}", name, unmasked) == 0


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_databases_of_other_encodings_are_masked_as_well(database: Database, encoding: str) -> None:
    """Of SQL_ASCII any bytes are text, also what is none in UTF-8."""
    name = f"in_{encoding.lower()}"
    database.cluster.as_master(
        "postgres", f"create database {name} encoding '{encoding}' lc_collate 'C' lc_ctype 'C' template template0"
    )
    database.cluster.as_master(
        name,
        "set client_encoding to 'LATIN1'",
        "create table public.t (value text, number text)",
        "insert into public.t select convert_from(decode('e9', 'hex'), getdatabaseencoding()), '+49 30 1234567'",
    )
    with session(database.cluster.server, name, MASTER, MASTER_PASSWORD) as opened:
        opened.run(sql.SQL("CREATE TEMP TABLE aurora_restore_salt AS SELECT 'salt' AS salt"))
        (relation,) = read_catalogue(opened).relations
        value, number = relation.columns
        for action in ("hash", "email", {"email": {"lower": True}}, "name", "text", "phone"):
            assert one(opened, "SELECT length({}) > 10 FROM public.t", masked_value(value, action_of(action), "g"))
        unique = masked_value(number, action_of({"phone": {"unique": True}}), "g")
        assert one(opened, "SELECT {} FROM public.t", unique).startswith("+999")


def test_every_number_of_a_range_is_given_and_no_other(database: Database) -> None:
    for kind, ends, numbers in (
        ("integer", [-1, 2], {"-1", "0", "1", "2"}),
        ("numeric", [0.5, 0.7], {"0.5", "0.6", "0.7"}),
        ("numeric(6,2)", [8, 9.0], {f"{8 + tenth / 10:.2f}" for tenth in range(11)}),
    ):
        table = database.table(kind=kind, values=range(100, 400))
        with database.work() as opened:
            value = masked_value(database.column(opened, table), action_of({"number": {"between": ends}}), "g")
            rows = opened.rows(
                sql.SQL("SELECT DISTINCT ({})::text FROM {} WHERE value IS NOT NULL").format(
                    value, sql.Identifier("public", table)
                )
            )
        assert {text for (text,) in rows} == numbers


def counts(database: Database, values: Sequence[str], action: object) -> tuple[int, int, int]:
    """How many different values there are, of those what they are masked by, and masked ones."""
    table = database.table(kind="text", values=values)
    with database.work() as opened:
        column = database.column(opened, table)
        dependent = distinct_by(column, action_of(action))
        assert dependent is not None
        (row,) = opened.rows(
            sql.SQL("SELECT count(DISTINCT value), count(DISTINCT {}), count(DISTINCT {}) FROM {}").format(
                dependent, masked_value(column, action_of(action), "g"), sql.Identifier("public", table)
            )
        )
    return row[0], row[1], row[2]


def test_what_a_masked_value_depends_on_shows_which_values_would_become_the_same(database: Database) -> None:
    for lowered in ({"hash": {"lower": True}}, {"email": {"lower": True}}):
        assert counts(database, ["Ann@x", "ann@X", "bob"], lowered) == (3, 2, 2)
        assert counts(database, ["ann", "bob"], lowered) == (2, 2, 2)
    phone = {"phone": {"unique": True}}
    assert counts(database, ["+49 30 1234567", "0049-30-1234567", "030/1234567", "n/a", ""], phone) == (5, 3, 3)


STRINGS = random.Random(7)


def any_text() -> str:
    ranges = ((32, 126), (1, 31), (0xA0, 0x24F), (0x4E00, 0x4F00), (0x1F600, 0x1F64F), (0xE000, 0xE010))
    return "".join(chr(STRINGS.randint(*STRINGS.choice(ranges))) for _ in range(STRINGS.randint(0, 30)))


def test_any_text_at_all_gets_the_masked_form(database: Database) -> None:
    values = [any_text() for _ in range(400)]
    for kind in ("text", "public.citext"):
        table = database.table(kind=kind, values=values)
        name = sql.Identifier("public", table)
        with database.work() as opened:
            column = database.column(opened, table)
            different = one(opened, "SELECT count(DISTINCT value) FROM {}", name)
            for written in ("hash", "email", "name", "phone", "text", {"phone": {"unique": True}}):
                action = action_of(written)
                value, unmasked = masked_value(column, action, "g"), not_masked(column, action)
                assert unmasked is not None
                assert one(opened, "SELECT count(*) FROM {} WHERE {}", name, unmasked) == len(values)
                masked = sql.SQL("(SELECT {} AS value FROM {}) masked").format(value, name)
                assert one(opened, "SELECT count(*) FROM {} WHERE {}", masked, unmasked) == 0
                if written in ("hash", "email"):
                    assert one(opened, "SELECT count(DISTINCT value) FROM {}", masked) == different


def any_document(depth: int = 0) -> Any:
    keys = ("address", "street", "mail", "contacts", "value", "a.b", 'q"$', "prefs", "age", "other", "")
    kind = STRINGS.randint(0, 8 if depth < 4 else 4)
    if kind > 6:
        return [any_document(depth + 1) for _ in range(STRINGS.randint(0, 3))]
    if kind > 4 or depth == 0:
        return {key: any_document(depth + 1) for key in STRINGS.sample(keys, STRINGS.randint(0, 5))}
    return STRINGS.choice((None, True, STRINGS.randint(100, 200), "secret " + any_text()))


FORMS = {
    "text": r"masked [0-9a-f]{17}",
    "email": r"user-[0-9a-f]{20}@example\.com",
    "hash": r"m[0-9a-f]{31}",
    "name": r"Person [0-9a-f]{8}",
}


def agrees(original: Any, masked: Any, paths: dict[tuple[str | None, ...], str]) -> bool:
    """Whether the masked document is what the paths make of the original, where all others are removed."""
    if () in paths:
        action = paths[()]
        if action == "keep" or original is None:
            return bool(masked == original)
        if action == "number":
            return bool(18 <= masked <= 90)
        return isinstance(masked, str) and re.fullmatch(FORMS[action], masked) is not None
    below: dict[str | None, dict[tuple[str | None, ...], str]] = {}
    for steps, action in paths.items():
        below.setdefault(steps[0], {})[steps[1:]] = action
    if isinstance(original, dict) and set(below) - {None}:
        known = original.keys() & below.keys()
        return masked.keys() == known and all(agrees(original[key], masked[key], below[key]) for key in known)
    if isinstance(original, list) and None in below:
        return len(masked) == len(original) and all(
            agrees(one, other, below[None]) for one, other in zip(original, masked, strict=True)
        )
    return masked is None


@pytest.mark.parametrize("kind", one_and_the_rest(["jsonb", "json"]))
def test_any_document_at_all_keeps_only_what_its_paths_say(database: Database, kind: str) -> None:
    paths: dict[tuple[str | None, ...], str] = {
        ("address", "street"): "text",
        ("mail",): "email",
        ("contacts", None, "value"): "hash",
        ("a.b", 'q"$'): "name",
        ("prefs",): "keep",
        ("age",): "number",
    }
    documents = [any_document() for _ in range(300)]
    found = masked_documents(database, "remove", kind, [json.dumps(each) for each in documents])
    assert [pair for pair in zip(documents, found, strict=True) if not agrees(*pair, paths)] == []
    action = action_of({"json": PATHS})
    table = database.table(kind=kind, values=[json.dumps(each) for each in documents])
    with database.work() as opened:
        unmasked = not_masked(database.column(opened, table), action)
        assert unmasked is not None
        rows = opened.rows(sql.SQL("SELECT {} FROM {} ORDER BY id").format(unmasked, sql.Identifier("public", table)))
    # Found are the documents in which something would change, if it is more than a number that fits.
    assert [bool(wrong) for (wrong,) in rows[:-1]] == [
        one != other for one, other in zip(documents, found, strict=True)
    ]
