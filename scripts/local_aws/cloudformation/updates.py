"""What an update of a stack does to a resource: which properties change in place, and which need another resource.

Only what a template of ours can change is here. A property that is in neither list can't be changed here, and a type
that isn't listed can't be changed at all: both are refused by name when the change set is made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.local_aws.cloudformation import data, identity, monitoring, network, resources
from scripts.local_aws.cloudformation.deployment import Deployment, Properties, only, policy, tag_map, tags
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text

Apply = Callable[[Deployment, Created, Properties, Properties], Created]
"""(deployment, what exists, its properties so far, its properties from now on): what exists afterwards."""


@dataclass(frozen=True)
class Update:
    """How a type changes. With `again` the type's creator is called again, because its API calls overwrite."""

    in_place: frozenset[str] = frozenset()
    replacing: frozenset[str] = frozenset()
    apply: Apply | None = None
    again: bool = False
    volatile: frozenset[str] = frozenset()
    """Attributes that have another value after any change."""


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


def _function(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    if {"Architectures", "Code"} & changed_properties(old, new):
        code = resources.function_code(deployment, new["Code"], text(new["Handler"]))
        architectures = only(new, "Architectures")
        deployment.call("lambda", "update_function_code", architectures, FunctionName=made.ref, ZipFile=code)
    resources.check_variables((new.get("Environment") or {}).get("Variables") or {})
    changed = changed_properties(old, new) - {"Architectures", "Code"}
    if gone := changed - set(new):
        raise TemplateError(f"property {', '.join(sorted(gone))} can't be taken away by the embedded AWS")
    deployment.call("lambda", "update_function_configuration", only(new, *changed), FunctionName=made.ref)
    return made


def _function_alias(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    deployment.call("lambda", "update_alias", new)
    return made


def _machine(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    resources.check_machine_role(deployment, new)
    deployment.call(
        "stepfunctions",
        "update_state_machine",
        only(new, "RoleArn", "LoggingConfiguration", "TracingConfiguration"),
        stateMachineArn=made.ref,
        definition=resources.machine_definition(deployment, new),
    )
    return resources.machine_created(deployment, made.ref, made.attributes["Name"])


def _machine_alias(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    """An alias is one state machine's: its ARN has the machine's name, and its versions are that machine's.

    What AWS answers to another machine's version isn't verified; the stricter reading is taken.
    """
    routes = resources.machine_routes(new)
    for route in routes:
        if text(route["StateMachineVersionArn"]).rpartition(":")[0] != made.ref.rpartition(":")[0]:
            raise TemplateError(f"{route['StateMachineVersionArn']} is no version of the alias's state machine")
    given = only(new, "Description")
    deployment.call(
        "stepfunctions", "update_state_machine_alias", given, stateMachineAliasArn=made.ref, routingConfiguration=routes
    )
    return made


def _role(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    if "AssumeRolePolicyDocument" in changed_properties(old, new):
        trust = policy(new["AssumeRolePolicyDocument"])
        deployment.call("iam", "update_assume_role_policy", {}, RoleName=made.ref, PolicyDocument=trust)
    kept = {text(each["PolicyName"]) for each in new.get("Policies") or []}
    for each in old.get("Policies") or []:
        if text(each["PolicyName"]) not in kept:
            deployment.call("iam", "delete_role_policy", {}, RoleName=made.ref, PolicyName=text(each["PolicyName"]))
    attached = set(map(text, new.get("ManagedPolicyArns") or []))
    for arn in set(map(text, old.get("ManagedPolicyArns") or [])) - attached:
        deployment.call("iam", "detach_role_policy", {}, RoleName=made.ref, PolicyArn=arn)
    if "PermissionsBoundary" in changed_properties(old, new):
        if boundary := new.get("PermissionsBoundary"):
            given = {"PermissionsBoundary": boundary}
            deployment.call("iam", "put_role_permissions_boundary", given, RoleName=made.ref)
        else:
            deployment.call("iam", "delete_role_permissions_boundary", {}, RoleName=made.ref)
    identity.give(deployment, made.ref, new)
    return made


def _managed_policy(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    """IAM keeps five versions of a policy; CloudFormation deletes the oldest to make room."""
    client = deployment.cloud.client("iam", deployment.region)
    versions = client.list_policy_versions(PolicyArn=made.ref)["Versions"]
    if len(versions) == 5:
        oldest = min((each for each in versions if not each["IsDefaultVersion"]), key=lambda each: each["CreateDate"])
        client.delete_policy_version(PolicyArn=made.ref, VersionId=oldest["VersionId"])
    document = policy(new["PolicyDocument"])
    client.create_policy_version(PolicyArn=made.ref, PolicyDocument=document, SetAsDefault=True)
    return made


def _log_group(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    if "RetentionInDays" in new:
        deployment.call("logs", "put_retention_policy", only(new, "RetentionInDays"), logGroupName=made.ref)
    else:
        deployment.call("logs", "delete_retention_policy", {}, logGroupName=made.ref)
    if "KmsKeyId" in changed_properties(old, new):
        monitoring.check_log_key(deployment, text(new["KmsKeyId"]), made.ref)
        deployment.call("logs", "associate_kms_key", only(new, "KmsKeyId"), logGroupName=made.ref)
    if "Tags" in changed_properties(old, new):
        arn = made.attributes["Arn"].removesuffix(":*")
        deployment.call("logs", "tag_resource", {}, resourceArn=arn, tags=tag_map(new))
    return made


def _schedule(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    deployment.call("scheduler", "update_schedule", {"Name": made.ref, **new})
    return made


def _table(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    changed = changed_properties(old, new)
    for operation, key in (
        ("update_table", "DeletionProtectionEnabled"),
        ("update_time_to_live", "TimeToLiveSpecification"),
        ("update_continuous_backups", "PointInTimeRecoverySpecification"),
    ):
        if key in changed:
            deployment.call("dynamodb", operation, only(new, key), TableName=made.ref)
    if "SSESpecification" in changed:
        encryption = data.table_encryption(new)
        deployment.call("dynamodb", "update_table", {}, TableName=made.ref, SSESpecification=encryption)
    if "Tags" in changed:
        deployment.call("dynamodb", "tag_resource", {}, ResourceArn=made.attributes["Arn"], Tags=tags(new))
    return made


def _topic(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    value = text(new.get("KmsMasterKeyId", ""))
    given = {"AttributeName": "KmsMasterKeyId", "AttributeValue": value}
    deployment.call("sns", "set_topic_attributes", given, TopicArn=made.ref)
    return made


def _secret(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    """A change of how the value is made makes another, whatever people have written into the secret since.

    So also one of SecretStringTemplate alone: aws-cloudformation/cloudformation-coverage-roadmap#1161 and #2210. The
    value until then stays as the version AWSPREVIOUS.
    """
    changed = changed_properties(old, new)
    given = only(new, *({"Description", "KmsKeyId"} & changed))
    if changed & {"GenerateSecretString", "SecretString"}:
        given["SecretString"] = data.secret_value(deployment, new)
    if given:
        deployment.call("secretsmanager", "update_secret", given, SecretId=made.ref)
    return made


def _key(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    changed = changed_properties(old, new)
    if "KeyPolicy" in changed:
        document = policy(new["KeyPolicy"])
        deployment.call("kms", "put_key_policy", {}, KeyId=made.ref, PolicyName="default", Policy=document)
    if "Description" in changed:
        deployment.call("kms", "update_key_description", {}, KeyId=made.ref, Description=text(new["Description"]))
    if "Tags" in changed:
        labels = [{"TagKey": each["Key"], "TagValue": each["Value"]} for each in tags(new)]
        deployment.call("kms", "tag_resource", {}, KeyId=made.ref, Tags=labels)
    return made


def _subnet_group(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    if changed_properties(old, new) - {"Tags"}:
        given = only(new, "DBSubnetGroupDescription", "SubnetIds")
        deployment.call("rds", "modify_db_subnet_group", given, DBSubnetGroupName=made.ref)
    if "Tags" in changed_properties(old, new):
        arn = deployment.arn("rds", f"subgrp:{made.ref}")
        deployment.call("rds", "add_tags_to_resource", {}, ResourceName=arn, Tags=tags(new))
    return made


def _security_group(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    for direction in ("Ingress", "Egress"):
        before, after = (each.get(f"SecurityGroup{direction}") or [] for each in (old, new))
        for rule in before:
            if rule not in after:
                network.change_rule(deployment, "revoke", direction, made.ref, rule)
        for rule in after:
            if rule not in before:
                network.change_rule(deployment, "authorize", direction, made.ref, rule)
    _tag_in_ec2(deployment, made, new)
    return made


def _vpc_endpoint(deployment: Deployment, made: Created, old: Properties, new: Properties) -> Created:
    """What is listed is replaced: what is new is added, what is gone is taken away."""
    network.check_endpoint(deployment, new, made.ref)
    given: Properties = only(new, *({"PrivateDnsEnabled", "PolicyDocument"} & changed_properties(old, new)))
    for name in ("RouteTableIds", "SecurityGroupIds", "SubnetIds"):
        before, after = (list(map(text, each.get(name) or [])) for each in (old, new))
        added, removed = [each for each in after if each not in before], [each for each in before if each not in after]
        given |= ({f"Add{name}": added} if added else {}) | ({f"Remove{name}": removed} if removed else {})
    if given:
        deployment.call("ec2", "modify_vpc_endpoint", given, VpcEndpointId=made.ref)
    _tag_in_ec2(deployment, made, new)
    return made


def _tag_in_ec2(deployment: Deployment, made: Created, new: Properties) -> None:
    if labels := tags(new):
        deployment.call("ec2", "create_tags", {}, Resources=[made.ref], Tags=labels)


def changed_properties(old: Properties, new: Properties) -> set[str]:
    """Names of the properties that differ."""
    return {name for name in {*old, *new} if old.get(name) != new.get(name)}


UPDATES: dict[str, Update] = {
    "AWS::Lambda::Function": Update(
        _words(
            "Architectures Code DeadLetterConfig Description Environment Handler Layers MemorySize Role Runtime "
            "Timeout VpcConfig"
        ),
        _words("FunctionName PackageType"),
        _function,
    ),
    "AWS::Lambda::Alias": Update(_words("Description FunctionVersion"), _words("FunctionName Name"), _function_alias),
    "AWS::Lambda::Version": Update(replacing=_words("Description FunctionName")),
    "AWS::Lambda::Permission": Update(replacing=_words("Action FunctionName Principal SourceAccount SourceArn")),
    "AWS::Lambda::LayerVersion": Update(
        replacing=_words("CompatibleArchitectures CompatibleRuntimes Content Description LayerName LicenseInfo")
    ),
    "AWS::Lambda::EventInvokeConfig": Update(
        _words("DestinationConfig MaximumEventAgeInSeconds MaximumRetryAttempts"),
        _words("FunctionName Qualifier"),
        again=True,
    ),
    "AWS::StepFunctions::StateMachine": Update(
        _words(
            "Definition DefinitionS3Location DefinitionString DefinitionSubstitutions LoggingConfiguration RoleArn "
            "TracingConfiguration"
        ),
        _words("StateMachineName StateMachineType"),
        _machine,
        volatile=_words("StateMachineRevisionId"),
    ),
    "AWS::StepFunctions::StateMachineVersion": Update(
        replacing=_words("Description StateMachineArn StateMachineRevisionId")
    ),
    "AWS::StepFunctions::StateMachineAlias": Update(
        _words("DeploymentPreference Description RoutingConfiguration"), _words("Name"), _machine_alias
    ),
    "AWS::IAM::Role": Update(
        _words("AssumeRolePolicyDocument ManagedPolicyArns PermissionsBoundary Policies"),
        _words("Path RoleName"),
        _role,
    ),
    "AWS::IAM::ManagedPolicy": Update(
        _words("PolicyDocument"), _words("Description ManagedPolicyName Path"), _managed_policy
    ),
    "AWS::Logs::LogGroup": Update(_words("KmsKeyId RetentionInDays Tags"), _words("LogGroupName"), _log_group),
    "AWS::Logs::MetricFilter": Update(
        _words("FilterPattern MetricTransformations"), _words("FilterName LogGroupName"), again=True
    ),
    "AWS::CloudWatch::Alarm": Update(
        _words(
            "ActionsEnabled AlarmActions AlarmDescription ComparisonOperator DatapointsToAlarm Dimensions "
            "EvaluationPeriods ExtendedStatistic InsufficientDataActions MetricName Metrics Namespace OKActions Period "
            "Statistic Threshold TreatMissingData Unit"
        ),
        _words("AlarmName"),
        again=True,
    ),
    "AWS::CloudWatch::CompositeAlarm": Update(
        _words("ActionsEnabled AlarmActions AlarmDescription AlarmRule InsufficientDataActions OKActions"),
        _words("AlarmName"),
        again=True,
    ),
    "AWS::CloudWatch::Dashboard": Update(_words("DashboardBody"), _words("DashboardName"), again=True),
    "AWS::Events::Rule": Update(
        _words("Description EventPattern RoleArn ScheduleExpression State Targets"),
        _words("EventBusName Name"),
        again=True,
    ),
    "AWS::Scheduler::Schedule": Update(
        _words(
            "Description EndDate FlexibleTimeWindow KmsKeyArn ScheduleExpression ScheduleExpressionTimezone StartDate "
            "State Target"
        ),
        _words("GroupName Name"),
        _schedule,
    ),
    "AWS::SNS::Subscription": Update(replacing=_words("Endpoint Protocol TopicArn")),
    "AWS::SNS::TopicPolicy": Update(_words("PolicyDocument Topics"), again=True),
    "AWS::SNS::Topic": Update(_words("KmsMasterKeyId"), _words("TopicName"), _topic),
    "AWS::SQS::QueuePolicy": Update(_words("PolicyDocument Queues"), again=True),
    "AWS::SQS::Queue": Update(replacing=_words("QueueName")),
    "AWS::DynamoDB::Table": Update(
        _words(
            "DeletionProtectionEnabled PointInTimeRecoverySpecification SSESpecification Tags TimeToLiveSpecification"
        ),
        _words("AttributeDefinitions KeySchema TableName"),
        _table,
    ),
    "AWS::SecretsManager::Secret": Update(
        _words("Description GenerateSecretString KmsKeyId SecretString"), _words("Name"), _secret
    ),
    "AWS::KMS::Key": Update(_words("Description KeyPolicy Tags"), _words("KeySpec KeyUsage MultiRegion"), _key),
    "AWS::RDS::DBSubnetGroup": Update(
        _words("DBSubnetGroupDescription SubnetIds Tags"), _words("DBSubnetGroupName"), _subnet_group
    ),
    "AWS::EC2::SecurityGroup": Update(
        _words("SecurityGroupEgress SecurityGroupIngress Tags"),
        _words("GroupDescription GroupName VpcId"),
        _security_group,
    ),
    "AWS::EC2::SecurityGroupEgress": Update(
        replacing=_words("CidrIp CidrIpv6 DestinationSecurityGroupId FromPort GroupId IpProtocol ToPort")
    ),
    "AWS::EC2::SecurityGroupIngress": Update(
        replacing=_words("CidrIp CidrIpv6 FromPort GroupId IpProtocol SourceSecurityGroupId ToPort")
    ),
    "AWS::EC2::VPCEndpoint": Update(
        _words("PolicyDocument PrivateDnsEnabled RouteTableIds SecurityGroupIds SubnetIds Tags"),
        _words("ServiceName VpcEndpointType VpcId"),
        _vpc_endpoint,
    ),
}


_CUSTOM_NAMES = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::SNS::Topic": "TopicName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}


def refuse_same_name(resource_type: str, old: Properties, new: Properties) -> None:
    """Refuse to replace what keeps the name that the template gives it: the old one still has it.

    See "Name type" in CloudFormation's user guide, and the answer that people report (aws/aws-cdk#5814).
    """
    named = _CUSTOM_NAMES.get(resource_type)
    if named and new.get(named) and old.get(named) == new[named]:
        raise TemplateError(
            "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
            f"Rename {text(new[named])} and update the stack again."
        )


def rule_of(resource_type: str, changed: set[str]) -> Update:
    """How the type changes in these properties; refused if that isn't known here."""
    rule = UPDATES.get(resource_type)
    if rule is None:
        raise TemplateError(f"The embedded AWS can't update {resource_type}")
    replaced = bool(changed & rule.replacing)
    if unknown := set() if replaced else changed - rule.in_place:
        raise TemplateError(f"The embedded AWS can't update {', '.join(sorted(unknown))} of {resource_type}")
    return rule


def replaces(resource_type: str, changed: set[str]) -> bool:
    return bool(changed & rule_of(resource_type, changed).replacing)


def update(deployment: Deployment, logical_id: str, made: Created, old: Properties, new: Properties) -> Created:
    """Change what exists, in place."""
    rule = rule_of(made.type, changed_properties(old, new))
    if rule.again:
        deployment.names[logical_id] = made.ref
        return deployment.create_one(logical_id, made.type, new)
    assert rule.apply is not None, made.type
    return rule.apply(deployment, made, old, new)


def known_before(made: Created) -> dict[str, Any]:
    """The attributes that an update in place leaves as they are."""
    volatile = UPDATES[made.type].volatile
    return {name: value for name, value in made.attributes.items() if name not in volatile}
