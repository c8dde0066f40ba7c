"""The one module that imports boto3: it creates the clients, and converts the values of DynamoDB.

What their errors mean is in `utils.aws_errors`.
"""

from __future__ import annotations

import datetime as dt
import functools
from typing import TYPE_CHECKING, Any, Literal, Protocol, overload

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.config import Config

from utils.changes import before_call

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient


class TokenService(Protocol):
    """STS, as far as it is needed here: its stubs would be a package for one call."""

    def assume_role(self, **parameters: str) -> dict[str, Any]:
        """Return temporary credentials of a role."""
        ...


# What a message can do without must not use up the function's time. S3 and KMS serve the evidence; what else is asked
# of them are small objects and descriptions.
_HASTY_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=3, read_timeout=8)
_HASTY = dict.fromkeys(("cloudtrail", "events", "kms", "s3"), _HASTY_CONFIG)
# Three attempts inside a call; longer pauses are the state machine's business, where waiting costs nothing.
_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=5, read_timeout=30)


@functools.cache
def _session() -> Any:
    """Return the one session. Its type has an overload for each service's name, and ours comes as a variable."""
    session = boto3.Session()
    # Every client is made of it and gets this with it (botocore's events, before-parameter-build).
    session.events.register("before-parameter-build", before_call)
    return session


@overload
def client(service: Literal["rds"], region: str | None = None) -> RDSClient: ...
@overload
def client(service: Literal["dynamodb"], region: str | None = None) -> DynamoDBClient: ...
@overload
def client(service: Literal["ec2"], region: str | None = None) -> EC2Client: ...
@overload
def client(service: Literal["kms"], region: str | None = None) -> KMSClient: ...
@overload
def client(service: Literal["secretsmanager"], region: str | None = None) -> SecretsManagerClient: ...
@overload
def client(service: Literal["sns"], region: str | None = None) -> SNSClient: ...
@overload
def client(
    service: Literal["application-autoscaling", "cloudtrail", "events", "iam", "ram", "s3", "stepfunctions"],
    region: str | None = None,
) -> Any: ...
@overload
def client(service: Literal["sts"], region: str | None = None) -> TokenService: ...
@functools.cache
def client(service: str, region: str | None = None) -> object:
    """Return the client of a service, made once."""
    return _session().client(service, region_name=region, config=_HASTY.get(service, _CONFIG))


class AssumedRole:
    """A role of another account. What it signs with stays in this process, and is written nowhere.

    How old its credentials are is measured by the state machine's time, as everything is here. That time may be the
    step's first attempt's, so credentials are treated as expired well before they are.
    """

    # Longer than a step and all its retries take together, which the tests of the state machine hold it against.
    SPARE = dt.timedelta(minutes=45)

    def __init__(self, arn: str, external_id: str, session_name: str, session_policy: str) -> None:
        self.arn = arn
        self._external_id = external_id
        self._session_name = session_name
        self._session_policy = session_policy
        self._credentials: dict[str, Any] | None = None
        self._clients: dict[tuple[str, str], object] = {}

    @overload
    def client_of(self, service: Literal["rds"], region: str, now: dt.datetime) -> RDSClient: ...
    @overload
    def client_of(self, service: Literal["kms"], region: str, now: dt.datetime) -> KMSClient: ...
    @overload
    def client_of(self, service: Literal["application-autoscaling"], region: str, now: dt.datetime) -> Any: ...
    def client_of(self, service: str, region: str, now: dt.datetime) -> object:
        """Return a client of the role's session. Raises what STS answers where the role cannot be assumed."""
        credentials = self._credentials
        if credentials is None or credentials["Expiration"] - now < self.SPARE:
            credentials = self._credentials = self._assume()
            self._clients.clear()
        place = (service, region)
        if place not in self._clients:
            self._clients[place] = _session().client(
                service,
                region_name=region,
                config=_CONFIG,
                aws_access_key_id=credentials["AccessKeyId"],
                aws_secret_access_key=credentials["SecretAccessKey"],
                aws_session_token=credentials["SessionToken"],
            )
        return self._clients[place]

    def _assume(self) -> dict[str, Any]:
        optional = {"ExternalId": self._external_id} if self._external_id else {}
        answer = client("sts").assume_role(
            RoleArn=self.arn, RoleSessionName=self._session_name, Policy=self._session_policy, **optional
        )
        return dict(answer["Credentials"])


def knows_region(region: str, own_region: str) -> bool:
    """Return whether RDS has the region, in our own partition, as far as this version of the SDK knows."""
    partition = _session().get_partition_for_region(own_region)
    return region in _session().get_available_regions("rds", partition_name=partition)


def attribute(value: object) -> Any:
    """Return a value as DynamoDB takes it, such as {"S": "text"}. A float is refused: its digits cannot be trusted."""
    return TypeSerializer().serialize(value)


def value_of(stored: Any) -> Any:
    """Return what an attribute of DynamoDB's stands for. Numbers come as decimals."""
    return TypeDeserializer().deserialize(stored)
