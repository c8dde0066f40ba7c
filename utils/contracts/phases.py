"""What AWS works on while an operation waits, and how long that takes as far as the public knows.

A phase is one thing that AWS is working on, under the name that the payloads and the record use. What this stack has
seen itself is known better (`utils.state.durations`); these figures serve until then. Few durations have ever been
published, so each has its source, and the bounds are wide on purpose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from utils.contracts.route import KINDS

MINUTE, HOUR = 60, 3600


class Phase(Struct, frozen=True, kw_only=True):
    """From the first look, before which it is hardly done, to what it seldom exceeds, in seconds.

    `by_size`: it takes the longer, the more data there is. `announced_by`: the event in which RDS reports that it has
    ended, or one instance of it. Of copies of cluster snapshots, and of changes of settings and security groups, no
    event is documented (Aurora User Guide, "Amazon RDS event categories and event messages for Aurora").
    """

    first_look: int
    latest: int
    by_size: bool = False
    announced_by: str = ""


COPIES = tuple(name for name, kind in KINDS.items() if kind.effect == "copy")
MASKING = "mask-data"
VERIFICATION = "verify-data"
SWAP = "swap"
# Events for which the template's rule ends a wait as well, because nothing will come of it: a cluster or an instance
# that cannot be created, or is broken.
FAILURES = ("RDS-EVENT-0031", "RDS-EVENT-0353", "RDS-EVENT-0354", "RDS-EVENT-0355")
_COPY = Phase(first_look=2 * MINUTE, latest=6 * HOUR, by_size=True)

# The phases of plans, of records and of what was seen before. Messages, metrics and evidence divide the time otherwise,
# by the operation's steps (utils/state/timeline.py, PHASE_OF_STEP).
AWAITED_PHASES: Mapping[str, Phase] = {
    # No figure by size is public; "hours" (Aurora User Guide, "Copying a DB cluster snapshot").
    **dict.fromkeys(COPIES, _COPY),
    # Empty ones took two to three minutes (terraform-provider-aws, acceptance tests in pull requests 34102 and 40471),
    # hundreds of GB about half an hour (fecgov/openFEC, issue 4643), and Terraform's time-out had to be raised to two
    # hours (hashicorp/terraform, issues 8051 and 8623).
    "create-cluster": Phase(first_look=2 * MINUTE, latest=2 * HOUR, by_size=True, announced_by="RDS-EVENT-0170"),
    # A new master password without instances: 230 to 320 seconds (terraform-provider-aws, pull request 29409).
    "modify-cluster": Phase(first_look=MINUTE, latest=6 * MINUTE),
    # Five to seven minutes (terraform-provider-aws, pull request 8994); twice that is seldom exceeded.
    "create-instances": Phase(first_look=3 * MINUTE, latest=15 * MINUTE, announced_by="RDS-EVENT-0005"),
    # Below 35 seconds (botocore, FailoverDBCluster's documentation of a failover's usual duration).
    "change-writer": Phase(first_look=20, latest=2 * MINUTE, announced_by="RDS-EVENT-0071"),
    # The pipeline's own work on the data. Nobody can say before how many of the rows a policy changes.
    MASKING: Phase(first_look=MINUTE, latest=12 * HOUR, by_size=True),
    # Nobody can say before how many rows there are to count.
    VERIFICATION: Phase(first_look=30, latest=6 * HOUR, by_size=True),
    # No public figure for the rest of the changes: they are looked at early.
    "admit-pipeline": Phase(first_look=30, latest=5 * MINUTE),
    "open-door": Phase(first_look=30, latest=5 * MINUTE),
    # Two renames, and a restart where a certificate needs it: nothing of it is public. Up to the swap's own deadline.
    SWAP: Phase(first_look=4 * MINUTE, latest=30 * MINUTE),
    "enable-data-api": Phase(first_look=30, latest=5 * MINUTE),
    "switch-protection-off": Phase(first_look=10, latest=5 * MINUTE),
    # No public figure for an export either, only that RDS restores the snapshot before it reads it.
    "export": Phase(first_look=10 * MINUTE, latest=12 * HOUR, by_size=True),
    # An instance and its cluster in three to four minutes (terraform-provider-aws, pull request 8994); a final snapshot
    # is taken before, which depends on the data.
    "delete-cluster": Phase(first_look=2 * MINUTE, latest=20 * MINUTE, announced_by="RDS-EVENT-0171"),
    "final-snapshot": Phase(first_look=2 * MINUTE, latest=2 * HOUR, by_size=True, announced_by="RDS-EVENT-0171"),
}
# How far AWS deviates from what it took before.
DEVIATION = 0.3
# Everything else that is waited for, such as that RDS accepts another copy.
ANYTHING = Phase(first_look=MINUTE, latest=HOUR)


def phase_named(name: str) -> Phase:
    """Return the phase of this name, and for what is none, bounds that suit anything."""
    return AWAITED_PHASES.get(name, ANYTHING)


class Span(Struct, frozen=True):
    """How many seconds something takes: at least, and at most as far as one can say."""

    least: float
    most: float

    def after(self, elapsed: float) -> Span:
        """Return what is left. What has taken longer than anybody expected may take a quarter of that again."""
        most = self.most - elapsed
        return Span(max(self.least - elapsed, 0), most if most > 0 else elapsed / 4)


# What the pipeline does itself between the phases, above all setting up the users.
OWN_WORK = Span(30, 5 * MINUTE)


def span_of(phase: str, expected: Mapping[str, float]) -> Span:
    """Return how long a phase takes: about as long as before, and else what is publicly known."""
    if phase in expected:
        return Span((1 - DEVIATION) * expected[phase], (1 + DEVIATION) * expected[phase])
    return Span(phase_named(phase).first_look, phase_named(phase).latest)


def span_of_all(spans: Mapping[str, Span]) -> Span:
    """Return how long phases take with the pipeline's own work: one after the other, but for the export.

    RDS works on that one beside everything that follows the copies.
    """
    copies = _sum(span for phase, span in spans.items() if phase in COPIES)
    others = _sum(span for phase, span in spans.items() if phase not in (*COPIES, "export"))
    beside = spans.get("export", Span(0, 0))
    return _sum([copies, Span(max(others.least, beside.least), max(others.most, beside.most)), OWN_WORK])


def _sum(spans: Iterable[Span]) -> Span:
    known = list(spans)
    return Span(sum(each.least for each in known), sum(each.most for each in known))
