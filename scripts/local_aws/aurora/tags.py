"""Tags of what is there: listed, added, removed. What RDS takes as a tag stands in rules.py."""

from __future__ import annotations

from typing import Any

from scripts.local_aws.aurora import rules
from scripts.local_aws.aurora.region import AuroraBackend, operation


@operation("ListTagsForResource", "ResourceName")
def list_tags_for_resource(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    return {"TagList": region.list_tags_for_resource(parameters["ResourceName"])}


@operation("AddTagsToResource", "ResourceName Tags")
def add_tags_to_resource(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    tags = region.tags_of(parameters["ResourceName"])
    added = rules.tags(parameters)
    if len(tags | added) > 50:
        rules.refuse_value("A resource can have at most 50 tags.")
    tags.update(added)
    return {}


@operation("RemoveTagsFromResource", "ResourceName TagKeys")
def remove_tags_from_resource(region: AuroraBackend, parameters: rules.Parameters) -> dict[str, Any]:
    tags = region.tags_of(parameters["ResourceName"])
    for key in parameters["TagKeys"]:
        tags.pop(key, None)
    return {}
