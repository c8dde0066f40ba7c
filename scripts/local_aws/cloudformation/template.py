"""The SAM template as CloudFormation would take it: read, checked, transformed, its resources in order.

The template and its parameters are checked as strictly as the service does, in its words where they are known, and
more strictly where it is silent: nothing in the template is skipped. Local paths (CodeUri, ContentUri,
DefinitionUri) stay paths: they travel through the SAM transform as locations in a bucket named LOCAL_BUCKET.
"""

from __future__ import annotations

import graphlib
import json
import logging
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import yaml  # type: ignore[import-untyped]  # PyYAML brings no types
from moto.utilities.utils import get_partition

from scripts.local_aws.cloudformation.intrinsics import Evaluator, TemplateError, text

__all__ = ["LOCAL_BUCKET", "Template", "TemplateError"]

LOCAL_BUCKET = "local-directory"
"""A Bucket of this name means that Key is a path on this machine."""

_SECTIONS = {
    "AWSTemplateFormatVersion", "Transform", "Description", "Metadata", "Parameters", "Mappings", "Conditions",
    "Rules", "Globals", "Resources", "Outputs",
}  # fmt: skip
_RESOURCE_KEYS = {"Type", "Properties", "Condition", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Metadata"}
_RETENTION_KEYS = {"DeletionPolicy", "UpdateReplacePolicy"}
_RETENTIONS = {"Delete", "Retain", "RetainExceptOnCreate", "Snapshot"}
_PARAMETER_KEYS = {
    "Type", "Default", "Description", "AllowedValues", "AllowedPattern", "ConstraintDescription", "MinValue",
    "MaxValue", "MinLength", "MaxLength", "NoEcho",
}  # fmt: skip
_EC2_TYPES = {"AWS::EC2::VPC::Id", "AWS::EC2::Subnet::Id", "AWS::EC2::SecurityGroup::Id"}
LIST_TYPES = {"CommaDelimitedList", "List<Number>", *(f"List<{name}>" for name in _EC2_TYPES)}
_PARAMETER_TYPES = {"String", "Number", *_EC2_TYPES, *LIST_TYPES}
_SAM = "AWS::Serverless-2016-10-31"
_LOCAL_PATHS = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}


