"""sts:AssumeRole: what STS requires besides the caller's own policies.

Sources: STS API reference, "AssumeRole" (2,048 characters of session policy; MalformedPolicyDocument); IAM user guide,
"Troubleshoot access denied error messages", "Roles terms and concepts" (role chaining) and "IAM JSON policy elements:
Principal" (none in a policy that is not a resource's). Not verified: STS's words about a policy that is too long or
malformed, and how much of its packed limit a policy takes.
"""

from __future__ import annotations

import re

from scripts.local_aws.core.arns import Arn
from scripts.local_aws.core.errors import NotImplementedByLocalAws
from scripts.local_aws.iam import identities
from scripts.local_aws.iam.calls import Call, Need
from scripts.local_aws.iam.policy import Context, Policy, PolicyError, Request, evaluate
from scripts.local_aws.iam.refusals import NotAuthorized, Principal, refusal

_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_LONGEST_IN_A_CHAIN = 3600
_LONGEST_POLICY = 2048
_POLICY_TEXT = re.compile(r"[\u0009\u000A\u000D\u0020-\u00FF]+")


def check_request(principal: Principal, call: Call) -> None:
    """Refuse, with STS's ValidationError, a request that is wrong for every caller."""
    parameters = call.parameters
    for unknown in ("PolicyArns", "Tags", "TransitiveTagKeys", "SerialNumber", "ProvidedContexts"):
        if parameters.get(unknown):
            raise NotAuthorized(NotImplementedByLocalAws.code, f"AssumeRole with {unknown} is not evaluated here", 501)
    if not _SESSION_NAME.fullmatch(str(parameters["RoleSessionName"])):
        raise _invalid(
            f"1 validation error detected: Value '{parameters['RoleSessionName']}' at 'roleSessionName' failed to "
            r"satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*"
        )
    seconds = int(parameters.get("DurationSeconds") or 3600)
    if not principal.is_operator and seconds > _LONGEST_IN_A_CHAIN:
        message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        raise _invalid(message)
    if (policy := parameters.get("Policy")) is not None:
        _check_session_policy(str(policy))
    role = identities.role(str(parameters["RoleArn"]))
    if role is not None and seconds > int(role.max_session_duration or 3600):
        raise _invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")


def request_context(call: Call) -> Context:
    """Return the condition keys that only this call supplies."""
    context: dict[str, str | tuple[str, ...]] = {"sts:rolesessionname": str(call.parameters["RoleSessionName"])}
    if external := call.parameters.get("ExternalId"):
        context["sts:externalid"] = str(external)
    return context


def check_trust(principal: Principal, need: Need, context: Context) -> bool:
    """Return whether the role's trust suffices, or the caller's own policies have to allow it, too.

    In one account a trust policy that names the role suffices. Raise NotAuthorized when nobody is trusted; what
    does not exist trusts nobody.
    """
    role = identities.role(need.resource)
    trust = [identities.trust_policy(role)] if role else []
    named, delegated = (
        evaluate(trust, Request(need.action, need.resource, context, who))
        for who in (principal.itself, principal.its_account)
    )
    if named.explicitly_denied or delegated.explicitly_denied:
        raise refusal(principal, need, "an explicit deny in the role trust policy")
    if not (named.allowed or delegated.allowed):
        raise refusal(principal, need, "no role trust policy allows")
    return named.allowed and Arn.parse(need.resource).account_id == principal.account


def _check_session_policy(text: str) -> None:
    constraint = ""
    if len(text) > _LONGEST_POLICY:
        constraint = f"Member must have length less than or equal to {_LONGEST_POLICY}"
    elif not _POLICY_TEXT.fullmatch(text):
        constraint = f"Member must satisfy regular expression pattern: {_POLICY_TEXT.pattern}"
    if constraint:
        raise _invalid(
            f"1 validation error detected: Value '{text}' at 'policy' failed to satisfy constraint: {constraint}"
        )
    try:
        policy = Policy.parse("session", text)
    except (ValueError, PolicyError, TypeError, AttributeError, KeyError) as error:
        raise NotAuthorized("MalformedPolicyDocument", f"Syntax errors in policy. ({error})", 400) from None
    if not policy.statements:
        raise NotAuthorized("MalformedPolicyDocument", "Syntax errors in policy.", 400)
    if any("Principal" in statement.body for statement in policy.statements):
        raise NotAuthorized("MalformedPolicyDocument", "Policy document should not specify a principal.", 400)


def _invalid(message: str) -> NotAuthorized:
    return NotAuthorized("ValidationError", message, 400)
