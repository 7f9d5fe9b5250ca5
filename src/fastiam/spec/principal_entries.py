"""Principal entries (spec 3.2, 3.3): the principals that each names, and the class in which it matches a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from fastiam.model.profile import PrincipalKind, PrincipalProfile
from fastiam.model.request import ContextValue
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T, Truth, truth, undetermined

USER_ID, SERVICE_NAMES = "aws:userid", "aws:principalservicenameslist"  # the two keys that principal tests read (K1)
CLASSES = "DRPA*"  # direct, via role, via parent user, account, wildcard

Match = tuple[Truth, str]  # whether an entry names the principal, and the class (3.3)
NO_MATCH: Match = (F, "")

_ROLES = (PrincipalKind.ROLE, PrincipalKind.SLR)
_ROOTS = (PrincipalKind.ROOT, PrincipalKind.AROOT)
_PROVIDERS = (PrincipalKind.OIDC, PrincipalKind.SAML)
_OF_ACCOUNTS = (PrincipalKind.USER, *_ROLES, PrincipalKind.FED)


class Form(Enum):
    """The forms of 3.2. `VAGUE` is a value of no known form (V41) or with a wildcard (V32): `U` for every principal."""

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
_EXTRA_PERMISSIONS = ("tagsession", "setsourceidentity")  # that these calls require (D30)


@dataclass(frozen=True, slots=True)
class ParsedPrincipal:
    """An entry with its form and the parts that are compared; `kind` is the kind of an identity provider."""

    form: Form
    text: str
    partition: str | None = None
    account: str | None = None
    role: str | None = None
    kind: PrincipalKind | None = None


def read_entry(type_: str, value: str) -> ParsedPrincipal:
    """The form of an entry, by its type and its text (3.2, V32, V41)."""
    if type_ == "*":
        return ParsedPrincipal(Form.EVERYONE, value)
    if type_ == "AWS" and value == "*":
        return ParsedPrincipal(Form.IDENTITIES, value)
    if "*" in value or "?" in value or "\n" in value or not value:
        return ParsedPrincipal(Form.VAGUE, value)
    if type_ == "AWS":
        return _read_aws(value)
    if type_ == "Service" and value == value.lower():
        return ParsedPrincipal(Form.SERVICE, value)
    if type_ == "CanonicalUser":
        return ParsedPrincipal(Form.CANONICAL_USER, value)
    found = _PROVIDER.fullmatch(value) if type_ == "Federated" else None
    if found is not None:
        return ParsedPrincipal(Form.PROVIDER, value, kind=PrincipalKind.SAML if found["type"] == "saml" else PrincipalKind.OIDC)
    return ParsedPrincipal(Form.VAGUE, value)


def _read_aws(value: str) -> ParsedPrincipal:
    for form, expression in _AWS_FORMS:
        found = expression.fullmatch(value)
        if found is not None:
            parts = found.groupdict()
            return ParsedPrincipal(form, value, parts.get("partition"), parts.get("account"), parts.get("role"))
    return ParsedPrincipal(Form.VAGUE, value)


@dataclass(frozen=True, slots=True)
class RequestPrincipal:
    """The principal of a request, with the two attributes that context keys of the request can replace (K1).

    Attributes
    ----------
    profile
        the principal.
    bare_partition
        the partition that a bare account id implies: that of the resource (N16); None for any.
    unique_id
        the id of the user or role (N30), from `aws:userid` if the request contains it.
    unclear_id
        the request has several values of `aws:userid`.
    service_names
        all names of a service principal (N12), the primary one included.
    action
        prefix and name in lower case; None to match a statement for all its actions.
    """

    profile: PrincipalProfile
    bare_partition: str | None
    unique_id: str | None
    unclear_id: bool
    service_names: frozenset[str]
    action: tuple[str, str] | None


def make_request_principal(
    profile: PrincipalProfile,
    partition: str | None,
    given: Mapping[str, ContextValue],
    action: tuple[str, str] | None = None,
) -> RequestPrincipal:
    """The principal of a request. `given` is the context that the caller passes."""
    user_id, names = given.get(USER_ID), given.get(SERVICE_NAMES)
    unique_id = profile.unique_id if user_id is None else user_id.values[0].partition(":")[0]
    return RequestPrincipal(
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
class MatchOptions:
    """The position of an entry, as far as the matrix depends on it.

    Attributes
    ----------
    trust
        in a trust policy (V35).
    gateway
        in the policy of a gateway endpoint (N17).
    allow
        in an `Allow` statement (N12).
    inverted
        in `NotPrincipal`.
    """

    trust: bool = False
    gateway: bool = False
    allow: bool = False
    inverted: bool = False


def match_entry(entry: ParsedPrincipal, principal: RequestPrincipal, options: MatchOptions, keys: StatementKeys) -> Match:
    """One cell of the matrix in 3.3."""
    form, kind = entry.form, principal.profile.kind
    if form is Form.EVERYONE:
        return T, "*"
    if form is Form.VAGUE:
        return undetermined("V32" if "*" in entry.text or "?" in entry.text else "V41"), "D"
    if form is Form.IDENTITIES:
        return (undetermined("N10"), "*") if kind is PrincipalKind.SVC or kind in _PROVIDERS else (T, "*")
    if form in (Form.ACCOUNT, Form.CANONICAL_USER):
        return _match_account(entry, principal, options.gateway)
    if form in (Form.USER, Form.FEDERATED_USER):
        return _match_user(entry, principal.profile)
    if form in (Form.ROLE, Form.SESSION):
        return _match_role(entry, principal.profile)
    if form is Form.UNIQUE_ID:
        return _match_unique_id(entry, principal, keys)
    if form is Form.SERVICE:
        return (_match_service(entry, principal, options, keys), "D") if kind is PrincipalKind.SVC else NO_MATCH
    if form is Form.PROVIDER:  # V35: only in trust policies
        return truth(options.trust and _is_provider_call(entry, principal)), "D"
    return NO_MATCH  # groups cannot be principals


def _is_provider_call(entry: ParsedPrincipal, principal: RequestPrincipal) -> bool:
    """Whether the principal is this provider, in the call of its kind or with a permission that the call requires (N14, V36)."""
    kind = principal.profile.kind
    if kind not in _PROVIDERS or kind is not entry.kind or entry.text != principal.profile.name:
        return False
    if principal.action is None:
        return True
    prefix, name = principal.action
    return prefix == "sts" and name in (_CALLS[kind], *_EXTRA_PERMISSIONS)


def _match_account(entry: ParsedPrincipal, principal: RequestPrincipal, gateway: bool) -> Match:
    """The account: direct for its root user, account level for others; in gateway endpoints only the root user (N17)."""
    profile = principal.profile
    if entry.form is Form.CANONICAL_USER:
        same = entry.text == profile.canonical_id
    else:
        partition = entry.partition or principal.bare_partition
        same = entry.account == profile.account and partition in (None, profile.partition)
    if same and profile.kind in _ROOTS:
        return T, "D"
    return (T, "A") if same and profile.kind in _OF_ACCOUNTS and not gateway else NO_MATCH


def _match_user(entry: ParsedPrincipal, profile: PrincipalProfile) -> Match:
    """A user's ARN names the user and the federated users it issued; `U` if the issuer is unknown (N4)."""
    if profile.kind is PrincipalKind.USER:
        return truth(entry.text == (profile.user_arn or profile.name)), "D"
    if profile.kind is not PrincipalKind.FED:
        return NO_MATCH
    if entry.form is Form.FEDERATED_USER:
        return truth(entry.text == profile.name), "D"
    if profile.issuer_known:
        return truth(entry.text == profile.user_arn and not profile.issuer_root), "P"
    return (undetermined("N4"), "P") if _same_account(entry, profile) else NO_MATCH


