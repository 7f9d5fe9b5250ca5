"""`Session`: temporary credentials as a verified fact, frozen; code that verified a caller may construct one."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Never, cast

from fastiam.errors import RequestValueError
from fastiam.model.arguments import check_items, check_type
from fastiam.model.profile import PrincipalKind
from fastiam.model.request import date_text, exact_text, shorten


@dataclass(frozen=True, kw_only=True)
class Session:
    """A session of a principal, as STS issues them (spec 3.1, 5.3, 7).

    Construction copies mappings and lists, nested ones included, and the copies cannot be changed: they are a `FrozenDict` and a
    `FrozenList`. `dict(session.tags)` gives one to change.

    Attributes
    ----------
    arn
        the session's principal ARN: `assumed-role/Role/Session`, `federated-user/Name`, a user's ARN for GetSessionToken, the
        root's ARN for AssumeRoot. Positional.
    kind
        a `PrincipalKind` or its name: ROLE, SLR, FED, USER, ROOT or AROOT.
    issuer
        ARN of the role (ROLE, SLR), of the user or root (FED, USER, ROOT); None if unknown (N4, N6).
    policies
        session policies as JSON text, bytes or mappings; None where none were passed.
    tags
        session tags; they override the issuer's (S22).
    transitive_tags
        keys of `tags` that a chained session inherits (S24).
    issued_at, mfa_at
        aware datetimes; `mfa_at` only where MFA was given for these credentials (7.6).
    source_identity
        S26.
    context
        further keys that the session carries (class S of spec 5.3), such as `saml:sub`. A role session without
        `aws:MultiFactorAuthPresent` says `false`, but absent where it carries `aws:FederatedProvider` or a key of SAML, or None
        for this one, as one of Roles Anywhere should (7.6). A key that the engine derives or that comes with each request (class
        D or R, such as `aws:SourceIp` and `aws:ResourceTag/...`) is not a session key: a session that has one is refused with a
        `RequestValueError` when it asks (K3). Keys that the specification does not name are carried as they are.
    """

    arn: str = field(kw_only=False)
    kind: PrincipalKind | str
    issuer: str | None = None
    policies: Sequence[str | bytes | Mapping[str, Any]] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    transitive_tags: tuple[str, ...] = ()
    issued_at: datetime | None = None
    mfa_at: datetime | None = None
    source_identity: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if type(self.transitive_tags) is not tuple:
            tags = tuple(check_items(self.transitive_tags, "transitive_tags", "a list of tag keys"))
            object.__setattr__(self, "transitive_tags", tags)
        _check(self)
        if type(self.kind) is not PrincipalKind:
            object.__setattr__(self, "kind", _kind(self.kind))
        if self.policies is not None:
            one = isinstance(self.policies, (str, bytes, Mapping))
            object.__setattr__(self, "policies", own_copy((self.policies,) if one else tuple(self.policies)))
        object.__setattr__(self, "tags", own_copy(self.tags))
        object.__setattr__(self, "context", own_copy(self.context))


def _check(session: Session) -> None:
    """Check the types of what is given.

    Raises
    ------
    RequestValueError
        one is wrong; `column` names it.
    """
    check_type(session.arn, str, "arn", "text")
    for name in ("issuer", "source_identity"):
        check_type(getattr(session, name), (str, type(None)), name, "text or None")
    for name in ("issued_at", "mfa_at"):
        moment = getattr(session, name)
        check_type(moment, (datetime, type(None)), name, "a datetime or None")
        if moment is not None:
            date_text(moment, name)
    for name in ("tags", "context"):
        check_type(getattr(session, name), Mapping, name, "a mapping")
    if not isinstance(session.policies, (str, bytes, Mapping, type(None))):
        check_items(session.policies, "policies", "a list of policies, or None")
    for text in (*session.tags, *session.tags.values()):
        check_type(text, str, "tags", "a mapping of text to text")
    for text in session.transitive_tags:
        check_type(text, str, "transitive_tags", "a list of tag keys")


def _kind(kind: object) -> PrincipalKind:
    try:
        return PrincipalKind(str(kind).upper())
    except ValueError:
        names = ", ".join(f"`{known}`" for known in PrincipalKind)
        raise RequestValueError(
            f"`{shorten(str(kind))}` is not a kind of principal", column="kind", hint=f"use one of {names}"
        ) from None


def _refuse(self: object, *_: object, **__: object) -> Never:
    raise TypeError("this does not change; make a new one with `dataclasses.replace`")


class FrozenDict(dict[str, Any]):
    """A dict that does not change."""

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[FrozenDict], tuple[dict[str, Any]]]:
        return FrozenDict, (dict(self),)


class FrozenList(list[Any]):
    """A list that does not change."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[type[FrozenList], tuple[list[Any]]]:
        return FrozenList, (list(self),)


def own_copy(value: Any) -> Any:
    """A copy that does not change: mappings as `FrozenDict`, sequences other than tuples as `FrozenList`.

    A value that is cyclic or too deep for a policy or context is returned as it is; reading it is an error later.
    """
    try:
        return _copied(value)
    except RecursionError:
        return value


def _copied(value: Any) -> Any:
    kind = type(value)
    if kind in _IMMUTABLE:
        return value
    if kind is dict or isinstance(value, Mapping):
        return FrozenDict((key, _copied(item)) for key, item in value.items())
    if kind is tuple:
        return tuple(map(_copied, value))
    if kind is list or (isinstance(value, Sequence) and not isinstance(value, (str, bytes, tuple))):
        return FrozenList(map(_copied, value))
    return value


_IMMUTABLE = frozenset((str, bytes, type(None), bool, int, float, datetime))
_AS_THEY_ARE = frozenset((str, bytes, type(None)))  # none of which equals one of another type
_WITH_TYPE = frozenset((bool, int, PrincipalKind))


def session_content_key(session: object) -> Hashable | None:
    """Of a session: two are one principal where that is equal. None where it cannot be compared."""
    return content_key(tuple(vars(session).values())) if type(session) is Session else None


def content_key(value: Any) -> Hashable | None:
    """What is equal for two values only if both are of one type, and hold the same in one order.

    None where one is of another type than JSON has or a date, or is too deep.
    """
    try:
        return _frozen(value)
    except (TypeError, RecursionError):
        return None


def _frozen(value: Any) -> Hashable:
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return cast("Hashable", value)
    if kind in _WITH_TYPE:
        return kind, value
    if kind is float:
        return kind, repr(value)  # -0.0 equals 0.0, and is another text
    if kind is dict or kind is FrozenDict:
        return dict, *map(_frozen, value), *map(_frozen, value.values())
    if kind is list or kind is tuple or kind is FrozenList:
        return kind, *map(_frozen, value)
    if kind is datetime:
        return kind, value.isoformat()  # equal instants may be different texts
    raise TypeError(kind)


def check_principal_type(principal: object) -> str | Session:
    """Return a principal that is text or a `Session`.

    Raises
    ------
    RequestValueError
        anything else.
    """
    if isinstance(principal, str):
        return exact_text(principal)
    if isinstance(principal, Session):
        return principal
    raise not_a_principal(principal)


def not_a_principal(principal: object) -> RequestValueError:
    """Return the error for a value that names no principal."""
    return RequestValueError(
        f"a principal is text or a Session, not `{type(principal).__name__}`",
        column="principal",
        hint="pass an ARN, a service name, `*`, or a `fastiam.Session`",
    )
