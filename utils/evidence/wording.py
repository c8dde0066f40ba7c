"""Times, durations and outcomes of the evidence in the words of its pages."""

from __future__ import annotations

import datetime as dt
from typing import Any

from markupsafe import Markup

from utils.contracts.evidence import Evidence, EvidenceTarget, Isolation, Objective
from utils.contracts.verification import CheckResult
from utils.foreign_text import MAX_CAUSE, one_line

# The status word of each outcome, and the class that colours it. The word alone says it on paper and without colours.
STATUS = {"passed": "PASSED", "findings": "FINDINGS", "failed": "FAILED", "stopped": "STOPPED", "refused": "REFUSED"}
TONES = {"passed": "good", "findings": "warn", "failed": "bad", "stopped": "bad", "refused": "quiet"}
UNKNOWN = "unknown"
_DAY = 86_400


def shown(value: Any) -> Any:
    """Return what a page prints of a value: foreign text on one line, and a word for what is unknown.

    Templates pass every value through this before it is escaped; markup of the templates' own stays as it is.
    """
    if value is None:
        return UNKNOWN
    return value if isinstance(value, Markup) else one_line(value, MAX_CAUSE)


def moment(at: dt.datetime | None, *, seconds: bool = False) -> str:
    """Return a time in UTC with its date, to the minute or to the second, also for programs."""
    if at is None:
        return UNKNOWN
    utc = at.astimezone(dt.UTC)
    written = f"{utc:%Y-%m-%d %H:%M:%S} UTC" if seconds else f"{utc:%Y-%m-%d %H:%M} UTC"
    return Markup('<time datetime="{}">{}</time>').format(f"{utc:%Y-%m-%dT%H:%M:%SZ}", written)


def day(at: dt.datetime) -> str:
    """Return the date of a time in UTC."""
    utc = at.astimezone(dt.UTC)
    return Markup('<time datetime="{0}">{0}</time>').format(f"{utc:%Y-%m-%d}")


def rounded(seconds: int | None) -> str:
    """Return a duration or an age as people read it: two figures of it at most."""
    if seconds is None:
        return UNKNOWN
    if seconds < 0:
        return f"-{rounded(-seconds)}"
    if seconds < 100:
        return f"{seconds} s"
    if seconds >= 2 * _DAY:
        return f"{seconds / _DAY:.1f}".removesuffix(".0") + " days"
    hours, minutes = divmod(round(seconds / 60), 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def duration(seconds: int | None) -> Markup:
    """Return a duration or an age that is never broken over two lines."""
    return Markup('<span class="nowrap">{}</span>').format(rounded(seconds))


def took(milliseconds: int) -> str:
    """Return how long a check took."""
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    if milliseconds >= 100_000:
        return rounded(milliseconds // 1_000)
    return f"{milliseconds / 1_000:.1f}".removesuffix(".0") + " s"


def counted(number: int, thing: str) -> str:
    """Return a number of things, with its thousands set apart."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def kept(objective: Objective) -> tuple[str, str]:
    """Return whether a target was kept, as a status word with the class that colours it."""
    if objective.target is None:
        return "NO TARGET", "quiet"
    return {True: ("HELD", "good"), False: ("NOT HELD", "bad"), None: ("NOT MEASURED", "quiet")}[objective.held]


def result(check: CheckResult) -> tuple[str, str]:
    """Return what became of a check, as a status word with the class that colours it."""
    if check.held is None:
        return "NOT RUN", "warn"
    if not check.held:
        return "FAILED", "bad"
    return ("HELD", "good") if check.exact else ("ESTIMATED", "quiet")


def title(evidence: Evidence) -> str:
    """Return what the operation was, of which cluster."""
    kind = evidence.kind.capitalize()
    if evidence.snapshot is not None and evidence.kind != "rollback":
        return f"{kind} of {evidence.snapshot.cluster_identifier}"
    return f"{kind} of {evidence.target.identifier}" if evidence.target is not None else kind


def answer(evidence: Evidence) -> str:
    """Return the first word on whether it worked."""
    yes = {"passed": "Yes", "findings": "Yes, with findings"}
    return yes.get(evidence.outcome, "No") if evidence.summary.worked else "No"


def previous_logins(isolation: Isolation) -> str:
    """Return what became of the logins that came with the data."""
    ways = {"lock": "to be locked before the door opens", "report": "only reported, as the request asked"}
    way = ways.get(isolation.inherited_logins or "", "whether they were to be locked is not known")
    return f"{way}; {counted(isolation.locked_logins, 'login')} locked"


def settings(target: EvidenceTarget) -> str:
    """Return whether the cluster's settings were those that were planned."""
    return {
        "as_planned": "as planned, as far as RDS reports them",
        "differ": "differ from the plan: see the findings",
        "not_compared": "not compared with the plan",
    }[target.settings]


def exists_now(evidence: Evidence) -> str:
    """Return what is there of the operation's cluster, and whether its users get to it."""
    target = evidence.target
    if target is None:
        return "No cluster of this operation is on record."
    if target.exists is None:
        return f"Whether cluster {target.identifier} exists is not known."
    if not target.exists:
        deleted = any(each.what == "deleted" and each.resource_id == target.resource_id for each in evidence.changes)
        return f"Cluster {target.identifier} {'was deleted by this operation' if deleted else 'does not exist'}."
    door = evidence.isolation.door if evidence.isolation is not None else UNKNOWN
    doors = {
        "never": "its door is shut",
        "opened": "its door is open",
        UNKNOWN: "whether its door is open is not known",
    }
    return f"Cluster {target.identifier} exists and incurs costs; {doors[door]}."
