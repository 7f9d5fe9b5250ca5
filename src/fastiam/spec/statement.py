"""One statement against one request (spec F3): the AND of its tests, and what the record wants to know of them."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from fastiam.model.decision import Layer, StatementRef
from fastiam.model.policy import ConditionEntry, Effect, Policy, Statement
from fastiam.model.request import ContextValue
from fastiam.spec.actions import check_actions
from fastiam.spec.conditions import check_entry
from fastiam.spec.principal_elements import check_principals
from fastiam.spec.principals import Asker
from fastiam.spec.resources import check_resources
from fastiam.spec.statement_trace import View
from fastiam.spec.three_valued import F, T, Truth, U


@dataclass(frozen=True, slots=True)
class Scene:
    """What every statement of a decision is tested against; `action` is split and in lower case."""

    asker: Asker
    action: tuple[str, str]
    resource: str
    context: dict[str, ContextValue]
    unknown: Container[str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a statement stands. `names_principals`: its principal element is tested; `gateway`: N17."""

    layer: Layer
    level: int
    policy: Policy
    names_principals: bool
    gateway: bool


@dataclass(slots=True)
class Tested:
    """A statement with its result.

    Attributes
    ----------
    classes, possible : letters of its certain principal matches, and of those that are certain or `U` (3.3).
    misses : the tests that are not `T`: element name, and the entry of a condition. Complete up to two; beyond, cut.
    doubts : the rules that made a test `U`.
    opened : unknown keys of its open tests (D72).
    open_entries : the condition entries among its open tests.
    unresolved, absent : names it read in vain, where action, principal and resource leave it a chance (6.9).
    """

    place: Place
    statement: Statement
    result: Truth = T
    classes: str = ""
    possible: str = ""
    misses: list[tuple[str, ConditionEntry | None]] = field(default_factory=list)
    doubts: tuple[str, ...] = ()
    opened: tuple[str, ...] = ()
    open_entries: list[ConditionEntry] = field(default_factory=list)
    unresolved: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def applies(self) -> bool:
        """An Allow applies iff its result is `T`, a Deny iff it is `T` or `U` (F3)."""
        return self.result is T if self.statement.effect is Effect.ALLOW else self.result is not F

    @property
    def applies_hopefully(self) -> bool:
        """The same with every `U` in the caller's favour; tells `indeterminate` denials (F6)."""
        return self.result is not F if self.statement.effect is Effect.ALLOW else self.result is T

    @property
    def ref(self) -> StatementRef:
        """The name of the statement in an answer."""
        return StatementRef.of(self.place.policy, self.statement, self.place.layer, self.place.level)


def check_statement(statement: Statement, place: Place, scene: Scene, best: bool) -> Tested:
    """The result of a statement. `best` settles open tests in the caller's favour (D73); it is moot without unknown keys.

    A statement that is `F` is left early, an Allow only when a second test misses: with one it is a near miss.
    """
    is_allow = statement.effect is Effect.ALLOW
    view = View(scene.context, scene.unknown, favour=best is is_allow)
    tested = Tested(place, statement)
    candidate, kept, unresolved, absent, opened = True, 0, 0, 0, 0
    for element, entry, result in _tests(statement, place, scene, view, tested):
        if result is not U:
            del view.doubts[kept:]  # another entry of the element settled it
        if result is not T:
            tested.misses.append((element, entry))
        if entry is not None and len(view.opened) > opened:
            tested.open_entries.append(entry)
        kept, opened = len(view.doubts), len(view.opened)
        if candidate:
            unresolved, absent = len(view.unresolved), len(view.absent)
            candidate = entry is not None or result is not F
        tested.result = min(tested.result, result)
        if tested.result is F and not (is_allow and len(tested.misses) < 2):
            break
    tested.doubts, tested.opened = tuple(view.doubts), tuple(view.opened)
    tested.unresolved, tested.absent = tuple(view.unresolved[:unresolved]), tuple(view.absent[:absent])
    return tested


def _tests(
    statement: Statement, place: Place, scene: Scene, view: View, tested: Tested
) -> Iterator[tuple[str, ConditionEntry | None, Truth]]:
    """The tests of a statement, one by one (F3, F7); an element that is not there is `T`."""
    policy = place.policy
    if statement.actions is not None:
        element = "NotAction" if statement.not_action else "Action"
        yield element, None, check_actions(statement.actions, statement.not_action, scene.action, view)
    if place.names_principals:
        match = check_principals(statement, policy, scene.asker, place.gateway, view)
        tested.classes, tested.possible = match.classes, match.possible
        yield "NotPrincipal" if statement.not_principal else "Principal", None, match.result
    if statement.resources is not None:
        element = "NotResource" if statement.not_resource else "Resource"
        result = check_resources(statement.resources, statement.not_resource, scene.resource, policy.variables, view)
        yield element, None, result
    for entry in statement.conditions:
        yield "Condition", entry, check_entry(entry, policy.variables, view)
    for rule in statement.undetermined:
        yield "Statement", None, view.doubt(rule)
