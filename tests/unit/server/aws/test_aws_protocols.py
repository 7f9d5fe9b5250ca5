"""Inputs and answers of the three protocols, as botocore writes and reads them (G126, G127, G137)."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import botocore.session
import pytest
from aws_world import AwsWorld, sign
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fastiam.aws_data.service_models import service
from fastiam.server.protocols.aws import json_protocols, query
from fastiam.server.protocols.aws.aws_errors import ApiError

INSTANT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TAGS = [{"Key": "a", "Value": "b c+&=é"}, {"Key": "d", "Value": ""}]
SESSION = botocore.session.Session()

REQUESTS = [
    ("iam", "CreateUser", {"UserName": "eve", "Path": "/x/", "Tags": [{"Key": "a", "Value": "b c+=é"}]}),
    ("iam", "ListUsers", {"MaxItems": 7, "PathPrefix": "/x/"}),
    ("iam", "UpdateAccountPasswordPolicy", {"HardExpiry": True, "RequireSymbols": False, "MinimumPasswordLength": 8}),
    ("iam", "CreateUser", {"UserName": "eve", "Tags": []}),
    ("sts", "AssumeRole", {"RoleArn": "arn:aws:iam::111111111111:role/r", "RoleSessionName": "s1", "Policy": '{"a": "%7B+ü"}'}),
    ("organizations", "CreateOrganizationalUnit", {"ParentId": "r-ab12", "Name": "ü", "Tags": [{"Key": "a", "Value": "b"}]}),
    ("organizations", "ListAccounts", {"MaxResults": 20}),
    (
        "cognito-identity",
        "SetIdentityPoolRoles",
        {
            "IdentityPoolId": "eu-west-1:12345678-1234-1234-1234-123456789012",
            "Roles": {"authenticated": "arn:aws:iam::1:role/r" * 2},
        },
    ),
    ("rolesanywhere", "GetProfile", {"profileId": "12345678-1234-1234-1234-123456789012"}),
    ("rolesanywhere", "ListTagsForResource", {"resourceArn": "arn:aws:rolesanywhere:eu-west-1:1:profile/a b+ü"}),
    (
        "rolesanywhere",
        "CreateProfile",
        {"name": "web", "roleArns": ["arn:aws:iam::111111111111:role/r"], "enabled": True, "durationSeconds": 900},
    ),
]


def read(name: str, operation: str, parameters: dict) -> dict:
    """What we read of what botocore writes."""
    model = SESSION.get_service_model(name)
    made = create_serializer(model.metadata["protocol"], include_validation=False).serialize_to_request(
        parameters, model.operation_model(operation)
    )
    ours = service(name).operations[operation]
    body = made["body"] if isinstance(made["body"], bytes) else b""
    if model.metadata["protocol"] == "query":
        form = "&".join(f"{query_escape(key)}={query_escape(str(value))}" for key, value in made["body"].items())
        return query.read_input(ours, query.read_form(form.encode()))
    url = urlsplit(made["url_path"])
    texts = {key: [value] for key, value in made["query_string"].items()} if made["query_string"] else parse_qs(url.query)
    return json_protocols.read_input(ours, body, url.path, texts)


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"a+b", "a b"),
        (b"a%2Bb", "a+b"),
        (b"%C3%a9", "\xe9"),
        (b"%257B", "%7B"),
        (b"%", "%"),
        (b"%4", "%4"),
        (b"%zz%41", "%zzA"),
        (b"% 41", "% 41"),
        (b"%+41", "% 41"),
        (b"a=b", "a=b"),
    ],
)
def test_form_is_decoded_once(sent, text):
    assert query.read_form(b"x=" + sent) == {"x": text}
    assert query.read_form(sent.partition(b"=")[0] + b"=") == {text.partition("=")[0]: ""}


def query_escape(text: str) -> str:
    return "".join(
        f"%{byte:02x}" if byte in b"%&+=" or byte > 126 else "+" if byte == 32 else chr(byte) for byte in text.encode()
    )


@pytest.mark.parametrize(
    ("name", "operation", "parameters"), REQUESTS, ids=[f"{r[0]}-{r[1]}-{i}" for i, r in enumerate(REQUESTS)]
)
def test_request_of_botocore_reads_as_sent(name, operation, parameters):
    expected = {key: value for key, value in parameters.items() if value != []} if name == "iam" else parameters
    found = read(name, operation, parameters)
    assert {key: value for key, value in found.items() if value != []} == expected


ANSWERS = [
    (
        "iam",
        "GetUser",
        {"User": {"Path": "/", "UserName": 'a&<>"\r\n\té', "UserId": "AIDA1", "Arn": "a", "CreateDate": INSTANT, "Tags": TAGS}},
    ),
    ("iam", "ListUsers", {"Users": [], "IsTruncated": False}),
    ("iam", "GetAccountSummary", {"SummaryMap": {"Users": 3, "Groups": 0}}),
    ("iam", "CreateVirtualMFADevice", {"VirtualMFADevice": {"SerialNumber": "s", "Base32StringSeed": b"ABC="}}),
    ("organizations", "DescribeAccount", {"Account": {"Id": "1", "Name": "ü", "JoinedTimestamp": INSTANT}}),
    ("cognito-identity", "GetIdentityPoolRoles", {"IdentityPoolId": "x", "Roles": {"authenticated": "r"}}),
    ("rolesanywhere", "GetProfile", {"profile": {"name": "web", "enabled": True, "createdAt": INSTANT, "roleArns": ["a"]}}),
]


@pytest.mark.parametrize(("name", "operation", "result"), ANSWERS, ids=[f"{a[0]}-{a[1]}" for a in ANSWERS])
def test_answer_is_read_by_botocore_as_meant(name, operation, result):
    model = SESSION.get_service_model(name)
    protocol, ours = model.metadata["protocol"], service(name)
    if protocol == "query":
        body = query.write_answer(ours, ours.operations[operation], result, "id")
    else:
        body = json_protocols.write_answer(ours.operations[operation], result, protocol)
    response = {"status_code": 200, "headers": {}, "body": body}
    parsed = create_parser(protocol).parse(response, model.operation_model(operation).output_shape)
    parsed.pop("ResponseMetadata", None)
    assert parsed == result


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"[]", "SerializationException"),
        (b"{", "SerializationException"),
        (b'{"ParentId": "r-ab12", "ParentId": "r-ab13", "Name": "x"}', "SerializationException"),
        (b'{"ParentId": 7, "Name": "x"}', "SerializationException"),
        (b'{"ParentId": "r-ab12", "Name": "x", "Tags": {}}', "SerializationException"),
        (b"[" * 100_000, "SerializationException"),
        (b'{"ParentId": "r-ab12"}', "ValidationError"),
        (b'{"ParentId": "no", "Name": "x"}', "ValidationError"),
        (b'{"ParentId": "r-ab12", "Name": null}', "ValidationError"),
    ],
)
def test_malformed_json_is_refused(body, code):
    """GC200."""
    with pytest.raises(ApiError) as caught:
        json_protocols.read_input(service("organizations").operations["CreateOrganizationalUnit"], body)
    assert caught.value.code == code


def test_target_of_a_service_that_is_not_served_is_unknown():
    """GC200: the error has the form of JSON, and the code in both places."""
    world = AwsWorld()
    request = sign(world, "", headers={"x-amz-target": "DynamoDB_20120810.ListTables"})
    unsigned = replace(request, headers=tuple(pair for pair in request.headers if pair[0] != b"authorization"), body=b"{}")
    response = world.handle(unsigned)
    assert response.status == 400 and response.content_type == "application/x-amz-json-1.1"
    assert dict(response.headers)[b"x-amzn-errortype"] == b"UnknownOperationException"
    assert b'"__type":"UnknownOperationException"' in response.body


# -- any bytes ------------------------------------------------------------------------------------------------------------

WORLD = AwsWorld()
names = st.sampled_from(
    ["Action", "Version", "UserName", "Path", "Tags", "Tags.member.1.Key", "MaxItems", "Marker", "PolicyDocument", "X"]
)
texts = st.one_of(
    st.sampled_from(
        ["CreateUser", "ListUsers", "GetUser", "2010-05-08", "2011-06-15", "GetCallerIdentity", "bo", "{}", "1", "%", "%7B"]
    ),
    st.text(max_size=20),
)
forms = st.lists(st.tuples(names, texts), max_size=6).map(lambda pairs: "&".join(f"{k}={query_escape(v)}" for k, v in pairs))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(forms, st.text(max_size=60)), st.sampled_from(["iam", "sts", "s3"]))
def test_no_signed_body_is_an_internal_failure(body, service_name):
    response = WORLD.handle(sign(WORLD, body, service=service_name))
    assert response.status < 500 or b"NotImplemented" in response.body, response.body


header_names = st.sampled_from(
    [b"authorization", b"x-amz-date", b"x-amz-target", b"x-amz-security-token", b"host", b"date", b"x-amz-content-sha256"]
)
header_values = st.one_of(
    st.sampled_from(
        [b"AWS4-HMAC-SHA256 Credential=a/20261129/r/iam/aws4_request, SignedHeaders=host, Signature=0", b"20261129T090000Z"]
    ),
    st.binary(max_size=40),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(header_names, header_values), max_size=5), st.binary(max_size=60), st.binary(max_size=60))
def test_no_unsigned_request_passes(headers, raw_query, body):
    """Any headers, query string and body."""
    request = sign(WORLD, "")
    response = WORLD.handle(replace(request, headers=tuple(headers), raw_query=raw_query, body=body))
    assert 400 <= response.status < 500, response.body
