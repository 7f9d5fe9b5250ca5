"""Role chains: whether a principal of a scope can reach a role that violates an invariant (T87, T88).

Decided backwards: the roles that may violate the invariant, then those who may assume them, and so on. INVARIANT: HOLDS is
returned only if no principal of the scope is found, where each call that a proof does not exclude counts as possible.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastiam.analysis.invariants.classes import Member
from fastiam.analysis.invariants.invariant_run import EVERYTHING, InvariantRun, Opened
from fastiam.analysis.invariants.model import Invariant, InvariantOutcome, InvariantResult
from fastiam.analysis.invariants.organization_analysis import OrganizationAnalysis
from fastiam.analysis.invariants.scope import InvariantScope
from fastiam.analysis.proof.candidate_requests import NOW, ProofRequest
from fastiam.analysis.proof.cells import ProofLimitError
from fastiam.analysis.proof.formula import Budget
from fastiam.model.arn import split_arn
from fastiam.model.key_registry import fold
from fastiam.model.profile import PROVIDERS, ROLES, PrincipalKind
from fastiam.model.protocols import AnalysisEngine

_MAX_ROLES, _MAX_STEPS, _MAX_VERIFIED = 1_000, 10, 20
_CALLS = ("sts:AssumeRole", "sts:AssumeRoleWithSAML", "sts:AssumeRoleWithWebIdentity")
_NAME_OF_SESSION = "sts:rolesessionname"
_PASSED = ("aws:requesttag/", "aws:tagkeys", "sts:transitivetagkeys", "sts:sourceidentity")  # keys of a call that its session has
_OF_PROVIDERS = ("aws:federatedprovider", "aws:multifactorauthpresent")  # differ between sessions of AssumeRole and of providers
_OPEN = "no request verifies each step of a chain of roles"
_UNRECORDED = "roles of accounts without a record may be assumed"
_ELSEWHERE = "`fastiam escalations --to` finds other ways, such as iam:PassRole"


@dataclass(frozen=True, slots=True)
class _Step:
    """A role that may be reached, and the one that it may assume next; None: it may violate the invariant itself."""

    role: str
    following: _Step | None = None

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles of the chain in order."""
        return (self.role, *(() if self.following is None else self.following.roles))


def prove_through_roles(
    engine: AnalysisEngine, invariant: Invariant, scope: InvariantScope, own: InvariantResult, budget: Budget
) -> InvariantResult:
    """Return the result with chains of roles; `own` is that for the principals' own requests."""
    if own.result is InvariantOutcome.FAILS:
        return own
    search = _Search(engine, invariant, scope, budget)
    try:
        found = search.result(own)
    except ProofLimitError as error:
        return replace(own, result=InvariantOutcome.UNDECIDED, reason=str(error))
    return replace(found, combinations=budget.tried)


