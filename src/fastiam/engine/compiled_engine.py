"""`Engine`: a directory compiled into tables, and the doors to ask it.

The class checks, names and wraps; `_core` and `kernel.batch.resolve` decide, and `settling` answers what they miss.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self

from fastiam.compile.compiler import Compiler
from fastiam.compile.directory_tables import compile_all, compile_changes
from fastiam.directory.account_model import AccountModel
from fastiam.engine.decisions import NO_CODE, NO_STATEMENT, Decisions
from fastiam.engine.resolving import ResolvingCore
from fastiam.errors import RequestValueError
from fastiam.kernel.batch.resolve import decide_columns
from fastiam.kernel.columns.read import TextColumn, are_plain, check_lengths, for_all_rows, read_column
from fastiam.kernel.plan.names import Names
from fastiam.model.arguments import as_path, check_choice, check_type
from fastiam.model.decision import Outcome
from fastiam.model.explanation import Explanation
from fastiam.model.key_registry import fold
from fastiam.model.profile import CACHE_BYTES, Settings
from fastiam.model.request import (
    Context,
    check_context,
    check_key,
    epoch_seconds,
    exact_text,
    is_declared,
    read_context,
    read_unknown,
    shorten,
)
from fastiam.model.session import Session
from fastiam.resolve.changes import changes_between
from fastiam.resolve.snapshot import Snapshot, UnknownOwner
from fastiam.runtime.gc_pause import collection_paused

if TYPE_CHECKING:
    from fastiam.api.directory import Directory
    from fastiam.kernel.batch.resolve import _Answers

_SMALL = 8  # an eighth of the bound on the cache may be kept for good by an update
MAX_THREADS = 64


class CompiledEngine(ResolvingCore):
    """Policies compiled for decisions. Never changes once built; share it freely between threads, pickle it.

    A pickle holds what `save` writes, and is read by the release that made it.

    Made by `Directory.compile`. Decisions are those of spec section 6, in lenient documents too.
    """

    @classmethod
    def from_snapshot(
        cls,
        snapshot: Snapshot,
        *,
        unknown_owner: UnknownOwner = "principal",
        context_defaults: Context = {},  # noqa: B006  (a mapping that is only read)
        settings: Settings = Settings(),  # noqa: B008  (frozen)
        cache_bytes: int = CACHE_BYTES,
        index_from: int = 8,
    ) -> Self:
        """Compile a snapshot of a directory.

        Parameters
        ----------
        unknown_owner : "principal" takes the caller's account as owner of a resource whose owner nothing tells, "deny" denies
            such requests (D23).
        context_defaults : values for keys that a request does not give; as if it gave them (K1).
        settings : what the specification leaves configurable.
        cache_bytes : how much memory the rows and names that requests bring may take. Where it is not enough for what comes again
            they are dropped and made again and again, which takes a hundred times as long; `stats()` counts that as `generation`.
        index_from : from how many statements or resources on that a request may have to be compared with, an index finds them.
        """
        check_choice(unknown_owner, "unknown_owner", "value", "principal", "deny")
        check_type(settings, Settings, "settings", "a `fastiam.Settings`")
        defaults = read_context(context_defaults)
        options = {
            "unknown_owner": unknown_owner,
            "context_defaults": dict(check_context(context_defaults)),
            "settings": settings,
            "cache_bytes": _checked_bytes(cache_bytes),
            "index_from": index_from,
        }
        for value in defaults.values():
            if value.conflict:
                raise RequestValueError(
                    f"`{value.name}` is given in two spellings with different values",
                    column="context_defaults",
                    hint="keep one of them",
                )
        compiler = Compiler(settings, index_from=index_from)
        names = Names(compiler.tables)
        if unknown_owner == "deny":
            names.deny_unknown_owner()
        compile_all(compiler, names, snapshot)
        for name in defaults:
            compiler.keys.number(name)
        compiler.match_actions()
        compiler.freeze(names)
        return cls._over(snapshot, compiler, names, options, defaults)

    def __repr__(self) -> str:
        sizes = self._compiler.tables.sizes()
        counts = {name: sizes[name] for name in ("principals", "policies", "statements", "resources")}
        return f"<{type(self).__name__}: {', '.join(f'{n} {name}' for name, n in counts.items())}>"

    @property
    def snapshot(self) -> Snapshot:
        """The directory as it was compiled."""
        return self._snapshot_or_fail()

    @property
    def settings(self) -> Settings:
        """What the specification leaves configurable, as this engine decides it."""
        settings: Settings = self._options["settings"]
        return settings

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the engine to a file, which `load` maps. It appears under its name when it is whole, in place of what was there.

        Raises
        ------
        SourceError: it cannot be written; what was there is untouched.

        Notes
        -----
        What requests have brought (rows, sessions, names) is not saved; it comes again when it is asked for.
        """
        from fastiam.engine.engine_file.engines import save_engine

        save_engine(self, as_path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, cache_bytes: int | None = None) -> Self:
        """An engine from a file that `save` wrote: it answers as the saved one, in milliseconds.

        Processes that load one file share its memory. The directory behind it (for sessions, explanations, reasons, `updated`)
        is read from the file record by record when it is needed. To replace a file that is in use save over it, which is what
        `save` does, and never write into it.

        Parameters
        ----------
        cache_bytes : as `Directory.compile` has it; None: as the saved engine had it.

        Raises
        ------
        RequestValueError: `cache_bytes` is no number of bytes.
        SourceError: it cannot be read; it is no saved engine, or a truncated or altered one, or one of another release or kind of
            machine.
        """
        from fastiam.engine.engine_file.engines import load_engine

        return load_engine(cls, as_path(path), {} if cache_bytes is None else {"cache_bytes": _checked_bytes(cache_bytes)})

    def updated(self, directory: Directory) -> Self:
        """An engine over what the directory is now; this one goes on answering as it did.

        The two share the tables of all policies, and the rows that requests have led to. What it costs is the names of
        principals and resources copied, and the compilation of what changed since this engine's directory was read.

        Notes
        -----
        A directory that was read anew is compared with the old one record by record. Where little is left to share, or
        updates have left much behind that nobody needs, everything is compiled anew, in the time that `compile` takes.
        """
        check_type(directory, AccountModel, "directory", "a Directory")
        snapshot, compiler = directory.snapshot(), self._compiler
        with collection_paused():  # PERF: of a directory that was read anew, every record is compared
            changes = changes_between(self._snapshot_or_fail(), snapshot)
        if changes.everything or compiler.needs_rebuild:
            return type(self).from_snapshot(snapshot, **self._options)
        if compiler.cache_bytes_used > self._options["cache_bytes"] // _SMALL:
            with self._lock:
                compiler.drop()  # else it would stay for good
        with compiler.building():
            with compiler.lock:
                names = self.names.fork()
            compile_changes(compiler, names, snapshot, changes)
            with compiler.lock:
                compiler.freeze(names)
        return type(self)._over(snapshot, compiler, names, self._options, self._defaults)

    def __reduce__(self) -> tuple[Any, ...]:
        from fastiam.engine.engine_file.engines import engine_bytes

        return _engine_of, (type(self), engine_bytes(self))

    def decide_many(
        self,
        principals: object,
        actions: object,
        resources: object,
        context: Mapping[str, object] | None = None,
        *,
        unknown: Collection[str] = (),
        resource_accounts: object = None,
        sessions: Mapping[str, Session] | None = None,
        now: datetime | None = None,
        reasons: bool = False,
        on_error: Literal["raise", "deny"] = "raise",
        threads: int = 1,
    ) -> Decisions:
        """Decide one request per row.

        Parameters
        ----------
        principals, actions, resources : text columns, shape (n,), or one value for all rows
            Arrow (anything with `__arrow_c_array__` or `__arrow_c_stream__`), NumPy, or lists; no query that runs at each
            reading (a DuckDB relation, a Polars `LazyFrame`). Principals as ARNs, service names,
            `*`, or names in `sessions`; actions as `service:Name` in any case; resources as ARNs or `*`.
        context : mapping of context key to a column of shape (n,) or to one value, optional
            Text, bools, numbers, decimals, timestamps with a zone, binary (compared as base64), or lists of them. A null means
            that the key is absent; one that is derived (K1) or has a default (K2) keeps that value.
        unknown : condition keys of which nothing is known in any row, or prefixes such as `aws:ResourceTag/*`, which stand for
            all keys without a column that start so (spec 6.11). A row that depends on them has outcome DEPENDS.
        resource_accounts : column of account ids or nulls, or one for all rows (D23).
        sessions : names that stand for a `Session` in the principals column. Of many, rows enter those that they name.
        now : aware datetime; the clock, read once, where it is None (K5).
        reasons : also say layer, policy and statement of each row, and with unknown keys those that matter.
        on_error : "raise" decides nothing and names row and column; "deny" gives such a row outcome ERROR.
        threads : each takes rows when it is done with others; the GIL is free while they are decided.

        Returns
        -------
        Decisions: `outcome` uint8, shape (n,); with `reasons` also `layer`, `policy`, `statement`, and with unknown keys
        `depends_on`.

        Raises
        ------
        ShapeError: two columns differ in length; the message names both.
        RequestValueError: a value cannot be read; has `.row` and `.column`. A key has a column and is declared unknown.

        Notes
        -----
        O(n), after 0.04 ms and more for many columns: below some 500 requests `are_allowed` takes less time. What no request has
        met before is made on first use: a row of policies in some 4 µs, the name of a session in 3, a `Session` in 0.1 ms.
        """
        check_choice(on_error, "on_error", "value", "raise", "deny")
        if not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
            raise RequestValueError(f"`{threads}` is no number of threads", column="threads", hint=f"use 1 to {MAX_THREADS}")
        errors: dict[int, Exception] | None = None if on_error == "raise" else {}
        columns = {"principals": principals, "actions": actions, "resources": resources}
        if resource_accounts is not None:
            columns["resource_accounts"] = resource_accounts
        unreadable: dict[int, Exception] | None = None if errors is None else {}
        read = {name: _read(value, name, "text", unreadable) for name, value in columns.items()}
        told = check_context(context, hint="pass a mapping of context keys to columns, or to one value for all rows")
        declared = read_unknown(unknown, told)
        given = self._contexts(told, declared)
        keys = {name: _read(value, name, "context", unreadable) for name, value in given.items()}
        n = check_lengths({**read, **keys})
        with _pool(threads) as pool:
            found = decide_columns(
                self, read["principals"], read["actions"], read["resources"], keys, read.get("resource_accounts"),
                _named(sessions), declared, n, epoch_seconds(now), reasons, errors, pool, threads,
            )  # fmt: skip
        if unreadable:  # what was read as null must not be decided as absent
            found["outcome"][list(unreadable)] = Outcome.ERROR
            errors = dict(sorted({**(errors or {}), **unreadable}.items()))
        if errors:
            _blank(found, list(errors))
        return Decisions(**found, errors=errors)

    def _contexts(self, context: Mapping[str, object], unknown: frozenset[str]) -> dict[str, object]:
        """The context columns, with the defaults of the engine for keys that have none and are not unknown (D71)."""
        given = {check_key(name): value for name, value in context.items()}
        folded: dict[str, str] = {}
        for name in given:
            other = folded.setdefault(fold(name), name)
            if other != name:
                raise RequestValueError(f"`{other}` and `{name}` are one key", column=name, hint="keep one of the two columns")
        for key, value in self._defaults.items():
            if key not in folded and not is_declared(unknown, key):
                given[value.name] = for_all_rows(value.values if value.multi else value.values[0], value.name)
        return given

    def explain(
        self,
        principal: str | Session,
        action: str,
        resource: str,
        context: Context | None = None,
        *,
        unknown: Collection[str] = (),
        resource_account: str | None = None,
        now: datetime | None = None,
    ) -> Explanation:
        """The whole record of a decision (spec 6.9): what applied in every layer, what is missing, what nearly applied.

        Arguments and errors as `is_allowed`. Decided by the reference over the same profiles: slow, and the same answer.
        """
        return self._explained(
            principal, resource, self.read_request(action, context, unknown=unknown, now=now), resource_account
        )

    def stats(self) -> dict[str, Any]:
        """Counts and bytes of the tables and of the cache beside them.

        Counts hold what requests have brought, too: `principals` the names and sessions that asked, beside those of the
        directory. `bytes` is all, with the rows and names that requests led to; `compiled_bytes` of it is what was there before.
        """
        sizes = {**self._compiler.tables.sizes(), **self.names.counts()}
        sizes["bytes"] += self.names.size_bytes() + self._compiler.statements.size_bytes() + self._compiler.cached_objects
        sizes["compiled_bytes"] = sizes["bytes"] - self._cache_bytes_used()
        sizes["bytes"] += self._runtime_cache_bytes()
        return {**sizes, "cache_limit": self._options["cache_bytes"]}


