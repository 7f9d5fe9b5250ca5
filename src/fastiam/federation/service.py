"""`Federation`: the calls that take the bytes of outside identities. It delegates; the rules are in the verifiers."""

from __future__ import annotations

from fastiam.federation.audit import Audit, Auditor, log_event
from fastiam.federation.fetch import Fetch, no_fetch
from fastiam.federation.settings import FederationSettings
from fastiam.federation.state import FederationState
from fastiam.sts.service import STS


class Federation:
    """Verifies outside identities, and issues sessions for them.

    Parameters
    ----------
    sts : decides trust policies and issues the sessions. Its directory contains the providers.
    fetch : the only network access; None reads nothing from the network.
    settings : how strictly identities are verified.
    audit : receives one `AuditEvent` per call; the default writes to `logging`.
    """

    def __init__(
        self,
        sts: STS,
        *,
        fetch: Fetch | None = None,
        settings: FederationSettings = FederationSettings(),  # noqa: B008  (frozen)
        audit: Audit = log_event,
    ) -> None:
        self._sts = sts
        auditor = Auditor(audit, hash_personal_data=settings.hash_personal_data)
        self._state = FederationState(sts.issuer, settings, fetch or no_fetch, auditor)

    def __repr__(self) -> str:
        sts = getattr(self, "_sts", None)  # tracebacks show objects that are not complete
        return "<Federation>" if sts is None else f"<Federation: {sts!r}>"

    @property
    def sts(self) -> STS:
        """The STS that issues the sessions."""
        return self._sts
