"""Check the account for what a deployment would fail on late, half-way, or only in the first run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from scripts.deploy.place import Place

_DELIVERIES, _LONGEST_POLICY = "AWSLogDeliveryWrite20150319", 5_120
_MAY_NOT_LOOK = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")


def problems_in_the_account(place: Place, values: dict[str, str], *, new: bool) -> list[str]:
    """Return a sentence for each problem. What the caller may not read is left to the deployment."""
    checks = [_of_the_network, *([_without_service_linked_role, _without_room_for_logs] if new else [])]
    found: list[str] = []
    for check in checks:
        try:
            found += check(place, values)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _MAY_NOT_LOOK:
                found.append(f"{error.response['Error']['Message']} It must be in {place.region}.")
    return found


def _of_the_network(place: Place, values: dict[str, str]) -> Iterator[str]:
    """Check that the VPC and its subnets exist and belong together, and that the first two lie in two zones.

    RDS refuses a subnet group that does not cover two zones, and EC2's endpoints a second subnet of a zone.
    """
    ec2, vpc = place.client("ec2"), values["VpcId"]
    subnets = [each.strip() for each in values["SubnetIds"].split(",")]
    ec2.describe_vpcs(VpcIds=[vpc])
    described: list[dict[str, Any]] = ec2.describe_subnets(SubnetIds=subnets)["Subnets"]
    for each in described:
        if each["VpcId"] != vpc:
            yield f"{each['SubnetId']} is in {each['VpcId']}, not in {vpc}. All subnets must be of the VPC."
    zone_of = {each["SubnetId"]: each["AvailabilityZone"] for each in described}
    if len(set(zone_of.values())) < 2:
        yield f"SubnetIds are all in {', '.join(set(zone_of.values()))}. Aurora needs subnets in two zones at least."
    elif zone_of[subnets[0]] == zone_of[subnets[1]]:
        yield (
            f"The first two of SubnetIds are both in {zone_of[subnets[0]]}. Put two of different zones first: "
            "a function is attached to them, and an endpoint can have one subnet in a zone."
        )


def _without_service_linked_role(place: Place, values: dict[str, str]) -> Iterator[str]:
    """Check for the role that RDS works with: where an account lacks it, RDS's first call there fails."""
    iam = place.client("iam")
    try:
        iam.get_role(RoleName="AWSServiceRoleForRDS")
    except iam.exceptions.NoSuchEntityException:
        create = place.typed("iam", "create-service-linked-role", "--aws-service-name", "rds.amazonaws.com")
        yield f"The account lacks the role AWSServiceRoleForRDS, which RDS needs. Create it, once: {create}"


def _without_room_for_logs(place: Place, values: dict[str, str]) -> Iterator[str]:
    """Check for room in the one policy that names each log group, unless that begins with /aws/vendedlogs/.

    "Invalid Logging Configuration: The CloudWatch Logs Resource Policy size was exceeded": CreateStateMachine's answer
    (Step Functions developer guide, "Avoiding CloudWatch Logs resource policy size restrictions").
    """
    if values["StateMachineLogGroupName"]:
        return
    group = f"/aws/states/{values['NamePrefix']}"
    statement = len(f'"arn:aws:logs:{place.region}:123456789012:log-group:{group}:log-stream:*",')
    for each in place.client("logs").describe_resource_policies().get("resourcePolicies", []):
        if each.get("policyName") == _DELIVERIES and len(each["policyDocument"]) + statement > _LONGEST_POLICY:
            yield (
                f"CloudWatch Logs' resource policy {_DELIVERIES} has {len(each['policyDocument'])} characters of "
                f"{_LONGEST_POLICY}: there is no room for the state machine's log group. Give it a name that needs "
                f'none: StateMachineLogGroupName = "/aws/vendedlogs{group.removeprefix("/aws")}"'
            )
