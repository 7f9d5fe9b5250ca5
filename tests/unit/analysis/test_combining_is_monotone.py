"""More Allows and fewer Denies never turn a decision to allow into a denial: which joined and approximated policies rely on."""

from __future__ import annotations

from itertools import product

import pytest

from fastiam.model.decision import Layer, Outcome
from fastiam.model.profile import PrincipalKind
from fastiam.spec.combining import DecisionInputs, combine
from fastiam.spec.layers import LayerVerdicts
from fastiam.spec.principal_entries import CLASSES

NAMES = ("not denied", "scp", "vpce", "identity", "boundary", "session", *CLASSES)


def is_allowed(inputs: DecisionInputs, bits: int) -> bool:
    given = {name: bool(bits >> place & 1) for place, name in enumerate(NAMES)}
    verdicts = LayerVerdicts(
        denied=() if given["not denied"] else (Layer.IDENTITY,),
        scp=given["scp"], scp_failing=(), vpce=given["vpce"], match=frozenset(one for one in CLASSES if given[one]),
        identity=given["identity"], boundary=given["boundary"], session=given["session"],
    )  # fmt: skip
    return combine(inputs, verdicts).outcome is Outcome.ALLOW


@pytest.mark.parametrize("kind", PrincipalKind)
def test_more_allows_never_deny(kind: PrincipalKind) -> None:
    for required, same_account, chained, by_root in product((False, True), repeat=4):
        inputs = DecisionInputs(
            kind=kind, known=True, always_allowed=False, credential_forbids=False, public_access=False, service_refusal=None,
            required=required, same_account=same_account, chained_identity=chained, issued_by_root=by_root,
        )  # fmt: skip
        allowed = [is_allowed(inputs, bits) for bits in range(1 << len(NAMES))]
        assert any(allowed)
        for place, bits in product(range(len(NAMES)), range(len(allowed))):
            assert not allowed[bits] or allowed[bits | 1 << place], (NAMES[place], inputs, bin(bits))
