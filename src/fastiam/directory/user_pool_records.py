"""Records of user pools, kept with the directory in the same transactions (9.1). Secrets are sealed under the keyring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

ENCRYPTION_CERTIFICATE = "ActiveEncryptionCertificate"  # in the details of a SAML provider
SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86_400}


@dataclass(frozen=True, slots=True)
class PasswordRules:
    """`PasswordPolicy` of a pool (4.2)."""

    minimum_length: int = 8
    upper: bool = True
    lower: bool = True
    digit: bool = True
    symbol: bool = True
    history: int = 0
    temporary_days: int = 7


@dataclass(frozen=True, slots=True)
class Attribute:
    """A custom attribute, or a standard one that differs from the default schema. Limits are texts, "" for none."""

    name: str
    type: str = "String"
    mutable: bool = True
    required: bool = False
    minimum: str = ""
    maximum: str = ""


@dataclass(frozen=True, slots=True)
class Pool:
    """A user pool.

    Attributes
    ----------
    attributes
        `custom:` and `dev:` attributes, and standard ones that differ from the default.
    recovery
        `verified_email` and `verified_phone_number` in their order, or `admin_only`; empty if nothing was chosen.
    factors
        MFA factors that the pool allows: `SOFTWARE_TOKEN_MFA`, `SMS_MFA`, `EMAIL_OTP`.
    triggers
        names in the registry of callables by the name of the trigger.
    messages
        texts by the name of their parameter.
    issuer
        the URL of the tokens' `iss`.
    """

    id: str
    name: str
    account: str
    partition: str
    region: str
    issuer: str
    created: datetime
    modified: datetime
    password: PasswordRules = field(default_factory=PasswordRules)
    auto_verified: tuple[str, ...] = ()
    alias_attributes: tuple[str, ...] = ()
    username_attributes: tuple[str, ...] = ()
    case_sensitive: bool = True
    attributes: tuple[Attribute, ...] = ()
    mfa: str = "OFF"
    factors: tuple[str, ...] = ()
    admin_only: bool = False
    recovery: tuple[str, ...] = ()
    verify_before_update: tuple[str, ...] = ()
    protected: bool = False
    triggers: Mapping[str, str] = field(default_factory=dict)
    token_version: str = "V1_0"
    messages: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def arn(self) -> str:
        """The ARN, which policies name."""
        return f"arn:{self.partition}:cognito-idp:{self.region}:{self.account}:userpool/{self.id}"

    @property
    def recovery_order(self) -> tuple[str, ...]:
        """`recovery`, or its default: telephone numbers, then e-mail addresses."""
        return self.recovery or ("verified_phone_number", "verified_email")


@dataclass(frozen=True, slots=True)
class PoolSecret:
    """A random key of a pool, for keyed hashes of codes and unknown names."""

    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key of a pool for one kind of token, `id` or `access`. `modulus` is its public part in hexadecimal (exponent 65537)."""

    pool: str
    kid: str
    use: str
    modulus: str
    created: datetime
    sealed: bytes = field(repr=False)
    retired: datetime | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """An app client. Validities are in seconds; `grace` is that of rotation, None if refresh tokens do not rotate.

    `secret_missing` : the client has a secret that is unknown, so that it is refused until it gets another one.
    """

    id: str
    pool: str
    name: str
    created: datetime
    modified: datetime
    flows: tuple[str, ...] = ("ALLOW_CUSTOM_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH")
    access_validity: int = 3600
    id_validity: int = 3600
    refresh_validity: int = 30 * 86_400
    session_validity: int = 180
    units: Mapping[str, str] = field(default_factory=dict)
    readable: tuple[str, ...] | None = None
    writable: tuple[str, ...] | None = None
    hides_existence: bool = False
    revocation: bool = True
    providers: tuple[str, ...] = ()
    callbacks: tuple[str, ...] = ()
    logouts: tuple[str, ...] = ()
    default_redirect: str = ""
    oauth_flows: tuple[str, ...] = ()
    oauth_scopes: tuple[str, ...] = ()
    oauth: bool = False
    grace: int | None = None
    secret_missing: bool = False


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """One of the secrets of a client, by `client/id`."""

    client: str
    id: str
    created: datetime
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class User:
    """A user, by `pool/sub`.

    Attributes
    ----------
    login
        the attribute that was given as user name in a pool with `UsernameAttributes`.
    pending
        new values of attributes that must be verified before they count (UP25).
    factors, preferred
        MFA factors in use, and the one that is asked for first.
    signed_out
        milliseconds; sign-ins up to then have ended.
    """

    pool: str
    sub: str
    username: str
    created: datetime
    modified: datetime
    status: str = "UNCONFIRMED"
    enabled: bool = True
    attributes: Mapping[str, str] = field(default_factory=dict)
    login: str = ""
    pending: Mapping[str, str] = field(default_factory=dict)
    factors: tuple[str, ...] = ()
    preferred: str = ""
    groups: tuple[str, ...] = ()
    signed_out: int = -1

    @property
    def key(self) -> str:
        """The key of the record, and of the records that go with the user."""
        return f"{self.pool}/{self.sub}"


