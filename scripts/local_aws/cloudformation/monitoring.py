"""Log groups, metric filters, alarms and dashboards. Alarms are kept, not evaluated."""

from __future__ import annotations

import json

from moto.cloudwatch.responses import CloudWatchResponse

from scripts.local_aws.cloudformation.deployment import Deployment, Properties, creates, only, tag_map, tags
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text

_RETENTIONS = "1 3 5 7 14 30 60 90 120 150 180 365 400 545 731 1096 1827 2192 2557 2922 3288 3653".split()
_KEY_USE = ("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:GenerateDataKey", "kms:DescribeKey")

# moto's PutMetricAlarm serves composite alarms too ("to re-use this method"), it only isn't reachable as such.
CloudWatchResponse.put_composite_alarm = CloudWatchResponse.put_metric_alarm  # type: ignore[attr-defined]  # added


@creates("AWS::Logs::LogGroup", "KmsKeyId", "LogGroupClass", "LogGroupName", "RetentionInDays", "Tags")
def _log_group(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    if text(properties.get("RetentionInDays", _RETENTIONS[0])) not in _RETENTIONS:
        raise TemplateError(f"property RetentionInDays must be one of {', '.join(_RETENTIONS)}")
    name = properties.get("LogGroupName") or deployment.name(logical_id)
    group = deployment.arn("logs", f"log-group:{name}")
    if key := properties.get("KmsKeyId"):
        check_log_key(deployment, text(key), text(name))
    given = only(properties, "KmsKeyId", "LogGroupClass")
    deployment.call("logs", "create_log_group", given, logGroupName=name, tags=tag_map(properties) or None)
    if "RetentionInDays" in properties:
        deployment.call("logs", "put_retention_policy", only(properties, "RetentionInDays"), logGroupName=name)
    return Created("AWS::Logs::LogGroup", name, {"Arn": f"{group}:*"})


def check_log_key(deployment: Deployment, key: str, log_group: str) -> None:
    """Refuse a key whose policy doesn't admit CloudWatch Logs for this group."""
    service, group = f"logs.{deployment.region}.amazonaws.com", deployment.arn("logs", f"log-group:{log_group}")
    may = deployment.cloud.permissions.service_may
    if not all(may(service, action, key, source_arn=group) for action in _KEY_USE):
        raise TemplateError(f"The specified KMS key does not exist or is not allowed to be used with {group}")


@creates("AWS::Logs::MetricFilter", "FilterName", "FilterPattern", "LogGroupName", "MetricTransformations")
def _metric_filter(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    name = properties.get("FilterName") or deployment.name(logical_id)
    deployment.call("logs", "put_metric_filter", properties, filterName=name)
    return Created("AWS::Logs::MetricFilter", name, {})


@creates(
    "AWS::CloudWatch::Alarm",
    "ActionsEnabled", "AlarmActions", "AlarmDescription", "AlarmName", "ComparisonOperator", "DatapointsToAlarm",
    "Dimensions", "EvaluationPeriods", "ExtendedStatistic", "InsufficientDataActions", "MetricName", "Metrics",
    "Namespace", "OKActions", "Period", "Statistic", "Tags", "Threshold", "TreatMissingData", "Unit",
)  # fmt: skip
def _alarm(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    name = properties.get("AlarmName") or deployment.name(logical_id)
    deployment.call("cloudwatch", "put_metric_alarm", {**properties, "AlarmName": name, "Tags": tags(properties)})
    return Created("AWS::CloudWatch::Alarm", name, {"Arn": deployment.arn("cloudwatch", f"alarm:{name}")})


@creates(
    "AWS::CloudWatch::CompositeAlarm",
    "ActionsEnabled", "AlarmActions", "AlarmDescription", "AlarmName", "AlarmRule", "InsufficientDataActions",
    "OKActions", "Tags",
)  # fmt: skip
def _composite_alarm(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    name = properties.get("AlarmName") or deployment.name(logical_id)
    deployment.call("cloudwatch", "put_composite_alarm", {**properties, "AlarmName": name, "Tags": tags(properties)})
    return Created("AWS::CloudWatch::CompositeAlarm", name, {"Arn": deployment.arn("cloudwatch", f"alarm:{name}")})


@creates("AWS::CloudWatch::Dashboard", "DashboardBody", "DashboardName")
def _dashboard(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    body = properties["DashboardBody"]
    try:
        body if isinstance(body, dict) else json.loads(body)
    except ValueError as error:
        raise TemplateError(f"DashboardBody is not JSON: {error}") from None
    name = properties.get("DashboardName") or deployment.name(logical_id)
    deployment.call("cloudwatch", "put_dashboard", {"DashboardBody": body}, DashboardName=name)
    return Created("AWS::CloudWatch::Dashboard", name, {})
