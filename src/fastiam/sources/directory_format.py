"""Reader of the directory format, version 1: the complete content of a directory (docs/directory-format.md).

`directory.directory_export` writes it. JSON and YAML have the same structure. An unknown name is an error.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from typing import Any

from fastiam.directory.account_model import AccountModel
from fastiam.directory.account_records import RevocationList, RolesAnywhereProfile, TrustAnchor, default_mappings
from fastiam.directory.directory_export import FORMAT, VERSION
from fastiam.directory.format_fields import POOL_PARTS, SECTIONS
from fastiam.directory.identity_pool_records import IdentityPool
from fastiam.directory.organization import POLICY_TYPES, SCP_TYPE, ControlPolicy, FailedAccount, Handshake
from fastiam.directory.stored_policies import FULL_ACCESS_ARN, StoredPolicy, is_managed_arn
from fastiam.directory.unique_ids import NEW
from fastiam.directory.user_pool_records import Pool, Provider
from fastiam.model.policy import PolicyKind
from fastiam.sources.located_values import LocatedValue
from fastiam.sources.record_values import read_record, read_values

_ORGANIZATION = "id root management_account organizational_units accounts delegated_administrators policy_types scps rcps".split()
_ORGANIZATION += "names tags services policies failed_accounts handshakes".split()


def is_format(node: LocatedValue) -> bool:
    """Whether the value is a document of this format."""
    return isinstance(node.value, dict) and node.value.get("format") == FORMAT


def read_policies(model: AccountModel, root: LocatedValue) -> None:
    """Read managed policies, after a check of the whole document."""
    root.object(["format", "version", "organization", *SECTIONS])
    version = root.need("version")
    if str(version.value) != str(VERSION):
        raise version.error(f"version `{version.value}` of the format is not known", hint=f"this release reads version {VERSION}")
    for node in root.list_of("managed_policies"):
        known = [each for each in SECTIONS["managed_policies"].fields if each.field != "default"]
        values = read_values(node, known, ["document", "default_version"])
        arn, default = values["arn"], node.text_of("default_version") or "v1"
        if node.get("versions") is None and "document" not in node.object():
            raise node.error("`document` is missing")
        given = dict(node.need("versions").members()) if node.get("versions") else {default: node.document("document")}
        versions = {v: document.policy(model, PolicyKind.IDENTITY, arn, arn=arn) for v, document in given.items()}
        with node.writing(model):
            model.add_managed_policy(**values, versions=versions, default_version=default)


def read_groups(model: AccountModel, root: LocatedValue) -> None:
    """Read groups with inline and attached policies."""
    for node in root.list_of("groups"):
        values, policies = _values(node, "groups"), _identity(model, node)
        values.pop("attached")  # is in `policies`
        with node.writing(model):
            model.add_group(values.pop("arn"), identity_policies=policies, **values)


def read_principals(model: AccountModel, root: LocatedValue) -> None:
    """Read accounts, users and roles. Trust policies are read later, because they can name other principals."""
    for node in root.list_of("accounts"):
        values = _values(node, "accounts")
        with node.writing(model):
            model.add_account(**values)
    for section in ("users", "roles"):
        for node in root.list_of(section):
            _add_principal(model, node, _values(node, section))


def _add_principal(model: AccountModel, node: LocatedValue, values: dict[str, Any]) -> None:
    policies, boundary = _identity(model, node), node.get("permissions_boundary")
    values.pop("attached")  # is in `policies`
    limits = None
    if boundary is not None:
        limits = _several(model, boundary, PolicyKind.BOUNDARY, is_managed_arn, "permissions_boundary")
    with node.writing(model):
        model.add_principal(**values, identity_policies=policies, permissions_boundary=limits)


def read_trust(model: AccountModel, root: LocatedValue) -> None:
    """Read the trust policies of roles."""
    for node in root.list_of("roles"):
        arn, trust = node.need("arn").text(), node.get("trust_policy")
        entity = model.tables.entities.get(arn)
        if trust is not None and entity is not None and entity.trust is None:  # the first of two roles with the same name is used
            policy = _entry(model, trust, PolicyKind.TRUST, arn)
            with trust.writing(model):
                model.set_trust_policy(arn, policy)


def read_rest(model: AccountModel, root: LocatedValue) -> None:
    """Read instance profiles, providers, resources, endpoints, the organisation, and the paths of accounts."""
    for node in root.list_of("instance_profiles"):
        values = _values(node, "instance_profiles")
        with node.writing(model):
            model.create_instance_profile(**values)
    for node in root.list_of("saml_providers"):
        values = _values(node, "saml_providers")
        with node.writing(model):
            model.create_saml_provider(**values | {"uuid": values["uuid"] or NEW})
    for node in root.list_of("oidc_providers"):
        values = _values(node, "oidc_providers")
        with node.writing(model):
            model.create_oidc_provider(**values)
    _add_roles_anywhere(model, root)
    _add_user_pools(model, root)
    for node in root.list_of("identity_pools"):
        pool = read_record(node, IdentityPool)  # providers and roles are checked when a login or a session is requested
        with node.writing(model):
            model.add_identity_pool(pool)
    for node in root.list_of("resources"):
        _add_resource(model, node)
    for node in root.list_of("endpoints"):
        _add_endpoint(model, node)
    organization = root.get("organization")
    if organization is not None:
        _set_organization(model, organization)
    for node in root.list_of("accounts"):
        _set_levels(model, node)


def _values(node: LocatedValue, section: str) -> dict[str, Any]:
    return read_values(node, SECTIONS[section].fields)


def _add_roles_anywhere(model: AccountModel, root: LocatedValue) -> None:
    """Read trust anchors, then their revocation lists. Certificates are checked when a session is requested.

    The directory takes the account from the ARN.
    """
    for kind in (TrustAnchor, RevocationList, RolesAnywhereProfile):
        section = next(name for name, section in SECTIONS.items() if section.record is kind)
        for node in root.list_of(section):
            record = read_record(node, kind, account="")
            mappings = node.get("attribute_mappings")
            if mappings is not None:
                mappings.object(list(default_mappings()))
            with node.writing(model):
                model.add_roles_anywhere(record)


def _add_user_pools(model: AccountModel, root: LocatedValue) -> None:
    """Read user pools. Their keys are made when they are needed."""
    for node in root.list_of("user_pools"):
        id_ = node.need("id").text()
        account = model.tables.accounts.get(node.need("account").text())
        partition = "aws" if account is None else account.partition
        pool = read_record(node, Pool, POOL_PARTS, region=id_.partition("_")[0], partition=partition)
        parts = [
            read_record(
                part, section.record, pool=id_, **({"unique_id": str(uuid.uuid4())} if section.record is Provider else {})
            )
            for name, section in POOL_PARTS.items()
            for part in node.list_of(name)
        ]
        with node.writing(model):
            model.add_user_pool(pool, parts)


def _new_id(kind: type) -> dict[str, str]:
    return {"unique_id": str(uuid.uuid4())} if kind is Provider else {}


def _add_resource(model: AccountModel, node: LocatedValue) -> None:
    values, given = _values(node, "resources"), node.get("policies")
    arn = values["arn"]
    is_role = ":iam::" in arn and ":role/" in arn
    policies = None if given is None else _several(model, given, PolicyKind.TRUST if is_role else PolicyKind.RESOURCE, name=arn)
    with node.writing(model):
        model.add_resource(**values, policy=policies)


def _add_endpoint(model: AccountModel, node: LocatedValue) -> None:
    values, given = _values(node, "endpoints"), node.get("policies")
    policies = None if given is None else _several(model, given, PolicyKind.VPCE, name=values["id"])
    with node.writing(model):
        model.add_endpoint(**values, policy=policies)


def _set_organization(model: AccountModel, node: LocatedValue) -> None:
    node.object(_ORGANIZATION)
    old, id_ = model.tables.organization, node.need("id").text()
    if old is not None and old.id != id_:
        raise node.error(f"there is another organization already, `{old.id}`", hint="put each into a store of its own")
    if old is not None:
        node.note(model, "DIR-EXISTS", f"the organization `{id_}` comes a second time: the first one stays, whole")
        return
    units, accounts = node.get("organizational_units"), node.get("accounts")
    types = node.get("policy_types")
    scps, rcps = _by_element(model, node, "scps", PolicyKind.SCP), _by_element(model, node, "rcps", PolicyKind.RCP)
    with node.writing(model):
        model.set_organization(
            id_,
            management_account=node.text_of("management_account"),
            root=node.text_of("root") or "r-1",
            organizational_units={unit: parent.text() for unit, parent in units.members()} if units else {},
            accounts={account: place.text() for account, place in accounts.members()} if accounts else {},
            delegated_administrators=_delegates(node),
            scps=scps,
            rcps=rcps,
            policy_types=POLICY_TYPES if types is None else [type_.text() for type_ in types.items()],
        )

    with node.writing(model):
        model.set_organization_details(
            names=_texts(node.get("names")),
            tags={id_: _texts(tags) for id_, tags in _members(node, "tags")},
            services={name: since.instant() for name, since in _members(node, "services")},
            policies={id_: _control_policy(model, id_, policy) for id_, policy in _members(node, "policies")},
            failed_accounts={request: _failed_account(failed) for request, failed in _members(node, "failed_accounts")},
            handshakes={id_: _handshake(id_, each) for id_, each in _members(node, "handshakes")},
        )


def _members(node: LocatedValue, name: str) -> Iterable[tuple[str, LocatedValue]]:
    found = node.get(name)
    return () if found is None else found.members()


def _texts(node: LocatedValue | None) -> dict[str, str]:
    return {} if node is None else {key: value.text() for key, value in node.members()}


def _control_policy(model: AccountModel, id_: str, node: LocatedValue) -> ControlPolicy:
    node.object(("type", "name", "document", "description"))
    type_ = node.need("type").text()
    if type_ not in POLICY_TYPES:
        raise node.error(f"`{type_}` is not a type of policy", hint="write `SERVICE_CONTROL_POLICY` or `RESOURCE_CONTROL_POLICY`")
    kind = PolicyKind.SCP if type_ == SCP_TYPE else PolicyKind.RCP
    stored = node.document("document").policy(model, kind, node.need("name").text())
    return ControlPolicy(id_, stored, node.text_of("description") or "")


def _failed_account(node: LocatedValue) -> FailedAccount:
    node.object(("name", "reason", "at"))
    return FailedAccount(node.need("name").text(), node.need("reason").text(), node.need("at").instant())


def _handshake(id_: str, node: LocatedValue) -> Handshake:
    node.object(("account", "email", "notes", "state", "requested", "tags"))
    texts = {name: node.text_of(name) or "" for name in ("account", "email", "notes")}
    state = node.need("state").text()
    return Handshake(id_, requested=node.need("requested").instant(), tags=_texts(node.get("tags")), state=state, **texts)


def _delegates(node: LocatedValue) -> dict[str, list[str]]:
    found = node.get("delegated_administrators")
    return {id_: [name.text() for name in names.items()] for id_, names in found.members()} if found else {}


def _by_element(model: AccountModel, node: LocatedValue, name: str, kind: PolicyKind) -> dict[str, list[StoredPolicy | str]]:
    found = node.get(name)
    if found is None:
        return {}
    return {element: _several(model, level, kind, _is_full_access, f"{name}[{element}]") for element, level in found.members()}


def _set_levels(model: AccountModel, node: LocatedValue) -> None:
    """Read the SCP and RCP paths that an account has directly."""
    account = node.need("id").text()
    for name, kind, write in (("scps", PolicyKind.SCP, model.set_scps), ("rcps", PolicyKind.RCP, model.set_rcps)):
        given = node.get(name)
        record = model.tables.accounts.get(account)
        if given is not None and record is not None and getattr(record, name) is not None:
            given.note(model, "DIR-EXISTS", f"the {name} of account `{account}` come a second time: the first ones stay")
        elif given is not None:
            levels = [_several(model, level, kind, _is_full_access, f"{name}[{i}]") for i, level in enumerate(given.items())]
            with given.writing(model):
                write(account, levels)


# -- policies -----------------------------------------------------------------------------------------------------------


def _identity(model: AccountModel, node: LocatedValue) -> list[StoredPolicy | str]:
    inline = [
        _entry(model, item, PolicyKind.IDENTITY, f"identity_policies[{i}]")
        for i, item in enumerate(node.list_of("inline_policies"))
    ]
    return [*inline, *(item.arn() for item in node.list_of("attached_policies"))]


def _never(text: object) -> bool:
    return False


def _is_full_access(text: object) -> bool:
    return text == FULL_ACCESS_ARN


def _several(
    model: AccountModel, node: LocatedValue, kind: PolicyKind, is_arn: Callable[[object], bool] = _never, name: str = ""
) -> list[StoredPolicy | str]:
    """Return a policy or a list of policies. Texts that match `is_arn` stay ARNs."""
    nodes = node.items() if isinstance(node.value, list) else [node]
    names = [name] if len(nodes) == 1 else [f"{name}[{i}]" for i in range(len(nodes))]
    return [
        item.text() if is_arn(item.value) else _entry(model, item, kind, given) for item, given in zip(nodes, names, strict=True)
    ]


def _entry(model: AccountModel, node: LocatedValue, kind: PolicyKind, name: str) -> StoredPolicy:
    """A document, or an object of `name` and `document`."""
    if isinstance(node.value, dict) and "document" in node.value:
        node.object(("name", "document"))
        return node.document("document").policy(model, kind, node.text_of("name") or name)
    return node.policy(model, kind, name)
