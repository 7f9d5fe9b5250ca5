"""An account model as text of our own format, version 1 (docs/directory-format.md), by the fields of `format_fields`."""

from __future__ import annotations

from typing import Any

import orjson

from fastiam.directory.account_records import ManagedPolicy, Tables
from fastiam.directory.format_fields import POOL_PARTS, SECTIONS, format_fields
from fastiam.directory.organization import ControlPolicy, Handshake, Organization
from fastiam.directory.record_codec import FieldCodec, FieldCodecs
from fastiam.directory.record_fields import record_fields
from fastiam.directory.stored_policies import FULL_ACCESS, FULL_ACCESS_ARN, StoredPolicy
from fastiam.directory.user_pool_records import Pool, UserPoolTables, configuration_of

FORMAT, VERSION = "fastiam-directory", 1


def write_directory(tables: Tables, user_pools: UserPoolTables) -> str:
    """The JSON text of all records, without users of user pools and secrets. Fields with their default value are left out."""
    configuration = configuration_of(user_pools)
    whole: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    for name, section in SECTIONS.items():
        records = getattr(configuration if section.record is Pool else tables, section.table).values()
        whole[name] = [_record(each) for each in records if not section.kinds or each.kind in section.kinds]
        if name == "accounts" and tables.organization is not None:
            whole["organization"] = _organization(tables.organization)
    for pool, plain in zip(configuration.pools.values(), whole["user_pools"], strict=True):
        plain |= _pool_parts(configuration, pool.id)
    found = {name: value for name, value in whole.items() if value != []}
    return orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def plain_record(record: object) -> dict[str, Any]:
    """One record as our format writes it, in JSON's own types."""
    plain: dict[str, Any] = orjson.loads(orjson.dumps(_record(record)))
    return plain


def _record(record: Any) -> dict[str, Any]:
    if isinstance(record, Organization):
        return _organization(record)
    plain: dict[str, Any] = _format.of(type(record)).write(record)
    if isinstance(record, ManagedPolicy):  # the versions of a policy have no names of their own
        plain["versions"] = {version: orjson.Fragment(stored.text) for version, stored in record.versions.items()}
    return plain


def _policy(stored: StoredPolicy) -> str | dict[str, Any]:
    return FULL_ACCESS_ARN if stored == FULL_ACCESS else {"name": stored.name, "document": orjson.Fragment(stored.text)}


_format = FieldCodecs(FieldCodec(_policy, lambda plain: plain, dict), format_fields)  # `sources` reads it, with positions
_AS_RECORDED = ("scps", "rcps", "names", "tags", "services", "failed_accounts")  # members of an organisation


def _organization(organization: Organization) -> dict[str, Any]:
    """The tree has units and accounts apart, and the policy types are always written."""
    parents, types = organization.parents, {each.field: each.type for each in record_fields(Organization)}
    plain = {
        "id": organization.id,
        "root": organization.root,
        "management_account": organization.management_account,
        "organizational_units": {unit: parent for unit, parent in parents.items() if unit.startswith("ou-")},
        "accounts": {account: parents[account] for account in organization.accounts()},
        "delegated_administrators": {account: sorted(names) for account, names in organization.delegated.items()},
        "policy_types": sorted(organization.policy_types),
        **{name: _format.of(types[name]).write(getattr(organization, name)) for name in _AS_RECORDED},
        "policies": {id_: _control_policy(policy) for id_, policy in organization.policies.items()},
        "handshakes": {id_: _handshake(each) for id_, each in organization.handshakes.items()},
    }
    return {name: value for name, value in plain.items() if value not in (None, {})}


def _handshake(handshake: Handshake) -> dict[str, Any]:
    plain = {name: getattr(handshake, name) for name in ("account", "email", "notes", "state")}
    plain |= {"requested": handshake.requested.isoformat(), "tags": dict(handshake.tags)}
    return {name: value for name, value in plain.items() if value}


def _control_policy(policy: ControlPolicy) -> dict[str, Any]:
    stored = policy.document
    plain = {"type": policy.type, "name": stored.name, "document": orjson.Fragment(stored.text)}
    return plain | ({"description": policy.description} if policy.description else {})


def _pool_parts(tables: UserPoolTables, pool: str) -> dict[str, list[Any]]:
    parts = {
        name: [_record(each) for each in getattr(tables, section.table).values() if each.pool == pool]
        for name, section in POOL_PARTS.items()
    }
    return {name: records for name, records in parts.items() if records}
