"""The pages of the evidence: valid HTML of every outcome, hostile texts escaped, nothing from a network, readable."""

from __future__ import annotations

import datetime as dt
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import html5lib  # type: ignore[import-untyped]
import pytest
from hypothesis import HealthCheck, given, settings
from msgspec.structs import replace

from scripts.packages.layer import utils_for_this_machine
from tests.evidence_samples import (
    BY_OUTCOME,
    FAILED_RESTORE,
    FINDINGS,
    KEY_SHA256,
    PASSED,
    REFUSED,
    RESTORED,
    SHA256,
    an_index,
)
from tests.unit.evidence.struct_values import structs, with_texts
from tests.unit.test_english import AVOIDED
from utils.contracts.evidence import Evidence, Index, Objective
from utils.evidence import wording
from utils.evidence.page import TEMPLATES, index_page, report_page
from utils.evidence.plots import HEIGHT, WIDTH, bars, plot

ROOT = Path(__file__).parents[3]
XHTML = "{http://www.w3.org/1999/xhtml}"
HOSTILE = "</td></style><script>alert(1)</script><img src=//x.example onerror='x'>{{ 7*7 }}\n\u202e&amp;\x1b[31m"


def report(evidence: Evidence) -> str:
    return report_page(evidence, sha256=SHA256, key_sha256=KEY_SHA256).decode()


def index(of: Index) -> str:
    return index_page(of).decode()


def parsed(page: str) -> Element:
    """Return the page's tree. A page with any error of HTML's own list fails here."""
    tree: Element = html5lib.HTMLParser(strict=True).parse(page)
    return tree


def elements(page: str) -> Iterator[Element]:
    yield from parsed(page).iter()


def text(page: str) -> str:
    """Return what is read on the page."""
    body = parsed(page).find(f"{XHTML}body")
    assert body is not None
    return " ".join("".join(body.itertext()).split())


PAGES: dict[str, str] = {
    **{outcome: report(each) for outcome, each in BY_OUTCOME.items()},
    "index": index(an_index()),
    "empty index": index(replace(an_index(), entries=[], omitted=1)),
}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_a_page_is_valid_html_with_its_language_and_says_nothing_in_the_words_of_python(page: str) -> None:
    (root,) = [each for each in elements(page) if each.tag == f"{XHTML}html"]
    assert root.get("lang") == "en"
    assert page.startswith("<!DOCTYPE html>\n")
    assert not re.search(r"\b(?:None|True|False|Undefined)\b", text(page))


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_a_page_needs_no_network_and_runs_nothing(page: str) -> None:
    found = [*elements(page)]
    assert not {each.tag for each in found} & {f"{XHTML}{tag}" for tag in ("script", "link", "img", "iframe", "object")}
    names = {name for each in found for name in each.attrib}
    assert not {name for name in names if name.startswith("on") or name in ("src", "srcset", "action", "style")}
    links = [each.get("href", "") for each in found if "href" in each.attrib]
    assert all(re.fullmatch(r"\./[\w./%-]+/report\.html", link) for link in links)
    assert not re.search(r"url\(|@import", page)
    (policy,) = [each for each in found if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy.get("content", "").startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:")


@pytest.mark.parametrize("outcome", BY_OUTCOME)
def test_a_hostile_text_anywhere_is_shown_and_nothing_else(outcome: str) -> None:
    hostile = with_texts(BY_OUTCOME[outcome], lambda _: HOSTILE)
    page = report(replace(hostile, schema=BY_OUTCOME[outcome].schema))
    assert {each.tag for each in elements(page)} <= {each.tag for each in elements(PAGES[outcome])}
    assert "</td></style><script>alert(1)</script>" in text(page)
    assert "\\n\\u202e&amp;\\x1b[31m" in text(page)
    assert not re.search("[\u202e\x1b]", page)


def test_a_hostile_text_anywhere_in_the_index_is_shown_and_nothing_else() -> None:
    page = index(with_texts(an_index(3), lambda _: HOSTILE))
    assert {each.tag for each in elements(page)} <= {each.tag for each in elements(PAGES["index"])}
    links = [each.get("href", "") for each in elements(page) if "href" in each.attrib]
    assert len(links) >= 3
    assert all(re.fullmatch(r"\./[\w./%-]+/report\.html", link) for link in links)


@pytest.mark.parametrize("folder", ["javascript:alert(1)", "//x.example/a", "/etc", "https://x.example"])
def test_a_link_of_the_index_never_leaves_the_bucket(folder: str) -> None:
    (entry, *_) = an_index(1).entries
    page = index(replace(an_index(1), entries=[replace(entry, folder=folder)]))
    links = [each.get("href", "") for each in elements(page) if "href" in each.attrib]
    assert links
    assert all(link.startswith("./") and ":" not in link for link in links)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)
