"""Cognito identity pools: identities for users of outside providers and for guests, and sessions of roles for them."""

from __future__ import annotations

import fastiam.federation as _federation  # noqa: F401  (says which package is missing)
from fastiam.cognito.cognito_errors import CognitoError, NotAuthorizedError
from fastiam.cognito.identity_pools.identities import GuestLimits
from fastiam.cognito.identity_pools.identity_pools_service import IdentityPools
from fastiam.cognito.identity_pools.results import (
    DeveloperUsers,
    IdentityCredentials,
    IdentityDescription,
    IdentityPage,
    IdentityPoolPage,
    IdentityPoolRoles,
    OpenIdToken,
    PrincipalTagAttributeMap,
)
from fastiam.directory.identity_pool_records import (
    CognitoIdentityProvider,
    IdentityPool,
    MappingRule,
    PrincipalTagMap,
    RoleMapping,
)

__all__ = [
    "CognitoError",
    "CognitoIdentityProvider",
    "DeveloperUsers",
    "GuestLimits",
    "IdentityCredentials",
    "IdentityDescription",
    "IdentityPage",
    "IdentityPool",
    "IdentityPoolPage",
    "IdentityPoolRoles",
    "IdentityPools",
    "MappingRule",
    "NotAuthorizedError",
    "OpenIdToken",
    "PrincipalTagAttributeMap",
    "PrincipalTagMap",
    "RoleMapping",
]
