"""`fastiam.prove_invariant`: a proof of an invariant over all requests of an organization, or a request that refutes it.

A proof of `never` finds no candidate of a request that is allowed, one of `always` none of a request that is denied. `sometimes`
is the opposite of `never`: a request that is allowed shows that it holds, and that there is no candidate shows that it fails.
INVARIANT: that there is no request is returned only if no case has a candidate; what has no argument is UNDECIDED.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fastiam.analysis.invariants.invariant_run import EVERYTHING, InvariantRun, Opened
from fastiam.analysis.invariants.model import LIMIT, TIMEOUT, Invariant, InvariantOutcome, InvariantResult
from fastiam.analysis.invariants.organization_analysis import OrganizationAnalysis
from fastiam.analysis.invariants.role_chains import prove_through_roles
from fastiam.analysis.invariants.scope import InvariantScope
from fastiam.analysis.proof.formula import Budget
from fastiam.analysis.proof.run import make_budget
from fastiam.aws_data.catalog import AwsData
from fastiam.errors import MissingPackageError
from fastiam.model.arguments import check_type
from fastiam.model.protocols import AnalysisEngine

_NO_ORGANIZATION = "accounts outside of a recorded organization have no SCPs and RCPs"
_OPPOSITE = {
    InvariantOutcome.HOLDS: InvariantOutcome.FAILS,
    InvariantOutcome.FAILS: InvariantOutcome.HOLDS,
    InvariantOutcome.UNDECIDED: InvariantOutcome.UNDECIDED,
}


def prove_invariant(
    engine: AnalysisEngine, invariant: Invariant, *, limit: int = LIMIT, timeout: float | None = TIMEOUT, strict: bool = False
) -> InvariantResult:
    """Prove an invariant about all requests of its scope, or find a request that decides it.

    Parameters
    ----------
    engine
        the organization. Options of the engine other than its settings do not matter.
    limit, timeout
        combinations and seconds, after which the answer is UNDECIDED. A `timeout` of None sets no limit.
    strict
        a proof that needs an assumption is UNDECIDED.

    Returns
    -------
    InvariantResult
        HOLDS if no request of the universe violates the invariant (of `sometimes`: with a request that is allowed); FAILS with
        a request that does (of `sometimes`: if none is allowed); else UNDECIDED.

    Raises
    ------
    RequestValueError
        a set or a pattern of the invariant cannot be read.
    PolicyError
        a condition of it is rejected.
    """
    check_type(engine, AnalysisEngine, "engine", "a `fastiam.Engine`", "of a `LiveEngine` pass `live.engine`")
    budget = make_budget(limit, timeout)
    scope = InvariantScope(invariant, engine.snapshot)
    analysis = OrganizationAnalysis(engine, invariant, scope)
    run = InvariantRun(analysis, budget, Opened() if invariant.closed else EVERYTHING)
    result = run.result()
    if invariant.quantifier == "sometimes":
        result = replace(result, result=_OPPOSITE[result.result])
    if result.result is InvariantOutcome.HOLDS and invariant.closed and not result.vacuous:
        result = replace(result, assumptions=tuple(_assumptions(analysis, budget, run, result)), combinations=budget.tried)
    if invariant.through == "roles":
        result = prove_through_roles(engine, invariant, scope, result, budget)
    if result.holds and result.assumptions and strict:
        reason = "the proof assumes: " + "; ".join(result.assumptions)
        return replace(result, result=InvariantOutcome.UNDECIDED, reason=reason)
    return result


def prove_in(analysis: OrganizationAnalysis, *, limit: int = LIMIT, timeout: float | None = TIMEOUT) -> InvariantResult:
    """Return the proof for principals and owners that an analysis has of its own: nothing is assumed of others."""
    return InvariantRun(analysis, make_budget(limit, timeout), Opened()).result()


def _assumptions(analysis: OrganizationAnalysis, budget: Budget, run: InvariantRun, result: InvariantResult) -> Iterator[str]:
    """Yield the assumptions that the proof of a run needs: each row of T66 is opened alone if not all can be."""
    has_organization = analysis.engine.snapshot.tables.organization is not None
    if result.request is not None:  # of `sometimes`
        if not has_organization:
            yield _NO_ORGANIZATION
        return

    def holds(opened: Opened, *, only_unrecorded: bool = False) -> bool:
        return InvariantRun(analysis, budget, opened, only_unrecorded=only_unrecorded).holds_open()

    if holds(EVERYTHING):
        return
    n_accounts = len({one.account for one in analysis.engine.snapshot.tables.entities.values()})
    if not holds(Opened(principals=True), only_unrecorded=True):  # the run is about the others
        yield f"principals of {n_accounts} accounts without a record do not exist"
    if not holds(Opened(resources=True)):
        yield "resources without a record have no policy"
    if run.needs_names and not holds(Opened(names=True)):
        try:
            yield f"AWS has the actions of {AwsData.installed().date}"
        except MissingPackageError:
            pass
    # PERF: a case differs by the rows below only if it is about requests that are allowed, or denied
    if analysis.invariant.quantifier == "never":
        if not holds(Opened(undetermined=True)):
            yield 'undetermined tests do not allow, such as `{"AWS": "*"}`, which names no services (N10)'
        return
    if not holds(Opened(organization=True)):
        yield _NO_ORGANIZATION
    if not holds(Opened(endpoints=True)):
        yield "VPC endpoints without a record do not deny"
