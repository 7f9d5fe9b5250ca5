"""New access of one principal between two directories: the formula of all of its layers (6.4).

The policies of resources, RCPs and endpoints are equal on both sides here. Their result for a request is one unknown value that
both sides share: the classes of the match. INVARIANT: a request that only the new side allows makes the formula true for some
value. Session policies are not part of a directory: both sides have the same, and they read no key that differs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product

from fastiam.analysis.principal_layers import principal_layers
from fastiam.analysis.proof_formula import Formula, every, negation, some
from fastiam.analysis.proof_keys import Known
from fastiam.analysis.proof_resource_policies import SPECIAL_ACTIONS
from fastiam.analysis.proof_search import Applied, Candidate, Case, Gain, Scope, V
from fastiam.analysis.proof_statements import BoundStatement
from fastiam.model.arn import is_account, split_arn
from fastiam.model.decision import Layer, Outcome
from fastiam.model.key_registry import fold
from fastiam.model.policy import Policy
from fastiam.model.profile import ROLES, PrincipalKind, PrincipalProfile, ResourceProfile, Settings
from fastiam.model.request import ContextValue
from fastiam.spec.actions import split_action
from fastiam.spec.combining import DecisionInputs, combine
from fastiam.spec.layers import LayerVerdicts
from fastiam.spec.service_rules import credential_forbids, is_always_allowed, needs_resource_policy, service_refusal
from fastiam.spec.variables import read_tokens, variables_of

_KEYS_OF_ACCOUNT = (
    "aws:principalaccount",
    "aws:principalorgid",
    "aws:principalorgpaths",
    "aws:principalorgmasteraccountid",
    "aws:principalisawsservice",
)


@dataclass(frozen=True, slots=True)
class LayerFormulas:
    """When the layers of one side allow or deny."""

    denied: Formula
    scp: Formula
    identity: Formula
    boundary: Formula


class PrincipalChange:
    """A principal before and after a change of its own policies or keys.

    Attributes
    ----------
    matches : the classes in which the policies of resources can name the principal, in addition to none.
    """

    def __init__(self, before: PrincipalProfile, after: PrincipalProfile, settings: Settings, matches: Collection[str]) -> None:
        self.before, self.after, self._settings, self._matches = before, after, settings, ("", *matches)
        self.old, self.new = self._statements(before), self._statements(after)

    def _statements(self, profile: PrincipalProfile) -> list[BoundStatement]:
        found: list[BoundStatement] = []
        for layer, levels in principal_layers(profile).items():
            for level, policies in enumerate(levels if layer is not Layer.SESSION else ()):
                for policy in policies:
                    known = known_keys(profile, (policy,))
                    found += [BoundStatement(policy, one, known, layer, level) for one in policy.statements]
        return found

    def scope(self, partitions: Collection[str], always_present: frozenset[str], known_actions: bool) -> Scope:
        """Return the requests in question."""
        partition = self.after.partition
        within = tuple(one for one in partitions if partition in (None, one))
        exempt = tuple((text,) for text in sorted(self._settings.scp_exempt_actions))
        services = tuple(f"{name}:*" for name in sorted(self._settings.resource_policy_services))
        elements = (*SPECIAL_ACTIONS, *exempt, services)
        return Scope(within, always_present, action_elements=elements, known_actions=known_actions)

    def cases(self, verify: Callable[[Candidate, str], V | None]) -> Iterator[Case[V]]:
        """Yield the case without a grant of a resource policy first, then those with one. `verify` takes the match too."""
        for match in self._matches:
            yield Case(self.old, self.new, self._gain(match), partial(_swapped, verify, match))

    def _gain(self, match: str) -> Gain:
        def gain(old: Applied, new: Applied, action: str, resource: str) -> Sequence[Formula]:
            before, after = self._formulas(old, self.before), self._formulas(new, self.after)
            found = []
            for same_account, has_session in product((True, False), (True, False)):
                if not self._can_be(same_account, has_session, resource, match):
                    continue
                terms = []
                for profile, formulas in ((self.before, before), (self.after, after)):
                    inputs = self._inputs(profile, action, resource, same_account)
                    exempt = action.lower() in self._settings.scp_exempt_actions
                    formulas = replace(formulas, scp=True) if exempt else formulas
                    terms.append(_allowed(inputs, formulas, match, not has_session))
                found.append(every((terms[1], negation(terms[0]))))
            return found

        return gain

    def _can_be(self, same_account: bool, has_session: bool, resource: str, match: str) -> bool:
        """Whether a request can have this owner, session and match."""
        if has_session and self.after.kind not in (*ROLES, PrincipalKind.FED) or not same_account and not match:
            return False  # without a resource policy, nothing is allowed in another account
        arn = split_arn(resource)
        return arn is None or not is_account(arn.account) or same_account is (arn.account == self.after.account)

    def _inputs(self, profile: PrincipalProfile, action: str, resource: str, same_account: bool) -> DecisionInputs:
        call = split_action(action)
        target = ResourceProfile(resource or "*", partition=profile.partition, account=profile.account if same_account else None)
        refusal = service_refusal(profile, target, call, self._settings)
        return DecisionInputs(
            kind=profile.kind,
            known=profile.known,
            always_allowed=is_always_allowed(profile, call),
            credential_forbids=credential_forbids(profile, call),
            public_access=False,
            service_refusal=refusal,
            required=bool(resource) and needs_resource_policy(target, call, self._settings),
            same_account=same_account,
            chained_identity=call == ("sts", "setsourceidentity") and profile.kind in ROLES,
            issued_by_root=profile.issuer_root,
        )

    def _formulas(self, applied: Applied, profile: PrincipalProfile) -> LayerFormulas:
        allows: dict[tuple[Layer, int], list[Formula]] = {}
        denies: list[Formula] = []
        for one, formula in applied:
            if one.is_allow:
                allows.setdefault((one.layer, one.level), []).append(formula)
            else:
                denies.append(formula)

        def allowed(layer: Layer, level: int = 0) -> Formula:
            return some(allows.get((layer, level), ()))

        scps = profile.scps
        return LayerFormulas(
            some(denies),
            True if scps is None else bool(scps) and every(allowed(Layer.SCP, level) for level in range(len(scps))),
            allowed(Layer.IDENTITY),
            True if profile.boundary is None else allowed(Layer.BOUNDARY),
        )


def _swapped(verify: Callable[[Candidate, str], V | None], match: str, candidate: Candidate) -> V | None:
    return verify(candidate, match)


def _allowed(inputs: DecisionInputs, formulas: LayerFormulas, match: str, session: bool) -> Formula:
    """Return when the combining algorithm allows, from its results for all results of the layers."""
    if not inputs.known or inputs.credential_forbids or inputs.always_allowed:
        return inputs.known and inputs.always_allowed
    parts = (formulas.denied, formulas.scp, formulas.identity, formulas.boundary)
    terms = []
    for values in _allowing(inputs, match, session):
        terms.append(
            every(part if value else negation(part) for part, value in zip(parts, values, strict=True) if value is not None)
        )
    return some(terms)


@lru_cache(maxsize=4096)
def _allowing(inputs: DecisionInputs, match: str, session: bool) -> tuple[tuple[bool | None, ...], ...]:
    """Return the results of Deny, SCP, identity and boundary with which a request is allowed; None: either."""
    found = set()
    for denied, scp, identity, boundary in product((False, True), repeat=4):
        verdicts = LayerVerdicts(
            denied=(Layer.IDENTITY,) if denied else (),
            scp=scp,
            scp_failing=(),
            vpce=True,
            match=frozenset(match),
            identity=identity,
            boundary=boundary,
            session=session,
        )
        if combine(inputs, verdicts).outcome is Outcome.ALLOW:
            found.add((denied, scp, identity, boundary))
    return tuple(_merged(found))


def _merged(found: Iterable[tuple[bool | None, ...]]) -> set[tuple[bool | None, ...]]:
    """Join terms that differ only in one result: it does not matter."""
    terms = set(found)
    for place in range(4):
        for term in sorted(terms, key=repr):
            other = (*term[:place], None if term[place] is None else not term[place], *term[place + 1 :])
            if term[place] is True and {term, other} <= terms:
                terms -= {term, other}
                terms.add((*term[:place], None, *term[place + 1 :]))
    return terms


# -- keys -------------------------------------------------------------------------------------------------------------


def known_keys(profile: PrincipalProfile, policies: Iterable[Policy]) -> Known:
    """Return the keys of some policies that have one value in all sessions of the principal, None for an absent one.

    Keys that a session carries (class S) can differ between sessions, so that they are not known here.
    """
    found: list[tuple[str, ContextValue | None]] = []
    prefixes = tuple(name for name in profile.absent_keys if name.endswith("/"))
    for name in dict.fromkeys(keys_read(policies)):
        if name not in _KEYS_OF_ACCOUNT and not (profile.kind is not PrincipalKind.FED and _is_of_entity(profile, name)):
            continue
        if name in profile.keys:
            found.append((name, profile.keys[name]))
        elif name in profile.absent_keys or name.startswith(prefixes):
            found.append((name, None))
    return tuple(found)


def _is_of_entity(profile: PrincipalProfile, name: str) -> bool:
    """Whether all sessions of a root user, user or role have the same value of a key."""
    if name in ("aws:principalarn", "aws:principaltype", "aws:username"):
        return True
    return profile.kind is PrincipalKind.USER and (name == "aws:userid" or name.startswith("aws:principaltag/"))


def keys_read(policies: Iterable[Policy]) -> Iterator[str]:
    """Yield the folded keys that statements read, in conditions and in variables."""
    for policy in policies:
        for statement in policy.statements:
            texts = list(statement.resources or ())
            for entry in statement.conditions:
                yield fold(entry.key)
                texts += entry.values
            for text in texts if policy.variables else ():
                if "${" in text:
                    yield from (one.name for one in variables_of(read_tokens(text, True, True)) if one.name)


def differing_keys(before: PrincipalProfile, after: PrincipalProfile) -> frozenset[str]:
    """Return the keys whose values differ between two profiles of a principal."""
    names = before.keys.keys() | after.keys.keys()
    return frozenset(name for name in names if before.keys.get(name) != after.keys.get(name))
