"""Writes of instance profiles, and of SAML and OIDC providers (spec 1.7)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from fastiam.directory.account_records import InstanceProfile, OidcProvider, SamlProvider
from fastiam.directory.naming_rules import iam_name
from fastiam.directory.stored_policies import Reader
from fastiam.directory.transactions import write
from fastiam.directory.unique_ids import INSTANCE_PROFILE, NEW, OIDC_PROVIDER, SAML_PROVIDER, id_for, new_id, new_saml_uuid
from fastiam.directory.writes.base import Writes, refuse_in_use
from fastiam.errors import DirectoryError
from fastiam.model.profile import ROLES
from fastiam.model.request import shorten
from fastiam.policy.principal_entries import GOOGLE, WEB_PROVIDERS

_THUMBPRINT = re.compile("[0-9A-Fa-f]{40}")
_UUID = re.compile("[A-Z0-9]{22,64}")
_ENCRYPTION = ("", "Allowed", "Required")
_PORT = re.compile(r"[A-Za-z0-9.-]+:[0-9]+(?:/.*)?")
_URL = re.compile(r"[A-Za-z0-9.-]+(?:/[!\"$->@-~]*)?")  # of a path: all printable characters except `#` and `?`
_MAX_URL = 255 - len("https://")


class ProviderWrites(Writes):
    """Instance profiles and identity providers."""

    @write
    def create_instance_profile(
        self,
        arn: str,
        *,
        role: str | None = None,
        unique_id: str | None = NEW,
        tags: Mapping[str, str] = {},
        created: datetime | None = None,
    ) -> None:
        """Create an instance profile, with or without its one role, both by ARN."""
        parts, reader = iam_name(arn, "instance-profile"), self._reader()
        if self._exists(reader, self.tables.instance_profiles, arn, "instance profile"):
            return
        id_, read_tags_ = id_for(unique_id, INSTANCE_PROFILE), self._read_tags(reader, tags, arn)
        profile = InstanceProfile(arn, parts.partition, parts.account, parts.path, parts.name, id_, None, read_tags_, created)
        if role is not None:
            profile = replace(profile, role=self._role_of_profile(reader, profile, role))
        self._check_name(reader, arn, "instance-profile", parts.path, parts.name, (parts.partition, parts.account))
        self._commit(reader)
        self._put("instance_profiles", profile)
        self._ensure_account(parts.account, parts.partition)

    @write
    def add_role_to_instance_profile(self, arn: str, role: str) -> None:
        """Add a role to an instance profile without one."""
        profile = self._profile(arn)
        if profile.role is not None:
            message = f"`{arn}` has the role `{profile.role}`, and one is the most"
            raise DirectoryError(message, rule="DIR-QUOTA", hint="remove it with `remove_role_from_instance_profile`")
        reader = self._reader()
        new = replace(profile, role=self._role_of_profile(reader, profile, role))
        self._commit(reader)
        self._put("instance_profiles", new)

    @write
    def remove_role_from_instance_profile(self, arn: str) -> None:
        """Remove the role from an instance profile."""
        self._put("instance_profiles", replace(self._profile(arn), role=None))

    @write
    def delete_instance_profile(self, arn: str) -> None:
        """Delete an instance profile; one that has a role is refused."""
        profile = self._profile(arn)
        refuse_in_use(arn, {"has the role": () if profile.role is None else (profile.role,)})
        self._store.put("instance_profiles", arn, None)

    @write
    def create_saml_provider(
        self,
        arn: str,
        *,
        metadata: str = "",
        tags: Mapping[str, str] = {},
        uuid: str = NEW,
        encryption: str = "",
        created: datetime | None = None,
    ) -> None:
        """Create a SAML provider by the ARN that trust policies name.

        Parameters
        ----------
        metadata
            the XML text that it publishes. It is stored as it is; `fastiam.federation` reads it.
        uuid
            its public `SAMLProviderUUID`, 22 to 64 capital letters and digits.
        encryption
            whether assertions are encrypted: `Required`, `Allowed`, or "" for never.
        """
        parts, reader = iam_name(arn, "saml-provider"), self._reader()
        if self._exists(reader, self.tables.saml_providers, arn, "SAML provider"):
            return
        provider = SamlProvider(
            arn,
            parts.account,
            parts.name,
            _text(metadata, "metadata"),
            self._read_tags(reader, tags, arn),
            new_id(SAML_PROVIDER),
            _uuid(uuid),
            _encryption(encryption),
            created,
        )
        self._check_name(reader, arn, "saml-provider", "/", parts.name)
        self._check_room(reader, arn, "saml-provider", parts.account)
        self._commit(reader)
        self._put("saml_providers", provider)
        self._ensure_account(parts.account, parts.partition)

    @write
    def update_saml_provider(self, arn: str, metadata: str | None = None, *, encryption: str | None = None) -> None:
        """Update the metadata or the encryption mode of a SAML provider; None keeps a value."""
        old: SamlProvider = self._provider("saml_providers", arn)
        text = old.metadata if metadata is None else _text(metadata, "metadata")
        mode = old.encryption if encryption is None else _encryption(encryption)
        id_, uuid = old.unique_id or new_id(SAML_PROVIDER), old.uuid or new_saml_uuid()  # older rows have none
        self._put("saml_providers", replace(old, metadata=text, encryption=mode, unique_id=id_, uuid=uuid))

    @write
    def create_oidc_provider(
        self,
        arn: str,
        *,
        client_ids: Iterable[str] = (),
        thumbprints: Iterable[str] = (),
        tags: Mapping[str, str] = {},
        created: datetime | None = None,
        keys: str = "",
    ) -> None:
        """Create an OpenID Connect provider; its ARN ends in its URL without `https://`. A trailing `/` belongs to the URL.

        Parameters
        ----------
        client_ids
            the audiences whose tokens count.
        thumbprints
            SHA-1 of certificates, as 40 hexadecimal digits.
        keys
            a pinned JWKS, the JSON text of the keys that sign its tokens; "" reads them from the provider.
        """
        parts, reader = iam_name(arn, "oidc-provider"), self._reader()
        if self._exists(reader, self.tables.oidc_providers, arn, "OIDC provider"):
            return
        self._check_url(reader, arn, parts.name)
        read_tags_ = self._read_tags(reader, tags, arn)
        ids, prints = _client_ids(client_ids), _thumbprints(thumbprints)
        provider = OidcProvider(
            arn, parts.account, parts.name, ids, prints, read_tags_, new_id(OIDC_PROVIDER), created, _text(keys, "keys")
        )
        self._check_lists(reader, provider)
        self._check_room(reader, arn, "oidc-provider", parts.account)
        self._commit(reader)
        self._put("oidc_providers", provider)
        self._ensure_account(parts.account, parts.partition)

    @write
    def update_oidc_provider(
        self,
        arn: str,
        *,
        client_ids: Iterable[str] | None = None,
        thumbprints: Iterable[str] | None = None,
        keys: str | None = None,
    ) -> None:
        """Update the client ids, thumbprints or pinned keys of an OIDC provider; None keeps a value."""
        old: OidcProvider = self._provider("oidc_providers", arn)
        new = replace(
            old,
            client_ids=old.client_ids if client_ids is None else _client_ids(client_ids),
            thumbprints=old.thumbprints if thumbprints is None else _thumbprints(thumbprints),
            keys=old.keys if keys is None else _text(keys, "keys"),
        )
        reader = self._reader()
        self._check_lists(reader, new)
        self._commit(reader)
        self._put("oidc_providers", new)

    @write
    def delete_provider(self, arn: str) -> None:
        """Delete a SAML or OIDC provider with its private keys. Trust policies that name it stay, and match no principal."""
        table = "saml_providers" if arn in self.tables.saml_providers else "oidc_providers"
        self._store.put(table, self._provider(table, arn).arn, None)

    # -- lookups and checks -------------------------------------------------------------------------------------------

    def _check_url(self, reader: Reader, arn: str, url: str) -> None:
        """The URL of an OIDC provider (spec 1.4, IP21 of the federation rules)."""
        if _PORT.fullmatch(url):
            hint = "serve the issuer on port 443, with an `iss` without a port: AWS has no others"
            self._refuse(reader, "DIR-NAME", arn, f"the URL `{shorten(url)}` of a provider has a port", hint)
        elif not _URL.fullmatch(url) or len(url) > _MAX_URL:
            message = f"`{shorten(url)}` is not the URL of a provider without `https://`"
            self._refuse(reader, "DIR-NAME", arn, message, "write host and path, without port, query, fragment and user")
        if url.lower().rstrip("/") in WEB_PROVIDERS and url != GOOGLE:
            self._refuse(reader, "DIR-NAME", arn, "a built-in web identity provider is not created", f"name `{url}` in policies")

    def _check_lists(self, reader: Reader, provider: OidcProvider) -> None:
        """Check the numbers of client ids and thumbprints of an OIDC provider."""
        counts = {
            "client_ids_per_oidc_provider": (len(provider.client_ids), "too many client ids"),
            "thumbprints_per_oidc_provider": (len(provider.thumbprints), "too many thumbprints"),
        }
        for quota, (count, what) in counts.items():
            self._check_quota(reader, quota, count, provider.arn, what)

    def _profile(self, arn: str) -> InstanceProfile:
        profile = self.tables.instance_profiles.get(arn)
        if profile is None:
            message = f"there is no instance profile `{shorten(str(arn))}`"
            raise DirectoryError(message, hint="create it with `create_instance_profile`")
        return profile

    def _role_of_profile(self, reader: Reader, profile: InstanceProfile, role: str) -> str | None:
        entity = self.tables.entities.get(role)
        if entity is None:
            self._refuse(reader, "DIR-NO-ROLE", role, f"`{profile.arn}` has a role that does not exist")
            return None
        if entity.kind not in ROLES or entity.account != profile.account:
            raise DirectoryError(f"`{role}` is not a role of the account of `{profile.arn}`")
        return role

    def _provider(self, table: str, arn: str) -> Any:
        provider = getattr(self.tables, table).get(arn)
        if provider is None:
            hint = "create it with `create_saml_provider` or `create_oidc_provider`"
            raise DirectoryError(f"there is no provider `{shorten(str(arn))}`", hint=hint)
        return provider


def _text(given: object, what: str) -> str:
    if not isinstance(given, str):
        raise DirectoryError(f"{what} must be text, not `{type(given).__name__}`")
    return given


def _uuid(given: object) -> str:
    if given == NEW:
        return new_saml_uuid()
    if not isinstance(given, str) or not _UUID.fullmatch(given):
        hint = "use 22 to 64 capital letters and digits"
        raise DirectoryError(f"`{shorten(str(given))}` is not the UUID of a SAML provider", hint=hint)
    return given


def _encryption(given: object) -> str:
    if given not in _ENCRYPTION:
        raise DirectoryError(f"`{shorten(str(given))}` is not an encryption mode", hint='use `Required`, `Allowed` or ""')
    return str(given)


def _client_ids(given: Iterable[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys((given,) if isinstance(given, str) else given))
    for id_ in found:
        if not isinstance(id_, str) or not 1 <= len(id_) <= 255:
            raise DirectoryError(f"`{shorten(str(id_))}` is not a client id", hint="write text of 1 to 255 characters")
    return found


def _thumbprints(given: Iterable[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys((given,) if isinstance(given, str) else given))
    for text in found:
        if not isinstance(text, str) or not _THUMBPRINT.fullmatch(text):
            raise DirectoryError(f"`{shorten(str(text))}` is not a thumbprint", hint="write 40 hexadecimal digits")
    return found
