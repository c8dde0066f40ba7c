"""Tables, secrets, topics, queues and subnet groups."""

from __future__ import annotations

import json

from scripts.local_aws.cloudformation.deployment import (
    Deployment,
    Properties,
    changed_properties,
    only,
    policy,
    refuse_unknown,
    without,
)
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text
from scripts.local_aws.cloudformation.resource_types import Attached, Made, ResourceType
from scripts.local_aws.moto_fixes import secret_deletions

_SET_AFTERWARDS = {
    "TimeToLiveSpecification": "update_time_to_live",
    "PointInTimeRecoverySpecification": "update_continuous_backups",
}
"""The calls that change one property of a table each, by property."""


class _Table(ResourceType):
    type = "AWS::DynamoDB::Table"
    in_place = (
        "DeletionProtectionEnabled PointInTimeRecoverySpecification SSESpecification Tags TimeToLiveSpecification"
    )
    replacing = "AttributeDefinitions KeySchema TableName"
    fixed = "BillingMode GlobalSecondaryIndexes LocalSecondaryIndexes ProvisionedThroughput TableClass"
    name = "TableName"
    deletion = "dynamodb", "delete_table", "TableName"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        given, encryption = without(properties, *_SET_AFTERWARDS), _table_encryption(properties) or None
        created = deployment.call("dynamodb", "create_table", given, TableName=name, SSESpecification=encryption)
        for key, operation in _SET_AFTERWARDS.items():
            if key in properties:
                deployment.call("dynamodb", operation, only(properties, key), TableName=name)
        return name, {"Arn": created["TableDescription"]["TableArn"]}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        changed = changed_properties(old, new)
        for key, operation in {"DeletionProtectionEnabled": "update_table", **_SET_AFTERWARDS}.items():
            if key in changed:
                deployment.call("dynamodb", operation, only(new, key), TableName=made.ref)
        if "SSESpecification" in changed:
            encryption = _table_encryption(new)
            deployment.call("dynamodb", "update_table", {}, TableName=made.ref, SSESpecification=encryption)
        if "Tags" in changed:
            deployment.call(
                "dynamodb", "tag_resource", {}, ResourceArn=made.attributes["Arn"], Tags=new.get("Tags", [])
            )


def _table_encryption(properties: Properties) -> Properties:
    """Return the table's encryption in the words of DynamoDB's API."""
    encryption = dict(properties.get("SSESpecification") or {})
    refuse_unknown(encryption, ("SSEEnabled", "SSEType", "KMSMasterKeyId"), "SSESpecification")
    if "SSEEnabled" in encryption:
        encryption["Enabled"] = encryption.pop("SSEEnabled")
    return encryption


class _Secret(ResourceType):
    type = "AWS::SecretsManager::Secret"
    in_place = "Description GenerateSecretString KmsKeyId SecretString"
    replacing = name = "Name"
    fixed = "Tags"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        given, value = only(properties, "Description", "KmsKeyId", "Tags"), _secret_value(deployment, properties)
        created = deployment.call("secretsmanager", "create_secret", given, Name=name, SecretString=value)
        return created["ARN"], {"Id": created["ARN"]}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        """Write a new value if the way to it has changed, also over what people have written into the secret since.

        So also one of SecretStringTemplate alone: aws-cloudformation/cloudformation-coverage-roadmap#1161 and #2210.
        The value until then stays as the version AWSPREVIOUS.
        """
        changed = changed_properties(old, new)
        given = only(new, *({"Description", "KmsKeyId"} & changed))
        if changed & {"GenerateSecretString", "SecretString"}:
            given["SecretString"] = _secret_value(deployment, new)
        if given:
            deployment.call("secretsmanager", "update_secret", given, SecretId=made.ref)

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        """Delete the secret, and free its name at once.

        A delete handler has to have its resource gone before it says so (CloudFormation CLI User Guide, "Resource type
        handler contract"): it waits for the moment that Secrets Manager takes, which here is skipped.
        """
        deployment.call("secretsmanager", "delete_secret", {}, SecretId=made.ref, ForceDeleteWithoutRecovery=True)
        secret_deletions.forget(deployment.account.account_id, deployment.region, made.ref)


