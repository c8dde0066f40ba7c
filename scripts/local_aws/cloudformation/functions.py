"""Lambda: functions with their code, layers, versions, aliases and permissions.

What AWS refuses only when it creates the function, and moto does not, is refused here: reserved variables, and code
without the handler (Lambda developer guide, "Working with Lambda environment variables" and "Lambda quotas").
"""

from __future__ import annotations

import io
import json
import pathlib
import tempfile
import zipfile

from scripts.local_aws.cloudformation.deployment import (
    Deployment,
    Properties,
    changed_properties,
    only,
    refuse_unknown,
    without,
)
from scripts.local_aws.cloudformation.intrinsics import Created, TemplateError, text
from scripts.local_aws.cloudformation.locations import located
from scripts.local_aws.cloudformation.resource_types import Attached, Made, ResourceType
from scripts.local_aws.core.arns import Arn, function_name, qualified
from scripts.packages import layer

_NEVER_SHIPPED = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache"}
_VARIABLES_LIMIT = 4096
_RESERVED_VARIABLES = {
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV", "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION", "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
}  # fmt: skip


class _Function(ResourceType):
    type = "AWS::Lambda::Function"
    in_place = (
        "Architectures Code DeadLetterConfig Description Environment Handler Layers MemorySize Role Runtime Timeout "
        "VpcConfig"
    )
    replacing = "FunctionName PackageType"
    fixed = "EphemeralStorage KmsKeyArn LoggingConfig Tags TracingConfig"
    name, longest_name = "FunctionName", 64
    deletion = "lambda", "delete_function", "FunctionName"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        for limited, most in (("Timeout", 900), ("MemorySize", 10_240)):
            if int(properties.get(limited, 0)) > most:
                raise TemplateError(f"property {limited} must be at most {most}, not {properties[limited]}")
        check_variables(properties)
        code = {"ZipFile": _function_code(deployment, properties["Code"], text(properties["Handler"]))}
        given, key = without(properties, "KmsKeyArn"), properties.get("KmsKeyArn")
        created = deployment.call("lambda", "create_function", given, FunctionName=name, Code=code, KMSKeyArn=key)
        return name, {"Arn": created["FunctionArn"]}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        changed, of_code = changed_properties(old, new), {"Architectures", "Code"}
        if of_code & changed:
            code, given = _function_code(deployment, new["Code"], text(new["Handler"])), only(new, "Architectures")
            deployment.call("lambda", "update_function_code", given, FunctionName=made.ref, ZipFile=code)
        check_variables(new)
        changed -= of_code
        if gone := changed - set(new):
            raise TemplateError(f"property {', '.join(sorted(gone))} cannot be taken away by the embedded AWS")
        deployment.call("lambda", "update_function_configuration", only(new, *changed), FunctionName=made.ref)


def check_variables(properties: Properties) -> None:
    """Refuse variables of a function that Lambda reserves, and too many of them."""
    variables = (properties.get("Environment") or {}).get("Variables") or {}
    if reserved := sorted(_RESERVED_VARIABLES & set(variables)):
        raise TemplateError(f"Reserved keys used in this request: {', '.join(reserved)}")
    # Lambda names the text that it measured: JSON without blanks (github-aws-runners/terraform-aws-github-runner#3594).
    measured = json.dumps({name: text(value) for name, value in variables.items()}, separators=(",", ":"))
    if len(measured) > _VARIABLES_LIMIT:
        raise TemplateError("The environment variables you have provided exceeded the 4KB limit")


def _function_code(deployment: Deployment, code: Properties, handler: str) -> bytes:
    """Return the function's zip file, uploaded or made of its directory. Refuse one without the handler's module."""
    refuse_unknown(code, ("S3Bucket", "S3Key", "S3ObjectVersion", "ZipFile"), "Code")
    content = code["ZipFile"] if "ZipFile" in code else located(deployment, code, "Code")
    archived = content if isinstance(content, bytes) else _zipped(content)
    module = handler.rpartition(".")[0].replace(".", "/") + ".py"
    with zipfile.ZipFile(io.BytesIO(archived)) as archive:
        if not {module, f"{module}c"} & set(archive.namelist()):
            raise TemplateError(f"Handler {handler} needs {module}, which the code does not have")
    return archived


def _zipped(content: str | pathlib.Path) -> bytes:
    """Return a zip file of a directory, or of the text that Lambda takes for index.py."""
    archived = io.BytesIO()
    with zipfile.ZipFile(archived, "w", zipfile.ZIP_STORED) as archive:
        if isinstance(content, str):
            archive.writestr("index.py", content)
        else:
            for path in sorted(content.rglob("*")):
                if path.is_file() and not set(path.parts) & _NEVER_SHIPPED:
                    archive.write(path, path.relative_to(content))
    return archived.getvalue()


