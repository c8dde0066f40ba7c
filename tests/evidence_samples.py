"""Invented evidence for tests and for the pictures in the documentation: operations of each outcome, and an index."""

from __future__ import annotations

import datetime as dt

from msgspec.structs import replace

from utils.contracts.evidence import (
    Change,
    Checked,
    Evidence,
    EvidenceExecution,
    EvidenceSnapshot,
    EvidenceTarget,
    Index,
    Isolation,
    Objective,
    Objectives,
    Requested,
    Software,
    Summary,
    TimelineEntry,
    index_entry,
)
from utils.contracts.verification import CheckResult

STARTED = dt.datetime(2026, 11, 27, 0, 5, 13, tzinfo=dt.UTC)
SHA256 = "3f9a51c7d2b804e6a9170f35cc8be2416d05f7a38e94b1c02d6a7f8035e1b9c4"
KEY_SHA256 = "24eac915b7d06f3182ce594a0db36e7fa81c2594e60f7d3b9a48c15e026d05c9"
OPERATION = "d24365b9-1347-47c9-835d-5338070e1934"
ACCOUNT = "123456789012"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/5c1f4b0e-7d2a-4c5e-9b83-0a6d7e2f1c94"


def at(minutes: float) -> dt.datetime:
    """Return a moment by the minutes since the operation began."""
    return STARTED + dt.timedelta(seconds=round(minutes * 60))


def a_check(name: str, **other: object) -> CheckResult:
    """Return a check that held."""
    given = {
        "kind": "rows",
        "scope": f"orders.public.{name}",
        "expected": "at least 1 row",
        "actual": "1,204,311 rows",
        "held": True,
        "took_ms": 412,
        "limit_ms": 30_000,
    }
    return CheckResult(name=name, **(given | other))  # type: ignore[arg-type]


TABLES = ["customers", "orders", "order_lines", "payments", "refunds", "shipments", "addresses", "products", "stock"]
HELD = [
    a_check(
        "no order without a customer",
        kind="own_rows",
        scope="orders",
        expected="no rows",
        actual="no rows",
        text_sha256="b7e1d0634fa95c2e81f7a3960dc4582b19fe3d07a6c58e42f1390bd7256ca8e0",
        took_ms=2_840,
    ),
    a_check(
        "payments of the last day",
        kind="own_number",
        scope="orders",
        expected="from 1,000 to 100,000",
        actual="18,402",
        text_sha256="0c95f7a2e3d1864b50fa92c7e816db34a07f5e29c1b3860d4e72f95a18c6d03b",
        took_ms=1_105,
    ),
    a_check(
        "newest row",
        kind="newest_row",
        scope="orders.public.orders.created_at",
        expected="at most 2 h before the snapshot",
        actual="2026-11-26 23:09:58 UTC",
    ),
    *(a_check(name) for name in TABLES),
    a_check("schema", kind="schema", scope="orders", expected="9 tables as in the policy", actual="9 tables"),
    a_check("indexes", kind="indexes", scope="orders", expected="every index valid", actual="27 valid", took_ms=96),
    a_check("sequences", kind="sequences", scope="orders", expected="none behind its column", actual="9 ahead"),
    a_check("foreign keys", kind="foreign_keys", scope="orders", expected="validated", actual="14 validated"),
    a_check("extensions", kind="extensions", scope="orders", expected="pgcrypto, pg_trgm", actual="pgcrypto, pg_trgm"),
    a_check(
        "rows since the last good run",
        kind="comparison",
        scope="orders.public.orders",
        expected="at least 95 % of 1,197,040",
        actual="1,204,311",
    ),
]
ESTIMATED = [
    a_check("audit_log", exact=False, actual="about 84,000,000 rows", took_ms=3, expected="at least 1 row"),
    a_check("events", exact=False, actual="about 311,000,000 rows", took_ms=2, expected="at least 1 row"),
]
FAILED = [
    a_check(
        "refunds",
        kind="comparison",
        scope="orders.public.refunds",
        expected="at least 95 % of 48,220 (operation 7b02c1d4)",
        actual="31,907 rows",
        held=False,
        took_ms=118,
    ),
]
NOT_RUN = [
    a_check(
        "no invoice twice",
        kind="own_rows",
        scope="billing",
        expected="no rows",
        actual="",
        held=None,
        text_sha256="9a40de17c5b2f38061e7d94b0ca5f3276b81ed0594fc72a3d160b85e7f29c43d",
        took_ms=30_000,
        error="It took longer than its limit of 30 s and was canceled. Raise the check's limit, or add an index.",
    ),
]


