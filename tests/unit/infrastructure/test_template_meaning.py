"""What the template says, held against what it has to mean: each default, alarm, trust, queue and key, one by one."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

import pytest

from scripts.checks.expansion import source, translated
from scripts.checks.policies import as_list, resolved
from scripts.local_aws.cloudformation.intrinsics import TemplateError
from scripts.local_aws.cloudformation.template import Template, pseudo_parameters
from scripts.local_aws.iam.policy import Policy, Request, evaluate
from tests.unit.support import AUDIT_TABLE, EXECUTION, NOW, OPERATION, STATE_TABLE, TARGET, a_plan
from utils import metrics
from utils.aws import client
from utils.operation.sealing import STEP
from utils.request.fields import FIELDS, NEVER_BY_DEFAULT
from utils.state.lock import TargetLock
from utils.state.operation import OperationState

RESOURCES: dict[str, dict[str, Any]] = source()["Resources"]
PLAIN: dict[str, dict[str, Any]] = translated()["Resources"]
ACCOUNT = {"Ref": "AWS::AccountId"}


def properties(logical_id: str) -> dict[str, Any]:
    found: dict[str, Any] = RESOURCES[logical_id]["Properties"]
    return found


# What the state machine hands to its steps: each from the parameter of its name, but for these.
OTHER_SUBSTITUTIONS: dict[str, Any] = {
    "RestorableClusterPattern": {
        "Fn::If": ["HasRestorablePattern", {"Ref": "RestorableClusterPattern"}, {"Ref": "SourceClusterId"}]
    },
    "TargetClusterPattern": {
        "Fn::If": [
            "HasTargetPattern",
            {"Ref": "TargetClusterPattern"},
            {"Fn::Join": ["????????", {"Fn::Split": ["{date}", {"Ref": "TargetClusterId"}]}]},
        ]
    },
    "SourceRegion": {"Fn::If": ["HasSourceRegion", {"Ref": "SourceRegion"}, {"Ref": "AWS::Region"}]},
    "DbSubnetGroupName": {"Fn::If": ["MakesSubnetGroup", {"Ref": "SubnetGroup"}, {"Ref": "DbSubnetGroupName"}]},
    "VpcSecurityGroupIds": {
        "Fn::If": [
            "MakesSecurityGroup",
            {"Fn::GetAtt": ["DatabaseSecurityGroup", "GroupId"]},
            {"Ref": "VpcSecurityGroupIds"},
        ]
    },
}
SUBSTITUTIONS: dict[str, Any] = {
    name: value
    for name, value in RESOURCES["StateMachine"]["Properties"]["DefinitionSubstitutions"].items()
    if not name.endswith("FunctionArn") and name not in ("KeepTokenAndWait", "StateTable")
}


@pytest.mark.parametrize("name", SUBSTITUTIONS)
def test_what_the_machine_hands_on_comes_from_the_parameter_of_its_name(name: str) -> None:
    assert SUBSTITUTIONS[name] == OTHER_SUBSTITUTIONS.get(name, {"Ref": name})


# What the first step reads of a field that a request leaves out. Where the parameter isn't called as the field is, or
# something stands in for an empty one, the other name is here.
PATTERN, STAND_INS = properties("SnapshotCheckFunction")["Environment"]["Variables"]["REQUEST_DEFAULTS"]["Fn::Sub"]
DEFAULTS: dict[str, str] = dict(line.split("=") for line in PATTERN.splitlines())
OTHER_NAMES = {
    "source_region": "Region",
    "db_subnet_group_name": "SubnetGroupName",
    "vpc_security_group_ids": "SecurityGroupIds",
    "tags": "CostTags",
}


@pytest.mark.parametrize("field", DEFAULTS)
def test_a_default_comes_from_the_parameter_of_its_name(field: str) -> None:
    camel = "".join(word.capitalize() for word in field.split("_"))
    assert DEFAULTS[field] == f"${{{OTHER_NAMES.get(field, camel)}}}"


def test_what_stands_in_for_an_empty_default_is_what_the_machine_hands_on() -> None:
    assert {
        "Region": SUBSTITUTIONS["SourceRegion"],
        "SubnetGroupName": SUBSTITUTIONS["DbSubnetGroupName"],
        "SecurityGroupIds": SUBSTITUTIONS["VpcSecurityGroupIds"],
    } == STAND_INS


def test_defaults_are_fields_of_a_request_and_ask_for_no_deletion() -> None:
    assert set(DEFAULTS) <= set(FIELDS) - NEVER_BY_DEFAULT


QUOTED = set(SUBSTITUTIONS)
"""Parameters whose value is put between the quotes of a JSON text as it is."""
IN_LINES = {*re.findall(r"\w+", " ".join(DEFAULTS.values()))} - set(STAND_INS)
"""Parameters whose value is put into a line."""


# One of them fits each parameter that takes a text of its own.
FITTING = (
    "prod-orders", "eu-central-1", "123456789012", "17", "5432", "7", "db.r6g.large", "sg-0123456789abcdef0",
    "eu-central-1a", "arn:aws:kms:eu-central-1:123456789012:key/0d1f", "02:00-02:30", "sun:05:00-sun:05:30", "none",
    "arn:aws:rds:eu-central-1:123456789012:cluster:prod=arn:aws:secretsmanager:eu-central-1:123456789012:secret:a-a1b2c3",
    "CostCenter=a b,c=d", "staging=s3://policies/masking/staging.yaml?versionId=3HL4kqtJlcpXroDTDmJ",
)  # fmt: skip


@pytest.mark.parametrize("name", sorted(QUOTED | IN_LINES))
def test_no_value_can_break_the_text_that_it_stands_in(name: str) -> None:
    rules = source()["Parameters"][name]
    if "AllowedValues" in rules:
        return
    takes = functools.partial(re.fullmatch, rules["AllowedPattern"])
    fitting = next(text for text in FITTING if takes(text))
    for character in ("\n", "\r", *(('"', "\\", "\t") if name in QUOTED else ())):
        assert not takes(character)
        for at in range(len(fitting) + 1):
            assert not takes(fitting[:at] + character + fitting[at:]), character


@pytest.mark.parametrize(
    ("condition", "parameter", "empty"),
    [
        ("HasRestorablePattern", "RestorableClusterPattern", False),
        ("HasTargetPattern", "TargetClusterPattern", False),
        ("HasSourceRegion", "SourceRegion", False),
        ("HasSourceAccount", "SourceAccountId", False),
        ("HasEmail", "NotificationEmail", False),
        ("HasBoundary", "PermissionsBoundaryArn", False),
        ("MakesSubnetGroup", "DbSubnetGroupName", True),
        ("MakesSecurityGroup", "VpcSecurityGroupIds", True),
        ("MakesFunctionSecurityGroup", "FunctionSecurityGroupId", True),
        ("MakesKey", "EncryptionKeyArn", True),
        ("MakesTopic", "NotificationTopicArn", True),
        ("MakesGatewayEndpoints", "RouteTableIds", False),
        ("NamesInstances", "DeletableInstancePattern", False),
        ("NamesMachineLogs", "StateMachineLogGroupName", False),
        ("NamesStateTable", "StateTableName", False),
        ("NamesAuditTable", "AuditTableName", False),
    ],
)
def test_a_condition_asks_for_the_parameter_of_its_name(condition: str, parameter: str, empty: bool) -> None:
    asked = {"Fn::Equals": [{"Ref": parameter}, ""]}
    assert source()["Conditions"][condition] == (asked if empty else {"Fn::Not": [asked]})


# Alarms: metric, dimensions, statistic, and when it is one. What is missing is no alarm but where silence is the news.
OURS = [{"Name": "service", "Value": {"Ref": "NamePrefix"}}, {"Name": "Step", "Value": "restore"}]
OURS_OR_DRILLS = [OURS[0], {"Name": "Step", "Value": {"Fn::If": ["Drills", "drill", "restore"]}}]
AT_LEAST_ONE = ("GreaterThanOrEqualToThreshold", 1, "notBreaching")
ALARMS: dict[str, tuple[Any, ...]] = {
    "RunFailedAlarm": ("AuroraRestore", "OperationFailed", OURS, "Sum", 300, 1, *AT_LEAST_ONE),
    "NobodyToldAlarm": (
        "AWS/Lambda", "Errors", [{"Name": "FunctionName", "Value": {"Ref": "SnsNotificationFunction"}}],
        "Sum", 300, 1, *AT_LEAST_ONE,
    ),
    "EvidenceMissingAlarm": (
        "AuroraRestore", "StepFailure",
        [{"Name": "service", "Value": {"Ref": "NamePrefix"}}, {"Name": "Step", "Value": "evidence"}],
        "Sum", 300, 1, *AT_LEAST_ONE,
    ),
    "DeadLettersAlarm": (
        "AWS/SQS", "ApproximateNumberOfMessagesVisible",
        [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["DeadLetters", "QueueName"]}}],
        "Maximum", 300, 1, *AT_LEAST_ONE,
    ),
    "ThrottledAlarm": (
        "AWS/States", "ExecutionThrottled", [{"Name": "StateMachineArn", "Value": {"Ref": "StateMachine"}}],
        "Sum", 300, 3, *AT_LEAST_ONE,
    ),
    "ExpiryFailedAlarm": (
        "AWS/States", "ExecutionsFailed", [{"Name": "StateMachineArn", "Value": {"Ref": "ExpiryMachine"}}],
        "Sum", 300, 1, *AT_LEAST_ONE,
    ),
    "ExpiryTimedOutAlarm": (
        "AWS/States", "ExecutionsTimedOut", [{"Name": "StateMachineArn", "Value": {"Ref": "ExpiryMachine"}}],
        "Sum", 300, 1, *AT_LEAST_ONE,
    ),
    "StaleDataAlarm": (
        "AuroraRestore", "RestoreDuration", OURS_OR_DRILLS, "SampleCount", 3600, {"Ref": "FreshnessHours"},
        "LessThanThreshold", 1, "breaching",
    ),
}  # fmt: skip


def test_every_alarm_watches_what_its_name_says() -> None:
    keys = (
        "Namespace", "MetricName", "Dimensions", "Statistic", "Period", "EvaluationPeriods", "ComparisonOperator",
        "Threshold", "TreatMissingData",
    )  # fmt: skip
    found = {
        name: tuple(each["Properties"][key] for key in keys)
        for name, each in RESOURCES.items()
        if each["Type"] == "AWS::CloudWatch::Alarm"
    }
    assert found == ALARMS


def test_the_metrics_that_the_alarms_watch_are_emitted_under_those_dimensions(
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics.count_operation("Failed", OPERATION)
    metrics.count_failure(STEP, OPERATION, "StepFailed")
    metrics.record_restore(OPERATION, 60.0, 3600.0, 10)
    metrics.record_restore(OPERATION, 60.0, 3600.0, 10, is_drill=True)
    emitted: dict[tuple[str, str], list[dict[str, str]]] = {}
    for line in capsys.readouterr().out.splitlines():
        document = json.loads(line)
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        (dimensions,) = directive["Dimensions"]
        for metric in directive["Metrics"]:
            known = emitted.setdefault((directive["Namespace"], metric["Name"]), [])
            known.append({name: document[name] for name in dimensions})
    for namespace, name, dimensions, *_ in ALARMS.values():
        if namespace == metrics.NAMESPACE:
            step = dimensions[1]["Value"]
            steps = step["Fn::If"][1:] if isinstance(step, dict) else [step]
            assert all({"service": metrics.SERVICE, "Step": each} in emitted[namespace, name] for each in steps)


def test_an_alarm_can_look_back_as_far_as_it_is_asked_to() -> None:
    """PutMetricAlarm, Period: "An alarm's total current evaluation period can be no longer than seven days"."""
    most = source()["Parameters"]["FreshnessHours"]["MaxValue"]
    assert most * properties("StaleDataAlarm")["Period"] <= 604_800


def test_the_one_message_goes_to_the_stacks_topic() -> None:
    topic = {"Fn::If": ["MakesTopic", {"Ref": "Topic"}, {"Ref": "NotificationTopicArn"}]}
    assert properties("NeedsAttentionAlarm")["AlarmActions"] == [topic]
    assert properties("SnsNotificationFunction")["Environment"]["Variables"]["TOPIC_ARN"] == topic
    assert properties("EmailSubscription")["TopicArn"] == topic


# Trusts, keys and queues


@pytest.mark.parametrize(
    ("role", "service"),
    [("StateMachineRole", "states.amazonaws.com"), ("ScheduleRole", "scheduler.amazonaws.com")],
)
def test_a_service_assumes_a_role_for_this_account_alone(role: str, service: str) -> None:
    """The confused deputy: another account's machine or schedule that names our role."""
    (statement,) = properties(role)["AssumeRolePolicyDocument"]["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": ACCOUNT}},
    }


