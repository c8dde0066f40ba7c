"""The door, measured: who is let in to the restored cluster, by the groups on record and by production's passwords."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import psycopg2
import pytest

from scripts.local_aws.aurora.service import EventDelivery
from scripts.local_run.production import CLUSTER, MASTER, Production
from tests.integration.pipeline.reader import Reader, inline, reading
from tests.integration.pipeline.support import Pipeline, Run, settle
from tests.integration.pipeline.test_resume import ended, stop_when
from tests.integration.tiers import one_and_the_rest
from utils.names import instance_name

OPENING_CALL = {"VpcSecurityGroupIds.VpcSecurityGroupId.1": "sg-*"}
LOOK_SECONDS = 20


@pytest.fixture(name="reader")
def make_reader(pipeline: Pipeline, request: pytest.FixtureRequest) -> Iterator[Reader]:
    yield from reading(pipeline, request)


class Tried(NamedTuple):
    """One attempt to log in: `opened` is None where no server answered."""

    at: dt.datetime
    login: str
    opened: bool | None
    groups: dict[str, dict[str, str]]


class Intruder:
    """Tries production's logins on a cluster from the function's own place, every 20 seconds of the clock.

    It connects to the server itself, where no security group is enforced. So what opens it is held against the groups
    on record at that moment, of the cluster and of each member.
    """

    def __init__(self, pipeline: Pipeline, production: Production, target: str) -> None:
        self._place, self._target = pipeline.aws, target
        self._logins = {
            MASTER: production.master_password,
            "orders_app": production.app_password,
            "Reporting.Tool": production.reporting_password,
        }
        self.tried: list[Tried] = []
        self.stopped = False
        self._again()

    def _again(self) -> None:
        if not self.stopped:
            self._place.clock.call_at(self._place.clock.time() + LOOK_SECONDS, self._look)

    def _look(self) -> None:
        try:
            cluster = self._place.aurora.region("us-east-1").clusters.get(self._target)
            if cluster is not None:
                groups = {
                    each.identifier: {
                        group["VpcSecurityGroupId"]: group["Status"] for group in each.attributes["VpcSecurityGroups"]
                    }
                    for each in (cluster, *cluster.members)
                }
                for login, password in self._logins.items():
                    opened = self._try(cluster.postgres.address, cluster.postgres.port, login, password)
                    self.tried.append(Tried(self._place.clock.now(), login, opened, groups))
        finally:
            self._again()

    def _try(self, host: str, port: int, login: str, password: str) -> bool | None:
        where: dict[str, Any] = {
            "host": host,
            "port": port,
            "dbname": "orders",
            "connect_timeout": 5,
            "sslmode": "require",
        }
        try:
            psycopg2.connect(user=login, password=password, **where).close()
        except psycopg2.OperationalError as error:
            refused = "password authentication failed" in str(error) or "not permitted to log in" in str(error)
            return False if refused else None
        return True


@pytest.fixture
def intruder(pipeline: Pipeline, production: Production, target: str) -> Iterator[Intruder]:
    found = Intruder(pipeline, production, target)
    yield found
    found.stopped = True


def door_of(pipeline: Pipeline) -> str:
    return str(pipeline.place.stack.outputs["DoorSecurityGroupId"])


def members_of(run: Run, target: str, count: int) -> list[str]:
    return [instance_name(target, number, run.operation_id) for number in range(1, count + 1)]


def left_at(run: Run, state: str) -> dt.datetime:
    """When the execution last left a state."""
    (*_, last) = [
        event["timestamp"]
        for event in run.followed.history
        if event.get("stateExitedEventDetails", {}).get("name") == state
    ]
    return dt.datetime.fromtimestamp(last.timestamp(), dt.UTC)


def fact(pipeline: Pipeline, run: Run, name: str) -> dt.datetime | None:
    item = pipeline.state(run.operation_id)
    assert item is not None
    text = item.get(name, {}).get("S")
    return dt.datetime.fromisoformat(text) if text else None


def groups_now(pipeline: Pipeline, target: str) -> set[str]:
    found = pipeline.cluster(target)
    assert found is not None
    return {each["VpcSecurityGroupId"] for each in found["VpcSecurityGroups"]}


@pytest.mark.full
def test_until_the_users_are_ready_every_group_on_record_is_the_doors_and_then_the_wanted_ones(
    pipeline: Pipeline, target: str
) -> None:
    run = pipeline.run({"target_cluster_id": target, "instance_count": 3})
    assert run.status == "SUCCEEDED", run.reason
    shut, wanted = {door_of(pipeline): "active"}, run.output["plan"]["cluster"]["vpc_security_group_ids"]
    opening, opened = fact(pipeline, run, "door_opening_at"), fact(pipeline, run, "door_open_at")
    users_set_up = left_at(run, "Setup DB Users")
    assert opening is not None
    assert opened is not None
    assert users_set_up <= opening < opened
    last_changes = []
    for name in (target, *members_of(run, target, 3)):
        records = pipeline.aws.aurora.groups_on_record[name]
        assert records[0].groups == shut, name
        assert all(each.groups == shut or each.since >= opening for each in records), name
        assert records[-1].groups == dict.fromkeys(wanted, "active"), name
        assert {group for each in records for group in each.groups} == {*shut, *wanted}, name
        last_changes.append(records[-1].since)
    # The members came after their cluster, and the door was called open only after all of them.
    assert last_changes[0] < min(last_changes[1:])
    assert max(last_changes) <= opened
    events = pipeline.audit(run.operation_id)
    assert events.index(("setup-db-users", "done")) < events.index(("door", "opening")) < events.index(("door", "open"))
    (message,) = run.messages
    assert f"only the pipeline got into {door_of(pipeline)}" in message["message"]


@pytest.fixture
def noticed_late(pipeline: Pipeline) -> Iterator[None]:
    """The source's instances are known to take long, and no event says that one is there: minutes pass until a look."""
    aurora = pipeline.aws.aurora
    aurora.event_delivery, before = EventDelivery(lost=True), aurora.event_delivery
    tables = pipeline.aws.client("dynamodb")
    key = {"operation_id": {"S": f"durations#{pipeline.aws.account_id}:us-east-1:{CLUSTER}"}}
    late = {"L": [{"L": [{"N": "1200"}, {"N": "0"}, {"N": "0"}]}]}
    tables.put_item(TableName="AuroraRestoreState", Item=key | {"phases": {"M": {"create-instances": late}}})
    yield
    tables.delete_item(TableName="AuroraRestoreState", Key=key)
    aurora.event_delivery = before


