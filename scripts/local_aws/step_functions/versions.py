"""Versions and aliases of state machines: which definition an execution runs that is started through one.

A revision is a machine's definition and settings as they are now; a version is a revision that stays. moto keeps both
and knows no way to publish one after its machine was made.
See https://docs.aws.amazon.com/step-functions/latest/dg/concepts-cd-aliasing-versioning.html; a file and a test named
here are among the snapshots recorded on AWS in LocalStack's repository, under tests/aws/services/stepfunctions/v2.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from typing import Any

from moto.stepfunctions.models import StateMachine, StateMachineVersion, StepFunctionBackend

from scripts.local_aws.core.arns import unqualified
from scripts.local_aws.core.errors import AwsError, NotImplementedByLocalAws

INITIAL = "INITIAL"
"""The revision of a machine that was never updated. No answer shows it, but CloudFormation does."""


@dataclass(frozen=True)
class Chosen:
    """What an execution is started from."""

    machine: StateMachine
    revision: StateMachine | StateMachineVersion
    version_arn: str | None = None
    alias_arn: str | None = None


def revision_id(machine: StateMachine | StateMachineVersion) -> str:
    """Return the id of a machine's revision as it is now, or of the one that a version keeps."""
    return str(getattr(machine, "revision_id", INITIAL))


def settings(machine: StateMachine | StateMachineVersion) -> dict[str, Any]:
    """Return what makes a revision: a change of any of these is another one."""
    return {
        "definition": machine.definition,
        "roleArn": machine.roleArn,
        "loggingConfiguration": machine.loggingConfiguration,
        "tracingConfiguration": machine.tracingConfiguration,
    }


def described(machine: StateMachine | StateMachineVersion) -> dict[str, Any]:
    """Return what AWS reports of a revision: its id only once the machine was updated, and when that was.

    test_sfn_api_versioning.py test_publish_state_machine_version, test_describe_state_machine_for_execution_of_version.
    """
    named = {"stateMachineArn": machine.arn, "name": machine.name, "updateDate": machine.update_date}
    revision = revision_id(machine)
    return {**named, **settings(machine), **({} if revision == INITIAL else {"revisionId": revision})}


def revised(machine: StateMachine) -> None:
    """Give a machine that was updated another revision."""
    machine.revision_id = str(uuid.uuid4())  # type: ignore[attr-defined]  # ours, on moto's object


def publish(backend: StepFunctionBackend, arn: str, revision: str | None, description: str | None) -> str:
    """Publish a version and return its ARN; the latest one's if nothing changed since it was published."""
    machine = backend.describe_state_machine(arn)
    if revision is not None and revision != revision_id(machine):
        message = f"Failed to publish the State Machine version for revision {revision}. "
        message += f"The current State Machine revision is {revision_id(machine)}."
        raise AwsError("ConflictException", message)
    latest = machine.latest_version
    deleted = latest is not None and latest.version not in machine.versions  # test_version_ids_between_deletions
    if latest is None or deleted or getattr(latest, "revision_id", None) != revision_id(machine):
        machine.publish(description)
        latest = machine.latest_version
        assert latest is not None
        latest.revision_id = revision_id(machine)  # type: ignore[attr-defined]  # ours, on moto's object
    return str(latest.arn)


def delete(backend: StepFunctionBackend, version_arn: str) -> None:
    """Delete a version. Refuse one that an alias routes to; one that is not there is deleted already."""
    arn, number = unqualified(version_arn)
    if not number.isdecimal():  # what AWS answers then is not verified
        raise AwsError("InvalidArn", f"Invalid State Machine Arn: '{version_arn}'")
    machine = backend.describe_state_machine(arn)
    referring = [
        alias.name
        for alias in machine.aliases.values()
        if any(route["stateMachineVersionArn"] == version_arn for route in alias.routing_configuration)
    ]
    if referring:
        message = "Version to be deleted must not be referenced by an alias. "
        message += f"Current list of aliases referencing this version: [{', '.join(referring)}]"
        raise AwsError("ConflictException", message)
    machine.versions.pop(int(number), None)


def check_routes(routes: list[dict[str, Any]]) -> None:
    """Raise ValidationException for routes that cannot be (test_error_create_alias_invalid_router_configs)."""
    arns = [route["stateMachineVersionArn"] for route in routes]
    weights = [route["weight"] for route in routes]
    is_repeated = len(set(arns)) < len(arns)
    if is_repeated or not all(unqualified(arn)[1].isdecimal() for arn in arns):
        what = f"{'distinct ' if is_repeated else ''}state machine version ARNs"
        raise AwsError(
            "ValidationException", f"Routing configuration must contain {what}. Received: [{', '.join(arns)}]"
        )
    if sum(weights) != 100:
        message = f"Sum of routing configuration weights must equal 100. Received: {weights}"
        raise AwsError("ValidationException", message)


def choose(backend: StepFunctionBackend, arn: str) -> Chosen:
    """Return what is started by the ARN of a machine, of a version or of an alias."""
    plain, qualifier = unqualified(arn)
    machine = backend.describe_state_machine(plain)
    if not qualifier:
        return Chosen(machine, machine)
    alias_arn, version_arn = None, arn
    if not qualifier.isnumeric():
        routes = backend.describe_state_machine_alias(arn).routing_configuration
        if len(routes) != 1:
            raise NotImplementedByLocalAws("An alias of two versions does not run locally.")
        alias_arn, version_arn = arn, routes[0]["stateMachineVersionArn"]
    revision: StateMachine | StateMachineVersion | None = None
    with contextlib.suppress(ValueError):
        revision = machine.versions.get(int(unqualified(version_arn)[1]))
    if revision is None:
        raise AwsError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{version_arn}'")
    return Chosen(machine, revision, version_arn, alias_arn)
