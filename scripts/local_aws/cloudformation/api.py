"""The CloudFormation API, as far as `aws cloudformation package/deploy`, `sam deploy` and `sam delete` use it.

The operations are those that samcli/lib (aws/aws-sam-cli) and awscli/customizations/cloudformation call. Parameters are
read and answers written by botocore's own model of the service. A parameter that is not known here is refused by name.
See https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/ for names and messages.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

from scripts.local_aws.cloudformation.accounts import Account
from scripts.local_aws.cloudformation.intrinsics import TemplateError
from scripts.local_aws.cloudformation.stacks import UPDATABLE, Change, ChangeSet, Given, StackRecord, Stacks
from scripts.local_aws.cloudformation.template import read
from scripts.local_aws.core.errors import AwsError, NotImplementedByLocalAws

Answer = dict[str, Any]

_MOST_BYTES = 51_200
NO_CHANGES = "The submitted information didn't contain changes. Submit different information to create a change set."
_BEFORE_CREATION = ("REVIEW_IN_PROGRESS",)


class CloudFormationApi:
    """One method for each operation that is served."""

    def __init__(self, stacks: Stacks, account: Account) -> None:
        self._stacks = stacks
        self._account = account
        self._operations: dict[str, tuple[Callable[[str, Answer], Answer], str]] = {
            "CreateChangeSet": (
                self._create_change_set,
                "StackName ChangeSetName ChangeSetType TemplateBody TemplateURL Parameters Capabilities Description "
                "Tags",
            ),
            "DescribeChangeSet": (self._describe_change_set, "StackName ChangeSetName IncludePropertyValues"),
            "ExecuteChangeSet": (self._execute_change_set, "StackName ChangeSetName ClientRequestToken"),
            "DescribeStacks": (self._describe_stacks, "StackName"),
            "DescribeStackEvents": (self._describe_stack_events, "StackName"),
            "ListStackResources": (self._list_stack_resources, "StackName"),
            "GetTemplate": (self._get_template, "StackName TemplateStage"),
            "GetTemplateSummary": (self._get_template_summary, "TemplateBody TemplateURL StackName"),
            "DeleteStack": (self._delete_stack, "StackName ClientRequestToken"),
        }
        self.operations = frozenset(self._operations)

    def answer(self, operation: str, region: str, parameters: Answer) -> Answer:
        """Return the operation's answer, in the words of the service's model. Raise AwsError as the service would."""
        method, known = self._operations[operation]
        given = {name: value for name, value in parameters.items() if value not in (None, [], {}, "", False)}
        if unknown := set(given) - set(known.split()):
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
            identifier = self._stack_id(region, given["StackName"])
            stack = StackRecord(given["StackName"], identifier, region, self._stacks.now())
        name = given["ChangeSetName"]
        if name in stack.change_sets:
            message = f"ChangeSet {name} cannot be created due to a mismatch with existing"
            raise AwsError("AlreadyExistsException", message)
        # Without the parameter, CloudFormation does not modify the stack's tags (API reference, UpdateStack).
        tags = {each["Key"]: each["Value"] for each in given["Tags"]} if "Tags" in given else stack.given.tags
        parameters = _parameters(stack, given.get("Parameters") or [])
        wanted = Given(source, parameters, given.get("Capabilities") or [], tags)
        template = self._stacks.template(stack, wanted)
        _check_capabilities(template.resources, wanted.capabilities)
        changes = self._stacks.plan(stack, template, tags)
        if stack not in self._stacks.records:
            self._stacks.records.append(stack)
            self._stacks.say(stack, "REVIEW_IN_PROGRESS", "User Initiated")
        identifier = self._stacks.arn(region, f"changeSet/{name}/{uuid.uuid4()}")
        change_set = stack.change_sets[name] = ChangeSet(name, identifier, kind, wanted, changes)
        if not changes and (source, tags) == (stack.given.source, stack.given.tags):
            change_set.status, change_set.reason, change_set.execution = "FAILED", NO_CHANGES, "UNAVAILABLE"
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
            "StatusReason": change_set.reason or None,
            "Changes": [{"Type": "Resource", "ResourceChange": _resource_change(each)} for each in change_set.changes],
            **_described_given(change_set.given),
        }

    def _execute_change_set(self, region: str, given: Answer) -> Answer:
        stack, change_set = self._change_set(region, given)
        if change_set.execution != "AVAILABLE":
            message = f"ChangeSet [{change_set.id}] cannot be executed in its current status of [{change_set.status}]"
            raise AwsError("InvalidChangeSetStatus", message)
        self._stacks.execute(stack, change_set)
        return {}

    def _describe_stacks(self, region: str, given: Answer) -> Answer:
        if "StackName" in given:
            return {"Stacks": [_described(self._stack(region, given["StackName"]))]}
        found = [each for each in self._stacks.records if each.region == region and each.status != "DELETE_COMPLETE"]
        return {"Stacks": [_described(stack) for stack in found]}

    def _describe_stack_events(self, region: str, given: Answer) -> Answer:
        return {"StackEvents": self._stack(region, given["StackName"]).events[::-1]}

    def _list_stack_resources(self, region: str, given: Answer) -> Answer:
        stack = self._stack(region, given["StackName"])
        summaries = [
            {
                "LogicalResourceId": name,
                "PhysicalResourceId": kept.made.ref,
                "ResourceType": kept.made.type,
                "ResourceStatus": stack.statuses[name][0],
                "LastUpdatedTimestamp": stack.statuses[name][1],
            }
            for name, kept in stack.resources.items()
        ]
        return {"StackResourceSummaries": summaries}

    def _get_template(self, region: str, given: Answer) -> Answer:
        if given.get("TemplateStage", "Original") != "Original":
            raise NotImplementedByLocalAws("The processed template is not kept locally.")
        source = self._stack(region, given["StackName"]).given.source
        return {"TemplateBody": source, "StagesAvailable": ["Original"]}

    def _get_template_summary(self, region: str, given: Answer) -> Answer:
        named = "StackName" in given
        source = self._stack(region, given["StackName"]).given.source if named else self._source(region, given)
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
        return {"Parameters": parameters, "Description": document.get("Description"), "DeclaredTransforms": declared}

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
        client = self._account.client("s3", region)
        try:
            content: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except client.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
            raise AwsError("ValidationError", f"S3 error: {code} {given['TemplateURL']}") from None
        return content.decode()

    def _found(self, region: str, name: str) -> StackRecord | None:
        """Return a stack by its name, which a deleted one has lost, or by its id."""
        for stack in reversed(self._stacks.records):
            names = (stack.id,) if stack.status == "DELETE_COMPLETE" else (stack.id, stack.name)
            if stack.region == region and name in names:
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


def _parameters(stack: StackRecord, given: list[Answer]) -> dict[str, str]:
    """Return the values of the parameters. One that is new to the stack has no previous value, and stays without."""
    values = {}
    for each in given:
        name = each["ParameterKey"]
        if not each.get("UsePreviousValue"):
            values[name] = each.get("ParameterValue", "")
        elif name in stack.given.parameters:
            values[name] = stack.given.parameters[name]
    return values


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
    return {
        "Action": change.action,
        "LogicalResourceId": change.logical_id,
        "PhysicalResourceId": change.physical_id or None,
        "Replacement": change.replacement or None,
        "PolicyAction": change.policy or None,
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


def _described(stack: StackRecord) -> Answer:
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "CreationTime": stack.created,
        "LastUpdatedTime": stack.updated,
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason or None,
        "DisableRollback": False,
        "NotificationARNs": [],
        "Outputs": stack.outputs,
        "EnableTerminationProtection": False,
        **_described_given(stack.given),
    }


def _described_given(given: Given) -> Answer:
    return {
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in given.parameters.items()],
        "Capabilities": given.capabilities,
        "Tags": [{"Key": key, "Value": value} for key, value in given.tags.items()],
    }