@pytest.mark.usefixtures("noticed_late")
def test_rule_9_productions_passwords_from_the_first_instance_on(
    pipeline: Pipeline, target: str, intruder: Intruder
) -> None:
    run = pipeline.run({"target_cluster_id": target, "instance_count": 2, "inherited_logins": "lock"})
    assert run.status == "SUCCEEDED", run.reason
    settle(pipeline)
    intruder.stopped = True
    answered = [each for each in intruder.tried if each.opened is not None]
    masters = [each for each in answered if each.login == MASTER]
    others = [each for each in answered if each.login != MASTER]
    # From minutes before the users were set up until long after the end.
    assert len(masters) > 10
    assert masters[0].at < left_at(run, "Restore Done?") - dt.timedelta(minutes=2)
    assert not [each for each in masters if each.opened]
    let_in = [each for each in others if each.opened]
    assert let_in, "before they are locked the server itself admits them: that is what the door is for"
    shut = {door_of(pipeline): "active"}
    assert all(groups == shut for each in let_in for groups in each.groups.values())
    opening = fact(pipeline, run, "door_opening_at")
    assert opening is not None
    later = [each for each in others if each.at >= opening]
    assert len(later) > 10
    assert not [each for each in later if each.opened]


@pytest.mark.full
def test_a_data_api_is_enabled_once_the_door_is_open(pipeline: Pipeline, target: str) -> None:
    mark = pipeline.last_call()
    run = pipeline.run({"target_cluster_id": target, "data_api": True})
    assert run.status == "SUCCEEDED", run.reason
    asked = [call.operation for call in pipeline.calls_since(mark) if call.service == "rds"]
    changing = [each for each in asked if each in ("ModifyDBCluster", "EnableHttpEndpoint")]
    assert changing == ["ModifyDBCluster", "ModifyDBCluster", "EnableHttpEndpoint"]
    found = pipeline.cluster(target)
    assert found is not None
    assert found["HttpEndpointEnabled"] is True


def fail_to_open(pipeline: Pipeline, arn: str) -> Run:
    return ended(pipeline.end(arn))


def stop_while_opening(pipeline: Pipeline, arn: str) -> Run:
    return ended(stop_when(pipeline, arn, "Wait for Opening"), "ABORTED")


def refuse_opening(pipeline: Pipeline) -> None:
    pipeline.aws.faults.add(
        operation="rds:ModifyDBCluster", parameters=OPENING_CALL, code="InvalidVPCNetworkStateFault", message="No."
    )


def lose_opening(pipeline: Pipeline) -> None:
    """The call works; whoever called never hears of it, and dies of that."""
    pipeline.aws.faults.add(function="aurora-restore-open-cluster", die="after", times=4)


