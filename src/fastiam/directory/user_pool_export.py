"""User pools in the directory format: the names of their settings, and how they are written.

Users, keys, secrets and codes are not part of the format. `sources.user_pools` reads it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, get_type_hints

from fastiam.directory.user_pool_records import (
    Client,
    Domain,
    Group,
    PasswordRules,
    Pool,
    Provider,
    ResourceServer,
    UserPoolTables,
    configuration_of,
)

PARTS: Mapping[str, type] = {  # lists of a pool in the format, by the tables of their records
    "clients": Client,
    "groups": Group,
    "domains": Domain,
    "resource_servers": ResourceServer,
    "providers": Provider,
}
_DERIVED = ("pool", "region", "partition", "unique_id")  # fields that follow from the place of the record
_NAMES: Mapping[type, Mapping[str, str]] = {  # fields with another name in the format
    Pool: {
        "password": "password_policy",
        "auto_verified": "auto_verified_attributes",
        "attributes": "schema",
        "mfa": "mfa_configuration",
        "factors": "mfa_factors",
        "admin_only": "allow_admin_create_user_only",
        "recovery": "account_recovery",
        "verify_before_update": "attributes_require_verification_before_update",
        "protected": "deletion_protection",
    },
    PasswordRules: {
        "upper": "require_uppercase",
        "lower": "require_lowercase",
        "digit": "require_numbers",
        "symbol": "require_symbols",
        "history": "password_history_size",
        "temporary_days": "temporary_password_validity_days",
    },
    Client: {
        "flows": "explicit_auth_flows",
        "access_validity": "access_token_validity",
        "id_validity": "id_token_validity",
        "refresh_validity": "refresh_token_validity",
        "session_validity": "auth_session_validity",
        "units": "token_validity_units",
        "readable": "read_attributes",
        "writable": "write_attributes",
        "hides_existence": "prevent_user_existence_errors",
        "revocation": "enable_token_revocation",
        "providers": "supported_identity_providers",
        "callbacks": "callback_urls",
        "logouts": "logout_urls",
        "default_redirect": "default_redirect_uri",
        "oauth_flows": "allowed_oauth_flows",
        "oauth_scopes": "allowed_oauth_scopes",
        "oauth": "allowed_oauth_flows_user_pool_client",
        "grace": "refresh_token_grace_period",
    },
    Group: {"role": "role_arn"},
    Provider: {"details": "provider_details", "mapping": "attribute_mapping", "identifiers": "idp_identifiers"},
}


@dataclass(frozen=True, slots=True)
class Setting:
    """A field of a record in the format. `default` is `MISSING` if the setting is required."""

    name: str
    field: str
    type: Any
    default: Any


@cache
def settings_of(kind: type) -> tuple[Setting, ...]:
    """The settings of a record type."""
    names, hints = _NAMES.get(kind, {}), get_type_hints(kind)
    defaults = {f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(kind)}
    return tuple(
        Setting(names.get(field, field), field, hints[field], default)
        for field, default in defaults.items()
        if field not in _DERIVED
    )


def write_user_pools(tables: UserPoolTables) -> Iterator[dict[str, Any]]:
    """The configuration of each pool, without settings that have their default."""
    kept = configuration_of(tables)
    for pool in kept.pools.values():
        parts = {table: [_plain(r) for r in getattr(kept, table).values() if r.pool == pool.id] for table in PARTS}
        yield _plain(pool) | {table: records for table, records in parts.items() if records}


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        kind: Any = type(value)
        given = ((setting, getattr(value, setting.field)) for setting in settings_of(kind))
        return {setting.name: _plain(each) for setting, each in given if each != setting.default}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return list(map(_plain, value))
    return dict(value) if isinstance(value, Mapping) else value
