"""The fields of records in the directory format.

The format leaves out what follows from the place of a record, and has other names for some fields: the tables below. A field
that is in none of them needs no code here. `tests/unit/directory/test_record_fields.py` checks that the JSON Schema has the same
fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import EllipsisType
from typing import Any

from fastiam.directory import user_pool_records as pools
from fastiam.directory.account_records import (
    Account,
    Endpoint,
    Entity,
    Group,
    InstanceProfile,
    ManagedPolicy,
    OidcProvider,
    Resource,
    RevocationList,
    RolesAnywhereProfile,
    SamlProvider,
    TrustAnchor,
)
from fastiam.directory.identity_pool_records import IdentityPool
from fastiam.directory.record_fields import RecordField, record_fields
from fastiam.model.profile import ROLES, WITH_LONG_TERM_KEYS, PrincipalKind


@dataclass(frozen=True, slots=True)
class Section:
    """A list of the directory format: the table and type of its records.

    `kinds` : the principals of the list; `without` : the fields that these never have.
    """

    table: str
    record: type
    kinds: frozenset[PrincipalKind] = frozenset()
    without: tuple[str, ...] = ()

    @property
    def fields(self) -> tuple[RecordField, ...]:
        """The fields of its records."""
        return tuple(each for each in format_fields(self.record) if each.field not in self.without)


SECTIONS: Mapping[str, Section] = {  # in the order in which they are written
    "accounts": Section("accounts", Account),
    "managed_policies": Section("managed", ManagedPolicy),
    "groups": Section("groups", Group),
    "users": Section(
        "entities", Entity, frozenset(WITH_LONG_TERM_KEYS), without=("trust", "max_session_duration", "description")
    ),
    "roles": Section("entities", Entity, frozenset(ROLES), without=("groups",)),
    "instance_profiles": Section("instance_profiles", InstanceProfile),
    "saml_providers": Section("saml_providers", SamlProvider),
    "oidc_providers": Section("oidc_providers", OidcProvider),
    "trust_anchors": Section("trust_anchors", TrustAnchor),
    "revocation_lists": Section("revocation_lists", RevocationList),
    "roles_anywhere_profiles": Section("roles_anywhere_profiles", RolesAnywhereProfile),
    "user_pools": Section("pools", pools.Pool),
    "identity_pools": Section("identity_pools", IdentityPool),
    "resources": Section("resources", Resource),
    "endpoints": Section("endpoints", Endpoint),
}
POOL_PARTS: Mapping[str, Section] = {  # lists of a user pool. Users, keys, secrets and codes are not part of the format
    "clients": Section("clients", pools.Client),
    "groups": Section("groups", pools.Group),
    "domains": Section("domains", pools.Domain),
    "resource_servers": Section("resource_servers", pools.ResourceServer),
    "providers": Section("providers", pools.Provider),
}

_ROLES_ANYWHERE = (TrustAnchor, RevocationList, RolesAnywhereProfile)
_OF_ARN = frozenset(("kind", "partition", "account", "path", "name"))
_OF_POOL = frozenset(("pool", "region", "partition", "unique_id"))
_DERIVED: Mapping[type, frozenset[str]] = {  # fields that follow from the place of the record, or are made by a load
    **dict.fromkeys((Entity, Group, InstanceProfile), _OF_ARN),
    SamlProvider: frozenset(("account", "name", "unique_id")),
    OidcProvider: frozenset(("account", "url", "unique_id")),
    **dict.fromkeys(_ROLES_ANYWHERE, frozenset(("account",))),
    **dict.fromkeys((pools.Pool, *(section.record for section in POOL_PARTS.values())), _OF_POOL),
}
_ORDER: Mapping[type, tuple[str | EllipsisType, ...]] = {  # `...` is the place of the other fields
    ManagedPolicy: ("arn", "unique_id", "tags", "default", ...),
    Entity: ("arn", "unique_id", "made_id", "tags", "groups", ...),
    **dict.fromkeys((SamlProvider, OidcProvider), (..., "created", "tags")),
    **dict.fromkeys(
        (TrustAnchor, RevocationList, RolesAnywhereProfile), ("arn", "name", "enabled", ..., "created", "updated", "tags")
    ),
    IdentityPool: (
        *(..., "saml_provider_arns", "cognito_identity_providers", "roles", "role_mappings", "tag_maps"),
        *("created", "identity_pool_tags"),
    ),
    Resource: (..., "policies"),
    Endpoint: (..., "policies"),
}
_NAMES: Mapping[type, Mapping[str, str]] = {  # fields with another name in the format
    ManagedPolicy: {"default": "default_version"},
    Group: {"inline": "inline_policies", "attached": "attached_policies"},
    Entity: {
        "inline": "inline_policies",
        "attached": "attached_policies",
        "boundary": "permissions_boundary",
        "trust": "trust_policy",
    },
    IdentityPool: {
        "identity_pool_id": "id",
        "identity_pool_name": "name",
        "identity_pool_tags": "tags",
        "tag_maps": "principal_tag_maps",
    },
    pools.Pool: {
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
    pools.PasswordRules: {
        "upper": "require_uppercase",
        "lower": "require_lowercase",
        "digit": "require_numbers",
        "symbol": "require_symbols",
        "history": "password_history_size",
        "temporary_days": "temporary_password_validity_days",
    },
    pools.Client: {
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
    pools.Group: {"role": "role_arn"},
    pools.Provider: {"details": "provider_details", "mapping": "attribute_mapping", "identifiers": "idp_identifiers"},
}
_DEFAULTS: Mapping[type, Mapping[str, Any]] = {  # of fields that a record must have and a file need not
    IdentityPool: {"allow_unauthenticated_identities": False},
}


@cache
def format_fields(kind: type) -> tuple[RecordField, ...]:
    """The fields of a record type in the directory format, in the order in which they are written."""
    names, derived, defaults = _NAMES.get(kind, {}), _DERIVED.get(kind, frozenset()), _DEFAULTS.get(kind, {})
    found = {
        each.field: RecordField(names.get(each.field, each.field), each.field, each.type, defaults.get(each.field, each.default))
        for each in record_fields(kind)
        if each.field not in derived
    }
    order = _ORDER.get(kind, (...,))
    others = [field for field in found if field not in order]
    return tuple(found[field] for step in order for field in (others if isinstance(step, EllipsisType) else (step,)))