@given(structs(Evidence))
def test_whatever_is_unknown_there_is_a_page(evidence: Evidence) -> None:
    parsed(report(evidence))


@settings(max_examples=60, deadline=None)
@given(structs(Index))
def test_whatever_operations_there_are_there_is_an_index(of: Index) -> None:
    parsed(index(of))


def test_the_same_evidence_gives_the_same_bytes_elsewhere_and_from_the_layer(tmp_path: Path) -> None:
    utils_for_this_machine(tmp_path / "python")
    render = (
        "import sys; from tests.evidence_samples import *; from utils.evidence.page import *;"
        "sys.stdout.buffer.write(report_page(FINDINGS, sha256=SHA256, key_sha256=KEY_SHA256) + index_page(an_index()))"
    )
    surroundings = {"TZ": "Pacific/Auckland", "PYTHONHASHSEED": "7", "PYTHONPATH": f"{tmp_path / 'python'}:{ROOT}"}
    made = subprocess.run(
        [sys.executable, "-c", render], env=os.environ | surroundings, cwd=tmp_path, check=True, capture_output=True
    )
    assert made.stdout.decode() == report(FINDINGS) + index(an_index())


@pytest.mark.parametrize(
    ("outcome", "word", "first"),
    [
        ("passed", "PASSED", "Yes"),
        ("findings", "FINDINGS", "Yes, with findings"),
        ("failed", "FAILED", "No"),
        ("stopped", "STOPPED", "No"),
        ("refused", "REFUSED", "No"),
    ],
)
def test_every_page_answers_the_same_three_questions_first(outcome: str, word: str, first: str) -> None:
    read = text(PAGES[outcome])
    sentence = BY_OUTCOME[outcome].summary.sentence
    places = [
        read.index(each)
        for each in (word, "Did it work?", first, sentence, "How old is the data?", "What do I do now?", "1 Findings")
    ]
    assert places == sorted(places)
    sections = re.findall(r"<h2>(\d)", PAGES[outcome])
    assert sections == [*"123456789"]
    for step in BY_OUTCOME[outcome].summary.next:
        assert read.index("What do I do now?") < read.index(step) < read.index("1 Findings")


@pytest.mark.parametrize("outcome", BY_OUTCOME)
def test_no_page_says_yes_against_its_own_status(outcome: str) -> None:
    evidence = BY_OUTCOME[outcome]
    claims = {
        worked: wording.answer(replace(evidence, summary=replace(evidence.summary, worked=worked)))
        for worked in (True, False)
    }
    assert claims[False] == "No"
    assert claims[True].startswith("Yes") == (outcome in ("passed", "findings"))


def test_a_failure_says_what_exists_now_and_why_it_failed() -> None:
    read = text(PAGES["failed"])
    assert "Cluster staging-orders-20261127 exists and incurs costs; its door is shut." in read
    assert "app_username&#34;.\nAdd it, and resume.</pre>" in PAGES["failed"], "a cause keeps its lines"
    assert "The restored data was not checked." in read


