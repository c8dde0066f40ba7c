"""CloudTrail's event history, as far as the pipeline asks it: calls by name and time, the newest first, in pages."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any, ClassVar

from tests.unit.fakes.service import FakeService, Thing
from tests.unit.support import ACCOUNT, EXECUTION, MACHINE, NOW, OPERATION, REGION

ALICE: Thing = {
    "type": "IAMUser",
    "principalId": "AIDAJ45Q7YFFAREXAMPLE",
    "arn": f"arn:aws:iam::{ACCOUNT}:user/alice",
    "accountId": ACCOUNT,
    "userName": "alice",
}


def a_start(identity: Thing = ALICE, execution: str = EXECUTION, at: dt.datetime = NOW, **changes: Any) -> Thing:
    """The event of a StartExecution, as the Step Functions Developer Guide shows it."""
    return {
        "eventVersion": "1.08",
        "userIdentity": identity,
        "eventTime": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "eventSource": "states.amazonaws.com",
        "eventName": "StartExecution",
        "awsRegion": REGION,
        "sourceIPAddress": "203.0.113.7",
        "requestParameters": {
            "input": "{}",
            "stateMachineArn": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{MACHINE}",
            "name": OPERATION,
        },
        "responseElements": {"startDate": "Mar 10, 2026 3:00:00 AM", "executionArn": execution},
        "requestID": "264c6f08-9cac-11e6-aed5-5b57d226e9ef",
        "eventID": "30a20c8e-a3a1-4b07-9139-cd9cd73b5eb8",
        "eventType": "AwsApiCall",
        "recipientAccountId": ACCOUNT,
        **changes,
    }


class FakeTrail(FakeService):
    """`events` are records; `texts` are what stands for one that is no record."""

    service: ClassVar[str] = "cloudtrail"

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.events: list[Thing] = []
        self.texts: list[str] = []
        self.page = 50

    def _lookup_events(self, given: Thing) -> Thing:
        (wanted,) = given["LookupAttributes"]
        assert wanted["AttributeKey"] == "EventName"
        found = [
            json.dumps(event)
            for event in sorted(self.events, key=lambda event: event["eventTime"], reverse=True)
            if event["eventName"] == wanted["AttributeValue"]
            and given["StartTime"] <= dt.datetime.fromisoformat(event["eventTime"]) <= given["EndTime"]
        ] + self.texts
        offset = int(given.get("NextToken", 0))
        more = {"NextToken": str(offset + self.page)} if offset + self.page < len(found) else {}
        return {"Events": [{"CloudTrailEvent": text} for text in found[offset : offset + self.page]], **more}
