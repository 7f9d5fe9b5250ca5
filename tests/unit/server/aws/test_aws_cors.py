"""Web pages of the listed origins may call Cognito, and nothing else (G32)."""

from __future__ import annotations

import pytest
from aws_world import AwsWorld

from fastiam.server.config import ConfigError
from fastiam.server.http import Request
from fastiam.server.protocol import Site
from fastiam.server.protocols.aws import Section, create

ORIGIN = b"https://app.example"
GET_ID, ROLES = b"AWSCognitoIdentityService.GetId", b"AWSOrganizationsV20161128.ListRoots"


@pytest.fixture
def world() -> AwsWorld:
    return AwsWorld(section=Section(cors_origins=(ORIGIN.decode(),)))


def ask(world: AwsWorld, method: str, *headers: tuple[bytes, bytes]):
    answer = world.handle(Request(method, b"/aws", b"", ((b"host", b"127.0.0.1:8380"), *headers), b"{}"))
    return answer.status, dict(answer.headers)


def test_page_of_a_listed_origin_may_call_cognito(world):
    status, headers = ask(world, "OPTIONS", (b"origin", ORIGIN), (b"access-control-request-method", b"POST"))
    assert status == 204 and headers[b"access-control-allow-origin"] == ORIGIN
    assert headers[b"access-control-allow-methods"] == b"POST"
    assert b"x-amz-target" in headers[b"access-control-allow-headers"]
    status, headers = ask(world, "POST", (b"origin", ORIGIN), (b"x-amz-target", GET_ID))
    assert status == 400 and headers[b"access-control-allow-origin"] == ORIGIN and headers[b"vary"] == b"origin"
    assert b"access-control-allow-credentials" not in headers


@pytest.mark.parametrize(
    "origin", [b"https://evil.example", b"null", ORIGIN + b".evil.example", ORIGIN.upper(), b"http://app.example"]
)
def test_page_of_another_origin_reads_nothing(world, origin):
    status, headers = ask(world, "OPTIONS", (b"origin", origin), (b"access-control-request-method", b"POST"))
    assert status == 405 and not any(name.startswith(b"access-control") for name in headers)
    _, headers = ask(world, "POST", (b"origin", origin), (b"x-amz-target", GET_ID))
    assert not any(name.startswith(b"access-control") for name in headers)


def test_answers_of_other_services_are_not_shared(world):
    for more in ((), ((b"x-amz-target", ROLES),)):
        _, headers = ask(world, "POST", (b"origin", ORIGIN), *more)
        assert not any(name.startswith(b"access-control") for name in headers)
    status, _ = ask(world, "OPTIONS", (b"origin", ORIGIN), (b"access-control-request-method", b"DELETE"))
    assert status == 405


def test_preflight_needs_a_listed_origin():
    assert all("OPTIONS" not in route.methods for route in AwsWorld().protocol.routes())


@pytest.mark.parametrize("origin", ["*", "null", "https://app.example/", "app.example", "https://*.example"])
def test_origin_that_is_none_is_refused(origin):
    with pytest.raises(ConfigError, match="is not an origin"):
        create(Section(cors_origins=(origin,)), Site((), has_directory=True, has_sts=True))
