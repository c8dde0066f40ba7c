"""Refuse parameter groups that let functions of the data run at logins and changes of passwords."""

from __future__ import annotations

from collections.abc import Iterator

from utils.aurora_utils.offers import ParameterGroup, Surroundings
from utils.contracts.plan import ClusterPlan
from utils.contracts.tle_hooks import TLE_HOOKS
from utils.preflight.quarantine import LIBRARIES, preloaded

LIBRARY = "pg_tle"


def tle_hook_problems(cluster: ClusterPlan, region: str) -> Iterator[str]:
    """Yield the parameter groups that switch pg_tle's hooks on, which setting up users refuses hours later.

    RDS's default groups preload no pg_tle. A group that does not exist is reported elsewhere. What an instance's group
    leaves to the engine is the cluster's.
    """
    around = Surroundings(region)
    of_cluster = _values(around, "db_cluster_parameter_group", cluster.db_cluster_parameter_group_name)
    of_instance = _values(around, "db_parameter_group", cluster.db_parameter_group_name)
    values = of_cluster | {name: value for name, value in of_instance.items() if value is not None}
    if LIBRARY not in preloaded(values):
        return
    for name in TLE_HOOKS:
        if (values.get(name) or "off").lower() != "off":
            kind, group = (
                ("db_parameter_group_name", cluster.db_parameter_group_name)
                if of_instance.get(name) is not None
                else ("db_cluster_parameter_group_name", cluster.db_cluster_parameter_group_name)
            )
            yield (
                f"{kind}: {group!r} has {name} = {values[name]} with {LIBRARY} in {LIBRARIES}: functions that came "
                "with the data would run with the master user's rights, or a superuser's. Give a group in which it is "
                "off; it can be switched on again once the cluster is open."
            )


def _values(around: Surroundings, kind: ParameterGroup, name: str) -> dict[str, str | None]:
    return {} if name.startswith("default.") else around.parameters(kind, name) or {}
