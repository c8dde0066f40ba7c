"""STS, as far as one role of another account is assumed."""

from __future__ import annotations

import datetime as dt

from tests.unit.fakes.service import FakeService, Thing
from tests.unit.support import NOW


class FakeSts(FakeService):
    """Its credentials last from `now` on, by default longer than any test."""

    service = "sts"

    def __init__(self, region: str) -> None:
        super().__init__(region)
        self.now = NOW
        self.lasting = dt.timedelta(hours=99)

    def _assume_role(self, given: Thing) -> Thing:
        return {
            "Credentials": {
                "AccessKeyId": "ASIAANOTHERACCOUNT",
                "SecretAccessKey": "nobody-may-see-this",
                "SessionToken": "nor-this",
                "Expiration": self.now + self.lasting,
            }
        }
