"""Every unit test starts with a fresh account: its tables and secrets in moto, its Aurora in FakeRds."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from tests.unit.fake_groups import FakeKeys, FakeNetwork
from tests.unit.fake_machine import FakeMachine
from tests.unit.fake_rds import Clock, FakeRds
from tests.unit.support import ADMIN_SECRET, APP_SECRET, AUDIT_TABLE, REGION, SOURCE_REGION, STACK, STATE_TABLE
from utils.aws import client


@pytest.fixture(autouse=True)
def stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions' environment as the template sets it, and nothing of the machine's own AWS settings."""
    for name in os.environ:
        if name.startswith(("AWS_", "DEFAULT_", "POWERTOOLS_")):
            monkeypatch.delenv(name)
    for name, value in STACK.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def account() -> Iterator[None]:
    """The stack's tables, secrets and topic."""
    with mock_aws():
        tables = client("dynamodb")
        for table, keys in ((STATE_TABLE, ["operation_id"]), (AUDIT_TABLE, ["operation_id", "timestamp"])):
            tables.create_table(
                TableName=table,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
                KeySchema=[
                    {"AttributeName": key, "KeyType": "RANGE" if key == "timestamp" else "HASH"} for key in keys
                ],
            )
        secrets = client("secretsmanager")
        secrets.create_secret(Name=ADMIN_SECRET, SecretString="{}")
        secrets.create_secret(
            Name=APP_SECRET,
            SecretString=json.dumps(
                {
                    "app_username": "orders_app",
                    "app_password": "an-application-password",
                    "readonly_user": "orders_report",
                    "readonly_pwd": "a-reporting-password",
                }
            ),
        )
        yield


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _aurora_in(region: str, clock: Clock) -> Iterator[FakeRds]:
    fake, rds = FakeRds(region, clock), client("rds", region)
    fake.connect(rds)
    yield fake
    fake.disconnect(rds)


@pytest.fixture
def rds(clock: Clock, stack: None) -> Iterator[FakeRds]:
    """Aurora in the target region, where the stack lives."""
    yield from _aurora_in(REGION, clock)


@pytest.fixture
def source_rds(clock: Clock, stack: None) -> Iterator[FakeRds]:
    """Aurora in another region."""
    yield from _aurora_in(SOURCE_REGION, clock)


@pytest.fixture
def network(stack: None) -> Iterator[FakeNetwork]:
    """The security groups of the target region."""
    fake, ec2 = FakeNetwork(REGION), client("ec2", REGION)
    fake.connect(ec2)
    yield fake
    fake.disconnect(ec2)


@pytest.fixture
def machine(stack: None) -> Iterator[FakeMachine]:
    """The executions of the state machine."""
    fake, executions = FakeMachine(REGION), client("stepfunctions")
    fake.connect(executions)
    yield fake
    fake.disconnect(executions)


def _keys_in(region: str) -> Iterator[FakeKeys]:
    fake, kms = FakeKeys(region), client("kms", region)
    fake.connect(kms)
    yield fake
    fake.disconnect(kms)


@pytest.fixture
def keys(stack: None) -> Iterator[FakeKeys]:
    """The keys of the target region."""
    yield from _keys_in(REGION)


@pytest.fixture
def source_keys(stack: None) -> Iterator[FakeKeys]:
    """The keys of another region."""
    yield from _keys_in(SOURCE_REGION)


@pytest.fixture
def surroundings(
    account: None, network: FakeNetwork, keys: FakeKeys, source_keys: FakeKeys, machine: FakeMachine
) -> None:
    """All that a new cluster needs is there, as far as RDS itself doesn't have it."""


class LogLines:
    """What the functions' logger wrote, line by line."""

    def __init__(self) -> None:
        self.text = io.StringIO()

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.getvalue().splitlines()]


@pytest.fixture
def logs() -> Iterator[LogLines]:
    from utils.common import log  # its import is what sets the logger up

    lines = LogLines()
    handlers = [each for each in logging.getLogger(log.service).handlers if isinstance(each, logging.StreamHandler)]
    before = [each.setStream(lines.text) for each in handlers]
    yield lines
    for each, stream in zip(handlers, before, strict=True):
        if stream is not None:
            each.setStream(stream)
