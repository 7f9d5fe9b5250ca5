"""One statement against one request (spec F3): the AND of its tests."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from fastiam.model.decision import Layer, StatementRef
from fastiam.model.policy import ConditionEntry, Effect, Policy, Statement
from fastiam.model.request import ContextValue
from fastiam.spec.actions import check_actions
from fastiam.spec.conditions import check_entry
from fastiam.spec.principal_elements import PrincipalMatch, check_principals
from fastiam.spec.principal_entries import RequestPrincipal
from fastiam.spec.resource_patterns import check_resources
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T, Truth, all_of, truth, undetermined


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """The request as its statements are tested against it.

    Attributes
    ----------
    action
        prefix and name in lower case.
    context
        present keys by folded name.
    unknown
        folded names of keys that are declared unknown.
    optimistic
        residual tests are taken towards an allow (the *best* decision of D73), else against it (the *worst*).
    """

    principal: RequestPrincipal
    action: tuple[str, str]
    resource: str
    context: dict[str, ContextValue]
    unknown: Container[str]
    optimistic: bool = False

    def keys_for(self, effect: Effect) -> StatementKeys:
        """The context for a statement: a residual test is true if that helps an Allow, or prevents a Deny (D73)."""
        return StatementKeys(self.context, self.unknown, truth(self.optimistic is (effect is Effect.ALLOW)))


@dataclass(frozen=True, slots=True)
class StatementLocation:
    """The policy that contains a statement, and its layer and level.

    Attributes
    ----------
    names_principals
        the principal element is tested.
    gateway
        the policy of a gateway endpoint (N17).
    """

    layer: Layer
    level: int
    policy: Policy
    names_principals: bool
    gateway: bool


@dataclass(frozen=True, slots=True)
class StatementResult:
    """A statement with its result.

    Attributes
    ----------
    classes, possible
        classes of its principal matches that are `T`, and of those that are `T` or `U` (3.3).
    """

    location: StatementLocation
    statement: Statement
    result: Truth
    classes: str = ""
    possible: str = ""

    @property
    def applies(self) -> bool:
        """An Allow applies iff its result is `T`, a Deny iff it is `T` or `U` (F3)."""
        return self.result is T if self.statement.effect is Effect.ALLOW else self.result is not F

    @property
    def applies_optimistically(self) -> bool:
        """The same with each `U` taken towards an allow; shows which implicit denies are `indeterminate` (F6)."""
        return self.result is not F if self.statement.effect is Effect.ALLOW else self.result is T

    @property
    def ref(self) -> StatementRef:
        """The name of the statement in a decision."""
        return StatementRef.of(self.location.policy, self.statement, self.location.layer, self.location.level)


def evaluate_statement(statement: Statement, location: StatementLocation, context: EvaluationContext) -> StatementResult:
    """The result of a statement: the AND of its tests (F3)."""
    result = all_of(test.result for test in statement_tests(statement, location, context))
    if result is F or not location.names_principals:
        return StatementResult(location, statement, result)
    match = _check_principals(statement, location, context)
    return StatementResult(location, statement, result, match.classes, match.possible)


class StatementTest(NamedTuple):
    """One test of a statement: the element's name, the entry of a condition block, and the result."""

    element: str
    entry: ConditionEntry | None
    result: Truth


def statement_tests(statement: Statement, location: StatementLocation, context: EvaluationContext) -> Iterator[StatementTest]:
    """The tests of a statement (F3, F7); an element that is absent is `T` (R11)."""
    variables, keys = location.policy.variables, context.keys_for(statement.effect)
    if statement.actions is not None:
        element = "NotAction" if statement.not_action else "Action"
        yield StatementTest(element, None, check_actions(statement.actions, statement.not_action, context.action))
    if location.names_principals:
        element = "NotPrincipal" if statement.not_principal else "Principal"
        yield StatementTest(element, None, _check_principals(statement, location, context).result)
    if statement.resources is not None:
        element = "NotResource" if statement.not_resource else "Resource"
        result = check_resources(statement.resources, statement.not_resource, context.resource, variables, keys)
        yield StatementTest(element, None, result)
    for entry in statement.conditions:
        yield StatementTest("Condition", entry, check_entry(entry, variables, keys))
    for rule in statement.undetermined:
        yield StatementTest("Statement", None, undetermined(rule))


def _check_principals(statement: Statement, location: StatementLocation, context: EvaluationContext) -> PrincipalMatch:
    keys = context.keys_for(statement.effect)
    return check_principals(statement, location.policy, context.principal, location.gateway, keys)
