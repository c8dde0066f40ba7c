"""What every request passes on its way to moto: it is named, logged, refused or made to fail as asked.

moto answers for a hundred services, most of them half known. Only those that we stand behind are let through; the
rest get an AWS-shaped `NotImplementedByLocalAws` that names the service and the operation.
"""

from __future__ import annotations

import collections
import dataclasses
import io
import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from moto.core import errors as moto_errors
from moto.core.exceptions import ServiceException
from moto.core.model import OperationModel
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from moto.iam.models import get_account_id_from
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.exceptions import NotFound

from scripts.local_aws.core.arns import Arn
from scripts.local_aws.core.clock import Clock
from scripts.local_aws.core.credentials import SIGNED
from scripts.local_aws.core.errors import AwsError, NotImplementedByLocalAws
from scripts.local_aws.core.faults import Faults
from scripts.local_aws.events.trail import OPERATIONS as TRAIL_OPERATIONS
from scripts.local_aws.events.trail import Trail
from scripts.local_aws.iam.identities import session_of
from scripts.local_aws.moto_fixes import table_units
from scripts.local_aws.step_functions.api import OPERATIONS as STATE_MACHINE_OPERATIONS

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
WsgiApp = Callable[[Environ, StartResponse], Iterable[bytes]]
Answer = tuple[str, list[tuple[str, str]], bytes]
Served = Callable[[str, str, dict[str, Any]], dict[str, Any]]
"""(operation, region, parameters): the answer, in the words of the service's model."""

CODE = NotImplementedByLocalAws.code
MOST_LOGGED_CALLS = 10_000

_NAMES = (
    "application-autoscaling cloudformation cloudtrail dynamodb ec2 events iam kms lambda logs ram rds s3 scheduler "
    "secretsmanager sns sqs sts"
).split()
_SERVICES = {
    **{name: (name, name) for name in _NAMES},
    "monitoring": ("cloudwatch", "cloudwatch"),
    "states": ("states", "stepfunctions"),
}
"""By the credential's scope: IAM's prefix and botocore's name."""
_ERROR_CODE = re.compile(rb"<Code>([^<]+)</Code>")
_SECRET = re.compile(r"password|secretstring|secretbinary|token|zipfile|content$", re.IGNORECASE)
_LONGEST_SUMMARY = 200
_FORM = "application/x-www-form-urlencoded"


@dataclasses.dataclass(frozen=True)
class ApiCall:
    """One call as it is remembered: never with a secret. `error` is its code, or None.

    `units` are DynamoDB's request units of a call about certain items, and 0 of any other.
    """

    service: str
    operation: str
    region: str
    principal: str
    parameters: Mapping[str, str]
    error: str | None
    units: float = 0.0


class _EveryCode(list[str]):
    """Codes such as Throttling are in no service's model. moto would print a warning whenever one is answered."""

    def __contains__(self, code: object) -> bool:
        return True


moto_errors.COMMON_ERROR_CODES = _EveryCode()


@dataclasses.dataclass(frozen=True)
class _Call:
    service: str
    model: str
    operation: str
    region: str
    access_key: str
    content_type: str
    body: bytes
    in_path: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def parameters(self) -> dict[str, str]:
        """Return what was sent, shortened, without anything that may be secret."""
        sent: dict[str, Any] = {}
        if self.content_type.startswith(_FORM):
            sent = dict(parse_qsl(self.body.decode()))
        elif "json" in self.content_type and self.body:
            document = json.loads(self.body)
            sent = document if isinstance(document, dict) else {}
        texts = {
            k: v if isinstance(v, str) else json.dumps(v)
            for k, v in {**sent, **self.in_path}.items()
            if k not in ("Action", "Version")
        }
        return {k: "***" if _SECRET.search(k) else v[:_LONGEST_SUMMARY] for k, v in texts.items()}