def checked(*results: CheckResult, not_listed: int = 0) -> Checked:
    """Return what a verification found, with these results."""
    return Checked(
        policy="verification/orders.yaml, version 3HL4kqtJlcpXroDTDmJ",
        held=sum(result.held is True for result in results) + not_listed,
        failed=sum(result.held is False for result in results),
        not_run=sum(result.held is None for result in results),
        not_listed=not_listed,
        tables=11,
        tables_counted=9,
        rows=398_214_077,
        fingerprint="6d0fb2a1c94e7385d1fa06b37c285e94a3f70d1b95c8e2640f7da31b8629e5c0",
        newest_row_at=dt.datetime(2026, 11, 26, 23, 9, 58, tzinfo=dt.UTC),
        compared_with="7b02c1d4-9e15-4f7a-8a63-2d0c5b94e8f1",
        results=list(results),
    )


SNAPSHOT = EvidenceSnapshot(
    arn=f"arn:aws:rds:us-west-2:{ACCOUNT}:cluster-snapshot:prod-orders-nightly-2026-11-26",
    identifier="prod-orders-nightly-2026-11-26",
    created_at=dt.datetime(2026, 11, 26, 23, 11, 20, tzinfo=dt.UTC),
    encryption="a customer-managed key",
    kms_key_id=f"arn:aws:kms:us-west-2:{ACCOUNT}:key/0f8d6c2b-93a1-4e57-b0c4-7d15e9a2386f",
    cluster_identifier="prod-orders",
    region="us-west-2",
    account=ACCOUNT,
    copied_to=f"arn:aws:rds:us-east-1:{ACCOUNT}:cluster-snapshot:aurora-restore-drill-orders-d24365b9",
    engine_version="17.5",
    allocated_gib=612,
)
TARGET = EvidenceTarget(
    identifier="drill-orders",
    resource_id="cluster-UPIWMG8FJRN9QYSV6ZKD4TBXA2",
    region="us-east-1",
    account=ACCOUNT,
    endpoint="drill-orders.cluster-c9akciq32rgx.us-east-1.rds.amazonaws.com",
    instances=["drill-orders-1f9c-1", "drill-orders-1f9c-2"],
    settings="as_planned",
    exists=False,
)
BEHIND_ITS_DOOR = Isolation(
    door="never",
    door_security_group="sg-0b7d15e9a2386f4c1",
    opened_at=None,
    security_groups=[],
    inherited_logins="lock",
    locked_logins=14,
    masking_policy="masking/orders.yaml, version qUspQ7v8mAxz4aKJcH3",
    masked_at=at(72),
)
CHANGES = [
    Change(
        what="created",
        on="snapshot copy aurora-restore-drill-orders-d24365b9",
        resource_id=None,
        at=at(13.4),
        proof="RDS described it as available, with this operation's tags",
    ),
    Change(
        what="created",
        on="cluster drill-orders",
        resource_id=TARGET.resource_id,
        at=at(14),
        proof="RDS described it with this operation's tags",
    ),
    Change(what="masked", on="9 tables of orders", resource_id=None, at=at(72), proof="its checks found nothing"),
    Change(
        what="locked",
        on="14 previous logins",
        resource_id=None,
        at=at(73),
        proof="read from pg_roles",
    ),
    Change(
        what="deleted",
        on="cluster drill-orders",
        resource_id=TARGET.resource_id,
        at=at(78.8),
        proof="RDS no longer described a cluster with this resource id",
    ),
    Change(
        what="deleted",
        on="snapshot copy aurora-restore-drill-orders-d24365b9",
        resource_id=None,
        at=at(79.1),
        proof="RDS no longer described it",
    ),
]
LIMITS = [
    "That an application can work with the data: no application was connected.",
    "A failover: the cluster had no failure while it was checked.",
    "The rows of 2 tables beyond an estimate: audit_log, events.",
]


def _phases(*minutes: tuple[str, float, float | None]) -> list[TimelineEntry]:
    return [
        TimelineEntry(
            phase=phase,
            began_at=at(began),
            ended_at=None if ended is None else at(ended),
            outcome="failed" if ended is None else "done",
        )
        for phase, began, ended in minutes
    ]