@pytest.mark.parametrize("role", [name for name, each in PLAIN.items() if each["Type"] == "AWS::IAM::Role"])
def test_every_role_has_the_path_and_the_boundary_that_the_account_asks_for(role: str) -> None:
    own = PLAIN[role]["Properties"]
    assert own["Path"] == {"Ref": "RolePath"}
    bound = {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]}
    assert own["PermissionsBoundary"] == bound


def test_policies_of_the_stack_have_the_path_too() -> None:
    managed = [each for each in PLAIN.values() if each["Type"] == "AWS::IAM::ManagedPolicy"]
    assert [each["Properties"]["Path"] for each in managed] == [{"Ref": "RolePath"}]


KEY_POLICY = Policy.parse("key", resolved(properties("Key")["KeyPolicy"]))
OWN, FOREIGN = "111122223333", "999999999999"
ONE_POLICY = "staging=s3://policies/staging.yaml?versionId=v1"
LOGS = "logs.eu-central-1.amazonaws.com"


def for_a_group_of(account: str) -> dict[str, str]:
    return {"kms:encryptioncontext:aws:logs:arn": f"arn:aws:logs:eu-central-1:{account}:log-group:x"}


@pytest.mark.parametrize(
    ("service", "action", "context", "allowed"),
    [
        ("cloudwatch.amazonaws.com", "kms:GenerateDataKey", {"aws:sourceaccount": OWN}, True),
        ("cloudwatch.amazonaws.com", "kms:Decrypt", {"aws:sourceaccount": OWN}, True),
        ("cloudwatch.amazonaws.com", "kms:Decrypt", {"aws:sourceaccount": FOREIGN}, False),
        ("cloudwatch.amazonaws.com", "kms:CreateGrant", {"aws:sourceaccount": OWN}, False),
        ("events.amazonaws.com", "kms:Decrypt", {"aws:sourceaccount": OWN}, False),
        *(
            (LOGS, f"kms:{action}", for_a_group_of(OWN), True)
            for action in ("Decrypt", "DescribeKey", "Encrypt", "GenerateDataKey", "ReEncryptFrom", "ReEncryptTo")
        ),
        (LOGS, "kms:Decrypt", for_a_group_of(FOREIGN), False),
        ("logs.us-east-1.amazonaws.com", "kms:Decrypt", for_a_group_of(OWN), False),
    ],
)  # fmt: skip
def test_the_key_admits_the_services_that_need_it_for_this_account(
    service: str, action: str, context: dict[str, str], allowed: bool
) -> None:
    request = Request(action, "arn:aws:kms:eu-central-1:111122223333:key/Key", context, frozenset({service}))
    assert evaluate([KEY_POLICY], request).allowed is allowed


