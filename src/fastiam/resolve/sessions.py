"""The parts of a `Session`: its principal string and issuer (spec 3.1, N2), and its policies, read strictly (F5)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from fastiam.directory.principal_refs import PrincipalRef, parse_principal
from fastiam.errors import RequestValueError
from fastiam.model.policy import Policy, PolicyKind
from fastiam.model.profile import ENTITIES, ROLES, ROOTS, WITH_LONG_TERM_KEYS, Policies, PrincipalKind
from fastiam.model.request import epoch_seconds
from fastiam.model.session import Session, content_key

_KINDS = (*ENTITIES, *ROOTS, PrincipalKind.FED)
_ISSUERS = {
    PrincipalKind.ROLE: ROLES,
    PrincipalKind.SLR: ROLES,
    PrincipalKind.FED: WITH_LONG_TERM_KEYS,
}


@dataclass(frozen=True, slots=True)
class SessionParts:
    """A session's ARN and issuer taken apart; `kind` is as the session says."""

    kind: PrincipalKind
    ref: PrincipalRef
    issuer: PrincipalRef | None


def read_session(session: Session) -> SessionParts:
    """The parts of a session.

    Raises
    ------
    RequestValueError
        a kind that has no sessions; an ARN of another form than the kind's; an issuer of another account, or of another role than
        the ARN names; tags of a root user.
    """
    kind = PrincipalKind(session.kind)
    if kind not in _KINDS:
        raise RequestValueError(f"`{kind}` has no sessions", column="principal", hint="pass its name in place of a Session")
    ref = parse_principal(session.arn)
    if not _fits(kind, ref):
        raise RequestValueError(f"`{session.arn}` is not the ARN of a session of kind {kind}", column="principal")
    if session.tags and kind in ROOTS:
        raise RequestValueError(f"`{session.arn}` is a root user and has no tags", column="principal")
    return SessionParts(kind, ref, _read_issuer(session, kind, ref))


def _fits(kind: PrincipalKind, ref: PrincipalRef) -> bool:
    if kind in ROLES:
        return bool(ref.session)
    if kind in ROOTS:
        return ref.kind is PrincipalKind.ROOT
    return ref.kind is kind


def _read_issuer(session: Session, kind: PrincipalKind, ref: PrincipalRef) -> PrincipalRef | None:
    """The issuer of a role session or federated user, if it is given."""
    if session.issuer is None or kind not in _ISSUERS:
        return None
    issuer = parse_principal(session.issuer)
    same_account = (issuer.partition, issuer.account) == (ref.partition, ref.account)
    same_role = kind not in ROLES or issuer.name == ref.name
    if issuer.kind not in _ISSUERS[kind] or issuer.session or not same_account or not same_role:
        raise RequestValueError(f"`{session.issuer}` cannot be the issuer of `{session.arn}`", column="principal")
    return issuer


def takes_session_policies(kind: PrincipalKind) -> bool:
    """Whether sessions of the kind can have session policies (6.1)."""
    return kind not in WITH_LONG_TERM_KEYS  # GetSessionToken takes no session policies (6.1)


def read_session_policies(documents: Sequence[Any] | None) -> Policies | None:
    """The session policies as one layer (D4), named `session_policies[0]`, ...; None where none were passed."""
    return None if documents is None else tuple(_read(document, i) for i, document in enumerate(documents))


def _read(document: Any, i: int) -> Policy:
    if isinstance(document, Policy):
        return document
    content = content_key(document)
    return _read_new(document, i) if content is None else _read_known(_Document(content, document), i)


def _read_new(document: Any, i: int) -> Policy:
    from fastiam.policy.document import read_policy  # PERF: most sessions have none

    return read_policy(document, PolicyKind.SESSION, name=f"session_policies[{i}]")


@dataclass(frozen=True, slots=True)
class _Document:
    """A document that is known by what it says."""

    content: Hashable
    document: Any = field(compare=False)


@lru_cache(maxsize=1024)  # PERF: sessions of one issuer often come with one policy; equal ones are then one object, compiled once
def _read_known(known: _Document, i: int) -> Policy:
    return _read_new(known.document, i)


def mfa_seconds(session: Session, kind: PrincipalKind) -> int | None:
    """When MFA was given, in epoch seconds: known of GetSessionToken credentials alone (7.6)."""
    if session.mfa_at is None or kind not in WITH_LONG_TERM_KEYS:
        return None
    return epoch_seconds(session.mfa_at)
