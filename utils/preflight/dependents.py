"""Who would stay with a cluster that is replaced, because AWS ties them to the cluster itself.

A look that is refused refuses as well: what nobody could see may be there.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator

from botocore.exceptions import ClientError

from utils.aurora_utils import Cluster
from utils.aurora_utils.dependents import blue_green_deployments_of, integrations_of, proxies_of, shares_of
from utils.aws_errors import as_step_error, error_code
from utils.error_codes import DENIED_CODES
from utils.foreign_text import one_line

# A name that somebody else has given: a share's may have any characters.
MAX_NAME_SHOWN = 100


def dependent_refusals(replaced: Cluster, region: str) -> Iterator[str]:
    """Yield, as predicates, who depends on the cluster in any of its states, each with what ends that."""
    looks: tuple[tuple[str, Callable[[Cluster, str], Iterable[str]]], ...] = (
        ("be the target of an RDS Proxy", _proxies),
        ("be part of a blue/green deployment", _deployments),
        ("be shared by AWS RAM", _shares),
        ("be the source of a zero-ETL integration", _integrations),
    )
    for what, look in looks:
        yield from looked_at(what, functools.partial(look, replaced, region))
    if replaced.has_activity_stream:
        yield (
            "has a database activity stream, which stays with the old cluster. Stop it: aws rds stop-activity-stream "
            f"--resource-arn {replaced.arn} --apply-immediately --region {region}"
        )


def looked_at(what: str, look: Callable[[], Iterable[str]]) -> list[str]:
    """Return what a look finds. One that is not allowed finds that it is not."""
    try:
        return list(look())
    except ClientError as error:
        if error_code(error) not in DENIED_CODES:
            raise
        # AWS's own text does not always name the action. IAM has an operation's under the service's prefix.
        service = "ram" if error.operation_name == "GetResourceShareAssociations" else "rds"
        return [
            f"may {what}, but looking for that failed: {as_step_error(error)} The function's role needs "
            f"{service}:{error.operation_name}."
        ]


def _proxies(replaced: Cluster, region: str) -> Iterator[str]:
    """Yield the proxies. Which cluster they reach after a rename, by name or by resource ID, is not documented."""
    for name in proxies_of(replaced, region):
        yield (
            f"is the target of RDS Proxy {name}, and no document says which cluster a proxy reaches after a rename. "
            f"Have its clients use the cluster's own endpoints, then: aws rds deregister-db-proxy-targets "
            f"--db-proxy-name {name} --db-cluster-identifiers {replaced.identifier} --region {region}"
        )


def _deployments(replaced: Cluster, region: str) -> Iterator[str]:
    """Yield the deployments: they track clusters by resource ID, and theirs cannot be stopped and started.

    Source: Amazon Aurora User Guide, "Limitations and considerations for Amazon Aurora blue/green deployments". One
    that was switched over exists until it is deleted; deleting it without its target leaves both clusters.
    """
    for each in blue_green_deployments_of(replaced, region):
        yield (
            f"is part of blue/green deployment {one_line(each.name, MAX_NAME_SHOWN)} ({each.identifier}), which "
            "follows the cluster and not its name. Delete the deployment, which leaves both clusters: "
            f"aws rds delete-blue-green-deployment --blue-green-deployment-identifier {each.identifier} "
            f"--region {region}"
        )


def _shares(replaced: Cluster, region: str) -> Iterator[str]:
    """Yield the shares: a cluster that is shared by AWS RAM cannot be renamed.

    Source: Amazon Aurora User Guide, "Cross-account cloning with AWS RAM and Amazon Aurora", limitations.
    """
    for each in shares_of(replaced, region):
        yield (
            f"is shared by resource share {one_line(each.name, MAX_NAME_SHOWN)} of AWS RAM, and RDS renames no shared "
            "cluster. Take it out: aws ram disassociate-resource-share "
            f"--resource-share-arn {each.identifier} --resource-arns {replaced.arn} --region {region}"
        )


def _integrations(replaced: Cluster, region: str) -> Iterator[str]:
    """Yield the integrations: each has one source, given when it is created (API reference, CreateIntegration)."""
    for each in integrations_of(replaced, region):
        yield (
            f"is the source of zero-ETL integration {one_line(each.name, MAX_NAME_SHOWN)}, which stays with the old "
            f"cluster. Delete it: aws rds delete-integration --integration-identifier {each.identifier} "
            f"--region {region}"
        )
