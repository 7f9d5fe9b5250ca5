"""Requests of the query protocol: signatures, parameters and operations (cases GC160 to GC178, GC203, GC206)."""

from __future__ import annotations

import re
import sqlite3
import threading
from datetime import timedelta
from functools import partial
from xml.etree import ElementTree

import orjson
import pytest
from aws_world import ADMIN, BO, ENDPOINT, A, AwsWorld, error_of, refused, sign
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

import fastiam
from fastiam.aws_data.service_models import service
from fastiam.server.http import Request
from fastiam.server.protocol import Elsewhere, Place
from fastiam.server.protocols.aws import query
from fastiam.server.protocols.aws.protocol import place_of
from fastiam.server.protocols.aws.query import _text
from fastiam.server.protocols.aws.requests import target_of
from fastiam.sts import Credentials

IAM, STS = "Version=2010-05-08", "Version=2011-06-15"
WHO = f"Action=GetCallerIdentity&{STS}"


def test_caller_of_a_signed_request_is_answered(world):
    """GC160."""
    answer = world.client("sts").get_caller_identity()
    assert (answer["Account"], answer["Arn"]) == (A, ADMIN) and answer["UserId"].startswith("AIDA")
    response = world.responses[-1]
    request_id = dict(response.headers)[b"x-amzn-requestid"]
    assert b"<RequestId>" + request_id + b"</RequestId>" in response.body and response.content_type == "text/xml"


def test_caller_identity_is_json_if_the_client_asks(world):
    """G127."""
    response = world.handle(sign(world, WHO, service="sts", headers={"Accept": "application/json"}))
    assert response.content_type == "application/json"
    assert orjson.loads(response.body)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]["Arn"] == ADMIN


def test_wrong_secret_is_refused(world):
    """GC161."""
    keys = Credentials(world.admin.access_key_id, str(world.bo.secret_access_key))
    assert refused(world.client("sts", keys).get_caller_identity) | {"Message": ""} == {
        "Type": "Sender",
        "Code": "SignatureDoesNotMatch",
        "Message": "",
        "Status": 403,
    }


def test_query_string_in_another_order_is_the_same(world):
    """GC161."""
    request = sign(world, "", service="sts", url=f"{ENDPOINT}?{WHO}")
    parts = request.raw_query.split(b"&")
    assert world.handle(replace(request, raw_query=b"&".join(reversed(parts)))).status == 200


def test_unknown_key_is_refused(world):
    """GC162."""
    keys = Credentials("AKIAAAAAAAAAAAAAAAAA", str(world.bo.secret_access_key))
    assert refused(world.client("sts", keys).get_caller_identity)["Code"] == "InvalidClientTokenId"


def test_key_of_a_deleted_user_is_refused(world):
    """GC174."""
    client = world.client("sts", world.bo)
    world.directory.delete_principal(BO)
    assert refused(client.get_caller_identity)["Code"] == "InvalidClientTokenId"


@pytest.mark.parametrize("minutes", [-16, 16])
def test_stale_signature_is_refused_with_both_instants(world, minutes):
    """GC163."""
    request = sign(world, WHO, service="sts")
    world.clock.now += timedelta(minutes=minutes)
    response = world.handle(request)
    assert error_of(response) == (403, "SignatureDoesNotMatch")
    assert b"20261129T090000Z" in response.body and world.clock.now.strftime("%Y%m%dT%H%M%SZ").encode() in response.body


def test_scope_of_another_service_is_refused(world):
    """GC164."""
    assert error_of(world.handle(sign(world, f"Action=ListUsers&{IAM}", service="s3"))) == (403, "SignatureDoesNotMatch")
    assert error_of(world.handle(sign(world, f"Action=ListUsers&{IAM}", service="sts"))) == (400, "InvalidAction")


@pytest.mark.parametrize(("after", "status"), [(0, 200), (599, 200), (601, 403)])
def test_presigned_request_is_valid_until_it_expires(world, after, status):
    """GC165."""
    request = sign(world, "", service="sts", method="GET", url=f"{ENDPOINT}?{WHO}", expires=600)
    world.clock.tick(after)
    assert world.handle(request).status == status


