"""IAM evaluated for every call that is made with a role's credentials.

Installed over moto's own check, which passes "*" as the resource of nearly everything and ignores conditions. An
operator (an IAM user) may do everything in an account but what a bucket's or a key's policy denies, and nothing beyond
that the other account does not allow; unknown credentials nothing. Evaluated: inline and managed policies, the
permissions boundary, inline session policies, policies of buckets, topics, queues, secrets and keys, trust policies,
and the KMS permissions that a service uses in the caller's name. Not evaluated: signatures, organization policies.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import determine_request_protocol
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import get_service_model
from moto.sts.models import sts_backends
from moto.utilities.utils import get_partition

from scripts.local_aws.core.arns import Arn
from scripts.local_aws.core.credentials import SIGNED, Credentials
from scripts.local_aws.core.errors import NotImplementedByLocalAws
from scripts.local_aws.iam import identities, role_assumption
from scripts.local_aws.iam import stored_resources as stored
from scripts.local_aws.iam.calls import Call, Need, UnknownAccess
from scripts.local_aws.iam.policy import Policy, PolicyError, Request, Verdict, evaluate
from scripts.local_aws.iam.refusals import NotAuthorized, Principal, is_foreign, refusal
from scripts.local_aws.iam.rules import needs
from scripts.local_aws.iam.rules_kms import keys_of_objects

__all__ = ["Decision", "NotAuthorized", "Permissions"]

_IAM_PREFIXES = {"monitoring": "cloudwatch"}
_SHARED_BY_RDS = frozenset({
    "rds:CopyDBClusterSnapshot", "rds:DescribeDBClusterSnapshots", "rds:RestoreDBClusterFromSnapshot",
})  # fmt: skip
"""What one may do with another account's snapshot once RDS knows that it is shared, which RDS checks itself."""


@dataclass(frozen=True)
class Decision:
    """One need of one role, and the statement that decided it ("" when nothing allowed it).

    `alone`: without that statement of the role's the need would have been refused. Else another one, or the policy of
    the resource, allows the same.
    """

    role_arn: str
    action: str
    resource: str
    statement: str
    alone: bool = False


