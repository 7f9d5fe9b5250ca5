"""Subjects: the kinds of credentials of principals, with the values that their keys have (4.2, T67, T68).

INVARIANT: each request of the universe is made by a subject that has its key values among its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fastiam.analysis.invariants.key_domains import CALLED_VIA, SOURCE, TAG, VIA, form, of_request, readable
from fastiam.analysis.pattern_sets import action_pattern_set
from fastiam.analysis.proof.candidate_requests import ALLOW_ALL
from fastiam.analysis.proof.domains import KeyDomain
from fastiam.directory.account_records import Entity
from fastiam.directory.aws_policies import aws_policy
from fastiam.model.key_registry import KEYS, SetBy, set_by
from fastiam.model.policy import Effect, Policy
from fastiam.model.profile import PROVIDERS, ROLES, ROOTS, WITH_LONG_TERM_KEYS, WITHOUT_ACCOUNT, PrincipalKind, PrincipalProfile
from fastiam.model.request import ContextValue
from fastiam.resolve.derived_keys import FALSE, TRUE, single

MFA, MFA_AGE, ISSUED = "aws:multifactorauthpresent", "aws:multifactorauthage", "aws:tokenissuetime"
USER_ID, SOURCE_IDENTITY, ASSUMED_ROOT = "aws:userid", "aws:sourceidentity", "aws:assumedroot"
SERVICE_NAMES = "aws:principalservicenameslist"
_OF_PRINCIPAL = frozenset(key for key, info in KEYS.items() if key.startswith("aws:principal")) | {USER_ID, "aws:username"}
_TASKS = (
    "IAMAuditRootUserCredentials IAMCreateRootUserPassword IAMDeleteRootUserCredentials S3UnlockBucketPolicy SQSUnlockQueuePolicy"
)
_ANY_USER = KeyDomain(absent=False, forms=(form("StringLike", USER_ID, "AIDA?*"),))  # 7.3
_ANY_ROLE = KeyDomain(absent=False, forms=(form("StringLike", USER_ID, "AROA?*:??*"),))
Names = Callable[[str], "Sequence[Name]"]  # the names after the start of an ARN
_MFA_CALL = frozenset({("sts", "assumerole")})
_PROVIDER_CALLS = frozenset(
    ("sts", name) for name in ("assumerolewithsaml", "assumerolewithwebidentity", "tagsession", "setsourceidentity")
)


def after(key: str, start: str, least: str) -> KeyDomain:
    """Return the domain of a key whose values begin with a text, and have more after it."""
    return KeyDomain(absent=False, forms=(replace(form("StringLike", key, f"{start}{least}*"), start=start),))


@dataclass(frozen=True, slots=True)
class Name:
    """The last part of an ARN: one that a policy or the scope names, or one of a set that none of them distinguishes."""

    text: str
    is_named: bool


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A principal with one kind of credentials.

    Attributes
    ----------
    profile
        without the keys that differ between its requests.
    names
        the ARNs that principal patterns match: its own, and that of its issuer.
    fixed
        keys with one value in all requests, None for an absent one; before those of the profile.
    starts
        what each value of a key begins with.
    domains
        the other keys that its credentials determine.
    is_recorded
        the directory has a record of it; else its own policies are taken to allow everything.
    membership
        `listed` in the organization, `member` of it and not listed, `outside`; "" without an account.
    sign_in
        credentials of the console, without the limits of GetSessionToken (4.2).
    issuer
        the ARN of the user, root or role behind a session.
    session
        the name of a role session or federated user that a policy or the scope names; None for all others.
    tags
        of the record.
    calls
        the only actions of these credentials; None for all.
    """

    profile: PrincipalProfile
    names: tuple[str, ...]
    fixed: Mapping[str, ContextValue | None] = field(default_factory=dict)
    starts: Mapping[str, str] = field(default_factory=dict)
    domains: Mapping[str, KeyDomain] = field(default_factory=dict)
    is_recorded: bool = True
    membership: str = ""
    sign_in: bool = False
    issuer: str | None = None
    session: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    calls: frozenset[tuple[str, str]] | None = None

    @property
    def kind(self) -> PrincipalKind:
        return self.profile.kind

    def known(self, key: str) -> tuple[ContextValue | None] | None:
        """Return the value of a key in all requests; None if it differs."""
        if key in self.fixed:
            return (self.fixed[key],)
        if key in self.starts or key in self.domains:
            return None
        if key.startswith(TAG):
            return self._known_tag(key)
        if key in _OF_PRINCIPAL:
            return (self.profile.keys.get(key),)
        if key in SOURCE and self.kind is not PrincipalKind.SVC:
            return (None,)
        if self.kind in WITHOUT_ACCOUNT:
            if key == VIA:
                return (FALSE,)
            if key.startswith(CALLED_VIA):
                return (None,)
        if set_by(key) is SetBy.SESSION and self._has_no_session:
            return (None,)
        return None

    @property
    def _has_no_session(self) -> bool:
        """Whether no key of a session comes with the credentials: long-term keys, unsigned requests."""
        if self.kind is PrincipalKind.ANON:
            return True
        return self.kind in WITH_LONG_TERM_KEYS and not self.sign_in and not self.profile.temporary and self.calls is None

    def _known_tag(self, key: str) -> tuple[ContextValue | None] | None:
        if self.kind in ROOTS or self.kind in (PrincipalKind.ANON, *PROVIDERS):
            return (None,)
        if self.kind is PrincipalKind.USER and self.is_recorded:
            return (self.profile.keys.get(key),)
        return None

    def domain(self, key: str) -> KeyDomain:
        """Return the values of a key that differs between requests."""
        found = self.domains.get(key)
        if found is None and key.startswith(TAG) and key in self.profile.keys:
            return KeyDomain(absent=False)  # a tag of the record stays, or has another value (S22)
        return of_request(key) if found is None else found