class Template:
    """One template with the values of its parameters, ready to be deployed once."""

    def __init__(self, document: dict[str, Any], given: Mapping[str, str], pseudo: Mapping[str, str]) -> None:
        self.source = ""
        """The text of a template that was loaded from a file, its paths absolute."""
        _refuse_unknown(document, _SECTIONS, "the template")
        self.ec2_parameters: list[tuple[str, str, list[str]]] = []
        parameters = self._parameters(document.get("Parameters") or {}, given)
        if document.get("Transform") not in (None, _SAM, [_SAM]):
            raise TemplateError(f"Transform {document['Transform']} is not known to the embedded AWS")
        if document.pop("Transform", None):
            document = _transformed(document, given, pseudo["AWS::Region"])
        self.resources: dict[str, dict[str, Any]] = document["Resources"]
        self._outputs: dict[str, dict[str, Any]] = document.get("Outputs") or {}
        self.evaluator = Evaluator(document, parameters, pseudo)
        self._check_resources()
        self._check_rules(document.get("Rules") or {})

    @classmethod
    def load(cls, path: pathlib.Path, given: Mapping[str, str], pseudo: Mapping[str, str]) -> Template:
        """Return the template of a file, whose local paths stand for what `aws cloudformation package` would upload."""
        try:
            document = read(path.read_text())
        except TemplateError as error:
            raise TemplateError(f"{path}: {error}") from None
        _resolve_paths(document, path.parent)
        source = json.dumps(document, ensure_ascii=False)  # before the transform changes it
        template = cls(document, given, pseudo)
        template.source = source
        return template

    def creation_order(self) -> list[str]:
        """Return the logical ids whose conditions hold, each after everything it refers to or depends on."""
        graph = {}
        for logical_id, resource in self.resources.items():
            if self.evaluator.exists(logical_id):
                stated = resource.get("DependsOn") or []
                stated = [stated] if isinstance(stated, str) else stated
                if unknown := set(stated) - set(self.resources):
                    raise TemplateError(f"Template format error: Unresolved resource dependencies {sorted(unknown)}")
                needed = {other for other in stated if self.evaluator.exists(other)}
                graph[logical_id] = needed | set(self.evaluator.references(resource.get("Properties") or {}))
        try:
            return list(graphlib.TopologicalSorter(graph).static_order())
        except graphlib.CycleError as cycle:
            raise TemplateError(f"Circular dependency between resources: {sorted(set(cycle.args[1]))}") from None

    def outputs(self) -> dict[str, str]:
        """Return the outputs, after everything is created. Those whose condition does not hold are absent."""
        values = {}
        for name, output in self._outputs.items():
            _refuse_unknown(output, {"Value", "Description", "Condition", "Export"}, f"Outputs.{name}")
            if "Condition" not in output or self.evaluator.holds(output["Condition"]):
                values[name] = text(self.evaluator.value(output["Value"]))
        return values

    def _parameters(self, declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str | list[str]]:
        if surplus := set(given) - set(declared):
            raise TemplateError(f"Parameters: [{', '.join(sorted(surplus))}] do not exist in the template")
        missing = [name for name in declared if name not in given and "Default" not in declared[name]]
        if missing:
            raise TemplateError(f"Parameters: [{', '.join(missing)}] must have values")
        return {name: self._parameter(name, rules, given) for name, rules in declared.items()}

    def _parameter(self, name: str, rules: Mapping[str, Any], given: Mapping[str, str]) -> str | list[str]:
        _refuse_unknown(rules, _PARAMETER_KEYS, f"Parameters.{name}")
        kind = rules["Type"]
        if kind not in _PARAMETER_TYPES:
            raise TemplateError(f"Parameter '{name}': type {kind} is not known to the embedded AWS")
        value = text(given.get(name, rules.get("Default")))
        items = [item.strip() for item in value.split(",")] if kind in LIST_TYPES else [value]
        for item in items:
            check_parameter(name, kind, item, rules)
        for ec2_type in _EC2_TYPES:
            if ec2_type in kind:
                self.ec2_parameters.append((name, ec2_type, items))
        return items if kind in LIST_TYPES else value

    def _check_resources(self) -> None:
        for logical_id, resource in self.resources.items():
            if not re.fullmatch("[A-Za-z0-9]+", logical_id):
                raise TemplateError(f"Resource name {logical_id} is non alphanumeric.")
            if "Type" not in resource:
                raise TemplateError(f"Every Resources object must contain a Type member: {logical_id} has none")
            _refuse_unknown(resource, _RESOURCE_KEYS, logical_id)
            for policy in _RETENTION_KEYS & set(resource):
                if resource[policy] not in _RETENTIONS:
                    raise TemplateError(f"{logical_id}: {policy} must be one of {', '.join(sorted(_RETENTIONS))}")

    def _check_rules(self, rules: Mapping[str, Any]) -> None:
        for name, rule in rules.items():
            _refuse_unknown(rule, {"RuleCondition", "Assertions"}, f"Rules.{name}")
            if "RuleCondition" not in rule or self.evaluator.holds(rule["RuleCondition"]):
                for assertion in rule["Assertions"]:
                    if not self.evaluator.holds(assertion["Assert"]):
                        raise TemplateError(assertion.get("AssertDescription", f"Rule {name} is not satisfied"))


def pseudo_parameters(account_id: str, region: str, stack_name: str, stack_id: str = "") -> dict[str, str]:
    """Return the pseudo parameters, which every template has."""
    partition = get_partition(region)
    return {
        "AWS::AccountId": account_id,
        "AWS::Region": region,
        "AWS::Partition": partition,
        "AWS::URLSuffix": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
        "AWS::StackName": stack_name,
        "AWS::StackId": stack_id or f"arn:{partition}:cloudformation:{region}:{account_id}:stack/{stack_name}/local",
    }


