"""Unknown keys (spec 6.11): two decisions, at best and at worst, and the keys on which they part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fastiam.model.decision import Layer, Outcome
from fastiam.model.policy import Effect
from fastiam.spec.combining import Verdict
from fastiam.spec.layers import Said
from fastiam.spec.statement import Tested

ENDPOINT_KEY = "aws:sourcevpce"


@dataclass(frozen=True, slots=True)
class Run:
    """One decision by 6.4 with all it rests on."""

    tested: list[Tested]
    said: Said
    verdict: Verdict


def choose(best: Run, worst: Run) -> Run | None:
    """The run that answers for all values of the unknown keys, or None: it depends (D73)."""
    if worst.verdict.outcome is Outcome.ALLOW:
        return worst
    return None if best.verdict.outcome is Outcome.ALLOW else best


def statements_that_matter(best: Run, worst: Run) -> list[Tested]:
    """The statements that apply in one run alone, as there, in layers that say different things (D74).

    A grant of a resource policy that applies in both, but in other classes (3.3), is one of them: `M` differs through it.
    """
    states = _states(best), _states(worst)
    differing = {layer for layer in Layer if states[0].get(layer) != states[1].get(layer)}
    return [
        one if one.applies else other
        for one, other in zip(best.tested, worst.tested, strict=True)
        if _parts(one, other) and one.place.layer in differing
    ]


def keys_that_matter(statements: Iterable[Tested], *, endpoint_is_open: bool) -> tuple[str, ...]:
    """The unknown keys of the statements that matter (D74)."""
    keys = {ENDPOINT_KEY} if endpoint_is_open else set()
    return tuple(sorted(keys.union(*(each.opened for each in statements))))


def _parts(one: Tested, other: Tested) -> bool:
    if one.applies is not other.applies:
        return True
    is_grant = one.place.layer is Layer.RESOURCE and one.statement.effect is Effect.ALLOW
    return is_grant and one.applies and one.classes != other.classes


def _states(run: Run) -> dict[Layer, set[object]]:
    """What each layer says: that a Deny applies, that an Allow does on a level, the classes of its grants (D74)."""
    states: dict[Layer, set[object]] = {}
    for each in run.tested:
        if not each.applies:
            continue
        state = states.setdefault(each.place.layer, set())
        if each.statement.effect is Effect.DENY:
            state.add("deny")
        elif each.place.layer is Layer.RESOURCE:
            state.update(each.classes)
        else:
            state.add(each.place.level)
    return states
