"""Every unit test starts with a fresh account: its tables and secrets in moto, its Aurora in FakeRds."""

from __future__ import annotations

import copy
import datetime as dt
import io
import json
import logging
import os
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws
from moto.core import models as moto_core
from moto.dynamodb.models import dynamodb_backends
from moto.secretsmanager.models import secretsmanager_backends

from scripts.local_aws.moto_fixes import item_values, response_keys, secret_versions
from tests.unit.fakes.groups import FakeKeys, FakeNetwork
from tests.unit.fakes.machine import FakeMachine
from tests.unit.fakes.rds import Clock, FakeRds
from tests.unit.fakes.service import FakeService
from tests.unit.fakes.sharing import FakeSharing
from tests.unit.fakes.sts import FakeSts
from tests.unit.fakes.trail import FakeTrail
from tests.unit.support import (
    ADMIN_SECRET,
    APP_SECRET,
    AUDIT_TABLE,
    EXTERNAL_ID,
    OWNER,
    REGION,
    SOURCE_REGION,
    SOURCE_ROLE,
    STACK,
    STATE_TABLE,
    set_defaults,
)
from utils.aurora_utils.source_account import _role
from utils.aws import AssumedRole, client

# What makes moto's DynamoDB quick in the embedded AWS does so here, where most tests ask it.
response_keys.install()
secret_versions.install()
item_values.install()

# For each test that asks for an account moto would prepare thousands of answers to the package requests, of which
# nothing here makes use.
moto_core.RESPONSES_METHODS = []

Answering = dict[tuple[str, str], FakeService]


@pytest.fixture(autouse=True)
def stack(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions' environment as the template sets it, and nothing of the machine's own AWS settings."""
    for name in os.environ:
        if name.startswith(("AWS_", "POWERTOOLS_")):
            monkeypatch.delenv(name)
    for name, value in STACK.items():
        monkeypatch.setenv(name, value)


# What moto keeps of a new account: made once by calls, which took a third of the time of all these tests.
_new_account: list[tuple[Any, Any]] = []


@pytest.fixture
def account(trail: FakeTrail) -> Iterator[None]:
    """The stack's tables, secrets and topic."""
    with mock_aws():
        tables = dynamodb_backends[moto_core.DEFAULT_ACCOUNT_ID][REGION].tables
        secrets = secretsmanager_backends[moto_core.DEFAULT_ACCOUNT_ID][REGION].secrets
        if not _new_account:
            _make_account()
            _new_account.append(copy.deepcopy((tables, secrets)))
        new_tables, new_secrets = copy.deepcopy(_new_account[0])
        tables.update(new_tables)
        secrets.update(new_secrets)
        yield


def _make_account() -> None:
    tables = client("dynamodb")
    for table, keys in ((STATE_TABLE, ["operation_id"]), (AUDIT_TABLE, ["operation_id", "timestamp"])):
        tables.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[{"AttributeName": key, "KeyType": "RANGE" if key == "timestamp" else "HASH"} for key in keys],
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


@pytest.fixture
def trail(stack: None) -> Iterator[FakeTrail]:
    """CloudTrail's event history, in which there is nothing yet."""
    yield from _connected(FakeTrail(REGION), client("cloudtrail"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world() -> dict[tuple[str, str], FakeRds]:
    """Aurora by account and region."""
    return {}


def _connected(fake: FakeService, made: Any) -> Iterator[Any]:
    fake.connect(made)
    yield fake
    fake.disconnect(made)


@pytest.fixture
def sharing(stack: None) -> Iterator[FakeSharing]:
    """AWS RAM in the target region, where nothing is shared yet."""
    yield from _connected(FakeSharing(REGION), client("ram", REGION))


@pytest.fixture
def rds(clock: Clock, stack: None, world: dict[tuple[str, str], FakeRds], sharing: FakeSharing) -> Iterator[FakeRds]:
    """Aurora in the target region, where the stack lives."""
    yield from _connected(FakeRds(REGION, clock, world=world), client("rds", REGION))


@pytest.fixture
def source_rds(clock: Clock, stack: None, world: dict[tuple[str, str], FakeRds]) -> Iterator[FakeRds]:
    """Aurora in another region."""
    yield from _connected(FakeRds(SOURCE_REGION, clock, world=world), client("rds", SOURCE_REGION))


@pytest.fixture
def sts(stack: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSts]:
    """The role of the source's account, which the stack knows."""
    set_defaults(monkeypatch, source_account_id=OWNER)
    monkeypatch.setenv("SOURCE_ROLE_NAME", SOURCE_ROLE)
    monkeypatch.setenv("SOURCE_EXTERNAL_ID", EXTERNAL_ID)
    _role.cache_clear()
    yield from _connected(FakeSts(REGION), client("sts"))
    _role.cache_clear()


@pytest.fixture
def answering(sts: FakeSts, monkeypatch: pytest.MonkeyPatch) -> Answering:
    """Who answers in the source's account, by service and region, whichever session asks."""
    fakes: Answering = {}
    made_by_session = AssumedRole.client_of

    def client_of(session: AssumedRole, service: Any, region: str, now: dt.datetime) -> Any:
        made = made_by_session(session, service, region, now)
        if (service, region) in fakes:
            fakes[service, region].connect(made)
        return made

    monkeypatch.setattr(AssumedRole, "client_of", client_of)
    return fakes


@pytest.fixture
def their_rds(clock: Clock, answering: Answering, world: dict[tuple[str, str], FakeRds]) -> FakeRds:
    """Aurora in the target region of the source's account."""
    answering["rds", REGION] = fake = FakeRds(REGION, clock, OWNER, world)
    return fake


@pytest.fixture
def their_distant_rds(clock: Clock, answering: Answering, world: dict[tuple[str, str], FakeRds]) -> FakeRds:
    """Aurora in another region of the source's account."""
    answering["rds", SOURCE_REGION] = fake = FakeRds(SOURCE_REGION, clock, OWNER, world)
    return fake


@pytest.fixture
def their_keys(answering: Answering, keys: FakeKeys) -> FakeKeys:
    """The keys of the target region of the source's account. Ours sees those that admit us."""
    answering["kms", REGION] = keys.foreign = fake = FakeKeys(REGION, OWNER)
    return fake


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