@pytest.mark.parametrize(
    ("service", "action", "account", "allowed"),
    [
        ("events.amazonaws.com", "sqs:SendMessage", OWN, True),
        ("events.amazonaws.com", "sqs:SendMessage", FOREIGN, False),
        ("events.amazonaws.com", "sqs:ReceiveMessage", OWN, False),
        ("sns.amazonaws.com", "sqs:SendMessage", OWN, False),
    ],
)
def test_rules_of_this_account_alone_leave_dead_letters(service: str, action: str, account: str, allowed: bool) -> None:
    policy = Policy.parse("queue", resolved(properties("DeadLettersPolicy")["PolicyDocument"]))
    queue = "arn:aws:sqs:eu-central-1:111122223333:DeadLetters"
    request = Request(action, queue, {"aws:sourceaccount": account}, frozenset({service}))
    assert evaluate([policy], request).allowed is allowed
    assert properties("DeadLettersPolicy")["Queues"] == [{"Ref": "DeadLetters"}]


TOPIC = "arn:aws:sns:eu-central-1:111122223333:Topic"
ALARM = "arn:aws:cloudwatch:eu-central-1:111122223333:alarm:aurora-restore-needs-attention"
LAST_STEP = "arn:aws:iam::111122223333:role/SnsNotificationRole"


