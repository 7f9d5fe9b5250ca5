"""Envoy's checks over a real gRPC channel, the health service, and the reading of messages."""

from __future__ import annotations

import asyncio
import stat
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("grpc", reason="needs fastiam[grpc]")
pytest.importorskip("envoy.service.auth.v3.external_auth_pb2", reason="needs fastiam[grpc]")

import grpc.aio
import trustme
from envoy.service.auth.v3 import external_auth_pb2 as wire
from extauthz_fixture import ISSUER, NOW, SPIFFE, World
from grpc_health.v1 import health_pb2 as health

from fastiam.server.companion import Services
from fastiam.server.config import ConfigError
from fastiam.server.config_sections import Tls
from fastiam.server.grpc import AUTHORIZATION, GrpcServer, read_check
from fastiam.server.identity import Identity
from fastiam.server.mapping import MappingError
from fastiam.server.observer import Observer
from fastiam.server.protocols.extauthz.extauthz_section import GrpcSection


class Running:
    """A server over the fixture in this process."""

    def __init__(self, world: World, settings: GrpcSection) -> None:
        self.observer, self.errors, self.is_ready, self.warnings = Observer(), [], True, []
        self.world = world
        services = Services(
            decider=lambda: world.decider,
            observer=self.observer,
            clock=lambda: NOW,
            new_id=lambda: "id",
            on_error=lambda error, decision_id: self.errors.append(error),
            warn=self.warnings.append,
            is_ready=lambda: self.is_ready,
            settings=None,  # type: ignore[arg-type]
            anonymous=lambda is_local: world.identity if is_local else Identity("remote", frozenset({"decide"})),
            connections={},
        )
        self.server = GrpcServer(settings, services)

    def call(self, channel: grpc.aio.Channel, message: wire.CheckRequest, **options: Any) -> Any:
        method = channel.unary_unary(
            f"/{AUTHORIZATION}/Check",
            request_serializer=wire.CheckRequest.SerializeToString,
            response_deserializer=wire.CheckResponse.FromString,
        )
        return method(message, **options)

    def health(self, channel: grpc.aio.Channel, service: str = "") -> Any:
        method = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health.HealthCheckRequest.SerializeToString,
            response_deserializer=health.HealthCheckResponse.FromString,
        )
        return method(health.HealthCheckRequest(service=service))


def run(
    use: Callable[[Running, grpc.aio.Channel], Awaitable[Any]],
    world: World | None = None,
    address: str = "127.0.0.1:0",
    **more: Any,
) -> Any:
    """Start a server, use it, stop it."""

    async def main() -> Any:
        running = Running(world or World(), GrpcSection(address=address, **more))
        running.server.use(running.world.protocol)
        found = await running.server.start()
        try:
            async with grpc.aio.insecure_channel(found) as channel:
                return await use(running, channel)
        finally:
            await running.server.stop(0)

    return asyncio.run(main())


def message(
    path: str = "/orders/7", principal: str = SPIFFE, headers: dict[str, str] | None = None, **http: Any
) -> wire.CheckRequest:
    made = wire.CheckRequest()
    made.attributes.source.principal = principal
    made.attributes.source.address.socket_address.address = "10.1.2.3"
    request = made.attributes.request.http
    request.method, request.path, request.host, request.scheme = "GET", path, "orders.example", "https"
    for name, value in ({":path": path, ":authority": "orders.example"} | (headers or {})).items():
        request.headers[name] = value
    for name, value in http.items():
        setattr(request, name, value)
    return made


def test_allowed_check_overwrites_headers():  # GC100
    async def use(running: Running, channel: grpc.aio.Channel) -> None:
        answer = await running.call(channel, message(headers={"x-fastiam-principal": "admin"}))
        assert answer.status.code == 0 and not answer.HasField("denied_response")
        headers = {each.header.key: (each.header.value, each.append_action) for each in answer.ok_response.headers}
        overwrite = 2  # OVERWRITE_IF_EXISTS_OR_ADD
        assert headers["x-fastiam-principal"] == ("arn:aws:sts::111111111111:assumed-role/orders/orders", overwrite)
        assert headers["x-fastiam-decision-id"] == ("id", overwrite)
        assert {"x-fastiam-dry-run", "x-fastiam-outcome", "x-team"} <= {*answer.ok_response.headers_to_remove}
        assert answer.dynamic_metadata["outcome"] == "ALLOW" and answer.dynamic_metadata["policy"] == "orders"
        assert running.observer.requests == {("extauthz", "Check", 200): 1} and not running.errors

    run(use)


