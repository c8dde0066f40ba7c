"""The settings of the new cluster that its region has to offer: network, version, classes, groups, quotas."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping

from utils.aurora_utils import ENGINE, AuroraReader
from utils.aurora_utils.offers import InstanceOffer, ParameterGroup, SecurityGroup, SubnetGroup, Surroundings
from utils.aurora_utils.resources import Snapshot
from utils.contracts.plan import ClusterPlan
from utils.preflight.door import door_problems, groups_of_the_door
from utils.versions import family_of, is_lower_version

ZONES_NEEDED = 2
CLUSTER_GROUP: ParameterGroup = "db_cluster_parameter_group"
INSTANCE_GROUP: ParameterGroup = "db_parameter_group"


def network_problems(cluster: ClusterPlan, around: Surroundings) -> Iterator[str]:
    """Yield what is wrong with subnet group, zones, security groups and door."""
    name, region = cluster.db_subnet_group_name, around.region
    group = around.subnet_group(name) if name else None
    if group is not None and len(group.zones) < ZONES_NEEDED:
        yield (
            f"db_subnet_group_name: {name!r} covers only {', '.join(group.zones) or 'no zone'}, and Aurora needs two "
            "zones. Give it all its subnets, and one of another zone: aws rds modify-db-subnet-group "
            f"--db-subnet-group-name {name} --subnet-ids IDS --region {region}"
        )
    elif group is not None and group.network_types and cluster.network_type not in group.network_types:
        yield (
            f"network_type: {cluster.network_type!r}{_whose(cluster, 'network_type')} is not supported by the subnet "
            f"group {name!r} ({', '.join(group.network_types)}). Give another network_type, or a db_subnet_group_name "
            f"whose subnets have IPv6 blocks: aws rds describe-db-subnet-groups --region {region}"
        )
    elif group is None and name:
        yield (
            f"db_subnet_group_name: {name!r} does not exist in {region}. "
            f"Give one that does: aws rds describe-db-subnet-groups --region {region}"
        )
    if group is not None:
        for zone in dict.fromkeys(each.availability_zone for each in cluster.instances):
            if zone is not None and zone not in group.zones:
                yield (
                    f"availability_zones: {zone!r} is not covered by the subnet group {name!r} "
                    f"({', '.join(group.zones)}). Give zones of it, or omit it so that RDS chooses."
                )
    groups = around.security_groups([*cluster.vpc_security_group_ids, *groups_of_the_door(cluster)])
    yield from _security_group_problems(cluster.vpc_security_group_ids, groups, name, group, around)
    yield from door_problems(cluster, groups, group, region)


def _security_group_problems(
    wanted: list[str],
    groups: Mapping[str, SecurityGroup],
    subnet_group_name: str,
    subnet_group: SubnetGroup | None,
    around: Surroundings,
) -> Iterator[str]:
    listing = f"aws ec2 describe-security-groups --region {around.region}"
    if subnet_group is not None:
        listing += f" --filters Name=vpc-id,Values={subnet_group.vpc_id}"
    for each in dict.fromkeys(wanted):
        if each not in groups:
            yield f"vpc_security_group_ids: {each!r} does not exist in {around.region}. Give one that does: {listing}"
        elif subnet_group is not None and groups[each].vpc_id != subnet_group.vpc_id:
            yield (
                f"vpc_security_group_ids: {each!r} is in {groups[each].vpc_id}, but the subnet group "
                f"{subnet_group_name!r} is in {subnet_group.vpc_id}. Give groups of that VPC: {listing}"
            )


def engine_problems(cluster: ClusterPlan, snapshot: Snapshot, around: Surroundings) -> Iterator[str]:
    """Yield what is wrong with the version and, if it can be restored, with features and classes that depend on it."""
    wrong_version = _version_problem(cluster.engine_version, snapshot, around)
    family = None if wrong_version else family_of(cluster.engine_version)
    if wrong_version:
        yield wrong_version
    yield from _group_problems(cluster, family, around)
    if family:
        yield from _feature_problems(cluster, around)
        yield from _class_problems(cluster, around)


def named_group_problems(cluster: ClusterPlan, around: Surroundings) -> Iterator[str]:
    """Yield parameter groups that are named and do not exist."""
    yield from _group_problems(cluster, None, around)


def version_problems(cluster: ClusterPlan, around: Surroundings) -> Iterator[str]:
    """Yield what is wrong with a version that the request names, independently of the snapshot."""
    version = cluster.engine_version
    if around.engine_version(version) is None:
        yield (
            f"engine_version: {version!r} does not exist in {around.region}. Give one that does: aws rds "
            f"describe-db-engine-versions --engine {ENGINE} --region {around.region} "
            "--query 'DBEngineVersions[].EngineVersion'"
        )
        return
    yield from _feature_problems(cluster, around)
    for wanted, offer in _offers(cluster, around).items():
        if offer is None:
            yield _not_offered(cluster, wanted, around.region)


def _group_problems(cluster: ClusterPlan, family: str | None, around: Surroundings) -> Iterator[str]:
    for kind, name in (
        (CLUSTER_GROUP, cluster.db_cluster_parameter_group_name),
        (INSTANCE_GROUP, cluster.db_parameter_group_name),
    ):
        yield from _parameter_group_problems(kind, name, family, _whose(cluster, f"{kind}_name"), around)


def _feature_problems(cluster: ClusterPlan, around: Surroundings) -> Iterator[str]:
    """Yield what the version does not support, independently of the class."""
    depends = (
        cluster.serverless_v2_max_capacity is not None
        or cluster.enabled_cloudwatch_logs_exports
        or cluster.ca_certificate_identifier
    )
    version = around.engine_version(cluster.engine_version) if depends else None
    if version is None:
        return
    low, high = cluster.serverless_v2_min_capacity, cluster.serverless_v2_max_capacity
    if version.capacities is not None and low is not None and high is not None:
        least, most = version.capacities
        for name, value in (("serverless_v2_min_capacity", low), ("serverless_v2_max_capacity", high)):
            if not least <= value <= most:
                yield (
                    f"{name}: {value:g}{_whose(cluster, name)} is not available with {ENGINE} "
                    f"{cluster.engine_version}, which takes {least:g} to {most:g} ACUs. Give a capacity within that."
                )
    for log in cluster.enabled_cloudwatch_logs_exports:
        if version.log_types and log not in version.log_types:
            yield (
                f"enabled_cloudwatch_logs_exports: {log!r} is not exported by {ENGINE} {cluster.engine_version}. "
                f"Give some of {', '.join(version.log_types)}."
            )
    certificate = cluster.ca_certificate_identifier
    if certificate and version.certificates and certificate not in version.certificates:
        yield (
            f"ca_certificate_identifier: {certificate!r}{_whose(cluster, 'ca_certificate_identifier')} is not "
            f"available with {ENGINE} {cluster.engine_version} in {around.region}. "
            f"Give one of {', '.join(version.certificates)}."
        )


def support_warnings(cluster: ClusterPlan, around: Surroundings, now: dt.datetime) -> Iterator[str]:
    """Yield what becomes of a cluster whose major version is past its standard support, and what it costs.

    Source: Aurora User Guide, "Overview of Amazon RDS Extended Support", and EngineLifecycleSupport of
    RestoreDBClusterFromSnapshot in the API reference. The dates are RDS's own.
    """
    support = around.support(cluster.engine_version)
    if support is None or support.standard_ends is None or now <= support.standard_ends:
        return
    major, whose = cluster.engine_version.partition(".")[0], cluster.origins.get("extended_support", "default")
    past = f"PostgreSQL {major} has been past its standard support since {support.standard_ends:%d %b %Y}"
    until = f" until {support.extended_ends:%d %b %Y}" if support.extended_ends else ""
    if cluster.extended_support:
        yield f"{past}: the new cluster is enrolled in Extended Support [{whose}], which is paid for{until}"
    else:
        yield (
            f"{past}, and Extended Support is off [{whose}]: RDS upgrades the new cluster to a later major version by "
            "itself, and enrols it in paid Extended Support where that is not possible. Give an engine_version that is "
            f'still supported; or "extended_support": true to keep PostgreSQL {major} for a price{until}'
        )


def _class_problems(cluster: ClusterPlan, around: Surroundings) -> Iterator[str]:
    for wanted, offer in _offers(cluster, around).items():
        if offer is None:
            yield _not_offered(cluster, wanted, around.region)
        else:
            yield from _offer_problems(cluster, wanted, offer)


def _offers(cluster: ClusterPlan, around: Surroundings) -> dict[str, InstanceOffer | None]:
    """Return the region's offer of each class. A class that is missing is reported elsewhere."""
    planned = (each.db_instance_class for each in cluster.instances if each.db_instance_class)
    wanted = dict.fromkeys([*planned, *cluster.alternative_instance_classes])
    return {each: around.offer(each, cluster.engine_version) for each in wanted}


