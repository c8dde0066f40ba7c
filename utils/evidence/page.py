"""The pages that people read: the report of an operation, and the index over a stack's operations.

Each is one file without scripts and without anything from a network. The same input gives the same bytes: what they say
of ages is counted from times in the input. What comes from the data or the request is escaped as it is printed.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from msgspec import Struct

from utils.contracts.evidence import Evidence, Index, IndexEntry
from utils.contracts.verification import CheckResult
from utils.evidence import wording
from utils.evidence.plots import HEIGHT, WIDTH, bars, plot
from utils.foreign_text import MAX_CAUSE, own_lines

TEMPLATES = Path(__file__).parent / "templates"


class LastGoodDrill(Struct, frozen=True, kw_only=True):
    """A source with its last drill that passed, and how old that is; None where no listed one has."""

    source: str
    entry: IndexEntry | None
    age_seconds: int | None


def report_page(evidence: Evidence, *, sha256: str, key_sha256: str) -> bytes:
    """Return the report of an operation. `sha256` is of its evidence.json, `key_sha256` of the public key in DER."""
    page = _environment().get_template("report.html")
    checks = evidence.checks.results if evidence.checks is not None else []
    return page.render(
        evidence=evidence,
        sha256=sha256,
        key_sha256=key_sha256,
        bars=bars(evidence),
        groups=_groups(checks),
        error_lines=own_lines(evidence.error or "", MAX_CAUSE),
        request_lines=_request_lines(evidence.requested.request),
    ).encode()


def index_page(index: Index) -> bytes:
    """Return the index over a stack's operations, with links to their reports beside it."""
    ran = [entry for entry in index.entries if entry.outcome != "refused"]
    drills = [entry for entry in ran if entry.kind == "drill"]
    page = _environment().get_template("index.html")
    return page.render(
        index=index,
        ran=ran,
        drills=drills,
        outcomes=Counter(entry.outcome for entry in index.entries),
        unresolved=_unresolved(ran),
        good_drills=list(_last_good_drills(index)),
        plots={"rpo": plot(ran, "rpo"), "rto": plot(ran, "rto")},
    ).encode()


def _groups(checks: list[CheckResult]) -> list[tuple[str, list[CheckResult]]]:
    """Return the checks by what became of them, those that somebody has to look at first."""
    order = ["FAILED", "NOT RUN", "ESTIMATED", "HELD"]
    found = [(word, [check for check in checks if wording.result(check)[0] == word]) for word in order]
    return [(word, group) for word, group in found if group]


def _request_lines(request: str) -> list[str]:
    """Return the request as indented JSON. What is none is shown as it was given."""
    with contextlib.suppress(msgspec.DecodeError):
        request = msgspec.json.format(request, indent=2)
    return own_lines(request, MAX_CAUSE)


def _unresolved(ran: list[IndexEntry]) -> list[IndexEntry]:
    """Return the last operation of each kind and source, where it did not pass."""
    last: dict[tuple[str, str | None], IndexEntry] = {}
    for entry in sorted(ran, key=lambda entry: entry.sequence):
        last[entry.kind, entry.source] = entry
    return sorted((entry for entry in last.values() if entry.outcome != "passed"), key=lambda entry: -entry.sequence)


def _last_good_drills(index: Index) -> Iterator[LastGoodDrill]:
    """Yield every source of the index, those without a good drill first, then the oldest ones."""
    sources = {entry.source for entry in index.entries if entry.source is not None}
    found = [_last_good_drill(source, index) for source in sorted(sources)]
    yield from sorted(found, key=lambda drill: (drill.age_seconds is not None, -(drill.age_seconds or 0)))


def _last_good_drill(source: str, index: Index) -> LastGoodDrill:
    good = [
        entry for entry in index.entries if (entry.source, entry.kind, entry.outcome) == (source, "drill", "passed")
    ]
    entry = max(good, key=lambda entry: entry.ended_at, default=None)
    age = None if entry is None else _seconds_between(entry.ended_at, index.written_at)
    return LastGoodDrill(source=source, entry=entry, age_seconds=age)


def _seconds_between(began: dt.datetime, ended: dt.datetime) -> int:
    return round((ended - began).total_seconds())


def _link(folder: str) -> str:
    """Return the address of an operation's report, which is relative to the index for every folder."""
    return f"./{quote(folder, safe='/')}/report.html"


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=wording.shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(
        answer=wording.answer,
        counted=wording.counted,
        exists_now=wording.exists_now,
        kept=wording.kept,
        previous_logins=wording.previous_logins,
        settings=wording.settings,
        title=wording.title,
        HEIGHT=HEIGHT,
        STATUS=wording.STATUS,
        TONES=wording.TONES,
        WIDTH=WIDTH,
    )
    environment.filters.update(
        day=wording.day,
        duration=wording.duration,
        link=_link,
        moment=wording.moment,
        result=wording.result,
        rounded=wording.rounded,
        took=wording.took,
    )
    return environment