def test_a_restored_cluster_that_is_used_has_the_time_of_its_opening() -> None:
    read = text(report(RESTORED))
    assert "Cluster staging-orders exists and incurs costs; its door is open." in read
    assert "opened 2026-11-27 01:19:01 UTC; until then only the pipeline was admitted" in read


def test_a_refusal_has_no_data_and_no_age() -> None:
    assert "How old is the data? No data Nothing was restored." in text(PAGES["refused"])


def test_a_target_that_was_missed_is_said_in_words() -> None:
    read = text(PAGES["findings"])
    assert "1 h 54 min when the operation began; target 1 h NOT HELD" in read
    assert "39 of 41 checks held, 1 failed, 1 not run." in read


@pytest.mark.parametrize(
    ("by_source", "said"),
    [("cloudtrail", "Known from CloudTrail"), ("claimed", "which nothing confirms"), ("unknown", "is not known")],
)
def test_the_page_says_whose_word_the_name_is(by_source: Any, said: str) -> None:
    assert said in text(report(replace(PASSED, requested=replace(PASSED.requested, by_source=by_source))))


def test_checks_that_somebody_has_to_look_at_come_first() -> None:
    read = text(PAGES["findings"])
    places = [
        read.index(each) for each in ("Failed Result", "Not run Result", "Held by an estimate Result", "that held")
    ]
    assert places == sorted(places)
    assert FINDINGS.checks is not None
    for check in FINDINGS.checks.results:
        assert f"{check.name}{check.kind.replace('_', ' ')}, {check.scope}" in read
        assert check.text_sha256 is None or check.text_sha256 in read


def test_the_page_says_with_which_source_the_copy_was_compared_and_nothing_where_it_was_not() -> None:
    evidence = PASSED
    assert evidence.checks is not None
    assert "Compared with the source" not in text(report(evidence))
    compared = replace(evidence, checks=replace(evidence.checks, compared_with_source="prod-orders"))
    assert "Compared with the source cluster prod-orders, as it was then" in text(report(compared))


def test_a_cluster_that_was_deleted_by_the_operation_is_not_merely_missing() -> None:
    assert wording.exists_now(PASSED) == "Cluster drill-orders was deleted by this operation."
    assert wording.exists_now(replace(PASSED, changes=[])) == "Cluster drill-orders does not exist."
    assert wording.exists_now(REFUSED) == "No cluster of this operation is on record."


@pytest.mark.parametrize(
    ("seconds", "read"),
    [
        (None, "unknown"),
        (0, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (3_315, "55 min"),
        (3_599, "1 h"),
        (4_692, "1 h 18 min"),
        (172_799, "48 h"),
        (172_800, "2 days"),
        (300_000, "3.5 days"),
        (-30, "-30 s"),
    ],
)
def test_ages_are_rounded_for_people(seconds: int | None, read: str) -> None:
    assert wording.rounded(seconds) == read


def test_times_are_in_utc_with_their_date() -> None:
    at = dt.datetime(2026, 11, 27, 5, 35, 9, tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30)))
    assert wording.moment(at) == '<time datetime="2026-11-27T00:05:09Z">2026-11-27 00:05 UTC</time>'
    assert "2026-11-27 00:05:09 UTC" in wording.moment(at, seconds=True)


@pytest.mark.parametrize(
    ("objective", "word"),
    [
        (Objective(target=60, actual=60), "HELD"),
        (Objective(target=60, actual=61), "NOT HELD"),
        (Objective(target=60, actual=None), "NOT MEASURED"),
        (Objective(target=None, actual=60), "NO TARGET"),
    ],
)
def test_an_objective_has_a_word(objective: Objective, word: str) -> None:
    assert wording.kept(objective)[0] == word