@pytest.mark.parametrize(
    ("service", "alarm", "account", "allowed"),
    [
        ("cloudwatch.amazonaws.com", ALARM, OWN, True),
        ("cloudwatch.amazonaws.com", ALARM, FOREIGN, False),
        ("cloudwatch.amazonaws.com", ALARM.replace("needs-attention", "another"), OWN, False),
        ("events.amazonaws.com", ALARM, OWN, False),
    ],
)
def test_of_services_the_stacks_alarm_alone_publishes(service: str, alarm: str, account: str, allowed: bool) -> None:
    context = {"aws:sourceaccount": account, "aws:sourcearn": alarm, "aws:principalisawsservice": "true"}
    request = Request("sns:Publish", TOPIC, context, frozenset({service}))
    assert evaluate([topic_policy()], request).allowed is allowed


@pytest.mark.parametrize(
    ("role", "denied"),
    [(LAST_STEP, False), ("arn:aws:iam::111122223333:role/admin", True), (LAST_STEP.replace(OWN, FOREIGN), True)],
)
def test_of_roles_the_last_steps_alone_publishes(role: str, denied: bool) -> None:
    """Whatever a role's own policies allow: nobody writes messages in the pipeline's name."""
    context = {"aws:principalarn": role, "aws:principalisawsservice": "false"}
    assert evaluate([topic_policy()], Request("sns:Publish", TOPIC, context)).explicitly_denied is denied


