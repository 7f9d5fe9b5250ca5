"""An account with identity pool `Q`, user pools `P` and `P2`, a SAML provider, an OIDC issuer, and roles (federation.md, 10).

Logins are described as data: `{"P": {"sub": "u1"}}` is an ID token of user pool P. `World.logins` makes the tokens.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from saml_world import AUDIENCE, good, metadata
from sts_fixture import CHEAP, A, Clock, document

import fastiam
from fastiam.cognito import IdentityPools
from fastiam.cognito.user_pools import keys
from fastiam.cognito.user_pools.keys import put_keys
from fastiam.cognito.user_pools.state import PoolState, Settings
from fastiam.cognito.user_pools.tokens import Tokens
from fastiam.directory.user_pool_records import Client, Pool, SignIn, User
from fastiam.federation import AccessToken, AuditEvent, Federation
from fastiam.federation.fetch import no_fetch
from fastiam.sts import STS, Keyring, StsError

START = datetime(2026, 11, 29, 12, tzinfo=UTC)
REGION = "us-east-1"
P, P2 = f"cognito-idp.{REGION}.amazonaws.com/us-east-1_AbCdEf123", f"cognito-idp.{REGION}.amazonaws.com/us-east-1_Other2345"
CORP, OIDC = f"arn:aws:iam::{A}:saml-provider/Corp", f"arn:aws:iam::{A}:oidc-provider/oidc.example"
BACKEND = "login.my.app"
COGNITO = "cognito-identity.amazonaws.com"
NAMES = {
    "P": P,
    "P2": P2,
    "P/c": f"{P}:c",
    "P/d": f"{P}:d",
    "Corp": CORP,
    "oidc": "oidc.example",
    "oidc-arn": OIDC,
    "google": "accounts.google.com",
    "facebook": "graph.facebook.com",
    "own": COGNITO,
    "dev": BACKEND,
}
CODES = {
    "NAE": "NotAuthorizedException",
    "INVALID": "InvalidParameterException",
    "CONFLICT": "ResourceConflictException",
    "CONFIG": "InvalidIdentityPoolConfigurationException",
    "NOT_FOUND": "ResourceNotFoundException",
    "EXTERNAL": "ExternalServiceException",
}


@functools.cache
def issuer_key(name: str) -> Any:
    """A key of an outside issuer, made once."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def jwks(name: str) -> str:
    """The JWKS of an outside issuer."""
    members = RSAAlgorithm.to_jwk(issuer_key(name).public_key(), as_dict=True)
    return json.dumps({"keys": [{"kty": "RSA", "n": members["n"], "e": members["e"], "kid": name, "use": "sig"}]})


def role(name: str) -> str:
    """The ARN of a role by its name; another text is left as it is."""
    return name if not name.isalnum() else f"arn:aws:iam::{A}:role/{name}"


def facebook(token: str, now: datetime) -> AccessToken:
    """A checker of access tokens that are their own content: `app user`."""
    app, user = token.split()
    return AccessToken(app, user, now + timedelta(hours=1))


