"""Resources (spec 2.3): patterns of ARNs, cut into fields, with variables in the last one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from fastiam.model.arn import Arn, split_arn
from fastiam.spec.statement_trace import View
from fastiam.spec.three_valued import F, T, Truth, any_of, negate
from fastiam.spec.variables import Tokens, Variable, cut_fields, read_tokens, substitute, unknown_names, variables_of
from fastiam.spec.wildcards import Bound, Wild, glob_matches, read_glob


@dataclass(frozen=True, slots=True)
class ResourcePattern:
    """A pattern that starts with `arn:`.

    Attributes
    ----------
    fields : fields 2 to 5, padded with `*` where they are missing (R6); a variable in them is literal text (V28).
    rest : field 6, `*` where it is missing (R6).
    variables : the variables of `rest`.
    written : how many fields the text has, 2 to 6.
    padded : fields are missing and the last one does not end with `*` (V26).
    mixed_type : a wildcard stands in the resource-type word beside something else (R9).
    """

    fields: tuple[Bound, ...]
    rest: Tokens
    variables: list[Variable]
    written: int
    padded: bool
    mixed_type: bool


def check_resources(entries: tuple[str, ...], inverted: bool, resource: str, variables: bool, view: View) -> Truth:
    """`Resource`, or `NotResource` where `inverted` (R10)."""
    found = any_of([_check_entry(entry, inverted, resource, variables, view) for entry in entries])
    return negate(found) if inverted else found


def _check_entry(entry: str, inverted: bool, resource: str, variables: bool, view: View) -> Truth:
    """One entry; the rules in the order that R2 asks for: V25, R1, R2, VR8, R3 to R9."""
    if entry and not entry.strip("*"):
        return T
    if not entry.startswith("arn:"):
        return view.doubt("V25")
    arn = None if resource == "*" else split_arn(resource)
    if arn is None:
        return F
    pattern = read_pattern(entry, variables)
    unknown = unknown_names(pattern.variables, view) if view.unknown else []
    if unknown:
        return _check_open(pattern, unknown, inverted, arn, view)
    rest = substitute(pattern.rest, view)
    if rest is None:
        return view.doubt("VR8") if inverted else F
    return _check_arn(pattern, rest, arn, view)


def _check_open(pattern: ResourcePattern, unknown: list[str], inverted: bool, arn: Arn, view: View) -> Truth:
    """An entry with an unknown variable (D72): open if it matches with the variable read as `*`, or in `NotResource`."""
    if inverted:
        return view.open(unknown, inverted=True)
    blank = tuple(Wild.ANY if isinstance(token, Variable) and token.name in unknown else token for token in pattern.rest)
    rest = substitute(blank, view)
    at_best = F if rest is None else _check_arn(pattern, rest, arn, view)
    return at_best if at_best is F else view.open(unknown, at_best=at_best)


@lru_cache(maxsize=8192)
def read_pattern(entry: str, variables: bool) -> ResourcePattern:
    """Cut an entry at its first five colons (R3) and pad what is missing (R6)."""
    written = cut_fields(entry, variables)
    missing = 6 - len(written)
    padded = written + ["*"] * missing
    rest = read_tokens(padded[5], variables, wildcards=True)
    return ResourcePattern(
        fields=tuple(map(read_glob, padded[1:5])),
        rest=rest,
        variables=variables_of(rest),
        written=len(written),
        padded=missing > 0 and not written[-1].endswith("*"),
        mixed_type=_is_mixed(rest),
    )


def _is_mixed(rest: Tokens) -> bool:
    """Whether a wildcard stands together with text or a variable before the first `/` of field 6 (R9)."""
    word: list[object] = []
    for token in rest:
        if isinstance(token, str) and "/" in token:
            word += [token.partition("/")[0]]
            break
        word.append(token)
    return any(isinstance(token, Wild) for token in word) and any(token and not isinstance(token, Wild) for token in word)


def _check_arn(pattern: ResourcePattern, rest: Bound, arn: Arn, view: View) -> Truth:
    """Field by field (R3, R4, R7, R8); a match that needs more than AWS promises is `U` (R5, R6, R9)."""
    if all(map(glob_matches, pattern.fields, arn)) and glob_matches(rest, arn.rest):
        if pattern.padded:
            return view.doubt("R6")
        return view.doubt("R9") if pattern.mixed_type and arn.service == "iam" else T
    return view.doubt("R5") if _crosses(pattern, rest, str(arn)) else F


def _crosses(pattern: ResourcePattern, rest: Bound, resource: str) -> bool:
    """Whether the pattern matches if a `*` that ends one of the fields 2 to 5 may run over colons (R5).

    A pattern of six fields has five colons of its own, so there is nothing to cross in a resource with five.
    """
    if pattern.written == 6 and resource.count(":") == 5:
        return False
    tokens: list[tuple[str | Wild, bool]] = []
    for field in pattern.fields[: pattern.written - 1]:
        tokens += [(":", False), *((token, False) for token in field)]
        if field and field[-1] is Wild.ANY:
            tokens[-1] = Wild.ANY, True
    if pattern.written == 6:
        tokens += [(":", True), *((token, True) for token in rest)]
    reached = {len("arn")}
    for token, over_colons in tokens:
        reached = _advance(reached, token, over_colons, resource)
    return len(resource) in reached


def _advance(reached: set[int], token: str | Wild, over_colons: bool, text: str) -> set[int]:
    """The places where `token` may end if it may start at those reached; a wildcard stops at colons unless `over_colons`."""
    if isinstance(token, str):
        return {at + len(token) for at in reached if text.startswith(token, at)}
    if token is Wild.ONE:
        return {at + 1 for at in reached if at < len(text) and (over_colons or text[at] != ":")}
    if over_colons:
        return set(range(min(reached), len(text) + 1)) if reached else reached
    stops = ((at, text.find(":", at)) for at in reached)
    return {end for at, colon in stops for end in range(at, (len(text) if colon < 0 else colon) + 1)}
