"""Shared state of the verifiers: STS with its directory, the settings, and the two ways out: fetch and audit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fastiam.api.directory import Directory
from fastiam.directory.records import Tables
from fastiam.federation.audit import Auditor
from fastiam.federation.fetch import Fetch
from fastiam.federation.records import FederationStore
from fastiam.federation.settings import FederationSettings
from fastiam.sts.session_issuer import Issuer


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

    def now(self) -> datetime:
        """The instant of a call, to whole seconds; read once per call (FD6)."""
        return self.issuer.state.now()
