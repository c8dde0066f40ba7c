"""A stack logs in to the source clusters that it names, by the secrets beside them, and to no others."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from scripts.checks.expansion import source
from tests.unit.places_in_roles import places_in_roles
from tests.unit.support import LIMITS
from utils.contracts.source_readers import reader_secrets

CLUSTER = "arn:aws:rds:eu-central-1:111122223333:cluster:prod-orders"
SECRET = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:prod/orders-reader-a1b2c3"
PATTERN = source()["Parameters"]["SourceReaderSecrets"]["AllowedPattern"]


def secrets(text: str) -> dict[str, str]:
    return reader_secrets(replace(LIMITS, source_reader_secrets=text))


def test_each_cluster_has_the_secret_that_stands_beside_it() -> None:
    other = CLUSTER.replace("eu-central-1", "eu-west-1")
    assert secrets(f"{CLUSTER}={SECRET},{other}={SECRET}") == {CLUSTER: SECRET, other: SECRET}
    assert secrets("") == {}


@pytest.mark.parametrize(
    "text",
    [
        f"prod-orders={SECRET}",  # a cluster of that name in any account
        f"{CLUSTER.replace('prod', '*')}={SECRET}",
        CLUSTER,
        f"{CLUSTER}={SECRET[:-6]}",  # IAM would take it for any secret whose name begins so
        f"{CLUSTER}={SECRET.replace('prod', '*')}",
        f"{CLUSTER}=arn:aws:secretsmanager:eu-central-1:111122223333:secret:rds!cluster-5a1e-a1b2c3",
        f"{CLUSTER}={SECRET}=",
    ],
)
def test_what_names_no_single_secret_of_a_single_cluster_is_refused_while_deploying_and_is_none(text: str) -> None:
    assert not re.fullmatch(PATTERN, text)
    assert secrets(text) == {}


def test_the_template_takes_as_many_as_there_is_room_for_in_the_roles_policy() -> None:
    one, most = f"{CLUSTER}={SECRET}", places_in_roles("SourceReaderSecrets")
    assert re.fullmatch(PATTERN, ",".join([one] * most))
    assert not re.fullmatch(PATTERN, ",".join([one] * (most + 1)))
    assert re.fullmatch(PATTERN, "")
