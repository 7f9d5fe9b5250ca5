"""A request and its context, normalised once.

Every context value becomes text: what an operator compares is always the canonical text of C24, whatever
type the caller used. Both evaluators read the same texts, each with its own parser.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from fastiam.errors import Hint, RequestValueError
from fastiam.model.arn import is_arn
from fastiam.model.key_names import is_key_of_tag, likely_key
from fastiam.model.key_registry import fold, key_info

Scalar = str | bool | int | float | Decimal | datetime | bytes
Context = Mapping[str, "Scalar | Sequence[Scalar] | None"]  # None: the key is absent; a derived key keeps its derived value
# a tag may hold spaces; no key holds them before its slash, and none holds control characters
_NAME = re.compile(r"(?=[^/]*[^\W_])[^\s\x00-\x1f\x7f/]+(?:/[^\x00-\x1f\x7f]*)?")
_STUMPS = frozenset(f"aws:{kind}tag/" for kind in ("principal", "request", "resource")) | {"iam:resourcetag/"}
_NAME_HINT = "write a key such as `aws:SourceIp` or `aws:ResourceTag/cost center`; spaces are allowed in tags only"
_TAGS_HINT = "frames and files take tags under this name; give each tag a key of its own here, such as `aws:RequestTag/team`"
_FIRST_SECOND, _LAST_SECOND = -62135596800, 253402300799  # of the years 1 to 9999
_NO_YEAR = "a datetime must be in the years 1 to 9999 of UTC"
_ZONE = Hint("pass `datetime.now(timezone.utc)`", "write it with its zone, such as `2026-11-25T09:00:00Z`")
_MAX_DIGITS = 4300  # Python writes no longer integers


@dataclass(frozen=True, slots=True)
class ContextValue:
    """The value of a context key that is present: at least one text.

    `multi` is the flag of C5. `conflict` marks a key that came in two spellings with different values (C6): every
    operator but `Null` is `U` on it, and it never resolves as a variable. `name` is the key as the caller wrote it,
    "" if the caller did not: `aws:TagKeys` keeps the spelling of the `aws:RequestTag/` keys it is derived from.
    """

    values: tuple[str, ...]
    multi: bool = False
    conflict: bool = False
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Request:
    """One request: a literal action, the context by folded key name, and the instant `now` in epoch seconds (K5).

    `unknown` holds what the caller declares unknown (spec 6.11), folded: keys, and prefixes that end in `*`, which stand for
    all keys that start so and that the caller does not give. `absent` are the keys that it declares absent.
    """

    action: str
    context: Mapping[str, ContextValue] = field(default_factory=dict)
    now: int = 0
    unknown: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()


def blank_hint(text: str, what: str) -> str:
    """Return the hint for a text that has a blank before or after `what`, else ""."""
    bare = text.strip()
    return f"there is a blank {'before' if text[0] != bare[0] else 'after'} the {what}" if bare and bare != text else ""


def check_action(action: object) -> str:
    """The action if it is a literal `prefix:Name` (A7).

    Raises
    ------
    RequestValueError
        anything else, wildcards included.
    """
    if not isinstance(action, str):
        raise RequestValueError(f"an action must be text, not `{type(action).__name__}`", column="action")
    action = exact_text(action)
    prefix, colon, name = action.partition(":")
    if not (prefix and colon and name) or ":" in name or "*" in action or "?" in action or action.split() != [action]:
        hint = blank_hint(action, "action") or "write one literal action, such as `s3:GetObject`"
        raise RequestValueError(f"`{shorten(action)}` is not an action", column="action", hint=hint)
    _check_text(action, "action")
    return action


def check_resource(resource: object) -> str:
    """The resource if it is `*` or an ARN of at least six fields (spec 2.3).

    Raises
    ------
    RequestValueError
        anything else.
    """
    if not isinstance(resource, str):
        raise RequestValueError(f"a resource must be text, not `{type(resource).__name__}`", column="resource")
    resource = exact_text(resource)
    if resource != "*" and not is_arn(resource):
        form = "write `*` or an ARN with six fields, `arn:partition:service:region:account:rest`"
        hint = blank_hint(resource, "ARN") or form
        raise RequestValueError(f"`{shorten(resource)}` is not a resource", column="resource", hint=hint)
    _check_text(resource, "resource")
    return resource


def check_context(context: object, hint: str = "pass a mapping of context keys to values") -> Mapping[str, Any]:
    """A caller's context as the mapping that it must be; None is an empty one.

    Raises
    ------
    RequestValueError
        anything else.
    """
    if context is None:
        return {}
    if not isinstance(context, Mapping):
        raise RequestValueError(f"`{type(context).__name__}` is not a context", column="context", hint=hint)
    return context


def check_key(name: object) -> str:
    """The name of a context key, if it is one: a statement may read it.

    Raises
    ------
    RequestValueError
        not text; a lone surrogate or a control character; a space before the slash; no letter or digit; no tag; no `:`, which all
        keys have.
    """
    if not isinstance(name, str):
        raise RequestValueError(f"a context key must be text, not `{type(name).__name__}`", column="context")
    _check_text(name, "context")
    if not _NAME.fullmatch(name) or fold(name) in _STUMPS or ":" not in name or is_key_of_tag(name):
        key = likely_key(name)
        hint = f"did you mean `{shorten(key)}`?" if key else _NAME_HINT
        raise RequestValueError(f"`{shorten(name)}` is not a context key", column="context", hint=hint)
    if name.endswith("/*"):
        raise RequestValueError(f"`{shorten(name)}` stands for several keys", column="context", hint=_TAGS_HINT)
    return exact_text(name)


def exact_text(text: str) -> str:
    """The text as a `str` and no subclass of it, whose methods may say something else; NumPy's is one."""
    return text if type(text) is str else str.__str__(text)


