"""Secrets Manager, where moto is more generous than AWS: versions, labels, and names that are about to go."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from scripts.local_aws.server import LocalAws

FIRST, SECOND = "11111111-2222-3333-4444-555555555555", "66666666-7777-8888-9999-000000000000"
_numbers = itertools.count(1)


@pytest.fixture
def secrets(aws: LocalAws) -> Any:
    return aws.client("secretsmanager")


@pytest.fixture
def secret(secrets: Any) -> str:
    return str(secrets.create_secret(Name=f"without-a-value-{next(_numbers)}")["ARN"])


def labels(secrets: Any, secret: str) -> dict[str, list[str]]:
    found = secrets.describe_secret(SecretId=secret).get("VersionIdsToStages", {})
    return {version: sorted(each) for version, each in found.items()}


def put(secrets: Any, secret: str, version: str, value: str) -> None:
    secrets.put_secret_value(
        SecretId=secret, ClientRequestToken=version, SecretString=value, VersionStages=["AWSPENDING"]
    )


def test_a_version_that_comes_again_is_ignored_and_with_another_value_refused(secrets: Any, secret: str) -> None:
    """The answer to the first was lost. The first version of all is the current one as well."""
    for _ in range(2):
        put(secrets, secret, FIRST, "one")
        assert labels(secrets, secret) == {FIRST: ["AWSCURRENT", "AWSPENDING"]}
    with pytest.raises(secrets.exceptions.ResourceExistsException):
        put(secrets, secret, FIRST, "another")
    assert secrets.get_secret_value(SecretId=secret)["SecretString"] == "one"


def test_a_label_moves_only_from_the_version_that_bears_it(secrets: Any, secret: str) -> None:
    put(secrets, secret, FIRST, "one")
    put(secrets, secret, SECOND, "two")
    move: dict[str, str] = {"SecretId": secret, "VersionStage": "AWSCURRENT", "MoveToVersionId": SECOND}
    with pytest.raises(secrets.exceptions.InvalidParameterException):
        secrets.update_secret_version_stage(**move)
    secrets.update_secret_version_stage(**move, RemoveFromVersionId=FIRST)
    assert labels(secrets, secret) == {FIRST: ["AWSPREVIOUS"], SECOND: ["AWSCURRENT", "AWSPENDING"]}
    assert secrets.get_secret_value(SecretId=secret)["SecretString"] == "two"


def test_the_name_of_what_is_going_stays_taken(aws: LocalAws, secrets: Any, secret: str) -> None:
    """As long as it can be restored; removed by force, for a moment more."""
    name = secrets.describe_secret(SecretId=secret)["Name"]
    secrets.delete_secret(SecretId=secret, RecoveryWindowInDays=7)
    for refused in (lambda: secrets.create_secret(Name=name), lambda: put(secrets, secret, FIRST, "one")):
        with pytest.raises(secrets.exceptions.InvalidRequestException):
            refused()
    secrets.restore_secret(SecretId=secret)
    secrets.delete_secret(SecretId=secret, ForceDeleteWithoutRecovery=True)
    with pytest.raises(secrets.exceptions.InvalidRequestException, match="already scheduled for deletion"):
        secrets.create_secret(Name=name)
    aws.clock.sleep(60)
    secrets.create_secret(Name=name)
