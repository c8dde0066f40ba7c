"""Step Functions, as far as the pipeline asks it: how an execution stands."""

from __future__ import annotations

from typing import ClassVar

from tests.unit.fakes.service import FakeService, Refusal, Thing
from tests.unit.support import EXECUTION, OTHER_EXECUTION


class FakeMachine(FakeService):
    """`statuses` by the execution's ARN. An execution that isn't among them doesn't exist."""

    service: ClassVar[str] = "sfn"

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.statuses: dict[str, str] = {EXECUTION: "RUNNING", OTHER_EXECUTION: "RUNNING"}

    def _describe_execution(self, given: Thing) -> Thing:
        status = self.statuses.get(given["executionArn"])
        if status is None:
            raise Refusal("ExecutionDoesNotExist")
        return {"executionArn": given["executionArn"], "status": status}
