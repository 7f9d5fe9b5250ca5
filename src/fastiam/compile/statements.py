"""Policies as bodies: statements without their names, shared by all that say the same (hash-consing)."""

from __future__ import annotations

from typing import Any

from fastiam._build import Tables
from fastiam.compile.actions import Parts, read_action
from fastiam.compile.conditions import OPERATORS, flags_of, read_value
from fastiam.compile.interning import Interned
from fastiam.compile.keys import Keys
from fastiam.compile.layout import NONE, QUALIFIERS, TOKEN_SLOT, BodyFlag, Form, PatternKind
from fastiam.compile.principals import read_principal
from fastiam.compile.resources import Encoded, read_resource
from fastiam.compile.texts import Piece, Variable, utf8
from fastiam.compile.weights import THING, policy_bytes
from fastiam.keys import fold
from fastiam.model import ConditionEntry, Effect, Policy, PolicyKind, PrincipalEntry, Statement

_WITH_PRINCIPALS = (PolicyKind.RESOURCE, PolicyKind.TRUST, PolicyKind.RCP, PolicyKind.VPCE)


class Statements:
    """Numbers for policies, statements, and everything they are made of."""

    def __init__(self, tables: Tables, keys: Keys) -> None:
        self._tables, self._keys = tables, keys
        self.actions: list[Parts | None] = []
        self._policies: Interned[int] = Interned()
        self._kept: list[Policy] = []  # INVARIANT: a policy goes by its identity, so it must not be collected
        self._interned: dict[str, Interned[Any]] = {}
        self._starts: list[int] = []
        self._late_policies = 0  # bytes

    def policy(self, policy: Policy) -> int:
        """The number of a policy, by identity."""
        return self._policies.get(id(policy), lambda: self._make_policy(policy))

    def _make_policy(self, policy: Policy) -> int:
        number: int = self._tables.policy([self._body(statement, policy) for statement in policy.statements])
        del self._kept[number:], self._starts[number:]
        self._kept.append(policy)
        self._starts.append(self._tables.first_occurrence(number))
        self._late_policies += policy_bytes(policy)
        return number

    @property
    def occurrences(self) -> tuple[list[int], list[Policy]]:
        """The first occurrence of each policy, ascending, and the policies; both only grow, or are replaced on `drop`."""
        return self._starts, self._kept

    @property
    def late_bytes(self) -> int:
        """The memory of what requests brought, beside the tables."""
        things = sum(interned.n_late for interned in self._interned.values())
        return self._late_policies + (things + self._policies.n_late) * THING

    def freeze(self) -> None:
        """What there is now stays."""
        self._late_policies = 0
        self._n_compiled, self._n_actions = len(self._kept), len(self.actions)
        self._policies.freeze()
        for interned in self._interned.values():
            interned.freeze()

    def drop(self) -> None:
        """Forget what requests brought."""
        self._late_policies = 0
        self._policies.drop()
        for interned in self._interned.values():
            interned.drop()
        del self.actions[self._n_actions :]
        self._kept = self._kept[: self._n_compiled]
        self._starts = self._starts[: self._n_compiled]

    def _get(self, what: str, key: Any, make: Any) -> int:
        interned = self._interned.get(what)
        if interned is None:
            interned = self._interned[what] = Interned()
            if hasattr(self, "_n_compiled"):
                interned.freeze()
        return interned.get(key, make)

    # -- statements ---------------------------------------------------------------------------------------------------

    def _body(self, s: Statement, policy: Policy) -> int:
        is_trust = policy.kind is PolicyKind.TRUST
        principals = s.principals if policy.kind in _WITH_PRINCIPALS else None
        key = (
            s.effect, s.actions, s.not_action, s.resources, s.not_resource, principals, s.not_principal, s.conditions,
            bool(s.undetermined), is_trust, policy.variables,
        )  # fmt: skip
        return self._get("body", key, lambda: self._make_body(s, policy, principals))

    def _make_body(self, s: Statement, policy: Policy, principals: tuple[PrincipalEntry, ...] | None) -> int:
        flags = BodyFlag.DENY if s.effect is Effect.DENY else 0
        if s.undetermined:
            flags |= BodyFlag.U
        actions: list[int] = []
        if s.actions is None:
            flags |= BodyFlag.NO_ACTION
        else:
            numbers = [self._action(text) for text in s.actions]
            actions = [number for number in numbers if number >= 0]
            if len(actions) < len(numbers):
                flags |= BodyFlag.ACTION_U
            if s.not_action:
                flags |= BodyFlag.NOT_ACTION
        if s.not_resource and s.resources is not None:
            flags |= BodyFlag.NOT_RESOURCE
        if s.not_principal and principals is not None:
            flags |= BodyFlag.NOT_PRINCIPAL
        number: int = self._tables.body(
            flags,
            actions,
            self._resources(s, policy.variables),
            self._conditions(s.conditions, policy.variables),
            self._principals(principals, s.not_principal, policy.kind),
        )
        return number

    def _action(self, text: str) -> int:
        """The number of an action pattern, or -1 for a malformed one (V24)."""
        parts = read_action(text)
        if parts is False:
            return -1
        return self._get("action", parts, lambda: self._make_action(parts))

    def _make_action(self, parts: Any) -> int:
        self.actions.append(parts)
        number: int = self._tables.action_pattern(parts)
        return number

    # -- resources ----------------------------------------------------------------------------------------------------

    def _resources(self, s: Statement, variables: bool) -> int:
        """The resource element; NONE where it matches every resource (R1, R11)."""
        if s.resources is None:
            return NONE
        encoded = [read_resource(text, variables=variables) for text in s.resources]
        matches_all = any(p.kind is PatternKind.ANY and not p.flags for p, _ in encoded)
        # the variables of the other entries are kept: an answer may be said to depend on them (D74)
        if matches_all and not s.not_resource and all(p.kind is not PatternKind.SLOTS for p, _ in encoded):
            return NONE
        return self._get("resources", tuple(encoded), lambda: self._make_resources(encoded))

    def _make_resources(self, encoded: list[tuple[Encoded, Encoded | None]]) -> int:
        number: int = self._tables.resource_element([self._pattern(*pair) for pair in encoded])
        return number

    def _pattern(self, by_field: Encoded, crossing: Encoded | None) -> int:
        other = NONE if crossing is None else self._get("pattern", crossing, lambda: self._make_pattern(crossing, NONE))
        return self._get("pattern", (by_field, other), lambda: self._make_pattern(by_field, other))

    def _make_pattern(self, p: Encoded, crossing: int) -> int:
        number: int = self._tables.pattern(
            p.kind,
            p.flags,
            self._text(p.text),
            crossing=crossing,
            prefix=p.prefix,
            suffix=p.suffix,
            min_size=p.min_size,
            colons=p.colons,
            n_tokens=p.n_tokens,
            literal_fields=p.literal_fields,
        )
        return number

    def _text(self, pieces: tuple[Piece, ...]) -> bytes:
        """The bytes of a text, variables as numbered slots."""
        return b"".join(self._slot(piece) if isinstance(piece, Variable) else piece for piece in pieces)

    def _slot(self, variable: Variable) -> bytes:
        number = self._get("variable", variable, lambda: self._make_variable(variable))
        return bytes([TOKEN_SLOT, number & 127, number >> 7 & 127, number >> 14 & 127, number >> 21])

    def _make_variable(self, variable: Variable) -> int:
        default = None if variable.default is None else utf8(variable.default)
        number: int = self._tables.variable(self._keys.number(variable.name or ""), default)
        return number

    # -- conditions ---------------------------------------------------------------------------------------------------

    def _conditions(self, entries: tuple[ConditionEntry, ...], variables: bool) -> int:
        if not entries:
            return NONE
        atoms = tuple(self._get("atom", (entry, variables), lambda e=entry: self._atom(e, variables)) for entry in entries)
        return self._get("conditions", atoms, lambda: self._tables.condition_list(list(atoms)))

    def _atom(self, entry: ConditionEntry, variables: bool) -> int:
        operator = OPERATORS.get(entry.operator)
        key = self._keys.number(fold(entry.key))
        qualifier = QUALIFIERS.get(entry.qualifier, 0)
        if operator is None:  # V15: undetermined
            number: int = self._tables.atom(0, 0, qualifier, flags_of(entry, OPERATORS["StringEquals"]), key, [])
            return number
        values = []
        for text in entry.values:
            value = read_value(text, operator.op, variables=variables)
            has_slots = any(isinstance(piece, Variable) for piece in value.text) and not value.unresolved
            data = b"" if value.unresolved else self._text(value.text)
            values.append((data, value.number, value.nanos, value.is_u, has_slots, False, value.unresolved, value.address))
        number = self._tables.atom(operator.op, operator.relation, qualifier, flags_of(entry, operator), key, values)
        return number

    # -- principals ---------------------------------------------------------------------------------------------------

    def _principals(self, entries: tuple[PrincipalEntry, ...] | None, inverted: bool, kind: PolicyKind) -> int:
        """The principal element; NONE where it is the bare `*`, or not there (V9)."""
        if entries is None:
            return NONE
        tokens = tuple(read_principal(entry, kind, self._tables.word) for entry in entries)
        if not inverted and len(tokens) == 1 and tokens[0][0] == Form.STAR:
            return NONE
        return self._get("principals", tokens, lambda: self._tables.principal_element(list(tokens)))