class Permissions:
    """The gate. `used` and `denied` let tests find grants that nothing uses and calls that nothing grants."""

    def __init__(self) -> None:
        self.used: set[Decision] = set()
        self.denied: list[Decision] = []
        self._moto_call_action = BaseResponse.call_action
        self._moto_s3_check = ActionAuthenticatorMixin._authenticate_and_authorize_s3_action

    def install(self) -> None:
        """Let every request that reaches a moto backend pass here first from now on."""
        # Service models do not list the codes that every service shares; moto warns of each.
        warnings.filterwarnings("ignore", message=r"Exception\(NotAuthorized\).* does not match an error shape")

        def call_action(response: BaseResponse) -> Any:
            try:
                self._check(response)
            except NotAuthorized as refused:
                _, headers, body = response.serialized(ActionResult(refused))
                return refused.status, headers, body
            return self._moto_call_action(response)

        def s3_check(response: Any, bucket_name: str | None = None, key_name: str | None = None) -> None:
            from moto.s3.exceptions import S3AccessDeniedError

            try:
                principal, _, region = _caller(response)
                for need in _needs_of_s3(response, principal, region, bucket_name, key_name):
                    if principal.is_operator:
                        self._check_denies(principal, need, region)
                    else:
                        self._decide(principal, need, region)
            except NotAuthorized:
                raise S3AccessDeniedError from None

        # The operation is authorized in call_action above; moto's own check would deny what AWS allows.
        BaseResponse.call_action = call_action  # type: ignore[method-assign,assignment]
        ActionAuthenticatorMixin._authenticate_and_authorize_s3_action = s3_check  # type: ignore[method-assign,assignment]

    def uninstall(self) -> None:
        """Give moto's own check its place back."""
        BaseResponse.call_action = self._moto_call_action  # type: ignore[method-assign]
        ActionAuthenticatorMixin._authenticate_and_authorize_s3_action = self._moto_s3_check  # type: ignore[method-assign]

    def assume(
        self, role_arn: str, *, service: str, session_name: str, region: str, function_arn: str = ""
    ) -> Credentials:
        """Return credentials for a service that acts as the role, for example lambda.amazonaws.com for a function.

        `function_arn`: whose code has them, which policies know as lambda:SourceFunctionArn (Lambda developer guide,
        "Working with Lambda execution environment credentials"). Raise NotAuthorized when the role does not exist or
        its trust policy does not name the service.
        """
        if not self.trusts(role_arn, service):
            message = (
                f"{service} is not authorized to assume {role_arn}: it does not exist or does not trust the service"
            )
            raise NotAuthorized("AccessDenied", message, 403)
        arn = Arn.parse(role_arn)
        session: Any = sts_backends[arn.account_id][arn.partition].assume_role(
            region, session_name, role_arn, policy="", duration=43_200, external_id=""
        )
        session.function_arn = function_arn  # moto's record of the session has no place of its own for it
        return Credentials(session.access_key_id, session.secret_access_key, session.session_token)

    def trusts(self, role_arn: str, service: str) -> bool:
        """Return whether the role exists and its trust policy names the service."""
        role = identities.role(role_arn)
        if role is None:
            return False
        context = {"aws:sourceaccount": role.account_id, "aws:principalisawsservice": "true"}
        request = Request("sts:AssumeRole", role_arn, context, frozenset({service}))
        return evaluate([identities.trust_policy(role)], request).allowed

    def require(
        self,
        role_arn: str,
        action: str,
        resource: str,
        *,
        session_name: str = "local",
        region: str = "us-east-1",
        context: Mapping[str, str] | None = None,
    ) -> None:
        """Check what a role does without an API call of its own, for example Lambda writing a function's logs."""
        arn = Arn.parse(role_arn)
        session = replace(arn, service="sts", resource=f"assumed-role/{role_arn.rpartition('/')[2]}/{session_name}")
        self._decide(Principal(role_arn, str(session)), Need(action, resource, context or {}), region)

    def service_may(self, service: str, action: str, resource: str, *, source_arn: str = "") -> bool:
        """Return whether the policy of a key or a topic lets an AWS service (events.amazonaws.com …) do this."""
        document = stored.resource_policy(resource)
        account = Arn.parse(source_arn or resource).account_id
        context = {"aws:sourceaccount": account, "aws:principalisawsservice": "true", "aws:securetransport": "true"}
        if source_arn:
            context |= {"aws:sourcearn": source_arn, "kms:encryptioncontext:aws:logs:arn": source_arn}
        request = Request(action, resource, context, frozenset({service}))
        return document is not None and evaluate([Policy.parse(resource, document)], request).allowed

    def _check(self, response: BaseResponse) -> None:
        principal, service, region = _caller(response)
        if response._get_action() == "GetCallerIdentity":
            return
        call = Call(service, response._get_action(), _parameters(response), region, principal.account)
        try:
            if call.operation == "AssumeRole":
                self._check_assume_role(principal, call)
                return
            for need in needs(call):
                if not principal.is_operator or is_foreign(principal, need):
                    self._decide(principal, need, call.region)
                elif call.service == "kms":
                    self._check_denies(principal, need, call.region)
        except UnknownAccess as unknown:
            if principal.is_operator:
                return
            message = f"The embedded AWS does not know which permissions {unknown} needs"
            raise NotAuthorized(NotImplementedByLocalAws.code, message, 501) from None
        except PolicyError as unclear:
            message = f"A policy cannot be evaluated here: {unclear}"
            raise NotAuthorized(NotImplementedByLocalAws.code, message, 501) from None

    def _check_assume_role(self, principal: Principal, call: Call) -> None:
        role_assumption.check_request(principal, call)
        extra = role_assumption.request_context(call)
        need = Need("sts:AssumeRole", str(call.parameters["RoleArn"]), extra)
        context = self._context(principal, need, call.region)
        if not role_assumption.check_trust(principal, need, context):
            self._decide(principal, need, call.region)

    def _decide(self, principal: Principal, need: Need, region: str) -> None:
        """Record the decision; raise NotAuthorized unless the need is allowed."""
        request = Request(need.action, need.resource, self._context(principal, need, region), principal.itself)
        identity = evaluate(identities.identity_policies(principal), request)
        document = stored.resource_policy(need.resource)
        attached = [Policy.parse(need.resource, document)] if document else []
        resource = evaluate(attached, request)
        delegated = evaluate(attached, replace(request, principals=principal.its_account))
        for verdict, kind in ((identity, "an identity"), (resource, "a resource"), (delegated, "a resource")):
            if verdict.explicitly_denied:
                raise self._denied(principal, need, f"an explicit deny in {kind}-based policy", verdict)
        boundary = identities.boundary(principal)
        if boundary and not evaluate([boundary], request).allowed:
            raise self._denied(principal, need, "no permissions boundary allows")
        self._check_session(principal, need, request)
        opened = resource.allowed or delegated.allowed or need.action in _SHARED_BY_RDS
        if need.action != "sts:AssumeRole" and is_foreign(principal, need):
            enough, both = False, opened
        elif attached and need.action.startswith("kms:"):  # unlike other policies, a key's must open the way to IAM
            enough, both = resource.allowed, opened
        else:
            enough, both = resource.allowed, True
        if not (enough or (both and identity.allowed)):
            lacking = "resource" if identity.allowed else "identity"
            raise self._denied(principal, need, f"no {lacking}-based policy allows")
        statement = identity.statement or resource.statement
        label, alone = statement.label if statement else "", identity.alone and not enough
        self.used.add(Decision(principal.role_arn, need.action, need.resource, label, alone))

    def _check_denies(self, principal: Principal, need: Need, region: str) -> None:
        """Refuse an operator what a bucket's or a key's own policy denies to everybody."""
        document = stored.resource_policy(need.resource)
        if document is None:
            return
        request = Request(need.action, need.resource, self._context(principal, need, region), principal.itself)
        verdict = evaluate([Policy.parse(need.resource, document)], request)
        if verdict.explicitly_denied:
            raise self._denied(principal, need, "an explicit deny in a resource-based policy", verdict)

    def _check_session(self, principal: Principal, need: Need, request: Request) -> None:
        """Refuse what the session's policy does not allow.

        That is stricter than AWS, where a resource's policy that names the session itself is not bound by it.
        """
        if not principal.session_policy:
            return
        verdict = evaluate([Policy.parse("session", principal.session_policy)], request)
        if verdict.explicitly_denied:
            raise self._denied(principal, need, "an explicit deny in a session policy", verdict)
        if not verdict.allowed:
            raise self._denied(principal, need, "no session policy allows")

    def _context(self, principal: Principal, need: Need, region: str) -> dict[str, str | tuple[str, ...]]:
        arn = Arn.parse_or_none(need.resource)
        context: dict[str, str | tuple[str, ...]] = {
            "aws:requestedregion": region,
            "aws:principalarn": principal.role_arn,
            "aws:principalaccount": principal.account,
            "aws:principaltype": "User" if principal.is_operator else "AssumedRole",
            "aws:principalisawsservice": "false",
            "aws:securetransport": "true",  # plain HTTP is this machine's own; on AWS the same client speaks TLS
            "aws:viaawsservice": "false",
            "kms:calleraccount": principal.account,
        }
        if principal.user_id:
            context["aws:userid"] = principal.user_id
        if principal.function_arn:
            context["lambda:sourcefunctionarn"] = principal.function_arn
        if identities.role(principal.role_arn):
            context |= {f"aws:principaltag/{k.lower()}": v for k, v in stored.role_tags(principal.role_arn).items()}
        if arn:
            context["aws:resourceaccount"] = arn.account_id or principal.account
            # Whether AWS lets a stranger's policy see the owner's tags is not verified; nothing should rest on it.
            for key, value in ({} if is_foreign(principal, need) else stored.tags(need.resource)).items():
                context[f"aws:resourcetag/{key.lower()}"] = value
                if arn.service == "rds":
                    context[f"rds:{arn.kind}-tag/{key.lower()}"] = value
                if arn.service == "secretsmanager":
                    context[f"secretsmanager:resourcetag/{key.lower()}"] = value
        return {**context, **need.context}

    def _denied(self, principal: Principal, need: Need, why: str, verdict: Verdict | None = None) -> NotAuthorized:
        statement = verdict.statement.label if verdict and verdict.statement else ""
        self.denied.append(Decision(principal.role_arn, need.action, need.resource, statement))
        return refusal(principal, need, why)


