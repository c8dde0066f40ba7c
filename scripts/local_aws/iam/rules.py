"""What a call needs: the IAM actions that AWS checks for one API operation, and the resources it checks them on.

Drawn from the Service Authorization Reference, where the resources marked required for the RDS operations are the
trap: a restore is checked on the new cluster, the snapshot, the subnet group, the parameter group *and* the option
group, and tags in a request need rds:AddTagsToResource. Where AWS's rule is uncertain the stricter reading is taken:
a policy that passes here passes there. An operation whose resources are unknown raises UnknownAccess.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from scripts.local_aws.core.arns import Arn, function_name, unqualified
from scripts.local_aws.iam import stored_resources as stored
from scripts.local_aws.iam.calls import Call, Need, UnknownAccess
from scripts.local_aws.iam.policy import Context
from scripts.local_aws.iam.rules_kms import keys_used
from scripts.local_aws.iam.rules_rds import rds_needs


def needs(call: Call) -> list[Need]:
    """Return all that must be allowed before the call takes effect, in the order in which AWS names the refusal."""
    if call.service not in _SERVICES:
        raise UnknownAccess(f"{call.service}:{call.operation}")
    context = _request_tags(call)
    found = [
        replace(need, context={**context, **need.context})
        for need in [*_SERVICES[call.service](call), *_roles_passed(call)]
    ]
    return found + list(keys_used(call))


def _request_tags(call: Call) -> Context:
    sent = call.parameters.get("Tags") or call.parameters.get("tags") or []
    if isinstance(sent, Mapping):
        tags = {str(key): str(value) for key, value in sent.items()}
    else:
        folded = [{name.lower(): value for name, value in tag.items()} for tag in sent]
        tags = {tag.get("key", tag.get("tagkey", "")): tag.get("value", tag.get("tagvalue", "")) for tag in folded}
    keys = tuple(tags) or tuple(call.parameters.get("TagKeys") or call.parameters.get("tagKeys") or ())
    context: dict[str, str | tuple[str, ...]] = {f"aws:requesttag/{key.lower()}": tags[key] for key in tags}
    if call.service == "rds":
        context |= {f"rds:req-tag/{key.lower()}": tags[key] for key in tags}
    return {**context, "aws:tagkeys": keys} if keys else context


def _roles_passed(call: Call) -> Iterator[Need]:
    passed = {
        "rds": ("MonitoringRoleArn", "monitoring.rds.amazonaws.com"),
        "lambda": ("Role", "lambda.amazonaws.com"),
        "states": ("roleArn", "states.amazonaws.com"),
        "scheduler": ("Target", "scheduler.amazonaws.com"),
    }
    name, service = passed.get(call.service, ("", ""))
    role = call.parameters.get(name)
    if name == "Target" and role:
        role = role.get("RoleArn")
    if role:
        yield Need("iam:PassRole", str(role), {"iam:passedtoservice": service})


def _dynamodb(call: Call) -> Iterator[Need]:
    if call.operation in ("ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"):
        raise UnknownAccess(f"dynamodb:{call.operation} (PartiQL)")
    if call.operation.startswith("Transact"):
        for item in call.parameters["TransactItems"]:
            for kind, operation in item.items():
                yield _item_need(call, f"{kind}Item", operation)
        return
    if call.operation in ("BatchGetItem", "BatchWriteItem"):
        yield from (Need(f"dynamodb:{call.operation}", call.arn(f"table/{table}")) for table in call.tables)
    elif arn := call.parameters.get("ResourceArn"):
        yield Need(f"dynamodb:{call.operation}", str(arn))
    elif "TableName" in call.parameters:
        yield _item_need(call, call.operation, call.parameters)
    else:
        yield Need(f"dynamodb:{call.operation}", "*")


def _item_need(call: Call, action: str, parameters: Mapping[str, Any]) -> Need:
    table = str(parameters["TableName"]).rpartition("/")[2]
    hash_key = stored.table_hash_key(table, call.account, call.region)
    item = parameters.get("Key") or parameters.get("Item")
    context: dict[str, tuple[str, ...]] = {}
    if hash_key and isinstance(item, Mapping) and hash_key in item:
        context["dynamodb:leadingkeys"] = (str(next(iter(item[hash_key].values()))),)
    if hash_key and action == "Query" and not parameters.get("IndexName"):
        context |= _queried_key(hash_key, parameters)
    index = f"/index/{parameters['IndexName']}" if parameters.get("IndexName") else ""
    return Need(f"dynamodb:{action}", call.arn(f"table/{table}{index}"), context)


def _queried_key(hash_key: str, parameters: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the partition that a query names; none where its expression cannot be read here."""
    names = parameters.get("ExpressionAttributeNames") or {}
    values = parameters.get("ExpressionAttributeValues") or {}
    for name, value in re.findall(r"(#?\w+)\s*=\s*(:\w+)", str(parameters.get("KeyConditionExpression") or "")):
        if names.get(name, name) == hash_key and value in values:
            return {"dynamodb:leadingkeys": (str(next(iter(values[value].values()))),)}
    return {}


