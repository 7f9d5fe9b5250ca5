"""A verified login: what a provider's token or assertion says about who signed in (5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastiam.cognito.identity_records import Login


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedLogin:
    """A login that was verified in this call.

    Attributes
    ----------
    login
        provider and subject.
    mapping
        key of the provider in `RoleMappings`.
    tag_map
        key of the provider for `SetPrincipalTagAttributeMap`.
    amr
        the two values of this login in `amr` (ID41).
    claims
        all claims of the token, or attributes of the assertion.
    tags
        session tags that a developer token carries.
    """

    login: Login
    mapping: str
    tag_map: str
    amr: tuple[str, str]
    claims: Mapping[str, Any] = field(repr=False)
    tags: Mapping[str, str] = field(default_factory=dict)
