"""The arguments of `decide_frame`: which columns are read, which are added."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Final, Literal, Self, TypeAlias, TypedDict

from fastiam.engine.summary import Summary
from fastiam.errors import RequestValueError, did_you_mean
from fastiam.frames.key_columns import check_name, key_columns
from fastiam.frames.nested import TAGS, tags_of
from fastiam.model.arguments import check_choice
from fastiam.model.key_names import likely_key
from fastiam.model.key_registry import fold
from fastiam.model.request import shorten
from fastiam.model.session import Session

ADDED: Final = ("outcome", "allowed", "layer", "policy", "sid")
ADDABLE: Final = (*ADDED, "reason", "assumed_owner", "error_code", "error", "depends_on", "unreadable")
REQUEST: Final = ("principal", "action", "resource")
OWNER: Final = "resource_account"  # the column of owners that is read if the frame has it
_CONSTANTS = (bool, int, float, Decimal, datetime)


@dataclass(frozen=True, slots=True)
class Lit:
    """A text that is a value, not the name of a column."""

    value: str

    def __post_init__(self) -> None:
        if not isinstance(self.value, str):
            raise RequestValueError(f"`{type(self.value).__name__}` is not text", column="value", hint="pass numbers as they are")


def lit(value: str) -> Lit:
    """A text that is the same in all rows: `principal=fastiam.lit("arn:aws:iam::111111111111:role/etl")`.

    Raises
    ------
    RequestValueError
        `value` is not text. Numbers, bools and instants in `context` need no `lit`.
    """
    return Lit(value)


Constant: TypeAlias = "Lit | bool | int | float | Decimal | datetime | Sequence[object] | None"
Tags: TypeAlias = "Mapping[str, object] | Sequence[object]"
ContextSpec: TypeAlias = "Literal['auto'] | str | Collection[str] | Mapping[str, str | Constant | Tags]"


class FrameOptions(TypedDict, total=False):
    """The keyword arguments of `Engine.decide_frame`, as types of functions that pass them on."""

    principal: str | Session | Lit
    action: str | Lit
    resource: str | Lit
    context: ContextSpec
    resource_account: str | Lit | None
    sessions: Mapping[str, Session] | None
    unknown: Collection[str]
    now: datetime | None
    add: Collection[str]
    prefix: str
    keep: bool | Collection[str]
    on_error: Literal["raise", "deny"]
    threads: int


@dataclass(frozen=True, slots=True)
class FrameArguments:
    """The checked arguments of one call. `read` gives the columns to read for the names that a frame has.

    The fields are the parameters of `Engine.decide_frame`, and `with_summary`: whether its counts are asked for.
    """

    principal: str | Session | Lit = "principal"
    action: str | Lit = "action"
    resource: str | Lit = "resource"
    context: ContextSpec = "auto"
    resource_account: str | Lit | None = "auto"
    sessions: Mapping[str, Session] | None = None
    unknown: Collection[str] = ()
    now: datetime | None = None
    add: Collection[str] = ADDED
    prefix: str = ""
    keep: bool | Collection[str] = True
    on_error: Literal["raise", "deny"] = "raise"
    threads: int = 1
    with_summary: bool = False

    def __post_init__(self) -> None:
        check_choice(self.on_error, "on_error", "value", "raise", "deny")
        for argument in ("action", "resource"):
            _require(argument, getattr(self, argument), (str, Lit), 'the name of a column, or `fastiam.lit("...")`')
        _require(
            "principal", self.principal, (str, Lit, Session), 'the name of a column, `fastiam.lit("arn:...")`, or a `Session`'
        )
        if self.resource_account is not None:
            _require(
                "resource_account", self.resource_account, (str, Lit), 'the name of a column, or `fastiam.lit("111111111111")`'
            )
        _require("prefix", self.prefix, (str,), "text that comes before the names of the added columns")
        if isinstance(self.add, str):
            raise RequestValueError("`add` is text", column="add", hint=f'pass a collection of names, such as `("{self.add}",)`')
        for name in self.add:
            if name not in ADDABLE:
                hint = did_you_mean(str(name), ADDABLE) or f"choose of {', '.join(ADDABLE)}"
                raise RequestValueError(f"`{shorten(str(name))}` is not a column of decisions", column="add", hint=hint)
        if isinstance(self.keep, str):
            raise RequestValueError(
                "`keep` is text", column="keep", hint=f'pass a collection of names, such as `["{self.keep}"]`'
            )

    @property
    def added(self) -> tuple[str, ...]:
        """The columns of decisions to add, each once; those of errors and `depends_on` where rows can have them."""
        names = dict.fromkeys(self.add)
        if self.unknown:
            names["depends_on"] = None
        if self.on_error == "deny":
            names |= {"error_code": None, "error": None}
        return tuple(names)

    @property
    def needs_reasons(self) -> bool:
        """Whether a batch must return reasons."""
        return not {"outcome", "allowed", "assumed_owner", "error_code", "error", "unreadable"}.issuperset(self.added)

    def read(self, names: Sequence[str]) -> Selection:
        """The columns of a frame that are read and kept.

        Raises
        ------
        RequestValueError
            a column is missing or ambiguous, an added column exists already, or two columns are one key.
        """
        columns = _Names(tuple(names))
        account = self.resource_account
        if account == "auto":
            account = OWNER if OWNER in columns.names else None
        requests = {
            "principals": _source(columns, self.principal),
            "actions": _source(columns, self.action),
            "resources": _source(columns, self.resource),
            **({} if account is None else {"resource_accounts": _source(columns, account)}),
        }
        ignored: tuple[str, ...] = ()
        if self.context == "auto":
            ignored = tuple(dict.fromkeys(name for name in names if ":" not in name and name not in requests.values()))
            key_columns(ignored, kept=() if isinstance(self.keep, bool) else self.keep)
        return Selection(requests, *self._context(columns), self._kept(columns), columns.names, ignored)

    def _context(self, columns: _Names) -> tuple[dict[str, str | Constant], str | None]:
        """The source of each context key, and the struct or map column whose entries are keys, if there is one."""
        if isinstance(self.context, str):
            if self.context == "auto":
                return _distinct({name: columns.find(name) for name in columns.names if ":" in name}), None
            return {}, columns.find(self.context)
        if not isinstance(self.context, Mapping):
            return _distinct({name: columns.find(name) for name in self.context}, is_named=True), None
        sources: dict[str, str | Constant] = {}
        for key, source in self.context.items():
            if isinstance(key, str) and key.endswith(TAGS) and not isinstance(source, str):
                sources |= _constants(tags_of(source, key))
            elif isinstance(source, str):
                sources[key] = columns.find(source)
            elif source is None or isinstance(source, (Lit, *_CONSTANTS)) or _is_constant_list(source):
                sources[key] = source
            else:
                hint = "pass the name of a column, `fastiam.lit(...)`, a number, a bool, an aware datetime, or a list of values"
                raise RequestValueError(f"`{type(source).__name__}` is not a value of a key", column=str(key), hint=hint)
        return _distinct(sources, is_named=True), None

    def _kept(self, columns: _Names) -> tuple[int, ...]:
        if isinstance(self.keep, bool):
            kept = tuple(range(len(columns.names))) if self.keep else ()
        else:
            kept = tuple(columns.names.index(columns.find(name)) for name in self.keep)
        names = {columns.names[at] for at in kept}
        for name in self.added:
            if self.prefix + name in names:
                raise RequestValueError(
                    f"the frame has a column `{self.prefix + name}` already",
                    column="add",
                    hint='pass `prefix="iam_"`, or leave the column out of `keep`',
                )
        return kept


@dataclass(frozen=True, slots=True)
class Selection:
    """What is read of a frame.

    Attributes
    ----------
    requests
        `principals`, `actions`, `resources`, `resource_accounts`: the name of a column, or a constant.
    context
        for each key the name of a column, or a constant.
    context_column
        a struct or map column whose entries are keys.
    kept_at
        the places of the columns that the result keeps, in order. Places, since names may repeat.
    names
        of all columns of the frame.
    ignored
        the columns that no argument names and that cannot be keys, since they have no `:`.
    """

    requests: Mapping[str, str | Lit | Session]
    context: Mapping[str, str | Constant]
    context_column: str | None
    kept_at: tuple[int, ...]
    names: tuple[str, ...]
    ignored: tuple[str, ...] = ()
    _columns: tuple[str, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        sources = [*self.requests.values(), *self.context.values(), self.context_column]
        object.__setattr__(self, "_columns", tuple(dict.fromkeys(source for source in sources if isinstance(source, str))))

    @classmethod
    def of_columns(cls, columns: Collection[str], keys: Iterable[str]) -> Self:
        """Columns with the names of a request, and keys with their own names; of files and of bulk requests."""
        requests = {f"{name}s": name for name in (*REQUEST, OWNER) if name in columns}
        return cls(requests, {key: key for key in keys}, None, (), ())

    @property
    def kept(self) -> tuple[str, ...]:
        """The names of the columns that the result keeps, in order."""
        return tuple(self.names[at] for at in self.kept_at)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns that are read, each once."""
        return self._columns

    def counted(self, summary: Callable[[], Summary]) -> Callable[[], Summary]:
        """What makes a summary, with the ignored columns."""
        return lambda: replace(summary(), ignored_columns=self.ignored)

    def label(self, argument: str) -> str:
        """What a message calls the place of an error: the frame's column where one was read."""
        source = self.requests.get(argument) or self.context.get(argument)
        return source if isinstance(source, str) else argument