def die_before_opening(pipeline: Pipeline) -> None:
    pipeline.aws.faults.add(function="aurora-restore-open-cluster", die="before", times=4)


def nothing(_: Pipeline) -> None:
    """The run is stopped instead."""


@pytest.mark.full
@pytest.mark.parametrize("on_failure", one_and_the_rest(["clean_up", "keep"]))
@pytest.mark.parametrize(
    ("harm", "end", "stays_shut"),
    one_and_the_rest(
        [
            (refuse_opening, fail_to_open, True),
            (die_before_opening, fail_to_open, True),
            (lose_opening, fail_to_open, False),
            (nothing, stop_while_opening, False),
        ]
    ),
)
def test_a_run_that_ends_between_users_and_opening_keeps_the_cluster_and_is_resumed(
    pipeline: Pipeline,
    target: str,
    on_failure: str,
    harm: Callable[[Pipeline], None],
    end: Callable[[Pipeline, str], Run],
    stays_shut: bool,
) -> None:
    harm(pipeline)
    first = end(pipeline, pipeline.start({"target_cluster_id": target, "on_failure": on_failure}))
    (message,) = first.messages
    assert (groups_now(pipeline, target) == {door_of(pipeline)}) is stays_shut
    assert ("Its door is shut" in message["message"]) is stays_shut
    assert ("aws rds modify-db-cluster" in message["message"]) is stays_shut
    assert '"resume": true' in message["message"]
    pipeline.aws.faults.clear()
    second = ended(pipeline.run({"operation_id": first.operation_id, "resume": True}), "SUCCEEDED")
    assert "RestoreDBClusterFromSnapshot" not in second.changes
    assert groups_now(pipeline, target) == set(second.output["plan"]["cluster"]["vpc_security_group_ids"])
    assert ("door", "open") in pipeline.audit(first.operation_id)


@pytest.mark.full
def test_a_cluster_that_is_kept_before_its_users_are_ready_stays_behind_its_door(
    pipeline: Pipeline, target: str
) -> None:
    pipeline.aws.faults.add(function="aurora-restore-setup-db-users", die="before", times=4)
    run = ended(pipeline.run({"target_cluster_id": target, "on_failure": "keep"}))
    assert groups_now(pipeline, target) == {door_of(pipeline)}
    (message,) = run.messages
    assert (
        "Its door can be opened by hand. Then anybody who knows one of production's passwords may get in"
        in message["message"]
    )
    (command,) = [line.strip() for line in message["message"].splitlines() if "--vpc-security-group-ids" in line]
    words = shlex.split(command)
    assert words[:5] == ["aws", "rds", "modify-db-cluster", "--db-cluster-identifier", target]
    # Typed, as RDS takes it.
    wanted = words[words.index("--vpc-security-group-ids") + 1 : words.index("--apply-immediately")]
    pipeline.rds().modify_db_cluster(DBClusterIdentifier=target, VpcSecurityGroupIds=wanted, ApplyImmediately=True)
    settle(pipeline)
    assert groups_now(pipeline, target) == set(wanted)


