"""Exports of snapshots to S3: started, described, cancelled.

The sixth export at a time is refused with the code and text that people quote, though no model of the API has it. The
code for a second one of the same snapshot is not verified: here it is InvalidExportSourceState.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.export_files import Extract, extract
from scripts.local_aws.aurora.records import Resource, Snapshot
from scripts.local_aws.aurora.region import AuroraBackend, operation
from scripts.local_aws.core.arns import Arn
from scripts.local_aws.iam.refusals import NotAuthorized
from scripts.local_aws.postgres.volumes import Volume

_SERVICE = "export.rds.amazonaws.com"
_RUNNING = ("starting", "in_progress", "canceling")
_OBJECT_ACTIONS = ("s3:PutObject", "s3:GetObject", "s3:DeleteObject")
_BUCKET_ACTIONS = ("s3:ListBucket", "s3:GetBucketLocation")
_EXPORT_ONLY = re.compile(r"[^.]+(\.[^.]+){0,2}")
_STARTING = 0.2
"""The part of an export's time in which nothing is seen of it: RDS creates a cluster of its own from the snapshot."""


class ExportTask(Resource):
    """One export. Its statuses are those of the API in lower case."""

    kind = "export"
    volume: Volume
    extracted: Extract | None = None
    reaches_percent = 100

    def end(self, status: str, **attributes: Any) -> None:
        """End the task with a status, and free its volume."""
        self.rest(status)
        self.region.world.tasks.start(self.volume.discard, name=f"discard the volume of {self.identifier}")
        self.attributes |= {"TaskEndTime": self.region.world.clock.now(), **attributes}

    def describe(self) -> dict[str, Any]:
        """Describe the task. Its progress is known while it is in progress."""
        percent = {"starting": 0, "in_progress": int(self.elapsed * self.reaches_percent), "complete": 100}
        return {
            **self.attributes,
            "ExportTaskIdentifier": self.identifier,
            "Status": self.status.upper(),
            "PercentProgress": percent.get(self.status, 0),
        }