def test_presigned_request_for_more_than_a_week_is_refused(world):
    """GC165."""
    request = sign(world, "", service="sts", method="GET", url=f"{ENDPOINT}?{WHO}", expires=604_801)
    assert error_of(world.handle(request)) == (400, "IncompleteSignature")


def test_presigned_request_needs_its_signed_headers(world):
    """GC166."""
    headers = {"x-k8s-aws-id": "cluster"}
    request = sign(world, "", service="sts", method="GET", url=f"{ENDPOINT}?{WHO}", expires=60, headers=headers)
    assert world.handle(request).status == 200
    stripped = replace(request, headers=tuple(pair for pair in request.headers if pair[0] != b"x-k8s-aws-id"))
    assert error_of(world.handle(stripped)) == (403, "SignatureDoesNotMatch")


def test_presigned_request_covers_its_body(world):
    """Parameters of a body that the signature does not cover would be anyone's."""
    url = f"{ENDPOINT}?Version=2010-05-08"
    request = sign(world, "", method="POST", url=url, expires=60)
    assert error_of(world.handle(replace(request, body=b"Action=ListUsers"))) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        ("", f"Action=GetUser&UserName=a&UserName=b&{IAM}", (400, "InvalidQueryParameter")),
        ("?UserName=a", f"Action=GetUser&UserName=b&{IAM}", (400, "InvalidQueryParameter")),
        ("", f"Action=GetUser&UserName=%ff&{IAM}", (400, "InvalidQueryParameter")),
        ("", f"Action=DropUser&{IAM}", (400, "InvalidAction")),
        ("", IAM, (400, "MissingAction")),
        ("", "Action=ListUsers&Version=1999-01-01", (400, "InvalidAction")),
        ("", "Action=ListUsers", (400, "InvalidAction")),
        ("", f"Action=ListUsers&{STS}", (400, "InvalidAction")),
        ("", f"Action=AcquireRole&{IAM}", (501, "NotImplemented")),
        ("", f"Action=CreateUser&{IAM}", (400, "ValidationError")),
        ("", f"Action=CreateUser&UserName=a%00b&{IAM}", (400, "ValidationError")),
        ("", f"Action=CreateUser&UserName=a&Tags.member.1x.Key=k&{IAM}", (400, "InvalidQueryParameter")),
        ("", f"Action=CreateUser&UserName=a&Tags.member.0.Key=k&{IAM}", (400, "InvalidQueryParameter")),
        ("", f"Action=CreateUser&UserName=a&Tags.member.999999.Key=k&{IAM}", (400, "InvalidQueryParameter")),
        ("", f"Action=CreateUser&UserName=a&Tags.member.1=k&{IAM}", (400, "ValidationError")),
        ("", f"Action=CreateUser&UserName.x=a&{IAM}", (400, "InvalidQueryParameter")),
        ("", f"Action=CreateUser&UserName.=a&{IAM}", (400, "InvalidQueryParameter")),
        ("", f"Action=CreateUser&UserName=a&Tags=x&{IAM}", (400, "InvalidQueryParameter")),
        ("", f"Action=ListUsers&MaxItems=1e2&{IAM}", (400, "ValidationError")),
        ("", f"Action=ListUsers&MaxItems=%D9%A1&{IAM}", (400, "ValidationError")),
        ("", f"Action=ListUsers&MaxItems=99999999999999999999999&{IAM}", (400, "ValidationError")),
        ("", f"Action=ListUsers&{'.x' * 40}=1&{IAM}", (400, "InvalidQueryParameter")),
        ("", "Action=ListUsers&" + "&".join(f"a{i}=" for i in range(10_001)) + f"&{IAM}", (400, "InvalidQueryParameter")),
    ],
)
def test_malformed_request_is_refused(world, query, body, expected):
    """GC175 to GC179."""
    before = world.directory.to_json()
    assert error_of(world.handle(sign(world, body, url=ENDPOINT + query))) == expected
    assert world.directory.to_json() == before


