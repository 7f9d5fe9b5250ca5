"""Profiles: resolved policies and attributes, the interface between `resolve` and the evaluators.

`resolve` builds a `PrincipalProfile` for a principal, a `ResourceProfile` for a resource, an `EndpointProfile` for an endpoint.
`spec` decides over them as the specification is written; `compile` builds tables that give the same decisions. Neither reads
a directory, a file or an API.

Policies in profiles are compared by identity: a stored policy is one object wherever it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fastiam.model.policy import Policy
from fastiam.model.request import ContextValue

Policies = tuple[Policy, ...]
Levels = tuple[Policies, ...]  # one tuple per level of an organisation path, root first


class PrincipalKind(StrEnum):
    """The kind of a principal (spec 3.1)."""

    ROOT = "ROOT"
    USER = "USER"
    ROLE = "ROLE"
    SLR = "SLR"
    FED = "FED"
    AROOT = "AROOT"
    SVC = "SVC"
    OIDC = "OIDC"
    SAML = "SAML"
    ANON = "ANON"


# Tables of kinds (spec 3.1, 6.1). The specification evaluator has its own.
ROLES = (PrincipalKind.ROLE, PrincipalKind.SLR)
ROOTS = (PrincipalKind.ROOT, PrincipalKind.AROOT)
ENTITIES = (PrincipalKind.USER, *ROLES)  # have a unique id
PROVIDER_TYPES = {"saml-provider": PrincipalKind.SAML, "oidc-provider": PrincipalKind.OIDC}  # types in ARNs
PROVIDERS = tuple(PROVIDER_TYPES.values())
PROVIDER_CALLS = {"sts:AssumeRoleWithSAML": PrincipalKind.SAML, "sts:AssumeRoleWithWebIdentity": PrincipalKind.OIDC}
# For these actions a name that is not an ARN is that of a federated provider (N3).
FEDERATION = {call.lower(): kind for call, kind in PROVIDER_CALLS.items()}
WITHOUT_ACCOUNT = (PrincipalKind.SVC, *PROVIDERS, PrincipalKind.ANON)
OF_SERVICES = (PrincipalKind.SVC, PrincipalKind.SLR)  # AWS services make the requests
WITH_LONG_TERM_KEYS = (PrincipalKind.USER, PrincipalKind.ROOT)
WITH_IDENTITY_POLICIES = (*ENTITIES, PrincipalKind.FED)
WITH_BOUNDARY = (PrincipalKind.USER, PrincipalKind.ROLE, PrincipalKind.FED)
NEED_SESSION_POLICIES = (PrincipalKind.FED, PrincipalKind.AROOT)  # are allowed nothing without one
WITH_SESSION_POLICIES = (*ROLES, *NEED_SESSION_POLICIES)


@dataclass(frozen=True, slots=True)
class PrincipalProfile:
    """A principal with everything that a decision reads of it.

    Attributes
    ----------
    kind
        spec 3.1.
    name
        the principal ARN, the primary service name, the provider, or `*`.
    partition, account
        None for SVC, OIDC, SAML, ANON (an OIDC or SAML provider ARN has a partition).
    known
        False for a user, role or session of which the model holds no record: denied in layer `credential` with reason
        `unknown_principal`. Always true in `simulate`.
    user_arn
        the user's ARN (USER), the issuer user's ARN where known (FED), else None.
    role_name
        the last path segment of the role's ARN (ROLE, SLR), else None; N11 compares it.
    session_arn
        the `assumed-role` ARN (ROLE, SLR), None where only the role is known (N5).
    unique_id
        `AIDA...` or `AROA...` of the user, role or issuer user, where known.
    issuer_known, issuer_root
        for FED (N4, 6.1).
    service_names
        for SVC, all names, the primary one first (N12).
    canonical_id
        S3 canonical id of the account, where known.
    temporary, mfa
        for USER and ROOT, credentials of GetSessionToken, and whether MFA was given for them (7.4).
    mfa_at
        when MFA was given, in epoch seconds; `aws:MultiFactorAuthAge` is derived from it and `now` (7.6).
    may_assume_root
        the account is the management account or the delegated administrator for IAM (7.4).
    keys
        derived and session context keys by folded name (spec 5.2, 5.3).
    absent_keys
        folded names that this caller is known not to have, where a value from the caller of an Engine contradicts (K1); a name
        ending in `/` stands for all keys that start so.
    open_keys
        names in `keys` with values that are assumed for a session or service because no record has more: a value from the caller
        of an Engine replaces them and contradicts nothing (K1), and they can be declared unknown (D71).
    declarable_keys
        names in `keys` that can be declared unknown (D71) though another value contradicts them (K1): the tags of a role, whose
        sessions may have other values that are unknown.
    identity_policies
        user's or role's own, then the groups'; inline before attached (D51).
    boundary, session_policies
        None where there is none; an empty tuple is there and allows nothing, and is not a task policy.
    bounded
        the user, role or issuer user has a permissions boundary (N22).
    scps
        None where SCPs do not apply (D11), with the reason in `scp_note`.
    """

    kind: PrincipalKind
    name: str
    partition: str | None = None
    account: str | None = None
    known: bool = True
    user_arn: str | None = None
    role_name: str | None = None
    session_arn: str | None = None
    unique_id: str | None = None
    issuer_known: bool = True
    issuer_root: bool = False
    service_names: tuple[str, ...] = ()
    canonical_id: str | None = None
    temporary: bool = False
    mfa: bool = False
    mfa_at: int | None = None
    may_assume_root: bool = False
    keys: Mapping[str, ContextValue] = field(default_factory=dict)
    absent_keys: frozenset[str] = frozenset()
    open_keys: frozenset[str] = frozenset()
    declarable_keys: frozenset[str] = frozenset()
    identity_policies: Policies = ()
    boundary: Policies | None = None
    session_policies: Policies | None = None
    bounded: bool = False
    scps: Levels | None = None
    scp_note: str = ""


@dataclass(frozen=True, slots=True)
class PrincipalTemplate:
    """Principals whose names differ only after the last slash, and whose profiles differ only in values derived from the name.

    Attributes
    ----------
    start
        the common start of their names, with that slash.
    base
        a principal whose profile equals theirs, except for the ARN of the user or session and the fields below.
    role_account
        partition and account, if the text after the slash is a role name; else their role is that of `base`.
    keys
        keys that differ, by folded name: the prefix of the text after the slash, or None for the whole name.
    open_keys
        those of `keys` with assumed values.
    """

    start: str
    base: str
    role_account: tuple[str, str] | None = None
    keys: Mapping[str, str | None] = field(default_factory=dict)
    open_keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ResourceProfile:
    """A request resource with its owner and the policies that govern it (spec 6.10).

    Attributes
    ----------
    arn
        the literal ARN to decide with, or `*`. (A partial secret ARN has become the full one.)
    partition
        None for `*`.
    account
        the owner (D23), None if no source determines it and the principal has no account.
    assumed_owner, owner_override, unknown_owner
        D23; `unknown_owner` only where the engine denies such requests.
    policies
        the resource policies of all governing resources in the order of 6.10, None where there is none.
    rcps
        None where RCPs do not apply for reasons of the account (D14), with the reason in `rcp_note`.
    keys
        `aws:ResourceAccount`, `aws:ResourceOrgID`, `aws:ResourceOrgPaths`, `aws:ResourceTag/*` by folded name.
    blocks_public
        RestrictPublicBuckets is on and the bucket policy is public (D33).
    """

    arn: str
    partition: str | None = None
    account: str | None = None
    assumed_owner: bool = False
    owner_override: bool = False
    unknown_owner: bool = False
    policies: Policies | None = None
    rcps: Levels | None = None
    rcp_note: str = ""
    keys: Mapping[str, ContextValue] = field(default_factory=dict)
    blocks_public: bool = False


@dataclass(frozen=True, slots=True)
class EndpointProfile:
    """The VPC endpoint that a request came through (spec 6.8).

    `policies` is None for full access (G4, D40). `known` is False for an id that a directory with endpoint
    policies does not hold: the layer is `U` (D40). `gateway` endpoints follow N17.
    """

    id: str
    policies: Policies | None = None
    gateway: bool = False
    known: bool = True
    keys: Mapping[str, ContextValue] = field(default_factory=dict)


# D15, the September 2026 list
RCP_SERVICES = frozenset(
    (
        "s3 sts kms sqs secretsmanager appstream dsql clouddirectory cloudfront cloudsearch logs networkmonitor"
        " cognito-identity cognito-idp comprehend comprehendmedical firehose dynamodb dax autoscaling ecr ecr-public gamelift"
        " inspector-scan kendra kinesisvideo memorydb aoss personalize polly swf textract timestream-influxdb transcribe"
        " translate workspaces appconfig autoscaling-plans budgets servicediscovery cloudtrail-data codeartifact codebuild"
        " codecommit codepipeline compute-optimizer cost-optimization-hub events fms fis health rolesanywhere opensearch"
        " pricing pca-connector-ad resource-groups signin support transfer notifications wafv2 xray"
    ).split()
)

CACHE_BYTES = 1 << 30  # default bound on the run-time cache of an engine


@dataclass(frozen=True, slots=True)
class Settings:
    """The parameters that the specification leaves open. All names are lower-case action prefixes or actions.

    Attributes
    ----------
    rcp_services
        prefixes with RCP support (D15).
    anonymous_services
        prefixes that accept unsigned callers (D19).
    global_services
        prefixes whose `aws:RequestedRegion` defaults to `us-east-1` (K6).
    scp_exempt_actions
        actions that no SCP restricts (D12).
    resource_policy_services
        prefixes that need a resource policy in the same account too (6.3).
    """

    rcp_services: frozenset[str] = RCP_SERVICES
    anonymous_services: frozenset[str] = frozenset({"s3", "sqs", "sns"})
    global_services: frozenset[str] = frozenset("account cloudfront iam organizations route53 route53domains shield waf".split())
    scp_exempt_actions: frozenset[str] = frozenset()
    resource_policy_services: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ResourceFacts:
    """The record of one resource ARN, the same for every principal (spec 6.10, D23).

    Attributes
    ----------
    arn
        the ARN to decide with; a partial secret ARN has become the full one.
    account
        the recorded owner, of the resource or else of its governing resource; None where nothing is recorded.
    policies
        policies of all governing resources in the order of 6.10, None where there is none.
    governs
        when `policies` count: `always`; `trust` only for the STS calls on a role (6.10, row `iam`); `service` only for SVC
        requesters (row `logs`).
    keys
        `aws:ResourceTag/*` by folded name, from the record of exactly this ARN.
    blocks_public
        D33.
    start
        a prefix up to a `/` or `:` of the last field. All ARNs with this prefix have these facts, except those with a record of
        their own: the entries of one governing resource. Empty if no other ARN is known to have them.
    """

    arn: str
    account: str | None = None
    policies: Policies | None = None
    governs: str = "always"
    keys: Mapping[str, ContextValue] = field(default_factory=dict)
    blocks_public: bool = False
    start: str = ""


@dataclass(frozen=True, slots=True)
class AccountFacts:
    """The record of an account as the owner of resources, endpoints and sources.

    `org_id` and `org_path` (`o-x/r-x/ou-y/`) are None outside an organisation; `rcps` as in `ResourceProfile`.
    """

    id: str
    org_id: str | None = None
    org_path: str | None = None
    rcps: Levels | None = None
    rcp_note: str = ""
