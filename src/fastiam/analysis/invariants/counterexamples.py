"""Counterexamples: a candidate becomes a request, which both evaluators decide (T56, T73).

INVARIANT: a request that is returned is in scope, and the engine and the specification evaluator allow it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from fastiam.analysis.invariants.cases import Case
from fastiam.analysis.invariants.key_domains import CALLED_VIA, SOURCE_IP, SOURCE_VPCE, TAG, VIA
from fastiam.analysis.invariants.scope import action_policy, resource_policy
from fastiam.analysis.invariants.subjects import ISSUED, MFA, MFA_AGE, SOURCE_IDENTITY, USER_ID
from fastiam.analysis.proof.candidate_requests import NOW, ProofRequest
from fastiam.analysis.proof.key_values import CLOCK, CLOCK_NAME
from fastiam.analysis.proof.search import Candidate
from fastiam.errors import FastiamError
from fastiam.model.arn import split_arn
from fastiam.model.decision import Layer, StatementRef
from fastiam.model.explanation import Explanation
from fastiam.model.key_registry import SetBy, fold, set_by, spelled
from fastiam.model.policy import Effect, Policy, PolicyKind
from fastiam.model.profile import (
    OF_SERVICES,
    ROLES,
    WITH_LONG_TERM_KEYS,
    EndpointProfile,
    PrincipalKind,
    PrincipalProfile,
    ResourceProfile,
)
from fastiam.model.protocols import AnalysisEngine
from fastiam.model.request import ContextValue, Request
from fastiam.model.session import Session
from fastiam.policy.document import read_policy
from fastiam.resolve.derived_keys import single
from fastiam.simulation.ad_hoc_engine import decide_profiles
from fastiam.spec import decide
from fastiam.spec.actions import split_action
from fastiam.spec.context import Sources, derive_context
from fastiam.spec.principal_entries import make_request_principal
from fastiam.spec.statement import EvaluationContext, StatementLocation, evaluate_statement
from fastiam.spec.three_valued import T
from fastiam.spec.values import read_date

_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_EVERYTHING = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
_CHAIN = ("aws:calledviafirst", "aws:calledvialast")
Keys = dict[str, ContextValue]


@dataclass(frozen=True, slots=True)
class Verified:
    """A request with its explanation.

    Attributes
    ----------
    note
        what the engine of the directory cannot be asked.
    is_assumed
        policies that no record has are taken to allow it.
    """

    request: ProofRequest
    explanation: Explanation
    statement: StatementRef | None
    note: str = ""
    is_assumed: bool = False


class Verifier:
    """The check of candidates over an engine."""

    def __init__(self, engine: AnalysisEngine) -> None:
        self._engine = engine

    def verify(self, case: Case, candidate: Candidate) -> Verified | None:
        """Return the request of a candidate, if both evaluators decide it as the proof asks and it is in scope; else None."""
        made = _request_of(case, candidate)
        return None if made is None else self._verified(case, candidate, *made)

    def _verified(self, case: Case, candidate: Candidate, keys: Keys, now: datetime, name: str) -> Verified | None:
        subject, allowed = case.subject, not case.world.denied
        profile = _profile(case, name)
        named = replace(subject, names=(profile.name, *subject.names[1:]))
        if not case.world.scope.has_principal(named, case.home):
            return None  # keys such as `aws:userid` say the name of a session that is not in scope
        resource, note = self._resource(case, candidate, profile, keys)
        endpoint = case.route.endpoint
        given = Request(candidate.action, keys, int(now.timestamp()))
        settings = self._engine.settings
        explanation = decide(profile, resource, given, endpoint=endpoint, settings=settings)
        if explanation.decision.allowed is not allowed or not self._is_in_scope(case, profile, resource, endpoint, given):
            return None
        if decide_profiles(profile, resource, given, endpoint, settings).allowed is not allowed:
            return None
        used_clock = CLOCK_NAME in candidate.values or any(fold(one) in CLOCK for one in candidate.values)
        shown = ProofRequest(
            profile.name, candidate.action, candidate.resource, _shown(keys), _owner(case, candidate), now if used_clock else None
        )
        statement = next((one.ref for one in explanation.statements if one.effect is Effect.ALLOW and _grants(one.ref)), None)
        is_assumed = case.any_policy or case.route.is_unknown or not subject.is_recorded
        if not note and subject.is_recorded:
            is_same = self._is_in_scope(case, profile, resource, endpoint, given, self._engine.snapshot.account_facts)
            asked = self._asked(case, candidate, keys, now, name) if is_same else None
            if asked is not None:
                request, found = asked
                return Verified(request, found, found.decision.statement or statement, "", is_assumed)
            note = self._unaskable(case, profile)
            if not note:
                return None  # the engine of the directory decides otherwise: this is not a request of the directory
        return Verified(shown, explanation, explanation.decision.statement or statement, note or _external(case), is_assumed)

    # -- the engine of the directory ------------------------------------------------------------------------------------

    def _asked(
        self, case: Case, candidate: Candidate, keys: Keys, now: datetime, name: str
    ) -> tuple[ProofRequest, Explanation] | None:
        """Return the request and its explanation if the engine of the directory decides it so."""
        caller = _caller(case, keys, now, name)
        if caller is None:
            return None
        principal, of_session = caller
        context = _shown({key: value for key, value in keys.items() if key not in of_session})
        absent: dict[str, None] = {}
        for key in self._engine.context_defaults:
            if key not in keys:
                absent[spelled(key)] = None
        owner = _owner(case, candidate)
        arguments = (principal, candidate.action, candidate.resource, {**context, **absent})
        try:
            decision = self._engine.decide(*arguments, resource_account=owner, now=now)
            if decision.allowed is case.world.denied:
                return None
            explanation = self._engine.explain(*arguments, resource_account=owner, now=now)
        except FastiamError:
            return None  # the request contradicts the directory
        if explanation.decision.allowed is case.world.denied:
            return None
        session = principal if isinstance(principal, Session) else None
        text = principal if isinstance(principal, str) else principal.arn
        used_clock = any(fold(one) in CLOCK for one in candidate.values)
        request = ProofRequest(text, candidate.action, candidate.resource, context, owner, now if used_clock else None, session)
        return request, explanation

    def _unaskable(self, case: Case, profile: PrincipalProfile) -> str:
        """Return why a request that evaluators allow is not one that the engine can be asked; "" if it should be."""
        if case.subject.sign_in:
            return "the credentials of a sign-in to the console are none that the engine knows"
        if case.route.is_unknown and self._engine.snapshot.has_endpoint_policies:
            return "the VPC endpoint is none of the directory, which an engine denies (D40)"
        if case.subject.kind is PrincipalKind.SVC and case.source.home is not None:
            return "the engine derives the organization of `aws:SourceAccount`"
        return ""

    # -- profiles -------------------------------------------------------------------------------------------------------

    def _resource(self, case: Case, candidate: Candidate, profile: PrincipalProfile, keys: Keys) -> tuple[ResourceProfile, str]:
        """Return the profile of the resource, and what the engine cannot be asked about it."""
        arn = candidate.resource
        if case.any_policy:
            policies = None if arn == "*" or case.world.denied else (_any_policy(profile),)
            return case.target(arn, policies), "the policy of the resource is unknown"
        if case.everywhere is not None or arn == "*":
            return case.target(arn, case.everywhere), ""
        try:
            found = self._engine.snapshot.resource(arn, candidate.action, profile, resource_account=case.owner.account)
        except FastiamError:
            return replace(case.target(arn, None), unknown_owner=True), ""
        tags = {key for key in found.keys if key.startswith("aws:resourcetag/") and key not in keys}
        read = {key for key in tags if key in case.world.keys or "iam:" + key.partition(":")[2] in case.world.keys}
        if case.tags is None or not read:
            return found, ""
        kept = {key: value for key, value in found.keys.items() if key not in read}
        return replace(found, keys=kept), "AWS does not send the tags of the resource for each action"

    def _is_in_scope(
        self,
        case: Case,
        profile: PrincipalProfile,
        resource: ResourceProfile,
        endpoint: EndpointProfile | None,
        request: Request,
        sources: Sources | None = None,
    ) -> bool:
        """Whether the request of the evaluators is in scope and not excepted; with `sources` as the engine derives its keys."""
        keys, _ = derive_context(profile, resource, endpoint, request, self._engine.settings, sources)
        call = split_action(request.action)
        principal = make_request_principal(profile, resource.partition, request.context, call)
        context = EvaluationContext(principal, call, resource.arn, keys, ())

        def holds(policy: Policy) -> bool:
            location = StatementLocation(Layer.IDENTITY, 0, policy, False, False)
            return evaluate_statement(policy.statements[0], location, context).result is T

        def matches(choices: Iterable[Iterable[str]]) -> bool:
            return any(all(holds(resource_policy(text)) for text in choice) for choice in choices)

        scope = case.world.scope
        if not holds(action_policy(scope.actions)) or scope.given and not any(map(holds, scope.given)):
            return False
        if any(map(holds, scope.only_if)):
            return False
        if scope.except_actions and holds(action_policy(scope.except_actions)):
            return False
        if not matches(scope.owner_choices(case.owner, scope.resources)):
            return False
        return not matches(scope.owner_choices(case.owner, scope.except_resources))


def _grants(ref: StatementRef) -> bool:
    return ref.layer in (Layer.IDENTITY, Layer.RESOURCE)


def _external(case: Case) -> str:
    return "" if case.subject.is_recorded else "the principal has no record; its own policies are taken to allow everything"


def _any_policy(profile: PrincipalProfile) -> Policy:
    """Return a policy of a resource that allows every principal, and the principal by its name."""
    statements: list[dict[str, object]] = [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}]
    if profile.account is not None and (name := profile.session_arn or profile.user_arn):
        statements.append({"Effect": "Allow", "Principal": {"AWS": name}, "Action": "*", "Resource": "*"})
    return read_policy({"Version": "2012-10-17", "Statement": statements}, PolicyKind.RESOURCE, mode="lenient", name="any policy")


def _owner(case: Case, candidate: Candidate) -> str | None:
    """Return the owner that a request has to give: its ARN does not say it."""
    arn = split_arn(candidate.resource)
    if candidate.resource == "*" or arn is not None and arn.account == case.owner.account:
        return None
    return None if case.world.records.facts(candidate.resource).account == case.owner.account else case.owner.account


def _request_of(case: Case, candidate: Candidate) -> tuple[Keys, datetime, str] | None:
    """Return the keys of a request that no profile gives, its instant, and the name of the session; None if there is none."""
    subject, keys, now = case.subject, Keys(), NOW
    values = {**{fold(key): value for key, value in candidate.others.items()}}
    values |= {fold(key): value for key, value in candidate.values.items()}
    names = {fold(key): key for key in (*candidate.others, *candidate.values)}
    tails: dict[str, str] = {}
    for key, found in values.items():
        if found.value is None:
            continue
        if key in CLOCK:
            if names[key] in candidate.values:
                now = datetime.fromtimestamp(int(found.value.values[0]), UTC)
        elif key in subject.starts:
            tails[key] = found.value.values[0]
        else:
            keys[key] = replace(found.value, name=names[key])
    for key, value in (*subject.fixed.items(), *case.route.fixed.items(), *case.assumed.items()):
        if key.startswith("aws:principal") or key in (USER_ID, "aws:username"):
            continue
        if value is None:
            keys.pop(key, None)
        else:
            keys[key] = replace(value, name=spelled(key))
    for key, value in case.assumed.items():
        if value is not None and (key.startswith(TAG) or key in case.subject.domains):
            keys[key] = replace(value, name=spelled(key))
    if not _joined_chain(keys):
        return None
    if SOURCE_IP in case.world.keys and _lacks_address(case, keys):
        keys[VIA] = single("true")
    name = _session_name(case, tails)
    return None if name is None else (keys, now, name)


def _lacks_address(case: Case, keys: Keys) -> bool:
    return SOURCE_IP not in keys and SOURCE_VPCE not in keys and VIA not in keys and case.subject.kind not in OF_SERVICES


def _joined_chain(keys: Keys) -> bool:
    """Write the chain of services that the keys say; False if they contradict each other (5.4)."""
    first, last = (keys.pop(key, None) for key in _CHAIN)
    ends = [one.values[0] for one in (first, last) if one is not None]
    chain = keys.get(CALLED_VIA)
    if not ends:
        return True
    if chain is None:
        keys[CALLED_VIA] = ContextValue(tuple(dict.fromkeys(ends)), True, name=spelled(CALLED_VIA))
        return True
    return (first is None or first.values[0] == chain.values[0]) and (last is None or last.values[0] == chain.values[-1])


def _session_name(case: Case, tails: Mapping[str, str]) -> str | None:
    """Return the name of the session, or of the user or role that stands for all others; None if no name fits."""
    subject = case.subject
    own = subject.profile.name.rpartition("/")[2]
    if subject.kind in (*ROLES, PrincipalKind.FED):
        wanted = {tail for key, tail in tails.items() if key == USER_ID or subject.kind is PrincipalKind.FED}
    else:
        wanted = {tail for key, tail in tails.items() if key == "aws:principalarn"}
    if len(wanted) > 1:
        return None
    name = next(iter(wanted), own)
    return name if _SESSION_NAME.fullmatch(name) or subject.kind not in (*ROLES, PrincipalKind.FED) else None


def _profile(case: Case, name: str) -> PrincipalProfile:
    """Return the profile of the principal with a name in place of that of its class."""
    subject, profile = case.subject, case.subject.profile
    keys = {key: value for key, value in profile.keys.items() if key not in subject.starts and key not in subject.domains}
    for key, value in subject.fixed.items():
        if key in (USER_ID, "aws:principalarn") and value is not None:
            keys[key] = value
    if subject.kind in (*ROLES, PrincipalKind.FED):
        arn = profile.name.rpartition("/")[0] + "/" + name
        is_role = subject.kind in ROLES
        if USER_ID in subject.starts:
            keys[USER_ID] = single(subject.starts[USER_ID] + name)
        if not is_role:
            keys["aws:principalarn"] = single(arn)
        elif "aws:principalarn" in subject.starts:
            keys["aws:principalarn"] = profile.keys["aws:principalarn"]
        return replace(profile, name=arn, session_arn=arn if is_role else None, keys=keys)
    if "aws:principalarn" in subject.starts:
        arn = subject.starts["aws:principalarn"] + name
        keys["aws:principalarn"] = single(arn)
        keys["aws:username"] = single(name.rpartition("/")[2])
        return replace(profile, name=arn, user_arn=arn, keys=keys)
    return replace(profile, keys=keys)


def _caller(case: Case, keys: Keys, now: datetime, name: str) -> tuple[str | Session, frozenset[str]] | None:
    """Return the principal that an engine is asked about, and the keys that it carries; None if an engine knows none."""
    subject, profile = case.subject, case.subject.profile
    carried = frozenset(key for key in keys if set_by(key) is SetBy.SESSION or key.startswith(TAG))
    issued = _instant(keys.get(ISSUED))
    context: dict[str, str | list[str] | None] = {
        keys[key].name or spelled(key): _plain(keys[key])
        for key in carried
        if key not in (ISSUED, MFA, MFA_AGE, SOURCE_IDENTITY) and not key.startswith(TAG)
    }
    identity = keys.get(SOURCE_IDENTITY)
    tags = {(keys[key].name or key)[len(TAG) :]: keys[key].values[0] for key in carried if key.startswith(TAG)}
    if subject.kind in WITH_LONG_TERM_KEYS:
        if not subject.sign_in and not profile.temporary:
            return profile.name, frozenset()
        has_mfa = keys.get(MFA) == single("true")
        age = keys.get(MFA_AGE)
        at = None
        if has_mfa:
            try:
                at = datetime.fromtimestamp(now.timestamp() - (0 if age is None else int(float(age.values[0]))), UTC)
            except (ValueError, OverflowError, OSError):
                return None
        session = Session(profile.name, kind=subject.kind, issuer=profile.name, issued_at=issued, mfa_at=at, context=context)
        return session, carried | {MFA, MFA_AGE}
    arn = profile.name.rpartition("/")[0] + "/" + name
    source = None if identity is None else identity.values[0]
    if subject.kind in ROLES:
        if MFA not in keys and MFA in case.world.keys:
            context["aws:MultiFactorAuthPresent"] = None
        session = Session(
            arn, kind=subject.kind, issuer=subject.issuer, tags=tags, issued_at=issued, source_identity=source, context=context
        )
        return session, carried
    if subject.kind is PrincipalKind.FED:
        session = Session(
            arn, kind=subject.kind, issuer=subject.issuer, policies=[_EVERYTHING], tags=tags, issued_at=issued, context=context
        )
        return session, carried
    if subject.kind is PrincipalKind.AROOT:
        policies = [one.arn for one in profile.session_policies or () if one.arn is not None]
        session = Session(profile.name, kind=subject.kind, policies=policies, issued_at=issued, context=context)
        return session, carried
    return profile.name, frozenset()


def _instant(value: ContextValue | None) -> datetime | None:
    found = None if value is None else read_date(value.values[0])
    try:
        return None if found is None else datetime.fromtimestamp(found[0], UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _plain(value: ContextValue) -> str | list[str]:
    return list(value.values) if value.multi else value.values[0]


def _shown(keys: Mapping[str, ContextValue]) -> dict[str, str | list[str]]:
    return {value.name or spelled(key): _plain(value) for key, value in sorted(keys.items())}


def variable_values(pattern: str, resource: str) -> Iterator[dict[str, str]]:
    """Yield values of the variables of a resource pattern with which it matches a resource."""
    names: list[str] = []

    def part(found: re.Match[str]) -> str:
        if found[0] in ("*", "?"):
            return ".*" if found[0] == "*" else "."
        if found[0].startswith("${"):
            inner = found[1]
            if inner in ("*", "?", "$"):
                return re.escape(inner)
            names.append(fold(inner.partition(",")[0].strip()))
            return "(.+?)"
        return re.escape(found[0])

    expression = re.sub(r"\$\{([^}]*)\}|[*?]|[^*?$]+|\$", part, pattern)
    matched = re.fullmatch(expression, resource, re.DOTALL)
    if matched is not None:
        values: dict[str, str] = {}
        for name, text in zip(names, matched.groups(), strict=True):
            if values.setdefault(name, text) != text:
                return
        yield values
