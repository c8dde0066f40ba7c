"""Every error code that AWS may answer to the pipeline's calls is classified: row by row, and by what others say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.model import Shape
from botocore.retries.standard import ThrottledRetryableChecker, TransientRetryableChecker

from tests.unit.messages.pasted_errors import PASTED_ERRORS, PastedError
from tests.unit.operations_in_source import operations_in_source
from utils.aws_errors import as_step_error, is_capacity_shortage
from utils.error_codes import CAPACITY_CODES, DENIED_CODES, FINAL_CODES, TEMPORARY_CODES, advice_for, kind_of
from utils.errors import StepFailed, TemporaryFailure

PROJECT = Path(__file__).parents[2]
TABLES: dict[str, Any] = {
    "temporary": TEMPORARY_CODES,
    "capacity": CAPACITY_CODES,
    "denied": DENIED_CODES,
    "final": FINAL_CODES.keys(),
}


def wire_code(shape: Shape) -> str:
    return str(shape.metadata.get("error", {}).get("code") or shape.name)


DECLARED = [
    (operation, shape)
    for operation in operations_in_source()
    for shape in operation.error_shapes
]  # fmt: skip
ROWS = {
    f"{operation.service_model.service_name}:{operation.name} {wire_code(shape)}": shape
    for operation, shape in DECLARED
}


def an_error(
    code: str, message: str = "Because", status: int = 400, operation: str = "CreateDBInstance"
) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "RequestId": "9f1c"},
    }
    return ClientError(answer, operation)


def test_the_operations_are_those_that_the_steps_are_known_to_call() -> None:
    """Else every row below would be there for nothing."""
    called = {f"{each.service_model.service_name}:{each.name}" for each in operations_in_source()}
    assert called >= {
        "dynamodb:UpdateItem",
        "kms:DescribeKey",
        "rds:CopyDBClusterSnapshot",
        "rds:CreateDBInstance",
        "rds:DeleteDBCluster",
        "rds:ModifyDBCluster",
        "rds:RestoreDBClusterFromSnapshot",
        "secretsmanager:GetSecretValue",
        "sns:Publish",
        "sts:AssumeRole",
    }


# These look at hundreds of rows, one after the other: a test of its own for each would cost more than the look.


def test_every_declared_code_is_in_one_table() -> None:
    unclassified = [row for row in ROWS if not any(row.split()[1] in codes for codes in TABLES.values())]
    assert not unclassified, "\n".join(["classify in utils/error_codes.py:", *unclassified])


def test_no_code_is_in_two_tables() -> None:
    listed = [code for codes in TABLES.values() for code in codes]
    assert sorted(listed) == sorted(set(listed))


def is_passing(shape: Shape) -> bool:
    described = shape.metadata.get("error", {})
    return bool(
        described.get("httpStatusCode", 0) >= 500 or shape.metadata.get("fault") or "retryable" in shape.metadata
    )


def test_what_the_model_calls_a_fault_of_the_service_is_asked_again() -> None:
    """A status from 500 on, or the model's own trait `retryable`: AWS says itself that asking again helps."""
    kinds = {row: kind_of(wire_code(shape)) for row, shape in ROWS.items() if is_passing(shape)}
    wrong = [f"{row} is {kind}" for row, kind in kinds.items() if kind != "temporary"]
    assert not wrong, "\n".join(wrong)


def test_some_declared_code_is_a_fault_of_the_service() -> None:
    """Else the test above would say nothing."""
    statuses = {shape.metadata.get("error", {}).get("httpStatusCode") for shape in ROWS.values()}
    assert 500 in statuses


def test_what_is_missing_there_already_or_above_a_quota_is_for_a_person() -> None:
    codes = {row.split()[1] for row in ROWS}
    kinds = {
        code: kind_of(code)
        for code in sorted(codes)
        if code.removesuffix("Fault").removesuffix("Exception").endswith(("NotFound", "AlreadyExists", "QuotaExceeded"))
    }
    wrong = [f"{code} is {kind}" for code, kind in kinds.items() if kind != "final"]
    assert kinds, "else this says nothing"
    assert not wrong, "\n".join(wrong)


# botocore's own lists have no public name.
RETRIED_BY_THE_SDK = {
    *ThrottledRetryableChecker._THROTTLED_ERROR_CODES,  # type: ignore[attr-defined]
    *TransientRetryableChecker._TRANSIENT_ERROR_CODES,  # type: ignore[attr-defined]
}


