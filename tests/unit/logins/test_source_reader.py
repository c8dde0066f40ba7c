"""The login of a source is read from its secret, and nothing of a secret that cannot be used is said."""

from __future__ import annotations

import pytest

from utils.aws import client
from utils.errors import StepFailed
from utils.logins.source_reader import read_source_login

pytestmark = pytest.mark.usefixtures("account")


def stored(text: str) -> str:
    return str(client("secretsmanager").create_secret(Name="prod/reader", SecretString=text)["ARN"])


def test_the_login_is_read_and_its_password_is_not_shown() -> None:
    login = read_source_login(stored('{"username": "reader", "password": "not-shown", "host": "evil.example.com"}'))
    assert (login.username, login.password) == ("reader", "not-shown")
    assert "not-shown" not in repr(login)


@pytest.mark.parametrize(
    "text",
    [
        "hunter2",
        "[]",
        '{"username": "hunter2", "password": ""}',
        '{"username": "hunter2"}',
        '{"username": 1, "password": "hunter2"}',
    ],
)
def test_a_secret_without_a_login_is_said_without_its_content(text: str) -> None:
    with pytest.raises(StepFailed, match="is no JSON with a username and a password") as failure:
        read_source_login(stored(text))
    assert "hunter2" not in str(failure.value)


def test_a_secret_that_is_gone_is_said() -> None:
    arn = stored("{}")
    client("secretsmanager").delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    with pytest.raises(StepFailed, match=r"cannot be read: ResourceNotFoundException\. Check that it exists"):
        read_source_login(arn)
