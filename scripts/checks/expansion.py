"""The SAM template as CloudFormation translates it: roles, policies, permissions, the state machine as an object.

Linters see next to nothing of a SAM state machine, and nothing of what SAM adds. So the template is translated by
AWS's own translator, offline, and the states language document is put in where SAM leaves a text.

As a program it writes both for the linters: python -m scripts.checks.expansion DIRECTORY
"""

from __future__ import annotations

import copy
import functools
import json
import re
import sys
from pathlib import Path
from typing import Any

import boto3

from scripts.translator import Parser, Translator, yaml_parse

INFRASTRUCTURE = Path(__file__).parents[2] / "infrastructure"
TEMPLATE = INFRASTRUCTURE / "aurora-restore-pipeline.yaml"
DEFINITION = INFRASTRUCTURE / "state_machine.asl.json"
EXPIRY_DEFINITION = INFRASTRUCTURE / "expiry_machine.asl.json"
_PLACES = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}


def source() -> dict[str, Any]:
    """Return a copy of the template as it is written, with the short forms of functions spelled out."""
    return dict(copy.deepcopy(_parsed()))


# Reading it takes half a second, and some tests ask for it a hundred times.
_parsed = functools.cache(lambda: yaml_parse(TEMPLATE.read_text()))


def definition(path: Path = DEFINITION) -> dict[str, Any]:
    """Return a state machine as it is written, with its ${substitutions}."""
    asl: dict[str, Any] = json.loads(path.read_text())
    return asl


def filled_in(text: str) -> str:
    """Return a states language document whose ${…FunctionArn} are ARNs of made-up functions."""
    return re.sub(r"\$\{(\w+)\}", r"arn:aws:lambda:eu-central-1:111122223333:function:\1", text)


@functools.cache
def translated() -> dict[str, Any]:
    """Return plain CloudFormation, with the state machine's definition as an object in it."""
    template, machines = source(), {}
    for name, resource in template["Resources"].items():
        place = _PLACES.get(resource["Type"])
        if place:
            resource["Properties"][place] = "s3://bucket/package.zip"
        elif resource["Type"] == "AWS::Serverless::StateMachine":
            machines[name] = INFRASTRUCTURE / resource["Properties"].pop("DefinitionUri")
            resource["Properties"]["Definition"] = definition(machines[name])
    # No managed policies' names to look up, and the region only chooses between partitions: nothing asks AWS.
    translator = Translator({}, Parser(), None, boto3.Session(region_name="eu-central-1"))
    result: dict[str, Any] = translator.translate(sam_template=template, parameter_values={})
    for name, resource in result["Resources"].items():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            del resource["Properties"]["DefinitionString"]
            resource["Properties"]["Definition"] = _as_cfn_lint_knows_it(definition(machines[name]))
    return result


def _as_cfn_lint_knows_it(asl: dict[str, Any]) -> dict[str, Any]:
    """Remove the OutputPath of Succeed, which the states language allows and cfn-lint's schema (E3601) lacks."""
    for state in asl["States"].values():
        if state["Type"] == "Succeed":
            state.pop("OutputPath", None)
    return asl


def main(directory: Path) -> None:
    """Write the translated template and the state machines for the linters."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "translated.json").write_text(json.dumps(translated(), indent=1))
    for machine in (DEFINITION, EXPIRY_DEFINITION):
        (directory / machine.name).write_text(filled_in(machine.read_text()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
