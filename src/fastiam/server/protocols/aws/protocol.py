"""The AWS protocols as a protocol of the server: reads, verifies, decides, acts and answers ."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

import orjson

from fastiam.api.engine import Engine
from fastiam.aws_data.service_models import QUERY, REST_JSON
from fastiam.aws_data.service_models import service as model
from fastiam.credentials.results import Caller, Credentials
from fastiam.credentials.sts_errors import AccessDeniedError
from fastiam.errors import FastiamError, StoreError
from fastiam.model.decision import Decision
from fastiam.server.decider import Decider
from fastiam.server.decision_records import CallLog, DecisionRecord, NoCallLog
from fastiam.server.http import JSON, Request, Response
from fastiam.server.identity import AWS
from fastiam.server.protocol import Elsewhere, Place, Route
from fastiam.server.protocols.aws import json_protocols, query, sigv4
from fastiam.server.protocols.aws.aws_errors import ApiError, api_error, in_words_of, wire_error
from fastiam.server.protocols.aws.call_records import OTHER, call_record, is_audited, issued, named, revokes
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.cors import preflight, share
from fastiam.server.protocols.aws.hosted_pages import HostedPages, is_hosted, is_hosted_path
from fastiam.server.protocols.aws.key_sets import is_key_set_request, key_set
from fastiam.server.protocols.aws.operations import Handler, Operation, operations
from fastiam.server.protocols.aws.rates import ClientCounts, ClientRates
from fastiam.server.protocols.aws.requests import SERVED, Target, find_operation, read_parameters, target_of
from fastiam.server.protocols.aws.section import Section
from fastiam.server.protocols.aws.services import Services
from fastiam.server.protocols.aws.sessions import (
    CREATE_SESSION,
    SESSIONS,
    MadeSession,
    check_token,
    create_session,
    is_session_request,
)
from fastiam.sts import STS
from fastiam.sts.signed_calls import CallDeniedError, authorize

if TYPE_CHECKING:
    from fastiam.cognito.user_pools import CodeMessage

MAX_BODY: Final = 2 << 20
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_ACTION = re.compile(rb"(?:^|&)Action=([A-Za-z]{1,128})(?:&|$)")
_MAX_NAME: Final = 128  # of an operation
_TOO_MANY = "TooManyRequestsException"
_SHORT: Final = 4 * 1024  # bytes of query string and body of a request that is answered on the event loop
_GLOBAL = frozenset({"iam", "organizations"})  # in partition `aws` the engine gives them their Region (K6)

log = logging.getLogger("fastiam.server.aws")


class _Waits(Exception):
    """The call has to wait or takes long, so that it is not answered on the event loop. Nothing was done."""


class _Moved(Exception):
    """The next step of a call runs at another place."""

    def __init__(self, place: Place, step: Callable[[], Result]) -> None:
        self.place, self.step = place, step
        super().__init__(place)


class AwsProtocol:
    """The services of AWS over a store with a keyring."""

    def __init__(
        self,
        settings: Section,
        calls: CallLog | None = None,
        sender: Callable[[CodeMessage], None] | None = None,
        counts: ClientCounts | None = None,
    ) -> None:
        self._settings, self._sender = settings, sender
        self.calls = calls or NoCallLog()
        self.rates = ClientRates(settings.unsigned_per_second, settings.unsigned_burst, counts)
        self._prefix = settings.path.rstrip("/")
        self._roots = frozenset({self._prefix.encode(), f"{self._prefix}/".encode()})
        self._services: Services | None = None
        self._answered: set[Handler] = set()  # short operations that have answered: the first call reads models and patterns

    @property
    def name(self) -> str:
        """`aws`."""
        return "aws"

    def routes(self) -> Sequence[Route]:
        """The path itself, and all below it."""
        below = Route(
            self._prefix + "/",
            self.handle,
            _METHODS | ({"OPTIONS"} if self._settings.cors_origins else set()),
            scope=AWS,
            max_body=MAX_BODY,
            place=place_of,
            at_once=self.at_once,
            is_prefix=True,
            authenticates=False,
            errors=edge_error,
        )
        return (replace(below, path=self._prefix, is_prefix=False), below) if self._prefix else (below,)

    def handle(self, request: Request, decider: Decider, now: datetime, *, may_wait: bool = True) -> Response:
        """Answer one request."""
        origins = self._settings.cors_origins
        if request.method == "OPTIONS":
            return preflight(request, origins) or edge_error(405, "bad_method", "A page of this origin may not call.")
        return self._shared(request, partial(self._answer, request, decider, now, may_wait))

    def _shared(self, request: Request, answer: Callable[[], Response]) -> Response:
        """An answer, as a page of another origin may read it."""
        response = answer()
        share(request, response, self._settings.cors_origins)
        return response

    def at_once(self, request: Request, decider: Decider, now: datetime) -> Response | None:
        """As `handle`, for a short operation that needs no lock that another thread has, and nothing from the store."""
        is_short = len(request.raw_query) + len(request.body) <= _SHORT and request.raw_path in self._roots
        operation = _operation(_name_of(request)) if is_short else None
        sts = decider.pin().sts
        if operation is None or sts is None or operation.handler not in self._answered:
            return None
        try:
            with sts.directory.transaction_manager.pinned() as is_pinned:
                return self.handle(request, decider, now, may_wait=False) if is_pinned else None
        except (_Waits, StoreError):
            return None

    def _answer(self, request: Request, decider: Decider, now: datetime, may_wait: bool) -> Response:
        request_id = request.request_id or str(uuid.uuid4())
        path = request.path.removeprefix(self._prefix) or "/"
        exchange = _Exchange(self, request, decider, now, target_of(request, path), may_wait)
        try:
            if is_session_request(request, path):
                exchange.target.service, exchange.target.protocol = model("rolesanywhere"), REST_JSON
                exchange.require_log(CREATE_SESSION)
                exchange.require_rate()
                made = create_session(request, path, self.services_of(_sts(decider)), request_id)
                exchange.log_session(made, request_id)
                return made.response
            if is_key_set_request(request, path):
                return Response(200, key_set(path, self.services_of(_sts(decider))))
            if is_hosted(request, path):
                exchange.require_rate()
                pages = HostedPages(self.services_of(_sts(decider)), self._prefix, self._settings.public_url.rstrip("/"))
                return pages.answer(request, path)
            return self._finish(exchange, exchange.run, request_id)
        except (_Waits, Elsewhere):
            raise
        except Exception as error:
            return exchange.refusal(error, request_id)

    def _finish(self, exchange: _Exchange, step: Callable[[], Result], request_id: str) -> Response:
        """The answer after a step of a call, which may be followed by another one elsewhere."""
        try:
            result = step()
        except _Waits:
            raise
        except _Moved as moved:
            following = partial(self._finish, exchange, moved.step, request_id)
            raise Elsewhere(moved.place, partial(self._shared, exchange.request, following), is_known=exchange.is_known) from None
        except Exception as error:
            return exchange.refusal(error, request_id)
        target = exchange.target
        assert target.service is not None and target.operation is not None
        exchange.log(target.operation.status, "", request_id, issued(result))
        if exchange.wants_json:
            return exchange.json_answer(result, request_id)
        if target.protocol == QUERY:
            body = query.write_answer(target.service, target.operation, result, request_id)
            return _response(200, body, query.XML, request_id, exchange.record)
        body = json_protocols.write_answer(target.operation, result, target.protocol)
        return _response(target.operation.status, body, _json_type(target), request_id, exchange.record)

    def note_answered(self, operation: Operation) -> None:
        """From now on the operation may be answered on the event loop, if it is short. From any thread."""
        if operation.is_short:
            self._answered.add(operation.handler)

    def services_of(self, sts: STS) -> Services:
        """The services over an STS."""
        services = self._services
        if services is None or services.sts is not sts:
            services = self._services = Services(sts, self._settings, self._sender)
        return services

    @property
    def settings(self) -> Section:
        """The configuration."""
        return self._settings


class _Exchange:
    """One request on its way through the steps of G140."""

    def __init__(
        self, protocol: AwsProtocol, request: Request, decider: Decider, now: datetime, target: Target, may_wait: bool
    ) -> None:
        self._protocol, self.request, self._decider, self._now = protocol, request, decider, now
        self.target, self._may_wait = target, may_wait
        self.record: DecisionRecord | None = None
        self._engine: Engine | None = None
        self._generation = 0
        self._caller: Caller | None = None
        self._resources: tuple[str, ...] = ()

    @property
    def wants_json(self) -> bool:
        """Whether the client asks for JSON in place of XML, as the authenticator of EKS does (G127)."""
        accept = self.request.header_values(b"accept")
        is_requested = accept == [b"application/json"]
        return is_requested and self.target.operation is not None and self.target.operation.name == "GetCallerIdentity"

    @property
    def is_known(self) -> bool:
        """Whether the caller was verified."""
        return self._caller is not None

    def run(self) -> Result:
        """Verify and read the call, then decide and act: here, or where calls of its kind wait for each other only."""
        request, target = self.request, self.target
        signature = sigv4.read_signature(request)
        sts = credentials = None
        if signature is None and not self._may_wait:
            raise _Waits
        is_counted = signature is None and target.protocol == QUERY  # before its form is decoded
        if is_counted:
            self.require_rate()
        if len(request.body) + len(request.raw_query) > self._protocol.settings.unsigned_body:
            if signature is None:
                raise ApiError("RequestEntityTooLarge", "A request without a signature is too large.")
            sts = self._fresh()
            credentials = self._verify(sts, signature)
        find_operation(request, signature, target)
        assert target.service is not None and target.operation is not None
        operation = operations(target.service.name).get(target.operation.name)
        if not self._may_wait and (operation is None or not operation.is_short):
            raise _Waits
        sts = sts or self._fresh()
        if target.operation.is_unsigned:
            if not is_counted:
                self.require_rate()
        elif signature is None:
            raise ApiError("MissingAuthenticationToken", "Request is missing Authentication Token")
        else:
            credentials = credentials or self._verify(sts, signature)
        if operation is None:
            raise ApiError("NotImplemented", f"{target.operation.name} is not served.")
        parameters = read_parameters(request, target)
        place = _place_of(operation)
        if place is not None:
            raise _Moved(place, lambda: self._decide_and_act(operation, self._fresh(), credentials, signature, parameters))
        return self._decide_and_act(operation, sts, credentials, signature, parameters)

    def _decide_and_act(
        self,
        operation: Operation,
        sts: STS,
        credentials: Credentials | None,
        signature: sigv4.Signature | None,
        parameters: Mapping[str, Any],
    ) -> Result:
        assert self.target.operation is not None
        call = self._call(sts, credentials, signature, parameters)
        if operation.library_decides:
            self._resources = named(call)
        if not revokes(self.target.operation.name, call.parameters):
            self.require_log(self.target.operation.name)
        result = self._act(operation, call)
        check_token(result)
        self._protocol.note_answered(operation)
        return result

    def require_rate(self) -> None:
        """Refuse an unsigned call of a client that makes too many."""
        if not self._protocol.rates.admits(self.request.client_address, self._now):
            service = self.target.service
            is_modelled = service is not None and _TOO_MANY in service.errors
            raise ApiError(_TOO_MANY if is_modelled else "Throttling", "Rate exceeded.")

    def require_log(self, operation: str) -> None:
        """Refuse a call that must be logged while the audit log cannot be written (G188)."""
        if is_audited(operation) and not self._protocol.calls.is_open():
            raise ApiError("ServiceUnavailable", "The audit log cannot be written. Try again.")

    def _fresh(self) -> STS:
        """STS, over all that the store has committed (G16). Its engine refreshes the live one if anything has changed."""
        sts = _sts(self._decider)
        engine = sts.engine if self._may_wait else sts.compiled_engine
        if engine is None:
            raise _Waits
        self._engine = engine
        self._generation = self._decider.pin().generation
        return sts

    def _verify(self, sts: STS, signature: sigv4.Signature) -> Credentials:
        """Verify a signature; the credentials of the caller. What costs little comes first."""
        request, settings = self.request, self._protocol.settings
        sigv4.check_headers(request, signature)
        sigv4.check_time(signature, self._now)
        caller, secret = sts.secret_of(signature.access_key_id, signature.token)
        payload = sigv4.body_hash(request, allow_unsigned=settings.allow_unsigned_payload)
        if not sigv4.is_valid(request, signature, secret, payload, hosts=settings.hosts):
            raise sigv4.mismatch()
        if not sts.record_use(caller, may_write=self._may_wait):
            raise _Waits
        self._caller = caller
        return Credentials(signature.access_key_id, secret, signature.token)

    def _call(
        self, sts: STS, credentials: Credentials | None, signature: sigv4.Signature | None, parameters: Mapping[str, Any]
    ) -> Call:
        target = self.target
        assert target.service is not None and target.operation is not None and self._engine is not None
        return Call(
            action=f"{target.service.name}:{target.operation.name}",
            parameters=parameters,
            caller=self._caller,
            context=self._context(None if credentials is None else signature),
            now=self._now,
            directory=sts.directory,
            engine=self._engine,
            service=target.service,
            operation=target.operation,
            credentials=credentials,
            sts=sts,
            services=self._protocol.services_of(sts),
        )

    def _context(self, signature: sigv4.Signature | None) -> dict[str, Any]:
        """The condition keys that every call has."""
        request = self.request
        context: dict[str, Any] = {"aws:SecureTransport": request.client_is_tls}
        if request.client_address is not None:
            context["aws:SourceIp"] = request.client_address
        agent = request.header(b"user-agent")
        if agent is not None:
            context["aws:UserAgent"] = agent.decode("latin-1")
        is_global = self._caller is not None and self._caller.arn.startswith("arn:aws:")
        if signature is not None and not (is_global and signature.service in _GLOBAL):
            context["aws:RequestedRegion"] = signature.region
        return context

    def _act(self, operation: Operation, call: Call) -> Result:
        directory = call.directory
        if operation.prepare is not None:
            self._authorize(operation, call)
            call.prepared = operation.prepare(call)
            raise _Moved(Place.WRITER, partial(self._write, operation, call))
        if operation.writes:
            return self._write(operation, call)
        if operation.library_decides:  # over its own engine
            return operation.handler(call)
        if operation.own_transactions:
            with directory.transaction_manager.lock:
                self._authorize(operation, call)
            return operation.handler(call)
        with directory.transaction_manager.lock:  # reads see whole transactions only
            self._authorize(operation, call)
            return operation.handler(call)

    def _write(self, operation: Operation, call: Call) -> Result:
        with call.directory.transaction():
            self._authorize(operation, call)
            return operation.handler(call)

    def _authorize(self, operation: Operation, call: Call) -> None:
        """Decide the permissions of a call over the records as they are now."""
        call.clear_names()  # another thread may have renamed what an earlier decision was about
        if call.engine.snapshot is not call.directory.snapshot():
            call.engine = call.engine.updated(call.directory)
        granted = authorize(call, operation.permissions)
        self._resources = tuple(dict.fromkeys(resource for _, resource, _, _ in granted))
        for action, resource, context, decision in granted:
            self._note(action, resource, context, decision, True)

    def _note(self, action: str, resource: str, context: Mapping[str, Any], decision: Decision | None, result: bool) -> None:
        assert self.target.operation is not None and self._caller is not None
        path = f"aws/{self.target.operation.name}"
        self.record = DecisionRecord(path, self._generation, self._caller.arn, action, resource, context, decision, result)

    # -- the audit log --------------------------------------------------------------------------------------------------

    def log(self, status: int, code: str, request_id: str, key: str | None = None) -> None:
        """Report the end of the call. `key` is the id of the access key that it has issued."""
        service, operation = self.target.service, self.target.operation
        name = OTHER if operation is None else operation.name
        after = self._generation
        if not code and is_audited(name):
            with suppress(FastiamError):  # what was written is in the store, whatever becomes of the engine
                after = self._decider.fresh().generation
        self._protocol.calls.ended(
            call_record(
                OTHER if service is None else service.name,
                name,
                request_id=request_id,
                status=status,
                code=code,
                caller=self._caller,
                client=self.request.client_address,
                resources=self._resources,
                issued=key,
                before=self._generation,
                after=after,
            )
        )

    def log_session(self, made: MadeSession, request_id: str) -> None:
        """Report the end of CreateSession, which no model has. The caller is a certificate."""
        generation = self._decider.pin().generation
        self._protocol.calls.ended(
            call_record(
                "rolesanywhere",
                CREATE_SESSION,
                request_id=request_id,
                status=made.response.status,
                code=made.code,
                client=self.request.client_address,
                resources=made.resources,
                issued=made.key,
                before=generation,
                after=generation,
            )
        )

    # -- answers ------------------------------------------------------------------------------------------------------

    def json_answer(self, result: Result, request_id: str) -> Response:
        """The answer of `GetCallerIdentity` as JSON."""
        body = {"GetCallerIdentityResponse": {"GetCallerIdentityResult": result, "ResponseMetadata": {"RequestId": request_id}}}
        return _response(200, orjson.dumps(body), JSON, request_id, self.record)

    def refusal(self, error: Exception, request_id: str) -> Response:
        """The answer for an error."""
        target = self.target
        if isinstance(error, AccessDeniedError):
            if self._caller is not None:
                self._note(error.action, error.resource, error.context, error.decision, False)
            if isinstance(error, CallDeniedError):
                self._resources = (error.resource,)
        found = in_words_of(api_error(error), target.service)
        if found.code in ("ServiceFailure", "InternalFailure"):
            log.error("request %s failed", request_id, exc_info=error)
        status, code = wire_error(found, target.service, target.protocol)
        self.log(status, found.code, request_id)
        if target.protocol == QUERY:
            body = query.write_error(target.service, status, code, found.message, request_id)
            return _response(status, body, query.XML, request_id, self.record)
        reason = found.reason if target.service is not None and target.service.name == "organizations" else ""
        body = json_protocols.write_error(code, found.message, target.protocol, reason)
        response = _response(status, body, _json_type(target), request_id, self.record)
        response.headers += ((b"x-amzn-errortype", code.encode()),)
        return response


def _sts(decider: Decider) -> STS:
    sts = decider.pin().sts
    if sts is None:
        raise ApiError("ServiceUnavailable", "The server has no store with a keyring.")
    return sts


def _json_type(target: Target) -> str:
    return JSON if target.protocol == REST_JSON else json_protocols.AMZ_JSON


def _response(status: int, body: bytes, content_type: str, request_id: str, record: DecisionRecord | None) -> Response:
    headers = ((b"x-amzn-requestid", request_id.encode()), (b"cache-control", b"no-store"))
    return Response(status, body, content_type, headers, record)


def place_of(request: Request) -> Place:
    """Where a call is verified and read. Which operation it is, is known only then; CreateSession has a path of its own."""
    if request.raw_path.endswith(SESSIONS):  # it writes the subject of the certificate
        return Place.WAITING
    is_signed = request.header_values(b"authorization") or b"X-Amz-Signature=" in request.raw_query
    return Place.READER if is_signed and not is_hosted_path(request.raw_path) else Place.UNSIGNED


def _place_of(operation: Operation) -> Place | None:
    """Where an operation is decided and runs, once the call is verified and read; None: at the same place (G14)."""
    if operation.may_fetch or operation.own_transactions:
        return Place.WAITING
    return Place.WRITER if operation.writes and operation.prepare is None else None


def _name_of(request: Request) -> str:
    """The name of an operation that a short request seems to call; empty if it has another form."""
    target = request.header(b"x-amz-target")
    if target:
        return (target.rpartition(b".")[2] or target).decode("latin-1")
    found = _ACTION.search(request.body) or _ACTION.search(request.raw_query)
    return found[1].decode() if found else ""


def _operation(name: str) -> Operation | None:
    """The first operation of a name, of any service."""
    return _operation_of_any(name) if len(name) <= _MAX_NAME else None


@lru_cache(maxsize=1_024)  # clients choose names
def _operation_of_any(name: str) -> Operation | None:
    found = (operations(service).get(name) for service in SERVED)
    return next((operation for operation in found if operation is not None), None)


def edge_error(status: int, code: str, message: str) -> Response:
    """An error of the application, before a request came here."""
    names = {413: "RequestEntityTooLarge", 405: "MethodNotAllowed", 503: "ServiceUnavailable"}
    request_id = str(uuid.uuid4())
    body = query.write_error(None, status, names.get(status, code), message, request_id)
    return _response(status, body, query.XML, request_id, None)
