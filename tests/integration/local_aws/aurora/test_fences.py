"""A door lets nobody in but functions: it shuts out new connections, member by member, and ends none."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import psycopg2
import pytest

from scripts.local_aws.server import LocalAws
from tests.integration.local_aws.aurora.test_memberships import change, group
from tests.integration.local_aws.aurora.test_restarts import at, is_open, with_a_reader
from tests.integration.local_aws.aurora_support import PASSWORD, Answer, cluster, log_in, name, running_cluster
from tests.integration.local_aws.conftest import MakeFunction

CONNECTS = """
import socket

def handler(event, context):
    connection = socket.create_connection((event["host"], event["port"]), 5)
    connection.settimeout(5)
    connection.sendall(bytes([0, 0, 0, 8, 4, 210, 22, 47]))
    return connection.recv(1).decode()
"""
"""Asks the server whether it speaks TLS (PostgreSQL's manual, "SSL Session Encryption"), and returns its answer."""


@pytest.fixture
def door(aws: LocalAws) -> Iterator[str]:
    found = group(aws)
    aws.aurora.doors.add(found)
    yield found
    aws.aurora.doors.discard(found)


def lets_in(aws: LocalAws, described: Answer) -> bool:
    try:
        log_in(aws, described, PASSWORD, connect_timeout=2).close()
    except psycopg2.OperationalError as error:
        if "timeout expired" not in str(error):  # who is shut out is not answered
            raise
        return False
    return True


def test_a_fence_refuses_new_connections_member_by_member_and_keeps_sessions(aws: LocalAws, door: str) -> None:
    found, writer, reader = with_a_reader(aws)
    identifier, seconds = found["DBClusterIdentifier"], aws.aurora.durations.change_groups
    session = log_in(aws, found, PASSWORD)
    before = [each["VpcSecurityGroupId"] for each in found["VpcSecurityGroups"]]
    change(aws, identifier, [door])
    aws.clock.sleep(seconds + 1)
    assert lets_in(aws, found), "the cluster's groups are active, its members' are not yet"
    aws.clock.sleep(seconds + 1)
    assert not lets_in(aws, found)
    assert not lets_in(aws, at(aws, found, reader))
    assert is_open(session)
    change(aws, identifier, before)
    aws.clock.sleep(seconds + 1)
    assert not lets_in(aws, found), "the members' groups are being added"
    aws.clock.sleep(seconds + 1)
    assert lets_in(aws, found)
    assert lets_in(aws, at(aws, found, writer))


def test_sessions_of_an_untracked_rule_end_when_its_group_goes(aws: LocalAws, door: str) -> None:
    found, _, _ = with_a_reader(aws)
    session = log_in(aws, found, PASSWORD)
    (before,) = [each["VpcSecurityGroupId"] for each in found["VpcSecurityGroups"]]
    aws.aurora.untracked.add(before)
    try:
        change(aws, found["DBClusterIdentifier"], [door])
        aws.clock.sleep(aws.aurora.durations.change_groups + 1)
        assert is_open(session), "the group is still being removed from the member"
        aws.clock.sleep(aws.aurora.durations.change_groups + 1)
        assert not is_open(session)
    finally:
        aws.aurora.untracked.clear()


def test_a_member_whose_groups_stay_on_the_way_is_not_fenced(aws: LocalAws, door: str) -> None:
    found, writer, reader = with_a_reader(aws)
    aws.faults.add(lifecycle="change-groups", identifier=reader)
    change(aws, found["DBClusterIdentifier"], [door])
    aws.clock.sleep(2 * aws.aurora.durations.change_groups + 2)
    assert not lets_in(aws, at(aws, found, writer))
    assert lets_in(aws, at(aws, found, reader))
    (described,) = aws.client("rds").describe_db_instances(DBInstanceIdentifier=reader)["DBInstances"]
    assert {each["Status"] for each in described["VpcSecurityGroups"]} == {"adding", "removing"}


def test_a_client_that_waits_is_let_in_when_the_door_opens(aws: LocalAws, door: str) -> None:
    identifier = name("shut")
    found = running_cluster(aws, identifier, VpcSecurityGroupIds=[door])
    connected = threading.Event()

    def wait() -> None:
        log_in(aws, found, PASSWORD).close()
        connected.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert not connected.wait(0.5)
    change(aws, identifier, [group(aws)])
    aws.clock.sleep(2 * aws.aurora.durations.change_groups + 2)
    assert connected.wait(10)
    waiting.join()


def test_a_function_passes_the_door(aws: LocalAws, door: str, make_function: MakeFunction) -> None:
    identifier = name("shut")
    running_cluster(aws, identifier, VpcSecurityGroupIds=[door])
    found = cluster(aws, identifier)
    assert not lets_in(aws, found)
    event = f'{{"host": "{found["Endpoint"]}", "port": {found["Port"]}}}'
    answer = aws.client("lambda").invoke(FunctionName=make_function(CONNECTS), Payload=event)
    assert answer["Payload"].read() == b'"S"'


FROM_A_PORT = """
import socket
import time

def handler(event, context):
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    connection.bind(("127.0.0.1", event["from"]))
    connection.settimeout(5)
    connection.connect((event["host"], event["port"]))
    connection.sendall(bytes([0, 0, 0, 8, 4, 210, 22, 47]))
    answer = connection.recv(1).decode()
    time.sleep(1.5)
    return answer
"""
"""Stays connected for longer than the gateway needs to look at a client again."""


def test_a_function_passes_the_door_and_nobody_else_who_has_its_port(
    aws: LocalAws, door: str, make_function: MakeFunction
) -> None:
    """Linux gives one port to connections with different destinations."""
    first, second = (running_cluster(aws, name("shut"), VpcSecurityGroupIds=[door]) for _ in range(2))
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind(("127.0.0.1", 0))
        client.connect((first["Endpoint"], first["Port"]))
        client.sendall(bytes([0, 0, 0, 8, 4, 210, 22, 47]))
        given = {"host": second["Endpoint"], "port": second["Port"], "from": client.getsockname()[1]}
        answer = aws.client("lambda").invoke(FunctionName=make_function(FROM_A_PORT), Payload=json.dumps(given))
        assert answer["Payload"].read() == b'"S"'
        client.settimeout(1)
        with pytest.raises(TimeoutError):
            client.recv(1)