def _needs_of_s3(
    response: BaseResponse, principal: Principal, region: str, bucket: str | None, key: str | None
) -> list[Need]:
    """Return what a call of S3 needs, in the bucket and of the key that encrypts it."""
    partition, action = get_partition(response.region), response._get_action()
    resource = f"arn:{partition}:s3:::{bucket or '*'}{f'/{key}' if key else ''}"
    # Of a request that names no version there is none (Service Authorization Reference, S3, s3:VersionId).
    version = response.querystring.get("versionId", [""])[0]
    found = [Need(f"s3:{action}", resource, {"s3:versionid": version} if version else {})]
    if response.headers.get("x-amz-bypass-governance-retention", "").lower() == "true":
        found.append(Need("s3:BypassGovernanceRetention", resource))
    call = Call("s3", action, {}, region, principal.account)
    return [*found, *keys_of_objects(call, bucket or "")]


def _caller(response: BaseResponse) -> tuple[Principal, str, str]:
    """Return who makes the call, the IAM prefix of the called service, and the region."""
    signed = SIGNED.search(response.headers.get("Authorization", ""))
    if not signed:
        raise NotAuthorized("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    service = _IAM_PREFIXES.get(signed["service"], signed["service"])
    token = response.headers.get("X-Amz-Security-Token")
    return identities.caller(signed["key"], token, service), service, signed["region"]


def _parameters(response: BaseResponse) -> dict[str, Any]:
    """Return the call's parameters by the names of the service's model, in every protocol."""
    request = response.normalized_request
    model = get_service_model(response.boto3_service_name)
    operation = model.operation_model(response._get_action())
    protocol = determine_request_protocol(model, request.content_type)
    parsed = PROTOCOL_PARSERS[protocol](operation, map_type=dict).parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.data,
            "url_path": request.path,
            "url_params": response.uri_match,
        }
    )
    return {**response.uri_match, **parsed}
