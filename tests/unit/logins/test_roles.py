"""The list of further roles in the application's secret: what it may say, and what is refused before a side effect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.support import APP_SECRET, REGION
from utils.aws import client
from utils.errors import StepFailed
from utils.logins.application import ApplicationSecret
from utils.logins.roles import read_logins

pytestmark = pytest.mark.usefixtures("account")

TWO = {"app_username": "app", "app_password": "p4ss-1", "readonly_user": "report", "readonly_pwd": "p4ss-2"}


def put(*roles: object, **others: Any) -> None:
    content = TWO | {"roles": list(roles)} | others
    client("secretsmanager").put_secret_value(SecretId=APP_SECRET, SecretString=json.dumps(content))


def content() -> Any:
    return json.loads(client("secretsmanager").get_secret_value(SecretId=APP_SECRET)["SecretString"])


def wrong() -> list[str]:
    found = ApplicationSecret(APP_SECRET).whats_wrong("postgres")
    secret = f"--secret-id {APP_SECRET} --region {REGION}"
    remedy = f". Correct it: aws secretsmanager put-secret-value {secret} --secret-string file://FILE"
    assert all(each.endswith(remedy) for each in found)
    assert "p4ss" not in str(found)
    return [each.removesuffix(remedy).split("is not valid: ")[1] for each in found]


def a_role(**changes: Any) -> dict[str, Any]:
    return {"name": "etl", "password": "p4ss-3", "profile": "read_write"} | changes


def test_any_number_of_roles_with_places_of_their_own_is_fine() -> None:
    put(
        a_role(),
        a_role(name='Größe \'n "quotes"', profile="owner", databases=["a b", "select"], schemas=["Ü" * 31]),
        a_role(name="x" * 63, profile="read_only", schemas=["public"]),
    )
    assert wrong() == []
    assert [role.name for role in ApplicationSecret(APP_SECRET).logins().everyone()] == [
        "app",
        "report",
        "etl",
        'Größe \'n "quotes"',
        "x" * 63,
    ]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("etl", "roles[0] is not an object with name and profile"),
        ({"profile": "owner"}, "roles[0] has no text as its name"),
        (a_role(name=7), "roles[0] has no text as its name"),
        (a_role(password=4444), "roles[0] has a password that is not a text"),
        (a_role(profil="p4ss"), "roles[0] has an unknown key 'profil'; it may have name, password, profile, databases"),
        (a_role(profile="p4ss"), "roles[0] has no profile that exists; it can be read_only, read_write, owner"),
        ({"name": "etl"}, "roles[0] has no profile that exists"),
        (
            a_role(databases="orders"),
            "roles[0] has databases that are not a list of names; omit databases for all of them",
        ),
        (a_role(databases=[]), "roles[0] has databases that are not a list of names"),
        (a_role(schemas=[1]), "roles[0] has schemas that are not a list of names"),
        (a_role(databases=[""]), "roles[0] names '' among its databases, which is not a name (1 to 63 bytes)"),
        (a_role(schemas=["ü" * 32]), f"roles[0] names {'ü' * 32!r} among its schemas, which is not a name"),
        (a_role(schemas=["nul\0"]), "roles[0] names 'nul\\x00' among its schemas, which is not a name"),
        (a_role(databases=["rdsadmin"]), "roles[0] names 'rdsadmin' among its databases, which is the system's"),
        (a_role(schemas=["pg_catalog"]), "roles[0] names 'pg_catalog' among its schemas, which is the system's"),
        (a_role(name="rdsadmin"), "roles[0].name is 'rdsadmin', which cannot be a role of the application's"),
        (a_role(name="postgres"), "roles[0].name is 'postgres', which cannot be a role"),
        (a_role(name="app"), "roles[0].name is 'app', as is its app_username; each needs a name of its own"),
        (a_role(password="p4ss\0"), "the password of 'etl' (roles[0].name) has a NUL character"),
    ],
)
def test_an_entry_that_cant_be_is_refused_and_no_password_shown(entry: object, said: str) -> None:
    put(entry)
    (found,) = wrong()
    assert found.startswith(said)


def test_a_list_that_is_none_is_refused() -> None:
    put(roles={"etl": {}})
    assert wrong() == ["roles is not a list of objects"]


def test_all_that_is_wrong_with_the_list_is_told_at_once() -> None:
    put(a_role(profile="x"), a_role(name=""), "y")
    assert len(wrong()) == 2


def test_two_roles_of_one_name_are_refused() -> None:
    put(a_role(), a_role())
    assert wrong() == ["roles[1].name is 'etl', as is its roles[0].name; each needs a name of its own"]


@pytest.mark.parametrize(
    ("one", "other", "rivals"),
    [
        ({}, {}, True),
        ({"databases": ["a"]}, {"databases": ["b"]}, False),
        ({"databases": ["a"]}, {}, True),
        ({"schemas": ["a"]}, {"schemas": ["b"]}, False),
        ({"schemas": ["a", "b"]}, {"schemas": ["b"]}, True),
        ({"databases": ["a"], "schemas": ["s"]}, {"databases": ["b"], "schemas": ["s"]}, False),
    ],
)
def test_a_schema_has_one_owner(one: dict[str, Any], other: dict[str, Any], rivals: bool) -> None:
    put(a_role(name="one", profile="owner", **one), a_role(name="other", profile="owner", **other))
    said = ["roles[1] 'other' and roles[0] 'one' would own the same schemas; name databases or schemas so that"]
    assert [each[: len(said[0])] for each in wrong()] == (said if rivals else [])


def test_rule_5_a_password_that_is_missing_in_the_list_is_made_stored_and_found_again() -> None:
    put({"name": "etl", "profile": "owner"}, a_role(name="kept"), team="orders")
    made = ApplicationSecret(APP_SECRET).logins()
    assert made == ApplicationSecret(APP_SECRET).logins()
    assert len(made.roles[0].password) == 36
    assert content() == TWO | {
        "roles": [{"name": "etl", "profile": "owner", "password": made.roles[0].password}, a_role(name="kept")],
        "team": "orders",
    }


def test_rule_9_no_password_shows_when_a_role_is_printed() -> None:
    put(a_role())
    logins = read_logins(json.dumps(content()))
    assert logins is not None
    assert "p4ss" not in repr(logins) + repr(logins.everyone()) + str(logins)


def test_rule_9_a_list_that_was_spoilt_after_the_first_step_stops_the_run_without_showing_it() -> None:
    put(a_role(password=4444, profile="p4ss"))
    with pytest.raises(StepFailed, match=r"roles\[0\] has a password that is not a text") as failed:
        ApplicationSecret(APP_SECRET).logins()
    assert "p4ss" not in str(failed.value)
    assert "4444" not in str(failed.value)