class _LayerVersion(ResourceType):
    """The layer's content stays in directories: zipping 40 MB of packages at every start would cost seconds.

    utils stands for the layer that the build makes of it: for this machine's Python, by the same code.
    """

    type = "AWS::Lambda::LayerVersion"
    replacing = "CompatibleArchitectures CompatibleRuntimes Content Description LayerName LicenseInfo"
    name, longest_name, shares_name = "LayerName", 64, True

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        content = properties["Content"]
        refuse_unknown(content, ("S3Bucket", "S3Key", "S3ObjectVersion"), "Content")
        found = located(deployment, content, "Content")
        if isinstance(found, bytes):
            directories = [pathlib.Path(tempfile.mkdtemp(prefix="layer-", dir=deployment.account.scratch))]
            with zipfile.ZipFile(io.BytesIO(found)) as zipped:
                zipped.extractall(directories[0])
        else:
            directories = _project_layer(deployment) if found.resolve() == layer.UTILS else [found]
        zipfile.ZipFile(nothing := io.BytesIO(), "w").close()
        empty = {"ZipFile": nothing.getvalue()}
        version = deployment.call("lambda", "publish_layer_version", properties, LayerName=name, Content=empty)
        arn = version["LayerVersionArn"]
        # It stays when the version is deleted: functions that were published with it keep it, as on AWS.
        deployment.account.layers[arn] = directories
        return arn, {"LayerVersionArn": arn}

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        name, version = qualified(Arn.parse(made.ref).name)
        deployment.call("lambda", "delete_layer_version", {}, LayerName=name, VersionNumber=version)


def _project_layer(deployment: Deployment) -> list[pathlib.Path]:
    """Return what the build would put into the layer, for this machine's Python.

    utils is copied, so that an edit of it during a run changes nothing that has been deployed.
    """
    utils = pathlib.Path(tempfile.mkdtemp(prefix="layer-", dir=deployment.account.scratch), "python")
    layer.utils_for_this_machine(utils)
    return [utils, layer.HOST_PACKAGES]


class _Version(ResourceType):
    """A version. AWS publishes none where nothing has changed since the last one, and CloudFormation then fails.

    A description is no change. moto takes every update for one, also one that leaves everything as it was.
    """

    type = "AWS::Lambda::Version"
    replacing = "Description FunctionName"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        client = deployment.account.client("lambda", deployment.region)
        function = text(properties["FunctionName"])
        latest, *published = client.list_versions_by_function(FunctionName=function)["Versions"]
        if published and _as_published(published[-1]) == _as_published(latest):
            message = f"A version for this Lambda function exists ( {published[-1]['Version']} ). "
            raise TemplateError(message + "Modify the function to create a new version.")
        version = deployment.call("lambda", "publish_version", properties)
        return version["FunctionArn"], {"Version": version["Version"]}

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        name, version = qualified(function_name(made.ref))
        deployment.call("lambda", "delete_function", {}, FunctionName=name, Qualifier=version)


def _as_published(configuration: Properties) -> Properties:
    """Return what of a function counts when a version is published."""
    apart = ("Description", "FunctionArn", "LastModified", "LastUpdateStatus", "RevisionId", "State", "Version")
    return without(configuration, *apart)


class _Alias(ResourceType):
    type = "AWS::Lambda::Alias"
    in_place = "Description FunctionVersion"
    replacing = "FunctionName Name"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        alias = deployment.call("lambda", "create_alias", properties)
        return alias["AliasArn"], {"AliasArn": alias["AliasArn"]}

    def update(self, deployment: Deployment, made: Created, old: Properties, new: Properties) -> None:
        deployment.call("lambda", "update_alias", new)

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        name, alias = qualified(function_name(made.ref))
        deployment.call("lambda", "delete_alias", {}, FunctionName=name, Name=alias)


class _Permission(ResourceType):
    """A permission on an alias or a version is one for that alone."""

    type = "AWS::Lambda::Permission"
    replacing = "Action FunctionName Principal SourceAccount SourceArn"
    longest_name = 100

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        function, qualifier = qualified(function_name(text(properties["FunctionName"])))
        of_alias = {"FunctionName": function, "Qualifier": qualifier} if qualifier else {}
        deployment.call("lambda", "add_permission", {**properties, **of_alias}, StatementId=name)
        return name, {"Id": name}

    def delete(self, deployment: Deployment, made: Created, properties: Properties) -> None:
        function = text(properties["FunctionName"])
        deployment.call("lambda", "remove_permission", {}, FunctionName=function, StatementId=made.ref)


class _EventInvokeConfig(Attached):
    type = "AWS::Lambda::EventInvokeConfig"
    in_place = "DestinationConfig MaximumEventAgeInSeconds MaximumRetryAttempts"
    replacing = "FunctionName Qualifier"

    def create(self, deployment: Deployment, name: str, properties: Properties) -> Made:
        deployment.call("lambda", "put_function_event_invoke_config", properties)
        return name, {}
