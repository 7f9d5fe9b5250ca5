"""What an account model holds: one frozen record per thing of IAM. A write replaces records, it never changes one.

So a snapshot shares the tables with its model until the next write to one of them, which copies that one (`store`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastiam.account.documents import StoredLevels, StoredPolicy
from fastiam.account.organization import Organization
from fastiam.profile import PrincipalKind

Tags = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Account:
    """An account. `scps` and `rcps`, where given, stand in place of the levels of its organisation path."""

    id: str
    partition: str = "aws"
    name: str | None = None
    canonical_id: str | None = None
    scps: StoredLevels | None = None
    rcps: StoredLevels | None = None


@dataclass(frozen=True, slots=True)
class Entity:
    """A user or role; a root user too where a lenient load gave it layers of its own (D6).

    `inline` policies carry their names. `attached` and, in `boundary`, plain strings are ARNs of managed policies.
    `groups` are group ARNs. `boundary` is None where there is none; an empty tuple allows nothing.
    """

    arn: str
    kind: PrincipalKind
    partition: str
    account: str
    path: str = ""
    name: str = ""
    unique_id: str | None = None
    tags: Tags = field(default_factory=dict)
    inline: tuple[StoredPolicy, ...] = ()
    attached: tuple[str, ...] = ()
    boundary: tuple[StoredPolicy | str, ...] | None = None
    groups: tuple[str, ...] = ()
    trust: StoredPolicy | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A group: it has policies and is no principal (D1)."""

    arn: str
    partition: str
    account: str
    path: str
    name: str
    unique_id: str | None = None
    inline: tuple[StoredPolicy, ...] = ()
    attached: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ManagedPolicy:
    """A managed policy, of AWS or of a customer, with its versions; `default` names the one in force."""

    arn: str
    versions: Mapping[str, StoredPolicy]
    default: str

    @property
    def document(self) -> StoredPolicy:
        """The version in force."""
        return self.versions[self.default]


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource under the ARN of what carries its policies (D60). `account` is None where nothing tells the owner."""

    arn: str
    account: str | None = None
    policies: tuple[StoredPolicy, ...] = ()
    tags: Tags = field(default_factory=dict)
    restrict_public_buckets: bool = False


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A VPC endpoint; without `policies` it gives full access (G4)."""

    id: str
    policies: tuple[StoredPolicy, ...] | None = None
    account: str | None = None
    gateway: bool = False


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
    organization: Organization | None = None