def is_iterable(value: object) -> bool:
    """Whether a value has items. An array without dimension has none, though its class has the methods."""
    return isinstance(value, Iterable) and getattr(value, "ndim", 1) != 0


def shorten(text: str, limit: int = 80) -> str:
    """The text for a message: cut, with control characters and surrogates shown as escapes."""
    cut = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut)


def _check_text(text: str, column: str) -> None:
    if not text.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        raise RequestValueError(f"`{shorten(text)}` has a lone surrogate and is not valid text", column=column)


def canonical_text(value: object, column: str) -> str:
    """The canonical text of one context value (C24, VR10).

    Dates as `YYYY-MM-DDTHH:MM:SSZ` with a fraction only if there is one, booleans `true`/`false`, numbers as the
    shortest decimal without exponent, bytes as base64 (C32).
    """
    if isinstance(value, str):
        _check_text(value, column)
        return exact_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _digits(value, column)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RequestValueError(f"`{value}` is not a number that a condition can compare", column=column)
        text = float.__repr__(value)  # NumPy's float64 is a float, and writes itself as `np.float64(...)`
        return _plain_decimal(Decimal(text)) if "e" in text else text.removesuffix(".0")
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise RequestValueError(f"`{value}` is not a number that a condition can compare", column=column)
        if not value:  # its exponent can be large
            return "-0" if value.is_signed() else "0"
        if abs(value.adjusted()) > _MAX_DIGITS:
            raise RequestValueError("a number with too many digits", column=column, hint="pass it as text")
        return _plain_decimal(value)
    if isinstance(value, datetime):
        return date_text(value, column)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    raise RequestValueError(
        f"`{type(value).__name__}` is not a type of context value",
        column=column,
        hint="use text, bool, int, float, an aware datetime, bytes, or a list of these",
    )


def _digits(value: int, column: str) -> str:
    try:
        return int.__repr__(value)
    except ValueError:  # Python refuses to write numbers of some thousand digits
        raise RequestValueError("a number with too many digits", column=column, hint="pass it as text") from None


