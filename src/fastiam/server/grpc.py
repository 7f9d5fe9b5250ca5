"""Envoy's external authorization over gRPC, and `grpc.health.v1` (G80 to G83). The only module that imports grpcio.

The checks are those of `protocols/extauthz`. An exception becomes an error of gRPC, which Envoy's failure mode decides; it never
becomes an answer.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Final

import grpc
import grpc.aio
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.auth.v3 import external_auth_pb2 as wire
from envoy.type.v3.http_status_pb2 import HttpStatus
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2 as health

from fastiam.server.client_address import read_hop
from fastiam.server.companion import Companion, Services
from fastiam.server.config import ConfigError
from fastiam.server.config_sections import Tls
from fastiam.server.http import Peer, Request
from fastiam.server.identity import Identity
from fastiam.server.listeners import (
    Address,
    check_permissions,
    file_stamp,
    prepare_socket,
    protect_socket,
    read_address,
    tls_context,
)
from fastiam.server.protocol import MIB, Section, ServerProtocol
from fastiam.server.protocols.extauthz import Answer, CheckRequest, ExtAuthz, check_address
from fastiam.server.protocols.extauthz import Section as ExtAuthzSection
from fastiam.server.protocols.extauthz.checks import ALLOWED
from fastiam.server.protocols.extauthz.extauthz_section import GrpcSection

AUTHORIZATION: Final = "envoy.service.auth.v3.Authorization"
_HEALTH: Final = "grpc.health.v1.Health"
_METHOD: Final = f"/{AUTHORIZATION}/Check".encode()
_JWT: Final = "envoy.filters.http.jwt_authn"
_POLL: Final = 1.0  # seconds between two reads of the readiness for watchers
_AT: Final = "extauthz.grpc"


def companion(section: Section, services: Services) -> Companion | None:
    """The server of a configuration; None if it has no address for gRPC."""
    assert isinstance(section, ExtAuthzSection)
    return None if section.grpc is None else GrpcServer(section.grpc, services)


class GrpcServer:
    """One listener.

    Raises
    ------
    ConfigError
        every client could reach it, and the configuration does not say that this is meant.
    """

    def __init__(self, settings: GrpcSection, services: Services) -> None:
        self._protocol: ExtAuthz | None = None
        self._settings, self._services = settings, services
        self._address = read_address(settings.address)
        self._is_local = check_address(settings)
        self._peer = Peer("unix" if self._address.is_unix else "tcp")
        self._server: grpc.aio.Server | None = None
        self._inode: tuple[int, int] | None = None

    @property
    def _identity(self) -> Identity:
        return self._services.anonymous(self._is_local)

    def check_settings(self) -> None:
        """Check what `start` checks, except whether the address is free.

        Raises
        ------
        ConfigError
            the address cannot be used.
        """
        settings = self._settings
        if self._address.is_unix:
            check_permissions(settings.mode, settings.owner, settings.group, _AT)
        if settings.tls is not None:
            tls_context(settings.tls)

    async def start(self) -> str:
        """Accept calls; the address.

        Raises
        ------
        ConfigError
            the address cannot be used.
        """
        self._server = server = grpc.aio.server(
            maximum_concurrent_rpcs=self._settings.in_work,
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", 4 * MIB),
                ("grpc.max_allowed_incoming_connections", self._services.connections.get(_AT, self._settings.connections)),
            ],
        )
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(AUTHORIZATION, {"Check": _unary(self.check, wire.CheckRequest)}),
                Health(self._services.is_ready).handlers(),
            )
        )
        port = self._bind(server)
        await server.start()
        return str(self._address if self._address.is_unix else Address(self._address.host, port))

    def _bind(self, server: grpc.aio.Server) -> int:
        address, settings = self._address, self._settings
        if address.path is None:
            return _added(server, str(address), settings.tls)
        prepare_socket(address.path, _AT, self._services.warn)
        umask = os.umask(0o177)
        try:
            port = _added(server, f"unix:{address.path}")
        finally:
            os.umask(umask)
        self._inode = protect_socket(address.path, settings.mode, settings.owner, settings.group, _AT)
        return port

    def use(self, protocol: ServerProtocol) -> None:
        """Answer by this protocol from now on; until the first one every check is refused."""
        assert isinstance(protocol, ExtAuthz)
        self._protocol = protocol

    def stopping(self) -> None:
        """The health service follows the readiness of the process, which is not ready any more."""

    async def stop(self, seconds: float) -> None:
        """Finish the calls in work, at most so long."""
        if self._server is not None:
            await self._server.stop(seconds)
        path = self._address.path
        if path is not None and self._inode is not None and path.exists():
            status = path.lstat()
            if (status.st_dev, status.st_ino) == self._inode:
                path.unlink()

    async def check(self, message: wire.CheckRequest, context: grpc.aio.ServicerContext[Any, Any]) -> wire.CheckResponse:
        """Answer one check."""
        began = perf_counter_ns()
        services = self._services
        decision_id = services.new_id()
        remaining = context.time_remaining()
        if remaining is not None and remaining <= 0:
            self._count(504, began)
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline is over")
        protocol = self._protocol
        if protocol is None:
            self._count(503, began)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "no policies are loaded yet")
        assert protocol is not None
        try:
            check = read_check(message)
            if self._settings.trusted_hops:
                check = replace(check, source_address=forwarded_address(check, self._settings.trusted_hops))
            identity = self._identity
            answer = protocol.core.check(check, services.decider(), identity, services.clock(), decision_id)
            response = write_answer(answer)
            is_logged = True
            if answer.record is not None:
                request = Request("POST", _METHOD, b"", check.headers, peer=self._peer, identity=identity, request_id=decision_id)
                is_logged = services.observer.decided("extauthz", answer.record, request, perf_counter_ns() - began)
        except Exception as error:
            services.on_error(error, decision_id)
            self._count(500, began)
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")
            raise AssertionError from error
        if not is_logged:
            self._count(503, began)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the decision cannot be logged")
        self._count(answer.status, began)
        return response

    def _count(self, status: int, began: int) -> None:
        self._services.observer.answered("extauthz", "Check", status, perf_counter_ns() - began)


class Health:
    """`grpc.health.v1`: the readiness of the process, for the server as a whole and for the authorization service."""

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready

    def handlers(self) -> grpc.GenericRpcHandler:
        """The methods of the service."""
        watch = grpc.unary_stream_rpc_method_handler(
            self.watch,
            request_deserializer=health.HealthCheckRequest.FromString,
            response_serializer=health.HealthCheckResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(
            _HEALTH, {"Check": _unary(self.check, health.HealthCheckRequest), "Watch": watch}
        )

    def _status(self, service: str) -> Any:
        statuses = health.HealthCheckResponse
        if service not in ("", AUTHORIZATION):
            return statuses.SERVICE_UNKNOWN
        return statuses.SERVING if self._is_ready() else statuses.NOT_SERVING

    async def check(self, request: health.HealthCheckRequest, context: Any) -> health.HealthCheckResponse:
        """The status of a service."""
        status = self._status(request.service)
        if status == health.HealthCheckResponse.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return health.HealthCheckResponse(status=status)

    async def watch(self, request: health.HealthCheckRequest, context: Any) -> AsyncIterator[health.HealthCheckResponse]:
        """The status of a service, and each change of it."""
        last = None
        while True:
            status = self._status(request.service)
            if status != last:
                last = status
                yield health.HealthCheckResponse(status=status)
            await asyncio.sleep(_POLL)


def _unary(method: Any, request: Any) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(
        method, request_deserializer=request.FromString, response_serializer=lambda message: message.SerializeToString()
    )


def _added(server: grpc.aio.Server, address: str, tls: Tls | None = None) -> int:
    try:
        port = server.add_insecure_port(address) if tls is None else server.add_secure_port(address, _Certificates(tls).made())
    except RuntimeError:
        port = 0
    if not port:
        raise ConfigError(f"{_AT}: {address}: the address is in use, or not ours to use")
    return port


class _Certificates:
    """The TLS files of the listener, read again for a handshake after they have changed."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        self._stamps = self._stamp()

    def made(self) -> grpc.ServerCredentials:
        """The credentials of the server.

        Raises
        ------
        ConfigError
            a file cannot be read or is not what it should be.
        """
        return grpc.dynamic_ssl_server_credentials(self._read(), self._renewed, self._tls.client_ca is not None)

    def _read(self) -> Any:
        tls_context(self._tls)  # gRPC reports nothing about files that are wrong
        chain, key = Path(self._tls.certificate).read_bytes(), Path(self._tls.key).read_bytes()
        authorities = None if self._tls.client_ca is None else Path(self._tls.client_ca).read_bytes()
        return grpc.ssl_server_certificate_configuration([(key, chain)], authorities)

    def _renewed(self) -> Any:
        """The files if they have changed; None leaves what is in force."""
        stamps = self._stamp()
        if stamps == self._stamps:
            return None
        try:
            found = self._read()
        except (ConfigError, OSError):
            return None  # the audit log has what is wrong: the process reads the same files
        self._stamps = stamps
        return found

    def _stamp(self) -> list[tuple[int, int]]:
        files = [path for path in (self._tls.certificate, self._tls.key, self._tls.client_ca) if path is not None]
        return [file_stamp(path) for path in files]


