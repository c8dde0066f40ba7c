"""What is counted reaches CloudWatch through the log, and costs little there."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.support import OPERATION
from utils import metrics

STEPS = ("copy-snapshot", "restore")


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def record_everything() -> None:
    metrics.count_success("copy-snapshot", OPERATION, 1.25)
    metrics.count_failure("copy-snapshot", OPERATION, "StepFailed")
    metrics.count_operation("Failed", OPERATION, "StepFailed")
    metrics.record_phase("restore", OPERATION, 2400.0)
    metrics.record_restore(OPERATION, 3000.0, 10_800.0, 100)


def test_every_number_is_in_the_embedded_metric_format(capsys: pytest.CaptureFixture[str]) -> None:
    record_everything()
    found = {}
    for line in lines_of(capsys):
        (declared,) = line["_aws"]["CloudWatchMetrics"]
        assert declared["Namespace"] == "AuroraRestore"
        (metric,) = declared["Metrics"]
        found[metric["Name"]] = (metric["Unit"], line[metric["Name"]])
    assert found == {
        "StepSuccess": ("Count", [1.0]),
        "StepDuration": ("Seconds", [1.25]),
        "StepFailure": ("Count", [1.0]),
        "OperationFailed": ("Count", [1.0]),
        "PhaseDuration": ("Seconds", [2400.0]),
        "RestoreDuration": ("Seconds", [3000.0]),
        "DataAge": ("Seconds", [10800.0]),
        "RestoredSize": ("Gigabytes", [100.0]),
    }


def test_a_size_that_rds_doesnt_tell_isnt_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """Of most of Aurora's snapshots it says 0 GiB."""
    metrics.record_restore(OPERATION, 3000.0, 10_800.0, 0)
    counted = [line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"] for line in lines_of(capsys)]
    assert counted == ["RestoreDuration", "DataAge"]


def test_dimensions_are_few_and_an_operations_id_is_none_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    """Each combination of dimensions is a metric of its own and costs money every month."""
    record_everything()
    for line in lines_of(capsys):
        (declared,) = line["_aws"]["CloudWatchMetrics"]
        assert [sorted(names) for names in declared["Dimensions"]] == [["Step", "service"]]
        assert line["Step"] in STEPS
        assert line["service"] == "aurora-restore"
        assert line["operation_id"] == OPERATION


def test_a_failures_error_is_a_property_only(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.count_failure("copy-snapshot", OPERATION, "TemporaryFailure")
    (line,) = lines_of(capsys)
    assert line["error"] == "TemporaryFailure"
    assert "error" not in line["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0]
