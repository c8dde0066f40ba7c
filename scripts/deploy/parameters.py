"""The parameter file held against the template, and against the account where there is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scripts.deploy.aws_cli import AwsCli, AwsError, Refused
from scripts.local_aws.template import LIST_TYPES, TemplateError, check_parameter

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


def problems_in_the_account(aws: AwsCli, given: dict[str, str]) -> list[str]:
    """The VPC and its subnets exist and belong together, and the subnets lie in two zones."""
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
    zones = {each["AvailabilityZone"] for each in described}
    if len(zones) < 2:
        found.append(f"SubnetIds are all in {', '.join(zones)}. Aurora needs subnets in two zones at least.")
    return found
