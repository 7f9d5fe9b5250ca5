"""Principals and sessions that a request names (G4, G50, G54). No principal string reaches the engine unchecked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fastiam.directory.naming_rules import tag_errors
from fastiam.directory.principal_refs import PrincipalRef, parse_principal
from fastiam.directory.quotas import Quotas
from fastiam.errors import RequestValueError
from fastiam.model.key_registry import fold
from fastiam.model.profile import ENTITIES, ROLES, WITH_LONG_TERM_KEYS, PrincipalKind
from fastiam.model.request import check_key, shorten
from fastiam.model.session import Session
from fastiam.server.mapping.encodings import MAX_NAME
from fastiam.server.mapping.faults import MappingError
from fastiam.server.mapping.member_values import read_instant

if TYPE_CHECKING:
    from fastiam.server.mapping.known import KnownRecords

_NAME = re.compile(r"[\w+=,.@-]+", re.ASCII)
_WITH_NAME = frozenset({*ENTITIES, PrincipalKind.FED})
_QUOTAS = Quotas()  # S28: 50 session tags, of 128 and 256 characters
_NO_NAME: Final = "the id does not make a name of IAM: `encoding` of its mapping makes one of any id"
MFA: Final = "aws:MultiFactorAuthPresent"
MFA_AGE: Final = "aws:MultiFactorAuthAge"
SESSION_MEMBERS: Final = frozenset({"mfa_at", "issued_at", "source_identity", "tags", "session_policies"})


def read_principal(text: str, at: str = "$") -> PrincipalRef:
    """The principal that a text is: an ARN, `*`, or a service (G4).

    Raises
    ------
    MappingError
        `unmapped_subject`, any other text.
    """
    try:
        return parse_principal(text)
    except RequestValueError:
        raise MappingError("unmapped_subject", f"`{shorten(text)}` is not a principal", at) from None


def named_principal(text: str, at: str = "$") -> PrincipalRef:
    """The principal of an ARN that a template made; its name obeys the rules of IAM (G51).

    Raises
    ------
    MappingError
        `unmapped_subject`.
    """
    ref = read_principal(text, at=at)
    shortest = 2 if ref.session or ref.kind is PrincipalKind.FED else 1
    if ref.kind in _WITH_NAME and not is_name(ref.session or ref.name, shortest):
        raise MappingError("unmapped_subject", _NO_NAME, at)
    return ref


def is_name(text: str, shortest: int = 1) -> bool:
    """Whether a text is the name of a user or session: letters, digits and `_+=,.@-`, at most 64 of them."""
    return shortest <= len(text) <= MAX_NAME and _NAME.fullmatch(text) is not None


def role_session(role: str, name: str, tags: Mapping[str, str] | None = None, at: str = "$") -> Session:
    """A session of a role for a person or workload without a record (G54).

    Parameters
    ----------
    role
        ARN of the role.
    name
        the session's name.
    tags
        session tags, within the limits of STS (S27, S28).

    Raises
    ------
    MappingError
        `unmapped_subject`: not a session name; `bad_value`: a tag that STS refuses.
    """
    if not is_name(name, 2):
        raise MappingError("unmapped_subject", _NO_NAME, at)
    ref = read_principal(role, at=at)
    check_tags(tags or {}, at)
    arn = f"arn:{ref.partition}:sts::{ref.account}:assumed-role/{ref.name}/{name}"
    return Session(arn, kind=ref.kind, issuer=role, tags=tags or {})


class TaggedSession(NamedTuple):
    """A session of a role, and what its tags are if it is asked by its ARN alone."""

    principal: str | Session
    keys: Mapping[str, str] = {}
    """Condition keys for the context."""
    unknown: tuple[str, ...] = ()
    """Condition keys that are unknown."""


def tagged_session(role: str, name: str, tags: Mapping[str, str | None], records: KnownRecords, at: str = "$") -> TaggedSession:
    """As `role_session`. Of a tag with a value that a tag cannot have, None or a text, the key is unknown (G53).

    Raises
    ------
    MappingError
        `unmapped_subject`; `bad_value`: more tags than a session has.
    """
    if None not in tags.values():
        try:
            return TaggedSession(role_session(role, name, tags, at))  # type: ignore[arg-type]
        except MappingError as error:
            if error.code != "bad_value":
                raise
    if len(tags) > (_QUOTAS.tags_per_resource or 0):
        raise MappingError("bad_value", f"more than {_QUOTAS.tags_per_resource} tags", at)
    arn = role_session(role, name, at=at).arn
    stored = records.principal(arn).keys
    keys: dict[str, str] = {}
    unknown = []
    for tag, value in tags.items():
        key = f"aws:PrincipalTag/{tag}"
        try:
            check_key(key)
        except RequestValueError:
            continue  # no policy can read it
        of_role = stored.get(fold(key))
        # the engine takes tags with the ARN alone, unless the role has one of that name and another value (K1)
        is_taken = of_role is None or of_role.values == (value,)
        if value is None or not is_taken or next(tag_errors({tag: value}, _QUOTAS), None) is not None:
            unknown.append(key)
        else:
            keys[key] = value
    return TaggedSession(arn, keys, tuple(unknown))


def check_tags(tags: Mapping[str, str], at: str) -> None:
    """Check session tags.

    Raises
    ------
    MappingError
        `bad_value`.
    """
    for message in tag_errors(tags, _QUOTAS) if tags else ():
        raise MappingError("bad_value", message, at)


def stated_session(
    ref: PrincipalRef, members: Mapping[str, Any], issuer: str | None, now: datetime, at: str
) -> tuple[Session, dict[str, Any]]:
    """The session that a request states; its identity has the scope `assert:session` (G50).

    Parameters
    ----------
    ref
        of the session's ARN.
    members
        `SESSION_MEMBERS`; others are not read.
    issuer
        ARN of the role or user that issued it, if it is known.
    now
        the time of the request.

    Returns
    -------
    tuple[Session, dict[str, Any]]
        the session, and the context keys that change with time.

    Raises
    ------
    MappingError
        `bad_value`: a member is of another type, MFA is in the future, or the session is not valid.
    """
    given = {name: value for name, value in members.items() if name in SESSION_MEMBERS and value is not None}
    mfa_at = read_instant(given["mfa_at"], f"{at}.mfa_at") if "mfa_at" in given else None
    issued_at = read_instant(given["issued_at"], f"{at}.issued_at") if "issued_at" in given else None
    tags = given.get("tags", {})
    if type(tags) is not dict or not all(type(value) is str for value in tags.values()):
        raise MappingError("bad_value", "tags are an object of texts", f"{at}.tags")
    check_tags(tags, f"{at}.tags")
    source_identity = given.get("source_identity")
    if source_identity is not None and (type(source_identity) is not str or not is_name(source_identity, 2)):
        raise MappingError("bad_value", "the source identity is not a name", f"{at}.source_identity")
    policies = given.get("session_policies")
    if policies is not None and type(policies) is not list:
        raise MappingError("bad_value", "the session policies are not a list", f"{at}.session_policies")
    context: dict[str, Any] = {}
    if mfa_at is not None:
        if mfa_at > now:
            raise MappingError("bad_value", "the time of MFA is in the future", f"{at}.mfa_at")
        context[MFA_AGE] = int((now - mfa_at).total_seconds())
    # of credentials from GetSessionToken the engine derives both MFA keys; a role session has those that its issuer states
    is_role = ref.kind in ROLES
    try:
        session = Session(
            ref.text,
            kind=ref.kind,
            issuer=issuer,
            policies=policies,
            tags=tags,
            issued_at=issued_at,
            mfa_at=mfa_at,
            source_identity=source_identity,
            context={MFA: True} if is_role and mfa_at is not None else {},
        )
    except RequestValueError as error:
        raise MappingError("bad_value", error.message, at) from None
    return session, context if ref.kind not in WITH_LONG_TERM_KEYS else {}
