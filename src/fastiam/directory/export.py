"""An account model as text of our own format, version 1 (docs/directory-format.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from fastiam.directory.identity_pool_records import IdentityPool, RoleMapping
from fastiam.directory.organization import Organization
from fastiam.directory.records import (
    SESSION_DURATION,
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
    RolesAnywhereRecord,
    SamlProvider,
    Tables,
    TrustAnchor,
    default_mappings,
)
from fastiam.directory.stored_policies import FULL_ACCESS, FULL_ACCESS_ARN, StoredLevels, StoredPolicy
from fastiam.directory.user_pool_export import write_user_pools
from fastiam.directory.user_pool_records import UserPoolTables
from fastiam.model.profile import WITH_LONG_TERM_KEYS

FORMAT, VERSION = "fastiam-directory", 1


def write_directory(tables: Tables, user_pools: UserPoolTables) -> str:
    """The JSON text of all records, without users of user pools and secrets. What is default is left out."""
    users = [e for e in tables.entities.values() if e.kind in WITH_LONG_TERM_KEYS]
    roles = [e for e in tables.entities.values() if e.kind not in WITH_LONG_TERM_KEYS]
    whole = {
        "format": FORMAT,
        "version": VERSION,
        "accounts": list(map(_account, tables.accounts.values())),
        "organization": _organization(tables.organization) if tables.organization else None,
        "managed_policies": list(map(_managed, tables.managed.values())),
        "groups": list(map(_group, tables.groups.values())),
        "users": list(map(_entity, users)),
        "roles": list(map(_entity, roles)),
        "instance_profiles": list(map(_instance_profile, tables.instance_profiles.values())),
        "saml_providers": list(map(_saml_provider, tables.saml_providers.values())),
        "oidc_providers": list(map(_oidc_provider, tables.oidc_providers.values())),
        "trust_anchors": list(map(_trust_anchor, tables.trust_anchors.values())),
        "revocation_lists": list(map(_revocation_list, tables.revocation_lists.values())),
        "roles_anywhere_profiles": list(map(_roles_anywhere_profile, tables.roles_anywhere_profiles.values())),
        "user_pools": list(write_user_pools(user_pools)),
        "identity_pools": list(map(_identity_pool, tables.identity_pools.values())),
        "resources": list(map(_resource, tables.resources.values())),
        "endpoints": list(map(_endpoint, tables.endpoints.values())),
    }
    return orjson.dumps(_without_defaults(whole), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def _without_defaults(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value not in (None, False, "", {}) and not _is_empty(value)}


def _is_empty(value: object) -> bool:
    return isinstance(value, list) and not value


def _document(stored: StoredPolicy) -> orjson.Fragment:
    return orjson.Fragment(stored.text)


def _named(stored: StoredPolicy) -> dict[str, Any]:
    return {"name": stored.name, "document": _document(stored)}


def _several(policies: Iterable[StoredPolicy | str]) -> tuple[Any, ...]:
    """Policies where an empty list says something: a tuple, which is never left out."""
    return tuple(FULL_ACCESS_ARN if p == FULL_ACCESS else p if isinstance(p, str) else _named(p) for p in policies)


def _levels(levels: StoredLevels | None) -> tuple[Any, ...] | None:
    return None if levels is None else tuple(map(_several, levels))


def _account(account: Account) -> dict[str, Any]:
    return _without_defaults(
        {
            "id": account.id,
            "partition": account.partition if account.partition != "aws" else None,
            "name": account.name,
            "canonical_id": account.canonical_id,
            "scps": _levels(account.scps),
            "rcps": _levels(account.rcps),
        }
    )


def _organization(organization: Organization) -> dict[str, Any]:
    parents = organization.parents
    return _without_defaults(
        {
            "id": organization.id,
            "root": organization.root,
            "management_account": organization.management_account,
            "organizational_units": {unit: parent for unit, parent in parents.items() if unit.startswith("ou-")},
            "accounts": {account: parents[account] for account in organization.accounts()},
            "delegated_administrators": {a: sorted(names) for a, names in organization.delegated.items()},
            "policy_types": tuple(sorted(organization.policy_types)),
            "scps": {element: _several(policies) for element, policies in organization.scps.items()},
            "rcps": {element: _several(policies) for element, policies in organization.rcps.items()},
        }
    )


def _managed(managed: ManagedPolicy) -> dict[str, Any]:
    versions = {version: _document(stored) for version, stored in managed.versions.items()}
    return _without_defaults(
        {
            "arn": managed.arn,
            "unique_id": managed.unique_id,
            "tags": dict(managed.tags),
            "default_version": managed.default,
            "versions": versions,
        }
    )


def _group(group: Group) -> dict[str, Any]:
    return _without_defaults(
        {
            "arn": group.arn,
            "unique_id": group.unique_id,
            "inline_policies": list(map(_named, group.inline)),
            "attached_policies": list(group.attached),
        }
    )


def _entity(entity: Entity) -> dict[str, Any]:
    return _without_defaults(
        {
            "arn": entity.arn,
            "unique_id": entity.unique_id,
            "made_id": entity.made_id,
            "tags": dict(entity.tags),
            "groups": list(entity.groups),
            "inline_policies": list(map(_named, entity.inline)),
            "attached_policies": list(entity.attached),
            "permissions_boundary": None if entity.boundary is None else _several(entity.boundary),
            "trust_policy": None if entity.trust is None else _named(entity.trust),
            "max_session_duration": entity.max_session_duration if entity.max_session_duration != SESSION_DURATION else None,
        }
    )


def _instance_profile(profile: InstanceProfile) -> dict[str, Any]:
    return _without_defaults(
        {"arn": profile.arn, "unique_id": profile.unique_id, "role": profile.role, "tags": dict(profile.tags)}
    )


def _saml_provider(provider: SamlProvider) -> dict[str, Any]:
    return _without_defaults(
        {
            "arn": provider.arn,
            "metadata": provider.metadata,
            "uuid": provider.uuid,
            "encryption": provider.encryption,
            "created": None if provider.created is None else provider.created.isoformat(),
            "tags": dict(provider.tags),
        }
    )


def _oidc_provider(provider: OidcProvider) -> dict[str, Any]:
    return _without_defaults(
        {
            "arn": provider.arn,
            "client_ids": list(provider.client_ids),
            "thumbprints": list(provider.thumbprints),
            "keys": provider.keys,
            "created": None if provider.created is None else provider.created.isoformat(),
            "tags": dict(provider.tags),
        }
    )


def _trust_anchor(anchor: TrustAnchor) -> dict[str, Any]:
    settings = [
        _without_defaults({"event": s.event, "enabled": s.enabled, "threshold": s.threshold, "channel": s.channel})
        for s in anchor.notification_settings
    ]
    return _common(
        anchor,
        {
            "certificates": anchor.certificates,
            "acm_pca_arn": anchor.acm_pca_arn,
            "crls_missing": anchor.crls_missing,
            "notification_settings": settings,
        },
    )


def _revocation_list(crl: RevocationList) -> dict[str, Any]:
    return _common(crl, {"trust_anchor": crl.trust_anchor, "data": crl.data})


def _roles_anywhere_profile(profile: RolesAnywhereProfile) -> dict[str, Any]:
    mappings = profile.attribute_mappings
    return _common(
        profile,
        {
            "role_arns": list(profile.role_arns),
            "session_policy": profile.session_policy,
            "managed_policy_arns": list(profile.managed_policy_arns),
            "duration_seconds": profile.duration_seconds if profile.duration_seconds != SESSION_DURATION else None,
            "accept_role_session_name": profile.accept_role_session_name,
            "require_instance_properties": profile.require_instance_properties,
            "attribute_mappings": None if mappings == default_mappings() else _mappings(mappings),
        },
    )


def _mappings(mappings: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The specifiers of each certificate field, in tuples, which are written if they are empty, too."""
    return {name: tuple(mappings.get(name, ())) for name in default_mappings()}


