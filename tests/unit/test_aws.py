"""What an error of AWS's means for a step: try again, or a person has to act."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    ReadTimeoutError,
)

from tests.unit.fakes.rds import FakeRds
from tests.unit.support import REGION
from utils.aurora_utils import Aurora
from utils.aws import client
from utils.aws_errors import as_step_error, error_code
from utils.errors import StepFailed, TemporaryFailure


def an_error(code: str, status: int = 400, message: str = "Rate exceeded") -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "CopyDBClusterSnapshot")


@pytest.mark.parametrize(
    "code",
    [
        "Throttling",
        "ThrottlingException",
        "RequestLimitExceeded",
        "ProvisionedThroughputExceededException",
        "TooManyRequestsException",
        "TransactionConflictException",
        "ServiceUnavailable",
        "InternalFailure",
        "InternalServerError",
        "InternalServiceError",
        "RequestTimeout",
    ],
)
def test_what_passes_by_itself_is_tried_again(code: str) -> None:
    failure = as_step_error(an_error(code))
    assert isinstance(failure, TemporaryFailure)
    assert str(failure) == f"CopyDBClusterSnapshot answered {code}: Rate exceeded"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_an_answer_of_a_server_in_trouble_is_tried_again_whatever_it_says(status: int) -> None:
    assert isinstance(as_step_error(an_error("Unheard", status)), TemporaryFailure)


@pytest.mark.parametrize(
    "code",
    [
        "DBClusterQuotaExceededFault",
        "SnapshotQuotaExceeded",
        "KMSKeyNotAccessibleFault",
        "InvalidParameterValue",
        "InvalidParameterCombination",
        "ConditionalCheckFailedException",
        "ResourceNotFoundException",
        "ExpiredToken",
    ],
)
def test_what_wont_pass_by_itself_is_for_a_person(code: str) -> None:
    failure = as_step_error(an_error(code, message="Because."))
    assert isinstance(failure, StepFailed)
    assert str(failure).startswith(f"CopyDBClusterSnapshot answered {code}: Because. ")


@pytest.mark.parametrize(
    "code", ["AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"]
)
def test_a_missing_permission_says_what_to_extend(code: str) -> None:
    message = "User: arn:aws:sts::111122223333:assumed-role/r/s is not authorized to perform: rds:CopyDBClusterSnapshot"
    failure = as_step_error(an_error(code, 403, message))
    assert isinstance(failure, StepFailed)
    assert str(failure) == (
        f"CopyDBClusterSnapshot is not allowed: {message}. "
        "Extend the policy of the role r of account 111122223333 by rds:CopyDBClusterSnapshot, "
        "or correct the resource's name."
    )


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url="https://rds"),
        ConnectTimeoutError(endpoint_url="https://rds"),
        EndpointConnectionError(endpoint_url="https://rds"),
    ],
)
def test_a_connection_that_failed_is_tried_again(error: BotoCoreError) -> None:
    failure = as_step_error(error)
    assert isinstance(failure, TemporaryFailure)
    assert "AWS could not be reached" in str(failure)


@pytest.mark.parametrize("error", [NoCredentialsError(), ParamValidationError(report="Unknown parameter")])
def test_a_call_that_can_never_be_made_is_not_tried_again(error: BotoCoreError) -> None:
    failure = as_step_error(error)
    assert isinstance(failure, StepFailed)
    assert str(error) in str(failure)


def test_codes_are_those_on_the_wire(rds: FakeRds) -> None:
    """RDS names its shapes otherwise: the wire says DBInstanceNotFound, the class is DBInstanceNotFoundFault."""
    rds.refuse("DescribeDBInstances", "DBInstanceNotFound", status=404)
    with pytest.raises(ClientError) as raised:
        client("rds", REGION).describe_db_instances(DBInstanceIdentifier="x")
    assert error_code(raised.value) == "DBInstanceNotFound"
    assert type(raised.value).__name__ == "DBInstanceNotFoundFault"
    assert Aurora(REGION).instance("x") is None


def test_each_service_and_region_has_one_client() -> None:
    assert client("rds", REGION) is client("rds", REGION)
    assert client("rds", REGION) is not client("rds", "us-west-2")