class Front:
    """The WSGI application. `operations` names the only operations known of a service, for those that need it."""

    def __init__(self, clock: Clock, faults: Faults, trail: Trail, control: Callable[[str, str, Any], Any]) -> None:
        self.calls: collections.deque[ApiCall] = collections.deque(maxlen=MOST_LOGGED_CALLS)
        self.operations: dict[str, frozenset[str]] = {
            "cloudtrail": TRAIL_OPERATIONS,
            "states": STATE_MACHINE_OPERATIONS,
        }
        self.served: dict[str, Served] = {}
        """Services that moto has no part in."""
        self._clock = clock
        self._faults = faults
        self._trail = trail
        self._control = control
        self._moto: WsgiApp = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, in which the clock does not jump."""
        with self._clock.busy():
            path = environ.get("PATH_INFO", "")
            if path.startswith("/_local/"):
                status, headers, body = self._local(path.removeprefix("/_local/"), environ)
            else:
                status, headers, body = self._serve(environ)
        start_response(status, headers)
        return [body]

    def _local(self, name: str, environ: Environ) -> Answer:
        body = _body(environ)
        try:
            document = json.loads(body) if body else None
            status, answer = "200 OK", self._control(environ["REQUEST_METHOD"], name, document)
        except (ValueError, TypeError) as error:
            status, answer = "400 Bad Request", {"error": str(error)}
        except LookupError:
            known = "GET stats, GET clock, POST faults, POST durations, POST quotas"
            status, answer = "404 Not Found", {"error": f"Only {known} are here"}
        return status, [("Content-Type", "application/json")], _json(answer)

    def _serve(self, environ: Environ) -> Answer:
        call = _identify(environ)
        if isinstance(call, tuple):
            return call
        known = self.operations.get(call.service)
        is_unknown = known is not None and call.operation not in known
        sent, before = call.parameters(), _item_sizes(call)
        fault = None if is_unknown else self._faults.api(f"{call.service}:{call.operation}", call.region, sent)
        if is_unknown:
            answer = _not_implemented(call)
        elif fault is not None and fault.answer == "refused":
            answer = _error(call, fault.code, fault.message or fault.code, fault.http_status)
        else:
            if fault is not None and fault.answer == "held":
                self._faults.hold()
            seen = self._faults.view.set(fault.answer if fault else "")
            answer = self._dispatch(call, environ, is_lost=fault is not None and fault.answer == "lost")
            self._faults.view.reset(seen)
        error, changed = _error_code(answer), _answered(call, answer)
        self._trail.record(call.service, call.operation, call.region, call.access_key, sent, changed, error)
        session = session_of(call.access_key)
        sizes = list(map(max, before, _item_sizes(call)))
        units = table_units.units(call.operation, call.body, sizes) if sizes else 0.0
        principal = str(session.role_arn) if session else "operator"
        self.calls.append(ApiCall(call.service, call.operation, call.region, principal, sent, error, units))
        return answer

    def _dispatch(self, call: _Call, environ: Environ, *, is_lost: bool) -> Answer:
        taken: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            taken.append((status, headers))

        try:
            if call.service in self.served:
                return self._serve_without_moto(call, environ)
            body = b"".join(self._moto(environ, start_response))
        except ServiceException as error:
            return _error(call, error.code, error.message)
        except NotImplementedError:  # by moto, which then has said nothing to the client
            return _not_implemented(call)
        except Exception as error:  # noqa: BLE001 a client must get an answer, and a test must see what broke
            if os.environ.get("LOCAL_AWS_VERBOSE"):
                traceback.print_exc(file=sys.stderr)
            return _error(call, "InternalFailure", f"The embedded AWS failed: {error!r}", 500)
        if is_lost:
            return "500 Internal Server Error", [("Content-Length", "0")], b""
        status, headers = taken[-1]
        html = dict(headers).get("Content-Type", "").startswith("text/html")
        if status.startswith(("404", "405")) and html and call.operation not in ("HeadBucket", "HeadObject"):
            # No AWS service answers in HTML: this is moto's web framework, which knows no such path. (To a HEAD
            # request nothing is answered, and moto gives that no type of its own.)
            return _not_implemented(call)
        return status, headers, body

    def _serve_without_moto(self, call: _Call, environ: Environ) -> Answer:
        if session_of(call.access_key) is not None:
            message = f"A role may not call {call.service}:{call.operation} in the embedded AWS"
            return _error(call, "AccessDenied", message, 403)
        if get_account_id_from(call.access_key) != DEFAULT_ACCOUNT_ID:
            return _error(call, CODE, f"{call.service} is implemented for the account {DEFAULT_ACCOUNT_ID} alone", 501)
        request = Request(environ)
        operation = get_service_model(call.model).operation_model(call.operation)
        sent: Any = {
            "values": request.values,
            "method": request.method,
            "headers": request.headers,
            "body": call.body,
            "url_path": request.path,
            "url_params": {},
        }
        parsed = PROTOCOL_PARSERS["query"](operation, map_type=dict).parse(sent)
        answer = self.served[call.service](call.operation, call.region, dict(parsed))
        serialized = get_serializer_class(call.model, "query")(operation_model=operation).serialize(answer)
        headers = [(name, str(value)) for name, value in serialized["headers"].items()]
        return f"{serialized['status_code']} OK", headers, _encoded(serialized["body"])


def _body(environ: Environ) -> bytes:
    """Return the request's body, which can still be read afterwards."""
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _identify(environ: Environ) -> _Call | Answer:
    """Return which call this is, or the answer to one that is not served here."""
    credential = SIGNED.search(environ.get("HTTP_AUTHORIZATION", ""))
    content_type: str = environ.get("CONTENT_TYPE", "")
    if credential is None:
        return _plain(content_type, "MissingAuthenticationToken", "Request is missing Authentication Token", 403)
    scope = credential["service"]
    target: str = environ.get("HTTP_X_AMZ_TARGET", "")
    if scope not in _SERVICES:
        return _plain(content_type, CODE, f"The service {scope} is not implemented by the embedded AWS", 501)
    service, model = _SERVICES[scope]
    body = _body(environ) if environ.get("CONTENT_LENGTH") else b""
    operation, in_path = _operation(environ, model, target, content_type, body)
    return _Call(
        service=service,
        model=model,
        operation=operation,
        region=credential["region"],
        access_key=credential["key"],
        content_type=content_type,
        body=body,
        in_path=in_path,
    )