PASSED = Evidence(
    operation_id=OPERATION,
    kind="drill",
    outcome="passed",
    started_at=STARTED,
    ended_at=at(79.2),
    summary=Summary(worked=True, sentence="The snapshot was restored and its data checked.", next=[]),
    error=None,
    requested=Requested(
        by=f"arn:aws:sts::{ACCOUNT}:assumed-role/aurora-restore-scheduler/nightly-drill",
        by_source="cloudtrail",
        event_id="8f2b60d4-1c7e-4a93-b5d0-96e1f37a482c",
        plan_sha256="7c1e04b9d85f2a36e07b14c9f3d85a62b0e9714fc36d825ab1f7e40936cd58a2",
        request='{"drill":true,"source_cluster_id":"prod-orders","target_cluster_id":"drill-orders"}',
    ),
    snapshot=SNAPSHOT,
    target=TARGET,
    isolation=BEHIND_ITS_DOOR,
    objectives=Objectives(
        rpo_seconds=Objective(target=3_600, actual=3_315),
        rpo_from="newest_row",
        rto_seconds=Objective(target=7_200, actual=4_692),
    ),
    timeline=_phases(
        ("check and plan", 0, 0.1),
        ("copy", 0.1, 13.5),
        ("restore", 13.5, 66),
        ("masking", 66, 72),
        ("users", 72, 73),
        ("verification", 73, 78.2),
        ("deletion", 78.2, 79.1),
    ),
    checks=checked(*ESTIMATED, *HELD, not_listed=21),
    findings=[],
    changes=CHANGES,
    execution=EvidenceExecution(
        arn=f"arn:aws:states:us-east-1:{ACCOUNT}:execution:aurora-restore:{OPERATION}", redrive_count=0, earlier=[]
    ),
    software=Software(
        name="aurora-restore-sns-notification",
        function_version="42",
        code_sha256="oC3Jt8b1Lr5qk0Zc7mHn2fQyXw9aEdUvGs4iTpRz6Ko=",
    ),
    limits=LIMITS,
)
RESTORED = replace(
    PASSED,
    kind="restore",
    summary=Summary(worked=True, sentence="The cluster is open, and its data was checked.", next=[]),
    target=replace(TARGET, identifier="staging-orders", exists=True),
    isolation=replace(
        BEHIND_ITS_DOOR,
        door="opened",
        opened_at=at(73.8),
        security_groups=["sg-0c4e8a17d35b92f60", "sg-0f1d2e7b64a85c390"],
    ),
    changes=CHANGES[:4],
)
FINDINGS = replace(
    PASSED,
    outcome="findings",
    summary=Summary(
        worked=True,
        sentence="The snapshot was restored, but 2 checks of its data did not hold.",
        next=[
            "Find out why refunds lost rows since operation 7b02c1d4.",
            'Raise the limit of the check "no invoice twice", and drill again.',
        ],
    ),
    objectives=Objectives(
        rpo_seconds=Objective(target=3_600, actual=6_810),
        rpo_from="newest_row",
        rto_seconds=Objective(target=7_200, actual=4_692),
    ),
    checks=checked(*FAILED, *NOT_RUN, *ESTIMATED, *HELD, not_listed=19),
    findings=[
        "orders.public.refunds has 31,907 rows: fewer than 95 % of the 48,220 in operation 7b02c1d4.",
        'The check "no invoice twice" did not come to its end.',
        "The data was 1 h 54 min old: more than the target of 1 h.",
    ],
)
FAILED_RESTORE = replace(
    PASSED,
    operation_id="9f03ab1e-5d0c-4a7e-9a55-0c1f3a9c7e10",
    kind="restore",
    outcome="failed",
    ended_at=at(67.3),
    summary=Summary(
        worked=False,
        sentence='Setup DB Users failed: the application secret has no key "app_username".',
        next=[
            "Add the key app_username to the secret aurora-restore/app.",
            "Then resume: aurora-restore resume 9f03ab1e",
            "Or give up: aurora-restore expire 9f03ab1e --now",
        ],
    ),
    error='SecretInvalid: the application secret aurora-restore/app has no key "app_username".\nAdd it, and resume.',
    requested=replace(PASSED.requested, by="jane.doe@example.com", by_source="claimed", event_id=None),
    target=replace(TARGET, identifier="staging-orders-20261127", exists=True),
    isolation=replace(BEHIND_ITS_DOOR, locked_logins=0, masked_at=at(66)),
    objectives=Objectives(
        rpo_seconds=Objective(target=None, actual=3_233),
        rpo_from="snapshot",
        rto_seconds=Objective(target=7_200, actual=None),
    ),
    timeline=_phases(
        ("check and plan", 0, 0.1), ("copy", 0.1, 13.5), ("restore", 13.5, 60), ("masking", 60, 66), ("users", 66, None)
    ),
    checks=None,
    changes=CHANGES[:3],
    limits=["Whether the data is complete: it ended before its checks."],
)
STOPPED = replace(
    FAILED_RESTORE,
    kind="refresh",
    outcome="stopped",
    summary=Summary(
        worked=False,
        sentence="It was stopped by hand while the cluster was restored.",
        next=["Resume: aurora-restore resume 9f03ab1e"],
    ),
    error=None,
    target=replace(TARGET, resource_id=None, endpoint=None, instances=[], exists=None),
    isolation=replace(
        BEHIND_ITS_DOOR,
        door="unknown",
        door_security_group=None,
        masking_policy=None,
        inherited_logins=None,
        masked_at=None,
    ),
    objectives=Objectives(
        rpo_seconds=Objective(target=None, actual=None),
        rpo_from=None,
        rto_seconds=Objective(target=None, actual=None),
    ),
    changes=[Change(what="shared", on="its snapshot", resource_id=None, at=None, proof="not known")],
)
REFUSED = replace(
    PASSED,
    operation_id="51c0de77-20f9-4b3c-8d16-e9a7b54f0c28",
    kind="restore",
    outcome="refused",
    ended_at=at(0.1),
    summary=Summary(
        worked=False,
        sentence="The request was refused, and nothing was touched: alias/gone is disabled in us-east-1.",
        next=["Enable the key alias/gone, or name another one as kms_key_id."],
    ),
    error="RequestRefused: kms_key_id: alias/gone is disabled in us-east-1: enable it or name another",
    requested=Requested(by="not known", by_source="unknown", event_id=None, plan_sha256=None, request="no JSON"),
    snapshot=None,
    target=None,
    isolation=None,
    objectives=Objectives(
        rpo_seconds=Objective(target=None, actual=None), rpo_from=None, rto_seconds=Objective(target=None, actual=None)
    ),
    timeline=[],
    checks=None,
    findings=[],
    changes=[],
    software=replace(PASSED.software, code_sha256=None),
    limits=[],
)
BY_OUTCOME: dict[str, Evidence] = {each.outcome: each for each in (PASSED, FINDINGS, FAILED_RESTORE, STOPPED, REFUSED)}


