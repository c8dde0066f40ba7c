"""How each type of resource is deleted, by what its creator made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from scripts.local_aws.cloudformation.deployment import Deployment, Properties
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text
from scripts.local_aws.moto_fixes import secret_deletions

Delete = Callable[[Deployment, Created, Properties], Any]
_GONE = (
    "ResourceNotFoundException", "NoSuchEntity", "StateMachineDoesNotExist", "ResourceNotFound", "NotFound",
    "NotFoundException", "DBSubnetGroupNotFoundFault", "InvalidGroup.NotFound", "InvalidPermission.NotFound",
    "NoSuchBucket",
)  # fmt: skip


def delete(deployment: Deployment, made: Created, properties: Properties) -> None:
    """What is gone already is deleted."""
    if made.type not in _DELETIONS:
        raise TemplateError(f"The embedded AWS can't delete {made.type}")
    try:
        _DELETIONS[made.type](deployment, made, properties)
    except ClientError as error:
        if error.response["Error"]["Code"] not in _GONE:
            raise


def _by(service: str, operation: str, parameter: str) -> Delete:
    """By what Ref gives."""

    def call(deployment: Deployment, made: Created, properties: Properties) -> None:
        deployment.call(service, operation, {}, **{parameter: made.ref})

    return call


def _by_list(service: str, operation: str, parameter: str) -> Delete:
    def call(deployment: Deployment, made: Created, properties: Properties) -> None:
        deployment.call(service, operation, {}, **{parameter: [made.ref]})

    return call


def _nothing(deployment: Deployment, made: Created, properties: Properties) -> None:
    """It goes with what it belongs to."""


def _version(deployment: Deployment, made: Created, properties: Properties) -> None:
    name, _, version = made.ref.split(":function:")[1].partition(":")
    deployment.call("lambda", "delete_function", {}, FunctionName=name, Qualifier=version)


def _alias(deployment: Deployment, made: Created, properties: Properties) -> None:
    name, _, alias = made.ref.split(":function:")[1].partition(":")
    deployment.call("lambda", "delete_alias", {}, FunctionName=name, Name=alias)


def _layer(deployment: Deployment, made: Created, properties: Properties) -> None:
    name, _, version = made.ref.split(":layer:")[1].partition(":")
    deployment.call("lambda", "delete_layer_version", {}, LayerName=name, VersionNumber=version)


def _permission(deployment: Deployment, made: Created, properties: Properties) -> None:
    function = text(properties["FunctionName"])
    deployment.call("lambda", "remove_permission", {}, FunctionName=function, StatementId=made.ref)


def _role(deployment: Deployment, made: Created, properties: Properties) -> None:
    client = deployment.cloud.client("iam", deployment.region)
    for each in client.list_attached_role_policies(RoleName=made.ref)["AttachedPolicies"]:
        client.detach_role_policy(RoleName=made.ref, PolicyArn=each["PolicyArn"])
    for name in client.list_role_policies(RoleName=made.ref)["PolicyNames"]:
        client.delete_role_policy(RoleName=made.ref, PolicyName=name)
    client.delete_role(RoleName=made.ref)


def _managed_policy(deployment: Deployment, made: Created, properties: Properties) -> None:
    client = deployment.cloud.client("iam", deployment.region)
    for role in client.list_entities_for_policy(PolicyArn=made.ref)["PolicyRoles"]:
        client.detach_role_policy(RoleName=role["RoleName"], PolicyArn=made.ref)
    for version in client.list_policy_versions(PolicyArn=made.ref)["Versions"]:
        if not version["IsDefaultVersion"]:
            client.delete_policy_version(PolicyArn=made.ref, VersionId=version["VersionId"])
    client.delete_policy(PolicyArn=made.ref)


def _rule(deployment: Deployment, made: Created, properties: Properties) -> None:
    bus = properties.get("EventBusName")
    targets = [text(each["Id"]) for each in properties.get("Targets") or []]
    if targets:
        deployment.call("events", "remove_targets", {}, Rule=made.ref, Ids=targets, EventBusName=bus)
    deployment.call("events", "delete_rule", {}, Name=made.ref, EventBusName=bus)


def _subscription(deployment: Deployment, made: Created, properties: Properties) -> None:
    if made.ref.startswith("arn:"):
        deployment.call("sns", "unsubscribe", {}, SubscriptionArn=made.ref)


def _secret(deployment: Deployment, made: Created, properties: Properties) -> None:
    """A delete handler has to have its resource gone before it says so (CloudFormation CLI User Guide, "Resource type
    handler contract"): it waits for the moment that Secrets Manager takes, which here is left out.
    """
    deployment.call("secretsmanager", "delete_secret", {}, SecretId=made.ref, ForceDeleteWithoutRecovery=True)
    secret_deletions.forget(deployment.cloud.account_id, deployment.region, made.ref)


def _key(deployment: Deployment, made: Created, properties: Properties) -> None:
    days = properties.get("PendingWindowInDays", 30)
    deployment.call("kms", "schedule_key_deletion", {}, KeyId=made.ref, PendingWindowInDays=days)


def _group_rule(direction: str) -> Delete:
    def revoke(deployment: Deployment, made: Created, properties: Properties) -> None:
        peer = properties.get("DestinationSecurityGroupId") or properties.get("SourceSecurityGroupId")
        permission: Properties = {key: properties[key] for key in ("IpProtocol", "FromPort", "ToPort")}
        if peer:
            permission["UserIdGroupPairs"] = [{"GroupId": peer}]
        else:
            permission["IpRanges"] = [{"CidrIp": properties["CidrIp"]}]
        group = text(properties["GroupId"])
        operation = f"revoke_security_group_{direction}"
        deployment.call("ec2", operation, {}, GroupId=group, IpPermissions=[permission])

    return revoke


_DELETIONS: dict[str, Delete] = {
    "AWS::Lambda::Function": _by("lambda", "delete_function", "FunctionName"),
    "AWS::Lambda::Version": _version,
    "AWS::Lambda::Alias": _alias,
    "AWS::Lambda::LayerVersion": _layer,
    "AWS::Lambda::Permission": _permission,
    "AWS::Lambda::EventInvokeConfig": _nothing,
    "AWS::StepFunctions::StateMachine": _by("stepfunctions", "delete_state_machine", "stateMachineArn"),
    "AWS::StepFunctions::StateMachineVersion": _by(
        "stepfunctions", "delete_state_machine_version", "stateMachineVersionArn"
    ),
    "AWS::StepFunctions::StateMachineAlias": _by("stepfunctions", "delete_state_machine_alias", "stateMachineAliasArn"),
    "AWS::IAM::Role": _role,
    "AWS::IAM::ManagedPolicy": _managed_policy,
    "AWS::Logs::LogGroup": _by("logs", "delete_log_group", "logGroupName"),
    "AWS::Logs::MetricFilter": _nothing,
    "AWS::CloudWatch::Alarm": _by_list("cloudwatch", "delete_alarms", "AlarmNames"),
    "AWS::CloudWatch::CompositeAlarm": _by_list("cloudwatch", "delete_alarms", "AlarmNames"),
    "AWS::CloudWatch::Dashboard": _by_list("cloudwatch", "delete_dashboards", "DashboardNames"),
    "AWS::Events::Rule": _rule,
    "AWS::Scheduler::Schedule": _by("scheduler", "delete_schedule", "Name"),
    "AWS::SNS::Subscription": _subscription,
    "AWS::SNS::TopicPolicy": _nothing,
    "AWS::SNS::Topic": _by("sns", "delete_topic", "TopicArn"),
    "AWS::SQS::QueuePolicy": _nothing,
    "AWS::SQS::Queue": _by("sqs", "delete_queue", "QueueUrl"),
    "AWS::S3::BucketPolicy": _by("s3", "delete_bucket_policy", "Bucket"),
    "AWS::S3::Bucket": _by("s3", "delete_bucket", "Bucket"),
    "AWS::DynamoDB::Table": _by("dynamodb", "delete_table", "TableName"),
    "AWS::SecretsManager::Secret": _secret,
    "AWS::KMS::Key": _key,
    "AWS::RDS::DBSubnetGroup": _by("rds", "delete_db_subnet_group", "DBSubnetGroupName"),
    "AWS::EC2::SecurityGroup": _by("ec2", "delete_security_group", "GroupId"),
    "AWS::EC2::SecurityGroupEgress": _group_rule("egress"),
    "AWS::EC2::SecurityGroupIngress": _group_rule("ingress"),
    "AWS::EC2::VPCEndpoint": _by_list("ec2", "delete_vpc_endpoints", "VpcEndpointIds"),
}
