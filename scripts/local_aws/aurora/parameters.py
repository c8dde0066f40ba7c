"""What stands in a cluster parameter group: a few of the engine's hundreds of parameters, and what was set.

The servers here do not follow them: a group is only described, checked and compared.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from scripts.local_aws.aurora import offers, rules
from scripts.local_aws.aurora.region import AuroraBackend, operation

_MOST_AT_ONCE = 20
_PRELOADED = (
    "auto_explain,orafce,pgaudit,pg_hint_plan,pg_prewarm,pg_similarity,pg_stat_statements,pg_tle,pglogical,pg_cron"
)


@dataclasses.dataclass(frozen=True)
class _Parameter:
    """A parameter of a group. `allowed` is as RDS describes it: values, or a range, or nothing at all."""

    name: str
    default: str | None = None
    data_type: str = "integer"
    allowed: str = ""
    static: bool = True
    source: str = "engine-default"
    modifiable: bool = True

    def check(self, value: str) -> None:
        span = re.fullmatch(r"(-?\d+)-(-?\d+)", self.allowed)
        listed = self.allowed.split(",") if self.allowed and not span else []
        wanted = [part.strip() for part in value.split(",")] if self.data_type == "list" else [value]
        fits = re.fullmatch(r"-?\d+", value) and int(span[1]) <= int(value) <= int(span[2]) if span else True
        if not fits or (listed and not set(wanted) <= set(listed)):
            rules.refuse_value(f"Invalid parameter value: {value} for: {self.name} allowed values are: {self.allowed}")


_PARAMETERS = {
    each.name: each
    for each in (
        _Parameter("autovacuum", "1", "boolean", "0,1", static=False),
        _Parameter("cron.database_name", "postgres", "string"),
        _Parameter("cron.log_statement", "1", "boolean", "0,1"),
        _Parameter("cron.max_running_jobs", "5", allowed="0-100"),
        _Parameter("log_min_duration_statement", None, allowed="-1-2147483647", static=False),
        _Parameter("log_statement", None, "string", "none,ddl,mod,all", static=False),
        _Parameter("max_connections", "LEAST({DBInstanceClassMemory/9531392},5000)", allowed="6-262143"),
        _Parameter("max_logical_replication_workers", None, allowed="0-262143"),
        _Parameter("max_replication_slots", "20", allowed="5-262143"),
        _Parameter("max_wal_senders", "20", allowed="5-262143"),
        _Parameter("max_worker_processes", "GREATEST({DBInstanceVCPU*2},8)", allowed="0-262143"),
        _Parameter("password_encryption", None, "string", "md5,scram-sha-256", static=False),
        _Parameter("pgtle.enable_clientauth", "off", "string", "off,on,require", static=False),
        _Parameter("pgtle.enable_password_check", "off", "string", "off,on,require", static=False),
        _Parameter("rds.babelfish_status", "off", "string", "on,off,datatypesonly"),
        _Parameter("rds.extensions", "aws_lambda,aws_s3,pg_cron", "list", source="system", modifiable=False),
        _Parameter("rds.force_ssl", "0", "boolean", "0,1", static=False),
        _Parameter("rds.log_retention_period", "4320", allowed="1440-10080", static=False),
        _Parameter("rds.logical_replication", "0", "boolean", "0,1"),
        _Parameter("rds.restrict_password_commands", None, "boolean", "0,1"),
        _Parameter("shared_preload_libraries", "pg_stat_statements", "list", _PRELOADED),
        _Parameter("ssl", "1", "boolean", "0,1", source="system", modifiable=False),
        _Parameter("timezone", "UTC", "string", static=False),
        _Parameter("work_mem", None, allowed="64-2147483647", static=False),
    )
}


@operation("DescribeDBClusterParameters", "DBClusterParameterGroupName Source Filters MaxRecords Marker")
def describe_db_cluster_parameters(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    name, source = parameters["DBClusterParameterGroupName"].lower(), parameters.get("Source")
    if source not in (None, "user", "system", "engine-default"):
        rules.refuse_value(f"Invalid parameter source: {source}")
    family = region.group_family("cluster-pg", name)
    described = [_described(region, name, family, each) for _, each in sorted(_PARAMETERS.items())]
    wanted = [each for each in described if source in (None, each["Source"])]
    filters = {"parameter-name": lambda each: (each["ParameterName"],)}
    return rules.listing("Parameters", wanted, parameters, filters)


@operation("DescribeDBParameters", "DBParameterGroupName Source Filters MaxRecords Marker")
def describe_db_parameters(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Describe nothing: all parameters known here are the cluster's. The group must exist."""
    region.group_family("pg", parameters["DBParameterGroupName"])
    return {"Parameters": []}


def _described(region: AuroraBackend, name: str, family: str, parameter: _Parameter) -> dict[str, Any]:
    own = region.group_parameters.get(name, {}).get(parameter.name)
    value, method = own or (parameter.default, "pending-reboot")
    if own is None and parameter.name == "rds.force_ssl":
        value = "1" if int(family.removeprefix(offers.ENGINE)) >= 17 else "0"
    return {
        "ParameterName": parameter.name,
        **({} if value is None else {"ParameterValue": value}),
        "Description": f"PostgreSQL's or RDS's {parameter.name}.",
        "Source": "user" if own else parameter.source,
        "ApplyType": "static" if parameter.static else "dynamic",
        "DataType": parameter.data_type,
        **({"AllowedValues": parameter.allowed} if parameter.allowed else {}),
        "IsModifiable": parameter.modifiable,
        "ApplyMethod": method,
        "SupportedEngineModes": ["provisioned"],
    }


@operation("ModifyDBClusterParameterGroup", "DBClusterParameterGroupName Parameters")
def modify_db_cluster_parameter_group(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    """Make all of the changes or none. The codes of the refusals are not verified against AWS."""
    name, changes = parameters["DBClusterParameterGroupName"].lower(), parameters["Parameters"]
    region.group_family("cluster-pg", name)
    if name.startswith("default."):
        message = f"The parameter DBClusterParameterGroupName is not a valid identifier: {name} cannot be modified."
        rules.refuse_value(message)
    if not 1 <= len(changes) <= _MOST_AT_ONCE:
        message = f"From 1 to {_MOST_AT_ONCE} parameters can be modified in a single request, not {len(changes)}."
        rules.refuse_value(message)
    checked = {each.get("ParameterName", ""): _checked(each) for each in changes}
    region.group_parameters.setdefault(name, {}).update(checked)
    return {"DBClusterParameterGroupName": name}


def _checked(change: rules.Parameters) -> tuple[str, str]:
    name, value, method = (str(change.get(each, "")) for each in ("ParameterName", "ParameterValue", "ApplyMethod"))
    parameter = _PARAMETERS.get(name)
    if parameter is None:
        rules.refuse_value(f"Could not find parameter with name: {name}")
    if not parameter.modifiable:
        rules.refuse_value(f"The parameter {name} cannot be modified.")
    if method not in ("immediate", "pending-reboot"):
        rules.refuse_value(f"Invalid ApplyMethod for {name}: {method}")
    if parameter.static and method == "immediate":
        rules.refuse_combination(f"cannot use immediate apply method for static parameter {name}")
    parameter.check(value)
    return value, method
