"""Colours: where they are wanted, and never in what a program reads."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from scripts.aurora_restore import colours
from scripts.aurora_restore.commands import cli

ESCAPE = "\x1b"


@pytest.mark.parametrize(
    ("when", "environment", "wanted"),
    [
        ("auto", {}, None),
        ("auto", {"NO_COLOR": "1"}, False),
        ("auto", {"NO_COLOR": ""}, None),
        ("auto", {"TERM": "dumb"}, False),
        ("auto", {"TERM": "xterm"}, None),
        ("always", {"NO_COLOR": "1", "TERM": "dumb"}, True),
        ("never", {"TERM": "xterm"}, False),
    ],
)
def test_what_is_typed_takes_precedence_over_the_environment(
    when: colours.When, environment: dict[str, str], wanted: bool | None
) -> None:
    assert colours.wanted(when, environment) is wanted


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_nothing_but_always_colours_what_is_no_terminal_and_json_never_is(tmp_path: Path, as_json: list[str]) -> None:
    command = ["verify-report", str(tmp_path), *as_json]
    told = {when: CliRunner().invoke(cli, ["--color", when, *command]).stdout for when in colours.WHEN}
    assert ESCAPE not in told["auto"] + told["never"]
    assert told["auto"] == told["never"] == click.unstyle(told["always"])
    assert (ESCAPE in told["always"]) == (not as_json)


@pytest.mark.parametrize("line", ["FAILED   drill", "ok    3 links", "NOT VERIFIED: 1", "Error (Unknown): no"])
def test_the_word_that_says_how_it_is_has_a_colour_and_stays_itself(line: str) -> None:
    assert colours.painted(line) != line
    assert click.unstyle(colours.painted(line)) == line


@pytest.mark.parametrize("line", ["okay", "Operation d24365", "  FAILED", ""])
def test_other_lines_stay_as_they_are(line: str) -> None:
    assert colours.painted(line) == line


@pytest.mark.parametrize(("color", "system"), [(True, "standard"), (False, None), (None, None)])
def test_the_progress_follows_the_same_choice(color: bool | None, system: str | None) -> None:
    """Without a terminal `auto` is none."""
    with click.Context(cli, color=color):
        assert colours.console().color_system == system
    assert not colours.console().is_terminal
