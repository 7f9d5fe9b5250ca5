"""Cognito identity pools: the pools and their roles, and the public calls that give identities and credentials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fastiam.directory.identity_pool_records import IdentityPool, RoleMapping
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import without_nones
from fastiam.server.protocols.aws.errors import ApiError
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.permissions import Permission

if TYPE_CHECKING:
    from fastiam.cognito.identity_pools import IdentityPools

_SETTINGS = {
    "IdentityPoolName": "identity_pool_name",
    "AllowUnauthenticatedIdentities": "allow_unauthenticated_identities",
    "AllowClassicFlow": "allow_classic_flow",
    "SupportedLoginProviders": "supported_login_providers",
    "DeveloperProviderName": "developer_provider_name",
    "OpenIdConnectProviderARNs": "open_id_connect_provider_arns",
    "CognitoIdentityProviders": "cognito_identity_providers",
    "SamlProviderARNs": "saml_provider_arns",
    "IdentityPoolTags": "identity_pool_tags",
}


# -- what a call names ------------------------------------------------------------------------------------------------------


def _pools(call: Call) -> IdentityPools:
    return call.services.identity_pools


def _pool_arn(call: Call) -> str:
    """The ARN of the pool of `IdentityPoolId`; of one that the account does not have, the ARN that it would have."""
    id_: str = call.parameters["IdentityPoolId"]
    pool = _own(call)
    if pool is not None:
        return pool.arn
    return f"arn:{call.partition}:cognito-identity:{id_.partition(':')[0]}:{call.account}:identitypool/{id_}"


def _new_arn(call: Call) -> str:
    """The ARN of a new pool, whose id is not known yet."""
    return f"arn:{call.partition}:cognito-identity:{call.region}:{call.account}:identitypool/{call.region}:*"


def _own(call: Call) -> IdentityPool | None:
    """The pool of `IdentityPoolId`, if it is of the caller's account: of others a denial shows neither ARN nor tags."""
    pool = call.tables.identity_pools.get(call.parameters["IdentityPoolId"])
    return pool if pool is not None and pool.account == call.account else None


def _pool(call: Call) -> IdentityPool:
    """The pool of `IdentityPoolId`; those of other accounts and Regions do not exist for the caller."""
    id_: str = call.parameters["IdentityPoolId"]
    pool = call.tables.identity_pools.get(id_)
    if pool is None or (pool.account, pool.region) != (call.account, call.region):
        raise ApiError("ResourceNotFoundException", f"IdentityPool '{id_}' not found.")
    return pool


# -- condition keys ---------------------------------------------------------------------------------------------------------


def _stored_tags(call: Call, _: str) -> Mapping[str, Any]:
    pool = _own(call)
    return {} if pool is None else {f"aws:ResourceTag/{key}": value for key, value in pool.identity_pool_tags.items()}


def _request_tags(call: Call, _: str) -> Mapping[str, Any]:
    tags: Mapping[str, str] = call.parameters.get("IdentityPoolTags", {})
    return {f"aws:RequestTag/{key}": value for key, value in tags.items()} | ({"aws:TagKeys": list(tags)} if tags else {})


# -- pools ------------------------------------------------------------------------------------------------------------------


def _settings(call: Call) -> dict[str, Any]:
    return {name: call.parameters[member] for member, name in _SETTINGS.items() if member in call.parameters}


def create_identity_pool(call: Call) -> Result:
    """CreateIdentityPool."""
    return _shown(_pools(call).create_identity_pool(account=call.account, region=call.region, **_settings(call)))


def describe_identity_pool(call: Call) -> Result:
    """DescribeIdentityPool."""
    return _shown(_pool(call))


def update_identity_pool(call: Call) -> Result:
    """UpdateIdentityPool: what is not given gets its default, but tags stay, for they decide who may do what."""
    pool = _pool(call)
    settings = {"identity_pool_tags": pool.identity_pool_tags} | _settings(call)
    return _shown(_pools(call).update_identity_pool(pool.identity_pool_id, **settings))


def delete_identity_pool(call: Call) -> Result:
    """DeleteIdentityPool."""
    _pools(call).delete_identity_pool(_pool(call).identity_pool_id)
    return NOTHING


def list_identity_pools(call: Call) -> Result:
    """ListIdentityPools."""
    given = call.parameters
    page = _pools(call).list_identity_pools(
        given["MaxResults"], account=call.account, region=call.region, next_token=given.get("NextToken")
    )
    pools = [
        {"IdentityPoolId": pool.identity_pool_id, "IdentityPoolName": pool.identity_pool_name} for pool in page.identity_pools
    ]
    return {"IdentityPools": pools, "NextToken": page.next_token}


def set_identity_pool_roles(call: Call) -> Result:
    """SetIdentityPoolRoles."""
    given = call.parameters
    _pools(call).set_identity_pool_roles(_pool(call).identity_pool_id, given["Roles"], given.get("RoleMappings"))
    return NOTHING