@pytest.mark.parametrize("form", ["Tags.member.1.Key=a&Tags.member.1.Value=1&Tags.member.3.Key=b&Tags.member.3.Value=2",
                                  "Tags.1.Key=a&Tags.1.Value=1&Tags.2.Key=b&Tags.2.Value=2"])  # fmt: skip
def test_gap_of_indices_is_closed(world, form):
    """GC176, G122."""
    assert world.handle(sign(world, f"Action=CreateUser&UserName=n&{form}&{IAM}")).status == 200
    assert world.directory.principal(f"arn:aws:iam::{A}:user/n").tags == {"a": "1", "b": "2"}


def test_unknown_parameter_is_ignored(world):
    assert world.handle(sign(world, f"Action=GetUser&UserName=bo&Colour=red&{IAM}")).status == 200


def test_target_must_be_signed(world):
    """GC168."""
    request = sign(world, f"Action=ListUsers&{IAM}")
    changed = replace(request, headers=(*request.headers, (b"x-amz-target", b"AWSOrganizationsV20161128.ListRoots")))
    assert world.handle(changed).status in (400, 403)
    assert b"SignatureDoesNotMatch" in world.responses[-1].body or b"InvalidSignature" in world.responses[-1].body


def test_session_token_must_be_signed_and_fit(world):
    """GC169."""
    made = world.sts.get_session_token(ADMIN).credentials
    assert world.handle(sign(world, WHO, service="sts", keys=made)).status == 200
    request = sign(world, WHO, service="sts", keys=Credentials(made.access_key_id, str(made.secret_access_key)))
    unsigned = replace(request, headers=(*request.headers, (b"x-amz-security-token", str(made.session_token).encode())))
    assert error_of(world.handle(unsigned)) == (403, "SignatureDoesNotMatch")
    assert error_of(world.handle(request)) == (403, "InvalidClientTokenId")
    other = world.sts.get_session_token(BO).credentials
    mixed = Credentials(made.access_key_id, str(made.secret_access_key), str(other.session_token))
    assert error_of(world.handle(sign(world, WHO, service="sts", keys=mixed))) == (403, "InvalidClientTokenId")
    long_term = Credentials(world.admin.access_key_id, str(world.admin.secret_access_key), str(made.session_token))
    assert error_of(world.handle(sign(world, WHO, service="sts", keys=long_term))) == (403, "InvalidClientTokenId")
    world.clock.now += timedelta(days=2)
    response = world.handle(sign(world, WHO, service="sts", keys=made))
    assert error_of(response) == (403, "ExpiredToken")
    assert not any(str(made.session_token).encode() in answer.body for answer in world.responses)


def test_plus_sign_in_the_query_string_is_what_was_signed(world):
    """G131: `+` and `%2B` have one signature, so that they have one meaning."""
    form = "Action=TagUser&Version=2010-05-08&UserName=bo&Tags.member.1.Key=k&Tags.member.1.Value=a%2Bb"
    request = sign(world, "", url=f"{ENDPOINT}?{form}")
    for raw in (request.raw_query, request.raw_query.replace(b"%2B", b"+")):
        assert world.handle(replace(request, raw_query=raw)).status == 200
        assert world.directory.tables.entities[BO].tags == {"k": "a+b"}


def test_same_signed_write_is_accepted_twice(world):
    """GC173: as on AWS."""
    request = sign(world, f"Action=CreateAccessKey&UserName=bo&{IAM}")
    assert world.handle(request).status == 200
    assert error_of(world.handle(request)) == (409, "LimitExceeded")  # the key of the fixture is the first one


def test_unsigned_request_is_refused(world):
    request = sign(world, f"Action=ListUsers&{IAM}")
    unsigned = replace(request, headers=tuple(pair for pair in request.headers if pair[0] != b"authorization"))
    assert error_of(world.handle(unsigned)) == (403, "MissingAuthenticationToken")
    assert error_of(world.handle(replace(unsigned, body=b""))) == (403, "MissingAuthenticationToken")


