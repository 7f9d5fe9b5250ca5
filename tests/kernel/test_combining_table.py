"""The combining table of the kernel equals the combining of the specification, entry by entry (6.4, 6.5)."""

from __future__ import annotations

from itertools import product

import pytest

from fastiam.kernel.testing import combining
from fastiam.model.decision import Layer, Outcome
from fastiam.model.profile import PrincipalKind
from fastiam.spec.combining import DecisionInputs, combine
from fastiam.spec.layers import WITH_BOUNDARY, WITH_SESSION, WITHOUT_ACCOUNT, LayerVerdicts

CLASSES = {"D": 1, "R": 2, "P": 4, "A": 8, "*": 16}
NEEDS_IDENTITY, NEEDS_LIMITS, BY_GRANT, REFUSED = 1, 2, 4, 8
NO_ACCOUNT, OTHER_ACCOUNT, OTHER_ACCOUNT_ROOT, SAME_ACCOUNT, SAME_ACCOUNT_FED, SAME_ACCOUNT_FED_OF_ROOT, SAME_ACCOUNT_ROOT = (
    0,
    1,
    2,
    3,
    5,
    7,
    9,
)
ROOTS = (PrincipalKind.ROOT, PrincipalKind.AROOT)
ROLES = (PrincipalKind.ROLE, PrincipalKind.SLR)
BOOLS = (False, True)


def relation_of(inputs: DecisionInputs) -> int:
    """The row of the table."""
    if inputs.kind in WITHOUT_ACCOUNT:
        return NO_ACCOUNT
    if not inputs.same_account or inputs.chained_identity:
        return OTHER_ACCOUNT if inputs.identity_needed else OTHER_ACCOUNT_ROOT
    if inputs.kind is PrincipalKind.FED:
        return (SAME_ACCOUNT_FED_OF_ROOT if inputs.issued_by_root else SAME_ACCOUNT_FED) + inputs.required
    return (SAME_ACCOUNT_ROOT if inputs.kind in ROOTS else SAME_ACCOUNT) + inputs.required


def verdict(needed: int, identity: bool, boundary: bool, session: bool) -> tuple[Outcome, Layer]:
    """What an entry of the table means."""
    if needed & REFUSED:
        return Outcome.IMPLICIT_DENY, Layer.RESOURCE
    if needed & NEEDS_IDENTITY and not identity:
        return Outcome.IMPLICIT_DENY, Layer.IDENTITY
    if needed & NEEDS_LIMITS and not boundary:
        return Outcome.IMPLICIT_DENY, Layer.BOUNDARY
    if needed & NEEDS_LIMITS and not session:
        return Outcome.IMPLICIT_DENY, Layer.SESSION
    return Outcome.ALLOW, Layer.RESOURCE if needed & BY_GRANT else Layer.IDENTITY


@pytest.mark.parametrize("kind", PrincipalKind)
def test_entry_of_the_combining_table_is_as_specified(kind: PrincipalKind) -> None:
    chained = BOOLS if kind in ROLES else (False,)
    roots = BOOLS if kind is PrincipalKind.FED else (False,)
    for same, chains, required, of_root in product(BOOLS, chained, BOOLS, roots):
        inputs = DecisionInputs(kind, True, False, False, False, None, required, same, chains, of_root)
        needed, reported = combining(relation_of(inputs))
        for classes, identity in product(range(32), BOOLS):
            match = frozenset(name for name, bit in CLASSES.items() if classes & bit)
            boundaries, sessions = BOOLS if kind in WITH_BOUNDARY else (True,), BOOLS if kind in WITH_SESSION else (True,)
            for boundary, session in product(boundaries, sessions):
                verdicts = LayerVerdicts((), True, (), True, match, identity, boundary, session)
                expected = combine(inputs, verdicts)
                assert verdict(needed[classes], identity, boundary, session) == expected[:2], (inputs, verdicts)
                assert expected.layer is not Layer.RESOURCE or expected.outcome is Outcome.IMPLICIT_DENY or classes & reported


def test_combining_table_has_no_other_rows() -> None:
    assert combining(SAME_ACCOUNT_ROOT + 1) is not None and combining(SAME_ACCOUNT_ROOT + 2) is None
