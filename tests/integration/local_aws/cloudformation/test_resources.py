"""A deployed template exists: its resources answer the services' own APIs, with every property that was asked for."""

from __future__ import annotations

import itertools
import json
import pathlib
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from scripts.local_aws.cloudformation.deploy import Stack
from scripts.local_aws.cloudformation.intrinsics import TemplateError
from scripts.local_aws.server import LocalAws

REGION = "eu-west-1"
ACCOUNT = "123456789012"
PROJECT = pathlib.Path(__file__).parents[4]
TRUST = "{Statement: [{Effect: Allow, Principal: {Service: %s.amazonaws.com}, Action: sts:AssumeRole}]}"
_numbers = itertools.count(1)

EVERYTHING = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Seconds: {Type: Number, Default: 30}
Resources:
  Key:
    Type: AWS::KMS::Key
    Properties:
      EnableKeyRotation: true
      KeyPolicy:
        Version: 2012-10-17
        Statement:
          - Effect: Allow
            Principal:
              AWS: !Sub "arn:aws:iam::${AWS::AccountId}:root"
              Service: !Sub "logs.${AWS::Region}.amazonaws.com"
            Action: kms:*
            Resource: "*"
  KeyAlias: {Type: AWS::KMS::Alias, Properties: {AliasName: alias/everything, TargetKeyId: !Ref Key}}
  Logs:
    Type: AWS::Logs::LogGroup
    Properties: {LogGroupName: /aws/lambda/everything, RetentionInDays: "30", KmsKeyId: !GetAtt Key.Arn}
  MachineLogs: {Type: AWS::Logs::LogGroup}
  Errors:
    Type: AWS::Logs::MetricFilter
    Properties:
      LogGroupName: !Ref Logs
      FilterPattern: ERROR
      MetricTransformations: [{MetricName: Errors, MetricNamespace: Test, MetricValue: 1}]
  Layer:
    Type: AWS::Serverless::LayerVersion
    Properties: {LayerName: everything, ContentUri: layer, CompatibleRuntimes: [python3.13]}
  Function:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: everything
      CodeUri: code
      Handler: app.handler
      Runtime: python3.13
      Architectures: [arm64]
      Timeout: !Ref Seconds
      MemorySize: "256"
      Layers: [!Ref Layer]
      Role: !GetAtt FunctionRole.Arn
      Environment: {Variables: {SECONDS: !Ref Seconds, TABLE: !Ref Table}}
      LoggingConfig: {LogGroup: !Ref Logs, LogFormat: JSON}
      VpcConfig: {SubnetIds: [], SecurityGroupIds: []}
      Tags: {team: restore}
      EventInvokeConfig: {MaximumRetryAttempts: 1}
  FunctionRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: TRUST_LAMBDA
      ManagedPolicyArns:
        - !Sub "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
        - !Ref Shared
      Policies:
        - PolicyName: own
          PolicyDocument: {Statement: [{Effect: Allow, Action: sns:Publish, Resource: !Ref Topic}]}
  Shared:
    Type: AWS::IAM::ManagedPolicy
    Properties:
      PolicyDocument: {Statement: [{Effect: Allow, Action: dynamodb:GetItem, Resource: !GetAtt Table.Arn}]}
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      Name: everything
      DefinitionUri: machine.asl.json
      DefinitionSubstitutions: {FunctionArn: !GetAtt Function.Arn}
      Logging: {Level: ALL, Destinations: [{CloudWatchLogsLogGroup: {LogGroupArn: !GetAtt MachineLogs.Arn}}]}
      Policies:
        - LambdaInvokePolicy: {FunctionName: !Ref Function}
        - Statement:
            - Effect: Allow
              Action: [logs:*Log*, logs:*Resource*]
              Resource: "*"
      Events:
        Nightly:
          Type: ScheduleV2
          Properties: {ScheduleExpression: rate(1 day), State: DISABLED, Input: "{}"}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventPattern: {source: [aws.states], detail: {status: [FAILED]}}
      Targets: [{Id: function, Arn: !GetAtt Function.Arn}]
  RuleMay:
    Type: AWS::Lambda::Permission
    Properties:
      Action: lambda:InvokeFunction
      FunctionName: !Ref Function
      Principal: events.amazonaws.com
      SourceArn: !GetAtt Rule.Arn
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      TimeToLiveSpecification: {AttributeName: expires_at, Enabled: true}
      PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}
      SSESpecification: {SSEEnabled: true, SSEType: KMS, KMSMasterKeyId: !GetAtt Key.Arn}
      DeletionProtectionEnabled: true
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties:
      KmsKeyId: !Ref Key
      GenerateSecretString:
        SecretStringTemplate: '{"username": "admin"}'
        GenerateStringKey: password
        PasswordLength: "20"
  Topic: {Type: AWS::SNS::Topic, Properties: {KmsMasterKeyId: !Ref Key, DisplayName: Everything}}
  TopicPolicy:
    Type: AWS::SNS::TopicPolicy
    Properties:
      Topics: [!Ref Topic]
      PolicyDocument:
        Statement:
          - {Effect: Allow, Principal: {Service: events.amazonaws.com}, Action: sns:Publish, Resource: !Ref Topic}
  Mail: {Type: AWS::SNS::Subscription, Properties: {TopicArn: !Ref Topic, Protocol: email, Endpoint: a@example.com}}
  DeadLetters: {Type: AWS::SQS::Queue, Properties: {MessageRetentionPeriod: 1209600}}
  DeadLettersPolicy:
    Type: AWS::SQS::QueuePolicy
    Properties:
      Queues: [!Ref DeadLetters]
      PolicyDocument:
        Version: 2012-10-17
        Statement:
          - Effect: Allow
            Principal: {Service: events.amazonaws.com}
            Action: sqs:SendMessage
            Resource: !GetAtt DeadLetters.Arn
  Group:
    Type: AWS::EC2::SecurityGroup
    Properties:
      GroupDescription: everything
      SecurityGroupEgress: [{IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 10.0.0.0/8, Description: APIs}]
  GroupIngress:
    Type: AWS::EC2::SecurityGroupIngress
    Properties: {GroupId: !Ref Group, IpProtocol: tcp, FromPort: 5432, ToPort: 5432, SourceSecurityGroupId: !Ref Group}
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties:
      Namespace: AWS/States
      MetricName: ExecutionsFailed
      Dimensions: [{Name: StateMachineArn, Value: !Ref Machine}]
      Statistic: Sum
      Period: 300
      EvaluationPeriods: 1
      Threshold: 1
      ComparisonOperator: GreaterThanOrEqualToThreshold
      TreatMissingData: notBreaching
      AlarmActions: [!Ref Topic]
  Any:
    Type: AWS::CloudWatch::CompositeAlarm
    Properties: {AlarmName: any, AlarmRule: !Sub "ALARM(${Alarm})"}
  Board: {Type: AWS::CloudWatch::Dashboard, Properties: {DashboardName: board, DashboardBody: '{"widgets": []}'}}
