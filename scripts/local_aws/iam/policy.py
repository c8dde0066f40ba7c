"""IAM's policy language: whether a document allows one action on one resource.

Pure: knows neither moto nor requests. What it cannot evaluate (an operator, an element, a condition key that
nobody supplies) raises PolicyError instead of guessing, because a guess would be believed. Source: IAM user guide,
"Policy evaluation logic", "Condition operators" and "IAM JSON policy elements: Resource".
"""

from __future__ import annotations

import functools
import json
import operator as operators
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Context = Mapping[str, str | tuple[str, ...]]

_STATEMENT_ELEMENTS = set("Sid Effect Action NotAction Resource NotResource Condition Principal".split())


class PolicyError(Exception):
    """A policy holds something that is not valid or not evaluated here; the message names it."""


@dataclass(frozen=True)
class Request:
    """One action on one resource. Context keys are lower case; a key that AWS would not supply is absent."""

    action: str
    resource: str
    context: Context
    principals: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Statement:
    """One statement, with the name by which tests and messages cite it: `policy#Sid`, or `policy#index`."""

    label: str
    allows: bool
    body: Mapping[str, Any] = field(hash=False, compare=False)
    variables: bool = True

    def applies_to(self, request: Request) -> bool:
        """Return whether action, resource, principal and conditions fit the request."""
        return (
            self._element("Action", lambda pattern: _matches(pattern.lower(), request.action.lower()))
            and self._element("Resource", lambda pattern: arn_matches(self._filled(pattern, request), request.resource))
            and self._names_principal(request)
            and all(
                self._condition_met(operator, key, values, request)
                for operator, tests in self.body.get("Condition", {}).items()
                for key, values in tests.items()
            )
        )

    def _element(self, name: str, matches: Callable[[str], bool]) -> bool:
        if name in self.body:
            return any(matches(pattern) for pattern in _as_list(self.body[name]))
        if "Not" + name in self.body:
            return not any(matches(pattern) for pattern in _as_list(self.body["Not" + name]))
        return True  # trust policies have no Resource; _statements refuses the other omissions

    def _names_principal(self, request: Request) -> bool:
        principal = self.body.get("Principal", "*")
        if principal == "*":
            return True
        named = {str(value) for values in principal.values() for value in _as_list(values)}
        return "*" in named or bool(named & request.principals)

    def _condition_met(self, operator: str, key: str, values: Any, request: Request) -> bool:
        if not _KNOWN_KEYS.fullmatch(key):
            raise PolicyError(f"condition key {key} is not supplied by the embedded AWS")
        quantifier, _, base = operator.rpartition(":")
        if_exists = base.endswith("IfExists")
        base = base.removesuffix("IfExists")
        wanted = [self._filled(_text(value), request) for value in _as_list(values)]
        actual = request.context.get(key.lower())
        if base == "Null":
            return any((actual is None) == (value == "true") for value in wanted)
        if base not in _OPERATORS:
            raise PolicyError(f"{self.label}: condition operator {operator} is not evaluated")
        negated = "Not" in base
        if actual is None:
            return if_exists or quantifier == "ForAllValues" or (negated and not quantifier)
        if isinstance(actual, tuple) and not quantifier:
            raise PolicyError(f"{self.label}: {key} has several values: use ForAllValues or ForAnyValue")
        compare = _OPERATORS[base]
        each = (
            any(compare(pattern, value) for pattern in wanted) != negated
            for value in (actual if isinstance(actual, tuple) else (actual,))
        )
        if quantifier not in ("", "ForAllValues", "ForAnyValue"):
            raise PolicyError(f"{self.label}: condition operator {operator} does not exist")
        return any(each) if quantifier == "ForAnyValue" else all(each)

    def _filled(self, text: str, request: Request) -> str:
        """Fill in variables such as ${aws:PrincipalTag/team}; one without a value makes the text match nothing."""
        if not self.variables:
            return text

        def value(found: re.Match[str]) -> str:
            actual = request.context.get(found[1].lower())
            return actual if isinstance(actual, str) else "\0"

        return re.sub(r"\$\{([^}]+)\}", value, text)


@dataclass(frozen=True)
class Policy:
    """A named document, parsed once."""

    name: str
    statements: tuple[Statement, ...]

    @classmethod
    def parse(cls, name: str, document: str | Mapping[str, Any]) -> Policy:
        """Return the policy of a document. Raise PolicyError for what cannot be evaluated here."""
        return _parse(name, document if isinstance(document, str) else json.dumps(document))


