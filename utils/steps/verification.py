"""The verification of the restored cluster: one slice of it in a call, and what becomes of what it has found."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from utils.contracts.payloads import SourceSeen, VerifyProgress, VerifyTask
from utils.contracts.phases import VERIFICATION
from utils.contracts.source_readers import reader_secrets
from utils.contracts.verification import CheckResult, Verification
from utils.errors import ChecksFailed, StepFailed
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.logins.master import MasterLogin
from utils.logins.source_reader import read_source_login
from utils.masking.reading import read_policy
from utils.names import fingerprint
from utils.postgres.bounded import shortened
from utils.postgres.databases import enter_cluster
from utils.postgres.own_roles import OwnLogin
from utils.postgres.session import Server
from utils.postgres.verification.source import NOT_ENTERED, LiveSource, disown_source, source_server
from utils.postgres.verification.verify import verify_slice
from utils.state.operation import OperationRecord, OperationState
from utils.state.pieces import Pieces, kept_pieces
from utils.state.policy_text import kept_policy
from utils.state.unseen import PAUSE_SECONDS as LOOK_AGAIN_SECONDS
from utils.state.unseen import are_apart
from utils.state.values import iso
from utils.state.verification import keep_baseline, keep_progress, keep_verification, kept_baseline
from utils.steps.pace import Pace, took
from utils.steps.slices import DEADLINE, PAUSE_SECONDS, time_left
from utils.verification.comparison import compared
from utils.verification.found import Baseline, VerificationFound, baseline_of
from utils.verification.policy import VerificationPolicy
from utils.verification.reading import read_verification_policy
from utils.verification.summary import finding_lines, summarised

# An execution that began before the stack's state machine had this state.
_NOT_LOOKED = "nobody has asked RDS whether it is still the planned cluster. Start a new operation"
# Of what did not hold, so many are named in a message; the state table has more of them.
MAX_FINDINGS = 20


def verify_cluster(
    task: VerifyTask,
    server: Server,
    master: MasterLogin,
    record: OperationRecord,
    state: OperationState,
    pace: Pace,
) -> VerifyProgress:
    """Check for the time of one slice. A cluster that has passed is not checked again.

    Raises ChecksFailed where something did not hold and the plan says that this fails the operation.
    """
    if record.verified_at is not None:
        return _done(record.verification)
    policy = _policy(task)
    found = _found_so_far(record)
    source = _source(task, server.ca_bundle, state.now)
    if source is not None and _is_unsure(task.source_seen, found):
        return _not_yet(found, record, state, pace, LOOK_AGAIN_SECONDS)
    seen_at = task.source_seen.at if task.source_seen is not None else None
    if found.looked_at is not None:
        if seen_at == found.looked_at:
            # The answer was lost: this is the look that came before the checks.
            return _not_yet(found, record, state, pace)
        if source is not None and source.why_away is not None:
            disown_source(source, source.why_away, found)
        return _concluded(task, policy, found, record, state)
    is_done = verify_slice(
        enter_cluster(server, master),
        policy,
        found,
        fingerprint(record.operation_id),
        task.snapshot.created_at,
        time_left(),
        source,
    )
    if is_done and source is not None and NOT_ENTERED not in found.done:
        # What was read in this slice counts if RDS has the same cluster under its name after it as well.
        found.looked_at = seen_at
        is_done = False
    if not is_done:
        return _not_yet(found, record, state, pace)
    return _concluded(task, policy, found, record, state)


def _policy(task: VerifyTask) -> VerificationPolicy:
    planned = task.verification
    if planned.sha256 is None:
        return VerificationPolicy()
    return read_verification_policy(kept_policy(task.run.operation_id, planned.sha256, "verification"))


def _source(task: VerifyTask, ca_bundle: str, now: dt.datetime) -> LiveSource | None:
    """Return the source where the plan compares with it. By which login is the stack's to say, and not the plan's."""
    planned = task.verification.source
    if planned is None:
        return None

    def login() -> OwnLogin:
        if reader_secrets(task.limits).get(planned.cluster_arn) != planned.secret_arn:
            raise StepFailed(
                f"SourceReaderSecrets no longer names {planned.secret_arn} for {planned.cluster_arn}. Start a new "
                "operation, or have the stack's owner name it again"
            )
        known = read_source_login(planned.secret_arn)
        return OwnLogin(known.username, known.password)

    seen = task.source_seen or SourceSeen(at=now, why=_NOT_LOOKED)
    masking = task.masking
    text = kept_policy(task.run.operation_id, masking.sha256) if masking is not None else None
    return LiveSource(
        identifier=planned.identifier,
        server=source_server(planned.host, planned.port, ca_bundle),
        members=frozenset(seen.members),
        why_away=seen.why,
        read_login=login,
        masking=None if text is None else read_policy(text),
        now=now,
    )


def _is_unsure(seen: SourceSeen | None, found: VerificationFound) -> bool:
    """Return whether RDS does not show the source, and no look long enough ago has missed it. That is noted."""
    if seen is None or not seen.is_unseen or NOT_ENTERED in found.done:
        found.unseen_since = None
        return False
    found.unseen_since = found.unseen_since or seen.at
    return not are_apart(found.unseen_since, seen.at)


def _found_so_far(record: OperationRecord) -> VerificationFound:
    """Return what the slices before this one have found. What can no longer be read is looked at again."""
    if "pieces" not in record.verification:
        return VerificationFound()
    content = kept_pieces(msgspec.convert(record.verification["pieces"], Pieces))
    return VerificationFound() if content is None else msgspec.json.decode(content, type=VerificationFound)


def _not_yet(
    found: VerificationFound,
    record: OperationRecord,
    state: OperationState,
    pace: Pace,
    pause_seconds: int = PAUSE_SECONDS,
) -> VerifyProgress:
    since = record.entered("verify-data")
    tables = sum(len(each.tables) for each in found.databases.values())
    waiting_for = f"the verification: {tables} tables and {len(found.results)} other checks so far"
    if state.now - since >= DEADLINE:
        hours = round(DEADLINE.total_seconds() / 3600)
        raise StepFailed(
            f"After {hours} hours the cluster still waits for {waiting_for}. Resume this operation, which continues "
            "with the verification, or count fewer tables in its policy."
        )
    expected_end = pace.expected_end(VERIFICATION, since, state.now)
    pieces = keep_progress(msgspec.json.encode(found), state)
    state.remember(verification={"pieces": pieces}, expected_end=expected_end)
    return VerifyProgress(answer="wait", waiting_for=waiting_for, wait_seconds=pause_seconds, expected_end=expected_end)


def _concluded(
    task: VerifyTask,
    policy: VerificationPolicy,
    found: VerificationFound,
    record: OperationRecord,
    state: OperationState,
) -> VerifyProgress:
    """Compare, keep what was found, and decide.

    The next run is compared with one in which every check held, or in which what differs from the run before was only
    to be reported: a person has accepted it then. A run of an older snapshot neither is compared with one of
    a newer snapshot nor takes its place.
    """
    # Another policy, or another version of it, leaves other rows.
    masking = task.masking.sha256 if task.masking is not None else ""
    known = _baseline(task, masking)
    is_newest = known is None or known.snapshot_at <= task.snapshot.created_at
    baseline = known if is_newest else None
    comparison = list(compared(found, baseline, policy)) if baseline else []
    verification = summarised(
        task.verification.policy,
        found,
        comparison,
        baseline.operation_id if baseline else None,
        policy.check_seconds * 1000,
        state.now,
        task.verification.source.identifier if task.verification.source is not None else None,
    )
    keep_verification(verification, state)
    findings = shortened(finding_lines(verification, MAX_FINDINGS))
    kept = {
        **{name: getattr(verification, name) for name in ("held", "failed", "not_run")},
        "findings": findings,
        "fingerprint": verification.fingerprint,
        "compared_with_source": verification.compared_with_source,
    }
    state.audit("verification", "passed" if verification.all_held else "findings", kept)
    if not verification.all_held and task.verification.on_findings == "fail":
        # Without its pieces: resumed, the operation checks the cluster again, because somebody may have corrected it.
        state.remember(verification=kept)
        raise ChecksFailed(_refusal(verification, findings, only_differs=_only_differs(verification, comparison)))
    if is_newest and (verification.all_held or _only_differs(verification, comparison)):
        good = baseline_of(state.operation_id, task.snapshot.created_at, found)
        keep_baseline(msgspec.json.encode(good), task.snapshot, masking, state)
    durations = took(record, state.now, {VERIFICATION: record.entered("verify-data")})
    state.remember(verified_at=iso(state.now), verification=kept, took=durations)
    return _done(kept)


def _baseline(task: VerifyTask, masking: str) -> Baseline | None:
    content = kept_baseline(task.snapshot, masking)
    try:
        return None if content is None else msgspec.json.decode(content, type=Baseline)
    except msgspec.MsgspecError:
        # Of another version: it is learned again.
        return None


def _only_differs(verification: Verification, comparison: list[CheckResult]) -> bool:
    """Return whether every check was run, and those that did not hold all say what differs from the last good run."""
    differing = sum(each.held is False for each in comparison)
    return verification.not_run == 0 and differing > 0 and verification.failed == differing


def _refusal(verification: Verification, findings: list[str], *, only_differs: bool) -> str:
    accepting = ["To accept what is different from now on, run once with on_findings 'report'."] if only_differs else []
    return "\n".join(
        [
            f"{verification.failed} checks of policy {verification.policy!r} did not hold, and {verification.not_run} "
            f"could not be run; {verification.held} held. The door of the restored cluster stays shut:",
            *findings,
            "Correct the data in the source, or the policy, then start a new operation: this one keeps its snapshot "
            "and its policy. With on_findings 'report' a new one continues, and reports them.",
            *accepting,
        ]
    )


def _done(kept: dict[str, Any]) -> VerifyProgress:
    return VerifyProgress(
        answer="done",
        waiting_for="",
        wait_seconds=0,
        held=kept.get("held", 0),
        failed=kept.get("failed", 0),
        not_run=kept.get("not_run", 0),
        findings=[one_line(each, MAX_SENTENCE) for each in kept.get("findings", [])],
    )
