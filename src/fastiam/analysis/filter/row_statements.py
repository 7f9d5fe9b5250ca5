"""Statements and layers as formulas (spec F3, 6.2): where each verdict of `LayerVerdicts` is true."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from fastiam.analysis.filter.formula import Column, Formula, Same, all_of, any_of, matches, negation
from fastiam.analysis.filter.patterns import Part, Symbol, of_glob
from fastiam.analysis.filter.row_conditions import (
    UNDETERMINED,
    Pair,
    all_pairs,
    any_pair,
    check_entry_of_rows,
    combinations,
    names_of_entry,
    pair_of,
    substituted,
    unknown_pair,
    where,
)
from fastiam.analysis.filter.row_keys import SERVICE, RowKeys, field_pattern
from fastiam.analysis.filter.times import next_change
from fastiam.model.decision import Layer
from fastiam.model.policy import Effect, Statement
from fastiam.model.profile import PrincipalKind
from fastiam.spec.actions import check_actions, split_action
from fastiam.spec.layers import LayerInput
from fastiam.spec.principal_elements import check_principals
from fastiam.spec.principal_entries import CLASSES, SERVICE_NAMES, USER_ID, Form, make_request_principal, read_entry
from fastiam.spec.resource_patterns import ResourcePattern, read_pattern
from fastiam.spec.statement import StatementLocation
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F
from fastiam.spec.wildcards import Wildcard


@dataclass(frozen=True)
class Verdicts:
    """Where the layers of a request allow and deny, as `LayerVerdicts`.

    Attributes
    ----------
    denied
        a Deny of any layer applies.
    scp, vpce, identity, boundary
        the verdicts of these layers.
    match
        the classes of the applicable Allows of the resource policies, each with its formula.
    session
        an Allow of the session policies applies.
    """

    denied: Formula
    scp: Formula
    vpce: Formula
    match: Mapping[str, Formula]
    identity: Formula
    boundary: Formula
    session: Formula


@dataclass(frozen=True)
class _Applies:
    """Where a statement applies, and the classes in which it matches the principal."""

    formula: Formula
    classes: str = ""


@dataclass
class StatementFormulas:
    """The formulas of statements, computed once for all cases in which the keys that they read are the same.

    Attributes
    ----------
    changes
        the instants after `now` at which a test of the time changes its result.
    """

    changes: set[datetime] = field(default_factory=set)
    _known: dict[tuple[object, ...], _Applies] = field(default_factory=dict)
    _relevant: dict[tuple[int, tuple[str, str]], bool] = field(default_factory=dict)
    _names: dict[int, frozenset[str]] = field(default_factory=dict)

    def verdicts(self, layers: Iterable[LayerInput], keys: RowKeys) -> Verdicts:
        """The verdicts of the layers for the rows of one case."""
        denies: list[Formula] = []
        allows: dict[tuple[Layer, int], list[Formula]] = {}
        match: dict[str, list[Formula]] = {}
        levels = {}
        action = split_action(keys.row.request.action)
        for layer in layers:
            levels[layer.layer] = layer.levels
            for statement, location in self._statements(layer, action):
                applies = self._applies(statement, location, keys)
                if statement.effect is Effect.DENY:
                    denies.append(applies.formula)
                elif layer.grants:
                    allows.setdefault((location.layer, location.level), []).append(applies.formula)
                    for letter in applies.classes if location.layer is Layer.RESOURCE else "":
                        match.setdefault(letter, []).append(applies.formula)
        allowed = {place: any_of(found) for place, found in allows.items()}
        scps = levels[Layer.SCP]
        scp: Formula = True
        if scps is not None:
            scp = bool(scps) and all_of(allowed.get((Layer.SCP, level), False) for level in range(len(scps)))
        return Verdicts(
            denied=any_of(denies),
            scp=scp,
            vpce=levels[Layer.VPCE] is None or allowed.get((Layer.VPCE, 0), False),
            match={letter: any_of(found) for letter, found in match.items()},
            identity=allowed.get((Layer.IDENTITY, 0), False),
            boundary=levels[Layer.BOUNDARY] is None or allowed.get((Layer.BOUNDARY, 0), False),
            session=allowed.get((Layer.SESSION, 0), False),
        )

    def names_read(self, layers: Iterable[LayerInput], action: tuple[str, str]) -> frozenset[str]:
        """The keys that statements about an action read."""
        statements = (found for layer in layers for found in self._statements(layer, action))
        return frozenset().union(*(self._names_of(statement, location) for statement, location in statements))

    def _statements(self, layer: LayerInput, action: tuple[str, str]) -> Iterator[tuple[Statement, StatementLocation]]:
        """The statements of a layer that can apply to the action."""
        for level, policies in enumerate(layer.levels or ()):
            for policy in policies:
                location = StatementLocation(layer.layer, level, policy, layer.names_principals, layer.gateway)
                for statement in policy.statements:
                    if self.is_about(statement, action):
                        yield statement, location

    def is_about(self, statement: Statement, action: tuple[str, str]) -> bool:
        """Whether the action element of a statement can be true of an action."""
        found = self._relevant.get((id(statement), action))
        if found is None:
            actions = statement.actions
            found = actions is None or check_actions(actions, statement.not_action, action) is not F
            self._relevant[id(statement), action] = found
        return found

    def _names_of(self, statement: Statement, location: StatementLocation) -> frozenset[str]:
        names = self._names.get(id(statement))
        if names is None:
            names = self._names[id(statement)] = _names_of(statement, location.policy.variables)
        return names

    def _applies(self, statement: Statement, location: StatementLocation, keys: RowKeys) -> _Applies:
        names = self._names_of(statement, location)
        partition = keys.resource.partition if location.names_principals else None
        place = id(statement), location.layer, location.gateway, partition, keys.marks(names)
        found = self._known.get(place)
        if found is None:
            found = self._known[place] = _statement(statement, location, keys)
            self.changes |= next_change(statement, location.policy.variables, keys)
        return found


def _names_of(statement: Statement, variables: bool) -> frozenset[str]:
    """The keys that a statement reads."""
    names = {name for entry in statement.conditions for name in names_of_entry(entry, variables)}
    for text in statement.resources or ():
        if text.startswith("arn:"):
            names |= {variable.name for variable in read_pattern(text, variables).variables if variable.name is not None}
    return frozenset(names)


def _statement(statement: Statement, location: StatementLocation, keys: RowKeys) -> _Applies:
    """An Allow applies where its tests are true, a Deny where they are true or undetermined (F3)."""
    is_allow = statement.effect is Effect.ALLOW
    variables = location.policy.variables
    pairs: list[Pair] = [UNDETERMINED] * bool(statement.undetermined)
    if statement.actions is not None:
        action = split_action(keys.row.request.action)
        pairs.append(pair_of(check_actions(statement.actions, statement.not_action, action)))
    classes = ""
    if location.names_principals:
        pair, classes = _principals(statement, location, keys)
        pairs.append(pair)
    if all_pairs(pairs).possible is False:
        return _Applies(False)
    if statement.resources is not None:
        pairs.append(_resources(statement.resources, statement.not_resource, variables, keys))
    pairs += [check_entry_of_rows(entry, variables, keys) for entry in statement.conditions]
    result = all_pairs(pairs)
    return _Applies(result.certain if is_allow else result.possible, classes)


def _principals(statement: Statement, location: StatementLocation, keys: RowKeys) -> tuple[Pair, str]:
    """The principal element, which only two keys of a row can change (K1)."""
    row = keys.row
    forms = {read_entry(entry.type, entry.value).form for entry in statement.principals or ()}
    for key, form in ((USER_ID, Form.UNIQUE_ID), (SERVICE_NAMES, Form.SERVICE)):
        is_free = keys.principal.keys.get(key) is None or key in keys.principal.open_keys
        if key in row.columns and form in forms and is_free and keys.principal.kind is not PrincipalKind.ANON:
            return unknown_pair(row.names[key], "Principal"), CLASSES
    given = row.request.context
    principal = make_request_principal(keys.principal, keys.resource.partition, given, split_action(row.request.action))
    known = StatementKeys(given, (), F)
    match = check_principals(statement, location.policy, principal, location.gateway, known)
    return pair_of(match.result), match.classes


# -- resources (2.3) ------------------------------------------------------------------------------------------------------


def _resources(entries: tuple[str, ...], inverted: bool, variables: bool, keys: RowKeys) -> Pair:
    """`Resource`, or `NotResource` if `inverted` (R10, R13)."""
    found = any_pair(_resource(entry, inverted, variables, keys) for entry in entries)
    return found.negated() if inverted else found


def _resource(entry: str, inverted: bool, variables: bool, keys: RowKeys) -> Pair:
    """One entry: V25, R1, R3 to R9, VR8."""
    if entry and not entry.strip("*"):
        return Pair(True, True)
    if not entry.startswith("arn:"):
        return UNDETERMINED
    pattern = read_pattern(entry, variables)
    names = [variable.name for variable in pattern.variables if variable.name is not None]
    cases = combinations(list(dict.fromkeys(names)), keys)
    if cases is None:
        return unknown_pair(entry, "Resource")
    found: list[tuple[Formula, Pair]] = []
    for condition, values in cases:
        rests = substituted(pattern.rest, values)
        if not rests:
            found.append((condition, unknown_pair(entry, "Resource")))
        for more, rest in rests:
            pair = _unresolved(inverted, keys) if rest is None else _pattern(pattern, rest, entry, keys)
            found.append((all_of((condition, more)), pair))
    return where(found)


def _unresolved(inverted: bool, keys: RowKeys) -> Pair:
    """A variable is unresolved: no ARN matches, or with `NotResource` the test is undetermined (VR8); `*` never matches (R2)."""
    return Pair(False, matches(keys.row.arn, _ARNS) if inverted else False)


_ARNS: tuple[Part, ...] = ("arn:", Symbol.ANY)


def _pattern(pattern: ResourcePattern, rest: tuple[str | Wildcard | Column, ...], entry: str, keys: RowKeys) -> Pair:
    """A pattern with its variables replaced. A match that needs more than AWS promises is undetermined (R5, R6, R9)."""
    arn = keys.row.arn
    start: list[Part] = ["arn:"]
    for one in pattern.fields:
        start += [*of_glob(one, in_field=True), ":"]
    if any(isinstance(part, Column) for part in rest):
        return _pattern_of_columns(pattern, start, rest, entry, keys)
    glob = tuple(part for part in rest if not isinstance(part, Column))
    by_field = matches(arn, (*start, *of_glob(glob)))
    certain: Formula = by_field
    if pattern.padded:
        certain = False
    elif pattern.mixed_type:
        certain = all_of((by_field, _not_iam(keys)))
    return Pair(certain, any_of((by_field, _crossing(pattern, of_glob(glob), keys))))


def _not_iam(keys: RowKeys) -> Formula:
    return negation(matches(keys.row.arn, field_pattern(SERVICE, ("iam",))))


def _crossing(pattern: ResourcePattern, rest: tuple[Part, ...], keys: RowKeys) -> Formula:
    """The match in which each `*` that ends one of the fields 2 to 5 may match colons (R5)."""
    written = pattern.fields[: pattern.n_written - 1]
    if not any(one and one[-1] is Wildcard.ANY for one in written):
        return False
    parts: list[Part] = ["arn"]
    for one in written:
        parts += [":", *of_glob(one, in_field=True)]
        if one and one[-1] is Wildcard.ANY:
            parts[-1] = Symbol.ANY
    if pattern.n_written == 6:
        parts += [":", *rest]
    return matches(keys.row.arn, tuple(parts))


def _pattern_of_columns(
    pattern: ResourcePattern, start: list[Part], rest: tuple[str | Wildcard | Column, ...], entry: str, keys: RowKeys
) -> Pair:
    """A pattern that contains the value of a column: a comparison of two texts, if no wildcard is in between (H49)."""
    starts = rest[-1] is Wildcard.ANY
    parts = [*start, *(rest[:-1] if starts else rest)]
    if pattern.padded or pattern.mixed_type or not all(isinstance(part, (str, Column)) for part in parts):
        return unknown_pair(entry, "Resource")
    leaf = Same(keys.row.arn, tuple(part for part in parts if isinstance(part, (str, Column))), starts)
    return Pair(leaf, leaf)
