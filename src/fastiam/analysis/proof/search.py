"""The search for a request that new statements allow and old ones do not, cell by cell.

A cell of actions fixes the statements in question. Statements that are the same for several cells are evaluated once.
INVARIANT: if the search yields nothing, no request in its scope is such a request.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Generic, TypeVar

from fastiam.analysis.proof.aws_actions import actions_in, all_actions, arns_of, may_be_star
from fastiam.analysis.proof.cells import Symbols
from fastiam.analysis.proof.domains import FREE, KeyDomain
from fastiam.analysis.proof.formula import Budget, Formula, Literal, every, negation, solve, some
from fastiam.analysis.proof.key_values import KeyValue
from fastiam.analysis.proof.names import ActionCell, BoundPattern, Element, action_cells, resource_cells
from fastiam.analysis.proof.statement_formulas import BoundStatement, StatementFormulas
from fastiam.aws_data.catalog import Action
from fastiam.runtime.forking import cached_property
from fastiam.spec.actions import split_action

V = TypeVar("V")
# keys that each request has (K2, N1), and those that each request of a principal with an account has
ALWAYS_PRESENT = frozenset({"aws:securetransport", "aws:useragent", "aws:viaawsservice"})
ALWAYS_OF_ACCOUNTS = ALWAYS_PRESENT | {
    "aws:principalarn", "aws:principalaccount", "aws:principaltype", "aws:principalisawsservice", "aws:resourceaccount",
}  # fmt: skip
Applied = Sequence[tuple[BoundStatement, Formula]]  # when each statement applies
Gain = Callable[[Applied, Applied, str, str], Sequence[Formula]]  # old, new, action, resource: what is new access


@dataclass(frozen=True, slots=True)
class Scope:
    """The requests that a proof covers.

    Attributes
    ----------
    partitions
        of resource ARNs.
    always_present
        folded keys that each request has.
    action_elements, resource_patterns
        split cells in addition to the patterns of statements.
    resources
        patterns of the ARNs in question; empty: all.
    within
        an ARN has to match one of these patterns too; empty: all.
    known_actions
        only the actions that AWS has, on resources of their types.
    domain_of
        the domain of a condition key.
    cells_of
        the cells of elements of actions, which several searches share.
    covers_action
        whether an action, prefix and name in lower case, is in scope.
    has_star
        the resource `*` is in scope.
    """

    partitions: Collection[str]
    always_present: Container[str] = frozenset()
    action_elements: tuple[Element, ...] = ()
    resource_patterns: tuple[Symbols, ...] = ()
    resources: tuple[Symbols, ...] = ()
    covers_action: Callable[[tuple[str, str]], bool] = lambda _: True
    has_star: bool = True
    known_actions: bool = False
    within: tuple[Symbols, ...] = ()
    domain_of: Callable[[str], KeyDomain] = lambda _: FREE
    cells_of: Callable[[frozenset[Element]], Cells] = lambda elements: Cells(action_cells(elements))


class Cells:
    """Cells of actions, and the actions that AWS has in each."""

    def __init__(
        self,
        cells: Sequence[ActionCell],
        is_of_interest: Callable[[str], bool] = lambda _: True,
        covers: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.cells, self._is_of_interest, self._covers = cells, is_of_interest, covers

    @cached_property
    def known(self) -> Mapping[ActionCell, Sequence[Action]]:
        """The actions of AWS by their cell."""
        return all_actions(self.cells, self._is_of_interest, self._covers)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A request for which the formulas find new access; the engine has to decide it.

    Attributes
    ----------
    values
        the values of condition keys by folded name; every other key can have any value.
    is_open
        it needs a certain result of a test with an unknown variable, or a value that no known text has.
    is_of_aws
        AWS has the action, on resources of this form.
    session_name
        the name of the role session, if a policy reads it in `aws:userid`.
    others
        a possible value of each key that the statements read, for those without one in `values`.
    """

    action: str
    resource: str
    values: Mapping[str, KeyValue] = field(default_factory=dict)
    is_open: bool = False
    is_of_aws: bool = False
    session_name: str = ""
    others: Mapping[str, KeyValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Case(Generic[V]):
    """Statements of both sides for one kind of request, and the check of a candidate: a result, or None if it fails."""

    old: Sequence[BoundStatement]
    new: Sequence[BoundStatement]
    gain: Gain
    verify: Callable[[Candidate], V | None]


class Search:
    """A search over two lists of statements, with the cells of their actions."""

    def __init__(self, scope: Scope, statements: Sequence[BoundStatement], budget: Budget) -> None:
        self._scope, self._budget = scope, budget
        budget.spend()
        self._special = frozenset(scope.action_elements)
        found = scope.cells_of(frozenset((*(one.statement.actions or () for one in statements), *self._special)))
        self._cells = [cell for cell in found.cells if scope.covers_action(split_action(cell.action))]
        self._known = found.known if scope.known_actions else None

    def candidates(self, old: Sequence[BoundStatement], new: Sequence[BoundStatement], gain: Gain) -> Iterator[Candidate]:
        """Yield at most one candidate for each cell of actions and resources.

        Raises
        ------
        ProofLimitError
            there are too many cells or combinations, or the time is over.
        """
        groups: dict[tuple[tuple[bool, ...], frozenset[Element]], list[ActionCell]] = {}
        for cell in self._cells:
            self._budget.spend()
            matching = tuple(one.matches_action(cell.elements) for one in (*old, *new))
            if any(matching):
                groups.setdefault((matching, cell.elements & self._special), []).append(cell)
        for (matching, _), same in groups.items():
            before = [one for one, applies in zip(old, matching, strict=False) if applies]
            after = [one for one, applies in zip(new, matching[len(old) :], strict=True) if applies]
            yield from self._of_group(same, before, after, gain)

    def _of_group(
        self, same: Sequence[ActionCell], old: Sequence[BoundStatement], new: Sequence[BoundStatement], gain: Gain
    ) -> Iterator[Candidate]:
        unknown: list[Formula] = [Literal(number, 1, 3) for number in range(len(old) + len(new))]
        sides = list(zip(old, unknown, strict=False)), list(zip(new, unknown[len(old) :], strict=True))
        at_most = gain(*sides, same[0].action, "")
        if all(formula is False for formula in at_most):
            return  # PERF: most cells, such as those without an Allow
        group = _Group(self._scope, self._budget, old, new, gain)
        if self._known is not None:
            yield from self._of_known(same, group)
            return
        found = group.candidates(same[0].action, self._scope.resources or None, has_star=self._scope.has_star)
        first = next(found, None)
        if first is None:
            return
        for action in actions_in(same):
            arns = self._scope.resources or arns_of(action, self._scope.partitions)
            has_star = self._scope.has_star and may_be_star(action)
            for one in group.candidates(action.name, arns, has_star=has_star):
                yield replace(one, is_of_aws=True)
        yield first
        yield from found

    def _of_known(self, same: Sequence[ActionCell], group: _Group) -> Iterator[Candidate]:
        """Yield candidates of AWS's actions, once for each form of their resources (H58)."""
        by_form = {(arns_of(action, self._scope.partitions), may_be_star(action)): action for action in self._known_in(same)}
        for (arns, has_star), action in by_form.items():
            for one in group.candidates(action.name, arns, has_star=has_star and self._scope.has_star):
                yield replace(one, is_of_aws=True)

    def _known_in(self, same: Sequence[ActionCell]) -> Iterator[Action]:
        for cell in same:
            yield from (self._known or {}).get(cell, ())


class _Group:
    """The statements that can apply to the actions of some cells."""

    def __init__(
        self, scope: Scope, budget: Budget, old: Sequence[BoundStatement], new: Sequence[BoundStatement], gain: Gain
    ) -> None:
        self._scope, self._budget, self._old, self._new, self._gain = scope, budget, old, new, gain
        self._statements = (*old, *new)
        self._formulas = StatementFormulas(self._statements, scope.always_present, scope.domain_of)
        self._elements = tuple(dict.fromkeys(one.resource_element().patterns for one in self._statements))

    def candidates(self, action: str, arns: Collection[Symbols] | None, *, has_star: bool) -> Iterator[Candidate]:
        """Yield a candidate for each cell of resources that has one: of ARNs that match one of `arns`, of all for None."""
        scope, more = self._scope, self._scope.resource_patterns
        texts: Sequence[str] = ()
        if arns is None or arns:
            texts = _resource_cells(self._elements, tuple(scope.partitions), more, tuple(arns or ()), scope.within)
        seen: set[tuple[Formula, tuple[tuple[int, int], ...]]] = set()
        for resource in (*texts, "*") if has_star else texts:
            self._budget.spend()
            before = [(one, self._formulas.applies(one, resource)) for one in self._old]
            after = [(one, self._formulas.applies(one, resource)) for one in self._new]
            for formula in self._gain(before, after, action, resource):
                if formula is False:
                    continue
                domains = self._formulas.domains(resource, self._statements, is_text=True)
                name = (formula, tuple(domains.items()))
                if name in seen:
                    continue
                seen.add(name)
                found = self._solve(formula, domains, action, resource)
                if found is not None:
                    yield found
                    break

    def _solve(self, formula: Formula, domains: Mapping[int, int], action: str, resource: str) -> Candidate | None:
        chosen = solve(formula, domains, self._budget)
        is_text = chosen is not None
        if chosen is None:  # combinations of results that no known text has
            domains = self._formulas.domains(resource, self._statements, is_text=False)
            chosen = solve(formula, domains, self._budget)
        if chosen is None:
            return None
        is_open = not is_text or self._formulas.has_variables(chosen)
        return Candidate(action, resource, self._formulas.context(chosen), is_open, others=self._formulas.context({}, domains))


@lru_cache(maxsize=2048)  # PERF: kinds of requests with one set of patterns have the same cells
def _resource_cells(
    elements: tuple[tuple[BoundPattern, ...], ...],
    partitions: tuple[str, ...],
    more: tuple[Symbols, ...],
    universe: tuple[Symbols, ...],
    within: tuple[Symbols, ...],
) -> tuple[str, ...]:
    return tuple(resource_cells(elements, partitions, more, universe, within))


def allowed(applied: Applied) -> Formula:
    """Return when some Allow applies and no Deny."""
    denied = some(formula for one, formula in applied if not one.is_allow)
    return every((some(formula for one, formula in applied if one.is_allow), negation(denied)))


def layer_gain(old: Applied, new: Applied, action: str, resource: str) -> Sequence[Formula]:
    """Return when a layer newly allows (H74)."""
    return (every((allowed(new), negation(allowed(old)))),)


def rcp_gain(old: Applied, new: Applied, action: str, resource: str) -> Sequence[Formula]:
    """Return when a Deny no longer applies: Allows of RCPs do not count (D13)."""
    denies = [some(formula for one, formula in applied if not one.is_allow) for applied in (old, new)]
    return (every((denies[0], negation(denies[1]))),)
