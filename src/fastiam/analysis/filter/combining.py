"""The combining algorithm over formulas of rows (spec 6.4)."""

from __future__ import annotations

from fastiam.analysis import allow_formula
from fastiam.analysis.filter.formula import Formula, all_of, any_of, negation
from fastiam.analysis.filter.row_statements import Verdicts
from fastiam.model.profile import PrincipalProfile
from fastiam.spec.combining import DecisionInputs
from fastiam.spec.layers import session_allows

_ALGEBRA: allow_formula.Algebra[Formula] = allow_formula.Algebra(all_of, any_of, negation)


def allowed(principal: PrincipalProfile, inputs: DecisionInputs, verdicts: Verdicts) -> Formula:
    """Where the decision is ALLOW, for the verdicts that differ between rows."""
    formulas: dict[str, Formula] = {
        "denied": verdicts.denied,
        "scp": verdicts.scp,
        "vpce": verdicts.vpce,
        "identity": verdicts.identity,
        "boundary": verdicts.boundary,
        "session": _session(principal, verdicts.session),
        **verdicts.match,
    }
    return allow_formula.allowed(inputs, formulas, _ALGEBRA)


def _session(principal: PrincipalProfile, allows: Formula) -> Formula:
    """`session_ok` of 6.4, where an Allow of the session policies applies."""
    with_allow, without = session_allows(principal, True), session_allows(principal, False)
    return with_allow if with_allow == without else allows
