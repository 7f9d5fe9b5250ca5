"""Reader of the directory format, version 1: the complete content of a directory (docs/directory-format.md).

`directory.export` writes it. JSON and YAML have the same structure. An unknown name is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastiam.directory.account_model import AccountModel
from fastiam.directory.export import FORMAT, VERSION
from fastiam.directory.identity_pool_records import (
    CognitoIdentityProvider,
    IdentityPool,
    MappingRule,
    PrincipalTagMap,
    RoleMapping,
)
from fastiam.directory.organization import POLICY_TYPES
from fastiam.directory.records import (
    SESSION_DURATION,
    NotificationSetting,
    RevocationList,
    RolesAnywhereProfile,
    TrustAnchor,
    default_mappings,
)
from fastiam.directory.stored_policies import FULL_ACCESS_ARN, StoredPolicy, is_managed_arn
from fastiam.directory.unique_ids import NEW
from fastiam.model.policy import PolicyKind
from fastiam.sources.located_values import LocatedValue
from fastiam.sources.user_pools import add_user_pools

_TOP = "format version accounts organization managed_policies groups users roles instance_profiles".split()
_TOP += ["user_pools", "identity_pools"]
_TOP += "saml_providers oidc_providers trust_anchors revocation_lists roles_anywhere_profiles resources endpoints".split()
_ACCOUNT = "id partition name canonical_id scps rcps".split()
_ORGANIZATION = "id root management_account organizational_units accounts delegated_administrators policy_types scps rcps".split()
_MANAGED = "arn unique_id tags document versions default_version".split()
_GROUP = "arn unique_id inline_policies attached_policies".split()
_USER = "arn unique_id made_id tags groups inline_policies attached_policies permissions_boundary".split()
_ROLE = "arn unique_id made_id tags inline_policies attached_policies permissions_boundary".split()
_ROLE += "trust_policy max_session_duration".split()
_INSTANCE_PROFILE = "arn unique_id role tags".split()
_SAML, _OIDC = "arn metadata uuid encryption created tags".split(), "arn client_ids thumbprints keys created tags".split()
_ANYWHERE = "arn name enabled created updated tags".split()
_ANCHOR = [*_ANYWHERE, *"certificates acm_pca_arn crls_missing notification_settings".split()]
_NOTIFICATION = "event enabled threshold channel".split()
_CRL = [*_ANYWHERE, *"trust_anchor data".split()]
_PROFILE = [*_ANYWHERE, *"role_arns session_policy managed_policy_arns duration_seconds accept_role_session_name".split()]
_PROFILE += "require_instance_properties attribute_mappings".split()
_IDENTITY_POOL = "id account name allow_unauthenticated_identities allow_classic_flow developer_provider_name roles".split()
_IDENTITY_POOL += "supported_login_providers open_id_connect_provider_arns saml_provider_arns cognito_identity_providers".split()
_IDENTITY_POOL += "role_mappings principal_tag_maps created tags".split()
_USER_POOL_CLIENT = "provider_name client_id server_side_token_check".split()
_ROLE_MAPPING, _RULE = "type ambiguous_role_resolution rules".split(), "claim match_type value role_arn".split()
_TAG_MAP = "use_defaults principal_tags".split()
_RESOURCE = "arn account tags restrict_public_buckets policies".split()
_ENDPOINT = "id account gateway policies".split()


def is_format(node: LocatedValue) -> bool:
    """Whether the value is a document of this format."""
    return isinstance(node.value, dict) and node.value.get("format") == FORMAT


def read_policies(model: AccountModel, root: LocatedValue) -> None:
    """Read managed policies, after a check of the whole document."""
    root.object(_TOP)
    version = root.need("version")
    if str(version.value) != str(VERSION):
        raise version.error(f"version `{version.value}` of the format is not known", hint=f"this release reads version {VERSION}")
    for node in root.list_of("managed_policies"):
        node.object(_MANAGED)
        arn = node.need("arn").text()
        default = node.text_of("default_version") or "v1"
        if node.get("versions") is None and "document" not in node.object():
            raise node.error("`document` is missing")
        given = dict(node.need("versions").members()) if node.get("versions") else {default: node.document("document")}
        versions = {v: document.policy(model, PolicyKind.IDENTITY, arn, arn=arn) for v, document in given.items()}
        with node.writing(model):
            model.add_managed_policy(
                arn, versions=versions, default_version=default, unique_id=node.text_of("unique_id"), tags=_tags(node)
            )


def read_groups(model: AccountModel, root: LocatedValue) -> None:
    """Read groups with inline and attached policies."""
    for node in root.list_of("groups"):
        node.object(_GROUP)
        policies = _identity(model, node)
        with node.writing(model):
            model.add_group(node.need("arn").text(), identity_policies=policies, unique_id=node.text_of("unique_id"))


def read_principals(model: AccountModel, root: LocatedValue) -> None:
    """Read accounts, users and roles. Trust policies are read later, because they can name other principals."""
    for node in root.list_of("accounts"):
        node.object(_ACCOUNT)
        with node.writing(model):
            model.add_account(
                node.need("id").text(),
                name=node.text_of("name"),
                canonical_id=node.text_of("canonical_id"),
                partition="aws" if node.get("partition") is None else node.need("partition").text(),
            )
    for section, known in (("users", _USER), ("roles", _ROLE)):
        for node in root.list_of(section):
            node.object(known)
            _add_principal(model, node)


def _add_principal(model: AccountModel, node: LocatedValue) -> None:
    policies, boundary = _identity(model, node), node.get("permissions_boundary")
    limits = None
    if boundary is not None:
        limits = _several(model, boundary, PolicyKind.BOUNDARY, is_managed_arn, "permissions_boundary")
    with node.writing(model):
        model.add_principal(
            node.need("arn").text(),
            identity_policies=policies,
            permissions_boundary=limits,
            tags=_tags(node),
            unique_id=node.text_of("unique_id"),
            made_id=node.flag_of("made_id"),
            max_session_duration=node.whole_of("max_session_duration", SESSION_DURATION),
            groups=[group.text() for group in node.list_of("groups")],
        )


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
        node.object(_INSTANCE_PROFILE)
        with node.writing(model):
            model.create_instance_profile(
                node.need("arn").text(),
                role=node.text_of("role"),
                unique_id=node.text_of("unique_id"),
                tags=_tags(node),
            )
    _add_providers(model, root)
    _add_roles_anywhere(model, root)
    add_user_pools(model, root)
    _add_identity_pools(model, root)
    for node in root.list_of("resources"):
        node.object(_RESOURCE)
        _add_resource(model, node)
    for node in root.list_of("endpoints"):
        node.object(_ENDPOINT)
        _add_endpoint(model, node)
    organization = root.get("organization")
    if organization is not None:
        _set_organization(model, organization)
    for node in root.list_of("accounts"):
        _set_levels(model, node)


def _add_providers(model: AccountModel, root: LocatedValue) -> None:
    for node in root.list_of("saml_providers"):
        node.object(_SAML)
        with node.writing(model):
            model.create_saml_provider(
                node.need("arn").text(),
                metadata=node.text_of("metadata") or "",
                tags=_tags(node),
                uuid=node.text_of("uuid") or NEW,
                encryption=node.text_of("encryption") or "",
                created=node.instant_of("created"),
            )
    for node in root.list_of("oidc_providers"):
        node.object(_OIDC)
        ids, prints = (
            [item.text() for item in node.list_of("client_ids")],
            [item.text() for item in node.list_of("thumbprints")],
        )
        with node.writing(model):
            model.create_oidc_provider(
                node.need("arn").text(),
                client_ids=ids,
                thumbprints=prints,
                keys=node.text_of("keys") or "",
                tags=_tags(node),
                created=node.instant_of("created"),
            )


def _add_roles_anywhere(model: AccountModel, root: LocatedValue) -> None:
    """Read trust anchors, then their revocation lists. Certificates are checked when a session is requested."""
    for node in root.list_of("trust_anchors"):
        node.object(_ANCHOR)
        anchor = TrustAnchor(
            **_common(node),
            certificates=node.text_of("certificates") or "",
            acm_pca_arn=node.text_of("acm_pca_arn") or "",
            crls_missing=node.flag_of("crls_missing"),
            notification_settings=tuple(map(_notification, node.list_of("notification_settings"))),
        )
        with node.writing(model):
            model.add_roles_anywhere(anchor)
    for node in root.list_of("revocation_lists"):
        node.object(_CRL)
        named = node.need("trust_anchor").text()
        crl = RevocationList(**_common(node), trust_anchor=named, data=node.text_of("data") or "")
        with node.writing(model):
            model.add_roles_anywhere(crl)
    for node in root.list_of("roles_anywhere_profiles"):
        node.object(_PROFILE)
        profile = RolesAnywhereProfile(
            **_common(node),
            role_arns=_texts(node, "role_arns"),
            session_policy=node.text_of("session_policy") or "",
            managed_policy_arns=_texts(node, "managed_policy_arns"),
            duration_seconds=node.whole_of("duration_seconds", SESSION_DURATION),
            accept_role_session_name=node.flag_of("accept_role_session_name"),
            require_instance_properties=node.flag_of("require_instance_properties"),
            attribute_mappings=_mappings(node),
        )
        with node.writing(model):
            model.add_roles_anywhere(profile)


def _add_identity_pools(model: AccountModel, root: LocatedValue) -> None:
    """Cognito identity pools. Providers and roles are checked when a login or a session is requested."""
    for node in root.list_of("identity_pools"):
        node.object(_IDENTITY_POOL)
        created = node.instant_of("created")
        if created is None:
            raise node.error("`created` is missing")
        pool = IdentityPool(
            identity_pool_id=node.need("id").text(),
            account=node.need("account").text(),
            identity_pool_name=node.need("name").text(),
            allow_unauthenticated_identities=node.flag_of("allow_unauthenticated_identities"),
            created=created,
            allow_classic_flow=node.flag_of("allow_classic_flow"),
            supported_login_providers=_text_map(node, "supported_login_providers"),
            developer_provider_name=node.text_of("developer_provider_name") or "",
            open_id_connect_provider_arns=_texts(node, "open_id_connect_provider_arns"),
            cognito_identity_providers=tuple(map(_user_pool_client, node.list_of("cognito_identity_providers"))),
            saml_provider_arns=_texts(node, "saml_provider_arns"),
            identity_pool_tags=_tags(node),
            roles=_text_map(node, "roles"),
            role_mappings={name: _role_mapping(each) for name, each in _members(node, "role_mappings")},
            tag_maps={name: _tag_map(each) for name, each in _members(node, "principal_tag_maps")},
        )
        with node.writing(model):
            model.add_identity_pool(pool)


def _user_pool_client(node: LocatedValue) -> CognitoIdentityProvider:
    node.object(_USER_POOL_CLIENT)
    name, client = node.need("provider_name").text(), node.need("client_id").text()
    return CognitoIdentityProvider(name, client, node.flag_of("server_side_token_check"))


def _role_mapping(node: LocatedValue) -> RoleMapping:
    node.object(_ROLE_MAPPING)
    rules = []
    for each in node.list_of("rules"):
        each.object(_RULE)
        rules.append(MappingRule(*(each.need(name).text() for name in _RULE)))
    return RoleMapping(node.need("type").text(), node.need("ambiguous_role_resolution").text(), tuple(rules))


def _tag_map(node: LocatedValue) -> PrincipalTagMap:
    node.object(_TAG_MAP)
    return PrincipalTagMap(node.flag_of("use_defaults"), _text_map(node, "principal_tags"))


def _members(node: LocatedValue, name: str) -> list[tuple[str, LocatedValue]]:
    found = node.get(name)
    return [] if found is None else found.members()


def _text_map(node: LocatedValue, name: str) -> dict[str, str]:
    return {key: value.text() for key, value in _members(node, name)}


def _common(node: LocatedValue) -> dict[str, Any]:
    """Return the common fields of Roles Anywhere records. The directory takes the account from the ARN."""
    return {
        "arn": node.need("arn").text(),
        "account": "",
        "name": node.text_of("name") or "",
        "enabled": node.flag_of("enabled"),
        "tags": _tags(node),
        "created": node.instant_of("created"),
        "updated": node.instant_of("updated"),
    }


def _notification(node: LocatedValue) -> NotificationSetting:
    node.object(_NOTIFICATION)
    days = node.whole_of("threshold", 0) or None
    return NotificationSetting(node.need("event").text(), node.flag_of("enabled"), days, node.text_of("channel"))


def _mappings(node: LocatedValue) -> dict[str, tuple[str, ...]]:
    found = node.get("attribute_mappings")
    if found is None:
        return default_mappings()
    found.object(list(default_mappings()))
    return {name: tuple(item.text() for item in items.items()) for name, items in found.members()}


def _texts(node: LocatedValue, name: str) -> tuple[str, ...]:
    return tuple(item.text() for item in node.list_of(name))


def _add_resource(model: AccountModel, node: LocatedValue) -> None:
    arn = node.need("arn").text()
    is_role = ":iam::" in arn and ":role/" in arn
    given = node.get("policies")
    policies = None if given is None else _several(model, given, PolicyKind.TRUST if is_role else PolicyKind.RESOURCE, name=arn)
    with node.writing(model):
        model.add_resource(
            arn,
            account=node.text_of("account"),
            policy=policies,
            tags=_tags(node),
            restrict_public_buckets=node.flag_of("restrict_public_buckets"),
        )


def _add_endpoint(model: AccountModel, node: LocatedValue) -> None:
    id_, given = node.need("id").text(), node.get("policies")
    policies = None if given is None else _several(model, given, PolicyKind.VPCE, name=id_)
    with node.writing(model):
        model.add_endpoint(id_, policy=policies, account=node.text_of("account"), gateway=node.flag_of("gateway"))


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


def _tags(node: LocatedValue) -> dict[str, str]:
    found = node.get("tags")
    return {key: value.text() for key, value in found.members()} if found else {}