# -- messages -------------------------------------------------------------------------------------------------------------


def read_check(message: wire.CheckRequest) -> CheckRequest:
    """The check in a message. Fields that are absent have the values of the empty check."""
    attributes = message.attributes
    http = attributes.request.http
    target = http.path.encode()
    raw = http.header_map.headers
    if raw:  # `encode_raw_headers`: each field as it was sent
        pairs = [(each.key.lower().encode(), each.raw_value or each.value.encode()) for each in raw]
        target = next((value for name, value in pairs if name == b":path"), target)
    else:
        pairs = [(name.lower().encode(), value.encode()) for name, value in http.headers.items()]
    body = http.raw_body or http.body.encode()
    jwt = attributes.metadata_context.filter_metadata
    return CheckRequest(
        http.method,
        target,
        http.host,
        tuple(pair for pair in pairs if not pair[0].startswith(b":")),
        not raw,
        body,
        _hides_body(pairs, http.size, body),
        attributes.source.principal,
        _address(attributes.source.address.socket_address.address),
        http.scheme == "https" or attributes.HasField("tls_session"),
        MessageToDict(jwt[_JWT]) if _JWT in jwt else {},
        dict(attributes.context_extensions),
        _instant(attributes.request.time) if attributes.request.HasField("time") else None,
    )