def _operation(
    environ: Environ, model: str, target: str, content_type: str, body: bytes
) -> tuple[str, Mapping[str, Any]]:
    """Return the operation's name, and those of its parameters that stand in the path, as a function's name does."""
    if target:
        return target.rsplit(".", 1)[1], {}
    if content_type.startswith(_FORM):
        action = dict(parse_qsl(body.decode())).get("Action")
        if action:
            return action, {}
    try:
        operation, in_path = get_service_router(model).match(Request(environ, populate_request=False))
    except (NotFound, NotImplementedError):  # no operation of the service: recognized by its path
        return f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO')}", {}
    return str(operation.name), in_path


def _answered(call: _Call, answer: Answer) -> Mapping[str, Any] | None:
    """Return what a call of Step Functions was answered: CloudTrail has it of calls that change something."""
    if call.service != "states" or not answer[0].startswith("200"):
        return None
    document = json.loads(answer[2] or b"{}")
    return document if isinstance(document, dict) else None


def _item_sizes(call: _Call) -> list[int]:
    """Return the sizes of the items that a role's call is about. What an operator does is on no run's bill."""
    session = session_of(call.access_key) if call.service == "dynamodb" else None
    account = Arn.parse(session.role_arn).account_id if session else ""
    return table_units.stored_bytes(call.operation, call.body, account, call.region) if session else []


def _error(call: _Call, code: str, message: str, status: int | None = None) -> Answer:
    """Return an error in the called service's own protocol; without a status, with the one of the API's model."""
    model = get_service_model(call.model)
    known = call.operation in model.operation_names
    operation = model.operation_model(call.operation) if known else OperationModel({}, model)
    serializer = get_serializer_class(call.model, determine_request_protocol(model, call.content_type))
    answer = serializer(operation_model=operation).serialize(AwsError(code, message))
    headers = {name.lower(): value for name, value in answer["headers"].items()} | {"x-amzn-errortype": code}
    return f"{status or answer['status_code']} Error", [*headers.items()], _encoded(answer["body"])


def _not_implemented(call: _Call) -> Answer:
    return _error(call, CODE, f"{call.service}:{call.operation} is not implemented by the embedded AWS", 501)


def _encoded(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


def _plain(content_type: str, code: str, message: str, status: int) -> Answer:
    """Return an error of a service that we know nothing of, not even its protocol."""
    if content_type.startswith(_FORM):
        text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
        return f"{status} Error", [("Content-Type", "text/xml")], text.encode()
    headers = [("Content-Type", "application/x-amz-json-1.0"), ("x-amzn-errortype", code)]
    return f"{status} Error", headers, _json({"__type": code, "message": message})


def _error_code(answer: Answer) -> str | None:
    status, headers, body = answer
    if int(status.split()[0]) < 400:
        return None
    named = {name.lower(): value for name, value in headers}.get("x-amzn-errortype")
    found = _ERROR_CODE.search(body)
    if found:
        return found[1].decode()
    if named is None and body.startswith(b"{"):
        named = str(json.loads(body).get("__type", ""))
    return named.rsplit("#", 1)[-1] if named else status.split()[0]


def _json(document: Any) -> bytes:
    return json.dumps(document, default=str).encode()
