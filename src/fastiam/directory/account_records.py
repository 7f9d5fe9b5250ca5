"""The records of an account model, immutable: a write replaces records.

A snapshot shares the tables with its model. The next write to a table copies it (`account_store`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from fastiam.directory.identity_pool_records import IdentityPool
from fastiam.directory.organization import Organization
from fastiam.directory.stored_policies import StoredLevels, StoredPolicy
from fastiam.model.profile import PrincipalKind

Tags = Mapping[str, str]
SESSION_DURATION = 3600  # seconds: the default of IAM


@dataclass(frozen=True, slots=True)
class Account:
    """An account. `scps` and `rcps`, unless None, replace the levels of its organisation path.

    `joined` : when it came into its organization, None if that is unknown. `request` : the id of the CreateAccount that made it.
    `closed` : when it was closed; its credentials are refused since then.
    """

    id: str
    partition: str = "aws"
    name: str | None = None
    canonical_id: str | None = None
    scps: StoredLevels | None = None
    rcps: StoredLevels | None = None
    alias: str = ""
    email: str = ""
    joined: datetime | None = None
    request: str = ""
    closed: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """A user or role; also a root user to which a lenient load gave policies (D6).

    `inline` policies have names. `attached` and, in `boundary`, plain strings are ARNs of managed policies.
    `made_id` : fastiam generated the unique id, so that a request may have another one (K1).
    `groups` are group ARNs. `boundary` is None without a boundary; an empty tuple allows nothing.
    `max_session_duration`, in seconds, is that of a role's sessions (spec 1.7, 7.1).
    `created` is None if it is unknown. `description` is a role's.
    """

    arn: str
    kind: PrincipalKind
    partition: str
    account: str
    path: str = ""
    name: str = ""
    unique_id: str | None = None
    made_id: bool = False
    tags: Tags = field(default_factory=dict)
    inline: tuple[StoredPolicy, ...] = ()
    attached: tuple[str, ...] = ()
    boundary: tuple[StoredPolicy | str, ...] | None = None
    groups: tuple[str, ...] = ()
    trust: StoredPolicy | None = None
    max_session_duration: int = SESSION_DURATION
    created: datetime | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """A group. It has policies, and is not a principal (D1)."""

    arn: str
    partition: str
    account: str
    path: str
    name: str
    unique_id: str | None = None
    inline: tuple[StoredPolicy, ...] = ()
    attached: tuple[str, ...] = ()
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class ManagedPolicy:
    """A managed policy of AWS or of a customer, with its versions; `default` is the id of the one in force.

    `version_dates` : when versions were created, as far as it is known; `updated` : when another one came into force.
    """

    arn: str
    versions: Mapping[str, StoredPolicy]
    default: str
    unique_id: str | None = None
    tags: Tags = field(default_factory=dict)
    created: datetime | None = None
    updated: datetime | None = None
    description: str = ""
    version_dates: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def document(self) -> StoredPolicy:
        """The version in force."""
        return self.versions[self.default]


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource, under the ARN that has its policies (D60). `account` is None if the owner is unknown."""

    arn: str
    account: str | None = None
    policies: tuple[StoredPolicy, ...] = ()
    tags: Tags = field(default_factory=dict)
    restrict_public_buckets: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A VPC endpoint; `policies` None allows everything (G4)."""

    id: str
    policies: tuple[StoredPolicy, ...] | None = None
    account: str | None = None
    gateway: bool = False


@dataclass(frozen=True, slots=True)
class InstanceProfile:
    """An instance profile: it gives a role to EC2 instances. `role` is the ARN of its role, None without one."""

    arn: str
    partition: str
    account: str
    path: str
    name: str
    unique_id: str | None = None
    role: str | None = None
    tags: Tags = field(default_factory=dict)
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class SamlProvider:
    """A SAML identity provider of an account; `metadata` is the XML that the identity provider publishes.

    `unique_id` is internal: a provider that is created again under the same name has another one, "" in rows of older releases.
    `uuid` is public (`SAMLProviderUUID`). `encryption` is the assertion encryption mode: `Required`, `Allowed`, or "" for none.
    """

    arn: str
    account: str
    name: str
    metadata: str = ""
    tags: Tags = field(default_factory=dict)
    unique_id: str = field(default="", compare=False)
    uuid: str = ""
    encryption: str = ""
    created: datetime | None = None


@dataclass(frozen=True, slots=True)
class OidcProvider:
    """An OpenID Connect provider of an account.

    `url` comes without `https://`, as in the ARN and in the names of condition keys (`<url>:aud`). `client_ids` are the
    audiences that it may speak for, `thumbprints` those of certificates, in hexadecimal. `unique_id` is as of a SAML provider.
    `keys` is a pinned JWKS, the JSON text of the keys that sign its tokens; "" reads them from the provider.
    """

    arn: str
    account: str
    url: str
    client_ids: tuple[str, ...] = ()
    thumbprints: tuple[str, ...] = ()
    tags: Tags = field(default_factory=dict)
    unique_id: str = field(default="", compare=False)
    created: datetime | None = None
    keys: str = ""


@dataclass(frozen=True, slots=True)
class NotificationSetting:
    """A notification setting of a trust anchor. It is stored and has no effect on decisions."""

    event: str
    enabled: bool = False
    threshold: int | None = None
    channel: str | None = None


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """A trust anchor of IAM Roles Anywhere: certificates of authorities, each of them a root of trust.

    `certificates` is PEM text, "" if it is unknown. `acm_pca_arn` is the ARN of a private authority that has issued them, or "".
    `crls_missing` : the anchor has revocation lists whose data are unknown, so that it issues no session.
    """

    arn: str
    account: str
    name: str
    enabled: bool = False
    certificates: str = ""
    acm_pca_arn: str = ""
    crls_missing: bool = False
    notification_settings: tuple[NotificationSetting, ...] = ()
    tags: Tags = field(default_factory=dict)
    created: datetime | None = None
    updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A certificate revocation list (CRL) for one trust anchor; `data` is PEM text."""

    arn: str
    account: str
    name: str
    trust_anchor: str
    enabled: bool = False
    data: str = ""
    tags: Tags = field(default_factory=dict)
    created: datetime | None = None
    updated: datetime | None = None


