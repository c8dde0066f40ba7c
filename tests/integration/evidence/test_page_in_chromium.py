"""The pages of the evidence as people see them: on a phone, on a desk, on paper.

`WRITE_PICTURES=1` writes the pictures of the documentation from the same pages.
"""

from __future__ import annotations

import html
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.evidence_samples import BY_OUTCOME, KEY_SHA256, PASSED, SHA256, an_index
from tests.integration.evidence.conftest import Chromium
from tests.integration.tiers import one_and_the_rest
from utils.contracts.evidence import Evidence
from utils.evidence.page import index_page, report_page

# What the pages say is in tests/unit/evidence; a browser's start takes most of the time here.
pytestmark = pytest.mark.full

DOCUMENTATION = Path(__file__).parents[3] / "documentation" / "operations"
# A phone's, a tablet's and a desk's; Chromium makes no window below 500, so that pages are in frames of that width.
WIDTHS = (360, 768, 1100)
PHONE = (360, 740)
MEASURE = """
<script>
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, answers = page.querySelector(".answers");
    return {
      inner: frame.contentWindow.innerWidth,
      needed: page.documentElement.scrollWidth,
      answered: answers && Math.ceil(answers.getBoundingClientRect().bottom),
      ground: frame.contentWindow.getComputedStyle(page.body).backgroundColor,
    };
  });
  document.querySelector("output").textContent = JSON.stringify(found);
});
</script>
<output></output>
"""


def report(evidence: Evidence) -> str:
    return report_page(evidence, sha256=SHA256, key_sha256=KEY_SHA256).decode()


def with_long_names() -> Evidence:
    """Names as long as RDS takes them, and texts without a place to break."""
    assert PASSED.target is not None
    assert PASSED.checks is not None
    name = "x" * 63
    checks = [replace(check, name="n" * 200, scope="s" * 255, actual="9" * 300) for check in PASSED.checks.results[:3]]
    return replace(
        PASSED,
        summary=replace(PASSED.summary, sentence="w" * 300, next=["y" * 300]),
        target=replace(PASSED.target, identifier=name, instances=[name, name]),
        checks=replace(PASSED.checks, results=checks),
        findings=["f" * 400],
        requested=replace(PASSED.requested, by="b" * 400, request=json.dumps({"tags": {"k" * 128: "v" * 256}})),
    )


PAGES = {
    **{outcome: report(evidence) for outcome, evidence in BY_OUTCOME.items()},
    "long names": report(with_long_names()),
    "index": index_page(an_index()).decode(),
    "no operation": index_page(replace(an_index(), entries=[])).decode(),
}


def framed(pages: list[tuple[str, int, int]], beside: str = "") -> str:
    """Return a page with others in frames of their own width and height."""
    frames = [f'<iframe width="{w}" height="{h}" srcdoc="{html.escape(page)}"></iframe>' for page, w, h in pages]
    style = "<style>body{margin:0;display:flex;gap:24px;background:#cfd5dd}iframe{border:0;flex:none}</style>"
    return f"<!DOCTYPE html><title>Frames</title>{style}{beside}{''.join(frames)}"


def measured(chromium: Chromium, work: Path, pages: list[tuple[str, int, int]]) -> list[dict[str, Any]]:
    wrapper = work / "frames.html"
    wrapper.write_text(framed(pages, MEASURE))
    found = re.search(r"<output>(.*?)</output>", chromium("--dump-dom", page=wrapper))
    assert found is not None
    answers: list[dict[str, Any]] = json.loads(html.unescape(found[1]))
    return answers


@pytest.mark.parametrize("width", one_and_the_rest(WIDTHS))
def test_no_page_is_wider_than_the_screen(chromium: Chromium, tmp_path: Path, width: int) -> None:
    found = measured(chromium, tmp_path, [(page, width, 740) for page in PAGES.values()])
    assert {each["inner"] for each in found} == {width}
    assert {name: each["needed"] for name, each in zip(PAGES, found, strict=True)} == dict.fromkeys(PAGES, width)


def test_a_page_that_is_wider_would_be_noticed(chromium: Chromium, tmp_path: Path) -> None:
    wide = PAGES["passed"].replace("<main>", '<main><div style="width:700px">wide</div>')
    (found,) = measured(chromium, tmp_path, [(wide, *PHONE)])
    assert found["needed"] > 700


def test_the_three_questions_are_answered_on_the_first_screen_of_a_phone(chromium: Chromium, tmp_path: Path) -> None:
    names = [*BY_OUTCOME, "index"]
    found = measured(chromium, tmp_path, [(PAGES[name], *PHONE) for name in names])
    assert {
        name: each["answered"] for name, each in zip(names, found, strict=True) if each["answered"] > PHONE[1]
    } == {}


def test_the_style_is_taken_although_nothing_else_is_allowed(chromium: Chromium, tmp_path: Path) -> None:
    (found,) = measured(chromium, tmp_path, [(PAGES["passed"], *PHONE)])
    assert found["ground"] == "rgb(244, 245, 247)"


def printed(chromium: Chromium, work: Path, page: str) -> bytes:
    (work / "page.html").write_text(page)
    pdf = work / "page.pdf"
    chromium("--no-pdf-header-footer", f"--print-to-pdf={pdf}", page=work / "page.html")
    return pdf.read_bytes()


def pages_of(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf))


@pytest.mark.full
def test_paper_is_a4_and_shows_what_is_folded_on_the_screen(chromium: Chromium, tmp_path: Path) -> None:
    page = PAGES["passed"]
    assert "<details>" in page
    pdf = printed(chromium, tmp_path, page)
    assert {*re.findall(rb"/MediaBox \[([\d. ]+)\]", pdf)} <= {
        b"0 0 594.95996 841.91998",
        b"0 0 595 842",
        b"0 0 594.96 841.92",
    }
    assert pages_of(pdf) == pages_of(printed(chromium, tmp_path, page.replace("<details>", "<details open>")))
    folded = page.replace("details::details-content", "details::nothing-of-the-kind")
    assert pages_of(pdf) > pages_of(printed(chromium, tmp_path, folded))


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "pages"),
    [
        ("evidence_report", [(PAGES["passed"], 1000, 830)]),
        ("evidence_phone", [(PAGES[name], *PHONE) for name in ("passed", "findings", "failed")]),
        ("evidence_index", [(PAGES["index"], 1000, 1040)]),
    ],
)
def test_a_picture_can_be_taken(
    chromium: Chromium, tmp_path: Path, name: str, pages: list[tuple[str, int, int]]
) -> None:
    (tmp_path / "frames.html").write_text(framed(pages))
    picture = (DOCUMENTATION if os.environ.get("WRITE_PICTURES") else tmp_path) / f"{name}.png"
    width, height = sum(each[1] for each in pages) + 24 * (len(pages) - 1), pages[0][2]
    chromium(f"--window-size={width},{height}", f"--screenshot={picture}", page=tmp_path / "frames.html")
    taken = picture.read_bytes()
    assert taken.startswith(b"\x89PNG\r\n\x1a\n")
    assert (int.from_bytes(taken[16:20]), int.from_bytes(taken[20:24])) == (width, height)
    assert 10_000 < len(taken) < 200_000
    committed = DOCUMENTATION / f"{name}.png"
    assert committed.exists(), "take it: WRITE_PICTURES=1, as tests/README.md says"
