"""Context keys derived from the principal (spec 5.2, 5.3, 7.5, 7.6). Names are folded; keys without a value are absent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

from fastiam.errors import RequestValueError
from fastiam.model.key_registry import KEYS, SetBy, fold, key_info
from fastiam.model.profile import ROLES, WITH_LONG_TERM_KEYS, PrincipalKind
from fastiam.model.request import ContextValue, absent_keys, date_text, read_context
from fastiam.model.session import Session

Keys = dict[str, ContextValue]

MFA, ISSUED, TAG = "aws:multifactorauthpresent", "aws:tokenissuetime", "aws:principaltag/"
_MFA_AGE, _PROVIDER, _ASSUMED_ROOT = "aws:multifactorauthage", "aws:federatedprovider", "aws:assumedroot"
_NAMES_LIST = "aws:principalservicenameslist"


def single(text: str) -> ContextValue:
    """A key with one value."""
    return ContextValue((text,))


TRUE, FALSE = single("true"), single("false")
_TYPES = {
    PrincipalKind.ROOT: single("Account"),
    PrincipalKind.AROOT: single("Account"),
    PrincipalKind.USER: single("User"),
    PrincipalKind.ROLE: single("AssumedRole"),
    PrincipalKind.SLR: single("AssumedRole"),
    PrincipalKind.FED: single("FederatedUser"),
}
_ANONYMOUS = {
    "aws:principalaccount": single("anonymous"),
    "aws:principaltype": single("Anonymous"),
    "aws:userid": single("anonymous"),
}


def organization_keys(prefix: str, org_id: str | None, org_path: str | None, management_account: str | None = None) -> Keys:
    """`aws:PrincipalOrgID`, `OrgPaths` and `Account` keys for one of the prefixes `Principal`, `Resource`, `Vpce`."""
    keys: Keys = {}
    if org_id is not None:
        keys[f"aws:{prefix}orgid"] = single(org_id)
    if org_path is not None:
        keys[f"aws:{prefix}orgpaths"] = ContextValue((org_path,), multi=True)
    if management_account is not None:
        keys[f"aws:{prefix}orgmasteraccountid"] = single(management_account)
    return keys


def principal_keys(
    kind: PrincipalKind,
    arn: str,
    account_keys: Mapping[str, ContextValue],
    *,
    user_id: str | None = None,
    user_name: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Keys:
    """The keys of a caller that belongs to an account; `account_keys` are those that all callers of it share."""
    keys = {**account_keys, "aws:principalarn": single(arn), "aws:principaltype": _TYPES[kind]}
    if user_id is not None:
        keys["aws:userid"] = single(user_id)
    if user_name is not None:
        keys["aws:username"] = single(user_name)
    if kind is PrincipalKind.AROOT:
        keys[_ASSUMED_ROOT] = TRUE
    for key, value in (tags or {}).items():
        keys[TAG + fold(key)] = single(value)
    return keys


def keys_without_account(kind: PrincipalKind, name: str) -> Keys:
    """The keys of a service, of an unsigned caller, and of a caller with a federated identity (5.2, 7.7)."""
    if kind is PrincipalKind.ANON:
        return dict(_ANONYMOUS)
    if kind is PrincipalKind.SVC:
        return {
            "aws:principalisawsservice": TRUE,
            "aws:principalservicename": single(name),
            _NAMES_LIST: ContextValue((name,), multi=True),
        }
    return {_PROVIDER: single(name)} if kind is PrincipalKind.OIDC else {}


def join_tags(issuer: Mapping[str, str], session: Mapping[str, str]) -> dict[str, str]:
    """Tags of the issuer, overridden by those of the session; keys are compared without case (S22)."""
    taken = {fold(key) for key in session}
    return {**{key: value for key, value in issuer.items() if fold(key) not in taken}, **session}


def session_keys(session: Session, kind: PrincipalKind) -> Keys:
    """The keys that a session carries (5.3), with what 7.6 says of MFA."""
    keys = read_context(session.context)
    for name in session.context:
        info = key_info(fold(name))
        if info is not None and info.set_by is not SetBy.SESSION:
            is_tag = fold(name).startswith(TAG)
            raise RequestValueError(
                f"a session of `{session.arn}` cannot carry `{name}`: it is not a session key (K3)",
                column="context",
                hint="pass session tags as `tags`" if is_tag else "give it with the request, in its context or as a column",
            )
    if session.issued_at is not None:
        keys[ISSUED] = single(date_text(session.issued_at, "issued_at"))
    if session.source_identity is not None:
        keys["aws:sourceidentity"] = single(session.source_identity)
    if kind in WITH_LONG_TERM_KEYS:
        if session.mfa_at is not None:
            keys[MFA] = TRUE
        keys.setdefault(MFA, FALSE)
    elif kind in ROLES and not _is_federated(session, keys):
        keys.setdefault(MFA, FALSE)
    return keys


def _is_federated(session: Session, keys: Mapping[str, ContextValue]) -> bool:
    """Whether the role session came from SAML, OIDC, Cognito or Roles Anywhere: those carry no MFA key (7.6).

    Tags do not count: the caller of AssumeRole chooses them, also names such as `x509Subject/CN`.
    """
    from_provider = _PROVIDER in keys or any(key.startswith("saml:") for key in keys)
    return from_provider or MFA in absent_keys(session.context)


# -- what a caller is known not to have (K1) --------------------------------------------------------------------------

_DERIVED = frozenset(key for key, info in KEYS.items() if info.set_by is SetBy.DERIVED and key.startswith("aws:principal")) | {
    "aws:userid",
    "aws:username",
    TAG,
}
_OF_SESSIONS = frozenset(key for key, info in KEYS.items() if info.set_by is SetBy.SESSION) | {
    "aws:originidentity/",
    "aws:transactioncontext/",
}
_ROLES_ANYWHERE = "rolesanywhere.amazonaws.com"


@lru_cache(maxsize=1024)
def _without(absent: frozenset[str], present: frozenset[str]) -> frozenset[str]:
    return absent - present


def absent_of_long_term_key(keys: Iterable[str], *, user_id_known: bool) -> frozenset[str]:
    """A user or root with a long-term key has no session keys; a call may still pass an MFA code (7.6)."""
    absent = (_DERIVED | _OF_SESSIONS) - {MFA, _MFA_AGE}
    return _absent(absent, keys, user_id_known)


def absent_of_session(session: Session, keys: Iterable[str], *, user_id_known: bool) -> frozenset[str]:
    """A session defines all its keys, except that its issue time may be unknown."""
    absent = _DERIVED | _OF_SESSIONS
    if session.issued_at is None:
        absent -= {ISSUED}
    if session.mfa_at is not None:
        absent -= {_MFA_AGE}
    return _absent(absent, keys, user_id_known)


def absent_of_bare_session(keys: Iterable[str], *, user_id_known: bool) -> frozenset[str]:
    """The keys of an unknown role session follow from the role; a request may set session keys and session tags (K1)."""
    return _absent(_DERIVED - {TAG} | {_ASSUMED_ROOT}, keys, user_id_known)


def _absent(absent: frozenset[str], keys: Iterable[str], user_id_known: bool) -> frozenset[str]:
    plain = frozenset([key for key in keys if not key.startswith(TAG)])
    return _without(absent, plain if user_id_known else plain | {"aws:userid"})


def absent_without_account(kind: PrincipalKind, name: str) -> frozenset[str]:
    """Services, unsigned and federated callers: no key of an account's principal (5.2), and unsigned ones no session."""
    absent = _DERIVED.difference(keys_without_account(kind, name))
    if kind is PrincipalKind.ANON:
        absent |= _OF_SESSIONS
    if kind is PrincipalKind.SAML:
        absent |= {_PROVIDER}
    return absent - {TAG} if name == _ROLES_ANYWHERE else absent  # S61


# Temporary credentials have an issue time. Where it is not known, a condition on it is undetermined, as that on a conflict (C6).
UNKNOWN_ISSUE_TIME = {ISSUED: ContextValue(("unknown",), multi=True, conflict=True)}
OPEN_OF_BARE_SESSION = frozenset({MFA, ISSUED})
OPEN_OF_BARE_FEDERATED_USER = frozenset({ISSUED})
OPEN_OF_SERVICE = frozenset({_NAMES_LIST})