def test_connections_beyond_the_limit_are_closed(tmp_path):  # 1.6
    """Those that were open before are answered."""

    async def use(running: Running, channel: grpc.aio.Channel) -> int:
        assert (await running.call(channel, message())).status.code == 0
        opened = [await asyncio.open_unix_connection(tmp_path / "socket") for _ in range(8)]
        answers = await asyncio.gather(*(asyncio.wait_for(reader.read(1), 10) for reader, _ in opened), return_exceptions=True)
        assert (await running.call(channel, message())).status.code == 0
        for _, writer in opened:
            writer.close()
        return sum(answer != b"" and not isinstance(answer, Exception) for answer in answers)

    assert run(use, address=f"unix:{tmp_path}/socket", connections=4) == 3


def test_denied_check_has_code_7_and_a_body():  # GC101, GC102, GC108
    async def use(running: Running, channel: grpc.aio.Channel) -> None:
        for path in ("/admin", "/orders/%2e%2e/admin", "/orders//7"):
            answer = await running.call(channel, message(path))
            assert (answer.status.code, answer.denied_response.status.code) == (7, 403)
            assert '"access_denied"' in answer.denied_response.body and not answer.HasField("ok_response")
            assert not answer.HasField("error_response")
        answer = await running.call(channel, message(principal=""))
        assert (answer.status.code, answer.denied_response.status.code) == (16, 401)
        assert sum(running.observer.decisions.values()) == 4

    run(use)


def test_empty_check_is_denied_without_exception():  # GC120
    async def use(running: Running, channel: grpc.aio.Channel) -> None:
        assert (await running.call(channel, wire.CheckRequest())).status.code == 16
        assert not running.errors

    run(use)


def test_planted_exception_is_internal_and_counted():  # GC117
    class Broken:
        def pin(self) -> Any:
            raise ZeroDivisionError("the text of a policy")

    async def use(running: Running, channel: grpc.aio.Channel) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.call(channel, message())
        assert caught.value.code() is grpc.StatusCode.INTERNAL and "policy" not in caught.value.details()
        assert [type(error) for error in running.errors] == [ZeroDivisionError]
        assert running.observer.requests == {("extauthz", "Check", 500): 1}

    world = World()
    world.decider = Broken()
    run(use, world)


def test_decision_that_cannot_be_logged_is_not_sent():
    async def use(running: Running, channel: grpc.aio.Channel) -> None:
        running.observer.decided = lambda *_: False  # type: ignore[method-assign]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.call(channel, message())
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    run(use)


def test_call_beyond_its_deadline_is_not_decided():  # GC119
    async def use(running: Running, channel: grpc.aio.Channel) -> None:
        await running.call(channel, message())
        late = running.call(channel, message(), timeout=0.001)
        time.sleep(0.05)  # the server runs in this loop
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await late
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.sleep(0.05)
        assert sum(running.observer.decisions.values()) == 1

    run(use)


def test_health_follows_the_readiness_of_the_process():  # GC122
    async def use(running: Running, channel: grpc.aio.Channel) -> None:
        states = health.HealthCheckResponse
        for is_ready, status in ((False, states.NOT_SERVING), (True, states.SERVING), (False, states.NOT_SERVING)):
            running.is_ready = is_ready
            for service in ("", AUTHORIZATION):
                assert (await running.health(channel, service)).status == status
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.health(channel, "other")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    run(use)


def test_checks_before_load_are_refused():  # GC122
    async def main() -> None:
        running = Running(World(), GrpcSection(address="127.0.0.1:0"))
        running.is_ready = False
        address = await running.server.start()
        async with grpc.aio.insecure_channel(address) as channel:
            assert (await running.health(channel)).status == health.HealthCheckResponse.NOT_SERVING
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await running.call(channel, message())
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert running.observer.requests == {("extauthz", "Check", 503): 1}
            running.server.use(running.world.protocol)
            assert (await running.call(channel, message())).status.code == 0
        await running.server.stop(0)

    asyncio.run(main())


AUTHORITY = trustme.CA()


def write_server(folder: Path, authority: trustme.CA) -> None:
    made = authority.issue_cert("localhost")
    (folder / "ca.pem").write_bytes(AUTHORITY.cert_pem.bytes())
    (folder / "key.pem").write_bytes(made.private_key_pem.bytes())
    (folder / "server.pem").write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))


def client_of(authority: trustme.CA, client: trustme.LeafCert | None = None) -> grpc.ChannelCredentials:
    """Trusts an authority, with or without a certificate of the client."""
    chain = key = None
    if client is not None:
        chain, key = b"".join(blob.bytes() for blob in client.cert_chain_pems), client.private_key_pem.bytes()
    return grpc.ssl_channel_credentials(authority.cert_pem.bytes(), key, chain)