class IdentityWorld:
    """Identity pool `Q` over a directory. `pool` are other parameters of it."""

    def __init__(self, pool: Mapping[str, Any] = {}, *, directory: fastiam.Directory | None = None, **options: Any) -> None:
        self.clock, self.events = Clock(START), list[AuditEvent]()
        self.directory = fastiam.Directory() if directory is None else directory
        self.keyring = Keyring.generate()
        self.pools = self.open(**options)
        self.add_user_pools()
        self.federation.saml_providers.create(A, "Corp", metadata())
        self.directory.create_oidc_provider(OIDC, client_ids=["app1"], keys=jwks("oidc"))
        self.q = self.create(**pool).identity_pool_id
        self.add_roles()
        self.pools.set_identity_pool_roles(self.q, {"authenticated": role("Auth"), "unauthenticated": role("Guest")})
        self.ids: dict[str, str] = {}

    def open(self, **options: Any) -> IdentityPools:
        """Identity pools over the same directory, as another process has them."""
        self.sts = STS(self.directory, self.keyring, clock=self.clock, hasher=CHEAP)
        self.federation = Federation(
            self.sts,
            audit=self.events.append,
            web_providers={"accounts.google.com": jwks("google")},
            token_checkers={"graph.facebook.com": facebook},
        )
        state = self.federation.verifiers.state
        self.state = PoolState(
            state.issuer.state, sender=None, triggers={}, fetch=no_fetch, auditor=state.auditor, settings=Settings()
        )
        self.tokens = Tokens(self.state)
        return IdentityPools(self.federation, **options)

    def create(self, **changes: Any) -> Any:
        """An identity pool."""
        defaults: dict[str, Any] = {
            "identity_pool_name": "Q",
            "allow_unauthenticated_identities": True,
            "account": A,
            "region": REGION,
            "cognito_identity_providers": [{"ProviderName": P, "ClientId": "c"}],
            "saml_provider_arns": [CORP],
            "open_id_connect_provider_arns": [OIDC],
            "supported_login_providers": {"accounts.google.com": "g1;g2", "graph.facebook.com": "f1"},
            "developer_provider_name": BACKEND,
        }
        return self.pools.create_identity_pool(**(defaults | changes))

    # -- roles ----------------------------------------------------------------------------------------------------------------

    def add_roles(self) -> None:
        """Roles that trust `Q`; `Guest` for guests, `NoTags` without sts:TagSession."""
        everything = document({"Effect": "Allow", "Action": ["s3:*", "ec2:*"], "Resource": "*"})
        tagged = ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"]
        for name in ("Auth", "R1", "R2", "R3", "Admin"):
            self.add_role(name, everything, tagged, "authenticated")
        self.add_role("Guest", everything, tagged[:1], "unauthenticated")
        self.add_role("NoTags", everything, tagged[:1], "authenticated")

    def add_role(self, name: str, policy: Mapping[str, Any], actions: Sequence[str], amr: str) -> None:
        """A role for identities of `Q` of one kind."""
        condition = {"StringEquals": {f"{COGNITO}:aud": self.q}, "ForAnyValue:StringLike": {f"{COGNITO}:amr": amr}}
        statement = {
            "Effect": "Allow",
            "Principal": {"Federated": COGNITO},
            "Action": list(actions),
            "Condition": condition,
        }
        self.directory.add_principal(
            role(name), unique_id="AROA" + name.upper(), trust_policy=document(statement), identity_policies=[policy]
        )

    # -- user pools -----------------------------------------------------------------------------------------------------------

    def add_user_pools(self) -> None:
        """User pools `P` with clients `c` and `d`, and `P2` with client `c2`."""
        for name, clients in ((P, ("c", "d")), (P2, ("c2",))):
            id_ = name.partition("/")[2]
            pool = Pool(id_, id_, A, "aws", REGION, f"https://{name}", START, START)
            made = self.keys_made_once(pool)
            with self.state.transaction():
                self.state.put("pools", id_, pool)
                put_keys(self.state, pool, made)
                for client in clients:
                    self.state.put("clients", client, Client(client, id_, client, START, START))

    def keys_made_once(self, pool: Pool) -> list[Any]:
        """Signing keys of a pool, whose private parts all worlds have in common: making them takes a tenth of a second."""
        uses = iter(keys.USES)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(keys, "generate_private_key", lambda *_: issuer_key(f"{pool.id} {next(uses)}"))
            return keys.make_keys(self.state, pool)

    def user_pool(self, name: str) -> Pool:
        """The record of a user pool."""
        return self.state.tables.pools[name.partition("/")[2]]

    def sign_in(self, sub: str, *, name: str = P, client: str = "c") -> str:
        """A user of a user pool with a sign-in, whose event id is answered."""
        pool, event = self.user_pool(name), f"event-{sub}"
        with self.state.transaction():
            user = self.state.tables.users.get(f"{pool.id}/{sub}") or User(pool.id, sub, sub, START, START, "CONFIRMED")
            self.state.put("users", user.key, user)
            made = int(self.clock().timestamp() * 1000)
            record = SignIn(pool.id, client, sub, made, self.clock() + timedelta(days=30), f"origin-{sub}")
            self.state.put("sign_ins", f"{pool.id}/{event}", record)
        return event

    def sign_out(self, sub: str, *, name: str = P) -> None:
        """GlobalSignOut of a user."""
        with self.state.transaction():
            user = self.state.tables.users[f"{self.user_pool(name).id}/{sub}"]
            self.state.put("users", user.key, replace(user, signed_out=int(self.clock().timestamp() * 1000)))

    # -- logins ---------------------------------------------------------------------------------------------------------------

    def claims(self, issuer: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Good claims of an issuer with changes; None takes one out."""
        now = int(self.clock().timestamp())
        made = {"iss": issuer, "sub": "u1", "iat": now, "exp": now + 3600} | given
        return {name: value for name, value in made.items() if value is not None}

    def login(self, name: str, given: Mapping[str, Any]) -> str:
        """The token of one login. `by` names another signer, `use` another kind of token of a user pool."""
        given = dict(given)
        by, use = given.pop("by", name), given.pop("use", "id")
        if name in ("P", "P2"):
            claims = {"aud": "c" if name == "P" else "c2", "token_use": use} | given
            issuer = f"https://{NAMES[given.pop('of', name)]}"
            claims.pop("of", None)
            return str.__str__(self.tokens.sign(self.user_pool(NAMES[by]), use, self.claims(issuer, claims)))
        if name == "Corp":
            name_id_format = f"urn:oasis:names:tc:SAML:2.0:nameid-format:{given.pop('format', 'persistent')}"
            return good(self.clock(), name_id_format=name_id_format, **({"roles": [], "audiences": [[AUDIENCE]]} | given))
        if name == "facebook":
            return f"{given.get('app', 'f1')} {given.get('sub', 'u1')}"
        if name == "dev":
            return str(given["user"])
        issuer, audience = {"oidc": ("https://oidc.example", "app1"), "google": ("https://accounts.google.com", "g1")}[name]
        claims = self.claims(issuer, {"aud": audience} | given)
        return jwt.encode(claims, issuer_key(by), algorithm="RS256", headers={"kid": by})

    def logins(self, described: Mapping[str, Any]) -> dict[str, str]:
        """`Logins` as a client sends them; a text is a token itself, or the name of one that a step has kept."""
        return {
            NAMES[name]: self.ids.get(given, given) if isinstance(given, str) else self.login(name, given)
            for name, given in described.items()
        }

    # -- calls ----------------------------------------------------------------------------------------------------------------

    def get_id(self, **described: Any) -> str:
        """GetId with logins."""
        return self.pools.get_id(self.q, self.logins(described))

    def credentials(self, identity: str, custom_role: str | None = None, **described: Any) -> Any:
        """GetCredentialsForIdentity with logins."""
        custom = None if custom_role is None else role(custom_role)
        return self.pools.get_credentials_for_identity(identity, self.logins(described), custom_role_arn=custom)

    def code(self, call: Any, *args: Any, **kwargs: Any) -> str:
        """`OK`, or the code of AWS in short. A refusal is in the last event."""
        try:
            call(*args, **kwargs)
        except StsError as error:
            return next((short for short, code in CODES.items() if code == error.code), error.code)
        return "OK"


def refused(world: IdentityWorld, call: Any, *args: Any, **kwargs: Any) -> StsError:
    """The refusal of a call, which is one event and changes no identity."""
    before, n = dict(world.pools._store.tables.identities), len(world.events)
    with pytest.raises(StsError) as error:
        call(*args, **kwargs)
    assert [event.code for event in world.events[n:]] == [error.value.code]
    assert world.pools._store.tables.identities == before
    return error.value
