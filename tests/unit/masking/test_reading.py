"""What a policy says, and everything that is wrong with one, each with its line."""

from __future__ import annotations

import json
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.masking.policy import (
    Constant,
    DateShift,
    Each,
    Email,
    Expression,
    Hash,
    Json,
    Keep,
    Name,
    Number,
    Phone,
    SetNull,
    Text,
)
from utils.masking.reading import read_policy
from utils.policies.fields import MAX_BYTES, InvalidPolicy

FRAME = "version: 1\ndatabases:\n  shop:\n    columns:\n"


def columns(*lines: str) -> str:
    return FRAME + "".join(f"      {line}\n" for line in lines)


def action(written: str) -> object:
    ((rule,),) = (rules.columns for rules in read_policy(columns(f"app.users.x: {written}")).databases)
    return rule.action


def faults(text: str) -> list[str]:
    with pytest.raises(InvalidPolicy) as caught:
        read_policy(textwrap.dedent(text))
    return caught.value.faults


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("keep", Keep()),
        ("set_null", SetNull()),
        ("{constant: null}", Constant("null")),
        ("{constant: +49}", Constant("+49")),
        ("{constant: 0123}", Constant("0123")),
        ("{constant: no}", Constant("no")),
        ("{constant: 12:30:45}", Constant("12:30:45")),
        ("{constant: ''}", Constant("")),
        ("hash", Hash()),
        ("{hash: {}}", Hash()),
        ("{hash: {length: 12, group: people, lower: true}}", Hash(12, "people", lower=True)),
        ("email", Email()),
        ("{email: {lower: false, length: 16}}", Email(16)),
        ("{name: {group: people}}", Name("people")),
        ("{phone: {prefix: +49, digits: 9, unique: true}}", Phone("+49", 9, unique=True)),
        ("{phone: {prefix: ''}}", Phone("")),
        ("text", Text()),
        ("{number: {between: [18, 90]}}", Number("18", "90")),
        ("{number: {between: [-0.50, 10]}}", Number("-0.50", "10")),
        ("{date_shift: {days: 30}}", DateShift(30)),
        ("""{sql: "'Ticket ' || id"}""", Expression("'Ticket ' || id")),
        ("{each: {hash: {length: 8}}}", Each(Hash(8))),
    ],
)
def test_each_action_is_read_as_it_is_written(written: str, meant: object) -> None:
    assert action(written) == meant


def test_paths_of_a_document_are_read_with_their_actions() -> None:
    document = action("""{json: {$.a.b: text, '$.c[*].d': hash, '$."e.f"': keep, $.g.**: keep}, other_paths: fail}""")
    assert isinstance(document, Json)
    assert [(path.steps, path.below, path.action) for path in document.paths] == [
        (("a", "b"), False, Text()),
        (("c", None, "d"), False, Hash()),
        (("e.f",), False, Keep()),
        (("g",), True, Keep()),
    ]
    assert document.other_paths == "fail"


def test_statements_and_checks_stand_in_the_policy_itself() -> None:
    policy = read_policy(
        textwrap.dedent(
            """\
            version: 1
            unclassified: list
            types: {boolean: keep, double precision: keep}
            databases:
              "shop_{de,fr}":
                tables: {app.audit: empty, "app.session_*": empty}
                large_objects: empty
                foreign_servers: [archive]
                sql:
                  the second: |
                    UPDATE app.users SET a = 1;
                    UPDATE app.users SET b = 2;
                  owned: {owner: app, text: SELECT 1}
                canaries: [Jane Doe, "1234567"]
                checks:
                  no_mail: SELECT 1 FROM app.users
            """
        )
    )
    (rules,) = policy.databases
    assert policy.unclassified == "list"
    assert policy.kept_types == {"boolean", "double precision"}
    assert [pattern.name for pattern in rules.patterns] == [("shop_de",), ("shop_fr",)]
    assert [(rule.pattern.name, rule.line) for rule in rules.tables] == [(("app", "audit"), 6), (None, 6)]
    assert (rules.large_objects, rules.foreign_servers) == ("empty", ["archive"])
    assert [(each.name, each.text, each.owner) for each in rules.sql] == [
        ("the second", "UPDATE app.users SET a = 1;\nUPDATE app.users SET b = 2;\n", None),
        ("owned", "SELECT 1", "app"),
    ]
    assert rules.canaries == ["Jane Doe", "1234567"]
    assert [(each.name, each.text) for each in rules.checks] == [("no_mail", "SELECT 1 FROM app.users")]


def test_what_is_not_written_has_the_careful_default() -> None:
    policy = read_policy("version: 1\ndatabases: {shop: {}}")
    (rules,) = policy.databases
    assert (policy.unclassified, policy.kept_types) == ("fail", frozenset())
    assert (rules.large_objects, rules.foreign_servers) == ("refuse", [])