@dataclass(frozen=True, slots=True)
class Password:
    """The SRP verifier of a user with its salt, and earlier ones, as sealed JSON; by `pool/sub`."""

    sealed: bytes = field(repr=False)
    changed: datetime
    temporary: bool = False


@dataclass(frozen=True, slots=True)
class SoftwareToken:
    """A TOTP secret, by `pool/sub`; one that is not verified yet by `pool/sub/new`. Steps up to `last_step` are used."""

    sealed: bytes = field(repr=False)
    created: datetime
    name: str = ""
    last_step: int = -1


@dataclass(frozen=True, slots=True)
class Code:
    """A code that was sent, as keyed hash; by `pool/sub/purpose/attribute`."""

    hash: bytes = field(repr=False)
    until: datetime


@dataclass(frozen=True, slots=True)
class Attempts:
    """What was tried for one user name (UP32, UP100), in milliseconds; by `pool/sub`, or `pool/~hash` for an unknown name.

    Attributes
    ----------
    failures, until, last
        failed sign-ins in a row, the end of the lock, the last attempt.
    calls
        times of calls in the last hour, by purpose.
    requested
        when the code for a password recovery, that was not sent, ends.
    """

    failures: int = 0
    until: int = 0
    last: int = 0
    calls: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    requested: int = 0


@dataclass(frozen=True, slots=True)
class SignIn:
    """A sign-in, by `pool/event id`, until its refresh token ends. `live` has its rotating refresh tokens with the time in
    milliseconds at which each was replaced, 0 for none.
    """

    pool: str
    client: str
    sub: str
    made: int
    until: datetime
    origin: str
    scopes: tuple[str, ...] = ()
    is_oauth: bool = False
    revoked: bool = False
    live: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spent:
    """A string that counts once and was used: session, secret block, authorization code, state. `sign_in` is what it gave."""

    until: datetime
    sign_in: str = ""


@dataclass(frozen=True, slots=True)
class Horizon:
    """Spent strings that ended before this instant were removed: such a string has ended, whatever the clock says (ST20)."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """A group, by `pool/name`. `precedence` None is the worst."""

    pool: str
    name: str
    created: datetime
    modified: datetime
    description: str = ""
    role: str = ""
    precedence: int | None = None


@dataclass(frozen=True, slots=True)
class Domain:
    """The prefix or the whole name of the host of a pool's sign-in pages."""

    name: str
    pool: str
    custom: bool = False


