"""Log groups, metric filters, alarms and dashboards. Alarms are kept, not evaluated."""

from __future__ import annotations

import json

from scripts.local_aws.cloudformation.deployment import Deployment, Properties, changed_properties, only
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text
from scripts.local_aws.cloudformation.resource_types import Attached, Made, Overwritten, ResourceType

_RETENTIONS = "1 3 5 7 14 30 60 90 120 150 180 365 400 545 731 1096 1827 2192 2557 2922 3288 3653".split()
_KEY_USE = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:GenerateDataKey", "kms:DescribeKey")


class _LogGroup(ResourceType):
    type = "AWS::Logs::LogGroup"
    in_place = "KmsKeyId RetentionInDays Tags"
    replacing = "LogGroupName"
    fixed = "LogGroupClass"
    name = "LogGroupName"
    deletion = "logs", "delete_log_group", "logGroupName"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        if text(properties.get("RetentionInDays", _RETENTIONS[0])) not in _RETENTIONS:
            raise TemplateError(f"property RetentionInDays must be one of {', '.join(_RETENTIONS)}")
        if key := properties.get("KmsKeyId"):
            _check_key(deployment, text(key), name)
        given = only(properties, "KmsKeyId", "LogGroupClass", "Tags")
        deployment.call("logs", "create_log_group", given, logGroupName=name)
        if "RetentionInDays" in properties:
            deployment.call("logs", "put_retention_policy", only(properties, "RetentionInDays"), logGroupName=name)
        return name, {"Arn": deployment.arn("logs", f"log-group:{name}:*")}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        if "RetentionInDays" in new:
            deployment.call("logs", "put_retention_policy", only(new, "RetentionInDays"), logGroupName=made.ref)
        else:
            deployment.call("logs", "delete_retention_policy", {}, logGroupName=made.ref)
        if "KmsKeyId" in changed_properties(old, new):
            _check_key(deployment, text(new["KmsKeyId"]), made.ref)
            deployment.call("logs", "associate_kms_key", only(new, "KmsKeyId"), logGroupName=made.ref)
        if "Tags" in changed_properties(old, new):
            arn = made.attributes["Arn"].removesuffix(":*")
            deployment.call("logs", "tag_resource", {}, resourceArn=arn, tags=new.get("Tags", []))


def _check_key(deployment: Deployment, key: str, log_group: str) -> None:
    """Refuse a key whose policy does not admit CloudWatch Logs for this group."""
    service, group = f"logs.{deployment.region}.amazonaws.com", deployment.arn("logs", f"log-group:{log_group}")
    may = deployment.account.permissions.service_may
    if not all(may(service, action, key, source_arn=group) for action in _KEY_USE):
        raise TemplateError(f"The specified KMS key does not exist or is not allowed to be used with {group}")


class _MetricFilter(Attached):
    type = "AWS::Logs::MetricFilter"
    in_place = "FilterPattern MetricTransformations"
    replacing = "FilterName LogGroupName"
    name, shares_name = "FilterName", True  # a log group has names of its own

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        deployment.call("logs", "put_metric_filter", properties, filterName=name)
        return name, {}


class _Alarm(Overwritten):
    type = "AWS::CloudWatch::Alarm"
    in_place = (
        "ActionsEnabled AlarmActions AlarmDescription ComparisonOperator DatapointsToAlarm Dimensions "
        "EvaluationPeriods ExtendedStatistic InsufficientDataActions MetricName Metrics Namespace OKActions Period "
        "Statistic Threshold TreatMissingData Unit"
    )
    replacing = name = "AlarmName"
    fixed = "Tags"
    operation = "put_metric_alarm"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        deployment.call("cloudwatch", self.operation, properties, AlarmName=name)
        return name, {"Arn": deployment.arn("cloudwatch", f"alarm:{name}")}

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        deployment.call("cloudwatch", "delete_alarms", {}, AlarmNames=[made.ref])


class _CompositeAlarm(_Alarm):
    type = "AWS::CloudWatch::CompositeAlarm"
    in_place = "ActionsEnabled AlarmActions AlarmDescription AlarmRule InsufficientDataActions OKActions"
    operation = "put_composite_alarm"


class _Dashboard(Overwritten):
    type = "AWS::CloudWatch::Dashboard"
    in_place = "DashboardBody"
    replacing = name = "DashboardName"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        body = properties["DashboardBody"]
        try:
            body if isinstance(body, dict) else json.loads(body)
        except ValueError as error:
            raise TemplateError(f"DashboardBody is not JSON: {error}") from None
        deployment.call("cloudwatch", "put_dashboard", {"DashboardBody": body}, DashboardName=name)
        return name, {}

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        deployment.call("cloudwatch", "delete_dashboards", {}, DashboardNames=[made.ref])
