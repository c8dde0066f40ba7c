"""The embedded AWS with the real template deployed into it, ready for an execution."""

from __future__ import annotations

import json
import pathlib
from dataclasses import dataclass
from typing import Any

from scripts.local_aws.aurora.service import Durations
from scripts.local_aws.cloudformation.deploy import Stack
from scripts.local_aws.server import LocalAws

PROJECT = pathlib.Path(__file__).parents[2]
TEMPLATE = PROJECT / "infrastructure" / "aurora-restore-pipeline.yaml"
REGION = "us-east-1"
OTHER_REGION = "us-west-2"
SOURCE, TARGET = "prod-orders", "staging-orders"
# In real time Aurora's twenty minutes take ten seconds, and the pipeline looks every half second.
REAL_TIME_FACTOR = 1 / 120


@dataclass
class Stage:
    """A deployed stack in its embedded AWS, and a subscriber of its topic."""

    aws: LocalAws
    stack: Stack
    messages_queue: str

    @property
    def state_machine_arn(self) -> str:
        """Return the ARN of the stack's state machine."""
        return self.stack.outputs["StateMachineArn"]

    def shut_its_door(self) -> None:
        """Let the stack's door admit functions alone, as on AWS: else everybody reaches every cluster."""
        self.aws.aurora.doors.add(self.stack.outputs["DoorSecurityGroupId"])

    def environment(self) -> dict[str, str]:
        """Return what a person exports, and a program reads, to work with it."""
        outputs = self.stack.outputs
        return {
            "AWS_ENDPOINT_URL": self.aws.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.aws.operator.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.aws.operator.secret_access_key,
            "AWS_DEFAULT_REGION": REGION,
            "STATE_MACHINE_ARN": self.state_machine_arn,
            "TOPIC_ARN": outputs["TopicArn"],
            "STATE_TABLE": outputs["StateTableName"],
            "AUDIT_TABLE": outputs["AuditTableName"],
            "ADMIN_SECRET_ARN": outputs["AdminSecretArn"],
            "APP_SECRET_ARN": outputs["AppSecretArn"],
            "RDS_CA_BUNDLE": str(self.aws.rds_ca_bundle),
            # The functions run on this machine's Python, for which the layer of a deployment has to be built.
            "LAYER_OPTIONS": "--here",
        }

    def function_memory(self) -> dict[str, int]:
        """Return the memory in MiB by the function's name."""
        functions = self.aws.client("lambda").list_functions()["Functions"]
        return {each["FunctionName"]: each["MemorySize"] for each in functions}

    def logged(self) -> list[str]:
        """Return every line that the stack's functions have logged."""
        logs = self.aws.client("logs")
        groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
        pages = logs.get_paginator("filter_log_events")
        return [
            event["message"]
            for group in groups
            for page in pages.paginate(logGroupName=group["logGroupName"])
            for event in page["events"]
        ]

    def secret(self, arn: str) -> dict[str, Any]:
        """Return the current value of a secret."""
        answer = self.aws.client("secretsmanager").get_secret_value(SecretId=arn)
        return dict(json.loads(answer["SecretString"]))

    def received_messages(self) -> list[dict[str, str]]:
        """Return what the topic has delivered to a subscriber since the last call: subject and message."""
        sqs, messages = self.aws.client("sqs"), []
        while batch := sqs.receive_message(QueueUrl=self.messages_queue, MaxNumberOfMessages=10).get("Messages"):
            for each in batch:
                sqs.delete_message(QueueUrl=self.messages_queue, ReceiptHandle=each["ReceiptHandle"])
                body = json.loads(each["Body"])
                messages.append({"subject": body.get("Subject", ""), "message": body["Message"]})
        return messages


def start(*, real_time: bool) -> LocalAws:
    """Start an embedded AWS, which jumps over waiting unless `real_time` is set."""
    return LocalAws(real_time=real_time, durations=Durations().scaled(REAL_TIME_FACTOR) if real_time else None)


def deploy(
    aws: LocalAws, *, cross_region: bool, overrides: dict[str, str], stack_name: str = "aurora-restore"
) -> Stage:
    """Deploy the template as a first user would, and subscribe to its topic."""
    stack = aws.deploy(
        TEMPLATE,
        stack_name=stack_name,
        region=REGION,
        parameters=_parameters(aws, cross_region) | _for_exports(aws, stack_name) | overrides,
    )
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName=f"{stack_name}-subscriber")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    aws.client("sns").subscribe(TopicArn=stack.outputs["TopicArn"], Protocol="sqs", Endpoint=attributes["QueueArn"])
    return Stage(aws, stack, queue)


def _parameters(aws: LocalAws, cross_region: bool) -> dict[str, str]:
    ec2 = aws.client("ec2")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    parameters = {
        "SourceClusterId": SOURCE,
        "TargetClusterId": TARGET,
        # One more than production has, so that readers are seen as well.
        "InstanceCount": "2",
        "VpcId": vpc,
        "SubnetIds": ",".join(sorted(subnet["SubnetId"] for subnet in subnets)),
        "Architecture": "x86_64",
        "DeletableClusterPattern": "*",
        "RdsCaBundlePath": str(aws.rds_ca_bundle),
    }
    if cross_region:
        key = aws.client("kms").create_key(Description="Staging's data")["KeyMetadata"]["Arn"]
        parameters |= {"SourceRegion": OTHER_REGION, "KmsKeyId": key}
    if aws.clock.real_time:
        parameters["PollSeconds"] = "1"
    else:
        # Each hour over which the clock jumps would have a sweep of its own, in the middle of what is being shown.
        parameters["ExpirySchedule"] = ""
    return parameters


def _for_exports(aws: LocalAws, stack_name: str) -> dict[str, str]:
    """Create what a stack that exports is given: a bucket, a role that RDS assumes to write into it, a key.

    As the Aurora user guide has it ("Exporting DB cluster snapshot data to Amazon S3", "Setting up access").
    """
    name = f"{stack_name}-exports"
    bucket = f"arn:aws:s3:::{name}"
    aws.client("s3").create_bucket(Bucket=name)
    service = {"Effect": "Allow", "Principal": {"Service": "export.rds.amazonaws.com"}, "Action": "sts:AssumeRole"}
    on_objects = {"Effect": "Allow", "Action": ["s3:PutObject*", "s3:GetObject*", "s3:DeleteObject*"]}
    on_bucket = {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:GetBucketLocation"], "Resource": bucket}
    iam = aws.client("iam")
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=_policy(service))["Role"]["Arn"]
    allowed = _policy({**on_objects, "Resource": f"{bucket}/*"}, on_bucket)
    iam.put_role_policy(RoleName=name, PolicyName="write", PolicyDocument=allowed)
    key = aws.client("kms").create_key(Description="Exports")["KeyMetadata"]["Arn"]
    return {"ExportBucketName": name, "ExportRoleArn": role, "ExportKmsKeyId": key}


def _policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