def test_whoever_lets_others_in_before_the_users_are_ready_stops_the_run(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(function="aurora-restore-setup-db-users", die="before", times=4)
    first = ended(pipeline.run({"target_cluster_id": target, "on_failure": "keep"}))
    group = pipeline.aws.client("ec2").create_security_group(GroupName=f"by-hand-{target}", Description="by hand")
    pipeline.rds().modify_db_cluster(
        DBClusterIdentifier=target,
        VpcSecurityGroupIds=[door_of(pipeline), group["GroupId"]],
        ApplyImmediately=True,
    )
    settle(pipeline)
    second = ended(pipeline.run({"operation_id": first.operation_id, "resume": True, "on_failure": "keep"}))
    assert f"Nobody is let in to cluster {target}" in second.reason
    assert group["GroupId"] in second.reason
    assert "Setup DB Users" not in second.states()


@pytest.mark.full
def test_rule_5_an_opening_whose_answer_is_lost_has_worked_once(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(operation="rds:ModifyDBCluster", parameters=OPENING_CALL, answer="lost")
    pipeline.aws.faults.add(function="aurora-restore-open-cluster", die="after")
    run = pipeline.run({"target_cluster_id": target})
    assert run.status == "SUCCEEDED", run.reason
    seen = [each.groups for each in pipeline.aws.aurora.groups_on_record[target]]
    shut, wanted = door_of(pipeline), run.output["plan"]["cluster"]["vpc_security_group_ids"]
    on_the_way = dict.fromkeys(wanted, "adding") | {shut: "removing"}
    assert [each for number, each in enumerate(seen) if seen[number - 1 : number] != [each]] == [
        {shut: "active"},
        on_the_way,
        dict.fromkeys(wanted, "active"),
    ]
    assert [each for each in pipeline.audit(run.operation_id) if each[0] == "door"] == [
        ("door", "opening"),
        ("door", "open"),
    ]


def an_open_cluster_with_users_left_out(pipeline: Pipeline, target: str, doomed: str) -> dict[str, Any]:
    """Have a run stop at the source's deletion, and return the input that resumes it: users are set up again then."""
    pipeline.aws.faults.add(function="aurora-restore-delete-rds", die="before", times=4)
    given: dict[str, Any] = {
        "source_cluster_id": doomed,
        "target_cluster_id": target,
        "delete_source": True,
        "confirm_delete_source": doomed,
    }
    first = ended(pipeline.run(given))
    tables = pipeline.aws.client("dynamodb")
    tables.update_item(
        TableName=pipeline.place.stack.outputs["StateTableName"],
        Key={"operation_id": {"S": first.operation_id}},
        UpdateExpression="SET #users.unfinished = :one",
        ExpressionAttributeNames={"#users": "users"},
        ExpressionAttributeValues={":one": {"L": [{"S": "somebody was left out"}]}},
    )
    return {**given, "operation_id": first.operation_id}


@pytest.mark.full
def test_users_that_are_set_up_once_more_are_so_with_the_pipeline_let_in_beside(
    pipeline: Pipeline, target: str, doomed: str
) -> None:
    """The door was open, then a look at what was left out stopped the source's deletion; somebody mended it since."""
    again = an_open_cluster_with_users_left_out(pipeline, target, doomed)
    wanted = groups_now(pipeline, target)
    second = ended(pipeline.run(again), "SUCCEEDED")
    door = door_of(pipeline)
    seen = [set(each.groups) for each in pipeline.aws.aurora.groups_on_record[target]]
    # Whoever was in stayed in; the pipeline came in beside, and left again.
    assert seen[-4:] == [{*wanted, door}, {*wanted, door}, {*wanted, door}, wanted]
    assert second.changes.count("ModifyDBCluster") == 2
    assert groups_now(pipeline, target) == wanted


@pytest.mark.full
def test_where_five_groups_are_in_already_room_is_made_as_the_message_says(
    pipeline: Pipeline, reader: Reader, target: str, doomed: str
) -> None:
    """RDS allows five groups: the door's would be the sixth."""
    again, ec2 = an_open_cluster_with_users_left_out(pipeline, target, doomed), pipeline.aws.client("ec2")
    made = (ec2.create_security_group(GroupName=f"{target}-{number}", Description="more") for number in range(4))
    five = sorted([*groups_now(pipeline, target), *(each["GroupId"] for each in made)])
    pipeline.rds().modify_db_cluster(DBClusterIdentifier=target, VpcSecurityGroupIds=five, ApplyImmediately=True)
    settle(pipeline)
    second = ended(pipeline.run(again))
    assert f"the pipeline cannot be let in beside {', '.join(five)}: RDS allows 5 security groups" in second.reason
    assert groups_now(pipeline, target) == set(five)
    (message,) = second.messages
    reader.type(inline(message["message"], "aws rds modify-db-cluster"))
    settle(pipeline)
    ended(pipeline.run(again), "SUCCEEDED")
    assert groups_now(pipeline, target) == set(five[:4])


@pytest.mark.full
def test_a_cluster_that_somebody_renames_gets_its_name_back_as_the_message_says(
    pipeline: Pipeline, reader: Reader, target: str
) -> None:
    clock, renamed = pipeline.aws.clock, f"{target}-renamed"

    def rename_once_possible() -> None:
        found = pipeline.cluster(target)
        if found is None or found["Status"] != "available" or not found["DBClusterMembers"]:
            clock.call_at(clock.time() + LOOK_SECONDS, rename_once_possible)
            return
        pipeline.rds().modify_db_cluster(
            DBClusterIdentifier=target, NewDBClusterIdentifier=renamed, ApplyImmediately=True
        )

    clock.call_at(clock.time() + LOOK_SECONDS, rename_once_possible)
    first = ended(pipeline.run({"target_cluster_id": target, "on_failure": "keep"}))
    assert f"was renamed to {renamed} by somebody else" in first.reason
    settle(pipeline)  # so that its instance starts under the other name
    (message,) = first.messages
    reader.type(inline(message["message"], "aws rds modify-db-cluster"))
    settle(pipeline)
    reader.type(inline(message["message"], "aws rds reboot-db-instance"))
    settle(pipeline)
    ended(pipeline.run({"operation_id": first.operation_id, "resume": True}), "SUCCEEDED")
