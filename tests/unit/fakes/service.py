"""A service of AWS's in one region, as unit tests have it: a real boto3 client whose calls end here, not in a socket.

So botocore checks every parameter against its model, and errors arrive as they do from AWS. Each operation is a method
named after it: DescribeDBClusters is `_describe_db_clusters`, from what was asked to what is answered.
"""

from __future__ import annotations

from typing import Any, ClassVar

from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError

Thing = dict[str, Any]


class Refusal(Exception):
    """An answer of RDS that is an error, with its code as it stands on the wire."""

    def __init__(self, code: str, message: str = "no", status: int = 400) -> None:
        super().__init__(code)
        self.code, self.message, self.status = code, message, status


class FakeService:
    """What is asked for is noted, answered, refused or lost."""

    service: ClassVar[str]

    def __init__(self, region: str) -> None:
        self.region = region
        self.calls: list[tuple[str, Thing]] = []
        self._refusals: dict[str, list[Refusal]] = {}
        self._lost_answers: list[str] = []

    def refuse(self, operation: str, code: str, message: str = "no", status: int = 400, times: int = 1) -> None:
        """The operation's next calls are answered with an error and have no effect."""
        self._refusals.setdefault(operation, []).extend([Refusal(code, message, status)] * times)

    def lose_answer(self, operation: str) -> None:
        """The operation's next call has its effect, but the caller never hears of it."""
        self._lost_answers.append(operation)

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.calls]

    def changes(self) -> list[str]:
        """The operations that were asked for and aren't mere questions."""
        return [operation for operation in self.operations() if not operation.startswith("Describe")]

    def calls_that_change(self) -> list[tuple[str, Thing]]:
        return [(operation, given) for operation, given in self.calls if not operation.startswith("Describe")]

    def asked(self, operation: str) -> Thing:
        """The parameters of the one call of an operation."""
        (parameters,) = [parameters for name, parameters in self.calls if name == operation]
        return parameters

    # Between botocore and the dictionaries

    def connect(self, made: Any) -> None:
        made.meta.events.register(
            f"before-parameter-build.{self.service}", self._note_parameters, unique_id=f"note-{id(self)}"
        )
        made.meta.events.register(f"before-call.{self.service}", self._answer, unique_id=f"answer-{id(self)}")

    def disconnect(self, made: Any) -> None:
        made.meta.events.unregister(f"before-parameter-build.{self.service}", unique_id=f"note-{id(self)}")
        made.meta.events.unregister(f"before-call.{self.service}", unique_id=f"answer-{id(self)}")

    def _note_parameters(self, params: Thing, context: Thing, **_: Any) -> None:
        context["parameters"] = dict(params)

    def _answer(self, model: Any, context: Thing, **_: Any) -> tuple[AWSResponse, Thing]:
        operation, parameters = model.name, context["parameters"]
        self.calls.append((operation, parameters))
        self._let_time_pass()
        status = 200
        parsed: Thing
        try:
            if self._refusals.get(operation):
                raise self._refusals[operation].pop(0)
            parsed = self._work(operation, parameters)
        except Refusal as refusal:
            status = refusal.status
            parsed = {"Error": {"Code": refusal.code, "Message": refusal.message}}
        if operation in self._lost_answers:
            self._lost_answers.remove(operation)
            raise ReadTimeoutError(endpoint_url=f"https://{self.service}.{self.region}.amazonaws.com/")
        parsed["ResponseMetadata"] = {"HTTPStatusCode": status}
        return AWSResponse("https://aws.test/", status, HTTPHeaders(), None), parsed

    def _work(self, operation: str, parameters: Thing) -> Thing:
        answer: Thing = getattr(self, f"_{xform_name(operation)}")(parameters)
        return answer

    def _let_time_pass(self) -> None:
        """Before a call is answered, what was due by now happens."""
