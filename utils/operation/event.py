"""The event by which others learn that an operation has ended: OperationFinished, on the account's default bus.

PutEvents answers with what it has not taken, also where it succeeds (API reference, PutEvents, FailedEntryCount). An
entry has at most 256 KB here, which the EventBridge user guide has said for years; the API reference has said 1 MB of
late, and not every region may know. What fails here is only logged: the message is what people rely on.
"""

from __future__ import annotations

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError
from msgspec import Struct, json

from utils import environment, metrics
from utils.aws import client
from utils.contracts.evidence import Evidence, Sealed
from utils.errors import StepFailed
from utils.foreign_text import MAX_SENTENCE, one_line

DETAIL_TYPE = "OperationFinished"
SCHEMA = "aurora-restore.operation-finished/1"
log = Logger(service=metrics.SERVICE, child=True)


class OperationFinished(Struct, frozen=True, kw_only=True):
    """The event's detail. The source of the event is the stack's NamePrefix. Ages and durations are whole seconds.

    `documentation/operations/event.schema.json` is its JSON Schema. Fields may be added within a version of `schema`.
    """

    schema: str = SCHEMA
    operation_id: str
    execution_arn: str
    kind: str
    outcome: str
    worked: bool
    sentence: str
    source_cluster: str | None
    target_cluster: str | None
    target_resource_id: str | None
    rpo_seconds: int | None
    rto_seconds: int | None
    checks_held: int
    checks_failed: int
    checks_not_run: int
    evidence: Sealed | None


def send_event(evidence: Evidence, sealed: Sealed | None) -> None:
    """Put the event on the bus. Never raises for what AWS answers."""
    checks, target = evidence.checks, evidence.target
    detail = OperationFinished(
        operation_id=evidence.operation_id,
        execution_arn=evidence.execution.arn,
        kind=evidence.kind,
        outcome=evidence.outcome,
        worked=evidence.summary.worked,
        sentence=evidence.summary.sentence,
        source_cluster=evidence.snapshot.cluster_identifier if evidence.snapshot else None,
        target_cluster=target.identifier if target else None,
        target_resource_id=target.resource_id if target else None,
        rpo_seconds=evidence.objectives.rpo_seconds.actual,
        rto_seconds=evidence.objectives.rto_seconds.actual,
        checks_held=checks.held if checks else 0,
        checks_failed=checks.failed if checks else 0,
        checks_not_run=checks.not_run if checks else 0,
        evidence=sealed,
    )
    try:
        answer = client("events").put_events(
            Entries=[
                {
                    "Source": environment.text("NAME_PREFIX"),
                    "DetailType": DETAIL_TYPE,
                    "Time": evidence.ended_at,
                    "Resources": [evidence.execution.arn],
                    "Detail": json.encode(detail).decode(),
                }
            ]
        )
    except (ClientError, BotoCoreError, StepFailed) as error:
        log.warning("event not sent", extra={"cause": one_line(error, MAX_SENTENCE)})
        return
    if answer["FailedEntryCount"]:
        log.warning("event not taken", extra={"cause": one_line(answer["Entries"], MAX_SENTENCE)})
