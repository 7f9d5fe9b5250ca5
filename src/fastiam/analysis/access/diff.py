"""`fastiam.diff`: the decisions that differ between two engines, and the statements that cause the changes.

Both engines decide the same columns of requests. Without requests, `affected_requests` builds requests from the changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fastiam.analysis.access.compare import RANK, RequestRows, different_settings, grouped
from fastiam.analysis.access.decision_changes import CHANGES, GAINING, Change, DiffGroup
from fastiam.engine.decisions import NO_STATEMENT, REASONS, Decisions, DictionaryColumn
from fastiam.errors import RequestValueError
from fastiam.kernel.columns.export import stream_of, table_array
from fastiam.kernel.columns.read import read_column
from fastiam.model.arguments import check_type
from fastiam.model.decision import Outcome
from fastiam.model.key_registry import spelled
from fastiam.model.protocols import AnalysisEngine
from fastiam.model.request import check_context, check_key, epoch_seconds, read_unknown
from fastiam.model.session import Session
from fastiam.runtime.forking import cached_property

if TYPE_CHECKING:
    from fastiam.model.logged_calls import Calls
    from fastiam.model.result import Json

Side = Literal["old", "new"]
_NAMES = {int(outcome): outcome.name for outcome in Outcome}
_COLUMNS = ("principals", "actions", "resources")
_REQUEST = ("principal", "action", "resource")


class Diff:
    """The decision changes between two engines.

    Attributes
    ----------
    n_rows
        number of compared rows.
    rows
        numbers of the changed rows, ascending, int64, shape (k,).
    old_outcome, new_outcome
        their outcomes, uint8, shape (k,).
    groups
        the flipping statements, gained access first; `group` has the index of the group of each changed row, shape (k,).
    undecidable
        number of rows that depend on unknown keys in both engines, so that a change cannot be determined.
    n_errors
        number of rows that cannot be decided, with `on_error="deny"`.
    unknown_principals
        number of rows whose principal is in neither directory, so that both engines deny them.
    unseen
        changes that can give access and that no row can show, if no requests are given.
    missing_keys
        keys that statements read and that no request has, with the number of rows in which a decision may depend on them.

    Notes
    -----
    An Arrow consumer reads it as a table with one row for each change: `row`, `principal`, `action`, `resource`, `change`,
    `old_outcome`, `new_outcome`, `layer`, `policy`, `sid`.
    """

    def __init__(
        self,
        n_rows: int,
        rows: npt.NDArray[np.int64],
        outcomes: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
        groups: tuple[DiffGroup, ...],
        group: npt.NDArray[np.int32],
        take: Callable[[str, Sequence[int]], list[str]],
        undecidable: int = 0,
        n_errors: int = 0,
        unseen: tuple[str, ...] = (),
        unknown_principals: int = 0,
        missing_keys: Mapping[str, int] | None = None,
    ) -> None:
        """Internal. `take` returns texts of a request column."""
        self.n_rows, self.rows, self.groups, self.group = n_rows, rows, groups, group
        self.old_outcome, self.new_outcome = outcomes
        self.undecidable, self.n_errors, self.unseen = undecidable, n_errors, unseen
        self.unknown_principals, self.missing_keys = unknown_principals, dict(missing_keys or {})
        self._take = take

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {change.value}" for change, count in self.counts.items())
        return f"<Diff: {self.n_rows:,} rows, {counts or 'no changes'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        texts = {name: self._take(name, self.rows.tolist()) for name in _REQUEST}
        arguments = self.n_rows, self.rows, (self.old_outcome, self.new_outcome), self.groups, self.group
        counts = self.undecidable, self.n_errors, self.unseen, self.unknown_principals, self.missing_keys
        return _unpickled, (texts, arguments, counts)

    @property
    def counts(self) -> dict[Change, int]:
        """Number of rows by kind of change."""
        found: dict[Change, int] = {}
        for group in self.groups:
            found[group.change] = found.get(group.change, 0) + group.rows
        return found

    @property
    def is_gained(self) -> bool:
        """Whether a request that was denied is allowed, or can be allowed."""
        return any(group.change in GAINING for group in self.groups)

    def request(self, row: int) -> tuple[str, str, str]:
        """Return principal, action and resource of a row by its number; after unpickling, of changed rows only."""
        return self.requests([row])[0]

    def requests(self, rows: Sequence[int]) -> list[tuple[str, str, str]]:
        """Return principal, action and resource of rows by their numbers; after unpickling, of changed rows only."""
        principals, actions, resources = (self._take(name, rows) for name in _REQUEST)
        return list(zip(principals, actions, resources, strict=True))

    @cached_property
    def change(self) -> DictionaryColumn:
        """The kind of change of each changed row."""
        codes = np.array([CHANGES.index(group.change) for group in self.groups], np.uint8)
        return DictionaryColumn("change", codes[self.group], CHANGES)

    def to_dict(self) -> dict[str, Json]:
        """Return the JSON form: the counts, and the groups with the request of their first rows."""
        counts: dict[str, Json] = {change.value: count for change, count in self.counts.items()}
        found: dict[str, Json] = {"n_rows": self.n_rows, "counts": counts, "undecidable": self.undecidable}
        found |= {"n_errors": self.n_errors, "unknown_principals": self.unknown_principals, "unseen": list(self.unseen)}
        return found | {"groups": [self.group_to_dict(group) for group in self.groups]}

    def group_to_dict(self, group: DiffGroup) -> dict[str, Json]:
        """Return the JSON form of a group, with the request of its first row."""
        return group.to_dict() | dict(zip(_REQUEST, self.request(group.example), strict=True))

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]:
        """Return a struct array with one row for each change. `requested_schema` is ignored, as the protocol allows."""
        columns: list[Any] = [("row", self.rows, None, None)]
        columns += [_coded(name, self._take(name, self.rows.tolist())).as_table_column() for name in _REQUEST]
        columns.append(self.change.as_table_column())
        for name, codes in (("old_outcome", self.old_outcome), ("new_outcome", self.new_outcome)):
            columns.append(_coded(name, [_NAMES[code] for code in codes.tolist()]).as_table_column())
        refs = [group.statement for group in self.groups]
        for name, texts in (
            ("layer", [group.layer and group.layer.value for group in self.groups]),
            ("policy", [ref and ref.policy for ref in refs]),
            ("sid", [ref and ref.label for ref in refs]),
        ):
            columns.append(_coded(name, [texts[code] for code in self.group.tolist()]).as_table_column())
        return table_array(columns, (), len(self))

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a table of one batch."""
        return stream_of(*self.__arrow_c_array__())