def trust_allows(trust: Policy | None, action: str) -> bool:
    """Whether an Allow of a trust policy can apply to a call; its conditions count as true. Without a record it can."""
    if trust is None:
        return True
    wanted = action_pattern_set(action)
    for statement in trust.statements:
        if statement.effect is Effect.ALLOW:
            if statement.actions is None or statement.not_action:
                return True
            patterns = map(action_pattern_set, statement.actions)
            if any(one is not None and wanted is not None and one.intersects(wanted) for one in patterns):
                return True
    return False


def of_entity(profile: PrincipalProfile, entity: Entity | None, sessions: Names, membership: str) -> Iterator[Subject]:
    """Yield the subjects of a root, user or role with a record. `sessions` gives the names of its sessions."""
    tags = {} if entity is None else entity.tags
    if profile.kind in ROLES:
        trust = None if entity is None or entity.trust is None else entity.trust.policy
        yield from sessions_of(profile, sessions, trust, membership, tags)
        return
    yield from of_long_term(profile, membership, tags, sessions)


def of_long_term(
    profile: PrincipalProfile, membership: str, tags: Mapping[str, str], sessions: Names, *, is_recorded: bool = True
) -> Iterator[Subject]:
    """Yield the subjects of a user or root: long-term keys, the console, an MFA code in a call, and federated users."""
    open_id = {USER_ID: _ANY_USER} if USER_ID in profile.open_keys or USER_ID not in profile.keys else {}
    base = Subject(
        replace(profile, keys={key: value for key, value in profile.keys.items() if key not in open_id}),
        (profile.name,),
        {MFA: None, MFA_AGE: None, ISSUED: None},
        domains=open_id,
        is_recorded=is_recorded,
        membership=membership,
        issuer=profile.name,
        tags=tags,
    )
    yield base
    console = replace(base, sign_in=True)
    issued = KeyDomain(absent=False, forms=readable(ISSUED))
    age = KeyDomain(absent=False, forms=readable(MFA_AGE))
    yield replace(console, fixed={MFA: TRUE, ASSUMED_ROOT: None}, domains={**open_id, ISSUED: issued, MFA_AGE: age})
    yield replace(console, fixed={MFA: FALSE, MFA_AGE: None, ASSUMED_ROOT: None}, domains={**open_id, ISSUED: issued})
    if profile.kind is PrincipalKind.USER:
        yield replace(base, fixed={MFA: TRUE, MFA_AGE: single("0"), ISSUED: None}, calls=_MFA_CALL)
    yield from _federated(base, sessions)


def of_session_token(console: Subject) -> Subject:
    """Return the GetSessionToken session of a user or root who signs in to the console: its keys, with the limits of 7.4."""
    profile = replace(console.profile, temporary=True, mfa=console.fixed[MFA] is TRUE)
    return replace(console, profile=profile, sign_in=False)


def _federated(issuer: Subject, sessions: Names) -> Iterator[Subject]:
    """Yield the federated users of a user or root, with session policies that allow everything."""
    profile = issuer.profile
    start = start_of_sessions(profile)
    is_root = profile.kind is PrincipalKind.ROOT
    keys = {key: value for key, value in profile.keys.items() if key not in ("aws:username", USER_ID, "aws:principalarn")}
    issued = {ISSUED: KeyDomain(absent=False, forms=readable(ISSUED))}
    for name in sessions(start):
        arn = start + name.text
        federated = replace(
            profile,
            kind=PrincipalKind.FED,
            name=arn,
            issuer_root=is_root,
            keys={**keys, "aws:principaltype": single("FederatedUser")},
            session_policies=ALLOW_ALL,
        )
        fixed: dict[str, ContextValue | None] = {MFA: None, MFA_AGE: None, ASSUMED_ROOT: None}
        starts = {"aws:principalarn": start, USER_ID: f"{profile.account}:"}
        if name.is_named:
            fixed |= {"aws:principalarn": single(arn), USER_ID: single(f"{profile.account}:{name.text}")}
        ends = {} if name.is_named else {key: after(key, text, "??") for key, text in starts.items()}
        made = replace(issuer, profile=federated, names=(arn, *issuer.names), fixed=fixed, domains={**issued, **ends})
        yield replace(made, starts={} if name.is_named else starts, session=name.text if name.is_named else None)


