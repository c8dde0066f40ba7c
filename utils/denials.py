"""Refusals of AWS's, and who can lift them, as their texts say.

The words are those of https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html: "because no
<kind of policy> allows" or "with an explicit deny in a <kind of policy>". The owner of each kind is another person, and
advice to the wrong one costs a night.
"""

from __future__ import annotations

import re

from utils.arns import Arn

_WHO_AND_WHAT = re.compile(
    r"(?:User: (?P<principal>\S+) is )?not authorized to perform: (?P<action>\S+)(?: on resource: (?P<resource>\S+))?"
)
_ROLE = re.compile(r"arn:[\w-]+:sts::(?P<account>[^:]+):assumed-role/(?P<name>[^/]+)/")
_POLICY = re.compile(r"arn:[\w-]+:organizations::[^\s:]*:policy/\S*[\w/]")
_KEY = re.compile(r"arn:[\w-]+:kms:(?P<region>[\w-]+):(?P<account>[^\s:]+):(?:key|alias)/[\w/-]+")
_OWN_WORDS_OF_KMS = "resource does not exist in this Region, no resource-based policies allow access"
_RESOURCE_POLICIES = {
    "kms": "key policy",
    "s3": "bucket policy",
    "secretsmanager": "resource policy",
    "sns": "access policy",
    "sts": "trust policy",
}


def denial_advice(call: str, message: str, request_id: str) -> str:
    """Return who has to change which policy, in whole sentences."""
    found = _WHO_AND_WHAT.search(message)
    principal, action, resource = found.group("principal", "action", "resource") if found else (None, None, None)
    action = (action or "").rstrip(".")
    service = action.partition(":")[0].lower()
    role = _role_of(principal)
    if "service control policy" in message or "service control policies" in message:
        return _ask_the_organization("service control policy", message, _account(principal, "the function's account"))
    if "resource control policy" in message or "resource control policies" in message:
        return _ask_the_organization("resource control policy", message, _account(resource, "the resource's account"))
    if "permissions boundary" in message:
        return f"The owner of the permissions boundary of {role} has to allow {action} in it."
    if "session policy" in message:
        return f"The caller that assumes {role} has to allow {action} in the session policy."
    if "VPC endpoint policy" in message:
        return f"The owner of the VPC has to allow {action} in the policy of its endpoint for {service}."
    if "resource-based polic" in message or _OWN_WORDS_OF_KMS in message:
        return _open_the_resource(service, action, resource, principal, message)
    if "Encoded authorization failure message" in message:
        return (
            "The reason is encoded. Read it with `aws sts decode-authorization-message --encoded-message TEXT`, where "
            "TEXT is all that stands after the colon; then change the policy that it names."
        )
    if "explicit deny" in message:
        return f"A policy of {role} denies {action}: remove that statement, or make it narrower."
    if service == "sts":
        return (
            f"The trust policy of {resource or 'that role'} must let {role} assume it, with the external id that the "
            f"stack was given; and {role} must allow {action}."
        )
    if action:
        return f"Extend the policy of {role} by {action}, or correct the resource's name."
    return _nothing_known(call, request_id)


def key_advice(message: str) -> str:
    """Return what to check where RDS cannot use a key. It reports the same for one that is gone, disabled or closed."""
    same = "RDS says the same of a key that does not exist, one that is disabled and one that refuses the stack's roles"
    key = _KEY.search(message)
    if key is None:
        return f"{same}, and it names none: look at the keys of the snapshot, of the request and of the stack."
    arn = key.group(0)
    return (
        f"{same}. Look at it with `aws kms describe-key --key-id {arn} --region {key['region']}`. If it is enabled, "
        f"the key policy, which account {key['account']} owns, must let the stack's roles use it: kms:CreateGrant, "
        "kms:DescribeKey, kms:Decrypt, kms:GenerateDataKey."
    )


def _role_of(principal: str | None) -> str:
    """Return whose policies are meant: the function's role, or one of another account that it has assumed."""
    found = _ROLE.match(principal or "")
    return f"the role {found['name']} of account {found['account']}" if found else "the function's role"


def _account(arn: str | None, otherwise: str) -> str:
    found = Arn.parse_or_none(arn or "")
    return f"account {found.account_id}" if found and found.account_id else otherwise


def _ask_the_organization(kind: str, message: str, whose: str) -> str:
    policy = _POLICY.search(message)
    return (
        f"Nothing in the stack can lift this: the administrator of AWS Organizations for {whose} has to change "
        f"the {kind}{' ' + policy.group(0) if policy else ''}."
    )


def _open_the_resource(service: str, action: str, resource: str | None, principal: str | None, message: str) -> str:
    policy = _RESOURCE_POLICIES.get(service, "policy")
    account = _account(resource, "")
    owner = f", which {account} owns," if account else ""
    what = f"The {policy} of {resource or 'the resource'}{owner}"
    if "explicit deny" in message or "explicitly denies" not in message:
        verb = f"denies {action}" if "explicit deny" in message else f"must allow {action}"
        return f"{what} {verb} to {principal or 'the function'}: its owner has to change it."
    return (
        f"{what} must allow {action} to {principal or 'the function'} and must not deny it; if the resource is gone, "
        "correct its name."
    )


def _nothing_known(call: str, request_id: str) -> str:
    request = f" (request {request_id})" if request_id else ""
    return (
        f"AWS names neither the policy nor the resource{request}. CloudTrail may: `aws cloudtrail lookup-events "
        f"--lookup-attributes AttributeKey=EventName,AttributeValue={call} --region REGION`, in the account and region "
        "of the call. "
        f"Then allow {call} in the policy that refuses it."
    )