def test_tls_asks_for_certificates_and_reads_new_files(tmp_path: Path):  # G26
    write_server(tmp_path, AUTHORITY)
    files = Tls(certificate=f"{tmp_path}/server.pem", key=f"{tmp_path}/key.pem", client_ca=f"{tmp_path}/ca.pem")
    envoy, stranger, later = AUTHORITY.issue_cert("envoy"), trustme.CA().issue_cert("envoy"), trustme.CA()

    async def answers(running: Running, address: str, credentials: grpc.ChannelCredentials) -> bool:
        async with grpc.aio.secure_channel(address.replace("127.0.0.1", "localhost"), credentials) as channel:
            try:
                return (await running.call(channel, message(), timeout=20)).status.code == 0
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE
                return False

    async def main() -> None:
        running = Running(World(), GrpcSection(address="127.0.0.1:0", tls=files))
        running.server.use(running.world.protocol)
        address = await running.server.start()
        assert await answers(running, address, client_of(AUTHORITY, envoy))
        assert not await answers(running, address, client_of(AUTHORITY))
        assert not await answers(running, address, client_of(AUTHORITY, stranger))
        (tmp_path / "key.pem").write_text("none")
        assert await answers(running, address, client_of(AUTHORITY, envoy)), "files that do not fit change nothing"
        write_server(tmp_path, later)
        assert await answers(running, address, client_of(later, envoy))
        assert not await answers(running, address, client_of(AUTHORITY, envoy))
        await running.server.stop(0)

    asyncio.run(main())


def test_tls_files_that_do_not_fit_refuse_the_start(tmp_path: Path):
    write_server(tmp_path, AUTHORITY)
    (tmp_path / "key.pem").write_text("none")
    files = Tls(certificate=f"{tmp_path}/server.pem", key=f"{tmp_path}/key.pem")
    with pytest.raises(ConfigError, match="tls of"):
        run(None, tls=files)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (GrpcSection(address="0.0.0.0:0"), "clients prove nothing"),
        (GrpcSection(address="0.0.0.0:0", tls=Tls(certificate="c", key="k")), "clients prove nothing"),
        (GrpcSection(address="unix:/run/x", tls=Tls(certificate="c", key="k")), "a unix socket has no TLS"),
    ],
)
def test_address_open_to_all_is_refused(section: GrpcSection, problem: str):  # G27
    with pytest.raises(ConfigError, match=problem):
        Running(World(), section)


def test_clients_with_certificates_may_be_anywhere():
    files = Tls(certificate="c", key="k", client_ca="a")
    assert Running(World(), GrpcSection(address="0.0.0.0:0", tls=files)).server._identity.name == "envoy"


