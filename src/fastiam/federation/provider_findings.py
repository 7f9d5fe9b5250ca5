"""Findings about the providers of a directory: imported state that cannot verify anything, or not completely (1.8)."""

from __future__ import annotations

from collections.abc import Iterator

from fastiam.errors import Finding, Severity
from fastiam.federation.saml_providers import SamlProviders
from fastiam.federation.state import FederationState
from fastiam.policy.principal_entries import WEB_PROVIDERS


def provider_findings(state: FederationState, saml: SamlProviders) -> Iterator[Finding]:
    """Providers that trust policies name and that do not exist, then SAML providers that are incomplete or have warnings."""
    tables = state.tables
    known = {*tables.saml_providers, *tables.oidc_providers, *WEB_PROVIDERS}
    for entity in tables.entities.values():
        for statement in () if entity.trust is None else entity.trust.policy.statements:
            for entry in statement.principals or ():
                if entry.type == "Federated" and entry.value not in known and entry.value.startswith("arn:"):
                    message = f"the trust policy names a provider that does not exist: `{entry.value}`"
                    yield _finding("provider_missing", entity.arn, message, "create the provider")
    for record in tables.saml_providers.values():
        info = saml.get(record.arn)
        if info.incomplete:
            message = f"the provider is incomplete, it verifies nothing: {info.incomplete}"
            yield _finding("provider_incomplete", record.arn, message, "update it with metadata")
        for warning in info.warnings:
            yield _finding("provider_metadata", record.arn, warning, "")


def _finding(code: str, source: str, message: str, hint: str) -> Finding:
    return Finding(code=code, severity=Severity.WARN, message=message, source=source, path="$", hint=hint)