def an_index(operations: int = 40) -> Index:
    """Return an index over some weeks: mostly good drills of two sources, some restores, and some that failed."""
    entries = []
    for number in range(1, operations + 1):
        days = dt.timedelta(days=(number - operations) * 2, minutes=number * 7 % 11)
        like = FAILED_RESTORE if number % 13 == 0 else FINDINGS if number % 17 == 0 else PASSED
        if number == operations - 3:
            like = REFUSED
        source = "prod-billing" if number % 4 == 0 else "prod-orders"
        aims = like.objectives
        evidence = replace(
            like,
            operation_id=f"{number * 2654435761 % 2**32:08x}-1347-47c9-835d-5338070e1934",
            started_at=like.started_at + days,
            ended_at=like.ended_at + days,
            kind=like.kind if like is not PASSED or number % 5 else "restore",
            snapshot=replace(like.snapshot, cluster_identifier=source) if like.snapshot else None,
            objectives=replace(
                aims,
                rpo_seconds=_varied(aims.rpo_seconds, number * 37 % 23 - 14),
                rto_seconds=_varied(aims.rto_seconds, number * 29 % 41 - 12),
            ),
        )
        folder = f"evidence/{source}/{evidence.started_at:%Y}/{evidence.operation_id}/{number}"
        entries.append(index_entry(evidence, number, folder))
    written_at = entries[-1].ended_at + dt.timedelta(hours=9)
    return Index(stack="aurora-restore-pipeline", written_at=written_at, entries=entries[::-1], omitted=0)


def _varied(objective: Objective, percent: int) -> Objective:
    actual = objective.actual
    return objective if actual is None else replace(objective, actual=actual * (100 + percent) // 100)
