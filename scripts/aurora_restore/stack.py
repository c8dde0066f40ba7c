"""The deployed stack that the command works with, found by its name and known by its outputs.

Profile, region, credentials and AWS_ENDPOINT_URL are botocore's own matter: what works for the AWS CLI works here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError, ProfileNotFound
from botocore.session import Session

from .arns import execution_of, place_of
from .exits import NOT_FOUND, UNEXPECTED, USAGE, CommandError

DEFAULT_STACK = "aurora-restore"
NEEDED = ("StateMachineArn", "StateTableName", "AuditTableName")


@dataclass
class Stack:
    """A stack of the pipeline: its outputs and parameters, and clients for its account and region."""

    name: str
    session: Session
    outputs: dict[str, str]
    parameters: dict[str, str]
    updated_at: Any
    _clients: dict[str, Any] = field(default_factory=dict, repr=False)

    def client(self, service: str) -> Any:
        """Return a client of a service, the same one each time."""
        if service not in self._clients:
            self._clients[service] = _client(self.session, service)
        return self._clients[service]

    @property
    def state_machine_arn(self) -> str:
        """Return the ARN of the state machine that carries operations out."""
        return self.outputs["StateMachineArn"]

    @property
    def region(self) -> str:
        """Return the region of the stack."""
        return place_of(self.state_machine_arn)[0]

    @property
    def account(self) -> str:
        """Return the account of the stack."""
        return place_of(self.state_machine_arn)[1]

    def output(self, name: str, needed_for: str) -> str:
        """Return an output that older stacks lack. Raise CommandError where this one does."""
        if name not in self.outputs:
            message = f"Stack {self.name!r} has no output {name}, which {needed_for} needs. Update the stack."
            raise CommandError("NotInThisStack", message, NOT_FOUND)
        return self.outputs[name]

    @property
    def where(self) -> str:
        """Return the line that says what a command works with."""
        return f"Account {self.account}, {self.region}, stack {self.name}"

    def execution_arn(self, name: str) -> str:
        """Return the ARN of the execution of this name."""
        return execution_of(self.state_machine_arn, name)


def find_stack(name: str, profile: str | None, region: str | None) -> Stack:
    """Return the stack. Raise CommandError where there is none, or where it is not one of the pipeline's."""
    try:
        session = Session(profile=profile)
        session.get_scoped_config()
    except ProfileNotFound as error:
        raise CommandError("ProfileNotFound", f"{error}. The profiles are in ~/.aws/config.", USAGE) from error
    if region:
        session.set_config_variable("region", region)
    try:
        found = _client(session, "cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except NoRegionError as error:
        raise CommandError("NoRegion", "No region is set. Give --region, or set AWS_REGION.", USAGE) from error
    except ClientError as error:
        if "does not exist" in error.response["Error"].get("Message", ""):
            raise CommandError(
                "StackNotFound",
                f"There is no stack {name!r} in {session.get_config_variable('region')}. Name another one with --stack "
                "or AURORA_RESTORE_STACK, or another place with --region or --profile.",
                NOT_FOUND,
            ) from error
        raise
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    if missing := [each for each in NEEDED if each not in outputs]:
        raise CommandError(
            "NotOurStack",
            f"Stack {name!r} has no output {', '.join(missing)}: it is not a stack of the Aurora Restore Pipeline, or "
            f"it is not complete (its status is {found['StackStatus']}).",
            NOT_FOUND,
        )
    parameters = {each["ParameterKey"]: each.get("ParameterValue", "") for each in found.get("Parameters", [])}
    updated_at = found.get("LastUpdatedTime") or found["CreationTime"]
    return Stack(name, session, outputs, parameters, updated_at)


def from_aws(error: Exception) -> CommandError:
    """Return the error that says what AWS answered, or why it could not be reached."""
    if isinstance(error, ClientError):
        answered = error.response["Error"]
        message = f"{error.operation_name} was answered {answered.get('Code')}: {answered.get('Message')}"
        return CommandError(answered.get("Code", "Unknown"), message, UNEXPECTED)
    assert isinstance(error, BotoCoreError)
    advice = " Log in, or name a profile with --profile." if "redential" in str(error) else ""
    return CommandError(type(error).__name__, f"{str(error).rstrip('.')}.{advice}")


def _client(session: Session, service: str) -> Any:
    return session.create_client(service, config=Config(retries={"mode": "standard", "max_attempts": 5}))
