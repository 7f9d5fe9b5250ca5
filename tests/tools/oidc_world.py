"""An issuer of web identity tokens without a network, and an account with a role that trusts it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from sts_fixture import CHEAP, Clock, document

import fastiam
from fastiam.federation import AuditEvent, Federation, FederationSettings, FetchLimits, FetchResult, WebIdentityRole
from fastiam.sts import STS, Keyring

A, B = "111111111111", "222222222222"
URL, CLIENT = "https://oidc.example", "app1"
PROVIDER = f"arn:aws:iam::{A}:oidc-provider/oidc.example"
WEB = f"arn:aws:iam::{A}:role/Web"
GITHUB = "https://token.actions.githubusercontent.com"
CALLS = ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"]
_CURVES = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}


@cache
def private_key(name: str) -> Any:
    """A key by its kind and any suffix: `RSA`, `RSA 2`, `P-256`, `RSA-1024`. Made once in a test run."""
    kind = name.split()[0]
    if kind in _CURVES:
        return ec.generate_private_key(_CURVES[kind]())
    return rsa.generate_private_key(public_exponent=65_537, key_size=int(kind.partition("-")[2] or 2_048))


def jwk(name: str, key_id: str | None = "k1", **members: Any) -> dict[str, Any]:
    """The public JWK of a key."""
    public = private_key(name).public_key()
    made = RSAAlgorithm.to_jwk(public, as_dict=True) if name.startswith("RSA") else ECAlgorithm.to_jwk(public, as_dict=True)
    made.pop("key_ops", None)
    return {**made, "use": "sig", **({} if key_id is None else {"kid": key_id}), **members}


def b64(raw: bytes | str) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw.encode() if isinstance(raw, str) else raw).rstrip(b"=").decode()


def signed(payload: str, header: Mapping[str, Any], key: str) -> str:
    """A compact JWS over any payload text. The algorithm of the header signs, if the library has it."""
    made = f"{b64(json.dumps(header))}.{b64(payload)}"
    algorithm = jwt.get_algorithm_by_name(header["alg"])
    return f"{made}.{b64(algorithm.sign(made.encode(), private_key(key)))}"


class Issuer:
    """Discovery and JWKS of one URL, as a `fetch`. `answers` replaces the answer at an address; `asked` lists the addresses."""

    def __init__(self, url: str = URL, *keys: Mapping[str, Any]) -> None:
        self.url, self.keys = url, list(keys or [jwk("RSA")])
        self.answers: dict[str, FetchResult | Exception] = {}
        self.asked: list[str] = []
        self.headers: dict[str, str] = {}
        self.before: Callable[[], None] = lambda: None

    @property
    def discovery(self) -> str:
        return f"{self.url.removesuffix('/')}/.well-known/openid-configuration"

    @property
    def jwks(self) -> str:
        return f"{self.url.removesuffix('/')}/jwks"

    @property
    def rounds(self) -> int:
        """How often the keys were read."""
        return self.asked.count(self.jwks)

    def fetch(self, url: str, limits: FetchLimits) -> FetchResult:
        self.asked.append(url)
        self.before()
        given = self.answers.get(url)
        if isinstance(given, Exception):
            raise given
        if given is not None:
            return given
        documents = {self.discovery: {"issuer": self.url, "jwks_uri": self.jwks}, self.jwks: {"keys": self.keys}}
        return FetchResult(200, json.dumps(documents[url]).encode(), self.headers)


class OidcWorld:
    """Role `Web` of account A, which trusts the issuer `oidc.example` with client `app1`."""

    def __init__(
        self,
        *,
        trust: Mapping[str, Any] = {},
        actions: Sequence[str] = CALLS,
        url: str = URL,
        settings: FederationSettings = FederationSettings(),  # noqa: B008  (frozen)
        issuer: Issuer | None = None,
        mode: str = "strict",
        **options: Any,
    ) -> None:
        self.clock, self.events = Clock(), list[AuditEvent]()
        self.directory = fastiam.Directory(mode=mode)
        self.issuer = issuer or Issuer(url)
        self.provider = f"arn:aws:iam::{A}:oidc-provider/{url.removeprefix('https://')}"
        self.sts = STS(self.directory, Keyring.generate(), clock=self.clock, hasher=CHEAP)
        self.federation = Federation(
            self.sts, fetch=options.pop("fetch", self.issuer.fetch), settings=settings, audit=self.events.append, **options
        )
        self.federation.oidc_providers.create(A, url, client_ids=[CLIENT])
        self.events.clear()
        self.set_trust(self.provider, actions, trust)

    def set_trust(self, who: str, actions: Sequence[str], condition: Mapping[str, Any]) -> None:
        statement = {"Effect": "Allow", "Principal": {"Federated": who}, "Action": list(actions)}
        trust = document(statement | ({"Condition": condition} if condition else {}))
        everything = document({"Effect": "Allow", "Action": "*", "Resource": "*"})
        if WEB in self.directory.tables.entities:
            self.directory.set_trust_policy(WEB, trust)
        else:
            self.directory.add_principal(WEB, unique_id="AROAWEB", trust_policy=trust, identity_policies=[("all", everything)])

    @property
    def now(self) -> int:
        return int(self.clock().timestamp())

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Good claims with changes; `...` takes one out."""
        made = {"iss": self.issuer.url, "sub": "u1", "aud": CLIENT, "iat": self.now, "exp": self.now + 600} | changes
        return {name: value for name, value in made.items() if value is not ...}

    def token(self, key: str = "RSA", header: Mapping[str, Any] = {}, payload: str | None = None, **changes: Any) -> str:
        """A token; changes are those of its claims."""
        head = {"alg": {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}.get(key.split()[0], "RS256"), "kid": "k1"} | header
        head = {name: value for name, value in head.items() if value is not ...}
        return signed(json.dumps(self.claims(**changes)) if payload is None else payload, head, key)

    def assume(self, token: str | None = None, role: str = WEB, name: str = "run1", **options: Any) -> WebIdentityRole:
        return self.federation.assume_role_with_web_identity(role, name, self.token() if token is None else token, **options)

    def outcome(self, token: str | None = None, **options: Any) -> str:
        """`OK`, or the code of AWS; the event has the same code."""
        n = len(self.events)
        try:
            self.assume(token, **options)
        except fastiam.FastiamError as error:
            code = getattr(error, "code", type(error).__name__)
        else:
            code = ""
        assert [event.code for event in self.events[n:]] == [code]
        return code or "OK"
