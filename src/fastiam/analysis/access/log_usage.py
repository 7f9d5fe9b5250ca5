"""What the principals of a log used: the actions and resources of their allowed calls.

A call counts if the log does not show that policies denied it. A call that failed for another reason after policies were
evaluated was allowed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from fastiam.directory.account_records import Tables
from fastiam.model.arguments import check_items, check_type
from fastiam.model.logged_calls import Calls, LoggedContext, LoggedOutcome

_LOG_HINT = "pass the result of `fastiam.read_cloudtrail`"


@dataclass(slots=True)
class PrincipalUsage:
    """The allowed calls of one user or role.

    Attributes
    ----------
    resources
        for each action in lower case the resources of its calls; None is one that the log does not contain.
    calls
        their number.
    last
        the time of the last one.
    former_calls
        the number of allowed calls of deleted users or roles with this ARN, by their unique ids. Nothing else counts them.
    """

    resources: dict[str, set[str | None]] = field(default_factory=dict)
    calls: int = 0
    last: str = ""
    former_calls: int = 0


@dataclass(slots=True)
class Usage:
    """The allowed calls of a log by principal, and the times of its first and last call of any outcome."""

    principals: dict[str, PrincipalUsage] = field(default_factory=dict)
    first: str = ""
    last: str = ""


def unique_ids(tables: Tables) -> dict[str, str]:
    """Return the unique ids of users and roles, as far as they are known."""
    return {arn: each.unique_id for arn, each in tables.entities.items() if each.unique_id and not each.made_id}


def usage_of(log: Iterable[Calls], *, since: datetime | None = None, ids: Mapping[str, str] = {}) -> Usage:
    """Return what the principals of a log used at a time or later. `ids` are the unique ids of users and roles that exist.

    Raises
    ------
    SourceError
        a file of the log is broken.
    """
    found = Usage()
    for calls in _batches(log):
        if len(calls):
            found.first = min(found.first or min(calls.times), min(calls.times))
            found.last = max(found.last, max(calls.times))
        _add(found, calls, _is_used(calls, since), are_former(calls, ids))
    return found


def _add(found: Usage, calls: Calls, used: npt.NDArray[np.bool_], former: npt.NDArray[np.bool_]) -> None:
    for call in np.flatnonzero(used & former).tolist():
        principal = calls.callers[calls.caller[call]].shown
        found.principals.setdefault(principal, PrincipalUsage()).former_calls += 1
    used = used & ~former
    for call in np.flatnonzero(used).tolist():
        principal = found.principals.setdefault(calls.callers[calls.caller[call]].shown, PrincipalUsage())
        principal.calls += 1
        principal.last = max(principal.last, calls.times[call])
    for row in np.flatnonzero(used[calls.row_call]).tolist():
        principal = found.principals[calls.callers[calls.caller[calls.row_call[row]]].shown]
        action = calls.actions[calls.row_action[row]].lower()
        principal.resources.setdefault(action, set()).add(calls.resources[row])


def used_calls(
    log: Iterable[Calls],
    principal: str,
    *,
    since: datetime | None = None,
    ids: Mapping[str, str] = {},
) -> Iterator[Calls]:
    """Yield the allowed calls of one user or role."""
    for calls in _batches(log):
        codes = [code for code, caller in enumerate(calls.callers) if caller.shown == principal]
        used = _is_used(calls, since) & np.isin(calls.caller, codes) & ~are_former(calls, ids)
        if used.any():
            yield _selected(calls, used)


def _batches(log: Iterable[Calls]) -> Iterator[Calls]:
    for batch in check_items(log, "log", "batches of calls", _LOG_HINT):
        check_type(batch, Calls, "log", "batches of calls", _LOG_HINT)
        yield batch


def are_former(calls: Calls, ids: Mapping[str, str]) -> npt.NDArray[np.bool_]:
    """Return a mask of the calls by users and roles with another unique id than the one that has their ARN."""
    codes = [
        i for i, each in enumerate(calls.callers) if each.unique_id and ids.get(each.shown, each.unique_id) != each.unique_id
    ]
    return np.isin(calls.caller, codes)


def _is_used(calls: Calls, since: datetime | None) -> npt.NDArray[np.bool_]:
    """Return a mask of the calls that were allowed, at `since` or later."""
    used = np.asarray(calls.logged == LoggedOutcome.ALLOWED)
    if since is not None:
        start = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # as CloudTrail writes times
        used &= np.array([time >= start for time in calls.times], bool)
    return used


def _selected(calls: Calls, kept: npt.NDArray[np.bool_]) -> Calls:
    numbers = np.flatnonzero(kept).tolist()
    rows = np.flatnonzero(kept[calls.row_call])
    number_of = np.cumsum(kept) - 1
    return replace(
        calls,
        source=calls.source[kept],
        numbers=[calls.numbers[call] for call in numbers],
        times=[calls.times[call] for call in numbers],
        ids=[calls.ids[call] for call in numbers],
        logged=calls.logged[kept],
        errors=[calls.errors[call] for call in numbers],
        caller=calls.caller[kept],
        facts=[LoggedContext(fact.codes[kept], fact.table) for fact in calls.facts],
        row_call=number_of[calls.row_call[rows]],
        row_action=calls.row_action[rows],
        resources=[calls.resources[row] for row in rows.tolist()],
        owners=[calls.owners[row] for row in rows.tolist()],
    )
