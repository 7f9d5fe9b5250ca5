"""The combining algorithm over formulas (spec 6.4): `combine` of the specification evaluator for each set of verdicts."""

from __future__ import annotations

from collections.abc import Callable

from fastiam.analysis.filter.formula import Formula, all_of, any_of, negation
from fastiam.analysis.filter.row_statements import Verdicts
from fastiam.model.decision import Layer, Outcome
from fastiam.model.profile import PrincipalProfile
from fastiam.spec.combining import DecisionInputs, combine
from fastiam.spec.layers import LayerVerdicts, session_allows

_MATCH = "match:"


def allowed(principal: PrincipalProfile, inputs: DecisionInputs, verdicts: Verdicts) -> Formula:
    """Where the decision is ALLOW: the Shannon expansion of `combine` over the verdicts that differ between rows."""
    formulas: dict[str, Formula] = {
        "denied": verdicts.denied,
        "scp": verdicts.scp,
        "vpce": verdicts.vpce,
        "identity": verdicts.identity,
        "boundary": verdicts.boundary,
        "session": verdicts.session,
        **{_MATCH + letter: formula for letter, formula in verdicts.match.items()},
    }
    constants = {name: formula for name, formula in formulas.items() if isinstance(formula, bool)}
    variables = list(dict.fromkeys(formula for name, formula in formulas.items() if name not in constants))

    def decide(truths: tuple[bool, ...]) -> bool:
        of_variable = dict(zip(variables, truths, strict=True))
        given = {name: constants[name] if name in constants else of_variable[formula] for name, formula in formulas.items()}
        found = LayerVerdicts(
            denied=(Layer.IDENTITY,) if given["denied"] else (),
            scp=given["scp"],
            scp_failing=(),
            vpce=given["vpce"],
            match=frozenset(name.removeprefix(_MATCH) for name in given if name.startswith(_MATCH) and given[name]),
            identity=given["identity"],
            boundary=given["boundary"],
            session=session_allows(principal, given["session"]),
        )
        return combine(inputs, found).outcome is Outcome.ALLOW

    return _expansion(variables, (), decide)[0]


def _expansion(
    variables: list[Formula], truths: tuple[bool, ...], decide: Callable[[tuple[bool, ...]], bool]
) -> tuple[Formula, tuple[bool, ...]]:
    """A formula for the function of the remaining variables, and the values of this function."""
    if len(truths) == len(variables):
        value = decide(truths)
        return value, (value,)
    if_true, values_if_true = _expansion(variables, (*truths, True), decide)
    if_false, values_if_false = _expansion(variables, (*truths, False), decide)
    variable, values = variables[len(truths)], values_if_true + values_if_false
    if values_if_true == values_if_false:
        return if_true, values
    if _implies(values_if_false, values_if_true):
        return any_of((all_of((variable, if_true)), if_false)), values
    if _implies(values_if_true, values_if_false):
        return any_of((if_true, all_of((negation(variable), if_false)))), values
    return any_of((all_of((variable, if_true)), all_of((negation(variable), if_false)))), values


def _implies(one: tuple[bool, ...], other: tuple[bool, ...]) -> bool:
    return all(then or not given for given, then in zip(one, other, strict=True))
