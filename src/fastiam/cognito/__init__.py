"""Cognito: user pools, which sign users in, and identity pools, which give their identities sessions of roles.

Both classes load on first use. Needs the extra `federation`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastiam.cognito.user_pools import UserPools as UserPools

_HOMES = {"IdentityPools": "fastiam.cognito.identity_pools", "UserPools": "fastiam.cognito.user_pools"}

__all__ = ["IdentityPools", "UserPools"]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module `{__name__}` has no attribute `{name}`")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