def test_write_by_presigned_get_is_done_once_signed(world):
    """GC203: IAM and STS take GET for every action."""
    url = f"{ENDPOINT}?Action=CreateAccessKey&UserName=bo&{IAM}"
    request = sign(world, "", method="GET", url=url, expires=60)
    unsigned = replace(request, raw_query=request.raw_query.partition(b"&X-Amz")[0])
    assert error_of(world.handle(unsigned)) == (403, "MissingAuthenticationToken")
    assert len(world.sts.keys.list(BO)) == 1
    assert world.handle(request).status == 200
    assert len(world.sts.keys.list(BO)) == 2


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_of_the_query_protocol_are_refused(world, method):
    request = sign(world, "", method=method, url=f"{ENDPOINT}?Action=ListUsers&{IAM}", expires=60)
    assert error_of(world.handle(request)) == (405, "MethodNotAllowed")


def test_request_of_another_protocol_is_refused(world):
    """GC206."""
    request = sign(
        world, "", url="http://127.0.0.1:8380/service/IAM/operation/ListUsers", headers={"smithy-protocol": "rpc-v2-cbor"}
    )
    response = world.handle(request)
    assert response.status == 404 and dict(response.headers)[b"x-amzn-errortype"] == b"UnknownOperationException"


def places_of(world, request) -> list[Place]:
    """Where a call runs, one step after the other."""
    places, call = [place_of(request)], partial(world.protocol.handle, request, world.decider, world.clock())
    while True:
        try:
            call()
            return places
        except Elsewhere as moved:
            places.append(moved.place)
            call = moved.call


@pytest.mark.parametrize(
    ("body", "places"),
    [
        (f"Action=CreateUser&UserName=new&{IAM}", [Place.READER, Place.WRITER]),
        (f"{IAM}&Acti%6Fn=Create%55ser&UserName=new", [Place.READER, Place.WRITER]),
        (f"Action=CreateLoginProfile&UserName=bo&Password=Abcdefgh1!&{IAM}", [Place.READER, Place.WRITER]),
        (f"Action=ListUsers&{IAM}", [Place.READER]),
        ("Action=Nothing", [Place.READER]),
    ],
)
def test_writes_of_verified_callers_run_on_the_writer_thread(world, body, places):
    """G14."""
    assert places_of(world, sign(world, body)) == places
    wrong = replace(sign(world, body), body=sign(world, body).body + b"&A=b")
    assert places_of(world, wrong) == [Place.READER]


@pytest.mark.parametrize("action", ["Action=AssumeRoleWithWebIdentity", "Acti%6Fn=AssumeRoleWith%57ebIdentity"])
def test_call_that_may_wait_for_an_issuer_waits_by_itself(world, action):
    """G14: neither readers nor the writer wait for the network."""
    body = f"{action}&RoleArn=arn:aws:iam::{A}:role/r&RoleSessionName=name&WebIdentityToken=a.b.c&{STS}"
    request = sign(world, body, service="sts")
    unsigned = replace(request, headers=tuple(pair for pair in request.headers if pair[0] != b"authorization"))
    assert places_of(world, unsigned) == [Place.UNSIGNED, Place.WAITING]
    assert places_of(world, request) == [Place.READER, Place.WAITING]


LARGE = "&".join(f"X{i}={'%41' * 100}" for i in range(900))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, "InvalidAction"),
        ({"authorization": None}, "RequestEntityTooLarge"),
        ({"authorization": (b"Credential=AKIA", b"Credential=AKIB")}, "InvalidClientTokenId"),
        ({"authorization": (b"/eu-west-1/", b"/eu-west-2/")}, "SignatureDoesNotMatch"),
        ({"x-amz-date": (b"2026", b"2025")}, "SignatureDoesNotMatch"),
    ],
)
def test_large_form_is_decoded_for_a_verified_caller_only(world, monkeypatch, change, code):
    decoded = []
    monkeypatch.setattr(query, "read_form", lambda body, raw: decoded.append(1) or {"Action": "Nothing"})
    request = sign(world, f"Action=ListUsers&{IAM}&{LARGE}")
    headers = []
    for name, value in request.headers:
        each = change.get(name.decode(), (b"", b""))
        if each is not None:
            headers.append((name, value.replace(*each)))
    assert error_of(world.handle(replace(request, headers=tuple(headers))))[1] == code
    assert bool(decoded) == (not change)


