"""The `Principal` and `NotPrincipal` elements (spec 3.3, 3.4): all entries together."""

from __future__ import annotations

from dataclasses import dataclass

from fastiam.model.policy import Effect, Policy, PolicyKind, Statement
from fastiam.model.profile import PrincipalKind, PrincipalProfile
from fastiam.spec.principals import CLASSES, Asker, Form, Setting, match_entry, read_entry
from fastiam.spec.statement_trace import View
from fastiam.spec.three_valued import F, T, Truth, U, all_of, any_of, negate

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


def check_principals(statement: Statement, policy: Policy, asker: Asker, gateway: bool, view: View) -> PrincipalMatch:
    """The principal element of a statement; without one it names everybody (V9)."""
    if statement.principals is None:
        return PrincipalMatch(T, "*", "*")
    inverted, allow = statement.not_principal, statement.effect is Effect.ALLOW
    setting = Setting(policy.kind is PolicyKind.TRUST, gateway, allow, inverted)
    everyone, vague, levels = False, F, dict.fromkeys(CLASSES, F)
    for entry in statement.principals:
        named = read_entry(entry.type, entry.value)
        result, letter = match_entry(named, asker, setting, view)
        everyone = everyone or named.form in (Form.EVERYONE, Form.IDENTITIES)
        if inverted and named.form is Form.VAGUE:
            vague = U
        elif letter:
            levels[letter] = max(levels[letter], result)
    if not inverted:
        return _principal(levels)
    levels = {letter: max(result, vague) for letter, result in levels.items()}
    if allow:
        return _allow_not_principal(everyone, levels, asker.profile)
    result = negate(_is_exempt(everyone, levels, asker.profile))
    return PrincipalMatch(result, "*" if result is T else "", "*" if result is not F else "")


def _principal(levels: dict[str, Truth]) -> PrincipalMatch:
    """`Principal`: the OR of its entries; it matches in every class in which one of them does (D51)."""
    certain = "".join(letter for letter in CLASSES if levels[letter] is T)
    possible = "".join(letter for letter in CLASSES if levels[letter] is not F)
    return PrincipalMatch(any_of(levels.values()), certain, possible)


def _is_exempt(everyone: bool, levels: dict[str, Truth], profile: PrincipalProfile) -> Truth:
    """`NotPrincipal` with `Deny`: whether every identity level of the request is listed (N21 to N23, N4, N5)."""
    if profile.bounded and profile.kind in _CAN_BE_BOUNDED:
        return F
    if everyone:
        return T
    if profile.kind is PrincipalKind.ANON or _level_is_not_known(profile):
        return F
    return all_of(levels[letter] for letter in _levels_of(profile))


def _allow_not_principal(everyone: bool, levels: dict[str, Truth], profile: PrincipalProfile) -> PrincipalMatch:
    """`NotPrincipal` with `Allow`, lenient alone: matches whom no entry lists on any level, in class `*` (N24)."""
    listed = T if everyone else any_of(levels[letter] for letter in _levels_of(profile))
    result = negate(listed)
    return PrincipalMatch(result, "*" if result is T else "", "*" if result is not F else "")


def _level_is_not_known(profile: PrincipalProfile) -> bool:
    """The issuer of a federated user (N4), or which session of a role asks (N5)."""
    if profile.kind is PrincipalKind.FED:
        return not profile.issuer_known
    return profile.kind in (PrincipalKind.ROLE, PrincipalKind.SLR) and profile.session_arn is None


def _levels_of(profile: PrincipalProfile) -> str:
    return "DA" if profile.kind is PrincipalKind.FED and profile.issuer_root else _LEVELS[profile.kind]
