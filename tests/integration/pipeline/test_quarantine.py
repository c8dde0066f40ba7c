"""A restored cluster in which nothing of production's runs by itself, and nobody of production's logs in."""

from __future__ import annotations

import shlex
from typing import Any

from tests.integration.pipeline.support import Pipeline

ASKED = {"quarantine": True, "inherited_logins": "lock"}


def test_a_parameter_group_that_lets_jobs_start_is_refused_and_the_one_from_the_refusal_works(
    pipeline: Pipeline, target: str
) -> None:
    first = pipeline.run({"target_cluster_id": target, **ASKED})
    assert first.followed.error == "RequestRefused"
    assert first.changes == []
    create, modify = first.reason.split("db_cluster_parameter_group_name: ")[1].split(" && ")
    made = _options(create)
    pipeline.rds().create_db_cluster_parameter_group(
        DBClusterParameterGroupName=made["db-cluster-parameter-group-name"][0],
        DBParameterGroupFamily=made["db-parameter-group-family"][0],
        Description=made["description"][0],
    )
    changed = _options(modify)
    (group,) = changed["db-cluster-parameter-group-name"]
    parameters: list[Any] = [dict(part.split("=") for part in each.split(",")) for each in changed["parameters"]]
    pipeline.rds().modify_db_cluster_parameter_group(DBClusterParameterGroupName=group, Parameters=parameters)

    # What an instance's own group sets counts for more than its cluster's, so that is looked at as well.
    own = {"DBParameterGroupName": "quiet-instances", "DBParameterGroupFamily": "aurora-postgresql17"}
    pipeline.rds().create_db_parameter_group(**own, Description="quiet")

    groups = {"db_cluster_parameter_group_name": group, "db_parameter_group_name": "quiet-instances"}
    run = pipeline.run({"target_cluster_id": target, **groups, **ASKED})
    assert run.status == "SUCCEEDED", run.reason
    users = run.output["users"]
    assert users["inherited_logins"] == []
    assert users["locked_logins"] != []
    (message,) = run.messages
    assert f"Locked     logins that came with the data: {', '.join(users['locked_logins'])}" in message["message"]


def _options(command: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    name = ""
    for word in shlex.split(command):
        if word.startswith("--"):
            name = word[2:]
        elif name:
            found.setdefault(name, []).append(word)
    return found
