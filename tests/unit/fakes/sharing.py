"""AWS RAM, as far as it is about the clusters that are shared."""

from __future__ import annotations

from tests.unit.fakes.service import FakeService, Thing


class FakeSharing(FakeService):
    """Which shares each resource is in, by its ARN: names, each with its status."""

    service = "ram"

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.shares: dict[str, dict[str, str]] = {}

    def _get_resource_share_associations(self, given: Thing) -> Thing:
        assert given["associationType"] == "RESOURCE"
        arn = given["resourceArn"]
        return {
            "resourceShareAssociations": [
                {
                    "resourceShareArn": f"arn:aws:ram:{self.region}:123456789012:resource-share/{number}",
                    "resourceShareName": name,
                    "associatedEntity": arn,
                    "associationType": "RESOURCE",
                    "status": status,
                }
                for number, (name, status) in enumerate(self.shares.get(arn, {}).items())
            ]
        }
