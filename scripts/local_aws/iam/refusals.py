"""How each AWS service says no."""

from __future__ import annotations

from dataclasses import dataclass

from moto.core.exceptions import ServiceException

from scripts.local_aws.iam.calls import Need

_QUERY_SERVICES = {"cloudformation", "rds", "iam", "sts", "cloudwatch", "sqs", "s3"}
_REST_JSON_SERVICES = {"lambda", "scheduler"}
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
        return self.role_arn.split(":")[4]

    @property
    def itself(self) -> frozenset[str]:
        return frozenset({self.role_arn, self.session_arn})

    @property
    def its_account(self) -> frozenset[str]:
        """Naming the account in a key or trust policy delegates to the account's identity policies."""
        return frozenset({self.account, f"arn:{self.role_arn.split(':')[1]}:iam::{self.account}:root"})


def refusal(principal: Principal, need: Need, why: str) -> NotAuthorized:
    service, _, operation = need.action.partition(":")
    action = f"SNS:{operation}" if service == "sns" else need.action
    text = f"User: {principal.session_arn} is not authorized to perform: {action} on resource: {need.resource} "
    foreign = need.resource.count(":") > 4 and need.resource.split(":")[4] not in ("", principal.account)
    if service == "sts" and foreign:
        text = text.rstrip()  # to strangers STS gives no reason
    elif service == "kms" and foreign and why == _NO_RESOURCE_POLICY:
        text += f"because {_LOST_OR_CLOSED}"
    else:
        text += f"with {why}" if why.startswith("an explicit") else f"because {why} the {action} action"
    if need.refusal:
        return NotAuthorized(need.refusal[0], need.refusal[1] or text, 400)
    code, status = _access_denied(service)
    return NotAuthorized(code, text, status)


def _access_denied(service: str) -> tuple[str, int]:
    if service in _QUERY_SERVICES:
        return "AccessDenied", 403
    if service == "sns":
        return "AuthorizationError", 403
    if service == "ec2":
        return "UnauthorizedOperation", 403
    return "AccessDeniedException", 403 if service in _REST_JSON_SERVICES else 400


def invalid_token(service: str) -> NotAuthorized:
    message = "The security token included in the request is invalid."
    if service in _QUERY_SERVICES or service == "sns":
        return NotAuthorized("InvalidClientTokenId", message, 403)
    if service == "ec2":
        return NotAuthorized("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    return NotAuthorized("UnrecognizedClientException", message, 403 if service in _REST_JSON_SERVICES else 400)