def test_everything_that_is_wrong_is_reported_at_once_in_the_order_of_the_lines() -> None:
    assert faults(
        """\
        version: 2
        unclassified: maybe
        types: {text: keep, uuid: hash}
        databases:
          shop:
            columns:
              app.users.email: null
              app.users: hash
              app.users.phone: {phone: {digits: 2, foo: 1}}
              app.users.phone: keep
            tables: {app.audit: drop}
            tabels: {}
        """
    ) == [
        "Line 1: `version` is 1: no other is known.",
        "Line 2: `unclassified` is one of fail, list.",
        "Line 3: columns of the type 'text' are not kept by their type, only by a rule for each. By their type, these"
        " can be: boolean, smallint, integer, bigint, numeric, real, double precision, money, uuid, time, timetz,"
        " timestamp, timestamptz, interval, enum.",
        "Line 3: by its type, a column can only be kept. Write `keep`.",
        "Line 7: the action 'null' is not known. There are keep, set_null, constant, hash, email, name, phone, text,"
        " number, date_shift, sql, each, json. `set_null` sets a value to NULL.",
        "Line 8: 'app.users' is no name of 3 parts between dots, such as app.users.email.",
        "Line 9: `phone` needs `digits`, a whole number from 4 to 15, not '2'.",
        "Line 9: `phone` has no option 'foo'. It has prefix, digits, unique, group.",
        "Line 10: 'app.users.phone' stands here for the second time, after line 9.",
        "Line 11: a table can only be emptied. Write `empty`, or rules for its columns.",
        "Line 12: database 'shop' has no field 'tabels'. It has canaries, checks, columns, foreign_servers,"
        " large_objects, sql, tables.",
    ]


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("{hash: {length: 4}}", "`hash` needs `length`, a whole number from 5 to 64, not '4'"),
        ("{hash: {length: -8}}", "not '-8'"),
        ("{hash: {length: 08x}}", "not '08x'"),
        ("{hash: 12}", "`hash` has its options in braces"),
        ("{hash: {lower: yes}}", "`hash` needs true or false as `lower`, not 'yes'"),
        ("{hash: {group: ''}}", "`hash` needs a group of 1 to 100 printable characters"),
        ('{hash: {group: "a\\x1fb"}}', "`hash` needs a group of 1 to 100 printable characters"),
        ("{hash: {group: [a]}}", "`hash` needs a single value as `group`"),
        ("{keep: {}}", "`keep` has no options"),
        ("{set_null: true}", "`set_null` has no options"),
        ("constant", "`constant` needs its value"),
        ("{constant: [a]}", "`constant` needs its value"),
        ("{phone: {prefix: abc}}", "`phone` needs a prefix of at most 16 digits and signs"),
        ("{text: {length: 7}}", "`text` needs `length`, a whole number from 8 to 10000"),
        ("number", "`number` needs two numbers as its range"),
        ("{number: {between: [90, 18]}}", "`number` needs two numbers as its range"),
        ("{number: {between: [1, NaN]}}", "`number` needs two numbers as its range"),
        ("{number: {between: [1, 1e5]}}", "`number` needs two numbers as its range"),
        ("{number: {between: 5}}", "`number` needs two numbers as its range"),
        ("{number: {between: [0.0000000001, 1000000]}}", "`number` has a range of more than"),
        ("{date_shift: {days: 0}}", "`date_shift` needs `days`, a whole number from 1 to 36500, not '0'"),
        ("date_shift", "`date_shift` needs `days`, a whole number from 1 to 36500"),
        ("{sql: ''}", "the expression of `sql` is empty"),
        ("each", "`each` needs the action for the elements"),
        ("{each: keep}", "`each` takes none but constant, hash, email"),
        ("{each: {each: hash}}", "`each` takes none but"),
        ("{each: unknown}", "the action 'unknown' is not known"),
        ("{json: text}", "`json` needs paths and their actions"),
        ("{json: {}}", "`json` needs paths and their actions"),
        ("{json: {a.b: text}}", "the path 'a.b' does not begin with $"),
        ("{json: {$.a: {date_shift: {days: 1}}}}", "a path of `json` takes none but keep"),
        ("{json: {$.a: {sql: '1'}}}", "a path of `json` takes none but keep"),
        ("{json: {$.a.**: hash}}", "can only be kept"),
        ("{json: {$.a: hash, $.a.b: hash}}", "the paths $.a and $.a.b contradict each other"),
        ("{json: {$.a.**: keep, $.a.b: hash}}", "contradict each other"),
        ("{json: {$.a: hash}, other_paths: drop}", "`other_paths` is one of remove, fail, keep"),
        ("{json: {$.a: hash}, other: keep}", "'other' is not known beside `json`"),
        ("[hash]", "this is not one action"),
        ("{hash: {}, email: {}}", "this is not one action"),
        ("{}", "this is not one action"),
        ("", "the action '' is not known"),
        ('"\\0"', "an escape of a character that PostgreSQL takes in no text"),
        ('"\\ud83d"', "an escape of a character that PostgreSQL takes in no text"),
    ],
)
def test_an_action_that_is_wrong_is_refused(written: str, fault: str) -> None:
    found = faults(columns(f"app.users.x: {written}"))
    assert found
    assert all(each.startswith("Line 5: ") for each in found)
    assert any(fault in each for each in found), found


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "Line 1: the document is empty."),
        ("version", "Line 1: the policy needs keys with values, each after a colon."),
        ("version: 1", "Line 1: the policy needs the field 'databases'."),
        ("version: 1\ndatabases: [a]", "Line 2: `databases` needs keys with values, each after a colon."),
        ("version: 1\ndatabases: {a: {sql: {b: [c]}}}", "Line 2: `sql` needs SQL as a text"),
        ("version: 1\ndatabases: {a: {checks: {b: ''}}}", "Line 2: `checks` needs SQL as a text"),
        ("version: 1\ndatabases: {a: {canaries: real}}", "Line 2: `canaries` is a list"),
        (
            "version: 1\ndatabases: {a: {canaries: [Jane Doe, Al]}}",
            "Line 2: each of `canaries` has 6 to 200 characters.",
        ),
        (
            f"version: 1\ndatabases: {{a: {{canaries: [{', '.join(['Jane Doe'] * 101)}]}}}}",
            "Line 2: `canaries` has 101 values. It may have 100.",
        ),
        ("version: 1\ndatabases: {a: {sql: {b: {text: SELECT}}}}", "Line 2: `sql` 'b' needs the field 'owner'."),
        (
            "version: 1\ndatabases: {a: {sql: {b: {owner: [], text: SELECT}}}}",
            "Line 2: `owner` is the name of a role.",
        ),
        ("version: 1\ndatabases: {a: {sql: {$x: SELECT}}}", "Line 2: '$x' is no name."),
        ("version: 1\ndatabases: {a: {foreign_servers: b}}", "Line 2: `foreign_servers` is a list"),
        ("a: &x 1\nb: *x", "Line 1: the anchor &x is refused."),
        ("a: 1\nb: *x", "Line 2: the alias *x is refused."),
        ("a: 1\n<<: 2", "Line 2: the policy has no field '<<'."),
        ("a: !!python/object/apply:os.system [ls]", "Line 1: the tag tag:yaml.org,2002:python/object/apply:os.system"),
        ("? [a]\n: 1", "Line 1: a key has to be a text."),
        ("a: 1\n---\nb: 2", "Line 2: a second document begins here."),
        ("a: {", "Line 1: this is not YAML:"),
        ("a: 1\nb: \t- x: }", "Line 2: this is not YAML:"),
        ("a: 1\nb: \x07", "Line 2: the character U+0007 does not belong into a YAML document."),
        ("[" * 50, "Line 1: this stands deeper than 20 levels."),
        ("[" * 200_000, "Line 1: this stands deeper than 20 levels."),
        ("a" * (MAX_BYTES + 1), f"The policy has {MAX_BYTES + 1} bytes. It may have {MAX_BYTES}."),
    ],
)
def test_a_document_that_is_no_policy_is_refused(text: str, fault: str) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        read_policy(text)
    assert any(each.startswith(fault) for each in caught.value.faults), caught.value.faults


@given(st.text(alphabet=st.sampled_from("ab:{}[]&*!|>'\"\n -#%@,?\\0\x00\ud800é😀")))
def test_no_text_at_all_does_anything_else_than_be_refused(text: str) -> None:
    with pytest.raises(InvalidPolicy) as caught:
        read_policy(text)
    assert caught.value.faults


def refusals(text: str) -> list[str]:
    try:
        read_policy(text)
    except InvalidPolicy as error:
        return error.faults
    return []


@given(st.text(max_size=60))
def test_a_refusal_of_any_text_is_one_line(text: str) -> None:
    """Whether the text is an action, an option or a name."""
    for written in (
        f"app.users.x: {text}",
        f"app.users.x: {{constant: x, {text}: y}}",
        f"{json.dumps(text)}: hash",
        f"app.users.x: {{json: {{{json.dumps(text)}: hash}}}}",
    ):
        assert all(each.isprintable() for each in refusals(columns(written)))