def _unpickled(texts: Mapping[str, Sequence[str]], arguments: tuple[Any, ...], counts: tuple[Any, ...]) -> Diff:
    places = {row: place for place, row in enumerate(arguments[1].tolist())}
    n_rows, rows, outcomes, groups, group = arguments
    return Diff(n_rows, rows, outcomes, groups, group, lambda name, wanted: [texts[name][places[row]] for row in wanted], *counts)


def _coded(name: str, texts: Sequence[str | None]) -> DictionaryColumn:
    places: dict[str, int] = {}
    codes = [NO_STATEMENT if text is None else places.setdefault(text, len(places)) for text in texts]
    return DictionaryColumn(name, np.array(codes, np.int32), list(places))


def diff(
    old: AnalysisEngine,
    new: AnalysisEngine,
    principals: object = None,
    actions: object = None,
    resources: object = None,
    context: Mapping[str, object] | None = None,
    *,
    unknown: Collection[str] = (),
    resource_accounts: object = None,
    sessions: Mapping[str, Session] | None = None,
    log: Iterable[Calls] | None = None,
    now: datetime | None = None,
    on_error: Literal["raise", "deny"] = "raise",
    threads: int = 1,
) -> Diff:
    """Return the requests that two engines decide differently, grouped by flipping statement.

    Parameters
    ----------
    principals, actions, resources, context, ... : columns of requests, as in `Engine.decide_many`. Without the first three, the
        requests that the changes between the two directories can affect (see Notes).
    log
        in place of requests, the calls of a log, such as `fastiam.read_cloudtrail` (docs/replay.md). `context` then has values
        of keys for all calls, as far as the log does not contain the key.
    unknown
        unknown keys of the given requests. Without requests, each key that is not in `context` is unknown.

    Returns
    -------
    Diff
        changes from a denial to ALLOW (gained) and back (lost), and to DEPENDS (may gain, may lose). A change of the kind of
        denial is not included.

    Raises
    ------
    ShapeError, RequestValueError
        as `Engine.decide_many`; only some of the three request columns are given.

    Notes
    -----
    Cost: two batches, and an explanation of one row for each distinct cause that the decisions do not determine. Without
    requests, the rows consist of the principals that a change affects (all principals for a changed resource), and of actions
    and resources that represent the patterns in changed statements: literals, names in policies that the pattern matches, and
    one name that no policy contains. Requests that resource policies grant to a changed principal are among them. Changes that
    these rows cannot show are in `unseen`, such as a policy that names a principal without a record, unless it is proved that it
    gives nothing.
    """
    hint = "compile a directory; of a `LiveEngine` pass `live.engine`"
    for name, engine in (("old", old), ("new", new)):
        check_type(engine, AnalysisEngine, name, "a `fastiam.Engine`", hint)
    given = principals, actions, resources
    if log is not None:
        from fastiam.analysis.access.log_diff import diff_log  # PERF: only logs need it

        if any(value is not None for value in (*given, unknown or None, resource_accounts, sessions, now)):
            raise RequestValueError(
                "a log contains the requests and the time", column="log", hint="pass `log` with `context` alone"
            )
        return diff_log(old, new, log, context=context, threads=threads)
    options = {"unknown": unknown, "accounts": resource_accounts, "sessions": sessions, "now": now, "threads": threads}
    if all(column is None for column in given):
        from fastiam.analysis.access.affected_requests import affected_requests  # PERF: given requests do not need it

        matrix = affected_requests(old.snapshot, new.snapshot)
        given_keys = {check_key(name): value for name, value in check_context(context).items()}
        if unknown is not None and len(read_unknown(unknown)):
            hint = "pass requests, or omit it: each key that is not in `context` is unknown"
            raise RequestValueError("`unknown` needs requests", column="unknown", hint=hint)
        options["unknown"] = ("*",)
        if now is not None:
            given_keys.setdefault("aws:CurrentTime", datetime.fromtimestamp(epoch_seconds(now), UTC))
        found = _compare(
            old, new, _rows((matrix.column(0), matrix.column(1), matrix.column(2)), given_keys, on_error="deny", **options)
        )
        settings = different_settings(old, new)
        found.unseen = (*matrix.unseen, *([f"other requests: the engines differ in {settings}"] if settings else []))
        return found
    for name, column in zip(_COLUMNS, given, strict=True):
        if column is None:
            raise RequestValueError("the column of the requests is missing", column=name, hint="pass all three columns, or none")
    return _compare(old, new, _rows(given, context, on_error=on_error, **options))


