"""Principal entries (spec 3.2, 3.3): what each names, and in which class it matches who asks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache

from fastiam.model.profile import PrincipalKind, PrincipalProfile
from fastiam.model.request import ContextValue
from fastiam.spec.statement_trace import View
from fastiam.spec.three_valued import F, T, Truth, truth

CLASSES = "DRPA*"  # direct, via role, via parent user, account, wildcard

Match = tuple[Truth, str]  # whether an entry names the asker, and the class (3.3)
NO_MATCH: Match = (F, "")

_ROLES = (PrincipalKind.ROLE, PrincipalKind.SLR)
_ROOTS = (PrincipalKind.ROOT, PrincipalKind.AROOT)
_PROVIDERS = (PrincipalKind.OIDC, PrincipalKind.SAML)
_OF_ACCOUNTS = (PrincipalKind.USER, *_ROLES, PrincipalKind.FED)


class Form(Enum):
    """The forms of 3.2. `VAGUE` is what has no known form (V41) or a wildcard (V32): `U` for everyone."""

    EVERYONE = auto()
    IDENTITIES = auto()
    ACCOUNT = auto()
    USER = auto()
    ROLE = auto()
    SESSION = auto()
    FEDERATED_USER = auto()
    UNIQUE_ID = auto()
    SERVICE = auto()
    PROVIDER = auto()
    CANONICAL_USER = auto()
    GROUP = auto()
    VAGUE = auto()


_AWS_FORMS = tuple(
    (form, re.compile(expression, re.ASCII))
    for form, expression in (
        (Form.ACCOUNT, r"(?P<account>[0-9]{12})"),
        (Form.ACCOUNT, r"arn:(?P<partition>[^:]+):iam::(?P<account>[0-9]{12}):root"),
        (Form.USER, r"arn:(?P<partition>[^:]+):iam::(?P<account>[^:]*):user/.+"),
        (Form.ROLE, r"arn:(?P<partition>[^:]+):iam::(?P<account>[0-9]{12}):role/(?:.*/)?(?P<role>[^/]+)"),
        (Form.SESSION, r"arn:(?P<partition>[^:]+):sts::(?P<account>[0-9]{12}):assumed-role/(?P<role>[^/]+)/[^/]+"),
        (Form.FEDERATED_USER, r"arn:(?P<partition>[^:]+):sts::(?P<account>[0-9]{12}):federated-user/[^/]+"),
        (Form.UNIQUE_ID, r"(?:AIDA|AROA)\w+"),
        (Form.GROUP, r"arn:[^:]+:iam::[0-9]{12}:group/.+"),
    )
)
_PROVIDER = re.compile(
    r"arn:[^:]+:iam::[0-9]{12}:(?P<type>saml|oidc)-provider/.+"
    r"|cognito-identity\.amazonaws\.com|www\.amazon\.com|graph\.facebook\.com|accounts\.google\.com"
)
_CALLS = {PrincipalKind.SAML: "assumerolewithsaml", PrincipalKind.OIDC: "assumerolewithwebidentity"}
_BESIDE = ("tagsession", "setsourceidentity")  # permissions that these calls require


@dataclass(frozen=True, slots=True)
class Named:
    """An entry as read: its form, its text, and the parts of it that are compared; `kind` is that of an identity provider."""

    form: Form
    text: str
    partition: str | None = None
    account: str | None = None
    role: str | None = None
    kind: PrincipalKind | None = None


@lru_cache(maxsize=8192)
def read_entry(type_: str, value: str) -> Named:
    """The form of an entry, by its type and its text (3.2, V32, V41)."""
    if type_ == "*":
        return Named(Form.EVERYONE, value)
    if type_ == "AWS" and value == "*":
        return Named(Form.IDENTITIES, value)
    if "*" in value or "?" in value or "\n" in value or not value:
        return Named(Form.VAGUE, value)
    if type_ == "AWS":
        return _read_aws(value)
    if type_ == "Service" and value == value.lower():
        return Named(Form.SERVICE, value)
    if type_ == "CanonicalUser":
        return Named(Form.CANONICAL_USER, value)
    found = _PROVIDER.fullmatch(value) if type_ == "Federated" else None
    if found is not None:
        return Named(Form.PROVIDER, value, kind=PrincipalKind.SAML if found["type"] == "saml" else PrincipalKind.OIDC)
    return Named(Form.VAGUE, value)


def _read_aws(value: str) -> Named:
    for form, expression in _AWS_FORMS:
        found = expression.fullmatch(value)
        if found is not None:
            parts = found.groupdict()
            return Named(form, value, parts.get("partition"), parts.get("account"), parts.get("role"))
    return Named(Form.VAGUE, value)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, with the two things that a given context key may tell of it (K1).

    Attributes
    ----------
    profile : the principal.
    bare_partition : the partition that a bare account id stands for: that of the resource (N16); None for any.
    unique_id : the id of the user or role (N30), from `aws:userid` where the caller gives it.
    unclear_id : the caller gives several values of `aws:userid`.
    service_names : all names of a service principal (N12), the primary one included.
    action : prefix and name in lower case; None to match a statement for all its actions.
    """

    profile: PrincipalProfile
    bare_partition: str | None
    unique_id: str | None
    unclear_id: bool
    service_names: frozenset[str]
    action: tuple[str, str] | None


def make_asker(
    profile: PrincipalProfile,
    partition: str | None,
    given: Mapping[str, ContextValue],
    action: tuple[str, str] | None = None,
) -> Asker:
    """The asker of a request. `given` is the caller's own context."""
    user_id, names = given.get("aws:userid"), given.get("aws:principalservicenameslist")
    unique_id = profile.unique_id if user_id is None else user_id.values[0].partition(":")[0]
    return Asker(
        profile,
        partition,
        unique_id,
        unclear_id=user_id is not None and len(user_id.values) > 1,
        service_names=frozenset((primary_name(profile), *(profile.service_names if names is None else names.values))),
        action=action,
    )


