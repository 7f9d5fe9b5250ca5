"""A proof: the search over all cases, and the check of each candidate by the engine."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from fastiam.analysis.proof.candidate_requests import Verified
from fastiam.analysis.proof.cells import ProofLimitError
from fastiam.analysis.proof.formula import Budget
from fastiam.analysis.proof.result import Proof, ProofResult
from fastiam.analysis.proof.search import Candidate, Case, Gain, Scope, Search
from fastiam.analysis.proof.statement_formulas import BoundStatement
from fastiam.analysis.proof.variable_values import assignments, bound, completed, variable_names

_MAX_FAILED = 5  # candidates with unknown variables that are tried as they are
_MAX_UNUSUAL = 50  # candidates that are tried after a request that no action of AWS has

OPEN = "no request verifies a possible new access: it depends on policy variables, or on keys that exclude each other"
NOT_OF_AWS = "no request of an AWS action on a resource of its type was found"


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
