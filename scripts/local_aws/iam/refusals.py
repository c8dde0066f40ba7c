"""The principal of a call, and the answer with which each AWS service refuses one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from moto.core.exceptions import ServiceException

from scripts.local_aws.core.arns import Arn
from scripts.local_aws.iam.calls import Need

_CODES = {
    **dict.fromkeys(("rds", "iam", "sts", "cloudwatch", "sqs", "s3"), ("AccessDenied", "InvalidClientTokenId", 403)),
    **dict.fromkeys(("lambda", "scheduler"), ("AccessDeniedException", "UnrecognizedClientException", 403)),
    "sns": ("AuthorizationError", "InvalidClientTokenId", 403),
    "ec2": ("UnauthorizedOperation", "AuthFailure", 403),
}
"""By service: the code of a refused call, the code for unknown credentials, and the status."""
_CODES_OF_JSON_SERVICES = "AccessDeniedException", "UnrecognizedClientException", 400
_NO_RESOURCE_POLICY = "no resource-based policy allows"
_LOST_OR_CLOSED = (
    "the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy "
    "explicitly denies access"
)


class NotAuthorized(ServiceException):
    """The call is refused; code, status and message are what the called AWS service would answer."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(code, message)
        self.status = status


@dataclass(frozen=True)
class Principal:
    """A role in one of its sessions, or an account's operator, whose own ARN stands for both.

    `user_id` is what policies know as aws:userid, `session_policy` the document that bounds this session alone, and
    `function_arn` the function whose code has the session's credentials.
    """

    role_arn: str
    session_arn: str
    is_operator: bool = False
    user_id: str = ""
    session_policy: str = ""
    function_arn: str = ""

    @property
    def account(self) -> str:
        """Return the account that the role or the operator belongs to."""
        return Arn.parse(self.role_arn).account_id

    @property
    def itself(self) -> frozenset[str]:
        """Return the ARNs by which a policy can name the role, or one session of it."""
        return frozenset({self.role_arn, self.session_arn})

    @property
    def its_account(self) -> frozenset[str]:
        """Return the account's names, by which a key or trust policy delegates to the account's identity policies."""
        return frozenset({self.account, f"arn:{Arn.parse(self.role_arn).partition}:iam::{self.account}:root"})


def is_foreign(principal: Principal, need: Need) -> bool:
    """Return whether the resource is another account's. Some ARNs, and "*", name no account."""
    arn = Arn.parse_or_none(need.resource)
    return bool(arn and re.fullmatch(r"\d{12}", arn.account_id) and arn.account_id != principal.account)


def refusal(principal: Principal, need: Need, why: str) -> NotAuthorized:
    """Return the error with which the called service refuses, in its words."""
    service, _, operation = need.action.partition(":")
    action = f"SNS:{operation}" if service == "sns" else need.action
    text = f"User: {principal.session_arn} is not authorized to perform: {action} on resource: {need.resource} "
    foreign = is_foreign(principal, need)
    if service == "sts" and foreign:
        text = text.rstrip()  # to strangers STS gives no reason
    elif service == "kms" and foreign and why == _NO_RESOURCE_POLICY:
        text += f"because {_LOST_OR_CLOSED}"
    else:
        text += f"with {why}" if why.startswith("an explicit") else f"because {why} the {action} action"
    if need.refusal:
        return NotAuthorized(need.refusal[0], need.refusal[1] or text, 400)
    code, _, status = _CODES.get(service, _CODES_OF_JSON_SERVICES)
    return NotAuthorized(code, text, status)


def invalid_token(service: str) -> NotAuthorized:
    """Return the error with which the called service refuses credentials that belong to nobody."""
    if service == "ec2":
        return NotAuthorized("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    _, code, status = _CODES.get(service, _CODES_OF_JSON_SERVICES)
    return NotAuthorized(code, "The security token included in the request is invalid.", status)