def primary_name(profile: PrincipalProfile) -> str:
    """The primary name of a service principal (N12)."""
    return profile.service_names[0] if profile.service_names else profile.name


@dataclass(frozen=True, slots=True)
class Setting:
    """Where an entry stands: in a trust policy (V35), in the policy of a gateway endpoint (N17), under `Allow` (N12), in
    `NotPrincipal`."""

    trust: bool = False
    gateway: bool = False
    allow: bool = False
    inverted: bool = False


def match_entry(named: Named, asker: Asker, setting: Setting, view: View) -> Match:
    """One cell of the matrix in 3.3."""
    form, kind = named.form, asker.profile.kind
    if form is Form.EVERYONE:
        return T, "*"
    if form is Form.VAGUE:
        return view.doubt("V32" if "*" in named.text or "?" in named.text else "V41"), "D"
    if form is Form.IDENTITIES:
        return (view.doubt("N10"), "*") if kind is PrincipalKind.SVC or kind in _PROVIDERS else (T, "*")
    if form in (Form.ACCOUNT, Form.CANONICAL_USER):
        return _match_account(named, asker, setting.gateway)
    if form in (Form.USER, Form.FEDERATED_USER):
        return _match_user(named, asker.profile, view)
    if form in (Form.ROLE, Form.SESSION):
        return _match_role(named, asker.profile, view)
    if form is Form.UNIQUE_ID:
        return _match_unique_id(named, asker, setting, view)
    if form is Form.SERVICE:
        return (_match_service(named, asker, setting, view), "D") if kind is PrincipalKind.SVC else NO_MATCH
    if form is Form.PROVIDER:  # V35: only in trust policies
        return truth(setting.trust and _is_provider_call(named, asker)), "D"
    return NO_MATCH  # groups cannot be principals


def _is_provider_call(named: Named, asker: Asker) -> bool:
    """Whether the requester is this provider, in the call of its kind or a permission that goes with it (N14, V36)."""
    kind = asker.profile.kind
    if kind not in _PROVIDERS or kind is not named.kind or named.text != asker.profile.name:
        return False
    return asker.action is None or (asker.action[0] == "sts" and asker.action[1] in (_CALLS[kind], *_BESIDE))


def _match_account(named: Named, asker: Asker, gateway: bool) -> Match:
    """The account as a whole: direct for its root, account level for the rest; for gateway endpoints root alone (N17)."""
    profile = asker.profile
    if named.form is Form.CANONICAL_USER:
        same = named.text == profile.canonical_id
    else:
        partition = named.partition or asker.bare_partition
        same = named.account == profile.account and partition in (None, profile.partition)
    if same and profile.kind in _ROOTS:
        return T, "D"
    return (T, "A") if same and profile.kind in _OF_ACCOUNTS and not gateway else NO_MATCH


def _match_user(named: Named, profile: PrincipalProfile, view: View) -> Match:
    """A user's ARN names the user, and the federated users it issued; whose issuer nobody knows is `U` (N4)."""
    if profile.kind is PrincipalKind.USER:
        return truth(named.text == (profile.user_arn or profile.name)), "D"
    if profile.kind is not PrincipalKind.FED:
        return NO_MATCH
    if named.form is Form.FEDERATED_USER:
        return truth(named.text == profile.name), "D"
    if profile.issuer_known:
        return truth(named.text == profile.user_arn and not profile.issuer_root), "P"
    return (view.doubt("N4"), "P") if _same_account(named, profile) else NO_MATCH


def _match_role(named: Named, profile: PrincipalProfile, view: View) -> Match:
    """A role's ARN names its sessions by account and role name (N11); a session's ARN only that one (N5)."""
    if profile.kind not in _ROLES:
        return NO_MATCH
    same_role = _same_account(named, profile) and named.role == profile.role_name
    if named.form is Form.ROLE:
        return truth(same_role), "R"
    if profile.session_arn is None:
        return (view.doubt("N5"), "D") if same_role else NO_MATCH
    return truth(named.text == profile.session_arn), "D"


def _same_account(named: Named, profile: PrincipalProfile) -> bool:
    return named.account == profile.account and named.partition == profile.partition


def _match_unique_id(named: Named, asker: Asker, setting: Setting, view: View) -> Match:
    """`AIDA` of users and of issuers, `AROA` of roles; an id of nobody matches nobody (N4, N30)."""
    profile = asker.profile
    of_role = named.text.startswith("AROA")
    if of_role and profile.kind not in _ROLES or not of_role and profile.kind not in (PrincipalKind.USER, PrincipalKind.FED):
        return NO_MATCH
    if profile.kind is PrincipalKind.FED:
        if not profile.issuer_known:
            return view.doubt("N4"), "P"
        return truth(named.text == profile.unique_id and not profile.issuer_root), "P"
    letter = "R" if of_role else "D"
    if "aws:userid" in view.unknown:
        return view.open(["aws:userid"], inverted=setting.inverted), letter
    if asker.unclear_id:
        return view.doubt("C20"), letter
    return truth(named.text == asker.unique_id), letter


def _match_service(named: Named, asker: Asker, setting: Setting, view: View) -> Truth:
    """`Allow` asks for the primary name, `Deny` and `NotPrincipal` for any name (N12, N21)."""
    if named.text == primary_name(asker.profile):
        return T
    if setting.allow and not setting.inverted:
        return F
    if "aws:principalservicenameslist" in view.unknown:
        return view.open(["aws:principalservicenameslist"], inverted=setting.inverted)
    return truth(named.text in asker.service_names)
