"""The only place that decides which facts a caller may state (G7, G49, G57, G58).

A fact is a condition key, a tag, a session key, an owner or the time. The engine takes each context that it gets for true, so a
context that a request contains reaches the engine only through `facts`, or through `check_asserted` for columns, and a stated
owner only through `read_owner`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from fastiam.errors import RequestValueError
from fastiam.model.arn import is_account
from fastiam.model.key_registry import KeyInfo, KeyType, SetBy, fold, key_info, set_by
from fastiam.model.request import ContextValue, check_key, shorten
from fastiam.server.identity import ASSERT_CONTEXT, ASSERT_OWNER, ASSERT_SESSION, ASSERT_TAGS, Identity
from fastiam.server.mapping.faults import MappingError
from fastiam.server.mapping.member_values import (
    MAX_NAME,
    MAX_VALUE,
    READERS,
    SCALARS,
    Value,
    check_scalar,
    check_value,
    instant_of,
    member_values,
    text_of,
)
from fastiam.server.mapping.templates import config_error

MAX_KEYS: Final = 256  # of one context, or of the properties of one entity
MAX_IGNORED: Final = 20
UNKNOWN: Final = "fastiam:unknown"  # member of a context: keys that are declared unknown (G59)
RESOURCE_TAG: Final = "aws:resourcetag/"
_NAME = re.compile(r"[\w./:@+=,-]{1,128}")
_C0 = re.compile(r"[\x00-\x1f]")

Keys = Mapping[str, ContextValue]


class FactKind(Enum):
    """What a condition key says something about."""

    CONTEXT = "context"
    """The request: class R, and keys that the registry does not have."""
    TAG = "tag"
    """The resource, which the directory may know: `aws:ResourceTag/k` and `iam:ResourceTag/k`."""
    OWNER = "owner"
    """The owner of the resource."""
    CLOCK = "clock"
    """The time of the request."""
    KNOWN = "known"
    """The principal, its session, or what else the engine derives: classes D and S (K1)."""


_SCOPES = {
    FactKind.CONTEXT: frozenset({ASSERT_CONTEXT}),
    FactKind.TAG: frozenset({ASSERT_CONTEXT, ASSERT_TAGS}),
    FactKind.OWNER: frozenset({ASSERT_SESSION, ASSERT_OWNER}),
    FactKind.CLOCK: frozenset({ASSERT_SESSION, ASSERT_CONTEXT}),
    FactKind.KNOWN: frozenset({ASSERT_SESSION}),
}
_OF_REQUESTS = frozenset({FactKind.CONTEXT, FactKind.TAG})
_NEVER = frozenset({FactKind.KNOWN, FactKind.OWNER})
_CLOCK = frozenset({"aws:currenttime", "aws:epochtime"})
_TAGS = (RESOURCE_TAG, "iam:resourcetag/")
_OWNER = ("aws:resourceaccount", "aws:resourceorg")


class Key(NamedTuple):
    """A condition key that a request states."""

    name: str
    folded: str
    kind: FactKind
    info: KeyInfo | None
    read: Callable[[str], object] | None = None
    """Gives None for a text of another type than the key; None: any text is right."""


def fact_kind(folded: str) -> FactKind:
    """The kind of a condition key, by its folded name."""
    if folded in _CLOCK:
        return FactKind.CLOCK
    if folded.startswith(_OWNER):
        return FactKind.OWNER
    if set_by(folded) in (SetBy.DERIVED, SetBy.SESSION):
        return FactKind.KNOWN
    return FactKind.TAG if folded.startswith(_TAGS) else FactKind.CONTEXT


@lru_cache(maxsize=8_192)
def _read_key(name: str) -> Key | None:
    if not _NAME.fullmatch(name):
        return None
    try:
        check_key(name)
    except RequestValueError:
        return None
    folded = fold(name)
    info = key_info(folded)
    return Key(name, folded, fact_kind(folded), info, None if info is None else READERS.get(info.type))


@lru_cache(maxsize=8_192)
def _read_bare(prefix: str, name: str) -> Key | None:
    if not _NAME.fullmatch(name):
        return None
    return Key(prefix + name, fold(prefix + name), FactKind.CONTEXT, None)


def read_key(name: str, at: str, prefix: str = "") -> Key | None:
    """The condition key of a name; None for a name that is too long or that no policy can contain (G56).

    With a prefix the key is the protocol's own: `authzen:context/` and the name.

    Raises
    ------
    MappingError
        `bad_character`, a C0 control character (G35).
    """
    key = None
    if len(name) <= MAX_NAME:
        key = _read_bare(prefix, name) if prefix else _read_key(name)
    if key is None and _C0.search(name):
        raise MappingError("bad_character", "a name has a control character", f"$.{at}")
    return key


def scopes_to_state(name: str) -> frozenset[str]:
    """The scopes that an identity needs for a column of this condition key (G160)."""
    return _SCOPES[fact_kind(fold(name))]


def check_asserted(identity: Identity, name: str) -> None:
    """Check that an identity may state a condition key in a column (G160).

    Raises
    ------
    MappingError
        `not_asserted`, a scope is missing.
    """
    missing = scopes_to_state(name) - identity.scopes
    if missing:
        cut = name[:MAX_NAME]
        raise MappingError("not_asserted", f"stating `{cut}` needs the scope {' and '.join(map(_quoted, sorted(missing)))}", cut)


def read_owner(identity: Identity, value: object, at: str, ignored: list[str] | None = None) -> str | None:
    """The owner of a resource that a request states, if the identity may state one (G49, G57, G160).

    Parameters
    ----------
    at
        JSON path of the value.
    ignored
        gets the place, without `$.`, of an owner that the identity may not state: the request is decided without it. None: such
        an owner is an error, since nothing in the answer would name it.

    Raises
    ------
    MappingError
        `not_asserted`; `bad_value`, the value is not 12 digits.
    """
    if ASSERT_OWNER in identity.scopes:
        if type(value) is str and is_account(value):
            return value
        raise MappingError("bad_value", f"`{_last(at)}` is not 12 digits", at)
    if ignored is None:
        raise MappingError("not_asserted", f"stating `{_last(at)}` needs the scope `{ASSERT_OWNER}`", at)
    ignored.append(at.removeprefix("$."))
    return None


def column_key(identity: Identity, name: str) -> Key:
    """The condition key that a column states, if the identity may state it (G160).

    Raises
    ------
    MappingError
        `bad_key`, no policy can contain the name; `bad_character`; `not_asserted`.
    """
    key = read_key(name, name[:MAX_NAME])
    if key is None or key.folded == UNKNOWN:
        raise MappingError("bad_key", f"`{shorten(name)}` is not a condition key", f"$.{name[:MAX_NAME]}")
    check_asserted(identity, name)
    return key


def check_column_value(key: Key, value: Any) -> None:
    """Check a value of a column: text, bool, a number, or a list of these.

    Raises
    ------
    MappingError
        `too_long`; `bad_value`: another type than that of the key, or a number that is not exact.
    """
    values = value if type(value) is list else [value]
    if not all(type(item) in SCALARS for item in values):
        raise MappingError(
            "bad_value", f"the value of `{key.name}` is not text, a number, a bool, or a list of these", f"$.{key.name}"
        )
    for item in values:
        check_scalar(item, key.name, "context")
    if key.info is not None and values:
        check_value(key.info, value, f"$.{key.name}")


def _last(at: str) -> str:
    return at.rpartition(".")[2]


def _quoted(text: str) -> str:
    return f"`{text}`"


@dataclass(frozen=True, slots=True)
class FactRules:
    """How a protocol reads the members of a context.

    Attributes
    ----------
    names
        members without a colon that are condition keys: name -> key (`[authzen.context]`).
    bare
        prefix of the keys of other members without a colon, such as `authzen:context/`; None: they are ignored.
    reserved
        prefixes of keys that the protocol itself makes; a context cannot state them.
    allow_now
        whether `aws:CurrentTime` and `aws:EpochTime` set the time of the request.
    at
        place of `names` in the configuration.
    plain
        keys by members that stated them, as far as they were read: those that requests may state, and with the kind `KNOWN` those
        that none can.
    unused
        the same for who may state none: all of them have the kind `KNOWN`.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    bare: str | None = None
    reserved: tuple[str, ...] = ()
    allow_now: bool = False
    at: str = "context"
    plain: dict[str, Key] = field(default_factory=dict, init=False, compare=False, repr=False)
    unused: dict[str, Key] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reserved", tuple(map(fold, self.reserved)))
        for name, key in self.names.items():
            place = f"{self.at}.{name}"
            read = read_key(key, place) if isinstance(key, str) and ":" in key else None
            if ":" in name or read is None:
                raise config_error(f"`{name}` is not mapped to a condition key", place, 'write for example `ip = "aws:SourceIp"`')
            if read.kind not in _OF_REQUESTS:
                raise config_error(f"`{key}` is a key that no request can state", place, "choose another key")

    def known(self, identity: Identity) -> dict[str, Key]:
        """The keys of members that were read before, for this identity."""
        return self.plain if ASSERT_CONTEXT in identity.scopes else self.unused

    def keep(self, identity: Identity, member: str, key: Key | None, at: str) -> None:
        """Keep the key of a member of one value. For a member that is never used its name is the path in the request."""
        kept = self.known(identity)
        if len(member) > MAX_NAME:
            return
        if len(kept) >= _MAX_KEPT:
            kept.clear()
        if kept is self.unused or key is None or key.folded.startswith(self.reserved) or key.kind in _NEVER:
            kept[member] = Key(f"{at}.{member}", "", FactKind.KNOWN, None)
        elif key.kind in _OF_REQUESTS:
            kept[member] = key
        elif not self.allow_now:  # the time
            kept[member] = Key(f"{at}.{member}", "", FactKind.KNOWN, None)