@operation("StartExportTask", "ExportTaskIdentifier SourceArn S3BucketName IamRoleArn KmsKeyId S3Prefix ExportOnly")
def start_export_task(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Start an export. Everything that can be refused is refused before the task exists."""
    identifier, bucket = _identifier(parameters), parameters["S3BucketName"]
    prefix = _prefix(parameters)
    if identifier in region.export_tasks:
        rules.refuse("ExportTaskAlreadyExists", f"The export task {identifier} already exists.")
    snapshot = _source(region, parameters["SourceArn"])
    for only in parameters.get("ExportOnly", []):
        if not _EXPORT_ONLY.fullmatch(only):
            rules.refuse("InvalidExportOnly", f"{only} names no database, database.schema or database.schema.table.")
    _check_bucket(region, bucket)
    _check_role(region, parameters["IamRoleArn"], bucket, "/".join(part for part in (prefix, identifier) if part))
    task = ExportTask(
        region,
        identifier,
        {
            **{name: parameters[name] for name in ("SourceArn", "IamRoleArn", "ExportOnly") if name in parameters},
            "KmsKeyId": region.key(parameters["KmsKeyId"]),
            "S3Bucket": bucket,
            "S3Prefix": prefix,
            "SnapshotTime": snapshot.created_at,
            "SourceType": "SNAPSHOT",
            "TaskStartTime": region.world.clock.now(),
            "TotalExtractedDataInGB": 0,
        },
        {},
    )
    task.volume = snapshot.volume.share()
    region.export_tasks[identifier] = task
    _begin(task)
    return task.describe()


def _identifier(parameters: rules.Parameters) -> str:
    """Return the task's name, which RDS takes with up to 60 characters (wellcomecollection/catalogue-pipeline#3227).

    With which code and text it refuses a longer one is not verified.
    """
    identifier = rules.identifier(parameters, "ExportTaskIdentifier")
    if len(identifier) > 60:
        rules.refuse_value("The parameter ExportTaskIdentifier is not a valid identifier. It exceeds 60 characters.")
    return identifier


def _prefix(parameters: rules.Parameters) -> str:
    """Return the prefix: fewer than 60 characters (opensearch-project/data-prepper#4955), none of them a colon.

    Source for the colon: Aurora User Guide, "Considerations for DB cluster snapshot exports". Codes and texts are not
    verified.
    """
    prefix = str(parameters.get("S3Prefix", ""))
    if len(prefix) >= 60 or ":" in prefix:
        rules.refuse_value(f"Invalid S3Prefix {prefix}. It must have fewer than 60 characters, and no colon.")
    return prefix.strip("/")


def _source(region: AuroraBackend, arn: str) -> Snapshot:
    """Return a snapshot of this account and region that is ready to be exported."""
    parsed = Arn.parse_or_none(arn)
    if parsed and parsed.kind == "snapshot":
        rules.refuse("DBSnapshotNotFound", f"DBSnapshot not found: {arn}")
    if not parsed or parsed.kind != Snapshot.kind:
        rules.refuse_value(f"Invalid resource name: {arn} is no cluster snapshot.")
    snapshot = region.snapshot(arn)
    if snapshot.status != "available":
        rules.refuse("InvalidExportSourceState", f"The snapshot {snapshot.identifier} is {snapshot.status}.")
    running = [each for each in region.export_tasks.values() if each.status in _RUNNING]
    if any(each.attributes["SourceArn"] == arn for each in running):
        message = f"An export task of the snapshot {snapshot.identifier} is in progress already."
        rules.refuse("InvalidExportSourceState", message)
    most = region.world.quotas.export_tasks_in_progress
    if len(running) >= most:
        rules.refuse("ExportTaskLimitReachedFault", f"You have reached the limit of {most} concurrent export tasks")
    return snapshot


def _check_bucket(region: AuroraBackend, name: str) -> None:
    bucket = s3_backends[region.account_id][region.partition].buckets.get(name)
    if bucket is None:
        rules.refuse("InvalidS3BucketFault", f"The specified Amazon S3 bucket {name} cannot be found or accessed.")
    if bucket.region_name != region.region_name:
        message = f"The bucket {name} is in {bucket.region_name}, not in {region.region_name} as the snapshot is."
        rules.refuse("InvalidS3BucketFault", message)


def _check_role(region: AuroraBackend, arn: str, bucket: str, key: str) -> None:
    account, partition = region.account_id, region.partition
    if arn not in {role.arn for role in iam_backends[account][partition].get_roles()}:
        rules.refuse("IamRoleNotFound", f"The IAM role {arn} is missing.")

    def lacks(what: str) -> NoReturn:
        rules.refuse("IamRoleMissingPermissions", f"The IAM role {arn} {what}.")

    permissions = region.world.permissions
    if not permissions.trusts(arn, _SERVICE):
        lacks(f"does not let {_SERVICE} assume it")
    s3_bucket = f"arn:{partition}:s3:::{bucket}"
    wanted = [(action, f"{s3_bucket}/{key}/export_info.json") for action in _OBJECT_ACTIONS]
    for action, resource in [*wanted, *((action, s3_bucket) for action in _BUCKET_ACTIONS)]:
        try:
            permissions.require(arn, action, resource, session_name="export", region=region.region_name)
        except NotAuthorized:
            lacks(f"is not allowed {action} on {resource}")


def _begin(task: ExportTask) -> None:
    """Let the task be starting, in progress, complete; what was extracted reaches the bucket at the very end."""
    world = task.region.world
    seconds = world.durations.export_snapshot
    fault = world.faults.lifecycle("export-snapshot", task.identifier)

    def work() -> None:
        task.extracted = extract(world.servers, task.volume, task.attributes.get("ExportOnly", []))

    def started() -> None:
        rest = seconds * (1 - _STARTING)
        if fault and fault.status != "complete":
            task.reaches_percent = fault.at_percent
            cause = "The export failed because a test or a user asked for it."
            ended = {} if fault.status == "canceled" else {"FailureCause": cause}
            task.enter("in_progress", rest * fault.at_percent / 100, then=lambda: task.end(fault.status, **ended))
        else:
            warned = {"WarningMessage": "Some tables were skipped."} if fault else {}
            task.enter("in_progress", rest, then=lambda: _complete(task, warned), work=work)

    task.enter("starting", seconds * _STARTING, then=started)


def _complete(task: ExportTask, warned: dict[str, str]) -> None:
    extracted, region = task.extracted, task.region
    assert extracted is not None
    if extracted.unknown:
        task.end("failed", FailureCause=f"The export found nothing that is named {', '.join(extracted.unknown)}.")
        return
    key = "/".join(part for part in (task.attributes["S3Prefix"], task.identifier) if part)
    s3 = s3_backends[region.account_id][region.partition]
    gigabytes = sum(table.size for table in extracted.tables) // 2**30
    task.end("complete", TotalExtractedDataInGB=gigabytes, **warned)
    for name, content in extracted.files(task.identifier, task.describe()).items():
        encryption = {"encryption": "aws:kms", "kms_key_id": task.attributes["KmsKeyId"]}
        s3.put_object(task.attributes["S3Bucket"], f"{key}/{name}", content, **encryption)


@operation("DescribeExportTasks", "ExportTaskIdentifier SourceArn SourceType Filters MaxRecords Marker")
def describe_export_tasks(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    name = parameters.get("ExportTaskIdentifier")
    tasks = [_task(region, name)] if name else [each for _, each in sorted(region.export_tasks.items())]
    if "SourceArn" in parameters:
        tasks = [each for each in tasks if each.attributes["SourceArn"] == parameters["SourceArn"]]
    if parameters.get("SourceType", "SNAPSHOT") != "SNAPSHOT":
        tasks = []
    filters = {
        "export-task-identifier": lambda each: (each.identifier,),
        "s3-bucket": lambda each: (each.attributes["S3Bucket"],),
        "source-arn": lambda each: (each.attributes["SourceArn"],),
        "status": lambda each: (each.status,),
    }
    return rules.listing("ExportTasks", tasks, parameters, filters, ExportTask.describe)


@operation("CancelExportTask", "ExportTaskIdentifier")
def cancel_export_task(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    task = _task(region, parameters["ExportTaskIdentifier"])
    if task.status not in ("starting", "in_progress"):
        message = f"The export task {task.identifier} is {task.status.upper()} and can no longer be cancelled."
        rules.refuse("InvalidExportTaskStateFault", message)
    task.enter("canceling", region.world.durations.settle, then=lambda: task.end("canceled"))
    return task.describe()


def _task(region: AuroraBackend, identifier: str) -> ExportTask:
    found = region.export_tasks.get(identifier.lower())
    return found or rules.refuse("ExportTaskNotFound", f"The export task {identifier} was not found.")