class _Names:
    """The columns of a frame by name."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self._count: dict[str, int] = {}
        for name in names:
            self._count[name] = self._count.get(name, 0) + 1

    def find(self, name: str) -> str:
        count = self._count.get(name, 0)
        if count == 1:
            return name
        if count:
            raise RequestValueError(
                f"the frame has {count} columns `{shorten(name)}`", column=name, hint="rename or drop one of them"
            )
        hint = did_you_mean(name, self.names)
        if not hint and (":" in name or name == "*"):
            hint = f'a text is the name of a column; for a value write `fastiam.lit("{shorten(name)}")`'
        raise RequestValueError(f"the frame has no column `{shorten(name)}`", column=name, hint=hint or self._all())

    def _all(self) -> str:
        return "it has " + ", ".join(f"`{shorten(name, 40)}`" for name in self.names[:10]) if self.names else "it has no columns"


def _source(columns: _Names, source: str | Lit | Session) -> str | Lit | Session:
    return columns.find(source) if isinstance(source, str) else source


def _constants(tags: dict[str, object]) -> dict[str, str | Constant]:
    """Tags that are the same in all rows."""
    return {key: Lit(value) if isinstance(value, str) else value for key, value in tags.items()}  # type: ignore[misc]


def _distinct(sources: dict[str, str | Constant], *, is_named: bool = False) -> dict[str, str | Constant]:
    """The same, without two spellings of one key (H13), nor a name that the caller gives and that is not a key."""
    spellings: dict[str, str] = {}
    for key in sources:
        if not isinstance(key, str):
            raise RequestValueError(f"`{type(key).__name__}` is not the name of a context key", column="context")
        if is_named and ":" not in key and likely_key(key):
            hint = f'write `context={{"{likely_key(key)}": "{shorten(key)}"}}`'
            raise RequestValueError(f"`{shorten(key)}` is not a context key", column=key, hint=hint)
        if is_named or key.endswith(TAGS):
            check_name(key)
        other = spellings.setdefault(fold(key), key)
        if other != key:
            raise RequestValueError(f"`{other}` and `{key}` are one key", column=key, hint="keep one of the two columns")
    return sources


def _is_constant_list(source: object) -> bool:
    return isinstance(source, (list, tuple)) and all(isinstance(item, (str, *_CONSTANTS)) for item in source)


def _require(argument: str, value: object, types: tuple[type, ...], hint: str) -> None:
    if not isinstance(value, types):
        raise RequestValueError(f"`{type(value).__name__}` cannot be read", column=argument, hint=f"pass {hint}")
