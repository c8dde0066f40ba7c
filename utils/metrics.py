"""The metrics, in CloudWatch's embedded metric format: written to the log, without an API call.

Dimensions stay few and of few values (each combination is a metric that costs money): the service and the step. An
operation's id is a property of the log line, never a dimension.
"""

from __future__ import annotations

import os

from aws_lambda_powertools.metrics import MetricUnit, single_metric

NAMESPACE = "AuroraRestore"
# The stack's NamePrefix, by the name under which Powertools looks for it: each stack counts for itself.
SERVICE = os.environ.get("POWERTOOLS_SERVICE_NAME", "aurora-restore")


ENDS_OF_OPERATIONS = frozenset(
    {"OperationSucceeded", "OperationPlanned", "OperationFailed", "OperationRefused", "OperationDuplicate"}
)


def count_success(step: str, operation_id: str, seconds: float) -> None:
    """Count a call of a step that succeeded. `seconds` is how long the call itself took."""
    _put("StepSuccess", MetricUnit.Count, 1, step, operation_id)
    _put("StepDuration", MetricUnit.Seconds, seconds, step, operation_id)


def count_failure(step: str, operation_id: str, error: str) -> None:
    """Count a call of a step that failed. `error` is the class name that the state machine sees."""
    _put("StepFailure", MetricUnit.Count, 1, step, operation_id, error=error)


def count_operation(outcome: str, operation_id: str, error: str = "") -> None:
    """Count an operation that has ended: Succeeded, Planned, Failed, Refused or Duplicate.

    The stack's alarm watches OperationFailed. Nobody is woken for what a person typed wrongly, nor for a schedule's
    second event; but a scheduled request that is refused counts as failed, because nobody sees it.
    """
    name = f"Operation{outcome}"
    if name not in ENDS_OF_OPERATIONS:
        raise ValueError(f"no operation ends as {outcome}")
    _put(name, MetricUnit.Count, 1, "restore", operation_id, error=error)


def record_phase(step: str, operation_id: str, seconds: float) -> None:
    """Record how long the operation was in a step altogether, all its waiting included."""
    _put("PhaseDuration", MetricUnit.Seconds, seconds, step, operation_id)


def record_restore(
    operation_id: str, seconds: float, data_age_seconds: float, gib: int, *, is_drill: bool = False
) -> None:
    """Record what a finished operation achieved: its duration, the age of the target's data, and their size.

    A drill leaves no data behind, so it counts as a step of its own: it must not silence the alarm of stale data. RDS
    reports 0 GiB for most of Aurora's snapshots, which is not a size: it is not counted.
    """
    step = "drill" if is_drill else "restore"
    _put("RestoreDuration", MetricUnit.Seconds, seconds, step, operation_id)
    _put("DataAge", MetricUnit.Seconds, data_age_seconds, step, operation_id)
    if gib:
        _put("RestoredSize", MetricUnit.Gigabytes, gib, step, operation_id)


def _put(name: str, unit: MetricUnit, value: float, step: str, operation_id: str, **properties: str) -> None:
    with single_metric(
        name=name, unit=unit, value=value, namespace=NAMESPACE, default_dimensions={"service": SERVICE}
    ) as metric:
        metric.add_dimension(name="Step", value=step)
        metric.add_metadata(key="operation_id", value=operation_id)
        for key, text in properties.items():
            metric.add_metadata(key=key, value=text)