def _not_offered(cluster: ClusterPlan, wanted: str, region: str) -> str:
    version = cluster.engine_version
    name = "db_instance_class" if wanted == cluster.instances[0].db_instance_class else "reader_instance_class"
    if wanted not in {each.db_instance_class for each in cluster.instances}:
        name = "alternative_instance_classes"
    return (
        f"{name}: {wanted!r}{_whose(cluster, name)} is not available with {ENGINE} {version} in {region}. Give one "
        f"that is: aws rds describe-orderable-db-instance-options --engine {ENGINE} "
        f"--engine-version {version} --region {region} --query 'OrderableDBInstanceOptions[].DBInstanceClass'"
    )


def _offer_problems(cluster: ClusterPlan, wanted: str, offer: InstanceOffer) -> Iterator[str]:
    """Yield what instances of a class do not support. Where RDS reports nothing, that is no refusal."""
    of_class = f"with {wanted} and {ENGINE} {cluster.engine_version}"
    if offer.storage_types and cluster.storage_type not in offer.storage_types:
        yield (
            f"storage_type: {cluster.storage_type!r}{_whose(cluster, 'storage_type')} is not available {of_class}. "
            f"Give one of {', '.join(offer.storage_types)}, or another class."
        )
    for instance in cluster.instances:
        zone = instance.availability_zone
        if zone and instance.db_instance_class == wanted and offer.zones and zone not in offer.zones:
            yield (
                f"availability_zones: {instance.identifier} cannot be created in {zone!r} {of_class}. "
                f"Give zones among {', '.join(offer.zones)}."
            )
    if cluster.network_type == "DUAL" and offer.network_types and "DUAL" not in offer.network_types:
        yield f"network_type: 'DUAL' is not available {of_class}. Give 'IPV4', or another class."
    if cluster.performance_insights_retention_days and offer.insights is False:
        yield (
            f"performance_insights_retention_days: {cluster.performance_insights_retention_days} days are not "
            f"available {of_class}. Give 0, or another class."
        )
    if cluster.data_api and offer.data_api is False:
        yield f"data_api: not available {of_class}. Drop it, or give another class or version."
    if cluster.iam_database_authentication and offer.iam_authentication is False:
        yield f"iam_database_authentication: not available {of_class}. Drop it, or give another class."


