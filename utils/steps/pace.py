"""When a step looks again, and when all is expected to end: from what AWS is working on and how long that has taken."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from utils.contracts.phases import AWAITED_PHASES, phase_named, span_of, span_of_all
from utils.pauses import seconds_to_wait
from utils.state.operation import OperationRecord

# What PollSeconds is by default: the public figures are of AWS's own time, and a stack that runs faster scales them.
USUAL_UNIT = 60
# A phase ended at some time in the pause before the look that saw it, half of it ago on average. A quarter is taken, so
# that the next operation's look at the expected end mostly finds a phase of the same length; and not more than this
# part of the whole, since a long pause was chosen because the end was not expected before.
SEEN_LATE, MOST_LATE = 0.25, 0.05
# In units: an event that comes so shortly before a phase's end announces it.
ANNOUNCES_WITHIN = 2
# Of the whole operation, as it is expected, or as long as it has taken: within so little a look is not worth what it
# costs.
WORTH_A_LOOK = 0.005


class Pace(Struct, frozen=True, kw_only=True):
    """How an operation waits: in units of the stack's PollSeconds, and for how long each phase took before."""

    unit_seconds: int
    expected: Mapping[str, float] = {}
    # The phases whose end an event of RDS has announced before, and whether one can end the waits of this step at all.
    announced: Collection[str] = ()
    hears: bool = True
    # Those of the plan, in its order, and how long those of them took that are known to be over.
    phases: Sequence[str] = ()
    took: Mapping[str, float] = {}
    # When the step gives up: no pause lasts beyond that, so that it is noticed then.
    gives_up_at: dt.datetime | None = None

    def until(self, began: dt.datetime, hours: int) -> Pace:
        """Return the pace of a step that gives up so many hours after it has begun."""
        return replace(self, gives_up_at=began + dt.timedelta(hours=hours))

    def pause(
        self,
        phase: str,
        since: dt.datetime,
        now: dt.datetime,
        percent: int = 0,
        event_at: dt.datetime | None = None,
    ) -> int:
        """Return how many seconds to wait before the next look at a phase that began at `since`.

        `event_at`: when RDS has last announced its end, or a failure, of which there is nothing to be seen yet. A
        caller that may end a wait chooses it: one far ahead counts like one long ago.
        """
        first_look = phase_named(phase).first_look * self.unit_seconds / USUAL_UNIT
        elapsed = (now - since).total_seconds()
        whole = max(sum(self.expected.get(each, 0) for each in self.phases), sum(self.took.values()))
        pause = seconds_to_wait(
            elapsed,
            self.unit_seconds,
            expected_seconds=self.expected.get(phase),
            percent=percent,
            first_look_seconds=first_look,
            shortest_seconds=WORTH_A_LOOK * whole,
            is_announced=self.hears and phase in self.announced and bool(phase_named(phase).announced_by),
            event_ago_seconds=None if event_at is None else abs(now - event_at).total_seconds(),
        )
        return self.within(pause, now)

    def within(self, pause: int, now: dt.datetime) -> int:
        """Return the pause, shortened to when the step gives up. After that it is as long as ever."""
        left = 0 if self.gives_up_at is None else math.ceil((self.gives_up_at - now).total_seconds())
        return min(pause, left) if left > 0 else pause

    def announced_with(
        self, phase: str, event_at: dt.datetime | None, now: dt.datetime, before: Collection[str]
    ) -> list[str]:
        """Return the phases of this execution whose end an event has announced, with one that has ended now.

        An event long before the end has announced nothing: nobody has published when RDS sends it. Where none can end
        a wait, what is known of the phase stays as it was.
        """
        soon = dt.timedelta(seconds=ANNOUNCES_WITHIN * self.unit_seconds)
        is_announced = event_at is not None and abs(now - event_at) <= soon if self.hears else phase in self.announced
        others = [each for each in before if each != phase]
        return [*others, phase] if is_announced and phase in AWAITED_PHASES else others

    def expected_end(self, phase: str, since: dt.datetime, now: dt.datetime) -> list[dt.datetime]:
        """Return the earliest and the latest end of the operation, as far as one can say; neither without a plan."""
        if not self.phases:
            return []
        ahead = {each: span_of(each, self.expected) for each in self._ahead_of(phase)}
        if phase in AWAITED_PHASES:
            ahead[phase] = span_of(phase, self.expected).after((now - since).total_seconds())
        span = span_of_all(ahead)
        return [now + dt.timedelta(seconds=round(seconds)) for seconds in (span.least, span.most)]

    def _ahead_of(self, phase: str) -> Sequence[str]:
        """Return the planned phases that are not over. Those before the one at work are, even if none saw them end."""
        if phase in self.phases:
            return self.phases[self.phases.index(phase) + 1 :]
        return [each for each in self.phases if each not in self.took]


def since_seen(seen_at: dt.datetime | None, planned_seconds: int, now: dt.datetime) -> float:
    """Return how long ago the last look was; as long as its pause was to last, where an older version did not say."""
    return planned_seconds if seen_at is None else (now - seen_at).total_seconds()


def took(
    record: OperationRecord,
    now: dt.datetime,
    began: Mapping[str, dt.datetime | str | None],
    paused_seconds: float = 0,
) -> dict[str, float]:
    """Return how long phases took, as the record has it, with those that have now ended. `began`: since when, by name.

    Only phases that this execution has seen begin count: nobody knows when one ended that began before it. The pause
    before this look is counted in part.
    """
    seen = {phase: record.seen(since) for phase, since in began.items() if phase in AWAITED_PHASES}
    ended = {phase: (now - since).total_seconds() for phase, since in seen.items() if since is not None}
    return record.took | {
        phase: round(seconds - min(SEEN_LATE * paused_seconds, MOST_LATE * seconds), 1)
        for phase, seconds in ended.items()
    }
