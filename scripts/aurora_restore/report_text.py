"""The first screen of a report: did it work, how old is the data, how long did it take, what now."""

from __future__ import annotations

from collections.abc import Iterator

from .evidence import Evidence, Objective
from .words import duration, moment, one_line

_FROM = {"newest_row": "the newest row", "snapshot": "the snapshot"}


def report_lines(evidence: Evidence) -> Iterator[str]:
    """Yield what a person needs first of evidence that was verified."""
    source = one_line(evidence.snapshot.cluster_identifier) if evidence.snapshot else "an unknown source"
    into = f" into {one_line(evidence.target.identifier)}" if evidence.target else ""
    yield f"{one_line(evidence.outcome).upper():9} {one_line(evidence.kind)} of {source}{into}"
    yield _row("Did it work?", f"{'Yes.' if evidence.summary.worked else 'No.'} {one_line(evidence.summary.sentence)}")
    if checks := evidence.checks:
        not_run = f", {checks.not_run} did not come to an end" if checks.not_run else ""
        yield _row("Checks", f"{checks.held} of {checks.held + checks.failed + checks.not_run} held{not_run}")
    aims = evidence.objectives
    counted = f", counted from {_FROM[aims.rpo_from]}" if aims.rpo_from in _FROM else ""
    yield _row("Age of data", f"{_aim(aims.rpo_seconds)}{counted}")
    yield _row("Usable after", _aim(aims.rto_seconds))
    yield _row("When", f"{moment(evidence.started_at)} to {moment(evidence.ended_at)}")
    yield from (_row("" if number else "Do now", one_line(each)) for number, each in enumerate(evidence.summary.next))
    yield _row("Operation", one_line(evidence.operation_id))


def _aim(aim: Objective) -> str:
    actual = duration(aim.actual) if aim.actual is not None else "unknown"
    target = f" (target {duration(aim.target)}{f': {aim.verdict}' if aim.verdict else ''})" if aim.target else ""
    return f"{actual}{target}"


def _row(label: str, text: str) -> str:
    return f"{label:12}  {text}"
