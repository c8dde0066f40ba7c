"""archive_snapshot: export, end to end: the data arrives in S3, the copy stays, a failed export is made again."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest

from scripts.local_run.production import SNAPSHOT, Production
from scripts.local_run.stage import OTHER_REGION
from tests.integration.pipeline.reader import Reader, inline, reading
from tests.integration.pipeline.support import Pipeline

EXPORT_BUCKET = "aurora-restore-exports"


@pytest.fixture(name="reader")
def make_reader(pipeline: Pipeline, request: pytest.FixtureRequest) -> Iterator[Reader]:
    yield from reading(pipeline, request)


def exported(pipeline: Pipeline, where: str) -> list[str]:
    prefix = where.removeprefix(f"s3://{EXPORT_BUCKET}/")
    found = pipeline.aws.client("s3").list_objects_v2(Bucket=EXPORT_BUCKET, Prefix=prefix)
    return [each["Key"] for each in found.get("Contents", [])]


@pytest.mark.full
def test_the_copy_is_exported_as_parquet_and_stays(
    pipeline: Pipeline, distant_production: Production, key: str, target: str
) -> None:
    run = pipeline.run(
        {
            "target_cluster_id": target,
            "source_region": OTHER_REGION,
            "kms_key_id": key,
            "archive_snapshot": "export",
        }
    )
    assert run.status == "SUCCEEDED", run.reason
    states = run.states()
    assert states.index("Begin Export") < states.index("Restore Snapshot"), "it runs beside the restore"
    files = exported(pipeline, run.output["archive"]["exported_to"])
    assert any(name.endswith(".parquet") for name in files)
    (copy,) = pipeline.copies_of(run.operation_id)
    assert copy in pipeline.snapshots()
    (message,) = run.messages
    assert "since no cluster can be restored from an export" in message["message"]
    assert run.changes.count("StartExportTask") == 1
    pipeline.rds().delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=copy)


@pytest.mark.full
def test_a_snapshot_that_is_restored_directly_is_exported_itself(pipeline: Pipeline, target: str) -> None:
    request = {"target_cluster_id": target, "archive_snapshot": "export", "snapshot_identifier": SNAPSHOT}
    run = pipeline.run(request)
    assert run.status == "SUCCEEDED", run.reason
    assert run.output["plan"]["export"]["source_arn"].endswith(f":{SNAPSHOT}")
    assert exported(pipeline, run.output["archive"]["exported_to"])
    assert SNAPSHOT in pipeline.snapshots()


@pytest.mark.full
def test_an_export_that_fails_fails_the_run_and_is_made_again_by_resuming(pipeline: Pipeline, target: str) -> None:
    pipeline.aws.faults.add(lifecycle="export-snapshot", status="failed", at_percent=40)
    first = pipeline.run({"target_cluster_id": target, "archive_snapshot": "export"})
    assert first.status == "FAILED"
    assert "The export failed because" in first.reason
    assert pipeline.cluster(target) is not None, "people may rely on it"
    second = pipeline.run({"operation_id": first.operation_id})
    assert second.status == "SUCCEEDED", second.reason
    assert second.changes == ["StartExportTask"]
    assert second.output["plan"]["export"]["identifier"].endswith("-2")
    assert exported(pipeline, second.output["archive"]["exported_to"])


def test_the_export_of_a_restore_that_failed_is_cancelled(
    pipeline: Pipeline, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    durations = dataclasses.replace(pipeline.aws.aurora.durations, export_snapshot=4 * 3600)
    monkeypatch.setattr(pipeline.aws.aurora, "durations", durations)
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network", at_percent=5)
    run = pipeline.run({"target_cluster_id": target, "archive_snapshot": "export"})
    assert run.status == "FAILED"
    assert run.changes.count("CancelExportTask") == 1
    assert pipeline.cluster(target) is None
    begun = pipeline.rds().describe_export_tasks()["ExportTasks"]
    assert [each["Status"] for each in begun if each["ExportTaskIdentifier"] in str(run.calls)] == ["CANCELING"]


@pytest.mark.full
def test_an_export_that_goes_on_is_cancelled_as_the_message_says(
    pipeline: Pipeline,
    reader: Reader,
    distant_production: Production,
    key: str,
    target: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What exists is kept for a resume, and so is the export, until somebody cancels it."""
    durations = dataclasses.replace(pipeline.aws.aurora.durations, export_snapshot=4 * 3600)
    monkeypatch.setattr(pipeline.aws.aurora, "durations", durations)
    pipeline.aws.faults.add(lifecycle="create-instance", status="incompatible-network", at_percent=5)
    run = pipeline.run(
        {
            "target_cluster_id": target,
            "source_region": OTHER_REGION,
            "kms_key_id": key,
            "archive_snapshot": "export",
            "on_failure": "keep",
        }
    )
    assert run.status == "FAILED"
    (message,) = [each["message"] for each in run.messages]
    reader.type(inline(message, "aws rds describe-export-tasks"))
    reader.type(inline(message, "aws rds cancel-export-task"))
    begun = pipeline.rds().describe_export_tasks()["ExportTasks"]
    assert [each["Status"] for each in begun if each["ExportTaskIdentifier"] in str(run.calls)] == ["CANCELING"]

    (copy,) = pipeline.copies_of(run.operation_id)
    pipeline.rds().delete_db_cluster_snapshot(DBClusterSnapshotIdentifier=copy)
    resumed = pipeline.run({"operation_id": run.operation_id, "resume": True})
    assert f"cluster-snapshot:{copy}, which no longer exists" in resumed.reason
    assert resumed.changes == []
    assert pipeline.cluster(target) is not None
