"""What a plan and the message of success say of a cluster that expires, and the commands that put its end off."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from utils.arns import Arn
from utils.aurora_utils.resources import EXPIRY_TAG
from utils.contracts.plan import Plan
from utils.plurals import counted
from utils.state.expiry import expiry_text
from utils.state.operation import OperationRecord


def plan_expiry_lines(plan: Plan) -> Iterator[str]:
    """Yield what the plan says of the cluster's end; nothing where it never expires."""
    if not plan.expires_after_hours:
        return
    also = ", after its deletion protection is switched OFF" if plan.cluster.deletion_protection else ""
    secrets = ", and delete the secrets of its target" if plan.target_secrets else ""
    yield (
        f"have the cluster expire {counted(plan.expires_after_hours, 'hour')} after its door opened: DELETE it then "
        f"with its instances and automated backups, WITHOUT a final snapshot{also}{secrets}. A warning comes before; a "
        f"later moment in its tag {EXPIRY_TAG} keeps it longer"
    )


def expiry_rows(record: OperationRecord, hours: int | None) -> Iterator[tuple[str, str]]:
    """Yield when the restored cluster expires, and how to keep it longer, for the message of success."""
    if record.cluster_expires_at is None or record.cluster_arn is None or hours is None:
        return
    region = Arn.parse(record.cluster_arn).region
    yield "Expires", f"{spoken(record.cluster_expires_at)}: it is deleted then, without a final snapshot"
    later = later_than(record.cluster_expires_at, hours)
    yield "", f"to keep it longer: {extend_command(record.cluster_arn, later, region)}"


def extend_command(cluster_arn: str, moment: str, region: str) -> str:
    """Return the command that gives a cluster a later moment of expiry."""
    return (
        f"aws rds add-tags-to-resource --resource-name {cluster_arn} --tags Key={EXPIRY_TAG},Value={moment} "
        f"--region {region}"
    )


def keep_command(cluster_arn: str, region: str) -> str:
    """Return the command after which a cluster never expires."""
    return f"aws rds remove-tags-from-resource --resource-name {cluster_arn} --tag-keys {EXPIRY_TAG} --region {region}"


def later_than(expires_at: str, hours: int) -> str:
    """Return a moment of expiry that is as many hours later."""
    return expiry_text(dt.datetime.fromisoformat(expires_at) + dt.timedelta(hours=hours))


def spoken(expires_at: str) -> str:
    """Return a moment as people read it."""
    return f"{dt.datetime.fromisoformat(expires_at):%Y-%m-%d %H:%M} UTC"
