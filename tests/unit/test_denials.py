"""A refusal says who can lift it: each kind of policy is another person's."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.unit.messages.pasted_errors import PASTED_ERRORS, PastedError
from utils.aws_errors import as_step_error
from utils.denials import denial_advice, key_advice
from utils.error_codes import DENIED_CODES
from utils.errors import StepFailed

ROLE = "arn:aws:sts::111122223333:assumed-role/aurora-restore-restore-snapshot/session"
NAMED = "the role aurora-restore-restore-snapshot of account 111122223333"
INSTANCE = "arn:aws:rds:eu-west-1:111122223333:db:x"
KEY = "arn:aws:kms:eu-west-1:222233334444:key/1234abcd-12ab-34cd-56ef-1234567890ab"
RDS = f"User: {ROLE} is not authorized to perform: rds:CreateDBInstance on resource: {INSTANCE}"
KMS = f"User: {ROLE} is not authorized to perform: kms:DescribeKey on resource: {KEY}"
SCP = "arn:aws:organizations::999988887777:policy/o-b2fpbzyd95/service_control_policy/p-v4qqk7we"
ENCODED = (
    "You are not authorized to perform this operation. Encoded authorization failure message: 4GIOHlTkIaWHQD0Q0m6X"
)
NOT_IN_THIS_REGION = (
    "because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based "
    "policy explicitly denies access"
)


def told(call: str, message: str, code: str = "AccessDenied") -> str:
    answer: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": 403, "RequestId": "a2b1-77"},
    }
    failure = as_step_error(ClientError(answer, call))
    assert isinstance(failure, StepFailed)
    return str(failure)


# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html has the texts of every kind.
@pytest.mark.parametrize(
    ("message", "who"),
    [
        (f"{RDS} because no identity-based policy allows the rds:CreateDBInstance action",
         f"Extend the policy of {NAMED} by rds:CreateDBInstance"),
        (f"{RDS} with an explicit deny in an identity-based policy",
         f"A policy of {NAMED} denies rds:CreateDBInstance: remove that statement"),
        (f"{RDS} with an explicit deny in a service control policy",
         "the administrator of AWS Organizations for account 111122223333 has to change the service control policy."),
        (f"{RDS} with an explicit deny in a service control policy: {SCP}",
         f"has to change the service control policy {SCP}."),
        (f"{RDS} because no service control policy allows the rds:CreateDBInstance action",
         "the administrator of AWS Organizations for account 111122223333"),
        (f"{KMS} with an explicit deny in a resource control policy",
         "the administrator of AWS Organizations for account 222233334444 has to change the resource control policy."),
        (f"{RDS} because no permissions boundary allows the rds:CreateDBInstance action",
         f"The owner of the permissions boundary of {NAMED} has to allow rds:CreateDBInstance in it."),
        (f"{RDS} with an explicit deny in a permissions boundary",
         f"The owner of the permissions boundary of {NAMED}"),
        (f"{RDS} because no session policy allows the rds:CreateDBInstance action",
         f"The caller that assumes {NAMED} has to allow rds:CreateDBInstance in the session policy."),
        (f"{RDS} because no VPC endpoint policy allows the rds:CreateDBInstance action",
         "The owner of the VPC has to allow rds:CreateDBInstance in the policy of its endpoint for rds."),
        (f"{KMS} because no resource-based policy allows the kms:DescribeKey action",
         f"The key policy of {KEY}, which account 222233334444 owns, must allow kms:DescribeKey to {ROLE}"),
        (f"{KMS} with an explicit deny in a resource-based policy",
         f"The key policy of {KEY}, which account 222233334444 owns, denies kms:DescribeKey to {ROLE}"),
        (f"{KMS} {NOT_IN_THIS_REGION}",
         "account 222233334444 owns, must allow kms:DescribeKey to"),
        (f"User: {ROLE} is not authorized to perform: secretsmanager:GetSecretValue on resource: s with an explicit "
         "deny in a resource-based policy", "The resource policy of s denies secretsmanager:GetSecretValue"),
        (f"User: {ROLE} is not authorized to perform: SNS:Publish on resource: arn:aws:sns:eu-west-1:222233334444:t "
         "because no resource-based policy allows the SNS:Publish action",
         "The access policy of arn:aws:sns:eu-west-1:222233334444:t, which account 222233334444 owns, must allow"),
        (f"User: {ROLE} is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::222233334444:role/r",
         f"The trust policy of arn:aws:iam::222233334444:role/r must let {NAMED} assume it, with the external id"),
        (ENCODED, "Read it with `aws sts decode-authorization-message --encoded-message"),
        ("Unknown", "AWS names neither the policy nor the resource (request a2b1-77). CloudTrail may: `aws cloudtrail "
         "lookup-events --lookup-attributes AttributeKey=EventName,AttributeValue=CreateDBInstance --region REGION`"),
        ("", "AWS names neither the policy nor the resource (request a2b1-77)."),
    ],
)  # fmt: skip
def test_a_refusal_names_who_can_lift_it(message: str, who: str) -> None:
    assert who in told("CreateDBInstance", message)


@pytest.mark.parametrize("kind", ["service control policy", "resource control policy", "permissions boundary"])
@pytest.mark.parametrize(
    "how", ["with an explicit deny in a {}", "because no {} allows the rds:CreateDBInstance action"]
)
def test_nobody_is_sent_to_the_role_s_policy_for_what_another_policy_refuses(kind: str, how: str) -> None:
    text = told("CreateDBInstance", f"{RDS} {how.format(kind)}")
    assert "Extend the policy" not in text
    assert "trust policy" not in text


DENIED = [each for each in PASTED_ERRORS if each.code in DENIED_CODES]


@pytest.mark.parametrize("pasted", DENIED, ids=[each.operation for each in DENIED])
def test_no_two_sentences_of_a_refusal_run_together(pasted: PastedError) -> None:
    text = told(pasted.operation, pasted.message, pasted.code)
    after = text.split(pasted.message.rstrip("."))[1]
    assert after.startswith(". ")
    assert after[2].isupper()
    assert text.endswith(".")


def test_a_key_that_rds_can_t_use_names_the_key_and_its_account() -> None:
    """RDS has one answer for a key that is gone, disabled or closed: https://github.com/awslabs/aurora-snapshot-tool/issues/29."""
    message = f"The source snapshot KMS key [{KEY}] does not exist, is not enabled or you do not have permissions to it"
    text = told("CopyDBClusterSnapshot", message, "KMSKeyNotAccessibleFault")
    assert f"aws kms describe-key --key-id {KEY} --region eu-west-1`" in text
    assert "which account 222233334444 owns" in text
    assert "Extend the policy" not in text


def test_a_key_that_rds_doesn_t_name_leaves_all_of_them() -> None:
    assert "it names none: look at the keys of the snapshot, of the request and of the stack." in key_advice(
        "key [None]"
    )


def test_without_a_request_s_id_none_is_made_up() -> None:
    assert "(request" not in denial_advice("CreateDBInstance", "Unknown", "")