def get_identity_pool_roles(call: Call) -> Result:
    """GetIdentityPoolRoles."""
    pool = _pool(call)
    mappings = {provider: _mapping_of(mapping) for provider, mapping in pool.role_mappings.items()}
    return {"IdentityPoolId": pool.identity_pool_id, "Roles": pool.roles, "RoleMappings": mappings or None}


# -- public calls -----------------------------------------------------------------------------------------------------------


def _source(call: Call) -> str:
    return str(call.context.get("aws:SourceIp", ""))


def get_id(call: Call) -> Result:
    """GetId."""
    given = call.parameters
    made = _pools(call).get_id(
        given["IdentityPoolId"], given.get("Logins"), account_id=given.get("AccountId"), source=_source(call)
    )
    return {"IdentityId": made}


def get_credentials_for_identity(call: Call) -> Result:
    """GetCredentialsForIdentity."""
    given = call.parameters
    made = _pools(call).get_credentials_for_identity(
        given["IdentityId"], given.get("Logins"), custom_role_arn=given.get("CustomRoleArn"), source=_source(call)
    )
    issued = made.credentials
    credentials = {
        "AccessKeyId": issued.access_key_id,
        "SecretKey": issued.secret_access_key,
        "SessionToken": issued.session_token,
        "Expiration": issued.expiration,
    }
    return {"IdentityId": made.identity_id, "Credentials": credentials}


def get_open_id_token(call: Call) -> Result:
    """GetOpenIdToken."""
    made = _pools(call).get_open_id_token(call.parameters["IdentityId"], call.parameters.get("Logins"), source=_source(call))
    return {"IdentityId": made.identity_id, "Token": made.token}


# -- members of the output shapes -------------------------------------------------------------------------------------------


def _shown(pool: IdentityPool) -> Result:
    providers = [
        {"ProviderName": each.provider_name, "ClientId": each.client_id, "ServerSideTokenCheck": each.server_side_token_check}
        for each in pool.cognito_identity_providers
    ]
    return without_nones(
        {
            "IdentityPoolId": pool.identity_pool_id,
            "IdentityPoolName": pool.identity_pool_name,
            "AllowUnauthenticatedIdentities": pool.allow_unauthenticated_identities,
            "AllowClassicFlow": pool.allow_classic_flow,
            "SupportedLoginProviders": pool.supported_login_providers or None,
            "DeveloperProviderName": pool.developer_provider_name or None,
            "OpenIdConnectProviderARNs": pool.open_id_connect_provider_arns or None,
            "CognitoIdentityProviders": providers or None,
            "SamlProviderARNs": pool.saml_provider_arns or None,
            "IdentityPoolTags": pool.identity_pool_tags or None,
        }
    )


def _mapping_of(mapping: RoleMapping) -> dict[str, Any]:
    rules = [
        {"Claim": rule.claim, "MatchType": rule.match_type, "Value": rule.value, "RoleARN": rule.role_arn}
        for rule in mapping.rules
    ]
    shown: dict[str, Any] = {"Type": mapping.type, "AmbiguousRoleResolution": mapping.ambiguous_role_resolution}
    return shown | ({"RulesConfiguration": {"Rules": rules}} if rules else {})


# -- the table --------------------------------------------------------------------------------------------------------------


def _passed(call: Call) -> tuple[str, ...]:
    """The roles that a pool gets: the caller must be allowed to pass each of them to the service."""
    mappings = call.parameters.get("RoleMappings", {}).values()
    rules = [rule for each in mappings for rule in each.get("RulesConfiguration", {}).get("Rules", ())]
    return tuple(dict.fromkeys([*call.parameters["Roles"].values(), *(rule["RoleARN"] for rule in rules)]))


_POOL = Permission(_pool_arn, (_stored_tags,))
_PASS = Permission(_passed, (p.passed_to("cognito-identity.amazonaws.com"),), action="iam:PassRole")
_TAG = Permission(_pool_arn, (_stored_tags, _request_tags), action="cognito-identity:TagResource", only_with="IdentityPoolTags")

_TAG_NEW = Permission(_new_arn, (_request_tags,), action="cognito-identity:TagResource", only_with="IdentityPoolTags")

OPERATIONS = {
    "CreateIdentityPool": Operation(create_identity_pool, (Permission(p.everything, (_request_tags,)), _TAG_NEW), writes=True),
    "DescribeIdentityPool": Operation(describe_identity_pool, (_POOL,)),
    "UpdateIdentityPool": Operation(update_identity_pool, (_POOL, _TAG), writes=True),
    "DeleteIdentityPool": Operation(delete_identity_pool, (_POOL,), writes=True),
    "ListIdentityPools": Operation(list_identity_pools, (Permission(p.everything),)),
    "SetIdentityPoolRoles": Operation(set_identity_pool_roles, (_POOL, _PASS), writes=True),
    "GetIdentityPoolRoles": Operation(get_identity_pool_roles, (_POOL,)),
    "GetId": Operation(get_id, library_decides=True, may_fetch=True),
    "GetCredentialsForIdentity": Operation(get_credentials_for_identity, library_decides=True, may_fetch=True),
    "GetOpenIdToken": Operation(get_open_id_token, library_decides=True, may_fetch=True),
}
