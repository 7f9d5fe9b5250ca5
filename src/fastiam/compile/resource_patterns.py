"""Resource entries, cut into fields and encoded (spec 2.3); `kernel.plan.patterns` chooses how each is matched."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from fastiam.compile.layout import PatternFlag, PatternKind
from fastiam.compile.pattern_text import Variable, cut_fields, globbed, joined, pieces
from fastiam.policy.wildcards import matches_everything


class Resource(NamedTuple):
    """An entry: up to six encoded fields, or where it has none (`*`, and texts that are not ARNs) its kind and flags."""

    fields: list[bytes]
    has_variables: bool = False
    kind: PatternKind = PatternKind.ANY
    flags: int = 0

    @property
    def matches_all(self) -> bool:
        """Whether it is the `*` that every resource matches (R1)."""
        return not self.fields and self.kind is PatternKind.ANY and not self.flags


_EVERY = Resource([])
_NO_ARN = Resource([], flags=PatternFlag.MATCH_IS_U)
_UNRESOLVED = Resource([], kind=PatternKind.UNRESOLVED)


def read_resource(text: str, slot: Callable[[Variable], bytes] | None) -> Resource:
    """One entry; `slot` encodes variables, None where the document has none. V25 comes first, then R1 (R2)."""
    if matches_everything(text):
        return _EVERY
    if not text.startswith("arn:"):
        return _NO_ARN
    if slot is None or "${" not in text:
        return Resource(globbed(text).split(b":", 5))
    written = cut_fields(text)
    fields = list(map(globbed, written[:5]))
    if len(written) < 6:
        return Resource(fields)
    rest = pieces(written[5], variables=True, wildcards=True)
    found = [piece for piece in rest if isinstance(piece, Variable)]
    if any(variable.name is None for variable in found):
        return _UNRESOLVED
    return Resource([*fields, joined(rest, slot)], bool(found))