def test_the_timelines_bars_follow_each_other_within_the_picture() -> None:
    drawn = bars(FAILED_RESTORE)
    assert (drawn[0].x, max(bar.x + bar.width for bar in drawn)) == (0, WIDTH)
    assert [bar.x for bar in drawn] == sorted(bar.x for bar in drawn)
    assert all(bar.width > 0 for bar in drawn)


def test_the_plot_has_a_mark_for_each_value_and_a_line_for_each_target() -> None:
    entries = an_index().entries
    made = plot(entries, "rto")
    assert made is not None
    assert len(made.marks) == sum(entry.rto_seconds is not None for entry in entries) < len(entries)
    assert made.targets == [7_200]
    assert all(0 <= mark.x <= WIDTH and 0 <= mark.y <= HEIGHT for mark in made.marks)
    assert made.missed == sum(mark.held is False for mark in made.marks)
    assert all((mark.y < made.lines[0]) == (mark.held is False) for mark in made.marks)


def test_the_index_counts_what_ran_and_says_what_was_refused() -> None:
    of = an_index()
    ran = [entry for entry in of.entries if entry.outcome != "refused"]
    read = text(PAGES["index"])
    assert f"How many passed? {sum(entry.outcome == 'passed' for entry in ran)} of {len(ran)}" in read
    assert "1 refused. What was refused has changed nothing, and is not counted in the rate." in read
    assert "1 older operation is not listed." in text(PAGES["empty index"])


def test_the_index_names_the_last_good_drill_of_each_source_with_its_age_and_what_has_none_first() -> None:
    of = an_index()
    drilled = max(
        entry.sequence
        for entry in of.entries
        if (entry.source, entry.kind, entry.outcome) == ("prod-orders", "drill", "passed")
    )
    never = [replace(entry, source="prod-new", outcome="failed", kind="drill") for entry in of.entries[:1]]
    read = text(index(replace(of, entries=[*never, *of.entries[1:]])))
    assert "No good drill yet: prod-new. Run one." in read
    assert re.search(rf"prod-new NONE YET prod-billing .* prod-orders [\d.]+ days [\d: -]+UTC .*? #{drilled} ", read)


def test_the_index_leads_to_what_failed_last() -> None:
    of = an_index()
    last = next(entry for entry in of.entries if entry.outcome == "failed")
    assert f"Read #{last.sequence}: the last restore of prod-orders FAILED" in text(PAGES["index"])
    passed = replace(of, entries=[entry for entry in of.entries if entry.outcome == "passed"])
    assert "What do I do now? Nothing" in text(index(passed))


CSS = (TEMPLATES / "style.css").read_text()
SCHEMES = {"light": CSS.split("@media")[0], "dark": CSS.split("@media")[1]}
TONES = [("good", "good-tint"), ("warn", "warn-tint"), ("bad", "bad-tint"), ("quiet", "quiet-tint")]
TEXTS = [(text, ground) for text in ("ink", "soft", "link") for ground in ("paper", "page")]
GRAPHICS = [("bar", "paper"), ("bar", "quiet-tint"), ("bad", "paper"), ("bad", "quiet-tint")]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours (WCAG 2.2, contrast ratio and relative luminance)."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("pair", "least"), [*((pair, 4.5) for pair in TONES + TEXTS), *((pair, 3.0) for pair in GRAPHICS)]
)
def test_every_text_and_bar_stands_out_from_its_ground(scheme: str, pair: tuple[str, str], least: float) -> None:
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", SCHEMES[scheme]))
    assert contrast(colours[pair[0]], colours[pair[1]]) >= least


def test_colours_are_named_in_one_place() -> None:
    elsewhere = CSS.split("* { box-sizing", 1)[1]
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b", elsewhere) == ["#ffffff"], "white paper for the printer"
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.name)
def test_the_templates_are_in_the_words_of_the_style_page(template: Path) -> None:
    words = re.sub(r"{[{%].*?[%}]}", " ", template.read_text(), flags=re.DOTALL)
    assert [found[0] for pattern in AVOIDED for found in re.finditer(pattern, words)] == []
