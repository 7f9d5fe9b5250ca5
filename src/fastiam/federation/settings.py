"""Settings of `Federation`, with the defaults of the specification (FD8)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fastiam.credentials.sts_errors import ValidationError

MAX_SKEW = 60  # seconds, 9.3
Replay = Literal["per_role", "strict", "off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FederationSettings:
    """How strictly outside identities are verified.

    Attributes
    ----------
    skew
        seconds by which the clock of an identity provider may differ, 0 to 60 (9.3).
    replay
        an assertion yields one session for each role, one session (`strict`), or any number (`off`) (SA80).
    saml_audiences, saml_recipients
        accepted next to AWS's own (SA32, SA33).
    saml_ignore_certificate_dates
        certificates of SAML metadata verify outside their own validity as well (IP15).
    console_destinations
        addresses of the deployment's own console, to which a sign-in may lead; none: console federation is off (CF10, CF20).
    web_identity_single_use
        a web identity token yields one session; it needs a `jti` (WI26).
    web_identity_claims
        by issuer without `https://`, further claims that become condition keys (WI50).
    fetched_issuers
        the only issuers, as exact URLs, whose keys are read from the network; None reads those of all.
    private_hosts
        hosts of identity providers whose addresses may be private (WI41).
    hash_personal_data
        audit events contain a hash instead of names of persons (ST30).
    """

    skew: int = MAX_SKEW
    replay: Replay = "per_role"
    saml_audiences: frozenset[str] = frozenset()
    saml_recipients: frozenset[str] = frozenset()
    saml_ignore_certificate_dates: bool = False
    console_destinations: frozenset[str] = frozenset()
    web_identity_single_use: bool = False
    web_identity_claims: Mapping[str, Collection[str]] = field(default_factory=dict)
    fetched_issuers: frozenset[str] | None = None
    private_hosts: frozenset[str] = frozenset()
    hash_personal_data: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.skew <= MAX_SKEW:
            raise ValidationError(f"a skew of {self.skew} seconds is not in 0 to {MAX_SKEW}", rule="FD6")
        if self.replay not in ("per_role", "strict", "off"):
            raise ValidationError(f"unknown replay setting `{self.replay}`", hint="use `per_role`, `strict` or `off`")
