"""The parameters in samconfig.toml, read as the SAM CLI reads them and checked against the template."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from scripts.deploy.place import Refused
from scripts.local_aws.cloudformation.template import LIST_TYPES, TemplateError, check_parameter

_PLACEHOLDER = "<"


def read_config(path: Path, environment: str) -> dict[str, Any]:
    """Return the file's settings of `sam deploy`, on top of those of every command."""
    if not path.is_file():
        raise Refused(f"The file {path} does not exist. Name another: --config-file FILE")
    try:
        document = tomllib.loads(path.read_text())
    except tomllib.TOMLDecodeError as error:
        raise Refused(f"{path} is no TOML: {error}") from None
    if environment not in document:
        raise Refused(f"{path} has no environment {environment}. It has {', '.join(sorted(document))}.")
    sections = [document[environment].get(command, {}).get("parameters", {}) for command in ("global", "deploy")]
    return {**sections[0], **sections[1]}


def given_parameters(config: dict[str, Any]) -> dict[str, str]:
    """Return the stack's parameters as CloudFormation gets them from the SAM CLI."""
    table = config.get("parameter_overrides", {})
    if not isinstance(table, dict):
        raise Refused("parameter_overrides has to be a table of its own, as in the samconfig.toml that came with this.")
    return {name: ",".join(value) if isinstance(value, list) else str(value) for name, value in table.items()}


def problems(declared: dict[str, dict[str, Any]], given: dict[str, str], kept: dict[str, str]) -> list[str]:
    """Return all that is wrong with the values. `kept`: those of a stack that exists, which stay where none is given.

    The SAM CLI ignores a name that the template does not have.
    """
    found = [f"{name} is no parameter of the template." for name in set(given) - set(declared)]
    for name, rules in declared.items():
        value = given.get(name)
        if value is None:
            if name not in kept and "Default" not in rules:
                found.append(f"{name} is missing: {rules.get('Description', '')}")
        elif value.startswith(_PLACEHOLDER):
            found.append(f"{name} is still to be filled in: {value}")
        else:
            found += _misfits(name, rules, value)
    return sorted(found)


def _misfits(name: str, rules: dict[str, Any], value: str) -> list[str]:
    found = []
    for item in [item.strip() for item in value.split(",")] if rules["Type"] in LIST_TYPES else [value]:
        try:
            check_parameter(name, rules["Type"], item, rules)
        except TemplateError as error:
            quote = ' Put it in quotes: "true" or "false".' if item in ("True", "False") else ""
            found.append(f"{error} ({item!r} was given){quote}")
    return found