@pytest.mark.parametrize(
    ("hops", "header", "expected"),
    [
        (1, "203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (1, "198.51.100.9, 203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (2, "203.0.113.7:80, 10.0.0.2, 10.0.0.1", "203.0.113.7"),
        (1, "::ffff:203.0.113.7, 10.0.0.1", "203.0.113.7"),
        (1, "10.0.0.1", None),
        (3, "203.0.113.7, 10.0.0.1", None),
        (1, "unknown, 10.0.0.1", None),
        (1, "", None),
    ],
)
def test_address_behind_trusted_hops_is_of_the_header(hops: int, header: str, expected: str | None):  # G89
    async def use(running: Running, channel: grpc.aio.Channel) -> None:
        seen = []
        decided = running.observer.decided
        running.observer.decided = lambda *args: seen.append(args[1].context) or decided(*args)  # type: ignore[method-assign]
        await running.call(channel, message(headers={"x-forwarded-for": header}))
        assert [context.get("aws:SourceIp") for context in seen] == [expected]

    run(use, trusted_hops=hops)


def test_client_cannot_make_an_error_of_a_hop_that_is_not_utf_8():  # G82: an error would run into Envoy's failure mode
    async def use(running: Running, channel: grpc.aio.Channel) -> None:
        made = message()
        raw = made.attributes.request.http.header_map.headers
        for name, value in ((":path", b"/orders/7"), ("x-forwarded-for", b"\xff, 203.0.113.7"), ("x-forwarded-for", b"10.0.0.1")):
            raw.add(key=name, raw_value=value)
        answer = await running.call(channel, made)
        assert answer.status.code == 0 and not running.errors

    run(use, trusted_hops=1)


def test_unix_socket_is_for_owner_and_group(tmp_path: Path):  # GC100, G24
    path = tmp_path / "run" / "envoy.sock"

    async def use(running: Running, channel: grpc.aio.Channel) -> None:
        status = path.stat()
        assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o660
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
        assert (await running.call(channel, message())).status.code == 0

    run(use, address=f"unix:{path}")
    assert not path.exists()
    path.write_text("not a socket")
    with pytest.raises(ConfigError, match="not a socket of ours"):
        run(use, address=f"unix:{path}")


def test_address_in_use_is_refused():
    async def main() -> None:
        first = Running(World(), GrpcSection(address="127.0.0.1:0"))
        address = await first.server.start()
        second = Running(World(), GrpcSection(address=address))
        with pytest.raises(ConfigError, match="in use"):
            await second.server.start()
        await first.server.stop(0)

    asyncio.run(main())


def test_client_beyond_loopback_states_no_facts():
    running = Running(World(), GrpcSection(address="0.0.0.0:0", insecure=True))
    assert running.server._identity.name == "remote"


def test_reload_replaces_the_answers():
    async def use(running: Running, channel: grpc.aio.Channel) -> None:
        assert (await running.call(channel, message("/admin"))).status.code == 7
        running.server.use(World({"dry_run": True}).protocol)
        assert (await running.call(channel, message("/admin"))).status.code == 0

    run(use)


def test_message_too_large_is_refused():
    async def use(running: Running, channel: grpc.aio.Channel) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.call(channel, message(body="x" * (5 << 20)))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED

    run(use)


# -- messages -------------------------------------------------------------------------------------------------------------


def test_fields_of_a_message_are_read():
    made = message(headers={"User-Agent": "x"}, body="{}", size=2)
    made.attributes.context_extensions["zone"] = "a"
    made.attributes.metadata_context.filter_metadata["envoy.filters.http.jwt_authn"].update(
        {"jwt_payload": {"iss": ISSUER, "sub": "zoe", "groups": ["a"], "exp": 1.7e9}}
    )
    made.attributes.metadata_context.filter_metadata["other"].update({"jwt_payload": {"iss": ISSUER}})
    made.attributes.request.time.FromDatetime(datetime(2026, 11, 29, 12))
    check = read_check(made)
    assert check.headers == ((b"user-agent", b"x"),) and check.is_merged and check.body == b"{}" and not check.hides_body
    assert check.jwt == {"jwt_payload": {"iss": ISSUER, "sub": "zoe", "groups": ["a"], "exp": 1.7e9}}
    assert check.extensions == {"zone": "a"} and check.instant == datetime(2026, 11, 29, 12, tzinfo=UTC)
    assert (check.source_address, check.source_principal, check.is_tls) == ("10.1.2.3", SPIFFE, True)


def test_raw_headers_keep_duplicates_and_the_path():  # G90
    made = message()
    raw = made.attributes.request.http.header_map.headers
    for name, value in ((":path", b"/orders/\xff"), ("x-user", b"a"), ("x-user", b"b"), ("x-bad", b"\xff")):
        raw.add(key=name, raw_value=value)
    check = read_check(made)
    assert check.values("x-user") == ["a", "b"] and not check.is_merged
    with pytest.raises(MappingError, match="not UTF-8"):
        check.values("x-bad")
    assert check.target == b"/orders/\xff", "not the text in which Envoy replaced what is not UTF-8"


@pytest.mark.parametrize(
    ("address", "expected"),
    [("10.1.2.3", "10.1.2.3"), ("::ffff:10.1.2.3", "10.1.2.3"), ("2001:db8::1", "2001:db8::1"), ("", None), ("host", None)],
)
def test_address_that_is_none_is_absent(address: str, expected: str | None):  # GC116
    made = message()
    made.attributes.source.address.socket_address.address = address
    assert read_check(made).source_address == expected
    made.attributes.source.address.pipe.path = "/run/x"
    assert read_check(made).source_address is None


@pytest.mark.parametrize(
    ("headers", "http", "hides"),
    [
        ({}, {}, False),
        ({"content-length": "0"}, {}, False),
        ({"content-length": "3"}, {"body": "abc"}, False),
        ({"content-length": "3"}, {}, True),
        ({"content-length": "9"}, {"body": "abc"}, True),
        ({"content-length": "x"}, {}, True),
        ({"transfer-encoding": "chunked"}, {}, True),
        ({"transfer-encoding": "chunked"}, {"body": "abc"}, False),
        ({}, {"size": 5}, True),
        ({}, {"size": -1}, False),
        ({}, {"raw_body": b"abc", "size": 3}, False),
    ],
)
def test_body_that_envoy_keeps_is_noticed(headers: dict[str, str], http: dict[str, Any], hides: bool):
    assert read_check(message(headers=headers, **http)).hides_body is hides


def test_time_beyond_the_years_of_python_is_absent():
    made = message()
    made.attributes.request.time.seconds = 10**15
    assert read_check(made).instant is None