def _secretsmanager(call: Call) -> Iterator[Need]:
    keys = [key for key in ("VersionStage", "VersionId", "SecretId", "Name") if call.parameters.get(key)]
    context = {f"secretsmanager:{key.lower()}": str(call.parameters[key]) for key in keys}
    identifier = call.parameters.get("SecretId") or call.parameters.get("Name")
    resource = "*"
    if identifier:
        secret = stored.secret(identifier, call.account, call.region)
        # Six characters that Secrets Manager chooses end every secret's ARN; one that is not there has none yet.
        unknown = identifier if identifier.startswith("arn:") else call.arn(f"secret:{identifier}-XXXXXX")
        resource = secret.arn if secret else unknown
    yield Need(f"secretsmanager:{call.operation}", resource, context)
    if call.operation == "CreateSecret" and call.parameters.get("Tags"):
        # "If you include tags in the secret, you also need secretsmanager:TagResource" (API reference, CreateSecret).
        yield Need("secretsmanager:TagResource", resource, context)


def _lambda(call: Call) -> Iterator[Need]:
    action = {"Invoke": "InvokeFunction", "InvokeAsync": "InvokeFunction"}.get(call.operation, call.operation)
    resource = "*"
    if name := call.parameters.get("FunctionName"):
        name = function_name(str(name))
        qualifier = call.parameters.get("Qualifier")
        resource = call.arn(f"function:{name}{f':{qualifier}' if qualifier else ''}")
    elif layer := call.parameters.get("LayerName"):
        resource = call.arn(f"layer:{layer}")
    yield Need(f"lambda:{action}", resource)


def _states(call: Call) -> Iterator[Need]:
    parameters = call.parameters
    arns = ("stateMachineArn", "stateMachineVersionArn", "stateMachineAliasArn", "executionArn", "resourceArn")
    named = next((parameters[name] for name in arns if parameters.get(name)), None)
    if not named and call.operation == "CreateStateMachine":
        named = call.arn(f"stateMachine:{parameters['name']}")
    if token := parameters.get("taskToken"):
        # The reference names no resource type for SendTaskSuccess and SendTaskFailure, yet AWS checks the machine's:
        # "not authorized to perform: states:SendTaskFailure on resource: arn:aws:states:...:stateMachine:..."
        # (NOAA-OWP/hydrovis#837; a policy for the machine alone suffices, aws/aws-cdk#8486). What is checked for a
        # text that is no token is not known: here it takes a right to all resources.
        named = stored.machine_of_task(str(token), call.account, call.region)
    # A version or an alias is authorized by its machine's ARN.
    yield Need(f"states:{call.operation}", unqualified(str(named or "*"))[0])


def _logs(call: Call) -> Iterator[Need]:
    group, stream = call.parameters.get("logGroupName"), call.parameters.get("logStreamName")
    rest = f"log-group:{group}:log-stream:{stream or ''}" if group else ""
    yield Need(f"logs:{call.operation}", call.arn(rest) if group else "*")


