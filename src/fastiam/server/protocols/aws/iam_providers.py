"""IAM operations on SAML and OpenID Connect providers (federation.md, IP2). A provider of another account does not exist here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastiam.directory.account_records import OidcProvider
from fastiam.server.protocols.aws import permissions as p
from fastiam.server.protocols.aws.aws_errors import ApiError
from fastiam.server.protocols.aws.calls import Call, Result
from fastiam.server.protocols.aws.documents import tag_list, without_nones
from fastiam.server.protocols.aws.operations import NOTHING, Operation
from fastiam.server.protocols.aws.pages import page
from fastiam.sts.signed_calls import Permission, given

if TYPE_CHECKING:
    from fastiam.federation.saml_providers import SamlProviderInfo

_SAML, _OIDC = "SAMLProviderArn", "OpenIDConnectProviderArn"
_PROPAGATION = ("ContextProvider", "IdentityCenterInstanceArn", "RemoveContextProvider", "RemoveIdentityCenterInstance")


def _is_own(call: Call, arn: str) -> bool:
    return arn.split(":")[4:5] == [call.account]


def _arn(call: Call, parameter: str) -> str:
    """The ARN of the provider that a call names, in the account of the caller.

    Raises
    ------
    ApiError
        `NoSuchEntity`: it is in another account, or not an ARN.
    """
    arn: str = call.parameters[parameter]
    if not _is_own(call, arn):
        raise ApiError("NoSuchEntity", f"The identity provider {arn} cannot be found.")
    return arn


def _propagation(call: Call) -> dict[str, Any]:
    """Members of trusted identity propagation, which the library refuses (IP18)."""
    return {name: call.parameters[name] for name in _PROPAGATION if name in call.parameters}


def _with_tags(arn: str, member: str, call: Call) -> Result:
    return without_nones({member: arn, "Tags": tag_list(p.tags_of(call)) or None})


# -- SAML -----------------------------------------------------------------------------------------------------------------


def create_saml_provider(call: Call) -> Result:
    """CreateSAMLProvider."""
    given = call.parameters
    made = call.verifiers.saml_providers.create(
        call.account,
        given["Name"],
        given["SAMLMetadataDocument"],
        partition=call.partition,
        tags=p.tags_of(call),
        encryption=given.get("AssertionEncryptionMode", ""),
        private_key=given.get("AddPrivateKey"),
        caller=call.principal_arn,
        **_propagation(call),
    )
    return _with_tags(made.arn, _SAML, call)


def _saml_provider(call: Call) -> SamlProviderInfo:
    return call.verifiers.saml_providers.get(_arn(call, _SAML))


def get_saml_provider(call: Call) -> Result:
    """GetSAMLProvider. Private keys are not in it, only their ids."""
    found = _saml_provider(call)
    keys = [{"KeyId": id_, "Timestamp": created} for id_, created in found.private_keys]
    return without_nones(
        {
            "SAMLProviderUUID": found.uuid or None,
            "SAMLMetadataDocument": found.metadata,
            "CreateDate": found.created,
            "ValidUntil": found.valid_until,
            "Tags": tag_list(found.tags) or None,
            "AssertionEncryptionMode": found.encryption or None,
            "PrivateKeyList": keys or None,
        }
    )


def update_saml_provider(call: Call) -> Result:
    """UpdateSAMLProvider: other metadata, another encryption mode, one private key more or less."""
    given = call.parameters
    updated = call.verifiers.saml_providers.update(
        _arn(call, _SAML),
        metadata=given.get("SAMLMetadataDocument"),
        encryption=given.get("AssertionEncryptionMode"),
        add_private_key=given.get("AddPrivateKey"),
        remove_private_key=given.get("RemovePrivateKey"),
        caller=call.principal_arn,
        **_propagation(call),
    )
    return {_SAML: updated.arn}


def delete_saml_provider(call: Call) -> Result:
    """DeleteSAMLProvider. Trust policies that name it stay, and sessions go on (IP3)."""
    call.verifiers.saml_providers.delete(_arn(call, _SAML), caller=call.principal_arn)
    return NOTHING


def list_saml_providers(call: Call) -> Result:
    """ListSAMLProviders; it has no pages."""
    listed = call.verifiers.saml_providers.list(call.account)
    rows = [without_nones({"Arn": each.arn, "ValidUntil": each.valid_until, "CreateDate": each.created}) for each in listed]
    return {"SAMLProviderList": rows}


def tag_saml_provider(call: Call) -> Result:
    """TagSAMLProvider."""
    call.verifiers.saml_providers.tag(_arn(call, _SAML), p.tags_of(call), caller=call.principal_arn)
    return NOTHING


def untag_saml_provider(call: Call) -> Result:
    """UntagSAMLProvider."""
    call.verifiers.saml_providers.untag(_arn(call, _SAML), call.parameters["TagKeys"], caller=call.principal_arn)
    return NOTHING


def list_saml_provider_tags(call: Call) -> Result:
    """ListSAMLProviderTags."""
    return page(call, "Tags", tag_list(_saml_provider(call).tags), lambda tag: tag["Key"], dict)


# -- OpenID Connect -------------------------------------------------------------------------------------------------------


def create_oidc_provider(call: Call) -> Result:
    """CreateOpenIDConnectProvider. Nothing is read from the network: thumbprints that are not given stay empty (IP31)."""
    given = call.parameters
    if _created_oidc(call) in call.tables.oidc_providers:
        raise ApiError("EntityAlreadyExists", f"Provider with url {given['Url']} already exists.")
    made = call.verifiers.oidc_providers.create(
        call.account,
        given["Url"],
        partition=call.partition,
        client_ids=given.get("ClientIDList", ()),
        thumbprints=given.get("ThumbprintList", ()),
        tags=p.tags_of(call),
        caller=call.principal_arn,
        **_propagation(call),
    )
    return _with_tags(made.arn, _OIDC, call)


def _oidc_provider(call: Call) -> OidcProvider:
    """The provider that a call names, in the account of the caller.

    Raises
    ------
    ApiError
        `NoSuchEntity`.
    """
    arn: str = call.parameters[_OIDC]
    found = call.tables.oidc_providers.get(arn) if _is_own(call, arn) else None
    if found is None:
        raise ApiError("NoSuchEntity", f"OpenIDConnect Provider not found for arn {arn}")
    return found


def get_oidc_provider(call: Call) -> Result:
    """GetOpenIDConnectProvider. AWS writes the URL without scheme."""
    found = _oidc_provider(call)
    return without_nones(
        {
            "Url": found.url,
            "ClientIDList": list(found.client_ids),
            "ThumbprintList": list(found.thumbprints),
            "CreateDate": found.created,
            "Tags": tag_list(found.tags) or None,
        }
    )


def delete_oidc_provider(call: Call) -> Result:
    """DeleteOpenIDConnectProvider; an absent one is deleted already."""
    arn: str = call.parameters[_OIDC]
    if _is_own(call, arn):
        call.verifiers.oidc_providers.delete(arn, caller=call.principal_arn)
    return NOTHING


def list_oidc_providers(call: Call) -> Result:
    """ListOpenIDConnectProviders; it has no pages."""
    return {"OpenIDConnectProviderList": [{"Arn": each.arn} for each in call.verifiers.oidc_providers.list(call.account)]}


def add_client_id(call: Call) -> Result:
    """AddClientIDToOpenIDConnectProvider."""
    call.verifiers.oidc_providers.add_client_id(_oidc_provider(call).arn, call.parameters["ClientID"], caller=call.principal_arn)
    return NOTHING


def remove_client_id(call: Call) -> Result:
    """RemoveClientIDFromOpenIDConnectProvider."""
    call.verifiers.oidc_providers.remove_client_id(
        _oidc_provider(call).arn, call.parameters["ClientID"], caller=call.principal_arn
    )
    return NOTHING


def update_thumbprints(call: Call) -> Result:
    """UpdateOpenIDConnectProviderThumbprint."""
    prints = call.parameters["ThumbprintList"]
    call.verifiers.oidc_providers.update_thumbprints(_oidc_provider(call).arn, prints, caller=call.principal_arn)
    return NOTHING


def tag_oidc_provider(call: Call) -> Result:
    """TagOpenIDConnectProvider."""
    call.verifiers.oidc_providers.tag(_oidc_provider(call).arn, p.tags_of(call), caller=call.principal_arn)
    return NOTHING


def untag_oidc_provider(call: Call) -> Result:
    """UntagOpenIDConnectProvider."""
    call.verifiers.oidc_providers.untag(_oidc_provider(call).arn, call.parameters["TagKeys"], caller=call.principal_arn)
    return NOTHING


def list_oidc_provider_tags(call: Call) -> Result:
    """ListOpenIDConnectProviderTags."""
    return page(call, "Tags", tag_list(_oidc_provider(call).tags), lambda tag: tag["Key"], dict)


# -- the table ------------------------------------------------------------------------------------------------------------


def _created_saml(call: Call) -> str:
    return call.new_arn("saml-provider", call.parameters["Name"])


def _created_oidc(call: Call) -> str:
    return call.new_arn("oidc-provider", call.parameters["Url"].removeprefix("https://"))


def _every_saml(call: Call) -> str:
    return call.new_arn("saml-provider", "*")


def _every_oidc(call: Call) -> str:
    return call.new_arn("oidc-provider", "*")


_OF_SAML = (Permission(given(_SAML), (p.stored_tags,)),)
_OF_OIDC = (Permission(given(_OIDC), (p.stored_tags,)),)
_TAG_SAML = (Permission(given(_SAML), (p.stored_tags, p.request_tags)),)
_TAG_OIDC = (Permission(given(_OIDC), (p.stored_tags, p.request_tags)),)

OPERATIONS = {
    "CreateSAMLProvider": Operation(
        create_saml_provider,
        (
            Permission(_created_saml, (p.request_tags,)),
            Permission(_created_saml, (p.request_tags,), "iam:TagSAMLProvider", only_with="Tags"),
        ),
        writes=True,
    ),
    "GetSAMLProvider": Operation(get_saml_provider, _OF_SAML),
    "UpdateSAMLProvider": Operation(update_saml_provider, _OF_SAML, writes=True),
    "DeleteSAMLProvider": Operation(delete_saml_provider, _OF_SAML, writes=True),
    "ListSAMLProviders": Operation(list_saml_providers, (Permission(_every_saml),)),
    "TagSAMLProvider": Operation(tag_saml_provider, _TAG_SAML, writes=True),
    "UntagSAMLProvider": Operation(untag_saml_provider, _TAG_SAML, writes=True),
    "ListSAMLProviderTags": Operation(list_saml_provider_tags, _OF_SAML),
    "CreateOpenIDConnectProvider": Operation(
        create_oidc_provider,
        (
            Permission(_created_oidc, (p.request_tags,)),
            Permission(_created_oidc, (p.request_tags,), "iam:TagOpenIDConnectProvider", only_with="Tags"),
        ),
        writes=True,
    ),
    "GetOpenIDConnectProvider": Operation(get_oidc_provider, _OF_OIDC),
    "DeleteOpenIDConnectProvider": Operation(delete_oidc_provider, _OF_OIDC, writes=True),
    "ListOpenIDConnectProviders": Operation(list_oidc_providers, (Permission(_every_oidc),)),
    "AddClientIDToOpenIDConnectProvider": Operation(add_client_id, _OF_OIDC, writes=True),
    "RemoveClientIDFromOpenIDConnectProvider": Operation(remove_client_id, _OF_OIDC, writes=True),
    "UpdateOpenIDConnectProviderThumbprint": Operation(update_thumbprints, _OF_OIDC, writes=True),
    "TagOpenIDConnectProvider": Operation(tag_oidc_provider, _TAG_OIDC, writes=True),
    "UntagOpenIDConnectProvider": Operation(untag_oidc_provider, _TAG_OIDC, writes=True),
    "ListOpenIDConnectProviderTags": Operation(list_oidc_provider_tags, _OF_OIDC),
}
