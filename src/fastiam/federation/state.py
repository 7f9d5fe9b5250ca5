"""Shared state of the verifiers: STS with its directory, the settings, and the two ways out: fetch and audit."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from fastiam.credentials.federation_records import FederationStore
from fastiam.directory.account_records import Tables
from fastiam.federation.audit import Auditor, Entry
from fastiam.federation.fetch import Fetch
from fastiam.federation.settings import FederationSettings
from fastiam.model.arn import split_arn
from fastiam.sts.session_issuer import Issuer

if TYPE_CHECKING:  # the classes that join several branches
    from fastiam.api.directory import Directory


@dataclass(frozen=True, slots=True)
class FederationState:
    """What each verifier gets. It is shared by all calls of one `Federation`."""

    issuer: Issuer
    settings: FederationSettings
    fetch: Fetch
    auditor: Auditor
    store: FederationStore

    @property
    def directory(self) -> Directory:
        """The directory that STS decides over."""
        return self.issuer.state.directory

    @property
    def tables(self) -> Tables:
        """The records of the directory now (IP42)."""
        return self.issuer.state.tables

    def change(self, kind: str, arn: str, caller: str, changed: str) -> AbstractContextManager[Entry]:
        """The audit event of a write to a provider (9.4): what was changed, and who did it."""
        parts = split_arn(arn)
        account = "" if parts is None else parts.account
        return self.auditor.call(kind, self.now(), account=account, provider=arn, caller=caller, changed=changed)

    def now(self) -> datetime:
        """The instant of a call, to whole seconds; read once per call (FD6)."""
        return self.issuer.state.now()