Outputs:
  Machine: {Value: !Ref Machine}
"""


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("template")
    (directory / "code" / "__pycache__").mkdir(parents=True)
    (directory / "code" / "__pycache__" / "app.pyc").touch()
    (directory / "code" / "app.py").write_text("def handler(event, context):\n    return event\n")
    (directory / "layer" / "python").mkdir(parents=True)
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True}
    task["Parameters"] = {"FunctionName": "${FunctionArn}"}
    (directory / "machine.asl.json").write_text(json.dumps({"StartAt": "Run", "States": {"Run": task}}))
    return directory


@pytest.fixture(scope="module")
def deploy(aws: LocalAws, directory: pathlib.Path) -> Callable[[str], Stack]:
    def deploy(text: str) -> Stack:
        number = next(_numbers)
        path = directory / f"template-{number}.yaml"
        for service in ("lambda", "states"):
            text = text.replace(f"TRUST_{service.upper()}", TRUST % service)
        path.write_text(textwrap.dedent(text))
        return aws.deploy(path, stack_name=f"stack-{number}", region=REGION, parameters={})

    return deploy


@pytest.fixture(scope="module")
def stack(deploy: Callable[[str], Stack]) -> Stack:
    return deploy(EVERYTHING)


class TestEverything:
    def client(self, aws: LocalAws, service: str) -> Any:
        return aws.client(service, REGION)

    def test_outputs_and_physical_ids_are_those_of_cloudformation(self, stack: Stack) -> None:
        arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:everything"
        assert stack.outputs == {"Machine": arn}
        assert stack.resources["Function"] == "everything"
        assert stack.resources["Topic"].startswith(f"arn:aws:sns:{REGION}:{ACCOUNT}:stack-1-Topic-")

    def test_the_function_has_its_configuration(self, aws: LocalAws, stack: Stack) -> None:
        configuration = self.client(aws, "lambda").get_function_configuration(FunctionName="everything")
        assert configuration["Timeout"] == 30
        assert configuration["MemorySize"] == 256
        assert configuration["Architectures"] == ["arm64"]
        assert configuration["Environment"]["Variables"] == {"SECONDS": "30", "TABLE": stack.resources["Table"]}
        assert configuration["LoggingConfig"] == {"LogGroup": "/aws/lambda/everything", "LogFormat": "JSON"}
        assert [layer["Arn"].split(":")[6] for layer in configuration["Layers"]] == ["everything"]
        tags = self.client(aws, "lambda").list_tags(Resource=configuration["FunctionArn"])["Tags"]
        assert tags["team"] == "restore"
        invoke = self.client(aws, "lambda").get_function_event_invoke_config(FunctionName="everything")
        assert invoke["MaximumRetryAttempts"] == 1

    def test_the_function_runs(self, aws: LocalAws, stack: Stack) -> None:
        answer = self.client(aws, "lambda").invoke(FunctionName="everything", Payload=b'{"a": 1}')
        assert json.loads(answer["Payload"].read()) == {"a": 1}

    def test_the_layer_is_the_directory_itself(self, aws: LocalAws, stack: Stack, directory: pathlib.Path) -> None:
        arn = next(ref for ref in stack.resources.values() if ":layer:everything:" in ref)
        assert aws.layers[arn] == [directory / "layer"]

    def test_the_role_has_inline_managed_and_awss_own_policies(self, aws: LocalAws, stack: Stack) -> None:
        iam, role = aws.client("iam"), stack.resources["FunctionRole"]
        assert iam.list_role_policies(RoleName=role)["PolicyNames"] == ["own"]
        attached = {
            policy["PolicyArn"] for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]
        }
        aws_own = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
        assert attached == {aws_own, stack.resources["Shared"]}

    def test_the_machine_has_its_definition_and_logging(self, aws: LocalAws, stack: Stack) -> None:
        machine = self.client(aws, "stepfunctions").describe_state_machine(stateMachineArn=stack.outputs["Machine"])
        function = json.loads(machine["definition"])["States"]["Run"]["Parameters"]["FunctionName"]
        assert function == f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:everything"
        assert machine["loggingConfiguration"]["level"] == "ALL"

    def test_the_table_keeps_what_protects_it(self, aws: LocalAws, stack: Stack) -> None:
        name, dynamodb = stack.resources["Table"], self.client(aws, "dynamodb")
        table = dynamodb.describe_table(TableName=name)["Table"]
        assert table["DeletionProtectionEnabled"] is True
        assert table["SSEDescription"]["KMSMasterKeyArn"].endswith(stack.resources["Key"])
        expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        assert expiry == {"AttributeName": "expires_at", "TimeToLiveStatus": "ENABLED"}
        recovery = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
        assert recovery["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"

    def test_the_secret_is_generated_into_its_template(self, aws: LocalAws, stack: Stack) -> None:
        answer = self.client(aws, "secretsmanager").get_secret_value(SecretId=stack.resources["Secret"])
        value = json.loads(answer["SecretString"])
        assert value["username"] == "admin"
        assert len(value["password"]) == 20

    def test_the_topic_admits_the_service_of_its_policy(self, aws: LocalAws, stack: Stack) -> None:
        topic = stack.resources["Topic"]
        assert aws.permissions.service_may("events.amazonaws.com", "sns:Publish", topic)
        assert not aws.permissions.service_may("cloudwatch.amazonaws.com", "sns:Publish", topic)
        attributes = self.client(aws, "sns").get_topic_attributes(TopicArn=topic)["Attributes"]
        assert attributes["KmsMasterKeyId"] == stack.resources["Key"]
        assert attributes["DisplayName"] == "Everything"

    def test_the_security_group_lets_out_only_what_it_states(self, aws: LocalAws, stack: Stack) -> None:
        ids = [stack.resources["Group"]]
        group = self.client(aws, "ec2").describe_security_groups(GroupIds=ids)["SecurityGroups"][0]
        assert [(rule["FromPort"], rule["IpRanges"][0]["CidrIp"]) for rule in group["IpPermissionsEgress"]] == [
            (443, "10.0.0.0/8")
        ]
        assert group["IpPermissions"][0]["UserIdGroupPairs"][0]["GroupId"] == ids[0]

    def test_what_watches_is_there(self, aws: LocalAws, stack: Stack) -> None:
        cloudwatch = self.client(aws, "cloudwatch")
        assert cloudwatch.describe_alarms(AlarmNames=[stack.resources["Alarm"]])["MetricAlarms"][0]["Period"] == 300
        composite = cloudwatch.describe_alarms(AlarmTypes=["CompositeAlarm"])["CompositeAlarms"][0]
        assert composite["AlarmRule"] == f"ALARM({stack.resources['Alarm']})"
        assert json.loads(cloudwatch.get_dashboard(DashboardName="board")["DashboardBody"]) == {"widgets": []}
        logs = self.client(aws, "logs")
        groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/everything")["logGroups"]
        assert groups[0]["retentionInDays"] == 30
        assert logs.describe_metric_filters()["metricFilters"][0]["filterName"] == stack.resources["Errors"]
        rule = self.client(aws, "events").list_targets_by_rule(Rule=stack.resources["Rule"])
        assert rule["Targets"][0]["Arn"].endswith(":function:everything")
        schedules = self.client(aws, "scheduler").list_schedules()["Schedules"]
        assert [schedule["State"] for schedule in schedules] == ["DISABLED"]


def function(**properties: str) -> str:
    given = {
        "CodeUri": "code",
        "Handler": "app.handler",
        "Runtime": "python3.13",
        "Role": "!GetAtt Role.Arn",
        **properties,
    }
    lines = "".join(f"\n              {name}: {value}" for name, value in given.items())
    return f"""
        Transform: AWS::Serverless-2016-10-31
        Resources:
          Role: {{Type: AWS::IAM::Role, Properties: {{AssumeRolePolicyDocument: TRUST_LAMBDA}}}}
          F:
            Type: AWS::Serverless::Function
            Properties:{lines}
    """


def machine(definition: str = '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}', more: str = "") -> str:
    return f"""
        Resources:
          Role: {{Type: AWS::IAM::Role, Properties: {{AssumeRolePolicyDocument: TRUST_STATES}}}}
          M:
            Type: AWS::StepFunctions::StateMachine
            Properties:
              RoleArn: !GetAtt Role.Arn
              DefinitionString: '{definition}'
              {more}
    """


def one(resource_type: str, properties: str) -> str:
    return f"Resources: {{R: {{Type: {resource_type}, Properties: {{{properties}}}}}}}"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (one("AWS::EC2::Instance", ""), "Resource types not known to the embedded AWS: AWS::EC2::Instance"),
        (one("AWS::SNS::Topic", "TopicNam: x"), r"R \(AWS::SNS::Topic\): property TopicNam is not known"),
        (one("AWS::SNS::Subscription", "Protocol: email"), "TopicArn"),
        (one("AWS::SNS::Topic", "Tags: [{Key: 'aws:x', Value: y}]"), "reserved prefix"),
        (one("AWS::S3::Bucket", "Tags: [{Key: 'aws:x', Value: y}]"), "reserved prefix"),
        (one("AWS::KMS::Key", "Tags: [{Key: a, Value: x}, {Key: a, Value: y}]"), "Duplicate tag keys"),
        (one("AWS::SQS::Queue", "Tags: [{Key: a, Value: x}, {Key: a, Value: y}]"), "Duplicate tag keys"),
        (one("AWS::Logs::LogGroup", "RetentionInDays: many"), "RetentionInDays must be one of"),
        (one("AWS::Logs::LogGroup", "RetentionInDays: 31"), "RetentionInDays must be one of 1, 3, 5"),
        (one("AWS::SQS::Queue", "Tags: [{Key: a, Valu: y}]"), "Valu"),
        (
            one("AWS::DynamoDB::Table", "KeySchema: [{AttributeName: id, KeyTyp: HASH}], AttributeDefinitions: []"),
            r"KeySchema\[0\]\.KeyTyp does not exist",
        ),
        (
            one("AWS::DynamoDB::Table", "BillingMode: CHEAP, KeySchema: [], AttributeDefinitions: []"),
            "BillingMode must be one of PROVISIONED, PAY_PER_REQUEST",
        ),
        (one("AWS::SecretsManager::Secret", "GenerateSecretString: {GenerateStringKey: x}"), "go together"),
        (one("AWS::CloudWatch::Dashboard", "DashboardBody: '{'"), "not JSON"),
        (
            one("AWS::IAM::ManagedPolicy", "PolicyDocument: {Statement: [{Effect: Allow, Action: 's:*'}]}"),
            "MalformedPolicyDocument",
        ),
        (
            one(
                "AWS::IAM::Role",
                f"AssumeRolePolicyDocument: {TRUST % 'x'}, ManagedPolicyArns: ['arn:aws:iam::aws:policy/P']",
            ),
            "does not know arn:aws:iam::aws:policy/P",
        ),
        (
            one("AWS::IAM::Role", f"RoleName: {'r' * 65}, AssumeRolePolicyDocument: {TRUST % 'x'}"),
            "RoleName must be between 1 and 64",
        ),
        (function(Handler="missing.handler"), "Handler missing.handler needs missing.py"),
        (function(CodeUri="nowhere"), "nowhere does not exist"),
        (function(Environment="{Variables: {AWS_REGION: x}}"), "Reserved keys used in this request: AWS_REGION"),
        (function(Environment=f"{{Variables: {{A: {'x' * 4096}}}}}"), "exceeded the 4KB limit"),
        (function(Runtime="python2.99"), "Runtime must be one of"),
        (function(Timeout="901"), "Timeout must be at most 900"),
        (one("AWS::SNS::Topic", "{"), "YAML"),
        (function(SnapStart="{ApplyOn: PublishedVersions}"), "SnapStart is not known"),
        (function().replace("TRUST_LAMBDA", "TRUST_STATES"), "cannot be assumed by Lambda"),
        (function(VpcConfig="{SubnetIds: [subnet-1], SecurityGroupIds: [sg-1]}"), "CreateNetworkInterface on EC2"),
        (machine('{"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": ${X}, "End": true}}}'), r"\$\{X\}"),
        (machine(more="DefinitionSubstitutions: {X: 1}"), "DefinitionSubstitutions.X occurs nowhere"),
        (machine("{"), "not JSON"),
        (machine().replace("TRUST_STATES", "TRUST_LAMBDA"), "authorized to assume the provided role"),
        (
            machine(
                more="LoggingConfiguration: {Level: ALL, Destinations: [{CloudWatchLogsLogGroup: "
                "{LogGroupArn: 'arn:aws:logs:eu-west-1:123456789012:log-group:x:*'}}]}"
            ),
            "not authorized to access the Log Destination",
        ),
    ],
)
def test_what_aws_would_refuse_or_ignore_is_refused_by_name(
    deploy: Callable[[str], Stack], template: str, message: str
) -> None:
    with pytest.raises(TemplateError, match=message):
        deploy(template)


def test_a_state_machine_too_many_in_the_policy_of_logs_is_refused(
    aws: LocalAws, deploy: Callable[[str], Stack]
) -> None:
    """But for one whose group lies under /aws/vendedlogs/, which is one entry for all."""
    logs = aws.client("logs", REGION)
    before = {
        each["policyName"]: each["policyDocument"] for each in logs.describe_resource_policies()["resourcePolicies"]
    }
    name = "AWSLogDeliveryWrite20150319"
    vended = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/vendedlogs/*"
    crowd = [{"Effect": "Allow", "Resource": [vended, "x" * 4_900]}]
    logs.put_resource_policy(policyName=name, policyDocument=json.dumps({"Version": "2012-10-17", "Statement": crowd}))

    def logged(group: str) -> str:
        policy = "{Version: 2012-10-17, Statement: [{Effect: Allow, Action: 'logs:*', Resource: '*'}]}"
        destination = "{CloudWatchLogsLogGroup: {LogGroupArn: !GetAtt L.Arn}}"
        text = machine(more=f"LoggingConfiguration: {{Level: ERROR, Destinations: [{destination}]}}").replace(
            "TRUST_STATES}", "TRUST_STATES, Policies: [{PolicyName: p, PolicyDocument: " + policy + "}]}"
        )
        return text.rstrip() + f"\n          L: {{Type: AWS::Logs::LogGroup, Properties: {{LogGroupName: {group}}}}}\n"

    try:
        with pytest.raises(TemplateError, match="The CloudWatch Logs Resource Policy size was exceeded"):
            deploy(logged("/aws/states/one-too-many"))
        deploy(logged("/aws/vendedlogs/states/one-more"))
    finally:
        logs.put_resource_policy(policyName=name, policyDocument=before.get(name, '{"Statement": []}'))


def test_a_log_group_needs_a_key_that_admits_cloudwatch_logs(deploy: Callable[[str], Stack]) -> None:
    with pytest.raises(TemplateError, match="not allowed to be used with"):
        deploy("""
            Resources:
              Key: {Type: AWS::KMS::Key}
              Logs: {Type: AWS::Logs::LogGroup, Properties: {KmsKeyId: !GetAtt Key.Arn}}
        """)


def test_network_parameters_must_exist(aws: LocalAws, directory: pathlib.Path) -> None:
    path = directory / "network.yaml"
    path.write_text("Parameters: {Vpc: {Type: AWS::EC2::VPC::Id}}\nResources: {T: {Type: AWS::SNS::Topic}}")
    with pytest.raises(TemplateError, match="parameter name Vpc does not exist"):
        aws.deploy(path, stack_name="network", region=REGION, parameters={"Vpc": "vpc-00000000"})


def test_the_pipelines_own_template_deploys(aws: LocalAws) -> None:
    region = "ap-southeast-2"
    ec2 = aws.client("ec2", region)
    parameters = {
        "NamePrefix": "deploys",
        "SourceClusterId": "production",
        "TargetClusterId": "staging",
        "NotificationEmail": "team@example.com",
        "VpcId": ec2.describe_vpcs()["Vpcs"][0]["VpcId"],
        "SubnetIds": ",".join(subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]),
    }
    template = PROJECT / "infrastructure" / "aurora-restore-pipeline.yaml"
    stack = aws.deploy(template, stack_name="deploys", region=region, parameters=parameters)
    functions = {name for name in stack.resources.values() if name.startswith("deploys-") and "Function" not in name}
    folders = {path.parent.name for path in (PROJECT / "lambda_functions").glob("*/lambda_function.py")}
    assert {folder.replace("aurora-restore-", "deploys-", 1) for folder in folders} <= functions
    # The clock jumps by weeks in other tests, and each hour of them would begin a sweep.
    schedules = aws.client("scheduler", region)
    for each in schedules.list_schedules()["Schedules"]:
        schedules.delete_schedule(Name=each["Name"])
