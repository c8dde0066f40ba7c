"""What depends on clusters in RDS itself: a test puts here what RDS describes, in its own words."""

from __future__ import annotations

from typing import Any

from tests.unit.fakes.groups import FakeGroups
from tests.unit.fakes.service import Refusal, Thing


class FakeDependents(FakeGroups):
    """RDS, as far as it is about proxies, deployments, integrations and pending maintenance."""

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.proxies: dict[str, list[Thing]] = {}
        self.families: dict[str, str] = {}
        self.deployments: list[Thing] = []
        self.integrations: list[Thing] = []
        self.maintenance: dict[str, list[Thing]] = {}

    def add_proxy(self, name: str, *targets: Thing, family: str = "POSTGRESQL") -> None:
        self.proxies[name] = list(targets)
        self.families[name] = family

    def add_maintenance(self, arn: str, action: str = "system-update", **dates: Any) -> None:
        self.maintenance.setdefault(arn, []).append({"Action": action, **dates})

    def _describe_db_proxies(self, _: Thing) -> Thing:
        return {"DBProxies": [{"DBProxyName": name, "EngineFamily": self.families[name]} for name in self.proxies]}

    def _describe_db_proxy_targets(self, given: Thing) -> Thing:
        if given["DBProxyName"] not in self.proxies:
            raise Refusal("DBProxyNotFoundFault", status=404)
        return {"Targets": self.proxies[given["DBProxyName"]]}

    def _describe_blue_green_deployments(self, _: Thing) -> Thing:
        return {"BlueGreenDeployments": self.deployments}

    def _describe_integrations(self, _: Thing) -> Thing:
        return {"Integrations": self.integrations}

    def _describe_pending_maintenance_actions(self, given: Thing) -> Thing:
        arn = given["ResourceIdentifier"]
        found = [{"ResourceIdentifier": arn, "PendingMaintenanceActionDetails": self.maintenance.get(arn, [])}]
        return {"PendingMaintenanceActions": found if arn in self.maintenance else []}
