"""Outside identity providers of a pool, and links of their identities to users (4.18)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from fastiam.cognito.cognito_errors import CognitoError
from fastiam.cognito.user_pools.attributes import schema_of
from fastiam.cognito.user_pools.calls import Calls, with_token
from fastiam.cognito.user_pools.operations import operation
from fastiam.cognito.user_pools.social import AMAZON, APPLE, FACEBOOK, GOOGLE, SOCIAL, check_details
from fastiam.cognito.user_pools.state import Json, PoolState
from fastiam.credentials.secret import Secret
from fastiam.directory.user_pool_records import ENCRYPTION_CERTIFICATE, Identity, Pool, Provider, ProviderSecret
from fastiam.federation.fetch import FetchError, FetchLimits
from fastiam.federation.issuer_keys import is_https
from fastiam.federation.saml_metadata import SamlMetadata, read_metadata
from fastiam.federation.xml_reading import XmlError
from fastiam.model.key_registry import fold

SUBJECT = "Cognito_Subject"
REFETCH = timedelta(hours=6)
MAX_LINKS, MAX_METADATA = 5, 131_072
_SECRETS = ("client_secret", "private_key")  # a provider has one of them at most
_OIDC = ("client_id", "client_secret", "authorize_scopes")
_ENDPOINTS = ("authorize_url", "token_url", "attributes_url", "jwks_uri")
_DETAILS: dict[str, set[str]] = {
    "OIDC": {*_OIDC, *_ENDPOINTS, "oidc_issuer", "attributes_request_method", "attributes_url_add_attributes"},
    GOOGLE: {*_OIDC},
    FACEBOOK: {*_OIDC, "api_version"},
    AMAZON: {*_OIDC},
    APPLE: {"client_id", "team_id", "key_id", "private_key", "authorize_scopes"},
    "SAML": {"MetadataURL", "MetadataFile", "IDPSignout", "EncryptedResponses", "IDPInit"},
}
_REQUIRED: dict[str, set[str]] = {
    "OIDC": {"client_id", "authorize_scopes", "oidc_issuer"},
    GOOGLE: {"client_id", "authorize_scopes"},
    FACEBOOK: {*_OIDC},
    AMAZON: {*_OIDC},
    APPLE: _DETAILS[APPLE],
    "SAML": set(),
}
_FIXED = {"IDPSignout": "false", "attributes_request_method": "GET", "attributes_url_add_attributes": "false"}  # nothing else


class ProviderCalls(Calls):
    """CreateIdentityProvider, AdminLinkProviderForUser and others."""

    @operation
    def create_identity_provider(
        self,
        *,
        user_pool_id: str,
        provider_name: str,
        provider_type: str,
        provider_details: Mapping[str, str],
        attribute_mapping: Mapping[str, str] | None = None,
        idp_identifiers: Sequence[str] = (),
    ) -> Json:
        """Let users of an outside provider sign in: `OIDC`, `SAML`, or a provider with fixed addresses, named like its type."""
        pool, now = self._state.pool(user_pool_id), self._state.now()
        if not 3 <= len(provider_name) <= 32 or "_" in provider_name or any(char.isspace() for char in provider_name):
            raise CognitoError("`ProviderName` has 3 to 32 characters without `_` and white space", rule="UP114")
        if provider_type not in _DETAILS or (provider_name != provider_type and {provider_name, provider_type} & set(SOCIAL)):
            raise CognitoError(f"a provider `{provider_name}` of type {provider_type} is not supported", rule="4.18")
        provider = Provider(pool.id, provider_name, provider_type, self._state.new_id(), now, now)
        provider, secret = self._read_provider(pool, provider, provider_details, attribute_mapping, idp_identifiers)
        with self._state.transaction():
            taken = {fold(stored.name) for stored in self._state.store.providers(pool.id)} | {"cognito"}
            if fold(provider_name) in taken:
                message = f"A provider with the name {provider_name} already exists."
                raise CognitoError(message, code="DuplicateProviderException", rule="UP114")
            self._put_provider(pool, provider, secret)
        return {"IdentityProvider": describe_provider(provider)}

    def _put_provider(self, pool: Pool, provider: Provider, secret: Secret | None) -> None:
        for other in self._state.store.providers(pool.id):
            if other.unique_id != provider.unique_id and set(other.identifiers) & set(provider.identifiers):
                raise CognitoError("another provider has this identifier", code="DuplicateProviderException", rule="UP114")
        self._state.put("providers", f"{pool.id}/{provider.name}", provider)
        if secret is not None:
            key = f"{pool.id}/{provider.unique_id}"
            sealed = self._state.sealed("provider_secrets", key, secret.encode())
            self._state.put("provider_secrets", key, ProviderSecret(sealed))

    def _read_provider(
        self,
        pool: Pool,
        provider: Provider,
        details: Mapping[str, str],
        mapping: Mapping[str, str] | None,
        identifiers: Sequence[str],
    ) -> tuple[Provider, Secret | None]:
        """A provider with settings of a call, and its secret if there is a new one."""
        kind = provider.type
        has_secret = f"{pool.id}/{provider.unique_id}" in self._state.tables.provider_secrets
        unknown, missing = details.keys() - _DETAILS[kind], _REQUIRED[kind] - details.keys()
        missing -= set(_SECRETS if has_secret else ())
        if unknown or missing:
            what = f"`{min(unknown)}` is not supported" if unknown else f"`{min(missing)}` is missing"
            raise CognitoError(f"provider details: {what}", rule="4.18")
        for name in ("oidc_issuer", *_ENDPOINTS, "MetadataURL"):
            if name in details and not is_https(details[name]):
                raise CognitoError(f"`{name}` must be an address with https", rule="4.18")
        for name, value in _FIXED.items():
            if details.get(name, value) != value:
                raise CognitoError(f"provider details: `{name}` other than `{value}` is not supported", rule="4.18")
        check_details(kind, details)
        schema = schema_of(pool)
        for name in mapping or ():
            if name != "username" and (name not in schema or not schema[name].mutable or name == "sub"):
                raise CognitoError(f"the attribute `{name}` cannot be mapped: it must exist and be mutable", rule="UP111")
        kept = {name: value for name, value in details.items() if name not in (*_SECRETS, "MetadataFile")}
        secret = next((Secret(details[name]) for name in _SECRETS if name in details), None)
        changed = replace(
            provider,
            details=kept,
            mapping=dict(mapping or {}),
            identifiers=tuple(dict.fromkeys(identifiers)),
            modified=self._state.now(),
        )
        if kind == "SAML":
            changed = _with_metadata(self._state, changed, details)
            if details.get("EncryptedResponses") == "true":
                certificate = provider.details.get(ENCRYPTION_CERTIFICATE, "")
                if not certificate:
                    secret, certificate = self._encryption_key()
                changed = replace(changed, details={**changed.details, ENCRYPTION_CERTIFICATE: certificate})
        return changed, secret

    def _encryption_key(self) -> tuple[Secret, str]:
        """A key that decrypts assertions, and its certificate for the provider."""
        private, now = generate_private_key(65_537, 2048), self._state.now()
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "fastiam")])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=3650))
            .sign(private, SHA256())
        )
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return Secret(pem), certificate.public_bytes(Encoding.PEM).decode()

    # -- reading and changing ---------------------------------------------------------------------------------------------

    @operation
    def describe_identity_provider(self, *, user_pool_id: str, provider_name: str) -> Json:
        """A provider, without its secret."""
        provider = self._state.provider(self._state.pool(user_pool_id), provider_name)
        return {"IdentityProvider": describe_provider(provider)}

    @operation
    def update_identity_provider(
        self,
        *,
        user_pool_id: str,
        provider_name: str,
        provider_details: Mapping[str, str] | None = None,
        attribute_mapping: Mapping[str, str] | None = None,
        idp_identifiers: Sequence[str] | None = None,
    ) -> Json:
        """Change a provider. What is not given stays."""
        pool = self._state.pool(user_pool_id)
        stored = self._state.provider(pool, provider_name)
        details = provider_details
        if details is None:
            details = {name: value for name, value in stored.details.items() if name != ENCRYPTION_CERTIFICATE}
            if stored.type == "SAML" and "MetadataURL" not in details:
                details = {**details, "MetadataFile": stored.metadata}
        mapping = stored.mapping if attribute_mapping is None else attribute_mapping
        identifiers = stored.identifiers if idp_identifiers is None else idp_identifiers
        changed, secret = self._read_provider(pool, stored, details, mapping, identifiers)
        with self._state.transaction():
            if self._state.provider(pool, provider_name).unique_id != stored.unique_id:
                raise CognitoError("the provider was replaced meanwhile", code="ConcurrentModificationException", rule="UP72")
            self._put_provider(pool, changed, secret)
        return {"IdentityProvider": describe_provider(changed)}

    @operation
    def delete_identity_provider(self, *, user_pool_id: str, provider_name: str) -> Json:
        """Delete a provider. Its users stay, and cannot sign in; a new provider of the name does not inherit them."""
        with self._state.transaction():
            pool = self._state.pool(user_pool_id)
            provider = self._state.provider(pool, provider_name)
            self._state.put("providers", f"{pool.id}/{provider.name}", None)
            self._state.put("provider_secrets", f"{pool.id}/{provider.unique_id}", None)
            for client in self._state.store.clients(pool.id):
                if provider.name in client.providers:
                    names = tuple(name for name in client.providers if name != provider.name)
                    self._state.put("clients", client.id, replace(client, providers=names))
        return {}

    @operation
    def list_identity_providers(
        self, *, user_pool_id: str, max_results: int | None = None, next_token: str | None = None
    ) -> Json:
        """The providers of a pool."""
        pool = self._state.pool(user_pool_id)
        providers = [(provider.name, provider) for provider in self._state.store.providers(pool.id)]
        page, token = self._page(f"providers {pool.id}", providers, max_results, next_token)
        names = {"ProviderName": "name", "ProviderType": "type", "LastModifiedDate": "modified", "CreationDate": "created"}
        found = [{name: getattr(provider, attribute) for name, attribute in names.items()} for provider in page]
        return with_token({"Providers": found}, "NextToken", token)

    @operation
    def get_identity_provider_by_identifier(self, *, user_pool_id: str, idp_identifier: str) -> Json:
        """The provider with an identifier."""
        pool = self._state.pool(user_pool_id)
        for provider in self._state.store.providers(pool.id):
            if idp_identifier in provider.identifiers:
                return {"IdentityProvider": describe_provider(provider)}
        raise CognitoError("there is no provider with this identifier", code="ResourceNotFoundException")

    # -- links ------------------------------------------------------------------------------------------------------------

    @operation
    def admin_link_provider_for_user(
        self, *, user_pool_id: str, destination_user: Mapping[str, str], source_user: Mapping[str, str]
    ) -> Json:
        """Let an outside identity sign in as a user, before its own first sign-in."""
        pool = self._state.pool(user_pool_id)
        provider, attribute, value = self._identity_of(pool, source_user)
        if destination_user.get("ProviderName", "Cognito") != "Cognito":
            raise CognitoError("the destination must be a user of the pool", rule="UP113")
        user = self._state.user(pool, destination_user.get("ProviderAttributeValue", ""))
        with self._state.transaction():
            user = self._state.current(user)
            key = f"{pool.id}/{provider.unique_id}/{attribute}/{value}"
            if user.status == "EXTERNAL_PROVIDER" or key in self._state.tables.identities:
                raise CognitoError("the identity, or the user, belongs to an outside provider already", rule="UP113")
            if sum(identity.linked for _, identity in self._state.store.identities(user)) >= MAX_LINKS:
                message = f"a user has at most {MAX_LINKS} linked identities"
                raise CognitoError(message, code="LimitExceededException", rule="UP113")
            if attribute != SUBJECT:
                self._state.warn(f"a link by the claim `{attribute[:64]}` trusts the provider about it")
            now, issuer = self._state.now(), provider.details.get("oidc_issuer", "")
            identity = Identity(
                pool.id, provider.unique_id, provider.name, provider.type, attribute, value, user.sub, now, True, issuer
            )
            self._state.put("identities", key, identity)
        return {}

    def _identity_of(self, pool: Pool, given: Mapping[str, str]) -> tuple[Provider, str, str]:
        name, value = given.get("ProviderName"), given.get("ProviderAttributeValue")
        if not name or not value:
            raise CognitoError("`ProviderName` and `ProviderAttributeValue` are required", rule="UP113")
        return self._state.provider(pool, name), given.get("ProviderAttributeName") or SUBJECT, value

    @operation
    def admin_disable_provider_for_user(self, *, user_pool_id: str, user: Mapping[str, Any]) -> Json:
        """Undo a link, or cut an outside identity off from its user."""
        pool = self._state.pool(user_pool_id)
        provider, attribute, value = self._identity_of(pool, user)
        key = f"{pool.id}/{provider.unique_id}/{attribute}/{value}"
        with self._state.transaction():
            if key not in self._state.tables.identities:
                raise CognitoError("User does not exist.", code="UserNotFoundException", rule="UP113")
            self._state.put("identities", key, None)
        return {}


def _read_metadata(text: str) -> SamlMetadata:
    try:
        return read_metadata(text)
    except XmlError as error:
        raise CognitoError(f"the metadata are wrong: {error}", rule="UP112") from None


def sign_in_location(metadata: SamlMetadata) -> str:
    """The address for sign-in requests by redirect, else by POST; "" if there is none."""
    for binding in ("HTTP-Redirect", "HTTP-POST"):
        for name, address in metadata.sign_in:
            if name.endswith(f":bindings:{binding}") and is_https(address):
                return address
    return ""


def describe_provider(provider: Provider) -> Json:
    """`IdentityProvider` of an answer. The client secret is not in it."""
    details = dict(provider.details)
    if provider.type == "SAML" and "MetadataURL" not in details:
        details["MetadataFile"] = provider.metadata
    return {
        "UserPoolId": provider.pool,
        "ProviderName": provider.name,
        "ProviderType": provider.type,
        "ProviderDetails": details,
        "AttributeMapping": dict(provider.mapping),
        "IdpIdentifiers": list(provider.identifiers),
        "LastModifiedDate": provider.modified,
        "CreationDate": provider.created,
    }


# -- SAML metadata -----------------------------------------------------------------------------------------------------------


def _with_metadata(state: PoolState, provider: Provider, details: Mapping[str, str]) -> Provider:
    """The provider with metadata of a file or URL. A signing certificate must be valid now (UP112)."""
    if ("MetadataURL" in details) is ("MetadataFile" in details):
        raise CognitoError("pass either `MetadataURL` or `MetadataFile`", rule="UP112")
    now = state.now()
    text = details["MetadataFile"] if "MetadataFile" in details else _fetch_metadata(state, details["MetadataURL"])
    read = _read_metadata(text)
    if not read.is_valid(now) or not any(key.is_valid(now) for key in read.keys):
        raise CognitoError("the metadata, or all signing certificates in them, have expired", rule="UP112")
    if not sign_in_location(read):
        raise CognitoError("the metadata have no sign-in address with https", rule="UP112")
    return replace(provider, metadata=text, fetched=now if "MetadataURL" in details else None)


def _fetch_metadata(state: PoolState, url: str) -> str:
    try:
        result = state.fetch(url, FetchLimits(size=MAX_METADATA, hosts=state.settings.metadata_hosts))
        if result.status == 200 and len(result.body) <= MAX_METADATA:
            return result.body.decode()
    except (FetchError, UnicodeDecodeError):
        pass
    raise CognitoError("the metadata cannot be read from their URL", rule="UP112")


def metadata_of(state: PoolState, provider: Provider) -> SamlMetadata:
    """The metadata of a provider, read again from their URL after six hours; the old ones stay if that fails."""
    url, now = provider.details.get("MetadataURL"), state.now()
    if url and provider.fetched is not None and now >= provider.fetched + REFETCH:
        key = f"{provider.pool}/{provider.name}"
        try:
            renewed = _with_metadata(state, provider, {"MetadataURL": url})
        except CognitoError as error:
            state.warn(f"SAML metadata stay as they are: {error.message}")
            renewed = replace(provider, fetched=now)
        with state.transaction():
            if state.tables.providers.get(key) is provider:
                state.put("providers", key, renewed)
        provider = renewed
    return _read_metadata(provider.metadata)