def _plain_decimal(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def date_text(value: datetime, column: str = "now") -> str:
    """A datetime as text of the date grammar; it must carry a zone (C42)."""
    _check_zone(value, column)
    try:
        moment = value if value.tzinfo is UTC else value.astimezone(UTC)
    except OverflowError:
        raise RequestValueError(_NO_YEAR, column=column) from None
    return moment.isoformat(timespec="microseconds" if value.microsecond else "seconds").removesuffix("+00:00") + "Z"


def _check_zone(value: datetime, column: str) -> None:
    if value.utcoffset() is None:
        raise RequestValueError("a datetime needs a time zone", column=column, hint=_ZONE)


def epoch_seconds(now: datetime | None) -> int:
    """The instant of a call, cut to whole seconds (K5); the clock is read once where none is given."""
    if now is None:
        return int(datetime.now(UTC).timestamp())
    if not isinstance(now, datetime):
        raise RequestValueError(f"`now` must be a datetime, not `{type(now).__name__}`", column="now", hint=_ZONE)
    _check_zone(now, "now")
    seconds = math.floor(now.timestamp())
    if not _FIRST_SECOND <= seconds <= _LAST_SECOND:
        raise RequestValueError(_NO_YEAR, column="now")
    return seconds


def read_context(context: Context, *, strict: bool = True) -> dict[str, ContextValue]:
    """A caller's context by folded key; absent and empty are the same (C4), spellings are joined (C6).

    Raises
    ------
    RequestValueError
        no mapping; a value of no known type; with `strict`, several values of a single-valued key (C5).
    """
    read: dict[str, ContextValue] = {}
    for name, raw in check_context(context).items():
        name = check_key(name)
        value = read_value(name, raw, strict=strict)
        if value is None:
            continue
        folded = fold(name)
        other = read.get(folded)
        read[folded] = value if other is None else _join(other, value)
    return read


def read_value(name: str, raw: object, *, strict: bool = True) -> ContextValue | None:
    """One context value, or None where the key is absent (None or an empty list)."""
    if raw is None:
        return None
    is_list = isinstance(raw, Sequence) and not isinstance(raw, (str, bytes))
    items: Sequence[object] = raw if is_list else (raw,)  # type: ignore[assignment]
    values = tuple(canonical_text(item, name) for item in items)
    if not values:
        return None
    info = key_info(fold(name))
    if info is None:
        return ContextValue(values, multi=is_list, name=name)
    if info.multi or len(values) == 1:
        return ContextValue(values, multi=info.multi, name=name)
    if strict:
        raise RequestValueError(f"`{name}` takes one value, not {len(values)}", column=name)
    return ContextValue(values, multi=True, name=name)


def absent_keys(context: Mapping[str, object]) -> frozenset[str]:
    """The folded keys of a caller's context that hold None or an empty list: declared absent."""
    return frozenset(
        fold(check_key(name))
        for name, raw in context.items()
        if raw is None or (isinstance(raw, Sequence) and not isinstance(raw, (str, bytes)) and not raw)
    )


def read_unknown(unknown: Collection[str], given: Iterable[str] = ()) -> frozenset[str]:
    """The keys that a caller declares unknown, folded; a prefix keeps its `*` (spec 6.11).

    `given` are the names in the context of the same request, those of absent keys included.

    Raises
    ------
    RequestValueError
        no collection of texts; a `*` that does not end an item; a key that the request gives (D71).
    """
    if isinstance(unknown, (str, bytes)) or not isinstance(unknown, Collection) or not is_iterable(unknown):
        raise RequestValueError(
            "`unknown` takes a list of keys", column="unknown", hint='write `unknown=["aws:SourceIp", "aws:ResourceTag/*"]`'
        )
    read = frozenset(map(_unknown_item, unknown))
    for name in given if read else ():
        if isinstance(name, str) and fold(name) in read:
            raise RequestValueError(
                f"`{shorten(name)}` is given and declared unknown", column=name, hint="leave it out of one of the two"
            )
    return read


def _unknown_item(item: object) -> str:
    if not isinstance(item, str):
        raise RequestValueError(f"an unknown key must be text, not `{type(item).__name__}`", column="unknown")
    _check_text(item, "unknown")
    stem = exact_text(item).removesuffix("*")
    is_name = item == "*" or (_NAME.fullmatch(stem) and (stem != item or ":" in item) and not is_key_of_tag(item))
    if "*" in stem or not is_name or fold(item) in _STUMPS:
        key = likely_key(item)
        hint = "write a key such as `aws:SourceIp`, or a prefix that ends in `*`, such as `aws:ResourceTag/*`"
        raise RequestValueError(
            f"`{shorten(item)}` is neither a key nor the start of keys",
            column="unknown",
            hint=f"did you mean `{shorten(key)}`?" if key else hint,
        )
    return fold(exact_text(item))


def is_declared(unknown: Collection[str], folded: str) -> bool:
    """Whether a key is declared unknown, by its name or by a prefix."""
    return folded in unknown or any(item.endswith("*") and folded.startswith(item[:-1]) for item in unknown)


def check_root(unknown: Collection[str]) -> None:
    """What a request by a root principal may not declare unknown (D71).

    Raises
    ------
    RequestValueError
        `aws:AssumedRoot`, by name.
    """
    if "aws:assumedroot" in unknown:
        raise RequestValueError(
            "`aws:AssumedRoot` determines what kind of principal a root user is, so it cannot be unknown", column="unknown"
        )


def _join(one: ContextValue, two: ContextValue) -> ContextValue:
    if one.values == two.values:
        return one
    return ContextValue(one.values + two.values, multi=True, conflict=True, name=one.name)
