"""What the restore needs besides its snapshot, looked at before anything is made: each check yields what is wrong.

Every sentence names the field, its value, why it won't do and what to do about it. A permission that is missing is no
answer: it is raised. Nothing here changes anything, and no call is made whose answer can't matter any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from utils import settings
from utils.application_secret import ApplicationSecret
from utils.aurora_shapes import Snapshot
from utils.aurora_utils import ENGINE
from utils.credentials import AdminSecret
from utils.key_checks import key_problems
from utils.plans import ClusterPlan, SnapshotCopy
from utils.surroundings import ParameterGroup, SubnetGroup, Surroundings, family_of

ZONES_NEEDED = 2


def preflight_problems(
    cluster: ClusterPlan, copy: SnapshotCopy | None, snapshot: Snapshot, region: str
) -> Iterator[str]:
    """What stands in the way of this cluster in its region. A setting that is missing is reported elsewhere."""
    around = Surroundings(region)
    yield from _network_problems(cluster, around)
    if snapshot.engine == ENGINE:
        yield from _engine_problems(cluster, snapshot, around)
    yield from key_problems(cluster.kms_key_id, copy, snapshot, region)
    yield from _secret_problems(snapshot.master_username)


def _network_problems(cluster: ClusterPlan, around: Surroundings) -> Iterator[str]:
    name, region = cluster.db_subnet_group_name, around.region
    group = around.subnet_group(name) if name else None
    if group is not None and len(group.zones) < ZONES_NEEDED:
        yield (
            f"db_subnet_group_name: {name!r} covers only {', '.join(group.zones) or 'no zone'}, and Aurora needs two "
            "zones. Give it all its subnets, and one of another zone: aws rds modify-db-subnet-group "
            f"--db-subnet-group-name {name} --subnet-ids IDS --region {region}"
        )
    elif group is None and name:
        yield (
            f"db_subnet_group_name: {name!r} doesn't exist in {region}. "
            f"Give one that does: aws rds describe-db-subnet-groups --region {region}"
        )
    if cluster.vpc_security_group_ids:
        yield from _security_group_problems(cluster.vpc_security_group_ids, name, group, around)


def _security_group_problems(
    wanted: list[str], subnet_group_name: str, subnet_group: SubnetGroup | None, around: Surroundings
) -> Iterator[str]:
    vpcs = around.vpcs_of(wanted)
    listing = f"aws ec2 describe-security-groups --region {around.region}"
    if subnet_group is not None:
        listing += f" --filters Name=vpc-id,Values={subnet_group.vpc_id}"
    for each in dict.fromkeys(wanted):
        if each not in vpcs:
            yield f"vpc_security_group_ids: {each!r} doesn't exist in {around.region}. Give one that does: {listing}"
        elif subnet_group is not None and vpcs[each] != subnet_group.vpc_id:
            yield (
                f"vpc_security_group_ids: {each!r} is in {vpcs[each]}, but the subnet group {subnet_group_name!r} is "
                f"in {subnet_group.vpc_id}. Give groups of that VPC: {listing}"
            )


def _engine_problems(cluster: ClusterPlan, snapshot: Snapshot, around: Surroundings) -> Iterator[str]:
    """Without a version that can be restored, neither a family nor a class can be right or wrong."""
    wrong_version = _version_problem(cluster.engine_version, snapshot, around)
    family = None if wrong_version else family_of(cluster.engine_version)
    if wrong_version:
        yield wrong_version
    yield from _parameter_group_problems(
        "db_cluster_parameter_group", cluster.db_cluster_parameter_group_name, family, around
    )
    yield from _parameter_group_problems("db_parameter_group", cluster.db_parameter_group_name, family, around)
    wanted, version, region = cluster.db_instance_class, cluster.engine_version, around.region
    if family and wanted and not around.can_order(wanted, version):
        yield (
            f"db_instance_class: {wanted!r} can't be had with {ENGINE} {version} in {region}. Give one that can: "
            f"aws rds describe-orderable-db-instance-options --engine {ENGINE} --engine-version {version} "
            f"--region {region} --query 'OrderableDBInstanceOptions[].DBInstanceClass'"
        )


def _version_problem(version: str, snapshot: Snapshot, around: Surroundings) -> str | None:
    own, region = snapshot.engine_version, around.region
    known = around.engine_version(own)
    targets = known.upgrade_targets if known else []
    if version in targets or (version == own and known and known.is_offered):
        return None
    or_own = f", or leave it out to restore as {own}" if known and known.is_offered else ""
    choice = f"Give one of {', '.join(targets)}" if targets else "Choose another snapshot: this one can't be upgraded"
    if version == own:
        return f"engine_version: {version!r}, the snapshot's own, isn't offered in {region} any more. {choice}."
    if _is_lower(version, own):
        return (
            f"engine_version: {version!r} is lower than the snapshot's {own}, and a restore never goes back. "
            f"Choose an older snapshot{or_own}."
        )
    return f"engine_version: {version!r} isn't among what {region} restores a snapshot of {own} to. {choice}{or_own}."


def _is_lower(version: str, than: str) -> bool:
    """As far as it says: 17 isn't lower than 17.5."""
    numbers, others = ([int(number) for number in re.findall(r"\d+", each)] for each in (version, than))
    return numbers < others[: len(numbers)]


def _parameter_group_problems(
    kind: ParameterGroup, name: str, family: str | None, around: Surroundings
) -> Iterator[str]:
    """Without a family only what was named explicitly is looked for: default groups are named after the version."""
    if family is None and name.startswith("default."):
        return
    actual, region, command = around.parameter_group_family(kind, name), around.region, kind.replace("_", "-")
    if actual is None:
        because = (
            " (RDS makes it with the first such cluster that names no group)" if name.startswith("default.") else ""
        )
        yield (
            f"{kind}_name: {name!r} doesn't exist in {region}{because}. Give one that does, or make one: aws rds "
            f"create-{command} --{command}-name NAME --db-parameter-group-family {family or 'FAMILY'} "
            f"--description TEXT --region {region}"
        )
    elif family is not None and actual != family:
        yield (
            f"{kind}_name: {name!r} is of family {actual}, and the restored version needs {family}. "
            f"Give one of that family, or leave it out for default.{family}."
        )


def _secret_problems(master_username: str) -> Iterator[str]:
    admin = AdminSecret(settings.text("ADMIN_SECRET_ARN"))
    application = ApplicationSecret(settings.text("APP_SECRET_ARN"))
    if (why := admin.why_unusable()) is not None:
        yield f"admin_secret: {admin.arn!r} {why}"
    for wrong in application.whats_wrong(master_username):
        yield f"application_secret: {application.arn!r} {wrong}"
