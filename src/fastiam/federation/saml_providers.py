"""SAML providers: the IAM calls with their error codes, and the metadata that verification reads (1.2, 1.3, 1.9).

The record of a provider is in the directory; private keys for decryption are sealed in the store of federation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fastiam.credentials.federation_records import SamlKey
from fastiam.credentials.secret import takes_secrets
from fastiam.directory.account_records import SamlProvider
from fastiam.directory.unique_ids import new_saml_uuid
from fastiam.errors import DirectoryError
from fastiam.federation.federation_errors import ProviderError
from fastiam.federation.saml_metadata import MAX_CHARACTERS, MIN_CHARACTERS, SamlMetadata, read_metadata
from fastiam.federation.state import FederationState
from fastiam.federation.xml_reading import XmlError
from fastiam.model.key_registry import fold
from fastiam.model.request import shorten

MAX_KEYS = 2
_NAME = re.compile(r"[\w._-]{1,128}", re.ASCII)
_MODES = ("", "Allowed", "Required")
_MIN_BITS = 2_048


def saml_key_purpose(key: str) -> bytes:
    """The purpose for which a private key is sealed: it opens in no other record (ST10)."""
    return b"saml-provider-key\0" + key.encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class SamlProviderInfo:
    """A SAML provider as GetSAMLProvider describes it.

    Attributes
    ----------
    incomplete
        why the provider cannot verify anything, "" if it can (IP45).
    private_keys
        key id and creation date of each private key, oldest first.
    warnings
        certificates that verify nothing.
    """

    arn: str
    name: str
    uuid: str
    created: datetime | None
    metadata: str = field(repr=False)
    entity_id: str = ""
    valid_until: datetime | None = None
    encryption: str = ""
    private_keys: tuple[tuple[str, datetime], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    incomplete: str = ""
    warnings: tuple[str, ...] = ()


class SamlProviders:
    """The SAML providers of a directory. Each write is one transaction, and is refused with the code that IAM answers."""

    def __init__(self, state: FederationState) -> None:
        self._state = state
        self._read: dict[str, tuple[str, SamlMetadata | XmlError]] = {}  # by ARN: text and content

    # -- calls of IAM -----------------------------------------------------------------------------------------------------

    @takes_secrets("private_key")
    def create(
        self,
        account: str,
        name: str,
        metadata: str,
        *,
        partition: str = "aws",
        tags: Mapping[str, str] = {},
        encryption: str = "",
        private_key: str | None = None,
        caller: str = "",
        **unsupported: object,
    ) -> SamlProviderInfo:
        """CreateSAMLProvider.

        Parameters
        ----------
        metadata
            XML text that the identity provider publishes.
        encryption
            `Required`, `Allowed`, or "": encrypted assertions are refused. The first two need `private_key`.
        private_key
            PEM text of an RSA key that decrypts assertions.
        caller
            the principal that makes the call, for the audit event. No policy is evaluated here.

        Raises
        ------
        ProviderError
            `InvalidInput`, `EntityAlreadyExists` or `LimitExceeded`.
        """
        arn, now = f"arn:{partition}:iam::{account}:saml-provider/{name}", self._state.now()
        with self._state.change("CreateSAMLProvider", arn, caller, "provider"):
            _refuse_unsupported(unsupported)
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                hint = "use 1 to 128 of `A-Za-z0-9._-`"
                raise ProviderError(f"`{shorten(str(name))}` is not the name of a provider", rule="1.2", hint=hint)
            _check_metadata(metadata)
            with self._state.directory.transaction():
                taken = (other for other in self._of(account) if fold(other.name) == fold(name))
                if next(taken, None) is not None:
                    raise ProviderError("a provider of this name exists", rule="1.9", code="EntityAlreadyExists")
                with _refusing():
                    self._state.directory.create_saml_provider(
                        arn, metadata=metadata, tags=tags, encryption=_mode(encryption), created=now
                    )
                record = self._record(arn)
                if private_key is not None:
                    self._add_key(record, private_key, now)
                self._check_mode(record)
        return self.get(arn)

    @takes_secrets("add_private_key")
    def update(
        self,
        arn: str,
        *,
        metadata: str | None = None,
        encryption: str | None = None,
        add_private_key: str | None = None,
        remove_private_key: str | None = None,
        caller: str = "",
        **unsupported: object,
    ) -> SamlProviderInfo:
        """UpdateSAMLProvider: other metadata as a whole (IP46), another encryption mode, one private key more or less (IP47).

        Raises
        ------
        ProviderError
            `InvalidInput` or `NoSuchEntity`.
        """
        given = {
            "metadata": metadata,
            "encryption": encryption,
            "private key added": add_private_key,
            "private key removed": remove_private_key,
        }
        changed = ", ".join(name for name, value in given.items() if value is not None)
        with self._state.change("UpdateSAMLProvider", arn, caller, changed):
            _refuse_unsupported(unsupported)
            if add_private_key is not None and remove_private_key is not None:
                raise ProviderError("a private key is added and removed in separate updates", rule="1.2")
            if metadata is not None:
                _check_metadata(metadata)
            mode = None if encryption is None else _mode(encryption)
            with self._state.directory.transaction():
                self._record(arn)
                self._state.directory.update_saml_provider(arn, metadata, encryption=mode)
                record = self._record(arn)
                if add_private_key is not None:
                    self._add_key(record, add_private_key, self._state.now())
                if remove_private_key is not None:
                    self._remove_key(record, remove_private_key)
                self._check_mode(record)
        return self.get(arn)

    def get(self, arn: str) -> SamlProviderInfo:
        """GetSAMLProvider.

        Raises
        ------
        ProviderError
            `NoSuchEntity`.
        """
        record = self._record(arn)
        incomplete, metadata = "", None
        try:
            metadata = self.metadata_of(record)
        except XmlError as error:
            incomplete = str(error)
        return SamlProviderInfo(
            arn=record.arn,
            name=record.name,
            uuid=record.uuid,
            created=record.created,
            metadata=record.metadata,
            entity_id="" if metadata is None else metadata.entity_id,
            valid_until=None if metadata is None else metadata.valid_until,
            encryption=record.encryption,
            private_keys=tuple((key.id, key.created) for key in self._keys(record)),
            tags=dict(record.tags),
            incomplete=incomplete,
            warnings=() if metadata is None else metadata.warnings + self._date_warnings(metadata),
        )

    def list(self, account: str) -> list[SamlProviderInfo]:
        """ListSAMLProviders, by name."""
        self._state.directory.refresh()
        return [self.get(record.arn) for record in sorted(self._of(account), key=lambda record: record.name)]

    def delete(self, arn: str, *, caller: str = "") -> None:
        """DeleteSAMLProvider. Trust policies stay; sessions that exist go on (IP3).

        Raises
        ------
        ProviderError
            `NoSuchEntity`.
        """
        with self._state.change("DeleteSAMLProvider", arn, caller, "provider"), self._state.directory.transaction():
            self._record(arn)
            self._state.directory.delete_provider(arn)

    def tag(self, arn: str, tags: Mapping[str, str], *, caller: str = "") -> None:
        """TagSAMLProvider: tags next to those that it has.

        Raises
        ------
        ProviderError
            `InvalidInput` or `NoSuchEntity`.
        """
        with self._state.change("TagSAMLProvider", arn, caller, "tags"), self._state.directory.transaction(), _refusing():
            self._record(arn)
            self._state.directory.tag(arn, tags)

    def untag(self, arn: str, keys: Iterable[str], *, caller: str = "") -> None:
        """UntagSAMLProvider: the tags of these keys are removed.

        Raises
        ------
        ProviderError
            `NoSuchEntity`.
        """
        with self._state.change("UntagSAMLProvider", arn, caller, "tags"), self._state.directory.transaction():
            self._record(arn)
            self._state.directory.untag(arn, keys)

    # -- for verification -------------------------------------------------------------------------------------------------

    def metadata_of(self, record: SamlProvider) -> SamlMetadata:
        """The content of a provider's metadata. PERF: read once for each text.

        Raises
        ------
        XmlError
            they are missing or unreadable: the provider is incomplete.
        """
        known = self._read.get(record.arn)
        if known is None or known[0] != record.metadata:
            known = self._read[record.arn] = (
                record.metadata,
                _read_stored(record.metadata),
            )  # the last of two threads stays
        if isinstance(known[1], XmlError):
            raise XmlError(str(known[1]))
        return known[1]

    def private_keys(self, record: SamlProvider) -> Sequence[RSAPrivateKey]:
        """The private keys that decrypt a provider's assertions.

        Raises
        ------
        KeyringError
            one was sealed under a key that left the keyring.
        """
        keys = []
        for key in self._keys(record):
            purpose = saml_key_purpose(f"{key.provider}/{key.id}")
            keys.append(_load_key(self._state.issuer.state.keyring.open(purpose, key.sealed)))
        return [key for key in keys if key is not None]

    # -- parts ------------------------------------------------------------------------------------------------------------

    def _record(self, arn: str) -> SamlProvider:
        record = self._state.tables.saml_providers.get(arn)
        if record is None:
            raise ProviderError(f"SAML provider not found: `{shorten(str(arn))}`", rule="1.9", code="NoSuchEntity")
        return record

    def _of(self, account: str) -> Sequence[SamlProvider]:
        return [record for record in self._state.tables.saml_providers.values() if record.account == account]

    def _keys(self, record: SamlProvider) -> Sequence[SamlKey]:
        return self._state.store.saml_keys(record.unique_id) if record.unique_id else ()

    def _add_key(self, record: SamlProvider, pem: str, now: datetime) -> None:
        if len(self._keys(record)) >= MAX_KEYS:
            raise ProviderError(f"a provider has at most {MAX_KEYS} private keys", rule="1.2", hint="remove one")
        key = _load_key(pem.encode())
        if key is None or key.key_size < _MIN_BITS:
            raise ProviderError("the private key is not an RSA key of 2,048 bits or more, as PEM without a password", rule="1.2")
        id_ = new_saml_uuid()
        place = f"{record.unique_id}/{id_}"
        sealed = self._state.issuer.state.keyring.seal(saml_key_purpose(place), pem.encode())
        self._state.store.put("saml_keys", place, SamlKey(id_, record.unique_id, sealed, now))

    def _remove_key(self, record: SamlProvider, id_: str) -> None:
        place = f"{record.unique_id}/{id_}"
        if place not in self._state.store.tables.saml_keys:
            raise ProviderError(f"private key not found: `{shorten(str(id_))}`", rule="1.9", code="NoSuchEntity")
        self._state.store.put("saml_keys", place, None)

    def _check_mode(self, record: SamlProvider) -> None:
        if record.encryption and not self._keys(record):
            raise ProviderError(f"the encryption mode `{record.encryption}` needs a private key", rule="1.2")

    def _date_warnings(self, metadata: SamlMetadata) -> tuple[str, ...]:
        now = self._state.now()
        n = sum(not key.is_valid(now) for key in metadata.keys)
        return (f"{n} of {len(metadata.keys)} signing certificates are not valid now",) if n else ()


@contextmanager
def _refusing() -> Iterator[None]:
    """Refusals of the directory as those of IAM."""
    try:
        yield
    except DirectoryError as error:
        code = "LimitExceeded" if error.rule == "DIR-QUOTA" else "InvalidInput"
        raise ProviderError(error.message, rule="1.9", code=code, hint=error.hint) from None


def _read_stored(text: str) -> SamlMetadata | XmlError:
    """Metadata that may have been imported: a byte order mark is dropped (IP11)."""
    try:
        if not text:
            return XmlError("the metadata are missing")
        read = read_metadata(text.removeprefix("\ufeff"))
    except XmlError as error:
        return error
    if not text.startswith("\ufeff"):
        return read
    warnings = ("the metadata begin with a byte order mark", *read.warnings)
    return SamlMetadata(read.entity_id, read.keys, read.valid_until, read.sign_in, warnings)


def _check_metadata(text: object) -> None:
    """Metadata that are written: read strictly (1.2, 1.3)."""
    if not isinstance(text, str) or not MIN_CHARACTERS <= len(text) <= MAX_CHARACTERS:
        raise ProviderError(f"metadata are {MIN_CHARACTERS:,} to {MAX_CHARACTERS:,} characters", rule="1.2")
    try:
        read_metadata(text)
    except XmlError as error:
        raise ProviderError(str(error), rule="1.3") from None


def _mode(text: object) -> str:
    if text not in _MODES:
        raise ProviderError(f"`{shorten(str(text))}` is not an encryption mode", rule="1.2", hint="use `Required` or `Allowed`")
    return str(text)


def _load_key(pem: bytes) -> RSAPrivateKey | None:
    try:
        key = load_pem_private_key(pem, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, RSAPrivateKey) else None


def _refuse_unsupported(members: Mapping[str, object]) -> None:
    """Members of trusted identity propagation are refused, never ignored (IP18)."""
    if members:
        raise ProviderError(f"`{shorten(min(members))}` is not supported", rule="IP18")
