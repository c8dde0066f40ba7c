"""A template deployed at once, without change sets: what tests and `run_local.sh` do in seconds."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.local_aws.cloudformation import resources
from scripts.local_aws.cloudformation.deployment import Deployment, Kept, named
from scripts.local_aws.cloudformation.template import Template, pseudo_parameters

if TYPE_CHECKING:
    from scripts.local_aws.cloudformation.accounts import Account


@dataclass(frozen=True)
class Stack:
    """A deployed template: its outputs, the physical id of each resource by logical id, and what the API says of it."""

    name: str
    region: str
    outputs: dict[str, str]
    resources: dict[str, str]
    source: str
    parameters: dict[str, str]
    kept: dict[str, Kept]


def deploy(
    account: Account, template: pathlib.Path, *, stack_name: str, region: str, parameters: dict[str, str]
) -> Stack:
    """Create everything in the template through the services' APIs. Raise TemplateError at the first thing wrong.

    What was created before that stays: nothing outlives the embedded AWS anyway.
    """
    loaded = Template.load(template, parameters, pseudo_parameters(account.account_id, region, stack_name))
    deployment, evaluator = Deployment(account, stack_name, region), loaded.evaluator
    kept: dict[str, Kept] = {}
    for logical_id in resources.creation_order(deployment, loaded):
        resource = loaded.resources[logical_id]
        with named(logical_id, resource["Type"]):
            properties = evaluator.value(resource.get("Properties") or {})
            created = resources.create(deployment, logical_id, resource["Type"], properties)
        evaluator.created[logical_id] = created
        on_delete, on_replace = (resource.get(key, "Delete") for key in ("DeletionPolicy", "UpdateReplacePolicy"))
        kept[logical_id] = Kept(created, properties, on_delete, on_replace)
    made = {logical_id: each.ref for logical_id, each in evaluator.created.items()}
    return Stack(stack_name, region, loaded.outputs(), made, loaded.source, parameters, kept)
