"""The CloudFormation API, as far as `aws cloudformation package/deploy`, `sam deploy` and `sam delete` use it.

Parameters are read and answers written by botocore's own model of the service. A parameter that is not known here is
refused by name. See https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/ for names and messages.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from scripts.local_aws.cloudformation.deployment import Cloud
from scripts.local_aws.cloudformation.intrinsics import TemplateError
from scripts.local_aws.cloudformation.stacks import UPDATABLE, Change, ChangeSet, StackRecord, Stacks
from scripts.local_aws.cloudformation.template import read
from scripts.local_aws.core.errors import AwsError, NotImplementedByLocalAws

Answer = dict[str, Any]

_MOST_BYTES = 51_200
_NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."
_BEFORE_CREATION = ("REVIEW_IN_PROGRESS",)


class CloudFormationApi:
    """One method for each operation, by its name in lower case with underscores."""

    def __init__(self, stacks: Stacks, cloud: Cloud) -> None:
        self._stacks = stacks
        self._cloud = cloud
        self._operations: dict[str, tuple[Callable[[str, Answer], Answer], set[str]]] = {
            "CreateChangeSet": (
                self._create_change_set,
                _words(
                    "StackName ChangeSetName ChangeSetType TemplateBody TemplateURL Parameters Capabilities "
                    "Description Tags"
                ),
            ),
            "DescribeChangeSet": (self._describe_change_set, _words("StackName ChangeSetName IncludePropertyValues")),
            "ExecuteChangeSet": (self._execute_change_set, _words("StackName ChangeSetName ClientRequestToken")),
            "DeleteChangeSet": (self._delete_change_set, _words("StackName ChangeSetName")),
            "DescribeStacks": (self._describe_stacks, _words("StackName")),
            "DescribeStackEvents": (self._describe_stack_events, _words("StackName")),
            "DescribeStackResources": (self._describe_stack_resources, _words("StackName LogicalResourceId")),
            "ListStackResources": (self._list_stack_resources, _words("StackName")),
            "GetTemplate": (self._get_template, _words("StackName TemplateStage")),
            "GetTemplateSummary": (self._get_template_summary, _words("TemplateBody TemplateURL StackName")),
            "ValidateTemplate": (self._get_template_summary, _words("TemplateBody TemplateURL")),
            "DeleteStack": (self._delete_stack, _words("StackName ClientRequestToken")),
        }

    @property
    def operations(self) -> frozenset[str]:
        return frozenset(self._operations)

    def answer(self, operation: str, region: str, parameters: Answer) -> Answer:
        method, known = self._operations[operation]
        given = {name: value for name, value in parameters.items() if value not in (None, [], {}, "", False)}
        if unknown := set(given) - known:
            raise NotImplementedByLocalAws(f"{operation} with {', '.join(sorted(unknown))} is not known locally.")
        try:
            return method(region, given)
        except TemplateError as error:
            raise AwsError("ValidationError", str(error)) from None

    def _create_change_set(self, region: str, given: Answer) -> Answer:
        source, kind = self._source(region, given), given.get("ChangeSetType", "UPDATE")
        if kind not in ("CREATE", "UPDATE"):
            raise NotImplementedByLocalAws(f"A change set of type {kind} is not known locally.")
        stack = self._found(region, given["StackName"])
        if kind == "UPDATE" and (stack is None or stack.status in _BEFORE_CREATION):
            raise AwsError("ValidationError", f"Stack [{given['StackName']}] does not exist")
        if kind == "CREATE" and stack is not None and stack.status not in _BEFORE_CREATION:
            message = f"Stack [{stack.name}] already exists and cannot be created again with the changeSet"
            raise AwsError("ValidationError", f"{message} [{given['ChangeSetName']}].")
        if stack is not None and kind == "UPDATE" and stack.status not in UPDATABLE:
            raise AwsError("ValidationError", f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
        if stack is None:
            stack = StackRecord(
                given["StackName"], self._stack_id(region, given["StackName"]), region, self._stacks.now()
            )
        name = given["ChangeSetName"]
        if name in stack.change_sets:
            raise AwsError(
                "AlreadyExistsException", f"ChangeSet {name} cannot be created due to a mismatch with existing"
            )
        parameters = self._parameters(stack, given.get("Parameters") or [])
        template = self._stacks.template(stack, source, parameters)
        _check_capabilities(template.resources, given.get("Capabilities") or [])
        # "If you don't specify this parameter, CloudFormation doesn't modify the stack's tags" (UpdateStack).
        tags = {each["Key"]: each["Value"] for each in given["Tags"]} if "Tags" in given else dict(stack.tags)
        changes = self._stacks.plan(stack, template, tags)
        if stack not in self._stacks.records:
            self._stacks.records.append(stack)
            self._stacks.say(stack, "REVIEW_IN_PROGRESS", "User Initiated")
        identifier = self._stacks.arn(region, f"changeSet/{name}/{uuid.uuid4()}")
        capabilities = given.get("Capabilities") or []
        change_set = ChangeSet(name, identifier, kind, source, parameters, capabilities, changes, tags)
        if not changes and (source, tags) == (stack.source, stack.tags):
            change_set.status, change_set.reason, change_set.execution = "FAILED", _NO_CHANGES, "UNAVAILABLE"
        stack.change_sets[name] = change_set
        return {"Id": identifier, "StackId": stack.id}

    def _describe_change_set(self, region: str, given: Answer) -> Answer:
        stack, change_set = self._change_set(region, given)
        return {
            "ChangeSetName": change_set.name,
            "ChangeSetId": change_set.id,
            "StackId": stack.id,
            "StackName": stack.name,
            "Status": change_set.status,
            "ExecutionStatus": change_set.execution,
            "Parameters": _pairs(change_set.parameters),
            "Capabilities": change_set.capabilities,
            "Tags": _tags(change_set.tags),
            "Changes": [{"Type": "Resource", "ResourceChange": _resource_change(each)} for each in change_set.changes],
        } | ({"StatusReason": change_set.reason} if change_set.reason else {})

    def _execute_change_set(self, region: str, given: Answer) -> Answer:
        stack, change_set = self._change_set(region, given)
        if change_set.execution != "AVAILABLE":
            message = f"ChangeSet [{change_set.id}] cannot be executed in its current status of [{change_set.status}]"
            raise AwsError("InvalidChangeSetStatus", message)
        self._stacks.execute(stack, change_set)
        return {}

    def _delete_change_set(self, region: str, given: Answer) -> Answer:
        stack, change_set = self._change_set(region, given)
        del stack.change_sets[change_set.name]
        return {}

    def _describe_stacks(self, region: str, given: Answer) -> Answer:
        if "StackName" in given:
            return {"Stacks": [_described(self._stack(region, given["StackName"]))]}
        found = [each for each in self._stacks.records if each.region == region and each.status != "DELETE_COMPLETE"]
        return {"Stacks": [_described(stack) for stack in found]}

    def _describe_stack_events(self, region: str, given: Answer) -> Answer:
        return {"StackEvents": self._stack(region, given["StackName"]).events[::-1]}

    def _describe_stack_resources(self, region: str, given: Answer) -> Answer:
        stack = self._stack(region, given["StackName"])
        wanted = given.get("LogicalResourceId")
        found = [each for each in _resources(stack, "Timestamp") if wanted in (None, each["LogicalResourceId"])]
        return {"StackResources": [{**each, "StackId": stack.id, "StackName": stack.name} for each in found]}

    def _list_stack_resources(self, region: str, given: Answer) -> Answer:
        stack = self._stack(region, given["StackName"])
        return {"StackResourceSummaries": _resources(stack, "LastUpdatedTimestamp")}

    def _get_template(self, region: str, given: Answer) -> Answer:
        if given.get("TemplateStage", "Original") != "Original":
            raise NotImplementedByLocalAws("The processed template is not kept locally.")
        return {"TemplateBody": self._stack(region, given["StackName"]).source, "StagesAvailable": ["Original"]}

    def _get_template_summary(self, region: str, given: Answer) -> Answer:
        named = "StackName" in given
        source = self._stack(region, given["StackName"]).source if named else self._source(region, given)
        document = read(source)
        parameters = [
            {
                "ParameterKey": name,
                "DefaultValue": str(rules.get("Default", "")),
                "ParameterType": rules["Type"],
                "NoEcho": False,
                "Description": rules.get("Description", ""),
            }
            for name, rules in (document.get("Parameters") or {}).items()
        ]
        transform = document.get("Transform")
        declared = [transform] if isinstance(transform, str) else transform or []
        return {
            "Parameters": parameters,
            "Description": document.get("Description", ""),
            "DeclaredTransforms": declared,
        }

    def _delete_stack(self, region: str, given: Answer) -> Answer:
        """Delete a stack. One that does not exist is deleted already."""
        stack = self._found(region, given["StackName"])
        if stack is not None and stack.status != "DELETE_COMPLETE":
            if stack.status.endswith("_IN_PROGRESS") and stack.status not in _BEFORE_CREATION:
                raise AwsError("ValidationError", f"Stack [{stack.id}] is in {stack.status} and cannot be deleted now")
            self._stacks.delete(stack)
        return {}

    def _source(self, region: str, given: Answer) -> str:
        if ("TemplateBody" in given) == ("TemplateURL" in given):
            raise AwsError("ValidationError", "Either Template URL or Template Body must be specified.")
        if "TemplateBody" in given:
            body: str = given["TemplateBody"]
            if len(body.encode()) > _MOST_BYTES:
                message = f"Member must have length less than or equal to {_MOST_BYTES}"
                raise AwsError("ValidationError", f"1 validation error detected: Value at 'templateBody': {message}")
            return body
        bucket, key = _place(given["TemplateURL"])
        client = self._cloud.client("s3", region)
        try:
            content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except client.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            raise AwsError("ValidationError", f"S3 error: {code} {given['TemplateURL']}") from None
        return content.decode()

    def _parameters(self, stack: StackRecord, given: list[Answer]) -> dict[str, str]:
        values = {}
        for each in given:
            name = each["ParameterKey"]
            if each.get("UsePreviousValue"):
                if name in stack.parameters:
                    values[name] = stack.parameters[name]
                continue
            values[name] = each.get("ParameterValue", "")
        return values

    def _found(self, region: str, name: str) -> StackRecord | None:
        """Return a stack by its name, which a deleted one has lost, or by its id."""
        for stack in reversed(self._stacks.records):
            if stack.region == region and (
                stack.id == name or (stack.name == name and stack.status != "DELETE_COMPLETE")
            ):
                return stack
        return None

    def _stack(self, region: str, name: str) -> StackRecord:
        stack = self._found(region, name)
        if stack is None:
            raise AwsError("ValidationError", f"Stack with id {name} does not exist")
        return stack

    def _change_set(self, region: str, given: Answer) -> tuple[StackRecord, ChangeSet]:
        wanted = given["ChangeSetName"]
        for stack in reversed(self._stacks.records):
            for change_set in stack.change_sets.values():
                by_name = change_set.name == wanted and given.get("StackName") in (stack.name, stack.id)
                if stack.region == region and (change_set.id == wanted or by_name):
                    return stack, change_set
        raise AwsError("ChangeSetNotFound", f"ChangeSet [{wanted}] does not exist")

    def _stack_id(self, region: str, name: str) -> str:
        if not re.fullmatch("[a-zA-Z][-a-zA-Z0-9]{0,127}", name):
            message = "Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
            raise AwsError("ValidationError", f"1 validation error detected: Value '{name}' at 'stackName': {message}")
        return self._stacks.arn(region, f"stack/{name}/{uuid.uuid4()}")


def _words(names: str) -> set[str]:
    return set(names.split())


def _place(url: str) -> tuple[str, str]:
    """Return bucket and key of https://bucket.s3…/key or https://host/bucket/key."""
    parts = urlsplit(url)
    host, path = parts.hostname or "", unquote(parts.path.lstrip("/"))
    virtual = re.fullmatch(r"(.+)\.s3[.-][a-z0-9.-]*amazonaws\.com|(.+)\.s3\.amazonaws\.com", host)
    if virtual:
        return virtual[1] or virtual[2], path
    bucket, _, key = path.partition("/")
    if not key:
        raise AwsError("ValidationError", "TemplateURL must be a supported URL.")
    return bucket, key


