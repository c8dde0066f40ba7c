"""How Aurora Auto Scaling keeps the readers of a cluster."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from utils.aws import client


class ReaderScaling(Struct, frozen=True, kw_only=True):
    """Between which numbers Aurora Auto Scaling keeps a cluster's readers."""

    least: int
    most: int


def reader_scaling_of(cluster_identifier: str, region: str) -> ReaderScaling | None:
    """Return how the readers of one of our clusters are scaled; None where nothing adds to them."""
    answer = client("application-autoscaling", region).describe_scalable_targets(**readers_of(cluster_identifier))
    return read_scaling(answer)


def readers_of(cluster_identifier: str) -> dict[str, Any]:
    """Return the arguments of DescribeScalableTargets for a cluster's readers."""
    return {
        "ServiceNamespace": "rds",
        "ResourceIds": [f"cluster:{cluster_identifier}"],
        "ScalableDimension": "rds:cluster:ReadReplicaCount",
    }


def read_scaling(answer: Any) -> ReaderScaling | None:
    """Return the scaling from the answer: one cluster and one dimension have one target at most."""
    for target in answer["ScalableTargets"]:
        return ReaderScaling(least=target["MinCapacity"], most=target["MaxCapacity"])
    return None
