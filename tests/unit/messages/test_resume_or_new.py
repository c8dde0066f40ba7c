"""A failed step's sentence says resume, or a new operation: the message that has it goes on with that command.

"Start again" is said of a refused request alone, which has changed nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

UTILS = Path(__file__).parents[3] / "utils"
# The first step's refusals stand in the packages beside these.
OF_STEPS = ("aurora_utils", "logins", "postgres", "state", "steps")
START_AGAIN = re.compile(r"\bstart(?: it)? again\b", re.IGNORECASE)


def sentences(code: str) -> Iterator[str]:
    """Yield every text of a module as it is put together, with {} in place of what is filled in."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(each.value) if isinstance(each, ast.Constant) else "{}" for each in node.values)


@pytest.mark.parametrize("package", OF_STEPS)
def test_no_step_says_start_again(package: str) -> None:
    modules = sorted((UTILS / package).rglob("*.py"))
    assert modules
    found = [
        f"{path.relative_to(UTILS)}: {text}"
        for path in modules
        for text in sentences(path.read_text())
        if START_AGAIN.search(text)
    ]
    assert not found, f"say 'resume this operation', or 'start a new operation': {found}"


def test_a_sentence_over_two_lines_is_found() -> None:
    code = 'raise StepFailed(\n    f"{why}. Correct it, then start "\n    "again."\n)'
    assert "{}. Correct it, then start again." in sentences(code)
    assert START_AGAIN.search("{}. Correct it, then start again.")
