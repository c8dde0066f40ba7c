"""Tables, secrets, topics, queues and subnet groups."""

from __future__ import annotations

import json
from typing import Any

from scripts.local_aws.cloudformation.deployment import (
    Deployment,
    Properties,
    creates,
    only,
    policy,
    refuse_unknown,
    tag_map,
    tags,
)
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text


@creates(
    "AWS::DynamoDB::Table",
    "AttributeDefinitions", "BillingMode", "DeletionProtectionEnabled", "GlobalSecondaryIndexes", "KeySchema",
    "LocalSecondaryIndexes", "PointInTimeRecoverySpecification", "ProvisionedThroughput", "SSESpecification",
    "StreamSpecification", "TableClass", "TableName", "Tags", "TimeToLiveSpecification",
)  # fmt: skip
def _table(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    name = properties.get("TableName") or deployment.name(logical_id)
    apart = (
        "PointInTimeRecoverySpecification", "SSESpecification", "TableName", "Tags", "TimeToLiveSpecification",
    )  # fmt: skip
    created = deployment.call(
        "dynamodb",
        "create_table",
        {key: value for key, value in properties.items() if key not in apart},
        TableName=name,
        SSESpecification=table_encryption(properties) or None,
        Tags=tags(properties),
    )["TableDescription"]
    for operation, key in (
        ("update_time_to_live", "TimeToLiveSpecification"),
        ("update_continuous_backups", "PointInTimeRecoverySpecification"),
    ):
        if key in properties:
            deployment.call("dynamodb", operation, only(properties, key), TableName=name)
    attributes = {"Arn": created["TableArn"]}
    if "LatestStreamArn" in created:
        attributes["StreamArn"] = created["LatestStreamArn"]
    return Created("AWS::DynamoDB::Table", name, attributes)


def table_encryption(properties: Properties) -> Properties:
    """Return the table's encryption in the words of DynamoDB's API."""
    encryption = dict(properties.get("SSESpecification") or {})
    refuse_unknown(encryption, ("SSEEnabled", "SSEType", "KMSMasterKeyId"), "SSESpecification")
    if "SSEEnabled" in encryption:
        encryption["Enabled"] = encryption.pop("SSEEnabled")
    return encryption


@creates(
    "AWS::SecretsManager::Secret",
    "Description", "GenerateSecretString", "KmsKeyId", "Name", "SecretString", "Tags",
)  # fmt: skip
def _secret(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    created = deployment.call(
        "secretsmanager",
        "create_secret",
        only(properties, "Description", "KmsKeyId"),
        Name=properties.get("Name") or deployment.name(logical_id),
        SecretString=secret_value(deployment, properties),
        Tags=tags(properties),
    )
    return Created("AWS::SecretsManager::Secret", created["ARN"], {"Id": created["ARN"]})


def secret_value(deployment: Deployment, properties: Properties) -> Any:
    """Return the value that the properties give the secret, generated anew at each call if they say how."""
    if "GenerateSecretString" in properties and "SecretString" in properties:
        raise TemplateError("You can't specify both GenerateSecretString and SecretString")
    value = properties.get("SecretString")
    if (rules := properties.get("GenerateSecretString")) is not None:
        parts = ("SecretStringTemplate", "GenerateStringKey")
        if (parts[0] in rules) != (parts[1] in rules):
            raise TemplateError("SecretStringTemplate and GenerateStringKey go together")
        wanted = {key: item for key, item in rules.items() if key not in parts}
        value = deployment.call("secretsmanager", "get_random_password", wanted)["RandomPassword"]
        if parts[0] in rules:
            value = json.dumps({**json.loads(rules[parts[0]]), text(rules[parts[1]]): value})
    return value


@creates("AWS::SecretsManager::ResourcePolicy", "BlockPublicPolicy", "ResourcePolicy", "SecretId")
def _secret_policy(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    given = only(properties, "BlockPublicPolicy", "SecretId")
    document = policy(properties["ResourcePolicy"])
    arn = deployment.call("secretsmanager", "put_resource_policy", given, ResourcePolicy=document)["ARN"]
    return Created("AWS::SecretsManager::ResourcePolicy", arn, {"Id": arn})


@creates("AWS::SNS::Topic", "DisplayName", "KmsMasterKeyId", "Subscription", "Tags", "TopicName")
def _topic(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    name = properties.get("TopicName") or deployment.name(logical_id)
    attributes = only(properties, "DisplayName", "KmsMasterKeyId")
    created = deployment.call("sns", "create_topic", {}, Name=name, Attributes=attributes, Tags=tags(properties))
    for subscription in properties.get("Subscription") or []:
        deployment.call("sns", "subscribe", subscription, TopicArn=created["TopicArn"])
    return Created("AWS::SNS::Topic", created["TopicArn"], {"TopicArn": created["TopicArn"], "TopicName": name})


@creates(
    "AWS::SNS::Subscription",
    "DeliveryPolicy", "Endpoint", "FilterPolicy", "FilterPolicyScope", "Protocol", "RawMessageDelivery",
    "RedrivePolicy", "TopicArn",
)  # fmt: skip
def _subscription(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    named = ("Endpoint", "Protocol", "TopicArn")
    attributes = {key: value for key, value in properties.items() if key not in named}
    given = only(properties, *named)
    created = deployment.call("sns", "subscribe", given, Attributes=attributes, ReturnSubscriptionArn=True)
    return Created("AWS::SNS::Subscription", created["SubscriptionArn"], {"Arn": created["SubscriptionArn"]})


@creates("AWS::SNS::TopicPolicy", "PolicyDocument", "Topics")
def _topic_policy(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    document = policy(properties["PolicyDocument"])
    for topic in properties["Topics"]:
        given = {"TopicArn": topic, "AttributeName": "Policy", "AttributeValue": document}
        deployment.call("sns", "set_topic_attributes", given)
    return Created("AWS::SNS::TopicPolicy", deployment.name(logical_id), {"Id": deployment.name(logical_id)})


@creates(
    "AWS::SQS::Queue",
    "DelaySeconds", "KmsDataKeyReusePeriodSeconds", "KmsMasterKeyId", "MaximumMessageSize", "MessageRetentionPeriod",
    "QueueName", "ReceiveMessageWaitTimeSeconds", "RedrivePolicy", "SqsManagedSseEnabled", "Tags", "VisibilityTimeout",
)  # fmt: skip
def _queue(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    name = properties.get("QueueName") or deployment.name(logical_id, 80)
    attributes = {key: value for key, value in properties.items() if key not in ("QueueName", "Tags")}
    labels = tag_map(properties)
    url = deployment.call("sqs", "create_queue", {}, QueueName=name, Attributes=attributes, tags=labels)["QueueUrl"]
    return Created("AWS::SQS::Queue", url, {"Arn": deployment.arn("sqs", name), "QueueName": name, "QueueUrl": url})


@creates("AWS::SQS::QueuePolicy", "PolicyDocument", "Queues")
def _queue_policy(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    for queue in properties["Queues"]:
        attributes = {"Policy": policy(properties["PolicyDocument"])}
        deployment.call("sqs", "set_queue_attributes", {}, QueueUrl=queue, Attributes=attributes)
    return Created("AWS::SQS::QueuePolicy", deployment.name(logical_id), {"Id": deployment.name(logical_id)})


@creates("AWS::RDS::DBSubnetGroup", "DBSubnetGroupDescription", "DBSubnetGroupName", "SubnetIds", "Tags")
def _subnet_group(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    """RDS keeps names in lower case, and Ref gives them so."""
    name = text(properties.get("DBSubnetGroupName") or deployment.name(logical_id)).lower()
    given = only(properties, "DBSubnetGroupDescription", "SubnetIds")
    deployment.call("rds", "create_db_subnet_group", given, DBSubnetGroupName=name, Tags=tags(properties))
    return Created("AWS::RDS::DBSubnetGroup", name, {})
