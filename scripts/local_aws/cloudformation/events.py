"""EventBridge's rules, and EventBridge Scheduler's schedules and their groups."""

from __future__ import annotations

from scripts.local_aws.cloudformation.deployment import Deployment, Properties, only, tags, without
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text
from scripts.local_aws.cloudformation.resource_types import Made, Overwritten, ResourceType


class Rule(Overwritten):
    type = "AWS::Events::Rule"
    in_place = "Description EventPattern RoleArn ScheduleExpression State Targets"
    replacing = "EventBusName Name"
    fixed = "Tags"
    name, longest_name, shares_name = "Name", 64, True  # a bus has names of its own

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        given = without(properties, "Name", "Tags", "Targets")
        created = deployment.call("events", "put_rule", given, Name=name, Tags=tags(properties))
        if properties.get("Targets"):
            bus = properties.get("EventBusName")
            put = deployment.call("events", "put_targets", only(properties, "Targets"), Rule=name, EventBusName=bus)
            if put["FailedEntryCount"]:
                raise TemplateError(f"targets refused: {put['FailedEntries']}")
        return name, {"Arn": created["RuleArn"]}

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        bus = properties.get("EventBusName")
        targets = [text(each["Id"]) for each in properties.get("Targets") or []]
        if targets:
            deployment.call("events", "remove_targets", {}, Rule=made.ref, Ids=targets, EventBusName=bus)
        deployment.call("events", "delete_rule", {}, Name=made.ref, EventBusName=bus)


class Schedule(ResourceType):
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


class ScheduleGroup(ResourceType):
    type = "AWS::Scheduler::ScheduleGroup"
    fixed = "Name Tags"
    name, longest_name = "Name", 64

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        created = deployment.call("scheduler", "create_schedule_group", {}, Name=name, Tags=tags(properties))
        return name, {"Arn": created["ScheduleGroupArn"]}