def _version_problem(version: str, snapshot: Snapshot, around: Surroundings) -> str | None:
    own, region = snapshot.engine_version, around.region
    known = around.engine_version(own)
    targets = known.upgrade_targets if known else []
    if version in targets or (version == own and known and known.is_offered):
        return None
    is_offered = known is not None and known.is_offered
    or_own = f", or {own} to restore it as it is" if is_offered else ""
    or_other = f"give {own} to restore it as it is" if is_offered else "choose another one"
    choice = f"Give one of {', '.join(targets)}{or_own}" if targets else f"This snapshot cannot be upgraded: {or_other}"
    if version == own:
        return f"engine_version: {version!r}, the snapshot's own, is no longer offered in {region}. {choice}."
    if is_lower_version(version, own):
        return (
            f"engine_version: {version!r} is lower than the snapshot's {own}, and a restore cannot lower it. "
            f"Choose an older snapshot{or_own}."
        )
    return f"engine_version: a snapshot of {own} cannot be restored to {version!r} in {region}. {choice}."


def _parameter_group_problems(
    kind: ParameterGroup, name: str, family: str | None, whose: str, around: Surroundings
) -> Iterator[str]:
    """Yield what is wrong with one parameter group.

    RDS's default groups are not looked for: they have their family's name, and RDS creates the one that the version
    needs where it does not exist yet.
    """
    is_default, region, command = name.startswith("default."), around.region, kind.replace("_", "-")
    actual = name.removeprefix("default.") if is_default else around.parameter_group_family(kind, name)
    if actual is None:
        yield (
            f"{kind}_name: {name!r} does not exist in {region}{whose}. Give one that does, or create one: aws rds "
            f"create-{command} --{command}-name {name} --db-parameter-group-family {family or 'FAMILY'} "
            f"--description TEXT --region {region}"
        )
    elif family is not None and actual != family:
        yield (
            f"{kind}_name: {name!r}{whose} is of family {actual}, and the restored version needs {family}. "
            f"Give one of that family, such as default.{family}."
        )


def room_problems(cluster: ClusterPlan, region: str) -> Iterator[str]:
    """Yield quotas of this account in this region that are used up. Others may still take what is left."""
    quotas = AuroraReader(region).quotas()
    for name, needed, things in (("DBClusters", 1, "cluster"), ("DBInstances", len(cluster.instances), "instance")):
        quota = quotas.get(name)
        if quota is not None and quota.left < needed:
            yield (
                f"target_cluster_id: the restore needs {needed} {things}{'s' if needed > 1 else ''}, and the account "
                f"may create {quota.left} more in {region} ({quota.used} of {quota.most} exist). Delete what is "
                "not needed, or raise the quota: aws service-quotas list-service-quotas --service-code rds "
                f"--region {region}"
            )


def _whose(cluster: ClusterPlan, name: str) -> str:
    """Return whose value it is, so that the reader of a refusal knows where to change it."""
    origin = cluster.origins.get(name)
    return {"source": " (the source cluster's)", "stack": " (the stack's)"}.get(origin or "", "")
