"""The document that counts in place of one whose Denies are unknown."""

from __future__ import annotations

from fastiam.model.policy import PolicyKind

NOT_READ = "DocumentNotRead"  # the Sid of the statement of a substitute
_WITH_PRINCIPAL = (PolicyKind.TRUST, PolicyKind.RESOURCE, PolicyKind.RCP, PolicyKind.VPCE)


def denying_statement(kind: PolicyKind, why: str) -> dict[str, object]:
    """A statement that denies everything, and is undetermined because of its unknown element (V4, F7)."""
    statement: dict[str, object] = {"Sid": NOT_READ, "Effect": "Deny", "Action": "*"}
    if kind is not PolicyKind.TRUST:
        statement["Resource"] = "*"
    if kind in _WITH_PRINCIPAL:
        statement["Principal"] = "*"
    return statement | {"NotKnown": why}
