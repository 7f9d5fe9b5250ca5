"""IAM calls on identity providers, by boto3: from a provider to sessions of its identities."""

from __future__ import annotations

import re

import pytest
from aws_world import A, AwsWorld, refused
from oidc_world import B
from saml_world import CORP, DEV, good, metadata, rsa_key, trust

OIDC = f"arn:aws:iam::{A}:oidc-provider/idp.example/x"
TAGS = [{"Key": "team", "Value": "blue"}]


# -- SAML -----------------------------------------------------------------------------------------------------------------


def test_saml_provider_is_created_changed_and_deleted(world: AwsWorld):
    iam = world.client("iam")
    made = iam.create_saml_provider(Name="Corp", SAMLMetadataDocument=metadata(), Tags=TAGS)
    assert (made["SAMLProviderArn"], made["Tags"]) == (CORP, TAGS)
    shown = iam.get_saml_provider(SAMLProviderArn=CORP)
    assert shown["SAMLMetadataDocument"] == metadata() and shown["CreateDate"] == world.clock() and shown["Tags"] == TAGS
    assert len(shown["SAMLProviderUUID"]) >= 22 and "AssertionEncryptionMode" not in shown and "PrivateKeyList" not in shown
    until = metadata(attributes='validUntil="2030-01-01T00:00:00Z"')
    assert iam.update_saml_provider(SAMLProviderArn=CORP, SAMLMetadataDocument=until)["SAMLProviderArn"] == CORP
    (listed,) = iam.list_saml_providers()["SAMLProviderList"]
    assert listed["Arn"] == CORP and listed["ValidUntil"].year == 2030
    iam.delete_saml_provider(SAMLProviderArn=CORP)
    assert refused(iam.get_saml_provider, SAMLProviderArn=CORP)["Code"] == "NoSuchEntity"
    assert iam.list_saml_providers()["SAMLProviderList"] == []


def test_private_keys_of_a_saml_provider_rotate(world: AwsWorld):
    iam = world.client("iam")
    key = {"AssertionEncryptionMode": "Required", "AddPrivateKey": rsa_key("sp").pem}
    iam.create_saml_provider(Name="Corp", SAMLMetadataDocument=metadata(), **key)
    shown = iam.get_saml_provider(SAMLProviderArn=CORP)
    (old,) = shown["PrivateKeyList"]
    assert shown["AssertionEncryptionMode"] == "Required" and old["Timestamp"] == world.clock()
    iam.update_saml_provider(SAMLProviderArn=CORP, AddPrivateKey=rsa_key("sp2").pem)
    iam.update_saml_provider(SAMLProviderArn=CORP, RemovePrivateKey=old["KeyId"])
    (new,) = iam.get_saml_provider(SAMLProviderArn=CORP)["PrivateKeyList"]
    assert new["KeyId"] != old["KeyId"]
    assert refused(iam.update_saml_provider, SAMLProviderArn=CORP, RemovePrivateKey=new["KeyId"])["Code"] == "InvalidInput"
    assert not any(b"PRIVATE KEY" in response.body for response in world.responses if isinstance(response.body, bytes))


def test_response_of_a_created_provider_gives_credentials(world: AwsWorld):
    world.client("iam").create_saml_provider(Name="Corp", SAMLMetadataDocument=metadata())
    world.directory.add_principal(DEV, trust_policy=trust(CORP))
    sts = world.client("sts")
    given = {"RoleArn": DEV, "PrincipalArn": CORP, "SAMLAssertion": good(world.clock())}
    assert sts.assume_role_with_saml(**given)["AssumedRoleUser"]["Arn"].endswith("assumed-role/Dev/eva")
    world.client("iam").delete_saml_provider(SAMLProviderArn=CORP)
    given["SAMLAssertion"] = good(world.clock(), id="_a2")
    assert refused(sts.assume_role_with_saml, **given)["Code"] == "InvalidIdentityToken"


# -- OpenID Connect -------------------------------------------------------------------------------------------------------


def test_oidc_provider_is_created_changed_and_deleted(world: AwsWorld):
    iam = world.client("iam")
    given = {"Url": "https://idp.example/x", "ClientIDList": ["app1"], "ThumbprintList": ["ab" * 20], "Tags": TAGS}
    made = iam.create_open_id_connect_provider(**given)
    assert (made["OpenIDConnectProviderArn"], made["Tags"]) == (OIDC, TAGS)
    iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=OIDC, ClientID="app2")
    iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=OIDC, ClientID="app1")
    iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=OIDC, ThumbprintList=["cd" * 20])
    shown = iam.get_open_id_connect_provider(OpenIDConnectProviderArn=OIDC)
    assert (shown["Url"], shown["ClientIDList"], shown["ThumbprintList"]) == ("idp.example/x", ["app2"], ["cd" * 20])
    assert shown["CreateDate"] == world.clock() and shown["Tags"] == TAGS
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == [{"Arn": OIDC}]
    for _ in range(2):  # an absent one is deleted already
        iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=OIDC)
    assert refused(iam.get_open_id_connect_provider, OpenIDConnectProviderArn=OIDC)["Code"] == "NoSuchEntity"