def _checked_bytes(cache_bytes: object) -> int:
    if type(cache_bytes) is not int or cache_bytes < 0:
        raise RequestValueError(f"`{cache_bytes}` is no number of bytes", column="cache_bytes", hint="use an int, 0 or more")
    return cache_bytes


def _pool(threads: int) -> AbstractContextManager[Any]:
    """The threads beside the one that calls; None where there are none."""
    if threads == 1:
        return nullcontext()
    from concurrent.futures import ThreadPoolExecutor  # PERF: it loads much

    return ThreadPoolExecutor(threads - 1)


def _read(value: object, name: str, kind: Literal["text", "context"], errors: dict[int, Exception] | None) -> TextColumn:
    """A column as the kernel takes it, which looks at plain text by itself; one that was read before is taken as it is."""
    return value if isinstance(value, TextColumn) else read_column(value, name, kind=kind, errors=errors, later=True)


def _blank(found: _Answers, rows: list[int]) -> None:
    """Rows that are errors say nothing else."""
    found["assumed_owner"][rows] = False
    if "layer" in found:
        found["layer"][rows], found["reason"][rows], found["statement"][rows] = NO_CODE, NO_CODE, NO_STATEMENT
    if "depends_on" in found:
        found["depends_on"][rows] = NO_STATEMENT


def _named(sessions: Mapping[str, Session] | None) -> dict[str, Session]:
    """The sessions of a batch by name."""
    if sessions is not None and not isinstance(sessions, Mapping):
        raise RequestValueError(
            f"`{type(sessions).__name__}` names no sessions",
            column="sessions",
            hint="pass a mapping of names, as they stand in the principals column, to sessions",
        )
    named = dict(sessions or {})
    if are_plain(named):  # PERF: a service may keep many
        return named
    for name in named:
        if not isinstance(name, str):
            raise RequestValueError(f"the name of a session must be text, not `{type(name).__name__}`", column="sessions")
        if not name.isascii() and any(0xD800 <= ord(c) <= 0xDFFF for c in name):
            raise RequestValueError(f"`{shorten(name)}` holds a lone surrogate and is no valid text", column="sessions")
    return {exact_text(name): session for name, session in named.items()}


def _engine_of(cls: type[CompiledEngine], data: bytes) -> CompiledEngine:
    from fastiam.engine.engine_file.engines import engine_of

    return engine_of(cls, data)
