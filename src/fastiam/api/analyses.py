"""The analyses of an engine, and its decisions for frames: each calls a function of `analysis` or `frames`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from fastiam.errors import RequestValueError
from fastiam.model.protocols import AnalysisEngine
from fastiam.model.request import Context
from fastiam.model.session import Session

if TYPE_CHECKING:
    import duckdb
    import polars as pl

    from fastiam.analysis.access.grants import Grant
    from fastiam.analysis.access.replay import Replay
    from fastiam.analysis.access.unused_access import Unused
    from fastiam.analysis.access.what_can import AllowedAction
    from fastiam.analysis.access.who_can import PrincipalColumn, WhoCanResult
    from fastiam.analysis.escalation.paths import EscalationPath
    from fastiam.analysis.filter import Filter
    from fastiam.engine.summary import Summary
    from fastiam.frames.arguments import ContextSpec, FrameOptions, Lit
    from fastiam.frames.table import Table
    from fastiam.model.logged_calls import Calls

    Frame = TypeVar("Frame", pl.DataFrame, pl.LazyFrame, duckdb.DuckDBPyRelation)
    Base = AnalysisEngine
else:
    Base = object


class EngineAnalyses(Base):
    """The methods of `Engine` that analyse it. Each imports on first use what it calls, so that a program that only decides
    starts faster (PERF)."""

    _stored: PrincipalColumn | None = None  # the column of `who_can`

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
