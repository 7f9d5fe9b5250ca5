"""A user pool `P` with clients `c` and `cs`, and user `ana`, as the cases of the specification have them (10, shorthand)."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pyotp
import pytest
import srp_powers
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from fastiam import Directory
from fastiam.cognito.user_pools import CodeMessage, Settings, UserPools, keys, srp
from fastiam.sts import Keyring, StsError

ACCOUNT, POOL = "111111111111", "us-east-1_AbCdEf123"
C, CS, SECRET = "c1example", "cs1example", "clientsecret1x0123456789abc"
PASSWORD = "Correct-Horse7"
START = datetime(2026, 11, 8, 9, 5, 3, tzinfo=UTC)
ALL_FLOWS = [f"ALLOW_{flow}_AUTH" for flow in ("USER_SRP", "USER_PASSWORD", "ADMIN_USER_PASSWORD", "CUSTOM", "REFRESH_TOKEN")]
srp_powers.install()
FAST = Settings(trigger_seconds=0.3, trigger_tries=2)
Json = dict[str, Any]


@functools.cache
def _private_key(number: int) -> RSAPrivateKey:
    return generate_private_key(65_537, 2048)


class World:
    """The pool with a clock that the test sets, a list of sent codes, and a list of audit events.

    Parameters
    ----------
    pool, client : parameters of the pool, and of both clients.
    triggers : callables by the name of the trigger; each is also its own name in `LambdaConfig`.
    """

    def __init__(
        self,
        *,
        pool: Mapping[str, Any] = {},
        client: Mapping[str, Any] = {},
        triggers: Mapping[str, Callable[[Json], Json]] = {},
        user: Mapping[str, str] | None = {"email": "ana@x.example", "email_verified": "true"},
        settings: Settings = FAST,
        directory: Directory | None = None,
        keyring: Keyring | None = None,
        real_clock: bool = False,
        **options: Any,
    ) -> None:
        self.now = START
        self.sent: list[CodeMessage] = []
        self.events: list[Any] = []
        self.directory = directory or Directory()
        self.directory.add_account(ACCOUNT)
        self.keyring = keyring or Keyring.generate()
        registry = {f"my-{name}": called for name, called in triggers.items()}
        config = {name: f"my-{name}" for name in triggers} | dict(pool).pop("lambda_config", {})
        self.pools = UserPools(
            self.directory,
            self.keyring,
            sender=self.sent.append,
            triggers=registry,
            account=ACCOUNT,
            settings=settings,
            audit=self.events.append,
            clock=(lambda: datetime.now(UTC)) if real_clock else (lambda: self.now),
            **options,
        )
        given = {"pool_name": "P", "user_pool_id": POOL, "auto_verified_attributes": ["email"], **pool, "lambda_config": config}
        self._create_pool(given)
        common = {"user_pool_id": POOL, "explicit_auth_flows": ALL_FLOWS, **client}
        self.pools.create_user_pool_client(client_name="c", client_id=C, **common)
        self.pools.create_user_pool_client(client_name="cs", client_id=CS, client_secret=SECRET, **common)
        if user is not None:
            self.add_user("ana", **user)

    def _create_pool(self, given: Mapping[str, Any]) -> None:
        """With keys that are made once for all tests."""
        made = iter(range(2))
        original = keys.generate_private_key
        keys.generate_private_key = lambda *_: _private_key(next(made))
        try:
            self.pools.create_user_pool(**given)
        finally:
            keys.generate_private_key = original

    def pass_time(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)

    def add_user(self, name: str, password: str | None = PASSWORD, **attributes: str) -> str:
        """A confirmed user; its `sub`."""
        given = [{"Name": key, "Value": value} for key, value in attributes.items()]
        made = self.pools.admin_create_user(user_pool_id=POOL, username=name, user_attributes=given, message_action="SUPPRESS")
        if password is not None:
            self.pools.admin_set_user_password(user_pool_id=POOL, username=name, password=password, permanent=True)
        return next(item["Value"] for item in made["User"]["Attributes"] if item["Name"] == "sub")

    def code(self) -> str:
        """The last code that was sent."""
        return str(self.sent[-1].code)

    # -- sign-in ----------------------------------------------------------------------------------------------------------

    def password_sign_in(self, name: str = "ana", password: str = PASSWORD, client: str = C, **extra: Any) -> Json:
        """The answer to `USER_PASSWORD_AUTH`."""
        parameters = {"USERNAME": name, "PASSWORD": password, **with_hash(client, name)}
        return self.pools.initiate_auth(client_id=client, auth_flow="USER_PASSWORD_AUTH", auth_parameters=parameters, **extra)

    def tokens(self, name: str = "ana", password: str = PASSWORD, client: str = C) -> Json:
        """The tokens of a sign-in."""
        return self.password_sign_in(name, password, client)["AuthenticationResult"]

    def answer(self, challenge: Json, answers: Mapping[str, str], name: str = "ana", client: str = C) -> Json:
        """The answer to a challenge."""
        return self.pools.respond_to_auth_challenge(
            client_id=client,
            challenge_name=challenge["ChallengeName"],
            session=challenge.get("Session"),
            challenge_responses={"USERNAME": name, **with_hash(client, name), **answers},
        )

    def srp_start(self, name: str = "ana", client: str = C, a: int = 7**90, **extra: Any) -> tuple[Json, int]:
        """The challenge `PASSWORD_VERIFIER`, and the secret number of the client."""
        given = {"USERNAME": name, "SRP_A": f"{pow(srp.G, a, srp.N):x}", **with_hash(client, name)}
        return self.pools.initiate_auth(client_id=client, auth_flow="USER_SRP_AUTH", auth_parameters=given, **extra), a

    def srp_proof(self, challenge: Json, a: int, password: str = PASSWORD, timestamp: str = "") -> Json:
        """The answers of a client that knows the password."""
        given = challenge["ChallengeParameters"]
        user, pool_name = given["USER_ID_FOR_SRP"], POOL.partition("_")[2]
        timestamp = timestamp or f"{self.now:%a %b} {self.now.day} {self.now:%H:%M:%S UTC %Y}"
        key = client_key(given, a, password)
        block = base64.b64decode(given["SECRET_BLOCK"])
        return {
            "PASSWORD_CLAIM_SECRET_BLOCK": given["SECRET_BLOCK"],
            "PASSWORD_CLAIM_SIGNATURE": srp.signature(key, pool_name, user, block, timestamp).decode(),
            "TIMESTAMP": timestamp,
        }

    def srp_sign_in(self, name: str = "ana", password: str = PASSWORD, client: str = C) -> Json:
        """The answer to a whole sign-in by SRP."""
        challenge, a = self.srp_start(name, client)
        user = challenge["ChallengeParameters"]["USER_ID_FOR_SRP"]
        return self.answer(challenge, self.srp_proof(challenge, a, password), user, client)

    # -- MFA --------------------------------------------------------------------------------------------------------------

    def totp(self, seed: str, seconds: float = 0) -> str:
        """The code of a software token, now or at another time."""
        return pyotp.TOTP(seed).at(self.now + timedelta(seconds=seconds))

    def add_software_token(self, name: str = "ana", password: str = PASSWORD) -> str:
        """Set up a software token for a user, whose step is then used; its secret."""
        access = self.tokens(name, password)["AccessToken"]
        seed = str(self.pools.associate_software_token(access_token=access)["SecretCode"])
        self.pools.verify_software_token(access_token=access, user_code=self.totp(seed))
        settings = {"Enabled": True, "PreferredMfa": True}
        self.pools.set_user_mfa_preference(access_token=access, software_token_mfa_settings=settings)
        return seed


def claims(token: str) -> Json:
    """The claims of a token, not verified."""
    return jwt.decode(token, options={"verify_signature": False})


def responding(**response: object) -> Callable[[Json], Json]:
    """A trigger that always gives this response."""
    return lambda event: {**event, "response": response}


def refusal(called: Callable[[], object]) -> str:
    """Code and message of the error that a call raises."""
    with pytest.raises(StsError) as error:
        called()
    return f"{error.value.code}: {error.value.message}"


def code_of(called: Callable[[], object]) -> str:
    """The code of the error that a call raises."""
    with pytest.raises(StsError) as error:
        called()
    return error.value.code


def attributes_of(world: World, name: str = "ana") -> dict[str, str]:
    """The attributes of a user by name."""
    user = world.pools.admin_get_user(user_pool_id=POOL, username=name)
    return {item["Name"]: item["Value"] for item in user["UserAttributes"]}


def with_hash(client: str, name: str) -> dict[str, str]:
    """`SECRET_HASH` for the client that has a secret."""
    return {"SECRET_HASH": secret_hash(name)} if client == CS else {}


def secret_hash(name: str, client: str = CS, secret: str = SECRET) -> str:
    """The secret hash of a user name."""
    return base64.b64encode(hmac.digest(secret.encode(), (name + client).encode(), "sha256")).decode()


def client_key(given: Mapping[str, str], a: int, password: str) -> bytes:
    """The key that a client derives (4.9), with its own formulas."""
    n, pad, public = srp.N, srp.pad, int(given["SRP_B"], 16)
    x = srp.private_key(POOL.partition("_")[2], given["USER_ID_FOR_SRP"], password, int(given["SALT"], 16))
    k = int.from_bytes(hashlib.sha256(pad(n) + pad(srp.G)).digest())
    u = int.from_bytes(hashlib.sha256(pad(pow(srp.G, a, n)) + pad(public)).digest())
    secret = pow(public - k * pow(srp.G, x, n), a + u * x, n)
    inner = hmac.digest(pad(u), pad(secret), "sha256")
    return hmac.digest(inner, b"Caldera Derived Key\x01", "sha256")[:16]
