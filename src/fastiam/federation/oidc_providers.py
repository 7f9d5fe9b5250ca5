"""OIDC providers: the IAM calls with their error codes (1.4, 1.9). The record of a provider is in the directory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from fastiam.directory.account_records import OidcProvider
from fastiam.errors import DirectoryError
from fastiam.federation.federation_errors import ProviderError
from fastiam.federation.jwks import read_jwks
from fastiam.federation.state import FederationState
from fastiam.model.request import shorten

_HTTPS = "https://"
_MAX_THUMBPRINTS, _MAX_CLIENT_IDS = 5, 100
_CODES = {"DIR-EXISTS": "EntityAlreadyExists", "DIR-QUOTA": "LimitExceeded"}


class OidcProviders:
    """The OIDC providers of a directory. Each write is one transaction, and is refused with the code that IAM answers.

    `caller` of a write is the principal that makes the call, for the audit event. No policy is evaluated here.
    """

    def __init__(self, state: FederationState) -> None:
        self._state = state

    def create(
        self,
        account: str,
        url: str,
        *,
        partition: str = "aws",
        client_ids: Sequence[str] = (),
        thumbprints: Sequence[str] = (),
        tags: Mapping[str, str] = {},
        keys: str = "",
        caller: str = "",
        **unsupported: object,
    ) -> OidcProvider:
        """CreateOpenIDConnectProvider. Nothing is read from the network (IP31).

        Parameters
        ----------
        url
            with `https://`, as tokens have it in `iss`; a trailing `/` belongs to it.
        client_ids
            audiences whose tokens are accepted; without any no token is.
        thumbprints
            SHA-1 of CA certificates, for issuers whose certificate chain ends in no trusted one (IP30).
        keys
            a pinned JWKS, as JSON text: tokens are verified with it, and nothing is read from the network (IP33).

        Raises
        ------
        ProviderError
            `InvalidInput`, `EntityAlreadyExists` or `LimitExceeded`.
        """
        text = url if isinstance(url, str) else ""
        arn = f"arn:{partition}:iam::{account}:oidc-provider/{text.removeprefix(_HTTPS)}"
        with self._change("CreateOpenIDConnectProvider", arn, caller, "provider"):
            if unsupported:
                raise ProviderError(f"`{next(iter(unsupported))}` is not supported", rule="IP18")
            if not text.startswith(_HTTPS):
                raise ProviderError(f"`{shorten(str(url))}` is not a URL with `https://`", rule="1.4")
            _check_count("client ids", client_ids, _MAX_CLIENT_IDS)
            _check_count("thumbprints", thumbprints, _MAX_THUMBPRINTS)
            _check_keys(keys)
            self._state.directory.create_oidc_provider(
                arn, client_ids=client_ids, thumbprints=thumbprints, tags=tags, created=self._state.now(), keys=keys
            )
        return self.get(arn)

    def get(self, arn: str) -> OidcProvider:
        """GetOpenIDConnectProvider.

        Raises
        ------
        ProviderError
            `NoSuchEntity`.
        """
        record = self._state.tables.oidc_providers.get(arn) if isinstance(arn, str) else None
        if record is None:
            raise ProviderError(f"OIDC provider not found: `{shorten(str(arn))}`", rule="1.9", code="NoSuchEntity")
        return record

    def list(self, account: str) -> list[OidcProvider]:
        """ListOpenIDConnectProviders: those of one account, by ARN."""
        records = self._state.tables.oidc_providers.values()
        return sorted((record for record in records if record.account == account), key=lambda record: record.arn)

    def add_client_id(self, arn: str, client_id: str, *, caller: str = "") -> OidcProvider:
        """AddClientIDToOpenIDConnectProvider; one that is there already changes nothing.

        Raises
        ------
        ProviderError
            `NoSuchEntity`, `InvalidInput`, or `LimitExceeded` for the 101st.
        """
        with self._change("AddClientIDToOpenIDConnectProvider", arn, caller, "client ids"):
            ids = self.get(arn).client_ids
            if client_id not in ids:
                self._state.directory.update_oidc_provider(arn, client_ids=(*ids, client_id))
        return self.get(arn)

    def remove_client_id(self, arn: str, client_id: str, *, caller: str = "") -> OidcProvider:
        """RemoveClientIDFromOpenIDConnectProvider; one that is not there changes nothing.

        Raises
        ------
        ProviderError
            `NoSuchEntity`.
        """
        with self._change("RemoveClientIDFromOpenIDConnectProvider", arn, caller, "client ids"):
            left = tuple(each for each in self.get(arn).client_ids if each != client_id)
            self._state.directory.update_oidc_provider(arn, client_ids=left)
        return self.get(arn)

    def update_thumbprints(self, arn: str, thumbprints: Sequence[str], *, caller: str = "") -> OidcProvider:
        """UpdateOpenIDConnectProviderThumbprint: replaces the list.

        Raises
        ------
        ProviderError
            `NoSuchEntity` or `InvalidInput`.
        """
        with self._change("UpdateOpenIDConnectProviderThumbprint", arn, caller, "thumbprints"):
            self.get(arn)
            _check_count("thumbprints", thumbprints, _MAX_THUMBPRINTS)
            self._state.directory.update_oidc_provider(arn, thumbprints=thumbprints)
        return self.get(arn)

    def pin_keys(self, arn: str, keys: str, *, caller: str = "") -> OidcProvider:
        """Replace the pinned JWKS; "" reads the keys from the issuer again (IP33). Not a call of IAM.

        Raises
        ------
        ProviderError
            `NoSuchEntity` or `InvalidInput`.
        """
        with self._change("PinOpenIDConnectProviderKeys", arn, caller, "keys"):
            self.get(arn)
            _check_keys(keys)
            self._state.directory.update_oidc_provider(arn, keys=keys)
        return self.get(arn)

    def tag(self, arn: str, tags: Mapping[str, str], *, caller: str = "") -> None:
        """TagOpenIDConnectProvider: tags next to those that it has.

        Raises
        ------
        ProviderError
            `InvalidInput` or `NoSuchEntity`.
        """
        with self._change("TagOpenIDConnectProvider", arn, caller, "tags"):
            self.get(arn)
            self._state.directory.tag(arn, tags)

    def untag(self, arn: str, keys: Iterable[str], *, caller: str = "") -> None:
        """UntagOpenIDConnectProvider: the tags of these keys are removed.

        Raises
        ------
        ProviderError
            `NoSuchEntity`.
        """
        with self._change("UntagOpenIDConnectProvider", arn, caller, "tags"):
            self.get(arn)
            self._state.directory.untag(arn, keys)

    def delete(self, arn: str, *, caller: str = "") -> None:
        """DeleteOpenIDConnectProvider; one that is not there is deleted already. Sessions that exist go on (IP3)."""
        with self._change("DeleteOpenIDConnectProvider", arn, caller, "provider"):
            if arn in self._state.tables.oidc_providers:
                self._state.directory.delete_provider(arn)

    @contextmanager
    def _change(self, kind: str, arn: str, caller: str, changed: str) -> Iterator[None]:
        """One write with its event. It keeps the rules also in a directory that only reports them (mode `lenient`)."""
        directory = self._state.directory
        with self._state.change(kind, arn, caller, changed), directory.transaction():
            before = len(directory.findings)
            try:
                yield
            except DirectoryError as error:
                raise _refusal(error.rule, error.message, error.hint) from None
            for finding in directory.findings[before:]:
                raise _refusal(finding.code, finding.message, finding.hint)


def _refusal(rule: str, message: str, hint: str) -> ProviderError:
    return ProviderError(message, rule="1.9", code=_CODES.get(rule, "InvalidInput"), hint=hint)


def _check_count(what: str, given: Sequence[str], most: int) -> None:
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence) or len(given) > most:
        raise ProviderError(f"{what} are a list of at most {most}", rule="1.4")


def _check_keys(keys: str) -> None:
    if not keys:
        return
    try:
        usable = read_jwks(keys.encode()).keys
    except (ValueError, AttributeError) as error:
        raise ProviderError(f"the pinned JWKS is wrong: {error}", rule="IP33") from None
    if not usable:
        raise ProviderError("the pinned JWKS has no usable key", rule="IP33")
