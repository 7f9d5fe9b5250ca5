"""Settings of `RolesAnywhere`, with the defaults of the specification (FD8)."""

from __future__ import annotations

from dataclasses import dataclass

from fastiam.credentials.sts_errors import ValidationError

MAX_SKEW = 300  # seconds, 9.3


@dataclass(frozen=True, slots=True, kw_only=True)
class RolesAnywhereSettings:
    """How strictly requests of Roles Anywhere are verified.

    Attributes
    ----------
    skew
        seconds by which `X-Amz-Date` may differ from the clock, 0 to 300 (RW20).
    single_use
        a signed request yields one session (RW20).
    strict_tags
        a certificate with an attribute that is not a tag value yields no session; else it yields no tag (RW52).
    hash_personal_data
        audit events contain a hash instead of the subject of the certificate (ST30).
    """

    skew: int = MAX_SKEW
    single_use: bool = False
    strict_tags: bool = False
    hash_personal_data: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.skew <= MAX_SKEW:
            raise ValidationError(f"a skew of {self.skew} seconds is not in 0 to {MAX_SKEW}", rule="FD6")
