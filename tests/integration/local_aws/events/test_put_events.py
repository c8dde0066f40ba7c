"""What callers put on a bus: entries are refused one by one, the others reach the rules that match them."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scripts.local_aws.events.put_events import LARGEST_REQUEST
from scripts.local_aws.server import LocalAws


def entry(source: str = "aurora-restore", **given: Any) -> dict[str, Any]:
    return {"Source": source, "DetailType": "OperationFinished", "Detail": '{"outcome": "passed"}', **given}


def subscribed(aws: LocalAws, pattern: dict[str, Any]) -> str:
    """Return the queue that a rule's topic leads to."""
    name, events, sns, sqs = f"r-{uuid.uuid4().hex[:8]}", aws.client("events"), aws.client("sns"), aws.client("sqs")
    topic = sns.create_topic(Name=name)["TopicArn"]
    allowed = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sns:Publish"}
    document = {"Version": "2012-10-17", "Statement": [{**allowed, "Resource": topic}]}
    sns.set_topic_attributes(TopicArn=topic, AttributeName="Policy", AttributeValue=json.dumps(document))
    queue: str = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "topic", "Arn": topic}])
    return queue


def received(aws: LocalAws, queue: str) -> list[dict[str, Any]]:
    aws.events.settle()
    return [json.loads(each["Body"]) for each in aws.client("sqs").receive_message(QueueUrl=queue).get("Messages", [])]


def test_an_event_reaches_the_rule_that_matches_it(aws: LocalAws) -> None:
    source = f"stack-{uuid.uuid4().hex[:8]}"
    pattern = {"source": [source], "detail-type": ["OperationFinished"], "detail": {"outcome": ["passed"]}}
    queue = subscribed(aws, pattern)
    others = [entry(source, Detail='{"outcome": "failed"}'), entry(source, DetailType="Else"), entry("another")]
    answer = aws.client("events").put_events(Entries=[entry(source, Resources=["arn:aws:x"]), *others])
    assert (answer["FailedEntryCount"], len({each["EventId"] for each in answer["Entries"]})) == (0, 4)
    (event,) = received(aws, queue)
    assert (event["source"], event["detail"], event["resources"]) == (source, {"outcome": "passed"}, ["arn:aws:x"])
    assert abs(dt.datetime.fromisoformat(event["time"]) - aws.clock.now()) < dt.timedelta(minutes=5)


def test_an_event_has_the_time_that_the_caller_gives(aws: LocalAws) -> None:
    source, moment = f"stack-{uuid.uuid4().hex[:8]}", dt.datetime(2026, 11, 28, 3, 4, 5, tzinfo=dt.UTC)
    queue = subscribed(aws, {"source": [source]})
    aws.client("events").put_events(Entries=[entry(source, Time=moment)])
    assert [each["time"] for each in received(aws, queue)] == ["2026-11-28T03:04:05Z"]


@pytest.mark.parametrize(
    ("refused", "code"),
    [
        (entry("aws.states"), "NotAuthorizedForSourceException"),
        (entry(Detail="{"), "MalformedDetail"),
        ({"Source": "aurora-restore", "Detail": "{}"}, "InvalidArgument"),
    ],
)
def test_an_entry_that_is_refused_is_counted_and_keeps_no_other_one_back(
    aws: LocalAws, refused: dict[str, Any], code: str
) -> None:
    answer = aws.client("events").put_events(Entries=[entry(), refused, entry()])
    assert answer["FailedEntryCount"] == 1
    assert [each.get("ErrorCode") for each in answer["Entries"]] == [None, code, None]


def test_entries_beyond_the_size_of_a_request_are_refused_together(aws: LocalAws) -> None:
    half = entry(Detail=json.dumps({"text": "x" * (LARGEST_REQUEST // 2)}))
    with pytest.raises(ClientError, match="Total size of the entries in the request is over the limit"):
        aws.client("events").put_events(Entries=[half, half])
    assert aws.client("events").put_events(Entries=[half])["FailedEntryCount"] == 0
