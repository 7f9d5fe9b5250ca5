"""Invariants over ad-hoc documents: a user and a role of one account with these layers, other layers allowing everything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from trap_world import allow, deny, document, grant

import fastiam
from fastiam.analysis.invariants.ad_hoc_documents import prove_invariant_of_documents
from fastiam.analysis.invariants.model import Invariant, InvariantOutcome, InvariantResult
from fastiam.errors import RequestValueError

HOLDS, FAILS = InvariantOutcome.HOLDS, InvariantOutcome.FAILS
B, GET, PUT = "arn:aws:s3:::b", "s3:GetObject", "s3:PutObject"
IDENTITY = [
    document(allow(GET, f"{B}/*")),
    document(allow("s3:*", f"{B}/*"), deny(PUT)),
    document(allow(when={"StringEquals": {"aws:SourceVpc": "v"}})),
    document({"Effect": "Allow", "NotAction": PUT, "Resource": "*"}),
    document(allow("s3:*", f"{B}/home/${{aws:username}}/*")),
]


def proved(layers: Mapping[str, Any], actions: Any = PUT, resources: Any = f"{B}/*", **more: Any) -> InvariantResult:
    scope = {"principals": "everyone", "actions": actions, "resources": resources, **more}
    return prove_invariant_of_documents(Invariant(never=scope), layers)


@pytest.mark.parametrize("policy", IDENTITY)
@pytest.mark.parametrize("action", [GET, PUT])
def test_identity_policies_agree_with_access_not_granted(policy: dict[str, Any], action: str) -> None:
    short = fastiam.access_not_granted(policy, [action], [f"{B}/*"])
    result = proved({"identity_policies": [policy]}, action)
    assert (result.result is HOLDS) is short.proved, (result, short)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ({}, FAILS),
        ({"permissions_boundary": [document(allow(GET))]}, HOLDS),
        ({"scps": [[document(allow(GET))]]}, HOLDS),
        ({"scps": [[document(allow())], [document(allow(), deny(PUT))]]}, HOLDS),
        ({"rcps": [[document(deny(PUT, Principal="*"))]]}, HOLDS),
        ({"vpc_endpoint_policies": [document(grant("*", GET, "*"))]}, HOLDS),
        ({"session_policies": [document(allow(GET))]}, FAILS),  # the user has none
        ({"resource_policy": document(grant("*", GET, "*"))}, FAILS),  # its own account needs no grant
        ({"resource_policy": document(deny(PUT, Principal="*"))}, HOLDS),
        ({"identity_policies": [document(allow(GET))], "resource_policy": document(grant("*", GET, "*"))}, HOLDS),
        ({"identity_policies": [document(allow(GET))], "resource_policy": document(grant("*", PUT, "*"))}, FAILS),
    ],
)
def test_each_layer_limits_or_grants(layers: Mapping[str, Any], expected: InvariantOutcome) -> None:
    result = proved(layers)
    assert result.result is expected, (result.reason, result.request)
    if result.request is not None:
        request = result.request
        principal = request.session or request.principal
        given = {name: value for name, value in layers.items() if name != "session_policies"}
        own = {"identity_policies": [document(allow())], **given}
        if "resource_policy" not in own:
            own["resource_policy"] = document(grant({"AWS": "123456789012"}, "*", "*"))
        decision = fastiam.simulate(principal, request.action, request.resource, context=dict(request.context), **own)
        assert decision.allowed


def test_session_policies_limit_roles() -> None:
    layers = {"session_policies": [document(allow(GET))]}
    of_roles = {"StringLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/*"}}
    result = proved(
        {**layers, "identity_policies": [document(allow(when=of_roles))], "resource_policy": document(grant("*", GET, "*"))}
    )
    assert result.result is HOLDS


def test_documents_are_about_everyone() -> None:
    with pytest.raises(RequestValueError, match="everyone"):
        prove_invariant_of_documents(Invariant(never={"principals": "anonymous", "actions": PUT}), {})