class _Search:
    """The search for chains, from the roles that violate an invariant to the principals of its scope."""

    def __init__(self, engine: AnalysisEngine, invariant: Invariant, scope: InvariantScope, budget: Budget) -> None:
        self._engine, self._invariant, self._scope, self._budget = engine, invariant, scope, budget
        self._assumptions: dict[str, None] = {}
        self._has_unrecorded = False

    def result(self, own: InvariantResult) -> InvariantResult:
        """Return the result."""
        n_verified = 0
        is_open = False
        for subject, step in self._chains():
            is_open = True
            if n_verified >= _MAX_VERIFIED:
                break
            n_verified += 1
            path = self._path(subject, step)
            if path is not None:
                return self._failed(own, path)
        if is_open:
            return replace(own, result=InvariantOutcome.UNDECIDED, reason=f"{_OPEN}; {_ELSEWHERE}")
        if not self._invariant.closed:
            if self._has_unrecorded:
                return replace(own, result=InvariantOutcome.UNDECIDED, reason=own.reason or _UNRECORDED)
            return own
        if not self._assumptions and not self._opened_run(self._of_roles).holds_open():
            self._assumptions["principals, resources, actions and tests that are not known allow roles nothing"] = None
        assumptions = (*own.assumptions, *(one for one in self._assumptions if one not in own.assumptions))
        return replace(own, assumptions=assumptions, vacuous="" if self._assumptions else own.vacuous)

    @property
    def _of_roles(self) -> Mapping[str, Any]:
        """The scope of the invariant for all roles."""
        given = {key: value for key, value in self._invariant.scope.items() if key not in ("principals", "except")}
        return {**given, "principals": ["kind:ROLE", "kind:SLR"]}

    # -- backwards ------------------------------------------------------------------------------------------------------

    def _chains(self) -> Iterator[tuple[Member, _Step]]:
        """Yield the principals of the scope that may reach a violating role, each with its first role."""
        known: set[str] = set()
        waiting: deque[_Step] = deque()
        for subject, _ in self._possible(self._of_roles):
            self._add(subject.issuer, subject.is_recorded, None, known, waiting)
        while waiting:
            step = waiting.popleft()
            if len(step.roles) > _MAX_STEPS or len(known) > _MAX_ROLES:
                raise ProofLimitError(f"a chain of more than {_MAX_STEPS} steps, or of more than {_MAX_ROLES:,} roles")
            for subject, home in self._possible({"principals": "everyone", "actions": _CALLS, "resources": [step.role]}):
                if self._scope.has_principal(subject, home):
                    yield (subject, home), step
                if subject.kind in ROLES or not subject.is_recorded and subject.kind not in PROVIDERS:
                    self._add(subject.issuer, subject.is_recorded, step, known, waiting)

    def _add(self, role: str | None, is_recorded: bool, following: _Step | None, known: set[str], waiting: deque[_Step]) -> None:
        if not is_recorded or role is None:
            self._has_unrecorded = True
            self._assumptions["roles of accounts without a record are not assumed"] = None
            return
        if role in known:
            return
        known.add(role)
        entity = self._engine.snapshot.tables.entities.get(role)
        if entity is None or entity.trust is None:
            self._assumptions["roles without a recorded trust policy are not assumed"] = None
        self._assumptions["no principal without a record assumes a role"] = None
        waiting.append(_Step(role, following))

    def _possible(self, scope: Mapping[str, Any]) -> list[Member]:
        """Return all principals for which a proof does not exclude a violation of `never`."""
        run = self._run(scope)
        found = [member for one in run.open_classes() for member in one.members]
        if run.reasons:
            raise ProofLimitError(next(iter(run.reasons)))
        return found

    def _run(self, scope: Mapping[str, Any]) -> InvariantRun:
        return InvariantRun(self._analysis(scope), self._budget, Opened() if self._invariant.closed else EVERYTHING)

    def _opened_run(self, scope: Mapping[str, Any]) -> InvariantRun:
        return InvariantRun(self._analysis(scope), self._budget, EVERYTHING)

    def _analysis(self, scope: Mapping[str, Any]) -> OrganizationAnalysis:
        invariant = replace(self._invariant, never=scope, through="none")
        return OrganizationAnalysis(self._engine, invariant, InvariantScope(invariant, self._engine.snapshot))

    # -- forwards -------------------------------------------------------------------------------------------------------

    def _path(self, first: Member, step: _Step) -> list[InvariantResult] | None:
        """Return requests for each step that both evaluators allow, the last one that which violates the invariant."""
        subject = first[0]
        given = self._invariant.scope
        if subject.kind is PrincipalKind.SVC:
            word = f"service:{subject.profile.name}"
        else:
            word = f"federated:{subject.profile.name}" if subject.kind in PROVIDERS else subject.issuer or subject.profile.name
        # the first principal has to be in the scope, those after it are the roles of the chain
        principals: dict[str, Any] = {"principals": {"all": [word, given["principals"]]}}
        if given.get("except") is not None:
            principals["except"] = given["except"]
        found: list[InvariantResult] = []
        for role in step.roles:
            scope = {**principals, "actions": _CALLS, "resources": [role]}
            result = self._verified(scope, found)
            session = None if result is None else self._session_after(scope, result)
            if result is None or session is None:
                return None
            found.append(result)
            principals = {"principals": session}
        rest = {key: value for key, value in given.items() if key not in ("principals", "except")}
        last = self._verified({**rest, **principals}, found)
        if last is None or len({one.request.now or NOW for one in (*found, last) if one.request is not None}) > 1:
            return None  # a session does not last from one instant to another
        return [*found, last]

    def _session_after(self, scope: Mapping[str, Any], call: InvariantResult) -> str | None:
        """Return the role or session that a call gives, as principals; None if it would have what the next request lacks."""
        request = call.request
        if request is None:
            return None
        context = {fold(key): value for key, value in (request.context or {}).items()}
        if any(key.startswith(_PASSED) for key in context):
            return None
        name = context.get(_NAME_OF_SESSION)
        if name is None:  # each call has a name
            return None if _NAME_OF_SESSION in self._analysis(scope).keys else request.resource
        role = split_arn(request.resource)
        if role is None or not isinstance(name, str):
            return None
        return f"arn:{role.partition}:sts::{role.account}:assumed-role/{role.rest.rpartition('/')[2]}/{name}"

    def _verified(self, scope: Mapping[str, Any], before: Sequence[InvariantResult]) -> InvariantResult | None:
        """Return a request that is allowed, by the session of the call before it if there is one."""
        call = before[-1].request if before else None
        if call is not None:
            keys = self._analysis(scope).keys
            if any("." in key.partition(":")[0] or key.startswith("saml:") for key in keys):
                return None  # a provider decides what the session has
            if call.action != "sts:AssumeRole" and not keys.isdisjoint(_OF_PROVIDERS):
                return None
        result = self._run(scope).result()
        if result.result is not InvariantOutcome.FAILS or result.request is None or result.note:
            return None
        session = result.request.session
        if session is not None and session.kind in ROLES and (session.tags or session.source_identity or session.context):
            return None  # the call before has to pass them
        return result

    @staticmethod
    def _failed(own: InvariantResult, path: Sequence[InvariantResult]) -> InvariantResult:
        requests: tuple[ProofRequest, ...] = tuple(one.request for one in path if one.request is not None)
        last = path[-1]
        return replace(
            own, result=InvariantOutcome.FAILS, request=last.request, explanation=last.explanation, statement=last.statement,
            path=requests, assumptions=(), reason="", vacuous="",
        )  # fmt: skip