def _match_role(entry: ParsedPrincipal, profile: PrincipalProfile) -> Match:
    """A role's ARN names its sessions by account and role name (N11); a session's ARN only that session (N5, N13)."""
    if profile.kind not in _ROLES:
        return NO_MATCH
    same_role = _same_account(entry, profile) and entry.role == profile.role_name
    if entry.form is Form.ROLE:
        return truth(same_role), "R"
    if profile.session_arn is None:
        return (undetermined("N5"), "D") if same_role else NO_MATCH
    return truth(entry.text == profile.session_arn), "D"


def _same_account(entry: ParsedPrincipal, profile: PrincipalProfile) -> bool:
    return entry.account == profile.account and entry.partition == profile.partition


def _match_unique_id(entry: ParsedPrincipal, principal: RequestPrincipal, keys: StatementKeys) -> Match:
    """`AIDA` of users and of issuers, `AROA` of roles; the id of a deleted entity matches no principal (N4, N30)."""
    profile = principal.profile
    of_role = entry.text.startswith("AROA")
    if of_role and profile.kind not in _ROLES or not of_role and profile.kind not in (PrincipalKind.USER, PrincipalKind.FED):
        return NO_MATCH
    if profile.kind is PrincipalKind.FED:
        if not profile.issuer_known:
            return undetermined("N4"), "P"
        return truth(entry.text == profile.unique_id and not profile.issuer_root), "P"
    letter = "R" if of_role else "D"
    if USER_ID in keys.unknown:
        return keys.residual, letter
    if principal.unclear_id:
        return undetermined("C20"), letter
    return truth(entry.text == principal.unique_id), letter


def _match_service(entry: ParsedPrincipal, principal: RequestPrincipal, options: MatchOptions, keys: StatementKeys) -> Truth:
    """`Allow` requires the primary name, `Deny` and `NotPrincipal` for any name (N12, N21)."""
    if entry.text == primary_name(principal.profile):
        return T
    if options.allow and not options.inverted:
        return F
    if SERVICE_NAMES in keys.unknown:
        return keys.residual
    return truth(entry.text in principal.service_names)
