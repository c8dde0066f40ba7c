"""The masking of the restored cluster: one slice of it in a call, and what is recorded and removed at its end."""

from __future__ import annotations

from msgspec.structs import replace

from utils.contracts.payloads import TransformProgress, TransformTask
from utils.contracts.phases import MASKING
from utils.errors import StepFailed
from utils.foreign_text import one_line
from utils.logins.masking_salt import read_salt, remove_salt
from utils.logins.master import MasterLogin
from utils.masking.reading import read_policy
from utils.names import fingerprint
from utils.postgres.bounded import shortened
from utils.postgres.databases import DatabaseCluster, enter_cluster
from utils.postgres.masking.mask import MaskingProgress, mask_slice, remove_masking_state
from utils.postgres.session import Server
from utils.state.operation import OperationRecord, OperationState
from utils.state.policy_text import kept_policy
from utils.state.values import iso
from utils.steps.pace import Pace, took
from utils.steps.slices import DEADLINE, PAUSE_SECONDS, time_left


def mask_cluster(
    task: TransformTask,
    server: Server,
    master: MasterLogin,
    record: OperationRecord,
    state: OperationState,
    pace: Pace,
) -> TransformProgress:
    """Mask for the time of one slice. What is done is recorded before the salt and the databases' own notes go."""
    cluster = enter_cluster(server, master)
    if record.masked_at is None:
        progress = _masked_so_far(task, cluster, record, state)
        if not progress.done:
            return _not_yet(progress, record, state, pace)
        record = _remember_masked(progress, record, state)
    remove_masking_state(cluster, fingerprint(record.operation_id))
    if record.salt_secret_arn is not None:
        remove_salt(record.salt_secret_arn)
        state.remember(salt_secret_arn=None)
    known = TransformProgress(answer="done", waiting_for="", wait_seconds=0)
    return replace(known, **{name: value for name, value in record.masking.items() if name != "databases"})


def _masked_so_far(
    task: TransformTask, cluster: DatabaseCluster, record: OperationRecord, state: OperationState
) -> MaskingProgress:
    policy = read_policy(kept_policy(record.operation_id, task.masking.sha256))
    if record.salt_secret_arn is None:
        raise StepFailed("No salt was recorded for the masking. Nothing was masked. Resume this operation.")
    salt = read_salt(record.salt_secret_arn, record.salt_version_id)
    if record.salt_version_id is None:
        state.remember(salt_version_id=salt.version_id)
    return mask_slice(cluster, policy, salt.value, fingerprint(record.operation_id), time_left())


def _not_yet(
    progress: MaskingProgress, record: OperationRecord, state: OperationState, pace: Pace
) -> TransformProgress:
    since = record.entered("transform-data")
    waiting_for = (
        f"the masking of database {one_line(progress.database)}: {progress.tables_done} of {progress.tables} tables, "
        f"{progress.rows} rows"
    )
    if state.now - since >= DEADLINE:
        hours = round(DEADLINE.total_seconds() / 3600)
        raise StepFailed(
            f"After {hours} hours the cluster still waits for {waiting_for}. Resume this operation, which continues "
            "with the masking, or use a larger instance class."
        )
    expected_end = pace.expected_end(MASKING, since, state.now)
    state.remember(masking=_kept(progress), expected_end=expected_end)
    return TransformProgress(
        answer="wait",
        waiting_for=waiting_for,
        wait_seconds=PAUSE_SECONDS,
        database=one_line(progress.database),
        tables=progress.tables,
        tables_done=progress.tables_done,
        rows=progress.rows,
        expected_end=expected_end,
    )


def _remember_masked(progress: MaskingProgress, record: OperationRecord, state: OperationState) -> OperationRecord:
    kept, durations = _kept(progress), took(record, state.now, {MASKING: record.entered("transform-data")})
    state.audit("masking-gate", "passed", kept)
    state.remember(masked_at=iso(state.now), masking=kept, took=durations)
    return replace(record, masked_at=iso(state.now), masking=kept)


def _kept(progress: MaskingProgress) -> dict[str, object]:
    """Return what the record keeps of it: numbers and names, bounded, and no values."""
    return {
        "database": one_line(progress.database),
        "tables": progress.tables,
        "tables_done": progress.tables_done,
        "rows": progress.rows,
        "findings": shortened(progress.findings),
        "databases": shortened(progress.databases),
        "passed_checks": shortened(progress.passed_checks),
    }