def _hides_body(pairs: list[tuple[bytes, bytes]], size: int, body: bytes) -> bool:
    """Whether the request has a body that is not here as a whole."""
    if size > len(body):
        return True
    lengths = [value for name, value in pairs if name == b"content-length"]
    if any(not value.isdigit() or int(value[:20]) != len(body) for value in lengths):
        return True
    return not body and any(name == b"transfer-encoding" for name, _ in pairs)


def _address(text: str) -> str | None:
    """The address of the client; None for a pipe or a name."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def forwarded_address(check: CheckRequest, hops: int) -> str | None:
    """The address of the client behind so many proxies, by `x-forwarded-for`; Envoy has added the last entry (G36, G89)."""
    entries = b",".join([value for name, value in check.headers if name == b"x-forwarded-for"]).decode("latin-1").split(",")
    return read_hop(entries[-hops - 1].strip()) if len(entries) > hops else None


def _instant(time: Any) -> datetime | None:
    try:
        instant: datetime = time.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return instant


def write_answer(answer: Answer) -> wire.CheckResponse:
    """The message of an answer."""
    headers = [
        HeaderValueOption(header=HeaderValue(key=name, value=value), append_action=HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD)
        for name, value in answer.headers
    ]
    metadata = Struct()
    metadata.update(dict(answer.metadata))
    response = wire.CheckResponse(status=Status(code=answer.code), dynamic_metadata=metadata)
    if answer.code == ALLOWED:
        response.ok_response.headers.extend(headers)
        response.ok_response.headers_to_remove.extend(answer.remove)
    else:
        response.denied_response.status.CopyFrom(HttpStatus(code=answer.status))
        response.denied_response.headers.extend(headers)
        response.denied_response.body = answer.body.decode()
    return response