def _common(record: RolesAnywhereRecord, own: Mapping[str, Any]) -> dict[str, Any]:
    created, updated = record.created, record.updated
    return _without_defaults(
        {
            "arn": record.arn,
            "name": record.name,
            "enabled": record.enabled,
            **own,
            "created": None if created is None else created.isoformat(),
            "updated": None if updated is None else updated.isoformat(),
            "tags": dict(record.tags),
        }
    )


def _identity_pool(pool: IdentityPool) -> dict[str, Any]:
    user_pools = [
        _without_defaults(
            {
                "provider_name": each.provider_name,
                "client_id": each.client_id,
                "server_side_token_check": each.server_side_token_check,
            }
        )
        for each in pool.cognito_identity_providers
    ]
    maps = {
        provider: _without_defaults({"use_defaults": each.use_defaults, "principal_tags": dict(each.principal_tags)})
        for provider, each in pool.tag_maps.items()
    }
    return _without_defaults(
        {
            "id": pool.identity_pool_id,
            "account": pool.account,
            "name": pool.identity_pool_name,
            "allow_unauthenticated_identities": pool.allow_unauthenticated_identities,
            "allow_classic_flow": pool.allow_classic_flow,
            "supported_login_providers": dict(pool.supported_login_providers),
            "developer_provider_name": pool.developer_provider_name,
            "open_id_connect_provider_arns": list(pool.open_id_connect_provider_arns),
            "saml_provider_arns": list(pool.saml_provider_arns),
            "cognito_identity_providers": user_pools,
            "roles": dict(pool.roles),
            "role_mappings": {provider: _role_mapping(each) for provider, each in pool.role_mappings.items()},
            "principal_tag_maps": maps,
            "created": pool.created.isoformat(),
            "tags": dict(pool.identity_pool_tags),
        }
    )


def _role_mapping(mapping: RoleMapping) -> dict[str, Any]:
    rules = [
        {"claim": each.claim, "match_type": each.match_type, "value": each.value, "role_arn": each.role_arn}
        for each in mapping.rules
    ]
    return _without_defaults(
        {"type": mapping.type, "ambiguous_role_resolution": mapping.ambiguous_role_resolution, "rules": rules}
    )


def _resource(resource: Resource) -> dict[str, Any]:
    return _without_defaults(
        {
            "arn": resource.arn,
            "account": resource.account,
            "tags": dict(resource.tags),
            "restrict_public_buckets": resource.restrict_public_buckets,
            "policies": list(map(_named, resource.policies)),
        }
    )


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return _without_defaults(
        {
            "id": endpoint.id,
            "account": endpoint.account,
            "gateway": endpoint.gateway,
            "policies": None if endpoint.policies is None else _several(endpoint.policies),
        }
    )


_WRITERS: dict[type, Callable[[Any], dict[str, Any]]] = {
    Account: _account,
    Organization: _organization,
    ManagedPolicy: _managed,
    Group: _group,
    Entity: _entity,
    InstanceProfile: _instance_profile,
    SamlProvider: _saml_provider,
    OidcProvider: _oidc_provider,
    TrustAnchor: _trust_anchor,
    RevocationList: _revocation_list,
    RolesAnywhereProfile: _roles_anywhere_profile,
    IdentityPool: _identity_pool,
    Resource: _resource,
    Endpoint: _endpoint,
}


def plain_record(record: object) -> dict[str, Any]:
    """One record as our format writes it, in JSON's own types."""
    plain: dict[str, Any] = orjson.loads(orjson.dumps(_WRITERS[type(record)](record)))
    return plain
