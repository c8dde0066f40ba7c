"""AWS RAM's shares: what was taken out, or was in one that is deleted, is in none."""

from __future__ import annotations

from typing import Any

from scripts.local_aws.server import LocalAws

ARN = "arn:aws:rds:us-east-1:123456789012:cluster:shared"


def shares(sharing: Any) -> list[str]:
    found = sharing.get_resource_share_associations(associationType="RESOURCE", resourceArn=ARN)
    return [each["resourceShareName"] for each in found["resourceShareAssociations"]]


def test_a_resource_is_in_a_share_until_it_is_taken_out_or_the_share_is_deleted(aws: LocalAws) -> None:
    sharing = aws.client("ram")
    first, second = (
        sharing.create_resource_share(name=name, resourceArns=[ARN])["resourceShare"]["resourceShareArn"]
        for name in ("first", "second")
    )
    assert shares(sharing) == ["first", "second"]
    sharing.disassociate_resource_share(resourceShareArn=first, resourceArns=[ARN])
    assert shares(sharing) == ["second"]
    sharing.delete_resource_share(resourceShareArn=second)
    assert shares(sharing) == []
