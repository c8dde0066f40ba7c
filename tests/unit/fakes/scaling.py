"""Application Auto Scaling, as far as it is about the readers of Aurora clusters."""

from __future__ import annotations

from tests.unit.fakes.service import FakeService, Thing


class FakeScaling(FakeService):
    """Between which numbers each cluster's readers are kept."""

    service = "application-autoscaling"

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.targets: dict[str, tuple[int, int]] = {}

    def _describe_scalable_targets(self, given: Thing) -> Thing:
        assert (given["ServiceNamespace"], given["ScalableDimension"]) == ("rds", "rds:cluster:ReadReplicaCount")
        found = [name for name in self.targets if f"cluster:{name}" in given["ResourceIds"]]
        return {
            "ScalableTargets": [
                {"ResourceId": f"cluster:{name}", "MinCapacity": least, "MaxCapacity": most}
                for name in found
                for least, most in (self.targets[name],)
            ]
        }
