"""Step Functions, as far as the pipeline asks it: how an execution stands."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from tests.unit.fakes.service import FakeService, Refusal, Thing
from tests.unit.support import EXECUTION, OTHER_EXECUTION


class FakeMachine(FakeService):
    """`statuses` by the execution's ARN. An execution that isn't among them doesn't exist."""

    service: ClassVar[str] = "sfn"

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.statuses: dict[str, str] = {EXECUTION: "RUNNING", OTHER_EXECUTION: "RUNNING"}
        self.started: dict[str, str] = {}

    def _start_execution(self, given: Thing) -> Thing:
        """API reference, StartExecution: idempotent while it runs with the same input; else a name is taken."""
        arn = f"{given['stateMachineArn'].replace(':stateMachine:', ':execution:')}:{given['name']}"
        if arn in self.started and (self.started[arn] != given["input"] or self.statuses[arn] != "RUNNING"):
            raise Refusal("ExecutionAlreadyExists")
        self.started[arn], self.statuses[arn] = given["input"], "RUNNING"
        return {"executionArn": arn, "startDate": dt.datetime(2026, 3, 10, tzinfo=dt.UTC).timestamp()}

    def _describe_execution(self, given: Thing) -> Thing:
        status = self.statuses.get(given["executionArn"])
        if status is None:
            raise Refusal("ExecutionDoesNotExist")
        return {"executionArn": given["executionArn"], "status": status}
