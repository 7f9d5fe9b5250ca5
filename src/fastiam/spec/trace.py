"""The record of a decision (spec 6.9): what applied, what is missing, what nearly applied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fastiam.model.decision import Layer, MatchClass, Outcome, Reason
from fastiam.model.explanation import LayerResult, MatchedStatement, NearMiss, OpenStatement
from fastiam.model.key_registry import fold
from fastiam.model.policy import Effect
from fastiam.model.profile import PrincipalKind, PrincipalProfile
from fastiam.spec.combining import Case, stray_limits
from fastiam.spec.layers import WITH_BOUNDARY, WITH_SESSION, WITHOUT_ACCOUNT, LayerInput, Said
from fastiam.spec.partial import Run
from fastiam.spec.statement import Scene, Tested
from fastiam.spec.three_valued import U

_LIMITS = (Layer.RCP, Layer.SCP, Layer.VPCE, Layer.BOUNDARY, Layer.SESSION)
_SHOWN = 20  # values of an element in a near miss
_LETTERS = "DRP*"  # classes that a grant of the same account can rest on


def reported_statement(case: Case, run: Run) -> Tested | None:
    """The one statement that is reported (D51), the first of its kind in the order of evaluation."""
    outcome, layer, _ = run.verdict
    if outcome is Outcome.EXPLICIT_DENY:
        return _first(run.tested, layer, Effect.DENY)
    if outcome is not Outcome.ALLOW or layer is Layer.IDENTITY and not case.identity_needed:
        return None
    return _first(run.tested, layer, Effect.ALLOW, _sufficient(case) if layer is Layer.RESOURCE else "")


def _first(tested: Iterable[Tested], layer: Layer, effect: Effect, classes: str = "") -> Tested | None:
    """The first applicable statement of a layer, with one of the classes where any are named."""
    for each in tested:
        if each.place.layer is layer and each.statement.effect is effect and each.applies:
            if not classes or any(letter in classes for letter in each.classes):
                return each
    return None


def _sufficient(case: Case) -> str:
    """The classes that suffice where layer `resource` grants (D51); "" for any."""
    is_fed = case.kind is PrincipalKind.FED
    grants_alone = case.same_account and not case.chained_identity and (case.identity_needed or (is_fed and not case.required))
    if case.kind in WITHOUT_ACCOUNT or not grants_alone:
        return ""
    return "DRP" if is_fed else _LETTERS


def matched(tested: Tested) -> MatchedStatement:
    """A statement that applies, as the record shows it."""
    is_open = tested.result is U
    reasons = tuple(dict.fromkeys(tested.doubts)) if is_open else ()
    statement = tested.statement
    classes = tuple(map(MatchClass, tested.classes))
    return MatchedStatement(tested.ref, statement.effect, classes, is_open, reasons, statement.conditions)


def opened(tested: Tested) -> OpenStatement:
    """A statement on which a `DEPENDS` depends, as the record shows it."""
    return OpenStatement(
        tested.ref, tested.statement.effect, tuple(sorted(set(tested.opened))), tuple(dict.fromkeys(tested.open_entries))
    )


def near_misses(tested: Iterable[Tested], scene: Scene) -> tuple[NearMiss, ...]:
    """Allow statements of which exactly one test is not `T`."""
    return tuple(
        _near_miss(each, scene)
        for each in tested
        if each.statement.effect is Effect.ALLOW and len(each.misses) == 1 and not each.applies
    )


def _near_miss(tested: Tested, scene: Scene) -> NearMiss:
    element, entry = tested.misses[0]
    statement = tested.statement
    key, operator = ("", "") if entry is None else (entry.key, entry.operator_text)
    actual: tuple[str, ...] | None = None
    if entry is not None:
        value = scene.context.get(fold(entry.key))
        expected, actual = entry.values, None if value is None else value.values
    elif element.endswith("Action"):
        expected, actual = statement.actions or (), (":".join(scene.action),)
    elif element.endswith("Resource"):
        expected, actual = statement.resources or (), (scene.resource,)
    elif element.endswith("Principal"):
        expected, actual = tuple(entry.value for entry in statement.principals or ()), (scene.asker.profile.name,)
    else:
        expected = statement.undetermined
    return NearMiss(tested.ref, element, key, operator, _some(expected, scene), actual, len(expected))


def _some(values: tuple[str, ...], scene: Scene) -> tuple[str, ...]:
    """Few enough values to show: a statement may list thousands of actions. Those about the service of the request come first."""
    if len(values) <= _SHOWN:
        return values
    service = scene.action[0] + ":"
    return tuple(sorted(values, key=lambda value: not value.lower().startswith(service))[:_SHOWN])


def bypassed(case: Case, said: Said, outcome: Outcome) -> tuple[Layer, ...]:
    """Layers whose implicit deny a grant of class D or `*` bypassed (6.5)."""
    if outcome is not Outcome.ALLOW or not _bypasses(case, said):
        return ()
    session_ok = case.kind not in WITH_SESSION or said.session
    boundary_ok = case.kind not in WITH_BOUNDARY or said.boundary
    states = (
        (Layer.IDENTITY, said.identity or not case.identity_needed),
        (Layer.BOUNDARY, boundary_ok),
        (Layer.SESSION, session_ok),
    )
    return tuple(layer for layer, ok in states if not ok)


def _bypasses(case: Case, said: Said) -> bool:
    if not case.same_account or case.chained_identity or case.kind in WITHOUT_ACCOUNT:
        return False
    if case.kind in (PrincipalKind.ROOT, PrincipalKind.AROOT):
        return False
    return "D" in said.match or "*" in said.match and case.kind is not PrincipalKind.FED


def missing(case: Case, said: Said, action: tuple[str, str]) -> tuple[tuple[str, ...], ...]:
    """The smallest sets of layers that would have to allow; () where a rule denies that no policy changes."""
    if case.service_refusal is not None:
        return ()
    always = [f"scp:{level}" for level in said.scp_failing] or ([] if said.scp else ["scp"])
    always += [] if said.vpce else ["vpce"]
    always += map(str, stray_limits(case, said))
    ways = [frozenset(way) for way in _ways(case, said, action)]
    smallest = [way for way in dict.fromkeys(ways) if not any(other < way for other in ways)]
    return tuple((*always, *sorted(way, key=_order)) for way in smallest)


def _order(name: str) -> int:
    return list(Layer).index(Layer(name.partition(":")[0]))


def _ways(case: Case, said: Said, action: tuple[str, str]) -> list[list[str]]:
    """What each way to an ALLOW of 6.4 still lacks."""
    if case.kind in WITHOUT_ACCOUNT:
        return [[] if said.match else ["resource"]]
    limits = ["boundary"] if case.kind in WITH_BOUNDARY and not said.boundary else []
    limits += ["session"] if case.kind in WITH_SESSION and not said.session else []
    identity = ["identity"] if case.identity_needed and not said.identity else []
    crossing = not case.same_account or case.chained_identity
    resource = ["resource"] if (crossing or case.required) and not said.match else []
    through_identity = resource + identity + limits
    if crossing or not case.identity_needed and case.kind is not PrincipalKind.FED:
        return [through_identity]
    named = [limits] if "R" in said.match or "P" in said.match else []
    direct = [] if action == ("iam", "passrole") or resource == through_identity else [["resource:D"]]
    return [through_identity, *named, *([[]] if _bypasses(case, said) else direct)]


def limits(principal: PrincipalProfile, layers: Sequence[LayerInput], run: Run) -> tuple[LayerResult, ...]:
    """What each limiting layer says, and why where it does not apply."""
    return tuple(_limit(principal, given, run) for given in layers if given.layer in _LIMITS)


def _limit(principal: PrincipalProfile, given: LayerInput, run: Run) -> LayerResult:
    layer, said = given.layer, run.said
    level = said.scp_failing[0] if layer is Layer.SCP and said.scp_failing else None
    if layer in said.denied:
        denied = _first(run.tested, layer, Effect.DENY)
        has_levels = layer in (Layer.SCP, Layer.RCP)
        reason = Reason.UNKNOWN_ENDPOINT if denied is None else ""
        return LayerResult(layer, "explicit_deny", reason, denied.place.level if denied and has_levels else None)
    is_none = not principal.session_policies if principal.kind is PrincipalKind.AROOT else given.levels is None
    if layer is Layer.SESSION and is_none and principal.kind in (PrincipalKind.FED, PrincipalKind.AROOT):
        return LayerResult(layer, "implicit_deny", "mandatory")
    if given.levels is None:
        return LayerResult(layer, "not_applicable", given.note)
    allows = {Layer.SCP: said.scp, Layer.VPCE: said.vpce, Layer.BOUNDARY: said.boundary, Layer.SESSION: said.session}
    return LayerResult(layer, "allow" if allows.get(layer, True) else "implicit_deny", "", level)


def names(read: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """The names that statements read in vain, each once, sorted."""
    return tuple(sorted({name for each in read for name in each}))
