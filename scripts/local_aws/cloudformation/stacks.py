"""CloudFormation stacks: created, changed and deleted by change sets, with their events.

A change set is computed before it is carried out; what an update cannot do here is refused then. Retention policies are
kept, and what fails is rolled back: a new stack by deletion, an updated one to the template that it had.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.local_aws.cloudformation import resources
from scripts.local_aws.cloudformation.accounts import Account
from scripts.local_aws.cloudformation.deploy import Stack
from scripts.local_aws.cloudformation.deployment import Deployment, Kept, Properties, changed_properties, named
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError
from scripts.local_aws.cloudformation.template import Template, pseudo_parameters, read

_UNKNOWN = "{{known after apply}}"
_STACK = "AWS::CloudFormation::Stack"
# Attributes that are lists: an endpoint's are pairs of a hosted zone and a name.
_LISTS = ("DnsEntries",)
UPDATABLE = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")


class _Expected(dict[str, Any]):
    """The attributes of a resource that is still to be created or changed: those not known have some value."""

    def __missing__(self, name: str) -> Any:
        return [f"{_UNKNOWN}:{_UNKNOWN}"] if name in _LISTS else _UNKNOWN

    def __contains__(self, name: object) -> bool:
        return True


Replaced = list[tuple[str, Kept]]
"""By logical id, what another resource has taken the place of."""


@dataclass(frozen=True)
class Change:
    """What a change set says of one resource. `replacement` is True, False or Conditional, or empty."""

    action: str
    logical_id: str
    type: str
    physical_id: str = ""
    replacement: str = ""
    properties: tuple[str, ...] = ()
    policy: str = ""


@dataclass(frozen=True)
class Given:
    """A template with what goes with it: what a stack was created from, or what a change set asks for."""

    source: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    capabilities: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class ChangeSet:
    """A change of a stack that is computed and waits to be executed. `kind` is CREATE or UPDATE."""

    name: str
    id: str
    kind: str
    given: Given
    changes: list[Change]
    status: str = "CREATE_COMPLETE"
    reason: str = ""
    execution: str = "AVAILABLE"


@dataclass
class StackRecord:
    """One stack, from its first change set on."""

    name: str
    id: str
    region: str
    created: datetime.datetime
    status: str = "REVIEW_IN_PROGRESS"
    reason: str = ""
    updated: datetime.datetime | None = None
    given: Given = field(default_factory=Given)
    resources: dict[str, Kept] = field(default_factory=dict)
    statuses: dict[str, tuple[str, datetime.datetime]] = field(default_factory=dict)
    outputs: list[dict[str, str | None]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    change_sets: dict[str, ChangeSet] = field(default_factory=dict)
    generation: int = 0


class Stacks:
    """Every region's stacks."""

    def __init__(
        self, account: Account, now: Callable[[], datetime.datetime], start: Callable[..., threading.Thread]
    ) -> None:
        self._account = account
        self.now = now
        self._start = start
        self._threads: list[threading.Thread] = []
        self.records: list[StackRecord] = []

    def close(self) -> None:
        """Wait for the change sets and deletions that are being carried out."""
        for thread in self._threads:
            thread.join()

    def arn(self, region: str, rest: str) -> str:
        """Return the ARN of a stack or a change set."""
        return f"arn:aws:cloudformation:{region}:{self._account.account_id}:{rest}"

    def add(self, deployed: Stack) -> None:
        """Add a stack that was deployed at once, so that the API knows and updates it, as one that a change set made.

        An update that fails goes back to the template that it was deployed from, whose paths are those of this machine.
        """
        stack_id = self.arn(deployed.region, f"stack/{deployed.name}/{uuid.uuid4()}")
        outputs: list[dict[str, str | None]] = [
            {"OutputKey": name, "OutputValue": value} for name, value in deployed.outputs.items()
        ]
        given = Given(deployed.source, deployed.parameters)
        record = StackRecord(deployed.name, stack_id, deployed.region, self.now(), given=given)
        record.resources, record.outputs, record.generation = dict(deployed.kept), outputs, 1
        for logical_id, kept in deployed.kept.items():
            self._note(record, logical_id, kept.made.type, kept.made.ref, "CREATE_COMPLETE")
        self.say(record, "CREATE_COMPLETE")
        self.records.append(record)

    def template(self, stack: StackRecord, given: Given) -> Template:
        """Return a template as the stack would be created of it, with the values of its parameters."""
        pseudo = pseudo_parameters(self._account.account_id, stack.region, stack.name, stack.id)
        return Template(read(given.source), given.parameters, pseudo)

    def _deployment(self, stack: StackRecord) -> Deployment:
        return Deployment(self._account, stack.name, stack.region)

    def plan(self, stack: StackRecord, template: Template, tags: Mapping[str, str]) -> list[Change]:
        """Return what the template would change. Refuse a change that cannot be made here."""
        order = resources.creation_order(self._deployment(stack), template)
        changes = []
        for logical_id in order:
            resource, kept = template.resources[logical_id], stack.resources.get(logical_id)
            kind = resource["Type"]
            with named(logical_id, kind):
                properties = resources.tagged(kind, template.evaluator.value(resource.get("Properties") or {}), tags)
                change = _change(logical_id, kind, kept, properties)
                template.evaluator.created[logical_id] = _expected(change, kind, kept)
            if change:
                changes.append(change)
        for logical_id, kept in stack.resources.items():
            if logical_id not in order:
                policy = "Delete" if kept.on_delete in ("Delete", "Snapshot") else "Retain"
                changes.append(Change("Remove", logical_id, kept.made.type, kept.made.ref, policy=policy))
        return changes

    def execute(self, stack: StackRecord, change_set: ChangeSet) -> None:
        """Carry out a change set, in a thread of its own."""
        self.say(stack, f"{change_set.kind}_IN_PROGRESS", "User Initiated")
        stack.change_sets.clear()
        if change_set.kind == "UPDATE":
            stack.updated = self.now()
        self._begin(self._create if change_set.kind == "CREATE" else self._update, stack, change_set.given)

    def delete(self, stack: StackRecord) -> None:
        """Delete a stack, in a thread of its own."""
        self.say(stack, "DELETE_IN_PROGRESS", "User Initiated")
        self._begin(self._delete, stack)

    def _begin(self, work: Callable[..., None], *given: Any) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(self._start(work, *given, name="cloudformation"))

    def _create(self, stack: StackRecord, given: Given) -> None:
        try:
            self._apply(stack, given, [])
        except TemplateError as error:
            self.say(stack, "ROLLBACK_IN_PROGRESS", f"The following resource(s) failed to create: {_failed(error)}.")
            done = self._take_away(stack, list(stack.resources), creating=True)
            self.say(stack, "ROLLBACK_COMPLETE" if done else "ROLLBACK_FAILED")
        else:
            self.say(stack, "CREATE_COMPLETE")

    def _update(self, stack: StackRecord, given: Given) -> None:
        before = stack.given
        replaced: Replaced = []
        try:
            self._apply(stack, given, replaced)
        except TemplateError as error:
            reason = f"The following resource(s) failed to update: {_failed(error)}."
            self.say(stack, "UPDATE_ROLLBACK_IN_PROGRESS", reason)
            surplus = [(name, stack.resources[name]) for name, _ in replaced]
            stack.resources.update(dict(replaced))
            try:
                self._apply(stack, before, surplus)
            except TemplateError as again:
                self.say(stack, "UPDATE_ROLLBACK_FAILED", str(again))
                return
            surplus = [(name, dataclasses.replace(new, on_replace="Delete")) for name, new in surplus]
            self._clean_up(stack, surplus, creating=True)
            self.say(stack, "UPDATE_ROLLBACK_COMPLETE")
        else:
            self.say(stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS")
            self._clean_up(stack, replaced, creating=False)
            self.say(stack, "UPDATE_COMPLETE")

    def _delete(self, stack: StackRecord) -> None:
        done = self._take_away(stack, list(stack.resources), creating=False)
        self.say(stack, "DELETE_COMPLETE" if done else "DELETE_FAILED", "" if done else "A resource failed to delete.")

    def _apply(self, stack: StackRecord, given: Given, replaced: Replaced) -> None:
        """Create and change everything. What is replaced is put on the list, also if it fails later."""
        template, deployment = self.template(stack, given), self._deployment(stack)
        stack.generation += 1
        order = resources.creation_order(deployment, template)
        for logical_id in order:
            resource = template.resources[logical_id]
            try:
                with named(logical_id, resource["Type"]):
                    evaluated = template.evaluator.value(resource.get("Properties") or {})
                    properties = resources.tagged(resource["Type"], evaluated, given.tags)
                    made, old = self._one(stack, deployment, logical_id, resource["Type"], properties)
            except TemplateError as error:
                verb = "UPDATE" if logical_id in stack.resources else "CREATE"
                self._note(stack, logical_id, resource["Type"], "", f"{verb}_FAILED", str(error))
                raise
            template.evaluator.created[logical_id] = made
            on_delete, on_replace = (resource.get(key, "Delete") for key in ("DeletionPolicy", "UpdateReplacePolicy"))
            stack.resources[logical_id] = Kept(made, properties, on_delete, on_replace)
            if old is not None:
                replaced.append((logical_id, old))
        gone = [name for name in stack.resources if name not in order]
        stack.resources = {name: stack.resources[name] for name in [*order, *gone]}
        stack.given, declared = given, read(given.source).get("Outputs") or {}
        stack.outputs = [
            {"OutputKey": name, "OutputValue": value, "Description": declared[name].get("Description")}
            for name, value in template.outputs().items()
        ]

    def _one(
        self, stack: StackRecord, deployment: Deployment, logical_id: str, kind: str, properties: Properties
    ) -> tuple[Created, Kept | None]:
        """Create or change one resource. Return it as it is then, and what it replaces."""
        kept = stack.resources.get(logical_id)
        if kept is None:
            self._note(stack, logical_id, kind, "", "CREATE_IN_PROGRESS")
            made = resources.create(deployment, logical_id, kind, properties)
            self._note(stack, logical_id, kind, made.ref, "CREATE_COMPLETE")
            return made, None
        changed, reason = changed_properties(kept.properties, properties), ""
        if not changed:
            return kept.made, None
        if replaces := resources.replaces(kind, changed):
            resources.refuse_same_name(kind, kept.properties, properties)
            reason = "Requested update requires the creation of a new physical resource; hence creating one."
            unique = uuid.uuid5(uuid.NAMESPACE_URL, f"{stack.id}/{logical_id}/{stack.generation}").hex[:12].upper()
            deployment.names[logical_id] = f"{stack.name[:20]}-{logical_id[:20]}-{unique}"
        self._note(stack, logical_id, kind, kept.made.ref, "UPDATE_IN_PROGRESS", reason)
        if replaces:
            made = resources.create(deployment, logical_id, kind, properties)
        else:
            made = resources.update(deployment, kept.made, kept.properties, properties)
        self._note(stack, logical_id, kind, made.ref, "UPDATE_COMPLETE")
        return made, kept if replaces else None

    def _clean_up(self, stack: StackRecord, replaced: Replaced, *, creating: bool) -> None:
        """Delete what an update has left over, unless it is to stay. A failure leaves it and is noted, as on AWS."""
        for logical_id, old in reversed(replaced):
            if old.on_replace == "Delete":
                self._remove(stack, logical_id, old)
        order = set(self.template(stack, stack.given).creation_order())
        self._take_away(stack, [name for name in stack.resources if name not in order], creating=creating)

    def _take_away(self, stack: StackRecord, names: list[str], *, creating: bool) -> bool:
        """Delete the stack's resources, last created first. Return whether all are gone that should be."""
        for logical_id in reversed(names):
            kept = stack.resources[logical_id]
            if kept.on_delete == "Retain" or (kept.on_delete == "RetainExceptOnCreate" and not creating):
                self._note(stack, logical_id, kept.made.type, kept.made.ref, "DELETE_SKIPPED")
            elif not self._remove(stack, logical_id, kept):
                return False
            del stack.resources[logical_id]
        return True

    def _remove(self, stack: StackRecord, logical_id: str, kept: Kept) -> bool:
        kind, physical = kept.made.type, kept.made.ref
        self._note(stack, logical_id, kind, physical, "DELETE_IN_PROGRESS")
        try:
            with named(logical_id, kind):
                resources.delete(self._deployment(stack), kept.made, kept.properties)
        except TemplateError as error:
            self._note(stack, logical_id, kind, physical, "DELETE_FAILED", str(error))
            return False
        self._note(stack, logical_id, kind, physical, "DELETE_COMPLETE")
        return True

    def say(self, stack: StackRecord, status: str, reason: str = "") -> None:
        """Note a status of the stack itself."""
        self._note(stack, stack.name, _STACK, stack.id, status, reason)
        stack.status, stack.reason = status, reason

    def _note(
        self, stack: StackRecord, logical_id: str, kind: str, physical: str, status: str, reason: str = ""
    ) -> None:
        if kind != _STACK:
            stack.statuses[logical_id] = status, self.now()
        stack.events.append(
            {
                "StackId": stack.id,
                "EventId": f"{logical_id}-{status}-{uuid.uuid4()}",
                "StackName": stack.name,
                "LogicalResourceId": logical_id,
                "PhysicalResourceId": physical,
                "ResourceType": kind,
                "Timestamp": self.now(),
                "ResourceStatus": status,
                "ResourceStatusReason": reason or None,
            }
        )


def _change(logical_id: str, kind: str, kept: Kept | None, properties: Properties) -> Change | None:
    if kept is None:
        return Change("Add", logical_id, kind)
    if kept.made.type != kind:
        raise TemplateError(f"Update of resource type is not permitted. It was {kept.made.type}.")
    changed = changed_properties(kept.properties, properties)
    if not changed:
        return None
    certain = {name for name in changed if _UNKNOWN not in json.dumps(properties.get(name), default=str)}
    replacement, policy = "False", ""
    if resources.replaces(kind, changed):
        replacement = "True" if certain and resources.replaces(kind, certain) else "Conditional"
        policy = "ReplaceAndRetain" if kept.on_replace == "Retain" else "ReplaceAndDelete"
    return Change("Modify", logical_id, kind, kept.made.ref, replacement, tuple(sorted(changed)), policy)


def _expected(change: Change | None, kind: str, kept: Kept | None) -> Created:
    if kept is None or (change and change.replacement != "False"):
        return Created(kind, _UNKNOWN, _Expected())
    return Created(kind, kept.made.ref, _Expected(resources.known_before(kept.made))) if change else kept.made


def _failed(error: TemplateError) -> str:
    return f"[{str(error).split(' ', 1)[0]}]"
