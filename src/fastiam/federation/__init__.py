"""Identities from outside: SAML responses and OpenID Connect tokens become sessions of roles (docs/federation.md).

`Federation.verify_*` turns the bytes that a client sends into a `fastiam.sts.Assertion` or raises.
`Federation.assume_role_with_*` verifies, then lets STS decide the trust policy and issue the session.
Needs the extra `federation`.
"""

from __future__ import annotations

from fastiam.errors import missing_package

try:
    import jwt as _jwt  # noqa: F401
    import lxml as _lxml  # noqa: F401
    import signxml as _signxml  # noqa: F401
except ModuleNotFoundError as error:
    raise missing_package("verifying outside identities", error, "federation") from None

from fastiam.federation.audit import Audit, AuditEvent, log_event
from fastiam.federation.federation_errors import (
    CommunicationError,
    ExpiredTokenError,
    IdentityTokenError,
    ProviderError,
    RejectedClaimError,
)
from fastiam.federation.federation_service import Federation
from fastiam.federation.fetch import Fetch, FetchError, FetchLimits, FetchResult
from fastiam.federation.group_roles import roles_of_groups
from fastiam.federation.https_fetch import HttpsFetch
from fastiam.federation.oauth_tokens import (
    AccessToken,
    Expired,
    Rejected,
    TokenChecker,
    Unreachable,
    amazon_checker,
    facebook_checker,
)
from fastiam.federation.oidc import WebIdentity, WebIdentityRole
from fastiam.federation.oidc_providers import OidcProviders
from fastiam.federation.saml import SamlAssertion, SamlRole
from fastiam.federation.saml_providers import SamlProviderInfo
from fastiam.federation.settings import FederationSettings

__all__ = [
    "AccessToken",
    "Audit",
    "AuditEvent",
    "CommunicationError",
    "Expired",
    "ExpiredTokenError",
    "Federation",
    "FederationSettings",
    "Fetch",
    "FetchError",
    "FetchLimits",
    "FetchResult",
    "HttpsFetch",
    "IdentityTokenError",
    "OidcProviders",
    "ProviderError",
    "Rejected",
    "RejectedClaimError",
    "SamlAssertion",
    "SamlProviderInfo",
    "SamlRole",
    "TokenChecker",
    "Unreachable",
    "WebIdentity",
    "WebIdentityRole",
    "amazon_checker",
    "facebook_checker",
    "log_event",
    "roles_of_groups",
]
