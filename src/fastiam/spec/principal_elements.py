"""The `Principal` and `NotPrincipal` elements (spec 3.3, 3.4): the combination of their entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from fastiam.model.policy import Effect, Policy, PolicyKind, PrincipalEntry, Statement
from fastiam.model.profile import PrincipalKind, PrincipalProfile
from fastiam.spec.principal_entries import (
    CLASSES,
    SERVICE_NAMES,
    USER_ID,
    Form,
    MatchOptions,
    ParsedPrincipal,
    RequestPrincipal,
    match_entry,
    read_entry,
)
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T, Truth, all_of, any_of, negate

# The identity levels of a request, as the classes in which a statement would name them (N21)
_LEVELS = {
    PrincipalKind.ROOT: "D",
    PrincipalKind.AROOT: "D",
    PrincipalKind.USER: "DA",
    PrincipalKind.ROLE: "DRA",
    PrincipalKind.SLR: "DRA",
    PrincipalKind.FED: "DPA",
    PrincipalKind.SVC: "D",
    PrincipalKind.OIDC: "D",
    PrincipalKind.SAML: "D",
    PrincipalKind.ANON: "",
}
_CAN_BE_BOUNDED = (PrincipalKind.USER, PrincipalKind.ROLE, PrincipalKind.SLR, PrincipalKind.FED)


@dataclass(frozen=True, slots=True)
class PrincipalMatch:
    """The result of a principal element: the letters of its certain matches, and of those that are certain or `U`."""

    result: Truth
    classes: str
    possible: str


def check_principals(
    statement: Statement, policy: Policy, principal: RequestPrincipal, gateway: bool, keys: StatementKeys
) -> PrincipalMatch:
    """The principal element of a statement; a statement without one names every principal (V9)."""
    if statement.principals is None:
        return PrincipalMatch(T, "*", "*")
    options = _options(statement, policy, gateway)
    if not statement.not_principal:
        return _check_principal(statement.principals, principal, options, keys)
    return _check_not_principal(statement.principals, principal, options, keys.inverted())


def residual_keys(
    statement: Statement, policy: Policy, principal: RequestPrincipal, gateway: bool, keys: StatementKeys
) -> list[str]:
    """The unknown keys of the entries that are residual tests (D72)."""
    options = _options(statement, policy, gateway)
    names = []
    for entry in _parse(statement.principals or ()) if keys.unknown else ():
        at_best, at_worst = (match_entry(entry, principal, options, replace(keys, residual=r))[0] for r in (T, F))
        if at_best is T and at_worst is F:
            names.append(USER_ID if entry.form is Form.UNIQUE_ID else SERVICE_NAMES)
    return names


def _parse(entries: Iterable[PrincipalEntry]) -> list[ParsedPrincipal]:
    return [read_entry(entry.type, entry.value) for entry in entries]


def _options(statement: Statement, policy: Policy, gateway: bool) -> MatchOptions:
    is_allow = statement.effect is Effect.ALLOW
    return MatchOptions(policy.kind is PolicyKind.TRUST, gateway, is_allow, statement.not_principal)


def _check_principal(
    entries: Sequence[PrincipalEntry], principal: RequestPrincipal, options: MatchOptions, keys: StatementKeys
) -> PrincipalMatch:
    """`Principal`: the OR of its entries; it matches in each class in which one of them does (D51)."""
    levels = _match_classes(_parse(entries), principal, options, keys)
    certain = "".join(letter for letter in CLASSES if levels[letter] is T)
    possible = "".join(letter for letter in CLASSES if levels[letter] is not F)
    return PrincipalMatch(any_of(levels.values()), certain, possible)


def _check_not_principal(
    entries: Sequence[PrincipalEntry], principal: RequestPrincipal, options: MatchOptions, keys: StatementKeys
) -> PrincipalMatch:
    """`NotPrincipal` (N20): `Deny` applies unless the request is exempt (N21); `Allow` is N24. The class is `*`."""
    parsed = _parse(entries)
    everyone = any(entry.form in (Form.EVERYONE, Form.IDENTITIES) for entry in parsed)
    vague = [match_entry(entry, principal, options, keys)[0] for entry in parsed if entry.form is Form.VAGUE]
    levels = _match_classes((entry for entry in parsed if entry.form is not Form.VAGUE), principal, options, keys)
    levels = {letter: any_of([result, *vague]) for letter, result in levels.items()}
    listed = (_is_listed if options.allow else _is_exempt)(everyone, levels, principal.profile)
    result = negate(listed)
    return PrincipalMatch(result, "*" if result is T else "", "*" if result is not F else "")


def _match_classes(
    entries: Iterable[ParsedPrincipal], principal: RequestPrincipal, options: MatchOptions, keys: StatementKeys
) -> dict[str, Truth]:
    """The result of the entries in each class (3.3)."""
    levels = dict.fromkeys(CLASSES, F)
    for entry in entries:
        result, letter = match_entry(entry, principal, options, keys)
        if letter:
            levels[letter] = any_of((levels[letter], result))
    return levels


def _is_exempt(everyone: bool, levels: dict[str, Truth], profile: PrincipalProfile) -> Truth:
    """`NotPrincipal` with `Deny`: whether every identity level of the request is listed (N21 to N23, N4, N5)."""
    if profile.bounded and profile.kind in _CAN_BE_BOUNDED:
        return F
    if everyone:
        return T
    if profile.kind is PrincipalKind.ANON or _level_is_not_known(profile):
        return F
    return all_of(levels[letter] for letter in _levels_of(profile))


def _is_listed(everyone: bool, levels: dict[str, Truth], profile: PrincipalProfile) -> Truth:
    """`NotPrincipal` with `Allow`, lenient only: whether an entry lists the request on any identity level (N24)."""
    return T if everyone else any_of(levels[letter] for letter in _levels_of(profile))


def _level_is_not_known(profile: PrincipalProfile) -> bool:
    """The issuer of a federated user (N4), or which session of a role makes the request (N5)."""
    if profile.kind is PrincipalKind.FED:
        return not profile.issuer_known
    return profile.kind in (PrincipalKind.ROLE, PrincipalKind.SLR) and profile.session_arn is None


def _levels_of(profile: PrincipalProfile) -> str:
    return "DA" if profile.kind is PrincipalKind.FED and profile.issuer_root else _LEVELS[profile.kind]