def _sns(call: Call) -> Iterator[Need]:
    parameters = call.parameters
    named = parameters.get("TopicArn") or parameters.get("TargetArn") or parameters.get("ResourceArn")
    if not named and (subscription := parameters.get("SubscriptionArn")):
        arn = Arn.parse_or_none(str(subscription))
        named = str(replace(arn, resource=arn.kind)) if arn else None
    if not named and call.operation == "CreateTopic":
        named = call.arn(str(parameters["Name"]))
    action = "Publish" if call.operation == "PublishBatch" else call.operation
    context = {f"sns:{key.lower()}": str(parameters[key]) for key in ("Protocol", "Endpoint") if key in parameters}
    yield Need(f"sns:{action}", str(named or "*"), context)


def _sqs(call: Call) -> Iterator[Need]:
    queue = call.parameters.get("QueueUrl") or call.parameters.get("QueueName")
    yield Need(f"sqs:{call.operation}", call.arn(str(queue).rpartition("/")[2]) if queue else "*")


def _kms(call: Call) -> Iterator[Need]:
    """Yield the need of a key. An alias is followed before anything is checked; KMS refuses one that leads nowhere."""
    key = str(call.parameters.get("KeyId") or "")
    arn = stored.key_arn(key, call.account, call.region) if key else "*"
    if arn is None and "alias/" not in key:
        arn = key if key.startswith("arn:") else call.arn(f"key/{key}")
    context = {}
    if call.operation in ("Sign", "Verify"):
        # A request that names no type is one with RAW (API reference, Sign).
        context = {"kms:messagetype": str(call.parameters.get("MessageType") or "RAW")}
        context["kms:signingalgorithm"] = str(call.parameters.get("SigningAlgorithm") or "")
    if arn:
        yield Need(f"kms:{call.operation}", arn, context)


def _events(call: Call) -> Iterator[Need]:
    """Yield the needs of EventBridge's calls. Each entry of PutEvents is checked on its bus, with what it says."""
    if call.operation != "PutEvents":
        yield from _RULES(call)
        return
    for entry in call.parameters.get("Entries") or []:
        bus = str(entry.get("EventBusName") or "default")
        context = {f"events:{key}": str(entry.get(name) or "") for key, name in _ENTRY.items()}
        yield Need("events:PutEvents", bus if bus.startswith("arn:") else call.arn(f"event-bus/{bus}"), context)


_ENTRY = {"source": "Source", "detail-type": "DetailType"}


def _named(*parameters: tuple[str, str]) -> Callable[[Call], Iterator[Need]]:
    """Return the rule of a service whose operations name one resource: `("RuleName", "rule/{}")`."""

    def rule(call: Call) -> Iterator[Need]:
        for name, shape in parameters:
            if value := call.parameters.get(name):
                arn = str(value) if str(value).startswith("arn:") else call.arn(shape.format(value))
                yield Need(f"{call.service}:{call.operation}", arn)
                return
        yield Need(f"{call.service}:{call.operation}", "*")

    return rule


def _iam(call: Call) -> Iterator[Need]:
    role = call.parameters.get("RoleName")
    yield Need(f"iam:{call.operation}", f"arn:{call.partition}:iam::{call.account}:role/{role}" if role else "*")


_RULES = _named(("Rule", "rule/{}"), ("Name", "rule/{}"), ("EventBusName", "event-bus/{}"))

_SERVICES: dict[str, Callable[[Call], Iterator[Need]]] = {
    "rds": rds_needs,
    "dynamodb": _dynamodb,
    "secretsmanager": _secretsmanager,
    "lambda": _lambda,
    "states": _states,
    "logs": _logs,
    "sns": _sns,
    "sqs": _sqs,
    "kms": _kms,
    "iam": _iam,
    "sts": _named(("RoleArn", "{}")),
    "application-autoscaling": _named(),
    "cloudtrail": _named(),
    "ec2": _named(),
    "ram": _named(),
    "cloudwatch": _named(("AlarmName", "alarm:{}"), ("DashboardName", "dashboard/{}")),
    "events": _events,
    "scheduler": _named(("Name", "schedule/default/{}")),
}