@dataclass(slots=True, eq=False)
class Facts:
    """What a request may state: the context for the engine, and what else follows from it.

    Attributes
    ----------
    context
        condition keys and their values.
    ignored
        places of members that are not used, such as `context.aws:PrincipalTag/role`.
    now
        the time of the request, if it may set one.
    unknown
        keys that are declared unknown (D70).
    reads_tags
        whether the facts depend on the record of the resource.
    """

    context: dict[str, Any] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    now: datetime | None = None
    unknown: tuple[str, ...] = ()
    reads_tags: bool = False
    _names: dict[str, str] = field(default_factory=dict)

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing but the context, and what is not used."""
        return not (self.reads_tags or self.unknown or self.now)

    def state(self, key: Key, value: Value, at: str) -> None:
        """Add a key; `at` is the place without `$.`.

        Raises
        ------
        MappingError
            `bad_value`: the type of the value is not that of the key, or the key is stated with another value.
        """
        info = key.info
        if info is not None and (info.type is not KeyType.STRING or type(value) is list):
            check_value(info, value, f"$.{at}")
        name = self._names.setdefault(key.folded, key.name)
        other = self.context.setdefault(name, value)
        if other is not value and (other != value or type(other) is not type(value)):
            raise MappingError("bad_value", f"`{key.name}` is stated twice with different values", f"$.{at}")

    def merge(self, other: Facts, at: str) -> None:
        """Add the context of other facts.

        Raises
        ------
        MappingError
            `bad_value`, one key with two values.
        """
        for name, value in other.context.items():
            self.state(Key(name, fold(name), FactKind.CONTEXT, None), value, at)

    def state_tag(self, key: Key, value: Value, stored: Keys, at: str) -> bool:
        """Add a tag of the resource, unless its record has the tag: the stored value is used then (G57).

        Returns
        -------
        bool
            whether the value is used, or equals the stored one.
        """
        known = stored.get(RESOURCE_TAG + key.folded.partition("/")[2])
        if known is None:
            self.state(key, value, at)
            return True
        return known.values == (text_of(value),)


def ignored_names(ignored: Sequence[str]) -> list[str]:
    """The names of what is not used, for an answer: at most 20, of at most 128 characters each (G49)."""
    return [name[:MAX_NAME] for name in ignored[:MAX_IGNORED]]


_NO_RULES: Final = FactRules()
NO_FACTS: Final = Facts()  # shared, so never changed
_MAX_KEPT: Final = 1_024  # members; all are dropped when there are more


def facts(
    identity: Identity,
    context: Mapping[str, Any],
    rules: FactRules = _NO_RULES,
    *,
    at: str = "context",
    stored_tags: Callable[[], Keys] = dict,
) -> Facts:
    """Read a context that a request contains: the facts that this identity may state.

    Parameters
    ----------
    context
        members of JSON: text, bool, int, float, None (absent), lists of these, objects (their members get dotted names).
    rules
        of the protocol.
    at
        place of the context in the request.
    stored_tags
        gives the folded `aws:ResourceTag/*` keys of the resource's record, which replace stated ones.

    Raises
    ------
    MappingError
        `bad_character`, `too_long`, `too_many` or `bad_type` (form); `bad_value`: a value of another type than its key, a number
        that is not exact, a key with two values.
    """
    found = Facts()
    if len(context) > MAX_KEYS:
        raise MappingError("too_many", f"more than {MAX_KEYS} keys", f"$.{at}")
    stated, names = found.context, found._names
    plain = rules.known(identity)
    has_tags = ASSERT_TAGS in identity.scopes and stored_tags is dict  # no record replaces a tag
    for member, raw in context.items():
        if type(raw) in SCALARS:
            key = plain.get(member)
            if (  # PERF: most members, by far
                key is not None
                and type(raw) is str
                and len(raw) <= MAX_VALUE
                and key.kind is not FactKind.KNOWN
                and key.folded not in names
                and (key.read is None or key.read(raw) is not None)
                and (key.kind is FactKind.CONTEXT or has_tags)
            ):
                names[key.folded] = key.name
                stated[key.name] = raw
                if key.kind is FactKind.TAG:
                    found.reads_tags = True
                continue
            if len(member) != len(UNKNOWN) or fold(member) != UNKNOWN:
                key = _key_of(member, member, rules, at)
                _state(found, identity, rules, key, member, check_scalar(raw, member, at), at, stored_tags)
                rules.keep(identity, member, key, at)
                continue
        if fold(member) == UNKNOWN:
            found.unknown = _unknown_keys(raw, f"$.{at}")
            continue
        for name, value in member_values(member, raw, at, found.ignored):
            _state(found, identity, rules, _key_of(member, name, rules, at), name, value, at, stored_tags)
    if len(found.context) > MAX_KEYS:
        raise MappingError("too_many", f"more than {MAX_KEYS} keys", f"$.{at}")
    return found


def facts_of_call(identity: Identity, context: Mapping[str, Any], rules: FactRules = _NO_RULES) -> Facts:
    """As `facts`, for a context that a protocol makes of a call which always has these keys.

    What the identity may not state is unknown then, and not absent: a Deny that depends on it denies (D70).
    """
    found = facts(identity, context, rules)
    if ASSERT_CONTEXT not in identity.scopes:
        keys = (read_key(name, "context") for name in context)
        found.unknown = tuple(key.name for key in keys if key is not None and key.kind in _OF_REQUESTS)
    return found


def _state(
    found: Facts,
    identity: Identity,
    rules: FactRules,
    key: Key | None,
    name: str,
    value: Value,
    at: str,
    stored_tags: Callable[[], Keys],
) -> None:
    """Add one fact, or ignore it: what this identity may not state, and what no request can state."""
    scopes = identity.scopes
    if key is None or ASSERT_CONTEXT not in scopes or key.folded.startswith(rules.reserved):
        found.ignored.append(f"{at}.{name}")
        return
    if key.kind is FactKind.CONTEXT:
        found.state(key, value, at)
        return
    place = f"$.{at}.{name[:MAX_NAME]}"
    if key.kind is FactKind.CLOCK and rules.allow_now:
        instant = instant_of(value, place)
        if found.now is not None and found.now != instant:
            raise MappingError("bad_value", "the time is stated twice with different values", place)
        found.now = instant
    elif key.kind is FactKind.TAG and ASSERT_TAGS in scopes:
        found.reads_tags = True
        if not found.state_tag(key, value, stored_tags(), at):
            found.ignored.append(f"{at}.{name}")
    else:
        found.ignored.append(f"{at}.{name}")


def _key_of(member: str, name: str, rules: FactRules, at: str) -> Key | None:
    """The key that a member states: its own name, or the one that the protocol maps it to."""
    if ":" in member:
        return read_key(name, at)
    mapped = rules.names.get(name)
    if mapped is not None:
        return read_key(mapped, at)
    key = read_key(name, at, rules.bare or "-")
    return None if rules.bare is None else key


def check_members(members: Mapping[str, Any], at: str) -> None:
    """Check names and values of a context or of properties, without reading what they state.

    Raises
    ------
    MappingError
        as `member_values` and `read_key`.
    """
    if len(members) > MAX_KEYS:
        raise MappingError("too_many", f"more than {MAX_KEYS} keys", f"$.{at}")
    inexact: MappingError | None = None
    for member, raw in members.items():
        try:
            for name, _ in member_values(member, raw, at, []):
                read_key(name, at, "-")
        except MappingError as error:
            if error.is_form:
                raise
            inexact = error
    if inexact is not None:
        raise inexact


def _unknown_keys(raw: Any, at: str) -> tuple[str, ...]:
    """The keys that a context declares unknown; the engine reads their names."""
    if raw is None:
        return ()
    if type(raw) is not list or len(raw) > MAX_KEYS or not all(type(item) is str and len(item) <= MAX_VALUE for item in raw):
        raise MappingError("bad_type", f"`{UNKNOWN}` is not a list of at most {MAX_KEYS} condition keys", at)
    return tuple(raw)