@dataclass(frozen=True, slots=True)
class ResourceServer:
    """A resource server with its scopes, by `pool/identifier`."""

    pool: str
    identifier: str
    name: str
    scopes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provider:
    """An outside identity provider of a pool, by `pool/name`.

    Attributes
    ----------
    unique_id
        ours; a provider that is created again has another one.
    metadata, fetched
        SAML metadata, and when they were read from their URL.
    """

    pool: str
    name: str
    type: str
    unique_id: str
    created: datetime
    modified: datetime
    details: Mapping[str, str] = field(default_factory=dict)
    mapping: Mapping[str, str] = field(default_factory=dict)
    identifiers: tuple[str, ...] = ()
    metadata: str = field(default="", repr=False)
    fetched: datetime | None = None


@dataclass(frozen=True, slots=True)
class ProviderSecret:
    """The client secret at a provider, Apple's private key, or the key that decrypts SAML assertions; by `pool/unique id`."""

    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """An outside identity and its user (UP115), by `pool/unique id of the provider/attribute/value`.

    `attribute` is `Cognito_Subject`, or the claim of a link that was not used yet (UP113).
    """

    pool: str
    provider: str
    provider_name: str
    provider_type: str
    attribute: str
    value: str
    sub: str
    created: datetime
    linked: bool = False
    issuer: str = ""


@dataclass(slots=True)
class UserPoolTables:
    """All records by the keys that their classes name."""

    pools: dict[str, Pool] = field(default_factory=dict)
    pool_secrets: dict[str, PoolSecret] = field(default_factory=dict)
    signing_keys: dict[str, SigningKey] = field(default_factory=dict)
    clients: dict[str, Client] = field(default_factory=dict)
    client_secrets: dict[str, ClientSecret] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    passwords: dict[str, Password] = field(default_factory=dict)
    software_tokens: dict[str, SoftwareToken] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    attempts: dict[str, Attempts] = field(default_factory=dict)
    sign_ins: dict[str, SignIn] = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)
    horizon: Horizon | None = None
    groups: dict[str, Group] = field(default_factory=dict)
    domains: dict[str, Domain] = field(default_factory=dict)
    resource_servers: dict[str, ResourceServer] = field(default_factory=dict)
    providers: dict[str, Provider] = field(default_factory=dict)
    provider_secrets: dict[str, ProviderSecret] = field(default_factory=dict)
    identities: dict[str, Identity] = field(default_factory=dict)


PoolPart = Client | Group | Domain | ResourceServer | Provider
SEALED = ("pool_secrets", "signing_keys", "client_secrets", "passwords", "software_tokens", "provider_secrets")


def purpose_of(table: str, key: str) -> bytes:
    """The purpose for which the secret of a record is sealed: it opens in no other record (ST10)."""
    return f"cognito-{table}\0{key}".encode()


def place_of(pool: Pool, part: PoolPart) -> tuple[str, str]:
    """Table and key of a part of a user pool."""
    match part:
        case Client():
            return "clients", part.id
        case Domain():
            return "domains", part.name
        case ResourceServer():
            return "resource_servers", f"{pool.id}/{part.identifier}"
        case Group():
            return "groups", f"{pool.id}/{part.name}"
        case Provider():
            return "providers", f"{pool.id}/{part.name}"


def configuration_of(tables: UserPoolTables) -> UserPoolTables:
    """The records without users, keys and secrets. The certificate of a key that decrypts assertions goes with the key."""
    confidential = {secret.client for secret in tables.client_secrets.values()}
    return UserPoolTables(
        pools=dict(tables.pools),
        clients={k: replace(c, secret_missing=True) if k in confidential else c for k, c in tables.clients.items()},
        groups=dict(tables.groups),
        domains=dict(tables.domains),
        resource_servers=dict(tables.resource_servers),
        providers={k: _without_certificate(provider) for k, provider in tables.providers.items()},
    )


def _without_certificate(provider: Provider) -> Provider:
    details = {name: value for name, value in provider.details.items() if name != ENCRYPTION_CERTIFICATE}
    return provider if len(details) == len(provider.details) else replace(provider, details=details)
