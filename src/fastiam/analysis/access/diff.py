"""`fastiam.diff`: the decisions that differ between two engines, and the statements that cause the changes.

Both engines decide the same columns of requests. Without requests, `affected_requests` builds requests from the changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from fastiam.analysis.access.compare import RANK, RequestRows, different_settings, grouped
from fastiam.analysis.access.diff_result import Diff
from fastiam.engine.decisions import REASONS, Decisions
from fastiam.errors import RequestValueError
from fastiam.kernel.columns.read import read_column
from fastiam.model.arguments import check_type
from fastiam.model.decision import Outcome
from fastiam.model.key_registry import spelled
from fastiam.model.protocols import AnalysisEngine
from fastiam.model.request import check_context, check_key, epoch_seconds, read_unknown
from fastiam.model.session import Session

if TYPE_CHECKING:
    from fastiam.model.logged_calls import Calls

_COLUMNS = ("principals", "actions", "resources")


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
