"""What the pages repeat from code and template: `python -m scripts.checks.documentation` writes it anew.

Tests fail when a page and its source have drifted apart.
"""

from __future__ import annotations

import pathlib
import re
import typing

from scripts.checks.expansion import source
from scripts.local_run.costs import idle_costs, total
from utils.restore_request import FIELD_HELP, FIELDS

PROJECT = pathlib.Path(__file__).parents[2]
README = PROJECT / "README.md"
COSTS = PROJECT / "documentation" / "operations" / "costs.md"
_IDLE = re.compile(r"(<!-- idle costs -->\n).*?(<!-- /idle costs -->)", re.DOTALL)
_FIELDS = re.compile(r"(<!-- fields -->\n).*?(<!-- /fields -->)", re.DOTALL)


def fields_table() -> str:
    """Every field of the input with its type and what it means."""
    rows = ["| Field | Type | Meaning |", "|---|---|---|"]
    rows += [f"| `{name}` | {_type(FIELDS[name].type)} | {help_text} |" for name, help_text in FIELD_HELP.items()]
    return "\n".join(rows) + "\n"


def with_fields_table(readme: str) -> str:
    return _FIELDS.sub(lambda match: match[1] + fields_table() + match[2], readme)


def idle_costs_table() -> str:
    """What each kind of the template's resources costs in a month in which nothing runs, all options chosen."""
    lines = idle_costs(source()["Resources"])
    rows = ["| Resource | How many | US dollars a month |", "|---|---|---|"]
    rows += [f"| {what.removeprefix('AWS::')} | {amount} | {dollars:.2f} |" for what, amount, dollars in lines]
    return "\n".join([*rows, f"| together | | {total(lines):.2f} |"]) + "\n"


def with_idle_costs(page: str) -> str:
    return _IDLE.sub(lambda match: match[1] + idle_costs_table() + match[2], page)


def commands(readme: str, name: str) -> list[str]:
    """The commands of a marked console block, as a person would type them."""
    block = readme.split(f"<!-- commands: {name} -->\n```console\n")[1].split("```")[0]
    return [line.removeprefix("$ ") for line in block.splitlines()]


def _type(annotated: object) -> str:
    optional = typing.get_args(annotated)[0]
    (kind,) = [each for each in typing.get_args(optional) if each is not type(None)]
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(f"`{value}`" for value in typing.get_args(kind))
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    if kind in names:
        return names[kind]
    return "list of texts" if typing.get_origin(kind) is list else "object of texts"


def main() -> None:
    README.write_text(with_fields_table(README.read_text()))
    COSTS.write_text(with_idle_costs(COSTS.read_text()))


if __name__ == "__main__":
    main()
