"""Policies as statement bodies: statements without their names, shared by equal statements (hash-consing)."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

from fastiam.compile.actions import Parts, read_action
from fastiam.compile.conditions import Value, flags_of, in_order, in_search_order, read_value
from fastiam.compile.interning import Interned, ObjectIds
from fastiam.compile.keys import Keys
from fastiam.compile.layout import NONE, QUALIFIERS, TOKEN_VARIABLE, AtomFlag, BodyFlag, Form
from fastiam.compile.memory_estimates import ENTRY_BYTES, policy_bytes
from fastiam.compile.pattern_text import Variable, joined, utf8
from fastiam.compile.principal_elements import read_principal
from fastiam.compile.resource_patterns import read_resource
from fastiam.kernel.plan.tables import Tables
from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry, Effect, Policy, PolicyKind, PrincipalEntry, Statement
from fastiam.policy.conditions.operators import BASE_OPERATORS

_WITH_PRINCIPALS = (PolicyKind.RESOURCE, PolicyKind.TRUST, PolicyKind.RCP, PolicyKind.VPCE)


class Statements:
    """Ids of policies, statements and their parts."""

    def __init__(self, tables: Tables, keys: Keys) -> None:
        self._tables, self._keys = tables, keys
        self.actions: list[Parts | None] = []
        self._policies = ObjectIds()
        # INVARIANT: a policy is found by its identity, so it must not be collected
        self._kept: Any = []  # a list of policies, or a sequence that loads them
        self._starts = array("I")
        self._references: dict[int, Any] = {}
        self._is_frozen = False
        self._runtime_policy_bytes = 0  # bytes
        self._bodies: Interned[tuple[int, ...], int] = Interned(brief=True)
        self._action_lists: Interned[Any, tuple[int, int, int]] = Interned(brief=True)
        self._actions: Interned[Any, int] = Interned()
        self._elements: Interned[Any, int] = Interned(brief=True)
        self._patterns: Interned[tuple[str, bool], tuple[int, bool, bool]] = Interned(brief=True)
        self._variables: Interned[Variable, int] = Interned()
        self._conditions: Interned[Any, int] = Interned()
        self._atoms: Interned[tuple[ConditionEntry, bool], int] = Interned()
        self._principals: Interned[Any, int] = Interned(brief=True)
        self._interned: tuple[Interned[Any, Any], ...] = (
            self._policies, self._bodies, self._action_lists, self._actions, self._elements, self._patterns, self._variables,
            self._conditions, self._atoms, self._principals,
        )  # fmt: skip

    def adopt(self, actions: list[Parts | None], policies: Any) -> None:
        """Continue with filled tables. `policies` is a sequence of their policies."""
        self.actions, self._kept = actions, policies
        self._starts.frombytes(self._tables.first_occurrences()[:-4])
        for number, parts in enumerate(actions):
            self._actions.enter(parts, number)

    def register_policy(self, policy: Policy, number: int) -> None:
        """Register the identity of a policy that is in the tables. The policy must be kept alive."""
        self._policies.enter(id(policy), number)

    def compiled(self) -> tuple[Any, list[Parts | None]]:
        """Return the compiled policies and action patterns, by id."""
        return self._kept[: self._n_compiled], self.actions[: self._n_actions]

    def policy(self, policy: Policy) -> int:
        """Return the id of a policy, by identity."""
        return self._policies.get(id(policy), self._make_policy, policy)

    def _make_policy(self, policy: Policy) -> int:
        number: int = self._tables.policy([self._body(statement, policy) for statement in policy.statements])
        if number < len(self._kept):
            self._references = {}
        del self._kept[number:], self._starts[number:]
        self._kept.append(policy)
        self._starts.append(self._tables.first_occurrence(number))
        if self._is_frozen:
            self._runtime_policy_bytes += policy_bytes(policy)
        return number

    @property
    def occurrences(self) -> tuple[Sequence[int], Sequence[Policy], dict[int, Any]]:
        """The first occurrence of each policy, ascending, the policies, and a cache of references to their statements.

        They only grow, or are replaced on `drop`.
        """
        return self._starts, self._kept, self._references

    @property
    def cache_bytes_used(self) -> int:
        """The estimated size of the Python objects of run-time entries."""
        return self._runtime_policy_bytes + sum([interned.n_cached for interned in self._interned]) * ENTRY_BYTES

    def freeze(self) -> None:
        """Keep the present entries; later ones are run-time entries."""
        self._is_frozen, self._runtime_policy_bytes = True, 0
        self._n_compiled, self._n_actions = len(self._kept), len(self.actions)
        for interned in self._interned:
            interned.freeze()

    def drop(self) -> None:
        """Evict the run-time entries."""
        self._runtime_policy_bytes = 0
        for interned in self._interned:
            interned.drop()
        del self.actions[self._n_actions :]
        self._kept = self._kept[: self._n_compiled]
        self._starts = self._starts[: self._n_compiled]
        self._references = {}

    def size_bytes(self) -> int:
        """The size of the maps from identity and occurrence to policies."""
        return self._policies.size_bytes() + 8 * len(self._kept) + self._starts.itemsize * len(self._starts)

    # -- statements ---------------------------------------------------------------------------------------------------

    def _body(self, s: Statement, policy: Policy) -> int:
        flags, first, n = self._action_lists.get((s.actions, s.not_action), self._action_element, s)
        if s.effect is Effect.DENY:
            flags |= BodyFlag.DENY
        if s.undetermined:
            flags |= BodyFlag.U
        if s.not_resource and s.resources is not None:
            flags |= BodyFlag.NOT_RESOURCE
        principals = s.principals if policy.kind in _WITH_PRINCIPALS else None
        if s.not_principal and principals is not None:
            flags |= BodyFlag.NOT_PRINCIPAL
        body = (
            flags,
            first,
            n,
            self._resources(s, policy.variables),
            self._condition_list(s.conditions, policy.variables),
            self._principal_element(principals, s.not_principal, policy.kind),
        )
        return self._bodies.get(body, self._tables.body, *body)

    def _action_element(self, s: Statement) -> tuple[int, int, int]:
        """Flags of a body, and the position and number of its action patterns."""
        if s.actions is None:
            return int(BodyFlag.NO_ACTION), 0, 0
        numbers = [self._action(text) for text in s.actions]
        actions = [number for number in numbers if number >= 0]
        flags = BodyFlag.ACTION_U if len(actions) < len(numbers) else 0
        if s.not_action:
            flags |= BodyFlag.NOT_ACTION
        return int(flags), self._tables.action_list(actions), len(actions)

    def _action(self, text: str) -> int:
        """The number of an action pattern, or -1 for a malformed one (V24)."""
        parts = read_action(text)
        if parts is False:
            return -1
        return self._actions.get(parts, self._make_action, parts)

    def _make_action(self, parts: Any) -> int:
        self.actions.append(parts)
        number: int = self._tables.action_pattern(parts)
        return number

    # -- resources ----------------------------------------------------------------------------------------------------

    def _resources(self, s: Statement, variables: bool) -> int:
        """The resource element; NONE where it matches every resource (R1, R11)."""
        texts = s.resources
        if texts is None:
            return NONE
        element = texts, s.not_resource, variables
        return self._elements.get(element, self._element, *element)

    def _element(self, texts: tuple[str, ...], inverted: bool, variables: bool) -> int:
        found = [self._patterns.get((text, variables), self._pattern, text, variables) for text in texts]
        # the variables of the other entries are kept: a decision may depend on them (D74)
        if not inverted and any(is_all for _, is_all, _ in found) and not any(has_variables for _, _, has_variables in found):
            return NONE
        number: int = self._tables.resource_element([number for number, _, _ in found])
        return number

    def _pattern(self, text: str, variables: bool) -> tuple[int, bool, bool]:
        """The number of a pattern, whether it matches every resource, and whether it has variables."""
        read = read_resource(text, self._slot if variables else None)
        number: int = self._tables.resource_pattern(read.fields) if read.fields else self._tables.pattern(read.kind, read.flags)
        return number, read.matches_all, read.has_variables

    def _slot(self, variable: Variable) -> bytes:
        number = self._variables.get(variable, self._make_variable, variable)
        return bytes([TOKEN_VARIABLE, number & 127, number >> 7 & 127, number >> 14 & 127, number >> 21])

    def _make_variable(self, variable: Variable) -> int:
        default = None if variable.default is None else utf8(variable.default)
        number: int = self._tables.variable(self._keys.number(variable.name or ""), default)
        return number

    # -- conditions ---------------------------------------------------------------------------------------------------

    def _condition_list(self, entries: tuple[ConditionEntry, ...], variables: bool) -> int:
        if not entries:
            return NONE
        return self._conditions.get((entries, variables), self._block, entries, variables)

    def _block(self, entries: tuple[ConditionEntry, ...], variables: bool) -> int:
        atoms = [self._atoms.get((entry, variables), self._atom, entry, variables) for entry in in_order(entries)]
        number: int = self._tables.condition_list(atoms)
        return number

    def _atom(self, entry: ConditionEntry, variables: bool) -> int:
        operator = BASE_OPERATORS.get(entry.operator)
        key = self._keys.number(fold(entry.key))
        qualifier = QUALIFIERS.get(entry.qualifier, 0)
        if operator is None:  # V15: undetermined
            number: int = self._tables.atom(0, 0, qualifier, flags_of(entry, BASE_OPERATORS["StringEquals"]), key, [])
            return number
        values: list[Value] = []
        for text in entry.values:
            value = read_value(text, operator, variables=variables)
            has_variables = any(isinstance(piece, Variable) for piece in value.text) and not value.unresolved
            data = b"" if value.unresolved else joined(value.text, self._slot)
            values.append(Value(data, value.number, value.nanos, value.is_u, has_variables, value.unresolved, value.address))
        values, ordered = in_search_order(operator, values)
        flags = flags_of(entry, operator) | (AtomFlag.ORDERED if ordered else 0)
        number = self._tables.atom(operator.comparison, operator.relation, qualifier, flags, key, values)
        return number

    # -- principals ---------------------------------------------------------------------------------------------------

    def _principal_element(self, entries: tuple[PrincipalEntry, ...] | None, inverted: bool, kind: PolicyKind) -> int:
        """The principal element; NONE where it is the bare `*`, or not there (V9)."""
        if entries is None:
            return NONE
        tokens = tuple(read_principal(entry, kind, self._tables.symbol) for entry in entries)
        if not inverted and len(tokens) == 1 and tokens[0][0] == Form.STAR:
            return NONE
        return self._principals.get(tokens, self._tables.principal_element, list(tokens))
