"""What is due with a cluster that expires: one table of everything that decides it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from msgspec.structs import replace

from tests.unit.support import NOW, OPERATION, TARGET, a_record
from utils.aurora_utils.resources import (
    EXPIRY_TAG,
    OPERATION_TAG,
    PROTECTED_TAG,
    ROLE_TAG,
    Cluster,
    Instance,
    read_cluster,
    read_instance,
)
from utils.expiry.due import ExpiryAction, decide, notice_of, tagged_expiry
from utils.messages.expiry_report import kept
from utils.state.expiry import ExpiringCluster, expiry_text
from utils.state.values import iso

HOUR = dt.timedelta(hours=1)
EXPIRES = NOW + 72 * HOUR
# Of 72 hours: a quarter is 18 hours.
NOTICE = 18 * HOUR
ID = "cluster-ABC"


def tags(**changes: str | None) -> list[dict[str, str]]:
    found = {OPERATION_TAG: OPERATION, EXPIRY_TAG: expiry_text(EXPIRES)} | {
        {"operation": OPERATION_TAG, "expires": EXPIRY_TAG, "protected": PROTECTED_TAG}[name]: value
        for name, value in changes.items()
    }
    return [{"Key": key, "Value": value} for key, value in found.items() if value is not None]


def a_cluster(**changes: Any) -> Cluster:
    raw: Any = {
        "DBClusterIdentifier": TARGET,
        "DBClusterArn": f"arn:aws:rds:us-east-1:123456789012:cluster:{TARGET}",
        "DbClusterResourceId": ID,
        "Status": "available",
        "Engine": "aurora-postgresql",
        "TagList": tags(),
        **changes,
    }
    return read_cluster(raw)


def an_instance(**changes: Any) -> Instance:
    raw: Any = {
        "DBInstanceIdentifier": f"{TARGET}-1",
        "DBInstanceStatus": "available",
        "DBClusterIdentifier": TARGET,
        "Engine": "aurora-postgresql",
        "TagList": [{"Key": OPERATION_TAG, "Value": OPERATION}],
        **changes,
    }
    return read_instance(raw)


ENTRY = ExpiringCluster(resource_id=ID, cluster_identifier=TARGET, operation_id=OPERATION, hours=72)
WARNED = replace(ENTRY, warned_of=expiry_text(EXPIRES), warned_at=iso(EXPIRES - NOTICE))
BEGUN = replace(WARNED, deletion_began_at=iso(EXPIRES))
RECORD = a_record(
    cluster_resource_id=ID, cluster_expires_at=expiry_text(EXPIRES), plan={"cluster": {"deletion_protection": False}}
)
PROTECTED = replace(RECORD, plan_read={"cluster": {"deletion_protection": True}})
LATER = expiry_text(EXPIRES + 24 * HOUR)
CLUSTER = a_cluster()


@pytest.mark.parametrize(
    ("entry", "cluster", "now", "action"),
    [
        # By the clock, as tag and record say.
        (ENTRY, CLUSTER, EXPIRES - NOTICE - HOUR, ExpiryAction.NOTHING),
        (ENTRY, CLUSTER, EXPIRES - NOTICE, ExpiryAction.WARN),
        (WARNED, CLUSTER, EXPIRES - HOUR, ExpiryAction.NOTHING),
        (WARNED, CLUSTER, EXPIRES, ExpiryAction.DELETE),
        # Nobody was warned: that comes first, and then half the notice.
        (ENTRY, CLUSTER, EXPIRES + 100 * HOUR, ExpiryAction.WARN),
        (replace(WARNED, warned_at=iso(EXPIRES)), CLUSTER, EXPIRES + NOTICE / 2 - HOUR, ExpiryAction.NOTHING),
        (replace(WARNED, warned_at=iso(EXPIRES)), CLUSTER, EXPIRES + NOTICE / 2, ExpiryAction.DELETE),
        # A tag extends, and a new moment is announced anew; an earlier one changes nothing.
        (WARNED, a_cluster(TagList=tags(expires=LATER)), EXPIRES, ExpiryAction.NOTHING),
        (WARNED, a_cluster(TagList=tags(expires=LATER)), EXPIRES + 24 * HOUR - NOTICE, ExpiryAction.WARN),
        (WARNED, a_cluster(TagList=tags(expires="2026-03-10T03:00:00Z")), EXPIRES - HOUR, ExpiryAction.NOTHING),
        (WARNED, a_cluster(TagList=tags(expires="2026-03-10T03:00:00Z")), EXPIRES, ExpiryAction.DELETE),
        # A deletion that has begun is waited for and finished; somebody else's is neither.
        (BEGUN, a_cluster(Status="deleting"), EXPIRES, ExpiryAction.WAIT),
        (BEGUN, None, EXPIRES, ExpiryAction.FINISH),
        (WARNED, a_cluster(Status="deleting"), EXPIRES, ExpiryAction.NOTHING),
        (WARNED, None, EXPIRES, ExpiryAction.FORGET),
        (BEGUN, CLUSTER, EXPIRES, ExpiryAction.DELETE),
    ],
)
def test_what_is_due(entry: ExpiringCluster, cluster: Cluster | None, now: dt.datetime, action: ExpiryAction) -> None:
    assert decide(entry, RECORD, cluster, [an_instance()], now).action is action


@pytest.mark.parametrize(
    ("cluster", "instances", "why"),
    [
        (a_cluster(TagList=tags(operation=None)), [], "is not tagged as this operation's"),
        (a_cluster(TagList=tags(operation="another")), [], "is not tagged as this operation's"),
        (a_cluster(TagList=tags(expires=None)), [], "no longer has a tag aurora-restore:expires-at"),
        (a_cluster(TagList=tags(expires="")), [], "is no moment in UTC"),
        (a_cluster(TagList=tags(expires="Friday")), [], "'Friday', which is no moment in UTC"),
        (a_cluster(TagList=tags(expires="2026-03-12")), [], "is no moment in UTC"),
        (a_cluster(DBClusterIdentifier="live"), [], f"was renamed from {TARGET} to live"),
        (a_cluster(TagList=tags(protected="true")), [], f"protected = true on {TARGET}"),
        (CLUSTER, [an_instance(TagList=tags(protected="true"))], f"protected = true on {TARGET}-1"),
        (a_cluster(DeletionProtection=True), [], "has deletion protection, which"),
        (CLUSTER, [an_instance(TagList=[])], f"did not create: {TARGET}-1"),
        (a_cluster(GlobalClusterIdentifier="world"), [], "the global database world"),
        (a_cluster(ReadReplicaIdentifiers=["copy"]), [], "feeds the replicas copy"),
        (a_cluster(Status="stopped"), [], "is stopped"),
    ],
)
def test_what_somebody_has_changed_keeps_the_cluster(cluster: Cluster, instances: list[Instance], why: str) -> None:
    found = decide(WARNED, RECORD, cluster, instances, EXPIRES)
    assert found.action is ExpiryAction.KEEP
    assert why in found.why


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (None, "no longer has a record of its operation"),
        (replace(RECORD, cluster_resource_id="cluster-NEWER"), f"is {ID}, this operation made cluster-NEWER"),
        (replace(RECORD, cluster_expires_at=None), "is not recorded to expire"),
        (replace(RECORD, cluster_resource_id=None), "is not recorded to expire"),
    ],
)
def test_what_the_operation_has_not_recorded_is_kept(record: Any, why: str) -> None:
    found = decide(WARNED, record, CLUSTER, [], EXPIRES)
    assert found.action is ExpiryAction.KEEP
    assert why in found.why


def test_protection_that_the_plan_gave_is_switched_off_and_no_other() -> None:
    cluster = a_cluster(DeletionProtection=True)
    assert decide(WARNED, PROTECTED, cluster, [], EXPIRES).action is ExpiryAction.SWITCH_PROTECTION_OFF
    assert decide(WARNED, PROTECTED, CLUSTER, [], EXPIRES).action is ExpiryAction.DELETE


def test_what_would_be_kept_is_not_announced_as_going() -> None:
    renamed = a_cluster(DBClusterIdentifier="live")
    assert decide(ENTRY, RECORD, renamed, [], EXPIRES - NOTICE).action is ExpiryAction.KEEP
    assert decide(ENTRY, RECORD, renamed, [], EXPIRES - NOTICE - HOUR).action is ExpiryAction.NOTHING


def test_a_tag_in_another_zone_is_the_moment_that_it_says() -> None:
    assert tagged_expiry(a_cluster(TagList=tags(expires="2026-03-13T05:00:00+02:00"))) == EXPIRES
    assert tagged_expiry(a_cluster(TagList=tags(expires="0001-01-01T00:00:00+23:00"))) is None


def test_the_notice_is_a_day_or_a_quarter_of_the_time() -> None:
    assert (notice_of(1), notice_of(72), notice_of(8760)) == (HOUR / 4, 18 * HOUR, 24 * HOUR)


def test_a_tags_text_forges_nothing() -> None:
    found = decide(WARNED, RECORD, a_cluster(TagList=tags(expires="x\n\x1b[31mDeleted prod" + "y" * 300)), [], NOW)
    assert found.why.isprintable()
    assert len(found.why) < 300


def test_what_a_message_offers_follows_from_the_kind_of_the_reason_and_not_from_its_words() -> None:
    """A tag's text is anybody's: it may say what another reason says."""
    for tagged, offered in ((tags(expires=None), True), ([*tags(), {"Key": ROLE_TAG, "Value": EXPIRY_TAG}], False)):
        cluster = a_cluster(TagList=tagged)
        found = decide(WARNED, RECORD, cluster, [], EXPIRES)
        assert found.reason is not None
        assert EXPIRY_TAG in found.reason.clause
        text = kept(WARNED, cluster, [], found.reason, found.expires_at, EXPIRES).body
        assert ("To have it expire after all:" in text) is offered
