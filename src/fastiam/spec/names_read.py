"""Names that statements read without success: unresolved variables and absent keys (spec 6.9)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from fastiam.model.key_registry import fold
from fastiam.model.policy import ConditionEntry, Effect
from fastiam.model.request import ContextValue
from fastiam.spec.conditions import residual_keys
from fastiam.spec.operators import OPERATORS
from fastiam.spec.resource_patterns import read_pattern
from fastiam.spec.statement import EvaluationContext, StatementResult, StatementTest, statement_tests
from fastiam.spec.three_valued import F, T
from fastiam.spec.variables import Tokens, Variable, read_tokens, resolve, unknown_names, variables_of


class NamesRead(NamedTuple):
    """The names of unresolved variables and of absent keys, each once and sorted."""

    unresolved: tuple[str, ...]
    absent: tuple[str, ...]


def names_read(results: Iterable[StatementResult], context: EvaluationContext) -> NamesRead:
    """The unresolved variables and absent keys of the relevant statements."""
    names = [name for result in results for name in _names_of(result, context)]
    variables = [name for name in names if isinstance(name, Variable) and name.name is not None]
    keys = {name for name in names if isinstance(name, str)} | {str(variable.name) for variable in variables}
    return NamesRead(
        tuple(sorted({str(variable.name) for variable in variables if resolve(variable, context.context) is None})),
        tuple(sorted(key for key in keys if key not in context.context)),
    )


def _names_of(result: StatementResult, context: EvaluationContext) -> Iterator[Variable | str]:
    """The variables and the keys that the relevant tests of a statement read."""
    if not result.statement.conditions and not any("${" in text for text in result.statement.resources or ()):
        return
    for test in _relevant_tests(result, context):
        if test.entry is not None:
            yield from _names_of_entry(test.entry, result, context)
        elif test.element.endswith("Resource"):
            for text in result.statement.resources or ():
                yield from _names_of_resource(text, result, context)


def _relevant_tests(result: StatementResult, context: EvaluationContext) -> Iterator[StatementTest]:
    """The tests up to the first element that is `F`; of a Deny up to the first such condition, of an Allow to the second miss."""
    is_false, n_missed = False, 0
    n_allowed = 1 if result.statement.effect is Effect.ALLOW else 0
    for test in statement_tests(result.statement, result.location, context):
        yield test
        is_false = is_false or test.result is F
        n_missed += test.result is not T
        if test.result is F and test.entry is None or is_false and n_missed > n_allowed:
            return


def _names_of_resource(text: str, result: StatementResult, context: EvaluationContext) -> Iterator[Variable]:
    if context.resource == "*" or not text.startswith("arn:"):
        return
    pattern = read_pattern(text, result.location.policy.variables)
    unknown = unknown_names(pattern.variables, context.unknown)
    if unknown and result.statement.not_resource:
        return
    yield from _until_unresolved(tuple(v for v in pattern.variables if v.name not in unknown), context.context)


def _names_of_entry(entry: ConditionEntry, result: StatementResult, context: EvaluationContext) -> Iterator[Variable | str]:
    keys, variables = context.keys_for(result.statement.effect), result.location.policy.variables
    key = fold(entry.key)
    if entry.undetermined or key in context.unknown:
        return
    yield key
    value = context.context.get(key)
    if value is None or entry.operator == "Null" or residual_keys(entry, variables, keys):
        return
    op = OPERATORS[entry.operator]
    is_compared = not value.conflict and (bool(entry.qualifier) or not value.multi)
    if is_compared and op.variables and any(op.read_context(text) is not None for text in value.values):
        for text in entry.values:
            yield from _until_unresolved(read_tokens(text, variables, op.wildcards), context.context)


def _until_unresolved(tokens: Tokens, context: Mapping[str, ContextValue]) -> Iterator[Variable]:
    """The variables up to the first unresolved one, which decides the result."""
    for variable in variables_of(tokens):
        yield variable
        if resolve(variable, context) is None:
            return
