"""AWS RAM: what is taken out of a share, or was in one that is deleted, is in it no longer. moto knows only the rest.

Source: AWS RAM's API reference, DisassociateResourceShare and ResourceShareAssociation.
"""

from __future__ import annotations

import json
from typing import Any

from moto.ram import urls
from moto.ram.models import ResourceAccessManagerBackend, ram_backends
from moto.ram.responses import ResourceAccessManagerResponse

_associations = ResourceAccessManagerBackend.get_resource_share_associations


def install() -> None:
    """Replace moto's answers for this process, once and for all."""
    ResourceAccessManagerBackend.get_resource_share_associations = _living  # type: ignore[assignment,method-assign]
    ResourceAccessManagerResponse.disassociate_resource_share = _disassociate  # type: ignore[attr-defined]
    urls.url_paths["{0}/disassociateresourceshare$"] = ResourceAccessManagerResponse.dispatch


def shares_with(arn: str, account: str, region: str) -> list[str]:
    """Return the ARNs of the shares that a resource is in."""
    backend = ram_backends[account][region]
    found = _living(backend, "RESOURCE", None, [], arn, None)["resourceShareAssociations"]
    return [each["resourceShareArn"] for each in found]


def _living(backend: ResourceAccessManagerBackend, *asked: Any) -> dict[str, Any]:
    deleted = {each.arn for each in backend.resource_shares if each.status == "DELETED"}
    found = _associations(backend, *asked)["resourceShareAssociations"]
    return {"resourceShareAssociations": [each for each in found if each["resourceShareArn"] not in deleted]}


def _disassociate(response: ResourceAccessManagerResponse) -> str:
    asked = json.loads(response.body)
    for share in response.ram_backend.resource_shares:
        if share.arn == asked["resourceShareArn"]:
            share.resource_arns = [each for each in share.resource_arns if each not in asked.get("resourceArns", [])]
    return json.dumps({"resourceShareAssociations": []})
