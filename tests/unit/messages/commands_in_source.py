"""The commands that stand in texts for people, taken out of the source, with samples in place of what it fills in."""

from __future__ import annotations

import ast
import pathlib
import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

ROOT = pathlib.Path(__file__).parents[3]
# Where somebody reads what the program says. The checks and the embedded AWS speak to those who work on it.
PLACES = ("lambda_functions", "utils", "scripts/deploy", "scripts/local_run")
# A command begins like this, whatever stands around it.
BEGINS = re.compile(r"(?<![\w.-])(?:aws [a-z0-9-]+ [a-z0-9-]+|\./scripts/\w+\.sh)")
# It ends with the text, with the line, at a sentence's brackets or backtick, or before the next sentence.
ENDS = re.compile(r"[`\n]|\)(?=[ .,;]|$)|[.,;:](?= |$)|$")
LOOKS = re.compile(r"aws \S+ (describe|list|get|lookup|decode)-\S+|aws stepfunctions describe-execution")


class Command(Struct, frozen=True, kw_only=True):
    """`behind`: what stands behind it in the same text, its closing backtick included."""

    module: str
    line: int
    text: str
    behind: str
    is_in_backticks: bool

    @property
    def operation(self) -> str:
        """Such as aws rds delete-db-instance, or the script."""
        return " ".join(self.text.split()[: 3 if self.text.startswith("aws ") else 1])

    @property
    def only_looks(self) -> bool:
        return LOOKS.match(self.text) is not None


def commands_in_source(samples: Mapping[str, str]) -> list[Command]:
    """Return all of them. `samples`: what stands for the expressions that are filled in, by their source text."""
    found = []
    for place in PLACES:
        for path in sorted((ROOT / place).rglob("*.py")):
            module = str(path.relative_to(ROOT))
            found += list(_commands_of(ast.parse(path.read_text()), module, samples))
    return found


def _commands_of(tree: ast.Module, module: str, samples: Mapping[str, str]) -> Iterator[Command]:
    for node, text in _texts(tree, samples):
        for begin in BEGINS.finditer(text):
            rest = text[begin.start() :]
            end = _end(rest)
            # Commands that depend on each other stand on one line; what one says may go into a file.
            whole = re.split(r" && | > ", rest[:end])[0].rstrip()
            in_backticks = text[: begin.start()].endswith("`") and rest[end:].startswith("`")
            yield Command(module=module, line=node.lineno, text=whole, behind=rest[end:], is_in_backticks=in_backticks)


def _end(text: str) -> int:
    """Where the command is over; what is quoted is part of it."""
    quoted = ""
    for place, character in enumerate(text):
        if quoted:
            quoted = "" if character == quoted else quoted
        elif character in "'\"":
            quoted = character
        elif ENDS.match(text, place):
            return place
    return len(text)


def _texts(tree: ast.Module, samples: Mapping[str, str]) -> Iterator[tuple[ast.expr, str]]:
    """Every text of a module but its docstrings and the parts of other texts."""
    whole = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    inner = {id(part) for node in whole for part in ast.walk(node) if part is not node}
    inner |= {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if id(node) in inner or not isinstance(node, ast.JoinedStr | ast.Constant):
            continue
        text = _rendered(node, samples)
        if text:
            yield node, text


def _rendered(node: ast.expr, samples: Mapping[str, str]) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_rendered(each, samples) for each in node.values)
    assert isinstance(node, ast.FormattedValue)
    source = ast.unparse(node.value)
    return samples.get(source, "us-east-1" if "region" in source else "sample")
