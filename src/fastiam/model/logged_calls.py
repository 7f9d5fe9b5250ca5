"""The calls of a log as columns, with the context that the log contains.

A call is one record of a log. It consists of a request for each resource and action that it needs, a *row*. A call is allowed if
each of its rows is allowed (R12). For a context key a log contains the value, the fact that it is absent, or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum

import numpy as np
import numpy.typing as npt

from fastiam.model.session import Session

Codes = npt.NDArray[np.int32]
PASS_ROLE = "iam:PassRole"  # the permission to pass a role to a service, in addition to the action of the call


class LoggedOutcome(IntEnum):
    """The outcome of a call in a log. UNKNOWN: the call failed before policies were evaluated, for example by throttling."""

    ALLOWED = 0
    DENIED = 1
    UNKNOWN = 2


class Open(Enum):
    """Marks a key as unknown for a call, although other facts contain a value for it."""

    OPEN = "open"


@dataclass(frozen=True, eq=False, slots=True)
class LoggedPrincipal:
    """The principal of a call.

    Attributes
    ----------
    shown
        the ARN of the user or role, or the name of the service. Reports combine the sessions of a role.
    principal
        the principal of the requests; None if the log does not contain it.
    may_have_policies
        the session may have session policies, which are not in the log.
    has_unknown_kind
        the credentials may come from GetSessionToken, which limits them (7.4), or from a sign-in.
    may_have_tags
        the session may have tags that `principal` does not have.
    unique_id
        the unique id of the user or role, "" if the log does not contain it. A deleted one had another.
    """

    shown: str
    principal: str | Session | None
    may_have_policies: bool = False
    has_unknown_kind: bool = False
    may_have_tags: bool = False
    unique_id: str = ""


@dataclass(frozen=True, slots=True)
class LoggedContext:
    """The context of groups of calls: `table[codes[call]]` maps a key to its value, or to None if it is absent.

    A key that is missing in an entry is unknown, unless an earlier `LoggedContext` contains it. A key with the value `Open.OPEN`
    is unknown in any case.
    """

    codes: Codes
    table: Sequence[Mapping[str, str | Open | None]]


@dataclass(frozen=True, slots=True)
class Calls:
    """Consecutive calls.

    Attributes
    ----------
    sources, source
        the files, and the code of the file of each call.
    numbers, times, ids
        for each call, the number of its record in the file from 1, its time and its id.
    logged
        the `LoggedOutcome` of each call, uint8.
    errors
        the error code of each call, or None.
    callers, caller
        the principals, and the code of the principal of each call.
    facts
        the context. If two entries have a key, the later one is used.
    row_call
        the call of each row, ascending.
    actions, row_action
        the actions, and the code of the action of each row.
    resources
        the resource of each row; None if the log does not contain it.
    owners
        the account that owns the resource of each row; None if the log does not contain it.
    """

    sources: Sequence[str]
    source: Codes
    numbers: Sequence[int]
    times: Sequence[str]
    ids: Sequence[str | None]
    logged: npt.NDArray[np.uint8]
    errors: Sequence[str | None]
    callers: Sequence[LoggedPrincipal]
    caller: Codes
    facts: Sequence[LoggedContext]
    row_call: npt.NDArray[np.int64]
    actions: Sequence[str]
    row_action: Codes
    resources: Sequence[str | None]
    owners: Sequence[str | None]

    def __len__(self) -> int:
        return len(self.caller)