def test_the_topics_policy_leaves_reading_and_subscribing_to_iam() -> None:
    for action in ("sns:Subscribe", "sns:SetTopicAttributes", "sns:GetTopicAttributes"):
        verdict = evaluate([topic_policy()], Request(action, TOPIC, {"aws:principalisawsservice": "false"}))
        assert verdict.statement is None
    assert properties("TopicPolicy")["Topics"] == [{"Ref": "Topic"}]
    assert RESOURCES["TopicPolicy"]["Condition"] == RESOURCES["Topic"]["Condition"]


def topic_policy() -> Policy:
    return Policy.parse("topic", resolved(properties("TopicPolicy")["PolicyDocument"]))


def test_dead_letters_are_encrypted_and_kept_as_long_as_sqs_keeps_anything() -> None:
    assert properties("DeadLetters")["SqsManagedSseEnabled"] is True
    assert properties("DeadLetters")["MessageRetentionPeriod"] == 14 * 24 * 3600


def test_the_machine_logs_errors_and_never_what_executions_carry() -> None:
    logging = properties("StateMachine")["Logging"]
    assert logging["IncludeExecutionData"] is False
    assert logging["Level"] == "ERROR"
    assert logging["Destinations"] == [
        {"CloudWatchLogsLogGroup": {"LogGroupArn": {"Fn::GetAtt": ["StateMachineLogs", "Arn"]}}}
    ]
    named = {
        "Fn::If": ["NamesMachineLogs", {"Ref": "StateMachineLogGroupName"}, {"Fn::Sub": "/aws/states/${NamePrefix}"}]
    }
    assert properties("StateMachineLogs")["LogGroupName"] == named


# Tables


def test_nobody_may_delete_what_is_known_of_an_operation_or_a_lock() -> None:
    """A released lock stays, so that the step that outlived its execution can't take it again."""
    roles = {name: each["Properties"]["Policies"] for name, each in PLAIN.items() if each["Type"] == "AWS::IAM::Role"}
    policies = [policy for own in roles.values() for policy in own if "PolicyDocument" in policy]
    documents = [each["PolicyDocument"] for each in [*policies, PLAIN["StatePolicy"]["Properties"]]]
    actions = {
        action for each in documents for part in each["Statement"] for action in as_list(resolved(part)["Action"])
    }
    assert "dynamodb:UpdateItem" in actions
    assert not {action for action in actions if "Delete" in action and action.startswith("dynamodb:")}


