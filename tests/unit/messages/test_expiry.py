"""What plan, success and failure say of a cluster that expires."""

from __future__ import annotations

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import (
    ACCOUNT,
    EXECUTION,
    NOW,
    OWN_TAGS,
    REGION,
    TARGET,
    a_cluster_plan,
    a_plan,
    a_record,
    nothing_archived,
    some_users,
)
from utils.aurora_utils import Aurora
from utils.contracts.plan import TargetSecrets
from utils.messages import outcome
from utils.messages.failure import remains_lines
from utils.messages.remains import Remains
from utils.planning.calls import planned_calls

ARN = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:{TARGET}"
SECRETS = TargetSecrets(admin=None, application=f"aurora-restore/targets/{TARGET}/application")
EXPIRING = a_plan(expires_after_hours=72)
EXTEND = (
    f"aws rds add-tags-to-resource --resource-name {ARN} "
    f"--tags Key=aurora-restore:expires-at,Value=2026-03-16T03:00:00Z --region {REGION}"
)


def text_of_plan(**changes: object) -> str:
    return outcome.planned(a_plan(**changes), EXECUTION, {}).body


def text_of_success(**changes: object) -> str:
    times = dict.fromkeys(("snapshot-check", "open-cluster"), "2026-03-10T03:00:00.000Z")
    record = a_record(step_times=times, door_open_at="2026-03-10T03:00:00.000Z", cluster_arn=ARN, **changes)
    return outcome.succeeded(EXPIRING, some_users(), nothing_archived(), record, EXECUTION, NOW).body


def test_the_plan_says_that_it_is_deleted_and_how_it_is_kept() -> None:
    text = text_of_plan(expires_after_hours=72)
    assert "have the cluster expire 72 hours after its door opened: DELETE it then" in text
    assert "WITHOUT a final snapshot. A warning comes before" in text
    assert "expire" not in text_of_plan()


def test_the_plan_says_what_goes_with_it() -> None:
    cluster = a_cluster_plan(deletion_protection=True)
    text = text_of_plan(expires_after_hours=1, cluster=cluster, target_secrets=SECRETS)
    assert "expire 1 hour after" in text
    assert "after its deletion protection is switched OFF, and delete the secrets of its target" in text


def test_the_plan_names_the_call_that_tags_it_behind_the_one_that_opens_it() -> None:
    calls = [each.call for each in planned_calls(EXPIRING, ACCOUNT, REGION)]
    assert calls[-2:] == ["rds:ModifyDBCluster", "rds:AddTagsToResource"]
    assert "rds:AddTagsToResource" not in [each.call for each in planned_calls(a_plan(), ACCOUNT, REGION)]


def test_the_message_of_success_says_when_and_how_to_keep_it_longer() -> None:
    text = text_of_success(cluster_expires_at="2026-03-13T03:00:00Z")
    assert "Expires    2026-03-13 03:00 UTC: it is deleted then, without a final snapshot" in text
    assert EXTEND in text
    assert "Expires" not in text_of_success()


def test_a_failure_says_when_what_exists_expires(rds: FakeRds) -> None:
    rds.add_cluster(TARGET, TagList=OWN_TAGS)
    remains = Remains(cluster=Aurora(REGION).cluster(TARGET))
    expiring = a_record(cluster_expires_at="2026-03-13T03:00:00Z")
    assert "It expires at 2026-03-13 03:00 UTC, and is deleted then." in list(remains_lines(expiring, remains, {}))
    assert "expires" not in " ".join(remains_lines(a_record(), remains, {}))
