"""Roles Anywhere through boto3."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from aws_world import BO, ENDPOINT, REGION, A, AwsWorld, refused
from botocore import UNSIGNED
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as Keys
from msgspec.structs import replace
from sts_fixture import START, document
from x509_world import crl, issue, trust_policy

from fastiam.server.http import Request
from fastiam.sts import Credentials

HOST = f"arn:aws:iam::{A}:role/Host"
AGE = int((datetime(2026, 11, 29, 9, tzinfo=UTC) - START).total_seconds())
DATES = {"start": AGE - 86_400, "end": AGE + 86_400}
ROOT = issue("Root", ca=True, **DATES)
BUNDLE = {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": ROOT.pem}}
OTHER = "222222222222"


@pytest.fixture
def anywhere(world):
    world.directory.add_principal(HOST, trust_policy=trust_policy(), max_session_duration=43_200)
    return world.client("rolesanywhere")


def make_anchor(anywhere, **more):
    return anywhere.create_trust_anchor(name="ca", source=BUNDLE, **more)["trustAnchor"]


def make_profile(anywhere, **more):
    return anywhere.create_profile(**{"name": "hosts", "roleArns": [HOST], **more})["profile"]


# -- objects ----------------------------------------------------------------------------------------------------------------


def test_trust_anchor_has_the_life_of_a_record(world, anywhere):
    made = make_anchor(anywhere, tags=[{"key": "k", "value": "v"}])
    assert world.responses[-1].status == 201
    assert made["trustAnchorArn"] == f"arn:aws:rolesanywhere:{REGION}:{A}:trust-anchor/{made['trustAnchorId']}"
    assert (made["enabled"], made["source"]) == (False, BUNDLE)
    assert made["createdAt"] == datetime(2026, 11, 29, 9, tzinfo=UTC)
    anchor = made["trustAnchorId"]
    assert anywhere.get_trust_anchor(trustAnchorId=anchor)["trustAnchor"] == made
    assert anywhere.get_trust_anchor(trustAnchorId=made["trustAnchorArn"])["trustAnchor"] == made
    assert anywhere.enable_trust_anchor(trustAnchorId=anchor)["trustAnchor"]["enabled"] is True
    assert anywhere.disable_trust_anchor(trustAnchorId=anchor)["trustAnchor"]["enabled"] is False
    assert anywhere.update_trust_anchor(trustAnchorId=anchor, name="ca2")["trustAnchor"]["name"] == "ca2"
    assert [each["name"] for each in anywhere.list_trust_anchors()["trustAnchors"]] == ["ca2"]
    assert anywhere.delete_trust_anchor(trustAnchorId=anchor)["trustAnchor"]["name"] == "ca2"
    error = refused(anywhere.get_trust_anchor, trustAnchorId=anchor)
    assert (error["Code"], error["Status"]) == ("ResourceNotFoundException", 404)


def test_profile_has_the_life_of_a_record(anywhere):
    policy = '{"Version":"2012-10-17","Statement":[]}'
    made = make_profile(anywhere, sessionPolicy=policy, durationSeconds=900, acceptRoleSessionName=True)
    profile = made["profileId"]
    assert (made["roleArns"], made["sessionPolicy"], made["durationSeconds"]) == ([HOST], policy, 900)
    assert (made["managedPolicyArns"], made["requireInstanceProperties"], made["enabled"]) == ([], False, False)
    assert anywhere.get_profile(profileId=profile)["profile"] == made
    changed = anywhere.update_profile(profileId=profile, name="p2", durationSeconds=1000)["profile"]
    assert (changed["name"], changed["durationSeconds"], changed["roleArns"]) == ("p2", 1000, [HOST])
    assert anywhere.enable_profile(profileId=profile)["profile"]["enabled"] is True
    assert anywhere.disable_profile(profileId=profile)["profile"]["enabled"] is False
    assert anywhere.delete_profile(profileId=profile)["profile"]["profileId"] == profile
    assert anywhere.list_profiles()["profiles"] == []


def test_attribute_mappings_are_put_and_deleted(anywhere):
    profile = make_profile(anywhere)["profileId"]
    rules = [{"specifier": "CN"}, {"specifier": "OU"}]
    anywhere.put_attribute_mapping(profileId=profile, certificateField="x509Subject", mappingRules=rules)
    field = {"profileId": profile, "certificateField": "x509Subject"}

    def subject(answer):
        found = answer["profile"]["attributeMappings"]
        return next(each["mappingRules"] for each in found if each["certificateField"] == "x509Subject")

    assert subject(anywhere.get_profile(profileId=profile)) == rules
    assert subject(anywhere.delete_attribute_mapping(**field, specifiers=["CN"])) == [{"specifier": "OU"}]
    assert subject(anywhere.delete_attribute_mapping(**field)) == []
    wrong = refused(anywhere.put_attribute_mapping, **field, mappingRules=[{"specifier": "nope"}])
    assert (wrong["Code"], wrong["Status"]) == ("ValidationException", 400)


def test_revocation_list_has_the_life_of_a_record(anywhere):
    anchor = make_anchor(anywhere)["trustAnchorArn"]
    data = crl(ROOT, this_update=AGE - 3600, next_update=AGE + 3600).encode()
    made = anywhere.import_crl(name="list", crlData=data, trustAnchorArn=anchor, enabled=True)["crl"]
    assert (made["crlData"], made["trustAnchorArn"], made["enabled"]) == (data, anchor, True)
    id_ = made["crlId"]
    assert anywhere.get_crl(crlId=id_)["crl"] == made
    newer = crl(ROOT, this_update=AGE - 1800, next_update=AGE + 3600, number=2).encode()
    assert anywhere.update_crl(crlId=id_, crlData=newer, name="new")["crl"]["crlData"] == newer
    assert refused(anywhere.update_crl, crlId=id_, crlData=data)["Code"] == "ValidationException"
    assert anywhere.disable_crl(crlId=id_)["crl"]["enabled"] is False
    assert anywhere.enable_crl(crlId=id_)["crl"]["enabled"] is True
    assert [each["name"] for each in anywhere.list_crls()["crls"]] == ["new"]
    anywhere.delete_crl(crlId=id_)
    assert anywhere.list_crls()["crls"] == []


def test_tags_of_an_object_are_changed(world, anywhere):
    """GC170: an ARN in the query string is signed as it is sent."""
    arn = make_profile(anywhere, tags=[{"key": "a", "value": "1"}])["profileArn"]
    anywhere.tag_resource(resourceArn=arn, tags=[{"key": "b", "value": "x y"}])
    anywhere.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert anywhere.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "b", "value": "x y"}]
    absent = refused(anywhere.list_tags_for_resource, resourceArn=f"{arn} ü")
    assert absent["Code"] == "ResourceNotFoundException"
    twice = refused(anywhere.tag_resource, resourceArn=arn, tags=[{"key": "x", "value": "1"}, {"key": "x", "value": "2"}])
    assert twice["Code"] == "ValidationException"
    many = [{"key": f"k{number}", "value": "v"} for number in range(60)]
    assert refused(anywhere.tag_resource, resourceArn=arn, tags=many)["Code"] == "TooManyTagsException"


def test_listing_is_answered_in_pages(anywhere):
    for number in range(5):
        make_profile(anywhere, name=f"p{number}")
    pages = list(anywhere.get_paginator("list_profiles").paginate(pageSize=2))
    assert [len(page["profiles"]) for page in pages] == [2, 2, 1]
    assert {each["name"] for page in pages for each in page["profiles"]} == {f"p{number}" for number in range(5)}
    token = anywhere.list_profiles(pageSize=2)["nextToken"]
    assert refused(anywhere.list_trust_anchors, nextToken=token)["Code"] == "ValidationException"
    assert refused(anywhere.list_profiles, pageSize=0)["Code"] == "ValidationException"


@pytest.mark.parametrize(
    "change",
    [
        {"aliasName": "x"},
        {
            "source": {
                "sourceType": "AWS_ACM_PCA",
                "sourceData": {"acmPcaArn": f"arn:aws:acm-pca:{REGION}:{A}:certificate-authority/x"},
            }
        },
        {"source": {"sourceType": "AWS_ACM_PCA", "sourceData": {"x509CertificateData": ROOT.pem}}},
        {"source": {"sourceType": "CERTIFICATE_BUNDLE", "sourceData": {"x509CertificateData": "x"}}},
        {"crlDpRevocationEnabled": True},
        {"name": "a/b"},
    ],
    ids=["alias", "private", "mixed", "not-pem", "crl-dp", "name"],
)
def test_member_without_an_effect_is_refused(anywhere, change):
    error = refused(anywhere.create_trust_anchor, **{"name": "ca", "source": BUNDLE, **change})
    assert (error["Code"], error["Status"]) == ("ValidationException", 400)
    assert anywhere.list_trust_anchors()["trustAnchors"] == []


# -- who may ----------------------------------------------------------------------------------------------------------------


def test_object_of_another_account_or_region_is_not_found(world, anywhere):
    """The administrator of one account may do everything, and sees nothing of others."""
    objects = world.protocol.services_of(world.sts).roles_anywhere.objects
    data = crl(ROOT, this_update=AGE - 3600, next_update=AGE + 3600).encode()
    for account, region in ((OTHER, REGION), (A, "us-east-1")):
        anchor = objects.create_trust_anchor(account, region, "theirs", certificates=ROOT.pem).arn
        before = world.directory.to_json()
        for call, parameters in (
            (anywhere.get_trust_anchor, {"trustAnchorId": anchor}),
            (anywhere.enable_trust_anchor, {"trustAnchorId": anchor}),
            (anywhere.delete_trust_anchor, {"trustAnchorId": anchor}),
            (anywhere.import_crl, {"name": "n", "crlData": data, "trustAnchorArn": anchor}),
            (anywhere.tag_resource, {"resourceArn": anchor, "tags": [{"key": "k", "value": "v"}]}),
            (anywhere.list_tags_for_resource, {"resourceArn": anchor}),
        ):
            assert refused(call, **parameters)["Code"] in ("ResourceNotFoundException", "AccessDeniedException")
        assert anywhere.list_trust_anchors()["trustAnchors"] == []
        assert world.directory.to_json() == before


def test_role_of_a_profile_must_be_passed(world):
    world.allow("rolesanywhere:*")
    client = world.client("rolesanywhere", world.bo)
    error = refused(client.create_profile, name="p", roleArns=[HOST])
    assert (error["Code"], error["Status"]) == ("AccessDeniedException", 403)
    assert f"perform: iam:PassRole on resource: {HOST}" in error["Message"]
    profile = make_profile(world.client("rolesanywhere"), roleArns=[])["profileId"]
    client.update_profile(profileId=profile, name="p2")
    assert "iam:PassRole" in refused(client.update_profile, profileId=profile, roleArns=[HOST])["Message"]
    passed = {"StringEquals": {"iam:PassedToService": "rolesanywhere.amazonaws.com"}}
    allow = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": HOST, "Condition": passed}
    both = document({"Effect": "Allow", "Action": "rolesanywhere:*", "Resource": "*"}, allow)
    world.directory.put_inline_policy(BO, "test", both)
    assert make_profile(client)["roleArns"] == [HOST]
    assert "iam:PassRole" in refused(client.create_profile, name="p", roleArns=[HOST, HOST + "2"])["Message"]


def test_tags_of_request_and_object_decide(world, anywhere):
    arn = make_profile(anywhere, tags=[{"key": "team", "value": "blue"}])["profileArn"]
    other = make_profile(anywhere, tags=[{"key": "team", "value": "red"}])["profileArn"]
    world.allow("rolesanywhere:*", StringEquals={"aws:ResourceTag/team": "blue"})
    client = world.client("rolesanywhere", world.bo)
    assert client.get_profile(profileId=arn)["profile"]["profileArn"] == arn
    assert refused(client.get_profile, profileId=other)["Code"] == "AccessDeniedException"
    world.allow("rolesanywhere:*", StringEquals={"aws:RequestTag/team": "blue"})
    make_anchor(client, tags=[{"key": "team", "value": "blue"}])
    assert refused(client.create_trust_anchor, name="x", source=BUNDLE)["Code"] == "AccessDeniedException"


# -- requests ---------------------------------------------------------------------------------------------------------------


def signed(world: AwsWorld, method: str, path: str, body: bytes = b"", service: str = "rolesanywhere") -> Request:
    request = AWSRequest(method, ENDPOINT + path, {"content-type": "application/json"}, body)
    SigV4Auth(Keys(world.admin.access_key_id, str(world.admin.secret_access_key)), service, REGION).add_auth(request)
    prepared = request.prepare()
    path, _, query = path.partition("?")
    headers = [
        (b"host", b"127.0.0.1:8380"),
        *((name.lower().encode(), str(value).encode()) for name, value in prepared.headers.items()),
    ]
    return Request(method, b"/aws" + path.encode(), query.encode(), tuple(headers), body)


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "/profiles", b"", (200, None)),
        ("PUT", "/profiles", b"", (404, b"UnknownOperationException")),
        ("GET", "/nothing", b"", (404, b"UnknownOperationException")),
        ("POST", "/profiles", b'{"name":"p","name":"q","roleArns":[]}', (400, b"SerializationException")),
        ("POST", "/profiles", b'{"name":"p","roleArns":"x"}', (400, b"SerializationException")),
        ("POST", "/profiles", b"{}", (400, b"ValidationException")),
        ("GET", "/profile/x", b"", (400, b"ValidationException")),
        ("GET", "/profile/%ff", b"", (400, b"ValidationException")),
        ("GET", "/ListTagsForResource?resourceArn=%FF", b"", (400, b"SerializationException")),
        ("GET", "/ListTagsForResource?resourceArn=a&resourceArn=b", b"", (400, b"SerializationException")),
        ("GET", "/profiles?pageSize=x", b"", (400, b"SerializationException")),
        ("PATCH", "/put-notifications-settings", b"{}", (501, b"NotImplementedException")),
    ],
)
def test_request_that_is_none_has_an_error_of_the_model(world, method, path, body, expected):
    answer = world.handle(signed(world, method, path, body))
    headers = dict(answer.headers)
    assert (answer.status, headers.get(b"x-amzn-errortype")) == expected
    assert answer.content_type == "application/json"
    assert b"x-amzn-requestid" in headers and set(json.loads(answer.body)) in ({"message"}, {"profiles"})


def test_request_without_or_with_another_signature_is_403(world, anywhere):
    unsigned = refused(world.client("rolesanywhere", config=Config(signature_version=UNSIGNED)).list_profiles)
    assert (unsigned["Code"], unsigned["Status"]) == ("MissingAuthenticationTokenException", 403)
    wrong = Credentials(world.admin.access_key_id, "x" * 40)
    error = refused(world.client("rolesanywhere", wrong).list_profiles)
    assert (error["Code"], error["Status"]) == ("InvalidSignatureException", 403)
    request = signed(world, "GET", "/profile/00000000-0000-0000-0000-000000000000")
    assert world.handle(request).status == 404
    moved = replace(request, raw_path=request.raw_path[:-1] + b"1")
    assert world.handle(moved).status == 403


def test_iam_is_called_by_post_alone(world):
    """REST JSON needs more methods; the other protocols do not."""
    for method in ("PUT", "PATCH", "DELETE"):
        answer = world.handle(signed(world, method, "?Action=ListUsers&Version=2010-05-08", service="iam"))
        assert answer.status == 405


# -- sessions ---------------------------------------------------------------------------------------------------------------


def test_session_without_a_certificate_is_refused(world, anywhere):
    for request in (
        signed(world, "POST", "/sessions", b"{}"),
        Request("POST", b"/aws/sessions", b"", ((b"host", b"x"),), b""),
    ):
        answer = world.handle(request)
        assert answer.status in (400, 403) and set(json.loads(answer.body)) == {"message"}
        assert dict(answer.headers)[b"cache-control"] == b"no-store"
