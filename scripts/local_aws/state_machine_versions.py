"""Versions and aliases of state machines: which definition an execution runs that is started through one.

A revision is a machine's definition and settings as they are now; a version is a revision that stays. moto keeps both
and knows no way to publish one after its machine was made.
See https://docs.aws.amazon.com/step-functions/latest/dg/concepts-cd-aliasing-versioning.html.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass

from moto.stepfunctions.models import StateMachine, StateMachineVersion, StepFunctionBackend

from scripts.local_aws.errors import AwsError, NotImplementedByLocalAws

INITIAL = "INITIAL"
"""The revision of a machine that was never updated."""


@dataclass(frozen=True)
class Chosen:
    """What an execution is started from."""

    machine: StateMachine
    revision: StateMachine | StateMachineVersion
    version_arn: str | None = None
    alias_arn: str | None = None


def revision_id(machine: StateMachine) -> str:
    return str(getattr(machine, "revision_id", INITIAL))


def revised(machine: StateMachine) -> None:
    """The machine was updated: this is another revision."""
    machine.revision_id = str(uuid.uuid4())  # type: ignore[attr-defined]  # ours, on moto's object


def publish(backend: StepFunctionBackend, arn: str, revision: str | None, description: str | None) -> str:
    """The version's ARN; the latest one if nothing changed since it was published."""
    machine = backend.describe_state_machine(arn)
    if revision is not None and revision != revision_id(machine):
        message = f"The revision {revision} isn't the current one of {arn}, {revision_id(machine)}"
        raise AwsError("ConflictException", message)
    latest = machine.latest_version
    if latest is None or getattr(latest, "revision_id", None) != revision_id(machine):
        machine.publish(description)
        latest = machine.latest_version
        assert latest is not None
        latest.revision_id = revision_id(machine)  # type: ignore[attr-defined]  # ours, on moto's object
    return str(latest.arn)


def delete(backend: StepFunctionBackend, version_arn: str) -> None:
    """Refused while an alias routes to it. One that isn't there is deleted already."""
    arn, _, number = version_arn.rpartition(":")
    machine = backend.describe_state_machine(arn)
    for alias in machine.aliases.values():
        if any(route["stateMachineVersionArn"] == version_arn for route in alias.routing_configuration):
            raise AwsError(
                "ConflictException", f"Version to be deleted must not be referenced by an alias: {alias.arn}"
            )
    machine.versions.pop(int(number), None)


def choose(backend: StepFunctionBackend, arn: str) -> Chosen:
    """By the ARN of a machine, of a version or of an alias."""
    plain, _, qualifier = arn.rpartition(":") if arn.count(":") > 6 else (arn, "", "")
    machine = backend.describe_state_machine(plain)
    if not qualifier:
        return Chosen(machine, machine)
    alias_arn, version_arn = None, arn
    if not qualifier.isnumeric():
        routes = backend.describe_state_machine_alias(arn).routing_configuration
        if len(routes) != 1:
            raise NotImplementedByLocalAws("An alias of two versions doesn't run locally.")
        alias_arn, version_arn = arn, routes[0]["stateMachineVersionArn"]
    revision: StateMachine | StateMachineVersion | None = None
    with contextlib.suppress(ValueError):
        revision = machine.versions.get(int(version_arn.rpartition(":")[2]))
    if revision is None:
        raise AwsError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{version_arn}'")
    return Chosen(machine, revision, version_arn, alias_arn)