def _rows(
    columns: tuple[object, object, object],
    context: Mapping[str, object] | None,
    *,
    unknown: Any,
    accounts: object,
    sessions: Any,
    now: Any,
    on_error: Literal["raise", "deny"],
    threads: Any,
) -> RequestRows:
    """Read the columns of the requests once for both engines."""
    errors: dict[int, Exception] | None = None if on_error == "raise" else {}
    read = [read_column(column, name, kind="text", errors=errors) for column, name in zip(columns, _COLUMNS, strict=True)]
    given = {check_key(name): column for name, column in check_context(context).items()}
    keys = {name: read_column(column, name, kind="context", errors=errors) for name, column in given.items()}
    owners = None if accounts is None else read_column(accounts, "resource_accounts", kind="text", errors=errors)
    instant = datetime.fromtimestamp(epoch_seconds(now), UTC)
    principals, actions, resources = read
    unreadable = errors or {}
    named = {} if sessions is None else sessions
    return RequestRows(principals, actions, resources, keys, owners, named, unknown, instant, threads, on_error, unreadable)


def _compare(old: AnalysisEngine, new: AnalysisEngine, rows: RequestRows) -> Diff:
    before, after = rows.decide(old), rows.decide(new)
    ranks = RANK[before.outcome], RANK[after.outcome]
    broken = (before.outcome == Outcome.ERROR) | (after.outcome == Outcome.ERROR)
    broken[list(rows.unreadable)] = True
    flipped = np.flatnonzero((ranks[0] != ranks[1]) & ~broken)
    groups, group = grouped(old, new, rows, before, after, flipped)

    def take(name: str, wanted: Sequence[int]) -> list[str]:
        column = {"principal": rows.principals, "action": rows.actions, "resource": rows.resources}[name]
        return column.take(wanted)

    return Diff(
        len(before),
        flipped,
        (before.outcome[flipped], after.outcome[flipped]),
        groups,
        group,
        take,
        int(np.count_nonzero((ranks[0] == 1) & (ranks[1] == 1) & ~broken)),
        int(np.count_nonzero(broken)),
        unknown_principals=int(np.count_nonzero(_is_unknown(before) & _is_unknown(after))),
        missing_keys=Counter(_missing_keys(before)) | Counter(_missing_keys(after)),  # the larger of two counts
    )


def _missing_keys(decisions: Decisions) -> dict[str, int]:
    """The keys that no request has: absent ones that were read, and unknown ones on which rows depend."""
    found = Counter(decisions.missing_keys)
    codes = decisions.depends_on.codes
    for names, rows in zip(decisions.depends_on_sets, np.bincount(codes[codes >= 0], minlength=1).tolist(), strict=False):
        found.update(dict.fromkeys(map(spelled, names), rows))
    return +found


def _is_unknown(decisions: Decisions) -> npt.NDArray[np.bool_]:
    """Return a mask of the rows whose principal has no record."""
    return np.asarray(decisions.reason.codes == REASONS.index("unknown_principal"))