@pytest.mark.parametrize("code", sorted(RETRIED_BY_THE_SDK))
def test_what_the_sdk_retries_is_asked_again_but_for_one(code: str) -> None:
    """LimitExceededException is a quota in Secrets Manager and KMS, the only services here that know it."""
    assert kind_of(code) == ("final" if code == "LimitExceededException" else "temporary")


# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/CommonErrors.html and its likes; no operation declares them.
COMMON = {
    "AccessDenied": "denied",
    "AccessDeniedException": "denied",
    "AuthorizationError": "denied",
    "NotAuthorized": "denied",
    "UnauthorizedOperation": "denied",
    "InternalFailure": "temporary",
    "RequestLimitExceeded": "temporary",
    "ServiceUnavailable": "temporary",
    "SlowDown": "temporary",
    "Throttling": "temporary",
    "ThrottlingException": "temporary",
    "ExpiredToken": "final",
    "IncompleteSignature": "final",
    "InvalidAction": "final",
    "InvalidClientTokenId": "final",
    "InvalidParameterCombination": "final",
    "InvalidParameterValue": "final",
    "MissingParameter": "final",
    "OptInRequired": "final",
    "RequestExpired": "final",
    "SignatureDoesNotMatch": "final",
    "UnrecognizedClientException": "final",
    "ValidationError": "final",
    "ValidationException": "final",
}


@pytest.mark.parametrize("code", COMMON)
def test_what_every_service_may_answer_is_in_its_table(code: str) -> None:
    assert code in TABLES[COMMON[code]]
    assert kind_of(code) == COMMON[code]


@pytest.mark.parametrize("code", sorted(CAPACITY_CODES))
def test_a_shortage_of_capacity_is_known_as_one_and_asked_again(code: str) -> None:
    shortage = an_error(code, status=403 if code.endswith("Fault") else 400)
    assert is_capacity_shortage(shortage)
    assert isinstance(as_step_error(shortage), TemporaryFailure)


@pytest.mark.parametrize("code", ["InstanceQuotaExceeded", "Throttling", "StorageQuotaExceeded", "InternalFailure"])
def test_nothing_else_is_a_shortage_of_capacity(code: str) -> None:
    assert not is_capacity_shortage(an_error(code))


def test_the_codes_of_shortage_are_those_that_rds_declares() -> None:
    assert {code for code in map(wire_code, ROWS.values()) if code.startswith("Insufficient")} == CAPACITY_CODES


@pytest.mark.parametrize("pasted", PASTED_ERRORS, ids=[f"{each.operation}-{each.code}" for each in PASTED_ERRORS])
def test_what_people_were_answered_means_what_it_meant_to_them(pasted: PastedError) -> None:
    assert pasted.source.startswith("https://github.com/")
    failure = as_step_error(an_error(pasted.code, pasted.message, pasted.http_status, pasted.operation))
    assert isinstance(failure, TemporaryFailure if pasted.asked_again else StepFailed)
    assert pasted.message in str(failure)
    assert pasted.operation in str(failure)


def test_whatever_ends_a_run_says_what_to_do_in_sentences_of_their_own() -> None:
    wrong = []
    for code in sorted(FINAL_CODES):
        text = str(as_step_error(an_error(code, "It can't be so")))
        answered, said, advice = text.partition(f"CreateDBInstance answered {code}: It can't be so. ")
        if answered or not said or not advice[:1].isupper() or not advice.endswith("."):
            wrong.append(f"{code}: {text}")
    assert not wrong, "\n".join(wrong)


def test_a_state_that_a_person_has_to_end_says_so_as_well() -> None:
    message = "Cannot delete the last instance of the master cluster. Delete the replica cluster before deleting it"
    assert str(as_step_error(an_error("InvalidDBClusterStateFault", message))).endswith(
        f"deleting it. {advice_for('InvalidDBClusterStateFault')}"
    )
    assert advice_for("InvalidDBClusterStateFault")


def test_an_answer_that_nobody_has_thought_of_is_told_as_it_is() -> None:
    assert str(as_step_error(an_error("Unheard", "Of."))) == "CreateDBInstance answered Unheard: Of."


def test_an_answer_without_a_text_says_that() -> None:
    assert "CreateDBInstance answered StorageQuotaExceeded: AWS gave no text. " in str(
        as_step_error(an_error("StorageQuotaExceeded", ""))
    )
