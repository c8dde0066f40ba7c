"""Deploy a SAM template: functions, layers, state machines and what starts them. Other types live next door.

Each creator says what Ref and GetAtt give, as CloudFormation does. What AWS refuses only when it creates the resource,
and moto doesn't, is refused here: roles that the service can't assume, reserved variables, code without the handler.
"""

from __future__ import annotations

import io
import json
import pathlib
import re
import tempfile
import zipfile
from typing import Any

from botocore.exceptions import ClientError
from moto.utilities.utils import get_partition

from scripts.local_aws.cloudformation import data, identity, monitoring, network, storage
from scripts.local_aws.cloudformation.deployment import (
    Cloud,
    Deployment,
    Properties,
    Stack,
    creates,
    only,
    refuse_unknown,
    tag_map,
    tags,
)
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text
from scripts.local_aws.cloudformation.template import LOCAL_BUCKET, Template
from scripts.local_aws.iam.gate import NotAuthorized
from scripts.local_aws.step_functions.versions import INITIAL
from scripts.packages import layer

__all__ = ["Stack", "TemplateError", "deploy"]

_SIBLINGS = (data, identity, monitoring, network, storage)  # they register themselves
_NEVER_SHIPPED = ("__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache")
_VARIABLES_LIMIT = 4096
_LOG_POLICY_LIMIT = 5120
_RESERVED_VARIABLES = {
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}  # fmt: skip
_LOG_DELIVERY_ACTIONS = (
    "CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery", "ListLogDeliveries",
    "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups",
)  # fmt: skip


def deploy(cloud: Cloud, template: pathlib.Path, *, stack_name: str, region: str, parameters: dict[str, str]) -> Stack:
    """Create everything in the template through the services' APIs. Raises TemplateError at the first thing wrong."""
    partition = get_partition(region)
    pseudo = {
        "AWS::AccountId": cloud.account_id,
        "AWS::Region": region,
        "AWS::Partition": partition,
        "AWS::URLSuffix": "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com",
        "AWS::StackName": stack_name,
        "AWS::StackId": f"arn:{partition}:cloudformation:{region}:{cloud.account_id}:stack/{stack_name}/local",
    }
    return Deployment(cloud, stack_name, region).create(Template.load(template, parameters, pseudo))