@pytest.mark.parametrize("table", ["StateTable", "AuditTable"])
def test_what_has_expired_goes_by_the_attribute_that_the_code_writes(account: None, table: str) -> None:
    state = OperationState(OPERATION, EXECUTION, NOW)
    state.open("snapshot-check", {}, a_plan(), "running")
    state.audit("snapshot-check", "done", {})
    TargetLock(TARGET, OPERATION, EXECUTION).claim(NOW)
    expiry = properties(table)["TimeToLiveSpecification"]
    assert expiry["Enabled"] is True
    items = client("dynamodb").scan(TableName=STATE_TABLE if table == "StateTable" else AUDIT_TABLE)["Items"]
    assert items
    for item in items:
        assert int(item[expiry["AttributeName"]]["N"]) > NOW.timestamp()


def test_tables_are_encrypted_with_the_stacks_key_and_can_be_restored() -> None:
    key = {"Fn::If": ["MakesKey", {"Fn::GetAtt": ["Key", "Arn"]}, {"Ref": "EncryptionKeyArn"}]}
    for table in ("StateTable", "AuditTable"):
        encryption = {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
        assert properties(table)["SSESpecification"] == encryption
        assert properties(table)["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
        assert properties(table)["DeletionProtectionEnabled"] is True
    for secret in ("AdminSecret", "AppSecret"):
        assert properties(secret)["KmsKeyId"] == key
    assert properties("Topic")["KmsMasterKeyId"] == key


# Secrets


@pytest.mark.parametrize(
    ("secret", "generated"),
    [
        (
            "AdminSecret",
            {
                "SecretStringTemplate": (
                    '{"username": "none-yet", "host": "none-yet", "port": 5432, "engine": "postgres"}'
                ),
                "GenerateStringKey": "password",
                "ExcludePunctuation": True,
            },
        ),
        (
            "AppSecret",
            {
                "SecretStringTemplate": '{"readonly_pwd": ""}',
                "GenerateStringKey": "app_password",
                "PasswordLength": 36,
                "ExcludePunctuation": True,
            },
        ),
    ],
)
def test_how_a_secret_is_generated_never_changes(secret: str, generated: dict[str, Any]) -> None:
    """CloudFormation writes the whole secret anew when it does, in every stack.

    Passwords and roles that people have put there would be gone, and the master login of the restored cluster:
    aws-cloudformation/cloudformation-coverage-roadmap#1161 and #2210. So this is no assertion to adapt.
    """
    assert properties(secret)["GenerateSecretString"] == generated


# The network


def test_the_endpoint_is_the_functions_own_and_leaves_the_vpcs_names_alone() -> None:
    """With private DNS every workload of the VPC would be led to an endpoint that admits this function alone."""
    first_two = [{"Fn::Select": [number, {"Ref": "SubnetIds"}]} for number in (0, 1)]
    endpoint = properties("SecretsManagerEndpoint")
    assert endpoint["PrivateDnsEnabled"] is False
    assert endpoint["SubnetIds"] == first_two
    function = properties("SetupDbUsersFunction")
    assert function["VpcConfig"]["SubnetIds"] == first_two
    name = {"Fn::Select": [0, {"Fn::GetAtt": ["SecretsManagerEndpoint", "DnsEntries"]}]}
    host = {"Fn::Select": [1, {"Fn::Split": [":", name]}]}
    assert function["Environment"]["Variables"]["AWS_ENDPOINT_URL_SECRETS_MANAGER"] == {
        "Fn::If": ["MakesEndpoints", {"Fn::Sub": ["https://${Host}", {"Host": host}]}, {"Ref": "AWS::NoValue"}]
    }
    (rule,) = properties("EndpointSecurityGroup")["SecurityGroupIngress"]
    group = {
        "Fn::If": [
            "MakesFunctionSecurityGroup",
            {"Fn::GetAtt": ["FunctionSecurityGroup", "GroupId"]},
            {"Ref": "FunctionSecurityGroupId"},
        ]
    }
    assert rule["SourceSecurityGroupId"] == group


def test_the_door_admits_the_function_alone_and_lets_nothing_out() -> None:
    """Whatever else refers to the group would let somebody through it, so every resource that does is named here."""
    group = {"Fn::GetAtt": ["DoorSecurityGroup", "GroupId"]}
    function = {
        "Fn::If": [
            "MakesFunctionSecurityGroup",
            {"Fn::GetAtt": ["FunctionSecurityGroup", "GroupId"]},
            {"Ref": "FunctionSecurityGroupId"},
        ]
    }
    ports = {"IpProtocol": "tcp", "FromPort": 1150, "ToPort": 65535}
    door = properties("DoorSecurityGroup")
    assert "SecurityGroupIngress" not in door
    (out,) = door["SecurityGroupEgress"]
    assert (out["IpProtocol"], out["CidrIp"]) == ("-1", "127.0.0.1/32")
    assert door["VpcId"] == {"Ref": "VpcId"}
    rules = {name: each for name, each in RESOURCES.items() if each["Type"].startswith("AWS::EC2::SecurityGroup")}
    naming = {name for name, each in rules.items() if "DoorSecurityGroup" in json.dumps(each)}
    assert naming == {"DoorFromFunction", "FunctionToDoor"}
    entry = {key: value for key, value in properties("DoorFromFunction").items() if key != "Description"}
    assert entry == {"GroupId": group, "SourceSecurityGroupId": function, **ports}
    way = {key: value for key, value in properties("FunctionToDoor").items() if key != "Description"}
    own = {"Fn::GetAtt": ["FunctionSecurityGroup", "GroupId"]}
    assert way == {"GroupId": own, "DestinationSecurityGroupId": group, **ports}


def test_the_functions_that_plan_and_make_a_cluster_know_the_door() -> None:
    group = {"Fn::GetAtt": ["DoorSecurityGroup", "GroupId"]}
    for function in ("SnapshotCheckFunction", "RestoreSnapshotFunction"):
        assert properties(function)["Environment"]["Variables"]["DOOR_SECURITY_GROUP_ID"] == group


def test_no_group_of_open_clusters_admits_anybody_by_the_stacks_doing() -> None:
    rules = [each for each in RESOURCES.values() if each["Type"].startswith("AWS::EC2::SecurityGroupI")]
    assert [each for each in rules if "DatabaseSecurityGroup" in json.dumps(each)] == []
    assert "SecurityGroupIngress" not in properties("DatabaseSecurityGroup")


# What is refused while deploying


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"MaskingPolicy": "staging"}, "need MaskingPolicies"),
        ({"RequireMasking": "true"}, "need MaskingPolicies"),
        ({"MaskingPolicies": ONE_POLICY, "MaskingPolicy": "staging", "ArchiveSnapshot": "keep"}, "can only be delete"),
        (
            {"MaskingPolicies": ONE_POLICY, "MaskingPolicy": "staging", "ArchiveSnapshot": "export"},
            "can only be delete",
        ),
        ({"MaskingPolicies": ONE_POLICY, "ArchiveSnapshot": "keep"}, ""),
        ({"Verification": "nightly"}, "Verification needs VerificationPolicies"),
        ({"Verification": "basic"}, ""),
        ({"Verification": "staging", "VerificationPolicies": ONE_POLICY}, ""),
        ({"MaskingPolicies": ONE_POLICY, "MaskingPolicy": "staging", "RequireMasking": "true"}, ""),
    ],
)
def test_what_every_run_would_be_refused_for_is_not_deployed(given: dict[str, str], said: str) -> None:
    pseudo = pseudo_parameters(OWN, "eu-central-1", "stack")
    needed = {"SourceClusterId": "prod", "TargetClusterId": "staging", "VpcId": "vpc-1", "SubnetIds": "s-1,s-2"}
    document = translated() | {"Rules": source()["Rules"]}
    if said:
        with pytest.raises(TemplateError, match=said):
            Template(document, needed | given, pseudo)
    else:
        Template(document, needed | given, pseudo)
