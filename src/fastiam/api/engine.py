"""`Engine`: a directory compiled into tables, with the calls that decide over it.

The class checks arguments and wraps results. `_core` decides, `engine.resolving` resolves their misses.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from fastiam._core import Core, decide_columns
from fastiam.api.analyses import EngineAnalyses
from fastiam.compile.compiler import Compiler
from fastiam.compile.directory_tables import compile_all, compile_changes
from fastiam.engine.batch import MAX_THREADS, blank_rows, context_columns, named_sessions, pool_of, read_argument
from fastiam.engine.decisions import Decisions
from fastiam.engine.resolving import Resolver, checked_bytes
from fastiam.errors import RequestValueError
from fastiam.kernel.columns.read import check_lengths
from fastiam.kernel.plan.names import Names
from fastiam.model.arguments import as_path, check_choice, check_type
from fastiam.model.decision import Outcome
from fastiam.model.explanation import Explanation
from fastiam.model.profile import CACHE_BYTES, EndpointProfile, PrincipalProfile, ResourceProfile, Settings
from fastiam.model.request import Context, ContextValue, Request, check_context, epoch_seconds, read_context, read_unknown
from fastiam.model.session import Session
from fastiam.resolve.changes import changes_between
from fastiam.resolve.snapshot import Snapshot, UnknownOwner
from fastiam.runtime.gc_pause import collection_paused

if TYPE_CHECKING:
    from fastiam.api.directory import Directory

_KEPT_SHARE = 8  # an update keeps the run-time cache for good if it takes at most an eighth of its bound


class Engine(Core, EngineAnalyses):
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
        unknown_owner
            for a resource with an unknown owner, "principal" assumes the principal's account, "deny" denies (D23).
        context_defaults
            values for keys that a request does not give; as if it gave them (K1).
        settings
            the parameters that the specification leaves open.
        cache_bytes
            bound on the memory of the run-time cache: plans and names that requests add. If it is too small for a repeating
            workload, entries are evicted and built again and again, which takes a hundred times as long. `stats()` counts
            evictions as `generation`.
        index_from
            a statement run or resource element of at least this size gets an index.
        """
        check_choice(unknown_owner, "unknown_owner", "value", "principal", "deny")
        check_type(settings, Settings, "settings", "a `fastiam.Settings`")
        defaults = read_context(context_defaults)
        options = {
            "unknown_owner": unknown_owner,
            "context_defaults": dict(check_context(context_defaults)),
            "settings": settings,
            "cache_bytes": checked_bytes(cache_bytes),
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
        return cls(Resolver(snapshot, compiler, names, options, defaults))

    def over(self, snapshot: Snapshot) -> Self:
        """Compile another snapshot with the options of this engine."""
        return type(self).from_snapshot(snapshot, **self.resolver.options)

    def __repr__(self) -> str:
        sizes = self.resolver.compiler.tables.sizes()
        counts = {name: sizes[name] for name in ("principals", "policies", "statements", "resources")}
        return f"<{type(self).__name__}: {', '.join(f'{n} {name}' for name, n in counts.items())}>"

    @property
    def snapshot(self) -> Snapshot:
        """The directory as it was compiled."""
        return self.resolver.snapshot

    @property
    def settings(self) -> Settings:
        """The parameters that the specification leaves open, as this engine decides with them."""
        settings: Settings = self.resolver.options["settings"]
        return settings

    @property
    def unknown_owner(self) -> UnknownOwner:
        """How a resource with an unknown owner is decided (D23)."""
        unknown_owner: UnknownOwner = self.resolver.options["unknown_owner"]
        return unknown_owner

    @property
    def context_defaults(self) -> Mapping[str, ContextValue]:
        """The values of keys that a request does not give, by folded key."""
        return self.resolver.defaults

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the engine to a file that `load` maps. An existing file is replaced atomically.

        Raises
        ------
        SourceError
            the file cannot be written; an existing file is unchanged.

        Notes
        -----
        Run-time entries (plans, sessions, names) are not saved. The loaded engine adds them on demand.
        """
        from fastiam.engine.engine_file.engines import save_engine  # PERF: only engine files need it

        save_engine(self, as_path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str], *, cache_bytes: int | None = None) -> Self:
        """Load an engine from a file that `save` wrote, in milliseconds. It decides as the saved engine does.

        Processes that load one file share its memory. The records of the directory (for sessions, explanations, reasons,
        `updated`) are read from the file on demand. To replace a file that is in use, call `save` with its path, which renames a
        new file. Never write into the file.

        Parameters
        ----------
        cache_bytes
            as in `Directory.compile`; None: the value of the saved engine.

        Raises
        ------
        RequestValueError
            `cache_bytes` is not a number of bytes.
        SourceError
            the file cannot be read, is not an engine file, is truncated or altered, or is of another release or kind of machine.
        """
        from fastiam.engine.engine_file.engines import load_engine  # PERF: only engine files need it

        return load_engine(cls, as_path(path), {} if cache_bytes is None else {"cache_bytes": checked_bytes(cache_bytes)})

    def updated(self, directory: Directory) -> Self:
        """Return an engine over the current state of the directory. This engine is unchanged.

        The two share the tables of all policies, and the plans in the run-time cache. The cost is a copy of the names of
        principals and resources, and the compilation of the changes since this engine was compiled.

        Notes
        -----
        A directory that was loaded again is compared with the old one record by record. If little can be shared, or previous
        updates have left much unused data, everything is compiled again, in the time that `compile` takes.
        """
        from fastiam.directory.account_model import AccountModel  # PERF: an engine that is never updated writes no directory

        check_type(directory, AccountModel, "directory", "a Directory")
        snapshot, compiler = directory.snapshot(), self.resolver.compiler
        with collection_paused():  # PERF: of a directory that was loaded again, every record is compared
            changes = changes_between(self.snapshot, snapshot)
        if changes.everything or compiler.needs_rebuild:
            return type(self).from_snapshot(snapshot, **self.resolver.options)
        if compiler.cache_bytes_used > self.resolver.options["cache_bytes"] // _KEPT_SHARE:
            with compiler.lock:
                compiler.drop()  # otherwise the new engine could not evict it
        with compiler.building():
            with compiler.lock:
                names = self.names.fork()
            compile_changes(compiler, names, snapshot, changes)
            with compiler.lock:
                compiler.freeze(names)
        return type(self)(Resolver(snapshot, compiler, names, self.resolver.options, self.resolver.defaults))

    def __reduce__(self) -> tuple[Any, ...]:
        from fastiam.engine.engine_file.engines import engine_bytes  # PERF: only engine files need it

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
        principals, actions, resources
            text columns, shape (n,), or one value for all rows Arrow (anything with `__arrow_c_array__` or `__arrow_c_stream__`),
            NumPy, or lists; no query that runs at each reading (a DuckDB relation, a Polars `LazyFrame`). Principals as ARNs,
            service names, `*`, or names in `sessions`; actions as `service:Name` in any case; resources as ARNs or `*`.
        context
            mapping of context key to a column of shape (n,) or to one value, optional Text, bools, numbers, decimals, timestamps
            with a zone, binary (compared as base64), or lists of them. A null means that the key is absent; one that is derived
            (K1) or has a default (K2) keeps that value.
        unknown
            condition keys whose values are unknown in all rows, or prefixes such as `aws:ResourceTag/*` for all keys with this
            prefix and without a column (spec 6.11). A row that depends on them has outcome DEPENDS.
        resource_accounts
            column of account ids or nulls, or one for all rows (D23).
        sessions
            names in the principals column that represent a `Session`. Only those that rows use are compiled.
        now
            aware datetime; None: the clock, read once (K5).
        reasons
            also return layer, policy and statement of each row, and with unknown keys the deciding keys.
        on_error
            "raise" decides nothing and names row and column; "deny" gives such a row outcome ERROR.
        threads
            number of threads. Each takes the next rows when it is done; the GIL is free meanwhile.

        Returns
        -------
        Decisions
            `outcome` uint8, shape (n,); with `reasons` also `layer`, `policy`, `statement`, and with unknown keys
            `depends_on`.

        Raises
        ------
        ShapeError
            two columns differ in length; the message names both.
        RequestValueError
            a value cannot be read; has `.row` and `.column`. A key has a column and is declared unknown.

        Notes
        -----
        O(n), plus 0.04 ms, or more for many columns: below some 500 requests `are_allowed` takes less time. Run-time entries are
        added on first use: a plan in some 4 µs, the name of a session in 3 µs, a `Session` in 0.1 ms.
        """
        check_choice(on_error, "on_error", "value", "raise", "deny")
        check_type(reasons, (bool, np.bool_), "reasons", "True or False")
        if not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
            raise RequestValueError(f"`{threads}` is not a number of threads", column="threads", hint=f"use 1 to {MAX_THREADS}")
        errors: dict[int, Exception] | None = None if on_error == "raise" else {}
        columns = {"principals": principals, "actions": actions, "resources": resources}
        if resource_accounts is not None:
            columns["resource_accounts"] = resource_accounts
        unreadable: dict[int, Exception] | None = None if errors is None else {}
        read = {name: read_argument(value, name, "text", unreadable) for name, value in columns.items()}
        values = check_context(context, hint="pass a mapping of context keys to columns, or to one value for all rows")
        declared = read_unknown(unknown, values)
        given = context_columns(self.resolver.defaults, values, declared)
        keys = {name: read_argument(value, name, "context", unreadable) for name, value in given.items()}
        n = check_lengths({**read, **keys})
        with pool_of(threads) as pool:
            found = decide_columns(
                self, read["principals"], read["actions"], read["resources"], keys, read.get("resource_accounts"),
                named_sessions(sessions), declared, n, epoch_seconds(now), reasons, errors, pool, threads,
            )  # fmt: skip
        if unreadable:  # what was read as null must not be decided as absent
            found["outcome"][list(unreadable)] = Outcome.ERROR
            errors = dict(sorted({**(errors or {}), **unreadable}.items()))
        if errors:
            blank_rows(found, list(errors))
        return Decisions(**found, errors=errors)

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
        """Return the record of a decision (spec 6.9): statements that apply, missing allows and near misses of every layer.

        Arguments and errors as in `is_allowed`. The specification evaluator decides over the same profiles: the same decision,
        but slower.
        """
        request = self.read_request(action, context, unknown=unknown, now=now)
        return self.explain_request(principal, resource, request, resource_account)

    def explain_request(
        self, principal: str | Session | PrincipalProfile, resource: str, request: Request, resource_account: str | None = None
    ) -> Explanation:
        """Explain the decision of a request that `read_request` has returned."""
        from fastiam.spec import decide as decide_by_spec  # PERF: a program that only decides does not load it

        who, what, endpoint = self.profiles(principal, resource, request, resource_account)
        sources = self.snapshot.account_facts
        return decide_by_spec(who, what, request, endpoint=endpoint, settings=self.settings, sources=sources)

    def read_request(
        self, action: str, context: Context | None, *, unknown: Collection[str] = (), now: datetime | None = None
    ) -> Request:
        """Return a request for the specification evaluator, with the `context_defaults` of this engine (D71)."""
        return self.resolver.read_request(action, context, unknown=unknown, now=now)

    def profiles(
        self, principal: str | Session | PrincipalProfile, resource: str, request: Request, resource_account: str | None = None
    ) -> tuple[PrincipalProfile, ResourceProfile, EndpointProfile | None]:
        """Return the profiles that decide a request, as the specification evaluator takes them.

        Raises
        ------
        RequestValueError
            the request contradicts the directory (K1, D23).
        """
        return self.resolver.profiles(principal, resource, request, resource_account)

    def stats(self) -> dict[str, Any]:
        """Return counts and bytes of the tables and of the run-time cache.

        Counts include run-time entries: `principals` counts those of the directory, and the names and sessions of requests.
        `bytes` is the total; `compiled_bytes` is the part without run-time entries.
        """
        compiler = self.resolver.compiler
        sizes = {**compiler.tables.sizes(), **self.names.counts()}
        sizes["bytes"] += self.names.size_bytes() + compiler.statements.size_bytes() + compiler.cached_objects
        sizes["compiled_bytes"] = sizes["bytes"] - self.resolver.cache_bytes_used()
        sizes["bytes"] += self._runtime_cache_bytes()
        return {**sizes, "cache_limit": self.resolver.options["cache_bytes"]}


def _engine_of(cls: type[Engine], data: bytes) -> Engine:
    from fastiam.engine.engine_file.engines import engine_of  # PERF: only pickles need it

    return engine_of(cls, data)
