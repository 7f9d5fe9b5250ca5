"""The records of federation, which change in the transactions of the directory (9.1). Secrets are sealed under the keyring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fastiam.directory.account_records import SamlProvider
from fastiam.directory.transactions import Change, RecordStore


@dataclass(frozen=True, slots=True)
class SamlKey:
    """A private key that decrypts assertions of one provider. `provider` is the provider's unique id."""

    id: str
    provider: str
    sealed: bytes = field(repr=False)
    created: datetime


@dataclass(frozen=True, slots=True)
class Redemption:
    """An assertion that was redeemed. `until` : its expiry; `once` : it cannot be used for another role either (SA80)."""

    until: datetime
    once: bool = False


@dataclass(frozen=True, slots=True)
class Horizon:
    """Redemptions that expired up to this instant may have been removed: such an assertion counts as used (ST20)."""

    at: datetime


@dataclass(slots=True)
class FederationTables:
    """Private keys by `provider id/key id`; redemptions by a hash of the assertion and its use."""

    saml_keys: dict[str, SamlKey] = field(default_factory=dict)
    redemptions: dict[str, Redemption] = field(default_factory=dict)
    horizon: Horizon | None = None


class FederationStore(RecordStore[FederationTables]):
    """The records of federation. Private keys are removed with their provider (ST12)."""

    name = "federation"
    owner_tables = frozenset(("saml_providers",))

    def __init__(self) -> None:
        super().__init__(FederationTables())

    def saml_keys(self, provider: str) -> list[SamlKey]:
        """The private keys of a provider, by its unique id, oldest first."""
        found = [key for key in self.tables.saml_keys.values() if key.provider == provider]
        return sorted(found, key=lambda key: (key.created, key.id))

    def before_commit(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.new is None and isinstance(change.old, SamlProvider):
                for key in self.saml_keys(change.old.unique_id):
                    self.put("saml_keys", f"{key.provider}/{key.id}", None)

    def __getstate__(self) -> Mapping[str, Any]:
        raise TypeError("sealed keys are not pickled; open the store where they are needed")
