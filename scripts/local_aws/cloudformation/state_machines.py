"""Step Functions: state machines, their versions and aliases, and their definitions with everything substituted.

What Step Functions itself refuses of a definition, a role or a logging configuration is said by its API.
"""

from __future__ import annotations

import json
import re

from scripts.local_aws.cloudformation.deployment import Deployment, Properties, only, refuse_unknown
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text
from scripts.local_aws.cloudformation.locations import located
from scripts.local_aws.cloudformation.resource_types import Made, ResourceType
from scripts.local_aws.core.arns import unqualified
from scripts.local_aws.step_functions.versions import INITIAL

_SETTINGS = ("RoleArn", "LoggingConfiguration", "TracingConfiguration")


class _StateMachine(ResourceType):
    type = "AWS::StepFunctions::StateMachine"
    in_place = (
        "Definition DefinitionS3Location DefinitionString DefinitionSubstitutions LoggingConfiguration RoleArn "
        "TracingConfiguration"
    )
    replacing = "StateMachineName StateMachineType"
    fixed = "Tags"
    volatile = "StateMachineRevisionId"
    name, longest_name = "StateMachineName", 80
    deletion = "stepfunctions", "delete_state_machine", "stateMachineArn"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        given, definition = only(properties, "Tags", *_SETTINGS), _definition(deployment, properties)
        given |= {"name": name, "definition": definition, "type": properties.get("StateMachineType", "STANDARD")}
        arn = deployment.call("stepfunctions", "create_state_machine", given)["stateMachineArn"]
        return arn, _attributes(deployment, arn)

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> Properties:
        definition = _definition(deployment, new)
        given = only(new, *_SETTINGS)
        deployment.call("stepfunctions", "update_state_machine", given, stateMachineArn=made.ref, definition=definition)
        return _attributes(deployment, made.ref)


def _attributes(deployment: Deployment, arn: str) -> Properties:
    """Return the state machine's attributes as they are now; each update makes another revision."""
    described = deployment.call("stepfunctions", "describe_state_machine", {}, stateMachineArn=arn)
    revision = described.get("revisionId", INITIAL)
    return {"Arn": arn, "Name": described["name"], "StateMachineRevisionId": revision}


def _definition(deployment: Deployment, properties: Properties) -> str:
    given = [key for key in ("Definition", "DefinitionS3Location", "DefinitionString") if key in properties]
    if len(given) != 1:
        raise TemplateError("exactly one of Definition, DefinitionString and DefinitionUri is needed")
    value = properties[given[0]]
    if given[0] == "DefinitionS3Location":
        content = located(deployment, value, "DefinitionUri")
        definition = content.decode() if isinstance(content, bytes) else content.read_text()
    else:
        definition = value if isinstance(value, str) else json.dumps(value)
    for name, replacement in (properties.get("DefinitionSubstitutions") or {}).items():
        if "${" + name + "}" not in definition:
            raise TemplateError(f"DefinitionSubstitutions.{name} occurs nowhere in the definition")
        definition = definition.replace("${" + name + "}", text(replacement))
    if left := sorted(set(re.findall(r"\$\{[^}]*\}", definition))):
        raise TemplateError(f"the definition has {', '.join(left)}, which DefinitionSubstitutions does not give")
    try:
        json.loads(definition)
    except ValueError as error:
        raise TemplateError(f"the definition is not JSON after substitution: {error}") from None
    return definition


class _StateMachineVersion(ResourceType):
    type = "AWS::StepFunctions::StateMachineVersion"
    replacing = "Description StateMachineArn StateMachineRevisionId"
    deletion = "stepfunctions", "delete_state_machine_version", "stateMachineVersionArn"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        given = only(properties, "Description", "StateMachineArn")
        revision = properties.get("StateMachineRevisionId")
        version = deployment.call("stepfunctions", "publish_state_machine_version", given, revisionId=revision)
        arn = version["stateMachineVersionArn"]
        return arn, {"Arn": arn}


class _StateMachineAlias(ResourceType):
    """An alias is one state machine's: its ARN has the machine's name, and its versions are that machine's.

    What AWS answers to another machine's version in an update is not verified; the stricter reading is taken.
    """

    type = "AWS::StepFunctions::StateMachineAlias"
    in_place = "DeploymentPreference Description"
    replacing = "Name"
    deletion = "stepfunctions", "delete_state_machine_alias", "stateMachineAliasArn"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        given = {**only(properties, "Description", "Name"), **_routes(_version(properties))}
        arn = deployment.call("stepfunctions", "create_state_machine_alias", given)["stateMachineAliasArn"]
        return arn, {"Arn": arn}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        version = _version(new)
        if unqualified(version)[0] != unqualified(made.ref)[0]:
            raise TemplateError(f"{version} is no version of the alias's state machine")
        given = {**only(new, "Description"), **_routes(version)}
        deployment.call("stepfunctions", "update_state_machine_alias", given, stateMachineAliasArn=made.ref)


def _routes(version: str) -> Properties:
    return {"routingConfiguration": [{"stateMachineVersionArn": version, "weight": 100}]}


def _version(properties: Properties) -> str:
    """Return the ARN of the version to which the alias leads."""
    preference = properties["DeploymentPreference"]
    refuse_unknown(preference, ("StateMachineVersionArn", "Type"), "DeploymentPreference")
    if preference["Type"] != "ALL_AT_ONCE":
        raise TemplateError(f"DeploymentPreference.Type {preference['Type']} is not known to the embedded AWS")
    return text(preference["StateMachineVersionArn"])
