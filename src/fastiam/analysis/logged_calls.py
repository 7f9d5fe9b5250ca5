"""Calls that have happened, as columns: what a log tells of them, and what it leaves open.

A call is one record of a log. It asks one question of the policies for each resource and action that it needs, a *row*, and
was allowed iff each of them is (R12). Of a context key a log tells the value, or that it is absent, or nothing.
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
    """What a log says became of a call. UNKNOWN: it failed before anybody can have asked a policy, such as by throttling."""

    ALLOWED = 0
    DENIED = 1
    UNKNOWN = 2


class Open(Enum):
    """Marks a key as unknown for a call, although other facts contain a value for it."""

    OPEN = "open"


@dataclass(frozen=True, eq=False, slots=True)
class LoggedPrincipal:
    """Who made a call.

    Attributes
    ----------
    shown : the ARN of the user or role, or the name of the service: sessions of one role are one caller in reports.
    principal : whom the engine is asked about; None where the log does not tell it.
    open_policies : the session may have session policies, of which the log says nothing.
    open_kind : whether the credentials come from GetSessionToken, which limits them (7.4), or from a sign-in, is not told.
    open_tags : the session may have tags that `principal` does not have.
    """

    shown: str
    principal: str | Session | None
    may_have_policies: bool = False
    has_unknown_kind: bool = False
    may_have_tags: bool = False


@dataclass(frozen=True, slots=True)
class LoggedContext:
    """What is known of groups of calls: `table[codes[call]]` maps a key to its value, or to None where it is absent.

    A key that is missing in an entry is unknown, unless earlier facts contain it. A key with the value `Open.OPEN` is unknown
    in any case.
    """

    codes: Codes
    table: Sequence[Mapping[str, str | Open | None]]


@dataclass(frozen=True, slots=True)
class Calls:
    """Consecutive calls.

    Attributes
    ----------
    sources, source : the files, and the code of each call's.
    numbers, times, ids : of each call: the record's number in the file from 1, its instant and its id.
    logged : `LoggedOutcome` of each call, uint8.
    errors : the error code of each call, or None.
    callers, caller : the callers that occur, and the code of each call's.
    facts : what is known of context keys; where two know a key, the later one counts.
    row_call : the call of each row, ascending.
    actions, row_action : the actions that occur, and the code of each row's.
    resources : the resource of each row; None where the log does not tell it.
    owners : the account that owns the resource of each row, where it is told.
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
