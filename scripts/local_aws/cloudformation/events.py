"""EventBridge's rules, and EventBridge Scheduler's schedules."""

from __future__ import annotations

from scripts.local_aws.cloudformation.deployment import Deployment, Properties, only, without
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text
from scripts.local_aws.cloudformation.resource_types import Made, Overwritten, ResourceType


class _Rule(Overwritten):
    type = "AWS::Events::Rule"
    in_place = "Description EventPattern RoleArn ScheduleExpression State Targets"
    replacing = "Name"
    fixed = "Tags"
    name, longest_name, shares_name = "Name", 64, True  # a bus has names of its own

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        created = deployment.call("events", "put_rule", without(properties, "Targets"), Name=name)
        if properties.get("Targets"):
            put = deployment.call("events", "put_targets", only(properties, "Targets"), Rule=name)
            if put["FailedEntryCount"]:
                raise TemplateError(f"targets refused: {put['FailedEntries']}")
        return name, {"Arn": created["RuleArn"]}

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        if targets := [text(each["Id"]) for each in properties.get("Targets") or []]:
            deployment.call("events", "remove_targets", {}, Rule=made.ref, Ids=targets)
        deployment.call("events", "delete_rule", {}, Name=made.ref)


class _Schedule(ResourceType):
    type = "AWS::Scheduler::Schedule"
    in_place = (
        "Description EndDate FlexibleTimeWindow KmsKeyArn ScheduleExpression ScheduleExpressionTimezone StartDate "
        "State Target"
    )
    replacing = "GroupName Name"
    name, longest_name, shares_name = "Name", 64, True  # a group has names of its own
    deletion = "scheduler", "delete_schedule", "Name"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        created = deployment.call("scheduler", "create_schedule", properties, Name=name)
        return name, {"Arn": created["ScheduleArn"]}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        deployment.call("scheduler", "update_schedule", {"Name": made.ref, **new})
