"""What the calls of STS give back (spec 7.1). Frozen data; secrets do not show in representations."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from fastiam.credentials.secret import Secret, takes_secrets
from fastiam.model.session import Session, own_copy


@dataclass(frozen=True, slots=True)
class Credentials:
    """What signs requests: a long-term access key, or a temporary one with its session token and expiration."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret | None
    expiration: datetime | None

    @takes_secrets("secret_access_key", "session_token", identifiers=("access_key_id",))
    def __init__(
        self,
        access_key_id: str,
        secret_access_key: str,
        session_token: str | None = None,
        expiration: datetime | None = None,
    ) -> None:
        for name, value in (
            ("access_key_id", access_key_id),
            ("secret_access_key", secret_access_key),
            ("session_token", session_token),
            ("expiration", expiration),
        ):
            object.__setattr__(self, name, value)

    def process_json(self) -> dict[str, str | int]:
        """What a `credential_process` of the AWS CLI and SDKs prints, version 1."""
        fields: dict[str, str | int] = {
            "Version": 1,
            "AccessKeyId": self.access_key_id,
            "SecretAccessKey": str(self.secret_access_key),
        }
        if self.session_token is not None:
            fields["SessionToken"] = str(self.session_token)
        if self.expiration is not None:
            fields["Expiration"] = self.expiration.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return fields


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request, from verified credentials.

    Attributes
    ----------
    principal
        what goes wherever a principal goes: the ARN of a user or root with a long-term key, else the `Session`.
    access_key_id
        the key, None if another program has verified the caller.
    expires_at
        of temporary credentials.
    issuer_id, issuer_key
        unique id and access key of who issued these; they must still be there when the caller is used.
    """

    principal: str | Session
    access_key_id: str | None = None
    expires_at: datetime | None = None
    issuer_id: str | None = field(default=None, repr=False)
    issuer_key: str | None = field(default=None, repr=False)

    @property
    def arn(self) -> str:
        """The principal ARN."""
        return self.principal if isinstance(self.principal, str) else self.principal.arn


@dataclass(frozen=True, slots=True)
class IssuedSession:
    """Temporary credentials, and the session that they stand for."""

    credentials: Credentials
    session: Session


@dataclass(frozen=True, slots=True)
class AssumedRole(IssuedSession):
    """A role session. `role_id` is its `aws:userid`, None where the role has no unique id (S20)."""

    arn: str
    role_id: str | None
    source_identity: str | None = None
    packed_policy_size: int = 0  # of the limit on session policies, in percent


@dataclass(frozen=True, slots=True)
class FederatedUser(IssuedSession):
    """A federated user session (GetFederationToken)."""

    arn: str
    user_id: str
    packed_policy_size: int = 0


@dataclass(frozen=True, slots=True)
class CallerIdentity:
    """The caller: `aws:userid`, account and principal ARN (GetCallerIdentity)."""

    user_id: str | None
    account: str
    arn: str


@dataclass(frozen=True, kw_only=True)
class Assertion:
    """What a verified identity says: of a SAML response, a web identity token, or a client certificate (spec 7.7, 7.8).

    The verifier fills it in. STS evaluates trust over it and nothing else. Construction copies mappings and lists.

    Attributes
    ----------
    provider
        ARN of the SAML or OIDC provider, or a built-in domain such as `accounts.google.com`.
    keys
        condition keys for the trust evaluation: `saml:aud`, `oidc.example.org:sub`, `aws:SourceArn` of a trust anchor.
    session_name
        S21; a caller of AssumeRoleWithWebIdentity gives it with the call.
    tags, transitive_tag_keys, source_identity
        S41, S60.
    not_after
        `SessionNotOnOrAfter`; no session lasts longer.
    """

    provider: str
    keys: dict[str, str | list[str]] = field(default_factory=dict)
    session_name: str
    tags: dict[str, str] = field(default_factory=dict)
    transitive_tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None
    not_after: datetime | None = None

    def __post_init__(self) -> None:
        for name in ("keys", "tags"):
            object.__setattr__(self, name, own_copy(getattr(self, name)))
        object.__setattr__(self, "transitive_tag_keys", tuple(self.transitive_tag_keys))
