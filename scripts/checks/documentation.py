"""What the README repeats from the code, made from the code: `python -m scripts.checks.documentation` writes it anew.

tests/unit/test_documentation.py fails when the README and the code have drifted apart.
"""

from __future__ import annotations

import pathlib
import re
import typing

from utils.restore_request import FIELD_HELP, FIELDS

README = pathlib.Path(__file__).parents[2] / "README.md"
_FIELDS = re.compile(r"(<!-- fields -->\n).*?(<!-- /fields -->)", re.DOTALL)


def fields_table() -> str:
    """Every field of the input with its type and what it means."""
    rows = ["| Field | Type | Meaning |", "|---|---|---|"]
    rows += [f"| `{name}` | {_type(FIELDS[name].type)} | {help_text} |" for name, help_text in FIELD_HELP.items()]
    return "\n".join(rows) + "\n"


def with_fields_table(readme: str) -> str:
    return _FIELDS.sub(lambda match: match[1] + fields_table() + match[2], readme)


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


if __name__ == "__main__":
    main()