def default_mappings() -> dict[str, tuple[str, ...]]:
    """The attribute mappings of a new profile, by certificate field."""
    return {"x509Subject": ("*",), "x509Issuer": ("*",), "x509SAN": ("DNS", "URI", "Name/*")}


@dataclass(frozen=True, slots=True)
class RolesAnywhereProfile:
    """A profile of IAM Roles Anywhere: the roles of its sessions, and the limits of these sessions.

    `session_policy` is the text of an inline session policy, "" for none. `attribute_mappings` are specifiers by field of the
    certificate.
    """

    arn: str
    account: str
    name: str
    enabled: bool = False
    role_arns: tuple[str, ...] = ()
    session_policy: str = ""
    managed_policy_arns: tuple[str, ...] = ()
    duration_seconds: int = SESSION_DURATION
    accept_role_session_name: bool = False
    require_instance_properties: bool = False
    attribute_mappings: Mapping[str, tuple[str, ...]] = field(default_factory=default_mappings)
    tags: Tags = field(default_factory=dict)
    created: datetime | None = None
    updated: datetime | None = None


RolesAnywhereRecord = TrustAnchor | RevocationList | RolesAnywhereProfile


@dataclass(slots=True)
class Tables:
    """All records, by id or ARN. `roles` finds a role by partition, account and name (N11)."""

    accounts: dict[str, Account] = field(default_factory=dict)
    entities: dict[str, Entity] = field(default_factory=dict)
    roles: dict[tuple[str, str, str], str] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    managed: dict[str, ManagedPolicy] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    instance_profiles: dict[str, InstanceProfile] = field(default_factory=dict)
    saml_providers: dict[str, SamlProvider] = field(default_factory=dict)
    oidc_providers: dict[str, OidcProvider] = field(default_factory=dict)
    trust_anchors: dict[str, TrustAnchor] = field(default_factory=dict)
    revocation_lists: dict[str, RevocationList] = field(default_factory=dict)
    roles_anywhere_profiles: dict[str, RolesAnywhereProfile] = field(default_factory=dict)
    identity_pools: dict[str, IdentityPool] = field(default_factory=dict)
    organization: Organization | None = None
