"""Types of resources, as the embedded CloudFormation knows them: properties, creation, change and deletion.

Each type is a class, in the module of its service's kind (functions, state_machines, identity, data, ...); the class
registers itself and is known by its type alone. A property that stands in none of a type's lists fails the deployment
by name, and so does a change of one that no update here makes. The lists are those of the type's page in
CloudFormation's template reference ("Update requires"), as far as a template of ours needs them.
"""

from __future__ import annotations

import abc
from typing import Any, ClassVar

from scripts.local_aws.cloudformation.deployment import Deployment, Properties
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError

Made = tuple[str, dict[str, Any]]
"""What Ref gives, and what GetAtt gives by attribute."""

TYPES: dict[str, ResourceType] = {}


class ResourceType(abc.ABC):
    """One type of resource. Lists of properties are texts with blanks between the names."""

    type: ClassVar[str]
    in_place: ClassVar[str] = ""
    """The properties that an update changes."""
    replacing: ClassVar[str] = ""
    """The properties whose change creates another resource."""
    fixed: ClassVar[str] = ""
    """The properties that are honoured when the resource is created, and that no update here changes."""
    volatile: ClassVar[str] = ""
    """The attributes that have another value after any change."""
    name: ClassVar[str] = ""
    """The property by which a template names the resource."""
    longest_name: ClassVar[int] = 255
    shares_name: ClassVar[bool] = False
    """Whether the resource that replaces another may have its name while the other exists."""
    deletion: ClassVar[tuple[str, str, str] | None] = None
    """Service, operation, and the parameter that takes what Ref gives."""

    def __init_subclass__(cls) -> None:
        if "type" in cls.__dict__:
            TYPES[cls.type] = cls()

    @abc.abstractmethod
    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        """Create the resource, under the template's name for it or the one that CloudFormation generates."""

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> dict[str, Any] | None:
        """Change the resource in place. Return its attributes if they are others now."""
        raise TemplateError(f"The embedded AWS cannot update {self.type}")

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        """Delete the resource."""
        if self.deletion is None:
            raise TemplateError(f"The embedded AWS cannot delete {self.type}")
        service, operation, parameter = self.deletion
        deployment.call(service, operation, {}, **{parameter: made.ref})


class Overwritten(ResourceType):
    """A type that is changed by the calls that create it, because they overwrite."""

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> dict[str, Any]:
        """Create the resource once more."""
        return self.create(deployment, made.ref, new)[1]


class Attached(Overwritten):
    """A type that belongs to another resource, and goes with it."""

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        """Delete nothing: the resource goes when the one that it belongs to is deleted."""