def test_condition_keys_of_every_call_come_from_the_request(world):
    """Address, user agent and transport; a region only where the service has one (K6)."""
    world.allow("iam:GetUser", IpAddress={"aws:SourceIp": "203.0.113.0/24"}, StringLike={"aws:UserAgent": "Boto3/*"},
                Bool={"aws:SecureTransport": "false"}, StringEquals={"aws:RequestedRegion": "us-east-1"})  # fmt: skip
    bo = world.client("iam", world.bo)
    assert bo.get_user()["User"]["UserName"] == "bo"
    world.allow("iam:GetUser", Bool={"aws:SecureTransport": "true"})
    assert refused(bo.get_user)["Code"] == "AccessDenied"


def test_locked_store_is_unavailable_and_unchanged(tmp_path):
    """GC205."""
    path = tmp_path / "iam.db"
    world = AwsWorld(fastiam.Directory.open(path, timeout=0.05))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    response = world.handle(sign(world, f"Action=CreateUser&UserName=eve&{IAM}"))
    assert error_of(response) == (503, "ServiceUnavailable") and str(path).encode() not in response.body
    other.execute("ROLLBACK")
    other.close()
    assert world.directory.find("user", "eve", A) is None
    assert world.handle(sign(world, f"Action=CreateUser&UserName=eve&{IAM}")).status == 200


def test_reads_beside_writes_see_whole_changes(world):
    """A listing in another thread has both halves of a renamed user, or neither."""
    iam, stop, wrong = world.client("iam"), threading.Event(), []
    request = sign(world, f"Action=ListUsers&{IAM}")

    def read() -> None:
        while not stop.is_set():
            response = world.protocol.handle(request, world.decider, world.clock())
            if response.status != 200 or response.body.count(b"<UserName>") != 3:
                wrong.append(response.body)

    iam.create_user(UserName="n0")
    reader = threading.Thread(target=read)
    reader.start()
    for number in range(20):
        iam.update_user(UserName=f"n{number}", NewUserName=f"n{number + 1}")
    stop.set()
    reader.join()
    assert wrong == []


def test_path_of_each_rest_operation_is_of_that_protocol():
    paths = [operation.path.partition("?")[0] for operation in service("rolesanywhere").operations.values()]
    assert len(set(paths)) > 10 and not any(path.startswith("/{") for path in paths)
    request = Request("POST", b"/aws")
    for path in paths:
        assert target_of(request, re.sub(r"{[^}]*}", "x", path)).protocol == "rest-json", path
    for path in ("/", "", "//", "/other", "/profilesx", "/profiles/a/b/c"):
        assert target_of(request, path).protocol == "query", path


@given(st.text(st.sampled_from("a <>&\"'\r\n\t\x00\x0b\ud800\uffffé;=?~")))
def test_text_of_an_answer_is_read_back_by_xml(text):
    kept = re.sub("[\x00\x0b\ud800\uffff]", "\ufffd", text)
    assert (ElementTree.fromstring(f"<a>{_text(text)}</a>").text or "") == kept


@pytest.mark.parametrize(
    "date", ["20261301T090000Z", "20260230T090000Z", "20261129T250000Z", "20261129T096000Z", "20261129T090061Z"]
)
def test_date_that_does_not_exist_is_refused(world, date):
    request = sign(world, WHO, service="sts")
    headers = tuple((name, date.encode() if name == b"x-amz-date" else value) for name, value in request.headers)
    assert error_of(world.handle(replace(request, headers=headers))) == (400, "IncompleteSignature")
