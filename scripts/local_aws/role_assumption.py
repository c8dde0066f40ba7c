"""sts:AssumeRole: what STS asks for besides the caller's own policies.

Sources: STS API reference, "AssumeRole"; IAM user guide, "Troubleshoot access denied error messages" and "Roles terms
and concepts" (role chaining).
"""

from __future__ import annotations

import re

from scripts.local_aws import identities
from scripts.local_aws.access import Call, Need
from scripts.local_aws.policy_language import Context, Request, evaluate
from scripts.local_aws.refusals import NotAuthorized, Principal, refusal

_NOT_KNOWN_HERE = "NotImplementedByLocalAws"
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_LONGEST_IN_A_CHAIN = 3600


def check_request(principal: Principal, call: Call) -> None:
    """What is wrong with the request, whoever makes it. Raises NotAuthorized with STS's ValidationError."""
    parameters = call.parameters
    for unknown in ("Policy", "PolicyArns", "Tags", "TransitiveTagKeys", "SerialNumber", "ProvidedContexts"):
        if parameters.get(unknown):
            raise NotAuthorized(_NOT_KNOWN_HERE, f"AssumeRole with {unknown} isn't evaluated here", 501)
    if not _SESSION_NAME.fullmatch(str(parameters["RoleSessionName"])):
        raise _invalid(
            f"1 validation error detected: Value '{parameters['RoleSessionName']}' at 'roleSessionName' failed to "
            r"satisfy constraint: Member must satisfy regular expression pattern: [\w+=,.@-]*"
        )
    seconds = int(parameters.get("DurationSeconds") or 3600)
    if not principal.is_operator and seconds > _LONGEST_IN_A_CHAIN:
        message = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        raise _invalid(message)
    role = identities.role(str(parameters["RoleArn"]))
    if role is not None and seconds > int(role.max_session_duration or 3600):
        message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        raise _invalid(message)


def request_context(call: Call) -> Context:
    """The keys that only this call supplies."""
    context: dict[str, str | tuple[str, ...]] = {"sts:rolesessionname": str(call.parameters["RoleSessionName"])}
    if external := call.parameters.get("ExternalId"):
        context["sts:externalid"] = str(external)
    return context


def check_trust(principal: Principal, need: Need, context: Context) -> bool:
    """Whether the role's trust suffices, or the caller's own policies have to allow it, too.

    In one account a trust policy that names the role suffices. Raises NotAuthorized when nobody is trusted; what
    doesn't exist trusts nobody.
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
    return named.allowed and need.resource.split(":")[4] == principal.account


def _invalid(message: str) -> NotAuthorized:
    return NotAuthorized("ValidationError", message, 400)
