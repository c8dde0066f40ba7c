"""Who makes a call, and which policies IAM keeps about them."""

from __future__ import annotations

from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from scripts.local_aws.core.arns import Arn
from scripts.local_aws.iam.policy import Policy
from scripts.local_aws.iam.refusals import Principal, invalid_token


def caller(access_key: str, session_token: str | None, service: str) -> Principal:
    """Return who has the credentials. Raise NotAuthorized for those of nobody."""
    session = session_of(access_key)
    if session is not None:
        if session_token != session.session_token:
            raise invalid_token(service)
        return Principal(
            session.role_arn,
            session.arn,
            user_id=session.user_id,
            session_policy=session.policy or "",
            function_arn=getattr(session, "function_arn", ""),
        )
    user = user_of(access_key)
    if user is None:
        raise invalid_token(service)
    return Principal(user.arn, user.arn, is_operator=True)


def user_of(access_key: str) -> Any | None:
    """Return IAM's record of the user that the key belongs to."""
    for account in list(iam_backends):
        for backend in list(iam_backends[account].values()):
            for user in list(backend.users.values()):
                if any(access_key == own.access_key_id for own in user.access_keys):
                    return user
    return None


def session_of(access_key: str) -> Any | None:
    """Return STS's record of the assumed role that the key belongs to. The newest are looked at first."""
    for account in list(sts_backends):
        for backend in list(sts_backends[account].values()):
            for session in reversed(backend.assumed_roles):
                if session.access_key_id == access_key:
                    return session
    return None


def role(arn: str) -> Any | None:
    """Return IAM's record of a role, or None if it does not exist."""
    parsed = Arn.parse_or_none(arn)
    roles = list(iam_backends[parsed.account_id][parsed.partition].get_roles()) if parsed else []
    return next((each for each in roles if each.arn == arn), None)


def identity_policies(principal: Principal) -> list[Policy]:
    """Return the policies of a user or a role; none of a role that does not exist."""
    if principal.is_operator:
        arn = Arn.parse(principal.role_arn)
        user = iam_backends[arn.account_id][arn.partition].users[arn.resource.rpartition("/")[2]]
        return [Policy.parse(name, document) for name, document in user.policies.items()]
    found = role(principal.role_arn)
    if found is None:
        return []
    inline = [Policy.parse(name, document) for name, document in found.policies.items()]
    return inline + [_managed(policy) for policy in found.managed_policies.values()]


def boundary(principal: Principal) -> Policy | None:
    """Return the role's permissions boundary, or None."""
    found = None if principal.is_operator else role(principal.role_arn)
    if found is None or not found.permissions_boundary:
        return None
    return _managed(iam_backends[found.account_id][found.partition].managed_policies[found.permissions_boundary_arn])


def trust_policy(found: Any) -> Policy:
    """Return the trust policy of IAM's record of a role."""
    return Policy.parse(f"{found.name} trust", found.assume_role_policy_document)


def _managed(policy: Any) -> Policy:
    document = next(version.document for version in policy.versions if version.is_default)
    return Policy.parse(policy.name, document)
