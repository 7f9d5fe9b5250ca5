"""Codes of user pools: what delivers them is configured, and nothing stays of a sign-up whose code could not be delivered."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from aws_world import AwsWorld, refused
from botocore import UNSIGNED
from botocore.config import Config

from fastiam.server.config import ConfigError
from fastiam.server.protocols.aws.section import Codes, Section

PASSWORD, EMAIL = "Correct-Horse7!", [{"Name": "email", "Value": "z@x.example"}]
COMMAND = (sys.executable, "-c", "import sys; open(sys.argv[1], 'a').write(sys.stdin.read())")
FAILS = (sys.executable, "-c", "raise SystemExit(1)")


class SignUps:
    """A pool that verifies e-mail addresses, and a client of it."""

    def __init__(self, **codes: object) -> None:
        self.world = AwsWorld(section=Section(codes=Codes(**codes)))
        self.pools = self.world.client("cognito-idp")
        self.public = self.world.client("cognito-idp", config=Config(signature_version=UNSIGNED))
        self.pool = self.pools.create_user_pool(PoolName="P", AutoVerifiedAttributes=["email"])["UserPool"]["Id"]
        made = self.pools.create_user_pool_client(
            UserPoolId=self.pool, ClientName="c", ExplicitAuthFlows=["ALLOW_USER_PASSWORD_AUTH"]
        )
        self.client = made["UserPoolClient"]["ClientId"]

    def sign_up(self, name: str = "zoe") -> dict:
        return self.public.sign_up(ClientId=self.client, Username=name, Password=PASSWORD, UserAttributes=EMAIL)

    def users(self) -> list[str]:
        return [user["Username"] for user in self.pools.list_users(UserPoolId=self.pool)["Users"]]


def in_file(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


SINKS: dict[str, Callable[[Path], dict]] = {
    "file": lambda path: {"file": str(path)},
    "command": lambda path: {"command": (*COMMAND, str(path))},
}


@pytest.mark.parametrize("sink", SINKS.values(), ids=SINKS)
def test_user_signs_up_by_the_code_that_was_delivered(tmp_path, sink):
    path = tmp_path / "codes.jsonl"
    world = SignUps(**sink(path))
    details = world.sign_up()["CodeDeliveryDetails"]
    assert details == {"Destination": "z***@x***", "DeliveryMedium": "EMAIL", "AttributeName": "email"}
    (message,) = in_file(path)
    assert (message["source"], message["destination"], message["username"]) == ("SignUp", "z@x.example", "zoe")
    world.public.confirm_sign_up(ClientId=world.client, Username="zoe", ConfirmationCode=message["code"])
    world.pools.admin_create_user(UserPoolId=world.pool, Username="bob", UserAttributes=EMAIL)
    invitation = in_file(path)[-1]
    parameters = {"USERNAME": "bob", "PASSWORD": invitation["code"]}
    signed = world.public.initiate_auth(AuthFlow="USER_PASSWORD_AUTH", ClientId=world.client, AuthParameters=parameters)
    assert signed["ChallengeName"] == "NEW_PASSWORD_REQUIRED"
    world.public.forgot_password(ClientId=world.client, Username="zoe")
    recovery = in_file(path)[-1]["code"]
    world.public.confirm_forgot_password(ClientId=world.client, Username="zoe", ConfirmationCode=recovery, Password=PASSWORD)


def test_codes_are_logged_only_if_that_is_configured(caplog):
    with caplog.at_level(logging.WARNING):
        refused(SignUps().sign_up)
        assert "z@x.example" not in caplog.text
        world = SignUps(log=True)
        world.sign_up()
    (record,) = [each for each in caplog.records if each.name == "fastiam.cognito.codes"]
    code = json.loads(record.getMessage())["code"]
    world.public.confirm_sign_up(ClientId=world.client, Username="zoe", ConfirmationCode=code)


@pytest.mark.parametrize("codes", [{}, {"command": FAILS}], ids=["nothing configured", "command fails"])
def test_user_whose_code_cannot_be_delivered_is_not_stored(codes):
    world = SignUps(**codes)
    for _ in range(2):
        assert refused(world.sign_up)["Code"] == "CodeDeliveryFailureException"
    invite = world.pools.admin_create_user
    for _ in range(2):
        error = refused(invite, UserPoolId=world.pool, Username="bob", UserAttributes=EMAIL)
        assert error["Code"] == "CodeDeliveryFailureException"
    assert world.users() == []


def test_invitation_that_cannot_be_sent_again_keeps_the_user():
    world = SignUps()
    of_bob = {"UserPoolId": world.pool, "Username": "bob"}
    world.pools.admin_create_user(**of_bob, UserAttributes=EMAIL, MessageAction="SUPPRESS")
    refused(world.pools.admin_create_user, **of_bob, MessageAction="RESEND")
    assert world.users() == ["bob"]


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        ({"file": "codes", "log": True}, "aws.codes: `file` and `log` are both set"),
        ({"command": ("/no/such/program",)}, "aws.codes.command: `/no/such/program` is not a program that can be started"),
        ({"file": "/no/such/folder/codes"}, "aws.codes.file"),
    ],
)
def test_sink_that_cannot_be_used_fails_at_the_start(codes, words):
    with pytest.raises(ConfigError, match=words):
        AwsWorld(section=Section(codes=Codes(**codes)))
