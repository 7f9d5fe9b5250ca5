"""What the packages of identity add to the directory and to the command line, by name: nothing is imported for it."""

from __future__ import annotations

from collections.abc import Mapping

RECORD_STORES = (  # stores whose records follow records of the directory
    "fastiam.credentials.credential_records:CredentialStore",
    "fastiam.credentials.federation_records:FederationStore",
    "fastiam.cognito.identity_records:IdentityPoolStore",
)
VERBS: Mapping[str, str] = {  # in the order in which `--help` lists them
    "saml-provider": "SAML providers of a store",
    "oidc-provider": "OpenID Connect providers of a store",
    "trust-anchor": "trust anchors of a store, for IAM Roles Anywhere",
    "profile": "profiles of a store, for IAM Roles Anywhere",
    "crl": "certificate revocation lists of a store",
    "identity-pool": "Cognito identity pools of a store",
    "user-pool": "Cognito user pools of a store",
    "key": "access keys of a store",
    "mfa": "MFA devices of a store",
    "sts": "issue sessions from a store",
    "rolesanywhere": "issue sessions from a store for a certificate",
    "whoami": "identify the principal of credentials",
}
