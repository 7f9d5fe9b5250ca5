"""Resources (spec 2.3): patterns of ARNs, cut into fields, with variables in the last field."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from fastiam.model.arn import Arn, split_arn
from fastiam.spec.statement_keys import StatementKeys
from fastiam.spec.three_valued import F, T, Truth, any_of, negate, undetermined
from fastiam.spec.variables import Tokens, Variable, cut_fields, read_tokens, substitute, unknown_names, variables_of
from fastiam.spec.wildcards import Glob, Token, Wildcard, glob_matches, read_glob, token_ends


@dataclass(frozen=True, slots=True)
class ResourcePattern:
    """A pattern that starts with `arn:`.

    Attributes
    ----------
    fields
        fields 2 to 5, padded with `*` where they are missing (R6); a variable in them is literal text (V28).
    rest
        field 6, `*` where it is missing (R6).
    variables
        the variables of `rest`.
    n_written
        number of fields of the text, 2 to 6.
    padded
        fields are missing and the last one does not end with `*` (V26).
    mixed_type
        the resource-type word contains a wildcard and other characters (R9).
    """

    fields: tuple[Glob, ...]
    rest: Tokens
    variables: list[Variable]
    n_written: int
    padded: bool
    mixed_type: bool


def check_resources(entries: tuple[str, ...], inverted: bool, resource: str, variables: bool, keys: StatementKeys) -> Truth:
    """`Resource`, or `NotResource` if `inverted` (R10, R13). A statement is tested against one resource (R12)."""
    inner = keys.inverted() if inverted else keys
    found = any_of(_check_entry(entry, inverted, resource, variables, inner) for entry in entries)
    return negate(found) if inverted else found


def residual_keys(entry: str, inverted: bool, resource: str, variables: bool, keys: StatementKeys) -> list[str]:
    """The unknown variables of an entry that is a residual test (D72): they can change its result."""
    if not keys.unknown or not entry.startswith("arn:"):
        return []
    names = unknown_names(read_pattern(entry, variables).variables, keys.unknown)
    at_best, at_worst = (_check_entry(entry, inverted, resource, variables, replace(keys, residual=r)) for r in (T, F))
    return [] if at_best is at_worst else names


def _check_entry(entry: str, inverted: bool, resource: str, variables: bool, keys: StatementKeys) -> Truth:
    """One entry; the rules in the order that R2 requires: V25, R1, R2, VR8, R3 to R9."""
    if entry and not entry.strip("*"):
        return T
    if not entry.startswith("arn:"):
        return undetermined("V25")
    arn = None if resource == "*" else split_arn(resource)
    if arn is None:
        return F
    pattern = read_pattern(entry, variables)
    unknown = unknown_names(pattern.variables, keys.unknown)
    if unknown:
        return F if keys.residual is F else _check_at_best(pattern, unknown, inverted, arn, keys)
    rest = substitute(pattern.rest, keys.context)
    if rest is None:
        return undetermined("VR8") if inverted else F
    return _check_arn(pattern, rest, arn)


def _check_at_best(pattern: ResourcePattern, unknown: list[str], inverted: bool, arn: Arn, keys: StatementKeys) -> Truth:
    """A residual entry (D72): the match with each unknown variable read as `*`; of `NotResource`, a match."""
    if inverted:
        return T
    blank = tuple(Wildcard.ANY if isinstance(token, Variable) and token.name in unknown else token for token in pattern.rest)
    rest = substitute(blank, keys.context)
    return F if rest is None else _check_arn(pattern, rest, arn)


def read_pattern(entry: str, variables: bool) -> ResourcePattern:
    """Cut an entry at its first five colons (R3) and add missing fields (R6)."""
    written = cut_fields(entry, variables)
    missing = 6 - len(written)
    padded = written + ["*"] * missing
    rest = read_tokens(padded[5], variables, wildcards=True)
    return ResourcePattern(
        fields=tuple(map(read_glob, padded[1:5])),
        rest=rest,
        variables=variables_of(rest),
        n_written=len(written),
        padded=missing > 0 and not written[-1].endswith("*"),
        mixed_type=_is_mixed(rest),
    )


def _is_mixed(rest: Tokens) -> bool:
    """Whether a wildcard occurs together with text or a variable before the first `/` of field 6 (R9)."""
    word: list[object] = []
    for token in rest:
        if isinstance(token, str) and "/" in token:
            word += [token.partition("/")[0]]
            break
        word.append(token)
    return any(isinstance(token, Wildcard) for token in word) and any(token and not isinstance(token, Wildcard) for token in word)


def _check_arn(pattern: ResourcePattern, rest: Glob, arn: Arn) -> Truth:
    """Field by field (R3, R4, R7, R8); a match that needs more than AWS promises is `U` (R5, R6, R9)."""
    if all(map(glob_matches, pattern.fields, arn)) and glob_matches(rest, arn.rest):
        if pattern.padded:
            return undetermined("R6")
        return undetermined("R9") if pattern.mixed_type and arn.service == "iam" else T
    return undetermined("R5") if _crosses(pattern, rest, str(arn)) else F


def _crosses(pattern: ResourcePattern, rest: Glob, resource: str) -> bool:
    """Whether the pattern matches if each `*` that ends one of the fields 2 to 5 may match colons (R5).

    A pattern of six fields contains five colons, so it cannot cross in a resource with five.
    """
    if pattern.n_written == 6 and resource.count(":") == 5:
        return False
    tokens: list[tuple[Token, bool]] = []  # with whether a wildcard may match colons
    for field in pattern.fields[: pattern.n_written - 1]:
        tokens += [(":", False), *((token, False) for token in field)]
        if field and field[-1] is Wildcard.ANY:
            tokens[-1] = Wildcard.ANY, True
    if pattern.n_written == 6:
        tokens += [(":", True), *((token, True) for token in rest)]
    ends: Collection[int] = (len("arn"),)
    for token, crosses_colons in tokens:
        ends = set(token_ends(token, ends, resource, crosses_colons=crosses_colons))
    return len(resource) in ends
