"""Sessions for clients with X.509 certificates, as IAM Roles Anywhere gives them (docs/federation.md).

`RolesAnywhere.create_session` takes a request that a client has signed with the key of its certificate, verifies both, and lets
STS decide the trust policy of the role. Needs the extra `federation`.
"""

from __future__ import annotations

from fastiam.errors import missing_package

try:
    import cryptography as _cryptography  # noqa: F401
except ModuleNotFoundError as error:
    raise missing_package("verifying certificates", error, "federation") from None

from fastiam.directory.account_records import NotificationSetting, RevocationList, RolesAnywhereProfile, TrustAnchor
from fastiam.rolesanywhere.client import sign_request
from fastiam.rolesanywhere.objects import RolesAnywhereObjects
from fastiam.rolesanywhere.records import Subject
from fastiam.rolesanywhere.request import SignedRequest
from fastiam.rolesanywhere.response import CreatedSession, Response, error_response, success_response
from fastiam.rolesanywhere.roles_anywhere_errors import CertificateError
from fastiam.rolesanywhere.roles_anywhere_service import RolesAnywhere
from fastiam.rolesanywhere.settings import RolesAnywhereSettings

__all__ = [
    "CertificateError",
    "CreatedSession",
    "NotificationSetting",
    "Response",
    "RevocationList",
    "RolesAnywhere",
    "RolesAnywhereObjects",
    "RolesAnywhereProfile",
    "RolesAnywhereSettings",
    "SignedRequest",
    "Subject",
    "TrustAnchor",
    "error_response",
    "sign_request",
    "success_response",
]