def of_assumed_root(root: PrincipalProfile, membership: str, *, is_recorded: bool = True) -> Iterator[Subject]:
    """Yield the AssumeRoot sessions of a member account, with each task policy; without a record, one without limits."""
    keys = {**root.keys, ASSUMED_ROOT: TRUE}
    fixed: dict[str, ContextValue | None] = {ASSUMED_ROOT: TRUE}
    domains = {ISSUED: KeyDomain(absent=False, forms=readable(ISSUED))}
    for task in _TASKS.split() if is_recorded else ("",):
        found = aws_policy(f"arn:aws:iam::aws:policy/root-task/{task}") if task else None
        policies = ALLOW_ALL if found is None else (found.document.policy,)
        profile = replace(root, kind=PrincipalKind.AROOT, keys=keys, session_policies=policies)
        subject = Subject(profile, (root.name,), fixed, domains=domains, is_recorded=is_recorded, membership=membership)
        yield replace(subject, issuer=root.name)


def start_of_sessions(profile: PrincipalProfile) -> str:
    """Return the start of the ARNs of the sessions of a role, or of the federated users of a user or root."""
    start = f"arn:{profile.partition}:sts::{profile.account}:"
    return f"{start}assumed-role/{profile.role_name}/" if profile.kind in ROLES else f"{start}federated-user/"


def sessions_of(
    role: PrincipalProfile,
    sessions: Names,
    trust: Policy | None,
    membership: str,
    tags: Mapping[str, str],
    *,
    is_recorded: bool = True,
) -> Iterator[Subject]:
    """Yield the sessions of a role, by their names."""
    for name in sessions(start_of_sessions(role)):
        yield _of_session(role, name, trust, membership, tags, is_recorded)


def _of_session(
    role: PrincipalProfile, name: Name, trust: Policy | None, membership: str, tags: Mapping[str, str], is_recorded: bool
) -> Subject:
    arn = f"arn:{role.partition}:sts::{role.account}:assumed-role/{role.role_name}/{name.text}"
    keys = {key: value for key, value in role.keys.items() if key not in (USER_ID, MFA, ISSUED)}
    fixed: dict[str, ContextValue | None] = {MFA_AGE: None, ASSUMED_ROOT: None, "aws:username": None}
    starts: dict[str, str] = {}
    domains = {
        MFA: KeyDomain(forms=(form("Bool", MFA, "false"),)),  # 7.6: false, absent of federated identities
        ISSUED: KeyDomain(absent=False, forms=readable(ISSUED)),
    }
    unique_id = None if USER_ID in role.open_keys else role.unique_id
    if unique_id is None:
        domains[USER_ID] = _ANY_ROLE
    elif not name.is_named:
        starts[USER_ID] = f"{unique_id}:"
        domains[USER_ID] = after(USER_ID, f"{unique_id}:", "??")
    else:
        fixed[USER_ID] = single(f"{unique_id}:{name.text}")
    if not trust_allows(trust, "sts:SetSourceIdentity"):
        fixed[SOURCE_IDENTITY] = None
    profile = replace(role, name=arn, session_arn=arn, keys=keys)
    made = Subject(profile, (arn, str(_role_arn(role))), fixed, starts, domains, is_recorded, membership)
    made = replace(made, issuer=_role_arn(role), session=name.text if name.is_named else None, tags=tags)
    return made if trust_allows(trust, "sts:TagSession") else replace(made, fixed=_FixedTags(fixed, keys))


def _role_arn(role: PrincipalProfile) -> str:
    value = role.keys.get("aws:principalarn")
    return role.name if value is None else value.values[0]


class _FixedTags(dict[str, ContextValue | None]):
    """Fixed keys of a session without a way to get tags: it has those of the record and no others (T67)."""

    def __init__(self, fixed: Mapping[str, ContextValue | None], keys: Mapping[str, ContextValue]) -> None:
        super().__init__(fixed)
        self._keys = keys

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or isinstance(key, str) and key.startswith(TAG)

    def __missing__(self, key: str) -> ContextValue | None:
        return self._keys.get(key)


def without_account(profile: PrincipalProfile, *, is_named: bool = True) -> Subject:
    """Return a service, an identity provider or the unsigned caller."""
    domains: dict[str, KeyDomain] = {}
    if profile.kind is PrincipalKind.SVC:
        domains = {SERVICE_NAMES: KeyDomain(absent=False)}
        if not is_named:
            domains["aws:principalservicename"] = KeyDomain(absent=False, forms=readable("aws:principalservicename"))
    if profile.kind is PrincipalKind.OIDC and not is_named:
        domains = {"aws:federatedprovider": KeyDomain(absent=False)}
    calls = _PROVIDER_CALLS if profile.kind in PROVIDERS else None
    return Subject(profile, (profile.name,), domains=domains, calls=calls, is_recorded=profile.kind not in PROVIDERS or is_named)
