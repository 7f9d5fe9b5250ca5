"""`who_can`: the principals that can perform an action on a resource, with the conditions that must hold.

One batch decides for all users, roles and roots of the directory. `external_principals` adds those that the policies of the
resource allow. INVARIANT: the outcome of each principal equals that of a single request by it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import numpy.typing as npt

from fastiam.analysis.access.external_principals import ExternalPrincipal, external_principals, named_principals
from fastiam.analysis.access.who_can_request import WhoCanRequest
from fastiam.analysis.representatives import UNMENTIONED
from fastiam.engine.decisions import Decisions, RowDecision
from fastiam.errors import RequestValueError
from fastiam.kernel.columns.read import TextColumn, read_column
from fastiam.model.decision import Decision, Layer, Outcome, StatementRef
from fastiam.model.explanation import ResidualStatement
from fastiam.model.key_registry import fold
from fastiam.model.policy import Policy
from fastiam.model.profile import ROLES, Policies, PrincipalKind, ResourceProfile
from fastiam.model.result import Deferred
from fastiam.runtime.forking import cached_property
from fastiam.spec import decide

if TYPE_CHECKING:
    from fastiam.model.result import Json
    from fastiam.resolve.snapshot import Snapshot

_USER_ID = "aws:userid"
_CAN = (Outcome.ALLOW, Outcome.DEPENDS)


@dataclass(frozen=True, slots=True)
class PrincipalAccess(Deferred):
    """A principal that can perform the action, or can perform it if conditions hold.

    Attributes
    ----------
    principal
        an ARN, a service name, or `*` for an unsigned request. With `kind` None, `arn:aws:iam::ID:root` is any user or role of an
        account without principals in the directory, and `arn:aws:iam::*:root` is any user or role of all such accounts.
        `*.amazonaws.com` is any service.
    kind
        None for a whole account.
    outcome
        ALLOW, or DEPENDS.
    layer, statement
        what determines the decision (D50, D51); for DEPENDS, what determines it if the conditions do not hold.
    depends_on
        the deciding keys, folded (D74).
    is_outside
        the directory does not contain the principal. Its own account is assumed to allow all requests.
    assumed_owner
        the owner of the resource is unknown and assumed to be the account of this principal (D23).
    conditions
        for DEPENDS, the statements on which the decision depends: Allows that must apply, Denies that must not apply. The
        specification evaluator finds them on first access, in a fraction of a millisecond.
    """

    principal: str
    kind: PrincipalKind | None
    outcome: Outcome
    layer: Layer | None
    statement: StatementRef | None
    depends_on: tuple[str, ...] = ()
    is_outside: bool = False
    assumed_owner: bool = False
    conditions: tuple[ResidualStatement, ...] = field(default=(), compare=False, repr=False)

    def _resolve(self, source: Callable[[], tuple[ResidualStatement, ...]]) -> dict[str, object]:
        return {"conditions": source()}


class WhoCanResult(Sequence[PrincipalAccess]):
    """The principals that can perform an action: those of the directory in its order, then external principals.

    Attributes
    ----------
    principals
        their names, as in `PrincipalAccess`.
    outcome
        `Outcome` numbers, uint8, shape (n,).
    """

    __slots__ = ("_make", "outcome", "principals")

    def __init__(self, names: Sequence[str], make: Callable[[int], PrincipalAccess], outcomes: npt.NDArray[np.uint8]) -> None:
        """Internal. `make` returns the item at a position."""
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
        """Return the JSON form: the items, each in the form of `PrincipalAccess.to_dict`."""
        return {"callers": [item.to_dict() for item in self]}

    def __reduce__(self) -> tuple[Any, ...]:
        items = list(self)
        return WhoCanResult, (list(self.principals), items.__getitem__, self.outcome)

    def __repr__(self) -> str:
        n = int(np.count_nonzero(self.outcome == Outcome.ALLOW))
        return f"<WhoCanResult: {n} can, {len(self) - n} if conditions hold>"


class PrincipalColumn:
    """All users, roles and roots of a directory as a column that is read once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        found = list(self._snapshot.names())
        self.names = [name for name, _ in found]
        self.kinds = [kind for _, kind in found]
        self.column: TextColumn | None = read_column(self.names, "principals", kind="text") if found else None
        # accounts with a user or role in the directory
        self.accounts = frozenset(name.split(":", 5)[4] for name, kind in found if kind is not PrincipalKind.ROOT)

    @cached_property
    def reads_user_id(self) -> bool:
        """Whether a policy reads more of `aws:userid` than the unique id of a role."""
        return any(map(_reads_user_id, self._snapshot.policies()))


def _reads_user_id(policy: Policy) -> bool:
    for statement in policy.statements:
        for entry in statement.conditions:
            if fold(entry.key) == _USER_ID or any(_USER_ID in fold(value) for value in entry.values):
                return True
        if any(_USER_ID in fold(pattern) for pattern in statement.resources or ()):
            return True
    return False