# -- both -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "parameter"), [("saml", "SAMLProviderArn"), ("open_id_connect", "OpenIDConnectProviderArn")])
def test_tags_of_a_provider(world: AwsWorld, kind: str, parameter: str):
    iam = world.client("iam")
    if kind == "saml":
        arn = iam.create_saml_provider(Name="Corp", SAMLMetadataDocument=metadata(), Tags=TAGS)[parameter]
    else:
        arn = iam.create_open_id_connect_provider(Url="https://idp.example/x", Tags=TAGS)[parameter]
    getattr(iam, f"tag_{kind}_provider")(**{parameter: arn}, Tags=[{"Key": "a", "Value": "b"}])
    getattr(iam, f"untag_{kind}_provider")(**{parameter: arn}, TagKeys=["team"])
    assert getattr(iam, f"list_{kind}_provider_tags")(**{parameter: arn})["Tags"] == [{"Key": "a", "Value": "b"}]


def test_tag_of_a_provider_decides_about_it(world: AwsWorld):
    world.client("iam").create_saml_provider(Name="Corp", SAMLMetadataDocument=metadata(), Tags=TAGS)
    bo = world.client("iam", world.bo)
    world.allow("iam:GetSAMLProvider", StringEquals={"aws:ResourceTag/team": "red"})
    assert refused(bo.get_saml_provider, SAMLProviderArn=CORP)["Code"] == "AccessDenied"
    world.allow("iam:GetSAMLProvider", StringEquals={"aws:ResourceTag/team": "blue"})
    assert bo.get_saml_provider(SAMLProviderArn=CORP)["SAMLProviderUUID"]


def test_providers_of_other_accounts_are_out_of_reach(world: AwsWorld):
    foreign = {"saml": f"arn:aws:iam::{B}:saml-provider/Corp", "oidc": f"arn:aws:iam::{B}:oidc-provider/idp.example"}
    world.directory.create_saml_provider(foreign["saml"], metadata=metadata())
    world.directory.create_oidc_provider(foreign["oidc"], client_ids=["app1"])
    iam = world.client("iam")
    assert (
        iam.list_saml_providers()["SAMLProviderList"] == iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == []
    )
    for call, parameter, arn in (
        (iam.get_saml_provider, "SAMLProviderArn", foreign["saml"]),
        (iam.delete_saml_provider, "SAMLProviderArn", foreign["saml"]),
        (iam.get_open_id_connect_provider, "OpenIDConnectProviderArn", foreign["oidc"]),
        (iam.delete_open_id_connect_provider, "OpenIDConnectProviderArn", foreign["oidc"]),
    ):
        assert refused(call, **{parameter: arn})["Code"] in ("AccessDenied", "NoSuchEntity")
    assert foreign["saml"] in world.directory.tables.saml_providers and foreign["oidc"] in world.directory.tables.oidc_providers


INSTANCE = "arn:aws:sso:::instance/ssoins-1234567890abcdef"
REFUSED = [
    ("saml", {"Name": "Corp", "SAMLMetadataDocument": "x" * 1000}, "InvalidInput"),
    ("saml", {"Name": "Corp", "SAMLMetadataDocument": metadata(head="<!DOCTYPE x>")}, "InvalidInput"),
    ("saml", {"Name": "CORP2", "SAMLMetadataDocument": metadata()}, "EntityAlreadyExists"),
    ("saml", {"Name": "New", "SAMLMetadataDocument": metadata(), "AssertionEncryptionMode": "Required"}, "InvalidInput"),
    ("saml", {"Name": "New", "SAMLMetadataDocument": metadata(), "IdentityCenterInstanceArn": INSTANCE}, "InvalidInput"),
    ("open_id_connect", {"Url": "http://idp.example"}, "InvalidInput"),
    ("open_id_connect", {"Url": "https://www.amazon.com"}, "InvalidInput"),
    ("open_id_connect", {"Url": "https://accounts.google.com/"}, "InvalidInput"),
    ("open_id_connect", {"Url": "https://idp.example:8443"}, "InvalidInput"),
]


@pytest.mark.parametrize(("kind", "given", "code"), REFUSED)
def test_wrong_new_provider_has_the_code_of_iam(world: AwsWorld, kind: str, given: dict[str, str], code: str):
    world.directory.create_saml_provider(f"arn:aws:iam::{A}:saml-provider/Corp2", metadata=metadata())
    error = refused(getattr(world.client("iam"), f"create_{kind}_provider"), **given)
    assert error["Code"] == code and not re.search(r"\[[A-Z0-9.-]+\]", error["Message"])
    assert (":8443" in given.get("Url", "")) is (
        "has a port" in error["Message"] and "serve the issuer on port 443" in error["Message"]
    )
    assert world.directory.tables.oidc_providers == {} and len(world.directory.tables.saml_providers) == 1