@functools.lru_cache(maxsize=512)
def _parse(name: str, document: str) -> Policy:
    content = json.loads(document)
    version = content.get("Version", "2008-10-17")
    if version not in ("2008-10-17", "2012-10-17"):
        raise PolicyError(f"{name}: policy Version {version} does not exist")
    statements = []
    for index, body in enumerate(_as_list(content["Statement"])):
        label = f"{name}#{body.get('Sid', index)}"
        if unknown := set(body) - _STATEMENT_ELEMENTS:
            raise PolicyError(f"{label}: element {', '.join(sorted(unknown))} is not evaluated")
        if body.get("Effect") not in ("Allow", "Deny"):
            raise PolicyError(f"{label}: Effect must be Allow or Deny")
        if ("Action" in body) == ("NotAction" in body):
            raise PolicyError(f"{label}: exactly one of Action and NotAction is needed")
        if "Principal" not in body and ("Resource" in body) == ("NotResource" in body):
            raise PolicyError(f"{label}: exactly one of Resource and NotResource is needed")
        statements.append(Statement(label, body["Effect"] == "Allow", body, variables=version == "2012-10-17"))
    return Policy(name, tuple(statements))


@dataclass(frozen=True)
class Verdict:
    """The statement that decided, or none: then nothing allows the request (an implicit deny).

    `alone`: no other statement decides the same, so that without this one the request would be another case.
    """

    statement: Statement | None
    alone: bool = False

    @property
    def allowed(self) -> bool:
        """Return whether a statement allows the request and none denies it."""
        return self.statement is not None and self.statement.allows

    @property
    def explicitly_denied(self) -> bool:
        """Return whether a statement denies the request."""
        return self.statement is not None and not self.statement.allows


def evaluate(policies: Iterable[Policy], request: Request) -> Verdict:
    """Decide about a request. A Deny wins over every Allow; the first Allow is named as the one used."""
    applying = [s for policy in policies for s in policy.statements if s.applies_to(request)]
    deciding = [statement for statement in applying if not statement.allows] or applying
    return Verdict(next(iter(deciding), None), alone=len(deciding) == 1)


def arn_matches(pattern: str, arn: str) -> bool:
    """Return whether the ARN fits. Wildcards stay within the first five segments and roam freely in the last."""
    if pattern == "*" or not pattern.startswith("arn:"):
        return pattern == "*" or _matches(pattern, arn)
    wanted, actual = pattern.split(":", 5), arn.split(":", 5)
    if len(wanted) < 6 and wanted[-1].endswith("*"):
        actual = [*actual[: len(wanted) - 1], ":".join(actual[len(wanted) - 1 :])]
    return len(wanted) == len(actual) and all(map(_matches, wanted, actual))


def _matches(pattern: str, text: str) -> bool:
    return _wildcard(pattern).fullmatch(text) is not None


@functools.lru_cache(maxsize=4096)
def _wildcard(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _same_ignoring_case(wanted: str, actual: str) -> bool:
    return wanted.lower() == actual.lower()


_OPERATORS: dict[str, Callable[[str, str], bool]] = {  # the negated ones compare alike and reverse the answer
    "StringEquals": operators.eq,
    "StringNotEquals": operators.eq,
    "StringEqualsIgnoreCase": _same_ignoring_case,
    "StringNotEqualsIgnoreCase": _same_ignoring_case,
    "StringLike": _matches,
    "StringNotLike": _matches,
    "ArnEquals": arn_matches,
    "ArnLike": arn_matches,
    "ArnNotEquals": arn_matches,
    "ArnNotLike": arn_matches,
    "Bool": _same_ignoring_case,
}

_KNOWN_KEYS = re.compile(
    r"aws:(RequestedRegion|Principal(Arn|Account|Type|OrgID|IsAWSService)|PrincipalTag/.+|ResourceAccount|userid|"
    r"Source(Account|Arn|Owner)|SecureTransport|ViaAWSService|CalledVia(First|Last)?|(Request|Resource)Tag/.+|TagKeys)|"
    r"rds:((cluster|db|cluster-snapshot|snapshot|cluster-pg|pg|subgrp|req)-tag/.+|DatabaseEngine|DatabaseClass)|"
    r"dynamodb:LeadingKeys|secretsmanager:(VersionStage|VersionId|SecretId|Name|ResourceTag/.+)|"
    r"kms:(ViaService|CallerAccount|GrantIsForAWSResource|MessageType|SigningAlgorithm|EncryptionContext:.+)|"
    r"iam:PassedToService|sts:(ExternalId|RoleSessionName)|lambda:(FunctionArn|SourceFunctionArn)|"
    r"sns:(Protocol|Endpoint)|s3:VersionId|events:(source|detail-type)",
    re.IGNORECASE,
)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