def _check_capabilities(resources: dict[str, Answer], given: list[str]) -> None:
    identities = [each for each in resources.values() if each["Type"].startswith("AWS::IAM::")]
    has_names = any({"RoleName", "ManagedPolicyName"} & set(each.get("Properties") or {}) for each in identities)
    needed = "CAPABILITY_NAMED_IAM" if has_names else "CAPABILITY_IAM"
    enough = {"CAPABILITY_NAMED_IAM"} if has_names else {"CAPABILITY_NAMED_IAM", "CAPABILITY_IAM"}
    if identities and not enough & set(given):
        raise AwsError("InsufficientCapabilitiesException", f"Requires capabilities : [{needed}]")


def _resource_change(change: Change) -> Answer:
    answer: Answer = {
        "Action": change.action,
        "LogicalResourceId": change.logical_id,
        "ResourceType": change.type,
        "Scope": ["Properties"] if change.action == "Modify" else [],
        "Details": [
            {
                "Target": {"Attribute": "Properties", "Name": name},
                "Evaluation": "Static",
                "ChangeSource": "DirectModification",
            }
            for name in change.properties
        ],
    }
    optional = {
        "PhysicalResourceId": change.physical_id,
        "Replacement": change.replacement,
        "PolicyAction": change.policy,
    }
    return answer | {name: value for name, value in optional.items() if value}


def _described(stack: StackRecord) -> Answer:
    answer = {
        "StackId": stack.id,
        "StackName": stack.name,
        "Parameters": _pairs(stack.parameters),
        "CreationTime": stack.created,
        "StackStatus": stack.status,
        "DisableRollback": False,
        "NotificationARNs": [],
        "Capabilities": stack.capabilities,
        "Outputs": stack.outputs,
        "Tags": _tags(stack.tags),
        "EnableTerminationProtection": False,
    }
    optional = {"LastUpdatedTime": stack.updated, "StackStatusReason": stack.reason}
    return answer | {name: value for name, value in optional.items() if value}


def _pairs(parameters: dict[str, str]) -> list[Answer]:
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]


def _tags(tags: dict[str, str]) -> list[Answer]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _resources(stack: StackRecord, when: str) -> list[Answer]:
    return [
        {
            "LogicalResourceId": name,
            "PhysicalResourceId": kept.made.ref,
            "ResourceType": kept.made.type,
            "ResourceStatus": stack.statuses[name][0],
            when: stack.statuses[name][1],
        }
        for name, kept in stack.resources.items()
    ]