def who_can(request: WhoCanRequest, column: PrincipalColumn) -> WhoCanResult:
    """Decide for the principals of a column, and for external principals."""
    engine, snapshot = request.engine, request.engine.snapshot
    resource = snapshot.resource(
        request.resource,
        request.action,
        snapshot.principal("*"),
        resource_account=request.resource_account,
        unknown_owner=engine.unknown_owner,
    )
    policies = None if request.resource == "*" else snapshot.facts(request.resource).policies
    others = [] if policies is None else list(_without_record(request, column, policies, resource))
    other_outcomes = np.array([access.outcome for access in others], np.uint8)
    if column.column is None:
        return WhoCanResult([access.principal for access in others], others.__getitem__, other_outcomes)
    decisions = request.decide_many(column.column)
    outcomes = decisions.outcome.copy()
    by_session = _decided_by_session(request, column, decisions, _rows_that_can(outcomes))
    for row, (_, decision) in by_session.items():
        outcomes[row] = decision.outcome
    rows = _rows_that_can(outcomes)
    names = [column.names[row] for row in rows]

    def make(at: int) -> PrincipalAccess:
        if at >= len(rows):
            return others[at - len(rows)]
        row = rows[at]
        principal, decision = by_session.get(row) or (column.names[row], decisions[row])
        return _access(request, principal, column.kinds[row], decision, name=column.names[row])

    return WhoCanResult(
        names + [access.principal for access in others], make, np.concatenate([outcomes[rows], other_outcomes])
    )  # fmt: skip


def _rows_that_can(outcomes: npt.NDArray[np.uint8]) -> list[int]:
    found: list[int] = np.flatnonzero((outcomes == Outcome.ALLOW) | (outcomes == Outcome.DEPENDS)).tolist()
    return found


def _decided_by_session(
    request: WhoCanRequest, column: PrincipalColumn, decisions: Decisions, rows: Sequence[int]
) -> dict[int, tuple[str, RowDecision]]:
    """Decide roles that depend on `aws:userid` again, for a session with a name that no policy contains.

    A statement that names a role is stored with the unique id of the role (N30), and a test of it reads that key (K1). The id is
    known; only the name of the session is unknown. If no other test reads the key, any session represents the role. Otherwise
    only a session that can perform the action represents it.
    """
    sessions: dict[int, str] = {}
    if all(_USER_ID not in names for names in decisions.depends_on_sets):
        return {}
    for row in rows:
        if column.kinds[row] in ROLES and _USER_ID in decisions[row].depends_on:
            _, partition, _, _, account, rest = column.names[row].split(":", 5)
            sessions[row] = f"arn:{partition}:sts::{account}:assumed-role/{rest.rpartition('/')[2]}/{UNMENTIONED}"
    if not sessions:
        return {}
    decided = request.decide_many(read_column(list(sessions.values()), "principals", kind="text"))
    found: dict[int, tuple[str, RowDecision]] = {}
    for (row, name), decision in zip(sessions.items(), decided, strict=True):
        if _USER_ID not in decision.depends_on and (decision.outcome in _CAN or not column.reads_user_id):
            found[row] = name, decision
    return found


def _access(
    request: WhoCanRequest,
    principal: str,
    kind: PrincipalKind,
    decision: Decision | RowDecision,
    *,
    name: str,
    is_outside: bool = False,
) -> PrincipalAccess:
    conditions = partial(request.conditions, principal) if decision.outcome is Outcome.DEPENDS else tuple
    reason = decision.layer, decision.statement, decision.depends_on
    return PrincipalAccess.deferring(conditions, name, kind, decision.outcome, *reason, is_outside, decision.assumed_owner)


def _without_record(
    request: WhoCanRequest, column: PrincipalColumn, policies: Policies, resource: ResourceProfile
) -> Iterator[PrincipalAccess]:
    """Yield the principals without a record that can perform the action."""
    snapshot = request.engine.snapshot
    for name in named_principals(snapshot, policies, request.action):
        decision = request.decide(name)
        if decision is not None and decision.outcome in _CAN:
            profile = snapshot.principal(name, request.action)
            yield _access(request, name, profile.kind, decision, name=name, is_outside=profile.account is None)
    partition = resource.partition or "aws"
    for external in external_principals(snapshot, policies, request.action, partition, column.accounts):
        found = _external_access(request, external, resource)
        if found is not None:
            yield found


def _external_access(request: WhoCanRequest, external: ExternalPrincipal, resource: ResourceProfile) -> PrincipalAccess | None:
    """Decide for an external principal. A resource of an unknown owner does not belong to its account."""
    engine = request.engine
    spec_request = request.as_request()
    try:
        principal, profile, endpoint = engine.profiles(external.profile, request.resource, spec_request, request.resource_account)
    except RequestValueError:
        return None
    if resource.account is None:
        profile = replace(
            profile, account=None, assumed_owner=False, rcps=None, rcp_note=resource.rcp_note, keys=resource.keys
        )  # fmt: skip
    sources = engine.snapshot.account_facts
    explanation = decide(
        principal, profile, spec_request, endpoint=endpoint, settings=engine.settings, sources=sources
    )  # fmt: skip
    decision = explanation.decision
    if decision.outcome not in _CAN:
        return None
    reason = decision.layer, decision.statement, decision.depends_on
    return PrincipalAccess(
        external.name, external.kind, decision.outcome, *reason, True, decision.assumed_owner, explanation.residual_statements
    )  # fmt: skip
