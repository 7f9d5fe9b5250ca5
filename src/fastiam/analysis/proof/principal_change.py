"""New access of one principal between two directories: the formula of all of its layers (6.4).

The policies of resources, RCPs and endpoints are equal on both sides here. Their result for a request is one unknown value that
both sides share: the classes of the match. INVARIANT: a request that only the new side allows makes the formula true for some
value. Session policies are not part of a directory: both sides have the same, and they read no key that differs.

What the directory knows of a principal is known on each side: its tags, and the unique id with which `aws:userid` begins. What a
session adds is one unknown value that both sides share: its name, its keys, and tags that replace those of the role (S22).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import combinations, product

from fastiam.analysis.proof.candidate_requests import text_of
from fastiam.analysis.proof.cells import ProofLimitError
from fastiam.analysis.proof.formula import Formula, every, negation, some
from fastiam.analysis.proof.key_values import Known, Starts
from fastiam.analysis.proof.resource_policies import SPECIAL_ACTIONS
from fastiam.analysis.proof.search import Applied, Candidate, Case, Gain, Scope, V
from fastiam.analysis.proof.statement_formulas import BoundStatement
from fastiam.model.arn import is_account, split_arn
from fastiam.model.decision import Layer, Outcome
from fastiam.model.key_registry import fold
from fastiam.model.policy import Policy
from fastiam.model.principal_layers import principal_layers
from fastiam.model.profile import (
    ROLES,
    WITH_SESSION_POLICIES,
    PrincipalKind,
    PrincipalProfile,
    ResourceProfile,
    Settings,
)
from fastiam.model.request import ContextValue
from fastiam.resolve.derived_keys import TAG as _TAG
from fastiam.resolve.keys_read import differing_keys, keys_read
from fastiam.spec.actions import split_action
from fastiam.spec.combining import DecisionInputs, combine
from fastiam.spec.layers import LayerVerdicts
from fastiam.spec.service_rules import credential_forbids, is_always_allowed, needs_resource_policy, service_refusal

_MAX_DIFFERING = 6
_USER_ID = "aws:userid"
_WITH_SESSION_TAGS = (*ROLES, PrincipalKind.FED)
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
    matches
        the classes in which the policies of resources can name the principal, in addition to none.
    """

    def __init__(self, before: PrincipalProfile, after: PrincipalProfile, settings: Settings, matches: Collection[str]) -> None:
        self.before, self.after, self._settings, self._matches = before, after, settings, ("", *matches)
        self._read = frozenset(keys_read(policy for profile in (before, after) for _, _, policy in _policies(profile)))

    def _statements(self, profile: PrincipalProfile, of_session: Collection[str]) -> list[BoundStatement]:
        """Return the statements of one side; `of_session` are the keys whose values sessions of both sides share."""
        known = known_keys(profile, self._read, of_session)
        starts: Starts = ()
        if profile.unique_id is not None and _USER_ID not in of_session and profile.kind in ROLES:
            starts = ((_USER_ID, f"{profile.unique_id}:"),)
        return [
            BoundStatement(policy, one, known, starts, layer, level)
            for layer, level, policy in _policies(profile)
            for one in policy.statements
        ]

    def _keys_of_sessions(self) -> Iterator[frozenset[str]]:
        """Yield each set of keys whose values sessions of both sides share; the directory knows the values of all others.

        A tag with one value on both sides is always shared: this value is among those that a session can give. The principal
        may be the role itself, without the name of a session, so that `aws:userid` has any value (N5).

        Raises
        ------
        ProofLimitError
            too many tags that policies read differ.
        """
        if self.after.kind not in _WITH_SESSION_TAGS:
            yield frozenset()
            return
        tags = {name for name in self._read if name.startswith(_TAG)}
        open_ = sorted(tags & differing_keys(self.before, self.after)) if self.before.known else []
        if self.after.kind in ROLES and _USER_ID in self._read:
            open_.append(_USER_ID)
        if len(open_) > _MAX_DIFFERING:
            raise ProofLimitError(f"policies read more than {_MAX_DIFFERING} keys that differ")
        for size in range(len(open_) + 1):
            for some_of in combinations(open_, size):
                yield frozenset((*tags.difference(open_), *some_of))

    def scope(self, partitions: Collection[str], always_present: frozenset[str], known_actions: bool) -> Scope:
        """Return the requests in question."""
        partition = self.after.partition
        always_present |= {name for profile in (self.before, self.after) for name in profile.keys if name.startswith(_TAG)}
        within = tuple(one for one in partitions if partition in (None, one))
        exempt = tuple((text,) for text in sorted(self._settings.scp_exempt_actions))
        services = tuple(f"{name}:*" for name in sorted(self._settings.resource_policy_services))
        elements = (*SPECIAL_ACTIONS, *exempt, services)
        return Scope(within, always_present, action_elements=elements, known_actions=known_actions)

    def cases(self, verify: Callable[[Candidate, str], V | None]) -> Iterator[Case[V]]:
        """Yield the case without a grant of a resource policy first, then those with one. `verify` takes the match too.

        Raises
        ------
        ProofLimitError
            there are too many.
        """
        for of_session in self._keys_of_sessions():
            old, new = (self._statements(profile, of_session) for profile in (self.before, self.after))
            names_sessions = any(one.starts for one in (*old, *new))
            for match in self._matches:
                yield Case(old, new, self._gain(match), partial(_verified, verify, match, names_sessions))

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
        if has_session and self.after.kind not in WITH_SESSION_POLICIES or not same_account and not match:
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


