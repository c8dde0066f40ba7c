"""aurora-restore-end-wait: an event of RDS ends the wait for its cluster, and nothing more comes of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.stub import Stubber

from tests.unit.support import NOW, OPERATION, REGION, STATE_TABLE, TARGET, calling
from utils.aws import client
from utils.contracts.payloads import Woken
from utils.errors import StepFailed, TemporaryFailure
from utils.names import instance_name, name_for
from utils.steps.wait_keys import wait_fields, wait_key

pytestmark = pytest.mark.usefixtures("account")

end = calling("end-wait")
TOKEN = "AQCEAAAAKgAAAAMAAAAAAAAAAd0123"
MOMENT = "2026-03-10T03:41:07Z"


def an_event(identifier: str = TARGET, source_type: str = "CLUSTER", event_id: str = "RDS-EVENT-0170") -> Any:
    """Return an event as EventBridge delivers it (Aurora User Guide, "Overview of events for Aurora")."""
    kind = "db" if source_type == "DB_INSTANCE" else "cluster"
    arn = f"arn:aws:rds:{REGION}:123456789012:{kind}:{identifier}"
    return {
        "version": "0",
        "id": "844e2571-85d4-695f-b930-0153b71dcb42",
        "detail-type": "RDS DB Instance Event" if kind == "db" else "RDS DB Cluster Event",
        "source": "aws.rds",
        "account": "123456789012",
        "time": MOMENT,
        "region": REGION,
        "resources": [arn],
        "detail": {
            "EventCategories": ["creation"],
            "SourceType": source_type,
            "SourceArn": arn,
            "Date": "2026-03-10T03:41:07.120Z",
            "Message": "DB cluster created",
            "SourceIdentifier": identifier,
            "EventID": event_id,
        },
    }


@pytest.fixture
def waiting(account: None) -> None:
    item = {
        "operation_id": {"S": f"waiting#{REGION}#{TARGET}"},
        "task_token": {"S": TOKEN},
        "expires_at": {"N": "1800000000"},
    }
    client("dynamodb").put_item(TableName=STATE_TABLE, Item=item)


@pytest.fixture
def states(account: None) -> Any:
    with Stubber(client("stepfunctions")) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize(
    ("identifier", "source_type"),
    [
        (TARGET, "CLUSTER"),
        (instance_name(TARGET, 2, OPERATION), "DB_INSTANCE"),
        # Restored beside the cluster that it replaces.
        (name_for("new", TARGET, OPERATION), "CLUSTER"),
    ],
    ids=["cluster", "instance", "temporary"],
)
def test_the_wait_for_the_events_cluster_ends(states: Stubber, identifier: str, source_type: str) -> None:
    output = {"at": "2026-03-10T03:41:07.120000+00:00", "event": "RDS-EVENT-0170", "source": identifier}
    states.add_response("send_task_success", {}, {"taskToken": TOKEN, "output": json.dumps(output)})
    assert end(an_event(identifier, source_type)) == {"source_identifier": identifier, "was_waiting": True}
    # The look that follows reads what the wait has ended with.
    assert set(output) >= set(Woken.__struct_fields__)


@pytest.mark.usefixtures("waiting")
def test_a_time_of_no_zone_is_in_utc(states: Stubber) -> None:
    event = an_event()
    event["detail"]["Date"] = "2026-03-10T03:41:07.120"
    output = {"at": "2026-03-10T03:41:07.120000+00:00", "event": "RDS-EVENT-0170", "source": TARGET}
    states.add_response("send_task_success", {}, {"taskToken": TOKEN, "output": json.dumps(output)})
    assert end(event)["was_waiting"] is True


@pytest.mark.usefixtures("account")
def test_what_a_wait_ends_with_is_short_however_long_the_name_in_the_event_is(states: Stubber) -> None:
    item = {"operation_id": {"S": f"waiting#{REGION}#{'x' * 40}"}, "task_token": {"S": TOKEN}}
    client("dynamodb").put_item(TableName=STATE_TABLE, Item=item)
    output = {"at": "2026-03-10T03:41:07.120000+00:00", "event": "RDS-EVENT-0170", "source": "x" * 255}
    states.add_response("send_task_success", {}, {"taskToken": TOKEN, "output": json.dumps(output)})
    assert end(an_event("x" * 100_000))["was_waiting"] is True


@pytest.mark.usefixtures("waiting", "states")
@pytest.mark.parametrize(
    ("identifier", "source_type"),
    [
        ("billing", "CLUSTER"),
        ("billing-writer", "DB_INSTANCE"),
        # A cluster whose name is that of an instance of ours, and an instance that is none of ours.
        (instance_name(TARGET, 1, OPERATION), "CLUSTER"),
        (f"{TARGET}-1", "DB_INSTANCE"),
        ("", "CLUSTER"),
    ],
)
def test_of_what_nobody_waits_for_nothing_comes(identifier: str, source_type: str) -> None:
    """No call is stubbed: one that was made would fail."""
    assert end(an_event(identifier, source_type))["was_waiting"] is False


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize("code", ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"])
def test_a_wait_that_is_over_is_no_failure(states: Stubber, code: str) -> None:
    """An item stays after its wait, and events are repeated."""
    states.add_client_error("send_task_success", code, "Task Timed Out: 'Provided task does not exist anymore'")
    assert end(an_event())["was_waiting"] is False


@pytest.mark.usefixtures("waiting")
@pytest.mark.parametrize(
    ("code", "raised"), [("ThrottlingException", TemporaryFailure), ("AccessDeniedException", StepFailed)]
)
def test_any_other_refusal_fails(states: Stubber, code: str, raised: type[Exception]) -> None:
    states.add_client_error("send_task_success", code, "no", http_status_code=400)
    with pytest.raises(raised):
        end(an_event())


def test_what_is_no_event_of_rds_is_refused() -> None:
    with pytest.raises(StepFailed, match="is not valid"):
        end({"source": "aws.rds", "detail": {}})


@pytest.mark.parametrize("length", [1, 39, 40, 41, 48, 63])
def test_all_names_of_one_cluster_lead_to_one_key(length: int) -> None:
    """Its own, the temporary one that it is restored under, and those of its instances, which are shortened."""
    cluster = ("ab-" * 21)[:length].rstrip("-") or "a"
    keys = {
        wait_key(REGION, cluster),
        wait_key(REGION, name_for("new", cluster, OPERATION)),
        *(wait_key(REGION, instance_name(cluster, number, OPERATION), is_instance=True) for number in (1, 16)),
    }
    assert keys == {wait_fields(REGION, cluster, NOW)["wait_key"]}
    assert wait_key("eu-west-1", cluster) not in keys


@pytest.mark.usefixtures("waiting", "states")
def test_an_event_of_another_region_is_about_another_cluster() -> None:
    assert end({**an_event(), "region": "eu-west-1"})["was_waiting"] is False
