"""Aurora in the accounts and regions that a snapshot's route goes through."""

from __future__ import annotations

from utils.arns import Arn
from utils.aurora_utils import Aurora
from utils.aurora_utils.source_account import OwnersAurora, Source, open_source, through_role
from utils.aurora_utils.source_sessions import StepOfRoute, route_session
from utils.contracts.payloads import StepRun
from utils.contracts.route import RouteStep, SnapshotCopy


class Places:
    """Aurora in every account and region that a route goes through, as far as one step needs it."""

    def __init__(self, run: StepRun, step: StepOfRoute, copy: SnapshotCopy) -> None:
        own = Arn.parse(run.execution_id)
        self._partition, self.own_account = own.partition, own.account_id
        self._run, self._step, self._copy = run, step, copy

    def of(self, step: RouteStep) -> Aurora:
        """Return Aurora in the account and region in which the step makes its call."""
        region, account = step.place
        return Aurora(region) if account == self.own_account else self.at_owner(step)

    def at_owner(self, step: RouteStep) -> OwnersAurora:
        """Return Aurora in the owner's account and in the step's region, through the role there."""
        region, account = step.place
        session = route_session(self._step, self._run.operation_id, self._copy, account)
        return through_role(account, region, self._partition, session, self._run.now)

    def source_of(self, step: RouteStep) -> Source:
        """Return what can look at the snapshot that the step copies or shares.

        It looks in the account and region where that snapshot is.
        """
        region, account = Arn.parse(step.source_arn or step.snapshot_arn).place
        session = route_session(self._step, self._run.operation_id, self._copy, account)
        return open_source(account, region, self._run.execution_id, self._run.operation_id, self._run.now, session)