def _verified(verify: Callable[[Candidate, str], V | None], match: str, names_sessions: bool, candidate: Candidate) -> V | None:
    """Verify a candidate. With `names_sessions` its value of `aws:userid` is the name of a session."""
    if names_sessions:
        values = {name: value for name, value in candidate.values.items() if fold(name) != _USER_ID}
        candidate = replace(candidate, values=values, session_name=text_of(candidate, _USER_ID) or "")
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


def known_keys(profile: PrincipalProfile, read: Iterable[str], of_session: Collection[str] = ()) -> Known:
    """Return which of some keys have one value in all sessions of the principal, None for an absent one.

    Keys that a session carries (class S) can differ between sessions, so that they are not known here; `of_session` are further
    ones.
    """
    found: list[tuple[str, ContextValue | None]] = []
    prefixes = tuple(name for name in profile.absent_keys if name.endswith("/"))
    for name in sorted(read):
        if name in of_session or not (name in _KEYS_OF_ACCOUNT or _is_of_entity(profile, name)):
            continue
        if name in profile.keys:
            found.append((name, profile.keys[name]))
        elif name in profile.absent_keys or name.startswith(prefixes) or _is_without(profile, name):
            found.append((name, None))
    return tuple(found)


def _is_of_entity(profile: PrincipalProfile, name: str) -> bool:
    """Whether the record of a root user, user, role or issuer determines a key."""
    if name.startswith(_TAG):
        return True
    if profile.kind is PrincipalKind.FED:
        return False
    if name == _USER_ID:
        return profile.kind is PrincipalKind.USER or profile.kind in ROLES and profile.unique_id is None
    return name in ("aws:principalarn", "aws:principaltype", "aws:username")


def _is_without(profile: PrincipalProfile, name: str) -> bool:
    """Whether a role is without a key unless a session has it: a tag, or `aws:userid` if its unique id is not known."""
    return profile.kind in ROLES and (name == _USER_ID or name.startswith(_TAG))


def _policies(profile: PrincipalProfile) -> Iterator[tuple[Layer, int, Policy]]:
    """Yield the policies of the directory with layer and level."""
    for layer, levels in principal_layers(profile).items():
        for level, policies in enumerate(levels if layer is not Layer.SESSION else ()):
            yield from ((layer, level, policy) for policy in policies)
