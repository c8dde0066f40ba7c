"""The two secrets: a crash at any point leaves a password that somebody knows."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from tests.unit.support import ADMIN_SECRET, APP_SECRET, lost_answer
from utils.aws import client
from utils.errors import StepFailed
from utils.logins.application import ApplicationSecret
from utils.logins.master import AdminSecret, MasterLogin, new_password
from utils.logins.roles import ApplicationLogins

pytestmark = pytest.mark.usefixtures("account")

VERSION = AdminSecret.version_for("cluster-C0FFEE")
HOST = "staging-orders.cluster-c0ffee.us-east-1.rds.amazonaws.com"


def stage(version: str = VERSION) -> MasterLogin:
    return AdminSecret(ADMIN_SECRET).stage(version, "postgres", HOST, 5432, "staging-orders")


def secret(name: str = ADMIN_SECRET, stage: str = "AWSCURRENT") -> dict[str, Any]:
    text = client("secretsmanager").get_secret_value(SecretId=name, VersionStage=stage)["SecretString"]
    content: dict[str, Any] = json.loads(text)
    return content


def stages() -> dict[str, list[str]]:
    return client("secretsmanager").describe_secret(SecretId=ADMIN_SECRET)["VersionIdsToStages"]


def test_a_staged_login_is_pending_and_has_the_keys_of_aws() -> None:
    login = stage()
    assert secret(stage="AWSPENDING") == {
        "username": "postgres",
        "password": login.password,
        "host": HOST,
        "port": 5432,
        "engine": "postgres",
        "dbClusterIdentifier": "staging-orders",
    }
    assert secret() == {}, "nothing becomes current before a login has worked"


def test_rule_5_staging_again_finds_the_same_password() -> None:
    assert stage() == stage()


def test_rule_5_staging_again_after_a_lost_answer_finds_the_same_password() -> None:
    with lost_answer(client("secretsmanager"), "secrets-manager", "PutSecretValue"), pytest.raises(ReadTimeoutError):
        stage()
    stored = secret(stage="AWSPENDING")["password"]
    assert stage().password == stored


def test_rule_5_a_password_that_was_staged_is_read_and_not_replaced_however_it_is_labelled() -> None:
    staged = stage()
    AdminSecret(ADMIN_SECRET).promote(VERSION)
    assert stage() == staged
    assert stages()[VERSION] == ["AWSCURRENT"]


def test_two_clusters_have_two_passwords_whatever_their_names() -> None:
    first, second = (AdminSecret.version_for(f"cluster-{number}") for number in (1, 2))
    assert stage(first).password != stage(second).password


def test_what_was_staged_is_found_by_a_later_step() -> None:
    login = stage()
    assert VERSION in stages()
    assert AdminSecret(ADMIN_SECRET).staged(VERSION) == login


def test_a_login_that_was_never_staged_is_for_a_person() -> None:
    with pytest.raises(StepFailed, match=f"no longer has the version {VERSION}"):
        AdminSecret(ADMIN_SECRET).staged(VERSION)


def test_promotion_makes_the_login_current_and_keeps_the_previous_one() -> None:
    before = next(version for version, labels in stages().items() if "AWSCURRENT" in labels)
    login = stage()
    AdminSecret(ADMIN_SECRET).promote(VERSION)
    assert secret()["password"] == login.password
    assert stages()[before] == ["AWSPREVIOUS"]
    assert stages()[VERSION] == ["AWSCURRENT"]


def test_the_first_version_of_a_secret_is_promoted_by_taking_its_pending_label() -> None:
    arn = client("secretsmanager").create_secret(Name="without-a-value")["ARN"]
    admin = AdminSecret(arn)
    admin.stage(VERSION, "postgres", HOST, 5432, "staging-orders")
    for _ in range(2):
        assert admin.is_promoted(VERSION)
        labels = client("secretsmanager").describe_secret(SecretId=arn)["VersionIdsToStages"]
        assert labels == {VERSION: ["AWSCURRENT"]}


def test_a_version_beside_an_earlier_one_is_not_promoted_by_itself() -> None:
    stage()
    assert not AdminSecret(ADMIN_SECRET).is_promoted(VERSION)
    assert stages()[VERSION] == ["AWSPENDING"]


def test_rule_5_promoting_twice_is_as_good_as_once() -> None:
    stage()
    AdminSecret(ADMIN_SECRET).promote(VERSION)
    before = stages()
    AdminSecret(ADMIN_SECRET).promote(VERSION)
    assert stages() == before


def test_rule_5_a_promotion_that_died_half_way_is_completed() -> None:
    stage()
    secrets = client("secretsmanager")
    with lost_answer(secrets, "secrets-manager", "UpdateSecretVersionStage"), pytest.raises(ReadTimeoutError):
        AdminSecret(ADMIN_SECRET).promote(VERSION)
    assert stages()[VERSION] == ["AWSPENDING", "AWSCURRENT"]
    AdminSecret(ADMIN_SECRET).promote(VERSION)
    assert stages()[VERSION] == ["AWSCURRENT"]


@contextmanager
def refused(event: str, code: str) -> Iterator[None]:
    """Within the block Secrets Manager refuses to move a label; after it did so, or without (`before-call`)."""

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": code, "Message": "The label isn't there."}}, "UpdateSecretVersionStage")

    events = client("secretsmanager").meta.events
    events.register(f"{event}.secrets-manager.UpdateSecretVersionStage", refuse)
    try:
        yield
    finally:
        events.unregister(f"{event}.secrets-manager.UpdateSecretVersionStage", refuse)


def test_rule_5_a_label_that_a_first_attempt_has_moved_is_fine_where_it_is() -> None:
    login = stage()
    with refused("after-call", "InvalidParameterException"):
        AdminSecret(ADMIN_SECRET).promote(VERSION)
    assert secret()["password"] == login.password
    assert stages()[VERSION] == ["AWSCURRENT"]


@pytest.mark.parametrize(
    ("event", "code"), [("before-call", "InvalidParameterException"), ("after-call", "LimitExceededException")]
)
def test_a_label_that_wasnt_moved_or_another_refusal_is_an_error(event: str, code: str) -> None:
    stage()
    with refused(event, code), pytest.raises(ClientError, match=code):
        AdminSecret(ADMIN_SECRET).promote(VERSION)


@pytest.mark.parametrize(("operation", "staged"), [("GetSecretValue", True), ("PutSecretValue", False)])
def test_a_secret_that_cant_be_read_or_written_is_neither_empty_nor_full(operation: str, staged: bool) -> None:
    if staged:
        stage()
    before = stages()

    def deny(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, operation)

    events = client("secretsmanager").meta.events
    events.register(f"before-call.secrets-manager.{operation}", deny)
    try:
        with pytest.raises(ClientError, match="AccessDenied"):
            stage()
    finally:
        events.unregister(f"before-call.secrets-manager.{operation}", deny)
    assert stages() == before, "no second password was stored"


# The application's secret


def put_app_secret(content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    client("secretsmanager").put_secret_value(SecretId=APP_SECRET, SecretString=text)


def test_complete_logins_are_taken_as_they_are() -> None:
    assert ApplicationSecret(APP_SECRET).logins() == ApplicationLogins(
        app_username="orders_app",
        app_password="an-application-password",
        readonly_user="orders_report",
        readonly_pwd="a-reporting-password",
    )


def test_a_missing_password_is_made_and_stored_so_that_somebody_can_use_it() -> None:
    put_app_secret({"app_username": "app", "readonly_user": "report", "readonly_pwd": "kept", "team": "orders"})
    logins = ApplicationSecret(APP_SECRET).logins()
    assert len(logins.app_password) == 36
    assert secret(APP_SECRET) == {
        "app_username": "app",
        "app_password": logins.app_password,
        "readonly_user": "report",
        "readonly_pwd": "kept",
        "team": "orders",
    }


def test_rule_5_a_password_once_made_is_found_again() -> None:
    put_app_secret({"app_username": "app", "readonly_user": "report"})
    assert ApplicationSecret(APP_SECRET).logins() == ApplicationSecret(APP_SECRET).logins()


@pytest.mark.parametrize(
    "content",
    [
        "p4ssw0rd-in-plain-text",
        '["p4ssw0rd-in-a-list"]',
        {"app_username": "p4ssw0rd-alone"},
        {"app_username": "app", "app_password": 4444, "readonly_user": "report"},
        {"app_username": "app", "app_password": {"p4ssw0rd": 1}, "readonly_user": "report"},
    ],
)
def test_rule_9_an_unusable_secret_is_refused_without_showing_it(content: object) -> None:
    put_app_secret(content)
    with pytest.raises(StepFailed, match="a JSON object with the texts app_username") as failed:
        ApplicationSecret(APP_SECRET).logins()
    assert "p4ssw0rd" not in str(failed.value)
    assert "4444" not in str(failed.value)
    assert failed.value.__context__ is None, "the decoder's own complaint shows what it read"


# Passwords


def test_a_new_password_is_one_that_rds_takes_and_nobody_has() -> None:
    """RDS: 8 to 41 printable ASCII characters without / ' " @ and space."""
    passwords = {new_password() for _ in range(200)}
    assert len(passwords) == 200
    for password in passwords:
        assert 8 <= len(password) <= 41
        assert set(password) <= set(string.printable) - set("/'\"@ \t\n\r\x0b\x0c")


def test_rule_9_a_login_shows_no_password_when_it_is_printed() -> None:
    login = stage()
    logins = ApplicationSecret(APP_SECRET).logins()
    for shown in (repr(login), str(login), f"{login}", repr([login]), repr(logins), str(logins)):
        assert login.password not in shown
        assert logins.app_password not in shown
        assert logins.readonly_pwd not in shown