def check_parameter(name: str, kind: str, value: str, rules: Mapping[str, Any]) -> None:
    """Refuse a value, or an item of a list, that breaks the parameter's rules."""

    def refuse(message: str) -> None:
        if explanation := rules.get("ConstraintDescription"):
            message = f"failed to satisfy constraint: {explanation}"
        raise TemplateError(f"Parameter '{name}' {message}")

    if "AllowedValues" in rules and value not in [text(allowed) for allowed in rules["AllowedValues"]]:
        refuse(f"must be one of AllowedValues: {value!r} is not")
    if "AllowedPattern" in rules and not re.fullmatch(rules["AllowedPattern"], value):
        refuse(f"must match pattern {rules['AllowedPattern']}: {value!r} does not")
    if "MinLength" in rules and len(value) < int(rules["MinLength"]):
        refuse(f"must contain at least {rules['MinLength']} characters")
    if "MaxLength" in rules and len(value) > int(rules["MaxLength"]):
        refuse(f"must contain at most {rules['MaxLength']} characters")
    if kind in ("Number", "List<Number>"):
        if not re.fullmatch(r"-?\d+(\.\d+)?", value):
            refuse(f"must be a number: {value!r} is not")
        if "MinValue" in rules and float(value) < float(rules["MinValue"]):
            refuse(f"must be a number not less than {rules['MinValue']}")
        if "MaxValue" in rules and float(value) > float(rules["MaxValue"]):
            refuse(f"must be a number not greater than {rules['MaxValue']}")


def read(source: str) -> dict[str, Any]:
    """Return a template as it is written. Refuse one that is not YAML (or JSON), or has no resources."""
    try:
        document = yaml.load(source, _Loader)
    except yaml.YAMLError as error:
        raise TemplateError(f"the template is not YAML: {error}") from None
    if not isinstance(document, dict) or not document.get("Resources"):
        raise TemplateError("Template format error: At least one Resources member must be defined.")
    return document


def _refuse_unknown(mapping: Mapping[str, Any], known: set[str], where: str) -> None:
    if unknown := set(mapping) - known:
        raise TemplateError(f"{where}: {', '.join(sorted(map(str, unknown)))} is not known to the embedded AWS")


def _resolve_paths(document: dict[str, Any], directory: pathlib.Path) -> None:
    """Make local paths absolute; `aws cloudformation package` would upload what lies there."""
    shared = (document.get("Globals") or {}).get("Function") or {}
    owners = [(shared, "CodeUri")]
    for resource in document["Resources"].values():
        if name := _LOCAL_PATHS.get(resource.get("Type")):
            owners.append((resource.get("Properties") or {}, name))
    for properties, name in owners:
        if isinstance(properties.get(name), str):
            path = (directory / properties[name]).resolve()
            properties[name] = {"Bucket": LOCAL_BUCKET, "Key": str(path)}


def _transformed(document: dict[str, Any], given: Mapping[str, str], region: str) -> dict[str, Any]:
    import boto3

    from scripts.translator import InvalidDocumentException, Parser, Translator

    logging.getLogger("samtranslator").setLevel(logging.ERROR)  # it complains of metrics that nobody collects
    session = boto3.session.Session(region_name=region)
    # Managed policies by bare name would need a list of all of AWS's; name them by ARN.
    translator = Translator({}, Parser(), None, session)
    try:
        translated: dict[str, Any] = translator.translate(sam_template=document, parameter_values=dict(given))
    except InvalidDocumentException as invalid:
        causes = "; ".join(cause.message for cause in invalid.causes)
        raise TemplateError(f"Transform {_SAM} failed with: {causes}") from None
    return translated


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # untyped base; C's is faster
    """YAML as CloudFormation reads it: short forms of functions, dates are text, a key occurs once."""


def _short_form(loader: _Loader, tag: str, node: yaml.Node) -> dict[str, Any]:
    name = tag if tag in ("Ref", "Condition") else f"Fn::{tag}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if tag == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    assert isinstance(node, yaml.MappingNode)
    return {name: loader.construct_mapping(node, deep=True)}


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    keys = [key.value for key, _ in node.value]
    if repeated := {key for key in keys if keys.count(key) > 1}:
        raise TemplateError(f"Line {node.start_mark.line + 1}: {', '.join(sorted(repeated))} occurs twice")
    return {str(key): value for key, value in loader.construct_mapping(node, deep=True).items()}


_Loader.add_multi_constructor("!", _short_form)
_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
