"""A question is asked once in a call of a function, until something is changed."""

from __future__ import annotations

import pytest

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import APP_SECRET, REGION, SOURCE
from utils.aurora_utils import AuroraReader
from utils.aws import client
from utils.changes import asked_once, asking_once

pytestmark = pytest.mark.usefixtures("account")


def look() -> None:
    for reader in (AuroraReader(REGION), AuroraReader(REGION)):
        reader.cluster(SOURCE)
        reader.instances_of(SOURCE)
        reader.room_for_snapshots()


def test_within_a_call_nothing_is_described_twice(rds: FakeRds) -> None:
    rds.add_cluster(SOURCE)
    with asking_once():
        look()
    assert sorted(rds.operations()) == ["DescribeAccountAttributes", "DescribeDBClusters", "DescribeDBInstances"]


def test_the_next_call_asks_anew(rds: FakeRds) -> None:
    rds.add_cluster(SOURCE)
    for _ in range(2):
        with asking_once():
            look()
    assert rds.operations().count("DescribeDBClusters") == 2


def test_after_a_change_everything_is_asked_anew(rds: FakeRds) -> None:
    """Whatever was changed: a secret's labels say something else once a version is stored."""
    rds.add_cluster(SOURCE)
    with asking_once():
        look()
        client("secretsmanager").put_secret_value(SecretId=APP_SECRET, SecretString="{}")
        look()
    assert rds.operations().count("DescribeDBClusters") == 2


def test_one_region_does_not_answer_for_another(rds: FakeRds) -> None:
    rds.add_cluster(SOURCE)
    with asking_once():
        assert AuroraReader(REGION).cluster(SOURCE) is not None
        other = client("rds", "eu-west-1")
        distant = FakeRds("eu-west-1", rds.clock)
        distant.connect(other)
        try:
            assert AuroraReader("eu-west-1").cluster(SOURCE) is None
        finally:
            distant.disconnect(other)


def test_a_refusal_is_no_answer() -> None:
    asked: list[int] = []

    def question() -> int:
        asked.append(1)
        raise ValueError("asked")

    with asking_once():
        for _ in range(2):
            with pytest.raises(ValueError, match="asked"):
                asked_once(question, "it")
    assert asked == [1, 1]
