"""The limit on unsigned calls of one client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from aws_world import AwsWorld, refused
from botocore import UNSIGNED
from botocore.config import Config

from fastiam.server.http import Peer, Request
from fastiam.server.protocols.aws import Section, create
from fastiam.server.protocols.aws.rates import ClientRates

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def test_client_has_a_burst_and_then_a_rate():
    rates = ClientRates(2.0, 3)
    assert [rates.admits("192.0.2.1", NOW) for _ in range(5)] == [True, True, True, False, False]
    later = NOW + timedelta(seconds=1)
    assert [rates.admits("192.0.2.1", later) for _ in range(3)] == [True, True, False]
    assert [rates.admits("192.0.2.1", NOW) for _ in range(2)] == [False, False], "a clock that goes back gives nothing"
    assert [rates.admits("192.0.2.1", NOW + timedelta(days=1)) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("other", "is_same"),
    [("192.0.2.2", False), ("2001:db8::2", True), ("2001:db8:0:1::1", False), ("::1", False)],
)
def test_client_of_ipv6_is_a_network(other, is_same):
    rates = ClientRates(1.0, 1)
    first = "2001:db8::1" if ":" in other else "192.0.2.1"
    assert rates.admits(first, NOW) and not rates.admits(first, NOW)
    assert rates.admits(other, NOW) is not is_same


def test_peer_of_a_unix_socket_is_not_limited():
    rates = ClientRates(1.0, 1)
    assert all(rates.admits(None, NOW) for _ in range(10))


def test_many_clients_take_bounded_memory(monkeypatch):
    monkeypatch.setattr("fastiam.server.protocols.aws.rates._MOST", 3)
    rates = ClientRates(1.0, 1)
    for n in range(10):
        assert rates.admits(f"192.0.2.{n}", NOW)
    assert len(rates._counts.clients) == 3 and not rates.admits("192.0.2.9", NOW)


def test_unsigned_calls_beyond_the_rate_are_refused():
    world = AwsWorld(section=Section(unsigned_burst=2, unsigned_per_second=1.0))
    unsigned = Config(signature_version=UNSIGNED)
    users, sts = world.client("cognito-idp", config=unsigned), world.client("sts", config=unsigned)
    token = {"RoleArn": "arn:aws:iam::111111111111:role/r", "RoleSessionName": "s1", "WebIdentityToken": "x.y.z"}
    sign_in = {"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": "c" * 20, "AuthParameters": {"USERNAME": "a", "PASSWORD": "b"}}
    assert refused(users.initiate_auth, **sign_in)["Code"] == "ResourceNotFoundException"
    assert refused(sts.assume_role_with_web_identity, **token)["Code"] == "InvalidIdentityToken"
    error = refused(users.initiate_auth, **sign_in)
    assert (error["Code"], error["Status"]) == ("TooManyRequestsException", 400)
    assert refused(sts.assume_role_with_web_identity, **token)["Code"] == "Throttling"
    made = Request("POST", b"/aws/sessions", b"", (), b"{}", Peer("tcp", "203.0.113.9"), client_address="203.0.113.9")
    answer = world.handle(made)
    assert answer.status == 400 and (b"x-amzn-errortype", b"ThrottlingException") in answer.headers
    assert world.client("iam").list_users()["Users"], "signed calls are not limited"


def test_rate_goes_on_after_a_reload_and_on_another_listener():
    world = AwsWorld(section=Section(unsigned_burst=1, unsigned_per_second=0.001))
    users = world.client("cognito-idp", config=Config(signature_version=UNSIGNED))
    sign_in = {"AuthFlow": "USER_PASSWORD_AUTH", "ClientId": "c" * 20, "AuthParameters": {"USERNAME": "a", "PASSWORD": "b"}}
    assert refused(users.initiate_auth, **sign_in)["Code"] == "ResourceNotFoundException"
    world.protocol = create(Section(unsigned_burst=5, unsigned_per_second=0.001), world.site)
    assert refused(users.initiate_auth, **sign_in)["Code"] == "TooManyRequestsException"