def _secret_value(deployment: Deployment, properties: Properties) -> object:
    """Return the value that the properties give the secret, a new one at each call if they say how to generate it."""
    if "GenerateSecretString" in properties and "SecretString" in properties:
        raise TemplateError("Only one of GenerateSecretString and SecretString can be specified")
    value = properties.get("SecretString")
    if (rules := properties.get("GenerateSecretString")) is not None:
        parts = ("SecretStringTemplate", "GenerateStringKey")
        if (parts[0] in rules) != (parts[1] in rules):
            raise TemplateError("SecretStringTemplate and GenerateStringKey go together")
        value = deployment.call("secretsmanager", "get_random_password", without(rules, *parts))["RandomPassword"]
        if parts[0] in rules:
            value = json.dumps({**json.loads(rules[parts[0]]), text(rules[parts[1]]): value})
    return value


class _Topic(ResourceType):
    type = "AWS::SNS::Topic"
    in_place = "KmsMasterKeyId"
    replacing = name = "TopicName"
    fixed = "DisplayName Tags"
    deletion = "sns", "delete_topic", "TopicArn"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        given, attributes = only(properties, "Tags"), only(properties, "DisplayName", "KmsMasterKeyId")
        arn = deployment.call("sns", "create_topic", given, Name=name, Attributes=attributes)["TopicArn"]
        return arn, {"TopicArn": arn, "TopicName": name}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        given = {"AttributeName": "KmsMasterKeyId", "AttributeValue": text(new.get("KmsMasterKeyId", ""))}
        deployment.call("sns", "set_topic_attributes", given, TopicArn=made.ref)


class _Subscription(ResourceType):
    type = "AWS::SNS::Subscription"
    replacing = "Endpoint Protocol TopicArn"
    fixed = "DeliveryPolicy FilterPolicy FilterPolicyScope RawMessageDelivery RedrivePolicy"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        named = self.replacing.split()
        attributes, given = without(properties, *named), only(properties, *named)
        created = deployment.call("sns", "subscribe", given, Attributes=attributes, ReturnSubscriptionArn=True)
        return created["SubscriptionArn"], {"Arn": created["SubscriptionArn"]}

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        if made.ref.startswith("arn:"):
            deployment.call("sns", "unsubscribe", {}, SubscriptionArn=made.ref)


class _TopicPolicy(Attached):
    type = "AWS::SNS::TopicPolicy"
    in_place = "PolicyDocument Topics"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        given = {"AttributeName": "Policy", "AttributeValue": policy(properties["PolicyDocument"])}
        for topic in properties["Topics"]:
            deployment.call("sns", "set_topic_attributes", given, TopicArn=topic)
        return name, {"Id": name}


class _Queue(ResourceType):
    type = "AWS::SQS::Queue"
    replacing = "QueueName"
    fixed = (
        "DelaySeconds KmsDataKeyReusePeriodSeconds KmsMasterKeyId MaximumMessageSize MessageRetentionPeriod "
        "ReceiveMessageWaitTimeSeconds RedrivePolicy SqsManagedSseEnabled Tags VisibilityTimeout"
    )
    name, longest_name = "QueueName", 80
    deletion = "sqs", "delete_queue", "QueueUrl"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        given, attributes = only(properties, "Tags"), without(properties, "QueueName", "Tags")
        url = deployment.call("sqs", "create_queue", given, QueueName=name, Attributes=attributes)["QueueUrl"]
        return url, {"Arn": deployment.arn("sqs", name), "QueueName": name, "QueueUrl": url}


class _QueuePolicy(Attached):
    type = "AWS::SQS::QueuePolicy"
    in_place = "PolicyDocument Queues"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        attributes = {"Policy": policy(properties["PolicyDocument"])}
        for queue in properties["Queues"]:
            deployment.call("sqs", "set_queue_attributes", {}, QueueUrl=queue, Attributes=attributes)
        return name, {"Id": name}


class _SubnetGroup(ResourceType):
    """A subnet group. RDS keeps its name in lower case, and Ref returns it so."""

    type = "AWS::RDS::DBSubnetGroup"
    in_place = "DBSubnetGroupDescription SubnetIds Tags"
    replacing = name = "DBSubnetGroupName"
    deletion = "rds", "delete_db_subnet_group", "DBSubnetGroupName"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        deployment.call("rds", "create_db_subnet_group", properties, DBSubnetGroupName=name.lower())
        return name.lower(), {}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        changed = changed_properties(old, new)
        if changed - {"Tags"}:
            given = only(new, "DBSubnetGroupDescription", "SubnetIds")
            deployment.call("rds", "modify_db_subnet_group", given, DBSubnetGroupName=made.ref)
        if "Tags" in changed:
            arn = deployment.arn("rds", f"subgrp:{made.ref}")
            deployment.call("rds", "add_tags_to_resource", {}, ResourceName=arn, Tags=new.get("Tags", []))
