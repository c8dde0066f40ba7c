"""How long to wait before asking Aurora again: often enough to lose little time, rarely enough to stay cheap.

A look costs three state transitions and some fifteen of the 25,000 events that an execution may have. So it is made
when it pays: shortly before the end that earlier operations or the reported progress predict, and where nothing is
known, after pauses that grow with the time that has already passed. An event of RDS ends a pause early; where one has
announced the end of the same before, few looks remain for the case that it is lost.
"""

from __future__ import annotations

from collections.abc import Sequence

# No pause is longer, so that a failure is noticed within it. The target's lock outlives each (utils/common.py).
LONGEST_PAUSE_SECONDS = 60 * 60
# The same where an event of RDS would end it: of most failures RDS sends one as well (FAILURES, contracts/phases.py).
LONGEST_ANNOUNCED_SECONDS = 4 * 60 * 60
# In units of the stack's PollSeconds: the shortest pause, and what the growing ones reach before they get long.
SHORTEST_UNITS = 1 / 6
CAP_UNITS = 5
# Of the time that has passed: a pause while nothing is known, and one after hours.
GROWTH, SLOW_GROWTH = 0.15, 0.12
# When to look, as parts of the expected duration: sparsely before its end and densely from it on. AWS seldom deviates
# from what it took before by more than a third; one that does is waited for like something unknown. Of what is short
# few looks pay, and none before the end.
SHORT_UNITS = 10 / 3
SHORT = (1, 1.15, 1.3)
BEFORE_END = (0.775, 0.85, 0.925)
FROM_END = tuple(1 + 0.04 * number for number in range(10))
# The same where an event of RDS has announced the end before: it ends the pause, and looks are there for lost events,
# so that the first one is when AWS seldom takes that long. What takes long is looked at on the way, in case it has
# failed without an event.
ANNOUNCED = (4 / 3, 1.5)
ON_THE_WAY = 0.6
# After an event that came before the end: as long as it is ago, and in units at least that.
AFTER_EVENT_UNITS = 1 / 2
# From which PercentProgress on it predicts the end better than anything else, and when that is trusted to the full.
TELLING_PERCENT, NEARLY_DONE_PERCENT = 10, 90
SHORT_OF_PREDICTION = 0.93
# It is trusted to the full as well where it predicts what was seen before, within so much of it: two witnesses agree.
AGREES_WITHIN, AGREEING_PERCENT = 0.35, 50
# How much of the time that has passed a prediction may add at most: RDS only estimates.
TRUSTED_AHEAD = 0.25


def seconds_to_wait(
    elapsed_seconds: float,
    unit_seconds: int,
    expected_seconds: float | None = None,
    percent: int = 0,
    first_look_seconds: float = 0,
    shortest_seconds: float = 0,
    *,
    is_announced: bool = False,
    event_ago_seconds: float | None = None,
) -> int:
    """Return the next pause in whole seconds, at least a sixth of a unit and at least one second.

    `unit_seconds` is the stack's PollSeconds. `expected_seconds` is how long the same took before; `first_look_seconds`
    is what it takes at least where that is unknown. `percent` is PercentProgress as RDS estimates it; 0 means unknown.
    `shortest_seconds`: a shorter pause than that would not be worth its look. `is_announced`: an event of RDS has
    announced the end of the same before. `event_ago_seconds`: since the last event about it, which came too early.
    """
    shortest = max(SHORTEST_UNITS * unit_seconds, shortest_seconds)
    before_window = BEFORE_END[0] * expected_seconds - elapsed_seconds if expected_seconds is not None else 0
    if TELLING_PERCENT <= percent < 100:
        pause = _until_predicted_end(elapsed_seconds, percent, expected_seconds, before_window)
    elif expected_seconds is not None:
        parts = _parts_announced(expected_seconds) if is_announced else _parts(expected_seconds / unit_seconds)
        pause = _until_next_look(elapsed_seconds, unit_seconds, [part * expected_seconds for part in parts], shortest)
    else:
        pause = max(first_look_seconds - elapsed_seconds, _growing(elapsed_seconds, unit_seconds))
    pause = max(pause, shortest)
    if event_ago_seconds is not None:
        pause = min(pause, max(event_ago_seconds, AFTER_EVENT_UNITS * unit_seconds))
    longest = LONGEST_ANNOUNCED_SECONDS if is_announced else LONGEST_PAUSE_SECONDS
    return max(round(min(pause, longest)), 1)


def _until_predicted_end(
    elapsed_seconds: float, percent: int, expected_seconds: float | None, before_window: float
) -> float:
    """Return the time until shortly before the end that the percentage predicts, as far as that is to be trusted.

    Up to the first look at what was seen before (`before_window`) it is, and beyond that for some time only.
    """
    left = elapsed_seconds * (100 - percent) / percent
    if expected_seconds is not None and percent >= AGREEING_PERCENT:
        deviates = abs(elapsed_seconds + left - expected_seconds)
        if deviates <= AGREES_WITHIN * expected_seconds:
            return left
    predicted = left if percent >= NEARLY_DONE_PERCENT else SHORT_OF_PREDICTION * left
    return min(predicted, max(TRUSTED_AHEAD * elapsed_seconds, before_window))


def _until_next_look(elapsed_seconds: float, unit_seconds: int, looks: Sequence[float], shortest: float) -> float:
    """Return the time until the first of the looks that is not closer than the shortest pause."""
    earliest = elapsed_seconds + shortest
    ahead = (look for look in looks if look >= earliest)
    return next(ahead, elapsed_seconds + _growing(elapsed_seconds, unit_seconds)) - elapsed_seconds


def _parts(expected_units: float) -> tuple[float, ...]:
    return SHORT if expected_units < SHORT_UNITS else (*BEFORE_END, *FROM_END)


def _parts_announced(expected_seconds: float) -> tuple[float, ...]:
    is_long = ON_THE_WAY * expected_seconds > LONGEST_PAUSE_SECONDS
    return (ON_THE_WAY, *ANNOUNCED) if is_long else ANNOUNCED


def _growing(elapsed_seconds: float, unit_seconds: int) -> float:
    return max(min(GROWTH * elapsed_seconds, CAP_UNITS * unit_seconds), SLOW_GROWTH * elapsed_seconds)
