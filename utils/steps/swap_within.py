"""The errands of a swap: what can only be done from within the VPC, by a session or a handshake with each member.

RDS is out of reach here, so that an errand names all that it needs. What it has come to is stored with the swap, by the
number that the swap had: where another write was quicker, the errand is done again. A member that cannot be reached, as
during a restart, is no failure: what is left to do is said, and the errand comes again.
"""

from __future__ import annotations

import datetime as dt

from msgspec.structs import replace

from utils.contracts.payloads import SwapErrand, SwapFindings
from utils.contracts.swap import Side
from utils.errors import StepFailed, TemporaryFailure
from utils.foreign_text import MAX_SENTENCE, one_line
from utils.logins.master import AdminSecret, MasterLogin
from utils.postgres.certificate import names_in_certificate
from utils.postgres.databases import enter_cluster
from utils.postgres.fence import Fence, end_client_sessions
from utils.postgres.member import member_of
from utils.postgres.session import Server
from utils.sqlstates import refuses_the_password
from utils.state.operation import OperationState
from utils.state.swap import StoredSwap, Within, keep_swap, stored_swap
from utils.steps.swap import proved

# For so long a resolver may keep that a name does not exist (RFC 2308; Route 53 Developer Guide, "SOA record": 900 s).
NAME_PATIENCE = dt.timedelta(minutes=15)


class Errands:
    """What a swap has done from within the VPC, with the logins of the target's admin secret."""

    def __init__(self, admin: AdminSecret, state: OperationState, ca_bundle: str) -> None:
        self._admin, self._state, self._ca_bundle = admin, state, ca_bundle

    def do(self, errand: SwapErrand) -> SwapFindings:
        """Do the errand, and store what it has come to. Repeatable."""
        swap = stored_swap(self._state.operation_id)
        if swap is None or swap.asked is None or swap.asked.number != errand.number:
            return SwapFindings(kind=errand.kind, side=errand.side, left=["nothing: the swap has continued since"])
        if errand.kind == "end-sessions":
            after, findings = self._end_sessions(errand, swap)
        elif errand.kind == "look-at-certificates":
            after, findings = self._look_at_certificates(errand, swap)
        else:
            after, findings = self._prove(errand, swap)
        if after != swap:
            keep_swap(after, self._state)
        return findings

    def _end_sessions(self, errand: SwapErrand, swap: StoredSwap) -> tuple[StoredSwap, SwapFindings]:
        """End every client's session with each member. A login that is refused is not tried again."""
        login = self._admin.kept(errand.version_id) if errand.version_id is not None else None
        if login is None:
            said = ["the secret no longer has the login"]
            return replace(swap, no_login=True), SwapFindings(kind=errand.kind, side=errand.side, left=said)
        ended, left = [], []
        for name, host in sorted(errand.members.items()):
            try:
                fence = self._fenced(host, errand.port, login)
            except (TemporaryFailure, StepFailed) as failure:
                if refuses_the_password(str(failure)):
                    said = [f"{name} refuses the login"]
                    return replace(swap, no_login=True), SwapFindings(kind=errand.kind, side=errand.side, left=said)
                left.append(f"{name}: {failure}")
                continue
            ended.append(fence)
            left += [f"{name}: {each}" for each in fence.left]
        counted, in_doubt = sum(each.ended for each in ended), sum(each.in_doubt for each in ended)
        after = replace(
            swap,
            sessions_ended=swap.sessions_ended + counted,
            sessions_in_doubt=swap.sessions_in_doubt + in_doubt,
            # Each member sees those of the whole cluster.
            prepared_transactions=max((each.prepared_transactions for each in ended), default=0),
        )
        if not left:
            within = replace(_within(swap, errand.side), sessions_ended=sorted(errand.members))
            after = _with(after, errand.side, within)
            prepared = after.prepared_transactions
            details = {"side": errand.side, "ended": counted, "in_doubt": in_doubt, "prepared": prepared}
            self._state.audit("swap", "fenced", {**details, "members": sorted(errand.members)})
        return after, SwapFindings(kind=errand.kind, side=errand.side, left=left, ended=counted, in_doubt=in_doubt)

    def _fenced(self, host: str, port: int, login: MasterLogin) -> Fence:
        server = Server(host=host, port=port, ca_bundle=self._ca_bundle)
        with enter_cluster(server, login).maintenance() as opened:
            return end_client_sessions(opened)

    def _look_at_certificates(self, errand: SwapErrand, swap: StoredSwap) -> tuple[StoredSwap, SwapFindings]:
        """Read the names in each member's certificate. A member that does not answer yet is looked at again."""
        lacking, left = [], []
        for name, host in sorted(errand.members.items()):
            try:
                if errand.host not in names_in_certificate(host, errand.port, self._ca_bundle):
                    lacking.append(name)
            except TemporaryFailure as failure:
                left.append(f"{name}: {failure}")
            except StepFailed:
                # Not to be trusted, which no further look changes: a restart is tried, as where the name is missing.
                lacking.append(name)
        findings = SwapFindings(
            kind=errand.kind, side=errand.side, left=[*left, *(f"{each}: stale" for each in lacking)]
        )
        if left:
            return swap, findings
        within = replace(_within(swap, errand.side), has_live_name=not lacking, certificates_of=sorted(errand.members))
        restarted = swap.restarted.get(errand.side, "none")
        if not lacking and restarted != "none":
            swap = replace(swap, record=replace(swap.record, restart_that_renews=restarted))
        return _with(swap, errand.side, within), findings

    def _prove(self, errand: SwapErrand, swap: StoredSwap) -> tuple[StoredSwap, SwapFindings]:
        """Prove that the target's name leads to a member of the cluster, over verified TLS and with its login."""
        since = swap.proving_since or self._state.now
        swap = replace(swap, proving_since=since)
        try:
            why = self._why_not_reached(errand)
        except TemporaryFailure as failure:
            why = one_line(str(failure), MAX_SENTENCE)
            if self._state.now - since < NAME_PATIENCE and not refuses_the_password(str(failure)):
                return swap, SwapFindings(kind=errand.kind, side=errand.side, left=[why])
        except StepFailed as failure:
            why = one_line(str(failure), MAX_SENTENCE)
        after = replace(swap, record=proved(swap.record, errand.side, reached=why is None))
        self._state.audit(
            "swap", "proved" if why is None else "not-proved", {"side": errand.side, "host": errand.host, "why": why}
        )
        return after, SwapFindings(kind=errand.kind, side=errand.side, left=[why] if why is not None else [])

    def _why_not_reached(self, errand: SwapErrand) -> str | None:
        """Return why the name does not lead to the cluster; None where it does. Without a login, TLS alone counts."""
        login = self._admin.kept(errand.version_id) if errand.version_id is not None else None
        if login is None:
            names = names_in_certificate(errand.host, errand.port, self._ca_bundle)
            member = any(host in names for host in errand.members.values())
            return None if member else f"{errand.host} leads to a server whose certificate names no member"
        server = Server(host=errand.host, port=errand.port, ca_bundle=self._ca_bundle)
        with enter_cluster(server, login).maintenance() as opened:
            instance = member_of(opened)
        return None if instance in errand.members else f"{errand.host} leads to instance {instance}"


def _within(swap: StoredSwap, side: Side) -> Within:
    return swap.within.get(side, Within())


def _with(swap: StoredSwap, side: Side, within: Within) -> StoredSwap:
    return replace(swap, within={**swap.within, side: within})
