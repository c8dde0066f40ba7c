"""The quarantine of production's pg_cron jobs and subscriptions, which could run before anybody can disable them.

They start with the instance, minutes before our first login. Only its parameter groups prevent it: subscriptions need a
worker (max_logical_replication_workers), and pg_cron has to be preloaded. According to pg_cron's source,
cron.max_running_jobs = 0 is read as 1, so it prevents nothing; cron.launch_active_jobs = off does, from version 1.6
on. pglogical's subscriptions are no subscriptions of PostgreSQL's: where pglogical is preloaded, its supervisor starts
a background worker for each of them, which only max_worker_processes limits
(pglogical.c, pglogical_worker.c in https://github.com/2ndQuadrant/pglogical).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from utils.aurora_utils.offers import Surroundings
from utils.contracts.plan import ClusterPlan
from utils.versions import family_of

WORKERS = "max_logical_replication_workers"
LIBRARIES = "shared_preload_libraries"
LAUNCH = "cron.launch_active_jobs"
_OFF = ("0", "off", "false", "no")
# Libraries whose background workers do what the data say.
_AT_WORK = frozenset({"pg_cron", "pglogical"})
MAX_GROUP_NAME = 255


def quarantine_problems(cluster: ClusterPlan, region: str) -> Iterator[str]:
    """Yield the parameter groups that would start them. A group that does not exist is reported elsewhere."""
    around = Surroundings(region)
    of_cluster = around.parameters("db_cluster_parameter_group", cluster.db_cluster_parameter_group_name)
    if of_cluster is None and cluster.db_cluster_parameter_group_name.startswith("default."):
        of_cluster = {}
    if of_cluster is not None and (why := list(_what_would_start(of_cluster))):
        yield (
            f"quarantine: the cluster parameter group {cluster.db_cluster_parameter_group_name!r} lets "
            f"{' and '.join(why)} start with the instance. Create one that does not, and give it as "
            f"db_cluster_parameter_group_name: {_making_another(cluster, of_cluster, region)}"
        )
    yield from _instance_problems(cluster, around)


def _instance_problems(cluster: ClusterPlan, around: Surroundings) -> Iterator[str]:
    """Yield what an instance's group would start, which takes precedence. RDS's default groups set nothing."""
    name = cluster.db_parameter_group_name
    if name.startswith("default."):
        return
    of_instance = around.parameters("db_parameter_group", name) or {}
    if of_instance.get(WORKERS) is None:
        of_instance = {**of_instance, WORKERS: "0"}
    if why := list(_what_would_start(of_instance)):
        yield (
            f"quarantine: the instance parameter group {name!r} lets {' and '.join(why)} start with the instance. "
            "Give another as db_parameter_group_name, or omit that field for "
            f"default.{family_of(cluster.engine_version)}."
        )


def _what_would_start(values: Mapping[str, str | None]) -> Iterator[str]:
    workers = values.get(WORKERS)
    if workers != "0":
        yield f"subscriptions ({WORKERS} is {workers or 'the default, above 0'})"
    libraries, shown = preloaded(values), f"({LIBRARIES} is {values.get(LIBRARIES)!r})"
    if "pg_cron" in libraries and (values.get(LAUNCH) or "on").lower() not in _OFF:
        yield f"pg_cron {shown}"
    if "pglogical" in libraries:
        yield f"pglogical's subscriptions {shown}"


def preloaded(values: Mapping[str, str | None]) -> list[str]:
    """Return the libraries that a parameter group loads with the server."""
    return [each.strip().strip("\"'") for each in (values.get(LIBRARIES) or "").split(",") if each.strip()]


def _making_another(cluster: ClusterPlan, values: Mapping[str, str | None], region: str) -> str:
    """Return the commands that create another parameter group. A default group is not copied: RDS refuses that."""
    own, family = cluster.db_cluster_parameter_group_name, family_of(cluster.engine_version)
    if own.startswith("default."):
        name = f"quarantine-{family}"
        make = (
            f"aws rds create-db-cluster-parameter-group --db-cluster-parameter-group-name {name} "
            f"--db-parameter-group-family {family} --description quarantine --region {region}"
        )
    else:
        name = f"{own[: MAX_GROUP_NAME - len('-quarantine')]}-quarantine"
        make = (
            f"aws rds copy-db-cluster-parameter-group --source-db-cluster-parameter-group-identifier {own} "
            f"--target-db-cluster-parameter-group-identifier {name} "
            f"--target-db-cluster-parameter-group-description quarantine --region {region}"
        )
    changes = [f"ParameterName={WORKERS},ParameterValue=0,ApplyMethod=pending-reboot"]
    libraries = preloaded(values)
    if not _AT_WORK.isdisjoint(libraries):
        kept = ",".join(each for each in libraries if each not in _AT_WORK) or "pg_stat_statements"
        changes.append(f"ParameterName={LIBRARIES},ParameterValue='{kept}',ApplyMethod=pending-reboot")
    listed = " ".join(f'"{change}"' for change in changes)
    return (
        f"{make} && aws rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name {name} "
        f"--parameters {listed} --region {region}"
    )
