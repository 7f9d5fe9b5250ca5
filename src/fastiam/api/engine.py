"""`Engine`: a directory compiled into tables, with the calls that decide over it and the analyses of it.

The class checks arguments and wraps results. `_core` and `kernel.batch.resolve` decide, `engine.resolving` resolves their misses.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload

import numpy as np

from fastiam._core import Core
from fastiam.compile.compiler import Compiler
from fastiam.compile.directory_tables import compile_all, compile_changes
from fastiam.engine.batch import MAX_THREADS, blank_rows, context_columns, named_sessions, pool_of, read_argument
from fastiam.engine.decisions import Decisions
from fastiam.engine.resolving import Resolver, checked_bytes
from fastiam.errors import RequestValueError
from fastiam.kernel.batch.resolve import decide_columns
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

if TYPE_CHECKING:  # PERF: the analyses are imported on first use, so that a program that only decides starts faster
    import duckdb
    import polars as pl

    from fastiam.analysis.access.grants import Grant
    from fastiam.analysis.access.replay import Replay
    from fastiam.analysis.access.unused_access import Unused
    from fastiam.analysis.access.what_can import AllowedAction
    from fastiam.analysis.access.who_can import PrincipalColumn, WhoCanResult
    from fastiam.analysis.escalation.paths import EscalationPath
    from fastiam.analysis.filter import Filter
    from fastiam.api.directory import Directory
    from fastiam.engine.summary import Summary
    from fastiam.frames.arguments import ContextSpec, FrameOptions, Lit
    from fastiam.frames.table import Table
    from fastiam.model.logged_calls import Calls

    Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame, duckdb.DuckDBPyRelation)

_KEPT_SHARE = 8  # an update keeps the run-time cache for good if it takes at most an eighth of its bound


class Engine(Core):
    """Policies compiled for decisions. Never changes once built; share it freely between threads, pickle it.

    A pickle holds what `save` writes, and is read by the release that made it.

    Made by `Directory.compile`. Decisions are those of spec section 6, in lenient documents too.
    """

    _stored: PrincipalColumn | None = None  # the column of `who_can`

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

    # -- analyses, each imported on first use (PERF) ------------------------------------------------------------------

    # `self: Any`: `LiveEngine` and `SharedEngine` have this function too
    @overload
    def decide_frame(self: Any, frame: Frame, *, connection: Any = ..., **options: Unpack[FrameOptions]) -> Frame: ...
    @overload
    def decide_frame(
        self: Any,
        frame: Mapping[str, Sequence[object]] | Sequence[Mapping[str, object]],
        *,
        connection: Any = ...,
        **options: Unpack[FrameOptions],
    ) -> Table: ...
    @overload
    def decide_frame(self: Any, frame: Any, *, connection: Any = ..., **options: Unpack[FrameOptions]) -> Any: ...

    def decide_frame(
        self: Any,
        frame: Any,
        *,
        principal: str | Session | Lit = "principal",
        action: str | Lit = "action",
        resource: str | Lit = "resource",
        context: ContextSpec = "auto",
        resource_account: str | Lit | None = "auto",
        sessions: Mapping[str, Session] | None = None,
        unknown: Collection[str] = (),
        now: datetime | None = None,
        add: Collection[str] = ("outcome", "allowed", "layer", "policy", "sid"),
        prefix: str = "",
        keep: bool | Collection[str] = True,
        on_error: Literal["raise", "deny"] = "raise",
        threads: int = 1,
        connection: Any = None,
    ) -> Any:
        """Decide one request per row of a frame, and return the frame with the decisions as columns.

        Text for `principal`, `action` and `resource` is the name of a column; in `decide_many` it is a value.

        Parameters
        ----------
        frame
            a Polars `DataFrame` or `LazyFrame`, a pandas `DataFrame`, a DuckDB relation, a pyarrow `Table`, `RecordBatch`,
            `RecordBatchReader` or `Dataset`, an Ibis table, any object with `__arrow_c_stream__`, a list of mappings, or a
            mapping of columns.
        principal, action, resource, resource_account
            the name of a column, or `fastiam.lit(text)` for all rows; `principal` may be a `Session`. "auto" reads the owners of
            resources from a column `resource_account` if there is one; None does not.
        context
            "auto" takes each column whose name contains `:` as the condition key of that name. A mapping gives the column or the
            constant of each key, and a collection names columns. Other text names a struct or map column of keys. The column of
            `aws:RequestTag/*` has tags: a struct, a map, or a list of pairs of key and value.
        sessions, unknown, now, on_error, threads
            as in `decide_many`.
        add
            the columns to add: `outcome`, `allowed`, `layer`, `policy`, `sid`, `reason`, `depends_on`, `assumed_owner` and
            `error`. With `unknown`, `depends_on` is one of them, and with `on_error="deny"` `error`.
        prefix
            of the names of the added columns.
        keep
            all columns of the frame, none, or these, in this order.
        connection
            of a DuckDB relation, where its own cannot be used.

        Returns
        -------
        Any
            A frame of the same kind with its rows in the same order. A `LazyFrame` and a reader decide when they are read; a
            dataset gives a `RecordBatchReader`; objects with an Arrow stream and Python containers give a `fastiam.Table`.

        Raises
        ------
        RequestValueError
            a column is missing, an added one exists already, or a value cannot be read; it names the column and the row of the
            frame.
        """
        from fastiam.frames.arguments import FrameArguments
        from fastiam.frames.decide import decide_frame

        arguments = FrameArguments(
            principal, action, resource, context, resource_account, sessions, unknown, now, add, prefix, keep, on_error, threads
        )  # fmt: skip
        return decide_frame(self, frame, arguments, connection=connection)

    def decide_frame_with_summary(self, frame: Any, *, connection: Any = None, **arguments: Any) -> tuple[Any, Summary]:
        """`decide_frame` with the counts of the batch, for frames that are not lazy. Parameters as in `decide_frame`.

        Raises
        ------
        RequestValueError
            as `decide_frame`, or the frame is lazy.
        """
        from fastiam.frames.arguments import FrameArguments
        from fastiam.frames.decide import decide_frame_with_summary

        return decide_frame_with_summary(self, frame, FrameArguments(**arguments), connection=connection)

    def filter(
        self,
        principal: str | Session,
        action: str,
        *,
        resource: str = "resource",
        columns: Mapping[str, str] = {},
        context: Context = {},  # noqa: B006
        resource_account: str | Lit | None = None,
        now: datetime | None = None,
    ) -> Filter:
        """Return the rows that a principal may act on, as an expression over the columns of a table (docs/filter.md).

        A row is the request of the principal and the action on the ARN of the row, with `context` and the values of `columns`.
        Keys that neither has are absent, unless they are derived (K1).

        Parameters
        ----------
        resource
            the column with the ARN, or a template with columns: "arn:aws:s3:::{bucket}/{key}".
        columns
            the column of each condition key whose value differs between rows; a null means that the key is absent.
        context
            condition keys that are the same for all rows.
        resource_account
            the column with the owners of the resources, or one owner as `fastiam.lit("111111111111")` (D23).
        now
            aware datetime; None: the clock, read once. Tests of the time are evaluated with it.

        Returns
        -------
        Filter
            `kind`, `exact`, `prefilter`, `apply`, and the expression for a library.

        Raises
        ------
        RequestValueError
            principal, action, a key or a constant cannot be read, or contradicts what the directory knows.

        Notes
        -----
        Some 10 ms. The filter is of this engine: make it again when the policies have changed.
        """
        from fastiam.analysis.filter import make_filter

        return make_filter(
            self,
            principal,
            action,
            resource=resource,
            columns=columns,
            context=context,
            resource_account=resource_account,
            now=now,
        )

    def who_can(
        self,
        action: str,
        resource: str,
        context: Context | None = None,
        *,
        unknown: Collection[str] = (),
        resource_account: str | None = None,
        now: datetime | None = None,
    ) -> WhoCanResult:
        """Return the principals that can do an action on a resource, for certain or if conditions are satisfied.

        The candidates are the root of every account, every user, every role (as a session of it, N5), and the external
        principals that the policies of the resource allow: services, unsigned callers, identity providers, named sessions, and
        users, roles and whole accounts that are not in the directory. If a decision depends on `aws:userid`, a role stands for a
        session with a name that no policy contains, unless only named sessions can.

        Parameters
        ----------
        context
            the condition keys that are given; None for one says that it is absent, unless it is derived (K1).
        unknown
            the unknown keys, as in `decide_many`; by default none, and a key that is not given is absent. With `["*"]` all keys
            that are not in `context` are unknown, the time too unless `now` is given. A principal that can only if conditions are
            satisfied is a `PrincipalAccess` of outcome DEPENDS then.

        Returns
        -------
        WhoCanResult
            a sequence of `PrincipalAccess`. Other principals cannot, or cannot make such a request at all (K1).

        Raises
        ------
        RequestValueError
            action, resource or a value cannot be read; `resource_account` contradicts the record (D23).

        Notes
        -----
        One batch over all principals of the directory, some 200 ns each. DEPENDS follows D73: it may be reported for a request
        that has a definite decision, but a request that depends on unknown keys is never reported as decided.
        """
        from fastiam.analysis.access.who_can import PrincipalColumn, who_can
        from fastiam.analysis.access.who_can_request import read_who_can_request

        request = read_who_can_request(self, action, resource, context, unknown, resource_account, now)
        if self._stored is None:
            self._stored = PrincipalColumn(self.snapshot)
        return who_can(request, self._stored)

    def escalations(
        self,
        to: str = "admin",
        *,
        unknown: Collection[str] = ("*",),
        now: datetime | None = None,
        paths: str | PathLike[str] | None = None,
    ) -> list[EscalationPath]:
        """Return the shortest paths by which users and roles become administrators, or a given user or role.

        A path has one or more steps of a catalogue of patterns, such as `iam:PassRole` with `lambda:CreateFunction` and
        `lambda:InvokeFunction`. Each permission of a step is decided over all layers.

        Parameters
        ----------
        to
            "admin", or the ARN of a user or role. An administrator can write the policies of its account's users, and do what no
            policy names.
        unknown
            the unknown keys, as in `decide_many`. By default all: a path that needs a value of one has outcome DEPENDS.
        now
            the time of the decisions; None: the clock, if `unknown` does not contain it.
        paths
            a catalogue to use in place of that of fastiam (docs/howto/find-escalation-paths.md).

        Returns
        -------
        list[EscalationPath]
            One `EscalationPath` for each pair of a principal and a target, in the order of the directory: a shortest sure
            path if there is one, else a shortest possible one. Roots have none, and administrators only if a policy of theirs
            or a condition keeps them from something: `administrators` lists them. Patterns that create a principal or change
            a policy of the principal end in `anything in the account`.

        Raises
        ------
        RequestValueError
            `to` is not a user or role of the directory.
        SourceError
            `paths` is not a catalogue.

        Notes
        -----
        One batch for each role or user and permission, over the principals that may have the permission: 2,000 roles take 6 to
        20 s. A group that users can join takes the same again for these users.
        """
        from fastiam.analysis.escalation.catalog import read_patterns
        from fastiam.analysis.escalation.paths import find_escalations

        return find_escalations(self, to, unknown, now, None if paths is None else read_patterns(paths))

    def administrators(
        self, to: str = "admin", *, unknown: Collection[str] = ("*",), now: datetime | None = None
    ) -> list[EscalationPath]:
        """Return the administrators among users and roles, each with what makes it one.

        Parameters
        ----------
        to
            "admin" for those of all accounts, or the ARN of a user or role for those of its account.
        unknown, now
            as in `escalations`.

        Returns
        -------
        list[EscalationPath]
            An `EscalationPath` for each, whose target is the principal itself and which has no patterns. Its steps are the
            two requests that only an administrator can make, with the statements that allow them. The outcome is DEPENDS for
            an administrator under a condition, which `escalations` has paths of.

        Raises
        ------
        RequestValueError
            `to` is not a user or role of the directory.
        """
        from fastiam.analysis.escalation.paths import find_administrators

        return find_administrators(self, to, unknown, now)

    def replay(self, log: Iterable[Calls], *, context: Context | None = None, threads: int = 1) -> Replay:
        """Decide the calls of a log, and compare the decisions with the logged outcomes (docs/replay.md).

        Parameters
        ----------
        log
            batches of calls, as `fastiam.read_cloudtrail` gives them.
        context
            values of keys for all calls, as far as the log does not contain the key; None is absent.
        threads
            for decisions; the GIL is free meanwhile.

        Returns
        -------
        Replay
            the calls in groups by principal, action, decision and reason, the disagreements first.

        Raises
        ------
        SourceError
            a file of the log is broken.

        Notes
        -----
        Values that are not in the log are unknown (spec 6.11), so a definite decision is right for each possible value.
        """
        from fastiam.analysis.access.replay import replay

        return replay(self, log, context=context, threads=threads)

    def unused(self, log: Iterable[Calls], *, since: datetime | None, data_events: Collection[str] = ()) -> list[Unused]:
        """Return the granted actions of each user and role that no call in a log used, most unused actions first.

        Parameters
        ----------
        log
            batches of calls, as `fastiam.read_cloudtrail` gives them.
        since
            calls before this time do not count; None counts all calls of the log.
        data_events
            the prefixes of the services whose data events the trail writes for all resources, such as `s3`. Without them an
            action of data events is in group `not_visible`.

        Returns
        -------
        list[Unused]
            One `Unused` for each user and role: its granted actions in the groups `unused`, `not_visible`, `not_recorded`,
            `used`.

        Raises
        ------
        SourceError
            a file of the log is broken.
        MissingPackageError
            the packages of the extra `logs` are missing.

        Notes
        -----
        The grants are those of `what_can` without a resource, expanded to the actions of AWS in the installed data. An action
        counts as used on any resource.
        """
        from fastiam.analysis.access.unused_access import unused

        return unused(self, log, since=since, data_events_of=data_events)

    @overload
    def what_can(self, principal: str | Session, resource: None = None, context: Context | None = None) -> list[Grant]: ...

    @overload
    def what_can(
        self,
        principal: str | Session,
        resource: str,
        context: Context | None = None,
        *,
        actions: Iterable[str] | None = None,
        unknown: Collection[str] = (),
        resource_account: str | None = None,
        now: datetime | None = None,
    ) -> list[AllowedAction]: ...

    def what_can(
        self,
        principal: str | Session,
        resource: str | None = None,
        context: Context | None = None,
        *,
        actions: Iterable[str] | None = None,
        unknown: Collection[str] = (),
        resource_account: str | None = None,
        now: datetime | None = None,
    ) -> list[Grant] | list[AllowedAction]:
        """What a principal can do: on one resource, or over all of them.

        Parameters
        ----------
        resource
            an ARN, or `*` for actions without one. Each action is decided by itself. None: the grants of the principal as
            patterns, cut by the layers that limit them.
        actions
            the actions to decide, with a resource; by default those of its service that policies write, and for each pattern in a
            policy one name that nothing else matches.
        context
            the condition keys that are given; None for one says that it is absent, unless it is derived (K1).
        unknown, resource_account, now
            with a resource, as in `who_can`. Grants say their conditions themselves.

        Returns
        -------
        list[Grant] | list[AllowedAction]
            With a resource, `AllowedAction` records: an action that is not among them is denied. Without a resource, `Grant`
            records: each allowed request is in one of them, and a request in one of them is allowed if its conditions hold,
            its limits allow the request and its Denies do not apply. Endpoint policies and rules that no policy changes (6.3,
            7.4) are not included.

        Raises
        ------
        RequestValueError
            principal, resource, an action or a value cannot be read; `actions`, `unknown`, `resource_account` or `now` without a
            resource.
        """
        from fastiam.analysis.access.what_can import actions_on, grants_of
        from fastiam.analysis.access.who_can_request import ANY_ACTION, read_who_can_request

        if resource is None:
            _need_resource(actions=actions, unknown=unknown or None, resource_account=resource_account, now=now)
            return grants_of(self, principal, context)
        request = read_who_can_request(self, ANY_ACTION, resource, context, unknown, resource_account, now)
        return actions_on(self, principal, request, actions)


def _need_resource(**given: object) -> None:
    """Refuse arguments of `what_can` that say something about one resource, where there is none."""
    for name, value in given.items():
        if value is not None:
            raise RequestValueError(f"`{name}` is about one resource", column=name, hint="pass `resource`, or leave it out")


def _engine_of(cls: type[Engine], data: bytes) -> Engine:
    from fastiam.engine.engine_file.engines import engine_of  # PERF: only pickles need it

    return engine_of(cls, data)
