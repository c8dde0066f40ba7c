"""The parameter file held against the template, and against the account where there is one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.deploy.aws_cli import AwsCli, AwsError, Refused
from scripts.local_aws.cloudformation.template import LIST_TYPES, TemplateError, check_parameter

_DELIVERIES, _LONGEST_POLICY = "AWSLogDeliveryWrite20150319", 5_120
_EXAMPLES = ("vpc-0123456789abcdef0", "subnet-0123456789abcdef0", "subnet-0fedcba9876543210")


def read_parameters(path: Path) -> dict[str, str]:
    """A list of ParameterKey and ParameterValue, as the AWS CLI takes it."""
    if not path.is_file():
        raise Refused(f"The parameter file {path} doesn't exist. Copy infrastructure/parameters.json and fill it in.")
    try:
        entries = json.loads(path.read_text())
        given = [(str(each["ParameterKey"]), str(each["ParameterValue"])) for each in entries]
    except (ValueError, TypeError, KeyError) as error:
        form = '[{"ParameterKey": "VpcId", "ParameterValue": "vpc-..."}, ...]'
        raise Refused(f"{path} is not of the form {form} ({error!r}). See infrastructure/parameters.json.") from None
    names = [name for name, _ in given]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Refused(f"{path} gives {', '.join(twice)} twice. Keep one.")
    return dict(given)


def problems(document: dict[str, Any], given: dict[str, str], *, new: bool) -> list[str]:
    """All that is wrong with the values. An update keeps the values that the file leaves out."""
    declared: dict[str, dict[str, Any]] = document["Parameters"]
    found = [
        f"{name} is no parameter of the template. Remove it, or mend its name." for name in set(given) - set(declared)
    ]
    for name, rules in declared.items():
        value = given.get(name)
        if value is None:
            if new and "Default" not in rules:
                found.append(f"{name} is missing: {rules.get('Description', '')}")
            continue
        items = [item.strip() for item in value.split(",")] if rules["Type"] in LIST_TYPES else [value]
        for item in items:
            try:
                check_parameter(name, rules["Type"], item, rules)
            except TemplateError as error:
                found.append(f"{error} ({item!r} was given)")
    return sorted(found)


def still_the_examples(given: dict[str, str]) -> list[str]:
    """What nobody but the reader knows, and hasn't been filled in."""
    return [
        f"{name} is still the example's ({value}). Put yours into the parameter file."
        for name, value in given.items()
        if any(example in value.split(",") for example in _EXAMPLES)
    ]


def problems_in_the_account(aws: AwsCli, given: dict[str, str], *, new: bool) -> list[str]:
    """Return what of the account the deployment, or the first run, would founder on."""
    found = _problems_of_the_network(aws, given)
    if new:
        found += [*_without_service_linked_role(aws), *_without_room_for_logs(aws, given)]
    return found


def _without_service_linked_role(aws: AwsCli) -> Iterator[str]:
    """RDS works with a role of its own. A fresh account lacks it, and RDS's first call there fails."""
    try:
        aws("iam", "get-role", "--role-name", "AWSServiceRoleForRDS")
    except AwsError as error:
        if error.code == "NoSuchEntity":
            create = aws.typed("iam", "create-service-linked-role", "--aws-service-name", "rds.amazonaws.com")
            yield f"The account lacks the role AWSServiceRoleForRDS, which RDS needs. Make it, once: {create}"


def _without_room_for_logs(aws: AwsCli, given: dict[str, str]) -> Iterator[str]:
    """Whoever delivers logs is written into one policy, unless the group's name begins with /aws/vendedlogs/.

    "Invalid Logging Configuration: The CloudWatch Logs Resource Policy size was exceeded": CreateStateMachine's answer
    (Step Functions developer guide, "Avoiding CloudWatch Logs resource policy size restrictions").
    """
    if given.get("StateMachineLogGroupName"):
        return
    try:
        policies = aws("logs", "describe-resource-policies").get("resourcePolicies", [])
    except AwsError:
        return  # whoever may not look is told by the deployment itself
    group = f"/aws/states/{given.get('NamePrefix', 'aurora-restore')}"
    statement = len(f'"arn:aws:logs:{aws.region}:123456789012:log-group:{group}:log-stream:*",')
    for each in policies:
        if each.get("policyName") == _DELIVERIES and len(each["policyDocument"]) + statement > _LONGEST_POLICY:
            yield (
                f"CloudWatch Logs' resource policy {_DELIVERIES} has {len(each['policyDocument'])} characters of "
                f"{_LONGEST_POLICY}: there is no room for the state machine's log group. Give it a name that needs "
                "none: "
                f"StateMachineLogGroupName=/aws/vendedlogs{group.removeprefix('/aws')}"
            )


def _problems_of_the_network(aws: AwsCli, given: dict[str, str]) -> list[str]:
    """The VPC and its subnets exist and belong together, and the first two subnets lie in two zones."""
    vpc, subnets = given.get("VpcId"), [each.strip() for each in given.get("SubnetIds", "").split(",") if each.strip()]
    if vpc is None or not subnets:
        return []
    try:
        aws("ec2", "describe-vpcs", "--vpc-ids", vpc)
        described = aws("ec2", "describe-subnets", "--subnet-ids", *subnets)["Subnets"]
    except AwsError as error:
        if error.code in ("UnauthorizedOperation", "AccessDenied"):
            return []  # whoever may not look is told by the deployment itself
        return [f"{error.message} It must be in {aws.region}: look with {aws.typed('ec2', 'describe-subnets')}"]
    found = [
        f"{each['SubnetId']} is in {each['VpcId']}, not in {vpc}. All subnets must be of the VPC."
        for each in described
        if each["VpcId"] != vpc
    ]
    zone_of = {each["SubnetId"]: each["AvailabilityZone"] for each in described}
    zones = set(zone_of.values())
    if len(zones) < 2:
        found.append(f"SubnetIds are all in {', '.join(zones)}. Aurora needs subnets in two zones at least.")
    elif len({zone_of[each] for each in subnets[:2]}) < 2:
        found.append(
            f"The first two of SubnetIds are both in {zone_of[subnets[0]]}. Put two of different zones first: "
            "a function lives in them, and an endpoint can have one subnet in a zone."
        )
    return found
