"""`who_can`: everybody who can do something to a resource, with the conditions that are still to be met.

One batch decides for all users, roles and roots with a record; what the policies of the resource let in beside them comes from
`external_principals`. Law: it says of everybody what deciding for them alone says.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from fastiam.analysis.external_principals import ExternalPrincipal, external_principals, named_principals
from fastiam.analysis.representatives import UNMENTIONED
from fastiam.engine.decisions import Decisions, RowDecision
from fastiam.errors import PolicyError, RequestValueError
from fastiam.kernel.columns.read import TextColumn, for_all_rows, read_column
from fastiam.model.decision import Decision, Layer, Outcome, StatementRef
from fastiam.model.explanation import OpenStatement
from fastiam.model.key_registry import fold
from fastiam.model.policy import Policy
from fastiam.model.profile import Policies, PrincipalKind, ResourceProfile
from fastiam.model.request import (
    Context,
    Request,
    check_action,
    check_context,
    check_resource,
    epoch_seconds,
    is_declared,
    read_context,
    read_unknown,
)
from fastiam.model.result import Deferred
from fastiam.runtime.forking import cached_property

if TYPE_CHECKING:
    from fastiam.engine.compiled_engine import CompiledEngine
    from fastiam.model.result import Json

_CLOCK = ("aws:currenttime", "aws:epochtime")
_USER_ID = "aws:userid"
_ROLES = (PrincipalKind.ROLE, PrincipalKind.SLR)
_CAN = (Outcome.ALLOW, Outcome.DEPENDS)


@dataclass(frozen=True, slots=True)
class PrincipalAccess(Deferred):
    """Somebody who can, for certain or if conditions are met.

    Attributes
    ----------
    principal : an ARN, a service name, or `*` for an unsigned caller. `arn:aws:iam::ID:root` with `kind` None stands for any
        user or role of an account of which the directory has none, `arn:aws:iam::*:root` with `kind` None for those of all
        accounts without a record, `*.amazonaws.com` for any service.
    kind : None for a whole account.
    outcome : ALLOW, or DEPENDS.
    layer, statement : what the decision rests on (D50, D51); for DEPENDS what it is if the conditions are not met.
    depends_on : the keys that matter, folded (D74).
    is_outside : the directory has no record of it; its own account is taken to allow everything.
    assumed_owner : the owner of the resource is unknown and taken to be the account of this principal (D23).
    conditions : for DEPENDS, the statements that the answer depends on: Allows that have to apply, Denies that must not. Found
        when first read, by the reference, in a fraction of a millisecond.
    """

    principal: str
    kind: PrincipalKind | None
    outcome: Outcome
    layer: Layer | None
    statement: StatementRef | None
    depends_on: tuple[str, ...] = ()
    is_outside: bool = False
    assumed_owner: bool = False
    conditions: tuple[OpenStatement, ...] = field(default=(), compare=False, repr=False)

    def _resolve(self, source: Callable[[], tuple[OpenStatement, ...]]) -> dict[str, object]:
        return {"conditions": source()}


class WhoCanResult(Sequence[PrincipalAccess]):
    """Everybody who can, those with a record first, in the order of the directory.

    Attributes
    ----------
    principals : their names, as in `PrincipalAccess`.
    outcome : `Outcome` numbers, uint8, shape (n,).
    """

    __slots__ = ("_make", "outcome", "principals")

    def __init__(self, names: Sequence[str], make: Callable[[int], PrincipalAccess], outcomes: npt.NDArray[np.uint8]) -> None:
        """For the engine: `make` gives the row of a place."""
        self.principals, self._make, self.outcome = names, make, outcomes

    def __len__(self) -> int:
        return len(self.principals)

    @overload
    def __getitem__(self, row: int) -> PrincipalAccess: ...
    @overload
    def __getitem__(self, row: slice) -> list[PrincipalAccess]: ...
    def __getitem__(self, row: int | slice) -> PrincipalAccess | list[PrincipalAccess]:
        at = range(len(self))[row]
        return [self._make(i) for i in at] if isinstance(at, range) else self._make(at)

    def __iter__(self) -> Iterator[PrincipalAccess]:
        return map(self._make, range(len(self)))

    def to_dict(self) -> dict[str, Json]:
        """The JSON form: the callers, each as `PrincipalAccess.to_dict` gives it."""
        return {"callers": [caller.to_dict() for caller in self]}

    def __reduce__(self) -> tuple[Any, ...]:
        callers = list(self)
        return WhoCanResult, (list(self.principals), callers.__getitem__, self.outcome)

    def __repr__(self) -> str:
        n = int(np.count_nonzero(self.outcome == Outcome.ALLOW))
        return f"<WhoCanResult: {n} can, {len(self) - n} if conditions are met>"


class PrincipalColumn:
    """Everybody of whom a snapshot has a record, as a column that is read once."""

    def __init__(self, engine: CompiledEngine) -> None:
        self._snapshot = engine._snapshot_or_fail()
        found = list(self._snapshot.names())
        self.names = [name for name, _ in found]
        self.kinds = [kind for _, kind in found]
        self.column: TextColumn | None = read_column(self.names, "principals", kind="text") if found else None
        # accounts of which users or roles are known
        self.accounts_with_principals = frozenset(name.split(":", 5)[4] for name, kind in found if kind is not PrincipalKind.ROOT)

    @cached_property
    def reads_user_id(self) -> bool:
        """Whether some policy reads more of `aws:userid` than the unique id of a role."""
        return any(map(_reads_user_id, self._snapshot.policies()))


def _reads_user_id(policy: Policy) -> bool:
    for statement in policy.statements:
        for entry in statement.conditions:
            if fold(entry.key) == _USER_ID or any(_USER_ID in fold(value) for value in entry.values):
                return True
        if any(_USER_ID in fold(pattern) for pattern in statement.resources or ()):
            return True
    return False


@dataclass(frozen=True)
class WhoCanRequest:
    """A question to an engine, with what is given, and what is not."""

    engine: CompiledEngine
    action: str
    resource: str
    context: Mapping[str, Any]
    unknown: frozenset[str]
    resource_account: str | None
    now: datetime

    @property
    def columns(self) -> dict[str, TextColumn]:
        """The context for batches."""
        return {name: for_all_rows(value, name) for name, value in self.context.items()}

    def decide(self, principal: str) -> Decision | None:
        """What the engine says, None where such a request cannot be."""
        try:
            return self.engine.decide(principal, self.action, self.resource, self.context, **self._given())
        except (RequestValueError, PolicyError):
            return None

    def decide_all(self, principals: TextColumn) -> Decisions:
        """What it says of a column."""
        given = {"resource_accounts" if name == "resource_account" else name: value for name, value in self._given().items()}
        return self.engine.decide_many(
            principals, self.action, self.resource, self.columns, reasons=True, on_error="deny", **given
        )

    def conditions(self, principal: Any, action: str | None = None) -> tuple[OpenStatement, ...]:
        """What a DEPENDS turns on."""
        request = self.request(action)
        return self.engine._explained(principal, self.resource, request, self.resource_account).open_statements

    def request(self, action: str | None = None) -> Request:
        """The request as the reference takes it."""
        return self.engine.read_request(action or self.action, self.context, unknown=self.unknown, now=self.now)

    def _given(self) -> dict[str, Any]:
        return {"unknown": self.unknown, "resource_account": self.resource_account, "now": self.now}


def read_who_can_request(
    engine: CompiledEngine,
    action: str,
    resource: str,
    context: Context | None,
    unknown: Collection[str],
    resource_account: str | None,
    now: datetime | None,
) -> WhoCanRequest:
    """A question, checked. Defaults of the engine count as given, but for keys that are declared unknown by name (D71).

    Without `now` the time is as unknown as other keys.
    """
    given: dict[str, Any] = dict(check_context(context))
    read_context(given)
    told = {fold(name) for name in given}
    declared = read_unknown(unknown, given)
    for name, value in engine._defaults.items():
        if name not in told and name not in declared:
            given[value.name] = value.values if value.multi else value.values[0]
            told.add(name)
    seconds = epoch_seconds(now)
    instant = datetime.fromtimestamp(seconds, UTC)
    if now is not None and told.isdisjoint(_CLOCK) and is_declared(declared, _CLOCK[0]):
        given["aws:CurrentTime"] = instant
    return WhoCanRequest(engine, check_action(action), check_resource(resource), given, declared, resource_account, instant)


def who_can(question: WhoCanRequest, stored: PrincipalColumn) -> WhoCanResult:
    """Those of `stored` who can, and then those from outside."""
    engine, snapshot = question.engine, question.engine._snapshot_or_fail()
    nobody = snapshot.resource(
        question.resource,
        question.action,
        snapshot.principal("*"),
        resource_account=question.resource_account,
        unknown_owner=engine._options["unknown_owner"],
    )
    policies = None if question.resource == "*" else snapshot.facts(question.resource).policies
    others = [] if policies is None else list(_others(question, stored, policies, nobody))
    if stored.column is None:
        return WhoCanResult([c.principal for c in others], others.__getitem__, np.array([c.outcome for c in others], np.uint8))
    decisions = question.decide_all(stored.column)
    found = decisions.outcome.copy()
    by_session = _by_session(question, stored, decisions, _rows_that_can(found))
    for row, (_, told) in by_session.items():
        found[row] = told.outcome
    rows = _rows_that_can(found)
    names = [stored.names[row] for row in rows]

    def make(at: int) -> PrincipalAccess:
        if at >= len(rows):
            return others[at - len(rows)]
        row = rows[at]
        asker, told = by_session.get(row) or (stored.names[row], decisions[row])
        return _caller(question, asker, stored.kinds[row], told, name=stored.names[row])

    outcomes = np.concatenate([found[rows], np.array([caller.outcome for caller in others], np.uint8)])
    return WhoCanResult(names + [caller.principal for caller in others], make, outcomes)


def _rows_that_can(outcomes: npt.NDArray[np.uint8]) -> list[int]:
    found: list[int] = np.flatnonzero((outcomes == Outcome.ALLOW) | (outcomes == Outcome.DEPENDS)).tolist()
    return found


def _by_session(
    question: WhoCanRequest, stored: PrincipalColumn, decisions: Decisions, rows: Sequence[int]
) -> dict[int, tuple[str, RowDecision]]:
    """Roles whose answer turns on `aws:userid`, decided for a session of a name that no policy writes.

    A statement that names a role is stored with the role's unique id (N30), which reads that key (K1), though the id is known and
    only the session's name is not. Where nothing else reads the key, any session stands for the role; else one that can.
    """
    asked: dict[int, str] = {}
    if all(_USER_ID not in names for names in decisions._depends_on_sets):
        return {}
    for row in rows:
        if stored.kinds[row] in _ROLES and _USER_ID in decisions[row].depends_on:
            _, partition, _, _, account, rest = stored.names[row].split(":", 5)
            asked[row] = f"arn:{partition}:sts::{account}:assumed-role/{rest.rpartition('/')[2]}/{UNMENTIONED}"
    if not asked:
        return {}
    told = question.decide_all(read_column(list(asked.values()), "principals", kind="text"))
    found: dict[int, tuple[str, RowDecision]] = {}
    for (row, name), decision in zip(asked.items(), told, strict=True):
        if _USER_ID not in decision.depends_on and (decision.outcome in _CAN or not stored.reads_user_id):
            found[row] = name, decision
    return found


def _caller(
    question: WhoCanRequest,
    asker: str,
    kind: PrincipalKind,
    decision: Decision | RowDecision,
    *,
    name: str,
    is_outside: bool = False,
) -> PrincipalAccess:
    opened = partial(question.conditions, asker) if decision.outcome is Outcome.DEPENDS else tuple
    where = decision.layer, decision.statement, decision.depends_on
    return PrincipalAccess.deferring(opened, name, kind, decision.outcome, *where, is_outside, decision.assumed_owner)


def _others(
    question: WhoCanRequest, stored: PrincipalColumn, policies: Policies, nobody: ResourceProfile
) -> Iterator[PrincipalAccess]:
    """Those without a record who can."""
    snapshot = question.engine._snapshot_or_fail()
    for name in named_principals(snapshot, policies, question.action):
        decision = question.decide(name)
        if decision is not None and decision.outcome in _CAN:
            profile = snapshot.principal(name, question.action)
            yield _caller(question, name, profile.kind, decision, name=name, is_outside=profile.account is None)
    for external in external_principals(
        snapshot, policies, question.action, nobody.partition or "aws", stored.accounts_with_principals
    ):
        found = _external_access(question, external, nobody)
        if found is not None:
            yield found


def _external_access(question: WhoCanRequest, external: ExternalPrincipal, nobody: ResourceProfile) -> PrincipalAccess | None:
    """What the side of the resource says of an outsider. A resource that nobody is known to own is not theirs."""
    from fastiam.spec import decide

    engine, profile = question.engine, external.profile
    request = question.request()
    try:
        who, what, endpoint = engine._profiles(profile, question.action, question.resource, request, question.resource_account)
    except RequestValueError:
        return None
    if nobody.account is None:
        what = replace(what, account=None, assumed_owner=False, rcps=None, rcp_note=nobody.rcp_note, keys=nobody.keys)
    sources = engine._snapshot_or_fail().account_facts
    told = decide(who, what, request, endpoint=endpoint, settings=engine._options["settings"], sources=sources)
    found = told.decision
    if found.outcome not in _CAN:
        return None
    where = found.layer, found.statement, found.depends_on
    return PrincipalAccess(external.name, external.kind, found.outcome, *where, True, found.assumed_owner, told.open_statements)
