"""Statements: the elements that each kind of policy allows (spec 1.1, 1.5; V4, V6 to V12, V33, V34, G1, G2, G21 to G23).

A statement is read as mode `lenient` does; the caller decides whether its findings reject the document. An element that
breaks a rule is left out (None), and `Statement.undetermined` contains the rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from fastiam.model.policy import ConditionEntry, Effect, PolicyKind, PrincipalEntry, Statement
from fastiam.model.source_map import Path
from fastiam.policy.conditions.blocks import read_conditions
from fastiam.policy.elements import action_problems, resource_problems
from fastiam.policy.findings import Problems, Reading, quote
from fastiam.policy.json_types import check_unknown, is_text, read_object, read_strings, read_text
from fastiam.policy.principal_entries import EVERYONE, read_principals

ELEMENTS = ("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition")

_KNOWN = frozenset(ELEMENTS)
_NEGATIVE = {"Action": "NotAction", "Resource": "NotResource", "Principal": "NotPrincipal"}
_EFFECTS = {"Allow": Effect.ALLOW, "Deny": Effect.DENY}
_SID = re.compile(r"[A-Za-z0-9]*")
_T = TypeVar("_T")
_Reader = Callable[[Reading, object, Path, bool], tuple[_T, ...] | None]  # ..., whether the element is a `Not` form

# the elements that a kind of policy forbids; 1.1
_NO_PRINCIPAL = frozenset(("Principal", "NotPrincipal"))
_NO_RESOURCE = frozenset(("Resource", "NotResource"))
_FORBIDDEN: dict[PolicyKind, frozenset[str]] = {
    PolicyKind.IDENTITY: _NO_PRINCIPAL,
    PolicyKind.BOUNDARY: _NO_PRINCIPAL,
    PolicyKind.SESSION: _NO_PRINCIPAL,
    PolicyKind.SCP: _NO_PRINCIPAL,
    PolicyKind.RESOURCE: frozenset(),
    PolicyKind.VPCE: frozenset(),
    PolicyKind.TRUST: _NO_RESOURCE | {"NotPrincipal"},
    PolicyKind.RCP: frozenset(("NotPrincipal",)),
}
_PRINCIPAL_OPTIONAL = frozenset(kind for kind, names in _FORBIDDEN.items() if names >= _NO_PRINCIPAL)
_RESOURCE_OPTIONAL = frozenset((PolicyKind.RESOURCE, PolicyKind.TRUST))
FREE_SIDS = frozenset((PolicyKind.RESOURCE, PolicyKind.VPCE))  # G22


def read_statement(reading: Reading, value: object, index: int, path: Path) -> Statement | None:
    """One statement, or None after a fatal finding."""
    raw = read_object(reading, value, path, "an object")
    if raw is None:
        return None
    rules: list[str] = list(reading.undetermined)
    if not raw.keys() <= _KNOWN:
        _check_unknown_elements(reading, raw, path, rules)
    sid = _read_sid(reading, raw["Sid"], (*path, "Sid")) if "Sid" in raw else None
    if sid:
        reading.sids[path] = sid
    effect = _read_effect(reading, raw, path)
    actions, not_action = _read_pair(reading, raw, path, rules, "Action", _read_actions)
    resources, not_resource = _read_pair(reading, raw, path, rules, "Resource", _read_resources)
    principals, not_principal = None, False
    if reading.kind not in _PRINCIPAL_OPTIONAL or not _NO_PRINCIPAL.isdisjoint(raw):  # PERF: most have none
        principals, not_principal = _read_pair(reading, raw, path, rules, "Principal", _read_principals)
    conditions: tuple[ConditionEntry, ...] = ()
    if "Condition" in raw:
        conditions = read_conditions(reading, raw["Condition"], (*path, "Condition"), effect or Effect.DENY)
    if effect is None:
        return None
    statement = Statement(
        index, sid, effect, actions, not_action, resources, not_resource, principals, not_principal, conditions, tuple(rules)
    )
    if principals is not None:
        _check_principals(reading, statement, principals, path)
    return statement


def _check_unknown_elements(reading: Reading, raw: Mapping[str, object], path: Path, rules: list[str]) -> None:
    for name in raw:
        if name not in _KNOWN:
            reading.add("V4", (*path, name), f"unknown element {quote(name)}", reading.did_you_mean(name, ELEMENTS), at_name=True)
            check_unknown(reading, raw[name], (*path, name))
    _note(rules, "V4")


def _note(rules: list[str], rule: str) -> None:
    if rule not in rules:
        rules.append(rule)


def _read_sid(reading: Reading, value: object, path: Path) -> str | None:
    sid = read_text(reading, value, path)
    if sid == "":
        reading.add("G23", path, "the `Sid` is empty")
    elif sid and reading.kind not in FREE_SIDS and not _SID.fullmatch(sid):
        reading.add("G21", path, f"{quote(sid)} is not a valid `Sid`", "use letters A to Z, a to z and digits only")
    return sid


def _read_effect(reading: Reading, raw: Mapping[str, object], path: Path) -> Effect | None:
    value = raw.get("Effect")
    effect = _EFFECTS.get(value) if type(value) is str else None
    if effect is not None:
        return effect
    if "Effect" not in raw:
        reading.add("V6", path, "the statement has no `Effect`", "add `Allow` or `Deny`")
        return None
    text = read_text(reading, value, (*path, "Effect"))
    if text in _EFFECTS:
        return _EFFECTS[text]
    if text is not None:
        hint = f"write `{text.capitalize()}`" if text.capitalize() in _EFFECTS else "write `Allow` or `Deny`"
        reading.add("V6", (*path, "Effect"), f"{quote(text)} is not an effect", hint)
    return None


def _read_pair(
    reading: Reading, raw: Mapping[str, object], path: Path, rules: list[str], name: str, read: _Reader[_T]
) -> tuple[tuple[_T, ...] | None, bool]:
    """An element or its `Not` form: the entries, and whether they are negated; (None, False) if there is none to test."""
    element, negative = name, _NEGATIVE[name]
    if name not in raw:
        if negative not in raw:
            _check_absent(reading, path, rules, name)
            return None, False
        element = negative
    elif negative in raw:
        _refuse_both(reading, raw, path, rules, name, read)
        return None, False
    negated = element is not name
    found = read(reading, raw[element], (*path, element), negated)
    if element in _FORBIDDEN[reading.kind]:
        _forbid(reading, path, rules, element)
        return None, False
    if negated and found == ():
        hint = f"list what the statement excludes, or write `{name}`"
        reading.add("V12", (*path, element), f"`{element}` has no entry: it would match everything", hint, at_name=True)
        _note(rules, "V12")
        return None, False
    return found, negated


def _refuse_both(reading: Reading, raw: Mapping[str, object], path: Path, rules: list[str], name: str, read: _Reader[_T]) -> None:
    """An element and its `Not` form (V7, V8); both are read for their other problems."""
    rule = "V7" if name == "Action" else "V8"
    negative = _NEGATIVE[name]
    reading.add(rule, (*path, negative), f"the statement has both `{name}` and `{negative}`", "keep one", at_name=True)
    _note(rules, rule)
    for element in (name, negative):
        read(reading, raw[element], (*path, element), element is negative)
        if element in _FORBIDDEN[reading.kind]:
            _forbid(reading, path, rules, element)


def _check_absent(reading: Reading, path: Path, rules: list[str], name: str) -> None:
    """Neither an element nor its `Not` form exists (V7, V9)."""
    kind = reading.kind
    if name == "Action":
        reading.add("V7", path, "the statement has neither `Action` nor `NotAction`", 'to name all, write `"Action": "*"`')
        _note(rules, "V7")
    elif kind not in (_RESOURCE_OPTIONAL if name == "Resource" else _PRINCIPAL_OPTIONAL):
        reading.add("V9", path, f"the statement has no `{name}`, which {_KIND_WORDS[kind]} must have")
        _note(rules, "V9")


def _forbid(reading: Reading, path: Path, rules: list[str], element: str) -> None:
    message = f"{_KIND_WORDS[reading.kind]} cannot have `{element}`"
    hint = "the resource is the role itself" if element in _NO_RESOURCE else ""
    reading.add("V9", (*path, element), message, hint, at_name=True)
    _note(rules, "V9")


_KIND_WORDS = {
    PolicyKind.IDENTITY: "an identity policy",
    PolicyKind.BOUNDARY: "a permissions boundary",
    PolicyKind.SESSION: "a session policy",
    PolicyKind.RESOURCE: "a resource policy",
    PolicyKind.TRUST: "a trust policy",
    PolicyKind.SCP: "a service control policy",
    PolicyKind.RCP: "a resource control policy",
    PolicyKind.VPCE: "an endpoint policy",
}


def _read_actions(reading: Reading, value: object, path: Path, negated: bool) -> tuple[str, ...] | None:
    texts = read_strings(reading, value, path)
    if texts is None:
        return None
    variables = reading.variables
    for i, text in enumerate(texts):
        problems = action_problems(text, variables)
        if problems:
            _add_entry(reading, problems, value, path, i)
    if not texts and not negated:
        reading.add("1.2", path, "the list of actions is empty: the statement has no effect", "name an action")
    return texts


def _read_resources(reading: Reading, value: object, path: Path, negated: bool) -> tuple[str, ...] | None:
    texts = read_strings(reading, value, path)
    if texts is None or path[-1] in _FORBIDDEN[reading.kind]:
        return texts
    variables, endpoint = reading.variables, reading.kind is PolicyKind.VPCE
    for i, text in enumerate(texts):
        problems = resource_problems(text, variables, endpoint)
        if problems:
            _add_entry(reading, problems, value, path, i)
    if not texts and not negated:
        reading.add("1.2", path, "the list of resources is empty: the statement has no effect", "name a resource, or write `*`")
    return texts


def _add_entry(reading: Reading, problems: Problems, value: object, path: Path, i: int) -> None:
    reading.add_all(problems, path if is_text(value) else (*path, i))


def _read_principals(reading: Reading, value: object, path: Path, negated: bool) -> tuple[PrincipalEntry, ...] | None:
    if path[-1] not in _FORBIDDEN[reading.kind]:
        return read_principals(reading, value, path, negated=negated)
    if not is_text(value):  # forbidden: only its types are checked (V1)
        members = read_object(reading, value, path, 'an object such as `{"AWS": "..."}`, or `"*"`')
        for name, inner in (members or {}).items():
            read_strings(reading, inner, (*path, name))
    return None


def _check_principals(reading: Reading, statement: Statement, principals: tuple[PrincipalEntry, ...], path: Path) -> None:
    """The requirements of a kind of policy for a statement with principals: V33, V34, N20, N23, G2."""
    kind = reading.kind
    everyone = any(entry in EVERYONE for entry in principals)
    if statement.not_principal:
        here = (*path, "NotPrincipal")
        if statement.effect is Effect.ALLOW:
            hint = "list the principals to allow, or deny with a condition on `aws:PrincipalArn`"
            reading.add("V34", here, "`NotPrincipal` with `Allow` allows everyone who is not listed", hint, at_name=True)
        if everyone:
            reading.add("N23", here, "`NotPrincipal` lists everyone, so the statement applies to almost no principal")
    elif kind is PolicyKind.TRUST and everyone:
        reading.add("V33", (*path, "Principal"), "the role trusts everyone", "name accounts, users or roles")
    elif kind is PolicyKind.RCP:
        _check_rcp(reading, statement, path)


def _check_rcp(reading: Reading, statement: Statement, path: Path) -> None:
    """Resource control policies deny, for principal `*`, except the statement of `RCPFullAWSAccess` (G2, O3)."""
    allows = statement.effect is Effect.ALLOW
    if statement.principals != EVERYONE[:1]:
        reading.add("G2", (*path, "Principal"), "the principal of a resource control policy must be `*`", "use a condition")
    elif allows and statement.actions == statement.resources == ("*",) and _is_plain(statement):
        return
    if allows:
        hint = "`RCPFullAWSAccess` allows already; deny the exceptions"
        reading.add("G2", (*path, "Effect"), "a resource control policy cannot allow", hint)
    elif statement.not_action:
        reading.add("O3", (*path, "NotAction"), "AWS may refuse `NotAction` in a resource control policy", at_name=True)
    elif statement.actions is not None and "*" in statement.actions:
        reading.add("O3", (*path, "Action"), "AWS may refuse the action `*` in a resource control policy", "name services")


def _is_plain(statement: Statement) -> bool:
    return not (statement.conditions or statement.undetermined or statement.not_action or statement.not_resource)