@creates(
    "AWS::Lambda::Function",
    "Architectures", "Code", "DeadLetterConfig", "Description", "Environment", "EphemeralStorage", "FunctionName",
    "Handler", "KmsKeyArn", "Layers", "LoggingConfig", "MemorySize", "PackageType", "ReservedConcurrentExecutions",
    "Role", "Runtime", "Tags", "Timeout", "TracingConfig", "VpcConfig",
)  # fmt: skip
def _function(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    name = properties.get("FunctionName") or deployment.name(logical_id, 64)
    for limited, most in (("Timeout", 900), ("MemorySize", 10_240)):
        if int(properties.get(limited, 0)) > most:
            raise TemplateError(f"property {limited} must be at most {most}, not {properties[limited]}")
    check_variables((properties.get("Environment") or {}).get("Variables") or {})
    passed = {
        key: value
        for key, value in properties.items()
        if key not in ("Code", "FunctionName", "KmsKeyArn", "ReservedConcurrentExecutions", "Tags")
    }
    created = deployment.call(
        "lambda",
        "create_function",
        passed,
        FunctionName=name,
        KMSKeyArn=properties.get("KmsKeyArn"),
        Code={"ZipFile": function_code(deployment, properties["Code"], text(properties["Handler"]))},
        Tags=tag_map(properties),
    )
    if "ReservedConcurrentExecutions" in properties:
        reserved = only(properties, "ReservedConcurrentExecutions")
        deployment.call("lambda", "put_function_concurrency", reserved, FunctionName=name)
    return Created("AWS::Lambda::Function", name, {"Arn": created["FunctionArn"]})


def check_variables(variables: dict[str, Any]) -> None:
    if reserved := sorted(_RESERVED_VARIABLES & set(variables)):
        raise TemplateError(f"Reserved keys used in this request: {', '.join(reserved)}")
    if len(json.dumps({name: text(value) for name, value in variables.items()})) > _VARIABLES_LIMIT:
        raise TemplateError("The environment variables you have provided exceeded the 4KB limit")


def function_code(deployment: Deployment, code: Properties, handler: str) -> bytes:
    """The function's zip file, uploaded or made in memory of its directory; refused without the handler's module."""
    refuse_unknown(code, ("S3Bucket", "S3Key", "S3ObjectVersion", "ZipFile"), "Code")
    uploaded = _uploaded(deployment, code, "Code")
    content = io.BytesIO(uploaded or b"")
    if uploaded is not None:
        with zipfile.ZipFile(content) as archive:
            _check_handler(handler, archive)
        return uploaded
    with zipfile.ZipFile(content, "w", zipfile.ZIP_STORED) as archive:
        if "ZipFile" in code:
            archive.writestr("index.py", code["ZipFile"])
        else:
            directory = _local_path(code, "Code")
            for path in sorted(directory.rglob("*")):
                if path.is_file() and not set(path.parts) & set(_NEVER_SHIPPED):
                    archive.write(path, path.relative_to(directory))
        _check_handler(handler, archive)
    return content.getvalue()


def _check_handler(handler: str, archive: zipfile.ZipFile) -> None:
    module = handler.rpartition(".")[0].replace(".", "/") + ".py"
    if not {module, f"{module}c"} & set(archive.namelist()):
        raise TemplateError(f"Handler {handler} needs {module}, which the code doesn't have")


def _uploaded(deployment: Deployment, location: Properties, where: str) -> bytes | None:
    """What lies in S3 there; None for code that is no object in a bucket."""
    bucket = location.get("S3Bucket") or location.get("Bucket")
    if bucket in (None, LOCAL_BUCKET):
        return None
    place = {"Bucket": text(bucket), "Key": text(location.get("S3Key") or location["Key"])}
    if version := location.get("S3ObjectVersion") or location.get("Version"):
        place["VersionId"] = text(version)
    try:
        content: bytes = deployment.cloud.client("s3", deployment.region).get_object(**place)["Body"].read()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        message = (
            f"Error occurred while GetObject. S3 Error Code: {code}. {where}: s3://{place['Bucket']}/{place['Key']}"
        )
        raise TemplateError(message) from None
    return content


def _local_path(location: Properties, where: str) -> pathlib.Path:
    bucket = location.get("S3Bucket") or location.get("Bucket")
    path = pathlib.Path(location.get("S3Key") or location["Key"])
    if bucket != LOCAL_BUCKET:
        raise TemplateError(f"{where} must be a local path: nothing is in the bucket {bucket}")
    if not path.exists():
        raise TemplateError(f"{where}: {path} doesn't exist")
    return path


@creates(
    "AWS::Lambda::LayerVersion",
    "CompatibleArchitectures", "CompatibleRuntimes", "Content", "Description", "LayerName", "LicenseInfo",
)  # fmt: skip
def _layer_version(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    """The layer's content stays in directories: zipping 40 MB of packages at every start would cost seconds.

    utils stands for the layer that the build makes of it: for this machine's Python, by the same code.
    """
    content = properties["Content"]
    refuse_unknown(content, ("S3Bucket", "S3Key", "S3ObjectVersion"), "Content")
    archive = _uploaded(deployment, content, "Content")
    nothing = io.BytesIO()
    zipfile.ZipFile(nothing, "w").close()
    if archive is not None:
        unpacked = pathlib.Path(tempfile.mkdtemp(prefix="layer-", dir=deployment.cloud.scratch))
        with zipfile.ZipFile(io.BytesIO(archive)) as zipped:
            zipped.extractall(unpacked)
        directories = [unpacked]
    else:
        path = _local_path(content, "Content")
        directories = _project_layer(deployment) if path.resolve() == layer.UTILS else [path]
    passed = {key: value for key, value in properties.items() if key not in ("Content", "LayerName")}
    version = deployment.call(
        "lambda",
        "publish_layer_version",
        passed,
        LayerName=properties.get("LayerName") or deployment.name(logical_id, 64),
        Content={"ZipFile": nothing.getvalue()},
    )
    arn = version["LayerVersionArn"]
    # It stays when the version is deleted: functions that were published with it keep it, as on AWS.
    deployment.cloud.layers[arn] = directories
    return Created("AWS::Lambda::LayerVersion", arn, {"LayerVersionArn": arn})


def _project_layer(deployment: Deployment) -> list[pathlib.Path]:
    """What the build would put into the layer, for this machine's Python.

    utils is copied, so that an edit of it during a run changes nothing that has been deployed.
    """
    utils = pathlib.Path(tempfile.mkdtemp(prefix="layer-", dir=deployment.cloud.scratch), "python")
    layer.utils_for_this_machine(utils)
    return [utils, layer.HOST_PACKAGES]


@creates("AWS::Lambda::Version", "Description", "FunctionName")
def _version(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    """AWS publishes only what has changed since the last version, and CloudFormation makes an error of it.

    A description is no change. moto takes every update for one, also one that leaves everything as it was.
    """
    client = deployment.cloud.client("lambda", deployment.region)
    function = text(properties["FunctionName"])
    latest, *published = client.list_versions_by_function(FunctionName=function)["Versions"]
    if published and _as_published(published[-1]) == _as_published(latest):
        message = f"A version for this Lambda function exists ( {published[-1]['Version']} ). "
        raise TemplateError(message + "Modify the function to create a new version.")
    version = deployment.call("lambda", "publish_version", properties)
    return Created("AWS::Lambda::Version", version["FunctionArn"], {"Version": version["Version"]})


def _as_published(configuration: dict[str, Any]) -> dict[str, Any]:
    """Return what of a function counts when a version is published."""
    apart = ("Description", "FunctionArn", "LastModified", "LastUpdateStatus", "RevisionId", "State", "Version")
    return {key: value for key, value in configuration.items() if key not in apart}


@creates("AWS::Lambda::Alias", "Description", "FunctionName", "FunctionVersion", "Name")
def _alias(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    alias = deployment.call("lambda", "create_alias", properties)
    return Created("AWS::Lambda::Alias", alias["AliasArn"], {"AliasArn": alias["AliasArn"]})


@creates("AWS::Lambda::Permission", "Action", "FunctionName", "Principal", "SourceAccount", "SourceArn")
def _permission(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    """A permission on an alias or a version is one for that alone."""
    statement = deployment.name(logical_id, 100)
    function, _, qualifier = text(properties["FunctionName"]).partition(":function:")[2].partition(":")
    of_alias = {"FunctionName": function, "Qualifier": qualifier} if qualifier else {}
    deployment.call("lambda", "add_permission", {**properties, **of_alias}, StatementId=statement)
    return Created("AWS::Lambda::Permission", statement, {"Id": statement})


@creates(
    "AWS::Lambda::EventInvokeConfig",
    "DestinationConfig", "FunctionName", "MaximumEventAgeInSeconds", "MaximumRetryAttempts", "Qualifier",
)  # fmt: skip
def _event_invoke_config(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    deployment.call("lambda", "put_function_event_invoke_config", properties)
    return Created("AWS::Lambda::EventInvokeConfig", deployment.name(logical_id), {})


@creates(
    "AWS::StepFunctions::StateMachine",
    "Definition", "DefinitionS3Location", "DefinitionString", "DefinitionSubstitutions", "LoggingConfiguration",
    "RoleArn", "StateMachineName", "StateMachineType", "Tags", "TracingConfiguration",
)  # fmt: skip
def _state_machine(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    check_machine_role(deployment, properties)
    name = properties.get("StateMachineName") or deployment.name(logical_id, 80)
    created = deployment.call(
        "stepfunctions",
        "create_state_machine",
        only(properties, "RoleArn", "LoggingConfiguration", "TracingConfiguration"),
        name=name,
        definition=machine_definition(deployment, properties),
        type=properties.get("StateMachineType"),
        tags=tags(properties),
    )
    arn = created["stateMachineArn"]
    return machine_created(deployment, arn, name)


def machine_created(deployment: Deployment, arn: str, name: str) -> Created:
    """The state machine as it is now; each update makes another revision."""
    described = deployment.call("stepfunctions", "describe_state_machine", {}, stateMachineArn=arn)
    attributes = {"Arn": arn, "Name": name, "StateMachineRevisionId": described.get("revisionId", INITIAL)}
    return Created("AWS::StepFunctions::StateMachine", arn, attributes)


@creates("AWS::StepFunctions::StateMachineVersion", "Description", "StateMachineArn", "StateMachineRevisionId")
def _machine_version(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    given = only(properties, "Description", "StateMachineArn")
    revision = properties.get("StateMachineRevisionId")
    version = deployment.call("stepfunctions", "publish_state_machine_version", given, revisionId=revision)
    arn = version["stateMachineVersionArn"]
    return Created("AWS::StepFunctions::StateMachineVersion", arn, {"Arn": arn})


@creates("AWS::StepFunctions::StateMachineAlias", "DeploymentPreference", "Description", "Name", "RoutingConfiguration")
def _machine_alias(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    routes = machine_routes(properties)
    given = only(properties, "Description", "Name")
    alias = deployment.call("stepfunctions", "create_state_machine_alias", given, routingConfiguration=routes)
    arn = alias["stateMachineAliasArn"]
    return Created("AWS::StepFunctions::StateMachineAlias", arn, {"Arn": arn})


def machine_routes(properties: Properties) -> list[Properties]:
    """Where the alias leads: all at once to the version that DeploymentPreference names, or as it says itself."""
    preference = properties.get("DeploymentPreference")
    if (preference is None) == ("RoutingConfiguration" not in properties):
        raise TemplateError("exactly one of DeploymentPreference and RoutingConfiguration is needed")
    if preference is None:
        return list(properties["RoutingConfiguration"])
    refuse_unknown(preference, ("StateMachineVersionArn", "Type"), "DeploymentPreference")
    if preference["Type"] != "ALL_AT_ONCE":
        raise TemplateError(f"DeploymentPreference.Type {preference['Type']} is not known to the embedded AWS")
    return [{"StateMachineVersionArn": text(preference["StateMachineVersionArn"]), "Weight": 100}]


def machine_definition(deployment: Deployment, properties: Properties) -> str:
    given = [key for key in ("Definition", "DefinitionS3Location", "DefinitionString") if key in properties]
    if len(given) != 1:
        raise TemplateError("exactly one of Definition, DefinitionString and DefinitionUri is needed")
    value = properties[given[0]]
    if given[0] == "DefinitionS3Location":
        uploaded = _uploaded(deployment, value, "DefinitionUri")
        definition = _local_path(value, "DefinitionUri").read_text() if uploaded is None else uploaded.decode()
    else:
        definition = value if isinstance(value, str) else json.dumps(value)
    for name, replacement in (properties.get("DefinitionSubstitutions") or {}).items():
        if "${" + name + "}" not in definition:
            raise TemplateError(f"DefinitionSubstitutions.{name} occurs nowhere in the definition")
        definition = definition.replace("${" + name + "}", text(replacement))
    if left := sorted(set(re.findall(r"\$\{[^}]*\}", definition))):
        raise TemplateError(f"the definition has {', '.join(left)}, which DefinitionSubstitutions doesn't give")
    try:
        json.loads(definition)
    except ValueError as error:
        raise TemplateError(f"the definition is not JSON after substitution: {error}") from None
    return definition


def check_machine_role(deployment: Deployment, properties: Properties) -> None:
    permissions, role = deployment.cloud.permissions, text(properties["RoleArn"])
    if not permissions.trusts(role, "states.amazonaws.com"):
        raise TemplateError(f"states.amazonaws.com is not authorized to assume the provided role {role}")
    for destination in (properties.get("LoggingConfiguration") or {}).get("Destinations") or []:
        group = text(destination["CloudWatchLogsLogGroup"]["LogGroupArn"])
        if not group.endswith(":*"):
            raise TemplateError(f"Invalid Logging Configuration: the log group's ARN must end with :*, {group} doesn't")
        for action in _LOG_DELIVERY_ACTIONS:
            try:
                permissions.require(role, f"logs:{action}", "*", region=deployment.region)
            except NotAuthorized as denied:
                message = "The state machine IAM Role is not authorized to access the Log Destination"
                raise TemplateError(f"{message}: {denied.message}") from None
        _let_logs_be_delivered(deployment, group.removesuffix(":*"))


def _let_logs_be_delivered(deployment: Deployment, group: str) -> None:
    """Write the log group into the policy by which services deliver logs; refuse what makes it too long.

    All of /aws/vendedlogs/ is one entry. See the Step Functions developer guide, "Avoiding CloudWatch Logs resource
    policy size restrictions", and the answer in aws-samples/aws-batch-runtime-monitoring#23.
    """
    name = "AWSLogDeliveryWrite20150319"
    vended = ":log-group:/aws/vendedlogs/" in group
    resource = deployment.arn("logs", "log-group:/aws/vendedlogs/*") if vended else f"{group}:log-stream:*"
    policies = deployment.call("logs", "describe_resource_policies", {})["resourcePolicies"]
    document = next((each["policyDocument"] for each in policies if each["policyName"] == name), '{"Statement": []}')
    statements = json.loads(document)["Statement"]
    if any(resource in statement["Resource"] for statement in statements):
        return
    actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
    statements.append({"Effect": "Allow", "Action": actions, "Resource": [resource]})
    longer = json.dumps({"Version": "2012-10-17", "Statement": statements})
    if len(longer) > _LOG_POLICY_LIMIT:
        raise TemplateError(
            "Invalid Logging Configuration: The CloudWatch Logs Resource Policy size was exceeded. We suggest "
            "prefixing your CloudWatch log group name with /aws/vendedlogs/states/."
        )
    deployment.call("logs", "put_resource_policy", {}, policyName=name, policyDocument=longer)


@creates(
    "AWS::Events::Rule",
    "Description", "EventBusName", "EventPattern", "Name", "RoleArn", "ScheduleExpression", "State", "Tags", "Targets",
)  # fmt: skip
def _rule(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    name = properties.get("Name") or deployment.name(logical_id, 64)
    passed = {key: value for key, value in properties.items() if key not in ("Name", "Tags", "Targets")}
    created = deployment.call("events", "put_rule", passed, Name=name, Tags=tags(properties))
    if properties.get("Targets"):
        bus = properties.get("EventBusName")
        put = deployment.call("events", "put_targets", only(properties, "Targets"), Rule=name, EventBusName=bus)
        if put["FailedEntryCount"]:
            raise TemplateError(f"targets refused: {put['FailedEntries']}")
    return Created("AWS::Events::Rule", name, {"Arn": created["RuleArn"]})


@creates(
    "AWS::Scheduler::Schedule",
    "Description", "EndDate", "FlexibleTimeWindow", "GroupName", "KmsKeyArn", "Name", "ScheduleExpression",
    "ScheduleExpressionTimezone", "StartDate", "State", "Target",
)  # fmt: skip
def _schedule(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    name = properties.get("Name") or deployment.name(logical_id, 64)
    created = deployment.call("scheduler", "create_schedule", properties, Name=name)
    return Created("AWS::Scheduler::Schedule", name, {"Arn": created["ScheduleArn"]})


@creates("AWS::Scheduler::ScheduleGroup", "Name", "Tags")
def _schedule_group(deployment: Deployment, logical_id: str, properties: Properties) -> Created:
    name = properties.get("Name") or deployment.name(logical_id, 64)
    created = deployment.call("scheduler", "create_schedule_group", {}, Name=name, Tags=tags(properties))
    return Created("AWS::Scheduler::ScheduleGroup", name, {"Arn": created["ScheduleGroupArn"]})
